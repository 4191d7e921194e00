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
    NGX_HTTP_SHMETRICS_F_UPSTREAM, /* and the others of NGX_SHMETRICS_U_... */
    NGX_HTTP_SHMETRICS_F_IN_PROGRESS = NGX_HTTP_SHMETRICS_F_UPSTREAM + NGX_SHMETRICS_U_COUNT,
    NGX_HTTP_SHMETRICS_F_REQUESTS,
    NGX_HTTP_SHMETRICS_F_DURATION,
    NGX_HTTP_SHMETRICS_F_RECEIVED,
    NGX_HTTP_SHMETRICS_F_SENT,
    NGX_HTTP_SHMETRICS_F_CACHE,
    NGX_HTTP_SHMETRICS_F_TLS,
    NGX_HTTP_SHMETRICS_F_COUNT
};

typedef struct {
    ngx_shmetrics_conf_t *core;
    ngx_pool_t *pool;
    ngx_uint_t groups;                /* that any location counts */
    ngx_shmetrics_limits_t limits;
    ngx_flag_t by_class;
    ngx_shmetrics_family_t *families[NGX_HTTP_SHMETRICS_F_COUNT]; /* NULL: off everywhere */
    ngx_shmetrics_upstreams_t upstreams;
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

char *ngx_http_shmetrics_page(ngx_conf_t *cf, ngx_command_t *cmd, void *data);

#endif
