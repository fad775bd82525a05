/*
 * A node whose cluster went through CONFIGs without it (P-40): it lacks the blocks that led there, and may know none of the keys that are in office.
 *
 * Members that speak of a later epoch are not believed, but asked for the chain, which proves itself from the epoch that is known here on, step by
 * step. When its entries are durable the links are to the members of the newest epoch, though blocks and core are still of an earlier one: that one
 * is over for whoever holds its CONFIG's certificate, so nothing that its members may still say in it matters. What members of the newest epoch then
 * state by STATUS counts as it does in one's own (f+1 of them are further, and no block comes), and the transfer machine is told of all epochs.
 *
 * The voting memory may be of a later epoch than the state, if the state was lost. Then this key signs nothing: it observes until blocks or a
 * checkpoint have brought it to the epoch of its memory, and starts anew there from the store, which has both.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"

enum {
    LATER_CLAIM_MS = 10000, /* what a member said of a later epoch is remembered so long */
};

bool later_is(const struct replica *r) {
    return r->link_epoch > r->members.place.epoch;
}

int later_me(const struct replica *r) {
    return config_member_by_signing_key(&r->epochs[r->link_epoch].config->members, r->signing_key);
}

void later_place_clear(struct replica *r, uint32_t place) {
    r->later.claimed_ms[place] = 0;
    r->later.asked &= ~(1u << place);
}

/* ---- what members of later epochs state ---- */

bool later_status(struct replica *r, struct replica_peer from, const struct bft_message *message) {
    const struct bft_status *status = &message->status;
    const struct bft_place *mine = &r->members.place;
    bool ours = memcmp(status->place.system_id, mine->system_id, BFT_SYSTEM_BYTES) == 0 && status->place.cluster == mine->cluster;
    if (!ours || status->place.epoch <= mine->epoch || from.member >= BFT_MEMBERS_MAX) return true;
    if (status->place.epoch >= r->epoch_count) {
        r->later.claimed_ms[from.member] = r->now_ms;
        return true;
    }
    if (status->place.epoch != r->link_epoch) return true; /* an epoch that is over, or one whose chain is not durable yet */
    const struct bft_members *members = &r->epochs[r->link_epoch].members;
    if (bft_message_verify(members, &r->signer, message, NULL, 0) != BFT_VERIFY_OK) return false;
    r->later.stated[status->signer] = true;
    if (status->final.height > r->later.height[status->signer]) r->later.height[status->signer] = status->final.height;
    return true;
}

bool later_others_ahead(const struct replica *r, uint64_t by) {
    const struct bft_members *members = &r->epochs[r->link_epoch].members;
    uint32_t ahead = 0;
    for (uint32_t i = 0; i < members->n; i++) ahead += r->later.stated[i] && r->later.height[i] > r->tip_height + by;
    return ahead > members->f; /* one of them is honest */
}

/* ---- the chain ---- */

/* f+1 members state that the cluster has ended. */
static bool seal_stated(const struct replica *r) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->members.n; i++) count += r->has_peer_status[i] && (r->peer_status[i].flags & BFT_STATUS_SEALED) != 0;
    return count > r->members.f;
}

/* Somebody spoke of an epoch that is not known here, or a certificate shows a final block that nobody gives: that of a CONFIG, maybe. Where a SEAL
 * ended the cluster, what it left can be judged only when the chain shows that (P-42). */
static bool hinted(const struct replica *r) {
    if (r->chain->sealed) return false;
    if (seal_stated(r)) return true;
    for (uint32_t i = 0; i < BFT_MEMBERS_MAX; i++) {
        if (r->later.claimed_ms[i] != 0 && r->now_ms - r->later.claimed_ms[i] < LATER_CLAIM_MS) return true;
    }
    return r->core->pending_qc.count > 0 && r->core->pending_qc.ballot.height > r->tip_height;
}

