/* Client sessions (O-50 to O-52): answers of final blocks to clients that are linked, their cache, refusals, status. */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"

enum { RIGHTS_AT = 12 }; /* behind quota_per_second, quota_burst, count, zero (S-32) */

static uint32_t bucket_of(const struct replica *r, const uint8_t id[32]) {
    return bytes_get_le32(id) & (r->client_bucket_count - 1);
}

static void rights_set(struct client *client, const uint8_t *rights, uint32_t rights_bytes) {
    free(client->rights);
    client->rights = malloc(rights_bytes > 0 ? rights_bytes : 1);
    CHECK(client->rights != NULL);
    memcpy(client->rights, rights, rights_bytes);
    client->rights_bytes = rights_bytes;
    /* Of the empty key nothing begins but the empty prefix, and that begins all. */
    client->may_read_all = executor_right(rights, rights_bytes, SYSTEM_RIGHT_READ, (const uint8_t *)"", 0);
}

/* The first use starts full; what is saved outlives a change, up to the new most. */
static void quota_set(struct client *client, const struct exec_client *known, uint64_t now_ms) {
    if (client->quota_per_second == 0) {
        client->read_tokens = UINT64_MAX;
        client->read_ms = now_ms;
    }
    client->quota_per_second = known->quota_per_second;
    client->quota_burst = known->quota_burst;
}

bool client_init(struct replica *r) {
    r->client_room = r->system->limits.clients_max; /* no CONFIG raises it (D-32), and ENROL keeps to it */
    r->client_bucket_count = 64;
    while (r->client_bucket_count < r->client_room) r->client_bucket_count *= 2;
    r->clients = calloc(r->client_room, sizeof *r->clients);
    r->client_buckets = malloc(r->client_bucket_count * sizeof *r->client_buckets);
    if (r->clients == NULL || r->client_buckets == NULL) return false;
    memset(r->client_buckets, 0xFF, r->client_bucket_count * sizeof *r->client_buckets);
    memcpy(r->enrolment.hash, r->system->file_hash, 32);
    r->enrolment.clients = r->system->clients_count;
    for (uint32_t i = 0; i < r->system->clients_count; i++) {
        const struct system_client *known = &r->system->clients[i];
        uint8_t binary[CARD_BYTES_MAX], rights[8 + ADMIN_OP_RIGHTS_BYTES_MAX];
        size_t bytes = admin_op_rights_encode(0, 0, known->rights, known->rights_count, rights);
        struct exec_client client = {.quota_per_second = known->quota_per_second,
                                     .quota_burst = known->quota_burst,
                                     .card = binary,
                                     .rights = rights + RIGHTS_AT,
                                     .rights_bytes = (uint32_t)bytes - RIGHTS_AT};
        (void)card_encode(&known->card, binary);
        memcpy(client.signing_key, known->card.signing_key, 32);
        memcpy(client.noise_key, known->card.noise_key, 32);
        (void)client_put(r, known->card.id, &client);
    }
    return true;
}

void client_free(struct replica *r) {
    for (uint32_t i = 0; i < r->client_count; i++) free(r->clients[i].rights);
    free(r->clients);
    free(r->client_buckets);
}

uint32_t client_find(const struct replica *r, const uint8_t id[32]) {
    uint32_t index = r->client_buckets[bucket_of(r, id)];
    while (index != NONE && memcmp(r->clients[index].id, id, 32) != 0) index = r->clients[index].bucket_next;
    return index;
}

static void peer_output(struct replica *r, enum replica_output_kind kind, uint32_t index) {
    if (!r->started) return;
    struct replica_output *output = output_add(r, kind);
    output->peer = (struct replica_peer){.kind = REPLICA_CLIENT, .index = index};
    memcpy(output->key, r->clients[index].noise_key, 32);
}

uint32_t client_put(struct replica *r, const uint8_t id[32], const struct exec_client *known) {
    uint32_t index = client_find(r, id);
    if (index == NONE) {
        if (r->client_count == r->client_room) return NONE;
        index = r->client_count++;
        struct client *client = &r->clients[index];
        memcpy(client->id, id, 32);
        memcpy(client->signing_key, known->signing_key, 32);
        memcpy(client->noise_key, known->noise_key, 32);
        client->bucket_next = r->client_buckets[bucket_of(r, id)];
        r->client_buckets[bucket_of(r, id)] = index;
        if (!known->revoked) peer_output(r, REPLICA_PEER_ADD, index);
    }
    rights_set(&r->clients[index], known->rights, known->rights_bytes);
    quota_set(&r->clients[index], known, r->now_ms);
    if (known->revoked) client_close(r, index);
    return index;
}

