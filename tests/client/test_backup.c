/* A backup taken from nodes that lie, are slow, or go on (spec/durability.md P-48, P-50, P-80): it is whole and valid in the end, and who sent what
 * does not verify is named, and nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/backup.h"
#include "protocol/canonical.h"
#include "ring/clock.h"
#include "tests/client/fake.h"
#include "tests/protocol/backup_fixture.h"

enum { NODES = 4, ENTRIES = 10000, VALUE = 192, BITS = 4, WIDTHS = 2, STATES = 4, MANY = 3 };
enum { LISTS = CHECKPOINT_ITEMS_SHOWN_MAX - BACKUP_FIXTURE_ITEMS + 1, LIMIT_MS = 60000, NOTES_BYTES = 8192 };

enum act {
    HONEST,
    BAD_PIECE,
    BAD_ITEM,
    BAD_CHECKPOINT,
    TOO_LARGE,
    BUSY,
    LONG,
    OTHER_NONCE,
    MADE_UP,
    SHOWS_NOTHING,
    SHOWS_LATER, /* once a manifest was asked for */
    BAD_MANIFEST,
    OTHER_HEAD,
    MUTE, /* for ever busy when its manifest is asked for */
    MAKES_UP, /* another manifest around the same certificate each time */
    GONE_SILENT, /* says nothing when it is asked for a checkpoint that is gone */
    HALF, /* gives one half of an item, and is busy for ever */
};

/* states[0]: a checkpoint; [1]: the next one; [2]: the first with a manifest that is made up; [MANY]: one with more
 * items than are shown. Each at both widths. The fake's thread reads and counts
 * under the fake's lock. */
static struct {
    struct fake *fake;
    char folder[64], states[STATES][WIDTHS][96], out[96];
    enum act acts[NODES];
    uint32_t pieces[NODES], gone_after; /* pieces that all gave together before the first checkpoint is gone; 0: never */
    uint32_t given, busy, made_up, manifests; /* manifests: pieces of them that were given */
    bool many, late; /* late: so long after it began that what there is will do */
    uint64_t ended_at; /* the cluster's chain shows that SEAL ended it there; 0: it did not */
    uint8_t hashes[STATES][32];
    uint32_t seen_pieces[NODES], seen_given; /* as of the end of the last one that was taken */
    char notes[NOTES_BYTES];
} t;

static void note(void *context, const char *line) {
    (void)context;
    size_t used = strlen(t.notes);
    (void)snprintf(t.notes + used, sizeof t.notes - used, "%s\n", line);
}

/* ---- the nodes ---- */

static uint8_t *file_of(const char *folder, const char *name, size_t *count) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return (uint8_t *)canonical_read_file(path, 1 << 24, count, NULL);
}

static uint32_t state_of(uint32_t node) {
    if (t.many) return MANY;
    if (t.acts[node] == MADE_UP) return 2;
    return t.gone_after > 0 && t.given >= t.gone_after ? 1 : 0;
}

/* The manifest's head and hash stand for it (P-42). */
static void shorten(uint32_t node, struct fake_payload *out) {
    uint8_t *manifest = out->bytes + 20;
    size_t count = bytes_get_le32(out->bytes + 16), rest = out->count - 20 - count;
    assert_true(count == CHECKPOINT_MANIFEST_HEAD_BYTES + (CHECKPOINT_ITEMS_SHOWN_MAX + 1) * CHECKPOINT_ITEM_BYTES);
    bytes_put_le32(out->bytes + 16, CHECKPOINT_SHORT_BYTES);
    memcpy(manifest + CHECKPOINT_MANIFEST_HEAD_BYTES, t.hashes[MANY], 32);
    memmove(manifest + CHECKPOINT_SHORT_BYTES, manifest + count, rest);
    out->count = 20 + CHECKPOINT_SHORT_BYTES + rest;
    if (t.acts[node] == OTHER_HEAD) manifest[104] ^= 1; /* entries */
}

