/* The snapshot for the control socket, and the memory budget. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance/base/pool.h"
#include "appliance/node/node.h"
#include "appliance/status/memory.h"
#include "ring/clock.h"

static void counter_put(struct status_node *status, const char *name, uint64_t value) {
    if (status->counter_count == STATUS_COUNTERS_MAX) return;
    struct status_counter *counter = &status->counters[status->counter_count++];
    snprintf(counter->name, sizeof counter->name, "%s", name);
    counter->value = value;
}

/* The list is net's counters, then the store's: each part is written by the thread that owns what is counted. */
enum { NET_COUNTERS = 96 };

/* LMDB keeps at most 2^17 dirty pages of a transaction in memory, then spills; there are three environments, one of them while a checkpoint is
 * taken. */
#define STORE_DIRTY_BYTES (3 * (UINT64_C(1) << 17) * 4096)

void node_status_net(struct node *node, uint64_t now_ms) {
    if (now_ms - node->status_net_ms < NODE_STATUS_MS && node->status_net_ms != 0) return;
    node->status_net_ms = now_ms;
    node_cpu_sample(node, NODE_THREAD_NETWORK);
    struct net_counter counters[NET_COUNTERS];
    size_t count = net_counters(node->net, counters, NET_COUNTERS);
    pthread_mutex_lock(&node->status_lock);
    node->status.net_counter_count = 0;
    for (size_t i = 0; i < count && i < NET_COUNTERS; i++) {
        struct status_counter *counter = &node->status.net_counters[node->status.net_counter_count++];
        snprintf(counter->name, sizeof counter->name, "%s", counters[i].name);
        counter->value = counters[i].value;
    }
    pthread_mutex_unlock(&node->status_lock);
}

static void counters_put(struct node *node, struct status_node *status) {
    status->counter_count = 0;
    struct wal_figures wal;
    wal_figures(node->wal, &wal);
    counter_put(status, "wal_commits", wal.commits);
    counter_put(status, "wal_folds", wal.folds);
    counter_put(status, "wal_batches", wal.batches);
    counter_put(status, "wal_bytes", wal.bytes);
    counter_put(status, "wal_file_bytes", wal.file_bytes);
    status->wal_bytes = wal.file_bytes;
    status->wal_map_bytes = wal.map_bytes;
    struct state_figures state;
    state_figures(node->state, &state);
    counter_put(status, "checkpoints", state.checkpoints);
    counter_put(status, "state_file_bytes", state.file_bytes);
    struct node_scrub_figures scrub;
    node_scrub_figures(node, &scrub);
    status->scrub_wal_records = scrub.wal_records;
    status->scrub_wal_rounds = scrub.wal_rounds;
    status->scrub_state_records = scrub.state_records;
    status->scrub_state_rounds = scrub.state_rounds;
    status->opened_anew = node->damages;
    if (node->verdicts != NULL) {
        counter_put(status, "verifications_asked", node->verdicts->asked);
        counter_put(status, "verifications_ahead", node->verdicts->found);
    }
    if (node->plan.hashers > 0) counter_put(status, "hash_shared", atomic_load_explicit(&node->hash_shared, memory_order_relaxed));
    counter_put(status, "blob_bytes_now", blob_live_bytes());
    counter_put(status, "log_lines_suppressed", log_suppressed());
    atomic_store_explicit(&node->running_cpu[NODE_THREAD_WAL], wal.cpu, memory_order_relaxed);
    atomic_store_explicit(&node->running_cpu[NODE_THREAD_STATE], state.cpu, memory_order_relaxed);
}

_Static_assert((int)NODE_THREADS <= (int)STATUS_THREADS_MAX, "each is shown");

