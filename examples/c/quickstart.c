/* Two forked workers count into one segment; the parent renders the whole truth.
 *
 *   cc quickstart.c $(pkg-config --cflags --libs shmetrics) -o quickstart && ./quickstart [NAME] */
#define _POSIX_C_SOURCE 200809L
#include <shmetrics.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 2, REQUESTS_PER_WORKER = 1000 };

static void must(shmetrics_status status, const char *doing) {
    if (status == SHMETRICS_STATUS_OK) return;
    char why[512];
    shmetrics_last_error(why, sizeof why);
    fprintf(stderr, "%s: %s\n", doing, why);
    exit(1);
}

static void serve_requests(shmetrics_counter_family requests, shmetrics_histogram latency) {
    const shmetrics_str labels[] = {SHMETRICS_STR("GET"), SHMETRICS_STR("/"), SHMETRICS_STR("200")};
    shmetrics_counter served = shmetrics_counter_with(requests, labels, 3); /* look up once, keep the handle */
    for (int i = 0; i < REQUESTS_PER_WORKER; i++) {
        uint64_t start = shmetrics_timer_start();
        shmetrics_counter_inc(served);
        shmetrics_histogram_observe_since(latency, start);
    }
}

static char *render(const shmetrics_segment *segment) {
    size_t len = 0;
    char *page = NULL;
    for (size_t cap = 16384;; cap = len + 4096) { /* the page may have grown since it was measured */
        if (!(page = realloc(page, cap + 1))) abort();
        shmetrics_status status = shmetrics_segment_render(segment, page, cap, &len);
        if (status == SHMETRICS_STATUS_BUFFER_TOO_SMALL) continue;
        must(status, "render");
        page[len] = '\0';
        return page;
    }
}

int main(int argc, char **argv) {
    shmetrics_options options;
    shmetrics_options_init(&options);
    if (argc > 1)
        options.name = shmetrics_cstr(argv[1]); /* others see it: `shmetrics serve NAME` */
    else
        options.open_mode = SHMETRICS_ANONYMOUS; /* forked children inherit it */
    shmetrics_segment *segment;
    must(shmetrics_segment_open(&options, &segment), "open the segment");

    const shmetrics_str labels[] = {SHMETRICS_STR("method"), SHMETRICS_STR("path"), SHMETRICS_STR("status")};
    shmetrics_counter_family requests;
    must(shmetrics_counter_register(segment,
             &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("http_requests_total"),
                 .help = SHMETRICS_STR("Requests served."), .label_names = labels, .label_count = 3),
             &requests),
        "register the counter");
    shmetrics_histogram_family latency;
    must(shmetrics_histogram_register(segment,
             &SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("http_request_duration_seconds"),
                 .help = SHMETRICS_STR("Time to answer."), .unit = SHMETRICS_STR("seconds")),
             &latency),
        "register the histogram");

    for (int i = 0; i < WORKERS; i++) {
        pid_t pid = fork();
        if (pid < 0) {
            perror("fork");
            return 1;
        }
        if (pid == 0) {
            serve_requests(requests, shmetrics_histogram_with(latency, NULL, 0));
            _exit(0);
        }
    }
    int workers_failed = 0;
    for (int status; wait(&status) > 0;) workers_failed += status != 0;

    char *page = render(segment);
    fputs(page, stdout);
    int right = strstr(page, "http_requests_total{method=\"GET\",path=\"/\",status=\"200\"} 2000\n") != NULL
        && strstr(page, "http_request_duration_seconds_count 2000\n") != NULL;
    free(page);
    if (workers_failed || (!right && argc == 1)) { /* with a name, earlier runs have counted too */
        fprintf(stderr, "the page does not show %d requests\n", WORKERS * REQUESTS_PER_WORKER);
        return 1;
    }
    return 0;
}
