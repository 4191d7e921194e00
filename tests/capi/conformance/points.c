/* Reading the series of a page as values, and the calls with handles by pointer. */
#include "check.h"

static int same(shmetrics_str got, const char *wanted) {
    return got.len == strlen(wanted) && memcmp(got.data, wanted, got.len) == 0;
}

static shmetrics_points *points_of(const shmetrics_segment *segment, const char *only) {
    shmetrics_cursor *cursor = NULL;
    shmetrics_points *points = NULL;
    CHECK_OK(shmetrics_segment_cursor(segment, &cursor));
    if (only) CHECK_OK(shmetrics_cursor_add_filter(cursor, text(only)));
    CHECK_OK(shmetrics_cursor_points(cursor, &points));
    return points;
}

static const shmetrics_point *next(shmetrics_points *points) {
    const shmetrics_point *point = NULL;
    CHECK_OK(shmetrics_points_next(points, &point));
    return point;
}

/* The one point of a family. */
static void one(const shmetrics_segment *segment, const char *name, void (*look)(const shmetrics_point *)) {
    shmetrics_points *points = points_of(segment, name);
    const shmetrics_point *point = next(points);
    CHECK(point != NULL);
    if (point) {
        CHECK(same(point->family->name, name));
        look(point);
        CHECK(next(points) == NULL);
        CHECK(next(points) == NULL); /* and so for ever */
    }
    shmetrics_points_free(points);
}

static void a_counter(const shmetrics_point *p) {
    CHECK(p->family->kind == SHMETRICS_KIND_COUNTER && same(p->family->help, "Help.") && p->family->unit.len == 0);
    CHECK(p->label_count == 2 && same(p->labels[0].name, "method") && same(p->labels[0].value, "GET"));
    CHECK(same(p->labels[1].name, "path") && same(p->labels[1].value, "/\"\\\n"));
    CHECK(p->is_whole && p->whole == UINT64_C(9007199254740993) && p->value == 9007199254740992.0);
    CHECK(p->exemplar_count == 1 && p->exemplars[0].value == 1 && p->exemplars[0].at_seconds > 1.7e9);
    CHECK(p->exemplars[0].label_count == 1 && same(p->exemplars[0].labels[0].value, "abc"));
    CHECK(p->began_seconds > 1.7e9);
    CHECK(p->counts == NULL && p->bucket_count == 0 && p->native_buckets == NULL && p->states == NULL);
}

static void a_gauge(const shmetrics_point *p) {
    CHECK(p->family->kind == SHMETRICS_KIND_GAUGE && p->label_count == 0 && p->labels == NULL);
    CHECK(p->value == -2.5 && !p->is_whole && p->exemplars == NULL);
}

static void a_histogram(const shmetrics_point *p) {
    CHECK(p->family->kind == SHMETRICS_KIND_HISTOGRAM && same(p->family->unit, "seconds") && p->family->is_native);
    CHECK(p->family->bound_count == 2 && p->family->bounds[0] == 0.5 && p->family->bounds[1] == 2.0);
    CHECK(p->bucket_count == 3 && p->counts[0] == 1 && p->counts[1] == 2 && p->counts[2] == 1 && p->value == 10.5);
    const shmetrics_native_buckets *native = p->native_buckets;
    CHECK(native != NULL);
    uint64_t count = native ? native->zero_count : 0;
    for (size_t i = 0; native && i < native->positive_count; i++) {
        count += native->positive[i].count;
        CHECK(i == 0 || native->positive[i - 1].index < native->positive[i].index);
    }
    CHECK(native && native->negative_count == 0 && native->negative == NULL && native->schema >= -4
        && native->schema <= 8);
    CHECK(count == 4);
}

static void a_summary(const shmetrics_point *p) {
    CHECK(p->family->kind == SHMETRICS_KIND_SUMMARY && p->bucket_count == 1 && p->counts[0] == 100 && p->value == 5050);
    CHECK(p->quantile_count == 1 && p->quantiles[0].quantile == 0.5);
    CHECK(p->quantiles[0].value > 45 && p->quantiles[0].value < 55);
}

static void a_state_set(const shmetrics_point *p) {
    CHECK(p->family->kind == SHMETRICS_KIND_STATE_SET && p->family->state_count == 2 && p->state_count == 2);
    CHECK(same(p->family->states[0], "on") && same(p->family->states[1], "off"));
    CHECK(!p->states[0] && p->states[1]);
}

static void an_info(const shmetrics_point *p) {
    CHECK(p->family->kind == SHMETRICS_KIND_INFO && p->value == 1 && same(p->labels[0].value, "1.2.3"));
}

