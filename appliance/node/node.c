#include "appliance/node/node.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "appliance/node/node_genesis.h"
#include "appliance/node/transfer_disk.h"
#include "appliance/replica/replica_private.h"
#include "bft/ed25519.h"
#include "protocol/admin_op.h"
#include "protocol/canonical.h"
#include "protocol/successor.h"
#include "ring/clock.h"
#include "ring/door.h"
#include "ring/entropy.h"

enum {
    OPEN_BLOCKS_SPARE = 4,
    WAL_SLOTS = 256,
    STATE_SLOTS = 128,
    RECONNECT_MS_MAX = 1000, /* below the system's: a node that comes back is found again within a second */
};

atomic_bool node_ending;

#define M NET_ROLE_MEMBER
#define F NET_ROLE_FOREIGN
#define C NET_ROLE_CLIENT
#define O NET_ROLE_OBSERVER
#define BIG (LINK_FRAME_BYTES_MAX)
/* C-12: who may send what, and how long it may be. Sorted by type. */
static const struct link_type_rule rules[] = {
    {BFT_MESSAGE_PROPOSE, M | O, BFT_BODY_BYTES_MAX + BFT_WIRE_HEAD_BYTES_MAX},
    {BFT_MESSAGE_PREPARE, M | O, 512},
    {BFT_MESSAGE_COMMIT, M | O, 512},
    {BFT_MESSAGE_QC, M | O, BFT_QC_BYTES_MAX},
    {BFT_MESSAGE_TIMEOUT, M | O, BFT_QC_BYTES_MAX + 1024},
    {BFT_MESSAGE_TC, M | O, BFT_TC_BYTES_MAX},
    {BFT_MESSAGE_FETCH, M | O, 256},
    {BFT_MESSAGE_BLOCK, M | O, BFT_BODY_BYTES_MAX + BFT_WIRE_HEAD_BYTES_MAX},
    {BFT_MESSAGE_STATUS, M | O, 512},
    {BFT_MESSAGE_NOOP, M | O, 512},
    {MESSAGE_LAST_SIGNED_QUERY, M | O, 256},
    {MESSAGE_LAST_SIGNED_ANSWER, M, 2048},
    {MESSAGE_CHECKPOINT_QUERY, M | O | C, 16},
    {MESSAGE_CHECKPOINT, M, CHECKPOINT_MESSAGE_BYTES_MAX},
    {MESSAGE_PIECE_QUERY, M | O | C, 96},
    {MESSAGE_PIECE, M, (1 << 20) + (1 << 16)},
    {MESSAGE_INPUT, M, BIG},
    {MESSAGE_INPUT_FETCH, M | O, 64},
    {MESSAGE_CONFIG_QUERY, M | F | C | O, 64},
    {MESSAGE_CONFIG_CHAIN, M | F, BIG},
    {MESSAGE_SUBSCRIBE, F, 64},
    {MESSAGE_COMPACT_DECISION, F, BIG},
    {MESSAGE_NEWEST_QUERY, F, 64},
    {MESSAGE_NEWEST, F, 64},
    {MESSAGE_BATCH, C, BIG},
    {MESSAGE_STATUS_QUERY, C, 64},
    {MESSAGE_ADMIN, C, 8 + ADMIN_OP_BYTES_MAX},
    {MESSAGE_ANNOUNCE, C, 8 + ADMIN_OP_BYTES_MAX},
};
#undef M
#undef F
#undef C
#undef O

/* ---- errors ---- */

static enum node_exit fail(char text[NODE_TEXT_BYTES], enum node_exit code, const char *line) {
    snprintf(text, NODE_TEXT_BYTES, "%s", line);
    return code;
}

/* ---- files ---- */

