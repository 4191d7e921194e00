/* Types beyond counters, gauges and histograms, and labels of a whole segment. */
#include "check.h"

static shmetrics_family_spec spec(const char *name, const shmetrics_str *label) {
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC();
    spec.name = text(name);
    spec.label_names = label;
    spec.label_count = label != NULL;
    return spec;
}

static void summaries(shmetrics_segment *segment, const shmetrics_str *label) {
    shmetrics_summary_family family = {0};
    const shmetrics_str value = TEXT("v"), other = TEXT("w");
    shmetrics_family_spec what = spec("sizes", label);
    CHECK_OK(shmetrics_summary_register(segment, &what, &family));
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
    CHECK_FAILS(shmetrics_summary_register(segment, &what, NULL), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_summary_register(segment, NULL, &family), NULL_ARGUMENT);
}

static void gauge_histograms(shmetrics_segment *segment) {
    const double le[] = {1};
    shmetrics_histogram_family family = {0};
    shmetrics_family_spec what = spec("ages", NULL);
    what.buckets = le;
    what.bucket_count = 1;
    CHECK_OK(shmetrics_gauge_histogram_register(segment, &what, &family));
    const shmetrics_histogram ages = shmetrics_histogram_with(family, NULL, 0);
    shmetrics_histogram_observe(ages, 0.5);
    shmetrics_histogram_observe(ages, 3);
    shmetrics_histogram_unobserve(ages, 0.5);
    shmetrics_histogram_unobserve(ages, 0.5);
    shmetrics_histogram_unobserve((shmetrics_histogram){0}, 0.5);
    CHECK_SHOWS(segment, "ages_bucket{le=\"1.0\"} 0\nages_bucket{le=\"+Inf\"} 1\nages_sum 3\nages_count 1\n");
    CHECK_FAILS(shmetrics_gauge_histogram_register(segment, &what, NULL), NULL_ARGUMENT);
}

/* The page in OpenMetrics 2.0.0, which has native buckets. */
static int shows_native(const shmetrics_segment *segment, const char *wanted) {
    static char page[1 << 16];
    shmetrics_cursor *cursor = NULL;
    CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
    CHECK_OK(shmetrics_cursor_set_exposition(cursor, (shmetrics_exposition){.format = SHMETRICS_FORMAT_OPENMETRICS2}));
    const size_t len = shmetrics_cursor_read(cursor, page, sizeof page - 1);
    page[len] = '\0';
    shmetrics_cursor_free(cursor);
    return strstr(page, wanted) != NULL;
}

