/*
 * The consensus core of one member (or observer) of one cluster: a pure step (spec/consensus.md, all B-rules).
 *
 *     bft_step(core, event, update)
 *
 * takes one event (a message whose signatures were verified, a tick, a result of execution, ...) and fills in an update: what to make durable,
 * what to send, what to do. No I/O, clock, heap, thread or callback; `struct bft_core` is flat, without pointers, of bounded size: copy it, hash it.
 * Time enters with the event (`now_ms`, monotonic, any origin). The same object file runs in the node and in the simulator.
 *
 * HOW THE SHELL DRIVES IT
 *
 *   1. Start: bft_init() for a new store, bft_restore() for one that holds something. Then BFT_EVENT_TICK once, and carry out the update.
 *      BFT_EVENT_VOTING when LAST-SIGNED is answered; before it the core follows, but signs nothing (but STATUS).
 *   2. A frame arrives: bft_wire_decode(); then bft_core_wants() (cheap: would the core ignore it?); then bft_core_verify() (signatures; on any
 *      thread with a copy of the members, see bft_message_verify()); then BFT_EVENT_MESSAGE with `from` = the link's member index (members) or
 *      anything in [BFT_MEMBERS_MAX, 254] for other links (observers). FETCH is not the core's: the shell answers it from its store with BLOCK
 *      messages (B-13); given to the core it is ignored.
 *   3. After EVERY step carry out the update in this order, and keep this order between updates:
 *        a. PERSIST: if `memory_changed`, core->memory as it is now (bft_memory_encode); for each id in `store_ids`, the block (header, body and
 *           every input that the body refers to). One commit may cover many updates.
 *        b. SEND, when (a) is durable: the messages of `sends`. Those with `sign` are signed first (bft_message_sign(), with the own key).
 *           A PROPOSE carries the body of `block_id`, which the shell holds; a block that it does not know is a suffix block of the core's own:
 *           header as in the message, body empty (four zero bytes). The same goes for `store_ids`.
 *           **A vote, PROPOSE or TIMEOUT of our own with `sign` is also given back to the core** as BFT_EVENT_MESSAGE with `from` = our own
 *           index, after it is durable (no verification needed). A vote counts only then.
 *        c. APPLY, at once or later but in the order given, over all updates: `actions` below.
 *      Votes may be kept back as long as (a) takes; actions need not wait for it: executing is speculative until BFT_DO_FINAL. What
 *      BFT_DO_FINAL releases to the outside (answers, compact decisions) must wait until the body and its inputs are durable.
 *   4. Read `update->offer`: may we propose now? It says for which parent, view, height and time. The role logic may answer with
 *      BFT_EVENT_PROPOSAL at any later time as long as the offer stands (a stale proposal is refused with BFT_NOTE_PROPOSAL_STALE and has no
 *      effect: roll its execution back).
 *   5. Call again with BFT_EVENT_TICK at `update->deadline_ms` at the latest.
 *
 * BLOCKS, INPUTS, EXECUTION (actions; a block is named by id and header)
 *
 *   BFT_DO_HOLD     The core took this block in. Keep its body (the one of the message that was just given, or the one in the store), gather
 *                   every input that it refers to, then give BFT_EVENT_INPUTS_HELD. For an empty body, and for a body that does not even decode,
 *                   at once. The shell gives INPUTS_HELD once per HOLD; after a DROP it has no effect.
 *   BFT_DO_EXECUTE  Execute it on top of its parent's state and answer with BFT_EVENT_EXECUTED. At most one is outstanding. The parent is always
 *                   the last final block or a block executed since; when it is not the newest executed one, first undo everything after it.
 *                   Execution of a block that is invalid (bad body, cursors, time, ...) must leave the parent's state and be answered with
 *                   valid = false. The role's own proposal counts as executed when it gave BFT_EVENT_PROPOSAL: the same undo rule holds for it.
 *   BFT_DO_FINAL    Blocks in order, without gaps, each executed before: it is final. bft_core_certificate() gives its certificate: take it now,
 *                   before the next step, and store it with the block (lazily if you like).
 *   BFT_DO_DROP     The core forgot this block (it lost, or it is final and done with): release what HOLD kept in memory. What was made
 *                   durable stays there until pruned (a peer may still FETCH it by id).
 *   BFT_DO_FETCH    Send FETCH: one block by id, or final heights, to member `peer` (or, if that link is down, to any other). The core asks
 *                   again, another member, when no answer comes.
 *   BFT_DO_SERVE_EPOCH  `peer` (a member index, or the `from` of another link) is still in epoch `epoch`: send it BLOCK, with certificate, of the
 *                   CONFIG block that ended that epoch.
 *   BFT_DO_EPOCH    The epoch changed (a CONFIG became final): core->members are the new ones. Ask LAST-SIGNED for it (unless we are no member),
 *                   then give BFT_EVENT_VOTING. The core signs nothing before. CONFIG's certificate (with the BFT_DO_FINAL just before) must be
 *                   durable before any message of a later update leaves. No block after the CONFIG block was executed.
 *
 * CONFIG. Execution of a block that holds a valid CONFIG of its own epoch says so in BFT_EVENT_EXECUTED / PROPOSAL (`config`), with the next
 * members (kind BFT_CONFIG_NEXT) or without (BFT_CONFIG_SEAL). The core then makes the suffix blocks itself (empty, never executed) until it is
 * final.
 *
 * WAITING INPUTS (B-50). The role keeps the inputs that were relayed, whole, to the leader of the current view and that no final block consumed,
 * and tells after each change: BFT_EVENT_WAITING with how many and when the oldest was relayed (same clock as now_ms), and `view`. Inputs must be
 * certified, signed, or come on that client's own link. When the view changes (update->offer.view, or bft_core_view()), relay them again to the new
 * leader. A dispatch due on the own clock (D-21) counts as relayed when it became due.
 *
 * Every bound is named below; nothing grows. When full, what can be fetched again is forgotten.
 */
