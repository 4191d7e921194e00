/* Bundles: one look-up for several metrics. */
#include "check.h"

enum { REQUESTS, LATENCY, ACTIVE, BYTES, SIZES, FALLING, STATES, STATE, INFO, ODD, MEMBERS };

static const double bounds[] = {0.5, 1};

/* Registers the bundle with these labels. */
static shmetrics_status define(
    shmetrics_segment *segment, const shmetrics_str *labels, size_t count, size_t members, shmetrics_bundle *bundle) {
    const shmetrics_str states[] = {TEXT("on"), TEXT("off")};
    const shmetrics_family_spec specs[MEMBERS] = {
        [REQUESTS] = SHMETRICS_FAMILY_SPEC(.name = TEXT("requests"), .help = TEXT("Requests.")),
        [LATENCY] = SHMETRICS_FAMILY_SPEC(.name = TEXT("latency"), .buckets = bounds, .bucket_count = 2),
        [ACTIVE] = SHMETRICS_FAMILY_SPEC(.name = TEXT("active")),
        [BYTES] = SHMETRICS_FAMILY_SPEC(.name = TEXT("sent_bytes"), .unit = TEXT("bytes")),
        [SIZES] = SHMETRICS_FAMILY_SPEC(.name = TEXT("sizes")),
        [FALLING] = SHMETRICS_FAMILY_SPEC(.name = TEXT("falling"), .native_factor = 1.1),
        [STATES] = SHMETRICS_FAMILY_SPEC(.name = TEXT("states"), .states = states, .state_count = 2),
        [STATE] = SHMETRICS_FAMILY_SPEC(.name = TEXT("state"), .states = states, .state_count = 2),
        [INFO] = SHMETRICS_FAMILY_SPEC(.name = TEXT("about")),
        [ODD] = SHMETRICS_FAMILY_SPEC(.name = TEXT("odd"))};
    const shmetrics_member all[MEMBERS] = {[REQUESTS] = {SHMETRICS_KIND_COUNTER, 0, &specs[REQUESTS]},
        [LATENCY] = {SHMETRICS_KIND_HISTOGRAM, 0, &specs[LATENCY]},
        [ACTIVE] = {SHMETRICS_KIND_GAUGE, SHMETRICS_GAUGE_LIVESUM, &specs[ACTIVE]},
        [BYTES] = {SHMETRICS_KIND_COUNTER, 0, &specs[BYTES]},
        [SIZES] = {SHMETRICS_KIND_SUMMARY, 0, &specs[SIZES]},
        [FALLING] = {SHMETRICS_KIND_GAUGE_HISTOGRAM, 0, &specs[FALLING]},
        [STATES] = {SHMETRICS_KIND_STATE_SET, 0, &specs[STATES]},
        [STATE] = {SHMETRICS_KIND_ENUM, 0, &specs[STATE]},
        [INFO] = {SHMETRICS_KIND_INFO, 0, &specs[INFO]},
        [ODD] = {SHMETRICS_KIND_UNKNOWN, 0, &specs[ODD]}};
    shmetrics_bundle_spec spec = {.struct_size = sizeof spec, .label_names = labels, .label_count = count};
    spec.members = all;
    spec.member_count = members;
    return shmetrics_bundle_register(segment, &spec, bundle);
}

static void update(shmetrics_entry entry) {
    shmetrics_entry_add_u64(entry, REQUESTS, 2);
    shmetrics_entry_add(entry, REQUESTS, 0.5);
    shmetrics_entry_observe(entry, LATENCY, 0.75);
    shmetrics_entry_set(entry, ACTIVE, 3);
    shmetrics_entry_add(entry, ACTIVE, -1);
    shmetrics_entry_add_u64_p(&entry, BYTES, 40);
    shmetrics_entry_add_p(&entry, BYTES, 2);
    shmetrics_entry_observe_p(&entry, SIZES, 5);
    shmetrics_entry_observe(entry, FALLING, 7);
    shmetrics_entry_set_p(&entry, ODD, -1);
    shmetrics_state_set_set(shmetrics_entry_states(entry, STATES), 1, true);
    shmetrics_enum_set(shmetrics_entry_states(entry, STATE), 1);
}

