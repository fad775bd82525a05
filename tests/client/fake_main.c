/*
 * The fake system for tests of the command: prints the folder of the system file, then obeys lines on stdin until it ends.
 *
 *   play NODE ACT CODE DELAY_MS TIMES   see fake.h; NODE -1: all; ACT as in enum fake_act
 *   value KEY                           prints "= VALUE" or "absent"
 *   batches                             prints how many batches came
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/client/fake.h"

int main(int argc, char **argv) {
    struct fake_options options = {.coordinators = 1, .shards = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1, .number_window = 64};
    struct fake *fake = fake_start(&options);
    char line[256], key[128], value[256];
    printf("%s\n", fake->folder);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        int node, act, code, delay_ms, times;
        if (sscanf(line, "play %d %d %d %d %d", &node, &act, &code, &delay_ms, &times) == 5) {
            fake_play(fake, node, (struct fake_script){(enum fake_act)act, (uint8_t)code, (uint32_t)delay_ms, times});
            puts("ok");
        } else if (sscanf(line, "value %127s", key) == 1) {
            bool found = fake_value(fake, key, value, sizeof value);
            printf("%s%s\n", found ? "= " : "absent", found ? value : "");
        } else if (strcmp(line, "batches\n") == 0) {
            printf("%u\n", fake_batches(fake, -1));
        } else {
            puts("what?");
        }
        fflush(stdout);
    }
    fake_stop(fake);
    return 0;
}