#ifndef BFT_CORE_H
#define BFT_CORE_H

#include "bft/certificate.h"
#include "bft/memory.h"
#include "bft/types.h"
#include "bft/wire.h"

enum {
    BFT_BLOCKS_MAX = 256,    /* headers known above, and a few below, the last final block (B-27) */
    BFT_SLOTS = 32,          /* heights whose votes are kept; twice the widest window */
    BFT_WANTS_MAX = 8,       /* blocks being fetched by id */
    BFT_SENDS_MAX = 96,      /* messages of one update */
    BFT_ACTIONS_MAX = 576,   /* actions of one update */
    BFT_STORES_MAX = 64,     /* blocks to make durable, of one update */
    BFT_NOTES_MAX = 64,
    BFT_TO_ALL = 0xFF,       /* all other members and all observers */
    BFT_TIMER_DOUBLINGS_MAX = 20,
    BFT_STRAIN_MAX = 5,       /* B-55 */
    BFT_STRAIN_CALM = 4,      /* B-55: a view that lasts so many of its time-outs is calm */
    BFT_FETCH_AHEAD = 48,    /* final blocks taken in beyond the applied one */
};
_Static_assert(BFT_SLOTS >= 2 * BFT_WINDOW_MAX, "a window and its successor fit");

/* The consensus part of the cluster's limits and time-outs (spec/system.md; names as there). */
struct bft_limits {
    uint32_t window_blocks;           /* W, 1 to BFT_WINDOW_MAX */
    uint32_t rotation_blocks;         /* R, at least 1 */
    uint32_t view_base_ms;            /* T */
    uint32_t view_max_ms;             /* >= view_base_ms */
    uint32_t input_relay_ms;
    uint32_t throughput_window_ms;
    uint32_t throughput_half_life_ms;
    uint32_t throughput_percent;      /* 0 switches the throughput rule off (tests) */
};

/* What a CONFIG in a block does (B-40 to B-45). */
enum bft_config_kind { BFT_CONFIG_NONE = 0, BFT_CONFIG_NEXT = 1, BFT_CONFIG_SEAL = 2 };

struct bft_config_effect {
    uint8_t kind;                      /* enum bft_config_kind; the rest counts only if it is not NONE */
    uint8_t me;                        /* our index among the next members; BFT_NOBODY if we are none of them (NEXT) */
    struct bft_hash state_root_after;  /* state root after this block: what every suffix block states */
    struct bft_hash config_hash;       /* NEXT */
    uint64_t epoch;                    /* NEXT: epoch + 1 */
    uint32_t n;                        /* NEXT: and their keys */
    uint8_t keys[BFT_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES];
    struct bft_limits limits;          /* NEXT: from the new epoch on */
};

