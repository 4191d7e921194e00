/* Families: their definition, their registration, and updates through handles that are kept. */
#include "ngx_shmetrics.h"

static ngx_shmetrics_family_t *ngx_shmetrics_define_one(ngx_pool_t *pool, ngx_shmetrics_conf_t *conf, const ngx_shmetrics_limits_t *limits,
                                                        const ngx_shmetrics_default_t *from) {
    ngx_shmetrics_family_t *family = ngx_pcalloc(pool, sizeof *family);
    if (family == NULL) return NULL;
    family->name = from->name;
    family->help = from->help;
    family->unit = from->unit;
    family->type = from->type;
    family->gauge_mode = SHMETRICS_GAUGE_LIVESUM;
    family->place = limits->place;
    family->max_series = limits->max_series;
    if (from->type == NGX_SHMETRICS_HISTOGRAM) {
        family->buckets = limits->buckets;
        family->native = limits->native;
    }
    while (family->nlabels < 4 && from->labels[family->nlabels]) {
        family->labels[family->nlabels] = ngx_shmetrics_text(from->labels[family->nlabels]);
        family->nlabels++;
    }
    return ngx_shmetrics_add_family(conf, family) == NGX_OK ? family : NULL;
}

ngx_int_t ngx_shmetrics_define(ngx_pool_t *pool, ngx_shmetrics_conf_t *conf, const ngx_shmetrics_limits_t *limits,
                               const ngx_shmetrics_default_t *from, ngx_uint_t count, ngx_uint_t groups, ngx_shmetrics_family_t **families) {
    ngx_uint_t i;
    for (i = 0; i < count; i++) {
        if ((from[i].group & groups) == 0) continue;
        families[i] = ngx_shmetrics_define_one(pool, conf, limits, &from[i]);
        if (families[i] == NULL) return NGX_ERROR;
    }
    return NGX_OK;
}

shmetrics_status ngx_shmetrics_register(shmetrics_segment *segment, ngx_shmetrics_family_t *family, int keep) {
    ngx_shmetrics_family_t other = *family;
    ngx_shmetrics_family_t *to = keep ? family : &other;
    shmetrics_status status;
    shmetrics_family_spec spec;

    ngx_memzero(&spec, sizeof spec);
    spec.struct_size = sizeof spec;
    spec.name = ngx_shmetrics_str(&family->name);
    spec.help = ngx_shmetrics_str(&family->help);
    spec.unit = ngx_shmetrics_str(&family->unit);
    spec.label_names = family->labels;
    spec.label_count = family->nlabels;
    spec.max_series = family->max_series;
    spec.exact_name = family->exact_name;
    spec.replace = true;
    switch (family->type) {
    case NGX_SHMETRICS_COUNTER:
        status = shmetrics_counter_register(segment, &spec, &to->handle.counter);
        break;
    case NGX_SHMETRICS_GAUGE:
        status = shmetrics_gauge_register(segment, &spec, (uint32_t) family->gauge_mode, &to->handle.gauge);
        break;
    default:
        if (family->buckets) {
            spec.buckets = family->buckets->elts;
            spec.bucket_count = family->buckets->nelts;
        }
        spec.native_factor = family->native;
        status = shmetrics_histogram_register(segment, &spec, &to->handle.histogram);
        break;
    }
    return status;
}

void ngx_shmetrics_add(ngx_shmetrics_family_t *family, shmetrics_counter *counter, const shmetrics_str *values, ngx_uint_t count, off_t n) {
    if (counter->p0 == NULL || shmetrics_counter_is_removed(*counter))
        *counter = shmetrics_counter_with(family->handle.counter, values, count);
    shmetrics_counter_add_u64(*counter, (uint64_t) ngx_max(n, 0));
}

void ngx_shmetrics_keep_histogram(ngx_shmetrics_family_t *family, shmetrics_histogram *histogram, const shmetrics_str *values,
                                  ngx_uint_t count) {
    if (histogram->p0 == NULL || shmetrics_histogram_is_removed(*histogram))
        *histogram = shmetrics_histogram_with(family->handle.histogram, values, count);
}

void ngx_shmetrics_observe(ngx_shmetrics_family_t *family, shmetrics_histogram *histogram, const shmetrics_str *values, ngx_uint_t count,
                           ngx_msec_t ms) {
    ngx_shmetrics_keep_histogram(family, histogram, values, count);
    shmetrics_histogram_observe(*histogram, (double) ms / 1000);
}

/* The clock may have been set back. */
ngx_msec_t ngx_shmetrics_since(time_t sec, ngx_msec_t msec) {
    ngx_time_t *now = ngx_timeofday();
    ngx_msec_int_t ms = (ngx_msec_int_t) (now->sec - sec) * 1000 + (ngx_msec_int_t) now->msec - (ngx_msec_int_t) msec;
    return (ngx_msec_t) ngx_max(ms, 0);
}

/* What is known of a peer; `passing`, emptied, if it is not to be remembered. */
static ngx_shmetrics_peer_t *ngx_shmetrics_find_peer(ngx_shmetrics_upstreams_t *upstreams, const shmetrics_str *values,
                                                     ngx_shmetrics_peer_t *passing) {
    ngx_shmetrics_peer_t *peer = passing;
    if (upstreams->peers == NULL) upstreams->peers = ngx_pcalloc(upstreams->pool, NGX_SHMETRICS_PEERS * sizeof *peer);
    if (upstreams->peers && values[0].len <= sizeof peer->upstream && values[1].len <= sizeof peer->peer) {
        /* Most names keep their place in memory. Others may have it later, so the names are
         * compared. */
        peer = &upstreams->peers[((uintptr_t) values[1].data >> 4) & (NGX_SHMETRICS_PEERS - 1)];
        if (peer->upstream_len == values[0].len && peer->peer_len == values[1].len
            && ngx_memcmp(peer->upstream, values[0].data, values[0].len) == 0 && ngx_memcmp(peer->peer, values[1].data, values[1].len) == 0)
            return peer;
    }
    ngx_memzero(peer, sizeof *peer);
    if (peer == passing) return peer;
    peer->upstream_len = values[0].len;
    peer->peer_len = values[1].len;
    ngx_memcpy(peer->upstream, values[0].data, values[0].len);
    ngx_memcpy(peer->peer, values[1].data, values[1].len);
    return peer;
}

void ngx_shmetrics_count_attempt(ngx_shmetrics_upstreams_t *upstreams, const ngx_shmetrics_attempt_t *attempt) {
    ngx_shmetrics_family_t **family = upstreams->families;
    ngx_shmetrics_peer_t passing, *peer = ngx_shmetrics_find_peer(upstreams, attempt->values, &passing);
    ngx_uint_t i;
    if (peer->status != attempt->status) ngx_memzero(&peer->requests, sizeof peer->requests);
    peer->status = attempt->status;
    ngx_shmetrics_add(family[NGX_SHMETRICS_U_REQUESTS], &peer->requests, attempt->values, 3, 1);
    for (i = 0; i < 3; i++)
        if (attempt->durations[i] != (ngx_msec_t) -1)
            ngx_shmetrics_observe(family[NGX_SHMETRICS_U_CONNECT + i], &peer->durations[i], attempt->values, 2, attempt->durations[i]);
    ngx_shmetrics_add(family[NGX_SHMETRICS_U_RECEIVED], &peer->received, attempt->values, 2, attempt->received);
    ngx_shmetrics_add(family[NGX_SHMETRICS_U_SENT], &peer->sent, attempt->values, 2, attempt->sent);
}
