/* heraclius system local: a whole system on this machine, made the same way as a real one (keys, cards, system file, node data). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/assembly.h"
#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "merkle/check.h"
#include "protocol/addresses.h"
#include "protocol/canonical.h"

enum { BENCH_KEYS = 16, BENCH_KEYS_MAX = SYSTEM_CLIENTS_MAX - 1, PORT_LOWEST = 1024 }; /* client.key is a client too */

/* Fit for many nodes beside one another on a laptop; every other limit is the default. */
enum { LOCAL_TABLE_KEYS_MAX = 4 << 20, LOCAL_TABLE_BYTES_MAX = 1 << 30, LOCAL_CLIENTS_MAX = 4096 };

struct sizes {
    int coordinators, shards, nodes, port_base, bench_keys;
    char **settings; /* NAME=VALUE of limits and time-outs, NULL at the end; NULL: none */
};

/* A node's folder: key, node.conf with paths relative to it; its data come last, when the system file exists. */
static bool node_make(const char *out, const char *name, struct card *card) {
    char folder[CMD_PATH_BYTES], key[CMD_PATH_BYTES], card_file[64], card_path[CMD_PATH_BYTES], owner_file[64], owner[CMD_PATH_BYTES];
    char conf[CMD_PATH_BYTES];
    struct system_fault fault;
    static const char text[] = "{\n  \"addresses\": \"../addresses.json\",\n  \"data\": \"data\",\n  \"key\": \"node.key\",\n"
                               "  \"system\": \"../system.json\",\n  \"threads\": \"fused\"\n}\n";
    (void)snprintf(card_file, sizeof card_file, "cards/%s.card", name);
    (void)snprintf(owner_file, sizeof owner_file, "owners/%s.key", name);
    if (!cmd_path(folder, out, name) || !cmd_folder(folder, 0700) || !cmd_path(key, folder, "node.key") || !cmd_path(card_path, out, card_file) ||
        !cmd_path(owner, out, owner_file) || !cmd_path(conf, folder, "node.conf")) {
        return false;
    }
    const struct cmd_enrolment enrolment = {KEYFILE_NODE, name, key, card_path, owner, true};
    if (!cmd_enroll_files(&enrolment, card)) return false;
    if (!canonical_write_new(conf, text, sizeof text - 1, 0644, &fault)) return true;
    (void)cmd_fail("%s", fault.text);
    return false;
}

static bool cluster_make(struct assembly *assembly, const char *out, bool shard, int index, int nodes) {
    struct card cards[CONFIG_MEMBERS_MAX];
    struct system_fault fault;
    CHECK(nodes <= CONFIG_MEMBERS_MAX);
    for (int i = 0; i < nodes; i++) {
        char name[CARD_NAME_BYTES_MAX + 1];
        (void)snprintf(name, sizeof name, "%c%d-n%d", shard ? 's' : 'c', index, i);
        if (!node_make(out, name, &cards[i])) return false;
    }
    if (!assembly_add_cluster(assembly, shard, cards, (uint32_t)nodes, &fault)) return true;
    (void)cmd_fail("%s", fault.text);
    return false;
}

static bool person_make(struct assembly *assembly, const char *out, enum keyfile_kind kind, const char *name) {
    char key_file[64], key[CMD_PATH_BYTES], card_file[64], card_path[CMD_PATH_BYTES];
    struct system_fault fault;
    struct card card;
    const struct system_right all = {.flags = SYSTEM_RIGHT_READ | SYSTEM_RIGHT_WRITE};
    (void)snprintf(key_file, sizeof key_file, "%s.key", name);
    (void)snprintf(card_file, sizeof card_file, "cards/%s.card", name);
    if (!cmd_path(key, out, key_file) || !cmd_path(card_path, out, card_file)) return false;
    const struct cmd_enrolment enrolment = {kind, name, key, card_path, NULL, false};
    if (!cmd_enroll_files(&enrolment, &card)) return false;
    enum system_error error = kind == KEYFILE_ADMIN ? assembly_add_admin(assembly, &card, &fault)
                                                    : assembly_add_client(assembly, &card, 0, 0, &all, 1, &fault);
    if (!error) return true;
    (void)cmd_fail("%s", fault.text);
    return false;
}

