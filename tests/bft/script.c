#include "tests/bft/script.h"

#include <stdlib.h>

static const struct bft_hash cursors = {{1}};
static const struct bft_hash root = {{5}};

static void start_of(const struct script *script, struct bft_start *start) {
    memset(start, 0, sizeof *start);
    start->members = script->members;
    start->limits = script->limits;
    start->me = script->me;
    start->now_ms = script->now_ms;
    start->wall_ms = 1000000 + script->now_ms;
    start->tip = script->genesis;
}

static void vote_allowed(struct script *script) {
    struct bft_event event = {.type = BFT_EVENT_VOTING};
    event.epoch = script->core.members.place.epoch;
    script_step(script, &event);
}

struct script *script_new(uint32_t n, uint8_t me, uint32_t window) {
    struct script *script = calloc(1, sizeof *script);
    CHECK(script != NULL);
    struct bft_place place = {.cluster = 0x00010000};
    memset(place.system_id, 3, sizeof place.system_id);
    memset(place.config_hash.bytes, 4, 32);
    uint8_t keys[BFT_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES];
    for (uint32_t i = 0; i < BFT_MEMBERS_MAX; i++) {
        keyed_signer_init(&script->keys[i], i);
        memcpy(keys[i], script->keys[i].public_key, 32);
    }
    bft_genesis_header(&script->genesis, place.system_id, &place.config_hash, place.cluster, SCRIPT_START, &root, &cursors);
    struct bft_point point = {SCRIPT_START, bft_header_id(&script->genesis)};
    CHECK(bft_members_init(&script->members, &place, &point, n, (const uint8_t(*)[SIGNER_PUBLIC_KEY_BYTES])keys));
    script->limits = (struct bft_limits){.window_blocks = window, .rotation_blocks = 1000, .view_base_ms = 1000, .view_max_ms = 60000,
                                         .input_relay_ms = 1000, .throughput_window_ms = 1000, .throughput_half_life_ms = 60000,
                                         .throughput_percent = 35};
    script->verifier = keyed_signer_of(NULL);
    script->me = me;
    script->now_ms = 5000;
    struct bft_start start;
    start_of(script, &start);
    bft_init(&script->core, &start);
    vote_allowed(script);
    return script;
}

void script_free(struct script *script) {
    free(script);
}

void script_restart(struct script *script, const struct bft_header *headers, size_t count) {
    uint8_t bytes[BFT_MEMORY_BYTES_MAX];
    struct bft_memory memory;
    size_t bytes_count = bft_memory_encode(&script->core.memory, bytes);
    CHECK(bft_memory_decode(bytes, bytes_count, &memory));
    struct bft_start start;
    start_of(script, &start);
    CHECK(bft_restore(&script->core, &start, &memory, headers, count));
    script_forget(script);
    struct bft_event event = {.type = BFT_EVENT_TICK};
    script_step(script, &event);
    vote_allowed(script);
}

/* ---- the shell ---- */

static void give_back(struct script *script, struct bft_message *message) {
    struct bft_event event = {.type = BFT_EVENT_MESSAGE, .from = script->core.me, .message = message};
    script_step(script, &event);
}

static void held(struct script *script, const struct bft_hash *id) {
    struct bft_event event = {.type = BFT_EVENT_INPUTS_HELD, .block_id = *id};
    script_step(script, &event);
}

static void execute(struct script *script, const struct bft_action *action) {
    CHECK(script->executed_count < SCRIPT_BLOCKS_MAX);
    script->executed[script->executed_count++] = action->block_id;
    struct bft_event event = {.type = BFT_EVENT_EXECUTED};
    event.executed = (struct bft_executed){.block_id = action->block_id, .valid = true, .outbox_root = action->header.outbox_root,
                                           .state_root = action->header.state_root, .weight = script->weight ? script->weight : 100};
    if (script->execute_wrong) event.executed.outbox_root.bytes[0] ^= 1;
    if (bft_hash_equal(&action->block_id, &script->config_id)) event.executed.config = script->config;
    script_step(script, &event);
}

