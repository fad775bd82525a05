/*
 * heraclius-admin from where libmicrohttpd calls it (appliance/admin/admin_http.c) down to the handlers, with a node and an init that answer
 * whatever they like. This file is the library: it hands heads and bodies over in pieces, in the order of a script, sets requests aside, breaks
 * them off, reads answers to their end. No byte is sent but to node and init, which are sockets.
 *
 * A script is steps, each a byte and what follows; bits 3, 4 of the byte: one of four connections, of which 0 to 2 have TLS.
 *
 *   0  answer   a byte: which (enum said); its text, ended by a zero
 *   1  head     four bytes: method, path, bits of the sender, bits of what else is there; then texts, each ended by a zero: path, if the byte
 *               names none, and those of enum text that are there
 *   2  body     a byte: count; as many bytes; bits 5 to 7 of the step: handed over so often, 1 to 128 times
 *   3  end      of the body: the request is whole
 *   4  broken   the connection ends
 *   5  flood    a byte: so many connections; a byte: from where
 *   6  claim    as a body: a claim or a card that is good but for one byte: node, number, place, what is changed there
 *   7  init     answers what it was asked on behalf of a request that was set aside
 *
 * Every whole request is answered once, and never for lack of memory; nobody who has no role sees more than the form to pair; init is asked to do
 * only what a sender with that role, by TLS and with the CSRF token, asked for, and is given what was uploaded, byte for byte. JSON is JSON, metrics
 * are such that a scrape goes through, and nothing that anybody said is markup of the page. Tokens and codes are in no answer.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_exposure.h"
#include "merkle/check.h"
#include "protocol/claim.h"
#include "ring/clock.h"
#include "tests/fuzz/admin_text.h"
#include "tests/protocol/identity_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SCRIPTED = 4, CONNECTIONS = ADMIN_CONNECTIONS_MAX + SCRIPTED, FD_FIRST = 1 << 20, NODES = 2 };
enum { TEXT_BYTES = 4096, UPLOAD_BYTES = 1 << 16, STEPS_MAX = 64 };

/* What the node says to each question, and init; and the status of a second node, which is there once it is said. */
enum said { SAID_STATUS, SAID_READY, SAID_METRICS, SAID_EVIDENCE, SAID_PIECE, SAID_INIT_STATUS, SAID_INIT_LOG, SAID_INIT_DONE, SAID_OTHER, SAIDS };
static char *said[SAIDS];

enum text { TEXT_HOST, TEXT_ORIGIN, TEXT_TYPE, TEXT_LENGTH, TEXT_CSRF, TEXT_COOKIE, TEXT_NEWEST, TEXT_NODE, TEXT_FILE, TEXTS };
/* By which libmicrohttpd is asked for them. */
static const struct {
    enum MHD_ValueKind kind;
    const char *name;
} names[TEXTS] = {{MHD_HEADER_KIND, "Host"},         {MHD_HEADER_KIND, "Origin"},          {MHD_HEADER_KIND, "Content-Type"},
                  {MHD_HEADER_KIND, "Content-Length"}, {MHD_HEADER_KIND, "X-CSRF-Token"},  {MHD_COOKIE_KIND, ADMIN_COOKIE},
                  {MHD_GET_ARGUMENT_KIND, "newest"}, {MHD_GET_ARGUMENT_KIND, "node"},      {MHD_GET_ARGUMENT_KIND, "file"}};

static const char *const paths[] = {"/livez", "/readyz", "/status", "/metrics", "/", "/page.js", "/page.css", "/icon.svg", "/pair",
                                    "/api/v1/openapi.json", "/api/v1/pairing", "/api/v1/session", "/api/v1/session/end", "/api/v1/nodes",
                                    "/api/v1/clusters", "/api/v1/peers", "/api/v1/history", "/api/v1/queues", "/api/v1/faults", "/api/v1/evidence",
                                    "/api/v1/evidence/file", "/api/v1/exposure", "/api/v1/audit", "/api/v1/support", "/api/v1/claims",
                                    "/api/v1/actions/restart", "/api/v1/actions/reboot", "/api/v1/actions/halt", "/api/v1/actions/rollback",
                                    "/api/v1/upgrade"};
static const char *const methods[] = {"GET", "POST", "HEAD", "PUT"};
enum { PATHS = sizeof paths / sizeof paths[0], METHODS = sizeof methods / sizeof methods[0] };

struct MHD_Connection {
    int fd;
    bool open, tls, asked, whole, suspended, resumed; /* asked: a head was handed over, and its end was not told of */
    struct sockaddr_storage from;
    union MHD_ConnectionInfo info;
    void *state;
    char texts[TEXTS][TEXT_BYTES], path[TEXT_BYTES];
    const char *method;
    enum admin_role role, certificate; /* the most that its sender can have */
    bool token;                        /* its sender has the CSRF token */
    char uploaded[UPLOAD_BYTES];
    size_t uploaded_bytes;
    unsigned answers;
    struct MHD_Response *answer;
    unsigned code;
};

