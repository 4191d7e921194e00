/* Families of the host on the page, the values of series, and bounds that are computed. */
#include "check.h"

#include <pthread.h>

/* The allocator of the address sanitizer may be locked for ever in a child that was forked beside
 * threads, as its locks are not released there. */
#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

static const shmetrics_label of_disk[] = {{SHMETRICS_STR_INIT("disk"), SHMETRICS_STR_INIT("a\"b")}};

/* What a collector of these tests does, and how often it was called. */
struct plan {
    const char *name;
    double value;
    bool succeeds;
    void (*also)(shmetrics_cursor *cursor);
    shmetrics_segment *segment;
    int calls;
};

static bool collect(shmetrics_cursor *cursor, void *data) {
    struct plan *plan = data;
    plan->calls++;
    CHECK_OK(shmetrics_cursor_add_sample(
        cursor, SHMETRICS_KIND_GAUGE, text(plan->name), TEXT("Help."), of_disk, 1, plan->value));
    if (plan->also) plan->also(cursor);
    return plan->succeeds;
}

static shmetrics_collector *added(shmetrics_segment *segment, struct plan *plan) {
    shmetrics_collector *collector = NULL;
    plan->segment = segment;
    CHECK_OK(shmetrics_segment_add_collector(segment, collect, plan, &collector));
    CHECK(collector != NULL);
    return collector;
}

static void more_of_the_family(shmetrics_cursor *cursor) {
    const shmetrics_label other = {TEXT("disk"), TEXT("c")};
    CHECK_OK(shmetrics_cursor_add_sample(cursor, SHMETRICS_KIND_GAUGE, TEXT("free_bytes"), TEXT(""), &other, 1, 2));
    CHECK_OK(shmetrics_cursor_add_sample(cursor, SHMETRICS_KIND_GAUGE, TEXT("free_bytes"), TEXT(""), &other, 1, 3));
    CHECK_OK(shmetrics_cursor_add_sample(cursor, SHMETRICS_KIND_COUNTER, TEXT("reads"), TEXT("Reads."), NULL, 0, 4));
    CHECK_OK(shmetrics_cursor_add_sample(cursor, SHMETRICS_KIND_COUNTER, TEXT("reads_total"), TEXT(""), NULL, 0, 5));
}

static void on_each_page(void) {
    shmetrics_segment *segment = scratch(), *other = scratch();
    struct plan plan = {"free_bytes", 1.5, true, more_of_the_family, NULL, 0};
    shmetrics_counter_inc(shmetrics_counter_with(counters(segment, "own", NULL), NULL, 0));
    shmetrics_collector *collector = added(segment, &plan);
    CHECK_SHOWS(segment, "own_total 1\n");
    CHECK(plan.calls == 1);
    CHECK_SHOWS(segment,
        "# HELP free_bytes Help.\n# TYPE free_bytes gauge\nfree_bytes{disk=\"a\\\"b\"} 1.5\nfree_bytes{disk=\"c\"} "
        "3\n");
    CHECK_SHOWS(segment, "# TYPE reads_total counter\nreads_total 5\n");
    CHECK_SHOWS(segment, "\nshmetrics_collector_failures_total 0\n");
    CHECK_HIDES(other, "free_bytes");
    CHECK_HIDES(other, "shmetrics_collector_failures_total");
    CHECK(plan.calls == 4);

    /* Also through cursors, selected, and as values. */
    char page[8192];
    shmetrics_cursor *cursor = NULL;
    CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
    CHECK(plan.calls == 5);
    CHECK_OK(shmetrics_cursor_add_filter(cursor, TEXT("reads_total")));
    page[shmetrics_cursor_read(cursor, page, sizeof page - 1)] = '\0';
    CHECK(strcmp(page, "# HELP reads_total Reads.\n# TYPE reads_total counter\nreads_total 5\n") == 0);
    CHECK_FAILS(shmetrics_cursor_add_sample(cursor, SHMETRICS_KIND_GAUGE, TEXT("late"), TEXT(""), NULL, 0, 1),
        INVALID_ARGUMENT);
    shmetrics_cursor_free(cursor);
    shmetrics_points *points = NULL;
    const shmetrics_point *point = NULL;
    int seen = 0;
    CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
    CHECK_OK(shmetrics_cursor_points(cursor, &points));
    while (shmetrics_points_next(points, &point) == SHMETRICS_STATUS_OK && point)
        if (point->family->name.len == 10 && memcmp(point->family->name.data, "free_bytes", 10) == 0) seen++;
    shmetrics_points_free(points);
    CHECK(seen == 2);

    shmetrics_collector_remove(collector);
    shmetrics_collector_remove(NULL);
    plan.calls = 0;
    CHECK_HIDES(segment, "free_bytes");
    CHECK(plan.calls == 0);
}

