/* A cancellation that is pending is not acted upon within any call of the library, is still
 * pending after it, and errno is as it was.
 * There is a CASE for each exported call; run.sh compares them with symbols.txt. Each runs in a
 * process of its own, so that first updates, first look-ups and growth happen within the call. */
#include "check.h"

#include <pthread.h>

enum { MARK = 4242, MANY = 6000 };

static shmetrics_segment *segment;
static shmetrics_reader *reader;
static shmetrics_cursor *cursor;
static shmetrics_points *points;
static shmetrics_counter_family counter_family, labelled;
static shmetrics_gauge_family gauge_family, labelled_gauges;
static shmetrics_histogram_family histogram_family, labelled_histograms, native, taken_back;
static shmetrics_summary_family labelled_summaries;
static shmetrics_states_family labelled_states, labelled_enums;
static shmetrics_info_family labelled_infos;
static shmetrics_counter counter;
static shmetrics_gauge gauge, live;
static shmetrics_histogram histogram, native_histogram, gauge_histogram;
static shmetrics_states states, enumeration;
static shmetrics_bundle bundle;
static shmetrics_entry entry;
static char name[64];
/* clang-format off */
#define STATIC(literal) {(literal), sizeof(literal) - 1} /* TEXT, where only constants may be */
static const shmetrics_str label = STATIC("label"), value = STATIC("value"), state_names[] = {STATIC("on"), STATIC("off")};

static shmetrics_str number(char *buffer, size_t capacity, int i) {
    snprintf(buffer, capacity, "value %d", i);
    return text(buffer);
}

/* New label sets until the segment has to grow. */
#define LABEL_SETS(call)                                                                                            \
    for (int i = 0; i < MANY; i++) {                                                                                \
        char text_of[32];                                                                                           \
        const shmetrics_str one = number(text_of, sizeof text_of, i);                                               \
        (void)(call);                                                                                               \
    }

/* New families `f` of one type, with `n` states, until the segment has to grow. */
#define FAMILIES(type, n, call)                                                                                     \
    for (int i = 0; i < 250; i++) {                                                                                 \
        char text_of[32];                                                                                           \
        type f;                                                                                                     \
        const shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = number(text_of, sizeof text_of, i),        \
            .help = {help, sizeof help}, .label_names = &label, .label_count = 1,                                   \
            .states = state_names, .state_count = (n));                                                             \
        CHECK((call) == SHMETRICS_STATUS_OK);                                                                       \
    }

static const shmetrics_label exemplar = {STATIC("trace_id"), STATIC("4bf92f35")};
static const shmetrics_label pair = {STATIC("label"), STATIC("value")};
static char buffer[1 << 20];
static size_t length;
static double sink;
static char help[1024]; /* NULs: of no matter here */

static struct call {
    const char *symbol;
    void (*run)(void);
    struct call *next;
} *calls;

/* A case adds itself to `calls` before main; its body follows the macro. */
#define CASE(of)                                                                                                    \
    static void call_##of(void);                                                                                    \
    static struct call case_##of = {#of, call_##of, NULL};                                                          \
    __attribute__((constructor)) static void add_##of(void) {                                                       \
        case_##of.next = calls;                                                                                     \
        calls = &case_##of;                                                                                         \
    }                                                                                                               \
    static void call_##of(void)

