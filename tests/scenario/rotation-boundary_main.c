/* Leaders take turns after 16 blocks (B-53): the work goes on over each boundary. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-53");
    s.config.rotation_blocks = 16;
    scenario_start(&s);
    scenario_load(&s, 60, 20000);
    scenario_must(&s, scenario_view(&s, 0) >= 3, "the lead changed hands a few times");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_SILENT_LEADER) == 0, "nobody was accused for it");
    return scenario_end(&s);
}