static void threads_put(struct node *node, struct status_node *status) {
    status->thread_count = 0;
    for (int i = 0; i < NODE_THREADS; i++) {
        if (!thread_plan_has(&node->plan, (enum node_thread)i)) continue;
        struct status_thread *thread = &status->threads[status->thread_count++];
        const char *name = !node->plan.split && i == NODE_THREAD_NETWORK ? "node" : node_thread_name((enum node_thread)i);
        snprintf(thread->name, sizeof thread->name, "%s", name);
        thread->pinned = node->plan.cpus[i];
        thread->running = atomic_load_explicit(&node->running_cpu[i], memory_order_relaxed);
    }
}

_Static_assert(sizeof((struct status_node *)NULL)->budget / sizeof(struct status_counter) < LOG_BURST, "each part is a line, and their sum one more");

static void budget_add(struct status_node *status, const char *name, uint64_t bytes) {
    if (status->budget_count == sizeof status->budget / sizeof status->budget[0]) return;
    struct status_counter *part = &status->budget[status->budget_count++];
    snprintf(part->name, sizeof part->name, "%s", name);
    part->value = bytes;
}

void node_budget_put(struct node *node, struct status_node *status) {
    uint64_t parts[EXEC_MEMORIES] = {0};
    for (uint32_t i = 0; i < node->region_count; i++) parts[node->regions[i].part] += node->regions[i].bytes;
    status->budget_count = 0;
    for (enum exec_memory part = 0; part < EXEC_MEMORIES; part++) budget_add(status, exec_memory_name(part), parts[part]);
    budget_add(status, "checkpoint_buffers", execution_budget() + state_budget());
    struct transfer_memory transfer;
    node_transfer_memory_max(node, &transfer);
    budget_add(status, "transfer_serving", transfer.serving);
    budget_add(status, "transfer_taking", transfer.taking);
    struct replica_budget replica;
    replica_budget(node->replica, &replica);
    budget_add(status, "replica_inputs", replica.inputs_bytes);
    budget_add(status, "replica_tables", replica.tables_bytes);
    budget_add(status, "pools", POOL_KEPT_BYTES_MAX);
    budget_add(status, "signing_key_tables", (1 + node->plan.verifiers) * ed25519_keys_bytes(NODE_KEY_SETS));
    if (node->verdicts != NULL) budget_add(status, "verdicts", sizeof *node->verdicts);
    budget_add(status, "store_dirty_pages", STORE_DIRTY_BYTES);
    struct net_counter net[12];
    size_t count = net_budget(node->net, net, 12);
    for (size_t i = 0; i < count && i < 12; i++) {
        char name[STATUS_NAME_BYTES];
        snprintf(name, sizeof name, "net_%.40s", net[i].name);
        budget_add(status, name, net[i].value);
    }
}

void node_budget_log(struct node *node) {
    struct status_node *status = &node->status;
    uint64_t total = 0;
    pthread_mutex_lock(&node->status_lock);
    node_budget_put(node, status);
    for (uint32_t i = 0; i < status->budget_count; i++) {
        total += status->budget[i].value;
        log_event(LOG_LEVEL_INFO, "memory_budget", "part=%s bytes=%llu", status->budget[i].name, (unsigned long long)status->budget[i].value);
    }
    log_event(LOG_LEVEL_INFO, "memory_budget", "part=all bytes=%llu", (unsigned long long)total);
    pthread_mutex_unlock(&node->status_lock);
}

/* What is resident; of that, pages of files (the program, and the stores' maps, which the kernel takes back when it needs them); and what the heap
 * holds. */
static void memory_put(struct status_node *status) {
    unsigned long long pages = 0, resident = 0, shared = 0, page = (unsigned long long)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return;
    if (fscanf(file, "%llu %llu %llu", &pages, &resident, &shared) != 3) resident = shared = 0;
    fclose(file);
    struct mallinfo2 heap = mallinfo2();
    status->resident_bytes = resident * page;
    status->resident_file_bytes = shared * page;
    status->memory_limit_bytes = memory_limit("");
    status->heap_bytes = heap.uordblks + heap.hblkhd;
}

/* Lines for the operator: each comes once, or when it has become worse. */

