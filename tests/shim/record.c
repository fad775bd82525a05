#include "tests/sweep/record.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS_MAX = 65536, PATH_BYTES = 4096, PARTS_MAX = 1024 };

struct fd_state {
    char *path; /* relative; NULL: not recorded */
    bool directory, durable, append;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fd_state fds[FDS_MAX];
static char root[PATH_BYTES];
static int out = -1;

static int (*next_openat)(int, const char *, int, ...);
static int (*next_close)(int);
static ssize_t (*next_write)(int, const void *, size_t);
static ssize_t (*next_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*next_writev)(int, const struct iovec *, int);
static ssize_t (*next_pwritev)(int, const struct iovec *, int, off_t);
static int (*next_ftruncate)(int, off_t);
static int (*next_fsync)(int);
static int (*next_fdatasync)(int);
static int (*next_mkdir)(const char *, mode_t);
static int (*next_rename)(const char *, const char *);
static int (*next_unlink)(const char *);
static int (*next_rmdir)(const char *);

__attribute__((noreturn)) static void die(const char *what) {
    fprintf(stderr, "record: %s: %s\n", what, strerror(errno));
    abort();
}

static void find(void *pointer, const char *name) {
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) die(name);
    memcpy(pointer, &symbol, sizeof symbol);
}

__attribute__((constructor)) static void set_up(void) {
    find(&next_openat, "openat");
    find(&next_close, "close");
    find(&next_write, "write");
    find(&next_pwrite, "pwrite");
    find(&next_writev, "writev");
    find(&next_pwritev, "pwritev");
    find(&next_ftruncate, "ftruncate");
    find(&next_fsync, "fsync");
    find(&next_fdatasync, "fdatasync");
    find(&next_mkdir, "mkdir");
    find(&next_rename, "rename");
    find(&next_unlink, "unlink");
    find(&next_rmdir, "rmdir");
    const char *file = getenv("RECORD_FILE");
    const char *below = getenv("RECORD_ROOT");
    if (!file || !below) return;
    if (!realpath(below, root)) die(below);
    out = next_openat(AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0) die(file);
}

static void put(const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    while (count > 0) {
        ssize_t done = next_write(out, at, count);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) die("record");
        at += done;
        count -= (size_t)done;
    }
}

static void event_head(enum record_kind kind, const char *path, uint64_t offset, uint64_t bytes) {
    struct record_event event = {.kind = kind, .path_bytes = (uint32_t)strlen(path), .offset = offset, .bytes = bytes};
    put(&event, sizeof event);
    put(path, event.path_bytes);
}

static void event(enum record_kind kind, const char *path, uint64_t offset, const void *bytes, size_t count) {
    int error = errno;
    event_head(kind, path, offset, count);
    put(bytes, count);
    errno = error;
}

void record_note(uint64_t number, const void *bytes, size_t count) {
    if (out < 0) return;
    (void)pthread_mutex_lock(&lock);
    event(RECORD_NOTE, "", number, bytes, count);
    (void)pthread_mutex_unlock(&lock);
}

/* The path below the root, or NULL: it is not recorded. */
static const char *below_root(const char *path) {
    size_t length = strlen(path), prefix = strlen(root);
    if (out < 0 || strncmp(path, root, prefix) != 0 || path[prefix] != '/') return NULL;
    if (length >= 4 && strcmp(path + length - 4, ".log") == 0) return NULL;
    if (length >= 9 && strcmp(path + length - 9, "/lock.mdb") == 0) return NULL;
    return path + prefix + 1;
}

/* As above for a path that a call names; its folder exists. */
static const char *named(const char *path, char whole[PATH_BYTES]) {
    if (out < 0) return NULL;
    char folder[PATH_BYTES], real[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    if (snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".") >= PATH_BYTES) return NULL;
    if (!realpath(folder, real)) return NULL;
    if (snprintf(whole, PATH_BYTES, "%s/%s", real, slash ? slash + 1 : path) >= PATH_BYTES) return NULL;
    return below_root(whole);
}

static int opened(int fd, int flags, bool fresh) {
    if (out < 0 || fd < 0 || fd >= FDS_MAX) return fd;
    int error = errno;
    struct stat about;
    char link[64], path[PATH_BYTES];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0 && fstat(fd, &about) == 0 && (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode))) {
        path[length] = 0;
        const char *relative = strcmp(path, root) == 0 ? "" : below_root(path);
        if (relative) {
            if (fresh) event(RECORD_CREATE, relative, 0, NULL, 0);
            if (!fresh && flags & O_TRUNC) event(RECORD_LENGTH, relative, 0, NULL, 0);
            fds[fd] = (struct fd_state){.path = strdup(relative), .directory = S_ISDIR(about.st_mode), .durable = (flags & (O_SYNC | O_DSYNC)) != 0,
                                        .append = (flags & O_APPEND) != 0};
        }
    }
    errno = error;
    return fd;
}

