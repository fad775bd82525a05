#include "init/say.h"
#include "init/log.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct {
    int console, also;
    struct log log;
    struct {
        enum stage_state state;
        char text[SAY_LINE_BYTES];
    } stages[STAGES];
} self = {.console = -1, .also = -1};

const char *const stage_names[STAGES] = {"mounts", "modules", "entropy", "watchdog", "clock", "disk", "config", "network", "services"};
const char *const stage_state_names[STAGE_STATES] = {"waiting", "running", "good", "cannot"};

void say_start(void) {
    self.console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
}

bool say_also(int fd) {
    unsigned first, other;
    bool same = ioctl(self.console, TIOCGDEV, &first) == 0 && ioctl(fd, TIOCGDEV, &other) == 0 && first == other;
    if (self.also >= 0) {
        (void)tcflush(self.also, TCOFLUSH); /* what it did not take would be waited for */
        (void)close(self.also);
    }
    if (same) (void)close(fd);
    self.also = same ? -1 : fd;
    return !same;
}

static void show(int fd, const char *line, size_t count) {
    for (unsigned turn = 0; fd >= 0 && turn < SAY_TRIES; turn++) { /* another may be writing: once more, soon */
        if (write(fd, line, count) >= 0 || errno != EAGAIN) return;
        (void)usleep(SAY_PAUSE_US);
    }
}

void say(const char *format, ...) {
    char text[SAY_LINE_BYTES], line[SAY_LINE_BYTES + 64];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_clean(text);
    log_take(&self.log, text, strlen(text));
    log_take(&self.log, "\n", 1);
    (void)snprintf(line, sizeof line, "heraclius: %s\r\n", text);
    show(self.console, line, strlen(line));
    show(self.also, line, strlen(line));
}

void stage_set(enum stage stage, enum stage_state state, const char *format, ...) {
    char text[SAY_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_clean(text);
    bool is_new = state != self.stages[stage].state || strcmp(text, self.stages[stage].text) != 0;
    self.stages[stage].state = state;
    (void)memcpy(self.stages[stage].text, text, sizeof text);
    if (is_new && text[0]) say("%s: %s%s", stage_names[stage], state == STAGE_CANNOT ? "CANNOT: " : "", text);
}

enum stage_state stage_state(enum stage stage) {
    return self.stages[stage].state;
}

const char *stage_text(enum stage stage) {
    return self.stages[stage].text;
}

enum stage stage_now(void) {
    enum stage now = STAGE_SERVICES;
    for (enum stage s = 0; s < STAGES; s++) {
        if (self.stages[s].state == STAGE_CANNOT) return s;
        if (s < now && self.stages[s].state != STAGE_GOOD) now = s;
    }
    return now;
}

struct log *say_log(void) {
    return &self.log;
}