/* addresses.json for ports base, base + 1, ... in the order of the system file, the admin's after them. */
static bool addresses_write(const struct system *system, const char *out, int port_base) {
    char path[CMD_PATH_BYTES];
    uint32_t clusters = system->coordinators_count + system->shards_count, count = 0;
    for (uint32_t i = 0; i < clusters; i++) count += system->clusters[i].nodes_count;
    if (!cmd_path(path, out, "addresses.json")) return false;
    struct addresses *addresses = calloc(1, sizeof *addresses + count * sizeof addresses->entries[0]);
    if (!addresses) {
        (void)cmd_fail("no memory");
        return false;
    }
    memcpy(addresses->system_id, system->system_id, 16);
    for (uint32_t i = 0; i < clusters; i++) {
        for (uint32_t j = 0; j < system->clusters[i].nodes_count; j++) {
            struct address *address = &addresses->entries[addresses->count];
            memcpy(address->node, system->clusters[i].nodes[j].name, sizeof address->node);
            (void)snprintf(address->link.host, sizeof address->link.host, "127.0.0.1");
            (void)snprintf(address->admin.host, sizeof address->admin.host, "127.0.0.1");
            address->link.port = (uint16_t)((uint32_t)port_base + addresses->count);
            address->admin.port = (uint16_t)((uint32_t)port_base + count);
            addresses->count++;
        }
    }
    bool good = cmd_addresses_write(path, addresses);
    addresses_free(addresses);
    return good;
}

static bool folders_make(const char *out) {
    char path[CMD_PATH_BYTES];
    if (!cmd_folder(out, 0755)) return false;
    if (!cmd_path(path, out, "system.json")) return false;
    if (access(path, F_OK) == 0) {
        (void)cmd_fail("%s: exists already; a system is made once", path);
        return false;
    }
    return cmd_path(path, out, "cards") && cmd_folder(path, 0755) && cmd_path(path, out, "owners") && cmd_folder(path, 0700);
}

static bool members_make(struct assembly *assembly, const char *out, const struct sizes *sizes) {
    for (int i = 0; i < sizes->coordinators; i++) {
        if (!cluster_make(assembly, out, false, i, sizes->nodes)) return false;
    }
    for (int i = 0; i < sizes->shards; i++) {
        if (!cluster_make(assembly, out, true, i, sizes->nodes)) return false;
    }
    if (!person_make(assembly, out, KEYFILE_ADMIN, "admin") || !person_make(assembly, out, KEYFILE_CLIENT, "client")) return false;
    for (int i = 0; i < sizes->bench_keys; i++) {
        char name[CARD_NAME_BYTES_MAX + 1];
        (void)snprintf(name, sizeof name, "bench-%d", i);
        if (!person_make(assembly, out, KEYFILE_CLIENT, name)) return false;
    }
    return true;
}

static bool data_make(const struct system *system, const char *out) {
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count; i++) {
        for (uint32_t j = 0; j < system->clusters[i].nodes_count; j++) {
            char file[CARD_NAME_BYTES_MAX + 16], conf[CMD_PATH_BYTES];
            (void)snprintf(file, sizeof file, "%s/node.conf", system->clusters[i].nodes[j].name);
            if (!cmd_path(conf, out, file) || !cmd_node_data_init(conf, NULL, NULL)) return false;
        }
    }
    return true;
}

static int local_make(const char *out, const struct sizes *sizes) {
    char path[CMD_PATH_BYTES], id[33];
    struct system_fault fault;
    int code = CMD_EXIT_USAGE;
    struct assembly *assembly = assembly_new();
    if (!assembly) return cmd_fail("no memory");
    (void)snprintf(assembly->system.name, sizeof assembly->system.name, "local");
    assembly->system.admins_needed = 1;
    assembly->system.limits.table_keys_max = LOCAL_TABLE_KEYS_MAX;
    assembly->system.limits.table_bytes_max = LOCAL_TABLE_BYTES_MAX;
    assembly->system.limits.clients_max = LOCAL_CLIENTS_MAX;
    for (char **at = sizes->settings; at && *at; at++) {
        if (!cmd_setting_take(assembly, *at)) goto out;
    }
    (void)cmd_entropy(NULL, assembly->system.partition_key, sizeof assembly->system.partition_key);
    if (!folders_make(out) || !members_make(assembly, out, sizes) || !cmd_path(path, out, "system.json")) goto out;
    enum system_error error = assembly_finish(assembly, &fault);
    if (!error) error = assembly_write(assembly, path, &fault);
    if (error) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    if (!addresses_write(&assembly->system, out, sizes->port_base) || !data_make(&assembly->system, out)) goto out;
    canonical_hex_print(assembly->system.system_id, 16, id);
    printf("system %s in %s: %d coordinator and %d shard clusters of %d nodes, ports %d and up\n", id, out, sizes->coordinators, sizes->shards,
           sizes->nodes, sizes->port_base);
    code = CMD_EXIT_DONE;
out:
    assembly_free(assembly);
    return code;
}

