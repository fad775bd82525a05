/*
 * Honest clients (tests/sim/sys.h): each is a handle of the client library, assembled here as open.c does from files, and asks a few things at a
 * time. Its journal and its chain of CONFIGs are real files. A client that crashes loses what its journal had not synced and starts again from them.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "protocol/operation.h"
#include "tests/sim/sys_client.h"

enum { POLL_US = 20000, THINK_US = 40000, PATIENCE_MS = 60000 };

/* As nodes_make() of client/open.c. */
static void members_make(struct sys_client *client) {
    struct sys_world *world = client->world;
    struct heraclius *db = &client->db;
    db->node_count = world->cluster_count * BFT_MEMBERS_MAX;
    db->coordinator_nodes = world->config.coordinators * BFT_MEMBERS_MAX;
    db->enrolments = calloc(world->config.coordinators, sizeof *db->enrolments);
    db->nodes = calloc(db->node_count, sizeof *db->nodes);
    db->touched = calloc(db->node_count, sizeof *db->touched);
    db->statuses = calloc(db->node_count, sizeof *db->statuses);
    CHECK(db->enrolments != NULL && db->nodes != NULL && db->touched != NULL && db->statuses != NULL);
    memset(client->ends, UINT8_MAX, sizeof client->ends);
    for (uint32_t i = 0; i < db->node_count; i++) {
        const struct sys_cluster *cluster = &world->clusters[i / BFT_MEMBERS_MAX];
        struct node *node = &db->nodes[i];
        *node = (struct node){.db = db, .index = i, .cluster = cluster->cluster, .member = i % BFT_MEMBERS_MAX, .fd = -1};
        if (node->member >= cluster->n) continue;
        client->ends[i] = (uint8_t)(cluster->first + node->member);
        node->card = world->nodes[client->ends[i]].card;
    }
}

static void open_handle(struct sys_client *client) {
    struct sys_world *world = client->world;
    struct heraclius *db = &client->db;
    char why[HERACLIUS_TEXT_BYTES];
    memset(db, 0, sizeof *db);
    db->system = world->system;
    client->shared = (struct client_system){0}; /* of one handle alone: its journal is synced as it goes */
    db->shared = &client->shared;
    db->journal.fd = db->journal.sync.event = -1;
    db->key.lock = -1;
    memcpy(db->key.card_id, world->system->clients[client->index].card.id, 32);
    db->signer = sys_signer(world, &world->client_keys[client->index]);
    db->resend_ms = CLIENT_RESEND_MS;
    db->epoll = epoll_create1(EPOLL_CLOEXEC);
    db->numbers = calloc(world->config.shards, sizeof *db->numbers);
    CHECK(db->epoll >= 0 && db->numbers != NULL);
    members_make(client);
    sys_address_start(world, world->node_count + client->index);
    if (sys_succession_followed(world) != NULL && !client_journal_is_own(db, client->path)) { /* as client_follow(), whose judgement went before */
        db->follows = client->following = true;
        memcpy(db->followed_id, sys_succession_followed(world), sizeof db->followed_id);
    }
    CHECK(client_chain_open(db, client->path));
    db->preferred = BFT_MEMBERS_MAX * (uint32_t)sys_random(world, world->config.coordinators);
    db->preferred += (uint32_t)sys_random(world, CONFIG_MEMBERS_MIN);
    /* Every other one as if it had been told a node to begin at with everything. */
    if (client->index % 2 == 1) CHECK(client_groups_open(db));
    CHECK(client_journal_open(db, client->path, why) == HERACLIUS_OK);
}

static void close_handle(struct sys_client *client) {
    struct heraclius *db = &client->db;
    struct sys_world *world = client->world;
    sys_backup_client_gone(world, client->index);
    client->closing = true;
    for (uint32_t i = 0; i < world->node_count; i++) sys_link_set(world, world->node_count + client->index, i, false);
    for (uint32_t i = 0; i < SYS_ASKS_MAX; i++) {
        if (client->asks[i].kind != SYS_ASK_NONE) heraclius_request_free(client->asks[i].request);
        client->asks[i].kind = SYS_ASK_NONE;
    }
    while (db->held != NULL) heraclius_request_free(db->held); /* the library's own */
    while (db->sendings != NULL) heraclius_request_free(db->sendings->request);
    client_journal_close(db);
    for (uint32_t i = 0; i < db->node_count; i++) {
        client_buffer_free(&db->nodes[i].out);
        client_buffer_free(&db->nodes[i].held);
        free(db->nodes[i].card_own);
    }
    close(db->epoll);
    client_chain_close(db);
    free(db->enrolments);
    free(db->groups);
    free(db->nodes);
    free(db->touched);
    free(db->statuses);
    free(db->numbers);
    client->closing = false;
}

