/*
 * dlopen and dlclose, many times, beside threads that have counted in per-CPU cells and live on,
 * interrupted all the time.
 *
 *   unload LIBRARY stays    the library stays loaded, and so threads and handlers may count
 *   meanwhile unload LIBRARY goes     a plugin that has the library in it, linked statically:
 *   between two rounds no thread calls it
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmetrics.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

enum { THREADS = 4, ROUNDS = 300, EACH = 20000, SPINS = 300000 };

static __typeof__(&shmetrics_counter_add_u64) add;
static __typeof__(&shmetrics_counter_value) value;
static struct shmetrics_counter counter;
static atomic_ullong expected;
static atomic_int may_count;
static pthread_barrier_t barrier;
static int stays;

static struct shmetrics_str text(const char *s) { return (struct shmetrics_str){s, strlen(s)}; }

static void count(unsigned n) {
    for (unsigned i = 0; i < n; i++) add(counter, 1);
    atomic_fetch_add(&expected, n);
}

static void on_timer(int signal) {
    (void)signal;
    if (atomic_load(&may_count)) count(1);
}

static void *work(void *unused) {
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        count(EACH);
        pthread_barrier_wait(&barrier);
        /* The library goes, or does not. */
        if (stays) count(EACH);
        for (volatile int i = 0; i < SPINS; i++) continue;
    }
    return NULL;
}

/* A pointer to a function, as dlsym gives it. */
static void look_up(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);
    CHECK(found);
    memcpy(function, &found, sizeof found);
}

/* Opens the library and a new segment of its own. */
static void *begin(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library);
    __typeof__(&shmetrics_options_init) init;
    __typeof__(&shmetrics_segment_open) open_segment;
    __typeof__(&shmetrics_counter_register) register_counter;
    __typeof__(&shmetrics_counter_with) with;
    look_up(library, "shmetrics_options_init", &init);
    look_up(library, "shmetrics_segment_open", &open_segment);
    look_up(library, "shmetrics_counter_register", &register_counter);
    look_up(library, "shmetrics_counter_with", &with);
    look_up(library, "shmetrics_counter_add_u64", &add);
    look_up(library, "shmetrics_counter_value", &value);
    struct shmetrics_options options;
    init(&options);
    options.open_mode = SHMETRICS_ANONYMOUS;
    options.max_size = 1 << 20;
    struct shmetrics_segment *segment;
    CHECK(open_segment(&options, &segment) == SHMETRICS_STATUS_OK);
    struct shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = text("jobs"));
    struct shmetrics_counter_family family;
    CHECK(register_counter(segment, &spec, &family) == SHMETRICS_STATUS_OK);
    counter = with(family, NULL, 0);
    atomic_store(&expected, 0);
    return library;
}

static void fork_and_wait(void) {
    int status;
    const pid_t child = fork();
    if (child == 0) _exit(0);
    while (waitpid(child, &status, 0) < 0) continue;
    CHECK(status == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    stays = strcmp(argv[2], "stays") == 0;
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval timer = {{0, 211}, {0, 211}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);

    void *library = NULL;
    int gone = 0;
    for (int round = 0; round < ROUNDS; round++) {
        if (!library || !stays) library = begin(argv[1]);
        atomic_store(&may_count, stays);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        if (!stays) CHECK(value(counter) == (double)atomic_load(&expected));
        CHECK(dlclose(library) == 0);
        void *still = dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD);
        gone += still == NULL;
        CHECK(still || !stays);
        if (still) CHECK(dlclose(still) == 0);
        if (round % 10 == 0) fork_and_wait(); /* what the library has registered for forks must have gone with it */
        if (stays) CHECK((library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL)));
    }
    atomic_store(&may_count, 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    timer = (struct itimerval){{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    if (stays) CHECK(value(counter) == (double)atomic_load(&expected));
    printf("closed %d times, gone %d times\n", ROUNDS, gone);
    return 0;
}
