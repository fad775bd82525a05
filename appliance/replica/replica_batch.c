/* BATCH, INPUT, INPUT_FETCH (D-3, D-5, O-50): inputs taken in from clients and members, verified once, relayed, fetched; and what waits at the
 * leader. */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_batch.h"
#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"

enum { INPUT_FETCH_BYTES = 36, REPEATS_SUSPICIOUS = 8, SLICE_WAIT_SAMPLES = 256, SOON_BYTES_MAX = 64 << 10 };

struct batch_limits replica_batch_limits(const struct replica *r) {
    const struct system_limits *limits = &r->config.limits;
    return (struct batch_limits){.shards = r->system->shards_count,
                                 .batch_bytes_max = limits->batch_bytes_max,
                                 .batch_parts_max = limits->batch_parts_max,
                                 .batch_ops_max = limits->batch_ops_max};
}

static struct blob *input_head(uint8_t kind, uint8_t relay) {
    struct blob *head = blob_make(INPUT_HEAD_BYTES);
    head->bytes[0] = kind;
    head->bytes[1] = relay;
    head->bytes[2] = head->bytes[3] = 0;
    return head;
}

static void input_send(struct replica *r, const struct input *input, struct replica_peer to) {
    struct blob *head = input_head(input->kind, input->relay);
    struct blob_piece pieces[2] = {{.blob = head, .count = INPUT_HEAD_BYTES}, {.blob = input->blob, .offset = input->offset, .count = input->count}};
    output_send(r, to, MESSAGE_INPUT, pieces, 2);
    blob_drop(head);
}

void input_is(struct input *input, uint8_t kind) {
    input->kind = kind;
    input->source = 0;
    input->dseq = 0;
}

/* ---- from clients ---- */

/* B-51: more than what recent throughput drains in half of input_relay_ms would make an honest leader look slow. */
static bool beyond_drain(const struct replica *r, uint32_t ops) {
    uint64_t drains = r->rate_per_s * r->config.timeouts.input_relay_ms / 2000;
    return r->relay_weight[r->me] + ops > (drains > ADMIT_FLOOR_OPS ? drains : ADMIT_FLOOR_OPS) && r->relay_weight[r->me] > 0;
}

/* The throughput of the last second, falling by an eighth a second when there is less to do. */
static void rate_tick(struct replica *r) {
    uint64_t elapsed = r->now_ms - r->rate_since_ms;
    if (elapsed < 1000) return;
    uint64_t rate = r->rate_weight * 1000 / elapsed;
    r->rate_per_s = rate > r->rate_per_s - r->rate_per_s / 8 ? rate : r->rate_per_s - r->rate_per_s / 8;
    r->rate_weight = 0;
    r->rate_since_ms = r->now_ms;
}

/* Why a batch is not taken now, and when it may come again; 0: take it. */
static uint8_t batch_refusal(struct replica *r, uint32_t client, const struct batch *batch, const uint8_t id[32], uint32_t *retry_ms) {
    struct client *known = &r->clients[client];
    *retry_ms = 0;
    if (memcmp(batch->client_id, known->id, 32) != 0) {
        drop_count(r, DROP_BATCH_FOREIGN_CLIENT);
        return CODE_RIGHTS;
    }
    if (known->revoked) {
        drop_count(r, DROP_BATCH_REVOKED);
        return CODE_REVOKED;
    }
    if (r->draining || !last_is_answered(r) || epoch_is_sealed(r)) {
        drop_count(r, DROP_BATCH_DRAINING);
        *retry_ms = 50;
        return CODE_BUSY;
    }
    /* Half of what others keep of this relay, so that one that lags does not take it for a flood. */
    if (relay_is_full(r, r->me, batch->bytes_count, 2) || beyond_drain(r, batch->op_count)) {
        drop_count(r, DROP_BATCH_BUSY);
        *retry_ms = 50;
        return CODE_BUSY;
    }
    if (batch->kind == BATCH_READ && !client_may_read(r, client, batch)) {
        drop_count(r, DROP_BATCH_RIGHTS);
        return CODE_RIGHTS;
    }
    r->status.signatures_verified += batch->kind == BATCH_WRITE;
    if (!batch_signature_valid(batch, id, r->system->system_id, known->signing_key, &r->signer)) {
        drop_count(r, DROP_BATCH_SIGNATURE);
        return CODE_MALFORMED;
    }
    if (batch->kind == BATCH_READ && !client_may_read_now(known, r->now_ms, batch->op_count, retry_ms)) {
        drop_count(r, DROP_BATCH_QUOTA);
        return CODE_QUOTA;
    }
    return 0;
}

