/* What the conformance tests share: checks that name their place, scratch segments, and looks at
 * a rendered page. */
#ifndef CHECK_H
#define CHECK_H

#define _GNU_SOURCE
#include "shmetrics.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Both count a failure and go on, so that one run shows everything that is wrong. */
#define CHECK(condition)             check((condition), __FILE__, __LINE__, #condition)
#define CHECK_STATUS(call, expected) check_status((call), (expected), __FILE__, __LINE__, #call)
#define CHECK_OK(call)               CHECK_STATUS(call, SHMETRICS_STATUS_OK)
#define CHECK_FAILS(call, status)    CHECK_STATUS(call, SHMETRICS_STATUS_##status)
#define CHECK_SHOWS(segment, line)   check_shows((segment), (line), 1, __FILE__, __LINE__)
#define CHECK_HIDES(segment, text)   check_shows((segment), (text), 0, __FILE__, __LINE__)

void check(int holds, const char *file, int line, const char *what);
void check_status(shmetrics_status got, shmetrics_status expected, const char *file, int line, const char *call);
void check_shows(const shmetrics_segment *segment, const char *text, int wanted, const char *file, int line);
int failures(void);

#define TEXT SHMETRICS_STR /* may hold NULs */
#define text shmetrics_cstr

shmetrics_options named(shmetrics_str name, uint32_t open_mode);
/* The segment of a name, which is made if it is missing; exits if that fails. */
shmetrics_segment *opened(shmetrics_str name);
/* An anonymous segment of its own for each test, so that no test sees another's metrics. */
shmetrics_segment *scratch(void);
/* The page of a segment, NUL-terminated, by the one-shot call; the caller frees it. */
char *page_of(const shmetrics_segment *segment);
/* The value of the one sample whose line starts with `series` and a space; NAN if there is none. */
double sample(const shmetrics_segment *segment, const char *series);

shmetrics_counter_family counters(shmetrics_segment *segment, const char *name, const char *label);
shmetrics_gauge_family gauges(shmetrics_segment *segment, const char *name, uint32_t mode);
shmetrics_histogram_family histograms(shmetrics_segment *segment, const char *name, const double *le, size_t count);

/* Runs a function in a forked child; true if it came back and no check failed in it. */
int in_child(void (*run)(void *), void *argument);

void test_open(void);
void test_register(void);
void test_labels(void);
void test_update(void);
void test_render(void);
void test_formats(void);
void test_types(void);
void test_errors(void);
void test_process(void);
void test_remove(void);
void test_cancel(void);
void test_naming(void);
void test_redefine(void);
void test_memory(void);
void test_points(void);
void test_collect(void);
void test_bundle(void);

#endif
