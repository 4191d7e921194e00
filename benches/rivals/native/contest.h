/* What a contestant in C or C++ offers to the harness, which loads it. Loops are here, so that
 * no call between languages is measured. */
#ifndef CONTEST_H
#define CONTEST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { INC, LOOKUP, OBSERVE, GAUGE_SET, GAUGE_INC }; /* Row in contest.rs */
enum { COUNTERS, HISTOGRAMS };                       /* Kind in contest.rs */

enum { LABELS = 3, BUCKETS = 14 };

struct text {
    const char *data;
    size_t len;
};

struct input {
    const struct text (*sets)[LABELS];
    const struct text *names;
    const uint32_t *order; /* indices of sets */
    const double *values;
    const double *bounds;
    size_t mask; /* of order and values */
};

/* Makes the metric of a row; NULL if there is none. */
void *contest_make(int row, const struct input *input);
/* Updates it n times, beginning at `start` in the input. */
void contest_work(void *metric, int row, size_t start, size_t n);

/* Series of one family, for pages and memory; NULL if not offered. */
void *contest_series(int kind, const struct input *input);
void contest_add(void *series, const struct text (*sets)[LABELS], size_t n);
/* Renders the page; the text is good until the next call. */
struct text contest_render(void *series);
void contest_free(void *series);

/* Keeps the compiler from carrying anything in memory over to the next update. */
#define BARRIER() __asm__ volatile("" ::: "memory")

#ifdef __cplusplus
}
#endif

#endif
