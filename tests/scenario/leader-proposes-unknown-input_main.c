/* A leader names inputs as another kind, or of a relay that is no member (D-2, D-4): its blocks are not prepared. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "D-2, D-4");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 0, 0); /* the first leader */
    scenario_lie(&s, liar, "references");
    scenario_load(&s, 12, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_view(&s, 0) > 0, "it is replaced");
    return scenario_end(&s);
}
