/* The admin console's own key and certificate, and what a power cut leaves of them (appliance/admin/admin_tls.h, admin_appliance.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/admin/admin_appliance.h"

enum { FILE_BYTES = 8192, PATH_BYTES = 256, STEP = 61 };

static char folder[PATH_BYTES], why[ADMIN_TLS_WHY_BYTES];

static const char *path_of(const char *name) {
    static char path[2 * PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* NULL: not there at all. */
static void put(const char *name, const char *bytes, size_t count) {
    (void)unlink(path_of(name));
    if (bytes == NULL) return;
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fchmod(fileno(file), 0600), 0);
    assert_int_equal(fclose(file), 0);
}

static size_t get(const char *name, char bytes[FILE_BYTES]) {
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    size_t count = fread(bytes, 1, FILE_BYTES - 1, file);
    bytes[count] = '\0';
    (void)fclose(file);
    return count;
}

/* A start; the hash of its certificate. */
static const char *started(const char *in) {
    static char fingerprint[ADMIN_FINGERPRINT_TEXT + 1];
    struct admin_tls tls = {.key = NULL};
    if (!admin_tls_load(&tls, NULL, NULL, in, "n", why)) fail_msg("%s", why);
    memcpy(fingerprint, tls.fingerprint, sizeof fingerprint);
    admin_tls_free(&tls);
    return fingerprint;
}

struct pair {
    char key[FILE_BYTES], certificate[FILE_BYTES], fingerprint[ADMIN_FINGERPRINT_TEXT + 1];
    size_t key_bytes, certificate_bytes;
};

static void pair_make(struct pair *pair) {
    put("tls.key", NULL, 0);
    put("tls.cert", NULL, 0);
    (void)snprintf(pair->fingerprint, sizeof pair->fingerprint, "%s", started(folder));
    pair->key_bytes = get("tls.key", pair->key);
    pair->certificate_bytes = get("tls.cert", pair->certificate);
}

/* Whatever was there: one start mends it, and the next has the same certificate. `kept`: with this key. */
static void starts(const char *kept) {
    char fingerprint[ADMIN_FINGERPRINT_TEXT + 1], key[FILE_BYTES];
    struct stat about;
    (void)snprintf(fingerprint, sizeof fingerprint, "%s", started(folder));
    assert_string_equal(started(folder), fingerprint);
    (void)get("tls.key", key);
    if (kept != NULL) assert_string_equal(key, kept);
    assert_int_equal(stat(path_of("tls.key"), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
}

static void each_prefix_of_what_is_written_starts(void **state) {
    static struct pair pair;
    (void)state;
    pair_make(&pair);
    for (size_t cut = 0; cut < pair.key_bytes; cut += STEP) {
        put("tls.key", pair.key, cut);
        put("tls.cert", NULL, 0);
        starts(NULL);
        put("tls.key.new", pair.key, cut); /* as it is cut now */
        put("tls.key", NULL, 0);
        put("tls.cert", NULL, 0);
        starts(NULL);
    }
    for (size_t cut = 0; cut < pair.certificate_bytes; cut += STEP) {
        put("tls.key", pair.key, pair.key_bytes);
        put("tls.cert", pair.certificate, cut);
        starts(pair.key);
        put("tls.cert.new", pair.certificate, cut);
        put("tls.cert", NULL, 0);
        starts(pair.key);
    }
}

static void what_does_not_fit_is_made_anew_and_a_whole_pair_is_left_alone(void **state) {
    static struct pair one, two;
    char now[FILE_BYTES];
    (void)state;
    pair_make(&one);
    pair_make(&two);
    assert_string_equal(started(folder), two.fingerprint);
    put("tls.cert", one.certificate, one.certificate_bytes);
    starts(two.key);
    put("tls.key", NULL, 0); /* a certificate alone */
    put("tls.cert", one.certificate, one.certificate_bytes);
    starts(NULL);
    (void)get("tls.cert", now);
    assert_string_not_equal(now, one.certificate);
}

static void what_cannot_be_read_is_left_alone(void **state) {
    static struct pair pair;
    struct admin_tls tls = {.key = NULL};
    (void)state;
    pair_make(&pair);
    put("tls.cert", NULL, 0);
    assert_int_equal(mkdir(path_of("tls.cert"), 0700), 0);
    assert_false(admin_tls_load(&tls, NULL, NULL, folder, "n", why));
    assert_non_null(strstr(why, "cannot read"));
    admin_tls_free(&tls);
    assert_int_equal(rmdir(path_of("tls.cert")), 0);
    starts(pair.key);
}

/* The own one cannot even be made; the owner's brings its key. */
static void a_brought_certificate_with_its_key_needs_no_other(void **state) {
    static struct pair pair;
    static struct admin_appliance appliance;
    static char both[2 * FILE_BYTES];
    struct admin_tls tls = {.key = NULL};
    (void)state;
    pair_make(&pair);
    (void)snprintf(both, sizeof both, "%s%s", pair.certificate, pair.key);
    put("admin.pem", both, strlen(both));
    (void)snprintf(appliance.conf.node, sizeof appliance.conf.node, "n");
    (void)snprintf(appliance.places[ADMIN_PLACE_STATE], sizeof appliance.places[0], "%s/nowhere", folder);
    (void)snprintf(appliance.places[ADMIN_PLACE_CERTIFICATE], sizeof appliance.places[0], "%s/admin.pem", folder);
    (void)snprintf(appliance.places[ADMIN_PLACE_FINGERPRINT], sizeof appliance.places[0], "%s/fingerprint", folder);
    if (!admin_appliance_certificate(&appliance, &tls, why)) fail_msg("%s", why);
    assert_string_equal(tls.fingerprint, pair.fingerprint);
    admin_tls_free(&tls);
    put("admin.pem", pair.certificate, pair.certificate_bytes); /* without its key there is nothing to serve with */
    assert_false(admin_appliance_certificate(&appliance, &tls, why));
    admin_tls_free(&tls);
}

static int folder_make(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/heraclius-tls-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int folder_remove(void **state) {
    static const char *const names[] = {"tls.key", "tls.cert", "tls.key.new", "tls.cert.new", "admin.pem", "fingerprint"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) (void)unlink(path_of(names[i]));
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_prefix_of_what_is_written_starts, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_made_anew_and_a_whole_pair_is_left_alone, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_left_alone, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_brought_certificate_with_its_key_needs_no_other, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