void input_relay(struct replica *r, struct input *input) {
    input->mine = true;
    input->relayed_ms = r->now_ms;
    input->relayed_view = bft_core_view(r->core);
    for (uint32_t member = 0; member < r->members.n; member++) {
        if (member != r->me && r->member_up[member]) input_send(r, input, peer_member(member));
    }
}

void client_batch_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    static const uint8_t nothing[32];
    if (from.index >= r->client_count || !r->is_coordinator) {
        drop_count(r, DROP_ROLE);
        return;
    }
    struct batch batch;
    struct batch_limits limits = replica_batch_limits(r);
    if (batch_decode(blob_piece_bytes(&payload), payload.count, &limits, &batch) != BATCH_OK) {
        drop_count(r, DROP_BATCH_MALFORMED);
        client_refuse(r, from.index, nothing, CODE_MALFORMED, 0);
        return;
    }
    uint8_t id[32];
    batch_id(&batch, id);
    uint32_t index = input_find(r, id);
    if (index != NONE && r->inputs[index].state == INPUT_DONE) {
        client_answer_again(r, from.index, r->inputs[index].decided_height);
        return;
    }
    if (index != NONE && r->inputs[index].state == INPUT_HELD) {
        r->inputs[index].mine = true; /* its answer will come; from now on it counts here as well */
        return;
    }
    uint32_t retry_ms;
    uint8_t refusal = batch_refusal(r, from.index, &batch, id, &retry_ms);
    if (refusal != 0) {
        client_refuse(r, from.index, id, refusal, retry_ms);
        return;
    }
    if (index == NONE) index = input_make(r, BODY_BATCH, id);
    if (index == NONE) {
        drop_count(r, DROP_BATCH_BUSY);
        client_refuse(r, from.index, id, CODE_BUSY, 100);
        return;
    }
    struct input *input = &r->inputs[index];
    input_is(input, BODY_BATCH);
    input->relay = r->me;
    input->client = from.index;
    input->weight = batch.op_count;
    input->is_signed = batch.kind == BATCH_WRITE;
    input_hold(r, index, payload);
    input_relay(r, input);
    if (input->in_blocks > 0) block_input_arrived(r, index);
}

/* ---- verification ---- */

static bool batch_take(struct replica *r, struct input *input, const struct batch *batch, uint32_t client) {
    r->status.signatures_verified += batch->kind == BATCH_WRITE;
    if (!batch_signature_valid(batch, input->hash, r->system->system_id, r->clients[client].signing_key, &r->signer)) {
        drop_count(r, DROP_BATCH_SIGNATURE);
        return false;
    }
    input->client = client;
    input->weight = batch->op_count;
    input->is_signed = batch->kind == BATCH_WRITE;
    return true;
}

/* Its reads stay out of my blocks for a while, twice as long each time until it is forgotten. */
static void reads_leave_out(struct replica *r, uint32_t relay, uint32_t least_ms) {
    struct unspread *unspread = &r->unspread[relay];
    bool again = unspread->pause_ms > 0 && r->now_ms - unspread->until_ms < UNSPREAD_FORGET_MS;
    unspread->pause_ms = !again ? least_ms : unspread->pause_ms < UNSPREAD_MS_MAX ? unspread->pause_ms * 2 : UNSPREAD_MS_MAX;
    if (unspread->pause_ms < least_ms) unspread->pause_ms = least_ms;
    unspread->until_ms = r->now_ms + unspread->pause_ms;
    unspread->asked = 0;
    unspread->forgot_ms = 0;
    replica_note(r, LOG_LEVEL_INFO, "reads_left_out", "relay=%u ms=%u", relay, unspread->pause_ms);
}

static bool i_lead(const struct replica *r) {
    return bft_leader(&r->members, bft_core_view(r->core)) == r->me;
}