CASE(shmetrics_accepts_gzip) { (void)shmetrics_accepts_gzip(TEXT("gzip")); }
CASE(shmetrics_content_type) { (void)shmetrics_content_type(); }
CASE(shmetrics_counter_add) { shmetrics_counter_add(counter, 0.5); }
CASE(shmetrics_counter_add_named) {
    LABEL_SETS(shmetrics_counter_add_named(segment, TEXT("new"), &(shmetrics_label){label, one}, 1, 1))
}
CASE(shmetrics_counter_add_u64) { for (int i = 0; i < 3 * MANY; i++) shmetrics_counter_add_u64(counter, 1); }
CASE(shmetrics_counter_add_with_exemplar) { shmetrics_counter_add_with_exemplar(counter, 1, &exemplar, 1); }
CASE(shmetrics_counter_clear) { (void)shmetrics_counter_clear(labelled); }
CASE(shmetrics_counter_inc) { for (int i = 0; i < 3 * MANY; i++) shmetrics_counter_inc(counter); }
CASE(shmetrics_counter_is_removed) { (void)shmetrics_counter_is_removed(counter); }
CASE(shmetrics_counter_register) { FAMILIES(shmetrics_counter_family, 0, shmetrics_counter_register(segment, &spec, &f)) }
CASE(shmetrics_counter_remove) { (void)shmetrics_counter_remove(labelled, &value, 1); }
CASE(shmetrics_counter_value) { sink = shmetrics_counter_value(counter); }
CASE(shmetrics_counter_with) { LABEL_SETS((shmetrics_counter_inc(shmetrics_counter_with(labelled, &one, 1)), 0)) }
CASE(shmetrics_cstr) { length = shmetrics_cstr(name).len; }
CASE(shmetrics_cursor_set_exposition) { (void)shmetrics_cursor_set_exposition(cursor, (shmetrics_exposition){.format = SHMETRICS_FORMAT_PROTOBUF}); }
CASE(shmetrics_cursor_free) { shmetrics_cursor_free(cursor); }
CASE(shmetrics_cursor_read) { while (shmetrics_cursor_read(cursor, buffer, sizeof buffer) > 0) {} }
CASE(shmetrics_cursor_add_filter) { (void)shmetrics_cursor_add_filter(cursor, TEXT("up")); }
CASE(shmetrics_enum_register) { FAMILIES(shmetrics_states_family, 2, shmetrics_enum_register(segment, &spec, &f)) }
CASE(shmetrics_enum_set) { shmetrics_enum_set(enumeration, 1); }
CASE(shmetrics_exposition_content_type) { (void)shmetrics_exposition_content_type((shmetrics_exposition){0}); }
CASE(shmetrics_gauge_add) { shmetrics_gauge_add(live, 1); }
CASE(shmetrics_gauge_clear) { (void)shmetrics_gauge_clear(labelled_gauges); }
CASE(shmetrics_gauge_dec) { shmetrics_gauge_dec(live); }
CASE(shmetrics_gauge_histogram_register) { FAMILIES(shmetrics_histogram_family, 0, shmetrics_gauge_histogram_register(segment, &spec, &f)) }
CASE(shmetrics_gauge_inc) { shmetrics_gauge_inc(live); }
CASE(shmetrics_gauge_is_removed) { (void)shmetrics_gauge_is_removed(gauge); }
CASE(shmetrics_gauge_register) { FAMILIES(shmetrics_gauge_family, 0, shmetrics_gauge_register(segment, &spec, SHMETRICS_GAUGE_LIVESUM, &f)) }
CASE(shmetrics_gauge_remove) { (void)shmetrics_gauge_remove(labelled_gauges, &value, 1); }
CASE(shmetrics_gauge_set) { LABEL_SETS((shmetrics_gauge_set(shmetrics_gauge_with(labelled_gauges, &one, 1), 1), 0)) }
CASE(shmetrics_gauge_set_to_now) { shmetrics_gauge_set_to_now(live); }
CASE(shmetrics_gauge_with) { LABEL_SETS(shmetrics_gauge_with(labelled_gauges, &one, 1)) }
CASE(shmetrics_histogram_clear) { (void)shmetrics_histogram_clear(labelled_histograms); }
CASE(shmetrics_histogram_unobserve) { shmetrics_histogram_unobserve(gauge_histogram, 1); }
CASE(shmetrics_histogram_is_removed) { (void)shmetrics_histogram_is_removed(histogram); }
CASE(shmetrics_histogram_observe) { for (double v = 1e-9; v < 1e9; v *= 1.01) shmetrics_histogram_observe(native_histogram, v); }
CASE(shmetrics_histogram_observe_named) {
    LABEL_SETS(shmetrics_histogram_observe_named(segment, TEXT("new"), &(shmetrics_label){label, one}, 1, 1))
}
CASE(shmetrics_histogram_observe_since) { shmetrics_histogram_observe_since(native_histogram, 1); }
CASE(shmetrics_histogram_observe_with_exemplar) { shmetrics_histogram_observe_with_exemplar(histogram, 1, &exemplar, 1); }
CASE(shmetrics_histogram_register) { FAMILIES(shmetrics_histogram_family, 0, shmetrics_histogram_register(segment, &spec, &f)) }
CASE(shmetrics_histogram_remove) { (void)shmetrics_histogram_remove(labelled_histograms, &value, 1); }
CASE(shmetrics_histogram_with) { LABEL_SETS(shmetrics_histogram_with(labelled_histograms, &one, 1)) }
CASE(shmetrics_info_clear) { (void)shmetrics_info_clear(labelled_infos); }
CASE(shmetrics_info_register) { FAMILIES(shmetrics_info_family, 0, shmetrics_info_register(segment, &spec, &f)) }
CASE(shmetrics_info_remove) { (void)shmetrics_info_remove(labelled_infos, &value, 1); }
CASE(shmetrics_info_with) { LABEL_SETS(shmetrics_info_with(labelled_infos, &one, 1)) }
CASE(shmetrics_last_error) { (void)shmetrics_last_error(buffer, sizeof buffer); }
CASE(shmetrics_negotiate) { (void)shmetrics_negotiate(TEXT("text/plain")); }
CASE(shmetrics_options_init) {
    shmetrics_options options;
    (shmetrics_options_init)(&options);
}
CASE(shmetrics_options_init_sized) {
    shmetrics_options options;
    shmetrics_options_init_sized(&options, sizeof options);
}
CASE(shmetrics_reader_cursor) {
    shmetrics_cursor *c;
    (void)shmetrics_reader_cursor(reader, &c);
}
CASE(shmetrics_reader_free) { shmetrics_reader_free(reader); }
CASE(shmetrics_reader_open) {
    shmetrics_reader *r;
    (void)shmetrics_reader_open(text(name), &r);
}
CASE(shmetrics_reader_render) { (void)shmetrics_reader_render(reader, buffer, sizeof buffer, &length); }
CASE(shmetrics_segment_cursor) {
    shmetrics_cursor *c;
    (void)shmetrics_segment_cursor(segment, &c);
}
CASE(shmetrics_segment_expire) { (void)shmetrics_segment_expire(segment); }
CASE(shmetrics_segment_attached) { (void)shmetrics_segment_attached(segment); }
CASE(shmetrics_segment_is_current) { (void)shmetrics_segment_is_current(segment); }
CASE(shmetrics_segment_is_in_use) {
    bool in_use;
    (void)shmetrics_segment_is_in_use(text("none-of-this-name"), &in_use);
    (void)shmetrics_segment_is_in_use(text(name), &in_use);
}
CASE(shmetrics_segment_mark_dead) { (void)shmetrics_segment_mark_dead(segment, 1); }
CASE(shmetrics_segment_open) {
    shmetrics_options options;
    shmetrics_segment *s;
    shmetrics_options_init(&options);
    options.name = TEXT("no/such/directory");
    (void)shmetrics_segment_open(&options, &s);
    options.open_mode = SHMETRICS_ANONYMOUS;
    (void)shmetrics_segment_open(&options, &s);
    options.open_mode = SHMETRICS_OPEN_OR_CREATE;
    options.name = text(name);
    (void)shmetrics_segment_open(&options, &s);
    (void)shmetrics_segment_remove(text(name));
    (void)shmetrics_segment_open(&options, &s);
}
CASE(shmetrics_segment_remove) { (void)shmetrics_segment_remove(text(name)); }
CASE(shmetrics_segment_render) { (void)shmetrics_segment_render(segment, buffer, sizeof buffer, &length); }
CASE(shmetrics_segment_attach_process) { (void)shmetrics_segment_attach_process(segment); }
CASE(shmetrics_segment_set_identity) { (void)shmetrics_segment_set_identity(segment, 7); }
CASE(shmetrics_segment_next_warning) { (void)shmetrics_segment_next_warning(segment, buffer, sizeof buffer); }
CASE(shmetrics_state_set_register) { FAMILIES(shmetrics_states_family, 2, shmetrics_state_set_register(segment, &spec, &f)) }
CASE(shmetrics_state_set_set) { shmetrics_state_set_set(states, 1, true); }
CASE(shmetrics_states_clear) { (void)shmetrics_states_clear(labelled_states); }
CASE(shmetrics_states_is_removed) { (void)shmetrics_states_is_removed(states); }
CASE(shmetrics_states_remove) { (void)shmetrics_states_remove(labelled_states, &value, 1); }
CASE(shmetrics_states_with) { LABEL_SETS(shmetrics_states_with(labelled_states, &one, 1)) }
CASE(shmetrics_status_message) { (void)shmetrics_status_message(1); }
CASE(shmetrics_summary_clear) { (void)shmetrics_summary_clear(labelled_summaries); }
CASE(shmetrics_summary_register) { FAMILIES(shmetrics_summary_family, 0, shmetrics_summary_register(segment, &spec, &f)) }
CASE(shmetrics_summary_remove) { (void)shmetrics_summary_remove(labelled_summaries, &value, 1); }
CASE(shmetrics_summary_with) { LABEL_SETS(shmetrics_summary_with(labelled_summaries, &one, 1)) }
CASE(shmetrics_timer_start) { (void)shmetrics_timer_start(); }
CASE(shmetrics_unknown_register) { FAMILIES(shmetrics_gauge_family, 0, shmetrics_unknown_register(segment, &spec, &f)) }
CASE(shmetrics_unregister) { (void)shmetrics_unregister(segment, TEXT("fixture_labelled"), NULL); }
CASE(shmetrics_version) { (void)shmetrics_version(); }