/* "join" of node.conf: a node that no system file names, for a CONFIG to bring in. */
static bool join_find(struct node *node, char text[NODE_TEXT_BYTES]) {
    bool shard = node->config.join[0] == 's';
    uint32_t base = shard ? (uint32_t)CONFIG_CLUSTER_SHARD : (uint32_t)CONFIG_CLUSTER_COORDINATOR;
    node->cluster = base + (uint32_t)strtoul(node->config.join + 1, NULL, 10);
    node->member = BFT_MEMBERS_MAX;
    if (system_cluster_by_id(node->system, node->cluster) != NULL) return true;
    snprintf(text, NODE_TEXT_BYTES, "node.conf: join: %.200s has no cluster %s", node->config.system, node->config.join);
    return false;
}

enum node_exit node_files_open(struct node *node, const char *config_path, bool lock, char text[NODE_TEXT_BYTES]) {
    char line[NODE_CONFIG_TEXT_BYTES];
    struct system_fault fault;
    if (!ed25519_start(NULL))
        return fail(text, NODE_EXIT_CONFIG, "the Ed25519 library fails its self-test: another release than this program was made for?");
    if (!node_config_load(config_path, &node->config, line)) return fail(text, NODE_EXIT_CONFIG, line);
    log_level_set(node->config.log_level);
    if (system_load(&node->system, node->config.system, &fault) != SYSTEM_OK) return fail(text, NODE_EXIT_CONFIG, fault.text);
    struct stat status;
    if (stat(node->config.addresses, &status) == 0) node->addresses_time = status.st_mtim;
    if (addresses_load(&node->addresses, node->config.addresses, node->system, &fault) != SYSTEM_OK) {
        if (node->addresses_before == NULL) return fail(text, NODE_EXIT_CONFIG, fault.text);
        node_addresses_refused(fault.text);
        node->addresses = node->addresses_before;
        node->addresses_before = NULL;
    }
    if (keyfile_open(&node->key, KEYFILE_NODE, node->config.key, lock, &fault) != SYSTEM_OK) return fail(text, NODE_EXIT_CONFIG, fault.text);
    node->key_open = true;
    const struct card *card = system_node_by_signing_key(node->system, node->key.signing_key, &node->cluster, &node->member);
    bool joins = card == NULL && node->config.join[0] != '\0';
    if (joins && !join_find(node, text)) return NODE_EXIT_CONFIG;
    if (!joins && (card == NULL || memcmp(card->noise_key, node->key.noise_key, 32) != 0)) {
        snprintf(text, NODE_TEXT_BYTES, "%.200s: no node of %.200s has this key; is it the key of another system?", node->config.key,
                 node->config.system);
        return NODE_EXIT_CONFIG;
    }
    struct thread_machine machine;
    thread_machine_look("", &machine);
    thread_plan_make(&machine, config_cluster_is_coordinator(node->cluster), &node->config.threads, &node->plan);
    memcpy(node->name, joins ? node->key.name : card->name, sizeof node->name);
    if (lock && !node->key.locked_in_memory)
        log_event(LOG_LEVEL_WARN, "key_not_locked", "do=\"the memlock limit is too small to keep the key out of swap: raise it (ulimit -l)\"");
    return NODE_EXIT_OK;
}

/* ---- stores ---- */

static void wake(void *context) {
    struct node *node = context;
    void (*loop_wake)(struct node *) = node->wake;
    if (loop_wake != NULL) loop_wake(node);
}

/* The checkpoint is gone or not readable. It comes back from peers, and the voting memory, which does not, is there (P-40): an empty store takes its
 * place. A store of somebody else, or of a newer release, is not touched. */
static bool state_is_lost(const struct store_error *error) {
    return error->status == STORE_MISSING || error->status == STORE_DAMAGED || error->status == STORE_FOREIGN;
}

enum node_exit node_state_remake(struct node *node, const char *why, char text[NODE_TEXT_BYTES]) {
    struct store_error error;
    char quoted[NODE_TEXT_BYTES];
    log_event(LOG_LEVEL_WARN, "state_lost", "cause=%s do=\"it is taken from peers; check the disk\"", log_quote(why, quoted, sizeof quoted));
    if (node->state != NULL) (void)state_close(node->state);
    node->state = NULL;
    if (store_state_remake(node->directory, &node->identity, &error) != STORE_OK) return fail(text, NODE_EXIT_DATA, error.text);
    return node_state_open(node, text);
}