static uint32_t checkpoint_answer(uint32_t node, const uint8_t *query, struct fake_payload *out) {
    out->type = 0x010E;
    if (bytes_get_le64(query + 8) == 2048) t.gone_after = t.given = 1; /* who is asked for the newer one shows it */
    if (t.acts[node] == SHOWS_NOTHING || (t.acts[node] == SHOWS_LATER && t.manifests == 0)) {
        out->count = 16;
        out->bytes = calloc(1, 16);
    } else {
        out->bytes = file_of(t.states[state_of(node)][0], "checkpoint", &out->count);
    }
    assert_non_null(out->bytes);
    if (t.many && out->count > 16) shorten(node, out);
    memcpy(out->bytes, query, 8); /* the nonce */
    if (t.acts[node] == MAKES_UP) bytes_put_le64(out->bytes + 20 + 104, ++t.made_up); /* entries */
    if (t.acts[node] == BAD_CHECKPOINT) out->bytes[out->count - 1] ^= 1;
    return 1;
}

static uint32_t code_answer(const uint8_t *query, uint8_t code, uint32_t hint, struct fake_payload *out) {
    out->type = 0x0110;
    out->count = CHECKPOINT_PIECE_HEAD_BYTES;
    out->bytes = calloc(1, out->count);
    assert_non_null(out->bytes);
    memcpy(out->bytes, query, 41); /* nonce, hash, kind */
    out->bytes[41] = code;
    bytes_put_le32(out->bytes + 44, hint);
    return 1;
}

static uint32_t entries_answer(uint32_t node, const struct checkpoint_piece_query *query, const uint8_t *bytes, struct fake_payload *out) {
    struct backup_name name = {.file = BACKUP_FILE_PIECE, .prefix_bits = query->prefix_bits};
    char file[BACKUP_NAME_BYTES];
    if (t.acts[node] == TOO_LARGE && query->prefix_bits == BITS) return code_answer(bytes, CHECKPOINT_PIECE_TOO_LARGE, 1, out);
    memcpy(name.prefix, query->prefix, 32);
    backup_name_print(&name, file);
    assert_true(query->prefix_bits >= BITS && query->prefix_bits < BITS + WIDTHS);
    out->type = 0x0110;
    out->bytes = file_of(t.states[state_of(node)][query->prefix_bits - BITS], file, &out->count);
    assert_non_null(out->bytes);
    bytes_put_le64(out->bytes, query->nonce + (t.acts[node] == OTHER_NONCE));
    if (t.acts[node] == BAD_PIECE) out->bytes[out->count - 1] ^= 1;
    t.pieces[node]++;
    t.given++;
    return 1;
}

/* In two pieces. */
static uint32_t bytes_answer(const struct checkpoint_piece_query *query, const uint8_t *bytes, const uint8_t *of, size_t count,
                             struct fake_payload *out) {
    size_t part = query->offset == 0 ? count / 2 : count - query->offset;
    (void)code_answer(bytes, 0, 0, out);
    out->bytes = realloc(out->bytes, out->count + part + 1);
    assert_non_null(out->bytes);
    bytes_put_le64(out->bytes + 48, count);
    memcpy(out->bytes + out->count, of + query->offset, part);
    out->count += part;
    return 1;
}

static uint32_t item_answer(uint32_t node, const struct checkpoint_piece_query *query, const uint8_t *bytes, struct fake_payload *out) {
    struct backup_name name = {.file = BACKUP_FILE_ITEM, .item = {.kind = query->kind, .cluster = query->cluster, .dseq = query->dseq}};
    char file[BACKUP_NAME_BYTES];
    size_t count;
    backup_name_print(&name, file);
    uint8_t *item = file_of(t.states[state_of(node)][0], file, &count);
    assert_non_null(item);
    (void)bytes_answer(query, bytes, item, count, out);
    if (t.acts[node] == LONG) bytes_put_le64(out->bytes + 48, UINT64_C(1) << 40);
    if (t.acts[node] == BAD_ITEM) out->bytes[out->count - 1] ^= 1;
    free(item);
    return 1;
}

static uint32_t manifest_answer(uint32_t node, const struct checkpoint_piece_query *query, const uint8_t *bytes, struct fake_payload *out) {
    size_t count;
    uint8_t *file = file_of(t.states[state_of(node)][0], "checkpoint", &count);
    assert_non_null(file);
    if (t.acts[node] == MUTE) (void)code_answer(bytes, CHECKPOINT_PIECE_BUSY, 5, out);
    else (void)bytes_answer(query, bytes, file + 20, bytes_get_le32(file + 16), out);
    if (t.acts[node] == BAD_MANIFEST) out->bytes[out->count - 1] ^= 1;
    t.manifests++;
    free(file);
    return 1;
}

