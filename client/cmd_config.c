/* heraclius config new, show, sign, observe, submit, status: the next CONFIG of a cluster (spec/system.md 7.5, 7.6). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/cmd_config_inside.h"
#include "client/cmd_system.h"
#include "protocol/canonical.h"

enum { CHAIN_FILE_BYTES_MAX = 1 << 28, VERSION_KEPT = -1 };

struct wishes {
    char *system, *client, *out, *chain, *admin_key;
    char **set, **replace, **add, **remove;
    int timeout_s, version, seal, anyway;
};

/* ---- files ---- */

static bool operation_read(const char *path, struct admin_op *operation) {
    struct command_bytes file;
    struct system_fault fault;
    if (!command_read_file(path, ADMIN_OP_BYTES_MAX, "the most that an operation may have", &file)) return false;
    enum system_error error = admin_op_decode(operation, file.bytes, file.count, &fault);
    free(file.bytes);
    if (error) return (void)cmd_fail("%s: not a file that `config new` or `config sign` made: %s", path, fault.text), false;
    if (operation->kind == ADMIN_OP_CONFIG || operation->kind == ADMIN_OP_SEAL) return true;
    (void)cmd_fail("%s: an enrolment of a client, not a CONFIG: `heraclius client` shows, signs and submits it", path);
    return false;
}

static bool operation_write(const char *path, struct admin_op *operation) {
    uint8_t bytes[ADMIN_OP_BYTES_MAX];
    struct system_fault fault;
    size_t count = admin_op_encode(operation, bytes);
    if (canonical_write_new(path, bytes, count, 0644, &fault) == SYSTEM_OK) return true;
    (void)cmd_fail("%s", fault.text);
    return false;
}

/* The chain beside an operation's file: what it follows. Serial 1 follows the system file and needs none. */
static bool view_beside(struct config_view *view, struct system *system, const struct wishes *wishes, const char *path, const struct admin_op *op) {
    char beside[CMD_PATH_BYTES];
    struct command_bytes file = {0};
    (void)snprintf(beside, sizeof beside, "%s.chain", path);
    const char *from = wishes->chain ? wishes->chain : beside;
    if (memcmp(op->system_id, system->system_id, 16) != 0) return (void)cmd_fail("%s is of another system than %s", path, wishes->system), false;
    if ((wishes->chain || op->serial > 1) && !command_read_file(from, CHAIN_FILE_BYTES_MAX, "the most that a chain may have", &file)) return false;
    bool good = cmd_config_view_open(view, system, op->cluster, from, file.bytes, file.count);
    free(file.bytes);
    return good;
}

static bool system_open(struct wishes *wishes, struct system **system) {
    struct system_fault fault;
    struct command command = {.system_path = wishes->system};
    if (!command_find_system(&command)) return false;
    if (!wishes->system) wishes->system = strdup(command.system_path);
    if (!wishes->system || !cmd_signatures_start()) return false;
    if (system_load(system, wishes->system, &fault) == SYSTEM_OK) return true;
    (void)cmd_fail("%s", fault.text);
    return false;
}

static struct heraclius *client_open(const struct wishes *wishes) {
    struct command command = {.system_path = wishes->system, .client_path = wishes->client, .timeout_s = wishes->timeout_s};
    int code;
    return command_open(&command, &code);
}

/* ---- new ---- */

static bool setting_take(struct config *config, char *word) {
    char *equals = strchr(word, '='), *end = NULL;
    if (!equals || equals[1] < '0' || equals[1] > '9') return (void)cmd_fail("--set %s: NAME=VALUE, as `system show` names them", word), false;
    *equals = 0;
    uint64_t value = strtoull(equals + 1, &end, 10);
    for (size_t i = 0; i < SYSTEM_LIMITS_COUNT + SYSTEM_TIMEOUTS_COUNT; i++) {
        bool limit = i < SYSTEM_LIMITS_COUNT;
        const struct system_limit_row *row = limit ? &system_limit_rows[i] : &system_timeout_rows[i - SYSTEM_LIMITS_COUNT];
        if (strcmp(row->name, word) != 0) continue;
        if (*end || value < row->lowest || value > row->highest)
            return (void)cmd_fail("--set %s: %" PRIu64 " to %" PRIu64, word, row->lowest, row->highest), false;
        system_limit_set(limit ? (void *)&config->limits : (void *)&config->timeouts, row, value);
        return true;
    }
    (void)cmd_fail("--set %s: no limit or time-out has this name", word);
    return false;
}

