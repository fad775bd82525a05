/* The io_uring loop: see loop.h. Buffers to send from are in loop_buffers.c.
 *
 * user_data of every operation: op 8 bits | buffer index 24 | connection slot 32. A slot is used again only when all its operations have
 * completed, so no generation is needed. */
#include "ring/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ring/check.h"
#include "ring/clock.h"
#include "ring/loop_private.h"

enum loop_op { OP_ACCEPT = 1, OP_RECEIVE, OP_SEND, OP_CONNECT, OP_CONNECT_TIMEOUT, OP_CANCEL, OP_WAKE };

#define RECEIVE_GROUP 0
#define SQ_ENTRIES 512u
#define CQ_ENTRIES 4096u
#define ACCEPT_RETRY_MS 100u
#define LISTEN_RETRY_MS 20u
#define FILES_SPARE 64u /* descriptors for the rest of the process */

static uint64_t pack(enum loop_op op, uint32_t buffer, uint32_t slot) {
    return (uint64_t)op << 56 | (uint64_t)buffer << 32 | slot;
}

static struct io_uring_sqe *sqe_take(struct loop *loop) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);
    while (sqe == NULL) { /* the queue is full: the kernel takes it over */
        loop->counters.submits++;
        int result = io_uring_submit(&loop->ring);
        RING_CHECK(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
        sqe = io_uring_get_sqe(&loop->ring);
    }
    return sqe;
}

/* --- Setting up --- */

static void explain_unavailable(char *error, const char *what, int code) {
    if (code == -EMFILE || code == -ENFILE) {
        snprintf(error, LOOP_ERROR_BYTES, "io_uring %s: %s; raise the limit of open files (ulimit -n)", what, strerror(-code));
        return;
    }
    snprintf(error, LOOP_ERROR_BYTES,
             "io_uring %s: %s; needs Linux 6.1 or newer, sysctl kernel.io_uring_disabled=0, and a container profile that allows io_uring", what,
             strerror(-code));
}

/* liburing 2.3 declares the two calls below but its shared library does not export them. */
static int ring_register(const struct loop *loop, unsigned what, const void *argument, unsigned count) {
    return syscall(SYS_io_uring_register, loop->ring.ring_fd, what, argument, count) < 0 ? -errno : 0;
}

/* Only what is used below, so that code which got hold of the ring can do no more than talk (DESIGN section 8). */
static int restrict_ring(struct loop *loop, bool zero_copy) {
    static const uint8_t operations[] = {IORING_OP_ACCEPT,       IORING_OP_RECV,         IORING_OP_SEND, IORING_OP_CONNECT,
                                         IORING_OP_LINK_TIMEOUT, IORING_OP_ASYNC_CANCEL, IORING_OP_READ};
    struct io_uring_restriction list[sizeof operations + 3];
    unsigned count = 0;
    memset(list, 0, sizeof list);
    for (size_t i = 0; i < sizeof operations; i++) {
        list[count].opcode = IORING_RESTRICTION_SQE_OP;
        list[count++].sqe_op = operations[i];
    }
    if (zero_copy) {
        list[count].opcode = IORING_RESTRICTION_SQE_OP;
        list[count++].sqe_op = IORING_OP_SEND_ZC;
    }
    list[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    list[count++].sqe_flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT | IOSQE_IO_LINK;
    list[count].opcode = IORING_RESTRICTION_REGISTER_OP;
    list[count++].register_op = IORING_REGISTER_FILES_UPDATE;
    return ring_register(loop, IORING_REGISTER_RESTRICTIONS, list, count);
}

static int receive_buffers_make(struct loop *loop) {
    size_t ring_bytes = loop->config.receive_buffer_count * sizeof(struct io_uring_buf);
    size_t bytes = (size_t)loop->config.receive_buffer_count * loop->config.receive_buffer_bytes;
    void *ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    loop->receive_ring = ring == MAP_FAILED ? NULL : ring;
    loop->receive_memory = memory == MAP_FAILED ? NULL : memory;
    loop->spare = calloc(loop->config.receive_buffer_count, sizeof *loop->spare);
    if (loop->receive_ring == NULL || loop->receive_memory == NULL || loop->spare == NULL) {
        return -ENOMEM;
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)loop->receive_ring,
        .ring_entries = loop->config.receive_buffer_count,
        .bgid = RECEIVE_GROUP,
    };
    int result = io_uring_register_buf_ring(&loop->ring, &registration, 0);
    if (result < 0) {
        return result;
    }
    io_uring_buf_ring_init(loop->receive_ring);
    loop_receive_begin(loop);
    return 0;
}

