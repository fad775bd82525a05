/* Evidence (B-80 to B-84): what convicts, and everything near it that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "protocol/evidence.h"
#include "protocol/leaf.h"
#include "tests/protocol/decided.h"
#include "tests/keyed/keyed_signer.h"

enum { LIAR = 2, VIEW = 7, HEIGHT = 30, ROOM = 4096 };

static struct bft_members members;
static struct keyed_signer keys[4];

static int set_up(void **state) {
    (void)state;
    struct bft_place place = {.cluster = 0x00010000, .epoch = 0};
    memset(place.system_id, 0xA5, sizeof place.system_id);
    memset(place.config_hash.bytes, 0x5A, 32);
    struct bft_point start = {.height = 10};
    uint8_t public_keys[4][SIGNER_PUBLIC_KEY_BYTES];
    for (unsigned i = 0; i < 4; i++) {
        keyed_signer_init(&keys[i], i);
        memcpy(public_keys[i], keys[i].public_key, sizeof public_keys[i]);
    }
    CHECK(bft_members_init(&members, &place, &start, 4, public_keys));
    return 0;
}

static void vote_sign(struct bft_vote *vote, unsigned key) {
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    struct signer signer = keyed_signer_of(&keys[key]);
    bft_vote_preimage(&vote->ballot, (enum bft_vote_kind)vote->kind, preimage);
    signer.sign(signer.context, preimage, sizeof preimage, vote->signature.bytes);
}

static struct bft_vote vote_of(enum bft_vote_kind kind, uint64_t view, uint64_t height, uint8_t id) {
    struct bft_vote vote = {.kind = (uint8_t)kind, .signer = LIAR, .ballot = {.place = members.place, .view = view, .height = height}};
    memset(vote.ballot.block_id.bytes, id, 32);
    memset(vote.ballot.outbox_root.bytes, 0x77, 32);
    vote_sign(&vote, LIAR);
    return vote;
}

static struct bft_timeout timeout_of(uint64_t view, uint64_t high_view, uint64_t high_height, uint8_t id) {
    struct bft_timeout timeout = {.place = members.place, .view = view, .signer = LIAR};
    timeout.high.view = high_view;
    timeout.high.block.height = high_height;
    memset(timeout.high.block.id.bytes, id, 32);
    uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
    struct signer signer = keyed_signer_of(&keys[LIAR]);
    bft_timeout_preimage(&timeout.place, timeout.view, &timeout.high, preimage);
    signer.sign(signer.context, preimage, sizeof preimage, timeout.signature.bytes);
    return timeout;
}

static enum evidence_error judged(const uint8_t *bytes, size_t count) {
    struct evidence evidence;
    struct signer signer = keyed_signer_of(&keys[0]);
    enum evidence_error error = evidence_decode(bytes, count, &evidence);
    return error == EVIDENCE_OK ? evidence_verify(&evidence, &members, &signer) : error;
}

static void convicts(const uint8_t *bytes, size_t count, enum evidence_kind kind) {
    struct evidence evidence;
    assert_int_equal(evidence_decode(bytes, count, &evidence), EVIDENCE_OK);
    assert_int_equal(evidence.kind, kind);
    assert_int_equal(evidence.signer, LIAR);
    assert_int_equal(judged(bytes, count), EVIDENCE_OK);
}

/* No flipped bit leaves evidence that convicts; no cut does. */
static void only_whole(const uint8_t *bytes, size_t count) {
    uint8_t copy[ROOM];
    for (size_t bit = 0; bit < count * 8; bit++) {
        memcpy(copy, bytes, count);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(judged(copy, count), EVIDENCE_OK);
    }
    for (size_t cut = 0; cut < count; cut++) assert_int_not_equal(judged(bytes, cut), EVIDENCE_OK);
    memcpy(copy, bytes, count);
    copy[count] = 0;
    assert_int_equal(judged(copy, count + 1), EVIDENCE_TRUNCATED);
}