void client_close(struct replica *r, uint32_t index) {
    struct client *client = &r->clients[index];
    if (client->revoked) return;
    client->revoked = true;
    r->clients_up -= client->up;
    client->up = false;
    peer_output(r, REPLICA_PEER_REMOVE, index);
}

uint32_t replica_clients(const struct replica *r) {
    return r->client_count;
}

bool replica_client_key(const struct replica *r, uint32_t index, uint8_t noise_key[32]) {
    CHECK(index < r->client_count);
    memcpy(noise_key, r->clients[index].noise_key, 32);
    return !r->clients[index].revoked;
}

bool client_may_read(const struct replica *r, uint32_t client, const struct batch *batch) {
    const struct client *known = &r->clients[client];
    if (known->may_read_all) return true;
    struct batch_part part;
    size_t at = 0;
    while (batch_part_next(batch, &at, &part)) {
        struct bytes_cursor cursor = bytes_cursor_of(part.ops, part.ops_bytes);
        for (uint32_t i = 0; i < part.op_count; i++) {
            struct operation operation;
            if (!operation_decode(&cursor, &operation)) return false;
            if (operation.opcode == OPERATION_CLIENT_STATE) {
                if (!executor_right_state(known->rights, known->rights_bytes, known->id, operation.argument_a)) return false;
                continue;
            }
            if (!executor_right(known->rights, known->rights_bytes, SYSTEM_RIGHT_READ, operation.key, operation.key_bytes)) return false;
        }
    }
    return true;
}

/* A read leaves nothing in the state, so its quota is a bucket of this node's alone, filled by its own clock (O-50). */
bool client_may_read_now(struct client *client, uint64_t now_ms, uint32_t op_count, uint32_t *retry_ms) {
    if (client->quota_per_second == 0) return true;
    uint64_t full = (uint64_t)1000 * client->quota_burst, cost = (uint64_t)1000 * op_count, grown;
    if (__builtin_mul_overflow(client->quota_per_second, now_ms - client->read_ms, &grown) ||
            __builtin_add_overflow(client->read_tokens, grown, &client->read_tokens) || client->read_tokens > full)
        client->read_tokens = full;
    client->read_ms = now_ms;
    if (client->read_tokens >= cost) {
        client->read_tokens -= cost;
        return true;
    }
    uint64_t wait_ms = (cost - client->read_tokens + client->quota_per_second - 1) / client->quota_per_second;
    *retry_ms = wait_ms < UINT32_MAX ? (uint32_t)wait_ms : UINT32_MAX;
    return false;
}

struct blob *client_decision_head(struct replica *r, const struct rblock *block, uint32_t output) {
    tree_hash path[TREE_PROOF_HASHES_MAX];
    size_t path_count = tree_levels_prove(&block->levels, output, path);
    struct bytes_cursor cursor = bytes_cursor_of(block->certificate->bytes, block->certificate->count);
    struct bft_certificate certificate;
    CHECK(bft_certificate_get(&cursor, &certificate, NULL));
    (void)r;
    struct blob *head = blob_make(4 + block->certificate->count + 12 + path_count * 32 + LEAF_BYTES);
    struct bytes_writer writer = bytes_writer_of(head->bytes, head->count);
    decision_head_encode(&writer, &certificate, output, block->result.output_count, (const tree_hash *)path, (uint32_t)path_count,
                         block->result.outputs[output].leaf);
    CHECK(!writer.failed && writer.used == head->count);
    return head;
}

/* ---- answers: laid out here, and only for who is linked here ---- */

/* Results of so many bytes are sent from where they lie, as the link encrypts them (ring/link_send.c); what is shorter is laid out between them. */
enum { DIRECT_BYTES = 4096, DIRECT_MAX = (REPLICA_PIECES_MAX - 2) / 2 };

static struct blob_piece results_piece(const struct rblock *block, const struct exec_client_item *item) {
    for (uint32_t i = 0; i < block->slice_count; i++) {
        struct blob *slice = block->slices[i];
        if ((uintptr_t)item->results - (uintptr_t)slice->bytes < slice->count)
            return (struct blob_piece){.blob = slice, .offset = (size_t)(item->results - slice->bytes), .count = item->results_bytes};
    }
    check_failed("results of an answer lie in no slice of its block", __FILE__, __LINE__);
}

