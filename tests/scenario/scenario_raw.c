/* The second client without its library: batches as they are wanted, and what is answered to them. */
#include "protocol/partition.h"
#include "tests/scenario/scenario.h"
#include "tests/sim/sys_client.h"

enum { CLIENT = 1, BATCH_ROOM = 4096, TOLD_MAX = 1024 };

/* What coordinators told this client: by the digest of a part, or the id of a batch that one refused. */
static struct {
    uint8_t hash[32];
    int code;
} told[TOLD_MAX];
static uint32_t told_count;

static void tell(const uint8_t hash[32], int code) {
    CHECK(told_count < TOLD_MAX);
    memcpy(told[told_count].hash, hash, 32);
    told[told_count++].code = code;
}

static bool spy_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    if (to.kind != REPLICA_CLIENT || to.index != CLIENT) return true;
    struct blob *whole = scenario_whole(pieces, *count);
    if (type == MESSAGE_REFUSED) tell(whole->bytes, whole->bytes[32]);
    static struct decision decision;
    if (type != MESSAGE_ANSWER || decision_decode(whole->bytes, whole->count, &decision) != DECISION_OK) return true;
    size_t at = 0, bytes;
    const uint8_t *item_bytes;
    struct client_item item;
    while (slice_client_next(decision.slice, decision.leaf.slice_bytes, &at, &item_bytes, &bytes)) {
        if (slice_client_item_decode(item_bytes, bytes, &item)) tell(item.part_digest, item.code);
    }
    return true;
}

void scenario_raw_watch(struct scenario *s) {
    static struct replica_hooks spy = {.send = spy_send};
    for (uint32_t i = 0; i < s->config.coordinators * s->config.n; i++) {
        if (!s->world->nodes[i].up || s->world->nodes[i].liar) continue;
        scenario_replica(s, i)->hooks = &spy;
        sys_link_set(s->world, s->world->node_count + CLIENT, i, true); /* answers go where its links are */
    }
}

struct blob *scenario_raw_batch(struct scenario *s, const struct scenario_batch *batch) {
    static uint8_t out[BATCH_ROOM];
    const struct system *system = s->world->system;
    struct bytes_writer writer = bytes_writer_of(out, sizeof out);
    struct batch_builder builder;
    uint8_t nonce[BATCH_NONCE_BYTES] = {0}, amount[8];
    uint32_t client = batch->as_first ? 0 : CLIENT, key_bytes = (uint32_t)strlen(batch->key);
    uint32_t shard = partition_shard(system->partition_key, s->config.shards, (const uint8_t *)batch->key, key_bytes);
    bytes_put_le64(nonce, batch->nonce);
    bytes_put_le64(amount, (uint64_t)batch->delta);
    struct operation add = {
        .opcode = OPERATION_ADD, .key_bytes = (uint16_t)key_bytes, .a = 8, .key = (const uint8_t *)batch->key, .argument_a = amount};
    struct signer signer = sys_signer(s->world, &s->world->client_keys[client]);
    if (batch->signer != NULL) signer = *batch->signer;
    batch_build_begin(&builder, &writer, BATCH_WRITE, system->clients[client].card.id, nonce, batch->attempt);
    batch_build_part_begin(&builder, (uint32_t)SHARD_CLUSTER_BASE + shard, 0, batch->number, batch->floor > 0 ? batch->floor : 1);
    operation_encode(&writer, &add);
    batch_build_part_end(&builder, 1);
    CHECK(batch_build_end(&builder, batch->system_id != NULL ? batch->system_id : system->system_id, &signer));
    return blob_copy(out, writer.used);
}

void scenario_raw_send(struct scenario *s, uint32_t node, bool as_first, struct blob *batch) {
    uint32_t end = s->world->node_count + (as_first ? 0 : CLIENT);
    if (!sys_link_of(s->world, end, node)->up) sys_link_set(s->world, end, node, true);
    sys_transmit(s->world, end, node, MESSAGE_BATCH, blob_hold(batch));
}

int scenario_raw_code(struct scenario *s, const struct blob *bytes) {
    struct batch_limits limits = {.shards = s->config.shards, .batch_bytes_max = BATCH_ROOM, .batch_parts_max = 1, .batch_ops_max = 1};
    struct batch batch;
    struct batch_part part;
    uint8_t id[32], digest[32];
    size_t at = 0;
    CHECK(batch_decode(bytes->bytes, bytes->count, &limits, &batch) == BATCH_OK && batch_part_next(&batch, &at, &part));
    batch_id(&batch, id);
    batch_part_digest(batch.client_id, batch.nonce, &part, digest);
    for (uint32_t i = told_count; i-- > 0;) {
        if (memcmp(told[i].hash, id, 32) == 0 || memcmp(told[i].hash, digest, 32) == 0) return told[i].code;
    }
    return SCENARIO_UNTOLD;
}

int scenario_raw_ask(struct scenario *s, uint32_t node, const struct scenario_batch *batch, uint64_t ms) {
    struct blob *bytes = scenario_raw_batch(s, batch);
    scenario_raw_watch(s);
    scenario_run(s, 100); /* what is still under way is of an earlier one */
    told_count = 0;
    scenario_raw_send(s, node, batch->as_first, bytes);
    for (uint64_t passed = 0; passed < ms && scenario_raw_code(s, bytes) == SCENARIO_UNTOLD; passed += 5) scenario_run(s, 5);
    int code = scenario_raw_code(s, bytes);
    blob_drop(bytes);
    return code;
}