CASE(shmetrics_counter_add_p) { shmetrics_counter_add_p(&counter, 0.5); }
CASE(shmetrics_counter_add_u64_p) { for (int i = 0; i < 3 * MANY; i++) shmetrics_counter_add_u64_p(&counter, 1); }
CASE(shmetrics_counter_inc_p) { for (int i = 0; i < 3 * MANY; i++) shmetrics_counter_inc_p(&counter); }
CASE(shmetrics_counter_value_p) { sink = shmetrics_counter_value_p(&counter); }
CASE(shmetrics_counter_with_p) {
    shmetrics_counter c;
    LABEL_SETS((shmetrics_counter_with_p(&labelled, &one, 1, &c), 0))
}
CASE(shmetrics_cursor_points) {
    shmetrics_points *p;
    (void)shmetrics_cursor_points(cursor, &p);
}
CASE(shmetrics_gauge_add_p) { shmetrics_gauge_add_p(&live, 1); }
CASE(shmetrics_gauge_dec_p) { shmetrics_gauge_dec_p(&live); }
CASE(shmetrics_gauge_inc_p) { shmetrics_gauge_inc_p(&live); }
CASE(shmetrics_gauge_set_p) { shmetrics_gauge_set_p(&live, 1); }
CASE(shmetrics_gauge_value) { sink = shmetrics_gauge_value(live); }
CASE(shmetrics_gauge_value_p) { sink = shmetrics_gauge_value_p(&live); }
CASE(shmetrics_gauge_with_p) {
    shmetrics_gauge g;
    LABEL_SETS((shmetrics_gauge_with_p(&labelled_gauges, &one, 1, &g), 0))
}
CASE(shmetrics_histogram_observe_p) { for (double v = 1e-9; v < 1e9; v *= 1.01) shmetrics_histogram_observe_p(&native_histogram, v); }
CASE(shmetrics_histogram_observe_since_p) { shmetrics_histogram_observe_since_p(&native_histogram, 1); }
CASE(shmetrics_histogram_with_p) {
    shmetrics_histogram h;
    LABEL_SETS((shmetrics_histogram_with_p(&labelled_histograms, &one, 1, &h), 0))
}
CASE(shmetrics_points_free) { shmetrics_points_free(points); }
CASE(shmetrics_points_next) {
    const shmetrics_point *point;
    while (shmetrics_points_next(points, &point) == SHMETRICS_STATUS_OK && point) {}
}
CASE(shmetrics_summary_with_p) {
    shmetrics_histogram h;
    LABEL_SETS((shmetrics_summary_with_p(&labelled_summaries, &one, 1, &h), 0))
}
static bool add_sample(shmetrics_cursor *to, void *data) {
    (void)data;
    return shmetrics_cursor_add_sample(to, SHMETRICS_KIND_GAUGE, TEXT("g"), TEXT(""), &pair, 1, 1) == SHMETRICS_STATUS_OK;
}
static shmetrics_collector *collector;
/* Members of a bundle: a counter, a gauge of processes, a histogram and states. */
enum { COUNTED, BUSY, TIMES, STATES, MEMBERS };
static shmetrics_status register_bundle(shmetrics_str first, shmetrics_bundle *made) {
    const shmetrics_family_spec specs[] = {
        SHMETRICS_FAMILY_SPEC(.name = first), SHMETRICS_FAMILY_SPEC(.name = TEXT("fixture_busy")),
        SHMETRICS_FAMILY_SPEC(.name = TEXT("fixture_times")),
        SHMETRICS_FAMILY_SPEC(.name = TEXT("fixture_of"), .states = state_names, .state_count = 2)};
    const shmetrics_member members[] = {{SHMETRICS_KIND_COUNTER, 0, &specs[0]},
                                        {SHMETRICS_KIND_GAUGE, SHMETRICS_GAUGE_LIVESUM, &specs[1]},
                                        {SHMETRICS_KIND_HISTOGRAM, 0, &specs[2]},
                                        {SHMETRICS_KIND_STATE_SET, 0, &specs[3]}};
    shmetrics_bundle_spec spec = {.struct_size = sizeof spec, .label_names = &label, .label_count = 1};
    spec.members = members;
    spec.member_count = MEMBERS;
    spec.replace = true;
    return shmetrics_bundle_register(segment, &spec, made);
}
CASE(shmetrics_bundle_register) {
    shmetrics_bundle b;
    for (int i = 0; i < 100; i++) {
        char text_of[32];
        CHECK(register_bundle(number(text_of, sizeof text_of, i), &b) == SHMETRICS_STATUS_OK);
    }
}
static const shmetrics_update updates[] = {
    {COUNTED, SHMETRICS_UPDATE_ADD_U64, {.n = 1}}, {TIMES, SHMETRICS_UPDATE_OBSERVE, {.v = 0.3}}, {BUSY, SHMETRICS_UPDATE_SET, {.v = 2}}};
