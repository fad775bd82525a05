/* The shell around one core: carries out the contract of bft/core.h, and checks the core's side of it (tests/sim/sim.h). */
#include "tests/sim/sim.h"

static const uint8_t empty_body[4];

/* ---- who is who ---- */

/* Index of a node among these members, or SIM_EXTERNAL + node. */
uint8_t sim_node_index(const struct sim_world *world, const struct bft_members *members, uint8_t node) {
    for (uint8_t i = 0; i < members->n; i++) {
        if (memcmp(members->keys[i], world->nodes[node].key.public_key, 32) == 0) return i;
    }
    return (uint8_t)(SIM_EXTERNAL + node);
}

static uint8_t node_of(const struct sim_world *world, const struct bft_members *members, uint8_t index) {
    if (index >= SIM_EXTERNAL) return (uint8_t)(index - SIM_EXTERNAL);
    for (uint8_t i = 0; i < world->config.nodes; i++) {
        if (memcmp(members->keys[index], world->nodes[i].key.public_key, 32) == 0) return i;
    }
    CHECK(false && "a node for each member");
    return 0;
}

/* Inputs that a block consumes: the work that the throughput rule counts. */
static uint64_t weight_of(const struct sim_block *block) {
    return block->body_bytes == 16 && block->body[0] == 'I' ? block->body[1] : 0;
}

/* ---- start and crash ---- */

static void step(struct sim_world *world, uint8_t node, const struct bft_event *event);

static void carry_on(struct sim_world *world, uint8_t node, enum bft_event_type type) {
    struct bft_event event = {.type = type, .now_ms = world->now_us / 1000};
    if (type == BFT_EVENT_VOTING) event.epoch = world->nodes[node].core.members.place.epoch;
    step(world, node, &event);
}

void sim_node_start(struct sim_world *world, uint8_t index) {
    struct sim_node *node = &world->nodes[index];
    CHECK(!node->up);
    if (!node->applied) node->applied = world->genesis;
    const struct sim_block *tip = node->applied;
    struct bft_start *start = calloc(1, sizeof *start);
    CHECK(start != NULL);
    uint64_t epoch = tip->config.kind == BFT_CONFIG_NEXT ? tip->header.place.epoch + 1 : tip->header.place.epoch;
    start->members = world->epochs[epoch];
    start->limits = world->limits;
    uint8_t me = sim_node_index(world, &start->members, index);
    start->me = me < SIM_EXTERNAL ? me : BFT_NOBODY;
    start->now_ms = world->now_us / 1000;
    start->wall_ms = start->now_ms + 1000000 + node->skew_ms % 300;
    start->tip = tip->header;
    start->tip_has_qc = node->applied_has_qc;
    start->tip_qc = node->applied_qc;
    struct bft_header headers[1024];
    size_t count = 0;
    for (uint32_t i = 0; i < 1024 && i < node->stored_count; i++) headers[count++] = node->stored[i]->header;
    if (!node->has_memory) bft_init(&node->core, start);
    else if (!bft_restore(&node->core, start, &node->memory, headers, count)) sim_fail(world, "an honest disk was refused");
    for (uint32_t i = 0; world->config.liars_lead_on && i <= node->core.members.f; i++) node->core.lied[i] = true;
    free(start);
    node->up = true;
    node->stack[0] = node->applied;
    node->stack_count = 1;
    node->tick_us = UINT64_MAX;
    node->view_seen = UINT64_MAX;
    node->applied_height = tip->header.height;
    carry_on(world, index, BFT_EVENT_TICK);
    uint64_t wait = node->first_start ? 0 : sim_random(world, 50000);
    node->first_start = false;
    sim_schedule(world, (struct sim_event){.at_us = world->now_us + wait, .kind = SIM_VOTING, .node = index, .generation = node->generation});
}

static void persist_free(struct sim_world *world, struct sim_persist *persist) {
    for (uint32_t i = 0; i < persist->send_count; i++) sim_message_release(world, persist->sends[i].message);
    free(persist->memory);
    free(persist->sends);
    free(persist);
}

