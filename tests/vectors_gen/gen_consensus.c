/* Vectors of spec/consensus.md for n = 4 to 7, with real Ed25519 signatures: headers, preimages, each message, certificates, and negative cases. The
 * error of each case is written here by hand; the code under test is then checked to give it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bft/certificate.h"
#include "merkle/check.h"
#include "protocol/evidence.h"
#include "protocol/leaf.h"
#include "protocol/slice.h"
#include "tests/vectors_gen/gen.h"
#include "tests/vectors_gen/gen_json.h"

enum { ROOM = 1 << 16, START = 40 };

struct world {
    struct bft_members members;
    struct ed25519_secret secrets[BFT_MEMBERS_MAX];
    struct bft_header genesis, one, two, three; /* a chain in views 0, 0, 2; `one` ends no epoch */
    json_t *cases, *evidence;
    uint32_t n;
};

static const uint8_t empty_body[4];
static uint8_t bytes[ROOM];

static void set_number(json_t *object, const char *name, uint64_t value) {
    char text[24];
    if (value <= (1ull << 53)) {
        CHECK(json_object_set_new(object, name, json_integer((json_int_t)value)) == 0);
        return;
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    CHECK(json_object_set_new(object, name, json_string(text)) == 0);
}

/* ---- the world: members, and a chain ---- */

static struct bft_header child(const struct world *w, const struct bft_header *parent, uint64_t view, uint8_t salt) {
    struct bft_header header;
    memset(&header, 0, sizeof header);
    header.place = w->members.place;
    header.view = view;
    header.height = parent->height + 1;
    header.parent_id = bft_header_id(parent);
    header.body_hash = bft_body_hash(empty_body, 4);
    header.outbox_root = bft_outbox_root_empty();
    memset(header.state_root.bytes, 0x51 + salt, 32);
    memset(header.cursors_hash.bytes, 0x61, 32);
    header.time = 1700000000000 + salt;
    return header;
}

static void world_init(struct world *w, uint32_t n) {
    memset(w, 0, sizeof *w);
    w->n = n;
    struct bft_place place = {.cluster = 0x00020000 + n, .epoch = 0};
    memset(place.system_id, 0x10 + (int)n, sizeof place.system_id);
    memset(place.config_hash.bytes, 0x20 + (int)n, 32);
    uint8_t keys[BFT_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES];
    for (uint32_t i = 0; i < n; i++) {
        uint8_t seed[32];
        memset(seed, (int)(n * 16 + i), sizeof seed);
        (void)!ed25519_secret_init(&w->secrets[i], seed);
        memcpy(keys[i], w->secrets[i].expanded + 32, 32);
    }
    struct bft_hash root, cursors;
    memset(root.bytes, 0x31, 32);
    memset(cursors.bytes, 0x61, 32);
    bft_genesis_header(&w->genesis, place.system_id, &place.config_hash, place.cluster, START, &root, &cursors);
    struct bft_point start = {START, bft_header_id(&w->genesis)};
    CHECK(bft_members_init(&w->members, &place, &start, n, (const uint8_t(*)[SIGNER_PUBLIC_KEY_BYTES])keys));
    w->members.height_last = START + 2;
    w->one = child(w, &w->genesis, 0, 1);
    w->two = child(w, &w->one, 0, 2);
    w->three = child(w, &w->two, 2, 3);
}

static void sign(struct world *w, struct bft_message *message, uint8_t member) {
    struct signer signer = signer_ed25519(&w->secrets[member]);
    bft_message_sign(&signer, message);
}

static struct bft_qc make_qc(struct world *w, const struct bft_header *header, enum bft_vote_kind kind, uint32_t first, uint32_t count) {
    struct bft_qc qc;
    memset(&qc, 0, sizeof qc);
    struct bft_hash id = bft_header_id(header);
    bft_header_ballot(header, &id, &qc.ballot);
    qc.kind = (uint8_t)kind;
    for (uint8_t i = (uint8_t)first; i < w->n && qc.count < count; i++) {
        struct bft_message message = {.type = kind == BFT_PREPARE ? BFT_MESSAGE_PREPARE : BFT_MESSAGE_COMMIT};
        message.vote.ballot = qc.ballot;
        message.vote.kind = (uint8_t)kind;
        sign(w, &message, i);
        qc.signers[qc.count] = i;
        qc.signatures[qc.count++] = message.vote.signature;
    }
    return qc;
}

static struct bft_timeout make_timeout(struct world *w, uint64_t view, const struct bft_qc *qc, uint8_t member) {
    struct bft_message message = {.type = BFT_MESSAGE_TIMEOUT};
    struct bft_timeout *timeout = &message.timeout;
    timeout->place = w->members.place;
    timeout->view = view;
    timeout->signer = member;
    timeout->high.block = w->members.start;
    if (qc) {
        timeout->qc = *qc;
        timeout->high = (struct bft_high){qc->ballot.view, {qc->ballot.height, qc->ballot.block_id}};
    }
    sign(w, &message, member);
    return message.timeout;
}

/* The first member states `high`, the others `low`. */
static struct bft_tc make_tc(struct world *w, uint64_t view, const struct bft_qc *high, const struct bft_qc *low, uint32_t count) {
    struct bft_tc tc;
    memset(&tc, 0, sizeof tc);
    tc.place = w->members.place;
    tc.view = view;
    for (uint8_t i = 0; i < count; i++) {
        struct bft_timeout timeout = make_timeout(w, view, i == 0 ? high : low, i);
        tc.signers[i] = i;
        tc.highs[i] = timeout.high;
        tc.signatures[i] = timeout.signature;
        tc.count++;
    }
    if (high) tc.qc = *high;
    return tc;
}

/* ---- cases ---- */

static void add(struct world *w, const char *name, const char *what, uint32_t type, size_t count, const char *error) {
    json_t *item = json_object();
    CHECK(item != NULL);
    CHECK(json_object_set_new(item, "name", json_string(name)) == 0);
    CHECK(json_object_set_new(item, "what", json_string(what)) == 0);
    set_number(item, "n", w->n);
    if (type != 0) set_number(item, "type", type);
    gen_set_hex(item, "bytes", bytes, count);
    CHECK(json_object_set_new(item, "error", json_string(error)) == 0);
    CHECK(json_array_append_new(w->cases, item) == 0);
}

/* Decodes and verifies `bytes`; the error must be what the case says. */
static void message_bytes(struct world *w, const char *name, uint16_t type, size_t count, const char *error) {
    struct bft_message message;
    struct signer verifier = signer_ed25519(NULL);
    enum bft_wire_error wire = bft_wire_decode(type, bytes, count, &message);
    const char *got = bft_wire_error_name(wire);
    if (wire == BFT_WIRE_OK) got = bft_verify_error_name(bft_message_verify(&w->members, &verifier, &message, NULL, 0));
    if (strcmp(got, error) != 0) fprintf(stderr, "gen_consensus: %s, n = %u: %s, expected %s\n", name, w->n, got, error);
    CHECK(strcmp(got, error) == 0);
    add(w, name, "message", type, count, error);
}

static size_t encode(const struct bft_message *message) {
    size_t head = bft_wire_encode(message, bytes, ROOM - 4);
    memcpy(bytes + head, empty_body, message->body_bytes);
    return head + message->body_bytes;
}

static void message_case(struct world *w, const char *name, const struct bft_message *message, const char *error) {
    message_bytes(w, name, message->type, encode(message), error);
}

static void certificate_case(struct world *w, const char *name, const struct bft_certificate *certificate, const char *error) {
    struct bytes_writer writer = bytes_writer_of(bytes, ROOM);
    bft_certificate_put(&writer, certificate);
    struct bytes_cursor cursor = bytes_cursor_of(bytes, writer.used);
    struct bft_certificate decoded;
    struct signer verifier = signer_ed25519(NULL);
    CHECK(bft_certificate_get(&cursor, &decoded, NULL) && bytes_finished(&cursor));
    CHECK(strcmp(bft_verify_error_name(bft_certificate_verify(&w->members, &verifier, &decoded, NULL, NULL)), error) == 0);
    add(w, name, "certificate", 0, writer.used, error);
}

static void vote_cases(struct world *w) {
    struct bft_message vote = {.type = BFT_MESSAGE_PREPARE};
    struct bft_hash id = bft_header_id(&w->one);
    bft_header_ballot(&w->one, &id, &vote.vote.ballot);
    vote.vote.kind = BFT_PREPARE;
    vote.vote.signer = 2;
    sign(w, &vote, 2);
    message_case(w, "PREPARE", &vote, "ok");
    struct bft_message commit = vote;
    commit.type = BFT_MESSAGE_COMMIT;
    commit.vote.kind = BFT_COMMIT;
    message_case(w, "COMMIT with the signature of a PREPARE", &commit, "signature");
    sign(w, &commit, 2);
    message_case(w, "COMMIT", &commit, "ok");
    struct bft_message bad = vote;
    bad.vote.signer = 3;
    message_case(w, "PREPARE of another signer", &bad, "signature");
    bad = vote;
    bad.vote.signer = (uint8_t)w->n;
    message_case(w, "PREPARE of a signer beyond n", &bad, "signer");
    bad = vote;
    bad.vote.ballot.place.system_id[3] ^= 1;
    message_case(w, "PREPARE of another system", &bad, "system");
    bad = vote;
    bad.vote.ballot.place.cluster ^= 1;
    message_case(w, "PREPARE of another cluster", &bad, "cluster");
    bad = vote;
    bad.vote.ballot.place.epoch++;
    message_case(w, "PREPARE of another epoch", &bad, "epoch");
    bad = vote;
    bad.vote.ballot.place.config_hash.bytes[0] ^= 1;
    message_case(w, "PREPARE of another CONFIG", &bad, "config");
    bad = vote;
    bad.vote.ballot.height = START;
    message_case(w, "PREPARE at the height of the start", &bad, "height");
    bad = vote;
    bad.vote.ballot.outbox_root.bytes[31] ^= 1;
    message_case(w, "PREPARE with another outbox_root", &bad, "signature");
    size_t count = encode(&vote);
    message_bytes(w, "PREPARE without its last byte", BFT_MESSAGE_PREPARE, count - 1, "truncated");
    bytes[count] = 0;
    message_bytes(w, "PREPARE with a byte too many", BFT_MESSAGE_PREPARE, count + 1, "trailing");
    bytes[142] = 1;
    message_bytes(w, "PREPARE with a zero field of 1", BFT_MESSAGE_PREPARE, count, "zero");
    bytes[142] = 0;
    bytes[140] = 16;
    message_bytes(w, "PREPARE with index 16", BFT_MESSAGE_PREPARE, count, "range");
}

static void qc_cases(struct world *w) {
    uint32_t q = w->members.q;
    struct bft_message good = {.type = BFT_MESSAGE_QC};
    good.qc = make_qc(w, &w->one, BFT_PREPARE, 0, q);
    message_case(w, "prepare QC", &good, "ok");
    struct bft_message bad = good;
    bad.qc = make_qc(w, &w->one, BFT_COMMIT, w->n - q, q);
    message_case(w, "commit QC of the last q members", &bad, "ok");
    bad.qc = make_qc(w, &w->one, BFT_PREPARE, 0, q - 1);
    message_case(w, "QC of q - 1", &bad, "quorum");
    bad.qc = make_qc(w, &w->one, BFT_PREPARE, 0, q + 1);
    message_case(w, "QC of q + 1", &bad, "quorum");
    bad = good;
    bad.qc.kind = BFT_COMMIT;
    message_case(w, "QC of PREPAREs called commit", &bad, "signature");
    bad = good;
    bad.qc.signatures[q - 1].bytes[40] ^= 4;
    message_case(w, "QC with one bad signature", &bad, "signature");
    bad = good;
    bad.qc.signers[q - 1] = (uint8_t)w->n;
    message_case(w, "QC with an index beyond n", &bad, "signer");
    bad = good;
    bad.qc.ballot.view++;
    message_case(w, "QC with another view", &bad, "signature");
    size_t count = encode(&good);
    bytes[144 + 65] = 0;
    message_bytes(w, "QC with the same index twice", BFT_MESSAGE_QC, count, "range");
    bytes[144 + 65] = 1;
    bytes[0] = 3;
    message_bytes(w, "QC of kind 3", BFT_MESSAGE_QC, count, "range");
    bytes[0] = 1;
    bytes[1] = 0;
    message_bytes(w, "QC of nobody", BFT_MESSAGE_QC, count, "range");
}

static void timeout_cases(struct world *w) {
    struct bft_qc prepare = make_qc(w, &w->two, BFT_PREPARE, 0, w->members.q);
    struct bft_message good = {.type = BFT_MESSAGE_TIMEOUT};
    good.timeout = make_timeout(w, 1, &prepare, 1);
    message_case(w, "TIMEOUT with a QC", &good, "ok");
    struct bft_message bad = good;
    bad.timeout = make_timeout(w, 1, NULL, 1);
    message_case(w, "TIMEOUT with the start high", &bad, "ok");
    bad.timeout.high.block.height++;
    sign(w, &bad, 1);
    message_case(w, "TIMEOUT with another start", &bad, "high");
    bad = good;
    bad.timeout.high.view = 1;
    sign(w, &bad, 1);
    message_case(w, "TIMEOUT whose high is not its QC", &bad, "high");
    struct bft_qc later = make_qc(w, &w->three, BFT_PREPARE, 0, w->members.q);
    bad.timeout = make_timeout(w, 1, &later, 1);
    message_case(w, "TIMEOUT with a high of a later view", &bad, "high");
    struct bft_qc commit = make_qc(w, &w->two, BFT_COMMIT, 0, w->members.q);
    bad.timeout = make_timeout(w, 1, &commit, 1);
    message_case(w, "TIMEOUT with a commit QC", &bad, "kind");
    struct bft_qc few = make_qc(w, &w->two, BFT_PREPARE, 0, w->members.q - 1);
    bad.timeout = make_timeout(w, 1, &few, 1);
    message_case(w, "TIMEOUT with a QC of q - 1", &bad, "quorum");
    bad = good;
    bad.timeout.view++;
    message_case(w, "TIMEOUT with another view", &bad, "signature");
}

static void tc_cases(struct world *w) {
    uint32_t q = w->members.q;
    struct bft_qc high = make_qc(w, &w->two, BFT_PREPARE, 0, q);
    struct bft_qc low = make_qc(w, &w->one, BFT_PREPARE, 0, q);
    struct bft_message good = {.type = BFT_MESSAGE_TC};
    good.tc = make_tc(w, 1, &high, &low, q);
    message_case(w, "TC with two highs", &good, "ok");
    struct bft_message bad = good;
    bad.tc = make_tc(w, 1, NULL, NULL, q);
    message_case(w, "TC with start highs", &bad, "ok");
    bad.tc = make_tc(w, 1, &high, NULL, q);
    message_case(w, "TC with one QC and start highs", &bad, "ok");
    bad.tc.qc.count = 0;
    message_case(w, "TC without its Q*", &bad, "highest");
    bad = good;
    bad.tc.qc = low;
    message_case(w, "TC with a Q* that is not the highest", &bad, "highest");
    bad.tc = make_tc(w, 1, NULL, NULL, q);
    bad.tc.qc = low;
    message_case(w, "TC with a Q* that nobody stated", &bad, "highest");
    bad.tc = make_tc(w, 1, &high, &low, q - 1);
    message_case(w, "TC of q - 1", &bad, "quorum");
    struct bft_qc later = make_qc(w, &w->three, BFT_PREPARE, 0, q);
    bad.tc = make_tc(w, 1, &later, &low, q);
    message_case(w, "TC with a high of a later view", &bad, "high");
    bad = good;
    bad.tc.view = 2;
    message_case(w, "TC with another view", &bad, "signature");
    bad = good;
    bad.tc.qc = make_qc(w, &w->two, BFT_COMMIT, 0, q);
    message_case(w, "TC with a commit QC as Q*", &bad, "kind");
    bad = good;
    bad.tc.highs[q - 1].block = w->members.start;
    message_case(w, "TC with a high that was not signed", &bad, "signature");
}

static void propose_cases(struct world *w) {
    struct bft_qc prepare = make_qc(w, &w->two, BFT_PREPARE, 0, w->members.q);
    struct bft_message good = {.type = BFT_MESSAGE_PROPOSE, .block_id = bft_header_id(&w->three), .body_bytes = 4};
    good.propose.header = w->three; /* view 2 on Q* */
    bft_header_ballot(&w->three, &good.block_id, &good.propose.vote.ballot);
    good.propose.vote.signer = 2;
    good.propose.has_tc = true;
    good.propose.tc = make_tc(w, 1, &prepare, NULL, w->members.q);
    sign(w, &good, 2);
    message_case(w, "PROPOSE with TC", &good, "ok");
    struct bft_message bad = good;
    bad.propose.has_tc = false;
    message_case(w, "PROPOSE without TC", &bad, "ok");
    bad = good;
    bad.propose.tc = make_tc(w, 0, &prepare, NULL, w->members.q);
    message_case(w, "PROPOSE with a TC of two views before", &bad, "tc");
    bad = good;
    struct bft_qc other = make_qc(w, &w->one, BFT_PREPARE, 0, w->members.q);
    bad.propose.tc = make_tc(w, 1, &other, NULL, w->members.q);
    message_case(w, "PROPOSE beside Q*", &bad, "tc");
    bad = good;
    bad.propose.vote.signer = 1;
    message_case(w, "PROPOSE by another than the leader", &bad, "signer");
    bad = good;
    bad.propose.header.time++;
    message_case(w, "PROPOSE with another time", &bad, "signature");
    size_t count = encode(&good);
    bytes[count - 1] ^= 1;
    message_bytes(w, "PROPOSE with another body", BFT_MESSAGE_PROPOSE, count, "body");
    bytes[count - 1] ^= 1;
    memset(bytes + count - 8, 0xFF, 4);
    message_bytes(w, "PROPOSE with a body of 4 GiB", BFT_MESSAGE_PROPOSE, count, "body");
}

static void certificate_cases(struct world *w) {
    uint32_t q = w->members.q;
    uint8_t chain[3 * BFT_HEADER_BYTES];
    struct bytes_writer writer = bytes_writer_of(chain, sizeof chain);
    bft_header_put(&writer, &w->one);
    bft_header_put(&writer, &w->two);
    bft_header_put(&writer, &w->three);
    struct bft_certificate direct = {.qc = make_qc(w, &w->one, BFT_COMMIT, 0, q)};
    certificate_case(w, "certificate: QC on the block", &direct, "ok");
    struct bft_certificate good = {.qc = make_qc(w, &w->three, BFT_COMMIT, 0, q), .header_count = 3, .headers = chain};
    certificate_case(w, "certificate: QC on a descendant above the epoch's last height", &good, "ok");
    struct bft_certificate bad = {.qc = good.qc};
    certificate_case(w, "certificate of a block above the epoch's last height", &bad, "height");
    bad = good;
    bad.header_count = 2;
    certificate_case(w, "certificate with a header missing at the end", &bad, "chain");
    bad.headers = chain + BFT_HEADER_BYTES;
    certificate_case(w, "certificate of the second block", &bad, "ok");
    bad = good;
    bad.qc = make_qc(w, &w->three, BFT_PREPARE, 0, q);
    certificate_case(w, "certificate with a prepare QC", &bad, "kind");
    bad.qc = make_qc(w, &w->three, BFT_COMMIT, 0, q - 1);
    certificate_case(w, "certificate of q - 1", &bad, "quorum");
    bad = good;
    chain[BFT_HEADER_BYTES + 240] ^= 1;
    certificate_case(w, "certificate with a changed header in the middle", &bad, "chain");
    chain[BFT_HEADER_BYTES + 240] ^= 1;
    struct bft_message block = {.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(&w->one), .body_bytes = 4};
    block.block.header = w->one;
    message_case(w, "BLOCK without certificate", &block, "ok");
    block.block.has_certificate = true;
    block.block.certificate = good;
    message_case(w, "BLOCK with certificate", &block, "ok");
    block.block.header = w->two;
    message_case(w, "BLOCK with the certificate of another", &block, "chain");
}

static void other_cases(struct world *w) {
    struct bft_message fetch = {.type = BFT_MESSAGE_FETCH};
    memcpy(fetch.fetch.system_id, w->members.place.system_id, BFT_SYSTEM_BYTES);
    fetch.fetch.cluster = w->members.place.cluster;
    fetch.fetch.kind = BFT_FETCH_ID;
    fetch.fetch.id = bft_header_id(&w->one);
    message_case(w, "FETCH by id", &fetch, "ok");
    fetch.fetch.kind = BFT_FETCH_HEIGHTS;
    fetch.fetch.height_first = START + 1;
    fetch.fetch.height_count = 64;
    message_case(w, "FETCH of heights", &fetch, "ok");
    fetch.fetch.height_count = 65;
    message_case(w, "FETCH of 65 heights", &fetch, "range");
    struct bft_message status = {.type = BFT_MESSAGE_STATUS};
    status.status.place = w->members.place;
    status.status.view = 2;
    status.status.final = (struct bft_point){w->one.height, bft_header_id(&w->one)};
    status.status.high = (struct bft_high){0, {w->two.height, bft_header_id(&w->two)}};
    status.status.prepared_view = 2;
    status.status.prepared_height = w->three.height;
    status.status.time = w->three.time;
    status.status.flags = BFT_STATUS_VOTING | BFT_STATUS_REPAIR;
    status.status.signer = 3;
    sign(w, &status, 3);
    message_case(w, "STATUS", &status, "ok");
    status.status.flags ^= BFT_STATUS_TIMED_OUT;
    message_case(w, "STATUS with another flag", &status, "signature");
    status.status.flags = 16;
    message_case(w, "STATUS with an unknown flag", &status, "range");
    struct bft_message noop = {.type = BFT_MESSAGE_NOOP};
    memcpy(noop.noop.system_id, w->members.place.system_id, BFT_SYSTEM_BYTES);
    noop.noop.cluster = w->members.place.cluster;
    noop.noop.nonce = 77;
    noop.noop.signer = 0;
    sign(w, &noop, 0);
    message_case(w, "NOOP", &noop, "ok");
    noop.noop.nonce++;
    message_case(w, "NOOP with another nonce", &noop, "signature");
}

/* ---- evidence (B-80 to B-83): files, and what they are judged to be with the members of n ---- */

static void evidence_case(struct world *w, const char *name, size_t count, const char *error) {
    struct evidence evidence;
    struct signer verifier = signer_ed25519(NULL);
    enum evidence_error got = evidence_decode(bytes, count, &evidence);
    if (got == EVIDENCE_OK) got = evidence_verify(&evidence, &w->members, &verifier);
    if (strcmp(evidence_error_name(got), error) != 0)
        fprintf(stderr, "gen_consensus: %s, n = %u: %s, expected %s\n", name, w->n, evidence_error_name(got), error);
    CHECK(strcmp(evidence_error_name(got), error) == 0);
    json_t *item = json_object();
    CHECK(item != NULL && json_object_set_new(item, "name", json_string(name)) == 0);
    set_number(item, "n", w->n);
    gen_set_hex(item, "bytes", bytes, count);
    CHECK(json_object_set_new(item, "error", json_string(error)) == 0);
    if (got == EVIDENCE_OK) {
        set_number(item, "kind", evidence.kind);
        CHECK(json_object_set_new(item, "signer", evidence.signer == EVIDENCE_NOBODY ? json_null() : json_integer(evidence.signer)) == 0);
    }
    CHECK(json_array_append_new(w->evidence, item) == 0);
}

static struct bft_vote vote_for(struct world *w, const struct bft_header *header, enum bft_vote_kind kind, uint8_t member, uint8_t salt) {
    struct bft_message message = {.type = kind == BFT_PREPARE ? BFT_MESSAGE_PREPARE : BFT_MESSAGE_COMMIT};
    struct bft_hash id = bft_header_id(header);
    id.bytes[0] ^= salt;
    bft_header_ballot(header, &id, &message.vote.ballot);
    message.vote.kind = (uint8_t)kind;
    sign(w, &message, member);
    message.vote.signer = member;
    return message.vote;
}

static void evidence_vote_cases(struct world *w) {
    for (enum bft_vote_kind kind = BFT_PREPARE; kind <= BFT_COMMIT; kind++) {
        struct bft_vote a = vote_for(w, &w->three, kind, 2, 0), b = vote_for(w, &w->three, kind, 2, 1), c = vote_for(w, &w->three, kind, 1, 1);
        struct bytes_writer writer = bytes_writer_of(bytes, ROOM);
        evidence_put_votes(&writer, NULL, 0, &a, &b);
        evidence_case(w, kind == BFT_PREPARE ? "two PREPAREs" : "two COMMITs", writer.used, "ok");
        bytes[writer.used] = 0;
        evidence_case(w, "a byte behind the items", writer.used + 1, "truncated");
        evidence_case(w, "a byte less", writer.used - 1, "truncated");
        bytes[14] = 1;
        evidence_case(w, "a zero that is none", writer.used, "bad_field");
        bytes[14] = 0;
        bytes[13] = 16;
        evidence_case(w, "signer 16", writer.used, "bad_field");
        bytes[13] = (uint8_t)w->n;
        evidence_case(w, "signer n", writer.used, "bad_signer");
        bytes[13] = 1;
        evidence_case(w, "in another member's name", writer.used, "bad_signature");
        bytes[13] = 2;
        bytes[12] = (uint8_t)(kind == BFT_PREPARE ? EVIDENCE_TWO_COMMITS : EVIDENCE_TWO_PREPARES);
        evidence_case(w, "as the other kind of vote", writer.used, "bad_signature");
        bytes[12] = EVIDENCE_KINDS_END;
        evidence_case(w, "an unknown kind", writer.used, "bad_field");
        bytes[0] ^= 1;
        evidence_case(w, "another magic", writer.used, "not_evidence");
        writer = bytes_writer_of(bytes, ROOM);
        c.signer = 2; /* b as member 1 signed it */
        evidence_put_votes(&writer, NULL, 0, &a, &c);
        evidence_case(w, "the second by another key", writer.used, "bad_signature");
        writer = bytes_writer_of(bytes, ROOM);
        evidence_put_votes(&writer, NULL, 0, &a, &b);
        uint8_t first[204];
        memcpy(first, bytes + 16, sizeof first);
        memmove(bytes + 16, bytes + 16 + 204, 204);
        memcpy(bytes + 16 + 204, first, sizeof first);
        evidence_case(w, "items in the wrong order", writer.used, "no_conflict");
        memcpy(bytes + 16, bytes + 16 + 204, 204);
        evidence_case(w, "the same vote twice", writer.used, "no_conflict");
    }
}

static void evidence_timeout_cases(struct world *w) {
    struct bft_qc one = make_qc(w, &w->one, BFT_PREPARE, 0, w->members.q), two = make_qc(w, &w->two, BFT_PREPARE, 0, w->members.q);
    struct bft_timeout low = make_timeout(w, 0, &one, 3), high = make_timeout(w, 0, &two, 3), start = make_timeout(w, 5, NULL, 3);
    struct bft_timeout other = make_timeout(w, 1, &one, 3);
    struct bytes_writer writer = bytes_writer_of(bytes, ROOM);
    evidence_put_timeouts(&writer, NULL, 0, &high, &low);
    evidence_case(w, "two TIMEOUTs", writer.used, "ok");
    bytes[12] = EVIDENCE_COMMIT_AND_TIMEOUT;
    evidence_case(w, "two TIMEOUTs as COMMIT and TIMEOUT", writer.used, "truncated");
    struct bft_vote commit = vote_for(w, &w->two, BFT_COMMIT, 3, 0);
    writer = bytes_writer_of(bytes, ROOM);
    evidence_put_commit_timeout(&writer, NULL, 0, &commit, &low);
    evidence_case(w, "a COMMIT and a TIMEOUT of its view with a lower high", writer.used, "ok");
    struct bytes_writer item = bytes_writer_of(bytes + 16 + 204, 180);
    uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
    bft_timeout_preimage(&high.place, high.view, &high.high, preimage);
    bytes_put_raw(&item, preimage + SIGNER_TAG_BYTES, sizeof preimage - SIGNER_TAG_BYTES);
    bytes_put_raw(&item, high.signature.bytes, SIGNER_SIGNATURE_BYTES);
    evidence_case(w, "a TIMEOUT whose high is the COMMIT's", writer.used, "no_conflict");
    writer = bytes_writer_of(bytes, ROOM);
    evidence_put_commit_timeout(&writer, NULL, 0, &commit, &start);
    evidence_case(w, "a COMMIT and a TIMEOUT of a later view with the start as high", writer.used, "ok");
    writer = bytes_writer_of(bytes, ROOM);
    evidence_put_commit_timeout(&writer, NULL, 0, &commit, &other);
    evidence_case(w, "a COMMIT and a TIMEOUT of the next view with a lower high", writer.used, "ok");
}

/* A compact decision whose outbox is this one leaf, written to `writer`; without its slice if `slice` is NULL. */
static void decision_put(struct world *w, struct bytes_writer *writer, uint8_t salt, uint64_t dseq, const uint8_t *slice, size_t slice_bytes) {
    const uint8_t nothing[SLICE_HEAD_BYTES] = {1, [8] = salt}; /* an acknowledgement alone */
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .source = w->members.place.cluster, .destination = 0x00010000, .dseq = dseq, .height = START + 1};
    memcpy(leaf.system_id, w->members.place.system_id, sizeof leaf.system_id);
    if (dseq > 1) memset(leaf.previous, salt, 32);
    leaf.slice_bytes = (uint32_t)(slice ? slice_bytes : sizeof nothing);
    slice_hash(slice ? slice : nothing, leaf.slice_bytes, leaf.slice_hash);
    uint8_t encoded[LEAF_BYTES];
    leaf_encode(&leaf, encoded);
    struct bft_header header = child(w, &w->genesis, 0, salt);
    leaf_hash(encoded, header.outbox_root.bytes);
    struct bft_certificate certificate = {.qc = make_qc(w, &header, BFT_COMMIT, 0, w->members.q)};
    decision_head_encode(writer, &certificate, 0, 1, NULL, 0, encoded);
    if (slice) bytes_put_raw(writer, slice, slice_bytes);
}