struct MHD_Response {
    char *bytes;
    size_t count;
    MHD_ContentReaderCallback reader;
    MHD_ContentReaderFreeCallback free_reader;
    void *context;
    enum MHD_ResponseMemoryMode mode;
    char type[TEXT_BYTES];
};

struct MHD_Daemon {
    MHD_AccessHandlerCallback handler;
    MHD_RequestCompletedCallback completed;
    MHD_NotifyConnectionCallback connection;
    void *context;
} daemons[2]; /* plain, TLS */
static unsigned daemons_count;

static struct MHD_Connection connections[CONNECTIONS];
static struct MHD_Connection *waiting; /* the one that is set aside */
static int init_job = -1;              /* the connection on which init has been asked for it */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, said_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static struct admin_nodes nodes;
static struct admin_server server = {.nodes = &nodes, .code_by_file_alone = true};
static struct fixture *fixture;
static char folder[64], claims[96], node_path[96], other_path[96], init_path[96], pairing[96];
static const char code_shown[] = "4073910528";
static struct admin_session sessions[ADMIN_ROLES]; /* one of each role */
static bool claims_done; /* one was taken */

/* ---- the library ---- */

const char *MHD_get_version(void) {
    return "0";
}

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind, const char *name) {
    for (int i = 0; i < TEXTS; i++) {
        if (names[i].kind == kind && strcmp(names[i].name, name) == 0) return connection->texts[i][0] != '\0' ? connection->texts[i] : NULL;
    }
    CHECK(false && "a value that no script has");
}

static struct MHD_Response *response_new(size_t count, void *bytes, enum MHD_ResponseMemoryMode mode) {
    struct MHD_Response *response = calloc(1, sizeof *response);
    CHECK(response != NULL);
    response->count = count;
    response->bytes = bytes;
    response->mode = mode;
    return response;
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *buffer, enum MHD_ResponseMemoryMode mode) {
    return response_new(size, buffer, mode);
}

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block_size, MHD_ContentReaderCallback reader, void *context,
                                                       MHD_ContentReaderFreeCallback free_reader) {
    struct MHD_Response *response = response_new(size, NULL, MHD_RESPMEM_PERSISTENT);
    CHECK(size > 0 && block_size > 0);
    response->reader = reader;
    response->free_reader = free_reader;
    response->context = context;
    return response;
}

/* As libmicrohttpd takes them, and no two lines of one. */
enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *header, const char *content) {
    for (const char *at = content; *at != '\0'; at++) CHECK((unsigned char)*at >= ' ' && *at != 0x7F);
    if (strcmp(header, "Content-Type") == 0) (void)snprintf(response->type, sizeof response->type, "%s", content);
    return MHD_YES;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned int status_code, struct MHD_Response *response) {
    CHECK(connection->asked && connection->answers++ == 0 && !connection->suspended);
    connection->code = status_code;
    connection->answer = response;
    return MHD_YES;
}

void MHD_destroy_response(struct MHD_Response *response) { /* of two owners; the one that is left is the connection */
    CHECK(response != NULL);
}

static void response_end(struct MHD_Response *response) {
    if (response->free_reader != NULL) response->free_reader(response->context);
    if (response->mode == MHD_RESPMEM_MUST_FREE) free(response->bytes);
    free(response);
}

static const union MHD_ConnectionInfo *info_of(struct MHD_Connection *connection, enum MHD_ConnectionInfoType type) {
    switch (type) {
    case MHD_CONNECTION_INFO_CONNECTION_FD: connection->info.connect_fd = connection->fd; break;
    case MHD_CONNECTION_INFO_CLIENT_ADDRESS: connection->info.client_addr = (struct sockaddr *)&connection->from; break;
    default:
        if (!connection->tls) return NULL;
        connection->info.tls_session = connection; /* stands for it, in gnutls_certificate_get_peers() too */
    }
    return &connection->info;
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection, enum MHD_ConnectionInfoType info_type, ...) {
    return info_of(connection, info_type);
}

void MHD_suspend_connection(struct MHD_Connection *connection) {
    CHECK(connection->asked && !connection->suspended && waiting == NULL);
    connection->suspended = true;
    waiting = connection;
}

