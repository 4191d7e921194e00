/* Updates: what each does to its cell, and that no number and no handle can break one. */
#include "check.h"

#include <float.h>
#include <time.h>

static void counting(shmetrics_segment *segment) {
    shmetrics_counter c = shmetrics_counter_with(counters(segment, "c", NULL), NULL, 0);
    CHECK_SHOWS(segment, "\nc_total 0\n");
    shmetrics_counter_inc(c);
    shmetrics_counter_add(c, 2);
    shmetrics_counter_add_u64(c, 3);
    shmetrics_counter_add(c, 0.5);
    shmetrics_counter_add(c, 0);
    shmetrics_counter_add(c, -0.0);
    CHECK(shmetrics_counter_value(c) == 6.5);
    CHECK_SHOWS(segment, "\nc_total 6.5\n");
}

static void counting_beyond_doubles(shmetrics_segment *segment) {
    shmetrics_counter c = shmetrics_counter_with(counters(segment, "large", NULL), NULL, 0);
    shmetrics_counter_add_u64(c, UINT64_C(1) << 53);
    shmetrics_counter_inc(c);
    CHECK_SHOWS(segment, "\nlarge_total 9007199254740993\n");
}

static void counting_what_no_counter_takes(shmetrics_segment *segment) {
    shmetrics_counter c = shmetrics_counter_with(counters(segment, "strict", NULL), NULL, 0);
    const double rejected = sample(segment, "shmetrics_updates_rejected_total");
    const double refused[] = {-1, -DBL_MIN, -DBL_MAX, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) shmetrics_counter_add(c, refused[i]);
    CHECK(shmetrics_counter_value(c) == 0);
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == rejected + 6);
}

static void gauges_take_every_number(shmetrics_segment *segment) {
    shmetrics_gauge g = shmetrics_gauge_with(gauges(segment, "g", SHMETRICS_GAUGE_SHARED), NULL, 0);
    shmetrics_gauge_set(g, 10);
    shmetrics_gauge_add(g, 0.5);
    shmetrics_gauge_add(g, -3);
    shmetrics_gauge_inc(g);
    shmetrics_gauge_inc(g);
    shmetrics_gauge_dec(g);
    CHECK_SHOWS(segment, "\ng 8.5\n");
    shmetrics_gauge_set(g, -DBL_MAX);
    CHECK(sample(segment, "g") == -DBL_MAX);
    shmetrics_gauge_set(g, INFINITY);
    CHECK_SHOWS(segment, "\ng +Inf\n");
    shmetrics_gauge_set(g, -INFINITY);
    CHECK_SHOWS(segment, "\ng -Inf\n");
    shmetrics_gauge_set(g, NAN);
    CHECK_SHOWS(segment, "\ng NaN\n");

    const time_t before = time(NULL);
    shmetrics_gauge_set_to_now(g);
    const double now = sample(segment, "g");
    CHECK(now >= (double)before && now <= (double)time(NULL) + 1);
}

static void observing(shmetrics_segment *segment) {
    const double bounds[] = {1, 2};
    shmetrics_histogram h = shmetrics_histogram_with(histograms(segment, "h", bounds, 2), NULL, 0);
    const double values[] = {0.5, 1, 1.5, 2, 3, -1};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) shmetrics_histogram_observe(h, values[i]);
    CHECK_SHOWS(segment,
        "\nh_bucket{le=\"1.0\"} 3\nh_bucket{le=\"2.0\"} 5\n"
        "h_bucket{le=\"+Inf\"} 6\nh_sum 7\nh_count 6\n");

    const double rejected = sample(segment, "shmetrics_updates_rejected_total");
    shmetrics_histogram_observe(h, NAN);
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == rejected + 1);
    shmetrics_histogram_observe(h, INFINITY);
    shmetrics_histogram_observe(h, -INFINITY);
    CHECK_SHOWS(segment,
        "\nh_bucket{le=\"1.0\"} 4\nh_bucket{le=\"2.0\"} 6\n"
        "h_bucket{le=\"+Inf\"} 8\nh_sum 7\nh_count 8\n");
}

static void observing_by_default_buckets(shmetrics_segment *segment) {
    shmetrics_histogram h = shmetrics_histogram_with(histograms(segment, "latency", NULL, 0), NULL, 0);
    shmetrics_histogram_observe(h, 0.3);
    CHECK_SHOWS(segment, "\nlatency_bucket{le=\"0.25\"} 0\nlatency_bucket{le=\"0.5\"} 1\n");
}

static void timing(shmetrics_segment *segment) {
    shmetrics_histogram h = shmetrics_histogram_with(histograms(segment, "time", NULL, 0), NULL, 0);
    const uint64_t first = shmetrics_timer_start(), second = shmetrics_timer_start();
    CHECK(first > 0 && second >= first);
    shmetrics_histogram_observe_since(h, first);
    CHECK(sample(segment, "time_count") == 1);
    CHECK(sample(segment, "time_sum") > 0);
    const double sum = sample(segment, "time_sum");
    shmetrics_histogram_observe_since(h, UINT64_MAX); /* from the future: took no time */
    CHECK(sample(segment, "time_sum") == sum);
    CHECK(sample(segment, "time_count") == 2);
}

