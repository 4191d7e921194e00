/* The metrics of nginx-module-vts under its names, for existing dashboards. */
#include "ngx_http_shmetrics.h"

#define TEXT     NGX_SHMETRICS_TEXT
#define CLASSES  5
#define STATUSES (NGX_HTTP_SHMETRICS_CACHE_STATUSES - 1)
#define ZONES    64 /* a power of 2: those that a worker remembers the series of */
#define TRIES    4
#define TIMES    64 /* that an average is of */
#define PERIOD   60000

enum {
    BYTES,
    REQUESTS,
    SECONDS,
    AVERAGE,
    CACHE,
    DURATION,
    RESPONSE_SECONDS,
    RESPONSE_AVERAGE,
    RESPONSE_DURATION,
    USAGE,
    KINDS_OF_FAMILIES
};

enum { SERVER, UPSTREAM, CACHE_ZONE, KINDS };

/* As those that the model prints. A family that a zone does not have has no name. The durations of
 * servers are in no bundle, as the sum of all servers has none. The model has
 * `x_seconds` and `x_seconds_total`: in OpenMetrics a counter of the latter name would be a second
 * family `x_seconds`. So the latter are gauges here; their values are the same. */
/* clang-format off */
static const ngx_shmetrics_default_t ngx_http_shmetrics_vts[KINDS][KINDS_OF_FAMILIES] = {
    {
        {TEXT("nginx_vts_server_bytes"), TEXT("The request/response bytes"), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_HTTP_SHMETRICS_BYTES,
         {"host", "direction"}, 0},
        {TEXT("nginx_vts_server_requests"), TEXT("The requests counter"), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_HTTP_SHMETRICS_REQUESTS,
         {"host", "code"}, 0},
        {TEXT("nginx_vts_server_request_seconds_total"), TEXT("The request processing time in seconds"), TEXT(""), NGX_SHMETRICS_GAUGE,
         NGX_HTTP_SHMETRICS_DURATION, {"host"}, 1},
        {TEXT("nginx_vts_server_request_seconds"), TEXT("The average of request processing times in seconds"), TEXT(""), NGX_SHMETRICS_GAUGE,
         NGX_HTTP_SHMETRICS_DURATION, {"host"}, 1},
        {TEXT("nginx_vts_server_cache"), TEXT("The requests cache counter"), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_HTTP_SHMETRICS_CACHE,
         {"host", "status"}, 0},
        {TEXT("nginx_vts_server_request_duration_seconds"), TEXT("The histogram of request processing time"), TEXT(""),
         NGX_SHMETRICS_HISTOGRAM, NGX_HTTP_SHMETRICS_DURATION, {"host"}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
    },
    {
        {TEXT("nginx_vts_upstream_bytes"), TEXT("The request/response bytes"), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_HTTP_SHMETRICS_UPSTREAM,
         {"upstream", "backend", "direction"}, 0},
        {TEXT("nginx_vts_upstream_requests"), TEXT("The upstream requests counter"), TEXT(""), NGX_SHMETRICS_COUNTER,
         NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "backend", "code"}, 0},
        {TEXT("nginx_vts_upstream_request_seconds_total"), TEXT("The request Processing time including upstream in seconds"), TEXT(""),
         NGX_SHMETRICS_GAUGE, NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "backend"}, 1},
        {TEXT("nginx_vts_upstream_request_seconds"), TEXT("The average of request processing times including upstream in seconds"), TEXT(""),
         NGX_SHMETRICS_GAUGE, NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "backend"}, 1},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT("nginx_vts_upstream_request_duration_seconds"), TEXT("The histogram of request processing time including upstream"), TEXT(""),
         NGX_SHMETRICS_HISTOGRAM, NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "backend"}, 2},
        {TEXT("nginx_vts_upstream_response_seconds_total"), TEXT("The only upstream response processing time in seconds"), TEXT(""),
         NGX_SHMETRICS_GAUGE, NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "backend"}, 1},
        {TEXT("nginx_vts_upstream_response_seconds"), TEXT("The average of only upstream response processing times in seconds"), TEXT(""),
         NGX_SHMETRICS_GAUGE, NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "backend"}, 1},
        {TEXT("nginx_vts_upstream_response_duration_seconds"), TEXT("The histogram of only upstream response processing time"), TEXT(""),
         NGX_SHMETRICS_HISTOGRAM, NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "backend"}, 2},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
    },
    {
        {TEXT("nginx_vts_cache_bytes"), TEXT("The cache zones request/response bytes"), TEXT(""), NGX_SHMETRICS_COUNTER,
         NGX_HTTP_SHMETRICS_CACHE, {"cache_zone", "direction"}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT("nginx_vts_cache_requests"), TEXT("The cache requests counter"), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_HTTP_SHMETRICS_CACHE,
         {"cache_zone", "status"}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT(""), TEXT(""), TEXT(""), NGX_SHMETRICS_GAUGE, 0, {NULL}, 0},
        {TEXT("nginx_vts_cache_usage_bytes"), TEXT("THe cache zones info"), TEXT(""), NGX_SHMETRICS_GAUGE, NGX_HTTP_SHMETRICS_CACHE,
         {"cache_zone", "cache_size"}, 0},
    },
};
/* clang-format on */