static void two_slices(struct world *w, const char *name, const uint8_t *first, size_t first_bytes, const uint8_t *second, size_t second_bytes,
                       const char *error) {
    struct bytes_writer writer = bytes_writer_of(bytes, ROOM);
    evidence_put_slice_head(&writer, NULL, 0);
    bytes[12] = EVIDENCE_TWO_SLICES;
    bytes_put_raw(&writer, first, first_bytes);
    bytes_put_raw(&writer, second, second_bytes);
    evidence_case(w, name, writer.used, error);
}

static void evidence_slice_cases(struct world *w) {
    uint8_t slice[SLICE_HEAD_BYTES + SLICE_ITEM_HEAD_BYTES + 4] = {0};
    slice_head_encode(slice, 1, 0);
    slice_item_head_encode(slice + SLICE_HEAD_BYTES, 5, SLICE_READ);
    struct bytes_writer writer = bytes_writer_of(bytes, ROOM);
    evidence_put_slice_head(&writer, NULL, 0);
    decision_put(w, &writer, 7, 1, slice, sizeof slice);
    evidence_case(w, "a certified slice whose item runs past its end", writer.used, "ok");
    bytes[writer.used - 1] ^= 1;
    evidence_case(w, "another slice than was certified", writer.used, "bad_decision");
    slice_item_head_encode(slice + SLICE_HEAD_BYTES, 4, SLICE_READ);
    writer = bytes_writer_of(bytes, ROOM);
    evidence_put_slice_head(&writer, NULL, 0);
    decision_put(w, &writer, 7, 1, slice, sizeof slice);
    evidence_case(w, "a certified slice that is well formed", writer.used, "no_conflict");
    uint8_t heads[3][4096]; /* numbers 1, 1, 2 */
    size_t counts[3];
    for (unsigned i = 0; i < 3; i++) {
        struct bytes_writer head = bytes_writer_of(heads[i], sizeof heads[i]);
        decision_put(w, &head, (uint8_t)(9 + i), i < 2 ? 1 : 2, NULL, 0);
        counts[i] = head.used;
    }
    unsigned low = memcmp(heads[0] + counts[0] - LEAF_BYTES, heads[1] + counts[1] - LEAF_BYTES, LEAF_BYTES) < 0 ? 0 : 1;
    two_slices(w, "two certified slices under one number", heads[low], counts[low], heads[1 - low], counts[1 - low], "ok");
    two_slices(w, "two under one number, in the wrong order", heads[1 - low], counts[1 - low], heads[low], counts[low], "no_conflict");
    two_slices(w, "the same slice twice", heads[low], counts[low], heads[low], counts[low], "no_conflict");
    two_slices(w, "two certified slices under two numbers", heads[0], counts[0], heads[2], counts[2], "no_conflict");
    two_slices(w, "the second one cut short", heads[low], counts[low], heads[1 - low], counts[1 - low] - 1, "bad_decision");
    heads[1 - low][counts[1 - low]] = 0;
    two_slices(w, "a byte behind the second", heads[low], counts[low], heads[1 - low], counts[1 - low] + 1, "truncated");
}

