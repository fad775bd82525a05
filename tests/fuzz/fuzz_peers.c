/*
 * What another admin console says (appliance/admin/admin_peers_read.c), as it comes from the link.
 *
 *   byte 0  bit 0: a head of HTTP and its body; else a body alone, and bit 1: a second console says the rest behind the first 0x00, too;
 *           bit 2: from the links on, with threads, up to what is shown (admin_peers.c, admin_peers_page.c); a body alone gets a good head then
 *   byte 1  with bit 2: bytes that come at a time, 0: all at once
 *   rest    what it says
 *
 * An answer is whole at one length and at no shorter one, and its body lies within what came. What is read keeps its bounds and has the forms that
 * are promised; a cluster of our own is in no list, and of no cluster it is told that a node may be lost. What is shown is JSON, and no markup of
 * theirs.
 */
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance/admin/admin_clusters.h"
#include "appliance/admin/admin_link.h"
#include "appliance/admin/admin_peers.h"
#include "merkle/check.h"
#include "tests/fuzz/admin_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void told_check(const struct admin_peer_told *told) {
    CHECK(told->count <= ADMIN_PEER_NODES_MAX);
    for (size_t i = 0; i < told->count; i++) {
        const struct admin_peer_node *node = &told->nodes[i];
        CHECK(memchr(node->name, 0, sizeof node->name) != NULL && memchr(node->phase, 0, sizeof node->phase) != NULL && node->name[0] != '\0');
        CHECK(strpbrk(node->name, "<>&\"' ") == NULL && strpbrk(node->phase, "<>&\"' ") == NULL);
        CHECK(node->members <= ADMIN_MEMBERS_MAX && (node->members == 0 || node->member < node->members));
        CHECK((node->members == 0) == (node->cluster[0] == '\0'));
        CHECK(!node->votes || (node->phase[0] != '\0' && node->age_ms <= ADMIN_PEER_OLD_MS));
    }
}

static void list_check(const json_t *clusters) {
    const json_t *one;
    size_t at;
    json_array_foreach(clusters, at, one) {
        json_int_t voting = json_integer_value(json_object_get(one, "told_voting")), members = json_integer_value(json_object_get(one, "members"));
        CHECK(json_is_object(one) && strcmp(json_string_value(json_object_get(one, "cluster")), "c0") != 0);
        CHECK(json_object_get(one, "may_lose") == NULL && voting >= 0 && voting <= members && members <= ADMIN_MEMBERS_MAX);
        CHECK(json_is_true(json_object_get(one, "enough")) == (voting >= json_integer_value(json_object_get(one, "quorum"))));
        CHECK(strncmp(json_string_value(json_object_get(one, "text")), "by the word of ", 15) == 0);
    }
}

static void clusters_check(const struct admin_peer_told *first, const struct admin_peer_told *second) {
    const struct admin_peer_told *told[] = {first, NULL, second};
    json_t *own = json_pack("[{s:s}]", "cluster", "c0"), *clusters = admin_peers_clusters(told, 3, own);
    list_check(clusters);
    json_decref(clusters);
    json_decref(own);
}

static void body_try(const char *text, size_t count, bool two) {
    static struct admin_peer_told first, second;
    const char *end = two && count > 0 ? memchr(text, 0, count) : NULL;
    size_t bytes = end != NULL ? (size_t)(end - text) : count;
    bool good = admin_peer_read(&first, text, bytes), also = end != NULL && admin_peer_read(&second, end + 1, count - bytes - 1);
    if (good) told_check(&first);
    if (also) told_check(&second);
    clusters_check(good ? &first : NULL, also ? &second : NULL);
}

static void answer_try(const char *bytes, size_t size) {
    unsigned code = 0;
    const char *body = NULL;
    size_t count = 0;
    for (size_t used = 0; used <= size; used++) {
        enum admin_peer_part part = admin_peer_answer(bytes, used, &code, &body, &count);
        if (part == ADMIN_PEER_MORE) continue;
        CHECK(part == ADMIN_PEER_BAD || (code >= 200 && code <= 999 && body + count == bytes + used && body > bytes));
        if (part == ADMIN_PEER_WHOLE) body_try(body, count, false);
        if (used < size) CHECK(admin_peer_answer(bytes, size, &code, &body, &count) == ADMIN_PEER_BAD); /* what follows mends nothing */
        return;
    }
}

/* ---- from the link on: two consoles, 127.0.0.1 and 127.0.0.2, whose bytes are these; no socket, no TLS ---- */

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

enum { CONSOLES = 2, STREAM_BYTES = ADMIN_PEER_BYTES_MAX + 4096 };

static struct stream {
    char bytes[STREAM_BYTES];
    size_t count, at, piece;
    bool came; /* the next piece; before that the link has nothing */
} streams[CONSOLES];

static struct stream *stream_of(gnutls_session_t session) {
    return (struct stream *)(void *)session;
}

const char *admin_link_reach(struct admin_link *link, const char *host, const char *port, uint64_t until_ms) {
    (void)port, (void)until_ms;
    struct stream *stream = &streams[host[strlen(host) - 1] - '1'];
    stream->at = 0;
    link->session = (gnutls_session_t)(void *)stream;
    return NULL;
}

int admin_link_begin(struct admin_link *link, gnutls_certificate_credentials_t credentials, const char *host) {
    (void)credentials, (void)host;
    CHECK(link->session != NULL);
    return 0;
}

