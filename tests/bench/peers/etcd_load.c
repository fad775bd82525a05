/*
 * Puts for etcd, by gRPC as its own clients speak it (KV.Put over HTTP/2 in the clear), from one thread with many streams:
 *
 *   etcd_load PORT[,PORT...] CONNECTIONS STREAMS SECONDS WARM_UP_MS KEYS BYTES SEED
 *
 * CONNECTIONS are shared out over the ports; on each, STREAMS puts are under way at any time. Keys are 32 bytes, one of KEYS at random, values BYTES
 * long, both from the seed. A put counts when its answer came with grpc-status 0, in the measured time. HTTP/2 is nghttp2's, so that a put costs this
 * side some microseconds: of one machine's processors more is left for etcd than etcd's own benchmark tool, written in Go, leaves.
 *
 * Prints one JSON object: ops_per_second, p50_us, p99_us, puts, errors (answers with another status, streams that broke), seconds.
 * Exit 1: a connection failed, and a line on stderr says which.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PORTS_MAX = 16,
    KEY_BYTES = 32,
    VALUE_BYTES_MAX = 65536,
    MESSAGE_BYTES_BESIDE = 64, /* prefix, key, tags and lengths: at most so many */
    RECEIVE_BYTES = 1 << 18,
    GATHERED_BYTES = 1 << 17,
    WINDOW_BYTES = 1 << 24,
    EVENTS = 64,
    SUB_BUCKETS = 64, /* per power of two: 1.6 % wide */
    BUCKETS = 40 * SUB_BUCKETS,
    DRAIN_MS = 2000
};

/* One put after another. */
struct user {
    struct connection *connection;
    uint64_t started_us;
    uint32_t message_bytes, message_sent;
    bool good; /* the answer's status was 0 */
    uint8_t *message;
};

struct connection {
    int fd;
    nghttp2_session *session;
    const uint8_t *unsent; /* the session's, until all of it is sent */
    size_t unsent_bytes;
    struct user *users;
};

static struct {
    unsigned connections, streams;
    uint64_t seconds, warm_up_ms, keys, value_bytes;
    uint64_t random;
    int epoll;
    bool measuring, stopping;
    uint64_t puts, errors, under_way, highest_us;
    uint64_t counts[BUCKETS];
    char authority[32];
} load;

static __attribute__((noreturn)) void die(const char *what, const char *why) {
    fprintf(stderr, "etcd_load: %s: %s\n", what, why);
    exit(1);
}

static uint64_t now_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t mixed(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

static uint64_t random_next(void) {
    load.random += 0x9e3779b97f4a7c15;
    return mixed(load.random);
}

static unsigned bucket_of(uint64_t us) {
    if (us < SUB_BUCKETS) return (unsigned)us;
    unsigned power = 63 - (unsigned)__builtin_clzll(us);
    unsigned index = (power - 5) * SUB_BUCKETS + (unsigned)((us >> (power - 6)) & (SUB_BUCKETS - 1));
    return index < BUCKETS ? index : BUCKETS - 1;
}

/* The upper end of a bucket. */
static uint64_t bucket_top(unsigned index) {
    if (index < SUB_BUCKETS) return index;
    unsigned power = index / SUB_BUCKETS + 5;
    return ((uint64_t)(SUB_BUCKETS + index % SUB_BUCKETS + 1) << (power - 6)) - 1;
}

static uint64_t quantile(uint64_t per_thousand) {
    uint64_t wanted = (load.puts * per_thousand + 999) / 1000, seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += load.counts[i];
        if (seen >= wanted && seen > 0) return bucket_top(i) < load.highest_us ? bucket_top(i) : load.highest_us;
    }
    return 0;
}

/* ---- the message: gRPC's prefix, then PutRequest { bytes key = 1; bytes value = 2; } */

static size_t varint(uint8_t *out, uint64_t value) {
    size_t count = 0;
    for (; value >= 0x80; value >>= 7) out[count++] = (uint8_t)(value | 0x80);
    out[count++] = (uint8_t)value;
    return count;
}

