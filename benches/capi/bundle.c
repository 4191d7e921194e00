/* What the metrics of a request cost by one look-up for each, by one look-up for all, and by one
 * look-up and one call that does all updates: 17 counters and 2 histograms of 15 buckets, by three
 * strings that are known at run time only. Rounds of all ways are interleaved; the median of each
 * is printed. Run by benches/capi/run.sh. */
#define _GNU_SOURCE
#include <shmetrics.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COUNTERS = 17, HISTOGRAMS = 2, MEMBERS = COUNTERS + HISTOGRAMS, BUCKETS = 14 };
enum { ROUNDS = 21, HOT_SETS = 20, COLD_SETS = 11765, ORDER = 1 << 16 };

struct metrics {
    shmetrics_segment *segment;
    shmetrics_counter_family counters[COUNTERS];
    shmetrics_histogram_family histograms[HISTOGRAMS];
    shmetrics_bundle bundle;
};

static char texts[COLD_SETS][3][16];
static shmetrics_str sets[COLD_SETS][3];
static int hot_order[ORDER], cold_order[ORDER];
static const shmetrics_str labels[] = {{"server", 6}, {"upstream", 8}, {"status", 6}};
static const double bounds[BUCKETS] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};

static double now_ns(void) {
    struct timespec t;
    /* The processor's time of this process alone: other processes do not count. */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(shmetrics_status status) {
    if (status == SHMETRICS_STATUS_OK) return;
    char detail[256];
    shmetrics_last_error(detail, sizeof detail);
    fprintf(stderr, "%s: %s\n", shmetrics_status_message(status), detail);
    exit(1);
}

static struct metrics open_segment(void) {
    struct metrics m = {0};
    shmetrics_options options;
    shmetrics_options_init(&options);
    options.open_mode = SHMETRICS_ANONYMOUS;
    options.max_size = (uint64_t)512 << 20;
    must(shmetrics_segment_open(&options, &m.segment));
    return m;
}

static shmetrics_family_spec family(char *name, int i) {
    snprintf(name, 32, "%s%d", i < COUNTERS ? "counter" : "histogram", i);
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.name = shmetrics_cstr(name));
    if (i >= COUNTERS) {
        spec.buckets = bounds;
        spec.bucket_count = BUCKETS;
    }
    return spec;
}

/* The first `members` of them. */
static struct metrics separate(int members) {
    struct metrics m = open_segment();
    for (int i = 0; i < members; i++) {
        char name[32];
        shmetrics_family_spec spec = family(name, i);
        spec.label_names = labels;
        spec.label_count = 3;
        if (i < COUNTERS)
            must(shmetrics_counter_register(m.segment, &spec, &m.counters[i]));
        else
            must(shmetrics_histogram_register(m.segment, &spec, &m.histograms[i - COUNTERS]));
    }
    return m;
}

static struct metrics bundled(int count) {
    struct metrics m = open_segment();
    char names[MEMBERS][32];
    shmetrics_family_spec specs[MEMBERS];
    shmetrics_member members[MEMBERS];
    for (int i = 0; i < count; i++) {
        specs[i] = family(names[i], i);
        members[i] = (shmetrics_member){i < COUNTERS ? SHMETRICS_KIND_COUNTER : SHMETRICS_KIND_HISTOGRAM, 0, &specs[i]};
    }
    shmetrics_bundle_spec spec = {.struct_size = sizeof spec, .label_names = labels, .label_count = 3};
    spec.members = members;
    spec.member_count = (size_t)count;
    must(shmetrics_bundle_register(m.segment, &spec, &m.bundle));
    return m;
}

static void serve_separate(const struct metrics *m, const shmetrics_str *values, int members) {
    for (int i = 0; i < COUNTERS; i++) shmetrics_counter_add_u64(shmetrics_counter_with(m->counters[i], values, 3), 1);
    for (int i = 0; i < members - COUNTERS; i++)
        shmetrics_histogram_observe(shmetrics_histogram_with(m->histograms[i], values, 3), 2.5);
}

static void serve_bundled(const struct metrics *m, const shmetrics_str *values, int members) {
    const shmetrics_entry entry = shmetrics_bundle_with(m->bundle, values, 3);
    for (int i = 0; i < COUNTERS; i++) shmetrics_entry_add_u64(entry, (size_t)i, 1);
    for (int i = COUNTERS; i < members; i++) shmetrics_entry_observe(entry, (size_t)i, 2.5);
}

/* The amounts are written for each request, as a host does that reads them from the request. */
static void serve_at_once(const struct metrics *m, const shmetrics_str *values, int members) {
    shmetrics_update updates[MEMBERS];
    const shmetrics_entry entry = shmetrics_bundle_with(m->bundle, values, 3);
    for (int i = 0; i < COUNTERS; i++) updates[i] = (shmetrics_update){(uint32_t)i, SHMETRICS_UPDATE_ADD_U64, {.n = 1}};
    for (int i = COUNTERS; i < members; i++)
        updates[i] = (shmetrics_update){(uint32_t)i, SHMETRICS_UPDATE_OBSERVE, {.v = 2.5}};
    shmetrics_entry_update(entry, updates, (size_t)members);
}

typedef void serve(const struct metrics *, const shmetrics_str *, int);

