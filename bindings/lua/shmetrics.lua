--- Segments, families and pages for LuaJIT, over libshmetrics by the FFI.
--
-- The module `prometheus` has the interface of nginx-lua-prometheus and stands on this one. No
-- function of this module raises an error, whatever its arguments: a failed call returns nil and
-- a sentence.

local ffi = require "ffi"

-- By its soname: a library that a module of the server has loaded is found again. Before 1.0 each
-- minor release has a soname, so the declarations below fit.
local C = ffi.load "libshmetrics.so.0.1"

ffi.cdef [[
typedef struct { const char *data; size_t len; } shmetrics_str;
typedef struct { shmetrics_str name, value; } shmetrics_label;
typedef struct { const void *p0, *p1; } shmetrics_counter_family;
typedef struct { const void *p0, *p1; } shmetrics_gauge_family;
typedef struct { const void *p0, *p1; } shmetrics_histogram_family;
typedef struct { const void *p0, *p1; } shmetrics_counter;
typedef struct { const void *p0, *p1; } shmetrics_gauge;
typedef struct { const void *p0, *p1, *p2; } shmetrics_histogram;
typedef struct { const void *p0, *p1; } shmetrics_bundle;
typedef struct { const void *p0, *p1, *p2; } shmetrics_entry;
typedef struct shmetrics_segment shmetrics_segment;
typedef struct shmetrics_cursor shmetrics_cursor;
typedef struct {
    size_t struct_size;
    shmetrics_str name, help, unit;
    const shmetrics_str *label_names;
    size_t label_count;
    const double *buckets;
    size_t bucket_count;
    const shmetrics_str *states;
    size_t state_count;
    uint64_t max_series;
    double expire_after_seconds, exemplar_interval_seconds;
    const double *quantiles;
    size_t quantile_count;
    double native_factor, native_zero_threshold;
    uint32_t native_max_buckets;
    bool exact_name, replace;
    double quantile_max_age_seconds;
} shmetrics_family_spec;
typedef struct { uint32_t kind, mode; const shmetrics_family_spec *family; } shmetrics_member;
typedef struct {
    size_t struct_size;
    const shmetrics_str *label_names;
    size_t label_count;
    const shmetrics_member *members;
    size_t member_count;
    uint64_t max_series;
    double expire_after_seconds;
    bool replace;
} shmetrics_bundle_spec;
typedef struct {
    size_t struct_size;
    shmetrics_str name;
    uint32_t open_mode, mode;
    uint64_t max_size, max_series;
    uint32_t max_processes, allow_disk, reset_if_unused, per_cpu;
    const shmetrics_label *labels;
    size_t label_count;
    shmetrics_str group, owner, trust;
    uint32_t bounds, reserved;
    uint64_t revision;
} shmetrics_options;
const char *shmetrics_version(void);
const char *shmetrics_content_type(void);
size_t shmetrics_last_error(char *, size_t);
void shmetrics_options_init_sized(shmetrics_options *, size_t);
int shmetrics_segment_open(const shmetrics_options *, shmetrics_segment **);
size_t shmetrics_segment_next_warning(shmetrics_segment *, char *, size_t);
int shmetrics_segment_cursor(const shmetrics_segment *, shmetrics_cursor **);
size_t shmetrics_cursor_read(shmetrics_cursor *, char *, size_t);
void shmetrics_cursor_free(shmetrics_cursor *);
int shmetrics_counter_register(shmetrics_segment *, const shmetrics_family_spec *, shmetrics_counter_family *);
int shmetrics_gauge_register(shmetrics_segment *, const shmetrics_family_spec *, uint32_t, shmetrics_gauge_family *);
int shmetrics_histogram_register(shmetrics_segment *, const shmetrics_family_spec *, shmetrics_histogram_family *);
bool shmetrics_counter_remove(shmetrics_counter_family, const shmetrics_str *, size_t);
bool shmetrics_gauge_remove(shmetrics_gauge_family, const shmetrics_str *, size_t);
bool shmetrics_histogram_remove(shmetrics_histogram_family, const shmetrics_str *, size_t);
uint64_t shmetrics_counter_clear(shmetrics_counter_family);
uint64_t shmetrics_gauge_clear(shmetrics_gauge_family);
uint64_t shmetrics_histogram_clear(shmetrics_histogram_family);
void shmetrics_counter_with_p(const shmetrics_counter_family *, const shmetrics_str *, size_t, shmetrics_counter *);
void shmetrics_gauge_with_p(const shmetrics_gauge_family *, const shmetrics_str *, size_t, shmetrics_gauge *);
void shmetrics_histogram_with_p(const shmetrics_histogram_family *, const shmetrics_str *, size_t, shmetrics_histogram *);
int shmetrics_bundle_register(shmetrics_segment *, const shmetrics_bundle_spec *, shmetrics_bundle *);
bool shmetrics_bundle_remove(shmetrics_bundle, const shmetrics_str *, size_t);
uint64_t shmetrics_bundle_clear(shmetrics_bundle);
void shmetrics_bundle_with_p(const shmetrics_bundle *, const shmetrics_str *, size_t, shmetrics_entry *);
void shmetrics_entry_add_u64_p(const shmetrics_entry *, size_t, uint64_t);
void shmetrics_entry_add_p(const shmetrics_entry *, size_t, double);
void shmetrics_entry_observe_p(const shmetrics_entry *, size_t, double);
void shmetrics_counter_reset_p(const shmetrics_counter *);
void shmetrics_counter_inc_p(const shmetrics_counter *);
void shmetrics_counter_add_p(const shmetrics_counter *, double);
void shmetrics_gauge_set_p(const shmetrics_gauge *, double);
void shmetrics_gauge_add_p(const shmetrics_gauge *, double);
void shmetrics_histogram_observe_p(const shmetrics_histogram *, double);
]]

