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
#define NGX_HTTP_SHMETRICS_ALL         0xff

#define NGX_HTTP_SHMETRICS_METHODS  17  /* the known ones, and "other" */
#define NGX_HTTP_SHMETRICS_STATUSES 502 /* 100 to 599, "000" and "other" */

enum {
    NGX_HTTP_SHMETRICS_F_IN_PROGRESS,
    NGX_HTTP_SHMETRICS_F_REQUESTS,
    NGX_HTTP_SHMETRICS_F_DURATION,
    NGX_HTTP_SHMETRICS_F_RECEIVED,
    NGX_HTTP_SHMETRICS_F_SENT,
    NGX_HTTP_SHMETRICS_F_UPSTREAM_REQUESTS,
    NGX_HTTP_SHMETRICS_F_UPSTREAM_RETRIES,
    NGX_HTTP_SHMETRICS_F_UPSTREAM_CONNECT,
    NGX_HTTP_SHMETRICS_F_UPSTREAM_HEADER,
    NGX_HTTP_SHMETRICS_F_UPSTREAM_RESPONSE,
    NGX_HTTP_SHMETRICS_F_UPSTREAM_RECEIVED,
    NGX_HTTP_SHMETRICS_F_UPSTREAM_SENT,
    NGX_HTTP_SHMETRICS_F_CACHE,
    NGX_HTTP_SHMETRICS_F_TLS,
    NGX_HTTP_SHMETRICS_F_COUNT
};

#define NGX_HTTP_SHMETRICS_PEERS 64 /* a power of 2 */

/* The series of a peer, in this worker. */
typedef struct {
    u_char upstream[64];
    u_char peer[112];
    size_t upstream_len;
    size_t peer_len;
    ngx_uint_t status; /* of `requests` */
    shmetrics_counter requests;
    shmetrics_counter received;
    shmetrics_counter sent;
    shmetrics_histogram connect;
    shmetrics_histogram header;
    shmetrics_histogram response;
} ngx_http_shmetrics_peer_t;

typedef struct {
    ngx_shmetrics_conf_t *core;
    ngx_pool_t *pool;
    ngx_uint_t groups;                /* that any location counts */
    ngx_shmetrics_place_t place;      /* of the first `shmetrics on` */
    ngx_flag_t by_class;
    ngx_uint_t max_series;
    ngx_array_t *buckets;             /* of double */
    double native;
    ngx_flag_t buckets_set;
    ngx_shmetrics_family_t *families[NGX_HTTP_SHMETRICS_F_COUNT]; /* NULL: off everywhere */
    ngx_http_shmetrics_peer_t *peers;
    ngx_array_t custom;               /* of ngx_shmetrics_family_t * */
    ngx_shmetrics_family_t *errors;   /* values of custom metrics that are no numbers */
} ngx_http_shmetrics_main_conf_t;

typedef struct {
    ngx_str_t name;
    unsigned known : 1;
    shmetrics_gauge in_progress;
} ngx_http_shmetrics_srv_conf_t;

/* A custom metric where it is counted. */
typedef struct {
    ngx_shmetrics_family_t *family;
    ngx_http_complex_value_t *value; /* NULL: 1 */
    ngx_http_complex_value_t *condition;
    ngx_http_complex_value_t *labels;
    unsigned constant : 1; /* all labels are */
    unsigned known : 1;    /* and `handle` is their series */
    union {
        shmetrics_counter counter;
        shmetrics_histogram histogram;
        shmetrics_gauge gauge;
    } handle;
} ngx_http_shmetrics_use_t;

typedef struct {
    ngx_flag_t enabled;
    ngx_uint_t groups;
    ngx_str_t name;
    ngx_array_t *uses; /* of ngx_http_shmetrics_use_t *, those of outer levels too */
    unsigned known : 1; /* the handles below are this location's series */
    shmetrics_histogram duration;
    shmetrics_counter received;
    shmetrics_counter sent;
    shmetrics_counter *requests[NGX_HTTP_SHMETRICS_METHODS]; /* by status */
} ngx_http_shmetrics_loc_conf_t;

extern ngx_module_t ngx_http_shmetrics_module;

ngx_int_t ngx_http_shmetrics_define_defaults(ngx_conf_t *cf, ngx_http_shmetrics_main_conf_t *conf);
ngx_int_t ngx_http_shmetrics_begin(ngx_http_request_t *r);
void ngx_http_shmetrics_count_defaults(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main,
                                       ngx_http_shmetrics_loc_conf_t *location);

char *ngx_http_shmetrics_custom(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
void ngx_http_shmetrics_count_custom(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main, ngx_array_t *uses);
char *ngx_http_shmetrics_parse_bounds(ngx_conf_t *cf, ngx_str_t text, ngx_array_t *bounds);
ngx_int_t ngx_http_shmetrics_parse_native(const ngx_str_t *text, double *factor);

char *ngx_http_shmetrics_page(ngx_conf_t *cf, ngx_command_t *cmd, void *data);

#endif
