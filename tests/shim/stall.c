/*
 * LD_PRELOAD: a disk that stalls. While the file STALL_FILE exists, nothing that the process wants synced is: fsync, fdatasync, msync and
 * sync_file_range wait until it is gone, then do their work, and so does a write by a descriptor that was opened to be synchronous. Other writes go
 * on, as they do into the page cache of a disk that has stopped answering.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void stall(void) {
    const char *file = getenv("STALL_FILE");
    while (file != NULL && access(file, F_OK) == 0) (void)usleep(20000);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    if ((fcntl(fd, F_GETFL) & O_DSYNC) != 0) stall();
    ssize_t (*real)(int, const void *, size_t, off_t) = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    return real(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return pwrite(fd, bytes, count, at);
}

int fsync(int fd) {
    stall();
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(fd);
}

int fdatasync(int fd) {
    stall();
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return real(fd);
}

int msync(void *address, size_t bytes, int flags) {
    stall();
    int (*real)(void *, size_t, int) = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync");
    return real(address, bytes, flags);
}

int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned flags) {
    stall();
    int (*real)(int, off64_t, off64_t, unsigned) = (int (*)(int, off64_t, off64_t, unsigned))dlsym(RTLD_NEXT, "sync_file_range");
    return real(fd, offset, bytes, flags);
}
