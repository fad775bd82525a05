/* What init tells of the machine, as metrics (appliance/admin/admin_machine.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/admin/admin_machine.h"

static char *text;

/* As init/control.c says it, on a machine whose image is on trial while the one before it was blessed. */
static const char machine[] = "ok\nuptime_ms=61999\nstage.watchdog=good softdog, 60 s\nwatchdog=softdog, 60 s\ndisk=/dev/vda\n"
                              "disk_bytes=8589934592\ndisk_free=700000000\nconfig_number=3\n"
                              "slot=2\nslot_state=trial\nimage_number=102\nslot_next=2\n"
                              "slot.1=number 101 label one blessed tries 0 done 0 signed\n"
                              "slot.2=number 102 label two trial tries 1 done 1 signed\n"
                              "program.node=up pid=80 restarts=4 ended by signal 9 restarts=99\nprogram.admin=failed pid=0 restarts=0 \n";

static const char *metrics_of(const char *said, const char *node) {
    size_t bytes = 0;
    free(text);
    FILE *out = open_memstream(&text, &bytes);
    admin_machine_metrics(out, said, 2, node);
    (void)fclose(out);
    return text;
}

static void has(const char *line) {
    char whole[256];
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(text, whole) == NULL) fail_msg("no line %s in:\n%s", line, text);
}

static void has_not(const char *words) {
    if (strstr(text, words) != NULL) fail_msg("%s in:\n%s", words, text);
}

static void each_is_told_with_the_nodes_name(void **state) {
    (void)state;
    (void)metrics_of(machine, "c0-n1");
    has("heraclius_machine_up{node=\"c0-n1\"} 1");
    has("heraclius_machine_node_hangs_total{node=\"c0-n1\"} 2");
    has("heraclius_machine_uptime_seconds{node=\"c0-n1\"} 61");
    has("heraclius_machine_disk_bytes{node=\"c0-n1\"} 8589934592");
    has("heraclius_machine_disk_free_bytes{node=\"c0-n1\"} 700000000");
    has("heraclius_machine_config_number{node=\"c0-n1\"} 3");
    has("heraclius_machine_watchdog{node=\"c0-n1\"} 1");
    has("heraclius_machine_image_number{node=\"c0-n1\"} 102");
    has("heraclius_machine_image_on_trial{node=\"c0-n1\"} 1");
    has("heraclius_machine_image_given_up{node=\"c0-n1\"} 0");
    has("heraclius_machine_image_waits{node=\"c0-n1\"} 0");
    has("heraclius_machine_program_up{node=\"c0-n1\",program=\"node\"} 1");
    has("heraclius_machine_program_up{node=\"c0-n1\",program=\"admin\"} 0");
    has("heraclius_machine_program_failed{node=\"c0-n1\",program=\"admin\"} 1");
    has("heraclius_machine_program_restarts_total{node=\"c0-n1\",program=\"node\"} 4");
}

static void of_many_nodes_it_is_nobodys(void **state) {
    (void)state;
    (void)metrics_of(machine, NULL);
    has("heraclius_machine_up 1");
    has("heraclius_machine_program_restarts_total{program=\"node\"} 4");
}

static void an_image_that_fell_back_and_one_that_waits_are_told(void **state) {
    (void)state;
    (void)metrics_of("ok\nslot=1\nslot_state=blessed\nimage_number=101\nslot_next=1\nslot.1=number 101 label one blessed tries 0 done 0 signed\n"
                     "slot.2=number 102 label two unblessed tries 0 done 2 signed\n",
                     "n");
    has("heraclius_machine_image_given_up{node=\"n\"} 1");
    has("heraclius_machine_image_on_trial{node=\"n\"} 0");
    (void)metrics_of("ok\nslot=1\nslot_state=blessed\nimage_number=101\nslot_next=2\nslot.1=number 101 label one blessed tries 0 done 0 signed\n"
                     "slot.2=number 102 label two unblessed tries 2 done 0 signed\n",
                     "n");
    has("heraclius_machine_image_given_up{node=\"n\"} 0");
    has("heraclius_machine_image_waits{node=\"n\"} 1");
}

static void what_is_not_told_is_left_out(void **state) {
    (void)state;
    assert_string_equal(metrics_of(NULL, "n"), "# HELP heraclius_machine_up 1 if init answers on its control socket\n"
                                               "# TYPE heraclius_machine_up gauge\nheraclius_machine_up{node=\"n\"} 0\n"
                                               "# HELP heraclius_machine_node_hangs_total how often the node ran, answered nothing for a minute and "
                                               "was restarted for it\n# TYPE heraclius_machine_node_hangs_total counter\n"
                                               "heraclius_machine_node_hangs_total{node=\"n\"} 2\n");
    (void)metrics_of("ok\ndisk=\ndisk_bytes=0\nstage.watchdog=cannot /dev/watchdog0: No such file\nimage_number=7\n", "n");
    has("heraclius_machine_disk_bytes{node=\"n\"} 0");
    has("heraclius_machine_watchdog{node=\"n\"} 0");
    has("heraclius_machine_image_number{node=\"n\"} 7");
    has_not("disk_free");
    has_not("image_on_trial"); /* it started from no slot */
    has_not("program");
}

static void nonsense_ends_no_line(void **state) {
    (void)state;
    (void)metrics_of("ok\ndisk_free=-1\ndisk_bytes=7x\nuptime_ms=99999999999999999999\nconfig_number=\nimage_number= 5\n"
                     "program.a\"b=up pid=1 restarts=1 \nprogram.=up restarts=1 \nprogram.ok=up pid=1 restarts=x \nprogram.no\n"
                     "program.this-name-is-longer-than-one-may-be=up restarts=1 \nprogram.c=a-state-that-is-too-long restarts=1 \n",
                     "q\"\\n");
    has("heraclius_machine_up{node=\"q\\\"\\\\n\"} 1");
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1)
        assert_true(at[0] == '#' || strncmp(at, "heraclius_machine_up{", 21) == 0 || strncmp(at, "heraclius_machine_node_hangs_total{", 35) == 0);
}

static void no_more_programs_than_the_limit(void **state) {
    char said[4096] = "ok\n";
    size_t count = 0, used = 3;
    (void)state;
    for (int i = 0; i <= ADMIN_PROGRAMS_MAX; i++) used += (size_t)snprintf(said + used, sizeof said - used, "program.p%d=up pid=1 restarts=1 \n", i);
    (void)metrics_of(said, "n");
    for (const char *at = text; (at = strstr(at, "program_up{")) != NULL; at++) count++;
    assert_int_equal(count, ADMIN_PROGRAMS_MAX);
}

static void no_node_takes_their_names(void **state) {
    (void)state;
    assert_true(admin_metric_own("heraclius_machine_up") && admin_metric_own("heraclius_up") && admin_metric_own("heraclius_syslog_sent_total"));
    assert_true(admin_metric_own("heraclius_pair_stuck") && admin_metric_own("heraclius_certificate_ends_seconds"));
    assert_false(admin_metric_own("heraclius_ready") || admin_metric_own("heraclius_up_total") || admin_metric_own("x_heraclius_machine_up"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_told_with_the_nodes_name),
        cmocka_unit_test(of_many_nodes_it_is_nobodys),
        cmocka_unit_test(an_image_that_fell_back_and_one_that_waits_are_told),
        cmocka_unit_test(what_is_not_told_is_left_out),
        cmocka_unit_test(nonsense_ends_no_line),
        cmocka_unit_test(no_more_programs_than_the_limit),
        cmocka_unit_test(no_node_takes_their_names),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(text);
    return failed;
}
