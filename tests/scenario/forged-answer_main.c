/* A coordinator node answers with another value than what was certified: clients refuse it and ask another (O-60). */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "O-60");
    scenario_start(&s);
    uint32_t liar = scenario_preferred(s.world); /* the client asks it first */
    scenario_lie(&s, liar, "forge,value");
    scenario_load(&s, 30, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    return scenario_end(&s);
}
