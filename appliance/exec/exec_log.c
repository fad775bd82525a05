#include "appliance/exec/exec_log.h"

#include <string.h>

#include "merkle/check.h"
#include "store/reserve.h"

enum { SECTION_ALIGN = 4096, RUN_BYTES_MIN = 65536 };

bool exec_log_create(struct exec_log *log, size_t capacity, uint32_t slots) {
    CHECK(slots > 0 && (slots & (slots - 1)) == 0);
    *log = (struct exec_log){.capacity = capacity, .mask = slots - 1};
    log->memory = store_reserve(capacity);
    log->segments = store_reserve(slots * sizeof *log->segments);
    if (log->memory && log->segments) return true;
    exec_log_destroy(log);
    return false;
}

void exec_log_destroy(struct exec_log *log) {
    store_unreserve(log->memory, log->capacity);
    store_unreserve(log->segments, ((size_t)log->mask + 1) * sizeof *log->segments);
    log->memory = NULL;
    log->segments = NULL;
}

void exec_log_reset(struct exec_log *log, uint64_t next) {
    log->first = next;
    log->next = next;
    log->run_count = 0;
}

/* The live bytes of run i: [*start, *end). */
static void run_range(const struct exec_log *log, uint32_t i, size_t *start, size_t *end) {
    uint64_t first = log->runs[i].number > log->first ? log->runs[i].number : log->first;
    uint64_t last = (i + 1 < log->run_count ? log->runs[i + 1].number : log->next) - 1;
    const struct exec_segment *newest = exec_log_segment(log, last);
    *start = exec_log_segment(log, first)->at;
    *end = newest->at + newest->bytes;
}

/* Free bytes from `at` to the next run or the end; 0 when `at` lies inside of a run. */
static size_t free_from(const struct exec_log *log, size_t at, size_t *live) {
    size_t bound = log->capacity;
    *live = 0;
    for (uint32_t i = 0; i < log->run_count; i++) {
        size_t start, end;
        run_range(log, i, &start, &end);
        *live += end - start;
        if (start >= at && start < bound && end > start) bound = start;
        if (start < at && at < end) return 0;
    }
    return bound - at;
}

/*
 * A segment seldom grows to what was asked for, 12 MiB by default, and so gaps of that size are not what to wait for while little is held: each
 * pair's log would touch 24 MiB before it comes back. So the memory has sections. While more is asked for than is held, the newest run ends when it
 * is half as long as all of that, and the next begins with the lowest section that has room: what is touched is some 2.5 times what is held, in a few
 * places. In front of each section what a segment might have grown to can be lost when much is held later; so there are few, and most runs are left
 * for then.
 */
static size_t section_free(const struct exec_log *log, size_t need) {
    size_t live;
    for (size_t i = 0; i < EXEC_SECTIONS; i++) {
        size_t at = log->capacity / EXEC_SECTIONS / SECTION_ALIGN * SECTION_ALIGN * i;
        if (free_from(log, at, &live) >= need) return at;
    }
    return log->capacity;
}

/* Where the next segment begins, and whether that is a new run; capacity: nowhere. */
static size_t place(const struct exec_log *log, size_t need, bool *new_run) {
    *new_run = true;
    if (log->run_count == 0) return need <= log->capacity ? 0 : log->capacity;
    size_t newest_start, tail, live;
    run_range(log, log->run_count - 1, &newest_start, &tail);
    size_t after = free_from(log, tail, &live);
    size_t before = free_from(log, 0, &live);
    bool jump = log->run_count < EXEC_RUNS_MAX;
    if (need > live && log->run_count < EXEC_SECTIONS && tail - newest_start >= RUN_BYTES_MIN && tail - newest_start >= live / 2) {
        size_t section = section_free(log, need);
        if (section != log->capacity) return section;
    }
    if (jump && before >= 2 * need && before >= live / 2 && before != log->capacity) return 0;
    if (after >= need) {
        *new_run = false;
        return tail;
    }
    if (jump && before >= need) return 0;
    for (uint32_t i = 0; jump && i < log->run_count; i++) {
        size_t start, end;
        run_range(log, i, &start, &end);
        if (free_from(log, end, &live) >= need) return end;
    }
    return log->capacity;
}

bool exec_log_open(struct exec_log *log, size_t need) {
    if (log->next - log->first > log->mask) return false;
    bool new_run;
    size_t at = place(log, need, &new_run);
    if (at == log->capacity) return false;
    if (new_run) log->runs[log->run_count++].number = log->next;
    struct exec_segment *segment = exec_log_segment(log, log->next);
    memset(segment, 0, sizeof *segment);
    segment->at = at;
    log->next++;
    return true;
}

void exec_log_truncate(struct exec_log *log, uint64_t next) {
    CHECK(next >= log->first && next <= log->next);
    log->next = next;
    while (log->run_count > 0 && log->runs[log->run_count - 1].number >= next) log->run_count--;
    if (log->first == log->next) log->run_count = 0;
}

void exec_log_release(struct exec_log *log, uint64_t first) {
    if (first <= log->first) return;
    CHECK(first <= log->next);
    log->first = first;
    uint32_t gone = 0;
    while (gone + 1 < log->run_count && log->runs[gone + 1].number <= first) gone++;
    if (first == log->next) gone = log->run_count;
    log->run_count -= gone;
    memmove(log->runs, log->runs + gone, log->run_count * sizeof *log->runs);
}
