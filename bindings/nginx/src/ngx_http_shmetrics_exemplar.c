/* shmetrics_exemplar: labels of exemplars, such as the trace of the request. */
#include "ngx_http_shmetrics.h"

typedef struct {
    shmetrics_str name; /* empty: a traceparent header, which has two labels */
    ngx_http_complex_value_t value;
} ngx_http_shmetrics_exemplar_label_t;

/* What the library takes: letters, digits and underscores. */
static int ngx_http_shmetrics_is_label(const ngx_str_t *name) {
    size_t i;
    for (i = 0; i < name->len; i++) {
        u_char c = name->data[i], lower = c | 0x20;
        if (!((lower >= 'a' && lower <= 'z') || c == '_' || (i && c >= '0' && c <= '9'))) return 0;
    }
    return name->len != 0;
}

char *ngx_http_shmetrics_exemplar(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_http_shmetrics_loc_conf_t *conf = data;
    ngx_http_compile_complex_value_t compile;
    ngx_str_t *value = cf->args->elts, *other;
    ngx_uint_t i, k;

    (void) cmd;
    if (conf->exemplar != NGX_CONF_UNSET_PTR) return "is duplicate";
    conf->exemplar = NULL;
    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) return NGX_CONF_OK;
    conf->exemplar = ngx_array_create(cf->pool, 2, sizeof(ngx_http_shmetrics_exemplar_label_t));
    if (conf->exemplar == NULL) return NGX_CONF_ERROR;
    for (i = 1; i < cf->args->nelts; i++) {
        ngx_http_shmetrics_exemplar_label_t *label = ngx_array_push(conf->exemplar);
        u_char *sign = ngx_strlchr(value[i].data, value[i].data + value[i].len, '=');
        ngx_str_t name = value[i], rest;
        if (label == NULL) return NGX_CONF_ERROR;
        if (sign == NULL) goto invalid;
        name.len = (size_t) (sign - name.data);
        rest.data = sign + 1;
        rest.len = value[i].len - name.len - 1;
        if (!ngx_http_shmetrics_is_label(&name) || conf->exemplar->nelts > NGX_SHMETRICS_EXEMPLAR_LABELS - 1)
            goto invalid;
        for (k = 1; k < i; k++) {
            other = &value[k];
            if (ngx_strncmp(other->data, value[i].data, name.len + 1) == 0) goto invalid;
        }
        label->name = ngx_shmetrics_str(&name);
        if (name.len == 11 && ngx_strncmp(name.data, "traceparent", 11) == 0) label->name.len = 0;
        ngx_memzero(&compile, sizeof compile);
        compile.cf = cf;
        compile.value = &rest;
        compile.complex_value = &label->value;
        if (ngx_http_compile_complex_value(&compile) != NGX_OK) return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;

invalid:
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"", &value[i]);
    return NGX_CONF_ERROR;
}

static int ngx_http_shmetrics_is_hex(const u_char *s, size_t len) {
    size_t zeros = 0, i;
    for (i = 0; i < len; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f'))) return 0;
        zeros += s[i] == '0';
    }
    return zeros < len; /* a trace without a number is none */
}

/* 00-TRACE-SPAN-FLAGS of W3C's Trace Context. Without the flag "sampled" there is no trace to
 * look at. */
static size_t ngx_http_shmetrics_split_trace(const ngx_str_t *text, shmetrics_label *labels) {
    const u_char *s = text->data;
    u_char flags;
    if (text->len < 55 || (text->len > 55 && (ngx_strncmp(s, "00", 2) == 0 || s[55] != '-'))
        || ngx_strncmp(s, "ff", 2) == 0)
        return 0;
    if (s[2] != '-' || s[35] != '-' || s[52] != '-') return 0;
    if (!ngx_http_shmetrics_is_hex(s + 3, 32) || !ngx_http_shmetrics_is_hex(s + 36, 16)
        || !ngx_http_shmetrics_is_hex(s + 53, 2))
        return 0;
    flags = s[54];
    if (((flags <= '9' ? flags - '0' : flags - 'a' + 10) & 1) == 0) return 0;
    labels[0].name = ngx_shmetrics_text("trace_id");
    labels[0].value.data = (const char *) s + 3;
    labels[0].value.len = 32;
    labels[1].name = ngx_shmetrics_text("span_id");
    labels[1].value.data = (const char *) s + 36;
    labels[1].value.len = 16;
    return 2;
}

size_t ngx_http_shmetrics_find_exemplar(ngx_http_request_t *r, const ngx_array_t *exemplar, shmetrics_label *labels) {
    const ngx_http_shmetrics_exemplar_label_t *label = exemplar->elts;
    size_t count = 0, used = 0, before;
    ngx_str_t text;
    ngx_uint_t i;
    for (i = 0; i < exemplar->nelts; i++) {
        if (ngx_http_complex_value(r, (ngx_http_complex_value_t *) &label[i].value, &text) != NGX_OK) return 0;
        if (text.len == 0 || (text.len == 1 && text.data[0] == '-')) continue;
        before = count;
        if (label[i].name.len == 0) {
            count += ngx_http_shmetrics_split_trace(&text, &labels[count]);
        } else {
            labels[count].name = label[i].name;
            labels[count++].value = ngx_shmetrics_str(&text);
        }
        for (; before < count; before++) used += labels[before].name.len + labels[before].value.len;
    }
    return used <= SHMETRICS_MAX_EXEMPLAR_CHARACTERS ? count : 0;
}
