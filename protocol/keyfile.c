/*
 * Secret key files. The format, one field a line, in this order:
 *
 *     heraclius-key 1
 *     kind node
 *     name c0-n0
 *     card <64 hex digits>
 *     signing-seed <64 hex digits>
 *     noise-seed <64 hex digits>
 *     check <64 hex digits>            SHA-256 of all bytes before this line
 *
 * Every buffer that a seed passes through is wiped.
 */
#include "protocol/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/canonical.h"

static const char *const kind_names[5] = {NULL, "node", "client", "admin", "owner"};
static const char *const kind_shown[5] = {NULL, "a node", "a client", "an administrator", "a node's owner"};

static const uint8_t signing_tags[4][16] = {
    [KEYFILE_NODE] = "HRC node-pop",
    [KEYFILE_CLIENT] = "HRC client-pop",
    [KEYFILE_ADMIN] = "HRC admin-pop",
};
static const uint8_t noise_tag[16] = "HRC noise-pop";
static const uint8_t owner_tag[16] = "HRC owner-pop";

static bool has_noise(enum keyfile_kind kind) { return kind == KEYFILE_NODE || kind == KEYFILE_CLIENT; }

/* Everything that follows from the seeds. The Noise scalar is RFC 8032's secret scalar of noise_seed: the first half of its SHA-512, clamped. */
static void keys_expand(struct keyfile *key) {
    key->locked_in_memory = mlock(key, sizeof *key) == 0;
    (void)madvise(key, sizeof *key, MADV_DONTDUMP); /* whole pages only: a help, no promise */
    if (!ed25519_secret_init(&key->signing, key->signing_seed)) key->locked_in_memory = false;
    ed25519_public_key(&key->signing, key->signing_key);
    if (!has_noise(key->kind)) return;
    uint8_t digest[crypto_hash_sha512_BYTES];
    (void)crypto_hash_sha512(digest, key->noise_seed, sizeof key->noise_seed);
    memcpy(key->noise_secret, digest, 32);
    key->noise_secret[0] &= 248;
    key->noise_secret[31] = (uint8_t)((key->noise_secret[31] & 127) | 64);
    ed25519_wipe(digest, sizeof digest);
    CHECK(crypto_scalarmult_base(key->noise_key, key->noise_secret) == 0);
}

enum system_error keyfile_generate(struct keyfile *key, enum keyfile_kind kind, const char *name, keyfile_entropy *entropy, void *context,
                                   struct system_fault *fault) {
    CHECK(kind >= KEYFILE_NODE && kind <= KEYFILE_OWNER);
    memset(key, 0, sizeof *key);
    key->lock = -1;
    if (!card_name_valid(name)) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "name: 1 to %d of a-z 0-9 . - that begin with a letter or digit", CARD_NAME_BYTES_MAX);
    }
    key->kind = kind;
    memcpy(key->name, name, strlen(name) + 1);
    if (!entropy(context, key->signing_seed, sizeof key->signing_seed) ||
        (has_noise(kind) && !entropy(context, key->noise_seed, sizeof key->noise_seed))) {
        ed25519_wipe(key, sizeof *key);
        key->lock = -1;
        return system_fault_set(fault, SYSTEM_NOTHING_FREE, "no entropy for a new key");
    }
    keys_expand(key);
    return SYSTEM_OK;
}

/* ---- cards ---- */

static void proof_sign(const uint8_t tag[16], const struct card *card, const struct ed25519_secret *secret, uint8_t proof[64]) {
    uint8_t string[16 + CARD_BYTES_MAX];
    memcpy(string, tag, 16);
    size_t count = card_encode(card, string + 16);
    ed25519_sign(secret, string, 16 + count, proof);
}

/* What the key itself puts into its card and proves there; `owner_key` NULL: none. */
static void card_fill(struct keyfile *key, const uint8_t *owner_key, struct card *card) {
    memset(card, 0, sizeof *card);
    card->kind = (enum card_kind)key->kind; /* the numbers agree: see the assertions below */
    memcpy(card->name, key->name, sizeof card->name);
    memcpy(card->signing_key, key->signing_key, 32);
    struct ed25519_secret noise = {{0}};
    if (has_noise(key->kind)) {
        if (!ed25519_secret_init(&noise, key->noise_seed)) key->locked_in_memory = false; /* short-lived, on the stack */
        memcpy(card->noise_key, key->noise_key, 32);
        ed25519_public_key(&noise, card->noise_proof_key);
    }
    if (owner_key) memcpy(card->owner_key, owner_key, 32);
    proof_sign(signing_tags[key->kind], card, &key->signing, card->signing_proof);
    if (has_noise(key->kind)) proof_sign(noise_tag, card, &noise, card->noise_proof);
    ed25519_secret_wipe(&noise);
    card_identify(card);
}

