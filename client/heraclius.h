/*
 * libheraclius: verified reads and writes of a Heraclius system.
 *
 * What it gives
 *   Every answer that you get here is proved: a quorum of a coordinator cluster signed the decision that holds it, the proof leads from there to the
 *   answer, and the answer names your request's digest. A node that lies, is slow or is down costs time, never a wrong answer: the library goes on
 *   to another node. Writes take effect once, however often they are sent: each carries a number, and is on your disk before it leaves.
 *
 * In twenty lines (client/examples/hello.c is this, whole):
 *
 *     struct heraclius *db;
 *     char why[HERACLIUS_TEXT_BYTES];
 *     struct heraclius_options options = {.system_path = "local/system.json"};
 *     if (heraclius_open(&db, &options, why) != HERACLIUS_OK) { fputs(why, stderr); return 1; }
 *     struct heraclius_request *request = heraclius_request_new(db);
 *     heraclius_put(request, "hello", 5, "world", 5);
 *     enum heraclius_status status = heraclius_call(request, 5000);
 *     const struct heraclius_result *result = heraclius_result_at(request, 0);
 *     ...
 *     heraclius_request_free(request);
 *     heraclius_close(db);
 *
 * Requests
 *   A request is a list of operations. Those for one shard travel as one part; a part is answered as a whole. With HERACLIUS_ATOMIC all operations
 *   must belong to one shard (keys with the same {tag} do), and either all of them happen or none.
 *
 *   Any coordinator node may take any request, and a handle stays with one that answers. Where there are several coordinator clusters and several
 *   shards, the shards are divided among the clusters, evenly and in their order, and a request whose keys are all of one cluster's shards goes to a
 *   node of that cluster. That costs the system least: a cluster sends each shard of whose keys it has an operation something to verify. A request
 *   with keys of several clusters' shards goes as a whole to one node, which the client's key chooses; who has many operations does well to make a
 *   request for each shard (heraclius_shard_of()). So a handle has up to one link for each cluster. With the option `via` all begins at the node
 *   named. Without an answer the library goes on to other nodes of the cluster, then to other clusters; then it tries the first one with one request
 *   in ten times resend_ms, until that is answered.
 *
 *   Asynchronous: heraclius_submit() with a callback, then heraclius_poll() in your loop (or wait on heraclius_descriptor() with poll or epoll and
 *   call heraclius_poll(db, 0)). Blocking: heraclius_call(). Both may be mixed. A handle and its requests belong to one thread.
 *
 * When is a write done, when has it failed?
 *   HERACLIUS_DONE          every part has a certified answer: look at each result's code. That also holds for "no" (HERACLIUS_MISMATCH, ...).
 *   HERACLIUS_UNSETTLED     no certified outcome in time: the write may yet happen. It stays in the journal beside your key, and
 *                           heraclius_settle() finds out what became of it, by retry or by cancelling. Never treat it as failed before that.
 *   HERACLIUS_REFUSED       certified, or told by enough nodes and then cancelled: it has not happened and will not (rights, revoked, number
 *                           reused); TOO_OLD: it can happen no more, its record is gone. Each operation's result has the code. A write whose
 *                           number was behind (an old journal was restored) gets a second number by itself and does not end so,
 *                           unless an earlier sending of it may have happened.
 *   HERACLIUS_UNAVAILABLE   a read without a verified answer in time, or BUSY to the end: nothing that has no result was changed.
 *   A request over several shards may end so and yet have results of some: heraclius_result_at() tells.
 *
 * Files
 *   The system file, `addresses.json` beside it, your key file (mode 0600, locked while open) and its journal KEYFILE.journal, which holds next
 *   numbers and unsettled signed writes. Losing the journal is safe, and so is restoring an old one: the library asks the shards where you stand.
 *   Using copies of a key file in two places is not.
 *
 * Errors are one enum; texts are static or in the caller's buffer. Nothing is printed. No thread is started for one handle; handles that were opened
 * beside another have eight small ones together, which do nothing but sync journals: what many keys write at once is made durable at once. After
 * fork() the child has none of these threads: a handle is used and closed only in the process that opened it. Memory: about 100 KiB per handle,
 * per request what its operations and results take, and for all handles that were opened beside one another what the answers take that come just
 * now, of which 16 MiB may be kept for some two seconds, and until one of them is polled.
 */
