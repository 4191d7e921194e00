/* The pool of workers: forked, counted, and replaced when they die. */
#define _GNU_SOURCE
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

enum { WORKERS_MAX = 64, RESTART_SECONDS = 1 };

static struct worker {
    pid_t pid;      /* 0: an empty place */
    time_t started; /* monotonic */
    const char *lang;
    const char *program;
} workers[WORKERS_MAX];
static unsigned worker_count;

void pool_add(const char *lang, const char *program, unsigned count) {
    for (; count > 0 && worker_count < WORKERS_MAX; count--) {
        workers[worker_count++] = (struct worker){.lang = lang, .program = program};
    }
}

static void set_number(const char *name, long value) {
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

static _Noreturn void become_worker(const struct worker *w, unsigned number, const struct pool_setup *setup) {
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &by_default, NULL);
    sigaction(SIGTERM, &by_default, NULL);
    sigaction(SIGINT, &by_default, NULL);
    sigprocmask(SIG_SETMASK, setup->signals, NULL);
    close(setup->metrics_listener);
    if (w->program == NULL) worker_run(setup->listener, number);
    set_number("LISTEN_FD", setup->listener);
    set_number("WORKER_NUMBER", number);
    execl(w->program, w->program, (char *)NULL);
    perror(w->program);
    _exit(EXIT_FAILURE);
}

static pid_t start(const struct worker *w, unsigned number, const struct pool_setup *setup) {
    pid_t master = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* no worker outlives its master */
        if (getppid() != master) _exit(EXIT_FAILURE);
        become_worker(w, number, setup);
    }
    return pid;
}

void pool_fill(const struct pool_setup *setup) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (unsigned i = 0; i < worker_count; i++) {
        struct worker *w = &workers[i];
        if (w->pid != 0) continue;
        /* One that dies at birth must not keep the master busy with its births. */
        if (w->started != 0 && now.tv_sec - w->started < RESTART_SECONDS) continue;
        pid_t pid = start(w, i, setup);
        if (pid < 0) {
            perror("fork");
            return;
        }
        w->pid = pid;
        w->started = now.tv_sec;
        dprintf(STDOUT_FILENO, "worker %u %s pid %d started\n", i, w->lang, (int)pid);
    }
}

bool pool_reap(void) {
    bool all_well = true;
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (unsigned i = 0; i < worker_count; i++) {
            struct worker *w = &workers[i];
            if (w->pid != pid) continue;
            bool killed = WIFSIGNALED(status);
            dprintf(STDOUT_FILENO, "worker %u %s pid %d ended %s %d\n", i, w->lang, (int)pid,
                killed ? "signal" : "status", killed ? WTERMSIG(status) : WEXITSTATUS(status));
            w->pid = 0;
            all_well = all_well && killed;
        }
    }
    return all_well;
}

void pool_stop(void) {
    for (unsigned i = 0; i < worker_count; i++) {
        if (workers[i].pid != 0) kill(workers[i].pid, SIGTERM); /* nothing to flush: its counts are in the segment */
    }
    for (unsigned i = 0; i < worker_count; i++) {
        if (workers[i].pid != 0) waitpid(workers[i].pid, NULL, 0);
        workers[i].pid = 0;
    }
}
