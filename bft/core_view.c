/*
 * TIMEOUTs, timeout certificates, entering views, and every timer (spec/consensus.md B-30 to B-37, B-50 to B-53).
 *
 * A view ends for a member when it signs TIMEOUT: from then on it votes for nothing of that view or an earlier one, restarts included (the memory is
 * durable before the TIMEOUT leaves). q TIMEOUTs make a TC, which alone opens the next view; f+1 make the others join, so one honest
 * member's doubt is enough when f liars help, and f liars alone can do nothing.
 */
#include "bft/core_internal.h"

#define BACKLOG_MAX (UINT64_C(1) << 32) /* operations: so that sums over a period stay within 64 bits */
#define RATE_LEAST 64                   /* operations a period: of fewer, chance alone halves the next period's, and B-50 is bound enough (B-52) */

/* ---- Q* ---- */

/* Where the current view begins, from TC(view - 1); unknown after a join without it. */
void bft_view_base_from_memory(struct bft_core *core) {
    const struct bft_memory *memory = &core->memory;
    core->first_height = 0;
    if (memory->view == 0) {
        core->base = core->members.start;
    } else if (memory->tc.count > 0 && memory->tc.qc.count > 0) {
        core->base.height = memory->tc.qc.ballot.height;
        core->base.id = memory->tc.qc.ballot.block_id;
    } else if (memory->tc.count > 0) {
        core->base = core->members.start;
    } else {
        return;
    }
    core->first_height = core->base.height + 1;
}

/* ---- time-outs, and how long they are under strain ---- */

static uint64_t timer_ms(const struct bft_core *core, uint64_t base) {
    uint64_t ms = base << (core->strain > core->doublings ? core->strain : core->doublings);
    uint64_t most = core->limits.view_max_ms > base ? core->limits.view_max_ms : base;
    return ms < most ? ms : most;
}

/* B-53: R decisions of this view are final: the next leader's turn. */
static bool turn_is_over(const struct bft_core *core) {
    return core->final_by_qc && core->final_view == core->memory.view && core->first_height > 0 &&
           core->final.height >= core->first_height + core->limits.rotation_blocks;
}

/* Since when an input of this view waits; UINT64_MAX: none does. */
static uint64_t waits_since_ms(const struct bft_core *core) {
    uint64_t since = UINT64_MAX;
    if (core->waiting.count > 0 && core->waiting.view == core->memory.view) since = core->waiting.oldest_relayed_ms;
    if (core->noop_wanted && core->noop_since_ms < since) since = core->noop_since_ms;
    return since < core->view_entered_ms ? core->view_entered_ms : since;
}

static uint64_t longest_wait_ms(const struct bft_core *core) {
    uint64_t since = waits_since_ms(core);
    if (core->pending && core->progress_ms < since) since = core->progress_ms;
    return since < core->now_ms ? core->now_ms - since : 0;
}

/*
 * B-55. A machine or a network that is slow for everybody makes each leader look slow: each view decides a little and is deposed, and what the next
 * one begins anew makes the next input late. More than f such views in a row had an honest leader among them, so it is the time-outs that are too
 * short. A view without any decision says nothing of that: its leader is dead, or B-36 doubles. f lying leaders cannot raise the strain: between them
 * stand honest ones, whose views are calm where the time-outs are long enough.
 */
static void strain_judge_ended_view(struct bft_core *core) {
    bool decided = core->final_by_qc && core->final_view == core->memory.view;
    if (turn_is_over(core)) core->hasty_views = 0;
    if (core->calm || !decided || turn_is_over(core)) return;
    if (++core->hasty_views <= core->members.f) return;
    core->hasty_views = 0;
    if (core->strain < BFT_STRAIN_MAX) core->strain++;
}

