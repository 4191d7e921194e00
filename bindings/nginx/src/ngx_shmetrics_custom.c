/* shmetrics_counter, _histogram, _gauge: metrics of the configuration, in http and stream. */
#include "ngx_shmetrics.h"

#include <math.h>

/* A metric where it is updated. */
typedef struct {
    ngx_shmetrics_family_t *family;
    void *value;     /* NULL: 1 */
    ngx_uint_t turn; /* the set's, when the handle was made; 0: there is none */
    union {
        shmetrics_counter counter;
        shmetrics_histogram histogram;
        shmetrics_gauge gauge;
    } handle;
} ngx_shmetrics_use_t;

/* The metrics of one level that have the same condition and the same labels. */
typedef struct {
    ngx_str_t condition_text;
    void *condition;               /* NULL: none */
    ngx_shmetrics_family_t *first; /* its label names are those of all */
    ngx_str_t *texts;
    void **labels;
    ngx_array_t uses;               /* of ngx_shmetrics_use_t */
    unsigned constant : 1;          /* all label values are */
    unsigned known : 1;             /* the entry is that of the constant label values */
    ngx_uint_t turn;                /* counts the look-ups of entries */
    ngx_shmetrics_bundle_t *bundle; /* that the entry is of */
    shmetrics_entry entry;
} ngx_shmetrics_set_t;

/* What a directive says. */
typedef struct {
    ngx_shmetrics_family_t *family;
    void *value;
    ngx_str_t condition;
    void *compiled_condition;
    ngx_str_t texts[NGX_SHMETRICS_MAX_LABELS];
    void *labels[NGX_SHMETRICS_MAX_LABELS];
    unsigned constant : 1;
} ngx_shmetrics_directive_t;

static ngx_shmetrics_family_t *ngx_shmetrics_find_custom(const ngx_shmetrics_customs_t *customs,
    const ngx_str_t *name) {
    ngx_shmetrics_family_t **family = customs->families.elts;
    ngx_uint_t i;
    for (i = 0; i < customs->families.nelts; i++)
        if (ngx_shmetrics_same(&family[i]->name, name)) return family[i];
    return NULL;
}

static int ngx_shmetrics_has_same_labels(const ngx_shmetrics_family_t *a, const ngx_shmetrics_family_t *b) {
    ngx_uint_t i;
    if (a->nlabels != b->nlabels) return 0;
    for (i = 0; i < a->nlabels; i++)
        if (a->labels[i].len != b->labels[i].len
            || ngx_memcmp(a->labels[i].data, b->labels[i].data, a->labels[i].len) != 0)
            return 0;
    return 1;
}

static int ngx_shmetrics_is_same_family(const ngx_shmetrics_family_t *a, const ngx_shmetrics_family_t *b) {
    if (a->type != b->type || a->native != b->native || a->max_series != b->max_series) return 0;
    if ((a->buckets ? a->buckets->nelts : 0) != (b->buckets ? b->buckets->nelts : 0)) return 0;
    if (a->buckets && ngx_memcmp(a->buckets->elts, b->buckets->elts, a->buckets->nelts * sizeof(double)) != 0) return 0;
    return ngx_shmetrics_has_same_labels(a, b);
}

static int ngx_shmetrics_is_key(const ngx_str_t *key, const char *name) {
    return key->len == ngx_strlen(name) && ngx_strncmp(key->data, name, key->len) == 0;
}

