/* shmetrics_zone: opens the segment in the master, and registers the families. */
#include "ngx_shmetrics.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#define NGX_SHMETRICS_TELL_EVERY   60 /* seconds */
#define NGX_SHMETRICS_REPEAT_EVERY 60 /* minutes */

/* The metrics that this process has registered in a segment. */
typedef struct ngx_shmetrics_name_s {
    struct ngx_shmetrics_name_s *next;
    ngx_str_t name;
    ngx_uint_t bundle; /* a hash of the members' names; 0: none */
} ngx_shmetrics_name_t;

typedef struct {
    shmetrics_segment *segment;
    ngx_shmetrics_name_t *first;
} ngx_shmetrics_names_t;

/* Definitions are tried in a segment without a name. It stays mapped: there is one, not many. */
static ngx_shmetrics_names_t ngx_shmetrics_scratch;
static ngx_shmetrics_names_t ngx_shmetrics_registered;

static ngx_event_t ngx_shmetrics_event;
static ngx_connection_t ngx_shmetrics_no_connection; /* whose number nginx logs with the event */

ngx_shmetrics_conf_t *ngx_shmetrics_get_conf(ngx_cycle_t *cycle) {
    return (ngx_shmetrics_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_shmetrics_module);
}

void ngx_shmetrics_place(ngx_conf_t *cf, ngx_shmetrics_place_t *place) {
    if (cf->conf_file == NULL || cf->conf_file->file.name.len == 0) {
        ngx_str_set(&place->file, "the command line");
        return;
    }
    place->file = cf->conf_file->file.name;
    place->line = cf->conf_file->line;
}

void ngx_shmetrics_need(ngx_conf_t *cf) {
    ngx_shmetrics_conf_t *conf = ngx_shmetrics_get_conf(cf->cycle);
    if (conf->needed.file.len == 0) ngx_shmetrics_place(cf, &conf->needed);
}

ngx_int_t ngx_shmetrics_add_family(ngx_shmetrics_conf_t *conf, ngx_shmetrics_family_t *family) {
    ngx_shmetrics_family_t **slot = ngx_array_push(&conf->families);
    if (slot == NULL) return NGX_ERROR;
    *slot = family;
    return NGX_OK;
}

static void *ngx_shmetrics_create_conf(ngx_cycle_t *cycle) {
    ngx_shmetrics_conf_t *conf = ngx_pcalloc(cycle->pool, sizeof *conf);
    if (conf == NULL) return NULL;
    if (ngx_array_init(&conf->labels, cycle->pool, 4, sizeof(shmetrics_label)) != NGX_OK) return NULL;
    conf->names = NGX_SHMETRICS_OWN;
    if (ngx_array_init(&conf->families, cycle->pool, 32, sizeof(ngx_shmetrics_family_t *)) != NGX_OK) return NULL;
    return conf;
}

/* If `text` is `key=…`, what follows the sign. */
static ngx_int_t ngx_shmetrics_parameter(const ngx_str_t *text, const char *key, ngx_str_t *value) {
    size_t len = ngx_strlen(key);
    if (text->len <= len || ngx_strncmp(text->data, key, len) != 0 || text->data[len] != '=') return 0;
    value->data = text->data + len + 1;
    value->len = text->len - len - 1;
    return 1;
}

static ngx_int_t ngx_shmetrics_init_told(ngx_shm_zone_t *zone, void *data) {
    ngx_slab_pool_t *pool = (ngx_slab_pool_t *) zone->shm.addr;
    ngx_shmetrics_told_t *told = data;
    ngx_time_t *now = ngx_timeofday();
    if (told == NULL && zone->shm.exists) told = pool->data;
    if (told == NULL) {
        told = ngx_slab_calloc(pool, sizeof *told);
        if (told == NULL) return NGX_ERROR;
#if (NGX_STAT_STUB)
        told->accepted = *ngx_stat_accepted; /* not 0 if a reload brings the module */
        told->handled = *ngx_stat_handled;
        told->requests = *ngx_stat_requests;
#endif
        told->started_at = (ngx_atomic_uint_t) now->sec * 1000 + now->msec;
        pool->data = told;
    }
    zone->data = told;
    return NGX_OK;
}

