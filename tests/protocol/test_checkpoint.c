/* Checkpoints shown with their proof, and pieces of them (P-30 to P-47). */
#include "merkle/check.h"
#include "protocol/checkpoint.h"
#include "protocol/leaf.h"
#include "tests/keyed/keyed_signer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 500, K = 16, HEIGHT = 32, ROOM = 1 << 17 };

struct entry {
    uint8_t key[8];
    uint8_t value[20];
    uint8_t path[32];
    struct checkpoint_entry shown;
};

static struct entry entries[ENTRIES]; /* ascending by path */
static struct trie *trie;
static uint8_t root[32];
static struct bft_members members;
static struct keyed_signer keys[4];
static uint8_t item_bytes[2 * CHECKPOINT_ITEM_BYTES];
static uint8_t manifest_bytes[1024];
static size_t manifest_count;
static struct checkpoint_shown shown;
static uint8_t payload[ROOM];

static int by_path(const void *a, const void *b) {
    return memcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path, 32);
}

static void make_state(void) {
    struct trie_limits limits = {.leaves_max = ENTRIES, .journal_max = 1};
    size_t bytes = trie_memory_bytes(&limits);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    CHECK(memory);
    memset(memory, 0, bytes);
    trie = trie_init(memory, bytes, &limits);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &entries[i];
        memcpy(entry->key, &i, sizeof i);
        memset(entry->value, (int)i, sizeof entry->value);
        entry->shown = (struct checkpoint_entry){
            .space = (uint8_t)(i % 2), .key_bytes = (uint16_t)(4 + i % 4), .value_bytes = i % 20, .version_height = 5 + i, .version_index = i};
        trie_path((enum trie_space)entry->shown.space, entry->key, entry->shown.key_bytes, entry->path);
    }
    qsort(entries, ENTRIES, sizeof entries[0], by_path);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &entries[i];
        entry->shown.key = entry->key;
        entry->shown.value = entry->value;
        struct trie_value value = {.version_height = entry->shown.version_height, .version_index = entry->shown.version_index};
        uint8_t leaf[32];
        trie_value_hash(entry->value, entry->shown.value_bytes, value.value_hash);
        trie_leaf_hash((enum trie_space)entry->shown.space, entry->key, entry->shown.key_bytes, &value, leaf);
        CHECK(trie_put(trie, entry->path, leaf, i) == TRIE_OK);
    }
    trie_root(trie, root);
}

static void make_members(void) {
    struct bft_place place = {.cluster = 0x00020001, .epoch = 1};
    memset(place.system_id, 0xA5, sizeof place.system_id);
    struct bft_point start = {.height = 3};
    uint8_t public_keys[4][SIGNER_PUBLIC_KEY_BYTES];
    for (unsigned i = 0; i < 4; i++) {
        keyed_signer_init(&keys[i], i);
        memcpy(public_keys[i], keys[i].public_key, sizeof public_keys[i]);
    }
    CHECK(bft_members_init(&members, &place, &start, 4, public_keys));
}

static void make_certificate(void) {
    struct bft_hash id = bft_header_id(&shown.child);
    struct bft_qc *qc = &shown.certificate.qc;
    memset(&shown.certificate, 0, sizeof shown.certificate);
    bft_header_ballot(&shown.child, &id, &qc->ballot);
    qc->kind = BFT_COMMIT;
    qc->count = 3;
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
        struct signer signer = keyed_signer_of(&keys[i]);
        bft_vote_preimage(&qc->ballot, BFT_COMMIT, preimage);
        signer.sign(signer.context, preimage, sizeof preimage, qc->signatures[i].bytes);
        qc->signers[i] = i;
    }
}

