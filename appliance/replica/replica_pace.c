/*
 * How long the leader waits from one proposal to the next when its CPUs have nothing to spare.
 *
 * A decision has a price of its own (signatures, syncs, messages), whatever it holds. Where CPUs are idle that price is paid with idle time, and a
 * proposal is made as soon as the one before is prepared: nobody waits. Where they are not, whoever proposes each thing as it comes spends on
 * decisions what the operations lack; with several clusters on the same machines each of them alone sees little to do, and together they have no
 * time. So the hold between two proposals grows by a tenth at each look while CPU is lacking and decisions are small, and falls by a tenth while it
 * is not, or decisions are so large that their own price is a small part, or hold next to nothing: whatever else keeps the machine busy, nobody
 * waits for more than helps. It comes to rest where nearly all of the time is used. An idle cluster proposes at once whatever the hold, since it
 * counts from the proposal before.
 *
 * When to propose is each leader's own choice (B-50 to B-55 bound it: an input waits seconds, a hold is PACE_US_MAX at most), so no other node has
 * to know.
 */
#include "appliance/replica/replica_private.h"

enum {
    PACE_BUSY = 800, /* thousandths, as replica_load() is told */
    PACE_CALM = 750,
    PACE_OPS_FEW = 64,      /* of a decision, by weight: there is no load, whatever else keeps the machine busy */
    PACE_OPS_ENOUGH = 32768, /* of a decision, by weight: its signatures, syncs and messages, and those of a slice for each of some clusters, cost
                              * a tenth or less of it then */
    PACE_STEP_US = 200,
    PACE_US_MAX = 100000,
    PACE_COMMITS_MAX = 4 /* a hold is at most so many times what a decision takes: machines that are busy with other things hold up nobody for long */
};

bool replica_load_wanted(const struct replica *r) {
    return r->status.proposals != r->pace.proposals;
}

void replica_load(struct replica *r, uint32_t permille) {
    CHECK(permille <= 1000);
    uint64_t made = r->status.proposals - r->pace.proposals;
    bool helps = r->pace.ops >= made * PACE_OPS_FEW && r->pace.ops < made * PACE_OPS_ENOUGH;
    r->pace.proposals = r->status.proposals;
    r->pace.ops = 0;
    r->pace.load = (r->pace.load * 7 + permille * 3) / 10;
    if (r->pace.load > PACE_BUSY && helps)
        r->pace.hold_us += r->pace.hold_us / 10 + PACE_STEP_US;
    else if (r->pace.load < PACE_CALM || !helps)
        r->pace.hold_us -= (r->pace.hold_us + 9) / 10;
    uint64_t most = r->pace.commit_us * PACE_COMMITS_MAX;
    if (most > PACE_US_MAX) most = PACE_US_MAX;
    if (r->pace.hold_us > most) r->pace.hold_us = most;
}

void pace_committed(struct replica *r, uint64_t took_us) {
    r->pace.commit_us = r->pace.commit_us == 0 ? took_us : (r->pace.commit_us * 7 + took_us) / 8;
}

bool pace_holds(struct replica *r) {
    r->pace.holds = !r->offer.at_once && r->now_us < r->proposed_us + r->pace.hold_us;
    return r->pace.holds;
}

uint64_t pace_deadline_ms(const struct replica *r) {
    if (!r->pace.holds || !r->offer.may_propose) return UINT64_MAX;
    return r->now_ms + (r->proposed_us + r->pace.hold_us - r->now_us) / 1000 + 1;
}
