/* heraclius-setup: who this node is, and what init is told of a configuration. */
#include "appliance/setup/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/canonical.h"
#include "protocol/card_request.h"

enum { OWNER_DIGITS = 64 };

bool setup_path(char out[SETUP_PATH_BYTES], const char *root, const char *path, struct system_fault *fault) {
    int count = snprintf(out, SETUP_PATH_BYTES, "%s%s", root, path);
    if (count > 0 && count < SETUP_PATH_BYTES) return true;
    (void)system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "%.200s...: the path is too long", root);
    return false;
}

int setup_end(enum system_error error, const struct system_fault *fault) {
    if (!error && fflush(stdout) == 0) return 0;
    (void)fprintf(stderr, "%s: %s\n", error ? system_error_name(error) : "file-unreadable", error ? fault->text : "the answer cannot be written");
    return 1;
}

/* ---- who ---- */

bool setup_is_there(const char *path) {
    return access(path, F_OK) == 0 || errno != ENOENT;
}

static enum system_error owner_parse(const char *text, size_t count, const char *whence, uint8_t owner_key[32], struct system_fault *fault) {
    if (!canonical_hex_parse(text, count, owner_key, 32)) {
        return system_fault_set(fault, SYSTEM_FIELD_TYPE, "%.200s: must be the owner's public key, 64 lowercase hex digits", whence);
    }
    if (ed25519_key_check(owner_key) == ED25519_OK) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_KEY_INVALID, "%.200s: is no valid Ed25519 key: a digit was lost?", whence);
}

static enum system_error owner_read(const char *path, uint8_t owner_key[32], struct system_fault *fault) {
    size_t count = 0;
    char *text = canonical_read_file(path, OWNER_DIGITS + 1, &count, fault);
    if (text == NULL) {
        system_fault_prefix(fault, path);
        return fault->error;
    }
    if (count == OWNER_DIGITS + 1 && text[OWNER_DIGITS] == '\n') count = OWNER_DIGITS;
    enum system_error error = owner_parse(text, count, path, owner_key, fault);
    free(text);
    return error;
}

enum system_error setup_owner(const char *root, uint8_t owner_key[32], struct system_fault *fault) {
    static const char *const places[] = {"/etc/heraclius/owner", "/data/public/owner"};
    char path[SETUP_PATH_BYTES];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (!setup_path(path, root, places[i], fault)) return fault->error;
        if (setup_is_there(path)) return owner_read(path, owner_key, fault);
    }
    return system_fault_set(fault, SYSTEM_FIELD_MISSING,
                            "no owner is pinned here: type the owner's public key at the console (owner), or use an image "
                            "that has it");
}

int setup_owner_pin(const char *root, const char *hex) {
    char by_image[SETUP_PATH_BYTES], pinned[SETUP_PATH_BYTES], request[SETUP_PATH_BYTES];
    struct system_fault fault = {.text = ""};
    uint8_t wanted[32], now[32];
    bool good = setup_path(by_image, root, "/etc/heraclius/owner", &fault) && setup_path(pinned, root, "/data/public/owner", &fault) &&
                setup_path(request, root, "/data/public/request", &fault);
    enum system_error error = good ? owner_parse(hex, strlen(hex), "owner", wanted, &fault) : fault.error;
    if (error) return setup_end(error, &fault);
    if (setup_is_there(by_image) || setup_is_there(request)) { /* it is in the image, or in the request of the keys */
        error = setup_owner(root, now, &fault);
        if (!error && memcmp(now, wanted, 32) != 0) {
            error = system_fault_set(&fault, SYSTEM_FILE_EXISTS,
                                     "another owner is pinned here, %s: it changes with the node's keys alone, on a blank disk",
                                     setup_is_there(by_image) ? "by the image" : "and the node's keys were made for it");
        }
        return setup_end(error, &fault);
    }
    return setup_end(setup_replace(root, pinned, hex, strlen(hex), 0644, &fault), &fault);
}

int setup_retire(const char *root) {
    static const char said[] = "the operator gave this node's key up\n";
    char path[SETUP_PATH_BYTES], request[SETUP_PATH_BYTES];
    struct system_fault fault = {.text = ""};
    struct setup_self self;
    enum system_error error = setup_self_read(&self, root, &fault); /* without a key there is none to give up */
    if (!error && (!setup_path(path, root, "/data/public/retired", &fault) || !setup_path(request, root, "/data/public/request", &fault))) {
        error = fault.error;
    }
    if (error) return setup_end(error, &fault);
    error = setup_replace(root, path, said, sizeof said - 1, 0644, &fault);
    /* Nothing is free and no ballast left: that there is this name is the mark, and one more name of a file takes no block and no inode. */
    if (error && (link(request, path) == 0 || access(path, F_OK) == 0) && canonical_folder_sync(path)) error = SYSTEM_OK;
    return setup_end(error, &fault);
}

enum system_error setup_self_read(struct setup_self *self, const char *root, struct system_fault *fault) {
    char path[SETUP_PATH_BYTES];
    size_t count = 0;
    enum system_error error = setup_owner(root, self->owner_key, fault);
    if (error) return error;
    if (!setup_path(path, root, "/data/public/request", fault)) return fault->error;
    if (!setup_is_there(path)) {
        return system_fault_set(fault, SYSTEM_FIELD_MISSING, "this node has no keys yet: ask for its card request first (console: request)");
    }
    char *text = canonical_read_file(path, CARD_REQUEST_TEXT_BYTES_MAX, &count, fault);
    error = text ? card_request_parse(&self->own, (uint8_t *)text, count, fault) : fault->error;
    free(text);
    if (error) {
        system_fault_prefix(fault, path);
        return error;
    }
    self->node = (struct candidate_node){.own = &self->own, .owner_key = self->owner_key};
    return SYSTEM_OK;
}

