/* remove SEGMENT FAMILY: all label sets of a family with the labels of
 * nginx_http_requests_total. */
#include <shmetrics.h>
#include <string.h>

int main(int argc, char **argv) {
    static const shmetrics_str labels[] = {SHMETRICS_STR_INIT("server"), SHMETRICS_STR_INIT("location"),
                                           SHMETRICS_STR_INIT("method"), SHMETRICS_STR_INIT("status")};
    shmetrics_options options;
    shmetrics_segment *segment;
    shmetrics_counter_family family;
    shmetrics_family_spec spec = SHMETRICS_FAMILY_SPEC(.label_names = labels, .label_count = 4);
    if (argc != 3) return 2;
    shmetrics_options_init(&options);
    options.name = (shmetrics_str){argv[1], strlen(argv[1])};
    options.open_mode = SHMETRICS_ATTACH;
    spec.name = (shmetrics_str){argv[2], strlen(argv[2])};
    if (shmetrics_segment_open(&options, &segment) != SHMETRICS_STATUS_OK) return 1;
    if (shmetrics_counter_register(segment, &spec, &family) != SHMETRICS_STATUS_OK) return 1;
    return shmetrics_counter_clear(family) == 0;
}
