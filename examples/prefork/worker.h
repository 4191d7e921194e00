/* The worker in C: one connection at a time from the shared listening socket, until it is
 * killed. */
#ifndef PREFORK_WORKER_H
#define PREFORK_WORKER_H

_Noreturn void worker_run(int listener, unsigned number);

#endif
