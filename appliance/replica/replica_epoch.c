/* Epochs (B-40 to B-45, P-6, S-100 to S-105): the chain of CONFIGs of this cluster, entering an epoch, and following the epochs of other clusters.
 *
 * Whose certificates count is never taken from anybody's word: each epoch's members come from a chain of entries that begins at the system file, each
 * signed by k administrators and certified by the epoch before. Our own entries are made here when a CONFIG block is final, those of other clusters
 * are asked for (CONFIG_QUERY) when a certificate of a later epoch comes, when the state has consumed a CONFIG item, and once after each start: old
 * keys prove nothing above the height of the CONFIG that ended their epoch from then on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "merkle/bytes.h"

enum { CHAIN_ANSWER_BYTES = 1 << 20, EPOCHS_MAX = 1 << 20 };

/* ---- epochs of this cluster ---- */

static struct epoch *epoch_push(struct replica *r, const struct bft_members *members, const struct config *config) {
    struct epoch *grown = realloc(r->epochs, (r->epoch_count + 1) * sizeof *grown);
    CHECK(grown != NULL);
    r->epochs = grown;
    struct epoch *epoch = &r->epochs[r->epoch_count++];
    *epoch = (struct epoch){.members = *members, .config = malloc(sizeof *config)};
    CHECK(epoch->config != NULL);
    *epoch->config = *config;
    return epoch;
}

bool epoch_init(struct replica *r) {
    r->chain = calloc(1, sizeof *r->chain);
    if (r->chain == NULL || !config_chain_genesis(r->chain, r->system, r->cluster)) return false;
    struct epoch *genesis = epoch_push(r, &r->members, &r->config);
    const struct system_cluster *cluster = system_cluster_by_id(r->system, r->cluster);
    for (uint32_t i = 0; i < cluster->nodes_count; i++) memcpy(genesis->names[i], cluster->nodes[i].name, sizeof genesis->names[i]);
    return true;
}

/* The name of a member that this CONFIG operation brought in, by its card; "": it was there before. */
static const char *new_name(const struct admin_op *operation, const struct config_member *member) {
    for (uint32_t i = 0; i < operation->nodes_count; i++) {
        if (memcmp(operation->nodes[i].id, member->node_id, 32) == 0) return operation->nodes[i].name;
    }
    return "";
}

static void names_fill(struct replica *r) {
    struct epoch *epoch = &r->epochs[r->epoch_count - 1];
    const struct epoch *before = epoch - 1;
    for (uint32_t i = 0; i < epoch->config->members.count; i++) {
        const struct config_member *member = &epoch->config->members.members[i];
        int at = config_member_by_node_id(&before->config->members, member->node_id);
        const char *name = at >= 0 ? before->names[at] : new_name(&r->chain->operation, member);
        snprintf(epoch->names[i], sizeof epoch->names[i], "%s", name);
    }
}

void epoch_free(struct replica *r) {
    for (uint32_t i = 0; i < r->epoch_count; i++) {
        free(r->epochs[i].config);
        blob_drop(r->epochs[i].entry);
    }
    free(r->epochs);
    free(r->chain);
    for (uint32_t i = 0; i < r->pair_count && r->pairs != NULL; i++) {
        for (uint32_t k = 0; k < r->pairs[i].entry_count; k++) blob_drop(r->pairs[i].entries[k]);
        free(r->pairs[i].entries);
        free(r->pairs[i].epochs);
        free(r->pairs[i].chain);
    }
}

uint64_t epoch_of_height(const struct replica *r, uint64_t height) {
    uint32_t epoch = r->epoch_count - 1;
    while (epoch > 0 && r->epochs[epoch].members.start.height >= height) epoch--;
    return epoch;
}

const struct bft_members *epoch_members(const struct replica *r, uint64_t epoch) {
    return epoch < r->epoch_count ? &r->epochs[epoch].members : NULL;
}

static void limits_of(const struct config *config, struct bft_limits *limits) {
    *limits = (struct bft_limits){.window_blocks = (uint32_t)config->limits.window_blocks,
                                  .rotation_blocks = (uint32_t)config->limits.rotation_blocks,
                                  .view_base_ms = (uint32_t)config->timeouts.view_base_ms,
                                  .view_max_ms = (uint32_t)config->timeouts.view_max_ms,
                                  .input_relay_ms = (uint32_t)config->timeouts.input_relay_ms,
                                  .throughput_window_ms = (uint32_t)config->timeouts.throughput_window_ms,
                                  .throughput_half_life_ms = (uint32_t)config->timeouts.throughput_half_life_ms,
                                  .throughput_percent = (uint32_t)config->limits.throughput_percent};
}