static void members_are_families(shmetrics_segment *segment) {
    const shmetrics_str labels[] = {TEXT("method"), TEXT("status")}, turned[] = {labels[1], labels[0]};
    const shmetrics_str get[] = {TEXT("GET"), TEXT("200")}, teg[] = {get[1], get[0]};
    shmetrics_bundle bundle = {0}, other = {0};
    CHECK_OK(define(segment, labels, 2, MEMBERS, &bundle));
    CHECK_OK(define(segment, turned, 2, MEMBERS, &other));
    const shmetrics_entry entry = shmetrics_bundle_with(bundle, get, 2);
    shmetrics_entry same = {0};
    shmetrics_bundle_with_p(&other, teg, 2, &same);
    CHECK(memcmp(&same, &entry, sizeof same) == 0);
    update(entry);
    CHECK_SHOWS(segment, "# HELP requests_total Requests.\n");
    CHECK(sample(segment, "requests_total{method=\"GET\",status=\"200\"}") == 2.5);
    CHECK(sample(segment, "latency_count{method=\"GET\",status=\"200\"}") == 1);
    CHECK(sample(segment, "active{method=\"GET\",status=\"200\"}") == 2);
    CHECK(sample(segment, "sent_bytes_total{method=\"GET\",status=\"200\"}") == 42);
    CHECK(sample(segment, "sizes_sum{method=\"GET\",status=\"200\"}") == 5);
    CHECK(sample(segment, "falling_gsum{method=\"GET\",status=\"200\"}") == 7
        || sample(segment, "falling_sum{method=\"GET\",status=\"200\"}") == 7);
    CHECK(sample(segment, "states{method=\"GET\",status=\"200\",states=\"off\"}") == 1);
    CHECK(sample(segment, "state{method=\"GET\",status=\"200\",state=\"off\"}") == 1);
    CHECK(sample(segment, "about_info{method=\"GET\",status=\"200\"}") == 1);
    CHECK(sample(segment, "odd{method=\"GET\",status=\"200\"}") == -1);
    /* The members' own handles. */
    const shmetrics_counter requests = shmetrics_entry_counter(entry, REQUESTS);
    const shmetrics_histogram latency = shmetrics_entry_histogram(entry, LATENCY);
    shmetrics_counter_inc(requests);
    shmetrics_gauge_inc(shmetrics_entry_gauge(entry, ACTIVE));
    shmetrics_histogram_observe(latency, 0.25);
    shmetrics_histogram_unobserve(shmetrics_entry_histogram(entry, FALLING), 7);
    CHECK(shmetrics_counter_value(requests) == 3.5);
    CHECK(shmetrics_gauge_value(shmetrics_entry_gauge(entry, ACTIVE)) == 3);
    uint64_t count = 0;
    shmetrics_histogram_value(latency, &count, NULL);
    CHECK(count == 2);
    CHECK_SHOWS(segment, "latency_bucket{method=\"GET\",status=\"200\",le=\"0.5\"} 1\n");
    /* Wrong members, and handles that are inert. */
    CHECK(shmetrics_entry_counter(entry, LATENCY).p0 == NULL && shmetrics_entry_counter(entry, MEMBERS).p0 == NULL);
    CHECK(shmetrics_entry_gauge(entry, INFO).p0 == NULL && shmetrics_entry_histogram(entry, REQUESTS).p0 == NULL);
    CHECK(shmetrics_entry_states(entry, REQUESTS).p0 == NULL && shmetrics_entry_states(entry, SIZE_MAX).p0 == NULL);
    shmetrics_entry_add_u64(entry, LATENCY, 1);
    shmetrics_entry_observe(entry, REQUESTS, 1);
    shmetrics_entry_set(entry, REQUESTS, 1);
    shmetrics_entry_add(entry, LATENCY, 1);
    update((shmetrics_entry){0});
    shmetrics_entry_add_u64_p(NULL, 0, 1);
    shmetrics_entry_add_p(NULL, 0, 1);
    shmetrics_entry_set_p(NULL, 0, 1);
    shmetrics_entry_observe_p(NULL, 0, 1);
    shmetrics_bundle_with_p(NULL, get, 2, &same);
    shmetrics_bundle_with_p(&bundle, get, 2, NULL);
    CHECK(shmetrics_bundle_with(bundle, get, 1).p0 == NULL
        && shmetrics_bundle_with((shmetrics_bundle){0}, get, 2).p0 == NULL);
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == 1);
    /* A label set goes as a whole. */
    CHECK(!shmetrics_entry_is_removed(entry) && !shmetrics_entry_is_removed((shmetrics_entry){0}));
    CHECK(shmetrics_bundle_remove(bundle, get, 2) && !shmetrics_bundle_remove(bundle, get, 2));
    CHECK(shmetrics_entry_is_removed(entry) && shmetrics_counter_is_removed(requests));
    CHECK_HIDES(segment, "GET");
    shmetrics_counter_inc(requests);
    shmetrics_entry_add_u64(entry, BYTES, 1);
    shmetrics_histogram_observe(latency, 1);
    CHECK(sample(segment, "shmetrics_stale_updates_total") == 3);
    (void)shmetrics_bundle_with(bundle, get, 2);
    CHECK(shmetrics_bundle_clear(other) == 1 && shmetrics_bundle_clear((shmetrics_bundle){0}) == 0);
    CHECK_HIDES(segment, "GET");
}