static uint32_t answer_locked(uint32_t node, uint16_t type, const uint8_t *bytes, size_t count, struct fake_payload *out) {
    struct checkpoint_piece_query query;
    if (type == 0x010D) return checkpoint_answer(node, bytes, out);
    if (type != 0x010F) return 0;
    assert_int_equal(checkpoint_piece_query_decode(bytes, count, &query), CHECKPOINT_OK);
    bool gone = memcmp(t.hashes[state_of(node)], query.manifest_hash, 32) != 0;
    if (gone && t.acts[node] == GONE_SILENT) return 0;
    if (query.kind != CHECKPOINT_ENTRIES && query.offset > 0 && t.acts[node] == HALF) return code_answer(bytes, CHECKPOINT_PIECE_BUSY, 5, out);
    if (gone) return code_answer(bytes, CHECKPOINT_PIECE_UNKNOWN, 0, out);
    if (t.acts[node] == BUSY && t.busy++ % 3 != 0) return code_answer(bytes, CHECKPOINT_PIECE_BUSY, 5, out);
    if (query.kind == CHECKPOINT_MANIFEST_OF) return manifest_answer(node, &query, bytes, out);
    return query.kind == CHECKPOINT_ENTRIES ? entries_answer(node, &query, bytes, out) : item_answer(node, &query, bytes, out);
}

static uint32_t answer(void *context, uint32_t node, uint16_t type, const uint8_t *bytes, size_t count, struct fake_payload out[FAKE_PAYLOADS_MAX]) {
    (void)context;
    pthread_mutex_lock(&t.fake->lock);
    uint32_t payloads = answer_locked(node, type, bytes, count, out);
    pthread_mutex_unlock(&t.fake->lock);
    return payloads;
}

static void plays(uint32_t node, enum act act) {
    pthread_mutex_lock(&t.fake->lock);
    t.acts[node] = act;
    pthread_mutex_unlock(&t.fake->lock);
}

static void given_set(uint32_t given, uint32_t gone_after) {
    pthread_mutex_lock(&t.fake->lock);
    t.given = given;
    t.gone_after = gone_after;
    pthread_mutex_unlock(&t.fake->lock);
}

/* ---- the world ---- */

static void folder_remove(const char *path) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    char file[512];
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        (void)snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (unlink(file) != 0) folder_remove(file);
    }
    if (directory != NULL) (void)closedir(directory);
    (void)rmdir(path);
}

static int set_up(void **state) {
    (void)state;
    t.fake = fake_start(&(struct fake_options){0});
    (void)snprintf(t.folder, sizeof t.folder, "/tmp/heraclius-taken-XXXXXX");
    if (mkdtemp(t.folder) == NULL) return -1;
    (void)snprintf(t.out, sizeof t.out, "%s/c0", t.folder);
    for (uint32_t i = 0; i < STATES; i++) {
        for (uint32_t width = 0; width < WIDTHS; width++) {
            const struct backup_wishes wishes = {.entries = ENTRIES,
                                                 .value_bytes = VALUE,
                                                 .prefix_bits = (uint16_t)(BITS + width),
                                                 .height = i == 1 ? 2048 : 1024,
                                                 .extra_entries = i == 2,
                                                 .lists = i == MANY ? (uint32_t)LISTS : 0};
            (void)snprintf(t.states[i][width], sizeof t.states[i][width], "%s/state-%u-%u", t.folder, i, width);
            backup_fixture_write(t.fake->fixture, &wishes, t.states[i][width]);
        }
        struct backup_folder *folder = NULL;
        const struct signer signer = signer_ed25519(NULL);
        assert_int_equal(backup_folder_open(&folder, t.states[i][0], &t.fake->fixture->assembly->system, &signer, NULL), BACKUP_OK);
        backup_manifest_hash(folder->backup, t.hashes[i]);
        backup_folder_close(folder);
    }
    t.fake->frame = answer;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fake_stop(t.fake);
    folder_remove(t.folder);
    return 0;
}

static void begin(void) {
    char part[128];
    pthread_mutex_lock(&t.fake->lock);
    memset(t.acts, 0, sizeof t.acts);
    memset(t.pieces, 0, sizeof t.pieces);
    t.gone_after = t.given = t.busy = t.made_up = t.manifests = 0;
    t.many = t.late = false;
    t.ended_at = 0;
    pthread_mutex_unlock(&t.fake->lock);
    t.notes[0] = '\0';
    folder_remove(t.out);
    (void)snprintf(part, sizeof part, "%s.part", t.out);
    folder_remove(part);
}