/* The last times, and their sum without those that are too old. */
typedef struct {
    ngx_msec_t at[TIMES];
    ngx_msec_t ms[TIMES];
    ngx_msec_t sum;
    ngx_uint_t first;
    ngx_uint_t count;
    shmetrics_gauge gauge;
} ngx_http_shmetrics_average_t;

/* The series of a server, a peer or a cache, in this worker. */
typedef struct {
    ngx_uint_t kind;
    ngx_uint_t made;   /* the groups whose series are there */
    u_char texts[176]; /* both, one behind the other */
    size_t lengths[2];
    shmetrics_counter bytes[2];
    shmetrics_counter requests[CLASSES];
    shmetrics_counter cache[STATUSES];
    shmetrics_entry entries[2]; /* of the bundles of gauges and of histograms of times */
    shmetrics_gauge seconds[2];
    shmetrics_histogram durations[2];
    shmetrics_gauge usage[2];
    ngx_http_shmetrics_average_t averages[2];
} ngx_http_shmetrics_zone_t;

struct ngx_http_shmetrics_vts_s {
    ngx_shmetrics_family_t *families[KINDS][KINDS_OF_FAMILIES]; /* NULL: off */
    ngx_http_shmetrics_zone_t *zones;
    ngx_uint_t turn;
};

ngx_int_t ngx_http_shmetrics_define_vts(ngx_conf_t *cf, ngx_http_shmetrics_main_conf_t *conf) {
    ngx_uint_t i, k, j;
    conf->vts = ngx_pcalloc(cf->pool, sizeof *conf->vts);
    if (conf->vts == NULL) return NGX_ERROR;
    for (i = 0; i < KINDS; i++) {
        for (k = 0; k < KINDS_OF_FAMILIES; k++) {
            const ngx_shmetrics_default_t *from = &ngx_http_shmetrics_vts[i][k];
            ngx_shmetrics_family_t **to = &conf->vts->families[i][k];
            /* The model has no histograms either, unless bounds are given. */
            if (from->type == NGX_SHMETRICS_HISTOGRAM && !conf->limits.buckets_set) continue;
            if (ngx_shmetrics_define(cf->pool, conf->core, &conf->limits, from, 1, conf->groups, to) != NGX_OK)
                return NGX_ERROR;
            if (*to == NULL) continue;
            (*to)->gauge_mode = SHMETRICS_GAUGE_SHARED;
            for (j = 0; from->bundle && j < k; j++) {
                if (ngx_http_shmetrics_vts[i][j].bundle != from->bundle) continue;
                if (ngx_shmetrics_join(cf->pool, conf->vts->families[i][j], *to) != NGX_OK) return NGX_ERROR;
                break;
            }
        }
    }
    return NGX_OK;
}

/* What a request, or an attempt of it, adds to a zone. */
typedef struct {
    ngx_uint_t status;
    ngx_uint_t cache;
    off_t bytes[2];
    ngx_msec_t times[2];
    unsigned attempt : 1; /* that another one followed: only its status and its response time count */
} ngx_http_shmetrics_amount_t;

static const char *const ngx_http_shmetrics_directions[2] = {"in", "out"};
static const char *const ngx_http_shmetrics_classes[CLASSES] = {"1xx", "2xx", "3xx", "4xx", "5xx"};

static void ngx_http_shmetrics_keep_gauge(ngx_shmetrics_family_t *family, shmetrics_gauge *gauge,
    const shmetrics_str *values, ngx_uint_t count) {
    if (gauge->p0 == NULL || shmetrics_gauge_is_removed(*gauge))
        *gauge = shmetrics_gauge_with(family->handle.gauge, values, count);
}

