/*
 * The administrators of a simulated system (tests/sim/sys.h), three of whom two must sign: they make CONFIGs for one cluster or another, hand them to
 * whichever members they reach, and again until one is in force (enrolments: sys_enrol.c). Sometimes two with the same serial are about. What is in
 * force is never taken from the administrators: an honest node shows it by entering the epoch, and must have one that was signed.
 */
#include "appliance/node/node.h"
#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"
#include "protocol/claim.h"
#include "protocol/config_chain.h"
#include "protocol/keyfile.h"
#include "tests/sim/sys.h"

enum { THINK_US = 700000, RIVAL_PPM = 150000, NEAR_BLOCKS = 64 };

struct sys_admins {
    struct keyfile keys[SYS_ADMINS];
    struct card cards[SYS_ADMINS];
    struct keyfile owner;
    uint64_t nonce;
};

bool sys_entropy(void *context, uint8_t *out, size_t count) {
    struct sys_world *world = context;
    for (size_t i = 0; i < count; i++) out[i] = (uint8_t)sys_random(world, 256);
    return true;
}

/* ---- who there is ---- */

static int card_compare(const void *a, const void *b) {
    return memcmp(((const struct card *)a)->signing_key, ((const struct card *)b)->signing_key, 32);
}

void sys_admin_setup(struct sys_world *world) {
    struct sys_admins *admins = calloc(1, sizeof *admins);
    CHECK(admins != NULL);
    CHECK(ed25519_start(NULL));
    world->admins = admins;
    for (uint32_t i = 0; i < SYS_ADMINS; i++) {
        CHECK(keyfile_generate(&admins->keys[i], KEYFILE_ADMIN, "admin", sys_entropy, world, NULL) == SYSTEM_OK);
        CHECK(keyfile_make_card(&admins->keys[i], NULL, &admins->cards[i], NULL) == SYSTEM_OK);
    }
    CHECK(keyfile_generate(&admins->owner, KEYFILE_OWNER, "owner", sys_entropy, world, NULL) == SYSTEM_OK);
    qsort(admins->cards, SYS_ADMINS, sizeof *admins->cards, card_compare);
    world->system->admins = admins->cards;
    world->system->admins_count = SYS_ADMINS;
    world->system->admins_needed = SYS_ADMINS_NEEDED;
}

static void spare_make(struct sys_world *world, uint32_t cluster_index) {
    uint32_t index = world->node_count++, at = index - world->genesis_count;
    struct sys_node *node = &world->nodes[index];
    struct keyfile key;
    char name[SYS_NAME_BYTES];
    node->cluster_index = cluster_index;
    node->cluster = world->clusters[cluster_index].cluster;
    node->member = BFT_MEMBERS_MAX;
    node->spare = true;
    CHECK(keyfile_generate(&key, KEYFILE_NODE, sys_end_name(world, index, name), sys_entropy, world, NULL) == SYSTEM_OK);
    CHECK(keyfile_make_card(&key, &world->admins->owner, &world->spare_cards[at], NULL) == SYSTEM_OK);
    node->card = &world->spare_cards[at];
    node->key = (struct sys_key){.world = world, .node = (uint8_t)index, .secret = key.signing};
    memcpy(node->key.public_key, key.signing_key, 32);
    memcpy(node->key.keyed.public_key, key.signing_key, 32);
    keyfile_close(&key);
}

void sys_admin_spares(struct sys_world *world) {
    world->genesis_count = world->node_count;
    if (!(world->config.faults >> SYS_CONFIG & 1)) return;
    uint32_t each = SYS_SPARES_MAX / world->cluster_count < 4 ? SYS_SPARES_MAX / world->cluster_count : 4;
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        for (uint32_t i = 0; i < each; i++) spare_make(world, c);
    }
}

static uint32_t node_by_signing_key(const struct sys_world *world, const uint8_t key[32]) {
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (memcmp(world->nodes[i].key.public_key, key, 32) == 0) return i;
    }
    CHECK(false);
    return 0;
}

static void nodes_fill(const struct sys_world *world, struct sys_epoch *epoch) {
    const struct config_members *members = &epoch->config.members;
    memset(epoch->node_of, UINT8_MAX, sizeof epoch->node_of);
    for (uint32_t i = 0; i < members->count; i++) epoch->node_of[i] = (uint8_t)node_by_signing_key(world, members->members[i].signing_key);
}

