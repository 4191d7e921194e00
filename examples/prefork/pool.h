/* The workers: started, reaped and started again. */
#ifndef PREFORK_POOL_H
#define PREFORK_POOL_H

#include <signal.h>
#include <stdbool.h>

/* What a new worker process needs of its master. */
struct pool_setup {
    int listener;            /* the socket to accept from; passed on */
    int metrics_listener;    /* the master's own; closed */
    const sigset_t *signals; /* the mask to run with */
};

/* Adds places for workers. Program NULL: this one, forked. Otherwise it is executed with the
 * socket in LISTEN_FD and its number in WORKER_NUMBER. */
void pool_add(const char *lang, const char *program, unsigned count);

/* Starts a worker in every empty place. To be called every second at least: some are left for
 * the next call. */
void pool_fill(const struct pool_setup *setup);

/* Empties the places of workers that ended. False if one gave up by itself: another would not do
 * better. */
bool pool_reap(void);

void pool_stop(void);

#endif
