#include "tests/scenario_replica/succession.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/base/message_type.h"
#include "appliance/node/node.h"
#include "appliance/replica/replica_private.h"
#include "protocol/backup.h"
#include "protocol/canonical.h"
#include "protocol/successor.h"

enum { SHARD = RW_CLUSTER, BACKUP_MS = 300, TRIES = 40, NONCE = 1 };

static const struct system *identity; /* of the world that is made next */

static void identity_take(struct world *world) {
    struct system *system = &world->system;
    memcpy(system->system_id, identity->system_id, sizeof system->system_id);
    memcpy(system->file_hash, identity->file_hash, sizeof system->file_hash);
    memcpy(system->predecessor_id, identity->predecessor_id, sizeof system->predecessor_id);
    memcpy(system->partition_key, identity->partition_key, sizeof system->partition_key);
    system->succession = identity->succession;
    for (uint32_t i = 0; i < identity->coordinators_count + identity->shards_count; i++) {
        world->clusters_of_system[i].origin_height = identity->clusters[i].origin_height;
        memcpy(world->clusters_of_system[i].origin_root, identity->clusters[i].origin_root, sizeof identity->clusters[i].origin_root);
    }
}

static void predecessor_prepare(struct world *world) {
    rs_administrators(world);
    identity = &rs_fixture()->assembly->system;
    identity_take(world);
}

struct replica_world *rs_predecessor(uint64_t seed) {
    return rw_create_wished(seed, &(struct rw_wishes){.checkpoint_blocks = RS_CHECKPOINT, .prepare = predecessor_prepare});
}

/* ---- writes ---- */

uint64_t rs_write_next(struct replica_world *rw, struct rs_writes *writes, uint64_t ms) {
    struct operation add = op_add("sum", 1);
    rs_must(rw, writes->count < sizeof writes->of / sizeof writes->of[0], "there is room for the script's writes");
    struct rs_write *write = &writes->of[writes->count++];
    const struct client_item *item = rw_ask(rw, BATCH_WRITE, writes->count, &add, 1, ms);
    *write = (struct rs_write){.nonce = rw->nonce, .height = item != NULL && item->code == CODE_OK ? item->height : 0};
    return write->height;
}

int rs_write_again(struct replica_world *rw, const struct rs_writes *writes, uint32_t number, struct client_item *out) {
    struct operation add = op_add("sum", 1);
    uint32_t nonce = rw->nonce;
    for (; rw->answer_count > 0; rw->answer_count--) free(rw->answers[rw->answer_count - 1].bytes);
    rw->nonce = writes->of[number - 1].nonce - 1;
    const struct client_item *item = rw_ask(rw, BATCH_WRITE, number, &add, 1, 20000);
    if (rw->nonce < nonce) rw->nonce = nonce;
    if (item == NULL) return -1;
    *out = *item;
    return item->code;
}

int64_t rs_sum(struct replica_world *rw) {
    struct operation get = op_get("sum", 100);
    int64_t value = 0;
    const struct client_item *item = rw_ask(rw, BATCH_READ, 0, &get, 1, 20000);
    rs_must(rw, item != NULL, "a read is answered");
    struct result result = world_result(item, 0);
    rs_must(rw, result.code == CODE_OK && operation_number_parse(result.value, result.value_bytes, &value), "the sum is there");
    return value;
}

/* ---- what is taken from the predecessor ---- */

struct taken {
    uint8_t *checkpoint, *piece; /* the newest of each that came */
    size_t checkpoint_bytes, piece_bytes;
};

static void taken_frame(void *context, uint16_t type, const uint8_t *bytes, size_t count) {
    struct taken *taken = context;
    if (type != MESSAGE_CHECKPOINT && type != MESSAGE_PIECE) return;
    uint8_t **at = type == MESSAGE_PIECE ? &taken->piece : &taken->checkpoint;
    free(*at);
    *at = malloc(count);
    CHECK(*at != NULL);
    memcpy(*at, bytes, count);
    *(type == MESSAGE_PIECE ? &taken->piece_bytes : &taken->checkpoint_bytes) = count;
}

/* The newest that the node shows, as the file of a backup has it (P-80); NULL: none yet. */
static struct backup *backup_head(struct replica_world *rw, const struct taken *taken) {
    static struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    static struct signer signer;
    uint64_t nonce;
    uint16_t count = 0;
    if (taken->checkpoint == NULL || checkpoint_message_decode(taken->checkpoint, taken->checkpoint_bytes, &nonce, shown, &count) != CHECKPOINT_OK)
        return NULL;
    if (count == 0 || nonce != NONCE) return NULL;
    const struct checkpoint_shown *newest = &shown[0];
    if (count > 1 && shown[1].manifest.height > newest->manifest.height) newest = &shown[1];
    size_t room = taken->checkpoint_bytes + 64;
    uint8_t *file = malloc(room), chain[CONFIG_CHAIN_HEAD_BYTES];
    CHECK(file != NULL);
    struct bytes_writer writer = bytes_writer_of(file, room), head = bytes_writer_of(chain, sizeof chain);
    checkpoint_message_head_put(&writer, 0, 1);
    checkpoint_shown_put(&writer, newest);
    config_chain_head_encode(&head, SHARD_CLUSTER_BASE, 0, 1);
    CHECK(!writer.failed && !head.failed);
    struct backup *backup = NULL;
    struct backup_fault fault = {.error = BACKUP_OK};
    signer = keyed_signer_of(NULL);
    enum backup_error error = backup_begin(&backup, &rw->world->system, &signer, chain, head.used, file, writer.used, &fault);
    rs_must(rw, error == BACKUP_OK, "the checkpoint that a node shows is proved");
    free(file);
    return backup;
}

