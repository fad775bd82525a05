/* The first client of a scenario's world (scenario_client.c): apart, since the library's header and the node's have names in common. */
#ifndef TESTS_SCENARIO_SCENARIO_CLIENT_H
#define TESTS_SCENARIO_SCENARIO_CLIENT_H

#include "tests/sim/sys.h"

enum scenario_asked { SCENARIO_PUT, SCENARIO_ADD, SCENARIO_GET };
struct scenario_answer {
    bool done;  /* it came */
    int status; /* enum heraclius_status */
    int code;   /* of the operation */
    bool has_value;
    char value[64];
};
/* Asks, and lets time pass until the answer is there or `ms` are over. */
struct scenario_answer scenario_ask(struct sys_world *world, enum scenario_asked what, const char *key, const char *value, int64_t delta,
                                    uint64_t ms);

/* `users` writes are under way at once, each followed by the next one when it is answered, for `ms`; how many were answered. */
uint64_t scenario_crowd(struct sys_world *world, uint32_t users, uint64_t ms);

/* The node that the client asks first. */
uint32_t scenario_preferred(const struct sys_world *world);
/* It asks this one first from now on. */
void scenario_prefer(struct sys_world *world, uint32_t node);
/* The number that its next write to the first shard gets. */
uint64_t scenario_next_number(const struct sys_world *world);
/* How many answers it found to be forged. */
uint64_t scenario_distrusted(const struct sys_world *world);

#endif
