#include "protocol/leaf.h"

#include <string.h>

#include "merkle/tree.h"

bool leaf_decode(const uint8_t bytes[LEAF_BYTES], struct leaf *leaf) {
    struct leaf out = {.kind = bytes[0], .source = bytes_get_le32(bytes + 4)};
    bool valid = bytes[1] == 1 && bytes_get_le16(bytes + 2) == 0;
    memcpy(out.system_id, bytes + 12, sizeof out.system_id);
    out.height = bytes_get_le64(bytes + 28);
    out.slice_bytes = bytes_get_le32(bytes + 76);
    memcpy(out.slice_hash, bytes + 80, sizeof out.slice_hash);
    if (out.kind == LEAF_KIND_CLUSTER) {
        out.destination = bytes_get_le32(bytes + 8);
        out.dseq = bytes_get_le64(bytes + 36);
        memcpy(out.previous, bytes + 44, sizeof out.previous);
        valid = valid && out.dseq > 0 && out.slice_bytes >= 16 && out.slice_bytes <= LEAF_SLICE_BYTES_MAX;
    } else if (out.kind == LEAF_KIND_CLIENT) {
        out.item_count = bytes_get_le32(bytes + 8);
        out.time = bytes_get_le64(bytes + 36);
        memcpy(out.client_id, bytes + 44, sizeof out.client_id);
        valid = valid && out.item_count > 0 && out.item_count <= LEAF_ITEMS_MAX && out.slice_bytes <= LEAF_SLICE_BYTES_MAX;
    } else {
        valid = false;
    }
    if (valid) *leaf = out;
    return valid;
}

void leaf_encode(const struct leaf *leaf, uint8_t out[LEAF_BYTES]) {
    bool cluster = leaf->kind == LEAF_KIND_CLUSTER;
    out[0] = leaf->kind;
    out[1] = 1;
    bytes_put_le16(out + 2, 0);
    bytes_put_le32(out + 4, leaf->source);
    bytes_put_le32(out + 8, cluster ? leaf->destination : leaf->item_count);
    memcpy(out + 12, leaf->system_id, sizeof leaf->system_id);
    bytes_put_le64(out + 28, leaf->height);
    bytes_put_le64(out + 36, cluster ? leaf->dseq : leaf->time);
    memcpy(out + 44, cluster ? leaf->previous : leaf->client_id, 32);
    bytes_put_le32(out + 76, leaf->slice_bytes);
    memcpy(out + 80, leaf->slice_hash, sizeof leaf->slice_hash);
}

void leaf_state_encode(const uint8_t system_id[16], uint32_t source, uint64_t height, const uint8_t state_root[32], uint8_t out[LEAF_BYTES]) {
    memset(out, 0, LEAF_BYTES);
    out[0] = LEAF_KIND_STATE;
    out[1] = 1;
    bytes_put_le32(out + 4, source);
    memcpy(out + 12, system_id, 16);
    bytes_put_le64(out + 28, height);
    memcpy(out + 44, state_root, 32);
}

void leaf_hash(const uint8_t bytes[LEAF_BYTES], uint8_t out[32]) {
    tree_leaf_hash(bytes, LEAF_BYTES, out);
}