static void native_histograms(shmetrics_segment *segment, const shmetrics_str *label) {
    const double le[] = {1.5, 4};
    const shmetrics_str value = TEXT("v");
    shmetrics_histogram_family family = {0};
    shmetrics_family_spec what = spec("native", label);
    what.native_factor = 2;
    what.native_zero_threshold = -1;
    CHECK_OK(shmetrics_histogram_register(segment, &what, &family));
    const shmetrics_histogram native = shmetrics_histogram_with(family, &value, 1);
    const double values[] = {0, 1, 1.25, 5, -5, NAN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) shmetrics_histogram_observe(native, values[i]);
    CHECK(shows_native(segment,
        "native{x=\"v\"} {count:5,sum:2.25,schema:0,zero_threshold:0.0,zero_count:1,"
        "negative_spans:[3:1],negative_buckets:[1],"
        "positive_spans:[0:2,1:1],positive_buckets:[1,1,1]} st@"));
    CHECK_SHOWS(segment, "native_bucket{x=\"v\",le=\"+Inf\"} 5\nnative_sum{x=\"v\"} 2.25\nnative_count{x=\"v\"} 5\n");
    CHECK(shmetrics_histogram_remove(family, &value, 1) && shmetrics_histogram_is_removed(native));
    shmetrics_histogram_observe(native, 1);
    CHECK_HIDES(segment, "native_count");

    what = spec("both", NULL);
    what.native_factor = 1.1;
    what.native_zero_threshold = 0.5;
    what.native_max_buckets = 1;
    what.buckets = le;
    what.bucket_count = 2;
    CHECK_OK(shmetrics_histogram_register(segment, &what, &family));
    const shmetrics_histogram both = shmetrics_histogram_with(family, NULL, 0);
    const double more[] = {0.5, 1.49, 1.51, 3};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) shmetrics_histogram_observe(both, more[i]);
    CHECK(shows_native(segment,
        "both {count:4,sum:6.5,schema:-1,zero_threshold:0.5,zero_count:1,"
        "positive_spans:[1:1],positive_buckets:[3],bucket:[1.5:2,4.0:4,+Inf:4]} st@"));
    what.native_factor = 1.05;
    CHECK_FAILS(shmetrics_histogram_register(segment, &what, &family), CONFLICT);
    what.native_factor = 1;
    CHECK_FAILS(shmetrics_histogram_register(segment, &what, &family), INVALID_ARGUMENT);
    what.native_factor = -1.1;
    CHECK_FAILS(shmetrics_histogram_register(segment, &what, &family), INVALID_ARGUMENT);

    what = spec("native_ages", NULL);
    what.native_factor = 2;
    CHECK_OK(shmetrics_gauge_histogram_register(segment, &what, &family));
    const shmetrics_histogram ages = shmetrics_histogram_with(family, NULL, 0);
    shmetrics_histogram_observe(ages, 3);
    shmetrics_histogram_observe(ages, 3);
    shmetrics_histogram_unobserve(ages, 4);
    shmetrics_histogram_unobserve(ages, 9);
    CHECK(shows_native(segment, "native_ages {gcount:1,gsum:2.0,schema:0,"));
    const shmetrics_label why = {TEXT("trace_id"), TEXT("abc")};
    shmetrics_histogram_observe_with_exemplar(both, 2, &why, 1);
    CHECK(shows_native(segment, " # {trace_id=\"abc\"} 2.0 "));
}

static void quantiles(shmetrics_segment *segment) {
    const double of[] = {0, 0.5, 1};
    shmetrics_summary_family family = {0};
    shmetrics_family_spec what = spec("waits", NULL);
    what.quantiles = of;
    what.quantile_count = 3;
    what.quantile_max_age_seconds = 3600;
    CHECK_OK(shmetrics_summary_register(segment, &what, &family));
    const shmetrics_histogram waits = shmetrics_summary_with(family, NULL, 0);
    CHECK_SHOWS(segment, "waits{quantile=\"0.5\"} NaN\n");
    for (int i = 1; i <= 99; i++) shmetrics_histogram_observe(waits, i);
    const char *shown[] = {"waits{quantile=\"0.0\"}", "waits{quantile=\"0.5\"}", "waits{quantile=\"1.0\"}"};
    const double exact[] = {1, 50, 99};
    for (size_t i = 0; i < 3; i++) CHECK(fabs(sample(segment, shown[i]) / exact[i] - 1) < 0.011);
    CHECK_SHOWS(segment, "waits_sum 4950\nwaits_count 99\n");
    what.quantile_count = 2;
    CHECK_FAILS(shmetrics_summary_register(segment, &what, &family), CONFLICT);
    what.quantiles = (const double[]){0.5, 2};
    CHECK_FAILS(shmetrics_summary_register(segment, &what, &family), INVALID_ARGUMENT);
    what.quantiles = NULL;
    CHECK_FAILS(shmetrics_summary_register(segment, &what, &family), NULL_ARGUMENT);
}

static void unknown(shmetrics_segment *segment) {
    shmetrics_gauge_family family = {0};
    const shmetrics_family_spec what = spec("imported", NULL);
    CHECK_OK(shmetrics_unknown_register(segment, &what, &family));
    shmetrics_gauge_set(shmetrics_gauge_with(family, NULL, 0), -1);
    CHECK_SHOWS(segment, "# TYPE imported untyped\nimported -1\n");
    CHECK_FAILS(shmetrics_unknown_register(segment, &what, NULL), NULL_ARGUMENT);
}

