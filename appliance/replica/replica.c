#include "appliance/replica/replica.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_members.h"
#include "appliance/base/pool.h"
#include "appliance/replica/replica_private.h"

/* ---- create ---- */

static bool members_of(const struct replica *r, uint32_t cluster, struct bft_members *members) {
    struct config *config = malloc(sizeof *config);
    if (config == NULL || !system_config(r->system, cluster, config)) {
        free(config);
        return false;
    }
    struct bft_place place = {.cluster = cluster, .epoch = config->members.serial};
    memcpy(place.system_id, r->system->system_id, sizeof place.system_id);
    config_hash(config, place.config_hash.bytes);
    uint8_t keys[BFT_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES];
    for (uint32_t i = 0; i < config->members.count; i++) memcpy(keys[i], config->members.members[i].signing_key, sizeof keys[i]);
    struct bft_point start = {.height = system_genesis_height(r->system)};
    if (cluster == r->cluster) start = (struct bft_point){.height = r->genesis.height, .id = bft_header_id(&r->genesis)};
    bool good = bft_members_init(members, &place, &start, config->members.count, keys);
    free(config);
    return good;
}

static bool tables_init(struct replica *r) {
    r->core = calloc(1, sizeof *r->core);
    r->update = calloc(1, sizeof *r->update);
    r->events = calloc(EVENTS_MAX, sizeof *r->events);
    r->scratch = malloc(BFT_WIRE_HEAD_BYTES_MAX);
    r->message = malloc(sizeof *r->message);
    r->blocks = calloc(BLOCKS_MAX, sizeof *r->blocks);
    r->inputs = calloc(INPUTS_MAX, sizeof *r->inputs);
    r->input_buckets = malloc(INPUT_BUCKETS * sizeof *r->input_buckets);
    r->selected = malloc((size_t)r->config.limits.block_refs_max * sizeof *r->selected);
    if (!r->core || !r->update || !r->events || !r->scratch || !r->message || !r->blocks || !r->inputs || !r->input_buckets || !r->selected)
        return false;
    memset(r->input_buckets, 0xFF, INPUT_BUCKETS * sizeof *r->input_buckets);
    memset(r->block_buckets, 0xFF, sizeof r->block_buckets);
    memset(r->final_at, 0xFF, sizeof r->final_at);
    r->block_free = r->input_free = r->final_first = r->final_last = r->publish_next = r->done_oldest = NONE;
    r->done = (struct list){.first = NONE, .last = NONE};
    for (uint32_t i = 0; i < PLACES; i++) r->waiting[i] = r->done;
    return true;
}

static bool pairs_init(struct replica *r) {
    uint32_t first = r->is_coordinator ? CONFIG_CLUSTER_SHARD : CONFIG_CLUSTER_COORDINATOR;
    r->pair_count = r->is_coordinator ? r->system->shards_count : r->system->coordinators_count;
    if (r->pair_count > EXECUTION_PAIRS_MAX) return false;
    r->pairs = calloc(r->pair_count, sizeof *r->pairs);
    if (r->pairs == NULL) return false;
    if (r->is_coordinator) {
        r->longs.room = slice_longs_max(r->system->limits.slice_bytes_max); /* no CONFIG changes it (D-32) */
        r->longs.list = malloc(r->longs.room * sizeof *r->longs.list);
        if (r->longs.list == NULL) return false;
    }
    for (uint32_t i = 0; i < r->pair_count; i++) {
        r->pairs[i].cluster = first + i;
        if (!members_of(r, first + i, &r->pairs[i].members) || !pair_epochs_init(r, &r->pairs[i])) return false;
    }
    source_init(r);
    return true;
}

