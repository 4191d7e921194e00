/* A floor: a call that does nothing, through the procedure linkage table, with a counter's
 * handle in memory. */
#include "contest.h"

#include <stdlib.h>

struct metric {
    const void *p0, *p1;
};

/* Not static, so that a call of it is one into a shared library. */
void contest_nothing(const void *p0, const void *p1) { (void)p0, (void)p1; }

void *contest_make(int row, const struct input *input) {
    (void)input;
    return row == INC ? calloc(1, sizeof(struct metric)) : NULL;
}

void contest_work(void *metric, int row, size_t start, size_t n) {
    const struct metric *m = metric;
    (void)row;
    for (size_t i = start; i < start + n; i++) {
        BARRIER();
        contest_nothing(m->p0, m->p1);
    }
}
