/* Two slots: what is taken and what is refused, what starts next, and that a power cut at any write of any change leaves an image that starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/slots/slots.h"
#include "tests/appliance/boot_image.h"

enum { IMAGE_BYTES = 70000, SEEDS = 6 };

static struct ed25519_secret key, stranger;
static struct release_keys keys;

static int start(void **state) {
    (void)state;
    uint8_t seed[32] = {7}, other[32] = {8};
    assert_true(ed25519_start(NULL));
    (void)!ed25519_secret_init(&key, seed);
    (void)!ed25519_secret_init(&stranger, other);
    keys.count = 1;
    ed25519_public_key(&key, keys.keys[0]);
    return 0;
}

/* ---- machines ---- */

static void file_put(struct boot_disk *disk, const char *name, uint64_t number) {
    static uint8_t image[IMAGE_BYTES];
    boot_image_make(image, IMAGE_BYTES, number, release_architecture_own());
    boot_disk_put(disk, name, image, IMAGE_BYTES);
}

/* A machine as it was made, with the first image in slot 1. */
static void disk_new(struct boot_disk *disk, unsigned spread) {
    boot_disk_make(disk, spread);
    file_put(disk, "heraclius-1.efi", 10);
}

static enum system_error slots_at(struct slots *slots, struct boot_disk *disk, int running, uint64_t number) {
    const struct fat_device device = boot_disk_device(disk);
    memset(slots, 0, sizeof *slots);
    slots->running = running;
    slots->number = number;
    slots->architecture = release_architecture_own();
    slots->keys = keys;
    slots->now = (struct slots_was){.phase = "observing", .height = 640, .linked = true};
    return slots_open(slots, &device, BOOT_DISK_BYTES, NULL);
}

/* What systemd-boot does: the loader takes `slot`, and one try of it. */
static void loader_starts(struct boot_disk *disk, int slot) {
    const struct fat_device device = boot_disk_device(disk);
    struct slots slots;
    char name[64];
    assert_int_equal(slots_at(&slots, disk, slot, 0), SYSTEM_OK);
    assert_int_equal(slots_next(&slots), slot);
    struct slot *one = &slots.slots[slot - 1];
    if (one->tries_left > 0) {
        (void)snprintf(name, sizeof name, "heraclius-%d+%d-%d.efi", slot, one->tries_left - 1, one->tries_done + 1);
        assert_null(fat_rename(&slots.fat, slots.folder, &one->file, name));
    }
    slots_close(&slots);
    (void)device;
}

static const char *refusal(struct boot_disk *disk, struct boot_upload *upload) {
    static struct system_fault fault;
    struct slots slots;
    int slot = 0;
    assert_int_equal(slots_at(&slots, disk, 1, 10), SYSTEM_OK);
    upload->at = 0;
    enum system_error error = slots_upgrade(&slots, boot_upload_part, upload, upload->count, &slot, &fault);
    slots_close(&slots);
    return error ? system_error_name(error) : "ok";
}

static void upgraded(struct boot_disk *disk, int running, uint64_t from, uint64_t to) {
    static struct boot_upload upload;
    struct slots slots;
    struct system_fault fault = {.text = ""};
    int slot = 0;
    boot_upload_make(&upload, IMAGE_BYTES, to, &key);
    assert_int_equal(slots_at(&slots, disk, running, from), SYSTEM_OK);
    enum system_error error = slots_upgrade(&slots, boot_upload_part, &upload, upload.count, &slot, &fault);
    if (error) print_message("%s\n", fault.text);
    assert_int_equal(error, SYSTEM_OK);
    assert_int_equal(slot, 3 - running);
    assert_int_equal(slots_next(&slots), slot);
    assert_true(slots.slots[slot - 1].recorded);
    assert_int_equal(slots.slots[slot - 1].was.number, to);
    slots_close(&slots);
}

/* ---- tests ---- */

static void names_are_slots(void **state) {
    (void)state;
    int left, done;
    assert_int_equal(slots_name_parse("heraclius-1.efi", &left, &done), 1);
    assert_int_equal(left, SLOTS_BLESSED);
    assert_int_equal(slots_name_parse("HERACLIUS-2+1-1.EFI", &left, &done), 2);
    assert_int_equal(left, 1);
    assert_int_equal(done, 1);
    static const char *const others[] = {"",
                                         "heraclius-3.efi",
                                         "heraclius-1",
                                         "heraclius-1+.efi",
                                         "heraclius-1-2.efi",
                                         "heraclius-1+2-.efi",
                                         "heraclius-1.efi.old",
                                         "heraclius-11.efi",
                                         "heraclius-2+99999999999.efi",
                                         "xheraclius-1.efi"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) assert_int_equal(slots_name_parse(others[i], &left, &done), 0);
}

