/* Families: what may be registered, twice over too, and what is refused. */
#include "check.h"

static char long_name[513];

static shmetrics_family_spec valid(void) { return SHMETRICS_FAMILY_SPEC(.name = TEXT("valid"), .help = TEXT("Help.")); }

static const shmetrics_counter_family marked = {&marked, NULL};

static void refused(shmetrics_segment *segment, const shmetrics_family_spec *spec, shmetrics_status why, int line) {
    shmetrics_counter_family counter = marked;
    check_status(shmetrics_counter_register(segment, spec, &counter), why, __FILE__, line, "counter_register");
    check(memcmp(&counter, &marked, sizeof marked) == 0, __FILE__, line, "outputs are left alone");
}
#define REFUSED(segment, spec, expected) refused((segment), (spec), (expected), __LINE__)

static void null_arguments(shmetrics_segment *segment) {
    const shmetrics_family_spec spec = valid();
    shmetrics_gauge_family gauge;
    shmetrics_histogram_family histogram;
    REFUSED(NULL, &spec, SHMETRICS_STATUS_NULL_ARGUMENT);
    REFUSED(segment, NULL, SHMETRICS_STATUS_NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_counter_register(segment, &spec, NULL), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_gauge_register(NULL, &spec, 0, &gauge), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_gauge_register(segment, NULL, 0, &gauge), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_gauge_register(segment, &spec, 0, NULL), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_histogram_register(NULL, &spec, &histogram), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_histogram_register(segment, NULL, &histogram), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_histogram_register(segment, &spec, NULL), NULL_ARGUMENT);

    shmetrics_family_spec hollow = spec;
    hollow.label_count = 1; /* names NULL */
    REFUSED(segment, &hollow, SHMETRICS_STATUS_NULL_ARGUMENT);
    hollow = spec;
    hollow.name.data = NULL;
    REFUSED(segment, &hollow, SHMETRICS_STATUS_NULL_ARGUMENT);
    hollow = spec;
    hollow.bucket_count = 1;
    CHECK_FAILS(shmetrics_histogram_register(segment, &hollow, &histogram), NULL_ARGUMENT);
}

static void bad_metric_names(shmetrics_segment *segment) {
    memset(long_name, 'n', sizeof long_name);
    const shmetrics_str bad[] = {
        TEXT(""),
        {NULL, 0},
        TEXT("a\x7f"),
        TEXT("a\r"),
        TEXT("caf\xc3\xa9\t"),
        TEXT("a\0b"),
        TEXT("a\n"),
        TEXT("\xe2\x80\xa8"),
        TEXT("\xff"),
        TEXT("shmetrics_mine"),
        TEXT("_total"),
        TEXT("shmetrics.mine"),
        {long_name, sizeof long_name},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        shmetrics_family_spec spec = valid();
        spec.name = bad[i];
        REFUSED(segment, &spec, SHMETRICS_STATUS_INVALID_NAME);
    }
    shmetrics_counter_family family;
    shmetrics_family_spec longest = valid();
    longest.name = (shmetrics_str){long_name, sizeof long_name - 1};
    CHECK_OK(shmetrics_counter_register(segment, &longest, &family));
}

