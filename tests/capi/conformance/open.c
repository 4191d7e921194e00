/* Segments: how they are opened, found, refused and removed. */
#include "check.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static char name_buffer[64];

static shmetrics_str unused_name(void) {
    static int number;
    snprintf(name_buffer, sizeof name_buffer, "conformance-%ld-%d", (long)getpid(), number++);
    return text(name_buffer);
}

/* A path template for mkstemp and mkdtemp where segments live. */
static char *temporary(char path[64]) {
    const char *directory = getenv("SHMETRICS_DIR");
    snprintf(path, 64, "%s/conformance-XXXXXX", directory ? directory : "/dev/shm");
    return path;
}

static void defaults(void) {
    shmetrics_options options;
    memset(&options, 0xff, sizeof options);
    shmetrics_options_init(&options);
    CHECK(options.struct_size == sizeof options);
    CHECK(options.name.len == 0);
    CHECK(options.open_mode == SHMETRICS_OPEN_OR_CREATE);
    CHECK(options.mode == 0 && options.group.len == 0 && options.owner.len == 0 && options.trust.len == 0);
    CHECK(options.max_size == 0);
    CHECK(options.max_series == 0);
    CHECK(options.max_processes == 512);
    CHECK(options.allow_disk == 0);
    CHECK(options.reset_if_unused == 0);
    CHECK(options.per_cpu == SHMETRICS_PER_CPU_DEFAULT);
    CHECK(options.bounds == SHMETRICS_BOUNDS_DEFAULT && options.revision == 0);
    shmetrics_options_init(NULL);
    /* The function behind the macro sets the fields of the first release alone. */
    memset(&options, 0xff, sizeof options);
    (shmetrics_options_init)(&options);
    CHECK(options.struct_size == offsetof(shmetrics_options, group));
    CHECK(options.max_processes == 512 && options.group.len == SIZE_MAX);
    shmetrics_options_init_sized(&options, 3);
    CHECK(options.struct_size == offsetof(shmetrics_options, group));
}

static void by_every_way(void) {
    const shmetrics_str name = unused_name();
    shmetrics_segment *const untouched = (shmetrics_segment *)&name;
    shmetrics_segment *segment = untouched, *again = NULL;

    shmetrics_options attach = named(name, SHMETRICS_ATTACH), create = named(name, SHMETRICS_CREATE_NEW);
    CHECK_FAILS(shmetrics_segment_open(&attach, &segment), NOT_FOUND);
    CHECK(segment == untouched);
    CHECK_OK(shmetrics_segment_open(&create, &segment));
    CHECK(segment != untouched && segment != NULL);
    CHECK_FAILS(shmetrics_segment_open(&create, &again), ALREADY_EXISTS);
    CHECK(again == NULL);
    CHECK_OK(shmetrics_segment_open(&attach, &again));
    CHECK(again == segment);

    shmetrics_counter_inc(shmetrics_counter_with(counters(segment, "seen_twice", NULL), NULL, 0));
    CHECK_SHOWS(again, "seen_twice_total 1\n");
    CHECK_OK(shmetrics_segment_remove(name));
    CHECK_FAILS(shmetrics_segment_remove(name), NOT_FOUND);
    CHECK_SHOWS(segment, "seen_twice_total 1\n"); /* removed by name only: this process keeps it */
}

static void by_default(void) {
    const shmetrics_str name = unused_name();
    setenv("SHMETRICS_SEGMENT", name.data, 1);
    shmetrics_segment *segment = NULL, *same = NULL;
    CHECK_OK(shmetrics_segment_open(NULL, &segment));
    unsetenv("SHMETRICS_SEGMENT");
    shmetrics_options attach = named(name, SHMETRICS_ATTACH);
    CHECK_OK(shmetrics_segment_open(&attach, &same));
    CHECK_OK(shmetrics_segment_remove(name));
}

