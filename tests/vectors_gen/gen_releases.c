/*
 * Vectors of spec/appliance.md 9.6: release keys, records, UKIs, and what machines take of a whole file. The word that a
 * case must give is written here by hand; what is pure is then checked to give it, machines are judged by tests/appliance/test_slots_vectors.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/canonical.h"
#include "protocol/release.h"
#include "tests/vectors_gen/gen.h"
#include "tests/vectors_gen/gen_json.h"

enum { AMD64 = 0x8664, ARM64 = 0xAA64, I386 = 0x14C, UKI_BYTES_MAX = 8192, OLD = 7, NEW = 9, KEY_LINE = 65 };

struct signers {
    struct ed25519_secret builder, second, stranger, owner;
};

static void key_of(const struct ed25519_secret *secret, uint8_t out[32]) {
    ed25519_public_key(secret, out);
}

/* ---- keys ---- */

/* Lines of keys, `count` times the first one. */
static void lines_of(const struct ed25519_secret *secret, unsigned count, char *out) {
    uint8_t key[32];
    key_of(secret, key);
    for (unsigned i = 0; i < count; i++) {
        canonical_hex_print(key, sizeof key, out + (size_t)i * KEY_LINE);
        out[(size_t)i * KEY_LINE + KEY_LINE - 1] = '\n';
    }
    out[(size_t)count * KEY_LINE] = '\0';
}

static void keys_case(json_t *list, const char *name, const char *file, const char *error) {
    struct release_keys keys;
    json_t *object = gen_case(list, name);
    gen_set_text(object, "file", file);
    gen_set_error(object, error, release_keys_parse(&keys, file, strlen(file), NULL));
    if (strcmp(error, "ok") != 0) return;
    json_t *found = gen_group(object, "keys");
    for (uint32_t i = 0; i < keys.count; i++) {
        char hex[65];
        canonical_hex_print(keys.keys[i], 32, hex);
        CHECK(json_array_append_new(found, json_string(hex)) == 0);
    }
}

static void gen_keys(json_t *out, const struct signers *signers) {
    char text[10 * KEY_LINE + 1], one[KEY_LINE + 1], other[KEY_LINE + 1];
    json_t *list = gen_group(out, "release_keys");
    lines_of(&signers->builder, 1, one);
    lines_of(&signers->second, 1, other);
    keys_case(list, "one", one, "ok");
    (void)snprintf(text, sizeof text, "%s%s", one, other);
    keys_case(list, "two, in their order", text, "ok");
    text[strlen(text) - 1] = '\0';
    keys_case(list, "the last line without its end", text, "ok");
    lines_of(&signers->builder, 8, text);
    keys_case(list, "eight", text, "ok");
    lines_of(&signers->builder, 9, text);
    keys_case(list, "nine", text, "field-type");
    memset(text + KEY_LINE, '0', KEY_LINE - 1);
    keys_case(list, "nine, of which the second is of small order", text, "key-invalid");
    keys_case(list, "empty", "", "field-missing");
    keys_case(list, "an empty line", "\n", "field-type");
    (void)snprintf(text, sizeof text, "%s\n", one);
    keys_case(list, "an empty line at the end", text, "field-type");
    (void)snprintf(text, sizeof text, "%.63s\n", one);
    keys_case(list, "63 digits", text, "field-type");
    (void)snprintf(text, sizeof text, "%.64s0\n", one);
    keys_case(list, "65 digits", text, "field-type");
    (void)snprintf(text, sizeof text, "%.64s \n", one);
    keys_case(list, "a blank behind it", text, "field-type");
    (void)snprintf(text, sizeof text, "%.64s\r\n", one);
    keys_case(list, "0x0D before the line's end", text, "field-type");
    memset(text, 'A', 64);
    (void)snprintf(text + 64, sizeof text - 64, "\n");
    keys_case(list, "capital digits", text, "field-type");
    memset(text, '0', 64);
    keys_case(list, "of small order", text, "key-invalid");
    (void)snprintf(text + KEY_LINE, sizeof text - KEY_LINE, "%.63s\n", one);
    keys_case(list, "of small order, and a line of 63 digits behind it", text, "key-invalid");
}

/* ---- records ---- */

