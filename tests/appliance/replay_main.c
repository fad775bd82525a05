/*
 * One input log, executed: prints block ids, outbox roots and state roots, the same on every machine and from every compiler.
 *
 *   replay [SEED [ROUNDS [KEY [HELPERS]]]]    KEY: of the table's hash, HELPERS: threads that help the executors to hash; on both nothing may depend
 *
 * A coordinator and a shard executor, wired by their slices. The log is made from the seed: batches of every operation with true Ed25519 signatures,
 * retries, cancelled, stale and refused ones, from clients with quotas and narrow rights. Blocks stay open for a while, some are rolled back and
 * their inputs decided otherwise in a later view. Headers are made as a leader makes them (B-3). Every PRINT_EVERY heights of a cluster one line;
 * at the end counts, and a hash over everything. tests/system/determinism.py compares the lines of builds. Exit 0; a broken rule is a CHECK.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bft/types.h"
#include "bft/wire.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/body.h"
#include "protocol/config.h"
#include "tests/appliance/exec_world.h"

enum { CLUSTERS = 2, OPEN_MAX = 4, PRINT_EVERY = 25, SAVE_EVERY = 64, REFS_MAX = 48, OPS_MAX = 6, SENT_MAX = 64, WORK_BYTES = 8 << 20 };
enum { NARROW = 2, LIMITED = 3 }; /* clients: one reads only below a prefix, one has a quota */

/* An input of the log: a batch, a NOOP, or a slice that the other cluster sent. */
struct input {
    struct body_reference reference;
    uint8_t leaf[LEAF_BYTES];
    uint8_t *bytes;
    uint32_t byte_count;
};

struct open_block {
    struct exec_result result;
    struct bft_header header;
    struct bft_hash id;
    uint64_t ticket;
    uint32_t from;               /* index of its first input */
};

struct cluster {
    struct executor *ex;
    struct bft_place place;
    struct input *inputs;        /* what is not in a final block */
    uint32_t input_count, input_room, taken;
    struct open_block blocks[OPEN_MAX];
    uint32_t open_count;
    struct open_block final;     /* genesis at first */
    uint64_t view, rolled_back;
    struct exec_counts counts;   /* of final blocks */
};

struct replay {
    struct world world;          /* the system alone */
    struct ed25519_secret secrets[WORLD_CLIENTS];
    struct cluster clusters[CLUSTERS];
    uint64_t seed, ticket, nonce;
    uint64_t numbers[WORLD_CLIENTS];
    struct input sent[SENT_MAX]; /* the newest batches, to be sent again */
    uint32_t sent_count;
    uint64_t inputs;
    struct sha256_state log, outcome;
};

static uint64_t below(struct replay *r, uint64_t bound) {
    return world_random(&r->seed) % bound;
}

