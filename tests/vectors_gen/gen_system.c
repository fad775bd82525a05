/*
 * Vectors of spec/system.md: cards (S-10 to S-16), system files (S-20 to S-33), limits (S-40 to S-42), CONFIG (S-50 to S-62), operations
 * (S-70 to S-80) and what a body names them by (D-2), addresses (S-91), the CONFIG chain (S-100 to S-105), owner records (S-110 to S-112),
 * succession (S-141, S-142), what convicts administrators (B-81, kind 7). The error that a case must give is written here by hand; the code under
 * test is then checked to give it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "protocol/addresses.h"
#include "protocol/body.h"
#include "protocol/canonical.h"
#include "protocol/claim.h"
#include "protocol/config_chain.h"
#include "protocol/evidence.h"
#include "tests/protocol/identity_fixture.h"
#include "tests/vectors_gen/gen.h"
#include "tests/vectors_gen/gen_json.h"

enum { SHARD = CONFIG_CLUSTER_SHARD, ROOM = 1 << 17 };

/* ---- cards ---- */

static void card_fields(json_t *object, const struct keyfile *key, const struct keyfile *owner, const struct card *card) {
    uint8_t bytes[CARD_PROVEN_BYTES_MAX];
    gen_set_u64(object, "kind", (uint64_t)card->kind);
    gen_set(object, "name", json_string(card->name));
    gen_set_hex(object, "signing_seed", key->signing_seed, 32);
    gen_set_hex(object, "signing_key", card->signing_key, 32);
    if (card->kind != CARD_ADMIN) {
        gen_set_hex(object, "noise_seed", key->noise_seed, 32);
        gen_set_hex(object, "noise_secret", key->noise_secret, 32);
        gen_set_hex(object, "noise_key", card->noise_key, 32);
        gen_set_hex(object, "noise_proof_key", card->noise_proof_key, 32);
    }
    if (owner) gen_set_hex(object, "owner_seed", owner->signing_seed, 32);
    gen_set_hex(object, "binary", bytes, card_encode(card, bytes));
    gen_set_hex(object, "id", card->id, 32);
    gen_set_hex(object, "proven", bytes, card_encode_proven(card, bytes));
    size_t count = 0;
    json_t *json = card_to_json(card);
    char *text = canonical_print(json, &count);
    CHECK(text);
    gen_set(object, "file", json_string(text));
    free(text);
    json_decref(json);
}

static void card_refused(json_t *list, const char *name, const struct card *card, size_t flip_at, uint8_t flip, const char *error) {
    struct card back;
    uint8_t bytes[CARD_PROVEN_BYTES_MAX];
    size_t count = card_encode_proven(card, bytes);
    CHECK(flip_at < count);
    bytes[flip_at] ^= flip;
    json_t *object = gen_case(list, name);
    gen_set_u64(object, "kind", (uint64_t)card->kind);
    gen_set_hex(object, "proven", bytes, count);
    gen_set_error(object, error, card_decode_proven(&back, card->kind, bytes, count, NULL));
}

static void gen_cards(json_t *out, const struct fixture *fixture) {
    json_t *good = gen_group(out, "cards"), *bad = gen_group(out, "cards_refused");
    const struct card *node = &fixture->assembly->nodes[0], *client = &fixture->client_cards[0], *admin = &fixture->admin_cards[0];
    card_fields(gen_case(good, "node"), &fixture->nodes[0][0], &fixture->owners[0][0], node);
    card_fields(gen_case(good, "client"), &fixture->clients[0], NULL, client);
    card_fields(gen_case(good, "administrator"), &fixture->admins[0], NULL, admin);
    card_refused(bad, "kind of another", node, 0, 3, "field-range");
    card_refused(bad, "format 2", node, 1, 3, "format-unknown");
    card_refused(bad, "zero field", client, 2, 1, "field-range");
    card_refused(bad, "name in capitals", client, 4, 0x20, "field-range");
    card_refused(bad, "bytes after the name", admin, 35, 'x', "field-range");
    card_refused(bad, "another name", admin, 10, 1, "proof-invalid");
    card_refused(bad, "signing proof changed", node, 164 + 5, 1, "proof-invalid");
    card_refused(bad, "noise proof changed", node, 164 + 64 + 5, 1, "proof-invalid");
    card_refused(bad, "owner proof changed", node, 164 + 128 + 5, 1, "proof-invalid");
    struct card card = *admin;
    memset(card.signing_key, 0, 32);
    card_refused(bad, "signing key of small order", &card, 135 - 4, 0, "key-invalid");
    card = *client;
    memcpy(card.noise_key, fixture->client_cards[1].noise_key, 32);
    card_refused(bad, "another's noise key", &card, 0, 0, "proof-invalid");
}

/* ---- limits ---- */

static void gen_rows(json_t *list, const struct system_limit_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        json_t *object = gen_case(list, rows[i].name);
        gen_set_u64(object, "index", i);
        gen_set_u64(object, "default", rows[i].standard);
        gen_set_u64(object, "lowest", rows[i].lowest);
        gen_set_u64(object, "highest", rows[i].highest);
    }
}

/* ---- system files and genesis CONFIGs ---- */