/* ---- events ---- */

enum bft_event_type {
    BFT_EVENT_TICK = 1,     /* nothing but the time */
    BFT_EVENT_MESSAGE,      /* message, from */
    BFT_EVENT_INPUTS_HELD,  /* block_id: body and every input it refers to are held */
    BFT_EVENT_EXECUTED,     /* executed: the answer to BFT_DO_EXECUTE */
    BFT_EVENT_PROPOSAL,     /* proposal: the role's block, already executed by it, body and inputs held */
    BFT_EVENT_WAITING,      /* waiting */
    BFT_EVENT_NOOP,         /* this node itself wants one decision (B-15): nonce, which must grow from call to call and over restarts */
    BFT_EVENT_VOTING,       /* epoch: LAST-SIGNED is answered, this member may sign in this epoch */
    BFT_EVENT_RETIRE,       /* never sign again (LAST-SIGNED found a newer item of ours, or the store is doubtful) */
};

/* `weight` is the block's work in any unit that is the same for all blocks (operations); for the throughput rule. */
struct bft_executed {
    struct bft_hash block_id;
    bool valid;                   /* body, cursors_hash and results are as the rules of chapters 4 and 5 want */
    struct bft_hash outbox_root;  /* the core compares these two with the header */
    struct bft_hash state_root;   /* after the parent */
    uint64_t weight;
    struct bft_config_effect config;
};

struct bft_proposal {
    uint64_t view;               /* all as in the offer that it answers */
    struct bft_hash parent_id;
    uint64_t time;               /* the offer's, or any later value of bft_core_time(); the parent's at least */
    struct bft_hash body_hash;
    struct bft_hash outbox_root;
    struct bft_hash state_root;  /* after the parent */
    struct bft_hash cursors_hash;
    uint64_t weight;
    struct bft_config_effect config;
};

struct bft_waiting {
    uint64_t view;               /* in which they were relayed; ignored if it is not the current one */
    uint32_t count;              /* inputs */
    uint64_t weight;             /* operations in them, as in bft_executed and bft_proposal */
    uint64_t oldest_relayed_ms;
    uint64_t arrived_ms;         /* when the first of them came here */
};

struct bft_event {
    enum bft_event_type type;
    uint64_t now_ms;             /* never decreasing */
    uint8_t from;                /* MESSAGE: member index, own index, or >= BFT_MEMBERS_MAX */
    union {
        const struct bft_message *message; /* read during the step only */
        struct bft_hash block_id;
        struct bft_executed executed;
        struct bft_proposal proposal;
        struct bft_waiting waiting;
        uint64_t epoch;
        uint64_t nonce;
    };
};

/* ---- update ---- */

struct bft_send {
    uint8_t to;       /* member index, BFT_TO_ALL, or the `from` of another link that is answered */
    bool sign;        /* sign it before sending, and give own votes, PROPOSE and TIMEOUT back (3b above) */
    struct bft_message message; /* PROPOSE: body and body_bytes are for the shell to fill in, by block_id */
};

enum bft_action_type {
    BFT_DO_HOLD = 1,
    BFT_DO_EXECUTE,
    BFT_DO_FINAL,
    BFT_DO_DROP,
    BFT_DO_FETCH,
    BFT_DO_SERVE_EPOCH,
    BFT_DO_EPOCH,
};

struct bft_action {
    enum bft_action_type type;
    uint8_t peer;                /* FETCH, SERVE_EPOCH */
    uint64_t epoch;              /* SERVE_EPOCH, EPOCH */
    struct bft_hash block_id;    /* HOLD, EXECUTE, FINAL, DROP */
    struct bft_header header;    /* HOLD, EXECUTE, FINAL */
    struct bft_fetch fetch;      /* FETCH: the message to send */
};

