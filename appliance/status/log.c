#include "appliance/status/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ring/clock.h"

/* One bucket of tokens for each event name, found by address of the literal. */
struct event_rate {
    const char *event;
    double tokens;
    int64_t last_ms;
    uint64_t suppressed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct event_rate rates[LOG_EVENTS_MAX];
static enum log_level level_min = LOG_LEVEL_INFO;
static char context[128];
static uint64_t suppressed_total;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_level_set(enum log_level level) {
    level_min = level;
}

void log_context_set(const char *fields) {
    snprintf(context, sizeof context, "%s%s", fields != NULL ? " " : "", fields != NULL ? fields : "");
}

const char *log_quote(const char *text, char *out, size_t room) {
    size_t used = 0;
    if (room < 3) return "";
    out[used++] = '"';
    for (; *text != '\0' && used + 6 < room; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            out[used++] = '\\';
            out[used++] = (char)byte;
        } else if (byte < 0x20 || byte >= 0x7F) {
            used += (size_t)snprintf(out + used, room - used, "\\x%02x", byte);
        } else {
            out[used++] = (char)byte;
        }
    }
    out[used++] = '"';
    out[used] = '\0';
    return out;
}

const char *log_id(const uint8_t *id, char out[17]) {
    for (size_t i = 0; i < 8; i++) snprintf(out + 2 * i, 3, "%02x", id[i]);
    return out;
}

/* True if a line may be written now; *left_out is what was suppressed before it. Called with the lock held. */
static bool rate_take(const char *event, int64_t now_ms, uint64_t *left_out) {
    size_t slot = ((uintptr_t)event >> 2) % LOG_EVENTS_MAX, tries = 0;
    while (rates[slot].event != NULL && rates[slot].event != event && tries++ < LOG_EVENTS_MAX) slot = (slot + 1) % LOG_EVENTS_MAX;
    struct event_rate *rate = &rates[slot];
    if (rate->event != event) {
        rate->event = event;
        rate->tokens = LOG_BURST;
        rate->last_ms = now_ms;
        rate->suppressed = 0;
    }
    rate->tokens += (double)(now_ms - rate->last_ms) * LOG_PER_SECOND / 1000.0;
    if (rate->tokens > LOG_BURST) rate->tokens = LOG_BURST;
    rate->last_ms = now_ms;
    if (rate->tokens < 1.0) {
        rate->suppressed++;
        suppressed_total++;
        return false;
    }
    rate->tokens -= 1.0;
    *left_out = rate->suppressed;
    rate->suppressed = 0;
    return true;
}

void log_event(enum log_level level, const char *event, const char *format, ...) {
    if (level < level_min) return;
    uint64_t wall_ms = ring_clock_wall_ms();
    time_t wall_s = (time_t)(wall_ms / 1000);
    uint64_t left_out = 0;
    pthread_mutex_lock(&lock);
    bool allowed = rate_take(event, (int64_t)ring_clock_ms(), &left_out);
    pthread_mutex_unlock(&lock);
    if (!allowed) return;
    char line[LOG_LINE_BYTES_MAX];
    struct tm calendar;
    gmtime_r(&wall_s, &calendar);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &calendar);
    used += (size_t)snprintf(line + used, sizeof line - used, ".%03uZ %s %s%s", (unsigned)(wall_ms % 1000), level_names[level], event, context);
    if (left_out > 0) used += (size_t)snprintf(line + used, sizeof line - used, " suppressed=%llu", (unsigned long long)left_out);
    if (format[0] != '\0') {
        line[used++] = ' ';
        va_list arguments;
        va_start(arguments, format);
        int wrote = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
        va_end(arguments);
        if (wrote > 0) used += (size_t)wrote < sizeof line - used - 1 ? (size_t)wrote : sizeof line - used - 2;
    }
    for (size_t i = 0; i < used; i++) {
        if ((unsigned char)line[i] < 0x20) line[i] = ' ';
    }
    line[used++] = '\n';
    ssize_t done = write(STDERR_FILENO, line, used);
    (void)done; /* nobody left to tell */
}

uint64_t log_suppressed(void) {
    pthread_mutex_lock(&lock);
    uint64_t total = suppressed_total;
    pthread_mutex_unlock(&lock);
    return total;
}
