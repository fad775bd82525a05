/* CONFIG: its leaves, its tree, and what may follow what (S-50 to S-62). */
#include "protocol/config.h"

#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/tree.h"

static void members_encode(const struct config_members *members, struct bytes_writer *writer) {
    CHECK(members->count <= CONFIG_MEMBERS_MAX);
    bytes_put_u8(writer, CONFIG_LEAF_MEMBERS + 1);
    bytes_put_u8(writer, (uint8_t)members->count);
    bytes_put_u32(writer, members->cluster);
    bytes_put_u64(writer, members->serial);
    for (uint32_t i = 0; i < members->count; i++) {
        bytes_put_hash(writer, members->members[i].node_id);
        bytes_put_hash(writer, members->members[i].signing_key);
        bytes_put_hash(writer, members->members[i].noise_key);
    }
}

static void admins_encode(const struct config *config, struct bytes_writer *writer) {
    CHECK(config->admins_count <= CONFIG_ADMINS_MAX && config->admins_needed <= CONFIG_ADMINS_MAX);
    bytes_put_u8(writer, CONFIG_LEAF_ADMINS + 1);
    bytes_put_u8(writer, (uint8_t)config->admins_needed);
    bytes_put_u8(writer, (uint8_t)config->admins_count);
    bytes_put_u8(writer, 0);
    for (uint32_t i = 0; i < config->admins_count; i++) {
        bytes_put_hash(writer, config->admins[i].admin_id);
        bytes_put_hash(writer, config->admins[i].key);
    }
}

static void rows_encode(const void *base, const struct system_limit_row *rows, size_t count, enum config_leaf leaf, struct bytes_writer *writer) {
    bytes_put_u8(writer, (uint8_t)(leaf + 1));
    bytes_put_u16(writer, (uint16_t)count);
    for (size_t i = 0; i < count; i++) bytes_put_u64(writer, system_limit_get(base, &rows[i]));
}

size_t config_leaf_encode(const struct config *config, enum config_leaf leaf, uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, CONFIG_LEAF_BYTES_MAX);
    switch (leaf) {
    case CONFIG_LEAF_MEMBERS: members_encode(&config->members, &writer); break;
    case CONFIG_LEAF_ADMINS: admins_encode(config, &writer); break;
    case CONFIG_LEAF_LIMITS: rows_encode(&config->limits, system_limit_rows, SYSTEM_LIMITS_COUNT, leaf, &writer); break;
    case CONFIG_LEAF_TIMEOUTS: rows_encode(&config->timeouts, system_timeout_rows, SYSTEM_TIMEOUTS_COUNT, leaf, &writer); break;
    case CONFIG_LEAF_VERSION:
        bytes_put_u8(&writer, CONFIG_LEAF_VERSION + 1);
        bytes_put_u32(&writer, config->protocol_version);
        break;
    case CONFIG_LEAF_SYSTEM:
        bytes_put_u8(&writer, CONFIG_LEAF_SYSTEM + 1);
        bytes_put_raw(&writer, config->system_id, 16);
        bytes_put_raw(&writer, config->partition_key, 16);
        bytes_put_u16(&writer, config->succession);
        bytes_put_u16(&writer, config->coordinators);
        bytes_put_u16(&writer, config->shards);
        break;
    case CONFIG_LEAVES: break;
    }
    CHECK(!writer.failed && writer.used > 0);
    return writer.used;
}

size_t config_encode(const struct config *config, uint8_t *out) {
    size_t used = 0;
    for (int leaf = 0; leaf < CONFIG_LEAVES; leaf++) {
        uint8_t bytes[CONFIG_LEAF_BYTES_MAX];
        size_t count = config_leaf_encode(config, (enum config_leaf)leaf, bytes);
        CHECK(used + 4 + count <= CONFIG_BYTES_MAX);
        bytes_put_le32(out + used, (uint32_t)count);
        memcpy(out + used + 4, bytes, count);
        used += 4 + count;
    }
    return used;
}

/* ---- decoding: one function per leaf; each wants its leaf's bytes to the last one ---- */