/* ---- members ---- */

static bool card_take(const struct config_view *view, const char *path, struct admin_op *operation, struct config_member *member) {
    uint32_t cluster;
    struct system_fault fault;
    struct card *card = &operation->nodes[operation->nodes_count];
    if (operation->nodes_count == CONFIG_MEMBERS_MAX) return (void)cmd_fail("too many new members"), false;
    if (card_load(card, CARD_NODE, path, &fault)) return (void)cmd_fail("%s", fault.text), false;
    if (system_node_by_signing_key(view->system, card->signing_key, &cluster, NULL) && cluster != view->cluster)
        return (void)cmd_fail("%s: of a node of another cluster: no key is in two, make another (node enroll)", path), false;
    operation->nodes_count++;
    memcpy(member->node_id, card->id, 32);
    memcpy(member->signing_key, card->signing_key, 32);
    memcpy(member->noise_key, card->noise_key, 32);
    return true;
}

/* The cards in the order of the new members (S-77). */
static void cards_sort(struct admin_op *operation) {
    const struct config_members *members = &operation->config.members;
    uint32_t done = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        for (uint32_t k = done; k < operation->nodes_count; k++) {
            if (memcmp(operation->nodes[k].id, members->members[i].node_id, 32) != 0) continue;
            struct card card = operation->nodes[k];
            operation->nodes[k] = operation->nodes[done];
            operation->nodes[done++] = card;
            break;
        }
    }
}

/* Who is behind one that leaves moves up. */
static bool members_change(const struct config_view *view, const struct wishes *wishes, struct admin_op *operation) {
    struct config_members *members = &operation->config.members;
    for (char **word = wishes->replace; word && *word; word++) {
        char *equals = strchr(*word, '=');
        if (!equals) return (void)cmd_fail("--replace %s: NODE=CARDFILE", *word), false;
        *equals = 0;
        int place = cmd_config_member(view, *word);
        if (place < 0 || !card_take(view, equals + 1, operation, &members->members[place])) return false;
    }
    for (char **word = wishes->remove; word && *word; word++) {
        int place = cmd_config_member(view, *word);
        if (place >= 0) place = config_member_by_node_id(members, view->chain->config.members.members[place].node_id);
        if (place < 0) return false;
        if (members->count == CONFIG_MEMBERS_MIN) return (void)cmd_fail("a cluster has at least %d members", CONFIG_MEMBERS_MIN), false;
        memmove(&members->members[place], &members->members[place + 1], (--members->count - (uint32_t)place) * sizeof members->members[0]);
        memset(&members->members[members->count], 0, sizeof members->members[0]);
    }
    for (char **word = wishes->add; word && *word; word++) {
        if (members->count == CONFIG_MEMBERS_MAX) return (void)cmd_fail("a cluster has at most %d members", CONFIG_MEMBERS_MAX), false;
        if (!card_take(view, *word, operation, &members->members[members->count])) return false;
        members->count++;
    }
    cards_sort(operation);
    return true;
}

static void operation_begin(const struct config *before, struct admin_op *operation) {
    memset(operation, 0, sizeof *operation);
    operation->kind = ADMIN_OP_CONFIG;
    operation->cluster = before->members.cluster;
    memcpy(operation->system_id, before->system_id, 16);
    operation->serial = before->members.serial + 1;
    config_hash(before, operation->predecessor);
    operation->config = *before;
    operation->config.members.serial++;
}

static bool operation_make(const struct config_view *view, const struct wishes *wishes, struct admin_op *operation) {
    struct system_fault fault;
    operation_begin(&view->chain->config, operation);
    if (view->chain->sealed) return (void)cmd_fail("the cluster was sealed: no CONFIG follows"), false;
    if (wishes->seal) {
        bool alone = !wishes->set && !wishes->replace && !wishes->add && !wishes->remove && wishes->version == VERSION_KEPT;
        if (!alone) return (void)cmd_fail("--seal ends the cluster and changes nothing else: give it alone"), false;
        operation->kind = ADMIN_OP_SEAL;
        return true;
    }
    for (char **word = wishes->set; word && *word; word++) {
        if (!setting_take(&operation->config, *word)) return false;
    }
    if (!members_change(view, wishes, operation)) return false;
    if (wishes->version != VERSION_KEPT) operation->config.protocol_version = (uint32_t)wishes->version;
    if (config_check(&operation->config, &fault) || config_succeeds(&view->chain->config, &operation->config, NULL, &fault))
        return (void)cmd_fail("%s", fault.text), false;
    return cmd_config_limits_fit(view, &operation->config);
}

