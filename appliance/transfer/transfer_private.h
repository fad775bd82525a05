/*
 * Private to transfer*.c.
 *
 *   transfer.c           create, outputs, dispatch, time
 *   transfer_epoch.c     the epochs that are known: whose checkpoints are judged by whom
 *   transfer_serve.c     serving: index and manifest of checkpoints; CHECKPOINT_QUERY
 *   transfer_kept.c      serving: which checkpoints are kept, and for whom
 *   transfer_piece.c     serving: PIECE_QUERY
 *   transfer_take.c      taking: choose a checkpoint, ask, be answered, durable progress
 *   transfer_pieces.c    taking: the entries, in pieces; what differs when the checkpoint moved on
 *   transfer_manifest.c  taking: a manifest that is shown short
 *   transfer_items.c     taking: the bytes behind the hashes; the whole
 *   transfer_memory.c    what both hold
 *   transfer_evidence.c  taking: a wrong piece, signed, is kept for others to see
 */
#ifndef APPLIANCE_TRANSFER_PRIVATE_H
#define APPLIANCE_TRANSFER_PRIVATE_H

#include "appliance/transfer/transfer.h"
#include "merkle/check.h"
#include "merkle/trie_index.h"
#include "protocol/checkpoint.h"
#include "protocol/checkpoint_records.h"

enum {
    TRANSFER_CUTS = 8,               /* checkpoints_kept (P-34), and more while somebody takes them (P-49) */
    TRANSFER_CUTS_TAKEN = 6,         /* one for each of f liars, and one for who is not: each asker keeps one at most */
    TRANSFER_TAKEN_MS_MAX = 300000,  /* so long at most such a one is kept */
    TRANSFER_TAKEN_BYTES_MIN = 64 << 20, /* so much may be kept from being written again for it, however small it is */
    TRANSFER_INQUIRY_MS = 3000,      /* who was silent for so long and asks again begins anew: with the newest */
    TRANSFER_OUTPUTS_MAX = 1 << 12,
    TRANSFER_INDEX_ENTRIES = 1024,   /* indexed by one transfer_work() */
    TRANSFER_INDEX_BYTES = 1 << 20,
    TRANSFER_WANTED_MS = 30000,      /* an index is made, and a checkpoint kept, for whoever asked so recently */
    TRANSFER_INDEXES_AT_ONCE = 3,    /* begun since one asker waited; then one each time that four times as long as the last took has passed */
    TRANSFER_INDEX_SHARE = 4,
    TRANSFER_INDEX_MS_MIN = 2500,    /* however fast it was made, it counts as if it took so long */
    TRANSFER_CANDIDATES_MAX = CHECKPOINT_SHOWN_MAX * BFT_MEMBERS_MAX, /* those of each member's newest answer */
    TRANSFER_ASK_MS = 300,           /* CHECKPOINT_QUERY again */
    TRANSFER_PATIENCE_MS = 20000,    /* so long f+1 members may take to show the same manifest; then one will do */
    TRANSFER_STALL_MS = 10000,       /* nothing came for so long: another checkpoint */
    TRANSFER_STEP_BITS = 8,          /* pieces are of 0, 8, 16, ... bits, so that SUBROOTS speak of them */
    TRANSFER_START_BITS_MAX = 16,
    TRANSFER_PIECE_BYTES = 768 << 10, /* pieces are cut to about so much at most */
    TRANSFER_BUFFER_BYTES = 24 << 20, /* of entries not yet durable */
    TRANSFER_BUFFER_SPARE = 12 << 20, /* what one piece may come to take of it: its entries and those that it replaces */
    TRANSFER_DURABLE_MS = 250,       /* checked pieces wait at most so long */
    TRANSFER_LATE_FETCHES = 10,      /* a piece is late after so many fetch_ms */
    TRANSFER_BUSY_MS_MAX = 2000,
    TRANSFER_HEAD_BYTES_MAX = 1 << 17, /* of a compact decision, before its slice */
    TRANSFER_MEMBERS = BFT_MEMBERS_MAX,
};

enum transfer_message {
    TRANSFER_CHECKPOINT_QUERY = 0x010D,
    TRANSFER_CHECKPOINT = 0x010E,
    TRANSFER_PIECE_QUERY = 0x010F,
    TRANSFER_PIECE = 0x0110,
};

/* ---- entries of a disk (store/) as protocol/ knows them ---- */