static struct state_config state_config_of(struct node *node) {
    return (struct state_config){.directory = node->directory,
                                 .identity = node->identity,
                                 .map_bytes = node->config.state_map_bytes,
                                 .queue_slots = STATE_SLOTS,
                                 .cpu = node->plan.cpus[NODE_THREAD_STATE],
                                 .wake = wake,
                                 .wake_context = node};
}

enum node_exit node_state_open(struct node *node, char text[NODE_TEXT_BYTES]) {
    struct store_error error;
    struct state_config config = state_config_of(node);
    if (state_open(&config, &node->state, &error) == STORE_OK) return NODE_EXIT_OK;
    node->state = NULL;
    if (node->state_remade || !state_is_lost(&error)) return fail(text, NODE_EXIT_DATA, error.text);
    node->state_remade = true;
    return node_state_remake(node, error.text, text);
}

static enum node_exit stores_open(struct node *node, char text[NODE_TEXT_BYTES]) {
    struct store_error error;
    node->identity = (struct store_identity){.cluster = node->cluster, .member = node->member};
    memcpy(node->identity.system_id, node->system->system_id, sizeof node->identity.system_id);
    memcpy(node->identity.node_id, node->key.card_id, sizeof node->identity.node_id);
    if (store_directory_open(node->config.data, &node->directory, &error) != STORE_OK) return fail(text, NODE_EXIT_DATA, error.text);
    struct wal_config wal = {.directory = node->directory,
                             .identity = node->identity,
                             .map_bytes = node->config.wal_map_bytes,
                             .queue_slots = WAL_SLOTS,
                             .cpu = node->plan.cpus[NODE_THREAD_WAL],
                             .clock_ns = ring_clock_thread_ns,
                             .wake = wake,
                             .wake_context = node};
    if (wal_open(&wal, &node->wal, &error) != STORE_OK) return fail(text, NODE_EXIT_DATA, error.text);
    struct wal_figures found;
    wal_figures(node->wal, &found);
    if (found.values_lost > 0)
        log_event(LOG_LEVEL_WARN, "wal_values_lost", "count=%llu do=\"wal/values was lost or cut: what others have comes again; look at the disk\"",
                  (unsigned long long)found.values_lost);
    enum node_exit code = node_state_open(node, text);
    if (code != NODE_EXIT_OK) return code;
    struct transfer_disk disk = {
        .directory = node->directory, .identity = node->identity, .map_bytes = node->config.state_map_bytes, .own = node->state};
    struct state_config config = state_config_of(node);
    uint64_t height;
    enum store_status status = transfer_disk_install(&disk, &config, &height);
    node->state = disk.own;
    if (status != STORE_OK) return fail(text, NODE_EXIT_DATA, disk.error.text);
    if (height > 0) log_event(LOG_LEVEL_INFO, "transfer_installed", "height=%llu", (unsigned long long)height);
    return NODE_EXIT_OK;
}

/* ---- executor and replica ---- */

/* The root of genesis. That of a cluster with an origin was found when the data directory was made; the entries come with node_restore(). */
static enum node_exit genesis_find(struct node *node, char text[NODE_TEXT_BYTES]) {
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    size_t bytes = 0;
    node->inherits = successor_has_origin(node->system, node->cluster);
    if (!node->inherits) {
        executor_genesis(node->executor, node->genesis_root);
        return NODE_EXIT_OK;
    }
    replica_genesis_key(key);
    enum store_status status = wal_get(node->wal, WAL_MISC, key, node->genesis_root, sizeof node->genesis_root, &bytes);
    if (status == STORE_OK && bytes == sizeof node->genesis_root) {
        char hex[65];
        canonical_hex_print(node->genesis_root, sizeof node->genesis_root, hex);
        log_event(LOG_LEVEL_INFO, "genesis_inherited", "root=%s", hex); /* to be compared with the other members' */
        return NODE_EXIT_OK;
    }
    snprintf(text, NODE_TEXT_BYTES, "%.400s: the root of its genesis is not there (%s): make it anew by `heraclius system init`", node->config.data,
             store_status_name(status));
    return NODE_EXIT_DATA;
}