/* What f+1 nodes of the cluster know, or a chain from a file; the payload is malloc'd. */
static bool chain_get(const struct wishes *wishes, uint32_t cluster, struct buffer *payload) {
    if (wishes->chain) {
        struct command_bytes file;
        if (!command_read_file(wishes->chain, CHAIN_FILE_BYTES_MAX, "the most that a chain may have", &file)) return false;
        *payload = (struct buffer){.bytes = file.bytes, .used = file.count, .room = file.count};
        return true;
    }
    struct heraclius *db = client_open(wishes);
    if (!db) return false;
    uint32_t came = client_config_fetch(db, cluster, (uint32_t)wishes->timeout_s * 1000);
    bool good = came > config_faults(client_chain_config(db, cluster)->members.count) && client_chain_whole(db, cluster, payload);
    heraclius_close(db);
    if (!good) (void)cmd_fail("%u nodes of the cluster told their chain in time, f+1 are needed (or give --chain FILE)", came);
    return good;
}

static int config_new(struct wishes *wishes, const char *word) {
    int code = CMD_EXIT_USAGE;
    struct system *system = NULL;
    struct buffer payload = {0};
    struct config_view view = {0};
    struct system_fault fault;
    char beside[CMD_PATH_BYTES];
    uint32_t cluster;
    struct admin_op *operation = malloc(sizeof *operation);
    if (!operation || !system_open(wishes, &system) || !cmd_config_cluster(word, system, &cluster) || !chain_get(wishes, cluster, &payload)) goto out;
    if (!cmd_config_view_open(&view, system, cluster, wishes->chain ? wishes->chain : "the cluster's chain", payload.bytes, payload.used)) goto out;
    if (!operation_make(&view, wishes, operation) || !operation_write(wishes->out, operation)) goto out;
    (void)snprintf(beside, sizeof beside, "%s.chain", wishes->out);
    if (canonical_write_new(beside, payload.bytes, payload.used, 0644, &fault)) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    cmd_config_print(&view, operation);
    printf("%s is to be signed; %s shows what it follows: hand over both\n", wishes->out, beside);
    code = CMD_EXIT_DONE;
out:
    cmd_config_view_close(&view);
    client_buffer_free(&payload);
    system_free(system);
    free(operation);
    return code;
}

/* ---- show, sign ---- */

static int config_show(struct wishes *wishes, const char *path) {
    int code = CMD_EXIT_USAGE;
    struct system *system = NULL;
    struct config_view view = {0};
    struct admin_op *operation = malloc(sizeof *operation);
    if (operation && system_open(wishes, &system) && operation_read(path, operation) && view_beside(&view, system, wishes, path, operation)) {
        cmd_config_print(&view, operation);
        code = CMD_EXIT_DONE;
    }
    cmd_config_view_close(&view);
    system_free(system);
    free(operation);
    return code;
}

static bool may_sign(const struct config_view *view, const struct keyfile *key, const struct admin_op *operation, const char *path) {
    bool admin = false;
    struct system_fault fault;
    const struct config *config = &view->chain->config;
    for (uint32_t i = 0; i < config->admins_count; i++) admin = admin || memcmp(config->admins[i].key, key->signing_key, 32) == 0;
    if (!admin) return (void)cmd_fail("%s: this key is of no administrator in epoch %" PRIu64, path, config->members.serial), false;
    enum system_error error = admin_op_verify(operation, config, NULL, &fault);
    if (error && error != SYSTEM_SIGNATURES_TOO_FEW) return (void)cmd_fail("not signed, it would have no effect: %s", fault.text), false;
    return operation->kind == ADMIN_OP_SEAL || cmd_config_limits_fit(view, &operation->config);
}