static void make_durable(struct sim_node *node, uint8_t index, const struct sim_persist *persist) {
    if (persist->memory) {
        node->memory = *persist->memory;
        node->has_memory = true;
    }
    for (uint32_t i = 0; i < persist->store_count; i++) {
        persist->stores[i]->stored_by |= (uint16_t)(1u << index);
        node->stored[node->stored_count++ % 1024] = persist->stores[i];
    }
    if (persist->applied) {
        node->applied = persist->applied;
        node->applied_qc = persist->applied_qc;
        node->applied_has_qc = persist->applied_qc.count > 0;
    }
}

/* Power fails: of what was written but not synced a prefix may have reached the disk; no message of it has left. */
void sim_node_crash(struct sim_world *world, uint8_t index) {
    struct sim_node *node = &world->nodes[index];
    world->stats.crashes++;
    bool survives = true;
    while (node->queue) {
        struct sim_persist *persist = node->queue;
        node->queue = persist->next;
        survives = survives && sim_chance(world, 50);
        if (survives) make_durable(node, index, persist);
        else world->stats.unsynced_lost++;
        persist_free(world, persist);
    }
    node->queue_end = NULL;
    node->up = false;
    node->generation++;
    sim_schedule(world, (struct sim_event){.at_us = world->now_us + 10000 + sim_random(world, 800000), .kind = SIM_START, .node = index,
                                           .generation = node->generation});
}

/* ---- persist, then send ---- */

static void deliver_to(struct sim_world *world, uint8_t from, const struct bft_members *members, uint8_t to, struct sim_message *message) {
    for (uint8_t i = 0; i < world->config.nodes; i++) {
        if (i == from || (to != BFT_TO_ALL && node_of(world, members, to) != i)) continue;
        sim_transmit(world, from, i, message);
    }
}

static void release(struct sim_world *world, uint8_t index, struct sim_send *send) {
    struct sim_node *node = &world->nodes[index];
    const struct bft_members *members = &world->epochs[send->epoch];
    struct bft_message *message = &send->message->message;
    if (send->sign) {
        struct signer signer = keyed_signer_of(&node->key);
        bft_message_sign(&signer, message);
        if (!node->liar) sim_check_released(world, index, message);
        if (message->type != BFT_MESSAGE_STATUS && message->type != BFT_MESSAGE_NOOP) sim_transmit(world, index, index, send->message);
    }
    if (node->liar && sim_liar_send(world, index, send->message)) return;
    deliver_to(world, index, members, send->to, send->message);
}

static void persisted(struct sim_world *world, uint8_t index) {
    struct sim_node *node = &world->nodes[index];
    while (node->queue && node->queue->done_us <= world->now_us) {
        struct sim_persist *persist = node->queue;
        node->queue = persist->next;
        if (!node->queue) node->queue_end = NULL;
        make_durable(node, index, persist);
        for (uint32_t i = 0; i < persist->send_count; i++) release(world, index, &persist->sends[i]);
        persist_free(world, persist);
    }
}

static struct sim_persist *persist_of(struct sim_world *world, struct sim_node *node, const struct bft_update *update) {
    struct sim_persist *persist = calloc(1, sizeof *persist);
    CHECK(persist != NULL);
    if (update->memory_changed) {
        persist->memory = malloc(sizeof *persist->memory);
        CHECK(persist->memory != NULL);
        static uint8_t bytes[BFT_MEMORY_BYTES_MAX];
        size_t count = bft_memory_encode(&node->core.memory, bytes);
        if (!bft_memory_decode(bytes, count, persist->memory)) sim_fail(world, "the memory does not decode");
    }
    for (uint32_t i = 0; i < update->send_count; i++) { /* a suffix block is the core's own */
        const struct bft_message *message = &update->sends[i].message;
        if (message->type == BFT_MESSAGE_PROPOSE && !sim_block_find(world, &message->block_id))
            sim_block_register(world, &message->propose.header, empty_body, 4);
    }
    for (uint32_t i = 0; i < update->store_count; i++) {
        struct sim_block *block = sim_block_find(world, &update->store_ids[i]);
        if (!block) sim_fail(world, "store of an unknown block");
        persist->stores[persist->store_count++] = block;
    }
    if (update->send_count > 0) {
        persist->sends = calloc(update->send_count, sizeof *persist->sends);
        CHECK(persist->sends != NULL);
    }
    for (uint32_t i = 0; i < update->send_count; i++) {
        struct sim_send *send = &persist->sends[persist->send_count++];
        send->to = update->sends[i].to;
        send->sign = update->sends[i].sign;
        send->epoch = node->core.members.place.epoch;
        send->message = sim_message_new(world, &update->sends[i].message);
        if (send->message->message.type != BFT_MESSAGE_PROPOSE) continue;
        struct sim_block *block = sim_block_find(world, &send->message->message.block_id);
        CHECK(block != NULL);
        send->message->message.body = block->body;
        send->message->message.body_bytes = block->body_bytes;
    }
    return persist;
}