/* A period is calm if half of the time-outs was enough in it; they become shorter again only where half of the shorter ones was enough too. */
static void strain_calm(struct bft_core *core) {
    uint64_t longest = longest_wait_ms(core);
    if (longest > core->longest_wait_ms) core->longest_wait_ms = longest;
    uint64_t timer = timer_ms(core, core->limits.input_relay_ms);
    if (core->memory.timed_out || core->now_ms - core->calm_since_ms < BFT_STRAIN_CALM * timer) return;
    if (core->longest_wait_ms <= timer / 2) {
        core->calm = true;
        core->hasty_views = 0;
    }
    if (core->strain > 0 && core->longest_wait_ms <= timer / 4) core->strain--;
    core->longest_wait_ms = 0;
    core->calm_since_ms = core->now_ms;
}

/* ---- entering a view ---- */

static void view_set(struct step *step, uint64_t view) {
    struct bft_core *core = step->core;
    struct bft_memory *memory = &core->memory;
    CHECK(view >= memory->view); /* B-30: never decreases */
    strain_judge_ended_view(core);
    memory->view = view;
    memory->timed_out = false;
    memory->tc.count = 0;
    memory->joined.count = 0;
    step->update->memory_changed = true;
    step->again = true;
    core->view_entered_ms = core->now_ms;
    core->progress_ms = core->now_ms;
    core->calm_since_ms = core->now_ms;
    core->longest_wait_ms = 0;
    core->calm = false;
    core->pending = false;
    core->resign = false;
    core->waiting.count = 0;
    core->rate_low_periods = 0;
    core->rate_best /= 2; /* a false alarm of the throughput rule is not repeated at once */
    if (core->doublings < BFT_TIMER_DOUBLINGS_MAX) core->doublings++;
    if (bft_leader(&core->members, view) != core->me) core->noop_wanted = false; /* the new leader's first block is the decision */
}

static void tc_adopt(struct step *step, const struct bft_tc *tc) {
    struct bft_core *core = step->core;
    core->memory.tc = *tc;
    step->update->memory_changed = true;
    step->again = true;
    bft_view_base_from_memory(core);
    if (tc->qc.count > 0) bft_vote_prepare_qc(step, &tc->qc);
}

/* B-33: a TC of my view or a later one opens the next; one of the view before mine tells where mine begins. */
void bft_view_tc(struct step *step, const struct bft_tc *tc) {
    struct bft_core *core = step->core;
    if (tc->view + 1 == core->memory.view && core->memory.tc.count == 0) {
        tc_adopt(step, tc);
        return;
    }
    if (tc->view < core->memory.view || tc->view == UINT64_MAX) return;
    view_set(step, tc->view + 1);
    tc_adopt(step, tc);
    bft_table_collect(step);
    memset(core->wants, 0, sizeof core->wants);
    bft_step_note(step, BFT_NOTE_VIEW, bft_leader(&core->members, core->memory.view), 0, NULL);
    struct bft_send *send = bft_step_send(step, BFT_TO_ALL, BFT_MESSAGE_TC, false);
    send->message.tc = *tc;
    bft_vote_rescan(step);
}

/* ---- my own TIMEOUT ---- */

/* TIMEOUT(view) with the TC before it (B-32): the same preimage each time, so the same bytes. */
void bft_view_send_timeout(struct step *step, uint8_t to) {
    struct bft_core *core = step->core;
    const struct bft_memory *memory = &core->memory;
    CHECK(memory->timed_out && bft_step_may_sign(core));
    if (memory->tc.count > 0) bft_step_send(step, to, BFT_MESSAGE_TC, false)->message.tc = memory->tc;
    struct bft_timeout *timeout = &bft_step_send(step, to, BFT_MESSAGE_TIMEOUT, true)->message.timeout;
    memset(timeout, 0, sizeof *timeout);
    timeout->place = memory->place;
    timeout->view = memory->view;
    timeout->high = memory->timeout_high;
    timeout->qc = memory->timeout_qc;
    timeout->signer = core->me;
}