/* Where there are verifiers, the replica's signer asks what they found (bft/verdict.h). */
static bool signer_make(struct node *node, struct signer *signer) {
    if (node->often.keys == NULL) { /* else state is remade, and what they learned stays: to be begun anew they must be zeros */
        node->often.keys = calloc(1, ed25519_keys_bytes(NODE_KEY_SETS));
        if (node->often.keys == NULL) return false;
        ed25519_keys_init(node->often.keys, NODE_KEY_SETS);
    }
    node->often.secret = &node->key.signing;
    struct signer signing = signer_ed25519_often(&node->often);
    if (node->plan.verifiers > 0) {
        if (node->verdicts == NULL) node->verdicts = calloc(1, sizeof *node->verdicts);
        if (node->verdicts == NULL) return false;
        node->verdicts->inner = signing;
        signing = verdict_table_signer(node->verdicts);
    }
    *signer = node_signer(node, signing);
    return true;
}

bool node_replica_make(struct node *node) {
    struct replica_config replica = {.system = node->system,
                                     .cluster = node->cluster,
                                     .member = node->member,
                                     .meter = node_meter(node, NODE_THREAD_CONSENSUS),
                                     .now_ms = ring_clock_ms(),
                                     .wall_ms = ring_clock_wall_ms(),
                                     .hooks = node->hooks};
    if (!signer_make(node, &replica.signer)) return false;
    if (node->execution != NULL) execution_measure(node->execution, node_meter(node, NODE_THREAD_EXECUTION));
    memcpy(replica.signing_key, node->key.signing_key, sizeof replica.signing_key);
    memcpy(replica.noise_key, node->key.noise_key, sizeof replica.noise_key);
    ring_entropy_fill(replica.nonce, sizeof replica.nonce);
    memcpy(replica.genesis_root, node->genesis_root, 32);
    replica.scrub_records_s = node->config.scrub_records_s;
    node->replica = replica_create(&replica);
    return node->replica != NULL;
}

static enum node_exit replica_open(struct node *node, char text[NODE_TEXT_BYTES], enum node_restored *restored) {
    enum node_exit code = genesis_find(node, text);
    if (code != NODE_EXIT_OK) return code;
    node->execution = execution_create(node->executor, node->state);
    if (node->execution == NULL || !node_replica_make(node)) return fail(text, NODE_EXIT_CONFIG, "not enough memory for the node's tables");
    *restored = node_restore(node, text);
    return *restored == NODE_RESTORE_FAILED ? NODE_EXIT_DATA : NODE_EXIT_OK;
}

/* A damaged checkpoint spoils executor and replica: both begin anew, from genesis, and what lacks comes from peers. */
static enum node_exit state_restore(struct node *node, char text[NODE_TEXT_BYTES]) {
    enum node_restored restored;
    enum node_exit code = replica_open(node, text, &restored);
    if (code == NODE_EXIT_OK && restored == NODE_STATE_LOST) {
        char why[NODE_TEXT_BYTES];
        snprintf(why, sizeof why, "%s", text);
        replica_destroy(node->replica);
        execution_destroy(node->execution);
        node->replica = NULL;
        node->execution = NULL;
        code = node_state_remake(node, why, text);
        if (code == NODE_EXIT_OK) code = replica_open(node, text, &restored);
        if (code == NODE_EXIT_OK && restored != NODE_RESTORED) code = NODE_EXIT_DATA;
    }
    if (code != NODE_EXIT_OK) return code;
    if (!node_transfer_start(node)) return fail(text, NODE_EXIT_CONFIG, "not enough memory, or open files (ulimit -n), for state transfer");
    errno = 0;
    if (node_scrub_start(node)) return NODE_EXIT_OK;
    const char *cause = errno != 0 ? strerror(errno) : "no thread";
    snprintf(text, NODE_TEXT_BYTES, "the stores cannot be scrubbed: %s; see ulimit -n (open files), ulimit -u (threads) and free memory", cause);
    return NODE_EXIT_CONFIG;
}

