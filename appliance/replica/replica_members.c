/*
 * What a node tells of the members of its epoch: who they are, how far, and whether it can be counted on that they vote (spec/appliance.md A-29).
 *
 * A link says nothing of that: who is retired, or does not know yet what it signed last, keeps its links. So it goes by the newest STATUS, which its
 * signer's key signed, which says whether that one may vote (B-14), and which comes at least every view_base_ms (B-70). Only what came lately counts,
 * and only what came on the signer's own link: another member could hand on the old word of one that is gone. A vote that comes from far behind
 * decides nothing, so a member has to be about as far as f+1 members state, or as what is final here. Whoever lies about itself is one of the f.
 */
#include <stdio.h>
#include <string.h>

#include "appliance/replica/replica_members.h"
#include "appliance/replica/replica_private.h"

enum { HEARD_MS_MIN = 5000, BEHIND_BLOCKS = 64 };

/* The highest height that is final for sure: here, or by the word of f+1 members. */
static uint64_t height_sure(const struct replica *r) {
    uint64_t sure = r->tip_height;
    for (uint32_t i = 0; i < r->members.n; i++) {
        uint64_t height = r->peer_status[i].final.height;
        uint32_t as_far = 0;
        if (!r->has_peer_status[i] || height <= sure) continue;
        for (uint32_t k = 0; k < r->members.n; k++) as_far += r->has_peer_status[k] && r->peer_status[k].final.height >= height;
        if (as_far > r->members.f) sure = height;
    }
    return sure;
}

static enum status_vote vote_of(const struct replica *r, uint32_t member, uint64_t sure) {
    const struct bft_status *said = &r->peer_status[member];
    uint64_t base_ms = r->config.timeouts.view_base_ms, heard_ms = r->peer_heard_ms[member];
    uint64_t lately_ms = 3 * base_ms > HEARD_MS_MIN ? 3 * base_ms : HEARD_MS_MIN;
    if (member == r->me) return replica_is_ready(r) ? VOTE_YES : VOTE_NO;
    bool heard = r->started && !later_is(r) && r->member_up[member] && r->has_peer_status[member] && heard_ms != 0;
    if (!heard || r->now_ms - heard_ms > lately_ms) return VOTE_UNKNOWN;
    bool may = (said->flags & BFT_STATUS_VOTING) != 0 && (said->flags & BFT_STATUS_SEALED) == 0;
    return may && (said->final.height >= sure || sure - said->final.height <= BEHIND_BLOCKS) ? VOTE_YES : VOTE_NO;
}

void members_status(const struct replica *r, struct status_replica *status) {
    const struct epoch *epoch = &r->epochs[r->members.place.epoch];
    uint64_t sure = height_sure(r);
    for (uint32_t i = 0; i < r->members.n; i++) {
        struct status_member *out = &status->peers[i];
        *out = (struct status_member){.up = r->member_up[i], .votes = vote_of(r, i, sure), .status_ms = r->peer_status_ms[i]};
        memcpy(out->node_id, r->config.members.members[i].node_id, 32);
        (void)snprintf(out->name, sizeof out->name, "%s", epoch->names[i]);
        if (!r->has_peer_status[i]) continue;
        out->final_height = r->peer_status[i].final.height;
        out->view = r->peer_status[i].view;
        out->time_ms = r->peer_status[i].time;
    }
}
