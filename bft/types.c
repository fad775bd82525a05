/* Ids, hashes and member sets (spec/consensus.md B-1 to B-5, B-10). */
#include "bft/types.h"

#include "bft/wire.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"

static const uint8_t body_empty[4] = {0, 0, 0, 0};

bool bft_members_init(struct bft_members *members, const struct bft_place *place, const struct bft_point *start, uint32_t n,
                      const uint8_t keys[][SIGNER_PUBLIC_KEY_BYTES]) {
    if (n < BFT_MEMBERS_MIN || n > BFT_MEMBERS_MAX) return false;
    memset(members, 0, sizeof *members);
    members->place = *place;
    members->start = *start;
    members->height_last = UINT64_MAX;
    members->n = n;
    members->f = bft_faults(n);
    members->q = bft_quorum(n);
    memcpy(members->keys, keys, (size_t)n * SIGNER_PUBLIC_KEY_BYTES);
    return true;
}

struct bft_hash bft_header_id(const struct bft_header *header) {
    uint8_t bytes[BFT_HEADER_BYTES];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    bft_header_put(&writer, header);
    CHECK(!writer.failed && writer.used == BFT_HEADER_BYTES);
    struct bft_hash id;
    SHA256_PREFIXED(id.bytes, HASH_BLOCK, {bytes, sizeof bytes});
    return id;
}

struct bft_hash bft_body_hash(const void *body, size_t body_bytes) {
    struct bft_hash hash;
    SHA256_PREFIXED(hash.bytes, HASH_BODY, {body, body_bytes});
    return hash;
}

struct bft_hash bft_body_hash_empty(void) {
    return bft_body_hash(body_empty, sizeof body_empty);
}

struct bft_hash bft_outbox_root_empty(void) {
    struct bft_hash hash;
    sha256_hash(NULL, 0, hash.bytes);
    return hash;
}

void bft_genesis_header(struct bft_header *header, const uint8_t system_id[BFT_SYSTEM_BYTES], const struct bft_hash *config_hash, uint32_t cluster,
                        uint64_t height, const struct bft_hash *state_root, const struct bft_hash *cursors_hash) {
    memset(header, 0, sizeof *header);
    memcpy(header->place.system_id, system_id, BFT_SYSTEM_BYTES);
    header->place.config_hash = *config_hash;
    header->place.cluster = cluster;
    header->height = height;
    header->outbox_root = bft_outbox_root_empty();
    header->body_hash = bft_body_hash_empty();
    header->state_root = *state_root;
    header->cursors_hash = *cursors_hash;
}

void bft_header_ballot(const struct bft_header *header, const struct bft_hash *id, struct bft_ballot *ballot) {
    ballot->place = header->place;
    ballot->view = header->view;
    ballot->height = header->height;
    ballot->block_id = *id;
    ballot->outbox_root = header->outbox_root;
}
