#include "init/log.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void keep(struct log *log, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) log->ring[log->written++ % LOG_BYTES] = bytes[i];
}

void log_take(struct log *log, const char *bytes, size_t count) {
    struct timespec now;
    char stamp[32];
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    int stamp_bytes = snprintf(stamp, sizeof stamp, "[%5lld.%03ld] ", (long long)now.tv_sec, now.tv_nsec / 1000000);
    for (size_t i = 0; i < count; i++) {
        bool plain = (bytes[i] >= 0x20 && bytes[i] <= 0x7E) || bytes[i] == '\n' || bytes[i] == '\t';
        if (bytes[i] == '\r') continue;
        if (!log->in_line) keep(log, stamp, (size_t)stamp_bytes);
        keep(log, plain ? &bytes[i] : "?", 1);
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
    char path[256], old[256];
    struct stat status;
    if (log->saved == log->written) return true;
    if (!text_form(path, sizeof path, "%s/%s", folder, name) || !text_form(old, sizeof old, "%s.1", path)) return false;
    if (stat(path, &status) == 0 && status.st_size >= LOG_FILE_BYTES - LOG_BYTES && rename(path, old) < 0) return false;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) return errno == ENOENT;
    bool good = append(fd, log);
    (void)close(fd);
    return good;
}

/* ---- crashes ---- */

struct crashes {
    const char *from, *to;
    unsigned kept, seen;
};

static bool crash_count(void *context, const char *name) {
    (void)name;
    ((struct crashes *)context)->kept++;
    return true;
}

static bool crash(void *context, const char *name) {
    struct crashes *crashes = context;
    struct timespec now;
    char from[256], to[256];
    (void)clock_gettime(CLOCK_REALTIME, &now); /* names of records come again after each boot */
    if (!text_form(from, sizeof from, "%s/%s", crashes->from, name)) return true;
    if (!text_form(to, sizeof to, "%s/%lld-%s", crashes->to, (long long)now.tv_sec, name)) return true;
    int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return true;
    crashes->seen++;
    if (crashes->kept++ >= LOG_CRASHES_MAX || text_copy(fd, to, LOG_CRASH_BYTES_MAX, 0640) == 0) (void)unlink(from);
    (void)close(fd);
    return true;
}

unsigned log_crashes(const char *from, const char *to) {
    struct crashes crashes = {.from = from, .to = to};
    if (mkdir(to, 0750) < 0 && errno != EEXIST) return 0;
    if (text_folder(to, crash_count, &crashes) < 0 || text_folder(from, crash, &crashes) < 0) return crashes.seen;
    return crashes.seen;
}
