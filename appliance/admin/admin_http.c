/* The listeners: libmicrohttpd, one thread each. */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_evidence.h"
#include "ring/clock.h"

struct open {
    int fd;
    uint8_t from[ADMIN_FROM_BYTES]; /* admin_request's */
    size_t same;                    /* how many are open from there */
};

struct admin_listener {
    struct admin_server *server;
    struct MHD_Daemon *daemon;
    bool tls;
    /* Connections in the order in which they came. Only the daemon's thread is here: each is open until it has told of its end. */
    size_t open_count;
    struct open open[ADMIN_CONNECTIONS_MAX];
};

/* A request, and its body as it comes in. */
struct incoming {
    size_t used;
    bool too_long;
    bool streams; /* its body is the task's (admin_task.h) */
    bool has_task, waits;
    char body[ADMIN_BODY_BYTES + 1];
};

static const char *value_of(struct MHD_Connection *connection, enum MHD_ValueKind kind, const char *name) {
    const char *value = MHD_lookup_connection_value(connection, kind, name);
    return value != NULL ? value : "";
}

static void header_put(struct MHD_Response *response, const char *name, const char *value) {
    if (value != NULL && value[0] != '\0') (void)MHD_add_response_header(response, name, value);
}

static struct MHD_Response *response_of(const struct admin_answer *answer) {
    struct admin_evidence *streamed = answer->streamed;
    if (streamed != NULL)
        return MHD_create_response_from_callback(streamed->bytes, CONTROL_PIECE_BYTES, admin_evidence_read, streamed, admin_evidence_free);
    if (answer->text != NULL) return MHD_create_response_from_buffer(strlen(answer->text), answer->text, MHD_RESPMEM_MUST_FREE);
    return MHD_create_response_from_buffer(answer->fixed_bytes, (void *)(uintptr_t)answer->fixed, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result respond(struct MHD_Connection *connection, struct admin_answer *answer, bool tls) {
    static char nothing[] = "no memory\n";
    if (answer->text == NULL && answer->fixed == NULL && answer->streamed == NULL)
        *answer =
            (struct admin_answer){.code = MHD_HTTP_INTERNAL_SERVER_ERROR, .type = "text/plain", .fixed = nothing, .fixed_bytes = sizeof nothing - 1};
    struct MHD_Response *response = response_of(answer);
    if (response == NULL) {
        admin_evidence_free(answer->streamed);
        free(answer->text);
        return MHD_NO;
    }
    header_put(response, "Content-Type", answer->type);
    header_put(response, "Cache-Control", "no-store");
    header_put(response, "X-Content-Type-Options", "nosniff");
    header_put(response, "Referrer-Policy", "same-origin"); /* with no-referrer a form of our own would come from origin "null" */
    header_put(response, "Cross-Origin-Opener-Policy", "same-origin");
    header_put(response, "Cross-Origin-Resource-Policy", "same-origin");
    header_put(response, "Content-Security-Policy",
               "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
               "frame-ancestors 'none'");
    if (tls) header_put(response, "Strict-Transport-Security", "max-age=31536000");
    header_put(response, "Set-Cookie", answer->cookie);
    header_put(response, "Location", answer->location);
    header_put(response, "Allow", answer->allow);
    if (answer->saved_as != NULL) {
        char disposition[CONTROL_EVIDENCE_NAME_MAX + 32];
        (void)snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", answer->saved_as);
        header_put(response, "Content-Disposition", disposition);
    }
    enum MHD_Result queued = MHD_queue_response(connection, answer->code, response);
    MHD_destroy_response(response);
    return queued;
}

static gnutls_session_t session_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info != NULL ? (gnutls_session_t)info->tls_session : NULL;
}

static int socket_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? (int)info->connect_fd : -1;
}

/* In `text` the address as it is. */
static void from_of(struct MHD_Connection *connection, uint8_t from[ADMIN_FROM_BYTES], char text[INET6_ADDRSTRLEN]) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info != NULL ? info->client_addr : NULL;
    memset(from, 0, ADMIN_FROM_BYTES);
    text[0] = '\0';
    if (address != NULL && address->sa_family == AF_INET) {
        const struct in_addr *of = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
        memcpy(from + 12, of, 4);
        (void)inet_ntop(AF_INET, of, text, INET6_ADDRSTRLEN);
    } else if (address != NULL && address->sa_family == AF_INET6) {
        const struct in6_addr *of = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(of);
        memcpy(mapped ? from + 12 : from, mapped ? of->s6_addr + 12 : of->s6_addr, mapped ? 4 : 8);
        (void)inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? of->s6_addr + 12 : of->s6_addr, text, INET6_ADDRSTRLEN);
    }
}

