/* What a program learns of a failure: the static text of a status, and this thread's detail of
 * the last one. */
#include "check.h"

#include <pthread.h>

static void every_status_has_a_text(void) {
    for (int status = SHMETRICS_STATUS_OK; status <= SHMETRICS_STATUS_NO_MEMORY; status++) {
        const char *message = shmetrics_status_message((shmetrics_status)status);
        CHECK(message != NULL && *message != '\0');
        for (int other = SHMETRICS_STATUS_OK; other < status; other++)
            CHECK(strcmp(message, shmetrics_status_message((shmetrics_status)other)) != 0);
    }
    const char *unknown = shmetrics_status_message((shmetrics_status)(SHMETRICS_STATUS_NO_MEMORY + 1));
    CHECK(unknown != NULL && *unknown != '\0');
}

static void fail_with(const char *name) {
    shmetrics_reader *reader;
    CHECK_FAILS(shmetrics_reader_open(text(name), &reader), NOT_FOUND);
}

static void the_detail_is_cut_to_fit(void) {
    char whole[512], cut[8] = "???????";
    fail_with("absent-one");
    const size_t len = shmetrics_last_error(whole, sizeof whole);
    CHECK(len == strlen(whole) && len > sizeof cut);
    CHECK(strstr(whole, "absent-one") != NULL);
    CHECK(shmetrics_last_error(NULL, 0) == len);
    CHECK(shmetrics_last_error(cut, 0) == len && strcmp(cut, "???????") == 0);
    CHECK(shmetrics_last_error(cut, 1) == len && cut[0] == '\0' && cut[1] == '?');
    CHECK(shmetrics_last_error(cut, 4) == len && strncmp(cut, whole, 3) == 0 && cut[3] == '\0' && cut[4] == '?');
    char exact[512] = {0};
    CHECK(shmetrics_last_error(exact, len + 1) == len && strcmp(exact, whole) == 0);
}

static void the_last_one_counts(void) {
    char whole[512];
    fail_with("absent-two");
    shmetrics_last_error(whole, sizeof whole);
    CHECK(strstr(whole, "absent-two") != NULL && strstr(whole, "absent-one") == NULL);
}

static void *in_another_thread(void *unused) {
    (void)unused;
    char whole[512] = "?";
    CHECK(shmetrics_last_error(whole, sizeof whole) == 0 && whole[0] == '\0');
    fail_with("absent-elsewhere");
    return NULL;
}

static void each_thread_has_its_own(void) {
    char whole[512];
    pthread_t thread;
    fail_with("absent-here");
    CHECK(pthread_create(&thread, NULL, in_another_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
    shmetrics_last_error(whole, sizeof whole);
    CHECK(strstr(whole, "absent-here") != NULL);
}

static void the_version(void) {
    char composed[32];
    snprintf(composed, sizeof composed, "%d.%d.%d", SHMETRICS_VERSION_MAJOR, SHMETRICS_VERSION_MINOR,
        SHMETRICS_VERSION_PATCH);
    CHECK(strcmp(shmetrics_version(), EXPECTED_VERSION) == 0); /* the package's, given by run.sh */
    CHECK(strcmp(shmetrics_version(), SHMETRICS_VERSION) == 0);
    CHECK(strcmp(composed, SHMETRICS_VERSION) == 0);
    CHECK(SHMETRICS_VERSION_NUMBER
        == SHMETRICS_VERSION_MAJOR * 10000 + SHMETRICS_VERSION_MINOR * 100 + SHMETRICS_VERSION_PATCH);
}

void test_errors(void) {
    every_status_has_a_text();
    the_detail_is_cut_to_fit();
    the_last_one_counts();
    each_thread_has_its_own();
    the_version();
}
