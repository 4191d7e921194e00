/* The demo's metrics in C: registered by the master, updated by the workers. */
#include "metrics.h"

#include <shmetrics.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const shmetrics_str lang = SHMETRICS_STR_INIT("c");

static shmetrics_segment *segment;
static shmetrics_counter_family requests;
static shmetrics_histogram_family duration;
static shmetrics_gauge in_progress;

static bool ok(shmetrics_status status) {
    char why[512];
    if (status == SHMETRICS_STATUS_OK) return true;
    shmetrics_last_error(why, sizeof why);
    fprintf(stderr, "metrics: %s: %s\n", shmetrics_status_message(status), why);
    return false;
}

static bool register_requests(void) {
    static const shmetrics_str labels[] = {SHMETRICS_STR_INIT("lang"), SHMETRICS_STR_INIT("method"),
        SHMETRICS_STR_INIT("path"), SHMETRICS_STR_INIT("status")};
    const shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("http_requests_total"),
        .help = SHMETRICS_STR("Requests answered."), .label_names = labels, .label_count = COUNT(labels));
    return ok(shmetrics_counter_register(segment, &spec, &requests));
}

static bool register_duration(void) {
    static const shmetrics_str labels[] = {SHMETRICS_STR_INIT("lang"), SHMETRICS_STR_INIT("path")};
    static const double seconds[] = {0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.006, 0.008, 0.01, 0.05, 0.1};
    const shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("http_request_duration_seconds"),
        .help = SHMETRICS_STR("Time from the request to the first byte of its answer."), .label_names = labels,
        .label_count = COUNT(labels), .buckets = seconds, .bucket_count = COUNT(seconds));
    return ok(shmetrics_histogram_register(segment, &spec, &duration));
}

static bool register_in_progress(void) {
    static const shmetrics_str labels[] = {SHMETRICS_STR_INIT("lang")};
    const shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("http_requests_in_progress"),
        .help = SHMETRICS_STR("Requests being answered now."), .label_names = labels, .label_count = COUNT(labels));
    shmetrics_gauge_family family;
    /* LIVESUM: what a killed worker had in progress leaves the page with it. */
    if (!ok(shmetrics_gauge_register(segment, &spec, SHMETRICS_GAUGE_LIVESUM, &family))) return false;
    in_progress = shmetrics_gauge_with(family, &lang, 1);
    return true;
}

bool metrics_open(void) {
    return ok(shmetrics_segment_open(NULL, &segment)) && register_requests() && register_duration()
        && register_in_progress();
}

void metrics_remove(const char *segment_name) { (void)ok(shmetrics_segment_remove(shmetrics_cstr(segment_name))); }

void metrics_worker(uint32_t number) { (void)ok(shmetrics_segment_set_identity(segment, number)); }

uint64_t metrics_start(void) {
    shmetrics_gauge_inc(in_progress);
    return shmetrics_timer_start();
}

void metrics_count(const struct route *route, uint64_t start) {
    const shmetrics_str path = shmetrics_cstr(route->path);
    const shmetrics_str request_labels[] = {lang, shmetrics_cstr(route->method), path, {route->status, 3}};
    const shmetrics_str duration_labels[] = {lang, path};
    /* A look-up takes no lock and no memory; for labels known beforehand keep the handle
     * instead, as in_progress. */
    shmetrics_counter counted = shmetrics_counter_with(requests, request_labels, COUNT(request_labels));
    shmetrics_counter_inc(counted);
    shmetrics_histogram observed = shmetrics_histogram_with(duration, duration_labels, COUNT(duration_labels));
    shmetrics_histogram_observe_since(observed, start);
}

void metrics_finish(void) { shmetrics_gauge_dec(in_progress); }

bool metrics_respond(struct http_connection *c, const struct http_request *request) {
    shmetrics_cursor *cursor;
    char part[4096];
    size_t len;
    if (!ok(shmetrics_segment_cursor(segment, &cursor))) {
        return http_respond(c, "503 Service Unavailable", "", 0, 0, request->keep_alive);
    }
    const shmetrics_exposition exposition = shmetrics_negotiate(shmetrics_cstr(request->accept));
    (void)ok(shmetrics_cursor_set_exposition(cursor, exposition));
    bool sent = http_stream(c, shmetrics_exposition_content_type(exposition), request);
    while (sent && (len = shmetrics_cursor_read(cursor, part, sizeof part)) > 0) {
        sent = http_chunk(c, part, len, request);
    }
    shmetrics_cursor_free(cursor);
    return sent && http_chunk(c, "", 0, request);
}
