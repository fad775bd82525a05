/* ring/loop.h against plain blocking sockets on 127.0.0.1. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring/clock.h"
#include "ring/loop_private.h"
#include "tests/ring/support.h"

#define PATIENCE_MS 20000u

static const struct loop_config small = {
    .connections_max = 32,
    .receive_buffer_count = 4,
    .receive_buffer_bytes = 8192,
    .send_buffer_count = 8,
};

static struct loop *loop_new(const struct loop_config *config) {
    char error[LOOP_ERROR_BYTES];
    struct loop *loop;
    if (loop_create(&loop, config, error) != LOOP_OK) {
        fail_msg("%s", error);
    }
    return loop;
}

/* A listening socket of ours with a small receive window, so that a sender is soon stuck. */
static int listener(struct sockaddr_storage *address, int backlog) {
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    socklen_t bytes = sizeof *in;
    int window = 8192;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(address, 0, sizeof *address);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window) == 0);
    assert_int_equal(bind(fd, (struct sockaddr *)in, sizeof *in), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)in, &bytes), 0);
    return fd;
}

static struct loop_event wait_for(struct loop *loop, enum loop_event_kind kind) {
    struct loop_event event = {0};
    for (uint64_t begin = ring_clock_ms(); ring_clock_ms() - begin < PATIENCE_MS;) {
        while (loop_next(loop, &event)) {
            if (event.kind == kind) {
                return event;
            }
        }
        loop_wait(loop, 50);
    }
    fail_msg("event %d did not come", (int)kind);
    return event;
}

static uint32_t connected(struct loop *loop, int listening, int *accepted, const struct sockaddr_storage *address) {
    uint32_t connection;
    assert_int_equal(loop_connect(loop, address, 2000, &connection), LOOP_OK);
    assert_int_equal(wait_for(loop, LOOP_CONNECTED).connection, connection);
    *accepted = accept(listening, NULL, NULL);
    assert_true(*accepted >= 0);
    return connection;
}

/* --- Zero copy --- */

struct stream {
    struct loop *loop;
    uint32_t connection;
    int socket;
    uint64_t written, read;
    bool wrong;
};

static uint8_t byte_at(uint64_t position) {
    return (uint8_t)((position * 2654435761u) >> 13 ^ position);
}

static void read_some(struct stream *stream) {
    uint8_t bytes[65536];
    ssize_t count = recv(stream->socket, bytes, sizeof bytes, MSG_DONTWAIT);
    for (ssize_t i = 0; i < count; i++) {
        stream->wrong = stream->wrong || bytes[i] != byte_at(stream->read + (uint64_t)i);
    }
    stream->read += count > 0 ? (uint64_t)count : 0;
}

/* Fills and sends one buffer and gives it back at once, as soon as the kernel has taken its bytes. False: none is free, or the kernel takes no more
 * for now. */
static bool write_one(struct stream *stream, struct loop_buffer **last) {
    struct loop_buffer *buffer = loop_buffer_take(stream->loop);
    if (buffer == NULL) {
        return false;
    }
    *last = buffer;
    for (uint32_t i = 0; i < LOOP_SEND_BUFFER_BYTES; i++) {
        buffer->bytes[i] = byte_at(stream->written + i);
    }
    stream->written += LOOP_SEND_BUFFER_BYTES;
    loop_send(stream->loop, stream->connection, buffer, 0, LOOP_SEND_BUFFER_BYTES);
    loop_buffer_give(stream->loop, buffer);
    struct loop_event event;
    for (unsigned i = 0; i < 20; i++) {
        while (loop_next(stream->loop, &event)) {
            assert_int_equal(event.kind, LOOP_SENT);
            return true;
        }
        loop_wait(stream->loop, 2);
    }
    return false;
}

static struct stream zero_copy_stream(int *listening) {
    struct loop_config config = small;
    struct sockaddr_storage address;
    config.send_zc_threshold_bytes = 1;
    struct stream stream = {.loop = loop_new(&config)};
    *listening = listener(&address, 8);
    stream.connection = connected(stream.loop, *listening, &stream.socket, &address);
    return stream;
}

static void stream_end(struct stream *stream, int listening) {
    loop_destroy(stream->loop);
    close(stream->socket);
    close(listening);
}

static uint64_t unnotified(const struct loop *loop) {
    return loop_counters_of(loop)->zc_sends - loop_counters_of(loop)->zc_notifications;
}