/*
 * A relay brought more than is kept of it. Nobody signed a read, so a liar makes up as many as it likes; each that a block takes up costs every node
 * of two clusters, and what it brings to the leader first holds up whoever waits for the rest of it. What others bring counts under their own names,
 * and what blocks name of a relay counts apart (input_take), so no third one can do this to a relay; and an honest one says BUSY to its clients
 * before (batch_refusal), unless I am slow to see its inputs decided. Hence: as the leader, who names what is decided and is not slow, I forget its
 * reads and take no more of them; as another member I forget old ones alone, since the leader may be about to name the others. Until it has kept
 * within its room for a while. Its signed batches are held and proposed as ever. What is lost are reads of clients of that relay, who ask elsewhere;
 * they count against no leader (B-50), and agreement is not touched: what to propose is a leader's own matter. All is gone through once a second at
 * the most, so that floods without an end cost no more than being dropped.
 */
static void flood_note(struct replica *r, uint32_t relay) {
    struct unspread *unspread = &r->unspread[relay];
    if (relay == r->me) return;
    if (i_lead(r) && r->now_ms >= unspread->until_ms) reads_leave_out(r, relay, FLOOD_MS_MIN);
    else if (i_lead(r) && unspread->forgot_ms != 0) unspread->until_ms = r->now_ms + unspread->pause_ms;
    if (unspread->forgot_ms != 0 && r->now_ms - unspread->forgot_ms < FORGET_MS) return;
    unspread->forgot_ms = r->now_ms;
    reads_forget(r, relay, i_lead(r) ? 0 : READ_STALE_MS);
}

/* Behind my own disk, or was lately, or behind the others: what is decided still waits here, and fills the room of whoever brought it. */
bool replica_is_late(const struct replica *r) {
    bool lately = r->stall_end_ms != 0 && r->now_ms - r->stall_end_ms < CATCH_UP_PATIENCE_MS;
    return r->behind || lately || (r->core->pending_qc.count > 0 && r->core->pending_qc.ballot.height > r->tip_height);
}

/* Is it one more of a flood (flood_note)? */
static bool of_a_flood(const struct replica *r, uint32_t relay, const struct batch *batch) {
    const struct unspread *unspread = &r->unspread[relay];
    return batch->kind == BATCH_READ && unspread->forgot_ms != 0 && r->now_ms < unspread->until_ms && i_lead(r);
}

/* A client whose relay is left out asked another node, which hands its read on: it waits as that one's from now on, and is not left out. Else the
 * other relay would hold it against the leader. Of a relay that is not limited nothing can be taken over. */
static void read_take_over(struct replica *r, uint32_t index, uint8_t relay) {
    struct input *input = &r->inputs[index];
    if (input->state != INPUT_HELD || input->kind != BODY_BATCH || input->is_signed || input->in_blocks > 0) return;
    if (!relay_is_full(r, relay, input->count, 1)) input_relay_change(r, index, relay);
}

/* The hash under which these bytes are an input; false: they are none. */
static bool input_hash(struct replica *r, uint8_t kind, struct blob_piece bytes, struct batch *batch, uint8_t hash[32]) {
    if (kind == BODY_ADMIN) return admin_op_input_hash(blob_piece_bytes(&bytes), bytes.count, hash);
    struct batch_limits limits = replica_batch_limits(r);
    if (batch_decode(blob_piece_bytes(&bytes), bytes.count, &limits, batch) != BATCH_OK) return false;
    batch_id(batch, hash);
    return true;
}