/* Its whole state in one piece, proved; the piece is the heritage's then. False: the node is busy. */
static bool state_take(struct replica_world *rw, struct taken *taken, struct backup *backup, struct rs_heritage *heritage) {
    struct checkpoint_piece_query query = {.kind = CHECKPOINT_ENTRIES};
    struct checkpoint_piece piece;
    struct checkpoint_entry entry;
    struct bytes_cursor entries;
    struct backup_name name;
    struct backup_fault fault;
    uint8_t bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    uint64_t count = 0;
    backup_manifest_hash(backup, query.manifest_hash);
    checkpoint_piece_query_encode(&query, bytes);
    free(taken->piece);
    taken->piece = NULL;
    rw_send(rw, SHARD, MESSAGE_PIECE_QUERY, bytes, sizeof bytes);
    rw_run(rw, BACKUP_MS);
    if (taken->piece == NULL || checkpoint_piece_decode(taken->piece, taken->piece_bytes, &piece) != CHECKPOINT_OK) return false;
    if (piece.code != CHECKPOINT_PIECE_OK) return false;
    backup_name_piece(&name, 0, 0);
    bool good = backup_piece(backup, &name, taken->piece, taken->piece_bytes, true, &entries, &count, &fault) == BACKUP_OK &&
                backup_state_end(backup, &fault) == BACKUP_OK;
    rs_must(rw, good, "the state under it is proved");
    heritage->height = backup_shown(backup)->manifest.height;
    memcpy(heritage->root, backup_shown(backup)->manifest.state_root, sizeof heritage->root);
    heritage->kept = calloc(count + 1, sizeof *heritage->kept);
    CHECK(heritage->kept != NULL);
    for (; count > 0; count--) {
        CHECK(checkpoint_entry_get(&entries, &entry));
        if (!successor_keeps(&entry)) continue;
        heritage->kept[heritage->kept_count++] = (struct table_entry){.key = entry.key,
                                                                      .value = entry.value,
                                                                      .version = {.height = entry.version_height, .index = entry.version_index},
                                                                      .value_bytes = entry.value_bytes,
                                                                      .key_bytes = entry.key_bytes,
                                                                      .space = entry.space};
    }
    heritage->piece = taken->piece;
    taken->piece = NULL;
    return true;
}

void rs_heritage_take(struct replica_world *rw, struct rs_writes *writes, struct rs_heritage *heritage) {
    struct taken taken = {.piece = NULL};
    struct backup *backup = NULL;
    uint8_t query[CHECKPOINT_QUERY_BYTES];
    memset(heritage, 0, sizeof *heritage);
    rw->frame = taken_frame;
    rw->frame_context = &taken;
    checkpoint_query_encode(&(struct checkpoint_query){.nonce = NONCE, .height = RS_CHECKPOINT}, query);
    for (uint32_t tries = 0; heritage->piece == NULL; tries++) {
        rs_must(rw, tries < TRIES, "a backup is taken");
        rs_must(rw, rs_write_next(rw, writes, 20000) > 0, "writes are answered");
        rw_send(rw, SHARD, MESSAGE_CHECKPOINT_QUERY, query, sizeof query);
        rw_run(rw, BACKUP_MS);
        backup_free(backup);
        backup = backup_head(rw, &taken);
        if (backup != NULL) (void)state_take(rw, &taken, backup, heritage);
    }
    rw->frame = NULL;
    backup_free(backup);
    free(taken.checkpoint);
    free(taken.piece);
}

void rs_heritage_free(struct rs_heritage *heritage) {
    free(heritage->kept);
    free(heritage->piece);
}

