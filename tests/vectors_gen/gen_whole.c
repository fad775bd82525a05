#include "tests/vectors_gen/gen_whole.h"

#include <stdlib.h>
#include <string.h>

#include "bft/wire.h"
#include "merkle/check.h"
#include "protocol/body.h"
#include "protocol/config_chain.h"
#include "protocol/decision.h"
#include "protocol/receipt.h"
#include "tests/protocol/identity_fixture.h"
#include "tests/vectors_gen/gen_exec.h"

enum { ROOM = 1 << 16 };

/* The chain of one cluster. */
struct chain {
    const struct fixture *fixture;
    uint32_t index;             /* of the cluster in the fixture */
    struct world_cluster *cluster;
    struct bft_members members;
    struct bft_header header;   /* of the newest block */
    struct bft_hash id;
};

static void chain_init(struct chain *chain, const struct fixture *fixture, struct world *world, uint32_t index) {
    struct config config;
    struct bft_hash config_root, root, zeros = {{0}};
    memset(chain, 0, sizeof *chain);
    chain->fixture = fixture;
    chain->index = index;
    chain->cluster = &world->clusters[index];
    CHECK(system_config(&world->system, chain->cluster->cluster, &config));
    config_hash(&config, config_root.bytes);
    memcpy(root.bytes, chain->cluster->root, 32);
    bft_genesis_header(&chain->header, world->system.system_id, &config_root, chain->cluster->cluster, 0, &root, &zeros);
    chain->id = bft_header_id(&chain->header);
    config_chain_members_of(&config, &(struct bft_point){.height = 0, .id = chain->id}, &chain->members);
}

static size_t header_encode(const struct bft_header *header, uint8_t out[BFT_HEADER_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(out, BFT_HEADER_BYTES);
    bft_header_put(&writer, header);
    CHECK(!writer.failed && writer.used == BFT_HEADER_BYTES);
    return BFT_HEADER_BYTES;
}

static size_t body_encode(const struct world_cluster *cluster, uint8_t *out) {
    static struct exec_ref refs[2 * WORLD_INBOX_MAX];
    uint32_t count = world_refs(cluster, refs);
    bytes_put_le32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        struct body_reference reference = {.kind = refs[i].kind, .relay = refs[i].relay, .source = refs[i].source, .dseq = refs[i].dseq};
        if (refs[i].kind == BODY_BATCH) sha256_prefixed(HASH_BATCH, &(struct sha256_part){refs[i].bytes, refs[i].byte_count - 64}, 1, reference.hash);
        else memcpy(reference.hash, refs[i].hash, 32);
        body_reference_encode(&reference, out + BODY_HEAD_BYTES + (size_t)i * BODY_REFERENCE_BYTES);
    }
    return BODY_HEAD_BYTES + (size_t)count * BODY_REFERENCE_BYTES;
}

/* A commit QC on the block by the last q members, or (odd n) on an empty child of it. */
static size_t certificate_make(const struct chain *chain, uint8_t *out, size_t room) {
    struct bft_certificate certificate;
    memset(&certificate, 0, sizeof certificate);
    uint8_t headers[2 * BFT_HEADER_BYTES], preimage[BFT_VOTE_PREIMAGE_BYTES];
    struct bft_header header = chain->header;
    struct bft_hash id = chain->id;
    if (chain->members.n % 2) {
        header_encode(&header, headers);
        header.height++;
        header.parent_id = id;
        header.body_hash = bft_body_hash_empty();
        header.outbox_root = bft_outbox_root_empty();
        memcpy(header.state_root.bytes, chain->cluster->root, 32);
        header_encode(&header, headers + BFT_HEADER_BYTES);
        id = bft_header_id(&header);
        certificate.header_count = 2;
        certificate.headers = headers;
    }
    bft_header_ballot(&header, &id, &certificate.qc.ballot);
    certificate.qc.kind = BFT_COMMIT;
    certificate.qc.count = (uint8_t)chain->members.q;
    bft_vote_preimage(&certificate.qc.ballot, BFT_COMMIT, preimage);
    for (uint32_t i = 0; i < chain->members.q; i++) {
        uint32_t member = chain->members.f + i;
        certificate.qc.signers[i] = (uint8_t)member;
        ed25519_sign(&chain->fixture->nodes[chain->index][member].signing, preimage, sizeof preimage, certificate.qc.signatures[i].bytes);
    }
    struct bytes_writer writer = bytes_writer_of(out, room);
    bft_certificate_put(&writer, &certificate);
    CHECK(!writer.failed);
    return writer.used;
}