struct replica *replica_create(const struct replica_config *config) {
    struct replica *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->system = config->system;
    r->hooks = config->hooks;
    r->meter = config->meter;
    r->signer = config->signer;
    r->cluster = config->cluster;
    r->me = config->member < BFT_MEMBERS_MAX ? (uint8_t)config->member : NOBODY;
    memcpy(r->signing_key, config->signing_key, sizeof r->signing_key);
    memcpy(r->noise_key, config->noise_key, sizeof r->noise_key);
    r->is_coordinator = config_cluster_is_coordinator(config->cluster);
    r->scrub.records_s = config->scrub_records_s;
    r->ahead_bytes = config->ahead_bytes > 0 ? config->ahead_bytes : AHEAD_BYTES;
    r->scrub.up_to_ms = config->now_ms;
    r->scrub.leaves = UINT64_MAX; /* not known yet */
    r->now_ms = config->now_ms;
    r->wall_ms = config->wall_ms;
    r->genesis_height = system_genesis_height(config->system);
    r->sequence_next = 1;
    r->next_ticket = 1;
    memcpy(r->start_nonce, config->nonce, sizeof r->start_nonce);
    r->noop_nonce = rollback_noop_first(config->wall_ms, config->nonce);
    CHECK(system_config(config->system, config->cluster, &r->config));
    struct bft_hash hash, root, cursors = {{0}};
    config_hash(&r->config, hash.bytes);
    memcpy(root.bytes, config->genesis_root, 32);
    bft_genesis_header(&r->genesis, config->system->system_id, &hash, config->cluster, r->genesis_height, &root, &cursors);
    r->tip_id = bft_header_id(&r->genesis);
    r->tip_height = r->executed_height = r->checkpoint_height = r->checkpoint_before = r->pruned_height = r->genesis_height;
    bool members = members_of(r, r->cluster, &r->members) && epoch_init(r);
    CHECK(!members || r->me == NOBODY || memcmp(r->members.keys[r->me], r->signing_key, sizeof r->signing_key) == 0);
    if (!members || !tables_init(r) || !pairs_init(r) || !client_init(r) || !last_init(r, config->nonce)) {
        replica_destroy(r);
        return NULL;
    }
    return r;
}

void replica_genesis_key(uint8_t key[WAL_KEY_BYTES_MAX]) {
    (void)wal_key_misc(key, "genesis");
}

void replica_destroy(struct replica *r) {
    if (r == NULL) return;
    persist_free_all(r);
    for (uint32_t i = 0; i < r->output_count; i++) {
        struct replica_output *output = &r->outputs[(r->output_first + i) % r->output_room];
        for (unsigned piece = 0; piece < output->piece_count; piece++) blob_drop(output->pieces[piece].blob);
        if (output->kind == REPLICA_JOB) job_give(r, output->job);
    }
    for (unsigned i = 0; i < r->given_count; i++) blob_drop(r->given[i].blob);
    for (uint32_t i = 0; r->blocks != NULL && i < BLOCKS_MAX; i++) {
        if (r->blocks[i].used) block_free(r, i);
    }
    for (uint32_t i = 0; r->inputs != NULL && i < r->inputs_used_max; i++) blob_drop(r->inputs[i].blob);
    for (uint32_t i = 0; i < r->event_count; i++) pool_give(r->events[(r->event_first + i) % EVENTS_MAX].message);
    for (uint32_t i = 0; i < r->pair_count && r->pairs != NULL; i++) {
        struct pair *pair = &r->pairs[i];
        for (uint64_t dseq = pair->items_first; dseq < pair->items_end; dseq++) {
            blob_drop(pair->items[dseq % pair->items_room].head);
            blob_drop(pair->items[dseq % pair->items_room].slice);
        }
        free(pair->items);
        rollback_free(pair);
    }
    for (uint32_t i = 0; i < PLACES; i++) blob_drop(r->peer_status_bytes[i]);
    while (r->jobs_free != NULL) {
        struct execution_job *next = r->jobs_free->next;
        free(r->jobs_free->refs);
        free(r->jobs_free);
        r->jobs_free = next;
    }
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) blob_drop(r->announced[i].bytes);
    blob_drop(r->proposing_body);
    free(r->proposing_config);
    epoch_free(r);
    last_free(r);
    restore_free(r);
    free(r->outputs);
    free(r->orphans);
    free(r->pairs);
    client_free(r);
    early_free(r);
    blob_drop(r->successor);
    free(r->core);
    free(r->update);
    free(r->events);
    free(r->scratch);
    free(r->longs.list);
    free(r->message);
    free(r->blocks);
    free(r->inputs);
    free(r->input_buckets);
    free(r->selected);
    free(r);
}

