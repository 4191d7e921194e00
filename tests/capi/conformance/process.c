/* Threads, processes and signal handlers: in whatever way a process counts and ends, no count is
 * lost or doubled. */
#include "check.h"

#include <pthread.h>
#include <sys/time.h>

enum { WRITERS = 4, UPDATES = 10000 };

struct handles {
    shmetrics_segment *segment;
    shmetrics_counter counter;
    shmetrics_histogram histogram;
    shmetrics_gauge shared, live, all;
};

static struct handles all_kinds(const char *prefix) {
    static const double bounds[] = {1};
    struct handles h = {.segment = scratch()};
    char name[64];
#define NAMED(suffix) (snprintf(name, sizeof name, "%s_%s", prefix, suffix), name)
    h.counter = shmetrics_counter_with(counters(h.segment, NAMED("count"), NULL), NULL, 0);
    h.histogram = shmetrics_histogram_with(histograms(h.segment, NAMED("sizes"), bounds, 1), NULL, 0);
    h.shared = shmetrics_gauge_with(gauges(h.segment, NAMED("shared"), SHMETRICS_GAUGE_SHARED), NULL, 0);
    h.live = shmetrics_gauge_with(gauges(h.segment, NAMED("live"), SHMETRICS_GAUGE_LIVESUM), NULL, 0);
    h.all = shmetrics_gauge_with(gauges(h.segment, NAMED("all"), SHMETRICS_GAUGE_ALL), NULL, 0);
    return h;
}

static void *update(void *argument) {
    const struct handles *h = argument;
    for (int i = 0; i < UPDATES; i++) {
        shmetrics_counter_inc(h->counter);
        shmetrics_histogram_observe(h->histogram, 0.5);
        shmetrics_gauge_add(h->shared, 1);
    }
    return NULL;
}

static void in_threads(void) {
    struct handles h = all_kinds("threads");
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++) CHECK(pthread_create(&threads[i], NULL, update, &h) == 0);
    for (int i = 0; i < WRITERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(shmetrics_counter_value(h.counter) == WRITERS * UPDATES);
    CHECK(sample(h.segment, "threads_sizes_sum") == WRITERS * UPDATES * 0.5);
    CHECK(sample(h.segment, "threads_shared") == WRITERS * UPDATES);
}

/* A worker numbers itself, updates everything, looks a new series up, says so, and waits to be
 * killed. */
static pid_t worker(struct handles *h, uint32_t identity, double value) {
    int done[2];
    char byte;
    CHECK(pipe(done) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(300); /* should the parent not live to kill it */
        if (shmetrics_segment_set_identity(h->segment, identity) != SHMETRICS_STATUS_OK) _exit(1);
        shmetrics_gauge_set(h->live, 7);
        shmetrics_gauge_set(h->all, value);
        update(h);
        const shmetrics_str label = TEXT("made by a child");
        shmetrics_counter_inc(shmetrics_counter_with(counters(h->segment, "late", "label"), &label, 1));
        if (write(done[1], "!", 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(done[1]);
    CHECK(pid > 0 && read(done[0], &byte, 1) == 1);
    close(done[0]);
    return pid;
}

static void kill_worker(pid_t pid) {
    int status = 0;
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

static void in_forked_children(void) {
    struct handles h = all_kinds("forks");
    pid_t workers[WRITERS];
    char series[64];
    shmetrics_gauge_set(h.live, 1);
    for (int i = 0; i < WRITERS; i++) workers[i] = worker(&h, 100 + (uint32_t)i, i);
    CHECK(sample(h.segment, "forks_live") == 1 + 7 * WRITERS);
    for (int i = 0; i < WRITERS; i++) {
        CHECK(shmetrics_segment_mark_dead(h.segment, (uint32_t)workers[i]) == 0);
        kill_worker(workers[i]);
        CHECK(shmetrics_segment_mark_dead(h.segment, (uint32_t)workers[i]) == 1);
    }
    CHECK(shmetrics_segment_mark_dead(h.segment, (uint32_t)getpid()) == 0);
    CHECK(shmetrics_segment_mark_dead(NULL, 1) == 1);
    CHECK(shmetrics_counter_value(h.counter) == WRITERS * UPDATES);
    CHECK(sample(h.segment, "forks_sizes_count") == WRITERS * UPDATES);
    CHECK(sample(h.segment, "forks_shared") == WRITERS * UPDATES);
    CHECK(sample(h.segment, "forks_live") == 1); /* only the parent lives */
    for (int i = 0; i < WRITERS; i++) {
        snprintf(series, sizeof series, "forks_all{pid=\"%d\"}", 100 + i);
        CHECK(sample(h.segment, series) == i);
    }
    CHECK_SHOWS(h.segment, "\nlate_total{label=\"made by a child\"} 4\n");
}

/* A worker that replaces a dead one of the same number is the one that shows, wherever its cells
 * are. */
static void replaced_workers(void) {
    struct handles h = all_kinds("replaced");
    const pid_t five = worker(&h, 5, 50), six = worker(&h, 6, 60);
    kill_worker(five);
    kill_worker(six);
    const pid_t new_six = worker(&h, 6, 61); /* in the place of five */
    CHECK(sample(h.segment, "replaced_all{pid=\"6\"}") == 61);
    kill_worker(new_six);
    CHECK(sample(h.segment, "replaced_all{pid=\"6\"}") == 61);
}

static struct handles interrupted;
static volatile sig_atomic_t interruptions;

static void count_in_handler(int signal) {
    (void)signal;
    interruptions++;
    shmetrics_counter_inc(interrupted.counter);
    shmetrics_counter_add(interrupted.counter, 1);
    shmetrics_counter_add_u64(interrupted.counter, 1);
    shmetrics_histogram_observe(interrupted.histogram, 0.5);
    shmetrics_gauge_inc(interrupted.shared);
    shmetrics_gauge_inc(interrupted.live);
}

/* A timer interrupts the same updates that its handler makes, wherever they are, often. */
static void in_a_signal_handler(void) {
    interrupted = all_kinds("signals");
    /* Where the handler interrupted just the first update, its own might be rejected. */
    CHECK(shmetrics_segment_attach_process(interrupted.segment) == SHMETRICS_STATUS_OK);
    CHECK(shmetrics_segment_attach_process(interrupted.segment) == SHMETRICS_STATUS_OK);
    struct sigaction action = {.sa_handler = count_in_handler, .sa_flags = SA_RESTART};
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    long loops = 0;
    for (; interruptions < 200; loops++) {
        shmetrics_counter_inc(interrupted.counter);
        shmetrics_histogram_observe(interrupted.histogram, 0.5);
        shmetrics_gauge_inc(interrupted.shared);
        shmetrics_gauge_inc(interrupted.live);
    }
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    action.sa_handler = SIG_IGN; /* the last alarm may still be on its way (valgrind delivers late) */
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    const double calls = (double)(loops + interruptions);
    CHECK(shmetrics_counter_value(interrupted.counter) == (double)(loops + 3 * (long)interruptions));
    CHECK(sample(interrupted.segment, "signals_sizes_count") == calls);
    CHECK(sample(interrupted.segment, "signals_sizes_sum") == calls * 0.5);
    CHECK(sample(interrupted.segment, "signals_shared") == calls);
    CHECK(sample(interrupted.segment, "signals_live") == calls);
}

void test_process(void) {
    in_threads();
    in_forked_children();
    replaced_workers();
    in_a_signal_handler();
}
