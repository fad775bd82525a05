#include "appliance/status/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ring/clock.h"

static bool failed(char fault[ASK_FAULT_BYTES], const char *text) {
    snprintf(fault, ASK_FAULT_BYTES, "%s", text);
    return false;
}

/* Until the socket is ready for that, or until then. */
static bool ready_by(int fd, short events, uint64_t until_ms, char fault[ASK_FAULT_BYTES]) {
    struct pollfd poll_fd = {.fd = fd, .events = events};
    for (;;) {
        uint64_t now_ms = ring_clock_ms();
        int result = now_ms >= until_ms ? 0 : poll(&poll_fd, 1, (int)(until_ms - now_ms));
        if (result > 0) return true;
        if (result == 0) return failed(fault, "no answer in time: it hangs, or is very busy");
        if (errno != EINTR) return failed(fault, strerror(errno));
    }
}

/* A connected socket that does not block, or -1. */
static int connect_to(const char *path, int type, char fault[ASK_FAULT_BYTES]) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        (void)failed(fault, "the path of its socket is too long");
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    switch (errno) {
    case ENOENT: (void)failed(fault, "it has no socket: it was not started yet, or cannot start"); break;
    case ECONNREFUSED: (void)failed(fault, "nobody listens on its socket: it has ended"); break;
    case EAGAIN: (void)failed(fault, "it takes no more connections: it hangs, or is very busy"); break;
    case EACCES:
    case EPERM: (void)failed(fault, "this program may not use its socket"); break;
    default: (void)failed(fault, strerror(errno));
    }
    if (fd >= 0) close(fd);
    return -1;
}

static bool line_send(int fd, const char *request, uint64_t until_ms, char fault[ASK_FAULT_BYTES]) {
    size_t sent = 0, length = strlen(request);
    while (sent < length) {
        ssize_t some = send(fd, request + sent, length - sent, MSG_NOSIGNAL);
        if (some >= 0) {
            sent += (size_t)some;
            continue;
        }
        if (errno == EAGAIN) {
            if (!ready_by(fd, POLLOUT, until_ms, fault)) return false;
        } else if (errno != EINTR) {
            return failed(fault, "it closed the connection when it was asked");
        }
    }
    return true;
}

static bool line_take(int fd, char answer[ASK_NODE_BYTES], size_t *count, uint64_t until_ms, char fault[ASK_FAULT_BYTES]) {
    size_t used = 0;
    for (;;) {
        if (!ready_by(fd, POLLIN, until_ms, fault)) return false;
        ssize_t some = recv(fd, answer + used, ASK_NODE_BYTES - used, 0);
        if (some < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (some <= 0) return failed(fault, "it closed the connection before it had answered");
        const char *end = memchr(answer + used, '\n', (size_t)some);
        used += (size_t)some;
        *count = end ? (size_t)(end - answer) : used;
        if (end) return true;
        if (used == ASK_NODE_BYTES) return failed(fault, "its answer is longer than 64 KiB");
    }
}

bool ask_node(const char *path, const char *request, char answer[ASK_NODE_BYTES], size_t *count, char fault[ASK_FAULT_BYTES]) {
    uint64_t until_ms = ring_clock_ms() + ASK_NODE_MS;
    int fd = connect_to(path, SOCK_STREAM, fault);
    if (fd < 0) return false;
    bool good = line_send(fd, request, until_ms, fault) && line_take(fd, answer, count, until_ms, fault);
    close(fd);
    return good;
}

static bool packet_send(int fd, const char *request, int passed, char fault[ASK_FAULT_BYTES]) {
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)request, .iov_len = strlen(request)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (passed >= 0) {
        control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof passed), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), &passed, sizeof passed);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
    }
    for (;;) { /* a new connection has room for one packet */
        if (sendmsg(fd, &message, MSG_NOSIGNAL) >= 0) return true;
        if (errno != EINTR) return failed(fault, "it closed the connection when it was asked");
    }
}

static bool packet_take(int fd, char answer[ASK_INIT_BYTES], size_t *count, uint64_t until_ms, char fault[ASK_FAULT_BYTES]) {
    for (;;) {
        if (!ready_by(fd, POLLIN, until_ms, fault)) return false;
        ssize_t some = recv(fd, answer, ASK_INIT_BYTES, MSG_TRUNC);
        if (some < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (some <= 0) return failed(fault, "it closed the connection before it had answered");
        if (some > ASK_INIT_BYTES) return failed(fault, "its answer is longer than 128 KiB");
        *count = (size_t)some;
        return true;
    }
}

bool ask_init(const char *path, const char *request, int fd, int wait_ms, char answer[ASK_INIT_BYTES], size_t *count,
                      char fault[ASK_FAULT_BYTES]) {
    uint64_t until_ms = ring_clock_ms() + (uint64_t)wait_ms;
    int connection = connect_to(path, SOCK_SEQPACKET, fault);
    if (connection < 0) return false;
    bool good = packet_send(connection, request, fd, fault) && packet_take(connection, answer, count, until_ms, fault);
    close(connection);
    return good;
}
