--- The interface of nginx-lua-prometheus, over one segment of shared memory.
--
-- Every update is in the segment when the call returns: there is no dictionary, no interval and no
-- timer. Updates never raise an error. What they cannot take is logged, and counted in the error
-- metric.

local shmetrics = require "shmetrics"

local ngx = _G.ngx -- missing outside of nginx
local type, tostring, ipairs = type, tostring, ipairs

-- The defaults of nginx-lua-prometheus, which dashboards and alerts expect.
local ERROR_METRIC = "nginx_metric_errors_total"
local ERROR_HELP = "Number of nginx-lua-prometheus errors"
local BUCKETS = { 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 10 }
local RESERVED = "__ngx_prom__"

-- In these phases a request may wait, and others have their turn.
local CAN_WAIT = { rewrite = true, access = true, content = true, timer = true }
-- In these, nginx can send what was printed before the phase ends.
local CAN_FLUSH = { rewrite = true, access = true, content = true }

local function can(phases)
    return ngx ~= nil and phases[ngx.get_phase()] == true
end

local Prometheus = {}
Prometheus.__index = Prometheus

--- The methods of metrics. Each is that of the family, whose errors are logged.
local function method(name)
    return function(self, value, labels)
        local family = self.family
        if family == nil then return end
        local done, err = family[name](family, value, labels)
        if done == nil then self.parent:log_error(err) end
    end
end

local function del(self, labels)
    if self.family == nil then return end
    local done, err = self.family:remove(labels)
    if done == nil then self.parent:log_error(err) end
end

local function reset(self)
    if self.family == nil then return end
    local removed, err = self.family:clear()
    if removed == nil then self.parent:log_error(err) end
end

local METRICS = {
    counter = { inc = method "inc", del = del, reset = reset },
    gauge = { inc = method "inc", set = method "set", del = del, reset = reset },
    histogram = { observe = method "observe", del = del, reset = reset },
}
for _, class in pairs(METRICS) do class.__index = class end

