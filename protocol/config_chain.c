/* The chain of CONFIGs, step by certified step (S-100 to S-105). */
#include "protocol/config_chain.h"

#include <string.h>

#include "bft/wire.h"
#include "merkle/check.h"
#include "protocol/body.h"

void config_chain_members_of(const struct config *config, const struct bft_point *start, struct bft_members *members) {
    struct bft_place place;
    uint8_t keys[CONFIG_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES];
    memset(&place, 0, sizeof place);
    memcpy(place.system_id, config->system_id, sizeof place.system_id);
    config_hash(config, place.config_hash.bytes);
    place.cluster = config->members.cluster;
    place.epoch = config->members.serial;
    CHECK(config->members.count <= CONFIG_MEMBERS_MAX);
    for (uint32_t i = 0; i < config->members.count; i++) memcpy(keys[i], config->members.members[i].signing_key, sizeof keys[i]);
    CHECK(bft_members_init(members, &place, start, config->members.count, (const uint8_t(*)[SIGNER_PUBLIC_KEY_BYTES])keys));
}

bool config_chain_genesis(struct config_chain *chain, const struct system *system, uint32_t cluster) {
    memset(chain, 0, sizeof *chain);
    if (!system_config(system, cluster, &chain->config)) return false;
    chain->file = system->limits;
    const struct bft_point start = {.height = system_genesis_height(system)};
    config_chain_members_of(&chain->config, &start, &chain->members);
    return true;
}

/* The parts of an entry; all point into it. */
struct parts {
    const uint8_t *header_bytes;
    struct bft_header header;
    const uint8_t *body;
    uint32_t body_bytes;
    const uint8_t *operation;
    uint32_t operation_bytes;
    struct bft_certificate certificate;
};

static enum system_error parts_read(struct parts *parts, const uint8_t *entry, size_t entry_bytes, struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(entry, entry_bytes);
    enum bft_wire_error wire_error = BFT_WIRE_OK;
    struct bytes_cursor header_cursor = cursor;
    parts->header_bytes = bytes_get_raw(&cursor, BFT_HEADER_BYTES);
    if (!parts->header_bytes || !bft_header_get(&header_cursor, &parts->header)) {
        return system_fault_set(fault, SYSTEM_TRUNCATED, "CONFIG chain: no header");
    }
    parts->body_bytes = bytes_get_u32(&cursor);
    bytes_require(&cursor, parts->body_bytes <= BFT_BODY_BYTES_MAX);
    parts->body = bytes_get_raw(&cursor, parts->body_bytes);
    parts->operation_bytes = bytes_get_u32(&cursor);
    bytes_require(&cursor, parts->operation_bytes <= ADMIN_OP_BYTES_MAX);
    parts->operation = bytes_get_raw(&cursor, parts->operation_bytes);
    uint32_t certificate_bytes = bytes_get_u32(&cursor);
    const uint8_t *certificate = bytes_get_raw(&cursor, certificate_bytes);
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "CONFIG chain: an entry's lengths do not fit it");
    struct bytes_cursor certificate_cursor = bytes_cursor_of(certificate, certificate_bytes);
    if (!bft_certificate_get(&certificate_cursor, &parts->certificate, &wire_error) || !bytes_finished(&certificate_cursor)) {
        return system_fault_set(fault, SYSTEM_CERTIFICATE, "CONFIG chain: no certificate: %s", bft_wire_error_name(wire_error));
    }
    return SYSTEM_OK;
}

/* The block is of this epoch and proved, and its body ends with the operation. */
static enum system_error block_verify(const struct config_chain *chain, const struct parts *parts, const struct signer *signer, struct bft_hash *id,
                                      struct system_fault *fault) {
    if (!bft_place_equal(&parts->header.place, &chain->members.place)) {
        return system_fault_set(fault, SYSTEM_CERTIFICATE, "CONFIG chain: a block of another system, cluster or epoch");
    }
    struct bft_hash body_hash = bft_body_hash(parts->body, parts->body_bytes);
    if (!bft_hash_equal(&body_hash, &parts->header.body_hash)) {
        return system_fault_set(fault, SYSTEM_CERTIFICATE, "CONFIG chain: the body is not the header's");
    }
    long references = body_reference_count(parts->body, parts->body_bytes, chain->config.limits.block_refs_max);
    struct body_reference last;
    if (references < 1 || !body_reference_decode(parts->body + parts->body_bytes - BODY_REFERENCE_BYTES, &last) || last.kind != BODY_ADMIN ||
        memcmp(last.hash, chain->operation.input_hash, 32) != 0) {
        return system_fault_set(fault, SYSTEM_CERTIFICATE, "CONFIG chain: the body does not end with the operation");
    }
    *id = bft_header_id(&parts->header);
    enum bft_verify_error error = bft_certificate_verify(&chain->members, signer, &parts->certificate, id, NULL);
    if (!error) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_CERTIFICATE, "CONFIG chain: the certificate does not verify: %s", bft_verify_error_name(error));
}