static struct sys_epoch *epoch_push(struct sys_cluster *cluster) {
    cluster->epochs = realloc(cluster->epochs, (cluster->epoch_count + 1) * sizeof *cluster->epochs);
    CHECK(cluster->epochs != NULL);
    struct sys_epoch *epoch = &cluster->epochs[cluster->epoch_count++];
    memset(epoch, 0, sizeof *epoch);
    return epoch;
}

void sys_admin_begin(struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        struct sys_cluster *cluster = &world->clusters[c];
        struct sys_epoch *genesis = epoch_push(cluster);
        CHECK(system_config(world->system, cluster->cluster, &genesis->config));
        nodes_fill(world, genesis);
        struct bft_place place = {.cluster = cluster->cluster};
        struct bft_point start = {.height = cluster->base};
        uint8_t keys[BFT_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES];
        memcpy(place.system_id, world->system->system_id, sizeof place.system_id);
        config_hash(&genesis->config, place.config_hash.bytes);
        for (uint32_t i = 0; i < cluster->n; i++) memcpy(keys[i], world->nodes[cluster->first + i].key.public_key, 32);
        CHECK(bft_members_init(&genesis->members, &place, &start, cluster->n, (const uint8_t(*)[SIGNER_PUBLIC_KEY_BYTES])keys));
    }
    bool by_chance = world->admins != NULL && !world->config.quiet_faults;
    if (by_chance) sys_schedule(world, (struct sys_event){.at_us = world->now_us + 2 * THINK_US, .kind = SYS_ADMIN});
}

void sys_admin_free(struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        struct sys_cluster *cluster = &world->clusters[c];
        for (uint32_t i = 0; i < cluster->epoch_count; i++) free(cluster->epochs[i].bytes);
        for (uint32_t i = 0; i < cluster->proposed_count; i++) free(cluster->proposed[i].bytes);
        free(cluster->epochs);
    }
    if (world->admins == NULL) return;
    for (uint32_t i = 0; i < SYS_ADMINS; i++) keyfile_close(&world->admins->keys[i]);
    keyfile_close(&world->admins->owner);
    free(world->admins);
}

/* ---- what is in force ---- */

static void epoch_take(struct sys_world *world, uint32_t index, const struct bft_members *entered) {
    struct sys_cluster *cluster = &world->clusters[world->nodes[index].cluster_index];
    char name[SYS_NAME_BYTES];
    uint8_t hash[32];
    for (uint32_t i = 0; i < cluster->proposed_count; i++) {
        config_hash(&cluster->proposed[i].config, hash);
        if (memcmp(hash, entered->place.config_hash.bytes, 32) != 0) continue;
        struct sys_epoch *epoch = epoch_push(cluster);
        *epoch = cluster->proposed[i];
        epoch->members = *entered;
        nodes_fill(world, epoch);
        for (uint32_t k = 0; k < cluster->proposed_count; k++) {
            if (k != i) free(cluster->proposed[k].bytes);
        }
        cluster->proposed_count = 0;
        sys_reached(world->stats, "epoch_in_force", 1);
        sys_trace(world, "epoch %llu of 0x%x, of %u members, from height %llu on: %s is the first in it", (unsigned long long)entered->place.epoch,
                  cluster->cluster, entered->n, (unsigned long long)entered->start.height, sys_end_name(world, index, name));
        return;
    }
    sys_fail(world, SYS_CHECK_AGREEMENT, "%s is in epoch %llu by a CONFIG that nobody signed", sys_end_name(world, index, name),
             (unsigned long long)entered->place.epoch);
}

void sys_epoch_follow(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    struct sys_cluster *cluster = &world->clusters[node->cluster_index];
    const struct replica *r = node->shell->replica;
    char name[SYS_NAME_BYTES];
    while (cluster->epoch_count <= r->members.place.epoch) epoch_take(world, index, &r->epochs[cluster->epoch_count].members);
    const struct bft_members *known = &cluster->epochs[r->members.place.epoch].members;
    bool same = known->place.epoch == 0 || bft_point_equal(&known->start, &r->members.start); /* genesis is each node's own */
    if (!same || !bft_place_equal(&known->place, &r->members.place))
        sys_fail(world, SYS_CHECK_AGREEMENT, "%s entered another epoch %llu than others did", sys_end_name(world, index, name),
                 (unsigned long long)r->members.place.epoch);
}