static void states(shmetrics_segment *segment, const shmetrics_str *label) {
    const shmetrics_str names[] = {TEXT("red"), TEXT("green")}, value = TEXT("v");
    shmetrics_states_family sets = {0}, enums = {0};
    shmetrics_family_spec what = spec("lights", label);
    CHECK_FAILS(shmetrics_state_set_register(segment, &what, &sets), INVALID_ARGUMENT);
    what.states = names;
    what.state_count = 2;
    CHECK_OK(shmetrics_state_set_register(segment, &what, &sets));
    const shmetrics_states set = shmetrics_states_with(sets, &value, 1);
    shmetrics_state_set_set(set, 0, true);
    shmetrics_state_set_set(set, 1, true);
    shmetrics_state_set_set(set, 0, false);
    shmetrics_state_set_set(set, 2, true);
    CHECK_SHOWS(segment, "lights{x=\"v\",lights=\"red\"} 0\nlights{x=\"v\",lights=\"green\"} 1\n");
    what.name = text("door");
    CHECK_OK(shmetrics_enum_register(segment, &what, &enums));
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
    CHECK_FAILS(shmetrics_state_set_register(segment, &what, NULL), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_enum_register(segment, &what, NULL), NULL_ARGUMENT);
    what.states = NULL;
    CHECK_FAILS(shmetrics_enum_register(segment, &what, &enums), NULL_ARGUMENT);
}

static void infos(shmetrics_segment *segment, const shmetrics_str *label) {
    shmetrics_info_family family = {0};
    const shmetrics_str value = TEXT("v");
    const shmetrics_family_spec what = spec("build", label);
    CHECK_OK(shmetrics_info_register(segment, &what, &family));
    CHECK(shmetrics_info_with(family, &value, 1) && !shmetrics_info_with(family, NULL, 0));
    CHECK_SHOWS(segment, "build_info{x=\"v\"} 1\n");
    CHECK(shmetrics_info_remove(family, &value, 1) && !shmetrics_info_remove(family, &value, 1));
    CHECK(shmetrics_info_with(family, &value, 1) && shmetrics_info_clear(family) == 1);
    CHECK(!shmetrics_info_with((shmetrics_info_family){0}, &value, 1));
    CHECK_FAILS(shmetrics_info_register(segment, &what, NULL), NULL_ARGUMENT);
}

static void labels_of_the_segment(void) {
    const shmetrics_label labels[] = {{TEXT("app"), TEXT("shop")}, {TEXT("zone"), TEXT("b\"c")}};
    shmetrics_segment *segment = NULL;
    shmetrics_options options = named(TEXT(""), SHMETRICS_ANONYMOUS);
    options.labels = labels;
    options.label_count = 2;
    CHECK_OK(shmetrics_segment_open(&options, &segment));
    shmetrics_counter_inc(shmetrics_counter_with(counters(segment, "a", NULL), NULL, 0));
    CHECK_SHOWS(segment, "a_total{app=\"shop\",zone=\"b\\\"c\"} 1\n");
    options.labels = NULL;
    CHECK_FAILS(shmetrics_segment_open(&options, &segment), NULL_ARGUMENT);
    const shmetrics_label wrong = {TEXT("le"), TEXT("1")};
    options.labels = &wrong;
    options.label_count = 1;
    CHECK_FAILS(shmetrics_segment_open(&options, &segment), INVALID_NAME);
}

enum { SUMMARY, GAUGE_HISTOGRAM, UNKNOWN, STATE_SET, ENUM, INFO, KINDS };

/* Registers a family of a kind, without states where it has none; what is refused leaves the
 * output alone. */
static shmetrics_status register_as(int kind, shmetrics_segment *segment, const shmetrics_family_spec *given) {
    shmetrics_family_spec own;
    const shmetrics_family_spec *what = given;
    if (given != NULL && kind != STATE_SET && kind != ENUM) {
        own = *given;
        own.states = NULL;
        own.state_count = 0;
        what = &own;
    }
    union {
        const void *words[2];
        shmetrics_summary_family summary;
        shmetrics_histogram_family histogram;
        shmetrics_gauge_family gauge;
        shmetrics_states_family states;
        shmetrics_info_family info;
    } family = {{&family, &family}};
    shmetrics_status status = SHMETRICS_STATUS_OK;
    switch (kind) {
    case SUMMARY: status = shmetrics_summary_register(segment, what, &family.summary); break;
    case GAUGE_HISTOGRAM: status = shmetrics_gauge_histogram_register(segment, what, &family.histogram); break;
    case UNKNOWN: status = shmetrics_unknown_register(segment, what, &family.gauge); break;
    case STATE_SET: status = shmetrics_state_set_register(segment, what, &family.states); break;
    case ENUM: status = shmetrics_enum_register(segment, what, &family.states); break;
    case INFO: status = shmetrics_info_register(segment, what, &family.info); break;
    }
    const int untouched = family.words[0] == &family && family.words[1] == &family;
    CHECK(untouched == (status != SHMETRICS_STATUS_OK));
    return status;
}