enum node_exit node_executor_open(struct node *node, char text[NODE_TEXT_BYTES]) {
    /* W prepared beyond the committed one, as many executed and not yet told final, and a few for what a new view begins with. */
    uint32_t open_max = 2 * node->system->limits.window_blocks + OPEN_BLOCKS_SPARE;
    struct executor_config config = {.system = node->system,
                                     .cluster = node->cluster,
                                     .blocks_kept_max = EXEC_KEPT_MAX,
                                     .meter = node_meter(node, NODE_THREAD_EXECUTION),
                                     .open_max = open_max < EXEC_OPEN_MAX ? open_max : EXEC_OPEN_MAX};
    ring_entropy_fill(config.hash_key, sizeof config.hash_key);
    enum exec_status status = executor_create(&config, &node->executor);
    if (status != EXEC_VALID) {
        snprintf(text, NODE_TEXT_BYTES,
                 "no address space for the table that the limits of %.200s allow (%s): lower table_keys_max or table_bytes_max, or raise ulimit -v",
                 node->config.system, exec_status_name(status));
        return NODE_EXIT_CONFIG;
    }
    node->region_count = executor_regions(node->executor, NULL, 0);
    node->regions = calloc(node->region_count, sizeof *node->regions);
    if (node->regions == NULL) return fail(text, NODE_EXIT_CONFIG, "not enough memory for the node's tables");
    executor_regions(node->executor, node->regions, node->region_count);
    return NODE_EXIT_OK;
}

/* ---- network ---- */

static enum node_exit listen_find(struct node *node, struct net_config *config, char text[NODE_TEXT_BYTES]) {
    for (uint32_t i = 0; i < node->config.listen_count; i++) {
        if (!net_address_parse(node->config.listen[i], &config->listen[i])) {
            snprintf(text, NODE_TEXT_BYTES, "node.conf: listen: \"%s\" is no address and port, such as \"127.0.0.1:7000\"", node->config.listen[i]);
            return NODE_EXIT_CONFIG;
        }
    }
    config->listen_count = node->config.listen_count;
    if (config->listen_count > 0) return NODE_EXIT_OK;
    const struct address *own = addresses_find(node->addresses, node->name);
    struct net_peer_config *resolved = calloc(1, sizeof *resolved);
    CHECK(resolved != NULL);
    if (own != NULL) node_address_resolve(&own->link, resolved);
    if (resolved->address_count > 0) config->listen[config->listen_count++] = resolved->addresses[0];
    free(resolved);
    if (config->listen_count > 0) return NODE_EXIT_OK;
    snprintf(text, NODE_TEXT_BYTES, "%.300s: no address of node %s: add it, or \"listen\" to node.conf", node->config.addresses, node->name);
    return NODE_EXIT_CONFIG;
}

