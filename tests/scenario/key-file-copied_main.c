/*
 * A client's key file was copied: another machine uses the same key and the same numbers for something else (O-41). One number names one thing: the
 * first that comes counts, and the other is told by name that it did not, so no machine takes what the other did for its own.
 */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "O-41");
    s.config.clients = 2;
    scenario_start(&s);
    scenario_put(&s, "mine", "before", 20000);
    struct scenario_batch batch = {.key = "theirs", .delta = 5, .number = scenario_next_number(s.world), .nonce = 99, .as_first = true};
    struct blob *bytes = scenario_raw_batch(&s, &batch);
    scenario_raw_send(&s, scenario_node(&s, 0, 1), true, bytes);
    scenario_run(&s, 500);
    blob_drop(bytes);
    scenario_put(&s, "mine", "value", 20000); /* its number is taken: the library takes another one */
    scenario_get(&s, "mine", "value", 20000);
    scenario_must(&s, scenario_add(&s, "theirs", 0, 20000) == 5, "the copy's write was the first");
    return scenario_end(&s);
}