/* Which differences of a spec conflict, and which do not. */
static void differences(shmetrics_segment *segment) {
    const shmetrics_str label = TEXT("a");
    const double le[] = {1, 2};
    shmetrics_histogram_family histogram;
    const shmetrics_family_spec made = SHMETRICS_FAMILY_SPEC(.name = TEXT("differs_seconds"), .help = TEXT("Help."),
        .unit = TEXT("seconds"), .label_names = &label, .label_count = 1, .buckets = le, .bucket_count = 2,
        .native_factor = 1.5, .expire_after_seconds = 60);
    CHECK_OK(shmetrics_histogram_register(segment, &made, &histogram));
#define WITH(change, expected) \
    do { \
        shmetrics_family_spec spec = made; \
        change; \
        CHECK_STATUS(shmetrics_histogram_register(segment, &spec, &histogram), SHMETRICS_STATUS_##expected); \
    } while (0)
    WITH(spec.help = TEXT("Another."), OK);
    WITH(spec.max_series = 5, OK);
    WITH(spec.exemplar_interval_seconds = 5, OK);
    WITH(spec.unit = TEXT(""), CONFLICT);
    WITH(spec.label_count = 0, CONFLICT);
    WITH(spec.bucket_count = 1, CONFLICT);
    WITH(spec.native_factor = 0, CONFLICT);
    WITH(spec.native_zero_threshold = 0.5, CONFLICT);
    WITH(spec.native_max_buckets = 5, CONFLICT);
    WITH(spec.expire_after_seconds = 61, CONFLICT);
#undef WITH
}

/* Each limit of the header is the library's: as much is taken, and one more is refused. */
static void limits(shmetrics_segment *segment) {
    static char help[SHMETRICS_MAX_HELP_BYTES + 1];
    static shmetrics_str names[SHMETRICS_MAX_LABELS + 1];
    static char name_of[SHMETRICS_MAX_LABELS + 1][16];
    static double bounds[SHMETRICS_MAX_BUCKETS + 1], quantiles[SHMETRICS_MAX_QUANTILES + 1];
    shmetrics_counter_family counter;
    shmetrics_histogram_family histogram;
    shmetrics_summary_family summary;
    shmetrics_states_family states;
    memset(help, 'h', sizeof help);
    for (int i = 0; i <= SHMETRICS_MAX_LABELS; i++) {
        snprintf(name_of[i], sizeof name_of[i], "l%d", i);
        names[i] = text(name_of[i]);
    }
    for (int i = 0; i <= SHMETRICS_MAX_BUCKETS; i++) bounds[i] = i;
    for (int i = 0; i <= SHMETRICS_MAX_QUANTILES; i++) quantiles[i] = i / 100.0;
    const shmetrics_status expected[] = {SHMETRICS_STATUS_OK, SHMETRICS_STATUS_INVALID_ARGUMENT};
    CHECK(sizeof long_name == SHMETRICS_MAX_NAME_BYTES + 1);
    for (size_t more = 0; more < 2; more++) {
        shmetrics_family_spec spec =
            SHMETRICS_FAMILY_SPEC(.name = TEXT("limit_help"), .help = {help, SHMETRICS_MAX_HELP_BYTES + more});
        CHECK_STATUS(shmetrics_counter_register(segment, &spec, &counter), expected[more]);
        spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("limit_labels"), .label_names = names,
            .label_count = SHMETRICS_MAX_LABELS + more);
        CHECK_STATUS(shmetrics_counter_register(segment, &spec, &counter), expected[more]);
        spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("limit_buckets"), .buckets = bounds,
            .bucket_count = SHMETRICS_MAX_BUCKETS + more);
        CHECK_STATUS(shmetrics_histogram_register(segment, &spec, &histogram), expected[more]);
        spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("limit_quantiles"), .quantiles = quantiles,
            .quantile_count = SHMETRICS_MAX_QUANTILES + more);
        CHECK_STATUS(shmetrics_summary_register(segment, &spec, &summary), expected[more]);
        spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("limit_states"), .states = names,
            .state_count = SHMETRICS_MAX_STATES + more);
        CHECK_STATUS(shmetrics_state_set_register(segment, &spec, &states), expected[more]);
    }
}

/* A longer label text than any series may have is counted in the overflow series. */
static void longest_label_text(shmetrics_segment *segment) {
    static char value[SHMETRICS_MAX_LABEL_TEXT_BYTES];
    memset(value, 'v', sizeof value);
    const shmetrics_counter_family family = counters(segment, "limit_text", "a");
    for (size_t more = 0; more < 2; more++) {
        const shmetrics_str longest = {value, SHMETRICS_MAX_LABEL_TEXT_BYTES - 4 + more}; /* beside a="" */
        shmetrics_counter_inc(shmetrics_counter_with(family, &longest, 1));
    }
    CHECK(sample(segment, "limit_text_total{shmetrics_overflow=\"true\"}") == 1);
}

/* The size of the struct tells which fields a program has. */
static void sizes_of_the_spec(shmetrics_segment *segment) {
    struct {
        shmetrics_family_spec spec;
        uint64_t later;
    } longer = {valid(), 0};
    shmetrics_counter_family family;
    longer.spec.struct_size = sizeof longer;
    longer.spec.name = TEXT("longer");
    CHECK_OK(shmetrics_counter_register(segment, &longer.spec, &family));
    longer.later = 1;
    REFUSED(segment, &longer.spec, SHMETRICS_STATUS_INVALID_ARGUMENT);
    const size_t ours = sizeof(shmetrics_family_spec);
    const size_t wrong[] = {0, 1, ours - 8, ours - 1, ours + 1, ours + 7, 1 << 20, SIZE_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        shmetrics_family_spec spec = valid();
        spec.struct_size = wrong[i];
        REFUSED(segment, &spec, SHMETRICS_STATUS_INVALID_ARGUMENT);
    }
}

