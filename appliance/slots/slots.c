/* Two slots on a boot partition: what is there, and the four changes (slots.h). */
#include "appliance/slots/slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "merkle/check.h"
#include "merkle/sha256.h"

#define NEW_NAME "slot.new"

enum { NAME_BYTES = 40, CHUNK = 1 << 16, ERASED_MAX = 16 /* a slot has 4 names, and half as many again after a cut */ };

/* ---- names ---- */

static const char *digits_take(const char *at, int *value) {
    if (*at < '0' || *at > '9') return NULL;
    for (*value = 0; *at >= '0' && *at <= '9' && *value < 1000; at++) *value = *value * 10 + (*at - '0');
    return at;
}

int slots_name_parse(const char *name, int *tries_left, int *tries_done) {
    static const char before[] = "heraclius-";
    if (strncasecmp(name, before, sizeof before - 1) != 0) return 0;
    const char *at = name + sizeof before - 1;
    int slot = *at == '1' ? 1 : *at == '2' ? 2 : 0;
    *tries_left = SLOTS_BLESSED;
    *tries_done = 0;
    if (slot == 0) return 0;
    if (*++at == '+') at = digits_take(at + 1, tries_left);
    if (at && *at == '-' && *tries_left != SLOTS_BLESSED) at = digits_take(at + 1, tries_done);
    return at && strcasecmp(at, ".efi") == 0 ? slot : 0;
}

static void name_make(char out[NAME_BYTES], int slot, int tries_left) {
    if (tries_left == SLOTS_BLESSED)
        (void)snprintf(out, NAME_BYTES, "heraclius-%d.efi", slot);
    else
        (void)snprintf(out, NAME_BYTES, "heraclius-%d+%d.efi", slot, tries_left);
}

/* ---- what is there ---- */

struct finding {
    struct slots *slots;
};

static bool find(void *context, const struct fat_file *file) {
    struct slots *slots = ((struct finding *)context)->slots;
    int left, done, number = slots_name_parse(file->name, &left, &done);
    if (number == 0 || file->folder) return true;
    struct slot *slot = &slots->slots[number - 1];
    if (slot->there && slot->file.first != file->first) {
        slot->twice = true;
        return true;
    }
    /* Of two names that a cut rename left, the one that promises less counts. */
    bool less = !slot->there || slot->tries_left == SLOTS_BLESSED || (left != SLOTS_BLESSED && left < slot->tries_left);
    if (slot->there) slot->other = less ? slot->file : *file;
    if (!less) return true;
    slot->there = true;
    slot->file = *file;
    slot->tries_left = left;
    slot->tries_done = done;
    return true;
}

struct reading {
    struct slots *slots;
    const struct fat_file *file;
};

static bool read_part(void *context, uint64_t at, uint8_t *out, size_t count) {
    struct reading *reading = context;
    return fat_read(&reading->slots->fat, reading->file, at, out, count);
}

/* One that was written for another image counts as none. */
static void was_read(struct slots *slots, int number) {
    struct slot *slot = &slots->slots[number - 1];
    struct fat_file file;
    char name[NAME_BYTES], text[SLOTS_WAS_BYTES];
    (void)snprintf(name, sizeof name, "slot%d.was", number);
    if (!fat_find(&slots->fat, slots->folder, name, &file) || file.bytes > sizeof text || !fat_read(&slots->fat, &file, 0, text, file.bytes)) return;
    if (!slots_was_parse(&slot->was, text, file.bytes) || slot->was.number != slot->facts.number) memset(&slot->was, 0, sizeof slot->was);
}

static void slot_read(struct slots *slots, int number) {
    struct slot *slot = &slots->slots[number - 1];
    struct reading reading = {slots, &slot->file};
    struct fat_file file;
    uint8_t bytes[RELEASE_BYTES];
    char name[NAME_BYTES];
    if (!slot->there) return;
    if (release_facts_read(&slot->facts, read_part, &reading, NULL)) memset(&slot->facts, 0, sizeof slot->facts);
    was_read(slots, number);
    (void)snprintf(name, sizeof name, "slot%d.rel", number);
    if (!fat_find(&slots->fat, slots->folder, name, &file) || file.bytes != RELEASE_BYTES) return;
    if (!fat_read(&slots->fat, &file, 0, bytes, sizeof bytes) || release_decode(&slot->record, bytes, sizeof bytes, NULL)) return;
    slot->recorded = slot->record.bytes == slot->file.bytes && slot->record.number == slot->facts.number &&
                     release_verify(&slot->record, &slots->keys, NULL) == SYSTEM_OK;
}