static void refused_samples(shmetrics_cursor *cursor) {
    const shmetrics_label twice[] = {of_disk[0], of_disk[0]}, bad = {TEXT("a b"), TEXT("")};
    const double nan = NAN;
#define REFUSED(status, kind, name, labels, count, value) \
    CHECK_STATUS(shmetrics_cursor_add_sample(cursor, SHMETRICS_KIND_##kind, name, TEXT(""), labels, count, value), \
        SHMETRICS_STATUS_##status)
    REFUSED(INVALID_ARGUMENT, HISTOGRAM, TEXT("h"), NULL, 0, 1);
    REFUSED(INVALID_NAME, GAUGE, TEXT("a b"), NULL, 0, 1);
    REFUSED(INVALID_NAME, GAUGE, TEXT("shmetrics_series"), NULL, 0, 1);
    REFUSED(INVALID_NAME, GAUGE, TEXT("g"), twice, 2, 1);
    REFUSED(INVALID_NAME, GAUGE, TEXT("g"), &bad, 1, 1);
    REFUSED(INVALID_ARGUMENT, COUNTER, TEXT("c"), NULL, 0, nan);
    REFUSED(INVALID_ARGUMENT, COUNTER, TEXT("c"), NULL, 0, -1);
    REFUSED(CONFLICT, COUNTER, TEXT("free_bytes"), NULL, 0, 1);
    REFUSED(NULL_ARGUMENT, GAUGE, TEXT("g"), NULL, 1, 1);
#undef REFUSED
}

static void failures_of_collectors(void) {
    shmetrics_segment *segment = scratch();
    struct plan good = {"good", 1, true, NULL, NULL, 0}, fails = {"left_out", 1, false, NULL, NULL, 0};
    struct plan wrong = {"free_bytes", 7, true, refused_samples, NULL, 0}, own = {"own", 1, true, NULL, NULL, 0};
    shmetrics_gauge_set(shmetrics_gauge_with(gauges(segment, "own", SHMETRICS_GAUGE_SHARED), NULL, 0), 2);
    added(segment, &good);
    added(segment, &fails);
    added(segment, &own); /* a family of the segment prevails */
    const double before = sample(segment, "shmetrics_collector_failures_total");
    CHECK_SHOWS(segment, "\ngood{");
    CHECK_HIDES(segment, "left_out");
    CHECK_SHOWS(segment, "\nown 2\n");
    CHECK(sample(segment, "shmetrics_conflicts") == 1);
    CHECK(sample(segment, "shmetrics_collector_failures_total") == before + 5);
    added(segment, &wrong);
    CHECK(sample(segment, "shmetrics_collector_failures_total") == before + 6 + 9);
    CHECK_SHOWS(segment, "\nfree_bytes{disk=\"a\\\"b\"} 7\n");
    shmetrics_collector *untouched = NULL;
    CHECK_FAILS(shmetrics_segment_add_collector(NULL, collect, &good, &untouched), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_segment_add_collector(segment, NULL, &good, &untouched), NULL_ARGUMENT);
    CHECK(untouched == NULL);
    CHECK_FAILS(
        shmetrics_cursor_add_sample(NULL, SHMETRICS_KIND_GAUGE, TEXT("g"), TEXT(""), NULL, 0, 1), NULL_ARGUMENT);
}

/* A collector may do all that a program may: only its own page it cannot read. */
static struct plan busy, during;
static void everything(shmetrics_cursor *cursor) {
    char byte;
    shmetrics_points *points = NULL;
    CHECK(shmetrics_cursor_read(cursor, &byte, 1) == 0);
    CHECK_FAILS(shmetrics_cursor_points(cursor, &points), INVALID_ARGUMENT);
    shmetrics_cursor_free(cursor); /* not its own */
    shmetrics_counter_inc(shmetrics_counter_with(counters(busy.segment, "during", NULL), NULL, 0));
    char *page = page_of(busy.segment); /* has no samples of collectors */
    CHECK(strstr(page, "free_bytes") == NULL && strstr(page, "\nduring_total ") != NULL);
    free(page);
    if (!during.segment) added(busy.segment, &during);
}

static void reentrant(void) {
    busy = (struct plan){"free_bytes", 1, true, everything, NULL, 0};
    during = (struct plan){"added_during", 1, true, NULL, NULL, 0};
    added(scratch(), &busy);
    CHECK_HIDES(busy.segment, "added_during");
    CHECK_SHOWS(busy.segment, "\nadded_during{");
    CHECK_SHOWS(busy.segment, "\nfree_bytes{");
    CHECK(busy.calls == 3 && sample(busy.segment, "during_total") == 4);
}

static void pages_of_a_child(void *argument) {
    struct plan *plan = argument;
    plan->value = 9;
    CHECK_SHOWS(plan->segment, "\nfree_bytes{disk=\"a\\\"b\"} 9\n");
    CHECK_SHOWS(plan->segment, "\nfree_bytes{disk=\"a\\\"b\"} 9\n");
}

static void *pages(void *argument) {
    struct plan *plan = argument;
    for (int i = 0; i < 50; i++) {
        char *page = page_of(plan->segment);
        if (!strstr(page, "\nthreads{disk=\"a\\\"b\"} 1\n")) plan->value = 0;
        free(page);
    }
    return NULL;
}

static void pages_in_a_child(void *argument) {
    pages(argument);
    CHECK(((struct plan *)argument)->value == 1);
}

/* Of a pure collector: threads may be in it at the same time. */
static bool collect_purely(shmetrics_cursor *cursor, void *data) {
    (void)data;
    return shmetrics_cursor_add_sample(cursor, SHMETRICS_KIND_GAUGE, TEXT("threads"), TEXT(""), of_disk, 1, 1)
        == SHMETRICS_STATUS_OK;
}

static void beside_threads_and_forks(void) {
    struct plan forked = {"free_bytes", 1, true, NULL, NULL, 0};
    added(scratch(), &forked);
    CHECK(in_child(pages_of_a_child, &forked));
    CHECK_SHOWS(forked.segment, "\nfree_bytes{disk=\"a\\\"b\"} 1\n");
    CHECK(forked.calls == 1);

    struct plan plans[4];
    pthread_t threads[4];
    shmetrics_segment *segment = scratch();
    CHECK_OK(shmetrics_segment_add_collector(segment, collect_purely, NULL, NULL));
    for (int i = 0; i < 4; i++) {
        plans[i] = (struct plan){"", 1, true, NULL, segment, 0};
        CHECK(pthread_create(&threads[i], NULL, pages, &plans[i]) == 0);
    }
    /* In a child, a leak checker finds what the threads had in their hands when it was forked. */
    const bool forks = !SANITIZED && !getenv("CONFORMANCE_LEAKS");
    for (int i = 0; i < 20; i++) { /* added, and children forked, beside them */
        shmetrics_collector *collector = NULL;
        CHECK_OK(shmetrics_segment_add_collector(segment, collect_purely, NULL, &collector));
        shmetrics_collector_remove(collector);
        struct plan child = {"", 1, true, NULL, segment, 0};
        if (i % 5 == 0 && forks) CHECK(in_child(pages_in_a_child, &child));
    }
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0 && plans[i].value == 1);
}

static void samples_of_one_page(void) {
    char page[8192];
    shmetrics_cursor *cursor = NULL;
    CHECK_OK(shmetrics_segment_cursor(scratch(), &cursor));
    CHECK_OK(shmetrics_cursor_add_sample(
        cursor, SHMETRICS_KIND_GAUGE, TEXT("uptime_seconds"), TEXT("Since boot."), NULL, 0, 17.5));
    CHECK_OK(shmetrics_cursor_set_exposition(cursor, (shmetrics_exposition){.format = SHMETRICS_FORMAT_OPENMETRICS}));
    page[shmetrics_cursor_read(cursor, page, sizeof page - 1)] = '\0';
    CHECK(strstr(page, "\nuptime_seconds 17.5\n") != NULL);
    shmetrics_cursor_free(cursor);
}

static void values(void) {
    shmetrics_segment *segment = scratch();
    const double le[] = {1, 2};
    uint64_t count = 7;
    double sum = 7;
    const shmetrics_histogram classic = shmetrics_histogram_with(histograms(segment, "classic", le, 2), NULL, 0);
    shmetrics_histogram_value(classic, &count, &sum);
    CHECK(count == 0 && sum == 0);
    for (int i = 0; i < 10000; i++) shmetrics_histogram_observe(classic, i % 4); /* also in per-CPU cells */
    shmetrics_histogram_value(classic, &count, &sum);
    CHECK(count == 10000 && sum == 15000);
    shmetrics_histogram_value(classic, NULL, NULL);
    shmetrics_histogram_value_p(&classic, &count, NULL);
    CHECK(count == 10000);
    shmetrics_histogram_value_p(NULL, &count, &sum);
    shmetrics_histogram_value((shmetrics_histogram){0}, &count, &sum);
    CHECK(count == 0 && sum == 0);

    const shmetrics_str label = TEXT("a"), value = TEXT("b");
    shmetrics_histogram_family native_family, ages;
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("native"), .native_factor = 1.1,
        .label_names = &label, .label_count = 1, .buckets = le, .bucket_count = 2);
    CHECK_OK(shmetrics_histogram_register(segment, &spec, &native_family));
    const shmetrics_histogram native = shmetrics_histogram_with(native_family, &value, 1);
    for (int i = -5; i < 5; i++) shmetrics_histogram_observe(native, i);
    shmetrics_histogram_value(native, &count, &sum);
    CHECK(count == 10 && sum == -5);
    CHECK(shmetrics_histogram_remove(native_family, &value, 1));
    shmetrics_histogram_value(native, &count, &sum);
    CHECK(count == 0 && sum == 0);

    const double half = 0.5;
    shmetrics_summary_family sizes;
    spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("sizes"), .quantiles = &half, .quantile_count = 1);
    CHECK_OK(shmetrics_summary_register(segment, &spec, &sizes));
    shmetrics_histogram_observe(shmetrics_summary_with(sizes, NULL, 0), 3);
    shmetrics_histogram_value(shmetrics_summary_with(sizes, NULL, 0), &count, &sum);
    CHECK(count == 1 && sum == 3);
    spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("ages"), .buckets = le, .bucket_count = 2);
    CHECK_OK(shmetrics_gauge_histogram_register(segment, &spec, &ages));
    const shmetrics_histogram age = shmetrics_histogram_with(ages, NULL, 0);
    shmetrics_histogram_observe(age, 1);
    shmetrics_histogram_observe(age, 3);
    shmetrics_histogram_unobserve(age, 1);
    shmetrics_histogram_value(age, &count, &sum);
    CHECK(count == 1 && sum == 3);
}

