/* Records that a team signs about its node, and the successor statement (S-110 to S-112, S-140 to S-144). */
#include "protocol/claim.h"

#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"

enum { RECORD_FORMAT = 1 };

static const uint8_t claim_tag[16] = "HRC claim";
static const uint8_t node_config_tag[16] = "HRC node-config";
static const uint8_t addresses_tag[16] = "HRC addresses";
static const uint8_t successor_tag[16] = "HRC successor";
enum { SUCCESSOR_STRING_BYTES = 16 + 16 + 16 + 32 };

static const char *const field_names[CLAIM_FIELDS] = {"architecture", "kernel", "compiler", "code", "image", "operator", "site", "power"};

const char *claim_field_name(enum claim_field field) {
    CHECK((unsigned)field < CLAIM_FIELDS);
    return field_names[field];
}

/* ---- texts ---- */

static bool printable(const char *text, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (text[i] < 0x20 || text[i] > 0x7E) return false;
    }
    return true;
}

/* u8 length and the bytes; room of `out` is text_max + 1. */
static void text_get8(struct bytes_cursor *cursor, char *out, size_t text_max) {
    size_t count = bytes_get_u8(cursor);
    bytes_require(cursor, count <= text_max);
    if (cursor->failed || !bytes_get_copy(cursor, out, count)) return;
    bytes_require(cursor, printable(out, count));
}

static void text_get16(struct bytes_cursor *cursor, char *out, size_t text_max) {
    size_t count = bytes_get_u16(cursor);
    bytes_require(cursor, count <= text_max);
    if (cursor->failed || !bytes_get_copy(cursor, out, count)) return;
    bytes_require(cursor, printable(out, count));
}

static void text_put8(struct bytes_writer *writer, const char *text, size_t text_max) {
    size_t count = strnlen(text, text_max + 1);
    CHECK(count <= text_max && text_max <= UINT8_MAX);
    bytes_put_u8(writer, (uint8_t)count);
    bytes_put_raw(writer, text, count);
}

static void text_put16(struct bytes_writer *writer, const char *text, size_t text_max) {
    size_t count = strnlen(text, text_max + 1);
    CHECK(count <= text_max && text_max <= UINT16_MAX);
    bytes_put_u16(writer, (uint16_t)count);
    bytes_put_raw(writer, text, count);
}

/* The first four bytes of each record. */
static void head_put(struct bytes_writer *writer) {
    bytes_put_u8(writer, RECORD_FORMAT);
    bytes_put_u8(writer, 0);
    bytes_put_u16(writer, 0);
}

static void head_get(struct bytes_cursor *cursor) {
    uint8_t format = bytes_get_u8(cursor), zero8 = bytes_get_u8(cursor);
    uint16_t zero16 = bytes_get_u16(cursor);
    bytes_require(cursor, format == RECORD_FORMAT && zero8 == 0 && zero16 == 0);
}

static enum system_error signature_verify(const uint8_t key[32], const uint8_t *string, size_t count, const uint8_t signature[64], const char *what,
                                          struct system_fault *fault) {
    enum ed25519_error error = ed25519_verify(key, string, count, signature);
    if (!error) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_SIGNATURE_INVALID, "%s: the signature does not verify (%s)", what, ed25519_error_name(error));
}

/* ---- node claim ---- */

static size_t claim_body(const struct claim *claim, uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, CLAIM_BYTES_MAX);
    CHECK(claim->number > 0);
    head_put(&writer);
    bytes_put_u32(&writer, 0);
    bytes_put_u64(&writer, claim->number);
    bytes_put_hash(&writer, claim->node_id);
    for (int i = 0; i < CLAIM_FIELDS; i++) text_put8(&writer, claim->texts[i], CLAIM_TEXT_BYTES_MAX);
    CHECK(!writer.failed);
    return writer.used;
}