uint32_t sys_epoch_node(const struct sys_world *world, uint32_t cluster_index, uint64_t epoch, uint32_t place) {
    const struct sys_cluster *cluster = &world->clusters[cluster_index];
    if (epoch >= cluster->epoch_count || place >= cluster->epochs[epoch].members.n) return SYS_NODES_MAX;
    return cluster->epochs[epoch].node_of[place];
}

static bool epoch_has(const struct sys_epoch *epoch, uint32_t node) {
    for (uint32_t i = 0; i < epoch->config.members.count; i++) {
        if (epoch->node_of[i] == node) return true;
    }
    return false;
}

bool sys_is_member(const struct sys_world *world, uint32_t index) {
    const struct sys_cluster *cluster = &world->clusters[world->nodes[index].cluster_index];
    return epoch_has(&cluster->epochs[cluster->epoch_count - 1], index);
}

/* ---- how many may be faulty ---- */

static bool room_for_a_fault(const struct sys_world *world, const struct sys_epoch *epoch, uint32_t more) {
    uint32_t faulty = more;
    for (uint32_t i = 0; i < epoch->config.members.count; i++) faulty += world->nodes[epoch->node_of[i]].faulty;
    return faulty <= config_faults(epoch->config.members.count);
}

bool sys_may_break(const struct sys_world *world, uint32_t index) {
    const struct sys_node *node = &world->nodes[index];
    const struct sys_cluster *cluster = &world->clusters[node->cluster_index];
    if (node->faulty || node->liar || (node->spare && !node->ordered)) return false;
    for (uint32_t i = 0; i < cluster->epoch_count; i++) {
        if (epoch_has(&cluster->epochs[i], index) && !room_for_a_fault(world, &cluster->epochs[i], 1)) return false;
    }
    for (uint32_t i = 0; i < cluster->proposed_count; i++) {
        if (epoch_has(&cluster->proposed[i], index) && !room_for_a_fault(world, &cluster->proposed[i], 1)) return false;
    }
    return true;
}

void sys_broke(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    if (!node->faulty) world->clusters[node->cluster_index].broken++;
    node->faulty = true;
}

static bool has_caught_up(const struct sys_world *world, uint32_t index) {
    const struct sys_node *node = &world->nodes[index];
    return node->up && sys_replica(node)->tip_height + NEAR_BLOCKS >= world->clusters[node->cluster_index].height;
}

/* Who is to become a member observes first (S-81): a cluster that counts on one who has nothing yet, and of which f are faulty, could decide
 * nothing. */
static bool newcomers_ready(const struct sys_world *world, const struct sys_cluster *cluster, const struct sys_epoch *proposed) {
    for (uint32_t i = 0; i < proposed->config.members.count; i++) {
        uint32_t index = proposed->node_of[i];
        if (epoch_has(&cluster->epochs[cluster->epoch_count - 1], index) || world->nodes[index].faulty) continue; /* one of the f: not waited for */
        if (!has_caught_up(world, index)) return false; /* one that has not heard of the epoch may know nobody who stays: chain_give() */
    }
    return true;
}

/* Nobody else is brought in or leaves while a member that is not faulty has still to come where the others are. */
static bool members_ready(const struct sys_world *world, const struct sys_cluster *cluster) {
    const struct sys_epoch *now = &cluster->epochs[cluster->epoch_count - 1];
    for (uint32_t i = 0; i < now->config.members.count; i++) {
        if (!world->nodes[now->node_of[i]].faulty && !has_caught_up(world, now->node_of[i])) return false;
    }
    return true;
}

/* ---- what a new node is given ---- */

/* One up and honest who has come furthest: what `config new` was told the chain by. NULL: there is none. */
static const struct replica *teller(const struct sys_world *world, const struct sys_cluster *cluster) {
    const struct sys_epoch *now = &cluster->epochs[cluster->epoch_count - 1];
    const struct replica *best = NULL;
    for (uint32_t i = 0; i < now->config.members.count; i++) {
        const struct sys_node *node = &world->nodes[now->node_of[i]];
        if (!node->up || node->liar) continue;
        if (best == NULL || sys_replica(node)->members.place.epoch > best->members.place.epoch) best = sys_replica(node);
    }
    return best;
}

