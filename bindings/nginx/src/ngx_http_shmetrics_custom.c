/* shmetrics_counter, _histogram and _gauge: metrics of the configuration's own. */
#include "ngx_http_shmetrics.h"

#include <math.h>

static ngx_shmetrics_family_t *ngx_http_shmetrics_find(ngx_http_shmetrics_main_conf_t *main, const ngx_str_t *name) {
    ngx_shmetrics_family_t **family = main->custom.elts;
    ngx_uint_t i;
    for (i = 0; i < main->custom.nelts; i++)
        if (ngx_shmetrics_same(&family[i]->name, name)) return family[i];
    return NULL;
}

static int ngx_http_shmetrics_is_same(const ngx_shmetrics_family_t *a, const ngx_shmetrics_family_t *b) {
    ngx_uint_t i;
    if (a->type != b->type || a->nlabels != b->nlabels || a->native != b->native || a->max_series != b->max_series) return 0;
    if ((a->buckets ? a->buckets->nelts : 0) != (b->buckets ? b->buckets->nelts : 0)) return 0;
    if (a->buckets && ngx_memcmp(a->buckets->elts, b->buckets->elts, a->buckets->nelts * sizeof(double)) != 0) return 0;
    for (i = 0; i < a->nlabels; i++)
        if (a->labels[i].len != b->labels[i].len || ngx_memcmp(a->labels[i].data, b->labels[i].data, a->labels[i].len) != 0) return 0;
    return 1;
}

static ngx_http_complex_value_t *ngx_http_shmetrics_compile(ngx_conf_t *cf, ngx_str_t *text, ngx_http_complex_value_t *into) {
    ngx_http_compile_complex_value_t compile;
    if (into == NULL && (into = ngx_palloc(cf->pool, sizeof *into)) == NULL) return NULL;
    ngx_memzero(into, sizeof *into);
    ngx_memzero(&compile, sizeof compile);
    compile.cf = cf;
    compile.value = text;
    compile.complex_value = into;
    return ngx_http_compile_complex_value(&compile) == NGX_OK ? into : NULL;
}

static int ngx_http_shmetrics_is_key(const ngx_str_t *key, const char *name) {
    return key->len == ngx_strlen(name) && ngx_strncmp(key->data, name, key->len) == 0;
}

