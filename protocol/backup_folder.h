/*
 * A backup read from its folder (spec/durability.md P-80): what protocol/backup.h checks, file by file, and that nothing is missing or too much.
 *
 * Contract
 *   Reads only; files are read whole, one at a time, each bounded. Nothing in the folder is believed before it is checked. Faults name the file.
 *   A folder of a whole backup has exactly the files of P-80.
 *
 *       struct backup_folder *folder;
 *       backup_folder_open(&folder, "DIR/s0", system, &signer, &fault)      chain and checkpoint are checked: backup_shown(folder->backup)
 *       backup_folder_read(folder, &visit, &fault)                          everything; BACKUP_OK: the backup is whole and valid
 *       backup_folder_close(folder)
 *
 *   The visitor gets each entry, ascending by path (T-2), after its piece was checked against the state root, then each item, in the manifest's
 *   order, checked. That the whole is there, and that the manifest is that of the state, is known only at the end: whoever builds something of it
 *   throws that away unless backup_folder_read() gives BACKUP_OK.
 */
#ifndef PROTOCOL_BACKUP_FOLDER_H
#define PROTOCOL_BACKUP_FOLDER_H

#include "protocol/backup.h"

struct backup_folder {
    struct backup *backup;
    char *path;
};

struct backup_visit { /* either may be NULL; false: stop, which gives BACKUP_STOPPED */
    void *context;
    bool (*entry)(void *context, const struct checkpoint_entry *entry);
    bool (*item)(void *context, const struct checkpoint_item *item, const uint8_t *bytes, size_t count);
};

enum backup_error backup_folder_open(struct backup_folder **out, const char *path, const struct system *system, const struct signer *signer,
                                     struct backup_fault *fault) __attribute__((warn_unused_result));
void backup_folder_close(struct backup_folder *folder); /* NULL will do */
/* Once per open. visit NULL: only checked. */
enum backup_error backup_folder_read(struct backup_folder *folder, const struct backup_visit *visit, struct backup_fault *fault)
    __attribute__((warn_unused_result));
/* One file of it alone. An item: against the manifest, which only the whole proves. */
enum backup_error backup_folder_check_file(struct backup_folder *folder, const struct backup_name *name, struct backup_fault *fault)
    __attribute__((warn_unused_result));

/* Is there a backup of one partition (a file "checkpoint") at this path? */
bool backup_folder_is(const char *path);

/* What lies in a folder that may not be whole. */
struct backup_listing {
    uint16_t prefix_bits;  /* of the pieces; 0 when there is none */
    uint32_t piece_count;  /* that are there, of 2^prefix_bits */
    uint8_t *pieces;       /* one bit each */
    uint8_t *items;        /* one bit for each of the manifest */
    uint32_t item_count;   /* that are there */
    char extra[BACKUP_NAME_BYTES]; /* the first item that the manifest does not list; "": none */
};
/* BACKUP_EXTRA, BACKUP_BAD_PIECE: a file whose name no file of a backup has, or pieces of two sizes. Names only, nothing is read. */
enum backup_error backup_folder_list(const struct backup_folder *folder, struct backup_listing *listing, struct backup_fault *fault)
    __attribute__((warn_unused_result));
void backup_listing_free(struct backup_listing *listing);
static inline bool backup_listing_has(const uint8_t *bits, uint32_t index) { return (bits[index / 8] >> index % 8 & 1) != 0; }

#endif
