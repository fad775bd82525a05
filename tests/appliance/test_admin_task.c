/* An upload as it comes (appliance/admin/admin_task.h): how long, how much, and a disk that fails; with a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance/admin/admin_console.h"

enum { BEGUN_MS = 5000 };

/* One that takes `of_bytes`, begun at BEGUN_MS, into a file that is gone when the test ends. */
static struct admin_server *receiving(uint64_t of_bytes, int flags) {
    static struct admin_server server;
    char path[] = "/tmp/heraclius-task-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    memset(&server, 0, sizeof server);
    assert_int_equal(pthread_mutex_init(&server.lock, NULL), 0);
    server.task = (struct admin_task){.state = ADMIN_TASK_RECEIVING, .fd = open(path, flags | O_CLOEXEC), .of_bytes = of_bytes, .begun_ms = BEGUN_MS};
    assert_true(server.task.fd >= 0);
    (void)close(fd);
    (void)unlink(path);
    return &server;
}

static void over(struct admin_server *server) {
    (void)close(server->task.fd);
    pthread_mutex_destroy(&server->lock);
}

static void an_upload_may_take_600_seconds_and_not_one_millisecond_more(void **state) {
    (void)state;
    struct admin_server *server = receiving(4, O_RDWR);
    assert_true(admin_task_take(server, "a", 1, BEGUN_MS));
    assert_true(admin_task_take(server, "b", 1, BEGUN_MS + 599999));
    assert_true(admin_task_take(server, "c", 1, BEGUN_MS + 600000));
    assert_false(admin_task_take(server, "d", 1, BEGUN_MS + 600001));
    assert_int_equal(server->task.bytes, 3); /* what came too late is not written */
    char kept[8];
    assert_int_equal(pread(server->task.fd, kept, sizeof kept, 0), 3);
    assert_memory_equal(kept, "abc", 3);
    over(server);
}

/* A byte now and then keeps a connection, which is never silent; the time is over all the same. */
static void a_trickle_ends_when_the_time_is_over(void **state) {
    (void)state;
    struct admin_server *server = receiving(1000, O_RDWR);
    uint64_t now_ms = BEGUN_MS, taken = 0;
    while (taken < 1000 && admin_task_take(server, "x", 1, now_ms)) now_ms += 4000, taken++;
    assert_int_equal(taken, 151); /* at 0, 4, ... 600 s */
    over(server);
}

static void more_than_was_announced_is_not_taken(void **state) {
    (void)state;
    struct admin_server *server = receiving(4, O_RDWR);
    assert_false(admin_task_take(server, "abcde", 5, BEGUN_MS));
    assert_true(admin_task_take(server, "abc", 3, BEGUN_MS));
    assert_false(admin_task_take(server, "de", 2, BEGUN_MS));
    assert_true(admin_task_take(server, "d", 1, BEGUN_MS));
    assert_false(admin_task_take(server, "e", 1, BEGUN_MS));
    over(server);
}

/* The rest is swallowed, so that its sender hears why. */
static void a_disk_that_does_not_take_it_is_told_at_the_end(void **state) {
    (void)state;
    struct admin_server *server = receiving(2 * ADMIN_TASK_SYNC_BYTES, O_RDONLY);
    static char part[ADMIN_TASK_SYNC_BYTES];
    assert_true(admin_task_take(server, part, sizeof part, BEGUN_MS));
    assert_true(server->task.write_failed);
    assert_true(admin_task_take(server, part, sizeof part, BEGUN_MS));
    assert_int_equal(server->task.bytes, 2 * ADMIN_TASK_SYNC_BYTES);
    over(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload_may_take_600_seconds_and_not_one_millisecond_more),
        cmocka_unit_test(a_trickle_ends_when_the_time_is_over),
        cmocka_unit_test(more_than_was_announced_is_not_taken),
        cmocka_unit_test(a_disk_that_does_not_take_it_is_told_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
