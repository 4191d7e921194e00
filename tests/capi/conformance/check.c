/* What the conformance tests share: checks, scratch segments, and pages. */
#include "check.h"

static int failed;

int failures(void) { return failed; }

void check(int holds, const char *file, int line, const char *what) {
    if (holds) return;
    failed++;
    fprintf(stderr, "%s:%d: expected: %s\n", file, line, what);
}

void check_status(shmetrics_status got, shmetrics_status expected, const char *file, int line, const char *call) {
    if (got == expected) return;
    failed++;
    char why[512] = "";
    if (got != SHMETRICS_STATUS_OK) shmetrics_last_error(why, sizeof why);
    fprintf(stderr, "%s:%d: %s\n  got %d (%s: %s)\n  expected %d (%s)\n", file, line, call, (int)got,
        shmetrics_status_message(got), why, (int)expected, shmetrics_status_message(expected));
}

void check_shows(const shmetrics_segment *segment, const char *text, int wanted, const char *file, int line) {
    char *page = page_of(segment);
    if ((strstr(page, text) != NULL) != wanted) {
        failed++;
        fprintf(stderr, "%s:%d: the page should%s show: %s\n%s\n", file, line, wanted ? "" : " not", text, page);
    }
    free(page);
}

static void need(shmetrics_status status, const char *what) {
    if (status == SHMETRICS_STATUS_OK) return;
    char why[512];
    shmetrics_last_error(why, sizeof why);
    fprintf(stderr, "cannot go on: %s: %s\n", what, why);
    exit(2);
}

shmetrics_options named(shmetrics_str name, uint32_t open_mode) {
    shmetrics_options options;
    shmetrics_options_init(&options);
    options.name = name;
    options.open_mode = open_mode;
    return options;
}

static shmetrics_segment *open_with(const shmetrics_options options) {
    shmetrics_segment *segment = NULL;
    need(shmetrics_segment_open(&options, &segment), "open a segment");
    return segment;
}

shmetrics_segment *opened(shmetrics_str name) { return open_with(named(name, SHMETRICS_OPEN_OR_CREATE)); }

shmetrics_segment *scratch(void) { return open_with(named(TEXT(""), SHMETRICS_ANONYMOUS)); }

char *page_of(const shmetrics_segment *segment) {
    size_t len = 0;
    char *page = NULL;
    for (size_t cap = 65536;; cap = len + 4096) {
        free(page);
        page = malloc(cap + 1);
        shmetrics_status status = shmetrics_segment_render(segment, page, cap, &len);
        if (status == SHMETRICS_STATUS_BUFFER_TOO_SMALL) continue;
        need(status, "render");
        page[len] = '\0';
        return page;
    }
}

double sample(const shmetrics_segment *segment, const char *series) {
    char *page = page_of(segment);
    double value = NAN;
    const size_t len = strlen(series);
    for (char *line = page; line; line = (line = strchr(line, '\n')) ? line + 1 : NULL)
        if (strncmp(line, series, len) == 0 && line[len] == ' ') value = strtod(line + len, NULL);
    free(page);
    return value;
}

shmetrics_counter_family counters(shmetrics_segment *segment, const char *name, const char *label) {
    const shmetrics_str labels[] = {text(label ? label : "")};
    shmetrics_family_spec spec =
        SHMETRICS_FAMILY_SPEC(.name = text(name), .help = TEXT("Help."), .label_names = labels);
    spec.label_count = label != NULL;
    shmetrics_counter_family family;
    need(shmetrics_counter_register(segment, &spec, &family), name);
    return family;
}

shmetrics_gauge_family gauges(shmetrics_segment *segment, const char *name, uint32_t mode) {
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = text(name), .help = TEXT("Help."));
    shmetrics_gauge_family family;
    need(shmetrics_gauge_register(segment, &spec, mode, &family), name);
    return family;
}

shmetrics_histogram_family histograms(shmetrics_segment *segment, const char *name, const double *le, size_t count) {
    shmetrics_family_spec spec =
        SHMETRICS_FAMILY_SPEC(.name = text(name), .help = TEXT("Help."), .buckets = le, .bucket_count = count);
    shmetrics_histogram_family family;
    need(shmetrics_histogram_register(segment, &spec, &family), name);
    return family;
}

int in_child(void (*run)(void *), void *argument) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        failed = 0;
        run(argument);
        fflush(NULL);
        _exit(failed != 0);
    }
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
