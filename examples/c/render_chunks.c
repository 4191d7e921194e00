/* Render through a cursor into one small buffer, as an event loop would: a piece whenever the
 * socket takes more.
 *
 *   cc render_chunks.c $(pkg-config --cflags --libs shmetrics) -o render_chunks
 *   ./render_chunks */
#include <shmetrics.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 200, CHUNK = 64 };

static void must(shmetrics_status status, const char *doing) {
    if (status == SHMETRICS_STATUS_OK) return;
    char why[512];
    shmetrics_last_error(why, sizeof why);
    fprintf(stderr, "%s: %s\n", doing, why);
    exit(1);
}

static void count_keys(shmetrics_segment *segment) {
    const shmetrics_str label = SHMETRICS_STR("shard");
    shmetrics_counter_family keys;
    must(shmetrics_counter_register(segment,
             &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("keys_total"), .help = SHMETRICS_STR("Keys written."),
                 .label_names = &label, .label_count = 1),
             &keys),
        "register the counter");
    for (unsigned shard = 0; shard < SHARDS; shard++) {
        char number[16];
        int len = snprintf(number, sizeof number, "%u", shard);
        shmetrics_str value = {number, (size_t)len}; /* copied: the buffer may be reused */
        shmetrics_counter_add_u64(shmetrics_counter_with(keys, &value, 1), shard);
    }
}

/* Chunks end anywhere, inside a line too; here they are put together again to look at the
 * result. */
struct page {
    char *bytes;
    size_t len;
};

static void append(struct page *page, const char *chunk, size_t len) {
    char *grown = realloc(page->bytes, page->len + len + 1);
    if (!grown) abort();
    memcpy(grown + page->len, chunk, len);
    page->bytes = grown;
    page->len += len;
    page->bytes[page->len] = '\0';
}

static unsigned long sum_of_shards(const char *page) {
    static const char head[] = "\nkeys_total{shard=\"";
    unsigned long sum = 0;
    for (const char *line = page; (line = strstr(line, head)) != NULL; line++) {
        const char *value = strstr(line, "\"} ");
        if (value) sum += strtoul(value + 3, NULL, 10);
    }
    return sum;
}

int main(void) {
    shmetrics_options options;
    shmetrics_options_init(&options);
    options.open_mode = SHMETRICS_ANONYMOUS;
    shmetrics_segment *segment;
    must(shmetrics_segment_open(&options, &segment), "open the segment");
    count_keys(segment);

    char chunk[CHUNK];
    size_t len;
    struct page page = {NULL, 0};
    shmetrics_cursor *cursor;
    must(shmetrics_segment_cursor(segment, &cursor), "start to render");
    while ((len = shmetrics_cursor_read(cursor, chunk, sizeof chunk)) > 0) {
        fwrite(chunk, 1, len, stdout);
        append(&page, chunk, len);
    }
    shmetrics_cursor_free(cursor);

    const unsigned long expected = (unsigned long)SHARDS * (SHARDS - 1) / 2;
    unsigned long sum = page.bytes ? sum_of_shards(page.bytes) : 0;
    free(page.bytes);
    if (sum != expected) fprintf(stderr, "the page shows %lu keys, expected %lu\n", sum, expected);
    return sum != expected;
}
