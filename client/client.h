/*
 * The inside of libheraclius. Nothing here is public; client/heraclius.h is.
 *
 *   open.c        files in, files out: system, addresses, key, members of the coordinator clusters
 *   request.c     operations into parts, parts into signed batches
 *   numbers.c     which number a write gets, and the floor (O-41); asks the shards when the journal is new
 *   journal.c     next numbers and unsettled signed writes, durable before anything leaves
 *   connection.c  one link to one node, over epoll
 *   engine.c      heraclius_poll: what to send where, when to ask another node, when to give up
 *   groups.c      which node is asked first, and which next: those of the coordinator cluster of a shard's group
 *   answer.c      what a node says, verified and matched to parts (O-60)
 *   renew.c       writes whose number was behind the shard's floor: numbers asked for anew, and a second number
 *   settle.c      unsettled writes: retry and CANCEL
 *   nodes.c       what nodes state about themselves
 *   enrolment.c   administrators' operations handed in, and what became of them
 *   chain.c       epochs: by which members a certificate is judged
 *   config.c      the CONFIG in force of a cluster asked for; CONFIGs handed in
 *   backup.h      a backup of one partition taken from its nodes (backup*.c)
 *   proof.c       receipts offline
 *   syncer.c      journals of such handles made durable at once
 *   verified.c    signatures that a handle beside this one has verified
 *   patience.h    how long a node is given that answers other requests
 *
 * One request: submit -> held (until its numbers are known) -> built -> journaled -> sent -> answered or given up -> ended, callback.
 * A request has at most two sendings: its read-only parts, and its parts with a write. A sending is one batch; its bytes change only when a part is
 * to be decided anew (attempt): an answer said so, or none came for CLIENT_ANEW_RESENDS times resend_ms, as when the node that had it to send is gone
 * and the others have forgotten it (O-50). Parts are found by digest when an answer comes.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "bft/certificate.h"
#include "bft/ed25519_keys.h"
#include "bft/signer.h"
#include "client/heraclius.h"
#include "client/patience.h"
#include "protocol/addresses.h"
#include "protocol/admin_op.h"
#include "protocol/batch.h"
#include "protocol/config_chain.h"
#include "protocol/decision.h"
#include "protocol/keyfile.h"
#include "protocol/slice.h"
#include "protocol/partition.h"
#include "protocol/system.h"
#include "ring/blocks.h"
#include "ring/link.h"

enum {
    CLIENT_RESEND_MS = 1000,
    CLIENT_RESEND_ANSWERING = 4, /* so many times as long at most, if the node that was asked answers others, and late (patience.c) */
    CLIENT_RESEND_LOOKS = 8,     /* and so many times in resend_ms it is looked whether that is over */
    CLIENT_ANEW_RESENDS = 8,     /* unanswered for so many times resend_ms: decided anew (O-50) */
    CLIENT_AWAY_RESENDS = 10,    /* in so many times resend_ms the cluster of a group that is away is tried once (groups.c) */
    CLIENT_RETRY_MIN_MS = 20, /* before a BUSY part is decided anew */
    CLIENT_RETRY_MAX_MS = 1000,
    CLIENT_RECONNECT_MIN_MS = 100,
    CLIENT_RECONNECT_MAX_MS = 5000,
    CLIENT_CONNECT_MS = 3000,
    CLIENT_RECEIVE_BYTES = 256 * 1024,
    CLIENT_BLOCKS_KEEP_MS = 1000, /* of frames, free */
    CLIENT_NODE_WHY_BYTES = 128,
    CLIENT_CHAINS = 4096, /* of the digest table */
    CLIENT_SILENT_ENDS = 3, /* and */
    CLIENT_SILENT_MS = 1000,
    CLIENT_HELD_MS = 250,
    CLIENT_ADDRESSES_MS = 1000,
};

/* Grows by doubling; `failed` is sticky (no memory). */
struct buffer {
    uint8_t *bytes;
    size_t used, room;
    bool failed;
};
/* Room for `count` more bytes, already counted as used; NULL without memory. */
uint8_t *client_buffer_space(struct buffer *buffer, size_t count);
void client_buffer_free(struct buffer *buffer);

