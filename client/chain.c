/*
 * The chains of CONFIGs as this client knows them (spec/system.md 7.8, O-60): by which members a certificate of an epoch is judged.
 *
 * A node is asked for what comes after when its link comes up, and again when something of a later epoch comes; what waits for the answer is kept,
 * up to a bound, and looked at then. Nobody's word counts: every step is verified. Chains are kept beside the key, in KEYFILE.chain, so that a client
 * knows on its next start whose certificates are void; a file that does not verify is fetched anew.
 *
 * The file is, for each cluster that has one: u32 length, CONFIG_CHAIN payload from serial 1 on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/client.h"
#include "merkle/check.h"

enum {
    MESSAGE_CONFIG_QUERY = 0x0113,
    HELD_BYTES_MAX = 4 << 20, /* of one node; an answer beyond it is sent again when it is asked for again */
    FILE_BYTES_MAX = 1 << 28,
};

static uint32_t clusters_of(const struct heraclius *db) {
    return db->system->coordinators_count + db->system->shards_count;
}

static uint32_t index_of(const struct heraclius *db, uint32_t cluster) {
    uint32_t index = 0;
    while (index < clusters_of(db) && db->system->clusters[index].cluster != cluster) index++;
    return index;
}

struct client_chain *client_chain_find(const struct heraclius *db, uint32_t cluster) {
    uint32_t index = index_of(db, cluster);
    return index < clusters_of(db) ? &db->config_chains[index] : NULL;
}

static bool epoch_push(struct heraclius *db, struct client_chain *chain) {
    struct bft_members *grown = realloc(chain->epochs, (chain->epoch_count + 1) * sizeof *grown);
    if (!grown) return false;
    chain->epochs = grown;
    chain->epochs[chain->epoch_count++] = chain->chain->members;
    db->members[chain - db->config_chains] = chain->chain->members;
    return true;
}

static const struct card *card_of(const struct card *cards, uint32_t count, const uint8_t node_id[32]) {
    for (uint32_t i = 0; i < count; i++) {
        if (memcmp(cards[i].id, node_id, 32) == 0) return &cards[i];
    }
    return NULL;
}

/* Who a CONFIG put into a place is asked from now on, and nobody at a place that is no more. */
static bool places_follow(struct heraclius *db, struct client_chain *chain) {
    const struct config_members *members = &chain->chain->config.members;
    const struct admin_op *operation = &chain->chain->operation;
    struct card *before = calloc(BFT_MEMBERS_MAX, sizeof *before);
    bool good = before != NULL;
    for (uint32_t i = 0; good && i < db->node_count; i++) {
        const struct node *node = &db->nodes[i];
        if (node->cluster == members->cluster && node->card) before[node->member] = *node->card;
    }
    for (uint32_t i = 0; good && i < db->node_count; i++) {
        struct node *node = &db->nodes[i];
        if (node->cluster != members->cluster) continue;
        if (node->member >= members->count && node->card) client_node_replace(node, NULL);
        if (node->member >= members->count || (node->card && memcmp(members->members[node->member].node_id, node->card->id, 32) == 0)) continue;
        const struct card *is = card_of(operation->nodes, operation->nodes_count, members->members[node->member].node_id);
        if (!is) is = card_of(before, BFT_MEMBERS_MAX, members->members[node->member].node_id); /* it moved */
        struct card *card = is ? malloc(sizeof *card) : NULL;
        if (is && !card) good = false;
        if (card) *card = *is;
        client_node_replace(node, card);
    }
    free(before);
    return good;
}

/* One more entry, verified. False: it does not follow, or no memory. */
static bool step(struct heraclius *db, struct client_chain *chain, const uint8_t *entry, size_t entry_bytes) {
    size_t used = chain->entries.used;
    uint8_t *at = client_buffer_space(&chain->entries, 4 + entry_bytes);
    if (!at) return false;
    bytes_put_le32(at, (uint32_t)entry_bytes);
    memcpy(at + 4, entry, entry_bytes);
    struct system_fault fault;
    if (config_chain_step(chain->chain, entry, entry_bytes, &db->signer, &fault) != SYSTEM_OK) {
        chain->entries.used = used;
        return false;
    }
    chain->entry_count++;
    chain->epochs[chain->epoch_count - 1] = chain->chain->sealed ? chain->chain->members : chain->chain->before;
    return chain->chain->sealed || (epoch_push(db, chain) && places_follow(db, chain));
}

