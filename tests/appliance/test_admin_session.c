/* Pairing codes and sessions of the admin console (appliance/admin/admin_session.h), with a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/admin/admin_session.h"

static const uint8_t here[ADMIN_FROM_BYTES] = {[12] = 10, [15] = 1}, elsewhere[ADMIN_FROM_BYTES] = {[12] = 10, [15] = 2};
static uint64_t seed = 0x9E3779B97F4A7C15u;

static void fill(uint8_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(seed >> 56);
    }
}

static bool begin(struct admin_sessions *all, uint64_t now) {
    uint8_t random[8];
    fill(random, sizeof random);
    return admin_pairing_begin(all, now, random);
}

static enum admin_pairing try(struct admin_sessions *all, uint64_t now, const char *code, struct admin_session **session) {
    uint8_t random[64];
    fill(random, sizeof random);
    enum admin_pairing result = admin_pairing_try(all, now, here, code);
    *session = result == ADMIN_PAIRED ? admin_session_begin(all, now, ADMIN_OWN, random) : NULL;
    return result;
}

static void pair(struct admin_sessions *all, uint64_t now, char token[ADMIN_TOKEN_TEXT + 1]) {
    char code[ADMIN_PAIRING_DIGITS + 1];
    struct admin_session *session;
    assert_true(begin(all, now));
    memcpy(code, all->code, sizeof code);
    assert_int_equal(try(all, now, code, &session), ADMIN_PAIRED);
    memcpy(token, session->token, ADMIN_TOKEN_TEXT + 1);
}

static void a_code_is_ten_digits_with_its_zeros(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0};
    const uint8_t random[8] = {0, 0, 0, 0, 0, 0, 0, 42};
    (void)state;
    assert_true(admin_pairing_begin(&all, 1000, random));
    assert_string_equal(all.code, "0000000042");
}

static void a_code_is_good_for_one_use(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0};
    struct admin_session *session;
    char code[ADMIN_PAIRING_DIGITS + 1];
    (void)state;
    assert_true(begin(&all, 1000));
    memcpy(code, all.code, sizeof code);
    assert_int_equal(try(&all, 1001, code, &session), ADMIN_PAIRED);
    assert_int_equal(session->role, ADMIN_OWN);
    assert_int_equal(try(&all, 1002, code, &session), ADMIN_PAIRING_NONE);
    assert_null(session);
    assert_true(begin(&all, 1003)); /* a used one makes room at once */
}

static void a_right_code_stays_until_its_session_begins(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0};
    struct admin_session *session;
    char code[ADMIN_PAIRING_DIGITS + 1];
    (void)state;
    assert_true(begin(&all, 1000));
    memcpy(code, all.code, sizeof code);
    for (int i = 0; i < 2 * ADMIN_PAIRING_TRIES; i++) assert_int_equal(admin_pairing_try(&all, 1001, here, code), ADMIN_PAIRED);
    assert_int_equal(try(&all, 1002, code, &session), ADMIN_PAIRED);
    assert_int_equal(session->number, 1);
    assert_int_equal(admin_pairing_try(&all, 1003, here, code), ADMIN_PAIRING_NONE);
}

static void five_wrong_tries_keep_out_who_made_them_and_nobody_else(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0};
    struct admin_session *session;
    char code[ADMIN_PAIRING_DIGITS + 1];
    (void)state;
    assert_true(begin(&all, 1000));
    memcpy(code, all.code, sizeof code);
    for (int i = 0; i < ADMIN_PAIRING_TRIES; i++) {
        assert_true(admin_pairing_may(&all, here));
        assert_int_equal(try(&all, 1001, i % 2 ? "x" : "12345678901", &session), ADMIN_PAIRING_WRONG);
    }
    assert_false(admin_pairing_may(&all, here));
    assert_int_equal(try(&all, 1002, code, &session), ADMIN_PAIRING_LATER);
    assert_false(begin(&all, 1000 + ADMIN_PAIRING_MS - 1));
    assert_true(admin_pairing_may(&all, elsewhere));
    assert_int_equal(admin_pairing_try(&all, 1003, elsewhere, "x"), ADMIN_PAIRING_WRONG);
    assert_int_equal(admin_pairing_try(&all, 1004, elsewhere, code), ADMIN_PAIRED);
    assert_true(begin(&all, 1000 + ADMIN_PAIRING_MS));
    assert_true(admin_pairing_may(&all, here)); /* the next code, the next tries */
}

/* Whatever addresses they have: so many guesses of one code, not one more. */
static void guesses_of_all_addresses_together_are_bounded(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0};
    char code[ADMIN_PAIRING_DIGITS + 1];
    unsigned wrong = 0;
    (void)state;
    assert_true(begin(&all, 1000));
    memcpy(code, all.code, sizeof code);
    for (int round = 0; round < ADMIN_PAIRING_TRIES + 1; round++) {
        for (int i = 0; i < 3 * ADMIN_PAIRING_SOURCES_MAX; i++) {
            const uint8_t from[ADMIN_FROM_BYTES] = {0x20, 1, (uint8_t)i, 7};
            enum admin_pairing result = admin_pairing_try(&all, 1001, from, "0");
            wrong += result == ADMIN_PAIRING_WRONG;
            assert_true(result == ADMIN_PAIRING_WRONG || result == ADMIN_PAIRING_LATER);
        }
    }
    assert_int_equal(wrong, ADMIN_PAIRING_SOURCES_MAX * ADMIN_PAIRING_TRIES);
    assert_int_equal(admin_pairing_try(&all, 1002, here, code), ADMIN_PAIRING_LATER); /* a guess too, if it could be wrong */
}

