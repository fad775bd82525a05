/* Administrative operations: encoding, signing, verification (S-70 to S-80). */
#include "protocol/admin_op.h"

#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"

static const uint8_t admin_op_tag[16] = "HRC admin-op";

/* ---- quota and rights ---- */

static int prefix_compare(const struct system_right *a, const struct system_right *b) {
    size_t common = a->prefix_bytes < b->prefix_bytes ? a->prefix_bytes : b->prefix_bytes;
    int order = memcmp(a->prefix, b->prefix, common);
    if (order != 0) return order;
    return a->prefix_bytes < b->prefix_bytes ? -1 : a->prefix_bytes > b->prefix_bytes;
}

size_t admin_op_rights_encode(uint32_t quota_per_second, uint32_t quota_burst, const struct system_right *rights, uint32_t rights_count,
                              uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, 8 + ADMIN_OP_RIGHTS_BYTES_MAX);
    CHECK(rights_count <= SYSTEM_RIGHTS_MAX);
    bytes_put_u32(&writer, quota_per_second);
    bytes_put_u32(&writer, quota_burst);
    bytes_put_u16(&writer, (uint16_t)rights_count);
    bytes_put_u16(&writer, 0);
    for (uint32_t i = 0; i < rights_count; i++) {
        CHECK(rights[i].prefix_bytes <= SYSTEM_RIGHT_PREFIX_MAX);
        bytes_put_u8(&writer, rights[i].flags);
        bytes_put_u8(&writer, 0);
        bytes_put_u16(&writer, rights[i].prefix_bytes);
        bytes_put_raw(&writer, rights[i].prefix, rights[i].prefix_bytes);
    }
    CHECK(!writer.failed);
    return writer.used;
}

enum system_error admin_op_rights_decode(struct bytes_cursor *cursor, uint32_t *quota_per_second, uint32_t *quota_burst,
                                         struct system_right *rights, uint32_t *rights_count) {
    uint32_t per_second = bytes_get_u32(cursor), burst = bytes_get_u32(cursor);
    uint16_t count = bytes_get_u16(cursor), zero = bytes_get_u16(cursor);
    enum system_error error = SYSTEM_OK;
    if (cursor->failed) return SYSTEM_TRUNCATED;
    if (zero != 0 || count > SYSTEM_RIGHTS_MAX || (per_second == 0) != (burst == 0)) error = SYSTEM_FIELD_RANGE;
    for (uint32_t i = 0; i < count && !error; i++) {
        struct system_right *right = &rights[i];
        memset(right, 0, sizeof *right);
        right->flags = bytes_get_u8(cursor);
        uint8_t pad = bytes_get_u8(cursor);
        right->prefix_bytes = bytes_get_u16(cursor);
        if (cursor->failed) return SYSTEM_TRUNCATED;
        if (right->flags < 1 || right->flags > 3 || pad != 0 || right->prefix_bytes > SYSTEM_RIGHT_PREFIX_MAX) error = SYSTEM_FIELD_RANGE;
        else if (!bytes_get_copy(cursor, right->prefix, right->prefix_bytes)) return SYSTEM_TRUNCATED;
        else if (i > 0 && prefix_compare(right - 1, right) >= 0) error = SYSTEM_ORDER;
    }
    if (error) {
        bytes_require(cursor, false);
        return error;
    }
    *quota_per_second = per_second;
    *quota_burst = burst;
    *rights_count = count;
    return SYSTEM_OK;
}

/* ---- encoding ---- */

static void config_body_encode(const struct admin_op *op, struct bytes_writer *writer) {
    uint8_t config[CONFIG_BYTES_MAX], card[CARD_PROVEN_BYTES_MAX];
    size_t config_bytes = config_encode(&op->config, config);
    CHECK(op->nodes_count <= CONFIG_MEMBERS_MAX && op->admins_count <= CONFIG_ADMINS_MAX);
    bytes_put_u32(writer, (uint32_t)config_bytes);
    bytes_put_raw(writer, config, config_bytes);
    bytes_put_u8(writer, (uint8_t)op->nodes_count);
    bytes_put_u8(writer, (uint8_t)op->admins_count);
    bytes_put_u16(writer, 0);
    for (uint32_t i = 0; i < op->nodes_count; i++) {
        size_t card_size = card_encode_proven(&op->nodes[i], card);
        bytes_put_raw(writer, card, card_size);
    }
    for (uint32_t i = 0; i < op->admins_count; i++) {
        size_t card_size = card_encode_proven(&op->admins[i], card);
        bytes_put_raw(writer, card, card_size);
    }
}