char *ngx_http_shmetrics_custom(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_http_shmetrics_loc_conf_t *conf = data;
    ngx_http_shmetrics_main_conf_t *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_shmetrics_module);
    ngx_shmetrics_family_t *family = ngx_pcalloc(cf->pool, sizeof *family), *known, **slot;
    ngx_http_shmetrics_use_t *use = ngx_pcalloc(cf->pool, sizeof *use), **place;
    ngx_str_t *value = cf->args->elts;
    ngx_uint_t i;

    if (family == NULL || use == NULL) return NGX_CONF_ERROR;
    use->labels = ngx_pcalloc(cf->pool, NGX_SHMETRICS_MAX_LABELS * sizeof *use->labels);
    if (use->labels == NULL) return NGX_CONF_ERROR;
    ngx_shmetrics_need(cf);
    ngx_shmetrics_place(cf, &family->place);
    family->name = value[1];
    family->type = (ngx_shmetrics_type_e) cmd->offset;
    family->gauge_mode = SHMETRICS_GAUGE_SHARED;
    family->max_series = NGX_SHMETRICS_MAX_SERIES;
    use->constant = 1;
    for (i = 2; i < cf->args->nelts; i++) {
        u_char *sign = ngx_strlchr(value[i].data, value[i].data + value[i].len, '=');
        ngx_str_t key = value[i], rest;
        if (sign == NULL || sign == key.data) goto invalid;
        key.len = (size_t) (sign - key.data);
        rest.data = sign + 1;
        rest.len = value[i].len - key.len - 1;
        if (rest.len && (rest.data[0] == '"' || rest.data[0] == '\'')) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\": quotes belong around the whole, as in \"%V=two words\"",
                               &value[i], &key);
            return NGX_CONF_ERROR;
        }
        if (ngx_http_shmetrics_is_key(&key, "value")) {
            if (use->value || (use->value = ngx_http_shmetrics_compile(cf, &rest, NULL)) == NULL) goto invalid;
            if (use->value->lengths == NULL) {
                double number;
                if (ngx_shmetrics_number(&rest, &number) != NGX_OK) goto invalid;
                if (family->type == NGX_SHMETRICS_COUNTER && number < 0) goto invalid;
            }
        } else if (ngx_http_shmetrics_is_key(&key, "if")) {
            if (use->condition || (use->condition = ngx_http_shmetrics_compile(cf, &rest, NULL)) == NULL) goto invalid;
        } else if (ngx_http_shmetrics_is_key(&key, "help")) {
            family->help = rest;
        } else if (ngx_http_shmetrics_is_key(&key, "max_series")) {
            ngx_int_t most = ngx_atoi(rest.data, rest.len);
            if (most == NGX_ERROR) goto invalid;
            family->max_series = (ngx_uint_t) most;
        } else if (ngx_http_shmetrics_is_key(&key, "buckets") && family->type == NGX_SHMETRICS_HISTOGRAM) {
            if (family->buckets || (family->buckets = ngx_array_create(cf->pool, 16, sizeof(double))) == NULL) goto invalid;
            if (ngx_shmetrics_parse_bounds(cf, rest, family->buckets) != NGX_CONF_OK) return NGX_CONF_ERROR;
        } else if (ngx_http_shmetrics_is_key(&key, "native") && family->type == NGX_SHMETRICS_HISTOGRAM) {
            if (ngx_shmetrics_parse_native(&value[i], &family->native) != NGX_OK) goto invalid;
        } else if (family->nlabels == NGX_SHMETRICS_MAX_LABELS) {
            return "has too many labels";
        } else {
            family->labels[family->nlabels] = ngx_shmetrics_str(&key);
            if (ngx_http_shmetrics_compile(cf, &rest, &use->labels[family->nlabels]) == NULL) goto invalid;
            if (use->labels[family->nlabels].lengths) use->constant = 0;
            family->nlabels++;
        }
    }
    if (use->value == NULL && family->type != NGX_SHMETRICS_COUNTER) return "needs a parameter \"value=\"";

    known = ngx_http_shmetrics_find(main, &family->name);
    if (known && !ngx_http_shmetrics_is_same(known, family)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the metric \"%V\" has another type, other labels, buckets or limits in %V:%ui",
                           &family->name, &known->place.file, known->place.line);
        return NGX_CONF_ERROR;
    }
    if (known) {
        family = known;
    } else {
        if ((slot = ngx_array_push(&main->custom)) == NULL) return NGX_CONF_ERROR;
        *slot = family;
        if (ngx_shmetrics_add_family(main->core, family) != NGX_OK) return NGX_CONF_ERROR;
    }
    use->family = family;
    if (conf->uses == NULL && (conf->uses = ngx_array_create(cf->pool, 4, sizeof use)) == NULL) return NGX_CONF_ERROR;
    if ((place = ngx_array_push(conf->uses)) == NULL) return NGX_CONF_ERROR;
    *place = use;
    return NGX_CONF_OK;

invalid:
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"", &value[i]);
    return NGX_CONF_ERROR;
}

static int ngx_http_shmetrics_is_removed(const ngx_http_shmetrics_use_t *use) {
    switch (use->family->type) {
    case NGX_SHMETRICS_COUNTER: return shmetrics_counter_is_removed(use->handle.counter);
    case NGX_SHMETRICS_GAUGE: return shmetrics_gauge_is_removed(use->handle.gauge);
    default: return shmetrics_histogram_is_removed(use->handle.histogram);
    }
}

