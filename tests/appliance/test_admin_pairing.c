/* Where a pairing code is shown at the machine, and how long (appliance/admin/admin_console.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance/admin/admin_console.h"

static char path[64];
static struct admin_server server;
static struct admin_request request = {.server = &server, .address = "192.0.2.1"};

static bool shown(const char *code) {
    char line[32] = "";
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    assert_non_null(fgets(line, sizeof line, file));
    (void)fclose(file);
    line[strcspn(line, "\n")] = '\0';
    return strcmp(line, code) == 0;
}

static void a_code_is_shown_as_long_as_it_is_good(void **state) {
    (void)state;
    assert_true(admin_pairing_show(&request));
    admin_pairing_expire(&server);
    assert_true(shown(server.sessions.code));
    server.sessions.code_begun_ms -= ADMIN_PAIRING_MS;
    admin_pairing_expire(&server);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(admin_pairing_show(&request)); /* at once */
    assert_true(shown(server.sessions.code));
}

static void a_code_of_a_start_before_is_shown_no_longer(void **state) {
    (void)state;
    assert_true(admin_pairing_show(&request));
    memset(&server.sessions, 0, sizeof server.sessions);
    admin_pairing_expire(&server);
    assert_int_equal(access(path, F_OK), -1);
}

static int begin(void **state) {
    (void)state;
    memset(&server, 0, sizeof server);
    (void)snprintf(path, sizeof path, "/tmp/heraclius-pairing-XXXXXX");
    int fd = mkstemp(path);
    server.pairing_path = path;
    server.code_by_file_alone = true;
    return fd >= 0 && close(fd) == 0 && pthread_mutex_init(&server.lock, NULL) == 0 ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    (void)unlink(path);
    return pthread_mutex_destroy(&server.lock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_code_is_shown_as_long_as_it_is_good, begin, end),
        cmocka_unit_test_setup_teardown(a_code_of_a_start_before_is_shown_no_longer, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
