/* Families that are replaced or unregistered, and revisions of processes. */
#include "check.h"

static const shmetrics_str A = {"a", 1}, AB[] = {{"a", 1}, {"b", 1}};

static double stale(const shmetrics_segment *segment) { return sample(segment, "shmetrics_stale_updates_total"); }

static shmetrics_segment *open_as(shmetrics_str name, uint64_t revision) {
    shmetrics_segment *segment = NULL;
    shmetrics_options options = named(name, SHMETRICS_OPEN_OR_CREATE);
    options.revision = revision;
    CHECK_OK(shmetrics_segment_open(&options, &segment));
    return segment;
}

static void unregistered(void) {
    shmetrics_segment *segment = scratch();
    shmetrics_counter_family family = counters(segment, "c", "label"), bare = counters(segment, "bare", NULL);
    const shmetrics_counter old = shmetrics_counter_with(family, &A, 1), one = shmetrics_counter_with(bare, NULL, 0);
    shmetrics_counter_inc(old);
    shmetrics_counter_inc(one);
    bool done = false;
    CHECK_OK(shmetrics_unregister(segment, TEXT("c_total"), &done));
    CHECK(done && shmetrics_counter_is_removed(old));
    CHECK_HIDES(segment, "c_total{");
    CHECK_OK(shmetrics_unregister(segment, TEXT("bare"), NULL));
    CHECK_HIDES(segment, "bare");
    CHECK_OK(shmetrics_unregister(segment, TEXT("c"), &done));
    CHECK(!done);
    shmetrics_counter_add_u64(old, 5);
    shmetrics_counter_add(one, 0.5);
    shmetrics_counter_inc(shmetrics_counter_with(family, &A, 1)); /* the family handle finds nothing either */
    CHECK(stale(segment) == 3);
    /* The name may be registered anew, as anything. */
    const shmetrics_gauge gauge = shmetrics_gauge_with(gauges(segment, "c", SHMETRICS_GAUGE_LIVESUM), NULL, 0);
    shmetrics_gauge_set(gauge, 7);
    shmetrics_counter_inc(old);
    CHECK(sample(segment, "c") == 7 && stale(segment) == 4);
    CHECK_OK(shmetrics_unregister(segment, TEXT("c"), NULL));
    shmetrics_gauge_set(gauge, 8);
    CHECK(stale(segment) == 5);
}

static void wrong_arguments(void) {
    shmetrics_segment *segment = scratch();
    const shmetrics_str bad = {NULL, 1};
    bool done = true;
    CHECK_FAILS(shmetrics_unregister(NULL, TEXT("c"), &done), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_unregister(NULL, TEXT("c"), NULL), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_unregister(segment, bad, &done), NULL_ARGUMENT);
    CHECK(done); /* outputs are written on success only */
    CHECK_OK(shmetrics_unregister(segment, (shmetrics_str){NULL, 0}, &done));
    CHECK(!done);
    CHECK_FAILS(shmetrics_segment_is_in_use(bad, &done), NULL_ARGUMENT);
}

/* Registers h by the spec, with one label or two, and observes once. */
static shmetrics_histogram observed(shmetrics_segment *segment, shmetrics_family_spec spec, size_t labels) {
    static const shmetrics_str names[] = {{"x", 1}, {"y", 1}};
    spec.label_names = names;
    spec.label_count = labels;
    shmetrics_histogram_family family;
    CHECK_OK(shmetrics_histogram_register(segment, &spec, &family));
    const shmetrics_histogram histogram = shmetrics_histogram_with(family, AB, labels);
    shmetrics_histogram_observe(histogram, 1);
    return histogram;
}

static void replaced(void) {
    shmetrics_segment *segment = scratch();
    static const double le[] = {1, 2};
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("h"), .help = TEXT("Old."));
    const shmetrics_histogram old = observed(segment, spec, 1);
    shmetrics_histogram_family family;
    spec.buckets = le;
    spec.bucket_count = 2;
    CHECK_FAILS(shmetrics_histogram_register(segment, &spec, &family), CONFLICT);
    CHECK_SHOWS(segment, "\nh_count{x=\"a\"} 1\n");
    spec.help = TEXT("New.");
    spec.replace = true;
    const shmetrics_histogram new = observed(segment, spec, 2);
    CHECK(shmetrics_histogram_is_removed(old) && !shmetrics_histogram_is_removed(new));
    shmetrics_histogram_observe(old, 1);
    CHECK(stale(segment) == 1);
    CHECK_SHOWS(segment, "# HELP h New.\n");
    CHECK_SHOWS(segment, "\nh_bucket{x=\"a\",y=\"b\",le=\"2.0\"} 1\n");
    CHECK_HIDES(segment, "\nh_count{x=\"a\"}");
    /* Once more the same is no replacement, and without the word neither. */
    observed(segment, spec, 2);
    spec.replace = false;
    observed(segment, spec, 2);
    CHECK_SHOWS(segment, "\nh_count{x=\"a\",y=\"b\"} 3\n");
    CHECK(!shmetrics_histogram_is_removed(new));
    /* By another type. */
    shmetrics_family_spec counter = SHMETRICS_FAMILY_SPEC(.name = TEXT("h"), .replace = true);
    shmetrics_counter_family as_counter;
    CHECK_OK(shmetrics_counter_register(segment, &counter, &as_counter));
    shmetrics_counter_inc(shmetrics_counter_with(as_counter, NULL, 0));
    shmetrics_histogram_observe(new, 1);
    CHECK_SHOWS(segment, "\nh_total 1\n");
    CHECK_HIDES(segment, "h_count");
    CHECK(stale(segment) == 2);
}

/* A worker of the revision before, which has the old definition. */
static void earlier(void *name) {
    shmetrics_segment *segment = open_as(text(name), 1);
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("c"), .replace = true);
    shmetrics_counter_family family;
    CHECK_FAILS(shmetrics_counter_register(segment, &spec, &family), CONFLICT);
    char why[512];
    shmetrics_last_error(why, sizeof why);
    CHECK(strstr(why, "later revision") != NULL);
    bool done = true;
    CHECK_FAILS(shmetrics_unregister(segment, spec.name, &done), CONFLICT);
    CHECK(done);
}

/* One of the revision after it may do both, also without a number: the time is later than all
 * numbers. */
static void later(void *name) {
    shmetrics_segment *segment = open_as(text(name), 0);
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("c"), .replace = true);
    shmetrics_counter_family family;
    CHECK_OK(shmetrics_counter_register(segment, &spec, &family));
    CHECK_OK(shmetrics_unregister(segment, spec.name, NULL));
}

static void revisions(void) {
    char name[64];
    snprintf(name, sizeof name, "conformance-revisions-%d", (int)getpid());
    shmetrics_segment *segment = open_as(text(name), 2);
    const shmetrics_counter counter = shmetrics_counter_with(counters(segment, "c", "label"), &A, 1);
    CHECK(in_child(earlier, name));
    shmetrics_counter_inc(counter);
    CHECK_SHOWS(segment, "\nc_total{label=\"a\"} 1\n");
    CHECK(in_child(later, name));
    shmetrics_counter_inc(counter);
    CHECK_HIDES(segment, "c_total{");
    CHECK(stale(segment) == 1 && shmetrics_counter_is_removed(counter));
    CHECK_OK(shmetrics_segment_remove(text(name)));
}

void test_redefine(void) {
    unregistered();
    wrong_arguments();
    replaced();
    revisions();
}
