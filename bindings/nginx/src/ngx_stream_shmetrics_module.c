/* The metrics of TCP and UDP sessions, in the segment of the HTTP module's shmetrics_zone. */
#include "ngx_shmetrics.h"

#include <ngx_stream.h>
#if (NGX_SSL)
#include <ngx_event_openssl.h>
#endif

#define TEXT NGX_SHMETRICS_TEXT

#define NGX_STREAM_SHMETRICS_SESSIONS    0x01
#define NGX_STREAM_SHMETRICS_IN_PROGRESS 0x02
#define NGX_STREAM_SHMETRICS_DURATION    0x04
#define NGX_STREAM_SHMETRICS_BYTES       0x08
#define NGX_STREAM_SHMETRICS_UPSTREAM    0x10
#define NGX_STREAM_SHMETRICS_TLS         0x20
#define NGX_STREAM_SHMETRICS_LIMITS      0x40
#define NGX_STREAM_SHMETRICS_CONNECTIONS 0x80
#define NGX_STREAM_SHMETRICS_ALL         0xff

#define NGX_STREAM_SHMETRICS_STATUSES 7 /* the last is "other" */

enum {
    NGX_STREAM_SHMETRICS_F_UPSTREAM, /* and the others of NGX_SHMETRICS_U_... */
    NGX_STREAM_SHMETRICS_F_SESSIONS = NGX_STREAM_SHMETRICS_F_UPSTREAM + NGX_SHMETRICS_U_COUNT,
    NGX_STREAM_SHMETRICS_F_IN_PROGRESS,
    NGX_STREAM_SHMETRICS_F_DURATION,
    NGX_STREAM_SHMETRICS_F_RECEIVED,
    NGX_STREAM_SHMETRICS_F_SENT,
    NGX_STREAM_SHMETRICS_F_TLS,
    NGX_STREAM_SHMETRICS_F_TLS_FAILURES,
    NGX_STREAM_SHMETRICS_F_LIMIT_CONN,
    NGX_STREAM_SHMETRICS_F_COUNT
};

typedef struct {
    ngx_shmetrics_conf_t *core;
    ngx_uint_t groups; /* that any server counts */
    ngx_shmetrics_limits_t limits;
    ngx_shmetrics_family_t *families[NGX_STREAM_SHMETRICS_F_COUNT]; /* NULL: off everywhere */
    ngx_shmetrics_upstreams_t upstreams;
    ngx_shmetrics_customs_t customs;
} ngx_stream_shmetrics_main_conf_t;

typedef struct {
    ngx_flag_t enabled;
    ngx_uint_t groups;
    ngx_str_t name;
    ngx_array_t *sets; /* of custom metrics, those of the outer level too */
    u_char *known;     /* the name that the handles are for: a server may have several addresses */
    struct {
        shmetrics_counter sessions[2][NGX_STREAM_SHMETRICS_STATUSES];
        shmetrics_entry entry; /* of the bundle of bytes */
        shmetrics_gauge in_progress;
        shmetrics_histogram duration;
        shmetrics_counter received;
        shmetrics_counter sent;
        shmetrics_counter limit_conn[4];
    } handles;
} ngx_stream_shmetrics_srv_conf_t;

extern ngx_module_t ngx_stream_shmetrics_module;

