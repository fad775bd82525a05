#include "tests/sweep/record.h"
#include "tests/shim/calls.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fd_state {
    char *path; /* relative; NULL: not recorded */
    bool directory, durable, append;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fd_state fds[CALLS_FDS_MAX];
static char root[CALLS_PATH_BYTES];
static int out = -1;

const char calls_name[] = "record";
static int (*next_mkdir)(const char *, mode_t);
static int (*next_rename)(const char *, const char *);
static int (*next_unlink)(const char *);
static int (*next_rmdir)(const char *);

/* What a process that was killed has written of an event is none. */
static void tail_drop(const char *file) {
    struct record_event event;
    struct stat about;
    if (fstat(out, &about) != 0) calls_die(file);
    off_t at = 0;
    for (off_t next; pread(out, &event, sizeof event, at) == (ssize_t)sizeof event; at = next) {
        next = at + (off_t)(sizeof event + event.path_bytes + event.bytes);
        if (next > about.st_size) break;
    }
    if (ftruncate(out, at) != 0) calls_die(file);
}

__attribute__((constructor)) static void set_up(void) {
    calls_begin();
    calls_find(&next_mkdir, "mkdir");
    calls_find(&next_rename, "rename");
    calls_find(&next_unlink, "unlink");
    calls_find(&next_rmdir, "rmdir");
    const char *file = getenv("RECORD_FILE");
    const char *below = getenv("RECORD_ROOT");
    if (!file || !below) return;
    if (!realpath(below, root)) calls_die(below);
    out = calls_next.openat(AT_FDCWD, file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0) calls_die(file);
    tail_drop(file);
}

static void event_head(enum record_kind kind, const char *path, uint64_t offset, uint64_t bytes) {
    struct record_event event = {.kind = kind, .path_bytes = (uint32_t)strlen(path), .offset = offset, .bytes = bytes};
    calls_put(out, &event, sizeof event);
    calls_put(out, path, event.path_bytes);
}

static void event(enum record_kind kind, const char *path, uint64_t offset, const void *bytes, size_t count) {
    int error = errno;
    event_head(kind, path, offset, count);
    calls_put(out, bytes, count);
    errno = error;
}

void record_note(uint64_t number, const void *bytes, size_t count) {
    if (out < 0) return;
    (void)pthread_mutex_lock(&lock);
    event(RECORD_NOTE, "", number, bytes, count);
    (void)pthread_mutex_unlock(&lock);
}

/* The path below the root of one that a call names; its folder exists. NULL: it is not recorded. */
static const char *named(const char *path, char whole[CALLS_PATH_BYTES]) {
    if (out < 0) return NULL;
    char folder[CALLS_PATH_BYTES], real[CALLS_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    if (snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".") >= CALLS_PATH_BYTES) return NULL;
    if (!realpath(folder, real)) return NULL;
    if (snprintf(whole, CALLS_PATH_BYTES, "%s/%s", real, slash ? slash + 1 : path) >= CALLS_PATH_BYTES) return NULL;
    return calls_below(root, whole);
}

static int opened(int fd, int flags, bool fresh) {
    if (fd < 0 || fd >= CALLS_FDS_MAX) return fd;
    int error = errno;
    struct stat about;
    char path[CALLS_PATH_BYTES];
    if (calls_path_of(fd, true, path) && fstat(fd, &about) == 0) {
        const char *relative = strcmp(path, root) == 0 ? "" : calls_below(root, path);
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

int watch_open(int directory, const char *path, int flags, int mode) {
    if (out < 0) return calls_next.openat(directory, path, flags, mode);
    (void)pthread_mutex_lock(&lock);
    bool fresh = flags & O_CREAT && faccessat(directory, path, F_OK, 0) != 0;
    int fd = opened(calls_next.openat(directory, path, flags, mode), flags, fresh);
    (void)pthread_mutex_unlock(&lock);
    return fd;
}

int watch_close(int fd) {
    if (out >= 0 && fd >= 0 && fd < CALLS_FDS_MAX && fds[fd].path) {
        (void)pthread_mutex_lock(&lock);
        free(fds[fd].path);
        fds[fd].path = NULL;
        (void)pthread_mutex_unlock(&lock);
    }
    return calls_next.close(fd);
}

/* With the lock held; NULL (and no lock): not recorded. */
static struct fd_state *enter(int fd) {
    if (out < 0 || fd < 0 || fd >= CALLS_FDS_MAX || !fds[fd].path) return NULL;
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
    for (int i = 0; i < count; i++) calls_put(out, parts[i].iov_base, parts[i].iov_len);
}

static off_t position(int fd, const struct fd_state *state) {
    struct stat about;
    if (!state->append) return lseek(fd, 0, SEEK_CUR);
    if (fstat(fd, &about) != 0) calls_die("fstat");
    return about.st_size;
}

ssize_t watch_write(int fd, const struct iovec *parts, int count, const off_t *at) {
    const struct fd_state *state = enter(fd);
    if (!state) return calls_write(fd, parts, count, at);
    written(state, at ? *at : position(fd, state), parts, count);
    return leave(calls_write(fd, parts, count, at));
}

int watch_truncate(int fd, off_t length) {
    const struct fd_state *state = enter(fd);
    if (!state) return calls_next.ftruncate(fd, length);
    event(RECORD_LENGTH, state->path, (uint64_t)length, NULL, 0);
    return (int)leave(calls_next.ftruncate(fd, length));
}

int watch_sync(int fd, int (*sync)(int)) {
    const struct fd_state *state = enter(fd);
    if (!state) return sync(fd);
    int result = sync(fd);
    if (result == 0) event(state->directory ? RECORD_SYNC_DIR : RECORD_SYNC, state->path, 0, NULL, 0);
    return (int)leave(result);
}

/* Names, which record.so alone watches. */

int mkdir(const char *path, mode_t mode) {
    char whole[CALLS_PATH_BYTES];
    const char *relative = named(path, whole);
    (void)pthread_mutex_lock(&lock);
    int result = next_mkdir(path, mode);
    if (result == 0 && relative) event(RECORD_MKDIR, relative, 0, NULL, 0);
    return (int)leave(result);
}

static int removed(const char *path, int (*next)(const char *), enum record_kind kind) {
    char whole[CALLS_PATH_BYTES];
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
    char whole[CALLS_PATH_BYTES], whole_to[CALLS_PATH_BYTES];
    const char *relative = named(from, whole), *relative_to = named(to, whole_to);
    (void)pthread_mutex_lock(&lock);
    int result = next_rename(from, to);
    if (result == 0 && relative && relative_to) event(RECORD_RENAME, relative, 0, relative_to, strlen(relative_to));
    return (int)leave(result);
}