static enum system_error look(struct slots *slots, struct system_fault *fault) {
    struct fat_file efi, folder;
    struct finding finding = {slots};
    memset(slots->slots, 0, sizeof slots->slots);
    if (!fat_find(&slots->fat, slots->fat.root, "EFI", &efi) || !efi.folder || !fat_find(&slots->fat, efi.first, "Linux", &folder) || !folder.folder)
        return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "the boot partition has no folder EFI/Linux");
    slots->folder = folder.first;
    if (!fat_each(&slots->fat, slots->folder, find, &finding))
        return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "the boot partition's folder EFI/Linux cannot be read");
    for (int i = 1; i <= SLOTS; i++) slot_read(slots, i);
    return SYSTEM_OK;
}

enum system_error slots_open(struct slots *slots, const struct fat_device *device, uint64_t bytes, struct system_fault *fault) {
    const char *text = fat_open(&slots->fat, device, bytes);
    if (text) return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "the boot partition %s", text);
    enum system_error error = look(slots, fault);
    if (error) slots_close(slots);
    return error;
}

void slots_close(struct slots *slots) {
    fat_close(&slots->fat);
}

static bool goes_before(const struct slot *a, const struct slot *b) {
    bool a_last = a->tries_left == 0, b_last = b->tries_left == 0;
    if (!a->there || !b->there) return a->there;
    return a_last != b_last ? b_last : a->facts.number > b->facts.number;
}

int slots_next(const struct slots *slots) {
    if (!slots->slots[0].there && !slots->slots[1].there) return 0;
    return goes_before(&slots->slots[1], &slots->slots[0]) ? 2 : 1;
}

/* ---- changes ---- */

static enum system_error disk_fault(struct system_fault *fault, const char *text) {
    return text ? system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "the boot partition %s", text) : SYSTEM_OK;
}

/* The slot that runs; NULL after a fault. A second name that a cut left is taken away first. */
static struct slot *own_slot(struct slots *slots, struct system_fault *fault) {
    struct slot *slot = slots->running ? &slots->slots[slots->running - 1] : NULL;
    if (slot == NULL || !slot->there || slot->twice) {
        (void)system_fault_set(fault, SYSTEM_FOREIGN,
                               "this machine did not start from a slot of its boot partition (BIOS, CD, network): there is nothing to go back to, so "
                               "another image comes by a new disk");
        return NULL;
    }
    if (slots->number == 0 || slot->facts.number != slots->number) {
        (void)system_fault_set(fault, SYSTEM_FOREIGN, "slot %d has image %llu, but %llu runs: was the disk changed?", slots->running,
                               (unsigned long long)slot->facts.number, (unsigned long long)slots->number);
        return NULL;
    }
    if (slot->other.entries != 0 && disk_fault(fault, fat_erase(&slots->fat, &slot->other))) return NULL;
    slot->other.entries = 0;
    return slot;
}

static enum system_error counter_set(struct slots *slots, int number, int tries_left, struct system_fault *fault) {
    struct slot *slot = &slots->slots[number - 1];
    char name[NAME_BYTES];
    name_make(name, number, tries_left);
    const char *text = slot->other.entries != 0 ? fat_erase(&slots->fat, &slot->other) : NULL;
    if (!text && strcasecmp(name, slot->file.name) != 0) text = fat_rename(&slots->fat, slots->folder, &slot->file, name);
    return text ? disk_fault(fault, text) : look(slots, fault);
}

enum system_error slots_bless(struct slots *slots, struct system_fault *fault) {
    struct slot *own = own_slot(slots, fault);
    if (!own) return fault->error;
    return counter_set(slots, slots->running, SLOTS_BLESSED, fault);
}

/* Does the loader take the other slot once this one has +0? A +0 of its own, which a rollback gave it, comes before ours if its number is higher. The
 * two cannot give each other up in turn: from there the lower one, with +0 too, is never next. */
static bool comes_back(const struct slot *own, const struct slot *other) {
    if (!other->there || other->twice || other->facts.number == 0) return false;
    return other->tries_left != 0 || other->facts.number > own->facts.number;
}

