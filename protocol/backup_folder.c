#include "protocol/backup_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "merkle/check.h"
#include "protocol/canonical.h"

enum { PATH_BYTES = 4096 };

static bool path_of(const char *folder, const char *file, char out[PATH_BYTES]) {
    int count = snprintf(out, PATH_BYTES, "%s/%s", folder, file);
    return count > 0 && count < PATH_BYTES;
}

/* A file of the folder, whole; NULL with the fault set. */
static uint8_t *file_read(const char *folder, const char *file, size_t bytes_max, size_t *count, struct backup_fault *fault) {
    char path[PATH_BYTES];
    struct stat status;
    struct system_fault why = {.text = ""};
    if (!path_of(folder, file, path)) {
        (void)backup_fault_set(fault, BACKUP_UNREADABLE, file, "the path is too long");
        return NULL;
    }
    if (lstat(path, &status) != 0 && errno == ENOENT) {
        (void)backup_fault_set(fault, BACKUP_MISSING, file, "it is not there");
        return NULL;
    }
    char *bytes = canonical_read_file(path, bytes_max, count, &why);
    if (bytes == NULL) (void)backup_fault_set(fault, BACKUP_UNREADABLE, file, "%.250s", why.text);
    return (uint8_t *)bytes;
}

bool backup_folder_is(const char *path) {
    char file[PATH_BYTES];
    struct stat status;
    return path_of(path, "checkpoint", file) && stat(file, &status) == 0;
}

enum backup_error backup_folder_open(struct backup_folder **out, const char *path, const struct system *system, const struct signer *signer,
                                     struct backup_fault *fault) {
    struct backup_folder *folder = calloc(1, sizeof *folder);
    size_t chain_bytes = 0, checkpoint_bytes = 0;
    uint8_t *chain = NULL, *checkpoint = NULL;
    enum backup_error error;
    *out = NULL;
    if (folder != NULL) folder->path = strdup(path);
    if (folder == NULL || folder->path == NULL) {
        backup_folder_close(folder);
        return backup_fault_set(fault, BACKUP_NO_MEMORY, "", "no memory");
    }
    struct backup_fault own = {.error = BACKUP_OK};
    checkpoint = file_read(path, "checkpoint", BACKUP_HEAD_BYTES_MAX, &checkpoint_bytes, &own);
    if (checkpoint != NULL) chain = file_read(path, "chain", BACKUP_HEAD_BYTES_MAX, &chain_bytes, &own);
    error = own.error;
    if (!error) error = backup_begin(&folder->backup, system, signer, chain, chain_bytes, checkpoint, checkpoint_bytes, &own);
    free(chain);
    free(checkpoint);
    if (!error) {
        *out = folder;
        return BACKUP_OK;
    }
    backup_folder_close(folder);
    if (fault != NULL) *fault = own;
    return error;
}

void backup_folder_close(struct backup_folder *folder) {
    if (folder == NULL) return;
    backup_free(folder->backup);
    free(folder->path);
    free(folder);
}

/* ---- what is there ---- */

void backup_listing_free(struct backup_listing *listing) {
    free(listing->pieces);
    free(listing->items);
    memset(listing, 0, sizeof *listing);
}

/* The item's place in the manifest, which ascends. */
static bool item_find(const struct checkpoint_manifest *manifest, const struct checkpoint_item *item, uint32_t *index) {
    for (uint32_t low = 0, high = manifest->item_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        struct checkpoint_item at = checkpoint_manifest_item(manifest, middle);
        *index = middle;
        if (at.kind == item->kind && at.cluster == item->cluster && at.dseq == item->dseq) return true;
        bool below = at.kind != item->kind ? at.kind < item->kind : at.cluster != item->cluster ? at.cluster < item->cluster : at.dseq < item->dseq;
        if (below) low = middle + 1;
        else high = middle;
    }
    return false;
}

