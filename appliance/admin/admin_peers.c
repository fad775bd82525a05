/* The threads that read other consoles. */
#include "appliance/admin/admin_peers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "appliance/admin/admin_link.h"
#include "ring/clock.h"

enum { REQUEST_BYTES = 400, ROOM_FIRST_BYTES = 16 << 10 };

struct reader {
    struct admin_peers *peers;
    struct admin_peer peer;
    bool threaded;
    pthread_t thread;
    /* The thread's own */
    struct admin_link link;
    bool strange; /* another certificate than the pinned one was shown */
    /* Under the lock */
    struct admin_peer_told told;
    uint64_t told_ms; /* 0: it never said anything */
    bool up;
    char fault[ADMIN_PEER_FAULT_BYTES];
};

struct admin_peers {
    gnutls_certificate_credentials_t own;
    int wake; /* an eventfd, readable at the end */
    atomic_bool ending;
    pthread_mutex_t reading; /* whoever has JSON in memory: one at a time */
    pthread_mutex_t lock;
    size_t count;
    struct reader readers[];
};

/* ---- one look ---- */

/* Before anything of ours is shown: the certificate, whoever issued it and whatever its dates. */
static int on_certificate(gnutls_session_t session) {
    struct reader *reader = gnutls_session_get_ptr(session);
    char shown[ADMIN_FINGERPRINT_TEXT + 1] = "";
    reader->strange = !admin_tls_shown(session, shown) || strcmp(shown, reader->peer.fingerprint) != 0;
    return reader->strange ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}

/* NULL, or why not. */
static const char *link_up(struct reader *reader, uint64_t until_ms) {
    const char *why = admin_link_reach(&reader->link, reader->peer.host, reader->peer.port, until_ms);
    if (why != NULL) return why;
    int error = admin_link_begin(&reader->link, reader->peers->own, reader->peer.host);
    if (error) return gnutls_strerror(error);
    reader->strange = false;
    gnutls_session_set_ptr(reader->link.session, reader);
    gnutls_session_set_verify_function(reader->link.session, on_certificate);
    error = admin_link_shake(&reader->link, until_ms);
    if (error && reader->strange) return "it has another certificate than the one that the configuration names";
    return error ? gnutls_strerror(error) : NULL;
}

static const char *ask(struct reader *reader, uint64_t until_ms) {
    char request[REQUEST_BYTES];
    int bytes = snprintf(request, sizeof request, "GET /api/v1/nodes HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", reader->peer.where);
    int error = admin_link_send(&reader->link, request, (size_t)bytes, until_ms);
    return error ? gnutls_strerror(error) : NULL;
}

/* Room for more, up to the limit. False: that is reached, or there is no memory. */
static bool grow(char **bytes, size_t *room) {
    size_t more = *room == 0 ? ROOM_FIRST_BYTES : *room * 2;
    char *grown = more <= ADMIN_PEER_BYTES_MAX ? realloc(*bytes, more) : NULL;
    if (grown == NULL) return false;
    *bytes = grown;
    *room = more;
    return true;
}

/* Into *bytes, malloc'd, also when it fails. */
static const char *hear(struct reader *reader, uint64_t until_ms, char **bytes, unsigned *code, const char **body, size_t *count) {
    size_t used = 0, room = 0;
    for (;;) {
        if (used == room && !grow(bytes, &room)) return "its answer is too long";
        ssize_t got = gnutls_record_recv(reader->link.session, *bytes + used, room - used);
        if (got == GNUTLS_E_INTERRUPTED) continue;
        if (got == GNUTLS_E_AGAIN) {
            if (!admin_link_ready(&reader->link, POLLIN, until_ms)) return "it does not answer in time";
            continue;
        }
        if (got == 0 || got == GNUTLS_E_PREMATURE_TERMINATION) return "its answer is cut off";
        if (got < 0) return gnutls_strerror((int)got);
        used += (size_t)got;
        enum admin_peer_part part = admin_peer_answer(*bytes, used, code, body, count);
        if (part == ADMIN_PEER_WHOLE) return NULL;
        if (part == ADMIN_PEER_BAD) return "its answer is no HTTP with a length";
        if (ring_clock_ms() >= until_ms) return "it does not answer in time"; /* one that drips */
    }
}

