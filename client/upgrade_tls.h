/*
 * One TLS connection to an admin console, for one exchange (upgrade_console.c): GnuTLS, TLS 1.2 and later, this client's certificate shown.
 *
 * The other side is who the SHA-256 of its certificate says, and nobody else: neither an issuer, nor a name, nor dates are asked, and no session is
 * resumed, so that the certificate is shown each time. It is compared while the handshake goes on; nothing is sent to another.
 *
 * All waits end at until_ms (ring/clock.h), when nothing has moved for stall_ms, and when upgrade_broken_off(). After a failure nothing but
 * upgrade_tls_close() is of use.
 */
#ifndef CLIENT_UPGRADE_TLS_H
#define CLIENT_UPGRADE_TLS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/addresses.h"

enum { UPGRADE_TLS_WHY_BYTES = 200 };

struct upgrade_tls {
    const uint8_t *pin; /* 32 bytes */
    uint64_t until_ms, stall_ms;
    uint64_t moved_ms; /* when something did last */
    int fd; /* -1: none */
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;
    char why[UPGRADE_TLS_WHY_BYTES]; /* after a failure */
    bool stranger;                   /* that failure was another certificate */
};

/* Connects and shakes hands. `certificate` and `key`: PEM files of this client. */
bool upgrade_tls_open(struct upgrade_tls *tls, const struct address_endpoint *endpoint, const char *certificate, const char *key);
bool upgrade_tls_write(struct upgrade_tls *tls, const void *bytes, size_t count);
/* Up to `count` bytes, as they come; 0: the other side has ended; -1: failed. */
long upgrade_tls_read(struct upgrade_tls *tls, void *bytes, size_t count);
/* Comes something within so long? False also when the time is over. */
bool upgrade_tls_readable(struct upgrade_tls *tls, uint64_t for_ms);
void upgrade_tls_close(struct upgrade_tls *tls);

#endif