int admin_link_shake(struct admin_link *link, uint64_t until_ms) {
    (void)link, (void)until_ms;
    return 0;
}

int admin_link_send(struct admin_link *link, const char *bytes, size_t count, uint64_t until_ms) {
    static const char asks[] = "GET /api/v1/nodes HTTP/1.1\r\nHost: 127.0.0.";
    (void)link, (void)until_ms;
    CHECK(count > sizeof asks && memcmp(bytes, asks, sizeof asks - 1) == 0 && memcmp(bytes + count - 4, "\r\n\r\n", 4) == 0);
    return 0;
}

bool admin_link_ready(const struct admin_link *link, short events, uint64_t until_ms) {
    (void)events, (void)until_ms;
    stream_of(link->session)->came = true;
    return stream_of(link->session)->at < stream_of(link->session)->count;
}

void admin_link_close(struct admin_link *link) {
    link->session = NULL;
}

ssize_t gnutls_record_recv(gnutls_session_t session, void *data, size_t data_size) {
    struct stream *stream = stream_of(session);
    size_t left = stream->count - stream->at, some = stream->piece == 0 || stream->piece > left ? left : stream->piece;
    CHECK(data_size > 0);
    if (!stream->came) return GNUTLS_E_AGAIN;
    if (some > data_size) some = data_size;
    memcpy(data, stream->bytes + stream->at, some);
    stream->at += some;
    stream->came = stream->piece == 0;
    return (ssize_t)some;
}

int gnutls_bye(gnutls_session_t session, gnutls_close_request_t how) {
    return stream_of(session)->at > 0 && how == GNUTLS_SHUT_WR ? 0 : GNUTLS_E_INVALID_REQUEST;
}

void gnutls_session_set_ptr(gnutls_session_t session, void *ptr) {
    CHECK(session != NULL && ptr != NULL);
}

void gnutls_session_set_verify_function(gnutls_session_t session, gnutls_certificate_verify_function *func) {
    CHECK(session != NULL && func != NULL);
}

int gnutls_certificate_set_x509_key_mem(gnutls_certificate_credentials_t res, const gnutls_datum_t *cert, const gnutls_datum_t *key,
                                        gnutls_x509_crt_fmt_t type) {
    return res != NULL && cert != NULL && key != NULL && type == GNUTLS_X509_FMT_PEM ? 0 : GNUTLS_E_INVALID_REQUEST;
}

static void stream_set(struct stream *stream, const char *text, size_t count, bool with_head, size_t piece) {
    int head = with_head ? 0 : snprintf(stream->bytes, STREAM_BYTES, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", count);
    size_t room = STREAM_BYTES - (size_t)head, kept = count < room ? count : room;
    if (kept > 0) memcpy(stream->bytes + head, text, kept);
    stream->count = (size_t)head + kept;
    stream->piece = piece;
    stream->came = false;
}

/* Once each of them was looked at. */
static json_t *seen_take(struct admin_peers *peers, const json_t *own, size_t count) {
    for (;;) {
        json_t *seen = admin_peers_json(peers, own);
        size_t read = 0;
        for (size_t i = 0; i < count; i++) {
            const json_t *one = json_array_get(json_object_get(seen, "peers"), i);
            read += strcmp(json_string_value(json_object_get(one, "fault")), "not read yet") != 0;
        }
        if (read == count) return seen;
        json_decref(seen);
        (void)usleep(20);
    }
}

static void seen_check(const json_t *seen, size_t count) {
    char *text = NULL, *json = json_dumps(seen, JSON_COMPACT);
    size_t bytes = 0;
    CHECK(json_array_size(json_object_get(seen, "peers")) == count && json != NULL);
    list_check(json_object_get(seen, "clusters"));
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    admin_peers_draw(out, seen);
    CHECK(fclose(out) == 0 && bytes > 0);
    admin_text_page(text);
    free(text);
    free(json);
}

static void links_try(const char *text, size_t size, bool with_head, bool two, size_t piece) {
    static const char *const texts[CONSOLES] = {HASH "@127.0.0.1:1", HASH "@127.0.0.2:1"};
    static char pem[] = "";
    const struct admin_tls tls = {.certificate = pem, .key = pem};
    const char *end = two && size > 0 ? memchr(text, 0, size) : NULL;
    size_t first = end != NULL ? (size_t)(end - text) : size, count = end != NULL ? 2 : 1;
    char why[ADMIN_PEER_FAULT_BYTES] = "";
    stream_set(&streams[0], text, first, with_head, piece);
    if (end != NULL) stream_set(&streams[1], end + 1, size - first - 1, with_head, piece);
    struct admin_peers *peers = admin_peers_start(texts, count, &tls, why);
    CHECK(peers != NULL);
    json_t *own = json_pack("[{s:s}]", "cluster", "c0"), *seen = seen_take(peers, own, count);
    seen_check(seen, count);
    json_decref(seen);
    json_decref(own);
    admin_peers_end(peers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool begun;
    if (!begun) CHECK(freopen("/dev/null", "w", stdout) != NULL); /* where it tells of each change */
    begun = true;
    if (size < 2) return 0;
    bool with_head = data[0] & 1, two = data[0] & 2;
    if (data[0] & 4)
        links_try((const char *)data + 2, size - 2, with_head, two, data[1]);
    else if (with_head)
        answer_try((const char *)data + 1, size - 1);
    else
        body_try((const char *)data + 1, size - 1, two);
    return 0;
}
