/* A coordinator node answers with another value than what was certified (O-60): the client refuses it and asks another. */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "O-60");
    scenario_start(&s);
    uint32_t liar = scenario_preferred(s.world); /* the client asks it first */
    scenario_put(&s, "key", "true", 30000);
    scenario_lie(&s, liar, "forge,value");
    for (int i = 0; i < 10; i++) {
        scenario_get(&s, "key", "true", 30000);
        scenario_put(&s, "other", "value", 30000);
    }
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_distrusted(s.world) > 0, "the client found it out");
    return scenario_end(&s);
}