/* ---- apply ---- */

static void final_keep(struct sim_final *slot, struct sim_block *block, const uint8_t *certificate, size_t count) {
    free(slot->certificate);
    slot->height = block->header.height;
    slot->block = block;
    slot->certificate = malloc(count);
    CHECK(slot->certificate != NULL);
    memcpy(slot->certificate, certificate, count);
    slot->certificate_bytes = count;
}

static void on_final(struct sim_world *world, uint8_t index, const struct bft_action *action, struct sim_persist *persist) {
    struct sim_node *node = &world->nodes[index];
    struct sim_block *block = sim_block_find(world, &action->block_id);
    if (!block || node->stack_count < 2 || node->stack[1] != block) sim_fail(world, "FINAL of a block that is not the next executed one");
    memmove(&node->stack[0], &node->stack[1], (node->stack_count - 1) * sizeof node->stack[0]);
    node->stack_count--;
    size_t count = bft_core_certificate(&node->core, &block->id, world->certificate_room);
    if (count == 0) sim_fail(world, "FINAL without a certificate");
    if (!node->liar) sim_check_final(world, index, block, world->certificate_room, count);
    final_keep(&node->finals[block->header.height % SIM_FINALS], block, world->certificate_room, count);
    if (block->config.kind != BFT_CONFIG_NONE) final_keep(&node->epoch_ends[block->header.place.epoch], block, world->certificate_room, count);
    persist->applied = block;
    struct bytes_cursor cursor = bytes_cursor_of(world->certificate_room, count);
    CHECK(bft_qc_get(&cursor, &persist->applied_qc, NULL));
    if (!bft_hash_equal(&persist->applied_qc.ballot.block_id, &block->id)) persist->applied_qc.count = 0;
    node->applied_height = block->header.height;
    node->waiting_dirty = true;
}

static void on_execute(struct sim_world *world, uint8_t index, const struct bft_action *action) {
    struct sim_node *node = &world->nodes[index];
    struct sim_block *block = sim_block_find(world, &action->block_id);
    if (!block || !(block->held_by >> index & 1)) sim_fail(world, "EXECUTE of a block that is not held");
    uint32_t at = node->stack_count;
    while (at > 0 && !bft_hash_equal(&node->stack[at - 1]->id, &block->header.parent_id)) at--;
    if (at == 0) sim_fail(world, "EXECUTE on a parent that is not executed");
    node->stack_count = at;
    sim_schedule(world, (struct sim_event){.at_us = world->now_us + sim_random(world, 500), .kind = SIM_EXECUTED, .node = index,
                                           .generation = node->generation, .block = block});
}

static void on_fetch(struct sim_world *world, uint8_t index, const struct bft_action *action) {
    struct sim_message *message = sim_message_new(world, NULL);
    message->message.type = BFT_MESSAGE_FETCH;
    message->message.fetch = action->fetch;
    uint8_t to = node_of(world, &world->nodes[index].core.members, action->peer);
    if (to != index) sim_transmit(world, index, to, message);
    sim_message_release(world, message);
}