/* Takes one, to the end; the phase it ended in. */
static enum backup_phase taken(void) {
    struct heraclius *db = fake_open(t.fake, 1000);
    struct client_backup *backup = calloc(1, sizeof *backup);
    uint64_t until_ms = ring_clock_ms() + LIMIT_MS;
    assert_non_null(backup);
    assert_true(client_backup_begin(backup, db, CONFIG_CLUSTER_COORDINATOR, t.out, note, NULL));
    if (t.ended_at > 0) {
        struct config_chain *chain = client_chain_find(db, CONFIG_CLUSTER_COORDINATOR)->chain;
        chain->sealed = true;
        chain->members.height_last = t.ended_at;
    }
    if (t.late) backup->started_ms -= BACKUP_PATIENCE_MS;
    while (backup->phase < BACKUP_WHOLE && ring_clock_ms() < until_ms) {
        client_backup_tick(backup, ring_clock_ms());
        if (backup->phase < BACKUP_WHOLE) (void)heraclius_poll(db, 5);
    }
    enum backup_phase phase = backup->phase;
    if (phase == BACKUP_FAILED) note(NULL, backup->why);
    client_backup_end(backup);
    free(backup);
    heraclius_close(db);
    pthread_mutex_lock(&t.fake->lock);
    memcpy(t.seen_pieces, t.pieces, sizeof t.pieces);
    t.seen_given = t.given;
    pthread_mutex_unlock(&t.fake->lock);
    return phase;
}

/* What lies there is whole and valid, of this height. */
static void is_valid(uint64_t height) {
    struct backup_folder *folder = NULL;
    struct backup_fault fault;
    const struct signer signer = signer_ed25519(NULL);
    enum backup_error error = backup_folder_open(&folder, t.out, &t.fake->fixture->assembly->system, &signer, &fault);
    if (!error) error = backup_folder_read(folder, NULL, &fault);
    if (error) fail_msg("%s: %s\n%s", fault.file, fault.text, t.notes);
    assert_int_equal(backup_shown(folder->backup)->manifest.height, height);
    backup_folder_close(folder);
}

/* These nodes were named, as bits, and no other. */
static void named(uint32_t nodes) {
    for (uint32_t i = 0; i < NODES; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s sent a bad", t.fake->fixture->nodes[0][i].name);
        if ((strstr(t.notes, text) != NULL) != (nodes >> i & 1)) fail_msg("node %u, of %x:\n%s", i, nodes, t.notes);
    }
}

/* ---- tests ---- */

static void honest_nodes_give_it_between_them(void **state) {
    (void)state;
    begin();
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
    named(0);
    uint32_t gave = 0;
    for (uint32_t i = 0; i < NODES; i++) gave += t.seen_pieces[i] > 0;
    assert_true(gave >= 2);
    assert_int_equal(t.seen_given, 1 << BITS); /* none twice */
}

static void whoever_sends_what_does_not_verify_is_named_and_the_backup_is_whole(void **state) {
    (void)state;
    static const enum act acts[] = {BAD_PIECE, BAD_ITEM, BAD_CHECKPOINT, TOO_LARGE, LONG};
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        uint32_t met = 0; /* others may be so quick that the liar is not asked */
        for (uint32_t liar = 0; liar < NODES; liar++) {
            begin();
            plays(liar, acts[i]);
            if (acts[i] == BAD_ITEM || acts[i] == LONG) /* it is asked: nobody else is quick */
                for (uint32_t k = 0; k < NODES; k++) plays(k, k == liar ? acts[i] : BUSY);
            assert_int_equal(taken(), BACKUP_WHOLE);
            is_valid(1024);
            bool asked = strstr(t.notes, "sent a bad") != NULL;
            assert_true(asked || t.seen_pieces[liar] == 0 || acts[i] != BAD_PIECE);
            named(asked ? 1u << liar : 0);
            met += asked;
        }
        assert_true(met > 0);
    }
}

static void busy_nodes_and_answers_to_nothing_cost_time_alone(void **state) {
    (void)state;
    begin();
    for (uint32_t i = 0; i < NODES; i++) plays(i, BUSY);
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
    named(0);
    begin();
    plays(2, OTHER_NONCE);
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
    named(0);
}

