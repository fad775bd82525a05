/* The audit log of the admin console and pairing on a full disk (appliance/admin/admin_audit.h): a limit of this process's files is the full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/admin/admin_console.h"

enum { PATH_BYTES = 256 };

static char folder[PATH_BYTES];
static struct admin_audit audit;

static const char *path_of(const char *name) {
    static char path[2 * PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static off_t size_of(const char *name) {
    struct stat about;
    return stat(path_of(name), &about) == 0 ? about.st_size : -1;
}

/* Files may become this long; RLIM_INFINITY: there is room. */
static void room(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool add(const char *action) {
    return admin_audit_add(&audit, "test", action, "done", "");
}

/* The file is lines of JSON alone, each with the next number; `actions` names them, oldest first. */
static void holds(const char *const *actions, size_t count) {
    char line[ADMIN_AUDIT_LINE_BYTES];
    FILE *file = fopen(path_of("audit.jsonl"), "r");
    assert_non_null(file);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(fgets(line, sizeof line, file));
        json_t *entry = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(entry);
        assert_int_equal(json_integer_value(json_object_get(entry, "number")), i + 1);
        assert_string_equal(json_string_value(json_object_get(entry, "action")), actions[i]);
        json_decref(entry);
    }
    assert_null(fgets(line, sizeof line, file));
    (void)fclose(file);
    json_t *newest = admin_audit_newest(&audit);
    assert_int_equal(json_array_size(newest), count);
    json_decref(newest);
}

static void what_a_full_disk_took_of_a_line_is_taken_away(void **state) {
    static const char *const actions[] = {"restart", "upgrade", "halt"};
    (void)state;
    assert_true(add("restart"));
    off_t size = size_of("audit.jsonl");
    for (off_t more = 0; more < size - 1; more++) { /* each length of a torn line, which is one byte shorter than the first */
        room((rlim_t)(size + more));
        assert_false(add("reboot"));
        assert_int_equal(size_of("audit.jsonl"), size);
    }
    room(RLIM_INFINITY);
    assert_true(add("upgrade"));
    assert_true(add("halt"));
    holds(actions, 3);
}

static void a_torn_line_is_ended_also_when_the_log_was_opened_on_a_full_disk(void **state) {
    (void)state;
    assert_true(add("restart"));
    off_t size = size_of("audit.jsonl");
    assert_int_equal(truncate(path_of("audit.jsonl"), size - 9), 0);
    (void)close(audit.fd);
    room((rlim_t)(size - 9));
    assert_true(admin_audit_open(&audit, folder));
    assert_false(add("reboot"));
    room(RLIM_INFINITY);
    assert_true(add("halt"));
    json_t *newest = admin_audit_newest(&audit);
    assert_int_equal(json_array_size(newest), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(newest, 0), "action")), "halt");
    json_decref(newest);
}

/* Where the next file cannot be made it goes on as soon as it can. */
static void a_full_log_waits_for_the_next_file(void **state) {
    static const char *const actions[] = {"restart", "halt"};
    static char filler[ADMIN_AUDIT_LINE_BYTES];
    (void)state;
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = '\n';
    while (size_of("audit.jsonl") < ADMIN_AUDIT_BYTES_MAX) assert_int_equal(write(audit.fd, filler, sizeof filler), sizeof filler);
    assert_int_equal(mkdir(path_of("audit.jsonl.new"), 0700), 0);
    assert_false(add("reboot"));
    assert_false(add("reboot"));
    assert_int_equal(size_of("audit.jsonl"), ADMIN_AUDIT_BYTES_MAX);
    assert_int_equal(rmdir(path_of("audit.jsonl.new")), 0);
    assert_int_equal(mkdir(path_of("audit.jsonl.1"), 0700), 0); /* nor can this one go */
    assert_false(add("reboot"));
    assert_int_equal(rmdir(path_of("audit.jsonl.1")), 0);
    char moved[2 * PATH_BYTES];
    (void)snprintf(moved, sizeof moved, "%s/moved", folder);
    assert_int_equal(rename(path_of("audit.jsonl"), moved), 0); /* a call was cut off between its two steps */
    assert_true(add("restart"));
    assert_int_equal(unlink(path_of("moved")), 0);
    assert_true(add("halt"));
    holds(actions, 2);
}

