#include "init/say.h"
#include "init/text.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_BYTES = 32768 };

static struct {
    int console;
    char log[LOG_BYTES]; /* a ring: byte number n lies at n % LOG_BYTES */
    unsigned long written;
    struct {
        enum stage_state state;
        char text[SAY_LINE_BYTES];
    } stages[STAGES];
} self = {.console = -1};

const char *stage_name(enum stage stage) {
    static const char *const names[STAGES] = {"mounts", "modules", "entropy", "watchdog", "clock", "disk", "config", "network", "services"};
    return names[stage];
}

void say_start(void) {
    self.console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
}

static void keep(const char *line, size_t count) {
    for (size_t i = 0; i < count; i++) self.log[self.written++ % LOG_BYTES] = line[i];
}

static void say_line(const char *text) {
    struct timespec now;
    char line[SAY_LINE_BYTES + 64];
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    int count = snprintf(line, sizeof line, "[%5ld.%03ld] %s\n", (long)now.tv_sec, now.tv_nsec / 1000000, text);
    if (count < 0 || (size_t)count >= sizeof line) return;
    keep(line, (size_t)count);
    count = snprintf(line, sizeof line, "heraclius: %s\r\n", text);
    if (self.console >= 0 && count > 0 && write(self.console, line, (size_t)count) < 0) return; /* nobody reads there: the log has it */
}

void say(const char *format, ...) {
    char text[SAY_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_clean(text);
    say_line(text);
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
    if (is_new && text[0]) say("%s: %s%s", stage_name(stage), state == STAGE_CANNOT ? "CANNOT: " : "", text);
}

enum stage_state stage_state(enum stage stage) {
    return self.stages[stage].state;
}

const char *stage_text(enum stage stage) {
    return self.stages[stage].text;
}

enum stage stage_now(void) {
    for (enum stage s = 0; s < STAGES; s++) {
        if (self.stages[s].state == STAGE_CANNOT) return s;
    }
    for (enum stage s = 0; s < STAGES; s++) {
        if (self.stages[s].state != STAGE_GOOD) return s;
    }
    return STAGE_SERVICES;
}

unsigned long say_log(char *out, unsigned long size) {
    unsigned long count = self.written < LOG_BYTES ? self.written : LOG_BYTES;
    if (count > size) count = size;
    for (unsigned long i = 0; i < count; i++) out[i] = self.log[(self.written - count + i) % LOG_BYTES];
    return count;
}