void epoch_effect(const struct replica *r, const struct rblock *block, struct bft_config_effect *effect) {
    memset(effect, 0, sizeof *effect);
    if (block->result.config_kind == EXEC_CONFIG_NONE) return;
    effect->state_root_after = block->root_after;
    effect->kind = block->result.config_kind == EXEC_CONFIG_SEAL ? BFT_CONFIG_SEAL : BFT_CONFIG_NEXT;
    if (effect->kind == BFT_CONFIG_SEAL) return;
    const struct config *next = block->config_next;
    int me = config_member_by_signing_key(&next->members, r->signing_key);
    effect->me = me < 0 || r->memory_epoch > 0 ? BFT_NOBODY : (uint8_t)me;
    effect->epoch = next->members.serial;
    effect->n = next->members.count;
    config_hash(next, effect->config_hash.bytes);
    for (uint32_t i = 0; i < next->members.count; i++) memcpy(effect->keys[i], next->members.members[i].signing_key, sizeof effect->keys[i]);
    limits_of(next, &effect->limits);
}

/* ---- the chain of this cluster ---- */

static struct blob *entry_make(const struct replica *r, const struct rblock *block) {
    uint8_t header[BFT_HEADER_BYTES];
    struct bytes_writer head = bytes_writer_of(header, sizeof header);
    bft_header_put(&head, &block->header);
    CHECK(block->ref_count > 0 && block->inputs[block->ref_count - 1] != NONE); /* D-4.3: CONFIG comes last */
    const struct input *operation = &r->inputs[block->inputs[block->ref_count - 1]];
    CHECK(operation->kind == BODY_ADMIN && operation->blob != NULL);
    size_t bytes = BFT_HEADER_BYTES + 12 + block->body_count + operation->count + block->certificate->count;
    struct blob *entry = blob_make(bytes);
    struct bytes_writer writer = bytes_writer_of(entry->bytes, bytes);
    config_chain_entry_encode(&writer, header, block->body->bytes + block->body_offset, block->body_count,
                              operation->blob->bytes + operation->offset, operation->count, block->certificate->bytes, block->certificate->count);
    CHECK(!writer.failed && writer.used == bytes);
    return entry;
}

/* Takes the entry over. An error: it does not follow. */
static enum system_error entry_append(struct replica *r, struct blob *entry, struct system_fault *fault) {
    struct epoch *last = &r->epochs[r->epoch_count - 1];
    bool more = !r->chain->sealed && r->epoch_count < EPOCHS_MAX;
    enum system_error error = more ? config_chain_step(r->chain, entry->bytes, entry->count, &r->signer, fault) : SYSTEM_SERIAL;
    if (error != SYSTEM_OK) {
        blob_drop(entry);
        return error;
    }
    last->entry = entry;
    last->members.height_last = r->chain->sealed ? r->chain->members.height_last : r->chain->before.height_last;
    if (r->chain->sealed) {
        if (r->started) output_add(r, REPLICA_EPOCH)->sequence = r->epoch_count - 1; /* where it ends is known now */
        return SYSTEM_OK;
    }
    (void)epoch_push(r, &r->chain->members, &r->chain->config);
    names_fill(r);
    return SYSTEM_OK;
}

static void entry_persist(struct replica *r, uint64_t serial) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    size_t key_bytes = wal_key_chain(key, serial);
    r->epochs[serial - 1].sequence = persist_sequence(r);
    persist_put_blob(r, WAL_CHAIN, key, key_bytes, blob_hold(r->epochs[serial - 1].entry));
}

bool epoch_again(struct replica *r, uint64_t serial) {
    if (serial == 0 || serial > r->epoch_count || r->epochs[serial - 1].entry == NULL) return false;
    entry_persist(r, serial);
    return true;
}

void epoch_ended(struct replica *r, const struct rblock *block) {
    uint64_t epoch = block->header.place.epoch;
    if (block->result.config_kind == EXEC_CONFIG_NONE || r->epochs[epoch].entry != NULL) return;
    CHECK(epoch == r->epoch_count - 1);
    struct system_fault fault = {.text = ""};
    struct blob *entry = entry_make(r, block);
    if (entry_append(r, blob_hold(entry), &fault) != SYSTEM_OK) {
        replica_stop(r, "the CONFIG of block %llu had an effect and is no step of the chain: %.160s: a fault of this program",
                     (unsigned long long)block->header.height, fault.text);
        blob_drop(entry);
        return;
    }
    entry_persist(r, epoch + 1);
    blob_drop(entry);
}

enum system_error epoch_learn(struct replica *r, struct blob *entry, struct system_fault *fault) {
    enum system_error error = entry_append(r, entry, fault);
    if (error == SYSTEM_OK) entry_persist(r, r->chain->config.members.serial + (r->chain->sealed ? 1u : 0u));
    return error;
}

bool replica_restore_chain(struct replica *r, uint64_t serial, const uint8_t *bytes, size_t count) {
    if (serial < r->epoch_count + (r->chain->sealed ? 1u : 0u)) return true;
    return serial == r->epoch_count && entry_append(r, blob_copy(bytes, count), NULL) == SYSTEM_OK;
}