static void make_shown(uint64_t height) {
    memset(&shown, 0, sizeof shown);
    shown.header.place = members.place;
    shown.header.height = height;
    shown.header.view = 2;
    struct bft_hash id = bft_header_id(&shown.header);
    shown.child = shown.header;
    shown.child.height++;
    shown.child.parent_id = id;
    memcpy(shown.child.state_root.bytes, root, 32);
    make_certificate();
    struct checkpoint_item items[2] = {{.kind = CHECKPOINT_PENDING, .cluster = 0x10000, .bytes = 100},
                                       {.kind = CHECKPOINT_SLICE, .cluster = 0x10000, .dseq = 4}};
    for (unsigned i = 0; i < 2; i++) checkpoint_item_encode(&items[i], item_bytes + i * CHECKPOINT_ITEM_BYTES);
    struct checkpoint_manifest manifest = {
        .cluster = members.place.cluster, .epoch = 1, .height = height, .entries = ENTRIES, .bytes = 12345, .item_count = 2, .items = item_bytes};
    memcpy(manifest.system_id, members.place.system_id, 16);
    memcpy(manifest.block_id, id.bytes, 32);
    memcpy(manifest.state_root, root, 32);
    struct bytes_writer writer = bytes_writer_of(manifest_bytes, sizeof manifest_bytes);
    checkpoint_manifest_put(&writer, &manifest);
    CHECK(!writer.failed);
    manifest_count = writer.used;
    shown.manifest = manifest;
    shown.manifest_bytes = manifest_bytes;
    shown.manifest_count = manifest_count;
}

static int set_up(void **state) {
    (void)state;
    make_state();
    make_members();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(trie); /* it lies at the beginning of its memory */
    return 0;
}

static size_t message(void) {
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    checkpoint_message_head_put(&writer, 99, 1);
    checkpoint_shown_put(&writer, &shown);
    CHECK(!writer.failed);
    return writer.used;
}

static enum checkpoint_error received(const uint8_t *bytes, size_t count) {
    struct checkpoint_shown back[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce = 0;
    uint16_t number = 0;
    enum checkpoint_error error = checkpoint_message_decode(bytes, count, &nonce, back, &number);
    if (error != CHECKPOINT_OK) return error;
    if (nonce != 99 || number != 1) return CHECKPOINT_BAD_NONCE;
    struct signer signer = keyed_signer_of(NULL);
    return checkpoint_shown_verify(&members, &signer, K, &back[0]);
}

static void a_checkpoint_with_its_proof_is_accepted_and_no_flipped_bit_is(void **state) {
    (void)state;
    make_shown(HEIGHT);
    size_t count = message();
    assert_int_equal(received(payload, count), CHECKPOINT_OK);
    size_t accepted = 0;
    for (size_t bit = 0; bit < count * 8; bit++) {
        payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (received(payload, count) == CHECKPOINT_OK) {
            /* entries, bytes and items are proved by the state itself, later (P-33) */
            size_t in_manifest = bit / 8 - 20;
            assert_true(in_manifest >= 104 && in_manifest < manifest_count);
            accepted++;
        }
        payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(accepted > 0);
    for (size_t cut = 0; cut < count; cut++) assert_int_not_equal(received(payload, cut), CHECKPOINT_OK);
}

static void what_does_not_belong_together_is_refused_by_name(void **state) {
    (void)state;
    make_shown(HEIGHT + 1);
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_PLACE);
    make_shown(HEIGHT);
    members.place.cluster++;
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_PLACE);
    members.place.cluster--;
    make_shown(HEIGHT);
    shown.child.state_root.bytes[0] ^= 1; /* properly certified, but of another state */
    make_certificate();
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_HEADER);
    make_shown(HEIGHT);
    shown.child.parent_id.bytes[0] ^= 1;
    make_certificate();
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_HEADER);
    make_shown(HEIGHT);
    shown.certificate.qc.signatures[1].bytes[5] ^= 1;
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_CERTIFICATE);
    make_shown(HEIGHT);
    shown.certificate.qc.kind = BFT_PREPARE;
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_CERTIFICATE);
}

/* SEAL's block: no child, but an outbox of these leaves before the one that names the state. */
static void make_sealed(uint64_t height, uint32_t others, tree_hash path[TREE_PROOF_HASHES_MAX]) {
    static tree_hash leaves[8];
    uint8_t leaf[LEAF_BYTES];
    CHECK(others < 8);
    make_shown(height);
    for (uint32_t i = 0; i < others; i++) memset(leaves[i], 0x40 + (int)i, sizeof leaves[i]);
    leaf_state_encode(members.place.system_id, members.place.cluster, height, root, leaf);
    leaf_hash(leaf, leaves[others]);
    tree_root((const tree_hash *)leaves, others + 1, shown.header.outbox_root.bytes);
    shown.sealed = true;
    shown.path = (const tree_hash *)path;
    shown.path_count = (uint32_t)tree_inclusion_prove((const tree_hash *)leaves, others + 1, others, path);
    shown.child = shown.header;
    struct bft_hash id = bft_header_id(&shown.header);
    memcpy(shown.manifest.block_id, id.bytes, 32);
    struct bytes_writer writer = bytes_writer_of(manifest_bytes, sizeof manifest_bytes);
    checkpoint_manifest_put(&writer, &shown.manifest);
    make_certificate();
    members.height_last = height; /* as the chain shows */
}