static inline struct checkpoint_entry transfer_entry_of(const struct table_entry *entry) {
    return (struct checkpoint_entry){.space = entry->space,
                                     .key_bytes = (uint16_t)entry->key_bytes,
                                     .value_bytes = entry->value_bytes,
                                     .version_height = entry->version.height,
                                     .version_index = entry->version.index,
                                     .key = entry->key,
                                     .value = entry->value};
}

/* The leaf of an entry. Its path comes with it from the own disk: a wrong one gives a wrong root, which is compared. */
static inline void transfer_leaf_hash(const struct table_entry *entry, uint8_t hash[32]) {
    struct trie_value value = {.version_height = entry->version.height, .version_index = entry->version.index};
    trie_value_hash(entry->value, entry->value_bytes, value.value_hash);
    trie_leaf_hash((enum trie_space)entry->space, entry->key, entry->key_bytes, &value, hash);
}

static inline void transfer_records_add(struct checkpoint_records *records, const struct table_entry *entry) {
    struct checkpoint_entry of = transfer_entry_of(entry);
    checkpoint_records_add(records, &of);
}

/* ---- serving ---- */

struct transfer_place { /* where the bytes of an item lie */
    const uint8_t *bytes;
    size_t count;
};

/* By TRANSFER_OBSERVER, TRANSFER_CLIENT + ... or place. */
struct transfer_asker {
    uint64_t height;      /* of the checkpoint that is kept for it; 0: none */
    uint64_t asked_ms;    /* when it last waited for that one, or asked for a piece of it */
    uint64_t inquired_ms; /* when it last asked for that, or for checkpoints; 0: never */
    bool waits;           /* for the next index that is begun */
    uint32_t indexes;     /* that were begun since it waited, less those that time has paid for */
    uint64_t indexes_ms;  /* up to when it has */
};

struct transfer_served {
    bool used, indexed, indexing, damaged;
    uint64_t begun_ms; /* when its index was begun */
    struct transfer_cut cut;
    struct trie_index *index;
    struct checkpoint_records records;
    uint8_t *work, *queues, *manifest;
    size_t work_bytes, queues_bytes, manifest_bytes;
    uint8_t *child; /* the blob, which fits it (checkpoint_proof_put); NULL: it cannot be shown */
    size_t child_bytes;
    uint8_t manifest_hash[32];
    struct checkpoint_item *items;
    struct transfer_place *places;
    uint32_t item_count;
};

/* ---- taking ---- */

enum transfer_phase { TRANSFER_IDLE = 0, TRANSFER_ASKING, TRANSFER_MANIFEST, TRANSFER_ENTRIES, TRANSFER_ITEMS, TRANSFER_ENDED };
enum transfer_state { PIECE_OPEN = 0, PIECE_ASKED, PIECE_HELD, PIECE_KEPT, PIECE_UNSURE };

struct transfer_piece {
    uint8_t prefix[32];
    uint8_t subroot[32]; /* of what is kept; HELD: of what will be */
    uint16_t bits;
    uint16_t large, passed; /* members who said TOO_LARGE; who were asked and did not give it */
    uint8_t state;
    bool stale; /* entries of another checkpoint may lie in what was taken */
};

/* A prefix whose SUBROOTS are compared. */
struct transfer_node {
    uint8_t prefix[32];
    uint8_t subroot[32];
    uint16_t bits;
    uint8_t state; /* OPEN, ASKED, KEPT */
};

struct transfer_item {
    struct checkpoint_item about;
    uint8_t *bytes;
    size_t count, got;
    uint8_t state;  /* OPEN, ASKED, KEPT */
    uint8_t member; /* the one whose bytes these are, while got > 0 */
    uint16_t passed;
    uint8_t previous[32]; /* SLICE, kept: of its leaf */
};

struct transfer_query {
    bool used;
    uint32_t index; /* piece, node or item */
    uint64_t until_ms;
    struct checkpoint_piece_query sent;
};

struct transfer_peer {
    bool bad;               /* named: asked no more in this transfer */
    bool unknown;           /* does not have this checkpoint */
    bool answered;          /* the CHECKPOINT_QUERY of now */
    bool stalled;           /* one that only it, or f with it, showed did not come: what others show is tried first */
    uint64_t wait_until_ms; /* busy, or did not answer */
    struct transfer_query queries[TRANSFER_OUTSTANDING_MAX];
    uint32_t outstanding;
};