static void all_types(void) {
    shmetrics_segment *segment = scratch();
    const shmetrics_str names[] = {TEXT("method"), TEXT("path")}, values[] = {TEXT("GET"), TEXT("/\"\\\n")};
    shmetrics_family_spec spec =
        SHMETRICS_FAMILY_SPEC(.name = TEXT("requests"), .help = TEXT("Help."), .label_names = names, .label_count = 2);
    shmetrics_counter_family counter;
    CHECK_OK(shmetrics_counter_register(segment, &spec, &counter));
    const shmetrics_counter requests = shmetrics_counter_with(counter, values, 2);
    const shmetrics_label trace = {TEXT("trace_id"), TEXT("abc")};
    shmetrics_counter_add_with_exemplar(requests, 1, &trace, 1);
    shmetrics_counter_add_u64(requests, UINT64_C(9007199254740992));
    one(segment, "requests", a_counter);

    shmetrics_gauge_set(shmetrics_gauge_with(gauges(segment, "level", SHMETRICS_GAUGE_SHARED), NULL, 0), -2.5);
    one(segment, "level", a_gauge);

    const double bounds[] = {0.5, 2.0}, observed[] = {0.5, 1, 2, 7}, half = 0.5;
    spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("latency_seconds"), .unit = TEXT("seconds"), .buckets = bounds,
        .bucket_count = 2, .native_factor = 1.1);
    shmetrics_histogram_family histogram;
    CHECK_OK(shmetrics_histogram_register(segment, &spec, &histogram));
    for (size_t i = 0; i < 4; i++)
        shmetrics_histogram_observe(shmetrics_histogram_with(histogram, NULL, 0), observed[i]);
    one(segment, "latency_seconds", a_histogram);

    spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("size"), .quantiles = &half, .quantile_count = 1);
    shmetrics_summary_family summary;
    CHECK_OK(shmetrics_summary_register(segment, &spec, &summary));
    for (int i = 1; i <= 100; i++) shmetrics_histogram_observe(shmetrics_summary_with(summary, NULL, 0), i);
    one(segment, "size", a_summary);

    const shmetrics_str state_names[] = {TEXT("on"), TEXT("off")};
    spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("feature"), .states = state_names, .state_count = 2);
    shmetrics_states_family states;
    CHECK_OK(shmetrics_state_set_register(segment, &spec, &states));
    shmetrics_state_set_set(shmetrics_states_with(states, NULL, 0), 1, true);
    one(segment, "feature", a_state_set);

    const shmetrics_str version = TEXT("version"), number = TEXT("1.2.3");
    spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("build"), .label_names = &version, .label_count = 1);
    shmetrics_info_family info;
    CHECK_OK(shmetrics_info_register(segment, &spec, &info));
    shmetrics_info_with(info, &number, 1);
    one(segment, "build", an_info);
}

/* Many series: each once, those of a family together and with one pointer to it, and then the
 * library's own. */
static void many(void) {
    enum { EACH = 3000 };
    shmetrics_segment *segment = scratch();
    const shmetrics_counter_family first = counters(segment, "first", "n"), second = counters(segment, "second", "n");
    for (int i = 0; i < EACH; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        const shmetrics_str value = text(number);
        shmetrics_counter_add_u64(shmetrics_counter_with(first, &value, 1), (uint64_t)i);
        shmetrics_counter_add_u64(shmetrics_counter_with(second, &value, 1), 1);
    }
    shmetrics_points *points = points_of(segment, NULL);
    const shmetrics_point_family *family = NULL;
    int families = 0, series[2] = {0, 0}, own = 0;
    uint64_t sums[2] = {0, 0};
    for (const shmetrics_point *p; (p = next(points)) != NULL;) {
        if (p->family != family) families++;
        family = p->family;
        const int which = same(family->name, "first") ? 0 : same(family->name, "second") ? 1 : -1;
        if (which < 0) {
            own++;
            CHECK(families > 2);
            continue;
        }
        CHECK(families == which + 1);
        series[which]++;
        sums[which] += p->whole;
        CHECK(p->is_whole && p->label_count == 1);
    }
    shmetrics_points_free(points);
    CHECK(series[0] == EACH && series[1] == EACH && own >= 10);
    CHECK(sums[0] == (uint64_t)EACH * (EACH - 1) / 2 && sums[1] == EACH);
    shmetrics_points_free(points_of(segment, NULL)); /* abandoned at once */
}

