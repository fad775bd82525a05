#include "appliance/status/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "max", and a file that is not there, are no limit. */
static uint64_t group_memory(const char *folder) {
    char path[MEMORY_PATH_BYTES + 16];
    uint64_t bytes = UINT64_MAX;
    (void)snprintf(path, sizeof path, "%s/memory.max", folder);
    FILE *file = fopen(path, "re");
    if (file == NULL) return bytes;
    if (fscanf(file, "%" SCNu64, &bytes) != 1) bytes = UINT64_MAX;
    fclose(file);
    return bytes;
}

/* "QUOTA PERIOD": so many microseconds in each period, all threads together. */
static uint64_t group_cpu(const char *folder) {
    char path[MEMORY_PATH_BYTES + 16];
    uint64_t quota = 0, period = 0;
    (void)snprintf(path, sizeof path, "%s/cpu.max", folder);
    FILE *file = fopen(path, "re");
    if (file == NULL) return UINT64_MAX;
    bool limited = fscanf(file, "%" SCNu64 " %" SCNu64, &quota, &period) == 2 && period > 0 && quota < UINT64_MAX / 1000;
    fclose(file);
    if (!limited) return UINT64_MAX;
    return quota * 1000 / period > 0 ? quota * 1000 / period : 1;
}

/* The line "0::/PATH" of /proc/self/cgroup. */
static bool group_find(const char *root, char folder[MEMORY_PATH_BYTES]) {
    char line[MEMORY_PATH_BYTES / 2], path[MEMORY_PATH_BYTES];
    bool found = false;
    if ((size_t)snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= sizeof path) return false;
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::/", 4) == 0 &&
                (size_t)snprintf(folder, MEMORY_PATH_BYTES, "%s/sys/fs/cgroup%s", root, line + 3) < MEMORY_PATH_BYTES;
    }
    if (file != NULL) fclose(file);
    return found;
}

/* The least that this process' group or one above it allows; UINT64_MAX: no limit. */
static uint64_t groups_least(const char *root, uint64_t (*limit)(const char *folder)) {
    char folder[MEMORY_PATH_BYTES];
    uint64_t least = UINT64_MAX;
    if (!group_find(root, folder)) return least;
    size_t top = strlen(root) + strlen("/sys/fs/cgroup");
    for (;;) {
        uint64_t one = limit(folder);
        if (one < least) least = one;
        char *slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < top) return least;
        *slash = '\0';
    }
}

uint64_t memory_limit(const char *root) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX, groups = groups_least(root, group_memory);
    uint64_t least = groups < machine ? groups : machine;
    return least == UINT64_MAX ? 0 : least;
}

uint64_t memory_cpu_thousandths(const char *root) {
    uint64_t least = groups_least(root, group_cpu);
    return least == UINT64_MAX ? 0 : least;
}