static int config_sign(struct wishes *wishes, const char *path) {
    int code = CMD_EXIT_USAGE;
    struct system *system = NULL;
    struct config_view view = {0};
    struct keyfile key = {.lock = -1};
    struct system_fault fault;
    struct admin_op *operation = malloc(sizeof *operation);
    if (!operation || !system_open(wishes, &system) || !operation_read(path, operation)) goto out;
    if (!view_beside(&view, system, wishes, path, operation)) goto out;
    if (keyfile_open(&key, KEYFILE_ADMIN, wishes->admin_key, false, &fault)) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    if (!may_sign(&view, &key, operation, wishes->admin_key)) goto out;
    if (!admin_op_sign(operation, &key.signing)) {
        (void)cmd_fail("%s has as many signatures as there can be", path);
        goto out;
    }
    if (!operation_write(wishes->out, operation)) goto out;
    cmd_config_print(&view, operation);
    printf("%s has this signature too; `config submit` takes any number of such files together\n", wishes->out);
    code = CMD_EXIT_DONE;
out:
    keyfile_close(&key);
    cmd_config_view_close(&view);
    system_free(system);
    free(operation);
    return code;
}

/* ---- submit ---- */

/* The signatures of all files together. */
static bool operations_join(struct admin_op *operation, const char **paths) {
    struct admin_op *other = malloc(sizeof *other);
    bool good = other && operation_read(paths[0], operation);
    for (const char **path = paths + 1; good && *path; path++) {
        good = operation_read(*path, other);
        if (good && memcmp(other->hash, operation->hash, 32) != 0) {
            (void)cmd_fail("%s is another operation than %s", *path, paths[0]);
            good = false;
        }
        for (uint32_t i = 0; good && i < other->signatures_count; i++) {
            good = admin_op_signature_add(operation, &other->signatures[i]);
            if (!good) (void)cmd_fail("%s: more than %d signatures", *path, CONFIG_ADMINS_MAX);
        }
    }
    free(other);
    return good;
}

/* ---- who votes ---- */

/* The members of one that the other does not have (or, `kept`, that both have), by places of the first. */
static uint32_t places_of(const struct config_members *members, const struct config_members *other, bool kept) {
    uint32_t places = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        bool both = config_member_by_signing_key(other, members->members[i].signing_key) >= 0;
        if (both == kept) places |= 1u << i;
    }
    return places;
}

static void names_print(FILE *to, const struct heraclius *db, uint32_t cluster, uint32_t places) {
    for (uint32_t i = 0; i < db->node_count; i++) {
        const struct node *node = &db->nodes[i];
        if (node->cluster == cluster && (places >> node->member & 1) != 0) (void)fprintf(to, " %s", node->card ? node->card->name : "?");
    }
}

/* A removal alone may cost a cluster its quorum, too: of seven with two down, two of the others. */
static bool members_changed(const struct config_members *in_force, const struct admin_op *operation) {
    return operation->kind == ADMIN_OP_CONFIG && (operation->nodes_count > 0 || operation->config.members.count != in_force->count);
}

/* One that was brought in and has not caught up counts among those that are down: the next change waits for it. */
static bool stayers_vote(struct heraclius *db, const struct admin_op *operation, uint32_t timeout_ms) {
    enum { PATIENCE_MS = 5000 };
    const struct config *config = client_chain_config(db, operation->cluster);
    uint32_t places = places_of(&config->members, &operation->config.members, true);
    uint32_t patience_ms = timeout_ms < PATIENCE_MS ? timeout_ms : PATIENCE_MS;
    uint32_t voting = client_nodes_voting(db, operation->cluster, config->members.serial, places, patience_ms);
    if ((places & ~voting) == 0) return true;
    (void)fprintf(stderr, "heraclius: not submitted: no vote yet of");
    names_print(stderr, db, operation->cluster, places & ~voting);
    (void)fprintf(stderr, "; wait until they have caught up, or say --anyway\n");
    return false;
}

static void newcomers_wait(struct heraclius *db, const struct admin_op *operation, const struct config_members *before, uint32_t timeout_ms) {
    uint32_t places = places_of(&operation->config.members, before, false);
    uint32_t voting = client_nodes_voting(db, operation->cluster, operation->serial, places, timeout_ms) & places;
    if (voting != 0) {
        printf("votes:");
        names_print(stdout, db, operation->cluster, voting);
        printf("\n");
    }
    if (voting == places) return;
    printf("no vote yet:");
    names_print(stdout, db, operation->cluster, places & ~voting);
    printf(" (it counts among those that are down: no further change before it has caught up)\n");
}