static void send_block(struct sim_world *world, uint8_t from, uint8_t to, struct sim_block *block, const struct sim_final *final) {
    struct sim_message *message = sim_message_new(world, NULL);
    struct bft_message *out = &message->message;
    memset(out, 0, sizeof *out);
    out->type = BFT_MESSAGE_BLOCK;
    out->block.header = block->header;
    out->block_id = block->id;
    out->body = block->body;
    out->body_bytes = block->body_bytes;
    if (final) {
        message->certificate = malloc(final->certificate_bytes);
        CHECK(message->certificate != NULL);
        memcpy(message->certificate, final->certificate, final->certificate_bytes);
        struct bytes_cursor cursor = bytes_cursor_of(message->certificate, final->certificate_bytes);
        out->block.has_certificate = true;
        CHECK(bft_certificate_get(&cursor, &out->block.certificate, NULL));
    }
    sim_transmit(world, from, to, message);
    sim_message_release(world, message);
}

static void serve_fetch(struct sim_world *world, uint8_t index, uint8_t to, const struct bft_fetch *fetch) {
    struct sim_node *node = &world->nodes[index];
    if (fetch->kind == BFT_FETCH_ID) {
        struct sim_block *block = sim_block_find(world, &fetch->id);
        if (block && ((block->held_by | block->stored_by) >> index & 1)) send_block(world, index, to, block, NULL);
        return;
    }
    for (uint64_t height = fetch->height_first; height < fetch->height_first + fetch->height_count; height++) {
        const struct sim_final *final = &node->finals[height % SIM_FINALS];
        if (final->height == height) send_block(world, index, to, final->block, final);
    }
}

static void apply(struct sim_world *world, uint8_t index, const struct bft_action *action, struct sim_persist *persist) {
    struct sim_node *node = &world->nodes[index];
    switch (action->type) {
    case BFT_DO_HOLD: {
        struct sim_block *block = sim_block_find(world, &action->block_id);
        if (!block) sim_fail(world, "HOLD of an unknown block");
        block->held_by |= (uint16_t)(1u << index);
        sim_schedule(world, (struct sim_event){.at_us = world->now_us + sim_random(world, 1000), .kind = SIM_HELD, .node = index,
                                               .generation = node->generation, .block = block});
        break;
    }
    case BFT_DO_EXECUTE:
        on_execute(world, index, action);
        break;
    case BFT_DO_FINAL:
        on_final(world, index, action, persist);
        break;
    case BFT_DO_DROP:
        break;
    case BFT_DO_FETCH:
        on_fetch(world, index, action);
        break;
    case BFT_DO_SERVE_EPOCH: {
        const struct sim_final *end = action->epoch < SIM_EPOCHS_MAX ? &node->epoch_ends[action->epoch] : NULL;
        if (end && end->height != 0) send_block(world, index, node_of(world, &node->core.members, action->peer), end->block, end);
        break;
    }
    case BFT_DO_EPOCH: {
        struct bft_members *known = &world->epochs[action->epoch];
        if (known->n != 0 && memcmp(known->keys, node->core.members.keys, sizeof known->keys) != 0) sim_fail(world, "epochs differ");
        *known = node->core.members;
        world->stats.config_blocks++;
        node->stack_count = 1;
        sim_schedule(world, (struct sim_event){.at_us = world->now_us + 1000, .kind = SIM_VOTING, .node = index, .generation = node->generation});
        break;
    }
    }
}

/* ---- the role: proposing, waiting inputs ---- */

void sim_node_body(struct sim_world *world, uint64_t demand, uint64_t epoch, uint8_t body[SIM_BODY_MAX], uint32_t *body_bytes) {
    memset(body, 0, SIM_BODY_MAX);
    *body_bytes = 4;
    if (world->config.configs && epoch + 2 < SIM_EPOCHS_MAX && sim_random(world, 60) == 0) {
        uint32_t n = world->epochs[0].n;
        uint8_t members[SIM_NODES_MAX];
        for (uint8_t i = 0; i < world->config.nodes; i++) members[i] = i;
        for (uint32_t i = world->config.nodes - 1; i > 0; i--) { /* shuffle, then liars first, so that none is lost and none is added */
            uint32_t j = (uint32_t)sim_random(world, i + 1);
            uint8_t swap = members[i];
            members[i] = members[j];
            members[j] = swap;
        }
        for (uint32_t i = 0, front = 0; i < world->config.nodes; i++) {
            if (!world->nodes[members[i]].liar) continue;
            uint8_t swap = members[front];
            members[front++] = members[i];
            members[i] = swap;
        }
        body[0] = 'C';
        body[1] = (uint8_t)n;
        memcpy(body + 2, members, n);
        *body_bytes = 32;
    } else if (demand > 0) {
        body[0] = 'I';
        body[1] = (uint8_t)(demand < 8 ? demand : 8);
        uint64_t salt = sim_random(world, 0);
        memcpy(body + 8, &salt, 8);
        *body_bytes = 16;
    }
}