/* UNSETTLED is an end too: refused, yet nobody can say that no earlier sending takes effect. RENEWING: its number is settled without effect, or past
 * finding out, and this client's numbers at the shard are asked for anew (renew.c). */
enum part_state { PART_WAITING = 0, PART_RETRY, PART_SETTLED, PART_REFUSED, PART_CANCELLING, PART_UNSETTLED, PART_RENEWING };

struct part {
    struct sending *sending;
    struct part *chain; /* in the digest table */
    uint8_t digest[32];
    uint32_t shard; /* number from 0 */
    uint8_t flags;
    uint64_t number;
    uint32_t first; /* its operations are request->order[first] ... */
    uint32_t op_count;
    uint32_t answered; /* operations that have a result */
    enum part_state state;
    uint8_t code;   /* of the answer, or why it is to be retried or refused */
    bool renewable; /* RENEWING: goes out again under a new number; else it is refused once the numbers are known */
    bool renewed;   /* has had a second number: there is no third */
};

struct sending {
    struct sending *next, *previous; /* among the handle's sendings */
    struct heraclius_request *request;
    uint8_t kind; /* BATCH_READ, BATCH_WRITE */
    uint8_t nonce[BATCH_NONCE_BYTES];
    uint32_t attempt;
    struct buffer batch;
    uint8_t id[32]; /* once asked for, since the last change: client_sending_id() */
    bool id_known;
    struct part *parts;
    uint32_t part_count;
    uint32_t parts_open;
    bool durable;    /* may leave: a read, or journaled and synced */
    bool syncing;    /* its record is among those whose sync is under way */
    bool sent;       /* to `node`, this attempt */
    uint32_t copies; /* how often it was given to a link, whole or not, under the present numbers */
    uint32_t node;   /* index of the node that has it or is to get it */
    struct shard_group *group; /* of all its parts; NULL: see groups.c */
    bool trying_home;    /* it was given to its group's own cluster while the group is away */
    uint64_t given_ms;     /* when it was decided that this node gets it, and it might leave */
    uint64_t resend_at_ms; /* another node is asked, if this one answers nothing */
    uint64_t anew_at_ms;   /* it is to be decided anew, if nobody answers before */
    uint32_t first_node;   /* that was asked of this attempt, */
    uint64_t first_ms;     /* and when; 0: the wait for it is counted */
    uint64_t retry_at_ms; /* 0: no part is to be decided anew */
    uint32_t retry_wait_ms;
    bool elsewhere;    /* decide it anew at the next node: this one alone said BUSY */
    uint32_t refusals; /* nodes of refusal_cluster that refused this batch_id with refusal_code, as bits */
    uint32_t refusal_cluster;
    uint8_t refusal_code;
};

enum request_state { REQUEST_NEW = 0, REQUEST_HELD, REQUEST_PENDING, REQUEST_ENDED };

struct request_op {
    size_t at; /* in request->ops */
    uint32_t bytes;
    uint32_t shard;     /* of a key's operation from client_request_prepare() on */
    uint16_t key_bytes; /* 0: it has no key, or its shard was given, which is then looked for no more */
    bool write;
    bool get; /* a GET */
};

/* An operation as its sending has it. What an answer asks of it is here: those of a part are far apart in request->op. */
struct request_ordered {
    uint32_t op; /* in request->op */
    bool get;
};

struct heraclius_request {
    struct heraclius *db;
    struct heraclius_request *next; /* among the held */
    unsigned flags;
    enum request_state state;
    enum heraclius_status status;
    struct buffer ops;
    struct request_op *op;
    size_t op_count, op_room;
    struct request_ordered *order; /* operations sorted by sending and shard */
    struct heraclius_result *results;
    bool *has_result;
    struct buffer *values; /* result bytes, one buffer per answered item; a list */
    size_t values_count;
    struct receipt_bytes *receipts; /* one per operation, or NULL */
    struct sending *sendings[2];    /* reads, writes */
    uint64_t deadline_ms;
    uint64_t cancel_number; /* not 0: this is a CANCEL of that number at cancel_shard */
    uint32_t cancel_shard;
    uint64_t again_number; /* not 0: one part, sent again under this number and nonce (settle.c) */
    uint8_t again_nonce[BATCH_NONCE_BYTES];
    struct part *cancel_of; /* whose part waits for it, and which frees it when it ends; NULL: nobody's */
    bool internal;          /* the library's own: freed at its end */
    heraclius_callback *callback;
    void *argument;
    char why[HERACLIUS_TEXT_BYTES];
};

