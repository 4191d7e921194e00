/* shmetrics through its C ABI, against the shared library. */
#include "contest.h"

#include <shmetrics.h>
#include <stdlib.h>
#include <string.h>

struct metric {
    const struct input *input;
    shmetrics_counter counter;
    shmetrics_counter_family family;
    shmetrics_histogram histogram;
    shmetrics_gauge gauge;
};

static shmetrics_segment *segment;

static int open_once(void) {
    if (segment) return 1;
    shmetrics_options options;
    shmetrics_options_init(&options);
    options.open_mode = SHMETRICS_ANONYMOUS;
    return shmetrics_segment_open(&options, &segment) == SHMETRICS_STATUS_OK;
}

void *contest_make(int row, const struct input *input) {
    struct metric *m = calloc(1, sizeof *m);
    if (!m || !open_once()) return NULL;
    m->input = input;
    shmetrics_status status = SHMETRICS_STATUS_OK;
    shmetrics_counter_family counters;
    shmetrics_histogram_family histograms;
    shmetrics_gauge_family gauges;
    shmetrics_str names[LABELS];
    for (int k = 0; k < LABELS; k++) names[k] = (shmetrics_str){input->names[k].data, input->names[k].len};
    switch (row) {
    case INC:
        status = shmetrics_counter_register(segment, &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("held")), &counters);
        if (status == SHMETRICS_STATUS_OK) m->counter = shmetrics_counter_with(counters, NULL, 0);
        break;
    case LOOKUP:
        status = shmetrics_counter_register(segment,
            &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("looked_up"), .label_names = names, .label_count = LABELS),
            &m->family);
        break;
    case OBSERVE:
        status = shmetrics_histogram_register(segment,
            &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("observed"), .buckets = input->bounds,
                .bucket_count = BUCKETS),
            &histograms);
        if (status == SHMETRICS_STATUS_OK) m->histogram = shmetrics_histogram_with(histograms, NULL, 0);
        break;
    default:
        status = shmetrics_gauge_register(
            segment, &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("gauge")), SHMETRICS_GAUGE_SHARED, &gauges);
        if (status == SHMETRICS_STATUS_OK) m->gauge = shmetrics_gauge_with(gauges, NULL, 0);
    }
    return status == SHMETRICS_STATUS_OK ? m : NULL;
}

void contest_work(void *metric, int row, size_t start, size_t n) {
    const struct metric *m = metric;
    const struct input *in = m->input;
    switch (row) {
    case INC:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            shmetrics_counter_inc(m->counter);
        }
        break;
    case LOOKUP:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            const struct text *set = in->sets[in->order[i & in->mask]];
            const shmetrics_str values[] = {
                {set[0].data, set[0].len}, {set[1].data, set[1].len}, {set[2].data, set[2].len}};
            shmetrics_counter_inc(shmetrics_counter_with(m->family, values, LABELS));
        }
        break;
    case OBSERVE:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            shmetrics_histogram_observe(m->histogram, in->values[i & in->mask]);
        }
        break;
    case GAUGE_SET:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            shmetrics_gauge_set(m->gauge, (double)i);
        }
        break;
    case GAUGE_INC:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            shmetrics_gauge_inc(m->gauge);
        }
        break;
    }
}