/* A member that runs has sent a STATUS within this time (B-70). */
static uint64_t status_fresh_ms(const struct node *node) {
    return 3 * (uint64_t)node->system->timeouts.view_base_ms;
}

static void clock_watch(struct node *node, struct status_node *status, uint64_t now_ms) {
    enum watch_verdict verdict = watch_clock(&node->clock_watch, &status->replica, now_ms, ring_clock_wall_ms(), status_fresh_ms(node));
    status->clock_difference_ms = node->clock_watch.difference_ms;
    status->clock_differs = node->clock_watch.differs;
    if (verdict == WATCH_DIFFERS)
        log_event(LOG_LEVEL_WARN, "clock_differs", "difference_ms=%lld do=\"set this host's clock (or the other members' hosts'): consensus goes by "
                  "cluster time, calendars only begin it\"", (long long)status->clock_difference_ms);
    if (verdict == WATCH_AGREES) log_event(LOG_LEVEL_INFO, "clock_agrees", "difference_ms=%lld", (long long)status->clock_difference_ms);
}

static void wal_watch(struct node *node, struct status_node *status) {
    const struct status_replica *replica = &status->replica;
    status->prune_holder = watch_prune_holder(replica);
    if (status->now_ms - status->started_ms < status_fresh_ms(node)) return; /* the others have not been heard yet */
    unsigned percent = watch_wal(&node->wal_told, status->wal_bytes, status->wal_map_bytes);
    if (percent == 0) return;
    const struct system_cluster *cluster = system_cluster_by_id(node->system, node->cluster);
    const char *holder = status->prune_holder < replica->members ? cluster->nodes[status->prune_holder].name : "nobody";
    log_event(LOG_LEVEL_WARN, "wal_filling", "percent=%u bytes=%llu map_bytes=%llu pruned_height=%llu checkpoint_height=%llu held_back_by=%s "
              "do=\"bring back the member that holds pruning back, or raise wal_map_bytes in node.conf and restart\"", percent,
              (unsigned long long)status->wal_bytes, (unsigned long long)status->wal_map_bytes, (unsigned long long)replica->pruned_height,
              (unsigned long long)replica->checkpoint_height, holder);
}

static void asking_watch(struct node *node, const struct status_replica *replica, uint64_t now_ms) {
    if (!watch_asking(&node->asking_since_ms, replica->phase, now_ms)) return;
    uint32_t links = 0;
    for (uint32_t i = 0; i < replica->members; i++) links += i != replica->member && replica->peers[i].up;
    log_event(LOG_LEVEL_WARN, "asking_long", "links_up=%u needed=%u do=\"this node may not vote before other members tell what it signed last: start "
              "them, see that they reach it at its address; if they do, they reach another process with its key: stop one of the two\"", links,
              replica->members - replica->faults - 1);
}

void node_status_head(struct node *node) {
    struct status_node *status = &node->status;
    snprintf(status->name, sizeof status->name, "%s", node->name);
    snprintf(status->system_name, sizeof status->system_name, "%s", node->system->name);
    memcpy(status->system_id, node->system->system_id, 16);
    snprintf(status->threads_map, sizeof status->threads_map, "%s", node->plan.split ? "split" : "fused");
    status->data = node->config.data;
    status->started_ms = node->started_ms;
}

void node_load_look(struct node *node, uint64_t now_ms) {
    if (now_ms - node->load_ms < NODE_LOAD_MS || !replica_load_wanted(node->replica)) return;
    bool stale = now_ms - node->load_ms >= NODE_LOAD_STALE_MS; /* it did not propose for a while: what it was before says nothing of now */
    node->load_ms = now_ms;
    int permille = load_look(&node->load, "");
    replica_load(node->replica, stale || permille < 0 ? 0 : (uint32_t)permille);
}

