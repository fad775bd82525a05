#include "merkle/trie_index.h"

#include "merkle/trie_inside.h"

static uint32_t part_of(const uint8_t path[SHA256_BYTES]) {
    return (uint32_t)path[0] << 8 | path[1];
}

static bool is_empty(const uint8_t hash[SHA256_BYTES]) {
    return sha256_equal(hash, trie_empty_root);
}

void trie_index_begin(struct trie_index *index) {
    memset(index, 0, sizeof *index);
    trie_stream_init(&index->stream);
}

/* Everything before `part` is complete. */
static void parts_close(struct trie_index *index, uint32_t part) {
    if (index->stream.leaves > 0) {
        uint64_t leaves = index->stream.leaves;
        trie_stream_root(&index->stream, index->nodes[TRIE_INDEX_PARTS + index->part]);
        index->leaves[index->part + 1] = index->leaves[index->part] + leaves;
        trie_stream_init(&index->stream);
    }
    for (uint32_t i = index->part + 1; i <= part; i++) {
        if (index->leaves[i] < index->leaves[i - 1]) index->leaves[i] = index->leaves[i - 1];
        if (index->bytes[i] < index->bytes[i - 1]) index->bytes[i] = index->bytes[i - 1];
    }
    index->part = part;
}

bool trie_index_add(struct trie_index *index, const uint8_t path[SHA256_BYTES], const uint8_t leaf_hash[SHA256_BYTES], uint64_t bytes) {
    CHECK(!index->ended);
    uint32_t part = part_of(path);
    if (part < index->part) return false;
    if (part > index->part) parts_close(index, part);
    bool first = index->stream.leaves == 0;
    if (!trie_stream_add(&index->stream, path, leaf_hash)) return false;
    index->bytes[part + 1] = (first ? index->bytes[part] : index->bytes[part + 1]) + bytes;
    return true;
}

void trie_index_end(struct trie_index *index) {
    CHECK(!index->ended);
    parts_close(index, TRIE_INDEX_PARTS);
    for (uint32_t node = TRIE_INDEX_PARTS - 1; node > 0; node--) {
        const uint8_t *left = index->nodes[2 * node], *right = index->nodes[2 * node + 1];
        unsigned bit = 31u - (unsigned)__builtin_clz(node);
        if (is_empty(left)) memcpy(index->nodes[node], right, SHA256_BYTES);
        else if (is_empty(right)) memcpy(index->nodes[node], left, SHA256_BYTES);
        else trie_inner_hash((uint8_t)bit, left, right, index->nodes[node]);
    }
    index->ended = true;
}

static uint32_t node_of(const uint8_t prefix[SHA256_BYTES], unsigned bits) {
    CHECK(bits <= TRIE_INDEX_BITS);
    return (1u << bits) + (part_of(prefix) >> (TRIE_INDEX_BITS - bits));
}

void trie_index_hash(const struct trie_index *index, const uint8_t prefix[SHA256_BYTES], unsigned bits, uint8_t out[SHA256_BYTES]) {
    CHECK(index->ended);
    memcpy(out, index->nodes[node_of(prefix, bits)], SHA256_BYTES);
}

static uint64_t sum_of(const uint64_t *sums, const uint8_t prefix[SHA256_BYTES], unsigned bits) {
    uint32_t width = 1u << (TRIE_INDEX_BITS - bits), first = part_of(prefix) & ~(width - 1);
    return sums[first + width] - sums[first];
}

uint64_t trie_index_leaves(const struct trie_index *index, const uint8_t prefix[SHA256_BYTES], unsigned bits) {
    CHECK(index->ended && bits <= TRIE_INDEX_BITS);
    return sum_of(index->leaves, prefix, bits);
}

uint64_t trie_index_bytes(const struct trie_index *index, const uint8_t prefix[SHA256_BYTES], unsigned bits) {
    CHECK(index->ended && bits <= TRIE_INDEX_BITS);
    return sum_of(index->bytes, prefix, bits);
}

void trie_index_range_hash(const struct trie_index_leaf *leaves, uint32_t count, uint8_t out[SHA256_BYTES]) {
    struct trie_stream stream;
    trie_stream_init(&stream);
    for (uint32_t i = 0; i < count; i++) CHECK(trie_stream_add(&stream, leaves[i].path, leaves[i].hash));
    trie_stream_root(&stream, out);
}

