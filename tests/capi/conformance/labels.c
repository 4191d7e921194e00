/* Label values: which handle a set of them leads to, and what becomes of those that lead
 * nowhere. */
#include "check.h"

#define OVERFLOW "{shmetrics_overflow=\"true\"} "

static shmetrics_counter with(shmetrics_counter_family family, shmetrics_str value) {
    return shmetrics_counter_with(family, &value, 1);
}

static void same_values_same_series(shmetrics_segment *segment) {
    shmetrics_counter_family family = counters(segment, "same", "label");
    shmetrics_counter_inc(with(family, TEXT("a")));
    shmetrics_counter_inc(with(family, TEXT("a")));
    shmetrics_counter_inc(with(family, TEXT("b")));
    shmetrics_counter_inc(with(family, TEXT("")));
    shmetrics_counter_inc(with(family, (shmetrics_str){NULL, 0})); /* the same as "" */
    CHECK_SHOWS(segment, "same_total{label=\"a\"} 2\n");
    CHECK_SHOWS(segment, "same_total{label=\"b\"} 1\n");
    CHECK_SHOWS(segment, "same_total{label=\"\"} 2\n");
    CHECK(shmetrics_counter_value(with(family, TEXT("a"))) == 2);
}

static void any_utf8(shmetrics_segment *segment) {
    shmetrics_counter_family family = counters(segment, "text", "label");
    shmetrics_counter_inc(with(family, TEXT("quote\" backslash\\ newline\n")));
    shmetrics_counter_inc(with(family, TEXT("caf\xc3\xa9 \xf0\x9f\xa6\x80")));
    CHECK_SHOWS(segment, "text_total{label=\"quote\\\" backslash\\\\ newline\\n\"} 1\n");
    CHECK_SHOWS(segment, "text_total{label=\"caf\xc3\xa9 \xf0\x9f\xa6\x80\"} 1\n");
    CHECK(shmetrics_counter_value(with(family, TEXT("quote\" backslash\\ newline\n"))) == 1);
}

/* Two sets of values whose concatenations, or whose texts, look alike are two series. */
static void values_do_not_run_together(shmetrics_segment *segment) {
    const shmetrics_str names[] = {TEXT("x"), TEXT("y")};
    shmetrics_family_spec spec =
        SHMETRICS_FAMILY_SPEC(.name = TEXT("apart"), .help = TEXT("Help."), .label_names = names, .label_count = 2);
    shmetrics_counter_family family;
    CHECK_OK(shmetrics_counter_register(segment, &spec, &family));
    const shmetrics_str pairs[][2] = {
        {TEXT("ab"), TEXT("c")},
        {TEXT("a"), TEXT("bc")},
        {TEXT("a"), TEXT("bbbbcc")},
        {TEXT("a\",y="), TEXT("cc")},
    };
    for (size_t i = 0; i < 4; i++) shmetrics_counter_add_u64(shmetrics_counter_with(family, pairs[i], 2), i + 1);
    for (size_t i = 0; i < 4; i++)
        CHECK(shmetrics_counter_value(shmetrics_counter_with(family, pairs[i], 2)) == (double)i + 1);
}

static void wrong_counts_are_inert(shmetrics_segment *segment) {
    const shmetrics_str values[] = {TEXT("a"), TEXT("b")};
    static shmetrics_str many[65];
    shmetrics_counter_family one = counters(segment, "one", "label"), none = counters(segment, "none", NULL);
    const double rejected = sample(segment, "shmetrics_updates_rejected_total");
    shmetrics_counter_inc(shmetrics_counter_with(one, values, 0));
    shmetrics_counter_inc(shmetrics_counter_with(one, values, 2));
    shmetrics_counter_inc(shmetrics_counter_with(one, many, 65));
    shmetrics_counter_inc(shmetrics_counter_with(one, NULL, 1));
    shmetrics_counter_inc(shmetrics_counter_with(one, NULL, SIZE_MAX));
    shmetrics_counter_inc(shmetrics_counter_with(none, values, 1));
    CHECK(sample(segment, "shmetrics_updates_rejected_total") == rejected + 6);
    CHECK_HIDES(segment, "\none_total");
    CHECK_SHOWS(segment, "\nnone_total 0\n");
    shmetrics_counter_inc(shmetrics_counter_with(none, NULL, 0));
    shmetrics_counter_inc(shmetrics_counter_with(none, values, 0));
    CHECK_SHOWS(segment, "\nnone_total 2\n");
}

