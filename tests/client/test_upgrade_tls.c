/* One connection to an admin console (client/upgrade_tls.h): the pinned certificate, another one, and a link on which nothing moves any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/upgrade_tls.h"
#include "merkle/sha256.h"
#include "ring/clock.h"

enum { STALL_MS = 400, LIMIT_MS = 30000, ECHO_BYTES = 5 };
/* What the other side does after the handshake. */
enum manner { ECHOES, READS_NOTHING, SAYS_NOTHING, NO_HANDSHAKE };

static char folder[] = "/tmp/heraclius-tls-XXXXXX", certificate[64], key[64];
static uint8_t pin[32];

static void file_put(const char *path, const gnutls_datum_t *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text->data, 1, text->size, file), text->size);
    assert_int_equal(fclose(file), 0);
}

/* One pair, for both sides. */
static int start(void **state) {
    (void)state;
    gnutls_x509_privkey_t secret;
    gnutls_x509_crt_t crt;
    gnutls_datum_t text;
    const uint8_t serial[] = {1};
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(certificate, sizeof certificate, "%s/cert", folder);
    (void)snprintf(key, sizeof key, "%s/key", folder);
    assert_int_equal(gnutls_x509_privkey_init(&secret), 0);
    assert_int_equal(gnutls_x509_privkey_generate(secret, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
    assert_int_equal(gnutls_x509_crt_set_serial(crt, serial, sizeof serial), 0);
    assert_int_equal(gnutls_x509_crt_set_activation_time(crt, 0), 0);
    assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, INT32_MAX), 0);
    assert_int_equal(gnutls_x509_crt_set_key(crt, secret), 0);
    assert_int_equal(gnutls_x509_crt_sign2(crt, crt, secret, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &text), 0);
    sha256_hash(text.data, text.size, pin);
    gnutls_free(text.data);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &text), 0);
    file_put(certificate, &text);
    gnutls_free(text.data);
    assert_int_equal(gnutls_x509_privkey_export2(secret, GNUTLS_X509_FMT_PEM, &text), 0);
    file_put(key, &text);
    gnutls_free(text.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(secret);
    return 0;
}

static int end(void **state) {
    (void)state;
    (void)unlink(certificate);
    (void)unlink(key);
    return rmdir(folder);
}

/* ---- the other side ---- */

static void serve(int listening, enum manner manner) {
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;
    char bytes[ECHO_BYTES];
    int fd = accept(listening, NULL, NULL);
    if (manner == NO_HANDSHAKE) (void)pause();
    (void)gnutls_certificate_allocate_credentials(&credentials);
    (void)gnutls_certificate_set_x509_key_file(credentials, certificate, key, GNUTLS_X509_FMT_PEM);
    (void)gnutls_init(&session, GNUTLS_SERVER);
    (void)gnutls_set_default_priority(session);
    (void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    if (gnutls_handshake(session) != 0) _exit(0);
    if (manner == READS_NOTHING) (void)pause();
    ssize_t got = gnutls_record_recv(session, bytes, sizeof bytes);
    if (manner == ECHOES && got > 0) (void)gnutls_record_send(session, bytes, (size_t)got);
    (void)pause();
}

static pid_t other_side(enum manner manner, struct address_endpoint *endpoint) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listening >= 0 && bind(listening, (const struct sockaddr *)&address, bytes) == 0 && listen(listening, 1) == 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &bytes), 0);
    *endpoint = (struct address_endpoint){.host = "127.0.0.1", .port = ntohs(address.sin_port)};
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listening, manner);
        _exit(0);
    }
    (void)close(listening);
    return pid;
}