size_t claim_encode(const struct claim *claim, uint8_t *out) {
    size_t count = claim_body(claim, out);
    memcpy(out + count, claim->signature, 64);
    return count + 64;
}

enum system_error claim_decode(struct claim *claim, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct claim read;
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    memset(&read, 0, sizeof read);
    head_get(&cursor);
    bytes_require(&cursor, bytes_get_u32(&cursor) == 0);
    read.number = bytes_get_u64(&cursor);
    bytes_require(&cursor, read.number > 0);
    bytes_get_hash(&cursor, read.node_id);
    for (int i = 0; i < CLAIM_FIELDS; i++) text_get8(&cursor, read.texts[i], CLAIM_TEXT_BYTES_MAX);
    bytes_get_copy(&cursor, read.signature, 64);
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "claim: does not decode");
    *claim = read;
    return SYSTEM_OK;
}

static void claim_string(const struct claim *claim, uint8_t out[48]) {
    uint8_t body[CLAIM_BYTES_MAX];
    size_t count = claim_body(claim, body);
    memcpy(out, claim_tag, 16);
    SHA256_PREFIXED(out + 16, HASH_CLAIM, {body, count});
}

void claim_sign(struct claim *claim, const struct ed25519_secret *owner) {
    uint8_t string[48];
    claim_string(claim, string);
    ed25519_sign(owner, string, sizeof string, claim->signature);
}

enum system_error claim_verify(const struct claim *claim, const struct card *node, struct system_fault *fault) {
    uint8_t string[48];
    if (memcmp(claim->node_id, node->id, 32) != 0) return system_fault_set(fault, SYSTEM_FOREIGN, "claim: of another node");
    claim_string(claim, string);
    return signature_verify(node->owner_key, string, sizeof string, claim->signature, "claim", fault);
}

/* tag, system_id, hash: what the owner signs for the two records below. */
static void record_string(const uint8_t tag[16], const uint8_t system_id[16], enum hash_prefix prefix, const uint8_t *body, size_t count,
                          uint8_t out[64]) {
    memcpy(out, tag, 16);
    memcpy(out + 16, system_id, 16);
    SHA256_PREFIXED(out + 32, prefix, {body, count});
}

/* ---- node configuration ---- */

static bool setting_name_valid(const char *name) {
    size_t count = strnlen(name, CLAIM_SETTING_NAME_MAX + 1);
    if (count < 1 || count > CLAIM_SETTING_NAME_MAX) return false;
    for (size_t i = 0; i < count; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-')) return false;
    }
    return true;
}

static size_t node_config_body(const struct claim_node_config *record, uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, CLAIM_NODE_CONFIG_BYTES_MAX);
    CHECK(record->number > 0 && record->settings_count <= CLAIM_SETTINGS_MAX);
    head_put(&writer);
    bytes_put_u32(&writer, record->settings_count);
    bytes_put_u64(&writer, record->number);
    bytes_put_raw(&writer, record->system_id, 16);
    bytes_put_hash(&writer, record->node_id);
    for (uint32_t i = 0; i < record->settings_count; i++) {
        text_put8(&writer, record->settings[i].name, CLAIM_SETTING_NAME_MAX);
        text_put16(&writer, record->settings[i].value, CLAIM_SETTING_VALUE_MAX);
    }
    CHECK(!writer.failed);
    return writer.used;
}

size_t claim_node_config_encode(const struct claim_node_config *record, uint8_t *out) {
    size_t count = node_config_body(record, out);
    memcpy(out + count, record->signature, 64);
    return count + 64;
}