static void two_votes_for_one_place_convict(void **state) {
    (void)state;
    for (enum bft_vote_kind kind = BFT_PREPARE; kind <= BFT_COMMIT; kind++) {
        struct bft_vote a = vote_of(kind, VIEW, HEIGHT, 1), b = vote_of(kind, VIEW, HEIGHT, 2);
        uint8_t bytes[ROOM], other[ROOM];
        struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes), again = bytes_writer_of(other, sizeof other);
        evidence_put_votes(&writer, NULL, 0, &a, &b);
        evidence_put_votes(&again, NULL, 0, &b, &a);
        assert_int_equal(writer.used, again.used);
        assert_memory_equal(bytes, other, writer.used); /* one content, one encoding */
        convicts(bytes, writer.used, kind == BFT_PREPARE ? EVIDENCE_TWO_PREPARES : EVIDENCE_TWO_COMMITS);
        only_whole(bytes, writer.used);
    }
}

static void votes_that_an_honest_member_gives_do_not(void **state) {
    (void)state;
    struct bft_vote a = vote_of(BFT_COMMIT, VIEW, HEIGHT, 1);
    struct bft_vote same = a, later = vote_of(BFT_COMMIT, VIEW + 1, HEIGHT, 2), higher = vote_of(BFT_COMMIT, VIEW, HEIGHT + 1, 2);
    struct bft_vote prepare = vote_of(BFT_PREPARE, VIEW, HEIGHT, 2), another = vote_of(BFT_COMMIT, VIEW, HEIGHT, 2);
    another.signer = 1;
    assert_false(evidence_votes_conflict(&a, &same));
    assert_false(evidence_votes_conflict(&a, &later));
    assert_false(evidence_votes_conflict(&a, &higher));
    assert_false(evidence_votes_conflict(&a, &prepare));
    assert_false(evidence_votes_conflict(&a, &another));
    struct bft_vote epoch = vote_of(BFT_COMMIT, VIEW, HEIGHT, 2);
    epoch.ballot.place.epoch = 1;
    assert_false(evidence_votes_conflict(&a, &epoch));
}

static void two_timeouts_of_one_view_convict(void **state) {
    (void)state;
    struct bft_timeout a = timeout_of(VIEW, 3, 12, 1), b = timeout_of(VIEW, 3, 12, 2), next = timeout_of(VIEW + 1, 3, 12, 2);
    uint8_t bytes[ROOM];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    evidence_put_timeouts(&writer, NULL, 0, &a, &b);
    convicts(bytes, writer.used, EVIDENCE_TWO_TIMEOUTS);
    only_whole(bytes, writer.used);
    assert_false(evidence_timeouts_conflict(&a, &next));
    assert_false(evidence_timeouts_conflict(&a, &a));
}

static void a_timeout_that_hides_a_commit_convicts(void **state) {
    (void)state;
    struct bft_vote commit = vote_of(BFT_COMMIT, VIEW, HEIGHT, 1);
    struct bft_timeout hides = timeout_of(VIEW, VIEW, HEIGHT - 1, 2), later = timeout_of(VIEW + 5, 3, 100, 2);
    uint8_t bytes[ROOM];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    evidence_put_commit_timeout(&writer, NULL, 0, &commit, &hides);
    convicts(bytes, writer.used, EVIDENCE_COMMIT_AND_TIMEOUT);
    only_whole(bytes, writer.used);
    assert_true(evidence_commit_timeout_conflict(&commit, &later));
    /* An honest member's: its high is at least what it committed; a TIMEOUT of an earlier view came before; a PREPARE raises no high. */
    struct bft_timeout equal = timeout_of(VIEW, VIEW, HEIGHT, 1), above = timeout_of(VIEW + 1, VIEW + 1, 12, 2);
    struct bft_timeout before = timeout_of(VIEW - 1, 3, 12, 2);
    struct bft_vote prepare = vote_of(BFT_PREPARE, VIEW, HEIGHT, 1);
    assert_false(evidence_commit_timeout_conflict(&commit, &equal));
    assert_false(evidence_commit_timeout_conflict(&commit, &above));
    assert_false(evidence_commit_timeout_conflict(&commit, &before));
    assert_false(evidence_commit_timeout_conflict(&prepare, &hides));
}