static void what_every_kind_refuses(shmetrics_segment *segment) {
    const shmetrics_str state = TEXT("on"), twice[] = {TEXT("a"), TEXT("a")}, bad = TEXT("\xff");
    for (int kind = 0; kind < KINDS; kind++) {
        shmetrics_family_spec good = spec("refused", NULL), what;
        good.states = &state;
        good.state_count = 1;
        CHECK_FAILS(register_as(kind, NULL, &good), NULL_ARGUMENT);
        CHECK_FAILS(register_as(kind, segment, NULL), NULL_ARGUMENT);
#define REFUSED(change, expected) \
    do { \
        what = good; \
        change; \
        CHECK_STATUS(register_as(kind, segment, &what), (expected)); \
    } while (0)
        REFUSED(what.name = text("a\tb"), SHMETRICS_STATUS_INVALID_NAME);
        REFUSED(what.name = text("shmetrics_mine"), SHMETRICS_STATUS_INVALID_NAME);
        REFUSED(what.name.data = NULL, SHMETRICS_STATUS_NULL_ARGUMENT);
        REFUSED(what.help = bad, SHMETRICS_STATUS_INVALID_NAME);
        REFUSED(what.unit = text("seconds"), SHMETRICS_STATUS_INVALID_NAME);
        REFUSED(what.label_count = 1, SHMETRICS_STATUS_NULL_ARGUMENT);
        REFUSED((what.label_names = twice, what.label_count = 2), SHMETRICS_STATUS_INVALID_NAME);
        REFUSED((what.label_names = &bad, what.label_count = 1), SHMETRICS_STATUS_INVALID_NAME);
        if (kind != STATE_SET && kind != ENUM) continue;
        REFUSED(what.states = NULL, SHMETRICS_STATUS_NULL_ARGUMENT);
        REFUSED(what.states = &bad, SHMETRICS_STATUS_INVALID_NAME);
    }
    CHECK_HIDES(segment, "TYPE refused");
}