/* Takes what is new of a payload; *steps counts it. False: something in it does not verify. */
static bool extend(struct heraclius *db, struct client_chain *chain, const uint8_t *payload, size_t payload_bytes, uint32_t *steps) {
    struct config_chain_reader reader;
    const uint8_t *entry;
    size_t entry_bytes;
    *steps = 0;
    if (config_chain_read(&reader, chain->chain->config.members.cluster, payload, payload_bytes, NULL) != SYSTEM_OK) return false;
    while (config_chain_next(&reader, &entry, &entry_bytes)) {
        if (reader.serial <= chain->entry_count) continue;
        if (reader.serial != chain->entry_count + 1 || !step(db, chain, entry, entry_bytes)) return false;
        *steps += 1;
    }
    return config_chain_read_end(&reader, NULL) == SYSTEM_OK;
}

static bool payload_put(const struct client_chain *chain, uint32_t entries, struct buffer *out) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < entries; i++) bytes += 4 + bytes_get_le32(chain->entries.bytes + bytes);
    uint8_t *at = client_buffer_space(out, CONFIG_CHAIN_HEAD_BYTES + bytes);
    if (!at) return false;
    struct bytes_writer writer = bytes_writer_of(at, CONFIG_CHAIN_HEAD_BYTES + bytes);
    config_chain_head_encode(&writer, chain->chain->config.members.cluster, entries, 1);
    bytes_put_raw(&writer, chain->entries.bytes, bytes);
    CHECK(!writer.failed);
    return true;
}

/* ---- the file ---- */

static void file_read(struct heraclius *db) {
    int fd = open(db->chain_path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0) return;
    uint8_t *bytes = NULL;
    size_t count = 0;
    if (fstat(fd, &status) == 0 && status.st_size > 0 && status.st_size <= FILE_BYTES_MAX) bytes = malloc((size_t)status.st_size);
    while (bytes && count < (size_t)status.st_size) {
        ssize_t got = read(fd, bytes + count, (size_t)status.st_size - count);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        count += (size_t)got;
    }
    close(fd);
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    while (bytes && cursor.left > 0) {
        uint32_t payload_bytes = bytes_get_u32(&cursor), steps;
        const uint8_t *payload = bytes_get_raw(&cursor, payload_bytes);
        struct client_chain *chain = payload && payload_bytes >= 4 ? client_chain_find(db, bytes_get_le32(payload)) : NULL;
        if (!chain || !extend(db, chain, payload, payload_bytes, &steps)) break; /* what was good is kept; the rest is asked for */
    }
    free(bytes);
}

/* It only saves asking: a disk that takes no more costs nothing else. */
static void file_write(struct heraclius *db) {
    struct buffer out = {0};
    char temporary[4096];
    for (uint32_t i = 0; i < clusters_of(db); i++) {
        if (db->config_chains[i].entry_count == 0) continue;
        size_t at = out.used;
        uint32_t entries = db->config_chains[i].entry_count < CONFIG_CHAIN_ENTRIES_MAX ? db->config_chains[i].entry_count : CONFIG_CHAIN_ENTRIES_MAX;
        if (!client_buffer_space(&out, 4) || !payload_put(&db->config_chains[i], entries, &out)) break;
        bytes_put_le32(out.bytes + at, (uint32_t)(out.used - at - 4));
    }
    bool fits = (size_t)snprintf(temporary, sizeof temporary, "%s.new", db->chain_path) < sizeof temporary;
    int fd = fits && !out.failed ? open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        size_t done = 0;
        while (done < out.used) {
            ssize_t wrote = write(fd, out.bytes + done, out.used - done);
            if (wrote < 0 && errno == EINTR) continue;
            if (wrote <= 0) break;
            done += (size_t)wrote;
        }
        bool good = done == out.used && fdatasync(fd) == 0;
        close(fd);
        if (!good || rename(temporary, db->chain_path) != 0) (void)unlink(temporary);
    }
    client_buffer_free(&out);
}

/* ---- what the others use ---- */

