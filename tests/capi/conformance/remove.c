/* Label sets that are removed, cleared and expire. */
#include "check.h"

static const shmetrics_str A = {"a", 1}, B = {"b", 1};

static void counter_sets(void) {
    shmetrics_segment *segment = scratch();
    shmetrics_counter_family family = counters(segment, "c", "label");
    const shmetrics_counter old = shmetrics_counter_with(family, &A, 1);
    shmetrics_counter_add_u64(old, 5);
    CHECK(!shmetrics_counter_is_removed(old));
    CHECK(shmetrics_counter_remove(family, &A, 1));
    CHECK(!shmetrics_counter_remove(family, &A, 1));
    CHECK(shmetrics_counter_is_removed(old));
    const shmetrics_counter new = shmetrics_counter_with(family, &B, 1); /* in the same place */
    shmetrics_counter_inc(old);
    shmetrics_counter_add(old, 0.5);
    CHECK(shmetrics_counter_value(old) == 0 && shmetrics_counter_value(new) == 0);
    CHECK(sample(segment, "shmetrics_stale_updates_total") == 2);
    CHECK_HIDES(segment, "label=\"a\"");
    CHECK(shmetrics_counter_clear(family) == 1);
    CHECK_HIDES(segment, "\nc_total{");
    CHECK(sample(segment, "shmetrics_series_removed_total") == 2);
}

static void gauge_sets(void) {
    shmetrics_segment *segment = scratch();
    const shmetrics_str names[] = {TEXT("label")};
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("g"), .label_names = names, .label_count = 1);
    shmetrics_gauge_family family;
    CHECK_OK(shmetrics_gauge_register(segment, &spec, SHMETRICS_GAUGE_LIVESUM, &family));
    const shmetrics_gauge old = shmetrics_gauge_with(family, &A, 1);
    shmetrics_gauge_set(old, 3);
    CHECK(sample(segment, "g{label=\"a\"}") == 3);
    CHECK(shmetrics_gauge_remove(family, &A, 1) && shmetrics_gauge_is_removed(old));
    shmetrics_gauge_set(shmetrics_gauge_with(family, &B, 1), 4);
    shmetrics_gauge_inc(old);
    CHECK(sample(segment, "g{label=\"b\"}") == 4);
    CHECK(shmetrics_gauge_clear(family) == 1);
}

static void histogram_sets(void) {
    shmetrics_segment *segment = scratch();
    const shmetrics_str names[] = {TEXT("label")};
    shmetrics_family_spec spec =
        SHMETRICS_FAMILY_SPEC(.name = TEXT("h"), .label_names = names, .label_count = 1, .expire_after_seconds = 1);
    shmetrics_histogram_family family;
    CHECK_OK(shmetrics_histogram_register(segment, &spec, &family));
    const shmetrics_histogram old = shmetrics_histogram_with(family, &A, 1);
    shmetrics_histogram_observe(old, 3);
    CHECK(shmetrics_histogram_remove(family, &A, 1) && shmetrics_histogram_is_removed(old));
    shmetrics_histogram_observe(shmetrics_histogram_with(family, &B, 1), 1);
    shmetrics_histogram_observe(old, 3);
    CHECK(sample(segment, "h_count{label=\"b\"}") == 1);
    CHECK(shmetrics_histogram_clear(family) == 1);

    shmetrics_histogram_observe(shmetrics_histogram_with(family, &A, 1), 1);
    uint64_t expired = 0;
    for (int i = 0; i < 600 && expired == 0; i++) {
        expired = shmetrics_segment_expire(segment);
        usleep(100000);
    }
    CHECK(expired == 1);
    CHECK_HIDES(segment, "\nh_count{");
    CHECK(shmetrics_segment_expire(NULL) == 0);
}

