/* heraclius-admin: /livez, /readyz, /status, /metrics for the nodes of this host. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "appliance/admin.h"
#include "ring/net.h"

enum { HTTP_TIMEOUT_S = 5 }; /* without a byte */

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned code, const char *type, char *text) {
    if (text == NULL) {
        text = strdup("no memory\n");
        code = MHD_HTTP_INTERNAL_SERVER_ERROR;
        type = "text/plain";
    }
    if (text == NULL) return MHD_NO;
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    enum MHD_Result queued = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_bytes, void **state) {
    const struct admin_nodes *nodes = context;
    (void)version;
    (void)upload;
    (void)state;
    if (*upload_bytes != 0) return MHD_NO;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", strdup("GET only\n"));
    if (strcmp(url, "/livez") == 0) return respond(connection, MHD_HTTP_OK, "text/plain", strdup("live\n"));
    if (strcmp(url, "/status") == 0) return respond(connection, MHD_HTTP_OK, "application/json", admin_status_text(nodes));
    if (strcmp(url, "/metrics") == 0) return respond(connection, MHD_HTTP_OK, "text/plain; version=0.0.4", admin_metrics_text(nodes));
    if (strcmp(url, "/readyz") == 0) {
        bool good;
        char *text = admin_ready_text(nodes, &good);
        return respond(connection, good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", text);
    }
    return respond(connection, MHD_HTTP_NOT_FOUND, "text/plain", strdup("there are /livez, /readyz, /status and /metrics\n"));
}

static int usage(FILE *out, int code) {
    (void)fputs("usage: heraclius-admin --listen 127.0.0.1:PORT --sockets PATH...\n"
                "  --listen HOST:PORT  where to serve HTTP; loopback only\n"
                "  --sockets PATH...   control sockets of the nodes\n"
                "  --system FILE       taken for the sake of process lists; not read\n"
                "serves /livez, /readyz, /status, /metrics; ends with SIGTERM; exit 0 ended, 2 usage, 4 the port is taken\n",
                out);
    return code;
}

static bool is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET) return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

int main(int count, char **words) {
    static struct admin_nodes nodes;
    const char *listen_on = NULL;
    bool sockets = false;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--help") == 0) return usage(stdout, 0);
        if (strcmp(words[i], "--listen") == 0 && i + 1 < count)
            listen_on = words[++i];
        else if (strcmp(words[i], "--system") == 0 && i + 1 < count)
            i++;
        else if (strcmp(words[i], "--sockets") == 0)
            sockets = true;
        else if (sockets && words[i][0] != '-' && nodes.count < ADMIN_SOCKETS_MAX)
            nodes.paths[nodes.count++] = words[i];
        else
            return usage(stderr, 2);
    }
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    if (listen_on == NULL || nodes.count == 0 || !net_address_parse(listen_on, &address)) return usage(stderr, 2);
    if (!is_loopback(&address)) {
        (void)fprintf(stderr, "heraclius-admin: --listen %s: only loopback (127.0.0.1, [::1]) is served: put a proxy with TLS before it\n",
                      listen_on);
        return 2;
    }
    sigset_t ending;
    int number = 0;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, &nodes, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT, (unsigned)ADMIN_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_TIMEOUT_S, MHD_OPTION_END); /* not LISTENING_ADDRESS_REUSE: it would let two share one port */
    if (daemon == NULL) {
        (void)fprintf(stderr, "heraclius-admin: cannot listen on %s: is the port in use? stop what uses it, or choose another\n", listen_on);
        return 4;
    }
    (void)sigwait(&ending, &number);
    MHD_stop_daemon(daemon);
    return 0;
}
