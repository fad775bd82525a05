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

/* The node that the client asks first. */
uint32_t scenario_preferred(const struct sys_world *world);

#endif