enum node_exit node_net_open(struct node *node, char text[NODE_TEXT_BYTES]) {
    struct config *own = calloc(1, sizeof *own);
    CHECK(own != NULL && system_config(node->system, node->cluster, own));
    struct net_config config = {.rules = rules,
                                .measure = true,
                                .rule_count = sizeof rules / sizeof rules[0],
                                .peers_max = node_peers_max(node),
                                .send_zc_threshold_bytes = node->config.send_zc_bytes,
                                .handshake_ms = own->timeouts.handshake_ms,
                                .ping_ms = own->timeouts.link_ping_ms,
                                .idle_ms = own->timeouts.link_idle_ms,
                                .backoff_ms_min = own->timeouts.reconnect_min_ms,
                                .backoff_ms_max =
                                    own->timeouts.reconnect_max_ms < RECONNECT_MS_MAX ? own->timeouts.reconnect_max_ms : RECONNECT_MS_MAX,
                                .suites_allowed = (uint8_t)(((own->limits.aead_allowed & 1) != 0 ? 1u << RING_SUITE_CHACHAPOLY : 0u) |
                                                            ((own->limits.aead_allowed & 2) != 0 ? 1u << RING_SUITE_AESGCM : 0u)),
                                /* A quarter for clients, three eighths for other clusters; the rest is more than one member's queue. */
                                .send_memory_max = UINT64_C(3) << 27};
    free(own);
    memcpy(config.static_private, node->key.noise_secret, sizeof config.static_private);
    memcpy(config.system_id, node->system->system_id, sizeof config.system_id);
    enum node_exit code = listen_find(node, &config, text);
    char error[NET_ERROR_BYTES] = "";
    if (code == NODE_EXIT_OK && (net_create(&node->net, &config, error) != NET_OK)) code = fail(text, NODE_EXIT_NETWORK, error);
    ed25519_wipe(config.static_private, sizeof config.static_private);
    if (code != NODE_EXIT_OK) return code;
    return node_peers_add(node) ? NODE_EXIT_OK : fail(text, NODE_EXIT_NETWORK, "a peer of the system file could not be added");
}

/* ---- all ---- */

/* Before what may take long: whoever asks is answered all the while. The stores are locked by then, so that no other process is this node. */
static enum node_exit control_open(struct node *node, char text[NODE_TEXT_BYTES]) {
    char line[CONTROL_TEXT_BYTES];
    node_opening(node);
    node->control = control_start(node->config.control, node_status_copy, node_decide, node, line);
    return node->control != NULL ? NODE_EXIT_OK : fail(text, NODE_EXIT_CONFIG, line);
}

enum node_exit node_open(struct node *node, const char *config_path, struct addresses *before, uint64_t progress, char text[NODE_TEXT_BYTES]) {
    memset(node, 0, sizeof *node);
    node->addresses_before = before;
    node->progress = progress;
    node->key.lock = -1;
    node->started_ms = ring_clock_ms();
    pthread_mutex_init(&node->status_lock, NULL);
    for (int i = 0; i < NODE_THREADS; i++) atomic_init(&node->running_cpu[i], -1);
    enum node_exit code = node_files_open(node, config_path, true, text);
    if (code == NODE_EXIT_OK) {
        char context[64];
        snprintf(context, sizeof context, "node=%s", node->name);
        log_context_set(context);
        code = stores_open(node, text);
    }
    if (code == NODE_EXIT_OK) code = control_open(node, text);
    if (code == NODE_EXIT_OK) code = node_executor_open(node, text);
    if (code == NODE_EXIT_OK) code = state_restore(node, text);
    if (code == NODE_EXIT_OK) code = node_net_open(node, text);
    if (code == NODE_EXIT_OK && !node_addresses_start(node)) code = fail(text, NODE_EXIT_CONFIG, "no thread to watch addresses.json");
    if (code != NODE_EXIT_OK) return code;
    node->status_ms = 0;
    node_status_update(node, ring_clock_ms());
    atomic_store(&node->opened, true);
    return NODE_EXIT_OK;
}

void node_close(struct node *node) {
    node_addresses_stop(node);
    control_stop(node->control);
    node_transfer_stop(node->transfer);
    node_scrub_stop(node);
    struct net *net = node->net;
    enum store_status wal = node->wal != NULL ? wal_close(node->wal) : STORE_OK;
    enum store_status state = node->state != NULL ? state_close(node->state) : STORE_OK;
    if (wal != STORE_OK || state != STORE_OK)
        log_event(LOG_LEVEL_ERROR, "store_close", "wal=%s state=%s", store_status_name(wal), store_status_name(state));
    node_values_free(&node->values);
    node_split_free(node);
    replica_destroy(node->replica);
    execution_destroy(node->execution);
    executor_destroy(node->executor);
    free(node->regions);
    free(node->verdicts);
    free(node->often.keys);
    net_ring_destroy(node->ring);
    node->ring = NULL;
    if (node->again) node->ring = net_destroy_keep(net);
    else net_destroy(net);
    free(node->client_handles);
    free(node->node_handles);
    store_directory_close(node->directory);
    if (node->key_open) keyfile_close(&node->key);
    addresses_free(node->addresses);
    addresses_free(node->addresses_before);
    system_free(node->system);
    node_batches_free(&node->batches);
    pthread_mutex_destroy(&node->status_lock);
}