static void a_release_is_started_and_kept(void **state) {
    (void)state;
    struct boot_disk disk;
    struct boot_folder folder;
    struct slots slots;
    disk_new(&disk, 0);
    upgraded(&disk, 1, 10, 11);
    boot_disk_look(&disk, &folder);
    const struct boot_file *file = boot_folder_find(&folder, "heraclius-2+2.efi");
    static struct boot_upload upload;
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    assert_non_null(file);
    assert_int_equal(file->bytes, IMAGE_BYTES);
    assert_memory_equal(file->content, upload.bytes + RELEASE_BYTES, IMAGE_BYTES);
    boot_folder_free(&folder);
    loader_starts(&disk, 2);
    assert_int_equal(slots_at(&slots, &disk, 2, 11), SYSTEM_OK);
    assert_int_equal(slots.slots[1].tries_left, 1);
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
    assert_int_equal(slots.slots[1].tries_left, SLOTS_BLESSED);
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK); /* twice is once */
    assert_int_equal(slots_next(&slots), 2);
    slots_close(&slots);
    upgraded(&disk, 2, 11, 12); /* and so on, into the first */
    loader_starts(&disk, 1);
    boot_disk_free(&disk);
}

static void an_image_that_does_not_start_twice_is_left(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    disk_new(&disk, 0);
    upgraded(&disk, 1, 10, 11);
    loader_starts(&disk, 2);
    loader_starts(&disk, 2);
    loader_starts(&disk, 1);
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK); /* the old one: nothing changes */
    assert_int_equal(slots_next(&slots), 1);
    slots_close(&slots);
    upgraded(&disk, 1, 10, 11); /* may be tried again */
    boot_disk_free(&disk);
}

static void an_image_that_does_not_vote_is_given_up(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    disk_new(&disk, 0);
    upgraded(&disk, 1, 10, 11);
    loader_starts(&disk, 2);
    assert_int_equal(slots_at(&slots, &disk, 2, 11), SYSTEM_OK);
    assert_int_equal(slots_fail(&slots, NULL), SYSTEM_OK);
    assert_int_equal(slots_next(&slots), 1);
    assert_int_equal(slots_fail(&slots, NULL), SYSTEM_OK); /* said twice */
    slots_close(&slots);
    loader_starts(&disk, 1);
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    assert_int_equal(slots_fail(&slots, NULL), SYSTEM_ORDER); /* a blessed one is not given up */
    slots_close(&slots);
    boot_disk_free(&disk);
}

static void rollback_goes_to_the_other_and_back(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    disk_new(&disk, 0);
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_FIELD_MISSING);
    slots_close(&slots);
    upgraded(&disk, 1, 10, 11);
    loader_starts(&disk, 2);
    assert_int_equal(slots_at(&slots, &disk, 2, 11), SYSTEM_OK);
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
    assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_OK);
    slots_close(&slots);
    loader_starts(&disk, 1); /* on trial: it fails twice, and the newer one comes back */
    loader_starts(&disk, 1);
    loader_starts(&disk, 2);
    assert_int_equal(slots_at(&slots, &disk, 2, 11), SYSTEM_OK);
    assert_int_equal(slots_fail(&slots, NULL), SYSTEM_FIELD_MISSING); /* nothing to go back to: it stays */
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
    assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_OK);
    slots_close(&slots);
    loader_starts(&disk, 1);
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
    assert_int_equal(slots_next(&slots), 1);
    assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_OK); /* forwards again */
    slots_close(&slots);
    loader_starts(&disk, 2);
    boot_disk_free(&disk);
}

/* The older image comes up and does not vote: by the word of its trial, or of an operator who does not wait for that, the newer one comes back,
 * though it has no tries, on the first try and on the last. Then that one stays, also if it does not vote either. */
