#include "appliance/status/load.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>

enum { LOAD_PATH_BYTES = 256 };

/* A line "cpuN user nice system idle iowait irq softirq steal ...". */
static bool line_read(const char *line, unsigned *cpu, uint64_t *busy, uint64_t *all) {
    uint64_t user, nice, system, idle, iowait, irq, softirq, steal;
    if (sscanf(line, "cpu%u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, cpu, &user, &nice, &system,
               &idle, &iowait, &irq, &softirq, &steal) != 9)
        return false;
    *busy = user + system + irq + softirq + steal;
    *all = *busy + nice + idle + iowait;
    return true;
}

int load_look(struct load *load, const char *root) {
    char path[LOAD_PATH_BYTES], line[512];
    struct load now = {0};
    cpu_set_t mine;
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) return -1;
    if ((size_t)snprintf(path, sizeof path, "%s/proc/stat", root) >= sizeof path) return -1;
    FILE *file = fopen(path, "re");
    if (file == NULL) return -1;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned cpu = 0;
        uint64_t busy = 0, all = 0;
        if (line[0] != 'c') break; /* the CPUs come first, and hundreds of other counters after them */
        if (!line_read(line, &cpu, &busy, &all) || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &mine)) continue;
        now.busy += busy;
        now.all += all;
    }
    fclose(file);
    struct load before = *load;
    *load = now;
    /* Counters of a machine that was moved may go back. */
    if (before.all == 0 || now.all <= before.all || now.busy < before.busy || now.busy - before.busy > now.all - before.all) return -1;
    return (int)((now.busy - before.busy) * 1000 / (now.all - before.all));
}
