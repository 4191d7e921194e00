/* remove SEGMENT COUNTER LABEL...: all label sets of a counter with these label names. */
#include <shmetrics.h>
#include <string.h>

int main(int argc, char **argv) {
    shmetrics_str labels[8];
    shmetrics_options options;
    shmetrics_segment *segment;
    shmetrics_counter_family family;
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.label_names = labels);
    if (argc < 3 || argc > 11) return 2;
    shmetrics_options_init(&options);
    options.name = (shmetrics_str){argv[1], strlen(argv[1])};
    options.open_mode = SHMETRICS_ATTACH;
    spec.name = (shmetrics_str){argv[2], strlen(argv[2])};
    if (strstr(argv[2], "_bytes")) spec.unit = SHMETRICS_STR("bytes");
    for (int i = 3; i < argc; i++) labels[spec.label_count++] = (shmetrics_str){argv[i], strlen(argv[i])};
    if (shmetrics_segment_open(&options, &segment) != SHMETRICS_STATUS_OK) return 1;
    if (shmetrics_counter_register(segment, &spec, &family) != SHMETRICS_STATUS_OK) return 1;
    return shmetrics_counter_clear(family) == 0;
}
