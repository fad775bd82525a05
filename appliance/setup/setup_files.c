/* heraclius-setup files: what the node and the admin console read, out of the configuration in force; and the node's data, once. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "appliance/config/node_config.h"
#include "appliance/setup/setup.h"
#include "protocol/canonical.h"

enum { FILE_MODE = 0644, GROUP_MODE = 0640, ADMIN_CONF_BYTES = 8192 };

/* Replaced in one step, and only if it is another: the node looks at times. */
static enum system_error file_put(const char *root, const char *where, const void *bytes, size_t count, unsigned mode, bool *replaced,
                                  struct system_fault *fault) {
    char path[SETUP_PATH_BYTES];
    struct system_fault none = {.text = ""};
    size_t before = 0;
    if (!setup_path(path, root, where, fault)) return fault->error;
    char *old = canonical_read_file(path, BUNDLE_TEXT_BYTES_MAX, &before, &none);
    bool same = old != NULL && before == count && memcmp(old, bytes, count) == 0;
    if (replaced) *replaced = old != NULL && !same;
    free(old);
    return same ? SYSTEM_OK : setup_replace(root, path, bytes, count, mode, fault);
}

/* A certificate may come with its key: that one is for the group alone, of which the admin console is. */
static enum system_error block_put(const char *root, const char *where, const struct candidate *candidate, enum bundle_kind kind,
                                   struct system_fault *fault) {
    char path[SETUP_PATH_BYTES];
    const struct bundle_block *block = &candidate->bundle.blocks[kind];
    const unsigned mode = kind == BUNDLE_ADMIN_CERTIFICATE ? GROUP_MODE : FILE_MODE;
    if (block->bytes != NULL) return file_put(root, where, block->bytes, block->count, mode, NULL, fault);
    if (!setup_path(path, root, where, fault)) return fault->error;
    if (unlink(path) == 0 || errno == ENOENT) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "%.200s: cannot be removed: %s", path, strerror(errno));
}

/* ---- node.conf ---- */

_Static_assert((int)NODE_SETTINGS_SPLIT_CPUS == (int)THREAD_SPLIT_CPUS, "what `threads` says of itself");

/* Where the plan pins its threads; NULL: nowhere. */
static json_t *cpus_json(const struct thread_plan *plan) {
    json_t *cpus = json_object();
    for (int thread = 0; thread < NODE_THREADS; thread++) {
        if (plan->cpus[thread] >= 0) json_object_set_new(cpus, node_thread_name((enum node_thread)thread), json_integer(plan->cpus[thread]));
    }
    if (json_object_size(cpus) > 0) return cpus;
    json_decref(cpus);
    return NULL;
}

/* *changed: a program that runs goes by another one than this. */
static enum system_error conf_put(const char *root, const struct candidate *candidate, bool *changed, struct system_fault *fault) {
    char control[SETUP_PATH_BYTES], retired[SETUP_PATH_BYTES];
    if (!setup_path(control, root, "/run/node/control.sock", fault) || !setup_path(retired, root, "/data/public/retired", fault)) return fault->error;
    struct thread_machine machine;
    struct thread_plan plan;
    const struct thread_wish wish = {.map = THREAD_MAP_AUTO, .verifiers = -1, .hashers = -1};
    thread_machine_look("", &machine);
    thread_plan_make(&machine, config_cluster_is_coordinator(candidate->cluster), &wish, &plan);
    bool split = candidate->settings.threads == NODE_SETTINGS_AUTO ? plan.split : candidate->settings.threads == NODE_SETTINGS_SPLIT;
    json_t *listen = json_array();
    for (uint32_t i = 0; i < candidate->listen_count; i++) json_array_append_new(listen, json_string(candidate->listen[i]));
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "system", "system.json", "addresses", "addresses.json", "key", "node.key", "data",
                  "data", "control", control, "log_level", candidate->settings.log_level, "threads", split ? "split" : "fused", "listen", listen);
    if (object && candidate->settings.join[0]) json_object_set_new(object, "join", json_string(candidate->settings.join));
    if (object && candidate->system->succession > 0) {
        json_object_set_new(object, "predecessor", json_string("predecessor.json"));
        json_object_set_new(object, "statement", json_string("statement"));
        json_object_set_new(object, "backup", json_string("backup"));
    }
    if (object && setup_is_there(retired)) json_object_set_new(object, "retired", json_true());
    json_t *cpus = split ? cpus_json(&plan) : NULL;
    if (object && cpus) json_object_set_new(object, "cpus", cpus);
    size_t bytes = 0;
    char *text = object ? canonical_print(object, &bytes) : NULL;
    json_decref(object);
    if (!text) return system_fault_set(fault, SYSTEM_NOTHING_FREE, "no memory, or a path that is no UTF-8");
    enum system_error error = file_put(root, "/data/node/node.conf", text, bytes, FILE_MODE, changed, fault);
    free(text);
    return error;
}

/* ---- what the admin console is told ---- */

