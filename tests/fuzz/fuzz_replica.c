/* A whole node of a whole system on hostile frames from members, nodes of other clusters and clients: nothing stops it, and the system still
 * answers. */
#include "merkle/check.h"
#include "tests/appliance/replica_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RUNS_PER_WORLD = 2000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct replica_world *rw;
    static unsigned runs;
    static uint64_t number;
    static const uint16_t types[] = {0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0106, 0x0107, 0x0108, 0x0109, 0x010A, 0x010B,
                                     0x010C, 0x0111, 0x0112, 0x0201, 0x0202, 0x0203, 0x0204, 0x0301, 0x0304, 0x0305, 0x0306,
                                     0x010D, 0x010E, 0x010F, 0x0110};
    if (rw == NULL) {
        rw = rw_create_stored(5, 16);
        rw_run(rw, 300);
        number = 0;
    }
    /* Frames: role u8, type u8, length u16, bytes. */
    struct bytes_cursor cursor = bytes_cursor_of(data, size);
    uint32_t to = (uint32_t)(bytes_get_u8(&cursor) % RW_NODES);
    while (cursor.left >= 4) {
        uint8_t role = bytes_get_u8(&cursor);
        uint16_t type = types[bytes_get_u8(&cursor) % (sizeof types / sizeof types[0])];
        size_t count = bytes_get_u16(&cursor);
        if (count > cursor.left) count = cursor.left;
        const uint8_t *bytes = bytes_get_raw(&cursor, count);
        uint8_t other = (uint8_t)((rw->nodes[to].member + 1u + (role >> 4) % 3u) % RW_CLUSTER);
        struct replica_peer froms[] = {
            {.kind = REPLICA_MEMBER, .member = other},
            {.kind = REPLICA_FOREIGN, .member = other, .index = to < RW_CLUSTER ? SHARD_CLUSTER_BASE : COORDINATOR_CLUSTER_BASE},
            {.kind = REPLICA_CLIENT, .index = 0},
            {.kind = REPLICA_OBSERVER, .index = 7}};
        rw_inject(rw, froms[role % 4], to, type, bytes, count);
    }
    rw_run(rw, 1);
    CHECK(rw->nodes[to].stopped == 0);
    if (++runs % RUNS_PER_WORLD != 0) return 0;
    struct operation put = op_put("k", "v");
    CHECK(rw_ask(rw, BATCH_WRITE, ++number, &put, 1, 60000) != NULL);
    rw_destroy(rw);
    rw = NULL;
    return 0;
}