#ifndef HERACLIUS_H
#define HERACLIUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HERACLIUS_API __attribute__((visibility("default")))
#define HERACLIUS_VERSION "1.0.0"

struct heraclius;
struct heraclius_request;

enum {
    HERACLIUS_TEXT_BYTES = 1024,   /* room for an error text */
    HERACLIUS_KEY_BYTES_MAX = 256, /* a system may allow less */
    HERACLIUS_VALUE_BYTES_MAX = 65536,
};

enum heraclius_status {
    HERACLIUS_OK = 0,
    HERACLIUS_DONE = 0,
    HERACLIUS_PENDING = 1,
    HERACLIUS_UNSETTLED = 2,
    HERACLIUS_REFUSED = 3,
    HERACLIUS_UNAVAILABLE = 4,
    HERACLIUS_BAD_ARGUMENT = 5, /* key or value too long, empty request, atomic list over several shards: the text says which */
    HERACLIUS_BAD_FILE = 6,     /* system, address, key or journal file: unreadable, invalid, of another system */
    HERACLIUS_KEY_IN_USE = 7,   /* another process has the key file open */
    HERACLIUS_NO_RESOURCES = 8, /* memory, descriptors, disk full while writing the journal */
};

/* Codes of single results; the same numbers as spec/operations.md O-7. */
enum heraclius_code {
    HERACLIUS_CODE_OK = 0,
    HERACLIUS_CODE_ABSENT = 1,
    HERACLIUS_CODE_EXISTS = 2,
    HERACLIUS_CODE_MISMATCH = 3,
    HERACLIUS_CODE_CHECK_FAILED = 4,
    HERACLIUS_CODE_BELOW_FLOOR = 5,
    HERACLIUS_CODE_WRONG_TYPE = 6,
    HERACLIUS_CODE_OVERFLOW = 7,
    HERACLIUS_CODE_NOT_EXECUTED = 8,
    HERACLIUS_CODE_UNSUPPORTED = 9,
    HERACLIUS_CODE_LIMIT = 10,
    HERACLIUS_CODE_TABLE_FULL = 11,
    HERACLIUS_CODE_WRONG_SHARD = 12,
    HERACLIUS_CODE_RECORDED = 13,
    HERACLIUS_CODE_CANCELLED = 14,
    HERACLIUS_CODE_RIGHTS = 16,
    HERACLIUS_CODE_QUOTA = 17,
    HERACLIUS_CODE_REVOKED = 18,
    HERACLIUS_CODE_TOO_OLD = 19,
    HERACLIUS_CODE_TOO_NEW = 20,
    HERACLIUS_CODE_BUSY = 21,
    HERACLIUS_CODE_REUSED = 23,
    HERACLIUS_CODE_MALFORMED = 24,
    HERACLIUS_CODE_RECORDS_FULL = 25,
};

struct heraclius_options {
    const char *system_path;    /* required */
    const char *addresses_path; /* NULL: addresses.json in the system file's folder */
    const char *key_path;       /* NULL: client.key in the system file's folder */
    const char *via;            /* name of the node to try first, with whatever it is; NULL: chosen by what is asked and by the client's key */
    uint32_t resend_ms;         /* ask one more node after so long without an answer, up to 4 times that if it answers others as late; 0: 1,000 */
    uint32_t lock_wait_ms;      /* wait so long for another process to let go of the key file */
    /* NULL, or an open handle of the same system file and of this thread: the file is not read again, what it says is shared, journals are synced by
     * threads. For many clients in one program. Either may be closed first. */
    struct heraclius *beside;
    /* After a succession (both or neither): the system file before system_path's, and the statement that its administrators signed. If it is valid,
     * a journal of the old system is taken over, for good: what was unsettled, and what took effect above the states that the successor goes on
     * from (the newest 256 such writes, 1 MiB), is unsettled now. Call heraclius_settle() with HERACLIUS_SETTLE_RETRY before anything else: it
     * sends them again in their order, and each takes effect once.
     * Who the administrators were in the end, a chain of CONFIGs shows: the file `chain` of a backup of any cluster of the old system, the newest
     * that there is. It may be NULL if this client has come to know of a CONFIG there, and keeps its chain beside the key. */
    const char *predecessor_path;
    const char *statement_path;
    const char *predecessor_chain_path;
};

