/*
 * A fake system for a real client: every coordinator node listens on 127.0.0.1, speaks real links, decides alone whatever a client sends, and
 * certifies the answers with the real keys of its cluster. What a node does to the next batches is scripted, and counted, so that a test can say
 * that the attack really happened.
 */
#ifndef TESTS_CLIENT_FAKE_H
#define TESTS_CLIENT_FAKE_H

#include <pthread.h>

#include "client/heraclius.h"
#include "tests/client/fake_model.h"
#include "tests/protocol/decided.h"
#include "tests/protocol/identity_fixture.h"

enum fake_act {
    FAKE_HONEST = 0,
    FAKE_SILENT,     /* takes the batch, does nothing */
    FAKE_FORGET,     /* executes it, answers nothing */
    FAKE_DOWN,       /* closes each connection at once */
    FAKE_DEAF,       /* accepts connections, says nothing */
    FAKE_CLOSE,      /* closes when a batch comes */
    FAKE_CUT,        /* sends half of the answer, then closes */
    FAKE_NOISE,      /* sends bytes that are no record */
    FAKE_GARBAGE,    /* an ANSWER of random bytes */
    FAKE_TYPE,       /* a frame of a type that no client gets */
    FAKE_GIANT,      /* announces a frame that is longer than any may be */
    FAKE_FEW,        /* q - 1 signatures */
    FAKE_STRANGERS,  /* signatures by others' keys */
    FAKE_PREPARE,    /* a prepare QC */
    FAKE_PROOF,      /* a flipped bit in the path */
    FAKE_SLICE,      /* a flipped bit in the results */
    FAKE_CLIENT,     /* certified, but for another client */
    FAKE_CLUSTER,    /* certified by the shard's members */
    FAKE_STALE,      /* the answer of an earlier batch in place of this one's */
    FAKE_COUNT,      /* certified by a corrupt cluster: one result too few */
    FAKE_RESULT,     /* certified by a corrupt cluster: a result that does not decode */
    FAKE_REFUSE,     /* REFUSED with script.code, not certified */
    FAKE_CODE,       /* certified answer script.code for each part, nothing executed */
    FAKE_TWICE,      /* every answer three times */
    FAKE_LATE,       /* executes at once, answers after delay_ms */
    FAKE_APART,      /* each part's answer in a decision of its own, the last first */
    FAKE_FIRST_ONLY, /* answers the first part, the others only when they come again */
    FAKE_WHOLE,      /* a part with RECEIPT as one item, as when the slice would be too large (O-25) */
    FAKE_ACTS
};

struct fake_script {
    enum fake_act act;
    uint8_t code;
    uint32_t delay_ms;
    int times; /* then honest again; 0: for ever */
};

struct fake_options {
    uint32_t coordinators, shards, nodes; /* 0: 1, 1, 4 */
    uint32_t number_window;               /* 0: 1024 */
    uint64_t seed;                        /* 0: 1; another seed is another system */
    const struct fake *succeeds;          /* this one: the same keys, and each shard goes on from origin_height */
    uint64_t origin_height;               /* 0: 1 */
};

struct fake_payload {
    uint16_t type;
    uint8_t *bytes;
    size_t count;
};
enum { FAKE_PAYLOADS_MAX = 16 };

struct fake {
    /* Of every frame that is no batch, on the fake's thread: how many payloads to send, each malloc'd. NULL: nothing is answered. */
    uint32_t (*frame)(void *context, uint32_t node, uint16_t type, const uint8_t *bytes, size_t count, struct fake_payload out[FAKE_PAYLOADS_MAX]);
    void *frame_context;
    char folder[512], system_path[600], key_path[600], journal_path[620];
    struct fixture *fixture;
    struct decider deciders[FIXTURE_CLUSTERS_MAX]; /* by cluster of the fixture */
    struct decider strangers;
    struct fake_shard *shards;
    struct fake_script scripts[64];
    uint32_t acted[64], batches[64];
    uint8_t *kept; /* the last answer made */
    size_t kept_count;
    uint32_t resent;      /* batches that came before with the same batch_id */
    uint64_t attempts;    /* highest attempt seen */
    pthread_mutex_t lock; /* of all the above while the thread runs */
    struct fake_server *server;
};

struct fake *fake_start(const struct fake_options *options);
void fake_stop(struct fake *fake);
/* node: index among the coordinator nodes, cluster by cluster; -1: all. */
void fake_play(struct fake *fake, int node, struct fake_script script);
uint32_t fake_acted(struct fake *fake, int node); /* -1: all */
uint32_t fake_batches(struct fake *fake, int node);
uint64_t fake_attempts_take(struct fake *fake); /* the highest attempt since it was asked last */
/* Opens the fake's client, first node 0 of coordinator cluster 0; CHECKs. */
struct heraclius *fake_open(struct fake *fake, uint32_t resend_ms);
/* One put of two texts through `db`, waited for. */
enum heraclius_status fake_put(struct heraclius *db, const char *key, const char *value, uint32_t timeout_ms);
/* The journal beside the client's key, as it is on disk: its bytes, at most `room`; CHECKs that it is there. */
size_t fake_journal_read(const struct fake *fake, uint8_t *out, size_t room);
/* Copies the fake's view of a key: false if absent. */
bool fake_value(struct fake *fake, const char *key, char *out, size_t room);
uint32_t fake_executed(struct fake *fake);
uint32_t fake_floors_too_high(struct fake *fake);
/* Another run of the key, elsewhere: the shard's floor rises to `floor`, what lies below it is forgotten. */
void fake_floor_raise(struct fake *fake, uint32_t shard, uint64_t floor);
/* The highest number that the shard has a record of, or its floor. */
uint64_t fake_highest(struct fake *fake, uint32_t shard);

/* fake_answer.c: decides the batch as `node` would by `script`, and gives the payloads to send; each malloc'd. Called with the lock held. */
uint32_t fake_answer(struct fake *fake, uint32_t cluster, struct fake_script script, const uint8_t *batch, size_t batch_bytes,
                     struct fake_payload out[FAKE_PAYLOADS_MAX]);

#endif