static void message_make(struct user *user) {
    uint8_t *at = user->message + 5;
    uint64_t key = random_next() % load.keys, word;
    *at++ = 1 << 3 | 2;
    *at++ = KEY_BYTES;
    for (unsigned i = 0; i < KEY_BYTES; i += 8, at += 8) {
        word = mixed(key * 0x9e3779b97f4a7c15 + i);
        memcpy(at, &word, 8);
    }
    *at++ = 2 << 3 | 2;
    at += varint(at, load.value_bytes);
    for (size_t i = 0; i < load.value_bytes; i += 8) {
        word = random_next();
        memcpy(at + i, &word, load.value_bytes - i < 8 ? load.value_bytes - i : 8);
    }
    at += load.value_bytes;
    uint32_t body = (uint32_t)(at - user->message) - 5;
    user->message[0] = 0; /* not compressed */
    for (int i = 0; i < 4; i++) user->message[1 + i] = (uint8_t)(body >> (24 - 8 * i));
    user->message_bytes = body + 5;
    user->message_sent = 0;
}

static ssize_t message_read(nghttp2_session *session, int32_t stream, uint8_t *out, size_t room, uint32_t *flags, nghttp2_data_source *source,
                            void *connection) {
    (void)session, (void)stream, (void)connection;
    struct user *user = source->ptr;
    size_t left = user->message_bytes - user->message_sent, count = left < room ? left : room;
    memcpy(out, user->message + user->message_sent, count);
    user->message_sent += (uint32_t)count;
    if (user->message_sent == user->message_bytes) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

/* ---- streams */

#define HEADER(text, content)                                                                              \
    {                                                                                                      \
        .name = (uint8_t *)(uintptr_t)(text), .namelen = sizeof(text) - 1, .value = (uint8_t *)(content),  \
        .valuelen = strlen(content), .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE \
    }

static void user_put(struct user *user) {
    const nghttp2_nv headers[] = {HEADER(":method", "POST"),
                                  HEADER(":scheme", "http"),
                                  HEADER(":path", "/etcdserverpb.KV/Put"),
                                  HEADER(":authority", load.authority),
                                  HEADER("content-type", "application/grpc"),
                                  HEADER("te", "trailers")};
    message_make(user);
    user->good = false;
    user->started_us = now_us();
    nghttp2_data_provider body = {.source.ptr = user, .read_callback = message_read};
    int32_t stream = nghttp2_submit_request(user->connection->session, NULL, headers, sizeof headers / sizeof *headers, &body, user);
    if (stream < 0) die("a put", nghttp2_strerror(stream));
    load.under_way++;
}

static int header_came(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_bytes, const uint8_t *value,
                       size_t value_bytes, uint8_t flags, void *connection) {
    (void)flags, (void)connection;
    static const char status[] = "grpc-status";
    if (name_bytes != sizeof status - 1 || memcmp(name, status, name_bytes) != 0) return 0;
    struct user *user = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (user) user->good = value_bytes == 1 && value[0] == '0';
    return 0;
}

static int stream_closed(nghttp2_session *session, int32_t stream, uint32_t code, void *connection) {
    (void)connection;
    struct user *user = nghttp2_session_get_stream_user_data(session, stream);
    if (!user) return 0;
    uint64_t took_us = now_us() - user->started_us;
    load.under_way--;
    if (code != 0 || !user->good) {
        load.errors++;
    } else if (load.measuring) {
        load.puts++;
        load.counts[bucket_of(took_us)]++;
        if (took_us > load.highest_us) load.highest_us = took_us;
    }
    if (!load.stopping) user_put(user);
    return 0;
}

/* ---- sockets */

static void connection_open(struct connection *connection, uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect", strerror(errno));
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) die("memory", "none left");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, header_came);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closed);
    if (nghttp2_session_client_new(&connection->session, callbacks, connection) != 0) die("memory", "none left");
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES}, {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    if (nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES) != 0)
        die("settings", "refused");
    connection->users = calloc(load.streams, sizeof *connection->users);
    if (!connection->users) die("memory", "none left");
    for (unsigned i = 0; i < load.streams; i++) {
        connection->users[i].connection = connection;
        connection->users[i].message = calloc(1, MESSAGE_BYTES_BESIDE + load.value_bytes);
        if (!connection->users[i].message) die("memory", "none left");
        user_put(&connection->users[i]);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) die("epoll", strerror(errno));
}

/* What the session has to send, gathered: a small put is some 150 bytes. */
static size_t connection_gather(struct connection *connection, uint8_t *out, size_t room) {
    size_t count = 0;
    while (count < room) {
        if (connection->unsent_bytes == 0) {
            ssize_t got = nghttp2_session_mem_send(connection->session, &connection->unsent);
            if (got < 0) die("a session", nghttp2_strerror((int)got));
            if (got == 0) break;
            connection->unsent_bytes = (size_t)got;
        }
        size_t part = connection->unsent_bytes < room - count ? connection->unsent_bytes : room - count;
        memcpy(out + count, connection->unsent, part);
        connection->unsent += part;
        connection->unsent_bytes -= part;
        count += part;
    }
    return count;
}

