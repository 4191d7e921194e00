/* As little HTTP/1.1 as the demo needs: keep-alive, bodies with a Content-Length, chunked
 * answers. */
#ifndef PREFORK_HTTP_H
#define PREFORK_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HTTP_BUFFER_SIZE = 8192 };

struct http_connection {
    int fd;
    const char *server; /* what the Server header says */
    size_t filled;      /* bytes in buffer */
    size_t consumed;    /* of these, the bytes of the request being answered */
    char buffer[HTTP_BUFFER_SIZE];
};

/* Points into its connection's buffer: valid until the next http_read. */
struct http_request {
    const char *method;
    const char *path;   /* without the query */
    const char *accept; /* what the client wants to read */
    const char *body;
    size_t body_len;
    bool keep_alive;
    bool chunked_answer; /* the client understands chunks (HTTP/1.1) */
};

void http_open(struct http_connection *c, int fd, const char *server);

/* Waits for the next request. False: close the connection, the client left, was idle too long,
 * or spoke no HTTP. */
bool http_read(struct http_connection *c, struct http_request *request);

/* Sends a whole response. With pause_ms the body comes in two halves, that far apart. */
bool http_respond(struct http_connection *c, const char *status, const char *body, size_t body_len, unsigned pause_ms,
    bool keep_alive);

/* A response of unknown length: begin, any number of chunks, and an empty chunk to end it. A
 * client that does not know chunks gets the bare bytes: it also knows no keep-alive, and reads
 * to the connection's end. */
bool http_stream(struct http_connection *c, const char *content_type, const struct http_request *request);
bool http_chunk(struct http_connection *c, const char *data, size_t len, const struct http_request *request);

/* Bounds how long the client may keep a read or a write waiting, and lets small packets go at
 * once. */
void http_set_limits(int fd, unsigned timeout_seconds);

void http_sleep_ms(unsigned ms);

#ifdef __cplusplus
}
#endif
#endif