static void four_wrong_tries_leave_it_good(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0};
    struct admin_session *session;
    char code[ADMIN_PAIRING_DIGITS + 1];
    (void)state;
    assert_true(begin(&all, 1000));
    memcpy(code, all.code, sizeof code);
    for (int i = 0; i < ADMIN_PAIRING_TRIES - 1; i++) assert_int_equal(try(&all, 1001, "", &session), ADMIN_PAIRING_WRONG);
    assert_int_equal(try(&all, 1002, code, &session), ADMIN_PAIRED);
}

static void a_code_ends_after_five_minutes(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0}, copy;
    struct admin_session *session;
    char code[ADMIN_PAIRING_DIGITS + 1];
    (void)state;
    assert_true(begin(&all, 1000));
    memcpy(code, all.code, sizeof code);
    copy = all;
    assert_false(begin(&all, 1001)); /* there is one */
    assert_int_equal(try(&copy, 1000 + ADMIN_PAIRING_MS - 1, code, &session), ADMIN_PAIRED);
    assert_int_equal(try(&all, 1000 + ADMIN_PAIRING_MS, code, &session), ADMIN_PAIRING_NONE);
}

static void a_session_ends_when_idle_and_at_its_age(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0};
    char token[ADMIN_TOKEN_TEXT + 1];
    uint64_t now = 1000;
    (void)state;
    pair(&all, now, token);
    assert_non_null(admin_session_find(&all, now + ADMIN_SESSION_IDLE_MS - 1, token));
    assert_null(admin_session_find(&all, now + 2 * ADMIN_SESSION_IDLE_MS - 1, token));
    pair(&all, now, token);
    for (uint64_t at = now; at < now + ADMIN_SESSION_MS; at += ADMIN_SESSION_IDLE_MS / 2) assert_non_null(admin_session_find(&all, at, token));
    assert_null(admin_session_find(&all, now + ADMIN_SESSION_MS, token));
}

static void no_text_but_the_token_finds_a_session(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0};
    char token[ADMIN_TOKEN_TEXT + 1], wrong[ADMIN_TOKEN_TEXT + 2];
    (void)state;
    assert_null(admin_session_find(&all, 1000, "")); /* a free place has an empty one */
    pair(&all, 1000, token);
    for (size_t i = 0; i < ADMIN_TOKEN_TEXT; i++) {
        (void)snprintf(wrong, sizeof wrong, "%s", token);
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        assert_null(admin_session_find(&all, 1000, wrong));
    }
    (void)snprintf(wrong, sizeof wrong, "%s0", token);
    assert_null(admin_session_find(&all, 1000, wrong));
    wrong[ADMIN_TOKEN_TEXT - 1] = '\0';
    assert_null(admin_session_find(&all, 1000, wrong));
    assert_null(admin_session_find(&all, 1000, ""));
    struct admin_session *session = admin_session_find(&all, 1000, token);
    assert_non_null(session);
    assert_string_not_equal(session->token, session->csrf);
    admin_session_end(session);
    assert_null(admin_session_find(&all, 1000, token));
}

static void one_past_the_limit_pushes_out_the_one_unused_for_longest(void **state) {
    struct admin_sessions all = {.code_begun_ms = 0};
    char tokens[ADMIN_SESSIONS_MAX + 1][ADMIN_TOKEN_TEXT + 1];
    (void)state;
    for (uint64_t i = 0; i < ADMIN_SESSIONS_MAX; i++) pair(&all, 1000 + i, tokens[i]);
    assert_non_null(admin_session_find(&all, 2000, tokens[0])); /* used: now the second is the oldest */
    pair(&all, 3000, tokens[ADMIN_SESSIONS_MAX]);
    assert_null(admin_session_find(&all, 3000, tokens[1]));
    for (int i = 0; i <= ADMIN_SESSIONS_MAX; i++) {
        if (i != 1) assert_non_null(admin_session_find(&all, 3000, tokens[i]));
    }
}

static void roles_have_names(void **state) {
    (void)state;
    assert_int_equal(admin_role_of("view"), ADMIN_VIEW);
    assert_int_equal(admin_role_of("own"), ADMIN_OWN);
    assert_int_equal(admin_role_of("nobody"), ADMIN_NOBODY);
    assert_int_equal(admin_role_of("Own"), ADMIN_NOBODY);
    assert_string_equal(admin_role_name(ADMIN_OPERATE), "operate");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_code_is_ten_digits_with_its_zeros),
        cmocka_unit_test(a_code_is_good_for_one_use),
        cmocka_unit_test(a_right_code_stays_until_its_session_begins),
        cmocka_unit_test(five_wrong_tries_keep_out_who_made_them_and_nobody_else),
        cmocka_unit_test(guesses_of_all_addresses_together_are_bounded),
        cmocka_unit_test(four_wrong_tries_leave_it_good),
        cmocka_unit_test(a_code_ends_after_five_minutes),
        cmocka_unit_test(a_session_ends_when_idle_and_at_its_age),
        cmocka_unit_test(no_text_but_the_token_finds_a_session),
        cmocka_unit_test(one_past_the_limit_pushes_out_the_one_unused_for_longest),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