/* ---- outputs ---- */

struct replica_output *output_add(struct replica *r, enum replica_output_kind kind) {
    if (r->output_count == r->output_room) {
        uint32_t room = r->output_room == 0 ? 256 : r->output_room * 2;
        struct replica_output *grown = malloc(room * sizeof *grown);
        CHECK(grown != NULL);
        for (uint32_t i = 0; i < r->output_count; i++) grown[i] = r->outputs[(r->output_first + i) % r->output_room];
        free(r->outputs);
        r->outputs = grown;
        r->output_first = 0;
        r->output_room = room;
    }
    struct replica_output *output = &r->outputs[(r->output_first + r->output_count++) % r->output_room];
    output->kind = kind;
    output->piece_count = 0;
    return output;
}

static bool peer_is_up(const struct replica *r, struct replica_peer peer) {
    switch (peer.kind) {
    case REPLICA_MEMBER: return peer.member < BFT_MEMBERS_MAX && r->member_up[peer.member];
    case REPLICA_CLIENT: return peer.index < r->client_count && r->clients[peer.index].up;
    case REPLICA_OBSERVER: return peer.index < OBSERVERS_MAX && r->observers[peer.index].up;
    case REPLICA_FOREIGN:
        for (uint32_t i = 0; i < r->pair_count; i++) {
            if (r->pairs[i].cluster == peer.index) return peer.member < BFT_MEMBERS_MAX && r->pairs[i].up[peer.member];
        }
        return false;
    default: return false;
    }
}

void output_send(struct replica *r, struct replica_peer to, uint16_t type, const struct blob_piece *pieces, unsigned count) {
    CHECK(count <= REPLICA_PIECES_MAX);
    if (!peer_is_up(r, to)) {
        drop_count(r, DROP_SEND_LINK);
        return;
    }
    struct blob_piece changed[REPLICA_PIECES_MAX];
    memcpy(changed, pieces, count * sizeof *pieces);
    if (r->hooks != NULL && r->hooks->send != NULL && !r->hooks->send(r->hooks->context, to, type, changed, &count)) return;
    struct replica_output *output = output_add(r, REPLICA_SEND);
    output->peer = to;
    output->type = type;
    output->piece_count = count;
    for (unsigned i = 0; i < count; i++) {
        output->pieces[i] = changed[i];
        (void)blob_hold(changed[i].blob);
    }
}

void output_send_blob(struct replica *r, struct replica_peer to, uint16_t type, struct blob *blob) {
    struct blob_piece piece = {.blob = blob, .count = blob->count};
    output_send(r, to, type, &piece, 1);
    blob_drop(blob);
}

bool replica_next(struct replica *r, struct replica_output *output) {
    for (unsigned i = 0; i < r->given_count; i++) blob_drop(r->given[i].blob);
    r->given_count = 0;
    if (r->output_count == 0) return false;
    struct replica_output *from = &r->outputs[r->output_first];
    r->output_first = (r->output_first + 1) % r->output_room;
    r->output_count--;
    memcpy(output, from, offsetof(struct replica_output, pieces) + from->piece_count * sizeof from->pieces[0]);
    r->given_count = from->piece_count;
    memcpy(r->given, from->pieces, r->given_count * sizeof r->given[0]);
    return true;
}

void replica_note(struct replica *r, enum log_level level, const char *event, const char *format, ...) {
    struct replica_output *output = output_add(r, REPLICA_NOTE);
    output->level = (uint8_t)level;
    output->event = event;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(output->text, sizeof output->text, format, arguments);
    va_end(arguments);
}

void replica_again(struct replica *r, const char *format, ...) {
    if (r->stopping) return;
    r->stopping = true;
    struct replica_output *output = output_add(r, REPLICA_STOP);
    output->again = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(output->text, sizeof output->text, format, arguments);
    va_end(arguments);
}