enum system_error keyfile_make_card(struct keyfile *key, const struct keyfile *owner, struct card *card, struct system_fault *fault) {
    CHECK(key->kind != KEYFILE_OWNER && (key->kind == KEYFILE_NODE) == (owner != NULL));
    card_fill(key, owner ? owner->signing_key : NULL, card);
    if (owner) proof_sign(owner_tag, card, &owner->signing, card->owner_proof);
    enum system_error error = card_verify(card, fault); /* a fault of memory or library shows here, not at a stranger's */
    if (!error) memcpy(key->card_id, card->id, 32);
    return error;
}

enum system_error keyfile_make_unowned(struct keyfile *key, const uint8_t owner_key[32], struct card *card, struct system_fault *fault) {
    CHECK(key->kind == KEYFILE_NODE);
    card_fill(key, owner_key, card);
    enum system_error error = card_verify_unowned(card, fault);
    if (!error) memcpy(key->card_id, card->id, 32);
    return error;
}

enum system_error keyfile_own_card(const struct keyfile *owner, struct card *card, struct system_fault *fault) {
    CHECK(owner->kind == KEYFILE_OWNER && card->kind == CARD_NODE);
    if (memcmp(card->owner_key, owner->signing_key, 32) != 0) return system_fault_set(fault, SYSTEM_FOREIGN, "names another owner than this key's");
    proof_sign(owner_tag, card, &owner->signing, card->owner_proof);
    return card_verify(card, fault);
}

_Static_assert((int)KEYFILE_NODE == (int)CARD_NODE && (int)KEYFILE_CLIENT == (int)CARD_CLIENT && (int)KEYFILE_ADMIN == (int)CARD_ADMIN,
               "a card's kind is its key's");

/* ---- the file ---- */

/* Appends "word value\n". */
static void line_put(char *text, size_t *used, const char *word, const char *value) {
    int count = snprintf(text + *used, KEYFILE_BYTES_MAX - *used, "%s %s\n", word, value);
    CHECK(count > 0 && (size_t)count < KEYFILE_BYTES_MAX - *used);
    *used += (size_t)count;
}

static void line_put_hex(char *text, size_t *used, const char *word, const uint8_t bytes[32]) {
    char hex[65];
    canonical_hex_print(bytes, 32, hex);
    line_put(text, used, word, hex);
    ed25519_wipe(hex, sizeof hex);
}

enum system_error keyfile_create(const struct keyfile *key, const char *path, struct system_fault *fault) {
    char text[KEYFILE_BYTES_MAX];
    uint8_t check[32];
    size_t used = 0;
    CHECK(key->kind >= KEYFILE_NODE && key->kind <= KEYFILE_OWNER);
    line_put(text, &used, "heraclius-key", "1");
    line_put(text, &used, "kind", kind_names[key->kind]);
    line_put(text, &used, "name", key->name);
    line_put_hex(text, &used, "card", key->card_id);
    line_put_hex(text, &used, "signing-seed", key->signing_seed);
    line_put_hex(text, &used, "noise-seed", key->noise_seed);
    sha256_hash(text, used, check);
    line_put_hex(text, &used, "check", check);
    enum system_error error = canonical_write_new(path, text, used, 0600, fault);
    ed25519_wipe(text, sizeof text);
    return error;
}

/* Takes "word value\n" off the text; `value` has `room` bytes. */
static bool line_take(const char **at, const char *end, const char *word, char *value, size_t room) {
    size_t word_bytes = strlen(word), left = (size_t)(end - *at);
    if (left < word_bytes + 2 || memcmp(*at, word, word_bytes) != 0 || (*at)[word_bytes] != ' ') return false;
    const char *begin = *at + word_bytes + 1;
    const char *newline = memchr(begin, '\n', (size_t)(end - begin));
    if (!newline || (size_t)(newline - begin) >= room) return false;
    memcpy(value, begin, (size_t)(newline - begin));
    value[newline - begin] = 0;
    *at = newline + 1;
    return true;
}

static bool line_take_hex(const char **at, const char *end, const char *word, uint8_t out[32]) {
    char value[65];
    bool good = line_take(at, end, word, value, sizeof value) && canonical_hex_parse(value, strlen(value), out, 32);
    ed25519_wipe(value, sizeof value);
    return good;
}

