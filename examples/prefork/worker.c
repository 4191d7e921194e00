/* A worker in C: accepts connections and counts requests. */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "metrics.h"
#include "routes.h"

enum { IDLE_SECONDS = 5, REQUESTS_PER_CONNECTION = 100 };

static bool answer(struct http_connection *c, const struct http_request *request) {
    if (strcmp(request->path, "/metrics") == 0) return metrics_respond(c, request);

    uint64_t start = metrics_start();
    const struct route *route = route_find(request->method, request->path);
    http_sleep_ms(route->work_ms);
    metrics_count(route, start);
    bool sent = http_respond(c, route->status, route->body ? route->body : request->body,
        route->body ? strlen(route->body) : request->body_len, route->pause_ms, request->keep_alive);
    metrics_finish();
    return sent;
}

static void serve(int fd) {
    struct http_connection c;
    struct http_request request;
    http_set_limits(fd, IDLE_SECONDS);
    http_open(&c, fd, "prefork/c");
    for (int left = REQUESTS_PER_CONNECTION; left > 0 && http_read(&c, &request); left--) {
        if (left == 1) request.keep_alive = false; /* others wait for a worker, too */
        if (!answer(&c, &request) || !request.keep_alive) break;
    }
}

_Noreturn void worker_run(int listener, unsigned number) {
    metrics_worker(number);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            serve(fd);
            close(fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            perror("accept");
            _exit(EXIT_FAILURE);
        }
    }
}
