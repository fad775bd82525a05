/*
 * Clients that break the rules (tests/sim/sys.h): enrolled, with a key of their own, over links of their own to any coordinator node. They use a
 * number again with other content, through another coordinator; send floors and numbers far ahead and far behind; repeat signed bytes, their own and
 * those of others that they got hold of; send what does not decode; and ask and ask.
 */
#include "protocol/batch.h"
#include "protocol/operation.h"
#include "protocol/partition.h"
#include "tests/sim/sys_client.h"

enum { ACT_US = 15000, BATCH_ROOM = 4096, FRAME_BATCH = 0x0301, FRAME_STATUS_QUERY = 0x0304 };

void sys_hostile_create(struct sys_world *world, uint32_t index) {
    struct sys_client *client = calloc(1, sizeof *client);
    CHECK(client != NULL);
    world->clients[index] = client;
    client->world = world;
    client->index = index;
    client->hostile = true;
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + sys_random(world, ACT_US), .kind = SYS_ACT, .to = (uint8_t)index});
}

/* One ADD to a key that only hostile clients use, under this number. */
static struct blob *batch_make(struct sys_world *world, uint32_t index, uint64_t number, uint64_t floor, int64_t delta) {
    static uint8_t bytes[BATCH_ROOM];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    struct batch_builder builder;
    uint8_t nonce[BATCH_NONCE_BYTES], amount[8];
    char key[32];
    int key_bytes = snprintf(key, sizeof key, "{h%u}x", (unsigned)sys_random(world, 2 * world->config.shards));
    for (size_t i = 0; i < sizeof nonce; i++) nonce[i] = (uint8_t)sys_random(world, 4); /* often the same */
    bytes_put_le64(amount, (uint64_t)delta);
    struct operation operation = {
        .opcode = OPERATION_ADD, .key_bytes = (uint16_t)key_bytes, .a = 8, .key = (const uint8_t *)key, .argument_a = amount};
    uint32_t shard = partition_shard(world->system->partition_key, world->config.shards, (const uint8_t *)key, (size_t)key_bytes);
    if (sys_chance(world, 50000)) shard = (uint32_t)sys_random(world, world->config.shards + 1); /* not the key's, or none */
    struct signer signer = sys_signer(world, &world->client_keys[index]);
    batch_build_begin(&builder, &writer, BATCH_WRITE, world->system->clients[index].card.id, nonce, (uint32_t)sys_random(world, 3));
    batch_build_part_begin(&builder, (uint32_t)SHARD_CLUSTER_BASE + shard, sys_chance(world, 100000) ? PART_FLAG_RECEIPT : 0, number, floor);
    operation_encode(&writer, &operation);
    batch_build_part_end(&builder, 1);
    CHECK(batch_build_end(&builder, world->system->system_id, &signer));
    return blob_copy(bytes, writer.used);
}

static struct blob *invent(struct sys_world *world, uint32_t index) {
    struct sys_client *client = world->clients[index];
    uint64_t number = 1 + client->turn / 4, floor = number > 8 ? number - 8 : 1;
    switch (sys_random(world, 9)) {
    case 0: /* others' bytes */
        if (world->captured_count > 0) return blob_hold(world->captured[sys_random(world, world->captured_count)]);
        break;
    case 1: { /* no batch at all, or nearly one */
        struct blob *blob = batch_make(world, index, number, floor, 1), *other = blob_copy(blob->bytes, blob->count);
        size_t at = sys_random(world, other->count);
        other->bytes[at] ^= (uint8_t)(1 + sys_random(world, 255));
        blob_drop(blob);
        return other;
    }
    case 2: number += sys_random(world, 4096); break;      /* beyond the window */
    case 3: number = 1 + sys_random(world, number); break; /* used before */
    case 4:                                                /* the floor runs ahead of everything */
        number += sys_random(world, 64);
        floor = number;
        break;
    case 5: floor = 1; break;
    default: break;
    }
    if (floor > number) floor = number;
    return batch_make(world, index, number, floor, 1 + (int64_t)sys_random(world, 3));
}

void sys_hostile_act(struct sys_world *world, uint32_t index) {
    struct sys_client *client = world->clients[index];
    uint32_t me = world->node_count + index, to = (uint32_t)sys_random(world, world->config.coordinators * world->config.n);
    client->turn++;
    if (!sys_link_of(world, me, to)->up) {
        sys_link_later(world, me, to, 1000);
    } else if (sys_chance(world, 50000)) {
        uint8_t query[8];
        bytes_put_le64(query, client->turn);
        sys_transmit(world, me, to, FRAME_STATUS_QUERY, blob_copy(query, sizeof query));
    } else {
        sys_fault_count(world, SYS_HOSTILE, NULL);
        struct blob *blob = invent(world, index);
        uint32_t times = sys_chance(world, 100000) ? 10 : 1;
        for (uint32_t i = 0; i < times; i++) sys_transmit(world, me, to, FRAME_BATCH, blob_hold(blob));
        uint32_t other = (uint32_t)sys_random(world, world->config.coordinators * world->config.n);
        if (sys_chance(world, 300000)) sys_transmit(world, me, other, FRAME_BATCH, blob_hold(blob)); /* through another coordinator */
        blob_drop(blob);
    }
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + 1 + sys_random(world, 2 * ACT_US), .kind = SYS_ACT, .to = (uint8_t)index});
}
