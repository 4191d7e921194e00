/* One worker of tests/storm/kills.rs, in C: the same families, the same updates in the same order
 * as its siblings in Rust.
 *
 *     worker SEGMENT UPDATES NUMBER STRIDE START */
#include <shmetrics.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN = 8, SETS = 1000 };

static void check(enum shmetrics_status status) {
    if (status != SHMETRICS_STATUS_OK) {
        char why[512];
        shmetrics_last_error(why, sizeof why);
        fprintf(stderr, "worker.c: %s\n", why);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    const unsigned long updates = strtoul(argv[2], NULL, 10), number = strtoul(argv[3], NULL, 10);
    const unsigned long stride = strtoul(argv[4], NULL, 10), start = strtoul(argv[5], NULL, 10);

    shmetrics_options options;
    shmetrics_options_init(&options);
    options.name = shmetrics_cstr(argv[1]);
    options.open_mode = SHMETRICS_ATTACH;
    shmetrics_segment *segment;
    check(shmetrics_segment_open(&options, &segment));

    const shmetrics_str labels[] = {SHMETRICS_STR("tens"), SHMETRICS_STR("unit")};
    const double bounds[] = {0.5, 2, 8}, observed[] = {0.25, 1.5, 4, 32};
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("whole"));
    shmetrics_counter_family whole_family, parts_family, sets;
    shmetrics_gauge_family shared_family, own_family;
    shmetrics_histogram_family histogram_family;
    check(shmetrics_counter_register(segment, &spec, &whole_family));
    spec.name = SHMETRICS_STR("parts");
    check(shmetrics_counter_register(segment, &spec, &parts_family));
    spec.name = SHMETRICS_STR("shared");
    check(shmetrics_gauge_register(segment, &spec, SHMETRICS_GAUGE_SHARED, &shared_family));
    spec.name = SHMETRICS_STR("own");
    check(shmetrics_gauge_register(segment, &spec, SHMETRICS_GAUGE_SUM, &own_family));
    spec = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("histogram"), .buckets = bounds, .bucket_count = 3);
    check(shmetrics_histogram_register(segment, &spec, &histogram_family));
    spec = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("sets"), .label_names = labels, .label_count = 2);
    check(shmetrics_counter_register(segment, &spec, &sets));

    const shmetrics_counter whole = shmetrics_counter_with(whole_family, NULL, 0);
    const shmetrics_counter parts = shmetrics_counter_with(parts_family, NULL, 0);
    const shmetrics_gauge shared = shmetrics_gauge_with(shared_family, NULL, 0);
    const shmetrics_gauge own = shmetrics_gauge_with(own_family, NULL, 0);
    const shmetrics_histogram histogram = shmetrics_histogram_with(histogram_family, NULL, 0);

    for (unsigned long n = 0; n < updates / 2; n++) {
        const unsigned long place = (n + number) % PLAIN, set = (n * stride + start) % SETS;
        switch (place) {
        case 0: shmetrics_counter_inc(whole); break;
        case 1: shmetrics_counter_add(parts, 0.25); break;
        case 2: shmetrics_gauge_add(shared, 0.25); break;
        case 3: shmetrics_gauge_add(own, 0.25); break;
        default: shmetrics_histogram_observe(histogram, observed[place - 4]);
        }
        char tens[8], unit[8];
        const shmetrics_str values[] = {
            {tens, (size_t)snprintf(tens, sizeof tens, "%lu", set / 10)},
            {unit, (size_t)snprintf(unit, sizeof unit, "%lu", set % 10)},
        };
        shmetrics_counter_inc(shmetrics_counter_with(sets, values, 2));
    }
    return 0;
}