/* ---- hashes and preimages, each with its fields ---- */

static json_t *header_vector(const struct bft_header *header) {
    json_t *item = json_object();
    CHECK(item != NULL);
    struct bytes_writer writer = bytes_writer_of(bytes, ROOM);
    bft_header_put(&writer, header);
    struct bft_hash id = bft_header_id(header);
    gen_set_hex(item, "system_id", header->place.system_id, 16);
    gen_set_hex(item, "config_hash", header->place.config_hash.bytes, 32);
    set_number(item, "cluster", header->place.cluster);
    set_number(item, "epoch", header->place.epoch);
    set_number(item, "view", header->view);
    set_number(item, "height", header->height);
    gen_set_hex(item, "outbox_root", header->outbox_root.bytes, 32);
    gen_set_hex(item, "parent_id", header->parent_id.bytes, 32);
    gen_set_hex(item, "body_hash", header->body_hash.bytes, 32);
    gen_set_hex(item, "state_root", header->state_root.bytes, 32);
    gen_set_hex(item, "cursors_hash", header->cursors_hash.bytes, 32);
    set_number(item, "time", header->time);
    gen_set_hex(item, "bytes", bytes, writer.used);
    gen_set_hex(item, "block_id", id.bytes, 32);
    struct bft_ballot ballot;
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_header_ballot(header, &id, &ballot);
    bft_vote_preimage(&ballot, BFT_PREPARE, preimage);
    gen_set_hex(item, "prepare_preimage", preimage, sizeof preimage);
    bft_vote_preimage(&ballot, BFT_COMMIT, preimage);
    gen_set_hex(item, "commit_preimage", preimage, sizeof preimage);
    return item;
}

