/* The directives of the HTTP module, and the phases in which it counts. */
#include "ngx_http_shmetrics.h"

static const ngx_conf_bitmask_t ngx_http_shmetrics_groups[] = {
    {ngx_string("in_progress"), NGX_HTTP_SHMETRICS_IN_PROGRESS},
    {ngx_string("requests"), NGX_HTTP_SHMETRICS_REQUESTS},
    {ngx_string("duration"), NGX_HTTP_SHMETRICS_DURATION},
    {ngx_string("bytes"), NGX_HTTP_SHMETRICS_BYTES},
    {ngx_string("upstream"), NGX_HTTP_SHMETRICS_UPSTREAM},
    {ngx_string("cache"), NGX_HTTP_SHMETRICS_CACHE},
    {ngx_string("tls"), NGX_HTTP_SHMETRICS_TLS},
    {ngx_string("limits"), NGX_HTTP_SHMETRICS_LIMITS},
    {ngx_string("connections"), NGX_HTTP_SHMETRICS_CONNECTIONS},
    {ngx_string("all"), NGX_HTTP_SHMETRICS_ALL},
    {ngx_null_string, 0},
};

static char *ngx_http_shmetrics_switch(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_http_shmetrics_main_conf_t *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_shmetrics_module);
    return ngx_shmetrics_parse_switch(cf, cmd, data, &main->limits);
}

static char *ngx_http_shmetrics_families(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    (void) cmd;
    return ngx_shmetrics_parse_groups(cf, ngx_http_shmetrics_groups, &((ngx_http_shmetrics_loc_conf_t *) data)->groups);
}

static char *ngx_http_shmetrics_status(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_http_shmetrics_main_conf_t *conf = data;
    ngx_str_t *value = cf->args->elts;
    (void) cmd;
    if (conf->by_class != NGX_CONF_UNSET) return "is duplicate";
    if (ngx_strcmp(value[1].data, "code") == 0) {
        conf->by_class = 0;
    } else if (ngx_strcmp(value[1].data, "class") == 0) {
        conf->by_class = 1;
    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid value \"%V\": it is \"code\" or \"class\"", &value[1]);
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}

static char *ngx_http_shmetrics_names(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    static const ngx_conf_bitmask_t known[] = {
        {ngx_string("own"), NGX_SHMETRICS_OWN},
        {ngx_string("exporter"), NGX_SHMETRICS_EXPORTER},
        {ngx_string("vts"), NGX_SHMETRICS_VTS},
        {ngx_null_string, 0},
    };
    ngx_http_shmetrics_main_conf_t *conf = data;
    ngx_str_t *value = cf->args->elts;
    ngx_uint_t i, k;
    (void) cmd;
    if (conf->names_set) return "is duplicate";
    conf->names_set = 1;
    conf->core->names = 0;
    for (i = 1; i < cf->args->nelts; i++) {
        for (k = 0; known[k].name.len; k++)
            if (ngx_shmetrics_same(&value[i], &known[k].name)) break;
        if (known[k].name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown names \"%V\": they are own, exporter, vts", &value[i]);
            return NGX_CONF_ERROR;
        }
        conf->core->names |= known[k].mask;
    }
    if ((conf->core->names & NGX_SHMETRICS_OWN) && (conf->core->names & NGX_SHMETRICS_EXPORTER))
        return "cannot be both \"own\" and \"exporter\": both have nginx_http_requests_total";
    return NGX_CONF_OK;
}

static char *ngx_http_shmetrics_buckets(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    (void) cmd;
    return ngx_shmetrics_parse_buckets(cf, &((ngx_http_shmetrics_main_conf_t *) data)->limits);
}

/* A name with a variable would be one label value, with a sign in it. */
static char *ngx_http_shmetrics_name(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_str_t *value = cf->args->elts;
    if (ngx_http_script_variables_count(&value[1])) return "takes a name without variables";
    return ngx_conf_set_str_slot(cf, cmd, data);
}

static void *ngx_http_shmetrics_compile(ngx_conf_t *cf, ngx_str_t *text, ngx_uint_t *variable) {
    ngx_http_complex_value_t *value = ngx_pcalloc(cf->pool, sizeof *value);
    ngx_http_compile_complex_value_t compile;
    if (value == NULL) return NULL;
    ngx_memzero(&compile, sizeof compile);
    compile.cf = cf;
    compile.value = text;
    compile.complex_value = value;
    if (ngx_http_compile_complex_value(&compile) != NGX_OK) return NULL;
    *variable = value->lengths != NULL;
    return value;
}