static enum system_error members_read(struct config_members *members, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    uint8_t leaf = bytes_get_u8(&cursor), n = bytes_get_u8(&cursor);
    members->cluster = bytes_get_u32(&cursor);
    members->serial = bytes_get_u64(&cursor);
    bytes_require(&cursor, leaf == CONFIG_LEAF_MEMBERS + 1);
    if (cursor.failed) return system_fault_set(fault, SYSTEM_TRUNCATED, "members: not a members leaf");
    if (n < CONFIG_MEMBERS_MIN || n > CONFIG_MEMBERS_MAX) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "members: %u, must be %d to %d", n, CONFIG_MEMBERS_MIN, CONFIG_MEMBERS_MAX);
    }
    members->count = n;
    for (uint32_t i = 0; i < n; i++) {
        bytes_get_hash(&cursor, members->members[i].node_id);
        bytes_get_hash(&cursor, members->members[i].signing_key);
        bytes_get_hash(&cursor, members->members[i].noise_key);
    }
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "members: %zu bytes do not hold %u members", count, n);
    return SYSTEM_OK;
}

static enum system_error admins_read(struct config *config, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    uint8_t leaf = bytes_get_u8(&cursor), k = bytes_get_u8(&cursor), m = bytes_get_u8(&cursor), zero = bytes_get_u8(&cursor);
    bytes_require(&cursor, leaf == CONFIG_LEAF_ADMINS + 1 && zero == 0);
    if (cursor.failed) return system_fault_set(fault, SYSTEM_TRUNCATED, "administrators: not an administrators leaf");
    if (m < 1 || m > CONFIG_ADMINS_MAX) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "administrators: %u, must be 1 to %d", m, CONFIG_ADMINS_MAX);
    }
    config->admins_needed = k;
    config->admins_count = m;
    for (uint32_t i = 0; i < m; i++) {
        bytes_get_hash(&cursor, config->admins[i].admin_id);
        bytes_get_hash(&cursor, config->admins[i].key);
    }
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "administrators: %zu bytes do not hold %u of them", count, m);
    return SYSTEM_OK;
}

static enum system_error rows_read(void *base, const struct system_limit_row *rows, size_t rows_count, enum config_leaf expected,
                                   const uint8_t *bytes, size_t count, const char *list, struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    uint8_t leaf = bytes_get_u8(&cursor);
    uint16_t own_count = bytes_get_u16(&cursor);
    bytes_require(&cursor, leaf == expected + 1 && own_count == rows_count);
    for (size_t i = 0; i < rows_count; i++) {
        uint64_t value = bytes_get_u64(&cursor);
        if (cursor.failed) break;
        if (rows[i].bytes == 4 && value > UINT32_MAX) {
            return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s.%s: too large", list, rows[i].name);
        }
        system_limit_set(base, &rows[i], value);
    }
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "%s: not a leaf of %zu values", list, rows_count);
    return SYSTEM_OK;
}

static enum system_error version_read(struct config *config, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    uint8_t leaf = bytes_get_u8(&cursor);
    config->protocol_version = bytes_get_u32(&cursor);
    if (!bytes_finished(&cursor) || leaf != CONFIG_LEAF_VERSION + 1) return system_fault_set(fault, SYSTEM_TRUNCATED, "version: not a version leaf");
    return SYSTEM_OK;
}

static enum system_error system_read(struct config *config, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    uint8_t leaf = bytes_get_u8(&cursor);
    bytes_get_copy(&cursor, config->system_id, 16);
    bytes_get_copy(&cursor, config->partition_key, 16);
    config->succession = bytes_get_u16(&cursor);
    config->coordinators = bytes_get_u16(&cursor);
    config->shards = bytes_get_u16(&cursor);
    if (!bytes_finished(&cursor) || leaf != CONFIG_LEAF_SYSTEM + 1) return system_fault_set(fault, SYSTEM_TRUNCATED, "system: not a system leaf");
    return SYSTEM_OK;
}

static enum system_error leaf_read(struct config *config, enum config_leaf leaf, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    switch (leaf) {
    case CONFIG_LEAF_MEMBERS: return members_read(&config->members, bytes, count, fault);
    case CONFIG_LEAF_ADMINS: return admins_read(config, bytes, count, fault);
    case CONFIG_LEAF_LIMITS: return rows_read(&config->limits, system_limit_rows, SYSTEM_LIMITS_COUNT, leaf, bytes, count, "limits", fault);
    case CONFIG_LEAF_TIMEOUTS: return rows_read(&config->timeouts, system_timeout_rows, SYSTEM_TIMEOUTS_COUNT, leaf, bytes, count, "timeouts", fault);
    case CONFIG_LEAF_VERSION: return version_read(config, bytes, count, fault);
    case CONFIG_LEAF_SYSTEM: return system_read(config, bytes, count, fault);
    case CONFIG_LEAVES: break;
    }
    CHECK(false);
    return SYSTEM_TRUNCATED;
}

