#include "tests/appliance/exec_world.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/partition.h"

uint64_t world_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void fill(uint8_t *out, size_t bytes, uint64_t *seed) {
    for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)world_random(seed);
}

static void card_invent(struct card *card, enum card_kind kind, const char *name, uint64_t *seed) {
    memset(card, 0, sizeof *card);
    card->kind = kind;
    snprintf(card->name, sizeof card->name, "%s", name);
    fill(card->signing_key, 32, seed);
    if (kind != CARD_ADMIN) fill(card->noise_key, 32, seed);
    card_identify(card);
}

static int client_compare(const void *a, const void *b) {
    return memcmp(((const struct system_client *)a)->card.id, ((const struct system_client *)b)->card.id, 32);
}

void world_system(struct world *world, uint32_t coordinators, uint32_t shards) {
    uint64_t seed = 7;
    memset(world, 0, sizeof *world);
    CHECK(coordinators + shards <= WORLD_CLUSTERS_MAX);
    struct system *system = &world->system;
    snprintf(system->name, sizeof system->name, "test");
    fill(system->system_id, 16, &seed);
    fill(system->file_hash, 32, &seed);
    fill(system->partition_key, 16, &seed);
    system->protocol_version = 1;
    system_limits_default(&system->limits);
    system_timeouts_default(&system->timeouts);
    system->limits.table_keys_max = 1 << 20;
    system->limits.table_bytes_max = 1 << 28;
    card_invent(&world->admin, CARD_ADMIN, "admin", &seed);
    system->admins_needed = 1;
    system->admins_count = 1;
    system->admins = &world->admin;
    world->coordinators = system->coordinators_count = coordinators;
    world->shards = system->shards_count = shards;
    for (uint32_t i = 0; i < coordinators + shards; i++) {
        struct system_cluster *cluster = &world->clusters_of_system[i];
        cluster->cluster = i < coordinators ? (uint32_t)COORDINATOR_CLUSTER_BASE + i : (uint32_t)SHARD_CLUSTER_BASE + (i - coordinators);
        cluster->nodes_count = WORLD_NODES;
        cluster->nodes = world->nodes[i];
        for (uint32_t n = 0; n < WORLD_NODES; n++) card_invent(&world->nodes[i][n], CARD_NODE, "node", &seed);
    }
    system->clusters = world->clusters_of_system;
    world->rights[0] = (struct system_right){.flags = SYSTEM_RIGHT_READ | SYSTEM_RIGHT_WRITE};
    world->rights[1] = (struct system_right){.flags = SYSTEM_RIGHT_READ, .prefix_bytes = 3, .prefix = "ro:"};
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
        card_invent(&world->clients[i].card, CARD_CLIENT, "client", &seed);
        world->clients[i].rights_count = 1;
        world->clients[i].rights = &world->rights[0];
    }
    qsort(world->clients, WORLD_CLIENTS, sizeof world->clients[0], client_compare);
    system->clients_count = WORLD_CLIENTS;
    system->clients = world->clients;
}

struct executor *world_executor(const struct world *world, uint32_t cluster, uint8_t root[32]) {
    struct executor_config config = {.system = &world->system, .cluster = cluster, .blocks_kept_max = 64, .hash_key = {1, 2, 3}};
    struct executor *ex;
    CHECK(executor_create(&config, &ex) == EXEC_VALID);
    executor_genesis(ex, root);
    return ex;
}

void world_start(struct world *world) {
    for (uint32_t i = 0; i < world->coordinators + world->shards; i++) {
        struct world_cluster *cluster = &world->clusters[i];
        cluster->cluster = world->clusters_of_system[i].cluster;
        cluster->ex = world_executor(world, cluster->cluster, cluster->root);
    }
}

struct world *world_create(uint32_t coordinators, uint32_t shards) {
    struct world *world = malloc(sizeof *world);
    CHECK(world);
    world_system(world, coordinators, shards);
    world_start(world);
    return world;
}

struct world_cluster *world_coordinator(struct world *world, uint32_t i) { return &world->clusters[i]; }
struct world_cluster *world_shard(struct world *world, uint32_t i) { return &world->clusters[world->coordinators + i]; }

