/* Cards: binary form, JSON form, keys and proofs of possession (S-10 to S-16). */
#include "protocol/card.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bft/ed25519.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/canonical.h"

static const uint8_t signing_tags[4][16] = {
    [CARD_NODE] = "HRC node-pop",
    [CARD_CLIENT] = "HRC client-pop",
    [CARD_ADMIN] = "HRC admin-pop",
};
static const uint8_t noise_tag[16] = "HRC noise-pop";
static const uint8_t owner_tag[16] = "HRC owner-pop";

static const char *const kind_names[4] = {NULL, "node", "client", "admin"};

size_t card_bytes(enum card_kind kind) {
    switch (kind) {
    case CARD_NODE: return CARD_NODE_BYTES;
    case CARD_CLIENT: return CARD_CLIENT_BYTES;
    case CARD_ADMIN: return CARD_ADMIN_BYTES;
    }
    return 0;
}

size_t card_proven_bytes(enum card_kind kind) {
    switch (kind) {
    case CARD_NODE: return CARD_NODE_PROVEN_BYTES;
    case CARD_CLIENT: return CARD_CLIENT_PROVEN_BYTES;
    case CARD_ADMIN: return CARD_ADMIN_PROVEN_BYTES;
    }
    return 0;
}

bool card_name_valid(const char *name) {
    size_t count = strnlen(name, CARD_NAME_BYTES_MAX + 1);
    if (count < 1 || count > CARD_NAME_BYTES_MAX || name[0] == '.' || name[0] == '-') return false;
    for (size_t i = 0; i < count; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-')) return false;
    }
    return true;
}

size_t card_encode(const struct card *card, uint8_t *out) {
    size_t name_bytes = strlen(card->name);
    CHECK(card_bytes(card->kind) > 0 && name_bytes <= CARD_NAME_BYTES_MAX);
    struct bytes_writer writer = bytes_writer_of(out, CARD_BYTES_MAX);
    bytes_put_u8(&writer, (uint8_t)card->kind);
    bytes_put_u8(&writer, CARD_FORMAT);
    bytes_put_u16(&writer, 0);
    uint8_t name[CARD_NAME_BYTES_MAX] = {0};
    memcpy(name, card->name, name_bytes);
    bytes_put_raw(&writer, name, sizeof name);
    bytes_put_hash(&writer, card->signing_key);
    if (card->kind != CARD_ADMIN) {
        bytes_put_hash(&writer, card->noise_key);
        bytes_put_hash(&writer, card->noise_proof_key);
    }
    if (card->kind == CARD_NODE) bytes_put_hash(&writer, card->owner_key);
    CHECK(!writer.failed && writer.used == card_bytes(card->kind));
    return writer.used;
}

size_t card_encode_proven(const struct card *card, uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, CARD_PROVEN_BYTES_MAX);
    writer.used = card_encode(card, out);
    bytes_put_raw(&writer, card->signing_proof, 64);
    if (card->kind != CARD_ADMIN) bytes_put_raw(&writer, card->noise_proof, 64);
    if (card->kind == CARD_NODE) bytes_put_raw(&writer, card->owner_proof, 64);
    CHECK(!writer.failed && writer.used == card_proven_bytes(card->kind));
    return writer.used;
}

void card_identify(struct card *card) {
    uint8_t bytes[CARD_BYTES_MAX];
    size_t count = card_encode(card, bytes);
    SHA256_PREFIXED(card->id, HASH_CARD, {bytes, count});
}

/* The binary form, whose size is a constant of the kind; what is fixed in it is checked. */
static enum system_error form_get(struct card *read, struct bytes_cursor *cursor, enum card_kind kind, struct system_fault *fault) {
    *read = (struct card){.kind = kind};
    uint8_t own_kind = bytes_get_u8(cursor), format = bytes_get_u8(cursor);
    uint16_t zero = bytes_get_u16(cursor);
    bytes_get_copy(cursor, read->name, CARD_NAME_BYTES_MAX);
    bytes_get_hash(cursor, read->signing_key);
    if (kind != CARD_ADMIN) {
        bytes_get_hash(cursor, read->noise_key);
        bytes_get_hash(cursor, read->noise_proof_key);
    }
    if (kind == CARD_NODE) bytes_get_hash(cursor, read->owner_key);
    if (own_kind != (uint8_t)kind || zero != 0) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "card.kind: not a %s card", kind_names[kind]);
    if (format != CARD_FORMAT) return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "card.format: %u is unknown, %d is", format, CARD_FORMAT);
    for (size_t i = strlen(read->name); i < CARD_NAME_BYTES_MAX; i++) {
        if (read->name[i] != 0) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "card.name: bytes after its end");
    }
    card_identify(read);
    return SYSTEM_OK;
}

