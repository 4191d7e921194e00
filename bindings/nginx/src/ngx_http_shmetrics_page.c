/* shmetrics_page: the page of the segment, rendered a piece at a time as the client takes it. */
#include "ngx_http_shmetrics.h"

#define NGX_HTTP_SHMETRICS_PIECE 32768 /* bytes */
#define NGX_HTTP_SHMETRICS_PAUSE 1     /* milliseconds between two pieces */

typedef struct {
    shmetrics_cursor *cursor;
    ngx_chain_t *piece; /* one link with one buffer, used again and again */
    ngx_chain_t *free;
    ngx_chain_t *busy;
} ngx_http_shmetrics_page_t;

static void ngx_http_shmetrics_page_end(void *data) {
    ngx_http_shmetrics_page_t *page = data;
    shmetrics_cursor_free(page->cursor);
    page->cursor = NULL;
}

/* All values of a header, as one. Not every nginx is built with a field for Accept. */
static ngx_int_t ngx_http_shmetrics_header(ngx_http_request_t *r, const char *name, ngx_str_t *value) {
    ngx_list_part_t *part;
    size_t len = ngx_strlen(name);
    ngx_uint_t i;
    ngx_str_null(value);
    for (part = &r->headers_in.headers.part; part; part = part->next) {
        ngx_table_elt_t *header = part->elts;
        for (i = 0; i < part->nelts; i++) {
            u_char *all;
            if (header[i].key.len != len || ngx_strncasecmp(header[i].key.data, (u_char *) name, len) != 0) continue;
            if (value->len == 0) {
                *value = header[i].value;
                continue;
            }
            all = ngx_pnalloc(r->pool, value->len + 2 + header[i].value.len);
            if (all == NULL) return NGX_ERROR;
            ngx_sprintf(all, "%V, %V", value, &header[i].value);
            value->data = all;
            value->len += 2 + header[i].value.len;
        }
    }
    return NGX_OK;
}

static ngx_int_t ngx_http_shmetrics_select_one(ngx_http_request_t *r, shmetrics_cursor *cursor, ngx_str_t text) {
    shmetrics_str name;
    u_char *to, *from, *decoded = ngx_pnalloc(r->pool, text.len + 1);
    size_t i;
    if (decoded == NULL) return NGX_ERROR;
    for (i = 0; i < text.len; i++)
        if (text.data[i] == '+') text.data[i] = ' ';
    to = decoded;
    from = text.data;
    ngx_unescape_uri(&to, &from, text.len, 0);
    name.data = (const char *) decoded;
    name.len = (size_t) (to - decoded);
    /* Without a name, the page would have everything: so a name that is none is an error. */
    return shmetrics_cursor_add_filter(cursor, name) == SHMETRICS_STATUS_OK ? NGX_OK : NGX_DECLINED;
}

static ngx_int_t ngx_http_shmetrics_select(ngx_http_request_t *r, shmetrics_cursor *cursor) {
    u_char *at = r->args.data, *end = at + r->args.len;
    while (at < end) {
        u_char *stop = ngx_strlchr(at, end, '&');
        ngx_str_t text = {0, at};
        size_t key = 0;
        ngx_int_t rc;
        if (stop == NULL) stop = end;
        text.len = (size_t) (stop - at);
        if (text.len >= 7 && ngx_strncmp(at, "name[]=", 7) == 0) {
            key = 7;
        } else if (text.len >= 11 && ngx_strncasecmp(at, (u_char *) "name%5B%5D=", 11) == 0) {
            key = 11;
        }
        if (key) {
            ngx_str_t copy = {text.len - key, ngx_pnalloc(r->pool, text.len - key + 1)};
            if (copy.data == NULL) return NGX_ERROR;
            ngx_memcpy(copy.data, at + key, copy.len);
            rc = ngx_http_shmetrics_select_one(r, cursor, copy);
            if (rc != NGX_OK) return rc;
        }
        at = stop + 1;
    }
    return NGX_OK;
}

static ngx_int_t ngx_http_shmetrics_add_vary(ngx_http_request_t *r) {
    ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);
    if (header == NULL) return NGX_ERROR;
    ngx_memzero(header, sizeof *header);
    header->hash = 1;
    ngx_str_set(&header->key, "Vary");
    ngx_str_set(&header->value, "Accept, Accept-Encoding");
    return NGX_OK;
}