/* `key=rest`, of a metric that `directive` defines. NGX_ERROR: the parameter is invalid. */
static ngx_int_t ngx_shmetrics_read_parameter(ngx_conf_t *cf, const ngx_shmetrics_customs_t *customs,
    ngx_shmetrics_directive_t *directive, const ngx_str_t *key, ngx_str_t *rest) {
    ngx_shmetrics_family_t *family = directive->family;
    ngx_uint_t variable;
    if (ngx_shmetrics_is_key(key, "value")) {
        double number;
        if ((directive->value = customs->language->compile(cf, rest, &variable)) == NULL) return NGX_ERROR;
        if (variable) return NGX_OK;
        if (ngx_shmetrics_number(rest, &number) != NGX_OK || !isfinite(number)) return NGX_ERROR;
        return family->type == NGX_SHMETRICS_COUNTER && number < 0 ? NGX_ERROR : NGX_OK;
    }
    if (ngx_shmetrics_is_key(key, "if")) {
        directive->condition = *rest;
        directive->compiled_condition = customs->language->compile(cf, rest, &variable);
        return directive->compiled_condition ? NGX_OK : NGX_ERROR;
    }
    if (ngx_shmetrics_is_key(key, "help")) {
        family->help = *rest;
        return NGX_OK;
    }
    if (ngx_shmetrics_is_key(key, "max_series")) {
        ngx_int_t most = ngx_atoi(rest->data, rest->len);
        family->max_series = (ngx_uint_t) most;
        return most == NGX_ERROR ? NGX_ERROR : NGX_OK;
    }
    if (ngx_shmetrics_is_key(key, "buckets")) {
        if (family->type != NGX_SHMETRICS_HISTOGRAM
            || (family->buckets = ngx_array_create(cf->pool, 16, sizeof(double))) == NULL)
            return NGX_ERROR;
        return ngx_shmetrics_parse_bounds(cf, *rest, family->buckets) == NGX_CONF_OK ? NGX_OK : NGX_DECLINED;
    }
    if (ngx_shmetrics_is_key(key, "native")) {
        ngx_str_t whole = {key->len + 1 + rest->len, key->data};
        if (family->type != NGX_SHMETRICS_HISTOGRAM) return NGX_ERROR;
        return ngx_shmetrics_parse_native(&whole, &family->native);
    }
    if (family->nlabels == NGX_SHMETRICS_MAX_LABELS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the metric \"%V\" has too many labels", &family->name);
        return NGX_DECLINED;
    }
    family->labels[family->nlabels] = ngx_shmetrics_str(key);
    directive->texts[family->nlabels] = *rest;
    directive->labels[family->nlabels] = customs->language->compile(cf, rest, &variable);
    if (directive->labels[family->nlabels] == NULL) return NGX_ERROR;
    if (variable) directive->constant = 0;
    family->nlabels++;
    return NGX_OK;
}

/* What is before the sign, or all without one. */
static ngx_str_t ngx_shmetrics_key(const ngx_str_t *parameter) {
    ngx_str_t key = *parameter;
    u_char *sign = ngx_strlchr(key.data, key.data + key.len, '=');
    if (sign) key.len = (size_t) (sign - key.data);
    return key;
}

/* Whether this parameter, of those that follow the name, has the key of an earlier one. */
static int ngx_shmetrics_is_repeated(const ngx_str_t *parameters, ngx_uint_t at) {
    ngx_str_t key = ngx_shmetrics_key(&parameters[at]), earlier;
    ngx_uint_t i;
    for (i = 0; i < at; i++) {
        earlier = ngx_shmetrics_key(&parameters[i]);
        if (ngx_shmetrics_same(&earlier, &key)) return 1;
    }
    return 0;
}

static int ngx_shmetrics_is_of_set(const ngx_shmetrics_set_t *set, const ngx_shmetrics_directive_t *directive) {
    const ngx_shmetrics_family_t *family = directive->family;
    ngx_uint_t i;
    if ((set->condition == NULL) != (directive->compiled_condition == NULL)) return 0;
    if (!ngx_shmetrics_same(&set->condition_text, &directive->condition)
        || !ngx_shmetrics_has_same_labels(set->first, family))
        return 0;
    for (i = 0; i < family->nlabels; i++)
        if (!ngx_shmetrics_same(&set->texts[i], &directive->texts[i])) return 0;
    return 1;
}

