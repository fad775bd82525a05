#include "tests/scenario/scenario.h"

#include <unistd.h>

#include "tests/scenario/scenario_client.h"

void scenario_begin(struct scenario *scenario, int argc, char **argv, const char *rule) {
    memset(scenario, 0, sizeof *scenario);
    scenario->rule = rule;
    scenario->config = (struct sys_config){.seed = 1,
                                           .coordinators = 1,
                                           .shards = 1,
                                           .n = 4,
                                           .clients = 1,
                                           .quiet_faults = true,
                                           .checkpoint_blocks = 1024,
                                           .rotation_blocks = 10000,
                                           .view_base_ms = 300};
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0) scenario->config.seed = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--trace") == 0) scenario->config.trace = argv[i + 1];
    }
}

void scenario_start(struct scenario *scenario) {
    scenario->world = sys_world_create(&scenario->config, &scenario->stats);
}

void scenario_must(struct scenario *scenario, bool so, const char *what) {
    if (so) return;
    sys_trace(scenario->world, "MUST: %s", what);
    for (uint32_t i = 0; i < scenario->world->node_count; i++) sys_check_describe(scenario->world, i);
    (void)fprintf(stderr, "rule %s, seed %llu, after %llu ms: must hold: %s\n", scenario->rule, (unsigned long long)scenario->config.seed,
                  (unsigned long long)scenario->world->now_us / 1000, what);
    if (scenario->world->trace != NULL) (void)fflush(scenario->world->trace);
    sys_clients_forget((int)getpid());
    _Exit(1);
}

int scenario_end(struct scenario *scenario) {
    struct sys_world *world = scenario->world;
    uint32_t who;
    sys_fault_end(world);
    for (uint64_t ms = 0; !sys_check_caught_up(world, &who); ms += 100) {
        scenario_must(scenario, ms < 60000, "after the heal everybody catches up");
        scenario_run(scenario, 100);
    }
    scenario_run(scenario, 1000);
    scenario_put(scenario, "last", "word", 60000);
    scenario_get(scenario, "last", "word", 60000);
    scenario_run(scenario, 1000);
    sys_check_end(world);
    printf("rule %s holds; %llu events, %llu ms\n", scenario->rule, (unsigned long long)scenario->stats.events,
           (unsigned long long)world->now_us / 1000);
    sys_world_destroy(world);
    return 0;
}

/* ---- nodes ---- */

uint32_t scenario_node(const struct scenario *scenario, uint32_t cluster, uint32_t member) {
    return scenario->world->clusters[cluster].first + member;
}

struct replica *scenario_replica(const struct scenario *scenario, uint32_t node) {
    return sys_replica(&scenario->world->nodes[node]);
}

/* The member of a cluster that is honest, up, and furthest by view. */
static const struct replica *furthest(const struct scenario *scenario, uint32_t cluster) {
    const struct sys_cluster *of = &scenario->world->clusters[cluster];
    const struct replica *best = NULL;
    for (uint32_t i = of->first; i < of->first + of->n; i++) {
        const struct sys_node *node = &scenario->world->nodes[i];
        if (!node->up || node->liar) continue;
        const struct replica *r = sys_replica(node);
        if (best == NULL || r->core->memory.view > best->core->memory.view) best = r;
    }
    CHECK(best != NULL);
    return best;
}

uint64_t scenario_view(const struct scenario *scenario, uint32_t cluster) {
    return furthest(scenario, cluster)->core->memory.view;
}

uint32_t scenario_leader(const struct scenario *scenario, uint32_t cluster) {
    return scenario_node(scenario, cluster, (uint32_t)(scenario_view(scenario, cluster) % scenario->config.n));
}

uint64_t scenario_height(const struct scenario *scenario, uint32_t cluster) {
    return scenario->world->clusters[cluster].height;
}