uint32_t world_shard_of(const struct world *world, const char *key) {
    return partition_shard(world->system.partition_key, world->shards, (const uint8_t *)key, strlen(key));
}

/* Operations. */

static const uint8_t *keep(const void *bytes, size_t count) {
    static uint8_t memory[1 << 21];
    static size_t used;
    if (used + count > sizeof memory) used = 0;
    uint8_t *at = memory + used;
    if (count > 0) memcpy(at, bytes, count);
    used += count;
    return at;
}

static struct operation op_make(uint8_t opcode, const char *key, const void *a, uint32_t a_bytes, const void *b, uint32_t b_bytes) {
    struct operation op = {.opcode = opcode, .key_bytes = (uint16_t)strlen(key), .a = a_bytes, .b = b_bytes};
    op.key = keep(key, strlen(key));
    if (opcode != OPERATION_GET) op.argument_a = keep(a, a_bytes);
    op.argument_b = keep(b, b_bytes);
    return op;
}

struct operation op_get(const char *key, uint32_t most) { return op_make(OPERATION_GET, key, NULL, most, NULL, 0); }
struct operation op_get_version(const char *key, uint32_t most) {
    struct operation op = op_get(key, most);
    op.flags = OPERATION_FLAG_VERSION;
    return op;
}
struct operation op_put_bytes(const char *key, const uint8_t *value, uint32_t bytes) { return op_make(OPERATION_PUT, key, value, bytes, NULL, 0); }
struct operation op_put(const char *key, const char *value) { return op_make(OPERATION_PUT, key, value, (uint32_t)strlen(value), NULL, 0); }
struct operation op_put_if_absent(const char *key, const char *value) {
    return op_make(OPERATION_PUT_IF_ABSENT, key, value, (uint32_t)strlen(value), NULL, 0);
}
struct operation op_cas(const char *key, const char *old, const char *new) {
    return op_make(OPERATION_CAS, key, old, (uint32_t)strlen(old), new, (uint32_t)strlen(new));
}
struct operation op_cas_version(const char *key, uint64_t height, uint32_t index, const char *new) {
    uint8_t version[OPERATION_VERSION_BYTES];
    version_put(version, (struct version){.height = height, .index = index});
    return op_make(OPERATION_CAS_VERSION, key, version, sizeof version, new, (uint32_t)strlen(new));
}
struct operation op_delete(const char *key) { return op_make(OPERATION_DELETE, key, NULL, 0, NULL, 0); }
struct operation op_add(const char *key, int64_t delta) {
    uint8_t bytes[8];
    bytes_put_le64(bytes, (uint64_t)delta);
    return op_make(OPERATION_ADD, key, bytes, 8, NULL, 0);
}
struct operation op_add_floor(const char *key, int64_t delta, int64_t floor) {
    uint8_t a[8], b[8];
    bytes_put_le64(a, (uint64_t)delta);
    bytes_put_le64(b, (uint64_t)floor);
    return op_make(OPERATION_ADD, key, a, 8, b, 8);
}
struct operation op_check(const char *key, uint64_t height, uint32_t index) {
    uint8_t version[OPERATION_VERSION_BYTES];
    version_put(version, (struct version){.height = height, .index = index});
    return op_make(OPERATION_CHECK, key, version, sizeof version, NULL, 0);
}
struct operation op_check_absent(const char *key) { return op_make(OPERATION_CHECK, key, NULL, 0, NULL, 0); }
struct operation op_cancel(void) { return op_make(OPERATION_CANCEL, "", NULL, 0, NULL, 0); }
struct operation op_client_state(const uint8_t client_id[32]) { return op_make(OPERATION_CLIENT_STATE, "", client_id, 32, NULL, 0); }
struct operation op_reserved(const char *key, uint8_t opcode) { return op_make(opcode, key, "x", 1, "yz", 2); }

/* Batches. */

static void sign_nothing(void *context, const uint8_t *bytes, size_t count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    (void)context;
    (void)bytes;
    (void)count;
    memset(signature, 0, SIGNER_SIGNATURE_BYTES);
}

