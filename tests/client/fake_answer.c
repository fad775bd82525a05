/* One batch into answers, honest or not. */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "tests/client/fake.h"

enum { ITEMS_MAX = 20000, RESULTS_ROOM = 16 << 20, MESSAGE_ANSWER = 0x0302, MESSAGE_REFUSED = 0x0303 };

struct making {
    struct decided_item items[ITEMS_MAX];
    uint32_t count;
};

static void item_add(struct making *making, struct client_item head, const uint8_t *results, size_t results_bytes) {
    CHECK(making->count < ITEMS_MAX);
    struct decided_item *item = &making->items[making->count++];
    item->bytes = decided_item(head, results, results_bytes, &item->count);
}

/* Items of one part (O-25). */
static void part_items(struct fake *fake, struct fake_script script, const struct batch *batch, const struct batch_part *part,
                       struct making *making) {
    static uint8_t results[RESULTS_ROOM];
    static size_t results_at[ITEMS_MAX];
    struct fake_shard *shard = &fake->shards[part->shard - SHARD_CLUSTER_BASE];
    uint8_t digest[32];
    batch_part_digest(batch->client_id, batch->nonce, part, digest);
    struct bytes_writer writer = bytes_writer_of(results, sizeof results);
    uint64_t height = 0;
    uint8_t code = script.act == FAKE_CODE ? script.code : fake_shard_execute(shard, part, digest, &writer, &height, results_at);
    CHECK(!writer.failed);
    if (script.act == FAKE_RESULT) memset(results, 0xFF, writer.used);
    size_t used = script.act == FAKE_COUNT && writer.used > 0 ? results_at[part->op_count - 1] : writer.used;
    struct client_item head = {
        .kind = CLIENT_ITEM_PART, .code = code, .shard = part->shard, .part_digest = digest, .height = height, .op_count = part->op_count};
    bool cancel = part->ops[0] == OPERATION_CANCEL;
    if (!(part->flags & PART_FLAG_RECEIPT) || used == 0 || cancel || script.act == FAKE_WHOLE) {
        item_add(making, head, results, used);
        return;
    }
    for (uint32_t i = 0; i < part->op_count; i++) {
        head.kind = CLIENT_ITEM_OPERATION;
        head.first_op = head.index = i;
        head.op_count = 1;
        item_add(making, head, results + results_at[i], results_at[i + 1] - results_at[i]);
    }
}

static void settled_note(struct fake *fake, struct fake_script script, const struct batch_part *part) {
    bool tells = script.act == FAKE_HONEST || script.act == FAKE_TWICE || script.act == FAKE_LATE || script.act == FAKE_APART ||
                 script.act == FAKE_FIRST_ONLY || script.act == FAKE_WHOLE || (script.act == FAKE_CODE && script.code == CODE_TOO_OLD);
    if (part->number > 0 && tells) fake_shard_answered(&fake->shards[part->shard - SHARD_CLUSTER_BASE], part->number);
}

static uint8_t *certify(struct fake *fake, uint32_t cluster, struct fake_script script, const uint8_t *client_id, struct making *making,
                        size_t *count) {
    struct decider *decider = &fake->deciders[script.act == FAKE_CLUSTER ? fake->fixture->coordinators : cluster];
    struct decided_how how = {.headers = decider->height % 3 == 0 ? 2 : 0};
    if (script.act == FAKE_FEW) how.signers = decider->members.q - 1;
    if (script.act == FAKE_STRANGERS) how.forger = &fake->strangers;
    if (script.act == FAKE_PREPARE) how.prepare = true;
    size_t slice_bytes;
    uint8_t *slice = decided_client_slice(making->items, making->count, &slice_bytes);
    struct leaf leaf = {.kind = LEAF_KIND_CLIENT};
    memcpy(leaf.client_id, script.act == FAKE_CLIENT ? fake->fixture->client_cards[1].id : client_id, 32);
    decider->height++;
    uint8_t *bytes = decided_make(decider, &how, &leaf, 1, 3, slice, slice_bytes, count);
    if (script.act == FAKE_SLICE) bytes[*count - 1] ^= 1;
    if (script.act == FAKE_PROOF) bytes[16 + bytes_get_le32(bytes)] ^= 1;
    free(slice);
    for (uint32_t i = 0; i < making->count; i++) free((void *)(uintptr_t)making->items[i].bytes);
    making->count = 0;
    return bytes;
}