bool replica_restore_chain_payload(struct replica *r, const uint8_t *bytes, size_t count) {
    struct config_chain_reader reader;
    const uint8_t *entry;
    size_t entry_bytes;
    if (config_chain_read(&reader, r->cluster, bytes, count, NULL) != SYSTEM_OK) return false;
    while (config_chain_next(&reader, &entry, &entry_bytes)) {
        bool known = reader.serial < r->epoch_count + (r->chain->sealed ? 1u : 0u);
        if (!replica_restore_chain(r, reader.serial, entry, entry_bytes)) return false;
        if (!known) entry_persist(r, reader.serial); /* a power cut came between the two stores */
    }
    return config_chain_read_end(&reader, NULL) == SYSTEM_OK;
}

bool epoch_is_sealed(const struct replica *r) {
    return r->chain->sealed && r->tip_height == r->chain->members.height_last;
}

static const struct blob *entry_at(const struct replica *r, const struct pair *pair, uint64_t serial) {
    return pair != NULL ? pair->entries[serial - 1] : r->epochs[serial - 1].entry;
}

/* A payload of the entries from this serial on, of this cluster or (pair) another, as many as fit the bytes, one at least if there is one. */
static struct blob *chain_payload(const struct replica *r, const struct pair *pair, uint64_t from, size_t bytes_max) {
    uint64_t last = pair != NULL ? pair->entry_count : r->epoch_count - (r->epochs[r->epoch_count - 1].entry == NULL ? 1u : 0u);
    uint32_t count = 0;
    size_t bytes = CONFIG_CHAIN_HEAD_BYTES;
    for (uint64_t serial = from; serial <= last && count < CONFIG_CHAIN_ENTRIES_MAX; serial++) {
        size_t more = 4 + entry_at(r, pair, serial)->count;
        if (count > 0 && bytes + more > bytes_max) break;
        bytes += more;
        count++;
    }
    struct blob *payload = blob_make(bytes);
    struct bytes_writer writer = bytes_writer_of(payload->bytes, bytes);
    config_chain_head_encode(&writer, pair != NULL ? pair->cluster : r->cluster, count, from);
    for (uint32_t i = 0; i < count; i++) {
        const struct blob *entry = entry_at(r, pair, from + i);
        bytes_put_u32(&writer, (uint32_t)entry->count);
        bytes_put_raw(&writer, entry->bytes, entry->count);
    }
    CHECK(!writer.failed && writer.used == bytes);
    return payload;
}

struct blob *epoch_chain(const struct replica *r) {
    return r->members.place.epoch > 0 ? chain_payload(r, NULL, 1, SIZE_MAX) : blob_make(0);
}

struct blob *epoch_chain_known(const struct replica *r) {
    return r->epoch_count > 1 || r->epochs[0].entry != NULL ? chain_payload(r, NULL, 1, SIZE_MAX) : blob_make(0);
}

struct blob *epoch_undurable(const struct replica *r) {
    for (uint32_t i = 0; i < r->epoch_count && r->epochs[i].entry != NULL; i++) {
        if (r->epochs[i].sequence > r->durable) return chain_payload(r, NULL, i + 1, SIZE_MAX);
    }
    return NULL;
}

void epoch_query_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    uint32_t cluster;
    uint64_t serial;
    bool good = config_query_decode(blob_piece_bytes(&payload), payload.count, &cluster, &serial);
    /* S-103: a member, or who is to become one, is told of other clusters as well: it may know nobody there, and be known to nobody. */
    bool own = from.kind == REPLICA_MEMBER || from.kind == REPLICA_OBSERVER;
    const struct pair *other = good && cluster != r->cluster && own ? pair_find(r, cluster) : NULL;
    if (!good || (cluster != r->cluster && other == NULL)) {
        drop_count(r, DROP_MALFORMED);
        return;
    }
    struct question_rate *rate = from.kind == REPLICA_MEMBER ? &r->member_rates[from.member] : NULL;
    if (from.kind == REPLICA_FOREIGN) {
        struct pair *pair = pair_find(r, from.index);
        rate = pair != NULL && from.member < BFT_MEMBERS_MAX ? &pair->rates[from.member] : NULL;
    }
    if (from.kind == REPLICA_CLIENT && from.index < r->client_count) rate = &r->clients[from.index].rate;
    if (from.kind == REPLICA_OBSERVER && from.index < OBSERVERS_MAX) rate = &r->observers[from.index].rate;
    if (rate == NULL || !question_allowed(r, rate)) return;
    output_send_blob(r, from, MESSAGE_CONFIG_CHAIN, chain_payload(r, other, serial, CHAIN_ANSWER_BYTES));
}

/* ---- who the net lets in ---- */

static void peer_tell(struct replica *r, enum replica_output_kind kind, struct replica_peer peer, const uint8_t noise_key[32], const char *name) {
    struct replica_output *output = output_add(r, kind);
    output->peer = peer;
    memcpy(output->key, noise_key, 32);
    snprintf(output->text, sizeof output->text, "%s", name);
}

static bool is_own(const struct replica *r, const uint8_t noise_key[32]) {
    return memcmp(noise_key, r->noise_key, 32) == 0;
}

/* The number that was free for longest: what is under way under it, of whoever had it before, has come and gone by then. It is safe to give it again
 * at once, too: the net hears REMOVE before ADD and closes the old link first, and nothing that comes of an observer is believed (B-76): the worst
 * is an answer to a question that another one asked. OBSERVERS_MAX: all are taken. */
