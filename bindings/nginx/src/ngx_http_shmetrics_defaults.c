/* The families that nginx has without further configuration. */
#include "ngx_http_shmetrics.h"

#define TEXT         NGX_SHMETRICS_TEXT
#define STATUS_ZERO  500
#define STATUS_OTHER 501

/* In the order of NGX_HTTP_SHMETRICS_F_... */
/* clang-format off */
static const ngx_shmetrics_default_t ngx_http_shmetrics_defaults[] = {
    {TEXT("nginx_http_upstream_requests"), TEXT("Attempts to have a request answered by an upstream peer."), TEXT(""), NGX_SHMETRICS_COUNTER,
     NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "peer", "status"}, 0},
    {TEXT("nginx_http_upstream_retries"), TEXT("Attempts that followed another one for the same request."), TEXT(""), NGX_SHMETRICS_COUNTER,
     NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream"}, 0},
    {TEXT("nginx_http_upstream_connect_duration_seconds"), TEXT("Time to connect to the peer."), TEXT("seconds"), NGX_SHMETRICS_HISTOGRAM,
     NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "peer"}, 2},
    {TEXT("nginx_http_upstream_header_duration_seconds"), TEXT("Time to the response header of the peer."), TEXT("seconds"),
     NGX_SHMETRICS_HISTOGRAM, NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "peer"}, 2},
    {TEXT("nginx_http_upstream_response_duration_seconds"), TEXT("Time to the end of the response of the peer."), TEXT("seconds"),
     NGX_SHMETRICS_HISTOGRAM, NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "peer"}, 2},
    {TEXT("nginx_http_upstream_received_bytes"), TEXT("Bytes from the peer."), TEXT("bytes"), NGX_SHMETRICS_COUNTER,
     NGX_HTTP_SHMETRICS_UPSTREAM, {"upstream", "peer"}, 3},
    {TEXT("nginx_http_upstream_sent_bytes"), TEXT("Bytes to the peer."), TEXT("bytes"), NGX_SHMETRICS_COUNTER, NGX_HTTP_SHMETRICS_UPSTREAM,
     {"upstream", "peer"}, 3},
    {TEXT("nginx_http_requests_in_progress"), TEXT("Requests that have reached their location and are not answered yet."), TEXT(""),
     NGX_SHMETRICS_GAUGE, NGX_HTTP_SHMETRICS_IN_PROGRESS, {"server"}, 0},
    {TEXT("nginx_http_requests"), TEXT("Client requests."), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_HTTP_SHMETRICS_REQUESTS,
     {"server", "location", "method", "status"}, 0},
    {TEXT("nginx_http_request_duration_seconds"), TEXT("Time from the first byte of a request to the end of the response."), TEXT("seconds"),
     NGX_SHMETRICS_HISTOGRAM, NGX_HTTP_SHMETRICS_DURATION, {"server", "location"}, 0},
    {TEXT("nginx_http_received_bytes"), TEXT("Bytes of requests, headers included."), TEXT("bytes"), NGX_SHMETRICS_COUNTER,
     NGX_HTTP_SHMETRICS_BYTES, {"server", "location"}, 1},
    {TEXT("nginx_http_sent_bytes"), TEXT("Bytes of responses, headers included."), TEXT("bytes"), NGX_SHMETRICS_COUNTER,
     NGX_HTTP_SHMETRICS_BYTES, {"server", "location"}, 1},
    {TEXT("nginx_http_cache_requests"), TEXT("Requests by the status of the cache."), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_HTTP_SHMETRICS_CACHE,
     {"server", "location", "status"}, 0},
    {TEXT("nginx_http_tls_handshakes"), TEXT("TLS handshakes of clients."), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_HTTP_SHMETRICS_TLS,
     {"server", "protocol", "reused"}, 0},
    {TEXT("nginx_http_tls_handshake_failures"), TEXT("TLS handshakes that failed."), TEXT(""), NGX_SHMETRICS_COUNTER,
     NGX_HTTP_SHMETRICS_TLS, {"server"}, 0},
    {TEXT("nginx_http_limit_req_requests"), TEXT("Requests by the outcome of limit_req."), TEXT(""), NGX_SHMETRICS_COUNTER,
     NGX_HTTP_SHMETRICS_LIMITS, {"server", "location", "status"}, 0},
    {TEXT("nginx_http_limit_conn_requests"), TEXT("Requests by the outcome of limit_conn."), TEXT(""), NGX_SHMETRICS_COUNTER,
     NGX_HTTP_SHMETRICS_LIMITS, {"server", "location", "status"}, 0},
};
/* clang-format on */