static void ngx_http_shmetrics_add_average(ngx_http_shmetrics_average_t *average, ngx_msec_t ms) {
    ngx_uint_t last;
    while (average->count && (average->count == TIMES || ngx_current_msec - average->at[average->first] >= PERIOD)) {
        average->sum -= average->ms[average->first];
        average->first = (average->first + 1) % TIMES;
        average->count--;
    }
    last = (average->first + average->count++) % TIMES;
    average->at[last] = ngx_current_msec;
    average->ms[last] = ms;
    average->sum += ms;
    shmetrics_gauge_set(average->gauge, (double) (average->sum / average->count) / 1000);
}

static void ngx_http_shmetrics_take_times(ngx_shmetrics_family_t **family, ngx_http_shmetrics_zone_t *zone) {
    static const ngx_uint_t places[2][3] = {{SECONDS, AVERAGE, DURATION},
        {RESPONSE_SECONDS, RESPONSE_AVERAGE, RESPONSE_DURATION}};
    ngx_uint_t i;
    for (i = 0; i < 2; i++) {
        const ngx_shmetrics_family_t *seconds = family[places[i][0]], *average = family[places[i][1]],
                                     *duration = family[places[i][2]];
        if (seconds) zone->seconds[i] = shmetrics_entry_gauge(zone->entries[0], seconds->member);
        if (average) zone->averages[i].gauge = shmetrics_entry_gauge(zone->entries[0], average->member);
        if (duration && duration->bundle)
            zone->durations[i] = shmetrics_entry_histogram(zone->entries[1], duration->member);
    }
}

/* The series are on the page in any case. */
static void ngx_http_shmetrics_add_times(ngx_shmetrics_family_t **family, ngx_http_shmetrics_zone_t *zone,
    const shmetrics_str *values, ngx_uint_t count, ngx_uint_t response, ngx_uint_t known, ngx_msec_t ms) {
    ngx_shmetrics_family_t *seconds = family[response ? RESPONSE_SECONDS : SECONDS],
                           *average = family[response ? RESPONSE_AVERAGE : AVERAGE];
    ngx_shmetrics_family_t *duration = family[response ? RESPONSE_DURATION : DURATION];
    const ngx_shmetrics_bundle_t *bundle = seconds ? seconds->bundle : NULL;
    if (bundle && !ngx_shmetrics_is_kept(bundle, &zone->entries[0], values, count))
        ngx_http_shmetrics_take_times(family, zone);
    if (seconds) {
        if (bundle == NULL) ngx_http_shmetrics_keep_gauge(seconds, &zone->seconds[response], values, count);
        if (known) shmetrics_gauge_add(zone->seconds[response], (double) ms / 1000);
    }
    if (average) {
        if (bundle == NULL) ngx_http_shmetrics_keep_gauge(average, &zone->averages[response].gauge, values, count);
        if (known) ngx_http_shmetrics_add_average(&zone->averages[response], ms);
    }
    if (duration) {
        if (duration->bundle == NULL) {
            ngx_shmetrics_keep_histogram(duration, &zone->durations[response], values, count);
        } else if (!ngx_shmetrics_is_kept(duration->bundle, &zone->entries[1], values, count)) {
            ngx_http_shmetrics_take_times(family, zone);
        }
        if (known) shmetrics_histogram_observe(zone->durations[response], (double) ms / 1000);
    }
}

/* The counter of one label; the others of a new zone are made too, to be on the page. */
static void ngx_http_shmetrics_add_labelled(ngx_shmetrics_family_t *family, shmetrics_counter *counters,
    shmetrics_str *values, ngx_uint_t count, const char *const *labels, ngx_uint_t labels_count, ngx_uint_t made,
    ngx_uint_t at, off_t n) {
    ngx_uint_t i;
    if (family == NULL) return;
    for (i = made ? at : 0; i < labels_count; i++) {
        values[count] = ngx_shmetrics_text(labels[i]);
        ngx_shmetrics_add(family, &counters[i], values, count + 1, i == at ? n : 0);
        if (made) break;
    }
}