/* Each kind has a label or names of its own, that no other label may take. */
static void what_some_kinds_refuse(shmetrics_segment *segment) {
    const shmetrics_str quantile = TEXT("quantile"), le = TEXT("le"), own = TEXT("mine"), empty = TEXT("");
    static shmetrics_str many[65];
    static char numbers[65][4];
    for (size_t i = 0; i < 65; i++) {
        snprintf(numbers[i], sizeof numbers[i], "s%zu", i);
        many[i] = text(numbers[i]);
    }
    shmetrics_family_spec what = spec("mine", &quantile);
    CHECK_FAILS(register_as(SUMMARY, segment, &what), INVALID_NAME);
    what.label_names = &le;
    CHECK_FAILS(register_as(GAUGE_HISTOGRAM, segment, &what), INVALID_NAME);
    what.label_names = &own;
    what.states = many;
    what.state_count = 64;
    CHECK_FAILS(register_as(STATE_SET, segment, &what), INVALID_NAME);
    CHECK_FAILS(register_as(ENUM, segment, &what), INVALID_NAME);
    what.label_names = NULL;
    what.label_count = 0;
    what.state_count = 65;
    CHECK_FAILS(register_as(STATE_SET, segment, &what), INVALID_ARGUMENT);
    CHECK_FAILS(register_as(ENUM, segment, &what), INVALID_ARGUMENT);
    what.state_count = 0;
    CHECK_FAILS(register_as(ENUM, segment, &what), INVALID_ARGUMENT);
    what.states = &empty;
    what.state_count = 1;
    CHECK_FAILS(register_as(STATE_SET, segment, &what), INVALID_NAME);
    const shmetrics_str same[] = {TEXT("on"), TEXT("on")};
    what.states = same;
    what.state_count = 2;
    CHECK_FAILS(register_as(ENUM, segment, &what), INVALID_NAME);
    const double falling[] = {2, 1};
    what.buckets = falling;
    what.bucket_count = 2;
    CHECK_FAILS(register_as(GAUGE_HISTOGRAM, segment, &what), INVALID_ARGUMENT);
    for (int kind = INFO; kind >= STATE_SET; kind--) {
        what = spec("age_seconds", NULL);
        what.unit = text("seconds");
        what.states = many;
        what.state_count = 1;
        CHECK_FAILS(register_as(kind, segment, &what), INVALID_NAME);
    }
    what = spec("_info", NULL);
    CHECK_FAILS(register_as(INFO, segment, &what), INVALID_NAME);
    for (int kind = STATE_SET; kind <= ENUM; kind++) { /* their names are those of a label, too */
        what = spec("rule:of", NULL);
        what.states = many;
        what.state_count = 1;
        CHECK_FAILS(register_as(kind, segment, &what), INVALID_NAME);
        what.name = text("__reserved");
        CHECK_FAILS(register_as(kind, segment, &what), INVALID_NAME);
    }

    shmetrics_states_family family = {0};
    what = spec("most", NULL);
    what.states = many;
    what.state_count = 64;
    CHECK_OK(shmetrics_state_set_register(segment, &what, &family));
    const shmetrics_states most = shmetrics_states_with(family, NULL, 0);
    shmetrics_state_set_set(most, 63, true);
    shmetrics_state_set_set(most, SIZE_MAX, true);
    CHECK_SHOWS(segment, "most{most=\"s62\"} 0\nmost{most=\"s63\"} 1\n");
}

/* The same again is the same family; another kind, other states or names that clash are a
 * conflict. */
static void twice(shmetrics_segment *segment) {
    const shmetrics_str states[] = {TEXT("x"), TEXT("y"), TEXT("z")};
    for (int kind = 0; kind < KINDS; kind++) {
        char name[16];
        snprintf(name, sizeof name, "twice_%d", kind);
        shmetrics_family_spec what = spec(name, NULL);
        what.states = states;
        what.state_count = 2;
        CHECK_OK(register_as(kind, segment, &what));
        CHECK_OK(register_as(kind, segment, &what));
        for (int other = 0; other < KINDS; other++)
            if (other != kind) CHECK_FAILS(register_as(other, segment, &what), CONFLICT);
        what.states++;
        const int named = kind == STATE_SET || kind == ENUM;
        CHECK_STATUS(register_as(kind, segment, &what), named ? SHMETRICS_STATUS_CONFLICT : SHMETRICS_STATUS_OK);
    }
    shmetrics_family_spec what = spec("twice_5_info", NULL); /* what the info is shown as */
    CHECK_FAILS(register_as(UNKNOWN, segment, &what), CONFLICT);
    CHECK_OK(register_as(INFO, segment, &what));
    what = spec("twice_0_count", NULL);
    CHECK_FAILS(register_as(UNKNOWN, segment, &what), CONFLICT);
    what = spec("twice_1_gsum", NULL);
    CHECK_FAILS(register_as(UNKNOWN, segment, &what), CONFLICT);
}

/* C has one handle for state sets and enums, and one for all histograms: what the other kind
 * would do is rejected. */