void replica_stop(struct replica *r, const char *format, ...) {
    if (r->stopping) return;
    r->stopping = true;
    struct replica_output *output = output_add(r, REPLICA_STOP);
    output->again = false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(output->text, sizeof output->text, format, arguments);
    va_end(arguments);
}

/* ---- counting ---- */

void drop_count(struct replica *r, enum status_drop drop) {
    r->status.drops[drop]++;
}

struct replica_peer peer_member(uint32_t member) {
    return (struct replica_peer){.kind = REPLICA_MEMBER, .member = (uint8_t)member};
}

struct replica_peer peer_observer(uint32_t index) {
    return (struct replica_peer){.kind = REPLICA_OBSERVER, .index = index};
}

const char *peer_name(struct replica_peer peer, char out[STATUS_NAME_BYTES]) {
    switch (peer.kind) {
    case REPLICA_MEMBER: snprintf(out, STATUS_NAME_BYTES, "member %u", peer.member); break;
    case REPLICA_FOREIGN: snprintf(out, STATUS_NAME_BYTES, "%c%u-n%u", peer.index >> 16 == 1 ? 'c' : 's', peer.index & 0xFFFF, peer.member); break;
    case REPLICA_CLIENT: snprintf(out, STATUS_NAME_BYTES, "client %u", peer.index); break;
    default: snprintf(out, STATUS_NAME_BYTES, "observer %u", peer.index); break;
    }
    return out;
}

void attack_seen(struct replica *r, enum status_attack attack, struct replica_peer by) {
    char name[STATUS_NAME_BYTES];
    peer_name(by, name);
    r->status.attacks[attack]++;
    replica_note(r, LOG_LEVEL_WARN, "attack_seen", "attack=%s peer=\"%s\"", status_attack_name(attack), name);
    for (uint32_t i = 0; i < r->status.attacker_count; i++) {
        struct status_attacker *known = &r->status.attackers[i];
        if (known->attack == attack && strcmp(known->peer, name) == 0) {
            known->count++;
            return;
        }
    }
    if (r->status.attacker_count == STATUS_ATTACKERS_MAX) return;
    struct status_attacker *fresh = &r->status.attackers[r->status.attacker_count++];
    fresh->attack = attack;
    fresh->count = 1;
    memcpy(fresh->peer, name, sizeof fresh->peer);
}

bool question_allowed(struct replica *r, struct question_rate *rate) {
    if (r->now_ms - rate->window_ms >= 1000) *rate = (struct question_rate){.window_ms = r->now_ms};
    if (rate->count++ < QUERIES_PER_SECOND) return true;
    drop_count(r, DROP_RATE);
    return false;
}

/* ---- links and frames ---- */

void replica_link_up(struct replica *r, struct replica_peer peer) {
    if (peer.kind == REPLICA_MEMBER && peer.member < BFT_MEMBERS_MAX) { /* of the links' epoch, which may have more than the current one */
        r->member_up[peer.member] = true;
        waiting_link_up(r, peer.member);
    }
    if (peer.kind == REPLICA_FOREIGN) source_link(r, peer, true);
    if (peer.kind == REPLICA_OBSERVER && peer.index < OBSERVERS_MAX) r->observers[peer.index].up = r->observers[peer.index].used;
    bool client = peer.kind == REPLICA_CLIENT && peer.index < r->client_count;
    if (client && !r->clients[peer.index].up && !r->clients[peer.index].revoked) {
        r->clients[peer.index].up = true;
        r->clients_up++;
    }
}

void replica_link_down(struct replica *r, struct replica_peer peer) {
    if (peer.kind == REPLICA_MEMBER && peer.member < BFT_MEMBERS_MAX) {
        r->member_up[peer.member] = false;
        r->peer_heard_ms[peer.member] = 0;
    }
    if (peer.kind == REPLICA_FOREIGN) source_link(r, peer, false);
    if (peer.kind == REPLICA_OBSERVER && peer.index < OBSERVERS_MAX) r->observers[peer.index].up = false;
    if (peer.kind == REPLICA_CLIENT && peer.index < r->client_count && r->clients[peer.index].up) {
        r->clients[peer.index].up = false;
        r->clients_up--;
    }
}

