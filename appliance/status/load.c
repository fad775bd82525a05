#include "appliance/status/load.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { LOAD_PATH_BYTES = 256 };

/* A line "cpuN user nice system idle iowait irq softirq steal ...". */
static bool line_read(const char *line, unsigned *cpu, uint64_t *busy, uint64_t *all) {
    uint64_t user, nice, system, idle, iowait, irq, softirq, steal;
    if (strncmp(line, "cpu ", 4) == 0) return false; /* "cpu": the sum of all, of which sscanf() would take the first figure for a number */
    if (sscanf(line, "cpu%u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, cpu, &user, &nice, &system,
               &idle, &iowait, &irq, &softirq, &steal) != 9)
        return false;
    *busy = user + system + irq + softirq + steal;
    *all = *busy + nice + idle + iowait;
    return true;
}

static FILE *proc_open(const char *root, const char *name) {
    char path[LOAD_PATH_BYTES];
    return (size_t)snprintf(path, sizeof path, "%s/proc/%s", root, name) < sizeof path ? fopen(path, "re") : NULL;
}

static bool cpus_read(struct load *now, const char *root) {
    char line[512];
    cpu_set_t mine;
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) return false;
    FILE *file = proc_open(root, "stat");
    if (file == NULL) return false;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned cpu = 0;
        uint64_t busy = 0, all = 0;
        if (line[0] != 'c') break; /* the CPUs come first, and hundreds of other counters after them */
        if (!line_read(line, &cpu, &busy, &all) || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &mine)) continue;
        now->busy += busy;
        now->all += all;
    }
    fclose(file);
    return now->all > 0;
}

static bool thread_read(struct load *now, const char *root) {
    FILE *file = proc_open(root, "thread-self/schedstat");
    if (file == NULL) return false;
    bool good = fscanf(file, "%" SCNu64 " %" SCNu64, &now->ran, &now->waited) == 2;
    fclose(file);
    return good;
}

int load_look(struct load *load, const char *root) {
    struct load now = {0}, before = *load;
    bool good = cpus_read(&now, root) && thread_read(&now, root);
    *load = good ? now : (struct load){0};
    /* Counters of a machine that was moved may go back. */
    if (!good || before.all == 0 || now.all <= before.all || now.busy < before.busy || now.busy - before.busy > now.all - before.all) return -1;
    if (now.ran < before.ran || now.waited < before.waited || now.ran + now.waited == before.ran + before.waited) return -1;
    uint64_t busy = (now.busy - before.busy) * 1000 / (now.all - before.all), waited = now.waited - before.waited;
    uint64_t twice = 2 * waited * 1000 / (waited + now.ran - before.ran);
    return (int)(busy < twice ? busy : twice);
}
