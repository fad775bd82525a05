/* spec/vectors/appliance.json, group `upgrades`: what each machine does with each file, by the code that does it, on a boot partition in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/slots/slots.h"
#include "protocol/canonical.h"
#include "tests/appliance/boot_image.h"

enum { CASES_MIN = 30 };

struct bytes {
    uint8_t *bytes;
    size_t count, at;
};

static struct bytes hex_of(const json_t *text) {
    size_t digits = json_string_length(text);
    struct bytes out = {malloc(digits / 2 + 1), digits / 2, 0};
    assert_non_null(out.bytes);
    assert_true(canonical_hex_parse(json_string_value(text), digits, out.bytes, out.count));
    return out;
}

static bool part(void *context, uint8_t *out, size_t count) {
    struct bytes *bytes = context;
    if (count > bytes->count - bytes->at) return false;
    memcpy(out, bytes->bytes + bytes->at, count);
    bytes->at += count;
    return true;
}

/* */
static enum system_error keys_of(const json_t *machine, struct release_keys *keys) {
    const json_t *file = json_object_get(machine, "release_keys"), *owner = json_object_get(machine, "owner");
    if (file) return release_keys_parse(keys, json_string_value(file), json_string_length(file), NULL);
    if (!owner) return SYSTEM_FIELD_MISSING;
    struct bytes key = hex_of(owner);
    memcpy(keys->keys[0], key.bytes, 32);
    keys->count = 1;
    free(key.bytes);
    return SYSTEM_OK;
}

static void disk_of(struct boot_disk *disk, const json_t *machine) {
    const json_t *slot = json_object_get(machine, "slot");
    boot_disk_make(disk, 0);
    if (!slot) return;
    struct bytes uki = hex_of(slot);
    boot_disk_put(disk, json_is_true(json_object_get(machine, "blessed")) ? "heraclius-1.efi" : "heraclius-1+1-1.efi", uki.bytes, uki.count);
    free(uki.bytes);
}

static enum system_error judged(struct boot_disk *disk, const json_t *machine, struct bytes *file) {
    const struct fat_device device = boot_disk_device(disk);
    struct slots slots = {.running = json_object_get(machine, "slot") ? 1 : 0,
                          .architecture = (enum release_architecture)json_integer_value(json_object_get(machine, "architecture")),
                          .now = {.phase = "voting"}};
    struct system_fault fault;
    int to = 0;
    assert_int_equal(canonical_get_decimal(machine, "", "number", &slots.number, &fault), SYSTEM_OK);
    enum system_error error = keys_of(machine, &slots.keys);
    if (error) return error;
    assert_int_equal(slots_open(&slots, &device, BOOT_DISK_BYTES, NULL), SYSTEM_OK);
    error = slots_upgrade(&slots, part, file, file->count, &to, &fault);
    assert_int_equal(slots_next(&slots), error ? slots.running : to);
    assert_true(error || (to == 2 && slots.slots[1].recorded && slots.slots[1].tries_left == SLOTS_TRIES));
    slots_close(&slots);
    return error;
}

static void each_machine_says_the_word_of_its_case(void **state) {
    (void)state;
    json_t *vectors = json_load_file("spec/vectors/appliance.json", 0, NULL);
    const json_t *one, *cases = json_object_get(vectors, "upgrades");
    size_t i, taken = 0;
    assert_true(json_array_size(cases) >= CASES_MIN);
    json_array_foreach(cases, i, one) {
        struct boot_disk disk;
        const char *name = json_string_value(json_object_get(one, "case")), *error = json_string_value(json_object_get(one, "error"));
        struct bytes file = hex_of(json_object_get(one, "file"));
        disk_of(&disk, json_object_get(one, "machine"));
        const char *got = system_error_name(judged(&disk, json_object_get(one, "machine"), &file));
        if (strcmp(got, error) != 0) fail_msg("%s: %s, and not %s", name, got, error);
        taken += strcmp(error, "ok") == 0;
        boot_disk_free(&disk);
        free(file.bytes);
    }
    assert_true(taken >= 3 && taken < i);
    json_decref(vectors);
}

static int start(void **state) {
    (void)state;
    assert_true(ed25519_start(NULL));
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_machine_says_the_word_of_its_case)};
    return cmocka_run_group_tests(tests, start, NULL);
}