static void bad_names(void) {
    static char long_name[4097];
    memset(long_name, 'n', sizeof long_name);
    const shmetrics_str bad[] = {
        TEXT("a b"),
        TEXT(".hidden"),
        TEXT("nul\0inside"),
        TEXT("caf\xc3\xa9"),
        TEXT("not utf-8 \xff"),
        TEXT("/dev/shm/nul\0inside"),
        TEXT("/"),
        {long_name, 246},
        {long_name, sizeof long_name},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        shmetrics_options options = named(bad[i], SHMETRICS_OPEN_OR_CREATE);
        shmetrics_segment *segment = NULL;
        shmetrics_reader *reader = NULL;
        CHECK_FAILS(shmetrics_segment_open(&options, &segment), INVALID_NAME);
        CHECK_FAILS(shmetrics_reader_open(bad[i], &reader), INVALID_NAME);
        CHECK_FAILS(shmetrics_segment_remove(bad[i]), INVALID_NAME);
        CHECK(segment == NULL && reader == NULL);
    }
}

static void bad_options(void) {
    shmetrics_segment *segment = NULL;
    shmetrics_options options = named(unused_name(), 4);
    CHECK_FAILS(shmetrics_segment_open(&options, &segment), INVALID_ARGUMENT);
    options.open_mode = SHMETRICS_CREATE_NEW;
    CHECK_FAILS(shmetrics_segment_open(&options, NULL), NULL_ARGUMENT);
#define REFUSED(field, value) \
    do { \
        shmetrics_options changed = options; \
        changed.field = (value); \
        CHECK_FAILS(shmetrics_segment_open(&changed, &segment), INVALID_ARGUMENT); \
    } while (0)
    REFUSED(mode, 0400);
    REFUSED(mode, 04600);
    REFUSED(max_size, 1);
    REFUSED(max_size, UINT64_MAX);
    REFUSED(max_processes, 0);
    REFUSED(max_processes, UINT32_MAX);
    REFUSED(per_cpu, 3);
    REFUSED(struct_size, 0);
    REFUSED(struct_size, SIZE_MAX);
    REFUSED(struct_size, sizeof options - 1);
    REFUSED(struct_size, offsetof(shmetrics_options, group) + 12);
    REFUSED(reserved, 1);
    REFUSED(bounds, 3);
    REFUSED(group, text("no-such-group"));
    REFUSED(owner, text("no-such-user"));
    shmetrics_options null_name = options;
    null_name.name = (shmetrics_str){NULL, 3};
    CHECK_FAILS(shmetrics_segment_open(&null_name, &segment), NULL_ARGUMENT);
    CHECK(segment == NULL);
}

/* A caller built for a later version has a longer structure: fine, unless it uses what this
 * library does not know. */
static void other_versions_of_the_structure(void) {
    shmetrics_segment *segment = NULL;
    const shmetrics_str name = unused_name();
    struct {
        shmetrics_options known;
        uint64_t unknown;
    } newer = {named(name, SHMETRICS_CREATE_NEW), 1};
    newer.known.struct_size = sizeof newer;
    CHECK_FAILS(shmetrics_segment_open(&newer.known, &segment), INVALID_ARGUMENT);
    shmetrics_options older = newer.known;
    older.struct_size = offsetof(shmetrics_options, max_processes);
    CHECK_FAILS(shmetrics_segment_open(&older, &segment), INVALID_ARGUMENT);
    CHECK(segment == NULL);
    /* One of the first release is as long as that one's, and is taken; what comes behind is not
     * read. */
    older.struct_size = offsetof(shmetrics_options, group);
    older.group = text("no-such-group");
    CHECK_OK(shmetrics_segment_open(&older, &segment));
    CHECK_OK(shmetrics_segment_remove(name));
    newer.unknown = 0;
    segment = NULL;
    CHECK_OK(shmetrics_segment_open(&newer.known, &segment));
    CHECK(segment != NULL);
    CHECK_OK(shmetrics_segment_remove(name));
}

/* A child counts and dies. Then no process uses the segment, and a process that asks for it gets a
 * new one. */
