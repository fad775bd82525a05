#include "tests/vectors_gen/gen_exec.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/canonical.h"

static int entry_compare(const void *a, const void *b) {
    const struct table_entry *x = a, *y = b;
    if (x->space != y->space) return x->space < y->space ? -1 : 1;
    uint32_t least = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
    int order = memcmp(x->key, y->key, least);
    return order ? order : (x->key_bytes > y->key_bytes) - (x->key_bytes < y->key_bytes);
}

void gen_state(json_t *out, const struct executor *ex) {
    static struct table_entry entries[4096];
    json_t *list = gen_group(out, "state");
    uint64_t cursor = 0;
    size_t count = 0;
    while (executor_entry_next(ex, &cursor, &entries[count])) CHECK(++count < sizeof entries / sizeof entries[0]);
    qsort(entries, count, sizeof entries[0], entry_compare);
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();
        CHECK(json_array_append_new(list, object) == 0);
        gen_set_u64(object, "space", entries[i].space);
        gen_set_hex(object, "key", entries[i].key, entries[i].key_bytes);
        gen_set_u64(object, "height", entries[i].version.height);
        gen_set_u64(object, "index", entries[i].version.index);
        gen_set_hex(object, "value", entries[i].value, entries[i].value_bytes);
    }
}

static void gen_inputs(json_t *out, const struct world_cluster *cluster) {
    static struct exec_ref refs[2 * WORLD_INBOX_MAX];
    json_t *list = gen_group(out, "inputs");
    uint32_t count = world_refs(cluster, refs);
    for (uint32_t i = 0; i < count; i++) {
        json_t *object = json_object();
        CHECK(json_array_append_new(list, object) == 0);
        gen_set_u64(object, "kind", refs[i].kind);
        gen_set_u64(object, "relay", refs[i].relay);
        if (refs[i].kind == 1) {
            gen_set_u64(object, "source", refs[i].source);
            gen_set_u64(object, "dseq", refs[i].dseq);
            gen_set_hex(object, "leaf", refs[i].leaf, LEAF_BYTES);
            gen_set_hex(object, "leaf_hash", refs[i].hash, 32);
        }
        gen_set_hex(object, "bytes", refs[i].bytes, refs[i].byte_count);
    }
}

void gen_block(json_t *list, const char *name, struct world *world, struct world_cluster *cluster, uint64_t ms) {
    json_t *object = gen_case(list, name);
    gen_set_u64(object, "cluster", cluster->cluster);
    gen_set_u64(object, "height", cluster->height + 1);
    gen_set_u64(object, "parent_time", cluster->time);
    gen_set_u64(object, "time", cluster->time + ms);
    gen_inputs(object, cluster);
    uint8_t before[32];
    memcpy(before, cluster->root, 32);
    world_block_hold(world, cluster, ms);
    const struct exec_result *result = &cluster->result;
    gen_set_hex(object, "state_root", before, 32);
    gen_set_hex(object, "outbox_root", result->outbox_root, 32);
    gen_set_hex(object, "cursors_hash", result->cursors_hash, 32);
    json_t *outputs = gen_group(object, "outputs");
    for (uint32_t i = 0; i < result->output_count; i++) {
        json_t *output = json_object();
        CHECK(json_array_append_new(outputs, output) == 0);
        gen_set_hex(output, "leaf", result->outputs[i].leaf, LEAF_BYTES);
        gen_set_hex(output, "leaf_hash", result->leaf_hashes[i], 32);
        uint8_t *slice = world_slice(&result->outputs[i]);
        gen_set_hex(output, "slice", slice, result->outputs[i].slice_bytes);
        free(slice);
    }
    world_block_release(cluster);
    gen_state(object, cluster->ex);
    gen_set_hex(object, "state_root_after", cluster->root, 32);
}