const char *sys_files_folder(void) {
    const char *named = getenv("TMPDIR");
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : named != NULL ? named : "/tmp";
}

/* Where the files of a process' client lie. */
static void path_of(int process, uint32_t index, char path[SYS_CLIENT_PATH_BYTES]) {
    snprintf(path, SYS_CLIENT_PATH_BYTES, "%.32s/heraclius-sim-%d-%u", sys_files_folder(), process, index);
}

static void files_remove(int process, uint32_t index) {
    static const char *const names[] = {"journal", "journal.new", "chain", "chain.new"};
    char path[SYS_CLIENT_PATH_BYTES], file[SYS_CLIENT_PATH_BYTES + 16];
    path_of(process, index, path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s.%s", path, names[i]);
        (void)unlink(file);
    }
}

void sys_clients_forget(int process) {
    for (uint32_t i = 0; i < SYS_CLIENTS_MAX; i++) files_remove(process, i);
    sys_backups_forget(sys_files_folder(), process);
}

void sys_client_create(struct sys_world *world, uint32_t index) {
    struct sys_client *client = calloc(1, sizeof *client);
    CHECK(client != NULL);
    world->clients[index] = client;
    client->world = world;
    client->index = index;
    path_of((int)getpid(), index, client->path);
    files_remove((int)getpid(), index);
    open_handle(client);
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + POLL_US + sys_random(world, POLL_US), .kind = SYS_POLL, .to = (uint8_t)index});
}

void sys_client_destroy(struct sys_world *world, uint32_t index) {
    struct sys_client *client = world->clients[index];
    if (!client->hostile) {
        close_handle(client);
        files_remove((int)getpid(), index);
    }
    free(client);
    world->clients[index] = NULL;
}

void sys_client_crash(struct sys_world *world, uint32_t index) {
    struct sys_client *client = world->clients[index];
    world->current = UINT8_MAX;
    for (uint32_t i = 0; i < SYS_ASKS_MAX; i++) world->stats->unsettled += client->asks[i].kind != SYS_ASK_NONE;
    client->db.journal.pending.used = 0; /* not written yet: lost */
    close_handle(client);
    open_handle(client);
}

/* ADDs that its journal holds open are sent again. */
static void again_count(struct sys_client *client) {
    const struct journal *journal = &client->db.journal;
    for (size_t i = 0; i < journal->writes_count; i++) {
        const struct journal_write *write = &journal->writes[i];
        struct batch batch = {.kind = BATCH_WRITE, .bytes = write->bytes, .bytes_count = (uint32_t)write->bytes_count};
        struct batch_part part;
        size_t at = 0;
        for (uint16_t k = 0; batch_part_next(&batch, &at, &part); k++) {
            struct bytes_cursor cursor = bytes_cursor_of(part.ops, part.ops_bytes);
            struct operation operation;
            while (write->settled[k] == JOURNAL_OPEN && cursor.left > 0) {
                CHECK(operation_decode(&cursor, &operation));
                sys_model_again(client->world, operation.key, operation.key_bytes);
            }
        }
    }
}

void sys_client_move(struct sys_world *from, struct sys_world *to, uint32_t index) {
    struct sys_client *client = from->clients[index];
    char chain[SYS_CLIENT_PATH_BYTES + 16];
    if (sys_chance(to, 500000)) client->db.journal.pending.used = 0; /* a crash: not written yet, lost */
    bool full = client->db.journal.kept_count == JOURNAL_KEPT_MAX || client->db.journal.kept_bytes > JOURNAL_KEPT_BYTES_MAX / 2;
    if (full) to->journals_full++; /* it may have let go of some */
    close_handle(client);
    from->clients[index] = NULL;
    to->clients[index] = client;
    client->world = to;
    snprintf(chain, sizeof chain, "%s.chain", client->path); /* the old system's; it would show nothing to this one's */
    (void)unlink(chain);
    open_handle(client);
    again_count(client);
    sys_reached(to->stats, "followed", 1);
    sys_reached(to->stats, "followed_writes", heraclius_unsettled_count(&client->db));
    sys_schedule(to, (struct sys_event){.at_us = to->now_us + POLL_US + sys_random(to, POLL_US), .kind = SYS_POLL, .to = (uint8_t)index});
}