static void an_older_image_that_does_not_vote_gives_way_to_the_newer_one(void **state) {
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct boot_disk disk;
        struct slots slots;
        bool by_operator = round % 2 == 1;
        disk_new(&disk, 0);
        upgraded(&disk, 1, 10, 11);
        loader_starts(&disk, 2);
        assert_int_equal(slots_at(&slots, &disk, 2, 11), SYSTEM_OK);
        assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
        assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_OK);
        slots_close(&slots);
        for (unsigned starts = 0; starts <= round / 2; starts++) loader_starts(&disk, 1);
        assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
        assert_int_equal(slots.slots[1].tries_left, 0);
        assert_int_equal(by_operator ? slots_rollback(&slots, NULL) : slots_fail(&slots, NULL), SYSTEM_OK);
        assert_int_equal(slots_next(&slots), 2);
        slots_close(&slots);
        loader_starts(&disk, 2);
        assert_int_equal(slots_at(&slots, &disk, 2, 11), SYSTEM_OK);
        assert_int_equal(slots_fail(&slots, NULL), SYSTEM_FIELD_MISSING);
        assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_ORDER);
        assert_int_equal(slots_next(&slots), 2);
        assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
        slots_close(&slots);
        boot_disk_free(&disk);
    }
}

static void what_the_node_was_is_written_beside_what_is_put_next(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    disk_new(&disk, 0);
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    assert_int_equal(slots.slots[0].was.number, 0); /* the first image is judged by nobody's word */
    slots_close(&slots);
    upgraded(&disk, 1, 10, 11);
    loader_starts(&disk, 2);
    assert_int_equal(slots_at(&slots, &disk, 2, 11), SYSTEM_OK);
    assert_string_equal(slots.slots[1].was.phase, "observing");
    assert_true(slots.slots[1].was.height == 640 && slots.slots[1].was.linked);
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
    slots.now = (struct slots_was){.phase = "sealed", .height = 700};
    assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_OK); /* of the one that is gone back to as well, and anew */
    assert_true(slots.slots[0].was.number == 10 && strcmp(slots.slots[0].was.phase, "sealed") == 0);
    slots_close(&slots);
    boot_disk_free(&disk);
    /* Somebody puts another image there: what was written is not about it. */
    disk_new(&disk, 0);
    upgraded(&disk, 1, 10, 11);
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    assert_null(fat_erase(&slots.fat, &slots.slots[1].file));
    slots_close(&slots);
    file_put(&disk, "heraclius-2+2.efi", 12);
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    assert_true(slots.slots[1].there && slots.slots[1].was.number == 0);
    slots_close(&slots);
    boot_disk_free(&disk);
}

static void a_damaged_slot_is_not_gone_back_to(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    disk_new(&disk, 0);
    upgraded(&disk, 1, 10, 11);
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    disk.bytes[slots.fat.data_at + (uint64_t)(slots.slots[1].file.first - 2 + 50) * 512] ^= 1;
    assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_ID_MISMATCH);
    assert_int_equal(slots.slots[0].tries_left, SLOTS_BLESSED);
    slots_close(&slots);
    boot_disk_free(&disk);
}

static void what_is_not_a_good_release_is_refused(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    static struct boot_upload upload;
    disk_new(&disk, 0);
    uint8_t *before = malloc(BOOT_DISK_BYTES);
    assert_non_null(before);
    memcpy(before, disk.bytes, BOOT_DISK_BYTES);
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    boot_upload_seal(&upload, &stranger);
    assert_string_equal(refusal(&disk, &upload), "signature-invalid");
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    memset(upload.bytes + 96, 0, 64);
    assert_string_equal(refusal(&disk, &upload), "signature-invalid");
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    upload.release.architecture = RELEASE_S390X;
    boot_upload_seal(&upload, &key);
    assert_string_equal(refusal(&disk, &upload), "foreign");
    boot_upload_make(&upload, IMAGE_BYTES, 10, &key);
    assert_string_equal(refusal(&disk, &upload), "serial");
    boot_upload_make(&upload, IMAGE_BYTES, 9, &key);
    assert_string_equal(refusal(&disk, &upload), "serial");
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    upload.count--;
    assert_string_equal(refusal(&disk, &upload), "truncated");
    upload.count = 100;
    assert_string_equal(refusal(&disk, &upload), "truncated");
    upload.count = 0;
    assert_string_equal(refusal(&disk, &upload), "truncated");
    assert_memory_equal(disk.bytes, before, BOOT_DISK_BYTES); /* not a byte so far */
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    upload.bytes[RELEASE_BYTES + 60000] ^= 1;
    assert_string_equal(refusal(&disk, &upload), "id-mismatch");
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key); /* signed as 11, and says 12: the loader would go by 12 */
    boot_image_make(upload.bytes + RELEASE_BYTES, IMAGE_BYTES, 12, release_architecture_own());
    boot_upload_seal(&upload, &key);
    assert_string_equal(refusal(&disk, &upload), "id-mismatch");
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    memset(upload.bytes + RELEASE_BYTES, 'x', IMAGE_BYTES);
    boot_upload_seal(&upload, &key);
    assert_string_equal(refusal(&disk, &upload), "format-unknown");
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    assert_true(!slots.slots[1].there && slots_next(&slots) == 1);
    slots_close(&slots);
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    assert_string_equal(refusal(&disk, &upload), "ok");
    free(before);
    boot_disk_free(&disk);
}