static void body_encode(const struct admin_op *op, struct bytes_writer *writer) {
    uint8_t card[CARD_PROVEN_BYTES_MAX], rights[8 + ADMIN_OP_RIGHTS_BYTES_MAX];
    switch (op->kind) {
    case ADMIN_OP_CONFIG: config_body_encode(op, writer); return;
    case ADMIN_OP_SEAL: return;
    case ADMIN_OP_ENROL: bytes_put_raw(writer, card, card_encode_proven(&op->client, card)); break;
    case ADMIN_OP_CHANGE: bytes_put_hash(writer, op->client_id); break;
    case ADMIN_OP_REVOKE: bytes_put_hash(writer, op->client_id); return;
    }
    bytes_put_raw(writer, rights, admin_op_rights_encode(op->quota_per_second, op->quota_burst, op->rights, op->rights_count, rights));
}

size_t admin_op_encode(struct admin_op *op, uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, ADMIN_OP_BYTES_MAX);
    CHECK(op->kind >= ADMIN_OP_CONFIG && op->kind <= ADMIN_OP_REVOKE && op->signatures_count <= CONFIG_ADMINS_MAX);
    bytes_put_u8(&writer, (uint8_t)op->kind);
    bytes_put_u8(&writer, ADMIN_OP_FORMAT);
    bytes_put_u16(&writer, 0);
    bytes_put_u32(&writer, op->cluster);
    bytes_put_raw(&writer, op->system_id, 16);
    bytes_put_u64(&writer, op->serial);
    bytes_put_hash(&writer, op->predecessor);
    body_encode(op, &writer);
    SHA256_PREFIXED(op->hash, HASH_ADMIN_OPERATION, {out, writer.used});
    bytes_put_u32(&writer, op->signatures_count);
    for (uint32_t i = 0; i < op->signatures_count; i++) {
        bytes_put_hash(&writer, op->signatures[i].key);
        bytes_put_raw(&writer, op->signatures[i].signature, 64);
    }
    CHECK(!writer.failed);
    SHA256_PREFIXED(op->input_hash, HASH_ADMIN_INPUT, {out, writer.used});
    return writer.used;
}

/* ---- decoding ---- */

static enum system_error config_body_read(struct admin_op *op, struct bytes_cursor *cursor, struct system_fault *fault) {
    uint32_t config_bytes = bytes_get_u32(cursor);
    bytes_require(cursor, config_bytes <= CONFIG_BYTES_MAX);
    const uint8_t *config = bytes_get_raw(cursor, config_bytes);
    if (!config) return system_fault_set(fault, SYSTEM_TRUNCATED, "operation: CONFIG does not end within it");
    enum system_error error = config_decode(&op->config, config, config_bytes, fault);
    if (error) return error;
    op->nodes_count = bytes_get_u8(cursor);
    op->admins_count = bytes_get_u8(cursor);
    uint16_t zero = bytes_get_u16(cursor);
    if (cursor->failed || zero != 0 || op->nodes_count > CONFIG_MEMBERS_MAX || op->admins_count > CONFIG_ADMINS_MAX) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "operation: number of cards");
    }
    for (uint32_t i = 0; i < op->nodes_count; i++) {
        const uint8_t *card = bytes_get_raw(cursor, CARD_NODE_PROVEN_BYTES);
        if (!card) return system_fault_set(fault, SYSTEM_TRUNCATED, "operation: node card %u is missing", i);
        error = card_decode_proven(&op->nodes[i], CARD_NODE, card, CARD_NODE_PROVEN_BYTES, fault);
        if (error) return error;
    }
    for (uint32_t i = 0; i < op->admins_count; i++) {
        const uint8_t *card = bytes_get_raw(cursor, CARD_ADMIN_PROVEN_BYTES);
        if (!card) return system_fault_set(fault, SYSTEM_TRUNCATED, "operation: administrator card %u is missing", i);
        error = card_decode_proven(&op->admins[i], CARD_ADMIN, card, CARD_ADMIN_PROVEN_BYTES, fault);
        if (error) return error;
    }
    return SYSTEM_OK;
}

