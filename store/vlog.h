/*
 * Private: the value log of the wal: long values one after another in a file of their own (wal/values), beside LMDB, which keeps their places. LMDB
 * writes through the page cache, where a byte is copied once more and takes memory until the kernel drops it; most of what a wal takes is written
 * once, never read again and deleted in the order in which it came. Here such bytes go to the disk from one buffer, or from where they lie if they
 * are many, past the cache where the file system can (O_DIRECT; else they are dropped from it when they are durable), and places are used again as
 * soon as they are free. O_DIRECT wants whole blocks at block addresses, so a value with a long part begins in its block as that part does in memory.
 *
 * Durable: a place is given to LMDB after vlog_sync() alone, so that a committed record's value is on disk. What a crash leaves behind the last
 * commit is in no record and is written over. A block of the file that holds a committed value is never written again while that value is in a
 * record, or in one that an open reader may still see: places free up by segments, and a segment is free when nothing in it is held and every
 * reader began at or after the transaction that deleted the last of it.
 *
 * A value's digest lies in LMDB with its place; whatever else the disk gives back is damaged. Two threads write, in a lane each: values of the wal's
 * own transactions, and such as are laid down before it comes to them (wal.h, wal_prepare); a lane has a descriptor of its own, so that each is told
 * of the errors of its own writes. Any thread reads, and registers its transaction for as long.
 */
#ifndef STORE_VLOG_H
#define STORE_VLOG_H

#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

enum {
    VLOG_SEGMENT_BYTES = 1 << 20,  /* in which places free up */
    VLOG_BLOCK_BYTES = 4096,       /* what a write begins and ends at, and the stage in memory */
    VLOG_STAGE_BYTES = 1 << 20,    /* of VLOG_MAIN */
    VLOG_BESIDE_STAGE_BYTES = 1 << 16,
    VLOG_DIRECT_BYTES = 1 << 18,   /* a part of a value that is so long goes to the disk from where it lies */
    VLOG_SEGMENTS_MAX = 1 << 24,
};

/* Where a value lies, as LMDB keeps it. */
struct vlog_place {
    uint64_t offset;
    uint64_t digest;   /* checksum.h, over seed, length and bytes */
    uint32_t bytes;
};

struct vlog_segment {
    uint32_t held;      /* values that lie in it, whole or in part */
    bool on_disk;       /* takes room there; else a hole, or beyond the end */
    uint64_t freed;     /* the transaction that deleted the newest record of them; 0: none did since the wal was opened */
};

/* A transaction that reads; on the reader's side, linked while it is open. */
struct vlog_reader {
    uint64_t txn;
    struct vlog_reader *next, **link;
};

enum vlog_lane_name { VLOG_MAIN, VLOG_BESIDE, VLOG_LANES };

/* What one thread writes. */
struct vlog_lane {
    int fd;
    bool direct;
    bool unsynced;
    bool failed;                   /* a write or sync of it did: the error's line names the file */
    uint8_t *stage;
    size_t stage_bytes, staged;
    uint64_t stage_at;             /* of the file: where the stage's first byte goes */
    uint64_t next, end;            /* the run of free segments that is being filled: changed under `space` */
    uint64_t written_from, written_to; /* since the last sync */
};

struct vlog {
    struct vlog_lane lanes[VLOG_LANES];
    int read_fd;
    pthread_mutex_t space;         /* of all that follows, to `found_bytes` */
    bool opened;                   /* all that records hold is held */
    uint64_t txn;                  /* that is being written */
    struct vlog_segment *segments;
    uint32_t segment_count;        /* all behind these are free, and on no disk */
    uint32_t segments_max;         /* for which there is memory */
    uint32_t limit;                /* so many are on the disk at most */
    uint32_t on_disk;
    uint32_t used;                 /* in which something is held */
    uint32_t cursor;               /* where the search for free ones goes on */
    uint64_t lost;                 /* values whose place lies beyond the end of the file that was found */
    uint64_t found_bytes;          /* its length */
    _Atomic uint64_t file_bytes;
    _Atomic uint64_t used_bytes;
    pthread_mutex_t lock;          /* of the readers */
    struct vlog_reader *readers;
    char file[STORE_PATH_BYTES_MAX + 32];
};

/* Opens <directory>/wal/values, which it makes when there is none: older data has none, and one that was lost leaves its values damaged. limit_bytes:
 * what it never takes more of on the disk, rounded down to segments. `error` has the line. */
enum store_status vlog_open(struct vlog *vlog, const char *directory, uint64_t limit_bytes, struct store_error *error)
    __attribute__((warn_unused_result));
void vlog_close(struct vlog *vlog);

/* While opening: a record has this place. Also one beyond the end of the file, which was cut then: nothing else may be laid there as long as that
 * record stays, since its deletion would free the place. Reading it says damaged. */
void vlog_hold(struct vlog *vlog, const struct vlog_place *place);
/* All are held: what is free is given back to the disk. */
void vlog_held(struct vlog *vlog);

/* The transaction with this number begins. Then, in any order, values come and go; then a sync; then the commit. The wal's thread, as all that
 * follows where no lane is named. */
void vlog_begin(struct vlog *vlog, uint64_t txn);
/* Lays a value down, by the lane's thread. 0, or errno's code; MDB_MAP_FULL: there is no room for it in one piece, and nothing was done. other_bytes:
 * of limit_bytes, what others use. The place is held. */
int vlog_append(struct vlog *vlog, enum vlog_lane_name lane, uint64_t seed, const struct iovec *parts, uint32_t part_count, uint64_t other_bytes,
                struct vlog_place *place) __attribute__((warn_unused_result));
/* The record of it is deleted by the transaction that is being written. */
void vlog_release(struct vlog *vlog, const struct vlog_place *place);
/* No record ever had it; any thread. */
void vlog_forget(struct vlog *vlog, const struct vlog_place *place);
/* Gives the room of free segments back to the disk, where the file system can. */
void vlog_shrink(struct vlog *vlog);
/* All that the lane laid down is durable; by its thread. 0, or errno's code. */
int vlog_sync(struct vlog *vlog, enum vlog_lane_name lane) __attribute__((warn_unused_result));

/* Any thread: `begin` makes the transaction and returns its number, while nobody decides what is free. */
void vlog_reader_open(struct vlog *vlog, struct vlog_reader *reader, uint64_t (*begin)(void *context), void *context);
void vlog_reader_close(struct vlog *vlog, struct vlog_reader *reader);
/* place->bytes bytes to `value`. 0, errno's code, or MDB_CORRUPTED when it is not what was laid down. */
int vlog_read(const struct vlog *vlog, uint64_t seed, const struct vlog_place *place, uint8_t *value) __attribute__((warn_unused_result));

static inline uint64_t vlog_file_bytes(const struct vlog *vlog) {
    return atomic_load_explicit(&vlog->file_bytes, memory_order_relaxed);
}
static inline uint64_t vlog_used_bytes(const struct vlog *vlog) {
    return atomic_load_explicit(&vlog->used_bytes, memory_order_relaxed);
}

#endif