static double round_of(serve *call, const struct metrics *m, const int *order, int requests) {
    const double start = now_ns();
    for (int i = 0; i < requests; i++) call(m, sets[order[i & (ORDER - 1)]], MEMBERS);
    return (now_ns() - start) / requests;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *all) {
    qsort(all, ROUNDS, sizeof *all, ascending);
    return all[ROUNDS / 2];
}

enum { SEPARATE, BUNDLED, AT_ONCE, WAYS };
static serve *const serves[WAYS] = {serve_separate, serve_bundled, serve_at_once};

static void tell(const char *what, double (*rounds)[ROUNDS], int ways, const char *unit) {
    const double separate = median(rounds[0]);
    printf("%-50s %9.2f", what, separate);
    for (int way = 1; way < ways; way++)
        printf(" %9.2f %s (%.2f)", median(rounds[way]), unit, median(rounds[way]) / separate);
    printf("\n");
}

static void compare(const char *what, const struct metrics *a, const struct metrics *b, const int *order) {
    const int requests = 20000;
    const struct metrics *metrics[WAYS] = {a, b, b};
    double rounds[WAYS][ROUNDS];
    for (int r = -1; r < ROUNDS; r++) {
        for (int way = 0; way < WAYS; way++) {
            const double ns = round_of(serves[way], metrics[way], order, requests);
            if (r >= 0) rounds[way][r] = ns;
        }
    }
    tell(what, rounds, WAYS, "ns");
}

static double sample(const shmetrics_segment *segment, const char *name) {
    shmetrics_cursor *cursor;
    must(shmetrics_segment_cursor(segment, &cursor));
    must(shmetrics_cursor_add_filter(cursor, shmetrics_cstr(name)));
    static char page[1 << 16];
    const size_t len = shmetrics_cursor_read(cursor, page, sizeof page - 1);
    shmetrics_cursor_free(cursor);
    page[len] = '\0';
    char line[96];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(page, line);
    return at ? atof(at + strlen(line)) : -1;
}

/* Bytes for a label set of 17 counters and one histogram. */
static double bytes_of(serve *call, struct metrics m) {
    const int sets_of = 2000;
    const double before = sample(m.segment, "shmetrics_segment_used_bytes");
    for (int i = 0; i < sets_of; i++) call(&m, sets[i], MEMBERS - 1);
    return (sample(m.segment, "shmetrics_segment_used_bytes") - before) / sets_of;
}

static double page_ns(const struct metrics *m, size_t *lines) {
    static char piece[1 << 16];
    const double start = now_ns();
    shmetrics_cursor *cursor;
    must(shmetrics_segment_cursor(m->segment, &cursor));
    *lines = 0;
    for (size_t len; (len = shmetrics_cursor_read(cursor, piece, sizeof piece)) > 0;)
        for (const char *at = piece; (at = memchr(at, '\n', (size_t)(piece + len - at))) != NULL; at++) ++*lines;
    shmetrics_cursor_free(cursor);
    return (now_ns() - start) / (double)*lines;
}

static void compare_pages(const char *what, const struct metrics *a, const struct metrics *b) {
    double rounds[2][ROUNDS];
    size_t lines = 0;
    for (int r = 0; r < ROUNDS; r++) rounds[0][r] = page_ns(a, &lines), rounds[1][r] = page_ns(b, &lines);
    tell(what, rounds, 2, "ns");
}

int main(void) {
    srand(7);
    for (int i = 0; i < COLD_SETS; i++) {
        snprintf(texts[i][0], sizeof texts[i][0], "server%04d", i % 97);
        snprintf(texts[i][1], sizeof texts[i][1], "upstre%04d", i);
        snprintf(texts[i][2], sizeof texts[i][2], "status%04d", i % 5);
        for (int v = 0; v < 3; v++) sets[i][v] = shmetrics_cstr(texts[i][v]);
    }
    for (int i = 0; i < ORDER; i++) hot_order[i] = rand() % HOT_SETS, cold_order[i] = rand() % COLD_SETS;
    printf("%-50s %9s %9s %19s\n", "", "separate", "bundled", "updated at once");
    const struct metrics a = separate(MEMBERS), b = bundled(MEMBERS);
    compare("17 counters, 2 histograms, 20 label sets", &a, &b, hot_order);
    const pid_t parent = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; getppid() == parent; i++) {
            const shmetrics_str *set = sets[hot_order[i & (ORDER - 1)]];
            serve_separate(&a, set, MEMBERS);
            serve_bundled(&b, set, MEMBERS);
            serve_at_once(&b, set, MEMBERS);
        }
        _exit(0);
    }
    compare("the same beside another process", &a, &b, hot_order);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    const struct metrics c = separate(MEMBERS), d = bundled(MEMBERS);
    for (int i = 0; i < COLD_SETS; i++) serve_separate(&c, sets[i], MEMBERS), serve_bundled(&d, sets[i], MEMBERS);
    compare("the same over 11,765 label sets at random", &c, &d, cold_order);
    compare_pages("a line of their page", &c, &d);
    const double each = bytes_of(serve_separate, separate(MEMBERS - 1)),
                 all = bytes_of(serve_bundled, bundled(MEMBERS - 1));
    printf("%-50s %9.2f %9.2f bytes (%.2f)\n", "a label set of 17 counters and 1 histogram", each, all, all / each);
    return 0;
}