void sim_node_header(struct sim_world *world, const struct sim_block *parent, const struct bft_place *place, uint64_t view, uint64_t time,
                     const uint8_t *body, uint32_t body_bytes, struct bft_header *header) {
    (void)world;
    memset(header, 0, sizeof *header);
    header->place = *place;
    header->view = view;
    header->height = parent->header.height + 1;
    header->parent_id = parent->id;
    header->body_hash = bft_body_hash(body, body_bytes);
    header->state_root = parent->root_after;
    header->cursors_hash = (struct bft_hash){{1}};
    header->time = time;
}

static void try_propose(struct sim_world *world, uint8_t index, const struct bft_offer *offer) {
    struct sim_node *node = &world->nodes[index];
    struct sim_block *tip = node->stack[node->stack_count - 1];
    uint64_t demand = world->inputs > tip->consumed_after ? world->inputs - tip->consumed_after : 0;
    if (!offer->at_once && demand == 0) return;
    if (!bft_hash_equal(&tip->id, &offer->parent_id)) { /* a block above was undone by the core: undo here as well */
        while (node->stack_count > 0 && !bft_hash_equal(&node->stack[node->stack_count - 1]->id, &offer->parent_id)) node->stack_count--;
        if (node->stack_count == 0) sim_fail(world, "an offer on a parent that is not executed");
        tip = node->stack[node->stack_count - 1];
    }
    uint8_t body[SIM_BODY_MAX] = {0};
    uint32_t body_bytes = 4;
    if (!offer->empty_only) sim_node_body(world, demand, node->core.members.place.epoch, body, &body_bytes);
    struct bft_header header;
    sim_node_header(world, tip, &node->core.members.place, offer->view, offer->time, body, body_bytes, &header);
    /* outbox_root follows from the body alone here: computed on a throw-away twin, then named in the header. */
    struct sim_block twin = {.header = header, .body_bytes = body_bytes};
    memcpy(twin.body, body, sizeof body);
    sim_block_compute(world, &twin);
    header.outbox_root = twin.outbox_root;
    struct sim_block *block = sim_block_register(world, &header, body, body_bytes);
    sim_block_compute(world, block);
    block->held_by |= (uint16_t)(1u << index);
    node->stack[node->stack_count++] = block;
    CHECK(node->stack_count < SIM_STACK_MAX);
    struct bft_event event = {.type = BFT_EVENT_PROPOSAL, .now_ms = world->now_us / 1000};
    event.proposal = (struct bft_proposal){.view = offer->view, .parent_id = offer->parent_id, .time = offer->time, .body_hash = header.body_hash,
                                           .outbox_root = header.outbox_root, .state_root = header.state_root,
                                           .cursors_hash = header.cursors_hash, .weight = weight_of(block), .config = block->config};
    event.proposal.config.me = sim_node_index(world, &node->core.members, index);
    if (block->config.kind != BFT_CONFIG_NONE) {
        struct bft_members next = {.n = block->config.n};
        memcpy(next.keys, block->config.keys, sizeof next.keys);
        uint8_t me = sim_node_index(world, &next, index);
        event.proposal.config.me = me < SIM_EXTERNAL ? me : BFT_NOBODY;
    }
    step(world, index, &event);
}