static char *ngx_shmetrics_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_shmetrics_conf_t *conf = data;
    ngx_str_t *value = cf->args->elts, s;
    ngx_uint_t i, k;

    static ngx_str_t told = ngx_string("shmetrics");

    (void) cmd;
    if (conf->name.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the zone is defined in %V:%ui already", &conf->place.file,
            conf->place.line);
        return NGX_CONF_ERROR;
    }
    if (value[1].len == 0) return "needs a name";
    conf->name = value[1];
    ngx_shmetrics_place(cf, &conf->place);
    conf->told = ngx_shared_memory_add(cf, &told, 8 * ngx_pagesize, &ngx_shmetrics_module);
    if (conf->told == NULL) return NGX_CONF_ERROR;
    conf->told->init = ngx_shmetrics_init_told;
    for (i = 2; i < cf->args->nelts; i++) {
        u_char *sign = ngx_strlchr(value[i].data, value[i].data + value[i].len, '=');
        if (ngx_shmetrics_parameter(&value[i], "size", &s)) {
            ssize_t size = ngx_parse_size(&s);
            if (size <= 0) goto invalid;
            conf->size = (ngx_uint_t) size;
        } else if (ngx_shmetrics_parameter(&value[i], "mode", &s)) {
            if (s.len == 0 || s.len > 4) goto invalid;
            conf->mode = 0;
            for (k = 0; k < s.len; k++) {
                if (s.data[k] < '0' || s.data[k] > '7') goto invalid;
                conf->mode = conf->mode * 8 + (ngx_uint_t) (s.data[k] - '0');
            }
            if (conf->mode == 0 || conf->mode > 0777) goto invalid;
        } else if (ngx_shmetrics_parameter(&value[i], "owner", &s)) {
            conf->owner = s;
        } else if (ngx_shmetrics_parameter(&value[i], "group", &s)) {
            conf->group = s;
        } else if (ngx_shmetrics_parameter(&value[i], "trust", &s)) {
            conf->trust = s;
        } else if (sign != NULL && sign != value[i].data) {
            shmetrics_label *label;
            if (conf->labels.nelts == NGX_SHMETRICS_MAX_LABELS) return "has too many labels";
            label = ngx_array_push(&conf->labels);
            if (label == NULL) return NGX_CONF_ERROR;
            label->name.data = (const char *) value[i].data;
            label->name.len = (size_t) (sign - value[i].data);
            label->value.data = (const char *) sign + 1;
            label->value.len = value[i].len - label->name.len - 1;
        } else {
            goto invalid;
        }
    }
    return NGX_CONF_OK;

invalid:
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"", &value[i]);
    return NGX_CONF_ERROR;
}

static ngx_str_t ngx_shmetrics_base(const ngx_shmetrics_family_t *family) {
    ngx_str_t name = family->name;
    if (family->type == NGX_SHMETRICS_COUNTER && name.len > 6
        && ngx_strncmp(name.data + name.len - 6, "_total", 6) == 0)
        name.len -= 6;
    return name;
}

static void ngx_shmetrics_refuse(ngx_cycle_t *cycle, const char *reason, const ngx_str_t *what,
    const ngx_shmetrics_place_t *at) {
    ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "shmetrics: \"%V\": %s in %V:%ui", what, reason, &at->file, at->line);
}

static int ngx_shmetrics_is_fault_of_definition(shmetrics_status status) {
    return status == SHMETRICS_STATUS_INVALID_ARGUMENT || status == SHMETRICS_STATUS_INVALID_NAME
        || status == SHMETRICS_STATUS_CONFLICT;
}

static int ngx_shmetrics_has(const ngx_shmetrics_conf_t *conf, const ngx_str_t *name) {
    ngx_shmetrics_family_t **family = conf->families.elts;
    ngx_uint_t i;
    for (i = 0; i < conf->families.nelts; i++)
        if (ngx_shmetrics_same(&family[i]->name, name)) return 1;
    return 0;
}

