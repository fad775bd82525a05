/* Clients, CONFIG and administrative operations in the state (D-30 to D-34, chapter 7). */
#include "protocol/admin_op.h"

#include <string.h>

#include "appliance/exec/exec_inside.h"

enum {
    ENROLMENT_BYTES = 44,  /* D-32 */
    QUOTA_HEAD_BYTES = 12, /* quota_per_second, quota_burst, count, zero */
    RULE_HEAD_BYTES = 4,
    CARD_KEYS_AT = 36,     /* of the binary form: signing key, then Noise key */
    WRITER_CLOSED_AT = 16, /* O-40 */
};

/* Records. */

bool executor_client_read(const uint8_t *value, size_t value_bytes, struct exec_client *client) {
    struct bytes_cursor cursor = bytes_cursor_of(value, value_bytes);
    uint8_t format = bytes_get_u8(&cursor), revoked = bytes_get_u8(&cursor);
    uint16_t zero = bytes_get_u16(&cursor);
    client->serial = bytes_get_u64(&cursor);
    client->card = bytes_get_raw(&cursor, CARD_CLIENT_BYTES);
    client->quota_per_second = bytes_get_u32(&cursor);
    client->quota_burst = bytes_get_u32(&cursor);
    client->rights_count = bytes_get_u16(&cursor);
    bytes_require(&cursor, bytes_get_u16(&cursor) == 0 && format == 1 && revoked <= 1 && zero == 0);
    if (cursor.failed) return false;
    client->revoked = revoked == 1;
    memcpy(client->signing_key, client->card + CARD_KEYS_AT, 32);
    memcpy(client->noise_key, client->card + CARD_KEYS_AT + 32, 32);
    client->rights = cursor.at;
    client->rights_bytes = (uint32_t)cursor.left;
    return true;
}

bool executor_right(const uint8_t *rights, size_t rights_bytes, uint8_t flag, const uint8_t *key, size_t key_bytes) {
    const uint8_t *end = rights + rights_bytes;
    for (const uint8_t *rule = rights; end - rule >= RULE_HEAD_BYTES;) {
        size_t prefix_bytes = bytes_get_le16(rule + 2);
        const uint8_t *prefix = rule + RULE_HEAD_BYTES;
        if (prefix_bytes > (size_t)(end - prefix)) return false;
        if (rule[0] & flag && prefix_bytes <= key_bytes && (prefix_bytes == 0 || memcmp(prefix, key, prefix_bytes) == 0)) return true;
        rule = prefix + prefix_bytes;
    }
    return false;
}

/* Of the empty key nothing begins but the empty prefix, and that begins all. */
bool executor_right_state(const uint8_t *rights, size_t rights_bytes, const uint8_t asker[32], const uint8_t of[32]) {
    return memcmp(asker, of, 32) == 0 || executor_right(rights, rights_bytes, SYSTEM_RIGHT_READ, of, 0);
}

static size_t client_write(uint8_t *out, const struct card *card, bool revoked, uint64_t serial, const uint8_t *rights, size_t rights_bytes) {
    struct bytes_writer writer = bytes_writer_of(out, EXEC_CLIENT_RECORD_MAX);
    uint8_t binary[CARD_BYTES_MAX];
    CHECK(card_encode(card, binary) == CARD_CLIENT_BYTES);
    bytes_put_u8(&writer, 1);
    bytes_put_u8(&writer, revoked);
    bytes_put_u16(&writer, 0);
    bytes_put_u64(&writer, serial);
    bytes_put_raw(&writer, binary, CARD_CLIENT_BYTES);
    bytes_put_raw(&writer, rights, rights_bytes);
    CHECK(!writer.failed);
    return writer.used;
}

static void enrolment_encode(const struct exec_enrolment *enrolment, uint8_t out[ENROLMENT_BYTES]) {
    bytes_put_le64(out, enrolment->serial);
    memcpy(out + 8, enrolment->hash, 32);
    bytes_put_le32(out + 40, enrolment->clients);
}

bool executor_enrolment_read(const uint8_t *value, size_t value_bytes, struct exec_enrolment *enrolment) {
    if (value_bytes != ENROLMENT_BYTES) return false;
    enrolment->serial = bytes_get_le64(value);
    memcpy(enrolment->hash, value + 8, 32);
    enrolment->clients = bytes_get_le32(value + 40);
    return true;
}

bool executor_is_client_record(const struct table_entry *entry) {
    if (entry->space != TRIE_SPACE_SYSTEM || entry->key_bytes == 0) return false;
    if (entry->key[0] == 'e') return entry->key_bytes == 1;
    if (entry->key_bytes != 1 + 32) return false;
    return entry->key[0] == 'k' || (entry->key[0] == 'w' && entry->value_bytes > WRITER_CLOSED_AT && entry->value[WRITER_CLOSED_AT] != 0);
}

static void enrolment_get(struct executor *ex, struct exec_enrolment *enrolment) {
    struct table_entry entry;
    *enrolment = (struct exec_enrolment){0};
    if (!exec_state_get(ex, (const uint8_t *)"e", 1, &entry)) return;
    CHECK(executor_enrolment_read(entry.value, entry.value_bytes, enrolment));
}