bool input_take(struct replica *r, uint8_t kind, uint8_t relay, struct blob_piece bytes, struct replica_peer from, uint32_t *out) {
    if (kind == BODY_SLICE) return source_take(r, bytes, from, out);
    struct batch batch;
    uint8_t hash[32];
    if (!r->is_coordinator && kind == BODY_BATCH) return false;
    if (!input_hash(r, kind, bytes, &batch, hash)) {
        drop_count(r, DROP_INPUT_MALFORMED);
        attack_seen(r, ATTACK_BAD_INPUT, from);
        return false;
    }
    uint32_t index = input_find(r, hash), client = kind == BODY_BATCH ? client_find(r, batch.client_id) : NONE;
    if (index != NONE && admin_return(r, index, bytes)) index = NONE;
    *out = index;
    if (index != NONE && r->inputs[index].state != INPUT_WANTED) {
        struct input *known = &r->inputs[index];
        drop_count(r, DROP_INPUT_DUPLICATE);
        bool limited = relay_places(r, known->relay) != UINT32_MAX && relay_places(r, relay) == UINT32_MAX;
        if (relay == from.member && known->named && !relay_is_full(r, relay, known->count, 1))
            input_relay_change(r, index, relay); /* here is who brings it */
        else if (relay == from.member && known->relay != relay && limited)
            read_take_over(r, index, relay);
        if (known->state == INPUT_DONE && known->relay == from.member && known->repeats < UINT8_MAX && ++known->repeats == REPEATS_SUSPICIOUS)
            attack_seen(r, ATTACK_REPLAY, from);
        return true;
    }
    if (index == NONE && relay != from.member) {
        drop_count(r, DROP_INPUT_RELAY);
        return false;
    }
    if (index == NONE && kind == BODY_BATCH && of_a_flood(r, relay, &batch)) {
        drop_count(r, DROP_INPUT_LIMIT);
        return false;
    }
    bool beyond = relay_is_full(r, relay, bytes.count, 1);
    if (index == NONE && beyond) {
        drop_count(r, DROP_INPUT_LIMIT);
        if (replica_is_late(r)) return false;
        attack_seen(r, ATTACK_FLOOD, from);
        flood_note(r, relay);
        return false;
    }
    bool fresh = index == NONE;
    if (kind == BODY_BATCH && client == NONE) { /* maybe enrolled a moment ago: until that is final here nobody can check its signature */
        drop_count(r, DROP_BATCH_UNKNOWN_CLIENT);
        if (fresh) early_keep(r, relay, bytes);
        return false;
    }
    if (fresh) index = input_make(r, kind, hash);
    if (index == NONE) return false;
    struct input *input = &r->inputs[index];
    if (fresh || input->kind != kind || relay == from.member) input->relay = relay; /* until then it was a block's word */
    input->named = !fresh && (relay != from.member || beyond);
    bool good = kind == BODY_BATCH ? batch_take(r, input, &batch, client) : admin_take(r, input, bytes, !fresh);
    if (!good) {
        attack_seen(r, ATTACK_BAD_INPUT, from);
        if (fresh) input_free(r, index);
        return false;
    }
    input_is(input, kind);
    bool waits = kind == BODY_ADMIN && fresh && admin_waits(r, relay, input->operation);
    if (waits || (kind == BODY_ADMIN && fresh && !input->is_signed)) { /* signed well, and left behind: whoever relays it may be behind itself */
        drop_count(r, waits ? DROP_INPUT_DUPLICATE : DROP_ADMIN_LATE);
        input_free(r, index);
        return true;
    }
    input_hold(r, index, bytes);
    *out = index;
    if (input->in_blocks > 0) block_input_arrived(r, index);
    return true;
}

/* ---- between members ---- */

void input_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    const uint8_t *head = blob_piece_bytes(&payload);
    if (payload.count <= INPUT_HEAD_BYTES || head[0] < BODY_SLICE || head[0] > BODY_ADMIN || head[1] >= r->members.n || head[2] != 0 ||
        head[3] != 0) {
        drop_count(r, DROP_INPUT_MALFORMED);
        attack_seen(r, ATTACK_BAD_INPUT, from);
        return;
    }
    struct blob_piece bytes = {.blob = payload.blob, .offset = payload.offset + INPUT_HEAD_BYTES, .count = payload.count - INPUT_HEAD_BYTES};
    uint32_t index;
    (void)input_take(r, head[0], head[1], bytes, from, &index);
}

uint32_t read_begin(struct replica *r, enum read_purpose purpose, struct replica_peer peer, enum wal_db db, const uint8_t *key, size_t key_bytes) {
    uint32_t slot = NONE, of_peer = 0;
    for (uint32_t i = 0; i < READS_MAX; i++) {
        const struct pending_read *read = &r->reads[i];
        if (read->purpose == READ_FREE && slot == NONE) slot = i;
        of_peer += read->purpose != READ_FREE && read->peer.kind == peer.kind && read->peer.index == peer.index && read->peer.member == peer.member;
    }
    if (slot == NONE || of_peer >= READS_OF_PEER_MAX) {
        drop_count(r, DROP_RATE);
        return NONE;
    }
    r->reads[slot] = (struct pending_read){.purpose = purpose, .peer = peer};
    struct replica_output *output = output_add(r, REPLICA_READ);
    output->cookie = slot;
    output->db = db;
    memcpy(output->key, key, key_bytes);
    return slot;
}