static void naming_all_in_one_call(shmetrics_segment *segment) {
    const shmetrics_label labels[] = {{text("method"), text("GET")}, {text("path"), {NULL, 0}}};
    for (int i = 0; i < 3; i++) {
        CHECK_OK(shmetrics_counter_add_named(segment, text("named_total"), labels, 2, 2));
        CHECK_OK(shmetrics_counter_add_named(segment, text("alone"), NULL, 0, 0.5));
        CHECK_OK(shmetrics_histogram_observe_named(segment, text("named_seconds"), labels, 1, 0.3));
    }
    CHECK(sample(segment, "named_total{method=\"GET\",path=\"\"}") == 6);
    CHECK(sample(segment, "alone_total") == 1.5);
    CHECK(sample(segment, "named_seconds_count{method=\"GET\"}") == 3);
    CHECK_FAILS(shmetrics_counter_add_named(segment, text("named"), labels, 1, 1), CONFLICT);
    CHECK_FAILS(shmetrics_histogram_observe_named(segment, text("named"), labels, 2, 1), CONFLICT);
    CHECK_OK(shmetrics_counter_add_named(segment, text("1"), NULL, 0, 1));
    CHECK_FAILS(shmetrics_counter_add_named(segment, text(""), NULL, 0, 1), INVALID_NAME);
    CHECK_FAILS(shmetrics_counter_add_named(NULL, text("named"), labels, 2, 1), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_counter_add_named(segment, text("named"), NULL, 2, 1), NULL_ARGUMENT);
    CHECK(sample(segment, "named_total{method=\"GET\",path=\"\"}") == 6);
}

static void inert_handles_do_nothing(void) {
    const shmetrics_counter c = {0};
    const shmetrics_gauge g = {0};
    const shmetrics_histogram h = {0};
    shmetrics_counter_inc(c);
    shmetrics_counter_add(c, 1);
    shmetrics_counter_add(c, NAN);
    shmetrics_counter_add_u64(c, 1);
    CHECK(shmetrics_counter_value(c) == 0);
    shmetrics_gauge_set(g, 1);
    shmetrics_gauge_add(g, 1);
    shmetrics_gauge_inc(g);
    shmetrics_gauge_dec(g);
    shmetrics_gauge_set_to_now(g);
    shmetrics_histogram_observe(h, 1);
    shmetrics_histogram_observe(h, NAN);
    shmetrics_histogram_observe_since(h, shmetrics_timer_start());
}

/* Updates that make system calls leave errno as it is: hosts look at it long after the call that
 * set it. */
#define KEEPS_ERRNO(update) \
    do { \
        errno = 4711; \
        update; \
        CHECK(errno == 4711); \
    } while (0)

static void updates_keep_errno(void *segment) {
    const shmetrics_str label = text("n");
    shmetrics_family_spec what = SHMETRICS_FAMILY_SPEC();
    what.name = text("errno_native");
    what.label_names = &label;
    what.label_count = 1;
    what.native_factor = 1.1;
    shmetrics_histogram_family native;
    CHECK_OK(shmetrics_histogram_register(segment, &what, &native));
    shmetrics_counter_family sets = counters(segment, "errno_total", "n");
    shmetrics_gauge_family busy = gauges(segment, "errno_busy", SHMETRICS_GAUGE_LIVESUM);
    const shmetrics_gauge gauge = shmetrics_gauge_with(busy, NULL, 0);
    KEEPS_ERRNO(shmetrics_gauge_set(gauge, 1));
    KEEPS_ERRNO(shmetrics_gauge_inc(gauge));
    KEEPS_ERRNO(shmetrics_gauge_set_to_now(gauge));
    for (int i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof name, "set %d", i);
        const shmetrics_str value = text(name);
        shmetrics_counter counter;
        KEEPS_ERRNO(counter = shmetrics_counter_with(sets, &value, 1));
        KEEPS_ERRNO(shmetrics_counter_inc(counter));
        KEEPS_ERRNO(shmetrics_counter_add(counter, 0.5));
        const shmetrics_label pair = {label, value};
        KEEPS_ERRNO(shmetrics_counter_add_named(segment, text("errno_named"), &pair, 1, 1));
        KEEPS_ERRNO(shmetrics_histogram_observe_named(segment, text("errno_seconds"), &pair, 1, 1));
        shmetrics_histogram histogram;
        KEEPS_ERRNO(histogram = shmetrics_histogram_with(native, &value, 1));
        for (int e = -10; e < 10; e++) KEEPS_ERRNO(shmetrics_histogram_observe(histogram, ldexp(1, 12 * e)));
        KEEPS_ERRNO(shmetrics_histogram_observe_with_exemplar(histogram, 1, &pair, 1));
        KEEPS_ERRNO(shmetrics_counter_add_with_exemplar(counter, 1, &pair, 1));
    }
    const shmetrics_str hot = text("hot");
    const shmetrics_counter counter = shmetrics_counter_with(sets, &hot, 1);
    for (int i = 0; i < 20000; i++) KEEPS_ERRNO(shmetrics_counter_inc(counter));
}

void test_update(void) {
    shmetrics_segment *segment = scratch();
    counting(segment);
    counting_beyond_doubles(segment);
    counting_what_no_counter_takes(segment);
    gauges_take_every_number(segment);
    observing(segment);
    observing_by_default_buckets(segment);
    timing(segment);
    naming_all_in_one_call(segment);
    updates_keep_errno(segment);
    CHECK(in_child(updates_keep_errno, segment));
    inert_handles_do_nothing();
}