static void who_did_not_start_from_a_slot_changes_nothing(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    static struct boot_upload upload;
    struct system_fault fault;
    int slot;
    disk_new(&disk, 0);
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    assert_int_equal(slots_at(&slots, &disk, 0, 10), SYSTEM_OK); /* BIOS, CD */
    assert_int_equal(slots_upgrade(&slots, boot_upload_part, &upload, upload.count, &slot, &fault), SYSTEM_FOREIGN);
    assert_int_equal(slots_rollback(&slots, &fault), SYSTEM_FOREIGN);
    assert_int_equal(slots_bless(&slots, &fault), SYSTEM_FOREIGN);
    slots_close(&slots);
    assert_int_equal(slots_at(&slots, &disk, 1, 9), SYSTEM_OK); /* slot 1 is not what runs */
    assert_int_equal(slots_upgrade(&slots, boot_upload_part, &upload, upload.count, &slot, &fault), SYSTEM_FOREIGN);
    slots_close(&slots);
    upgraded(&disk, 1, 10, 11);
    loader_starts(&disk, 2);
    assert_int_equal(slots_at(&slots, &disk, 2, 11), SYSTEM_OK); /* on trial */
    boot_upload_make(&upload, IMAGE_BYTES, 12, &key);
    assert_int_equal(slots_upgrade(&slots, boot_upload_part, &upload, upload.count, &slot, &fault), SYSTEM_ORDER);
    slots_close(&slots);
    boot_disk_free(&disk);
}

static void a_full_partition_is_said(void **state) {
    (void)state;
    struct boot_disk disk;
    static struct boot_upload upload;
    disk_new(&disk, 0);
    for (unsigned i = 0; i < 13; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "filling-%02u.dat", i);
        file_put(&disk, name, 1000 + i);
    }
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    assert_string_equal(refusal(&disk, &upload), "file-unreadable");
    boot_disk_free(&disk);
}

/* ---- power cuts ---- */

enum change { UPGRADE, UPGRADE_AGAIN, BLESS, ROLLBACK, ROLLBACK_ON_TRIAL, FAIL, CHANGES };

/* A machine just before a change; who runs. */
static int before(struct boot_disk *disk, enum change change, unsigned spread) {
    struct slots slots;
    disk_new(disk, spread);
    if (change == UPGRADE) return 1;
    upgraded(disk, 1, 10, 11);
    loader_starts(disk, 2);
    if (change == BLESS || change == FAIL || change == ROLLBACK_ON_TRIAL) return 2;
    assert_int_equal(slots_at(&slots, disk, 2, 11), SYSTEM_OK);
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
    slots_close(&slots);
    return 2;
}

static enum system_error carry_out(struct boot_disk *disk, enum change change, int running) {
    static struct boot_upload upload;
    struct slots slots;
    struct system_fault fault;
    int slot;
    enum system_error error = slots_at(&slots, disk, running, running == 1 ? 10 : 11);
    if (error) return error;
    boot_upload_make(&upload, IMAGE_BYTES, running == 1 ? 11 : 12, &key);
    switch (change) {
    case UPGRADE:
    case UPGRADE_AGAIN: error = slots_upgrade(&slots, boot_upload_part, &upload, upload.count, &slot, &fault); break;
    case BLESS: error = slots_bless(&slots, &fault); break;
    case FAIL: error = slots_fail(&slots, &fault); break;
    default: error = slots_rollback(&slots, &fault); break;
    }
    slots_close(&slots);
    return error;
}

