/*
 * The boot partition with hostile or torn bytes, under each change that heraclius-slots makes to it.
 *
 *   byte 0   what is asked: bits 0-2 enum change, bits 3-4 the machine before it (enum machine)
 *   byte 1   so many writes succeed, then none: a disk that fails, or a power cut; 255: all
 *   rest     again and again: u8 count (its lower 3 bits, plus 1), u16 place, bytes written over there: boot sector, info, tables, folders, images
 *
 * Whatever is there: nothing is read or written outside, the work is bounded, the boot sector is never written. If the partition is damaged, nothing
 * is written but entries that are there, until what was damaged is erased. If it was not, each file that the change is not about has
 * its bytes afterwards, by a name; so too after a write that failed.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/slots/slots.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "tests/appliance/boot_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum change { UPGRADE, BLESS, ROLLBACK, FAIL, TIDY, CHANGES };
enum machine { FIRST, SECOND, ON_TRIAL, TORN, MACHINES };
enum { IMAGE = 3000, FILES = 64, PLACES = 80 * 512, READS_MAX = 400000, ALL_WRITES = 255, FOLDERS = 8,
       WRITES_MAX = 2000 };

static struct boot_disk machines[MACHINES];
static struct ed25519_secret key;
static struct boot_upload upload;

struct kept {
    uint32_t first, bytes;
    uint8_t hash[32];
};

/* A partition that is made anew by undoing what was done to it. */
static struct played {
    uint8_t bytes[BOOT_DISK_BYTES];
    unsigned machine, writes_left, reads, count;
    struct {
        uint64_t at;
        size_t count;
    } writes[WRITES_MAX];
} played = {.machine = MACHINES};

static struct world {
    struct slots slots;
    struct kept files[FILES];
    unsigned count;
    int running;
    enum change change;
} world;

static void slots_set(struct slots *slots, int running, uint64_t number) {
    memset(slots, 0, sizeof *slots);
    slots->running = running;
    slots->number = number;
    slots->architecture = release_architecture_own();
    slots->keys.count = 1;
    ed25519_public_key(&key, slots->keys.keys[0]);
    slots->now = (struct slots_was){.phase = "voting", .height = 5, .linked = true};
}

static void machine_upgrade(struct boot_disk *disk, unsigned writes) {
    const struct fat_device device = boot_disk_device(disk);
    struct slots slots;
    struct system_fault fault;
    int slot = 0;
    boot_upload_make(&upload, IMAGE, 11, &key);
    slots_set(&slots, 1, 10);
    disk->writes_left = writes;
    CHECK(slots_open(&slots, &device, BOOT_DISK_BYTES, &fault) == SYSTEM_OK);
    bool whole = slots_upgrade(&slots, boot_upload_part, &upload, upload.count, &slot, &fault) == SYSTEM_OK;
    CHECK(whole == (writes == UINT32_MAX));
    slots_close(&slots);
    disk->writes_left = UINT32_MAX;
}

static void machines_make(void) {
    static uint8_t image[IMAGE];
    const uint8_t seed[32] = {9};
    CHECK(ed25519_start(NULL));
    (void)!ed25519_secret_init(&key, seed);
    for (unsigned i = 0; i < MACHINES; i++) {
        boot_disk_make(&machines[i], i == TORN ? 9 : 0);
        boot_image_make(image, IMAGE, 10, release_architecture_own());
        boot_disk_put(&machines[i], "heraclius-1.efi", image, IMAGE);
        if (i == SECOND || i == ON_TRIAL) machine_upgrade(&machines[i], UINT32_MAX);
        if (i == TORN) machine_upgrade(&machines[i], 9);
    }
}

/* ---- the partition ---- */

static bool disk_read(void *context, uint64_t at, void *out, size_t count) {
    CHECK(context == &played && at <= BOOT_DISK_BYTES && count <= BOOT_DISK_BYTES - at);
    played.reads++;
    memcpy(out, played.bytes + at, count);
    return true;
}

/* As long as it is damaged: only entries that are there are written. */
static void only_entries(uint64_t at, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i += FAT_ENTRY) {
        const uint8_t *old = played.bytes + at + i;
        CHECK(memcmp(old, bytes + i, FAT_ENTRY) == 0 || (old[0] != 0 && old[0] != 0xE5));
    }
}

static bool disk_write(void *context, uint64_t at, const void *bytes, size_t count) {
    CHECK(context == &played && at > 0 && at <= BOOT_DISK_BYTES && count <= BOOT_DISK_BYTES - at && at % FAT_SECTOR == 0 && count % FAT_SECTOR == 0);
    if (fat_fault(&world.slots.fat)) only_entries(at, bytes, count);
    if (played.writes_left == 0) return false;
    played.writes_left--;
    CHECK(played.count < WRITES_MAX);
    played.writes[played.count].at = at;
    played.writes[played.count++].count = count;
    memcpy(played.bytes + at, bytes, count);
    return true;
}

static bool disk_sync(void *context) {
    return context == &played;
}

static const struct fat_device device = {&played, disk_read, disk_write, disk_sync};