/* owned: with the owner's proof. */
static enum system_error proven_get(struct card *card, enum card_kind kind, bool owned, const uint8_t *bytes, size_t count,
                                    struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct card read;
    enum system_error error = form_get(&read, &cursor, kind, fault);
    if (error) return error;
    bytes_get_copy(&cursor, read.signing_proof, 64);
    if (kind != CARD_ADMIN) bytes_get_copy(&cursor, read.noise_proof, 64);
    if (owned && kind == CARD_NODE) bytes_get_copy(&cursor, read.owner_proof, 64);
    CHECK(bytes_finished(&cursor)); /* the sizes are constants */
    error = owned ? card_verify(&read, fault) : card_verify_unowned(&read, fault);
    if (error) system_fault_prefix(fault, "card");
    else *card = read;
    return error;
}

enum system_error card_decode_proven(struct card *card, enum card_kind kind, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    if (count != card_proven_bytes(kind)) {
        return system_fault_set(fault, SYSTEM_TRUNCATED, "card: %zu bytes, not %zu", count, card_proven_bytes(kind));
    }
    return proven_get(card, kind, true, bytes, count, fault);
}

enum system_error card_decode_unowned(struct card *card, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    if (count != CARD_NODE_BYTES + 128) return system_fault_set(fault, SYSTEM_TRUNCATED, "card: %zu bytes, not %d", count, CARD_NODE_BYTES + 128);
    return proven_get(card, CARD_NODE, false, bytes, count, fault);
}

/* One key and its signature under `tag` over the card's binary form. */
static enum system_error proof_verify(const uint8_t tag[16], const uint8_t *card, size_t count, const uint8_t key[32],
                                      const uint8_t proof[64], const char *key_name, const char *proof_name, struct system_fault *fault) {
    uint8_t signed_bytes[16 + CARD_BYTES_MAX];
    enum ed25519_error error = ed25519_key_check(key);
    if (error) return system_fault_set(fault, SYSTEM_KEY_INVALID, "%s: no valid Ed25519 key (%s)", key_name, ed25519_error_name(error));
    memcpy(signed_bytes, tag, 16);
    memcpy(signed_bytes + 16, card, count);
    error = ed25519_verify(key, signed_bytes, 16 + count, proof);
    if (!error) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_PROOF_INVALID, "%s: the proof of possession does not verify: this card was changed, or is damaged (%s)",
                            proof_name, ed25519_error_name(error));
}

/* S-14 up to the owner's proof; `bytes` is the card's binary form. */
static enum system_error keys_verify(const struct card *card, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    uint8_t mapped[32];
    enum system_error error =
        proof_verify(signing_tags[card->kind], bytes, count, card->signing_key, card->signing_proof, "signing_key", "signing_proof", fault);
    if (error || card->kind == CARD_ADMIN) return error;
    error = proof_verify(noise_tag, bytes, count, card->noise_proof_key, card->noise_proof, "noise_proof_key", "noise_proof", fault);
    if (error) return error;
    if (crypto_sign_ed25519_pk_to_curve25519(mapped, card->noise_proof_key) != 0 || memcmp(mapped, card->noise_key, 32) != 0) {
        return system_fault_set(fault, SYSTEM_KEY_INVALID, "noise_key: is not the Montgomery form of noise_proof_key");
    }
    if (memcmp(card->signing_key, card->noise_proof_key, 32) == 0) {
        return system_fault_set(fault, SYSTEM_KEY_TWICE, "noise_proof_key: is the signing key too");
    }
    return SYSTEM_OK;
}

static enum system_error owner_twice(const struct card *card, struct system_fault *fault) {
    if (memcmp(card->owner_key, card->signing_key, 32) == 0 || memcmp(card->owner_key, card->noise_proof_key, 32) == 0) {
        return system_fault_set(fault, SYSTEM_KEY_TWICE, "owner_key: is another key of the card too");
    }
    return SYSTEM_OK;
}

enum system_error card_verify_unowned(const struct card *card, struct system_fault *fault) {
    uint8_t bytes[CARD_BYTES_MAX];
    if (card->kind != CARD_NODE || !card_name_valid(card->name)) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "name or kind: not of a node");
    enum system_error error = keys_verify(card, bytes, card_encode(card, bytes), fault);
    if (error) return error;
    enum ed25519_error bad = ed25519_key_check(card->owner_key);
    if (bad) return system_fault_set(fault, SYSTEM_KEY_INVALID, "owner_key: no valid Ed25519 key (%s)", ed25519_error_name(bad));
    return owner_twice(card, fault);
}