/* Asks the next member. */
static void chain_ask(struct replica *r) {
    struct later *later = &r->later;
    if (later->asked_ms != 0 && r->now_ms - later->asked_ms < r->config.timeouts.fetch_ms) return;
    for (uint32_t tries = 0; tries < BFT_MEMBERS_MAX; tries++) {
        later->next = (uint8_t)((later->next + 1u) % BFT_MEMBERS_MAX);
        if (!r->member_up[later->next]) continue;
        struct blob *question = blob_make(CONFIG_QUERY_BYTES);
        config_query_encode(r->cluster, r->epoch_count, question->bytes);
        later->asked |= 1u << later->next;
        later->asked_ms = r->now_ms;
        output_send_blob(r, peer_member(later->next), MESSAGE_CONFIG_QUERY, question);
        return;
    }
}

void later_look(struct replica *r, uint64_t patience) {
    struct later *later = &r->later;
    if (r->tip_height != later->tip || !hinted(r) || r->behind || later->since_ms == 0) {
        later->tip = r->tip_height;
        later->since_ms = r->now_ms;
    }
    if (r->now_ms - later->since_ms >= patience) chain_ask(r);
}

/* An answer costs signatures, those of one bad step at the most: none is looked at that was not asked for. */
void later_chain_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    struct config_chain_reader reader;
    const uint8_t *entry;
    size_t entry_bytes;
    struct system_fault fault = {.text = ""};
    if (from.member >= BFT_MEMBERS_MAX || !(r->later.asked >> from.member & 1)) {
        drop_count(r, DROP_CHAIN);
        return;
    }
    r->later.asked &= ~(1u << from.member);
    uint32_t before = r->epoch_count;
    enum system_error error = config_chain_read(&reader, r->cluster, blob_piece_bytes(&payload), payload.count, &fault);
    while (error == SYSTEM_OK && config_chain_next(&reader, &entry, &entry_bytes)) {
        uint64_t have = r->epoch_count - 1u + (r->chain->sealed ? 1u : 0u);
        if (reader.serial <= have) continue;
        error = reader.serial == have + 1 ? epoch_learn(r, blob_copy(entry, entry_bytes), &fault) : SYSTEM_SERIAL;
    }
    if (error == SYSTEM_OK) error = config_chain_read_end(&reader, &fault);
    if (r->epoch_count > before) {
        memset(r->later.claimed_ms, 0, sizeof r->later.claimed_ms); /* whoever knows of more says so again */
        replica_note(r, LOG_LEVEL_INFO, "epochs_learned", "epoch=%u member=%u height=%llu", r->epoch_count - 1, from.member,
                     (unsigned long long)r->tip_height);
    }
    if (error == SYSTEM_OK) return;
    drop_count(r, DROP_CHAIN);
    attack_seen(r, ATTACK_BAD_ANSWER, from);
}

/* ---- from the store ---- */

/* Its memory says where this key may not go back to. False: the memory is not one of this cluster's, or of an epoch that nobody proved. */
bool later_memory(struct replica *r, const struct bft_memory *memory) {
    const struct bft_place *mine = &r->members.place, *place = &memory->place;
    if (memcmp(place->system_id, mine->system_id, BFT_SYSTEM_BYTES) != 0 || place->cluster != mine->cluster) return false;
    if (place->epoch <= mine->epoch || place->epoch >= r->epoch_count) return false;
    r->memory_epoch = place->epoch;
    r->me = NOBODY;
    replica_note(r, LOG_LEVEL_WARN, "state_behind_memory", "epoch=%llu memory=%llu height=%llu", (unsigned long long)mine->epoch,
                 (unsigned long long)place->epoch, (unsigned long long)r->tip_height);
    return true;
}

/* ---- in time ---- */

void later_tick(struct replica *r) {
    uint64_t newest = r->epoch_count - 1u;
    if (newest > r->link_epoch && r->epochs[newest - 1].sequence <= r->durable) epoch_links_set(r, newest);
    if (r->memory_epoch == 0 || r->members.place.epoch < r->memory_epoch) return;
    if (r->durable + 1 < r->sequence_next || r->certificates_unsaved > 0) return; /* what brought it here is still on its way to the disk */
    (void)output_add(r, REPLICA_AGAIN);
    r->stopping = true;
}
