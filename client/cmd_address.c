/* heraclius address show, set, remove: addresses.json, where the nodes are reached (spec/system.md 7.7), replaced whole while all run. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "client/command.h"
#include "protocol/addresses.h"
#include "protocol/canonical.h"

enum verb { VERB_SHOW, VERB_SET, VERB_REMOVE };

struct wishes {
    char *system, *addresses;
    int fresh; /* --new */
};

/* The file as it is read, and as it will be: room for one entry more for each word. */
struct work {
    struct system *system;
    char path[CMD_PATH_BYTES];
    struct addresses *before, *after;
    int lock; /* on the folder: two such commands follow one another */
};

static bool work_open(struct work *work, const struct wishes *wishes, enum verb verb, int words) {
    struct command command = {.system_path = wishes->system};
    struct system_fault fault;
    char folder[CMD_PATH_BYTES];
    if (!command_find_system(&command) || !cmd_signatures_start()) return false;
    if (system_load(&work->system, command.system_path, &fault)) return (void)cmd_fail("%s", fault.text), false;
    (void)snprintf(folder, sizeof folder, "%s", command.system_path);
    if (wishes->addresses) (void)snprintf(work->path, sizeof work->path, "%s", wishes->addresses);
    else if (!cmd_path(work->path, dirname(folder), "addresses.json")) return false;
    (void)snprintf(folder, sizeof folder, "%s", work->path);
    const char *where = dirname(folder);
    work->lock = verb == VERB_SHOW ? -1 : open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (verb != VERB_SHOW && (work->lock < 0 || flock(work->lock, LOCK_EX) != 0)) return (void)cmd_fail("%s: %s", where, strerror(errno)), false;
    if (verb == VERB_SET && access(work->path, F_OK) != 0 && errno == ENOENT) {
        work->before = calloc(1, sizeof *work->before);
        if (work->before) memcpy(work->before->system_id, work->system->system_id, 16);
    } else if (addresses_load(&work->before, work->path, work->system, &fault)) {
        return (void)cmd_fail("%s", fault.text), false;
    }
    uint32_t count = work->before ? work->before->count : 0;
    work->after = calloc(1, sizeof *work->after + (count + (size_t)words + 1) * sizeof work->after->entries[0]);
    if (!work->before || !work->after) return (void)cmd_fail("no memory"), false;
    memcpy(work->after, work->before, sizeof *work->before + count * sizeof work->before->entries[0]);
    return true;
}

static void work_close(struct work *work) {
    if (work->lock >= 0) (void)close(work->lock);
    addresses_free(work->before);
    addresses_free(work->after);
    system_free(work->system);
}

static const struct card *node_named(const struct system *system, const char *name) {
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count; i++) {
        for (uint32_t j = 0; j < system->clusters[i].nodes_count; j++) {
            if (strcmp(system->clusters[i].nodes[j].name, name) == 0) return &system->clusters[i].nodes[j];
        }
    }
    return NULL;
}

static void address_line(const char *node, const struct address *address, const char *note) {
    char link[ADDRESSES_HOST_BYTES_MAX + 9] = "", admin[ADDRESSES_HOST_BYTES_MAX + 9] = "";
    if (address) {
        address_endpoint_print(&address->link, link);
        address_endpoint_print(&address->admin, admin);
    }
    printf("%-20s %s%s%s%s\n", node, link[0] ? link : "no address", admin[0] ? "  admin " : "", admin, note);
}

/* Those of the system file in its order, then the others. */
static void addresses_show(const struct work *work) {
    const struct system *system = work->system;
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count; i++) {
        for (uint32_t j = 0; j < system->clusters[i].nodes_count; j++) {
            const char *name = system->clusters[i].nodes[j].name;
            address_line(name, addresses_find(work->before, name), "");
        }
    }
    for (uint32_t i = 0; i < work->before->count; i++) {
        const struct address *address = &work->before->entries[i];
        if (!node_named(system, address->node)) address_line(address->node, address, "  (not of the system file)");
    }
}

/* ---- changes ---- */

bool cmd_addresses_write(const char *path, const struct addresses *addresses) {
    struct system_fault fault;
    size_t text_bytes = 0;
    char *text = addresses_encode_json(addresses, &text_bytes);
    bool good = text && canonical_replace(path, text, text_bytes, 0644, &fault) == SYSTEM_OK;
    if (!good) (void)cmd_fail("%s", text ? fault.text : "no memory");
    free(text);
    return good;
}

static int entry_compare(const void *a, const void *b) {
    return strcmp(((const struct address *)a)->node, ((const struct address *)b)->node);
}

static struct address *entry_of(struct addresses *addresses, const char *node) {
    for (uint32_t i = 0; i < addresses->count; i++) {
        if (strcmp(addresses->entries[i].node, node) == 0) return &addresses->entries[i];
    }
    return NULL;
}