/* For the log and the counters; nothing hangs on them. */
enum bft_note_type {
    BFT_NOTE_VIEW = 1,            /* entered `view`; member = its leader */
    BFT_NOTE_TIMEOUT,             /* I timed out in `view`; detail = enum bft_timeout_cause */
    BFT_NOTE_EQUIVOCATION,        /* `member` signed two different votes for one place: evidence[0], [1] of the update (the newest such pair) */
    BFT_NOTE_WRONG_RESULT,        /* block_id by leader `member` does not execute to what its header states */
    BFT_NOTE_BAD_PROPOSAL,        /* block_id by leader `member` breaks the header rules (B-20) or the suffix rules */
    BFT_NOTE_PROPOSAL_STALE,      /* our own role's proposal came too late: view `view` */
    BFT_NOTE_EPOCH,               /* entered `epoch` */
    BFT_NOTE_SEALED,              /* a SEAL is final: nothing more is decided here */
    BFT_NOTE_REMOVED,             /* we are no member of the new epoch; keep serving (B-45) ... */
    BFT_NOTE_REMOVED_MAY_GO,      /* ... until now: f+1 of its members showed a final block of it */
    BFT_NOTE_BEHIND,              /* `member` showed final blocks that we lack: fetching */
    BFT_NOTE_DIVERGED,            /* HALT: block_id is final and executes to something else here: this node is corrupt. It signs no more */
    BFT_NOTE_FORK,                /* HALT: two commit QCs that contradict each other: more than f members lie. It signs no more */
};

enum bft_timeout_cause {
    BFT_TIMEOUT_PROGRESS = 1,  /* blocks in flight, or a new leader's first, and no commit in time */
    BFT_TIMEOUT_INPUT,         /* an input waited too long */
    BFT_TIMEOUT_SLOW,          /* throughput far below the decaying best while inputs wait */
    BFT_TIMEOUT_JOINED,        /* f+1 others timed out */
    BFT_TIMEOUT_LEADER,        /* the leader itself gave the view up */
    BFT_TIMEOUT_ROTATION,      /* R decisions are done */
    BFT_TIMEOUT_RESTART,       /* I lead this view and was restarted in it */
    BFT_TIMEOUT_ALONE,         /* I lead this view, and another member timed it out alone */
    BFT_TIMEOUT_LIED,          /* the leader signed two different votes for one place, in this view or before */
};

struct bft_note {
    enum bft_note_type type;
    uint8_t member;
    uint8_t detail;
    uint64_t view;
    uint64_t height;
    uint64_t epoch;
    struct bft_hash block_id;
};

/* May we propose now? Valid until the next step, whose update has a new one. When parent_id is not the newest executed block, the role first undoes
 * what it executed after it, as for BFT_DO_EXECUTE. */
struct bft_offer {
    bool may_propose;
    bool at_once;     /* do not wait for input: an empty body will do (first of its view, NOOP) */
    bool empty_only;  /* the body must be empty (first of its view, beyond the window) */
    uint64_t view;    /* always filled in: the current view */
    uint64_t height;
    struct bft_hash parent_id;
    uint64_t time;    /* for the header */
};

/* Owned by the caller, about half a megabyte, reused for every step. */
struct bft_update {
    bool memory_changed;
    bool halted;               /* DIVERGED or FORK was seen, now or before: tell the operator */
    uint32_t store_count;
    uint32_t send_count;
    uint32_t action_count;
    uint32_t note_count;
    uint64_t deadline_ms;      /* UINT64_MAX: none */
    struct bft_offer offer;
    struct bft_hash store_ids[BFT_STORES_MAX];
    struct bft_send sends[BFT_SENDS_MAX];
    struct bft_action actions[BFT_ACTIONS_MAX];
    struct bft_note notes[BFT_NOTES_MAX];
    struct bft_vote evidence[2];
};

/* ---- state: read core->members, core->memory, core->me; leave the rest to the functions ---- */

enum bft_execution { BFT_NOT_EXECUTED = 0, BFT_EXECUTING, BFT_EXECUTED, BFT_WRONG };

struct bft_block {
    bool used;
    bool held;                    /* inputs are held */
    bool final;                   /* proved by a commit QC and linked to the last final block */
    bool first;                   /* rule (a): came with a TC whose Q* is its parent */
    bool suffix;                  /* a CONFIG of its epoch is among its ancestors; known once the parent was executed */
    bool stored;                  /* its id was in store_ids */
    bool holding;                 /* HOLD was given, DROP not */
    bool bad;                     /* breaks a header rule: never prepared */
    uint8_t execution;            /* enum bft_execution; EXECUTED ones form one branch above `applied` */
    uint64_t weight;
    struct bft_hash id;
    struct bft_header header;
    struct bft_qc commit_qc;      /* count 0: none seen for this very block */
};