/* The table of registered files counts against RLIMIT_NOFILE; the soft limit is raised as far as it may. */
static void files_limit(struct loop *loop) {
    struct rlimit limit;
    RING_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlim_t wanted = loop->config.connections_max + FILES_SPARE;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        RING_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    }
    if (limit.rlim_cur < wanted) {
        loop->config.connections_max = limit.rlim_cur > 2 * FILES_SPARE ? (uint32_t)limit.rlim_cur - FILES_SPARE : FILES_SPARE;
        loop_note_add(loop, "connections limited to %u by the open files limit %u", loop->config.connections_max, (unsigned)limit.rlim_cur);
    }
}

/* Without CAP_IPC_LOCK the rings count against RLIMIT_MEMLOCK, which all processes of a user share: smaller ones do as well, only slower. */
static int ring_setup(struct loop *loop) {
    int result = -ENOMEM;
    for (unsigned shrink = 0; shrink <= 4 && result == -ENOMEM; shrink++) {
        struct io_uring_params params = {
            .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                     IORING_SETUP_SUBMIT_ALL,
            .cq_entries = CQ_ENTRIES >> shrink,
        };
        result = io_uring_queue_init_params(SQ_ENTRIES >> shrink, &loop->ring, &params);
        if (result == 0 && shrink > 0) {
            loop_note_add(loop, "io_uring queues of %u entries: memlock limit", SQ_ENTRIES >> shrink);
        }
    }
    return result;
}

static enum loop_status ring_make(struct loop *loop, char error[LOOP_ERROR_BYTES]) {
    int result = ring_setup(loop);
    if (result == -ENOMEM) {
        struct rlimit limit = {0};
        (void)getrlimit(RLIMIT_MEMLOCK, &limit);
        snprintf(error, LOOP_ERROR_BYTES,
                 "no locked memory for io_uring: the memlock limit is %llu KiB for all of the user's processes; raise it (ulimit -l)",
                 (unsigned long long)limit.rlim_cur / 1024);
        return LOOP_ERR_MEMORY;
    }
    if (result < 0) {
        explain_unavailable(error, "is not available", result);
        return LOOP_ERR_UNAVAILABLE;
    }
    loop->ring_made = true;
    result = io_uring_register_files_sparse(&loop->ring, loop->config.connections_max);
    if (result < 0) {
        explain_unavailable(error, "cannot register files", result);
        return LOOP_ERR_UNAVAILABLE;
    }
    result = receive_buffers_make(loop);
    if (result < 0) {
        explain_unavailable(error, "cannot provide receive buffers", result);
        return result == -ENOMEM ? LOOP_ERR_MEMORY : LOOP_ERR_UNAVAILABLE;
    }
    if (!loop_buffers_make(loop)) {
        snprintf(error, LOOP_ERROR_BYTES, "no memory for send buffers");
        return LOOP_ERR_MEMORY;
    }
    result = restrict_ring(loop, loop->config.send_zc_threshold_bytes != 0);
    if (result == 0) {
        result = ring_register(loop, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    }
    if (result < 0) {
        explain_unavailable(error, "cannot be restricted", result);
        return LOOP_ERR_UNAVAILABLE;
    }
    return LOOP_OK;
}

static void wake_arm(struct loop *loop) {
    struct io_uring_sqe *sqe = sqe_take(loop);
    io_uring_prep_read(sqe, loop->wake_fd, &loop->wake_word, sizeof loop->wake_word, 0);
    io_uring_sqe_set_data64(sqe, pack(OP_WAKE, 0, 0));
}

enum loop_status loop_create(struct loop **out, const struct loop_config *config, char error[LOOP_ERROR_BYTES]) {
    *out = NULL;
    error[0] = 0;
    RING_CHECK(config->connections_max > 0 && config->connections_max <= LOOP_CONNECTIONS_MAX);
    RING_CHECK(config->receive_buffer_count > 0 && config->receive_buffer_count <= 32768 && config->receive_buffer_bytes > 0);
    RING_CHECK((config->receive_buffer_count & (config->receive_buffer_count - 1)) == 0);
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        snprintf(error, LOOP_ERROR_BYTES, "no memory");
        return LOOP_ERR_MEMORY;
    }
    loop->config = *config;
    loop->held_buffer = -1;
    loop->wake_fd = -1;
    for (size_t i = 0; i < LOOP_LISTENERS_MAX; i++) {
        loop->listeners[i].fd = -1;
    }
    files_limit(loop);
    loop->connections = calloc(loop->config.connections_max, sizeof *loop->connections);
    loop->rearm_slots = calloc(loop->config.connections_max, sizeof *loop->rearm_slots);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC);
    enum loop_status status = LOOP_ERR_MEMORY;
    if (loop->connections != NULL && loop->rearm_slots != NULL && loop->wake_fd >= 0) {
        for (uint32_t i = loop->config.connections_max; i-- > 0;) {
            loop->connections[i] = (struct loop_connection){.fd = -1, .next_free = loop->free_connection};
            loop->free_connection = i + 1; /* 0: none */
        }
        status = ring_make(loop, error);
    } else {
        bool files = errno == EMFILE || errno == ENFILE;
        snprintf(error, LOOP_ERROR_BYTES, "no memory or no descriptor for the network loop: %s%s", strerror(errno),
                 files ? "; raise the limit of open files (ulimit -n)" : "");
    }
    if (status != LOOP_OK) {
        loop_destroy(loop);
        return status;
    }
    wake_arm(loop);
    *out = loop;
    return LOOP_OK;
}

