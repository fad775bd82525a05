/* How long a node is waited for (spec/appliance.md A-24: it answers within 5 seconds): one that takes 4.5 is answered for, by everybody who asks. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/admin/admin.h"
#include "appliance/slots/slots_was.h"
#include "appliance/status/ask.h"
#include "ring/clock.h"

enum { SLOW_MS = 4500, CONTRACT_MS = 5000 };

static char root[64], path[128];

/* A node that answers each connection SLOW_MS after it came, or never. */
struct node {
    int listener;
    bool silent;
    unsigned asked;
};

struct caller {
    int fd;
    bool silent;
};

static void *call_answer(void *context) {
    struct caller *caller = context;
    char line[4096];
    static const char answer[] = "{\"node\":\"n\",\"phase\":\"observing\",\"checkpoint_height\":7,\"metrics\":[]}\n";
    const struct timespec pause = {.tv_sec = SLOW_MS / 1000, .tv_nsec = SLOW_MS % 1000 * 1000000L};
    ssize_t got = recv(caller->fd, line, sizeof line, 0);
    if (got > 0 && !caller->silent) {
        (void)nanosleep(&pause, NULL);
        (void)!send(caller->fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    } else if (got > 0) {
        (void)recv(caller->fd, line, sizeof line, 0); /* until whoever asked has gone */
    }
    close(caller->fd);
    free(caller);
    return NULL;
}

static void *node_run(void *context) {
    struct node *node = context;
    for (int fd; (fd = accept(node->listener, NULL, NULL)) >= 0;) {
        struct caller *caller = malloc(sizeof *caller);
        pthread_t thread;
        if (caller == NULL) abort();
        *caller = (struct caller){.fd = fd, .silent = node->silent};
        __atomic_add_fetch(&node->asked, 1, __ATOMIC_SEQ_CST);
        if (pthread_create(&thread, NULL, call_answer, caller) != 0) abort();
        pthread_detach(thread);
    }
    return NULL;
}

static pthread_t node_start(struct node *node) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    (void)unlink(path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    node->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(node->listener >= 0);
    assert_int_equal(bind(node->listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(node->listener, 16), 0);
    assert_int_equal(pthread_create(&thread, NULL, node_run, node), 0);
    return thread;
}

static void node_end(struct node *node, pthread_t thread) {
    (void)shutdown(node->listener, SHUT_RDWR);
    (void)pthread_join(thread, NULL);
    close(node->listener);
    (void)unlink(path);
}

static int begin(void **state) {
    static const char *const folders[] = {"/data", "/data/public", "/run", "/run/node"};
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/heraclius-ask-XXXXXX");
    if (mkdtemp(root) == NULL) return -1;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", root, folders[i]);
        if (mkdir(path, 0700) != 0) return -1;
    }
    (void)snprintf(path, sizeof path, "%s/data/public/admin.conf", root);
    FILE *conf = fopen(path, "we");
    if (conf == NULL || fclose(conf) != 0) return -1;
    (void)snprintf(path, sizeof path, "%s/run/node/control.sock", root);
    return 0;
}

static int end(void **state) {
    static const char *const left[] = {"/data/public/admin.conf", "/data/public", "/data", "/run/node", "/run", ""};
    (void)state;
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", root, left[i]);
        if (remove(path) != 0) return -1;
    }
    return 0;
}

static void *ask_it(void *good) { /* the console and the trial */
    static char answer[ASK_NODE_BYTES];
    char fault[ASK_FAULT_BYTES];
    size_t count = 0;
    *(bool *)good = ask_node(path, "{\"ask\":\"status\"}\n", answer, &count, fault) && strstr(answer, "observing") != NULL;
    return NULL;
}

static void *admin_asks(void *good) {
    json_t *answer = admin_ask(path, "status");
    *(bool *)good = json_is_string(json_object_get(answer, "phase"));
    json_decref(answer);
    return NULL;
}

static void *was_asks(void *good) {
    struct slots_was was;
    slots_was_ask(&was, root);
    *(bool *)good = strcmp(was.phase, "observing") == 0 && was.height == 7;
    return NULL;
}

static void a_node_that_takes_as_long_as_it_may_is_waited_for(void **state) {
    void *(*const who[])(void *) = {ask_it, admin_asks, was_asks};
    enum { WHO = sizeof who / sizeof who[0] };
    bool good[WHO] = {false};
    struct node node = {.silent = false};
    pthread_t threads[WHO], thread = node_start(&node);
    (void)state;
    _Static_assert((int)ASK_NODE_MS > (int)CONTRACT_MS, "A-24");
    for (size_t i = 0; i < WHO; i++) assert_int_equal(pthread_create(&threads[i], NULL, who[i], &good[i]), 0);
    for (size_t i = 0; i < WHO; i++) (void)pthread_join(threads[i], NULL);
    for (size_t i = 0; i < WHO; i++) assert_true(good[i]);
    node_end(&node, thread);
}

/* Else one that hangs would keep all who look at the admin console waiting, again and again. */
static void one_that_hangs_is_not_waited_for_by_each_request(void **state) {
    struct node node = {.silent = true};
    pthread_t thread = node_start(&node);
    (void)state;
    uint64_t from_ms = ring_clock_ms();
    assert_null(admin_ask(path, "status"));
    assert_true(ring_clock_ms() - from_ms >= ASK_NODE_MS);
    for (int i = 0; i < 1000; i++) assert_null(admin_ask(path, "status"));
    assert_int_equal(__atomic_load_n(&node.asked, __ATOMIC_SEQ_CST), 1);
    node_end(&node, thread);
}

/* Each question that it let run out lies in its backlog: the next one must not wait until that is taken. */
static void one_that_takes_no_connection_keeps_nobody_waiting(void **state) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting[16];
    size_t count = 0;
    (void)state;
    (void)unlink(path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    for (bool room = true; room && count < 16;) {
        waiting[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        room = connect(waiting[count++], (const struct sockaddr *)&address, sizeof address) == 0;
    }
    assert_in_range(count, 2, 15);
    assert_null(admin_ask(path, "status"));
    for (size_t i = 0; i < count; i++) close(waiting[i]);
    close(listener);
    (void)unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_that_takes_as_long_as_it_may_is_waited_for, begin, end),
        cmocka_unit_test_setup_teardown(one_that_takes_no_connection_keeps_nobody_waiting, begin, end),
        cmocka_unit_test_setup_teardown(one_that_hangs_is_not_waited_for_by_each_request, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
