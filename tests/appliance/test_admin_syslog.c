/* Lines of logs to syslog messages, what of a log is new, and the file by which an appliance's admin console is told what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/admin/admin_appliance.h"
#include "appliance/admin/admin_syslog.h"

static char message[ADMIN_SYSLOG_BYTES];

static void a_message_is_as_rfc_5424_has_it(void **state) {
    (void)state;
    size_t count = admin_syslog_message(message, 1066305255003u, "c0-n1", "heraclius-node", ADMIN_SEVERITY_ERROR, "it \"fails\" ]\x1b[2J");
    assert_string_equal(message, "<131>1 2003-10-16T11:54:15.003Z c0-n1 heraclius-node - - - it \"fails\" ] [2J");
    assert_int_equal(count, strlen(message));
}

static void a_long_line_is_cut(void **state) {
    static char text[3 * ADMIN_SYSLOG_BYTES];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(admin_syslog_message(message, 0, text, text, ADMIN_SEVERITY_INFO, text), ADMIN_SYSLOG_BYTES - 1);
    assert_null(strchr(message, '\n'));
}

static void expect_line(const char *text, bool kernel, enum admin_severity severity, long long since, const char *rest) {
    struct admin_syslog_line line = admin_syslog_line_read(text, kernel);
    assert_int_equal(line.severity, severity);
    assert_int_equal(line.stamped, since >= 0);
    if (since >= 0) assert_int_equal(line.since_boot_ms, since);
    assert_string_equal(line.text, rest);
}

static void lines_have_their_time_and_severity(void **state) {
    (void)state;
    expect_line("[   12.345] 2026-01-31T12:00:00.123Z warn key_retired x", false, ADMIN_SEVERITY_WARNING, 12345,
                "2026-01-31T12:00:00.123Z warn key_retired x");
    expect_line("[123456.007] 2026-01-31T12:00:00.123Z error store_failed", false, ADMIN_SEVERITY_ERROR, 123456007,
                "2026-01-31T12:00:00.123Z error store_failed");
    expect_line("[    0.100] disk: made", false, ADMIN_SEVERITY_INFO, 100, "disk: made");
    expect_line("<3>[    1.234567] ata1: lost", true, ADMIN_SEVERITY_ERROR, 1234, "ata1: lost");
    expect_line("<30>[    1.234567] daemon", true, ADMIN_SEVERITY_INFO, 1234, "daemon");
    expect_line("<x>[ 1.2] y", true, ADMIN_SEVERITY_INFO, -1, "<x>[ 1.2] y");
    expect_line("[99999999999999999999.123] y", false, ADMIN_SEVERITY_INFO, -1, "[99999999999999999999.123] y");
    expect_line("[", false, ADMIN_SEVERITY_INFO, -1, "[");
    expect_line("", true, ADMIN_SEVERITY_INFO, -1, "");
}

static void expect_fresh(struct admin_syslog_mark *mark, const char *text, const char *wanted, bool lacks) {
    size_t fresh;
    bool missing;
    const char *at = admin_syslog_fresh(mark, text, strlen(text), &fresh, &missing);
    assert_int_equal(fresh, strlen(wanted));
    assert_memory_equal(at, wanted, fresh);
    assert_int_equal(missing, lacks);
}

static void of_a_log_each_whole_line_is_new_once(void **state) {
    struct admin_syslog_mark mark = {.tail_bytes = 0};
    (void)state;
    expect_fresh(&mark, "", "", false);
    expect_fresh(&mark, "one\ntw", "one\n", false);
    expect_fresh(&mark, "one\ntwo\n", "two\n", false);
    expect_fresh(&mark, "one\ntwo\n", "", false);
    expect_fresh(&mark, "one\ntwo\nthree\nfour\n", "three\nfour\n", false);
}

static void what_went_by_unseen_is_missing(void **state) {
    struct admin_syslog_mark mark = {.tail_bytes = 0};
    (void)state;
    expect_fresh(&mark, "one\n", "one\n", false);
    expect_fresh(&mark, "nine\nten\n", "nine\nten\n", true);
    expect_fresh(&mark, "nine\nten\neleven\n", "eleven\n", false);
}

/* A full answer begins in the middle of a line. */
static void a_full_answer_loses_its_first_line(void **state) {
    static char text[ADMIN_SYSLOG_LOG_BYTES + 1];
    struct admin_syslog_mark mark = {.tail_bytes = 0};
    size_t fresh;
    bool missing;
    (void)state;
    memset(text, 'x', ADMIN_SYSLOG_LOG_BYTES);
    memcpy(text + 100, "\nwhole\n", 7);
    const char *at = admin_syslog_fresh(&mark, text, ADMIN_SYSLOG_LOG_BYTES, &fresh, &missing);
    assert_int_equal(fresh, 6);
    assert_memory_equal(at, "whole\n", 6);
    assert_false(missing);
    memset(text, 'x', ADMIN_SYSLOG_LOG_BYTES);
    (void)admin_syslog_fresh(&mark, text, ADMIN_SYSLOG_LOG_BYTES, &fresh, &missing);
    assert_int_equal(fresh, 0);
}