static ngx_int_t ngx_http_shmetrics_evaluate(void *request, void *value, ngx_str_t *text) {
    return ngx_http_complex_value(request, value, text);
}

static const ngx_shmetrics_language_t ngx_http_shmetrics_language = {ngx_http_shmetrics_compile,
    ngx_http_shmetrics_evaluate};

static char *ngx_http_shmetrics_custom(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_http_shmetrics_main_conf_t *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_shmetrics_module);
    return ngx_shmetrics_custom(cf, &main->customs, (ngx_shmetrics_type_e) cmd->offset,
        &((ngx_http_shmetrics_loc_conf_t *) data)->sets);
}

static void *ngx_http_shmetrics_create_main_conf(ngx_conf_t *cf) {
    ngx_http_shmetrics_main_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
    if (conf == NULL) return NULL;
    if (ngx_array_init(&conf->customs.families, cf->pool, 8, sizeof(ngx_shmetrics_family_t *)) != NGX_OK) return NULL;
    conf->core = conf->customs.core = ngx_shmetrics_get_conf(cf->cycle);
    conf->customs.language = &ngx_http_shmetrics_language;
    ngx_str_set(&conf->customs.errors_name, "nginx_http_metric_errors");
    conf->pool = cf->pool;
    conf->upstreams.pool = cf->pool;
    conf->upstreams.families = &conf->families[NGX_HTTP_SHMETRICS_F_UPSTREAM];
    conf->by_class = NGX_CONF_UNSET;
    conf->limits.max_series = NGX_CONF_UNSET_UINT;
    return conf;
}

static char *ngx_http_shmetrics_init_main_conf(ngx_conf_t *cf, void *data) {
    ngx_http_shmetrics_main_conf_t *conf = data;
    (void) cf;
    ngx_conf_init_value(conf->by_class, 0);
    ngx_conf_init_uint_value(conf->limits.max_series, NGX_SHMETRICS_MAX_SERIES);
    return NGX_CONF_OK;
}

static void *ngx_http_shmetrics_create_srv_conf(ngx_conf_t *cf) {
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_shmetrics_srv_conf_t));
}

static void *ngx_http_shmetrics_create_loc_conf(ngx_conf_t *cf) {
    ngx_http_shmetrics_loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
    if (conf == NULL) return NULL;
    conf->enabled = NGX_CONF_UNSET;
    conf->groups = NGX_CONF_UNSET_UINT;
    conf->exemplar = NGX_CONF_UNSET_PTR;
    return conf;
}

static char *ngx_http_shmetrics_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) {
    ngx_http_shmetrics_main_conf_t *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_shmetrics_module);
    ngx_http_shmetrics_loc_conf_t *outer = parent, *conf = child;
    ngx_conf_merge_value(conf->enabled, outer->enabled, 0);
    ngx_conf_merge_uint_value(conf->groups, outer->groups, NGX_HTTP_SHMETRICS_ALL);
    ngx_conf_merge_str_value(conf->name, outer->name, "");
    ngx_conf_merge_ptr_value(conf->exemplar, outer->exemplar, NULL);
    if (conf->enabled) main->groups |= conf->groups;
    return ngx_shmetrics_merge_customs(&conf->sets, outer->sets) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}

static ngx_int_t ngx_http_shmetrics_log(ngx_http_request_t *r) {
    ngx_http_shmetrics_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_shmetrics_module);
    ngx_http_shmetrics_loc_conf_t *location = ngx_http_get_module_loc_conf(r, ngx_http_shmetrics_module);
    ngx_shmetrics_exemplar_t exemplar;
    if (r != r->main || main->core->segment == NULL || (!location->enabled && location->sets == NULL)) return NGX_OK;
    exemplar.count = location->exemplar ? ngx_http_shmetrics_find_exemplar(r, location->exemplar, exemplar.labels) : 0;
    if (location->enabled) ngx_http_shmetrics_count_defaults(r, main, location, &exemplar);
    if (location->enabled && main->vts) ngx_http_shmetrics_count_vts(r, main, location->groups);
    if (location->sets) ngx_shmetrics_count_customs(&main->customs, r, location->sets, &exemplar);
    return NGX_OK;
}

static ngx_int_t ngx_http_shmetrics_add_handler(ngx_conf_t *cf, ngx_uint_t phase, ngx_http_handler_pt handler) {
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *slot = ngx_array_push(&core->phases[phase].handlers);
    if (slot == NULL) return NGX_ERROR;
    *slot = handler;
    return NGX_OK;
}

