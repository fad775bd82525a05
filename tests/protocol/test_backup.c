/* Backups of one partition, offline (spec/durability.md P-80): what is whole and valid is accepted, anything else is refused by file and reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "merkle/check.h"
#include "protocol/backup_folder.h"
#include "tests/protocol/backup_fixture.h"

enum { ENTRIES = 60, ALL_ENTRIES = ENTRIES + 2, BITS = 3 };

static struct fixture *fixture;
static struct signer verifier;
static char folder[64];
static struct backup_fault fault;

static void folder_empty(void) {
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    char path[512];
    CHECK(directory);
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        CHECK(unlink(path) == 0);
    }
    (void)closedir(directory);
}

static int set_up(void **state) {
    (void)state;
    fixture = fixture_new(41, 1, 1, 4);
    verifier = signer_ed25519(NULL);
    (void)snprintf(folder, sizeof folder, "/tmp/heraclius-backup-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    folder_empty();
    (void)rmdir(folder);
    fixture_free(fixture);
    return 0;
}

static void write_backup(struct backup_wishes wishes) {
    folder_empty();
    backup_fixture_write(fixture, &wishes, folder);
}

static enum backup_error checked_by(const struct backup_visit *visit) {
    struct backup_folder *backup = NULL;
    memset(&fault, 0, sizeof fault);
    enum backup_error error = backup_folder_open(&backup, folder, &fixture->assembly->system, &verifier, &fault);
    if (!error) error = backup_folder_read(backup, visit, &fault);
    backup_folder_close(backup);
    assert_int_equal(error, fault.error);
    return error;
}

static enum backup_error checked(void) {
    return checked_by(NULL);
}

static size_t file_size(const char *name) {
    char path[512];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(stat(path, &status) == 0);
    return (size_t)status.st_size;
}

static void flip(const char *name, size_t bit) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r+b");
    CHECK(file && fseek(file, (long)(bit / 8), SEEK_SET) == 0);
    int byte = fgetc(file);
    CHECK(byte != EOF && fseek(file, (long)(bit / 8), SEEK_SET) == 0);
    CHECK(fputc(byte ^ 1 << bit % 8, file) != EOF && fclose(file) == 0);
}

struct seen {
    uint64_t entries, items;
    uint8_t path[32];
    bool ascending;
};

static bool see_entry(void *context, const struct checkpoint_entry *entry) {
    struct seen *seen = context;
    uint8_t path[32];
    trie_path((enum trie_space)entry->space, entry->key, entry->key_bytes, path);
    seen->ascending &= seen->entries == 0 || memcmp(path, seen->path, 32) > 0;
    memcpy(seen->path, path, 32);
    seen->entries++;
    return true;
}

static bool see_item(void *context, const struct checkpoint_item *item, const uint8_t *bytes, size_t count) {
    struct seen *seen = context;
    (void)bytes;
    assert_true(item->kind >= CHECKPOINT_PENDING && count >= item->bytes);
    seen->items++;
    return true;
}

static void a_whole_backup_is_valid_and_gives_all_that_it_has_in_order(void **state) {
    (void)state;
    for (uint16_t bits = 0; bits <= 9; bits += 3) {
        for (uint64_t epoch = 0; epoch < 2; epoch++) {
            struct seen seen = {.ascending = true};
            const struct backup_visit visit = {.context = &seen, .entry = see_entry, .item = see_item};
            write_backup((struct backup_wishes){.entries = ENTRIES, .prefix_bits = bits, .epoch = epoch});
            assert_int_equal(checked_by(&visit), BACKUP_OK);
            assert_true(seen.entries == ALL_ENTRIES && seen.items == BACKUP_FIXTURE_ITEMS && seen.ascending);
        }
    }
}

static void what_the_head_proves_is_told(void **state) {
    (void)state;
    struct backup_folder *backup;
    uint32_t signers, members;
    write_backup((struct backup_wishes){.entries = ENTRIES, .epoch = 1});
    assert_int_equal(backup_folder_open(&backup, folder, &fixture->assembly->system, &verifier, &fault), BACKUP_OK);
    const struct checkpoint_manifest *manifest = &backup_shown(backup->backup)->manifest;
    backup_signers(backup->backup, &signers, &members);
    assert_true(manifest->height == BACKUP_FIXTURE_HEIGHT && manifest->epoch == 1 && manifest->entries == ALL_ENTRIES);
    assert_true(signers == 3 && members == 4 && backup_config(backup->backup)->members.serial == 1);
    backup_folder_close(backup);
}

/* Every bit of the small files, every 7th of the pieces. */
static void no_flipped_bit_of_any_file_is_accepted(void **state) {
    (void)state;
    write_backup((struct backup_wishes){.entries = ENTRIES, .prefix_bits = BITS, .epoch = 1});
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    unsigned files = 0, flips = 0;
    CHECK(directory);
    while ((entry = readdir(directory)) != NULL) {
        char name[256];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(name, sizeof name, "%s", entry->d_name);
        size_t bits = file_size(name) * 8, step = strncmp(name, "piece", 5) == 0 ? 61 : strcmp(name, "chain") == 0 ? 37 : 11;
        for (size_t bit = files % 5; bit < bits; bit += step) {
            flip(name, bit);
            if (checked() == BACKUP_OK) fail_msg("bit %zu of %s was flipped, and nobody saw it", bit, name);
            assert_true(fault.text[0] != '\0' && fault.file[0] != '\0');
            bool named = strcmp(fault.file, name) == 0;
            bool by_hash = strcmp(name, "checkpoint") == 0; /* a manifest with other counts has another hash, which the first piece does not name */
            if (!named && !by_hash) fail_msg("bit %zu of %s was flipped, and %s was named: %s", bit, name, fault.file, fault.text);
            flip(name, bit);
            flips++;
        }
        files++;
    }
    (void)closedir(directory);
    assert_true(files == 2 + 8 + BACKUP_FIXTURE_ITEMS && flips > 500);
    assert_int_equal(checked(), BACKUP_OK);
}

