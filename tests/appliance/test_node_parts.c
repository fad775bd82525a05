/* The small parts of the node: configuration, blobs, histogram, log, control socket and what heraclius-admin makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/admin/admin.h"
#include "appliance/base/blob.h"
#include "appliance/node/node.h"
#include "appliance/config/node_config.h"
#include "appliance/replica/replica_private.h"
#include "appliance/status/control.h"
#include "appliance/status/histogram.h"
#include "appliance/status/log.h"

static char folder[64];

static int folder_make(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/heraclius-parts-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int folder_remove(void **state) {
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* ---- node.conf ---- */

static bool config_of(const char *text, struct node_config *config, char error[NODE_CONFIG_TEXT_BYTES]) {
    char path[100];
    snprintf(path, sizeof path, "%s/node.conf", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return node_config_load(path, config, error);
}

#define NEEDED "\"system\":\"s.json\",\"addresses\":\"/a.json\",\"key\":\"k\",\"data\":\"d\""

static void a_configuration_is_read_with_paths_beside_it_and_defaults(void **state) {
    (void)state;
    struct node_config *config = malloc(sizeof *config);
    char error[NODE_CONFIG_TEXT_BYTES] = "", path[100];
    assert_true(config_of("{" NEEDED ",\"threads\":\"split\",\"cpus\":{\"wal\":3},\"listen\":[\"127.0.0.1:1\",\"[::1]:2\"],\"log_level\":\"warn\"}",
                          config, error));
    snprintf(path, sizeof path, "%s/s.json", folder);
    assert_string_equal(config->system, path);
    assert_string_equal(config->addresses, "/a.json");
    snprintf(path, sizeof path, "%s/control.sock", folder);
    assert_string_equal(config->control, path);
    assert_int_equal(config->threads.map, THREAD_MAP_SPLIT);
    assert_true(config->threads.pins);
    assert_int_equal(config->threads.cpus[NODE_THREAD_WAL], 3);
    assert_int_equal(config->threads.cpus[NODE_THREAD_NETWORK], -1);
    assert_int_equal(config->threads.verifiers, -1);
    assert_int_equal(config->listen_count, 2);
    assert_int_equal(config->log_level, LOG_LEVEL_WARN);
    free(config);
}

static void each_wrong_configuration_is_refused_by_a_line_that_names_file_and_field(void **state) {
    (void)state;
    static const struct {
        const char *text, *names;
    } cases[] = {
        {"", "line 1"},
        {"[]", "must be an object"},
        {"{\"system\":\"s\"}", "addresses"},
        {"{" NEEDED ",\"sistem\":\"s\"}", "sistem"},
        {"{" NEEDED ",\"threads\":\"many\"}", "threads"},
        {"{" NEEDED ",\"threads\":1}", "threads"},
        {"{" NEEDED ",\"verifiers\":7}", "verifiers"},
        {"{" NEEDED ",\"hashers\":4}", "hashers"},
        {"{" NEEDED ",\"cpus\":{\"gpu\":1}}", "cpus"},
        {"{" NEEDED ",\"cpus\":{\"verify6\":1}}", "cpus"},
        {"{" NEEDED ",\"cpus\":{\"wal\":-1}}", "cpus"},
        {"{" NEEDED ",\"cpus\":{\"wal\":2000}}", "cpus"},
        {"{" NEEDED ",\"listen\":[]}", "listen"},
        {"{" NEEDED ",\"listen\":[1]}", "listen"},
        {"{" NEEDED ",\"listen\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", "listen"},
        {"{" NEEDED ",\"log_level\":\"loud\"}", "log_level"},
        {"{" NEEDED ",\"wal_map_bytes\":1}", "wal_map_bytes"},
        {"{" NEEDED ",\"key\":\"again\"}", "line 1"},
        {"{\"system\":7,\"addresses\":\"a\",\"key\":\"k\",\"data\":\"d\"}", "system"},
    };
    struct node_config *config = malloc(sizeof *config);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char error[NODE_CONFIG_TEXT_BYTES] = "";
        assert_false(config_of(cases[i].text, config, error));
        assert_non_null(strstr(error, "node.conf"));
        assert_non_null(strstr(error, cases[i].names));
        assert_null(strchr(error, '\n'));
    }
    char error[NODE_CONFIG_TEXT_BYTES] = "";
    assert_false(node_config_load("/nowhere/node.conf", config, error));
    assert_non_null(strstr(error, "No such file"));
    free(config);
}

