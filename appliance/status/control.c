#include "appliance/status/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "appliance/status/log.h"
#include "ring/clock.h"

struct connection {
    int fd; /* -1: free */
    size_t used;
    uint64_t heard_ms;
    char request[CONTROL_REQUEST_BYTES_MAX];
    char *answer; /* malloc'd by jansson, or NULL */
    size_t answer_bytes, answer_sent;
};

struct control {
    pthread_t thread;
    int listener, ending;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    control_snapshot *snapshot;
    control_decide *decide;
    void *context;
    struct status_node status; /* the control thread's copy */
    struct connection connections[CONTROL_CONNECTIONS_MAX];
};

static void connection_close(struct connection *connection) {
    close(connection->fd);
    free(connection->answer);
    connection->fd = -1;
    connection->answer = NULL;
    connection->used = 0;
}

/* The list, or with a "file" a piece of it. */
static json_t *evidence_answer(const struct control *control, const json_t *request) {
    const json_t *file = json_object_get(request, "file"), *from = json_object_get(request, "from");
    if (file == NULL && from == NULL) return control_evidence_json(control->status.data);
    if (!json_is_string(file) || !json_is_integer(from))
        return json_pack("{s:s}", "error", "evidence is asked for by \"file\", a name, and \"from\", a number");
    return control_evidence_piece_json(control->status.data, json_string_value(file), json_integer_value(from));
}

static json_t *answer_to(struct control *control, const char *line, size_t count) {
    json_t *request = json_loadb(line, count, JSON_REJECT_DUPLICATES, NULL);
    const char *ask = json_string_value(json_object_get(request, "ask"));
    json_t *answer = NULL;
    control->snapshot(control->context, &control->status);
    if (ask != NULL && strcmp(ask, "status") == 0) {
        answer = control_status_json(&control->status);
    } else if (ask != NULL && strcmp(ask, "metrics") == 0) {
        answer = control_metrics_json(&control->status);
    } else if (ask != NULL && strcmp(ask, "ready") == 0) {
        answer = json_pack("{s:b,s:s,s:s}", "ready", control->status.ready, "phase", status_phase_name(control->status.replica.phase), "node",
                           control->status.name);
    } else if (ask != NULL && strcmp(ask, "evidence") == 0) {
        answer = evidence_answer(control, request);
    } else if (ask != NULL && strcmp(ask, "decide") == 0) {
        control->decide(control->context);
        answer = json_pack("{s:b}", "voted", control->status.replica.voted);
    } else {
        answer = json_pack("{s:s}", "error", "ask for status, metrics, ready, evidence or decide: {\"ask\":\"status\"}");
    }
    json_decref(request);
    return answer;
}

/* Takes the first whole line out of the request buffer and prepares its answer. */
static void connection_answer(struct control *control, struct connection *connection) {
    char *end = memchr(connection->request, '\n', connection->used);
    if (end == NULL || connection->answer != NULL) {
        if (end == NULL && connection->used == sizeof connection->request) connection_close(connection);
        return;
    }
    size_t line_bytes = (size_t)(end - connection->request);
    json_t *answer = answer_to(control, connection->request, line_bytes);
    char *text = answer != NULL ? json_dumps(answer, JSON_COMPACT) : NULL;
    json_decref(answer);
    size_t text_bytes = text != NULL ? strlen(text) : 0;
    connection->answer = text != NULL ? realloc(text, text_bytes + 1) : NULL;
    if (connection->answer == NULL) {
        free(text);
        connection_close(connection);
        return;
    }
    connection->answer[text_bytes] = '\n';
    connection->answer_bytes = text_bytes + 1;
    connection->answer_sent = 0;
    connection->used -= line_bytes + 1;
    memmove(connection->request, end + 1, connection->used);
}

static void connection_write(struct control *control, struct connection *connection) {
    ssize_t wrote = send(connection->fd, connection->answer + connection->answer_sent, connection->answer_bytes - connection->answer_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
    if (wrote < 0) {
        if (errno != EAGAIN && errno != EINTR) connection_close(connection);
        return;
    }
    connection->answer_sent += (size_t)wrote;
    if (connection->answer_sent < connection->answer_bytes) return;
    free(connection->answer);
    connection->answer = NULL;
    connection_answer(control, connection);
}

static void connection_read(struct control *control, struct connection *connection) {
    ssize_t got = recv(connection->fd, connection->request + connection->used, sizeof connection->request - connection->used, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) connection_close(connection);
        return;
    }
    connection->used += (size_t)got;
    connection->heard_ms = ring_clock_ms();
    connection_answer(control, connection);
}

