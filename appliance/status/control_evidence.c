/* Files of evidence, as the control socket lists and hands them out. Whoever asks may be taken over: what he names is a file of that folder or
 * nothing, never a path, never what a link leads to, and he has a piece at a time. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/status/control.h"

enum { PATH_BYTES = 4096 };

bool control_evidence_named(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", unfinished[] = ".new";
    size_t count = strnlen(name, CONTROL_EVIDENCE_NAME_MAX + 1), ending = sizeof unfinished - 1;
    if (count < 1 || count > CONTROL_EVIDENCE_NAME_MAX || name[0] == '.' || strspn(name, letters) != count) return false;
    return count < ending || strcmp(name + count - ending, unfinished) != 0;
}

static DIR *folder_open(const char *data) {
    char path[PATH_BYTES];
    bool fits = data != NULL && (size_t)snprintf(path, sizeof path, "%s/evidence", data) < sizeof path;
    return fits ? opendir(path) : NULL; /* there is none until there is some */
}

json_t *control_evidence_json(const char *data) {
    json_t *list = json_array();
    const struct dirent *entry;
    struct stat about;
    DIR *folder = folder_open(data);
    while (folder != NULL && json_array_size(list) < CONTROL_EVIDENCE_MAX && (entry = readdir(folder)) != NULL) {
        if (!control_evidence_named(entry->d_name)) continue;
        if (fstatat(dirfd(folder), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(about.st_mode)) continue;
        json_array_append_new(list, json_pack("{s:s,s:I}", "file", entry->d_name, "bytes", (json_int_t)about.st_size));
    }
    if (folder != NULL) (void)closedir(folder);
    return json_pack("{s:o}", "evidence", list);
}

/* What a listing would name, or -1. */
static int file_open(const char *data, const char *name, struct stat *about) {
    if (!control_evidence_named(name)) return -1;
    DIR *folder = folder_open(data);
    int fd = folder != NULL ? openat(dirfd(folder), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    if (folder != NULL) (void)closedir(folder);
    if (fd >= 0 && fstat(fd, about) == 0 && S_ISREG(about->st_mode)) return fd;
    if (fd >= 0) (void)close(fd);
    return -1;
}

/* Up to a piece from there on; its bytes, fewer at the end of the file alone. SIZE_MAX: the disk does not give them. */
static size_t piece_read(int fd, json_int_t from, uint8_t piece[CONTROL_PIECE_BYTES]) {
    size_t used = 0;
    while (used < CONTROL_PIECE_BYTES) {
        ssize_t got = pread(fd, piece + used, CONTROL_PIECE_BYTES - used, (off_t)from + (off_t)used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return SIZE_MAX;
        if (got == 0) break;
        used += (size_t)got;
    }
    return used;
}

json_t *control_evidence_piece_json(const char *data, const char *name, json_int_t from) {
    static const char digits[] = "0123456789abcdef";
    uint8_t piece[CONTROL_PIECE_BYTES];
    char text[2 * CONTROL_PIECE_BYTES];
    struct stat about;
    int fd = name != NULL && from >= 0 ? file_open(data, name, &about) : -1;
    if (fd < 0) return json_pack("{s:s}", "error", "no such file of evidence");
    bool within = from < about.st_size;
    size_t count = within ? piece_read(fd, from, piece) : 0;
    (void)close(fd);
    if (!within) return json_pack("{s:s}", "error", "the file is not as long");
    if (count == SIZE_MAX || count == 0) return json_pack("{s:s}", "error", "the file cannot be read");
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digits[piece[i] >> 4];
        text[2 * i + 1] = digits[piece[i] & 15];
    }
    return json_pack("{s:s,s:I,s:I,s:o}", "file", name, "bytes", (json_int_t)about.st_size, "from", from, "hex", json_stringn(text, 2 * count));
}