static void the_block_of_a_seal_shows_the_state_after_it(void **state) {
    (void)state;
    tree_hash path[TREE_PROOF_HASHES_MAX];
    for (uint32_t others = 0; others < 8; others++) {
        make_sealed(HEIGHT + 3, others, path); /* at any height */
        size_t count = message();
        assert_int_equal(received(payload, count), CHECKPOINT_OK);
        for (size_t bit = 0; bit < count * 8; bit++) {
            size_t in_manifest = bit / 8 - 20;
            payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
            bool accepted = received(payload, count) == CHECKPOINT_OK;
            payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(!accepted || (in_manifest >= 104 && in_manifest < manifest_count));
        }
        for (size_t cut = 0; cut < count; cut++) assert_int_not_equal(received(payload, cut), CHECKPOINT_OK);
    }
    members.height_last = UINT64_MAX;
}

static void what_no_seal_made_is_refused_by_name(void **state) {
    (void)state;
    tree_hash path[TREE_PROOF_HASHES_MAX];
    make_sealed(HEIGHT, 3, path);
    members.height_last = UINT64_MAX; /* the chain shows no SEAL: whatever its outbox says */
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_PLACE);
    members.height_last = HEIGHT + 1;
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_PLACE);
    make_sealed(HEIGHT, 3, path);
    shown.manifest.state_root[0] ^= 1;
    struct bytes_writer writer = bytes_writer_of(manifest_bytes, sizeof manifest_bytes);
    checkpoint_manifest_put(&writer, &shown.manifest);
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_HEADER);
    make_sealed(HEIGHT, 3, path);
    shown.path_count--;
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_HEADER);
    make_sealed(HEIGHT, 3, path);
    shown.certificate.qc.signatures[1].bytes[5] ^= 1;
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_CERTIFICATE);
    make_sealed(HEIGHT, 3, path);
    size_t count = message();
    bytes_put_le32(payload + count - 4 - shown.path_count * 32, CHECKPOINT_PATH_MAX + 1);
    assert_int_equal(received(payload, count), CHECKPOINT_BAD_FIELD);
    members.height_last = UINT64_MAX;
}

static void items_ascend_and_have_known_kinds(void **state) {
    (void)state;
    make_shown(HEIGHT);
    struct checkpoint_manifest back;
    assert_int_equal(checkpoint_manifest_decode(manifest_bytes, manifest_count, &back), CHECKPOINT_OK);
    assert_int_equal(checkpoint_manifest_item(&back, 1).dseq, 4);
    uint8_t copy[1024];
    memcpy(copy, manifest_bytes, manifest_count);
    memcpy(copy + 124, manifest_bytes + 124 + 56, 56); /* twice the same */
    assert_int_equal(checkpoint_manifest_decode(copy, manifest_count, &back), CHECKPOINT_BAD_FIELD);
    memcpy(copy, manifest_bytes, manifest_count);
    copy[124] = 4;
    assert_int_equal(checkpoint_manifest_decode(copy, manifest_count, &back), CHECKPOINT_BAD_FIELD);
    copy[124] = 1;
    copy[125] = 1;
    assert_int_equal(checkpoint_manifest_decode(copy, manifest_count, &back), CHECKPOINT_BAD_FIELD);
    copy[125] = 0;
    copy[120] = 1;
    assert_int_equal(checkpoint_manifest_decode(copy, manifest_count, &back), CHECKPOINT_BAD_BYTES);
}