/* The set of this level that the directive belongs to. NULL: there is no memory. */
static ngx_shmetrics_set_t *ngx_shmetrics_find_set(ngx_conf_t *cf, ngx_array_t **sets,
    const ngx_shmetrics_directive_t *directive) {
    ngx_shmetrics_set_t **known, *set;
    ngx_uint_t i, count = directive->family->nlabels;
    if (*sets == NULL && (*sets = ngx_array_create(cf->pool, 4, sizeof set)) == NULL) return NULL;
    known = (*sets)->elts;
    for (i = 0; i < (*sets)->nelts; i++)
        if (ngx_shmetrics_is_of_set(known[i], directive)) return known[i];
    if ((set = ngx_pcalloc(cf->pool, sizeof *set)) == NULL) return NULL;
    set->texts = ngx_palloc(cf->pool, (count + 1) * sizeof *set->texts);
    set->labels = ngx_palloc(cf->pool, (count + 1) * sizeof *set->labels);
    if (set->texts == NULL || set->labels == NULL) return NULL;
    if (ngx_array_init(&set->uses, cf->pool, 4, sizeof(ngx_shmetrics_use_t)) != NGX_OK) return NULL;
    ngx_memcpy(set->texts, directive->texts, count * sizeof *set->texts);
    ngx_memcpy(set->labels, directive->labels, count * sizeof *set->labels);
    set->first = directive->family;
    set->condition_text = directive->condition;
    set->condition = directive->compiled_condition;
    set->constant = directive->constant;
    if ((known = ngx_array_push(*sets)) == NULL) return NULL;
    *known = set;
    return set;
}

char *ngx_shmetrics_custom(ngx_conf_t *cf, ngx_shmetrics_customs_t *customs, ngx_shmetrics_type_e type,
    ngx_array_t **sets) {
    ngx_shmetrics_directive_t directive;
    ngx_shmetrics_family_t *family = ngx_pcalloc(cf->pool, sizeof *family), *known, **slot;
    ngx_shmetrics_set_t *set, **place;
    ngx_shmetrics_use_t *use;
    ngx_str_t *value = cf->args->elts;
    ngx_uint_t i;

    if (family == NULL) return NGX_CONF_ERROR;
    ngx_shmetrics_need(cf);
    ngx_shmetrics_place(cf, &family->place);
    family->name = value[1];
    family->type = type;
    family->gauge_mode = SHMETRICS_GAUGE_SHARED;
    family->max_series = NGX_SHMETRICS_MAX_SERIES;
    ngx_memzero(&directive, sizeof directive);
    directive.family = family;
    directive.constant = 1;
    for (i = 2; i < cf->args->nelts; i++) {
        ngx_str_t key = ngx_shmetrics_key(&value[i]), rest;
        ngx_int_t result = NGX_ERROR;
        if (ngx_shmetrics_is_repeated(&value[2], i - 2)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the metric \"%V\" has the parameter \"%V\" twice", &family->name,
                &key);
            return NGX_CONF_ERROR;
        }
        if (key.len && key.len < value[i].len) {
            rest.data = key.data + key.len + 1;
            rest.len = value[i].len - key.len - 1;
            if (rest.len && (rest.data[0] == '"' || rest.data[0] == '\'')) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                    "invalid parameter \"%V\": quotes belong around the whole, as in \"%V=two words\"", &value[i],
                    &key);
                return NGX_CONF_ERROR;
            }
            result = ngx_shmetrics_read_parameter(cf, customs, &directive, &key, &rest);
        } else if (type == NGX_SHMETRICS_HISTOGRAM && ngx_shmetrics_is_key(&key, "native")) {
            result = ngx_shmetrics_parse_native(&value[i], &family->native);
        }
        if (result == NGX_OK) continue;
        if (result == NGX_ERROR) ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"", &value[i]);
        return NGX_CONF_ERROR;
    }
    if (directive.value == NULL && type != NGX_SHMETRICS_COUNTER) return "needs a parameter \"value=\"";

    known = ngx_shmetrics_find_custom(customs, &family->name);
    if (known && !ngx_shmetrics_is_same_family(known, family)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
            "the metric \"%V\" has another type, other labels, buckets or limits in %V:%ui", &family->name,
            &known->place.file, known->place.line);
        return NGX_CONF_ERROR;
    }
    if (known) {
        directive.family = family = known;
    } else {
        if (ngx_array_init(&family->sets, cf->pool, 2, sizeof set) != NGX_OK) return NGX_CONF_ERROR;
        if ((slot = ngx_array_push(&customs->families)) == NULL) return NGX_CONF_ERROR;
        *slot = family;
        if (ngx_shmetrics_add_family(customs->core, family) != NGX_OK) return NGX_CONF_ERROR;
    }
    if ((set = ngx_shmetrics_find_set(cf, sets, &directive)) == NULL) return NGX_CONF_ERROR;
    if ((use = ngx_array_push(&set->uses)) == NULL || (place = ngx_array_push(&family->sets)) == NULL)
        return NGX_CONF_ERROR;
    ngx_memzero(use, sizeof *use);
    use->family = family;
    use->value = directive.value;
    *place = set;
    return NGX_CONF_OK;
}

