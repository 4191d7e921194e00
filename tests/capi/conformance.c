/* Holds the C library to its header: every function, with good arguments and all kinds of bad ones.
 *
 * `conformance [group...]` runs all groups, or those named. A failed check names its place and
 * fails the program. */
#include "conformance/check.h"

static const struct {
    const char *name;
    void (*run)(void);
} groups[] = {{"open", test_open}, {"register", test_register}, {"labels", test_labels}, {"update", test_update},
    {"render", test_render}, {"formats", test_formats}, {"types", test_types}, {"errors", test_errors},
    {"remove", test_remove}, {"process", test_process}, {"cancel", test_cancel}, {"naming", test_naming},
    {"memory", test_memory}, {"redefine", test_redefine}, {"points", test_points}, {"collect", test_collect},
    {"bundle", test_bundle}};

static int wanted(const char *name, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return 1;
    return argc == 1;
}

int main(int argc, char **argv) {
    int ran = 0;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (!wanted(groups[i].name, argc, argv)) continue;
        const int before = failures();
        groups[i].run();
        printf("%-8s %s\n", groups[i].name, failures() == before ? "ok" : "FAILED");
        ran++;
    }
    return failures() != 0 || ran == 0;
}
