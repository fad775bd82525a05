/* heraclius image sign, show, verify: releases of the appliance's image (spec/appliance.md 9.6), made and checked on any machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd_system.h"
#include "client/cmd_system_inside.h"
#include "client/command.h"
#include "merkle/sha256.h"
#include "protocol/canonical.h"
#include "protocol/release.h"

static bool file_part(void *context, uint64_t at, uint8_t *out, size_t count) {
    const struct command_bytes *file = context;
    if (at > file->count || count > file->count - at) return false;
    memcpy(out, file->bytes + at, count);
    return true;
}

static void release_print(const struct release *release) {
    char hex[65];
    canonical_hex_print(release->sha256, 32, hex);
    printf("number       %llu\narchitecture %s\nlabel        %s\nbytes        %llu\nsha256       %s\n", (unsigned long long)release->number,
           release_architecture_name(release->architecture), release->label, (unsigned long long)release->bytes, hex);
}

/* ---- sign ---- */

static bool release_make(struct release *release, struct command_bytes *uki, const char *path, const char *key_path) {
    struct release_facts facts;
    struct keyfile key = {.lock = -1};
    struct system_fault fault;
    enum system_error error = release_facts_read(&facts, file_part, uki, &fault);
    if (!error && facts.number == 0)
        error = system_fault_set(&fault, SYSTEM_FIELD_MISSING, "says no number of itself (IMAGE_VERSION in .osrel): make image writes it");
    if (!error && facts.number > INT64_MAX)
        error = system_fault_set(&fault, SYSTEM_FIELD_RANGE, "says that it is %llu: more than 9223372036854775807 cannot be told by an admin console",
                                 (unsigned long long)facts.number);
    if (error) return (void)cmd_fail("%s: %s: %s", path, system_error_name(error), fault.text), false;
    memset(release, 0, sizeof *release);
    release->architecture = facts.architecture;
    release->number = facts.number;
    release->bytes = uki->count;
    (void)snprintf(release->label, sizeof release->label, "%s", facts.label[0] ? facts.label : "unnamed");
    sha256_hash(uki->bytes, uki->count, release->sha256);
    if (keyfile_open(&key, KEYFILE_OWNER, key_path, false, &fault)) return (void)cmd_fail("%s", fault.text), false;
    release_sign(release, &key.signing);
    keyfile_close(&key);
    return true;
}

static int sign(const char *path, const char *key_path, const char *out) {
    struct command_bytes uki;
    struct release release;
    struct system_fault fault;
    if (!command_read_file(path, RELEASE_IMAGE_BYTES_MAX, "the most that an image may have", &uki)) return CMD_EXIT_USAGE;
    int code = CMD_EXIT_USAGE;
    uint8_t *whole = malloc(RELEASE_BYTES + uki.count);
    if (whole && release_make(&release, &uki, path, key_path)) {
        release_encode(&release, whole);
        memcpy(whole + RELEASE_BYTES, uki.bytes, uki.count);
        if (canonical_write_new(out, whole, RELEASE_BYTES + uki.count, 0644, &fault)) {
            (void)cmd_fail("%s", fault.text);
        } else {
            release_print(&release);
            printf("release      %s (heraclius upgrade, or the admin console, brings it to nodes)\n", out);
            code = CMD_EXIT_DONE;
        }
    }
    free(whole);
    free(uki.bytes);
    return code;
}

int cmd_image_sign(int argc, char **argv) {
    char *key = NULL, *out = NULL;
    int code = CMD_EXIT_USAGE, count;
    const struct poptOption options[] = {
        {"key", 'k', POPT_ARG_STRING, &key, 0, "the secret key (node owner) whose public one the machines' image names", "FILE"},
        {"out", 'o', POPT_ARG_STRING, &out, 0, "the release; never over an old file", "FILE"},
        POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, "IMAGE.efi --key FILE --out NAME.release");
    if (!cmd_options(context)) goto out;
    const char **words = cmd_words(context, &count);
    if (count != 1 || !key || !out)
        (void)cmd_fail("usage: %s IMAGE.efi --key FILE --out NAME.release (--help tells more)", argv[0]);
    else if (cmd_signatures_start())
        code = sign(words[0], key, out);
out:
    cmd_options_end(context, options);
    return code;
}

/* ---- show, verify ---- */