void sim_node_wait(struct sim_world *world, uint8_t index) {
    struct sim_node *node = &world->nodes[index];
    node->waiting_dirty = false;
    const struct sim_block *final = node->stack[0];
    struct bft_event event = {.type = BFT_EVENT_WAITING, .now_ms = world->now_us / 1000};
    uint64_t waiting = world->inputs > final->consumed_after ? world->inputs - final->consumed_after : 0;
    event.waiting.view = bft_core_view(&node->core);
    event.waiting.count = (uint32_t)waiting;
    event.waiting.weight = waiting;
    event.waiting.oldest_relayed_ms = world->input_ms[final->consumed_after % 65536];
    event.waiting.arrived_ms = event.waiting.oldest_relayed_ms;
    if (event.waiting.oldest_relayed_ms < node->view_ms) event.waiting.oldest_relayed_ms = node->view_ms;
    step(world, index, &event);
}

/* ---- the step ---- */

static void notes(struct sim_world *world, uint8_t index, const struct bft_update *update) {
    const struct sim_node *node = &world->nodes[index];
    for (uint32_t i = 0; i < update->note_count; i++) {
        const struct bft_note *note = &update->notes[i];
        sim_trace(world, (uint64_t)note->type << 32 | (uint64_t)note->member << 8 | index);
        if (world->config.verbose)
            printf("%llu.%06llu node %u note %d member %u detail %u epoch %llu view %llu final %llu\n", (unsigned long long)(world->now_us / 1000000),
                   (unsigned long long)(world->now_us % 1000000), index, note->type, note->member, note->detail, (unsigned long long)note->epoch,
                   (unsigned long long)note->view, (unsigned long long)(note->height & 0xFFFFFFFF));
        if (node->liar) continue;
        if (note->type == BFT_NOTE_FORK || note->type == BFT_NOTE_DIVERGED) sim_fail(world, note->type == BFT_NOTE_FORK ? "fork seen" : "diverged");
        if (note->type == BFT_NOTE_VIEW) world->stats.views++;
        if (note->type == BFT_NOTE_TIMEOUT) world->stats.timeouts++;
        if (note->type == BFT_NOTE_EQUIVOCATION) world->stats.equivocations++;
        if (note->type == BFT_NOTE_TIMEOUT) {
            uint8_t leader = node_of(world, &node->core.members, note->member);
            bool planned = note->detail == BFT_TIMEOUT_ROTATION || note->detail == BFT_TIMEOUT_ALONE || note->detail == BFT_TIMEOUT_LEADER;
            if (!world->nodes[leader].liar && !planned) world->stats.honest_deposed++;
            if (!world->nodes[leader].liar && note->detail == BFT_TIMEOUT_LIED) sim_fail(world, "an honest leader is held for a liar");
        }
    }
}

/* A sync takes a millisecond or so; now and then the disk stalls. */
static uint64_t sync_us(struct sim_world *world) {
    uint64_t us = 200 + sim_random(world, 1500);
    if (!world->config.calm && !world->healed && sim_chance(world, 2)) us += sim_random(world, 200000);
    return us;
}

static void step(struct sim_world *world, uint8_t index, const struct bft_event *event) {
    struct sim_node *node = &world->nodes[index];
    struct bft_update *update = &world->update;
    bft_step(&node->core, event, update);
    notes(world, index, update);
    struct sim_persist *persist = persist_of(world, node, update);
    for (uint32_t i = 0; i < update->action_count; i++) apply(world, index, &update->actions[i], persist);
    bool durable = persist->memory || persist->store_count > 0 || persist->applied;
    if (!durable && persist->send_count == 0) {
        persist_free(world, persist);
    } else {
        uint64_t last = node->queue_end ? node->queue_end->done_us : world->now_us;
        persist->done_us = (last > world->now_us ? last : world->now_us) + (durable ? sync_us(world) : 0);
        if (node->queue_end) node->queue_end->next = persist;
        else node->queue = persist;
        node->queue_end = persist;
        sim_schedule(world, (struct sim_event){.at_us = persist->done_us, .kind = SIM_PERSISTED, .node = index, .generation = node->generation});
    }
    uint64_t tick_us = update->deadline_ms * 1000;
    if (tick_us != node->tick_us) {
        node->tick_us = tick_us;
        sim_schedule(world, (struct sim_event){.at_us = tick_us, .kind = SIM_TICK, .node = index, .generation = node->generation});
    }
    struct bft_offer offer = update->offer;
    if (offer.view != node->view_seen || node->core.members.place.epoch != node->epoch_seen) {
        node->view_seen = offer.view;
        node->epoch_seen = node->core.members.place.epoch;
        node->view_ms = world->now_us / 1000;
        node->waiting_dirty = true;
    }
    if (node->waiting_dirty) {
        sim_node_wait(world, index);
        return;
    }
    if (offer.may_propose && !(node->liar && sim_liar_proposes(world, index, &offer))) try_propose(world, index, &offer);
}