static ngx_int_t ngx_http_shmetrics_postconfiguration(ngx_conf_t *cf) {
    ngx_http_shmetrics_main_conf_t *conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_shmetrics_module);
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_core_srv_conf_t **server = core->servers.elts;
    ngx_uint_t i;

    for (i = 0; i < core->servers.nelts; i++) {
        ngx_http_shmetrics_srv_conf_t *named = server[i]->ctx->srv_conf[ngx_http_shmetrics_module.ctx_index];
        if (named->name.len == 0) named->name = server[i]->server_name;
    }
    if (ngx_http_shmetrics_define_defaults(cf, conf) != NGX_OK) return NGX_ERROR;
    if (conf->groups == 0 && conf->customs.families.nelts == 0 && conf->vts == NULL) return NGX_OK;
#if (NGX_HTTP_SSL)
    if (conf->groups & NGX_HTTP_SHMETRICS_TLS) ngx_http_shmetrics_watch_tls(cf);
#endif
    if ((conf->groups & (NGX_HTTP_SHMETRICS_IN_PROGRESS | NGX_HTTP_SHMETRICS_UPSTREAM))
        && ngx_http_shmetrics_add_handler(cf, NGX_HTTP_PREACCESS_PHASE, ngx_http_shmetrics_begin) != NGX_OK)
        return NGX_ERROR;
    return ngx_http_shmetrics_add_handler(cf, NGX_HTTP_LOG_PHASE, ngx_http_shmetrics_log);
}

#define EVERYWHERE (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF)

/* clang-format off */
static ngx_command_t ngx_http_shmetrics_commands[] = {
    {ngx_string("shmetrics"), EVERYWHERE | NGX_CONF_FLAG, ngx_http_shmetrics_switch, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_shmetrics_loc_conf_t, enabled), NULL},
    {ngx_string("shmetrics_families"), EVERYWHERE | NGX_CONF_1MORE, ngx_http_shmetrics_families, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("shmetrics_server"), NGX_HTTP_SRV_CONF | NGX_CONF_TAKE1, ngx_http_shmetrics_name, NGX_HTTP_SRV_CONF_OFFSET,
     offsetof(ngx_http_shmetrics_srv_conf_t, name), NULL},
    {ngx_string("shmetrics_location"), NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, ngx_http_shmetrics_name,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(ngx_http_shmetrics_loc_conf_t, name), NULL},
    {ngx_string("shmetrics_status"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_http_shmetrics_status, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("shmetrics_names"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, ngx_http_shmetrics_names, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("shmetrics_buckets"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, ngx_http_shmetrics_buckets, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("shmetrics_max_series"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_num_slot, NGX_HTTP_MAIN_CONF_OFFSET,
     offsetof(ngx_http_shmetrics_main_conf_t, limits.max_series), NULL},
    {ngx_string("shmetrics_counter"), EVERYWHERE | NGX_CONF_1MORE, ngx_http_shmetrics_custom, NGX_HTTP_LOC_CONF_OFFSET,
     NGX_SHMETRICS_COUNTER, NULL},
    {ngx_string("shmetrics_histogram"), EVERYWHERE | NGX_CONF_1MORE, ngx_http_shmetrics_custom, NGX_HTTP_LOC_CONF_OFFSET,
     NGX_SHMETRICS_HISTOGRAM, NULL},
    {ngx_string("shmetrics_gauge"), EVERYWHERE | NGX_CONF_1MORE, ngx_http_shmetrics_custom, NGX_HTTP_LOC_CONF_OFFSET, NGX_SHMETRICS_GAUGE,
     NULL},
    {ngx_string("shmetrics_exemplar"), EVERYWHERE | NGX_CONF_1MORE, ngx_http_shmetrics_exemplar, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("shmetrics_page"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, ngx_http_shmetrics_page, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    ngx_null_command,
};
/* clang-format on */

static ngx_http_module_t ngx_http_shmetrics_module_ctx = {
    NULL,
    ngx_http_shmetrics_postconfiguration,
    ngx_http_shmetrics_create_main_conf,
    ngx_http_shmetrics_init_main_conf,
    ngx_http_shmetrics_create_srv_conf,
    NULL,
    ngx_http_shmetrics_create_loc_conf,
    ngx_http_shmetrics_merge_loc_conf,
};

ngx_module_t ngx_http_shmetrics_module = {
    NGX_MODULE_V1,
    &ngx_http_shmetrics_module_ctx,
    ngx_http_shmetrics_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING,
};
