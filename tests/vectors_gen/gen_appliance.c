/*
 * Vectors of spec/appliance.md: blocks, card requests, bundles as a node judges them. The word that a case must give is
 * written here by hand; the code under test is then checked to give it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/candidate.h"
#include "protocol/canonical.h"
#include "protocol/card_request.h"
#include "tests/protocol/identity_fixture.h"
#include "tests/vectors_gen/gen.h"
#include "tests/vectors_gen/gen_json.h"

static uint8_t *copy_of(const char *text, size_t count) {
    uint8_t *copy = malloc(count + 1);
    CHECK(copy);
    memcpy(copy, text, count);
    return copy;
}

/* ---- blocks ---- */

static void gen_blocks(json_t *out) {
#define BLOCK(label, base64) "-----BEGIN HERACLIUS " label "-----\n" base64 "-----END HERACLIUS " label "-----\n"
    static const struct {
        const char *name, *text, *error;
    } cases[] = {
        {"three blocks", BLOCK("NODE CONFIG", "Zg==\n") BLOCK("SYSTEM", "Zm8=\n") BLOCK("ADDRESSES", "Zm9v\n"), "ok"},
        {"as a terminal gives it", "\r\n-----BEGIN HERACLIUS SYSTEM-----\r\nZm9v\r\n-----END HERACLIUS SYSTEM-----", "ok"},
        {"nothing", "", "truncated"},
        {"cut within a line", "-----BEGIN HERACLIUS SYSTEM-----\nZm9", "truncated"},
        {"without its end", "-----BEGIN HERACLIUS SYSTEM-----\nZm9v\n", "truncated"},
        {"another end", "-----BEGIN HERACLIUS SYSTEM-----\nZm9v\n-----END HERACLIUS CHAIN-----\n", "truncated"},
        {"empty", BLOCK("SYSTEM", ""), "truncated"},
        {"a word before", "x\n" BLOCK("SYSTEM", "Zm9v\n"), "not-canonical"},
        {"an empty line within", BLOCK("SYSTEM", "\nZm9v\n"), "not-canonical"},
        {"a short line that is not the last", BLOCK("SYSTEM", "Zm9v\nZm9v\n"), "not-canonical"},
        {"bits beyond the content", BLOCK("SYSTEM", "Zm9=\n"), "not-canonical"},
        {"digits of another base64", BLOCK("SYSTEM", "Zm-_\n"), "not-canonical"},
        {"an unknown label", BLOCK("SISTEM", "Zm9v\n"), "format-unknown"},
        {"twice", BLOCK("SYSTEM", "Zm9v\n") BLOCK("SYSTEM", "Zm9v\n"), "order"},
        {"another order", BLOCK("SYSTEM", "Zm9v\n") BLOCK("NODE CONFIG", "Zm9v\n"), "order"},
        {"of a succession", BLOCK("SYSLOG CA", "Zm9v\n") BLOCK("PREDECESSOR", "Zm9v\n") BLOCK("STATEMENT", "Zm9v\n"), "ok"},
        {"a statement before the system before", BLOCK("STATEMENT", "Zm9v\n") BLOCK("PREDECESSOR", "Zm9v\n"), "order"},
    };
    json_t *list = json_array();
    gen_set(out, "blocks", list);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bundle bundle;
        json_t *object = gen_case(list, cases[i].name);
        uint8_t *text = copy_of(cases[i].text, strlen(cases[i].text));
        gen_set(object, "text", json_string(cases[i].text));
        gen_set_error(object, cases[i].error, bundle_decode(&bundle, text, strlen(cases[i].text), NULL));
        free(text);
    }
}

/* ---- card requests ---- */

static void request_case(json_t *list, const char *name, uint8_t bytes[CARD_REQUEST_BYTES], size_t flip, const char *error) {
    struct card card;
    char text[CARD_REQUEST_TEXT_BYTES_MAX];
    struct bundle bundle = {.blocks[BUNDLE_CARD_REQUEST] = {.bytes = bytes, .count = CARD_REQUEST_BYTES}};
    json_t *object = gen_case(list, name);
    if (flip < CARD_REQUEST_BYTES) bytes[flip] ^= 1;
    size_t count = bundle_encode(&bundle, text);
    if (flip < CARD_REQUEST_BYTES) bytes[flip] ^= 1;
    gen_set(object, "text", json_stringn(text, count));
    gen_set_error(object, error, card_request_parse(&card, (uint8_t *)text, count, NULL));
    if (strcmp(error, "ok") == 0) gen_set_hex(object, "id", card.id, 32);
}