/* The compact decision of the block's only output; verified. Returns its size. */
static size_t decision_make(const struct chain *chain, const uint8_t *certificate, size_t certificate_bytes, uint8_t *out) {
    const struct exec_result *result = &chain->cluster->result;
    CHECK(result->output_count == 1);
    struct bft_certificate decoded;
    struct bytes_cursor cursor = bytes_cursor_of(certificate, certificate_bytes);
    enum bft_wire_error error;
    CHECK(bft_certificate_get(&cursor, &decoded, &error));
    struct bytes_writer writer = bytes_writer_of(out, ROOM);
    decision_head_encode(&writer, &decoded, 0, 1, NULL, 0, result->outputs[0].leaf);
    uint8_t *slice = world_slice(&result->outputs[0]);
    bytes_put_raw(&writer, slice, result->outputs[0].slice_bytes);
    free(slice);
    CHECK(!writer.failed);
    struct decision decision;
    struct signer signer = signer_ed25519(NULL);
    CHECK(decision_decode(out, writer.used, &decision) == DECISION_OK);
    CHECK(decision_verify(&decision, &chain->members, &signer, NULL) == DECISION_OK);
    return writer.used;
}

/* The cluster's next block with all that waits, told as a vector. Returns the size of its compact decision, which goes to `out`. */
static size_t chain_block(struct chain *chain, json_t *list, const char *name, struct world *world, uint8_t *out) {
    uint8_t body[ROOM], header[BFT_HEADER_BYTES], preimage[BFT_VOTE_PREIMAGE_BYTES], certificate[8192], before[32];
    struct world_cluster *cluster = chain->cluster;
    json_t *object = gen_case(list, name);
    size_t body_bytes = body_encode(cluster, body);
    memcpy(before, cluster->root, 32);
    world_block_hold(world, cluster, 20);
    struct bft_header *next = &chain->header;
    next->view = 1;
    next->parent_id = chain->id;
    next->height = cluster->height;
    next->time = cluster->time;
    next->body_hash = bft_body_hash(body, body_bytes);
    memcpy(next->outbox_root.bytes, cluster->result.outbox_root, 32);
    memcpy(next->state_root.bytes, before, 32);
    memcpy(next->cursors_hash.bytes, cluster->result.cursors_hash, 32);
    chain->id = bft_header_id(next);
    size_t certificate_bytes = certificate_make(chain, certificate, sizeof certificate);
    size_t decision_bytes = decision_make(chain, certificate, certificate_bytes, out);
    struct bft_ballot ballot;
    bft_header_ballot(next, &chain->id, &ballot);
    bft_vote_preimage(&ballot, BFT_COMMIT, preimage);
    gen_set_u64(object, "cluster", cluster->cluster);
    gen_set_hex(object, "body", body, body_bytes);
    gen_set_hex(object, "header", header, header_encode(next, header));
    gen_set_hex(object, "block_id", chain->id.bytes, 32);
    gen_set_hex(object, "commit_preimage", preimage, sizeof preimage);
    gen_set_hex(object, "certificate", certificate, certificate_bytes);
    gen_set_hex(object, "compact_decision", out, decision_bytes);
    gen_set_hex(object, "state_root_after", cluster->root, 32);
    world_block_release(cluster);
    return decision_bytes;
}

/* The client's request: two operations, with receipts. */
static size_t request_make(const struct fixture *fixture, uint8_t *out, struct batch *batch, struct batch_part *part) {
    static const uint8_t nonce[BATCH_NONCE_BYTES] = {3, 1, 4, 1, 5, 9, 2, 6};
    struct signer signer = signer_ed25519((struct ed25519_secret *)(uintptr_t)&fixture->clients[0].signing);
    struct operation ops[] = {op_put("{bob}balance", "100"), op_add("{bob}balance", -30), op_get("{bob}balance", 32)};
    struct bytes_writer writer = bytes_writer_of(out, ROOM);
    struct batch_builder builder;
    batch_build_begin(&builder, &writer, BATCH_WRITE, fixture->client_cards[0].id, nonce, 0);
    batch_build_part_begin(&builder, SHARD_CLUSTER_BASE, PART_FLAG_ATOMIC | PART_FLAG_RECEIPT, 1, 1);
    for (uint32_t i = 0; i < 3; i++) operation_encode(&writer, &ops[i]);
    batch_build_part_end(&builder, 3);
    CHECK(batch_build_end(&builder, fixture->assembly->system.system_id, &signer));
    struct batch_limits limits = {.shards = 1, .batch_bytes_max = ROOM, .batch_parts_max = 1, .batch_ops_max = 8};
    size_t at = 0;
    CHECK(batch_decode(out, writer.used, &limits, batch) == BATCH_OK && batch_part_next(batch, &at, part));
    return writer.used;
}