static enum system_error body_read(struct admin_op *op, struct bytes_cursor *cursor, struct system_fault *fault) {
    if (op->kind == ADMIN_OP_CONFIG) return config_body_read(op, cursor, fault);
    if (op->kind == ADMIN_OP_SEAL) return SYSTEM_OK;
    if (op->kind == ADMIN_OP_ENROL) {
        const uint8_t *card = bytes_get_raw(cursor, CARD_CLIENT_PROVEN_BYTES);
        if (!card) return system_fault_set(fault, SYSTEM_TRUNCATED, "operation: the client's card is missing");
        enum system_error error = card_decode_proven(&op->client, CARD_CLIENT, card, CARD_CLIENT_PROVEN_BYTES, fault);
        if (error) return error;
        memcpy(op->client_id, op->client.id, 32);
    } else {
        bytes_get_hash(cursor, op->client_id);
        if (cursor->failed) return system_fault_set(fault, SYSTEM_TRUNCATED, "operation: client_id is missing");
    }
    if (op->kind == ADMIN_OP_REVOKE) return SYSTEM_OK;
    enum system_error error = admin_op_rights_decode(cursor, &op->quota_per_second, &op->quota_burst, op->rights, &op->rights_count);
    if (error) return system_fault_set(fault, error, "operation: quota or rights: %s", system_error_name(error));
    return SYSTEM_OK;
}

static enum system_error head_read(struct admin_op *op, struct bytes_cursor *cursor, struct system_fault *fault) {
    uint8_t kind = bytes_get_u8(cursor), format = bytes_get_u8(cursor);
    uint16_t zero = bytes_get_u16(cursor);
    op->cluster = bytes_get_u32(cursor);
    bytes_get_copy(cursor, op->system_id, 16);
    op->serial = bytes_get_u64(cursor);
    bytes_get_hash(cursor, op->predecessor);
    if (cursor->failed) return system_fault_set(fault, SYSTEM_TRUNCATED, "operation: shorter than its head");
    if (kind < ADMIN_OP_CONFIG || kind > ADMIN_OP_REVOKE) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "operation: kind %u", kind);
    if (format != ADMIN_OP_FORMAT) return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "operation: format %u", format);
    op->kind = (enum admin_op_kind)kind;
    bool of_cluster = op->kind == ADMIN_OP_CONFIG || op->kind == ADMIN_OP_SEAL;
    if (zero != 0 || (of_cluster ? !config_cluster_valid(op->cluster) : op->cluster != 0)) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "operation: cluster 0x%08x", op->cluster);
    }
    if (op->serial == 0) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "operation: serial 0");
    return SYSTEM_OK;
}

static enum system_error signatures_read(struct admin_op *op, struct bytes_cursor *cursor, struct system_fault *fault) {
    uint32_t count = bytes_get_u32(cursor);
    if (cursor->failed || count > CONFIG_ADMINS_MAX) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "operation: number of signatures");
    op->signatures_count = count;
    for (uint32_t i = 0; i < count; i++) {
        bytes_get_hash(cursor, op->signatures[i].key);
        bytes_get_copy(cursor, op->signatures[i].signature, 64);
        if (i > 0 && !cursor->failed && memcmp(op->signatures[i - 1].key, op->signatures[i].key, 32) >= 0) {
            return system_fault_set(fault, SYSTEM_ORDER, "operation: signatures must ascend by key, none twice");
        }
    }
    if (!bytes_finished(cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "operation: ends early, or goes on after its signatures");
    return SYSTEM_OK;
}

enum system_error admin_op_decode(struct admin_op *op, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    memset(op, 0, sizeof *op);
    if (count > ADMIN_OP_BYTES_MAX) return system_fault_set(fault, SYSTEM_TOO_LARGE, "operation: %zu bytes", count);
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    enum system_error error = head_read(op, &cursor, fault);
    if (!error) error = body_read(op, &cursor, fault);
    if (error) return error;
    if (op->kind == ADMIN_OP_CONFIG && (op->config.members.cluster != op->cluster || op->config.members.serial != op->serial ||
                                        memcmp(op->config.system_id, op->system_id, 16) != 0)) {
        return system_fault_set(fault, SYSTEM_FOREIGN, "operation: its head and its CONFIG differ in system, cluster or serial");
    }
    size_t body_end = count - cursor.left;
    error = signatures_read(op, &cursor, fault);
    if (error) return error;
    SHA256_PREFIXED(op->hash, HASH_ADMIN_OPERATION, {bytes, body_end});
    SHA256_PREFIXED(op->input_hash, HASH_ADMIN_INPUT, {bytes, count});
    return SYSTEM_OK;
}

