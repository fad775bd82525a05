/*
 * Administrators sign two successors of one predecessor (S-143, B-81), which begin from the same state with the same keys. Half of the old nodes is
 * shown the one first, half the other: each leaves for the first that it was shown, for good, refuses the second, and keeps both statements, which
 * convict who signed both. A client's journal follows one and no other. What the one system decides, its answers (so its receipts) and its slices, is
 * nothing in the other.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "client/heraclius.h"
#include "protocol/evidence.h"
#include "tests/scenario_replica/succession.h"

enum { FOLDER_BYTES = 64, PATH_BYTES = 160, SHARD = RW_CLUSTER, BOTH = 0 /* the administrator who signs both */ };

/* ---- old nodes ---- */

/* All have left the old system for the first that they were shown: even ones for `first`, odd ones for `second`. */
static bool each_stays(struct replica_world *old, const struct rs_successor *first, const struct rs_successor *second) {
    struct claim_successor held;
    for (uint32_t node = 0; node < RW_NODES; node++) {
        const struct claim_successor *wanted = node % 2 == 0 ? &first->statement : &second->statement;
        const struct blob *blob = old->nodes[node].replica->successor;
        bool stays = rw_status(old, node)->phase == PHASE_SUCCEEDED && blob != NULL &&
                     claim_successor_decode(&held, blob->bytes, blob->count, NULL) == SYSTEM_OK &&
                     memcmp(held.successor_hash, wanted->successor_hash, sizeof held.successor_hash) == 0;
        if (!stays) return false;
    }
    return true;
}

/* Every node kept evidence, and it convicts that administrator alone. */
static bool each_convicts(struct replica_world *old) {
    static struct evidence evidence;
    static struct config config;
    const uint8_t *guilty = rs_fixture()->admins[BOTH].signing_key;
    for (uint32_t node = 0; node < RW_NODES; node++) {
        const struct rw_evidence *file = &old->nodes[node].evidence[0];
        uint32_t both = 0, wanted = 0;
        if (old->nodes[node].evidence_count == 0 || evidence_decode(file->bytes, file->count, &evidence) != EVIDENCE_OK) return false;
        CHECK(system_config(&old->world->system, old->nodes[node].cluster, &config));
        for (uint32_t i = 0; i < config.admins_count; i++) wanted |= (uint32_t)(memcmp(config.admins[i].key, guilty, 32) == 0) << i;
        if (evidence_verify_successors(&evidence, &config, &both) != EVIDENCE_OK || both != wanted) return false;
    }
    return true;
}

/* ---- a client ---- */

/* With one key and journal, as a client of the old system (NULL) or as one who follows. */
static enum heraclius_status opens(const char *folder, const struct rs_successor *follows, char *why) {
    char key[PATH_BYTES], before[PATH_BYTES], system[PATH_BYTES], statement[PATH_BYTES], chain[PATH_BYTES];
    struct heraclius *db = NULL;
    snprintf(key, sizeof key, "%s/old/client.key", folder);
    snprintf(before, sizeof before, "%s/old/system.json", folder);
    struct heraclius_options options = {.system_path = before, .key_path = key};
    if (follows != NULL) {
        snprintf(system, sizeof system, "%s/system.json", follows->folder);
        snprintf(statement, sizeof statement, "%s/statement", follows->folder);
        options.system_path = system;
        snprintf(chain, sizeof chain, "%s/old/chain", folder);
        options.predecessor_path = before;
        options.predecessor_chain_path = chain;
        options.statement_path = statement;
    }
    enum heraclius_status status = heraclius_open(&db, &options, why);
    heraclius_close(db);
    return status;
}

static void client_follows_one(struct replica_world *old, const char *folder, const struct rs_successor *first, const struct rs_successor *second) {
    char why[HERACLIUS_TEXT_BYTES];
    rs_must(old, opens(folder, NULL, why) == HERACLIUS_OK, "the client has a journal of the old system");
    rs_must(old, opens(folder, first, why) == HERACLIUS_OK, "it follows the one that it is shown");
    rs_must(old, opens(folder, second, why) == HERACLIUS_BAD_FILE && strstr(why, "another system") != NULL,
            "it refuses the other one, whose statement is as valid");
    rs_must(old, opens(folder, NULL, why) == HERACLIUS_BAD_FILE, "and the old system is no more for it");
    rs_must(old, opens(folder, first, why) == HERACLIUS_OK, "it goes on with the first");
}

/* ---- the two systems ---- */

static struct {
    uint8_t *bytes;
    size_t count;
} slice, answer; /* the newest that was seen */