static void unused_or_not(void) {
    shmetrics_options options = named(unused_name(), SHMETRICS_OPEN_OR_CREATE);
    shmetrics_segment *segment = NULL, *same = NULL;
    int status = -1;
    const pid_t pid = fork();
    if (pid == 0) {
        if (shmetrics_segment_open(&options, &segment) != SHMETRICS_STATUS_OK) _exit(1);
        shmetrics_counter_inc(shmetrics_counter_with(counters(segment, "left", NULL), NULL, 0));
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    options.reset_if_unused = 1;
    CHECK_OK(shmetrics_segment_open(&options, &segment));
    CHECK(shmetrics_counter_value(shmetrics_counter_with(counters(segment, "left", NULL), NULL, 0)) == 0);
    CHECK_OK(shmetrics_segment_open(&options, &same));
    CHECK(same == segment);
    CHECK_OK(shmetrics_segment_remove(options.name));
}

static void no_segment_there(void) {
    char path[64];
    int fd = mkstemp(temporary(path));
    CHECK(fd >= 0 && write(fd, "junk\n", 5) == 5 && ftruncate(fd, 1 << 20) == 0);
    close(fd);
    shmetrics_segment *segment = NULL;
    shmetrics_reader *reader = NULL;
    shmetrics_options options = named(text(path), SHMETRICS_OPEN_OR_CREATE);
    CHECK_FAILS(shmetrics_segment_open(&options, &segment), NOT_A_SEGMENT);
    CHECK_FAILS(shmetrics_reader_open(text(path), &reader), NOT_A_SEGMENT);
    unlink(path);
    CHECK_FAILS(shmetrics_reader_open(text(path), &reader), NOT_FOUND);
    CHECK(segment == NULL && reader == NULL);
}

static void on_a_disk(void) {
    enum { TMPFS_MAGIC = 0x01021994 };
    char directory[] = "/var/tmp/conformance-XXXXXX", path[64];
    struct statfs fs;
    CHECK(mkdtemp(directory) != NULL && statfs(directory, &fs) == 0);
    snprintf(path, sizeof path, "%s/segment", directory);
    shmetrics_segment *segment = NULL;
    shmetrics_options options = named(text(path), SHMETRICS_CREATE_NEW);
    if (fs.f_type != TMPFS_MAGIC) CHECK_FAILS(shmetrics_segment_open(&options, &segment), NOT_TMPFS);
    options.allow_disk = 1;
    CHECK_OK(shmetrics_segment_open(&options, &segment));
    CHECK_OK(shmetrics_segment_remove(text(path)));
    CHECK(rmdir(directory) == 0);
}

static void open_as_somebody_else(void *name) {
    shmetrics_segment *segment = NULL;
    shmetrics_options options = named(text(name), SHMETRICS_ATTACH);
    CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    CHECK_FAILS(shmetrics_segment_open(&options, &segment), PERMISSION);
    CHECK(segment == NULL);
}

/* In a process of its own: what a process has mapped, its children have. */
static void make(void *name) {
    const shmetrics_options options = named(text(name), SHMETRICS_CREATE_NEW);
    shmetrics_segment *segment = NULL;
    CHECK_OK(shmetrics_segment_open(&options, &segment));
}

static void of_another_user(void) {
    if (geteuid() != 0) return; /* only root can become another user */
    char directory[64], path[80];
    CHECK(mkdtemp(temporary(directory)) != NULL && chmod(directory, 0755) == 0);
    snprintf(path, sizeof path, "%s/segment", directory);
    CHECK(in_child(make, path));
    CHECK(in_child(open_as_somebody_else, path));
    CHECK_OK(shmetrics_segment_remove(text(path)));
    CHECK(rmdir(directory) == 0);
}

void test_open(void) {
    defaults();
    by_every_way();
    by_default();
    bad_names();
    bad_options();
    other_versions_of_the_structure();
    no_segment_there();
    on_a_disk();
    of_another_user();
    CHECK_FAILS(shmetrics_segment_set_identity(NULL, 1), NULL_ARGUMENT);
    CHECK_FAILS(shmetrics_segment_attach_process(NULL), NULL_ARGUMENT);
    unused_or_not();
}