/* 36 bytes ask for up to 4 MiB: so many questions and bytes a second of each member. What lies in the store counts as a batch of usual length. */
static bool input_question_allowed(struct replica *r, struct input_rate *rate, uint32_t index) {
    uint64_t bytes = index != NONE && r->inputs[index].blob != NULL ? r->inputs[index].count : INPUT_FETCH_STORED_BYTES;
    if (r->now_ms - rate->window_ms >= 1000) *rate = (struct input_rate){.window_ms = r->now_ms};
    if (rate->count >= INPUT_FETCHES_PER_SECOND || rate->bytes >= INPUT_FETCH_BYTES_PER_SECOND) {
        drop_count(r, DROP_RATE);
        return false;
    }
    rate->count++;
    rate->bytes += bytes;
    return true;
}

/*
 * A relay that hands its reads to the leader alone, or others to each member, makes everybody fetch what the leader's blocks name: each such block
 * costs a time-out (fetch_ms), and nobody signed a read, so it costs the liar nothing. When f+1 members, one of them honest, had to ask me for reads
 * of one relay, which had not answered them, they are left out for a while (what to propose is a leader's own matter). They count against no leader
 * (B-50), and clients ask elsewhere. Fewer members that ask prove nothing: a liar could silence an honest relay so.
 */
static void unspread_note(struct replica *r, uint8_t from, const struct input *input) {
    bool read_of_another = input->kind == BODY_BATCH && !input->is_signed && input->relay != r->me && input->relay != from;
    if (!read_of_another || input->state != INPUT_HELD || input->in_blocks == 0) return;
    struct unspread *unspread = &r->unspread[input->relay];
    if (r->now_ms < unspread->until_ms) return; /* blocks that were under way */
    if (r->now_ms - unspread->window_ms >= UNSPREAD_WINDOW_MS) {
        unspread->window_ms = r->now_ms;
        unspread->asked = 0;
    }
    unspread->asked |= UINT32_C(1) << from;
    if ((uint32_t)__builtin_popcount(unspread->asked) <= r->members.f) return;
    attack_seen(r, ATTACK_FLOOD, peer_member(input->relay));
    reads_leave_out(r, input->relay, UNSPREAD_MS_MIN);
}

uint32_t relay_places(const struct replica *r, uint32_t relay) {
    const struct unspread *unspread = &r->unspread[relay];
    if (r->now_ms < unspread->until_ms) return 0;
    return unspread->pause_ms > 0 && r->now_ms - unspread->until_ms < UNSPREAD_FORGET_MS ? UNSPREAD_PLACES : UINT32_MAX;
}

void input_fetch_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    const uint8_t *bytes = blob_piece_bytes(&payload);
    if (payload.count != INPUT_FETCH_BYTES || bytes[1] != 0 || bytes[2] != 0 || bytes[3] != 0) {
        drop_count(r, DROP_MALFORMED);
        return;
    }
    uint32_t index = input_find(r, bytes + 4);
    bool observer = from.kind == REPLICA_OBSERVER;
    if (!input_question_allowed(r, observer ? &r->observers[from.index].input_rate : &r->input_rates[from.member], index)) return;
    if (index != NONE && r->inputs[index].blob != NULL) {
        unspread_note(r, from.member, &r->inputs[index]);
        input_send(r, &r->inputs[index], from);
        return;
    }
    if (index != NONE && r->inputs[index].state == INPUT_WANTED) return;
    /* Not in memory: maybe in the store, where an input lies as INPUT carries it. */
    (void)read_begin(r, READ_INPUT, from, WAL_INPUTS, bytes + 4, 32);
}

void replica_read_done(struct replica *r, uint64_t cookie, struct blob *blob) {
    CHECK(cookie < READS_MAX && r->reads[cookie].purpose != READ_FREE);
    struct pending_read *pending = &r->reads[cookie];
    if (pending->purpose != READ_INPUT) {
        block_read_done(r, cookie, blob);
        return;
    }
    if (blob != NULL) {
        struct blob_piece piece = {.blob = blob, .count = blob->count};
        output_send(r, pending->peer, MESSAGE_INPUT, &piece, 1);
        blob_drop(blob);
    }
    pending->purpose = READ_FREE;
}