/* In the order of NGX_STREAM_SHMETRICS_F_... */
/* clang-format off */
static const ngx_shmetrics_default_t ngx_stream_shmetrics_defaults[] = {
    {TEXT("nginx_stream_upstream_sessions"), TEXT("Attempts to have a session served by an upstream peer."), TEXT(""), NGX_SHMETRICS_COUNTER,
     NGX_STREAM_SHMETRICS_UPSTREAM, {"upstream", "peer", "result"}, 0},
    {TEXT("nginx_stream_upstream_retries"), TEXT("Attempts that followed another one for the same session."), TEXT(""), NGX_SHMETRICS_COUNTER,
     NGX_STREAM_SHMETRICS_UPSTREAM, {"upstream"}, 0},
    {TEXT("nginx_stream_upstream_connect_duration_seconds"), TEXT("Time to connect to the peer."), TEXT("seconds"), NGX_SHMETRICS_HISTOGRAM,
     NGX_STREAM_SHMETRICS_UPSTREAM, {"upstream", "peer"}, 2},
    {TEXT("nginx_stream_upstream_first_byte_duration_seconds"), TEXT("Time to the first byte of the peer."), TEXT("seconds"),
     NGX_SHMETRICS_HISTOGRAM, NGX_STREAM_SHMETRICS_UPSTREAM, {"upstream", "peer"}, 2},
    {TEXT("nginx_stream_upstream_session_duration_seconds"), TEXT("Time to the end of the session with the peer."), TEXT("seconds"),
     NGX_SHMETRICS_HISTOGRAM, NGX_STREAM_SHMETRICS_UPSTREAM, {"upstream", "peer"}, 2},
    {TEXT("nginx_stream_upstream_received_bytes"), TEXT("Bytes from the peer."), TEXT("bytes"), NGX_SHMETRICS_COUNTER,
     NGX_STREAM_SHMETRICS_UPSTREAM, {"upstream", "peer"}, 3},
    {TEXT("nginx_stream_upstream_sent_bytes"), TEXT("Bytes to the peer."), TEXT("bytes"), NGX_SHMETRICS_COUNTER,
     NGX_STREAM_SHMETRICS_UPSTREAM, {"upstream", "peer"}, 3},
    {TEXT("nginx_stream_sessions"), TEXT("Client sessions."), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_STREAM_SHMETRICS_SESSIONS,
     {"server", "protocol", "status"}, 0},
    {TEXT("nginx_stream_sessions_in_progress"), TEXT("Sessions that have not ended yet."), TEXT(""), NGX_SHMETRICS_GAUGE,
     NGX_STREAM_SHMETRICS_IN_PROGRESS, {"server"}, 0},
    {TEXT("nginx_stream_session_duration_seconds"), TEXT("Time from the start of a session to its end."), TEXT("seconds"),
     NGX_SHMETRICS_HISTOGRAM, NGX_STREAM_SHMETRICS_DURATION, {"server"}, 0},
    {TEXT("nginx_stream_received_bytes"), TEXT("Bytes from clients."), TEXT("bytes"), NGX_SHMETRICS_COUNTER, NGX_STREAM_SHMETRICS_BYTES,
     {"server"}, 1},
    {TEXT("nginx_stream_sent_bytes"), TEXT("Bytes to clients."), TEXT("bytes"), NGX_SHMETRICS_COUNTER, NGX_STREAM_SHMETRICS_BYTES, {"server"}, 1},
    {TEXT("nginx_stream_tls_handshakes"), TEXT("TLS handshakes."), TEXT(""), NGX_SHMETRICS_COUNTER, NGX_STREAM_SHMETRICS_TLS,
     {"server", "protocol", "reused"}, 0},
    {TEXT("nginx_stream_tls_handshake_failures"), TEXT("TLS handshakes that failed."), TEXT(""), NGX_SHMETRICS_COUNTER,
     NGX_STREAM_SHMETRICS_TLS, {"server"}, 0},
    {TEXT("nginx_stream_limit_conn_sessions"), TEXT("Sessions by the outcome of limit_conn."), TEXT(""), NGX_SHMETRICS_COUNTER,
     NGX_STREAM_SHMETRICS_LIMITS, {"server", "status"}, 0},
};
/* clang-format on */

static const ngx_conf_bitmask_t ngx_stream_shmetrics_groups[] = {
    {ngx_string("sessions"), NGX_STREAM_SHMETRICS_SESSIONS},
    {ngx_string("in_progress"), NGX_STREAM_SHMETRICS_IN_PROGRESS},
    {ngx_string("duration"), NGX_STREAM_SHMETRICS_DURATION},
    {ngx_string("bytes"), NGX_STREAM_SHMETRICS_BYTES},
    {ngx_string("upstream"), NGX_STREAM_SHMETRICS_UPSTREAM},
    {ngx_string("tls"), NGX_STREAM_SHMETRICS_TLS},
    {ngx_string("limits"), NGX_STREAM_SHMETRICS_LIMITS},
    {ngx_string("connections"), NGX_STREAM_SHMETRICS_CONNECTIONS},
    {ngx_string("all"), NGX_STREAM_SHMETRICS_ALL},
    {ngx_null_string, 0},
};

