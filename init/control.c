#include "init/control.h"
#include "init/disk.h"
#include "init/program.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH "/run/init/control.sock"

enum { USER_ADMIN = 101, USER_CONSOLE = 102 };

static struct {
    int listener;
    struct {
        int fd;
        uint64_t heard_ms;
    } connections[CONTROL_CONNECTIONS_MAX];
    char answer[CONTROL_ANSWER_BYTES];
    size_t answer_bytes;
} self = {.listener = -1};

void control_start(void) {
    for (unsigned i = 0; i < CONTROL_CONNECTIONS_MAX; i++) self.connections[i].fd = -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = PATH};
    (void)mkdir("/run/init", 0755);
    (void)unlink(PATH);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || chmod(PATH, 0666) < 0 || listen(fd, 8) < 0) {
        say("control: %s: %s", PATH, strerror(errno));
        return;
    }
    self.listener = fd;
}

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void answer(const char *format, ...) {
    size_t room = sizeof self.answer - self.answer_bytes;
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(self.answer + self.answer_bytes, room, format, arguments);
    va_end(arguments);
    if (count > 0 && (size_t)count < room) self.answer_bytes += (size_t)count;
}

static void status(uint64_t now_ms) {
    static const char *const states[] = {"waiting", "running", "good", "cannot"};
    char text[96];
    answer("ok\nuptime_ms=%llu\nstage=%s\n", (unsigned long long)now_ms, stage_name(stage_now()));
    for (enum stage s = 0; s < STAGES; s++) {
        answer("stage.%s=%s%s%s\n", stage_name(s), states[stage_state(s)], stage_text(s)[0] ? " " : "", stage_text(s));
    }
    answer("disk=%s\ndisk_bytes=%llu\n", disk_name(), (unsigned long long)disk_bytes());
    if (text_read("/etc/heraclius/version", text, sizeof text) > 0) answer("image=%s\n", text);
    for (int p = 0; p < PROGRAMS; p++) {
        const struct service *service = program_service((enum program)p);
        answer("program.%s=%s pid=%d restarts=%u %s\n", program_name((enum program)p), service_state_name(service->state), program_pid((enum program)p),
               service->restarts, program_last((enum program)p));
    }
}

static void log_of(const char *name) {
    char *to = self.answer + 3;
    size_t room = sizeof self.answer - 3;
    int program = program_of(name);
    if (program < 0 && strcmp(name, "init") != 0) {
        answer("error no program %s\n", name);
        return;
    }
    answer("ok\n");
    self.answer_bytes += program < 0 ? say_log(to, room) : program_log((enum program)program, to, room);
}

static enum control_wish request(char *line, uint64_t now_ms) {
    char *words[4];
    self.answer_bytes = 0;
    text_clean(line);
    size_t count = text_words(line, words, 4);
    if (count == 1 && strcmp(words[0], "status") == 0) {
        status(now_ms);
    } else if (count == 2 && strcmp(words[0], "log") == 0) {
        log_of(words[1]);
    } else if (count == 2 && strcmp(words[0], "restart") == 0 && program_of(words[1]) >= 0) {
        program_again((enum program)program_of(words[1]), now_ms);
        answer("ok\n");
    } else if (count == 2 && (strcmp(words[0], "reboot") == 0 || strcmp(words[0], "halt") == 0) && strcmp(words[1], "sure") == 0) {
        answer("ok\n");
        return words[0][0] == 'r' ? CONTROL_REBOOT : CONTROL_HALT;
    } else {
        answer("error not understood: %s\n", count ? words[0] : "");
    }
    return CONTROL_NOTHING;
}

static void drop(unsigned i) {
    (void)close(self.connections[i].fd);
    self.connections[i].fd = -1;
}

static void take(uint64_t now_ms) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = accept4(self.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    unsigned place = CONTROL_CONNECTIONS_MAX, oldest = 0;
    for (unsigned i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
        if (self.connections[i].fd < 0) place = i;
        if (self.connections[i].heard_ms < self.connections[oldest].heard_ms) oldest = i;
    }
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == USER_ADMIN || peer.uid == USER_CONSOLE);
    if (known && place == CONTROL_CONNECTIONS_MAX && now_ms - self.connections[oldest].heard_ms >= CONTROL_SILENT_MS) {
        drop(oldest);
        place = oldest;
    }
    if (!known || place == CONTROL_CONNECTIONS_MAX) {
        (void)close(fd);
        return;
    }
    self.connections[place].fd = fd;
    self.connections[place].heard_ms = now_ms;
}

void control_polls(struct pollfd polls[CONTROL_POLLS]) {
    polls[0] = (struct pollfd){.fd = self.listener, .events = POLLIN};
    for (unsigned i = 0; i < CONTROL_CONNECTIONS_MAX; i++) polls[1 + i] = (struct pollfd){.fd = self.connections[i].fd, .events = POLLIN};
}

enum control_wish control_ready(const struct pollfd polls[CONTROL_POLLS], uint64_t now_ms) {
    enum control_wish wish = CONTROL_NOTHING;
    for (unsigned i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
        char line[CONTROL_REQUEST_BYTES];
        if (!polls[1 + i].revents || self.connections[i].fd != polls[1 + i].fd) continue;
        ssize_t count = recv(self.connections[i].fd, line, sizeof line - 1, MSG_DONTWAIT);
        if (count <= 0) {
            if (count == 0 || errno != EAGAIN) drop(i);
            continue;
        }
        if (line[count - 1] == '\n') count--;
        line[count] = '\0';
        self.connections[i].heard_ms = now_ms;
        enum control_wish asked = request(line, now_ms);
        if (asked != CONTROL_NOTHING) wish = asked;
        if (send(self.connections[i].fd, self.answer, self.answer_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) drop(i);
    }
    if (polls[0].revents) take(now_ms);
    return wish;
}