/* ---- files ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void rs_folder_make(char folder[64]) {
    const char *top = getenv("TMPDIR");
    snprintf(folder, 64, "%.40s/rs-XXXXXX", top != NULL && strlen(top) < 40 ? top : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
}

void rs_folder_remove(const char *folder) {
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void bytes_write(const char *folder, const char *name, const void *bytes, size_t count) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(canonical_write_new(path, bytes, count, 0600, NULL) == SYSTEM_OK);
}

void rs_files_write(const struct fixture *of, const char *folder, bool key) {
    char path[256];
    uint8_t chain[CONFIG_CHAIN_HEAD_BYTES];
    struct addresses addresses = {.count = 0}; /* nobody is called */
    size_t count = 0;
    CHECK(mkdir(folder, 0700) == 0);
    snprintf(path, sizeof path, "%s/system.json", folder);
    CHECK(assembly_write(of->assembly, path, NULL) == SYSTEM_OK);
    memcpy(addresses.system_id, of->assembly->system.system_id, sizeof addresses.system_id);
    char *text = addresses_encode_json(&addresses, &count);
    CHECK(text != NULL);
    bytes_write(folder, "addresses.json", text, count);
    free(text);
    struct bytes_writer head = bytes_writer_of(chain, sizeof chain);
    config_chain_head_encode(&head, CONFIG_CLUSTER_COORDINATOR, 0, 1);
    bytes_write(folder, "chain", chain, head.used);
    snprintf(path, sizeof path, "%s/client.key", folder);
    if (key) CHECK(keyfile_create(&of->clients[0], path, NULL) == SYSTEM_OK);
}

/* ---- successors ---- */

void rs_successor_make(struct rs_successor *successor, const struct rs_heritage *heritage, const char *folder, const char *name, uint32_t signers) {
    const struct fixture *old = rs_fixture();
    const struct system *before = &old->assembly->system;
    successor->fixture = fixture_new(old->entropy.seed, old->coordinators, old->shards, old->nodes_count);
    struct assembly *assembly = successor->fixture->assembly;
    struct system *system = &assembly->system;
    snprintf(system->name, sizeof system->name, "%s", name);
    system->succession = (uint16_t)(before->succession + 1);
    memcpy(system->predecessor_id, before->system_id, sizeof system->predecessor_id);
    memcpy(system->partition_key, before->partition_key, sizeof system->partition_key);
    assembly->shards[0].origin_height = heritage->height;
    memcpy(assembly->shards[0].origin_root, heritage->root, sizeof heritage->root);
    CHECK(assembly_finish(assembly, NULL) == SYSTEM_OK);
    struct claim_successor *statement = &successor->statement;
    *statement = (struct claim_successor){.signatures_count = 0};
    memcpy(statement->predecessor_id, before->system_id, sizeof statement->predecessor_id);
    memcpy(statement->successor_id, system->system_id, sizeof statement->successor_id);
    memcpy(statement->successor_hash, system->file_hash, sizeof statement->successor_hash);
    for (uint32_t i = 0; i < FIXTURE_ADMINS; i++) {
        if (signers >> i & 1) CHECK(claim_successor_sign(statement, &old->admins[i].signing));
    }
    uint8_t bytes[CLAIM_SUCCESSOR_BYTES_MAX];
    size_t count = claim_successor_encode(statement, bytes);
    snprintf(successor->folder, sizeof successor->folder, "%s/%s", folder, name);
    rs_files_write(successor->fixture, successor->folder, false);
    bytes_write(successor->folder, "statement", bytes, count);
}

void rs_successor_free(struct rs_successor *successor) {
    fixture_free(successor->fixture);
}

bool rs_successor_valid(struct replica_world *rw, uint32_t node, const struct rs_successor *successor) {
    const struct system *system = &successor->fixture->assembly->system;
    struct system_fault fault;
    return successor_follows(&rw->world->system, system, &fault) == SYSTEM_OK &&
           claim_successor_verify(&successor->statement, replica_config_in_force(rw->nodes[node].replica), system, &fault) == SYSTEM_OK;
}

struct replica_world *rs_successor_world(uint64_t seed, const struct rs_successor *successor, const struct rs_heritage *heritage) {
    identity = &successor->fixture->assembly->system;
    return rw_create_wished(seed, &(struct rw_wishes){.prepare = identity_take, .kept = heritage->kept, .kept_count = heritage->kept_count});
}

void rs_successor_show(struct replica_world *rw, uint32_t node, const char *data, const struct rs_successor *successor) {
    char folder[200], path[300], id[33];
    struct node *shell = calloc(1, sizeof *shell);
    size_t count = 0;
    CHECK(shell != NULL);
    shell->system = &rw->world->system;
    shell->replica = rw->nodes[node].replica;
    canonical_hex_print(successor->statement.successor_id, 16, id);
    snprintf(shell->config.data, sizeof shell->config.data, "%s/node-%u-%s", data, node, id);
    snprintf(folder, sizeof folder, "%s/node-%u-%s/successors", data, node, id);
    if (access(folder, F_OK) != 0) { /* else it was shown before */
        uint8_t bytes[CLAIM_SUCCESSOR_BYTES_MAX];
        char *text = system_encode_json(&successor->fixture->assembly->system, &count);
        CHECK(text != NULL && mkdir(shell->config.data, 0700) == 0 && mkdir(folder, 0700) == 0);
        snprintf(path, sizeof path, "%s.json", id);
        bytes_write(folder, path, text, count);
        snprintf(path, sizeof path, "%s.statement", id);
        bytes_write(folder, path, bytes, claim_successor_encode(&successor->statement, bytes));
        free(text);
    }
    node_successors_look(shell, rw->now_us / 1000);
    free(shell);
}
