/* A client sends the same write, signed anew, through two coordinator clusters (O-40, O-41): it takes effect once, and both tell its outcome. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "O-41");
    s.config.coordinators = s.config.clients = 2;
    scenario_start(&s);
    scenario_load(&s, 2, 20000);
    scenario_run(&s, 1000);
    struct scenario_batch batch = {.key = "sum", .delta = 1, .number = 1, .nonce = 7};
    scenario_must(&s, scenario_raw_ask(&s, scenario_node(&s, 0, 1), &batch, 5000) == CODE_OK, "the write is done");
    scenario_must(&s, scenario_raw_ask(&s, scenario_node(&s, 1, 2), &batch, 5000) == CODE_RECORDED, "the other coordinator hears its outcome");
    batch.attempt = 1;
    scenario_must(&s, scenario_raw_ask(&s, scenario_node(&s, 0, 2), &batch, 5000) == CODE_RECORDED, "and the first one once more");
    scenario_must(&s, scenario_add(&s, "sum", 0, 20000) == 1, "it took effect once");
    return scenario_end(&s);
}