enum system_error claim_node_config_decode(struct claim_node_config *record, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    memset(record, 0, sizeof *record);
    head_get(&cursor);
    uint32_t settings = bytes_get_u32(&cursor);
    bytes_require(&cursor, settings <= CLAIM_SETTINGS_MAX);
    record->number = bytes_get_u64(&cursor);
    bytes_require(&cursor, record->number > 0);
    bytes_get_copy(&cursor, record->system_id, 16);
    bytes_get_hash(&cursor, record->node_id);
    for (uint32_t i = 0; i < settings && !cursor.failed; i++) {
        struct claim_setting *setting = &record->settings[i];
        text_get8(&cursor, setting->name, CLAIM_SETTING_NAME_MAX);
        text_get16(&cursor, setting->value, CLAIM_SETTING_VALUE_MAX);
        bytes_require(&cursor, setting_name_valid(setting->name) && (i == 0 || strcmp(setting[-1].name, setting->name) < 0));
    }
    bytes_get_copy(&cursor, record->signature, 64);
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "node configuration: does not decode");
    record->settings_count = settings;
    return SYSTEM_OK;
}

static void node_config_string(const struct claim_node_config *record, uint8_t out[64]) {
    uint8_t body[CLAIM_NODE_CONFIG_BYTES_MAX];
    size_t count = node_config_body(record, body);
    record_string(node_config_tag, record->system_id, HASH_NODE_CONFIG, body, count, out);
}

void claim_node_config_sign(struct claim_node_config *record, const struct ed25519_secret *owner) {
    uint8_t string[64];
    node_config_string(record, string);
    ed25519_sign(owner, string, sizeof string, record->signature);
}

enum system_error claim_node_config_verify(const struct claim_node_config *record, const uint8_t system_id[16], const struct card *node,
                                           struct system_fault *fault) {
    uint8_t string[64];
    if (memcmp(record->system_id, system_id, 16) != 0 || memcmp(record->node_id, node->id, 32) != 0) {
        return system_fault_set(fault, SYSTEM_FOREIGN, "node configuration: of another system or node");
    }
    node_config_string(record, string);
    return signature_verify(node->owner_key, string, sizeof string, record->signature, "node configuration", fault);
}

/* ---- addresses record ---- */

static bool host_valid(const char *host) {
    for (const char *at = host; *at; at++) {
        bool good = (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || *at == '.' || *at == '-' || *at == ':';
        if (!good) return false;
    }
    return true;
}

static size_t addresses_body(const struct claim_addresses *record, uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, CLAIM_ADDRESSES_BYTES_MAX);
    CHECK(record->number > 0);
    head_put(&writer);
    bytes_put_u32(&writer, 0);
    bytes_put_u64(&writer, record->number);
    bytes_put_raw(&writer, record->system_id, 16);
    bytes_put_hash(&writer, record->node_id);
    text_put8(&writer, record->link_host, CLAIM_HOST_BYTES_MAX);
    bytes_put_u16(&writer, record->link_port);
    text_put8(&writer, record->admin_host, CLAIM_HOST_BYTES_MAX);
    bytes_put_u16(&writer, record->admin_port);
    CHECK(!writer.failed);
    return writer.used;
}

size_t claim_addresses_encode(const struct claim_addresses *record, uint8_t *out) {
    size_t count = addresses_body(record, out);
    memcpy(out + count, record->signature, 64);
    return count + 64;
}

enum system_error claim_addresses_decode(struct claim_addresses *record, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct claim_addresses read;
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    memset(&read, 0, sizeof read);
    head_get(&cursor);
    bytes_require(&cursor, bytes_get_u32(&cursor) == 0);
    read.number = bytes_get_u64(&cursor);
    bytes_require(&cursor, read.number > 0);
    bytes_get_copy(&cursor, read.system_id, 16);
    bytes_get_hash(&cursor, read.node_id);
    text_get8(&cursor, read.link_host, CLAIM_HOST_BYTES_MAX);
    read.link_port = bytes_get_u16(&cursor);
    text_get8(&cursor, read.admin_host, CLAIM_HOST_BYTES_MAX);
    read.admin_port = bytes_get_u16(&cursor);
    bytes_get_copy(&cursor, read.signature, 64);
    bytes_require(&cursor, read.link_host[0] != 0 && read.link_port != 0 && (read.admin_host[0] == 0) == (read.admin_port == 0));
    bytes_require(&cursor, host_valid(read.link_host) && host_valid(read.admin_host));
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "addresses record: does not decode");
    *record = read;
    return SYSTEM_OK;
}

