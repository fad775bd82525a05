/*
 * Who may do what at the admin console: pairing codes and sessions. Pure: time and randomness are handed in.
 *
 * A pairing code is ADMIN_PAIRING_DIGITS digits, good for one use and ADMIN_PAIRING_MS. It is begun by whoever opens the page, but shown only at the
 * machine. Whoever is at one address has ADMIN_PAIRING_TRIES wrong tries of it, so nobody uses up another's; an address is 16 bytes, of which the
 * caller makes one machine's the same. Wrong tries come from ADMIN_PAIRING_SOURCES_MAX addresses at most, who comes after them waits for the next
 * code. Strangers, however many, so have 320 guesses of 10^10 in five minutes: in a year of them one in 300 pairs. Who has as many addresses can
 * keep out others. A code that was used makes room for the next at once.
 *
 * A session is a random token of 32 bytes and a second one that every change must carry (against forged requests of other pages). It ends
 * ADMIN_SESSION_IDLE_MS after its last use and ADMIN_SESSION_MS after its beginning. When ADMIN_SESSIONS_MAX are taken the one unused for longest
 * goes.
 */
#ifndef APPLIANCE_ADMIN_SESSION_H
#define APPLIANCE_ADMIN_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum admin_role { ADMIN_NOBODY, ADMIN_VIEW, ADMIN_OPERATE, ADMIN_OWN, ADMIN_ROLES };

enum {
    ADMIN_PAIRING_DIGITS = 10,
    ADMIN_PAIRING_TRIES = 5,
    ADMIN_PAIRING_SOURCES_MAX = 64,
    ADMIN_FROM_BYTES = 16,
    ADMIN_PAIRING_MS = 5 * 60 * 1000,
    ADMIN_SESSIONS_MAX = 32,
    ADMIN_SESSION_MS = 12 * 60 * 60 * 1000,
    ADMIN_SESSION_IDLE_MS = 60 * 60 * 1000,
    ADMIN_TOKEN_BYTES = 32,
    ADMIN_TOKEN_TEXT = 2 * ADMIN_TOKEN_BYTES /* lower-case hex */
};

struct admin_session {
    enum admin_role role; /* ADMIN_NOBODY: free */
    uint64_t number;      /* of this session since the start, for the audit log */
    uint64_t begun_ms, used_ms;
    char token[ADMIN_TOKEN_TEXT + 1], csrf[ADMIN_TOKEN_TEXT + 1];
};

struct admin_sessions {
    char code[ADMIN_PAIRING_DIGITS + 1]; /* "": none */
    uint64_t code_begun_ms;
    size_t sources_count;                /* those that tried wrong codes */
    struct admin_pairing_source {
        uint8_t from[ADMIN_FROM_BYTES];
        unsigned tries;
    } sources[ADMIN_PAIRING_SOURCES_MAX];
    uint64_t numbers;
    struct admin_session sessions[ADMIN_SESSIONS_MAX];
};

/* NONE: there is no code. LATER: not from this address. UNTOLD: the right code, and no line of it in the audit log; the code stays. */
enum admin_pairing { ADMIN_PAIRED, ADMIN_PAIRING_WRONG, ADMIN_PAIRING_NONE, ADMIN_PAIRING_LATER, ADMIN_PAIRING_UNTOLD };

/* "view", "operate", "own"; and back, ADMIN_NOBODY for any other text. */
const char *admin_role_name(enum admin_role role);
enum admin_role admin_role_of(const char *name);

/* Makes a code of 8 random bytes. False: there is one already. now_ms is not 0. */
bool admin_pairing_begin(struct admin_sessions *all, uint64_t now_ms, const uint8_t random[8]);
/* Is there a code that can still be used? Forgets one whose time is over. */
bool admin_pairing_open(struct admin_sessions *all, uint64_t now_ms);
/* May this address try one? */
bool admin_pairing_may(const struct admin_sessions *all, const uint8_t from[ADMIN_FROM_BYTES]);
/* A try with any text. On ADMIN_PAIRED the code is right, and a session may begin. */
enum admin_pairing admin_pairing_try(struct admin_sessions *all, uint64_t now_ms, const uint8_t from[ADMIN_FROM_BYTES], const char *code);
/* After that: spends the code. A session of `role` (not ADMIN_NOBODY), of 64 random bytes; its number is one more than all->numbers was. */
struct admin_session *admin_session_begin(struct admin_sessions *all, uint64_t now_ms, enum admin_role role, const uint8_t random[64]);

/* By any text; NULL: none that is alive. Counts as use. The comparison takes as long whatever the text. */
struct admin_session *admin_session_find(struct admin_sessions *all, uint64_t now_ms, const char *token);
void admin_session_end(struct admin_session *session);
/* Are they equal, in a time that tells nothing of where they differ? */
bool admin_text_equal(const char *wanted, const char *given);

#endif