/* By the plain reader alone: each file that the loader could start is whole, and the one that it takes first is one that may be. */
static void sound(const struct boot_disk *disk, enum change change, int running, unsigned write, uint64_t seed) {
    static uint8_t image[IMAGE_BYTES];
    struct boot_folder folder;
    bool blessed_there = false;
    boot_disk_look(disk, &folder);
    for (unsigned i = 0; i < folder.count; i++) {
        const struct boot_file *file = &folder.files[i];
        int left, done, slot = slots_name_parse(file->name, &left, &done);
        if (slot == 0) continue;
        uint64_t number = slot == running ? (running == 1 ? 10 : 11) : running == 1 ? 11 : change == UPGRADE_AGAIN ? 12 : 10;
        boot_image_make(image, IMAGE_BYTES, number, release_architecture_own());
        bool whole = file->content != NULL && file->bytes == IMAGE_BYTES && memcmp(file->content, image, IMAGE_BYTES) == 0;
        /* The older image in the slot that is written next may be there yet. */
        if (!whole && change == UPGRADE_AGAIN && slot != running) {
            boot_image_make(image, IMAGE_BYTES, 10, release_architecture_own());
            whole = file->content != NULL && file->bytes == IMAGE_BYTES && memcmp(file->content, image, IMAGE_BYTES) == 0;
        }
        if (!whole) fail_msg("change %d, cut after write %u, seed %llu: %s is torn", change, write, (unsigned long long)seed, file->name);
        blessed_there = blessed_there || left != 0;
    }
    if (!blessed_there) fail_msg("change %d, cut after write %u, seed %llu: nothing starts", change, write, (unsigned long long)seed);
    boot_folder_free(&folder);
}

static unsigned swept(enum change change, unsigned spread) {
    struct boot_disk disk, cut;
    int running = before(&disk, change, spread);
    boot_disk_record(&disk);
    assert_int_equal(carry_out(&disk, change, running), SYSTEM_OK);
    unsigned writes = disk.count;
    for (unsigned write = 0; write <= writes; write++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            boot_disk_cut(&disk, write, seed, &cut);
            sound(&cut, change, running, write, seed);
            /* The machine starts again from where it ran; the same is asked once more, and done. */
            enum system_error again = carry_out(&cut, change, running);
            if (again != SYSTEM_OK)
                fail_msg("change %d, cut after write %u, seed %llu: then %s", change, write, (unsigned long long)seed, system_error_name(again));
            sound(&cut, change, running, write, seed);
            boot_disk_free(&cut);
        }
    }
    boot_disk_free(&disk);
    return writes;
}

static void a_power_cut_anywhere_leaves_an_image_that_starts(void **state) {
    (void)state;
    /* Entries in use before ours: with 8 of them and more, names straddle sectors and the folder grows. */
    static const unsigned spreads[] = {0, 3, 5, 8, 10, 12, 13};
    for (int change = 0; change < CHANGES; change++) {
        for (size_t i = 0; i < sizeof spreads / sizeof spreads[0]; i++) {
            unsigned writes = swept((enum change)change, spreads[i]);
            assert_true(writes > 0);
        }
    }
}

static void a_disk_that_stops_taking_writes_is_said(void **state) {
    (void)state;
    for (unsigned left = 0; left < 40; left++) {
        struct boot_disk disk;
        int running = before(&disk, UPGRADE, 0);
        disk.writes_left = left;
        enum system_error error = carry_out(&disk, UPGRADE, running);
        sound(&disk, UPGRADE, running, left, 0);
        boot_disk_free(&disk);
        if (!error) return; /* it needed no more */
        assert_int_equal(error, SYSTEM_FILE_UNREADABLE);
    }
    fail();
}

/* ---- hostile partitions ---- */

/* The folder's chain goes round: it is damaged in one way, and all that is in its first sectors can be read. */
static void loop_make(struct boot_disk *disk) {
    enum { TABLES_AT = 8, SECTORS_EACH = 16, LINUX_FOLDER = 4 };
    for (unsigned table = 0; table < 2; table++) disk->bytes[(TABLES_AT + table * SECTORS_EACH) * 512 + LINUX_FOLDER * 4] = LINUX_FOLDER;
    for (unsigned table = 0; table < 2; table++) memset(disk->bytes + (TABLES_AT + table * SECTORS_EACH) * 512 + LINUX_FOLDER * 4 + 1, 0, 3);
}

