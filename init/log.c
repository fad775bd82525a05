#include "init/log.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void keep(struct log *log, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) log->ring[log->written++ % LOG_BYTES] = bytes[i];
}

static bool plain(char byte) {
    return (byte >= 0x20 && byte <= 0x7E) || byte == '\n' || byte == '\t';
}

void log_take(struct log *log, const char *bytes, size_t count) {
    struct timespec now;
    char stamp[32];
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    int stamp_bytes = snprintf(stamp, sizeof stamp, "[%5lld.%03ld] ", (long long)now.tv_sec, now.tv_nsec / 1000000);
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\r') continue;
        if (!log->in_line) keep(log, stamp, (size_t)stamp_bytes);
        keep(log, plain(bytes[i]) ? &bytes[i] : "?", 1);
        log->in_line = bytes[i] != '\n';
    }
}

size_t log_newest(const struct log *log, char *out, size_t size) {
    size_t count = log->written < LOG_BYTES ? log->written : LOG_BYTES;
    if (count > size) count = size;
    for (size_t i = 0; i < count; i++) out[i] = log->ring[(log->written - count + i) % LOG_BYTES];
    return count;
}

static bool append(int fd, struct log *log) {
    static const char lost[] = "\n(here something is missing)\n";
    if (log->written - log->saved > LOG_BYTES) {
        if (write(fd, lost, sizeof lost - 1) != (ssize_t)sizeof lost - 1) return false;
        log->saved = log->written - LOG_BYTES;
    }
    while (log->saved < log->written) {
        size_t at = log->saved % LOG_BYTES, count = LOG_BYTES - at;
        if (count > log->written - log->saved) count = log->written - log->saved;
        ssize_t done = write(fd, log->ring + at, count);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        log->saved += (unsigned long)done;
    }
    return true;
}

bool log_save(struct log *log, const char *folder, const char *name) {
    static const char start[] = "\n(here the machine was started anew)\n";
    char path[256], old[256];
    struct stat status;
    if (log->saved == log->written) return true;
    if (!text_form(path, sizeof path, "%s/%s", folder, name) || !text_form(old, sizeof old, "%s.1", path)) return false;
    if (stat(path, &status) < 0) status.st_size = 0;
    bool first = !log->begun && status.st_size > 0;
    if (!log->begun) log->before = status.st_size;
    log->begun = true;
    if (status.st_size >= LOG_FILE_BYTES - LOG_BYTES) {
        if (rename(path, old) < 0) return false;
        log->turns++;
    }
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) return errno == ENOENT;
    bool good = (!first || write(fd, start, sizeof start - 1) == (ssize_t)sizeof start - 1) && append(fd, log);
    (void)close(fd);
    return good;
}

/* The newest bytes of a file before `end`, to the end of out; their count. */
static size_t tail(const char *path, long end, char *out, size_t size) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size < end) end = status.st_size;
    size_t count = (size_t)end < size ? (size_t)end : size;
    if (pread(fd, out + size - count, count, end - (long)count) != (ssize_t)count) count = 0;
    if (fd >= 0) (void)close(fd);
    return count;
}

size_t log_before(const struct log *log, const char *folder, const char *name, char *out, size_t size) {
    char path[256], old[256];
    size_t left = size;
    if (!text_form(path, sizeof path, "%s/%s", folder, name) || !text_form(old, sizeof old, "%s.1", path)) return 0;
    if (log->turns == 0) left -= tail(path, log->begun ? log->before : LONG_MAX, out, left);
    if (log->turns <= 1) left -= tail(old, log->turns ? log->before : LONG_MAX, out, left);
    for (size_t i = left; i < size; i++) out[i - left] = plain(out[i]) ? out[i] : '?'; /* a cut of power leaves what it likes */
    return size - left;
}

/* ---- crashes ---- */

static struct log crashes;

struct log *log_crash(void) {
    return &crashes;
}

static bool later(void *context, const char *name) {
    char *newest = context;
    if (strlen(name) < LOG_NAME_BYTES && strcmp(name, newest) > 0) (void)text_form(newest, LOG_NAME_BYTES, "%s", name);
    return true;
}

static bool crash(const char *path, const char *name, const char *to) {
    char bytes[LOG_BYTES];
    long count = text_read(path, bytes, sizeof bytes);
    if (count < 0 && count != -EFBIG) return false;
    log_take(&crashes, name, strlen(name));
    log_take(&crashes, count < 0 ? ": too large\n" : ":\n", count < 0 ? 12 : 2);
    log_take(&crashes, bytes, count < 0 ? 0 : (size_t)count);
    log_take(&crashes, "\n", 1);
    return log_save(&crashes, to, "crash") && crashes.saved == crashes.written;
}

unsigned log_crashes(const char *from, const char *to) {
    char newest[LOG_NAME_BYTES], path[2 * LOG_NAME_BYTES];
    for (unsigned count = 0;; count++) {
        newest[0] = '\0';
        if (count == LOG_CRASHES_MAX || text_folder(from, later, newest) < 0 || !newest[0]) return count;
        if (!text_form(path, sizeof path, "%s/%s", from, newest) || !crash(path, newest, to)) return count;
        sync();
        if (unlink(path) < 0) return count + 1;
    }
}