/* ---- blobs ---- */

static unsigned released;
static void on_release(struct blob *blob) {
    released++;
    blob_wrapper_free(blob);
}

static void a_blob_lives_until_its_last_holder_drops_it(void **state) {
    (void)state;
    uint64_t before = blob_live_bytes();
    struct blob *blob = blob_copy("abc", 3);
    assert_int_equal(blob_live_bytes(), before + 3);
    assert_ptr_equal(blob_hold(blob), blob);
    blob_drop(blob);
    assert_memory_equal(blob->bytes, "abc", 3);
    blob_drop(blob);
    assert_int_equal(blob_live_bytes(), before);
    uint8_t foreign[4] = {1};
    struct blob *wrap = blob_wrap(foreign, sizeof foreign, on_release, NULL);
    (void)blob_hold(wrap);
    blob_drop(wrap);
    assert_int_equal(released, 0);
    blob_drop(wrap);
    assert_int_equal(released, 1);
    blob_drop(NULL);
}

/* ---- histogram ---- */

static void a_quantile_is_right_within_a_sixteenth(void **state) {
    (void)state;
    struct histogram *histogram = calloc(1, sizeof *histogram);
    assert_int_equal(histogram_quantile(histogram, 500), 0);
    for (uint64_t value = 1; value <= 100000; value++) histogram_add(histogram, value);
    for (unsigned thousandths = 10; thousandths <= 1000; thousandths += 10) {
        uint64_t exact = 100 * (uint64_t)thousandths, got = histogram_quantile(histogram, thousandths);
        assert_true(got >= exact && got <= exact + exact / 16 + 1);
    }
    assert_int_equal(histogram->count, 100000);
    assert_int_equal(histogram->max, 100000);
    assert_int_equal(histogram_below(histogram, UINT64_MAX), 100000);
    assert_int_equal(histogram_below(histogram, 15), 15);
    histogram_add(histogram, UINT64_MAX);
    histogram_add(histogram, 0);
    assert_int_equal(histogram_quantile(histogram, 1000), UINT64_MAX);
    free(histogram);
}

/* ---- log ---- */

/* What log_event writes on stderr while `act` runs. */
static size_t logged(void (*act)(void), char *out, size_t room) {
    int pipes[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipes), 0);
    assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
    close(pipes[1]);
    act();
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    size_t used = 0;
    ssize_t got;
    while ((got = read(pipes[0], out + used, room - 1 - used)) > 0) used += (size_t)got;
    close(pipes[0]);
    out[used] = '\0';
    return used;
}

static void log_many(void) {
    for (int i = 0; i < 1000; i++) log_event(LOG_LEVEL_WARN, "storm", "n=%d", i);
}

static void log_hostile(void) {
    char quoted[80];
    log_event(LOG_LEVEL_INFO, "hostile", "name=%s raw=%s", log_quote("a\"b\\c\n\x01", quoted, sizeof quoted), "x\ny");
}

static void a_storm_of_one_event_is_cut_and_counted(void **state) {
    (void)state;
    static char text[1 << 20];
    uint64_t before = log_suppressed();
    logged(log_many, text, sizeof text);
    unsigned lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
    assert_true(lines >= LOG_BURST && lines <= LOG_BURST + LOG_PER_SECOND + 1);
    assert_int_equal(log_suppressed() - before, 1000 - lines);
}