enum system_error config_chain_step(struct config_chain *chain, const uint8_t *entry, size_t entry_bytes, const struct signer *signer,
                                    struct system_fault *fault) {
    struct parts parts;
    struct bft_point at;
    if (chain->sealed) return system_fault_set(fault, SYSTEM_SERIAL, "CONFIG chain: nothing follows a SEAL");
    enum system_error error = parts_read(&parts, entry, entry_bytes, fault);
    /* chain->operation is scratch until the end: it says nothing about what the chain proves. */
    if (!error) error = admin_op_decode(&chain->operation, parts.operation, parts.operation_bytes, fault);
    if (error) return error;
    if (chain->operation.kind != ADMIN_OP_CONFIG && chain->operation.kind != ADMIN_OP_SEAL) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "CONFIG chain: an operation that is no CONFIG");
    }
    error = admin_op_verify(&chain->operation, &chain->config, NULL, fault);
    /* A block may hold what D-32 refuses: it had no effect there, and is no step. */
    if (!error && chain->operation.kind == ADMIN_OP_CONFIG)
        error = system_limits_follow(&chain->file, &chain->config.limits, &chain->operation.config.limits, fault);
    if (!error) error = block_verify(chain, &parts, signer, &at.id, fault);
    if (error) return error;
    at.height = parts.header.height;
    chain->members.height_last = at.height;
    if (chain->operation.kind == ADMIN_OP_SEAL) {
        chain->sealed = true;
        return SYSTEM_OK;
    }
    chain->before = chain->members;
    memcpy(&chain->config, &chain->operation.config, sizeof chain->config);
    config_chain_members_of(&chain->config, &at, &chain->members);
    return SYSTEM_OK;
}

enum system_error config_chain_read(struct config_chain_reader *reader, uint32_t cluster, const uint8_t *bytes, size_t count,
                                    struct system_fault *fault) {
    reader->cursor = bytes_cursor_of(bytes, count);
    uint32_t of = bytes_get_u32(&reader->cursor);
    reader->left = reader->count = bytes_get_u32(&reader->cursor);
    uint64_t first = bytes_get_u64(&reader->cursor);
    reader->serial = first - 1; /* of the entry given last */
    if (reader->cursor.failed || reader->count > CONFIG_CHAIN_ENTRIES_MAX || first == 0 || first > UINT64_MAX - reader->count)
        return system_fault_set(fault, SYSTEM_TRUNCATED, "CONFIG chain: its head is wrong");
    if (of != cluster) return system_fault_set(fault, SYSTEM_FOREIGN, "CONFIG chain: of cluster 0x%08x", of);
    return SYSTEM_OK;
}

bool config_chain_next(struct config_chain_reader *reader, const uint8_t **entry, size_t *entry_bytes) {
    if (reader->left == 0 || reader->cursor.failed) return false;
    uint32_t bytes = bytes_get_u32(&reader->cursor);
    *entry = bytes_get_raw(&reader->cursor, bytes);
    if (*entry == NULL) return false;
    *entry_bytes = bytes;
    reader->left--;
    reader->serial++;
    return true;
}