/* A checkpoint that members showed, verified. */
struct transfer_candidate {
    uint8_t hash[32]; /* of the manifest as it was shown, be it short: whoever shows another head beside the same hash shows another */
    uint64_t height;
    struct blob *shown; /* a CHECKPOINT message with this one alone */
    uint16_t members;
};

struct transfer_take {
    uint16_t convicted; /* members, of whom a wrong piece was kept */
    enum transfer_phase phase;
    uint64_t lacking_height, lacking_ms, height; /* what this node has; height: final */
    uint64_t asked_ms, asking_since_ms, nonce, query_nonce;
    struct transfer_peer peers[TRANSFER_MEMBERS];
    struct transfer_candidate candidates[TRANSFER_CANDIDATES_MAX];
    uint32_t candidate_count;
    bool resumed; /* what an earlier run took was looked at */
    bool looking; /* while one is taken: members were asked what they have now */
    /* chosen */
    struct blob *shown_blob;
    struct checkpoint_shown shown;
    uint8_t hash[32];       /* of the manifest */
    uint8_t shown_hash[32]; /* of what was shown of it, as a candidate's */
    uint16_t showed; /* members who showed this manifest */
    struct transfer_piece *pieces;
    uint32_t piece_count, piece_room, piece_next;
    struct transfer_node *nodes;
    uint32_t node_count, node_room, node_next;
    struct transfer_item *items;
    uint32_t item_count, item_next;
    uint64_t item_bytes;
    struct checkpoint_records records;
    /* not yet durable */
    uint8_t *memory;
    struct state_buffer buffer;
    uint32_t held;
    uint64_t durable_ms;
    uint64_t progress_ms; /* when a piece last came that was good */
};

struct transfer_known {
    struct transfer_epoch about; /* its certificate lies in the blob */
    struct blob *certificate;    /* NULL: genesis has none */
};

struct transfer {
    struct transfer_config config; /* members, limits, timeouts, member: of the newest epoch */
    struct transfer_known **epochs; /* in the order in which they were told */
    uint32_t epoch_count, epoch_room;
    uint64_t now_ms;
    bool failed;
    struct transfer_output *outputs; /* a ring */
    uint32_t output_first, output_count;
    struct transfer_status status;
    /* serving */
    struct transfer_served served[TRANSFER_CUTS]; /* newest first */
    uint64_t index_ms;  /* so long the last index took */
    struct transfer_asker askers[UINT8_MAX + 1];
    uint64_t members_ms; /* when a member last asked for a piece; 0: never */
    uint64_t busy_told_ms[TRANSFER_ASKERS];
    uint8_t served_last;
    uint64_t hold_height, hold_ms; /* of a checkpoint whose pieces were given, and when last; the lowest such */
    struct trie_index_way *way;
    struct transfer_take take;
};

/* transfer.c */
bool transfer_is_client(uint8_t asker);
enum transfer_asks { TRANSFER_MEMBER_ASKS = 0, TRANSFER_OBSERVER_ASKS, TRANSFER_CLIENT_ASKS, TRANSFER_ASKS };
enum transfer_asks transfer_asks(uint8_t asker);
struct transfer_output *transfer_output_add(struct transfer *t, enum transfer_output_kind kind);
void transfer_send(struct transfer *t, uint8_t member, uint16_t type, struct blob *blob); /* takes the blob over */
void transfer_note(struct transfer *t, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));
void transfer_bad(struct transfer *t, uint8_t member, const char *what, const char *why);

/* transfer_epoch.c */
/* NULL: not known. */
const struct transfer_epoch *epoch_find(const struct transfer *t, uint64_t epoch);
/* P-42, by the members of the epochs of the block and of its child. *known false: the chain does not reach there yet, and nothing is said. */
enum checkpoint_error epoch_shown_verify(const struct transfer *t, const struct checkpoint_shown *shown, bool *known);
void epochs_free(struct transfer *t);

/* transfer_kept.c */
void served_free(struct transfer_served *served);
/* Makes room for a newest: served[0] is empty then. */
void served_shift(struct transfer *t);
/* May an index be begun since this one waits for it? */
bool index_allowed(struct transfer *t, uint8_t from);
/* Does somebody wait? */
bool index_wanted(const struct transfer *t);
/* One was begun: it is for all who wait. */
void index_charge(struct transfer *t, struct transfer_served *served);