static void when_more_than_f_say_too_large_pieces_are_cut_narrower(void **state) {
    (void)state;
    begin();
    plays(0, TOO_LARGE);
    plays(3, TOO_LARGE);
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
    if (strstr(t.notes, "all are cut narrower") == NULL) named(1u << 0 | 1u << 3); /* the other two gave it before both had said so */
    else named(0);
    begin();
    for (uint32_t i = 0; i < NODES; i++) plays(i, TOO_LARGE);
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
    assert_non_null(strstr(t.notes, "all are cut narrower"));
    named(0);
    assert_int_equal(t.seen_given, 1 << (BITS + 1));
}

static void when_the_nodes_have_gone_on_it_begins_again_with_the_newer(void **state) {
    (void)state;
    for (uint32_t after = 1; after < 1 << BITS; after += 5) {
        begin();
        given_set(0, after);
        assert_int_equal(taken(), BACKUP_WHOLE);
        is_valid(2048);
        named(0);
        assert_non_null(strstr(t.notes, "beginning again"));
    }
}

/* Nodes go on showing an older one to who took it just before (P-49), unless he asks for no less than the last. */
static void of_a_cluster_that_was_ended_the_last_state_is_taken(void **state) {
    (void)state;
    begin();
    t.ended_at = 2048;
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(2048);
    begin();
    t.ended_at = 2048 + 1; /* who had that is gone */
    t.late = true;
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
    named(0);
}

/* Those who had it say that it is gone; who says nothing may have it still, as far as can be told. */
static void one_who_says_nothing_does_not_hold_up_a_checkpoint_that_is_gone(void **state) {
    (void)state;
    begin();
    given_set(0, 3);
    plays(2, GONE_SILENT);
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(2048);
    named(0);
    assert_non_null(strstr(t.notes, "does not give it: beginning again"));
}

static void one_who_stops_in_the_middle_of_an_item_does_not_keep_it(void **state) {
    (void)state;
    begin();
    for (uint32_t i = 0; i < NODES; i++) plays(i, i == 2 ? HALF : BUSY); /* it is asked: nobody else is quick */
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
    named(0);
}

static void one_who_makes_up_many_manifests_has_room_for_one(void **state) {
    (void)state;
    begin();
    for (uint32_t i = 0; i < NODES; i++) plays(i, i == 3 ? MAKES_UP : SHOWS_NOTHING);
    struct heraclius *db = fake_open(t.fake, 1000);
    struct client_backup *backup = calloc(1, sizeof *backup);
    uint32_t made_up = 0;
    assert_non_null(backup);
    assert_true(client_backup_begin(backup, db, CONFIG_CLUSTER_COORDINATOR, t.out, note, NULL));
    for (uint64_t until_ms = ring_clock_ms() + LIMIT_MS; made_up < 4 && ring_clock_ms() < until_ms;) {
        client_backup_tick(backup, ring_clock_ms());
        (void)heraclius_poll(db, 5);
        assert_true(backup->candidate_count <= 1);
        pthread_mutex_lock(&t.fake->lock);
        made_up = t.made_up;
        pthread_mutex_unlock(&t.fake->lock);
    }
    assert_true(made_up >= 4);
    client_backup_end(backup);
    free(backup);
    heraclius_close(db);
    named(0);
}

static void a_manifest_that_was_made_up_is_found_at_the_end(void **state) {
    (void)state;
    begin();
    for (uint32_t i = 0; i < NODES; i++) plays(i, i == 1 || i == 2 ? MADE_UP : SHOWS_NOTHING); /* more than f, so that it is chosen */
    struct heraclius *db = fake_open(t.fake, 1000);
    struct client_backup *backup = calloc(1, sizeof *backup);
    assert_non_null(backup);
    assert_true(client_backup_begin(backup, db, CONFIG_CLUSTER_COORDINATOR, t.out, note, NULL));
    for (uint64_t until_ms = ring_clock_ms() + LIMIT_MS; backup->phase < BACKUP_WHOLE && ring_clock_ms() < until_ms;) {
        client_backup_tick(backup, ring_clock_ms());
        if (backup->phase < BACKUP_WHOLE) (void)heraclius_poll(db, 5);
        if (strstr(t.notes, "checkpoint at height") == NULL) continue;
        plays(0, HONEST);
        plays(3, HONEST);
    }
    assert_int_equal(backup->phase, BACKUP_WHOLE);
    client_backup_end(backup);
    free(backup);
    heraclius_close(db);
    is_valid(1024);
    named(1u << 1 | 1u << 2);
}

