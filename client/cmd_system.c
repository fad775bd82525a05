/* heraclius system init and system show. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "client/command.h"
#include "protocol/canonical.h"

/* ---- the node program, which alone may touch a store ---- */

/* heracliusd beside this program, or just its name: then the PATH is searched. */
static void node_program(char out[CMD_PATH_BYTES]) {
    char self[CMD_PATH_BYTES - 16];
    ssize_t count = readlink("/proc/self/exe", self, sizeof self - 1);
    if (count > 0) {
        self[count] = 0;
        char *slash = strrchr(self, '/');
        if (slash) {
            *slash = 0;
            (void)snprintf(out, CMD_PATH_BYTES, "%s/heracliusd", self);
            if (access(out, X_OK) == 0) return;
        }
    }
    (void)snprintf(out, CMD_PATH_BYTES, "heracliusd");
}

bool cmd_node_data_init(const char *config_path, const char *from, const char *chain) {
    extern char **environ;
    char program[CMD_PATH_BYTES], config[CMD_PATH_BYTES], backup[CMD_PATH_BYTES], steps[CMD_PATH_BYTES], init_word[] = "--init",
        config_word[] = "--config", from_word[] = "--from", chain_word[] = "--chain";
    pid_t child;
    int status = 0, count = 4;
    node_program(program);
    (void)snprintf(config, sizeof config, "%s", config_path);
    (void)snprintf(backup, sizeof backup, "%s", from ? from : "");
    (void)snprintf(steps, sizeof steps, "%s", chain ? chain : "");
    char *arguments[9] = {program, init_word, config_word, config};
    if (from) {
        arguments[count++] = from_word;
        arguments[count++] = backup;
    }
    if (chain) {
        arguments[count++] = chain_word;
        arguments[count++] = steps;
    }
    (void)fflush(stdout);
    int failure = posix_spawnp(&child, program, NULL, NULL, arguments, environ);
    if (failure != 0) {
        (void)cmd_fail("cannot run %s, which makes the data directory: %s (it belongs beside this program or in the PATH)", program,
                       strerror(failure));
        return false;
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno == EINTR) continue;
        (void)cmd_fail("%s: %s", program, strerror(errno));
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    (void)cmd_fail("%s --init --config %s failed: see above", program, config_path);
    return false;
}

/* ---- init ---- */

/* Absolute form of a path whose folder must exist. */
static bool path_absolute(char out[CMD_PATH_BYTES], const char *path) {
    char folder_copy[CMD_PATH_BYTES], name_copy[CMD_PATH_BYTES], folder[PATH_MAX];
    if (strlen(path) >= sizeof folder_copy) {
        (void)cmd_fail("%s: the path is too long", path);
        return false;
    }
    (void)snprintf(folder_copy, sizeof folder_copy, "%s", path);
    (void)snprintf(name_copy, sizeof name_copy, "%s", path);
    if (!realpath(dirname(folder_copy), folder)) {
        (void)cmd_fail("%s: %s", path, strerror(errno));
        return false;
    }
    return cmd_path(out, strcmp(folder, "/") == 0 ? "" : folder, basename(name_copy));
}

/* Which node of the system this key is. */
static bool key_belongs(const char *system_path, const char *key_path, const struct card **node, struct system **system, uint32_t *cluster) {
    struct system_fault fault;
    struct keyfile key;
    if (system_load(system, system_path, &fault)) {
        (void)cmd_fail("%s", fault.text);
        return false;
    }
    if (keyfile_open(&key, KEYFILE_NODE, key_path, false, &fault)) {
        (void)cmd_fail("%s", fault.text);
        return false;
    }
    *node = system_node_by_signing_key(*system, key.signing_key, cluster, NULL);
    bool good = *node && memcmp((*node)->noise_key, key.noise_key, 32) == 0;
    keyfile_close(&key);
    if (!good) (void)cmd_fail("%s: no node of %s has this key: was another card handed over?", key_path, system_path);
    return good;
}