static int submitted(struct heraclius *db, const struct admin_op *operation, const uint8_t *bytes, size_t count, uint32_t timeout_ms) {
    char why[HERACLIUS_TEXT_BYTES], cluster[16];
    cmd_config_cluster_name(operation->cluster, cluster);
    enum heraclius_status status = client_config_submit(db, operation, bytes, count, timeout_ms, why);
    if (status == HERACLIUS_OK && operation->kind == ADMIN_OP_SEAL) {
        printf("cluster %s is sealed\n", cluster);
    } else if (status == HERACLIUS_OK) {
        const struct bft_members *members = client_chain_members(db, operation->cluster, operation->serial);
        printf("in force: cluster %s is in epoch %" PRIu64 " since height %" PRIu64 "\n", cluster, operation->serial, members->start.height);
    } else {
        (void)cmd_fail("%s", why);
    }
    return status == HERACLIUS_OK ? EXIT_DONE : status == HERACLIUS_REFUSED ? EXIT_REFUSED : EXIT_UNANSWERED;
}

static int announced(struct heraclius *db, const struct admin_op *operation, const uint8_t *bytes, size_t count, uint32_t timeout_ms) {
    char why[HERACLIUS_TEXT_BYTES];
    uint32_t took = 0;
    if (client_chain_find(db, operation->cluster)->entry_count >= operation->serial)
        return (void)cmd_fail("a CONFIG with serial %" PRIu64 " has been decided: nobody observes by this one", operation->serial), EXIT_REFUSED;
    enum heraclius_status status = client_config_announce(db, operation->cluster, bytes, count, timeout_ms, &took, why);
    if (status != HERACLIUS_OK) (void)cmd_fail("%s", why);
    else printf("%u nodes let %u new ones observe, until the next CONFIG: submit this one when their own status shows that they have caught up\n",
                took, operation->nodes_count);
    return status == HERACLIUS_OK ? EXIT_DONE : status == HERACLIUS_REFUSED ? EXIT_REFUSED : EXIT_UNANSWERED;
}

/* observe: its new members look on; else it is to be decided. */
static int config_submit(struct wishes *wishes, const char **paths, bool observe) {
    struct config_members *before = malloc(sizeof *before);
    int code = CMD_EXIT_USAGE;
    struct system *system = NULL;
    struct heraclius *db = NULL;
    struct system_fault fault;
    struct admin_op *operation = malloc(sizeof *operation);
    uint8_t *bytes = malloc(ADMIN_OP_BYTES_MAX);
    uint32_t timeout_ms = (uint32_t)wishes->timeout_s * 1000;
    if (!before || !operation || !bytes || !system_open(wishes, &system) || !operations_join(operation, paths)) goto out;
    size_t count = admin_op_encode(operation, bytes);
    if (memcmp(operation->system_id, system->system_id, 16) != 0 || !system_cluster_by_id(system, operation->cluster)) {
        (void)cmd_fail("%s is of another system than %s", paths[0], wishes->system);
        goto out;
    }
    db = client_open(wishes);
    if (!db) goto out;
    (void)client_config_fetch(db, operation->cluster, timeout_ms);
    const struct client_chain *chain = client_chain_find(db, operation->cluster);
    /* Said here, where people read it, before any node has to refuse it. */
    if (chain->entry_count + 1 == operation->serial && admin_op_verify(operation, &chain->chain->config, NULL, &fault)) {
        code = EXIT_REFUSED;
        (void)cmd_fail("not submitted: %s", fault.text);
        goto out;
    }
    if (observe && (operation->kind != ADMIN_OP_CONFIG || operation->nodes_count == 0)) code = cmd_fail("%s brings no new node", paths[0]);
    else if (observe) code = announced(db, operation, bytes, count, timeout_ms);
    else if (!members_changed(&chain->chain->config.members, operation)) code = submitted(db, operation, bytes, count, timeout_ms);
    else if (!wishes->anyway && chain->entry_count + 1 == operation->serial && !stayers_vote(db, operation, timeout_ms)) code = EXIT_REFUSED;
    else {
        *before = chain->chain->config.members;
        code = submitted(db, operation, bytes, count, timeout_ms);
        if (code == EXIT_DONE) newcomers_wait(db, operation, before, timeout_ms);
    }
out:
    free(before);
    heraclius_close(db);
    system_free(system);
    free(operation);
    free(bytes);
    return code;
}