static void nobody_is_convicted_by_anothers_signature_or_of_another_place(void **state) {
    (void)state;
    struct bft_vote a = vote_of(BFT_COMMIT, VIEW, HEIGHT, 1), b = vote_of(BFT_COMMIT, VIEW, HEIGHT, 2);
    vote_sign(&b, 1);
    uint8_t bytes[ROOM];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    evidence_put_votes(&writer, NULL, 0, &a, &b);
    assert_int_equal(judged(bytes, writer.used), EVIDENCE_BAD_SIGNATURE);
    b = vote_of(BFT_COMMIT, VIEW, HEIGHT, 2);
    a.signer = b.signer = 4;
    writer = bytes_writer_of(bytes, sizeof bytes);
    evidence_put_votes(&writer, NULL, 0, &a, &b);
    assert_int_equal(judged(bytes, writer.used), EVIDENCE_BAD_SIGNER);
    a.signer = b.signer = LIAR;
    a.ballot.place.cluster = b.ballot.place.cluster = 0x00010001;
    vote_sign(&a, LIAR);
    vote_sign(&b, LIAR);
    writer = bytes_writer_of(bytes, sizeof bytes);
    evidence_put_votes(&writer, NULL, 0, &a, &b);
    assert_int_equal(judged(bytes, writer.used), EVIDENCE_BAD_SIGNER);
}

static struct leaf leaf_to(uint64_t dseq) {
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .destination = 0x00020000, .dseq = dseq};
    return leaf;
}

static size_t slice_evidence(const struct decider *decider, const uint8_t *slice, size_t slice_bytes, uint8_t *out) {
    struct decided_how how = {0};
    struct leaf leaf = leaf_to(3);
    size_t count;
    uint8_t *decision = decided_make(decider, &how, &leaf, 0, 2, slice, slice_bytes, &count);
    struct bytes_writer writer = bytes_writer_of(out, ROOM);
    evidence_put_slice_head(&writer, NULL, 0);
    bytes_put_raw(&writer, decision, count);
    free(decision);
    assert_false(writer.failed);
    return writer.used;
}

static void a_certified_slice_that_does_not_parse_convicts_the_cluster(void **state) {
    (void)state;
    struct decider decider;
    decider_init(&decider, 5, 0x00010000, 4);
    struct signer signer = signer_ed25519(NULL);
    struct evidence evidence;
    uint8_t slice[SLICE_HEAD_BYTES + SLICE_ITEM_HEAD_BYTES + 4] = {0}, bytes[ROOM];
    slice_head_encode(slice, 1, 0);
    slice_item_head_encode(slice + SLICE_HEAD_BYTES, 5, SLICE_READ); /* one byte more than there is */
    size_t count = slice_evidence(&decider, slice, sizeof slice, bytes);
    assert_int_equal(evidence_decode(bytes, count, &evidence), EVIDENCE_OK);
    assert_int_equal(evidence.signer, EVIDENCE_NOBODY);
    assert_int_equal(evidence_verify(&evidence, &decider.members, &signer), EVIDENCE_OK);
    bytes[count - 1] ^= 1; /* not what was certified */
    assert_int_equal(evidence_decode(bytes, count, &evidence), EVIDENCE_OK);
    assert_int_equal(evidence_verify(&evidence, &decider.members, &signer), EVIDENCE_BAD_DECISION);
    slice_item_head_encode(slice + SLICE_HEAD_BYTES, 4, SLICE_READ);
    count = slice_evidence(&decider, slice, sizeof slice, bytes);
    assert_int_equal(evidence_decode(bytes, count, &evidence), EVIDENCE_NO_CONFLICT);
}