uint8_t *world_batch(struct world *world, const struct world_part *part, uint32_t *bytes, uint8_t digest[32]) {
    size_t room = 4096;
    for (uint32_t i = 0; i < part->op_count; i++) room += operation_bytes(&part->ops[i]);
    uint8_t *out = malloc(room), nonce[BATCH_NONCE_BYTES] = {0};
    CHECK(out);
    bytes_put_le32(nonce, part->nonce ? part->nonce : ++world->nonce + 1000000);
    struct bytes_writer writer = bytes_writer_of(out, room);
    struct batch_builder builder;
    struct signer signer = {.sign = sign_nothing};
    const uint8_t *client_id = world->clients[part->client].card.id;
    batch_build_begin(&builder, &writer, part->kind, client_id, nonce, 0);
    batch_build_part_begin(&builder, (uint32_t)SHARD_CLUSTER_BASE + part->shard, part->flags, part->number, part->floor);
    for (uint32_t i = 0; i < part->op_count; i++) operation_encode(&writer, &part->ops[i]);
    batch_build_part_end(&builder, part->op_count);
    CHECK(batch_build_end(&builder, world->system.system_id, &signer));
    *bytes = (uint32_t)writer.used;
    if (digest) {
        struct batch_part encoded = {.flags = part->flags, .number = part->number, .op_count = part->op_count, .ops = out + 64 + 32};
        encoded.ops_bytes = bytes_get_le32(out + 64 + 28);
        batch_part_digest(client_id, nonce, &encoded, digest);
    }
    return out;
}

void world_send(struct world *world, uint32_t coordinator, uint8_t relay, const struct world_part *part, uint8_t digest[32]) {
    struct world_cluster *cluster = world_coordinator(world, coordinator);
    CHECK(cluster->batch_count < WORLD_INBOX_MAX);
    struct world_message *message = &cluster->batches[cluster->batch_count++];
    memset(message, 0, sizeof *message);
    message->relay = relay;
    message->bytes = world_batch(world, part, &message->byte_count, digest);
}

void world_admin(struct world_cluster *cluster, const uint8_t *bytes, size_t count) {
    CHECK(cluster->batch_count < WORLD_INBOX_MAX);
    struct world_message *message = &cluster->batches[cluster->batch_count++];
    memset(message, 0, sizeof *message);
    message->kind = 3;
    message->bytes = malloc(count);
    CHECK(message->bytes);
    memcpy(message->bytes, bytes, count);
    message->byte_count = (uint32_t)count;
}

/* Blocks. */

uint32_t world_refs(const struct world_cluster *cluster, struct exec_ref *refs) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < cluster->inbox_count; i++) {
        const struct world_message *m = &cluster->inbox[i];
        refs[count++] = (struct exec_ref){.kind = 1, .source = m->source, .dseq = m->dseq, .hash = m->hash, .leaf = m->leaf, .bytes = m->bytes,
                                          .byte_count = m->byte_count};
        if (cluster->ticket % 2 == 1) refs[count - 1].longs = m->longs.list;
        if (cluster->ticket % 2 == 1) refs[count - 1].long_count = m->longs.count;
    }
    for (uint32_t i = 0; i < cluster->batch_count; i++) {
        const struct world_message *m = &cluster->batches[i];
        refs[count++] = (struct exec_ref){.kind = m->kind ? m->kind : 2, .relay = m->relay, .hash = m->hash, .bytes = m->bytes,
            .byte_count = m->byte_count};
    }
    return count;
}

static void spent_free(struct world_cluster *cluster) {
    for (uint32_t i = 0; i < cluster->spent_count; i++) free(cluster->spent[i]);
    cluster->spent_count = 0;
}

void world_consumed(struct world_cluster *cluster) {
    spent_free(cluster);
    for (uint32_t i = 0; i < cluster->inbox_count; i++) {
        cluster->spent[cluster->spent_count++] = cluster->inbox[i].bytes;
        cluster->spent[cluster->spent_count++] = cluster->inbox[i].longs.list;
    }
    for (uint32_t i = 0; i < cluster->batch_count; i++) cluster->spent[cluster->spent_count++] = cluster->batches[i].bytes;
    cluster->inbox_count = 0;
    cluster->batch_count = 0;
}