/* ---- parts of the loops ---- */

void node_note(const struct replica_output *output) {
    log_event((enum log_level)output->level, output->event, "%s", output->text);
}

/* The loop ends, and the process, or only this life of the node. */
static void stop(struct node *node, const struct replica_output *output) {
    node->stop = true;
    node->exit_code = NODE_EXIT_STOPPED;
    bool again = output->again && node->damages + 1 < NODE_DAMAGES_MAX;
    if (output->again) node->damages++;
    if (again) {
        log_event(LOG_LEVEL_WARN, "node_opens_anew", "times=%u limit=%d cause=\"%s\"", node->damages, NODE_DAMAGES_MAX, output->text);
        node->again = true;
        return;
    }
    log_event(LOG_LEVEL_ERROR, "node_stopped", "cause=\"%s\"", output->text);
    if (output->again)
        (void)fprintf(stderr, "heracliusd: %s: %s, for the %u. time since the start: this machine cannot be trusted; check memory and disk, then "
                      "start again\n", node->name, output->text, node->damages);
}

static bool store_failed(struct node *node) {
    struct store_error error;
    if (wal_error(node->wal, &error) == STORE_OK) return false;
    node_state_failed(node, &error);
    return true;
}

/* To the store, in order. False: it has failed. */
static bool batches_submit(struct node *node) {
    uint64_t sequence;
    enum store_status status;
    while ((status = node_batches_submit(&node->batches, node->wal, &sequence)) == STORE_OK) {
        CHECK(sequence == ++node->submitted);
        node_flight_begin(node, sequence);
    }
    if (status == STORE_ABSENT || status == STORE_BUSY) return true;
    return !store_failed(node) && !(node->stop = true);
}

static void persist(struct node *node, const struct replica_output *output) {
    node_batches_add(&node->batches, output->batch);
    (void)batches_submit(node);
}

bool node_store_poll(struct node *node) {
    uint64_t completed = wal_completed(node->wal);
    node_values_poll(&node->values, node->wal);
    if (completed > node->durable_told) {
        node_flight_end(node, completed);
        node->durable_told = completed;
        replica_durable(node->replica, completed);
    }
    if (store_failed(node)) return false;
    return batches_submit(node);
}

static struct blob *record_read(struct wal_reader *reader, enum wal_db db, const uint8_t *key) {
    size_t bytes = 0;
    if (wal_read(reader, db, key, NULL, 0, &bytes) != STORE_TOO_LONG || bytes == 0) return NULL;
    struct blob *blob = blob_make(bytes);
    if (wal_read(reader, db, key, blob->bytes, bytes, &bytes) == STORE_OK && bytes == blob->count) return blob;
    blob_drop(blob);
    return NULL;
}

/* What another member asked for: it asks for old blocks and inputs, which are under the hash of what they are, and memory has the newest. So nobody
 * waits here for LMDB to take over the journal, least of all by the will of whoever asks; who asked too soon asks again. */
static void record_answer(struct node *node, const struct replica_output *output) {
    struct wal_reader *reader;
    struct blob *blob = NULL;
    if (wal_reader_open_behind(node->wal, &reader) == STORE_OK) {
        blob = record_read(reader, output->db, output->key);
        wal_reader_close(reader);
    }
    replica_read_done(node->replica, output->cookie, blob); /* NULL: not there */
}

