/*
 * Releases on hostile bytes: the record, release keys, what a UKI says, and a whole file as heraclius-slots takes it.
 *
 *   byte 0   what: 1 a record, 2 the text of release keys, 3 a UKI, 4 a file for a machine that runs number 10
 *   byte 1   of 4: what is put right before: bit 0 the length that the record says, bit 1 the hash, bit 2 the signature
 *   rest     the bytes
 *
 * A record that is read encodes to the same bytes. Keys that are read are 1 to 8. Of a UKI nothing behind its end is read, and a bounded part of it.
 * A file that is refused leaves the machine as it was, as far as it starts; one that is taken lies whole in the slot that does not run, is of a
 * higher number and of this architecture, and was signed.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/slots/slots.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "tests/appliance/boot_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IMAGE = 3000, FILE_MAX = 8192, SIGNED = 96, UKI_READS_MAX = 70, RIGHT_LENGTH = 1, RIGHT_HASH = 2, RIGHT_SIGNATURE = 4 };

static struct ed25519_secret key;
static struct boot_disk machine;

static void machine_make(void) {
    static uint8_t image[IMAGE];
    const uint8_t seed[32] = {9};
    CHECK(ed25519_start(NULL));
    (void)!ed25519_secret_init(&key, seed);
    boot_disk_make(&machine, 0);
    boot_image_make(image, IMAGE, 10, release_architecture_own());
    boot_disk_put(&machine, "heraclius-1.efi", image, IMAGE);
}

static void record_try(const uint8_t *bytes, size_t count) {
    struct release release;
    uint8_t again[RELEASE_BYTES];
    struct release_keys keys = {.count = 1};
    ed25519_public_key(&key, keys.keys[0]);
    if (release_decode(&release, bytes, count, NULL) != SYSTEM_OK) return;
    release_encode(&release, again);
    CHECK(count == RELEASE_BYTES && memcmp(again, bytes, count) == 0);
    (void)!release_verify(&release, &keys, NULL);
}

static void keys_try(const uint8_t *bytes, size_t count) {
    struct release_keys keys;
    if (release_keys_parse(&keys, (const char *)bytes, count, NULL) != SYSTEM_OK) return;
    CHECK(keys.count >= 1 && keys.count <= RELEASE_KEYS_MAX);
    for (uint32_t i = 0; i < keys.count; i++) CHECK(ed25519_key_check(keys.keys[i]) == ED25519_OK);
}

struct source {
    const uint8_t *bytes;
    size_t count, at;
    unsigned reads;
};

static bool part_at(void *context, uint64_t at, uint8_t *out, size_t count) {
    struct source *source = context;
    source->reads++;
    if (at > source->count || count > source->count - at) return false;
    memcpy(out, source->bytes + at, count);
    return true;
}

static bool part_next(void *context, uint8_t *out, size_t count) {
    struct source *source = context;
    if (!part_at(source, source->at, out, count)) return false;
    source->at += count;
    return true;
}

static void uki_try(const uint8_t *bytes, size_t count) {
    struct source source = {.bytes = bytes, .count = count};
    struct release_facts facts;
    if (release_facts_read(&facts, part_at, &source, NULL) == SYSTEM_OK) {
        CHECK(facts.architecture == RELEASE_AMD64 || facts.architecture == RELEASE_ARM64);
        CHECK(strnlen(facts.label, sizeof facts.label) <= RELEASE_LABEL_MAX);
    }
    CHECK(source.reads <= UKI_READS_MAX);
}

static void put_right(uint8_t *file, size_t count, uint8_t what) {
    uint8_t string[48] = "HRC image", hashed[1 + SIGNED] = {0x1B};
    if (count < RELEASE_BYTES) return;
    if (what & RIGHT_LENGTH) bytes_put_le64(file + 16, count - RELEASE_BYTES);
    if (what & RIGHT_HASH) sha256_hash(file + RELEASE_BYTES, count - RELEASE_BYTES, file + 24);
    memcpy(hashed + 1, file, SIGNED);
    sha256_hash(hashed, sizeof hashed, string + 16);
    if (what & RIGHT_SIGNATURE) ed25519_sign(&key, string, sizeof string, file + SIGNED);
}

static void taken(struct slots *slots, const uint8_t *file, size_t count) {
    static uint8_t image[FILE_MAX];
    const struct slot *other = &slots->slots[1];
    CHECK(slots_next(slots) == 2 && other->there && other->recorded && other->tries_left == SLOTS_TRIES);
    CHECK(other->record.number > 10 && other->facts.number == other->record.number && other->facts.architecture == release_architecture_own());
    CHECK(other->record.bytes == count - RELEASE_BYTES && other->file.bytes == other->record.bytes);
    CHECK(fat_read(&slots->fat, &other->file, 0, image, other->file.bytes) && memcmp(image, file + RELEASE_BYTES, other->file.bytes) == 0);
}

static void file_try(const uint8_t *file, size_t count) {
    static struct boot_disk disk;
    static struct slots slots;
    struct source source = {.bytes = file, .count = count};
    struct system_fault fault;
    int to = 0;
    boot_disk_make(&disk, 0);
    memcpy(disk.bytes, machine.bytes, BOOT_DISK_BYTES);
    const struct fat_device device = boot_disk_device(&disk);
    slots = (struct slots){.running = 1, .number = 10, .architecture = release_architecture_own(), .keys = {.count = 1}, .now = {.phase = "voting"}};
    ed25519_public_key(&key, slots.keys.keys[0]);
    CHECK(slots_open(&slots, &device, BOOT_DISK_BYTES, &fault) == SYSTEM_OK);
    if (slots_upgrade(&slots, part_next, &source, count, &to, &fault) == SYSTEM_OK)
        taken(&slots, file, count);
    else
        CHECK(slots_next(&slots) == 1 && !slots.slots[1].there && slots.slots[0].tries_left == SLOTS_BLESSED);
    slots_close(&slots);
    boot_disk_free(&disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t file[FILE_MAX];
    static bool started;
    if (!started) machine_make();
    started = true;
    if (size < 2 || size - 2 > FILE_MAX) return 0;
    memcpy(file, data + 2, size - 2);
    if (data[0] == 1) record_try(file, size - 2);
    if (data[0] == 2) keys_try(file, size - 2);
    if (data[0] == 3) uki_try(file, size - 2);
    if (data[0] == 4) {
        put_right(file, size - 2, data[1]);
        file_try(file, size - 2);
    }
    return 0;
}
