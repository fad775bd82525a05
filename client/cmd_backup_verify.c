/* heraclius verify DIR: a backup, offline (spec/durability.md P-80). */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cmd_config_inside.h"
#include "client/command.h"
#include "protocol/backup_folder.h"
#include "protocol/canonical.h"

enum { PARTS_MAX = 2 * 256 };

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The folder and the name of a file of a backup. */
static bool file_of(const char *path, char folder[PATH_MAX], struct backup_name *name) {
    char copy[PATH_MAX];
    if ((size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy) return false;
    if (!backup_name_parse(basename(copy), name)) return false;
    (void)snprintf(copy, sizeof copy, "%s", path);
    (void)snprintf(folder, PATH_MAX, "%s", dirname(copy));
    return backup_folder_is(folder);
}

bool command_backup_is(const char *path) {
    char folder[PATH_MAX];
    struct backup_name name;
    return is_folder(path) || file_of(path, folder, &name);
}

/* ---- what it is ---- */

void command_backup_print(const struct backup *backup, const char *path) {
    const struct checkpoint_manifest *manifest = &backup_shown(backup)->manifest;
    char cluster[16], hex[65];
    uint32_t signers, members;
    cmd_config_cluster_name(manifest->cluster, cluster);
    backup_signers(backup, &signers, &members);
    printf("%s: valid: the state of cluster %s after height %" PRIu64 ", epoch %" PRIu64 ", certified by %u of %u members\n", path, cluster,
           manifest->height, manifest->epoch, signers, members);
    canonical_hex_print(manifest->system_id, sizeof manifest->system_id, hex);
    printf("  %-12s %s\n", "system", hex);
    canonical_hex_print(manifest->state_root, 32, hex);
    printf("  %-12s %s\n", "state root", hex);
    canonical_hex_print(manifest->block_id, 32, hex);
    printf("  %-12s %s\n", "block", hex);
    printf("  %-12s %" PRIu64 " entries, %" PRIu64 " declared bytes; %u items behind hashes\n", "state", manifest->entries, manifest->bytes,
           manifest->item_count);
}

json_t *command_backup_json(const struct backup *backup, const char *path) {
    const struct checkpoint_manifest *manifest = &backup_shown(backup)->manifest;
    char cluster[16], system[33], root[65], block[65];
    uint32_t signers, members;
    cmd_config_cluster_name(manifest->cluster, cluster);
    backup_signers(backup, &signers, &members);
    canonical_hex_print(manifest->system_id, sizeof manifest->system_id, system);
    canonical_hex_print(manifest->state_root, 32, root);
    canonical_hex_print(manifest->block_id, 32, block);
    return json_pack("{s:s,s:b,s:s,s:s,s:I,s:I,s:s,s:s,s:I,s:I,s:I,s:I,s:I}", "folder", path, "valid", 1, "cluster", cluster, "system_id", system,
                     "epoch", (json_int_t)manifest->epoch, "height", (json_int_t)manifest->height, "state_root", root, "block_id", block, "entries",
                     (json_int_t)manifest->entries, "bytes", (json_int_t)manifest->bytes, "items", (json_int_t)manifest->item_count, "signers",
                     (json_int_t)signers, "members", (json_int_t)members);
}

static void limits_print(void) {
    puts("proved: members of each cluster decided that block, this is the whole state after it, and no entry is added, changed or left out");
    puts("not proved: that it is the newest state; when it was; anything if more than f members of that epoch were corrupt");
}

/* ---- checking ---- */

struct verifying {
    const struct command *command;
    struct system *system;
    struct signer signer;
    json_t *json; /* an array; NULL: text */
    uint32_t valid;
    uint32_t clusters[PARTS_MAX];
    uint32_t cluster_count;
};

static int refuse(struct verifying *v, const char *folder, const struct backup_fault *fault) {
    const char *slash = fault->file[0] != '\0' ? "/" : "";
    int code = fault->error == BACKUP_UNREADABLE || fault->error == BACKUP_NO_MEMORY ? EXIT_USAGE : EXIT_NO;
    if (v->json != NULL)
        json_array_append_new(v->json, json_pack("{s:s,s:b,s:s,s:s,s:s}", "folder", folder, "valid", 0, "error", backup_error_name(fault->error),
                                                 "file", fault->file, "why", fault->text));
    return command_fail(code, "%s%s%s: not valid: %s: %s", folder, slash, fault->file, backup_error_name(fault->error), fault->text);
}

/* One partition, whole. `cluster`: the one that its folder's name says; 0: any. */
static int partition_verify(struct verifying *v, const char *path, uint32_t cluster) {
    struct backup_folder *folder = NULL;
    struct backup_fault fault;
    enum backup_error error = backup_folder_open(&folder, path, v->system, &v->signer, &fault);
    if (!error && cluster != 0 && backup_shown(folder->backup)->manifest.cluster != cluster)
        error = backup_fault_set(&fault, BACKUP_FOREIGN, "checkpoint", "it is of another cluster than the folder's name says");
    if (!error) error = backup_folder_read(folder, NULL, &fault);
    if (error) {
        backup_folder_close(folder);
        return refuse(v, path, &fault);
    }
    v->valid++;
    if (v->json != NULL) json_array_append_new(v->json, command_backup_json(folder->backup, path));
    else command_backup_print(folder->backup, path);
    backup_folder_close(folder);
    return EXIT_DONE;
}

static int file_verify(struct verifying *v, const char *path, const char *in, const struct backup_name *name) {
    struct backup_folder *folder = NULL;
    struct backup_fault fault;
    enum backup_error error = backup_folder_open(&folder, in, v->system, &v->signer, &fault);
    if (!error) error = backup_folder_check_file(folder, name, &fault);
    if (error) {
        backup_folder_close(folder);
        return refuse(v, in, &fault);
    }
    v->valid++;
    if (v->json != NULL) json_array_append_new(v->json, command_backup_json(folder->backup, path));
    else command_backup_print(folder->backup, path);
    backup_folder_close(folder);
    if (v->json == NULL) puts("this file alone: whether the backup is whole, only `heraclius verify` of its folder tells");
    return EXIT_DONE;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "s12" of this system; 0: another name. */
static uint32_t cluster_named(const struct system *system, const char *name) {
    for (uint32_t i = 0; i < system->coordinators_count + system->shards_count; i++) {
        char own[16];
        cmd_config_cluster_name(system->clusters[i].cluster, own);
        if (strcmp(own, name) == 0) return system->clusters[i].cluster;
    }
    return 0;
}

static bool part_is(const char *name) {
    size_t bytes = strlen(name);
    return bytes > 5 && strcmp(name + bytes - 5, ".part") == 0;
}

/* What lies in a folder of backups, by cluster; anything else is named. */
static int one_verify(struct verifying *v, const char *path, const char *name) {
    char inner[PATH_MAX];
    uint32_t cluster = cluster_named(v->system, name);
    struct backup_fault fault;
    if ((size_t)snprintf(inner, sizeof inner, "%s/%s", path, name) >= sizeof inner)
        return command_fail(EXIT_USAGE, "%s: the path is too long", path);
    if (cluster != 0 && v->cluster_count < PARTS_MAX) {
        v->clusters[v->cluster_count++] = cluster;
        return partition_verify(v, inner, cluster);
    }
    bool part = part_is(name);
    (void)backup_fault_set(&fault, part ? BACKUP_MISSING : BACKUP_EXTRA, "",
                           part ? "a backup that was not finished: heraclius backup --out goes on with it"
                                : "no cluster of this system has this name");
    return refuse(v, inner, &fault);
}

static int folder_verify(struct verifying *v, const char *path) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    char *names[PARTS_MAX];
    size_t count = 0;
    int code = EXIT_DONE;
    if (directory == NULL) return command_fail(EXIT_USAGE, "%s: %s", path, strerror(errno));
    while (count < PARTS_MAX && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        names[count] = strdup(entry->d_name);
        if (names[count] != NULL) count++;
    }
    (void)closedir(directory);
    if (count > 0) qsort(names, count, sizeof *names, by_name);
    bool any = false;
    for (size_t i = 0; i < count; i++) any |= cluster_named(v->system, names[i]) != 0 || part_is(names[i]);
    struct backup_name name;
    bool piece = false; /* of one cluster, whose file `checkpoint` is gone: backup_folder_is() did not know it */
    for (size_t i = 0; i < count && !any; i++) piece |= backup_name_parse(names[i], &name);
    if (piece) code = command_fail(EXIT_NO, "%s/checkpoint: not valid: missing: it is not there", path);
    else if (count > 0 && !any)
        code = command_fail(EXIT_NO, "%s: no folder of backups: nothing in it has the name of a cluster of this system", path);
    for (size_t i = 0; i < count && !any; i++) free(names[i]);
    for (size_t i = 0; i < count && any; i++) {
        int one = one_verify(v, path, names[i]);
        if (one > code) code = one;
        free(names[i]);
    }
    if (count == 0) return command_fail(EXIT_USAGE, "%s: an empty folder: no backup", path);
    return code;
}

/* A system begins anew from all of its partitions or not at all. */
static void absent_print(const struct verifying *v) {
    for (uint32_t i = 0; i < v->system->coordinators_count + v->system->shards_count; i++) {
        char name[16];
        bool there = false;
        for (uint32_t k = 0; k < v->cluster_count; k++) there |= v->clusters[k] == v->system->clusters[i].cluster;
        cmd_config_cluster_name(v->system->clusters[i].cluster, name);
        if (!there) printf("not in it: cluster %s of the system\n", name);
    }
}

int command_backup_verify(const struct command *command, const char *path) {
    struct verifying v = {.command = command, .json = command->json ? json_array() : NULL};
    struct system_fault fault;
    struct backup_name name;
    char folder[PATH_MAX];
    bool one = backup_folder_is(path);
    int code;
    if (!cmd_signatures_start()) return EXIT_USAGE;
    if (system_load(&v.system, command->system_path, &fault) != SYSTEM_OK) return command_fail(EXIT_USAGE, "%s", fault.text);
    v.signer = signer_ed25519(NULL);
    if (one) code = partition_verify(&v, path, 0);
    else if (is_folder(path)) code = folder_verify(&v, path);
    else if (file_of(path, folder, &name)) code = file_verify(&v, path, folder, &name);
    else code = command_fail(EXIT_USAGE, "%s: no backup", path);
    if (v.json != NULL) {
        json_t *not_proved = json_pack("[s,s]", "that it is the newest state", "when it was");
        command_print_json(json_pack("{s:b,s:o,s:o}", "valid", code == EXIT_DONE, "partitions", v.json, "not_proved", not_proved));
    } else if (v.valid > 0) {
        if (!one && is_folder(path)) absent_print(&v);
        limits_print();
        if (code != EXIT_DONE) (void)command_fail(code, "%s: NOT valid as a whole: the faults are named above", path);
    }
    system_free(v.system);
    return code;
}
