/*
 * A backup of one partition (spec/durability.md 8.8, P-80): a certified checkpoint as a folder of files, checked against nothing but the system file.
 *
 * Contract
 *   Pure but for the heap: bytes of files come in, from whoever reads them (protocol/backup_folder.h). Every byte is hostile. Nothing is believed
 *   before its check said BACKUP_OK; a flipped bit in any file is found by one of them:
 *
 *       backup_begin()          chain and checkpoint: which members, which block, which state root; the root is certified from here on
 *       backup_piece()          each piece: its entries are exactly those of the state under its prefix
 *       backup_state_end()      after all pieces: the manifest's counts and items are those of the state
 *       backup_item()           each item, in the manifest's order: the bytes are those that the state's hashes name
 *       backup_items_end()
 *
 *   Valid from end to end, it proves: members of this cluster of this system decided a block at this height, in this epoch, after which the state was
 *   this one, and every entry of it is there. It does not prove that this is the cluster's newest state, nor when it was; and nothing if more than f
 *   members of that epoch were corrupt.
 *
 * Limits: BACKUP_*. Memory: chain and checkpoint, and what P-33 names (CHECKPOINT_ITEMS_MAX); one piece or item at a time is the caller's.
 */
#ifndef PROTOCOL_BACKUP_H
#define PROTOCOL_BACKUP_H

#include "bft/certificate.h"
#include "protocol/checkpoint.h"
#include "protocol/config.h"
#include "protocol/system.h"

enum {
    BACKUP_PREFIX_BITS_MAX = 24,                /* of pieces: 2^24 of them */
    BACKUP_HEAD_BYTES_MAX = 64 << 20,           /* chain, checkpoint */
    BACKUP_PIECE_BYTES_MAX = CHECKPOINT_PIECE_HEAD_BYTES + 4 + TRIE_PROOF_BYTES_MAX + CHECKPOINT_PIECE_BYTES_MAX,
    BACKUP_ITEM_BYTES_MAX = 1 << 30,
    BACKUP_DECISION_HEAD_BYTES_MAX = 1 << 17,   /* of a compact decision, before its slice */
    BACKUP_NAME_BYTES = 80,
    BACKUP_TEXT_BYTES = 300,
};

enum backup_error {
    BACKUP_OK = 0,
    BACKUP_UNREADABLE,     /* a file or folder cannot be opened or read, or is none */
    BACKUP_MISSING,        /* a file of it is not there */
    BACKUP_EXTRA,          /* a file that is no part of it */
    BACKUP_FOREIGN,        /* of another system, or of a cluster that the system does not have */
    BACKUP_BAD_CHAIN,      /* the CONFIG chain does not verify, or does not lead to the checkpoint's epoch */
    BACKUP_BAD_CHECKPOINT, /* the checkpoint does not verify */
    BACKUP_BAD_PIECE,
    BACKUP_BAD_STATE,      /* counts or items of the manifest are not those of the state */
    BACKUP_BAD_ITEM,
    BACKUP_STOPPED,        /* the caller's visitor said so */
    BACKUP_NO_MEMORY,
};
const char *backup_error_name(enum backup_error error);

struct backup_fault {
    enum backup_error error;
    char file[BACKUP_NAME_BYTES]; /* of the folder; "": the folder itself */
    char text[BACKUP_TEXT_BYTES]; /* one line: why */
};
enum backup_error backup_fault_set(struct backup_fault *fault, enum backup_error error, const char *file, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- names of files ---- */

enum backup_file { BACKUP_FILE_CHAIN, BACKUP_FILE_CHECKPOINT, BACKUP_FILE_PIECE, BACKUP_FILE_ITEM };
struct backup_name {
    enum backup_file file;
    uint16_t prefix_bits;      /* PIECE */
    uint8_t prefix[32];        /* PIECE; the bits behind prefix_bits are 0 */
    struct checkpoint_item item; /* ITEM: kind, cluster, dseq */
};
/* False: no file of a backup has this name. Each file has one name. */
bool backup_name_parse(const char *text, struct backup_name *name) __attribute__((warn_unused_result));
void backup_name_print(const struct backup_name *name, char out[BACKUP_NAME_BYTES]);
/* The name of piece number `index` of 2^prefix_bits (prefix_bits <= BACKUP_PREFIX_BITS_MAX), and back. */
void backup_name_piece(struct backup_name *name, uint16_t prefix_bits, uint32_t index);
uint32_t backup_name_piece_index(const struct backup_name *name);
void backup_name_item(struct backup_name *name, const struct checkpoint_item *item);

/* ---- the checks ---- */

struct backup; /* opaque */

/* Chain and checkpoint, as files; copied. The cluster is the checkpoint's. `system` and `signer` outlive it. */
enum backup_error backup_begin(struct backup **out, const struct system *system, const struct signer *signer, const uint8_t *chain,
                               size_t chain_bytes, const uint8_t *checkpoint, size_t checkpoint_bytes, struct backup_fault *fault)
    __attribute__((warn_unused_result));
void backup_free(struct backup *backup); /* NULL will do */

/* The checkpoint: manifest (cluster, epoch, height, block_id, state_root, entries, bytes, items), header, child; points into the backup. */
const struct checkpoint_shown *backup_shown(const struct backup *backup);
void backup_manifest_hash(const struct backup *backup, uint8_t out[32]);
/* The payload of the file "chain". */
const uint8_t *backup_chain(const struct backup *backup, size_t *count);
/* If the checkpoint's block ended its epoch: its certificate, from the chain, since none of the next epoch proves it. Else NULL. */
const uint8_t *backup_ended(const struct backup *backup, size_t *count);
/* The CONFIG in force after the checkpoint's block, and its members: who vote on top of this state. */
const struct config *backup_config(const struct backup *backup);
/* Members whose signatures the checkpoint's certificate carries, and of how many. */
void backup_signers(const struct backup *backup, uint32_t *signers, uint32_t *members);

/* One piece, whole, by its name; on BACKUP_OK *entries stands at the first of *count entries, which checkpoint_entry_get() gives. `count_it`: the
 * piece counts among those of the whole (each once: the caller sees to that). */
enum backup_error backup_piece(struct backup *backup, const struct backup_name *name, const uint8_t *bytes, size_t bytes_count, bool count_it,
                               struct bytes_cursor *entries, uint64_t *count, struct backup_fault *fault) __attribute__((warn_unused_result));
/* All pieces were counted. */
enum backup_error backup_state_end(struct backup *backup, struct backup_fault *fault) __attribute__((warn_unused_result));
/* Item number `index` of the manifest. With all pieces counted before: against the state. Without: against the manifest alone. */
enum backup_error backup_item(struct backup *backup, uint32_t index, const uint8_t *bytes, size_t bytes_count, struct backup_fault *fault)
    __attribute__((warn_unused_result));
/* The most that the file of an item may have. */
size_t backup_item_bytes_max(const struct checkpoint_item *item);
/* Of the state, after backup_state_end(). */
struct checkpoint_records;
const struct checkpoint_records *backup_records(const struct backup *backup);
/* All items were checked. */
enum backup_error backup_items_end(struct backup *backup, struct backup_fault *fault) __attribute__((warn_unused_result));

#endif
