/* What the kernel lets this process use: see thread_plan.h. */
#include <sched.h>
#include <string.h>

#include "appliance/config/thread_plan.h"
#include "appliance/status/memory.h"

void thread_machine_look(const char *root, struct thread_machine *machine) {
    cpu_set_t set;
    memset(machine, 0, sizeof *machine);
    if (sched_getaffinity(0, sizeof set, &set) != 0) CPU_ZERO(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE && machine->cpu_count < THREAD_CPUS_MAX; cpu++) {
        if (CPU_ISSET((size_t)cpu, &set)) machine->cpus[machine->cpu_count++] = (uint16_t)cpu;
    }
    machine->quota_thousandths = memory_cpu_thousandths(root);
    machine->memory_bytes = memory_limit(root);
}
