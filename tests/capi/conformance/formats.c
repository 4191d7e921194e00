#include "check.h"

/* The page in a format, NUL-terminated; the caller frees it. */
static char *page_as(const shmetrics_segment *segment, shmetrics_exposition exposition, const char *only, size_t *len) {
    shmetrics_cursor *cursor = NULL;
    char *page = NULL;
    CHECK_STATUS(shmetrics_segment_cursor(segment, &cursor), SHMETRICS_STATUS_OK);
    CHECK_STATUS(shmetrics_cursor_format(cursor, exposition), SHMETRICS_STATUS_OK);
    if (only != NULL) CHECK_STATUS(shmetrics_cursor_only(cursor, text(only)), SHMETRICS_STATUS_OK);
    *len = 0;
    for (size_t n = 1; n > 0; *len += n) {
        page = realloc(page, *len + 4097);
        n = shmetrics_cursor_next(cursor, page + *len, 4096);
    }
    page[*len] = '\0';
    shmetrics_cursor_free(cursor);
    return page;
}

static void negotiation(void) {
    static const struct { const char *accept, *type; } cases[] = {
        {"", "text/plain; version=0.0.4; charset=utf-8"},
        {"*/*", "text/plain; version=0.0.4; charset=utf-8"},
        {"text/plain;version=1.0.0;escaping=dots", "text/plain; version=1.0.0; charset=utf-8; escaping=dots"},
        {"application/openmetrics-text;q=0.9,*/*;q=0.1", "application/openmetrics-text; version=1.0.0; charset=utf-8"},
        {"application/openmetrics-text;version=2.0.0;escaping=values",
         "application/openmetrics-text; version=2.0.0; charset=utf-8; escaping=values"},
        {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8",
         "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; "
         "escaping=allow-utf-8"},
        {"text/plain;version=0.0.4;escaping=underscores", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *type = shmetrics_exposition_content_type(shmetrics_negotiate(text(cases[i].accept)));
        CHECK(type != NULL && strcmp(type, cases[i].type) == 0);
    }
    CHECK(shmetrics_negotiate((shmetrics_str){NULL, 0}).format == SHMETRICS_FORMAT_TEXT);
    CHECK(shmetrics_negotiate(TEXT("\xff\xfe")).format == SHMETRICS_FORMAT_TEXT);
    CHECK(shmetrics_exposition_content_type((shmetrics_exposition){.format = 5}) == NULL);
    CHECK(shmetrics_exposition_content_type((shmetrics_exposition){.escaping = 5}) == NULL);
    CHECK(shmetrics_accepts_gzip(TEXT("br, gzip;q=0.5")) && !shmetrics_accepts_gzip(TEXT("gzip;q=0")));
    CHECK(!shmetrics_accepts_gzip((shmetrics_str){NULL, 0}));
}

static void pages(shmetrics_segment *segment) {
    const shmetrics_label example[] = {{TEXT("trace_id"), TEXT("c0ffee")}};
    const double le[] = {1};
    const shmetrics_counter counter = shmetrics_counter_with(counters(segment, "a", NULL), NULL, 0);
    shmetrics_counter_add_with_exemplar(counter, 2, example, 1);
    const shmetrics_histogram histogram = shmetrics_histogram_with(histograms(segment, "b", le, 1), NULL, 0);
    shmetrics_histogram_observe_with_exemplar(histogram, 0.5, example, 1);
    shmetrics_histogram_observe_with_exemplar(histogram, 0.5, NULL, 0);
    const shmetrics_label bad = {TEXT("a\xff"), TEXT("x")};
    const shmetrics_histogram other = shmetrics_histogram_with(histograms(segment, "c", le, 1), NULL, 0);
    shmetrics_histogram_observe_with_exemplar(other, 0.5, &bad, 1);
    shmetrics_histogram_observe_with_exemplar(other, 0.5, &bad, 1000);
    shmetrics_counter_add_with_exemplar((shmetrics_counter){0}, 1, example, 1);
    shmetrics_histogram_observe_with_exemplar((shmetrics_histogram){0}, 1, example, 1);
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == 2);
    CHECK_HIDES(segment, "trace_id");

    size_t len;
    char *page = page_as(segment, (shmetrics_exposition){.format = SHMETRICS_FORMAT_OPENMETRICS, .created = true}, NULL, &len);
    CHECK(strstr(page, "a_total 2 # {trace_id=\"c0ffee\"} 2.0 ") != NULL);
    CHECK(strstr(page, "b_bucket{le=\"1.0\"} 2 # {trace_id=\"c0ffee\"} 0.5 ") != NULL);
    CHECK(strstr(page, "\na_created ") != NULL);
    CHECK(len > 6 && strcmp(page + len - 6, "# EOF\n") == 0);
    free(page);
    page = page_as(segment, (shmetrics_exposition){.format = SHMETRICS_FORMAT_OPENMETRICS2}, "b_count", &len);
    CHECK(strstr(page, "b {count:2,sum:1.0,bucket:[1.0:2,+Inf:2]} st@") != NULL);
    CHECK(strstr(page, "a_total") == NULL && strstr(page, "shmetrics_") == NULL);
    free(page);
    page = page_as(segment, (shmetrics_exposition){.format = SHMETRICS_FORMAT_PROTOBUF}, "a_total", &len);
    CHECK(len > 10 && (size_t)(unsigned char)page[0] == len - 1 && memcmp(page + 1, "\x0a\x07" "a_total", 9) == 0);
    free(page);
}

void test_formats(void) {
    shmetrics_segment *segment = scratch();
    shmetrics_cursor *cursor = NULL;
    negotiation();
    pages(segment);
    CHECK_STATUS(shmetrics_segment_cursor(segment, &cursor), SHMETRICS_STATUS_OK);
    CHECK_STATUS(shmetrics_cursor_format(cursor, (shmetrics_exposition){.format = 99}), SHMETRICS_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(shmetrics_cursor_only(cursor, TEXT("\xff")), SHMETRICS_STATUS_INVALID_NAME);
    CHECK_STATUS(shmetrics_cursor_format(NULL, (shmetrics_exposition){0}), SHMETRICS_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(shmetrics_cursor_only(NULL, TEXT("a")), SHMETRICS_STATUS_NULL_ARGUMENT);
    shmetrics_cursor_free(cursor);
}