static void addresses_string(const struct claim_addresses *record, uint8_t out[64]) {
    uint8_t body[CLAIM_ADDRESSES_BYTES_MAX];
    size_t count = addresses_body(record, body);
    record_string(addresses_tag, record->system_id, HASH_ADDRESSES, body, count, out);
}

void claim_addresses_sign(struct claim_addresses *record, const struct ed25519_secret *owner) {
    uint8_t string[64];
    addresses_string(record, string);
    ed25519_sign(owner, string, sizeof string, record->signature);
}

enum system_error claim_addresses_verify(const struct claim_addresses *record, const uint8_t system_id[16], const struct card *node,
                                         struct system_fault *fault) {
    uint8_t string[64];
    if (memcmp(record->system_id, system_id, 16) != 0 || memcmp(record->node_id, node->id, 32) != 0) {
        return system_fault_set(fault, SYSTEM_FOREIGN, "addresses record: of another system or node");
    }
    addresses_string(record, string);
    return signature_verify(node->owner_key, string, sizeof string, record->signature, "addresses record", fault);
}

/* ---- successor statement ---- */

size_t claim_successor_encode(const struct claim_successor *statement, uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, CLAIM_SUCCESSOR_BYTES_MAX);
    CHECK(statement->signatures_count <= CONFIG_ADMINS_MAX);
    head_put(&writer);
    bytes_put_u32(&writer, statement->signatures_count);
    bytes_put_raw(&writer, statement->predecessor_id, 16);
    bytes_put_raw(&writer, statement->successor_id, 16);
    bytes_put_hash(&writer, statement->successor_hash);
    for (uint32_t i = 0; i < statement->signatures_count; i++) {
        bytes_put_hash(&writer, statement->signatures[i].key);
        bytes_put_raw(&writer, statement->signatures[i].signature, 64);
    }
    CHECK(!writer.failed);
    return writer.used;
}

enum system_error claim_successor_decode(struct claim_successor *statement, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    memset(statement, 0, sizeof *statement);
    head_get(&cursor);
    uint32_t signatures = bytes_get_u32(&cursor);
    bytes_require(&cursor, signatures <= CONFIG_ADMINS_MAX);
    bytes_get_copy(&cursor, statement->predecessor_id, 16);
    bytes_get_copy(&cursor, statement->successor_id, 16);
    bytes_get_hash(&cursor, statement->successor_hash);
    bool ascend = true;
    for (uint32_t i = 0; i < signatures && !cursor.failed; i++) {
        bytes_get_hash(&cursor, statement->signatures[i].key);
        bytes_get_copy(&cursor, statement->signatures[i].signature, 64);
        ascend = ascend && (i == 0 || memcmp(statement->signatures[i - 1].key, statement->signatures[i].key, 32) < 0);
    }
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "successor statement: does not decode");
    if (memcmp(statement->successor_id, statement->successor_hash, 16) != 0)
        return system_fault_set(fault, SYSTEM_ID_MISMATCH, "successor statement: successor_id is not of its file_hash");
    if (!ascend) return system_fault_set(fault, SYSTEM_ORDER, "successor statement: signatures not in order");
    statement->signatures_count = signatures;
    return SYSTEM_OK;
}

/* The predecessor too: two statements of one administrator about successors of two systems are no pair (B-81, kind 7), and nobody makes one of
 * them. */
static void successor_string(const struct claim_successor *statement, uint8_t out[SUCCESSOR_STRING_BYTES]) {
    memcpy(out, successor_tag, 16);
    memcpy(out + 16, statement->predecessor_id, 16);
    memcpy(out + 32, statement->successor_id, 16);
    memcpy(out + 48, statement->successor_hash, 32);
}