static void two_certified_slices_under_one_number_convict_it_too(void **state) {
    (void)state;
    struct decider decider;
    decider_init(&decider, 6, 0x00010000, 4);
    struct signer signer = signer_ed25519(NULL);
    struct decided_how how = {0};
    struct leaf first = leaf_to(3), second = leaf_to(3), third = leaf_to(4);
    uint8_t slice[SLICE_HEAD_BYTES], bytes[ROOM];
    size_t counts[3];
    slice_head_encode(slice, 0, 1);
    uint8_t *a = decided_make(&decider, &how, &first, 0, 1, slice, sizeof slice, &counts[0]);
    slice_head_encode(slice, 0, 2);
    decider.height++;
    uint8_t *b = decided_make(&decider, &how, &second, 0, 1, slice, sizeof slice, &counts[1]);
    uint8_t *c = decided_make(&decider, &how, &third, 0, 1, slice, sizeof slice, &counts[2]);
    struct decision x, y, z;
    struct evidence evidence;
    assert_int_equal(decision_decode(a, counts[0], &x), DECISION_OK);
    assert_int_equal(decision_decode(b, counts[1], &y), DECISION_OK);
    assert_int_equal(decision_decode(c, counts[2], &z), DECISION_OK);
    assert_false(evidence_decisions_conflict(&x, &z));
    assert_false(evidence_decisions_conflict(&x, &x));
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    evidence_put_decisions(&writer, NULL, 0, &y, &x);
    assert_int_equal(evidence_decode(bytes, writer.used, &evidence), EVIDENCE_OK);
    assert_int_equal(evidence_verify(&evidence, &decider.members, &signer), EVIDENCE_OK);
    struct decider stranger;
    decider_init(&stranger, 7, 0x00010000, 4);
    stranger.members.place = decider.members.place;
    assert_int_equal(evidence_verify(&evidence, &stranger.members, &signer), EVIDENCE_BAD_DECISION);
    free(a);
    free(b);
    free(c);
}

/* A checkpoint of so many items as a manifest may have, its child certified, in `out`; the hash of its manifest. */
static size_t largest_checkpoint(uint8_t *out, size_t room, uint8_t hash[32]) {
    static struct checkpoint_shown shown;
    uint8_t *items = malloc((size_t)CHECKPOINT_ITEMS_MAX * CHECKPOINT_ITEM_BYTES), preimage[BFT_VOTE_PREIMAGE_BYTES];
    CHECK(items != NULL);
    for (uint32_t i = 0; i < CHECKPOINT_ITEMS_MAX; i++) {
        struct checkpoint_item item = {.kind = CHECKPOINT_SLICE, .cluster = 0x00020000, .dseq = 1 + i, .bytes = 16};
        checkpoint_item_encode(&item, items + (size_t)i * CHECKPOINT_ITEM_BYTES);
    }
    shown.header = (struct bft_header){.place = members.place, .height = HEIGHT};
    struct bft_hash id = bft_header_id(&shown.header);
    shown.child = (struct bft_header){.place = members.place, .height = HEIGHT + 1, .parent_id = id};
    shown.manifest = (struct checkpoint_manifest){.cluster = members.place.cluster, .height = HEIGHT, .item_count = CHECKPOINT_ITEMS_MAX};
    shown.manifest.items = items;
    memcpy(shown.manifest.system_id, members.place.system_id, BFT_SYSTEM_BYTES);
    memcpy(shown.manifest.block_id, id.bytes, 32);
    id = bft_header_id(&shown.child);
    struct bft_qc *qc = &shown.certificate.qc;
    qc->kind = BFT_COMMIT;
    qc->count = 3;
    bft_header_ballot(&shown.child, &id, &qc->ballot);
    bft_vote_preimage(&qc->ballot, BFT_COMMIT, preimage);
    for (uint8_t i = 0; i < 3; i++) {
        struct signer signer = keyed_signer_of(&keys[i]);
        qc->signers[i] = i;
        signer.sign(signer.context, preimage, sizeof preimage, qc->signatures[i].bytes);
    }
    struct bytes_writer writer = bytes_writer_of(out, room);
    checkpoint_message_head_put(&writer, 0, 1);
    bytes_put_u32(&writer, CHECKPOINT_MANIFEST_HEAD_BYTES + CHECKPOINT_ITEMS_MAX * CHECKPOINT_ITEM_BYTES);
    size_t at = writer.used;
    checkpoint_manifest_put(&writer, &shown.manifest);
    if (!writer.failed) checkpoint_manifest_hash(out + at, writer.used - at, hash);
    checkpoint_proof_put(&writer, &shown);
    assert_false(writer.failed);
    free(items);
    return writer.used;
}