static void where_the_collector_is(void **state) {
    char host[256], port[8];
    static const char *const bad[] = {"", ":", ":514", "host", "host:", "host:x", "host:123456", "fe80::1:6514", "[]:6514", "[::1:6514", "a:b:1"};
    (void)state;
    assert_true(admin_syslog_where("192.0.2.1:6514", host, port));
    assert_string_equal(host, "192.0.2.1");
    assert_string_equal(port, "6514");
    assert_true(admin_syslog_where("[2001:db8::1]:6514", host, port));
    assert_string_equal(host, "2001:db8::1");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (admin_syslog_where(bad[i], host, port)) fail_msg("%s", bad[i]);
    }
}

static bool conf_of(struct admin_conf *conf, const char *text) {
    char why[ADMIN_TLS_WHY_BYTES] = "";
    bool good = admin_conf_parse(conf, text, strlen(text), why);
    assert_true(good || why[0] != '\0');
    return good;
}

static void what_the_owner_configured_is_read(void **state) {
    struct admin_conf conf;
    (void)state;
    assert_true(conf_of(&conf, "heraclius-admin 1\nnode c0-n1\nlisten [::]:8443\nclient own:aa\nclient view:bb\nsyslog 192.0.2.1:6514\n"));
    assert_string_equal(conf.node, "c0-n1");
    assert_string_equal(conf.listen, "[::]:8443");
    assert_string_equal(conf.syslog, "192.0.2.1:6514");
    assert_int_equal(conf.clients_count, 2);
    assert_string_equal(conf.clients[1], "view:bb");
    assert_true(conf_of(&conf, "heraclius-admin 1\nnode c0-n1\n"));
    assert_string_equal(conf.listen, "");
}

static void anything_else_is_refused(void **state) {
    struct admin_conf conf;
    char many[ADMIN_CONF_BYTES_MAX] = "heraclius-admin 1\nnode n\n";
    static const char *const bad[] = {"",
                                      "heraclius-admin 2\nnode n\n",
                                      "node n\n",
                                      "heraclius-admin 1\n",
                                      "heraclius-admin 1\nnode n",
                                      "heraclius-admin 1\nnode n\nnode m\n",
                                      "heraclius-admin 1\nnode n\nlisten a b\n",
                                      "heraclius-admin 1\nnode n\nlisten \n",
                                      "heraclius-admin 1\nnode n\nlisten\n",
                                      "heraclius-admin 1\nnode n\n\n",
                                      "heraclius-admin 1\nnode n\nnode \x7f\n",
                                      "heraclius-admin 1\nnode n\ncolour red\n"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (conf_of(&conf, bad[i])) fail_msg("%s", bad[i]);
    }
    for (int i = 0; i < ADMIN_CONF_CLIENTS_MAX; i++) memcpy(many + strlen(many), "client own:a\n", 14);
    assert_true(conf_of(&conf, many));
    memcpy(many + strlen(many), "client own:a\n", 14);
    assert_false(conf_of(&conf, many));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_as_rfc_5424_has_it),        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(lines_have_their_time_and_severity),     cmocka_unit_test(of_a_log_each_whole_line_is_new_once),
        cmocka_unit_test(what_went_by_unseen_is_missing),         cmocka_unit_test(a_full_answer_loses_its_first_line),
        cmocka_unit_test(where_the_collector_is),                 cmocka_unit_test(what_the_owner_configured_is_read),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