enum system_error card_verify(const struct card *card, struct system_fault *fault) {
    uint8_t bytes[CARD_BYTES_MAX];
    if (card_bytes(card->kind) == 0) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "kind: no kind of card");
    if (!card_name_valid(card->name)) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "name: 1 to %d of a-z 0-9 . - that begin with a letter or digit", CARD_NAME_BYTES_MAX);
    }
    size_t count = card_encode(card, bytes);
    enum system_error error = keys_verify(card, bytes, count, fault);
    if (error || card->kind != CARD_NODE) return error;
    error = proof_verify(owner_tag, bytes, count, card->owner_key, card->owner_proof, "owner_key", "owner_proof", fault);
    return error ? error : owner_twice(card, fault);
}

/* ---- JSON ---- */

static const char *const node_names[] = {"card",      "format",      "id",          "name",        "noise_key",    "noise_proof", "noise_proof_key",
                                         "owner_key", "owner_proof", "signing_key", "signing_proof"};
static const char *const client_names[] = {"card",        "format",          "id",          "name",         "noise_key",
                                           "noise_proof", "noise_proof_key", "signing_key", "signing_proof"};
static const char *const admin_names[] = {"card", "format", "id", "name", "signing_key", "signing_proof"};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

json_t *card_to_json(const struct card *card) {
    CHECK(card_bytes(card->kind) > 0);
    json_t *object = json_object();
    bool good = object != NULL;
    good = good && json_object_set_new(object, "card", json_string(kind_names[card->kind])) == 0;
    good = good && json_object_set_new(object, "format", json_integer(CARD_FORMAT)) == 0;
    good = good && json_object_set_new(object, "id", canonical_hex(card->id, 32)) == 0;
    good = good && json_object_set_new(object, "name", json_string(card->name)) == 0;
    good = good && json_object_set_new(object, "signing_key", canonical_hex(card->signing_key, 32)) == 0;
    good = good && json_object_set_new(object, "signing_proof", canonical_hex(card->signing_proof, 64)) == 0;
    if (card->kind != CARD_ADMIN) {
        good = good && json_object_set_new(object, "noise_key", canonical_hex(card->noise_key, 32)) == 0;
        good = good && json_object_set_new(object, "noise_proof", canonical_hex(card->noise_proof, 64)) == 0;
        good = good && json_object_set_new(object, "noise_proof_key", canonical_hex(card->noise_proof_key, 32)) == 0;
    }
    if (card->kind == CARD_NODE) {
        good = good && json_object_set_new(object, "owner_key", canonical_hex(card->owner_key, 32)) == 0;
        good = good && json_object_set_new(object, "owner_proof", canonical_hex(card->owner_proof, 64)) == 0;
    }
    if (good) return object;
    json_decref(object);
    return NULL;
}

static enum system_error keys_from_json(struct card *card, const json_t *object, const char *path, struct system_fault *fault) {
    struct {
        const char *name;
        uint8_t *out;
        size_t count;
        bool wanted;
    } fields[] = {
        {"signing_key", card->signing_key, 32, true},
        {"signing_proof", card->signing_proof, 64, true},
        {"noise_key", card->noise_key, 32, card->kind != CARD_ADMIN},
        {"noise_proof", card->noise_proof, 64, card->kind != CARD_ADMIN},
        {"noise_proof_key", card->noise_proof_key, 32, card->kind != CARD_ADMIN},
        {"owner_key", card->owner_key, 32, card->kind == CARD_NODE},
        {"owner_proof", card->owner_proof, 64, card->kind == CARD_NODE},
    };
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (!fields[i].wanted) continue;
        enum system_error error = canonical_get_hex(object, path, fields[i].name, fields[i].out, fields[i].count, fault);
        if (error) return error;
    }
    return SYSTEM_OK;
}

