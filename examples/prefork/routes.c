/* The routes of the demo, each with its answer. */
#include "routes.h"

#include <stddef.h>
#include <string.h>

static const struct route routes[] = {
    {"GET", "/", "200 OK", "One page for all workers is at /metrics\n", 0, 0},
    {"GET", "/hello", "200 OK", "Hello!\n", 0, 0},
    {"GET", "/slow", "200 OK", "That took 5 ms\n", 5, 0},
    {"GET", "/stream", "200 OK", "first half, second half\n", 0, 3},
    {"GET", "/missing", "404 Not Found", "No such thing\n", 0, 0},
    {"GET", "/error", "500 Internal Server Error", "Something broke\n", 0, 0},
    {"POST", "/echo", "200 OK", NULL, 0, 0},
};
static const struct route other = {"other", "other", "404 Not Found", "No such page\n", 0, 0};

const struct route *route_find(const char *method, const char *path) {
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].path, path) == 0 && strcmp(routes[i].method, method) == 0) return &routes[i];
    }
    return &other;
}
