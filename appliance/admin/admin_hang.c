#include "appliance/admin/admin_hang.h"

#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_machine.h"

/* program.node=up pid=N restarts=N TEXT */
uint64_t admin_hang_pid(const char *said) {
    static const char up[] = "up pid=";
    char line[512], *end = NULL;
    if (said == NULL || !admin_machine_value(said, "program.node", line, sizeof line) || strncmp(line, up, sizeof up - 1) != 0) return 0;
    const char *number = line + sizeof up - 1;
    uint64_t pid = number[0] >= '0' && number[0] <= '9' ? strtoull(number, &end, 10) : 0;
    return pid > 0 && *end == ' ' ? pid : 0;
}

bool admin_hang_look(struct admin_hang *hang, uint64_t pid, bool answered) {
    if (hang->rest > 0) hang->rest--;
    bool silent = pid != 0 && pid == hang->pid && !answered;
    hang->pid = pid;
    hang->looks = silent ? hang->looks + 1 : 0;
    if (hang->looks < ADMIN_HANG_LOOKS || hang->rest > 0) return false;
    hang->looks = 0;
    hang->rest = ADMIN_HANG_REST;
    return true;
}
