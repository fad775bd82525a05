/* The next leader goes down just when the view changes (B-31, B-36): the one after it leads. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-31, B-36");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    uint32_t leader = scenario_leader(&s, 0);
    scenario_crash(&s, leader);
    (void)scenario_try_put(&s, "x", "y", 100);
    scenario_run(&s, 200);
    scenario_must(&s, scenario_height(&s, 0) > 0, "it had begun");
    scenario_restart(&s, leader);
    scenario_crash(&s, scenario_node(&s, 0, (leader + 1) % 4));
    scenario_load(&s, 5, 60000);
    scenario_restart(&s, scenario_node(&s, 0, (leader + 1) % 4));
    return scenario_end(&s);
}