static void handles_of_another_kind(shmetrics_segment *segment) {
    const shmetrics_str names[] = {TEXT("x"), TEXT("y")};
    shmetrics_family_spec what = spec("other_set", NULL);
    shmetrics_states_family sets = {0}, enums = {0};
    shmetrics_summary_family sizes = {0};
    what.states = names;
    what.state_count = 2;
    CHECK_OK(shmetrics_state_set_register(segment, &what, &sets));
    what.name = text("other_enum");
    CHECK_OK(shmetrics_enum_register(segment, &what, &enums));
    what.name = text("other_sizes");
    what.states = NULL;
    what.state_count = 0;
    CHECK_OK(shmetrics_summary_register(segment, &what, &sizes));
    const double rejected = sample(segment, "shmetrics_updates_rejected_total");
    shmetrics_enum_set(shmetrics_states_with(sets, NULL, 0), 1);
    shmetrics_state_set_set(shmetrics_states_with(enums, NULL, 0), 1, true);
    CHECK_SHOWS(segment, "\nother_set{other_set=\"x\"} 0\nother_set{other_set=\"y\"} 0\n");
    CHECK_SHOWS(segment, "\nother_enum{other_enum=\"x\"} 1\nother_enum{other_enum=\"y\"} 0\n");
    const shmetrics_histogram size = shmetrics_summary_with(sizes, NULL, 0);
    const shmetrics_histogram time = shmetrics_histogram_with(histograms(segment, "other_time", NULL, 0), NULL, 0);
    shmetrics_histogram_observe(size, 2);
    shmetrics_histogram_observe(time, 2);
    shmetrics_histogram_unobserve(size, 2);
    shmetrics_histogram_unobserve(time, 2);
    CHECK_SHOWS(segment, "\nother_sizes_sum 2\nother_sizes_count 1\n");
    CHECK_SHOWS(segment, "\nother_time_sum 2\nother_time_count 1\n");
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == rejected + 4);
}

static void wrong_counts_and_inert_families(shmetrics_segment *segment) {
    const shmetrics_str label = TEXT("x"), state = TEXT("on"), values[] = {TEXT("a"), TEXT("b")};
    shmetrics_family_spec what = spec("wrong_sizes", &label);
    shmetrics_summary_family sizes = {0};
    shmetrics_states_family sets = {0};
    shmetrics_info_family info = {0};
    const shmetrics_histogram no_histogram = {0};
    const shmetrics_states no_states = {0};
    for (int registered = 0; registered < 2; registered++) {
        const double before = sample(segment, "shmetrics_updates_rejected_total");
        for (size_t count = 0; count < 3; count++) {
            const shmetrics_str *given = count == 1 ? NULL : values;
            const shmetrics_histogram size = shmetrics_summary_with(sizes, given, count);
            const shmetrics_states set = shmetrics_states_with(sets, given, count);
            CHECK(memcmp(&size, &no_histogram, sizeof size) == 0 && memcmp(&set, &no_states, sizeof set) == 0);
            CHECK(!shmetrics_info_with(info, given, count));
            CHECK(!shmetrics_summary_remove(sizes, given, count) && !shmetrics_states_remove(sets, given, count));
            CHECK(!shmetrics_info_remove(info, given, count));
        }
        CHECK(sample(segment, "shmetrics_updates_rejected_total") == before + 18 * registered);
        CHECK(shmetrics_summary_clear(sizes) == 0 && shmetrics_states_clear(sets) == 0);
        CHECK(shmetrics_info_clear(info) == 0);
        if (registered) break;
        CHECK_OK(shmetrics_summary_register(segment, &what, &sizes));
        what.name = text("wrong_info");
        CHECK_OK(shmetrics_info_register(segment, &what, &info));
        what.name = text("wrong_set");
        what.states = &state;
        what.state_count = 1;
        CHECK_OK(shmetrics_state_set_register(segment, &what, &sets));
    }
    CHECK_HIDES(segment, "\nwrong_");
}

/* What no summary and no gauge histogram takes; and what a summary has in common with a
 * histogram. */
static void observing(shmetrics_segment *segment) {
    shmetrics_summary_family family = {0};
    shmetrics_histogram_family ages = {0};
    const shmetrics_family_spec what = spec("observed", NULL), other = spec("observed_ages", NULL);
    CHECK_OK(shmetrics_summary_register(segment, &what, &family));
    CHECK_OK(shmetrics_gauge_histogram_register(segment, &other, &ages));
    const double rejected = sample(segment, "shmetrics_updates_rejected_total");
    const shmetrics_histogram observed = shmetrics_summary_with(family, NULL, 0);
    shmetrics_histogram_observe(observed, -3);
    shmetrics_histogram_observe(observed, INFINITY);
    shmetrics_histogram_observe(observed, NAN);
    shmetrics_histogram_observe_since(observed, UINT64_MAX);
    CHECK_SHOWS(segment, "\nobserved_sum -3\nobserved_count 3\n");
    CHECK(!shmetrics_summary_remove(family, NULL, 0) && shmetrics_summary_clear(family) == 0);
    CHECK(!shmetrics_histogram_is_removed(observed));
    const shmetrics_histogram age = shmetrics_histogram_with(ages, NULL, 0);
    shmetrics_histogram_observe(age, 1);
    shmetrics_histogram_unobserve(age, NAN);
    shmetrics_histogram_unobserve(age, INFINITY); /* of a bucket that is empty */
    shmetrics_histogram_unobserve(age, -INFINITY);
    CHECK_SHOWS(segment, "\nobserved_ages_sum 1\nobserved_ages_count 1\n");
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == rejected + 4);
}

