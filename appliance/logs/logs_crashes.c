/* What the kernel left in the firmware's store when it crashed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance/logs/logs.h"

enum { NAME_BYTES = 256, PACKET_BYTES = 2 * NAME_BYTES + LOGS_CRASH_BYTES };

/* The name that sorts last, of those before `below` ("": of all); "": there is none. */
static void newest(const char *store, const char *below, char name[NAME_BYTES]) {
    DIR *folder = opendir(store);
    name[0] = '\0';
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t count = strlen(entry->d_name);
        bool fits = entry->d_name[0] != '.' && count < NAME_BYTES && (!below[0] || strcmp(entry->d_name, below) < 0);
        if (fits && strcmp(entry->d_name, name) > 0) (void)memcpy(name, entry->d_name, count + 1);
    }
    if (folder) (void)closedir(folder);
}

/* As logs_take() wants it, of the record's first LOGS_CRASH_BYTES; its length, 0: it cannot be read. */
static size_t packet_of(const char *path, const char *name, char packet[PACKET_BYTES]) {
    size_t first = (size_t)snprintf(packet, 2 * NAME_BYTES, "crash\n%s:\n", name), count = first;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0;
    for (ssize_t some = 1; good && some != 0 && count < first + LOGS_CRASH_BYTES;) {
        some = read(fd, packet + count, first + LOGS_CRASH_BYTES - count);
        if (some > 0) count += (size_t)some;
        good = some >= 0 || errno == EINTR;
    }
    if (fd >= 0) (void)close(fd);
    for (size_t i = first; i < count; i++) {
        if (packet[i] != '\n' && packet[i] != '\t' && (packet[i] < 0x20 || packet[i] > 0x7E)) packet[i] = '?';
    }
    packet[count++] = '\n';
    return good ? count : 0;
}

/* The newest bytes of all records, for init. */
static void hand_on(const char *root, const char *bytes, size_t count) {
    char path[LOGS_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/run/log/crash", root);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd >= 0 && write(fd, bytes, count) < 0) (void)unlink(path);
    if (fd >= 0) (void)close(fd);
}

unsigned logs_crashes(const char *root, const char **fault) {
    static char packet[PACKET_BYTES], all[LOGS_BEFORE_BYTES];
    static struct logs logs;
    char store[LOGS_PATH_BYTES / 2], path[LOGS_PATH_BYTES], name[NAME_BYTES], last[NAME_BYTES];
    size_t used = 0;
    unsigned kept = 0;
    *fault = NULL;
    logs = (struct logs){.count = 0};
    (void)snprintf(logs.folder, sizeof logs.folder, "%s/data/log", root);
    (void)snprintf(store, sizeof store, "%s/sys/fs/pstore", root);
    for (newest(store, "", name); name[0] && kept < LOGS_CRASHES_MAX; newest(store, last, name)) {
        (void)memcpy(last, name, sizeof last);
        (void)snprintf(path, sizeof path, "%s/%s", store, name);
        size_t count = packet_of(path, name, packet);
        if (count == 0) { /* those behind it can be read */
            *fault = strerror(errno);
            continue;
        }
        const char *lost = logs_take(&logs, packet, count);
        if (!lost) lost = logs_sync(&logs);
        if (lost || unlink(path) < 0) *fault = lost ? lost : strerror(errno);
        if (lost) break;
        kept++;
        size_t skip = strlen("crash\n"), more = count - skip < sizeof all ? count - skip : sizeof all;
        size_t stays = used + more > sizeof all ? sizeof all - more : used;
        (void)memmove(all, all + used - stays, stays);
        (void)memcpy(all + stays, packet + count - more, more);
        used = stays + more;
    }
    for (unsigned i = 0; i < logs.count; i++) {
        if (logs.files[i].fd >= 0) (void)close(logs.files[i].fd);
    }
    if (used > 0) hand_on(root, all, used);
    return kept;
}