/* Unregisters what has been registered, so that it is no conflict any more. What `keep` has stays:
 * to define it again as it was takes no memory. */
static void ngx_shmetrics_forget(ngx_shmetrics_names_t *names, const ngx_shmetrics_conf_t *keep) {
    ngx_shmetrics_name_t **at = &names->first, *one;
    while ((one = *at) != NULL) {
        if (keep && ngx_shmetrics_has(keep, &one->name)) {
            at = &one->next;
            continue;
        }
        if (names->segment) (void) shmetrics_unregister(names->segment, ngx_shmetrics_str(&one->name), NULL);
        *at = one->next;
        ngx_free(one);
    }
}

static ngx_shmetrics_name_t *ngx_shmetrics_find_name(const ngx_shmetrics_names_t *names, const ngx_str_t *name) {
    ngx_shmetrics_name_t *one;
    for (one = names->first; one; one = one->next)
        if (ngx_shmetrics_same(&one->name, name)) return one;
    return NULL;
}

/* A family that is registered by itself may be in the bundle that was noted before. */
static void ngx_shmetrics_note(ngx_shmetrics_names_t *names, const ngx_str_t *name, ngx_uint_t bundle) {
    ngx_shmetrics_name_t *one = ngx_shmetrics_find_name(names, name);
    if (one) {
        if (bundle) one->bundle = bundle;
        return;
    }
    one = malloc(sizeof *one + name->len);
    if (one == NULL) return;
    one->bundle = bundle;
    one->name.data = (u_char *) (one + 1);
    one->name.len = name->len;
    ngx_memcpy(one->name.data, name->data, name->len);
    one->next = names->first;
    names->first = one;
}

static shmetrics_segment *ngx_shmetrics_open_scratch(const shmetrics_label *labels, size_t count, uint64_t size,
    shmetrics_status *status) {
    shmetrics_options options;
    shmetrics_segment *segment = NULL;
    shmetrics_options_init(&options);
    options.open_mode = SHMETRICS_ANONYMOUS;
    options.max_size = size;
    options.labels = labels;
    options.label_count = count;
    *status = shmetrics_segment_open(&options, &segment);
    return segment;
}

static ngx_int_t ngx_shmetrics_check_user(const ngx_str_t *name, int group) {
    char text[64];
    size_t i, digits = 0;
    if (name->len == 0) return NGX_OK;
    if (name->len >= sizeof text) return NGX_ERROR;
    for (i = 0; i < name->len; i++) digits += name->data[i] >= '0' && name->data[i] <= '9';
    if (digits == name->len) return NGX_OK;
    ngx_memcpy(text, name->data, name->len);
    text[name->len] = '\0';
    return (group ? getgrnam(text) != NULL : getpwnam(text) != NULL) ? NGX_OK : NGX_ERROR;
}