ngx_int_t ngx_shmetrics_merge_customs(ngx_array_t **sets, ngx_array_t *outer) {
    void *more;
    if (*sets == NULL) {
        *sets = outer;
        return NGX_OK;
    }
    if (outer == NULL) return NGX_OK;
    if ((more = ngx_array_push_n(*sets, outer->nelts)) == NULL) return NGX_ERROR;
    ngx_memcpy(more, outer->elts, outer->nelts * sizeof(void *));
    return NGX_OK;
}

/* A label set of such families is updated in all of them, so none shows a value that it has not. A
 * gauge that is not set must not show 0. */
static int ngx_shmetrics_are_together(const ngx_shmetrics_family_t *a, const ngx_shmetrics_family_t *b) {
    return a->type != NGX_SHMETRICS_GAUGE && b->type != NGX_SHMETRICS_GAUGE && a->max_series == b->max_series
        && a->sets.nelts == b->sets.nelts
        && ngx_memcmp(a->sets.elts, b->sets.elts, a->sets.nelts * sizeof(void *)) == 0;
}

ngx_int_t ngx_shmetrics_define_customs(ngx_conf_t *cf, ngx_shmetrics_customs_t *customs,
    const ngx_shmetrics_limits_t *limits) {
    ngx_shmetrics_default_t errors = {
        .help = ngx_string("Values of custom metrics that are not numbers, or that are negative for a counter."),
        .type = NGX_SHMETRICS_COUNTER,
        .group = 1,
        .labels = {"metric"}};
    ngx_shmetrics_family_t **family;
    ngx_uint_t i, k;
    if (customs->families.nelts == 0) return NGX_OK;
    errors.name = customs->errors_name;
    if (ngx_shmetrics_define(cf->pool, customs->core, limits, &errors, 1, 1, &customs->errors) != NGX_OK)
        return NGX_ERROR;
    family = customs->families.elts;
    for (i = 1; i < customs->families.nelts; i++) {
        for (k = 0; k < i; k++) {
            if (!ngx_shmetrics_are_together(family[k], family[i])) continue;
            if (ngx_shmetrics_join(cf->pool, family[k], family[i]) != NGX_OK) return NGX_ERROR;
            family[k]->bundle->custom = 1;
            break;
        }
    }
    return NGX_OK;
}

static void ngx_shmetrics_note_error(const ngx_shmetrics_customs_t *customs, const ngx_shmetrics_family_t *family) {
    shmetrics_str name = ngx_shmetrics_str(&family->name);
    shmetrics_counter_inc(shmetrics_counter_with(customs->errors->handle.counter, &name, 1));
}

static void ngx_shmetrics_note_errors(const ngx_shmetrics_customs_t *customs, const ngx_shmetrics_set_t *set) {
    const ngx_shmetrics_use_t *use = set->uses.elts;
    ngx_uint_t i;
    for (i = 0; i < set->uses.nelts; i++) ngx_shmetrics_note_error(customs, use[i].family);
}

