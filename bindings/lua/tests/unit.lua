-- Tests of both modules in LuaJIT, outside of nginx: unit.lua SEGMENT. Prints the name of each test
-- that has passed.
local shmetrics = require "shmetrics"
local prometheus = require "prometheus"

local base = ...
local tests = {}
local names = {}
setmetatable(tests, { __newindex = function(t, name, f) names[#names + 1] = name; rawset(t, name, f) end })

local logged
local function new(name, options)
    logged = {}
    options = options or {}
    options.log = function(message) logged[#logged + 1] = message end
    return prometheus.init(base .. "-" .. name, options)
end

--- The page of a segment of the native module.
local function page(segment)
    local pieces = {}
    for piece in segment:page() do pieces[#pieces + 1] = piece end
    return table.concat(pieces)
end

--- The samples of a page: {text of name and labels: value}.
local function samples(p)
    local found = {}
    for _, line in ipairs(p:metric_data()) do
        local name, value = line:match "^([^#].*) (%S+)\n$"
        if name and not name:match "^shmetrics_" then found[name] = tonumber(value) end
    end
    return found
end

local function equal(got, wanted, what)
    if got ~= wanted then error(("%s is %s, not %s"):format(what or "it", tostring(got), tostring(wanted)), 2) end
end

function tests.counters()
    local p = new "counters"
    local plain, labelled = p:counter("plain", "Help."), p:counter("labelled_total", nil, { "a", "b" })
    plain:inc()
    plain:inc(2.5)
    plain:inc("3")
    labelled:inc(1, { "x", "y" })
    labelled:inc(nil, { "x", "y" })
    labelled:inc(5, { "y", "x" })
    local found = samples(p)
    equal(found.plain, 6.5, "plain")
    equal(found['labelled_total{a="x",b="y"}'], 2, "x y")
    equal(found['labelled_total{a="y",b="x"}'], 5, "y x")
    equal(found.nginx_metric_errors_total, 0, "errors")
end

function tests.gauges()
    local p = new "gauges"
    local gauge = p:gauge("g", "Help.", { "a" })
    gauge:set(5, { "x" })
    gauge:inc(-7, { "x" })
    gauge:set("2.5", { "y" })
    gauge:inc(nil, { "z" })
    local found = samples(p)
    equal(found['g{a="x"}'], -2)
    equal(found['g{a="y"}'], 2.5)
    equal(found['g{a="z"}'], 1)
end

function tests.histograms()
    local p = new "histograms"
    local default, own = p:histogram("default", "Help."), p:histogram("own", "Help.", { "a" }, { 1, 2 })
    default:observe(0.3)
    own:observe(1, { "x" })
    own:observe(1.5, { "x" })
    own:observe(1 / 0, { "x" })
    local found = samples(p)
    equal(found['default_bucket{le="0.2"}'], 0)
    equal(found['default_bucket{le="0.3"}'], 1)
    equal(found['own_bucket{a="x",le="1"}'], 1)
    equal(found['own_bucket{a="x",le="2"}'], 2)
    equal(found['own_count{a="x"}'], 3)
end

-- What is wrong is an error in the log and in the error metric, and never raised.
function tests.wrong_calls_raise_nothing()
    local p = new "wrong"
    local nan = 0 / 0
    local odd = { false, true, 0, -1, nan, 1 / 0, "", "x", "5", "\255\0", {}, { {} }, function() end, newproxy(), coroutine.create(function() end) }
    local function each(f)
        f(nil)
        for _, value in ipairs(odd) do f(value) end
    end
    local metrics = { p:counter("c", nil, { "a" }), p:gauge("g", nil, { "a" }), p:histogram("h", nil, { "a" }), p:counter "c0", p:gauge "g0", p:histogram "h0" }
    equal(#metrics, 6)
    equal(#logged, 0)
    each(function(value)
        for _, metric in ipairs(metrics) do
            each(function(labels)
                for _, name in ipairs { "inc", "set", "observe" } do
                    if metric[name] then
                        metric[name](metric, value, labels)
                        metric[name](metric, value, { labels })
                        metric[name](metric, value, { labels, labels, labels })
                    end
                end
            end)
            metric:del(value)
            metric:del { value }
        end
        for _, kind in ipairs { "counter", "gauge", "histogram" } do
            p[kind](p, value)
            p[kind](p, "n" .. #logged, value)
            p[kind](p, "l" .. #logged, nil, value)
            p[kind](p, "m" .. #logged, nil, { value })
            p[kind](p, "e" .. #logged, nil, nil, value)
        end
        p:histogram("b" .. #logged, nil, nil, { value })
        p:histogram("x" .. #logged, nil, nil, nil, value)
        for _, option in ipairs { "prefix", "error_metric_name", "max_size", "mode", "group", "owner", "trust", "segment" } do
            new("odd", { [option] = value })
            shmetrics.open { name = base .. "-odd", [option] = value }
        end
        prometheus.init(base .. "-odd", value)
        shmetrics.open(value)
    end)
    p = new "wrong2"
    local metric = p:counter("c", nil, { "a" })
    for _, value in ipairs { -1, nan, 1 / 0, "x", {} } do metric:inc(value, { "a" }) end
    for _, labels in ipairs { {}, { "a", "b" }, "a", 5 } do metric:inc(1, labels) end
    equal(#logged, 9, "log lines")
    equal(samples(p).nginx_metric_errors_total, 9, "errors")
    equal(samples(p)['c{a="a"}'], nil, "a series of wrong updates")
end

function tests.names_that_the_peer_refuses()
    local p = new "names"
    assert(p:histogram("h", "Help."))
    local refused = {
        p:histogram("name with a space"), p:gauge "0digit", p:counter "__ngx_prom__x", p:counter("c", nil, { "le" }), p:counter("c", nil, { "a-b" }),
        p:counter "h_count", p:gauge "h_sum", p:counter "h_bucket", p:counter "h", p:histogram "h",
    }
    equal(next(refused), nil, "a refused metric")
    equal(#logged, 10, "log lines")
    equal(samples(p).nginx_metric_errors_total, 10)
end

function tests.label_values()
    local p = new "values"
    local metric = p:counter("c", nil, { "a", "b" })
    metric:inc(1, { 200, 15.5 })
    metric:inc(1, { "200", "15.5" })
    metric:inc(1, { true, -3 })
    metric:inc(1, { -0, 1e15 })
    metric:inc(1, { 'q"', "\\\n" })
    metric:inc(1, { "", "\0" })
    metric:inc(1, { "\255", "x" })
    local found = samples(p)
    equal(found['c{a="200",b="15.5"}'], 2)
    equal(found['c{a="true",b="-3"}'], 1)
    equal(found['c{a="0",b="1e+15"}'], 1)
    equal(found['c{a="q\\"",b="\\\\\\n"}'], 1)
    equal(found['c{a="",b="\0"}'], 1)
    equal(found['c{a="\239\191\189",b="x"}'], 1)
end

-- As another worker has it: two objects on one segment.
function tests.removal_is_seen_by_all()
    local p, q = new "removal", new "removal"
    local mine, theirs = {}, {}
    for _, kind in ipairs { "counter", "gauge", "histogram" } do
        local update = kind == "histogram" and "observe" or "inc"
        mine, theirs = p[kind](p, kind, "Help.", { "a" }), q[kind](q, kind, "Help.", { "a" })
        local sample = (kind == "histogram" and "histogram_count" or kind) .. '{a="%s"}'
        mine[update](mine, 1, { "x" })
        theirs[update](theirs, 1, { "x" })
        mine[update](mine, 1, { "y" })
        equal(samples(q)[sample:format "x"], 2)
        theirs:del { "x" }
        theirs:del { "there is none" }
        equal(samples(p)[sample:format "x"], nil)
        mine[update](mine, 1, { "x" })
        equal(samples(q)[sample:format "x"], 1)
        theirs:reset()
        equal(samples(p)[sample:format "x"], nil)
        equal(samples(p)[sample:format "y"], nil)
        mine[update](mine, 1, { "y" })
        equal(samples(q)[sample:format "y"], 1)
    end
    equal(samples(p).nginx_metric_errors_total, 0)
end

function tests.metrics_without_labels_become_zero()
    local p = new "zero"
    local counter, gauge, histogram = p:counter "c", p:gauge "g", p:histogram "h"
    for _, remove in ipairs { "del", "reset" } do
        counter:inc(2)
        gauge:set(3)
        counter[remove](counter)
        gauge[remove](gauge)
        equal(samples(p).c, 0)
        equal(samples(p).g, 0)
    end
    counter:inc()
    gauge:inc()
    equal(samples(p).c, 1)
    equal(samples(p).g, 1)
    equal(#logged, 0)
    histogram:observe(1)
    histogram:del()
    histogram:reset()
    equal(#logged, 2, "log lines")
    equal(samples(p).h_count, 1)
end

function tests.expiry()
    local p = new "expiry"
    local brief, long = p:gauge("brief", nil, { "a" }, 1), p:gauge("long", nil, { "a" }, 3600)
    local histogram = p:histogram("h", nil, { "a" }, nil, 1)
    brief:set(1, { "x" })
    long:set(1, { "x" })
    histogram:observe(1, { "x" })
    local deadline = os.time() + 60
    local found
    repeat found = samples(p) until not found['brief{a="x"}'] and not found['h_count{a="x"}'] or os.time() > deadline
    equal(found['brief{a="x"}'], nil)
    equal(found['h_count{a="x"}'], nil)
    equal(found['long{a="x"}'], 1)
    brief:set(2, { "x" })
    equal(samples(p)['brief{a="x"}'], 2)
end

-- Label values that only the call holds, while the collector runs all the time.
function tests.values_live_through_the_call()
    local p = new "collector"
    local metric = p:counter("c", nil, { "a", "b", "c" })
    collectgarbage()
    local pause, step = collectgarbage("setpause", 10), collectgarbage("setstepmul", 1000)
    for i = 1, 3000 do metric:inc(1, { 1000 + i % 100 + 0.5, "v" .. i % 100, -(i % 100) }) end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
    local count = 0
    for name, value in pairs(samples(p)) do
        if name:match "^c{" then
            local a, b, c = name:match '^c{a="1(%d+)%.5",b="v(%d+)",c="%-(%d+)"}$'
            equal(tonumber(a), tonumber(b), name)
            equal(b, c, name)
            equal(value, 30, name)
            count = count + 1
        end
    end
    equal(count, 100, "series")
end

function tests.many_labels()
    local p = new "labels"
    for _, count in ipairs { 1, 2, 3, 8, 64 } do
        local labels, values = {}, {}
        for i = 1, count do labels[i], values[i] = "l" .. i, "v" .. i end
        local metric = p:counter("c" .. count, nil, labels)
        metric:inc(1, values)
        values[count + 1] = "one more"
        metric:inc(1, values)
    end
    local sum = 0
    for name, value in pairs(samples(p)) do sum = sum + (name:match "^c%d" and value or 0) end
    equal(sum, 5)
    equal(#logged, 5)
end

function tests.a_new_definition_prevails()
    local p = new "definitions"
    p:counter("c", nil, { "a" }):inc(1, { "x" })
    p:histogram("h", nil, nil, { 1, 2 }):observe(1)
    p = new "definitions"
    p:counter("c", nil, { "a", "b" }):inc(1, { "x", "y" })
    p:histogram("h", nil, nil, { 1, 2, 3 }):observe(1)
    equal(#logged, 0)
    equal(samples(p)['c{a="x",b="y"}'], 1)
    equal(samples(p)['c{a="x"}'], nil)
    equal(samples(p)['h_bucket{le="3"}'], 1)
end

function tests.uninitialised()
    equal(prometheus:counter "c", nil)
    equal(prometheus:gauge "g", nil)
    equal(prometheus:histogram "h", nil)
    equal(#prometheus:metric_data(), 0)
end

function tests.what_users_of_the_peer_call()
    local p = new("peer", { sync_interval = 3, lookup_max_size = 10, remove_expired_keys_interval = 5 })
    p:init_worker(3)
    equal(p.sync_interval, 3)
    equal(p.prefix, "")
    equal(p.error_metric_name, "nginx_metric_errors_total")
    equal(prometheus.init(base .. "-peer", "pre_").prefix, "pre_")
end

-- The calls of the exporters of Kong 3 and APISIX 3.
function tests.what_kong_and_apisix_call()
    local p = prometheus.init(base .. "-gateways", "kong_")
    p:init_worker(nil)
    local gauge = p:gauge("nginx_connections_total", "Number of connections", { "subsystem", "state" }, p.LOCAL_STORAGE)
    local health = p:gauge("upstream_target_health", "Health", { "upstream", "state" }, p.LOCAL_STORAGE)
    local status = p:counter("http_requests_total", "Codes", { "service", "code" })
    local latency = p:histogram("request_latency_ms", "Latency", { "service" }, { 25, 50, 1000 })
    local reused = { 0, 0 }
    reused[1], reused[2] = "http", "active"
    gauge:set("12", reused) -- a match of a regular expression
    health:set(1, { "u", "healthy" })
    health:reset()
    reused[1], reused[2] = "service", 200
    status:inc(1, reused)
    reused[2] = nil
    latency:observe(30, reused)
    local pieces = {}
    equal(p:metric_data(function(piece) pieces[#pieces + 1] = piece end), nil)
    local page = table.concat(pieces)
    for _, line in ipairs {
        'kong_nginx_connections_total{subsystem="http",state="active"} 12\n',
        'kong_http_requests_total{service="service",code="200"} 1\n',
        'kong_request_latency_ms_bucket{service="service",le="50"} 1\n',
    } do
        assert(page:find(line, 1, true), line)
    end
    assert(not page:find("healthy", 1, true))
    equal(samples(p).kong_nginx_metric_errors_total, 0)
end

function tests.a_segment_that_cannot_be_opened()
    local p = new("none", { segment = "/proc/none" })
    equal(#logged, 1)
    local metric = p:counter("c", nil, { "a" })
    metric:inc(1, { "x" })
    metric:del { "x" }
    metric:reset()
    p:gauge("g"):set(1)
    p:histogram("h"):observe(1)
    equal(#logged, 1, "log lines")
    equal(#p:metric_data(), 0)
    equal(#logged, 2, "log lines")
end

function tests.a_full_segment()
    local p = new("full", { max_size = "512k" })
    local metric = p:counter("c", nil, { "a" })
    for i = 1, 5000 do metric:inc(1, { "a label value of some length " .. ("x"):rep(200) .. i }) end
    local sum, overflow = 0, 0
    for name, value in pairs(samples(p)) do
        sum = sum + (name:match "^c{" and value or 0)
        if name:match "overflow" then overflow = value end
    end
    equal(sum, 5000)
    assert(overflow > 0)
    assert(#logged > 0, "no warning")
end

function tests.native_module()
    local segment = assert(shmetrics.open { name = base .. "-native", max_size = 2 ^ 20, mode = "0640" })
    local family = assert(segment:counter { name = "jobs", labels = { "kind" }, max_series = 10, expire_after = 60 })
    equal(family:inc(2, { "a" }), true)
    local done, err = family:inc(-1, { "a" })
    equal(done, nil)
    assert(err:match "jobs")
    equal(family:remove { "b" }, false)
    equal(family:remove { "a" }, true)
    family:inc(1, { "c" })
    equal(family:clear(), 1)
    local same = assert(segment:counter { name = "jobs", labels = { "kind" }, expire_after = 60 })
    equal(same:inc(1, { "d" }), true)
    local other, conflict = segment:gauge { name = "jobs" }
    equal(other, nil)
    assert(conflict)
    assert(page(segment):match 'jobs_total{kind="d"} 1\n')
    assert(shmetrics.version:match "^%d+%.%d+%.%d+$")
end

function tests.bundles()
    local segment = assert(shmetrics.open { name = base .. "-bundles", max_size = 2 ^ 20 })
    local members = {
        { kind = "counter", name = "requests", help = "Requests." },
        { kind = "gauge", name = "open" },
        { kind = "histogram", name = "latency_seconds", unit = "seconds", buckets = { 0.1, 1 } },
    }
    local function definition(labels, replace)
        return { labels = labels, members = members, max_series = 100, expire_after = 60, replace = replace }
    end
    local function shows(line, times)
        local _, found = page(segment):gsub("%f[^\n]" .. line:gsub("%p", "%%%0") .. "\n", "")
        equal(found, times or 1, line)
    end

    local bundle = assert(segment:bundle(definition { "host", "status" }))
    equal(bundle:update({ "a", 200 }, 1, 3, 0.5), true)
    equal(bundle:update({ "a", 200 }, "2.5", -1), true)
    equal(bundle:update({ "a", "404" }, nil, nil, 2), true)
    shows 'requests_total{host="a",status="200"} 3.5'
    shows 'open{host="a",status="200"} 2'
    shows 'latency_seconds_bucket{host="a",status="200",le="1"} 1'
    shows 'latency_seconds_count{host="a",status="404"} 1'
    shows 'requests_total{host="a",status="404"} 0'

    -- A wrong value or label set counts nothing.
    local labels = { "b", "200" }
    for _, wrong in ipairs { { -1, 1, 1 }, { 1, "x", 1 }, { 1, 1, 0 / 0 }, { {}, 1, 1 }, { 1 / 0, 1, 1 } } do
        local done, err = bundle:update(labels, unpack(wrong))
        equal(done, nil)
        assert(err:match "^the value of %S+ is not a number that it can take")
    end
    for _, wrong in ipairs { {}, { "b" }, { "b", "c", "d" }, "b", 5 } do
        local done, err = bundle:update(wrong, 1)
        equal(done, nil)
        assert(err:match "the bundle of requests takes 2 label values", err)
    end
    equal(bundle:update(nil, 1), nil)
    assert(not page(segment):match 'host="b"')

    -- The label set goes for all members.
    equal(bundle:remove { "a", 404 }, true)
    equal(bundle:remove { "a", 404 }, false)
    assert(not page(segment):match 'status="404"')
    equal(bundle:clear(), 1)
    assert(not page(segment):match 'host="a"')

    -- The same members again, others, and in the place of the first.
    local same = assert(segment:bundle(definition { "host", "status" }))
    equal(same:update({ "c", "200" }, 1), true)
    local other, conflict = segment:bundle(definition { "host" })
    equal(other, nil)
    assert(conflict:match "requests", conflict)
    local replaced = assert(segment:bundle(definition({ "host" }, true)))
    equal(replaced:update({ "d" }, 7), true)
    shows 'requests_total{host="d"} 7'
    assert(not page(segment):match 'status=')
    same:update({ "c", "200" }, 1)
    shows('requests_total{host="c",status="200"} 2', 0)

    local plain = assert(segment:bundle { members = { { kind = "counter", name = "plain" }, { kind = "gauge", name = "level" } } })
    equal(plain:update(nil, 4, 5), true)
    shows "plain_total 4"
    equal(plain:remove(), nil)
    equal(plain:clear(), nil)
end

function tests.bundles_that_are_refused()
    local segment = assert(shmetrics.open { name = base .. "-refused", max_size = 2 ^ 20 })
    local counter = { kind = "counter", name = "c" }
    local many = {}
    for i = 1, 65 do many[i] = { kind = "counter", name = "m" .. i } end
    for _, spec in ipairs {
        false, 5, "x", {}, { members = "x" }, { members = {} }, { members = { 5 } }, { members = { {} } }, { members = many },
        { members = { { name = "c" } } }, { members = { { kind = "summary", name = "c" } } }, { members = { { kind = {}, name = "c" } } },
        { members = { counter, counter } }, { members = { { kind = "counter", name = "" } } },
        { members = { { kind = "counter", name = "c", labels = { "a" } } } }, { members = { { kind = "counter", name = "c", max_series = 1 } } },
        { members = { { kind = "histogram", name = "h", buckets = { "x" } } } }, { members = { { kind = "histogram", name = "h", buckets = { 2, 1 } } } },
        { members = { counter }, labels = "a" }, { members = { counter }, labels = { "a", "a" } }, { members = { counter }, labels = { 5 } },
        { members = { counter }, max_series = -1 }, { members = { counter }, expire_after = 0 / 0 },
    } do
        local bundle, err = segment:bundle(spec)
        equal(bundle, nil)
        equal(type(err), "string")
    end
    equal(segment:bundle(nil), nil)
    table.remove(many)
    local most = assert(segment:bundle { members = many, labels = { "a" } })
    equal(most:update({ "x" }, unpack((function() local ones = {} for i = 1, 64 do ones[i] = i end return ones end)())), true)
    assert(page(segment):match 'm64_total{a="x"} 64\n')
end

for _, name in ipairs(names) do
    local done, err = xpcall(tests[name], debug.traceback)
    print((done and "passed " or "FAILED ") .. name .. (done and "" or "\n" .. err))
end