/* ---- asking ---- */

static void came(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    struct sys_ask *ask = argument;
    struct sys_world *world = ask->client->world;
    sys_mix(world, (uint64_t)status << 32 ^ (uint64_t)ask->kind << 8 ^ ask->client->index);
    if (world->trace != NULL)
        sys_trace(world, "client%u: kind %d of group %u: %s %s", ask->client->index, (int)ask->kind, ask->group, heraclius_status_name(status),
                  heraclius_why(request));
    bool open = ask->kind == SYS_ASK_SETTLE || ask->kind == SYS_ASK_AGAIN, settled = open && status == HERACLIUS_REFUSED;
    if (status == HERACLIUS_DONE || settled) { /* settled: the number is closed, and that is an answer */
        world->stats->answers++;
        if (!open) sys_model_answer(world, ask);
        if (ask->kind == SYS_ASK_AGAIN && status == HERACLIUS_DONE) sys_model_again_answer(ask->client, request);
    } else if (ask->final) {
        sys_fail(world, SYS_CHECK_ANSWERED, "client%u asked after everything had healed, and got %s: %s", ask->client->index,
                 heraclius_status_name(status), heraclius_why(request));
    } else {
        if (status == HERACLIUS_REFUSED)
            world->stats->refused++;
        else
            world->stats->unsettled++;
    }
    ask->kind = SYS_ASK_NONE;
    heraclius_request_free(request);
}

static void ask_prepare(struct sys_client *client, struct sys_ask *ask, enum sys_ask_kind kind, uint32_t group) {
    const struct sys_world *world = client->world;
    bool final = world->healed && !world->closing;
    *ask = (struct sys_ask){.client = client, .kind = kind, .group = group, .since_us = world->now_us, .final = final};
}

static void ask_new(struct sys_client *client, struct sys_ask *ask, enum sys_ask_kind kind, uint32_t group) {
    ask_prepare(client, ask, kind, group);
    ask->request = heraclius_request_new(&client->db);
    CHECK(ask->request != NULL);
}

static void ask_submit(struct sys_ask *ask) {
    struct sys_world *world = ask->client->world;
    uint32_t patience = ask->final ? (uint32_t)sys_world_bound_ms(world) : 1000 + (uint32_t)sys_random(world, PATIENCE_MS);
    CHECK(heraclius_submit(ask->request, patience, came, ask) == HERACLIUS_OK);
}

static void submit(struct sys_client *client, struct sys_ask *ask, enum sys_ask_kind kind, uint32_t group) {
    ask_new(client, ask, kind, group);
    sys_model_ask(client->world, ask);
    ask_submit(ask);
}

/* What a run before this one left open is closed (as heraclius_settle() does it, which waits): numbers do not go on for ever without. */
static bool settle(struct sys_client *client, struct sys_ask *ask) {
    const struct heraclius *db = &client->db;
    for (uint32_t i = 0; i < SYS_ASKS_MAX; i++) {
        if (client->asks[i].kind == SYS_ASK_SETTLE) return false; /* one after the other */
    }
    for (size_t i = 0; i < db->journal.writes_count; i++) {
        const struct journal_write *write = &db->journal.writes[i];
        struct batch batch = {.kind = BATCH_WRITE, .bytes = write->bytes, .bytes_count = (uint32_t)write->bytes_count};
        struct batch_part part;
        size_t at = 0;
        for (uint16_t k = 0; write->earlier && batch_part_next(&batch, &at, &part); k++) {
            if (write->settled[k]) continue;
            ask_new(client, ask, SYS_ASK_SETTLE, 0);
            ask->request->cancel_number = part.number;
            ask->request->cancel_shard = part.shard - SHARD_CLUSTER_BASE;
            ask_submit(ask);
            return true;
        }
    }
    return false;
}

/* What was unsettled under the predecessor is sent again, in its order, before anything else is asked. False: all is settled. */
static bool follow(struct sys_client *client) {
    if (heraclius_unsettled_count(&client->db) == 0) client->following = false;
    if (!client->following || client->asks[0].kind != SYS_ASK_NONE) return client->following;
    ask_prepare(client, &client->asks[0], SYS_ASK_AGAIN, 0);
    client->asks[0].request = client_settle_request(&client->db, HERACLIUS_SETTLE_RETRY);
    CHECK(client->asks[0].request != NULL);
    ask_submit(&client->asks[0]);
    return true;
}