/* The head and the hash alone, of a manifest that says it has so many items. */
static void make_short(uint32_t items) {
    make_shown(HEIGHT);
    bytes_put_le32(manifest_bytes + 120, items);
    memset(manifest_bytes + CHECKPOINT_MANIFEST_HEAD_BYTES, 0x77, 32);
    shown.manifest_count = CHECKPOINT_SHORT_BYTES;
}

static void a_manifest_of_many_items_may_be_short_and_no_other(void **state) {
    (void)state;
    make_short(CHECKPOINT_ITEMS_SHOWN_MAX + 1);
    size_t count = message();
    assert_int_equal(received(payload, count), CHECKPOINT_OK);
    struct checkpoint_shown back[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t number;
    uint8_t hash[32], stated[32];
    assert_int_equal(checkpoint_message_decode(payload, count, &nonce, back, &number), CHECKPOINT_OK);
    checkpoint_shown_hash(&back[0], hash);
    memset(stated, 0x77, sizeof stated);
    assert_memory_equal(hash, stated, sizeof hash);
    assert_false(back[0].whole);
    assert_int_equal(back[0].manifest.item_count, CHECKPOINT_ITEMS_SHOWN_MAX + 1);
    make_short(CHECKPOINT_ITEMS_MAX);
    assert_int_equal(received(payload, message()), CHECKPOINT_OK);
    make_short(CHECKPOINT_ITEMS_MAX + 1);
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_FIELD);
    make_short(CHECKPOINT_ITEMS_SHOWN_MAX);
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_BYTES);
    make_short(CHECKPOINT_ITEMS_SHOWN_MAX + 1);
    manifest_bytes[40] ^= 1; /* another block */
    assert_int_equal(received(payload, message()), CHECKPOINT_BAD_HEADER);
}

/* Pieces. */

static void number_prefix(unsigned number, unsigned bits, uint8_t prefix[32]) {
    memset(prefix, 0, 32);
    for (unsigned i = 0; i < bits; i++) {
        if ((number >> (bits - 1 - i)) & 1) prefix[i / 8] |= (uint8_t)(0x80 >> i % 8);
    }
}

static size_t entries_piece(const struct checkpoint_piece_query *query) {
    struct checkpoint_piece piece = {.nonce = query->nonce, .kind = query->kind};
    for (unsigned i = 0; i < ENTRIES; i++) piece.total += trie_prefix_equal(entries[i].path, query->prefix, query->prefix_bits);
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    checkpoint_piece_head_put(&writer, &piece);
    uint8_t *length = bytes_put_space(&writer, 4);
    size_t before = writer.used;
    struct trie_proof_leaf leaf;
    struct trie_proof_other other;
    memset(&other, 0, sizeof other);
    if (trie_prefix_proof_find(trie, query->prefix, query->prefix_bits, &leaf) == TRIE_PROOF_OTHER) {
        const struct entry *entry = &entries[leaf.ref];
        other.space = (enum trie_space)entry->shown.space;
        other.key = entry->key;
        other.key_bytes = entry->shown.key_bytes;
        other.value.version_height = entry->shown.version_height;
        other.value.version_index = entry->shown.version_index;
        trie_value_hash(entry->value, entry->shown.value_bytes, other.value.value_hash);
    }
    trie_prefix_proof_write(trie, query->prefix, query->prefix_bits, &other, &writer);
    bytes_put_le32(length, (uint32_t)(writer.used - before));
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (trie_prefix_equal(entries[i].path, query->prefix, query->prefix_bits)) checkpoint_entry_put(&writer, &entries[i].shown);
    }
    CHECK(!writer.failed);
    return writer.used;
}

static enum checkpoint_error piece_received(size_t count, const struct checkpoint_piece_query *query, uint64_t *total) {
    struct checkpoint_piece piece;
    struct bytes_cursor cursor;
    enum checkpoint_error error = checkpoint_piece_decode(payload, count, &piece);
    if (error == CHECKPOINT_OK) error = checkpoint_entries_verify(&piece, query, root, &cursor);
    if (error == CHECKPOINT_OK) *total = piece.total;
    return error;
}

