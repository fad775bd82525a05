#include "protocol/last_signed.h"
#include "merkle/check.h"

enum { HAS_PREPARE = 1, HAS_COMMIT = 2, HAS_TIMEOUT = 4, HAS_ALL = 7 };

const char *last_signed_error_name(enum last_signed_error error) {
    switch (error) {
    case LAST_SIGNED_OK: return "ok";
    case LAST_SIGNED_BAD_BYTES: return "bad_bytes";
    case LAST_SIGNED_BAD_FIELD: return "bad_field";
    case LAST_SIGNED_BAD_QUERY: return "bad_query";
    case LAST_SIGNED_BAD_SIGNER: return "bad_signer";
    case LAST_SIGNED_BAD_SIGNATURE: return "bad_signature";
    case LAST_SIGNED_BAD_ITEM: return "bad_item";
    }
    return "unknown";
}

/* Query. */

void last_signed_query_encode(const struct last_signed_query *query, uint8_t out[LAST_SIGNED_QUERY_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(out, LAST_SIGNED_QUERY_BYTES);
    bytes_put_raw(&writer, query->system_id, BFT_SYSTEM_BYTES);
    bytes_put_u32(&writer, query->cluster);
    bytes_put_u64(&writer, query->epoch);
    bytes_put_u8(&writer, query->asker);
    bytes_put_u8(&writer, 0);
    bytes_put_u16(&writer, 0);
    bytes_put_raw(&writer, query->nonce, LAST_SIGNED_NONCE_BYTES);
    CHECK(!writer.failed && writer.used == LAST_SIGNED_QUERY_BYTES);
}

enum last_signed_error last_signed_query_decode(const void *bytes, size_t count, struct last_signed_query *query) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct last_signed_query read = {0};
    (void)bytes_get_copy(&cursor, read.system_id, BFT_SYSTEM_BYTES);
    read.cluster = bytes_get_u32(&cursor);
    read.epoch = bytes_get_u64(&cursor);
    read.asker = bytes_get_u8(&cursor);
    uint8_t zero_first = bytes_get_u8(&cursor);
    uint16_t zero_rest = bytes_get_u16(&cursor);
    (void)bytes_get_copy(&cursor, read.nonce, LAST_SIGNED_NONCE_BYTES);
    if (!bytes_finished(&cursor)) return LAST_SIGNED_BAD_BYTES;
    if (read.asker >= BFT_MEMBERS_MAX || zero_first != 0 || zero_rest != 0) return LAST_SIGNED_BAD_FIELD;
    *query = read;
    return LAST_SIGNED_OK;
}

/* Items: what was signed, without the tag, then the signature. */

void last_signed_vote_put(struct bytes_writer *writer, const struct bft_vote *vote) {
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&vote->ballot, (enum bft_vote_kind)vote->kind, preimage);
    bytes_put_raw(writer, preimage + SIGNER_TAG_BYTES, BFT_BALLOT_BYTES);
    bytes_put_raw(writer, vote->signature.bytes, SIGNER_SIGNATURE_BYTES);
}

static void place_get(struct bytes_cursor *cursor, struct bft_place *place) {
    (void)bytes_get_copy(cursor, place->system_id, BFT_SYSTEM_BYTES);
    (void)bytes_get_hash(cursor, place->config_hash.bytes);
    place->cluster = bytes_get_u32(cursor);
    place->epoch = bytes_get_u64(cursor);
}

void last_signed_vote_get(struct bytes_cursor *cursor, struct bft_vote *vote, enum bft_vote_kind kind, uint8_t signer) {
    place_get(cursor, &vote->ballot.place);
    vote->ballot.view = bytes_get_u64(cursor);
    vote->ballot.height = bytes_get_u64(cursor);
    (void)bytes_get_hash(cursor, vote->ballot.block_id.bytes);
    (void)bytes_get_hash(cursor, vote->ballot.outbox_root.bytes);
    (void)bytes_get_copy(cursor, vote->signature.bytes, SIGNER_SIGNATURE_BYTES);
    vote->kind = (uint8_t)kind;
    vote->signer = signer;
}