static void release_case(json_t *list, const char *name, const struct signers *signers, const uint8_t *bytes, size_t count, const char *error) {
    struct release_keys keys = {.count = 2};
    struct release release;
    json_t *object = gen_case(list, name);
    key_of(&signers->builder, keys.keys[0]);
    key_of(&signers->second, keys.keys[1]);
    gen_set_hex(object, "record", bytes, count);
    enum system_error got = release_decode(&release, bytes, count, NULL);
    if (!got) got = release_verify(&release, &keys, NULL);
    gen_set_error(object, error, got);
    if (strcmp(error, "ok") != 0) return;
    gen_set(object, "architecture", json_integer(release.architecture));
    gen_set(object, "number", canonical_decimal(release.number));
    gen_set(object, "length", canonical_decimal(release.bytes));
    gen_set_hex(object, "hash", release.sha256, 32);
    gen_set_text(object, "label", release.label);
}

/* Signs whatever stands there, by the table of A-30 alone: release_sign() would refuse most of it. */
static void record_sign(uint8_t record[RELEASE_BYTES], const struct ed25519_secret *by, const char *tag, uint8_t prefix) {
    uint8_t string[48] = {0}, hashed[1 + 96];
    memcpy(string, tag, strlen(tag));
    hashed[0] = prefix;
    memcpy(hashed + 1, record, 96);
    sha256_hash(hashed, sizeof hashed, string + 16);
    ed25519_sign(by, string, sizeof string, record + 96);
}

static void record_make(uint8_t record[RELEASE_BYTES], uint32_t architecture, uint64_t number, const uint8_t *uki, size_t bytes,
                        const struct ed25519_secret *by) {
    memset(record, 0, RELEASE_BYTES);
    bytes_put_le32(record, 1);
    bytes_put_le32(record + 4, architecture);
    bytes_put_le64(record + 8, number);
    bytes_put_le64(record + 16, bytes);
    sha256_hash(uki, bytes, record + 24);
    (void)snprintf((char *)record + 56, 40, "r%llu", (unsigned long long)number);
    record_sign(record, by, "HRC image", 0x1B);
}

/* One field of a good record changed, and signed again. */
struct record_change {
    const char *name, *error;
    size_t at, count;
    const char *bytes;
};