void MHD_resume_connection(struct MHD_Connection *connection) {
    pthread_mutex_lock(&lock);
    CHECK(connection == waiting && connection->suspended);
    connection->resumed = true;
    (void)pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

struct MHD_Daemon *MHD_start_daemon(unsigned int flags, uint16_t port, MHD_AcceptPolicyCallback apc, void *apc_cls, MHD_AccessHandlerCallback dh,
                                    void *dh_cls, ...) {
    struct MHD_Daemon *fresh = &daemons[daemons_count++];
    va_list options;
    CHECK(port == 0 && apc == NULL && apc_cls == NULL && (flags & MHD_ALLOW_SUSPEND_RESUME) != 0);
    *fresh = (struct MHD_Daemon){.handler = dh, .context = dh_cls};
    va_start(options, dh_cls);
    for (int option; (option = va_arg(options, int)) != MHD_OPTION_END;) {
        if (option == MHD_OPTION_NOTIFY_COMPLETED) fresh->completed = va_arg(options, MHD_RequestCompletedCallback);
        if (option == MHD_OPTION_NOTIFY_CONNECTION) fresh->connection = va_arg(options, MHD_NotifyConnectionCallback);
        switch (option) {
        case MHD_OPTION_LISTEN_SOCKET:
        case MHD_OPTION_STRICT_FOR_CLIENT: (void)va_arg(options, int); break;
        case MHD_OPTION_CONNECTION_LIMIT:
        case MHD_OPTION_CONNECTION_TIMEOUT: (void)va_arg(options, unsigned); break;
        case MHD_OPTION_CONNECTION_MEMORY_LIMIT: (void)va_arg(options, size_t); break;
        default: (void)va_arg(options, void *);
        }
    }
    va_end(options);
    return fresh;
}

void MHD_stop_daemon(struct MHD_Daemon *daemon) {
    (void)daemon; /* this one goes on to the end of the process */
}

/* ---- TLS: who showed which certificate ---- */

const gnutls_datum_t *gnutls_certificate_get_peers(gnutls_session_t session, unsigned int *list_size) {
    static const char *const shown[ADMIN_ROLES] = {"nobody's", "view", "operate", "own"};
    static gnutls_datum_t certificate;
    const struct MHD_Connection *connection = (const void *)session;
    if (connection->certificate == ADMIN_NOBODY) return NULL;
    certificate.data = (unsigned char *)(uintptr_t)shown[connection->certificate];
    certificate.size = (unsigned)strlen(shown[connection->certificate]);
    *list_size = 1;
    return &certificate;
}

/* ---- init ---- */

/* Nothing is done for anybody else. */
static void doing_check(const struct MHD_Connection *connection, const char *question) {
    static const char restart[] = "restart ";
    bool restarts = strncmp(question, restart, sizeof restart - 1) == 0;
    CHECK(connection != NULL && connection->tls && connection->token && strcmp(connection->method, "POST") == 0);
    CHECK(connection->role >= (restarts ? ADMIN_OPERATE : ADMIN_OWN));
    CHECK(!restarts || connection->role == ADMIN_OWN || strcmp(question, "restart node sure") == 0);
}

static const struct MHD_Connection *served; /* whose request is being answered */

static void upload_check(const struct MHD_Connection *connection, int fd) {
    static char given[UPLOAD_BYTES];
    CHECK((fd >= 0) == (strcmp(connection->path, "/api/v1/upgrade") == 0));
    if (fd < 0) return;
    CHECK(pread(fd, given, connection->uploaded_bytes, 0) == (ssize_t)connection->uploaded_bytes);
    CHECK(memcmp(given, connection->uploaded, connection->uploaded_bytes) == 0);
    (void)close(fd);
}

static void init_answer(int fd, enum said which) {
    pthread_mutex_lock(&said_lock);
    size_t count = strlen(said[which]);
    bool busy = strncmp(said[which], "error busy", 10) == 0; /* then it would be asked again, for seconds */
    if (count > 0 && !busy) (void)!send(fd, said[which], count, MSG_NOSIGNAL); /* one that is too long for a packet is none */
    pthread_mutex_unlock(&said_lock);
    (void)close(fd);
}

/* What takes it long is answered when the script says so. */
static void init_serve(int fd) {
    char question[128] = "";
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {question, sizeof question - 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    int given = -1;
    CHECK(recvmsg(fd, &message, MSG_CMSG_CLOEXEC) > 0);
    if (CMSG_FIRSTHDR(&message) != NULL) memcpy(&given, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof given);
    bool looks = strcmp(question, "status") == 0, logs = strncmp(question, "log ", 4) == 0 || strncmp(question, "kmsg ", 5) == 0;
    bool long_job = strcmp(question, "upgrade") == 0 || strcmp(question, "rollback sure") == 0;
    if (long_job) {
        doing_check(waiting, question);
        upload_check(waiting, given);
        pthread_mutex_lock(&lock);
        init_job = fd;
        (void)pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        return;
    }
    if (!looks && !logs) doing_check(served, question);
    init_answer(fd, looks ? SAID_INIT_STATUS : logs ? SAID_INIT_LOG : SAID_INIT_DONE);
}

static void *init_run(void *listening) {
    for (;;) {
        int fd = accept((int)(intptr_t)listening, NULL, NULL);
        CHECK(fd >= 0);
        init_serve(fd);
    }
}

/* ---- the node ---- */

static void node_answer(int fd, bool other) {
    static const char *const words[] = {"\"status\"", "\"ready\"", "\"metrics\"", "\"file\"", "\"evidence\""};
    static const enum said which[] = {SAID_STATUS, SAID_READY, SAID_METRICS, SAID_PIECE, SAID_EVIDENCE};
    char line[512];
    ssize_t got = recv(fd, line, sizeof line - 1, 0);
    CHECK(got > 0 && line[got - 1] == '\n');
    line[got] = '\0';
    json_t *question = json_loads(line, 0, NULL); /* whatever a sender asked for */
    CHECK(json_is_object(question) && memchr(line, '\n', (size_t)got - 1) == NULL);
    json_decref(question);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strstr(line, words[i]) == NULL) continue;
        pthread_mutex_lock(&said_lock);
        char *text = said[other && which[i] == SAID_STATUS ? SAID_OTHER : which[i]];
        struct iovec parts[] = {{text, strlen(text)}, {(void *)(uintptr_t)"\n", 1}};
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        if (text[0] != '\0') (void)!sendmsg(fd, &message, MSG_NOSIGNAL); /* whoever asked may have heard enough */
        pthread_mutex_unlock(&said_lock);
        return;
    }
}

