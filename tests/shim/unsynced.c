#include "tests/shim/unsynced.h"
#include "tests/shim/calls.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 64, PAGES_MAX = 1 << 24 };
_Static_assert((int)UNSYNCED_PATH_MAX == (int)CALLS_PATH_BYTES, "one length of paths");

struct tracked {
    dev_t device;
    ino_t inode;
    int read_fd;
    int undo_fd;
    bool headed;          /* the undo file has a head: something is unsynced */
    uint8_t *saved;       /* one bit per page that has a record */
    uint64_t page_end;    /* above every such page */
    char path[UNSYNCED_PATH_MAX];
};

struct fd_state {
    uint8_t file;         /* index + 1 in `files`; 0: not tracked */
    uint8_t durable;      /* O_SYNC or O_DSYNC */
    uint8_t append;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tracked files[FILES_MAX];
static struct fd_state fds[CALLS_FDS_MAX];
static char undo_dir[UNSYNCED_PATH_MAX];
static char root[UNSYNCED_PATH_MAX];
static bool lie;
static bool real_sync;
static bool ready;

const char calls_name[] = "unsynced";

__attribute__((constructor)) static void set_up(void) {
    calls_begin();
    const char *dir = getenv("UNSYNCED_DIR");
    const char *below = getenv("UNSYNCED_ROOT");
    lie = getenv("UNSYNCED_LIE") != NULL;
    real_sync = getenv("UNSYNCED_REAL") != NULL;
    if (!dir || !below) return;
    if (!realpath(dir, undo_dir)) calls_die(dir);
    if (!realpath(below, root)) calls_die(below);
    ready = true;
}

static uint64_t size_of(int fd) {
    struct stat about;
    if (fstat(fd, &about) != 0) calls_die("fstat");
    return (uint64_t)about.st_size;
}

static bool saved_get(const struct tracked *file, uint64_t page) {
    return (file->saved[page / 8] >> (page % 8)) & 1;
}

static void saved_set(struct tracked *file, uint64_t page) {
    file->saved[page / 8] |= (uint8_t)(1 << page % 8);
    if (page >= file->page_end) file->page_end = page + 1;
}

static void record(struct tracked *file, uint64_t page, uint32_t kind) {
    uint8_t bytes[UNSYNCED_PAGE];
    if (!file->headed) {
        struct unsynced_head head = {.durable_size = size_of(file->read_fd), .path_bytes = (uint32_t)strlen(file->path)};
        memcpy(head.magic, UNSYNCED_MAGIC, 8);
        calls_put(file->undo_fd, &head, sizeof head);
        calls_put(file->undo_fd, file->path, head.path_bytes);
        file->headed = true;
    }
    ssize_t count = pread(file->read_fd, bytes, sizeof bytes, (off_t)(page * UNSYNCED_PAGE));
    if (count < 0) calls_die("page before a write");
    struct unsynced_record entry = {.page = page, .length = (uint32_t)count, .kind = kind};
    uint8_t whole[sizeof entry + sizeof bytes];
    memcpy(whole, &entry, sizeof entry);
    memcpy(whole + sizeof entry, bytes, (size_t)count);
    calls_put(file->undo_fd, whole, sizeof entry + (size_t)count);
    saved_set(file, page);
}

/* Before a write of [offset, offset + count): keeps the pages as they are, if no record does yet. */
static void before_write(struct tracked *file, uint64_t offset, uint64_t count) {
    if (count == 0) return;
    uint64_t last = (offset + count - 1) / UNSYNCED_PAGE;
    if (last >= PAGES_MAX) calls_die("file too large for the shim");
    for (uint64_t page = offset / UNSYNCED_PAGE; page <= last; page++) {
        if (!saved_get(file, page)) record(file, page, 'P');
    }
}

/* After a write that is durable by itself: its pages are as they are now. */
static void after_durable_write(struct tracked *file, uint64_t offset, ssize_t count) {
    if (count <= 0 || lie) return;
    uint64_t last = (offset + (uint64_t)count - 1) / UNSYNCED_PAGE;
    for (uint64_t page = offset / UNSYNCED_PAGE; page <= last; page++) record(file, page, 'D');
}

static void forget(struct tracked *file) {
    if (calls_next.ftruncate(file->undo_fd, 0) != 0) calls_die("undo file");
    if (lseek(file->undo_fd, 0, SEEK_SET) != 0) calls_die("undo file");
    memset(file->saved, 0, file->page_end / 8 + 1);
    file->page_end = 0;
    file->headed = false;
}

/* What an earlier process left unsynced stays so. A head of another path is of a file that is gone. */
static void load(struct tracked *file) {
    struct unsynced_head head;
    char path[UNSYNCED_PATH_MAX];
    if (read(file->undo_fd, &head, sizeof head) != sizeof head || memcmp(head.magic, UNSYNCED_MAGIC, 8) != 0 || head.path_bytes >= sizeof path ||
        read(file->undo_fd, path, head.path_bytes) != (ssize_t)head.path_bytes || strncmp(path, file->path, sizeof path) != 0) {
        forget(file);
        return;
    }
    file->headed = true;
    struct unsynced_record entry;
    uint8_t bytes[UNSYNCED_PAGE];
    off_t end = lseek(file->undo_fd, 0, SEEK_CUR);
    while (read(file->undo_fd, &entry, sizeof entry) == sizeof entry && entry.length <= sizeof bytes && entry.page < PAGES_MAX &&
           read(file->undo_fd, bytes, entry.length) == (ssize_t)entry.length) {
        saved_set(file, entry.page);
        end = lseek(file->undo_fd, 0, SEEK_CUR);
    }
    if (calls_next.ftruncate(file->undo_fd, end) != 0 || lseek(file->undo_fd, end, SEEK_SET) != end) calls_die("undo file");
}

static uint8_t file_for(const struct stat *about, const char *path) {
    uint8_t free_at = 0;
    for (uint8_t i = 0; i < FILES_MAX; i++) {
        if (files[i].saved && files[i].device == about->st_dev && files[i].inode == about->st_ino && strcmp(files[i].path, path) == 0)
            return (uint8_t)(i + 1);
        if (!files[i].saved && !free_at) free_at = (uint8_t)(i + 1);
    }
    if (!free_at) calls_die("too many files for the shim");
    struct tracked *file = &files[free_at - 1];
    file->device = about->st_dev;
    file->inode = about->st_ino;
    (void)snprintf(file->path, sizeof file->path, "%s", path);
    char undo[2 * UNSYNCED_PATH_MAX];
    (void)snprintf(undo, sizeof undo, "%s/%llu-%llu.undo", undo_dir, (unsigned long long)about->st_dev, (unsigned long long)about->st_ino);
    file->undo_fd = calls_next.openat(AT_FDCWD, undo, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    file->read_fd = calls_next.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (file->undo_fd < 0 || file->read_fd < 0) calls_die(undo);
    file->saved = mmap(NULL, PAGES_MAX / 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (file->saved == MAP_FAILED) calls_die("mmap");
    load(file);
    return free_at;
}

static int opened(int fd, int flags) {
    if (!ready || fd < 0 || fd >= CALLS_FDS_MAX || (flags & O_ACCMODE) == O_RDONLY) return fd;
    int error = errno;
    struct stat about;
    char path[CALLS_PATH_BYTES];
    if (calls_path_of(fd, false, path) && calls_below(root, path) && fstat(fd, &about) == 0) {
        (void)pthread_mutex_lock(&lock);
        fds[fd].durable = (flags & (O_SYNC | O_DSYNC)) != 0;
        fds[fd].append = (flags & O_APPEND) != 0;
        fds[fd].file = file_for(&about, path);
        (void)pthread_mutex_unlock(&lock);
    }
    errno = error;
    return fd;
}

int watch_open(int directory, const char *path, int flags, int mode) {
    return opened(calls_next.openat(directory, path, flags, mode), flags);
}

int watch_close(int fd) {
    if (ready && fd >= 0 && fd < CALLS_FDS_MAX) fds[fd].file = 0;
    return calls_next.close(fd);
}

/* The tracked file of a descriptor, with the lock held; NULL (and no lock) if it has none. */
static struct tracked *enter(int fd) {
    if (!ready || fd < 0 || fd >= CALLS_FDS_MAX || !fds[fd].file) return NULL;
    (void)pthread_mutex_lock(&lock);
    return &files[fds[fd].file - 1];
}

static uint64_t position(int fd) {
    return fds[fd].append ? size_of(fd) : (uint64_t)lseek(fd, 0, SEEK_CUR);
}

static uint64_t total_of(const struct iovec *parts, int count) {
    uint64_t total = 0;
    for (int i = 0; i < count; i++) total += parts[i].iov_len;
    return total;
}

static ssize_t leave(int fd, struct tracked *file, uint64_t offset, ssize_t done) {
    int error = errno;
    if (fds[fd].durable) after_durable_write(file, offset, done);
    (void)pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t watch_write(int fd, const struct iovec *parts, int count, const off_t *at) {
    struct tracked *file = enter(fd);
    if (!file) return calls_write(fd, parts, count, at);
    uint64_t offset = at ? (uint64_t)*at : position(fd);
    before_write(file, offset, total_of(parts, count));
    return leave(fd, file, offset, calls_write(fd, parts, count, at));
}

int watch_truncate(int fd, off_t length) {
    struct tracked *file = enter(fd);
    if (!file) return calls_next.ftruncate(fd, length);
    uint64_t size = size_of(fd);
    if ((uint64_t)length < size) {
        before_write(file, (uint64_t)length, size - (uint64_t)length);
    } else if (!file->headed) {
        before_write(file, size, 1); /* so that the durable size is kept */
    }
    return (int)leave(fd, file, 0, calls_next.ftruncate(fd, length));
}

int watch_sync(int fd, int (*sync)(int)) {
    struct tracked *file = enter(fd);
    if (!file) return sync(fd);
    int result = real_sync ? sync(fd) : 0;
    if (result == 0 && !lie) forget(file);
    (void)pthread_mutex_unlock(&lock);
    return result;
}
