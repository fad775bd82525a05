/* Which checkpoints are kept to be served, for whom an index is made (P-34, P-49). */
#include <stdlib.h>
#include <string.h>

#include "appliance/transfer/transfer_private.h"

void served_free(struct transfer_served *served) {
    if (!served->used) return;
    served->cut.close(served->cut.context);
    checkpoint_records_free(&served->records);
    free(served->index);
    free(served->work);
    free(served->queues);
    free(served->manifest);
    free(served->child);
    free(served->items);
    free(served->places);
    memset(served, 0, sizeof *served);
}

/*
 * P-34, P-49: the newest and the one before are served, and beside them some that somebody takes. Why these: checkpoints come as fast as blocks do,
 * and neither an index of a large state nor its pieces, out of a fifth of the time, are done before two newer ones are there. One that was begun anew
 * with each would never be shown, and a node from far behind would come back only when everything else is idle.
 *
 * What that costs is bounded, whoever asks. In disk, by what LMDB cannot write again for one, twice its own size; in time, since the blocks above it
 * are kept as well (a client's backup keeps pages, and no blocks). And nobody keeps others out: each asker has one at most, questions for checkpoints
 * keep none that is there already, there is room for one of each of f lying members beside one more. Members come first: f of them bound what lies,
 * and the cluster needs them. Observers, up to four times as many as members can be, share what is left, and clients what those leave: so however
 * many of them lie, no member loses its own. An observer may, to six others that lie, until their time is up; it goes on with the newest, and with
 * what it has (P-48). Who may look on the administrators sign, and take back.
 */
static bool is_taken(const struct transfer *t, const struct transfer_served *served, enum transfer_asks by) {
    bool taken = false;
    for (unsigned from = 0; from <= UINT8_MAX && !taken; from++) {
        const struct transfer_asker *asker = &t->askers[from];
        taken = asker->height == served->cut.about.height && t->now_ms - asker->asked_ms < TRANSFER_WANTED_MS &&
                transfer_asks((uint8_t)from) == by;
    }
    if (!taken || !served->used || served->damaged || !served->indexing || t->now_ms - served->begun_ms >= TRANSFER_TAKEN_MS_MAX) return false;
    uint64_t kept, own;
    if (served->cut.cost(served->cut.context, &kept, &own) != STORE_OK) return false;
    return kept <= 2 * own || kept <= TRANSFER_TAKEN_BYTES_MIN;
}

/* Of those that are taken the ones stay that have been for longest. */
void served_shift(struct transfer *t) {
    bool stays[TRANSFER_CUTS] = {false};
    unsigned count = 0;
    for (enum transfer_asks by = TRANSFER_MEMBER_ASKS; by < TRANSFER_ASKS; by++) {
        for (unsigned i = TRANSFER_CUTS - 1; i > 0; i--) {
            if (count == TRANSFER_CUTS_TAKEN || stays[i] || !is_taken(t, &t->served[i], by)) continue;
            stays[i] = true;
            count++;
        }
    }
    unsigned to = TRANSFER_CUTS - 1;
    for (unsigned i = TRANSFER_CUTS - 1; i > 0; i--) {
        if (!stays[i]) served_free(&t->served[i]);
        else if (to != i) t->served[to] = t->served[i];
        to -= stays[i];
    }
    for (unsigned i = 2; i <= to; i++) memset(&t->served[i], 0, sizeof t->served[i]);
    t->served[1] = t->served[0];
    memset(&t->served[0], 0, sizeof t->served[0]);
}

/*
 * An index of a large state is most of what serving costs, and all askers share the time for it. One who asks anew with each checkpoint, and takes
 * nothing, would have it all, and whoever takes pieces would be told BUSY. So each asker is a reason for three indexes at once, who was interrupted
 * and begins anew among them; then for one each time that four times as long as the last one took has passed: a fifth of the time. What is made for
 * one is shown to all, so one who is no reason for more has what the others have.
 */
bool index_allowed(struct transfer *t, uint8_t from) {
    struct transfer_asker *asker = &t->askers[from];
    uint64_t took = t->index_ms > TRANSFER_INDEX_MS_MIN ? t->index_ms : TRANSFER_INDEX_MS_MIN;
    uint64_t each = TRANSFER_INDEX_SHARE * took, paid = (t->now_ms - asker->indexes_ms) / each;
    asker->indexes = paid < asker->indexes ? asker->indexes - (uint32_t)paid : 0;
    asker->indexes_ms = asker->indexes > 0 ? asker->indexes_ms + paid * each : t->now_ms;
    return asker->indexes < TRANSFER_INDEXES_AT_ONCE;
}

bool index_wanted(const struct transfer *t) {
    bool wanted = false;
    for (unsigned from = 0; from <= UINT8_MAX; from++) {
        const struct transfer_asker *asker = &t->askers[from];
        wanted |= asker->waits && t->now_ms - asker->inquired_ms < TRANSFER_WANTED_MS;
    }
    return wanted;
}

void index_charge(struct transfer *t, struct transfer_served *served) {
    for (unsigned from = 0; from <= UINT8_MAX; from++) {
        if (!t->askers[from].waits) continue;
        serve_asked(t, served, (uint8_t)from);
        t->askers[from].indexes++;
    }
}
