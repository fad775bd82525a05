/* The folder of a backup that is being taken. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/backup.h"

static bool path_of(const struct client_backup *backup, const char *file, char out[PATH_MAX + 128]) {
    int count = snprintf(out, PATH_MAX + 128, "%s/%s", backup->part, file);
    return count > 0 && count < PATH_MAX + 128;
}

static bool folder_sync(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = folder >= 0 && fsync(folder) == 0;
    if (folder >= 0) (void)close(folder);
    return good;
}

/* A new file. It need not be durable yet: whoever goes on with it checks it again. One of the name is replaced: it was found bad. */
static bool file_put(struct client_backup *backup, const char *file, const uint8_t *bytes, size_t count) {
    char path[PATH_MAX + 128];
    if (!path_of(backup, file, path)) {
        backup_fail(backup, "%s/%s: the path is too long", backup->part, file);
        return false;
    }
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t done = 0;
    bool good = out >= 0;
    while (good && done < count) {
        ssize_t wrote = write(out, bytes + done, count - done);
        if (wrote < 0 && errno == EINTR) continue;
        good = wrote > 0;
        if (good) done += (size_t)wrote;
    }
    int failure = errno;
    if (out >= 0 && close(out) != 0 && good) {
        good = false;
        failure = errno;
    }
    if (!good) backup_fail(backup, "%s: cannot write: %s", path, strerror(failure));
    return good;
}

bool backup_store_put(struct client_backup *backup, const struct backup_name *name, const uint8_t *bytes, size_t count) {
    char file[BACKUP_NAME_BYTES];
    backup_name_print(name, file);
    return file_put(backup, file, bytes, count);
}

/* Removes the files of FOLDER.part that have names of a backup: those of `kind` alone, or all. */
static bool files_remove(struct client_backup *backup, bool pieces_only) {
    DIR *directory = opendir(backup->part);
    const struct dirent *entry;
    bool good = directory != NULL;
    while (good && (entry = readdir(directory)) != NULL) {
        struct backup_name name;
        if (!backup_name_parse(entry->d_name, &name) || (pieces_only && name.file != BACKUP_FILE_PIECE)) continue;
        good = unlinkat(dirfd(directory), entry->d_name, 0) == 0;
    }
    if (!good) backup_fail(backup, "%s: cannot be cleared: %s", backup->part, strerror(errno));
    if (directory != NULL) (void)closedir(directory);
    return good;
}

bool backup_store_clear(struct client_backup *backup) {
    return files_remove(backup, true);
}

static struct backup_folder *part_open(const struct client_backup *backup) {
    struct backup_folder *folder = NULL;
    struct backup_fault fault;
    bool good = backup_folder_open(&folder, backup->part, backup->db->system, &backup->db->signer, &fault) == BACKUP_OK;
    if (good && backup_shown(folder->backup)->manifest.cluster != backup->cluster) good = false;
    if (good) return folder;
    backup_folder_close(folder);
    return NULL;
}

bool backup_store_hash(struct client_backup *backup, uint8_t hash[32]) {
    struct backup_folder *folder = part_open(backup);
    if (folder == NULL) return false;
    backup_manifest_hash(folder->backup, hash);
    backup_folder_close(folder);
    return true;
}

/* What an earlier run left of this checkpoint: each file is read and checked again; one that is not good goes. */
static bool resume(struct client_backup *backup, struct backup_folder *folder, const struct backup_listing *listing) {
    struct backup_name name;
    for (uint32_t i = 0; i < backup->piece_count && listing->pieces != NULL; i++) {
        if (!backup_listing_has(listing->pieces, i)) continue;
        backup_name_piece(&name, backup->prefix_bits, i);
        if (backup_folder_check_file(folder, &name, NULL) != BACKUP_OK) continue; /* written anew over it */
        backup->pieces[i] = BACKUP_KEPT;
        backup->pieces_kept++;
    }
    for (uint32_t i = 0; i < backup->item_count; i++) {
        if (!backup_listing_has(listing->items, i)) continue;
        struct checkpoint_item item = checkpoint_manifest_item(&backup_shown(backup->chosen.head)->manifest, i);
        backup_name_item(&name, &item);
        if (backup_folder_check_file(folder, &name, NULL) != BACKUP_OK) continue;
        backup->items[i] = BACKUP_KEPT;
        backup->items_kept++;
    }
    backup->resumed = backup->pieces_kept + backup->items_kept;
    return true;
}

