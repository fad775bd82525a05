/*
 * A connection out of the admin console, with TLS: to the syslog collector, to other consoles. Nothing waits for longer than the caller says, nor
 * after *ending. Whose certificate is good is the caller's to say, between admin_link_begin() and admin_link_shake().
 */
#ifndef APPLIANCE_ADMIN_LINK_H
#define APPLIANCE_ADMIN_LINK_H

#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct admin_link {
    const atomic_bool *ending;
    gnutls_session_t session; /* NULL: none */
    int fd;                   /* -1: none */
};

/* Connects; NULL, or why not, which lives as long as the thread asks nothing else. */
const char *admin_link_reach(struct admin_link *link, const char *host, const char *port, uint64_t until_ms);
/* The session, no byte sent yet; a GnuTLS error code. */
int admin_link_begin(struct admin_link *link, gnutls_certificate_credentials_t credentials, const char *host);
/* 0: the handshake is done and the certificate is good; else GnuTLS's error. */
int admin_link_shake(struct admin_link *link, uint64_t until_ms);
/* False: not ready for `events` until the time is over, or the end is near. */
bool admin_link_ready(const struct admin_link *link, short events, uint64_t until_ms);
/* All bytes. 0, or GnuTLS's error; GNUTLS_E_TIMEDOUT: it takes nothing. */
int admin_link_send(struct admin_link *link, const char *bytes, size_t count, uint64_t until_ms);
void admin_link_close(struct admin_link *link);

#endif