void loop_destroy(struct loop *loop) {
    if (loop == NULL) {
        return;
    }
    if (loop->ring_made) {
        io_uring_queue_exit(&loop->ring);
    }
    for (uint32_t i = 0; loop->connections != NULL && i < loop->config.connections_max; i++) {
        if (loop->connections[i].fd >= 0) {
            close(loop->connections[i].fd);
        }
    }
    for (size_t i = 0; i < LOOP_LISTENERS_MAX; i++) {
        if (loop->listeners[i].fd >= 0) {
            close(loop->listeners[i].fd);
        }
    }
    if (loop->wake_fd >= 0) {
        close(loop->wake_fd);
    }
    if (loop->receive_ring != NULL) {
        munmap(loop->receive_ring, loop->config.receive_buffer_count * sizeof(struct io_uring_buf));
    }
    if (loop->receive_memory != NULL) {
        munmap(loop->receive_memory, (size_t)loop->config.receive_buffer_count * loop->config.receive_buffer_bytes);
    }
    loop_buffers_free(loop);
    free(loop->connections);
    free(loop->rearm_slots);
    free(loop->spare);
    free(loop);
}

/* --- Connections --- */

static struct loop_connection *connection_at(struct loop *loop, uint32_t slot) {
    RING_CHECK(slot < loop->config.connections_max && loop->connections[slot].used);
    return &loop->connections[slot];
}

static uint32_t slot_of(const struct loop *loop, const struct loop_connection *connection) {
    return (uint32_t)(connection - loop->connections);
}

/* Puts the socket in a free slot and in the table of registered files. NULL: full; the socket stays the caller's. */
static struct loop_connection *connection_new(struct loop *loop, int fd) {
    if (loop->free_connection == 0) {
        return NULL;
    }
    uint32_t slot = loop->free_connection - 1;
    struct loop_connection *connection = &loop->connections[slot];
    if (io_uring_register_files_update(&loop->ring, slot, &fd, 1) != 1) {
        return NULL;
    }
    loop->free_connection = connection->next_free;
    memset(connection, 0, sizeof *connection);
    connection->fd = fd;
    connection->used = true;
    return connection;
}

static void connection_release(struct loop *loop, struct loop_connection *connection) {
    if (connection->closed && connection->operations == 0) {
        connection->used = false;
        connection->next_free = loop->free_connection;
        loop->free_connection = slot_of(loop, connection) + 1;
    }
}

static void socket_options(int fd) {
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* only latency depends on it */
}

