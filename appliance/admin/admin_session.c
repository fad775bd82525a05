#include "appliance/admin/admin_session.h"

#include <stdio.h>
#include <string.h>

#include "merkle/check.h"

static const char *const role_names[ADMIN_ROLES] = {"nobody", "view", "operate", "own"};

const char *admin_role_name(enum admin_role role) {
    CHECK((unsigned)role < ADMIN_ROLES);
    return role_names[role];
}

enum admin_role admin_role_of(const char *name) {
    for (int i = ADMIN_VIEW; i < ADMIN_ROLES; i++) {
        if (strcmp(name, role_names[i]) == 0) return (enum admin_role)i;
    }
    return ADMIN_NOBODY;
}

bool admin_text_equal(const char *wanted, const char *given) {
    size_t count = strlen(wanted), given_count = strlen(given);
    volatile unsigned differs = count != given_count;
    for (size_t i = 0; i < count; i++) differs |= (unsigned char)(wanted[i] ^ given[i < given_count ? i : 0]);
    return count > 0 && differs == 0;
}

static void code_forget(struct admin_sessions *all) {
    memset(all->code, 0, sizeof all->code);
}

bool admin_pairing_open(struct admin_sessions *all, uint64_t now_ms) {
    if (now_ms - all->code_begun_ms >= ADMIN_PAIRING_MS) code_forget(all);
    return all->code[0] != '\0';
}

bool admin_pairing_begin(struct admin_sessions *all, uint64_t now_ms, const uint8_t random[8]) {
    uint64_t word = 0;
    CHECK(now_ms != 0);
    if (admin_pairing_open(all, now_ms)) return false;
    for (int i = 0; i < 8; i++) word = word << 8 | random[i];
    (void)snprintf(all->code, sizeof all->code, "%010llu", (unsigned long long)(word % 10000000000u)); /* the bias is 10^10 in 2^64 */
    all->code_begun_ms = now_ms;
    all->sources_count = 0;
    return true;
}

/* Where it is, or would come. */
static size_t source_find(const struct admin_sessions *all, const uint8_t from[ADMIN_FROM_BYTES]) {
    size_t at = 0;
    while (at < all->sources_count && memcmp(all->sources[at].from, from, ADMIN_FROM_BYTES) != 0) at++;
    return at;
}

bool admin_pairing_may(const struct admin_sessions *all, const uint8_t from[ADMIN_FROM_BYTES]) {
    size_t at = source_find(all, from);
    return at < all->sources_count ? all->sources[at].tries < ADMIN_PAIRING_TRIES : at < ADMIN_PAIRING_SOURCES_MAX;
}

static void wrong_count(struct admin_sessions *all, const uint8_t from[ADMIN_FROM_BYTES]) {
    size_t at = source_find(all, from);
    if (at == all->sources_count) {
        struct admin_pairing_source *fresh = &all->sources[all->sources_count++];
        memcpy(fresh->from, from, ADMIN_FROM_BYTES);
        fresh->tries = 0;
    }
    all->sources[at].tries++;
}

static void token_print(char out[ADMIN_TOKEN_TEXT + 1], const uint8_t *bytes) {
    for (int i = 0; i < ADMIN_TOKEN_BYTES; i++) (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static bool alive(const struct admin_session *session, uint64_t now_ms) {
    return session->role != ADMIN_NOBODY && now_ms - session->begun_ms < ADMIN_SESSION_MS && now_ms - session->used_ms < ADMIN_SESSION_IDLE_MS;
}

/* A free place, else that of the session unused for longest. */
static struct admin_session *place_find(struct admin_sessions *all, uint64_t now_ms) {
    struct admin_session *oldest = &all->sessions[0];
    for (int i = 0; i < ADMIN_SESSIONS_MAX; i++) {
        struct admin_session *session = &all->sessions[i];
        if (!alive(session, now_ms)) return session;
        if (session->used_ms < oldest->used_ms) oldest = session;
    }
    return oldest;
}

enum admin_pairing admin_pairing_try(struct admin_sessions *all, uint64_t now_ms, const uint8_t from[ADMIN_FROM_BYTES], const char *code) {
    if (!admin_pairing_open(all, now_ms)) return ADMIN_PAIRING_NONE;
    if (!admin_pairing_may(all, from)) return ADMIN_PAIRING_LATER; /* also with the right one: else a guess would cost nothing */
    if (admin_text_equal(all->code, code)) return ADMIN_PAIRED;
    wrong_count(all, from);
    return ADMIN_PAIRING_WRONG;
}

struct admin_session *admin_session_begin(struct admin_sessions *all, uint64_t now_ms, enum admin_role role, const uint8_t random[64]) {
    CHECK(role > ADMIN_NOBODY && role < ADMIN_ROLES);
    code_forget(all);
    struct admin_session *fresh = place_find(all, now_ms);
    *fresh = (struct admin_session){.role = role, .number = ++all->numbers, .begun_ms = now_ms, .used_ms = now_ms};
    token_print(fresh->token, random);
    token_print(fresh->csrf, random + ADMIN_TOKEN_BYTES);
    return fresh;
}

struct admin_session *admin_session_find(struct admin_sessions *all, uint64_t now_ms, const char *token) {
    struct admin_session *found = NULL;
    for (int i = 0; i < ADMIN_SESSIONS_MAX; i++) {
        struct admin_session *session = &all->sessions[i];
        if (!alive(session, now_ms)) {
            admin_session_end(session);
            continue;
        }
        if (admin_text_equal(session->token, token)) found = session;
    }
    if (found != NULL) found->used_ms = now_ms;
    return found;
}

void admin_session_end(struct admin_session *session) {
    memset(session, 0, sizeof *session);
}