static struct admin_request request_of(const struct admin_listener *listener, struct MHD_Connection *connection, const char *url, const char *method,
                                       const char *body) {
    struct admin_request request = {.server = listener->server, .method = method, .path = url, .tls = listener->tls, .body = body};
    request.host = value_of(connection, MHD_HEADER_KIND, "Host");
    request.origin = value_of(connection, MHD_HEADER_KIND, "Origin");
    request.content_type = value_of(connection, MHD_HEADER_KIND, "Content-Type");
    request.content_length = value_of(connection, MHD_HEADER_KIND, "Content-Length");
    request.csrf_given = value_of(connection, MHD_HEADER_KIND, "X-CSRF-Token");
    request.cookie = value_of(connection, MHD_COOKIE_KIND, ADMIN_COOKIE);
    request.newest = value_of(connection, MHD_GET_ARGUMENT_KIND, "newest");
    request.node = value_of(connection, MHD_GET_ARGUMENT_KIND, "node");
    request.file = value_of(connection, MHD_GET_ARGUMENT_KIND, "file");
    from_of(connection, request.from, request.address);
    gnutls_session_t session = listener->tls ? session_of(connection) : NULL;
    if (session != NULL) request.certificate_role = admin_tls_role(&listener->server->tls, session, request.certificate);
    return request;
}

/* As many more, or fewer, from there. */
static size_t open_same(struct admin_listener *listener, const uint8_t from[16], bool more) {
    size_t count = 0;
    for (size_t i = 0; i < listener->open_count; i++) {
        struct open *one = &listener->open[i];
        if (memcmp(one->from, from, sizeof one->from) != 0) continue;
        one->same = more ? one->same + 1 : one->same - 1;
        count++;
    }
    return count;
}

static void open_remove(struct admin_listener *listener, size_t at) {
    const struct open gone = listener->open[at];
    memmove(listener->open + at, listener->open + at + 1, (--listener->open_count - at) * sizeof listener->open[0]);
    (void)open_same(listener, gone.from, false);
}

/* The connection is not among those that a flood of new ones ends. */
static void open_forget(struct admin_listener *listener, int fd) {
    for (size_t i = 0; i < listener->open_count; i++) {
        if (listener->open[i].fd != fd) continue;
        open_remove(listener, i);
        return;
    }
}

/* A new one. When there are many, the oldest of whoever has most goes: it reads its end now, and is closed by the loop. Who floods ends his own. */
static void open_add(struct admin_listener *listener, struct MHD_Connection *connection, int fd) {
    size_t worst = 0;
    if (listener->open_count >= ADMIN_CONNECTIONS_FULL) {
        for (size_t i = 1; i < listener->open_count; i++) {
            if (listener->open[i].same > listener->open[worst].same) worst = i;
        }
        (void)shutdown(listener->open[worst].fd, SHUT_RDWR);
        open_remove(listener, worst);
    }
    struct open one = {.fd = fd};
    char text[INET6_ADDRSTRLEN];
    from_of(connection, one.from, text);
    one.same = open_same(listener, one.from, true) + 1;
    listener->open[listener->open_count++] = one;
}

static void resume(void *context) {
    MHD_resume_connection(context);
}

/* Sets the request aside; it comes here once more when init has answered. */
static enum MHD_Result wait_for_init(struct admin_listener *listener, struct MHD_Connection *connection, struct incoming *incoming) {
    incoming->waits = true;
    MHD_suspend_connection(connection);
    admin_task_ask(listener->server, resume, connection);
    return MHD_YES;
}

static enum MHD_Result answer_whole(struct admin_listener *listener, struct MHD_Connection *connection, const char *url, const char *method,
                                    struct incoming *incoming) {
    struct admin_request request = request_of(listener, connection, url, method, incoming->body);
    struct admin_answer answer;
    if (incoming->too_long || strlen(incoming->body) != incoming->used)
        answer = admin_answer_error(MHD_HTTP_CONTENT_TOO_LARGE, "a body of at most 4096 bytes, none of them zero");
    else
        answer = admin_answer_make(&request);
    incoming->has_task = answer.waits;
    return answer.waits ? wait_for_init(listener, connection, incoming) : respond(connection, &answer, listener->tls);
}

