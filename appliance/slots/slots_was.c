#include "appliance/slots/slots_was.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool slots_phase_voteless(const char *phase) {
    static const char *const phases[] = {"retired", "rolled_back", "succeeded", "observing", "removed", "sealed"};
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        if (strcmp(phase, phases[i]) == 0) return true;
    }
    return false;
}

size_t slots_was_print(const struct slots_was *was, char out[SLOTS_WAS_BYTES]) {
    int count = snprintf(out, SLOTS_WAS_BYTES, "heraclius-was 1 %" PRIu64 " %s %" PRIu64 " %d\n", was->number, was->phase, was->height, was->linked);
    return (size_t)count;
}

/* By what it prints again: one line has one text. */
bool slots_was_parse(struct slots_was *was, const char *text, size_t count) {
    char line[SLOTS_WAS_BYTES], again[SLOTS_WAS_BYTES];
    struct slots_was read = {0};
    unsigned linked = 0;
    memset(was, 0, sizeof *was);
    if (count == 0 || count >= sizeof line) return false;
    memcpy(line, text, count);
    line[count] = '\0';
    int fields = sscanf(line, "heraclius-was 1 %20" SCNu64 " %31[a-z_] %20" SCNu64 " %1u\n", &read.number, read.phase, &read.height, &linked);
    if (fields != 4) return false;
    read.linked = linked == 1;
    if (read.number == 0 || slots_was_print(&read, again) != count || memcmp(again, line, count) != 0) return false;
    *was = read;
    return true;
}