void last_signed_timeout_put(struct bytes_writer *writer, const struct bft_timeout *timeout) {
    uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
    bft_timeout_preimage(&timeout->place, timeout->view, &timeout->high, preimage);
    bytes_put_raw(writer, preimage + SIGNER_TAG_BYTES, BFT_TIMEOUT_PREIMAGE_BYTES - SIGNER_TAG_BYTES);
    bytes_put_raw(writer, timeout->signature.bytes, SIGNER_SIGNATURE_BYTES);
}

void last_signed_timeout_get(struct bytes_cursor *cursor, struct bft_timeout *timeout, uint8_t signer) {
    place_get(cursor, &timeout->place);
    timeout->view = bytes_get_u64(cursor);
    timeout->high.view = bytes_get_u64(cursor);
    timeout->high.block.height = bytes_get_u64(cursor);
    (void)bytes_get_hash(cursor, timeout->high.block.id.bytes);
    (void)bytes_get_copy(cursor, timeout->signature.bytes, SIGNER_SIGNATURE_BYTES);
    timeout->signer = signer;
}

/* Answer. */

/* All but the signature, after the tag, which is how it is signed. Returns the whole length, tag included. */
static size_t answer_preimage(const struct last_signed_answer *answer, uint8_t *out, size_t room) {
    struct bytes_writer writer = bytes_writer_of(out, room);
    bytes_put_raw(&writer, signer_tag_bytes(SIGNER_TAG_LAST_SIGNED), SIGNER_TAG_BYTES);
    bytes_put_raw(&writer, answer->query.system_id, BFT_SYSTEM_BYTES);
    bytes_put_u32(&writer, answer->query.cluster);
    bytes_put_u64(&writer, answer->query.epoch);
    bytes_put_u8(&writer, answer->query.asker);
    bytes_put_u8(&writer, answer->signer);
    bytes_put_u8(&writer, (uint8_t)((answer->has_prepare ? HAS_PREPARE : 0) | (answer->has_commit ? HAS_COMMIT : 0) |
                                    (answer->has_timeout ? HAS_TIMEOUT : 0)));
    bytes_put_u8(&writer, 0);
    bytes_put_raw(&writer, answer->query.nonce, LAST_SIGNED_NONCE_BYTES);
    if (answer->has_prepare) last_signed_vote_put(&writer, &answer->prepare);
    if (answer->has_commit) last_signed_vote_put(&writer, &answer->commit);
    if (answer->has_timeout) last_signed_timeout_put(&writer, &answer->timeout);
    CHECK(!writer.failed);
    return writer.used;
}

size_t last_signed_answer_sign(const struct signer *signer, struct last_signed_answer *answer, uint8_t out[LAST_SIGNED_ANSWER_BYTES_MAX]) {
    uint8_t preimage[SIGNER_TAG_BYTES + LAST_SIGNED_ANSWER_BYTES_MAX];
    CHECK(!answer->has_prepare || answer->prepare.kind == BFT_PREPARE);
    CHECK(!answer->has_commit || answer->commit.kind == BFT_COMMIT);
    size_t bytes = answer_preimage(answer, preimage, sizeof preimage);
    signer->sign(signer->context, preimage, bytes, answer->signature);
    memcpy(out, preimage + SIGNER_TAG_BYTES, bytes - SIGNER_TAG_BYTES);
    memcpy(out + bytes - SIGNER_TAG_BYTES, answer->signature, SIGNER_SIGNATURE_BYTES);
    return bytes - SIGNER_TAG_BYTES + SIGNER_SIGNATURE_BYTES;
}