static void node_serve(int listening, bool other) {
    for (;;) {
        int fd = accept(listening, NULL, NULL);
        CHECK(fd >= 0);
        node_answer(fd, other);
        (void)close(fd);
    }
}

static void *node_run(void *listening) {
    node_serve((int)(intptr_t)listening, false);
    return NULL;
}

static void *other_run(void *listening) {
    node_serve((int)(intptr_t)listening, true);
    return NULL;
}

/* ---- what an answer must be ---- */

static bool is_open(const char *path) {
    static const char *const open_to_all[] = {"/livez", "/", "/page.js", "/page.css", "/icon.svg", "/pair", "/api/v1/openapi.json", "/api/v1/pairing",
                                              "/api/v1/session"};
    for (size_t i = 0; i < sizeof open_to_all / sizeof open_to_all[0]; i++) {
        if (strcmp(path, open_to_all[i]) == 0) return true;
    }
    return false;
}

/* What is in no answer, unless the script has a node, or init, say it: a code, tokens, and that the audit log cannot be written, which it can. */
enum { UNSAID = ADMIN_ROLES + 1 };
static const char *const unsaid[UNSAID] = {code_shown, sessions[ADMIN_VIEW].token, sessions[ADMIN_OPERATE].token, sessions[ADMIN_OWN].token,
                                           "audit log cannot be written"};
static bool said_by_script[UNSAID];

static void text_check(const struct MHD_Connection *connection, const char *text, size_t count) {
    const char *type = connection->answer->type;
    for (size_t i = 0; i < UNSAID; i++) CHECK(said_by_script[i] || strstr(text, unsaid[i]) == NULL);
    CHECK(strlen(text) == count || strcmp(type, "application/octet-stream") == 0);
    if (strcmp(type, "application/json") == 0) {
        json_t *value = json_loadb(text, count, JSON_REJECT_DUPLICATES, NULL);
        CHECK(json_is_object(value));
        json_decref(value);
    }
    if (strncmp(type, "text/html", 9) == 0) admin_text_page(text);
    if (strcmp(connection->path, "/metrics") == 0 && connection->code == 200) admin_text_metrics(text);
}

static void answer_check(const struct MHD_Connection *connection) {
    bool good = connection->code < 300, stranger = connection->tls && connection->role == ADMIN_NOBODY;
    bool post = strcmp(connection->method, "POST") == 0;
    if (connection->code == 500) (void)fprintf(stderr, "%s %s: %.200s\n", connection->method, connection->path, connection->answer->bytes);
    CHECK(connection->code >= 200 && connection->code < 600 && connection->code != 500 && connection->answer->type[0] != '\0');
    if (stranger && good) CHECK(is_open(connection->path));
    if (post && good) CHECK(connection->tls && (is_open(connection->path) || (!stranger && connection->token)));
    if (strcmp(connection->method, "PUT") == 0) CHECK(connection->code >= 400);
    if (connection->answer->reader != NULL) CHECK(connection->role >= ADMIN_OPERATE || !connection->tls);
}

