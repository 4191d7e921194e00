/* The connections of this nginx, as stub_status shows them, under the names of shmetrics_names. */
#include "ngx_shmetrics.h"

#include <nginx.h>

#define TEXT NGX_SHMETRICS_TEXT

enum {
    OWN_STATES,
    OWN_ACCEPTED,
    OWN_HANDLED,
    EXPORTER_UP,
    EXPORTER_REQUESTS,
    EXPORTER_ACCEPTED,
    EXPORTER_HANDLED,
    EXPORTER_ACTIVE,
    EXPORTER_READING,
    EXPORTER_WRITING,
    EXPORTER_WAITING,
    VTS_INFO,
    VTS_START,
    VTS_CONNECTIONS
};

#if (NGX_STAT_STUB)

/* The help texts of a preset are those that its model prints. */
/* clang-format off */
static const ngx_shmetrics_default_t ngx_shmetrics_connections[NGX_SHMETRICS_CONNECTIONS] = {
    {TEXT("nginx_connections"), TEXT("Client connections by their state."), TEXT(""), NGX_SHMETRICS_GAUGE, NGX_SHMETRICS_OWN, {"state"}, 0},
    {TEXT("nginx_connections_accepted"), TEXT("Accepted client connections."), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_SHMETRICS_OWN, {NULL}, 0},
    {TEXT("nginx_connections_handled"), TEXT("Handled client connections."), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_SHMETRICS_OWN, {NULL}, 0},
    {TEXT("nginx_up"), TEXT("Status of the last metric scrape"), TEXT(""), NGX_SHMETRICS_GAUGE, NGX_SHMETRICS_EXPORTER, {NULL}, 0},
    {TEXT("nginx_http_requests_total"), TEXT("Total http requests"), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_SHMETRICS_EXPORTER, {NULL}, 0},
    {TEXT("nginx_connections_accepted"), TEXT("Accepted client connections"), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_SHMETRICS_EXPORTER, {NULL}, 0},
    {TEXT("nginx_connections_handled"), TEXT("Handled client connections"), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_SHMETRICS_EXPORTER, {NULL}, 0},
    {TEXT("nginx_connections_active"), TEXT("Active client connections"), TEXT(""), NGX_SHMETRICS_GAUGE, NGX_SHMETRICS_EXPORTER, {NULL}, 0},
    {TEXT("nginx_connections_reading"), TEXT("Connections where NGINX is reading the request header"), TEXT(""), NGX_SHMETRICS_GAUGE,
     NGX_SHMETRICS_EXPORTER, {NULL}, 0},
    {TEXT("nginx_connections_writing"), TEXT("Connections where NGINX is writing the response back to the client"), TEXT(""),
     NGX_SHMETRICS_GAUGE, NGX_SHMETRICS_EXPORTER, {NULL}, 0},
    {TEXT("nginx_connections_waiting"), TEXT("Idle client connections"), TEXT(""), NGX_SHMETRICS_GAUGE, NGX_SHMETRICS_EXPORTER, {NULL}, 0},
    {TEXT("nginx_vts_info"), TEXT("Nginx info"), TEXT(""), NGX_SHMETRICS_GAUGE, NGX_SHMETRICS_VTS, {"hostname", "module_version", "version"}, 0},
    {TEXT("nginx_vts_start_time_seconds"), TEXT("Nginx start time"), TEXT(""), NGX_SHMETRICS_GAUGE, NGX_SHMETRICS_VTS, {NULL}, 0},
    {TEXT("nginx_vts_main_connections"), TEXT("Nginx connections"), TEXT(""), NGX_SHMETRICS_GAUGE, NGX_SHMETRICS_VTS, {"status"}, 0},
};
/* clang-format on */

ngx_int_t ngx_shmetrics_define_connections(ngx_cycle_t *cycle, ngx_shmetrics_conf_t *conf) {
    ngx_shmetrics_limits_t limits;
    ngx_shmetrics_family_t **family = conf->connections;
    ngx_uint_t i;
    if (conf->connections_place.file.len == 0) return NGX_OK;
    ngx_memzero(&limits, sizeof limits);
    limits.place = conf->connections_place;
    if (ngx_shmetrics_define(cycle->pool, conf, &limits, ngx_shmetrics_connections, NGX_SHMETRICS_CONNECTIONS,
            conf->names, family)
        != NGX_OK)
        return NGX_ERROR;
    for (i = 0; i < NGX_SHMETRICS_CONNECTIONS; i++)
        if (family[i]) family[i]->gauge_mode = SHMETRICS_GAUGE_SHARED;
    if (family[EXPORTER_ACCEPTED]) family[EXPORTER_ACCEPTED]->exact_name = 1;
    if (family[EXPORTER_HANDLED]) family[EXPORTER_HANDLED]->exact_name = 1;
    return NGX_OK;
}