/* B-31: exactly one per view; the high is fixed now, and no vote of this view follows. */
static void time_out(struct step *step, enum bft_timeout_cause cause) {
    struct bft_core *core = step->core;
    struct bft_memory *memory = &core->memory;
    if (memory->timed_out || !bft_step_may_sign(core)) return;
    memory->timed_out = true;
    memset(&memory->timeout_qc, 0, sizeof memory->timeout_qc);
    memory->timeout_high.view = 0;
    memory->timeout_high.block = core->members.start;
    if (memory->has_high) {
        memory->timeout_qc = memory->high_qc;
        memory->timeout_high.view = memory->high_qc.ballot.view;
        memory->timeout_high.block.height = memory->high_qc.ballot.height;
        memory->timeout_high.block.id = memory->high_qc.ballot.block_id;
    }
    core->resign = false;
    core->timeout_ms = core->now_ms; /* it is sent now; again with a later STATUS, which it puts off by nothing */
    step->update->memory_changed = true;
    step->again = true;
    bft_step_note(step, BFT_NOTE_TIMEOUT, bft_leader(&core->members, memory->view), (uint8_t)cause, NULL);
    bft_view_send_timeout(step, BFT_TO_ALL);
}

/* ---- others' TIMEOUTs ---- */

void bft_view_timeout_record(struct step *step, const struct bft_timeout *timeout) {
    struct bft_core *core = step->core;
    uint8_t signer = timeout->signer;
    if (core->has_timeout[signer] && core->timeouts[signer].view >= timeout->view) return;
    core->timeouts[signer] = *timeout;
    core->has_timeout[signer] = true;
    step->again = true;
    if (timeout->qc.count > 0) bft_vote_prepare_qc(step, &timeout->qc);
}

static uint32_t timeouts_of(const struct bft_core *core, uint64_t view) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < core->members.n; i++) count += core->has_timeout[i] && core->timeouts[i].view == view;
    return count;
}

/* The first `wanted` TIMEOUTs of a view, by index, and the highest QC among them. */
static void tc_gather(const struct bft_core *core, uint64_t view, uint32_t wanted, struct bft_tc *tc) {
    memset(tc, 0, sizeof *tc);
    tc->place = core->members.place;
    tc->view = view;
    for (uint8_t i = 0; i < core->members.n && tc->count < wanted; i++) {
        const struct bft_timeout *timeout = &core->timeouts[i];
        if (!core->has_timeout[i] || timeout->view != view) continue;
        tc->signers[tc->count] = i;
        tc->highs[tc->count] = timeout->high;
        tc->signatures[tc->count++] = timeout->signature;
        if (timeout->qc.count == 0) continue;
        const struct bft_ballot *best = &tc->qc.ballot;
        if (tc->qc.count == 0 || bft_rank_compare(timeout->high.view, timeout->high.block.height, best->view, best->height) > 0)
            tc->qc = timeout->qc;
    }
}

/* B-34: I join a view in which f+1 have timed out, since one of them is honest; the proof is kept with the memory. */
static void join(struct step *step, uint64_t view) {
    struct bft_core *core = step->core;
    if (!bft_step_may_sign(core)) return;
    if (view > core->memory.view) {
        view_set(step, view);
        bft_view_base_from_memory(core);
        tc_gather(core, view, core->members.f + 1, &core->memory.joined);
        if (core->memory.joined.qc.count > 0) bft_vote_raise_high(step, &core->memory.joined.qc);
        bft_table_collect(step);
        bft_step_note(step, BFT_NOTE_VIEW, bft_leader(&core->members, view), 0, NULL);
    }
    time_out(step, BFT_TIMEOUT_JOINED);
}

void bft_view_check_joins(struct step *step) {
    struct bft_core *core = step->core;
    for (uint32_t i = 0; i < core->members.n; i++) {
        uint64_t view = core->timeouts[i].view;
        if (!core->has_timeout[i] || view < core->memory.view) continue;
        uint32_t count = timeouts_of(core, view);
        if (count >= core->members.q) {
            struct bft_tc tc;
            tc_gather(core, view, core->members.q, &tc);
            bft_view_tc(step, &tc);
        } else if (count >= core->members.f + 1 && (view > core->memory.view || !core->memory.timed_out)) {
            join(step, view);
        }
    }
    /* B-35: a leader that gives its own view up is believed at once: it harms nobody but itself. */
    uint8_t leader = bft_leader(&core->members, core->memory.view);
    if (core->has_timeout[leader] && core->timeouts[leader].view == core->memory.view && leader != core->me) time_out(step, BFT_TIMEOUT_LEADER);
}