/* As a browser reads it that takes at most so much at a time; what breaks off breaks off. */
static void answer_read(const struct MHD_Connection *connection) {
    static char text[1 << 20];
    struct MHD_Response *response = connection->answer;
    size_t used = 0;
    while (response->reader != NULL && used < response->count && used < sizeof text - 1) {
        size_t left = response->count - used, room = sizeof text - 1 - used;
        ssize_t got = response->reader(response->context, used, text + used, left < room ? left : room);
        CHECK(got == MHD_CONTENT_READER_END_WITH_ERROR || (got > 0 && (size_t)got <= left));
        if (got < 0) break;
        used += (size_t)got;
    }
    text[used] = '\0';
    if (response->reader != NULL) return text_check(connection, text, used);
    if (response->mode == MHD_RESPMEM_MUST_FREE) text_check(connection, response->bytes, response->count);
}

/* ---- connections ---- */

static struct MHD_Daemon *daemon_of(const struct MHD_Connection *connection) {
    return &daemons[connection->tls];
}

static void request_end(struct MHD_Connection *connection, enum MHD_RequestTerminationCode code) {
    const struct MHD_Daemon *daemon = daemon_of(connection);
    if (!connection->asked) return;
    CHECK(!connection->suspended);
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK) CHECK(connection->answers == 1);
    daemon->completed(daemon->context, connection, &connection->state, code);
    CHECK(connection->state == NULL);
    if (connection->answer != NULL) response_end(connection->answer);
    connection->answer = NULL;
    connection->answers = 0;
    connection->asked = connection->whole = false;
}

static void init_let(void);

static void connection_end(struct MHD_Connection *connection) {
    const struct MHD_Daemon *daemon = daemon_of(connection);
    void *of_socket = NULL;
    if (connection->suspended) init_let();
    if (!connection->open) return;
    request_end(connection, MHD_REQUEST_TERMINATED_CLIENT_ABORT);
    connection->open = false;
    daemon->connection(daemon->context, connection, &of_socket, MHD_CONNECTION_NOTIFY_CLOSED);
}

/* The server shuts the socket of one; its loop sees that at its next turn. */
static struct MHD_Connection *shut;
int shutdown(int fd, int how) {
    CHECK(fd >= FD_FIRST && fd < FD_FIRST + CONNECTIONS && how == SHUT_RDWR && shut == NULL);
    shut = &connections[fd - FD_FIRST];
    CHECK(shut->open);
    return 0;
}

static void connection_begin(struct MHD_Connection *connection, bool tls, uint8_t from) {
    const struct MHD_Daemon *daemon = &daemons[tls];
    void *of_socket = NULL;
    unsigned count = 0;
    connection->tls = tls;
    connection->fd = FD_FIRST + (int)(connection - connections);
    memset(&connection->from, 0, sizeof connection->from);
    if (from % 4 == 0) {
        *(struct sockaddr_in *)(void *)&connection->from = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7F000000u | from)};
    } else if (from % 4 < 3) {
        struct sockaddr_in6 *six = (void *)&connection->from;
        six->sin6_family = AF_INET6;
        CHECK(inet_pton(AF_INET6, from % 4 == 1 ? "::ffff:127.0.0.0" : "2001:db8::1", &six->sin6_addr) == 1);
        six->sin6_addr.s6_addr[from % 4 == 1 ? 15 : 7] = from;
    } /* else of a family that is none of the two */
    connection->open = true;
    shut = NULL;
    daemon->connection(daemon->context, connection, &of_socket, MHD_CONNECTION_NOTIFY_STARTED);
    if (shut != NULL) connection_end(shut);
    for (size_t i = 0; i < CONNECTIONS; i++) count += connections[i].open && connections[i].tls == tls;
    CHECK(count <= ADMIN_CONNECTIONS_FULL + SCRIPTED); /* those that uploaded are not among the ones that are ended */
}

static void flood(unsigned count, uint8_t from) {
    for (size_t i = SCRIPTED; i < CONNECTIONS && count > 0; i++) {
        if (connections[i].open) continue;
        connection_begin(&connections[i], true, from);
        count--;
    }
}

/* ---- requests ---- */

static enum MHD_Result hand_over(struct MHD_Connection *connection, const char *bytes, size_t count) {
    const struct MHD_Daemon *daemon = daemon_of(connection);
    size_t left = count;
    served = connection;
    enum MHD_Result result = daemon->handler(daemon->context, connection, connection->path, connection->method, "HTTP/1.1",
                                             count > 0 ? bytes : NULL, &left, &connection->state);
    served = NULL;
    CHECK(left == 0);
    return result;
}