/* The difference to what the segment was told before. */
static ngx_atomic_uint_t ngx_shmetrics_rise(ngx_atomic_t *now, ngx_atomic_t *told) {
    ngx_atomic_uint_t before = *told, after = *now;
    /* Of two workers that find the same difference, one has it. */
    return after > before && ngx_atomic_cmp_set(told, before, after) ? after - before : 0;
}

static void ngx_shmetrics_count_rise(ngx_shmetrics_family_t *family, ngx_atomic_uint_t rise) {
    if (family) shmetrics_counter_add_u64(shmetrics_counter_with(family->handle.counter, NULL, 0), rise);
}

static void ngx_shmetrics_set(ngx_shmetrics_family_t *family, const char *label, double value) {
    shmetrics_str text = ngx_shmetrics_text(label ? label : "");
    if (family) shmetrics_gauge_set(shmetrics_gauge_with(family->handle.gauge, &text, label ? 1 : 0), value);
}

static void ngx_shmetrics_set_info(ngx_shmetrics_family_t *family) {
    shmetrics_str values[3];
    if (family == NULL) return;
    values[0] = ngx_shmetrics_str((ngx_str_t *) &ngx_cycle->hostname);
    values[1] = ngx_shmetrics_text(shmetrics_version());
    values[2] = ngx_shmetrics_text(NGINX_VERSION);
    shmetrics_gauge_set(shmetrics_gauge_with(family->handle.gauge, values, 3), 1);
}

void ngx_shmetrics_update_connections(void) {
    static const struct {
        const char *state;
        ngx_uint_t exporter;
    } states[] = {
        {"active", EXPORTER_ACTIVE},
        {"reading", EXPORTER_READING},
        {"writing", EXPORTER_WRITING},
        {"waiting", EXPORTER_WAITING},
    };
    ngx_shmetrics_conf_t *conf = ngx_shmetrics_get_conf((ngx_cycle_t *) ngx_cycle);
    ngx_shmetrics_family_t **family;
    ngx_shmetrics_told_t *told;
    ngx_atomic_uint_t rise;
    ngx_uint_t i;
    double now[4];

    if (conf == NULL || conf->segment == NULL || conf->connections_place.file.len == 0) return;
    family = conf->connections;
    told = conf->told->data;
    now[0] = (double) (ngx_atomic_int_t) *ngx_stat_active;
    now[1] = (double) (ngx_atomic_int_t) *ngx_stat_reading;
    now[2] = (double) (ngx_atomic_int_t) *ngx_stat_writing;
    now[3] = (double) (ngx_atomic_int_t) *ngx_stat_waiting;
    for (i = 0; i < 4; i++) {
        ngx_shmetrics_set(family[OWN_STATES], states[i].state, now[i]);
        ngx_shmetrics_set(family[states[i].exporter], NULL, now[i]);
        ngx_shmetrics_set(family[VTS_CONNECTIONS], states[i].state, now[i]);
    }
    rise = ngx_shmetrics_rise(ngx_stat_accepted, &told->accepted);
    ngx_shmetrics_count_rise(family[OWN_ACCEPTED], rise);
    ngx_shmetrics_count_rise(family[EXPORTER_ACCEPTED], rise);
    rise = ngx_shmetrics_rise(ngx_stat_handled, &told->handled);
    ngx_shmetrics_count_rise(family[OWN_HANDLED], rise);
    ngx_shmetrics_count_rise(family[EXPORTER_HANDLED], rise);
    ngx_shmetrics_count_rise(family[EXPORTER_REQUESTS], ngx_shmetrics_rise(ngx_stat_requests, &told->requests));
    ngx_shmetrics_set(family[EXPORTER_UP], NULL, 1);
    ngx_shmetrics_set(family[VTS_CONNECTIONS], "accepted", (double) *ngx_stat_accepted);
    ngx_shmetrics_set(family[VTS_CONNECTIONS], "handled", (double) *ngx_stat_handled);
    ngx_shmetrics_set(family[VTS_CONNECTIONS], "requests", (double) *ngx_stat_requests);
    ngx_shmetrics_set(family[VTS_START], NULL, (double) told->started_at / 1000);
    ngx_shmetrics_set_info(family[VTS_INFO]);
}

#else

ngx_int_t ngx_shmetrics_define_connections(ngx_cycle_t *cycle, ngx_shmetrics_conf_t *conf) {
    (void) cycle;
    (void) conf;
    return NGX_OK;
}

void ngx_shmetrics_update_connections(void) {}

#endif