CASE(shmetrics_bundle_clear) { (void)shmetrics_bundle_clear(bundle); }
CASE(shmetrics_bundle_remove) { (void)shmetrics_bundle_remove(bundle, &value, 1); }
CASE(shmetrics_bundle_with) { LABEL_SETS(shmetrics_bundle_with(bundle, &one, 1)) }
CASE(shmetrics_bundle_with_p) {
    shmetrics_entry e;
    LABEL_SETS((shmetrics_bundle_with_p(&bundle, &one, 1, &e), 0))
}
CASE(shmetrics_entry_add) { shmetrics_entry_add(entry, BUSY, 1); }
CASE(shmetrics_entry_add_p) { shmetrics_entry_add_p(&entry, BUSY, 1); }
CASE(shmetrics_entry_add_u64) { for (int i = 0; i < MANY; i++) shmetrics_entry_add_u64(entry, COUNTED, 1); }
CASE(shmetrics_entry_add_u64_p) { for (int i = 0; i < MANY; i++) shmetrics_entry_add_u64_p(&entry, COUNTED, 1); }
CASE(shmetrics_entry_counter) { (void)shmetrics_entry_counter(entry, COUNTED); }
CASE(shmetrics_entry_gauge) { (void)shmetrics_entry_gauge(entry, BUSY); }
CASE(shmetrics_entry_histogram) { (void)shmetrics_entry_histogram(entry, TIMES); }
CASE(shmetrics_entry_is_removed) { (void)shmetrics_entry_is_removed(entry); }
CASE(shmetrics_entry_observe) { for (int i = 0; i < MANY; i++) shmetrics_entry_observe(entry, TIMES, 0.3); }
CASE(shmetrics_entry_observe_p) { for (int i = 0; i < MANY; i++) shmetrics_entry_observe_p(&entry, TIMES, 0.3); }
CASE(shmetrics_entry_set) { shmetrics_entry_set(entry, BUSY, 2); }
CASE(shmetrics_entry_set_p) { shmetrics_entry_set_p(&entry, BUSY, 2); }
CASE(shmetrics_entry_states) { (void)shmetrics_entry_states(entry, STATES); }
CASE(shmetrics_entry_update) { for (int i = 0; i < MANY; i++) shmetrics_entry_update(entry, updates, 3); }
CASE(shmetrics_entry_update_p) { for (int i = 0; i < MANY; i++) shmetrics_entry_update_p(&entry, updates, 3); }
CASE(shmetrics_buckets_exponential) { (void)shmetrics_buckets_exponential(1, 2, (double[2]){0}, 2); }
CASE(shmetrics_buckets_linear) { (void)shmetrics_buckets_linear(1, 2, (double[2]){0}, 2); }
CASE(shmetrics_collector_remove) { shmetrics_collector_remove(collector); }
CASE(shmetrics_counter_reset) { shmetrics_counter_reset(counter); }
CASE(shmetrics_counter_reset_p) { shmetrics_counter_reset_p(&counter); }
CASE(shmetrics_counter_set) { shmetrics_counter_set(counter, 1e6); }
CASE(shmetrics_counter_set_p) { shmetrics_counter_set_p(&counter, 1e6); }
CASE(shmetrics_cursor_add_sample) { (void)add_sample(cursor, NULL); }
CASE(shmetrics_histogram_value) { shmetrics_histogram_value(native_histogram, NULL, &sink); }
CASE(shmetrics_histogram_value_p) { shmetrics_histogram_value_p(&native_histogram, NULL, &sink); }
CASE(shmetrics_segment_add_collector) {
    (void)shmetrics_segment_add_collector(segment, add_sample, NULL, &collector);
    (void)shmetrics_segment_render(segment, buffer, sizeof buffer, &length);
}
/* clang-format on */