/* The relay of a batch first, unless it is known to send more than is kept; then the leader, which named it; then the others in turn. */
static uint8_t fetch_peer(const struct replica *r, struct input *input) {
    uint8_t leader = bft_leader(&r->members, bft_core_view(r->core));
    bool relay = input->kind != BODY_SLICE && r->waiting[input->relay].count < relay_inputs_max(r) && r->member_up[input->relay];
    if (input->asked_peer == BFT_NOBODY && relay) return input->relay;
    if (input->leader_asked) return (uint8_t)((input->asked_peer + 1) % r->members.n);
    input->leader_asked = true;
    return leader;
}

void input_fetch_send(struct replica *r, uint32_t index) {
    struct input *input = &r->inputs[index];
    uint8_t peer = fetch_peer(r, input);
    for (uint32_t tries = 0; tries < r->members.n && (peer == r->me || !r->member_up[peer]); tries++) peer = (uint8_t)((peer + 1) % r->members.n);
    input->asked_peer = peer;
    input->asked_ms = r->now_ms;
    if (peer == r->me || !r->member_up[peer]) return;
    struct blob *question = blob_make(INPUT_FETCH_BYTES);
    memset(question->bytes, 0, 4);
    question->bytes[0] = input->kind;
    memcpy(question->bytes + 4, input->hash, 32);
    r->status.fetches++;
    output_send_blob(r, peer_member(peer), MESSAGE_INPUT_FETCH, question);
}

/* Asks again, another member each time, for what open blocks lack. */
void input_tick(struct replica *r) {
    rate_tick(r);
    if ((r->wanted_count == 0 && r->unplaced_count == 0) || r->now_ms - r->input_tick_ms < TICK_MS) return;
    r->input_tick_ms = r->now_ms;
    for (uint32_t i = 0; i < r->blocks_used_max; i++) {
        struct rblock *block = &r->blocks[i];
        if (!block->used || block->missing == 0) continue;
        if (block->unplaced > 0) block_place(r, block);
        for (uint32_t ref = 0; ref < block->ref_count; ref++) {
            uint32_t index = block->inputs[ref];
            if (index == NONE || r->inputs[index].state != INPUT_WANTED) continue;
            if (r->now_ms - r->inputs[index].asked_ms >= r->config.timeouts.fetch_ms) input_fetch_send(r, index);
        }
    }
}

/* ---- what waits at the leader (B-50, D-25) ---- */

void waiting_slice_consumed(struct replica *r, uint64_t waited_ms) {
    uint64_t waited_us = (waited_ms < r->config.timeouts.view_base_ms ? waited_ms : r->config.timeouts.view_base_ms) * 1000;
    r->slice_wait_us = r->slice_wait_us == 0 ? waited_us : r->slice_wait_us - r->slice_wait_us / SLICE_WAIT_SAMPLES + waited_us / SLICE_WAIT_SAMPLES;
}

/* So long a slice may wait before it is handed to the leader (D-25): much longer than they used to, a quarter of the time-out at the most. A mean
 * over numbers, not time: a leader that turns slow cannot soon make its own pace the usual one. */
static uint64_t slice_patience_ms(const struct replica *r) {
    uint64_t most = r->config.timeouts.view_base_ms / 4, least = r->config.timeouts.view_base_ms / 20, usual = r->slice_wait_us * 3 / 1000;
    if (r->slice_wait_us == 0 || usual > most) return most;
    return usual > least ? usual : least;
}

static void waiting_add(struct bft_waiting *waiting, uint32_t weight, uint64_t since_ms) {
    waiting->count++;
    waiting->weight += weight;
    if (since_ms < waiting->oldest_relayed_ms) waiting->oldest_relayed_ms = since_ms;
}

static void waiting_input(struct replica *r, struct bft_waiting *waiting, struct input *input) {
    waiting_add(waiting, input->weight, input->relayed_ms);
    if (input->arrived_ms < waiting->arrived_ms) waiting->arrived_ms = input->arrived_ms;
    input->waiting_turn = r->waiting_turn;
    r->waiting_left++;
}

/*
 * Slices that no block took up for longer than that go to the leader, whole. While fewer operations become final than the throughput rule allows, a
 * short one goes sooner: only what was handed over counts against a leader (a source that lies may have left it without), and one that is slow on
 * purpose could keep each just below the time that is usual. One a look and pair, and short: where demand has fallen, and nobody is slow, that is
 * what each member sends for nothing.
 */