static void control_accept(struct control *control) {
    int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
        struct connection *connection = &control->connections[i];
        if (connection->fd >= 0) continue;
        connection->fd = fd;
        connection->used = 0;
        connection->heard_ms = ring_clock_ms();
        return;
    }
    log_event(LOG_LEVEL_WARN, "control_full", "limit=%d", CONTROL_CONNECTIONS_MAX);
    close(fd);
}

static void *control_run(void *context) {
    struct control *control = context;
    struct pollfd polled[2 + CONTROL_CONNECTIONS_MAX];
    pthread_setname_np(pthread_self(), "control");
    for (;;) {
        polled[0] = (struct pollfd){.fd = control->ending, .events = POLLIN};
        polled[1] = (struct pollfd){.fd = control->listener, .events = POLLIN};
        for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
            const struct connection *connection = &control->connections[i];
            polled[2 + i] = (struct pollfd){.fd = connection->fd, .events = connection->answer != NULL ? POLLOUT : POLLIN};
        }
        if (poll(polled, 2 + CONTROL_CONNECTIONS_MAX, 1000) < 0 && errno != EINTR) break;
        if (polled[0].revents != 0) break;
        uint64_t now = ring_clock_ms();
        for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
            struct connection *connection = &control->connections[i];
            if (connection->fd < 0) continue;
            if (polled[2 + i].revents != 0 && connection->answer != NULL)
                connection_write(control, connection);
            else if (polled[2 + i].revents != 0)
                connection_read(control, connection);
            if (connection->fd >= 0 && now > connection->heard_ms + CONTROL_IDLE_MS) connection_close(connection); /* heard_ms may be after now */
        }
        if (polled[1].revents != 0) control_accept(control);
    }
    return NULL;
}

/* A socket file that nobody listens on is left over from a process that died. */
static bool socket_is_live(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool live = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0) close(fd);
    return live;
}

struct control *control_start(const char *path, control_snapshot *snapshot, control_decide *decide, void *context, char text[CONTROL_TEXT_BYTES]) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        snprintf(text, CONTROL_TEXT_BYTES,
                 "control socket %.150s: the path is longer than %zu bytes; choose a shorter one (\"control\" in node.conf)", path,
                 sizeof address.sun_path - 1);
        return NULL;
    }
    struct control *control = calloc(1, sizeof *control);
    if (control == NULL) {
        snprintf(text, CONTROL_TEXT_BYTES, "control socket: no memory");
        return NULL;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    memcpy(control->path, path, strlen(path) + 1);
    control->snapshot = snapshot;
    control->decide = decide;
    control->context = context;
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++) control->connections[i].fd = -1;
    control->ending = eventfd(0, EFD_CLOEXEC);
    control->listener = control->ending >= 0 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (control->listener < 0) {
        snprintf(text, CONTROL_TEXT_BYTES, "control socket %.200s: %s; see ulimit -n (open files)", path, strerror(errno));
        goto failed;
    }
    if (socket_is_live(&address)) {
        snprintf(text, CONTROL_TEXT_BYTES, "control socket %.200s: another process listens there; is this node running already?", path);
        goto failed;
    }
    unlink(path);
    if (bind(control->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, 0660) != 0 || listen(control->listener, 8) != 0) {
        snprintf(text, CONTROL_TEXT_BYTES, "control socket %.200s: %s", path, strerror(errno));
        goto failed;
    }
    if (pthread_create(&control->thread, NULL, control_run, control) != 0) {
        snprintf(text, CONTROL_TEXT_BYTES, "control socket: no thread: %s", strerror(errno));
        unlink(path);
        goto failed;
    }
    return control;
failed:
    if (control->listener >= 0) close(control->listener);
    if (control->ending >= 0) close(control->ending);
    free(control);
    return NULL;
}

void control_stop(struct control *control) {
    if (control == NULL) return;
    uint64_t one = 1;
    ssize_t wrote = write(control->ending, &one, sizeof one);
    (void)wrote; /* an eventfd takes it */
    pthread_join(control->thread, NULL);
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
        if (control->connections[i].fd >= 0) connection_close(&control->connections[i]);
    }
    close(control->listener);
    close(control->ending);
    unlink(control->path);
    free(control);
}
