/* All links between the clusters are cut for a while, and what waited comes at once (D-18, D-23). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "D-18, D-23");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    for (uint32_t a = 0; a < 4; a++) {
        for (uint32_t b = 4; b < 8; b++) scenario_cut(&s, a, b, true);
    }
    for (int i = 0; i < 12; i++) scenario_must(&s, !scenario_try_put(&s, "waits", "there", 200), "nothing is answered meanwhile");
    for (uint32_t a = 0; a < 4; a++) {
        for (uint32_t b = 4; b < 8; b++) scenario_cut(&s, a, b, false);
    }
    scenario_load(&s, 5, 30000);
    scenario_get(&s, "waits", "there", 30000);
    return scenario_end(&s);
}