static ngx_int_t ngx_shmetrics_check_zone(ngx_cycle_t *cycle, ngx_shmetrics_conf_t *conf) {
    shmetrics_reader *reader = NULL;
    shmetrics_status status = shmetrics_reader_open(ngx_shmetrics_str(&conf->name), &reader);
    char reason[512];
    ngx_str_t user = conf->trust;
    shmetrics_reader_free(reader);
    if (status == SHMETRICS_STATUS_INVALID_NAME) {
        (void) shmetrics_last_error(reason, sizeof reason);
        ngx_shmetrics_refuse(cycle, reason, &conf->name, &conf->place);
        return NGX_ERROR;
    }
    if (ngx_shmetrics_check_user(&conf->owner, 0) != NGX_OK) {
        ngx_shmetrics_refuse(cycle, "there is no such user", &conf->owner, &conf->place);
        return NGX_ERROR;
    }
    if (ngx_shmetrics_check_user(&conf->group, 1) != NGX_OK) {
        ngx_shmetrics_refuse(cycle, "there is no such group", &conf->group, &conf->place);
        return NGX_ERROR;
    }
    while (user.len) {
        u_char *comma = ngx_strlchr(user.data, user.data + user.len, ',');
        ngx_str_t one = user;
        if (comma) one.len = (size_t) (comma - user.data);
        if (ngx_shmetrics_check_user(&one, 0) != NGX_OK) {
            ngx_shmetrics_refuse(cycle, "there is no such user", &one, &conf->place);
            return NGX_ERROR;
        }
        if (comma == NULL) break;
        user.data = comma + 1;
        user.len -= one.len + 1;
    }
    if (ngx_test_config) { /* the process ends soon, and with it this segment */
        (void) ngx_shmetrics_open_scratch(conf->labels.elts, conf->labels.nelts, conf->size, &status);
        if (ngx_shmetrics_is_fault_of_definition(status)) {
            (void) shmetrics_last_error(reason, sizeof reason);
            ngx_shmetrics_refuse(cycle, reason, &conf->name, &conf->place);
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

/* Defines all metrics. `*fault`, unless it is NULL then, is the one that cannot be. */
static shmetrics_status ngx_shmetrics_try(ngx_shmetrics_conf_t *conf, ngx_shmetrics_family_t *labels,
    ngx_shmetrics_family_t **fault) {
    ngx_shmetrics_family_t **family = conf->families.elts;
    shmetrics_status status;
    ngx_uint_t i;
    for (i = 0; i <= conf->families.nelts; i++) {
        *fault = i < conf->families.nelts ? family[i] : labels;
        if (*fault == labels && labels->nlabels == 0) break;
        status = ngx_shmetrics_register(ngx_shmetrics_scratch.segment, *fault, 0);
        if (status != SHMETRICS_STATUS_OK) return status;
        ngx_shmetrics_note(&ngx_shmetrics_scratch, &(*fault)->name, 0);
    }
    return SHMETRICS_STATUS_OK;
}

/* The labels of the segment are known when the whole configuration has been read: here. */
static char *ngx_shmetrics_init_conf(ngx_cycle_t *cycle, void *data) {
    ngx_shmetrics_conf_t *conf = data;
    ngx_shmetrics_family_t **family;
    shmetrics_label *label = conf->labels.elts;
    shmetrics_status status = SHMETRICS_STATUS_OK;
    ngx_shmetrics_family_t labels, *fault = NULL;
    char reason[512];
    ngx_uint_t i, k, n, again;

    conf->is_checked = 1;
    if (conf->name.len == 0) {
        if (conf->needed.file.len == 0) return NGX_CONF_OK;
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
            "shmetrics: there is no \"shmetrics_zone\" directive, which is needed in %V:%ui", &conf->needed.file,
            conf->needed.line);
        return NGX_CONF_ERROR;
    }
    if (ngx_shmetrics_define_connections(cycle, conf) != NGX_OK) return NGX_CONF_ERROR;
    family = conf->families.elts;
    for (i = 0; i < conf->families.nelts; i++) {
        ngx_str_t name = ngx_shmetrics_base(family[i]);
        for (k = 0; k < i; k++) {
            ngx_str_t earlier = ngx_shmetrics_base(family[k]);
            if (ngx_shmetrics_same(&name, &earlier)) {
                ngx_shmetrics_refuse(cycle, "there is another metric of this name", &family[i]->name,
                    &family[i]->place);
                return NGX_CONF_ERROR;
            }
        }
        for (k = 0; k < family[i]->nlabels; k++) {
            for (n = 0; n < conf->labels.nelts; n++) {
                if (label[n].name.len == family[i]->labels[k].len
                    && ngx_memcmp(label[n].name.data, family[i]->labels[k].data, label[n].name.len) == 0) {
                    ngx_str_t text = {label[n].name.len, (u_char *) label[n].name.data};
                    ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                        "shmetrics: the label \"%V\" of the zone is a label of \"%V\" too in %V:%ui", &text,
                        &family[i]->name, &conf->place.file, conf->place.line);
                    return NGX_CONF_ERROR;
                }
            }
        }
    }
    if (ngx_shmetrics_check_zone(cycle, conf) != NGX_OK) return NGX_CONF_ERROR;
    ngx_memzero(&labels, sizeof labels);
    ngx_str_set(&labels.name, "nginx_zone_labels");
    labels.place = conf->place;
    for (i = 0; i < conf->labels.nelts; i++) labels.labels[labels.nlabels++] = label[i].name;
    for (again = 0; again < 2; again++) {
        if (ngx_shmetrics_scratch.segment == NULL)
            ngx_shmetrics_scratch.segment = ngx_shmetrics_open_scratch(NULL, 0, 8 * 1024 * 1024, &status);
        if (ngx_shmetrics_scratch.segment == NULL) return NGX_CONF_OK; /* the real one will tell */
        ngx_shmetrics_forget(&ngx_shmetrics_scratch, again ? NULL : conf);
        status = ngx_shmetrics_try(conf, &labels, &fault);
        if (status == SHMETRICS_STATUS_OK) return NGX_CONF_OK;
        (void) shmetrics_last_error(reason, sizeof reason);
        if (status == SHMETRICS_STATUS_FULL) { /* of what many reloads have changed */
            ngx_shmetrics_forget(&ngx_shmetrics_scratch, NULL);
            ngx_shmetrics_scratch.segment = NULL;
        }
    }
    if (!ngx_shmetrics_is_fault_of_definition(status)) return NGX_CONF_OK;
    ngx_shmetrics_refuse(cycle, reason, fault == &labels ? &conf->name : &fault->name, &fault->place);
    return NGX_CONF_ERROR;
}

/* Never more than a line a minute of all processes, however often nginx is reloaded. */
void ngx_shmetrics_tell(ngx_shmetrics_conf_t *conf, ngx_log_t *log, const char *text) {
    ngx_shmetrics_told_t *told = conf->told->data;
    ngx_atomic_uint_t before = told->logged_at, now = (ngx_atomic_uint_t) ngx_time();
    if (before && now - before < NGX_SHMETRICS_TELL_EVERY) return;
    if (ngx_atomic_cmp_set(&told->logged_at, before, now))
        ngx_log_error(NGX_LOG_ERR, log, 0, "shmetrics: segment \"%V\": %s", &conf->name, text);
}

static void ngx_shmetrics_note_fault(ngx_shmetrics_conf_t *conf, const char *what, const char *reason) {
    u_char *end = ngx_snprintf(conf->fault, sizeof conf->fault - 1, "%s: %s", what, reason);
    *end = '\0';
}

/* Its members follow in the array of families, and are registered by themselves then. */
static void ngx_shmetrics_separate(ngx_shmetrics_bundle_t *bundle) {
    ngx_shmetrics_family_t *family, *next;
    for (family = bundle->first; family; family = next) {
        next = family->next;
        family->bundle = NULL;
        family->next = NULL;
    }
}

static ngx_uint_t ngx_shmetrics_hash(const ngx_shmetrics_bundle_t *bundle) {
    const ngx_shmetrics_family_t *family;
    ngx_uint_t hash = 1;
    for (family = bundle->first; family; family = family->next)
        hash = hash * 31 + ngx_murmur_hash2(family->name.data, family->name.len) + family->name.len;
    return hash ? hash : 1;
}

/* Whether a reload has made another bundle of metrics that are counted already. It would have them
 * start from 0, which no definition asks for: so they stay as they were registered. */
static int ngx_shmetrics_is_another(const ngx_shmetrics_bundle_t *bundle, ngx_uint_t hash) {
    const ngx_shmetrics_family_t *family;
    const ngx_shmetrics_name_t *one;
    for (family = bundle->first; bundle->custom && family; family = family->next)
        if ((one = ngx_shmetrics_find_name(&ngx_shmetrics_registered, &family->name)) != NULL && one->bundle != hash)
            return 1;
    return 0;
}

/* Returns the last fault, and notes the first one if `note`. */
static shmetrics_status ngx_shmetrics_register_all(ngx_shmetrics_conf_t *conf, int note) {
    ngx_shmetrics_family_t **family = conf->families.elts, *one;
    shmetrics_status status = SHMETRICS_STATUS_OK, last = SHMETRICS_STATUS_OK;
    char reason[400];
    ngx_uint_t i, hash;
    for (i = 0; i < conf->families.nelts; i++) {
        if (family[i]->bundle && family[i]->bundle->first != family[i]) continue;
        hash = family[i]->bundle ? ngx_shmetrics_hash(family[i]->bundle) : 0;
        if (hash && ngx_shmetrics_is_another(family[i]->bundle, hash)) ngx_shmetrics_separate(family[i]->bundle);
        if (family[i]->bundle) {
            status = ngx_shmetrics_register_bundle(conf->segment, family[i]->bundle);
            /* What keeps out one member must not keep out the others. */
            if (status != SHMETRICS_STATUS_OK && note) ngx_shmetrics_separate(family[i]->bundle);
        }
        if (family[i]->bundle == NULL) {
            hash = 0;
            status = ngx_shmetrics_register(conf->segment, family[i], 1);
        }
        if (status == SHMETRICS_STATUS_OK) {
            for (one = family[i]; one; one = one->next) ngx_shmetrics_note(&ngx_shmetrics_registered, &one->name, hash);
            continue;
        }
        last = status;
        (void) shmetrics_last_error(reason, sizeof reason);
        if (note && conf->fault[0] == '\0')
            ngx_shmetrics_note_fault(conf, "some metrics are not counted until nginx is reloaded", reason);
    }
    return last;
}

/* Runs in the master, for each configuration. A fault must not keep nginx from serving. */
static ngx_int_t ngx_shmetrics_init_module(ngx_cycle_t *cycle) {
    ngx_shmetrics_conf_t *conf = ngx_shmetrics_get_conf(cycle);
    ngx_core_conf_t *ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);
    shmetrics_options options;
    shmetrics_status status;
    char reason[400];
    int again;

    if (conf == NULL || conf->name.len == 0 || ngx_test_config) return NGX_OK;
    shmetrics_options_init(&options);
    options.name = ngx_shmetrics_str(&conf->name);
    options.mode = conf->mode ? (uint32_t) conf->mode : 0640;
    options.max_size = conf->size;
    options.owner = ngx_shmetrics_str(&conf->owner);
    options.group = ngx_shmetrics_str(&conf->group);
    options.trust = ngx_shmetrics_str(&conf->trust);
    options.labels = conf->labels.elts;
    options.label_count = conf->labels.nelts;
    if (options.trust.len == 0 && getenv("SHMETRICS_TRUST") == NULL && geteuid() == 0 && ccf->username) {
        /* An application of the workers' user may have been the first. */
        options.trust.data = ccf->username;
        options.trust.len = ngx_strlen(ccf->username);
    }
    status = shmetrics_segment_open(&options, &conf->segment);
    if (status == SHMETRICS_STATUS_CONFLICT && options.label_count) {
        (void) shmetrics_last_error(reason, sizeof reason);
        options.labels = NULL;
        options.label_count = 0;
        status = shmetrics_segment_open(&options, &conf->segment);
        if (status == SHMETRICS_STATUS_OK)
            ngx_shmetrics_note_fault(conf, "counting with the labels that it has", reason);
    }
    if (status != SHMETRICS_STATUS_OK) {
        conf->segment = NULL;
        (void) shmetrics_last_error(reason, sizeof reason);
        ngx_shmetrics_note_fault(conf, "nothing is counted until nginx is reloaded", reason);
        ngx_shmetrics_tell(conf, cycle->log, (char *) conf->fault);
        return NGX_OK;
    }
    if (ngx_shmetrics_registered.segment != conf->segment) {
        ngx_shmetrics_registered.segment = NULL;
        ngx_shmetrics_forget(&ngx_shmetrics_registered, NULL);
        ngx_shmetrics_registered.segment = conf->segment;
    }
    /* A name may clash with one that this configuration replaces, or no longer has. */
    for (again = 0; again < 2; again++) {
        if (ngx_shmetrics_register_all(conf, again) == SHMETRICS_STATUS_OK) break;
        if (!again) ngx_shmetrics_forget(&ngx_shmetrics_registered, conf);
    }
    if (conf->fault[0]) ngx_shmetrics_tell(conf, cycle->log, (char *) conf->fault);
    return NGX_OK;
}