static int ngx_http_shmetrics_is_zone(const ngx_http_shmetrics_zone_t *zone, ngx_uint_t kind,
    const shmetrics_str *values, size_t second) {
    return zone->kind == kind && zone->lengths[0] == values[0].len && zone->lengths[1] == second
        && ngx_memcmp(zone->texts, values[0].data, values[0].len) == 0
        && ngx_memcmp(zone->texts + values[0].len, values[1].data, second) == 0;
}

/* NULL: there is no memory. */
static ngx_http_shmetrics_zone_t *ngx_http_shmetrics_find_zone(ngx_http_shmetrics_main_conf_t *main, ngx_uint_t kind,
    const shmetrics_str *values) {
    ngx_http_shmetrics_vts_t *vts = main->vts;
    ngx_http_shmetrics_zone_t *zone;
    size_t second = kind == UPSTREAM ? values[1].len : 0;
    uintptr_t at = ((uintptr_t) values[second ? 1 : 0].data >> 3) + kind;
    ngx_uint_t i;
    if (vts->zones == NULL) vts->zones = ngx_pcalloc(main->pool, ZONES * sizeof *zone);
    if (vts->zones == NULL) return NULL;
    for (i = 0; i < TRIES; i++) {
        zone = &vts->zones[(at + i) & (ZONES - 1)];
        if (ngx_http_shmetrics_is_zone(zone, kind, values, second)) return zone;
        if (zone->lengths[0] == 0) break;
    }
    /* One of these makes room if all are taken, each in its turn. */
    zone = &vts->zones[(at + (i < TRIES ? i : vts->turn++ % TRIES)) & (ZONES - 1)];
    ngx_memzero(zone, sizeof *zone);
    if (values[0].len + second > sizeof zone->texts) return zone; /* it is not found again */
    zone->kind = kind;
    zone->lengths[0] = values[0].len;
    zone->lengths[1] = second;
    ngx_memcpy(zone->texts, values[0].data, values[0].len);
    ngx_memcpy(zone->texts + values[0].len, values[1].data, second);
    return zone;
}

/* `values` has room for one more label. */
static ngx_http_shmetrics_zone_t *ngx_http_shmetrics_count_zone(ngx_http_shmetrics_main_conf_t *main, ngx_uint_t groups,
    ngx_uint_t kind, shmetrics_str *values, const ngx_http_shmetrics_amount_t *amount) {
    static const char *const statuses[STATUSES] = {"miss", "bypass", "expired", "stale", "updating", "revalidated",
        "hit", "scarce"};
    ngx_http_shmetrics_zone_t *zone = ngx_http_shmetrics_find_zone(main, kind, values);
    ngx_shmetrics_family_t *family[KINDS_OF_FAMILIES];
    ngx_uint_t i, count = kind == UPSTREAM ? 2 : 1;
    if (zone == NULL) return NULL;
    for (i = 0; i < KINDS_OF_FAMILIES; i++)
        family[i] = ngx_http_shmetrics_vts[kind][i].group & groups ? main->vts->families[kind][i] : NULL;
    if (values[0].len == 1 && values[0].data[0] == '*') family[DURATION] = NULL;
    /* An attempt without a status has no class, but it makes its peer known. */
    i = amount->status < 200 ? 0 : amount->status < 300 ? 1 : amount->status < 400 ? 2 : amount->status < 500 ? 3 : 4;
    if (amount->attempt && (amount->status < 100 || amount->status >= 600)) i = CLASSES;
    ngx_http_shmetrics_add_labelled(family[REQUESTS], zone->requests, values, count, ngx_http_shmetrics_classes,
        CLASSES, zone->made & ngx_http_shmetrics_vts[kind][REQUESTS].group, i, 1);
    for (i = 0; i < 2; i++)
        ngx_http_shmetrics_add_labelled(family[BYTES], zone->bytes, values, count, ngx_http_shmetrics_directions, 2,
            zone->made & ngx_http_shmetrics_vts[kind][BYTES].group, i, amount->attempt ? 0 : amount->bytes[i]);
    i = amount->cache ? amount->cache - 1 : STATUSES;
    ngx_http_shmetrics_add_labelled(family[CACHE], zone->cache, values, count, statuses, STATUSES,
        zone->made & ngx_http_shmetrics_vts[kind][CACHE].group, i, 1);
    zone->made |= groups;
    ngx_http_shmetrics_add_times(family, zone, values, count, 0, !amount->attempt, amount->times[0]);
    if (kind == UPSTREAM) ngx_http_shmetrics_add_times(family, zone, values, count, 1, 1, amount->times[1]);
    return zone;
}

