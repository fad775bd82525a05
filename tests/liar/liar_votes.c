/* Lies to the members of the own cluster, all signed with the own key where a signature is needed. */
#include <stdlib.h>
#include <string.h>

#include "tests/liar/liar.h"

enum { REPLAY_MS = 20, REPLAY_AT_ONCE = 16, REPLAY_KEPT = 64, REPLAY_INPUTS = 8 };
_Static_assert((int)REPLAY_KEPT <= (int)LIAR_KEPT_MAX, "they fit");

static struct blob *encode(struct liar *liar, struct bft_message *message) {
    (void)liar;
    uint8_t *bytes = malloc(BFT_WIRE_HEAD_BYTES_MAX);
    CHECK(bytes != NULL);
    size_t count = bft_wire_encode(message, bytes, BFT_WIRE_HEAD_BYTES_MAX);
    struct blob *blob = blob_make(count + message->body_bytes);
    memcpy(blob->bytes, bytes, count);
    if (message->body_bytes > 0) memcpy(blob->bytes + count, message->body, message->body_bytes);
    free(bytes);
    return blob;
}

/* Another proposal of the same place: the same body, a millisecond later. */
static void proposal_alter(struct bft_message *message) {
    message->propose.header.time++;
    message->block_id = bft_header_id(&message->propose.header);
    message->propose.vote.ballot.block_id = message->block_id;
}

/* Another vote of the same place. */
static void vote_alter(struct liar *liar, struct bft_message *message) {
    if (liar->kind == LIAR_RESULT) message->vote.ballot.outbox_root.bytes[0] ^= 1;
    else message->vote.ballot.block_id.bytes[0] ^= 1;
}

/* By height one member gets both, one the true one, the others the false one. A vote: all get both. */
static bool equivocate(struct liar *liar, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    struct blob *whole = liar_join(pieces, *count);
    struct bft_message *message = calloc(1, sizeof *message);
    CHECK(message != NULL && bft_wire_decode(type, whole->bytes, whole->count, message) == BFT_WIRE_OK);
    bool proposal = type == BFT_MESSAGE_PROPOSE;
    uint64_t height = proposal ? message->propose.header.height : message->vote.ballot.height;
    uint32_t role = (uint32_t)((to.member + height) % liar->r->members.n);
    if (proposal) proposal_alter(message);
    else vote_alter(liar, message);
    bft_message_sign(&liar->r->signer, message);
    struct blob *other = encode(liar, message);
    free(message);
    blob_drop(whole);
    if (proposal && role == 1) {
        blob_drop(other);
        return true;
    }
    liar_counted(liar);
    if (!proposal || role == 2) liar_send(liar, to, type, other);
    else liar_replace(liar, pieces, count, other);
    return true;
}

/* Votes for a result that execution did not give, and for nothing else. */
static bool wrong_vote(struct liar *liar, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    struct blob *whole = liar_join(pieces, *count);
    struct bft_message *message = calloc(1, sizeof *message);
    CHECK(message != NULL && bft_wire_decode(type, whole->bytes, whole->count, message) == BFT_WIRE_OK);
    vote_alter(liar, message);
    bft_message_sign(&liar->r->signer, message);
    liar_replace(liar, pieces, count, encode(liar, message));
    free(message);
    blob_drop(whole);
    liar_counted(liar);
    return true;
}

static bool withheld(const struct liar *liar, uint16_t type) {
    if (liar_option_is(liar, "proposals")) return type == BFT_MESSAGE_PROPOSE;
    if (liar_option_is(liar, "votes")) return type == BFT_MESSAGE_PREPARE || type == BFT_MESSAGE_COMMIT || type == BFT_MESSAGE_TIMEOUT;
    if (liar_option_is(liar, "decisions")) return type == MESSAGE_COMPACT_DECISION;
    CHECK(liar_option_is(liar, "answers"));
    return type == MESSAGE_ANSWER || type == MESSAGE_REFUSED;
}

static bool is_replayed(uint16_t type) {
    bool consensus = type >= BFT_MESSAGE_PROPOSE && type <= BFT_MESSAGE_TC;
    return consensus || type == MESSAGE_INPUT || type == MESSAGE_COMPACT_DECISION || type == MESSAGE_ANSWER;
}

/* A few inputs and the first messages stay for ever, the others change: some old, some fresh. */
static void replay_keep(struct liar *liar, struct replica_peer to, uint16_t type, const struct blob_piece *pieces, unsigned count) {
    uint32_t first = type == MESSAGE_INPUT ? 0 : REPLAY_INPUTS, fixed = type == MESSAGE_INPUT ? REPLAY_INPUTS : REPLAY_KEPT / 2;
    uint32_t at = first;
    while (at < fixed && liar->kept[at].blob != NULL) at++;
    if (at == fixed) at = (uint32_t)(REPLAY_KEPT / 2 + liar->turn % (REPLAY_KEPT / 2));
    blob_drop(liar->kept[at].blob);
    liar->kept[at] = (struct liar_frame){.to = to, .type = type, .blob = liar_join(pieces, count)};
}

bool liar_send_votes(struct liar *liar, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    bool vote = type == BFT_MESSAGE_PREPARE || type == BFT_MESSAGE_COMMIT;
    switch (liar->kind) {
    case LIAR_EQUIVOCATE: return vote || type == BFT_MESSAGE_PROPOSE ? equivocate(liar, to, type, pieces, count) : true;
    case LIAR_RESULT: return vote ? wrong_vote(liar, type, pieces, count) : true;
    case LIAR_WITHHOLD:
        if (!withheld(liar, type)) return true;
        liar_counted(liar);
        return false;
    default:
        if (is_replayed(type)) replay_keep(liar, to, type, pieces, *count);
        return true;
    }
}

/* As leader: proposes roots that its own execution did not give. */
void liar_result(struct liar *liar, struct execution_job *job) {
    if (job != liar->r->proposing || job->status != EXEC_VALID) return;
    if (liar->turn++ % 2 == 0) job->result.outbox_root[0] ^= 1;
    else job->result.state_root[0] ^= 1;
    liar_counted(liar);
}

void liar_replay_tick(struct liar *liar) {
    if (liar->now_ms - liar->replayed_ms < REPLAY_MS) return;
    liar->replayed_ms = liar->now_ms;
    for (int i = 0; i < REPLAY_AT_ONCE; i++) {
        const struct liar_frame *frame = &liar->kept[liar->turn++ % REPLAY_KEPT];
        if (frame->blob == NULL) continue;
        liar_send(liar, frame->to, frame->type, blob_hold(frame->blob));
        liar_counted(liar);
    }
}
