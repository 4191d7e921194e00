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

static shmetrics_options named(shmetrics_str name, uint32_t how) {
    shmetrics_options options;
    shmetrics_options_init(&options);
    options.name = name;
    options.open_mode = how;
    return options;
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
    CHECK_STATUS(shmetrics_segment_open(&attach, &segment), SHMETRICS_STATUS_NOT_FOUND);
    CHECK(segment == untouched);
    CHECK_STATUS(shmetrics_segment_open(&create, &segment), SHMETRICS_STATUS_OK);
    CHECK(segment != untouched && segment != NULL);
    CHECK_STATUS(shmetrics_segment_open(&create, &again), SHMETRICS_STATUS_ALREADY_EXISTS);
    CHECK(again == NULL);
    CHECK_STATUS(shmetrics_segment_open(&attach, &again), SHMETRICS_STATUS_OK);
    CHECK(again == segment);

    shmetrics_counter_inc(shmetrics_counter_with(counters(segment, "seen_twice", NULL), NULL, 0));
    CHECK_SHOWS(again, "seen_twice_total 1\n");
    CHECK_STATUS(shmetrics_segment_remove(name), SHMETRICS_STATUS_OK);
    CHECK_STATUS(shmetrics_segment_remove(name), SHMETRICS_STATUS_NOT_FOUND);
    CHECK_SHOWS(segment, "seen_twice_total 1\n"); /* removed by name only: who has it keeps it */
}

static void by_default(void) {
    const shmetrics_str name = unused_name();
    setenv("SHMETRICS_SEGMENT", name.data, 1);
    shmetrics_segment *segment = NULL, *same = NULL;
    CHECK_STATUS(shmetrics_segment_open(NULL, &segment), SHMETRICS_STATUS_OK);
    unsetenv("SHMETRICS_SEGMENT");
    shmetrics_options attach = named(name, SHMETRICS_ATTACH);
    CHECK_STATUS(shmetrics_segment_open(&attach, &same), SHMETRICS_STATUS_OK);
    CHECK_STATUS(shmetrics_segment_remove(name), SHMETRICS_STATUS_OK);
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
        CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_INVALID_NAME);
        CHECK_STATUS(shmetrics_reader_open(bad[i], &reader), SHMETRICS_STATUS_INVALID_NAME);
        CHECK_STATUS(shmetrics_segment_remove(bad[i]), SHMETRICS_STATUS_INVALID_NAME);
        CHECK(segment == NULL && reader == NULL);
    }
}

static void bad_options(void) {
    shmetrics_segment *segment = NULL;
    shmetrics_options options = named(unused_name(), 4);
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_INVALID_ARGUMENT);
    options.open_mode = SHMETRICS_CREATE_NEW;
    CHECK_STATUS(shmetrics_segment_open(&options, NULL), SHMETRICS_STATUS_NULL_ARGUMENT);
#define REFUSED(field, value) \
    do { \
        shmetrics_options changed = options; \
        changed.field = (value); \
        CHECK_STATUS(shmetrics_segment_open(&changed, &segment), SHMETRICS_STATUS_INVALID_ARGUMENT); \
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
    REFUSED(group, text("no-such-group"));
    REFUSED(owner, text("no-such-user"));
    shmetrics_options null_name = options;
    null_name.name = (shmetrics_str){NULL, 3};
    CHECK_STATUS(shmetrics_segment_open(&null_name, &segment), SHMETRICS_STATUS_NULL_ARGUMENT);
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
    CHECK_STATUS(shmetrics_segment_open(&newer.known, &segment), SHMETRICS_STATUS_INVALID_ARGUMENT);
    shmetrics_options older = newer.known;
    older.struct_size = offsetof(shmetrics_options, max_processes);
    CHECK_STATUS(shmetrics_segment_open(&older, &segment), SHMETRICS_STATUS_INVALID_ARGUMENT);
    CHECK(segment == NULL);
    /* One of the first release is as long as that one's, and is taken; what comes behind is not
     * read. */
    older.struct_size = offsetof(shmetrics_options, group);
    older.group = text("no-such-group");
    CHECK_STATUS(shmetrics_segment_open(&older, &segment), SHMETRICS_STATUS_OK);
    CHECK_STATUS(shmetrics_segment_remove(name), SHMETRICS_STATUS_OK);
    newer.unknown = 0;
    segment = NULL;
    CHECK_STATUS(shmetrics_segment_open(&newer.known, &segment), SHMETRICS_STATUS_OK);
    CHECK(segment != NULL);
    CHECK_STATUS(shmetrics_segment_remove(name), SHMETRICS_STATUS_OK);
}

/* A child counts and dies; then nobody uses the segment, and who asks for it gets a new one. */
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
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_OK);
    CHECK(shmetrics_counter_value(shmetrics_counter_with(counters(segment, "left", NULL), NULL, 0)) == 0);
    CHECK_STATUS(shmetrics_segment_open(&options, &same), SHMETRICS_STATUS_OK);
    CHECK(same == segment);
    CHECK_STATUS(shmetrics_segment_remove(options.name), SHMETRICS_STATUS_OK);
}

static void no_segment_there(void) {
    char path[64];
    int fd = mkstemp(temporary(path));
    CHECK(fd >= 0 && write(fd, "junk\n", 5) == 5 && ftruncate(fd, 1 << 20) == 0);
    close(fd);
    shmetrics_segment *segment = NULL;
    shmetrics_reader *reader = NULL;
    shmetrics_options options = named(text(path), SHMETRICS_OPEN_OR_CREATE);
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_NOT_A_SEGMENT);
    CHECK_STATUS(shmetrics_reader_open(text(path), &reader), SHMETRICS_STATUS_NOT_A_SEGMENT);
    unlink(path);
    CHECK_STATUS(shmetrics_reader_open(text(path), &reader), SHMETRICS_STATUS_NOT_FOUND);
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
    if (fs.f_type != TMPFS_MAGIC) CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_NOT_TMPFS);
    options.allow_disk = 1;
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_OK);
    CHECK_STATUS(shmetrics_segment_remove(text(path)), SHMETRICS_STATUS_OK);
    CHECK(rmdir(directory) == 0);
}

static void open_as_somebody_else(void *name) {
    shmetrics_segment *segment = NULL;
    shmetrics_options options = named(text(name), SHMETRICS_ATTACH);
    CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_PERMISSION);
    CHECK(segment == NULL);
}

/* In a process of its own: what a process has mapped, its children have. */
static void make(void *name) {
    shmetrics_segment *segment = NULL;
    shmetrics_options options = named(text(name), SHMETRICS_CREATE_NEW);
    CHECK_STATUS(shmetrics_segment_open(&options, &segment), SHMETRICS_STATUS_OK);
}

static void of_another_user(void) {
    if (geteuid() != 0) return; /* only root can become somebody else */
    char directory[64], path[80];
    CHECK(mkdtemp(temporary(directory)) != NULL && chmod(directory, 0755) == 0);
    snprintf(path, sizeof path, "%s/segment", directory);
    CHECK(in_child(make, path));
    CHECK(in_child(open_as_somebody_else, path));
    CHECK_STATUS(shmetrics_segment_remove(text(path)), SHMETRICS_STATUS_OK);
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
    CHECK_STATUS(shmetrics_segment_set_identity(NULL, 1), SHMETRICS_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(shmetrics_segment_attach_process(NULL), SHMETRICS_STATUS_NULL_ARGUMENT);
    unused_or_not();
}
