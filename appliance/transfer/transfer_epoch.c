/* The epochs that state transfer knows: each checkpoint is judged by the members and limits of its own (P-30, P-42), and the members of the newest
 * are asked for it (P-40). Nothing here verifies a CONFIG: that the chain leads there was proved before it was told. */
#include <stdlib.h>
#include <string.h>

#include "appliance/transfer/transfer_private.h"

static struct transfer_known *known_find(const struct transfer *t, uint64_t epoch) {
    for (uint32_t i = t->epoch_count; i-- > 0;) {
        if (t->epochs[i]->about.members.place.epoch == epoch) return t->epochs[i];
    }
    return NULL;
}

const struct transfer_epoch *epoch_find(const struct transfer *t, uint64_t epoch) {
    const struct transfer_known *known = known_find(t, epoch);
    return known != NULL ? &known->about : NULL;
}

void epochs_free(struct transfer *t) {
    for (uint32_t i = 0; i < t->epoch_count; i++) {
        blob_drop(t->epochs[i]->certificate);
        free(t->epochs[i]);
    }
    free(t->epochs);
}

static struct transfer_known *known_add(struct transfer *t) {
    if (t->epoch_count == t->epoch_room) {
        t->epoch_room = t->epoch_room == 0 ? 8 : t->epoch_room * 2;
        t->epochs = realloc(t->epochs, t->epoch_room * sizeof(struct transfer_known *));
        CHECK(t->epochs != NULL);
    }
    struct transfer_known *known = calloc(1, sizeof *known);
    CHECK(known != NULL);
    t->epochs[t->epoch_count++] = known;
    return known;
}

/* Who was named stays so at its place; another key there has done nothing yet. */
static void places_change(struct transfer *t, const struct bft_members *before, const struct bft_members *after) {
    for (uint32_t place = 0; before != NULL && place < TRANSFER_MEMBERS; place++) {
        bool same = place < before->n && place < after->n && memcmp(before->keys[place], after->keys[place], sizeof after->keys[place]) == 0;
        if (!same) t->take.peers[place] = (struct transfer_peer){0};
    }
}

static void newest_set(struct transfer *t, const struct transfer_epoch *newest) {
    if (transfer_taking(t) && !t->failed) take_choose_again(t); /* what was asked of places is asked again, of those who are there now */
    places_change(t, t->config.members, &newest->members);
    t->config.members = &newest->members;
    t->config.limits = &newest->limits;
    t->config.timeouts = &newest->timeouts;
    t->config.member = newest->member;
}

void transfer_epoch(struct transfer *t, const struct transfer_epoch *epoch) {
    uint64_t number = epoch->members.place.epoch;
    struct transfer_known *known = known_find(t, number), *before = number > 0 ? known_find(t, number - 1) : NULL;
    bool newest = t->config.members == NULL || number > t->config.members->place.epoch;
    if (known == NULL) known = known_add(t);
    blob_drop(known->certificate);
    known->certificate = epoch->certificate != NULL ? blob_copy(epoch->certificate, epoch->certificate_bytes) : NULL;
    known->about = *epoch;
    known->about.certificate = known->certificate != NULL ? known->certificate->bytes : NULL;
    /* B-44: from now on the epoch before proves nothing beyond its end. */
    if (before != NULL) before->about.members.height_last = epoch->members.start.height;
    if (newest) newest_set(t, &known->about);
}

enum checkpoint_error epoch_shown_verify(const struct transfer *t, const struct checkpoint_shown *shown, bool *known) {
    const struct transfer_epoch *of = epoch_find(t, shown->header.place.epoch), *child = epoch_find(t, shown->child.place.epoch);
    *known = of != NULL && child != NULL && (!shown->sealed || of->members.height_last == shown->manifest.height);
    if (!*known) return CHECKPOINT_OK;
    if (child != of) { /* the checkpoint is that of the block that ended its epoch */
        const struct bft_point *start = &child->members.start;
        bool begins = shown->child.place.epoch == shown->header.place.epoch + 1 && start->height == shown->manifest.height &&
                      memcmp(start->id.bytes, shown->manifest.block_id, sizeof start->id.bytes) == 0 && child->certificate != NULL;
        if (!begins) return CHECKPOINT_BAD_HEADER;
    }
    return checkpoint_shown_verify(&child->members, &t->config.signer, (uint32_t)of->limits.checkpoint_blocks, shown);
}