bool claim_successor_signature_add(struct claim_successor *statement, const struct claim_signature *signature) {
    uint32_t at = 0;
    while (at < statement->signatures_count && memcmp(statement->signatures[at].key, signature->key, 32) < 0) at++;
    bool replace = at < statement->signatures_count && memcmp(statement->signatures[at].key, signature->key, 32) == 0;
    if (!replace) {
        if (statement->signatures_count == CONFIG_ADMINS_MAX) return false;
        memmove(&statement->signatures[at + 1], &statement->signatures[at], (statement->signatures_count - at) * sizeof statement->signatures[0]);
        statement->signatures_count++;
    }
    statement->signatures[at] = *signature;
    return true;
}

bool claim_successor_sign(struct claim_successor *statement, const struct ed25519_secret *admin) {
    uint8_t string[SUCCESSOR_STRING_BYTES];
    struct claim_signature own;
    successor_string(statement, string);
    ed25519_public_key(admin, own.key);
    ed25519_sign(admin, string, sizeof string, own.signature);
    return claim_successor_signature_add(statement, &own);
}

static int successor_admin(const struct config *config, const uint8_t key[32]) {
    for (uint32_t i = 0; i < config->admins_count; i++) {
        if (memcmp(config->admins[i].key, key, 32) == 0) return (int)i;
    }
    return -1;
}

bool claim_successor_signers(const struct claim_successor *statement, const struct config *config, uint32_t *signers) {
    uint8_t string[SUCCESSOR_STRING_BYTES];
    successor_string(statement, string);
    *signers = 0;
    for (uint32_t i = 0; i < statement->signatures_count; i++) {
        int admin = successor_admin(config, statement->signatures[i].key);
        const uint8_t *signature = statement->signatures[i].signature;
        if (admin < 0 || ed25519_verify(statement->signatures[i].key, string, sizeof string, signature) != ED25519_OK) return false;
        *signers |= 1u << admin;
    }
    return true;
}

enum system_error claim_successor_verify(const struct claim_successor *statement, const struct config *old_config, const struct system *successor,
                                         struct system_fault *fault) {
    uint8_t string[SUCCESSOR_STRING_BYTES];
    if (memcmp(successor->predecessor_id, old_config->system_id, 16) != 0) {
        return system_fault_set(fault, SYSTEM_FOREIGN, "successor: of another system than this one");
    }
    if (successor->succession != old_config->succession + 1 || memcmp(successor->partition_key, old_config->partition_key, 16) != 0 ||
        successor->shards_count != old_config->shards) {
        return system_fault_set(fault, SYSTEM_SERIAL, "successor: not the next succession number, or another partition key or number of shards");
    }
    if (memcmp(statement->predecessor_id, old_config->system_id, 16) != 0) {
        return system_fault_set(fault, SYSTEM_FOREIGN, "successor: the statement is about a successor of another system");
    }
    if (memcmp(statement->successor_hash, successor->file_hash, 32) != 0) {
        return system_fault_set(fault, SYSTEM_FOREIGN, "successor: the statement names another system file");
    }
    if (statement->signatures_count < old_config->admins_needed) {
        return system_fault_set(fault, SYSTEM_SIGNATURES_TOO_FEW, "successor: %u signatures, %u administrators must sign",
                                statement->signatures_count, old_config->admins_needed);
    }
    successor_string(statement, string);
    for (uint32_t i = 0; i < statement->signatures_count; i++) {
        if (successor_admin(old_config, statement->signatures[i].key) < 0) {
            return system_fault_set(fault, SYSTEM_SIGNATURE_INVALID, "successor: signature %u is of nobody who is an administrator", i);
        }
        enum system_error error =
            signature_verify(statement->signatures[i].key, string, sizeof string, statement->signatures[i].signature, "successor", fault);
        if (error) return error;
    }
    return SYSTEM_OK;
}