void world_destroy(struct world *world) {
    for (uint32_t i = 0; i < WORLD_CLUSTERS_MAX; i++) {
        struct world_cluster *cluster = &world->clusters[i];
        executor_destroy(cluster->ex);
        world_consumed(cluster);
        spent_free(cluster);
    }
    for (uint32_t i = 0; i < world->answer_count; i++) free(world->answers[i].bytes);
    free(world);
}

static void deliver_slice(struct world *world, const struct world_cluster *from, const struct exec_output *output) {
    for (uint32_t i = 0; i < world->coordinators + world->shards; i++) {
        struct world_cluster *to = &world->clusters[i];
        if (to->cluster != output->destination) continue;
        CHECK(to->inbox_count < WORLD_INBOX_MAX);
        struct world_message *m = &to->inbox[to->inbox_count++];
        memcpy(m->leaf, output->leaf, LEAF_BYTES);
        leaf_hash(m->leaf, m->hash);
        m->source = from->cluster;
        m->dseq = output->dseq;
        m->byte_count = output->slice_bytes;
        m->bytes = malloc(output->slice_bytes);
        CHECK(m->bytes);
        memcpy(m->bytes, output->slice, output->slice_bytes);
        m->longs = (struct slice_longs){.room = slice_longs_max(m->byte_count)};
        m->longs.list = malloc((m->longs.room + 1) * sizeof *m->longs.list);
        CHECK(m->longs.list);
        uint8_t hash[32];
        struct leaf leaf;
        slice_hash_noting(m->bytes, m->byte_count, &m->longs, hash);
        CHECK(leaf_decode(m->leaf, &leaf) && memcmp(hash, leaf.slice_hash, 32) == 0);
    }
}

uint8_t *world_slice(const struct exec_output *output) {
    uint8_t *slice = malloc(output->slice_bytes > 0 ? output->slice_bytes : 1);
    CHECK(slice);
    if (output->kind == LEAF_KIND_CLIENT) executor_client_slice(output, slice);
    else if (output->slice_bytes > 0) memcpy(slice, output->slice, output->slice_bytes);
    return slice;
}

static void deliver_answers(struct world *world, const struct exec_output *output) {
    struct leaf leaf;
    tree_hash root;
    uint8_t *slice = world_slice(output);
    CHECK(leaf_decode(output->leaf, &leaf) && slice_client_root(slice, output->slice_bytes, leaf.item_count, root));
    CHECK(memcmp(root, leaf.slice_hash, 32) == 0 && leaf.slice_bytes == output->slice_bytes);
    size_t at = 0, bytes;
    const uint8_t *item;
    while (slice_client_next(slice, output->slice_bytes, &at, &item, &bytes)) {
        CHECK(world->answer_count < WORLD_ANSWERS_MAX);
        struct world_answer *answer = &world->answers[world->answer_count++];
        answer->height = leaf.height;
        answer->bytes = malloc(bytes);
        CHECK(answer->bytes);
        memcpy(answer->bytes, item, bytes);
        CHECK(slice_client_item_decode(answer->bytes, bytes, &answer->item));
        for (answer->client = 0; memcmp(world->clients[answer->client].card.id, leaf.client_id, 32) != 0;) CHECK(++answer->client < WORLD_CLIENTS);
    }
    free(slice);
}

void world_deliver(struct world *world, struct world_cluster *cluster, const struct exec_result *result) {
    tree_hash root;
    tree_root(result->leaf_hashes, result->output_count, root);
    CHECK(memcmp(root, result->outbox_root, 32) == 0);
    for (uint32_t i = 0; i < result->output_count; i++) {
        if (result->outputs[i].kind == LEAF_KIND_CLUSTER) deliver_slice(world, cluster, &result->outputs[i]);
        else deliver_answers(world, &result->outputs[i]);
    }
}