struct heraclius_version {
    uint64_t height; /* 0 and 0: none */
    uint32_t index;
};

struct heraclius_result {
    enum heraclius_code code;
    bool has_value; /* false: none, too long for what the read accepts (value_bytes tells), or not kept (a repeated write) */
    bool has_version;
    bool recorded;        /* done by an earlier sending of the same write */
    const uint8_t *value; /* lives as long as the request */
    uint32_t value_bytes;
    struct heraclius_version version;
    uint64_t height; /* shard height at which it was executed */
    uint32_t shard;  /* shard's number, from 0 */
};

/* Opens files, checks them, reads the journal; connects on first use. On failure *db is NULL and `why` (HERACLIUS_TEXT_BYTES) says what is wrong,
 * in which file, and what to do. */
HERACLIUS_API enum heraclius_status heraclius_open(struct heraclius **db, const struct heraclius_options *options, char *why);
/* Requests must have been freed. Unsettled writes stay in the journal. NULL is fine. */
HERACLIUS_API void heraclius_close(struct heraclius *db);

/* Requests. NULL: no memory. A request may be used again after heraclius_request_reset(), not while it is pending. */
enum heraclius_flags { HERACLIUS_ATOMIC = 1, HERACLIUS_RECEIPT = 2 };
HERACLIUS_API struct heraclius_request *heraclius_request_new(struct heraclius *db);
HERACLIUS_API void heraclius_request_flags(struct heraclius_request *request, unsigned flags);
HERACLIUS_API void heraclius_request_reset(struct heraclius_request *request);
/* A pending request is let go: a read is forgotten, a write stays unsettled. */
HERACLIUS_API void heraclius_request_free(struct heraclius_request *request);

/* Operations, appended. They copy key and value. A bad argument makes the request fail at submit, with the text of heraclius_why(). `accept_bytes`:
 * the longest value wanted. Numbers are canonical decimals; an absent key counts as 0. */
HERACLIUS_API void heraclius_get(struct heraclius_request *request, const void *key, size_t key_bytes, uint32_t accept_bytes, bool with_version);
HERACLIUS_API void heraclius_put(struct heraclius_request *request, const void *key, size_t key_bytes, const void *value, size_t value_bytes);
HERACLIUS_API void heraclius_put_if_absent(struct heraclius_request *request, const void *key, size_t key_bytes, const void *value,
                                           size_t value_bytes);
HERACLIUS_API void heraclius_cas(struct heraclius_request *request, const void *key, size_t key_bytes, const void *expected, size_t expected_bytes,
                                 const void *value, size_t value_bytes);
HERACLIUS_API void heraclius_cas_version(struct heraclius_request *request, const void *key, size_t key_bytes, struct heraclius_version expected,
                                         const void *value, size_t value_bytes);
HERACLIUS_API void heraclius_delete(struct heraclius_request *request, const void *key, size_t key_bytes);
/* floor NULL: none. */
HERACLIUS_API void heraclius_add(struct heraclius_request *request, const void *key, size_t key_bytes, int64_t delta, const int64_t *floor);
/* expected NULL: must be absent. */
HERACLIUS_API void heraclius_check(struct heraclius_request *request, const void *key, size_t key_bytes, const struct heraclius_version *expected);

/* Number of operations so far; which shard (from 0) a key belongs to. */
HERACLIUS_API size_t heraclius_request_count(const struct heraclius_request *request);
HERACLIUS_API uint32_t heraclius_shard_of(const struct heraclius *db, const void *key, size_t key_bytes);

/* Called once, from heraclius_poll() or heraclius_call(), when the request is no longer pending; may submit, reset and free this and other requests.
 * It must not call heraclius_poll(), _call(), _settle(), _nodes() or _close(). */
typedef void heraclius_callback(struct heraclius_request *request, enum heraclius_status status, void *argument);

/* Sends. HERACLIUS_OK: the callback will come. Anything else: nothing was sent and the callback will not come. Writes are made durable at the next
 * heraclius_poll(), many at once, and leave after that. */
HERACLIUS_API enum heraclius_status heraclius_submit(struct heraclius_request *request, uint32_t timeout_ms, heraclius_callback *callback,
                                                     void *argument);