enum system_error card_from_json(struct card *card, enum card_kind kind, const json_t *object, const char *path, struct system_fault *fault) {
    char where[CANONICAL_PATH_BYTES], kind_text[16];
    struct card read = {.kind = kind};
    uint8_t id[32];
    uint64_t format;
    const char *const *names = kind == CARD_NODE ? node_names : kind == CARD_CLIENT ? client_names : admin_names;
    size_t names_count = kind == CARD_NODE ? COUNT_OF(node_names) : kind == CARD_CLIENT ? COUNT_OF(client_names) : COUNT_OF(admin_names);
    if (!json_is_object(object)) return system_fault_set(fault, SYSTEM_FIELD_TYPE, "%s: must be a card object", path);
    enum system_error error = canonical_get_text(object, path, "card", kind_text, sizeof kind_text - 1, fault);
    if (error) return error;
    if (strcmp(kind_text, kind_names[kind]) != 0) {
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s: must be \"%s\", and is \"%s\"", canonical_path(where, path, "card"),
                                kind_names[kind], kind_text);
    }
    error = canonical_get_u64(object, path, "format", 0, UINT32_MAX, &format, fault);
    if (error) return error;
    if (format != CARD_FORMAT) {
        return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "%s: %llu is unknown to this program, which knows %d",
                                canonical_path(where, path, "format"), (unsigned long long)format, CARD_FORMAT);
    }
    error = canonical_names(object, path, names, names_count, fault);
    if (error) return error;
    error = canonical_get_hex(object, path, "id", id, sizeof id, fault);
    if (error) return error;
    error = canonical_get_text(object, path, "name", read.name, CARD_NAME_BYTES_MAX, fault);
    if (error) return error;
    error = keys_from_json(&read, object, path, fault);
    if (error) return error;
    error = card_verify(&read, fault);
    if (error) {
        if (path[0] && fault) {
            char text[SYSTEM_FAULT_BYTES];
            memcpy(text, fault->text, sizeof text);
            return system_fault_set(fault, error, "%s.%s", path, text);
        }
        return error;
    }
    card_identify(&read);
    if (memcmp(read.id, id, sizeof id) != 0) {
        return system_fault_set(fault, SYSTEM_ID_MISMATCH, "%s: is not the hash of this card", canonical_path(where, path, "id"));
    }
    *card = read;
    return SYSTEM_OK;
}

/* ---- files ---- */

static int kind_of(const json_t *object) {
    const char *text = json_string_value(json_object_get(object, "card"));
    for (int kind = CARD_NODE; kind <= CARD_ADMIN; kind++) {
        if (text && strcmp(text, kind_names[kind]) == 0) return kind;
    }
    return 0;
}

enum system_error card_parse(struct card *card, int kind, const char *text, size_t text_bytes, struct system_fault *fault) {
    struct card read;
    if (text_bytes > CARD_FILE_BYTES_MAX) return system_fault_set(fault, SYSTEM_TOO_LARGE, "%zu bytes are no card", text_bytes);
    json_t *object;
    enum system_error error = canonical_parse(&object, text, text_bytes, fault);
    if (error) return error;
    int found = kind ? kind : kind_of(object);
    if (found) error = card_from_json(&read, (enum card_kind)found, object, "", fault);
    else error = system_fault_set(fault, SYSTEM_FIELD_RANGE, "card: must be node, client or admin");
    json_decref(object);
    if (error) return error;

    size_t again_bytes = 0;
    object = card_to_json(&read);
    char *again = object ? canonical_print(object, &again_bytes) : NULL;
    json_decref(object);
    if (!again) return system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    error = canonical_compare(text, text_bytes, again, again_bytes, fault);
    free(again);
    if (!error) *card = read;
    return error;
}

enum system_error card_load(struct card *card, int kind, const char *path, struct system_fault *fault) {
    size_t text_bytes = 0;
    struct system_fault own;
    char *text = canonical_read_file(path, CARD_FILE_BYTES_MAX, &text_bytes, &own);
    /* The two lie side by side, and one of them must not travel. */
    bool key = text && strncmp(text, "heraclius-key", 13) == 0;
    enum system_error error = !text ? own.error
                              : key ? system_fault_set(&own, SYSTEM_FIELD_TYPE, "is a secret key, which stays where it is: give the card beside it")
                                    : card_parse(card, kind, text, text_bytes, &own);
    free(text);
    if (error && fault) {
        *fault = own;
        system_fault_prefix(fault, path);
    }
    return error;
}

enum system_error card_save(const struct card *card, const char *path, struct system_fault *fault) {
    size_t text_bytes = 0;
    json_t *object = card_to_json(card);
    char *text = object ? canonical_print(object, &text_bytes) : NULL;
    json_decref(object);
    if (!text) return system_fault_set(fault, SYSTEM_NOTHING_FREE, "%s: no memory", path);
    enum system_error error = canonical_write_new(path, text, text_bytes, 0644, fault);
    free(text);
    return error;
}
