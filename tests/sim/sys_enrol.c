/*
 * Clients enrolled, changed and revoked while a walk runs (tests/sim/sys.h): one numbered operation after the other, signed by the administrators and
 * handed to members of each coordinator cluster until all have decided it. What a node holds to be decided is compared with what was signed, and with
 * whom its net lets in.
 */
#include "appliance/node/node.h"
#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"
#include "protocol/keyfile.h"
#include "tests/sim/sys.h"

enum { OPERATIONS_MAX = 48, NEW_MAX = 16, RECORD_MAX = NEW_MAX + SYS_CLIENTS_MAX };

struct record { /* of a client */
    uint8_t id[32], noise_key[32];
    uint64_t revoked; /* the number of the operation that did; 0: none */
    bool may_go;      /* nobody of the honest clients, nor the administrators' own */
};

struct operation_signed {
    enum admin_op_kind kind;
    uint32_t record;
    uint8_t hash[32];
};

struct sys_enrolments {
    struct record records[RECORD_MAX];
    uint32_t record_count, new_count;
    struct operation_signed signed_ops[OPERATIONS_MAX];
    uint32_t count;
    uint8_t *bytes; /* of the newest */
    size_t byte_count;
};

static bool is_on(const struct sys_world *world) {
    return world->config.faults >> SYS_ENROL & 1;
}

void sys_enrol_begin(struct sys_world *world) {
    if (!is_on(world)) return;
    struct sys_enrolments *own = calloc(1, sizeof *own);
    CHECK(own != NULL);
    world->enrolments = own;
    own->bytes = malloc(ADMIN_OP_BYTES_MAX);
    CHECK(own->bytes != NULL);
    for (uint32_t i = 0; i < world->system->clients_count; i++) {
        const struct card *card = &world->system->clients[i].card;
        struct record *record = &own->records[own->record_count++];
        memcpy(record->id, card->id, 32);
        memcpy(record->noise_key, card->noise_key, 32);
        record->may_go = i >= world->config.clients && i < world->config.clients + world->config.hostile;
    }
}

void sys_enrol_free(struct sys_world *world) {
    if (world->enrolments != NULL) free(world->enrolments->bytes);
    free(world->enrolments);
}

/* ---- making one ---- */

static bool card_new(struct sys_world *world, struct admin_op *op) {
    struct sys_enrolments *own = world->enrolments;
    if (own->new_count == NEW_MAX) return false;
    struct keyfile key;
    CHECK(keyfile_generate(&key, KEYFILE_CLIENT, "newcomer", sys_entropy, world, NULL) == SYSTEM_OK);
    CHECK(keyfile_make_card(&key, NULL, &op->client, NULL) == SYSTEM_OK);
    keyfile_close(&key);
    memcpy(op->client_id, op->client.id, 32);
    struct record *record = &own->records[own->record_count++];
    *record = (struct record){.may_go = true};
    memcpy(record->id, op->client.id, 32);
    memcpy(record->noise_key, op->client.noise_key, 32);
    own->new_count++;
    return true;
}

/* One on record that is not revoked; RECORD_MAX: there is none. */
static uint32_t record_any(struct sys_world *world, bool may_go) {
    struct sys_enrolments *own = world->enrolments;
    uint32_t from = (uint32_t)sys_random(world, own->record_count);
    for (uint32_t i = 0; i < own->record_count; i++) {
        uint32_t at = (from + i) % own->record_count;
        if (own->records[at].revoked == 0 && (own->records[at].may_go || !may_go)) return at;
    }
    return RECORD_MAX;
}