/* The table refuses by the limits in force (O-17). */
void exec_admin_limits_apply(struct executor *ex) {
    if (ex->shard) table_limits_set(ex->table, TRIE_SPACE_USER, ex->config.limits.table_keys_max, ex->config.limits.table_bytes_max);
}

bool exec_admin_config_reload(struct executor *ex) {
    struct table_entry entry;
    struct config *config = ex->scratch.config;
    if (!exec_state_get(ex, (const uint8_t *)"g", 1, &entry)) return false;
    if (config_decode(config, entry.value, entry.value_bytes, NULL) != SYSTEM_OK) return false;
    if (config->members.cluster != ex->cluster) return false;
    /* In force before is not known any more; what D-32 says of the file's limits is. */
    if (system_limits_follow(&ex->system->limits, &ex->system->limits, &config->limits, NULL) != SYSTEM_OK) return false;
    ex->config = *config;
    exec_admin_limits_apply(ex);
    return true;
}

/* Genesis. */

static void genesis_put(struct executor *ex, const uint8_t *key, size_t key_bytes, const uint8_t *value, size_t value_bytes) {
    struct table_entry entry = {.key = key, .value = value, .key_bytes = (uint32_t)key_bytes, .value_bytes = (uint32_t)value_bytes,
                                .version = {.height = ex->now.height, .index = 0}, .space = TRIE_SPACE_SYSTEM};
    CHECK(exec_state_load(ex, &entry));
}

void exec_admin_genesis(struct executor *ex) {
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    CHECK(system_config(ex->system, ex->cluster, &ex->config));
    genesis_put(ex, (const uint8_t *)"g", 1, ex->scratch.encoded, config_encode(&ex->config, ex->scratch.encoded));
    if (ex->shard) return;
    for (uint32_t i = 0; i < ex->system->clients_count; i++) {
        const struct system_client *client = &ex->system->clients[i];
        uint8_t rights[QUOTA_HEAD_BYTES + ADMIN_OP_RIGHTS_BYTES_MAX];
        size_t rights_bytes = admin_op_rights_encode(client->quota_per_second, client->quota_burst, client->rights, client->rights_count, rights);
        size_t bytes = client_write(ex->scratch.client, &client->card, false, 0, rights, rights_bytes);
        genesis_put(ex, key, exec_key_client('k', client->card.id, key), ex->scratch.client, bytes);
        genesis_put(ex, key, exec_key_client('n', client->card.signing_key, key), client->card.id, 32);
    }
    struct exec_enrolment enrolment = {.clients = ex->system->clients_count};
    uint8_t value[ENROLMENT_BYTES];
    memcpy(enrolment.hash, ex->system->file_hash, 32);
    enrolment_encode(&enrolment, value);
    genesis_put(ex, (const uint8_t *)"e", 1, value, sizeof value);
}

/* Operations. */

static void item_to_all(struct executor *ex, uint8_t kind, const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0; i < ex->pairs; i++) {
        uint8_t *item = exec_queue_space(ex, i, SLICE_ITEM_HEAD_BYTES + count, 1);
        if (!item) return;
        slice_item_head_encode(item, count, kind);
        memcpy(item + SLICE_ITEM_HEAD_BYTES, bytes, count);
    }
}

static void config_apply(struct executor *ex, const struct admin_op *op, const struct exec_ref *ref) {
    if (op->kind == ADMIN_OP_CONFIG) {
        if (system_limits_follow(&ex->system->limits, &ex->config.limits, &op->config.limits, NULL) != SYSTEM_OK) { /* D-32 */
            ex->counts.garbage++;
            return;
        }
        ex->config = op->config;
        ex->config_changed = true;
        exec_admin_limits_apply(ex);
        exec_state_put(ex, (const uint8_t *)"g", 1, ex->scratch.encoded, config_encode(&ex->config, ex->scratch.encoded));
    }
    ex->config_kind = op->kind == ADMIN_OP_CONFIG ? EXEC_CONFIG_NEXT : EXEC_CONFIG_SEAL;
    item_to_all(ex, SLICE_CONFIG, ref->bytes, ref->byte_count);
}