/* ---- status ---- */

static void cluster_status(const struct heraclius *db, uint32_t cluster, uint32_t came) {
    const struct client_chain *chain = client_chain_find(db, cluster);
    const struct bft_members *members = &chain->epochs[chain->epoch_count - 1];
    const struct config *config = &chain->chain->config;
    char name[16], hash[65];
    cmd_config_cluster_name(cluster, name);
    canonical_hex_print(members->place.config_hash.bytes, 32, hash);
    printf("%s: epoch %" PRIu64 " since height %" PRIu64 ", %u members, goes on with %u down or lying, %u of %u administrators sign%s\n", name,
           members->place.epoch, members->start.height, members->n, members->f, config->admins_needed, config->admins_count,
           chain->chain->sealed ? ", SEALED" : "");
    printf("  config %s, proved by its chain; %u nodes told what they have of it\n  members", hash, came);
    for (uint32_t i = 0; i < db->node_count; i++) {
        const struct node *node = &db->nodes[i];
        if (node->cluster == cluster && node->card) printf("%s %u %s", node->member > 0 ? "," : "", node->member, node->card->name);
    }
    printf("\n");
}

/* What is shown then is what was known before. */
static int few_told(const struct heraclius *db, uint32_t cluster, uint32_t came) {
    char name[16];
    cmd_config_cluster_name(cluster, name);
    (void)cmd_fail("%s: %u of its nodes told their chain in time, f+1 are needed; below is what this client knew before", name, came);
    for (uint32_t i = 0; i < db->node_count; i++) {
        const struct node *node = &db->nodes[i];
        if (node->cluster != cluster || !node->card || !node->why[0]) continue;
        (void)fprintf(stderr, "  %s: %s\n", node->card->name, node->why);
    }
    return EXIT_UNANSWERED;
}

static int config_status(struct wishes *wishes, const char *word) {
    int code = CMD_EXIT_USAGE;
    struct system *system = NULL;
    struct buffer payload = {0};
    struct system_fault fault;
    uint32_t only = 0;
    if (!system_open(wishes, &system) || (word && !cmd_config_cluster(word, system, &only))) {
        system_free(system);
        return code;
    }
    struct heraclius *db = client_open(wishes);
    code = db ? EXIT_DONE : CMD_EXIT_USAGE;
    for (uint32_t i = 0; db && i < system->coordinators_count + system->shards_count; i++) {
        uint32_t cluster = system->clusters[i].cluster;
        if (word && cluster != only) continue;
        uint32_t came = client_config_fetch(db, cluster, (uint32_t)wishes->timeout_s * 1000);
        if (came <= db->members[i].f) code = few_told(db, cluster, came);
        cluster_status(db, cluster, came);
        if (!wishes->out) continue;
        if (!client_chain_whole(db, cluster, &payload)) code = cmd_fail("%s: the chain is longer than one file holds", wishes->out);
        else if (canonical_write_new(wishes->out, payload.bytes, payload.used, 0644, &fault)) code = cmd_fail("%s", fault.text);
    }
    heraclius_close(db);
    client_buffer_free(&payload);
    system_free(system);
    return code;
}

/* ---- words and options ---- */

enum verb { VERB_NEW, VERB_SHOW, VERB_SIGN, VERB_OBSERVE, VERB_SUBMIT, VERB_STATUS };

static int run(enum verb verb, struct wishes *wishes, const char **words, int count, const char *name) {
    bool one = count == 1, out = wishes->out != NULL;
    if (verb == VERB_NEW && one && out) return config_new(wishes, words[0]);
    if (verb == VERB_SHOW && one) return config_show(wishes, words[0]);
    if (verb == VERB_SIGN && one && out && wishes->admin_key) return config_sign(wishes, words[0]);
    if ((verb == VERB_OBSERVE || verb == VERB_SUBMIT) && count >= 1) return config_submit(wishes, words, verb == VERB_OBSERVE);
    if (verb == VERB_STATUS && (count == 0 || one) && (one || !out)) return config_status(wishes, count > 0 ? words[0] : NULL);
    return cmd_fail("%s needs %s (--help tells more)", name,
                    verb == VERB_NEW      ? "a CLUSTER (c0, s0, ...) and --out FILE"
                    : verb == VERB_SIGN   ? "one FILE, --admin-key KEY and --out FILE"
                    : verb == VERB_STATUS ? "at most one CLUSTER, and one for --out FILE"
                                          : "a FILE");
}