static void a_damaged_partition_takes_no_new_name(void **state) {
    (void)state;
    struct boot_disk disk;
    struct fat fat;
    struct fat_file file;
    disk_new(&disk, 0);
    file_put(&disk, "heraclius-2+2.efi", 11);
    file_put(&disk, "slot.new", 12);
    loop_make(&disk);
    const struct fat_device device = boot_disk_device(&disk);
    uint8_t *before = malloc(BOOT_DISK_BYTES);
    assert_non_null(before);
    memcpy(before, disk.bytes, BOOT_DISK_BYTES);
    assert_null(fat_open(&fat, &device, BOOT_DISK_BYTES));
    assert_non_null(fat_fault(&fat));
    assert_true(fat_find(&fat, 4, "slot.new", &file));
    assert_non_null(strstr(fat_rename(&fat, 4, &file, "heraclius-2+1.efi"), "damaged")); /* more entries than it has */
    assert_non_null(strstr(fat_put(&fat, 4, "slot2.rel", 1, boot_upload_part, NULL), "damaged"));
    assert_non_null(strstr(fat_tidy(&fat), "damaged"));
    assert_memory_equal(disk.bytes, before, BOOT_DISK_BYTES);
    assert_true(fat_find(&fat, 4, "heraclius-2+2.efi", &file));
    assert_null(fat_rename(&fat, 4, &file, "heraclius-2+0.efi")); /* in place: one sector, and entries that are there */
    assert_true(fat_find(&fat, 4, "heraclius-2+0.efi", &file) && !fat_find(&fat, 4, "heraclius-2+2.efi", &file));
    fat_close(&fat);
    free(before);
    boot_disk_free(&disk);
}

/* Two files share a cluster, which a walk through the folder does not show. */
static void share_make(struct boot_disk *disk, const char *whole, const char *torn) {
    struct boot_folder folder;
    boot_disk_look(disk, &folder);
    const struct boot_file *one = boot_folder_find(&folder, whole), *two = boot_folder_find(&folder, torn);
    assert_true(one && two);
    for (unsigned table = 0; table < 2; table++) {
        uint8_t *entry = disk->bytes + (8 + table * 16) * 512 + (size_t)two->first * 4;
        entry[0] = (uint8_t)(one->first + 1);
        entry[1] = (uint8_t)((one->first + 1) >> 8);
    }
    boot_folder_free(&folder);
}

/* Slot 1 runs, 12; slot 2 has 11, and a line of an earlier time. */
static void newer_in_the_first(struct boot_disk *disk) {
    struct slots slots;
    disk_new(disk, 0);
    upgraded(disk, 1, 10, 11);
    loader_starts(disk, 2);
    assert_int_equal(slots_at(&slots, disk, 2, 11), SYSTEM_OK);
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
    slots_close(&slots);
    upgraded(disk, 2, 11, 12);
    loader_starts(disk, 1);
    assert_int_equal(slots_at(&slots, disk, 1, 12), SYSTEM_OK);
    assert_int_equal(slots_bless(&slots, NULL), SYSTEM_OK);
    assert_int_equal(slots.slots[1].was.number, 11);
    slots_close(&slots);
}

/* The other slot is next, and nothing is said of what its node was. */
static void went_back_without_a_line(struct boot_disk *disk) {
    struct slots slots;
    assert_int_equal(slots_at(&slots, disk, 1, 12), SYSTEM_OK);
    assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_OK);
    assert_non_null(slots.unwritten);
    slots_close(&slots);
    loader_starts(disk, 2);
    assert_int_equal(slots_at(&slots, disk, 2, 11), SYSTEM_OK);
    assert_true(slots.slots[1].tries_left == 1 && slots.slots[0].tries_left == 0);
    assert_int_equal(slots.slots[1].was.number, 0);
    slots_close(&slots);
}

static void one_goes_back_on_a_damaged_partition(void **state) {
    (void)state;
    struct boot_disk disk;
    newer_in_the_first(&disk);
    file_put(&disk, "one-of-another.efi", 1);
    file_put(&disk, "two-of-another.efi", 2);
    share_make(&disk, "one-of-another.efi", "two-of-another.efi");
    went_back_without_a_line(&disk);
    boot_disk_free(&disk);
}

static bool filling(void *context, uint8_t *out, size_t count) {
    (void)context;
    memset(out, 'f', count);
    return true;
}

static void one_goes_back_on_a_full_partition(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    struct fat_file file;
    newer_in_the_first(&disk);
    assert_int_equal(slots_at(&slots, &disk, 1, 12), SYSTEM_OK);
    assert_true(fat_find(&slots.fat, slots.folder, "slot2.was", &file));
    assert_null(fat_erase(&slots.fat, &file)); /* its room is taken too */
    assert_null(fat_put(&slots.fat, slots.folder, "filling.dat", (uint32_t)fat_room(&slots.fat), filling, NULL));
    assert_int_equal(fat_room(&slots.fat), 0);
    slots_close(&slots);
    went_back_without_a_line(&disk);
    boot_disk_free(&disk);
}

