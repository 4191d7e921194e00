/* Formats: what a scraper asks for, and the pages it gets. */
#include "check.h"

/* All that a cursor gives, in pieces of this size, NUL-terminated. Frees the cursor; the caller
 * frees the page. */
static char *drain(shmetrics_cursor *cursor, size_t piece, size_t *len) {
    char *page = NULL;
    *len = 0;
    for (size_t n = 1; n > 0; *len += n) {
        page = realloc(page, *len + piece + 1);
        n = shmetrics_cursor_read(cursor, page + *len, piece);
    }
    page[*len] = '\0';
    shmetrics_cursor_free(cursor);
    return page;
}

static char *page_as(const shmetrics_segment *segment, shmetrics_exposition exposition, const char *only, size_t *len) {
    shmetrics_cursor *cursor = NULL;
    CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
    CHECK_OK(shmetrics_cursor_set_exposition(cursor, exposition));
    if (only != NULL) CHECK_OK(shmetrics_cursor_add_filter(cursor, text(only)));
    return drain(cursor, 4096, len);
}

static void negotiation(void) {
    static const struct {
        const char *accept, *type;
    } cases[] = {
        {"", "text/plain; version=0.0.4; charset=utf-8"},
        {"*/*", "text/plain; version=0.0.4; charset=utf-8"},
        {"text/plain;version=1.0.0;escaping=dots", "text/plain; version=1.0.0; charset=utf-8; escaping=dots"},
        {"application/openmetrics-text;q=0.9,*/*;q=0.1", "application/openmetrics-text; version=1.0.0; charset=utf-8"},
        {"application/openmetrics-text;version=2.0.0;escaping=values",
            "application/openmetrics-text; version=2.0.0; charset=utf-8; escaping=values"},
        {"application/"
         "vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8",
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; "
            "escaping=allow-utf-8"},
        {"text/plain;version=0.0.4;escaping=underscores",
            "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"},
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
    const shmetrics_exposition openmetrics = {.format = SHMETRICS_FORMAT_OPENMETRICS, .created = true};
    char *page = page_as(segment, openmetrics, NULL, &len);
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
    CHECK(len > 10 && (size_t)(unsigned char)page[0] == len - 1
        && memcmp(page + 1,
               "\x0a\x07"
               "a_total",
               9)
            == 0);
    free(page);
}

/* Messages, each after its length as a varint. */
static size_t messages_in(const char *page, size_t len) {
    size_t count = 0;
    for (size_t at = 0; at < len; count++) {
        size_t message = 0;
        unsigned char byte = 0x80;
        for (int shift = 0; byte >= 0x80 && at < len; shift += 7) {
            byte = (unsigned char)page[at++];
            message |= (size_t)(byte & 0x7f) << shift;
        }
        if (byte >= 0x80 || message > len - at) return 0;
        at += message;
    }
    return count;
}

/* The library's own families change from page to page, so these are compared by names that leave
 * them out. */
static void pieces_from_segment_and_reader(void) {
    static const char *const only[] = {"requests_total", "seconds_sum", "build"};
    char name[64];
    snprintf(name, sizeof name, "conformance-formats-%ld", (long)getpid());
    shmetrics_segment *segment = opened(text(name));
    shmetrics_reader *reader = NULL;
    const shmetrics_counter_family requests = counters(segment, "requests", "path");
    for (int i = 0; i < 100; i++) {
        char path[16];
        snprintf(path, sizeof path, "/\"%d\n", i);
        const shmetrics_str value = text(path);
        shmetrics_counter_add_u64(shmetrics_counter_with(requests, &value, 1), (uint64_t)i);
    }
    shmetrics_histogram_observe(shmetrics_histogram_with(histograms(segment, "seconds", NULL, 0), NULL, 0), 1);
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("build"));
    shmetrics_info_family build;
    CHECK_OK(shmetrics_info_register(segment, &spec, &build));
    CHECK_OK(shmetrics_reader_open(text(name), &reader));
    for (uint32_t format = SHMETRICS_FORMAT_TEXT; format <= SHMETRICS_FORMAT_PROTOBUF; format++) {
        char *whole = NULL;
        size_t whole_len = 0;
        const size_t sizes[] = {1 << 20, 1, 7, 4096};
        for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
            const shmetrics_exposition exposition = {.format = format, .created = true};
            shmetrics_cursor *cursor = NULL;
            size_t len;
            CHECK_OK(i % 2 ? shmetrics_reader_cursor(reader, &cursor) : shmetrics_segment_cursor(segment, &cursor));
            CHECK_OK(shmetrics_cursor_set_exposition(cursor, (shmetrics_exposition){.escaping = 1}));
            CHECK_OK(shmetrics_cursor_set_exposition(cursor, exposition)); /* the last one counts */
            for (size_t j = 0; j < sizeof only / sizeof *only; j++)
                CHECK_OK(shmetrics_cursor_add_filter(cursor, text(only[j])));
            char *page = drain(cursor, sizes[i / 2], &len);
            if (whole == NULL) {
                whole = page;
                whole_len = len;
                continue;
            }
            CHECK(len == whole_len && memcmp(page, whole, len) == 0);
            free(page);
        }
        const int ends = whole_len > 6 && strcmp(whole + whole_len - 6, "# EOF\n") == 0;
        CHECK(ends == (format == SHMETRICS_FORMAT_OPENMETRICS || format == SHMETRICS_FORMAT_OPENMETRICS2));
        if (format == SHMETRICS_FORMAT_PROTOBUF) CHECK(messages_in(whole, whole_len) == 3);
        free(whole);
    }
    shmetrics_reader_free(reader);
    CHECK_OK(shmetrics_segment_remove(text(name)));
}