struct init_wishes {
    char *system, *addresses, *key, *data, *threads, *join, *listen, *from, *chain;
    char *predecessor, *statement, *backup; /* of a successor's node */
};

static bool conf_write(const char *path, const char *system, const char *addresses, const char *key, const struct init_wishes *wishes) {
    struct system_fault fault;
    size_t text_bytes = 0;
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "system", system, "addresses", addresses, "key", key, "data", "data", "threads",
                               wishes->threads ? wishes->threads : "auto");
    if (object && wishes->join) json_object_set_new(object, "join", json_string(wishes->join));
    const struct {
        const char *name, *path;
    } before[] = {{"predecessor", wishes->predecessor}, {"statement", wishes->statement}, {"backup", wishes->backup}};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        char absolute[CMD_PATH_BYTES];
        if (!before[i].path) continue;
        bool good = path_absolute(absolute, before[i].path) && object && json_object_set_new(object, before[i].name, json_string(absolute)) == 0;
        if (good) continue;
        json_decref(object);
        return false;
    }
    if (object && wishes->listen) json_object_set_new(object, "listen", json_pack("[s]", wishes->listen));
    char *text = object ? canonical_print(object, &text_bytes) : NULL;
    json_decref(object);
    if (!text) {
        (void)cmd_fail("%s: a path in it is no UTF-8, or no memory", path);
        return false;
    }
    bool good = !canonical_write_new(path, text, text_bytes, 0644, &fault);
    if (!good) (void)cmd_fail("%s", fault.text);
    free(text);
    return good;
}


static int init(const struct init_wishes *wishes) {
    char system_path[CMD_PATH_BYTES], addresses_path[CMD_PATH_BYTES], key_path[CMD_PATH_BYTES], conf[CMD_PATH_BYTES], folder[CMD_PATH_BYTES];
    struct system *system = NULL;
    const struct card *node = NULL;
    uint32_t cluster = 0;
    int code = CMD_EXIT_USAGE;
    if (!path_absolute(system_path, wishes->system) || !path_absolute(key_path, wishes->key)) return code;
    if (wishes->addresses) {
        if (!path_absolute(addresses_path, wishes->addresses)) return code;
    } else {
        (void)snprintf(folder, sizeof folder, "%s", system_path);
        if (!cmd_path(addresses_path, dirname(folder), "addresses.json")) return code;
    }
    if (!wishes->join && !key_belongs(system_path, key_path, &node, &system, &cluster)) goto out;
    if (!cmd_folder(wishes->data, 0700) || !cmd_path(conf, wishes->data, "node.conf")) goto out;
    if (!conf_write(conf, system_path, addresses_path, key_path, wishes)) goto out;
    if (!cmd_node_data_init(conf, wishes->from, wishes->chain)) {
        (void)unlink(conf);
        goto out;
    }
    if (wishes->join)
        printf("this node joins cluster %s when a CONFIG brings its card in: heracliusd --config %s\n", wishes->join, conf);
    else
        printf("node %s of cluster %c%u is ready: heracliusd --config %s\n", node->name, config_cluster_is_shard(cluster) ? 's' : 'c',
               config_cluster_index(cluster), conf);
    if (wishes->from && !wishes->join)
        puts("it begins from the backup. A backup has no voting memory, so this node's key is retired: it signs nothing any more, not even after a\n"
             "restart; it follows the others and serves what it can prove. A CONFIG with a new key brings its vote back:\n"
             "heraclius config new, --replace");
    code = CMD_EXIT_DONE;
out:
    system_free(system);
    return code;
}

