/*
 * A client moves its floor past numbers that it used, and then old signed bytes of it come again, through a coordinator that never heard of the
 * floor (O-41): below the floor nothing is done any more, for ever. A number far beyond the window is refused as well, and a floor moves by the
 * client's own signature only.
 */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "O-41");
    s.config.coordinators = s.config.clients = 2;
    scenario_start(&s);
    scenario_load(&s, 2, 20000);
    scenario_run(&s, 1000);
    uint32_t first = scenario_node(&s, 0, 1), second = scenario_node(&s, 1, 2);
    struct scenario_batch old = {.key = "sum", .delta = 1, .number = 1, .nonce = 7};
    scenario_must(&s, scenario_raw_ask(&s, first, &old, 5000) == CODE_OK, "the write is done");
    struct scenario_batch next = {.key = "sum", .delta = 10, .number = 40, .floor = 40, .nonce = 8};
    scenario_must(&s, scenario_raw_ask(&s, first, &next, 5000) == CODE_OK, "another one moves the floor");
    scenario_must(&s, scenario_raw_ask(&s, second, &old, 5000) == CODE_TOO_OLD, "what lies below it comes too late");
    old.attempt = 1;
    scenario_must(&s, scenario_raw_ask(&s, first, &old, 5000) == CODE_TOO_OLD, "whoever is asked");
    struct scenario_batch far = {.key = "sum", .delta = 100, .number = 1 + 2 * (uint64_t)s.world->system->limits.number_window, .nonce = 9};
    scenario_must(&s, scenario_raw_ask(&s, second, &far, 5000) == CODE_TOO_NEW, "a number beyond the window comes too early");
    scenario_must(&s, scenario_raw_ask(&s, second, &next, 5000) == CODE_RECORDED, "and moves nothing");
    scenario_must(&s, scenario_add(&s, "sum", 0, 20000) == 11, "each of two writes counted once");
    return scenario_end(&s);
}