static void gen_requests(json_t *out, const struct card *own) {
    uint8_t bytes[CARD_REQUEST_BYTES];
    json_t *list = json_array();
    gen_set(out, "requests", list);
    card_request_encode(own, bytes);
    request_case(list, "of a node", bytes, CARD_REQUEST_BYTES, "ok");
    request_case(list, "another name than the one that was signed", bytes, 4, "proof-invalid");
    request_case(list, "another signing_proof", bytes, CARD_NODE_BYTES, "proof-invalid");
    request_case(list, "another noise_proof", bytes, CARD_NODE_BYTES + 64, "proof-invalid");
    request_case(list, "another format", bytes, 1, "format-unknown");
}

/* ---- bundles ---- */

struct made {
    const struct fixture *fixture;
    const struct card *own;
    char *system, *addresses, *moved; /* of the same system */
    size_t system_bytes, addresses_bytes, moved_bytes;
    char *kept; /* the text of the first case */
    size_t kept_bytes;
    /* of a successor's node */
    char *predecessor;
    size_t predecessor_bytes, statement_bytes;
    uint8_t statement[CLAIM_SUCCESSOR_BYTES_MAX];
};

struct bundle_case {
    const char *name, *error;
    uint64_t number;
    bool kept;                          /* the first case is in force */
    bool other_node, other_system;      /* in the record */
    bool unsigned_, other_owner, mixed; /* mixed: addresses that the hash is not of */
    bool no_addresses, cut;
    enum { NO_PREDECESSOR, PREDECESSOR, ITSELF, NO_SYSTEM } predecessor;
    enum { NO_STATEMENT, STATEMENT, ABOUT_ANOTHER, OF_ANOTHER, CUT_STATEMENT } statement;
    const char *setting, *value; /* beside bundle.sha256 */
};

static void record_make(struct claim_node_config *record, const struct made *made, const struct bundle_case *as, const struct bundle *bundle) {
    uint8_t hash[32];
    char hex[65];
    memset(record, 0, sizeof *record);
    memcpy(record->system_id, made->fixture->assembly->system.system_id, 16);
    memcpy(record->node_id, as->other_node ? made->fixture->assembly->nodes[1].id : made->own->id, 32);
    record->system_id[0] ^= as->other_system;
    record->number = as->number;
    bundle_hash(bundle, hash);
    canonical_hex_print(hash, 32, hex);
    (void)snprintf(record->settings[0].name, sizeof record->settings[0].name, "bundle.sha256");
    (void)snprintf(record->settings[0].value, sizeof record->settings[0].value, "%s", hex);
    record->settings_count = 1;
    if (as->setting) {
        record->settings_count = 2;
        (void)snprintf(record->settings[1].name, sizeof record->settings[1].name, "%s", as->setting);
        (void)snprintf(record->settings[1].value, sizeof record->settings[1].value, "%s", as->value);
    }
    if (!as->unsigned_) claim_node_config_sign(record, &made->fixture->owners[0][as->other_owner ? 1 : 0].signing);
}

static enum system_error judge(const struct made *made, const char *text, size_t count, bool kept) {
    static struct candidate candidate, before;
    const struct candidate_node node = {.own = made->own, .owner_key = made->own->owner_key};
    enum system_error error = candidate_judge(&candidate, copy_of(text, count), count, &node, NULL);
    if (!error && kept) {
        CHECK(candidate_judge(&before, copy_of(made->kept, made->kept_bytes), made->kept_bytes, &node, NULL) == SYSTEM_OK);
        error = candidate_follows(&candidate, &before, NULL);
        candidate_free(&before);
    }
    candidate_free(&candidate);
    return error;
}

/* `room`: for a statement that was changed. */
static void succession_put(struct bundle *bundle, const struct made *made, const struct bundle_case *as, uint8_t room[CLAIM_SUCCESSOR_BYTES_MAX]) {
    struct bundle_block *before = &bundle->blocks[BUNDLE_PREDECESSOR], *said = &bundle->blocks[BUNDLE_STATEMENT];
    if (as->predecessor == PREDECESSOR) *before = (struct bundle_block){(const uint8_t *)made->predecessor, made->predecessor_bytes};
    if (as->predecessor == ITSELF) *before = (struct bundle_block){(const uint8_t *)made->system, made->system_bytes};
    if (as->predecessor == NO_SYSTEM) *before = (struct bundle_block){(const uint8_t *)made->addresses, made->addresses_bytes};
    if (as->statement == NO_STATEMENT) return;
    memcpy(room, made->statement, made->statement_bytes);
    *said = (struct bundle_block){room, made->statement_bytes - (as->statement == CUT_STATEMENT)};
    room[8] ^= as->statement == OF_ANOTHER;
    room[24] ^= as->statement == ABOUT_ANOTHER; /* successor_id and successor_hash, whose beginning it is */
    room[40] ^= as->statement == ABOUT_ANOTHER;
}