void scenario_hook(struct scenario *scenario, uint32_t node, struct replica_hooks hooks) {
    struct sys_node *at = &scenario->world->nodes[node];
    CHECK(!at->liar);
    at->liar = true;
    at->hooks = hooks;
    sys_broke(scenario->world, node);
    if (at->up) sys_replica(at)->hooks = &at->hooks;
}

void scenario_lie(struct scenario *scenario, uint32_t node, const char *script) {
    struct sys_node *at = &scenario->world->nodes[node];
    sys_liar_make(scenario->world, node, script);
    if (!at->up) return;
    sys_liar_started(scenario->world, node); /* not at a restart: a leader that is restarted gives up its view (B-37) */
    sys_replica(at)->hooks = &at->hooks;
}

uint64_t scenario_lies(const struct scenario *scenario, uint32_t node) {
    return sys_liar_count(scenario->world, node);
}

void scenario_crash(struct scenario *scenario, uint32_t node) {
    sys_node_crash(scenario->world, node);
}

void scenario_restart(struct scenario *scenario, uint32_t node) {
    sys_node_start(scenario->world, node);
}

void scenario_cut(struct scenario *scenario, uint32_t a, uint32_t b, bool cut) {
    sys_link_cut(scenario->world, a, b, cut);
    sys_link_cut(scenario->world, b, a, cut);
}

void scenario_cut_clusters(struct scenario *scenario, uint32_t from, uint32_t to, bool cut) {
    for (uint32_t a = 0; a < scenario->config.n; a++) {
        for (uint32_t b = 0; b < scenario->config.n; b++)
            scenario_cut(scenario, scenario_node(scenario, from, a), scenario_node(scenario, to, b), cut);
    }
}

void scenario_isolate(struct scenario *scenario, uint32_t node, bool cut) {
    for (uint32_t other = 0; other < scenario->world->end_count; other++) {
        if (other != node) scenario_cut(scenario, node, other, cut);
    }
}

uint64_t scenario_attacks(const struct scenario *scenario, uint32_t cluster, enum status_attack attack) {
    static struct status_replica status;
    const struct sys_cluster *of = &scenario->world->clusters[cluster];
    uint64_t count = scenario->stats.attacks[attack]; /* of processes that ended */
    for (uint32_t i = of->first; i < of->first + of->n; i++) {
        if (!scenario->world->nodes[i].up || scenario->world->nodes[i].liar) continue;
        sys_node_status(scenario->world, i, &status);
        count += status.attacks[attack];
    }
    return count;
}

uint64_t scenario_drops(const struct scenario *scenario, uint32_t cluster, enum status_drop drop) {
    static struct status_replica status;
    const struct sys_cluster *of = &scenario->world->clusters[cluster];
    uint64_t count = scenario->stats.drops[drop];
    for (uint32_t i = of->first; i < of->first + of->n; i++) {
        if (!scenario->world->nodes[i].up || scenario->world->nodes[i].liar) continue;
        sys_node_status(scenario->world, i, &status);
        count += status.drops[drop];
    }
    return count;
}

bool scenario_reached(const struct scenario *scenario, const char *event) {
    for (uint32_t i = 0; i < scenario->stats.reached_count; i++) {
        if (strcmp(scenario->stats.reached[i].name, event) == 0) return true;
    }
    return false;
}

/* ---- time ---- */

void scenario_run(struct scenario *scenario, uint64_t ms) {
    sys_world_run_ms(scenario->world, ms);
}

bool scenario_until(struct scenario *scenario, uint64_t ms, bool (*holds)(struct scenario *scenario)) {
    uint64_t end = scenario->world->now_us + ms * 1000;
    while (!holds(scenario) && scenario->world->now_us < end) (void)sys_world_step(scenario->world);
    return holds(scenario);
}

/* ---- messages ---- */

