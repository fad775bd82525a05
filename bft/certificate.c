/*
 * Verification of votes, certificates and messages (spec/consensus.md B-1, B-5 to B-16).
 *
 * Why a certificate of q signatures proves: two sets of q = n - f members of the same epoch share at least n - 2f >= f + 1 members, one of whom is
 * honest, and an honest member signs one thing per place. This holds only if the signed bytes name system, configuration, cluster, epoch, view and
 * height (B-5), if the q signers are distinct, and if q is not one less.
 */
#include "bft/certificate.h"

#include "merkle/check.h"

const char *bft_verify_error_name(enum bft_verify_error error) {
    static const char *const names[] = {"ok",     "system", "cluster", "epoch", "config",  "kind", "height",
                                        "signer", "quorum", "chain",   "high",  "highest", "tc",   "signature"};
    return (size_t)error < sizeof names / sizeof names[0] ? names[error] : "unknown";
}

static enum bft_verify_error place_verify(const struct bft_members *members, const struct bft_place *place) {
    if (memcmp(place->system_id, members->place.system_id, BFT_SYSTEM_BYTES) != 0) return BFT_VERIFY_SYSTEM;
    if (place->cluster != members->place.cluster) return BFT_VERIFY_CLUSTER;
    if (place->epoch != members->place.epoch) return BFT_VERIFY_EPOCH;
    if (!bft_hash_equal(&place->config_hash, &members->place.config_hash)) return BFT_VERIFY_CONFIG;
    return BFT_VERIFY_OK;
}

/* B-6: exactly q, ascending (so distinct), each an index of the epoch. */
static enum bft_verify_error signers_verify(const struct bft_members *members, const uint8_t *signers, uint32_t count) {
    for (uint32_t i = 0; i < count && i < BFT_MEMBERS_MAX; i++) {
        if (signers[i] >= members->n || (i > 0 && signers[i] <= signers[i - 1])) return BFT_VERIFY_SIGNER;
    }
    return count == members->q ? BFT_VERIFY_OK : BFT_VERIFY_QUORUM;
}

static bool signature_good(const struct bft_members *members, const struct signer *signer, uint8_t index, const uint8_t *bytes, size_t count,
                           const struct bft_signature *signature) {
    return signer->verify(signer->context, members->keys[index], bytes, count, signature->bytes);
}

enum bft_verify_error bft_vote_verify(const struct bft_members *members, const struct signer *signer, const struct bft_vote *vote) {
    enum bft_verify_error error = place_verify(members, &vote->ballot.place);
    if (error != BFT_VERIFY_OK) return error;
    if (vote->ballot.height <= members->start.height) return BFT_VERIFY_HEIGHT;
    if (vote->signer >= members->n) return BFT_VERIFY_SIGNER;
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&vote->ballot, (enum bft_vote_kind)vote->kind, preimage);
    bool good = signature_good(members, signer, vote->signer, preimage, sizeof preimage, &vote->signature);
    return good ? BFT_VERIFY_OK : BFT_VERIFY_SIGNATURE;
}

/* All of a QC but its signatures. */
static enum bft_verify_error qc_form_verify(const struct bft_members *members, const struct bft_qc *qc, enum bft_vote_kind kind) {
    enum bft_verify_error error = place_verify(members, &qc->ballot.place);
    if (error != BFT_VERIFY_OK) return error;
    if (qc->kind != kind) return BFT_VERIFY_KIND;
    if (qc->ballot.height <= members->start.height) return BFT_VERIFY_HEIGHT;
    return signers_verify(members, qc->signers, qc->count);
}

static enum bft_verify_error qc_signatures_verify(const struct bft_members *members, const struct signer *signer, const struct bft_qc *qc) {
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&qc->ballot, (enum bft_vote_kind)qc->kind, preimage);
    struct ed25519_signed list[BFT_MEMBERS_MAX];
    for (uint32_t i = 0; i < qc->count; i++)
        list[i] = (struct ed25519_signed){.public_key = members->keys[qc->signers[i]], .message = preimage, .message_bytes = sizeof preimage,
                                          .signature = qc->signatures[i].bytes};
    return signer_verify_each(signer, list, qc->count) == qc->count ? BFT_VERIFY_OK : BFT_VERIFY_SIGNATURE;
}

enum bft_verify_error bft_qc_verify(const struct bft_members *members, const struct signer *signer, const struct bft_qc *qc,
                                    enum bft_vote_kind kind) {
    enum bft_verify_error error = qc_form_verify(members, qc, kind);
    return error != BFT_VERIFY_OK ? error : qc_signatures_verify(members, signer, qc);
}

/* QCs that were verified before need not be again: byte for byte the same, or the same ballot with the same signatures. */
struct known_qcs {
    const struct bft_qc *const *list;
    size_t count;
};