/* Sends and waits. */
HERACLIUS_API enum heraclius_status heraclius_call(struct heraclius_request *request, uint32_t timeout_ms);
/* Does what there is to do, waiting at most timeout_ms (-1: until something happened). Returns the number of requests that ended. */
HERACLIUS_API int heraclius_poll(struct heraclius *db, int timeout_ms);
/* Readable when heraclius_poll(db, 0) has something to do; call it at least every 20 ms all the same while requests are pending. */
HERACLIUS_API int heraclius_descriptor(const struct heraclius *db);

/* After the end of a request. */
HERACLIUS_API enum heraclius_status heraclius_request_status(const struct heraclius_request *request);
/* NULL beyond the last operation, or if the operation's part has no answer (unsettled, unavailable: see heraclius_why). */
HERACLIUS_API const struct heraclius_result *heraclius_result_at(const struct heraclius_request *request, size_t index);
/* What was tried and why it failed, node by node; "" when done. Lives as long as the request and until its next submit. */
HERACLIUS_API const char *heraclius_why(const struct heraclius_request *request);
/* The receipt of one operation (the request had HERACLIUS_RECEIPT). NULL without an answer, and if the answer was too large for one: the operation is
 * done, its result is proved to you, but there is nothing to keep. Lives as long as the request. */
HERACLIUS_API const uint8_t *heraclius_receipt_at(const struct heraclius_request *request, size_t index, size_t *bytes);

/* Unsettled writes of this key, of this run and of earlier ones. */
HERACLIUS_API size_t heraclius_unsettled_count(const struct heraclius *db);
struct heraclius_unsettled {
    uint32_t shard;
    uint64_t number;
    uint32_t op_count;
    const char *summary; /* "put hello", "add {bob}balance and 2 more": operations and keys, never values */
};
/* Fills in the index-th; false beyond the last. Lives until the next call on this handle. */
HERACLIUS_API bool heraclius_unsettled_at(struct heraclius *db, size_t index, struct heraclius_unsettled *out);
enum heraclius_settle { HERACLIUS_SETTLE_RETRY, HERACLIUS_SETTLE_CANCEL };
/* What became of one unsettled write: op_count results by heraclius_result_at on the request that the callback hands over. */
typedef void heraclius_settled(const struct heraclius_unsettled *write, enum heraclius_code code, void *argument);
/* Settles all of them, by sending the signed bytes again or by CANCEL, calling `settled` for each; blocking. HERACLIUS_DONE: none is left.
 * HERACLIUS_NO_RESOURCES: no memory, or the journal could not be made durable first, in time. */
HERACLIUS_API enum heraclius_status heraclius_settle(struct heraclius *db, enum heraclius_settle how, uint32_t timeout_ms, heraclius_settled *settled,
                                                     void *argument, char *why);

/* Receipts, offline. */
struct heraclius_receipt {
    uint32_t cluster; /* of coordinators, from 0 */
    uint64_t height;  /* of the coordinator's decision */
    uint64_t epoch;   /* relative to whose members it was judged */
    uint64_t time_ms; /* cluster time, not a calendar's */
    uint32_t signers; /* how many members signed */
    uint32_t members;
    uint8_t client_id[32];
    uint8_t part_digest[32];
    const char *operation; /* "get", "put", ... */
    const uint8_t *key;
    uint32_t key_bytes;
    const uint8_t *argument; /* value put, expected value, ...; NULL if none */
    uint32_t argument_bytes;
    struct heraclius_result result; /* shard, shard height, code, value, version */
    uint32_t shard_index;
};
/* HERACLIUS_OK: it verifies, and *out is filled in, pointing into `bytes`. Otherwise `why` says what does not hold. Reads the system file only. */
HERACLIUS_API enum heraclius_status heraclius_receipt_verify(const char *system_path, const uint8_t *bytes, size_t bytes_count,
                                                             struct heraclius_receipt *out, char *why);

/* What happened on this handle since it was opened. */
struct heraclius_counters {
    uint64_t answers;               /* answer messages that verified */
    uint64_t verification_failures; /* answer messages, items or results that did not: each one is a node that lies or is broken */
    uint64_t unasked;               /* verified items that match no pending request (late, repeated) */
    uint64_t resends;
    uint64_t busy; /* parts answered BUSY, QUOTA, TOO-NEW, RECORDS-FULL, certified or not: each is tried again after a while */
    uint64_t busy_operations; /* in these */
    uint64_t links_opened;
    uint64_t links_lost;
};
HERACLIUS_API void heraclius_counters_get(const struct heraclius *db, struct heraclius_counters *out);