static ngx_int_t ngx_http_shmetrics_look_up(ngx_http_request_t *r, ngx_http_shmetrics_use_t *use) {
    ngx_shmetrics_family_t *family = use->family;
    shmetrics_str values[NGX_SHMETRICS_MAX_LABELS];
    ngx_str_t text;
    ngx_uint_t i;
    for (i = 0; i < family->nlabels; i++) {
        if (ngx_http_complex_value(r, &use->labels[i], &text) != NGX_OK) return NGX_ERROR;
        values[i] = ngx_shmetrics_str(&text);
    }
    switch (family->type) {
    case NGX_SHMETRICS_COUNTER:
        use->handle.counter = shmetrics_counter_with(family->handle.counter, values, family->nlabels);
        break;
    case NGX_SHMETRICS_GAUGE:
        use->handle.gauge = shmetrics_gauge_with(family->handle.gauge, values, family->nlabels);
        break;
    default:
        use->handle.histogram = shmetrics_histogram_with(family->handle.histogram, values, family->nlabels);
        break;
    }
    use->known = use->constant;
    return NGX_OK;
}

static void ngx_http_shmetrics_note_error(ngx_http_shmetrics_main_conf_t *main, const ngx_shmetrics_family_t *family) {
    shmetrics_str name = ngx_shmetrics_str(&family->name);
    shmetrics_counter_inc(shmetrics_counter_with(main->errors->handle.counter, &name, 1));
}

static void ngx_http_shmetrics_count_use(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main, ngx_http_shmetrics_use_t *use,
                                         const ngx_http_shmetrics_exemplar_t *exemplar) {
    double number = 1;
    ngx_str_t text;

    if (use->condition) {
        if (ngx_http_complex_value(r, use->condition, &text) != NGX_OK) {
            ngx_http_shmetrics_note_error(main, use->family);
            return;
        }
        if (text.len == 0 || (text.len == 1 && text.data[0] == '0')) return;
    }
    if (use->value) {
        if (ngx_http_complex_value(r, use->value, &text) != NGX_OK) {
            ngx_http_shmetrics_note_error(main, use->family);
            return;
        }
        if (text.len == 0 || (text.len == 1 && text.data[0] == '-')) return; /* no value */
        if (ngx_shmetrics_number(&text, &number) != NGX_OK || !isfinite(number)
            || (number < 0 && use->family->type == NGX_SHMETRICS_COUNTER)) {
            ngx_http_shmetrics_note_error(main, use->family);
            return;
        }
    }
    if ((!use->known || ngx_http_shmetrics_is_removed(use)) && ngx_http_shmetrics_look_up(r, use) != NGX_OK) {
        ngx_http_shmetrics_note_error(main, use->family);
        return;
    }
    switch (use->family->type) {
    case NGX_SHMETRICS_COUNTER:
        if (exemplar->count) {
            shmetrics_counter_add_with_exemplar(use->handle.counter, number, exemplar->labels, exemplar->count);
        } else {
            shmetrics_counter_add(use->handle.counter, number);
        }
        break;
    case NGX_SHMETRICS_GAUGE:
        shmetrics_gauge_set(use->handle.gauge, number);
        break;
    default:
        if (exemplar->count) {
            shmetrics_histogram_observe_with_exemplar(use->handle.histogram, number, exemplar->labels, exemplar->count);
        } else {
            shmetrics_histogram_observe(use->handle.histogram, number);
        }
        break;
    }
}

void ngx_http_shmetrics_count_custom(ngx_http_request_t *r, ngx_http_shmetrics_main_conf_t *main, ngx_array_t *uses,
                                     const ngx_http_shmetrics_exemplar_t *exemplar) {
    ngx_http_shmetrics_use_t **use = uses->elts;
    ngx_uint_t i;
    for (i = 0; i < uses->nelts; i++) ngx_http_shmetrics_count_use(r, main, use[i], exemplar);
}
