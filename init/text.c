#include "init/text.h"
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

long text_read(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return -errno;
    size_t count = 0;
    ssize_t got = 1; /* nothing is interrupted: no signal has a handler here */
    while (count < size && (got = read(fd, out + count, size - count)) > 0) count += (size_t)got;
    long result = got < 0 ? -errno : count == size ? -EFBIG : (long)count;
    (void)close(fd);
    if (result > 0 && out[result - 1] == '\n') result--;
    out[result > 0 ? result : 0] = '\0';
    return result;
}

int text_write(const char *path, int flags, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | flags, 0644);
    if (fd < 0) return -errno;
    size_t count = strlen(text);
    ssize_t done = write(fd, text, count);
    int result = done < 0 ? -errno : (size_t)done == count ? 0 : -ENOSPC;
    if (result == 0 && flags && fsync(fd) < 0) result = -errno;
    (void)close(fd);
    return result;
}

int text_copy(int from, const char *path, size_t max, unsigned mode) {
    off_t all = 0;
    ssize_t count = 1;
    (void)unlink(path);
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
    if (to < 0) return -errno;
    while (count > 0 && (size_t)all <= max) count = sendfile(to, from, &all, max + 1 - (size_t)all);
    int result = count < 0 ? -errno : (size_t)all > max ? -EFBIG : fsync(to) < 0 ? -errno : 0;
    (void)close(to);
    if (result < 0) (void)unlink(path);
    return result;
}

bool text_form(char *out, size_t size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(out, size, format, arguments);
    va_end(arguments);
    return count >= 0 && (size_t)count < size;
}

size_t text_words(char *line, char **words, size_t max) {
    size_t count = 0;
    for (char *at = line; count < max && *(at += strspn(at, " \t"));) {
        words[count++] = at;
        if (count < max) at += strcspn(at, " \t");
        if (count < max && *at) *at++ = '\0';
    }
    return count;
}

bool text_option(const char *line, const char *name, char *out, size_t size) {
    bool found = false;
    for (size_t bytes, own = strlen(name); *(line += strspn(line, " \t\n")); line += bytes) {
        bytes = strcspn(line, " \t\n");
        if (bytes <= own || strncmp(line, name, own) != 0 || line[own] != '=') continue;
        found = text_form(out, size, "%.*s", (int)(bytes - own - 1), line + own + 1);
    }
    return found;
}

bool text_number(const char *text, uint64_t max, uint64_t *out) {
    uint64_t value = 0;
    if (!*text) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        unsigned digit = (unsigned)(*text - '0');
        if (value > (max - digit) / 10 || digit > max) return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

void text_clean(char *text) {
    for (; *text; text++) {
        if (*text < 0x20 || *text > 0x7E) *text = '?';
    }
}

int text_folder(const char *path, text_name *each, void *context) {
    /* readdir() takes memory from the heap; this does not. */
    _Alignas(struct dirent64) char buffer[2048];
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t count = 1;
    for (bool more = true; more && (count = getdents64(fd, buffer, sizeof buffer)) > 0;) {
        for (ssize_t at = 0; at < count && more;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) more = each(context, entry->d_name);
            at += entry->d_reclen;
        }
    }
    int result = count < 0 ? -errno : 0;
    (void)close(fd);
    return result;
}