/* A segment keeps the labels it was made with. */
static void labels_of_a_named_segment(void) {
    char name[64];
    snprintf(name, sizeof name, "conformance-labels-%ld", (long)getpid());
    const shmetrics_label labels[] = {{TEXT("app"), TEXT("shop")}, {TEXT("zone"), TEXT("b")}};
    const shmetrics_label other[] = {{TEXT("app"), TEXT("crm")}, {TEXT("zone"), TEXT("b")}};
    shmetrics_segment *segment = NULL, *same = NULL;
    const shmetrics_options none = named(text(name), SHMETRICS_OPEN_OR_CREATE);
    shmetrics_options options = none;
    options.labels = labels;
    options.label_count = 2;
    CHECK_OK(shmetrics_segment_open(&options, &segment));
    CHECK_OK(shmetrics_segment_open(&options, &same));
    CHECK(same == segment);
    CHECK_OK(shmetrics_segment_open(&none, &same));
    CHECK(same == segment);
    options.label_count = 1;
    CHECK_FAILS(shmetrics_segment_open(&options, &same), CONFLICT);
    options.labels = other;
    options.label_count = 2;
    CHECK_FAILS(shmetrics_segment_open(&options, &same), CONFLICT);
    const shmetrics_str app = TEXT("app");
    shmetrics_family_spec what = spec("mine", &app);
    for (int kind = SUMMARY; kind <= UNKNOWN; kind++) CHECK_FAILS(register_as(kind, segment, &what), INVALID_NAME);
    CHECK_OK(shmetrics_segment_remove(text(name)));

    options.open_mode = SHMETRICS_ANONYMOUS;
    static char long_value[2100];
    memset(long_value, 'v', sizeof long_value);
    const struct {
        shmetrics_label label;
        shmetrics_status status;
    } bad[] = {
        {{TEXT("a\nb"), TEXT("")}, SHMETRICS_STATUS_INVALID_NAME},
        {{TEXT("__a"), TEXT("")}, SHMETRICS_STATUS_INVALID_NAME},
        {{TEXT("pid"), TEXT("")}, SHMETRICS_STATUS_INVALID_NAME},
        {{TEXT("\xff"), TEXT("")}, SHMETRICS_STATUS_INVALID_NAME},
        {{TEXT("a"), TEXT("\xff")}, SHMETRICS_STATUS_INVALID_NAME},
        {{{NULL, 1}, TEXT("")}, SHMETRICS_STATUS_NULL_ARGUMENT},
        {{TEXT("a"), {NULL, 1}}, SHMETRICS_STATUS_NULL_ARGUMENT},
        {{TEXT("a"), {long_value, sizeof long_value}}, SHMETRICS_STATUS_INVALID_ARGUMENT},
    };
    options.label_count = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        options.labels = &bad[i].label;
        same = NULL;
        CHECK_STATUS(shmetrics_segment_open(&options, &same), bad[i].status);
        CHECK(same == NULL);
    }
}

void test_types(void) {
    const shmetrics_str label = TEXT("x");
    shmetrics_segment *segment = scratch();
    summaries(segment, &label);
    quantiles(segment);
    gauge_histograms(segment);
    native_histograms(segment, &label);
    unknown(segment);
    states(segment, &label);
    infos(segment, &label);
    labels_of_the_segment();
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == 7);
    what_every_kind_refuses(segment);
    what_some_kinds_refuse(segment);
    twice(segment);
    wrong_counts_and_inert_families(segment);
    handles_of_another_kind(segment);
    observing(segment);
    labels_of_a_named_segment();
}