static void kept(uint8_t **at, size_t *count, const uint8_t *bytes, size_t bytes_count) {
    free(*at);
    *at = malloc(bytes_count);
    CHECK(*at != NULL);
    memcpy(*at, bytes, bytes_count);
    *count = bytes_count;
}

static bool coordinator_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    if (type == MESSAGE_COMPACT_DECISION && from.kind == REPLICA_FOREIGN) kept(&slice.bytes, &slice.count, blob_piece_bytes(&payload), payload.count);
    return true;
}

static void client_frame(void *context, uint16_t type, const uint8_t *bytes, size_t count) {
    (void)context;
    if (type == MESSAGE_ANSWER) kept(&answer.bytes, &answer.count, bytes, count);
}

static bool answer_counts(const struct replica_world *rw) {
    static struct decision decision;
    struct signer signer = keyed_signer_of(NULL);
    CHECK(decision_decode(answer.bytes, answer.count, &decision) == DECISION_OK);
    return decision_verify(&decision, &rw->epochs[0], &signer, NULL) == DECISION_OK;
}

static void neither_counts_in_the_other(struct replica_world *one, struct replica_world *other, struct rs_writes *writes) {
    struct replica_peer source = {.kind = REPLICA_FOREIGN, .member = 1, .index = SHARD_CLUSTER_BASE};
    other->nodes[0].hooks.frame = coordinator_frame;
    other->frame = client_frame;
    rs_must(other, rs_write_next(other, writes, 20000) > 0 && slice.bytes != NULL && answer.bytes != NULL, "the other one decides");
    rs_must(one, answer_counts(other) && !answer_counts(one), "its answers are none for who follows the one, though the same keys signed them");
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        uint64_t drops = rw_status(one, node)->drops[DROP_SLICE_CERTIFICATE];
        rw_inject(one, source, node, MESSAGE_COMPACT_DECISION, slice.bytes, slice.count);
        rs_must(one, rw_status(one, node)->drops[DROP_SLICE_CERTIFICATE] == drops + 1, "nor are its shard's slices for the one's coordinators");
    }
    rs_must(one, rs_write_next(one, writes, 20000) > 0, "the one goes on");
}

int main(int argc, char **argv) {
    static struct rs_writes writes;
    static struct rs_heritage heritage;
    static struct rs_successor first, second;
    char folder[FOLDER_BYTES], files[FOLDER_BYTES + 8];
    uint64_t seed = rs_begin(argc, argv, "S-143, B-81");
    struct replica_world *old = rs_predecessor(seed);
    rs_folder_make(folder);
    snprintf(files, sizeof files, "%s/old", folder);
    rs_files_write(rs_fixture(), files, true);
    rw_run(old, 300);
    rs_heritage_take(old, &writes, &heritage);
    rs_successor_make(&first, &heritage, folder, "first", 1u << BOTH | 1u << 2);
    rs_successor_make(&second, &heritage, folder, "second", 1u << BOTH | 1u << 1);
    rs_must(old, rs_successor_valid(old, 0, &first) && rs_successor_valid(old, 0, &second), "both are signed well enough");

    for (uint32_t node = 0; node < RW_NODES; node++) rs_successor_show(old, node, folder, node % 2 == 0 ? &first : &second);
    rw_run(old, 300);
    for (uint32_t node = 0; node < RW_NODES; node++) rs_successor_show(old, node, folder, node % 2 == 0 ? &second : &first);
    rw_run(old, 300);
    rs_must(old, each_stays(old, &first, &second), "each has left, for the one that it was shown first");
    rs_must(old, each_convicts(old), "each keeps evidence, which convicts who signed both, and nobody else");
    for (uint32_t node = 0; node < RW_NODES; node++) rw_crash(old, node);
    for (uint32_t node = 0; node < RW_NODES; node++) rw_restart(old, node);
    for (uint32_t node = 0; node < RW_NODES; node++) {
        rs_successor_show(old, node, folder, &second);
        rs_successor_show(old, node, folder, &first);
    }
    rs_must(old, rs_write_next(old, &writes, 3000) == 0, "the old system decides nothing more");
    rs_must(old, each_stays(old, &first, &second), "and nobody changes over, restarted and shown both again");
    client_follows_one(old, folder, &first, &second);

    struct replica_world *one = rs_successor_world(seed + 1, &first, &heritage), *other = rs_successor_world(seed + 2, &second, &heritage);
    rw_run(one, 300);
    rw_run(other, 300);
    neither_counts_in_the_other(one, other, &writes);
    rw_destroy(old);
    rw_destroy(other);
    int code = rs_end(one);
    rs_successor_free(&first);
    rs_successor_free(&second);
    rs_heritage_free(&heritage);
    rs_folder_remove(folder);
    free(slice.bytes);
    free(answer.bytes);
    return code;
}