static void ngx_shmetrics_timer(ngx_event_t *event) {
    ngx_shmetrics_conf_t *conf = ngx_shmetrics_get_conf((ngx_cycle_t *) ngx_cycle);
    char text[1024];
    if (conf == NULL || conf->name.len == 0) return;
    if (conf->segment && shmetrics_segment_next_warning(conf->segment, text, sizeof text)) {
        ngx_shmetrics_tell(conf, ngx_cycle->log, text);
    } else if (conf->fault[0] && ++conf->minutes % NGX_SHMETRICS_REPEAT_EVERY == 0) {
        ngx_shmetrics_tell(conf, ngx_cycle->log, (char *) conf->fault);
    }
    ngx_shmetrics_update_connections();
    if (!ngx_exiting && !ngx_quit && !ngx_terminate) ngx_add_timer(event, NGX_SHMETRICS_TELL_EVERY * 1000);
}

/* Without a master, nginx goes on after a reload, and the module may be gone. */
static void ngx_shmetrics_end_timer(void *data) {
    (void) data;
    if (ngx_shmetrics_event.timer_set) ngx_del_timer(&ngx_shmetrics_event);
}

static ngx_int_t ngx_shmetrics_init_process(ngx_cycle_t *cycle) {
    ngx_shmetrics_conf_t *conf = ngx_shmetrics_get_conf(cycle);
    ngx_pool_cleanup_t *cleanup;
    char reason[400];
    if (conf == NULL || conf->name.len == 0) return NGX_OK;
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return NGX_OK;
    if (conf->segment && shmetrics_segment_attach_process(conf->segment) != SHMETRICS_STATUS_OK) {
        (void) shmetrics_last_error(reason, sizeof reason);
        ngx_shmetrics_tell(conf, cycle->log, reason);
    }
    if (ngx_worker != 0) return NGX_OK; /* one worker tells for all */
    cleanup = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cleanup == NULL) return NGX_OK;
    cleanup->handler = ngx_shmetrics_end_timer;
    ngx_shmetrics_event.handler = ngx_shmetrics_timer;
    ngx_shmetrics_no_connection.fd = (ngx_socket_t) -1;
    ngx_shmetrics_event.data = &ngx_shmetrics_no_connection;
    ngx_shmetrics_event.log = ngx_cycle->log;
    ngx_shmetrics_event.cancelable = 1;
    ngx_add_timer(&ngx_shmetrics_event, NGX_SHMETRICS_TELL_EVERY * 1000);
    return NGX_OK;
}

static void ngx_shmetrics_exit_process(ngx_cycle_t *cycle) {
    (void) cycle;
    if (ngx_process == NGX_PROCESS_WORKER || ngx_process == NGX_PROCESS_SINGLE) ngx_shmetrics_update_connections();
}

/* clang-format off */
static ngx_command_t ngx_shmetrics_commands[] = {
    {ngx_string("shmetrics_zone"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_1MORE, ngx_shmetrics_zone, 0, 0, NULL},
    ngx_null_command,
};
/* clang-format on */

static ngx_core_module_t ngx_shmetrics_module_ctx = {
    ngx_string("shmetrics"),
    ngx_shmetrics_create_conf,
    ngx_shmetrics_init_conf,
};

ngx_module_t ngx_shmetrics_module = {
    NGX_MODULE_V1,
    &ngx_shmetrics_module_ctx,
    ngx_shmetrics_commands,
    NGX_CORE_MODULE,
    NULL, /* init master */
    ngx_shmetrics_init_module,
    ngx_shmetrics_init_process,
    NULL, /* init thread */
    NULL, /* exit thread */
    ngx_shmetrics_exit_process,
    NULL, /* exit master */
    NGX_MODULE_V1_PADDING,
};