enum last_signed_error last_signed_answer_decode(const void *bytes, size_t count, struct last_signed_answer *answer) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct last_signed_answer read;
    memset(&read, 0, sizeof read);
    (void)bytes_get_copy(&cursor, read.query.system_id, BFT_SYSTEM_BYTES);
    read.query.cluster = bytes_get_u32(&cursor);
    read.query.epoch = bytes_get_u64(&cursor);
    read.query.asker = bytes_get_u8(&cursor);
    read.signer = bytes_get_u8(&cursor);
    uint8_t present = bytes_get_u8(&cursor);
    uint8_t zero = bytes_get_u8(&cursor);
    (void)bytes_get_copy(&cursor, read.query.nonce, LAST_SIGNED_NONCE_BYTES);
    if (cursor.failed) return LAST_SIGNED_BAD_BYTES;
    if (read.query.asker >= BFT_MEMBERS_MAX || read.signer >= BFT_MEMBERS_MAX || read.signer == read.query.asker) return LAST_SIGNED_BAD_FIELD;
    if ((present & ~HAS_ALL) != 0 || zero != 0) return LAST_SIGNED_BAD_FIELD;
    read.has_prepare = present & HAS_PREPARE;
    read.has_commit = present & HAS_COMMIT;
    read.has_timeout = present & HAS_TIMEOUT;
    if (read.has_prepare) last_signed_vote_get(&cursor, &read.prepare, BFT_PREPARE, read.query.asker);
    if (read.has_commit) last_signed_vote_get(&cursor, &read.commit, BFT_COMMIT, read.query.asker);
    if (read.has_timeout) last_signed_timeout_get(&cursor, &read.timeout, read.query.asker);
    (void)bytes_get_copy(&cursor, read.signature, SIGNER_SIGNATURE_BYTES);
    if (!bytes_finished(&cursor)) return LAST_SIGNED_BAD_BYTES;
    *answer = read;
    return LAST_SIGNED_OK;
}

static bool same_query(const struct last_signed_query *a, const struct last_signed_query *b) {
    return memcmp(a->system_id, b->system_id, BFT_SYSTEM_BYTES) == 0 && a->cluster == b->cluster && a->epoch == b->epoch && a->asker == b->asker &&
           memcmp(a->nonce, b->nonce, LAST_SIGNED_NONCE_BYTES) == 0;
}

static bool of_this_cluster(const struct bft_place *place, const struct last_signed_query *query) {
    return memcmp(place->system_id, query->system_id, BFT_SYSTEM_BYTES) == 0 && place->cluster == query->cluster;
}

static bool vote_is_of(const uint8_t key[SIGNER_PUBLIC_KEY_BYTES], const struct signer *signer, const struct last_signed_query *query,
                       const struct bft_vote *vote) {
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    if (!of_this_cluster(&vote->ballot.place, query)) return false;
    bft_vote_preimage(&vote->ballot, (enum bft_vote_kind)vote->kind, preimage);
    return signer->verify(signer->context, key, preimage, sizeof preimage, vote->signature.bytes);
}

static bool timeout_is_of(const uint8_t key[SIGNER_PUBLIC_KEY_BYTES], const struct signer *signer, const struct last_signed_query *query,
                          const struct bft_timeout *timeout) {
    uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
    if (!of_this_cluster(&timeout->place, query)) return false;
    bft_timeout_preimage(&timeout->place, timeout->view, &timeout->high, preimage);
    return signer->verify(signer->context, key, preimage, sizeof preimage, timeout->signature.bytes);
}