static bool qc_known(const struct known_qcs *known, const struct bft_qc *qc) {
    for (size_t i = 0; i < known->count; i++) {
        const struct bft_qc *other = known->list[i];
        if (other->count == qc->count && other->kind == qc->kind && memcmp(other->signers, qc->signers, qc->count) == 0 &&
            memcmp(other->signatures, qc->signatures, qc->count * sizeof qc->signatures[0]) == 0 && bft_ballot_equal(&other->ballot, &qc->ballot))
            return true;
    }
    return false;
}

static enum bft_verify_error qc_verify_unless_known(const struct bft_members *members, const struct signer *signer, const struct bft_qc *qc,
                                                    enum bft_vote_kind kind, const struct known_qcs *known) {
    enum bft_verify_error error = qc_form_verify(members, qc, kind);
    if (error != BFT_VERIFY_OK) return error;
    return qc_known(known, qc) ? BFT_VERIFY_OK : qc_signatures_verify(members, signer, qc);
}

static bool high_is_start(const struct bft_members *members, const struct bft_high *high) {
    return high->view == 0 && bft_point_equal(&high->block, &members->start);
}

static bool high_is_qc(const struct bft_high *high, const struct bft_qc *qc) {
    return high->view == qc->ballot.view && high->block.height == qc->ballot.height && bft_hash_equal(&high->block.id, &qc->ballot.block_id);
}

/* B-8: the high is the epoch's start or the QC that comes with it, and not of a later view than the TIMEOUT. */
static enum bft_verify_error timeout_verify(const struct bft_members *members, const struct signer *signer, const struct bft_timeout *timeout,
                                            const struct known_qcs *known) {
    enum bft_verify_error error = place_verify(members, &timeout->place);
    if (error != BFT_VERIFY_OK) return error;
    if (timeout->signer >= members->n) return BFT_VERIFY_SIGNER;
    if (timeout->high.view > timeout->view) return BFT_VERIFY_HIGH;
    if (timeout->qc.count == 0) {
        if (!high_is_start(members, &timeout->high)) return BFT_VERIFY_HIGH;
    } else {
        if (!high_is_qc(&timeout->high, &timeout->qc)) return BFT_VERIFY_HIGH;
        error = qc_verify_unless_known(members, signer, &timeout->qc, BFT_PREPARE, known);
        if (error != BFT_VERIFY_OK) return error;
    }
    uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
    bft_timeout_preimage(&timeout->place, timeout->view, &timeout->high, preimage);
    bool good = signature_good(members, signer, timeout->signer, preimage, sizeof preimage, &timeout->signature);
    return good ? BFT_VERIFY_OK : BFT_VERIFY_SIGNATURE;
}

enum bft_verify_error bft_timeout_verify(const struct bft_members *members, const struct signer *signer, const struct bft_timeout *timeout) {
    struct known_qcs none = {NULL, 0};
    return timeout_verify(members, signer, timeout, &none);
}

/* B-9: each high is possible, none is above Q*, and one of them is Q*. Two highs of one rank and different ids cannot both be QCs. */
static enum bft_verify_error tc_highs_verify(const struct bft_members *members, const struct bft_tc *tc) {
    bool met = tc->qc.count == 0;
    for (uint32_t i = 0; i < tc->count; i++) {
        const struct bft_high *high = &tc->highs[i];
        if (high->view > tc->view) return BFT_VERIFY_HIGH;
        if (high_is_start(members, high)) continue;
        if (high->block.height <= members->start.height) return BFT_VERIFY_HIGH;
        if (tc->qc.count == 0) return BFT_VERIFY_HIGHEST;
        int order = bft_rank_compare(high->view, high->block.height, tc->qc.ballot.view, tc->qc.ballot.height);
        if (order > 0 || (order == 0 && !high_is_qc(high, &tc->qc))) return BFT_VERIFY_HIGHEST;
        if (order == 0) met = true;
    }
    return met ? BFT_VERIFY_OK : BFT_VERIFY_HIGHEST;
}

static enum bft_verify_error tc_verify(const struct bft_members *members, const struct signer *signer, const struct bft_tc *tc,
                                       const struct known_qcs *known) {
    enum bft_verify_error error = place_verify(members, &tc->place);
    if (error != BFT_VERIFY_OK) return error;
    error = signers_verify(members, tc->signers, tc->count);
    if (error != BFT_VERIFY_OK) return error;
    error = tc_highs_verify(members, tc);
    if (error != BFT_VERIFY_OK) return error;
    if (tc->qc.count > 0) {
        error = qc_verify_unless_known(members, signer, &tc->qc, BFT_PREPARE, known);
        if (error != BFT_VERIFY_OK) return error;
    }
    for (uint32_t i = 0; i < tc->count; i++) {
        uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
        bft_timeout_preimage(&tc->place, tc->view, &tc->highs[i], preimage);
        if (!signature_good(members, signer, tc->signers[i], preimage, sizeof preimage, &tc->signatures[i])) return BFT_VERIFY_SIGNATURE;
    }
    return BFT_VERIFY_OK;
}