static void drain(struct stream *stream) {
    struct loop_event event;
    for (uint64_t begin = ring_clock_ms(); stream->read < stream->written || unnotified(stream->loop) > 0;) {
        read_some(stream);
        loop_wait(stream->loop, 1);
        while (loop_next(stream->loop, &event)) {
            assert_int_equal(event.kind, LOOP_SENT);
        }
        assert_true(ring_clock_ms() - begin < PATIENCE_MS);
    }
}

static void test_no_buffer_is_free_before_its_notification(void **state) {
    (void)state;
    int listening;
    struct stream stream = zero_copy_stream(&listening);
    struct loop_buffer *last;
    bool stuck = false;
    for (unsigned round = 0; round < 40; round++) {
        while (write_one(&stream, &last)) {
            /* until all buffers are given back and yet none is free, or the socket takes no more */
        }
        unsigned held = 0;
        for (uint32_t i = 0; i < stream.loop->buffers_made; i++) {
            held += stream.loop->buffers[i].pins > 0;
        }
        assert_int_equal(held, unnotified(stream.loop));
        stuck = stuck || held > 0;
        uint64_t notifications = loop_counters_of(stream.loop)->zc_notifications;
        uint64_t begin = ring_clock_ms();
        while (loop_is_sending(stream.loop, stream.connection) || loop_counters_of(stream.loop)->zc_notifications == notifications) {
            struct loop_event event;
            read_some(&stream);
            loop_wait(stream.loop, 1);
            while (loop_next(stream.loop, &event)) {
            }
            assert_true(ring_clock_ms() - begin < PATIENCE_MS);
        }
    }
    assert_true(stuck); /* the danger was there */
    drain(&stream);
    assert_false(stream.wrong); /* not a byte was overwritten before it had left */
    assert_int_equal(stream.read, stream.written);
    assert_true(loop_counters_of(stream.loop)->buffers_taken > 8 * 3);
    stream_end(&stream, listening);
}

/* The same with a holder who writes into a buffer that waits for its notification: the reader sees it. So the test above can fail. */
static void test_writing_before_the_notification_would_be_seen(void **state) {
    (void)state;
    int listening;
    struct stream stream = zero_copy_stream(&listening);
    struct loop_buffer *last = NULL;
    while (write_one(&stream, &last)) {
    }
    assert_true(unnotified(stream.loop) > 0);
    for (uint32_t i = 0; i < stream.loop->buffers_made; i++) {
        if (stream.loop->buffers[i].pins > 0) {
            memset(stream.loop->buffers[i].bytes, 0xee, LOOP_SEND_BUFFER_BYTES);
        }
    }
    drain(&stream);
    assert_true(stream.wrong);
    stream_end(&stream, listening);
}

static void test_closing_a_stuck_zero_copy_connection_frees_its_buffers(void **state) {
    (void)state;
    int listening;
    struct stream stream = zero_copy_stream(&listening);
    struct loop_buffer *last;
    while (write_one(&stream, &last)) {
    }
    assert_true(unnotified(stream.loop) > 0);
    loop_close(stream.loop, stream.connection);
    for (uint64_t begin = ring_clock_ms(); unnotified(stream.loop) > 0;) {
        struct loop_event event;
        loop_wait(stream.loop, 5);
        assert_false(loop_next(stream.loop, &event));
        assert_true(ring_clock_ms() - begin < PATIENCE_MS);
    }
    struct loop_buffer *all[8];
    for (unsigned i = 0; i < 8; i++) {
        all[i] = loop_buffer_take(stream.loop);
        assert_non_null(all[i]);
    }
    assert_null(loop_buffer_take(stream.loop)); /* one past the limit */
    stream_end(&stream, listening);
}

/* Trimming between sends and receives changes no byte. */
static void test_trimming_loses_nothing(void **state) {
    (void)state;
    struct loop_config config = small;
    struct sockaddr_storage address;
    config.send_memory_max = 20 * LOOP_SEND_BUFFER_BYTES;
    struct stream stream = {.loop = loop_new(&config)};
    int listening = listener(&address, 8);
    struct loop_buffer *many[28];
    struct loop_buffer *last;
    stream.connection = connected(stream.loop, listening, &stream.socket, &address);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 28; i++) {
            many[i] = loop_buffer_take(stream.loop);
            assert_non_null(many[i]);
            memset(many[i]->bytes, 0xee, LOOP_SEND_BUFFER_BYTES);
        }
        assert_null(loop_buffer_take(stream.loop));
        for (unsigned i = 28; i-- > 0;) {
            loop_buffer_give(stream.loop, many[i]);
        }
        loop_trim(stream.loop);
        assert_int_equal(loop_counters_of(stream.loop)->buffers_extra_now, 0);
        while (write_one(&stream, &last)) {
            loop_trim(stream.loop);
        }
        drain(&stream);
        loop_trim(stream.loop);
    }
    assert_false(stream.wrong);
    stream_end(&stream, listening);
}