static void hex(const uint8_t *bytes, size_t count, char *out) {
    for (size_t i = 0; i < count; i++) (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* ---- the log ---- */

/* One draw a statement: the order of arguments is the compiler's. */
static struct operation random_operation(struct replay *r, uint32_t client) {
    static uint8_t large[30000];
    char key[16], value[24];
    bool narrow = below(r, 3) != 0 && client == NARROW, is_number = below(r, 3) != 0;
    unsigned name = (unsigned)below(r, 40);
    int number = (int)below(r, 12) - 4;
    uint64_t height = 1 + below(r, 60), draw = below(r, 2000);
    uint32_t index = (uint32_t)below(r, 4);
    snprintf(key, sizeof key, "%s%u", narrow ? "ro:" : "key", name);
    snprintf(value, sizeof value, is_number ? "%d" : "v%d", number);
    switch (below(r, 14)) {
    case 0: return op_get(key, index);
    case 1: return op_get_version(key, 65536);
    case 2: return op_put(key, value);
    case 3: return op_put_if_absent(key, value);
    case 4: return op_cas(key, value, "2");
    case 5: return op_cas_version(key, height, index, "7");
    case 6: return op_delete(key);
    case 7: return op_add(key, (int64_t)draw - 1000);
    case 8: return op_add_floor(key, (int64_t)draw % 40 - 20, 0);
    case 9: return op_add(key, draw % 2 ? INT64_MAX : INT64_MIN); /* overflows, sooner or later */
    case 10: return op_check_absent(key);
    case 11: return op_check(key, height, index);
    case 12: memset(large, (int)index, sizeof large); return op_put_bytes(key, large, (uint32_t)(10 * draw));
    default: return op_get(key, 65536);
    }
}

/* A part: operations, or a CANCEL, or a question for a client's state, or an opcode that is not yet. */
static uint32_t random_part(struct replay *r, struct world_part *part, struct operation ops[OPS_MAX]) {
    uint32_t count = 1 + (uint32_t)below(r, OPS_MAX);
    memset(part, 0, sizeof *part);
    part->client = (uint32_t)below(r, WORLD_CLIENTS);
    uint64_t special = below(r, 20);
    if (special == 0) {
        count = 1;
        ops[0] = op_cancel();
        part->kind = BATCH_WRITE;
    } else if (special == 1) {
        count = 1;
        ops[0] = op_client_state(r->world.clients[below(r, WORLD_CLIENTS)].card.id);
        part->kind = BATCH_READ;
    } else {
        part->kind = BATCH_READ;
        for (uint32_t i = 0; i < count; i++) {
            ops[i] = random_operation(r, part->client);
            if (operation_is_write(ops[i].opcode)) part->kind = BATCH_WRITE;
        }
    }
    part->op_count = count;
    part->ops = ops;
    if (part->kind == BATCH_READ) return count;
    uint64_t *newest = &r->numbers[part->client];
    part->flags = below(r, 2) ? PART_FLAG_ATOMIC : 0;
    if (below(r, 3) == 0) part->flags |= PART_FLAG_RECEIPT;
    uint64_t back = below(r, 4);
    part->number = special == 0 && *newest > back ? *newest - back : ++*newest;
    if (special == 2 && *newest > 200) part->number -= 190; /* too old, or used up */
    part->floor = part->number > 30 ? part->number - below(r, 30) : 1;
    return count;
}

static void batch_make(struct replay *r, struct input *input) {
    struct world_part part;
    struct operation ops[OPS_MAX];
    struct batch_builder builder;
    struct batch batch;
    struct signer signer;
    uint8_t nonce[BATCH_NONCE_BYTES] = {0};
    size_t room = 4096;
    uint32_t count = random_part(r, &part, ops);
    for (uint32_t i = 0; i < count; i++) room += operation_bytes(&ops[i]);
    *input = (struct input){.bytes = malloc(room)};
    CHECK(input->bytes);
    bytes_put_le64(nonce, ++r->nonce);
    struct bytes_writer writer = bytes_writer_of(input->bytes, room);
    signer = signer_ed25519(&r->secrets[part.client]);
    const struct card *card = &r->world.clients[part.client].card;
    batch_build_begin(&builder, &writer, part.kind, card->id, nonce, 0);
    batch_build_part_begin(&builder, SHARD_CLUSTER_BASE, part.flags, part.number, part.floor);
    for (uint32_t i = 0; i < count; i++) operation_encode(&writer, &ops[i]);
    batch_build_part_end(&builder, count);
    CHECK(batch_build_end(&builder, r->world.system.system_id, &signer));
    input->byte_count = (uint32_t)writer.used;
    const struct system_limits *limits = &r->world.system.limits;
    struct batch_limits bounds = {.shards = 1, .batch_bytes_max = limits->batch_bytes_max, .batch_parts_max = limits->batch_parts_max,
                                  .batch_ops_max = limits->batch_ops_max};
    CHECK(batch_decode(input->bytes, writer.used, &bounds, &batch) == BATCH_OK);
    input->reference.kind = BODY_BATCH;
    batch_id(&batch, input->reference.hash);
    if (part.kind == BATCH_WRITE)
        CHECK(batch_signature_valid(&batch, input->reference.hash, r->world.system.system_id, card->signing_key, &signer));
}

static void input_push(struct replay *r, struct cluster *c, const struct input *input) {
    if (c->input_count == c->input_room) {
        c->input_room = 2 * c->input_room + 64;
        c->inputs = realloc(c->inputs, c->input_room * sizeof *c->inputs);
        CHECK(c->inputs);
    }
    struct input *to = &c->inputs[c->input_count++];
    *to = *input;
    to->bytes = input->byte_count ? malloc(input->byte_count) : NULL;
    if (input->byte_count) {
        CHECK(to->bytes);
        memcpy(to->bytes, input->bytes, input->byte_count);
    }
    uint8_t encoded[BODY_REFERENCE_BYTES];
    body_reference_encode(&to->reference, encoded);
    sha256_update(&r->log, encoded, sizeof encoded);
    sha256_update(&r->log, to->bytes, to->byte_count);
    r->inputs++;
}

static void clients_speak(struct replay *r) {
    for (uint64_t left = below(r, 9); left > 0; left--) {
        struct input input;
        bool again = r->sent_count > 0 && below(r, 6) == 0; /* a retry, byte for byte */
        struct input *kept = &r->sent[r->sent_count % SENT_MAX];
        if (again) {
            uint32_t newest = r->sent_count < SENT_MAX ? r->sent_count : SENT_MAX;
            input = r->sent[below(r, newest)];
        } else {
            batch_make(r, &input);
            free(kept->bytes);
            *kept = input;
            r->sent_count++;
        }
        input.reference.relay = (uint8_t)below(r, WORLD_NODES);
        input_push(r, &r->clusters[0], &input);
    }
    for (uint32_t i = 0; i < CLUSTERS; i++) {
        if (below(r, 40)) continue;
        struct input noop = {.reference = {.kind = BODY_NOOP, .relay = (uint8_t)below(r, WORLD_NODES), .dseq = ++r->nonce}};
        struct bft_hash nonce = bft_body_hash(&r->nonce, 0);
        memcpy(noop.reference.hash, nonce.bytes, 32);
        input_push(r, &r->clusters[i], &noop);
    }
}

/* ---- blocks ---- */

static void header_make(const struct cluster *c, const struct open_block *parent, const uint8_t *body, size_t body_bytes, struct open_block *block) {
    struct bft_header *header = &block->header;
    header->place = c->place;
    header->view = c->view;
    header->height = parent->header.height + 1;
    header->parent_id = parent->id;
    header->body_hash = bft_body_hash(body, body_bytes);
    memcpy(header->outbox_root.bytes, block->result.outbox_root, 32);
    memcpy(header->state_root.bytes, block->result.state_root, 32);
    memcpy(header->cursors_hash.bytes, block->result.cursors_hash, 32);
    block->id = bft_header_id(header);
}

static void block_propose(struct replay *r, struct cluster *c) {
    static uint8_t body[BODY_HEAD_BYTES + REFS_MAX * BODY_REFERENCE_BYTES];
    struct exec_ref refs[REFS_MAX];
    CHECK(c->open_count < OPEN_MAX);
    const struct open_block *parent = c->open_count ? &c->blocks[c->open_count - 1] : &c->final;
    struct open_block *block = &c->blocks[c->open_count];
    uint32_t waiting = c->input_count - c->taken;
    uint32_t count = waiting == 0 ? 0 : (uint32_t)below(r, (waiting < REFS_MAX ? waiting : REFS_MAX) + 1);
    *block = (struct open_block){.ticket = ++r->ticket, .from = c->taken};
    bytes_put_le32(body, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct input *input = &c->inputs[c->taken + i];
        const struct body_reference *reference = &input->reference;
        body_reference_encode(reference, body + BODY_HEAD_BYTES + i * BODY_REFERENCE_BYTES);
        refs[i] = (struct exec_ref){.kind = reference->kind, .relay = reference->relay, .source = reference->source, .dseq = reference->dseq,
                                    .hash = reference->hash, .leaf = input->leaf, .bytes = input->bytes, .byte_count = input->byte_count};
    }
    block->header.time = parent->header.time + below(r, 25);
    struct exec_block wanted = {.ticket = block->ticket, .parent = parent->ticket, .height = parent->header.height + 1, .time = block->header.time,
                                .refs = refs, .ref_count = count};
    enum exec_status status = executor_execute(c->ex, &wanted, &block->result);
    if (status != EXEC_VALID) fprintf(stderr, "replay: %s at reference %u\n", exec_status_name(status), block->result.bad_ref);
    CHECK(status == EXEC_VALID);
    if (below(r, 2)) executor_settle(c->ex);
    header_make(c, parent, body, BODY_HEAD_BYTES + (size_t)count * BODY_REFERENCE_BYTES, block);
    c->taken += count;
    c->open_count++;
}

/* A view ends: some of the newest open blocks are gone, their inputs wait again. */
static void view_change(struct replay *r, struct cluster *c) {
    c->view += 1 + below(r, 3);
    if (c->open_count == 0) return;
    uint32_t keep = (uint32_t)below(r, c->open_count);
    c->taken = c->blocks[keep].from;
    c->rolled_back += c->open_count - keep;
    c->open_count = keep;
    if (below(r, 2)) CHECK(executor_rollback(c->ex, keep ? c->blocks[keep - 1].ticket : c->final.ticket) == EXEC_VALID); /* else execution does it */
}

static void slices_deliver(struct replay *r, const struct cluster *from, const struct exec_result *result) {
    for (uint32_t i = 0; i < result->output_count; i++) {
        const struct exec_output *output = &result->outputs[i];
        sha256_update(&r->outcome, output->leaf, LEAF_BYTES);
        if (output->kind == LEAF_KIND_CLIENT) {
            uint8_t *slice = malloc(output->slice_bytes);
            CHECK(slice);
            executor_client_slice(output, slice);
            sha256_update(&r->outcome, slice, output->slice_bytes);
            free(slice);
            continue;
        }
        sha256_update(&r->outcome, output->slice, output->slice_bytes);
        if (output->kind != LEAF_KIND_CLUSTER) continue;
        struct input input = {.reference = {.kind = BODY_SLICE, .source = from->place.cluster, .dseq = output->dseq}};
        memcpy(input.leaf, output->leaf, LEAF_BYTES);
        leaf_hash(input.leaf, input.reference.hash);
        input.bytes = (uint8_t *)(uintptr_t)output->slice; /* copied by input_push() */
        input.byte_count = output->slice_bytes;
        input_push(r, &r->clusters[output->destination == SHARD_CLUSTER_BASE], &input);
    }
}

static void counts_add(struct exec_counts *sum, const struct exec_counts *more) {
    sum->ops_read += more->ops_read;
    sum->ops_written += more->ops_written;
    sum->parts_refused += more->parts_refused;
    sum->parts_recorded += more->parts_recorded;
    sum->parts_busy += more->parts_busy;
    sum->answers += more->answers;
    sum->garbage += more->garbage;
}

/* The checkpoint's bytes: what P-31 makes out of the state. */
static void checkpoint_hash(struct replay *r, struct cluster *c) {
    static uint8_t work[WORK_BYTES];
    size_t bytes;
    uint8_t root[32];
    CHECK(executor_save(c->ex, work, sizeof work, &bytes, root) == EXEC_VALID);
    sha256_update(&r->outcome, work, bytes);
    sha256_update(&r->outcome, root, sizeof root);
}

static void block_finish(struct replay *r, struct cluster *c) {
    struct open_block *block = &c->blocks[0];
    uint8_t encoded[BFT_HEADER_BYTES];
    CHECK(executor_finalize(c->ex, block->ticket, NULL) == EXEC_VALID);
    struct bytes_writer writer = bytes_writer_of(encoded, sizeof encoded);
    bft_header_put(&writer, &block->header);
    CHECK(!writer.failed && writer.used == sizeof encoded);
    sha256_update(&r->outcome, encoded, sizeof encoded);
    sha256_update(&r->outcome, block->id.bytes, 32);
    counts_add(&c->counts, &block->result.counts);
    slices_deliver(r, c, &block->result);
    if (block->header.height % SAVE_EVERY == 0) checkpoint_hash(r, c);
    if (block->header.height % PRINT_EVERY == 0) {
        char id[65], outbox[65], state[65];
        hex(block->id.bytes, 32, id);
        hex(block->header.outbox_root.bytes, 32, outbox);
        hex(block->header.state_root.bytes, 32, state);
        printf("%c0 height %" PRIu64 " view %" PRIu64 " id %s outbox %s state %s\n", c->place.cluster == SHARD_CLUSTER_BASE ? 's' : 'c',
               block->header.height, c->view, id, outbox, state);
    }
    CHECK(executor_release_block(c->ex, block->ticket) == EXEC_VALID);
    for (uint32_t i = 0; i < executor_pairs(c->ex); i++) {
        struct exec_pair pair;
        executor_pair_at(c->ex, i, true, &pair);
        executor_release_slices(c->ex, pair.cluster, pair.acked_dseq);
    }
    c->final = *block;
    uint32_t gone = c->open_count > 1 ? c->blocks[1].from : c->taken;
    for (uint32_t i = 0; i < gone; i++) free(c->inputs[i].bytes);
    if (gone > 0) memmove(c->inputs, c->inputs + gone, (c->input_count - gone) * sizeof *c->inputs);
    c->input_count -= gone;
    c->taken -= gone;
    c->open_count--;
    memmove(c->blocks, c->blocks + 1, c->open_count * sizeof c->blocks[0]);
    for (uint32_t i = 0; i < c->open_count; i++) c->blocks[i].from -= gone;
}

static void cluster_turn(struct replay *r, struct cluster *c) {
    if (below(r, 8) == 0) view_change(r, c);
    while (c->open_count == OPEN_MAX || (c->open_count > 0 && below(r, 3) == 0)) block_finish(r, c);
    block_propose(r, c);
}

/* ---- the whole ---- */

static int client_compare(const void *a, const void *b) {
    return memcmp(((const struct system_client *)a)->card.id, ((const struct system_client *)b)->card.id, 32);
}

static void system_make(struct replay *r) {
    struct world *w = &r->world;
    world_system(w, 1, 1);
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
        uint8_t seed[ED25519_SEED_BYTES];
        memset(seed, (int)(i + 1), sizeof seed);
        (void)!ed25519_secret_init(&r->secrets[i], seed); /* false: not locked in memory; it is no secret */
        ed25519_public_key(&r->secrets[i], w->clients[i].card.signing_key);
        card_identify(&w->clients[i].card);
    }
    qsort(w->clients, WORLD_CLIENTS, sizeof w->clients[0], client_compare);
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) { /* the secret at the client's new place */
        uint8_t seed[ED25519_SEED_BYTES], key[32];
        for (uint32_t k = 1; k <= WORLD_CLIENTS; k++) {
            memset(seed, (int)k, sizeof seed);
            (void)!ed25519_secret_init(&r->secrets[i], seed);
            ed25519_public_key(&r->secrets[i], key);
            if (memcmp(key, w->clients[i].card.signing_key, 32) == 0) break;
        }
        CHECK(memcmp(key, w->clients[i].card.signing_key, 32) == 0);
    }
    w->clients[NARROW].rights = &w->rights[1];
    w->clients[LIMITED].quota_per_second = 100;
    w->clients[LIMITED].quota_burst = 12;
    w->system.limits.slice_ops_max = 24;
    w->system.limits.batch_ops_max = 16;
    w->system.limits.enough_ops = 12;
}