/* Whatever the checkpoint and whatever the piece, there is room for it (EVIDENCE_BYTES_MAX), and it convicts. */
static void a_wrong_piece_of_the_largest_checkpoint_there_can_be_convicts(void **state) {
    (void)state;
    uint8_t *shown = malloc(EVIDENCE_CHECKPOINT_BYTES_MAX), *file = malloc(EVIDENCE_BYTES_MAX);
    uint8_t *piece = calloc(1, CHECKPOINT_ENTRIES_PIECE_BYTES_MAX);
    uint8_t preimage[CHECKPOINT_PIECE_PREIMAGE_BYTES], signature[SIGNER_SIGNATURE_BYTES];
    struct checkpoint_piece_query query = {.nonce = 7};
    struct checkpoint_piece head = {.nonce = 7};
    struct signer signer = keyed_signer_of(&keys[LIAR]);
    CHECK(shown != NULL && piece != NULL && file != NULL);
    size_t shown_bytes = largest_checkpoint(shown, EVIDENCE_CHECKPOINT_BYTES_MAX, query.manifest_hash);
    memcpy(head.manifest_hash, query.manifest_hash, 32);
    struct bytes_writer writer = bytes_writer_of(piece, CHECKPOINT_PIECE_HEAD_BYTES);
    checkpoint_piece_head_put(&writer, &head);
    checkpoint_piece_preimage(members.place.system_id, &query, piece, CHECKPOINT_ENTRIES_PIECE_BYTES_MAX, preimage);
    signer.sign(signer.context, preimage, sizeof preimage, signature);
    writer = bytes_writer_of(file, EVIDENCE_BYTES_MAX);
    evidence_put_piece_head(&writer, NULL, 0, LIAR);
    evidence_put_piece_items(&writer, shown, shown_bytes, &query, piece, CHECKPOINT_ENTRIES_PIECE_BYTES_MAX, signature);
    assert_false(writer.failed);
    assert_true(writer.used > 50u << 20 && writer.used <= EVIDENCE_BYTES_MAX - EVIDENCE_CHAIN_BYTES_MAX);
    convicts(file, writer.used, EVIDENCE_PIECE);
    file[1000] ^= 1; /* an item of the manifest */
    assert_int_not_equal(judged(file, writer.used), EVIDENCE_OK);
    free(shown);
    free(piece);
    free(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_votes_for_one_place_convict),
        cmocka_unit_test(votes_that_an_honest_member_gives_do_not),
        cmocka_unit_test(two_timeouts_of_one_view_convict),
        cmocka_unit_test(a_timeout_that_hides_a_commit_convicts),
        cmocka_unit_test(nobody_is_convicted_by_anothers_signature_or_of_another_place),
        cmocka_unit_test(a_certified_slice_that_does_not_parse_convicts_the_cluster),
        cmocka_unit_test(two_certified_slices_under_one_number_convict_it_too),
        cmocka_unit_test(a_wrong_piece_of_the_largest_checkpoint_there_can_be_convicts),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