static void pairing_on_a_full_disk_says_so_and_keeps_the_code(void **state) {
    static struct admin_server server;
    struct admin_request request = {.server = &server};
    struct admin_answer answer;
    char body[128];
    (void)state;
    memset(&server, 0, sizeof server);
    server.audit = audit;
    server.code_by_file_alone = true;
    assert_int_equal(pthread_mutex_init(&server.lock, NULL), 0);
    assert_true(admin_pairing_show(&request));
    (void)snprintf(body, sizeof body, "{\"code\": \"%s\", \"role\": \"own\"}", server.sessions.code);
    request.body = body;
    request.content_type = "application/json";
    room(0);
    for (int i = 0; i < 2 * ADMIN_PAIRING_TRIES; i++) {
        answer = admin_api_session_begin(&request);
        assert_int_equal(answer.code, 503);
        assert_non_null(strstr(answer.text, "disk full"));
        assert_string_equal(answer.cookie, "");
        free(answer.text);
    }
    assert_int_equal(server.sessions.numbers, 0);
    char form[128];
    (void)snprintf(form, sizeof form, "code=%s", server.sessions.code);
    struct admin_request by_form = {.server = &server, .body = form, .content_type = "application/x-www-form-urlencoded"};
    answer = admin_page_pair(&by_form);
    assert_int_equal(answer.code, 503);
    assert_non_null(strstr(answer.text, "disk full"));
    free(answer.text);
    room(RLIM_INFINITY);
    answer = admin_api_session_begin(&request);
    assert_int_equal(answer.code, 201);
    assert_non_null(strstr(answer.cookie, ADMIN_COOKIE));
    free(answer.text);
    answer = admin_api_session_begin(&request);
    assert_int_equal(answer.code, 429);
    free(answer.text);
    pthread_mutex_destroy(&server.lock);
}

static struct admin_seldom seldom;

/* Done at this time: how often it was done unseen before it was told; -1: it is not told. */
static int done(const char *what, uint64_t now_ms) {
    struct admin_seldom_one *one = admin_seldom_due(&seldom, now_ms, what);
    if (one == NULL) return -1;
    int untold = (int)one->untold;
    admin_seldom_told(one, now_ms);
    return untold;
}

static void what_costs_nothing_is_told_once_a_minute_with_its_count(void **state) {
    (void)state;
    memset(&seldom, 0, sizeof seldom);
    assert_int_equal(done("a", 1), 0);
    for (uint64_t i = 0; i < 1000; i++) assert_int_equal(done("a", 2 + i), -1);
    assert_int_equal(done("b", 500), 0);
    assert_int_equal(done("a", ADMIN_SELDOM_MS), -1);
    assert_int_equal(done("a", ADMIN_SELDOM_MS + 1), 1001);
    assert_int_equal(done("a", ADMIN_SELDOM_MS + 2), -1);
}

static void what_could_not_be_written_is_still_to_be_told(void **state) {
    (void)state;
    memset(&seldom, 0, sizeof seldom);
    assert_non_null(admin_seldom_due(&seldom, 1, "a"));
    assert_non_null(admin_seldom_due(&seldom, 2, "a"));
}

static void when_it_is_full_whoever_was_told_of_longest_ago_is_forgotten(void **state) {
    char what[16];
    (void)state;
    memset(&seldom, 0, sizeof seldom);
    for (int i = 0; i < ADMIN_SELDOM_MAX; i++) {
        (void)snprintf(what, sizeof what, "%d", i);
        assert_int_equal(done(what, (uint64_t)i + 1), 0);
    }
    assert_int_equal(done("0", ADMIN_SELDOM_MAX + 1), -1);
    assert_int_equal(done("another", ADMIN_SELDOM_MAX + 2), 0);
    assert_int_equal(done("1", ADMIN_SELDOM_MAX + 3), -1);
    assert_int_equal(done("0", ADMIN_SELDOM_MAX + 4), 0);
}

static int folder_make(void **state) {
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    memset(&audit, 0, sizeof audit);
    (void)snprintf(folder, sizeof folder, "/tmp/heraclius-audit-XXXXXX");
    return mkdtemp(folder) != NULL && admin_audit_open(&audit, folder) ? 0 : -1;
}

static int folder_remove(void **state) {
    static const char *const names[] = {"audit.jsonl", "audit.jsonl.1", "audit.jsonl.new", "moved"};
    (void)state;
    room(RLIM_INFINITY);
    (void)close(audit.fd);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) (void)remove(path_of(names[i]));
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_full_disk_took_of_a_line_is_taken_away, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_torn_line_is_ended_also_when_the_log_was_opened_on_a_full_disk, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_full_log_waits_for_the_next_file, folder_make, folder_remove),
        cmocka_unit_test(what_costs_nothing_is_told_once_a_minute_with_its_count),
        cmocka_unit_test(what_could_not_be_written_is_still_to_be_told),
        cmocka_unit_test(when_it_is_full_whoever_was_told_of_longest_ago_is_forgotten),
        cmocka_unit_test_setup_teardown(pairing_on_a_full_disk_says_so_and_keeps_the_code, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