/* ---- input ---- */

/* All of a file from its beginning; malloc'd, at most one byte more than a bundle may have. NULL with the fault set. */
static uint8_t *input_read(int fd, size_t *count, struct system_fault *fault) {
    size_t room = BUNDLE_TEXT_BYTES_MAX + 1;
    uint8_t *text = malloc(room);
    *count = 0;
    if (text == NULL) (void)system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory");
    while (text != NULL && *count < room) {
        ssize_t got = pread(fd, text + *count, room - *count, (off_t)*count);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) break;
        if (got < 0) {
            (void)system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "cannot be read: %s", strerror(errno));
            free(text);
            return NULL;
        }
        *count += (size_t)got;
    }
    return text;
}

static enum system_error fd_judge(struct candidate *candidate, int fd, const struct setup_self *self, struct system_fault *fault) {
    size_t count = 0;
    memset(candidate, 0, sizeof *candidate);
    uint8_t *text = input_read(fd, &count, fault);
    return text ? candidate_judge(candidate, text, count, &self->node, fault) : fault->error;
}

enum system_error setup_input_judge(struct candidate *candidate, const struct setup_self *self, struct system_fault *fault) {
    return fd_judge(candidate, SETUP_INPUT, self, fault);
}

/* ---- the mark ---- */

size_t setup_made_text(const struct candidate *candidate, char out[SETUP_MADE_BYTES]) {
    char node[65], system[33];
    canonical_hex_print(candidate->card.id, 32, node);
    canonical_hex_print(candidate->record.system_id, 16, system);
    return (size_t)snprintf(out, SETUP_MADE_BYTES, "heraclius-made 1\nnode %s\nsystem %s\n", node, system);
}

enum system_error setup_made_check(const char *root, const struct candidate *candidate, bool *made, struct system_fault *fault) {
    char path[SETUP_PATH_BYTES], expected[SETUP_MADE_BYTES];
    size_t count = 0, expected_bytes = setup_made_text(candidate, expected);
    if (!setup_path(path, root, "/data/public/made", fault)) return fault->error;
    *made = setup_is_there(path);
    if (!*made) return SYSTEM_OK;
    char *text = canonical_read_file(path, SETUP_MADE_BYTES, &count, fault);
    if (text == NULL) {
        system_fault_prefix(fault, path);
        return fault->error;
    }
    bool same = count == expected_bytes && memcmp(text, expected, count) == 0;
    free(text);
    if (same) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_FOREIGN,
                            "this disk has the data of another node or system: a node has one system for life, and another key in "
                            "another");
}

/* ---- plan ---- */

static void net_print(const struct node_settings_net *net) {
    if (net->dhcp) printf("net %s dhcp\n", net->which);
    for (uint32_t i = 0; i < net->addresses_count; i++) printf("net %s address %s\n", net->which, net->addresses[i]);
    for (uint32_t i = 0; i < net->gateways_count; i++) printf("net %s gateway %s\n", net->which, net->gateways[i]);
}

static void plan_print(const struct candidate *candidate) {
    bool any = false;
    printf("number %llu\nnode %s\n", (unsigned long long)candidate->record.number, candidate->card.name);
    if (candidate->settings.console_port[0]) printf("console %s\n", candidate->settings.console_port);
    for (int i = 0; i < NODE_SETTINGS_NETS_MAX; i++) {
        if (!candidate->settings.nets[i].there) continue;
        net_print(&candidate->settings.nets[i]);
        any = true;
    }
    if (!any) printf("net any dhcp\n");
    printf("ready\n");
}

int setup_plan(const char *root) {
    static struct candidate candidate;
    struct system_fault fault = {.text = ""};
    struct setup_self self;
    bool made;
    enum system_error error = setup_self_read(&self, root, &fault);
    if (!error) error = setup_input_judge(&candidate, &self, &fault);
    if (!error) error = setup_made_check(root, &candidate, &made, &fault);
    if (!error) plan_print(&candidate);
    candidate_free(&candidate);
    return setup_end(error, &fault);
}

/* What is in force, if it is whole; a damaged one holds nobody up: it could be deleted as well by whoever damaged it. */
static bool kept_read(struct candidate *kept, const char *root, const struct setup_self *self) {
    char path[SETUP_PATH_BYTES];
    struct system_fault fault = {.text = ""};
    if (!setup_path(path, root, "/data/config/bundle", &fault)) return false;
    size_t count = 0;
    char *text = canonical_read_file(path, BUNDLE_TEXT_BYTES_MAX, &count, &fault);
    return text != NULL && candidate_judge(kept, (uint8_t *)text, count, &self->node, &fault) == SYSTEM_OK;
}

int setup_take(const char *root) {
    static struct candidate candidate, kept;
    struct system_fault fault = {.text = ""};
    struct setup_self self;
    bool made;
    enum system_error error = setup_self_read(&self, root, &fault);
    if (!error) error = setup_input_judge(&candidate, &self, &fault);
    if (!error) error = setup_made_check(root, &candidate, &made, &fault);
    if (!error && kept_read(&kept, root, &self)) error = candidate_follows(&candidate, &kept, &fault);
    if (!error) plan_print(&candidate);
    candidate_free(&candidate);
    candidate_free(&kept);
    return setup_end(error, &fault);
}