static uint32_t observer_number(struct replica *r) {
    for (uint32_t tries = 0; tries < OBSERVERS_MAX; tries++) {
        uint32_t at = (r->observer_next + tries) % OBSERVERS_MAX;
        if (!r->observers[at].used) return at;
    }
    return OBSERVERS_MAX;
}

/* Members let in those that the last CONFIG removed (B-45): for more than that there is room, not for all that ever were. */
static void removed_make_room(struct replica *r) {
    for (uint32_t i = 0; i < OBSERVERS_MAX; i++) {
        struct observer *observer = &r->observers[i];
        if (observer->used && !observer->announced && observer->link_epoch < r->link_epoch) epoch_observer_drop(r, i);
    }
}

/* L-47: whoever was removed is let in as an observer, to hear of it; so is who is to become a member (S-81). */
void epoch_observer_add(struct replica *r, const uint8_t noise_key[32], const char *name, bool announced) {
    if (is_own(r, noise_key)) return;
    for (uint32_t i = 0; i < OBSERVERS_MAX; i++) {
        if (r->observers[i].used && memcmp(r->observers[i].noise_key, noise_key, 32) == 0) return;
    }
    if (observer_number(r) == OBSERVERS_MAX) removed_make_room(r);
    uint32_t at = observer_number(r);
    CHECK(at < OBSERVERS_MAX); /* those removed from the start to now and by the last CONFIG: at most 2 x 16; those announced: replica_observe.c */
    struct observer *observer = &r->observers[at];
    *observer = (struct observer){.used = true, .announced = announced, .link_epoch = r->link_epoch};
    memcpy(observer->noise_key, noise_key, 32);
    r->observer_next = (at + 1) % OBSERVERS_MAX;
    peer_tell(r, REPLICA_PEER_ADD, peer_observer(at), noise_key, name);
}

void epoch_observer_drop(struct replica *r, uint32_t index) {
    peer_tell(r, REPLICA_PEER_REMOVE, peer_observer(index), r->observers[index].noise_key, "");
    memset(&r->observers[index], 0, sizeof r->observers[index]);
}

/* One that is a member is no observer any more. */
static void observer_drop(struct replica *r, const uint8_t noise_key[32]) {
    for (uint32_t i = 0; i < OBSERVERS_MAX; i++) {
        if (r->observers[i].used && memcmp(r->observers[i].noise_key, noise_key, 32) == 0) epoch_observer_drop(r, i);
    }
}

/* The keys at the places of a cluster change; NULL: nobody was, or is, there. Whoever stays may have moved to another place: a key is let in at its
 * new one when it is known at no other any more. */
struct places {
    struct replica_peer peer; /* of place 0 */
    const uint8_t *before[BFT_MEMBERS_MAX], *after[BFT_MEMBERS_MAX];
    const char *name_before[BFT_MEMBERS_MAX], *name[BFT_MEMBERS_MAX];
};

static bool keys_equal(const uint8_t *a, const uint8_t *b) {
    return a == NULL || b == NULL ? a == b : memcmp(a, b, 32) == 0;
}

static bool places_have(const struct places *places, const uint8_t *key) {
    for (uint32_t place = 0; place < BFT_MEMBERS_MAX; place++) {
        if (places->after[place] != NULL && memcmp(places->after[place], key, 32) == 0) return true;
    }
    return false;
}

static void places_tell(struct replica *r, const struct places *places) {
    struct replica_peer peer = places->peer;
    bool member = peer.kind == REPLICA_MEMBER;
    for (uint32_t place = 0; place < BFT_MEMBERS_MAX; place++) {
        const uint8_t *before = places->before[place];
        peer.member = (uint8_t)place;
        if (before != NULL && !keys_equal(before, places->after[place]) && !is_own(r, before)) peer_tell(r, REPLICA_PEER_REMOVE, peer, before, "");
    }
    for (uint32_t place = 0; place < BFT_MEMBERS_MAX; place++) {
        const uint8_t *before = places->before[place], *after = places->after[place];
        peer.member = (uint8_t)place;
        if (keys_equal(before, after)) continue;
        if (member && after != NULL) observer_drop(r, after);
        if (after != NULL && !is_own(r, after)) peer_tell(r, REPLICA_PEER_ADD, peer, after, places->name[place]);
        if (member && before != NULL && !places_have(places, before)) epoch_observer_add(r, before, places->name_before[place], false);
    }
}

static const uint8_t *noise_key_at(const struct config_members *members, uint32_t place) {
    return place < members->count ? members->members[place].noise_key : NULL;
}

static void pair_peers_tell(struct replica *r, const struct pair *pair) {
    const struct system_cluster *genesis = system_cluster_by_id(r->system, pair->cluster);
    struct places places = {.peer = {.kind = REPLICA_FOREIGN, .index = pair->cluster}};
    for (uint32_t place = 0; place < BFT_MEMBERS_MAX; place++) {
        places.before[place] = place < genesis->nodes_count ? genesis->nodes[place].noise_key : NULL;
        places.after[place] = place < pair->members.n ? pair->noise_keys[place] : NULL;
        places.name_before[place] = "";
        places.name[place] = pair->names[place];
    }
    places_tell(r, &places);
}

