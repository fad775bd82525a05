/* A release's record, and what a UKI says of itself. */
#include "protocol/release.h"

#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/canonical.h"

enum { FORMAT = 1, SIGNED_BYTES = 96, STRING_BYTES = 48, KEY_DIGITS = 64 };

static const uint8_t tag[16] = "HRC image";

static const struct {
    enum release_architecture architecture;
    uint16_t machine; /* of a PE head */
    const char *name;
} architectures[] = {{RELEASE_AMD64, 0x8664, "amd64"}, {RELEASE_ARM64, 0xAA64, "arm64"}, {RELEASE_S390X, 0, "s390x"}};

enum { ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

const char *release_architecture_name(enum release_architecture architecture) {
    for (int i = 0; i < ARCHITECTURES; i++) {
        if (architectures[i].architecture == architecture) return architectures[i].name;
    }
    return "?";
}

enum release_architecture release_architecture_own(void) {
#if defined(__x86_64__)
    return RELEASE_AMD64;
#elif defined(__aarch64__)
    return RELEASE_ARM64;
#elif defined(__s390x__)
    return RELEASE_S390X;
#else
    return 0;
#endif
}

/* ---- the record ---- */

static bool label_valid(const char *label) {
    size_t count = strnlen(label, RELEASE_LABEL_MAX + 1);
    if (count < 1 || count > RELEASE_LABEL_MAX) return false;
    for (size_t i = 0; i < count; i++) {
        if (label[i] < 0x21 || label[i] > 0x7E) return false;
    }
    return true;
}

void release_encode(const struct release *release, uint8_t out[RELEASE_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(out, RELEASE_BYTES);
    char label[RELEASE_LABEL_MAX] = {0};
    CHECK(release->number > 0 && release->bytes > 0 && release->bytes <= RELEASE_IMAGE_BYTES_MAX && label_valid(release->label));
    memcpy(label, release->label, strnlen(release->label, RELEASE_LABEL_MAX));
    bytes_put_u32(&writer, FORMAT);
    bytes_put_u32(&writer, release->architecture);
    bytes_put_u64(&writer, release->number);
    bytes_put_u64(&writer, release->bytes);
    bytes_put_hash(&writer, release->sha256);
    bytes_put_raw(&writer, label, sizeof label);
    bytes_put_raw(&writer, release->signature, 64);
    CHECK(!writer.failed && writer.used == RELEASE_BYTES);
}

enum system_error release_decode(struct release *release, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct release read;
    memset(&read, 0, sizeof read);
    uint32_t format = bytes_get_u32(&cursor), architecture = bytes_get_u32(&cursor);
    read.number = bytes_get_u64(&cursor);
    read.bytes = bytes_get_u64(&cursor);
    bytes_get_hash(&cursor, read.sha256);
    bytes_get_copy(&cursor, read.label, RELEASE_LABEL_MAX);
    bytes_get_copy(&cursor, read.signature, 64);
    if (!bytes_finished(&cursor)) return system_fault_set(fault, SYSTEM_TRUNCATED, "a release's record has %d bytes", RELEASE_BYTES);
    if (format != FORMAT) return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "does not begin with the record of a release");
    if (architecture < RELEASE_AMD64 || architecture > RELEASE_S390X)
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "release: architecture %u is not known", architecture);
    if (read.number == 0 || read.bytes == 0 || read.bytes > RELEASE_IMAGE_BYTES_MAX)
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "release: number %llu, %llu bytes", (unsigned long long)read.number,
                                (unsigned long long)read.bytes);
    size_t label = strnlen(read.label, RELEASE_LABEL_MAX);
    for (size_t i = label; i < RELEASE_LABEL_MAX; i++) {
        if (read.label[i] != 0) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "release: something follows its label");
    }
    if (!label_valid(read.label)) return system_fault_set(fault, SYSTEM_FIELD_RANGE, "release: its label must be 1 to 40 printable characters");
    read.architecture = (enum release_architecture)architecture;
    *release = read;
    return SYSTEM_OK;
}

static void string_of(const struct release *release, uint8_t out[STRING_BYTES]) {
    uint8_t bytes[RELEASE_BYTES];
    release_encode(release, bytes);
    memcpy(out, tag, sizeof tag);
    SHA256_PREFIXED(out + sizeof tag, HASH_RELEASE, {bytes, SIGNED_BYTES});
}

void release_sign(struct release *release, const struct ed25519_secret *key) {
    uint8_t string[STRING_BYTES];
    string_of(release, string);
    ed25519_sign(key, string, sizeof string, release->signature);
}

enum system_error release_verify(const struct release *release, const struct release_keys *keys, struct system_fault *fault) {
    uint8_t string[STRING_BYTES];
    string_of(release, string);
    for (uint32_t i = 0; i < keys->count; i++) {
        if (ed25519_verify(keys->keys[i], string, sizeof string, release->signature) == ED25519_OK) return SYSTEM_OK;
    }
    return system_fault_set(fault, SYSTEM_SIGNATURE_INVALID, "release %llu (%s): signed by none of the %u keys that may sign releases",
                            (unsigned long long)release->number, release->label, keys->count);
}