static socklen_t address_bytes(const struct sockaddr_storage *address) {
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static void accept_arm(struct loop *loop, uint32_t listener) {
    struct io_uring_sqe *sqe = sqe_take(loop);
    io_uring_prep_multishot_accept(sqe, loop->listeners[listener].fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, pack(OP_ACCEPT, 0, listener));
    loop->listeners[listener].armed = true;
}

/* Bound and listening; -1 with errno. */
static int listener_make(const struct sockaddr_storage *address) {
    int one = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, (const struct sockaddr *)address, address_bytes(address)) == 0 && listen(fd, 1024) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* The kernel takes a ring apart after its process has ended, and its sockets with it: a node begun anew right after a crash finds its port in use
 * for some milliseconds yet, so that is no fault until LOOP_LISTEN_MS have passed. */
enum loop_status loop_listen(struct loop *loop, const struct sockaddr_storage *address, uint32_t listener, uint16_t *port,
                             char error[LOOP_ERROR_BYTES]) {
    RING_CHECK(listener < LOOP_LISTENERS_MAX && loop->listeners[listener].fd < 0);
    const struct timespec pause = {.tv_nsec = LISTEN_RETRY_MS * 1000000L};
    uint64_t begin_ms = ring_clock_ms();
    int fd = listener_make(address);
    while (fd < 0 && errno == EADDRINUSE && ring_clock_ms() - begin_ms < LOOP_LISTEN_MS) {
        (void)nanosleep(&pause, NULL);
        fd = listener_make(address);
    }
    struct sockaddr_storage bound = *address;
    socklen_t bytes = sizeof bound;
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&bound, &bytes) != 0) {
        snprintf(error, LOOP_ERROR_BYTES, "%s", strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return LOOP_ERR_SOCKET;
    }
    socket_options(fd); /* accepted sockets inherit it */
    *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port : ((struct sockaddr_in *)&bound)->sin_port);
    loop->listeners[listener].fd = fd;
    accept_arm(loop, listener);
    return LOOP_OK;
}

void loop_listen_stop(struct loop *loop) {
    for (uint32_t i = 0; i < LOOP_LISTENERS_MAX; i++) {
        if (loop->listeners[i].fd >= 0 && !loop->listeners[i].stopped) {
            loop->listeners[i].stopped = true;
            (void)shutdown(loop->listeners[i].fd, SHUT_RDWR); /* ends the multishot accept; the port stays ours until loop_destroy */
        }
    }
}

enum loop_status loop_connect(struct loop *loop, const struct sockaddr_storage *address, uint32_t timeout_ms, uint32_t *slot) {
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return LOOP_ERR_SOCKET;
    }
    struct loop_connection *connection = connection_new(loop, fd);
    if (connection == NULL) {
        close(fd);
        return LOOP_ERR_FULL;
    }
    socket_options(fd);
    *slot = slot_of(loop, connection);
    connection->connecting = true;
    connection->address = *address;
    connection->timeout = (struct __kernel_timespec){.tv_sec = timeout_ms / 1000, .tv_nsec = (long long)(timeout_ms % 1000) * 1000000};
    connection->operations = 2;
    if (io_uring_sq_space_left(&loop->ring) < 2) { /* the two must be submitted together */
        loop->counters.submits++;
        (void)io_uring_submit(&loop->ring);
    }
    struct io_uring_sqe *sqe = sqe_take(loop);
    io_uring_prep_connect(sqe, (int)*slot, (const struct sockaddr *)&connection->address, address_bytes(address));
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK;
    io_uring_sqe_set_data64(sqe, pack(OP_CONNECT, 0, *slot));
    sqe = sqe_take(loop);
    io_uring_prep_link_timeout(sqe, &connection->timeout, 0);
    io_uring_sqe_set_data64(sqe, pack(OP_CONNECT_TIMEOUT, 0, *slot));
    loop->counters.connects++;
    return LOOP_OK;
}