static void epochs_tell(struct replica *r, const struct epoch *before, const struct epoch *after) {
    struct places places = {.peer = peer_member(0)};
    for (uint32_t place = 0; place < BFT_MEMBERS_MAX; place++) {
        places.before[place] = noise_key_at(&before->config->members, place);
        places.after[place] = noise_key_at(&after->config->members, place);
        places.name_before[place] = before->names[place];
        places.name[place] = after->names[place];
    }
    places_tell(r, &places);
}

void epoch_peers_tell(struct replica *r) {
    for (uint32_t i = 0; i < r->pair_count; i++) pair_peers_tell(r, &r->pairs[i]);
    uint64_t epoch = r->link_epoch = r->epoch_count - 1u; /* all that the store has of the chain is durable */
    const struct config_members *now = &r->epochs[epoch].config->members;
    epochs_tell(r, &r->epochs[0], &r->epochs[epoch]);
    for (uint32_t place = 0; epoch > 0 && place < r->epochs[epoch - 1].config->members.count; place++) {
        const uint8_t *before = noise_key_at(&r->epochs[epoch - 1].config->members, place);
        if (config_member_by_noise_key(now, before) < 0) epoch_observer_add(r, before, r->epochs[epoch - 1].names[place], false);
    }
    observe_start(r);
}

/* ---- entering an epoch ---- */

/* Whose key was at this place says nothing of who is there now. */
static void place_clear(struct replica *r, uint32_t place) {
    r->has_peer_status[place] = false;
    r->peer_status_ms[place] = 0;
    r->peer_heard_ms[place] = 0;
    r->evidence[place] = 0;
}

/* What a relay that is gone had waiting is nobody's any more; its clients ask elsewhere. */
static void relay_clear(struct replica *r, uint32_t relay) {
    for (uint32_t index = r->waiting[relay].first; index != NONE;) {
        uint32_t next = r->inputs[index].list_next;
        if (r->inputs[index].in_blocks == 0) input_drop(r, index, r->tip_height);
        index = next;
    }
}

static bool was_member(const struct replica *r, uint64_t before) {
    for (uint64_t epoch = 0; epoch < before; epoch++) {
        if (config_member_by_signing_key(&r->epochs[epoch].config->members, r->signing_key) >= 0) return true;
    }
    return false;
}

static void current_set(struct replica *r, uint64_t epoch) {
    r->members = r->epochs[epoch].members;
    r->members.height_last = UINT64_MAX; /* the core learns it when it comes there */
    r->config = *r->epochs[epoch].config;
    int me = config_member_by_signing_key(&r->config.members, r->signing_key);
    r->me = me < 0 || r->memory_epoch > 0 ? NOBODY : (uint8_t)me;
    r->removed = me < 0 && was_member(r, epoch);
    uint32_t *selected = realloc(r->selected, (size_t)r->config.limits.block_refs_max * sizeof *selected);
    CHECK(selected != NULL);
    r->selected = selected;
    if (r->config.protocol_version > CONFIG_PROTOCOL_VERSION)
        replica_stop(r, "CONFIG %llu activates protocol version %u and this program knows %u: install a newer release (S-56)",
                     (unsigned long long)epoch, r->config.protocol_version, CONFIG_PROTOCOL_VERSION);
}

void epoch_restore_at(struct replica *r, uint64_t height) {
    current_set(r, epoch_of_height(r, height + 1));
}

static bool place_same(const struct epoch *before, const struct epoch *after, uint32_t place) {
    const struct config_members *old = &before->config->members, *new = &after->config->members;
    if (place >= old->count || place >= new->count) return place >= old->count && place >= new->count;
    return memcmp(&old->members[place], &new->members[place], sizeof old->members[place]) == 0;
}

static void places_change(struct replica *r, const struct epoch *before, const struct epoch *after) {
    for (uint32_t place = 0; place < BFT_MEMBERS_MAX; place++) {
        if (place_same(before, after, place)) continue;
        place_clear(r, place);
        if (place >= after->config->members.count) relay_clear(r, place);
    }
    last_move(r);
}

void epoch_links_set(struct replica *r, uint64_t epoch) {
    const struct epoch *before = &r->epochs[r->link_epoch], *after = &r->epochs[epoch];
    r->link_epoch = epoch;
    memset(r->later.stated, 0, sizeof r->later.stated);
    memset(r->later.height, 0, sizeof r->later.height);
    for (uint32_t place = 0; place < BFT_MEMBERS_MAX; place++) {
        if (place_same(before, after, place)) continue;
        r->member_up[place] = false;
        later_place_clear(r, place);
    }
    epochs_tell(r, before, after);
    output_add(r, REPLICA_EPOCH)->sequence = epoch;
}