enum system_error release_keys_parse(struct release_keys *keys, const char *text, size_t count, struct system_fault *fault) {
    struct release_keys read = {0};
    size_t at = 0;
    while (at < count) {
        bool digits = count - at >= KEY_DIGITS && read.count < RELEASE_KEYS_MAX;
        if (!digits || !canonical_hex_parse(text + at, KEY_DIGITS, read.keys[read.count], 32))
            return system_fault_set(fault, SYSTEM_FIELD_TYPE, "must be 1 to %d lines of 64 lowercase hex digits, public keys", RELEASE_KEYS_MAX);
        at += KEY_DIGITS;
        if (at < count && text[at++] != '\n') return system_fault_set(fault, SYSTEM_FIELD_TYPE, "a key has 64 hex digits, and a line of its own");
        if (ed25519_key_check(read.keys[read.count]))
            return system_fault_set(fault, SYSTEM_KEY_INVALID, "key %u: is no valid Ed25519 key", read.count);
        read.count++;
    }
    if (read.count == 0) return system_fault_set(fault, SYSTEM_FIELD_MISSING, "has no key");
    *keys = read;
    return SYSTEM_OK;
}

/* ---- the UKI ---- */

enum { PE_AT = 0x3C, PE_HEAD = 24, SECTION_BYTES = 40, SECTIONS_MAX = 64, OSREL_BYTES_MAX = 4096 };

static enum system_error not_uki(struct system_fault *fault, const char *why) {
    return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "is no UKI: %s", why);
}

/* The value of `name` in lines NAME=VALUE, VALUE perhaps in quotation marks; "" when it is not there, or longer than out. */
static void value_of(const char *text, const char *name, char *out, size_t size) {
    size_t name_bytes = strlen(name);
    out[0] = '\0';
    for (const char *line = text; *line != '\0';) {
        size_t bytes = strcspn(line, "\n");
        if (bytes > name_bytes && memcmp(line, name, name_bytes) == 0 && line[name_bytes] == '=') {
            const char *value = line + name_bytes + 1;
            size_t count = bytes - name_bytes - 1;
            if (count >= 2 && value[0] == '"' && value[count - 1] == '"') value++, count -= 2;
            if (count >= size) count = 0;
            memcpy(out, value, count);
            out[count] = '\0';
        }
        line += bytes + (line[bytes] == '\n');
    }
}

static uint64_t number_of(const char *digits) {
    uint64_t number = 0;
    for (const char *c = digits; *c; c++) {
        if (*c < '0' || *c > '9' || number > (UINT64_MAX - 9) / 10) return 0;
        number = number * 10 + (uint64_t)(*c - '0');
    }
    return number;
}

static void osrel_take(struct release_facts *facts, const char *text) {
    char digits[24];
    value_of(text, "IMAGE_VERSION", digits, sizeof digits);
    facts->number = number_of(digits);
    value_of(text, "VERSION_ID", facts->label, sizeof facts->label);
    if (!label_valid(facts->label)) facts->label[0] = '\0';
}

enum system_error release_facts_read(struct release_facts *facts, release_reader *reader, void *context, struct system_fault *fault) {
    uint8_t head[PE_HEAD], section[SECTION_BYTES], at[4];
    char osrel[OSREL_BYTES_MAX + 1];
    memset(facts, 0, sizeof *facts);
    if (!reader(context, 0, head, 2) || memcmp(head, "MZ", 2) != 0 || !reader(context, PE_AT, at, sizeof at))
        return not_uki(fault, "it has no PE head");
    uint64_t pe = bytes_get_le32(at);
    if (!reader(context, pe, head, sizeof head) || memcmp(head, "PE\0\0", 4) != 0) return not_uki(fault, "it has no PE head");
    for (int i = 0; i < ARCHITECTURES; i++) {
        if (architectures[i].machine != 0 && architectures[i].machine == bytes_get_le16(head + 4))
            facts->architecture = architectures[i].architecture;
    }
    if (facts->architecture == 0) return not_uki(fault, "it is for another kind of machine");
    unsigned count = bytes_get_le16(head + 6);
    uint64_t table = pe + PE_HEAD + bytes_get_le16(head + 20);
    if (count > SECTIONS_MAX) return not_uki(fault, "too many sections");
    for (unsigned i = 0; i < count; i++) {
        if (!reader(context, table + (uint64_t)i * SECTION_BYTES, section, sizeof section)) return not_uki(fault, "it ends within its heads");
        if (memcmp(section, ".osrel\0\0", 8) != 0) continue;
        uint32_t bytes = bytes_get_le32(section + 8), stored = bytes_get_le32(section + 16);
        if (bytes > stored) bytes = stored;
        if (bytes > OSREL_BYTES_MAX || !reader(context, bytes_get_le32(section + 20), (uint8_t *)osrel, bytes)) return not_uki(fault, "its .osrel");
        osrel[bytes] = '\0';
        osrel_take(facts, osrel);
        return SYSTEM_OK;
    }
    return not_uki(fault, "it has no section .osrel");
}