static void cut_files_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"chain", "checkpoint", "piece-000-", "item-1-131072-0", "item-2-131072-3", "item-3-131072-2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        write_backup((struct backup_wishes){.entries = ENTRIES, .epoch = 1});
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        for (size_t size = file_size(names[i]); size > 0; size = size * 2 / 3) {
            CHECK(truncate(path, (off_t)size - 1) == 0);
            assert_int_not_equal(checked(), BACKUP_OK);
            assert_string_equal(fault.file, names[i]);
        }
    }
}

static void missing_and_extra_files_are_named(void **state) {
    (void)state;
    static const char *const names[] = {"chain", "checkpoint", "piece-003-40", "item-1-131072-0", "item-2-131072-3", "item-3-131072-3"};
    char path[512];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        write_backup((struct backup_wishes){.entries = ENTRIES, .prefix_bits = BITS});
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        CHECK(unlink(path) == 0);
        assert_int_equal(checked(), BACKUP_MISSING);
        assert_string_equal(fault.file, names[i]);
    }
    static const char *const extra[] = {"notes", "piece-3-40", "piece-003-41", "piece-003-4000", "piece-003-", "item-1-131072-00", "item-3-131072-4",
                                        "item-4-131072-0", "piece-004-40", "piece-025-00000000", "item-1-131072-0x"};
    for (size_t i = 0; i < sizeof extra / sizeof extra[0]; i++) {
        write_backup((struct backup_wishes){.entries = ENTRIES, .prefix_bits = BITS});
        (void)snprintf(path, sizeof path, "%s/%s", folder, extra[i]);
        FILE *file = fopen(path, "wx");
        CHECK(file && fclose(file) == 0);
        enum backup_error error = checked();
        bool of_other_width = strcmp(extra[i], "piece-004-40") == 0; /* which of the two sizes is named hangs on the folder's order */
        assert_int_equal(error, of_other_width ? BACKUP_BAD_PIECE : BACKUP_EXTRA);
        if (!of_other_width) assert_string_equal(fault.file, extra[i]);
    }
}