/* Seconds may be fractions, and are rounded up; no time is negative. */
static void times(shmetrics_segment *segment) {
    const shmetrics_str label = TEXT("a");
    shmetrics_counter_family family;
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = TEXT("timed"), .label_names = &label, .label_count = 1,
        .expire_after_seconds = 0.25, .exemplar_interval_seconds = 1e-9);
    CHECK_OK(shmetrics_counter_register(segment, &spec, &family));
    spec.expire_after_seconds = 1;
    CHECK_OK(shmetrics_counter_register(segment, &spec, &family));
    spec.expire_after_seconds = 1.5;
    CHECK_FAILS(shmetrics_counter_register(segment, &spec, &family), CONFLICT);
    spec.name = TEXT("timed_long");
    spec.expire_after_seconds = INFINITY; /* as long as there is */
    CHECK_OK(shmetrics_counter_register(segment, &spec, &family));
    const double wrong[] = {-1, -1e-9, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        shmetrics_family_spec negative = valid();
        negative.expire_after_seconds = wrong[i];
        REFUSED(segment, &negative, SHMETRICS_STATUS_INVALID_ARGUMENT);
        negative = valid();
        negative.exemplar_interval_seconds = wrong[i];
        REFUSED(segment, &negative, SHMETRICS_STATUS_INVALID_ARGUMENT);
        shmetrics_summary_family summary;
        negative = valid();
        negative.quantile_max_age_seconds = wrong[i];
        CHECK_FAILS(shmetrics_summary_register(segment, &negative, &summary), INVALID_ARGUMENT);
    }
}

static void c_strings(void) {
    const shmetrics_str none = shmetrics_cstr(NULL), empty = shmetrics_cstr(""), some = shmetrics_cstr("some");
    static const shmetrics_str literal = SHMETRICS_STR_INIT("a\0b");
    CHECK(none.data == NULL && none.len == 0 && empty.len == 0 && some.len == 4 && memcmp(some.data, "some", 4) == 0);
    CHECK(literal.len == 3 && SHMETRICS_STR("").len == 0);
}

static void bad_label_names(shmetrics_segment *segment) {
    const shmetrics_str bad[] = {TEXT(""), TEXT("a\n"), TEXT("__a.b"), TEXT("._name__"), TEXT("a\0b"), TEXT("__name__"),
        TEXT("caf\xc3\xa9\x1b"), TEXT("\xff"), {long_name, sizeof long_name}};
    shmetrics_family_spec spec = valid();
    spec.label_count = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spec.label_names = &bad[i];
        REFUSED(segment, &spec, SHMETRICS_STATUS_INVALID_NAME);
    }
    const shmetrics_str twice[] = {TEXT("a"), TEXT("a")}, alike[] = {TEXT("a.b"), TEXT("a_b")}, le[] = {TEXT("le")};
    spec.label_names = twice;
    spec.label_count = 2;
    REFUSED(segment, &spec, SHMETRICS_STATUS_INVALID_NAME);
    spec.label_names = alike;
    REFUSED(segment, &spec, SHMETRICS_STATUS_INVALID_NAME);
    spec.label_names = le;
    spec.label_count = 1;
    shmetrics_histogram_family histogram;
    CHECK_FAILS(shmetrics_histogram_register(segment, &spec, &histogram), INVALID_NAME);
    static shmetrics_str many[65];
    for (size_t i = 0; i < 65; i++) many[i] = TEXT("x");
    spec.label_names = many;
    spec.label_count = 65;
    REFUSED(segment, &spec, SHMETRICS_STATUS_INVALID_ARGUMENT);
}