enum system_error slots_fail(struct slots *slots, struct system_fault *fault) {
    struct slot *own = own_slot(slots, fault);
    if (!own) return fault->error;
    const struct slot *other = &slots->slots[2 - slots->running];
    if (own->tries_left == SLOTS_BLESSED) return system_fault_set(fault, SYSTEM_ORDER, "slot %d is blessed: it is on no trial", slots->running);
    if (!comes_back(own, other))
        return system_fault_set(fault, SYSTEM_FIELD_MISSING, "slot %d has nothing to go back to: this image stays", 3 - slots->running);
    return counter_set(slots, slots->running, 0, fault);
}

/* All of a file has this hash, as the disk gives it. */
static bool hash_is(struct slots *slots, const struct fat_file *file, const uint8_t sha256[32]) {
    struct sha256_state state;
    uint8_t hash[32], *chunk = malloc(CHUNK);
    bool good = chunk != NULL;
    sha256_init(&state);
    for (uint32_t at = 0; good && at < file->bytes; at += CHUNK) {
        uint32_t count = file->bytes - at < CHUNK ? file->bytes - at : CHUNK;
        good = fat_read(&slots->fat, file, at, chunk, count);
        sha256_update(&state, chunk, good ? count : 0);
    }
    free(chunk);
    sha256_final(&state, hash);
    return good && sha256_equal(hash, sha256);
}

struct bytes_left {
    const uint8_t *bytes;
};

static bool bytes_part(void *context, uint8_t *out, size_t count) {
    struct bytes_left *left = context;
    memcpy(out, left->bytes, count);
    left->bytes += count;
    return true;
}

static const char *was_erase(struct slots *slots, int to) {
    struct fat_file file;
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "slot%d.was", to);
    return fat_find(&slots->fat, slots->folder, name, &file) ? fat_erase(&slots->fat, &file) : NULL;
}

/* What the node is now, for the image that is put next into that slot. Whoever reads it finds it whole, or of another number, or not at all. */
static const char *was_write(struct slots *slots, int to, uint64_t number) {
    struct slots_was was = slots->now;
    char name[NAME_BYTES], text[SLOTS_WAS_BYTES];
    was.number = number;
    size_t count = slots_was_print(&was, text);
    struct bytes_left left = {(const uint8_t *)text};
    (void)snprintf(name, sizeof name, "slot%d.was", to);
    const char *fault = was_erase(slots, to);
    return fault ? fault : fat_put(&slots->fat, slots->folder, name, (uint32_t)count, bytes_part, &left);
}

/* Going back needs no room and no sound partition: two names change in place. So a line that cannot be written does not stop it: then there is none,
 * and an image whose node has no vote cannot be judged by it. But the old line has to go: it is of another time, and nobody would know. */
static const char *was_renew(struct slots *slots, int to, uint64_t number) {
    const char *fault = was_erase(slots, to);
    if (fault) return fault;
    slots->unwritten = was_write(slots, to, number);
    return NULL;
}

/* What is there is right without it. What is damaged is not tidied, and is said where it matters. */
static void tidy(struct slots *slots, enum system_error error) {
    const char *untidy = fat_tidy(&slots->fat);
    if (untidy && !error && !fat_fault(&slots->fat)) (void)fprintf(stderr, "the boot partition keeps unused space: it %s\n", untidy);
}

enum system_error slots_rollback(struct slots *slots, struct system_fault *fault) {
    struct slot *own = own_slot(slots, fault);
    if (!own) return fault->error;
    int to = 3 - slots->running;
    struct slot *other = &slots->slots[to - 1];
    bool own_blessed = own->tries_left == SLOTS_BLESSED;
    uint64_t own_number = own->facts.number, other_number = other->facts.number;
    if (!other->there || other->twice || other_number == 0)
        return system_fault_set(fault, SYSTEM_FIELD_MISSING, "slot %d has no image to go back to", to);
    if (own->tries_left == 0 && slots_next(slots) == to) return SYSTEM_OK; /* it was said before */
    if (!own_blessed && !comes_back(own, other))
        return system_fault_set(fault, SYSTEM_ORDER, "slot %d was given up, and would not be started: this image stays until its node votes", to);
    if (other->recorded && !hash_is(slots, &other->file, other->record.sha256))
        return system_fault_set(fault, SYSTEM_ID_MISMATCH, "slot %d is not what its record says: it is damaged", to);
    enum system_error error = own_blessed ? disk_fault(fault, was_renew(slots, to, other_number)) : SYSTEM_OK;
    if (!error && own_blessed) error = counter_set(slots, to, SLOTS_TRIES, fault);
    if (!error && (own_number >= other_number || !own_blessed)) error = counter_set(slots, slots->running, 0, fault);
    tidy(slots, error);
    return error;
}