static bool begin_anew(struct client_backup *backup, uint16_t bits) {
    if (mkdir(backup->part, 0700) != 0 && errno != EEXIST) {
        backup_fail(backup, "%s: cannot be made: %s", backup->part, strerror(errno));
        return false;
    }
    return files_remove(backup, false) && backup_pieces_make(backup, bits) &&
           file_put(backup, "chain", backup->chosen.chain.bytes, backup->chosen.chain.used) &&
           file_put(backup, "checkpoint", backup->chosen.shown.bytes, backup->chosen.shown.used);
}

/* So many bits that a piece has about BACKUP_PIECE_BYTES. */
static uint16_t bits_of(const struct checkpoint_manifest *manifest) {
    uint16_t bits = 0;
    while (bits < BACKUP_PREFIX_BITS_MAX && manifest->bytes >> bits > BACKUP_PIECE_BYTES) bits++;
    return bits;
}

bool backup_store_begin(struct client_backup *backup) {
    const struct checkpoint_manifest *manifest = &backup_shown(backup->chosen.head)->manifest;
    struct backup_folder *folder = part_open(backup);
    struct backup_listing listing = {0};
    uint8_t hash[32];
    backup->item_count = manifest->item_count;
    if (folder != NULL) backup_manifest_hash(folder->backup, hash);
    bool listed = folder != NULL && memcmp(hash, backup->chosen.hash, 32) == 0 && backup_folder_list(folder, &listing, NULL) == BACKUP_OK;
    bool same = listed && listing.extra[0] == '\0';
    bool good;
    uint16_t bits = same && listing.pieces != NULL ? listing.prefix_bits : bits_of(manifest);
    if (same) good = backup_pieces_make(backup, bits) && resume(backup, folder, &listing);
    else good = begin_anew(backup, bits);
    if (listed) backup_listing_free(&listing);
    backup_folder_close(folder);
    return good;
}

/* Every file of FOLDER.part, then the folder: from here on a power loss takes nothing of it. */
static bool part_sync(const struct client_backup *backup) {
    DIR *directory = opendir(backup->part);
    const struct dirent *entry;
    bool good = directory != NULL;
    while (good && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        int file = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        good = file >= 0 && fsync(file) == 0;
        if (file >= 0) (void)close(file);
    }
    good = good && fsync(dirfd(directory)) == 0;
    if (directory != NULL) (void)closedir(directory);
    return good;
}

bool backup_store_end(struct client_backup *backup, bool *bad_manifest) {
    struct backup_folder *folder = NULL;
    struct backup_fault fault = {.error = BACKUP_OK};
    char parent[PATH_MAX];
    enum backup_error error = backup_folder_open(&folder, backup->part, backup->db->system, &backup->db->signer, &fault);
    if (!error) error = backup_folder_read(folder, NULL, &fault);
    backup_folder_close(folder);
    *bad_manifest = error == BACKUP_BAD_STATE || (error == BACKUP_BAD_ITEM && fault.error == BACKUP_BAD_ITEM);
    if (error) {
        backup_fail(backup, "%s/%s: what was checked before it was written does not read back as it was: %.200s", backup->part, fault.file,
                    fault.text);
        return false;
    }
    (void)snprintf(parent, sizeof parent, "%s", backup->folder);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) slash[slash == parent] = '\0';
    bool good = part_sync(backup) && rename(backup->part, backup->folder) == 0 && folder_sync(slash != NULL ? parent : ".");
    if (!good) backup_fail(backup, "%s: cannot be made of %s: %s", backup->folder, backup->part, strerror(errno));
    return good;
}
