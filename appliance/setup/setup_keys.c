/* heraclius-setup keys: the node's secret keys, made once on its own disk, and the card request that leaves it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance/setup/setup.h"
#include "merkle/sha256.h"
#include "protocol/canonical.h"
#include "protocol/card_request.h"
#include "protocol/keyfile.h"
#include "ring/entropy.h"

enum { NAME_DIGITS = 12 };

static bool entropy(void *context, uint8_t *out, size_t count) {
    (void)context;
    ring_entropy_fill(out, count);
    return true;
}

static enum system_error key_make(struct keyfile *key, const char *name, const uint8_t owner_key[32], const char *path, struct card *card,
                                  struct system_fault *fault) {
    enum system_error error = keyfile_generate(key, KEYFILE_NODE, name ? name : "node", entropy, NULL, fault);
    if (error) return error;
    if (!name) {
        char hex[65];
        uint8_t hash[32];
        sha256_hash(key->signing_key, 32, hash);
        canonical_hex_print(hash, 32, hex);
        (void)snprintf(key->name, sizeof key->name, "node-%.*s", NAME_DIGITS, hex);
    }
    error = keyfile_make_unowned(key, owner_key, card, fault);
    return error ? error : keyfile_create(key, path, fault);
}

/* The key that is there; its card is what it was when it was made. */
static enum system_error key_read(struct keyfile *key, const char *name, const uint8_t owner_key[32], const char *path, struct card *card,
                                  struct system_fault *fault) {
    uint8_t card_id[32];
    enum system_error error = keyfile_open(key, KEYFILE_NODE, path, false, fault);
    if (error) return error;
    memcpy(card_id, key->card_id, 32);
    if (name && strcmp(name, key->name) != 0)
        return system_fault_set(fault, SYSTEM_FILE_EXISTS, "this node's keys are made, with the name %s", key->name);
    error = keyfile_make_unowned(key, owner_key, card, fault);
    if (error || memcmp(card_id, card->id, 32) == 0) return error;
    return system_fault_set(fault, SYSTEM_FOREIGN, "this node's keys were made for another owner than the one that is pinned here now");
}

int setup_keys(const char *root, const char *name) {
    char key_path[SETUP_PATH_BYTES], request_path[SETUP_PATH_BYTES], text[CARD_REQUEST_TEXT_BYTES_MAX];
    struct system_fault fault = {.text = ""};
    struct keyfile key = {.lock = -1};
    struct card card;
    uint8_t owner_key[32];
    size_t count = 0;
    enum system_error error = setup_owner(root, owner_key, &fault);
    if (!error && (!setup_path(key_path, root, "/data/node/node.key", &fault) || !setup_path(request_path, root, "/data/public/request", &fault))) {
        error = fault.error;
    }
    if (error) return setup_end(error, &fault);
    bool there = access(key_path, F_OK) == 0 || errno != ENOENT, asked = access(request_path, F_OK) == 0;
    if (there)
        error = key_read(&key, name, owner_key, key_path, &card, &fault);
    else if (asked)
        error = system_fault_set(&fault, SYSTEM_FILE_UNREADABLE,
                                 "the node's key is lost: it is not made anew on a disk that had one. Blank "
                                 "the disk, and let a CONFIG put the new key in the old one's place");
    else
        error = key_make(&key, name, owner_key, key_path, &card, &fault);
    if (!error) {
        count = card_request_print(&card, text);
        if (!asked) error = setup_replace(root, request_path, text, count, 0644, &fault);
    }
    keyfile_close(&key);
    if (!error) setup_ballast_make(root);
    if (!error) (void)fwrite(text, 1, count, stdout);
    return setup_end(error, &fault);
}
