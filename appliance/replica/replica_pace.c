/*
 * How long the leader waits from one proposal to the next when its CPUs have nothing to spare.
 *
 * A decision has a price of its own (signatures, syncs, messages), whatever it holds. Where CPUs are idle that price is paid with idle time, and a
 * proposal is made as soon as the one before is prepared: nobody waits. Where they are not, whoever proposes each thing as it comes spends on
 * decisions what the operations lack; with several clusters on the same machines each of them alone sees little to do, and together they have no
 * time. So the hold between two proposals grows by a tenth at each look while CPU is lacking and decisions are small, and falls by a tenth while it
 * is not, or decisions are so large that their own price is a small part. It comes to rest where nearly all of the time is used. Where decisions hold
 * next to nothing there is no load, whatever else keeps the machine busy, and it falls by half: nobody waits for more than helps. An idle cluster
 * proposes at once whatever the hold, since it counts from the proposal before, and has none after a while.
 *
 * When to propose is each leader's own choice (B-50 to B-55 bound it: a hold is PACE_US_MAX at most, a quarter of what an input may wait, and one of
 * the periods by which a leader's throughput is judged), so no other node has to know.
 */
#include "appliance/replica/replica_private.h"

enum {
    PACE_BUSY = 800, /* thousandths, as replica_load() is told */
    PACE_CALM = 750,
    PACE_OPS_FEW = 64,      /* of a decision, by weight: there is no load, whatever else keeps the machine busy */
    PACE_OPS_ENOUGH = 32768, /* of a decision, by weight: its signatures, syncs and messages, and those of a slice for each of some clusters, cost
                              * a tenth or less of it then */
    PACE_STEP_US = 200,
    PACE_US_MAX = 250000,
    PACE_IDLE_US = 500000, /* nothing was proposed for so long: what was before says nothing of now */
    PACE_COMMITS_MAX = 4 /* a hold is at most so many times what a decision takes: machines that are busy with other things hold up nobody for long */
};

bool replica_load_wanted(const struct replica *r) {
    return r->status.proposals != r->pace.proposals;
}

void replica_load(struct replica *r, uint32_t permille) {
    CHECK(permille <= 1000);
    uint64_t made = r->status.proposals - r->pace.proposals;
    bool few = r->pace.ops < made * PACE_OPS_FEW, enough = r->pace.ops >= made * PACE_OPS_ENOUGH;
    r->pace.proposals = r->status.proposals;
    r->pace.ops = 0;
    r->pace.load = (r->pace.load * 7 + permille * 3) / 10;
    if (few)
        r->pace.hold_us /= 2;
    else if (r->pace.load > PACE_BUSY && !enough)
        r->pace.hold_us += r->pace.hold_us / 10 + PACE_STEP_US;
    else if (r->pace.load < PACE_CALM || enough)
        r->pace.hold_us -= (r->pace.hold_us + 9) / 10;
    const struct system_timeouts *timeouts = &r->config.timeouts;
    uint64_t most = r->pace.commit_us * PACE_COMMITS_MAX, patience_us = timeouts->input_relay_ms * UINT64_C(1000) / 4;
    uint64_t period_us = timeouts->throughput_window_ms * UINT64_C(1000); /* B-52: no two periods in a row without a decision */
    if (most > PACE_US_MAX) most = PACE_US_MAX;
    if (most > patience_us) most = patience_us;
    if (most > period_us) most = period_us;
    if (r->pace.hold_us > most) r->pace.hold_us = most;
}

void pace_committed(struct replica *r, uint64_t took_us) {
    r->pace.commit_us = r->pace.commit_us == 0 ? took_us : (r->pace.commit_us * 7 + took_us) / 8;
}

bool pace_holds(struct replica *r) {
    if (r->now_us > r->proposed_us + PACE_IDLE_US) r->pace.hold_us = 0;
    r->pace.holds = !r->offer.at_once && r->now_us < r->proposed_us + r->pace.hold_us;
    return r->pace.holds;
}

uint64_t pace_deadline_ms(const struct replica *r) {
    uint64_t end_us = r->proposed_us + r->pace.hold_us;
    if (!r->pace.holds || !r->offer.may_propose) return UINT64_MAX;
    return end_us <= r->now_us ? r->now_ms : r->now_ms + (end_us - r->now_us) / 1000 + 1;
}
