/* Does each hot call CALLS times, for callgrind to count its instructions: see check.py. Cells
 * for each CPU are left out: there are no restartable sequences under valgrind. */
#include <shmetrics.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 10000 };

static void must(shmetrics_status status) {
    if (status == SHMETRICS_STATUS_OK) return;
    fprintf(stderr, "%s\n", shmetrics_status_message(status));
    exit(1);
}

int main(void) {
    shmetrics_options options;
    shmetrics_options_init(&options);
    options.open_mode = SHMETRICS_ANONYMOUS;
    options.per_cpu = SHMETRICS_PER_CPU_NONE;
    shmetrics_segment *segment;
    must(shmetrics_segment_open(&options, &segment));
    const shmetrics_str names[] = {SHMETRICS_STR("method"), SHMETRICS_STR("path"), SHMETRICS_STR("status")};
    const shmetrics_str values[] = {
        SHMETRICS_STR("method0001"), SHMETRICS_STR("/path/0001"), SHMETRICS_STR("status0001")};
    const shmetrics_label labels[] = {{names[0], values[0]}, {names[1], values[1]}, {names[2], values[2]}};
    const shmetrics_family_spec labelled =
        SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("labelled"), .label_names = names, .label_count = 3);
    shmetrics_counter_family counters;
    shmetrics_histogram_family histograms;
    shmetrics_gauge_family shared, livesum;
    must(shmetrics_counter_register(segment, &labelled, &counters));
    must(shmetrics_histogram_register(segment, &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("seconds")), &histograms));
    must(shmetrics_gauge_register(
        segment, &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("size")), SHMETRICS_GAUGE_SHARED, &shared));
    must(shmetrics_gauge_register(
        segment, &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("busy")), SHMETRICS_GAUGE_LIVESUM, &livesum));
    const shmetrics_histogram histogram = shmetrics_histogram_with(histograms, NULL, 0);
    const shmetrics_gauge size = shmetrics_gauge_with(shared, NULL, 0), busy = shmetrics_gauge_with(livesum, NULL, 0);
    for (int i = 0; i < CALLS; i++) {
        const shmetrics_counter counter = shmetrics_counter_with(counters, values, 3);
        shmetrics_counter_inc(counter);
        shmetrics_counter_add_named(segment, SHMETRICS_STR("labelled"), labels, 3, 1);
        shmetrics_histogram_observe(histogram, 0.3);
        shmetrics_gauge_set(size, i);
        shmetrics_gauge_inc(busy);
    }
    return 0;
}
