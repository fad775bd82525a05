#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bft/ed25519.h"
#include "client/client.h"
#include "protocol/operation.h"
#include "protocol/partition.h"
#include "ring/clock.h"

uint8_t *client_buffer_space(struct buffer *buffer, size_t count) {
    if (buffer->failed) return NULL;
    if (count > buffer->room - buffer->used) {
        size_t room = buffer->room ? buffer->room : 256;
        while (room - buffer->used < count) room *= 2;
        uint8_t *bytes = realloc(buffer->bytes, room);
        if (!bytes) {
            buffer->failed = true;
            return NULL;
        }
        buffer->bytes = bytes;
        buffer->room = room;
    }
    uint8_t *at = buffer->bytes + buffer->used;
    buffer->used += count;
    return at;
}

void client_buffer_free(struct buffer *buffer) {
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

/* `name` in the folder of `path`; malloc'd. */
static char *beside(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    char *out = malloc(folder + strlen(name) + 1);
    if (!out) return NULL;
    memcpy(out, path, folder);
    memcpy(out + folder, name, strlen(name) + 1);
    return out;
}

static enum heraclius_status fail(char *why, enum heraclius_status status, const char *text) {
    snprintf(why, HERACLIUS_TEXT_BYTES, "%s", text);
    return status;
}

static bool nodes_make(struct heraclius *db) {
    const struct system *system = db->system;
    uint32_t clusters = system->coordinators_count + system->shards_count;
    db->node_count = clusters * BFT_MEMBERS_MAX;
    db->coordinator_nodes = system->coordinators_count * BFT_MEMBERS_MAX;
    db->nodes = calloc(db->node_count, sizeof *db->nodes);
    db->touched = calloc(db->node_count, sizeof(struct node *));
    db->statuses = calloc(db->node_count, sizeof *db->statuses);
    db->shown = calloc(db->node_count, sizeof *db->shown);
    db->enrolments = calloc(system->coordinators_count, sizeof *db->enrolments);
    if (!db->nodes || !db->touched || !db->statuses || !db->shown || !db->enrolments) return false;
    for (uint32_t i = 0; i < clusters; i++) {
        const struct system_cluster *cluster = &system->clusters[i];
        for (uint32_t member = 0; member < BFT_MEMBERS_MAX; member++) {
            uint32_t at = i * BFT_MEMBERS_MAX + member;
            struct node *node = &db->nodes[at];
            *node = (struct node){.db = db, .index = at, .cluster = cluster->cluster, .member = member, .fd = -1};
            if (member >= cluster->nodes_count) continue;
            node->card = &cluster->nodes[member];
            const struct address *address = addresses_find(db->addresses, node->card->name);
            if (address) node->endpoint = address->link;
        }
    }
    return true;
}

void client_addresses_look(struct heraclius *db, uint64_t now_ms) {
    struct stat file;
    if (now_ms < db->addresses_look_ms) return;
    db->addresses_look_ms = now_ms + CLIENT_ADDRESSES_MS;
    if (stat(db->addresses_path, &file) != 0) return;
    if (file.st_mtim.tv_sec == db->addresses_time.tv_sec && file.st_mtim.tv_nsec == db->addresses_time.tv_nsec) return;
    struct addresses *addresses;
    db->addresses_time = file.st_mtim;
    if (addresses_load(&addresses, db->addresses_path, db->system, NULL) != SYSTEM_OK) return;
    addresses_free(db->addresses);
    db->addresses = addresses;
    for (uint32_t i = 0; i < db->node_count; i++) {
        struct node *node = &db->nodes[i];
        if (!node->card) continue;
        const struct address *address = addresses_find(addresses, node->card->name);
        struct address_endpoint endpoint = address ? address->link : (struct address_endpoint){0};
        if (endpoint.port == node->endpoint.port && strcmp(endpoint.host, node->endpoint.host) == 0) continue;
        node->endpoint = endpoint;
        node->backoff_ms = 0;
        node->retry_at_ms = now_ms;
    }
}

static void *memory_take(void *context, size_t bytes) {
    return blocks_take(context, bytes);
}

static void memory_give(void *context, void *block, size_t bytes) {
    (void)bytes;
    blocks_give(context, block);
}

static void link_config_make(struct heraclius *db) {
    memcpy(db->identity.private_key, db->key.noise_secret, sizeof db->identity.private_key);
    memcpy(db->identity.public_key, db->key.noise_key, sizeof db->identity.public_key);
    db->link_config = (struct link_config){
        .primitives = ring_primitives_default(),
        .identity = &db->identity,
        .version_min = LINK_VERSION_CURRENT,
        .version_max = LINK_VERSION_CURRENT,
        .suites_allowed = 1 << RING_SUITE_CHACHAPOLY,
        .memory = {.context = &db->shared->blocks, .take = memory_take, .give = memory_give},
    };
    memcpy(db->link_config.system_id, db->system->system_id, sizeof db->link_config.system_id);
}

/* Another process may hold the key for the length of one command: wait for it. */
static enum heraclius_status key_open(struct heraclius *db, const char *path, uint32_t wait_ms, char *why) {
    struct system_fault fault = {0};
    uint64_t until = ring_clock_ms() + wait_ms;
    for (;;) {
        enum system_error error = keyfile_open(&db->key, KEYFILE_CLIENT, path, true, &fault);
        if (error == SYSTEM_OK) break;
        if (error != SYSTEM_FILE_IN_USE) return fail(why, HERACLIUS_BAD_FILE, fault.text);
        if (ring_clock_ms() >= until) return fail(why, HERACLIUS_KEY_IN_USE, fault.text);
        struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    client_signer_make(db);
    return HERACLIUS_OK;
}

/* The first node to try of what has no group (groups.c): the one named, or one that the key chooses, so that many clients spread over the cluster. */
static enum heraclius_status choose_preferred(struct heraclius *db, const char *via, char *why) {
    uint32_t filled = 0, chosen = bytes_get_le32(db->key.card_id);
    for (uint32_t i = 0; i < db->coordinator_nodes; i++) filled += db->nodes[i].card != NULL;
    if (filled == 0) return fail(why, HERACLIUS_BAD_FILE, "the system has no coordinator node");
    chosen %= filled;
    for (uint32_t i = 0; i < db->coordinator_nodes; i++) {
        const struct node *node = &db->nodes[i];
        const struct system_cluster *cluster = system_cluster_by_id(db->system, node->cluster);
        if (!node->card) continue;
        /* By the system file's name too, whoever a CONFIG put into that place. */
        bool named = via && (strcmp(node->card->name, via) == 0 ||
                             (node->member < cluster->nodes_count && strcmp(cluster->nodes[node->member].name, via) == 0));
        if (named || (!via && chosen-- == 0)) {
            db->preferred = i;
            return HERACLIUS_OK;
        }
    }
    const struct system_cluster *last = &db->system->clusters[db->system->coordinators_count - 1];
    snprintf(why, HERACLIUS_TEXT_BYTES, "no coordinator node is named '%s'; the system file has %s to %s", via, db->system->clusters[0].nodes[0].name,
             last->nodes[last->nodes_count - 1].name);
    return HERACLIUS_BAD_ARGUMENT;
}

static enum heraclius_status system_open(struct heraclius *db, const struct heraclius_options *options, char *why) {
    struct system_fault fault = {0};
    struct client_system *shared = options->beside ? options->beside->shared : calloc(1, sizeof *shared);
    if (!shared) return fail(why, HERACLIUS_NO_RESOURCES, "no memory");
    if (!options->beside) shared->signing.keys = calloc(1, ed25519_keys_bytes(CLIENT_KEY_SETS));
    if (!shared->signing.keys) {
        free(shared);
        return fail(why, HERACLIUS_NO_RESOURCES, "no memory");
    }
    if (!options->beside) ed25519_keys_init(shared->signing.keys, CLIENT_KEY_SETS);
    if (!options->beside && system_load(&shared->system, options->system_path, &fault) != SYSTEM_OK) {
        free(shared->signing.keys);
        free(shared);
        return fail(why, HERACLIUS_BAD_FILE, fault.text);
    }
    if (options->beside && !client_verified_begin(shared)) return fail(why, HERACLIUS_NO_RESOURCES, "no memory");
    shared->handles++;
    db->shared = shared;
    db->system = shared->system;
    return HERACLIUS_OK;
}

static void system_close(struct heraclius *db) {
    if (!db->shared || --db->shared->handles > 0) return;
    system_free(db->shared->system);
    client_syncer_free(db->shared->syncer);
    free(db->shared->verified);
    free(db->shared->signing.keys);
    blocks_free_cache(&db->shared->blocks);
    free(db->shared);
}

static enum heraclius_status files_open(struct heraclius *db, const struct heraclius_options *options, const char *addresses_path,
                                        const char *key_path, char *why) {
    struct system_fault fault = {0};
    enum heraclius_status status = system_open(db, options, why);
    if (status != HERACLIUS_OK) return status;
    struct stat file;
    if (stat(addresses_path, &file) == 0) db->addresses_time = file.st_mtim;
    if (addresses_load(&db->addresses, addresses_path, db->system, &fault) != SYSTEM_OK) return fail(why, HERACLIUS_BAD_FILE, fault.text);
    status = key_open(db, key_path, options->lock_wait_ms, why);
    if (status != HERACLIUS_OK) return status;
    db->numbers = calloc(db->system->shards_count, sizeof *db->numbers);
    db->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!db->numbers || db->epoll < 0 || !nodes_make(db) || !client_chain_open(db, key_path))
        return fail(why, HERACLIUS_NO_RESOURCES, "no memory or descriptors for a client");
    link_config_make(db);
    /* Whose journal is this system's already has followed: what it keeps of CONFIGs by now is not the predecessor's, and nothing is to be judged. */
    if (options->predecessor_path && options->statement_path && !client_journal_is_own(db, key_path)) {
        db->predecessor_path = options->predecessor_path;
        db->statement_path = options->statement_path;
        db->predecessor_chain_path = options->predecessor_chain_path;
        if (!client_follow(db, why)) return HERACLIUS_BAD_FILE;
    }
    status = choose_preferred(db, options->via, why);
    if (status != HERACLIUS_OK) return status;
    /* Who names a node means it for everything. */
    if (!options->via && !client_groups_open(db)) return fail(why, HERACLIUS_NO_RESOURCES, "no memory");
    return client_journal_open(db, key_path, why);
}

static bool signatures_good;

static void signatures_start(void) {
    signatures_good = ed25519_start(NULL);
}

bool client_signatures_start(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    return pthread_once(&once, signatures_start) == 0 && signatures_good;
}

enum heraclius_status heraclius_open(struct heraclius **out, const struct heraclius_options *options, char *why) {
    *out = NULL;
    why[0] = 0;
    if (!options->beside && !client_signatures_start())
        return fail(why, HERACLIUS_NO_RESOURCES, "the signature library failed its self-test on this machine");
    struct heraclius *db = calloc(1, sizeof *db);
    if (!db) return fail(why, HERACLIUS_NO_RESOURCES, "no memory");
    db->epoll = -1;
    db->key.lock = -1;
    db->journal.fd = db->journal.sync.event = -1;
    db->resend_ms = options->resend_ms ? options->resend_ms : CLIENT_RESEND_MS;
    char *addresses_path = options->addresses_path ? strdup(options->addresses_path) : beside(options->system_path, "addresses.json");
    char *key_path = options->key_path ? strdup(options->key_path) : beside(options->system_path, "client.key");
    enum heraclius_status status = HERACLIUS_NO_RESOURCES;
    if (addresses_path && key_path) status = files_open(db, options, addresses_path, key_path, why);
    free(key_path);
    db->addresses_path = addresses_path;
    if (status != HERACLIUS_OK) {
        heraclius_close(db);
        return status;
    }
    *out = db;
    return HERACLIUS_OK;
}

void heraclius_close(struct heraclius *db) {
    if (!db) return;
    uint64_t now_ms = ring_clock_ms();
    for (uint32_t i = 0; db->nodes && i < db->node_count; i++) {
        client_node_close(&db->nodes[i], "closed", now_ms);
        client_buffer_free(&db->nodes[i].out);
        client_buffer_free(&db->nodes[i].held);
        free(db->nodes[i].card_own);
    }
    client_journal_close(db);
    if (db->system) client_chain_close(db);
    keyfile_close(&db->key);
    ed25519_wipe(&db->identity, sizeof db->identity);
    if (db->epoll >= 0) close(db->epoll);
    addresses_free(db->addresses);
    system_close(db);
    free(db->nodes);
    free(db->touched);
    free(db->statuses);
    free(db->shown);
    free(db->enrolments);
    free(db->groups);
    free(db->addresses_path);
    free(db->numbers);
    free(db);
}

int heraclius_descriptor(const struct heraclius *db) {
    return db->epoll;
}

void heraclius_counters_get(const struct heraclius *db, struct heraclius_counters *out) {
    *out = db->counters;
}

void heraclius_limits_get(const struct heraclius *db, struct heraclius_limits *out) {
    const struct system_limits *limits = &db->system->limits;
    *out = (struct heraclius_limits){.shards = db->system->shards_count,
                                     .coordinators = db->system->coordinators_count,
                                     .key_bytes_max = limits->key_bytes_max,
                                     .value_bytes_max = limits->value_bytes_max,
                                     .request_ops_max = limits->batch_ops_max,
                                     .request_bytes_max = limits->batch_bytes_max,
                                     .read_bytes_default = limits->read_bytes_default};
}

void client_shards_of(const struct heraclius *db, const uint8_t *const keys[SIPHASH_LANES], size_t key_bytes, uint32_t shards[SIPHASH_LANES]) {
    partition_shard_each(db->system->partition_key, db->system->shards_count, keys, key_bytes, shards);
}

uint32_t heraclius_shard_of(const struct heraclius *db, const void *key, size_t key_bytes) {
    if (db->system->shards_count == 1) return 0;
    return partition_shard(db->system->partition_key, db->system->shards_count, key, key_bytes);
}

const char *heraclius_code_name(enum heraclius_code code) {
    return operation_code_name((uint8_t)code);
}

const char *heraclius_status_name(enum heraclius_status status) {
    switch (status) {
    case HERACLIUS_OK: return "done";
    case HERACLIUS_PENDING: return "pending";
    case HERACLIUS_UNSETTLED: return "unsettled";
    case HERACLIUS_REFUSED: return "refused";
    case HERACLIUS_UNAVAILABLE: return "unavailable";
    case HERACLIUS_BAD_ARGUMENT: return "bad argument";
    case HERACLIUS_BAD_FILE: return "bad file";
    case HERACLIUS_KEY_IN_USE: return "key in use";
    case HERACLIUS_NO_RESOURCES: return "no resources";
    }
    return "unknown";
}
