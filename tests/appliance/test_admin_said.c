/* What init and senders say goes into answers, the audit log and the support bundle of the admin console, whatever bytes it is of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "appliance/admin/admin_console.h"

enum { PATH_BYTES = 128 };

static char folder[64], init_path[PATH_BYTES], audit_path[PATH_BYTES];
static struct admin_nodes nodes;
static struct admin_server server;
static const char *init_text; /* NULL: init takes the question and ends */

/* One packet for one. */
static void *init_answers(void *context) {
    char question[64];
    int fd = accept(*(const int *)context, NULL, NULL);
    if (fd >= 0 && recv(fd, question, sizeof question, 0) > 0 && init_text != NULL) (void)send(fd, init_text, strlen(init_text), MSG_NOSIGNAL);
    if (fd >= 0) (void)close(fd);
    return NULL;
}

static struct admin_answer answered(admin_handler *handler, const char *body, const char *says) {
    struct admin_request request = {.server = &server, .method = "POST", .path = "", .tls = true, .content_type = "application/json", .body = body,
                                    .role = ADMIN_OWN, .who = "test"};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    init_text = says;
    memcpy(address.sun_path, init_path, strlen(init_path) + 1);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(pthread_create(&thread, NULL, init_answers, &fd), 0);
    struct admin_answer answer = handler(&request);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)close(fd);
    (void)unlink(init_path);
    return answer;
}

static json_t *object_of(const struct admin_answer *answer) {
    assert_non_null(answer->text);
    json_t *object = json_loads(answer->text, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_is_object(object));
    free(answer->text);
    return object;
}

static void says(const json_t *object, const char *name, const char *text) {
    assert_non_null(json_object_get(object, name));
    assert_string_equal(json_string_value(json_object_get(object, name)), text);
}

static void what_init_says_is_told_whatever_its_bytes(void **state) {
    (void)state;
    struct admin_answer answer = answered(admin_api_reboot, "{\"sure\":true}", "error not now: \xFF\xC3=\x1B\x7F\n");
    assert_int_equal(answer.code, 502);
    json_t *object = object_of(&answer), *entries = admin_audit_newest(&server.audit);
    says(object, "error", "error not now: ?\?=?\?");
    says(json_array_get(entries, 0), "outcome", "failed");
    says(json_array_get(entries, 0), "detail", "error not now: ?\?=?\?");
    json_decref(entries);
    json_decref(object);
}

/* A fault repeats what a sender wrote, and is cut where its room ends. */
static void a_text_that_is_cut_within_a_letter_is_told(void **state) {
    (void)state;
    struct admin_answer answer = admin_answer_error(422, "card.kind: is \"x\xC3\xA4\xC3");
    assert_int_equal(answer.code, 422);
    json_t *object = object_of(&answer);
    says(object, "error", "card.kind: is \"x???");
    json_decref(object);
    assert_true(admin_audit_add(&server.audit, "test", "claim", "refused", "\xC3\xA4\xC3"));
    json_t *entries = admin_audit_newest(&server.audit);
    says(json_array_get(entries, 0), "detail", "???");
    json_decref(entries);
}

/* Under ASan: nothing is left behind. */
static void a_bundle_is_made_of_what_there_is(void **state) {
    (void)state;
    struct admin_answer answer = answered(admin_api_support, "", NULL); /* init hangs, or has ended */
    assert_int_equal(answer.code, 200);
    json_t *bundle = object_of(&answer), *machine = json_object_get(bundle, "machine"), *logs = json_object_get(machine, "logs");
    assert_string_equal(json_string_value(json_array_get(json_object_get(machine, "status"), 0)), "init does not answer");
    assert_string_equal(json_string_value(json_array_get(json_object_get(logs, "kernel"), 0)), "init does not answer");
    json_decref(bundle);
    server.init_path = NULL; /* no appliance */
    struct admin_request request = {.server = &server, .who = "another"};
    answer = admin_api_support(&request);
    bundle = object_of(&answer);
    assert_true(json_is_null(json_object_get(bundle, "machine")));
    json_decref(bundle);
}

/* A line of `length` bytes, whatever it was asked. */
static struct {
    int fd;
    size_t length;
} node;

static void *node_answers(void *unused) {
    char question[64], *line = malloc(node.length);
    int fd = accept(node.fd, NULL, NULL);
    assert_non_null(line);
    memset(line, ' ', node.length);
    line[node.length - 1] = '\n';
    if (fd >= 0 && recv(fd, question, sizeof question, 0) > 0) {
        for (size_t sent = 0; sent < node.length;) {
            ssize_t some = send(fd, line + sent, node.length - sent, MSG_NOSIGNAL);
            if (some <= 0) break;
            sent += (size_t)some;
        }
    }
    if (fd >= 0) (void)close(fd);
    free(line);
    return unused;
}

static bool taken(const char *what, size_t length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    size_t bytes = 0;
    memcpy(address.sun_path, init_path, strlen(init_path) + 1);
    node.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    node.length = length;
    assert_int_equal(bind(node.fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(node.fd, 4), 0);
    assert_int_equal(pthread_create(&thread, NULL, node_answers, NULL), 0);
    char *said = admin_ask_text(init_path, what, &bytes);
    assert_true(said == NULL || bytes == length);
    free(said);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)close(node.fd);
    (void)unlink(init_path);
    return said != NULL;
}

/* What JSON makes of an answer in memory is many times as long. */
static void no_answer_is_longer_than_a_node_may_make_it(void **state) {
    (void)state;
    assert_true(taken("status", 65536) && taken("metrics", 65537) && taken("metrics", 262144));
    assert_false(taken("status", 65537) || taken("ready", 65537) || taken("evidence", 65537) || taken("metrics", 262145));
}

static int begin(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/heraclius-said-XXXXXX");
    if (mkdtemp(folder) == NULL) return -1;
    (void)snprintf(init_path, sizeof init_path, "%s/init", folder);
    (void)snprintf(audit_path, sizeof audit_path, "%s/audit.jsonl", folder);
    server = (struct admin_server){.nodes = &nodes, .init_path = init_path, .state_path = folder};
    bool good = admin_audit_open(&server.audit, folder) && admin_history_start(&server.history, &nodes) &&
                admin_queues_start(&server.queues, &nodes) && pthread_mutex_init(&server.lock, NULL) == 0;
    return good ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    json_decref(server.exposure);
    free(server.history.series);
    admin_queues_end(&server.queues);
    (void)pthread_mutex_destroy(&server.lock);
    (void)close(server.audit.fd);
    (void)unlink(audit_path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_init_says_is_told_whatever_its_bytes, begin, end),
        cmocka_unit_test_setup_teardown(a_text_that_is_cut_within_a_letter_is_told, begin, end),
        cmocka_unit_test_setup_teardown(a_bundle_is_made_of_what_there_is, begin, end),
        cmocka_unit_test_setup_teardown(no_answer_is_longer_than_a_node_may_make_it, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
