/* Systems from a seed. */
#include "tests/protocol/identity_fixture.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bft/wire.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/body.h"
#include "protocol/config_chain.h"

bool fixture_entropy_fill(void *context, uint8_t *out, size_t count) {
    struct fixture_entropy *entropy = context;
    while (count > 0) {
        uint8_t block[32];
        const uint64_t from[2] = {htole64(entropy->seed), htole64(entropy->counter)};
        size_t take = count < sizeof block ? count : sizeof block;
        entropy->counter++;
        sha256_hash(from, sizeof from, block);
        memcpy(out, block, take);
        out += take;
        count -= take;
    }
    return true;
}

void fixture_enroll(struct fixture *fixture, enum keyfile_kind kind, const char *name, struct keyfile *key, struct keyfile *owner,
                    struct card *card) {
    struct keyfile own = {.lock = -1};
    bool of_node = kind == KEYFILE_NODE;
    if (of_node) CHECK(keyfile_generate(&own, KEYFILE_OWNER, name, fixture_entropy_fill, &fixture->entropy, NULL) == SYSTEM_OK);
    CHECK(keyfile_generate(key, kind, name, fixture_entropy_fill, &fixture->entropy, NULL) == SYSTEM_OK);
    CHECK(keyfile_make_card(key, of_node ? &own : NULL, card, NULL) == SYSTEM_OK);
    if (owner) memcpy(owner, &own, sizeof own);
}

static void clusters_make(struct fixture *fixture) {
    for (uint32_t i = 0; i < fixture->coordinators + fixture->shards; i++) {
        bool shard = i >= fixture->coordinators;
        struct card cards[CONFIG_MEMBERS_MAX];
        for (uint32_t j = 0; j < fixture->nodes_count; j++) {
            char name[CARD_NAME_BYTES_MAX + 1];
            (void)snprintf(name, sizeof name, "%c%u-n%u", shard ? 's' : 'c', shard ? i - fixture->coordinators : i, j);
            fixture_enroll(fixture, KEYFILE_NODE, name, &fixture->nodes[i][j], &fixture->owners[i][j], &cards[j]);
        }
        CHECK(assembly_add_cluster(fixture->assembly, shard, cards, fixture->nodes_count, NULL) == SYSTEM_OK);
    }
}

struct fixture *fixture_new(uint64_t seed, uint32_t coordinators, uint32_t shards, uint32_t nodes) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct system_fault fault;
    CHECK(fixture && ed25519_start(NULL) && coordinators + shards <= FIXTURE_CLUSTERS_MAX);
    fixture->entropy.seed = seed;
    fixture->coordinators = coordinators;
    fixture->shards = shards;
    fixture->nodes_count = nodes;
    fixture->assembly = assembly_new();
    CHECK(fixture->assembly);
    struct system *system = &fixture->assembly->system;
    (void)snprintf(system->name, sizeof system->name, "test");
    system->admins_needed = 2;
    (void)fixture_entropy_fill(&fixture->entropy, system->partition_key, sizeof system->partition_key);
    clusters_make(fixture);
    for (uint32_t i = 0; i < FIXTURE_ADMINS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "admin-%u", i);
        fixture_enroll(fixture, KEYFILE_ADMIN, name, &fixture->admins[i], NULL, &fixture->admin_cards[i]);
        CHECK(assembly_add_admin(fixture->assembly, &fixture->admin_cards[i], NULL) == SYSTEM_OK);
    }
    const struct system_right rights[FIXTURE_CLIENTS][2] = {
        {{.flags = 3}},
        {{.flags = 3, .prefix_bytes = 2, .prefix = "a/"}},
        {{.flags = 2, .prefix_bytes = 2, .prefix = "b/"}, {.flags = 1}},
    };
    for (uint32_t i = 0; i < FIXTURE_CLIENTS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "client-%u", i);
        fixture_enroll(fixture, KEYFILE_CLIENT, name, &fixture->clients[i], NULL, &fixture->client_cards[i]);
        uint32_t per_second = i == 2 ? 100 : 0, rules = i == 2 ? 2 : 1;
        CHECK(assembly_add_client(fixture->assembly, &fixture->client_cards[i], per_second, 2 * per_second, rights[i], rules, NULL) == SYSTEM_OK);
    }
    for (uint32_t i = 0; i < FIXTURE_SPARE_NODES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "spare-%u", i);
        fixture_enroll(fixture, KEYFILE_NODE, name, &fixture->spares[i], NULL, &fixture->spare_cards[i]);
    }
    if (assembly_finish(fixture->assembly, &fault) != SYSTEM_OK) {
        (void)fprintf(stderr, "%s\n", fault.text);
        CHECK(false);
    }
    return fixture;
}

