/* Lines to messages: pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "appliance/admin/admin_syslog.h"

enum { LOCAL0 = 16, HOST_BYTES = 255, PROGRAM_BYTES = 48 };

/* Where what was seen ends in `text`; 0: it is not there. */
static size_t tail_find(const struct admin_syslog_mark *mark, const char *text, size_t count) {
    if (mark->tail_bytes == 0 || count < mark->tail_bytes) return 0;
    for (size_t at = count - mark->tail_bytes + 1; at-- > 0;) {
        if (memcmp(text + at, mark->tail, mark->tail_bytes) == 0) return at + mark->tail_bytes;
    }
    return 0;
}

const char *admin_syslog_fresh(struct admin_syslog_mark *mark, const char *text, size_t count, size_t *fresh, bool *missing) {
    *missing = false;
    *fresh = 0;
    bool cut = count >= ADMIN_SYSLOG_LOG_BYTES;
    while (count > 0 && text[count - 1] != '\n') count--; /* a line that has not ended is for the next look */
    if (count == 0) return text;
    size_t from = tail_find(mark, text, count);
    if (from == 0) {
        *missing = mark->tail_bytes > 0;
        while (cut && from < count && text[from++] != '\n') continue; /* begins in the middle of a line */
    }
    mark->tail_bytes = count < ADMIN_SYSLOG_TAIL_BYTES ? count : ADMIN_SYSLOG_TAIL_BYTES;
    memcpy(mark->tail, text + count - mark->tail_bytes, mark->tail_bytes);
    *fresh = count - from;
    return text + from;
}

/* "[   12.345] " or, of the kernel, "[   12.345678] ". */
static const char *stamp_read(const char *text, struct admin_syslog_line *line) {
    if (text[0] != '[') return text;
    const char *at = text + 1 + strspn(text + 1, " ");
    char *end;
    if (*at < '0' || *at > '9') return text;
    unsigned long long seconds = strtoull(at, &end, 10);
    if (*end != '.' || strspn(end + 1, "0123456789") < 3 || seconds > UINT32_MAX) return text;
    const char *after = end + 1 + strspn(end + 1, "0123456789");
    if (after[0] != ']' || after[1] != ' ') return text;
    line->stamped = true;
    line->since_boot_ms = seconds * 1000u + (unsigned)((end[1] - '0') * 100 + (end[2] - '0') * 10 + (end[3] - '0'));
    return after + 2;
}

/* The node's lines say "TIME level event ..." (appliance/status/log.h). */
static enum admin_severity severity_of(const char *text) {
    static const struct {
        const char *word;
        enum admin_severity severity;
    } levels[] = {{"error ", ADMIN_SEVERITY_ERROR}, {"warn ", ADMIN_SEVERITY_WARNING}, {"debug ", ADMIN_SEVERITY_DEBUG}};
    const char *level = strchr(text, ' ');
    for (size_t i = 0; level != NULL && i < sizeof levels / sizeof levels[0]; i++) {
        if (strncmp(level + 1, levels[i].word, strlen(levels[i].word)) == 0) return levels[i].severity;
    }
    return ADMIN_SEVERITY_INFO;
}

struct admin_syslog_line admin_syslog_line_read(const char *text, bool kernel) {
    struct admin_syslog_line line = {.severity = ADMIN_SEVERITY_INFO};
    if (kernel && text[0] == '<') {
        char *end;
        unsigned long priority = strtoul(text + 1, &end, 10);
        if (*end == '>') {
            line.severity = (enum admin_severity)(priority & 7);
            text = end + 1;
        }
    }
    line.text = stamp_read(text, &line);
    if (!kernel) line.severity = severity_of(line.text);
    return line;
}

size_t admin_syslog_message(char out[ADMIN_SYSLOG_BYTES], uint64_t wall_ms, const char *host, const char *program, enum admin_severity severity,
                            const char *text) {
    time_t seconds = (time_t)(wall_ms / 1000);
    char when[32] = "";
    struct tm calendar;
    if (gmtime_r(&seconds, &calendar) != NULL) (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &calendar);
    int head = snprintf(out, ADMIN_SYSLOG_BYTES, "<%d>1 %s.%03uZ %.*s %.*s - - - ", LOCAL0 * 8 + (int)severity, when, (unsigned)(wall_ms % 1000),
                        HOST_BYTES, host, PROGRAM_BYTES, program);
    size_t used = (size_t)head;
    for (; *text != '\0' && used < ADMIN_SYSLOG_BYTES - 1; text++) out[used++] = *text >= ' ' && *text <= '~' ? *text : ' ';
    out[used] = '\0';
    return used;
}

bool admin_syslog_where(const char *where, char host[256], char port[8]) {
    const char *colon = strrchr(where, ':');
    if (colon == NULL || colon == where || strlen(colon + 1) == 0 || strlen(colon + 1) > 5) return false;
    if (strspn(colon + 1, "0123456789") != strlen(colon + 1)) return false;
    size_t count = (size_t)(colon - where);
    bool brackets = where[0] == '[';
    if (brackets && (count < 3 || where[count - 1] != ']')) return false;
    if (count > 255 || (!brackets && memchr(where, ':', count) != NULL)) return false;
    (void)snprintf(host, 256, "%.*s", (int)(brackets ? count - 2 : count), where + brackets);
    (void)snprintf(port, 8, "%s", colon + 1);
    return true;
}