static void all_pieces_of_any_width_make_the_whole_state(void **state) {
    (void)state;
    for (unsigned bits = 0; bits <= 11; bits++) {
        uint64_t sum = 0;
        for (unsigned number = 0; number < 1u << bits; number++) {
            struct checkpoint_piece_query query = {.nonce = 7, .prefix_bits = (uint16_t)bits};
            number_prefix(number, bits, query.prefix);
            uint64_t total = 0;
            assert_int_equal(piece_received(entries_piece(&query), &query, &total), CHECKPOINT_OK);
            sum += total;
        }
        assert_int_equal(sum, ENTRIES);
    }
}

static void no_flipped_bit_of_a_piece_is_accepted(void **state) {
    (void)state;
    struct checkpoint_piece_query query = {.nonce = 7, .prefix_bits = 5};
    number_prefix(9, 5, query.prefix);
    uint64_t total = 0;
    size_t count = entries_piece(&query);
    for (size_t bit = 0; bit < count * 8; bit++) {
        payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(piece_received(count, &query, &total), CHECKPOINT_OK);
        payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < count; cut++) assert_int_not_equal(piece_received(cut, &query, &total), CHECKPOINT_OK);
    assert_int_equal(piece_received(count, &query, &total), CHECKPOINT_OK);
    query.prefix_bits = 4; /* fewer entries than the wider prefix has */
    assert_int_equal(piece_received(count, &query, &total), CHECKPOINT_BAD_PROOF);
    query.prefix_bits = 5;
    number_prefix(10, 5, query.prefix);
    assert_int_equal(piece_received(count, &query, &total), CHECKPOINT_BAD_ORDER);
}

static void subroots_are_tied_to_the_root_from_the_top_down(void **state) {
    (void)state;
    struct checkpoint_piece_query query = {.nonce = 7, .kind = CHECKPOINT_SUBROOTS_OF};
    uint8_t top[CHECKPOINT_SUBROOTS * 32];
    struct checkpoint_piece piece = {
        .nonce = 7, .kind = CHECKPOINT_SUBROOTS_OF, .total = CHECKPOINT_SUBROOTS, .content = top, .content_bytes = sizeof top};
    const uint8_t *subroots = NULL;
    uint8_t prefix[32];
    for (unsigned i = 0; i < CHECKPOINT_SUBROOTS; i++) {
        number_prefix(i, 8, prefix);
        trie_prefix_hash(trie, prefix, 8, top + i * 32);
    }
    assert_int_equal(checkpoint_subroots_verify(&piece, &query, root, &subroots), CHECKPOINT_OK);
    /* One level below: the part 0x42, against its own subroot. */
    uint8_t below[CHECKPOINT_SUBROOTS * 32];
    query.prefix_bits = 8;
    query.prefix[0] = 0x42;
    piece.content = below;
    for (unsigned i = 0; i < CHECKPOINT_SUBROOTS; i++) {
        memset(prefix, 0, sizeof prefix);
        prefix[0] = 0x42;
        prefix[1] = (uint8_t)i;
        trie_prefix_hash(trie, prefix, 16, below + i * 32);
    }
    assert_int_equal(checkpoint_subroots_verify(&piece, &query, top + 0x42 * 32, &subroots), CHECKPOINT_OK);
    assert_int_equal(checkpoint_subroots_verify(&piece, &query, top + 0x43 * 32, &subroots), CHECKPOINT_BAD_PROOF);
    for (size_t byte = 0; byte < sizeof below; byte += 7) {
        below[byte] ^= 0x10;
        assert_int_equal(checkpoint_subroots_verify(&piece, &query, top + 0x42 * 32, &subroots), CHECKPOINT_BAD_PROOF);
        below[byte] ^= 0x10;
    }
    piece.content_bytes -= 32;
    assert_int_equal(checkpoint_subroots_verify(&piece, &query, top + 0x42 * 32, &subroots), CHECKPOINT_BAD_BYTES);
}