static void a_line_stays_one_line_whatever_is_in_it(void **state) {
    (void)state;
    static char text[4096];
    logged(log_hostile, text, sizeof text);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, "info hostile name=\"a\\\"b\\\\c\\x0a\\x01\" raw=x y"));
}

/* ---- control socket and admin ---- */

static void snapshot(void *context, struct status_node *status) {
    (void)context;
    memset(status, 0, sizeof *status);
    snprintf(status->name, sizeof status->name, "c0-n1");
    status->ready = true;
    status->replica.phase = PHASE_VOTING;
    status->replica.cluster = 0x00010000;
    status->replica.final_height = 77;
    status->replica.drops[DROP_MALFORMED] = 5;
    status->replica.attacks[ATTACK_FLOOD] = 2;
    histogram_add(&status->replica.commit_us, 3000);
    status->clock_difference_ms = -5000;
    status->wal_map_bytes = UINT64_C(64) << 30;
    status->replica.members = 4;
    status->prune_holder = 2;
}

static unsigned decided;

static void decide(void *context) {
    (void)context;
    decided++;
}

static void the_control_socket_answers_and_survives_nonsense(void **state) {
    (void)state;
    char path[100], text[CONTROL_TEXT_BYTES] = "";
    snprintf(path, sizeof path, "%s/control.sock", folder);
    struct control *control = control_start(path, snapshot, decide, NULL, text);
    assert_non_null(control);
    assert_null(control_start(path, snapshot, decide, NULL, text));
    assert_non_null(strstr(text, "running already"));
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 07, 0);
    json_t *status = admin_ask(path, "status");
    assert_int_equal(json_integer_value(json_object_get(status, "height")), 77);
    assert_int_equal(json_integer_value(json_object_get(status, "clock_difference_ms")), -5000);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(status, "wal"), "held_back_by_member")), 2);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(status, "dropped"), "malformed")), 5);
    json_decref(status);
    json_t *asked = admin_ask(path, "decide");
    assert_true(json_is_false(json_object_get(asked, "voted")) && decided == 1);
    json_decref(asked);
    json_t *wrong = admin_ask(path, "x\\\"},{");
    assert_non_null(json_object_get(wrong, "error"));
    json_decref(wrong);
    /* A line without an end, and more connections than there are places for. */
    int fds[40];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    for (int i = 0; i < 40; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address, sizeof address), 0);
    }
    char garbage[8192];
    memset(garbage, 'x', sizeof garbage);
    (void)send(fds[0], garbage, sizeof garbage, MSG_NOSIGNAL);
    for (int i = 0; i < 40; i++) close(fds[i]);
    usleep(50000);
    json_t *ready = admin_ask(path, "ready");
    assert_true(json_is_true(json_object_get(ready, "ready")));
    json_decref(ready);
    control_stop(control);
    assert_int_not_equal(stat(path, &about), 0);
}