local SHARED_GAUGE = 0 -- SHMETRICS_GAUGE_SHARED
local KINDS = { counter = 1, gauge = 2, histogram = 3 } -- SHMETRICS_KIND_...
local MOST_MEMBERS = 64 -- SHMETRICS_MAX_MEMBERS
local SHORT_BOUNDS = 2 -- SHMETRICS_BOUNDS_SHORT
local PIECE = 32768 -- bytes of a page at a time

local huge = math.huge
local type, tostring, tonumber = type, tostring, tonumber
local piece = ffi.new("char[?]", PIECE)

--- The last error of the library, as a sentence.
local function last_error()
    local text = ffi.new("char[1024]")
    C.shmetrics_last_error(text, 1024)
    return ffi.string(text)
end

--- A string for a call. The caller keeps `text` until the call returns.
local function str(text)
    return ffi.new("shmetrics_str", text, #text)
end

local function describe(labels)
    if type(labels) ~= "table" then return tostring(labels) end
    local parts = {}
    for i = 1, #labels do parts[i] = tostring(labels[i]) end
    return "<" .. table.concat(parts, ",") .. ">"
end

-- The texts of small whole numbers, such as status codes.
local small_numbers = {}

local function text(value)
    local found = small_numbers[value]
    if found then return found end
    if type(value) == "number" and value >= 0 and value < 1000 and value % 1 == 0 then
        found = ("%d"):format(value)
        small_numbers[value] = found
        return found
    end
    return tostring(value)
end

-- Writes a table of label values for a call, and looks up their series. A loop over the labels
-- would end a trace, so the code is written for each number of labels. LuaJIT need not make a table
-- whose length nothing asks for. The table, or `kept`, holds the strings during the call.
local WRITER = [[
local C, family, values, handle, kept, type, text, refuse = ...
local function write(labels)
    if $no_table then return refuse(labels) end
    $read
    $write
    return true
end
return write, function(labels)
    local written, err = write(labels)
    if written == nil then return nil, err end
    C.shmetrics_$kind_with_p(family, values, $count, handle)
    return handle
end]]

local READ = [[
    local v$i = labels[$i]
    if v$i == nil then return refuse(labels) end
    if type(v$i) ~= "string" then v$i = text(v$i); kept[$i] = v$i end
]]

local WRITE = "values[$at].data = v$i; values[$at].len = #v$i\n"

local function writer(kind, count, ...)
    local read, write = {}, {}
    for i = 1, count do
        local numbers = { i = i, at = i - 1 }
        read[i] = READ:gsub("%$(%a+)", numbers)
        write[i] = WRITE:gsub("%$(%a+)", numbers)
    end
    local source = WRITER:gsub("%$([%a_]+)", {
        kind_with_p = kind .. "_with_p",
        count = count,
        no_table = (count == 0 and "labels ~= nil and " or "")
            .. '(type(labels) ~= "table" or labels[' .. count + 1 .. "] ~= nil)",
        read = table.concat(read),
        write = table.concat(write),
    })
    return assert(loadstring(source, "=shmetrics: labels"))(...)
end

--- What all families can do.
local Family = {}
Family.__index = Family

-- A metric without labels stays in the segment.
local function set_to_zero(self)
    if self.kind == "histogram" or self.kind == "bundle" then
        return nil, ("%s has no labels, and such a %s cannot be reset"):format(self.name, self.kind)
    end
    local handle = self.find()
    if self.kind == "counter" then C.shmetrics_counter_reset_p(handle) else C.shmetrics_gauge_set_p(handle, 0) end
    return true
end

--- Takes a label set off all pages. True if there was one. A counter or gauge without labels
-- becomes 0.
function Family:remove(labels)
    local written, err = self.write(labels)
    if written == nil then return nil, err end
    if self.label_count == 0 then return set_to_zero(self) end
    return C["shmetrics_" .. self.kind .. "_remove"](self.family[0], self.values, self.label_count)
end

--- Takes all label sets off all pages, and returns how many. A counter or gauge without labels
-- becomes 0.
function Family:clear()
    if self.label_count == 0 then
        local done, err = set_to_zero(self)
        return done and 1, err
    end
    return tonumber(C["shmetrics_" .. self.kind .. "_clear"](self.family[0]))
end

local function no_number(self, value)
    return nil, ("the value of %s is not a number that it can take: %s"):format(self.name, tostring(value))
end

local Counter = setmetatable({}, Family)
Counter.__index = Counter

--- Adds `value`, by default 1, to the counter with these label values.
function Counter:inc(value, labels)
    if value == nil then value = 1 end
    if type(value) ~= "number" then
        local number = tonumber(value)
        if number == nil then return no_number(self, value) end
        value = number
    end
    if not (value >= 0 and value < huge) then return no_number(self, value) end
    local handle, err = self.find(labels)
    if handle == nil then return nil, err end
    if value == 1 then
        C.shmetrics_counter_inc_p(handle)
    else
        C.shmetrics_counter_add_p(handle, value)
    end
    return true
end

local Gauge = setmetatable({}, Family)
Gauge.__index = Gauge

--- Adds `value`, by default 1, which may be negative.
function Gauge:inc(value, labels)
    if value == nil then value = 1 end
    local number = tonumber(value)
    if number == nil then return no_number(self, value) end
    local handle, err = self.find(labels)
    if handle == nil then return nil, err end
    C.shmetrics_gauge_add_p(handle, number)
    return true
end

function Gauge:set(value, labels)
    local number = tonumber(value)
    if number == nil then return no_number(self, value) end
    local handle, err = self.find(labels)
    if handle == nil then return nil, err end
    C.shmetrics_gauge_set_p(handle, number)
    return true
end

local Histogram = setmetatable({}, Family)
Histogram.__index = Histogram

function Histogram:observe(value, labels)
    local number = tonumber(value)
    if number == nil or number ~= number then return no_number(self, value) end
    local handle, err = self.find(labels)
    if handle == nil then return nil, err end
    C.shmetrics_histogram_observe_p(handle, number)
    return true
end

local CLASSES = { counter = Counter, gauge = Gauge, histogram = Histogram }

local Segment = {}
Segment.__index = Segment

--- Whether `value` is a list of `wanted` ("string" or "number"), and its length.
local function list(value, wanted)
    if value == nil then return true, 0 end
    if type(value) ~= "table" then return false end
    for i = 1, #value do
        if type(value[i]) ~= wanted then return false end
    end
    return true, #value
end

--- Label names for a call, and how many. The caller keeps `labels`.
local function label_names(labels, name)
    local are_names, count = list(labels, "string")
    if not are_names then return nil, ("the labels of %s are not a list of strings"):format(name) end
    local names = ffi.new("shmetrics_str[?]", count)
    for i = 1, count do names[i - 1] = str(labels[i]) end
    return names, count
end

--- The sentence for a number of label sets or seconds that the library cannot take, or nil.
local function refused_limits(spec, name)
    for _, field in ipairs { "max_series", "expire_after" } do
        local value = spec[field]
        if value ~= nil and not (type(value) == "number" and value >= 0 and value < 2 ^ 53) then
            return ("the %s of %s is not a number that it can take"):format(field, name)
        end
    end
end

--- The definition of a family for the library, and the buckets that it points to. The caller keeps
-- both, and `spec`.
local function definition(spec)
    if type(spec) ~= "table" or type(spec.name) ~= "string" then return nil, "a family has a name, which is a string" end
    local name = spec.name
    for _, field in ipairs { "help", "unit" } do
        if spec[field] ~= nil and type(spec[field]) ~= "string" then return nil, ("the %s of %s is not a string"):format(field, name) end
    end
    local are_bounds, bucket_count = list(spec.buckets, "number")
    if not are_bounds then return nil, ("the buckets of %s are not a list of numbers"):format(name) end
    local buckets = ffi.new("double[?]", bucket_count)
    for i = 1, bucket_count do buckets[i - 1] = spec.buckets[i] end
    local c = ffi.new("shmetrics_family_spec[1]")
    c[0].struct_size = ffi.sizeof("shmetrics_family_spec")
    c[0].name = str(name)
    if spec.help then c[0].help = str(spec.help) end
    if spec.unit then c[0].unit = str(spec.unit) end
    if bucket_count > 0 then c[0].buckets, c[0].bucket_count = buckets, bucket_count end
    c[0].exact_name = spec.exact_name and true or false
    return c, buckets
end

--- A family or a bundle as users have it. `place` has its handle.
local function object(class, kind, name, place, label_count)
    local self = setmetatable({
        kind = kind,
        name = name,
        family = place,
        label_count = label_count,
        values = ffi.new("shmetrics_str[?]", label_count),
    }, class)
    local function refuse(labels)
        return nil, ("%s takes %d label values, not %s"):format(name, label_count, describe(labels))
    end
    local handle = ffi.new((kind == "bundle" and "shmetrics_entry" or "shmetrics_" .. kind) .. "[1]")
    self.write, self.find = writer(kind, label_count, C, place, self.values, handle, {}, type, text, refuse)
    return self
end

-- Registers a family, or finds it. The fields of `spec`: name, help, unit, labels (a list of
-- names), buckets (a list of bounds), max_series, expire_after (seconds), exact_name, replace.
local function register(segment, kind, spec)
    local c, buckets = definition(spec)
    if c == nil then return nil, buckets end
    local refused = refused_limits(spec, spec.name)
    if refused then return nil, refused end
    local names, label_count = label_names(spec.labels, spec.name)
    if names == nil then return nil, label_count end
    if label_count > 0 then c[0].label_names, c[0].label_count = names, label_count end
    c[0].max_series = spec.max_series or 0
    c[0].expire_after_seconds = spec.expire_after or 0
    c[0].replace = spec.replace and true or false

    local family = ffi.new("shmetrics_" .. kind .. "_family[1]")
    local status
    if kind == "gauge" then
        status = C.shmetrics_gauge_register(segment.segment, c, SHARED_GAUGE, family)
    else
        status = C["shmetrics_" .. kind .. "_register"](segment.segment, c, family)
    end
    if status ~= 0 then return nil, last_error() end
    return object(CLASSES[kind], kind, spec.name, family, label_count)
end

-- The update of a bundle's members. The code is written for the members: a loop over them would end
-- a trace. All values are checked before the first is counted.
local UPDATER = [[
local C, names, no_number, tonumber, huge = ...
return function(self, labels, $parameters)
    $check
    local entry, err = self.find(labels)
    if entry == nil then return nil, err end
    $update
    return true
end]]

local CHECK = [[
    if v$i ~= nil then
        local number = tonumber(v$i)
        if number == nil or not ($fits) then return no_number(names[$i], v$i) end
        v$i = number
    end
]]

local FITS = { counter = "number >= 0 and number < huge", gauge = "true", histogram = "number == number" }

local UPDATE = {
    counter = [[
    if v$i == 1 then
        C.shmetrics_entry_add_u64_p(entry, $at, 1)
    elseif v$i ~= nil then
        C.shmetrics_entry_add_p(entry, $at, v$i)
    end
]],
    gauge = "if v$i ~= nil then C.shmetrics_entry_add_p(entry, $at, v$i) end\n",
    histogram = "if v$i ~= nil then C.shmetrics_entry_observe_p(entry, $at, v$i) end\n",
}

local function updater(members)
    local parameters, check, update, names = {}, {}, {}, {}
    for i = 1, #members do
        local member = members[i]
        local parts = { i = i, at = i - 1, fits = FITS[member.kind] }
        parameters[i] = "v" .. i
        check[i] = CHECK:gsub("%$(%a+)", parts)
        update[i] = UPDATE[member.kind]:gsub("%$(%a+)", parts)
        names[i] = { name = member.name }
    end
    local parts = { parameters = table.concat(parameters, ", "), check = table.concat(check), update = table.concat(update) }
    local source = UPDATER:gsub("%$(%a+)", parts)
    return assert(loadstring(source, "=shmetrics: members"))(C, names, no_number, tonumber, huge)
end

local Bundle = setmetatable({}, Family)
Bundle.__index = Bundle

--- Registers metrics with the same labels, or finds them. One look-up updates all of them.
--
-- The fields of `spec`: labels (a list of names), members (a list of families, each with kind,
-- name, help, unit, buckets, exact_name), max_series, expire_after (seconds), replace. The kind is
-- "counter", "gauge" or "histogram".
--
-- `bundle:update(labels, ...)` takes a value for each member, in their order: what is added to a
-- counter or a gauge, and what a histogram observes. Nil leaves a member as it is. If one value is
-- wrong, none is counted.
function Segment:bundle(spec)
    if type(spec) ~= "table" or type(spec.members) ~= "table" then return nil, "a bundle has members, which are a list of families" end
    local count = #spec.members
    if count == 0 or count > MOST_MEMBERS then
        return nil, ("a bundle has 1 to %d members, not %d"):format(MOST_MEMBERS, count)
    end
    local members = ffi.new("shmetrics_member[?]", count)
    local kept = {} -- what the members point to, until the call returns
    for i = 1, count do
        local member = spec.members[i]
        local c, buckets = definition(member)
        if c == nil then return nil, buckets end
        local kind = KINDS[member.kind]
        if kind == nil then return nil, ("the kind of %s is neither counter nor gauge nor histogram"):format(member.name) end
        for _, field in ipairs { "labels", "max_series", "expire_after", "replace" } do
            if member[field] ~= nil then return nil, ("%s is in a bundle, which has the %s of its members"):format(member.name, field) end
        end
        members[i - 1].kind, members[i - 1].family = kind, c
        kept[i] = { c, buckets }
    end
    local name = "the bundle of " .. spec.members[1].name
    local refused = refused_limits(spec, name)
    if refused then return nil, refused end
    local names, label_count = label_names(spec.labels, name)
    if names == nil then return nil, label_count end
    local c = ffi.new("shmetrics_bundle_spec")
    c.struct_size = ffi.sizeof(c)
    if label_count > 0 then c.label_names, c.label_count = names, label_count end
    c.members, c.member_count = members, count
    c.max_series = spec.max_series or 0
    c.expire_after_seconds = spec.expire_after or 0
    c.replace = spec.replace and true or false
    local bundle = ffi.new("shmetrics_bundle[1]")
    if C.shmetrics_bundle_register(self.segment, c, bundle) ~= 0 then return nil, last_error() end
    local made = object(Bundle, "bundle", name, bundle, label_count)
    made.update = updater(spec.members)
    return made
end

function Segment:counter(spec) return register(self, "counter", spec) end

--- A gauge with one value for all processes.
function Segment:gauge(spec) return register(self, "gauge", spec) end

--- A histogram. Without `buckets` it has Prometheus' default buckets.
function Segment:histogram(spec) return register(self, "histogram", spec) end

--- An iterator over the pieces of a page in the text format 0.0.4. Nil and a sentence if the page
-- cannot be made.
function Segment:page()
    local out = ffi.new("shmetrics_cursor *[1]")
    if C.shmetrics_segment_cursor(self.segment, out) ~= 0 then return nil, last_error() end
    -- A coroutine may be given up between two pieces, so the collector frees the cursor.
    local cursor = ffi.gc(out[0], C.shmetrics_cursor_free)
    return function()
        if cursor == nil then return nil end
        local length = tonumber(C.shmetrics_cursor_read(cursor, piece, PIECE))
        if length > 0 then return ffi.string(piece, length) end
        C.shmetrics_cursor_free(ffi.gc(cursor, nil))
        cursor = nil
    end
end

--- The next warning about the segment for the log, or nil. Each is given once, to one process.
function Segment:next_warning()
    local warning = ffi.new("char[1024]")
    if C.shmetrics_segment_next_warning(self.segment, warning, 1024) > 0 then return ffi.string(warning) end
end

local M = {
    version = ffi.string(C.shmetrics_version()),
    content_type = ffi.string(C.shmetrics_content_type()),
}

local UNITS = { [""] = 1, k = 2 ^ 10, m = 2 ^ 20, g = 2 ^ 30 }

--- The bytes of a number, or of a text such as "64m".
local function bytes(size)
    if type(size) == "number" then return size end
    local digits, unit = tostring(size):lower():match "^(%d+)([kmg]?)$"
    return digits and tonumber(digits) * UNITS[unit]
end

--- Opens a segment, or creates it. Opening it again gives the same segment.
--
-- The fields of `options`, all of which may be missing: name (else $SHMETRICS_SEGMENT, else
-- "default"), max_size (bytes, or a text such as "64m"; else $SHMETRICS_MAX_SIZE, else 64 MiB),
-- mode (a text in octal, such as "0640"), group, owner, trust.
function M.open(options)
    options = options or {}
    if type(options) ~= "table" then return nil, "the options are not a table" end
    local c = ffi.new("shmetrics_options")
    C.shmetrics_options_init_sized(c, ffi.sizeof(c))
    for _, field in ipairs { "name", "group", "owner", "trust" } do
        local value = options[field]
        if value ~= nil then
            if type(value) ~= "string" then return nil, ("the option %s is not a string"):format(field) end
            c[field] = str(value)
        end
    end
    if options.max_size ~= nil then
        local size = bytes(options.max_size)
        if not size or not (size >= 0 and size < 2 ^ 53) then return nil, "the option max_size is neither bytes nor a text such as \"64m\"" end
        c.max_size = size
    end
    if options.mode ~= nil then
        local mode = type(options.mode) == "string" and options.mode:match "^[0-7]+$" and tonumber(options.mode, 8)
        if not mode or mode > 511 then return nil, "the option mode is not a text in octal, such as \"0640\"" end
        c.mode = mode
    end
    c.bounds = SHORT_BOUNDS
    local out = ffi.new("shmetrics_segment *[1]")
    if C.shmetrics_segment_open(c, out) ~= 0 then return nil, last_error() end
    return setmetatable({ segment = out[0] }, Segment)
end

return M