/* What is not UTF-8 is replaced; values that look the same then are one series, or a page would
 * show it twice. */
static void other_bytes_are_replaced(shmetrics_segment *segment) {
    shmetrics_counter_family family = counters(segment, "bytes", "label");
    shmetrics_counter_inc(with(family, TEXT("latin \xe9!")));
    shmetrics_counter_inc(with(family, TEXT("latin \xe8!")));
    shmetrics_counter_inc(with(family, TEXT("latin \xef\xbf\xbd!")));
    shmetrics_counter_inc(with(family, TEXT("cut short \xf0\x9f")));
    CHECK_SHOWS(segment, "\nbytes_total{label=\"latin \xef\xbf\xbd!\"} 3\n");
    CHECK_SHOWS(segment, "\nbytes_total{label=\"cut short \xef\xbf\xbd\"} 1\n");
}

static void too_long_values_overflow(shmetrics_segment *segment) {
    static char large[70000];
    memset(large, 'v', sizeof large);
    shmetrics_counter_family family = counters(segment, "long", "label");
    const double refused = sample(segment, "shmetrics_overflow_lookups_total");
    shmetrics_counter_inc(with(family, (shmetrics_str){large, sizeof large}));
    CHECK_SHOWS(segment, "\nlong_total" OVERFLOW "1\n");
    CHECK(sample(segment, "shmetrics_overflow_lookups_total") == refused + 1);
    shmetrics_counter_inc(with(family, (shmetrics_str){large, 65000}));
    CHECK_SHOWS(segment, "\nlong_total" OVERFLOW "1\n");
    CHECK(shmetrics_counter_value(with(family, (shmetrics_str){large, 65000})) == 1);
}

static void limits_overflow(shmetrics_segment *segment) {
    const shmetrics_str name = TEXT("label");
    shmetrics_family_spec spec =
        SHMETRICS_FAMILY_SPEC(.name = TEXT("few"), .help = TEXT("Help."), .label_names = &name, .label_count = 1);
    spec.max_series = 2;
    shmetrics_counter_family family;
    CHECK_OK(shmetrics_counter_register(segment, &spec, &family));
    const shmetrics_str values[] = {TEXT("1"), TEXT("2"), TEXT("3"), TEXT("4"), TEXT("1")};
    for (size_t i = 0; i < 5; i++) shmetrics_counter_inc(with(family, values[i]));
    CHECK_SHOWS(segment, "\nfew_total{label=\"1\"} 2\n");
    CHECK_SHOWS(segment, "\nfew_total" OVERFLOW "2\n");
    CHECK_HIDES(segment, "few_total{label=\"3\"}");
}

static void inert_families_give_inert_handles(void) {
    const shmetrics_str value = TEXT("a");
    shmetrics_counter_inc(shmetrics_counter_with((shmetrics_counter_family){0}, &value, 1));
    shmetrics_gauge_inc(shmetrics_gauge_with((shmetrics_gauge_family){0}, &value, 1));
    shmetrics_histogram_observe(shmetrics_histogram_with((shmetrics_histogram_family){0}, &value, 1), 1);
    CHECK(shmetrics_counter_value(shmetrics_counter_with((shmetrics_counter_family){0}, NULL, 0)) == 0);
}

void test_labels(void) {
    shmetrics_segment *segment = scratch();
    same_values_same_series(segment);
    any_utf8(segment);
    values_do_not_run_together(segment);
    wrong_counts_are_inert(segment);
    other_bytes_are_replaced(segment);
    too_long_values_overflow(segment);
    limits_overflow(segment);
    inert_families_give_inert_handles();
}