struct receipt_bytes {
    uint8_t *bytes;
    size_t count;
};

/* numbers.c: one shard's numbering of this client. */
struct numbering {
    bool known;
    bool asking;
    uint8_t refusal;    /* code with which the question was refused; 0: it was not */
    uint64_t ask_at_ms; /* not again before */
    uint64_t next;
    uint64_t floor; /* certified: at least this was the shard's floor when it was asked; 0: it was not */
};

enum journal_settled { JOURNAL_OPEN = 0, JOURNAL_ENDED /* without effect */, JOURNAL_DONE };

/* journal.c: one signed write batch of which some part is unsettled. */
/* Where a part took effect, at its shard. */
struct journal_effect {
    uint64_t height;
    uint32_t index;
};

struct journal_write {
    uint8_t *bytes;
    size_t bytes_count;
    uint16_t part_count;
    uint16_t open; /* unsettled parts */
    uint8_t *settled; /* by part: enum journal_settled */
    bool earlier;  /* of an earlier run: no request waits for it */
    struct journal_effect *effects; /* by part, of those that are JOURNAL_DONE */
};

/* A write that took effect, kept for a while in case a successor system begins from below it (follow.c). */
struct journal_kept {
    uint8_t *bytes, *settled; /* as in journal_write; no part is open */
    struct journal_effect *effects;
    size_t bytes_count;
};
enum { JOURNAL_KEPT_MAX = 256, JOURNAL_KEPT_BYTES_MAX = 1 << 20 };

/* syncer.c: one fdatasync(). SYNC_NONE: the handle's own; otherwise the syncer's. */
enum sync_state { SYNC_NONE = 0, SYNC_UNDER_WAY, SYNC_ENDED };
struct sync_job {
    struct sync_job *next;
    int fd, event; /* the journal; an eventfd, written when it ended */
    int error;     /* 0: durable */
    enum sync_state state;
};

struct journal {
    int fd;
    char *path;
    struct buffer pending; /* records not yet written */
    uint64_t file_bytes;
    uint64_t rewrite_at; /* file_bytes beyond which it is written anew */
    bool sync_wanted;    /* a record that must be durable is pending */
    bool sync_under_way; /* `sync` is the syncer's, or ended and not looked at */
    struct sync_job sync;
    uint64_t sync_from;  /* file_bytes before what it syncs */
    bool broken;         /* a write failed: the file's end is not known, the next sync writes it anew */
    bool unordered;      /* of two writes to one shard the later in `writes` may have the lower number: after a restart or a succession */
    struct journal_write *writes; /* oldest first, in the file too: what a succession reopens is sent again in this order, over crashes (S-144) */
    size_t writes_count, writes_room;
    struct journal_kept kept[JOURNAL_KEPT_MAX]; /* the newest, oldest first */
    size_t kept_count, kept_bytes;
};

/* enrolment.c: a node's newest ADMIN_STATE. */
struct admin_answer {
    bool came;
    uint8_t code, error;
    uint32_t clients, clients_max;
    uint64_t number;
    uint8_t hash[32];
};

/* HELD: connected, and the first flight waits a little: whether the other end closes before it heard anything tells a dead one behind a proxy, or one
 * that has too much to do (spec/links.md L-42), from one that does not know the key. */
enum node_state { NODE_IDLE = 0, NODE_CONNECTING, NODE_HELD, NODE_HANDSHAKE, NODE_UP };

