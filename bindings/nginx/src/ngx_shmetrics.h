/* The segment of this nginx, and the families that its modules register in it. */
#ifndef NGX_SHMETRICS_H
#define NGX_SHMETRICS_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <shmetrics.h>

#define NGX_SHMETRICS_MAX_LABELS      32
#define NGX_SHMETRICS_MAX_SERIES      10000
#define NGX_SHMETRICS_EXEMPLAR_LABELS 8

/* Whose names the default metrics have. */
#define NGX_SHMETRICS_OWN      0x01
#define NGX_SHMETRICS_EXPORTER 0x02
#define NGX_SHMETRICS_VTS      0x04

#define NGX_SHMETRICS_CONNECTIONS 14 /* families, of all presets */

typedef enum { NGX_SHMETRICS_COUNTER, NGX_SHMETRICS_HISTOGRAM, NGX_SHMETRICS_GAUGE } ngx_shmetrics_type_e;

typedef struct {
    ngx_str_t file;
    ngx_uint_t line;
} ngx_shmetrics_place_t;

typedef struct ngx_shmetrics_family_s ngx_shmetrics_family_t;

/* Families with the same labels, of which a label set is updated in all or in none: one look-up
 * finds the series of all. Default ones are of one type and one group, so that a reload changes
 * their definitions together, and replaces no other family than it would by itself. */
typedef struct {
    ngx_shmetrics_family_t *first;
    ngx_shmetrics_family_t *last;
    ngx_flag_t custom;
    shmetrics_bundle handle; /* inert until the bundle is registered */
} ngx_shmetrics_bundle_t;

/* A family as the configuration defines it. The handle is inert until it is registered. */
struct ngx_shmetrics_family_s {
    ngx_str_t name;
    ngx_str_t help;
    ngx_str_t unit;
    ngx_shmetrics_type_e type;
    ngx_uint_t gauge_mode;
    shmetrics_str labels[NGX_SHMETRICS_MAX_LABELS];
    ngx_uint_t nlabels;
    ngx_array_t *buckets; /* of double; NULL: the library's default */
    double native;
    ngx_uint_t max_series;
    ngx_flag_t exact_name;
    ngx_shmetrics_place_t place;
    ngx_array_t sets;               /* where a custom metric is updated */
    ngx_shmetrics_bundle_t *bundle; /* NULL: it is registered by itself, and has a handle */
    ngx_uint_t member;              /* its number in the bundle */
    ngx_shmetrics_family_t *next;   /* in the bundle */
    union {
        shmetrics_counter_family counter;
        shmetrics_histogram_family histogram;
        shmetrics_gauge_family gauge;
    } handle;
};

typedef struct {
    ngx_str_t name;
    ngx_str_t owner;
    ngx_str_t group;
    ngx_str_t trust;
    ngx_uint_t mode;
    ngx_uint_t size;
    ngx_array_t labels;   /* of shmetrics_label */
    ngx_array_t families; /* of ngx_shmetrics_family_t * */
    ngx_shmetrics_place_t place;
    ngx_shmetrics_place_t needed; /* the first directive that needs a segment */
    shmetrics_segment *segment;   /* NULL: nothing is counted, because of `fault` */
    u_char fault[512];
    ngx_uint_t minutes;
    ngx_flag_t is_checked;                   /* metrics that are defined later would not be */
    ngx_uint_t names;                        /* of the default metrics */
    ngx_shmetrics_place_t connections_place; /* of what wants the connections */
    ngx_shmetrics_family_t *connections[NGX_SHMETRICS_CONNECTIONS];
    ngx_shm_zone_t *told;
} ngx_shmetrics_conf_t;

/* What is told already: connections to the segment, trouble to the error log.
 * All processes of this nginx share it, also over reloads. */
typedef struct {
    ngx_atomic_t accepted;
    ngx_atomic_t handled;
    ngx_atomic_t logged_at;
    ngx_atomic_t requests;
    ngx_atomic_t started_at; /* milliseconds */
} ngx_shmetrics_told_t;

/* The limits of all default families of a protocol. */
typedef struct {
    ngx_shmetrics_place_t place; /* of the first `shmetrics on` */
    ngx_uint_t max_series;
    ngx_array_t *buckets; /* of double */
    double native;
    ngx_flag_t buckets_set;
} ngx_shmetrics_limits_t;