static void chain_write(struct sys_node *node, const struct blob *payload) {
    struct config_chain_reader reader;
    const uint8_t *entry;
    size_t bytes;
    CHECK(config_chain_read(&reader, node->cluster, payload->bytes, payload->count, NULL) == SYSTEM_OK);
    while (config_chain_next(&reader, &entry, &bytes)) {
        struct iovec part = {.iov_base = (void *)(uintptr_t)entry, .iov_len = bytes};
        struct wal_record record = {.operation = WAL_PUT, .db = WAL_CHAIN, .parts = &part, .part_count = 1};
        (void)wal_key_chain(record.key, reader.serial);
        if (sys_disk_find(&node->wal, WAL_CHAIN, record.key) == NULL) sys_disk_put(&node->wal, &record);
    }
}

/* As `system init --chain` does: half of the time, and whenever nobody of the system file is a member any more (then it knows nobody). */
bool sys_admin_chain(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    const struct sys_cluster *cluster = &world->clusters[node->cluster_index];
    const struct sys_epoch *now = &cluster->epochs[cluster->epoch_count - 1];
    bool knows = false;
    for (uint32_t i = 0; i < now->config.members.count; i++) knows |= !world->nodes[now->node_of[i]].spare;
    if (knows && sys_chance(world, 500000)) return true;
    const struct replica *of = teller(world, cluster);
    if (of == NULL) return knows;
    struct blob *payload = epoch_chain(of);
    if (payload->count > 0) chain_write(node, payload);
    blob_drop(payload);
    return true;
}

/* Is it in office, and linked to nobody who is, in an epoch that is over? */
static bool is_alone(const struct sys_world *world, uint32_t index) {
    const struct sys_node *node = &world->nodes[index];
    const struct sys_cluster *cluster = &world->clusters[node->cluster_index];
    const struct sys_epoch *now = &cluster->epochs[cluster->epoch_count - 1];
    if (!node->up || node->faulty || !epoch_has(now, index) || sys_replica(node)->epoch_count >= cluster->epoch_count) return false;
    for (uint32_t i = 0; i < now->config.members.count; i++) {
        uint32_t other = now->node_of[i];
        if (other != index && (index < other ? world->links[index][other].up : world->links[other][index].up)) return false;
    }
    return true;
}

/* Its operator shows it the chain as it is by now: `heracliusd --chain` while it does not run (S-105). */
static void chain_give(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    const struct replica *of = teller(world, &world->clusters[node->cluster_index]);
    char name[SYS_NAME_BYTES];
    if (of == NULL || of->epoch_count <= sys_replica(node)->epoch_count) return;
    struct blob *payload = epoch_chain(of);
    sys_reached(world->stats, "chain_given", 1);
    sys_trace(world, "%s finds nobody: it is given the chain", sys_end_name(world, index, name));
    sys_node_again(world, index);
    chain_write(node, payload);
    blob_drop(payload);
}

static void chains_give(struct sys_world *world) {
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (is_alone(world, i) && sys_chance(world, 300000)) chain_give(world, i);
    }
}

/* ---- making one ---- */

uint32_t sys_admin_spare(const struct sys_world *world, uint32_t cluster_index) {
    for (uint32_t i = world->genesis_count; i < world->node_count; i++) {
        if (world->nodes[i].cluster_index == cluster_index && !world->nodes[i].ordered) return i;
    }
    return SYS_NODES_MAX;
}

void sys_admin_put(const struct sys_world *world, struct admin_op *op, uint32_t spare, uint32_t place) {
    const struct sys_node *node = &world->nodes[spare];
    struct config_member *member = &op->config.members.members[place];
    memcpy(member->node_id, node->card->id, 32);
    memcpy(member->signing_key, node->card->signing_key, 32);
    memcpy(member->noise_key, node->card->noise_key, 32);
    op->nodes[op->nodes_count++] = *node->card;
}

/* Those who are new are started, before the CONFIG is in force or after. */
static void order(struct sys_world *world, const struct sys_epoch *epoch) {
    for (uint32_t i = 0; i < epoch->config.members.count; i++) {
        struct sys_node *node = &world->nodes[epoch->node_of[i]];
        if (!node->spare || node->ordered) continue;
        node->ordered = true;
        uint64_t at = world->now_us + sys_random(world, 2 * THINK_US);
        sys_schedule(world, (struct sys_event){.at_us = at, .kind = SYS_START, .to = epoch->node_of[i]});
    }
}