void world_block_hold(struct world *world, struct world_cluster *cluster, uint64_t ms) {
    static struct exec_ref refs[2 * WORLD_INBOX_MAX];
    struct exec_block block = {.ticket = cluster->ticket + 1, .parent = cluster->ticket, .height = cluster->height + 1, .time = cluster->time + ms};
    block.ref_count = world_refs(cluster, refs);
    block.refs = refs;
    enum exec_status status = executor_execute(cluster->ex, &block, &cluster->result);
    if (status != EXEC_VALID) fprintf(stderr, "world: %s at reference %u\n", exec_status_name(status), cluster->result.bad_ref);
    CHECK(status == EXEC_VALID && memcmp(cluster->result.state_root, cluster->root, 32) == 0);
    cluster->ticket++;
    cluster->height++;
    cluster->time += ms;
    world_consumed(cluster);
    world_deliver(world, cluster, &cluster->result);
    executor_state_root(cluster->ex, cluster->root);
}

void world_block(struct world *world, struct world_cluster *cluster, uint64_t ms) {
    world_block_hold(world, cluster, ms);
    world_block_release(cluster);
}

void world_block_release(struct world_cluster *cluster) {
    CHECK(executor_finalize(cluster->ex, cluster->ticket, NULL) == EXEC_VALID && executor_release_block(cluster->ex, cluster->ticket) == EXEC_VALID);
    for (uint32_t i = 0; i < executor_pairs(cluster->ex); i++) {
        struct exec_pair pair;
        executor_pair_at(cluster->ex, i, true, &pair);
        executor_release_slices(cluster->ex, pair.cluster, pair.acked_dseq);
    }
}

void world_settle(struct world *world) {
    for (bool busy = true; busy;) {
        busy = false;
        for (uint32_t i = 0; i < world->coordinators + world->shards; i++) {
            struct world_cluster *cluster = &world->clusters[i];
            struct exec_due due;
            executor_due(cluster->ex, &due);
            if (cluster->inbox_count + cluster->batch_count == 0 && !due.now && due.time == UINT64_MAX) continue;
            world_block(world, cluster, 20);
            busy = true;
        }
    }
}

struct world_message *world_forge(struct world *world, struct world_cluster *to, uint32_t source, const uint8_t *slice, uint32_t slice_bytes) {
    struct exec_pair pair;
    CHECK(executor_pair(to->ex, source, false, &pair) == EXEC_VALID && to->inbox_count < WORLD_INBOX_MAX);
    struct world_message *m = &to->inbox[to->inbox_count++];
    memset(m, 0, sizeof *m);
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .source = source, .destination = to->cluster, .height = 9, .dseq = pair.consumed_dseq + 1,
                        .slice_bytes = slice_bytes};
    memcpy(leaf.system_id, world->system.system_id, 16);
    memcpy(leaf.previous, pair.consumed_leaf, 32);
    slice_hash(slice, slice_bytes, leaf.slice_hash);
    leaf_encode(&leaf, m->leaf);
    leaf_hash(m->leaf, m->hash);
    m->source = source;
    m->dseq = leaf.dseq;
    m->byte_count = slice_bytes;
    m->bytes = malloc(slice_bytes);
    CHECK(m->bytes);
    memcpy(m->bytes, slice, slice_bytes);
    return m;
}

const struct world_answer *world_answer(const struct world *world, const uint8_t digest[32]) {
    for (uint32_t i = world->answer_count; i-- > 0;)
        if (memcmp(world->answers[i].item.part_digest, digest, 32) == 0) return &world->answers[i];
    return NULL;
}

const struct client_item *world_ask(struct world *world, const struct world_part *part) {
    uint8_t digest[32];
    world_send(world, 0, 0, part, digest);
    uint32_t before = world->answer_count;
    world_settle(world);
    CHECK(world->answer_count > before);
    const struct world_answer *answer = world_answer(world, digest);
    CHECK(answer && answer >= &world->answers[before]);
    return &answer->item;
}

struct result world_result(const struct client_item *item, uint32_t i) {
    struct bytes_cursor cursor = bytes_cursor_of(item->results, item->results_bytes);
    struct result result;
    for (uint32_t k = 0; k <= i; k++) CHECK(result_decode(&cursor, &result));
    return result;
}

uint8_t world_code(const struct client_item *item, uint32_t i) {
    return world_result(item, i).code;
}