/* NODE=LINK[,ADMIN]; the word is cut up. An address of the admin that is not given stays. */
static bool entry_set(struct work *work, char *word, bool fresh) {
    char *equals = strchr(word, '=');
    if (!equals) return (void)cmd_fail("%s: NODE=HOST:PORT or NODE=HOST:PORT,ADMINHOST:PORT", word), false;
    *equals = 0;
    char *link = equals + 1, *admin = strchr(link, ',');
    if (admin) *admin++ = 0;
    struct address_endpoint to, at = {0};
    if (!address_endpoint_parse(&to, link) || to.port == 0) return (void)cmd_fail("%s=%s: must be HOST:PORT or [IPv6]:PORT", word, link), false;
    if (admin && !address_endpoint_parse(&at, admin)) return (void)cmd_fail("%s=%s,%s: the second must be HOST:PORT too", word, link, admin), false;
    if (!card_name_valid(word)) return (void)cmd_fail("%s: no name that a node can have", word), false;
    struct address *entry = entry_of(work->after, word);
    if (!entry && !fresh && !node_named(work->system, word))
        return (void)cmd_fail("%s: no node of the system file, and not in %s; for one that a CONFIG brings in say --new", word, work->path), false;
    if (!entry) {
        entry = &work->after->entries[work->after->count++];
        memcpy(entry->node, word, strlen(word) + 1);
    }
    entry->link = to;
    if (admin) entry->admin = at;
    return true;
}

static bool entry_remove(struct work *work, const char *word) {
    struct address *entry = entry_of(work->after, word);
    if (!entry) return (void)cmd_fail("%s: not in %s", word, work->path), false;
    *entry = work->after->entries[--work->after->count];
    return true;
}

static bool changes_take(struct work *work, enum verb verb, const char **words, bool fresh) {
    for (const char **word = words; *word; word++) {
        char *copy = strdup(*word);
        bool good = copy && (verb == VERB_SET ? entry_set(work, copy, fresh) : entry_remove(work, copy));
        free(copy);
        if (!good) return false;
    }
    qsort(work->after->entries, work->after->count, sizeof work->after->entries[0], entry_compare);
    return true;
}

/* Two nodes at one address: one of them is not there. */
static void twice_warn(const struct addresses *addresses) {
    for (uint32_t i = 0; i < addresses->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct address *one = &addresses->entries[j], *other = &addresses->entries[i];
            if (one->link.port == 0 || one->link.port != other->link.port || strcmp(one->link.host, other->link.host) != 0) continue;
            (void)fprintf(stderr, "heraclius: warning: %s and %s have the same address\n", one->node, other->node);
        }
    }
}

static int address_run(enum verb verb, const struct wishes *wishes, const char **words, int count) {
    int code = CMD_EXIT_USAGE;
    struct work work = {.lock = -1};
    if (!work_open(&work, wishes, verb, count)) goto out;
    if (verb == VERB_SHOW) {
        addresses_show(&work);
        code = CMD_EXIT_DONE;
        goto out;
    }
    if (!changes_take(&work, verb, words, wishes->fresh != 0) || !cmd_addresses_write(work.path, work.after)) goto out;
    for (uint32_t i = 0; i < work.after->count; i++) {
        const struct address *now = &work.after->entries[i], *old = addresses_find(work.before, now->node);
        bool same = old && memcmp(&old->link, &now->link, sizeof now->link) == 0 && memcmp(&old->admin, &now->admin, sizeof now->admin) == 0;
        if (!same) address_line(now->node, now, "");
    }
    twice_warn(work.after);
    printf("%s is replaced. Nodes that read this file follow within seconds; bring it to the other nodes' machines and to clients\n", work.path);
    code = CMD_EXIT_DONE;
out:
    work_close(&work);
    return code;
}

/* ---- words and options ---- */

static int address_command(int argc, char **argv, enum verb verb, const char *help) {
    struct wishes wishes = {0};
    const struct poptOption of_set[] = {
        {"new", 0, POPT_ARG_NONE, &wishes.fresh, 0, "of a node that the system file does not name", NULL}, POPT_TABLEEND};
    const struct poptOption nothing[] = {POPT_TABLEEND};
    const struct poptOption options[] = {
        {"system", 's', POPT_ARG_STRING, &wishes.system, 0, "the system file (default: $HERACLIUS_SYSTEM, or local/system.json)", "FILE"},
        {"addresses", 'a', POPT_ARG_STRING, &wishes.addresses, 0, "the file (addresses.json beside the system file)", "FILE"},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)(uintptr_t)(verb == VERB_SET ? of_set : nothing), 0, NULL, NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    int code = CMD_EXIT_USAGE;
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, help);
    if (cmd_options(context)) {
        int count;
        const char **words = cmd_words(context, &count);
        bool good = (count > 0) == (verb != VERB_SHOW);
        code = good ? address_run(verb, &wishes, words, count) : cmd_fail("usage: %s %s (--help tells its options)", argv[0], help);
    }
    cmd_options_end(context, options);
    return code;
}

int cmd_address_show(int argc, char **argv) { return address_command(argc, argv, VERB_SHOW, "[OPTION...]"); }
int cmd_address_set(int argc, char **argv) { return address_command(argc, argv, VERB_SET, "NODE=HOST:PORT[,ADMIN:PORT]..."); }
int cmd_address_remove(int argc, char **argv) { return address_command(argc, argv, VERB_REMOVE, "NODE..."); }