static void connection_send(struct connection *connection) {
    static uint8_t gathered[GATHERED_BYTES];
    size_t count;
    while ((count = connection_gather(connection, gathered, sizeof gathered)) > 0) {
        for (size_t sent = 0; sent < count;) {
            ssize_t done = send(connection->fd, gathered + sent, count - sent, MSG_NOSIGNAL);
            if (done < 0 && errno != EINTR) die("send", strerror(errno));
            if (done > 0) sent += (size_t)done;
        }
    }
}

static void connection_receive(struct connection *connection) {
    static uint8_t bytes[RECEIVE_BYTES];
    ssize_t count = recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) die("a connection", count == 0 ? "etcd closed it" : strerror(errno));
    ssize_t taken = nghttp2_session_mem_recv(connection->session, bytes, (size_t)count);
    if (taken < 0) die("a session", nghttp2_strerror((int)taken));
}

static void turn(uint64_t wait_ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(load.epoll, events, EVENTS, (int)wait_ms);
    for (int i = 0; i < count; i++) {
        connection_receive(events[i].data.ptr);
        connection_send(events[i].data.ptr);
    }
}

static uint64_t number(const char *text, const char *name, uint64_t lowest, uint64_t highest) {
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno || end == text || *end || value < lowest || value > highest) die(name, "not a number, or out of its range");
    return value;
}

static unsigned ports_parse(char *text, uint16_t ports[PORTS_MAX]) {
    unsigned count = 0;
    for (char *at = text, *comma; at; at = comma) {
        comma = strchr(at, ',');
        if (comma) *comma++ = 0;
        if (count == PORTS_MAX) die("ports", "at most 16");
        ports[count++] = (uint16_t)number(at, "PORT", 1, 65535);
    }
    return count;
}

int main(int argc, char **argv) {
    uint16_t ports[PORTS_MAX];
    if (argc != 9) die("usage", "etcd_load PORT[,PORT...] CONNECTIONS STREAMS SECONDS WARM_UP_MS KEYS BYTES SEED");
    unsigned port_count = ports_parse(argv[1], ports);
    load.connections = (unsigned)number(argv[2], "CONNECTIONS", 1, 4096);
    load.streams = (unsigned)number(argv[3], "STREAMS", 1, 65536);
    load.seconds = number(argv[4], "SECONDS", 1, 100000);
    load.warm_up_ms = number(argv[5], "WARM_UP_MS", 0, 1000000);
    load.keys = number(argv[6], "KEYS", 1, UINT32_MAX);
    load.value_bytes = number(argv[7], "BYTES", 1, VALUE_BYTES_MAX);
    load.random = number(argv[8], "SEED", 0, UINT64_MAX);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    snprintf(load.authority, sizeof load.authority, "127.0.0.1:%u", ports[0]);
    struct connection *connections = calloc(load.connections, sizeof *connections);
    if (load.epoll < 0 || !connections) die("begin", strerror(errno));
    for (unsigned i = 0; i < load.connections; i++) {
        connection_open(&connections[i], ports[i % port_count]);
        connection_send(&connections[i]);
    }
    uint64_t begins_us = now_us() + load.warm_up_ms * 1000, ends_us = begins_us + load.seconds * 1000000, began_us = 0, at_us;
    while ((at_us = now_us()) < ends_us) {
        if (!load.measuring && at_us >= begins_us) {
            load.measuring = true;
            began_us = at_us;
        }
        turn(5);
    }
    double seconds = (double)(at_us - began_us) / 1e6;
    load.measuring = false;
    load.stopping = true;
    while (load.under_way > 0 && now_us() < ends_us + DRAIN_MS * 1000) turn(5);
    printf("{\"ops_per_second\": %.1f, \"p50_us\": %" PRIu64 ", \"p99_us\": %" PRIu64 ", \"puts\": %" PRIu64 ", \"errors\": %" PRIu64
           ", \"seconds\": %.3f}\n",
           (double)load.puts / seconds, quantile(500), quantile(990), load.puts, load.errors + load.under_way, seconds);
    return 0;
}
