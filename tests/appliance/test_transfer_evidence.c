/* A wrong piece that its member signed is kept, and convicts that member and nobody else (P-45; B-81, kind 8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "protocol/evidence.h"
#include "tests/appliance/transfer_world.h"

enum { LIAR = 1, MESSAGE_PIECE_QUERY = 0x010F, MESSAGE_PIECE = 0x0110, QUERIES_MAX = 64 };

static struct checkpoint_piece_query queries[QUERIES_MAX]; /* what the liar was asked last */
static uint32_t query_next;
static struct evidence evidence;

static void queries_note(void) {
    for (uint32_t i = 0; i < tw.mail_count; i++) {
        const struct tw_mail *mail = &tw.mail[i];
        if (mail->type != MESSAGE_PIECE_QUERY || mail->to != LIAR) continue;
        assert_int_equal(checkpoint_piece_query_decode(mail->blob->bytes, mail->blob->count, &queries[query_next++ % QUERIES_MAX]), CHECKPOINT_OK);
    }
}

static size_t piece_bytes; /* so long the liar makes its pieces, by bytes behind the entries; 0: as they are */

/* The last value is another one; signed again by `key`. The blob is taken over. */
static struct blob *piece_alter(struct blob *blob, const struct checkpoint_piece_query *query, struct keyed_signer *key) {
    uint8_t preimage[CHECKPOINT_PIECE_PREIMAGE_BYTES];
    size_t count = blob->count - CHECKPOINT_PIECE_SIGNATURE_BYTES, length = piece_bytes > count ? piece_bytes : count;
    struct signer signer = keyed_signer_of(key);
    struct blob *altered = blob_make(length + CHECKPOINT_PIECE_SIGNATURE_BYTES);
    memset(altered->bytes, 0, altered->count);
    memcpy(altered->bytes, blob->bytes, count);
    altered->bytes[length - 1] ^= 1;
    checkpoint_piece_preimage(tw.system.system_id, query, altered->bytes, length, preimage);
    signer.sign(signer.context, preimage, sizeof preimage, altered->bytes + length);
    blob_drop(blob);
    return altered;
}

/* Until the end; each piece of the liar is wrong, and signed by this key. */
static void run(struct keyed_signer *key) {
    tw_world_open();
    tw_state_fill(&tw.states[0], 5000, 200);
    tw_state_certify(0);
    tw_state_serve(0);
    tw_node_open(TW_TAKER);
    query_next = 0;
    for (uint32_t i = 0; i < 6000 && !tw.done; i++) {
        queries_note();
        tw_step();
        for (uint32_t k = 0; k < tw.mail_count; k++) {
            struct tw_mail *mail = &tw.mail[k];
            bool entries = mail->type == MESSAGE_PIECE && mail->from == LIAR && mail->blob->bytes[40] == CHECKPOINT_ENTRIES &&
                           mail->blob->bytes[41] == CHECKPOINT_PIECE_OK;
            for (uint32_t q = 0; entries && q < QUERIES_MAX; q++) {
                if (bytes_get_le64(mail->blob->bytes) != queries[q].nonce) continue;
                mail->blob = piece_alter(mail->blob, &queries[q], key);
                entries = false;
            }
        }
    }
    assert_true(tw.done);
    tw_taken_is(0);
    assert_int_equal(tw.bad_members, 1u << LIAR);
}

static size_t file_make(uint8_t signer, uint8_t **file) {
    size_t room = 1024 + tw.evidence->count;
    *file = malloc(room);
    assert_non_null(*file);
    struct bytes_writer writer = bytes_writer_of(*file, room);
    evidence_put_piece_head(&writer, NULL, 0, signer);
    bytes_put_raw(&writer, tw.evidence->bytes, tw.evidence->count);
    assert_false(writer.failed);
    return writer.used;
}

static enum evidence_error judged(const uint8_t *file, size_t count) {
    struct signer signer = keyed_signer_of(NULL);
    enum evidence_error error = evidence_decode(file, count, &evidence);
    return error != EVIDENCE_OK ? error : evidence_verify(&evidence, &tw.members, &signer);
}

static void a_wrong_piece_that_was_signed_convicts_its_sender(void **state) {
    (void)state;
    run(&tw.keys[LIAR]);
    assert_int_equal(tw.evidence_count, 1); /* the first is enough */
    assert_int_equal(tw.evidence_member, LIAR);
    uint8_t *file;
    size_t count = file_make(LIAR, &file);
    assert_int_equal(judged(file, count), EVIDENCE_OK);
    assert_int_equal(evidence.kind, EVIDENCE_PIECE);
    assert_int_equal(evidence.signer, LIAR);
    for (size_t at = 0; at < count; at += at < 600 ? 1 : 97) { /* whatever is changed in it, it convicts nobody */
        file[at] ^= 1;
        if (at >= 16) assert_int_not_equal(judged(file, count), EVIDENCE_OK);
        file[at] ^= 1;
    }
    for (size_t cut = 0; cut < count; cut += 211) assert_int_not_equal(judged(file, cut), EVIDENCE_OK);
    free(file);
    count = file_make(LIAR + 1, &file); /* of another member */
    assert_int_equal(judged(file, count), EVIDENCE_BAD_SIGNATURE);
    free(file);
    tw_world_close();
}

/* As it was before the liar altered it: an honest member's own word convicts nobody. */
static void a_piece_that_is_right_convicts_nobody(void **state) {
    (void)state;
    run(&tw.keys[LIAR]);
    uint8_t *file;
    size_t count = file_make(LIAR, &file), signature = count - CHECKPOINT_PIECE_SIGNATURE_BYTES;
    uint8_t preimage[CHECKPOINT_PIECE_PREIMAGE_BYTES];
    struct signer signer = keyed_signer_of(&tw.keys[LIAR]);
    assert_int_equal(judged(file, count), EVIDENCE_OK);
    file[signature - 1] ^= 1;
    checkpoint_piece_preimage(tw.system.system_id, &evidence.piece.query, evidence.piece.bytes, evidence.piece.byte_count, preimage);
    signer.sign(signer.context, preimage, sizeof preimage, file + signature);
    assert_int_equal(judged(file, count), EVIDENCE_NO_CONFLICT);
    free(file);
    tw_world_close();
}

static void what_another_key_signed_is_refused_and_kept_as_nobodys(void **state) {
    (void)state;
    run(&tw.keys[LIAR + 1]);
    assert_int_equal(tw.evidence_count, 0);
    tw_world_close();
}

/* P-45: so long may a piece be. What is longer no honest program sends, and nobody keeps; its sender is named all the same. */
static void a_wrong_piece_is_kept_up_to_the_length_that_one_may_have(void **state) {
    (void)state;
    piece_bytes = CHECKPOINT_ENTRIES_PIECE_BYTES_MAX;
    run(&tw.keys[LIAR]);
    assert_int_equal(tw.evidence_count, 1);
    uint8_t *file;
    size_t count = file_make(LIAR, &file);
    assert_int_equal(judged(file, count), EVIDENCE_OK);
    free(file);
    tw_world_close();
    piece_bytes++;
    run(&tw.keys[LIAR]);
    assert_int_equal(tw.evidence_count, 0);
    tw_world_close();
    piece_bytes = 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_piece_that_was_signed_convicts_its_sender),
        cmocka_unit_test(a_piece_that_is_right_convicts_nobody),
        cmocka_unit_test(what_another_key_signed_is_refused_and_kept_as_nobodys),
        cmocka_unit_test(a_wrong_piece_is_kept_up_to_the_length_that_one_may_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
