/* What scripts on the world of replicas do again and again: writes one after the other, a CONFIG of each cluster, a member that must be needed
 * (replica_world.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "tests/appliance/replica_world.h"

void rw_script_begin(struct rw_script *script, struct replica_world *rw) {
    *script = (struct rw_script){.rw = rw};
    rw_script_genesis(script);
    rw_run(rw, 300);
}

void rw_script_genesis(struct rw_script *script) {
    const struct system *system = &script->rw->world->system;
    CHECK(system_config(system, COORDINATOR_CLUSTER_BASE, &script->coordinator) && system_config(system, SHARD_CLUSTER_BASE, &script->shard));
}

bool rw_adds(struct rw_script *script, uint32_t count) {
    struct operation add = op_add("sum", 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct client_item *item = rw_ask(script->rw, BATCH_WRITE, ++script->number, &add, 1, 30000);
        if (item == NULL || (item->code != CODE_OK && item->code != CODE_RECORDED)) return false;
    }
    return true;
}

bool rw_sum_is_right(struct rw_script *script) {
    struct operation get = op_get("sum", 100);
    const struct client_item *item = rw_ask(script->rw, BATCH_READ, 0, &get, 1, 30000);
    int64_t value = 0;
    if (item == NULL) return false;
    struct result result = world_result(item, 0);
    return result.code == CODE_OK && operation_number_parse(result.value, result.value_bytes, &value) && (uint64_t)value == script->number;
}

bool rw_nobody_stopped(const struct replica_world *rw) {
    bool good = true;
    for (uint32_t i = 0; i < RW_NODES; i++) {
        if (rw->nodes[i].stopped > 0) printf("node %u: %s\n", i, rw->nodes[i].stop_text);
        good = good && rw->nodes[i].stopped == 0;
    }
    return good;
}

void rw_config_send(struct rw_script *script, uint32_t node, uint32_t cluster) {
    static uint8_t bytes[ADMIN_OP_BYTES_MAX];
    static struct admin_op op;
    struct config *config = cluster == COORDINATOR_CLUSTER_BASE ? &script->coordinator : &script->shard;
    rw_config_next(config, &op);
    op.config.timeouts.view_base_ms = 900 + (uint32_t)op.serial;
    op.config.limits.window_blocks = 1 + (uint32_t)(op.serial % 8);
    op.config.limits.block_refs_max = 2000;
    script->config_bytes = rw_admin_send(script->rw, node, &op, 1, bytes);
    memcpy(script->config, bytes, script->config_bytes);
    *config = op.config;
}

bool rw_puts(struct replica_world *rw, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        char key[16], value[64];
        rw->number++;
        snprintf(key, sizeof key, "key%llu", (unsigned long long)(rw->number % RW_KEYS));
        snprintf(value, sizeof value, "value %llu", (unsigned long long)rw->number);
        struct operation put = op_put(key, value);
        if (rw_ask(rw, BATCH_WRITE, rw->number, &put, 1, 20000) == NULL) return false;
    }
    return true;
}

uint32_t rw_other(const struct replica_world *rw, uint32_t node) {
    uint32_t first = node / RW_CLUSTER * RW_CLUSTER;
    for (uint32_t other = first; other < first + RW_CLUSTER; other++) {
        if (other != node && rw->nodes[other].up) return other;
    }
    return RW_NODES;
}

bool rw_votes(struct replica_world *rw, uint32_t node) {
    uint32_t other = rw_other(rw, node);
    if (other == RW_NODES) return false;
    rw_crash(rw, other);
    bool done = rw_puts(rw, 3);
    rw_restart(rw, other);
    rw_run(rw, 3000);
    return done && rw_compare(rw) >= 6 && rw_nobody_stopped(rw) && rw->answers_bad == 0;
}
