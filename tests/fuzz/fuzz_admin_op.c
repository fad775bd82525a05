/*
 * Administrative operations, CONFIGs and CONFIG chains on hostile bytes, against the genesis of a fixed system.
 *
 *   byte 0   what: 0 an operation, 1 a CONFIG, 2 a members leaf, 3 a CONFIG_CHAIN payload, 4 one entry of it, 5 a CONFIG_QUERY, 6 quota and rights
 *   rest     the bytes
 *
 * Whatever is accepted must encode to the very bytes that were read; nobody here has an administrator's key, so nothing may verify.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "protocol/config_chain.h"
#include "tests/protocol/identity_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fixture *fixture;
static struct config genesis;
static struct config_chain chain;
static uint8_t out[ADMIN_OP_BYTES_MAX];

static void operation_try(const uint8_t *bytes, size_t count) {
    static struct admin_op op;
    uint8_t hash[32];
    bool hashed = admin_op_input_hash(bytes, count, hash);
    if (admin_op_decode(&op, bytes, count, NULL)) return;
    CHECK(hashed && memcmp(hash, op.input_hash, 32) == 0);
    CHECK(admin_op_encode(&op, out) == count && memcmp(out, bytes, count) == 0);
    (void)!admin_op_verify(&op, &genesis, NULL, NULL);
    (void)!admin_op_follows(&op, 0, fixture->assembly->system.file_hash, NULL);
}

static void config_try(const uint8_t *bytes, size_t count) {
    struct config config;
    uint32_t changed;
    if (config_decode(&config, bytes, count, NULL)) return;
    CHECK(config_encode(&config, out) == count && memcmp(out, bytes, count) == 0);
    (void)!config_succeeds(&genesis, &config, &changed, NULL);
}

static void chain_try(bool whole, const uint8_t *bytes, size_t count) {
    struct signer verifier = signer_ed25519(NULL);
    CHECK(config_chain_genesis(&chain, &fixture->assembly->system, CONFIG_CLUSTER_SHARD));
    enum system_error error = whole ? config_chain_extend(&chain, bytes, count, &verifier, NULL)
                                    : config_chain_step(&chain, bytes, count, &verifier, NULL);
    (void)error;
    CHECK(chain.members.place.epoch == 0 && !chain.sealed);
}

static void rights_try(const uint8_t *bytes, size_t count) {
    struct system_right rights[SYSTEM_RIGHTS_MAX];
    uint32_t per_second, burst, rights_count;
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    if (admin_op_rights_decode(&cursor, &per_second, &burst, rights, &rights_count)) {
        CHECK(cursor.failed);
        return;
    }
    size_t used = count - cursor.left;
    CHECK(admin_op_rights_encode(per_second, burst, rights, rights_count, out) == used && memcmp(out, bytes, used) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct config_members members;
    uint32_t cluster;
    uint64_t serial;
    if (!fixture) {
        fixture = fixture_new(71, 1, 1, 4);
        CHECK(system_config(&fixture->assembly->system, CONFIG_CLUSTER_SHARD, &genesis));
    }
    if (size < 1) return 0;
    switch (data[0] % 7) {
    case 0: operation_try(data + 1, size - 1); break;
    case 1: config_try(data + 1, size - 1); break;
    case 2: (void)!config_members_decode(&members, data + 1, size - 1, NULL); break;
    case 3: chain_try(true, data + 1, size - 1); break;
    case 4: chain_try(false, data + 1, size - 1); break;
    case 5: (void)!config_query_decode(data + 1, size - 1, &cluster, &serial); break;
    default: rights_try(data + 1, size - 1); break;
    }
    return 0;
}