/* A family that is there without configuration. */
typedef struct {
    ngx_str_t name;
    ngx_str_t help;
    ngx_str_t unit;
    ngx_shmetrics_type_e type;
    ngx_uint_t group;
    const char *labels[4];
    ngx_uint_t bundle; /* families with the same number are a bundle; 0: none */
} ngx_shmetrics_default_t;

/* The exemplar of a request. Without labels it has none. */
typedef struct {
    shmetrics_label labels[NGX_SHMETRICS_EXEMPLAR_LABELS];
    size_t count;
} ngx_shmetrics_exemplar_t;

/* How a protocol has its variables. */
typedef struct {
    /* NULL: the text is not right. `*variable`: whether the values differ between requests. */
    void *(*compile)(ngx_conf_t *cf, ngx_str_t *text, ngx_uint_t *variable);
    ngx_int_t (*evaluate)(void *request, void *value, ngx_str_t *text);
} ngx_shmetrics_language_t;

/* The custom metrics of a protocol. */
typedef struct {
    ngx_shmetrics_conf_t *core;
    const ngx_shmetrics_language_t *language;
    ngx_str_t errors_name;
    ngx_array_t families;           /* of ngx_shmetrics_family_t * */
    ngx_shmetrics_family_t *errors; /* values that are no numbers */
} ngx_shmetrics_customs_t;

#define NGX_SHMETRICS_TEXT(s) \
    { sizeof(s) - 1, (u_char *) s }

enum {
    NGX_SHMETRICS_U_REQUESTS,
    NGX_SHMETRICS_U_RETRIES,
    NGX_SHMETRICS_U_CONNECT,
    NGX_SHMETRICS_U_FIRST,
    NGX_SHMETRICS_U_WHOLE,
    NGX_SHMETRICS_U_RECEIVED,
    NGX_SHMETRICS_U_SENT,
    NGX_SHMETRICS_U_COUNT
};

#define NGX_SHMETRICS_PEERS    64 /* a power of 2 */
#define NGX_SHMETRICS_TRIES    4  /* places that a peer may have */
#define NGX_SHMETRICS_STATUSES 4  /* of a peer */

/* The series of a peer, in this worker. */
typedef struct {
    u_char upstream[64];
    u_char peer[112];
    size_t upstream_len;
    size_t peer_len;
    ngx_uint_t turn;
    ngx_uint_t statuses[NGX_SHMETRICS_STATUSES]; /* of `requests` */
    shmetrics_counter requests[NGX_SHMETRICS_STATUSES];
    shmetrics_entry entries[2]; /* of the bundles of bytes and of durations */
    shmetrics_counter received;
    shmetrics_counter sent;
    shmetrics_histogram durations[3];
} ngx_shmetrics_peer_t;

/* The upstreams of a protocol. */
typedef struct {
    ngx_shmetrics_family_t **families; /* in the order of NGX_SHMETRICS_U_... */
    ngx_shmetrics_peer_t *peers;
    ngx_uint_t turn;
    ngx_pool_t *pool;
} ngx_shmetrics_upstreams_t;

/* One attempt to have an upstream peer answer. */
typedef struct {
    shmetrics_str values[3]; /* upstream, peer, status */
    ngx_uint_t status;       /* a number for the third value */
    ngx_msec_t durations[3]; /* -1: the attempt did not come so far */
    off_t received;
    off_t sent;
} ngx_shmetrics_attempt_t;

extern ngx_module_t ngx_shmetrics_module;

ngx_shmetrics_conf_t *ngx_shmetrics_get_conf(ngx_cycle_t *cycle);
ngx_int_t ngx_shmetrics_add_family(ngx_shmetrics_conf_t *conf, ngx_shmetrics_family_t *family);
void ngx_shmetrics_place(ngx_conf_t *cf, ngx_shmetrics_place_t *place);
void ngx_shmetrics_need(ngx_conf_t *cf);

/* Tells the error log, unless it was told of something in the last minute. */
void ngx_shmetrics_tell(ngx_shmetrics_conf_t *conf, ngx_log_t *log, const char *text);

/* The connections of this nginx, as stub_status shows them. They are defined when the whole
 * configuration has been read, if some of it wants them. */
ngx_int_t ngx_shmetrics_define_connections(ngx_cycle_t *cycle, ngx_shmetrics_conf_t *conf);
void ngx_shmetrics_update_connections(void);

