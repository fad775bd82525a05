/*
 * What a random liar shows and gives to those who take a checkpoint from it (tests/sim/sys.h): checkpoints that are not there, manifests that are
 * well formed and untrue, pieces of other bytes, lengths and codes. A receiver must come to the end all the same, and name nobody else for it.
 */
#include "protocol/checkpoint.h"
#include "tests/sim/sys.h"

enum { CHECKPOINT_FRAME = 0x010E, PIECE_FRAME = 0x0110, HEAD_ROOM = 64 };

/* An item of the manifest is another one, longer, or missing. */
static void items_alter(struct sys_world *world, struct checkpoint_manifest *manifest, uint8_t *items) {
    if (manifest->item_count == 0) return;
    uint32_t at = (uint32_t)sys_random(world, manifest->item_count);
    struct checkpoint_item item = checkpoint_manifest_item(manifest, at);
    uint64_t die = sys_random(world, 4);
    if (die == 0) item.bytes += 1 + sys_random(world, 1000);
    if (die == 1) item.hash[sys_random(world, 32)] ^= 1;
    if (die == 2) item.dseq += 1;
    memcpy(items, manifest->items, (size_t)manifest->item_count * CHECKPOINT_ITEM_BYTES);
    checkpoint_item_encode(&item, items + (size_t)at * CHECKPOINT_ITEM_BYTES);
    if (die == 3) manifest->item_count--;
    manifest->items = items;
}

static void manifest_alter(struct sys_world *world, struct checkpoint_manifest *manifest, uint8_t *items) {
    switch (sys_random(world, 7)) {
    case 0: manifest->entries += 1 + sys_random(world, 3); break;
    case 1: manifest->bytes += 1 + sys_random(world, UINT64_C(1) << 40); break;
    case 2: manifest->height += world->config.checkpoint_blocks; break;
    case 3: manifest->state_root[sys_random(world, 32)] ^= 1; break;
    case 4: manifest->block_id[sys_random(world, 32)] ^= 1; break;
    default: items_alter(world, manifest, items); break;
    }
}

static struct blob *checkpoint_alter(struct sys_world *world, const uint8_t *bytes, size_t count) {
    struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t shown_count;
    if (checkpoint_message_decode(bytes, count, &nonce, shown, &shown_count) != CHECKPOINT_OK || shown_count == 0) return NULL;
    uint16_t at = (uint16_t)sys_random(world, shown_count);
    if (!shown[at].whole) return NULL;
    struct checkpoint_manifest *manifest = &shown[at].manifest;
    size_t room = CHECKPOINT_MANIFEST_HEAD_BYTES + (size_t)manifest->item_count * CHECKPOINT_ITEM_BYTES;
    uint8_t *items = malloc(room), *altered = malloc(room);
    CHECK(items != NULL && altered != NULL);
    manifest_alter(world, manifest, items);
    struct bytes_writer writer = bytes_writer_of(altered, room);
    checkpoint_manifest_put(&writer, manifest);
    shown[at].manifest_bytes = altered;
    shown[at].manifest_count = writer.used;
    struct blob *blob = blob_make(count + HEAD_ROOM);
    writer = bytes_writer_of(blob->bytes, blob->count);
    if (sys_chance(world, 100000)) shown_count = 0; /* or it has none */
    checkpoint_message_head_put(&writer, nonce, shown_count);
    for (uint16_t i = 0; i < shown_count; i++) checkpoint_shown_put(&writer, &shown[i]);
    CHECK(!writer.failed);
    blob->count = writer.used;
    free(items);
    free(altered);
    return blob;
}

static struct blob *piece_alter(struct sys_world *world, const uint8_t *bytes, size_t count) {
    struct checkpoint_piece piece;
    if (checkpoint_piece_decode(bytes, count, &piece) != CHECKPOINT_OK) return NULL;
    bool flip = false;
    switch (sys_random(world, 5)) {
    case 0:
        piece.code = (uint8_t)sys_random(world, 4);
        if (piece.code != CHECKPOINT_PIECE_OK) piece.content_bytes = piece.total = 0;
        break;
    case 1: piece.total += 1 + sys_random(world, 3); break;
    case 2: piece.content_bytes = sys_random(world, piece.content_bytes + 1); break;
    case 3: piece.hint = (uint32_t)sys_random(world, UINT32_MAX); break;
    default: flip = piece.content_bytes > 0; break;
    }
    struct blob *blob = blob_make(CHECKPOINT_PIECE_HEAD_BYTES + piece.content_bytes);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    checkpoint_piece_head_put(&writer, &piece);
    bytes_put_raw(&writer, piece.content, piece.content_bytes);
    CHECK(!writer.failed);
    size_t at = CHECKPOINT_PIECE_HEAD_BYTES + sys_random(world, piece.content_bytes); /* before the bit: compilers differ in the order */
    if (flip) blob->bytes[at] ^= (uint8_t)(1 << sys_random(world, 8));
    return blob;
}

struct blob *sys_liar_piece(struct sys_world *world, uint16_t type, const uint8_t *bytes, size_t count) {
    if (type == CHECKPOINT_FRAME) return checkpoint_alter(world, bytes, count);
    return type == PIECE_FRAME ? piece_alter(world, bytes, count) : NULL;
}
