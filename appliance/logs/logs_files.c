/* The files, and what of them is handed on. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/logs/logs.h"

static bool plain(char byte) {
    return (byte >= 0x20 && byte <= 0x7E) || byte == '\n' || byte == '\t';
}

static bool written(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t some = write(fd, bytes, count);
        if (some < 0 && errno == EINTR) continue;
        if (some <= 0) return false;
        bytes += some;
        count -= (size_t)some;
    }
    return true;
}

static bool folder_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) (void)close(fd);
    return good;
}

/* ---- one log ---- */

static bool file_open(const struct logs *logs, struct logs_file *file, bool anew) {
    char path[LOGS_PATH_BYTES], old[LOGS_PATH_BYTES + 2];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/%s", logs->folder, file->name);
    (void)snprintf(old, sizeof old, "%s.1", path);
    if (file->fd >= 0) (void)close(file->fd);
    file->fd = -1;
    for (unsigned turn = 0; turn < 2; turn++, anew = true) { /* what is no file of ours is put aside */
        if (anew && rename(path, old) < 0 && errno != ENOENT) return false;
        file->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
        if (file->fd >= 0 || (errno != EACCES && errno != ELOOP && errno != ENXIO)) break;
    }
    if (file->fd < 0 || fstat(file->fd, &status) < 0) return false;
    file->bytes = (size_t)status.st_size;
    return folder_sync(logs->folder);
}

static struct logs_file *file_of(struct logs *logs, const char *name, size_t count) {
    if (count == 0 || count >= LOGS_NAME_BYTES) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (name[i] < 'a' || name[i] > 'z') return NULL;
    }
    for (unsigned i = 0; i < logs->count; i++) {
        if (strlen(logs->files[i].name) == count && memcmp(logs->files[i].name, name, count) == 0) return &logs->files[i];
    }
    if (logs->count == LOGS_MAX) return NULL;
    struct logs_file *file = &logs->files[logs->count++];
    *file = (struct logs_file){.fd = -1};
    (void)memcpy(file->name, name, count);
    return file;
}

static const char *add(struct logs *logs, struct logs_file *file, const char *bytes, size_t count) {
    static const char missing[] = "\n(here something is missing)\n";
    bool good = file->fd >= 0 || file_open(logs, file, false);
    if (good && file->bytes + count + sizeof missing > LOGS_FILE_BYTES) good = file_open(logs, file, true);
    if (good && file->is_missing) good = written(file->fd, missing, sizeof missing - 1);
    good = good && written(file->fd, bytes, count);
    const char *fault = good ? NULL : strerror(errno);
    struct stat status; /* what did not fit fills no file: on a full disk none would be left of what was kept */
    if (file->fd >= 0 && fstat(file->fd, &status) == 0) file->bytes = (size_t)status.st_size;
    file->is_missing = !good;
    file->is_dirty = file->is_dirty || good;
    return fault;
}

const char *logs_take(struct logs *logs, const char *packet, size_t count) {
    const char *bytes = memchr(packet, '\n', count);
    struct logs_file *file = bytes ? file_of(logs, packet, (size_t)(bytes - packet)) : NULL;
    if (!file) return "a packet that is no line of a log";
    return add(logs, file, bytes + 1, count - (size_t)(bytes + 1 - packet));
}

const char *logs_sync(struct logs *logs) {
    const char *fault = NULL;
    for (unsigned i = 0; i < logs->count; i++) {
        if (logs->files[i].is_dirty && fdatasync(logs->files[i].fd) < 0) {
            fault = strerror(errno);
            logs->files[i].is_missing = true;
        }
        logs->files[i].is_dirty = false;
    }
    return fault;
}

/* ---- a start of the machine ---- */

/* The newest bytes of a file, before out + size; their count. */
static size_t tail(const char *path, char *out, size_t size) {
    struct stat status;
    size_t count = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        count = (size_t)status.st_size < size ? (size_t)status.st_size : size;
        if (pread(fd, out + size - count, count, status.st_size - (off_t)count) != (ssize_t)count) count = 0;
    }
    if (fd >= 0) (void)close(fd);
    return count;
}

/* For init, in memory alone. */
static bool handed_on(const char *root, const char *name, const char *more, const char *bytes, size_t count) {
    char path[LOGS_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/run/log/%s%s", root, name, more);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    bool good = fd >= 0 && written(fd, bytes, count);
    if (fd >= 0) (void)close(fd);
    return good;
}

bool logs_begin(const char *root, const char *name) {
    static const char start[] = "\n(here the machine was started anew)\n";
    static char bytes[LOGS_BEFORE_BYTES];
    char path[LOGS_PATH_BYTES], old[LOGS_PATH_BYTES + 2];
    (void)snprintf(path, sizeof path, "%s/data/log/%s", root, name);
    (void)snprintf(old, sizeof old, "%s.1", path);
    size_t left = sizeof bytes - tail(path, bytes, sizeof bytes);
    bool begun = left < sizeof bytes;
    left -= tail(old, bytes, left);
    for (size_t i = left; i < sizeof bytes; i++) bytes[i] = plain(bytes[i]) ? bytes[i] : '?'; /* a cut of power leaves what it likes */
    if (left == sizeof bytes || !handed_on(root, name, ".before", bytes + left, sizeof bytes - left)) return false;
    int fd = begun && strcmp(name, "crash") != 0 ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd >= 0) (void)written(fd, start, sizeof start - 1); /* a full disk: said by the first line */
    if (fd >= 0) (void)close(fd);
    return true;
}
