/*
 * Scripted transcripts: one core under test, all other members played by the test, which signs with any key it likes (tests/keyed/keyed_signer.h).
 *
 * The script is the shell (bft/core.h): it verifies what it is given, answers HOLD and EXECUTE at once (execution agrees with the header unless
 * `execute_wrong`), returns own votes as durable, and keeps what was sent for the test to ask about.
 */
#ifndef TESTS_BFT_SCRIPT_H
#define TESTS_BFT_SCRIPT_H

#include "bft/core.h"
#include "merkle/check.h"
#include "tests/keyed/keyed_signer.h"

enum { SCRIPT_SENT_MAX = 512, SCRIPT_BLOCKS_MAX = 256, SCRIPT_START = 100 };

struct script {
    uint64_t weight; /* of each block that is executed; 0: 100 */
    struct bft_core core;
    struct bft_update update;
    struct bft_members members; /* of the first epoch */
    struct bft_limits limits;
    struct keyed_signer keys[BFT_MEMBERS_MAX];
    struct signer verifier;
    uint8_t me;
    uint64_t now_ms;
    struct bft_header genesis;
    struct bft_message sent[SCRIPT_SENT_MAX];
    uint8_t sent_to[SCRIPT_SENT_MAX];
    uint32_t sent_count;
    struct bft_hash finals[SCRIPT_BLOCKS_MAX];
    uint32_t final_count;
    struct bft_hash executed[SCRIPT_BLOCKS_MAX];
    uint32_t executed_count;
    struct bft_action actions[SCRIPT_BLOCKS_MAX]; /* FETCH, SERVE_EPOCH, EPOCH */
    uint32_t action_count;
    struct bft_note notes[SCRIPT_SENT_MAX];
    uint32_t note_count;
    bool execute_wrong;          /* execution answers with another root */
    bool keep_own;               /* own votes are not given back: they are not durable yet */
    bool keep_inputs;            /* HOLD is not answered */
    bool auto_propose;           /* take each offer with an empty body */
    uint32_t certificate_bytes;  /* of the newest final block */
    uint8_t certificate[BFT_CERTIFICATE_BYTES_MAX];
    struct bft_hash config_id;   /* this block holds `config` when it is executed */
    struct bft_config_effect config;
};

/* Member `me` of n, window `window`; LAST-SIGNED answered. Heights begin above SCRIPT_START. BFT_NOBODY: an observer. */
struct script *script_new(uint32_t n, uint8_t me, uint32_t window);
void script_free(struct script *script);
/* The process dies and comes back with its durable memory (all of it was) and these stored headers. */
void script_restart(struct script *script, const struct bft_header *headers, size_t count);
void script_step(struct script *script, struct bft_event *event);
void script_tick(struct script *script, uint64_t ms);

/* A block of the first epoch on this parent; `salt` 0: empty body. */
struct bft_header script_block(const struct script *script, const struct bft_header *parent, uint64_t view, uint8_t salt);
struct bft_qc script_qc(const struct script *script, const struct bft_header *header, enum bft_vote_kind kind, uint32_t mask);
/* Signed by member `signer`; qc NULL: the epoch's start. */
struct bft_timeout script_timeout(const struct script *script, uint64_t view, const struct bft_qc *qc, uint8_t signer);
/* TC(view) of the members in mask: `low` stated by all but the lowest, which states `high` (NULL: the start); Q* = the higher, if any. */
struct bft_tc script_tc(const struct script *script, uint64_t view, uint32_t mask, const struct bft_qc *high, const struct bft_qc *low);

/* Gives a message as a link would; returns the verification's verdict, and steps only when it is OK. */
enum bft_verify_error script_give(struct script *script, const struct bft_message *message, uint8_t from);
enum bft_verify_error script_give_propose(struct script *script, const struct bft_header *header, const struct bft_tc *tc);
enum bft_verify_error script_give_vote(struct script *script, const struct bft_header *header, enum bft_vote_kind kind, uint8_t signer);
enum bft_verify_error script_give_qc(struct script *script, const struct bft_qc *qc);
enum bft_verify_error script_give_timeout(struct script *script, const struct bft_timeout *timeout);
enum bft_verify_error script_give_tc(struct script *script, const struct bft_tc *tc);
enum bft_verify_error script_give_status(struct script *script, uint8_t signer, uint64_t view, const struct bft_header *final, uint8_t flags);
/* Propose, and both votes of all members in mask. */
void script_decide(struct script *script, const struct bft_header *header, uint32_t mask);

/* How many messages of this type for this block (NULL: any) were sent. */
uint32_t script_sent(const struct script *script, uint16_t type, const struct bft_header *header);
/* The newest message of this type; NULL if there is none. */
const struct bft_message *script_last(const struct script *script, uint16_t type);
uint32_t script_noted(const struct script *script, enum bft_note_type type);
bool script_is_final(const struct script *script, const struct bft_header *header);
void script_forget(struct script *script); /* what was sent, noted and asked so far */

#endif