static void cluster_make(struct replay *r, uint32_t i, uint64_t key) {
    struct cluster *c = &r->clusters[i];
    struct executor_config config = {.system = &r->world.system, .cluster = r->world.clusters_of_system[i].cluster, .blocks_kept_max = 64};
    bytes_put_le64(config.hash_key, key);
    uint8_t root[32];
    struct bft_hash hash, state_root, cursors = {{0}};
    struct exec_figures figures;
    CHECK(executor_create(&config, &c->ex) == EXEC_VALID);
    executor_genesis(c->ex, root);
    config_hash(executor_cluster_config(c->ex), hash.bytes);
    executor_figures(c->ex, &figures);
    memcpy(state_root.bytes, root, 32);
    bft_genesis_header(&c->final.header, r->world.system.system_id, &hash, config.cluster, figures.height, &state_root, &cursors);
    c->place = c->final.header.place;
    c->final.id = bft_header_id(&c->final.header);
}

static void replay_end(struct replay *r) {
    uint8_t hash[32];
    char text[65];
    for (uint32_t i = 0; i < CLUSTERS; i++) {
        struct cluster *c = &r->clusters[i];
        while (c->open_count > 0) block_finish(r, c);
        printf("%c0 end height %" PRIu64 " view %" PRIu64 " rolled back %" PRIu64 " reads %u writes %u refused %u recorded %u busy %u answers %u "
               "garbage %u\n", i ? 's' : 'c', c->final.header.height, c->view, c->rolled_back, c->counts.ops_read, c->counts.ops_written,
               c->counts.parts_refused, c->counts.parts_recorded, c->counts.parts_busy, c->counts.answers, c->counts.garbage);
        executor_destroy(c->ex);
        for (uint32_t k = 0; k < c->input_count; k++) free(c->inputs[k].bytes);
        free(c->inputs);
    }
    for (uint32_t i = 0; i < SENT_MAX; i++) free(r->sent[i].bytes);
    sha256_final(&r->log, hash);
    hex(hash, 32, text);
    printf("log of %" PRIu64 " inputs %s\n", r->inputs, text);
    sha256_final(&r->outcome, hash);
    hex(hash, 32, text);
    printf("all %s\n", text);
}