static void trouble(void) {
    char text[64];
    shmetrics_segment *segment = scratch();
    shmetrics_counter_family family = counters(segment, "c", "label");
    CHECK(shmetrics_segment_next_warning(segment, text, sizeof text) == 0 && text[0] == 0);
    const shmetrics_counter old = shmetrics_counter_with(family, &A, 1);
    shmetrics_counter_remove(family, &A, 1);
    CHECK(shmetrics_counter_clear(family) == 0);
    shmetrics_counter_with(family, &A, 1); /* in the same place */
    shmetrics_counter_inc(old);
    CHECK(shmetrics_segment_next_warning(segment, text, sizeof text) > sizeof text);
    CHECK(strlen(text) == sizeof text - 1 && strncmp(text, "1 updates went to label sets", 28) == 0);
    CHECK(shmetrics_segment_next_warning(segment, NULL, 0) == 0);
    CHECK(shmetrics_segment_next_warning(NULL, text, sizeof text) == 0);
}

static void is_one_more(void *segment) { CHECK(shmetrics_segment_attached(segment) == 2); }

static void make_and_end(void *name) { (void)opened(text(name)); }

static void users(void) {
    shmetrics_segment *segment = scratch();
    CHECK(shmetrics_segment_is_current(segment) && shmetrics_segment_is_current(NULL));
    CHECK(shmetrics_segment_attached(segment) == 1 && shmetrics_segment_attached(NULL) == -1);
    bool in_use = true;
    CHECK_FAILS(shmetrics_segment_is_in_use(text("none-of-this-name"), &in_use), NOT_FOUND);
    CHECK_FAILS(shmetrics_segment_is_in_use(text("none-of-this-name"), NULL), NULL_ARGUMENT);

    char name[64], left[64];
    snprintf(name, sizeof name, "conformance-users-%d", (int)getpid());
    snprintf(left, sizeof left, "conformance-left-%d", (int)getpid());
    segment = opened(text(name));
    in_use = false;
    CHECK_OK(shmetrics_segment_is_in_use(text(name), &in_use));
    CHECK(in_use && shmetrics_segment_is_current(segment));
    CHECK(in_child(is_one_more, segment));
    CHECK(shmetrics_segment_attached(segment) == 1);
    CHECK(in_child(make_and_end, left));
    CHECK_OK(shmetrics_segment_is_in_use(text(left), &in_use));
    CHECK(!in_use);
    CHECK_OK(shmetrics_segment_remove(text(left)));
    CHECK_OK(shmetrics_segment_remove(text(name)));
    CHECK(!shmetrics_segment_is_current(segment));
    CHECK_FAILS(shmetrics_segment_is_in_use(text(name), &in_use), NOT_FOUND);
    char said[400];
    CHECK(shmetrics_segment_next_warning(segment, said, sizeof said) > 0
        && strstr(said, "was removed or replaced") != NULL);
    CHECK(shmetrics_segment_next_warning(segment, NULL, 0) == 0);
}

static void nothing_to_remove(void) {
    shmetrics_segment *segment = scratch();
    shmetrics_counter_family family = counters(segment, "c", "label"), bare = counters(segment, "bare", NULL);
    const shmetrics_str both[] = {A, B};
    CHECK(!shmetrics_counter_remove(family, both, 2));
    CHECK(!shmetrics_counter_remove(family, NULL, 1));
    CHECK(!shmetrics_counter_remove(bare, NULL, 0));
    CHECK(!shmetrics_counter_remove((shmetrics_counter_family){0}, &A, 1));
    CHECK(shmetrics_counter_clear((shmetrics_counter_family){0}) == 0);
    CHECK(shmetrics_gauge_clear((shmetrics_gauge_family){0}) == 0);
    CHECK(shmetrics_histogram_clear((shmetrics_histogram_family){0}) == 0);
    CHECK(shmetrics_counter_clear(bare) == 0);
    CHECK(!shmetrics_counter_is_removed((shmetrics_counter){0}));
    CHECK(!shmetrics_gauge_is_removed((shmetrics_gauge){0}));
    CHECK(!shmetrics_histogram_is_removed((shmetrics_histogram){0}));
    CHECK(!shmetrics_counter_is_removed(shmetrics_counter_with(bare, NULL, 0)));
    CHECK_SHOWS(segment, "\nbare_total 0\n");
}

void test_remove(void) {
    counter_sets();
    gauge_sets();
    histogram_sets();
    trouble();
    users();
    nothing_to_remove();
}