static void receive_arm(struct loop *loop, struct loop_connection *connection) {
    struct io_uring_sqe *sqe = sqe_take(loop);
    io_uring_prep_recv_multishot(sqe, (int)slot_of(loop, connection), NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = RECEIVE_GROUP;
    io_uring_sqe_set_data64(sqe, pack(OP_RECEIVE, 0, slot_of(loop, connection)));
    connection->operations++;
    connection->rearm = false;
}

void loop_receive(struct loop *loop, uint32_t slot) {
    struct loop_connection *connection = connection_at(loop, slot);
    RING_CHECK(!connection->closed && !connection->connecting);
    receive_arm(loop, connection);
}

static void send_submit(struct loop *loop, struct loop_connection *connection) {
    struct loop_buffer *buffer = connection->buffer;
    struct io_uring_sqe *sqe = sqe_take(loop);
    uint32_t slot = slot_of(loop, connection);
    uint8_t *bytes = buffer->bytes + connection->send_offset;
    bool zero_copy = loop->config.send_zc_threshold_bytes != 0 && connection->send_count >= loop->config.send_zc_threshold_bytes;
    if (!zero_copy) {
        io_uring_prep_send(sqe, (int)slot, bytes, connection->send_count, MSG_NOSIGNAL | MSG_WAITALL);
    } else {
        io_uring_prep_send_zc(sqe, (int)slot, bytes, connection->send_count, MSG_NOSIGNAL | MSG_WAITALL, LOOP_ZC_REPORT_USAGE);
        if (buffer->registered) {
            sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
            sqe->buf_index = (uint16_t)buffer->index;
        }
        loop->counters.zc_sends++;
        connection->zero_copy_pending++;
    }
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, pack(OP_SEND, buffer->index, slot));
    buffer->pins++;
    connection->operations++;
    connection->zero_copy = zero_copy;
    loop->counters.sends++;
}

void loop_send(struct loop *loop, uint32_t slot, struct loop_buffer *buffer, uint32_t offset, uint32_t count) {
    struct loop_connection *connection = connection_at(loop, slot);
    RING_CHECK(!connection->closed && connection->buffer == NULL && buffer->taken);
    RING_CHECK(count > 0 && offset <= LOOP_SEND_BUFFER_BYTES && count <= LOOP_SEND_BUFFER_BYTES - offset);
    connection->buffer = buffer;
    connection->send_offset = offset;
    connection->send_count = count;
    connection->send_total = count;
    send_submit(loop, connection);
}