enum last_signed_error last_signed_answer_verify(const struct bft_members *members, const struct signer *signer,
                                                 const struct last_signed_query *query, const struct last_signed_answer *answer) {
    CHECK(members->place.epoch == query->epoch && query->asker < members->n);
    if (!same_query(query, &answer->query)) return LAST_SIGNED_BAD_QUERY;
    if (answer->signer >= members->n || answer->signer == query->asker) return LAST_SIGNED_BAD_SIGNER;
    uint8_t preimage[SIGNER_TAG_BYTES + LAST_SIGNED_ANSWER_BYTES_MAX];
    size_t bytes = answer_preimage(answer, preimage, sizeof preimage);
    if (!signer->verify(signer->context, members->keys[answer->signer], preimage, bytes, answer->signature)) return LAST_SIGNED_BAD_SIGNATURE;
    const uint8_t *own = members->keys[query->asker];
    if (answer->has_prepare && !vote_is_of(own, signer, query, &answer->prepare)) return LAST_SIGNED_BAD_ITEM;
    if (answer->has_commit && !vote_is_of(own, signer, query, &answer->commit)) return LAST_SIGNED_BAD_ITEM;
    if (answer->has_timeout && !timeout_is_of(own, signer, query, &answer->timeout)) return LAST_SIGNED_BAD_ITEM;
    return LAST_SIGNED_OK;
}

/* Rank (epoch, view, height). */
static int rank_compare(const struct bft_ballot *a, const struct bft_ballot *b) {
    if (a->place.epoch != b->place.epoch) return a->place.epoch < b->place.epoch ? -1 : 1;
    return bft_rank_compare(a->view, a->height, b->view, b->height);
}

static enum last_signed_verdict judge_vote(const struct bft_memory *memory, bool has, const struct bft_ballot *own, const struct bft_ballot *item) {
    /* The memory is of one epoch: what was signed in an earlier one is older than all of it. */
    if (item->place.epoch < memory->place.epoch) return LAST_SIGNED_KNOWN;
    int order = has ? rank_compare(item, own) : 1;
    if (order > 0) return LAST_SIGNED_NEWER;
    if (order == 0 && !bft_ballot_equal(item, own)) return LAST_SIGNED_OTHER;
    return LAST_SIGNED_KNOWN;
}

static enum last_signed_verdict judge_timeout(const struct bft_memory *memory, const struct bft_timeout *item) {
    if (item->place.epoch < memory->place.epoch) return LAST_SIGNED_KNOWN;
    if (item->place.epoch > memory->place.epoch || item->view > memory->view) return LAST_SIGNED_NEWER;
    if (item->view < memory->view) return LAST_SIGNED_KNOWN;
    if (!memory->timed_out) return LAST_SIGNED_NEWER;
    bool same = item->high.view == memory->timeout_high.view && bft_point_equal(&item->high.block, &memory->timeout_high.block) &&
                bft_place_equal(&item->place, &memory->place);
    return same ? LAST_SIGNED_KNOWN : LAST_SIGNED_OTHER;
}

enum last_signed_verdict last_signed_judge(const struct bft_memory *memory, const struct last_signed_answer *answer) {
    if (!memory) return answer->has_prepare || answer->has_commit || answer->has_timeout ? LAST_SIGNED_NEWER : LAST_SIGNED_KNOWN;
    enum last_signed_verdict verdict = LAST_SIGNED_KNOWN;
    if (answer->has_prepare) verdict = judge_vote(memory, memory->has_prepared, &memory->prepared, &answer->prepare.ballot);
    if (verdict == LAST_SIGNED_KNOWN && answer->has_commit) {
        verdict = judge_vote(memory, memory->has_committed, &memory->committed, &answer->commit.ballot);
    }
    if (verdict == LAST_SIGNED_KNOWN && answer->has_timeout) verdict = judge_timeout(memory, &answer->timeout);
    return verdict;
}

bool last_signed_vote_newer(const struct bft_vote *item, const struct bft_vote *held) {
    return rank_compare(&item->ballot, &held->ballot) > 0;
}

bool last_signed_timeout_newer(const struct bft_timeout *item, const struct bft_timeout *held) {
    if (item->place.epoch != held->place.epoch) return item->place.epoch > held->place.epoch;
    return item->view > held->view;
}
