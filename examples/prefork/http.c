/* HTTP/1.1 for the demo: one connection, one request at a time. */
#define _GNU_SOURCE
#include "http.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

void http_open(struct http_connection *c, int fd, const char *server) {
    c->fd = fd;
    c->server = server;
    c->filled = c->consumed = 0;
}

/* MSG_NOSIGNAL: a client that left is an error here, not a SIGPIPE. */
static bool send_all(int fd, const char *data, size_t len, int flags) {
    while (len > 0) {
        ssize_t sent = send(fd, data, len, flags | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool receive(struct http_connection *c) {
    ssize_t got;
    if (c->filled == sizeof c->buffer) return false;
    do {
        got = recv(c->fd, c->buffer + c->filled, sizeof c->buffer - c->filled, 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    c->filled += (size_t)got;
    return true;
}

static bool refuse(struct http_connection *c) {
    (void)http_respond(c, "400 Bad Request", "", 0, 0, false);
    return false;
}

/* Value of a header line if it has this name, else NULL. */
static const char *header_value(const char *line, const char *name) {
    size_t len = strlen(name);
    if (strncasecmp(line, name, len) != 0 || line[len] != ':') return NULL;
    return line + len + 1 + strspn(line + len + 1, " \t");
}

static bool parse_headers(char *line, struct http_request *request) {
    const char *value;
    while (*line != '\0') {
        char *end = strstr(line, "\r\n");
        *end = '\0';
        if ((value = header_value(line, "Content-Length")) != NULL) {
            char *rest;
            if (*value < '0' || *value > '9') return false;
            request->body_len = strtoul(value, &rest, 10);
            if (*rest != '\0' || request->body_len > HTTP_BUFFER_SIZE) return false;
        } else if ((value = header_value(line, "Connection")) != NULL) {
            if (strcasecmp(value, "close") == 0) request->keep_alive = false;
        } else if ((value = header_value(line, "Accept")) != NULL) {
            request->accept = value;
        } else if (header_value(line, "Transfer-Encoding") != NULL) {
            return false;
        }
        line = end + 2;
    }
    return true;
}

/* Cuts the head, whose every line ends in CRLF, into strings in place. */
static bool parse_head(char *head, struct http_request *request) {
    char *line_end = strstr(head, "\r\n");
    char *path = memchr(head, ' ', (size_t)(line_end - head));
    char *version = path ? memchr(path + 1, ' ', (size_t)(line_end - path - 1)) : NULL;
    if (version == NULL || path[1] != '/') return false;
    *path++ = *version++ = *line_end = '\0';
    if (strncmp(version, "HTTP/1.", 7) != 0) return false;
    path[strcspn(path, "?")] = '\0';
    bool modern = strcmp(version, "HTTP/1.0") != 0;
    *request = (struct http_request){
        .method = head, .path = path, .accept = "", .body = "", .keep_alive = modern, .chunked_answer = modern};
    return parse_headers(line_end + 2, request);
}

bool http_read(struct http_connection *c, struct http_request *request) {
    char *end;
    memmove(c->buffer, c->buffer + c->consumed, c->filled - c->consumed);
    c->filled -= c->consumed;
    c->consumed = 0;
    while ((end = memmem(c->buffer, c->filled, "\r\n\r\n", 4)) == NULL) {
        if (c->filled == sizeof c->buffer) return refuse(c);
        if (!receive(c)) return false;
    }
    size_t head_len = (size_t)(end + 4 - c->buffer);
    if (memchr(c->buffer, '\0', head_len) != NULL) return refuse(c);
    end[2] = '\0'; /* ends the last header for parse_head; the body starts behind it */
    if (!parse_head(c->buffer, request) || request->body_len > sizeof c->buffer - head_len) return refuse(c);
    while (c->filled < head_len + request->body_len) {
        if (!receive(c)) return false;
    }
    request->body = c->buffer + head_len;
    c->consumed = head_len + request->body_len;
    return true;
}

bool http_respond(struct http_connection *c, const char *status, const char *body, size_t body_len, unsigned pause_ms,
    bool keep_alive) {
    char head[256];
    int len = snprintf(head, sizeof head,
        "HTTP/1.1 %s\r\nServer: %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n", status, c->server,
        body_len, keep_alive ? "" : "Connection: close\r\n");
    size_t first = pause_ms > 0 ? body_len / 2 : body_len;
    if (!send_all(c->fd, head, (size_t)len, first > 0 ? MSG_MORE : 0)) return false;
    if (!send_all(c->fd, body, first, 0)) return false;
    if (first == body_len) return true;
    http_sleep_ms(pause_ms);
    return send_all(c->fd, body + first, body_len - first, 0);
}

bool http_stream(struct http_connection *c, const char *content_type, const struct http_request *request) {
    char head[256];
    int len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nServer: %s\r\nContent-Type: %s\r\n%s%s\r\n", c->server,
        content_type, request->chunked_answer ? "Transfer-Encoding: chunked\r\n" : "",
        request->keep_alive ? "" : "Connection: close\r\n");
    return send_all(c->fd, head, (size_t)len, MSG_MORE);
}

bool http_chunk(struct http_connection *c, const char *data, size_t len, const struct http_request *request) {
    char size[24];
    if (!request->chunked_answer) return send_all(c->fd, data, len, 0);
    int size_len = snprintf(size, sizeof size, "%zx\r\n", len);
    return send_all(c->fd, size, (size_t)size_len, MSG_MORE) && send_all(c->fd, data, len, MSG_MORE)
        && send_all(c->fd, "\r\n", 2, 0);
}

void http_set_limits(int fd, unsigned timeout_seconds) {
    struct timeval limit = {.tv_sec = (time_t)timeout_seconds};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void http_sleep_ms(unsigned ms) {
    struct timespec rest = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    if (ms == 0) return;
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {}
}