/* NGX_DECLINED: there is no value. */
static ngx_int_t ngx_shmetrics_read_value(const ngx_shmetrics_customs_t *customs, void *request,
    const ngx_shmetrics_use_t *use, double *number) {
    ngx_str_t text;
    *number = 1;
    if (use->value == NULL) return NGX_OK;
    if (customs->language->evaluate(request, use->value, &text) != NGX_OK) return NGX_ERROR;
    if (text.len == 0 || (text.len == 1 && text.data[0] == '-')) return NGX_DECLINED;
    if (ngx_shmetrics_number(&text, number) != NGX_OK || !isfinite(*number)) return NGX_ERROR;
    return *number < 0 && use->family->type == NGX_SHMETRICS_COUNTER ? NGX_ERROR : NGX_OK;
}

/* The label values of a set for this request, found when the first metric needs them. */
typedef struct {
    const ngx_shmetrics_customs_t *customs;
    void *request;
    const ngx_shmetrics_set_t *set;
    ngx_uint_t found;
    shmetrics_str values[NGX_SHMETRICS_MAX_LABELS];
} ngx_shmetrics_values_t;

static ngx_int_t ngx_shmetrics_find_values(ngx_shmetrics_values_t *values) {
    ngx_uint_t i;
    ngx_str_t text;
    if (values->found) return NGX_OK;
    for (i = 0; i < values->set->first->nlabels; i++) {
        if (values->customs->language->evaluate(values->request, values->set->labels[i], &text) != NGX_OK)
            return NGX_ERROR;
        values->values[i] = ngx_shmetrics_str(&text);
    }
    values->found = 1;
    return NGX_OK;
}

static int ngx_shmetrics_is_use_removed(const ngx_shmetrics_use_t *use) {
    switch (use->family->type) {
    case NGX_SHMETRICS_COUNTER: return shmetrics_counter_is_removed(use->handle.counter);
    case NGX_SHMETRICS_GAUGE: return shmetrics_gauge_is_removed(use->handle.gauge);
    default: return shmetrics_histogram_is_removed(use->handle.histogram);
    }
}

/* Has the handle of a metric by itself. */
static ngx_int_t ngx_shmetrics_find_use(ngx_shmetrics_values_t *values, ngx_shmetrics_use_t *use) {
    const ngx_shmetrics_family_t *family = use->family;
    if (use->turn && !ngx_shmetrics_is_use_removed(use)) return NGX_OK;
    if (ngx_shmetrics_find_values(values) != NGX_OK) return NGX_ERROR;
    switch (family->type) {
    case NGX_SHMETRICS_COUNTER:
        use->handle.counter = shmetrics_counter_with(family->handle.counter, values->values, family->nlabels);
        break;
    case NGX_SHMETRICS_GAUGE:
        use->handle.gauge = shmetrics_gauge_with(family->handle.gauge, values->values, family->nlabels);
        break;
    default:
        use->handle.histogram = shmetrics_histogram_with(family->handle.histogram, values->values, family->nlabels);
        break;
    }
    use->turn = values->set->constant;
    return NGX_OK;
}

/* Makes the set's entry that of this bundle. `*checked`: it was looked at for this request. */
static ngx_int_t ngx_shmetrics_find_entry(ngx_shmetrics_values_t *values, ngx_shmetrics_set_t *set,
    ngx_shmetrics_bundle_t *bundle, ngx_uint_t *checked) {
    if (set->bundle == bundle && (*checked || (set->known && !shmetrics_entry_is_removed(set->entry)))) {
        *checked = 1;
        return NGX_OK;
    }
    if (ngx_shmetrics_find_values(values) != NGX_OK) return NGX_ERROR;
    set->entry = shmetrics_bundle_with(bundle->handle, values->values, set->first->nlabels);
    set->bundle = bundle;
    set->known = set->constant;
    set->turn++;
    *checked = 1;
    return NGX_OK;
}