bool client_chain_open(struct heraclius *db, const char *key_path) {
    db->config_chains = calloc(clusters_of(db), sizeof *db->config_chains);
    size_t path_bytes = strlen(key_path) + sizeof ".chain";
    db->chain_path = malloc(path_bytes);
    db->members = calloc(clusters_of(db), sizeof *db->members);
    if (!db->config_chains || !db->chain_path || !db->members) return false;
    (void)snprintf(db->chain_path, path_bytes, "%s.chain", key_path);
    for (uint32_t i = 0; i < clusters_of(db); i++) {
        struct client_chain *chain = &db->config_chains[i];
        chain->chain = calloc(1, sizeof *chain->chain);
        if (!chain->chain || !config_chain_genesis(chain->chain, db->system, db->system->clusters[i].cluster) || !epoch_push(db, chain)) return false;
    }
    file_read(db);
    return true;
}

void client_chain_close(struct heraclius *db) {
    for (uint32_t i = 0; db->config_chains && i < clusters_of(db); i++) {
        free(db->config_chains[i].chain);
        free(db->config_chains[i].epochs);
        client_buffer_free(&db->config_chains[i].entries);
    }
    free(db->config_chains);
    free(db->members);
    free(db->chain_path);
}

const struct bft_members *client_chain_members(const struct heraclius *db, uint32_t cluster, uint64_t epoch) {
    const struct client_chain *chain = client_chain_find(db, cluster);
    return chain && epoch < chain->epoch_count ? &chain->epochs[epoch] : NULL;
}

const struct config *client_chain_config(const struct heraclius *db, uint32_t cluster) {
    const struct client_chain *chain = client_chain_find(db, cluster);
    return chain ? &chain->chain->config : NULL;
}

/* A question without an answer is put again: a node that is asked too much in a second, or begins, drops it and keeps the link. */
void client_chain_ask(struct node *node, uint64_t now_ms) {
    const struct client_chain *chain = client_chain_find(node->db, node->cluster);
    uint8_t query[CONFIG_QUERY_BYTES];
    if (!chain || node->state != NODE_UP) return;
    if (node->chain_asked && now_ms - node->chain_asked_ms < node->db->resend_ms) return;
    config_query_encode(node->cluster, (uint64_t)chain->entry_count + 1, query);
    node->chain_asked_ms = now_ms;
    node->chain_asked = client_node_send(node, MESSAGE_CONFIG_QUERY, query, sizeof query, now_ms);
}

void client_chain_hold(struct node *node, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms) {
    client_chain_ask(node, now_ms);
    if (node->held.used + 4 + payload_bytes > HELD_BYTES_MAX) return;
    uint8_t *at = client_buffer_space(&node->held, 4 + payload_bytes);
    if (!at) return;
    bytes_put_le32(at, (uint32_t)payload_bytes);
    memcpy(at + 4, payload, payload_bytes);
}

bool client_chain_take(struct node *node, const uint8_t *payload, size_t payload_bytes, bool *news) {
    struct client_chain *chain = client_chain_find(node->db, node->cluster);
    uint32_t steps = 0;
    *news = false;
    if (chain && !node->chain_asked) return true; /* an answer that comes again: not looked at, and no lie */
    bool good = chain && extend(node->db, chain, payload, payload_bytes, &steps);
    *news = steps > 0;
    node->chain_asked = false;
    node->chain_answers += good;
    if (steps > 0) file_write(node->db);
    return good;
}

bool client_chain_whole(const struct heraclius *db, uint32_t cluster, struct buffer *out) {
    const struct client_chain *chain = client_chain_find(db, cluster);
    return chain && chain->entry_count <= CONFIG_CHAIN_ENTRIES_MAX && payload_put(chain, chain->entry_count, out);
}

bool client_chain_payload(const struct heraclius *db, uint32_t cluster, uint64_t epoch, struct buffer *out) {
    const struct client_chain *chain = client_chain_find(db, cluster);
    if (epoch == 0 || !chain) return true;
    /* One more than its own, if it is there: then the proof is not only of the epoch but within its bounds. */
    uint64_t entries = epoch + 1 < chain->entry_count ? epoch + 1 : chain->entry_count;
    if (entries > CONFIG_CHAIN_ENTRIES_MAX) entries = CONFIG_CHAIN_ENTRIES_MAX; /* what a receipt has room for (S-103) */
    return entries >= epoch && payload_put(chain, (uint32_t)entries, out);
}