static void gen_config(json_t *list, const char *name, const struct config *config) {
    json_t *object = gen_case(list, name), *leaves = gen_group(object, "leaves");
    uint8_t bytes[CONFIG_BYTES_MAX], hash[32], proof[CONFIG_PROOF_HASHES_MAX][32];
    gen_set_u64(object, "cluster", config->members.cluster);
    gen_set_hex(object, "whole", bytes, config_encode(config, bytes));
    for (int leaf = 0; leaf < CONFIG_LEAVES; leaf++) {
        char path[24];
        (void)snprintf(path, sizeof path, "leaf %d", leaf);
        json_t *row = gen_case(leaves, path);
        gen_set_hex(row, "bytes", bytes, config_leaf_encode(config, (enum config_leaf)leaf, bytes));
        size_t hashes = config_leaf_prove(config, (enum config_leaf)leaf, proof);
        gen_set_hex(row, "proof", proof, hashes * 32);
    }
    config_hash(config, hash);
    gen_set_hex(object, "config_hash", hash, 32);
}

static json_t *gen_file(json_t *list, const char *name, const struct system *system) {
    json_t *object = gen_case(list, name), *configs = gen_group(object, "genesis_configs");
    size_t count = 0;
    char *text = system_encode_json(system, &count);
    uint8_t *binary;
    CHECK(text);
    gen_set(object, "file", json_string(text));
    free(text);
    binary = system_encode_binary(system, &count);
    CHECK(binary);
    gen_set_hex(object, "binary", binary, count);
    free(binary);
    gen_set_hex(object, "file_hash", system->file_hash, 32);
    gen_set_hex(object, "system_id", system->system_id, 16);
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count; i++) {
        struct config config;
        CHECK(system_config(system, system->clusters[i].cluster, &config));
        gen_config(configs, i < system->coordinators_count ? "coordinator" : "shard", &config);
    }
    return object;
}

/* The first occurrence of `from` in the file becomes `to`. */
static void file_refused(json_t *list, const char *name, const char *text, const char *from, const char *to, const char *error) {
    const char *at = strstr(text, from);
    CHECK(at);
    size_t head = (size_t)(at - text), count = strlen(text) - strlen(from) + strlen(to);
    char *changed = malloc(count + 1);
    struct system *system = NULL;
    CHECK(changed);
    (void)snprintf(changed, count + 1, "%.*s%s%s", (int)head, text, to, at + strlen(from));
    json_t *object = gen_case(list, name);
    gen_set(object, "find", json_string(from));
    gen_set(object, "replace", json_string(to));
    gen_set_error(object, error, system_parse(&system, changed, count, NULL));
    system_free(system);
    free(changed);
}