/* ---- upgrade ---- */

struct upload {
    fat_source *source;
    void *context;
    struct sha256_state state;
    uint64_t left;
    const uint8_t *wanted;
    bool other_hash;
};

static bool upload_part(void *context, uint8_t *out, size_t count) {
    struct upload *upload = context;
    uint8_t hash[32];
    if (count > upload->left || !upload->source(upload->context, out, count)) return false;
    sha256_update(&upload->state, out, count);
    upload->left -= count;
    if (upload->left > 0) return true;
    sha256_final(&upload->state, hash);
    upload->other_hash = !sha256_equal(hash, upload->wanted);
    return !upload->other_hash;
}

static enum system_error record_take(const struct slots *slots, const uint8_t bytes[RELEASE_BYTES], uint64_t count, struct release *release,
                                     struct system_fault *fault) {
    enum system_error error = release_decode(release, bytes, RELEASE_BYTES, fault);
    if (!error) error = release_verify(release, &slots->keys, fault);
    if (error) return error;
    if (release->architecture != slots->architecture)
        return system_fault_set(fault, SYSTEM_FOREIGN, "release %llu is for %s machines, this is %s", (unsigned long long)release->number,
                                release_architecture_name(release->architecture), release_architecture_name(slots->architecture));
    if (release->number <= slots->number)
        return system_fault_set(
            fault, SYSTEM_SERIAL,
            "release %llu is not newer than %llu, which runs: to go back, roll back to the other slot, or build and sign the older "
            "one with a higher number",
            (unsigned long long)release->number, (unsigned long long)slots->number);
    if (count != RELEASE_BYTES + release->bytes)
        return system_fault_set(fault, count < RELEASE_BYTES + release->bytes ? SYSTEM_TRUNCATED : SYSTEM_TOO_LARGE,
                                "%llu bytes, a release of %llu has %llu", (unsigned long long)count, (unsigned long long)release->number,
                                (unsigned long long)(RELEASE_BYTES + release->bytes));
    return SYSTEM_OK;
}

struct erasing {
    struct slots *slots;
    int slot; /* 0: the unfinished upload */
    struct fat_file file;
    bool found;
};

/* Of a slot, or, 0, of an unfinished upload. */
static bool is_of(int slot, const struct fat_file *file) {
    int left, done;
    char record[NAME_BYTES], was[NAME_BYTES];
    if (file->folder) return false;
    if (slot == 0) return strcasecmp(file->name, NEW_NAME) == 0;
    (void)snprintf(record, sizeof record, "slot%d.rel", slot);
    (void)snprintf(was, sizeof was, "slot%d.was", slot);
    return slots_name_parse(file->name, &left, &done) == slot || strcasecmp(file->name, record) == 0 || strcasecmp(file->name, was) == 0;
}

static bool erase_look(void *context, const struct fat_file *file) {
    struct erasing *erasing = context;
    if (!is_of(erasing->slot, file)) return true;
    erasing->file = *file;
    erasing->found = true;
    return false;
}

static bool goes(void *context, const struct fat_file *file) {
    const int *slot = context;
    return is_of(0, file) || (*slot != 0 && is_of(*slot, file));
}

/* Every name of a slot, and its record. */
static const char *erase_all(struct slots *slots, int slot) {
    struct erasing erasing = {.slots = slots, .slot = slot};
    for (unsigned i = 0; i < ERASED_MAX; i++) {
        erasing.found = false;
        if (!fat_each(&slots->fat, slots->folder, erase_look, &erasing)) return "cannot be read";
        if (!erasing.found) return NULL;
        const char *text = fat_erase(&slots->fat, &erasing.file);
        if (text) return text;
    }
    return "has the same name again and again";
}