int cmd_system_init(int argc, char **argv) {
    struct init_wishes wishes = {0};
    int code = CMD_EXIT_USAGE;
    const struct poptOption options[] = {
        {"system", 's', POPT_ARG_STRING, &wishes.system, 0, "the system file (default: $HERACLIUS_SYSTEM, or local/system.json)", "FILE"},
        {"addresses", 'a', POPT_ARG_STRING, &wishes.addresses, 0, "where the nodes are (addresses.json beside the system file)", "FILE"},
        {"node-key", 'k', POPT_ARG_STRING, &wishes.key, 0, "the node's secret key", "FILE"},
        {"data", 'd', POPT_ARG_STRING, &wishes.data, 0, "folder for node.conf and the data; made if missing", "DIR"},
        {"predecessor", 0, POPT_ARG_STRING, &wishes.predecessor, 0, "of a successor's node: the system file before", "FILE"},
        {"statement", 0, POPT_ARG_STRING, &wishes.statement, 0, "what its administrators signed (successor sign)", "FILE"},
        {"backup", 0, POPT_ARG_STRING, &wishes.backup, 0, "a backup of that system; at a shard the one that it begins from", "DIR"},
        {"threads", 0, POPT_ARG_STRING, &wishes.threads, 0, "auto (by the CPUs, the default), fused or split", "auto|fused|split"},
        {"join", 0, POPT_ARG_STRING, &wishes.join, 0, "the cluster of a node that is not in the system file: a CONFIG will bring it in", "CLUSTER"},
        {"from", 0, POPT_ARG_STRING, &wishes.from, 0, "begin from this backup (heraclius backup); a member's key is retired by it", "DIR"},
        {"chain", 0, POPT_ARG_STRING, &wishes.chain, 0, "with --join: the chain of CONFIGs of the cluster, as `config new` writes it", "FILE"},
        {"listen", 0, POPT_ARG_STRING, &wishes.listen, 0, "where it listens (by default its address in the addresses)", "ADDRESS:PORT"},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    if (!cmd_options(context)) goto out;
    bool threads_good = !wishes.threads || strcmp(wishes.threads, "auto") == 0 || strcmp(wishes.threads, "fused") == 0 ||
                        strcmp(wishes.threads, "split") == 0;
    if (!wishes.key || !wishes.data || !threads_good || poptPeekArg(context)) {
        (void)cmd_fail("%s needs --node-key FILE and --data DIR; --threads is auto, fused or split (--help tells more)", argv[0]);
        goto out;
    }
    struct command command = {.system_path = wishes.system};
    if (!command_find_system(&command)) goto out;
    if (!wishes.system) wishes.system = strdup(command.system_path);
    if (wishes.system && cmd_signatures_start()) code = init(&wishes);
out:
    free(wishes.system);
    free(wishes.addresses);
    free(wishes.key);
    free(wishes.data);
    free(wishes.threads);
    free(wishes.join);
    free(wishes.listen);
    free(wishes.from);
    free(wishes.chain);
    free(wishes.predecessor);
    free(wishes.statement);
    free(wishes.backup);
    poptFreeContext(context);
    return code;
}

/* ---- show ---- */

static void right_print(const struct system_right *right) {
    bool plain = true;
    for (uint32_t i = 0; i < right->prefix_bytes && plain; i++) plain = right->prefix[i] > 0x20 && right->prefix[i] < 0x7F;
    printf(" %s%s", right->flags & SYSTEM_RIGHT_READ ? "r" : "", right->flags & SYSTEM_RIGHT_WRITE ? "w" : "");
    if (plain) {
        printf(":%.*s", (int)right->prefix_bytes, (const char *)right->prefix);
        return;
    }
    char hex[2 * SYSTEM_RIGHT_PREFIX_MAX + 1];
    canonical_hex_print(right->prefix, right->prefix_bytes, hex);
    printf("#%s", hex);
}

static void rows_print(const char *title, const void *base, const struct system_limit_row *rows, size_t count) {
    printf("%s\n", title);
    for (size_t i = 0; i < count; i++) {
        uint64_t value = system_limit_get(base, &rows[i]);
        printf("  %-26s %14llu%s\n", rows[i].name, (unsigned long long)value, value == rows[i].standard ? "" : "  (not the default)");
    }
}

static void clusters_print(const struct system *system) {
    char hex[65];
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count; i++) {
        const struct system_cluster *cluster = &system->clusters[i];
        bool shard = config_cluster_is_shard(cluster->cluster);
        printf("%s cluster %c%u: %u nodes, goes on with %u of them down or lying\n", shard ? "shard" : "coordinator", shard ? 's' : 'c',
               config_cluster_index(cluster->cluster), cluster->nodes_count, config_faults(cluster->nodes_count));
        if (cluster->origin_height) {
            canonical_hex_print(cluster->origin_root, 32, hex);
            printf("  starts from height %llu, root %s\n", (unsigned long long)cluster->origin_height, hex);
        }
        for (uint32_t j = 0; j < cluster->nodes_count; j++) {
            canonical_hex_print(cluster->nodes[j].id, 32, hex);
            printf("  %2u %-32s %s\n", j, cluster->nodes[j].name, hex);
        }
    }
}

