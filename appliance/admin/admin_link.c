#include "appliance/admin/admin_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "appliance/admin/admin_tls.h"
#include "ring/clock.h"

enum { WAIT_MS = 200 };

bool admin_link_ready(const struct admin_link *link, short events, uint64_t until_ms) {
    while (!atomic_load(link->ending) && ring_clock_ms() < until_ms) {
        struct pollfd polled = {.fd = link->fd, .events = events};
        if (poll(&polled, 1, WAIT_MS) > 0) return true;
    }
    return false;
}

const char *admin_link_reach(struct admin_link *link, const char *host, const char *port, uint64_t until_ms) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    int error = getaddrinfo(host, port, &hints, &all), failure = ETIMEDOUT;
    if (error == EAI_NONAME || error == EAI_AGAIN) return "its name is not known here (an appliance knows none): write its address in numbers";
    if (error != 0) return gai_strerror(error);
    for (const struct addrinfo *one = all; one != NULL; one = one->ai_next) {
        socklen_t size = sizeof failure;
        link->fd = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (link->fd < 0) continue;
        failure = connect(link->fd, one->ai_addr, one->ai_addrlen) == 0 ? 0 : errno;
        if (failure == EINPROGRESS) {
            failure = ETIMEDOUT;
            if (admin_link_ready(link, POLLOUT, until_ms)) (void)getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
        }
        if (failure == 0) break;
        (void)close(link->fd);
        link->fd = -1;
    }
    freeaddrinfo(all);
    return failure == 0 && link->fd >= 0 ? NULL : strerror(failure);
}

static bool is_literal(const char *host) {
    uint8_t address[16];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* A certificate of ours is shown whatever issuers the other side names: it counts by its hash there. */
int admin_link_begin(struct admin_link *link, gnutls_certificate_credentials_t credentials, const char *host) {
    int error = gnutls_init(&link->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_FORCE_CLIENT_CERT);
    if (error) link->session = NULL;
    if (!error) error = gnutls_priority_set_direct(link->session, ADMIN_TLS_PRIORITIES, NULL);
    if (!error) error = gnutls_credentials_set(link->session, GNUTLS_CRD_CERTIFICATE, credentials);
    if (!error && !is_literal(host)) error = gnutls_server_name_set(link->session, GNUTLS_NAME_DNS, host, strlen(host));
    if (!error) gnutls_transport_set_int(link->session, link->fd);
    return error;
}

int admin_link_shake(struct admin_link *link, uint64_t until_ms) {
    int error;
    while ((error = gnutls_handshake(link->session)) != 0) {
        if (gnutls_error_is_fatal(error)) return error;
        if (!admin_link_ready(link, gnutls_record_get_direction(link->session) ? POLLOUT : POLLIN, until_ms)) return GNUTLS_E_TIMEDOUT;
    }
    return 0;
}

int admin_link_send(struct admin_link *link, const char *bytes, size_t count, uint64_t until_ms) {
    for (size_t at = 0; at < count;) {
        ssize_t wrote = gnutls_record_send(link->session, bytes + at, count - at);
        if (wrote > 0) at += (size_t)wrote;
        if (wrote > 0 || wrote == GNUTLS_E_INTERRUPTED) continue;
        if (wrote != GNUTLS_E_AGAIN) return (int)wrote;
        if (!admin_link_ready(link, POLLOUT, until_ms)) return GNUTLS_E_TIMEDOUT;
    }
    return 0;
}

void admin_link_close(struct admin_link *link) {
    if (link->session != NULL) gnutls_deinit(link->session);
    if (link->fd >= 0) (void)close(link->fd);
    link->session = NULL;
    link->fd = -1;
}