bool admin_op_input_hash(const uint8_t *bytes, size_t count, uint8_t out[32]) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    uint8_t kind = bytes_get_u8(&cursor);
    (void)bytes_get_raw(&cursor, ADMIN_OP_HEAD_BYTES - 1);
    if (kind == ADMIN_OP_CONFIG) {
        uint32_t config_bytes = bytes_get_u32(&cursor);
        (void)bytes_get_raw(&cursor, config_bytes);
        size_t nodes = bytes_get_u8(&cursor), admins = bytes_get_u8(&cursor);
        (void)bytes_get_u16(&cursor);
        (void)bytes_get_raw(&cursor, nodes * CARD_NODE_PROVEN_BYTES + admins * CARD_ADMIN_PROVEN_BYTES);
    } else if (kind == ADMIN_OP_ENROL || kind == ADMIN_OP_CHANGE) {
        (void)bytes_get_raw(&cursor, kind == ADMIN_OP_ENROL ? CARD_CLIENT_PROVEN_BYTES : 32);
        (void)bytes_get_u64(&cursor);
        uint16_t rules = bytes_get_u16(&cursor);
        (void)bytes_get_u16(&cursor);
        for (uint32_t i = 0; i < rules && !cursor.failed; i++) {
            (void)bytes_get_u16(&cursor);
            uint16_t prefix_bytes = bytes_get_u16(&cursor);
            (void)bytes_get_raw(&cursor, prefix_bytes);
        }
    } else if (kind == ADMIN_OP_REVOKE) {
        (void)bytes_get_raw(&cursor, 32);
    } else if (kind != ADMIN_OP_SEAL) {
        return false;
    }
    uint32_t signatures = bytes_get_u32(&cursor);
    if (cursor.failed || signatures > CONFIG_ADMINS_MAX || cursor.left != (size_t)signatures * ADMIN_OP_SIGNATURE_BYTES) return false;
    SHA256_PREFIXED(out, HASH_ADMIN_INPUT, {bytes, count});
    return true;
}

/* ---- signatures ---- */

static void signed_string(const struct admin_op *op, uint8_t out[64]) {
    memcpy(out, admin_op_tag, 16);
    memcpy(out + 16, op->system_id, 16);
    memcpy(out + 32, op->hash, 32);
}

bool admin_op_signature_add(struct admin_op *op, const struct admin_op_signature *signature) {
    uint32_t at = 0;
    while (at < op->signatures_count && memcmp(op->signatures[at].key, signature->key, 32) < 0) at++;
    if (at < op->signatures_count && memcmp(op->signatures[at].key, signature->key, 32) == 0) {
        op->signatures[at] = *signature;
        return true;
    }
    if (op->signatures_count == CONFIG_ADMINS_MAX) return false;
    memmove(&op->signatures[at + 1], &op->signatures[at], (op->signatures_count - at) * sizeof op->signatures[0]);
    op->signatures[at] = *signature;
    op->signatures_count++;
    return true;
}

bool admin_op_sign(struct admin_op *op, const struct ed25519_secret *admin) {
    uint8_t encoded[ADMIN_OP_BYTES_MAX], string[64];
    struct admin_op_signature own;
    (void)admin_op_encode(op, encoded); /* sets the hash */
    signed_string(op, string);
    ed25519_public_key(admin, own.key);
    ed25519_sign(admin, string, sizeof string, own.signature);
    return admin_op_signature_add(op, &own);
}

static bool is_admin(const struct config *config, const uint8_t key[32]) {
    for (uint32_t i = 0; i < config->admins_count; i++) {
        if (memcmp(config->admins[i].key, key, 32) == 0) return true;
    }
    return false;
}

static enum system_error signatures_verify(const struct admin_op *op, const struct config *in_force, struct system_fault *fault) {
    uint8_t string[64];
    if (op->signatures_count < in_force->admins_needed) {
        return system_fault_set(fault, SYSTEM_SIGNATURES_TOO_FEW, "operation: %u signatures, %u of the %u administrators must sign",
                                op->signatures_count, in_force->admins_needed, in_force->admins_count);
    }
    signed_string(op, string);
    for (uint32_t i = 0; i < op->signatures_count; i++) {
        if (!is_admin(in_force, op->signatures[i].key)) {
            return system_fault_set(fault, SYSTEM_SIGNATURE_INVALID, "operation: signature %u is of nobody who is an administrator", i);
        }
        enum ed25519_error error = ed25519_verify(op->signatures[i].key, string, sizeof string, op->signatures[i].signature);
        if (error) {
            return system_fault_set(fault, SYSTEM_SIGNATURE_INVALID, "operation: signature %u does not verify (%s)", i, ed25519_error_name(error));
        }
    }
    return SYSTEM_OK;
}

