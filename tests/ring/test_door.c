/* ring/door.h: behind the first ring no other one is made, in no thread; the ring that is there works, and is used again by another owner. */
#include <liburing.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring/clock.h"
#include "ring/door.h"
#include "ring/loop_private.h"

#define PATIENCE_MS 20000u

enum { WELL = 0, NOT_MADE = 2, NOT_CLOSED = 3, LIVES = 4, DOES_NOT_TALK = 5, NOT_EMPTY = 6, TALKS_ON = 7 };

static const struct loop_config small = {
    .connections_max = 32,
    .receive_buffer_count = 4,
    .receive_buffer_bytes = 8192,
    .send_buffer_count = 8,
};

/* How a child ends that does this: what it cannot take back. */
static int ends(int (*body)(void)) {
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(60);
        _exit(body());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static struct loop *loop_new(void) {
    char error[LOOP_ERROR_BYTES];
    struct loop *loop = NULL;
    return loop_create(&loop, &small, error) == LOOP_OK ? loop : NULL;
}

static int ring_try(void) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    return (int)syscall(SYS_io_uring_setup, 4, &params);
}

static int another_ring(void) {
    struct loop *loop = loop_new();
    if (loop == NULL || ring_try() < 0) {
        return NOT_MADE;
    }
    if (ring_door_close() != 0) {
        return NOT_CLOSED;
    }
    (void)ring_try();
    return LIVES;
}

static int more_of_the_ring_that_is_there(void) {
    struct loop *loop = loop_new();
    if (loop == NULL) {
        return NOT_MADE;
    }
    if (ring_door_close() != 0) {
        return NOT_CLOSED;
    }
    (void)io_uring_register_eventfd(&loop->ring, loop->wake_fd);
    return LIVES;
}

static atomic_bool closed;

static void *thread_main(void *unused) {
    while (!atomic_load(&closed)) {
        (void)usleep(1000);
    }
    (void)ring_try();
    return unused;
}

static int a_thread_that_was_there_before(void) {
    pthread_t thread;
    if (loop_new() == NULL || pthread_create(&thread, NULL, thread_main, NULL) != 0) {
        return NOT_MADE;
    }
    if (ring_door_close() != 0) {
        return NOT_CLOSED;
    }
    atomic_store(&closed, true);
    (void)pthread_join(thread, NULL);
    return LIVES;
}

static void test_no_other_ring_is_made_in_any_thread(void **state) {
    (void)state;
    assert_int_equal(ends(another_ring), 1000 + SIGSYS);
    assert_int_equal(ends(more_of_the_ring_that_is_there), 1000 + SIGSYS);
    assert_int_equal(ends(a_thread_that_was_there_before), 1000 + SIGSYS);
}

/* The loop with itself: listens, connects, accepts, sends and receives. What is open stays so. */
static bool talks(struct loop *loop) {
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    char error[LOOP_ERROR_BYTES], got[8] = "";
    uint16_t port = 0;
    uint32_t out = 0;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (loop_listen(loop, &address, 0, &port, error) != LOOP_OK) {
        return false;
    }
    in->sin_port = htons(port);
    if (loop_connect(loop, &address, 5000, &out) != LOOP_OK) {
        return false;
    }
    for (uint64_t begin = ring_clock_ms(); strcmp(got, "hello") != 0 && ring_clock_ms() - begin < PATIENCE_MS;) {
        struct loop_event event;
        while (loop_next(loop, &event)) {
            if (event.kind == LOOP_ACCEPTED) {
                loop_receive(loop, event.connection);
            } else if (event.kind == LOOP_CONNECTED) {
                struct loop_buffer *buffer = loop_buffer_take(loop);
                memcpy(buffer->bytes, "hello", 5);
                loop_send(loop, event.connection, buffer, 0, 5); /* and kept */
                loop_receive(loop, event.connection);
            } else if (event.kind == LOOP_RECEIVED && event.count == 5) {
                memcpy(got, event.bytes, 5);
            }
        }
        loop_wait(loop, 20);
    }
    return strcmp(got, "hello") == 0;
}

static int the_ring_itself(void) {
    struct loop *loop = loop_new();
    if (loop == NULL) {
        return NOT_MADE;
    }
    if (ring_door_close() != 0) {
        return NOT_CLOSED;
    }
    for (unsigned owner = 0; owner < 6; owner++) { /* more often than it has buffers for, if one were lost each time */
        for (unsigned taken = 0; taken < 2; taken++) {
            (void)loop_buffer_take(loop);
        }
        if (!talks(loop)) {
            return DOES_NOT_TALK;
        }
        if (!loop_empty(loop)) {
            return NOT_EMPTY;
        }
        for (uint32_t i = 0; i < small.connections_max; i++) {
            if (loop->connections[i].used) {
                return TALKS_ON;
            }
        }
        if (loop_counters_of(loop)->connects != 0 || loop_counters_of(loop)->buffers_extra_now != 0) {
            return TALKS_ON;
        }
    }
    loop_destroy(loop);
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? WELL : NOT_CLOSED;
}

static void test_the_ring_that_is_there_talks_and_is_used_again(void **state) {
    (void)state;
    assert_int_equal(ends(the_ring_itself), WELL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_other_ring_is_made_in_any_thread),
        cmocka_unit_test(test_the_ring_that_is_there_talks_and_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
