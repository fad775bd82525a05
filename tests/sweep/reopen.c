#include "tests/sweep/reopen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "merkle/check.h"
#include "protocol/system.h"

enum { MAP_BYTES = 1 << 30, SLOTS = 64, WALL_MS = 1700000000 };

static uint64_t mix(uint64_t hash, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    uint64_t word;
    hash = (hash ^ count) * UINT64_C(0x9E3779B97F4A7C15);
    for (; count >= 8; at += 8, count -= 8) {
        memcpy(&word, at, 8);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    for (; count > 0; count--) hash = (hash ^ *at++) * UINT64_C(0x100000001B3);
    return hash;
}

static void fail(struct reopened *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct reopened *out, const char *format, ...) {
    va_list arguments;
    if (out->text[0] != '\0') return;
    va_start(arguments, format);
    vsnprintf(out->text, sizeof out->text, format, arguments);
    va_end(arguments);
}

struct store_identity reopen_store_identity(void) {
    struct store_identity identity = {.cluster = 7, .member = 1};
    memset(identity.system_id, 0xA1, sizeof identity.system_id);
    memset(identity.node_id, 0xA2, sizeof identity.node_id);
    return identity;
}

/* ---- the write-ahead store ---- */

static void body_add(struct reopened *out, const uint8_t *key) {
    uint64_t epoch, height;
    const uint8_t *id;
    uint8_t part;
    wal_key_block_read(key, &epoch, &height, &id, &part);
    if (part != WAL_PART_BODY) return;
    if (out->body_count == out->body_room) {
        out->body_room = out->body_room == 0 ? 256 : 2 * out->body_room;
        out->bodies = realloc(out->bodies, out->body_room * sizeof *out->bodies);
        CHECK(out->bodies != NULL);
    }
    out->bodies[out->body_count++] = height;
}

/* Every record is read whole: what does not fit its checksum is a finding, wherever it lies. */
static void wal_look(struct wal *wal, struct reopened *out) {
    static uint8_t value[WAL_VALUE_BYTES_MAX / 16];
    struct wal_reader *reader;
    CHECK(wal_reader_open(wal, &reader) == STORE_OK);
    out->wal_hash = 1;
    for (int db = 0; db < WAL_DB_COUNT; db++) {
        uint8_t key[WAL_KEY_BYTES_MAX] = {0};
        enum store_status status = wal_read_next(reader, (enum wal_db)db, key, false);
        while (status == STORE_OK) {
            size_t count = 0;
            status = wal_read(reader, (enum wal_db)db, key, value, sizeof value, &count);
            if (status != STORE_OK) break;
            out->wal_hash = mix(mix(out->wal_hash, key, wal_key_bytes((enum wal_db)db)), value, count);
            if (db == WAL_BLOCKS) body_add(out, key);
            status = wal_read_next(reader, (enum wal_db)db, key, true);
        }
        if (status != STORE_ABSENT) fail(out, "database %d of the wal: %s", db, store_status_name(status));
    }
    wal_reader_close(reader);
}

/* ---- checkpoints ---- */

static bool state_look(struct state *state, uint64_t *hash, enum reopen_state *found) {
    static const char *const blobs[] = {EXECUTOR_WORK_BLOB, "tip", "child", "queues", "chain", "blob"};
    static uint8_t value[1 << 24];
    struct state_reader *reader;
    *found = REOPEN_STATE_NONE;
    *hash = 1;
    enum store_status status = state_reader_open(state, &reader);
    if (status == STORE_ABSENT) return true;
    if (status != STORE_OK) return false;
    *found = REOPEN_STATE_WHOLE;
    const struct state_checkpoint *checkpoint = state_reader_checkpoint(reader);
    *hash = mix(mix(*hash, &checkpoint->height, 8), checkpoint->state_root, 32);
    struct table_entry entry;
    while ((status = state_read_entry(reader, &entry, NULL)) == STORE_OK) {
        *hash = mix(mix(*hash, entry.key, entry.key_bytes), entry.value, entry.value_bytes);
        *hash = mix(mix(*hash, &entry.version.height, 8), &entry.version.index, 4);
    }
    bool good = status == STORE_ABSENT;
    for (size_t i = 0; i < sizeof blobs / sizeof blobs[0]; i++) {
        size_t count = 0;
        status = state_read_blob(reader, blobs[i], value, sizeof value, &count);
        if (status == STORE_OK) *hash = mix(*hash, value, count);
        good = good && (status == STORE_OK || status == STORE_ABSENT);
    }
    state_reader_close(reader);
    return good;
}

static struct state *state_look_in(const struct store_directory *directory, const struct store_identity *identity, bool transfer, uint64_t *hash,
                                   enum reopen_state *found, char text[NODE_TEXT_BYTES]) {
    struct state_config config = {
        .directory = directory, .transfer = transfer, .identity = *identity, .map_bytes = MAP_BYTES, .queue_slots = SLOTS, .cpu = -1};
    struct store_error error;
    struct state *state = NULL;
    *found = REOPEN_STATE_LOST;
    if (state_open(&config, &state, &error) != STORE_OK) {
        snprintf(text, NODE_TEXT_BYTES, "%s", error.text);
        return NULL;
    }
    if (state_look(state, hash, found)) return state;
    snprintf(text, NODE_TEXT_BYTES, "the checkpoint cannot be read");
    *found = REOPEN_STATE_LOST;
    (void)state_close(state);
    return NULL;
}

/* ---- the node ---- */

bool reopen_node_load(struct node *node, const char *config_path, char text[NODE_TEXT_BYTES]) {
    char line[NODE_CONFIG_TEXT_BYTES];
    struct system_fault fault;
    memset(node, 0, sizeof *node);
    node->key.lock = -1;
    snprintf(text, NODE_TEXT_BYTES, "the node's files cannot be read");
    if (!ed25519_start(NULL) || !node_config_load(config_path, &node->config, line)) return false;
    if (system_load(&node->system, node->config.system, &fault) != SYSTEM_OK) return false;
    if (keyfile_open(&node->key, KEYFILE_NODE, node->config.key, false, &fault) != SYSTEM_OK) return false;
    if (system_node_by_signing_key(node->system, node->key.signing_key, &node->cluster, &node->member) == NULL) return false;
    node->identity = (struct store_identity){.cluster = node->cluster, .member = node->member};
    memcpy(node->identity.system_id, node->system->system_id, sizeof node->identity.system_id);
    memcpy(node->identity.node_id, node->key.card_id, sizeof node->identity.node_id);
    return true;
}

void reopen_node_unload(struct node *node) {
    keyfile_close(&node->key);
    system_free(node->system);
}

static void replica_make(struct node *node) {
    struct executor_config executor = {
        .system = node->system, .cluster = node->cluster, .blocks_kept_max = EXEC_KEPT_MAX, .open_max = EXEC_OPEN_MAX, .hash_key = {1}};
    CHECK(executor_create(&executor, &node->executor) == EXEC_VALID);
    executor_genesis(node->executor, node->genesis_root);
    node->execution = execution_create(node->executor, node->state);
    struct replica_config replica = {.system = node->system,
                                     .cluster = node->cluster,
                                     .member = node->member,
                                     .signer = signer_ed25519(&node->key.signing),
                                     .now_ms = 1000,
                                     .wall_ms = WALL_MS,
                                     .nonce = {1}};
    memcpy(replica.signing_key, node->key.signing_key, sizeof replica.signing_key);
    memcpy(replica.noise_key, node->key.noise_key, sizeof replica.noise_key);
    memcpy(replica.genesis_root, node->genesis_root, 32);
    node->replica = replica_create(&replica);
    CHECK(node->execution != NULL && node->replica != NULL);
}

/* From restoring to the moment when the node would ask LAST-SIGNED: no link is up, so it says nothing to anybody. */
static void node_look(struct node *node, struct reopened *out) {
    static char text[NODE_TEXT_BYTES];
    replica_make(node);
    enum node_restored restored = node_restore(node, text);
    if (restored != NODE_RESTORED) {
        fail(out, "%s: %s", restored == NODE_STATE_LOST ? "the checkpoint is lost" : "does not start", text);
    } else {
        struct replica_output output;
        replica_tick(node->replica, 1001, 1001000);
        replica_start(node->replica);
        while (replica_next(node->replica, &output)) {
            if (output.kind == REPLICA_STOP) fail(out, "stops: %s", output.text);
            if (output.kind != REPLICA_JOB) continue;
            execution_run(node->execution, output.job);
            replica_job_done(node->replica, output.job);
        }
        out->has_memory = true;
        out->memory = node->replica->core->memory;
        out->tip_height = node->replica->tip_height;
        out->checkpoint_height = node->replica->checkpoint_height;
    }
    replica_destroy(node->replica);
    /* What a replay gave to the store of checkpoints must be taken before its memory goes. */
    (void)state_close(node->state);
    node->state = NULL;
    execution_destroy(node->execution);
    executor_destroy(node->executor);
    node->replica = NULL;
}

void reopen(const char *path, struct node *node, struct reopened *out) {
    struct store_directory *directory;
    struct store_error error;
    struct store_identity identity = node != NULL ? node->identity : reopen_store_identity();
    char why[NODE_TEXT_BYTES] = "";
    enum reopen_state found;
    reopened_free(out);
    memset(out, 0, sizeof *out);
    if (store_directory_open(path, &directory, &error) != STORE_OK) {
        fail(out, "%s", error.text);
        return;
    }
    struct wal_config config = {.directory = directory, .identity = identity, .map_bytes = MAP_BYTES, .queue_slots = SLOTS, .cpu = -1};
    struct wal *wal = NULL;
    out->opened = wal_open(&config, &wal, &error) == STORE_OK;
    if (!out->opened) fail(out, "%s", error.text);
    if (out->opened) wal_look(wal, out);
    struct state *state = state_look_in(directory, &identity, false, &out->state_hash, &out->state, why);
    if (node != NULL && out->opened && state != NULL && out->text[0] == '\0') {
        snprintf(node->config.data, sizeof node->config.data, "%s", path);
        node->wal = wal;
        node->state = state;
        node_look(node, out);
        state = NULL;
    }
    if (node != NULL && out->state == REOPEN_STATE_LOST) fail(out, "%s", why);
    if (state != NULL) (void)state_close(state);
    if (node == NULL && store_transfer_exists(directory)) {
        state = state_look_in(directory, &identity, true, &out->transfer_hash, &found, why);
        out->transfer = state != NULL && found == REOPEN_STATE_WHOLE;
        if (state != NULL) (void)state_close(state);
    }
    if (wal != NULL) (void)wal_close(wal);
    store_directory_close(directory);
}

bool reopened_has_body(const struct reopened *reopened, uint64_t height) {
    for (uint32_t i = 0; i < reopened->body_count; i++) {
        if (reopened->bodies[i] == height) return true;
    }
    return false;
}

void reopened_free(struct reopened *reopened) {
    free(reopened->bodies);
    reopened->bodies = NULL;
    reopened->body_count = reopened->body_room = 0;
}