/* Members of my cluster. */
static void member_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    if (type >= BFT_MESSAGE_PROPOSE && type <= BFT_MESSAGE_NOOP) {
        consensus_frame(r, from, type, payload);
        return;
    }
    switch (type) {
    case MESSAGE_LAST_SIGNED_QUERY: last_query_frame(r, from, payload); break;
    case MESSAGE_LAST_SIGNED_ANSWER: last_answer_frame(r, from, payload); break;
    case MESSAGE_INPUT: input_frame(r, from, payload); break;
    case MESSAGE_INPUT_FETCH: input_fetch_frame(r, from, payload); break;
    case MESSAGE_CONFIG_QUERY: epoch_query_frame(r, from, payload); break;
    case MESSAGE_CONFIG_CHAIN: /* its own cluster's, or one of which members tell each other (S-103) */
        if (payload.count >= 4 && bytes_get_le32(blob_piece_bytes(&payload)) == r->cluster) later_chain_frame(r, from, payload);
        else epoch_chain_frame(r, from, payload);
        break;
    case MESSAGE_CHECKPOINT_QUERY:
    case MESSAGE_CHECKPOINT:
    case MESSAGE_PIECE_QUERY:
    case MESSAGE_PIECE: recovery_member_frame(r, from, type, payload); break;
    default: drop_count(r, DROP_ROLE); break;
    }
}

void replica_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    if (r->stopping || !r->started) return;
    if (r->hooks != NULL && r->hooks->frame != NULL && !r->hooks->frame(r->hooks->context, from, type, payload)) return;
    if (from.kind == REPLICA_MEMBER) {
        member_frame(r, from, type, payload);
    } else if (from.kind == REPLICA_FOREIGN) {
        switch (type) {
        case MESSAGE_SUBSCRIBE: queue_subscribe_frame(r, from, payload); break;
        case MESSAGE_COMPACT_DECISION: source_decision_frame(r, from, payload); break;
        case MESSAGE_NEWEST_QUERY: queue_newest_query_frame(r, from, payload); break;
        case MESSAGE_NEWEST: source_newest_frame(r, from, payload); break;
        case MESSAGE_CONFIG_QUERY: epoch_query_frame(r, from, payload); break;
        case MESSAGE_CONFIG_CHAIN: epoch_chain_frame(r, from, payload); break;
        default: drop_count(r, DROP_ROLE); break;
        }
    } else if (from.kind == REPLICA_CLIENT) {
        switch (type) {
        case MESSAGE_BATCH: client_batch_frame(r, from, payload); break;
        case MESSAGE_STATUS_QUERY: client_status_query_frame(r, from, payload); break;
        case MESSAGE_CONFIG_QUERY: epoch_query_frame(r, from, payload); break;
        case MESSAGE_ADMIN:
        case MESSAGE_ANNOUNCE: admin_frame(r, from, type, payload); break;
        case MESSAGE_CHECKPOINT_QUERY:
        case MESSAGE_PIECE_QUERY: recovery_client_frame(r, from, type, payload); break;
        default: drop_count(r, DROP_ROLE); break;
        }
    } else {
        observer_frame(r, from, type, payload);
    }
    replica_run(r);
}

void replica_job_done(struct replica *r, struct execution_job *job) {
    r->jobs_out--;
    switch (job->kind) {
    case EXECUTION_BLOCK:
        if (r->hooks != NULL && r->hooks->result != NULL) r->hooks->result(r->hooks->context, job);
        if (r->replaying)
            restore_executed(r, job);
        else if (job == r->proposing)
            propose_executed(r, job);
        else
            block_executed(r, job);
        break;
    case EXECUTION_FINAL: block_finalized(r, job); break;
    case EXECUTION_SCRUB: scrub_done(r, job); break;
    default: job_give(r, job); break;
    }
    replica_run(r);
}