static void disk_make(unsigned machine) {
    if (played.machine != machine) {
        memcpy(played.bytes, machines[machine].bytes, BOOT_DISK_BYTES);
        played.count = 0;
    }
    for (unsigned i = 0; i < played.count; i++)
        memcpy(played.bytes + played.writes[i].at, machines[machine].bytes + played.writes[i].at, played.writes[i].count);
    memcpy(played.bytes, machines[machine].bytes, PLACES);
    played.machine = machine;
    played.writes_left = UINT32_MAX;
    played.reads = played.count = 0;
}

static void damage(const uint8_t *data, size_t size) {
    while (size >= 4) {
        size_t count = (size_t)(data[0] & 7) + 1, at = (size_t)(data[1] | data[2] << 8) % (PLACES - 8);
        if (count > size - 3) count = size - 3;
        memcpy(played.bytes + at, data + 3, count);
        data += 3 + count;
        size -= 3 + count;
    }
}

/* ---- what must be kept ---- */

static bool hash_of(struct fat *fat, uint32_t first, uint32_t bytes, uint8_t hash[32]) {
    static uint8_t content[BOOT_DISK_BYTES];
    const struct fat_file file = {.first = first, .bytes = bytes};
    if (bytes > sizeof content || !fat_read(fat, &file, 0, content, bytes)) return false;
    sha256_hash(content, bytes, hash);
    return true;
}

/* What the change may take away or write anew. */
static bool is_changed(const struct fat_file *file) {
    static const char *const others[2][4] = {{"slot.new", "slot2.rel", "slot2.was", NULL}, {"slot.new", "slot1.rel", "slot1.was", NULL}};
    int left, done, other = 3 - world.running;
    if (world.change == UPGRADE && slots_name_parse(file->name, &left, &done) == other) return true;
    for (unsigned i = world.change == UPGRADE ? 0 : 2; i < 3; i++) {
        if (strcasecmp(file->name, others[other == 1][i]) == 0) return world.change == UPGRADE || world.change == ROLLBACK;
    }
    return false;
}

struct search {
    uint32_t folders[FOLDERS], count;
    bool (*look)(const struct fat_file *file);
};

static bool search_look(void *context, const struct fat_file *file) {
    struct search *search = context;
    if (!file->folder) return search->look(file);
    if (search->count < FOLDERS) search->folders[search->count++] = file->first;
    return true;
}

static void search(struct fat *fat, bool (*look)(const struct fat_file *file)) {
    struct search search = {.folders = {fat->root}, .count = 1, .look = look};
    for (uint32_t i = 0; i < search.count; i++) CHECK(fat_each(fat, search.folders[i], search_look, &search));
}

static bool keep(const struct fat_file *file) {
    struct kept *kept = &world.files[world.count];
    if (file->bytes == 0 || is_changed(file) || world.count == FILES) return true;
    *kept = (struct kept){.first = file->first, .bytes = file->bytes};
    world.count += hash_of(&world.slots.fat, file->first, file->bytes, kept->hash);
    return true;
}

static bool named[FILES];

static bool find_again(const struct fat_file *file) {
    for (unsigned i = 0; i < world.count; i++) named[i] = named[i] || (file->first == world.files[i].first && file->bytes == world.files[i].bytes);
    return true;
}

static void all_kept(void) {
    struct fat fat;
    uint8_t hash[32];
    memset(named, 0, sizeof named);
    CHECK(fat_open(&fat, &device, BOOT_DISK_BYTES) == NULL && fat_fault(&fat) == NULL);
    search(&fat, find_again);
    for (unsigned i = 0; i < world.count; i++) {
        CHECK(named[i]);
        CHECK(hash_of(&fat, world.files[i].first, world.files[i].bytes, hash) && memcmp(hash, world.files[i].hash, 32) == 0);
    }
    fat_close(&fat);
}

/* ---- one try ---- */

static void change(void) {
    struct system_fault fault;
    int slot = 0;
    switch (world.change) {
    case UPGRADE:
        boot_upload_make(&upload, IMAGE, 12, &key);
        (void)!slots_upgrade(&world.slots, boot_upload_part, &upload, upload.count, &slot, &fault);
        break;
    case BLESS: (void)!slots_bless(&world.slots, &fault); break;
    case ROLLBACK: (void)!slots_rollback(&world.slots, &fault); break;
    case FAIL: (void)!slots_fail(&world.slots, &fault); break;
    default: (void)!fat_tidy(&world.slots.fat); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    if (!started) machines_make();
    started = true;
    if (size < 2) return 0;
    unsigned machine = data[0] >> 3 & 3;
    world.change = (enum change)((data[0] & 7) % CHANGES);
    world.running = machine == ON_TRIAL ? 2 : 1;
    world.count = 0;
    disk_make(machine);
    damage(data + 2, size - 2);
    struct system_fault fault;
    slots_set(&world.slots, world.running, world.running == 2 ? 11 : 10);
    if (slots_open(&world.slots, &device, BOOT_DISK_BYTES, &fault) != SYSTEM_OK) return 0;
    bool damaged = fat_fault(&world.slots.fat) != NULL;
    if (!damaged) search(&world.slots.fat, keep);
    if (data[1] != ALL_WRITES) played.writes_left = data[1];
    played.reads = 0;
    change();
    CHECK(played.reads <= READS_MAX);
    slots_close(&world.slots);
    played.writes_left = UINT32_MAX;
    if (!damaged) all_kept();
    return 0;
}