/* What is damaged is what this upgrade writes anew: the unfinished upload, or else the other slot too. It goes. */
static const char *heal(struct slots *slots, int to) {
    int none = 0;
    const char *text = fat_fault(&slots->fat);
    if (!text || fat_fault_without(&slots->fat, slots->folder, goes, &none) == NULL) return erase_all(slots, 0);
    if (fat_fault_without(&slots->fat, slots->folder, goes, &to) != NULL) return text;
    text = erase_all(slots, 0);
    return text ? text : erase_all(slots, to);
}

/* Room for a UKI of so many bytes, its record, slotN.was, and one cluster more for the folder. The other slot is emptied only where that helps. */
static const char *room_make(struct slots *slots, int to, uint64_t bytes) {
    const struct slot *other = &slots->slots[to - 1];
    uint64_t each = (uint64_t)slots->fat.cluster_sectors * FAT_SECTOR, wanted = (bytes + each - 1) / each * each + 3 * each;
    const char *text = heal(slots, to);
    if (text || fat_room(&slots->fat) >= wanted) return text;
    uint64_t emptied = other->there ? (other->file.bytes + each - 1) / each * each + 2 * each : 0;
    if (!other->twice && fat_room(&slots->fat) + emptied < wanted) return "has no room for it, even with the other slot empty";
    return erase_all(slots, to);
}

static enum system_error upload_write(struct slots *slots, int to, const struct release *release, struct upload *upload, struct system_fault *fault) {
    const char *text = room_make(slots, to, release->bytes);
    if (!text) text = fat_put(&slots->fat, slots->folder, NEW_NAME, (uint32_t)release->bytes, upload_part, upload);
    if (upload->other_hash) return system_fault_set(fault, SYSTEM_ID_MISMATCH, "the image is not the one that was signed: it was damaged on the way");
    return disk_fault(fault, text);
}

static enum system_error upload_show(struct slots *slots, int to, const struct release *release, const uint8_t record[RELEASE_BYTES],
                                     struct system_fault *fault) {
    struct fat_file file;
    struct reading reading = {slots, &file};
    struct release_facts facts;
    struct bytes_left left = {record};
    char name[NAME_BYTES];
    if (!fat_find(&slots->fat, slots->folder, NEW_NAME, &file) || !hash_is(slots, &file, release->sha256))
        return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "the boot partition does not give back what was written: its disk fails");
    enum system_error error = release_facts_read(&facts, read_part, &reading, fault);
    if (error) return error;
    if (facts.number != release->number || facts.architecture != release->architecture)
        return system_fault_set(fault, SYSTEM_ID_MISMATCH, "the image says that it is %llu, its record %llu", (unsigned long long)facts.number,
                                (unsigned long long)release->number);
    const char *text = erase_all(slots, to);
    (void)snprintf(name, sizeof name, "slot%d.rel", to);
    if (!text) text = fat_put(&slots->fat, slots->folder, name, RELEASE_BYTES, bytes_part, &left);
    if (!text) text = was_write(slots, to, release->number);
    name_make(name, to, SLOTS_TRIES);
    if (!text) text = fat_rename(&slots->fat, slots->folder, &file, name);
    return disk_fault(fault, text);
}

enum system_error slots_upgrade(struct slots *slots, fat_source *source, void *context, uint64_t bytes, int *slot, struct system_fault *fault) {
    uint8_t record[RELEASE_BYTES];
    struct release release;
    const struct slot *own = own_slot(slots, fault);
    if (!own) return fault->error;
    if (own->tries_left != SLOTS_BLESSED)
        return system_fault_set(fault, SYSTEM_ORDER, "the image that runs is on trial itself: wait until it is blessed");
    if (bytes < RELEASE_BYTES || !source(context, record, sizeof record)) return system_fault_set(fault, SYSTEM_TRUNCATED, "is no release");
    enum system_error error = record_take(slots, record, bytes, &release, fault);
    if (error) return error;
    struct upload upload = {.source = source, .context = context, .left = release.bytes, .wanted = release.sha256};
    sha256_init(&upload.state);
    *slot = 3 - slots->running;
    error = upload_write(slots, *slot, &release, &upload, fault);
    if (!error) error = upload_show(slots, *slot, &release, record, fault);
    if (error && erase_all(slots, 0)) error = system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "the boot partition cannot be written");
    tidy(slots, error);
    return error ? error : look(slots, fault);
}
