#include "appliance/admin/admin_tls.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "merkle/check.h"
#include "protocol/canonical.h"
#include "ring/clock.h"
#include "ring/entropy.h"

enum { PATH_BYTES = 4096, SERIAL_BYTES = 16 };
static const time_t begins_s = 946684800, ends_s = 253402300799; /* 20000101000000Z, 99991231235959Z */

static bool fail(char *why, const char *what, const char *path, const char *text) {
    (void)snprintf(why, ADMIN_TLS_WHY_BYTES, "%s %s: %s", what, path, text);
    return false;
}

/* A whole file as a text; NULL: errno says why. */
static char *file_read(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = fd >= 0 ? malloc(ADMIN_TLS_FILE_BYTES_MAX + 1) : NULL;
    size_t used = 0;
    ssize_t got = 1;
    while (text != NULL && got != 0 && used < ADMIN_TLS_FILE_BYTES_MAX) {
        got = read(fd, text + used, ADMIN_TLS_FILE_BYTES_MAX - used);
        if (got > 0) used += (size_t)got;
        if (got < 0 && errno != EINTR) break;
    }
    int error = got == 0 ? 0 : got > 0 ? EFBIG : errno;
    if (fd >= 0) (void)close(fd);
    if (text != NULL && error == 0) {
        text[used] = '\0';
        return text;
    }
    free(text);
    if (fd >= 0) errno = error;
    return NULL;
}

static bool file_replace(const char *path, mode_t mode, const gnutls_datum_t *text, char *why) {
    struct system_fault fault = {.text = ""};
    if (canonical_replace(path, text->data, text->size, mode, &fault) == SYSTEM_OK) return true;
    return fail(why, "cannot make", path, fault.text);
}

static void text_wipe(char *text) {
    if (text != NULL) gnutls_memset(text, 0, strlen(text));
    free(text);
}

static void hex_print(char *out, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static bool datum_fingerprint(const gnutls_datum_t *der, char out[ADMIN_FINGERPRINT_TEXT + 1]) {
    uint8_t hash[32];
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, der->data, der->size, hash) != 0) return false;
    hex_print(out, hash, sizeof hash);
    return true;
}

/* What the certificate says of itself; a GnuTLS error code. */
static int certificate_fill(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, const char *name) {
    uint8_t serial[SERIAL_BYTES];
    ring_entropy_fill(serial, sizeof serial);
    serial[0] = (serial[0] & 0x7F) | 0x40; /* positive, and of full length */
    int error = gnutls_x509_crt_set_version(certificate, 3);
    if (!error) error = gnutls_x509_crt_set_serial(certificate, serial, sizeof serial);
    if (!error) error = gnutls_x509_crt_set_activation_time(certificate, begins_s);
    if (!error) error = gnutls_x509_crt_set_expiration_time(certificate, ends_s);
    if (!error) error = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
    if (!error) error = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), GNUTLS_FSAN_SET);
    if (!error) error = gnutls_x509_crt_set_key(certificate, key);
    if (!error) error = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    if (!error) error = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (!error) error = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (!error) error = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0); /* other consoles are read with it */
    if (!error) error = gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
    return error;
}

/* The one that is there, if it is one: the owner may have brought a certificate for it. Else a new one; a GnuTLS error code. */
static int key_get(gnutls_x509_privkey_t *key, const char *path, bool *kept) {
    char *text = file_read(path);
    int error = gnutls_x509_privkey_init(key);
    *kept = false;
    if (!error && text != NULL) {
        gnutls_datum_t pem = {(unsigned char *)text, (unsigned)strlen(text)};
        *kept = gnutls_x509_privkey_import(*key, &pem, GNUTLS_X509_FMT_PEM) == 0;
        if (!*kept) {
            gnutls_x509_privkey_deinit(*key);
            *key = NULL;
            error = gnutls_x509_privkey_init(key);
        }
    }
    text_wipe(text);
    if (!error && !*kept) error = gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    return error;
}