static void receipt_case(json_t *list, const char *name, const struct chain *chain, const uint8_t *bytes, size_t count, enum receipt_error expected,
                         const char *says) {
    struct receipt receipt;
    struct signer signer = signer_ed25519(NULL);
    enum receipt_error error = receipt_decode(bytes, count, &receipt, NULL);
    if (error == RECEIPT_OK) error = receipt_verify(&receipt, &chain->members, &signer, NULL);
    if (error != expected) fprintf(stderr, "gen_whole: %s: %s\n", name, receipt_error_name(error));
    CHECK(error == expected && strcmp(receipt_error_name(error), says) == 0);
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "receipt", bytes, count);
    gen_set_text(object, "error", says);
}

static void receipts(json_t *object, const struct chain *chain, const uint8_t *answer, size_t answer_bytes, const struct batch *batch,
                     const struct batch_part *part) {
    json_t *list = gen_group(object, "receipts");
    struct decision decision;
    CHECK(decision_decode(answer, answer_bytes, &decision) == DECISION_OK);
    for (uint32_t i = 0; i < part->op_count; i++) {
        static uint8_t bytes[ROOM];
        struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
        receipt_encode(&writer, NULL, 0, &decision, i, batch->nonce, part, i);
        CHECK(!writer.failed);
        receipt_case(list, "good", chain, bytes, writer.used, RECEIPT_OK, receipt_error_name(RECEIPT_OK));
        if (i > 0) continue;
        bytes[0] ^= 1;
        receipt_case(list, "magic", chain, bytes, writer.used, RECEIPT_NOT_ONE, receipt_error_name(RECEIPT_NOT_ONE));
        bytes[0] ^= 1;
        receipt_case(list, "a byte less", chain, bytes, writer.used - 1, RECEIPT_TRUNCATED, receipt_error_name(RECEIPT_TRUNCATED));
        bytes[writer.used] = 0;
        receipt_case(list, "a byte more", chain, bytes, writer.used + 1, RECEIPT_TRUNCATED, receipt_error_name(RECEIPT_TRUNCATED));
        bytes[writer.used - 1] ^= 1; /* the value that was put */
        receipt_case(list, "another operation", chain, bytes, writer.used, RECEIPT_OTHER_REQUEST, receipt_error_name(RECEIPT_OTHER_REQUEST));
        bytes[writer.used - 1] ^= 1;
        bytes[200] ^= 1; /* within the certificate */
        receipt_case(list, "certificate", chain, bytes, writer.used, RECEIPT_BAD_DECISION, receipt_error_name(RECEIPT_BAD_DECISION));
    }
}

void gen_whole(json_t *list, uint32_t n) {
    struct fixture *fixture = fixture_new(100 + n, 1, 1, n);
    struct world *world = calloc(1, sizeof *world);
    CHECK(world);
    world->system = fixture->assembly->system;
    world->coordinators = world->shards = 1;
    for (uint32_t i = 0; i < 2; i++) world->clusters_of_system[i] = world->system.clusters[i];
    for (uint32_t i = 0; i < FIXTURE_CLIENTS; i++) world->clients[i].card = fixture->client_cards[i];
    world_start(world);
    struct chain coordinator, shard;
    chain_init(&coordinator, fixture, world, 0);
    chain_init(&shard, fixture, world, 1);
    char name[32];
    snprintf(name, sizeof name, "n = %u", n);
    json_t *object = gen_case(list, name);
    size_t text_bytes;
    char *text = system_encode_json(&world->system, &text_bytes);
    CHECK(text);
    gen_set_text(object, "system_file", text);
    free(text);
    static uint8_t request[ROOM], decision[ROOM];
    struct batch batch;
    struct batch_part part;
    size_t request_bytes = request_make(fixture, request, &batch, &part);
    uint8_t header[BFT_HEADER_BYTES];
    gen_set_hex(object, "coordinator_genesis_header", header, header_encode(&coordinator.header, header));
    gen_set_hex(object, "shard_genesis_header", header, header_encode(&shard.header, header));
    gen_set_hex(object, "request", request, request_bytes);
    struct world_message *message = &world->clusters[0].batches[world->clusters[0].batch_count++];
    memset(message, 0, sizeof *message);
    message->relay = 2;
    message->bytes = malloc(request_bytes);
    CHECK(message->bytes);
    memcpy(message->bytes, request, request_bytes);
    message->byte_count = (uint32_t)request_bytes;
    json_t *blocks = gen_group(object, "blocks");
    chain_block(&coordinator, blocks, "the coordinator decides the request", world, decision);
    chain_block(&shard, blocks, "the shard executes", world, decision);
    size_t answer_bytes = chain_block(&coordinator, blocks, "the coordinator decides the answer", world, decision);
    receipts(object, &coordinator, decision, answer_bytes, &batch, &part);
    world_destroy(world);
    fixture_free(fixture);
}
