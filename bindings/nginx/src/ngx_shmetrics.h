/* The segment of this nginx, and the families that its modules register in it. */
#ifndef NGX_SHMETRICS_H
#define NGX_SHMETRICS_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <shmetrics.h>

#define NGX_SHMETRICS_MAX_LABELS 32
#define NGX_SHMETRICS_MAX_SERIES 10000

typedef enum {
    NGX_SHMETRICS_COUNTER,
    NGX_SHMETRICS_HISTOGRAM,
    NGX_SHMETRICS_GAUGE
} ngx_shmetrics_type_e;

typedef struct {
    ngx_str_t file;
    ngx_uint_t line;
} ngx_shmetrics_place_t;

/* A family as the configuration defines it. The handle is inert until it is registered. */
typedef struct {
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
    ngx_shmetrics_place_t place;
    union {
        shmetrics_counter_family counter;
        shmetrics_histogram_family histogram;
        shmetrics_gauge_family gauge;
    } handle;
} ngx_shmetrics_family_t;

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
    ngx_shmetrics_family_t *connections, *accepted, *handled;
    ngx_shm_zone_t *told;
} ngx_shmetrics_conf_t;

extern ngx_module_t ngx_shmetrics_module;

ngx_shmetrics_conf_t *ngx_shmetrics_get_conf(ngx_cycle_t *cycle);
ngx_int_t ngx_shmetrics_add_family(ngx_shmetrics_conf_t *conf, ngx_shmetrics_family_t *family);
void ngx_shmetrics_place(ngx_conf_t *cf, ngx_shmetrics_place_t *place);
void ngx_shmetrics_need(ngx_conf_t *cf);

/* Tells the error log, unless it was told of something in the last minute. */
void ngx_shmetrics_tell(ngx_shmetrics_conf_t *conf, ngx_log_t *log, const char *text);

/* The connections of this nginx, as stub_status shows them. */
ngx_int_t ngx_shmetrics_add_connections(ngx_conf_t *cf, ngx_shmetrics_place_t *place);
void ngx_shmetrics_update_connections(void);

/* A number and nothing else. */
ngx_int_t ngx_shmetrics_number(const ngx_str_t *text, double *number);

static ngx_inline shmetrics_str ngx_shmetrics_str(const ngx_str_t *s) {
    shmetrics_str str = {(const char *) s->data, s->len};
    return str;
}

static ngx_inline ngx_int_t ngx_shmetrics_same(const ngx_str_t *a, const ngx_str_t *b) {
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}

#endif