/* The key first, each of them whole or not there: after a power cut between the two the next start makes the certificate of that key. */
static bool pair_make(const char *certificate_path, const char *key_path, const char *name, char *why) {
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t certificate = NULL;
    gnutls_datum_t key_text = {NULL, 0}, certificate_text = {NULL, 0};
    bool kept = false;
    int error = key_get(&key, key_path, &kept);
    if (!error) error = gnutls_x509_crt_init(&certificate);
    if (!error) error = certificate_fill(certificate, key, name);
    if (!error) error = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &key_text);
    if (!error) error = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &certificate_text);
    bool good = !error || fail(why, "certificate", name, gnutls_strerror(error));
    good = good && (kept || file_replace(key_path, 0600, &key_text, why));
    good = good && file_replace(certificate_path, 0644, &certificate_text, why);
    if (key_text.data != NULL) gnutls_memset(key_text.data, 0, key_text.size);
    gnutls_free(key_text.data);
    gnutls_free(certificate_text.data);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    return good;
}

/* By the hash of the public key in each. */
static int same_key(gnutls_x509_crt_t certificate, const gnutls_datum_t *key_text) {
    unsigned char of_certificate[64], of_key[64];
    size_t certificate_bytes = sizeof of_certificate, key_bytes = sizeof of_key;
    gnutls_x509_privkey_t key = NULL;
    int error = gnutls_x509_privkey_init(&key);
    if (!error) error = gnutls_x509_privkey_import2(key, key_text, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (!error) error = gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, of_certificate, &certificate_bytes);
    if (!error) error = gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, of_key, &key_bytes);
    bool same = !error && certificate_bytes == key_bytes && memcmp(of_certificate, of_key, key_bytes) == 0;
    if (!error && !same) error = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
    if (key != NULL) gnutls_x509_privkey_deinit(key);
    return error;
}

/* Do they belong together, and what is the certificate's fingerprint? The library is asked last for the pair: of one that is cut off or does not fit
 * it loses memory. */
static bool pair_check(struct admin_tls *tls, const char *certificate_path, char *why) {
    gnutls_datum_t certificate = {(unsigned char *)tls->certificate, (unsigned)strlen(tls->certificate)};
    gnutls_datum_t key = {(unsigned char *)tls->key, (unsigned)strlen(tls->key)}, der = {NULL, 0};
    gnutls_certificate_credentials_t both = NULL;
    gnutls_x509_crt_t first = NULL;
    int error = gnutls_x509_crt_init(&first);
    if (!error) error = gnutls_x509_crt_import(first, &certificate, GNUTLS_X509_FMT_PEM);
    if (!error) error = same_key(first, &key);
    if (!error) error = gnutls_certificate_allocate_credentials(&both);
    if (!error) error = gnutls_certificate_set_x509_key_mem(both, &certificate, &key, GNUTLS_X509_FMT_PEM);
    if (error > 0) error = 0; /* an index */
    if (!error) error = gnutls_x509_crt_export2(first, GNUTLS_X509_FMT_DER, &der);
    if (!error && !datum_fingerprint(&der, tls->fingerprint)) error = GNUTLS_E_HASH_FAILED;
    if (!error) tls->ends_s = (long long)gnutls_x509_crt_get_expiration_time(first);
    gnutls_free(der.data);
    if (first != NULL) gnutls_x509_crt_deinit(first);
    if (both != NULL) gnutls_certificate_free_credentials(both);
    return !error || fail(why, "certificate and key", certificate_path, gnutls_strerror(error));
}

static bool pair_read(struct admin_tls *tls, const char *certificate, const char *key, char *why) {
    tls->certificate = file_read(certificate);
    if (tls->certificate == NULL) return fail(why, "cannot read", certificate, strerror(errno));
    tls->key = file_read(key);
    if (tls->key == NULL) return fail(why, "cannot read", key, strerror(errno));
    return pair_check(tls, certificate, why);
}