static void gen_files_refused(json_t *out, const struct fixture *fixture) {
    json_t *list = gen_group(out, "system_file_refused"); /* of system_files[0] */
    size_t count = 0;
    char *text = system_encode_json(&fixture->assembly->system, &count);
    CHECK(text);
    const struct {
        const char *name, *from, *to, *error;
    } cases[] = {
        {"no space after the colon", "\"format\": 1", "\"format\":1", "not-canonical"},
        {"no newline at the end", "}\n}\n", "}\n}", "not-canonical"},
        {"an escape", "\"name\": \"test\"", "\"name\": \"t\\u0065st\"", "not-canonical"},
        {"a name twice", "\"name\": \"test\"", "\"name\": \"test\",\n  \"name\": \"test\"", "not-json"},
        {"a fraction", "\"window_blocks\": 4", "\"window_blocks\": 4.0", "field-type"},
        {"below the range", "\"window_blocks\": 4", "\"window_blocks\": 0", "field-range"},
        {"above the range", "\"window_blocks\": 4", "\"window_blocks\": 17", "field-range"},
        {"2^53", "\"window_blocks\": 4", "\"window_blocks\": 9007199254740992", "field-range"},
        {"2^63", "\"window_blocks\": 4", "\"window_blocks\": 9223372036854775808", "field-range"},
        {"a sign", "\"window_blocks\": 4", "\"window_blocks\": -4", "field-type"},
        {"a sign, and below -2^63", "\"window_blocks\": 4", "\"window_blocks\": -9223372036854775809", "field-type"},
        {"an exponent that no float has", "\"window_blocks\": 4", "\"window_blocks\": 4e400", "field-type"},
        {"a character that no string has", "\"name\": \"test\"", "\"name\": \"t\xc3\xa9st\"", "field-type"},
        {"a name of 33 characters", "\"name\": \"test\"", "\"name\": \"testtesttesttesttesttesttesttestt\"", "field-range"},
        {"a limit changed", "\"window_blocks\": 4", "\"window_blocks\": 5", "id-mismatch"},
        {"relation of limits", "\"batch_bytes_max\": 1048576", "\"batch_bytes_max\": 4194304", "limits-conflict"},
        {"a field missing", "  \"succession\": 0,\n", "", "field-missing"},
        {"a field too many", "\"succession\": 0", "\"succession\": 0,\n  \"successions\": 0", "field-unknown"},
        {"format 2", "\"format\": 1,\n  \"limits\"", "\"format\": 2,\n  \"limits\"", "format-unknown"},
        {"protocol version 2", "\"protocol_version\": 1", "\"protocol_version\": 2", "format-unknown"},
        {"half of the administrators", "\"needed\": 2", "\"needed\": 1", "field-range"},
        {"height as a number", "\"origin_height\": \"0\"", "\"origin_height\": 0", "field-type"},
        {"height 2^64", "\"origin_height\": \"0\"", "\"origin_height\": \"18446744073709551616\"", "field-range"},
        {"height with a leading zero", "\"origin_height\": \"0\"", "\"origin_height\": \"00\"", "field-type"},
        {"a node's name changed", "\"name\": \"c0-n1\"", "\"name\": \"c0-n9\"", "proof-invalid"},
        {"succession without predecessor", "\"succession\": 0", "\"succession\": 1", "field-range"},
        {"17 rules", "\"rights\": [", "\"rights\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,", "too-large"},
        {"hex in capitals", "\"partition_key\": \"", "\"partition_key\": \"A", "field-type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) file_refused(list, cases[i].name, text, cases[i].from, cases[i].to, cases[i].error);
    free(text);
}

/* Well-formed files that break a rule about the whole: each is printed with an id of its own. */
static void whole_refused(json_t *list, const char *name, struct fixture *fixture, const char *error) {
    struct system *back = NULL;
    size_t count = 0;
    CHECK(system_identify(&fixture->assembly->system));
    char *text = system_encode_json(&fixture->assembly->system, &count);
    CHECK(text);
    json_t *object = gen_case(list, name);
    gen_set(object, "file", json_string(text));
    gen_set_error(object, error, system_parse(&back, text, count, NULL));
    free(text);
    fixture_free(fixture);
}

static void gen_wholes_refused(json_t *out) {
    json_t *list = gen_group(out, "system_files_refused");
    struct fixture *fixture = fixture_new(100, 1, 1, 4);
    fixture->assembly->nodes[5] = fixture->assembly->nodes[2];
    whole_refused(list, "one node in two clusters", fixture, "key-twice");
    fixture = fixture_new(100, 1, 1, 4);
    memcpy(fixture->nodes[0][1].name, "s0-n3", 6);
    CHECK(keyfile_make_card(&fixture->nodes[0][1], &fixture->owners[0][1], &fixture->assembly->nodes[1], NULL) == SYSTEM_OK);
    whole_refused(list, "one name for two nodes", fixture, "name-twice");
    fixture = fixture_new(100, 1, 1, 4);
    struct card first = fixture->assembly->admins[0];
    fixture->assembly->admins[0] = fixture->assembly->admins[1];
    fixture->assembly->admins[1] = first;
    whole_refused(list, "administrators out of order", fixture, "order");
    fixture = fixture_new(100, 1, 1, 4);
    fixture->assembly->clusters[1].origin_height = 5;
    fixture->assembly->clusters[1].origin_root[0] = 5;
    whole_refused(list, "origin in a first system", fixture, "field-range");
}

/* ---- rights, endpoints ---- */

static void gen_rights(json_t *out) {
    json_t *list = gen_group(out, "rights");
    const struct system_right rights[3] = {
        {.flags = 1}, {.flags = 2, .prefix_bytes = 2, .prefix = "b/"}, {.flags = 3, .prefix_bytes = 3, .prefix = "c\x00\xff"}};
    uint8_t bytes[8 + ADMIN_OP_RIGHTS_BYTES_MAX];
    const struct {
        const char *key;
        size_t count;
        bool read, write;
    } cases[] = {{"x", 1, true, false}, {"b/", 2, true, true}, {"b", 1, true, false}, {"c\x00\xff\x01", 4, true, true}, {"c\x00", 2, true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *object = gen_case(list, "quota 50, burst 500");
        gen_set_hex(object, "rights", bytes, admin_op_rights_encode(50, 500, rights, 3, bytes));
        gen_set_hex(object, "key", cases[i].key, cases[i].count);
        gen_set_u64(object, "read", cases[i].read);
        gen_set_u64(object, "write", cases[i].write);
        CHECK(system_rights_allow(rights, 3, SYSTEM_RIGHT_READ, (const uint8_t *)cases[i].key, cases[i].count) == cases[i].read);
        CHECK(system_rights_allow(rights, 3, SYSTEM_RIGHT_WRITE, (const uint8_t *)cases[i].key, cases[i].count) == cases[i].write);
    }
}

static void gen_endpoints(json_t *out) {
    json_t *list = gen_group(out, "endpoints");
    const struct {
        const char *text;
        bool good;
    } cases[] = {{"127.0.0.1:7000", true}, {"node-1.example:65535", true}, {"[fe80::1]:443", true}, {"", true}, {"a", false}, {"a:0", false},
                 {"a:01", false}, {"a:65536", false}, {"A:1", false}, {"[a]:1", false}, {"::1:80", false}, {"[::1]", false}, {":1", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address_endpoint endpoint;
        json_t *object = gen_case(list, cases[i].text);
        gen_set_u64(object, "valid", cases[i].good);
        CHECK(address_endpoint_parse(&endpoint, cases[i].text) == cases[i].good);
    }
}

/* ---- operations: all against the genesis CONFIG of shard 0 of system_files[0] ---- */

static uint8_t bytes_room[ROOM], other_room[ROOM];
static struct admin_op op, back;

static void op_case(json_t *list, const char *name, const struct config *genesis, const char *error) {
    uint32_t changed = 0;
    size_t count = admin_op_encode(&op, bytes_room);
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "operation", bytes_room, count);
    gen_set_hex(object, "hash", op.hash, 32);
    enum system_error got = admin_op_decode(&back, bytes_room, count, NULL);
    if (!got) got = admin_op_verify(&back, genesis, &changed, NULL);
    gen_set_error(object, error, got);
}

static void enrolment(const struct fixture *fixture, enum admin_op_kind kind, uint64_t serial, const uint8_t predecessor[32]) {
    memset(&op, 0, sizeof op);
    op.kind = kind;
    memcpy(op.system_id, fixture->assembly->system.system_id, 16);
    op.serial = serial;
    memcpy(op.predecessor, predecessor, 32);
    op.client = fixture->client_cards[2];
    memcpy(op.client_id, op.client.id, 32);
    if (kind == ADMIN_OP_REVOKE) return;
    op.quota_per_second = 10;
    op.quota_burst = 20;
    op.rights_count = 1;
    op.rights[0] = (struct system_right){.flags = 3, .prefix_bytes = 4, .prefix = "own/"};
}

static void gen_config_ops(json_t *list, const struct fixture *fixture, const struct config *genesis) {
    fixture_config_op(fixture, genesis, 0, &op);
    fixture_sign(fixture, &op, 2);
    op_case(list, "CONFIG that replaces a member", genesis, "ok");
    op.signatures_count = 1;
    op_case(list, "one signature short", genesis, "signatures-too-few");
    fixture_sign(fixture, &op, 2);
    op.signatures[0].signature[3] ^= 1;
    op_case(list, "a signature changed", genesis, "signature-invalid");
    fixture_config_op(fixture, genesis, 0, &op);
    CHECK(admin_op_sign(&op, &fixture->admins[0].signing) && admin_op_sign(&op, &fixture->clients[0].signing));
    op_case(list, "a signature of a stranger", genesis, "signature-invalid");
    fixture_config_op(fixture, genesis, 0, &op);
    op.nodes_count = 0;
    fixture_sign(fixture, &op, 2);
    op_case(list, "a new member without a card", genesis, "proof-invalid");
    fixture_config_op(fixture, genesis, 0, &op);
    op.config.members.members[0] = op.config.members.members[3];
    op.config.members.members[3] = genesis->members.members[3];
    struct config_member *second = &op.config.members.members[1];
    memcpy(second->node_id, fixture->spare_cards[1].id, 32);
    memcpy(second->signing_key, fixture->spare_cards[1].signing_key, 32);
    memcpy(second->noise_key, fixture->spare_cards[1].noise_key, 32);
    op.nodes[1] = fixture->spare_cards[1];
    op.nodes_count = 2;
    fixture_sign(fixture, &op, 2);
    op_case(list, "two members at once with f = 1", genesis, "change-too-large");
    fixture_config_op(fixture, genesis, -1, &op);
    fixture_sign(fixture, &op, 3);
    op_case(list, "CONFIG that changes a limit", genesis, "ok");
    op.serial = op.config.members.serial = 2;
    op.signatures_count = 0;
    fixture_sign(fixture, &op, 2);
    op_case(list, "serial left out", genesis, "serial");
    fixture_config_op(fixture, genesis, -1, &op);
    op.predecessor[0] ^= 1;
    fixture_sign(fixture, &op, 2);
    op_case(list, "after another CONFIG", genesis, "serial");
    fixture_config_op(fixture, genesis, -1, &op);
    op.kind = ADMIN_OP_SEAL;
    fixture_sign(fixture, &op, 2);
    op_case(list, "SEAL", genesis, "ok");
}

static void gen_operations_admin(json_t *out, const struct fixture *fixture) {
    json_t *list = gen_group(out, "operations");
    struct config genesis;
    uint8_t enrol_hash[32];
    CHECK(system_config(&fixture->assembly->system, SHARD, &genesis));
    gen_config_ops(list, fixture, &genesis);
    enrolment(fixture, ADMIN_OP_ENROL, 1, fixture->assembly->system.file_hash);
    fixture_sign(fixture, &op, 2);
    op_case(list, "ENROL", &genesis, "ok");
    CHECK(admin_op_follows(&op, 0, fixture->assembly->system.file_hash, NULL) == SYSTEM_OK);
    memcpy(enrol_hash, op.hash, 32);
    enrolment(fixture, ADMIN_OP_CHANGE, 2, enrol_hash);
    fixture_sign(fixture, &op, 2);
    op_case(list, "CHANGE", &genesis, "ok");
    CHECK(admin_op_follows(&op, 1, enrol_hash, NULL) == SYSTEM_OK);
    memcpy(enrol_hash, op.hash, 32);
    enrolment(fixture, ADMIN_OP_REVOKE, 3, enrol_hash);
    fixture_sign(fixture, &op, 2);
    op_case(list, "REVOKE", &genesis, "ok");
    op.system_id[0] ^= 1;
    op.signatures_count = 0;
    fixture_sign(fixture, &op, 2);
    op_case(list, "of another system", &genesis, "foreign");
}

/* One text under several sets of signatures: one operation, and as many inputs, each of which a body names by its own hash (D-2, S-71). */
static void gen_inputs(json_t *out, const struct fixture *fixture) {
    json_t *list = gen_group(out, "operation_inputs");
    struct config genesis;
    const struct {
        const char *name;
        uint8_t signers; /* by bit */
        bool spoilt;
        const char *error;
    } cases[] = {{"signed by the first and the second", 3, false, "ok"}, {"signed by the first and the third", 5, false, "ok"},
                 {"signed by all three", 7, false, "ok"}, {"signed by the first two, and one signature is spoilt", 3, true, "signature-invalid"},
                 {"signed by nobody", 0, false, "signatures-too-few"}};
    CHECK(system_config(&fixture->assembly->system, SHARD, &genesis));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_config_op(fixture, &genesis, -1, &op);
        (void)admin_op_encode(&op, bytes_room); /* sets the hash that is signed */
        for (uint32_t k = 0; k < FIXTURE_ADMINS; k++) {
            if (cases[i].signers >> k & 1) CHECK(admin_op_sign(&op, &fixture->admins[k].signing));
        }
        if (cases[i].spoilt) op.signatures[1].signature[63] ^= 1;
        size_t count = admin_op_encode(&op, bytes_room);
        json_t *object = gen_case(list, cases[i].name);
        gen_set_hex(object, "operation", bytes_room, count);
        gen_set_hex(object, "hash", op.hash, 32);
        gen_set_hex(object, "input_hash", op.input_hash, 32);
        struct body_reference reference = {.kind = BODY_ADMIN, .relay = 2};
        uint8_t body[BODY_HEAD_BYTES + BODY_REFERENCE_BYTES];
        memcpy(reference.hash, op.input_hash, 32);
        bytes_put_le32(body, 1);
        body_reference_encode(&reference, body + BODY_HEAD_BYTES);
        gen_set_hex(object, "body", body, sizeof body);
        gen_set_hex(object, "body_hash", bft_body_hash(body, sizeof body).bytes, 32);
        CHECK(admin_op_decode(&back, bytes_room, count, NULL) == SYSTEM_OK);
        gen_set_error(object, cases[i].error, admin_op_verify(&back, &genesis, NULL, NULL));
    }
}

/* ---- CONFIG chain, of the same shard ---- */

static void gen_chain(json_t *out, const struct fixture *fixture) {
    static struct config_chain chain;
    json_t *list = gen_group(out, "config_chains");
    struct signer verifier = signer_ed25519(NULL);
    struct bft_members members;
    const struct system *system = &fixture->assembly->system;
    CHECK(config_chain_genesis(&chain, system, SHARD));
    struct bytes_writer writer = bytes_writer_of(bytes_room, ROOM);
    config_chain_head_encode(&writer, SHARD, 2, 1);
    for (int i = 0; i < 2; i++) {
        fixture_config_op(fixture, &chain.config, i == 0 ? 0 : -1, &op);
        fixture_sign(fixture, &op, 2);
        size_t count = fixture_chain_entry(fixture, 1, &chain.members, &op, 10 + 5 * (uint64_t)i, 3, other_room, ROOM);
        bytes_put_u32(&writer, (uint32_t)count);
        bytes_put_raw(&writer, other_room, count);
        CHECK(config_chain_step(&chain, other_room, count, &verifier, NULL) == SYSTEM_OK);
    }
    CHECK(!writer.failed);
    for (uint64_t epoch = 0; epoch <= 3; epoch++) {
        json_t *object = gen_case(list, "members of an epoch");
        if (epoch == 0) gen_set_hex(object, "payload", bytes_room, writer.used); /* the same for all */
        gen_set_u64(object, "epoch", epoch);
        gen_set_error(object, epoch < 3 ? "ok" : "serial",
                  config_chain_members(&chain, system, SHARD, bytes_room, writer.used, epoch, &verifier, &members, NULL));
        if (epoch == 3) break;
        gen_set_hex(object, "config_hash", members.place.config_hash.bytes, 32);
        gen_set_u64(object, "start_height", members.start.height);
        gen_set(object, "height_last", canonical_decimal(members.height_last));
        gen_set_hex(object, "keys", members.keys, (size_t)members.n * 32);
    }
    CHECK(config_chain_genesis(&chain, system, SHARD));
    fixture_config_op(fixture, &chain.config, 0, &op);
    fixture_sign(fixture, &op, 2);
    size_t count = fixture_chain_entry(fixture, 1, &chain.members, &op, 10, 2, other_room, ROOM);
    json_t *object = gen_case(list, "one entry, quorum short by one");
    gen_set_hex(object, "entry", other_room, count);
    gen_set_error(object, "certificate", config_chain_step(&chain, other_room, count, &verifier, NULL));
    count = fixture_chain_entry(fixture, 0, &chain.members, &op, 10, 3, other_room, ROOM);
    object = gen_case(list, "one entry, signed by another cluster's nodes");
    gen_set_hex(object, "entry", other_room, count);
    gen_set_error(object, "certificate", config_chain_step(&chain, other_room, count, &verifier, NULL));
    count = fixture_chain_entry(fixture, 1, &chain.members, &op, 10, 3, other_room, ROOM);
    other_room[BFT_HEADER_BYTES + 4 + bytes_get_le32(other_room + BFT_HEADER_BYTES) + 4 + 1] = 2;
    object = gen_case(list, "one entry, its operation has format 2");
    gen_set_hex(object, "entry", other_room, count);
    gen_set_error(object, "format-unknown", config_chain_step(&chain, other_room, count, &verifier, NULL));
    for (int i = 0; i < 2; i++) {
        fixture_config_op(fixture, &chain.config, -1, &op);
        if (i == 0) op.config.limits.credit_ops++;
        else op.config.limits.number_window -= 16;
        fixture_sign(fixture, &op, 2);
        count = fixture_chain_entry(fixture, 1, &chain.members, &op, 10, 3, other_room, ROOM);
        object = gen_case(list, i == 0 ? "one entry, credit_ops above the system file's" : "one entry, number_window lowered");
        gen_set_hex(object, "entry", other_room, count);
        gen_set_error(object, "limits-conflict", config_chain_step(&chain, other_room, count, &verifier, NULL));
    }
}

/* ---- owner records, successor: of node 0 of the coordinator of system_files[0] ---- */

static void gen_records(json_t *out, const struct fixture *fixture) {
    json_t *list = gen_group(out, "owner_records");
    const struct card *node = &fixture->assembly->nodes[0];
    const struct ed25519_secret *owner = &fixture->owners[0][0].signing;
    struct claim claim;
    memset(&claim, 0, sizeof claim);
    memcpy(claim.node_id, node->id, 32);
    claim.number = 7;
    for (int i = 0; i < CLAIM_FIELDS; i += 2) {
        (void)snprintf(claim.texts[i], sizeof claim.texts[i], "%s", claim_field_name((enum claim_field)i));
    }
    claim_sign(&claim, owner);
    json_t *object = gen_case(list, "claim");
    gen_set_hex(object, "record", bytes_room, claim_encode(&claim, bytes_room));
    gen_set_error(object, "ok", claim_verify(&claim, node, NULL));
    claim.number = 8;
    object = gen_case(list, "claim with another number");
    gen_set_hex(object, "record", bytes_room, claim_encode(&claim, bytes_room));
    gen_set_error(object, "signature-invalid", claim_verify(&claim, node, NULL));

    static struct claim_node_config config;
    memcpy(config.system_id, fixture->assembly->system.system_id, 16);
    memcpy(config.node_id, node->id, 32);
    config.number = 1;
    config.settings_count = 2;
    (void)snprintf(config.settings[0].name, sizeof config.settings[0].name, "listen");
    (void)snprintf(config.settings[0].value, sizeof config.settings[0].value, "0.0.0.0:7000");
    (void)snprintf(config.settings[1].name, sizeof config.settings[1].name, "threads");
    claim_node_config_sign(&config, owner);
    object = gen_case(list, "node configuration");
    gen_set_hex(object, "record", bytes_room, claim_node_config_encode(&config, bytes_room));
    gen_set_error(object, "ok", claim_node_config_verify(&config, config.system_id, node, NULL));

    struct claim_addresses addresses;
    memset(&addresses, 0, sizeof addresses);
    memcpy(addresses.system_id, config.system_id, 16);
    memcpy(addresses.node_id, node->id, 32);
    addresses.number = 2;
    (void)snprintf(addresses.link_host, sizeof addresses.link_host, "node.example");
    addresses.link_port = 7000;
    claim_addresses_sign(&addresses, owner);
    object = gen_case(list, "addresses record");
    gen_set_hex(object, "record", bytes_room, claim_addresses_encode(&addresses, bytes_room));
    gen_set_error(object, "ok", claim_addresses_verify(&addresses, addresses.system_id, node, NULL));
}

struct successor_case {
    const char *name;
    uint16_t succession;
    bool other_partition, other_predecessor; /* of the file */
    bool about_another; /* the statement names another file */
    uint32_t signatures;
    const char *error;
};

static void successor_case(json_t *list, const struct fixture *fixture, const struct successor_case *as) {
    struct fixture *next = fixture_new(105, 1, 1, 4);
    struct system *system = &next->assembly->system;
    struct config old;
    struct claim_successor statement;
    CHECK(system_config(&fixture->assembly->system, SHARD, &old));
    system->succession = as->succession;
    memcpy(system->predecessor_id, old.system_id, 16);
    memcpy(system->partition_key, old.partition_key, 16);
    system->predecessor_id[0] ^= as->other_predecessor;
    system->partition_key[0] ^= as->other_partition;
    next->assembly->shards[0].origin_height = 4242;
    memset(next->assembly->shards[0].origin_root, 0x5A, 32);
    CHECK(assembly_finish(next->assembly, NULL) == SYSTEM_OK);
    json_t *object = gen_file(list, as->name, system);
    memset(&statement, 0, sizeof statement);
    memcpy(statement.predecessor_id, old.system_id, 16);
    memcpy(statement.successor_hash, system->file_hash, 32);
    statement.successor_hash[0] ^= as->about_another;
    memcpy(statement.successor_id, statement.successor_hash, 16);
    for (uint32_t i = 0; i < as->signatures; i++) CHECK(claim_successor_sign(&statement, &fixture->admins[2 * i].signing));
    gen_set_hex(object, "statement", bytes_room, claim_successor_encode(&statement, bytes_room));
    gen_set_error(object, as->error, claim_successor_verify(&statement, &old, system, NULL));
    fixture_free(next);
}

/* S-142: one fault, or several, of which the first in its order gives the word. */
static void gen_successor(json_t *out, const struct fixture *fixture) {
    json_t *list = gen_group(out, "successors");
    const struct successor_case cases[] = {
        {"a successor of system_files[0]", 1, false, false, false, 2, "ok"},
        {"one signature short", 1, false, false, false, 1, "signatures-too-few"},
        {"the statement names another file, and has one signature", 1, false, false, true, 1, "foreign"},
        {"a file with succession 2, and a statement about another", 2, false, false, true, 2, "serial"},
        {"a file with another partition key, and a statement about another", 1, true, false, true, 2, "serial"},
        {"a file of another predecessor, with succession 2", 2, false, true, false, 2, "foreign"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) successor_case(list, fixture, &cases[i]);
}

/* ---- two successors (B-81 to B-83, kind 7) ---- */

struct pair_of_statements {
    struct claim_successor first, second;
    uint8_t chain[CONFIG_CHAIN_HEAD_BYTES];
    uint32_t chain_bytes;
};

static struct claim_successor statement_of(const struct fixture *fixture, uint8_t hash, uint32_t from, uint32_t to) {
    struct claim_successor statement;
    memset(&statement, 0, sizeof statement);
    memcpy(statement.predecessor_id, fixture->assembly->system.system_id, 16);
    memset(statement.successor_id, hash, 16);
    memset(statement.successor_hash, hash, 32);
    for (uint32_t i = from; i <= to; i++) CHECK(claim_successor_sign(&statement, &fixture->admins[i].signing));
    return statement;
}

static struct pair_of_statements pair_of(const struct fixture *fixture) {
    return (struct pair_of_statements){.first = statement_of(fixture, 0x11, 0, 1), .second = statement_of(fixture, 0x22, 1, 2)};
}

static size_t pair_put(const struct pair_of_statements *pair, uint8_t *out) {
    static const uint8_t head[4] = {EVIDENCE_TWO_SUCCESSORS, EVIDENCE_NOBODY};
    uint8_t statement[CLAIM_SUCCESSOR_BYTES_MAX];
    struct bytes_writer writer = bytes_writer_of(out, ROOM);
    bytes_put_raw(&writer, "HRCEVID1", 8);
    bytes_put_u32(&writer, pair->chain_bytes);
    bytes_put_raw(&writer, pair->chain, pair->chain_bytes);
    bytes_put_raw(&writer, head, sizeof head);
    for (unsigned i = 0; i < 2; i++) {
        size_t count = claim_successor_encode(i == 0 ? &pair->first : &pair->second, statement);
        bytes_put_u32(&writer, (uint32_t)count);
        bytes_put_raw(&writer, statement, count);
    }
    CHECK(!writer.failed);
    return writer.used;
}

static void evidence_case(json_t *list, const char *name, const struct fixture *fixture, size_t count, const char *expected) {
    struct evidence *evidence = malloc(sizeof *evidence);
    struct config_chain *chain = malloc(sizeof *chain);
    struct signer verifier = signer_ed25519(NULL);
    uint32_t both = 0;
    CHECK(evidence && chain);
    enum evidence_error error = evidence_decode(bytes_room, count, evidence);
    if (error == EVIDENCE_OK) {
        bool known = config_chain_genesis(chain, &fixture->assembly->system, evidence->place.cluster) &&
                     config_chain_extend(chain, evidence->chain, evidence->chain_bytes, &verifier, NULL) == SYSTEM_OK;
        error = known ? evidence_verify_successors(evidence, &chain->config, &both) : EVIDENCE_BAD_SIGNER;
    }
    if (strcmp(evidence_error_name(error), expected) != 0) {
        (void)fprintf(stderr, "gen_system: evidence: %s: expected %s, got %s\n", name, expected, evidence_error_name(error));
        CHECK(false);
    }
    json_t *object = gen_case(list, name), *keys = json_array();
    gen_set_hex(object, "bytes", bytes_room, count);
    gen_set(object, "error", json_string(expected));
    for (uint32_t i = 0; error == EVIDENCE_OK && i < chain->config.admins_count; i++) {
        char hex[65];
        canonical_hex_print(chain->config.admins[i].key, 32, hex);
        if (both >> i & 1) CHECK(json_array_append_new(keys, json_string(hex)) == 0);
    }
    if (error == EVIDENCE_OK) gen_set(object, "administrators", keys);
    else json_decref(keys);
    free(evidence);
    free(chain);
}

static void gen_evidence_chains(json_t *list, const struct fixture *fixture) {
    struct pair_of_statements pair = pair_of(fixture);
    pair.chain_bytes = CONFIG_CHAIN_HEAD_BYTES;
    struct bytes_writer writer = bytes_writer_of(pair.chain, sizeof pair.chain);
    config_chain_head_encode(&writer, CONFIG_CLUSTER_COORDINATOR, 0, 1);
    evidence_case(list, "a chain without entries, of the coordinator", fixture, pair_put(&pair, bytes_room), "ok");
    pair.chain[0] = 7;
    evidence_case(list, "a chain of a cluster that the system lacks", fixture, pair_put(&pair, bytes_room), "bad_signer");
    pair.chain[0] = 0;
    pair.chain_bytes--;
    evidence_case(list, "a chain that ends early", fixture, pair_put(&pair, bytes_room), "bad_signer");
    pair.second = pair.first;
    evidence_case(list, "that, and no conflict", fixture, pair_put(&pair, bytes_room), "no_conflict");
}

static void gen_evidence_forms(json_t *list, const struct fixture *fixture) {
    enum { FIRST_AT = 8 + 4 + 4 }; /* magic, no chain, head: the length of the first statement */
    const struct pair_of_statements pair = pair_of(fixture);
    struct pair_of_statements other = {.first = pair.second, .second = pair.first};
    size_t count = pair_put(&other, bytes_room), second_at;
    evidence_case(list, "the higher hash first", fixture, count, "no_conflict");
    other = (struct pair_of_statements){.first = pair.first, .second = pair.first};
    evidence_case(list, "one successor twice", fixture, pair_put(&other, bytes_room), "no_conflict");
    other.second = pair.second;
    other.second.predecessor_id[0] ^= 1;
    evidence_case(list, "two predecessors", fixture, pair_put(&other, bytes_room), "no_conflict");
    count = pair_put(&pair, bytes_room);
    evidence_case(list, "a byte less", fixture, count - 1, "truncated");
    bytes_room[count] = 0;
    evidence_case(list, "a byte behind", fixture, count + 1, "truncated");
    second_at = FIRST_AT + 4 + bytes_get_le32(bytes_room + FIRST_AT);
    bytes_room[second_at + 4 + 24] ^= 1;
    evidence_case(list, "the second's successor_id is not of its hash, and a byte behind", fixture, count + 1, "bad_field");
    (void)pair_put(&pair, bytes_room);
    bytes_room[FIRST_AT + 4] = 2;
    evidence_case(list, "the first's format, and a byte less", fixture, count - 1, "bad_field");
    (void)pair_put(&pair, bytes_room);
    bytes_room[FIRST_AT + 4 + 4] = 1;
    evidence_case(list, "the first is longer than its count", fixture, count, "bad_field");
    (void)pair_put(&pair, bytes_room);
    bytes_room[FIRST_AT - 3] = 0;
    evidence_case(list, "a signer", fixture, count, "bad_field");
}

static void gen_evidence(json_t *out, const struct fixture *fixture) {
    json_t *list = gen_group(out, "evidence");
    struct pair_of_statements pair = pair_of(fixture);
    evidence_case(list, "two signed each, one of them both", fixture, pair_put(&pair, bytes_room), "ok");
    pair.second = statement_of(fixture, 0x22, 0, 2);
    evidence_case(list, "two signed one, all the other", fixture, pair_put(&pair, bytes_room), "ok");
    pair.second = statement_of(fixture, 0x22, 2, 2);
    evidence_case(list, "fewer than k signed the second", fixture, pair_put(&pair, bytes_room), "bad_signer");
    pair.first = statement_of(fixture, 0x11, 0, 0);
    CHECK(claim_successor_sign(&pair.second, &fixture->clients[0].signing));
    evidence_case(list, "fewer than k the first, a stranger the second", fixture, pair_put(&pair, bytes_room), "bad_signer");
    pair.first = statement_of(fixture, 0x11, 0, 1);
    evidence_case(list, "a stranger the second", fixture, pair_put(&pair, bytes_room), "bad_signature");
    pair = pair_of(fixture);
    pair.first.signatures[0].signature[0] ^= 1;
    evidence_case(list, "a signature that does not verify", fixture, pair_put(&pair, bytes_room), "bad_signature");
    pair.first.signatures_count = 1;
    evidence_case(list, "one, and it does not verify", fixture, pair_put(&pair, bytes_room), "bad_signature");
    pair = pair_of(fixture);
    pair.first.predecessor_id[0] = pair.second.predecessor_id[0] ^= 1;
    evidence_case(list, "of another system", fixture, pair_put(&pair, bytes_room), "bad_signer");
    gen_evidence_chains(list, fixture);
    gen_evidence_forms(list, fixture);
}

void gen_system(json_t *out) {
    struct fixture *fixture = fixture_new(100, 1, 1, 4);
    gen_cards(out, fixture);
    gen_rows(gen_group(out, "limits"), system_limit_rows, SYSTEM_LIMITS_COUNT);
    gen_rows(gen_group(out, "timeouts"), system_timeout_rows, SYSTEM_TIMEOUTS_COUNT);
    json_t *files = gen_group(out, "system_files");
    (void)gen_file(files, "n = 4", &fixture->assembly->system);
    for (uint32_t n = 5; n <= 7; n++) {
        char name[16];
        struct fixture *larger = fixture_new(100 + n, 1, 1, n);
        (void)snprintf(name, sizeof name, "n = %u", n);
        (void)gen_file(files, name, &larger->assembly->system);
        fixture_free(larger);
    }
    gen_files_refused(out, fixture);
    gen_wholes_refused(out);
    gen_rights(out);
    gen_endpoints(out);
    gen_operations_admin(out, fixture);
    gen_inputs(out, fixture);
    gen_chain(out, fixture);
    gen_records(out, fixture);
    gen_successor(out, fixture);
    gen_evidence(out, fixture);
    fixture_free(fixture);
}
