/* Parameters that several directives have. */
#include "ngx_shmetrics.h"

#include <math.h>
#include <stdlib.h>

/* Digits with at most one point among them, and few enough to be exact: most values are so. */
static ngx_int_t ngx_shmetrics_short_number(const ngx_str_t *text, double *number) {
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    uint64_t digits = 0;
    size_t i, point = text->len;
    if (text->len == 0 || text->len > 15) return NGX_DECLINED;
    for (i = 0; i < text->len; i++) {
        u_char c = text->data[i];
        if (c >= '0' && c <= '9') {
            digits = digits * 10 + (uint64_t) (c - '0');
        } else if (c == '.' && point == text->len && text->len > 1) {
            point = i;
        } else {
            return NGX_DECLINED;
        }
    }
    /* Both are exact, so the quotient is the number that strtod() would find. */
    *number = (double) digits / powers[point < text->len ? text->len - point - 1 : 0];
    return NGX_OK;
}

ngx_int_t ngx_shmetrics_number(const ngx_str_t *text, double *number) {
    char copy[64];
    char *end;
    size_t i;
    if (ngx_shmetrics_short_number(text, number) == NGX_OK) return NGX_OK;
    if (text->len == 0 || text->len >= sizeof copy) return NGX_ERROR;
    for (i = 0; i < text->len; i++) {
        u_char c = text->data[i];
        /* strtod() would take hexadecimal digits, blanks, and words for infinity as well. */
        if (c == '\0' || ngx_strchr("0123456789+-.eE", c) == NULL) return NGX_ERROR;
        copy[i] = (char) c;
    }
    copy[i] = '\0';
    *number = strtod(copy, &end);
    return *end == '\0' ? NGX_OK : NGX_ERROR;
}

ngx_int_t ngx_shmetrics_parse_native(const ngx_str_t *text, double *factor) {
    ngx_str_t number = {text->len - 6, text->data + 6};
    if (number.len == 0) {
        *factor = 1.1;
        return NGX_OK;
    }
    if (number.data[0] != '=') return NGX_ERROR;
    number.data++;
    number.len--;
    return ngx_shmetrics_number(&number, factor) == NGX_OK && *factor > 1 && isfinite(*factor) ? NGX_OK : NGX_ERROR;
}

/* One bound, or several with commas between them. */
char *ngx_shmetrics_parse_bounds(ngx_conf_t *cf, ngx_str_t text, ngx_array_t *bounds) {
    for (;;) {
        u_char *comma = ngx_strlchr(text.data, text.data + text.len, ',');
        ngx_str_t one = text;
        double *bound = ngx_array_push(bounds), *all = bounds->elts;
        if (bound == NULL) return NGX_CONF_ERROR;
        if (comma) one.len = (size_t) (comma - text.data);
        if (ngx_shmetrics_number(&one, bound) != NGX_OK || !isfinite(*bound)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid bound \"%V\": it is not a number", &one);
            return NGX_CONF_ERROR;
        }
        if (bounds->nelts > 1 && *bound <= all[bounds->nelts - 2]) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid bound \"%V\": bounds must rise", &one);
            return NGX_CONF_ERROR;
        }
        if (comma == NULL) return NGX_CONF_OK;
        text.len -= one.len + 1;
        text.data = comma + 1;
    }
}

/* Of `shmetrics on|off`, the flag of which is at the offset of the command. */
char *ngx_shmetrics_parse_switch(ngx_conf_t *cf, ngx_command_t *cmd, void *data, ngx_shmetrics_limits_t *limits) {
    char *result = ngx_conf_set_flag_slot(cf, cmd, data);
    if (result != NGX_CONF_OK || !*(ngx_flag_t *) ((u_char *) data + cmd->offset)) return result;
    ngx_shmetrics_need(cf);
    if (limits->place.file.len == 0) ngx_shmetrics_place(cf, &limits->place);
    return NGX_CONF_OK;
}

/* Of a directive whose parameters are bounds, and `native[=FACTOR]`. */
char *ngx_shmetrics_parse_buckets(ngx_conf_t *cf, ngx_shmetrics_limits_t *limits) {
    ngx_str_t *value = cf->args->elts;
    ngx_array_t *bounds = ngx_array_create(cf->pool, 16, sizeof(double));
    ngx_uint_t i;
    if (bounds == NULL) return NGX_CONF_ERROR;
    if (limits->buckets_set) return "is duplicate";
    limits->buckets_set = 1;
    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_strncmp(value[i].data, "native", 6) == 0) {
            if (ngx_shmetrics_parse_native(&value[i], &limits->native) == NGX_OK) continue;
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\": the factor must be more than 1",
                &value[i]);
            return NGX_CONF_ERROR;
        }
        if (ngx_shmetrics_parse_bounds(cf, value[i], bounds) != NGX_CONF_OK) return NGX_CONF_ERROR;
    }
    if (bounds->nelts) limits->buckets = bounds;
    return NGX_CONF_OK;
}

static void ngx_shmetrics_refuse_group(ngx_conf_t *cf, const ngx_conf_bitmask_t *known, const ngx_str_t *name) {
    u_char list[256], *end = list;
    for (; known->name.len; known++) end = ngx_snprintf(end, (size_t) (list + sizeof list - end), "%V, ", &known->name);
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown families \"%V\": they are %*snone", name, (size_t) (end - list),
        list);
}

/* `requests duration` names the groups that are counted, `-cache -tls` those that are not. */
char *ngx_shmetrics_parse_groups(ngx_conf_t *cf, const ngx_conf_bitmask_t *known, ngx_uint_t *groups) {
    ngx_str_t *value = cf->args->elts;
    ngx_uint_t i, k, all = 0;

    if (*groups != NGX_CONF_UNSET_UINT) return "is duplicate";
    for (k = 0; known[k].name.len; k++) all |= known[k].mask;
    *groups = value[1].len && value[1].data[0] == '-' ? all : 0;
    if (cf->args->nelts == 2 && value[1].len == 4 && ngx_strncmp(value[1].data, "none", 4) == 0) return NGX_CONF_OK;
    for (i = 1; i < cf->args->nelts; i++) {
        ngx_str_t name = value[i];
        ngx_uint_t without = name.len && name.data[0] == '-';
        name.data += without;
        name.len -= without;
        for (k = 0; known[k].name.len; k++)
            if (ngx_shmetrics_same(&name, &known[k].name)) break;
        if (known[k].name.len == 0) {
            ngx_shmetrics_refuse_group(cf, known, &value[i]);
            return NGX_CONF_ERROR;
        }
        if (without) {
            *groups &= ~known[k].mask;
        } else {
            *groups |= known[k].mask;
        }
    }
    return NGX_CONF_OK;
}
