/* Two clients use numbers again with other content, send floors and numbers far ahead, and others' signed bytes through other coordinators (O-40 to
 * O-43). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "O-40, O-42");
    s.config.coordinators = 2;
    s.config.hostile = 2;
    scenario_start(&s);
    for (int64_t i = 1; i <= 60; i++) {
        scenario_must(&s, scenario_add(&s, "sum", 1, 30000) == i, "each ADD of the honest client counts once");
        scenario_run(&s, 30);
    }
    scenario_must(&s, s.stats.faults[SYS_HOSTILE] > 100 && s.world->captured_count > 0, "they did their worst");
    scenario_must(&s, scenario_drops(&s, 0, DROP_BATCH_FOREIGN_CLIENT) > 0, "others' signed bytes over their own links are refused for that");
    return scenario_end(&s);
}
