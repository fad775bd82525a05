/* Room that is kept for a full disk (setup.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "appliance/setup/setup.h"
#include "protocol/canonical.h"

static bool piece_path(char out[SETUP_PATH_BYTES], const char *root, int piece) {
    char name[] = "/data/public/ballast.a";
    struct system_fault none = {.text = ""};
    name[sizeof name - 2] = (char)('a' + piece);
    return setup_path(out, root, name, &none);
}

/* Room for a file of `bytes`, and an inode. False: there was nothing to give. */
static bool give(const char *root, size_t bytes) {
    char path[SETUP_PATH_BYTES];
    size_t given = 0;
    for (int piece = 0; piece < SETUP_BALLAST_PIECES && (given == 0 || given < bytes); piece++) {
        if (piece_path(path, root, piece) && unlink(path) == 0) given += SETUP_BALLAST_PIECE_BYTES;
    }
    return given > 0;
}

enum system_error setup_replace(const char *root, const char *path, const void *bytes, size_t count, unsigned mode, struct system_fault *fault) {
    enum system_error error;
    bool full;
    do { /* again: a piece may have been made without all of its blocks, and somebody else may have been faster */
        error = canonical_replace(path, bytes, count, mode, fault);
        full = error == SYSTEM_FILE_UNREADABLE && errno == ENOSPC;
    } while (full && give(root, count));
    if (!full) return error;
    return system_fault_set(fault, error, "%.200s: the disk is full: give it more room, then reboot (operating.md, \"a store or a disk fills\")",
                            path);
}

/* Its inode in any case, its blocks if as much as the whole ballast stays free beside them. */
static void piece_make(const char *path) {
    struct stat about;
    struct statvfs left;
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (file < 0) return;
    bool own = fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_nlink == 1;
    if (own && about.st_blocks * 512 < SETUP_BALLAST_PIECE_BYTES && fstatvfs(file, &left) == 0 &&
        (uint64_t)left.f_bfree * left.f_frsize >= SETUP_BALLAST_BYTES + SETUP_BALLAST_PIECE_BYTES) {
        (void)fallocate(file, 0, 0, SETUP_BALLAST_PIECE_BYTES);
    }
    (void)close(file);
}

void setup_ballast_make(const char *root) {
    char path[SETUP_PATH_BYTES];
    for (int piece = 0; piece < SETUP_BALLAST_PIECES; piece++) {
        if (piece_path(path, root, piece)) piece_make(path);
    }
}
