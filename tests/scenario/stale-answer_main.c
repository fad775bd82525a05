/* A coordinator node sends the oldest answer again instead of each new one (O-60): it is for another request, and nobody takes it for this one's. */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "O-60");
    scenario_start(&s);
    uint32_t liar = scenario_preferred(s.world); /* the client asks it first */
    scenario_put(&s, "key", "old", 30000);
    scenario_get(&s, "key", "old", 30000);
    scenario_lie(&s, liar, "forge,old");
    scenario_get(&s, "key", "old", 30000);
    char value[16];
    for (int i = 0; i < 10; i++) {
        snprintf(value, sizeof value, "new%d", i);
        scenario_put(&s, "key", value, 30000);
        scenario_get(&s, "key", value, 30000);
    }
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    return scenario_end(&s);
}