static enum system_error text_parse(struct keyfile *key, int kind, const char *text, size_t count, struct system_fault *fault) {
    const char *at = text, *end = text + count;
    char value[CARD_NAME_BYTES_MAX + 1];
    uint8_t check[32], found[32];
    if (!line_take(&at, end, "heraclius-key", value, sizeof value)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "line 1: not a key file");
    if (strcmp(value, "1") != 0) return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "line 1: format %s is unknown, this program knows 1", value);
    if (!line_take(&at, end, "kind", value, sizeof value)) return system_fault_set(fault, SYSTEM_FIELD_MISSING, "line 2: kind");
    for (int i = KEYFILE_NODE; i <= KEYFILE_OWNER; i++) {
        if (strcmp(value, kind_names[i]) == 0) key->kind = (enum keyfile_kind)i;
    }
    if (key->kind == 0) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "line 2: kind must be node, client, admin or owner");
    if (kind != 0 && (int)key->kind != kind) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "is the key of %s, not of %s", kind_shown[key->kind], kind_shown[kind]);
    }
    if (!line_take(&at, end, "name", key->name, sizeof key->name) || !card_name_valid(key->name)) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "line 3: name");
    }
    if (!line_take_hex(&at, end, "card", key->card_id)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "line 4: card");
    if (!line_take_hex(&at, end, "signing-seed", key->signing_seed)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "line 5: signing-seed");
    if (!line_take_hex(&at, end, "noise-seed", key->noise_seed)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "line 6: noise-seed");
    sha256_hash(text, (size_t)(at - text), found);
    if (!line_take_hex(&at, end, "check", check) || at != end || memcmp(check, found, 32) != 0) {
        return system_fault_set(fault, SYSTEM_ID_MISMATCH, "line 7: the checksum does not fit: the key file is damaged; restore it from your copy");
    }
    return SYSTEM_OK;
}

/* The file's text into `text`; -1 with the fault set. */
static ssize_t text_read(int file, char *text, struct system_fault *fault) {
    size_t got = 0;
    for (;;) {
        ssize_t count = read(file, text + got, KEYFILE_BYTES_MAX - got);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            (void)system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "cannot read: %s", strerror(errno));
            return -1;
        }
        if (count == 0) return (ssize_t)got;
        got += (size_t)count;
        if (got == KEYFILE_BYTES_MAX) {
            (void)system_fault_set(fault, SYSTEM_TOO_LARGE, "too large for a key file");
            return -1;
        }
    }
}

static enum system_error file_open(int *file, const char *path, bool lock, struct system_fault *fault) {
    struct stat status;
    *file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*file < 0) return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "cannot open: %s", strerror(errno));
    if (fstat(*file, &status) != 0 || !S_ISREG(status.st_mode)) return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "not a regular file");
    if ((status.st_mode & 077) != 0) {
        return system_fault_set(fault, SYSTEM_FILE_OPEN_MODE, "others may read this secret key (mode %03o): chmod 600 it, and think about who did",
                                (unsigned)(status.st_mode & 0777));
    }
    if (!lock || flock(*file, LOCK_EX | LOCK_NB) == 0) return SYSTEM_OK;
    if (errno == EWOULDBLOCK) return system_fault_set(fault, SYSTEM_FILE_IN_USE, "in use by another process: stop that one first");
    return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "cannot lock: %s", strerror(errno));
}

enum system_error keyfile_open(struct keyfile *key, int kind, const char *path, bool lock, struct system_fault *fault) {
    char text[KEYFILE_BYTES_MAX] = {0};
    struct system_fault own = {.text = ""};
    int file = -1;
    if (!fault) fault = &own;
    memset(key, 0, sizeof *key);
    key->lock = -1;
    (void)mlock(text, sizeof text);
    enum system_error error = file_open(&file, path, lock, fault);
    if (!error) {
        ssize_t count = text_read(file, text, fault);
        error = count < 0 ? fault->error : text_parse(key, kind, text, (size_t)count, fault);
    }
    ed25519_wipe(text, sizeof text);
    (void)munlock(text, sizeof text);
    if (error) {
        if (file >= 0) (void)close(file);
        ed25519_wipe(key, sizeof *key);
        key->lock = -1;
        system_fault_prefix(fault, path);
        return error;
    }
    keys_expand(key);
    if (lock) key->lock = file;
    else (void)close(file);
    return SYSTEM_OK;
}

void keyfile_close(struct keyfile *key) {
    int lock = key->lock;
    ed25519_wipe(key, sizeof *key);
    (void)munlock(key, sizeof *key);
    key->lock = -1;
    if (lock >= 0) (void)close(lock);
}
