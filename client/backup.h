/*
 * The inside of libheraclius that takes a backup of one partition from its nodes (spec/durability.md P-50, P-80).
 *
 *   backup.c         which checkpoint: asks all nodes of the cluster, takes one that f+1 of them show; time, sending, who is asked what
 *   backup_manifest.c  a manifest that is shown short: its bytes, before the checkpoint is a candidate
 *   backup_pieces.c  what comes: pieces and items, each checked against the certified state root before it is kept
 *   backup_store.c   the folder: what an earlier run left, writing, the whole
 *
 * Contract
 *   Nodes are not trusted: one whose bytes fail a check is named (client_backup_note), asked no more, and its piece is asked of another. Everything
 *   is written to FOLDER.part; when all is there the whole is read back, checked and synced, and only then renamed to FOLDER. So a FOLDER is always
 *   whole, and a FOLDER.part is gone on with, each file checked again, as long as the nodes still have that checkpoint.
 *
 * Limits: BACKUP_OUTSTANDING_MAX questions to a node at once, one piece or item in memory for each.
 */
#ifndef CLIENT_BACKUP_H
#define CLIENT_BACKUP_H

#include <limits.h>

#include "client/client.h"
#include "protocol/backup_folder.h"

enum {
    BACKUP_OUTSTANDING_MAX = 4, /* P-48 */
    BACKUP_CANDIDATES_MAX = 32,
    BACKUP_PIECE_BYTES = 256 << 10, /* pieces are cut to about so much */
    BACKUP_ASK_MS = 300,
    BACKUP_PATIENCE_MS = 10000, /* so long f+1 nodes may take to show one checkpoint alike; then one will do, since all of it is checked */
    BACKUP_STALL_MS = 5000,     /* nothing came for so long, and no more than f nodes are left that may have it: another checkpoint */
    BACKUP_ITEM_MS = 5000,      /* of one node for one item, and a second for each MiB of it; then it is asked of another */
    BACKUP_SLOW_MAX = 6,        /* so often its time is doubled */
    BACKUP_LATE_FETCHES = 10,
    BACKUP_LATE_MS_MIN = 3000,
    BACKUP_BUSY_MS_MAX = 2000,
    BACKUP_NOTE_BYTES = 400,
};

enum backup_phase { BACKUP_ASKING, BACKUP_PIECES, BACKUP_ITEMS, BACKUP_WHOLE, BACKUP_FAILED };
enum backup_mark { BACKUP_OPEN = 0, BACKUP_ASKED, BACKUP_KEPT };

/* A checkpoint that nodes showed, verified. */
struct backup_candidate {
    struct backup *head;
    struct buffer shown; /* as the file "checkpoint" has it */
    struct buffer chain;
    uint8_t hash[32];
    uint32_t members;    /* who showed it, as bits */
};

struct backup_query {
    bool used, is_item, paused; /* paused: BUSY in the middle of an item, asked on */
    uint32_t index;
    uint64_t nonce, until_ms, end_ms; /* end: of an item, however it comes */
    struct buffer item; /* what came of an item so far */
};

/* The bytes of a manifest that this node showed short (P-42). */
struct backup_manifest {
    bool asked;
    uint8_t hash[32];
    uint64_t nonce, until_ms, ask_at_ms, end_ms, length; /* end: it is given up, whatever comes */
    struct buffer shown; /* the checkpoint as it was shown, alone */
    struct buffer bytes; /* what came so far */
};

struct backup_peer {
    struct node *node; /* a place, in which nobody may be */
    bool bad;     /* sent what does not verify: asked no more */
    bool unknown; /* does not have this checkpoint any more */
    bool showed;  /* answered a question for checkpoints */
    bool stalled; /* when the last one that was chosen did not come, it was among those who were left: what it alone shows comes last */
    uint8_t slow; /* items that it did not give in their time */
    uint64_t ask_at_ms, nonce; /* for checkpoints */
    struct backup_query queries[BACKUP_OUTSTANDING_MAX];
    struct backup_manifest manifest;
};

/* What is said on the way, a line each: "s0: checkpoint at height ...", "s0: s0-n2 sent a bad piece: ...". */
typedef void client_backup_note(void *context, const char *line);

