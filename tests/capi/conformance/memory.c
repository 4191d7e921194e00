/* A process without memory gets a status from each call that has one, and goes on counting. */
#include "check.h"

#include <sys/resource.h>

/* Takes all memory that the process may have, in pieces that are linked by their first words. */
static void *take_all(void) {
    void *last = NULL;
    for (size_t size = 1 << 20; size >= 64; size /= 2)
        for (void *piece; (piece = malloc(size)) != NULL;) {
            *(void **)piece = last;
            last = piece;
        }
    return last;
}

static void give_all(void *piece) {
    while (piece != NULL) {
        void *next = *(void **)piece;
        free(piece);
        piece = next;
    }
}

static void register_some(shmetrics_segment *segment, shmetrics_status expected) {
    shmetrics_counter_family counter;
    shmetrics_gauge_family gauge;
    shmetrics_histogram_family histogram;
    const shmetrics_str label = TEXT("label");
    const shmetrics_family_spec spec =
        SHMETRICS_FAMILY_SPEC(.name = TEXT("late"), .help = TEXT("Late."), .label_names = &label, .label_count = 1);
    CHECK_STATUS(shmetrics_counter_register(segment, &spec, &counter), expected);
    if (expected == SHMETRICS_STATUS_OK) return;
    CHECK_STATUS(shmetrics_gauge_register(segment, &spec, SHMETRICS_GAUGE_ALL, &gauge), expected);
    CHECK_STATUS(shmetrics_histogram_register(segment, &spec, &histogram), expected);
    CHECK_STATUS(shmetrics_counter_add_named(segment, TEXT("by_name"), NULL, 0, 1), expected);
}

static void without_memory(void *unused) {
    (void)unused;
    static char page[1 << 20], why[256];
    char name[64];
    size_t length = 0;
    const shmetrics_options anonymous = named(TEXT(""), SHMETRICS_ANONYMOUS);
    shmetrics_segment *other;
    shmetrics_reader *reader, *late;
    shmetrics_cursor *cursor;
    snprintf(name, sizeof name, "memory-%d", (int)getpid());
    shmetrics_segment *segment = opened(text(name));
    CHECK_OK(shmetrics_reader_open(text(name), &reader));
    const shmetrics_counter counter = shmetrics_counter_with(counters(segment, "early", NULL), NULL, 0);
    const shmetrics_counter_family labelled = counters(segment, "early_labelled", "label");
    const shmetrics_gauge live = shmetrics_gauge_with(gauges(segment, "early_live", SHMETRICS_GAUGE_LIVESUM), NULL, 0);
    CHECK_OK(shmetrics_segment_render(segment, page, sizeof page, &length));
    shmetrics_cursor *before;
    shmetrics_points *points, *none;
    const shmetrics_point *point;
    CHECK_OK(shmetrics_segment_cursor(segment, &before));
    CHECK_OK(shmetrics_cursor_points(before, &points));
    CHECK_OK(shmetrics_segment_cursor(segment, &before));
    fflush(NULL);

    void *later[64]; /* what a page of all label sets takes, at the end */
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) CHECK((later[i] = malloc(64 << 10)) != NULL);
    const struct rlimit little = {1, 1}; /* what is mapped stays */
    CHECK(setrlimit(RLIMIT_AS, &little) == 0);
    void *all = take_all();
    const shmetrics_status want = SHMETRICS_STATUS_NO_MEMORY;
    register_some(segment, want);
    CHECK_STATUS(shmetrics_segment_open(&anonymous, &other), want);
    CHECK_STATUS(shmetrics_reader_open(text(name), &late), want);
    CHECK_STATUS(shmetrics_segment_render(segment, page, sizeof page, &length), want);
    CHECK_STATUS(shmetrics_reader_render(reader, page, sizeof page, &length), want);
    CHECK_STATUS(shmetrics_segment_cursor(segment, &cursor), want);
    CHECK_STATUS(shmetrics_reader_cursor(reader, &cursor), want);
    CHECK_STATUS(shmetrics_cursor_points(before, &none), want);
    CHECK_STATUS(shmetrics_points_next(points, &point), want);
    CHECK(shmetrics_last_error(why, sizeof why) > 0 && strstr(why, "no memory") != NULL);
    /* Updates and look-ups of label sets need none. */
    shmetrics_counter_inc(counter);
    shmetrics_gauge_set(live, 7);
    for (int i = 0; i < 6000; i++) {
        char of[16];
        snprintf(of, sizeof of, "%d", i);
        const shmetrics_str value = text(of);
        shmetrics_counter_inc(shmetrics_counter_with(labelled, &value, 1));
    }
    give_all(all);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) free(later[i]);
    register_some(segment, SHMETRICS_STATUS_OK);
    CHECK_OK(shmetrics_segment_render(segment, page, sizeof page, &length));
    page[length < sizeof page ? length : sizeof page - 1] = '\0';
    CHECK(strstr(page, "\nearly_total 1\n") != NULL && strstr(page, "\nearly_live 7\n") != NULL);
    CHECK(strstr(page, "early_labelled_total{label=\"5999\"} 1\n") != NULL);
    CHECK_OK(shmetrics_segment_remove(text(name)));
}

/* Address sanitizer and valgrind have an allocator of their own, which ends the process itself. */
static int has_the_usual_allocator(void) {
#if defined(__SANITIZE_ADDRESS__)
    return 0;
#else
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded == NULL || strstr(preloaded, "vgpreload") == NULL;
#endif
}

void test_memory(void) {
    if (has_the_usual_allocator()) CHECK(in_child(without_memory, NULL));
}
