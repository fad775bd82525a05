#include "client/upgrade_tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/upgrade.h"
#include "merkle/sha256.h"
#include "protocol/canonical.h"
#include "ring/clock.h"

#define PRIORITIES                                                                                                                                   \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-256-GCM:"                                           \
    "+CHACHA20-POLY1305:+AES-128-GCM"

static bool fail(struct upgrade_tls *tls, const char *what, const char *text) {
    if (!tls->why[0]) (void)snprintf(tls->why, sizeof tls->why, "%s%s", what, text);
    return false;
}

/* Until the socket is ready for `events`. */
static bool ready(struct upgrade_tls *tls, short events) {
    for (;;) {
        uint64_t now_ms = ring_clock_ms();
        struct pollfd one = {.fd = tls->fd, .events = events};
        if (upgrade_broken_off()) return fail(tls, "broken off", "");
        if (now_ms >= tls->until_ms) return fail(tls, "no answer in time", "");
        if (now_ms - tls->moved_ms >= tls->stall_ms) return fail(tls, "the link stands still", "");
        uint64_t left_ms = tls->until_ms - now_ms;
        if (poll(&one, 1, left_ms < 200 ? (int)left_ms : 200) > 0) return true;
    }
}

static bool address_connect(struct upgrade_tls *tls, const struct addrinfo *one) {
    int error = 0, yes = 1;
    socklen_t error_bytes = sizeof error;
    tls->fd = socket(one->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (tls->fd < 0) return fail(tls, strerror(errno), "");
    (void)setsockopt(tls->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(tls->fd, one->ai_addr, one->ai_addrlen) != 0 && errno != EINPROGRESS) return fail(tls, strerror(errno), "");
    if (!ready(tls, POLLOUT)) return false;
    if (getsockopt(tls->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0) error = errno;
    return error == 0 || fail(tls, strerror(error), "");
}

/* By the first address of that name. */
static bool endpoint_connect(struct upgrade_tls *tls, const struct address_endpoint *endpoint) {
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    (void)snprintf(port, sizeof port, "%u", endpoint->port);
    int error = getaddrinfo(endpoint->host, port, &hints, &found);
    if (error != 0) return fail(tls, gai_strerror(error), "");
    bool good = address_connect(tls, found);
    freeaddrinfo(found);
    return good;
}

/* GnuTLS calls it when the certificate has come; TLS itself then shows that the other side has the key of it. */
static int on_certificate(gnutls_session_t session) {
    struct upgrade_tls *tls = gnutls_session_get_ptr(session);
    unsigned count = 0;
    uint8_t hash[32];
    char hex[65];
    const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &count);
    if (!shown || count == 0) return GNUTLS_E_CERTIFICATE_ERROR;
    sha256_hash(shown[0].data, shown[0].size, hash);
    if (sha256_equal(hash, tls->pin)) return 0;
    canonical_hex_print(hash, sizeof hash, hex);
    tls->stranger = true;
    (void)fail(tls, "another certificate than the pinned one: it shows SHA-256 ", hex);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

static bool handshake(struct upgrade_tls *tls) {
    int error;
    while ((error = gnutls_handshake(tls->session)) != 0) {
        if (gnutls_error_is_fatal(error)) return fail(tls, "no TLS with it: ", gnutls_strerror(error));
        if (!ready(tls, gnutls_record_get_direction(tls->session) ? POLLOUT : POLLIN)) return false;
    }
    return true;
}

bool upgrade_tls_open(struct upgrade_tls *tls, const struct address_endpoint *endpoint, const char *certificate, const char *key) {
    tls->fd = -1;
    tls->moved_ms = ring_clock_ms();
    int error = gnutls_certificate_allocate_credentials(&tls->credentials);
    if (!error) error = gnutls_certificate_set_x509_key_file(tls->credentials, certificate, key, GNUTLS_X509_FMT_PEM);
    if (error < 0) return fail(tls, "this client's certificate and key: ", gnutls_strerror(error));
    if (!endpoint_connect(tls, endpoint)) return false;
    error = gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS | GNUTLS_FORCE_CLIENT_CERT);
    if (!error) error = gnutls_priority_set_direct(tls->session, PRIORITIES, NULL);
    if (!error) error = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
    if (error) return fail(tls, "TLS: ", gnutls_strerror(error));
    gnutls_session_set_ptr(tls->session, tls);
    gnutls_session_set_verify_function(tls->session, on_certificate);
    gnutls_transport_set_int(tls->session, tls->fd);
    return handshake(tls);
}

bool upgrade_tls_write(struct upgrade_tls *tls, const void *bytes, size_t count) {
    for (size_t at = 0; at < count;) {
        ssize_t wrote = gnutls_record_send(tls->session, (const uint8_t *)bytes + at, count - at);
        if (wrote > 0) at += (size_t)wrote, tls->moved_ms = ring_clock_ms();
        else if (wrote != GNUTLS_E_AGAIN && wrote != GNUTLS_E_INTERRUPTED) return fail(tls, "the link broke: ", gnutls_strerror((int)wrote));
        else if (!ready(tls, POLLOUT)) return false;
    }
    return true;
}

long upgrade_tls_read(struct upgrade_tls *tls, void *bytes, size_t count) {
    for (;;) {
        ssize_t got = gnutls_record_recv(tls->session, bytes, count);
        if (got >= 0) return tls->moved_ms = ring_clock_ms(), got;
        if (got == GNUTLS_E_PREMATURE_TERMINATION) return 0; /* the length of the answer says whether it is whole */
        if (gnutls_error_is_fatal((int)got)) return fail(tls, "the link broke: ", gnutls_strerror((int)got)), -1;
        if (!ready(tls, POLLIN)) return -1;
    }
}

bool upgrade_tls_readable(struct upgrade_tls *tls, uint64_t for_ms) {
    struct pollfd one = {.fd = tls->fd, .events = POLLIN};
    return gnutls_record_check_pending(tls->session) > 0 || poll(&one, 1, (int)for_ms) > 0;
}

void upgrade_tls_close(struct upgrade_tls *tls) {
    if (tls->session) {
        if (!tls->why[0]) (void)gnutls_bye(tls->session, GNUTLS_SHUT_WR);
        gnutls_deinit(tls->session);
    }
    if (tls->credentials) gnutls_certificate_free_credentials(tls->credentials);
    if (tls->fd >= 0) (void)close(tls->fd);
    tls->session = NULL;
    tls->credentials = NULL;
    tls->fd = -1;
}
