/*
 * The control socket on hostile bytes (appliance/status/control.c): no node, only the socket's own thread and a snapshot that stands still.
 *
 *   byte 0  bytes handed over at a time (0: all at once)
 *   rest    what is written, before this end is shut
 *
 * Every whole line is answered by one line, a JSON object, in order, up to a line that is too long; then the connection is closed. There is a file of
 * evidence, `kept`, a link beside it, `link`, and what it leads to outside, whose bytes never come out.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "appliance/status/control.h"
#include "merkle/check.h"

enum { INPUT_BYTES_MAX = 3 * CONTROL_REQUEST_BYTES_MAX, LINES_MAX = 64, ANSWERS_BYTES_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static char folder[64];
static const char outside[] = "ffffffff"; /* hex of what is not to come out; in no other answer */

static const char *path_of(const char *name) {
    static char path[sizeof folder + 32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void file_make(const char *name, const char *bytes) {
    FILE *file = fopen(path_of(name), "w");
    CHECK(file && fputs(bytes, file) >= 0 && fclose(file) == 0);
}

static void folder_remove(void) {
    static const char *const names[] = {"evidence/kept", "evidence/link", "outside"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) (void)unlink(path_of(names[i]));
    (void)rmdir(path_of("evidence"));
    (void)unlink(address.sun_path);
    (void)rmdir(folder);
}

static void snapshot(void *context, struct status_node *status) {
    (void)context;
    memset(status, 0, sizeof *status);
    snprintf(status->name, sizeof status->name, "c0-n1");
    status->replica.cluster = 0x00010000;
    status->data = folder;
}

static void decide(void *context) {
    (void)context;
}

static void set_up(void) {
    char text[CONTROL_TEXT_BYTES] = "";
    snprintf(folder, sizeof folder, "/tmp/fuzz-control-XXXXXX");
    CHECK(mkdtemp(folder) && atexit(folder_remove) == 0 && mkdir(path_of("evidence"), 0700) == 0);
    file_make("evidence/kept", "two votes of one member");
    file_make("outside", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    CHECK(symlink("../outside", path_of("evidence/link")) == 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", folder);
    CHECK(control_start(address.sun_path, snapshot, decide, NULL, text));
}

/* How many lines must be answered; *cut: a line follows that is too long. LINES_MAX + 1: too many for one input. */
static uint32_t lines_of(const uint8_t *bytes, size_t count, bool *cut) {
    uint32_t lines = 0;
    *cut = false;
    while (count > 0 && lines <= LINES_MAX) {
        const uint8_t *end = memchr(bytes, '\n', count);
        size_t line = end ? (size_t)(end - bytes) + 1 : count;
        *cut = line > CONTROL_REQUEST_BYTES_MAX || (!end && line == CONTROL_REQUEST_BYTES_MAX);
        if (*cut || !end) break;
        lines++;
        bytes += line;
        count -= line;
    }
    return lines;
}

static char text[ANSWERS_BYTES_MAX];
static size_t used;

/* What has come; false: it has closed. */
static bool answers_take(int fd, int flags) {
    for (;;) {
        ssize_t got = recv(fd, text + used, sizeof text - used, flags);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return true;
        if (got <= 0) return false;
        used += (size_t)got;
        CHECK(used < sizeof text);
    }
}

/* In pieces, each of which costs the socket far more than its bytes: who asks so much must take answers meanwhile, or neither end goes on. */
static void all_sent(int fd, const uint8_t *bytes, size_t count, size_t piece) {
    used = 0;
    for (size_t at = 0; at < count;) {
        size_t some = piece == 0 || piece > count - at ? count - at : piece;
        ssize_t sent = send(fd, bytes + at, some, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd either = {.fd = fd, .events = POLLIN | POLLOUT};
            (void)poll(&either, 1, -1);
            if (!answers_take(fd, MSG_DONTWAIT)) return;
            continue;
        }
        if (sent < 0) return; /* it has closed: too long a line */
        at += (size_t)sent;
    }
}

/* Until it closes; how many whole lines came, each of them an object. */
static uint32_t answers_read(int fd) {
    (void)answers_take(fd, 0);
    uint32_t lines = 0;
    CHECK(memmem(text, used, outside, strlen(outside)) == NULL);
    for (char *at = text, *end; (end = memchr(at, '\n', used - (size_t)(at - text))) != NULL; at = end + 1, lines++) {
        json_t *answer = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, NULL);
        CHECK(json_is_object(answer));
        json_decref(answer);
    }
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool cut;
    if (!folder[0]) set_up();
    if (size < 1 || size > INPUT_BYTES_MAX) return 0;
    uint32_t lines = lines_of(data + 1, size - 1, &cut);
    if (lines > LINES_MAX) return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    all_sent(fd, data + 1, size - 1, data[0]);
    (void)shutdown(fd, SHUT_WR);
    uint32_t answered = answers_read(fd);
    CHECK(cut ? answered <= lines : answered == lines);
    close(fd);
    return 0;
}