static void waiting_slices(struct replica *r, uint8_t leader, struct bft_waiting *waiting) {
    uint64_t patience = slice_patience_ms(r);
    for (uint32_t i = 0; i < r->pair_count; i++) {
        struct pair *pair = &r->pairs[i];
        bool soon = r->core->rate_is_low;
        for (uint64_t dseq = pair->consumed_final + 1; dseq <= pair->received_max; dseq++) {
            uint32_t index = pair->window[dseq % SOURCE_WINDOW];
            if (index == NONE || r->inputs[index].state != INPUT_HELD || r->inputs[index].dseq != dseq) break;
            struct input *input = &r->inputs[index];
            bool told = input->relayed_ms != 0 && input->relayed_view == waiting->view;
            uint64_t age = r->now_ms - input->arrived_ms;
            bool early = soon && age >= r->config.timeouts.view_base_ms / 100 && input->count <= SOON_BYTES_MAX;
            if (!told && age < patience && !early) break;
            soon = soon && (told || age >= patience);
            if (!told && leader != r->me && r->member_up[leader]) input_send(r, input, peer_member(leader));
            if (!told) {
                input->relayed_ms = r->now_ms;
                input->relayed_view = waiting->view;
            }
            waiting_input(r, waiting, input);
        }
    }
}

/* As its relay: whoever was. */
static void input_hand(struct replica *r, uint32_t index, uint8_t member) {
    struct input *input = &r->inputs[index];
    uint8_t relay = input->relay;
    input->relay = r->me; /* D-5: what is not an answer carries its sender's index */
    input_send(r, input, peer_member(member));
    input->relay = relay;
}

/*
 * A client that waits for an answer gives its read to one node after the other, so what comes just after a start may have been decided before it,
 * below the checkpoint that I began from. Members who know that do not decide it again, and the leader is right to leave it (B-50).
 */
static bool read_is_young(const struct replica *r, const struct input *input) {
    return !input->is_signed && input->kind == BODY_BATCH && input->arrived_ms < r->young_until_ms;
}

/* May this input be counted against the leader, and when was it relayed to it? A batch that came on its client's own link counts at once; a signed
 * one of
 * another relay after a quarter of the time-out (then this node takes the relay's part); an unsigned one of another relay never, since that relay
 * may have
 * made it up: it is a reason to ask for a NOOP, no more. */
static bool waiting_counts(struct replica *r, uint32_t index, uint8_t leader, uint64_t view, bool *noop) {
    struct input *input = &r->inputs[index];
    bool counts = !read_is_young(r, input);
    if (input->kind == BODY_ADMIN && (!input->is_signed || !admin_is_next(r, input))) return false;
    bool old = r->now_ms - input->arrived_ms >= r->config.timeouts.view_base_ms / 4;
    if (!input->mine && !input->is_signed) *noop = *noop || old;
    if (!input->mine && (!input->is_signed || !old)) return false;
    if (input->relayed_ms != 0 && input->relayed_view == view) return counts;
    input->relayed_view = view;
    input->relayed_ms = r->now_ms;
    if (leader != r->me && r->member_up[leader]) input_hand(r, index, leader);
    return counts;
}

/* Young reads that nobody decided, whoever handed them over first, and also when the block that named one is gone: whoever asked has the answer of
 * another node, asks elsewhere, or asks here again, and then it counts. One that stayed would never count. */
static void young_forget(struct replica *r, uint32_t relay) {
    for (uint32_t index = r->waiting[relay].first, next; index != NONE; index = next) {
        const struct input *input = &r->inputs[index];
        next = input->list_next;
        bool stale = read_is_young(r, input) && r->now_ms - input->arrived_ms >= READ_STALE_MS;
        if (stale && input->in_blocks == 0) input_drop(r, index, r->tip_height);
    }
}

static void waiting_batches(struct replica *r, uint8_t leader, struct bft_waiting *waiting) {
    bool noop = r->decision_wanted && !r->status.voted && replica_is_ready(r);
    for (uint32_t relay = 0; relay < r->members.n; relay++) {
        if (r->young_until_ms > 1) young_forget(r, relay);
        for (uint32_t index = r->waiting[relay].first; index != NONE; index = r->inputs[index].list_next) {
            if (!waiting_counts(r, index, leader, waiting->view, &noop)) continue;
            waiting_input(r, waiting, &r->inputs[index]);
        }
    }
    uint64_t pause = r->config.timeouts.view_base_ms / 4;
    if (!noop || r->patient_ms == r->now_ms || r->now_ms - r->decided_ms < pause || r->now_ms - r->noop_ms < pause * 4) return;
    r->noop_ms = r->now_ms;
    r->decision_wanted = false;
    struct bft_event event = {.type = BFT_EVENT_NOOP, .nonce = rollback_noop_nonce(r)};
    replica_event(r, &event);
}

