/* Pages: the one-shot call and the cursor, from a writer's segment and from a reader, into
 * buffers of every size. */
#include "check.h"

#include <time.h>

/* The application's lines of a page, without the library's own, which change from one look to
 * the next. */
static char *own_lines(const char *page) {
    char *kept = calloc(1, strlen(page) + 1), *end = kept;
    for (const char *line = page, *next; *line; line = next) {
        const char *newline = strchr(line, '\n');
        next = newline ? newline + 1 : line + strlen(line);
        const char *name = strncmp(line, "# ", 2) == 0 ? line + 7 : line; /* # HELP name, # TYPE name */
        if (strncmp(name, "shmetrics_", 10) == 0) continue;
        memcpy(end, line, (size_t)(next - line));
        end += next - line;
    }
    return kept;
}

static void check_same_page(const char *got, const char *expected, const char *how) {
    char *a = own_lines(got), *b = own_lines(expected);
    if (strcmp(a, b) != 0) fprintf(stderr, "the page %s differs:\n%s\nexpected:\n%s\n", how, a, b);
    CHECK(strcmp(a, b) == 0);
    free(a);
    free(b);
}

static shmetrics_segment *with_content(shmetrics_str name) {
    shmetrics_segment *segment = opened(name);
    shmetrics_counter_family family = counters(segment, "requests", "path");
    for (int i = 0; i < 100; i++) {
        char path[16];
        snprintf(path, sizeof path, "/%d", i);
        const shmetrics_str value = text(path);
        shmetrics_counter_add_u64(shmetrics_counter_with(family, &value, 1), (uint64_t)i);
    }
    shmetrics_histogram_observe(shmetrics_histogram_with(histograms(segment, "seconds", NULL, 0), NULL, 0), 1);
    return segment;
}

/* All that a cursor gives through a buffer of this size, whose end is guarded. */
static char *by_cursor(shmetrics_cursor *cursor, size_t cap) {
    char *page = NULL, *buffer = malloc(cap + 1);
    size_t len = 0, got;
    buffer[cap] = '!';
    while ((got = shmetrics_cursor_read(cursor, buffer, cap)) > 0) {
        CHECK(got <= cap && buffer[cap] == '!');
        page = realloc(page, len + got + 1);
        memcpy(page + len, buffer, got);
        len += got;
        page[len] = '\0';
    }
    CHECK(page != NULL);
    CHECK(shmetrics_cursor_read(cursor, buffer, cap) == 0); /* complete stays complete */
    shmetrics_cursor_free(cursor);
    free(buffer);
    return page ? page : calloc(1, 1);
}

static void pieces_make_the_page(const shmetrics_segment *segment, const shmetrics_reader *reader) {
    char *whole = page_of(segment);
    const size_t sizes[] = {1, 2, 7, 64, 4096, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        shmetrics_cursor *of_segment = NULL, *of_reader = NULL;
        CHECK_OK(shmetrics_segment_cursor(segment, &of_segment));
        CHECK_OK(shmetrics_reader_cursor(reader, &of_reader));
        char *a = by_cursor(of_segment, sizes[i]), *b = by_cursor(of_reader, sizes[i]);
        check_same_page(a, whole, "by a segment's cursor");
        check_same_page(b, whole, "by a reader's cursor");
        free(a);
        free(b);
    }
    free(whole);
}

static void an_abandoned_cursor(const shmetrics_segment *segment) {
    char buffer[1];
    shmetrics_cursor *cursor = NULL;
    CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
    CHECK(shmetrics_cursor_read(cursor, buffer, 1) == 1);
    CHECK(shmetrics_cursor_read(cursor, NULL, 0) == 0);
    CHECK(shmetrics_cursor_read(cursor, buffer, 1) == 1); /* no room was not the end */
    shmetrics_cursor_free(cursor);
}

static void too_small_a_buffer(const shmetrics_segment *segment, const shmetrics_reader *reader) {
    size_t len = 0, reader_len = 0;
    char tiny[2] = "?";
    CHECK_FAILS(shmetrics_segment_render(segment, NULL, 0, &len), BUFFER_TOO_SMALL);
    CHECK_FAILS(shmetrics_reader_render(reader, tiny, 1, &reader_len), BUFFER_TOO_SMALL);
    CHECK(len > 1000 && reader_len > 1000);
    CHECK(tiny[1] == '\0'); /* nothing behind the buffer's end */

    const size_t cap = len + 4096;
    char *page = malloc(cap), *whole = page_of(segment);
    CHECK_OK(shmetrics_reader_render(reader, page, cap - 1, &len));
    CHECK(len < cap && page[len - 1] == '\n');
    page[len] = '\0';
    check_same_page(page, whole, "by a reader");
    free(page);
    free(whole);
}

static void null_arguments(const shmetrics_segment *segment, const shmetrics_reader *reader, shmetrics_str name) {
    char buffer[8];
    size_t len;
    shmetrics_cursor *cursor;
    CHECK_FAILS(shmetrics_segment_render(NULL, buffer, sizeof buffer, &len), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_segment_render(segment, NULL, 8, &len), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_segment_render(segment, buffer, sizeof buffer, NULL), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_reader_render(NULL, buffer, sizeof buffer, &len), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_reader_render(reader, NULL, 8, &len), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_reader_render(reader, buffer, sizeof buffer, NULL), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_segment_cursor(NULL, &cursor), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_segment_cursor(segment, NULL), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_reader_cursor(NULL, &cursor), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_reader_cursor(reader, NULL), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_reader_open(name, NULL), NULL_ARGUMENT);
    CHECK(shmetrics_cursor_read(NULL, buffer, sizeof buffer) == 0);
    CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
    CHECK(shmetrics_cursor_read(cursor, NULL, 8) == 0);
    shmetrics_cursor_free(cursor);
    shmetrics_cursor_free(NULL);
    shmetrics_reader_free(NULL);
}

void test_render(void) {
    char name[64];
    snprintf(name, sizeof name, "conformance-render-%ld", (long)getpid());
    shmetrics_segment *segment = with_content(text(name));
    shmetrics_reader *reader = NULL;
    CHECK_OK(shmetrics_reader_open(text(name), &reader));
    pieces_make_the_page(segment, reader);
    an_abandoned_cursor(segment);
    too_small_a_buffer(segment, reader);
    null_arguments(segment, reader, text(name));
    shmetrics_reader_free(reader);
    CHECK_OK(shmetrics_segment_remove(text(name)));
    CHECK(strcmp(shmetrics_content_type(), "text/plain; version=0.0.4; charset=utf-8") == 0);
}
