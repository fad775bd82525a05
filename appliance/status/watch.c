#include "appliance/status/watch.h"

#include <stdlib.h>

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t size_of(int64_t value) {
    return value < 0 ? -value : value;
}

/* The median of the calendar less what each member's clock shows now; of two in the middle the smaller. False: too few are heard. */
static bool difference(const struct status_replica *status, uint64_t now_ms, uint64_t wall_ms, uint64_t fresh_ms, int64_t *out) {
    int64_t list[STATUS_MEMBERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < status->members && i < STATUS_MEMBERS_MAX; i++) {
        const struct status_member *member = &status->peers[i];
        if (i == status->member || member->time_ms == 0 || member->status_ms > now_ms || now_ms - member->status_ms > fresh_ms) continue;
        uint64_t shows = member->time_ms + (now_ms - member->status_ms);
        if (shows < INT64_MAX / 2 && wall_ms < INT64_MAX / 2) list[count++] = (int64_t)wall_ms - (int64_t)shows;
    }
    if (count == 0 || 2 * count < status->members - 1) return false;
    qsort(list, count, sizeof list[0], compare);
    int64_t low = list[(count - 1) / 2], high = list[count / 2];
    *out = size_of(low) < size_of(high) ? low : high;
    return true;
}

enum watch_verdict watch_clock(struct watch_clock *watch, const struct status_replica *status, uint64_t now_ms, uint64_t wall_ms,
                               uint64_t fresh_ms) {
    if (!difference(status, now_ms, wall_ms, fresh_ms, &watch->difference_ms)) {
        watch->since_ms = 0;
        return WATCH_QUIET;
    }
    int64_t off = size_of(watch->difference_ms), change = size_of(watch->difference_ms - watch->told_ms);
    bool over = watch->told_ms != 0 && off <= WATCH_CLOCK_MS;
    bool news = off > WATCH_CLOCK_MS && change > WATCH_CLOCK_MS && change > size_of(watch->told_ms) / 2;
    if (!over && !news) {
        watch->since_ms = 0;
        return WATCH_QUIET;
    }
    if (watch->since_ms == 0) watch->since_ms = now_ms;
    if (now_ms - watch->since_ms < WATCH_CLOCK_LASTS_MS) return WATCH_QUIET;
    watch->since_ms = 0;
    watch->told_ms = over ? 0 : watch->difference_ms;
    watch->differs += !over;
    return over ? WATCH_AGREES : WATCH_DIFFERS;
}

unsigned watch_wal(unsigned *told, uint64_t bytes, uint64_t map_bytes) {
    static const unsigned marks[] = {90, 75, 50};
    for (unsigned i = 0; i < sizeof marks / sizeof marks[0] && marks[i] > *told; i++) {
        if (bytes / marks[i] < map_bytes / 100) continue;
        *told = marks[i];
        return marks[i];
    }
    return 0;
}

bool watch_wal_holds(uint64_t used_bytes, uint64_t map_bytes) {
    return used_bytes < map_bytes / 4 * 3;
}

bool watch_asking(uint64_t *since_ms, enum status_phase phase, uint64_t now_ms) {
    if (*since_ms == UINT64_MAX || phase != PHASE_ASKING) return false;
    if (*since_ms == 0) *since_ms = now_ms;
    if (now_ms - *since_ms < WATCH_ASKING_MS) return false;
    *since_ms = UINT64_MAX;
    return true;
}

uint32_t watch_prune_holder(const struct status_replica *status) {
    uint32_t holder = status->members;
    uint64_t lowest = status->checkpoint_height;
    for (uint32_t i = 0; i < status->members && i < STATUS_MEMBERS_MAX; i++) {
        if (i == status->member || status->peers[i].final_height >= lowest) continue;
        lowest = status->peers[i].final_height;
        holder = i;
    }
    return holder;
}