static void prepare(void) {
    snprintf(name, sizeof name, "cancel-%d", (int)getpid());
    segment = opened(text(name));
    CHECK_OK(shmetrics_reader_open(text(name), &reader));
    CHECK_OK(shmetrics_reader_cursor(reader, &cursor));
    shmetrics_cursor *read;
    CHECK_OK(shmetrics_reader_cursor(reader, &read));
    CHECK_OK(shmetrics_cursor_points(read, &points));
    counter_family = counters(segment, "fixture", NULL);
    labelled = counters(segment, "fixture_labelled", "label");
    gauge_family = gauges(segment, "fixture_gauge", SHMETRICS_GAUGE_SHARED);
    histogram_family = histograms(segment, "fixture_histogram", NULL, 0);
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("fixture_native"), .native_factor = 1.01);
    CHECK_OK(shmetrics_histogram_register(segment, &spec, &native));
    spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("fixture_taken_back"));
    CHECK_OK(shmetrics_gauge_histogram_register(segment, &spec, &taken_back));
    spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("fixture_states"), .states = state_names, .state_count = 2);
    shmetrics_states_family one, other;
    CHECK_OK(shmetrics_state_set_register(segment, &spec, &one));
    spec.name = TEXT("fixture_enum");
    CHECK_OK(shmetrics_enum_register(segment, &spec, &other));
    spec.label_names = &label;
    spec.label_count = 1;
    spec.name = TEXT("fixture_labelled_states");
    CHECK_OK(shmetrics_state_set_register(segment, &spec, &labelled_states));
    spec.name = TEXT("fixture_labelled_enum");
    CHECK_OK(shmetrics_enum_register(segment, &spec, &labelled_enums));
    spec = SHMETRICS_FAMILY_SPEC(.label_names = &label, .label_count = 1, .expire_after_seconds = 1);
    spec.name = TEXT("fixture_labelled_gauge");
    CHECK_OK(shmetrics_gauge_register(segment, &spec, SHMETRICS_GAUGE_LIVESUM, &labelled_gauges));
    spec.name = TEXT("fixture_labelled_histogram");
    CHECK_OK(shmetrics_histogram_register(segment, &spec, &labelled_histograms));
    spec.name = TEXT("fixture_labelled_summary");
    CHECK_OK(shmetrics_summary_register(segment, &spec, &labelled_summaries));
    spec.name = TEXT("fixture_labelled_text");
    CHECK_OK(shmetrics_info_register(segment, &spec, &labelled_infos));
    CHECK_OK(register_bundle(TEXT("fixture_counted"), &bundle));
    entry = shmetrics_bundle_with(bundle, &value, 1);
    counter = shmetrics_counter_with(counter_family, NULL, 0);
    gauge = shmetrics_gauge_with(gauge_family, NULL, 0);
    histogram = shmetrics_histogram_with(histogram_family, NULL, 0);
    native_histogram = shmetrics_histogram_with(native, NULL, 0);
    gauge_histogram = shmetrics_histogram_with(taken_back, NULL, 0);
    states = shmetrics_states_with(one, NULL, 0);
    enumeration = shmetrics_states_with(other, NULL, 0);
    (void)shmetrics_counter_with(labelled, &value, 1);
    live = shmetrics_gauge_with(labelled_gauges, &value, 1);
    (void)shmetrics_histogram_with(labelled_histograms, &value, 1);
    (void)shmetrics_summary_with(labelled_summaries, &value, 1);
    (void)shmetrics_info_with(labelled_infos, &value, 1);
    (void)shmetrics_states_with(labelled_states, &value, 1);
    CHECK_OK(shmetrics_counter_add_named(segment, TEXT("fixture_labelled"), &pair, 1, 1));
    CHECK_OK(shmetrics_segment_add_collector(segment, add_sample, NULL, &collector));
}

