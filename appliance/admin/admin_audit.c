#include "appliance/admin/admin_audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/admin/admin.h"
#include "ring/clock.h"

enum { TAIL_BYTES = ADMIN_AUDIT_SHOWN * ADMIN_AUDIT_LINE_BYTES, TEXT_BYTES = 160 };

/* The last TAIL_BYTES of the file, ended by a zero; NULL: cannot be read. */
static char *tail_read(int fd, size_t *used) {
    struct stat about;
    char *text = fstat(fd, &about) == 0 ? malloc(TAIL_BYTES + 1) : NULL;
    off_t from = text != NULL && about.st_size > TAIL_BYTES ? about.st_size - TAIL_BYTES : 0;
    ssize_t got = text != NULL ? pread(fd, text, TAIL_BYTES, from) : -1;
    if (got < 0) {
        free(text);
        return NULL;
    }
    *used = (size_t)got;
    text[got] = '\0';
    return text;
}

static json_t *lines_of(int fd) {
    size_t used = 0;
    char *text = tail_read(fd, &used), *rest = NULL;
    json_t *lines = json_array();
    for (char *line = text != NULL ? strtok_r(text, "\n", &rest) : NULL; line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        json_t *entry = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_integer(json_object_get(entry, "number")))
            json_array_insert_new(lines, 0, entry);
        else
            json_decref(entry); /* torn by a power cut, or cut by where the tail begins */
    }
    free(text);
    while (json_array_size(lines) > ADMIN_AUDIT_SHOWN) json_array_remove(lines, json_array_size(lines) - 1);
    return lines;
}

static int file_open(const char *path, int flags) {
    return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0600);
}

bool admin_audit_open(struct admin_audit *audit, const char *folder) {
    char older[ADMIN_AUDIT_PATH_BYTES + 2];
    if ((size_t)snprintf(audit->path, sizeof audit->path, "%s/audit.jsonl", folder) >= sizeof audit->path) {
        errno = ENAMETOOLONG;
        return false;
    }
    audit->fd = file_open(audit->path, 0);
    if (audit->fd < 0) return false;
    json_t *lines = lines_of(audit->fd);
    if (json_array_size(lines) == 0) { /* moved away just now, perhaps */
        (void)snprintf(older, sizeof older, "%s.1", audit->path);
        int fd = open(older, O_RDONLY | O_CLOEXEC);
        json_decref(lines);
        lines = fd >= 0 ? lines_of(fd) : NULL;
        if (fd >= 0) (void)close(fd);
    }
    audit->number = (uint64_t)json_integer_value(json_object_get(json_array_get(lines, 0), "number"));
    json_decref(lines);
    return true;
}

/* The next file is there before this one goes: where it cannot be made, this one stays open, and the next call tries again. */
static bool make_room(struct admin_audit *audit) {
    struct stat about;
    char older[ADMIN_AUDIT_PATH_BYTES + 4], fresh[ADMIN_AUDIT_PATH_BYTES + 4];
    if (fstat(audit->fd, &about) != 0) return false;
    if (about.st_size < ADMIN_AUDIT_BYTES_MAX - ADMIN_AUDIT_LINE_BYTES) return true;
    (void)snprintf(older, sizeof older, "%s.1", audit->path);
    (void)snprintf(fresh, sizeof fresh, "%s.new", audit->path);
    int fd = file_open(fresh, O_TRUNC);
    if (fd < 0) return false;
    bool moved = rename(audit->path, older) == 0 || errno == ENOENT; /* by a call that came no further */
    if (!moved || rename(fresh, audit->path) != 0) {
        (void)close(fd);
        return false;
    }
    (void)close(audit->fd);
    audit->fd = fd;
    return true;
}

/* A line that a power cut or a full disk tore gets its end, so that the next one is read. */
static bool torn_end(int fd, off_t size) {
    char last = '\n';
    if (size > 0 && pread(fd, &last, 1, size - 1) != 1) return false;
    return last == '\n' || write(fd, "\n", 1) == 1;
}

/* The line whole and synced, or not there. Where what is there of it cannot be taken away its number is used. */
static bool line_write(struct admin_audit *audit, const char *line, size_t count) {
    struct stat before;
    if (fstat(audit->fd, &before) != 0 || !torn_end(audit->fd, before.st_size)) return false;
    if (write(audit->fd, line, count) == (ssize_t)count && fdatasync(audit->fd) == 0) return true;
    if (ftruncate(audit->fd, before.st_size) != 0) audit->number++;
    return false;
}

bool admin_audit_add(struct admin_audit *audit, const char *who, const char *action, const char *outcome, const char *detail) {
    char short_detail[TEXT_BYTES];
    if (audit->path[0] == '\0' || !make_room(audit)) return false;
    (void)snprintf(short_detail, sizeof short_detail, "%s", detail);
    admin_plain(short_detail);
    json_t *entry = json_pack("{s:I,s:I,s:s,s:s,s:s,s:s}", "number", (json_int_t)(audit->number + 1), "time_ms", (json_int_t)ring_clock_wall_ms(),
                              "who", who, "action", action, "outcome", outcome, "detail", short_detail);
    char *text = entry != NULL ? json_dumps(entry, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    size_t count = text != NULL ? strlen(text) : 0;
    bool good = text != NULL;
    if (good) {
        text[count] = '\n'; /* in place of the zero */
        good = line_write(audit, text, count + 1);
        text[count] = '\0';
    }
    if (good) audit->number++;
    if (good) admin_syslog_add(audit->syslog, "heraclius-audit", ADMIN_SEVERITY_NOTICE, text);
    free(text);
    json_decref(entry);
    return good;
}

struct admin_seldom_one *admin_seldom_due(struct admin_seldom *seldom, uint64_t now_ms, const char *what) {
    struct admin_seldom_one *one = NULL, *oldest = &seldom->of[0];
    char key[ADMIN_SELDOM_BYTES];
    (void)snprintf(key, sizeof key, "%s", what);
    for (size_t i = 0; i < ADMIN_SELDOM_MAX; i++) {
        if (seldom->of[i].told_ms < oldest->told_ms) oldest = &seldom->of[i];
        if (strcmp(seldom->of[i].what, key) == 0) one = &seldom->of[i];
    }
    if (one == NULL) {
        one = oldest;
        *one = (struct admin_seldom_one){.told_ms = 0};
        memcpy(one->what, key, sizeof key);
    }
    if (one->told_ms == 0 || now_ms - one->told_ms >= ADMIN_SELDOM_MS) return one;
    if (one->untold < UINT32_MAX) one->untold++;
    return NULL;
}

void admin_seldom_told(struct admin_seldom_one *one, uint64_t now_ms) {
    one->told_ms = now_ms;
    one->untold = 0;
}

json_t *admin_audit_newest(const struct admin_audit *audit) {
    return audit->path[0] != '\0' ? lines_of(audit->fd) : json_array();
}
