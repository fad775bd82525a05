#include "tests/scenario_replica/replica_scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"

static const char *rule_of_script;
static uint64_t seed_of_script;
static struct fixture *fixture;

uint64_t rs_begin(int argc, char **argv, const char *rule) {
    rule_of_script = rule;
    seed_of_script = 1;
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0) seed_of_script = strtoull(argv[i + 1], NULL, 0);
    }
    return seed_of_script;
}

void rs_must(struct replica_world *rw, bool so, const char *what) {
    if (so) return;
    (void)rw_nobody_stopped(rw);
    (void)fflush(stdout);
    (void)fprintf(stderr, "rule %s, seed %llu, after %llu ms: must hold: %s\n", rule_of_script, (unsigned long long)seed_of_script,
                  (unsigned long long)rw->now_us / 1000, what);
    _Exit(1);
}

int rs_end(struct replica_world *rw) {
    rw_run(rw, 500);
    rs_must(rw, rw_nobody_stopped(rw), "nobody stopped");
    rs_must(rw, rw->answers_bad == 0, "every answer is proved");
    (void)rw_compare(rw);
    printf("rule %s holds; %llu ms\n", rule_of_script, (unsigned long long)rw->now_us / 1000);
    rw_destroy(rw);
    if (fixture != NULL) fixture_free(fixture);
    return 0;
}

/* ---- administrators ---- */

static int card_compare(const void *a, const void *b) {
    return memcmp(((const struct card *)a)->signing_key, ((const struct card *)b)->signing_key, 32);
}

void rs_administrators(struct world *world) {
    static struct card cards[FIXTURE_ADMINS]; /* ascending by key, as a CONFIG has them */
    fixture = fixture_new(21, 1, 1, 4);
    memcpy(cards, fixture->admin_cards, sizeof cards);
    qsort(cards, FIXTURE_ADMINS, sizeof cards[0], card_compare);
    world->system.admins = cards;
    world->system.admins_count = FIXTURE_ADMINS;
    world->system.admins_needed = 2;
}

const struct fixture *rs_fixture(void) {
    return fixture;
}

uint8_t rs_hand_in(struct replica_world *rw, uint32_t node, struct admin_op *op, uint32_t signatures) {
    static uint8_t bytes[ADMIN_OP_BYTES_MAX];
    op->signatures_count = 0;
    (void)admin_op_encode(op, bytes); /* sets the hash that is signed */
    fixture_sign(fixture, op, signatures);
    uint64_t before = rw->admin_states;
    rw_admin_bytes(rw, node, bytes, admin_op_encode(op, bytes));
    for (uint32_t i = 0; i < 400 && rw->admin_states == before; i++) rw_run(rw, 5);
    rs_must(rw, rw->admin_states > before, "the node answers an administrator");
    return rw->admin_state[8];
}

int rs_write(struct replica_world *rw, uint64_t number, const struct operation *op, uint64_t ms) {
    const struct client_item *item = rw_ask(rw, BATCH_WRITE, number, op, 1, ms);
    return item == NULL ? -1 : item->code;
}

/* ---- behind ---- */

void rs_puts(struct replica_world *rw, uint32_t count) {
    rs_must(rw, rw_puts(rw, count), "a put is answered");
}

uint64_t rs_leave_behind(struct replica_world *rw, uint32_t node) {
    uint32_t first = node / RW_CLUSTER * RW_CLUSTER, other = node == first ? first + 1 : first;
    uint64_t at = rw_status(rw, node)->final_height;
    rw_crash(rw, node);
    for (uint32_t i = 0; rw_status(rw, other)->checkpoint_height < at + 3 * RS_CHECKPOINT; i++) {
        rs_must(rw, i < 200, "the others go on");
        rs_puts(rw, 1);
    }
    rs_puts(rw, 2); /* the child of the checkpoint, and time to prune */
    rw_run(rw, 500);
    for (uint32_t i = first; i < first + RW_CLUSTER; i++)
        rs_must(rw, i == node || rw_blocks_stored(rw, i) <= 3 * RS_CHECKPOINT, "what it lacks lies nowhere any more");
    return at;
}

bool rs_is_back(struct replica_world *rw, uint32_t node, uint64_t above, uint64_t ms) {
    for (uint64_t passed = 0; passed < ms; passed += 100) {
        rw_run(rw, 100);
        if (!rw->nodes[node].up) continue;
        const struct status_replica *status = rw_status(rw, node);
        if (status->phase == PHASE_VOTING && status->final_height > above) return true;
    }
    return false;
}