static uint32_t refuse(struct fake_script script, const struct batch *batch, struct fake_payload *out) {
    out->type = MESSAGE_REFUSED;
    out->count = 40;
    out->bytes = calloc(1, out->count);
    CHECK(out->bytes);
    batch_id(batch, out->bytes);
    out->bytes[32] = script.code;
    bytes_put_le32(out->bytes + 36, script.delay_ms);
    return 1;
}

/* The answer of the batch before, in place of this one's. */
static void stale(struct fake *fake, struct fake_script script, struct fake_payload *out) {
    if (script.act == FAKE_STALE && fake->kept) {
        free(out->bytes);
        out->count = fake->kept_count;
        out->bytes = malloc(out->count);
        CHECK(out->bytes);
        memcpy(out->bytes, fake->kept, out->count);
        return;
    }
    free(fake->kept);
    fake->kept = malloc(out->count);
    fake->kept_count = out->count;
    CHECK(fake->kept);
    memcpy(fake->kept, out->bytes, out->count);
}

uint32_t fake_answer(struct fake *fake, uint32_t cluster, struct fake_script script, const uint8_t *bytes, size_t bytes_count,
                     struct fake_payload out[FAKE_PAYLOADS_MAX]) {
    const struct system *system = &fake->fixture->assembly->system;
    struct batch_limits limits = {system->shards_count, system->limits.batch_bytes_max, system->limits.batch_parts_max, system->limits.batch_ops_max};
    static struct making making;
    struct batch batch;
    struct batch_part part;
    uint8_t id[32];
    CHECK(batch_decode(bytes, bytes_count, &limits, &batch) == BATCH_OK); /* the library is on trial here, and never sends another */
    batch_id(&batch, id);
    const struct signer verifier = signer_ed25519(NULL);
    CHECK(batch_signature_valid(&batch, id, system->system_id, fake->fixture->clients[0].signing_key, &verifier));
    if (batch.attempt > fake->attempts) fake->attempts = batch.attempt;
    for (size_t at = 0; batch.kind == BATCH_WRITE && batch_part_next(&batch, &at, &part);)
        fake_shard_saw(&fake->shards[part.shard - SHARD_CLUSTER_BASE], &part);
    if (script.act == FAKE_SILENT || script.act == FAKE_CLOSE || script.act == FAKE_DOWN || script.act == FAKE_DEAF) return 0;
    if (script.act == FAKE_REFUSE) return refuse(script, &batch, out);
    uint32_t count = 0, parts = 0;
    for (size_t at = 0; batch_part_next(&batch, &at, &part); parts++) {
        if (script.act == FAKE_FIRST_ONLY && parts > 0) break;
        part_items(fake, script, &batch, &part, &making);
        settled_note(fake, script, &part);
        if (script.act == FAKE_APART) {
            CHECK(count < FAKE_PAYLOADS_MAX);
            out[count].type = MESSAGE_ANSWER;
            out[count].bytes = certify(fake, cluster, script, batch.client_id, &making, &out[count].count);
            count++;
        }
    }
    for (uint32_t i = 0; i < count / 2; i++) {
        struct fake_payload other = out[i];
        out[i] = out[count - 1 - i];
        out[count - 1 - i] = other;
    }
    if (count > 0) return count;
    out->type = MESSAGE_ANSWER;
    out->bytes = certify(fake, cluster, script, batch.client_id, &making, &out->count);
    stale(fake, script, out);
    if (script.act == FAKE_FORGET) {
        free(out->bytes);
        return 0;
    }
    return 1;
}