static enum sys_ask_kind kind_any(struct sys_world *world) {
    static const enum sys_ask_kind kinds[] = {SYS_ASK_GET,   SYS_ASK_GET,  SYS_ASK_PUT,   SYS_ASK_PUT,      SYS_ASK_CAS,
                                              SYS_ASK_ADD,   SYS_ASK_ADD,  SYS_ASK_COUNT, SYS_ASK_TRANSFER, SYS_ASK_TRANSFER,
                                              SYS_ASK_AUDIT, SYS_ASK_FUND, SYS_ASK_TWO};
    return kinds[sys_random(world, sizeof kinds / sizeof *kinds)];
}

/* After the heal: of each group that is this client's, one of each kind; then no more. */
static bool final_ask(struct sys_client *client, struct sys_ask *ask) {
    static const enum sys_ask_kind kinds[] = {SYS_ASK_PUT, SYS_ASK_ADD, SYS_ASK_TRANSFER, SYS_ASK_GET, SYS_ASK_COUNT, SYS_ASK_AUDIT};
    const uint32_t each = sizeof kinds / sizeof *kinds;
    struct sys_world *world = client->world;
    for (; client->final_next < each * sys_model_groups(world); client->final_next++) {
        uint32_t group = client->final_next / each;
        if (group % world->config.clients != client->index) continue;
        submit(client, ask, kinds[client->final_next++ % each], group);
        return true;
    }
    return false;
}

static void ask_more(struct sys_client *client) {
    struct sys_world *world = client->world;
    bool ending = world->healed && !world->closing;
    if (client->following && follow(client)) return;
    for (uint32_t i = 0; i < SYS_ASKS_MAX; i++) {
        if (client->asks[i].kind != SYS_ASK_NONE) continue;
        if (!world->config.quiet_faults && (ending || sys_chance(world, 20000)) && settle(client, &client->asks[i])) continue;
        if (ending) {
            if (!final_ask(client, &client->asks[i])) return;
            continue;
        }
        if (world->config.quiet_faults || world->now_us < client->next_us) return;
        client->next_us = world->now_us + sys_random(world, THINK_US);
        enum sys_ask_kind kind = kind_any(world); /* before the group: compilers differ in the order of arguments */
        submit(client, &client->asks[i], kind, (uint32_t)sys_random(world, sys_model_groups(world)));
    }
}

void sys_client_poll(struct sys_world *world, uint32_t index) {
    struct sys_client *client = world->clients[index];
    world->current = UINT8_MAX;
    ask_more(client);
    (void)heraclius_poll(&client->db, 0);
    if (world->backups != NULL) sys_backup_poll(world, index);
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + POLL_US, .kind = SYS_POLL, .to = (uint8_t)index});
}

void sys_client_frame(struct sys_world *world, uint32_t index, uint32_t from, uint16_t type, const struct blob *blob) {
    struct sys_client *client = world->clients[index];
    struct node *node = client == NULL || client->hostile ? NULL : sys_client_node(client, from);
    if (node == NULL || node->state != NODE_UP) return;
    world->current = UINT8_MAX;
    uint64_t before = client->db.counters.verification_failures;
    client_answer_frame(node, type, blob->bytes, blob->count, world->now_us / 1000);
    if (client->db.counters.verification_failures > before && !world->nodes[from].liar)
        sys_fail(world, SYS_CHECK_ORDER, "a client refuses what an honest node sent it");
    ask_more(client);
    (void)heraclius_poll(&client->db, 0);
}

bool sys_client_settled(const struct sys_world *world, uint32_t index, uint64_t *oldest_us) {
    const struct sys_client *client = world->clients[index];
    bool settled = client->final_next >= 6 * sys_model_groups(world);
    *oldest_us = settled ? UINT64_MAX : world->healed_us;
    for (uint32_t i = 0; i < SYS_ASKS_MAX; i++) {
        if (client->asks[i].kind == SYS_ASK_NONE) continue;
        settled = false;
        uint64_t since = client->asks[i].since_us > world->healed_us ? client->asks[i].since_us : world->healed_us;
        if (*oldest_us == UINT64_MAX || since > *oldest_us) *oldest_us = since;
    }
    return settled;
}

void sys_client_ask_again(struct sys_world *world) {
    for (uint32_t i = 0; i < world->config.clients; i++) ask_more(world->clients[i]);
}