enum bft_verify_error bft_tc_verify(const struct bft_members *members, const struct signer *signer, const struct bft_tc *tc) {
    struct known_qcs none = {NULL, 0};
    return tc_verify(members, signer, tc, &none);
}

/* B-11: the headers from the proved block to the QC's, linked by parent_id, all of one epoch. */
static enum bft_verify_error chain_verify(const struct bft_certificate *certificate, struct bft_ballot *proved) {
    const struct bft_ballot *top = &certificate->qc.ballot;
    if (certificate->header_count == 0) {
        *proved = *top;
        return BFT_VERIFY_OK;
    }
    struct bft_hash id = {{0}};
    uint64_t height = 0;
    for (uint32_t i = 0; i < certificate->header_count; i++) {
        struct bytes_cursor cursor = bytes_cursor_of(certificate->headers + (size_t)i * BFT_HEADER_BYTES, BFT_HEADER_BYTES);
        struct bft_header header;
        if (!bft_header_get(&cursor, &header)) return BFT_VERIFY_CHAIN;
        if (!bft_place_equal(&header.place, &top->place)) return BFT_VERIFY_CHAIN;
        if (i > 0 && (!bft_hash_equal(&header.parent_id, &id) || header.height != height + 1)) return BFT_VERIFY_CHAIN;
        id = bft_header_id(&header);
        height = header.height;
        if (i == 0) bft_header_ballot(&header, &id, proved);
    }
    return bft_hash_equal(&id, &top->block_id) && height == top->height ? BFT_VERIFY_OK : BFT_VERIFY_CHAIN;
}

enum bft_verify_error bft_certificate_verify(const struct bft_members *members, const struct signer *signer,
                                             const struct bft_certificate *certificate, const struct bft_hash *id, struct bft_ballot *ballot) {
    enum bft_verify_error error = qc_form_verify(members, &certificate->qc, BFT_COMMIT);
    if (error != BFT_VERIFY_OK) return error;
    struct bft_ballot proved;
    error = chain_verify(certificate, &proved);
    if (error != BFT_VERIFY_OK) return error;
    if (id != NULL && !bft_hash_equal(id, &proved.block_id)) return BFT_VERIFY_CHAIN;
    /* An old epoch's members prove nothing above the CONFIG that ended it, whatever the QC's own height (B-44). */
    if (proved.height <= members->start.height || proved.height > members->height_last) return BFT_VERIFY_HEIGHT;
    error = qc_signatures_verify(members, signer, &certificate->qc);
    if (error == BFT_VERIFY_OK && ballot != NULL) *ballot = proved;
    return error;
}

/* B-12: by the leader of its view; a TC is of the view before, and then the block stands on its Q*. */
static enum bft_verify_error propose_verify(const struct bft_members *members, const struct signer *signer, const struct bft_propose *propose,
                                            const struct known_qcs *known) {
    enum bft_verify_error error = place_verify(members, &propose->header.place);
    if (error != BFT_VERIFY_OK) return error;
    if (propose->header.height <= members->start.height) return BFT_VERIFY_HEIGHT;
    if (propose->vote.signer != bft_leader(members, propose->header.view)) return BFT_VERIFY_SIGNER;
    if (propose->has_tc) {
        const struct bft_tc *tc = &propose->tc;
        if (propose->header.view == 0 || tc->view != propose->header.view - 1) return BFT_VERIFY_TC;
        const struct bft_hash *base = tc->qc.count > 0 ? &tc->qc.ballot.block_id : &members->start.id;
        uint64_t base_height = tc->qc.count > 0 ? tc->qc.ballot.height : members->start.height;
        if (!bft_hash_equal(&propose->header.parent_id, base) || propose->header.height != base_height + 1) return BFT_VERIFY_TC;
        error = tc_verify(members, signer, tc, known);
        if (error != BFT_VERIFY_OK) return error;
    }
    return bft_vote_verify(members, signer, &propose->vote);
}

static enum bft_verify_error block_verify(const struct bft_members *members, const struct signer *signer, const struct bft_message *message) {
    enum bft_verify_error error = place_verify(members, &message->block.header.place);
    if (error != BFT_VERIFY_OK) return error;
    if (!message->block.has_certificate) return BFT_VERIFY_OK;
    struct bft_ballot proved;
    error = bft_certificate_verify(members, signer, &message->block.certificate, &message->block_id, &proved);
    if (error != BFT_VERIFY_OK) return error;
    struct bft_ballot stated;
    bft_header_ballot(&message->block.header, &message->block_id, &stated);
    return bft_ballot_equal(&stated, &proved) ? BFT_VERIFY_OK : BFT_VERIFY_CHAIN;
}