/* A line that cannot be erased is of another time: then nothing changes. */
static void one_does_not_go_back_to_an_old_line(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    newer_in_the_first(&disk);
    disk.writes_left = 0;
    assert_int_equal(slots_at(&slots, &disk, 1, 12), SYSTEM_OK);
    assert_int_equal(slots_rollback(&slots, NULL), SYSTEM_FILE_UNREADABLE);
    assert_int_equal(slots_next(&slots), 1);
    slots_close(&slots);
    boot_disk_free(&disk);
}

static void an_upgrade_of_a_damaged_partition_changes_nothing(void **state) {
    (void)state;
    struct boot_disk disk;
    static struct boot_upload upload;
    disk_new(&disk, 0);
    file_put(&disk, "heraclius-2+2.efi", 9);
    file_put(&disk, "another-image.efi", 1);
    share_make(&disk, "heraclius-1.efi", "another-image.efi");
    uint8_t *before = malloc(BOOT_DISK_BYTES);
    assert_non_null(before);
    memcpy(before, disk.bytes, BOOT_DISK_BYTES);
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    assert_string_equal(refusal(&disk, &upload), "file-unreadable");
    assert_memory_equal(disk.bytes, before, BOOT_DISK_BYTES); /* above all, the other slot is there */
    free(before);
    boot_disk_free(&disk);
}

static void a_damaged_slot_that_is_written_anew_is_no_hindrance(void **state) {
    (void)state;
    struct boot_disk disk;
    struct boot_folder folder;
    static uint8_t image[IMAGE_BYTES];
    disk_new(&disk, 0);
    file_put(&disk, "heraclius-2+2.efi", 9);
    share_make(&disk, "heraclius-1.efi", "heraclius-2+2.efi");
    upgraded(&disk, 1, 10, 11);
    boot_disk_look(&disk, &folder);
    const struct boot_file *own = boot_folder_find(&folder, "heraclius-1.efi");
    boot_image_make(image, IMAGE_BYTES, 10, release_architecture_own());
    assert_true(own && own->content && own->bytes == IMAGE_BYTES);
    assert_memory_equal(own->content, image, IMAGE_BYTES); /* not a byte of what it shared is written over */
    boot_folder_free(&folder);
    boot_disk_free(&disk);
}

/* A folder of as many sectors as one may have, full of the short names that ours would be: a new name costs one walk, not one for each. */
static void a_new_name_costs_one_walk(void **state) {
    (void)state;
    struct boot_disk disk;
    struct fat fat;
    struct fat_file file;
    boot_disk_make(&disk, 0);
    const struct fat_device device = boot_disk_device(&disk);
    for (unsigned i = 1; i <= 900; i++) {
        char name[32];
        const uint8_t byte = 'x';
        (void)snprintf(name, sizeof name, "a-long-name-%u.efi", i);
        boot_disk_put(&disk, name, &byte, 1);
    }
    assert_null(fat_open(&fat, &device, BOOT_DISK_BYTES));
    assert_true(fat_find(&fat, 4, "a-long-name-899.efi", &file));
    disk.reads = 0;
    assert_null(fat_rename(&fat, 4, &file, "another-name-of-three-entries-and-more.efi"));
    assert_true(disk.reads < 2000); /* four walks of 170 sectors, and the tree once more; it was 170 for each of 900 */
    assert_true(fat_find(&fat, 4, "another-name-of-three-entries-and-more.efi", &file));
    fat_close(&fat);
    boot_disk_free(&disk);
}

