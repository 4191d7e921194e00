/* The connections of this nginx, as stub_status shows them. */
#include "ngx_shmetrics.h"

static ngx_shmetrics_family_t *ngx_shmetrics_new(ngx_conf_t *cf, const char *name, const char *help, ngx_shmetrics_type_e type,
                                                 ngx_shmetrics_place_t *place) {
    ngx_shmetrics_family_t *family = ngx_pcalloc(cf->pool, sizeof *family);
    if (family == NULL || ngx_shmetrics_add_family(ngx_shmetrics_get_conf(cf->cycle), family) != NGX_OK) return NULL;
    family->name.data = (u_char *) name;
    family->name.len = ngx_strlen(name);
    family->help.data = (u_char *) help;
    family->help.len = ngx_strlen(help);
    family->type = type;
    family->gauge_mode = SHMETRICS_GAUGE_SHARED;
    family->place = *place;
    return family;
}

ngx_int_t ngx_shmetrics_add_connections(ngx_conf_t *cf, ngx_shmetrics_place_t *place) {
#if (NGX_STAT_STUB)
    ngx_shmetrics_conf_t *conf = ngx_shmetrics_get_conf(cf->cycle);
    ngx_shmetrics_family_t *family;
    if (conf->connections) return NGX_OK; /* HTTP and TCP share them */
    family = ngx_shmetrics_new(cf, "nginx_connections", "Client connections by their state.", NGX_SHMETRICS_GAUGE, place);
    if (family == NULL) return NGX_ERROR;
    family->labels[0].data = "state";
    family->labels[0].len = 5;
    family->nlabels = 1;
    conf->connections = family;
    conf->accepted = ngx_shmetrics_new(cf, "nginx_connections_accepted", "Accepted client connections.", NGX_SHMETRICS_COUNTER, place);
    conf->handled = ngx_shmetrics_new(cf, "nginx_connections_handled", "Handled client connections.", NGX_SHMETRICS_COUNTER, place);
    if (conf->accepted == NULL || conf->handled == NULL) return NGX_ERROR;
#else
    (void) cf;
    (void) place;
#endif
    return NGX_OK;
}

#if (NGX_STAT_STUB)
static void ngx_shmetrics_tell_of(ngx_atomic_t *now, ngx_atomic_t *told, ngx_shmetrics_family_t *family) {
    ngx_atomic_uint_t before = *told, after = *now;
    /* Of two workers that find the same difference, one adds it. */
    if (after > before && ngx_atomic_cmp_set(told, before, after))
        shmetrics_counter_add_u64(shmetrics_counter_with(family->handle.counter, NULL, 0), after - before);
}

static void ngx_shmetrics_set_state(ngx_shmetrics_conf_t *conf, const char *state, ngx_atomic_int_t value) {
    shmetrics_str text = {state, ngx_strlen(state)};
    shmetrics_gauge_set(shmetrics_gauge_with(conf->connections->handle.gauge, &text, 1), (double) value);
}
#endif

void ngx_shmetrics_update_connections(void) {
#if (NGX_STAT_STUB)
    ngx_shmetrics_conf_t *conf = ngx_shmetrics_get_conf((ngx_cycle_t *) ngx_cycle);
    ngx_shmetrics_told_t *told;
    if (conf == NULL || conf->segment == NULL || conf->connections == NULL) return;
    told = conf->told->data;
    ngx_shmetrics_tell_of(ngx_stat_accepted, &told->accepted, conf->accepted);
    ngx_shmetrics_tell_of(ngx_stat_handled, &told->handled, conf->handled);
    ngx_shmetrics_set_state(conf, "active", (ngx_atomic_int_t) *ngx_stat_active);
    ngx_shmetrics_set_state(conf, "reading", (ngx_atomic_int_t) *ngx_stat_reading);
    ngx_shmetrics_set_state(conf, "writing", (ngx_atomic_int_t) *ngx_stat_writing);
    ngx_shmetrics_set_state(conf, "waiting", (ngx_atomic_int_t) *ngx_stat_waiting);
#endif
}
