/* Names as a service's dashboards have them: counters without _total, bounds without .0, labels
 * in any order. */
#include "check.h"

static void exact_names(void) {
    shmetrics_segment *segment = scratch();
    shmetrics_counter_family family;
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("nginx_connections_accepted"), .exact_name = true);
    CHECK_OK(shmetrics_counter_register(segment, &spec, &family));
    shmetrics_counter_inc(shmetrics_counter_with(family, NULL, 0));
    CHECK_SHOWS(segment, "# TYPE nginx_connections_accepted counter\nnginx_connections_accepted 1\n");
    spec.exact_name = false;
    CHECK_FAILS(shmetrics_counter_register(segment, &spec, &family), CONFLICT);
    /* An update that names it takes it as it is. */
    CHECK_OK(shmetrics_counter_add_named(segment, spec.name, NULL, 0, 1));
    CHECK_SHOWS(segment, "\nnginx_connections_accepted 2\n");
    CHECK_FAILS(shmetrics_counter_add_named(segment, TEXT("not_to_be"), NULL, 0, NAN), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_counter_add_named(segment, TEXT("not_to_be"), NULL, 0, -1), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_counter_add_named(segment, TEXT("not_to_be"), NULL, 0, INFINITY), INVALID_ARGUMENT);
    CHECK_FAILS(shmetrics_histogram_observe_named(segment, TEXT("not_to_be"), NULL, 0, NAN), INVALID_ARGUMENT);
    CHECK_HIDES(segment, "not_to_be");
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == 4);
    CHECK_OK(shmetrics_histogram_observe_named(segment, TEXT("sizes"), NULL, 0, INFINITY));
    CHECK_OK(shmetrics_counter_add_named(segment, TEXT("zero"), NULL, 0, -0.0));
    /* No other family may be called as it is in OpenMetrics. */
    shmetrics_gauge_family gauge;
    spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("nginx_connections_accepted_total"));
    CHECK_FAILS(shmetrics_gauge_register(segment, &spec, SHMETRICS_GAUGE_SHARED, &gauge), CONFLICT);
}

static shmetrics_segment *with_bounds(uint32_t bounds, shmetrics_status expected) {
    shmetrics_segment *segment = NULL;
    shmetrics_options options = named(TEXT(""), SHMETRICS_ANONYMOUS);
    options.bounds = bounds;
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), expected);
    return segment;
}

static void shows_bound(shmetrics_segment *segment, const char *line) {
    static const double le[] = {1, 2.5};
    shmetrics_histogram_observe(shmetrics_histogram_with(histograms(segment, "h", le, 2), NULL, 0), 0.5);
    CHECK_SHOWS(segment, line);
}

static void short_bounds(void *unused) {
    (void)unused;
    shows_bound(
        with_bounds(SHMETRICS_BOUNDS_SHORT, SHMETRICS_STATUS_OK), "\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2.5\"} 1\n");
    shows_bound(with_bounds(SHMETRICS_BOUNDS_DEFAULT, SHMETRICS_STATUS_OK), "\nh_bucket{le=\"1.0\"} 1\n");
    CHECK(setenv("SHMETRICS_LE", "short", 1) == 0);
    shows_bound(with_bounds(SHMETRICS_BOUNDS_DEFAULT, SHMETRICS_STATUS_OK), "\nh_bucket{le=\"1\"} 1\n");
    shows_bound(with_bounds(SHMETRICS_BOUNDS_CANONICAL, SHMETRICS_STATUS_OK), "\nh_bucket{le=\"1.0\"} 1\n");
    CHECK(setenv("SHMETRICS_LE", "long", 1) == 0);
    (void)with_bounds(SHMETRICS_BOUNDS_DEFAULT, SHMETRICS_STATUS_INVALID_ARGUMENT);
    (void)with_bounds(3, SHMETRICS_STATUS_INVALID_ARGUMENT);
}

static void label_orders(void) {
    shmetrics_segment *segment = scratch();
    const shmetrics_str xy[] = {TEXT("x"), TEXT("y")}, yx[] = {TEXT("y"), TEXT("x")}, xz[] = {TEXT("x"), TEXT("z")};
    const shmetrics_str one_two[] = {TEXT("1"), TEXT("2")}, two_one[] = {TEXT("2"), TEXT("1")};
    shmetrics_counter_family first, second, other;
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("a"), .label_names = xy, .label_count = 2);
    CHECK_OK(shmetrics_counter_register(segment, &spec, &first));
    spec.label_names = yx;
    CHECK_OK(shmetrics_counter_register(segment, &spec, &second));
    CHECK_OK(shmetrics_counter_register(segment, &spec, &other));
    CHECK(other.p1 == second.p1);
    spec.label_names = xz;
    CHECK_FAILS(shmetrics_counter_register(segment, &spec, &other), CONFLICT);
    shmetrics_counter_inc(shmetrics_counter_with(first, one_two, 2));
    shmetrics_counter_inc(shmetrics_counter_with(second, two_one, 2));
    const shmetrics_label labels[] = {{yx[0], two_one[0]}, {yx[1], two_one[1]}};
    CHECK_OK(shmetrics_counter_add_named(segment, TEXT("a"), labels, 2, 1));
    CHECK_SHOWS(segment, "\na_total{x=\"1\",y=\"2\"} 3\n");
    CHECK(!shmetrics_counter_remove(second, one_two, 2));
    CHECK(shmetrics_counter_with(second, two_one, 1).p0 == NULL);
    CHECK(shmetrics_counter_remove(second, two_one, 2));
    CHECK_HIDES(segment, "x=\"1\"");
    shmetrics_counter_inc(shmetrics_counter_with(second, two_one, 2));
    CHECK_SHOWS(segment, "\na_total{x=\"1\",y=\"2\"} 1\n");
    CHECK(shmetrics_counter_clear(second) == 1);
    /* By name, of a histogram. */
    const shmetrics_label ab[] = {{TEXT("a"), TEXT("1")}, {TEXT("b"), TEXT("2")}}, ba[] = {ab[1], ab[0]};
    CHECK_OK(shmetrics_histogram_observe_named(segment, TEXT("h"), ab, 2, 1));
    CHECK_OK(shmetrics_histogram_observe_named(segment, TEXT("h"), ba, 2, 1));
    CHECK_SHOWS(segment, "\nh_count{a=\"1\",b=\"2\"} 2\n");
}

void test_naming(void) {
    exact_names();
    CHECK(in_child(short_bounds, NULL));
    label_orders();
}