/* The server that a session is counted for, or NULL. `*name` is its label. */
static ngx_stream_shmetrics_srv_conf_t *ngx_stream_shmetrics_find(ngx_stream_session_t *s, shmetrics_str *name) {
    ngx_stream_shmetrics_main_conf_t *main = ngx_stream_get_module_main_conf(s, ngx_stream_shmetrics_module);
    ngx_stream_shmetrics_srv_conf_t *server = ngx_stream_get_module_srv_conf(s, ngx_stream_shmetrics_module);
    ngx_str_t *text = server->name.data ? &server->name : &s->connection->listening->addr_text;
    if (!server->enabled || main->core->segment == NULL) return NULL;
    *name = ngx_shmetrics_str(text);
    if (server->known != text->data) {
        ngx_memzero(&server->handles, sizeof server->handles);
        server->known = text->data;
    }
    return server;
}

static void ngx_stream_shmetrics_end(void *data) { shmetrics_gauge_dec(*(shmetrics_gauge *) data); }

/* The pool of the connection ends with the session, whatever becomes of it. */
static ngx_int_t ngx_stream_shmetrics_begin(ngx_stream_session_t *s) {
    ngx_stream_shmetrics_main_conf_t *main = ngx_stream_get_module_main_conf(s, ngx_stream_shmetrics_module);
    ngx_pool_cleanup_t *cleanup;
    shmetrics_str name;
    ngx_stream_shmetrics_srv_conf_t *server = ngx_stream_shmetrics_find(s, &name);
    if (server == NULL || (server->groups & NGX_STREAM_SHMETRICS_IN_PROGRESS) == 0) return NGX_DECLINED;
    cleanup = ngx_pool_cleanup_add(s->connection->pool, sizeof(shmetrics_gauge));
    if (cleanup == NULL) return NGX_DECLINED;
    if (server->handles.in_progress.p0 == NULL || shmetrics_gauge_is_removed(server->handles.in_progress))
        server->handles.in_progress =
            shmetrics_gauge_with(main->families[NGX_STREAM_SHMETRICS_F_IN_PROGRESS]->handle.gauge, &name, 1);
    *(shmetrics_gauge *) cleanup->data = server->handles.in_progress;
    cleanup->handler = ngx_stream_shmetrics_end;
    shmetrics_gauge_inc(server->handles.in_progress);
    return NGX_DECLINED;
}

static void ngx_stream_shmetrics_count_session(ngx_stream_session_t *s, ngx_stream_shmetrics_main_conf_t *main,
    ngx_stream_shmetrics_srv_conf_t *server, shmetrics_str name) {
    static const char *const statuses[NGX_STREAM_SHMETRICS_STATUSES] = {"200", "400", "403", "500", "502", "503",
        "other"};
    static const ngx_uint_t codes[NGX_STREAM_SHMETRICS_STATUSES - 1] = {200, 400, 403, 500, 502, 503};
    ngx_uint_t udp = s->connection->type == SOCK_DGRAM, i = 0;
    shmetrics_str values[3];
    while (i < NGX_STREAM_SHMETRICS_STATUSES - 1 && codes[i] != s->status) i++;
    values[0] = name;
    values[1] = ngx_shmetrics_text(udp ? "udp" : "tcp");
    values[2] = ngx_shmetrics_text(statuses[i]);
    ngx_shmetrics_add(main->families[NGX_STREAM_SHMETRICS_F_SESSIONS], &server->handles.sessions[udp][i], values, 3, 1);
}

static void ngx_stream_shmetrics_count_upstream(ngx_stream_session_t *s, ngx_stream_shmetrics_main_conf_t *main) {
    ngx_stream_upstream_state_t *state = s->upstream_states->elts;
    ngx_stream_upstream_t *u = s->upstream;
    ngx_shmetrics_attempt_t attempt;
    shmetrics_counter passing;
    ngx_uint_t i, tried = 0;

    attempt.values[0] = ngx_shmetrics_text("");
    if (u && u->upstream) {
        attempt.values[0] = ngx_shmetrics_str(&u->upstream->host);
    } else if (u && u->resolved) {
        attempt.values[0] = ngx_shmetrics_str(&u->resolved->host);
    }
    for (i = 0; i < s->upstream_states->nelts; i++) {
        if (state[i].peer == NULL) continue;
        tried++;
        attempt.values[1] = ngx_shmetrics_str(state[i].peer);
        attempt.status = state[i].connect_time == (ngx_msec_t) -1;
        attempt.values[2] = ngx_shmetrics_text(attempt.status ? "failed" : "connected");
        attempt.durations[0] = state[i].connect_time;
        attempt.durations[1] = state[i].first_byte_time;
        attempt.durations[2] = state[i].response_time;
        attempt.received = state[i].bytes_received;
        attempt.sent = state[i].bytes_sent;
        ngx_shmetrics_count_attempt(&main->upstreams, &attempt);
    }
    if (tried < 2) return;
    ngx_memzero(&passing, sizeof passing);
    ngx_shmetrics_add(main->upstreams.families[NGX_SHMETRICS_U_RETRIES], &passing, attempt.values, 1,
        (off_t) tried - 1);
}