/* transfer_serve.c; as transfer_frame() says */
/* Somebody takes this checkpoint, or waits for its index. */
void serve_asked(struct transfer *t, struct transfer_served *served, uint8_t from);
bool serve_checkpoint_query(struct transfer *t, uint8_t from, const uint8_t *bytes, size_t count);
bool serve_work(struct transfer *t);
void serve_free(struct transfer *t);
/* Where an item's bytes lie; NULL: the manifest has none such. */
struct transfer_place *serve_place_of(const struct transfer_served *served, uint8_t kind, uint32_t cluster, uint64_t dseq);

/* transfer_piece.c */
bool serve_piece_query(struct transfer *t, uint8_t from, const uint8_t *bytes, size_t count, bool may_serve);

/* transfer_take.c */
void take_checkpoint_frame(struct transfer *t, uint8_t from, const uint8_t *bytes, size_t count);
void take_piece_frame(struct transfer *t, uint8_t from, const uint8_t *bytes, size_t count);
void take_tick(struct transfer *t);
void take_free(struct transfer *t);
/* Chooses another manifest; what was taken stays, to be compared. */
void take_choose_again(struct transfer *t);
/* Nothing was taken: what lies on the disk is not what was checked. */
void take_start_over(struct transfer *t);
/* Makes durable what is held. False: the disk failed. */
bool take_keep(struct transfer *t);
bool take_member_usable(const struct transfer *t, uint8_t member);
unsigned take_usable_count(const struct transfer *t);
/* Was this asked of everybody who may be asked now, for nothing? Then it is asked of all again. */
bool take_passed_by_all(const struct transfer *t, uint16_t passed);
/* May this member be asked now? */
struct transfer_query *take_query_free(struct transfer *t, uint8_t member);
void take_query_send(struct transfer *t, uint8_t member, struct transfer_query *query, uint32_t index);

/* transfer_pieces.c */
bool pieces_begin(struct transfer *t);  /* for the chosen manifest; compares what was taken before */
bool pieces_ask(struct transfer *t, uint8_t member, struct transfer_query *query); /* false: nothing to ask of it */
bool pieces_done(const struct transfer *t);
void pieces_unask(struct transfer *t, const struct transfer_query *query, uint8_t member);
void pieces_answer(struct transfer *t, uint8_t from, const struct transfer_query *query, const struct checkpoint_piece *piece);
void pieces_too_large(struct transfer *t, uint8_t from, const struct transfer_query *query);
void pieces_put(const struct transfer *t, struct bytes_writer *writer);
bool pieces_get(struct transfer *t, struct bytes_cursor *cursor);
enum { TRANSFER_PIECE_RECORD_BYTES = 67 };

/* The chosen manifest is whole: its pieces are asked for next. */
void take_entries_begin(struct transfer *t);
/* What a chosen manifest, as checked here, cannot be: those who showed it made it up. Another is chosen. */
void take_manifest_bad(struct transfer *t, const char *why);
/* Nothing that a manifest says is a reason to reserve more than the limits of this cluster allow. */
bool take_manifest_bounded(const struct transfer *t, const struct checkpoint_manifest *manifest);
/* One checkpoint of a message, verified, is the chosen one; the message has this one alone. False: it is none. */
bool take_shown(struct transfer *t, struct blob *blob);

/* transfer_evidence.c */
/* This member signed it, and it is not of that state: told once of each. */
void take_evidence(struct transfer *t, uint8_t from, const struct transfer_query *query, const struct checkpoint_piece *piece);

/* transfer_manifest.c: asked for and answered as one item (transfer_items.c) */
void manifest_begin(struct transfer *t);
const char *manifest_item_check(const struct transfer_item *item);
/* The chosen manifest is whole once its bytes are. */
void manifest_tick(struct transfer *t);

/* transfer_items.c */
/* All entries are there: are they the state, and does the manifest list its items? Goes on to the items, or says what is wrong. */
void items_begin(struct transfer *t);
bool items_ask(struct transfer *t, uint8_t member, struct transfer_query *query);
void items_unask(struct transfer *t, const struct transfer_query *query, uint8_t member);
void items_answer(struct transfer *t, uint8_t from, const struct transfer_query *query, const struct checkpoint_piece *piece);
void items_tick(struct transfer *t);
void items_free(struct transfer *t);

#endif