--- What is wrong with these names, or nil.
local function refused_names(name, labels)
    if type(name) ~= "string" or not name:match "^[a-zA-Z_:][a-zA-Z0-9_:]*$" then
        return ("Metric name '%s' is invalid"):format(tostring(name))
    end
    if name:sub(1, #RESERVED) == RESERVED then return ("Prefix '%s' is reserved for internal purposes"):format(RESERVED) end
    if labels ~= nil and type(labels) ~= "table" then return ("The label names of %s are no table"):format(name) end
    for _, label in ipairs(labels or {}) do
        if label == "le" then return ("Invalid label name 'le' in %s"):format(name) end
        if type(label) ~= "string" or not label:match "^[a-zA-Z_][a-zA-Z0-9_]*$" then
            return ("Metric '%s' label name '%s' is invalid"):format(name, tostring(label))
        end
    end
end

--- Whether a metric of this object has the name, or a sample of this name.
local function is_taken(registry, kind, name)
    if registry[name] then return true end
    if kind == "histogram" then
        return registry[name .. "_bucket"] or registry[name .. "_count"] or registry[name .. "_sum"]
    end
    local base = name:match "^(.*)_bucket$" or name:match "^(.*)_count$" or name:match "^(.*)_sum$"
    return base and registry[base] and registry[base].kind == "histogram"
end

local function register(self, kind, name, help, labels, buckets, expire_after)
    if not self.initialized then
        if ngx then ngx.log(ngx.ERR, "Prometheus module has not been initialized") end
        return
    end
    local err = refused_names(name, labels)
    if not err and is_taken(self.registry, kind, name) then err = "Duplicate metric " .. name end
    if err then
        self:log_error(err)
        return
    end
    local family
    if self.segment then
        family, err = self.segment[kind](self.segment, {
            name = self.prefix .. name,
            help = help ~= nil and tostring(help) or nil,
            labels = labels,
            buckets = buckets,
            expire_after = expire_after,
            exact_name = kind == "counter",
            replace = true, -- after a reload the new definition prevails
        })
        if err then self:log_error(err) end
    end
    local metric = setmetatable({ kind = kind, name = name, family = family, parent = self }, METRICS[kind])
    self.registry[name] = metric
    return metric
end

--- Registers a counter. After `expire_after` seconds without an update, a label set leaves the
-- page. A metric that the segment cannot take is logged once, and ignores its updates.
function Prometheus:counter(name, help, labels, expire_after)
    return register(self, "counter", name, help, labels, nil, expire_after)
end

function Prometheus:gauge(name, help, labels, expire_after)
    return register(self, "gauge", name, help, labels, nil, expire_after)
end

function Prometheus:histogram(name, help, labels, buckets, expire_after)
    return register(self, "histogram", name, help, labels, buckets or BUCKETS, expire_after)
end

--- Opens the segment of this name, in any phase. The second argument is a prefix for all names, or
-- options: prefix, error_metric_name, log, and those of shmetrics.open. If the segment cannot be
-- opened, that is logged, metrics ignore their updates, and the page is an error.
function Prometheus.init(name, options_or_prefix)
    local options = type(options_or_prefix) == "table" and options_or_prefix or { prefix = options_or_prefix }
    local self = setmetatable({
        initialized = true,
        prefix = "",
        error_metric_name = ERROR_METRIC,
        sync_interval = options.sync_interval or 1, -- not used
        log = type(options.log) == "function" and options.log or nil,
        registry = {},
    }, Prometheus)
    for _, field in ipairs { "prefix", "error_metric_name" } do
        local value = options[field]
        if type(value) == "string" then
            self[field] = value
        elseif value then
            self:log_error(("The option %s is not a string"):format(field))
        end
    end
    local settings = { name = options.segment or name or os.getenv "SHMETRICS_SEGMENT" or "prometheus_metrics" }
    for _, field in ipairs { "max_size", "mode", "group", "owner", "trust" } do settings[field] = options[field] end
    self.segment, self.fault = shmetrics.open(settings)
    if self.fault then self:log_error(self.fault) end
    self.errors = self:counter(self.error_metric_name, ERROR_HELP)
    if self.errors and self.errors.family then self.errors.family:inc(0) end -- on the page at once
    return self
end

--- Does nothing: there is no timer to start.
function Prometheus.init_worker() end

--- Logs an error and counts it.
function Prometheus:log_error(...)
    if self.log then
        self.log(table.concat { ... })
    elseif ngx then
        ngx.log(ngx.ERR, ...)
    end
    local errors = self.errors
    if errors and errors.family then errors.family:inc(1) end
end

local function log_warning(self)
    local warning = self.segment:next_warning()
    if warning == nil then return end
    if self.log then
        self.log(warning)
    elseif ngx then
        ngx.log(ngx.WARN, warning)
    end
end

--- The page, or nil after the fault was logged.
local function begin_page(self)
    if not self.initialized then
        if ngx then ngx.log(ngx.ERR, "Prometheus module has not been initialized") end
        return nil, "Prometheus module has not been initialized"
    end
    local page, err
    if self.segment then
        log_warning(self)
        page, err = self.segment:page()
    else
        err = self.fault
    end
    if page == nil then self:log_error(err) end
    return page, err
end

--- The page as a list of lines. With a function `write`, as Kong has it, pieces of the page go
-- there, and nothing is returned. Without a segment, which is logged, there are no lines.
function Prometheus:metric_data(write)
    local page = begin_page(self)
    local pieces, lines = {}, {}
    if page == nil then return write == nil and lines or nil end
    local wait = can(CAN_WAIT)
    local is_first = true
    for piece in page do
        if wait and not is_first then ngx.sleep(0) end
        is_first = false
        if write then write(piece) else pieces[#pieces + 1] = piece end
    end
    if write then return end
    for line in table.concat(pieces):gmatch "[^\n]*\n" do lines[#lines + 1] = line end
    return lines
end

--- Answers the request with the page, piece by piece: other requests have their turn in between.
-- Without a segment the answer is 503 and the reason.
function Prometheus:collect()
    local page, err = begin_page(self)
    if page == nil then
        ngx.status = 503
        ngx.header.content_type = "text/plain"
        ngx.print(err, "\n")
        return
    end
    ngx.header.content_type = shmetrics.content_type
    local flush = can(CAN_FLUSH)
    local is_first = true
    for piece in page do
        if flush and not is_first then
            if not ngx.flush(true) then return end -- the client has gone
            ngx.sleep(0)
        end
        ngx.print(piece)
        is_first = false
    end
end

return Prometheus