/* A member that is faulty, if there is one, half of the time. */
static uint32_t place_any(struct sys_world *world, const struct sys_epoch *now) {
    uint32_t count = now->config.members.count, from = (uint32_t)sys_random(world, count);
    bool seek = sys_chance(world, 500000);
    for (uint32_t i = 0; i < count && seek; i++) {
        if (world->nodes[now->node_of[(from + i) % count]].faulty) return (from + i) % count;
    }
    return from;
}

static void limits_change(struct sys_world *world, struct config *config) {
    static const uint32_t windows[] = {1, 2, 4, 4}, dues[] = {1, 10, 10, 50}, views[] = {100, 250, 500, 1000};
    switch (sys_random(world, 5)) {
    case 0: config->limits.window_blocks = windows[sys_random(world, 4)]; break;
    case 1: config->limits.rotation_blocks = 16 + (uint32_t)sys_random(world, 200); break;
    case 2: config->limits.queue_policy = 1 - config->limits.queue_policy; break;
    case 3: config->timeouts.due_ms = dues[sys_random(world, 4)]; break;
    default:
        config->timeouts.view_base_ms = views[sys_random(world, 4)];
        config->timeouts.view_max_ms = 4 * config->timeouts.view_base_ms < 1000 ? 1000 : 4 * config->timeouts.view_base_ms;
        break;
    }
}

/* False: it is not to be. */
static bool change(struct sys_world *world, uint32_t cluster_index, struct admin_op *op) {
    const struct sys_cluster *cluster = &world->clusters[cluster_index];
    const struct sys_epoch *now = &cluster->epochs[cluster->epoch_count - 1];
    struct config_members *members = &op->config.members;
    uint32_t spare = sys_admin_spare(world, cluster_index);
    uint64_t die = sys_random(world, 12);
    if (die < 3) {
        limits_change(world, &op->config);
        return true;
    }
    if (die >= 10) {
        sys_place_shuffle(world, op);
        return true;
    }
    if (!members_ready(world, cluster)) return false;
    if (die < 7) { /* replaced; a new key for a member is a new node in its place */
        uint32_t place = place_any(world, now);
        if (spare == SYS_NODES_MAX) return false;
        sys_admin_put(world, op, spare, place);
    } else if (die < 9) {
        if (spare == SYS_NODES_MAX || members->count == SYS_MEMBERS_MAX) return false;
        sys_place_insert(world, op, spare);
    } else {
        if (members->count == CONFIG_MEMBERS_MIN) return false;
        sys_place_cut(world, op);
    }
    if (sys_chance(world, 250000)) sys_place_shuffle(world, op);
    return true;
}

void sys_admin_sign(struct sys_world *world, struct admin_op *op) {
    uint32_t absent = (uint32_t)sys_random(world, SYS_ADMINS);
    for (uint32_t i = 0; i < SYS_ADMINS; i++) {
        if (i != absent || sys_chance(world, 200000)) CHECK(admin_op_sign(op, &world->admins->keys[i].signing));
    }
}

void sys_admin_next(const struct sys_world *world, uint32_t cluster_index, struct admin_op *op) {
    const struct sys_cluster *cluster = &world->clusters[cluster_index];
    const struct config *before = &cluster->epochs[cluster->epoch_count - 1].config;
    memset(op, 0, sizeof *op);
    op->kind = ADMIN_OP_CONFIG;
    op->cluster = cluster->cluster;
    memcpy(op->system_id, before->system_id, sizeof op->system_id);
    op->serial = before->members.serial + 1;
    config_hash(before, op->predecessor);
    op->config = *before;
    op->config.members.serial++;
}

void sys_admin_propose(struct sys_world *world, uint32_t cluster_index, struct admin_op *op, uint32_t absent) {
    struct sys_cluster *cluster = &world->clusters[cluster_index];
    struct sys_epoch *proposed = &cluster->proposed[cluster->proposed_count];
    *proposed = (struct sys_epoch){.config = op->config};
    nodes_fill(world, proposed);
    for (uint32_t i = 0; i < SYS_ADMINS; i++) {
        if (!(absent >> i & 1)) CHECK(admin_op_sign(op, &world->admins->keys[i].signing));
    }
    proposed->bytes = malloc(ADMIN_OP_BYTES_MAX);
    CHECK(proposed->bytes != NULL);
    proposed->count = admin_op_encode(op, proposed->bytes);
    cluster->proposed_count++;
    order(world, proposed);
    sys_fault_count(world, SYS_CONFIG, NULL);
    sys_trace(world, "the administrators sign a CONFIG %llu of 0x%x, of %u members", (unsigned long long)op->serial, cluster->cluster,
              op->config.members.count);
}