/* What came while the leader could not be reached goes to it now; the clock that runs against it is not set back, or it could do so at will. It
 * stands in this node's own list unless a CONFIG has put the node at another place since. */
void waiting_link_up(struct replica *r, uint8_t member) {
    if (!r->started || r->me == NOBODY || member != bft_leader(&r->members, bft_core_view(r->core))) return;
    for (uint32_t relay = 0; relay < r->members.n; relay++) {
        for (uint32_t index = r->waiting[relay].first; index != NONE; index = r->inputs[index].list_next) {
            if (relay == r->me || r->inputs[index].mine) input_hand(r, index, member);
        }
    }
}

/* B-50: in each view an input waits from when it was handed to that view's leader. Views begin anew with the epoch, and so do their leaders: what was
 * handed to the one before counts against the new one when that has it. */
void waiting_epoch(struct replica *r) {
    for (uint32_t index = 0; index < INPUTS_MAX; index++) r->inputs[index].relayed_ms = 0;
}

/*
 * Is a dispatch due by my own clock, and since when? In the final state: it waits until a final block consumed it (B-50), whatever open blocks say
 * that may never be final. A block above the tip cuts all that was due at once (D-18); what is due by the clock was cut when the oldest item is
 * another. Then another dispatch is due, and the clock against the leader begins anew; a block that leaves the oldest item where it was does not set
 * it back.
 */
static bool waiting_due(struct replica *r) {
    const struct exec_due *due = &r->tip_due, *seen = &r->due_seen;
    bool is_due = due->now || due->time <= bft_core_time(r->core, r->now_ms);
    bool another = r->tip_height != r->due_seen_height && (seen->now || seen->time != due->time);
    if (!is_due || another) r->due_since_ms = 0;
    if (is_due && r->due_since_ms == 0) r->due_since_ms = r->now_ms;
    r->due_seen = *due;
    r->due_seen_height = r->tip_height;
    return is_due;
}

/* Looked at every TICK_MS, and when all inputs are decided that the core was told of: else what came in one go and was decided in a millisecond would
 * have waited for a whole tick (B-52). */
void waiting_tick(struct replica *r) {
    bool gone = r->waiting_told.count > 0 && r->waiting_left == 0;
    if ((r->now_ms - r->relay_checked_ms < TICK_MS && !gone) || !last_is_answered(r) || epoch_is_sealed(r)) return;
    r->relay_checked_ms = r->now_ms;
    r->waiting_turn++;
    r->waiting_left = 0;
    struct bft_event event = {.type = BFT_EVENT_WAITING, .waiting = {.view = bft_core_view(r->core), .oldest_relayed_ms = UINT64_MAX}};
    event.waiting.arrived_ms = UINT64_MAX;
    struct bft_waiting *waiting = &event.waiting, *told = &r->waiting_told;
    uint8_t leader = bft_leader(&r->members, waiting->view);
    waiting_batches(r, leader, waiting);
    waiting_slices(r, leader, waiting);
    if (waiting_due(r)) {
        waiting_add(waiting, 1, r->due_since_ms);
        if (r->due_since_ms < waiting->arrived_ms) waiting->arrived_ms = r->due_since_ms;
    }
    if (waiting->oldest_relayed_ms < r->patient_ms) waiting->oldest_relayed_ms = r->patient_ms;
    if (waiting->count == 0) waiting->oldest_relayed_ms = waiting->arrived_ms = 0;
    r->status.waiting_oldest_ms = waiting->count > 0 ? r->now_ms - waiting->oldest_relayed_ms : 0;
    if (waiting->count == told->count && waiting->weight == told->weight && waiting->oldest_relayed_ms == told->oldest_relayed_ms &&
        waiting->arrived_ms == told->arrived_ms && waiting->view == told->view)
        return;
    *told = *waiting;
    replica_event(r, &event);
}
