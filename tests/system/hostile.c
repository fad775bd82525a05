#include "tests/system/hostile.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ring/check.h"
#include "ring/clock.h"
#include "ring/entropy.h"

uint64_t hostile_random(struct target *target) {
    uint64_t x = target->random += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

void hostile_fill(struct target *target, uint8_t *out, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)hostile_random(target);
}

int hostile_connect(const struct target *target) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(target->port)};
    struct timeval limit = {.tv_sec = 3};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, target->host, &address.sin_addr) != 1) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static void *take(void *context, size_t bytes) {
    (void)context;
    return malloc(bytes);
}

static void give(void *context, void *block, size_t bytes) {
    (void)context;
    (void)bytes;
    free(block);
}

bool session_raw(struct session *session, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    while (session->fd >= 0 && count > 0) {
        ssize_t sent = send(session->fd, at, count, MSG_NOSIGNAL);
        if (sent <= 0) {
            session->up = false;
            return false;
        }
        at += sent;
        count -= (size_t)sent;
    }
    return session->fd >= 0;
}

static bool talk(struct session *session) {
    uint8_t out[LINK_OUTPUT_BYTES_MAX];
    while (link_output_wanted(&session->link)) {
        size_t bytes = link_output(&session->link, out, sizeof out);
        if (bytes == 0) break;
        if (!session_raw(session, out, bytes)) return false;
    }
    return true;
}

static void keep(struct session *session, const struct link_frame *frame) {
    session->received++;
    if (session->seen_count == FRAMES_SEEN_MAX || frame->payload_bytes > FRAME_SEEN_BYTES_MAX) return;
    struct frame_seen *seen = &session->seen[session->seen_count++];
    seen->type = frame->type;
    seen->bytes = frame->payload_bytes;
    seen->payload = malloc(frame->payload_bytes + 1);
    if (seen->payload == NULL) abort();
    memcpy(seen->payload, frame->payload, frame->payload_bytes);
}

bool session_read(struct session *session, int ms) {
    uint64_t until = ring_clock_ms() + (uint64_t)ms;
    for (;;) {
        uint64_t now = ring_clock_ms();
        struct pollfd polled = {.fd = session->fd, .events = POLLIN};
        if (session->fd < 0) return false;
        if (poll(&polled, 1, now >= until ? 0 : (int)(until - now)) <= 0) return true;
        ssize_t got = recv(session->fd, session->receive, sizeof session->receive, 0);
        if (got <= 0) return session->up = false;
        link_receive(&session->link, session->receive, (size_t)got, ring_clock_ms());
        struct link_frame frame;
        enum link_next next;
        while ((next = link_next(&session->link, &frame)) != LINK_MORE) {
            if (next == LINK_UP)
                session->up = true;
            else if (next == LINK_FRAME)
                keep(session, &frame);
            else
                return session->up = false;
        }
        if (!talk(session)) return false;
        if (session->up && ms <= 0) return true;
    }
}

bool session_open(struct session *session, struct target *target, const uint8_t *system_id, const uint8_t secret[32]) {
    memset(session, 0, sizeof *session);
    session->target = target;
    memcpy(session->identity.private_key, secret != NULL ? secret : target->key.noise_secret, RING_KEY_BYTES);
    const struct ring_primitives *primitives = ring_primitives_default();
    primitives->x25519_base(session->identity.public_key, session->identity.private_key);
    session->config = (struct link_config){.primitives = primitives,
                                           .identity = &session->identity,
                                           .version_min = 1,
                                           .version_max = 1,
                                           .suites_allowed = 1u << RING_SUITE_CHACHAPOLY,
                                           .memory = {.take = take, .give = give}};
    memcpy(session->config.system_id, system_id != NULL ? system_id : target->system->system_id, LINK_SYSTEM_ID_BYTES);
    session->fd = hostile_connect(target);
    if (session->fd < 0) return false;
    uint8_t ephemeral[RING_KEY_BYTES];
    ring_entropy_fill(ephemeral, sizeof ephemeral);
    const struct link_peer peer = {.roles = UINT16_MAX, .frame_bytes_max = LINK_FRAME_BYTES_MAX};
    link_init_initiator(&session->link, &session->config, &peer, target->node->noise_key, LINK_VERSION_CURRENT, RING_SUITE_CHACHAPOLY, ephemeral,
                        ring_clock_ms());
    if (!talk(session)) return false;
    for (int turn = 0; turn < 100 && !session->up; turn++) {
        if (!session_read(session, 20)) return false;
    }
    return session->up && talk(session);
}

void session_close(struct session *session) {
    if (session->fd >= 0) close(session->fd);
    session->fd = -1;
    session->up = false;
    link_wipe(&session->link);
    for (size_t i = 0; i < session->seen_count; i++) free(session->seen[i].payload);
    session->seen_count = 0;
}

bool session_send(struct session *session, uint16_t type, const void *payload, size_t bytes) {
    static uint8_t room[2 * LINK_SEND_ROOM_MIN];
    struct iovec piece = {.iov_base = (void *)(uintptr_t)payload, .iov_len = bytes};
    struct link_send send;
    if (!session->up || !talk(session) || link_send_begin(&session->link, &send, type, &piece, 1) != LINK_SEND_OK) return false;
    for (bool done = false; !done;) {
        size_t wrote = link_send_some(&session->link, &send, room, sizeof room, &done);
        if (!session_raw(session, room, wrote)) return false;
    }
    return true;
}

bool session_record(struct session *session, const void *plain, size_t bytes, int times, bool flip) {
    uint8_t record[LINK_RECORD_WIRE_MAX];
    if (!session->up || bytes > LINK_RECORD_PLAIN_MAX || !talk(session)) return false;
    if (noise_cipher_seal(&session->link.sending, plain, bytes, record + LINK_RECORD_HEADER_BYTES) != NOISE_OK) return false;
    ring_store_u16(record, (uint16_t)(bytes + RING_TAG_BYTES));
    if (flip) record[LINK_RECORD_HEADER_BYTES + hostile_random(session->target) % (bytes + RING_TAG_BYTES)] ^= 1;
    for (int i = 0; i < times; i++) {
        if (!session_raw(session, record, bytes + LINK_RECORD_HEADER_BYTES + RING_TAG_BYTES)) return false;
    }
    return true;
}