static void bundle_case(json_t *list, struct made *made, const struct bundle_case *as) {
    static struct claim_node_config record;
    static uint8_t record_bytes[CLAIM_NODE_CONFIG_BYTES_MAX];
    uint8_t hash[32], statement[CLAIM_SUCCESSOR_BYTES_MAX];
    struct bundle bundle = {.blocks[BUNDLE_SYSTEM] = {(const uint8_t *)made->system, made->system_bytes},
                            .blocks[BUNDLE_ADDRESSES] = {(const uint8_t *)made->addresses, made->addresses_bytes}};
    succession_put(&bundle, made, as, statement);
    record_make(&record, made, as, &bundle);
    bundle.blocks[BUNDLE_NODE_CONFIG] = (struct bundle_block){record_bytes, claim_node_config_encode(&record, record_bytes)};
    if (as->mixed) bundle.blocks[BUNDLE_ADDRESSES] = (struct bundle_block){(const uint8_t *)made->moved, made->moved_bytes};
    if (as->no_addresses) bundle.blocks[BUNDLE_ADDRESSES].bytes = NULL;
    size_t count = bundle_text_bytes(&bundle);
    char *text = malloc(count);
    CHECK(text);
    (void)bundle_encode(&bundle, text);
    if (as->cut) count /= 2;
    json_t *object = gen_case(list, as->name);
    gen_set(object, "text", json_stringn(text, count));
    if (as->kept) gen_set(object, "kept", json_integer(0));
    bundle_hash(&bundle, hash);
    if (!as->cut) gen_set_hex(object, "hash", hash, 32);
    gen_set_error(object, as->error, judge(made, text, count, as->kept));
    if (made->kept) {
        free(text);
    } else {
        made->kept = text;
        made->kept_bytes = count;
    }
}