static int open_recorded(int directory, const char *path, int flags, int mode) {
    if (out < 0) return next_openat(directory, path, flags, mode);
    (void)pthread_mutex_lock(&lock);
    bool fresh = flags & O_CREAT && faccessat(directory, path, F_OK, 0) != 0;
    int fd = opened(next_openat(directory, path, flags, mode), flags, fresh);
    (void)pthread_mutex_unlock(&lock);
    return fd;
}

/* The calls. */

#define OPEN_BODY(directory)                                                          \
    va_list arguments;                                                                \
    va_start(arguments, flags);                                                       \
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;            \
    va_end(arguments);                                                                \
    return open_recorded(directory, path, flags, mode)

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

int close(int fd) {
    if (out >= 0 && fd >= 0 && fd < FDS_MAX && fds[fd].path) {
        (void)pthread_mutex_lock(&lock);
        free(fds[fd].path);
        fds[fd].path = NULL;
        (void)pthread_mutex_unlock(&lock);
    }
    return next_close(fd);
}

/* With the lock held; NULL (and no lock): not recorded. */
static struct fd_state *enter(int fd) {
    if (out < 0 || fd < 0 || fd >= FDS_MAX || !fds[fd].path) return NULL;
    (void)pthread_mutex_lock(&lock);
    return &fds[fd];
}

static ssize_t leave(ssize_t result) {
    int error = errno;
    (void)pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static void written(const struct fd_state *state, off_t offset, const struct iovec *parts, int count) {
    size_t total = 0;
    for (int i = 0; i < count; i++) total += parts[i].iov_len;
    event_head(state->durable ? RECORD_DURABLE : RECORD_WRITE, state->path, (uint64_t)offset, total);
    for (int i = 0; i < count; i++) put(parts[i].iov_base, parts[i].iov_len);
}

static off_t position(int fd, const struct fd_state *state) {
    struct stat about;
    if (!state->append) return lseek(fd, 0, SEEK_CUR);
    if (fstat(fd, &about) != 0) die("fstat");
    return about.st_size;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    const struct fd_state *state = enter(fd);
    if (!state) return next_write(fd, bytes, count);
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    written(state, position(fd, state), &part, 1);
    return leave(next_write(fd, bytes, count));
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    const struct fd_state *state = enter(fd);
    if (!state) return next_pwrite(fd, bytes, count, offset);
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    written(state, offset, &part, 1);
    return leave(next_pwrite(fd, bytes, count, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite(fd, bytes, count, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    const struct fd_state *state = enter(fd);
    if (!state) return next_writev(fd, parts, count);
    written(state, position(fd, state), parts, count);
    return leave(next_writev(fd, parts, count));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    const struct fd_state *state = enter(fd);
    if (!state) return next_pwritev(fd, parts, count, offset);
    written(state, offset, parts, count);
    return leave(next_pwritev(fd, parts, count, offset));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev(fd, parts, count, offset);
}

int ftruncate(int fd, off_t length) {
    const struct fd_state *state = enter(fd);
    if (!state) return next_ftruncate(fd, length);
    event(RECORD_LENGTH, state->path, (uint64_t)length, NULL, 0);
    return (int)leave(next_ftruncate(fd, length));
}

int ftruncate64(int fd, off_t length) {
    return ftruncate(fd, length);
}

static int synced(int fd, int (*next)(int)) {
    const struct fd_state *state = enter(fd);
    if (!state) return next(fd);
    int result = next(fd);
    if (result == 0) event(state->directory ? RECORD_SYNC_DIR : RECORD_SYNC, state->path, 0, NULL, 0);
    return (int)leave(result);
}

int fsync(int fd) {
    return synced(fd, next_fsync);
}

int fdatasync(int fd) {
    return synced(fd, next_fdatasync);
}

int mkdir(const char *path, mode_t mode) {
    char whole[PATH_BYTES];
    const char *relative = named(path, whole);
    (void)pthread_mutex_lock(&lock);
    int result = next_mkdir(path, mode);
    if (result == 0 && relative) event(RECORD_MKDIR, relative, 0, NULL, 0);
    return (int)leave(result);
}

static int removed(const char *path, int (*next)(const char *), enum record_kind kind) {
    char whole[PATH_BYTES];
    const char *relative = named(path, whole);
    (void)pthread_mutex_lock(&lock);
    int result = next(path);
    if (result == 0 && relative) event(kind, relative, 0, NULL, 0);
    return (int)leave(result);
}

int unlink(const char *path) {
    return removed(path, next_unlink, RECORD_UNLINK);
}

int rmdir(const char *path) {
    return removed(path, next_rmdir, RECORD_RMDIR);
}

int rename(const char *from, const char *to) {
    char whole[PATH_BYTES], whole_to[PATH_BYTES];
    const char *relative = named(from, whole), *relative_to = named(to, whole_to);
    (void)pthread_mutex_lock(&lock);
    int result = next_rename(from, to);
    if (result == 0 && relative && relative_to) event(RECORD_RENAME, relative, 0, relative_to, strlen(relative_to));
    return (int)leave(result);
}
