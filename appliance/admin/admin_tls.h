/*
 * The admin console's certificate and key, and who a client certificate is. GnuTLS, TLS 1.2 and later.
 *
 * Given files are read and must fit one another. Without them, tls.key and tls.cert in the state folder are read, or made when they are no whole pair
 * (neither is there, a power cut tore them, they do not fit): an ECDSA key (secp256r1), unless there is a key, and a certificate signed with itself,
 * good from the year 2000 on and without an end (RFC 5280, 4.1.2.5), since it is made once, by a clock that may be years off. Nobody vouches for that
 * one: people compare its SHA-256, which is shown at the machine. What is there and cannot be read is left alone.
 *
 * A client certificate counts by its SHA-256 alone (--client ROLE:HEX): neither its issuer nor its dates are asked. That its sender holds the key is
 * shown by TLS itself.
 */
#ifndef APPLIANCE_ADMIN_TLS_H
#define APPLIANCE_ADMIN_TLS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/admin/admin_session.h"

#define ADMIN_TLS_PRIORITIES                                                                                                                         \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-256-GCM:"                                           \
    "+CHACHA20-POLY1305:+AES-128-GCM"

enum { ADMIN_PINS_MAX = 64, ADMIN_TLS_FILE_BYTES_MAX = 65536, ADMIN_TLS_WHY_BYTES = 4608, ADMIN_FINGERPRINT_TEXT = 64 };

struct admin_tls {
    char *certificate, *key;                      /* PEM */
    char fingerprint[ADMIN_FINGERPRINT_TEXT + 1]; /* SHA-256 of the certificate, lower-case hex */
    long long ends_s;                             /* when the certificate ends, by the calendar */
    size_t pins_count;
    struct admin_pin {
        enum admin_role role;
        char fingerprint[ADMIN_FINGERPRINT_TEXT + 1];
    } pins[ADMIN_PINS_MAX];
};

/* Reads, or makes; `certificate` and `key` both or neither NULL, without them `folder` is needed; `name` goes into what is made. False: `why`. */
bool admin_tls_load(struct admin_tls *tls, const char *certificate, const char *key, const char *folder, const char *name,
                    char why[ADMIN_TLS_WHY_BYTES]);
/* Wipes the key. */
void admin_tls_free(struct admin_tls *tls);
/* ROLE:SHA256, 64 hex digits, colons between them are fine. False: not that, or more than ADMIN_PINS_MAX. */
bool admin_tls_pin(struct admin_tls *tls, const char *text);
/* Before a connection's handshake: asks the client for a certificate, whoever issued it. */
void admin_tls_ask(gnutls_session_t session);
/* The SHA-256 of the certificate that the other side showed, in hex. False: it showed none. */
bool admin_tls_shown(gnutls_session_t session, char fingerprint[ADMIN_FINGERPRINT_TEXT + 1]);
/* After it: the role of its certificate; ADMIN_NOBODY: none, or one that nobody pinned. */
enum admin_role admin_tls_role(const struct admin_tls *tls, gnutls_session_t session, char fingerprint[ADMIN_FINGERPRINT_TEXT + 1]);

#endif