void fixture_free(struct fixture *fixture) {
    if (!fixture) return;
    assembly_free(fixture->assembly);
    free(fixture);
}

void fixture_sign(const struct fixture *fixture, struct admin_op *op, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) CHECK(admin_op_sign(op, &fixture->admins[i].signing));
}

void fixture_config_op(const struct fixture *fixture, const struct config *before, int spare, struct admin_op *op) {
    memset(op, 0, sizeof *op);
    op->kind = ADMIN_OP_CONFIG;
    op->cluster = before->members.cluster;
    memcpy(op->system_id, before->system_id, 16);
    op->serial = before->members.serial + 1;
    config_hash(before, op->predecessor);
    op->config = *before;
    op->config.members.serial++;
    if (spare < 0) {
        op->config.limits.window_blocks = 8;
        return;
    }
    struct config_member *member = &op->config.members.members[before->members.count - 1];
    const struct card *card = &fixture->spare_cards[spare];
    memcpy(member->node_id, card->id, 32);
    memcpy(member->signing_key, card->signing_key, 32);
    memcpy(member->noise_key, card->noise_key, 32);
    op->nodes_count = 1;
    op->nodes[0] = *card;
}

size_t fixture_chain_entry(const struct fixture *fixture, uint32_t cluster, const struct bft_members *members, struct admin_op *op, uint64_t height,
                           uint32_t signers, uint8_t *out, size_t room) {
    static uint8_t operation[ADMIN_OP_BYTES_MAX];
    size_t operation_bytes = admin_op_encode(op, operation);
    uint8_t body[4 + 2 * BODY_REFERENCE_BYTES] = {2}, header_bytes[BFT_HEADER_BYTES], certificate_bytes[4096];
    struct body_reference noop = {.kind = BODY_NOOP, .dseq = 9}, last = {.kind = BODY_ADMIN};
    memcpy(last.hash, op->input_hash, 32);
    body_reference_encode(&noop, body + 4);
    body_reference_encode(&last, body + 4 + BODY_REFERENCE_BYTES);
    struct bft_header header;
    memset(&header, 0, sizeof header);
    header.place = members->place;
    header.view = 3;
    header.height = height;
    header.body_hash = bft_body_hash(body, sizeof body);
    header.outbox_root = bft_outbox_root_empty();
    struct bytes_writer writer = bytes_writer_of(header_bytes, sizeof header_bytes);
    bft_header_put(&writer, &header);
    CHECK(writer.used == sizeof header_bytes);

    struct bft_certificate certificate;
    struct bft_hash id = bft_header_id(&header);
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    memset(&certificate, 0, sizeof certificate);
    bft_header_ballot(&header, &id, &certificate.qc.ballot);
    certificate.qc.kind = BFT_COMMIT;
    certificate.qc.count = (uint8_t)signers;
    bft_vote_preimage(&certificate.qc.ballot, BFT_COMMIT, preimage);
    for (uint32_t i = 0; i < signers; i++) {
        certificate.qc.signers[i] = (uint8_t)i;
        ed25519_sign(&fixture->nodes[cluster][i].signing, preimage, sizeof preimage, certificate.qc.signatures[i].bytes);
    }
    writer = bytes_writer_of(certificate_bytes, sizeof certificate_bytes);
    bft_certificate_put(&writer, &certificate);
    CHECK(!writer.failed);
    size_t certificate_count = writer.used;
    writer = bytes_writer_of(out, room);
    config_chain_entry_encode(&writer, header_bytes, body, sizeof body, operation, operation_bytes, certificate_bytes, certificate_count);
    CHECK(!writer.failed);
    return writer.used;
}
