-- Runs the unit tests of nginx-lua-prometheus with our module: peer_suite.lua FOLDER SEGMENT.
--
-- The tests ask a mocked dictionary for values. Here the answers come from the page. Of the
-- tests' text is changed what docs/lua.md lists as different; no test is kept in this project.
local folder, segment = ...
local NOTHING = { sync = function() end }

-- Tests of what is not here, and why.
local NOT_HERE = {
    testErrorUnknownDict = "there is no dictionary",
    testErrorNoMemoryGaugeSet = "the dictionary is full",
    testErrorNoMemoryGaugeInc = "the dictionary is full",
    testErrorNoMemoryCounter = "the dictionary is full",
    testInitWorker = "calling init_worker is no mistake",
    testMultibyteLabelValues = "wrong bytes become U+FFFD",
    testReset = "a histogram without labels cannot be reset",
    testPrintfTable = "a function inside of nginx-lua-prometheus",
}

local file = assert(io.open(folder .. "/prometheus_test.lua"))
local source = file:read "*a"
file:close()
source = source:gsub("\nTestPrometheus = {}", "\nview_pages(SimpleDict)%0", 1)
-- The key index and the tables of full names are the dictionary's.
source = source:gsub("\nTestKeyIndex = {}.-(\nfunction TestPrometheus%.)", "%1")
source = source:gsub("\n[^\n]*%.lookup[^\n]*", "")
source = source:gsub("b2_sum{}", "b2_sum"):gsub("\nos%.exit%b()", "\n")

-- Metrics without labels, and empty buckets, are shown with 0.
source = source:gsub("luaunit%.assertEquals%((self%.dict:get%b()), nil%)", "luaunit.assertTrue((%1 or 0) == 0)")

local loaded
local function real()
    loaded = loaded or dofile(package.searchpath("prometheus", package.path))
    return loaded
end

local objects = 0

-- The module takes `ngx` when it is loaded, so the tests make it first.
package.loaded.prometheus = setmetatable({
    init = function(name, options)
        local dictionary = ngx.shared[name]
        if dictionary.object == nil then
            objects = objects + 1
            dictionary.segment = segment .. objects
        end
        local object = real().init(dictionary.segment, options)
        dictionary.object = object
        object._counter, object.key_index = NOTHING, NOTHING
        return object
    end,
}, { __index = function(_, key) return real()[key] end })

--- A key of the dictionary, as the page has it.
local function shown(key)
    return (key:gsub('le="([^"]*)"', function(bound)
        return bound == "Inf" and 'le="+Inf"' or ('le="%s"'):format(tonumber(bound))
    end))
end

function view_pages(dictionary) -- luacheck: ignore
    function dictionary:get(key)
        key = shown(key)
        for _, line in ipairs(self.object:metric_data()) do
            local name, value = line:match "^([^#].*) (%S+)\n$"
            if name == key then
                return tonumber(value)
            end
        end
    end
end

assert(loadstring(source, "=prometheus_test.lua"))()

-- Pages come as texts, not as one table.
local print_table = ngx.print
ngx.print = function(text) print_table { text } end

local luaunit = require "luaunit"
local run, skipped = {}, 0
for name in pairs(TestPrometheus) do
    if name:find "^test" then
        if NOT_HERE[name] then
            print(("not here: %s (%s)"):format(name, NOT_HERE[name]))
            skipped = skipped + 1
        else
            run[#run + 1] = "TestPrometheus." .. name
        end
    end
end
table.sort(run)
local runner = luaunit.LuaUnit.new()
runner:setOutputType "text"
local failed = runner:runSuite(unpack(run))
print(("%d tests run, %d failed, %d are of what is not here"):format(#run, failed, skipped))
os.exit(failed == 0)
