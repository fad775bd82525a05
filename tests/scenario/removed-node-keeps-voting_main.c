/*
 * A shard's member is replaced, and goes on voting at its old place in the new epoch, through a liar that says nothing else (B-42, B-16): a vote is
 * held against the key that is at its place now, so nothing is decided by it while the new member is down.
 */
#include "protocol/admin_op.h"
#include "tests/scenario/scenario.h"

enum { SHARD = 1, LIAR = 2, PLACE = 3 };

static uint32_t removed;
static bool armed;
static uint64_t voted;

static void change(struct scenario *s, uint32_t cluster, struct admin_op *op) {
    sys_admin_put(s->world, op, sys_admin_spare(s->world, cluster), PLACE);
}

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    (void)pieces;
    (void)count;
    return !armed || to.kind != REPLICA_MEMBER || type < BFT_MESSAGE_PROPOSE || type > BFT_MESSAGE_NOOP;
}

/* Of whatever is proposed, the removed one's votes go to all. */
static bool liar_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    static struct bft_message message, vote;
    struct scenario *s = context;
    (void)from;
    if (!armed || type != BFT_MESSAGE_PROPOSE || !scenario_decode(&payload, 1, type, &message)) return true;
    for (int kind = BFT_PREPARE; kind <= BFT_COMMIT; kind++) {
        vote = (struct bft_message){.type = kind == BFT_PREPARE ? BFT_MESSAGE_PREPARE : BFT_MESSAGE_COMMIT};
        vote.vote = message.propose.vote;
        vote.vote.kind = (uint8_t)kind;
        vote.vote.signer = PLACE;
        for (uint8_t member = 0; member < LIAR; member++) scenario_say_as(s, scenario_node(s, SHARD, LIAR), removed, member, &vote);
        voted++;
    }
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-42, B-16");
    scenario_with_config(&s);
    scenario_start(&s);
    scenario_load(&s, 5, 20000);
    removed = scenario_member(&s, SHARD, PLACE);
    scenario_must(&s, scenario_config(&s, SHARD, change, 30000), "a member is replaced");
    scenario_run(&s, 2000);
    scenario_load(&s, 2, 20000);
    scenario_run(&s, 200);
    scenario_hook(&s, scenario_node(&s, SHARD, LIAR), (struct replica_hooks){.context = &s, .send = liar_send, .frame = liar_frame});
    uint32_t new = scenario_member(&s, SHARD, PLACE);
    scenario_crash(&s, new);
    armed = true;
    uint64_t height = scenario_height(&s, SHARD);
    scenario_must(&s, !scenario_try_put(&s, "x", "y", 1500), "nothing is answered");
    scenario_must(&s, voted > 0 && scenario_attacks(&s, SHARD, ATTACK_BAD_SIGNATURE) > 0, "the removed one voted, and that is named");
    scenario_must(&s, scenario_height(&s, SHARD) == height, "nothing is decided by it");
    armed = false;
    scenario_restart(&s, new);
    scenario_load(&s, 5, 60000);
    return scenario_end(&s);
}