static void system_print(const struct system *system) {
    char hex[65];
    canonical_hex_print(system->system_id, 16, hex);
    printf("system %s, id %s, protocol version %u, succession %u\n", system->name, hex, system->protocol_version, system->succession);
    if (system->succession) {
        canonical_hex_print(system->predecessor_id, 16, hex);
        printf("successor of %s\n", hex);
    }
    clusters_print(system);
    printf("administrators: %u of %u must sign\n", system->admins_needed, system->admins_count);
    for (uint32_t i = 0; i < system->admins_count; i++) {
        canonical_hex_print(system->admins[i].id, 32, hex);
        printf("     %-32s %s\n", system->admins[i].name, hex);
    }
    printf("clients: %u\n", system->clients_count);
    for (uint32_t i = 0; i < system->clients_count; i++) {
        const struct system_client *client = &system->clients[i];
        canonical_hex_print(client->card.id, 32, hex);
        printf("     %-32s %s", client->card.name, hex);
        for (uint32_t j = 0; j < client->rights_count; j++) right_print(&client->rights[j]);
        if (client->quota_per_second) printf(" quota:%u:%u", client->quota_per_second, client->quota_burst);
        printf("\n");
    }
    rows_print("limits", &system->limits, system_limit_rows, SYSTEM_LIMITS_COUNT);
    rows_print("time-outs", &system->timeouts, system_timeout_rows, SYSTEM_TIMEOUTS_COUNT);
}

int cmd_system_show(int argc, char **argv) {
    char *path = NULL;
    int as_json = 0, code = CMD_EXIT_USAGE;
    struct system *system = NULL;
    struct system_fault fault;
    const struct poptOption options[] = {
        {"system", 's', POPT_ARG_STRING, &path, 0, "the system file (default: $HERACLIUS_SYSTEM, or local/system.json)", "FILE"},
        {"json", 0, POPT_ARG_NONE, &as_json, 0, "the file itself, once it is checked", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, "[OPTION...] [FILE]");
    if (!cmd_options(context)) goto out;
    const char *word = poptGetArg(context);
    if (poptPeekArg(context) || (word && path)) {
        (void)cmd_fail("%s: one system file, not two (--help tells more)", argv[0]);
        goto out;
    }
    struct command command = {.system_path = word};
    if (!path && !command_find_system(&command)) goto out;
    if (!path) path = strdup(command.system_path);
    if (!path) goto out;
    if (!cmd_signatures_start()) goto out;
    if (system_load(&system, path, &fault)) {
        (void)cmd_fail("%s", fault.text);
        goto out;
    }
    if (as_json) {
        size_t text_bytes = 0;
        char *text = system_encode_json(system, &text_bytes);
        if (text) (void)fwrite(text, 1, text_bytes, stdout);
        free(text);
    } else {
        system_print(system);
    }
    code = CMD_EXIT_DONE;
out:
    system_free(system);
    free(path);
    poptFreeContext(context);
    return code;
}
