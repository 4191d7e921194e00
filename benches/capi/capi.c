/* What a call through the C ABI costs, against the shared library, beside the machine's own
 * floor. Rounds of all rows are interleaved; the median of each is printed with its spread. Run
 * by benches/capi/run.sh. */
#define _GNU_SOURCE
#include <shmetrics.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 21, OPS = 2000000, SETS = 100, ORDER = 1 << 14 };

static uint64_t word;
static shmetrics_segment *segment;
static shmetrics_counter held, labelled;
static shmetrics_counter_family family;
static shmetrics_histogram histogram;
static shmetrics_gauge gauge, livesum;
static char texts[SETS][3][16];
static shmetrics_str sets[SETS][3];
static int order[ORDER];

static double now_ns(void) {
    struct timespec t;
    /* The processor's time of this process alone: other processes do not count. */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void floor_xadd(int i) {
    (void)i;
    __atomic_fetch_add(&word, 1, __ATOMIC_RELAXED);
}
static void counter_inc(int i) {
    (void)i;
    shmetrics_counter_inc(held);
}
static void labelled_inc(int i) {
    (void)i;
    shmetrics_counter_inc(labelled);
}
static void looked_up(int i) { shmetrics_counter_inc(shmetrics_counter_with(family, sets[order[i & (ORDER - 1)]], 3)); }
static void named(int i) {
    const shmetrics_str *set = sets[order[i & (ORDER - 1)]];
    const shmetrics_label labels[] = {
        {SHMETRICS_STR("method"), set[0]}, {SHMETRICS_STR("path"), set[1]}, {SHMETRICS_STR("status"), set[2]}};
    shmetrics_counter_add_named(segment, SHMETRICS_STR("looked_up"), labels, 3, 1);
}
static void nothing(int i) { (void)i; }
static void observe(int i) { shmetrics_histogram_observe(histogram, (double)(order[i & (ORDER - 1)] % 15) + 0.5); }
static void gauge_set(int i) { shmetrics_gauge_set(gauge, (double)i); }
static void gauge_inc(int i) {
    (void)i;
    shmetrics_gauge_inc(gauge);
}
static void livesum_inc(int i) {
    (void)i;
    shmetrics_gauge_inc(livesum);
}

#define ROW(name, call) \
    { \
        name, call, { 0 } \
    }
static struct row {
    const char *name;
    void (*call)(int);
    double ns[ROUNDS];
} rows[] = {
    ROW("nothing, but the loop", nothing),
    ROW("lock xadd, one word", floor_xadd),
    ROW("held counter, inc", counter_inc),
    ROW("held, of a label set, inc", labelled_inc),
    ROW("three strings of 100 sets, inc", looked_up),
    ROW("name and three strings in one call", named),
    ROW("histogram, observe, 15 buckets", observe),
    ROW("shared gauge, set", gauge_set),
    ROW("shared gauge, inc", gauge_inc),
    ROW("livesum gauge, inc", livesum_inc),
};

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void must(shmetrics_status status) {
    if (status == SHMETRICS_STATUS_OK) return;
    char detail[256];
    shmetrics_last_error(detail, sizeof detail);
    fprintf(stderr, "%s: %s\n", shmetrics_status_message(status), detail);
    exit(1);
}

static void set_up(void) {
    shmetrics_options options;
    shmetrics_options_init(&options);
    options.open_mode = SHMETRICS_ANONYMOUS;
    must(shmetrics_segment_open(&options, &segment));
    shmetrics_counter_family counters;
    shmetrics_gauge_family gauges;
    shmetrics_histogram_family histograms;
    must(shmetrics_counter_register(segment, &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("held")), &counters));
    held = shmetrics_counter_with(counters, NULL, 0);
    const shmetrics_str names[] = {SHMETRICS_STR("method"), SHMETRICS_STR("path"), SHMETRICS_STR("status")};
    must(shmetrics_counter_register(segment,
        &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("looked_up"), .label_names = names, .label_count = 3), &family));
    const double bounds[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    must(shmetrics_histogram_register(segment,
        &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("observed"), .buckets = bounds, .bucket_count = 14), &histograms));
    histogram = shmetrics_histogram_with(histograms, NULL, 0);
    must(shmetrics_gauge_register(
        segment, &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("shared")), SHMETRICS_GAUGE_SHARED, &gauges));
    gauge = shmetrics_gauge_with(gauges, NULL, 0);
    must(shmetrics_gauge_register(
        segment, &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("live")), SHMETRICS_GAUGE_LIVESUM, &gauges));
    livesum = shmetrics_gauge_with(gauges, NULL, 0);
    for (int i = 0; i < SETS; i++) {
        const char *formats[] = {"method%04d", "/path/%04d", "status%04d"};
        for (int k = 0; k < 3; k++) {
            snprintf(texts[i][k], sizeof texts[i][k], formats[k], i);
            sets[i][k] = shmetrics_cstr(texts[i][k]);
        }
    }
    labelled = shmetrics_counter_with(family, sets[0], 3);
    for (uint32_t i = 0; i < ORDER; i++) order[i] = (int)((i * 2654435761u >> 7) % SETS);
}

int main(void) {
    set_up();
    const size_t n = sizeof rows / sizeof rows[0];
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t r = 0; r < n; r++) {
            const double start = now_ns();
            for (int i = 0; i < OPS; i++) rows[r].call(i);
            rows[r].ns[round] = (now_ns() - start) / OPS;
        }
    }
    printf("%-34s %8s %8s %8s\n", "ns per call, through the .so", "median", "least", "most");
    for (size_t r = 0; r < n; r++) {
        qsort(rows[r].ns, ROUNDS, sizeof(double), ascending);
        printf(
            "%-34s %8.2f %8.2f %8.2f\n", rows[r].name, rows[r].ns[ROUNDS / 2], rows[r].ns[0], rows[r].ns[ROUNDS - 1]);
    }
    return 0;
}
