/*
 * Named scenarios with CONFIG, enrolment, quotas and state transfer: whole replicas of a coordinator and a shard cluster on the world of
 * tests/appliance/replica_world.h, each a short script. What scenario.h of tests/scenario says holds here too: a script names the rule of spec/ that
 * it attacks, says that its attack really happened, and fails when that rule alone is taken out (tests/broken/scenarios). --seed S.
 */
#ifndef TESTS_SCENARIO_REPLICA_REPLICA_SCENARIO_H
#define TESTS_SCENARIO_REPLICA_REPLICA_SCENARIO_H

#include "tests/appliance/replica_world.h"
#include "tests/protocol/identity_fixture.h"

/* The seed of main()'s arguments, else 1; the rule is for what must() prints. */
uint64_t rs_begin(int argc, char **argv, const char *rule);
/* Ends the script with this text unless it is so. */
void rs_must(struct replica_world *rw, bool so, const char *what);
/* Nobody stopped, all states agree, no answer was bad; returns main()'s code. */
int rs_end(struct replica_world *rw);

/* Two of three administrators must sign; the world is made with rs_administrators as its preparation. */
void rs_administrators(struct world *world);
/* Who they are: those of this system. */
const struct fixture *rs_fixture(void);
/* Signs with so many administrators and hands it in at this node; the code of its ADMIN_STATE (O-53). */
uint8_t rs_hand_in(struct replica_world *rw, uint32_t node, struct admin_op *op, uint32_t signatures);
/* O-53 */
enum { RS_WAITS = 1, RS_DONE = 2, RS_NUMBER = 3, RS_INVALID = 4 };

/* One write of the client's; the code of its part, or -1 without an answer. */
int rs_write(struct replica_world *rw, uint64_t number, const struct operation *op, uint64_t ms);

/* ---- a world with checkpoints every 16 blocks (rw_create_stored) ---- */
enum { RS_CHECKPOINT = 16 };
/* So many puts, each blocks of its own. */
void rs_puts(struct replica_world *rw, uint32_t count);
/* Crashes a node and goes on until its cluster has pruned what it lacks; the height that it had. */
uint64_t rs_leave_behind(struct replica_world *rw, uint32_t node);
/* Until the node votes and is above this height. */
bool rs_is_back(struct replica_world *rw, uint32_t node, uint64_t above, uint64_t ms);

#endif