static void ended(pid_t pid) {
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static struct upgrade_tls tls_of(const uint8_t *wanted) {
    return (struct upgrade_tls){.pin = wanted, .until_ms = ring_clock_ms() + LIMIT_MS, .stall_ms = STALL_MS, .fd = -1};
}

/* ---- tests ---- */

static void who_has_the_pinned_certificate_is_spoken_to(void **state) {
    (void)state;
    struct address_endpoint endpoint;
    char back[ECHO_BYTES];
    pid_t pid = other_side(ECHOES, &endpoint);
    struct upgrade_tls tls = tls_of(pin);
    tls.stall_ms = LIMIT_MS;
    assert_true(upgrade_tls_open(&tls, &endpoint, certificate, key));
    assert_true(upgrade_tls_write(&tls, "hello", ECHO_BYTES));
    assert_int_equal(upgrade_tls_read(&tls, back, sizeof back), ECHO_BYTES);
    assert_memory_equal(back, "hello", ECHO_BYTES);
    upgrade_tls_close(&tls);
    ended(pid);
}

static void who_has_another_one_is_not(void **state) {
    (void)state;
    struct address_endpoint endpoint;
    uint8_t other[32];
    pid_t pid = other_side(ECHOES, &endpoint);
    memcpy(other, pin, sizeof other);
    other[31] ^= 1;
    struct upgrade_tls tls = tls_of(other);
    tls.stall_ms = LIMIT_MS;
    assert_false(upgrade_tls_open(&tls, &endpoint, certificate, key));
    assert_true(tls.stranger);
    assert_non_null(strstr(tls.why, "another certificate than the pinned one"));
    upgrade_tls_close(&tls);
    ended(pid);
}

static void a_handshake_that_stands_still_ends(void **state) {
    (void)state;
    struct address_endpoint endpoint;
    pid_t pid = other_side(NO_HANDSHAKE, &endpoint);
    struct upgrade_tls tls = tls_of(pin);
    assert_false(upgrade_tls_open(&tls, &endpoint, certificate, key));
    assert_string_equal(tls.why, "the link stands still");
    assert_false(tls.stranger);
    assert_true(ring_clock_ms() < tls.until_ms); /* long before all of its time is over */
    upgrade_tls_close(&tls);
    ended(pid);
}

/* The other side does not read: what the sockets hold goes out, and then nothing. */
static void an_upload_that_stands_still_ends(void **state) {
    (void)state;
    enum { UPLOAD_BYTES = 64 << 20 };
    struct address_endpoint endpoint;
    pid_t pid = other_side(READS_NOTHING, &endpoint);
    struct upgrade_tls tls = tls_of(pin);
    uint8_t *upload = calloc(1, UPLOAD_BYTES);
    assert_non_null(upload);
    tls.stall_ms = LIMIT_MS; /* a handshake may take its time here */
    assert_true(upgrade_tls_open(&tls, &endpoint, certificate, key));
    tls.stall_ms = STALL_MS;
    assert_false(upgrade_tls_write(&tls, upload, UPLOAD_BYTES));
    assert_string_equal(tls.why, "the link stands still");
    assert_true(ring_clock_ms() < tls.until_ms);
    upgrade_tls_close(&tls);
    free(upload);
    ended(pid);
}

static void an_answer_that_does_not_come_ends(void **state) {
    (void)state;
    struct address_endpoint endpoint;
    char back[ECHO_BYTES];
    pid_t pid = other_side(SAYS_NOTHING, &endpoint);
    struct upgrade_tls tls = tls_of(pin);
    tls.stall_ms = LIMIT_MS;
    assert_true(upgrade_tls_open(&tls, &endpoint, certificate, key));
    tls.stall_ms = STALL_MS;
    assert_true(upgrade_tls_write(&tls, "hello", ECHO_BYTES));
    assert_int_equal(upgrade_tls_read(&tls, back, sizeof back), -1);
    assert_string_equal(tls.why, "the link stands still");
    upgrade_tls_close(&tls);
    ended(pid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_the_pinned_certificate_is_spoken_to), cmocka_unit_test(who_has_another_one_is_not),
        cmocka_unit_test(a_handshake_that_stands_still_ends),          cmocka_unit_test(an_upload_that_stands_still_ends),
        cmocka_unit_test(an_answer_that_does_not_come_ends),
    };
    return cmocka_run_group_tests(tests, start, end);
}
