/*
 * hostile ATTACK SYSTEM KEYFILE NODE HOST PORT SEED COUNT
 *
 * Attacks the node NODE, which listens at HOST:PORT, with the identity in KEYFILE, and prints "ATTACK sent=N closed=M": how often it did it, and how
 * often the node closed the link for it. ATTACK is one of the names in `attacks` below. Exit 0: it took place; 1: it could not; 2: usage. What
 * the node must do about it is for the caller to look at: its counters, and that it still serves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "merkle/bytes.h"
#include "protocol/batch.h"
#include "ring/check.h"
#include "ring/entropy.h"
#include "tests/system/hostile.h"

enum {
    TYPE_SUBSCRIBE = 0x0201,
    TYPE_NEWEST_QUERY = 0x0203,
    TYPE_NEWEST = 0x0204,
    TYPE_BATCH = 0x0301,
    TYPE_STATUS_QUERY = 0x0304,
    BATCH_ROOM = 4096,
    LAST_TYPE_OF_ITS_KIND = 5,
    HALF_OPEN = 200,
};

struct tally {
    unsigned sent, closed;
};

static struct session session; /* too large for the stack */

static void pause_ms(long ms) {
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

/* ---- before a link is up ---- */

static void garbage(struct target *target, unsigned count, struct tally *tally) {
    uint8_t bytes[4096];
    for (unsigned i = 0; i < count; i++) {
        session.fd = hostile_connect(target);
        size_t length = 1 + hostile_random(target) % sizeof bytes;
        hostile_fill(target, bytes, length);
        if (session.fd < 0) continue;
        if (send(session.fd, bytes, length, MSG_NOSIGNAL) > 0) tally->sent++;
        if (length >= LINK_FIRST_FLIGHT_BYTES) tally->closed += recv(session.fd, bytes, sizeof bytes, 0) <= 0;
        close(session.fd);
    }
}

/* A first flight that is right, then changed by `how`. */
static size_t flight_make(struct target *target, uint8_t *out, const uint8_t secret[32], const uint8_t *system_id) {
    struct link_identity identity;
    const struct ring_primitives *primitives = ring_primitives_default();
    memcpy(identity.private_key, secret, RING_KEY_BYTES);
    primitives->x25519_base(identity.public_key, secret);
    struct link_config config = {
        .primitives = primitives, .identity = &identity, .version_min = 1, .version_max = 1, .suites_allowed = 1u << RING_SUITE_CHACHAPOLY};
    memcpy(config.system_id, system_id, LINK_SYSTEM_ID_BYTES);
    uint8_t ephemeral[RING_KEY_BYTES];
    hostile_fill(target, ephemeral, sizeof ephemeral);
    const struct link_peer peer = {.roles = UINT16_MAX, .frame_bytes_max = LINK_FRAME_BYTES_MAX};
    link_init_initiator(&session.link, &config, &peer, target->node->noise_key, LINK_VERSION_CURRENT, RING_SUITE_CHACHAPOLY, ephemeral, 1000);
    size_t bytes = link_output(&session.link, out, LINK_OUTPUT_BYTES_MAX);
    link_wipe(&session.link);
    return bytes;
}

/* Sends a flight; a node that does not take it closes without a word. */
static void flight_send(struct target *target, const uint8_t *flight, size_t bytes, struct tally *tally) {
    uint8_t answer[256];
    struct timeval limit = {.tv_sec = 2};
    int fd = hostile_connect(target);
    if (fd < 0) return;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (send(fd, flight, bytes, MSG_NOSIGNAL) == (ssize_t)bytes) tally->sent++;
    tally->closed += recv(fd, answer, sizeof answer, 0) == 0;
    close(fd);
}

static void damaged_flight(struct target *target, unsigned count, struct tally *tally) {
    uint8_t flight[LINK_OUTPUT_BYTES_MAX];
    for (unsigned i = 0; i < count; i++) {
        size_t bytes = flight_make(target, flight, target->key.noise_secret, target->system->system_id);
        flight[hostile_random(target) % bytes] ^= (uint8_t)(1u << hostile_random(target) % 8);
        flight_send(target, flight, bytes, tally);
    }
}

static void other_system(struct target *target, unsigned count, struct tally *tally) {
    uint8_t flight[LINK_OUTPUT_BYTES_MAX], id[LINK_SYSTEM_ID_BYTES];
    for (unsigned i = 0; i < count; i++) {
        hostile_fill(target, id, sizeof id);
        flight_send(target, flight, flight_make(target, flight, target->key.noise_secret, id), tally);
    }
}

static void stranger(struct target *target, unsigned count, struct tally *tally) {
    uint8_t flight[LINK_OUTPUT_BYTES_MAX], secret[RING_KEY_BYTES];
    for (unsigned i = 0; i < count; i++) {
        hostile_fill(target, secret, sizeof secret);
        flight_send(target, flight, flight_make(target, flight, secret, target->system->system_id), tally);
    }
}

/* The same first flight again and again: the answer must be of no use, and no link of ours may fall for it. */
static void replayed_flight(struct target *target, unsigned count, struct tally *tally) {
    uint8_t flight[LINK_OUTPUT_BYTES_MAX];
    size_t bytes = flight_make(target, flight, target->key.noise_secret, target->system->system_id);
    for (unsigned i = 0; i < count; i++) flight_send(target, flight, bytes, tally);
}

/* Many connections that never finish their handshake, all held open for a second. */
static void half_open(struct target *target, unsigned count, struct tally *tally) {
    static int sockets[HALF_OPEN];
    uint8_t flight[LINK_OUTPUT_BYTES_MAX];
    for (unsigned round = 0; round < count; round++) {
        for (int i = 0; i < HALF_OPEN; i++) {
            sockets[i] = hostile_connect(target);
            size_t bytes = flight_make(target, flight, target->key.noise_secret, target->system->system_id);
            if (sockets[i] >= 0 && send(sockets[i], flight, hostile_random(target) % bytes, MSG_NOSIGNAL) >= 0) tally->sent++;
        }
        pause_ms(1000);
        for (int i = 0; i < HALF_OPEN; i++) {
            if (sockets[i] >= 0) close(sockets[i]);
        }
    }
}

/* ---- on a link that is up ---- */

/* Does one thing on a link of its own, and sees whether the node closes it. */
typedef void one_thing(struct target *target, unsigned turn);

static void each_on_a_link(struct target *target, unsigned count, struct tally *tally, one_thing *thing) {
    for (unsigned i = 0; i < count; i++) {
        if (session_open(&session, target, NULL, NULL)) {
            tally->sent++;
            thing(target, i);
            for (int wait = 0; wait < 20 && session_read(&session, 20); wait++) continue;
            tally->closed += !session.up;
        }
        session_close(&session);
    }
}

static size_t frame_put(uint8_t *out, uint32_t length, uint16_t type, uint16_t zero) {
    ring_store_u32(out, length);
    ring_store_u16(out + 4, type);
    ring_store_u16(out + 6, zero);
    return LINK_FRAME_HEADER_BYTES;
}

static void do_unknown_type(struct target *target, unsigned turn) {
    static const uint16_t types[] = {0, 5, 0x00ff, 0x0100, 0x0115, 0x01ff, 0x0200, 0x0205, 0x0300, 0x0306, 0x7777, 0xffff};
    uint8_t plain[64] = {0};
    (void)target;
    frame_put(plain, 16, types[turn % (sizeof types / sizeof types[0])], 0);
    (void)session_record(&session, plain, LINK_FRAME_HEADER_BYTES + 16, 1, false);
}

static void do_oversized(struct target *target, unsigned turn) {
    static const uint32_t lengths[] = {LINK_FRAME_BYTES_MAX + 1, UINT32_MAX, 1u << 31, (16u << 20), 3u << 20};
    uint8_t plain[LINK_FRAME_HEADER_BYTES];
    (void)target;
    frame_put(plain, lengths[turn % 5], TYPE_BATCH, 0);
    (void)session_record(&session, plain, sizeof plain, 1, false);
}

static void do_header(struct target *target, unsigned turn) {
    uint8_t plain[LINK_FRAME_HEADER_BYTES + 16] = {0};
    (void)turn;
    frame_put(plain, 16, TYPE_BATCH, (uint16_t)(1 + hostile_random(target) % 65535));
    (void)session_record(&session, plain, sizeof plain, 1, false);
}

static void do_tampered(struct target *target, unsigned turn) {
    uint8_t plain[256] = {0};
    (void)turn;
    frame_put(plain, 200, TYPE_BATCH, 0);
    hostile_fill(target, plain + 8, 200);
    (void)session_record(&session, plain, 208, 1, true);
}

static void do_replayed_record(struct target *target, unsigned turn) {
    uint8_t plain[128] = {0};
    (void)turn;
    (void)target;
    frame_put(plain, 8, 2, 0); /* a PING, right the first time */
    (void)session_record(&session, plain, 16, 2, false);
}

static void do_short_record(struct target *target, unsigned turn) {
    uint8_t raw[64];
    hostile_fill(target, raw, sizeof raw);
    ring_store_u16(raw, (uint16_t)(turn % 2 ? turn % RING_TAG_BYTES : 65535 - turn));
    (void)session_raw(&session, raw, sizeof raw);
}

static void do_control(struct target *target, unsigned turn) {
    uint8_t plain[128];
    uint16_t type = (uint16_t)(1 + turn % (LAST_TYPE_OF_ITS_KIND - 1));
    uint32_t length = type == 1 ? 12 : (uint32_t)(1 + turn % 3); /* a second HELLO; PING, PONG and GOODBYE of a wrong length */
    hostile_fill(target, plain, sizeof plain);
    frame_put(plain, length, type, 0);
    (void)session_record(&session, plain, LINK_FRAME_HEADER_BYTES + length, 1, false);
}

#define ON_A_LINK(name, thing)                                                                                                                       \
    static void name(struct target *target, unsigned count, struct tally *tally) {                                                                   \
        each_on_a_link(target, count, tally, thing);                                                                                                 \
    }
ON_A_LINK(unknown_type, do_unknown_type)
ON_A_LINK(oversized, do_oversized)
ON_A_LINK(bad_header, do_header)
ON_A_LINK(tampered_record, do_tampered)
ON_A_LINK(replayed_record, do_replayed_record)
ON_A_LINK(short_record, do_short_record)
ON_A_LINK(bad_control, do_control)

/* Every type of the product in turn, each on a link of its own: none of these is a client's to send. */
static void do_role(struct target *target, unsigned turn) {
    static const uint16_t types[] = {0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0106, 0x0107, 0x0108, 0x0109, 0x010A, 0x010B, 0x010C, 0x010E,
                                     0x0110, 0x0111, 0x0112, 0x0114, 0x0201, 0x0202, 0x0203, 0x0204, 0x0302, 0x0303, 0x0305};
    uint8_t payload[64];
    hostile_fill(target, payload, sizeof payload);
    (void)session_send(&session, types[turn % (sizeof types / sizeof types[0])], payload, 32);
}
ON_A_LINK(wrong_role, do_role)

/* ---- batches of a client ---- */

static size_t batch_make(struct target *target, uint8_t *out, const uint8_t id[32], uint64_t number) {
    struct batch_builder builder;
    struct bytes_writer writer = bytes_writer_of(out, BATCH_ROOM);
    const struct signer signer = signer_ed25519(&target->key.signing);
    static const uint8_t one[8] = {1};
    uint8_t nonce[BATCH_NONCE_BYTES];
    hostile_fill(target, nonce, sizeof nonce);
    batch_build_begin(&builder, &writer, BATCH_WRITE, id, nonce, 0);
    batch_build_part_begin(&builder, SHARD_CLUSTER_BASE, 0, number, 1);
    const struct operation operation = {
        .opcode = OPERATION_ADD, .key_bytes = 7, .key = (const uint8_t *)"hostile", .a = sizeof one, .argument_a = one};
    operation_encode(&writer, &operation);
    batch_build_part_end(&builder, 1);
    if (!batch_build_end(&builder, target->system->system_id, &signer)) abort();
    return writer.used;
}

static bool reopened(struct target *target, struct tally *tally) {
    if (session.up && session_read(&session, 0) && session.up) return true;
    tally->closed++;
    session_close(&session);
    return session_open(&session, target, NULL, NULL);
}

/* What a batch is turned into before it is sent. */
typedef size_t batch_change(struct target *target, uint8_t *batch, size_t bytes, unsigned turn);

static void batches(struct target *target, unsigned count, struct tally *tally, const uint8_t *client, batch_change *change) {
    uint8_t batch[BATCH_ROOM];
    if (!session_open(&session, target, NULL, NULL)) return;
    for (unsigned i = 0; i < count && reopened(target, tally); i++) {
        size_t bytes = batch_make(target, batch, client != NULL ? client : target->key.card_id, i + 1);
        if (change != NULL) bytes = change(target, batch, bytes, i);
        tally->sent += session_send(&session, TYPE_BATCH, batch, bytes);
    }
    (void)session_read(&session, 300);
    session_close(&session);
}

static size_t change_cut(struct target *target, uint8_t *batch, size_t bytes, unsigned turn) {
    (void)target;
    (void)batch;
    return turn % bytes;
}

static size_t change_flip(struct target *target, uint8_t *batch, size_t bytes, unsigned turn) {
    (void)turn;
    size_t at = hostile_random(target) % (bytes - 64);
    if (at >= 8 && at < 40) at = 40; /* another client's id is an attack of its own */
    batch[at] ^= (uint8_t)(1u << hostile_random(target) % 8);
    return bytes;
}

static size_t change_signature(struct target *target, uint8_t *batch, size_t bytes, unsigned turn) {
    (void)turn;
    batch[bytes - 1 - hostile_random(target) % 64] ^= (uint8_t)(1u << hostile_random(target) % 8);
    return bytes;
}

static size_t change_random(struct target *target, uint8_t *batch, size_t bytes, unsigned turn) {
    (void)turn;
    bytes = hostile_random(target) % BATCH_ROOM;
    hostile_fill(target, batch, bytes);
    if (bytes > 8 && turn % 2 == 0) { /* half of them with a head that looks right */
        memset(batch, 0, 4);
        batch[0] = 1;
        batch[1] = 2;
        batch[2] = 1;
        ring_store_u32(batch + 4, (uint32_t)bytes);
    }
    return bytes;
}

static void batch_cut(struct target *target, unsigned count, struct tally *tally) {
    batches(target, count, tally, NULL, change_cut);
}
static void batch_flip(struct target *target, unsigned count, struct tally *tally) {
    batches(target, count, tally, NULL, change_flip);
}
static void batch_signature(struct target *target, unsigned count, struct tally *tally) {
    batches(target, count, tally, NULL, change_signature);
}
static void batch_random(struct target *target, unsigned count, struct tally *tally) {
    batches(target, count, tally, NULL, change_random);
}

static void batch_of_another(struct target *target, unsigned count, struct tally *tally) {
    const uint8_t *other = NULL;
    for (uint32_t i = 0; i < target->system->clients_count; i++) {
        if (memcmp(target->system->clients[i].card.id, target->key.card_id, 32) != 0) other = target->system->clients[i].card.id;
    }
    batches(target, count, tally, other, NULL);
}

/* One good write, sent over and over: it takes effect once. */
static void batch_replayed(struct target *target, unsigned count, struct tally *tally) {
    uint8_t batch[BATCH_ROOM];
    size_t bytes = batch_make(target, batch, target->key.card_id, 1);
    if (!session_open(&session, target, NULL, NULL)) return;
    for (unsigned i = 0; i < count && reopened(target, tally); i++) {
        tally->sent += session_send(&session, TYPE_BATCH, batch, bytes);
        if (i % 50 == 49) (void)session_read(&session, 20);
    }
    (void)session_read(&session, 300);
    session_close(&session);
}

static void status_flood(struct target *target, unsigned count, struct tally *tally) {
    if (!session_open(&session, target, NULL, NULL)) return;
    for (unsigned i = 0; i < count && reopened(target, tally); i++) {
        uint8_t payload[64];
        hostile_fill(target, payload, sizeof payload);
        tally->sent += session_send(&session, TYPE_STATUS_QUERY, payload, i % 3 == 0 ? 0 : hostile_random(target) % 64);
    }
    (void)session_read(&session, 200);
    session_close(&session);
}

/* ---- with the key of a node ---- */

/* What a member may send, and what a node of another cluster. */
static const uint16_t member_types[] = {0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0106, 0x0107,
                                        0x0108, 0x0109, 0x010A, 0x010B, 0x010C, 0x0111, 0x0112};
static const uint16_t foreign_types[] = {0x0201, 0x0202, 0x0203, 0x0204};

static uint16_t node_type(struct target *target) {
    uint64_t random = hostile_random(target);
    return target->member ? member_types[random % (sizeof member_types / sizeof member_types[0])] : foreign_types[random % 4];
}

/* Random bytes under every type. */
static void node_random(struct target *target, unsigned count, struct tally *tally) {
    static uint8_t payload[60000];
    if (!session_open(&session, target, NULL, NULL)) return;
    for (unsigned i = 0; i < count && reopened(target, tally); i++) {
        uint16_t type = node_type(target);
        size_t bytes = hostile_random(target) % (hostile_random(target) % 16 == 0 ? sizeof payload : target->member ? 300 : 64);
        hostile_fill(target, payload, bytes);
        tally->sent += session_send(&session, type, payload, bytes);
        if (i % 16 == 0) (void)session_read(&session, 5);
    }
    session_close(&session);
}

/* A node of another cluster hears nothing that it does not ask for (D-23, D-24): where the queue to its cluster stands, and what comes next in it. */
static void frames_ask(struct target *target) {
    uint8_t query[16] = {0}, subscribe[16];
    if (target->member) return;
    bytes_put_le32(query, target->cluster);
    (void)session_send(&session, TYPE_NEWEST_QUERY, query, sizeof query);
    for (int turn = 0; turn < 100 && session.seen_count == 0; turn++) (void)session_read(&session, 20);
    const struct frame_seen *newest = session.seen;
    if (session.seen_count == 0 || newest->type != TYPE_NEWEST || newest->bytes < 32) return;
    bytes_put_le32(subscribe, target->cluster);
    bytes_put_le32(subscribe + 4, 64);
    bytes_put_le64(subscribe + 8, bytes_get_le64(newest->payload + 24) + 1); /* the first that was not acknowledged */
    (void)session_send(&session, TYPE_SUBSCRIBE, subscribe, sizeof subscribe);
}

/* What the node itself said, sent back: cut, with flipped bits, under another type, in another order, again and again. */
static void node_mutate(struct target *target, unsigned count, struct tally *tally) {
    static uint8_t payload[FRAME_SEEN_BYTES_MAX];
    if (!session_open(&session, target, NULL, NULL)) return;
    frames_ask(target);
    for (int turn = 0; turn < 75 && session.seen_count < FRAMES_SEEN_MAX; turn++) (void)session_read(&session, 20);
    for (unsigned i = 0; i < count; i++) {
        if (session.up && i % 8 == 0) (void)session_read(&session, 5);
        if (!session.up) { /* keeps what was seen */
            static struct session before;
            tally->closed++;
            before = session;
            session.seen_count = 0;
            session_close(&session);
            bool good = session_open(&session, target, NULL, NULL);
            for (size_t at = 0; at < session.seen_count; at++) free(session.seen[at].payload);
            memcpy(session.seen, before.seen, sizeof session.seen);
            session.seen_count = before.seen_count;
            if (!good) {
                pause_ms(50);
                continue;
            }
        }
        if (session.seen_count == 0) {
            frames_ask(target);
            (void)session_read(&session, 200);
            continue;
        }
        const struct frame_seen *seen = &session.seen[hostile_random(target) % session.seen_count];
        size_t bytes = seen->bytes;
        uint16_t type = seen->type;
        memcpy(payload, seen->payload, bytes);
        switch (hostile_random(target) % 6) {
        case 0: break; /* as it was: a replay, out of order, of somebody else's words */
        case 1: bytes = bytes > 0 ? hostile_random(target) % bytes : 0; break;
        case 2: type = node_type(target); break;
        case 3:
            for (int flips = 0; bytes > 0 && flips < 8; flips++)
                payload[hostile_random(target) % bytes] ^= (uint8_t)(1u << hostile_random(target) % 8);
            break;
        case 4:
            if (bytes + 64 < sizeof payload) hostile_fill(target, payload + bytes, 64), bytes += 64;
            break;
        default:
            if (bytes > 0) payload[hostile_random(target) % bytes] ^= (uint8_t)(1u << hostile_random(target) % 8);
            break;
        }
        tally->sent += session_send(&session, type, payload, bytes);
    }
    printf("seen %zu kinds of frames kept\n", session.seen_count);
    session_close(&session);
}

/* ---- all ---- */

static const struct attack {
    const char *name;
    void (*run)(struct target *target, unsigned count, struct tally *tally);
} attacks[] = {
    {"garbage", garbage},
    {"damaged_flight", damaged_flight},
    {"other_system", other_system},
    {"stranger", stranger},
    {"replayed_flight", replayed_flight},
    {"half_open", half_open},
    {"unknown_type", unknown_type},
    {"wrong_role", wrong_role},
    {"oversized", oversized},
    {"bad_header", bad_header},
    {"tampered_record", tampered_record},
    {"replayed_record", replayed_record},
    {"short_record", short_record},
    {"bad_control", bad_control},
    {"batch_cut", batch_cut},
    {"batch_flip", batch_flip},
    {"batch_signature", batch_signature},
    {"batch_random", batch_random},
    {"batch_of_another", batch_of_another},
    {"batch_replayed", batch_replayed},
    {"status_flood", status_flood},
    {"node_random", node_random},
    {"node_mutate", node_mutate},
};

static int usage(const char *why) {
    (void)fprintf(stderr, "hostile: %s\nusage: hostile ATTACK SYSTEM KEYFILE NODE HOST PORT SEED COUNT\n", why);
    return 2;
}

int main(int argc, char **argv) {
    static struct target target;
    struct system *system = NULL;
    struct system_fault fault;
    struct tally tally = {0, 0};
    uint32_t cluster = 0, mine = 0, member;
    const struct attack *attack = NULL;
    if (argc != 9) return usage("eight words");
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        if (strcmp(attacks[i].name, argv[1]) == 0) attack = &attacks[i];
    }
    if (attack == NULL) return usage("no such attack");
    if (!ed25519_start(NULL) || system_load(&system, argv[2], &fault) != SYSTEM_OK ||
        keyfile_open(&target.key, 0, argv[3], false, &fault) != SYSTEM_OK)
        return usage(fault.text);
    target.system = system;
    target.node = system_node_by_name(system, argv[4], &cluster, &member);
    if (target.node == NULL) return usage("no such node");
    target.member = system_node_by_signing_key(system, target.key.signing_key, &mine, &member) != NULL && mine == cluster;
    target.cluster = mine;
    (void)snprintf(target.host, sizeof target.host, "%s", argv[5]);
    target.port = (uint16_t)strtoul(argv[6], NULL, 10);
    target.random = strtoull(argv[7], NULL, 10);
    session.fd = -1;
    attack->run(&target, (unsigned)strtoul(argv[8], NULL, 10), &tally);
    printf("%s sent=%u closed=%u\n", attack->name, tally.sent, tally.closed);
    keyfile_close(&target.key);
    system_free(system);
    return tally.sent > 0 ? 0 : 1;
}