static bool keys_take(struct release_keys *keys, const char *said) {
    struct command_bytes file = {0};
    struct system_fault fault;
    bool is_key = strlen(said) == 64 && strspn(said, "0123456789abcdef") == 64;
    if (!is_key && !command_read_file(said, RELEASE_KEYS_MAX * 65, "the most that a list of keys may have", &file)) return false;
    enum system_error error = release_keys_parse(keys, is_key ? said : (const char *)file.bytes, is_key ? 64 : file.count, &fault);
    free(file.bytes);
    if (error) (void)cmd_fail("%s: %s: %s", said, system_error_name(error), fault.text);
    return !error;
}

/* All that a machine would check but for its own number and architecture. */
static enum system_error judge(const struct command_bytes *file, struct release *release, const struct release_keys *keys,
                               struct system_fault *fault) {
    struct release_facts facts;
    uint8_t hash[32];
    size_t head = file->count < RELEASE_BYTES ? file->count : RELEASE_BYTES;
    struct command_bytes uki = {file->bytes + head, file->count - head};
    enum system_error error = release_decode(release, file->bytes, head, fault);
    if (!error && keys) error = release_verify(release, keys, fault);
    if (error) return error;
    if (uki.count != release->bytes)
        return system_fault_set(fault, uki.count < release->bytes ? SYSTEM_TRUNCATED : SYSTEM_TOO_LARGE, "%zu bytes of an image that has %llu",
                                uki.count, (unsigned long long)release->bytes);
    sha256_hash(uki.bytes, uki.count, hash);
    if (!sha256_equal(hash, release->sha256)) return system_fault_set(fault, SYSTEM_ID_MISMATCH, "the image is not the one that was signed");
    error = release_facts_read(&facts, file_part, &uki, fault);
    if (error) return error;
    if (facts.number == release->number && facts.architecture == release->architecture) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_ID_MISMATCH, "the image says that it is %llu, its record %llu", (unsigned long long)facts.number,
                            (unsigned long long)release->number);
}

int cmd_release_read(const char *path, const char *said, struct release *release, struct command_bytes *file) {
    struct release_keys keys;
    struct system_fault fault;
    if (said && !keys_take(&keys, said)) return CMD_EXIT_USAGE;
    if (!command_read_file(path, RELEASE_BYTES + RELEASE_IMAGE_BYTES_MAX, "the most that a release may have", file)) return CMD_EXIT_USAGE;
    enum system_error error = judge(file, release, said ? &keys : NULL, &fault);
    if (!error) return CMD_EXIT_DONE;
    free(file->bytes);
    return (void)cmd_fail("%s: %s: %s", path, system_error_name(error), fault.text), EXIT_NO;
}

static int show(const char *path, const char *said) {
    struct command_bytes file;
    struct release release;
    int code = cmd_release_read(path, said, &release, &file);
    if (code != CMD_EXIT_DONE) return code;
    free(file.bytes);
    release_print(&release);
    printf("%s\n", said ? "signed       by a key that may" : "signature    not checked: image verify --key does");
    return CMD_EXIT_DONE;
}

static int show_or_verify(int argc, char **argv, bool verify) {
    char *key = NULL;
    int code = CMD_EXIT_USAGE, count;
    const struct poptOption key_option[] = {
        {"key", 'k', POPT_ARG_STRING, &key, 0, "the public key: 64 hex digits, or a file with 1 to 8 lines of them", "HEX|FILE"}, POPT_TABLEEND};
    const struct poptOption none[] = {POPT_TABLEEND};
    const struct poptOption options[] = {{NULL, 0, POPT_ARG_INCLUDE_TABLE, (void *)(uintptr_t)(verify ? key_option : none), 0, "Options:", NULL},
                                         POPT_AUTOHELP POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, argc, (const char **)argv, options, 0);
    poptSetOtherOptionHelp(context, verify ? "FILE.release --key HEX|FILE" : "FILE.release");
    if (!cmd_options(context)) goto out;
    const char **words = cmd_words(context, &count);
    if (count != 1 || (verify && !key))
        (void)cmd_fail("usage: %s FILE.release%s (--help tells more)", argv[0], verify ? " --key HEX|FILE" : "");
    else if (cmd_signatures_start())
        code = show(words[0], key);
out:
    cmd_options_end(context, options);
    return code;
}

int cmd_image_show(int argc, char **argv) {
    return show_or_verify(argc, argv, false);
}
int cmd_image_verify(int argc, char **argv) {
    return show_or_verify(argc, argv, true);
}