/* False: no effect. */
static bool client_apply(struct executor *ex, const struct admin_op *op, struct exec_enrolment *enrolment) {
    uint8_t key[EXEC_SYSTEM_KEY_MAX], rights[QUOTA_HEAD_BYTES + ADMIN_OP_RIGHTS_BYTES_MAX];
    struct table_entry entry;
    size_t key_bytes = exec_key_client('k', op->client_id, key);
    bool known = exec_state_get(ex, key, key_bytes, &entry);
    size_t rights_bytes = admin_op_rights_encode(op->quota_per_second, op->quota_burst, op->rights, op->rights_count, rights);
    if (op->kind == ADMIN_OP_ENROL) {
        uint8_t name[EXEC_SYSTEM_KEY_MAX];
        size_t name_bytes = exec_key_client('n', op->client.signing_key, name);
        if (known || exec_state_get(ex, name, name_bytes, &entry) || enrolment->clients >= ex->config.limits.clients_max) return false;
        enrolment->clients++;
        exec_state_put(ex, name, name_bytes, op->client.id, 32);
        exec_state_put(ex, key, key_bytes, ex->scratch.client,
            client_write(ex->scratch.client, &op->client, false, op->serial, rights, rights_bytes));
        return true;
    }
    if (!known || entry.value[1] == 1) return false;
    CHECK(entry.value_bytes <= EXEC_CLIENT_RECORD_MAX && entry.value_bytes >= EXEC_CLIENT_RECORD_HEAD);
    memcpy(ex->scratch.client, entry.value, entry.value_bytes);
    size_t bytes = entry.value_bytes;
    bytes_put_le64(ex->scratch.client + 4, op->serial);
    if (op->kind == ADMIN_OP_REVOKE) {
        ex->scratch.client[1] = 1;
    } else {
        memcpy(ex->scratch.client + EXEC_CLIENT_RECORD_HEAD, rights, rights_bytes);
        bytes = EXEC_CLIENT_RECORD_HEAD + rights_bytes;
    }
    exec_state_put(ex, key, key_bytes, ex->scratch.client, bytes);
    return true;
}

static void enrolment_apply(struct executor *ex, const struct admin_op *op, const struct exec_ref *ref) {
    struct exec_enrolment enrolment;
    enrolment_get(ex, &enrolment);
    if (ex->shard || admin_op_follows(op, enrolment.serial, enrolment.hash, NULL) != SYSTEM_OK || !client_apply(ex, op, &enrolment)) {
        ex->counts.garbage++;
        return;
    }
    enrolment.serial = op->serial;
    memcpy(enrolment.hash, op->hash, 32);
    uint8_t value[ENROLMENT_BYTES];
    enrolment_encode(&enrolment, value);
    exec_state_put(ex, (const uint8_t *)"e", 1, value, sizeof value);
    ex->clients_changed = true;
    if (op->kind == ADMIN_OP_REVOKE) item_to_all(ex, SLICE_REVOKE, ref->bytes, ref->byte_count);
}

enum exec_status exec_admin_operation(struct executor *ex, const struct exec_ref *ref, bool *is_config) {
    struct admin_op *op = ex->scratch.op;
    *is_config = false;
    if (ref->relay >= ex->config.members.count) return EXEC_BAD_RELAY;
    if (admin_op_decode(op, ref->bytes, ref->byte_count, NULL) != SYSTEM_OK) return EXEC_BAD_INPUT;
    bool config = op->kind == ADMIN_OP_CONFIG || op->kind == ADMIN_OP_SEAL;
    *is_config = config;
    if (admin_op_verify(op, &ex->config, NULL, NULL) != SYSTEM_OK) ex->counts.garbage++;
    else if (config) config_apply(ex, op, ref);
    else enrolment_apply(ex, op, ref);
    return EXEC_VALID;
}

/* The CONFIG of a paired cluster as this state knows it: its record (D-33), or genesis. */
static bool remote_config(struct executor *ex, uint32_t cluster, struct config *config) {
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    struct table_entry entry;
    if (!exec_state_get(ex, key, exec_key_cluster('m', cluster, key), &entry)) return system_config(ex->system, cluster, config);
    return config_decode(config, entry.value, entry.value_bytes, NULL) == SYSTEM_OK;
}

static bool config_item(struct executor *ex, uint32_t pair, const struct admin_op *op) {
    uint32_t cluster = ex->queues[pair].cluster;
    if ((op->kind != ADMIN_OP_CONFIG && op->kind != ADMIN_OP_SEAL) || op->cluster != cluster) return false;
    if (!remote_config(ex, cluster, ex->scratch.config)) return false;
    if (admin_op_verify(op, ex->scratch.config, NULL, NULL) != SYSTEM_OK) return false;
    if (op->kind == ADMIN_OP_SEAL) return true;
    /* D-32 as at its source and in its chain, though a cluster with at most f faulty nodes certifies no item of a CONFIG that had no effect there:
     * what this state says of the source is never a CONFIG that the source's chain cannot show. */
    if (system_limits_follow(&ex->system->limits, &ex->scratch.config->limits, &op->config.limits, NULL) != SYSTEM_OK) return false;
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    exec_state_put(ex, key, exec_key_cluster('m', cluster, key), ex->scratch.encoded, config_encode(&op->config, ex->scratch.encoded));
    exec_queue_change(ex, pair)->epoch = op->serial;
    return true;
}

void exec_admin_item(struct executor *ex, uint32_t pair, const struct slice_item *item) {
    struct admin_op *op = ex->scratch.op;
    bool done = false;
    if (admin_op_decode(op, item->body, item->body_bytes, NULL) == SYSTEM_OK) {
        if (item->kind == SLICE_CONFIG) {
            done = config_item(ex, pair, op);
        } else if (ex->shard && op->kind == ADMIN_OP_REVOKE && admin_op_verify(op, &ex->config, NULL, NULL) == SYSTEM_OK) {
            exec_record_close(ex, op->client_id);
            done = true;
        }
    }
    if (!done) ex->counts.garbage++;
}