static struct { int came_back, error, state; } seen;

static void *pending(void *argument) {
    const struct call *one = argument;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
    pthread_cancel(pthread_self());
    errno = MARK;
    one->run();
    seen.error = errno;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &seen.state);
    seen.came_back = 1;
    pthread_testcancel();
    return NULL;
}

static void one_call(void *argument) {
    const struct call *one = argument;
    pthread_t thread;
    void *result = NULL;
    prepare();
    CHECK(pthread_create(&thread, NULL, pending, argument) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED); /* by the call to pthread_testcancel */
    if (!seen.came_back || seen.error != MARK || seen.state != PTHREAD_CANCEL_ENABLE) {
        fprintf(stderr, "%s: %s, errno %d\n", one->symbol,
            !seen.came_back                           ? "the thread was cancelled within the call"
                : seen.state != PTHREAD_CANCEL_ENABLE ? "cancellation stayed disabled"
                                                      : "it came back",
            seen.error);
        CHECK(!"a call that the host does not notice");
    }
    /* All goes on as before. */
    shmetrics_counter_inc(shmetrics_counter_with(labelled, &value, 1));
    shmetrics_gauge_inc(live);
    (void)shmetrics_segment_render(segment, buffer, sizeof buffer, &length);
    (void)shmetrics_segment_remove(text(name));
}