#if (NGX_SSL)
static void ngx_stream_shmetrics_count_tls(ngx_stream_session_t *s, ngx_stream_shmetrics_main_conf_t *main,
    shmetrics_str name) {
    ngx_ssl_connection_t *tls = s->connection->ssl;
    ngx_shmetrics_family_t *family =
        main->families[tls->handshaked ? NGX_STREAM_SHMETRICS_F_TLS : NGX_STREAM_SHMETRICS_F_TLS_FAILURES];
    shmetrics_str values[3];
    values[0] = name;
    if (tls->handshaked) {
        values[1] = ngx_shmetrics_text(SSL_get_version(tls->connection));
        values[2] = ngx_shmetrics_text(SSL_session_reused(tls->connection) ? "true" : "false");
    }
    shmetrics_counter_inc(shmetrics_counter_with(family->handle.counter, values, tls->handshaked ? 3 : 1));
}
#endif

static ngx_int_t ngx_stream_shmetrics_log(ngx_stream_session_t *s) {
    static const char *const limits[] = {"", "passed", "rejected", "rejected_dry_run"};
    ngx_stream_shmetrics_main_conf_t *main = ngx_stream_get_module_main_conf(s, ngx_stream_shmetrics_module);
    ngx_shmetrics_family_t **family = main->families;
    shmetrics_str values[2];
    ngx_stream_shmetrics_srv_conf_t *server = ngx_stream_get_module_srv_conf(s, ngx_stream_shmetrics_module);
    if (server->sets && main->core->segment) {
        static const ngx_shmetrics_exemplar_t none;
        ngx_shmetrics_count_customs(&main->customs, s, server->sets, &none);
    }
    server = ngx_stream_shmetrics_find(s, &values[0]);
    if (server == NULL) return NGX_OK;
    if (server->groups & NGX_STREAM_SHMETRICS_SESSIONS) ngx_stream_shmetrics_count_session(s, main, server, values[0]);
    if (server->groups & NGX_STREAM_SHMETRICS_DURATION)
        ngx_shmetrics_observe(family[NGX_STREAM_SHMETRICS_F_DURATION], &server->handles.duration, values, 1,
            ngx_shmetrics_since(s->start_sec, s->start_msec));
    if (server->groups & NGX_STREAM_SHMETRICS_BYTES) {
        ngx_shmetrics_keep_bytes(&family[NGX_STREAM_SHMETRICS_F_RECEIVED], &server->handles.entry, values, 1,
            &server->handles.received, &server->handles.sent);
        shmetrics_counter_add_u64(server->handles.received, (uint64_t) ngx_max(s->received, 0));
        shmetrics_counter_add_u64(server->handles.sent, (uint64_t) ngx_max(s->connection->sent, 0));
    }
    if ((server->groups & NGX_STREAM_SHMETRICS_UPSTREAM) && s->upstream_states && s->upstream_states->nelts)
        ngx_stream_shmetrics_count_upstream(s, main);
#if (NGX_SSL)
    if ((server->groups & NGX_STREAM_SHMETRICS_TLS) && s->connection->ssl)
        ngx_stream_shmetrics_count_tls(s, main, values[0]);
#endif
    if ((server->groups & NGX_STREAM_SHMETRICS_LIMITS) && s->limit_conn_status) {
        values[1] = ngx_shmetrics_text(limits[s->limit_conn_status]);
        ngx_shmetrics_add(family[NGX_STREAM_SHMETRICS_F_LIMIT_CONN], &server->handles.limit_conn[s->limit_conn_status],
            values, 2, 1);
    }
    return NGX_OK;
}

static char *ngx_stream_shmetrics_switch(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_stream_shmetrics_main_conf_t *main = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_shmetrics_module);
    return ngx_shmetrics_parse_switch(cf, cmd, data, &main->limits);
}

static char *ngx_stream_shmetrics_families(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    (void) cmd;
    return ngx_shmetrics_parse_groups(cf, ngx_stream_shmetrics_groups,
        &((ngx_stream_shmetrics_srv_conf_t *) data)->groups);
}