/* ---- against the CONFIG in force ---- */

/* Exactly the members and administrators that were not there before have cards, in the order of the new CONFIG (S-77). */
static enum system_error cards_verify(const struct admin_op *op, const struct config *in_force, struct system_fault *fault) {
    uint32_t nodes = 0, admins = 0;
    for (uint32_t i = 0; i < op->config.members.count; i++) {
        const struct config_member *member = &op->config.members.members[i];
        int old = config_member_by_node_id(&in_force->members, member->node_id);
        if (old >= 0 && memcmp(&in_force->members.members[old], member, sizeof *member) == 0) continue;
        const struct card *card = &op->nodes[nodes];
        if (nodes >= op->nodes_count || memcmp(card->id, member->node_id, 32) != 0 || memcmp(card->signing_key, member->signing_key, 32) != 0 ||
            memcmp(card->noise_key, member->noise_key, 32) != 0) {
            return system_fault_set(fault, SYSTEM_PROOF_INVALID, "operation: new member %u has no card of its own", i);
        }
        nodes++;
    }
    for (uint32_t i = 0; i < op->config.admins_count; i++) {
        const struct config_admin *admin = &op->config.admins[i];
        bool old = false;
        for (uint32_t j = 0; j < in_force->admins_count && !old; j++) old = memcmp(&in_force->admins[j], admin, sizeof *admin) == 0;
        if (old) continue;
        const struct card *card = &op->admins[admins];
        if (admins >= op->admins_count || memcmp(card->id, admin->admin_id, 32) != 0 || memcmp(card->signing_key, admin->key, 32) != 0) {
            return system_fault_set(fault, SYSTEM_PROOF_INVALID, "operation: new administrator %u has no card of its own", i);
        }
        admins++;
    }
    if (nodes != op->nodes_count || admins != op->admins_count) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "operation: a card of nobody who is new");
    }
    return SYSTEM_OK;
}

enum system_error admin_op_verify(const struct admin_op *op, const struct config *in_force, uint32_t *changed, struct system_fault *fault) {
    uint8_t hash[32];
    if (memcmp(op->system_id, in_force->system_id, 16) != 0) return system_fault_set(fault, SYSTEM_FOREIGN, "operation: of another system");
    enum system_error error = signatures_verify(op, in_force, fault);
    if (error) return error;
    if (op->kind != ADMIN_OP_CONFIG && op->kind != ADMIN_OP_SEAL) return SYSTEM_OK;
    if (op->cluster != in_force->members.cluster) return system_fault_set(fault, SYSTEM_FOREIGN, "operation: of cluster 0x%08x", op->cluster);
    if (in_force->members.serial == UINT64_MAX || op->serial != in_force->members.serial + 1) {
        return system_fault_set(fault, SYSTEM_SERIAL, "operation: serial %llu does not follow %llu", (unsigned long long)op->serial,
                                (unsigned long long)in_force->members.serial);
    }
    config_hash(in_force, hash);
    if (memcmp(hash, op->predecessor, 32) != 0) {
        return system_fault_set(fault, SYSTEM_SERIAL, "operation: follows another CONFIG than the one in force");
    }
    if (op->kind == ADMIN_OP_SEAL) return SYSTEM_OK;
    error = config_succeeds(in_force, &op->config, changed, fault);
    return error ? error : cards_verify(op, in_force, fault);
}

enum system_error admin_op_follows(const struct admin_op *op, uint64_t last, const uint8_t last_hash[32], struct system_fault *fault) {
    if (op->kind != ADMIN_OP_ENROL && op->kind != ADMIN_OP_CHANGE && op->kind != ADMIN_OP_REVOKE) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "operation: no enrolment");
    }
    if (last == UINT64_MAX || op->serial != last + 1) {
        return system_fault_set(fault, SYSTEM_SERIAL, "operation: number %llu does not follow %llu", (unsigned long long)op->serial,
                                (unsigned long long)last);
    }
    if (memcmp(op->predecessor, last_hash, 32) != 0) {
        return system_fault_set(fault, SYSTEM_SERIAL, "operation: its predecessor is another number %llu", (unsigned long long)last);
    }
    return SYSTEM_OK;
}