void node_output(struct node *node, const struct replica_output *output) {
    switch (output->kind) {
    case REPLICA_PERSIST: persist(node, output); break;
    case REPLICA_PREPARE: node_values_prepare(&node->values, node->wal, output); break;
    case REPLICA_FORGET: wal_forget(node->wal, output->cookie); break;
    case REPLICA_READ: record_answer(node, output); break;
    case REPLICA_NOTE: node_note(output); break;
    case REPLICA_EVIDENCE: node_evidence(node, output); break;
    case REPLICA_TRANSFER:
    case REPLICA_LACKING:
    case REPLICA_EPOCH: node_transfer_output(node, output); break;
    case REPLICA_AGAIN:
        node->again = true;
        node->stop = true;
        break;
    case REPLICA_STOP: stop(node, output); break;
    case REPLICA_SEND:
    case REPLICA_JOB:
    case REPLICA_PEER_ADD:
    case REPLICA_PEER_REMOVE: CHECK(false); break;
    }
}

void node_checkpointed(struct node *node, uint64_t height) {
    if (height <= node->checkpoint_told) return;
    node->checkpoint_told = height;
    replica_checkpointed(node->replica, height);
    node_transfer_checkpointed(node);
}

bool node_drain_step(struct node *node, uint64_t now_ms) {
    if (!atomic_load(&node_ending)) return false;
    if (!node->draining) {
        node->draining = true;
        node->drain_until_ms = now_ms + NODE_DRAIN_MS;
        log_event(LOG_LEVEL_INFO, "draining", "limit_ms=%d", NODE_DRAIN_MS);
        replica_drain(node->replica);
    }
    return replica_is_drained(node->replica) || now_ms >= node->drain_until_ms;
}

void node_goodbye(struct node *node) {
    uint64_t until = ring_clock_ms() + NODE_GOODBYE_MS;
    struct net_event event;
    net_close_all(node->net, LINK_GOODBYE_SHUTDOWN);
    while (!net_is_quiet(node->net) && ring_clock_ms() < until) {
        net_poll(node->net, 10);
        while (net_next(node->net, &event)) continue;
    }
}

void node_checkpoints_failed(struct node *node, const struct store_error *error) {
    if (error->status == STORE_DAMAGED)
        replica_scrub_state(node->replica, "what changed of it");
    else
        node_state_failed(node, error);
}

void node_state_failed(struct node *node, const struct store_error *error) {
    if (node->stop) return;
    log_event(LOG_LEVEL_ERROR, "store_failed", "cause=%s", store_status_name(error->status));
    (void)fprintf(stderr, "heracliusd: %s: %s\n", node->name, error->text);
    node->stop = true;
    node->exit_code = NODE_EXIT_DATA;
}

void node_pin(struct node *node, enum node_thread thread, const char *name) {
    pthread_setname_np(pthread_self(), name);
    if (node->plan.cpus[thread] < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)node->plan.cpus[thread], &set);
    int error = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    if (error != 0) log_event(LOG_LEVEL_WARN, "thread_not_pinned", "thread=%s cpu=%d cause=\"%s\"", name, node->plan.cpus[thread], strerror(error));
}

bool node_net_start(struct node *node, const char *thread) {
    char error[NET_ERROR_BYTES];
    node_pin(node, NODE_THREAD_NETWORK, thread);
    bool inherited = node->ring != NULL;
    if (inherited) net_ring_give(node->net, node->ring);
    node->ring = NULL;
    if (net_start(node->net, error) != NET_OK) {
        (void)fprintf(stderr, "heracliusd: %s: %s\n", node->name, error);
        return false;
    }
    /* There is one ring, and no other one is made. A kernel or container without seccomp runs the node without that. */
    int fault = inherited ? 0 : ring_door_close();
    if (fault < 0) log_event(LOG_LEVEL_WARN, "rings_not_closed", "cause=\"%s\"", strerror(-fault));
    if (net_note(node->net)[0] != '\0') log_event(LOG_LEVEL_WARN, "network_reduced", "note=\"%s\"", net_note(node->net));
    return true;
}

void node_cpu_sample(struct node *node, enum node_thread thread) {
    atomic_store_explicit(&node->running_cpu[thread], sched_getcpu(), memory_order_relaxed);
}