/* A number and nothing else. */
ngx_int_t ngx_shmetrics_number(const ngx_str_t *text, double *number);

/* Parameters of directives. */
char *ngx_shmetrics_parse_bounds(ngx_conf_t *cf, ngx_str_t text, ngx_array_t *bounds);
ngx_int_t ngx_shmetrics_parse_native(const ngx_str_t *text, double *factor);
char *ngx_shmetrics_parse_switch(ngx_conf_t *cf, ngx_command_t *cmd, void *data, ngx_shmetrics_limits_t *limits);
char *ngx_shmetrics_parse_buckets(ngx_conf_t *cf, ngx_shmetrics_limits_t *limits);
char *ngx_shmetrics_parse_groups(ngx_conf_t *cf, const ngx_conf_bitmask_t *known, ngx_uint_t *groups);

/* Makes `family` a member of the bundle of `first`, if there is room. */
ngx_int_t ngx_shmetrics_join(ngx_pool_t *pool, ngx_shmetrics_family_t *first, ngx_shmetrics_family_t *family);

shmetrics_status ngx_shmetrics_register(shmetrics_segment *segment, ngx_shmetrics_family_t *family, int keep);
shmetrics_status ngx_shmetrics_register_bundle(shmetrics_segment *segment, ngx_shmetrics_bundle_t *bundle);

/* The directives shmetrics_counter, _histogram and _gauge. `*sets` are those of the level. */
char *ngx_shmetrics_custom(ngx_conf_t *cf, ngx_shmetrics_customs_t *customs, ngx_shmetrics_type_e type,
    ngx_array_t **sets);
ngx_int_t ngx_shmetrics_merge_customs(ngx_array_t **sets, ngx_array_t *outer);
/* When all are known: bundles those that are updated together, and defines a counter of errors. */
ngx_int_t ngx_shmetrics_define_customs(ngx_conf_t *cf, ngx_shmetrics_customs_t *customs,
    const ngx_shmetrics_limits_t *limits);
void ngx_shmetrics_count_customs(const ngx_shmetrics_customs_t *customs, void *request, const ngx_array_t *sets,
    const ngx_shmetrics_exemplar_t *exemplar);

/* Defines the families of `groups`; the others are NULL. */
ngx_int_t ngx_shmetrics_define(ngx_pool_t *pool, ngx_shmetrics_conf_t *conf, const ngx_shmetrics_limits_t *limits,
    const ngx_shmetrics_default_t *from, ngx_uint_t count, ngx_uint_t groups, ngx_shmetrics_family_t **families);

/* Whether the entry, and with it the handles of its members, is as it was. Otherwise it is looked
 * up. */
int ngx_shmetrics_is_kept(const ngx_shmetrics_bundle_t *bundle, shmetrics_entry *entry, const shmetrics_str *values,
    ngx_uint_t count);
void ngx_shmetrics_add(ngx_shmetrics_family_t *family, shmetrics_counter *counter, const shmetrics_str *values,
    ngx_uint_t count, off_t n);
void ngx_shmetrics_keep_bytes(ngx_shmetrics_family_t **family, shmetrics_entry *entry, const shmetrics_str *values,
    ngx_uint_t count, shmetrics_counter *received, shmetrics_counter *sent);
void ngx_shmetrics_keep_histogram(ngx_shmetrics_family_t *family, shmetrics_histogram *histogram,
    const shmetrics_str *values, ngx_uint_t count);
void ngx_shmetrics_observe(ngx_shmetrics_family_t *family, shmetrics_histogram *histogram, const shmetrics_str *values,
    ngx_uint_t count, ngx_msec_t ms);
void ngx_shmetrics_count_attempt(ngx_shmetrics_upstreams_t *upstreams, const ngx_shmetrics_attempt_t *attempt);
ngx_msec_t ngx_shmetrics_since(time_t sec, ngx_msec_t msec);

static ngx_inline shmetrics_str ngx_shmetrics_str(const ngx_str_t *s) {
    shmetrics_str str = {(const char *) s->data, s->len};
    return str;
}

static ngx_inline shmetrics_str ngx_shmetrics_text(const char *s) {
    shmetrics_str text = {s, ngx_strlen(s)};
    return text;
}

static ngx_inline ngx_int_t ngx_shmetrics_same(const ngx_str_t *a, const ngx_str_t *b) {
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}

#endif
