/* A client uses a number again for something else (O-41): that is refused by name, and does nothing. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "O-41");
    s.config.coordinators = s.config.clients = 2;
    scenario_start(&s);
    scenario_load(&s, 2, 20000);
    scenario_run(&s, 1000);
    struct scenario_batch batch = {.key = "sum", .delta = 1, .number = 1, .nonce = 7};
    scenario_must(&s, scenario_raw_ask(&s, scenario_node(&s, 0, 1), &batch, 5000) == CODE_OK, "the first write is done");
    batch.delta = 100;
    for (uint32_t cluster = 0; cluster < 2; cluster++) {
        scenario_must(&s, scenario_raw_ask(&s, scenario_node(&s, cluster, 2), &batch, 5000) == CODE_REUSED, "the second is refused for its number");
        batch.nonce++;
    }
    scenario_must(&s, scenario_add(&s, "sum", 0, 20000) == 1, "it did nothing");
    return scenario_end(&s);
}