/* ---- timers ---- */

/* Is there something that this view ought to decide: a block that its leader proposed, a prepare QC, or a new view's first block? */
static bool work_pending(const struct bft_core *core) {
    const struct bft_memory *memory = &core->memory;
    bool high_here = memory->has_high && memory->high_qc.ballot.view == memory->view;
    if (high_here && memory->high_qc.ballot.height > core->final.height) return true;
    if (memory->view > 0 && core->first_height > 0 && core->base.height > core->final.height) return true;
    uint8_t leader = bft_leader(&core->members, memory->view);
    for (uint32_t s = 0; s < BFT_SLOTS; s++) {
        const struct bft_vote_slot *slot = &core->votes[BFT_PREPARE][s][leader];
        if (slot->height > core->final.height && slot->view == memory->view) return true;
    }
    return false;
}

/* B-26, B-36: a commit ends the doubling and starts the timer anew. */
void bft_view_final_progress(struct step *step) {
    struct bft_core *core = step->core;
    core->progress_ms = core->now_ms;
    core->doublings = 0;
    core->noop_wanted = false;
}

/* B-52. One period: the weight that became final against the decaying best, only while at least half as much weight waits as waited then (a fall in
 * demand lowers both, a slow leader only the first), and only if something waited for five eighths of the period or more. Clients that wait for
 * answers before they ask again get less than percent, 35 at the default, of their best only from a leader that lets what it has wait for 65 % of
 * the time; where most of the time nothing waits, something else is slow (a shard, for a coordinator's leader), however much comes at once. Two low
 * periods in a row are enough. A leader that takes up what waits at the very end of each period, by chance or on purpose, is slow all the same. */
static uint64_t rate_window_ms(const struct bft_core *core) {
    return (uint64_t)core->limits.throughput_window_ms << core->strain;
}

/* What waits has waited since it came, though it counts as waiting only since the leader was given it; time that was counted already, or lies before
 * the period, is not counted again. */
void bft_view_waited(struct bft_core *core) {
    uint64_t from = core->waiting.arrived_ms, elapsed = core->now_ms - core->rate_sample_ms;
    core->rate_sample_ms = core->now_ms;
    if (core->waiting.count == 0) return;
    core->rate_backlog_sum += elapsed * (core->waiting.weight < BACKLOG_MAX ? core->waiting.weight : BACKLOG_MAX);
    if (from < core->rate_waited_to_ms) from = core->rate_waited_to_ms;
    if (from < core->rate_period_ms) from = core->rate_period_ms;
    if (from < core->now_ms) core->rate_waited_ms += core->now_ms - from;
    core->rate_waited_to_ms = core->now_ms;
}

static bool throughput_low(struct bft_core *core) {
    uint64_t window = rate_window_ms(core);
    bft_view_waited(core);
    uint64_t period = core->now_ms - core->rate_period_ms;
    if (period < window) return false;
    uint64_t rate = core->rate_weight * core->limits.throughput_window_ms / period;
    uint64_t backlog = core->rate_backlog_sum * 16 / period;
    core->rate_period_ms = core->now_ms;
    core->rate_weight = 0;
    core->rate_backlog_sum = 0;
    uint64_t waited = core->rate_waited_ms;
    core->rate_waited_ms = 0;
    uint64_t half_life = core->limits.throughput_half_life_ms > period ? core->limits.throughput_half_life_ms : period;
    core->rate_best -= core->rate_best * period * 7 / (half_life * 10); /* ln 2 is about 7/10 */
    core->rate_is_low = core->rate_best >= RATE_LEAST && rate * 100 < core->rate_best * core->limits.throughput_percent;
    bool waits = waited * 8 >= period * 5 && backlog >= 16 && backlog * 2 >= core->rate_best_backlog;
    bool low = waits && core->rate_is_low;
    if (rate >= core->rate_best) {
        core->rate_best = rate;
        core->rate_best_backlog = backlog;
    }
    core->rate_low_periods = low ? core->rate_low_periods + 1 : 0;
    return core->rate_low_periods >= 2;
}