static const char *code_text(unsigned code) {
    if (code == 401 || code == 403)
        return "it does not let this console in: its configuration has to name this one's certificate (admin.client.N=view:SHA256)";
    return code == 200 ? NULL : "it answers with an error";
}

static const char *body_read(struct reader *reader, struct admin_peer_told *told, const char *body, size_t count) {
    pthread_mutex_lock(&reader->peers->reading);
    bool good = admin_peer_read(told, body, count);
    pthread_mutex_unlock(&reader->peers->reading);
    return good ? NULL : "what it says of its nodes cannot be read";
}

static void fault_set(struct reader *reader, const char *why) {
    bool news = reader->up != (why == NULL) || (why != NULL && strcmp(reader->fault, why) != 0);
    reader->up = why == NULL;
    (void)snprintf(reader->fault, sizeof reader->fault, "%s", why != NULL ? why : "");
    if (!news) return;
    (void)printf("console %s: %s\n", reader->peer.where, why != NULL ? why : "is read");
    (void)fflush(stdout);
}

static void look(struct reader *reader) {
    uint64_t until_ms = ring_clock_ms() + ADMIN_PEER_LINK_MS;
    struct admin_peer_told told;
    char *bytes = NULL;
    const char *body = NULL, *why = link_up(reader, until_ms);
    unsigned code = 0;
    size_t count = 0;
    if (why == NULL) why = ask(reader, until_ms);
    if (why == NULL) why = hear(reader, until_ms, &bytes, &code, &body, &count);
    if (why == NULL) why = code_text(code);
    if (why == NULL) why = body_read(reader, &told, body, count);
    if (why == NULL) (void)gnutls_bye(reader->link.session, GNUTLS_SHUT_WR);
    if (atomic_load(&reader->peers->ending)) why = NULL; /* nothing that was cut short by our end is told of */
    pthread_mutex_lock(&reader->peers->lock);
    if (body != NULL && why == NULL && !atomic_load(&reader->peers->ending)) {
        reader->told = told;
        reader->told_ms = ring_clock_ms();
    }
    if (!atomic_load(&reader->peers->ending)) fault_set(reader, why);
    pthread_mutex_unlock(&reader->peers->lock);
    admin_link_close(&reader->link);
    free(bytes);
}

static void *run(void *context) {
    struct reader *reader = context;
    while (!atomic_load(&reader->peers->ending)) {
        look(reader);
        struct pollfd polled = {.fd = reader->peers->wake, .events = POLLIN};
        (void)poll(&polled, 1, ADMIN_PEER_EVERY_MS);
    }
    return NULL;
}

/* ---- what is told ---- */

static json_t *node_json(const struct admin_peer_node *node, uint64_t since_ms) {
    bool placed = node->members > 0;
    return json_pack("{s:s,s:o,s:o,s:o,s:b,s:s?,s:I,s:I,s:I}", "node", node->name, "cluster", placed ? json_string(node->cluster) : json_null(),
                     "member", placed ? json_integer(node->member) : json_null(), "members", placed ? json_integer(node->members) : json_null(),
                     "votes", (int)node->votes, "phase", node->phase[0] != '\0' ? node->phase : NULL, "height", (json_int_t)node->height, "view",
                     (json_int_t)node->view, "age_ms", (json_int_t)(node->age_ms + since_ms));
}

static json_t *reader_json(const struct reader *reader, uint64_t now_ms) {
    json_t *nodes = json_array();
    bool told = reader->told_ms != 0;
    for (size_t i = 0; i < reader->told.count; i++)
        json_array_append_new(nodes, node_json(&reader->told.nodes[i], now_ms - reader->told_ms));
    return json_pack("{s:s,s:s,s:b,s:s,s:o,s:b,s:o}", "where", reader->peer.where, "certificate", reader->peer.fingerprint, "up", (int)reader->up,
                     "fault", reader->fault, "age_ms", told ? json_integer((json_int_t)(now_ms - reader->told_ms)) : json_null(), "counts",
                     (int)(told && now_ms - reader->told_ms <= ADMIN_PEER_OLD_MS), "nodes", nodes);
}