/* Without handles: to make one takes longer than a single update. */
static void ngx_shmetrics_update_entry(shmetrics_entry entry, const ngx_shmetrics_use_t *use, double number) {
    const ngx_shmetrics_family_t *family = use->family;
    if (family->type == NGX_SHMETRICS_HISTOGRAM) {
        shmetrics_entry_observe(entry, family->member, number);
    } else if (use->value == NULL) {
        shmetrics_entry_add_u64(entry, family->member, 1);
    } else {
        shmetrics_entry_add(entry, family->member, number);
    }
}

static void ngx_shmetrics_keep_use(const ngx_shmetrics_set_t *set, ngx_shmetrics_use_t *use) {
    const ngx_shmetrics_family_t *family = use->family;
    if (use->turn == set->turn) return;
    if (family->type == NGX_SHMETRICS_COUNTER) {
        use->handle.counter = shmetrics_entry_counter(set->entry, family->member);
    } else {
        use->handle.histogram = shmetrics_entry_histogram(set->entry, family->member);
    }
    use->turn = set->turn;
}

static void ngx_shmetrics_update(const ngx_shmetrics_use_t *use, double number,
    const ngx_shmetrics_exemplar_t *exemplar) {
    switch (use->family->type) {
    case NGX_SHMETRICS_COUNTER:
        if (exemplar->count) {
            shmetrics_counter_add_with_exemplar(use->handle.counter, number, exemplar->labels, exemplar->count);
        } else if (use->value == NULL) {
            shmetrics_counter_inc(use->handle.counter);
        } else {
            shmetrics_counter_add(use->handle.counter, number);
        }
        break;
    case NGX_SHMETRICS_GAUGE: shmetrics_gauge_set(use->handle.gauge, number); break;
    default:
        if (exemplar->count) {
            shmetrics_histogram_observe_with_exemplar(use->handle.histogram, number, exemplar->labels, exemplar->count);
        } else {
            shmetrics_histogram_observe(use->handle.histogram, number);
        }
        break;
    }
}

static void ngx_shmetrics_count_set(const ngx_shmetrics_customs_t *customs, void *request, ngx_shmetrics_set_t *set,
    const ngx_shmetrics_exemplar_t *exemplar) {
    ngx_shmetrics_use_t *use = set->uses.elts;
    ngx_shmetrics_values_t values;
    ngx_shmetrics_bundle_t *bundle;
    ngx_uint_t i, checked = 0;
    ngx_int_t result;
    ngx_str_t text;
    double number;

    if (set->condition) {
        if (customs->language->evaluate(request, set->condition, &text) != NGX_OK) {
            ngx_shmetrics_note_errors(customs, set);
            return;
        }
        if (text.len == 0 || (text.len == 1 && text.data[0] == '0')) return;
    }
    values.customs = customs;
    values.request = request;
    values.set = set;
    values.found = 0;
    for (i = 0; i < set->uses.nelts; i++) {
        result = ngx_shmetrics_read_value(customs, request, &use[i], &number);
        if (result == NGX_DECLINED) continue;
        bundle = use[i].family->bundle;
        if (result == NGX_OK)
            result = bundle ? ngx_shmetrics_find_entry(&values, set, bundle, &checked)
                            : ngx_shmetrics_find_use(&values, &use[i]);
        if (result != NGX_OK) {
            ngx_shmetrics_note_error(customs, use[i].family);
        } else if (bundle && !set->constant && exemplar->count == 0) {
            ngx_shmetrics_update_entry(set->entry, &use[i], number);
        } else {
            if (bundle) ngx_shmetrics_keep_use(set, &use[i]);
            ngx_shmetrics_update(&use[i], number, exemplar);
        }
    }
}

void ngx_shmetrics_count_customs(const ngx_shmetrics_customs_t *customs, void *request, const ngx_array_t *sets,
    const ngx_shmetrics_exemplar_t *exemplar) {
    ngx_shmetrics_set_t **set = sets->elts;
    ngx_uint_t i;
    for (i = 0; i < sets->nelts; i++) ngx_shmetrics_count_set(customs, request, set[i], exemplar);
}