static enum system_error admin_put(const char *root, const struct candidate *candidate, struct system_fault *fault) {
    static char text[ADMIN_CONF_BYTES];
    const struct node_settings *settings = &candidate->settings;
    size_t used = (size_t)snprintf(text, sizeof text, "heraclius-admin 1\nnode %s\n", candidate->card.name);
    if (settings->admin_listen[0]) used += (size_t)snprintf(text + used, sizeof text - used, "listen %s\n", settings->admin_listen);
    for (int i = 0; i < NODE_SETTINGS_CLIENTS_MAX; i++) {
        if (settings->admin_clients[i][0]) used += (size_t)snprintf(text + used, sizeof text - used, "client %s\n", settings->admin_clients[i]);
    }
    for (int i = 0; i < NODE_SETTINGS_PEERS_MAX; i++) {
        if (settings->admin_peers[i][0]) used += (size_t)snprintf(text + used, sizeof text - used, "peer %s\n", settings->admin_peers[i]);
    }
    if (settings->syslog[0]) used += (size_t)snprintf(text + used, sizeof text - used, "syslog %s\n", settings->syslog);
    enum system_error error = file_put(root, "/data/public/admin.conf", text, used, FILE_MODE, NULL, fault); /* 16 of 88 bytes and of 262 fit */
    if (!error) error = block_put(root, "/data/public/system.json", candidate, BUNDLE_SYSTEM, fault);
    if (!error) error = block_put(root, "/data/public/admin.pem", candidate, BUNDLE_ADMIN_CERTIFICATE, fault);
    return error ? error : block_put(root, "/data/public/syslog.pem", candidate, BUNDLE_SYSLOG_CA, fault);
}

/* ---- data ---- */

/* The node program makes its own data, whoever wrote it. */
static enum system_error program_init(const char *root, const char *program, const char *conf, const char *chain, struct system_fault *fault) {
    const char *words[] = {program, "--init", "--config", conf, chain ? "--chain" : NULL, chain, NULL};
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (setup_confine(root, program)) (void)execv(program, (char *const *)(uintptr_t)words);
        (void)fprintf(stderr, "%s: cannot be run: %s\n", program, strerror(errno));
        _exit(127);
    }
    if (child < 0) return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "%.200s: cannot be run: %s", program, strerror(errno));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "the node's data could not be made: see the line before");
}

/* made: the mark says that they were made before. */
static enum system_error data_make(const char *root, const struct candidate *candidate, bool made, struct system_fault *fault) {
    char mark[SETUP_PATH_BYTES], data[SETUP_PATH_BYTES], conf[SETUP_PATH_BYTES], chain[SETUP_PATH_BYTES], program[SETUP_PATH_BYTES];
    char text[SETUP_MADE_BYTES];
    if (!setup_path(mark, root, "/data/public/made", fault) || !setup_path(data, root, "/data/node/data", fault) ||
        !setup_path(conf, root, "/data/node/node.conf", fault) || !setup_path(chain, root, "/data/node/chain", fault) ||
        !setup_path(program, root, "/bin/heracliusd", fault)) {
        return fault->error;
    }
    bool there = access(data, F_OK) == 0;
    if (made && there) return SYSTEM_OK;
    if (made) {
        return system_fault_set(fault, SYSTEM_FILE_UNREADABLE,
                                "the node's data are lost (%.100s: %s). They are not made anew: its key may have voted. Blank "
                                "the disk, and let a CONFIG put a new key in the old one's place",
                                data, strerror(errno));
    }
    if (!there && candidate->system->succession > 0) {
        char backup[SETUP_PATH_BYTES];
        if (!setup_path(backup, root, "/data/node/backup/chain", fault)) return fault->error;
        if (access(backup, F_OK) != 0) {
            return system_fault_set(fault, SYSTEM_FILE_UNREADABLE,
                                    "%.100s: %s: a successor's node begins from a backup of the system before it, which is put on its data disk on "
                                    "another machine (operating.md)",
                                    backup, strerror(errno));
        }
    }
    bool chained = candidate->bundle.blocks[BUNDLE_CHAIN].bytes != NULL;
    enum system_error error = there ? SYSTEM_OK : program_init(root, program, conf, chained ? chain : NULL, fault);
    if (error) return error;
    return setup_replace(root, mark, text, setup_made_text(candidate, text), FILE_MODE, fault);
}

int setup_files(const char *root) {
    static struct candidate candidate;
    struct system_fault fault = {.text = ""};
    struct setup_self self;
    bool made = false, changed = false;
    enum system_error error = setup_self_read(&self, root, &fault);
    if (!error) error = setup_input_judge(&candidate, &self, &fault);
    if (!error) error = setup_made_check(root, &candidate, &made, &fault);
    if (!error) error = block_put(root, "/data/node/system.json", &candidate, BUNDLE_SYSTEM, &fault);
    if (!error) error = block_put(root, "/data/node/addresses.json", &candidate, BUNDLE_ADDRESSES, &fault);
    if (!error) error = block_put(root, "/data/node/chain", &candidate, BUNDLE_CHAIN, &fault);
    if (!error) error = block_put(root, "/data/node/predecessor.json", &candidate, BUNDLE_PREDECESSOR, &fault);
    if (!error) error = block_put(root, "/data/node/statement", &candidate, BUNDLE_STATEMENT, &fault);
    if (!error) error = conf_put(root, &candidate, &changed, &fault);
    if (!error) error = admin_put(root, &candidate, &fault);
    if (!error) error = data_make(root, &candidate, made, &fault);
    candidate_free(&candidate);
    setup_ballast_make(root);
    if (!error && changed) printf("changed\n");
    return setup_end(error, &fault);
}