static void a_node_is_called_what_was_said_at_the_start(void **state) {
    (void)state;
    struct admin_nodes nodes = {.count = 0};
    static const char *const good[][2] = {{"/run/a/c0-n1/control.sock", "c0-n1"}, {"c0-n2/control.sock", "c0-n2"}, {"s0-n1=/run/x=y.sock", "s0-n1"},
                                          {"/run/other.sock", "/run/other.sock"}, {"control.sock", "control.sock"},
                                          {"a b/control.sock", "a b/control.sock"}, {"c0/n4=/x", "c0/n4=/x"}};
    static const char *const bad[] = {"=x", "a b=x", "c0-n3=", "c0-n1=/run/other", "c0-n2/control.sock", "/run/other.sock"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(admin_nodes_add(&nodes, good[i][0]));
        assert_string_equal(admin_nodes_name(&nodes, i), good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(admin_nodes_add(&nodes, bad[i]));
    while (nodes.count < ADMIN_SOCKETS_MAX) {
        static char words[ADMIN_SOCKETS_MAX][16];
        snprintf(words[nodes.count], 16, "n%zu=/x", nodes.count);
        assert_true(admin_nodes_add(&nodes, words[nodes.count]));
    }
    assert_false(admin_nodes_add(&nodes, "last=/x"));
}

static void admin_shows_the_living_and_names_the_dead(void **state) {
    (void)state;
    char path[100], word[120], text[CONTROL_TEXT_BYTES] = "";
    snprintf(path, sizeof path, "%s/a.sock", folder);
    struct control *control = control_start(path, snapshot, decide, NULL, text);
    assert_non_null(control);
    struct admin_nodes nodes = {.count = 0};
    snprintf(word, sizeof word, "known=%s", path);
    assert_true(admin_nodes_add(&nodes, word) && admin_nodes_add(&nodes, "/nowhere.sock"));
    bool good = true;
    char *ready = admin_ready_text(&nodes, &good);
    assert_false(good);
    assert_non_null(strstr(ready, "known ready voting"));
    assert_non_null(strstr(ready, "/nowhere.sock not ready down"));
    char *status = admin_status_text(&nodes);
    json_t *parsed = json_loads(status, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(parsed, "nodes")), 2);
    const json_t *living = json_array_get(json_object_get(parsed, "nodes"), 0), *dead = json_array_get(json_object_get(parsed, "nodes"), 1);
    assert_string_equal(json_string_value(json_object_get(living, "node")), "known");
    assert_string_equal(json_string_value(json_object_get(living, "says")), "c0-n1");
    assert_string_equal(json_string_value(json_object_get(dead, "node")), "/nowhere.sock");
    json_decref(parsed);
    char *metrics = admin_metrics_text(&nodes);
    assert_non_null(strstr(metrics, "heraclius_up{node=\"known\"} 1"));
    assert_non_null(strstr(metrics, "heraclius_up{node=\"/nowhere.sock\"} 0"));
    assert_non_null(strstr(metrics, "heraclius_height{node=\"known\"} 77"));
    assert_non_null(strstr(metrics, "heraclius_clock_difference_ms{node=\"known\"} -5000\n"));
    assert_non_null(strstr(metrics, "heraclius_wal_map_bytes{node=\"known\"} 68719476736\n"));
    assert_non_null(strstr(metrics, "heraclius_dropped_total{node=\"known\",cause=\"malformed\"} 5"));
    assert_non_null(strstr(metrics, "heraclius_commit_seconds_bucket{node=\"known\",le=\"+Inf\"} 1"));
    assert_null(strstr(strstr(metrics, "# TYPE heraclius_dropped_total") + 1, "# TYPE heraclius_dropped_total")); /* each family once */
    free(ready);
    free(status);
    free(metrics);
    control_stop(control);
}

/* A node that is not ours: one answer, whatever it is asked. */
static void *stranger_answers(void *context) {
    static const char answer[] =
        "{\"node\":\"a\\\"} 1\\nheraclius_up{node=\\\"c0-n2\",\"metrics\":["
        "{\"name\":\"good\",\"type\":\"gauge\\nforged 1\",\"help\":\"one\\nforged 2\",\"value\":3,"
        "\"labels\":{\"node\":\"c0-n2\",\"__name__\":\"heraclius_up\",\"bad-key\":\"x\",\"key\":\"a\\\"b\\\\c\\nforged 3\"}},"
        "{\"name\":\"forged 4\\nforged\",\"value\":5},{\"name\":\"\",\"value\":5},{\"name\":\"heraclius_up\",\"value\":5},{\"value\":5},7]}\n";
    char question[64];
    int fd = accept(*(int *)context, NULL, NULL);
    if (fd >= 0 && recv(fd, question, sizeof question, 0) > 0) (void)send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    if (fd >= 0) close(fd);
    return NULL;
}

static void what_a_node_calls_itself_ends_no_line_of_metrics(void **state) {
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    char path[100];
    snprintf(path, sizeof path, "%s/stranger.sock", folder);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, stranger_answers, &fd), 0);
    struct admin_nodes nodes = {.paths = {path}, .names = {"c0-n1"}, .count = 1};
    char *metrics = admin_metrics_text(&nodes);
    pthread_join(thread, NULL);
    assert_string_equal(metrics, "# HELP heraclius_up 1 if the node answers on its control socket\n# TYPE heraclius_up gauge\n"
                                 "heraclius_up{node=\"c0-n1\"} 1\n"
                                 "# HELP good one\\nforged 2\n# TYPE good untyped\n"
                                 "good{node=\"c0-n1\",key=\"a\\\"b\\\\c\\nforged 3\"} 3\n");
    free(metrics);
    /* Nor does it keep what others tell from being shown. */
    char own[100], text[CONTROL_TEXT_BYTES] = "";
    snprintf(own, sizeof own, "%s/own.sock", folder);
    struct control *control = control_start(own, snapshot, decide, NULL, text);
    assert_non_null(control);
    nodes = (struct admin_nodes){.paths = {path, own}, .names = {"c0-n0", "c0-n1"}, .count = 2};
    assert_int_equal(pthread_create(&thread, NULL, stranger_answers, &fd), 0);
    metrics = admin_metrics_text(&nodes);
    pthread_join(thread, NULL);
    assert_non_null(strstr(metrics, "\ngood{node=\"c0-n0\",key"));
    assert_non_null(strstr(metrics, "\nheraclius_height{node=\"c0-n1\"} 77\n"));
    free(metrics);
    control_stop(control);
    close(fd);
}

