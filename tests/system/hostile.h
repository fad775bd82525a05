/* A liar at the other end of a socket, for tests/system/bad_input.py: the product's own link code for what must be right, all else wrong. */
#ifndef TESTS_SYSTEM_HOSTILE_H
#define TESTS_SYSTEM_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/keyfile.h"
#include "protocol/system.h"
#include "ring/link.h"

enum { FRAMES_SEEN_MAX = 96, FRAME_SEEN_BYTES_MAX = 70000 };

/* A frame that the other end sent, kept to be sent back changed. */
struct frame_seen {
    uint16_t type;
    size_t bytes;
    uint8_t *payload;
};

struct target {
    const struct system *system;
    const struct card *node; /* who is attacked */
    char host[64];
    uint16_t port;
    struct keyfile key; /* who attacks */
    bool member;        /* it is a node of the same cluster */
    uint32_t cluster;   /* of the node whose key it is */
    uint64_t random;    /* state of the generator */
};

/* One connection. */
struct session {
    struct target *target;
    int fd; /* -1: closed */
    bool up;
    struct link_config config;
    struct link_identity identity;
    struct link link;
    uint8_t receive[1 << 16];
    struct frame_seen seen[FRAMES_SEEN_MAX];
    size_t seen_count;
    uint64_t received; /* frames */
};

uint64_t hostile_random(struct target *target);
void hostile_fill(struct target *target, uint8_t *out, size_t bytes);

/* A connected socket with time-outs, or -1. */
int hostile_connect(const struct target *target);
/* Connects, shakes hands, waits until the link is up. `system_id` NULL: the right one. `secret` NULL: the target's key. */
bool session_open(struct session *session, struct target *target, const uint8_t *system_id, const uint8_t secret[32]);
void session_close(struct session *session);
/* Takes what comes for so long; false: the link is gone. */
bool session_read(struct session *session, int ms);
/* One proper frame; false: the link is gone. */
bool session_send(struct session *session, uint16_t type, const void *payload, size_t bytes);
/* One record with this plaintext, sealed in order, whatever it says. `times`: the very same bytes again and again. `flip`: one bit of it wrong. */
bool session_record(struct session *session, const void *plain, size_t bytes, int times, bool flip);
/* Raw bytes into the stream. */
bool session_raw(struct session *session, const void *bytes, size_t count);

#endif