struct node {
    struct heraclius *db;
    const struct card *card;   /* of the system file, or card_own; NULL: nobody is at this place, which a CONFIG may fill */
    struct card *card_own;     /* of a node that a CONFIG put here; NULL: none */
    uint32_t index;   /* in db->nodes */
    uint32_t cluster; /* C-6 */
    uint32_t member;
    struct address_endpoint endpoint;
    enum node_state state;
    int fd;
    bool wanted;       /* connect, and keep connected */
    bool listed;       /* in db->touched */
    struct link *link; /* while connected */
    uint8_t *receive;  /* CLIENT_RECEIVE_BYTES, while connected */
    struct buffer out;
    size_t out_sent;
    uint64_t retry_at_ms;
    uint32_t backoff_ms;
    uint64_t connecting_until_ms, held_until_ms;
    uint64_t answered_ms; /* when an answer of it verified last, to something of this client's */
    uint64_t answered_of_ms; /* when it was asked for what it has answered of the newest */
    char why[CLIENT_NODE_WHY_BYTES]; /* the last thing that went wrong; "" */
    uint64_t status_nonce;           /* nodes.c */
    bool status_asked, status_came;
    uint64_t admin_nonce, admin_ask_at_ms; /* enrolment.c */
    bool admin_asked;
    struct admin_answer admin;
    /* Handshakes in a row that it ended without a word, as it does with a key that it does not let in; since when. From the second one on they are
     * held. */
    uint32_t silent_ends;
    uint64_t silent_since_ms;
    bool chain_asked;      /* CONFIG_QUERY is under way */
    uint64_t chain_asked_ms;
    uint32_t chain_answers; /* that came over this handle's life */
    struct buffer held; /* ANSWERs of epochs not known yet: each u32 length, payload */
};

/* chain.c: one cluster's epochs. */
struct client_chain {
    struct config_chain *chain; /* through the newest entry */
    struct bft_members *epochs; /* by number */
    uint32_t epoch_count;
    struct buffer entries; /* each: u32 length, entry */
    uint32_t entry_count;
};

/* verified.c: a signature that verified. */
struct client_verified {
    uint8_t key[SIGNER_PUBLIC_KEY_BYTES], signature[SIGNER_SIGNATURE_BYTES];
    uint8_t bytes[BFT_VOTE_PREIMAGE_BYTES];
    size_t bytes_count; /* 0: none yet */
};
enum { CLIENT_VERIFIED = 256, CLIENT_KEY_SETS = 16 };

/* What the system file says, shared by the handles that were opened beside one another. */
struct client_system {
    struct system *system;
    uint32_t handles;
    struct client_verified *verified; /* CLIENT_VERIFIED of them; NULL: of one handle alone */
    struct syncer *syncer;            /* of their journals; NULL: likewise */
    struct signer_often signing;      /* no secret: tables of the nodes' keys */
    struct blocks blocks;             /* for frames that span records */
};

/* groups.c: shards that are asked through one coordinator cluster. */
struct shard_group {
    uint32_t home;       /* node index: of its cluster the one that answered last, or is tried */
    uint32_t answered;   /* node index that answered last, at first home; in another cluster than home: the group is away, and */
    uint64_t home_at_ms; /* home is not tried before */
};

