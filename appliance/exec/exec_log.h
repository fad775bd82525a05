/*
 * Private to the executor: a log of byte segments in one ring of memory. Segments are numbered without gaps, opened and grown at the newest end, cut
 * back from there (undo) and released at the oldest end. Each lies contiguous and never moves.
 *
 * A segment may grow to what was asked for when it was opened. The next one begins where it ended (a *run* of segments), or begins a new run where
 * there is room: early, so that what is resident stays near what is live instead of wandering through the whole memory. Where a segment lies is this
 * node's own matter: nothing replicated depends on it.
 */
#ifndef APPLIANCE_EXEC_LOG_H
#define APPLIANCE_EXEC_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exec_segment {
    size_t at;
    uint32_t bytes;
    uint32_t items;
    uint32_t ops;
    uint8_t items_hash[32]; /* of a closed, undispatched segment: D-7 */
    uint8_t routing_hash[32];
};

enum { EXEC_RUNS_MAX = 16, EXEC_SECTIONS = 4 };

struct exec_run {
    uint64_t number; /* its first segment, when it was begun */
};

struct exec_log {
    uint8_t *memory;
    size_t capacity;
    struct exec_segment *segments;
    uint32_t mask;                       /* slots - 1 */
    uint64_t first;                      /* oldest segment that is held */
    struct exec_run runs[EXEC_RUNS_MAX]; /* oldest first; the first one may have lost its first segments */
    uint32_t run_count;
    uint64_t next; /* number of the next one; first == next: none is held */
};

/* Reserves; false when address space is refused. slots: a power of two. */
bool exec_log_create(struct exec_log *log, size_t capacity, uint32_t slots);
void exec_log_destroy(struct exec_log *log);
/* No segments; the next one has this number. */
void exec_log_reset(struct exec_log *log, uint64_t next);
/* Opens segment log->next, empty, with room to grow to `need` bytes until the next one is opened. False: no room, nothing changed. */
bool exec_log_open(struct exec_log *log, size_t need);
/* Back to `next` segments; what was above is forgotten. next >= first. */
void exec_log_truncate(struct exec_log *log, uint64_t next);
/* Everything below `first` is forgotten; first <= next. Lower than before: nothing happens. */
void exec_log_release(struct exec_log *log, uint64_t first);

static inline struct exec_segment *exec_log_segment(const struct exec_log *log, uint64_t number) {
    return &log->segments[number & log->mask];
}
static inline bool exec_log_has(const struct exec_log *log, uint64_t number) {
    return number >= log->first && number < log->next;
}
static inline uint8_t *exec_log_bytes(const struct exec_log *log, uint64_t number) {
    return log->memory + exec_log_segment(log, number)->at;
}

#endif