json_t *admin_peers_json(struct admin_peers *peers, const json_t *own_clusters) {
    const struct admin_peer_told *told[ADMIN_PEERS_MAX];
    json_t *list = json_array();
    if (peers == NULL) return json_pack("{s:o,s:[]}", "peers", list, "clusters");
    uint64_t now_ms = ring_clock_ms();
    pthread_mutex_lock(&peers->lock);
    for (size_t i = 0; i < peers->count; i++) {
        const struct reader *reader = &peers->readers[i];
        if (reader->told_ms > now_ms) now_ms = reader->told_ms; /* it came while we waited */
        told[i] = reader->told_ms != 0 && now_ms - reader->told_ms <= ADMIN_PEER_OLD_MS ? &reader->told : NULL;
        json_array_append_new(list, reader_json(reader, now_ms));
    }
    json_t *clusters = admin_peers_clusters(told, peers->count, own_clusters);
    pthread_mutex_unlock(&peers->lock);
    return json_pack("{s:o,s:o}", "peers", list, "clusters", clusters);
}

/* ---- begin and end ---- */

static bool own_load(struct admin_peers *peers, const struct admin_tls *tls, char why[ADMIN_PEER_FAULT_BYTES]) {
    gnutls_datum_t certificate = {(unsigned char *)tls->certificate, (unsigned)strlen(tls->certificate)};
    gnutls_datum_t key = {(unsigned char *)tls->key, (unsigned)strlen(tls->key)};
    int error = gnutls_certificate_allocate_credentials(&peers->own);
    if (error >= 0) error = gnutls_certificate_set_x509_key_mem(peers->own, &certificate, &key, GNUTLS_X509_FMT_PEM);
    if (error < 0) (void)snprintf(why, ADMIN_PEER_FAULT_BYTES, "this console's certificate: %s", gnutls_strerror(error));
    return error >= 0;
}

static bool reader_start(struct admin_peers *peers, const char *text, char why[ADMIN_PEER_FAULT_BYTES]) {
    struct reader *reader = &peers->readers[peers->count];
    reader->peers = peers;
    reader->link = (struct admin_link){.ending = &peers->ending, .fd = -1};
    (void)snprintf(why, ADMIN_PEER_FAULT_BYTES, "%.200s: wants SHA256@HOST:PORT", text);
    if (!admin_peer_parse(&reader->peer, text)) return false;
    (void)snprintf(reader->fault, sizeof reader->fault, "not read yet");
    (void)snprintf(why, ADMIN_PEER_FAULT_BYTES, "no thread");
    reader->threaded = pthread_create(&reader->thread, NULL, run, reader) == 0;
    peers->count += reader->threaded;
    return reader->threaded;
}

struct admin_peers *admin_peers_start(const char *const *texts, size_t count, const struct admin_tls *tls, char why[ADMIN_PEER_FAULT_BYTES]) {
    struct admin_peers *peers = calloc(1, sizeof *peers + ADMIN_PEERS_MAX * sizeof peers->readers[0]);
    (void)snprintf(why, ADMIN_PEER_FAULT_BYTES, "no memory");
    if (peers == NULL) return NULL;
    peers->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool good = peers->wake >= 0 && pthread_mutex_init(&peers->lock, NULL) == 0 && pthread_mutex_init(&peers->reading, NULL) == 0;
    good = good && own_load(peers, tls, why);
    for (size_t i = 0; i < count && i < ADMIN_PEERS_MAX && good; i++) good = reader_start(peers, texts[i], why);
    if (good) return peers;
    admin_peers_end(peers);
    return NULL;
}

void admin_peers_end(struct admin_peers *peers) {
    const uint64_t one = 1;
    if (peers == NULL) return;
    atomic_store(&peers->ending, true);
    if (peers->wake >= 0 && write(peers->wake, &one, sizeof one) < 0) (void)errno; /* it is readable all the same */
    for (size_t i = 0; i < peers->count; i++) (void)pthread_join(peers->readers[i].thread, NULL);
    if (peers->own != NULL) gnutls_certificate_free_credentials(peers->own);
    if (peers->wake >= 0) (void)close(peers->wake);
    (void)pthread_mutex_destroy(&peers->lock);
    (void)pthread_mutex_destroy(&peers->reading);
    free(peers);
}
