/*
 * What the files of the core call of each other; nobody else includes this. Prototypes by file.
 *
 *   core.c        start, the step and its dispatch, questions
 *   core_table.c  the table of blocks: find, take in, forget; finality; blocks that are wanted
 *   core_vote.c   votes and QCs: counting, the prepare rule, the commit rule
 *   core_view.c   TIMEOUTs, TCs, entering views, every timer, throughput
 *   core_run.c    execution, what is final is applied, epochs, proposing
 *   core_repair.c STATUS, and what is sent to those who lack something; NOOP
 */
#ifndef BFT_CORE_INTERNAL_H
#define BFT_CORE_INTERNAL_H

#include "bft/core.h"
#include "merkle/check.h"

/* One step in progress. `again`: the loop in bft_step goes round again, since something changed that another rule may build on. */
struct step {
    struct bft_core *core;
    struct bft_update *update;
    bool again;
    uint64_t retry_ms; /* look again then, whatever else happens; UINT64_MAX: no need */
};

/* core.c */
void bft_step_note(struct step *step, enum bft_note_type type, uint8_t member, uint8_t detail, const struct bft_hash *id);
struct bft_send *bft_step_send(struct step *step, uint8_t to, uint16_t type, bool sign);
struct bft_action *bft_step_action(struct step *step, enum bft_action_type type);
void bft_step_store(struct step *step, struct bft_block *block);
void bft_step_halt(struct step *step, enum bft_note_type type, const struct bft_hash *id);
bool bft_step_may_sign(const struct bft_core *core);
bool bft_step_urgent_room(const struct step *step);

/* core_table.c */
struct bft_block *bft_table_find(struct bft_core *core, const struct bft_hash *id);
struct bft_block *bft_table_take(struct step *step, const struct bft_header *header, const struct bft_hash *id, bool has_body);
void bft_table_hold(struct step *step, struct bft_block *block);
void bft_table_collect(struct step *step);
void bft_table_want(struct step *step, const struct bft_hash *id, uint64_t height);
void bft_table_wants_tick(struct step *step);
bool bft_table_wanted(const struct bft_core *core, const struct bft_hash *id);
void bft_table_finalize(struct step *step, const struct bft_qc *qc);
void bft_table_pending_retry(struct step *step);

/* core_vote.c */
void bft_vote_record(struct step *step, const struct bft_vote *vote);
/* The vote that was recorded there, of this kind and signer. */
void bft_vote_of_slot(const struct bft_core *core, const struct bft_vote_slot *slot, uint8_t kind, uint8_t signer, struct bft_vote *vote);
void bft_vote_raise_high(struct step *step, const struct bft_qc *qc);
void bft_vote_prepare_qc(struct step *step, const struct bft_qc *qc);
void bft_vote_rescan(struct step *step);
bool bft_vote_leader_voted(const struct bft_core *core, const struct bft_block *block);
bool bft_vote_parent_allowed(struct bft_core *core, const struct bft_block *block);
struct bft_block *bft_vote_candidate(struct bft_core *core);
void bft_vote_try_prepare(struct step *step);
bool bft_vote_first_of_view(const struct bft_header *header, const struct bft_header *parent);

/* core_view.c */
void bft_view_timeout_record(struct step *step, const struct bft_timeout *timeout);
void bft_view_tc(struct step *step, const struct bft_tc *tc);
void bft_view_check_joins(struct step *step);
void bft_view_timers(struct step *step);
void bft_view_final_progress(struct step *step);
void bft_view_send_timeout(struct step *step, uint8_t to);
uint64_t bft_view_deadline(const struct bft_core *core);
void bft_view_base_from_memory(struct bft_core *core);
/* B-52: counts how long, and how much, what waits has waited up to now. Before it changes. */
void bft_view_waited(struct bft_core *core);
void bft_view_throughput_add(struct bft_core *core, uint64_t weight);

/* core_run.c */
void bft_run_branch_at(struct bft_core *core, const struct bft_hash *tip);
void bft_run_execute(struct step *step);
void bft_run_executed(struct step *step, const struct bft_executed *executed);
void bft_run_apply(struct step *step);
void bft_run_offer(struct step *step);
void bft_run_proposal(struct step *step, const struct bft_proposal *proposal);
void bft_run_suffix(struct step *step);

/* core_repair.c */
void bft_repair_status(struct step *step, uint8_t from, const struct bft_status *status);
void bft_repair_send_status(struct step *step, uint8_t to);
void bft_repair_tick(struct step *step);
void bft_repair_lower_view(struct step *step, uint8_t from, uint64_t view);
void bft_repair_other_epoch(struct step *step, uint8_t from, uint64_t epoch);
void bft_repair_fetch(struct step *step);
void bft_repair_resend(struct step *step);
void bft_repair_noop(struct step *step, const struct bft_message *message);
void bft_repair_noop_own(struct step *step, uint64_t nonce);
bool bft_repair_stuck(const struct bft_core *core);
bool bft_repair_due(const struct bft_core *core, uint8_t member);
uint64_t bft_repair_interval(const struct bft_core *core);

#endif