static void by_a_reader_and_wrongly(void) {
    char name[64], buffer[16];
    snprintf(name, sizeof name, "conformance-points-%ld", (long)getpid());
    shmetrics_segment *segment = opened(text(name));
    shmetrics_counter_inc(shmetrics_counter_with(counters(segment, "jobs", NULL), NULL, 0));
    shmetrics_reader *reader;
    shmetrics_cursor *cursor;
    shmetrics_points *points;
    CHECK_OK(shmetrics_reader_open(text(name), &reader));
    CHECK_OK(shmetrics_reader_cursor(reader, &cursor));
    CHECK_FAILS(shmetrics_cursor_points(NULL, &points), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_cursor_points(cursor, NULL), NULL_ARGUMENT);
    CHECK_OK(shmetrics_cursor_points(cursor, &points));
    const shmetrics_point *point = NULL;
    CHECK_FAILS(shmetrics_points_next(NULL, &point), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_points_next(points, NULL), NULL_ARGUMENT);
    point = next(points);
    CHECK(point && same(point->family->name, "jobs") && point->whole == 1);
    shmetrics_points_free(points);
    shmetrics_points_free(NULL);

    CHECK_OK(shmetrics_reader_cursor(reader, &cursor));
    CHECK(shmetrics_cursor_read(cursor, buffer, sizeof buffer) == sizeof buffer);
    CHECK_FAILS(shmetrics_cursor_points(cursor, &points), INVALID_ARGUMENT);
    CHECK(shmetrics_cursor_read(cursor, buffer, sizeof buffer) == sizeof buffer); /* it is still there */
    shmetrics_cursor_free(cursor);
    shmetrics_reader_free(reader);
    CHECK_OK(shmetrics_segment_remove(text(name)));
}

static void by_pointer(void) {
    shmetrics_segment *segment = scratch();
    const shmetrics_str value = TEXT("a");
    const shmetrics_counter_family counter_family = counters(segment, "jobs", "kind");
    shmetrics_counter counter;
    shmetrics_counter_with_p(&counter_family, &value, 1, &counter);
    shmetrics_counter_inc_p(&counter);
    shmetrics_counter_add_p(&counter, 0.5);
    shmetrics_counter_add_u64_p(&counter, 3);
    CHECK(shmetrics_counter_value_p(&counter) == 4.5);
    CHECK_SHOWS(segment, "jobs_total{kind=\"a\"} 4.5");

    const shmetrics_gauge_family gauge_family = gauges(segment, "busy", SHMETRICS_GAUGE_LIVESUM);
    shmetrics_gauge gauge;
    shmetrics_gauge_with_p(&gauge_family, NULL, 0, &gauge);
    shmetrics_gauge_set_p(&gauge, 5);
    shmetrics_gauge_add_p(&gauge, 2);
    shmetrics_gauge_inc_p(&gauge);
    shmetrics_gauge_dec_p(&gauge);
    shmetrics_gauge_dec_p(&gauge);
    CHECK(shmetrics_gauge_value_p(&gauge) == 6 && shmetrics_gauge_value(gauge) == 6);
    CHECK(sample(segment, "busy") == 6);

    const double bound = 1;
    const shmetrics_histogram_family histogram_family = histograms(segment, "latency", &bound, 1);
    shmetrics_histogram histogram;
    shmetrics_histogram_with_p(&histogram_family, NULL, 0, &histogram);
    shmetrics_histogram_observe_p(&histogram, 0.25);
    shmetrics_histogram_observe_since_p(&histogram, shmetrics_timer_start());
    CHECK(sample(segment, "latency_count") == 2);

    shmetrics_summary_family summary_family;
    const shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("size"));
    CHECK_OK(shmetrics_summary_register(segment, &spec, &summary_family));
    shmetrics_summary_with_p(&summary_family, NULL, 0, &histogram);
    shmetrics_histogram_observe_p(&histogram, 8);
    CHECK(sample(segment, "size_sum") == 8);
}

static void by_no_pointer(void) {
    shmetrics_counter counter = {0};
    shmetrics_gauge gauge = {0};
    shmetrics_histogram histogram = {0};
    const shmetrics_counter_family none = {0};
    shmetrics_counter_with_p(NULL, NULL, 0, &counter);
    shmetrics_counter_with_p(&none, NULL, 0, NULL);
    shmetrics_counter_with_p(&none, NULL, 0, &counter);
    shmetrics_gauge_with_p(NULL, NULL, 0, &gauge);
    shmetrics_histogram_with_p(NULL, NULL, 0, &histogram);
    shmetrics_summary_with_p(NULL, NULL, 0, &histogram);
    shmetrics_counter_inc_p(NULL);
    shmetrics_counter_inc_p(&counter);
    shmetrics_counter_add_p(NULL, 1);
    shmetrics_counter_add_u64_p(NULL, 1);
    CHECK(shmetrics_counter_value_p(NULL) == 0 && shmetrics_counter_value_p(&counter) == 0);
    shmetrics_gauge_set_p(NULL, 1);
    shmetrics_gauge_set_p(&gauge, 1);
    shmetrics_gauge_add_p(NULL, 1);
    shmetrics_gauge_inc_p(NULL);
    shmetrics_gauge_dec_p(NULL);
    CHECK(shmetrics_gauge_value_p(NULL) == 0 && shmetrics_gauge_value(gauge) == 0);
    shmetrics_histogram_observe_p(NULL, 1);
    shmetrics_histogram_observe_p(&histogram, 1);
    shmetrics_histogram_observe_since_p(NULL, 0);
}

void test_points(void) {
    all_types();
    many();
    by_a_reader_and_wrongly();
    by_pointer();
    by_no_pointer();
}
