/* An open-loop load for scrape.py: load PORT RATE SECONDS CONNECTIONS.
 *
 * Requests are due at a fixed rate, whatever the server does. A latency is counted from the time
 * that a request was due, so requests that wait behind a late answer count too. Prints the
 * latencies of 50 % and 99 % in milliseconds, and the requests that were answered. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 4096 /* connections */

static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

typedef struct {
    int fd;
    uint64_t due; /* of the request that is under way */
    char answer[1024];
    size_t len;
} connection;

static connection connections[MOST];
static connection *idle[MOST];
static size_t idle_count;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Whether a whole answer is there: a head, and as many bytes as it says. */
static int is_whole(const connection *c) {
    const char *end = memmem(c->answer, c->len, "\r\n\r\n", 4), *length;
    if (end == NULL) return 0;
    length = memmem(c->answer, (size_t)(end - c->answer), "Content-Length: ", 16);
    if (length == NULL || memcmp(c->answer, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "an answer that is not expected: %.60s\n", c->answer);
        exit(1);
    }
    return c->len >= (size_t)(end + 4 - c->answer) + strtoul(length + 16, NULL, 10);
}

int main(int count, char **argument) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[256];
    uint64_t period, start, next, end, *latencies;
    size_t number, all, done = 0, sent = 0, i;
    int poll = epoll_create1(0), on = 1, n;
    if (count != 5) return 2;
    to.sin_port = htons((uint16_t)atoi(argument[1]));
    period = 1000000000 / strtoul(argument[2], NULL, 10);
    all = strtoul(argument[3], NULL, 10) * 1000000000 / period;
    number = strtoul(argument[4], NULL, 10);
    latencies = malloc(all * sizeof *latencies);
    if (number > MOST || latencies == NULL) return 2;
    for (i = 0; i < number; i++) {
        connection *c = idle[idle_count++] = &connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event) != 0) fail("epoll_ctl");
    }
    next = start = now();
    end = start + all * period + 10ull * 1000000000; /* the last ones may take so long */
    while (done < all) {
        struct timespec wait = {0, 0};
        uint64_t time = now();
        if (time > end) {
            fprintf(stderr, "%zu of %zu requests were not answered\n", all - done, all);
            return 1;
        }
        for (; sent < all && next <= time && idle_count; next += period, sent++) {
            connection *c = idle[--idle_count];
            c->due = next;
            c->len = 0;
            if (write(c->fd, request, sizeof request - 1) != sizeof request - 1) fail("write");
        }
        time = now();
        if (sent == all || idle_count == 0) {
            wait.tv_nsec = 10000000;
        } else if (next > time) {
            wait.tv_nsec = (long)(next - time);
        }
        n = epoll_pwait2(poll, events, 256, &wait, NULL);
        if (n < 0 && errno != EINTR) fail("epoll_pwait2");
        time = now();
        for (i = 0; n > 0 && i < (size_t)n; i++) {
            connection *c = events[i].data.ptr;
            ssize_t got = read(c->fd, c->answer + c->len, sizeof c->answer - c->len);
            if (got <= 0) fail("read");
            c->len += (size_t)got;
            if (!is_whole(c)) continue;
            latencies[done++] = time - c->due;
            idle[idle_count++] = c;
        }
    }
    qsort(latencies, done, sizeof *latencies, compare);
    printf("%.3f %.3f %zu\n", (double)latencies[done / 2] / 1e6, (double)latencies[done / 100 * 99] / 1e6, done);
    return 0;
}
