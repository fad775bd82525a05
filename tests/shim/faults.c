/*
 * LD_PRELOAD: a disk that fails. While the file FAULT_FILE exists, calls on what lies below FAULT_ROOT fail as its one line says:
 *
 *   CALL ERROR FIRST COUNT [NAME]
 *
 *   CALL    write (write, pwrite, writev, pwritev), sync (fsync, fdatasync), read (read, pread), open, or change (mkdir, rename, unlink, rmdir)
 *   ERROR   EIO, ENOSPC, EDQUOT, EROFS, EACCES, or short: of a write half is done and that is what it says
 *   FIRST   the first call of this kind that fails, counted from 1 since the line is there
 *   COUNT   so many fail, 0: all from then on
 *   NAME    only calls on paths that contain this, such as wal/data.mdb
 *
 * EROFS is what a remount read-only looks like: "write EROFS 1 0", syncs go on. Reads through a memory map do not come by here: a page that the disk
 * cannot give is a SIGBUS, which a test gets by cutting the file. Unset variables: the library does nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 256, SHORT = -1 };

struct plan {
    char line[LINE_BYTES]; /* from which the rest was read; another line begins the count anew */
    char call[16], name[128];
    int error; /* errno, SHORT, or 0: no fault */
    unsigned long first, count, seen;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan plan;

static const struct {
    const char *name;
    int error;
} errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}, {"EACCES", EACCES}, {"short", SHORT}};

static void *next(const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) abort();
    return symbol;
}

#define NEXT(name, type) ((type)(uintptr_t)next(name))

/* With the lock held. */
static void plan_read(const char *file) {
    char line[LINE_BYTES] = "", error[16] = "";
    int (*open_next)(const char *, int, ...) = NEXT("open", int (*)(const char *, int, ...));
    ssize_t (*read_next)(int, void *, size_t) = NEXT("read", ssize_t(*)(int, void *, size_t));
    int fd = open_next(file, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd >= 0 ? read_next(fd, line, sizeof line - 1) : 0;
    if (fd >= 0) (void)NEXT("close", int (*)(int))(fd);
    line[count > 0 ? count : 0] = 0;
    if (strcmp(line, plan.line) == 0) return;
    memset(&plan, 0, sizeof plan);
    memcpy(plan.line, line, sizeof plan.line);
    if (line[0] == 0 || sscanf(line, "%15s %15s %lu %lu %127s", plan.call, error, &plan.first, &plan.count, plan.name) < 4) return;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (strcmp(error, errors[i].name) == 0) plan.error = errors[i].error;
    }
}

/* 0: the call goes on; an errno, or SHORT. */
static int fault(const char *call, const char *path) {
    const char *file = getenv("FAULT_FILE"), *root = getenv("FAULT_ROOT");
    if (!file || !root || !path || strncmp(path, root, strlen(root)) != 0) return 0;
    int before = errno, result = 0;
    (void)pthread_mutex_lock(&lock);
    plan_read(file);
    if (plan.error != 0 && strcmp(call, plan.call) == 0 && strstr(path, plan.name) != NULL) {
        plan.seen++;
        if (plan.seen >= plan.first && (plan.count == 0 || plan.seen < plan.first + plan.count)) result = plan.error;
    }
    (void)pthread_mutex_unlock(&lock);
    errno = before;
    return result;
}

static const char *path_of(int fd, char path[PATH_BYTES]) {
    char link[64];
    if (!getenv("FAULT_FILE")) return NULL;
    int before = errno;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_BYTES - 1);
    path[length > 0 ? length : 0] = 0;
    errno = before;
    return path;
}

static int fault_fd(const char *call, int fd) {
    char path[PATH_BYTES];
    return fault(call, path_of(fd, path));
}

/* A relative path is none of ours: a node names its data by an absolute one. */
static int fault_path(const char *call, const char *path) {
    return path[0] == '/' ? fault(call, path) : 0;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    int error = fault_fd("write", fd);
    if (error > 0) return errno = error, -1;
    return NEXT("write", ssize_t(*)(int, const void *, size_t))(fd, bytes, error == SHORT ? count / 2 : count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    int error = fault_fd("write", fd);
    if (error > 0) return errno = error, -1;
    return NEXT("pwrite", ssize_t(*)(int, const void *, size_t, off_t))(fd, bytes, error == SHORT ? count / 2 : count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite(fd, bytes, count, offset);
}

static ssize_t half(int fd, const struct iovec *parts, bool at_offset, off_t offset) {
    size_t count = parts[0].iov_len / 2;
    if (at_offset) return NEXT("pwrite", ssize_t(*)(int, const void *, size_t, off_t))(fd, parts[0].iov_base, count, offset);
    return NEXT("write", ssize_t(*)(int, const void *, size_t))(fd, parts[0].iov_base, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int error = fault_fd("write", fd);
    if (error > 0) return errno = error, -1;
    if (error == SHORT) return half(fd, parts, false, 0);
    return NEXT("writev", ssize_t(*)(int, const struct iovec *, int))(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    int error = fault_fd("write", fd);
    if (error > 0) return errno = error, -1;
    if (error == SHORT) return half(fd, parts, true, offset);
    return NEXT("pwritev", ssize_t(*)(int, const struct iovec *, int, off_t))(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev(fd, parts, count, offset);
}

ssize_t read(int fd, void *bytes, size_t count) {
    int error = fault_fd("read", fd);
    if (error > 0) return errno = error, -1;
    return NEXT("read", ssize_t(*)(int, void *, size_t))(fd, bytes, count);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t offset) {
    int error = fault_fd("read", fd);
    if (error > 0) return errno = error, -1;
    return NEXT("pread", ssize_t(*)(int, void *, size_t, off_t))(fd, bytes, count, offset);
}

ssize_t pread64(int fd, void *bytes, size_t count, off_t offset) {
    return pread(fd, bytes, count, offset);
}

int fsync(int fd) {
    int error = fault_fd("sync", fd);
    if (error > 0) return errno = error, -1;
    return NEXT("fsync", int (*)(int))(fd);
}

int fdatasync(int fd) {
    int error = fault_fd("sync", fd);
    if (error > 0) return errno = error, -1;
    return NEXT("fdatasync", int (*)(int))(fd);
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;
    va_end(arguments);
    int error = fault_path("open", path);
    if (error > 0) return errno = error, -1;
    return NEXT("open", int (*)(const char *, int, ...))(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return open(path, flags, mode);
}

int mkdir(const char *path, mode_t mode) {
    int error = fault_path("change", path);
    if (error > 0) return errno = error, -1;
    return NEXT("mkdir", int (*)(const char *, mode_t))(path, mode);
}

int rename(const char *from, const char *to) {
    int error = fault_path("change", from);
    if (error > 0) return errno = error, -1;
    return NEXT("rename", int (*)(const char *, const char *))(from, to);
}

int unlink(const char *path) {
    int error = fault_path("change", path);
    if (error > 0) return errno = error, -1;
    return NEXT("unlink", int (*)(const char *))(path);
}

int rmdir(const char *path) {
    int error = fault_path("change", path);
    if (error > 0) return errno = error, -1;
    return NEXT("rmdir", int (*)(const char *))(path);
}