static void on_deliver(struct sim_world *world, const struct sim_event *event) {
    struct sim_node *node = &world->nodes[event->node];
    const struct bft_message *message = &event->message->message;
    uint8_t from = event->from == event->node ? node->core.me : sim_node_index(world, &node->core.members, event->from);
    world->stats.delivered++;
    if (message->type == BFT_MESSAGE_FETCH) {
        serve_fetch(world, event->node, event->from, &message->fetch);
        return;
    }
    if (node->liar && event->from != event->node) sim_liar_hears(world, event->node, message);
    if (event->from != event->node) {
        if (!bft_core_wants(&node->core, message, from)) return;
        bool verify = world->config.verify_every <= 1 || world->nodes[event->from].liar || world->stats.events % world->config.verify_every == 0;
        if (verify && bft_core_verify(&node->core, &world->verifier, message) != BFT_VERIFY_OK) {
            world->stats.refused++;
            if (!world->nodes[event->from].liar && message->type != BFT_MESSAGE_BLOCK && message->type != BFT_MESSAGE_NOOP)
                sim_fail(world, "an honest message does not verify");
            return;
        }
        if (!verify && message->type == BFT_MESSAGE_BLOCK && bft_core_verify(&node->core, &world->verifier, message) != BFT_VERIFY_OK) return;
    }
    struct bft_event in = {.type = BFT_EVENT_MESSAGE, .now_ms = world->now_us / 1000, .from = from, .message = message};
    step(world, event->node, &in);
}

void sim_node_event(struct sim_world *world, const struct sim_event *event) {
    struct sim_node *node = &world->nodes[event->node];
    if (event->kind == SIM_START) {
        if (!node->up && event->generation == node->generation) {
            world->stats.restarts++;
            sim_node_start(world, event->node);
        }
        return;
    }
    if (event->generation != node->generation || !node->up) return;
    struct bft_event in = {.now_ms = world->now_us / 1000};
    switch (event->kind) {
    case SIM_DELIVER:
        on_deliver(world, event);
        break;
    case SIM_TICK:
        if (event->at_us != node->tick_us) return;
        node->tick_us = 0;
        carry_on(world, event->node, BFT_EVENT_TICK);
        break;
    case SIM_PERSISTED:
        persisted(world, event->node);
        break;
    case SIM_HELD:
        in.type = BFT_EVENT_INPUTS_HELD;
        in.block_id = event->block->id;
        step(world, event->node, &in);
        break;
    case SIM_EXECUTED: {
        struct sim_block *block = event->block;
        struct sim_block *parent = sim_block_find(world, &block->header.parent_id);
        sim_block_compute(world, block);
        in.type = BFT_EVENT_EXECUTED;
        in.executed = (struct bft_executed){.block_id = block->id, .valid = block->valid, .outbox_root = block->outbox_root,
                                            .state_root = parent->root_after, .weight = weight_of(block), .config = block->config};
        struct bft_members next = {.n = block->config.n};
        memcpy(next.keys, block->config.keys, sizeof next.keys);
        uint8_t me = sim_node_index(world, &next, event->node);
        in.executed.config.me = me < SIM_EXTERNAL ? me : BFT_NOBODY;
        if (block->valid && node->stack[node->stack_count - 1]->header.height + 1 == block->header.height) node->stack[node->stack_count++] = block;
        CHECK(node->stack_count < SIM_STACK_MAX);
        step(world, event->node, &in);
        break;
    }
    case SIM_VOTING:
        carry_on(world, event->node, BFT_EVENT_VOTING);
        break;
    default:
        CHECK(false && "an event of a node");
    }
}