/* Of the round of attempts that the request ended in, each with its own peer. */
static void ngx_http_shmetrics_count_peers(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main,
    ngx_uint_t groups, const ngx_http_shmetrics_amount_t *request) {
    ngx_http_upstream_state_t *state = r->upstream_states->elts;
    ngx_http_upstream_srv_conf_t *upstream = r->upstream->upstream;
    ngx_uint_t i, first = 0;
    shmetrics_str values[3];

    values[0] = ngx_shmetrics_text("::nogroups");
    if (upstream && upstream->port == 0) values[0] = ngx_shmetrics_str(&upstream->host); /* of an upstream block */
    for (i = 0; i < r->upstream_states->nelts; i++)
        if (state[i].peer == NULL) first = i + 1;
    for (i = first; i < r->upstream_states->nelts; i++) {
        ngx_http_shmetrics_amount_t amount = *request;
        amount.attempt = i + 1 < r->upstream_states->nelts;
        if (amount.attempt) amount.status = state[i].status;
        amount.times[1] =
            state[i].status == 0 || state[i].response_time == (ngx_msec_t) -1 ? 0 : state[i].response_time;
        values[1] = ngx_shmetrics_str(state[i].peer);
        (void) ngx_http_shmetrics_count_zone(main, groups, UPSTREAM, values, &amount);
    }
}

#if (NGX_HTTP_CACHE)
static void ngx_http_shmetrics_count_cache_zone(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main,
    ngx_uint_t groups, const ngx_http_shmetrics_amount_t *amount) {
    static const char *const sizes[2] = {"max", "used"};
    ngx_http_file_cache_t *cache = r->cache->file_cache;
    ngx_shmetrics_family_t *family = main->vts->families[CACHE_ZONE][USAGE];
    ngx_http_shmetrics_zone_t *zone;
    shmetrics_str values[3];
    off_t size[2];
    ngx_uint_t i;

    ngx_memzero(values, sizeof values);
    values[0] = ngx_shmetrics_str(&cache->shm_zone->shm.name);
    zone = ngx_http_shmetrics_count_zone(main, groups, CACHE_ZONE, values, amount);
    if (zone == NULL || family == NULL) return;
    size[1] = cache->sh->size * (off_t) cache->bsize;
    size[0] = cache->max_size * (off_t) cache->bsize;
    for (i = 0; i < 2; i++) {
        values[1] = ngx_shmetrics_text(sizes[i]);
        ngx_http_shmetrics_keep_gauge(family, &zone->usage[i], values, 2);
        shmetrics_gauge_set(zone->usage[i], (double) size[i]);
    }
}
#endif

void ngx_http_shmetrics_count_vts(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main, ngx_uint_t groups) {
    ngx_http_core_srv_conf_t *server = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    ngx_http_shmetrics_amount_t amount;
    shmetrics_str values[3];

    ngx_memzero(values, sizeof values);
    ngx_memzero(&amount, sizeof amount);
    amount.status = r->headers_out.status;
    amount.bytes[0] = r->request_length;
    amount.bytes[1] = r->connection->sent;
    amount.times[0] = ngx_shmetrics_since(r->start_sec, r->start_msec);
#if (NGX_HTTP_CACHE)
    if (r->upstream && r->upstream->cache_status < NGX_HTTP_SHMETRICS_CACHE_STATUSES)
        amount.cache = r->upstream->cache_status;
#endif
    values[0] = server->server_name.len ? ngx_shmetrics_str(&server->server_name) : ngx_shmetrics_text("_");
    (void) ngx_http_shmetrics_count_zone(main, groups, SERVER, values, &amount);
    values[0] = ngx_shmetrics_text("*"); /* all servers */
    (void) ngx_http_shmetrics_count_zone(main, groups, SERVER, values, &amount);
    if ((groups & NGX_HTTP_SHMETRICS_UPSTREAM) && r->upstream && r->upstream->state && r->upstream->state->peer)
        ngx_http_shmetrics_count_peers(r, main, groups, &amount);
#if (NGX_HTTP_CACHE)
    if ((groups & NGX_HTTP_SHMETRICS_CACHE) && amount.cache && r->cache)
        ngx_http_shmetrics_count_cache_zone(r, main, groups, &amount);
#endif
}
