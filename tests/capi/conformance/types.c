#include "check.h"

static shmetrics_family_spec spec(const char *name, const shmetrics_str *label) {
    shmetrics_family_spec spec = {0};
    spec.name = text(name);
    spec.label_names = label;
    spec.label_count = label != NULL;
    return spec;
}

static void summaries(shmetrics_segment *segment, const shmetrics_str *label) {
    shmetrics_summary_family family = {0};
    const shmetrics_str value = TEXT("v"), other = TEXT("w");
    shmetrics_family_spec what = spec("sizes", label);
    CHECK_STATUS(shmetrics_summary_register(segment, &what, &family), SHMETRICS_STATUS_OK);
    const shmetrics_histogram sizes = shmetrics_summary_with(family, &value, 1);
    shmetrics_histogram_observe(sizes, 1.5);
    shmetrics_histogram_observe(sizes, 2);
    shmetrics_histogram_observe(shmetrics_summary_with(family, NULL, 0), 2); /* inert, and counted as rejected */
    CHECK_SHOWS(segment, "# TYPE sizes summary\nsizes_sum{x=\"v\"} 3.5\nsizes_count{x=\"v\"} 2\n");
    CHECK(shmetrics_summary_remove(family, &value, 1) && !shmetrics_summary_remove(family, &value, 1));
    CHECK(shmetrics_histogram_is_removed(sizes));
    shmetrics_summary_with(family, &other, 1);
    CHECK(shmetrics_summary_clear(family) == 1);
    CHECK_HIDES(segment, "sizes_sum");
    CHECK_STATUS(shmetrics_summary_register(segment, &what, NULL), SHMETRICS_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(shmetrics_summary_register(segment, NULL, &family), SHMETRICS_STATUS_NULL_ARGUMENT);
}

static void gauge_histograms(shmetrics_segment *segment) {
    const double le[] = {1};
    shmetrics_histogram_family family = {0};
    shmetrics_family_spec what = spec("ages", NULL);
    what.buckets = le;
    what.bucket_count = 1;
    CHECK_STATUS(shmetrics_gauge_histogram_register(segment, &what, &family), SHMETRICS_STATUS_OK);
    const shmetrics_histogram ages = shmetrics_histogram_with(family, NULL, 0);
    shmetrics_histogram_observe(ages, 0.5);
    shmetrics_histogram_observe(ages, 3);
    shmetrics_histogram_forget(ages, 0.5);
    shmetrics_histogram_forget(ages, 0.5);
    shmetrics_histogram_forget((shmetrics_histogram){0}, 0.5);
    CHECK_SHOWS(segment, "ages_bucket{le=\"1.0\"} 0\nages_bucket{le=\"+Inf\"} 1\nages_sum 3\nages_count 1\n");
    CHECK_STATUS(shmetrics_gauge_histogram_register(segment, &what, NULL), SHMETRICS_STATUS_NULL_ARGUMENT);
}

static void unknown(shmetrics_segment *segment) {
    shmetrics_gauge_family family = {0};
    const shmetrics_family_spec what = spec("imported", NULL);
    CHECK_STATUS(shmetrics_unknown_register(segment, &what, &family), SHMETRICS_STATUS_OK);
    shmetrics_gauge_set(shmetrics_gauge_with(family, NULL, 0), -1);
    CHECK_SHOWS(segment, "# TYPE imported untyped\nimported -1\n");
    CHECK_STATUS(shmetrics_unknown_register(segment, &what, NULL), SHMETRICS_STATUS_NULL_ARGUMENT);
}

static void states(shmetrics_segment *segment, const shmetrics_str *label) {
    const shmetrics_str names[] = {TEXT("red"), TEXT("green")}, value = TEXT("v");
    shmetrics_states_family sets = {0}, enums = {0};
    shmetrics_family_spec what = spec("lights", label);
    CHECK_STATUS(shmetrics_state_set_register(segment, &what, &sets), SHMETRICS_STATUS_INVALID_ARGUMENT);
    what.states = names;
    what.state_count = 2;
    CHECK_STATUS(shmetrics_state_set_register(segment, &what, &sets), SHMETRICS_STATUS_OK);
    const shmetrics_states set = shmetrics_states_with(sets, &value, 1);
    shmetrics_state_set_set(set, 0, true);
    shmetrics_state_set_set(set, 1, true);
    shmetrics_state_set_set(set, 0, false);
    shmetrics_state_set_set(set, 2, true);
    CHECK_SHOWS(segment, "lights{x=\"v\",lights=\"red\"} 0\nlights{x=\"v\",lights=\"green\"} 1\n");
    what.name = text("door");
    CHECK_STATUS(shmetrics_enum_register(segment, &what, &enums), SHMETRICS_STATUS_OK);
    const shmetrics_states door = shmetrics_states_with(enums, &value, 1);
    CHECK_SHOWS(segment, "door{x=\"v\",door=\"red\"} 1\ndoor{x=\"v\",door=\"green\"} 0\n");
    shmetrics_enum_set(door, 1);
    shmetrics_enum_set(door, 99);
    CHECK_SHOWS(segment, "door{x=\"v\",door=\"red\"} 0\ndoor{x=\"v\",door=\"green\"} 1\n");
    CHECK(!shmetrics_states_is_removed(door) && shmetrics_states_remove(enums, &value, 1));
    CHECK(shmetrics_states_is_removed(door) && shmetrics_states_clear(sets) == 1);
    shmetrics_enum_set((shmetrics_states){0}, 0);
    shmetrics_state_set_set((shmetrics_states){0}, 0, true);
    CHECK(!shmetrics_states_is_removed((shmetrics_states){0}));
    CHECK_STATUS(shmetrics_state_set_register(segment, &what, NULL), SHMETRICS_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(shmetrics_enum_register(segment, &what, NULL), SHMETRICS_STATUS_NULL_ARGUMENT);
    what.states = NULL;
    CHECK_STATUS(shmetrics_enum_register(segment, &what, &enums), SHMETRICS_STATUS_NULL_ARGUMENT);
}

static void infos(shmetrics_segment *segment, const shmetrics_str *label) {
    shmetrics_info_family family = {0};
    const shmetrics_str value = TEXT("v");
    const shmetrics_family_spec what = spec("build", label);
    CHECK_STATUS(shmetrics_info_register(segment, &what, &family), SHMETRICS_STATUS_OK);
    CHECK(shmetrics_info_with(family, &value, 1) && !shmetrics_info_with(family, NULL, 0));
    CHECK_SHOWS(segment, "build_info{x=\"v\"} 1\n");
    CHECK(shmetrics_info_remove(family, &value, 1) && !shmetrics_info_remove(family, &value, 1));
    CHECK(shmetrics_info_with(family, &value, 1) && shmetrics_info_clear(family) == 1);
    CHECK(!shmetrics_info_with((shmetrics_info_family){0}, &value, 1));
    CHECK_STATUS(shmetrics_info_register(segment, &what, NULL), SHMETRICS_STATUS_NULL_ARGUMENT);
}

static void labels_of_the_segment(void) {
    const shmetrics_label labels[] = {{TEXT("app"), TEXT("shop")}, {TEXT("zone"), TEXT("b\"c")}};
    shmetrics_segment *segment = NULL;
    shmetrics_options options;
    shmetrics_options_init(&options);
    options.how = SHMETRICS_ANONYMOUS;
    options.labels = labels;
    options.label_count = 2;
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_OK);
    shmetrics_counter_inc(shmetrics_counter_with(counters(segment, "a", NULL), NULL, 0));
    CHECK_SHOWS(segment, "a_total{app=\"shop\",zone=\"b\\\"c\"} 1\n");
    options.labels = NULL;
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_NULL_ARGUMENT);
    const shmetrics_label wrong = {TEXT("le"), TEXT("1")};
    options.labels = &wrong;
    options.label_count = 1;
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_INVALID_NAME);
}

void test_types(void) {
    const shmetrics_str label = TEXT("x");
    shmetrics_segment *segment = scratch();
    summaries(segment, &label);
    gauge_histograms(segment);
    unknown(segment);
    states(segment, &label);
    infos(segment, &label);
    labels_of_the_segment();
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == 5);
}