static enum backup_error listing_piece(struct backup_listing *listing, const struct backup_name *name, const char *file,
                                       struct backup_fault *fault) {
    if (listing->pieces == NULL) {
        listing->prefix_bits = name->prefix_bits;
        listing->pieces = calloc((((size_t)1 << name->prefix_bits) + 7) / 8, 1);
        if (listing->pieces == NULL) return backup_fault_set(fault, BACKUP_NO_MEMORY, file, "no memory");
    }
    if (name->prefix_bits != listing->prefix_bits)
        return backup_fault_set(fault, BACKUP_BAD_PIECE, file, "it is a piece of %u bits beside one of %u", name->prefix_bits,
                                listing->prefix_bits);
    uint32_t index = backup_name_piece_index(name);
    listing->pieces[index / 8] |= (uint8_t)(1u << index % 8);
    listing->piece_count++; /* each has one name */
    return BACKUP_OK;
}

static enum backup_error listing_add(const struct backup_folder *folder, struct backup_listing *listing, const char *file,
                                     struct backup_fault *fault) {
    struct backup_name name;
    uint32_t index;
    if (!backup_name_parse(file, &name)) return backup_fault_set(fault, BACKUP_EXTRA, file, "no file of a backup has this name");
    if (name.file == BACKUP_FILE_PIECE) return listing_piece(listing, &name, file, fault);
    if (name.file != BACKUP_FILE_ITEM) return BACKUP_OK;
    if (!item_find(&backup_shown(folder->backup)->manifest, &name.item, &index)) {
        if (listing->extra[0] == '\0') backup_name_print(&name, listing->extra);
        return BACKUP_OK;
    }
    listing->items[index / 8] |= (uint8_t)(1u << index % 8);
    listing->item_count++;
    return BACKUP_OK;
}