enum system_error config_decode(struct config *config, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct config read;
    memset(&read, 0, sizeof read);
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    for (int leaf = 0; leaf < CONFIG_LEAVES; leaf++) {
        uint32_t leaf_bytes = bytes_get_u32(&cursor);
        bytes_require(&cursor, leaf_bytes <= CONFIG_LEAF_BYTES_MAX);
        const uint8_t *at = bytes_get_raw(&cursor, leaf_bytes);
        if (!at) return system_fault_set(fault, SYSTEM_TRUNCATED, "CONFIG: leaf %d does not end within %zu bytes", leaf, count);
        enum system_error error = leaf_read(&read, (enum config_leaf)leaf, at, leaf_bytes, fault);
        if (error) return error;
    }
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "CONFIG: bytes after the last leaf");
    enum system_error error = config_check(&read, fault);
    if (!error) memcpy(config, &read, sizeof *config);
    return error;
}

/* ---- rules ---- */

static enum system_error members_check(const struct config_members *members, struct system_fault *fault) {
    if (!config_cluster_valid(members->cluster)) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "members.cluster: 0x%08x is none", members->cluster);
    }
    if (members->count < CONFIG_MEMBERS_MIN || members->count > CONFIG_MEMBERS_MAX) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "members: %u, must be %d to %d", members->count, CONFIG_MEMBERS_MIN, CONFIG_MEMBERS_MAX);
    }
    for (uint32_t i = 0; i < members->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct config_member *a = &members->members[i], *b = &members->members[j];
            if (memcmp(a->signing_key, b->signing_key, 32) != 0 && memcmp(a->noise_key, b->noise_key, 32) != 0 &&
                memcmp(a->node_id, b->node_id, 32) != 0) {
                continue;
            }
            return system_fault_set(fault, SYSTEM_KEY_TWICE, "members: %u and %u have a key or id in common", j, i);
        }
    }
    return SYSTEM_OK;
}

enum system_error config_members_decode(struct config_members *members, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct config_members read;
    memset(&read, 0, sizeof read);
    enum system_error error = members_read(&read, bytes, count, fault);
    if (!error) error = members_check(&read, fault);
    if (!error) memcpy(members, &read, sizeof *members);
    return error;
}

enum system_error config_check(const struct config *config, struct system_fault *fault) {
    enum system_error error = members_check(&config->members, fault);
    if (error) return error;
    uint32_t index = config_cluster_index(config->members.cluster);
    uint32_t of_its_sort = config_cluster_is_shard(config->members.cluster) ? config->shards : config->coordinators;
    if (config->coordinators < 1 || config->coordinators > CONFIG_CLUSTER_INDEX_MAX + 1 || config->shards < 1 ||
        config->shards > CONFIG_CLUSTER_INDEX_MAX + 1 || index >= of_its_sort) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "system: cluster 0x%08x is none of %u coordinators and %u shards", config->members.cluster,
                                config->coordinators, config->shards);
    }
    uint32_t k = config->admins_needed, m = config->admins_count;
    if (m < 1 || m > CONFIG_ADMINS_MAX || k > m || 2 * k <= m) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "administrators: %u of %u must be more than half, and no more than all of at most %d",
                                k, m, CONFIG_ADMINS_MAX);
    }
    for (uint32_t i = 1; i < m; i++) {
        if (memcmp(config->admins[i - 1].key, config->admins[i].key, 32) >= 0) {
            return system_fault_set(fault, SYSTEM_ORDER, "administrators: must ascend by key, none twice");
        }
    }
    error = system_limits_check(&config->limits, fault);
    if (error) return error;
    error = system_timeouts_check(&config->timeouts, fault);
    if (error) return error;
    if (config->protocol_version < 1 || config->protocol_version > UINT16_MAX) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "version: %u must be 1 to 65535", config->protocol_version);
    }
    return SYSTEM_OK;
}

/* ---- tree ---- */

static void leaf_hashes(const struct config *config, tree_hash hashes[CONFIG_LEAVES]) {
    for (int leaf = 0; leaf < CONFIG_LEAVES; leaf++) {
        uint8_t bytes[CONFIG_LEAF_BYTES_MAX];
        size_t count = config_leaf_encode(config, (enum config_leaf)leaf, bytes);
        tree_leaf_hash(bytes, count, hashes[leaf]);
    }
}

void config_hash(const struct config *config, uint8_t out[32]) {
    tree_hash hashes[CONFIG_LEAVES];
    leaf_hashes(config, hashes);
    tree_root((const tree_hash *)hashes, CONFIG_LEAVES, out);
}