struct heraclius {
    struct client_system *shared;
    const struct system *system; /* of `shared` */
    struct addresses *addresses;
    char *addresses_path;
    struct timespec addresses_time; /* of the file that was read */
    uint64_t addresses_look_ms;     /* not looked at again before */
    struct keyfile key;
    struct signer signer, signer_plain; /* the former knows what was verified (verified.c) */
    struct link_identity identity;
    struct link_config link_config;
    struct bft_members *members;        /* of the newest epoch known, by coordinator index, then shards */
    struct client_chain *config_chains; /* as the system's clusters: by coordinator index, then shards */
    char *chain_path;
    struct node *nodes;          /* places: coordinators' first, then shards', of each cluster as many as it may have */
    uint32_t node_count;
    struct node **touched; /* those that ever were to be connected: all others are idle */
    uint32_t touched_count;
    uint32_t coordinator_nodes;
    uint32_t preferred; /* node index that answered last of what has no group */
    struct shard_group *groups;
    uint32_t group_count; /* 0: there are none */
    uint32_t resend_ms;
    struct patience patience;
    struct numbering *numbers; /* by shard */
    struct journal journal;
    const char *predecessor_path, *statement_path, *predecessor_chain_path; /* of the options, while it is opened; NULL: none */
    bool follows;                                  /* a journal of this system is taken over: */
    uint8_t followed_id[16];
    struct sending *sendings;
    struct heraclius_request *held;
    struct part *chains[CLIENT_CHAINS];
    int epoll;
    int ended; /* requests that ended in this poll */
    struct heraclius_counters counters;
    struct client_backup *backups; /* that are being taken: client/backup.h */
    struct heraclius_node_status *statuses, *shown; /* by place; those with somebody there, as heraclius_nodes() gave them last */
    struct heraclius_enrolment *enrolments; /* by coordinator cluster */
    char summary[HERACLIUS_TEXT_BYTES];
};