static void gen_records(json_t *out, const struct signers *signers) {
    static const struct record_change changes[] = {
        {"format 0", "format-unknown", 0, 1, "\0"},
        {"format 257", "format-unknown", 1, 1, "\1"},
        {"another format and no architecture: the format comes first", "format-unknown", 0, 8, "\2\0\0\0\0\0\0"},
        {"architecture 0", "field-range", 4, 1, "\0"},
        {"architecture 2", "ok", 4, 1, "\2"},
        {"architecture 3", "ok", 4, 1, "\3"},
        {"architecture 4", "field-range", 4, 1, "\4"},
        {"architecture 257", "field-range", 5, 1, "\1"},
        {"number 0", "field-range", 8, 1, "\0"},
        {"number 2^64 - 1", "ok", 8, 8, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"},
        {"length 0", "field-range", 16, 8, "\0\0\0\0\0\0\0"},
        {"length 1", "ok", 16, 8, "\1\0\0\0\0\0\0"},
        {"length 67108864", "ok", 16, 8, "\0\0\0\4\0\0\0"},
        {"length 67108865", "field-range", 16, 8, "\1\0\0\4\0\0\0"},
        {"length 2^32 + 1", "field-range", 16, 8, "\1\0\0\0\1\0\0"},
        {"another hash", "ok", 24, 2, "\0\0"},
        {"no label", "field-range", 56, 2, "\0\0"},
        {"a label behind a zero", "field-range", 56, 1, "\0"},
        {"a zero within the label", "field-range", 56, 3, "r\0x"},
        {"something in the last byte of the label", "field-range", 95, 1, "x"},
        {"a label of 40 characters", "ok", 56, 40, "0123456789012345678901234567890123456789"},
        {"a label of 0x21 and 0x7E", "ok", 56, 2, "!~"},
        {"a blank in the label", "field-range", 57, 1, " "},
        {"0x7F in the label", "field-range", 57, 1, "\x7F"},
        {"0x80 in the label", "field-range", 57, 1, "\x80"},
    };
    uint8_t good[RELEASE_BYTES], record[RELEASE_BYTES + 1] = {0};
    json_t *list = gen_group(out, "releases");
    record_make(good, RELEASE_AMD64, NEW, (const uint8_t *)"uki", 3, &signers->builder);
    release_case(list, "signed by the first key", signers, good, RELEASE_BYTES, "ok");
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        memcpy(record, good, RELEASE_BYTES);
        memcpy(record + changes[i].at, changes[i].bytes, changes[i].count);
        record_sign(record, &signers->builder, "HRC image", 0x1B);
        release_case(list, changes[i].name, signers, record, RELEASE_BYTES, changes[i].error);
    }
    memcpy(record, good, RELEASE_BYTES);
    static const size_t cuts[] = {0, 3, 4, 7, 8, 15, 16, 23, 24, 55, 56, 95, 96, 159, 161}; /* within each field, and at its end; one byte more */
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "%zu bytes", cuts[i]);
        release_case(list, name, signers, record, cuts[i], "truncated");
    }
    record[0] = 2;
    release_case(list, "159 bytes of another format: the length comes first", signers, record, 159, "truncated");
    record_sign(memcpy(record, good, 96), &signers->second, "HRC image", 0x1B);
    release_case(list, "signed by the second key", signers, record, RELEASE_BYTES, "ok");
    record_sign(record, &signers->stranger, "HRC image", 0x1B);
    release_case(list, "signed by a stranger", signers, record, RELEASE_BYTES, "signature-invalid");
    record_sign(record, &signers->builder, "HRC images", 0x1B);
    release_case(list, "signed with another tag", signers, record, RELEASE_BYTES, "signature-invalid");
    record_sign(record, &signers->builder, "HRC image", 0x1A);
    release_case(list, "signed with another prefix", signers, record, RELEASE_BYTES, "signature-invalid");
    memset(record + 96, 0, 64);
    release_case(list, "not signed", signers, record, RELEASE_BYTES, "signature-invalid");
    static const size_t flips[] = {8, 16, 24, 55, 57, 96, 159};
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "one bit of byte %zu changed", flips[i]);
        memcpy(record, good, RELEASE_BYTES);
        record[flips[i]] ^= flips[i] == 16 ? 4 : 2;
        release_case(list, name, signers, record, RELEASE_BYTES, "signature-invalid");
    }
}

/* ---- UKIs ---- */

struct uki {
    uint8_t bytes[UKI_BYTES_MAX];
    size_t count;
};

/* By the text of A-33: `before` sections of another name, then .osrel, whose content lies at the end. */
static void uki_make(struct uki *uki, unsigned machine, unsigned before, const char *osrel, size_t osrel_bytes) {
    enum { PE = 0x48, HEAD = 24, OPTIONAL = 16, SECTION = 40 };
    memset(uki, 0, sizeof *uki);
    size_t content = PE + HEAD + OPTIONAL + (before + 1) * SECTION;
    uki->count = content + osrel_bytes;
    CHECK(uki->count <= UKI_BYTES_MAX);
    memcpy(uki->bytes, "MZ", 2);
    bytes_put_le32(uki->bytes + 0x3C, PE);
    memcpy(uki->bytes + PE, "PE\0\0", 4);
    bytes_put_le16(uki->bytes + PE + 4, (uint16_t)machine);
    bytes_put_le16(uki->bytes + PE + 6, (uint16_t)(before + 1));
    bytes_put_le16(uki->bytes + PE + 20, OPTIONAL);
    for (unsigned i = 0; i < before; i++) memcpy(uki->bytes + PE + HEAD + OPTIONAL + (size_t)i * SECTION, ".linux\0\0", 8);
    uint8_t *section = uki->bytes + PE + HEAD + OPTIONAL + (size_t)before * SECTION;
    memcpy(section, ".osrel\0\0", 8);
    bytes_put_le32(section + 8, (uint32_t)osrel_bytes);
    bytes_put_le32(section + 16, (uint32_t)osrel_bytes);
    bytes_put_le32(section + 20, (uint32_t)content);
    memcpy(uki->bytes + content, osrel, osrel_bytes);
}