/* --- Receiving, connecting, waking --- */

struct writer {
    int socket;
    uint64_t bytes;
};

static void *write_all(void *argument) {
    struct writer *writer = argument;
    uint8_t chunk[30000];
    for (uint64_t at = 0; at < writer->bytes; at += sizeof chunk) {
        for (size_t i = 0; i < sizeof chunk; i++) {
            chunk[i] = byte_at(at + i);
        }
        size_t off = 0;
        while (off < sizeof chunk) {
            ssize_t wrote = write(writer->socket, chunk + off, sizeof chunk - off);
            if (wrote <= 0) {
                return NULL;
            }
            off += (size_t)wrote;
        }
    }
    close(writer->socket);
    return NULL;
}

static void test_a_flood_through_four_small_buffers_arrives_in_order(void **state) {
    (void)state;
    struct loop *loop = loop_new(&small);
    char error[LOOP_ERROR_BYTES];
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    uint16_t port;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(loop_listen(loop, &address, 0, &port, error), LOOP_OK);
    in->sin_port = htons(port);
    struct writer writers[3];
    pthread_t threads[3];
    uint64_t got[32] = {0};
    unsigned ended = 0;
    for (size_t i = 0; i < 3; i++) {
        writers[i] = (struct writer){socket(AF_INET, SOCK_STREAM, 0), 6000000};
        assert_int_equal(connect(writers[i].socket, (struct sockaddr *)in, sizeof *in), 0);
        assert_int_equal(pthread_create(&threads[i], NULL, write_all, &writers[i]), 0);
    }
    for (uint64_t begin = ring_clock_ms(); ended < 3;) {
        struct loop_event event;
        loop_wait(loop, 100);
        while (loop_next(loop, &event)) {
            if (event.kind == LOOP_ACCEPTED) {
                loop_receive(loop, event.connection);
            } else if (event.kind == LOOP_RECEIVED) {
                for (size_t i = 0; i < event.count; i++) {
                    assert_int_equal(event.bytes[i], byte_at(got[event.connection] + i));
                }
                got[event.connection] += event.count;
                if (event.count % 7 == 0) {
                    loop_trim(loop); /* with a buffer held, and others filled behind it */
                }
            } else {
                assert_int_equal(event.kind, LOOP_ENDED);
                assert_int_equal(got[event.connection], 6000000);
                loop_close(loop, event.connection);
                ended++;
            }
        }
        assert_true(ring_clock_ms() - begin < PATIENCE_MS);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    loop_destroy(loop);
}

static void test_connect_fails_by_refusal_and_by_time(void **state) {
    (void)state;
    struct loop *loop = loop_new(&small);
    struct sockaddr_storage address;
    int backlog[4];
    uint32_t connection;
    close(listener(&address, 8)); /* nobody listens there now */
    assert_int_equal(loop_connect(loop, &address, 2000, &connection), LOOP_OK);
    assert_int_equal(wait_for(loop, LOOP_CONNECT_FAILED).error, ECONNREFUSED);

    int listening = listener(&address, 0); /* its queue is full: SYNs are dropped */
    for (size_t i = 0; i < 4; i++) {
        backlog[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(backlog[i], (struct sockaddr *)&address, sizeof(struct sockaddr_in));
    }
    uint64_t begin = ring_clock_ms();
    assert_int_equal(loop_connect(loop, &address, 300, &connection), LOOP_OK);
    assert_int_equal(wait_for(loop, LOOP_CONNECT_FAILED).error, ETIMEDOUT);
    assert_true(ring_clock_ms() - begin >= 290 && ring_clock_ms() - begin < 3000);

    assert_int_equal(loop_connect(loop, &address, 5000, &connection), LOOP_OK); /* closed while it connects */
    loop_wait(loop, 0);
    loop_close(loop, connection);
    struct loop_event event;
    for (unsigned i = 0; i < 20; i++) {
        loop_wait(loop, 5);
        assert_false(loop_next(loop, &event));
    }
    assert_false(loop->connections[connection].used);
    for (size_t i = 0; i < 4; i++) {
        close(backlog[i]);
    }
    close(listening);
    loop_destroy(loop);
}

static void test_slots_are_bounded_and_used_again(void **state) {
    (void)state;
    struct loop_config config = small;
    struct sockaddr_storage address;
    uint32_t slots[4];
    config.connections_max = 4;
    struct loop *loop = loop_new(&config);
    int listening = listener(&address, 64);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 4; i++) {
            int accepted;
            slots[i] = connected(loop, listening, &accepted, &address);
            close(accepted);
        }
        uint32_t extra;
        assert_int_equal(loop_connect(loop, &address, 1000, &extra), LOOP_ERR_FULL);
        for (unsigned i = 0; i < 4; i++) {
            loop_close(loop, slots[i]);
        }
        loop_wait(loop, 1); /* the time-outs of the connects complete */
        struct loop_event event;
        while (loop_next(loop, &event)) {
        }
    }
    close(listening);
    loop_destroy(loop);
}

