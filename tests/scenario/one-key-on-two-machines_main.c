/*
 * Somebody starts a second machine with a member's key and a copy of its disk (P-10, P-14): it hears from the others what that key signed since, and
 * retires; it never signs beside the first one, which goes on.
 */
#include "tests/scenario/scenario.h"

enum { MEMBER = 2 };

/* The other machine's disk in this one's place. */
static void disk_put(struct scenario *s, struct sys_node *node, struct wal *other) {
    struct wal mine;
    sys_disk_init(s->world, &mine);
    sys_disk_copy(&mine, &node->wal);
    sys_disk_copy(&node->wal, other);
    sys_disk_copy(other, &mine);
    sys_disk_free(&mine);
}

int main(int argc, char **argv) {
    static struct scenario s;
    struct wal copy;
    scenario_begin(&s, argc, argv, "P-10, P-14");
    scenario_start(&s);
    uint32_t at = scenario_node(&s, 0, MEMBER);
    struct sys_node *node = &s.world->nodes[at];
    scenario_load(&s, 5, 20000);
    sys_disk_init(s.world, &copy);
    sys_disk_copy(&copy, &node->wal);
    scenario_load(&s, 10, 20000);
    scenario_crash(&s, at); /* the first machine is cut off, the second one starts in its place */
    disk_put(&s, node, &copy);
    scenario_restart(&s, at);
    for (int i = 0; i < 10; i++) {
        scenario_load(&s, 1, 20000);
        scenario_must(&s, !scenario_replica(&s, at)->core->voting, "the second machine does not vote");
    }
    scenario_must(&s, scenario_replica(&s, at)->retired, "it retired the key");
    scenario_crash(&s, at);
    disk_put(&s, node, &copy);
    sys_disk_free(&copy);
    scenario_restart(&s, at); /* the first one is back: nobody signed anything that it does not know */
    scenario_load(&s, 10, 20000);
    scenario_must(&s, scenario_replica(&s, at)->core->voting && !scenario_replica(&s, at)->retired, "the first machine votes");
    return scenario_end(&s);
}