void replica_checkpointed(struct replica *r, uint64_t height) {
    if (height <= r->checkpoint_height) return;
    if (r->checkpoint_begun_us > 0) histogram_between(&r->status.checkpoint_us, r->checkpoint_begun_us, r->now_us);
    r->checkpoint_begun_us = 0;
    r->checkpoint_before = r->checkpoint_height;
    r->checkpoint_height = height;
    replica_note(r, LOG_LEVEL_INFO, "checkpoint", "height=%llu", (unsigned long long)height);
}

void replica_send_dropped(struct replica *r, bool full) {
    drop_count(r, full ? DROP_SEND_QUEUE : DROP_SEND_LINK);
}

/* While the disk is behind, and until what was missed is caught up with, nobody else is late: slices that the cluster consumed long ago do not come
 * again. */
static bool own_trouble(struct replica *r) {
    if (r->behind) r->stall_end_ms = r->now_ms;
    bool recovering = r->stall_end_ms != 0 && r->now_ms - r->stall_end_ms < CATCH_UP_PATIENCE_MS && !replica_is_ready(r);
    if (!r->behind && !recovering && !recovery_may_be_behind(r)) return false;
    r->patient_ms = r->now_ms;
    for (uint32_t i = 0; i < r->pair_count; i++) {
        r->pairs[i].heard_ms = r->now_ms;
        r->pairs[i].passed_dseq = 0;
    }
    return true;
}

void replica_clock(struct replica *r, uint64_t now_us) {
    r->now_us = now_us;
}

void replica_tick(struct replica *r, uint64_t now_ms, uint64_t now_us) {
    if (now_ms > r->now_ms) {
        r->wall_ms += now_ms - r->now_ms; /* the core begins with it after the restoring */
        r->now_ms = now_ms;
    }
    r->now_us = now_us;
    if (!r->started || r->stopping) return;
    if (r->hooks != NULL && r->hooks->tick != NULL) r->hooks->tick(r->hooks->context, now_ms);
    replica_run(r);
    bool behind = persist_behind(r);
    if (own_trouble(r) && !behind) waiting_tick(r); /* before the core looks at its timers again */
    replica_run(r);
    if (r->now_ms >= r->core_deadline_ms && !behind) {
        struct bft_event event = {.type = BFT_EVENT_TICK};
        replica_event(r, &event);
        replica_run(r);
    }
    last_tick(r);
    source_tick(r);
    input_tick(r);
    if (!behind) waiting_tick(r);
    replica_run(r);
    block_release_old(r);
    recovery_tick(r);
    scrub_tick(r);
    if (r->open != NULL) recovery_prune(r);
    if (!behind) propose_try(r);
    replica_run(r);
    persist_flush(r);
    held_send_release(r);
    replica_run(r);
    persist_flush(r);
    later_tick(r);
}

uint64_t replica_deadline_ms(const struct replica *r) {
    if (!r->started) return r->now_ms + 1000;
    if (r->open != NULL || r->memory_dirty) return r->now_ms; /* what a job left behind: nobody waits for the next tick with it */
    if (r->behind) return r->now_ms + TICK_MS;                /* the core is not told the time now */
    uint64_t deadline = r->core_deadline_ms, propose = propose_deadline_ms(r), held = pace_deadline_ms(r);
    if (propose < deadline) deadline = propose;
    if (held < deadline) deadline = held;
    bool busy = r->wanted_count > 0 || r->inputs_held > 0 || !last_is_answered(r);
    uint64_t own = r->now_ms + (busy ? TICK_MS : 200);
    return deadline < own ? deadline : own;
}

/* ---- questions ---- */

void replica_drain(struct replica *r) {
    r->draining = true;
}

bool replica_is_drained(const struct replica *r) {
    for (uint32_t relay = 0; relay < r->members.n; relay++) {
        for (uint32_t at = r->waiting[relay].first; at != NONE; at = r->inputs[at].list_next) {
            if (r->inputs[at].mine) return false;
        }
    }
    return true;
}

void replica_decision_want(struct replica *r) {
    r->decision_wanted = true;
}

