/* An application beside nginx: app SEGMENT COUNT adds to app_jobs_total, and says how that went. */
#include <shmetrics.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    shmetrics_options options;
    shmetrics_segment *segment;
    char reason[400];
    if (argc != 3) return 2;
    shmetrics_options_init(&options);
    options.name = (shmetrics_str){argv[1], strlen(argv[1])};
    options.mode = 0640;
    if (shmetrics_segment_open(&options, &segment) != SHMETRICS_STATUS_OK
        || shmetrics_counter_add_named(segment, SHMETRICS_STR("app_jobs_total"), NULL, 0, atoi(argv[2]))
            != SHMETRICS_STATUS_OK) {
        (void) shmetrics_last_error(reason, sizeof reason);
        fprintf(stderr, "%s\n", reason);
        return 1;
    }
    return 0;
}