static void counters_that_are_set(void) {
    shmetrics_segment *segment = scratch();
    const shmetrics_counter counter = shmetrics_counter_with(counters(segment, "copied", NULL), NULL, 0);
    for (int i = 0; i < 10000; i++) shmetrics_counter_inc(counter); /* also in per-CPU cells */
    shmetrics_counter_set(counter, 12345);
    CHECK(shmetrics_counter_value(counter) == 12345);
    shmetrics_counter_set_p(&counter, 2.5);
    CHECK(shmetrics_counter_value(counter) == 2.5);
    const double wrong[] = {-1, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) shmetrics_counter_set(counter, wrong[i]);
    CHECK(shmetrics_counter_value(counter) == 2.5 && sample(segment, "shmetrics_updates_rejected_total") == 4);
    shmetrics_counter_reset(counter);
    CHECK(shmetrics_counter_value(counter) == 0);
    shmetrics_counter_add_u64(counter, (UINT64_C(1) << 60) + 1);
    shmetrics_counter_reset_p(&counter);
    CHECK_SHOWS(segment, "\ncopied_total 0\n");
    shmetrics_counter_inc(counter);
    CHECK_SHOWS(segment, "\ncopied_total 1\n");
    shmetrics_counter_set((shmetrics_counter){0}, 1);
    shmetrics_counter_reset((shmetrics_counter){0});
    shmetrics_counter_set_p(NULL, 1);
    shmetrics_counter_reset_p(NULL);
}

static void bounds(void) {
    double bound[4] = {7, 7, 7, 7};
    CHECK_OK(shmetrics_buckets_linear(-1, 0.5, bound, 3));
    CHECK(bound[0] == -1 && bound[1] == -0.5 && bound[2] == 0 && bound[3] == 7);
    CHECK_OK(shmetrics_buckets_exponential(0.001, 10, bound, 3));
    CHECK(bound[0] == 0.001 && bound[1] == 0.01 && bound[2] == 0.1 && bound[3] == 7);
    CHECK_OK(shmetrics_buckets_linear(1, 1, NULL, 0));
    CHECK_FAILS(shmetrics_buckets_linear(1, 1, NULL, 1), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_buckets_linear(1, 0, bound, 2), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_buckets_linear(1, NAN, bound, 2), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_buckets_linear(1, 1, bound, SIZE_MAX), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_buckets_exponential(0, 2, bound, 2), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_buckets_exponential(1, 1, bound, 2), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_buckets_exponential(1, 1e200, bound, 3), INVALID_ARGUMENT);
}

void test_collect(void) {
    on_each_page();
    failures_of_collectors();
    reentrant();
    beside_threads_and_forks();
    samples_of_one_page();
    values();
    counters_that_are_set();
    bounds();
}
