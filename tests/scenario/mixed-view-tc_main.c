/*
 * A member puts TIMEOUTs of an ended view and its own of a far later one together (B-9): no TC, for a TIMEOUT names its view. Whoever believed it
 * would skip all the views between.
 */
#include "tests/scenario/scenario.h"

enum { LIAR = 3, FAR = 40 };

static struct bft_timeout kept[4];
static uint32_t have; /* bits */

static bool liar_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    static struct bft_message message;
    (void)context;
    (void)from;
    if (type != BFT_MESSAGE_TIMEOUT || !scenario_decode(&payload, 1, type, &message) || message.timeout.view != 0) return true;
    kept[message.timeout.signer] = message.timeout;
    have |= 1u << message.timeout.signer;
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    static struct bft_message message, own;
    scenario_begin(&s, argc, argv, "B-9");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_hook(&s, LIAR, (struct replica_hooks){.frame = liar_frame});
    scenario_isolate(&s, 0, true);
    scenario_load(&s, 3, 20000);
    scenario_isolate(&s, 0, false);
    scenario_must(&s, scenario_view(&s, 0) == 1 && (have & 6) == 6, "a view ended, the liar has two others' TIMEOUTs");
    const struct replica *r = scenario_replica(&s, LIAR);
    own.type = BFT_MESSAGE_TIMEOUT;
    own.timeout = (struct bft_timeout){.place = r->members.place, .view = FAR, .signer = LIAR, .high = kept[1].high};
    bft_message_sign(&r->signer, &own);
    message.type = BFT_MESSAGE_TC;
    message.tc = (struct bft_tc){.place = r->members.place, .view = FAR, .count = 3, .qc = kept[1].qc};
    for (uint32_t i = 0; i < 3; i++) {
        const struct bft_timeout *timeout = i < 2 ? &kept[i + 1] : &own.timeout;
        message.tc.signers[i] = timeout->signer;
        message.tc.highs[i] = timeout->high;
        message.tc.signatures[i] = timeout->signature;
        if (bft_rank_compare(timeout->qc.ballot.view, timeout->qc.ballot.height, message.tc.qc.ballot.view, message.tc.qc.ballot.height) > 0)
            message.tc.qc = timeout->qc;
    }
    scenario_say(&s, LIAR, BFT_TO_ALL, &message);
    scenario_run(&s, 50);
    scenario_must(&s, scenario_view(&s, 0) == 1, "nobody enters the view after it");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_BAD_SIGNATURE) > 0, "it is named");
    scenario_load(&s, 5, 20000);
    return scenario_end(&s);
}