void epoch_begin(struct replica *r) {
    uint64_t epoch = r->members.place.epoch + 1;
    CHECK(epoch < r->epoch_count);
    propose_cancel(r);
    current_set(r, epoch);
    places_change(r, &r->epochs[epoch - 1], &r->epochs[epoch]);
    if (r->started && epoch > r->link_epoch) epoch_links_set(r, epoch);
    if (r->started) observe_epoch(r);
    for (uint32_t i = 0; i < PLACES; i++) { /* what was stated in the old epoch shows where a member is, and is no statement of this one */
        blob_drop(r->peer_status_bytes[i]);
        r->peer_status_bytes[i] = NULL;
        r->peer_heard_ms[i] = 0;
    }
    memset(&r->waiting_told, 0, sizeof r->waiting_told);
    waiting_epoch(r);
    memset(r->noop_named, 0, sizeof r->noop_named); /* of other members, and their numbers begin anew */
    admin_judge_again(r);
    if (!r->started) return;
    CHECK(bft_place_equal(&r->members.place, &r->core->members.place) && bft_point_equal(&r->members.start, &r->core->members.start));
    if (!r->retired) last_begin(r);
}

/* ---- who is still in an earlier epoch ---- */

void epoch_serve(struct replica *r, struct replica_peer to, uint64_t epoch) {
    if (epoch >= r->epoch_count || r->epochs[epoch].entry == NULL) return;
    const struct blob *entry = r->epochs[epoch].entry;
    struct bytes_cursor cursor = bytes_cursor_of(entry->bytes, entry->count);
    struct bft_message *message = calloc(1, sizeof *message);
    CHECK(message != NULL);
    message->type = BFT_MESSAGE_BLOCK;
    CHECK(bft_header_get(&cursor, &message->block.header)); /* the chain took it */
    message->body_bytes = bytes_get_u32(&cursor);
    message->body = bytes_get_raw(&cursor, message->body_bytes);
    (void)bytes_get_raw(&cursor, bytes_get_u32(&cursor)); /* the operation: asked for as an input */
    (void)bytes_get_u32(&cursor);
    message->block.has_certificate = bft_certificate_get(&cursor, &message->block.certificate, NULL);
    CHECK(message->block.has_certificate);
    size_t bytes = bft_wire_encode(message, r->scratch, BFT_WIRE_HEAD_BYTES_MAX);
    struct blob *head = blob_copy(r->scratch, bytes);
    struct blob_piece pieces[2] = {{.blob = head, .count = bytes},
                                   {.blob = r->epochs[epoch].entry, .offset = (size_t)(message->body - entry->bytes), .count = message->body_bytes}};
    output_send(r, to, BFT_MESSAGE_BLOCK, pieces, 2);
    blob_drop(head);
    free(message);
}

/* B-45, B-75: one that was removed and goes on in the old epoch is shown the CONFIG that removed it, whatever it says; nothing of it is believed. */
void observer_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    if (from.index >= OBSERVERS_MAX || !r->observers[from.index].used) { /* or what it said before it was shut out */
        drop_count(r, DROP_ROLE);
        return;
    }
    struct observer *observer = &r->observers[from.index];
    if (type == MESSAGE_CONFIG_QUERY) epoch_query_frame(r, from, payload);
    else if (type == MESSAGE_INPUT_FETCH) input_fetch_frame(r, from, payload);
    else if (type == MESSAGE_CHECKPOINT_QUERY || type == MESSAGE_PIECE_QUERY) {
        if (question_allowed(r, &observer->rate)) recovery_member_frame(r, from, type, payload);
    }
    else if (type == BFT_MESSAGE_FETCH && bft_wire_decode(type, blob_piece_bytes(&payload), payload.count, r->message) == BFT_WIRE_OK)
        block_fetch_frame(r, from, &r->message->fetch);
    else if (r->now_ms - observer->served_ms >= r->config.timeouts.view_base_ms / 8 && r->members.place.epoch > 0) {
        observer->served_ms = r->now_ms;
        for (uint64_t epoch = 0; epoch < r->members.place.epoch; epoch++) { /* the epoch whose end removed it */
            bool in = config_member_by_noise_key(&r->epochs[epoch].config->members, observer->noise_key) >= 0;
            bool out = config_member_by_noise_key(&r->epochs[epoch + 1].config->members, observer->noise_key) < 0;
            if (in && out) epoch_serve(r, from, epoch);
        }
    }
}

/* ---- epochs of other clusters ---- */

bool pair_epochs_init(struct replica *r, struct pair *pair) {
    pair->epochs = malloc(sizeof *pair->epochs);
    if (pair->epochs == NULL) return false;
    pair->epochs[0] = pair->members;
    const struct system_cluster *cluster = system_cluster_by_id(r->system, pair->cluster);
    for (uint32_t i = 0; i < cluster->nodes_count; i++) {
        memcpy(pair->noise_keys[i], cluster->nodes[i].noise_key, 32);
        memcpy(pair->names[i], cluster->nodes[i].name, sizeof pair->names[i]);
    }
    pair->epoch_count = 1;
    pair->chain_asks = pair->members.f + 1;
    pair->chain_next = (uint8_t)(r->me % pair->members.n);
    return true;
}