static void *wake(void *argument) {
    loop_wake(argument);
    return NULL;
}

static void test_another_thread_wakes_the_loop(void **state) {
    (void)state;
    struct loop *loop = loop_new(&small);
    for (unsigned i = 0; i < 20; i++) {
        pthread_t thread;
        uint64_t begin = ring_clock_ms();
        assert_int_equal(pthread_create(&thread, NULL, wake, loop), 0);
        (void)wait_for(loop, LOOP_WOKEN);
        assert_true(ring_clock_ms() - begin < 2000);
        pthread_join(thread, NULL);
    }
    loop_destroy(loop);
}

/* --- Restrictions and scarcity --- */

static int raw_operation(struct loop *loop, uint8_t opcode) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);
    struct io_uring_cqe *cqe;
    io_uring_prep_nop(sqe);
    sqe->opcode = opcode;
    io_uring_sqe_set_data64(sqe, 0);
    assert_true(io_uring_submit(&loop->ring) >= 0);
    assert_int_equal(io_uring_wait_cqe(&loop->ring, &cqe), 0);
    int result = cqe->res;
    io_uring_cqe_seen(&loop->ring, cqe);
    return result;
}

static void test_the_ring_refuses_what_it_is_not_for(void **state) {
    (void)state;
    struct loop *loop = loop_new(&small);
    static const uint8_t forbidden[] = {IORING_OP_NOP,      IORING_OP_OPENAT,    IORING_OP_WRITE,   IORING_OP_SENDMSG,
                                        IORING_OP_UNLINKAT, IORING_OP_SOCKET,    IORING_OP_CLOSE,   IORING_OP_SPLICE,
                                        IORING_OP_STATX,    IORING_OP_URING_CMD, IORING_OP_SEND_ZC, IORING_OP_MSG_RING};
    for (size_t i = 0; i < sizeof forbidden; i++) {
        assert_int_equal(raw_operation(loop, forbidden[i]), -EACCES);
    }
    struct iovec piece = {loop->memory, 4096};
    assert_int_equal(io_uring_register_buffers(&loop->ring, &piece, 1), -EACCES);
    loop_destroy(loop);
}

/* Runs the body in a child of its own, since it gives up rights for good; 0 from it is success. */
static void in_child(int (*body)(void)) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(body());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int with_little_memlock(rlim_t bytes, const char *expected) {
    struct rlimit limit = {bytes, bytes};
    struct loop_config config = small;
    struct loop *loop;
    char error[LOOP_ERROR_BYTES];
    config.send_buffer_count = 48;
    config.send_zc_threshold_bytes = 1;
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)) {
        return 2;
    }
    if (loop_create(&loop, &config, error) != LOOP_OK) {
        fprintf(stderr, "%s\n", error);
        return 3;
    }
    if (strstr(loop_note(loop), expected) == NULL) {
        fprintf(stderr, "note: %s\n", loop_note(loop));
        return 4;
    }
    struct loop_buffer *buffer = loop_buffer_take(loop);
    int result = buffer != NULL ? 0 : 5;
    loop_destroy(loop);
    return result;
}

static int tiny_memlock(void) {
    return with_little_memlock(65536, "send buffers not registered");
}

/* Not even the rings: one line that names the limit. */
static int no_memlock(void) {
    struct rlimit limit = {0, 0};
    struct loop *loop;
    char error[LOOP_ERROR_BYTES];
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)) {
        return 2;
    }
    return loop_create(&loop, &small, error) == LOOP_ERR_MEMORY && strstr(error, "memlock limit is 0 KiB") != NULL ? 0 : 3;
}

