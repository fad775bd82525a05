/* A member sends old messages of its own again and again: nothing of it counts twice (B-18, D-5). */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-18, D-5");
    scenario_start(&s);
    uint32_t liar = scenario_preferred(s.world); /* it relays what the client writes */
    scenario_lie(&s, liar, "replay");
    scenario_load(&s, 160, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_REPLAY) > 0, "it is named");
    return scenario_end(&s);
}