/* The head alone. Of a body that streams the head is judged before any of it is read. */
static enum MHD_Result begin(struct admin_listener *listener, struct MHD_Connection *connection, const char *url, const char *method, void **state) {
    struct incoming *incoming = *state = calloc(1, sizeof *incoming);
    if (incoming == NULL) return MHD_NO;
    incoming->streams = admin_answer_streams(method, url);
    if (!incoming->streams) return MHD_YES;
    struct admin_request request = request_of(listener, connection, url, method, "");
    struct admin_answer refusal = admin_answer_make(&request);
    if (refusal.code != 0) return respond(connection, &refusal, listener->tls);
    incoming->has_task = true;
    open_forget(listener, socket_of(connection));
    return MHD_YES;
}

static enum MHD_Result body_take(struct incoming *incoming, const char *upload, size_t bytes) {
    if (incoming->used + bytes <= ADMIN_BODY_BYTES) {
        memcpy(incoming->body + incoming->used, upload, bytes);
        incoming->used += bytes;
        return MHD_YES;
    }
    if (incoming->too_long) return MHD_NO; /* goes on and on */
    incoming->too_long = true;
    return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_bytes, void **state) {
    struct admin_listener *listener = context;
    struct incoming *incoming = *state;
    size_t bytes = *upload_bytes;
    (void)version;
    if (incoming == NULL) return begin(listener, connection, url, method, state);
    if (incoming->waits) {
        struct admin_answer answer = admin_task_answer(listener->server);
        return respond(connection, &answer, listener->tls);
    }
    *upload_bytes = 0;
    if (incoming->streams && bytes == 0) return wait_for_init(listener, connection, incoming);
    if (incoming->streams) return admin_task_take(listener->server, upload, bytes, ring_clock_ms()) ? MHD_YES : MHD_NO;
    return bytes == 0 ? answer_whole(listener, connection, url, method, incoming) : body_take(incoming, upload, bytes);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code) {
    struct admin_listener *listener = context;
    const struct incoming *incoming = *state;
    (void)connection;
    (void)code;
    if (incoming != NULL && incoming->has_task) admin_task_end(listener->server);
    free(*state);
    *state = NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **of_socket, enum MHD_ConnectionNotificationCode code) {
    struct admin_listener *listener = context;
    int fd = socket_of(connection);
    (void)of_socket;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        if (listener->tls && listener->server->tls.pins_count > 0 && session_of(connection) != NULL) admin_tls_ask(session_of(connection));
        open_add(listener, connection, fd);
        return;
    }
    open_forget(listener, fd);
}

/* An address that no link has yet (its cable comes later, DHCP has not answered) is bound all the same, and served as soon as it is there. */
static bool bind_even_if_away(int fd, const struct sockaddr_storage *address) {
    const int on = 1, off = 0;
    bool v6 = address->ss_family == AF_INET6, any = v6 && IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);
    socklen_t size = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    /* Of connections of the program before this one; two cannot share a port by it. "[::]" is every address, of IPv4 too. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return false;
    if (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof on) != 0) return false;
    if (bind(fd, (const struct sockaddr *)address, size) == 0) return true;
    if (errno != EADDRNOTAVAIL) return false;
    if (setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof on) != 0) return false;
    if (bind(fd, (const struct sockaddr *)address, size) != 0) return false;
    (void)printf("no link of this machine has the address to listen at: it is served as soon as one has\n");
    (void)fflush(stdout);
    return true;
}

static int listening_socket(const struct sockaddr_storage *address) {
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (bind_even_if_away(fd, address) && listen(fd, SOMAXCONN) == 0)) return fd;
    (void)close(fd);
    return -1;
}

struct admin_listener *admin_listen(struct admin_server *server, const struct sockaddr_storage *address, bool tls) {
    struct admin_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) return NULL;
    listener->server = server;
    listener->tls = tls;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_ALLOW_SUSPEND_RESUME;
    const struct MHD_OptionItem secure[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, server->tls.certificate},
                                            {MHD_OPTION_HTTPS_MEM_KEY, 0, server->tls.key},
                                            {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)ADMIN_TLS_PRIORITIES},
                                            {MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    if (tls) flags |= MHD_USE_TLS;
    int fd = listening_socket(address);
    if (fd >= 0) /* and then it is the daemon's */
        listener->daemon =
            MHD_start_daemon(flags, 0, NULL, NULL, on_request, listener, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)ADMIN_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ADMIN_SILENT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         (size_t)ADMIN_HEAD_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
                         listener, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, tls ? secure : plain, MHD_OPTION_END);
    if (listener->daemon != NULL) return listener;
    free(listener);
    return NULL;
}

void admin_listen_end(struct admin_listener *listener) {
    if (listener == NULL) return;
    admin_task_quiet(listener->server); /* a request that is set aside cannot be ended */
    MHD_stop_daemon(listener->daemon);
    free(listener);
}