static void carry_out(struct script *script, const struct bft_update *update) {
    for (uint32_t i = 0; i < update->note_count; i++) {
        if (script->note_count < SCRIPT_SENT_MAX) script->notes[script->note_count++] = update->notes[i];
    }
    for (uint32_t i = 0; i < update->send_count; i++) {
        CHECK(script->sent_count < SCRIPT_SENT_MAX);
        struct bft_message *message = &script->sent[script->sent_count];
        *message = update->sends[i].message;
        if (update->sends[i].sign) {
            CHECK(script->core.me != BFT_NOBODY);
            struct signer signer = keyed_signer_of(&script->keys[script->me]);
            bft_message_sign(&signer, message);
        }
        script->sent_to[script->sent_count++] = update->sends[i].to;
    }
    for (uint32_t i = 0; i < update->action_count; i++) {
        const struct bft_action *action = &update->actions[i];
        if (action->type == BFT_DO_FINAL) {
            CHECK(script->final_count < SCRIPT_BLOCKS_MAX);
            script->finals[script->final_count++] = action->block_id;
            script->certificate_bytes = (uint32_t)bft_core_certificate(&script->core, &action->block_id, script->certificate);
        } else if (action->type >= BFT_DO_FETCH && script->action_count < SCRIPT_BLOCKS_MAX) {
            script->actions[script->action_count++] = *action;
        }
    }
}

void script_step(struct script *script, struct bft_event *event) {
    event->now_ms = script->now_ms;
    bft_step(&script->core, event, &script->update);
    struct bft_update *update = malloc(sizeof *update);
    CHECK(update != NULL);
    /* Only what is filled in: an update is half a megabyte. */
    memcpy(update, &script->update, offsetof(struct bft_update, store_ids));
    memcpy(update->sends, script->update.sends, update->send_count * sizeof update->sends[0]);
    memcpy(update->actions, script->update.actions, update->action_count * sizeof update->actions[0]);
    memcpy(update->notes, script->update.notes, update->note_count * sizeof update->notes[0]);
    carry_out(script, update);
    for (uint32_t i = 0; i < update->send_count && !script->keep_own; i++) {
        struct bft_message message = update->sends[i].message;
        bool own = update->sends[i].sign && message.type != BFT_MESSAGE_STATUS && message.type != BFT_MESSAGE_NOOP;
        if (!own) continue;
        struct signer signer = keyed_signer_of(&script->keys[script->me]);
        bft_message_sign(&signer, &message);
        give_back(script, &message);
    }
    for (uint32_t i = 0; i < update->action_count; i++) {
        if (update->actions[i].type == BFT_DO_HOLD && !script->keep_inputs) held(script, &update->actions[i].block_id);
        if (update->actions[i].type == BFT_DO_EXECUTE) execute(script, &update->actions[i]);
    }
    if (script->auto_propose && script->update.offer.may_propose) {
        const struct bft_offer offer = script->update.offer;
        struct bft_event proposal = {.type = BFT_EVENT_PROPOSAL};
        proposal.proposal = (struct bft_proposal){.view = offer.view, .parent_id = offer.parent_id, .time = offer.time,
                                                  .body_hash = bft_body_hash_empty(), .outbox_root = bft_outbox_root_empty(), .state_root = root,
                                                  .cursors_hash = cursors, .weight = 1};
        script->auto_propose = false;
        script_step(script, &proposal);
    }
    free(update);
}

void script_tick(struct script *script, uint64_t ms) {
    script->now_ms += ms;
    struct bft_event event = {.type = BFT_EVENT_TICK};
    script_step(script, &event);
}

/* ---- making things ---- */

struct bft_header script_block(const struct script *script, const struct bft_header *parent, uint64_t view, uint8_t salt) {
    struct bft_header header;
    memset(&header, 0, sizeof header);
    header.place = script->members.place;
    header.view = view;
    header.height = parent->height + 1;
    header.parent_id = bft_header_id(parent);
    header.body_hash = bft_body_hash_empty();
    header.outbox_root = bft_outbox_root_empty();
    header.state_root = root;
    header.cursors_hash = cursors;
    header.time = parent->time;
    if (salt != 0) {
        header.body_hash.bytes[0] = salt;
        header.outbox_root.bytes[0] = salt;
    }
    return header;
}