const struct bft_members *pair_members(struct pair *pair, uint64_t epoch) {
    if (epoch < pair->epoch_count) return &pair->epochs[epoch];
    if (pair->epoch_needed < pair->epoch_count) pair->epoch_needed = pair->epoch_count; /* one step is known to be missing, whatever was claimed */
    if (pair->chain_asks <= pair->members.f) pair->chain_asks = pair->members.f + 1;
    return NULL;
}

static void chain_ask(struct replica *r, struct pair *pair, struct replica_peer of) {
    struct blob *question = blob_make(CONFIG_QUERY_BYTES);
    config_query_encode(pair->cluster, pair->epoch_count, question->bytes);
    output_send_blob(r, of, MESSAGE_CONFIG_QUERY, question);
}

/* Of members of this cluster, too, when it is known that something is missing: those of the other one may not let this node in yet, because they have
 * not heard of the CONFIG that made it a member; and they hear of it from decisions that may need its vote. */
static void chain_ask_own(struct replica *r, struct pair *pair) {
    if (pair->epoch_needed < pair->epoch_count || r->now_ms - pair->chain_own_ms < r->config.timeouts.fetch_ms) return;
    pair->chain_own_ms = r->now_ms;
    for (uint32_t tries = 0; tries < r->members.n; tries++) {
        pair->chain_own_next = (uint8_t)((pair->chain_own_next + 1u) % r->members.n);
        if (pair->chain_own_next == r->me || !r->member_up[pair->chain_own_next]) continue;
        pair->chain_own_asked |= (uint16_t)(1u << pair->chain_own_next);
        chain_ask(r, pair, peer_member(pair->chain_own_next));
        return;
    }
}

void pair_chain_tick(struct replica *r, struct pair *pair) {
    /* The state consumed a CONFIG item of it, whose chain is not here: that it is missing is known at once, also where nobody of it is linked; and
     * whoever was asked may not have known, or not have been there. */
    bool asked = pair->chain_asks == 0 && r->now_ms - pair->chain_asked_ms >= r->config.timeouts.fetch_ms;
    if (pair->epoch_state >= pair->epoch_count && (pair->epoch_needed < pair->epoch_count || asked)) (void)pair_members(pair, pair->epoch_state);
    if (pair->chain_asks == 0 || r->now_ms - pair->chain_asked_ms < TICK_MS) return;
    chain_ask_own(r, pair);
    for (uint32_t tries = 0; tries < pair->members.n; tries++) {
        pair->chain_next = (uint8_t)((pair->chain_next + 1u) % pair->members.n);
        if (!pair->up[pair->chain_next]) continue;
        pair->chain_asked_ms = r->now_ms;
        pair->chain_asks--;
        chain_ask(r, pair, (struct replica_peer){.kind = REPLICA_FOREIGN, .member = pair->chain_next, .index = pair->cluster});
        return;
    }
}

/* The name of the node with this key, whom a CONFIG brought in or that was there before. */
static void pair_name(const struct pair *before, uint32_t n_before, const struct config_member *member, char name[CARD_NAME_BYTES_MAX + 1]) {
    const char *found = new_name(&before->chain->operation, member);
    for (uint32_t at = 0; at < n_before && found[0] == '\0'; at++) {
        if (memcmp(before->noise_keys[at], member->noise_key, 32) == 0) found = before->names[at];
    }
    snprintf(name, CARD_NAME_BYTES_MAX + 1, "%s", found);
}

/* Who is at which place of it now; links to the others go. */
static void pair_places_change(struct replica *r, struct pair *pair, uint32_t n_before) {
    const struct config_members *now = &pair->chain->config.members;
    struct pair *before = malloc(sizeof *before);
    struct places places = {.peer = {.kind = REPLICA_FOREIGN, .index = pair->cluster}};
    CHECK(before != NULL);
    *before = *pair; /* keys and names alone are looked at */
    for (uint32_t place = 0; place < BFT_MEMBERS_MAX; place++) {
        places.before[place] = place < n_before ? before->noise_keys[place] : NULL;
        places.after[place] = noise_key_at(now, place);
        places.name_before[place] = "";
        places.name[place] = pair->names[place];
        if (keys_equal(places.before[place], places.after[place])) continue;
        pair->up[place] = false;
        pair->subscribers[place] = (struct subscriber){0};
        if (places.after[place] == NULL) continue;
        pair_name(before, n_before, &now->members[place], pair->names[place]);
        memcpy(pair->noise_keys[place], places.after[place], 32);
    }
    if (r->started) places_tell(r, &places);
    free(before);
    if (pair->source >= now->count) pair->source = (uint8_t)(pair->source % now->count);
    if (pair->chain_next >= now->count) pair->chain_next = 0;
    if (pair->ask_next >= now->count) pair->ask_next = 0;
}

