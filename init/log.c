#include "init/log.h"
#include "init/text.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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

void log_hand_on(struct log *log, const char *name, int to) {
    static const char lost[] = "\n(here something is missing)\n";
    char packet[LOG_PACKET_BYTES];
    while (log->saved < log->written) {
        bool late = log->written - log->saved > LOG_BYTES;
        unsigned long from = late ? log->written - LOG_BYTES : log->saved;
        size_t at = from % LOG_BYTES, count = LOG_BYTES - at;
        size_t head = (size_t)snprintf(packet, sizeof packet, "%s\n%s", name, late ? lost : "");
        if (count > log->written - from) count = log->written - from;
        if (count > sizeof packet - head) count = sizeof packet - head;
        (void)memcpy(packet + head, log->ring + at, count);
        if (send(to, packet, head + count, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return;
        log->saved = from + count;
    }
}

size_t log_tail(const char *name, const char *more, char *out, size_t size) {
    char path[96];
    struct stat status;
    size_t count = 0;
    int fd = text_form(path, sizeof path, LOG_FOLDER "/%s%s", name, more) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        count = (size_t)status.st_size < size ? (size_t)status.st_size : size;
        if (pread(fd, out, count, status.st_size - (off_t)count) != (ssize_t)count) count = 0;
    }
    if (fd >= 0) (void)close(fd);
    for (size_t i = 0; i < count; i++) out[i] = plain(out[i]) ? out[i] : '?';
    return count;
}