enum system_error config_chain_read_end(struct config_chain_reader *reader, struct system_fault *fault) {
    if (reader->left > 0)
        return system_fault_set(fault, SYSTEM_TRUNCATED, "CONFIG chain: entry %u does not end within it", reader->count - reader->left);
    if (!bytes_finished(&reader->cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "CONFIG chain: bytes after its last entry");
    return SYSTEM_OK;
}

/* S-104: what comes after the epoch that is asked for, and the end of it, must decode and is not judged. */
static enum system_error entry_decode(struct config_chain *chain, const uint8_t *entry, size_t entry_bytes, struct system_fault *fault) {
    struct parts parts;
    enum system_error error = parts_read(&parts, entry, entry_bytes, fault);
    return error ? error : admin_op_decode(&chain->operation, parts.operation, parts.operation_bytes, fault);
}

/* Walks a payload; with `epoch` given, notes that epoch's members. */
static enum system_error chain_walk(struct config_chain *chain, const uint8_t *bytes, size_t count, const struct signer *signer,
                                    const uint64_t *epoch, struct bft_members *found, struct system_fault *fault) {
    if (count == 0) return SYSTEM_OK;
    struct config_chain_reader reader;
    enum system_error error = config_chain_read(&reader, chain->config.members.cluster, bytes, count, fault);
    const uint8_t *entry;
    size_t entry_bytes;
    while (!error && config_chain_next(&reader, &entry, &entry_bytes)) {
        uint64_t have = chain->config.members.serial + chain->sealed;
        if (reader.serial <= have) continue;
        if (epoch && (found->n > 0 || (chain->sealed && chain->members.place.epoch == *epoch))) {
            error = entry_decode(chain, entry, entry_bytes, fault);
            continue;
        }
        if (reader.serial > have + 1)
            return system_fault_set(fault, SYSTEM_SERIAL, "CONFIG chain: leaves out serial %llu", (unsigned long long)have + 1);
        error = config_chain_step(chain, entry, entry_bytes, signer, fault);
        if (!error && epoch && chain->before.n > 0 && chain->before.place.epoch == *epoch) *found = chain->before;
    }
    return error ? error : config_chain_read_end(&reader, fault);
}

enum system_error config_chain_extend(struct config_chain *chain, const uint8_t *bytes, size_t count, const struct signer *signer,
                                      struct system_fault *fault) {
    return chain_walk(chain, bytes, count, signer, NULL, NULL, fault);
}

enum system_error config_chain_members(struct config_chain *chain, const struct system *system, uint32_t cluster, const uint8_t *bytes, size_t count,
                                       uint64_t epoch, const struct signer *signer, struct bft_members *members, struct system_fault *fault) {
    struct bft_members found;
    memset(&found, 0, sizeof found);
    if (!config_chain_genesis(chain, system, cluster)) return system_fault_set(fault, SYSTEM_FOREIGN, "there is no cluster 0x%08x", cluster);
    enum system_error error = chain_walk(chain, bytes, count, signer, &epoch, &found, fault);
    if (error) return error;
    if (found.n == 0 && chain->members.place.epoch == epoch) found = chain->members;
    if (found.n == 0) {
        return system_fault_set(fault, SYSTEM_SERIAL, "the CONFIG chain does not lead to epoch %llu", (unsigned long long)epoch);
    }
    *members = found;
    return SYSTEM_OK;
}

void config_chain_entry_encode(struct bytes_writer *writer, const uint8_t header[BFT_HEADER_BYTES], const uint8_t *body, size_t body_bytes,
                               const uint8_t *operation, size_t operation_bytes, const uint8_t *certificate, size_t certificate_bytes) {
    CHECK(body_bytes <= BFT_BODY_BYTES_MAX && operation_bytes <= ADMIN_OP_BYTES_MAX && certificate_bytes <= BFT_CERTIFICATE_BYTES_MAX);
    bytes_put_raw(writer, header, BFT_HEADER_BYTES);
    bytes_put_u32(writer, (uint32_t)body_bytes);
    bytes_put_raw(writer, body, body_bytes);
    bytes_put_u32(writer, (uint32_t)operation_bytes);
    bytes_put_raw(writer, operation, operation_bytes);
    bytes_put_u32(writer, (uint32_t)certificate_bytes);
    bytes_put_raw(writer, certificate, certificate_bytes);
}

const uint8_t *config_chain_entry_certificate(const uint8_t *entry, size_t entry_bytes, size_t *bytes) {
    struct bytes_cursor cursor = bytes_cursor_of(entry, entry_bytes);
    (void)bytes_get_raw(&cursor, BFT_HEADER_BYTES);
    (void)bytes_get_raw(&cursor, bytes_get_u32(&cursor));
    (void)bytes_get_raw(&cursor, bytes_get_u32(&cursor));
    *bytes = bytes_get_u32(&cursor);
    const uint8_t *certificate = bytes_get_raw(&cursor, *bytes);
    CHECK(bytes_finished(&cursor));
    return certificate;
}

void config_chain_head_encode(struct bytes_writer *writer, uint32_t cluster, uint32_t entries_count, uint64_t first_serial) {
    CHECK(entries_count <= CONFIG_CHAIN_ENTRIES_MAX && first_serial > 0);
    bytes_put_u32(writer, cluster);
    bytes_put_u32(writer, entries_count);
    bytes_put_u64(writer, first_serial);
}

void config_query_encode(uint32_t cluster, uint64_t from_serial, uint8_t out[CONFIG_QUERY_BYTES]) {
    CHECK(from_serial > 0);
    bytes_put_le32(out, cluster);
    bytes_put_le32(out + 4, 0);
    bytes_put_le64(out + 8, from_serial);
}

bool config_query_decode(const uint8_t *bytes, size_t count, uint32_t *cluster, uint64_t *from_serial) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    uint32_t asked = bytes_get_u32(&cursor), zero = bytes_get_u32(&cursor);
    uint64_t from = bytes_get_u64(&cursor);
    if (!bytes_finished(&cursor) || zero != 0 || from == 0 || !config_cluster_valid(asked)) return false;
    *cluster = asked;
    *from_serial = from;
    return true;
}