struct layout {
    struct blob *laid; /* all but what is sent from where it lies */
    size_t used, begun;
    unsigned direct;
    struct blob_piece *pieces;
    unsigned count;
};

static void layout_put(struct layout *layout, const void *bytes, size_t count) {
    if (count > 0) memcpy(layout->laid->bytes + layout->used, bytes, count);
    layout->used += count;
}

/* What was laid out since the last piece is one. */
static void layout_cut(struct layout *layout) {
    if (layout->used == layout->begun) return;
    layout->pieces[layout->count++] =
        (struct blob_piece){.blob = layout->laid, .offset = layout->begun, .count = layout->used - layout->begun};
    layout->begun = layout->used;
}

static bool is_direct(const struct exec_client_item *item, unsigned direct) {
    return item->results_bytes >= DIRECT_BYTES && direct < DIRECT_MAX;
}

/* D-16, in pieces. The caller drops layout->laid. */
static void layout_slice(const struct rblock *block, const struct exec_output *output, struct layout *layout) {
    size_t bytes = output->slice_bytes;
    unsigned direct = 0;
    for (uint32_t i = 0; i < output->item_count; i++) {
        if (!is_direct(&output->items[i], direct)) continue;
        bytes -= output->items[i].results_bytes;
        direct++;
    }
    layout->laid = blob_make(bytes);
    uint8_t count[4];
    bytes_put_le32(count, output->item_count);
    layout_put(layout, count, sizeof count);
    for (uint32_t i = 0; i < output->item_count; i++) {
        const struct exec_client_item *item = &output->items[i];
        layout_put(layout, item->head, sizeof item->head);
        if (is_direct(item, layout->direct)) {
            layout_cut(layout);
            layout->pieces[layout->count++] = results_piece(block, item);
            layout->direct++;
        } else {
            layout_put(layout, item->results, item->results_bytes);
        }
    }
    layout_cut(layout);
    CHECK(layout->used == bytes && layout->count <= REPLICA_PIECES_MAX);
}

static void answer_send(struct replica *r, uint32_t client, struct rblock *block, uint32_t output) {
    struct blob_piece pieces[REPLICA_PIECES_MAX];
    struct blob *head = client_decision_head(r, block, output);
    pieces[0] = (struct blob_piece){.blob = head, .count = head->count};
    struct layout layout = {.pieces = pieces, .count = 1};
    layout_slice(block, &block->result.outputs[output], &layout);
    output_send(r, (struct replica_peer){.kind = REPLICA_CLIENT, .index = client}, MESSAGE_ANSWER, pieces, layout.count);
    blob_drop(layout.laid);
    blob_drop(head);
}

void client_publish(struct replica *r, struct rblock *block) {
    for (uint32_t i = 0; i < block->result.output_count; i++) {
        const struct exec_output *output = &block->result.outputs[i];
        if (output->kind != LEAF_KIND_CLIENT) continue;
        uint32_t client = client_find(r, output->client_id);
        if (client != NONE && r->clients[client].up) answer_send(r, client, block, i);
    }
}

/* A repeated batch has proofs made, and all answers from its own on laid out again, whether or not the client reads them: a list that begins at the
 * same height whatever was sent, so that it cannot be cut by bytes without hiding what is behind. So who has much laid out waits the longer for the
 * next time: a client costs this thread proofs at most every AGAIN_MS, and no more than AGAIN_BYTES_A_MS in the long run. */
enum { AGAIN_MS = 20, AGAIN_BYTES_A_MS = 32 << 10 };