struct bft_qc script_qc(const struct script *script, const struct bft_header *header, enum bft_vote_kind kind, uint32_t mask) {
    struct bft_qc qc;
    memset(&qc, 0, sizeof qc);
    struct bft_hash id = bft_header_id(header);
    bft_header_ballot(header, &id, &qc.ballot);
    qc.kind = (uint8_t)kind;
    for (uint8_t i = 0; i < script->members.n; i++) {
        if (!(mask >> i & 1)) continue;
        struct bft_message message = {.type = kind == BFT_PREPARE ? BFT_MESSAGE_PREPARE : BFT_MESSAGE_COMMIT};
        message.vote.ballot = qc.ballot;
        message.vote.kind = (uint8_t)kind;
        struct signer signer = keyed_signer_of((struct keyed_signer *)(uintptr_t)&script->keys[i]);
        bft_message_sign(&signer, &message);
        qc.signers[qc.count] = i;
        qc.signatures[qc.count++] = message.vote.signature;
    }
    return qc;
}

struct bft_timeout script_timeout(const struct script *script, uint64_t view, const struct bft_qc *qc, uint8_t signer_index) {
    struct bft_message message = {.type = BFT_MESSAGE_TIMEOUT};
    struct bft_timeout *timeout = &message.timeout;
    timeout->place = script->members.place;
    timeout->view = view;
    timeout->high.block = script->members.start;
    if (qc) {
        timeout->qc = *qc;
        timeout->high.view = qc->ballot.view;
        timeout->high.block.height = qc->ballot.height;
        timeout->high.block.id = qc->ballot.block_id;
    }
    timeout->signer = signer_index;
    struct signer signer = keyed_signer_of((struct keyed_signer *)(uintptr_t)&script->keys[signer_index]);
    bft_message_sign(&signer, &message);
    return message.timeout;
}

struct bft_tc script_tc(const struct script *script, uint64_t view, uint32_t mask, const struct bft_qc *high, const struct bft_qc *low) {
    struct bft_tc tc;
    memset(&tc, 0, sizeof tc);
    tc.place = script->members.place;
    tc.view = view;
    for (uint8_t i = 0; i < script->members.n; i++) {
        if (!(mask >> i & 1)) continue;
        struct bft_timeout timeout = script_timeout(script, view, tc.count == 0 ? high : low, i);
        tc.signers[tc.count] = i;
        tc.highs[tc.count] = timeout.high;
        tc.signatures[tc.count++] = timeout.signature;
    }
    if (high) tc.qc = *high;
    else if (low) tc.qc = *low;
    return tc;
}

/* ---- giving things ---- */

enum bft_verify_error script_give(struct script *script, const struct bft_message *message, uint8_t from) {
    enum bft_verify_error error = bft_core_verify(&script->core, &script->verifier, message);
    if (error != BFT_VERIFY_OK) return error;
    struct bft_event event = {.type = BFT_EVENT_MESSAGE, .from = from, .message = message};
    script_step(script, &event);
    return error;
}

enum bft_verify_error script_give_propose(struct script *script, const struct bft_header *header, const struct bft_tc *tc) {
    struct bft_message message = {.type = BFT_MESSAGE_PROPOSE};
    uint8_t leader = bft_leader(&script->members, header->view);
    message.block_id = bft_header_id(header);
    message.propose.header = *header;
    bft_header_ballot(header, &message.block_id, &message.propose.vote.ballot);
    message.propose.vote.kind = BFT_PREPARE;
    message.propose.vote.signer = leader;
    message.propose.has_tc = tc != NULL;
    if (tc) message.propose.tc = *tc;
    struct signer signer = keyed_signer_of(&script->keys[leader]);
    bft_message_sign(&signer, &message);
    return script_give(script, &message, leader);
}

