/* All the server knows of metrics. */
#ifndef PREFORK_METRICS_H
#define PREFORK_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "http.h"
#include "routes.h"

/* In the master, before it forks: workers inherit the segment and every handle. False: it said
 * why on stderr. */
bool metrics_open(void);
/* In the master, at the end. */
void metrics_remove(const char *segment_name);

/* In a worker, before its first request. */
void metrics_worker(uint32_t number);

/* Around each request: start is when it began; count it before its answer is written, so that
 * whatever a client has seen is on the page; finish it once the answer is out. */
uint64_t metrics_start(void);
void metrics_count(const struct route *route, uint64_t start);
void metrics_finish(void);

/* Answers a request with the page of all processes. */
bool metrics_respond(struct http_connection *c, const struct http_request *request);

#endif