/* Names in UTF-8: in quotes for scrapers that ask for quotes, and escaped for all others. */
static void names_in_utf8(void) {
    shmetrics_segment *segment = scratch();
    const shmetrics_str labels[] = {TEXT("k.v"), TEXT("plain"), TEXT("gr\xc3\xb6\xc3\x9f\"e")};
    const shmetrics_family_spec spec =
        SHMETRICS_FAMILY_SPEC(.name = TEXT("my.requests"), .label_names = labels, .label_count = 3);
    shmetrics_counter_family family;
    CHECK_OK(shmetrics_counter_register(segment, &spec, &family));
    CHECK_OK(shmetrics_counter_register(segment, &spec, &family));
    const shmetrics_str values[] = {TEXT("x"), TEXT("\""), TEXT("")};
    shmetrics_counter_inc(shmetrics_counter_with(family, values, 3));
    shmetrics_counter_inc(shmetrics_counter_with(family, values, 3));
    const struct {
        uint32_t format, escaping;
        const char *line;
    } pages[] = {
        {SHMETRICS_FORMAT_TEXT, SHMETRICS_ESCAPING_DEFAULT,
            "my_requests_total{k_v=\"x\",plain=\"\\\"\",gr___e=\"\"} 2\n"},
        {SHMETRICS_FORMAT_TEXT, SHMETRICS_ESCAPING_DOTS,
            "my_dot_requests__total{k_dot_v=\"x\",plain=\"\\\"\",gr______e=\"\"} 2\n"},
        {SHMETRICS_FORMAT_OPENMETRICS, SHMETRICS_ESCAPING_VALUES,
            "U__my_2e_requests__total{U__k_2e_v=\"x\",plain=\"\\\"\",U__gr_f6__df__22_e=\"\"} 2\n"},
        {SHMETRICS_FORMAT_TEXT1, SHMETRICS_ESCAPING_ALLOW_UTF8,
            "{\"my.requests_total\",\"k.v\"=\"x\",plain=\"\\\"\",\"gr\xc3\xb6\xc3\x9f\\\"e\"=\"\"} 2\n"},
    };
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        const shmetrics_exposition exposition = {.format = pages[i].format, .escaping = pages[i].escaping};
        shmetrics_cursor *cursor = NULL;
        size_t len;
        CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
        CHECK_OK(shmetrics_cursor_set_exposition(cursor, exposition));
        char *page = drain(cursor, 4096, &len);
        CHECK(strstr(page, pages[i].line) != NULL);
        free(page);
    }
    CHECK(shmetrics_counter_remove(family, values, 3));
    shmetrics_family_spec alike = spec;
    alike.name = TEXT("my_requests");
    CHECK_FAILS(shmetrics_counter_register(segment, &alike, &family), CONFLICT);
}

static void too_late(const shmetrics_segment *segment) {
    char first[1];
    size_t len;
    shmetrics_cursor *cursor = NULL;
    CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
    CHECK(shmetrics_cursor_read(cursor, first, 1) == 1);
    const shmetrics_exposition openmetrics = {.format = SHMETRICS_FORMAT_OPENMETRICS};
    CHECK_FAILS(shmetrics_cursor_set_exposition(cursor, openmetrics), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_cursor_add_filter(cursor, TEXT("a")), INVALID_ARGUMENT);
    char *page = drain(cursor, 4096, &len);
    CHECK(strstr(page, "\nshmetrics_series ") != NULL && strstr(page, "# EOF\n") == NULL);
    free(page);
}

static void nothing_wanted_is_there(shmetrics_segment *segment) {
    const char *const empty[] = {"", "", "# EOF\n", "# EOF\n", ""};
    for (uint32_t format = SHMETRICS_FORMAT_TEXT; format <= SHMETRICS_FORMAT_PROTOBUF; format++) {
        size_t len;
        char *page = page_as(segment, (shmetrics_exposition){.format = format}, "absent", &len);
        CHECK(strcmp(page, empty[format]) == 0 && len == strlen(page));
        free(page);
    }
    size_t len;
    char *page = page_as(segment, (shmetrics_exposition){0}, "shmetrics_series", &len);
    CHECK(strstr(page, "\nshmetrics_series ") != NULL && strstr(page, "shmetrics_processes") == NULL);
    free(page);
}

void test_formats(void) {
    shmetrics_segment *segment = scratch();
    shmetrics_cursor *cursor = NULL;
    negotiation();
    pages(segment);
    CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
    CHECK_FAILS(shmetrics_cursor_set_exposition(cursor, (shmetrics_exposition){.format = 99}), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_cursor_add_filter(cursor, TEXT("\xff")), INVALID_NAME);
    CHECK_FAILS(shmetrics_cursor_set_exposition(NULL, (shmetrics_exposition){0}), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_cursor_add_filter(NULL, TEXT("a")), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_cursor_add_filter(cursor, (shmetrics_str){NULL, 1}), NULL_ARGUMENT);
    CHECK_FAILS(
        shmetrics_cursor_set_exposition(cursor, (shmetrics_exposition){.escaping = UINT32_MAX}), INVALID_ARGUMENT);
    size_t len;
    free(drain(cursor, 4096, &len));
    CHECK(len > 1000); /* what was refused has changed nothing */
    too_late(segment);
    pieces_from_segment_and_reader();
    names_in_utf8();
    nothing_wanted_is_there(segment);
}
