/* Handles that were opened beside one another share what the system file says and which signatures verified (heraclius_options.beside): nothing that
 * does not verify for the one passes for the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "merkle/check.h"
#include "protocol/keyfile.h"
#include "tests/client/fake.h"

enum { RESEND_MS = 200, LONG_MS = 8000 };

static struct fake *fake;
static char other_key[640];

static int set_up(void **state) {
    (void)state;
    fake = fake_start(&(struct fake_options){0});
    snprintf(other_key, sizeof other_key, "%s/other.key", fake->folder);
    CHECK(keyfile_create(&fake->fixture->clients[1], other_key, NULL) == SYSTEM_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char path[700];
    static const char *const ends[] = {"", ".journal", ".chain"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", other_key, ends[i]);
        (void)unlink(path);
    }
    fake_stop(fake);
    return 0;
}

static struct heraclius *open_beside(struct heraclius *first) {
    struct heraclius *db;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius_options options = {.system_path = fake->system_path, .key_path = other_key, .resend_ms = RESEND_MS, .beside = first};
    if (heraclius_open(&db, &options, why) != HERACLIUS_OK) fail_msg("%s", why);
    return db;
}

static void absent(struct heraclius *db, const char *key) {
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_get(request, key, strlen(key), 100, false);
    enum heraclius_status status = heraclius_call(request, LONG_MS);
    if (status != HERACLIUS_DONE) fail_msg("%s: %s", heraclius_status_name(status), heraclius_why(request));
    assert_int_equal(heraclius_result_at(request, 0)->code, HERACLIUS_CODE_ABSENT);
    heraclius_request_free(request);
}

static void either_may_be_closed_first(void **state) {
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct heraclius *first = fake_open(fake, RESEND_MS), *second = open_beside(first);
        assert_ptr_equal(first->system, second->system);
        absent(first, "a/1");
        absent(second, "a/2");
        heraclius_close(order ? second : first);
        absent(order ? first : second, "a/3");
        heraclius_close(order ? first : second);
    }
}

static void one_that_cannot_be_opened_leaves_the_first_as_it_was(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *first = fake_open(fake, RESEND_MS), *none;
    for (int i = 0; i < 3; i++) {
        struct heraclius_options options = {.system_path = fake->system_path, .key_path = "/nonexistent/key", .beside = first};
        assert_int_equal(heraclius_open(&none, &options, why), HERACLIUS_BAD_FILE);
        assert_null(none);
        options.key_path = fake->key_path; /* its own */
        assert_int_equal(heraclius_open(&none, &options, why), HERACLIUS_KEY_IN_USE);
    }
    assert_int_equal(first->shared->handles, 1);
    absent(first, "a/1");
    heraclius_close(first);
}

static void a_signature_is_known_only_if_key_bytes_and_signature_are_the_same(void **state) {
    (void)state;
    struct heraclius *first = fake_open(fake, RESEND_MS), *second = open_beside(first);
    const struct signer *signer = &first->signer, *other = &second->signer;
    uint8_t bytes[BFT_VOTE_PREIMAGE_BYTES + 1], signature[SIGNER_SIGNATURE_BYTES], key[SIGNER_PUBLIC_KEY_BYTES];
    for (size_t count = 16; count <= sizeof bytes; count += 47) { /* 157 at the end: too long to be kept */
        memset(bytes, (int)count, sizeof bytes);
        memcpy(key, first->key.signing_key, sizeof key);
        signer->sign(signer->context, bytes, count, signature);
        for (int again = 0; again < 3; again++) {
            assert_true(signer->verify(signer->context, key, bytes, count, signature));
            assert_true(other->verify(other->context, key, bytes, count, signature));
            assert_false(other->verify(other->context, key, bytes, count - 1, signature));
            assert_false(other->verify(other->context, second->key.signing_key, bytes, count, signature));
            for (size_t at = 0; at < sizeof signature; at += 7) {
                signature[at] ^= 1;
                assert_false(other->verify(other->context, key, bytes, count, signature));
                assert_false(other->verify(other->context, key, bytes, count, signature)); /* what failed is not kept */
                signature[at] ^= 1;
            }
            for (size_t at = 0; at < count; at += 5) {
                bytes[at] ^= 1;
                assert_false(other->verify(other->context, key, bytes, count, signature));
                bytes[at] ^= 1;
            }
        }
    }
    heraclius_close(second);
    heraclius_close(first);
}

static void what_is_known_is_looked_up(void **state) {
    (void)state;
    struct heraclius *first = fake_open(fake, RESEND_MS), *second = open_beside(first);
    uint8_t bytes[64] = {7}, signature[SIGNER_SIGNATURE_BYTES];
    first->signer.sign(first, bytes, sizeof bytes, signature);
    assert_true(first->signer.verify(first, first->key.signing_key, bytes, sizeof bytes, signature));
    second->signer_plain.verify = NULL; /* it is not asked any more */
    assert_true(second->signer.verify(second, first->key.signing_key, bytes, sizeof bytes, signature));
    heraclius_close(second);
    heraclius_close(first);
}

static void liars_are_found_out_by_the_second_as_by_the_first(void **state) {
    (void)state;
    static const enum fake_act acts[] = {FAKE_FEW, FAKE_STRANGERS, FAKE_PREPARE, FAKE_PROOF, FAKE_SLICE, FAKE_CLUSTER};
    struct heraclius *first = fake_open(fake, RESEND_MS);
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        struct heraclius *second = open_beside(first);
        struct heraclius_counters counters;
        fake_play(fake, -1, (struct fake_script){0});
        absent(first, "a/1");
        absent(second, "a/1"); /* and what they verified is known */
        fake_play(fake, -1, (struct fake_script){.act = acts[i]});
        struct heraclius_request *request = heraclius_request_new(second);
        heraclius_get(request, "a/2", 3, 100, false);
        assert_int_equal(heraclius_call(request, 4 * RESEND_MS), HERACLIUS_UNAVAILABLE);
        assert_null(heraclius_result_at(request, 0));
        heraclius_request_free(request);
        heraclius_counters_get(second, &counters);
        if (counters.verification_failures == 0) fail_msg("act %d was not seen", (int)acts[i]);
        heraclius_close(second);
    }
    fake_play(fake, -1, (struct fake_script){0});
    heraclius_close(first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(either_may_be_closed_first),
        cmocka_unit_test(one_that_cannot_be_opened_leaves_the_first_as_it_was),
        cmocka_unit_test(a_signature_is_known_only_if_key_bytes_and_signature_are_the_same),
        cmocka_unit_test(what_is_known_is_looked_up),
        cmocka_unit_test(liars_are_found_out_by_the_second_as_by_the_first),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