bool replica_is_ready(const struct replica *r) {
    if (!r->started || r->replaying || r->draining || r->retired || r->core->halted || !last_is_answered(r) || later_is(r)) return false;
    uint64_t ahead = 0;
    for (uint32_t i = 0; i < r->members.n; i++) {
        if (r->has_peer_status[i] && r->peer_status[i].final.height > r->tip_height + 64) ahead++;
    }
    return ahead <= r->members.f;
}

static void status_pairs(const struct replica *r, struct status_replica *status) {
    status->pair_count = r->pair_count < STATUS_PAIRS_MAX ? r->pair_count : STATUS_PAIRS_MAX;
    for (uint32_t i = 0; i < status->pair_count; i++) {
        const struct pair *pair = &r->pairs[i];
        struct status_pair *out = &status->pairs[i];
        *out = (struct status_pair){.cluster = pair->cluster,
                                    .consumed_dseq = pair->consumed_final,
                                    .sent_dseq = pair->sent_final,
                                    .acked_dseq = pair->acked,
                                    .hint_dseq = pair->hint,
                                    .source_member = pair->source};
        for (uint32_t slot = 0; slot < SOURCE_WINDOW; slot++) out->held_slices += pair->window[slot] != NONE;
        for (uint32_t node = 0; node < pair->members.n; node++) out->links_up += pair->up[node];
    }
}

static enum status_phase status_phase(const struct replica *r) {
    if (r->retired == REPLICA_ROLLED_BACK) return PHASE_ROLLED_BACK;
    if (r->retired == REPLICA_SUCCEEDED) return PHASE_SUCCEEDED;
    if (r->retired != REPLICA_IN_OFFICE) return PHASE_RETIRED;
    if (r->started && epoch_is_sealed(r)) return PHASE_SEALED;
    bool member_later = r->started && later_is(r) && later_me(r) >= 0; /* it shall vote when it has come there */
    if (r->started && (r->removed || (later_is(r) && (r->me != NOBODY || r->memory_epoch > 0))) && !member_later) return PHASE_REMOVED;
    if (r->started && (member_later || r->memory_epoch > 0)) return PHASE_CATCHING_UP;
    if (r->started && r->me == NOBODY) return PHASE_OBSERVING;
    if (!r->started || r->replaying) return PHASE_RESTORING;
    if (!last_is_answered(r)) return PHASE_ASKING;
    if (r->draining) return PHASE_DRAINING;
    return replica_is_ready(r) ? PHASE_VOTING : PHASE_CATCHING_UP;
}

void replica_status(const struct replica *r, struct status_replica *status) {
    *status = r->status;
    status->phase = status_phase(r);
    status->retired_by = replica_retired_name(r->retired);
    status->cluster = r->cluster;
    status->member = r->me;
    status->members = r->members.n;
    status->faults = r->members.f;
    status->epoch = r->members.place.epoch;
    status->view = r->core->memory.view;
    status->leader = bft_leader(&r->members, r->core->memory.view);
    status->strain = bft_core_strain(r->core);
    status->hold_us = r->pace.hold_us;
    status->load_permille = r->pace.load;
    status->final_height = r->tip_height;
    status->prepared_height = r->core->memory.has_prepared ? r->core->memory.prepared.height : r->tip_height;
    status->executed_height = r->executed_height;
    status->checkpoint_height = r->checkpoint_height;
    status->genesis_height = r->genesis_height;
    status->pruned_height = r->pruned_height;
    status->time_ms = r->tip_time;
    status->inputs_held = r->inputs_held;
    status->input_bytes = r->input_bytes;
    status->blocks_open = r->blocks_open;
    status->sends_held = r->held_count;
    status->clients_connected = r->clients_up;
    status->enrolment = r->enrolment.serial;
    status->clients_enrolled = r->is_coordinator ? r->enrolment.clients : 0;
    status->answers_kept = r->blocks_final;
    status->inputs_waiting = 0;
    for (uint32_t relay = 0; relay < r->members.n; relay++) status->inputs_waiting += r->waiting[relay].count;
    members_status(r, status);
    status_pairs(r, status);
}