static enum bft_verify_error status_verify(const struct bft_members *members, const struct signer *signer, const struct bft_status *status) {
    enum bft_verify_error error = place_verify(members, &status->place);
    if (error != BFT_VERIFY_OK) return error;
    if (status->signer >= members->n) return BFT_VERIFY_SIGNER;
    uint8_t preimage[BFT_STATUS_PREIMAGE_BYTES];
    bft_status_preimage(status, preimage);
    bool good = signature_good(members, signer, status->signer, preimage, sizeof preimage, &status->signature);
    return good ? BFT_VERIFY_OK : BFT_VERIFY_SIGNATURE;
}

static enum bft_verify_error noop_verify(const struct bft_members *members, const struct signer *signer, const struct bft_noop *noop) {
    if (memcmp(noop->system_id, members->place.system_id, BFT_SYSTEM_BYTES) != 0) return BFT_VERIFY_SYSTEM;
    if (noop->cluster != members->place.cluster) return BFT_VERIFY_CLUSTER;
    if (noop->epoch != members->place.epoch) return BFT_VERIFY_EPOCH;
    if (noop->signer >= members->n) return BFT_VERIFY_SIGNER;
    uint8_t preimage[BFT_NOOP_PREIMAGE_BYTES];
    bft_noop_preimage(noop, preimage);
    bool good = signature_good(members, signer, noop->signer, preimage, sizeof preimage, &noop->signature);
    return good ? BFT_VERIFY_OK : BFT_VERIFY_SIGNATURE;
}

static enum bft_verify_error fetch_verify(const struct bft_members *members, const struct bft_fetch *fetch) {
    if (memcmp(fetch->system_id, members->place.system_id, BFT_SYSTEM_BYTES) != 0) return BFT_VERIFY_SYSTEM;
    return fetch->cluster == members->place.cluster ? BFT_VERIFY_OK : BFT_VERIFY_CLUSTER;
}

enum bft_verify_error bft_message_verify(const struct bft_members *members, const struct signer *signer, const struct bft_message *message,
                                         const struct bft_qc *const *known, size_t known_count) {
    struct known_qcs list = {known, known_count};
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
        return propose_verify(members, signer, &message->propose, &list);
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        return bft_vote_verify(members, signer, &message->vote);
    case BFT_MESSAGE_QC:
        return qc_verify_unless_known(members, signer, &message->qc, (enum bft_vote_kind)message->qc.kind, &list);
    case BFT_MESSAGE_TIMEOUT:
        return timeout_verify(members, signer, &message->timeout, &list);
    case BFT_MESSAGE_TC:
        return tc_verify(members, signer, &message->tc, &list);
    case BFT_MESSAGE_FETCH:
        return fetch_verify(members, &message->fetch);
    case BFT_MESSAGE_BLOCK:
        return block_verify(members, signer, message);
    case BFT_MESSAGE_STATUS:
        return status_verify(members, signer, &message->status);
    case BFT_MESSAGE_NOOP:
        return noop_verify(members, signer, &message->noop);
    default:
        CHECK(false && "a decoded message");
        return BFT_VERIFY_SYSTEM;
    }
}

static void sign_vote(const struct signer *signer, struct bft_vote *vote) {
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&vote->ballot, (enum bft_vote_kind)vote->kind, preimage);
    signer->sign(signer->context, preimage, sizeof preimage, vote->signature.bytes);
}

void bft_message_sign(const struct signer *signer, struct bft_message *message) {
    uint8_t preimage[BFT_STATUS_PREIMAGE_BYTES];
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
        sign_vote(signer, &message->propose.vote);
        break;
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        sign_vote(signer, &message->vote);
        break;
    case BFT_MESSAGE_TIMEOUT:
        bft_timeout_preimage(&message->timeout.place, message->timeout.view, &message->timeout.high, preimage);
        signer->sign(signer->context, preimage, BFT_TIMEOUT_PREIMAGE_BYTES, message->timeout.signature.bytes);
        break;
    case BFT_MESSAGE_STATUS:
        bft_status_preimage(&message->status, preimage);
        signer->sign(signer->context, preimage, BFT_STATUS_PREIMAGE_BYTES, message->status.signature.bytes);
        break;
    case BFT_MESSAGE_NOOP:
        bft_noop_preimage(&message->noop, preimage);
        signer->sign(signer->context, preimage, BFT_NOOP_PREIMAGE_BYTES, message->noop.signature.bytes);
        break;
    default:
        CHECK(false && "a message that is signed");
    }
}