/* A node's statement about itself and its peers, as `heraclius status` shows them: signed by those who state it, but proved by nobody. */
struct heraclius_node_status {
    const char *name;
    uint32_t cluster; /* as in the spec: 0x00010000 + i coordinator, 0x00020000 + j shard */
    uint32_t member;
    bool reached;       /* it answered us */
    bool heard;         /* a signed status of it is known, from itself or from a peer */
    uint32_t witnesses; /* how many nodes showed us one no older than this */
    uint64_t epoch, view, height, time_ms;
    uint8_t block_id[32];
    bool voting, timed_out; /* of one that answered: by its own statement, which it showed itself */
    bool silent;     /* it answered, and showed no statement of its own: retired, observing, or not ready to sign yet */
    bool shut_out;   /* it does not let this client's key in: a shard knows the clients of the system file alone */
    const char *why; /* if not reached */
};
/* Asks every node of the system, waiting at most timeout_ms. The array lives until the next call on this handle. */
HERACLIUS_API enum heraclius_status heraclius_nodes(struct heraclius *db, uint32_t timeout_ms, const struct heraclius_node_status **nodes,
                                                    size_t *count);

/* Enrolments (spec chapter 7.6): administrators' numbered operations, decided by each coordinator cluster for itself. */
enum heraclius_admin_code {
    HERACLIUS_ADMIN_STATE = 0,
    HERACLIUS_ADMIN_WAITS = 1,   /* held, not yet decided */
    HERACLIUS_ADMIN_DONE = 2,    /* it is the newest that had an effect */
    HERACLIUS_ADMIN_NUMBER = 3,  /* not the next number, or another predecessor */
    HERACLIUS_ADMIN_INVALID = 4, /* form or signatures; `why` names the error */
    HERACLIUS_ADMIN_CLIENT = 5,  /* enrolled already, unknown, revoked, or no room for another */
    HERACLIUS_ADMIN_BUSY = 6,
    HERACLIUS_ADMIN_ELSEWHERE = 7,
};
/* What f+1 nodes of a cluster state, of which at least one is honest; proved by nobody. */
struct heraclius_enrolment {
    uint32_t cluster; /* 0x00010000 + i */
    bool known;       /* f+1 nodes state the rest; else as many as stated_by */
    uint32_t stated_by;
    uint64_t number; /* of the newest enrolment that had an effect, 0: none since the system file */
    uint8_t hash[32];
    uint32_t clients, clients_max; /* on record, revoked ones too */
    enum heraclius_admin_code code;
    const char *why; /* never NULL */
};
/* Each coordinator cluster's, by ascending cluster. The array lives until the next call on this handle. HERACLIUS_UNAVAILABLE: not of all in time. */
HERACLIUS_API enum heraclius_status heraclius_enrolments(struct heraclius *db, uint32_t timeout_ms, const struct heraclius_enrolment **list,
                                                         size_t *count);
/* Hands a signed operation with this number to all nodes of a cluster until f+1 of them say what became of it. HERACLIUS_DONE: it has its effect
 * there. HERACLIUS_REFUSED: out->code says why not. HERACLIUS_UNAVAILABLE: not known in time; try again, it takes effect once. */
HERACLIUS_API enum heraclius_status heraclius_admin(struct heraclius *db, uint32_t cluster, const uint8_t *operation, size_t operation_bytes,
                                                    uint64_t number, uint32_t timeout_ms, struct heraclius_enrolment *out);

HERACLIUS_API const char *heraclius_code_name(enum heraclius_code code);
HERACLIUS_API const char *heraclius_status_name(enum heraclius_status status);
/* The limits of the opened system that a caller may need. */
struct heraclius_limits {
    uint32_t shards, coordinators;
    uint32_t key_bytes_max, value_bytes_max, request_ops_max, request_bytes_max, read_bytes_default;
};
HERACLIUS_API void heraclius_limits_get(const struct heraclius *db, struct heraclius_limits *out);

#ifdef __cplusplus
}
#endif
#endif