static char *ngx_stream_shmetrics_buckets(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    (void) cmd;
    return ngx_shmetrics_parse_buckets(cf, &((ngx_stream_shmetrics_main_conf_t *) data)->limits);
}

/* A name with a variable would be one label value, with a sign in it. */
static char *ngx_stream_shmetrics_name(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_str_t *value = cf->args->elts;
    if (ngx_stream_script_variables_count(&value[1])) return "takes a name without variables";
    return ngx_conf_set_str_slot(cf, cmd, data);
}

static void *ngx_stream_shmetrics_compile(ngx_conf_t *cf, ngx_str_t *text, ngx_uint_t *variable) {
    ngx_stream_complex_value_t *value = ngx_pcalloc(cf->pool, sizeof *value);
    ngx_stream_compile_complex_value_t compile;
    if (value == NULL) return NULL;
    ngx_memzero(&compile, sizeof compile);
    compile.cf = cf;
    compile.value = text;
    compile.complex_value = value;
    if (ngx_stream_compile_complex_value(&compile) != NGX_OK) return NULL;
    *variable = value->lengths != NULL;
    return value;
}

static ngx_int_t ngx_stream_shmetrics_evaluate(void *session, void *value, ngx_str_t *text) {
    return ngx_stream_complex_value(session, value, text);
}

static const ngx_shmetrics_language_t ngx_stream_shmetrics_language = {ngx_stream_shmetrics_compile,
    ngx_stream_shmetrics_evaluate};

static char *ngx_stream_shmetrics_custom(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_stream_shmetrics_main_conf_t *main = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_shmetrics_module);
    return ngx_shmetrics_custom(cf, &main->customs, (ngx_shmetrics_type_e) cmd->offset,
        &((ngx_stream_shmetrics_srv_conf_t *) data)->sets);
}

static void *ngx_stream_shmetrics_create_main_conf(ngx_conf_t *cf) {
    ngx_stream_shmetrics_main_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
    if (conf == NULL) return NULL;
    if (ngx_array_init(&conf->customs.families, cf->pool, 8, sizeof(ngx_shmetrics_family_t *)) != NGX_OK) return NULL;
    conf->core = conf->customs.core = ngx_shmetrics_get_conf(cf->cycle);
    conf->customs.language = &ngx_stream_shmetrics_language;
    ngx_str_set(&conf->customs.errors_name, "nginx_stream_metric_errors");
    conf->limits.max_series = NGX_CONF_UNSET_UINT;
    conf->upstreams.pool = cf->pool;
    conf->upstreams.families = &conf->families[NGX_STREAM_SHMETRICS_F_UPSTREAM];
    return conf;
}

static char *ngx_stream_shmetrics_init_main_conf(ngx_conf_t *cf, void *data) {
    ngx_stream_shmetrics_main_conf_t *conf = data;
    (void) cf;
    ngx_conf_init_uint_value(conf->limits.max_series, NGX_SHMETRICS_MAX_SERIES);
    return NGX_CONF_OK;
}

static void *ngx_stream_shmetrics_create_srv_conf(ngx_conf_t *cf) {
    ngx_stream_shmetrics_srv_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
    if (conf == NULL) return NULL;
    conf->enabled = NGX_CONF_UNSET;
    conf->groups = NGX_CONF_UNSET_UINT;
    return conf;
}

static char *ngx_stream_shmetrics_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child) {
    ngx_stream_shmetrics_main_conf_t *main = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_shmetrics_module);
    ngx_stream_shmetrics_srv_conf_t *outer = parent, *conf = child;
    ngx_conf_merge_value(conf->enabled, outer->enabled, 0);
    ngx_conf_merge_uint_value(conf->groups, outer->groups, NGX_STREAM_SHMETRICS_ALL);
    if (conf->enabled) main->groups |= conf->groups;
    return ngx_shmetrics_merge_customs(&conf->sets, outer->sets) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}

static ngx_int_t ngx_stream_shmetrics_add_handler(ngx_conf_t *cf, ngx_uint_t phase, ngx_stream_handler_pt handler) {
    ngx_stream_core_main_conf_t *core = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module);
    ngx_stream_handler_pt *slot = ngx_array_push(&core->phases[phase].handlers);
    if (slot == NULL) return NGX_ERROR;
    *slot = handler;
    return NGX_OK;
}