static int child_status;

static void *fork_with_one_pending(void *unused) {
    (void)unused;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_cancel(pthread_self());
    errno = MARK;
    const pid_t pid = fork();
    seen.error = errno;
    if (pid == 0) {
        shmetrics_gauge_inc(live);
        _exit(42);
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &seen.state);
    seen.came_back = pid > 0 && waitpid(pid, &child_status, 0) == pid;
    return NULL;
}

/* The library's fork handlers open and close files. */
static void a_fork(void *unused) {
    (void)unused;
    pthread_t thread;
    void *result = PTHREAD_CANCELED;
    prepare();
    shmetrics_gauge_inc(live);
    CHECK(pthread_create(&thread, NULL, fork_with_one_pending, NULL) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == NULL);
    CHECK(seen.came_back && seen.error == MARK && seen.state == PTHREAD_CANCEL_ENABLE);
    CHECK(WIFEXITED(child_status) && WEXITSTATUS(child_status) == 42);
    (void)shmetrics_segment_remove(text(name));
}

void test_cancel(void) {
    /* A cancelled thread frees nothing that a call gave it, which a leak checker rightly tells. */
    if (getenv("CONFORMANCE_LEAKS")) {
        puts("cancel is left out beside a leak checker");
        return;
    }
    CHECK(in_child(a_fork, NULL));
    for (struct call *one = calls; one != NULL; one = one->next) CHECK(in_child(one_call, one));
}