struct bft_vote_slot {
    uint64_t view;
    uint64_t height;              /* 0: empty */
    struct bft_hash block_id;
    struct bft_hash outbox_root;
    struct bft_signature signature;
};

struct bft_want {
    bool used;
    bool asked;
    uint8_t peer;                 /* asked last */
    uint64_t asked_ms;
    uint64_t height;
    struct bft_hash id;
};

struct bft_core {
    struct bft_members members;   /* of the current epoch */
    struct bft_limits limits;
    uint8_t me;                   /* own index, BFT_NOBODY: observer */
    bool voting;                  /* LAST-SIGNED was answered for this epoch */
    bool retired;
    bool sealed;
    bool halted;
    bool resign;                  /* I lead this view and must give it up (restart, rotation) */
    bool removed;                 /* was a member of the epoch before, is none now */
    uint64_t now_ms;
    struct bft_memory memory;

    struct bft_point final;       /* newest block known to be final and linked: `committed` of the window rule */
    uint64_t final_view;          /* view of the QC that made it so; meaningful if final_epoch_qc */
    bool final_by_qc;             /* it was a QC of this epoch (not the epoch's start) */
    struct bft_point applied;     /* newest block given out with BFT_DO_FINAL */
    struct bft_qc pending_qc;     /* highest commit QC whose block is not linked yet; count 0: none */
    struct bft_hash executed_tip; /* newest executed block of the one executed branch */
    struct bft_hash executing;    /* iff is_executing */
    bool is_executing;
    struct bft_config_effect config; /* of the CONFIG block on the executed branch, */
    struct bft_hash config_block;    /* if config.kind is not NONE */

    uint64_t first_height;        /* first height that the current view proposes: Q*'s + 1; 0: unknown (joined without TC) */
    struct bft_point base;        /* Q*'s block of the current view (or the epoch's start in view 0) */

    uint64_t view_entered_ms;
    uint64_t progress_ms;         /* of the last commit, of entering the view, or of work beginning after idleness */
    bool pending;                 /* something is to be decided in this view */
    bool restored;                /* bft_restore() was called: HOLD what is stored, once */
    bool resend;                  /* send again what the memory holds, at BFT_EVENT_VOTING */
    uint32_t doublings;
    uint32_t strain;              /* B-55: time-outs are 2^strain times as long */
    uint32_t hasty_views;         /* views that decided something and were deposed all the same, since the last calm one */
    uint64_t calm_since_ms;       /* the current view's next calm period began here */
    uint64_t longest_wait_ms;     /* of an input or a block, in that period */
    bool calm;                    /* it had one */
    struct bft_waiting waiting;
    uint64_t noop_nonce[BFT_MEMBERS_MAX]; /* highest seen, per member, */
    uint64_t noop_ms[BFT_MEMBERS_MAX];    /* and when; 0: never */
    bool noop_wanted;
    uint64_t noop_since_ms;

    uint64_t rate_period_ms;      /* throughput rule: start of the current period */
    uint64_t rate_sample_ms;
    uint64_t rate_waited_ms;      /* of the current period something waited so long, */
    uint64_t rate_waited_to_ms;   /* and up to here that is counted */
    uint64_t rate_weight;
    uint64_t rate_backlog_sum;    /* waiting weight x ms */
    uint64_t rate_best;           /* weight per period, decaying */
    uint64_t rate_best_backlog;   /* mean waiting weight then, x 16 */
    uint32_t rate_low_periods;
    bool rate_is_low;             /* fewer operations became final in the newest period than that rule allows, whoever is to blame */

    int64_t clock_offset_ms;      /* estimate of cluster time = now_ms + this */
    uint64_t clock_slewed_ms;
    bool clock_set;               /* a final header was seen since the start */