/* ---- statements of successors ---- */

static struct node *successors_node;
static uint64_t successors_now_ms;

static void successors_look(void) {
    node_successors_look(successors_node, successors_now_ms);
}

static bool refused_at(uint64_t now_ms) {
    char text[2000];
    successors_now_ms = now_ms;
    logged(successors_look, text, sizeof text);
    return strstr(text, "successor_refused") != NULL;
}

static void a_refused_statement_is_looked_at_again_by_the_next_config_and_after_a_minute(void **state) {
    (void)state;
    char path[200];
    struct node *node = successors_node = calloc(1, sizeof *node);
    assert_non_null(node);
    node->replica = calloc(1, sizeof *node->replica);
    assert_non_null(node->replica);
    snprintf(node->config.data, sizeof node->config.data, "%s", folder);
    snprintf(path, sizeof path, "%s/successors", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(refused_at(5000));
    snprintf(path, sizeof path, "%s/successors/0123456789abcdef0123456789abcdef.statement", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_true(refused_at(6000));
    assert_false(refused_at(7000));
    assert_false(refused_at(65000));
    assert_true(refused_at(66000));
    assert_false(refused_at(67000));
    node->replica->config.members.serial = 1;
    assert_true(refused_at(68000));
    assert_false(refused_at(69000));
    free(node->replica);
    free(node);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_is_read_with_paths_beside_it_and_defaults),
        cmocka_unit_test(each_wrong_configuration_is_refused_by_a_line_that_names_file_and_field),
        cmocka_unit_test(a_blob_lives_until_its_last_holder_drops_it),
        cmocka_unit_test(a_quantile_is_right_within_a_sixteenth),
        cmocka_unit_test(a_storm_of_one_event_is_cut_and_counted),
        cmocka_unit_test(a_line_stays_one_line_whatever_is_in_it),
        cmocka_unit_test(a_refused_statement_is_looked_at_again_by_the_next_config_and_after_a_minute),
        cmocka_unit_test(the_control_socket_answers_and_survives_nonsense),
        cmocka_unit_test(a_node_is_called_what_was_said_at_the_start),
        cmocka_unit_test(admin_shows_the_living_and_names_the_dead),
        cmocka_unit_test(what_a_node_calls_itself_ends_no_line_of_metrics),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