struct client_backup {
    struct client_backup *next; /* in db->backups */
    struct heraclius *db;
    uint32_t cluster;
    char name[16];
    char folder[PATH_MAX], part[PATH_MAX + 8];
    client_backup_note *note;
    void *context;
    enum backup_phase phase;
    uint64_t started_ms, chosen_ms, moved_ms; /* moved: when a piece last came */
    struct backup_peer peers[BFT_MEMBERS_MAX];
    uint32_t peer_count, f;
    struct backup_candidate candidates[BACKUP_CANDIDATES_MAX];
    uint32_t candidate_count;
    /* chosen */
    struct backup_candidate chosen;
    uint16_t prefix_bits;
    uint8_t *pieces;             /* enum backup_mark, 2^prefix_bits of them */
    uint8_t *items;
    uint32_t piece_count, pieces_kept, piece_next, item_count, items_kept, item_next, resumed; /* next: all before are asked or kept */
    uint32_t *large_at;          /* pieces that somebody said are too large: NULL until then; who, as bits, by piece */
    uint64_t bytes;              /* that came */
    char why[BACKUP_NOTE_BYTES]; /* FAILED */
};

/* Begins; works while heraclius_poll() and client_backup_tick() are called. `folder`: where it is to be. False: why. */
bool client_backup_begin(struct client_backup *backup, struct heraclius *db, uint32_t cluster, const char *folder, client_backup_note *note,
                         void *context) __attribute__((warn_unused_result));
void client_backup_tick(struct client_backup *backup, uint64_t now_ms);
/* A CHECKPOINT or PIECE. */
void client_backup_frame(struct node *node, uint16_t type, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms);
void client_backup_end(struct client_backup *backup);

/* ---- between the files ---- */

void backup_say(struct client_backup *backup, const char *format, ...) __attribute__((format(printf, 2, 3)));
void backup_fail(struct client_backup *backup, const char *format, ...) __attribute__((format(printf, 2, 3)));
void backup_peer_bad(struct client_backup *backup, struct backup_peer *peer, const char *what, const char *why);
/* Places of the cluster with somebody there. */
uint32_t backup_members(const struct client_backup *backup);
/* May still be asked in this backup. */
bool backup_peer_usable(const struct backup_peer *peer);
/* Asks for the chosen checkpoint's pieces and items. */
void backup_pieces_ask(struct client_backup *backup, uint64_t now_ms);
void backup_piece_frame(struct client_backup *backup, struct backup_peer *peer, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms);
void backup_queries_drop(struct backup_peer *peer, struct client_backup *backup);
/* Makes the arrays for this width; false: no memory. */
bool backup_pieces_make(struct client_backup *backup, uint16_t prefix_bits);

/* A checkpoint that a node showed whole, in the form of the file: one of the candidates, if it verifies. */
void backup_candidate_add(struct client_backup *backup, struct backup_peer *peer, const struct checkpoint_shown *shown, uint64_t now_ms);

/* backup_manifest.c */
/* One that is shown short and not known yet: its bytes are asked for, of one node after the other. */
void backup_manifest_want(struct client_backup *backup, struct backup_peer *peer, const struct checkpoint_shown *shown, uint64_t now_ms);
void backup_manifests_ask(struct client_backup *backup, uint64_t now_ms);
void backup_manifest_frame(struct client_backup *backup, struct backup_peer *peer, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms);
void backup_manifest_drop(struct backup_peer *peer);

/* backup_store.c: of the folder. False: the phase is FAILED. */
/* The manifest hash of what lies in FOLDER.part; false: nothing, or nothing that verifies. */
bool backup_store_hash(struct client_backup *backup, uint8_t hash[32]);
/* Makes FOLDER.part hold the chosen checkpoint and chain; goes on with the good files of an earlier run for the same, removes all others. */
bool backup_store_begin(struct client_backup *backup);
bool backup_store_put(struct client_backup *backup, const struct backup_name *name, const uint8_t *bytes, size_t count);
/* Pieces are to be cut anew. */
bool backup_store_clear(struct client_backup *backup);
/* Reads all back; whole: renamed to FOLDER. *bad_manifest: what the manifest says is not so, although its root is. */
bool backup_store_end(struct client_backup *backup, bool *bad_manifest);

#endif