/* Method `1 << n` is at n - 1. */
static const char *const ngx_http_shmetrics_methods[NGX_HTTP_SHMETRICS_METHODS] = {"GET", "HEAD", "POST", "PUT",
    "DELETE", "MKCOL", "COPY", "MOVE", "OPTIONS", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE",
    "CONNECT", "other"};

ngx_int_t ngx_http_shmetrics_define_defaults(ngx_conf_t *cf, ngx_http_shmetrics_main_conf_t *conf) {
    if (ngx_shmetrics_define_customs(cf, &conf->customs, &conf->limits) != NGX_OK) return NGX_ERROR;
    if (conf->groups & NGX_HTTP_SHMETRICS_CONNECTIONS) conf->core->connections_place = conf->limits.place;
    if ((conf->core->names & NGX_SHMETRICS_VTS) && ngx_http_shmetrics_define_vts(cf, conf) != NGX_OK) return NGX_ERROR;
    if ((conf->core->names & NGX_SHMETRICS_OWN) == 0) conf->groups = 0;
    return ngx_shmetrics_define(cf->pool, conf->core, &conf->limits, ngx_http_shmetrics_defaults,
        NGX_HTTP_SHMETRICS_F_COUNT, conf->groups, conf->families);
}

static void ngx_http_shmetrics_end(void *data) { shmetrics_gauge_dec(*(shmetrics_gauge *) data); }

/* Of attempts that a redirection ended, such as `error_page 502 = @other`: nginx keeps their peers,
 * but not their upstream. */
typedef struct {
    ngx_uint_t states; /* so many of the request's are of this upstream, or of earlier ones */
    shmetrics_str name;
} ngx_http_shmetrics_round_t;

static void ngx_http_shmetrics_end_round(void *data) {
    (void) data; /* its place in the list of the pool is all that it is for */
}

static shmetrics_str ngx_http_shmetrics_upstream_name(const ngx_http_upstream_t *u) {
    if (u && u->upstream) return ngx_shmetrics_str(&u->upstream->host);
    if (u && u->resolved) return ngx_shmetrics_str(&u->resolved->host);
    return ngx_shmetrics_text("");
}

static void ngx_http_shmetrics_note_round(ngx_http_request_t *r) {
    ngx_http_shmetrics_round_t *round;
    ngx_pool_cleanup_t *cleanup;
    for (cleanup = r->pool->cleanup; cleanup; cleanup = cleanup->next) {
        if (cleanup->handler != ngx_http_shmetrics_end_round) continue;
        round = cleanup->data; /* the latest */
        if (round->states == r->upstream_states->nelts) return;
        break;
    }
    cleanup = ngx_pool_cleanup_add(r->pool, sizeof *round);
    if (cleanup == NULL) return;
    round = cleanup->data;
    round->states = r->upstream_states->nelts;
    round->name = ngx_http_shmetrics_upstream_name(r->upstream);
    cleanup->handler = ngx_http_shmetrics_end_round;
}

/* The upstream of the attempt of this number. */
static shmetrics_str ngx_http_shmetrics_find_round(const ngx_http_request_t *r, ngx_uint_t attempt) {
    shmetrics_str name = ngx_http_shmetrics_upstream_name(r->upstream);
    const ngx_pool_cleanup_t *cleanup;
    for (cleanup = r->pool->cleanup; cleanup; cleanup = cleanup->next) { /* the latest is the first */
        const ngx_http_shmetrics_round_t *round = cleanup->data;
        if (cleanup->handler != ngx_http_shmetrics_end_round) continue;
        if (round->states <= attempt) break;
        name = round->name;
    }
    return name;
}

/* The request's pool ends with the request, whatever becomes of it. */
ngx_int_t ngx_http_shmetrics_begin(ngx_http_request_t *r) {
    ngx_http_shmetrics_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_shmetrics_module);
    ngx_http_shmetrics_srv_conf_t *server = ngx_http_get_module_srv_conf(r, ngx_http_shmetrics_module);
    ngx_http_shmetrics_loc_conf_t *location = ngx_http_get_module_loc_conf(r, ngx_http_shmetrics_module);
    ngx_pool_cleanup_t *cleanup;

    if (r != r->main || main->core->segment == NULL) return NGX_DECLINED;
    if (r->upstream && r->upstream_states && r->upstream_states->nelts) ngx_http_shmetrics_note_round(r);
    for (cleanup = r->pool->cleanup; cleanup; cleanup = cleanup->next)
        if (cleanup->handler == ngx_http_shmetrics_end) return NGX_DECLINED; /* it was redirected */
    if (!location->enabled || (location->groups & NGX_HTTP_SHMETRICS_IN_PROGRESS) == 0) return NGX_DECLINED;
    cleanup = ngx_pool_cleanup_add(r->pool, sizeof(shmetrics_gauge));
    if (cleanup == NULL) return NGX_DECLINED;
    if (!server->known || shmetrics_gauge_is_removed(server->in_progress)) {
        shmetrics_str name = ngx_shmetrics_str(&server->name);
        server->in_progress =
            shmetrics_gauge_with(main->families[NGX_HTTP_SHMETRICS_F_IN_PROGRESS]->handle.gauge, &name, 1);
        server->known = 1;
    }
    *(shmetrics_gauge *) cleanup->data = server->in_progress;
    cleanup->handler = ngx_http_shmetrics_end;
    shmetrics_gauge_inc(server->in_progress);
    return NGX_DECLINED;
}

