/*
 * The calls by which a process changes files, taken over once for the preloaded libraries that watch them, record.so and unsynced.so: calls.c stands
 * in for open, openat, creat, close, write, pwrite, writev, pwritev, ftruncate, fsync and fdatasync, their names for 64 bits included, and hands each
 * to a hook, watch_...(), that the library defines. The hook does the call itself, by calls_next or calls_write(), and notes what it has to before or
 * after. Calls through memory maps, io_uring, stdio and dup()ed descriptors do not come by here.
 */
#ifndef TESTS_SHIM_CALLS_H
#define TESTS_SHIM_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { CALLS_FDS_MAX = 65536, CALLS_PATH_BYTES = 4096 };

/* Of these libraries only the calls themselves are seen by the process. */
#pragma GCC visibility push(hidden)

/* What the process would have called; filled by calls_begin(), the first thing that a library's constructor does. */
struct calls {
    int (*openat)(int, const char *, int, ...);
    int (*close)(int);
    ssize_t (*write)(int, const void *, size_t);
    ssize_t (*pwrite)(int, const void *, size_t, off_t);
    ssize_t (*writev)(int, const struct iovec *, int);
    ssize_t (*pwritev)(int, const struct iovec *, int, off_t);
    int (*ftruncate)(int, off_t);
    int (*fsync)(int);
    int (*fdatasync)(int);
};
extern struct calls calls_next;
extern const char calls_name[]; /* the library's, for its last words */

void calls_begin(void);
/* Points `pointer`, a pointer to a function, to the next `name`; dies without one. */
void calls_find(void *pointer, const char *name);
/* `at`: NULL where the descriptor stands. */
ssize_t calls_write(int fd, const struct iovec *parts, int count, const off_t *at);
/* Writes all of it, or dies. */
void calls_put(int fd, const void *bytes, size_t count);
/* Says what failed, and errno, and aborts. */
__attribute__((noreturn)) void calls_die(const char *what);
/* The path of a regular file (or a folder, if `folders`) that this descriptor has open. */
bool calls_path_of(int fd, bool folders, char path[CALLS_PATH_BYTES]);
/* What of `path` comes after `root` and its slash; NULL for what lies elsewhere, ends in .log or is LMDB's lock.mdb, which it makes anew. */
const char *calls_below(const char *root, const char *path);

int watch_open(int directory, const char *path, int flags, int mode);
int watch_close(int fd);
ssize_t watch_write(int fd, const struct iovec *parts, int count, const off_t *at);
int watch_truncate(int fd, off_t length);
int watch_sync(int fd, int (*sync)(int));

#pragma GCC visibility pop

#endif