static json_t *epoch_vector(struct world *w) {
    json_t *item = json_object();
    json_t *keys = json_array();
    CHECK(item != NULL && keys != NULL);
    set_number(item, "n", w->n);
    set_number(item, "f", w->members.f);
    set_number(item, "q", w->members.q);
    gen_set_hex(item, "system_id", w->members.place.system_id, 16);
    gen_set_hex(item, "config_hash", w->members.place.config_hash.bytes, 32);
    set_number(item, "cluster", w->members.place.cluster);
    set_number(item, "epoch", w->members.place.epoch);
    set_number(item, "start_height", w->members.start.height);
    gen_set_hex(item, "start_id", w->members.start.id.bytes, 32);
    set_number(item, "height_last", w->members.height_last);
    for (uint32_t i = 0; i < w->n; i++) {
        json_t *key = json_object();
        CHECK(key != NULL);
        gen_set_hex(key, "seed", w->secrets[i].expanded, 32);
        gen_set_hex(key, "public_key", w->members.keys[i], 32);
        CHECK(json_array_append_new(keys, key) == 0);
    }
    CHECK(json_object_set_new(item, "members", keys) == 0);
    return item;
}

void gen_consensus(json_t *out) {
    CHECK(ed25519_start(NULL));
    json_t *epochs = json_array();
    json_t *headers = json_array();
    json_t *cases = json_array(), *evidence = json_array();
    CHECK(evidence != NULL && epochs != NULL && headers != NULL && cases != NULL);
    struct bft_hash hash = bft_body_hash_empty();
    gen_set_hex(out, "body_hash_empty", hash.bytes, 32);
    hash = bft_outbox_root_empty();
    gen_set_hex(out, "outbox_root_empty", hash.bytes, 32);
    for (uint32_t n = 4; n <= 7; n++) {
        struct world *w = malloc(sizeof *w);
        CHECK(w != NULL);
        world_init(w, n);
        w->cases = cases;
        w->evidence = evidence;
        CHECK(json_array_append_new(epochs, epoch_vector(w)) == 0);
        const struct bft_header *all[] = {&w->genesis, &w->one, &w->two, &w->three};
        for (size_t i = 0; i < 4; i++) CHECK(json_array_append_new(headers, header_vector(all[i])) == 0);
        vote_cases(w);
        qc_cases(w);
        timeout_cases(w);
        tc_cases(w);
        propose_cases(w);
        certificate_cases(w);
        other_cases(w);
        evidence_vote_cases(w);
        evidence_timeout_cases(w);
        evidence_slice_cases(w);
        free(w);
    }
    CHECK(json_object_set_new(out, "epochs", epochs) == 0);
    CHECK(json_object_set_new(out, "headers", headers) == 0);
    CHECK(json_object_set_new(out, "cases", cases) == 0);
    CHECK(json_object_set_new(out, "evidence", evidence) == 0);
}
