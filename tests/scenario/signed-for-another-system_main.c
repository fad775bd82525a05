/* A write that its client signed for another system is brought here (O-20): the signature names the system, so nobody takes it. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "O-20");
    s.config.clients = 2;
    scenario_start(&s);
    scenario_load(&s, 2, 20000);
    uint8_t other[16];
    memcpy(other, s.world->system->system_id, sizeof other);
    other[3] ^= 1;
    struct scenario_batch batch = {.key = "sum", .delta = 1, .number = 1, .nonce = 7, .system_id = other};
    scenario_must(&s, scenario_raw_ask(&s, scenario_node(&s, 0, 1), &batch, 2000) == CODE_MALFORMED, "it is refused");
    scenario_must(&s, scenario_drops(&s, 0, DROP_BATCH_SIGNATURE) > 0, "for its signature");
    batch.system_id = NULL;
    scenario_must(&s, scenario_raw_ask(&s, scenario_node(&s, 0, 1), &batch, 2000) == CODE_OK, "the same for this system is done");
    scenario_must(&s, scenario_add(&s, "sum", 0, 20000) == 1, "one of them took effect");
    return scenario_end(&s);
}