void node_status_update(struct node *node, uint64_t now_ms) {
    if (now_ms - node->status_ms < NODE_STATUS_MS && node->status_ms != 0) return;
    node->status_ms = now_ms;
    if (node->plan.split) node_cpu_sample(node, NODE_THREAD_CONSENSUS);
    if (atomic_exchange(&node->decision_wanted, false)) replica_decision_want(node->replica);
    pthread_mutex_lock(&node->status_lock);
    struct status_node *status = &node->status;
    node_status_head(node);
    status->now_ms = now_ms;
    status->ready = replica_is_ready(node->replica);
    replica_status(node->replica, &status->replica);
    node_progress_look(node);
    counters_put(node, status);
    node_cost_put(node, status);
    clock_watch(node, status, now_ms);
    wal_watch(node, status);
    asking_watch(node, &status->replica, now_ms);
    threads_put(node, status);
    if (status->budget_count == 0) node_budget_put(node, status);
    status->links_up = 0;
    for (uint32_t i = 0; i < status->replica.members; i++) status->links_up += status->replica.peers[i].up;
    for (uint32_t i = 0; i < status->replica.pair_count; i++) status->links_up += status->replica.pairs[i].links_up;
    status->links_up += (uint32_t)status->replica.clients_connected;
    status->links_known = status->replica.members - 1;
    pthread_mutex_unlock(&node->status_lock);
}

/* Which part this address begins, EXEC_MEMORIES: none. */
static enum exec_memory part_at(const struct node *node, unsigned long long address) {
    for (uint32_t i = 0; i < node->region_count; i++) {
        if ((uintptr_t)node->regions[i].base == address) return node->regions[i].part;
    }
    return EXEC_MEMORIES;
}

/* What is resident of each part: its regions are mappings of their own (store/reserve.h). */
static void parts_resident(const struct node *node, uint64_t parts[EXEC_MEMORIES]) {
    FILE *file = fopen("/proc/self/smaps", "re");
    if (file == NULL) return;
    enum exec_memory part = EXEC_MEMORIES;
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long long address = 0, end = 0, kib = 0;
        if (sscanf(line, "%llx-%llx ", &address, &end) == 2)
            part = part_at(node, address);
        else if (part != EXEC_MEMORIES && sscanf(line, "Rss: %llu kB", &kib) == 1)
            parts[part] += kib * 1024;
    }
    fclose(file);
}

static void resident_add(struct status_node *status, const char *name, uint64_t bytes) {
    struct status_counter *part = &status->resident[status->resident_count++];
    snprintf(part->name, sizeof part->name, "%s", name);
    part->value = bytes;
}

/* What of the budget is in use: the reserved parts one by one; of the others, which live on the heap, state transfer by what it says itself. On the
 * thread that asks: a walk over page tables. */
static void resident_put(const struct node *node, struct status_node *status) {
    uint64_t parts[EXEC_MEMORIES] = {0}, reserved = 0;
    memory_put(status);
    node_cpu_put(status);
    parts_resident(node, parts);
    status->resident_count = 0;
    for (enum exec_memory part = 0; part < EXEC_MEMORIES; part++) {
        resident_add(status, exec_memory_name(part), parts[part]);
        reserved += parts[part];
    }
    struct transfer_memory transfer;
    node_transfer_memory(node, &transfer);
    resident_add(status, "transfer_serving", transfer.serving);
    resident_add(status, "transfer_taking", transfer.taking);
    reserved += transfer.serving + transfer.taking;
    uint64_t rest = status->resident_bytes - status->resident_file_bytes;
    resident_add(status, "heap_and_stacks", rest > reserved ? rest - reserved : 0);
    resident_add(status, "files", status->resident_file_bytes);
}

void node_decide(void *context) {
    struct node *node = context;
    atomic_store(&node->decision_wanted, true);
}

void node_status_copy(void *context, struct status_node *status) {
    struct node *node = context;
    pthread_mutex_lock(&node->status_lock);
    *status = node->status;
    pthread_mutex_unlock(&node->status_lock);
    if (atomic_load(&node->opened)) resident_put(node, status);
}