size_t config_leaf_prove(const struct config *config, enum config_leaf leaf, uint8_t proof[CONFIG_PROOF_HASHES_MAX][32]) {
    CHECK((unsigned)leaf < CONFIG_LEAVES);
    tree_hash hashes[CONFIG_LEAVES], found[TREE_PROOF_HASHES_MAX];
    leaf_hashes(config, hashes);
    size_t count = tree_inclusion_prove((const tree_hash *)hashes, CONFIG_LEAVES, (size_t)leaf, found);
    CHECK(count <= CONFIG_PROOF_HASHES_MAX);
    memcpy(proof, found, count * 32);
    return count;
}

bool config_leaf_verify(const uint8_t root[32], enum config_leaf leaf, const uint8_t *bytes, size_t count, const uint8_t (*proof)[32],
                        size_t proof_hashes) {
    tree_hash hash;
    if ((unsigned)leaf >= CONFIG_LEAVES) return false;
    tree_leaf_hash(bytes, count, hash);
    return tree_inclusion_verify(hash, (uint64_t)leaf, CONFIG_LEAVES, proof, proof_hashes, root) == TREE_OK;
}

/* ---- members ---- */

static int member_find(const struct config_members *members, const uint8_t key[32], size_t offset) {
    for (uint32_t i = 0; i < members->count; i++) {
        if (memcmp((const uint8_t *)&members->members[i] + offset, key, 32) == 0) return (int)i;
    }
    return -1;
}

int config_member_by_signing_key(const struct config_members *members, const uint8_t key[32]) {
    return member_find(members, key, offsetof(struct config_member, signing_key));
}

int config_member_by_noise_key(const struct config_members *members, const uint8_t key[32]) {
    return member_find(members, key, offsetof(struct config_member, noise_key));
}

int config_member_by_node_id(const struct config_members *members, const uint8_t node_id[32]) {
    return member_find(members, node_id, offsetof(struct config_member, node_id));
}

/* ---- succession of CONFIGs ---- */

static bool member_kept(const struct config_members *members, const struct config_member *member) {
    int index = config_member_by_node_id(members, member->node_id);
    return index >= 0 && memcmp(&members->members[index], member, sizeof *member) == 0;
}

enum system_error config_succeeds(const struct config *before, const struct config *after, uint32_t *changed, struct system_fault *fault) {
    if (memcmp(before->system_id, after->system_id, 16) != 0 || memcmp(before->partition_key, after->partition_key, 16) != 0 ||
        before->succession != after->succession || before->coordinators != after->coordinators || before->shards != after->shards ||
        before->members.cluster != after->members.cluster) {
        return system_fault_set(fault, SYSTEM_FOREIGN, "CONFIG: of another system or cluster");
    }
    if (before->members.serial == UINT64_MAX || after->members.serial != before->members.serial + 1) {
        return system_fault_set(fault, SYSTEM_SERIAL, "CONFIG: serial %llu does not follow %llu", (unsigned long long)after->members.serial,
                                (unsigned long long)before->members.serial);
    }
    if (after->protocol_version < before->protocol_version) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "CONFIG: protocol version %u falls below %u", after->protocol_version,
                                before->protocol_version);
    }
    uint32_t added = 0, removed = 0;
    for (uint32_t i = 0; i < after->members.count; i++) {
        const struct config_member *member = &after->members.members[i];
        if (member_kept(&before->members, member)) continue;
        added++;
        /* A key that was in use here never comes back under another card: its voting memory would be two. */
        if (config_member_by_signing_key(&before->members, member->signing_key) >= 0 ||
            config_member_by_noise_key(&before->members, member->noise_key) >= 0 ||
            config_member_by_node_id(&before->members, member->node_id) >= 0) {
            return system_fault_set(fault, SYSTEM_KEY_TWICE, "CONFIG: new member %u uses a key of a present member", i);
        }
    }
    for (uint32_t i = 0; i < before->members.count; i++) removed += !member_kept(&after->members, &before->members.members[i]);
    uint32_t changes = added > removed ? added : removed;
    uint32_t f_before = config_faults(before->members.count), f_after = config_faults(after->members.count);
    uint32_t allowed = f_before < f_after ? f_before : f_after;
    if (changed) *changed = changes;
    if (changes > allowed) {
        return system_fault_set(fault, SYSTEM_CHANGE_TOO_LARGE, "CONFIG: %u members change at once, at most %u may", changes, allowed);
    }
    return SYSTEM_OK;
}