void bft_view_throughput_add(struct bft_core *core, uint64_t weight) {
    uint64_t most = UINT64_MAX / 4096 - core->rate_weight;
    core->rate_weight += weight < most ? weight : most;
}

static uint64_t progress_deadline(const struct bft_core *core) {
    return core->pending ? core->progress_ms + timer_ms(core, core->limits.view_base_ms) : UINT64_MAX;
}

/* B-50: T after it was relayed, and not before the view had its own T. */
static uint64_t input_deadline(const struct bft_core *core) {
    uint64_t since = waits_since_ms(core);
    return since == UINT64_MAX ? since : since + timer_ms(core, core->limits.input_relay_ms);
}

/* B-56. Who timed my view out alone votes for nothing of it, however well it follows, and my turn may take days. So, where all is calm, I end it.
 * f liars with a TIMEOUT of each view get one change of views a minute, all of them together, and by B-35, which waits for no time-out. */
static bool somebody_is_left_behind(const struct bft_core *core) {
    enum { PERIODS = 2, LEAST_MS = 60000 };
    uint64_t view = core->memory.view, least_ms = PERIODS * BFT_STRAIN_CALM * timer_ms(core, core->limits.input_relay_ms);
    if (least_ms < LEAST_MS) least_ms = LEAST_MS;
    if (bft_leader(&core->members, view) != core->me || !core->calm || core->now_ms - core->view_entered_ms < least_ms) return false;
    return timeouts_of(core, view) > 0; /* not mine: I have not timed it out */
}

/*
 * A leader that was seen to sign two things for one place (B-81, kinds 1 and 2) has lost this view and each further one of the epoch: what T of B-36
 * would wait for is a leader that shows everybody the same. 3.12 leaves it to me when I time a view out on evidence that its leader lies.
 *
 * Safe, since a TIMEOUT at any moment is (B-31). Nobody honest is deposed by it: its key signs once for each place, over restarts too, and without
 * two signatures of that key there is no evidence. Service goes on: of f+1 views in a row an honest member leads one. When more than f were seen to
 * lie, as when several keys run on two machines each, nobody is passed over: there may be nobody else left to lead.
 */
static bool leader_lied(const struct bft_core *core) {
    if (!core->lied[bft_leader(&core->members, core->memory.view)]) return false;
    uint32_t liars = 0;
    for (uint32_t i = 0; i < core->members.n; i++) liars += core->lied[i];
    return liars <= core->members.f;
}

void bft_view_timers(struct step *step) {
    struct bft_core *core = step->core;
    strain_calm(core);
    bool pending = work_pending(core);
    if (pending && !core->pending) core->progress_ms = core->now_ms;
    core->pending = pending;
    bool low = throughput_low(core);
    if (core->memory.timed_out || !bft_step_may_sign(core)) return;
    if (core->resign) time_out(step, BFT_TIMEOUT_RESTART);
    else if (turn_is_over(core)) time_out(step, BFT_TIMEOUT_ROTATION);
    else if (somebody_is_left_behind(core)) time_out(step, BFT_TIMEOUT_ALONE);
    else if (leader_lied(core)) time_out(step, BFT_TIMEOUT_LIED);
    else if (core->now_ms >= input_deadline(core)) time_out(step, BFT_TIMEOUT_INPUT); /* says more than that nothing went on: it comes first */
    else if (core->now_ms >= progress_deadline(core)) time_out(step, BFT_TIMEOUT_PROGRESS);
    else if (low && bft_leader(&core->members, core->memory.view) != core->me) time_out(step, BFT_TIMEOUT_SLOW); /* by B-35 its own would be enough */
}

uint64_t bft_view_deadline(const struct bft_core *core) {
    uint64_t deadline = UINT64_MAX;
    if (core->memory.timed_out || !bft_step_may_sign(core)) return deadline;
    uint64_t progress = progress_deadline(core);
    uint64_t input = input_deadline(core);
    if (progress < deadline) deadline = progress;
    if (input < deadline) deadline = input;
    uint64_t period = core->rate_period_ms + rate_window_ms(core);
    if ((core->waiting.count > 0 || core->rate_backlog_sum > 0) && period < deadline) deadline = period;
    return deadline;
}