static void operation_new(struct sys_world *world) {
    static const struct system_right all = {.flags = SYSTEM_RIGHT_READ | SYSTEM_RIGHT_WRITE};
    struct sys_enrolments *own = world->enrolments;
    struct admin_op *op = calloc(1, sizeof *op);
    CHECK(op != NULL);
    uint64_t die = sys_random(world, 3);
    op->kind = die == 0 ? ADMIN_OP_ENROL : die == 1 ? ADMIN_OP_CHANGE : ADMIN_OP_REVOKE;
    uint32_t record = op->kind == ADMIN_OP_ENROL ? own->record_count : record_any(world, op->kind == ADMIN_OP_REVOKE);
    bool good = op->kind == ADMIN_OP_ENROL ? card_new(world, op) : record != RECORD_MAX;
    if (!good || own->count == OPERATIONS_MAX) {
        free(op);
        return;
    }
    memcpy(op->system_id, world->system->system_id, sizeof op->system_id);
    memcpy(op->client_id, own->records[record].id, 32);
    memcpy(op->predecessor, own->count > 0 ? own->signed_ops[own->count - 1].hash : world->system->file_hash, 32);
    op->serial = own->count + 1;
    if (op->kind != ADMIN_OP_REVOKE) { /* enough for all that anybody asks here */
        op->quota_per_second = 1000000 + (uint32_t)sys_random(world, 1000);
        op->quota_burst = 2000000;
        op->rights_count = 1;
        op->rights[0] = all;
    }
    sys_admin_sign(world, op);
    own->byte_count = admin_op_encode(op, own->bytes);
    struct operation_signed *made = &own->signed_ops[own->count++];
    *made = (struct operation_signed){.kind = op->kind, .record = record};
    memcpy(made->hash, op->hash, 32);
    if (op->kind == ADMIN_OP_REVOKE) own->records[record].revoked = op->serial;
    sys_fault_count(world, SYS_ENROL, NULL);
    sys_reached(world->stats, op->kind == ADMIN_OP_ENROL ? "enrolled" : op->kind == ADMIN_OP_CHANGE ? "client_changed" : "client_revoked", 1);
    sys_trace(world, "the administrators sign enrolment %llu of kind %d", (unsigned long long)op->serial, (int)op->kind);
    free(op);
}

/* ---- handing it in ---- */

/* Does a member that counts at the end hold it to be decided? */
static bool cluster_has(const struct sys_world *world, uint32_t cluster_index) {
    for (uint32_t i = 0; i < world->node_count; i++) {
        const struct sys_node *node = &world->nodes[i];
        if (node->cluster_index != cluster_index || !node->up || node->liar || !sys_is_member(world, i)) continue;
        if (sys_replica(node)->enrolment.serial == world->enrolments->count) return true;
    }
    return false;
}

bool sys_enrol_settled(const struct sys_world *world) {
    if (world->enrolments == NULL) return true;
    for (uint32_t c = 0; c < world->config.coordinators; c++) {
        if (!cluster_has(world, c)) return false;
    }
    return true;
}

static void hand_in(struct sys_world *world, uint32_t cluster_index) {
    const struct sys_enrolments *own = world->enrolments;
    const struct sys_cluster *cluster = &world->clusters[cluster_index];
    const struct sys_epoch *now = &cluster->epochs[cluster->epoch_count - 1];
    uint32_t index = now->node_of[sys_random(world, now->config.members.count)];
    if (world->nodes[index].up) sys_admin_tell(world, index, MESSAGE_ADMIN, own->bytes, own->byte_count);
}

void sys_enrol_event(struct sys_world *world) {
    if (!is_on(world)) return;
    if (sys_enrol_settled(world)) {
        if (!world->healed && sys_chance(world, 500000)) operation_new(world);
        return;
    }
    for (uint32_t c = 0; c < world->config.coordinators; c++) {
        if (!cluster_has(world, c)) hand_in(world, c);
    }
}

/* ---- what nodes hold ---- */

static bool lets_in(const struct replica *r, const uint8_t noise_key[32]) {
    for (uint32_t i = 0; i < replica_clients(r); i++) {
        uint8_t key[32];
        if (replica_client_key(r, i, key) && memcmp(key, noise_key, 32) == 0) return true;
    }
    return false;
}

void sys_enrol_check(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    const struct replica *r = node->shell->replica;
    const struct sys_enrolments *own = world->enrolments;
    uint64_t number = r->enrolment.serial;
    char name[SYS_NAME_BYTES];
    if (own == NULL || number == node->enrolled) return;
    (void)sys_end_name(world, index, name);
    if (number < node->enrolled || number > own->count || memcmp(r->enrolment.hash, own->signed_ops[number - 1].hash, 32) != 0)
        sys_fail(world, SYS_CHECK_AGREEMENT, "%s holds enrolment %llu to be decided, which is not what was signed", name,
                 (unsigned long long)number);
    node->enrolled = number;
    for (uint64_t i = 0; i < number; i++) {
        const struct record *record = &own->records[own->signed_ops[i].record];
        bool gone = record->revoked != 0 && record->revoked <= number;
        if (lets_in(r, record->noise_key) == gone)
            sys_fail(world, SYS_CHECK_AGREEMENT, "%s %s a client that enrolment %llu says otherwise of", name, gone ? "lets in" : "shuts out",
                     (unsigned long long)number);
        uint32_t end = sys_end_by_noise_key(world, record->noise_key);
        if (gone && end < SYS_ENDS_MAX && node->peers[end].kind != 0)
            sys_fail(world, SYS_CHECK_AGREEMENT, "the net of %s knows a client that was revoked", name);
    }
}