static void queries_are_refused_outside_their_ranges(void **state) {
    (void)state;
    struct checkpoint_piece_query query = {.nonce = 1, .kind = CHECKPOINT_ENTRIES, .prefix_bits = 256};
    struct checkpoint_piece_query back;
    uint8_t bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    memset(query.prefix, 0xFF, 32);
    checkpoint_piece_query_encode(&query, bytes);
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes, &back), CHECKPOINT_OK);
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes - 1, &back), CHECKPOINT_BAD_BYTES);
    bytes[42] = 1;
    bytes[43] = 1; /* 257 bits */
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes, &back), CHECKPOINT_BAD_FIELD);
    bytes[42] = 255;
    bytes[43] = 0; /* the last bit of the prefix is beyond it */
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes, &back), CHECKPOINT_BAD_FIELD);
    query = (struct checkpoint_piece_query){.kind = CHECKPOINT_SUBROOTS_OF, .prefix_bits = 249};
    checkpoint_piece_query_encode(&query, bytes);
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes, &back), CHECKPOINT_BAD_FIELD);
    query = (struct checkpoint_piece_query){.kind = CHECKPOINT_SLICE, .cluster = 0x10000, .dseq = 0};
    checkpoint_piece_query_encode(&query, bytes);
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes, &back), CHECKPOINT_BAD_FIELD);
    query.dseq = 1;
    query.offset = 1 << 20;
    checkpoint_piece_query_encode(&query, bytes);
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes, &back), CHECKPOINT_OK);
    bytes[40] = CHECKPOINT_MANIFEST_OF; /* of the manifest, and a cluster and dseq beside it */
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes, &back), CHECKPOINT_BAD_FIELD);
    query = (struct checkpoint_piece_query){.kind = CHECKPOINT_MANIFEST_OF, .offset = 1 << 20};
    checkpoint_piece_query_encode(&query, bytes);
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes, &back), CHECKPOINT_OK);
    bytes[40] = CHECKPOINT_MANIFEST_OF + 1;
    assert_int_equal(checkpoint_piece_query_decode(bytes, sizeof bytes, &back), CHECKPOINT_BAD_FIELD);
}

static void refusals_carry_a_hint_and_nothing_else(void **state) {
    (void)state;
    static const struct {
        uint8_t code;
        uint32_t hint;
        uint64_t total;
        size_t content;
        enum checkpoint_error expected;
    } cases[] = {
        {CHECKPOINT_PIECE_UNKNOWN, 0, 0, 0, CHECKPOINT_OK},          {CHECKPOINT_PIECE_UNKNOWN, 1, 0, 0, CHECKPOINT_BAD_FIELD},
        {CHECKPOINT_PIECE_TOO_LARGE, 4, 0, 0, CHECKPOINT_OK},        {CHECKPOINT_PIECE_TOO_LARGE, 0, 0, 0, CHECKPOINT_BAD_FIELD},
        {CHECKPOINT_PIECE_TOO_LARGE, 17, 0, 0, CHECKPOINT_BAD_FIELD}, {CHECKPOINT_PIECE_BUSY, 1000, 0, 0, CHECKPOINT_OK},
        {CHECKPOINT_PIECE_BUSY, 1000, 1, 0, CHECKPOINT_BAD_FIELD},   {CHECKPOINT_PIECE_BUSY, 1000, 0, 1, CHECKPOINT_BAD_BYTES},
        {4, 0, 0, 0, CHECKPOINT_BAD_FIELD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct checkpoint_piece piece = {.kind = CHECKPOINT_ENTRIES, .code = cases[i].code, .hint = cases[i].hint, .total = cases[i].total};
        struct checkpoint_piece back;
        struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
        checkpoint_piece_head_put(&writer, &piece);
        assert_int_equal(checkpoint_piece_decode(payload, writer.used + cases[i].content, &back), cases[i].expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_with_its_proof_is_accepted_and_no_flipped_bit_is),
        cmocka_unit_test(what_does_not_belong_together_is_refused_by_name),
        cmocka_unit_test(the_block_of_a_seal_shows_the_state_after_it),
        cmocka_unit_test(what_no_seal_made_is_refused_by_name),
        cmocka_unit_test(items_ascend_and_have_known_kinds),
        cmocka_unit_test(a_manifest_of_many_items_may_be_short_and_no_other),
        cmocka_unit_test(all_pieces_of_any_width_make_the_whole_state),
        cmocka_unit_test(no_flipped_bit_of_a_piece_is_accepted),
        cmocka_unit_test(subroots_are_tied_to_the_root_from_the_top_down),
        cmocka_unit_test(queries_are_refused_outside_their_ranges),
        cmocka_unit_test(refusals_carry_a_hint_and_nothing_else),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, set_up, tear_down);
}