static ngx_int_t ngx_stream_shmetrics_postconfiguration(ngx_conf_t *cf) {
    ngx_stream_shmetrics_main_conf_t *conf = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_shmetrics_module);
    if (conf->groups == 0 && conf->customs.families.nelts == 0) return NGX_OK;
    if (conf->core->is_checked) { /* Angie does so */
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
            "the module ngx_stream_module must be loaded before ngx_http_shmetrics_module");
        return NGX_ERROR;
    }
    if (ngx_shmetrics_define_customs(cf, &conf->customs, &conf->limits) != NGX_OK) return NGX_ERROR;
    if (ngx_shmetrics_define(cf->pool, conf->core, &conf->limits, ngx_stream_shmetrics_defaults,
            NGX_STREAM_SHMETRICS_F_COUNT, conf->groups, conf->families)
        != NGX_OK)
        return NGX_ERROR;
    if (conf->groups & NGX_STREAM_SHMETRICS_CONNECTIONS) conf->core->connections_place = conf->limits.place;
    if ((conf->groups & NGX_STREAM_SHMETRICS_IN_PROGRESS)
        && ngx_stream_shmetrics_add_handler(cf, NGX_STREAM_POST_ACCEPT_PHASE, ngx_stream_shmetrics_begin) != NGX_OK)
        return NGX_ERROR;
    return ngx_stream_shmetrics_add_handler(cf, NGX_STREAM_LOG_PHASE, ngx_stream_shmetrics_log);
}

#define EVERYWHERE (NGX_STREAM_MAIN_CONF | NGX_STREAM_SRV_CONF)

/* clang-format off */
static ngx_command_t ngx_stream_shmetrics_commands[] = {
    {ngx_string("shmetrics"), EVERYWHERE | NGX_CONF_FLAG, ngx_stream_shmetrics_switch, NGX_STREAM_SRV_CONF_OFFSET,
     offsetof(ngx_stream_shmetrics_srv_conf_t, enabled), NULL},
    {ngx_string("shmetrics_families"), EVERYWHERE | NGX_CONF_1MORE, ngx_stream_shmetrics_families, NGX_STREAM_SRV_CONF_OFFSET, 0, NULL},
    {ngx_string("shmetrics_server"), NGX_STREAM_SRV_CONF | NGX_CONF_TAKE1, ngx_stream_shmetrics_name, NGX_STREAM_SRV_CONF_OFFSET,
     offsetof(ngx_stream_shmetrics_srv_conf_t, name), NULL},
    {ngx_string("shmetrics_buckets"), NGX_STREAM_MAIN_CONF | NGX_CONF_1MORE, ngx_stream_shmetrics_buckets, NGX_STREAM_MAIN_CONF_OFFSET, 0,
     NULL},
    {ngx_string("shmetrics_max_series"), NGX_STREAM_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_num_slot, NGX_STREAM_MAIN_CONF_OFFSET,
     offsetof(ngx_stream_shmetrics_main_conf_t, limits.max_series), NULL},
    {ngx_string("shmetrics_counter"), EVERYWHERE | NGX_CONF_1MORE, ngx_stream_shmetrics_custom, NGX_STREAM_SRV_CONF_OFFSET,
     NGX_SHMETRICS_COUNTER, NULL},
    {ngx_string("shmetrics_histogram"), EVERYWHERE | NGX_CONF_1MORE, ngx_stream_shmetrics_custom, NGX_STREAM_SRV_CONF_OFFSET,
     NGX_SHMETRICS_HISTOGRAM, NULL},
    {ngx_string("shmetrics_gauge"), EVERYWHERE | NGX_CONF_1MORE, ngx_stream_shmetrics_custom, NGX_STREAM_SRV_CONF_OFFSET,
     NGX_SHMETRICS_GAUGE, NULL},
    ngx_null_command,
};
/* clang-format on */

static ngx_stream_module_t ngx_stream_shmetrics_module_ctx = {
    NULL,
    ngx_stream_shmetrics_postconfiguration,
    ngx_stream_shmetrics_create_main_conf,
    ngx_stream_shmetrics_init_main_conf,
    ngx_stream_shmetrics_create_srv_conf,
    ngx_stream_shmetrics_merge_srv_conf,
};

ngx_module_t ngx_stream_shmetrics_module = {
    NGX_MODULE_V1,
    &ngx_stream_shmetrics_module_ctx,
    ngx_stream_shmetrics_commands,
    NGX_STREAM_MODULE,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING,
};