static int middling_memlock(void) {
    return with_little_memlock(3u << 20, "of 48 send buffers registered: memlock limit is 3072 KiB");
}

static void test_a_small_memlock_limit_is_lived_with_and_noted(void **state) {
    (void)state;
    in_child(tiny_memlock);
    in_child(middling_memlock);
    in_child(no_memlock);
}

static int without_io_uring(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    struct loop *loop;
    char error[LOOP_ERROR_BYTES];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return 2;
    }
    if (loop_create(&loop, &small, error) != LOOP_ERR_UNAVAILABLE || loop != NULL) {
        return 3;
    }
    return strstr(error, "io_uring is not available") != NULL && strchr(error, '\n') == NULL ? 0 : 4;
}

static void test_without_io_uring_the_error_says_what_to_do(void **state) {
    (void)state;
    in_child(without_io_uring);
}

static int few_files(void) {
    struct rlimit limit = {200, 200};
    struct loop_config config = small;
    struct loop *loop;
    char error[LOOP_ERROR_BYTES];
    config.connections_max = 1000;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || loop_create(&loop, &config, error) != LOOP_OK) {
        return 2;
    }
    int result = loop_connections_max(loop) == 136 && strstr(loop_note(loop), "open files limit 200") != NULL ? 0 : 3;
    loop_destroy(loop);
    return result;
}

static void test_a_small_open_files_limit_is_lived_with_and_noted(void **state) {
    (void)state;
    in_child(few_files);
}

/* Few receive buffers are in turn at first. Whoever finds none waits, more come in turn, and nothing is lost; the same rush again finds enough. */
static void test_receive_buffers_come_in_turn_as_they_are_wanted(void **state) {
    (void)state;
    enum { COUNT = 24, EACH = 100 };
    struct loop_config config = small;
    struct sockaddr_storage address;
    config.receive_buffer_count = 32;
    config.connections_max = COUNT;
    struct loop *loop = loop_new(&config);
    int listening = listener(&address, COUNT), accepted[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) loop_receive(loop, connected(loop, listening, &accepted[i], &address));
    loop_wait(loop, 0);
    uint64_t starved = 0;
    for (uint32_t rush = 0; rush < 4; rush++) {
        uint8_t bytes[EACH] = {(uint8_t)rush};
        uint64_t got = 0;
        for (uint32_t i = 0; i < COUNT; i++) assert_int_equal(send(accepted[i], bytes, EACH, 0), EACH);
        for (uint64_t begin = ring_clock_ms(); got < COUNT * EACH && ring_clock_ms() - begin < PATIENCE_MS;) {
            struct loop_event event;
            while (loop_next(loop, &event)) {
                if (event.kind != LOOP_RECEIVED) continue;
                for (size_t i = 0; i < event.count; i++) assert_int_equal(event.bytes[i], i == 0 ? rush : 0);
                got += event.count;
            }
            loop_wait(loop, 50);
        }
        assert_int_equal(got, COUNT * EACH);
        uint64_t now = loop_counters_of(loop)->receive_starved;
        assert_true(rush == 0 ? now > 0 : rush < 3 || now == starved);
        starved = now;
    }
    for (uint32_t i = 0; i < COUNT; i++) close(accepted[i]);
    close(listening);
    loop_destroy(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receive_buffers_come_in_turn_as_they_are_wanted),
        cmocka_unit_test(test_no_buffer_is_free_before_its_notification),
        cmocka_unit_test(test_writing_before_the_notification_would_be_seen),
        cmocka_unit_test(test_closing_a_stuck_zero_copy_connection_frees_its_buffers),
        cmocka_unit_test(test_trimming_loses_nothing),
        cmocka_unit_test(test_a_flood_through_four_small_buffers_arrives_in_order),
        cmocka_unit_test(test_connect_fails_by_refusal_and_by_time),
        cmocka_unit_test(test_slots_are_bounded_and_used_again),
        cmocka_unit_test(test_another_thread_wakes_the_loop),
        cmocka_unit_test(test_the_ring_refuses_what_it_is_not_for),
        cmocka_unit_test(test_a_small_memlock_limit_is_lived_with_and_noted),
        cmocka_unit_test(test_without_io_uring_the_error_says_what_to_do),
        cmocka_unit_test(test_a_small_open_files_limit_is_lived_with_and_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