/* Is nothing there, or something that can be read? False: `why`. */
static bool readable(const char *path, char *why) {
    char *text = file_read(path);
    bool good = text != NULL || errno == ENOENT || fail(why, "cannot read", path, strerror(errno));
    text_wipe(text);
    return good;
}

/* What the folder has, or what is made: of a pair that is not whole, or does not fit, all that a start can do is to make it so. */
static bool own_load(struct admin_tls *tls, const char *certificate, const char *key, const char *name, char *why) {
    if (pair_read(tls, certificate, key, why)) return true;
    admin_tls_free(tls);
    if (access(certificate, F_OK) == 0 || access(key, F_OK) == 0) {
        char broken[ADMIN_TLS_WHY_BYTES];
        memcpy(broken, why, sizeof broken);
        if (!readable(certificate, why) || !readable(key, why)) return false;
        (void)printf("the console's own certificate is made anew: %s\n", broken);
    }
    return pair_make(certificate, key, name, why) && pair_read(tls, certificate, key, why);
}

bool admin_tls_load(struct admin_tls *tls, const char *certificate, const char *key, const char *folder, const char *name,
                    char why[ADMIN_TLS_WHY_BYTES]) {
    char own_certificate[PATH_BYTES], own_key[PATH_BYTES];
    CHECK((certificate == NULL) == (key == NULL) && (certificate != NULL || folder != NULL));
    if (certificate != NULL) return pair_read(tls, certificate, key, why);
    if ((size_t)snprintf(own_certificate, PATH_BYTES, "%s/tls.cert", folder) >= PATH_BYTES ||
        (size_t)snprintf(own_key, PATH_BYTES, "%s/tls.key", folder) >= PATH_BYTES)
        return fail(why, "folder", folder, "its name is too long");
    return own_load(tls, own_certificate, own_key, name, why);
}

void admin_tls_free(struct admin_tls *tls) {
    text_wipe(tls->key);
    free(tls->certificate);
    tls->key = tls->certificate = NULL;
}

bool admin_tls_pin(struct admin_tls *tls, const char *text) {
    const char *colon = strchr(text, ':');
    char role[16];
    if (colon == NULL || (size_t)(colon - text) >= sizeof role || tls->pins_count == ADMIN_PINS_MAX) return false;
    memcpy(role, text, (size_t)(colon - text));
    role[colon - text] = '\0';
    struct admin_pin *pin = &tls->pins[tls->pins_count];
    size_t used = 0;
    for (const char *at = colon + 1; *at != '\0'; at++) {
        if (*at == ':' && used > 0 && used % 2 == 0) continue;
        if (!isxdigit((unsigned char)*at) || used == ADMIN_FINGERPRINT_TEXT) return false;
        pin->fingerprint[used++] = (char)tolower((unsigned char)*at);
    }
    pin->fingerprint[used] = '\0';
    pin->role = admin_role_of(role);
    if (used != ADMIN_FINGERPRINT_TEXT || pin->role == ADMIN_NOBODY) return false;
    tls->pins_count++;
    return true;
}

void admin_tls_ask(gnutls_session_t session) {
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
    gnutls_certificate_send_x509_rdn_sequence(session, 1); /* no list of issuers: any certificate may be shown */
}

bool admin_tls_shown(gnutls_session_t session, char fingerprint[ADMIN_FINGERPRINT_TEXT + 1]) {
    unsigned count = 0;
    const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &count);
    return shown != NULL && count > 0 && datum_fingerprint(&shown[0], fingerprint);
}

enum admin_role admin_tls_role(const struct admin_tls *tls, gnutls_session_t session, char fingerprint[ADMIN_FINGERPRINT_TEXT + 1]) {
    if (!admin_tls_shown(session, fingerprint)) return ADMIN_NOBODY;
    for (size_t i = 0; i < tls->pins_count; i++) {
        if (strcmp(tls->pins[i].fingerprint, fingerprint) == 0) return tls->pins[i].role;
    }
    return ADMIN_NOBODY;
}