/* Several updates by one call are those of a call for each. */
static void several_at_once(shmetrics_segment *segment, const shmetrics_str *labels, size_t count) {
    const shmetrics_str value = TEXT("v");
    shmetrics_bundle bundle = {0};
    CHECK_OK(define(segment, labels, count, MEMBERS, &bundle));
    const shmetrics_entry entry = shmetrics_bundle_with(bundle, &value, count);
    const shmetrics_update all[] = {
        {REQUESTS, SHMETRICS_UPDATE_ADD_U64, {.n = 3}},
        {REQUESTS, SHMETRICS_UPDATE_ADD, {.v = 0.5}},
        {REQUESTS, SHMETRICS_UPDATE_ADD, {.v = 2}},
        {LATENCY, SHMETRICS_UPDATE_OBSERVE, {.v = 0.75}},
        {LATENCY, SHMETRICS_UPDATE_OBSERVE, {.v = 4}},
        {ACTIVE, SHMETRICS_UPDATE_SET, {.v = 7}},
        {ACTIVE, SHMETRICS_UPDATE_ADD, {.v = -2}},
        {BYTES, SHMETRICS_UPDATE_ADD_U64, {.n = (uint64_t)1 << 43}},
        {BYTES, SHMETRICS_UPDATE_ADD, {.v = -0.0}},
        {SIZES, SHMETRICS_UPDATE_OBSERVE, {.v = 5}},
        {FALLING, SHMETRICS_UPDATE_OBSERVE, {.v = 8}},
        {ODD, SHMETRICS_UPDATE_SET, {.v = -1}},
        /* None of these is done: four numbers that are refused, two unknown operations, and members
         * of other types or of no number. */
        {REQUESTS, SHMETRICS_UPDATE_ADD, {.v = -1}},
        {REQUESTS, SHMETRICS_UPDATE_ADD, {.v = NAN}},
        {REQUESTS, SHMETRICS_UPDATE_ADD, {.v = INFINITY}},
        {LATENCY, SHMETRICS_UPDATE_OBSERVE, {.v = NAN}},
        {REQUESTS, 4, {.n = 1}},
        {LATENCY, UINT32_MAX, {.v = 1}},
        {LATENCY, SHMETRICS_UPDATE_ADD_U64, {.n = 1}},
        {REQUESTS, SHMETRICS_UPDATE_OBSERVE, {.v = 1}},
        {REQUESTS, SHMETRICS_UPDATE_SET, {.v = 1}},
        {STATES, SHMETRICS_UPDATE_SET, {.v = 1}},
        {INFO, SHMETRICS_UPDATE_ADD, {.v = 1}},
        {MEMBERS, SHMETRICS_UPDATE_ADD_U64, {.n = 1}},
        {UINT32_MAX, SHMETRICS_UPDATE_OBSERVE, {.v = 1}},
    };
    const size_t every = sizeof all / sizeof *all;
    /* More rounds than it takes to be given cells for each CPU. */
    enum { ROUNDS = 6000 };
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 2)
            shmetrics_entry_update_p(&entry, all, every);
        else
            shmetrics_entry_update(entry, all, every);
    }
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == 6 * ROUNDS);
    CHECK(shmetrics_counter_value(shmetrics_entry_counter(entry, REQUESTS)) == 5.5 * ROUNDS);
    CHECK(shmetrics_counter_value(shmetrics_entry_counter(entry, BYTES)) == (double)ROUNDS * ((uint64_t)1 << 43));
    CHECK(shmetrics_gauge_value(shmetrics_entry_gauge(entry, ACTIVE)) == 5);
    CHECK(shmetrics_gauge_value(shmetrics_entry_gauge(entry, ODD)) == -1);
    const size_t observers[] = {LATENCY, SIZES, FALLING};
    const double counts[] = {2, 1, 1}, sums[] = {4.75, 5, 8};
    for (int i = 0; i < 3; i++) {
        uint64_t times = 0;
        double sum = 0;
        shmetrics_histogram_value(shmetrics_entry_histogram(entry, observers[i]), &times, &sum);
        CHECK((double)times == counts[i] * ROUNDS && sum == sums[i] * ROUNDS);
    }
    /* Nothing to do, and what is no entry. */
    shmetrics_entry_update(entry, NULL, 0);
    shmetrics_entry_update(entry, NULL, 2);
    shmetrics_entry_update(entry, all, 0);
    shmetrics_entry_update(entry, all, SIZE_MAX);
    shmetrics_entry_update((shmetrics_entry){0}, all, every);
    shmetrics_entry_update_p(NULL, all, every);
    CHECK(shmetrics_counter_value(shmetrics_entry_counter(entry, REQUESTS)) == 5.5 * ROUNDS);
    if (count == 0) return;
    /* The overflow series of a bundle of one with a limit is hot, too. */
    const shmetrics_family_spec one = SHMETRICS_FAMILY_SPEC(.name = TEXT("lonely"));
    const shmetrics_member member = {SHMETRICS_KIND_COUNTER, 0, &one};
    shmetrics_bundle_spec spec = {.struct_size = sizeof spec, .label_names = labels, .label_count = 1, .max_series = 1};
    spec.members = &member;
    spec.member_count = 1;
    shmetrics_bundle lonely = {0};
    CHECK_OK(shmetrics_bundle_register(segment, &spec, &lonely));
    const shmetrics_entry entries[] = {
        shmetrics_bundle_with(lonely, &value, 1), shmetrics_bundle_with(lonely, labels, 1)};
    for (int i = 0; i < ROUNDS; i++) shmetrics_entry_update(entries[i % 2], all, 1);
    CHECK(sample(segment, "lonely_total{l=\"v\"}") == 3 * ROUNDS / 2);
    CHECK(sample(segment, "lonely_total{shmetrics_overflow=\"true\"}") == 3 * ROUNDS / 2);
    /* A removed label set takes nothing, and its successor has nothing of it. */
    const double stale = sample(segment, "shmetrics_stale_updates_total");
    CHECK(shmetrics_bundle_remove(bundle, &value, 1));
    const shmetrics_entry next = shmetrics_bundle_with(bundle, &value, 1);
    shmetrics_entry_update(entry, all, 4);
    CHECK(sample(segment, "shmetrics_stale_updates_total") == stale + 4);
    CHECK(shmetrics_counter_value(shmetrics_entry_counter(next, REQUESTS)) == 0);
}