static void uki_says(struct uki *uki, unsigned machine, uint64_t number) {
    char osrel[128];
    int count = snprintf(osrel, sizeof osrel, "ID=heraclius\nVERSION_ID=\"r%llu\"\nIMAGE_VERSION=%llu\n", (unsigned long long)number,
                         (unsigned long long)number);
    uki_make(uki, machine, 1, osrel, (size_t)count);
}

static bool uki_part(void *context, uint64_t at, uint8_t *out, size_t count) {
    const struct uki *uki = context;
    if (at > uki->count || count > uki->count - at) return false;
    memcpy(out, uki->bytes + at, count);
    return true;
}

static void uki_case(json_t *list, const char *name, struct uki *uki, const char *error, uint64_t number, const char *label) {
    struct release_facts facts;
    json_t *object = gen_case(list, name);
    gen_set_hex(object, "uki", uki->bytes, uki->count);
    gen_set_error(object, error, release_facts_read(&facts, uki_part, uki, NULL));
    if (strcmp(error, "ok") != 0) return;
    CHECK(facts.number == number && strcmp(facts.label, label) == 0);
    gen_set(object, "architecture", json_integer(facts.architecture));
    gen_set(object, "number", canonical_decimal(number));
    gen_set_text(object, "label", label);
}

static void gen_osrels(json_t *list) {
    static const struct {
        const char *name, *text;
        uint64_t number;
        const char *label;
    } cases[] = {
        {"a number alone", "IMAGE_VERSION=8", 8, ""},
        {"nothing", "", 0, ""},
        {"in quotation marks", "IMAGE_VERSION=\"8\"\nVERSION_ID=\"1.0\"\n", 8, "1.0"},
        {"one quotation mark", "IMAGE_VERSION=\"8\nVERSION_ID=\"\n", 0, "\""},
        {"two lines: the last one counts", "IMAGE_VERSION=7\nVERSION_ID=a\nIMAGE_VERSION=8\nVERSION_ID=b", 8, "b"},
        {"the last one says none", "IMAGE_VERSION=7\nIMAGE_VERSION=x\n", 0, ""},
        {"names that only look like it", "XIMAGE_VERSION=7\nIMAGE_VERSION_=7\n IMAGE_VERSION=7\nimage_version=7\n", 0, ""},
        {"leading zeros", "IMAGE_VERSION=00000000000000000000008\n", 8, ""},
        {"24 digits", "IMAGE_VERSION=000000000000000000000008\n", 0, ""},
        {"the highest number", "IMAGE_VERSION=18446744073709551609\n", UINT64_C(18446744073709551609), ""},
        {"one more", "IMAGE_VERSION=18446744073709551610\n", 0, ""},
        {"a sign", "IMAGE_VERSION=+8\n", 0, ""},
        {"a blank behind it", "IMAGE_VERSION=8 \n", 0, ""},
        {"0x0D behind it", "IMAGE_VERSION=8\r\n", 0, ""},
        {"a label of 40 characters", "VERSION_ID=0123456789012345678901234567890123456789\n", 0, "0123456789012345678901234567890123456789"},
        {"a label of 41 characters", "VERSION_ID=01234567890123456789012345678901234567890\n", 0, ""},
        {"a label with a blank", "VERSION_ID=\"1 0\"\nIMAGE_VERSION=8\n", 8, ""},
        {"lines without =, of no name, of any bytes", "IMAGE_VERSION\n=9\n\n\x80\xFF\r\x01\nIMAGE_VERSION=8\n", 8, ""},
        {"nothing between quotation marks", "IMAGE_VERSION=\"\"\nVERSION_ID=\"\"\n", 0, ""},
        {"a last line without a value", "IMAGE_VERSION=8\nIMAGE_VERSION=", 0, ""},
    };
    struct uki uki;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uki_make(&uki, AMD64, 0, cases[i].text, strlen(cases[i].text));
        uki_case(list, cases[i].name, &uki, "ok", cases[i].number, cases[i].label);
    }
    static const char zero[] = "IMAGE_VERSION=8\n\0VERSION_ID=behind\nIMAGE_VERSION=9\n";
    uki_make(&uki, AMD64, 0, zero, sizeof zero - 1);
    uki_case(list, "the text ends at 0x00", &uki, "ok", 8, "");
    static char text[4097] = "IMAGE_VERSION=8\n";
    memset(text + 16, '#', sizeof text - 16);
    uki_make(&uki, AMD64, 0, text, 4096);
    uki_case(list, "4096 bytes", &uki, "ok", 8, "");
    uki_make(&uki, AMD64, 0, text, 4097);
    uki_case(list, "4097 bytes", &uki, "format-unknown", 0, NULL);
}