static ngx_uint_t ngx_http_shmetrics_status_place(ngx_uint_t status) {
    if (status >= 100 && status <= 599) return status - 100;
    return status == 0 ? STATUS_ZERO : STATUS_OTHER;
}

static shmetrics_str ngx_http_shmetrics_status_text(ngx_uint_t place, ngx_flag_t by_class, char *buffer) {
    shmetrics_str text = {buffer, 3};
    if (place == STATUS_OTHER || (place == STATUS_ZERO && by_class)) return ngx_shmetrics_text("other");
    if (place == STATUS_ZERO) return ngx_shmetrics_text("000");
    buffer[0] = (char) ('1' + place / 100);
    buffer[1] = (char) (by_class ? 'x' : '0' + place / 10 % 10);
    buffer[2] = (char) (by_class ? 'x' : '0' + place % 10);
    return text;
}

/* As $status has it. */
static ngx_uint_t ngx_http_shmetrics_request_status(ngx_http_request_t *r) {
    if (r->err_status) return r->err_status;
    if (r->headers_out.status) return r->headers_out.status;
    return r->http_version == NGX_HTTP_VERSION_9 ? 9 : 0;
}

static void ngx_http_shmetrics_count_request(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main,
    ngx_http_shmetrics_loc_conf_t *location, shmetrics_str *values) {
    ngx_uint_t bit = r->method, method = NGX_HTTP_SHMETRICS_METHODS - 1, status;
    shmetrics_counter_family family = main->families[NGX_HTTP_SHMETRICS_F_REQUESTS]->handle.counter;
    shmetrics_counter *counter, passing;
    char buffer[3];

    if (bit >= NGX_HTTP_GET && bit < NGX_HTTP_GET << (NGX_HTTP_SHMETRICS_METHODS - 1) && (bit & (bit - 1)) == 0)
        for (method = 0; bit != NGX_HTTP_GET; bit >>= 1) method++;
    status = ngx_http_shmetrics_status_place(ngx_http_shmetrics_request_status(r));
    if (location->requests[method] == NULL)
        location->requests[method] = ngx_pcalloc(main->pool, NGX_HTTP_SHMETRICS_STATUSES * sizeof(shmetrics_counter));
    counter = location->requests[method] ? &location->requests[method][status] : &passing;
    if (counter == &passing || counter->p0 == NULL || shmetrics_counter_is_removed(*counter)) {
        values[2] = ngx_shmetrics_text(ngx_http_shmetrics_methods[method]);
        values[3] = ngx_http_shmetrics_status_text(status, main->by_class, buffer);
        *counter = shmetrics_counter_with(family, values, 4);
    }
    shmetrics_counter_inc(*counter);
}

static void ngx_http_shmetrics_count_location(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main,
    ngx_http_shmetrics_loc_conf_t *location, ngx_uint_t groups, const shmetrics_str *values,
    const ngx_shmetrics_exemplar_t *exemplar) {
    if (groups & NGX_HTTP_SHMETRICS_DURATION) {
        double seconds = (double) ngx_shmetrics_since(r->start_sec, r->start_msec) / 1000;
        ngx_shmetrics_keep_histogram(main->families[NGX_HTTP_SHMETRICS_F_DURATION], &location->duration, values, 2);
        if (exemplar->count) {
            shmetrics_histogram_observe_with_exemplar(location->duration, seconds, exemplar->labels, exemplar->count);
        } else {
            shmetrics_histogram_observe(location->duration, seconds);
        }
    }
    if (groups & NGX_HTTP_SHMETRICS_BYTES) {
        ngx_shmetrics_keep_bytes(&main->families[NGX_HTTP_SHMETRICS_F_RECEIVED], &location->entry, values, 2,
            &location->received, &location->sent);
        shmetrics_counter_add_u64(location->received, (uint64_t) ngx_max(r->request_length, 0));
        shmetrics_counter_add_u64(location->sent, (uint64_t) ngx_max(r->connection->sent, 0));
    }
}