static int local_move(const char *out, int port_base) {
    char path[CMD_PATH_BYTES];
    struct system_fault fault;
    struct system *system = NULL;
    if (!cmd_path(path, out, "system.json")) return CMD_EXIT_USAGE;
    if (system_load(&system, path, &fault)) return cmd_fail("%s", fault.text);
    uint32_t ports = 1;
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count; i++) ports += system->clusters[i].nodes_count;
    bool good = (uint32_t)port_base + ports <= UINT16_MAX;
    if (!good) (void)cmd_fail("--port-base %d: %u ports do not fit below 65536", port_base, ports);
    good = good && addresses_write(system, out, port_base);
    system_free(system);
    return good ? CMD_EXIT_DONE : CMD_EXIT_USAGE;
}

int cmd_system_local(int argc, char **argv) {
    char *out = NULL;
    int move = 0, code = CMD_EXIT_USAGE;
    struct sizes sizes = {.coordinators = 1, .shards = 1, .nodes = 4, .port_base = 0, .bench_keys = BENCH_KEYS};
    const struct poptOption options[] = {
        {"out", 'o', POPT_ARG_STRING, &out, 0, "folder of the system", "DIR"},
        {"coordinators", 0, POPT_ARG_INT, &sizes.coordinators, 0, "coordinator clusters (1)", "C"},
        {"shards", 0, POPT_ARG_INT, &sizes.shards, 0, "shard clusters (1)", "S"},
        {"nodes", 0, POPT_ARG_INT, &sizes.nodes, 0, "nodes per cluster, 4 to 16 (4)", "N"},
        {"port-base", 0, POPT_ARG_INT, &sizes.port_base, 0, "first of the ports on 127.0.0.1, one per node and one for the admin", "P"},
        {"bench-keys", 0, POPT_ARG_INT, &sizes.bench_keys, 0, "clients bench-0.key ... for heraclius bench, 1 to 4095 (16)", "N"},
        {"set", 0, POPT_ARG_ARGV, &sizes.settings, 0, "a limit or time-out (system show lists them)", "NAME=VALUE"},
        {"move", 0, POPT_ARG_NONE, &move, 0, "only give the nodes of the system in DIR other ports", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    if (!cmd_options(context)) goto out;
    bool counts_good = sizes.coordinators >= 1 && sizes.coordinators <= SYSTEM_CLUSTERS_MAX && sizes.shards >= 1 &&
                       sizes.shards <= SYSTEM_CLUSTERS_MAX && sizes.nodes >= CONFIG_MEMBERS_MIN && sizes.nodes <= CONFIG_MEMBERS_MAX;
    if (!out || poptPeekArg(context) || !counts_good) {
        (void)cmd_fail("%s needs --out DIR and --port-base P; 1 to %d clusters of a sort, %d to %d nodes each (--help tells more)", argv[0],
                       SYSTEM_CLUSTERS_MAX, CONFIG_MEMBERS_MIN, CONFIG_MEMBERS_MAX);
        goto out;
    }
    if (sizes.bench_keys < 1 || sizes.bench_keys > BENCH_KEYS_MAX) {
        (void)cmd_fail("--bench-keys %d: must be 1 to %d, as a system file takes %d clients and client.key is one of them", sizes.bench_keys,
                       BENCH_KEYS_MAX, SYSTEM_CLIENTS_MAX);
        goto out;
    }
    int ports = move ? 1 : (sizes.coordinators + sizes.shards) * sizes.nodes + 1;
    if (sizes.port_base < PORT_LOWEST || sizes.port_base > UINT16_MAX - ports) {
        (void)cmd_fail("--port-base %d: must be %d to %d", sizes.port_base, PORT_LOWEST, UINT16_MAX - ports);
        goto out;
    }
    if (!cmd_signatures_start()) goto out;
    code = move ? local_move(out, sizes.port_base) : local_make(out, &sizes);
out:
    free(out);
    cmd_words_free(sizes.settings);
    poptFreeContext(context);
    return code;
}