void client_answer_again(struct replica *r, uint32_t client, uint64_t height_from) {
    unsigned sent = 0;
    uint64_t bytes = 0;
    if (r->now_ms < r->clients[client].again_ms) return;
    for (uint32_t index = r->final_first; index != NONE && sent < ANSWERS_AGAIN_MAX; index = r->blocks[index].order_next) {
        struct rblock *block = &r->blocks[index];
        if (!block->published || block->header.height < height_from || block->certificate == NULL || block->result.output_count == 0) continue;
        uint32_t output = 0;
        while (output < block->result.output_count) {
            const struct exec_output *out = &block->result.outputs[output];
            if (out->kind == LEAF_KIND_CLIENT && memcmp(out->client_id, r->clients[client].id, 32) == 0) break;
            output++;
        }
        if (output == block->result.output_count) continue;
        tree_hash *storage = malloc(tree_levels_hashes(block->result.output_count) * sizeof *storage);
        CHECK(storage != NULL);
        memcpy(storage, block->result.leaf_hashes, block->result.output_count * sizeof *storage);
        tree_levels_build(&block->levels, storage, block->result.output_count);
        answer_send(r, client, block, output);
        free(storage);
        block->levels.storage = NULL;
        bytes += block->result.outputs[output].slice_bytes;
        sent++;
    }
    r->clients[client].again_ms = r->now_ms + AGAIN_MS + bytes / AGAIN_BYTES_A_MS;
}

void client_refuse(struct replica *r, uint32_t client, const uint8_t id[32], uint8_t code, uint32_t retry_ms) {
    struct blob *message = blob_make(40);
    memcpy(message->bytes, id, 32);
    memset(message->bytes + 32, 0, 8);
    message->bytes[32] = code;
    bytes_put_le32(message->bytes + 36, retry_ms);
    output_send_blob(r, (struct replica_peer){.kind = REPLICA_CLIENT, .index = client}, MESSAGE_REFUSED, message);
}

/* ---- status ---- */

/* My own STATUS, signed now: the core's word of itself. */
static struct blob *status_own(struct replica *r) {
    struct bft_message *message = calloc(1, sizeof *message);
    CHECK(message != NULL);
    const struct bft_memory *memory = &r->core->memory;
    message->type = BFT_MESSAGE_STATUS;
    struct bft_status *status = &message->status;
    status->place = r->members.place;
    status->view = memory->view;
    status->final = (struct bft_point){.height = r->tip_height, .id = r->tip_id};
    if (memory->has_high)
        status->high = (struct bft_high){.view = memory->high_qc.ballot.view,
                                         .block = {.height = memory->high_qc.ballot.height, .id = memory->high_qc.ballot.block_id}};
    else
        status->high = (struct bft_high){.block = r->members.start};
    if (memory->has_prepared) {
        status->prepared_view = memory->prepared.view;
        status->prepared_height = memory->prepared.height;
    }
    status->time = bft_core_time(r->core, r->now_ms);
    bool may_sign = last_is_answered(r) && !epoch_is_sealed(r) && r->retired == REPLICA_IN_OFFICE;
    status->flags = (uint8_t)((memory->timed_out ? BFT_STATUS_TIMED_OUT : 0) | (may_sign ? BFT_STATUS_VOTING : 0) |
                              (epoch_is_sealed(r) ? BFT_STATUS_SEALED : 0));
    status->signer = r->me;
    bft_message_sign(&r->signer, message);
    size_t bytes = bft_wire_encode(message, r->scratch, BFT_WIRE_HEAD_BYTES_MAX);
    free(message);
    return blob_copy(r->scratch, bytes);
}

void client_status_query_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    if (payload.count != 8 || from.index >= r->client_count) {
        drop_count(r, DROP_MALFORMED);
        return;
    }
    if (!question_allowed(r, &r->clients[from.index].rate)) return;
    struct blob *parts[BFT_MEMBERS_MAX];
    uint32_t count = 0;
    if (r->me != NOBODY) parts[count++] = status_own(r); /* nobody else's word is known by an index */
    for (uint32_t member = 0; member < r->members.n; member++) {
        if (member != r->me && r->peer_status_bytes[member] != NULL) parts[count++] = blob_hold(r->peer_status_bytes[member]);
    }
    size_t bytes = 12;
    for (uint32_t i = 0; i < count; i++) bytes += 4 + parts[i]->count;
    struct blob *answer = blob_make(bytes);
    struct bytes_writer writer = bytes_writer_of(answer->bytes, bytes);
    bytes_put_raw(&writer, blob_piece_bytes(&payload), 8);
    bytes_put_u32(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        bytes_put_u32(&writer, (uint32_t)parts[i]->count);
        bytes_put_raw(&writer, parts[i]->bytes, parts[i]->count);
        blob_drop(parts[i]);
    }
    CHECK(!writer.failed && writer.used == bytes);
    output_send_blob(r, from, MESSAGE_STATUS_ANSWER, answer);
}