static void a_manifest_that_is_not_of_the_state_is_refused(void **state) {
    (void)state;
    write_backup((struct backup_wishes){.entries = ENTRIES, .extra_entries = 1});
    assert_int_equal(checked(), BACKUP_BAD_STATE);
    write_backup((struct backup_wishes){.entries = ENTRIES, .drop_items = 1});
    char path[512];
    (void)snprintf(path, sizeof path, "%s/item-3-131072-3", folder);
    CHECK(unlink(path) == 0);
    assert_int_equal(checked(), BACKUP_BAD_STATE);
    write_backup((struct backup_wishes){.entries = ENTRIES, .swap_slices = true});
    assert_int_equal(checked(), BACKUP_BAD_ITEM);
    assert_string_equal(fault.file, "item-3-131072-3");
}

/* With the block's own header before them they must still be a certificate, which a node that starts from the backup keeps. */
static void a_certificate_that_leaves_no_room_for_the_blocks_header_is_refused(void **state) {
    (void)state;
    write_backup((struct backup_wishes){.entries = ENTRIES, .certificate_headers = BFT_CERTIFICATE_HEADERS_MAX - 1});
    assert_int_equal(checked(), BACKUP_OK);
    write_backup((struct backup_wishes){.entries = ENTRIES, .certificate_headers = BFT_CERTIFICATE_HEADERS_MAX});
    assert_int_equal(checked(), BACKUP_BAD_CHECKPOINT);
    assert_string_equal(fault.file, "checkpoint");
}

static void another_systems_backup_is_foreign(void **state) {
    (void)state;
    struct fixture *own = fixture;
    write_backup((struct backup_wishes){.entries = ENTRIES});
    fixture = fixture_new(42, 1, 1, 4);
    enum backup_error error = checked();
    fixture_free(fixture);
    fixture = own;
    assert_int_equal(error, BACKUP_FOREIGN);
}

static void a_chain_that_ends_before_the_checkpoint_proves_nothing(void **state) {
    (void)state;
    uint8_t head[16] = {0};
    char path[512];
    write_backup((struct backup_wishes){.entries = ENTRIES, .epoch = 1});
    bytes_put_le32(head, CONFIG_CLUSTER_COORDINATOR);
    bytes_put_le64(head + 8, 1);
    (void)snprintf(path, sizeof path, "%s/chain", folder);
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(head, 1, sizeof head, file) == sizeof head && fclose(file) == 0);
    assert_int_equal(checked(), BACKUP_BAD_CHAIN);
}

static void one_file_alone_is_checked_too(void **state) {
    (void)state;
    static const char *const names[] = {"chain", "checkpoint", "piece-003-40", "item-1-131072-0", "item-2-131072-3", "item-3-131072-2"};
    write_backup((struct backup_wishes){.entries = ENTRIES, .prefix_bits = BITS});
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct backup_name name;
        char again[BACKUP_NAME_BYTES];
        assert_true(backup_name_parse(names[i], &name));
        backup_name_print(&name, again);
        assert_string_equal(again, names[i]);
        for (int flipped = 0; flipped < 2; flipped++) {
            struct backup_folder *backup = NULL;
            if (flipped) flip(names[i], file_size(names[i]) * 8 - 3);
            enum backup_error error = backup_folder_open(&backup, folder, &fixture->assembly->system, &verifier, &fault);
            if (!error) error = backup_folder_check_file(backup, &name, &fault);
            backup_folder_close(backup);
            assert_true((error == BACKUP_OK) == !flipped);
            if (flipped) flip(names[i], file_size(names[i]) * 8 - 3);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_backup_is_valid_and_gives_all_that_it_has_in_order),
        cmocka_unit_test(what_the_head_proves_is_told),
        cmocka_unit_test(no_flipped_bit_of_any_file_is_accepted),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(missing_and_extra_files_are_named),
        cmocka_unit_test(a_manifest_that_is_not_of_the_state_is_refused),
        cmocka_unit_test(a_certificate_that_leaves_no_room_for_the_blocks_header_is_refused),
        cmocka_unit_test(another_systems_backup_is_foreign),
        cmocka_unit_test(a_chain_that_ends_before_the_checkpoint_proves_nothing),
        cmocka_unit_test(one_file_alone_is_checked_too),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
