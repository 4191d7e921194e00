/* Families: their definition, their registration, and updates through handles that are kept. */
#include "ngx_shmetrics.h"

static ngx_shmetrics_family_t *ngx_shmetrics_define_one(ngx_pool_t *pool, ngx_shmetrics_conf_t *conf,
    const ngx_shmetrics_limits_t *limits, const ngx_shmetrics_default_t *from) {
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

ngx_int_t ngx_shmetrics_join(ngx_pool_t *pool, ngx_shmetrics_family_t *first, ngx_shmetrics_family_t *family) {
    ngx_shmetrics_bundle_t *bundle = first->bundle;
    if (bundle == NULL) {
        if ((bundle = ngx_pcalloc(pool, sizeof *bundle)) == NULL) return NGX_ERROR;
        bundle->first = bundle->last = first;
        first->bundle = bundle;
    }
    if (bundle->last->member + 1 == SHMETRICS_MAX_MEMBERS) return NGX_OK;
    family->bundle = bundle;
    family->member = bundle->last->member + 1;
    bundle->last->next = family;
    bundle->last = family;
    return NGX_OK;
}

ngx_int_t ngx_shmetrics_define(ngx_pool_t *pool, ngx_shmetrics_conf_t *conf, const ngx_shmetrics_limits_t *limits,
    const ngx_shmetrics_default_t *from, ngx_uint_t count, ngx_uint_t groups, ngx_shmetrics_family_t **families) {
    ngx_uint_t i, k;
    for (i = 0; i < count; i++) {
        if ((from[i].group & groups) == 0) continue;
        families[i] = ngx_shmetrics_define_one(pool, conf, limits, &from[i]);
        if (families[i] == NULL) return NGX_ERROR;
        for (k = 0; from[i].bundle && k < i; k++) {
            if (families[k] == NULL || from[k].bundle != from[i].bundle) continue;
            if (ngx_shmetrics_join(pool, families[k], families[i]) != NGX_OK) return NGX_ERROR;
            break;
        }
    }
    return NGX_OK;
}

/* Without what belongs to label sets, which a bundle has for its members. */
static void ngx_shmetrics_describe(const ngx_shmetrics_family_t *family, shmetrics_family_spec *spec) {
    ngx_memzero(spec, sizeof *spec);
    spec->struct_size = sizeof *spec;
    spec->name = ngx_shmetrics_str(&family->name);
    spec->help = ngx_shmetrics_str(&family->help);
    spec->unit = ngx_shmetrics_str(&family->unit);
    spec->exact_name = family->exact_name;
    if (family->type != NGX_SHMETRICS_HISTOGRAM) return;
    if (family->buckets) {
        spec->buckets = family->buckets->elts;
        spec->bucket_count = family->buckets->nelts;
    }
    spec->native_factor = family->native;
}

shmetrics_status ngx_shmetrics_register(shmetrics_segment *segment, ngx_shmetrics_family_t *family, int keep) {
    ngx_shmetrics_family_t other = *family;
    ngx_shmetrics_family_t *to = keep ? family : &other;
    shmetrics_status status;
    shmetrics_family_spec spec;

    ngx_shmetrics_describe(family, &spec);
    spec.label_names = family->labels;
    spec.label_count = family->nlabels;
    spec.max_series = family->max_series;
    spec.replace = true;
    switch (family->type) {
    case NGX_SHMETRICS_COUNTER: status = shmetrics_counter_register(segment, &spec, &to->handle.counter); break;
    case NGX_SHMETRICS_GAUGE:
        status = shmetrics_gauge_register(segment, &spec, (uint32_t) family->gauge_mode, &to->handle.gauge);
        break;
    default: status = shmetrics_histogram_register(segment, &spec, &to->handle.histogram); break;
    }
    return status;
}

shmetrics_status ngx_shmetrics_register_bundle(shmetrics_segment *segment, ngx_shmetrics_bundle_t *bundle) {
    static shmetrics_family_spec specs[SHMETRICS_MAX_MEMBERS]; /* more than a stack should have */
    static const shmetrics_kind kinds[] = {SHMETRICS_KIND_COUNTER, SHMETRICS_KIND_HISTOGRAM, SHMETRICS_KIND_GAUGE};
    shmetrics_member members[SHMETRICS_MAX_MEMBERS];
    shmetrics_bundle_spec spec;
    ngx_shmetrics_family_t *family;

    ngx_memzero(&spec, sizeof spec);
    spec.struct_size = sizeof spec;
    spec.label_names = bundle->first->labels;
    spec.label_count = bundle->first->nlabels;
    spec.max_series = bundle->first->max_series;
    spec.replace = true;
    spec.members = members;
    for (family = bundle->first; family; family = family->next) {
        ngx_shmetrics_describe(family, &specs[spec.member_count]);
        members[spec.member_count].kind = (uint32_t) kinds[family->type];
        members[spec.member_count].mode = family->type == NGX_SHMETRICS_GAUGE ? (uint32_t) family->gauge_mode : 0;
        members[spec.member_count].family = &specs[spec.member_count];
        spec.member_count++;
    }
    return shmetrics_bundle_register(segment, &spec, &bundle->handle);
}

int ngx_shmetrics_is_kept(const ngx_shmetrics_bundle_t *bundle, shmetrics_entry *entry, const shmetrics_str *values,
    ngx_uint_t count) {
    if (entry->p0 && !shmetrics_entry_is_removed(*entry)) return 1;
    *entry = shmetrics_bundle_with(bundle->handle, values, count);
    return 0;
}

void ngx_shmetrics_add(ngx_shmetrics_family_t *family, shmetrics_counter *counter, const shmetrics_str *values,
    ngx_uint_t count, off_t n) {
    if (counter->p0 == NULL || shmetrics_counter_is_removed(*counter))
        *counter = shmetrics_counter_with(family->handle.counter, values, count);
    shmetrics_counter_add_u64(*counter, (uint64_t) ngx_max(n, 0));
}

/* `family` are those of the received and the sent bytes. */
void ngx_shmetrics_keep_bytes(ngx_shmetrics_family_t **family, shmetrics_entry *entry, const shmetrics_str *values,
    ngx_uint_t count, shmetrics_counter *received, shmetrics_counter *sent) {
    if (family[0]->bundle == NULL) {
        ngx_shmetrics_add(family[0], received, values, count, 0);
        ngx_shmetrics_add(family[1], sent, values, count, 0);
    } else if (!ngx_shmetrics_is_kept(family[0]->bundle, entry, values, count)) {
        *received = shmetrics_entry_counter(*entry, family[0]->member);
        *sent = shmetrics_entry_counter(*entry, family[1]->member);
    }
}

void ngx_shmetrics_keep_histogram(ngx_shmetrics_family_t *family, shmetrics_histogram *histogram,
    const shmetrics_str *values, ngx_uint_t count) {
    if (histogram->p0 == NULL || shmetrics_histogram_is_removed(*histogram))
        *histogram = shmetrics_histogram_with(family->handle.histogram, values, count);
}

void ngx_shmetrics_observe(ngx_shmetrics_family_t *family, shmetrics_histogram *histogram, const shmetrics_str *values,
    ngx_uint_t count, ngx_msec_t ms) {
    ngx_shmetrics_keep_histogram(family, histogram, values, count);
    shmetrics_histogram_observe(*histogram, (double) ms / 1000);
}

/* The clock may have been set back. */
ngx_msec_t ngx_shmetrics_since(time_t sec, ngx_msec_t msec) {
    ngx_time_t *now = ngx_timeofday();
    ngx_msec_int_t ms = (ngx_msec_int_t) (now->sec - sec) * 1000 + (ngx_msec_int_t) now->msec - (ngx_msec_int_t) msec;
    return (ngx_msec_t) ngx_max(ms, 0);
}

static int ngx_shmetrics_is_peer(const ngx_shmetrics_peer_t *peer, const shmetrics_str *values) {
    return peer->upstream_len == values[0].len && peer->peer_len == values[1].len
        && ngx_memcmp(peer->upstream, values[0].data, values[0].len) == 0
        && ngx_memcmp(peer->peer, values[1].data, values[1].len) == 0;
}

/* What is known of a peer; `passing`, emptied, if it is not to be remembered. */
static ngx_shmetrics_peer_t *ngx_shmetrics_find_peer(ngx_shmetrics_upstreams_t *upstreams, const shmetrics_str *values,
    ngx_shmetrics_peer_t *passing) {
    ngx_shmetrics_peer_t *peer = passing;
    ngx_uint_t at, i;
    if (upstreams->peers == NULL) upstreams->peers = ngx_pcalloc(upstreams->pool, NGX_SHMETRICS_PEERS * sizeof *peer);
    if (upstreams->peers && values[0].len <= sizeof peer->upstream && values[1].len <= sizeof peer->peer) {
        at = ngx_murmur_hash2((u_char *) values[1].data, values[1].len);
        for (i = 0; i < NGX_SHMETRICS_TRIES; i++) {
            peer = &upstreams->peers[(at + i) & (NGX_SHMETRICS_PEERS - 1)];
            if (ngx_shmetrics_is_peer(peer, values)) return peer;
            if (peer->peer_len == 0) break;
        }
        /* One of these makes room if all are taken, each in its turn. */
        if (i == NGX_SHMETRICS_TRIES)
            peer = &upstreams->peers[(at + upstreams->turn++ % NGX_SHMETRICS_TRIES) & (NGX_SHMETRICS_PEERS - 1)];
    }
    ngx_memzero(peer, sizeof *peer);
    if (peer == passing) return peer;
    peer->upstream_len = values[0].len;
    peer->peer_len = values[1].len;
    ngx_memcpy(peer->upstream, values[0].data, values[0].len);
    ngx_memcpy(peer->peer, values[1].data, values[1].len);
    return peer;
}

static shmetrics_counter *ngx_shmetrics_find_status(ngx_shmetrics_peer_t *peer, ngx_uint_t status) {
    ngx_uint_t i;
    for (i = 0; i < NGX_SHMETRICS_STATUSES && peer->requests[i].p0; i++)
        if (peer->statuses[i] == status) return &peer->requests[i];
    if (i == NGX_SHMETRICS_STATUSES) i = peer->turn++ % NGX_SHMETRICS_STATUSES;
    ngx_memzero(&peer->requests[i], sizeof peer->requests[i]);
    peer->statuses[i] = status;
    return &peer->requests[i];
}

void ngx_shmetrics_count_attempt(ngx_shmetrics_upstreams_t *upstreams, const ngx_shmetrics_attempt_t *attempt) {
    ngx_shmetrics_family_t **family = upstreams->families, **duration = &family[NGX_SHMETRICS_U_CONNECT];
    ngx_shmetrics_peer_t passing, *peer = ngx_shmetrics_find_peer(upstreams, attempt->values, &passing);
    ngx_uint_t i;
    ngx_shmetrics_add(family[NGX_SHMETRICS_U_REQUESTS], ngx_shmetrics_find_status(peer, attempt->status),
        attempt->values, 3, 1);
    ngx_shmetrics_keep_bytes(&family[NGX_SHMETRICS_U_RECEIVED], &peer->entries[0], attempt->values, 2, &peer->received,
        &peer->sent);
    shmetrics_counter_add_u64(peer->received, (uint64_t) ngx_max(attempt->received, 0));
    shmetrics_counter_add_u64(peer->sent, (uint64_t) ngx_max(attempt->sent, 0));
    if (duration[0]->bundle && !ngx_shmetrics_is_kept(duration[0]->bundle, &peer->entries[1], attempt->values, 2))
        for (i = 0; i < 3; i++) peer->durations[i] = shmetrics_entry_histogram(peer->entries[1], duration[i]->member);
    for (i = 0; i < 3; i++) {
        if (attempt->durations[i] == (ngx_msec_t) -1) continue;
        if (duration[i]->bundle == NULL)
            ngx_shmetrics_keep_histogram(duration[i], &peer->durations[i], attempt->values, 2);
        shmetrics_histogram_observe(peer->durations[i], (double) attempt->durations[i] / 1000);
    }
}
