/* What the parts of the HTTP module share. */
#ifndef NGX_HTTP_SHMETRICS_H
#define NGX_HTTP_SHMETRICS_H

#include "ngx_shmetrics.h"

#include <ngx_http.h>

#define NGX_HTTP_SHMETRICS_IN_PROGRESS 0x01
#define NGX_HTTP_SHMETRICS_REQUESTS    0x02
#define NGX_HTTP_SHMETRICS_DURATION    0x04
#define NGX_HTTP_SHMETRICS_BYTES       0x08
#define NGX_HTTP_SHMETRICS_UPSTREAM    0x10
#define NGX_HTTP_SHMETRICS_CACHE       0x20
#define NGX_HTTP_SHMETRICS_TLS         0x40
#define NGX_HTTP_SHMETRICS_CONNECTIONS 0x80
#define NGX_HTTP_SHMETRICS_LIMITS      0x100
#define NGX_HTTP_SHMETRICS_ALL         0x1ff

/* As nginx numbers them; the first is none. */
#define NGX_HTTP_SHMETRICS_CACHE_STATUSES 9
#define NGX_HTTP_SHMETRICS_LIMIT_REQ      6
#define NGX_HTTP_SHMETRICS_LIMIT_CONN     4

#define NGX_HTTP_SHMETRICS_METHODS  17  /* the known ones, and "other" */
#define NGX_HTTP_SHMETRICS_STATUSES 502 /* 100 to 599, "000" and "other" */

enum {
    NGX_HTTP_SHMETRICS_F_UPSTREAM, /* and the others of NGX_SHMETRICS_U_... */
    NGX_HTTP_SHMETRICS_F_IN_PROGRESS = NGX_HTTP_SHMETRICS_F_UPSTREAM + NGX_SHMETRICS_U_COUNT,
    NGX_HTTP_SHMETRICS_F_REQUESTS,
    NGX_HTTP_SHMETRICS_F_DURATION,
    NGX_HTTP_SHMETRICS_F_RECEIVED,
    NGX_HTTP_SHMETRICS_F_SENT,
    NGX_HTTP_SHMETRICS_F_CACHE,
    NGX_HTTP_SHMETRICS_F_TLS,
    NGX_HTTP_SHMETRICS_F_TLS_FAILURES,
    NGX_HTTP_SHMETRICS_F_LIMIT_REQ,
    NGX_HTTP_SHMETRICS_F_LIMIT_CONN,
    NGX_HTTP_SHMETRICS_F_COUNT
};

typedef struct ngx_http_shmetrics_vts_s ngx_http_shmetrics_vts_t;

typedef struct {
    ngx_shmetrics_conf_t *core;
    ngx_pool_t *pool;
    ngx_uint_t groups; /* that any location counts */
    ngx_shmetrics_limits_t limits;
    ngx_flag_t by_class;
    ngx_flag_t names_set;
    ngx_shmetrics_family_t *families[NGX_HTTP_SHMETRICS_F_COUNT]; /* NULL: off everywhere */
    ngx_shmetrics_upstreams_t upstreams;
    ngx_http_shmetrics_vts_t *vts; /* NULL: its names are not wanted */
    ngx_shmetrics_customs_t customs;
} ngx_http_shmetrics_main_conf_t;

typedef struct {
    ngx_str_t name;
    unsigned known : 1;
    shmetrics_gauge in_progress;
} ngx_http_shmetrics_srv_conf_t;

typedef struct {
    ngx_flag_t enabled;
    ngx_uint_t groups;
    ngx_str_t name;
    ngx_array_t *sets; /* of custom metrics, those of outer levels too */
    ngx_array_t *exemplar;
    shmetrics_entry entry; /* of the bundle of bytes */
    shmetrics_histogram duration;
    shmetrics_counter received;
    shmetrics_counter sent;
    shmetrics_counter *requests[NGX_HTTP_SHMETRICS_METHODS]; /* by status */
    shmetrics_counter cache[NGX_HTTP_SHMETRICS_CACHE_STATUSES];
    shmetrics_counter limit_req[NGX_HTTP_SHMETRICS_LIMIT_REQ];
    shmetrics_counter limit_conn[NGX_HTTP_SHMETRICS_LIMIT_CONN];
} ngx_http_shmetrics_loc_conf_t;

extern ngx_module_t ngx_http_shmetrics_module;

ngx_int_t ngx_http_shmetrics_define_defaults(ngx_conf_t *cf, ngx_http_shmetrics_main_conf_t *conf);
ngx_int_t ngx_http_shmetrics_begin(ngx_http_request_t *r);
void ngx_http_shmetrics_count_defaults(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main,
    ngx_http_shmetrics_loc_conf_t *location, const ngx_shmetrics_exemplar_t *exemplar);

ngx_int_t ngx_http_shmetrics_define_vts(ngx_conf_t *cf, ngx_http_shmetrics_main_conf_t *conf);
void ngx_http_shmetrics_count_vts(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main, ngx_uint_t groups);

char *ngx_http_shmetrics_exemplar(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
/* Fills `labels`, of which there are NGX_SHMETRICS_EXEMPLAR_LABELS, and returns how many. */
size_t ngx_http_shmetrics_find_exemplar(ngx_http_request_t *r, const ngx_array_t *exemplar, shmetrics_label *labels);

#if (NGX_HTTP_SSL)
void ngx_http_shmetrics_watch_tls(ngx_conf_t *cf);
#endif

char *ngx_http_shmetrics_page(ngx_conf_t *cf, ngx_command_t *cmd, void *data);

#endif