static void step_add(struct trie_index_way *way, unsigned bit, const uint8_t sibling[SHA256_BYTES]) {
    CHECK(way->step_count < TRIE_BITS);
    way->bits[way->step_count] = (uint8_t)bit;
    memcpy(way->siblings[way->step_count++], sibling, SHA256_BYTES);
}

/* From the root down to the node of `bits` bits where the trie's way of `path` leads: where one side is empty there is no branch, and the way goes
 * on in the other. */
static uint32_t top_walk(const struct trie_index *index, const uint8_t path[SHA256_BYTES], unsigned bits, uint32_t node, unsigned from,
                         struct trie_index_way *way) {
    for (unsigned bit = from; bit < bits; bit++) {
        const uint8_t *left = index->nodes[2 * node], *right = index->nodes[2 * node + 1];
        bool both = !is_empty(left) && !is_empty(right);
        unsigned side = both ? trie_path_bit(path, bit) : is_empty(left);
        if (both) step_add(way, bit, side ? left : right);
        node = 2 * node + side;
    }
    return node;
}

/* On within one part, through branches above bit `bits`. Leaves *first to *end are below where it ends. */
static void part_walk(const struct trie_index_part *part, const uint8_t path[SHA256_BYTES], unsigned bits, uint32_t *first, uint32_t *end,
                      struct trie_index_way *way) {
    const struct trie_index_leaf *leaves = part->leaves;
    while (*end - *first > 1) {
        unsigned bit = trie_path_difference(leaves[*first].path, leaves[*end - 1].path);
        if (bit >= bits) return;
        uint32_t low = *first, high = *end - 1; /* the first leaf whose bit is set lies in (low, high] */
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            if (trie_path_bit(leaves[middle].path, bit)) high = middle;
            else low = middle;
        }
        uint8_t sibling[SHA256_BYTES];
        if (trie_path_bit(path, bit)) {
            trie_index_range_hash(leaves + *first, high - *first, sibling);
            *first = high;
        } else {
            trie_index_range_hash(leaves + high, *end - high, sibling);
            *end = high;
        }
        step_add(way, bit, sibling);
    }
}

void trie_index_way(const struct trie_index *index, const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits, const struct trie_index_part *part,
                    struct trie_index_way *way) {
    CHECK(index->ended && prefix_bits <= TRIE_BITS);
    uint8_t path[SHA256_BYTES] = {0};
    memcpy(path, prefix, prefix_bits / 8);
    if (prefix_bits % 8) path[prefix_bits / 8] = (uint8_t)(prefix[prefix_bits / 8] & (0xFF00u >> (prefix_bits % 8)));
    way->kind = TRIE_PROOF_EMPTY;
    way->needs_leaves = false;
    way->step_count = 0;
    if (is_empty(index->nodes[1])) return;
    unsigned top = prefix_bits < TRIE_INDEX_BITS ? prefix_bits : TRIE_INDEX_BITS;
    uint32_t node = top_walk(index, path, top, 1, 0, way);
    way->kind = TRIE_PROOF_PRESENT;
    bool here = node == node_of(path, top);
    if (here && prefix_bits <= TRIE_INDEX_BITS) return;
    way->part = top_walk(index, path, TRIE_INDEX_BITS, node, top, way) - TRIE_INDEX_PARTS;
    way->needs_leaves = part == NULL;
    if (part == NULL) return;
    CHECK(part->count > 0 && part_of(part->leaves[0].path) == way->part);
    uint32_t first = 0, end = part->count;
    part_walk(part, path, prefix_bits, &first, &end, way);
    if (trie_prefix_equal(part->leaves[first].path, path, prefix_bits)) return;
    part_walk(part, path, TRIE_BITS, &first, &end, way);
    way->kind = TRIE_PROOF_OTHER;
    way->leaf = first;
}

void trie_index_proof_write(const struct trie_index_way *way, const struct trie_proof_other *other, struct bytes_writer *writer) {
    CHECK(!way->needs_leaves);
    bytes_put_u8(writer, (uint8_t)way->kind);
    bytes_put_u8(writer, 0);
    bytes_put_u16(writer, (uint16_t)way->step_count);
    for (unsigned i = 0; i < way->step_count; i++) {
        bytes_put_u8(writer, way->bits[i]);
        bytes_put_hash(writer, way->siblings[i]);
    }
    if (way->kind == TRIE_PROOF_OTHER) trie_proof_other_write(other, writer);
}
