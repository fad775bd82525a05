/* Certificates, decisions and answers, made with real keys. */
#include "tests/protocol/decided.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "merkle/sha256.h"

enum { HEADERS_MAX = 8, LEAVES_MAX = 1024 };

static void derive(uint64_t seed, uint64_t what, uint8_t out[32]) {
    uint8_t from[16];
    bytes_put_le64(from, seed);
    bytes_put_le64(from + 8, what);
    sha256_hash(from, sizeof from, out);
}

void decider_init(struct decider *decider, uint64_t seed, uint32_t cluster, uint32_t n) {
    CHECK(ed25519_start(NULL));
    memset(decider, 0, sizeof *decider);
    uint8_t keys[BFT_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES], bytes[32];
    for (uint32_t i = 0; i < n; i++) {
        derive(seed, i, bytes);
        (void)!ed25519_secret_init(&decider->own[i], bytes);
        decider->secrets[i] = &decider->own[i];
        memcpy(keys[i], decider->own[i].expanded + 32, 32);
    }
    struct bft_place place = {.cluster = cluster};
    derive(seed, 100, bytes);
    memcpy(place.system_id, bytes, sizeof place.system_id);
    derive(seed, 101, place.config_hash.bytes);
    struct bft_point start = {.height = 0};
    CHECK(bft_members_init(&decider->members, &place, &start, n, keys));
    decider->height = 5;
    decider->view = 3;
    decider->time = 1234;
}

static void qc_sign(const struct decider *decider, const struct decided_how *how, struct bft_qc *qc) {
    qc->kind = how->prepare ? BFT_PREPARE : BFT_COMMIT;
    qc->count = (uint8_t)(how->signers ? how->signers : decider->members.q);
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&qc->ballot, how->prepare ? BFT_PREPARE : BFT_COMMIT, preimage);
    for (uint32_t i = 0; i < qc->count; i++) {
        uint32_t member = how->first_signer + i;
        CHECK(member < decider->members.n);
        qc->signers[i] = (uint8_t)member;
        const struct ed25519_secret *secret = how->forger ? how->forger->secrets[member] : decider->secrets[member];
        struct signer signer = signer_ed25519((struct ed25519_secret *)(uintptr_t)secret);
        signer.sign(signer.context, preimage, sizeof preimage, qc->signatures[i].bytes);
    }
}

void decided_certificate(const struct decider *decider, const struct decided_how *how, const uint8_t outbox_root[32],
                         struct bft_certificate *certificate, uint8_t *headers) {
    memset(certificate, 0, sizeof *certificate);
    struct bft_header header = {.place = decider->members.place, .view = decider->view, .height = decider->height, .time = decider->time};
    memcpy(header.outbox_root.bytes, outbox_root, 32);
    header.body_hash = bft_body_hash_empty();
    struct bft_hash id = bft_header_id(&header);
    CHECK(how->headers != 1 && how->headers <= HEADERS_MAX);
    certificate->header_count = (uint16_t)how->headers;
    certificate->headers = headers;
    for (uint32_t i = 0; i < how->headers; i++) {
        if (i > 0) {
            header.parent_id = id;
            header.height++;
            header.outbox_root = bft_outbox_root_empty();
            id = bft_header_id(&header);
        }
        struct bytes_writer writer = bytes_writer_of(headers + (size_t)i * BFT_HEADER_BYTES, BFT_HEADER_BYTES);
        bft_header_put(&writer, &header);
        CHECK(!writer.failed);
    }
    bft_header_ballot(&header, &id, &certificate->qc.ballot);
    qc_sign(decider, how, &certificate->qc);
}

uint8_t *decided_make(const struct decider *decider, const struct decided_how *how, struct leaf *leaf, uint32_t index, uint32_t count,
                      const uint8_t *slice, size_t slice_bytes, size_t *bytes_count) {
    CHECK(count >= 1 && count <= LEAVES_MAX && index < count);
    leaf->source = decider->members.place.cluster;
    leaf->height = decider->height;
    leaf->slice_bytes = (uint32_t)slice_bytes;
    memcpy(leaf->system_id, decider->members.place.system_id, sizeof leaf->system_id);
    if (leaf->kind == LEAF_KIND_CLIENT) {
        leaf->time = decider->time;
        leaf->item_count = bytes_get_le32(slice);
        CHECK(slice_client_root(slice, slice_bytes, leaf->item_count, leaf->slice_hash));
    } else {
        slice_hash(slice, slice_bytes, leaf->slice_hash);
    }
    uint8_t encoded[LEAF_BYTES];
    leaf_encode(leaf, encoded);
    tree_hash *leaves = malloc(count * sizeof *leaves);
    CHECK(leaves);
    for (uint32_t i = 0; i < count; i++) derive(i, 200, leaves[i]);
    leaf_hash(encoded, leaves[index]);
    tree_hash root, path[TREE_PROOF_HASHES_MAX];
    tree_root(leaves, count, root);
    size_t path_count = tree_inclusion_prove(leaves, count, index, path);
    free(leaves);
    struct bft_certificate certificate;
    uint8_t headers[HEADERS_MAX * BFT_HEADER_BYTES];
    decided_certificate(decider, how, root, &certificate, headers);
    size_t room = BFT_CERTIFICATE_BYTES_MAX + 16 + sizeof path + LEAF_BYTES + slice_bytes;
    uint8_t *out = malloc(room);
    CHECK(out);
    struct bytes_writer writer = bytes_writer_of(out, room);
    decision_head_encode(&writer, &certificate, index, count, path, (uint32_t)path_count, encoded);
    bytes_put_raw(&writer, slice, slice_bytes);
    CHECK(!writer.failed);
    *bytes_count = writer.used;
    return out;
}

uint8_t *decided_client_slice(const struct decided_item *items, uint32_t count, size_t *bytes_count) {
    size_t total = 4;
    for (uint32_t i = 0; i < count; i++) total += 4 + items[i].count;
    uint8_t *out = malloc(total);
    CHECK(out);
    struct bytes_writer writer = bytes_writer_of(out, total);
    bytes_put_u32(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        bytes_put_u32(&writer, (uint32_t)items[i].count);
        bytes_put_raw(&writer, items[i].bytes, items[i].count);
    }
    CHECK(!writer.failed && writer.used == total);
    *bytes_count = total;
    return out;
}

uint8_t *decided_item(struct client_item head, const uint8_t *results, size_t results_bytes, size_t *bytes_count) {
    uint8_t *out = malloc(CLIENT_ITEM_HEAD_BYTES + results_bytes);
    CHECK(out);
    head.results_bytes = (uint32_t)results_bytes;
    slice_client_item_head_encode(out, &head);
    if (results_bytes > 0) memcpy(out + CLIENT_ITEM_HEAD_BYTES, results, results_bytes);
    *bytes_count = CLIENT_ITEM_HEAD_BYTES + results_bytes;
    return out;
}

uint8_t *decided_two_items(size_t *bytes_count) {
    static const uint8_t digest[32] = {7}, results[SLICE_LONG_BYTES] = {9};
    const struct client_item head = {.kind = CLIENT_ITEM_PART, .part_digest = digest, .op_count = 1};
    struct decided_item items[2];
    for (int i = 0; i < 2; i++) items[i].bytes = decided_item(head, results, i == 0 ? 10 : sizeof results, &items[i].count);
    uint8_t *slice = decided_client_slice(items, 2, bytes_count);
    for (int i = 0; i < 2; i++) free((void *)(uintptr_t)items[i].bytes);
    return slice;
}
