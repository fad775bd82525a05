/* heraclius-slots as a job of init: who this machine is, the boot partition behind a descriptor, and what is said of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance/setup/setup.h"
#include "appliance/slots/slots.h"
#include "protocol/canonical.h"

/* What systemd-boot started: 4 bytes of attributes, then its name in UTF-16, \0-ended (the loader's interface, systemd.io/BOOT_LOADER_INTERFACE). */
#define SELECTED "/sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

enum { SMALL_FILE_BYTES = 4096, ATTRIBUTES = 4 };

/* ---- the partition ---- */

static bool device_read(void *context, uint64_t at, void *out, size_t count) {
    for (int fd = *(const int *)context; count > 0;) {
        ssize_t got = pread(fd, out, count, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        out = (uint8_t *)out + got;
        at += (uint64_t)got;
        count -= (size_t)got;
    }
    return true;
}

static bool device_write(void *context, uint64_t at, const void *bytes, size_t count) {
    for (int fd = *(const int *)context; count > 0;) {
        ssize_t put = pwrite(fd, bytes, count, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        bytes = (const uint8_t *)bytes + put;
        at += (uint64_t)put;
        count -= (size_t)put;
    }
    return true;
}

/* What is read after it comes from the disk. */
static bool device_sync(void *context) {
    int fd = *(const int *)context;
    return fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
}

static bool upload_read(void *context, uint8_t *out, size_t count) {
    uint64_t *at = context;
    int fd = SLOTS_UPLOAD;
    bool good = device_read(&fd, *at, out, count);
    *at += count;
    return good;
}

/* ---- this machine ---- */

static char *file_read(const char *root, const char *path, size_t *count, struct system_fault *fault) {
    char whole[SETUP_PATH_BYTES];
    char *text = setup_path(whole, root, path, fault) ? canonical_read_file(whole, SMALL_FILE_BYTES, count, fault) : NULL;
    if (!text) system_fault_prefix(fault, path);
    return text;
}

static enum system_error keys_read(struct slots *slots, const char *root, struct system_fault *fault) {
    char path[SETUP_PATH_BYTES];
    size_t count = 0;
    if (!setup_path(path, root, "/etc/heraclius/release", fault)) return fault->error;
    if (access(path, F_OK) < 0 && errno == ENOENT) {
        slots->keys.count = 1;
        return setup_owner(root, slots->keys.keys[0], fault);
    }
    char *text = file_read(root, "/etc/heraclius/release", &count, fault);
    if (!text) return fault->error;
    enum system_error error = release_keys_parse(&slots->keys, text, count, fault);
    if (error) system_fault_prefix(fault, path);
    free(text);
    return error;
}

uint64_t slots_number_read(const char *root) {
    struct system_fault fault;
    size_t count = 0;
    char *text = file_read(root, "/etc/heraclius/number", &count, &fault), *end = NULL;
    uint64_t number = text && text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    bool whole = end && (*end == '\n' || *end == '\0');
    free(text);
    return whole ? number : 0;
}

static int running_read(const char *root) {
    struct system_fault fault;
    size_t count = 0;
    char name[64] = "";
    int left, done;
    char *bytes = file_read(root, SELECTED, &count, &fault);
    for (size_t i = 0; bytes && ATTRIBUTES + 2 * i + 1 < count && i < sizeof name - 1; i++) {
        name[i] = bytes[ATTRIBUTES + 2 * i + 1] == 0 ? bytes[ATTRIBUTES + 2 * i] : '?';
        if (name[i] == '\0') break;
    }
    free(bytes);
    return slots_name_parse(name, &left, &done);
}

/* ---- what is said ---- */

static void hex_print(const char *name, const uint8_t sha256[32]) {
    char hex[65];
    canonical_hex_print(sha256, 32, hex);
    printf("%s=%s\n", name, hex);
}

static void status_print(const struct slots *slots) {
    const struct slot *own = slots->running ? &slots->slots[slots->running - 1] : NULL;
    char line[SLOTS_WAS_BYTES];
    printf("slot=%d\n", slots->running);
    if (own && own->there) printf("slot_state=%s\n", own->tries_left == SLOTS_BLESSED ? "blessed" : "trial");
    printf("image_number=%llu\n", (unsigned long long)slots->number);
    if (own && own->recorded && own->record.number == slots->number) hex_print("image_hash", own->record.sha256);
    printf("slot_next=%d\n", slots_next(slots));
    if (own && own->was.number > 0) {
        (void)slots_was_print(&own->was, line);
        printf("slot_was=%s", line);
    }
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *slot = &slots->slots[i];
        if (!slot->there)
            printf("slot.%d=empty\n", i + 1);
        else
            printf("slot.%d=number %llu label %s %s tries %d done %d %s\n", i + 1, (unsigned long long)slot->facts.number,
                   slot->facts.label[0] ? slot->facts.label : "-", slot->tries_left == SLOTS_BLESSED ? "blessed" : "unblessed",
                   slot->tries_left == SLOTS_BLESSED ? 0 : slot->tries_left, slot->tries_done, slot->recorded ? "signed" : "unsigned");
    }
}

static enum system_error upgrade(struct slots *slots, struct system_fault *fault) {
    uint64_t at = 0;
    int slot = 0;
    off_t bytes = lseek(SLOTS_UPLOAD, 0, SEEK_END);
    if (bytes < 0) return system_fault_set(fault, SYSTEM_FILE_UNREADABLE, "no release was given");
    return slots_upgrade(slots, upload_read, &at, (uint64_t)bytes, &slot, fault);
}

static enum system_error carry_out(struct slots *slots, const char *word, struct system_fault *fault) {
    if (strcmp(word, "status") == 0) return SYSTEM_OK;
    if (strcmp(word, "upgrade") == 0) return upgrade(slots, fault);
    if (strcmp(word, "bless") == 0) return slots_bless(slots, fault);
    if (strcmp(word, "rollback") == 0) return slots_rollback(slots, fault);
    return slots_fail(slots, fault);
}

int slots_job(const char *root, const char *word) {
    static struct slots slots;
    struct system_fault fault = {.text = ""};
    int fd = SLOTS_DEVICE;
    const struct fat_device device = {&fd, device_read, device_write, device_sync};
    off_t bytes = lseek(fd, 0, SEEK_END);
    enum system_error error = SYSTEM_OK;
    slots.number = slots_number_read(root);
    slots.architecture = release_architecture_own();
    slots.running = running_read(root);
    if (bytes < 0) error = system_fault_set(&fault, SYSTEM_FILE_UNREADABLE, "no boot partition was given");
    /* Whoever changes nothing needs no key: without an owner yet, slots are shown as unsigned. */
    if (!error && strcmp(word, "upgrade") == 0)
        error = keys_read(&slots, root, &fault);
    else if (!error && keys_read(&slots, root, &fault))
        slots.keys.count = 0;
    if (!error) error = slots_open(&slots, &device, (uint64_t)bytes, &fault);
    if (error) return setup_end(error, &fault);
    if (strcmp(word, "upgrade") == 0 || strcmp(word, "rollback") == 0) slots_was_ask(&slots.now, root);
    error = carry_out(&slots, word, &fault);
    if (!error && slots.unwritten)
        (void)fprintf(stderr,
                      "what the node is now could not be written beside the other slot, where a node without a vote is judged by it: the boot "
                      "partition %s\n",
                      slots.unwritten);
    if (!error) status_print(&slots);
    slots_close(&slots);
    return setup_end(error, &fault);
}
