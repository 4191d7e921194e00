-- One scenario for this module and for nginx-lua-prometheus, whose page is golden.txt. Left out is
-- what docs/lua.md lists as different.
local scenario = {}

function scenario.register(p)
    return {
        plain = p:counter("plain", "A counter without labels, and without _total"),
        requests = p:counter("requests_total", "Requests", { "host", "path", "status" }),
        no_help = p:counter("no_help_total", nil, { "a" }),
        connections = p:gauge("connections", "Connections by state", { "state" }),
        temperature = p:gauge("temperature", "A gauge"),
        gone = p:gauge("gone", "A gauge that is reset", { "a" }),
        latency = p:histogram("latency_seconds", "Latency", { "path" }),
        sizes = p:histogram("sizes", "Sizes", { "kind", "stale" }, { 0.1, 1, 2.5, 100, 75000 }),
        waits = p:histogram("waits", "A histogram without labels", nil, { 1, 2, 3 }),
    }
end

function scenario.run(m)
    m.plain:inc()
    m.plain:inc(4)
    m.plain:inc(0.5)
    m.requests:inc(1, { "example.org", "/", 200 })
    m.requests:inc(2, { "example.org", "/", "200" })
    m.requests:inc(3, { "example.org", 'quotes " and \\ and\nlines', 404 })
    m.requests:inc(1000000, { "", "/\226\130\172", 15.5 })
    m.requests:inc(1, { true, -3, 90000 })
    m.no_help:inc(1, { "b" })
    m.connections:set(3, { "reading" })
    m.connections:set(7.25, { "writing" })
    m.connections:inc(-2, { "writing" })
    m.connections:inc(5, { "waiting" })
    m.connections:set(1, { "removed" })
    m.connections:del({ "removed" })
    m.temperature:set(-5)
    m.gone:set(1, { "x" })
    m.gone:set(2, { "y" })
    m.gone:reset()
    for _, seconds in ipairs { 0, 0.005, 0.25, 0.5, 2, 16 } do m.latency:observe(seconds, { "/slow" }) end
    m.latency:observe(0.125, { "/fast" })
    for _, size in ipairs { 0.0625, 1, 64, 4096, 1048576 } do m.sizes:observe(size, { "body", "false" }) end
    m.waits:observe(2)
    -- Each of these is an error.
    m.plain:inc(-1)
    m.plain:inc(1, { "no labels" })
    m.requests:inc(1)
    m.requests:inc(1, { "too", "few" })
    m.requests:inc(1, { "one", nil, "three" })
    m.connections:set(nil, { "reading" })
    m.latency:observe(nil, { "/slow" })
    m.connections:del({ "too", "many" })
end

function scenario.refused(p)
    p:counter("plain", "A duplicate")
    p:gauge("latency_seconds_count", "A name of the histogram's")
    p:counter("0digit", "No name")
    p:histogram("with_le", "A label of histograms", { "le" })
    p:counter("bad_label", "No name", { "a-b" })
    p:gauge("__ngx_prom__x", "A prefix of nginx-lua-prometheus")
end

return scenario