static ngx_int_t ngx_http_shmetrics_refuse(ngx_http_request_t *r, ngx_uint_t status, const char *reason) {
    static ngx_str_t type = ngx_string("text/plain");
    ngx_http_complex_value_t body;
    ngx_memzero(&body, sizeof body);
    body.value.len = ngx_strlen(reason) + 1;
    body.value.data = ngx_pnalloc(r->pool, body.value.len);
    if (body.value.data == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    ngx_sprintf(body.value.data, "%s\n", reason);
    return ngx_http_send_response(r, status, &type, &body);
}

/* NGX_OK: the client may have more. NGX_DONE: it has all.
 * NGX_AGAIN: it has not taken yet what it was sent. */
static ngx_int_t ngx_http_shmetrics_send_piece(ngx_http_request_t *r, ngx_http_shmetrics_page_t *page) {
    ngx_buf_t *buffer = page->piece->buf;
    ngx_chain_t *out = NULL;
    ngx_uint_t last;
    ngx_int_t rc;
    size_t n;

    if (page->busy) {
        rc = ngx_http_output_filter(r, NULL);
        if (rc == NGX_ERROR) return NGX_ERROR;
        ngx_chain_update_chains(r->pool, &page->free, &page->busy, &out, buffer->tag);
        if (page->busy) return NGX_AGAIN;
    }
    buffer->pos = buffer->last = buffer->start;
    while (buffer->last < buffer->end) {
        n = shmetrics_cursor_read(page->cursor, (char *) buffer->last, (size_t) (buffer->end - buffer->last));
        if (n == 0) break;
        buffer->last += n;
    }
    if (buffer->last == buffer->start) {
        rc = ngx_http_send_special(r, NGX_HTTP_LAST);
        return rc == NGX_ERROR ? NGX_ERROR : NGX_DONE;
    }
    last = buffer->last < buffer->end; /* the filter of chunks takes the flag from the buffer */
    buffer->last_buf = buffer->last_in_chain = last;
    buffer->flush = !last; /* else nginx may keep the piece until there is more */
    out = page->free ? page->free : page->piece;
    page->free = NULL;
    out->buf = buffer;
    out->next = NULL;
    rc = ngx_http_output_filter(r, out);
    if (rc == NGX_ERROR) return NGX_ERROR;
    if (last) return NGX_DONE;
    ngx_chain_update_chains(r->pool, &page->free, &page->busy, &out, buffer->tag);
    return page->busy ? NGX_AGAIN : NGX_OK;
}

static void ngx_http_shmetrics_write(ngx_http_request_t *r) {
    ngx_http_shmetrics_page_t *page = ngx_http_get_module_ctx(r, ngx_http_shmetrics_module);
    ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    ngx_connection_t *c = r->connection;
    ngx_event_t *event = c->write;
    ngx_int_t rc;

    if (event->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "client timed out");
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }
    rc = event->delayed ? NGX_AGAIN : ngx_http_shmetrics_send_piece(r, page);
    if (rc == NGX_ERROR || rc == NGX_DONE) {
        if (event->timer_set && !event->delayed) ngx_del_timer(event);
        ngx_http_shmetrics_page_end(page);
        ngx_http_finalize_request(r, rc == NGX_ERROR ? NGX_ERROR : NGX_OK);
        return;
    }
    if (rc == NGX_OK && !event->delayed) {
        /* As limit_rate does it. A client that reads without a pause must not take the worker and
         * the processor from other requests. */
        if (event->timer_set) ngx_del_timer(event);
        event->delayed = 1;
        ngx_add_timer(event, NGX_HTTP_SHMETRICS_PAUSE);
    } else if (!event->delayed) {
        ngx_add_timer(event, core->send_timeout);
    }
    if (ngx_handle_write_event(event, core->send_lowat) != NGX_OK) ngx_http_finalize_request(r, NGX_ERROR);
}

static ngx_int_t ngx_http_shmetrics_page_handler(ngx_http_request_t *r) {
    ngx_http_shmetrics_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_shmetrics_module);
    ngx_http_shmetrics_page_t *page;
    ngx_pool_cleanup_t *cleanup;
    shmetrics_exposition exposition;
    ngx_str_t accept;
    u_char *semicolon;
    ngx_int_t rc;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) return NGX_HTTP_NOT_ALLOWED;
    if (r != r->main) return NGX_HTTP_FORBIDDEN; /* it is no part of another page */
    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) return rc;
    if (main->core->segment == NULL)
        return ngx_http_shmetrics_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE, (char *) main->core->fault);

    ngx_shmetrics_update_connections();
    cleanup = ngx_pool_cleanup_add(r->pool, sizeof *page);
    if (cleanup == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    page = cleanup->data;
    ngx_memzero(page, sizeof *page);
    cleanup->handler = ngx_http_shmetrics_page_end;
    if (shmetrics_segment_cursor(main->core->segment, &page->cursor) != SHMETRICS_STATUS_OK) {
        char reason[400];
        (void) shmetrics_last_error(reason, sizeof reason);
        ngx_shmetrics_tell(main->core, r->connection->log, reason);
        return ngx_http_shmetrics_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE, reason);
    }
    if (ngx_http_shmetrics_header(r, "Accept", &accept) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    exposition = shmetrics_negotiate(ngx_shmetrics_str(&accept));
    if (shmetrics_cursor_set_exposition(page->cursor, exposition) != SHMETRICS_STATUS_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    rc = ngx_http_shmetrics_select(r, page->cursor);
    if (rc == NGX_DECLINED)
        return ngx_http_shmetrics_refuse(r, NGX_HTTP_BAD_REQUEST, "a name[] is not a metric's name");
    if (rc != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type.data = (u_char *) shmetrics_exposition_content_type(exposition);
    r->headers_out.content_type.len = ngx_strlen(r->headers_out.content_type.data);
    /* gzip_types is compared with what stands before the parameters. */
    semicolon = ngx_strlchr(r->headers_out.content_type.data,
        r->headers_out.content_type.data + r->headers_out.content_type.len, ';');
    r->headers_out.content_type_len =
        semicolon ? (size_t) (semicolon - r->headers_out.content_type.data) : r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    if (ngx_http_shmetrics_add_vary(r) != NGX_OK) return NGX_HTTP_INTERNAL_SERVER_ERROR;

    page->piece = ngx_alloc_chain_link(r->pool);
    if (page->piece == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    page->piece->buf = ngx_create_temp_buf(r->pool, NGX_HTTP_SHMETRICS_PIECE);
    if (page->piece->buf == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    page->piece->buf->tag = (ngx_buf_tag_t) &ngx_http_shmetrics_module;
    ngx_http_set_ctx(r, page, ngx_http_shmetrics_module);

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) return rc;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_shmetrics_write;
    r->main->count++;
    ngx_http_shmetrics_write(r);
    return NGX_DONE;
}

char *ngx_http_shmetrics_page(ngx_conf_t *cf, ngx_command_t *cmd, void *data) {
    ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    (void) cmd;
    (void) data;
    ngx_shmetrics_need(cf);
    core->handler = ngx_http_shmetrics_page_handler;
    return NGX_CONF_OK;
}