/* What libmicrohttpd does after each call. */
static void go_on(struct MHD_Connection *connection, enum MHD_Result result) {
    if (result == MHD_NO) return connection_end(connection);
    if (connection->suspended || (connection->answer == NULL && !connection->whole)) return;
    CHECK(connection->answer != NULL);
    answer_check(connection);
    answer_read(connection);
    claims_done = claims_done || (strcmp(connection->path, "/api/v1/claims") == 0 && connection->code == 200);
    request_end(connection, MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

/* init answers, and the request that was set aside is answered. */
static void init_let(void) {
    struct MHD_Connection *connection = waiting;
    if (connection == NULL) return;
    pthread_mutex_lock(&lock);
    while (!connection->resumed && init_job < 0) (void)pthread_cond_wait(&changed, &lock); /* resumed unasked: the disk took nothing */
    if (init_job >= 0) init_answer(init_job, SAID_INIT_DONE);
    init_job = -1;
    while (!connection->resumed) (void)pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    waiting = NULL;
    connection->suspended = connection->resumed = false;
    go_on(connection, hand_over(connection, NULL, 0));
}

struct script {
    const uint8_t *at, *end;
};

static uint8_t byte_take(struct script *script) {
    return script->at < script->end ? *script->at++ : 0;
}

static void text_take(struct script *script, char *out, size_t size) {
    size_t left = (size_t)(script->end - script->at);
    const uint8_t *end = left > 0 ? memchr(script->at, 0, left) : NULL;
    size_t count = end != NULL ? (size_t)(end - script->at) : left, kept = count < size ? count : size - 1;
    if (kept > 0) memcpy(out, script->at, kept);
    out[kept] = '\0';
    script->at += count + (end != NULL);
}

/* bits 0, 1: a session of that role, or none; bit 2: the cookie is the script's; bits 3, 4: a certificate of that role; bit 5: the right token. */
static void sender_take(struct MHD_Connection *connection, uint8_t bits) {
    enum admin_role by_session = (enum admin_role)(bits & 3), by_certificate = (enum admin_role)(bits >> 3 & 3);
    bool by_own = bits & 4;
    connection->certificate = by_certificate;
    if (by_session != ADMIN_NOBODY && !by_own)
        (void)snprintf(connection->texts[TEXT_COOKIE], TEXT_BYTES, "%s", sessions[by_session].token);
    else
        by_session = ADMIN_NOBODY;
    connection->role = by_certificate > by_session ? by_certificate : by_session;
    connection->token = bits & 32;
    const char *token = by_certificate > by_session ? server.certificate_csrf : sessions[by_session].csrf;
    if (connection->token) (void)snprintf(connection->texts[TEXT_CSRF], TEXT_BYTES, "%s", token);
    if (!connection->tls) connection->role = ADMIN_VIEW;
}

static void head_take(struct script *script, struct MHD_Connection *connection, unsigned at) {
    uint8_t method = byte_take(script), path = byte_take(script), sender = byte_take(script), there = byte_take(script);
    if (connection->suspended) init_let();
    if (connection->asked) connection_end(connection);
    if (!connection->open) connection_begin(connection, at < SCRIPTED - 1, (uint8_t)(at | 4));
    memset(connection->texts, 0, sizeof connection->texts);
    connection->method = methods[method % METHODS];
    if (path < PATHS)
        (void)snprintf(connection->path, sizeof connection->path, "%s", paths[path]);
    else
        text_take(script, connection->path, sizeof connection->path);
    (void)snprintf(connection->texts[TEXT_HOST], TEXT_BYTES, "localhost");
    for (int i = 0; i < 8; i++) {
        if (there >> i & 1) text_take(script, connection->texts[i], TEXT_BYTES);
    }
    if (connection->texts[TEXT_NODE][0] != '\0') text_take(script, connection->texts[TEXT_FILE], TEXT_BYTES);
    sender_take(connection, sender);
    connection->asked = true;
    connection->uploaded_bytes = 0;
    go_on(connection, hand_over(connection, NULL, 0));
}

static void body_hand_over(struct MHD_Connection *connection, const char *bytes, size_t count) {
    if (count == 0 || !connection->asked || connection->whole || connection->suspended) return;
    size_t room = UPLOAD_BYTES - connection->uploaded_bytes, kept = count < room ? count : room;
    enum MHD_Result result = hand_over(connection, bytes, count);
    memcpy(connection->uploaded + connection->uploaded_bytes, bytes, kept);
    connection->uploaded_bytes += kept;
    go_on(connection, result);
}

static void body_take(struct script *script, struct MHD_Connection *connection, unsigned often) {
    size_t count = byte_take(script), left = (size_t)(script->end - script->at);
    if (count > left) count = left;
    char bytes[256];
    memcpy(bytes, script->at, count);
    script->at += count;
    for (unsigned i = 0; i < 1u << often; i++) body_hand_over(connection, bytes, count);
}

static void whole_take(struct MHD_Connection *connection) {
    if (!connection->asked || connection->whole || connection->suspended) return;
    connection->whole = true;
    go_on(connection, hand_over(connection, NULL, 0));
}

/* {"claim": ...} of a member, or {"card": ...} of a node that came later. */
static void claim_take(struct script *script, struct MHD_Connection *connection) {
    uint8_t node = byte_take(script), number = byte_take(script), place = byte_take(script), change = byte_take(script);
    json_t *body = NULL;
    if (node & 8) {
        body = json_pack("{s:o}", "card", card_to_json(&fixture->spare_cards[node % FIXTURE_SPARE_NODES]));
    } else {
        struct claim claim = {.number = number + 1u};
        uint8_t bytes[CLAIM_BYTES_MAX];
        memcpy(claim.node_id, fixture->nodes[node >> 2 & 1][node & 3].card_id, 32);
        for (int i = 0; i < CLAIM_FIELDS; i++) (void)snprintf(claim.texts[i], sizeof claim.texts[i], "t%u", node >> 4);
        claim_sign(&claim, &fixture->owners[node >> 2 & 1][node & 3].signing);
        gnutls_datum_t raw = {bytes, (unsigned)claim_encode(&claim, bytes)}, coded = {NULL, 0};
        CHECK(gnutls_base64_encode2(&raw, &coded) == 0);
        body = json_pack("{s:s%}", "claim", coded.data, (size_t)coded.size);
        gnutls_free(coded.data);
    }
    char *text = json_dumps(body, JSON_COMPACT);
    CHECK(text != NULL && text[0] != '\0');
    text[place % strlen(text)] = (char)(text[place % strlen(text)] ^ change);
    json_decref(body);
    body_hand_over(connection, text, strlen(text));
    free(text);
}

static void said_set(unsigned which, const char *text) {
    pthread_mutex_lock(&said_lock);
    free(said[which]);
    said[which] = strdup(text);
    CHECK(said[which] != NULL);
    pthread_mutex_unlock(&said_lock);
}

static void answer_take(struct script *script) {
    uint8_t which = byte_take(script) % SAIDS;
    static char text[1 << 17];
    text_take(script, text, sizeof text);
    if (waiting != NULL) init_let(); /* its thread reads them */
    said_set(which, text);
    if (which == SAID_OTHER) nodes.count = NODES;
}

static void step(struct script *script) {
    uint8_t what = byte_take(script);
    unsigned at = what >> 3 & 3;
    struct MHD_Connection *connection = &connections[at];
    switch (what & 7) {
    case 0: answer_take(script); break;
    case 1: head_take(script, connection, at); break;
    case 2: body_take(script, connection, what >> 5); break;
    case 3: whole_take(connection); break;
    case 4: connection_end(connection); break;
    case 5: {
        unsigned count = byte_take(script);
        flood(count, byte_take(script));
        break;
    }
    case 6: claim_take(script, connection); break;
    default: init_let();
    }
}

/* ---- begin and end ---- */

static void folder_remove(void) {
    static const char *const files[] = {"audit.jsonl", "pairing", "node", "other", "init", "upload"};
    char path[sizeof folder + 32];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(claims);
    (void)rmdir(folder);
}

static void serve_start(const char *path, int type, void *(*run)(void *listening)) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int listening = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    CHECK(listening >= 0 && bind(listening, (const struct sockaddr *)&address, sizeof address) == 0 && listen(listening, 16) == 0);
    CHECK(pthread_create(&thread, NULL, run, (void *)(intptr_t)listening) == 0 && pthread_detach(thread) == 0);
}

static void pins_set(void) {
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[32];
    for (int role = ADMIN_VIEW; role < ADMIN_ROLES; role++) {
        const char *name = admin_role_name((enum admin_role)role);
        struct admin_pin *pin = &server.tls.pins[server.tls.pins_count++];
        CHECK(gnutls_hash_fast(GNUTLS_DIG_SHA256, name, strlen(name), hash) == 0);
        pin->role = (enum admin_role)role;
        for (size_t i = 0; i < 64; i++) pin->fingerprint[i] = digits[i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15];
    }
    memset(server.certificate_csrf, 'c', ADMIN_TOKEN_TEXT);
}

/* On memory, if there is such a folder: each line of the audit log is synced. */
static void set_up(void) {
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    memcpy(&address, &any, sizeof any);
    (void)snprintf(folder, sizeof folder, "%s/fuzz-admin-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(folder) != NULL && atexit(folder_remove) == 0);
    (void)snprintf(claims, sizeof claims, "%s/claims", folder);
    (void)snprintf(node_path, sizeof node_path, "%s/node", folder);
    (void)snprintf(other_path, sizeof other_path, "%s/other", folder);
    (void)snprintf(init_path, sizeof init_path, "%s/init", folder);
    (void)snprintf(pairing, sizeof pairing, "%s/pairing", folder);
    CHECK(mkdir(claims, 0700) == 0 && freopen("/dev/null", "w", stdout) != NULL); /* what it tells whoever is at the machine */
    serve_start(node_path, SOCK_STREAM, node_run);
    serve_start(other_path, SOCK_STREAM, other_run);
    serve_start(init_path, SOCK_SEQPACKET, init_run);
    nodes = (struct admin_nodes){.paths = {node_path, other_path}, .names = {"c0-n0", "s0-n1"}, .count = NODES};
    fixture = fixture_new(71, 1, 1, 4);
    server.system = &fixture->assembly->system;
    server.state_path = folder;
    server.claims_path = claims;
    server.pairing_path = pairing;
    server.init_path = init_path;
    server.task.fd = -1;
    (void)snprintf(server.tls.fingerprint, sizeof server.tls.fingerprint, "%064d", 1);
    pins_set();
    CHECK(admin_audit_open(&server.audit, folder) && admin_history_start(&server.history, &nodes) && admin_queues_start(&server.queues, &nodes));
    CHECK(pthread_mutex_init(&server.lock, NULL) == 0);
    CHECK(admin_listen(&server, &address, false) != NULL && admin_listen(&server, &address, true) != NULL);
}

/* Were there any? */
static bool claims_remove(void) {
    bool kept = false;
    char path[sizeof claims + 80], id[65];
    for (size_t i = 0; i < 8 + FIXTURE_SPARE_NODES; i++) {
        const uint8_t *bytes = i < 8 ? fixture->nodes[i / 4][i % 4].card_id : fixture->spares[i - 8].card_id;
        for (int k = 0; k < 32; k++) (void)snprintf(id + 2 * k, 3, "%02x", bytes[k]);
        (void)snprintf(path, sizeof path, "%s/%s.%s", claims, id, "claim");
        kept = unlink(path) == 0 || kept;
        (void)snprintf(path, sizeof path, "%s/%s.%s", claims, id, "card");
        kept = unlink(path) == 0 || kept;
    }
    return kept;
}

/* As after a start, with a session of each role, and a code that is shown. */
static void begin(void) {
    static const uint8_t nobody[ADMIN_FROM_BYTES];
    memset(&server.sessions, 0, sizeof server.sessions);
    memset(&server.seldom, 0, sizeof server.seldom);
    nodes.count = 1;
    memset(server.history.series, 0, NODES * sizeof *server.history.series);
    memset(server.queues.of, 0, NODES * sizeof *server.queues.of);
    json_decref(server.exposure);
    server.exposure = NULL;
    server.restarted_ms = 0;
    claims_done = false;
    for (int role = ADMIN_VIEW; role < ADMIN_ROLES; role++) {
        uint8_t random[2 * ADMIN_TOKEN_BYTES] = {(uint8_t)(role + 7), 1, [ADMIN_TOKEN_BYTES] = (uint8_t)role};
        memcpy(server.sessions.code, code_shown, sizeof code_shown);
        server.sessions.code_begun_ms = ring_clock_ms();
        CHECK(admin_pairing_try(&server.sessions, ring_clock_ms(), nobody, code_shown) == ADMIN_PAIRED);
        sessions[role] = *admin_session_begin(&server.sessions, ring_clock_ms(), (enum admin_role)role, random);
    }
    memcpy(server.sessions.code, code_shown, sizeof code_shown);
    server.sessions.code_begun_ms = ring_clock_ms();
    server.audit.number = 0;
    CHECK(ftruncate(server.audit.fd, 0) == 0);
    for (unsigned i = 0; i < SAIDS; i++) said_set(i, "");
}

/* What nodes say is taken as the sampler takes it, too. */
static void sample(void) {
    json_t *statuses = admin_answers(&nodes, "status"), *status;
    size_t at;
    json_array_foreach(statuses, at, status) {
        for (int i = 0; i < 2; i++) {
            admin_history_add(&server.history, at, json_is_object(status) ? status : NULL, 1000);
            admin_queues_add(&server.queues, at, json_is_object(status) ? status : NULL, ring_clock_ms() + (unsigned)i * 100000);
        }
    }
    json_decref(statuses);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (folder[0] == '\0') set_up();
    begin();
    for (size_t i = 0; i < UNSAID; i++) said_by_script[i] = memmem(data, size, unsaid[i], strlen(unsaid[i])) != NULL;
    struct script script = {data, data + size};
    for (int i = 0; i < STEPS_MAX && script.at < script.end; i++) {
        bool said_something = (*script.at & 7) == 0;
        step(&script);
        if (said_something && said[SAID_STATUS][0] != '\0') sample();
    }
    for (size_t i = 0; i < CONNECTIONS; i++) connection_end(&connections[i]);
    CHECK(waiting == NULL && server.task.state == ADMIN_TASK_NONE && server.task.fd < 0);
    CHECK(claims_remove() == claims_done);
    return 0;
}