static int config_command(int argc, char **argv, enum verb verb, const char *help) {
    struct wishes wishes = {.timeout_s = 10, .version = VERSION_KEPT};
    const struct poptOption of_new[] = {
        {"set", 0, POPT_ARG_ARGV, &wishes.set, 0, "another limit or time-out, as `system show` names them; as often as you like", "NAME=VALUE"},
        {"replace", 0, POPT_ARG_ARGV, &wishes.replace, 0, "another node, or another key, in the place of this one", "NODE=CARD"},
        {"add", 0, POPT_ARG_ARGV, &wishes.add, 0, "one more member", "CARD"},
        {"remove", 0, POPT_ARG_ARGV, &wishes.remove, 0, "this member goes, those behind it move up", "NODE"},
        {"protocol-version", 0, POPT_ARG_INT, &wishes.version, 0, "the active protocol version", "N"},
        {"seal", 0, POPT_ARG_NONE, &wishes.seal, 0, "end the cluster, for a successor", NULL},
        POPT_TABLEEND};
    const struct poptOption of_sign[] = {
        {"admin-key", 0, POPT_ARG_STRING, &wishes.admin_key, 0, "the administrator's secret key (also: --admin)", "FILE"},
        {"admin", 0, POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, &wishes.admin_key, 0, NULL, NULL},
        POPT_TABLEEND};
    const struct poptOption of_submit[] = {
        {"anyway", 0, POPT_ARG_NONE, &wishes.anyway, 0, "change members although one that stays does not vote", NULL}, POPT_TABLEEND};
    const struct poptOption nothing[] = {POPT_TABLEEND};
    const struct poptOption *of_verb = verb == VERB_NEW ? of_new : verb == VERB_SIGN ? of_sign : verb == VERB_SUBMIT ? of_submit : nothing;
    const struct poptOption options[] = {
        {"system", 's', POPT_ARG_STRING, &wishes.system, 0, "the system file (default: $HERACLIUS_SYSTEM, or local/system.json)", "FILE"},
        {"client", 0, POPT_ARG_STRING, &wishes.client, 0, "a client's key, for links to the nodes (client.key beside the system file)", "KEYFILE"},
        {"timeout", 0, POPT_ARG_INT, &wishes.timeout_s, 0, "seconds until it gives up (default 10)", "S"},
        {"chain", 0, POPT_ARG_STRING, &wishes.chain, 0, "what it follows, from a file instead of the nodes or the file beside", "FILE"},
        {"out", 'o', POPT_ARG_STRING, &wishes.out, 0, "the file to make; nothing is overwritten", "FILE"},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)(uintptr_t)of_verb, 0, NULL, NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    int code = CMD_EXIT_USAGE;
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, help);
    if (cmd_options(context)) {
        int count;
        const char **words = cmd_words(context, &count);
        bool timeout = wishes.timeout_s >= 1 && wishes.timeout_s <= 86400;
        code = timeout ? run(verb, &wishes, words, count, argv[0]) : cmd_fail("--timeout is 1 to 86400 seconds");
    }
    cmd_options_end(context, options);
    return code;
}

int cmd_config_new(int argc, char **argv) { return config_command(argc, argv, VERB_NEW, "CLUSTER --out FILE [OPTION...]"); }
int cmd_config_show(int argc, char **argv) { return config_command(argc, argv, VERB_SHOW, "FILE [OPTION...]"); }
int cmd_config_sign(int argc, char **argv) { return config_command(argc, argv, VERB_SIGN, "FILE --admin-key KEY --out FILE [OPTION...]"); }
int cmd_config_observe(int argc, char **argv) { return config_command(argc, argv, VERB_OBSERVE, "FILE... [OPTION...]"); }
int cmd_config_submit(int argc, char **argv) { return config_command(argc, argv, VERB_SUBMIT, "FILE... [OPTION...]"); }
int cmd_config_status(int argc, char **argv) { return config_command(argc, argv, VERB_STATUS, "[CLUSTER] [OPTION...]"); }