static void ngx_http_shmetrics_count_retries(ngx_http_shmetrics_main_conf_t *main, const shmetrics_str *upstream,
    off_t retries) {
    shmetrics_counter passing;
    if (retries == 0) return;
    ngx_memzero(&passing, sizeof passing);
    ngx_shmetrics_add(main->upstreams.families[NGX_SHMETRICS_U_RETRIES], &passing, upstream, 1, retries);
}

static void ngx_http_shmetrics_count_upstream(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main) {
    ngx_http_upstream_state_t *state = r->upstream_states->elts;
    ngx_shmetrics_attempt_t attempt;
    off_t retries = 0;
    ngx_uint_t i, again = 0;
    char buffer[3];

    attempt.values[0] = ngx_http_shmetrics_find_round(r, 0);
    for (i = 0; i < r->upstream_states->nelts; i++) {
        if (state[i].peer == NULL) { /* a redirection lies between two rounds of attempts */
            ngx_http_shmetrics_count_retries(main, attempt.values, retries);
            attempt.values[0] = ngx_http_shmetrics_find_round(r, i);
            retries = 0;
            again = 0;
            continue;
        }
        retries += again;
        again = 1;
        attempt.values[1] = ngx_shmetrics_str(state[i].peer);
        attempt.status = ngx_http_shmetrics_status_place(state[i].status);
        attempt.values[2] = ngx_http_shmetrics_status_text(attempt.status, main->by_class, buffer);
        attempt.durations[0] = state[i].connect_time;
        attempt.durations[1] = state[i].header_time;
        attempt.durations[2] = state[i].response_time;
        attempt.received = state[i].bytes_received;
        attempt.sent = state[i].bytes_sent;
        ngx_shmetrics_count_attempt(&main->upstreams, &attempt);
    }
    ngx_http_shmetrics_count_retries(main, attempt.values, retries);
}

/* `handles` are by status; the status 0 is none. */
static void ngx_http_shmetrics_count_status(ngx_shmetrics_family_t *family, shmetrics_counter *handles,
    const char *const *names, ngx_uint_t status, shmetrics_str *values) {
    if (status == 0) return;
    values[2] = ngx_shmetrics_text(names[status]);
    ngx_shmetrics_add(family, &handles[status], values, 3, 1);
}

void ngx_http_shmetrics_count_defaults(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main,
    ngx_http_shmetrics_loc_conf_t *location, const ngx_shmetrics_exemplar_t *exemplar) {
    static const char *const limit_req[NGX_HTTP_SHMETRICS_LIMIT_REQ] = {"", "passed", "delayed", "rejected",
        "delayed_dry_run", "rejected_dry_run"};
    static const char *const limit_conn[NGX_HTTP_SHMETRICS_LIMIT_CONN] = {"", "passed", "rejected", "rejected_dry_run"};
    ngx_http_shmetrics_srv_conf_t *server = ngx_http_get_module_srv_conf(r, ngx_http_shmetrics_module);
    ngx_shmetrics_family_t **family = main->families;
    ngx_uint_t groups = location->groups & main->groups;
    shmetrics_str values[4];
    values[0] = ngx_shmetrics_str(&server->name);
    values[1] = ngx_shmetrics_str(&location->name);
    if (groups & NGX_HTTP_SHMETRICS_REQUESTS) ngx_http_shmetrics_count_request(r, main, location, values);
    ngx_http_shmetrics_count_location(r, main, location, groups, values, exemplar);
    if ((groups & NGX_HTTP_SHMETRICS_UPSTREAM) && r->upstream_states && r->upstream_states->nelts)
        ngx_http_shmetrics_count_upstream(r, main);
#if (NGX_HTTP_CACHE)
    if ((groups & NGX_HTTP_SHMETRICS_CACHE) && r->upstream
        && r->upstream->cache_status < NGX_HTTP_SHMETRICS_CACHE_STATUSES) {
        static const char *const cache[NGX_HTTP_SHMETRICS_CACHE_STATUSES] = {"", "miss", "bypass", "expired", "stale",
            "updating", "revalidated", "hit", "scarce"};
        ngx_http_shmetrics_count_status(family[NGX_HTTP_SHMETRICS_F_CACHE], location->cache, cache,
            r->upstream->cache_status, values);
    }
#endif
    if ((groups & NGX_HTTP_SHMETRICS_LIMITS) == 0) return;
    if (r->limit_req_status < NGX_HTTP_SHMETRICS_LIMIT_REQ)
        ngx_http_shmetrics_count_status(family[NGX_HTTP_SHMETRICS_F_LIMIT_REQ], location->limit_req, limit_req,
            r->limit_req_status, values);
    ngx_http_shmetrics_count_status(family[NGX_HTTP_SHMETRICS_F_LIMIT_CONN], location->limit_conn, limit_conn,
        r->limit_conn_status, values);
}
