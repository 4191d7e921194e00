/* The master: makes the segment and the socket, keeps the workers alive, and answers scrapes
 * meanwhile.
 *
 *   server [-p PORT] [-m METRICS_PORT] [-n WORKERS_PER_LANGUAGE] [LANGUAGE=PROGRAM ...]
 *
 * The segment's name is SHMETRICS_SEGMENT, which the workers inherit. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "metrics.h"
#include "pool.h"

enum { TICK_SECONDS = 1, SCRAPE_TIMEOUT_SECONDS = 1 };

struct settings {
    unsigned port, metrics_port, workers_per_language;
};

static volatile sig_atomic_t stopping;

static void on_stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
}

/* Only there so that SIGCHLD ends a ppoll. */
static void on_child(int signal_number) { (void)signal_number; }

/* The signals stay blocked except inside ppoll, so none can slip in between a look at its effect
 * and the wait. */
static sigset_t set_signals(void) {
    sigset_t blocked, normal;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &normal);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_child}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    return normal;
}

static int listen_on(unsigned port, int flags) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 128) != 0) {
        fprintf(stderr, "cannot listen on 127.0.0.1:%u: %s\n", port, strerror(errno));
        exit(EXIT_FAILURE);
    }
    return fd;
}

static unsigned port_of(int fd) {
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &len);
    return ntohs(address.sin_port);
}

static int listen_for_scrapes(unsigned port) {
    int seconds = SCRAPE_TIMEOUT_SECONDS, fd = listen_on(port, SOCK_CLOEXEC | SOCK_NONBLOCK);
    /* Wakes the master for a connection only when its request is there: an idle one holds no worker
     * up. */
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
    return fd;
}

static void answer_scrape(int metrics_listener) {
    struct http_connection c;
    struct http_request request;
    int fd = accept4(metrics_listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    http_set_limits(fd, SCRAPE_TIMEOUT_SECONDS);
    http_open(&c, fd, "prefork/master");
    if (http_read(&c, &request)) {
        request.keep_alive = false;
        if (strcmp(request.path, "/metrics") == 0) {
            metrics_respond(&c, &request);
        } else {
            http_respond(&c, "404 Not Found", "See /metrics\n", 13, 0, false);
        }
    }
    close(fd);
}

static bool parse_number(const char *text, unsigned max, unsigned *number) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value > max) return false;
    *number = (unsigned)value;
    return true;
}

static bool parse_arguments(int argc, char **argv, struct settings *s) {
    int option;
    while ((option = getopt(argc, argv, "p:m:n:")) != -1) {
        bool valid = (option == 'p' && parse_number(optarg, 65535, &s->port))
            || (option == 'm' && parse_number(optarg, 65535, &s->metrics_port))
            || (option == 'n' && parse_number(optarg, 16, &s->workers_per_language));
        if (!valid) return false;
    }
    pool_add("c", NULL, s->workers_per_language);
    for (; optind < argc; optind++) {
        char *program = strchr(argv[optind], '=');
        if (program == NULL) return false;
        *program = '\0';
        pool_add(argv[optind], program + 1, s->workers_per_language);
    }
    return true;
}

int main(int argc, char **argv) {
    struct settings settings = {.port = 0, .metrics_port = 9464, .workers_per_language = 3};
    if (!parse_arguments(argc, argv, &settings)) {
        fprintf(stderr, "usage: %s [-p PORT] [-m METRICS_PORT] [-n WORKERS] [LANGUAGE=PROGRAM ...]\n", argv[0]);
        return EXIT_FAILURE;
    }
    setenv("SHMETRICS_SEGMENT", "prefork", 0);
    const char *segment_name = getenv("SHMETRICS_SEGMENT");
    int listener = listen_on(settings.port, 0);
    int metrics_listener = listen_for_scrapes(settings.metrics_port);
    sigset_t normal = set_signals();
    if (!metrics_open()) return EXIT_FAILURE;
    dprintf(STDOUT_FILENO, "serving http://127.0.0.1:%u metrics http://127.0.0.1:%u/metrics segment %s\n",
        port_of(listener), port_of(metrics_listener), segment_name);

    const struct pool_setup setup = {.listener = listener, .metrics_listener = metrics_listener, .signals = &normal};
    bool all_well = true;
    while (!stopping && all_well) {
        struct pollfd scrapes = {.fd = metrics_listener, .events = POLLIN};
        pool_fill(&setup);
        if (ppoll(&scrapes, 1, &(struct timespec){.tv_sec = TICK_SECONDS}, &normal) > 0) {
            answer_scrape(metrics_listener);
        }
        all_well = pool_reap();
    }
    pool_stop();
    metrics_remove(segment_name);
    return all_well ? EXIT_SUCCESS : EXIT_FAILURE;
}
