/* Secret key files (spec/system.md S-120 to S-121): never overwritten, never readable by others, never used twice at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/protocol/identity_fixture.h"

static char folder[] = "/tmp/heraclius-key-XXXXXX";
static char path[64];
static struct fixture_entropy entropy = {.seed = 60};

static int set_up(void **state) {
    (void)state;
    if (!ed25519_start(NULL) || !mkdtemp(folder)) return -1;
    (void)snprintf(path, sizeof path, "%s/x.key", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static struct keyfile make(enum keyfile_kind kind) {
    struct keyfile key;
    (void)unlink(path);
    assert_int_equal(keyfile_generate(&key, kind, "x", fixture_entropy_fill, &entropy, NULL), SYSTEM_OK);
    assert_int_equal(keyfile_create(&key, path, NULL), SYSTEM_OK);
    return key;
}

static void a_key_reads_back_with_mode_0600(void **state) {
    (void)state;
    struct keyfile key = make(KEYFILE_CLIENT), back;
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(keyfile_open(&back, KEYFILE_CLIENT, path, true, NULL), SYSTEM_OK);
    assert_memory_equal(back.signing_key, key.signing_key, 32);
    assert_memory_equal(back.noise_secret, key.noise_secret, 32);
    assert_string_equal(back.name, "x");
    keyfile_close(&back);
    struct system_fault fault;
    assert_int_equal(keyfile_create(&key, path, &fault), SYSTEM_FILE_EXISTS);
    assert_non_null(strstr(fault.text, path));
}

static void a_closed_key_is_wiped(void **state) {
    (void)state;
    struct keyfile key, zero;
    (void)make(KEYFILE_NODE);
    assert_int_equal(keyfile_open(&key, 0, path, true, NULL), SYSTEM_OK);
    keyfile_close(&key);
    memset(&zero, 0, sizeof zero);
    assert_memory_equal(key.signing_seed, zero.signing_seed, 32);
    assert_memory_equal(key.noise_secret, zero.noise_secret, 32);
    assert_memory_equal(&key.signing, &zero.signing, sizeof zero.signing);
    assert_int_equal(key.lock, -1);
}

static void a_key_that_others_may_read_is_refused(void **state) {
    (void)state;
    struct keyfile back;
    struct system_fault fault;
    (void)make(KEYFILE_ADMIN);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(keyfile_open(&back, 0, path, false, &fault), SYSTEM_FILE_OPEN_MODE);
    assert_non_null(strstr(fault.text, path));
    assert_non_null(strstr(fault.text, "chmod 600"));
}

static void a_key_in_use_is_refused_to_another_process(void **state) {
    (void)state;
    struct keyfile key, second;
    (void)make(KEYFILE_CLIENT);
    assert_int_equal(keyfile_open(&key, 0, path, true, NULL), SYSTEM_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct system_fault fault;
        _exit(keyfile_open(&second, 0, path, true, &fault) == SYSTEM_FILE_IN_USE && strstr(fault.text, path) ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(keyfile_open(&second, 0, path, false, NULL), SYSTEM_OK); /* to look at it is allowed */
    keyfile_close(&second);
    keyfile_close(&key);
    assert_int_equal(keyfile_open(&second, 0, path, true, NULL), SYSTEM_OK);
    keyfile_close(&second);
}

static void a_key_of_another_kind_is_refused(void **state) {
    (void)state;
    struct keyfile back;
    struct system_fault fault;
    (void)make(KEYFILE_OWNER);
    assert_int_equal(keyfile_open(&back, KEYFILE_NODE, path, false, &fault), SYSTEM_FIELD_RANGE);
    assert_non_null(strstr(fault.text, "owner"));
}

static void every_flipped_bit_is_refused(void **state) {
    (void)state;
    char text[KEYFILE_BYTES_MAX];
    struct keyfile back;
    (void)make(KEYFILE_NODE);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    ssize_t count = read(file, text, sizeof text);
    assert_true(count > 200);
    for (size_t bit = 0; bit < (size_t)count * 8; bit++) {
        struct system_fault fault = {.text = ""};
        char flipped = (char)(text[bit / 8] ^ (1 << (bit % 8)));
        assert_int_equal(pwrite(file, &flipped, 1, (off_t)(bit / 8)), 1);
        if (keyfile_open(&back, 0, path, false, &fault) == SYSTEM_OK) fail_msg("bit %zu", bit);
        assert_non_null(strstr(fault.text, path));
        assert_int_equal(pwrite(file, &text[bit / 8], 1, (off_t)(bit / 8)), 1);
    }
    assert_int_equal(keyfile_open(&back, 0, path, false, NULL), SYSTEM_OK);
    keyfile_close(&back);
    assert_int_equal(ftruncate(file, count - 1), 0);
    assert_int_equal(keyfile_open(&back, 0, path, false, NULL), SYSTEM_ID_MISMATCH);
    assert_int_equal(ftruncate(file, 100000), 0);
    assert_int_equal(keyfile_open(&back, 0, path, false, NULL), SYSTEM_TOO_LARGE);
    assert_int_equal(close(file), 0);
}

static bool no_entropy(void *context, uint8_t *out, size_t count) {
    (void)context;
    (void)out;
    (void)count;
    return false;
}

static void without_entropy_there_is_no_key(void **state) {
    (void)state;
    struct keyfile key;
    assert_int_equal(keyfile_generate(&key, KEYFILE_CLIENT, "x", no_entropy, NULL, NULL), SYSTEM_NOTHING_FREE);
    assert_int_equal(keyfile_generate(&key, KEYFILE_CLIENT, "X", fixture_entropy_fill, &entropy, NULL), SYSTEM_FIELD_RANGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_reads_back_with_mode_0600),      cmocka_unit_test(a_closed_key_is_wiped),
        cmocka_unit_test(a_key_that_others_may_read_is_refused), cmocka_unit_test(a_key_in_use_is_refused_to_another_process),
        cmocka_unit_test(a_key_of_another_kind_is_refused),      cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(without_entropy_there_is_no_key),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