/* ---- helpers: threads of their own for each call, from the first change on ---- */

enum { HELPERS_MAX = 16 };

struct helper {
    void (*share)(void *work, uint32_t i);
    void *work;
    uint32_t first, step, shares;
    pthread_t id;
};

static uint32_t helper_count;

static void *helper_main(void *context) {
    struct helper *helper = context;
    for (uint32_t i = helper->first; i < helper->shares; i += helper->step) helper->share(helper->work, i);
    return NULL;
}

static void helpers_run(void *context, void (*share)(void *work, uint32_t i), void *work, uint32_t shares) {
    struct helper helpers[HELPERS_MAX];
    (void)context;
    for (uint32_t i = 0; i < helper_count; i++) {
        helpers[i] = (struct helper){.share = share, .work = work, .first = i, .step = helper_count, .shares = shares};
        CHECK(pthread_create(&helpers[i].id, NULL, helper_main, &helpers[i]) == 0);
    }
    for (uint32_t i = 0; i < helper_count; i++) CHECK(pthread_join(helpers[i].id, NULL) == 0);
}

int main(int argc, char **argv) {
    struct replay *r = calloc(1, sizeof *r);
    CHECK(r && ed25519_start(NULL));
    r->seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 1500;
    uint64_t key = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    printf("seed %" PRIu64 " rounds %" PRIu64 "\n", r->seed, rounds);
    sha256_init(&r->log);
    sha256_init(&r->outcome);
    system_make(r);
    for (uint32_t i = 0; i < CLUSTERS; i++) cluster_make(r, i, key);
    helper_count = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    CHECK(helper_count <= HELPERS_MAX);
    const struct exec_helpers helpers = {.run = helpers_run};
    for (uint32_t i = 0; i < CLUSTERS && helper_count > 0; i++) executor_helpers(r->clusters[i].ex, &helpers);
    for (uint64_t round = 0; round < rounds; round++) {
        if (round + 40 < rounds) clients_speak(r);
        for (uint32_t i = 0; i < CLUSTERS; i++) cluster_turn(r, &r->clusters[i]);
    }
    replay_end(r);
    free(r);
    return 0;
}
