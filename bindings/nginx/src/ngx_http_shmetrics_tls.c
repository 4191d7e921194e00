/* Counts TLS handshakes of clients, also those that fail, which have no request. */
#include "ngx_http_shmetrics.h"

#if (NGX_HTTP_SSL)

typedef struct {
    ngx_http_connection_t *connection;
    unsigned done : 1;
} ngx_http_shmetrics_handshake_t;

typedef void (*ngx_http_shmetrics_info_pt)(const SSL *tls, int where, int ret);

/* That of nginx, which is the same for all servers. */
static ngx_http_shmetrics_info_pt ngx_http_shmetrics_next_info;

static void ngx_http_shmetrics_count_handshake(const ngx_http_connection_t *connection, const SSL *tls) {
    ngx_http_conf_ctx_t *ctx = connection->conf_ctx; /* of the server that the client named, if it did */
    ngx_http_shmetrics_main_conf_t *main = ctx->main_conf[ngx_http_shmetrics_module.ctx_index];
    ngx_http_shmetrics_srv_conf_t *server = ctx->srv_conf[ngx_http_shmetrics_module.ctx_index];
    ngx_http_shmetrics_loc_conf_t *location = ctx->loc_conf[ngx_http_shmetrics_module.ctx_index];
    ngx_shmetrics_family_t *family = main->families[tls ? NGX_HTTP_SHMETRICS_F_TLS : NGX_HTTP_SHMETRICS_F_TLS_FAILURES];
    shmetrics_str values[3];
    if (main->core->segment == NULL || !location->enabled || (location->groups & NGX_HTTP_SHMETRICS_TLS) == 0) return;
    values[0] = ngx_shmetrics_str(&server->name);
    if (tls) {
        values[1] = ngx_shmetrics_text(SSL_get_version(tls));
        values[2] = ngx_shmetrics_text(SSL_session_reused(tls) ? "true" : "false");
    }
    shmetrics_counter_inc(shmetrics_counter_with(family->handle.counter, values, tls ? 3 : 1));
}

static void ngx_http_shmetrics_end_handshake(void *data) {
    ngx_http_shmetrics_handshake_t *handshake = data;
    if (!handshake->done) ngx_http_shmetrics_count_handshake(handshake->connection, NULL);
}

static void ngx_http_shmetrics_info(const SSL *tls, int where, int ret) {
    ngx_connection_t *c = ngx_ssl_get_connection((ngx_ssl_conn_t *) tls);
    ngx_http_shmetrics_handshake_t *handshake;
    ngx_pool_cleanup_t *cleanup;

    if (ngx_http_shmetrics_next_info) ngx_http_shmetrics_next_info(tls, where, ret);
    if ((where & (SSL_CB_HANDSHAKE_START | SSL_CB_HANDSHAKE_DONE)) == 0 || c == NULL) return;
    for (cleanup = c->pool->cleanup; cleanup; cleanup = cleanup->next)
        if (cleanup->handler == ngx_http_shmetrics_end_handshake) break;
    if (where & SSL_CB_HANDSHAKE_START) {
        if (cleanup) return; /* TLS 1.3 has small ones later */
        cleanup = ngx_pool_cleanup_add(c->pool, sizeof *handshake);
        if (cleanup == NULL) return;
        handshake = cleanup->data;
        handshake->connection = c->data; /* from the same pool */
        handshake->done = 0;
        cleanup->handler = ngx_http_shmetrics_end_handshake;
        return;
    }
    if (cleanup == NULL) return;
    handshake = cleanup->data;
    if (handshake->done) return;
    handshake->done = 1;
    ngx_http_shmetrics_count_handshake(handshake->connection, tls);
}

void ngx_http_shmetrics_watch_tls(ngx_conf_t *cf) {
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_core_srv_conf_t **server = core->servers.elts;
    ngx_uint_t i;
    for (i = 0; i < core->servers.nelts; i++) {
        ngx_http_ssl_srv_conf_t *tls = server[i]->ctx->srv_conf[ngx_http_ssl_module.ctx_index];
        ngx_http_shmetrics_info_pt info;
        if (tls->ssl.ctx == NULL) continue;
        info = SSL_CTX_get_info_callback(tls->ssl.ctx);
        if (info == ngx_http_shmetrics_info) continue;
        ngx_http_shmetrics_next_info = info;
        SSL_CTX_set_info_callback(tls->ssl.ctx, ngx_http_shmetrics_info);
    }
}

#endif