static void registration(shmetrics_segment *segment) {
    const shmetrics_str labels[] = {TEXT("l")}, none = TEXT("v");
    shmetrics_bundle bundle = {0};
    CHECK_OK(define(segment, labels, 1, BYTES, &bundle));
    CHECK_OK(define(segment, labels, 1, BYTES, &bundle));
    CHECK_FAILS(define(segment, labels, 1, SIZES, &bundle), CONFLICT);
    CHECK_FAILS(define(segment, labels, 1, 0, &bundle), INVALID_ARGUMENT);
    CHECK_FAILS(define(segment, labels, 1, BYTES, NULL), NULL_ARGUMENT);
    CHECK_FAILS(define(NULL, labels, 1, BYTES, &bundle), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_bundle_register(segment, NULL, &bundle), NULL_ARGUMENT);
    shmetrics_family_spec one = SHMETRICS_FAMILY_SPEC(.name = TEXT("one"), .label_names = labels, .label_count = 1);
    shmetrics_member member = {SHMETRICS_KIND_COUNTER, 0, &one};
    shmetrics_bundle_spec spec = {.struct_size = sizeof spec, .label_names = labels, .label_count = 1};
    spec.members = &member;
    spec.member_count = 1;
    CHECK_FAILS(shmetrics_bundle_register(segment, &spec, &bundle), INVALID_ARGUMENT);
    one.label_count = 0;
    one.label_names = NULL;
    member.kind = 99;
    CHECK_FAILS(shmetrics_bundle_register(segment, &spec, &bundle), INVALID_ARGUMENT);
    member.kind = SHMETRICS_KIND_COUNTER;
    member.mode = SHMETRICS_GAUGE_SUM;
    CHECK_FAILS(shmetrics_bundle_register(segment, &spec, &bundle), INVALID_ARGUMENT);
    member.mode = 0;
    member.family = NULL;
    CHECK_FAILS(shmetrics_bundle_register(segment, &spec, &bundle), NULL_ARGUMENT);
    member.family = &one;
    spec.members = NULL;
    CHECK_FAILS(shmetrics_bundle_register(segment, &spec, &bundle), NULL_ARGUMENT);
    spec.members = &member;
    spec.struct_size = 1;
    CHECK_FAILS(shmetrics_bundle_register(segment, &spec, &bundle), INVALID_ARGUMENT);
    spec.struct_size = sizeof spec;
    spec.max_series = 1;
    CHECK_OK(shmetrics_bundle_register(segment, &spec, &bundle));
    shmetrics_entry_add_u64(shmetrics_bundle_with(bundle, &none, 1), 0, 1);
    shmetrics_entry_add_u64(shmetrics_bundle_with(bundle, &labels[0], 1), 0, 5);
    CHECK(sample(segment, "one_total{shmetrics_overflow=\"true\"}") == 5);
    one.help = TEXT("Another.");
    spec.replace = true;
    CHECK_OK(shmetrics_bundle_register(segment, &spec, &bundle));
    CHECK_SHOWS(segment, "# HELP one_total Another.\n");
    /* Without labels. */
    shmetrics_bundle plain = {0};
    shmetrics_segment *other = scratch();
    CHECK_OK(define(other, NULL, 0, MEMBERS, &plain));
    update(shmetrics_bundle_with(plain, NULL, 0));
    CHECK_SHOWS(other, "\nrequests_total 2.5\n");
    CHECK_SHOWS(other, "\nsent_bytes_total 42\n");
}

void test_bundle(void) {
    const shmetrics_str label = TEXT("l");
    members_are_families(scratch());
    several_at_once(scratch(), &label, 1);
    several_at_once(scratch(), NULL, 0);
    registration(scratch());
}
