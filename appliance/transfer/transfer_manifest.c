/*
 * Taking a manifest that is too long to be shown whole (P-42): members showed its head and its hash, by which it was chosen. Its bytes are asked for
 * as those of one item, all from one member, so that a bad one has a name; then the transfer goes on as if they had been shown.
 *
 * Whom a fault belongs to: bytes that do not give the hash, to the member that sent them; bytes that do, and are no manifest, or one with another
 * head or beyond the limits of this cluster, to those who showed it.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/transfer/transfer_private.h"

void manifest_begin(struct transfer *t) {
    struct transfer_take *take = &t->take;
    items_free(t);
    take->items = calloc(1, sizeof *take->items);
    CHECK(take->items != NULL);
    take->item_count = 1;
    struct checkpoint_item *about = &take->items[0].about;
    about->kind = CHECKPOINT_MANIFEST_OF;
    about->bytes = CHECKPOINT_MANIFEST_HEAD_BYTES + (uint64_t)take->shown.manifest.item_count * CHECKPOINT_ITEM_BYTES;
    memcpy(about->hash, take->hash, sizeof about->hash);
    take->phase = TRANSFER_MANIFEST;
}

const char *manifest_item_check(const struct transfer_item *item) {
    uint8_t hash[32];
    checkpoint_manifest_hash(item->bytes, item->count, hash);
    return memcmp(hash, item->about.hash, sizeof hash) == 0 ? NULL : "hash";
}

/* The checkpoint as it would have been shown whole. */
static struct blob *shown_whole(const struct transfer_take *take, const struct transfer_item *item) {
    struct checkpoint_shown shown = take->shown;
    size_t room = 16 + 4 + item->count + CHECKPOINT_PROOF_BYTES_MAX;
    struct blob *blob = blob_make(room);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, room);
    shown.manifest_bytes = item->bytes;
    shown.manifest_count = item->count;
    checkpoint_message_head_put(&writer, 0, 1);
    checkpoint_shown_put(&writer, &shown);
    CHECK(!writer.failed);
    blob->count = writer.used;
    return blob;
}

void manifest_tick(struct transfer *t) {
    struct transfer_take *take = &t->take;
    const struct transfer_item *item = &take->items[0];
    if (item->state != PIECE_KEPT) return;
    struct checkpoint_manifest manifest;
    const char *why = NULL;
    if (checkpoint_manifest_decode(item->bytes, item->count, &manifest) != CHECKPOINT_OK) why = "form";
    else if (memcmp(item->bytes, take->shown.manifest_bytes, CHECKPOINT_MANIFEST_HEAD_BYTES) != 0) why = "head";
    else if (!take_manifest_bounded(t, &manifest)) why = "beyond_limits";
    if (why != NULL) {
        take_manifest_bad(t, why);
        return;
    }
    struct blob *blob = shown_whole(take, item);
    bool good = take_shown(t, blob); /* the headers and the certificate were proved before */
    blob_drop(blob);
    CHECK(good && take->shown.whole);
    items_free(t);
    take_entries_begin(t);
}
