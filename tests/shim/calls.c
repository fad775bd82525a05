#include "tests/shim/calls.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct calls calls_next;

void calls_die(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", calls_name, what, strerror(errno));
    abort();
}

void calls_find(void *pointer, const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) calls_die(name);
    memcpy(pointer, &symbol, sizeof symbol);
}

void calls_begin(void) {
    calls_find(&calls_next.openat, "openat");
    calls_find(&calls_next.close, "close");
    calls_find(&calls_next.write, "write");
    calls_find(&calls_next.pwrite, "pwrite");
    calls_find(&calls_next.writev, "writev");
    calls_find(&calls_next.pwritev, "pwritev");
    calls_find(&calls_next.ftruncate, "ftruncate");
    calls_find(&calls_next.fsync, "fsync");
    calls_find(&calls_next.fdatasync, "fdatasync");
}

ssize_t calls_write(int fd, const struct iovec *parts, int count, const off_t *at) {
    if (count == 1) {
        return at ? calls_next.pwrite(fd, parts->iov_base, parts->iov_len, *at) : calls_next.write(fd, parts->iov_base, parts->iov_len);
    }
    return at ? calls_next.pwritev(fd, parts, count, *at) : calls_next.writev(fd, parts, count);
}

void calls_put(int fd, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    while (count > 0) {
        ssize_t done = calls_next.write(fd, at, count);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) calls_die("its own file");
        at += done;
        count -= (size_t)done;
    }
}

bool calls_path_of(int fd, bool folders, char path[CALLS_PATH_BYTES]) {
    struct stat about;
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, CALLS_PATH_BYTES - 1);
    if (length <= 0 || fstat(fd, &about) != 0 || !(S_ISREG(about.st_mode) || (folders && S_ISDIR(about.st_mode)))) return false;
    path[length] = 0;
    return true;
}

const char *calls_below(const char *root, const char *path) {
    size_t length = strlen(path), prefix = strlen(root);
    if (strncmp(path, root, prefix) != 0 || path[prefix] != '/') return NULL;
    if (length >= 4 && strcmp(path + length - 4, ".log") == 0) return NULL;
    if (length >= 9 && strcmp(path + length - 9, "/lock.mdb") == 0) return NULL;
    return path + prefix + 1;
}

/* The calls. */

#define OPEN_BODY(directory)                                                          \
    va_list arguments;                                                                \
    va_start(arguments, flags);                                                       \
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;            \
    va_end(arguments);                                                                \
    return watch_open(directory, path, flags, mode)

int open(const char *path, int flags, ...) {
    OPEN_BODY(AT_FDCWD);
}
int open64(const char *path, int flags, ...) {
    OPEN_BODY(AT_FDCWD);
}
int openat(int directory, const char *path, int flags, ...) {
    OPEN_BODY(directory);
}
int openat64(int directory, const char *path, int flags, ...) {
    OPEN_BODY(directory);
}
int creat(const char *path, mode_t mode) {
    return watch_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, (int)mode);
}

int close(int fd) {
    return watch_close(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    return watch_write(fd, &part, 1, NULL);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    return watch_write(fd, &part, 1, &offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite(fd, bytes, count, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return watch_write(fd, parts, count, NULL);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return watch_write(fd, parts, count, &offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev(fd, parts, count, offset);
}

int ftruncate(int fd, off_t length) {
    return watch_truncate(fd, length);
}

int ftruncate64(int fd, off_t length) {
    return watch_truncate(fd, length);
}

int fsync(int fd) {
    return watch_sync(fd, calls_next.fsync);
}

int fdatasync(int fd) {
    return watch_sync(fd, calls_next.fdatasync);
}