/* request.c */
bool client_request_prepare(struct heraclius_request *request);          /* shards, order, results; false: request->why */
bool client_request_build(struct heraclius_request *request);            /* parts and batches; numbers must be known; false: no memory */
bool client_sending_rebuild(struct sending *sending);                    /* the open parts anew: next attempt, present floor */
const uint8_t *client_sending_id(struct sending *sending);               /* batch_id (O-50), of its bytes as they are */
void client_part_digest(struct part *part);                              /* anew, after its number changed */
void client_request_release(struct heraclius_request *request);          /* sendings and results go */
struct heraclius_request *client_request_internal(struct heraclius *db); /* empty, internal */
/* The operation appended last, if it was, is of this shard: its key is not hashed again. Whoever is wrong is told so by the shard (WRONG-SHARD). */
void client_request_placed(struct heraclius_request *request, uint32_t shard);
void client_request_client_state(struct heraclius_request *request, uint32_t shard);
void client_request_why(struct heraclius_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The number that a CANCEL or a repeated write must carry, journaled by an earlier sending; 0: it gets a new one. */
static inline uint64_t client_request_number(const struct heraclius_request *request) {
    return request->cancel_number ? request->cancel_number : request->again_number;
}

/* numbers.c */
bool client_numbers_ready(struct heraclius *db, struct heraclius_request *request, uint64_t now_ms); /* asks if need be */
uint8_t client_numbers_refusal(const struct heraclius *db, const struct heraclius_request *request, uint64_t now_ms, uint32_t *shard); /* 0: none */
bool client_numbers_known(struct heraclius *db, uint32_t shard, uint64_t now_ms);  /* asks if need be */
bool client_numbers_room(const struct heraclius *db, uint32_t shard);              /* is the next number within the window? */
void client_numbers_forget(struct heraclius *db, uint32_t shard, uint64_t number); /* `number` was behind: ask anew, unless that was done since */
uint64_t client_numbers_take(struct heraclius *db, uint32_t shard);
uint64_t client_numbers_floor(const struct heraclius *db, uint32_t shard);

/* journal.c */
bool client_journal_is_own(const struct heraclius *db, const char *key_path); /* there is one, of this system and key */
enum heraclius_status client_journal_open(struct heraclius *db, const char *key_path, char *why);
void client_journal_close(struct heraclius *db);
bool client_journal_sent(struct heraclius *db, const struct sending *sending);   /* queues a record; false: no memory */
void client_journal_unsent(struct heraclius *db, const struct sending *sending); /* its sync failed, it never left: forgotten */
bool client_journal_next(struct heraclius *db, uint32_t shard, uint64_t next);
/* `height` and `index` of the effect at the shard; height 0: it had none. */
bool client_journal_settled(struct heraclius *db, uint32_t shard, uint64_t number, uint64_t height, uint32_t index);
/* What took effect is unsettled again, as of an earlier run; false: no memory. */
bool client_journal_reopen(struct journal *journal, const struct journal_kept *kept);
bool client_journal_sync(struct heraclius *db); /* false: the disk said no; errno */
/* The same, beside others: true if it goes on by itself, until client_journal_sync_ended(). False: it is over, *synced and errno as above. */
bool client_journal_sync_begin(struct heraclius *db, bool *synced);
bool client_journal_sync_ended(struct heraclius *db, bool *synced); /* false: it goes on */

/* syncer.c */
struct syncer *client_syncer_make(void);          /* NULL: no memory */
void client_syncer_free(struct syncer *syncer);   /* all jobs have ended */
bool client_syncer_put(struct syncer *syncer, struct sync_job *job); /* false: there is no thread, and it is the caller's to sync */
/* True: it is the handle's again. `wait`: until then. */
bool client_syncer_ended(struct syncer *syncer, struct sync_job *job, bool wait);

/* verified.c */
void client_signer_make(struct heraclius *db); /* after key and shared */
bool client_verified_begin(struct client_system *shared); /* there is more than one handle now; false: no memory */

/* settle.c */
/* What heraclius_settle() submits next; there is an unsettled write. NULL: no memory. */
struct heraclius_request *client_settle_request(struct heraclius *db, enum heraclius_settle how);

/* follow.c */
bool client_follow(struct heraclius *db, char *why); /* predecessor and statement are valid: its journals may be taken over */
void client_kept_add(struct journal *journal, const struct journal_write *write); /* takes its memory over */
bool client_kept_reopen(struct heraclius *db); /* those above the successor's origins are unsettled again, in their order; false: no memory */
void client_kept_free(struct journal *journal);

/* open.c */
void client_shards_of(const struct heraclius *db, const uint8_t *const keys[SIPHASH_LANES], size_t key_bytes, uint32_t shards[SIPHASH_LANES]);
/* Once in a program, by whichever of its threads calls the library first; the others wait. False: the self-test failed. */
bool client_signatures_start(void);
/* addresses.json again, if it has changed: nodes that moved are dialled where they are now. A bad file changes nothing. */
void client_addresses_look(struct heraclius *db, uint64_t now_ms);

/* connection.c */
/* Does this node seem not to let this client's key in? So often and so long that neither a restart nor a crowd explains it. */
bool client_node_shut_out(const struct node *node, uint64_t now_ms);
void client_node_want(struct node *node, uint64_t now_ms);
/* To be called by it: heraclius_poll() looks at no other nodes. */
static inline void client_node_list(struct node *node) {
    if (!node->listed) node->db->touched[node->db->touched_count++] = node;
    node->listed = true;
}
void client_node_event(struct node *node, uint32_t events, uint64_t now_ms);
void client_node_tick(struct node *node, uint64_t now_ms);
void client_node_close(struct node *node, const char *why, uint64_t now_ms);
void client_node_replace(struct node *node, struct card *card); /* another node is in its place; takes the card over */
bool client_node_send(struct node *node, uint16_t type, const void *payload, size_t payload_bytes, uint64_t now_ms); /* node is up */

/* engine.c */
void client_engine_up(struct node *node, uint64_t now_ms);
void client_engine_down(struct node *node, uint64_t now_ms);
void client_engine_start(struct heraclius_request *request, uint64_t now_ms); /* built: into the lists, numbers taken */
void client_engine_part_done(struct part *part);                              /* state changed to settled or refused */
void client_engine_part_retry(struct part *part, uint8_t code, uint32_t wait_ms, uint64_t now_ms);
/* `height`: at the shard; 0: the coordinator's answer, or nodes' uncertified word. */
void client_engine_part_refused(struct part *part, uint8_t code, uint64_t height, uint64_t now_ms);
void client_engine_part_end(struct part *part, enum part_state state, uint64_t height);
void client_engine_cancels_drop(struct sending *sending); /* those that its parts wait for */
void client_engine_end(struct heraclius_request *request, enum heraclius_status status);
void client_digest_insert(struct heraclius *db, struct part *part);
void client_digest_remove(struct heraclius *db, struct part *part);
struct part *client_digest_find(struct heraclius *db, const uint8_t digest[32]);

/* groups.c */
/* Of the `groups` of a system: that of a shard; the first coordinator cluster of one, all before that of the next being of it too. */
static inline uint32_t client_group_of_shard(uint32_t shard, uint32_t groups, uint32_t shards) {
    return (uint32_t)((uint64_t)shard * groups / shards);
}
static inline uint32_t client_group_cluster(uint32_t group, uint32_t groups, uint32_t coordinators) {
    return (uint32_t)((uint64_t)group * coordinators / groups);
}
bool client_groups_open(struct heraclius *db); /* after the nodes; false: no memory */
uint32_t client_group_first(struct sending *sending, uint64_t now_ms); /* the node it begins at */
uint32_t client_group_next(struct sending *sending, uint64_t now_ms);  /* after the one that has it */
void client_group_answered(const struct sending *sending, const struct node *node, uint64_t now_ms); /* verified */

/* renew.c */
bool client_renew_begin(struct part *part, uint8_t code, uint64_t height); /* false: the refusal stands */
bool client_renew_go(struct sending *sending, uint64_t now_ms);            /* true: its request has ended, and may be gone */
bool client_renew_end(struct sending *sending);                            /* out of time: what waits for numbers is refused; true: as above */

/* answer.c */
void client_answer_code(struct part *part, uint8_t code, uint64_t height); /* as the result of each of its operations */
void client_answer_frame(struct node *node, uint16_t type, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms);

/* enrolment.c */
void client_enrolment_answer(struct node *node, const uint8_t *payload, size_t payload_bytes);
/* chain.c */
bool client_chain_open(struct heraclius *db, const char *key_path); /* false: no memory */
void client_chain_close(struct heraclius *db);
struct client_chain *client_chain_find(const struct heraclius *db, uint32_t cluster); /* NULL: no such cluster */
const struct bft_members *client_chain_members(const struct heraclius *db, uint32_t cluster, uint64_t epoch); /* NULL: not known */
const struct config *client_chain_config(const struct heraclius *db, uint32_t cluster);                      /* of the newest epoch known */
void client_chain_ask(struct node *node, uint64_t now_ms);
void client_chain_hold(struct node *node, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms); /* until the chain is there */
bool client_chain_take(struct node *node, const uint8_t *payload, size_t payload_bytes, bool *news);      /* false: it does not verify */
bool client_chain_whole(const struct heraclius *db, uint32_t cluster, struct buffer *out); /* all that is known, as CONFIG_CHAIN */
bool client_chain_payload(const struct heraclius *db, uint32_t cluster, uint64_t epoch, struct buffer *out); /* as a receipt carries it */

/* nodes.c */
/* Asks the nodes of a cluster until these places of it (by bit) have stated that they vote in this epoch or a later one, or the time is over; the
 * places that did. */
uint32_t client_nodes_voting(struct heraclius *db, uint32_t cluster, uint64_t epoch, uint32_t places, uint32_t timeout_ms);

/* config.c */
/* Until f+1 nodes of the cluster said what they have of its chain, or the time is over; how many did. */
uint32_t client_config_fetch(struct heraclius *db, uint32_t cluster, uint32_t timeout_ms);
/* Hands a CONFIG or SEAL to all nodes of its cluster until the chain has its serial (DONE), or f+1 nodes say the same no (REFUSED), or the time is
 * over (UNAVAILABLE: it may still take effect). `why` says which node said what. */
enum heraclius_status client_config_submit(struct heraclius *db, const struct admin_op *operation, const uint8_t *bytes, size_t count,
                                           uint32_t timeout_ms, char *why);
/* Has all nodes of the cluster let the new members of this signed CONFIG observe (O-55), until each took it, or f+1 say the same no (REFUSED), or the
 * time is over: OK if more than f took it, among them an honest one. */
enum heraclius_status client_config_announce(struct heraclius *db, uint32_t cluster, const uint8_t *bytes, size_t count, uint32_t timeout_ms,
                                             uint32_t *took, char *why) __attribute__((warn_unused_result));

/* nodes.c */
void client_nodes_answer(struct node *node, const uint8_t *payload, size_t payload_bytes);

#endif