/* One name again and again, in four more sectors of the folder: some are erased, then it is refused, and it ends. */
static void names_without_end_are_not_erased_without_end(void **state) {
    (void)state;
    enum { FOLDER = 4, MORE = 1900, MORE_SECTORS = 4, TABLE_AT = 8 * 512, DATA_AT = (8 + 2 * 16) * 512 };
    struct boot_disk disk;
    struct boot_folder folder;
    static struct boot_upload upload;
    disk_new(&disk, 0);
    for (uint32_t cluster = MORE; cluster < MORE + MORE_SECTORS; cluster++) {
        uint8_t *entry = disk.bytes + TABLE_AT + (cluster == MORE ? (size_t)FOLDER : cluster - 1) * 4;
        entry[0] = (uint8_t)cluster;
        entry[1] = (uint8_t)(cluster >> 8);
        entry[2] = entry[3] = 0;
    }
    memset(disk.bytes + TABLE_AT + (size_t)(MORE + MORE_SECTORS - 1) * 4, 0xFF, 4);
    for (unsigned at = 0; at < (1 + MORE_SECTORS) * 512; at += 32) {
        uint8_t *entry = disk.bytes + DATA_AT + (size_t)(at < 512 ? FOLDER - 2 : MORE - 3) * 512 + at;
        if (entry[0] == 0) memcpy(entry, "SLOT    NEW", 11);
    }
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    disk.reads = 0;
    assert_string_equal(refusal(&disk, &upload), "file-unreadable");
    assert_true(disk.reads < 2000);
    boot_disk_look(&disk, &folder);
    assert_true(boot_folder_find(&folder, "heraclius-1.efi") && boot_folder_find(&folder, "SLOT    .NEW"));
    boot_folder_free(&folder);
    boot_disk_free(&disk);
}

static void room_is_not_made_where_it_would_not_help(void **state) {
    (void)state;
    struct boot_disk disk;
    struct slots slots;
    static struct boot_upload upload;
    disk_new(&disk, 0);
    static const uint8_t small[BOOT_IMAGE_BYTES_MIN] = {0};
    boot_disk_put(&disk, "heraclius-2+0.efi", small, sizeof small);
    for (unsigned i = 0; i < 13; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "filling-%02u.dat", i);
        file_put(&disk, name, 1000 + i);
    }
    boot_upload_make(&upload, IMAGE_BYTES, 11, &key);
    assert_string_equal(refusal(&disk, &upload), "file-unreadable");
    assert_int_equal(slots_at(&slots, &disk, 1, 10), SYSTEM_OK);
    assert_true(slots.slots[1].there); /* what there is in the other slot is kept */
    slots_close(&slots);
    boot_disk_free(&disk);
}

static void damage_never_harms_more(void **state) {
    (void)state;
    struct boot_disk disk, bad;
    uint64_t random = 12345;
    (void)before(&disk, UPGRADE_AGAIN, 3);
    boot_disk_record(&disk);
    for (unsigned round = 0; round < 3000; round++) {
        boot_disk_cut(&disk, 0, 0, &bad);
        for (unsigned i = 0; i < 1 + round % 4; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            /* boot sector, info, tables, folders */
            bad.bytes[random >> 33 & 1 ? (random >> 34) % 512 : (random >> 34) % (60 * 512)] = (uint8_t)(random >> 24);
        }
        (void)!carry_out(&bad, (enum change)(round % CHANGES), 2); /* ends, within its bounds: asan and the disk's own checks see to it */
        boot_disk_free(&bad);
    }
    boot_disk_free(&disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_slots),
        cmocka_unit_test(a_release_is_started_and_kept),
        cmocka_unit_test(an_image_that_does_not_start_twice_is_left),
        cmocka_unit_test(an_image_that_does_not_vote_is_given_up),
        cmocka_unit_test(rollback_goes_to_the_other_and_back),
        cmocka_unit_test(an_older_image_that_does_not_vote_gives_way_to_the_newer_one),
        cmocka_unit_test(what_the_node_was_is_written_beside_what_is_put_next),
        cmocka_unit_test(a_damaged_slot_is_not_gone_back_to),
        cmocka_unit_test(what_is_not_a_good_release_is_refused),
        cmocka_unit_test(who_did_not_start_from_a_slot_changes_nothing),
        cmocka_unit_test(a_full_partition_is_said),
        cmocka_unit_test(a_power_cut_anywhere_leaves_an_image_that_starts),
        cmocka_unit_test(a_disk_that_stops_taking_writes_is_said),
        cmocka_unit_test(a_damaged_partition_takes_no_new_name),
        cmocka_unit_test(one_goes_back_on_a_damaged_partition),
        cmocka_unit_test(one_goes_back_on_a_full_partition),
        cmocka_unit_test(one_does_not_go_back_to_an_old_line),
        cmocka_unit_test(an_upgrade_of_a_damaged_partition_changes_nothing),
        cmocka_unit_test(a_damaged_slot_that_is_written_anew_is_no_hindrance),
        cmocka_unit_test(a_new_name_costs_one_walk),
        cmocka_unit_test(names_without_end_are_not_erased_without_end),
        cmocka_unit_test(room_is_not_made_where_it_would_not_help),
        cmocka_unit_test(damage_never_harms_more),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