/* Of the same node in a system that succeeds another. */
static void gen_successions(json_t *list, struct made *made) {
    static const struct bundle_case cases[] = {
        {.name = "a successor's", .error = "ok", .number = 1, .predecessor = PREDECESSOR, .statement = STATEMENT},
        {.name = "a successor's, with neither", .error = "field-missing", .number = 1},
        {.name = "a successor's, without its statement", .error = "field-missing", .number = 1, .predecessor = PREDECESSOR},
        {.name = "a successor's, without the system before", .error = "field-missing", .number = 1, .statement = STATEMENT},
        {.name = "a successor's, with itself as the one before", .error = "foreign", .number = 1, .predecessor = ITSELF, .statement = STATEMENT},
        {.name = "a successor's, with no system file before, and no statement that decodes",
         .error = "field-missing",
         .number = 1,
         .predecessor = NO_SYSTEM,
         .statement = CUT_STATEMENT},
        {.name = "a successor's, with a statement that is cut",
         .error = "truncated",
         .number = 1,
         .predecessor = PREDECESSOR,
         .statement = CUT_STATEMENT},
        {.name = "a successor's, about another successor",
         .error = "foreign",
         .number = 1,
         .predecessor = PREDECESSOR,
         .statement = ABOUT_ANOTHER},
        {.name = "a successor's, of another one before", .error = "foreign", .number = 1, .predecessor = PREDECESSOR, .statement = OF_ANOTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) bundle_case(list, made, &cases[i]);
}

static void gen_bundles(json_t *out, struct made *made, struct made *successor) {
    static const struct bundle_case cases[] = {
        {.name = "the first one", .error = "ok", .number = 5},
        {.name = "a higher number, with a static address",
         .error = "ok",
         .number = 6,
         .kept = true,
         .setting = "net.0.address",
         .value = "192.0.2.7/24,2001:db8::7/64"},
        {.name = "the one that is in force", .error = "ok", .number = 5, .kept = true},
        {.name = "the same number, another record", .error = "serial", .number = 5, .kept = true, .setting = "threads", .value = "fused"},
        {.name = "a lower number", .error = "serial", .number = 4, .kept = true},
        {.name = "not signed", .error = "signature-invalid", .number = 6, .unsigned_ = true},
        {.name = "signed by another owner", .error = "signature-invalid", .number = 6, .other_owner = true},
        {.name = "of another node", .error = "foreign", .number = 6, .other_node = true},
        {.name = "of another system than its file", .error = "foreign", .number = 6, .other_system = true},
        {.name = "with the addresses of another one", .error = "id-mismatch", .number = 6, .mixed = true},
        {.name = "an unknown setting", .error = "field-unknown", .number = 6, .setting = "listne", .value = "1.2.3.4:5"},
        {.name = "a listen that is a name", .error = "field-range", .number = 6, .setting = "listen", .value = "localhost:5"},
        {.name = "joins, but is in the system file", .error = "foreign", .number = 6, .setting = "join", .value = "s0"},
        {.name = "without addresses", .error = "field-missing", .number = 6, .no_addresses = true},
        {.name = "cut off", .error = "truncated", .number = 6, .cut = true},
        {.name = "of a first system, with one before", .error = "field-unknown", .number = 6, .predecessor = ITSELF},
        {.name = "of a first system, with a statement", .error = "field-unknown", .number = 6, .statement = STATEMENT},
    };
    json_t *list = json_array();
    gen_set(out, "bundles", list);
    memcpy(made->statement, successor->statement, made->statement_bytes = successor->statement_bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) bundle_case(list, made, &cases[i]);
    gen_successions(list, successor);
}

static char *addresses_text(const struct fixture *fixture, uint16_t port, size_t *count) {
    struct addresses *addresses = calloc(1, sizeof *addresses + sizeof addresses->entries[0]);
    CHECK(addresses);
    memcpy(addresses->system_id, fixture->assembly->system.system_id, 16);
    addresses->count = 1;
    (void)snprintf(addresses->entries[0].node, sizeof addresses->entries[0].node, "%s", fixture->assembly->nodes[0].name);
    (void)snprintf(addresses->entries[0].link.host, sizeof addresses->entries[0].link.host, "192.0.2.7");
    addresses->entries[0].link.port = port;
    char *text = addresses_encode_json(addresses, count);
    CHECK(text);
    addresses_free(addresses);
    return text;
}

/* The system of `fixture`, made one that succeeds the system of another seed. */
static void successor_make(struct made *made, struct fixture *fixture, const struct card *own) {
    struct fixture *before = fixture_new(110, 1, 1, 4);
    struct system *old = &before->assembly->system, *system = &fixture->assembly->system;
    struct claim_successor statement;
    *made = (struct made){.fixture = fixture, .own = own};
    system->succession = 1;
    memcpy(system->predecessor_id, old->system_id, 16);
    memcpy(system->partition_key, old->partition_key, 16);
    fixture->assembly->shards[0].origin_height = 4242;
    memset(fixture->assembly->shards[0].origin_root, 0x5A, 32);
    CHECK(assembly_finish(fixture->assembly, NULL) == SYSTEM_OK);
    made->system = system_encode_json(system, &made->system_bytes);
    made->predecessor = system_encode_json(old, &made->predecessor_bytes);
    made->addresses = addresses_text(fixture, 7000, &made->addresses_bytes);
    CHECK(made->system && made->predecessor);
    memset(&statement, 0, sizeof statement);
    memcpy(statement.predecessor_id, old->system_id, 16);
    memcpy(statement.successor_hash, system->file_hash, 32);
    memcpy(statement.successor_id, statement.successor_hash, 16);
    for (int i = 0; i < 2; i++) CHECK(claim_successor_sign(&statement, &before->admins[i].signing));
    made->statement_bytes = claim_successor_encode(&statement, made->statement);
    fixture_free(before);
}

static void made_free(struct made *made) {
    free(made->system);
    free(made->addresses);
    free(made->moved);
    free(made->kept);
    free(made->predecessor);
}

void gen_appliance(json_t *out) {
    struct fixture *fixture = fixture_new(109, 1, 1, 4), *next = fixture_new(109, 1, 1, 4);
    struct card own;
    uint8_t proven[CARD_PROVEN_BYTES_MAX];
    struct made made = {.fixture = fixture, .own = &own}, successor;
    CHECK(keyfile_make_unowned(&fixture->nodes[0][0], fixture->owners[0][0].signing_key, &own, NULL) == SYSTEM_OK);
    gen_set_hex(out, "owner_key", own.owner_key, 32);
    gen_set_hex(out, "card", proven, card_encode_proven(&fixture->assembly->nodes[0], proven));
    made.system = system_encode_json(&fixture->assembly->system, &made.system_bytes);
    made.addresses = addresses_text(fixture, 7000, &made.addresses_bytes);
    made.moved = addresses_text(fixture, 7001, &made.moved_bytes);
    CHECK(made.system);
    successor_make(&successor, next, &own);
    gen_blocks(out);
    gen_requests(out, &own);
    gen_bundles(out, &made, &successor);
    gen_releases(out);
    made_free(&made);
    made_free(&successor);
    fixture_free(fixture);
    fixture_free(next);
}