/* A step of its chain: the epoch before ends there, the next one begins. */
static void pair_step(struct replica *r, struct pair *pair, const uint8_t *entry, size_t bytes) {
    struct blob **entries = realloc(pair->entries, (pair->entry_count + 1) * sizeof(struct blob *));
    CHECK(entries != NULL);
    pair->entries = entries;
    pair->entries[pair->entry_count++] = blob_copy(entry, bytes);
    pair->epochs[pair->epoch_count - 1] = pair->chain->sealed ? pair->chain->members : pair->chain->before;
    replica_note(r, LOG_LEVEL_INFO, pair->chain->sealed ? "other_cluster_sealed" : "other_epoch", "cluster=0x%08x epoch=%llu height=%llu",
                 pair->cluster, (unsigned long long)pair->chain->config.members.serial,
                 (unsigned long long)pair->epochs[pair->epoch_count - 1].height_last);
    if (pair->chain->sealed) return;
    struct bft_members *grown = realloc(pair->epochs, (pair->epoch_count + 1) * sizeof *grown);
    CHECK(grown != NULL);
    pair->epochs = grown;
    pair_places_change(r, pair, pair->members.n);
    pair->members = pair->epochs[pair->epoch_count++] = pair->chain->members;
    pair->subscribed_from = 0; /* what came of the new epoch meanwhile was dropped: it is asked for again */
    pair->heard_ms = r->now_ms;
    pair->passed_dseq = 0;
}

static bool pair_chain_ready(struct replica *r, struct pair *pair) {
    if (pair->chain != NULL) return true;
    pair->chain = calloc(1, sizeof *pair->chain);
    CHECK(pair->chain != NULL);
    return config_chain_genesis(pair->chain, r->system, pair->cluster);
}

void replica_pair_chain_key(uint8_t key[WAL_KEY_BYTES_MAX], uint32_t cluster, uint64_t serial) {
    char name[33];
    snprintf(name, sizeof name, "chain-%08x-%llu", cluster, (unsigned long long)serial);
    (void)wal_key_misc(key, name);
}

/* Kept, so that a start finds the cluster though nobody of the system file is in office there any more. */
static void pair_entry_persist(struct replica *r, const struct pair *pair, uint64_t serial, const uint8_t *entry, size_t bytes) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    replica_pair_chain_key(key, pair->cluster, serial);
    persist_put_blob(r, WAL_MISC, key, wal_key_bytes(WAL_MISC), blob_copy(entry, bytes));
}

bool replica_restore_pair_chain(struct replica *r, uint32_t cluster, const uint8_t *entry, size_t bytes) {
    struct pair *pair = pair_find(r, cluster);
    if (pair == NULL || !pair_chain_ready(r, pair)) return false;
    if (config_chain_step(pair->chain, entry, bytes, &r->signer, NULL) != SYSTEM_OK) return false;
    pair_step(r, pair, entry, bytes);
    return true;
}

void epoch_chain_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    struct pair *pair = from.kind == REPLICA_FOREIGN ? pair_find(r, from.index) : NULL;
    if (from.kind == REPLICA_MEMBER) {
        pair = payload.count >= 4 ? pair_find(r, bytes_get_le32(blob_piece_bytes(&payload))) : NULL;
        if (pair == NULL || from.member >= BFT_MEMBERS_MAX || !(pair->chain_own_asked >> from.member & 1)) { /* nobody asked it: not looked at */
            drop_count(r, DROP_CHAIN);
            return;
        }
        pair->chain_own_asked &= (uint16_t)~(1u << from.member);
    }
    struct config_chain_reader reader;
    const uint8_t *entry;
    size_t entry_bytes;
    struct system_fault fault = {.text = ""};
    if (pair == NULL || from.member >= BFT_MEMBERS_MAX || !pair_chain_ready(r, pair)) {
        drop_count(r, DROP_ROLE);
        return;
    }
    struct question_rate *rate = from.kind == REPLICA_MEMBER ? &r->member_rates[from.member] : &pair->rates[from.member];
    if (!question_allowed(r, rate)) return; /* each costs signatures, asked for or not */
    enum system_error error = config_chain_read(&reader, pair->cluster, blob_piece_bytes(&payload), payload.count, &fault);
    uint32_t steps = 0;
    while (error == SYSTEM_OK && config_chain_next(&reader, &entry, &entry_bytes)) {
        uint64_t have = pair->chain->config.members.serial + pair->chain->sealed;
        if (reader.serial <= have) continue;
        error = reader.serial == have + 1 ? config_chain_step(pair->chain, entry, entry_bytes, &r->signer, &fault) : SYSTEM_SERIAL;
        if (error != SYSTEM_OK) break;
        pair_entry_persist(r, pair, reader.serial, entry, entry_bytes);
        pair_step(r, pair, entry, entry_bytes);
        steps++;
    }
    if (error == SYSTEM_OK) error = config_chain_read_end(&reader, &fault);
    if (error != SYSTEM_OK) {
        drop_count(r, DROP_CHAIN);
        attack_seen(r, ATTACK_BAD_ANSWER, from);
    }
    if (pair->epoch_needed >= pair->epoch_count && pair->chain_asks == 0) pair->chain_asks = 1; /* somebody knows it: the next one is asked */
    if (steps > 0 && pair->chain_asks == 0) pair->chain_asks = 1;                               /* there may be more than one frame of it */
}
