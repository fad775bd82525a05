/*
 * Secret key files (spec/system.md 7.10, rules S-120 to S-121). Private to one machine: no other implementation need read them.
 *
 * A text of fixed lines with a checksum, made with O_EXCL and mode 0600, synced with its folder. A file that others may read is refused. An open key
 * holds an exclusive flock(), so two processes never sign with one key on one host; its memory is locked where the limit allows, never swapped, never
 * in a core dump, and wiped by keyfile_close().
 *
 * Entropy is not read here: the caller gives a function (ring/entropy.h in programs, a counter in tests).
 */
#ifndef PROTOCOL_KEYFILE_H
#define PROTOCOL_KEYFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bft/ed25519.h"
#include "protocol/card.h"
#include "protocol/system_error.h"

enum keyfile_kind { KEYFILE_NODE = 1, KEYFILE_CLIENT = 2, KEYFILE_ADMIN = 3, KEYFILE_OWNER = 4 };

enum { KEYFILE_BYTES_MAX = 1024 };

/* Fills `out` with `count` random bytes; false on failure, then nothing is made. */
typedef bool keyfile_entropy(void *context, uint8_t *out, size_t count);

struct keyfile {
    enum keyfile_kind kind;
    char name[CARD_NAME_BYTES_MAX + 1];
    uint8_t card_id[32]; /* of the card that was made with it; zero for an owner's key */
    uint8_t signing_seed[32];
    uint8_t noise_seed[32]; /* node, client; else zero */
    struct ed25519_secret signing;
    uint8_t signing_key[32];
    uint8_t noise_secret[32]; /* X25519 scalar, clamped */
    uint8_t noise_key[32];
    int lock; /* file descriptor that holds the lock, or -1 */
    bool locked_in_memory;
};

/* Makes new secrets. The name as of a card. */
enum system_error keyfile_generate(struct keyfile *key, enum keyfile_kind kind, const char *name, keyfile_entropy *entropy, void *context,
                                   struct system_fault *fault) __attribute__((warn_unused_result));
/* Makes the card and sets key->card_id. `owner` is needed for a node, NULL otherwise. */
enum system_error keyfile_make_card(struct keyfile *key, const struct keyfile *owner, struct card *card, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* The same in two steps, for a node that makes its own key: the card with the pinned key of its owner, who has not signed it, and sets key->card_id;
 * then the owner's signature on a card that is sound otherwise. */
enum system_error keyfile_make_unowned(struct keyfile *key, const uint8_t owner_key[32], struct card *card, struct system_fault *fault)
    __attribute__((warn_unused_result));
enum system_error keyfile_own_card(const struct keyfile *owner, struct card *card, struct system_fault *fault) __attribute__((warn_unused_result));
/* Writes a new file, never over an old one. */
enum system_error keyfile_create(const struct keyfile *key, const char *path, struct system_fault *fault) __attribute__((warn_unused_result));
/* Opens, locks, reads, checks. `kind` 0 takes any. With `lock` false no lock is asked for (show, sign one card). On success keyfile_close() is due.
 * */
enum system_error keyfile_open(struct keyfile *key, int kind, const char *path, bool lock, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* Wipes and unlocks. Fine on a zeroed struct with lock -1. */
void keyfile_close(struct keyfile *key);

#endif