enum backup_error backup_folder_list(const struct backup_folder *folder, struct backup_listing *listing, struct backup_fault *fault) {
    const struct checkpoint_manifest *manifest = &backup_shown(folder->backup)->manifest;
    memset(listing, 0, sizeof *listing);
    listing->items = calloc((size_t)manifest->item_count / 8 + 1, 1);
    if (listing->items == NULL) return backup_fault_set(fault, BACKUP_NO_MEMORY, "", "no memory");
    DIR *directory = opendir(folder->path);
    if (directory == NULL) {
        backup_listing_free(listing);
        return backup_fault_set(fault, BACKUP_UNREADABLE, "", "%s", strerror(errno));
    }
    enum backup_error error = BACKUP_OK;
    const struct dirent *entry;
    while (!error && (errno = 0, entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        error = listing_add(folder, listing, entry->d_name, fault);
    }
    if (!error && errno != 0) error = backup_fault_set(fault, BACKUP_UNREADABLE, "", "%s", strerror(errno));
    (void)closedir(directory);
    if (error) backup_listing_free(listing);
    return error;
}

/* ---- one file ---- */

static enum backup_error piece_read(struct backup_folder *folder, const struct backup_name *name, const struct backup_visit *visit, bool count_it,
                                    struct backup_fault *fault) {
    char file[BACKUP_NAME_BYTES];
    size_t bytes_count;
    uint64_t count = 0;
    struct bytes_cursor entries = bytes_cursor_of(NULL, 0);
    struct backup_fault own = {.error = BACKUP_OK};
    backup_name_print(name, file);
    uint8_t *bytes = file_read(folder->path, file, BACKUP_PIECE_BYTES_MAX, &bytes_count, &own);
    enum backup_error error = own.error;
    if (!error) error = backup_piece(folder->backup, name, bytes, bytes_count, count_it, &entries, &count, &own);
    for (uint64_t i = 0; !error && visit != NULL && visit->entry != NULL && i < count; i++) {
        struct checkpoint_entry entry;
        CHECK(checkpoint_entry_get(&entries, &entry));
        if (!visit->entry(visit->context, &entry)) error = backup_fault_set(&own, BACKUP_STOPPED, file, "stopped");
    }
    free(bytes);
    if (error && fault != NULL) *fault = own;
    return error;
}

static enum backup_error item_read(struct backup_folder *folder, uint32_t index, const struct backup_visit *visit, struct backup_fault *fault) {
    struct checkpoint_item item = checkpoint_manifest_item(&backup_shown(folder->backup)->manifest, index);
    struct backup_name name;
    char file[BACKUP_NAME_BYTES];
    size_t count;
    struct backup_fault own = {.error = BACKUP_OK};
    backup_name_item(&name, &item);
    backup_name_print(&name, file);
    uint8_t *bytes = file_read(folder->path, file, backup_item_bytes_max(&item), &count, &own);
    enum backup_error error = own.error;
    if (!error) error = backup_item(folder->backup, index, bytes, count, &own);
    if (!error && visit != NULL && visit->item != NULL && !visit->item(visit->context, &item, bytes, count))
        error = backup_fault_set(&own, BACKUP_STOPPED, file, "stopped");
    free(bytes);
    if (error && fault != NULL) *fault = own;
    return error;
}

enum backup_error backup_folder_check_file(struct backup_folder *folder, const struct backup_name *name, struct backup_fault *fault) {
    uint32_t index;
    char file[BACKUP_NAME_BYTES];
    if (name->file == BACKUP_FILE_PIECE) return piece_read(folder, name, NULL, false, fault);
    if (name->file != BACKUP_FILE_ITEM) return BACKUP_OK; /* backup_folder_open() checked chain and checkpoint */
    backup_name_print(name, file);
    if (!item_find(&backup_shown(folder->backup)->manifest, &name->item, &index))
        return backup_fault_set(fault, BACKUP_EXTRA, file, "the manifest does not list it");
    return item_read(folder, index, NULL, fault);
}

/* ---- the whole ---- */

/* Says first what is missing: who lost a file wants to know that, before an hour of hashing. */
static enum backup_error pieces_whole(const struct backup_listing *listing, struct backup_fault *fault) {
    struct backup_name name;
    char file[BACKUP_NAME_BYTES];
    if (listing->pieces == NULL) return backup_fault_set(fault, BACKUP_MISSING, "", "there is no piece");
    for (uint32_t i = 0; i >> listing->prefix_bits == 0; i++) {
        if (backup_listing_has(listing->pieces, i)) continue;
        backup_name_piece(&name, listing->prefix_bits, i);
        backup_name_print(&name, file);
        return backup_fault_set(fault, BACKUP_MISSING, file, "it is not there, nor %u other pieces",
                                (1u << listing->prefix_bits) - listing->piece_count - 1);
    }
    return BACKUP_OK;
}

/* After the first piece, which carries the manifest's hash: else a manifest that was changed would have the items blamed. */
static enum backup_error items_whole(const struct backup_folder *folder, const struct backup_listing *listing, struct backup_fault *fault) {
    const struct checkpoint_manifest *manifest = &backup_shown(folder->backup)->manifest;
    struct backup_name name;
    char file[BACKUP_NAME_BYTES];
    if (listing->extra[0] != '\0') return backup_fault_set(fault, BACKUP_EXTRA, listing->extra, "the manifest does not list it");
    for (uint32_t i = 0; i < manifest->item_count; i++) {
        if (backup_listing_has(listing->items, i)) continue;
        struct checkpoint_item item = checkpoint_manifest_item(manifest, i);
        backup_name_item(&name, &item);
        backup_name_print(&name, file);
        return backup_fault_set(fault, BACKUP_MISSING, file, "it is not there, nor %u other items", manifest->item_count - listing->item_count - 1);
    }
    return BACKUP_OK;
}

enum backup_error backup_folder_read(struct backup_folder *folder, const struct backup_visit *visit, struct backup_fault *fault) {
    struct backup_listing listing;
    enum backup_error error = backup_folder_list(folder, &listing, fault);
    if (error) return error;
    error = pieces_whole(&listing, fault);
    for (uint32_t i = 0; !error && i >> listing.prefix_bits == 0; i++) {
        struct backup_name name;
        backup_name_piece(&name, listing.prefix_bits, i);
        error = piece_read(folder, &name, visit, true, fault);
        if (!error && i == 0) error = items_whole(folder, &listing, fault);
    }
    if (!error) error = backup_state_end(folder->backup, fault);
    for (uint32_t i = 0; !error && i < backup_shown(folder->backup)->manifest.item_count; i++) error = item_read(folder, i, visit, fault);
    if (!error) error = backup_items_end(folder->backup, fault);
    backup_listing_free(&listing);
    return error;
}