static void propose(struct sys_world *world, uint32_t cluster_index) {
    struct admin_op *op = calloc(1, sizeof *op);
    struct sys_epoch epoch = {.bytes = NULL};
    CHECK(op != NULL);
    sys_admin_next(world, cluster_index, op);
    bool good = change(world, cluster_index, op);
    epoch.config = op->config;
    if (good) nodes_fill(world, &epoch);
    if (good && room_for_a_fault(world, &epoch, 0)) {
        uint32_t absent = (uint32_t)sys_random(world, SYS_ADMINS);
        sys_admin_propose(world, cluster_index, op, sys_chance(world, 200000) ? 0 : 1u << absent);
    }
    free(op);
}

void sys_admin_tell(struct sys_world *world, uint32_t index, uint16_t type, const uint8_t *bytes, size_t count) {
    struct replica_peer console = {.kind = REPLICA_CLIENT, .index = world->config.clients + world->config.hostile};
    struct blob *frame = blob_make(8 + count);
    bytes_put_le64(frame->bytes, ++world->admins->nonce);
    memcpy(frame->bytes + 8, bytes, count);
    world->current = (uint8_t)index;
    replica_frame(sys_replica(&world->nodes[index]), console, type, (struct blob_piece){.blob = frame, .count = frame->count});
    blob_drop(frame);
    sys_node_step(world, index);
}

/* All members are told who may look; what is to be decided, two of them: one is enough. */
void sys_admin_hand_in(struct sys_world *world, uint32_t cluster_index) {
    struct sys_cluster *cluster = &world->clusters[cluster_index];
    const struct sys_epoch *proposed = &cluster->proposed[sys_random(world, cluster->proposed_count)];
    const struct sys_epoch *now = &cluster->epochs[cluster->epoch_count - 1];
    bool ready = newcomers_ready(world, cluster, proposed);
    uint32_t members = now->config.members.count, count = ready ? 2 : members, from = (uint32_t)sys_random(world, members);
    uint32_t epochs = cluster->epoch_count;
    sys_reached(world->stats, ready ? "config_handed_in" : "config_announced", 1);
    for (uint32_t i = 0; i < count && cluster->epoch_count == epochs; i++) { /* it may be in force at once */
        uint32_t index = now->node_of[(from + i) % members];
        if (world->nodes[index].up) sys_admin_tell(world, index, ready ? MESSAGE_ADMIN : MESSAGE_ANNOUNCE, proposed->bytes, proposed->count);
    }
}

void sys_admin_event(struct sys_world *world) {
    uint32_t c = (uint32_t)sys_random(world, world->cluster_count);
    struct sys_cluster *cluster = &world->clusters[c];
    sys_enrol_event(world);
    chains_give(world);
    sys_burn_event(world);
    sys_seal_event(world);
    bool may = !world->healed && world->config.faults >> SYS_CONFIG & 1 && !cluster->seal.sealed && !cluster->burnt;
    bool more = may && (cluster->proposed_count == 0 || (cluster->proposed_count == 1 && sys_chance(world, RIVAL_PPM)));
    if (more && sys_chance(world, 400000)) propose(world, c);
    if (cluster->proposed_count > 0) sys_admin_hand_in(world, c);
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + sys_random(world, THINK_US), .kind = SYS_ADMIN});
}

void sys_admin_statement(struct sys_world *world, struct claim_successor *statement, uint32_t signers) {
    uint32_t from = (uint32_t)sys_random(world, SYS_ADMINS);
    for (uint32_t i = 0; i < signers; i++) CHECK(claim_successor_sign(statement, &world->admins->keys[(from + i) % SYS_ADMINS].signing));
}

bool sys_admin_settled(const struct sys_world *world) {
    for (uint32_t c = 0; c < world->cluster_count; c++) {
        if (world->clusters[c].proposed_count > 0) return false;
    }
    return sys_enrol_settled(world);
}