enum bft_verify_error script_give_vote(struct script *script, const struct bft_header *header, enum bft_vote_kind kind, uint8_t signer_index) {
    struct bft_message message = {.type = kind == BFT_PREPARE ? BFT_MESSAGE_PREPARE : BFT_MESSAGE_COMMIT};
    struct bft_hash id = bft_header_id(header);
    bft_header_ballot(header, &id, &message.vote.ballot);
    message.vote.kind = (uint8_t)kind;
    message.vote.signer = signer_index;
    struct signer signer = keyed_signer_of(&script->keys[signer_index]);
    bft_message_sign(&signer, &message);
    return script_give(script, &message, signer_index);
}

enum bft_verify_error script_give_qc(struct script *script, const struct bft_qc *qc) {
    struct bft_message message = {.type = BFT_MESSAGE_QC, .qc = *qc};
    return script_give(script, &message, qc->signers[0]);
}

enum bft_verify_error script_give_timeout(struct script *script, const struct bft_timeout *timeout) {
    struct bft_message message = {.type = BFT_MESSAGE_TIMEOUT, .timeout = *timeout};
    return script_give(script, &message, timeout->signer);
}

enum bft_verify_error script_give_tc(struct script *script, const struct bft_tc *tc) {
    struct bft_message message = {.type = BFT_MESSAGE_TC, .tc = *tc};
    return script_give(script, &message, tc->signers[0]);
}

enum bft_verify_error script_give_status(struct script *script, uint8_t signer_index, uint64_t view, const struct bft_header *final, uint8_t flags) {
    struct bft_message message = {.type = BFT_MESSAGE_STATUS};
    message.status.place = script->core.members.place;
    message.status.view = view;
    message.status.final.height = final->height;
    message.status.final.id = bft_header_id(final);
    message.status.high.block = script->members.start;
    message.status.flags = flags;
    message.status.signer = signer_index;
    struct signer signer = keyed_signer_of(&script->keys[signer_index]);
    bft_message_sign(&signer, &message);
    return script_give(script, &message, signer_index);
}

void script_decide(struct script *script, const struct bft_header *header, uint32_t mask) {
    CHECK(script_give_propose(script, header, NULL) == BFT_VERIFY_OK);
    for (uint8_t kind = BFT_PREPARE; kind <= BFT_COMMIT; kind++) {
        for (uint8_t i = 0; i < script->members.n; i++) {
            if (i != script->me && (mask >> i & 1)) CHECK(script_give_vote(script, header, (enum bft_vote_kind)kind, i) == BFT_VERIFY_OK);
        }
    }
}

/* ---- asking ---- */

static const struct bft_hash *message_block(const struct bft_message *message) {
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
    case BFT_MESSAGE_BLOCK:
        return &message->block_id;
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        return &message->vote.ballot.block_id;
    case BFT_MESSAGE_QC:
        return &message->qc.ballot.block_id;
    default:
        return NULL;
    }
}

uint32_t script_sent(const struct script *script, uint16_t type, const struct bft_header *header) {
    struct bft_hash id = {{0}};
    if (header) id = bft_header_id(header);
    uint32_t count = 0;
    for (uint32_t i = 0; i < script->sent_count; i++) {
        const struct bft_message *message = &script->sent[i];
        if (message->type != type) continue;
        const struct bft_hash *block = message_block(message);
        if (!header || (block && bft_hash_equal(block, &id))) count++;
    }
    return count;
}

const struct bft_message *script_last(const struct script *script, uint16_t type) {
    for (uint32_t i = script->sent_count; i > 0; i--) {
        if (script->sent[i - 1].type == type) return &script->sent[i - 1];
    }
    return NULL;
}

uint32_t script_noted(const struct script *script, enum bft_note_type type) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < script->note_count; i++) count += script->notes[i].type == type;
    return count;
}

bool script_is_final(const struct script *script, const struct bft_header *header) {
    struct bft_hash id = bft_header_id(header);
    for (uint32_t i = 0; i < script->final_count; i++) {
        if (bft_hash_equal(&script->finals[i], &id)) return true;
    }
    return false;
}

void script_forget(struct script *script) {
    script->sent_count = 0;
    script->note_count = 0;
    script->action_count = 0;
}