size_t loop_send_at_once(struct loop *loop, uint32_t slot, const struct loop_buffer *buffer, uint32_t offset, uint32_t count) {
    struct loop_connection *connection = connection_at(loop, slot);
    RING_CHECK(!connection->closed && !connection->connecting && connection->buffer == NULL && buffer->taken);
    RING_CHECK(count > 0 && offset <= LOOP_SEND_BUFFER_BYTES && count <= LOOP_SEND_BUFFER_BYTES - offset);
    if (loop->config.send_zc_threshold_bytes != 0 && count >= loop->config.send_zc_threshold_bytes) {
        return 0;
    }
    ssize_t took = send(connection->fd, buffer->bytes + offset, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    loop->counters.sends_at_once++;
    if (took <= 0) { /* full, or at its end: the next loop_send hears of that */
        return 0;
    }
    loop->counters.send_bytes += (uint64_t)took;
    return (size_t)took;
}

bool loop_is_sending(const struct loop *loop, uint32_t slot) {
    RING_CHECK(slot < loop->config.connections_max);
    return loop->connections[slot].buffer != NULL;
}

void loop_close(struct loop *loop, uint32_t slot) {
    struct loop_connection *connection = connection_at(loop, slot);
    int none = -1;
    RING_CHECK(!connection->closed);
    connection->closed = true;
    connection->buffer = NULL;
    if (connection->connecting) {
        struct io_uring_sqe *sqe = sqe_take(loop);
        io_uring_prep_cancel64(sqe, pack(OP_CONNECT, 0, slot), 0);
        io_uring_sqe_set_data64(sqe, pack(OP_CANCEL, 0, slot));
        connection->operations++;
        /* The connect must reach the kernel before its slot in the table of files is emptied. */
        loop->counters.submits++;
        (void)io_uring_submit(&loop->ring);
    }
    if (connection->zero_copy_pending > 0) { /* drop what the peer does not take, or its buffers stay pinned for minutes */
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    (void)shutdown(connection->fd, SHUT_RDWR);
    RING_CHECK(io_uring_register_files_update(&loop->ring, slot, &none, 1) == 1);
    (void)close(connection->fd);
    connection->fd = -1;
    connection_release(loop, connection);
}

/* --- Completions --- */

static void held_buffer_recycle(struct loop *loop) {
    if (loop->held_buffer < 0) {
        return;
    }
    loop_receive_give(loop, (uint32_t)loop->held_buffer);
    loop->held_buffer = -1;
}

static bool on_accept(struct loop *loop, uint32_t listener, int result, bool more, struct loop_event *event) {
    if (!more) {
        loop->listeners[listener].armed = false;
        loop->listeners[listener].retry_ms = result < 0 ? ring_clock_ms() + ACCEPT_RETRY_MS : 0;
        loop->rearm = true;
    }
    if (result < 0) {
        loop->counters.accept_failures += !loop->listeners[listener].stopped;
        return false;
    }
    socklen_t bytes = sizeof event->address;
    memset(&event->address, 0, sizeof event->address);
    struct loop_connection *connection = NULL;
    if (!loop->listeners[listener].stopped && getpeername(result, (struct sockaddr *)&event->address, &bytes) == 0) {
        connection = connection_new(loop, result);
    }
    if (connection == NULL) {
        close(result);
        loop->counters.accept_failures++;
        return false;
    }
    loop->counters.accepts++;
    event->kind = LOOP_ACCEPTED;
    event->connection = slot_of(loop, connection);
    event->listener = listener;
    return true;
}

static bool on_connect(struct loop *loop, struct loop_connection *connection, int result, struct loop_event *event) {
    connection->connecting = false;
    if (connection->closed) {
        return false;
    }
    event->kind = LOOP_CONNECTED;
    event->connection = slot_of(loop, connection);
    if (result < 0) {
        event->kind = LOOP_CONNECT_FAILED;
        event->error = result == -ECANCELED ? ETIMEDOUT : -result;
        loop->counters.connect_failures++;
        loop_close(loop, event->connection);
    }
    return true;
}

/* The receive ended by itself, mostly for want of a buffer: it goes on at the next loop_wait. */
static void receive_again(struct loop *loop, struct loop_connection *connection) {
    if (loop->rearm_count == loop->config.connections_max) { /* many slots changed hands since the last loop_wait */
        receive_arm(loop, connection);
        return;
    }
    connection->rearm = loop->rearm = true;
    loop->rearm_slots[loop->rearm_count++] = slot_of(loop, connection);
}

static bool on_receive(struct loop *loop, struct loop_connection *connection, const struct io_uring_cqe *cqe, struct loop_event *event) {
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        loop->held_buffer = (int32_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        RING_CHECK((uint32_t)loop->held_buffer < loop->config.receive_buffer_count);
    }
    if (connection->closed) {
        return false;
    }
    bool starved = cqe->res == -ENOBUFS;
    if ((cqe->flags & IORING_CQE_F_MORE) == 0 && (cqe->res > 0 || starved)) {
        receive_again(loop, connection);
    }
    if (starved) {
        loop_receive_starved(loop);
        return false;
    }
    event->connection = slot_of(loop, connection);
    if (cqe->res <= 0) {
        event->kind = LOOP_ENDED;
        event->error = -cqe->res;
        return true;
    }
    RING_CHECK(loop->held_buffer >= 0 && (uint32_t)cqe->res <= loop->config.receive_buffer_bytes);
    loop->counters.receives++;
    loop->counters.receive_bytes += (uint64_t)cqe->res;
    event->kind = LOOP_RECEIVED;
    event->bytes = loop->receive_memory + (size_t)loop->held_buffer * loop->config.receive_buffer_bytes;
    event->count = (size_t)cqe->res;
    return true;
}

static bool on_send(struct loop *loop, struct loop_connection *connection, uint32_t buffer, const struct io_uring_cqe *cqe,
                    struct loop_event *event) {
    bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if ((cqe->flags & IORING_CQE_F_NOTIF) != 0) {
        loop->counters.zc_notifications++;
        loop->counters.zc_copied += ((uint32_t)cqe->res & LOOP_ZC_COPIED) != 0;
        connection->zero_copy_pending--;
        loop_buffer_unpin(loop, buffer);
        return false;
    }
    if (!more) { /* a plain send, or a zero-copy one that failed at once */
        connection->zero_copy_pending -= connection->zero_copy_pending > 0 && connection->zero_copy;
        loop_buffer_unpin(loop, buffer);
    }
    if (connection->closed) {
        return false;
    }
    event->connection = slot_of(loop, connection);
    if (cqe->res <= 0) {
        connection->buffer = NULL;
        event->kind = LOOP_ENDED;
        event->error = cqe->res == 0 ? EPIPE : -cqe->res;
        return true;
    }
    uint32_t sent = (uint32_t)cqe->res;
    RING_CHECK(sent <= connection->send_count);
    loop->counters.send_bytes += sent;
    if (sent < connection->send_count) {
        connection->send_offset += sent;
        connection->send_count -= sent;
        send_submit(loop, connection);
        return false;
    }
    connection->buffer = NULL;
    event->kind = LOOP_SENT;
    event->count = connection->send_total;
    return true;
}

static bool dispatch(struct loop *loop, const struct io_uring_cqe *cqe, struct loop_event *event) {
    enum loop_op op = (enum loop_op)(cqe->user_data >> 56);
    uint32_t slot = (uint32_t)cqe->user_data;
    bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    bool has_event = false;
    loop->counters.completions++;
    if (op == OP_ACCEPT) {
        return on_accept(loop, slot, cqe->res, more, event);
    }
    if (op == OP_WAKE) {
        loop->counters.wakes++;
        wake_arm(loop);
        event->kind = LOOP_WOKEN;
        return true;
    }
    struct loop_connection *connection = connection_at(loop, slot);
    RING_CHECK(connection->operations > 0);
    if (op == OP_CONNECT) {
        has_event = on_connect(loop, connection, cqe->res, event);
    } else if (op == OP_RECEIVE) {
        has_event = on_receive(loop, connection, cqe, event);
    } else if (op == OP_SEND) {
        has_event = on_send(loop, connection, (uint32_t)(cqe->user_data >> 32) & 0xffffff, cqe, event);
    }
    if (!more) {
        connection->operations--;
        connection_release(loop, connection);
    }
    return has_event;
}

/* Accepts and receives that ended by themselves go on. */
static void rearm(struct loop *loop) {
    bool again = false;
    uint64_t now_ms = ring_clock_ms();
    for (uint32_t i = 0; i < LOOP_LISTENERS_MAX; i++) {
        if (loop->listeners[i].fd >= 0 && !loop->listeners[i].armed && !loop->listeners[i].stopped) {
            if (loop->listeners[i].retry_ms <= now_ms) {
                accept_arm(loop, i);
            } else {
                again = true;
            }
        }
    }
    for (uint32_t i = 0; i < loop->rearm_count; i++) {
        struct loop_connection *connection = &loop->connections[loop->rearm_slots[i]];
        if (connection->used && !connection->closed && connection->rearm) { /* a slot may have been used again: then this is another's entry */
            receive_arm(loop, connection);
        }
    }
    loop->rearm_count = 0;
    loop->rearm = again;
}

void loop_wait(struct loop *loop, uint32_t timeout_ms) {
    held_buffer_recycle(loop);
    if (loop->rearm) {
        rearm(loop);
        timeout_ms = loop->rearm && timeout_ms > ACCEPT_RETRY_MS ? ACCEPT_RETRY_MS : timeout_ms;
    }
    int result;
    loop->counters.submits++;
    if (timeout_ms == 0 || io_uring_cq_ready(&loop->ring) > 0) {
        result = io_uring_submit_and_get_events(&loop->ring);
    } else {
        struct io_uring_cqe *cqe = NULL;
        struct __kernel_timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long long)(timeout_ms % 1000) * 1000000};
        result = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, timeout_ms == UINT32_MAX ? NULL : &timeout, NULL);
    }
    RING_CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN);
}

bool loop_next(struct loop *loop, struct loop_event *event) {
    held_buffer_recycle(loop);
    struct io_uring_cqe *cqe = NULL;
    while (io_uring_peek_cqe(&loop->ring, &cqe) == 0 && cqe != NULL) {
        struct io_uring_cqe copy = {.user_data = cqe->user_data, .res = cqe->res, .flags = cqe->flags};
        io_uring_cqe_seen(&loop->ring, cqe);
        event->error = 0;
        event->count = 0;
        event->connection = LOOP_CONN_NONE;
        if (dispatch(loop, &copy, event)) {
            return true;
        }
        held_buffer_recycle(loop);
        cqe = NULL;
    }
    return false;
}

void loop_wake(struct loop *loop) {
    uint64_t one = 1;
    ssize_t wrote = write(loop->wake_fd, &one, sizeof one);
    (void)wrote; /* fails only when the counter is full: then it is awake */
}

const struct loop_counters *loop_counters_of(const struct loop *loop) {
    return &loop->counters;
}

const char *loop_note(const struct loop *loop) {
    return loop->note;
}

uint32_t loop_connections_max(const struct loop *loop) {
    return loop->config.connections_max;
}
