/* The calls of a Lua update, in C: calls SEGMENT OPERATIONS prints nanoseconds for each update. */
#include <shmetrics.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int count, char **argument) {
    const shmetrics_str labels[] = {SHMETRICS_STR("host"), SHMETRICS_STR("status")};
    const shmetrics_str values[2][2] = {
        {SHMETRICS_STR("example.org"), SHMETRICS_STR("200")}, {SHMETRICS_STR("example.com"), SHMETRICS_STR("404")}};
    long i, n = count > 2 ? atol(argument[2]) : 0;
    double begun, counter_time, gauge_time, histogram_time;
    shmetrics_segment *segment;
    shmetrics_options options;
    shmetrics_counter_family counters;
    shmetrics_gauge_family gauges;
    shmetrics_histogram_family histograms;
    shmetrics_counter counter;
    shmetrics_gauge gauge;
    shmetrics_histogram histogram;

    if (n < 1) return 2;
    shmetrics_options_init(&options);
    options.name = shmetrics_cstr(argument[1]);
    if (shmetrics_segment_open(&options, &segment) != SHMETRICS_STATUS_OK
        || shmetrics_counter_register(segment,
               &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("c"), .label_names = labels, .label_count = 2), &counters)
            != SHMETRICS_STATUS_OK
        || shmetrics_gauge_register(segment,
               &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("g"), .label_names = labels, .label_count = 2), 0, &gauges)
            != SHMETRICS_STATUS_OK
        || shmetrics_histogram_register(segment,
               &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("h"), .label_names = labels, .label_count = 2), &histograms)
            != SHMETRICS_STATUS_OK)
        return 1;
    begun = seconds();
    for (i = 0; i < n; i++) {
        shmetrics_counter_with_p(&counters, values[i & 1], 2, &counter);
        shmetrics_counter_inc_p(&counter);
    }
    counter_time = seconds() - begun;
    begun = seconds();
    for (i = 0; i < n; i++) {
        shmetrics_gauge_with_p(&gauges, values[i & 1], 2, &gauge);
        shmetrics_gauge_set_p(&gauge, (double)i);
    }
    gauge_time = seconds() - begun;
    begun = seconds();
    for (i = 0; i < n; i++) {
        shmetrics_histogram_with_p(&histograms, values[i & 1], 2, &histogram);
        shmetrics_histogram_observe_p(&histogram, 0.3);
    }
    histogram_time = seconds() - begun;
    printf("%.2f %.2f %.2f\n", counter_time / (double)n * 1e9, gauge_time / (double)n * 1e9,
        histogram_time / (double)n * 1e9);
    return 0;
}
