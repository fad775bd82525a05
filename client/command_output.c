/*
 * What a command leaves behind, and what is said when it cannot be left: standard output, which every command checks at its end, and a receipt's
 * file, which is there before anything is sent. A script that sees a failure repeats what it did; so a write that took effect is never passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/command.h"

static int exit_code;
static const char *effect;

/* Runs at every exit, also popt's own after --help. */
static void output_check(void) {
    bool bad = ferror(stdout) != 0;
    int error = 0;
    if (fclose(stdout) != 0) {
        bad = true;
        error = errno;
    }
    if (!bad) return;
    (void)command_fail(EXIT_NOT_KEPT, "standard output: %s%s%s", error ? strerror(error) : "cannot be written", effect ? "; " : "",
                       effect ? effect : "");
    if (exit_code == EXIT_DONE) _exit(EXIT_NOT_KEPT);
}

void command_output_watch(void) {
    if (atexit(output_check) != 0) abort();
}

int command_output_exit(int code) {
    exit_code = code;
    return code;
}

void command_effect(const char *what) {
    effect = what;
}

/* Where the file really is, behind symbolic links; false: the path is too long. */
static bool keep_resolve(struct command_keep *keep, const char *path) {
    char *real = realpath(path, NULL); /* none yet: NULL */
    bool fits = (size_t)snprintf(keep->path, sizeof keep->path, "%s", real ? real : path) < sizeof keep->path &&
                (size_t)snprintf(keep->temporary, sizeof keep->temporary, "%s.XXXXXX", keep->path) < sizeof keep->temporary;
    free(real);
    if (!fits) errno = ENAMETOOLONG;
    return fits;
}

bool command_keep_open(struct command_keep *keep, const char *path) {
    struct stat there;
    *keep = (struct command_keep){.fd = -1, .standard = strcmp(path, "-") == 0};
    if (keep->standard) return true;
    bool good = keep_resolve(keep, path);
    bool exists = good && stat(keep->path, &there) == 0;
    if (exists && !S_ISREG(there.st_mode)) { /* a pipe or a device: nothing to replace */
        keep->temporary[0] = 0;
        keep->fd = open(keep->path, O_WRONLY | O_CLOEXEC);
    } else if (good && (!exists || access(keep->path, W_OK) == 0)) {
        mode_t mask = umask(0);
        (void)umask(mask);
        keep->fd = mkostemp(keep->temporary, O_CLOEXEC);
        if (keep->fd >= 0) (void)fchmod(keep->fd, exists ? there.st_mode & 0777 : 0666 & ~mask);
    }
    if (keep->fd >= 0) return true;
    (void)command_fail(EXIT_USAGE, "%s: %s; nothing was sent", path, strerror(errno));
    return false;
}

bool command_keep_write(struct command_keep *keep, const uint8_t *bytes, size_t count) {
    if (keep->standard) return fwrite(bytes, 1, count, stdout) == count; /* the rest is output_check()'s */
    bool replaces = keep->temporary[0] != 0;
    bool good = true;
    while (good && count > 0) {
        ssize_t written = write(keep->fd, bytes, count);
        good = written > 0 || (written < 0 && errno == EINTR);
        if (written <= 0) continue;
        bytes += written;
        count -= (size_t)written;
    }
    good = good && (!replaces || fsync(keep->fd) == 0);
    int error = errno;
    if (close(keep->fd) != 0 && good) {
        good = false;
        error = errno;
    }
    keep->fd = -1;
    if (good && replaces && rename(keep->temporary, keep->path) != 0) {
        good = false;
        error = errno;
    }
    if (!good && replaces) (void)unlink(keep->temporary);
    errno = error;
    return good;
}

void command_keep_drop(struct command_keep *keep) {
    if (keep->fd < 0) return;
    close(keep->fd);
    keep->fd = -1;
    if (keep->temporary[0]) (void)unlink(keep->temporary);
}