bool scenario_decode(const struct blob_piece *pieces, unsigned count, uint16_t type, struct bft_message *message) {
    static uint8_t whole[BFT_WIRE_HEAD_BYTES_MAX + BFT_BODY_BYTES_MAX];
    size_t used = 0;
    for (unsigned i = 0; i < count; i++) {
        memcpy(whole + used, blob_piece_bytes(&pieces[i]), pieces[i].count);
        used += pieces[i].count;
    }
    return bft_wire_decode(type, whole, used, message) == BFT_WIRE_OK;
}

static struct blob *message_blob(const struct bft_message *message) {
    static uint8_t head[BFT_WIRE_HEAD_BYTES_MAX];
    size_t count = bft_wire_encode(message, head, sizeof head);
    struct blob *blob = blob_make(count + message->body_bytes);
    memcpy(blob->bytes, head, count);
    if (message->body_bytes > 0) memcpy(blob->bytes + count, message->body, message->body_bytes);
    return blob;
}

void scenario_encode(const struct replica *replica, struct bft_message *message, struct blob_piece *pieces, unsigned *count) {
    static struct blob *given; /* until the next call, as replica_hooks wants */
    if (message->type == BFT_MESSAGE_PROPOSE) {
        message->block_id = bft_header_id(&message->propose.header);
        bft_header_ballot(&message->propose.header, &message->block_id, &message->propose.vote.ballot);
    }
    bft_message_sign(&replica->signer, message);
    blob_drop(given);
    given = message_blob(message);
    pieces[0] = (struct blob_piece){.blob = given, .count = given->count};
    *count = 1;
}

void scenario_say(struct scenario *scenario, uint32_t node, uint8_t to, struct bft_message *message) {
    scenario_say_as(scenario, node, node, to, message);
}

void scenario_say_as(struct scenario *scenario, uint32_t node, uint32_t key, uint8_t to, struct bft_message *message) {
    struct sys_world *world = scenario->world;
    const struct sys_cluster *cluster = &world->clusters[world->nodes[node].cluster_index];
    bool certificate = message->type == BFT_MESSAGE_QC || message->type == BFT_MESSAGE_TC;
    struct signer signer = sys_signer(world, &world->nodes[key].key);
    if (!certificate) bft_message_sign(&signer, message);
    struct blob *blob = message_blob(message);
    for (uint32_t member = 0; member < cluster->n; member++) {
        if (cluster->first + member == node || (to != BFT_TO_ALL && to != member)) continue;
        sys_transmit(world, node, cluster->first + member, message->type, blob_hold(blob));
    }
    blob_drop(blob);
}

static struct blob *whole_now, *given_now;

struct blob *scenario_whole(const struct blob_piece *pieces, unsigned count) {
    size_t bytes = 0, at = 0;
    for (unsigned i = 0; i < count; i++) bytes += pieces[i].count;
    blob_drop(whole_now);
    whole_now = blob_make(bytes);
    for (unsigned i = 0; i < count; i++) {
        memcpy(whole_now->bytes + at, blob_piece_bytes(&pieces[i]), pieces[i].count);
        at += pieces[i].count;
    }
    return whole_now;
}

void scenario_replace(struct blob_piece *pieces, unsigned *count, struct blob *blob) {
    blob_drop(given_now);
    given_now = blob;
    pieces[0] = (struct blob_piece){.blob = blob, .count = blob->count};
    *count = 1;
}

void scenario_certify(struct scenario *scenario, uint32_t cluster, uint32_t members, struct bft_qc *qc) {
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&qc->ballot, (enum bft_vote_kind)qc->kind, preimage);
    qc->count = 0;
    for (uint8_t member = 0; member < scenario->config.n; member++) {
        if (!(members >> member & 1)) continue;
        struct signer signer = sys_signer(scenario->world, &scenario->world->nodes[scenario_node(scenario, cluster, member)].key);
        qc->signers[qc->count] = member;
        signer.sign(signer.context, preimage, sizeof preimage, qc->signatures[qc->count++].bytes);
    }
}