static void bad_texts_and_numbers(shmetrics_segment *segment) {
    shmetrics_family_spec spec = valid();
    spec.unit = TEXT("seconds"); /* the name does not end in it */
    REFUSED(segment, &spec, SHMETRICS_STATUS_INVALID_NAME);
    spec = valid();
    spec.help = TEXT("not utf-8 \xff");
    REFUSED(segment, &spec, SHMETRICS_STATUS_INVALID_NAME);
    static char long_help[16 * 1024 + 1];
    memset(long_help, 'h', sizeof long_help);
    spec.help = (shmetrics_str){long_help, sizeof long_help};
    REFUSED(segment, &spec, SHMETRICS_STATUS_INVALID_ARGUMENT);

    shmetrics_gauge_family gauge;
    spec = valid();
    CHECK_FAILS(shmetrics_gauge_register(segment, &spec, SHMETRICS_GAUGE_LIVEMOSTRECENT + 1, &gauge), INVALID_ARGUMENT);
    const double bad[][2] = {{2, 1}, {1, 1}, {NAN, 1}, {INFINITY, 1}, {-INFINITY, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        shmetrics_histogram_family histogram;
        spec.buckets = bad[i];
        spec.bucket_count = 2;
        CHECK_FAILS(shmetrics_histogram_register(segment, &spec, &histogram), INVALID_ARGUMENT);
    }
}

/* The same again is the same family; anything different is a conflict. */
static void twice(shmetrics_segment *segment) {
    const shmetrics_str labels[] = {TEXT("a"), TEXT("b")}, swapped[] = {TEXT("b"), TEXT("a")};
    const double buckets[] = {1, 2, 3};
    shmetrics_family_spec spec = valid(), other;
    spec.label_names = labels;
    spec.label_count = 2;
    const shmetrics_str values[] = {TEXT("1"), TEXT("2")};
    shmetrics_counter_family first, second;
    CHECK_OK(shmetrics_counter_register(segment, &spec, &first));
    CHECK_OK(shmetrics_counter_register(segment, &spec, &second));
    shmetrics_counter_inc(shmetrics_counter_with(first, values, 2));
    shmetrics_counter_inc(shmetrics_counter_with(second, values, 2));
    CHECK_SHOWS(segment, "valid_total{a=\"1\",b=\"2\"} 2\n");

    other = spec;
    other.label_names = swapped; /* the same set is the same family: see naming.c */
    CHECK_OK(shmetrics_counter_register(segment, &other, &second));
    other.label_count = 1;
    REFUSED(segment, &other, SHMETRICS_STATUS_CONFLICT);
    shmetrics_gauge_family gauge;
    CHECK_FAILS(shmetrics_gauge_register(segment, &spec, 0, &gauge), CONFLICT);
    other = valid();
    other.name = TEXT("valid_total"); /* the sample name of the counter above */
    CHECK_FAILS(shmetrics_gauge_register(segment, &other, 0, &gauge), CONFLICT);

    other.name = TEXT("level");
    CHECK_OK(shmetrics_gauge_register(segment, &other, SHMETRICS_GAUGE_MAX, &gauge));
    CHECK_OK(shmetrics_gauge_register(segment, &other, SHMETRICS_GAUGE_MAX, &gauge));
    CHECK_FAILS(shmetrics_gauge_register(segment, &other, SHMETRICS_GAUGE_MIN, &gauge), CONFLICT);

    shmetrics_histogram_family histogram;
    other = valid();
    other.name = TEXT("sizes");
    other.buckets = buckets;
    other.bucket_count = 3;
    CHECK_OK(shmetrics_histogram_register(segment, &other, &histogram));
    CHECK_OK(shmetrics_histogram_register(segment, &other, &histogram));
    other.bucket_count = 2;
    CHECK_FAILS(shmetrics_histogram_register(segment, &other, &histogram), CONFLICT);
}

#define REFUSES(kind, type, ...) \
    do { \
        shmetrics_##type##_family of_kind; \
        const shmetrics_family_spec wrong = SHMETRICS_FAMILY_SPEC(.name = TEXT("wrong"), __VA_ARGS__); \
        CHECK_FAILS(shmetrics_##kind##_register(segment, &wrong, &of_kind), INVALID_ARGUMENT); \
    } while (0)

/* What families of a type do not have is an error, and not ignored. */
static void fields_of_other_types(shmetrics_segment *segment) {
    static const double numbers[] = {0.5, 1};
    const shmetrics_str states[] = {TEXT("on"), TEXT("off")};
    char why[256];
    REFUSES(counter, counter, .buckets = numbers, .bucket_count = 2);
    shmetrics_last_error(why, sizeof why);
    CHECK(strcmp(why, "the spec has buckets, which only histograms have; this is a counter") == 0);
    REFUSES(summary, summary, .buckets = numbers, .bucket_count = 2);
    REFUSES(counter, counter, .quantiles = numbers, .quantile_count = 2);
    REFUSES(histogram, histogram, .quantiles = numbers, .quantile_count = 2);
    REFUSES(histogram, histogram, .quantile_max_age_seconds = 1);
    REFUSES(summary, summary, .native_factor = 1.1);
    REFUSES(counter, counter, .native_max_buckets = 1);
    REFUSES(info, info, .native_zero_threshold = 1);
    REFUSES(counter, counter, .states = states, .state_count = 2);
    REFUSES(histogram, histogram, .states = states, .state_count = 2);
    REFUSES(gauge_histogram, histogram, .exact_name = true);
    REFUSES(histogram, histogram, .exact_name = true);
    REFUSES(summary, summary, .exemplar_interval_seconds = 1);
    REFUSES(info, info, .exemplar_interval_seconds = 1);
    REFUSES(state_set, states, .states = states, .state_count = 2, .exemplar_interval_seconds = 1);
    /* What is of no use without another field. */
    REFUSES(histogram, histogram, .native_max_buckets = 20);
    REFUSES(histogram, histogram, .native_zero_threshold = -1);
    REFUSES(gauge_histogram, histogram, .native_zero_threshold = NAN);
    REFUSES(summary, summary, .quantile_max_age_seconds = 60);
    REFUSES(state_set, states, .states = states, .state_count = 2, .exact_name = true);
    CHECK_HIDES(segment, "wrong");
}

/* No array has such a length: it is a mistake, such as -1. */
static void impossible_lengths(shmetrics_segment *segment) {
    static const size_t lengths[] = {SIZE_MAX, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const size_t n = lengths[i];
        const shmetrics_str text = {"text", n};
        const double bound = 1;
        shmetrics_histogram_family histogram;
        shmetrics_family_spec specs[] = {SHMETRICS_FAMILY_SPEC(.name = text), SHMETRICS_FAMILY_SPEC(.help = text),
            SHMETRICS_FAMILY_SPEC(.unit = text), SHMETRICS_FAMILY_SPEC(.label_names = &text, .label_count = 1),
            SHMETRICS_FAMILY_SPEC(.label_names = &text, .label_count = n / 16),
            SHMETRICS_FAMILY_SPEC(.buckets = &bound, .bucket_count = n / 8)};
        for (size_t j = 0; j < sizeof specs / sizeof *specs; j++) {
            if (j > 0) specs[j].name = TEXT("impossible");
            CHECK_FAILS(shmetrics_histogram_register(segment, &specs[j], &histogram), INVALID_ARGUMENT);
        }
        CHECK_FAILS(shmetrics_segment_remove(text), INVALID_ARGUMENT);
        CHECK_FAILS(shmetrics_counter_add_named(segment, text, NULL, 0, 1), INVALID_ARGUMENT);
        const shmetrics_label label = {TEXT("a"), TEXT("b")};
        CHECK_FAILS(shmetrics_counter_add_named(segment, TEXT("impossible"), &label, n / 16, 1), INVALID_ARGUMENT);
    }
    CHECK_HIDES(segment, "impossible");
}

static void every_gauge_mode(shmetrics_segment *segment) {
    for (uint32_t mode = SHMETRICS_GAUGE_SHARED; mode <= SHMETRICS_GAUGE_LIVEMOSTRECENT; mode++) {
        char name[32], line[64];
        snprintf(name, sizeof name, "gauge_of_mode_%u", (unsigned)mode);
        shmetrics_gauge_set(shmetrics_gauge_with(gauges(segment, name, mode), NULL, 0), 5);
        int listed = mode == SHMETRICS_GAUGE_ALL || mode == SHMETRICS_GAUGE_LIVEALL;
        if (listed)
            snprintf(line, sizeof line, "%s{pid=\"%ld\"} 5\n", name, (long)getpid());
        else
            snprintf(line, sizeof line, "%s 5\n", name);
        CHECK_SHOWS(segment, line);
    }
}

void test_register(void) {
    shmetrics_segment *segment = scratch();
    null_arguments(segment);
    bad_metric_names(segment);
    bad_label_names(segment);
    bad_texts_and_numbers(segment);
    CHECK_HIDES(segment, "valid_total"); /* nothing of what was refused is there */
    fields_of_other_types(segment);
    impossible_lengths(segment);
    twice(segment);
    every_gauge_mode(segment);
    differences(segment);
    limits(segment);
    longest_label_text(segment);
    times(segment);
    sizes_of_the_spec(segment);
    c_strings();
}