static void gen_heads(json_t *list) {
    enum { PE = 0x48, SECTION = PE + 24 + 16 };
    static const char said[] = "IMAGE_VERSION=8\nVERSION_ID=x\n";
    struct uki uki, good;
    uki_make(&good, AMD64, 0, said, sizeof said - 1);
    uki_case(list, "for amd64", &good, "ok", 8, "x");
    uki_make(&uki, ARM64, 0, said, sizeof said - 1);
    uki_case(list, "for arm64", &uki, "ok", 8, "x");
    uki_make(&uki, I386, 0, said, sizeof said - 1);
    uki_case(list, "for another machine", &uki, "format-unknown", 0, NULL);
    uki_make(&uki, AMD64, 63, said, sizeof said - 1);
    uki_case(list, "64 sections", &uki, "ok", 8, "x");
    uki_make(&uki, AMD64, 64, said, sizeof said - 1);
    uki_case(list, "65 sections", &uki, "format-unknown", 0, NULL);
    static const struct {
        const char *name;
        size_t at, count;
        const char *bytes;
    } changes[] = {
        {"without MZ", 0, 1, "x"},
        {"its head lies behind its end", 0x3C, 4, "\0\0\1"},
        {"its head lies at 2^32 - 1", 0x3C, 4, "\xFF\xFF\xFF\xFF"},
        {"without PE", PE, 1, "x"},
        {"no 0 behind PE", PE + 3, 1, "x"},
        {"no section", PE + 6, 1, "\0"},
        {"its sections lie behind its end", PE + 20, 2, "\xFF\xFF"},
        {"no .osrel", SECTION, 8, ".osrelx"},
        {"something behind the name", SECTION + 7, 1, "x"},
        {"its content lies behind the end", SECTION + 22, 1, "\1"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uki = good;
        memcpy(uki.bytes + changes[i].at, changes[i].bytes, changes[i].count);
        uki_case(list, changes[i].name, &uki, "format-unknown", 0, NULL);
    }
    uki = good;
    uki.bytes[SECTION + 8] = 15;
    uki_case(list, "of two sizes the first is the lesser", &uki, "ok", 8, "");
    uki = good;
    uki.bytes[SECTION + 16] = 15;
    uki_case(list, "of two sizes the second is the lesser", &uki, "ok", 8, "");
    uki = good;
    bytes_put_le32(uki.bytes + SECTION + 16, UINT32_MAX);
    uki_case(list, "its content is said to go on behind the end, of which its size makes no use", &uki, "ok", 8, "x");
    uki = good;
    bytes_put_le32(uki.bytes + SECTION + 8, 0);
    bytes_put_le32(uki.bytes + SECTION + 20, (uint32_t)good.count);
    uki_case(list, "an empty .osrel at its end", &uki, "ok", 0, "");
    bytes_put_le32(uki.bytes + SECTION + 20, (uint32_t)good.count + 1);
    uki_case(list, "an empty .osrel behind its end", &uki, "format-unknown", 0, NULL);
    uki = good;
    uki.bytes[PE + 6] = 64;
    uki_case(list, "64 sections are announced, and it ends behind .osrel", &uki, "ok", 8, "x");
    uki_make(&uki, AMD64, 1, said, sizeof said - 1);
    bytes_put_le32(uki.bytes + SECTION + 8, UINT32_MAX);
    bytes_put_le32(uki.bytes + SECTION + 16, UINT32_MAX);
    bytes_put_le32(uki.bytes + SECTION + 20, UINT32_MAX);
    uki_case(list, "another section's content behind its end", &uki, "ok", 8, "x");
    uki_make(&uki, AMD64, 1, said, sizeof said - 1);
    memcpy(uki.bytes + SECTION, ".osrel\0\0", 8); /* of no bytes */
    uki_case(list, "two .osrel: the first one counts", &uki, "ok", 0, "");
    static const size_t cuts[] = {0, 1, 2, 0x3F, 0x40, PE + 23, PE + 24, SECTION, SECTION + 39, SECTION + 40};
    for (size_t i = 0; i <= sizeof cuts / sizeof cuts[0]; i++) {
        char name[40];
        uki = good;
        uki.count = i < sizeof cuts / sizeof cuts[0] ? cuts[i] : good.count - 1;
        (void)snprintf(name, sizeof name, "%zu bytes", uki.count);
        uki_case(list, name, &uki, "format-unknown", 0, NULL);
    }
}

/* ---- machines ---- */

struct upgrade_case {
    const char *name, *error;
    /* the machine */
    int machine_architecture; /* 0: 1 */
    bool no_slot, on_trial, no_owner, other_runs, slot_is_no_uki;
    enum { BUILDERS, NO_FILE, EMPTY_FILE, BAD_FILE } file;
    /* the release */
    uint64_t number, says; /* 0: NEW; says 0: as the record */
    uint32_t architecture; /* of the record; 0: 1 */
    unsigned machine;      /* of the UKI; 0: AMD64 */
    bool stranger, owner_signs, bad_label, other_hash, no_uki;
    int length; /* bytes more than there are, or less */
    bool none;
};

static size_t upgrade_file(const struct upgrade_case *as, const struct signers *signers, uint8_t *out) {
    struct uki uki;
    uint64_t number = as->number ? as->number : NEW;
    uki_says(&uki, as->machine ? as->machine : AMD64, as->says ? as->says : number);
    if (as->no_uki) uki.bytes[0] = 'x';
    record_make(out, as->architecture ? as->architecture : RELEASE_AMD64, number, uki.bytes, uki.count, &signers->builder);
    if (as->other_hash) out[24] ^= 1;
    if (as->bad_label) out[57] = ' ';
    record_sign(out, as->stranger ? &signers->stranger : as->owner_signs ? &signers->owner : &signers->builder, "HRC image", 0x1B);
    memcpy(out + RELEASE_BYTES, uki.bytes, uki.count);
    return as->none ? 0 : (size_t)((int)(RELEASE_BYTES + uki.count) + as->length);
}

static void upgrade_case(json_t *list, const struct upgrade_case *as, const struct signers *signers) {
    static uint8_t file[RELEASE_BYTES + UKI_BYTES_MAX];
    char text[2 * KEY_LINE + 1];
    uint8_t key[32];
    struct uki uki;
    json_t *object = gen_case(list, as->name), *machine = json_object();
    gen_set(object, "machine", machine);
    gen_set(machine, "architecture", json_integer(as->machine_architecture ? as->machine_architecture : RELEASE_AMD64));
    gen_set(machine, "number", json_string(as->other_runs ? "8" : "7"));
    if (!as->no_slot) {
        uki_says(&uki, as->machine_architecture == RELEASE_ARM64 ? ARM64 : AMD64, OLD);
        if (as->slot_is_no_uki) uki.bytes[0] = 'x';
        gen_set_hex(machine, "slot", uki.bytes, uki.count);
        gen_set(machine, "blessed", json_boolean(!as->on_trial));
    }
    lines_of(&signers->builder, 1, text);
    if (as->file != NO_FILE) gen_set_text(machine, "release_keys", as->file == BUILDERS ? text : as->file == EMPTY_FILE ? "" : "a key\n");
    key_of(&signers->owner, key);
    if (!as->no_owner) gen_set_hex(machine, "owner", key, 32);
    gen_set_hex(object, "file", file, upgrade_file(as, signers, file));
    gen_set_text(object, "error", as->error);
}

static void gen_upgrades(json_t *out, const struct signers *signers) {
    static const struct upgrade_case cases[] = {
        {.name = "a release", .error = "ok"},
        {.name = "one number higher", .error = "ok", .number = OLD + 1},
        {.name = "without a file of keys the owner's signature", .error = "ok", .file = NO_FILE, .owner_signs = true},
        {.name = "with a file of keys the owner's signature", .error = "signature-invalid", .owner_signs = true},
        {.name = "without a file of keys another one's", .error = "signature-invalid", .file = NO_FILE},
        {.name = "neither file nor owner", .error = "field-missing", .file = NO_FILE, .no_owner = true},
        {.name = "a file of keys, and no owner", .error = "ok", .no_owner = true},
        {.name = "an empty file of keys", .error = "field-missing", .file = EMPTY_FILE, .owner_signs = true},
        {.name = "a file of keys of another form", .error = "field-type", .file = BAD_FILE, .owner_signs = true},
        {.name = "no slot", .error = "foreign", .no_slot = true},
        {.name = "the slot that started is of another number than what runs", .error = "foreign", .other_runs = true},
        {.name = "the slot that started has no UKI", .error = "foreign", .slot_is_no_uki = true},
        {.name = "on trial", .error = "order", .on_trial = true},
        {.name = "no byte", .error = "truncated", .none = true},
        {.name = "a label with a blank", .error = "field-range", .bad_label = true},
        {.name = "signed by a stranger", .error = "signature-invalid", .stranger = true},
        {.name = "for arm64, to an amd64", .error = "foreign", .architecture = RELEASE_ARM64, .machine = ARM64},
        {.name = "for s390x", .error = "foreign", .architecture = RELEASE_S390X},
        {.name = "for amd64, to an arm64", .error = "foreign", .machine_architecture = RELEASE_ARM64},
        {.name = "the number that runs", .error = "serial", .number = OLD},
        {.name = "a lower number", .error = "serial", .number = OLD - 1},
        {.name = "one byte less", .error = "truncated", .length = -1},
        {.name = "one byte more", .error = "too-large", .length = 1},
        {.name = "another hash", .error = "id-mismatch", .other_hash = true},
        {.name = "no UKI", .error = "format-unknown", .no_uki = true},
        {.name = "the UKI says another number", .error = "id-mismatch", .says = NEW + 1},
        {.name = "the UKI is of another architecture", .error = "id-mismatch", .machine = ARM64},
        /* two faults: the first check that fails gives the word */
        {.name = "an empty file of keys, and no slot", .error = "field-missing", .file = EMPTY_FILE, .no_slot = true},
        {.name = "no slot, and a stranger's signature", .error = "foreign", .no_slot = true, .stranger = true},
        {.name = "another number runs, on trial", .error = "foreign", .other_runs = true, .on_trial = true},
        {.name = "on trial, and no byte", .error = "order", .on_trial = true, .none = true},
        {.name = "a label with a blank, signed by a stranger", .error = "field-range", .bad_label = true, .stranger = true},
        {.name = "a stranger's, for arm64", .error = "signature-invalid", .stranger = true, .architecture = RELEASE_ARM64},
        {.name = "for arm64, of the number that runs", .error = "foreign", .architecture = RELEASE_ARM64, .number = OLD},
        {.name = "the number that runs, one byte less", .error = "serial", .number = OLD, .length = -1},
        {.name = "one byte less, of another hash", .error = "truncated", .length = -1, .other_hash = true},
        {.name = "another hash, and no UKI", .error = "id-mismatch", .other_hash = true, .no_uki = true},
    };
    json_t *list = gen_group(out, "upgrades");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) upgrade_case(list, &cases[i], signers);
}

static void signer_make(struct ed25519_secret *secret, uint8_t first) {
    uint8_t seed[32] = {first, 'r', 'e', 'l', 'e', 'a', 's', 'e'};
    (void)!ed25519_secret_init(secret, seed);
}

void gen_releases(json_t *out) {
    struct signers signers;
    uint8_t key[32];
    CHECK(ed25519_start(NULL));
    signer_make(&signers.builder, 1);
    signer_make(&signers.second, 2);
    signer_make(&signers.stranger, 3);
    signer_make(&signers.owner, 4);
    json_t *keys = gen_group(out, "release_signers");
    const struct ed25519_secret *both[] = {&signers.builder, &signers.second};
    for (size_t i = 0; i < 2; i++) {
        char hex[65];
        key_of(both[i], key);
        canonical_hex_print(key, 32, hex);
        CHECK(json_array_append_new(keys, json_string(hex)) == 0);
    }
    gen_keys(out, &signers);
    gen_records(out, &signers);
    json_t *ukis = gen_group(out, "ukis");
    gen_heads(ukis);
    gen_osrels(ukis);
    gen_upgrades(out, &signers);
}