static void what_an_earlier_run_left_is_gone_on_with_or_thrown_away(void **state) {
    (void)state;
    char part[128], file[256];
    begin();
    assert_int_equal(taken(), BACKUP_WHOLE);
    (void)snprintf(part, sizeof part, "%s.part", t.out);
    assert_int_equal(rename(t.out, part), 0);
    (void)snprintf(file, sizeof file, "%s/piece-004-30", part);
    assert_int_equal(truncate(file, 100), 0);
    (void)snprintf(file, sizeof file, "%s/piece-004-50", part);
    assert_int_equal(unlink(file), 0);
    given_set(0, 0);
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
    assert_int_equal(t.seen_given, 2);
    assert_int_equal(rename(t.out, part), 0);
    given_set(1, 1); /* the nodes have another one by now */
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(2048);
    assert_int_equal(t.seen_given, 1 + (1 << BITS));
    named(0);
}

static void many_set(void) {
    pthread_mutex_lock(&t.fake->lock);
    t.many = true;
    pthread_mutex_unlock(&t.fake->lock);
}

static void a_manifest_that_is_shown_short_is_asked_for_and_kept_whole(void **state) {
    (void)state;
    begin();
    many_set();
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
    named(0);
    assert_int_equal(t.manifests, 2); /* in two pieces, from one node; the others show it alike */
}

/* The others show theirs once it was asked for its own: so it is. */
static void asked_first(uint32_t liar, enum act act) {
    begin();
    many_set();
    for (uint32_t i = 0; i < NODES; i++) plays(i, i == liar ? act : SHOWS_LATER);
    assert_int_equal(taken(), BACKUP_WHOLE);
    is_valid(1024);
}

static void whoever_gives_another_manifest_than_it_shows_is_named(void **state) {
    (void)state;
    asked_first(0, BAD_MANIFEST);
    named(1u << 0);
    asked_first(3, OTHER_HEAD);
    named(1u << 3);
}

/* What it shows, others show alike; it is for ever busy when it is asked for it. */
static void whoever_never_gives_its_manifest_makes_room_for_the_next(void **state) {
    (void)state;
    asked_first(1, MUTE);
    named(0);
    assert_true(t.manifests > 2);
}

static void when_all_lie_it_says_so(void **state) {
    (void)state;
    begin();
    for (uint32_t i = 0; i < NODES; i++) plays(i, BAD_PIECE);
    assert_int_equal(taken(), BACKUP_FAILED);
    named(0xF);
    assert_non_null(strstr(t.notes, "every node sent what does not verify"));
    struct stat status;
    assert_int_not_equal(stat(t.out, &status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_nodes_give_it_between_them),
        cmocka_unit_test(whoever_sends_what_does_not_verify_is_named_and_the_backup_is_whole),
        cmocka_unit_test(busy_nodes_and_answers_to_nothing_cost_time_alone),
        cmocka_unit_test(when_more_than_f_say_too_large_pieces_are_cut_narrower),
        cmocka_unit_test(when_the_nodes_have_gone_on_it_begins_again_with_the_newer),
        cmocka_unit_test(of_a_cluster_that_was_ended_the_last_state_is_taken),
        cmocka_unit_test(one_who_says_nothing_does_not_hold_up_a_checkpoint_that_is_gone),
        cmocka_unit_test(one_who_stops_in_the_middle_of_an_item_does_not_keep_it),
        cmocka_unit_test(one_who_makes_up_many_manifests_has_room_for_one),
        cmocka_unit_test(a_manifest_that_was_made_up_is_found_at_the_end),
        cmocka_unit_test(what_an_earlier_run_left_is_gone_on_with_or_thrown_away),
        cmocka_unit_test(a_manifest_that_is_shown_short_is_asked_for_and_kept_whole),
        cmocka_unit_test(whoever_gives_another_manifest_than_it_shows_is_named),
        cmocka_unit_test(whoever_never_gives_its_manifest_makes_room_for_the_next),
        cmocka_unit_test(when_all_lie_it_says_so),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