    uint64_t status_ms;           /* last STATUS of mine */
    uint64_t timeout_ms;          /* last TIMEOUT of mine */
    uint64_t repaired_ms[BFT_MEMBERS_MAX + 1]; /* last repair given, per member, and to all other links together */
    uint64_t fetch_ms;            /* last FETCH of heights, */
    uint64_t fetch_last;          /* up to this one, */
    uint8_t fetch_peer;           /* from this member */
    struct bft_point peer_final[BFT_MEMBERS_MAX]; /* newest STATUS of each member */
    uint64_t peer_epoch[BFT_MEMBERS_MAX];

    struct bft_want wants[BFT_WANTS_MAX];
    struct bft_timeout timeouts[BFT_MEMBERS_MAX]; /* newest of each member; qc included; has_timeout says whether there is one */
    bool has_timeout[BFT_MEMBERS_MAX];
    bool lied[BFT_MEMBERS_MAX];   /* signed two different votes for one place of this epoch; forgotten by a restart */
    struct bft_vote_slot votes[2][BFT_SLOTS][BFT_MEMBERS_MAX]; /* by kind, height mod BFT_SLOTS, signer: newest by (view, height) */
    uint64_t block_keys[BFT_BLOCKS_MAX]; /* first 8 bytes of the id of blocks[i], 0 if unused: where a search looks first */
    struct bft_block blocks[BFT_BLOCKS_MAX];
};
_Static_assert(sizeof(struct bft_core) < 2u << 20, "the core stays below 2 MiB");

/* What bft_init() and bft_restore() start from. */
struct bft_start {
    struct bft_members members;   /* of the epoch in which to vote; height_last UINT64_MAX */
    struct bft_limits limits;
    uint8_t me;                   /* BFT_NOBODY: observer */
    uint64_t now_ms;
    uint64_t wall_ms;             /* this machine's calendar at now_ms: the first estimate of cluster time */
    struct bft_header tip;        /* header of the newest block that is final, executed and applied here (genesis, CONFIG, ...) */
    bool tip_has_qc;              /* a commit QC on that very block is at hand: tip_qc */
    struct bft_qc tip_qc;
    bool removed;                 /* we were a member of the epoch before this one and are none now (B-45) */
    bool sealed;                  /* tip is a final SEAL */
};

/* A member (or observer) whose store is new: nothing was ever signed with its key in this system. */
void bft_init(struct bft_core *core, const struct bft_start *start);

/* A member that was here before. `memory`: what was durable. If it is of an older epoch than start->members (a crash between CONFIG and the first
 * vote
 * after it), the new epoch begins fresh; `headers` are those of all stored blocks above the tip, in any order (others are ignored): the core asks
 * HOLD for them at the first step. False if memory and start contradict each other (newer epoch, other cluster): the disk is not ours, sign
 * nothing. */
bool bft_restore(struct bft_core *core, const struct bft_start *start, const struct bft_memory *memory, const struct bft_header *headers,
                 size_t headers_count) __attribute__((warn_unused_result));

/* Overwrites *update. */
void bft_step(struct bft_core *core, const struct bft_event *event, struct bft_update *update);

/* ---- questions; none changes anything ---- */

/* Would a step with this message, from this link, change anything? False: drop it before its signatures cost anything. */
bool bft_core_wants(const struct bft_core *core, const struct bft_message *message, uint8_t from);
/* bft_message_verify() against the current members; QCs that the core holds already are not verified again. */
enum bft_verify_error bft_core_verify(const struct bft_core *core, const struct signer *signer, const struct bft_message *message)
    __attribute__((warn_unused_result));
static inline uint64_t bft_core_view(const struct bft_core *core) { return core->memory.view; }
/* Time-outs of views are 2 to this power as long as in calm (B-55). */
static inline uint32_t bft_core_strain(const struct bft_core *core) { return core->strain; }
/* Own estimate of cluster time (B-24). */
uint64_t bft_core_time(const struct bft_core *core, uint64_t now_ms);
/* The certificate of a block that is final here and still in the table: in wire form (bft_certificate_get reads it). Returns its length, 0 if the
 * block is not (or no longer) known as final. */
size_t bft_core_certificate(const struct bft_core *core, const struct bft_hash *block_id, uint8_t out[BFT_CERTIFICATE_BYTES_MAX]);
/* The header of a block in the table, NULL if unknown; valid until the next step. */
const struct bft_header *bft_core_header(const struct bft_core *core, const struct bft_hash *block_id);

#endif
