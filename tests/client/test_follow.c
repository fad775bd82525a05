/* Following a succession (client/follow.c; spec/system.md 7.12): a journal of the system before becomes one of the successor, by the word of those
 * who are its administrators by now, and each write takes effect once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "protocol/batch.h"
#include "protocol/claim.h"
#include "protocol/config_chain.h"
#include "tests/client/fake.h"

enum { RESEND_MS = 60, LONG_MS = 8000, FILE_MAX = 1 << 20 };

static struct fake *fake;

static int set_up(void **state) {
    (void)state;
    fake = fake_start(&(struct fake_options){.number_window = 16});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fake_stop(fake);
    return 0;
}

static void play(enum fake_act act) {
    fake_play(fake, -1, (struct fake_script){.act = act});
}

static enum heraclius_status opens(struct heraclius **db, char *why) {
    struct heraclius_options options = {.system_path = fake->system_path, .via = "c0-n0", .resend_ms = RESEND_MS};
    return heraclius_open(db, &options, why);
}

static uint32_t settled_count;

static void settled(const struct heraclius_unsettled *write, enum heraclius_code code, void *argument) {
    (void)code;
    (void)argument;
    assert_true(strlen(write->summary) > 0);
    settled_count++;
}

static void settle_all(enum heraclius_settle how) {
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *db = fake_open(fake, RESEND_MS);
    settled_count = 0;
    if (heraclius_settle(db, how, LONG_MS, settled, NULL, why) != HERACLIUS_DONE) fail_msg("%s", why);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    heraclius_close(db);
}

static void shown_write(const struct fake *next, const char *name, const uint8_t *bytes, size_t count) {
    char path[640];
    snprintf(path, sizeof path, "%s/%s", next->folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* The old system's chain of a coordinator cluster: empty, or with the CONFIG by which the third administrator is none any more. */
static void chain_write(const struct fake *next, bool changed) {
    enum { ROOM = 1 << 17 };
    const struct fixture *fixture = fake->fixture;
    uint8_t *payload = malloc(ROOM), *entry = malloc(ROOM);
    struct config_chain *chain = calloc(1, sizeof *chain);
    struct admin_op *op = calloc(1, sizeof *op);
    assert_true(payload && entry && chain && op);
    assert_true(config_chain_genesis(chain, &fixture->assembly->system, CONFIG_CLUSTER_COORDINATOR));
    struct bytes_writer writer = bytes_writer_of(payload, ROOM);
    config_chain_head_encode(&writer, CONFIG_CLUSTER_COORDINATOR, changed ? 1 : 0, 1);
    if (changed) {
        fixture_config_op(fixture, &chain->config, -1, op);
        struct config_admin *admins = op->config.admins;
        uint32_t kept = 0;
        for (uint32_t i = 0; i < op->config.admins_count; i++) {
            if (memcmp(admins[i].key, fixture->admins[2].signing_key, 32) != 0) admins[kept++] = admins[i];
        }
        op->config.admins_count = kept;
        fixture_sign(fixture, op, 2);
        size_t count = fixture_chain_entry(fixture, 0, &chain->members, op, 10, chain->members.q, entry, ROOM);
        bytes_put_u32(&writer, (uint32_t)count);
        bytes_put_raw(&writer, entry, count);
    }
    assert_false(writer.failed);
    shown_write(next, "chain", payload, writer.used);
    free(payload);
    free(entry);
    free(chain);
    free(op);
}

/* By every so many of the administrators. */
static void statement_write_by(const struct fake *next, uint32_t signatures, uint32_t step) {
    struct claim_successor statement = {.signatures_count = 0};
    const struct system *old = &fake->fixture->assembly->system, *new = &next->fixture->assembly->system;
    memcpy(statement.predecessor_id, old->system_id, 16);
    memcpy(statement.successor_id, new->system_id, 16);
    memcpy(statement.successor_hash, new->file_hash, 32);
    for (uint32_t i = 0; i < signatures; i++) assert_true(claim_successor_sign(&statement, &fake->fixture->admins[i * step].signing));
    uint8_t bytes[CLAIM_SUCCESSOR_BYTES_MAX];
    size_t count = claim_successor_encode(&statement, bytes);
    shown_write(next, "statement", bytes, count);
}

static void statement_write(const struct fake *next, uint32_t signatures) {
    statement_write_by(next, signatures, 1);
}

static enum heraclius_status follows(const struct fake *next, bool shown, struct heraclius **db, char *why) {
    char statement[640], chain[640];
    snprintf(statement, sizeof statement, "%s/statement", next->folder);
    snprintf(chain, sizeof chain, "%s/chain", next->folder);
    struct heraclius_options options = {.system_path = next->system_path, .via = "c0-n0", .resend_ms = RESEND_MS};
    if (shown) options.predecessor_path = fake->system_path;
    if (shown) options.statement_path = statement;
    if (shown && access(chain, F_OK) == 0) options.predecessor_chain_path = chain;
    return heraclius_open(db, &options, why);
}

static void journal_hand_over(const struct fake *next, const uint8_t *bytes, size_t count) {
    FILE *file = fopen(next->journal_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static void retry_all(struct fake *next, size_t unsettled) {
    char why[HERACLIUS_TEXT_BYTES], held[32];
    struct heraclius *db;
    if (follows(next, true, &db, why) != HERACLIUS_OK) fail_msg("%s", why);
    assert_int_equal(heraclius_unsettled_count(db), unsettled);
    settled_count = 0;
    if (heraclius_settle(db, HERACLIUS_SETTLE_RETRY, LONG_MS, settled, NULL, why) != HERACLIUS_DONE) fail_msg("%s", why);
    assert_int_equal(settled_count, unsettled);
    assert_true(fake_value(next, "{k}", held, sizeof held));
    assert_string_equal(held, "v4"); /* in the order in which they had happened, and what had no answer last */
    heraclius_close(db);
}

/* Whose journal follows `next` is shown another successor, whose statement is as valid. */
static void a_second_one_is_refused(const struct fake *next) {
    static uint8_t followed[FILE_MAX];
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *db;
    struct fake *second = fake_start(&(struct fake_options){.number_window = 16, .succeeds = fake, .origin_height = 77});
    FILE *file = fopen(next->journal_path, "rb");
    assert_non_null(file);
    size_t count = fread(followed, 1, sizeof followed, file);
    assert_int_equal(fclose(file), 0);
    journal_hand_over(second, followed, count);
    statement_write(second, 2);
    chain_write(second, false);
    assert_int_equal(follows(second, true, &db, why), HERACLIUS_BAD_FILE);
    assert_non_null(strstr(why, "no second one"));
    fake_stop(second);
}

static void a_journal_follows_a_succession_and_each_write_takes_effect_there_once(void **state) {
    (void)state;
    static uint8_t whole[FILE_MAX];
    char why[HERACLIUS_TEXT_BYTES];
    play(FAKE_HONEST);
    (void)unlink(fake->journal_path);
    struct heraclius *db = fake_open(fake, RESEND_MS);
    assert_int_equal(fake_put(db, "{k}", "v1", LONG_MS), HERACLIUS_DONE);
    assert_int_equal(fake_put(db, "{k}", "v2", LONG_MS), HERACLIUS_DONE);
    assert_int_equal(fake_put(db, "{k}", "v3", LONG_MS), HERACLIUS_DONE);
    play(FAKE_SILENT);
    assert_int_equal(fake_put(db, "{k}", "cancelled", 200), HERACLIUS_UNSETTLED);
    heraclius_close(db);
    play(FAKE_HONEST);
    settle_all(HERACLIUS_SETTLE_CANCEL);
    play(FAKE_SILENT);
    db = fake_open(fake, RESEND_MS);
    assert_int_equal(fake_put(db, "{k}", "v4", 200), HERACLIUS_UNSETTLED);
    heraclius_close(db);
    play(FAKE_HONEST);
    size_t count = fake_journal_read(fake, whole, FILE_MAX);

    struct fake *next = fake_start(&(struct fake_options){.number_window = 16, .succeeds = fake});
    journal_hand_over(next, whole, count);
    assert_int_equal(follows(next, false, &db, why), HERACLIUS_BAD_FILE);
    assert_non_null(strstr(why, "--statement"));
    statement_write(next, 2);
    assert_int_equal(follows(next, true, &db, why), HERACLIUS_BAD_FILE); /* whose word would count? */
    assert_non_null(strstr(why, "--chain"));
    chain_write(next, false);
    statement_write(next, 1);
    assert_int_equal(follows(next, true, &db, why), HERACLIUS_BAD_FILE);
    assert_non_null(strstr(why, "administrators must sign"));
    statement_write(next, 2);
    retry_all(next, 4); /* all lie above the cut */
    assert_int_equal(fake_executed(next), 4);
    assert_int_equal(follows(next, true, &db, why), HERACLIUS_OK); /* it is the successor's now: nothing comes again */
    assert_int_equal(heraclius_unsettled_count(db), 0);
    heraclius_close(db);
    char chain[640];
    snprintf(chain, sizeof chain, "%s/chain", next->folder);
    assert_int_equal(unlink(chain), 0);
    assert_int_equal(follows(next, true, &db, why), HERACLIUS_OK); /* the options may stay where they are, and nothing is to be shown again */
    heraclius_close(db);
    chain_write(next, false);
    a_second_one_is_refused(next);
    journal_hand_over(next, whole, count); /* as if all lay below the cut: everything is on record there */
    retry_all(next, 4);
    assert_int_equal(fake_executed(next), 4);
    assert_int_equal(opens(&db, why), HERACLIUS_OK); /* the old system's own journal is where it was */
    heraclius_close(db);
    fake_stop(next);

    next = fake_start(&(struct fake_options){.number_window = 16, .succeeds = fake, .origin_height = UINT64_C(1) << 40});
    journal_hand_over(next, whole, count);
    statement_write(next, 2);
    chain_write(next, false);
    assert_int_equal(follows(next, true, &db, why), HERACLIUS_OK); /* below the origin: only what has no answer */
    assert_int_equal(heraclius_unsettled_count(db), 1);
    heraclius_close(db);
    fake_stop(next);
    settle_all(HERACLIUS_SETTLE_CANCEL);
}

/* Two of three signed it, and one of them is none any more: what genesis says of administrators is not asked. */
static void a_succession_is_judged_by_the_administrators_that_the_chain_shows(void **state) {
    (void)state;
    static uint8_t whole[FILE_MAX], chain[FILE_MAX];
    char why[HERACLIUS_TEXT_BYTES], kept[700];
    struct heraclius *db = fake_open(fake, RESEND_MS);
    heraclius_close(db);
    struct fake *next = fake_start(&(struct fake_options){.number_window = 16, .succeeds = fake});
    journal_hand_over(next, whole, fake_journal_read(fake, whole, FILE_MAX));
    statement_write_by(next, 2, 2);
    chain_write(next, true);
    assert_int_equal(follows(next, true, &db, why), HERACLIUS_BAD_FILE);
    /* A chain that this client has come to know itself is not outdone by a shorter one. */
    snprintf(kept, sizeof kept, "%s/chain", next->folder);
    FILE *file = fopen(kept, "rb");
    assert_non_null(file);
    size_t count = fread(chain + 4, 1, sizeof chain - 4, file);
    assert_int_equal(fclose(file), 0);
    bytes_put_le32(chain, (uint32_t)count);
    shown_write(next, "client.key.chain", chain, 4 + count);
    chain_write(next, false);
    assert_int_equal(follows(next, true, &db, why), HERACLIUS_BAD_FILE);
    snprintf(kept, sizeof kept, "%s/client.key.chain", next->folder);
    assert_int_equal(unlink(kept), 0);
    assert_int_equal(follows(next, true, &db, why), HERACLIUS_OK); /* by the empty chain: nobody else is known to it */
    heraclius_close(db);
    journal_hand_over(next, whole, fake_journal_read(fake, whole, FILE_MAX));
    statement_write(next, 2);
    chain_write(next, true);
    if (follows(next, true, &db, why) != HERACLIUS_OK) fail_msg("%s", why); /* those who are administrators now */
    heraclius_close(db);
    fake_stop(next);
}

/* What took effect is kept over restarts, the newest so many. */
static void the_newest_writes_that_took_effect_are_kept_and_no_more(void **state) {
    (void)state;
    static uint8_t whole[FILE_MAX];
    enum { KEPT = 256 };
    char why[HERACLIUS_TEXT_BYTES], value[16];
    play(FAKE_HONEST);
    (void)unlink(fake->journal_path);
    for (int run = 0; run < 3; run++) {
        struct heraclius *db = fake_open(fake, RESEND_MS);
        for (int i = 0; i < 100; i++) {
            snprintf(value, sizeof value, "%d-%d", run, i);
            assert_int_equal(fake_put(db, "{n}", value, LONG_MS), HERACLIUS_DONE);
        }
        heraclius_close(db);
    }
    size_t count = fake_journal_read(fake, whole, FILE_MAX);
    struct fake *next = fake_start(&(struct fake_options){.number_window = 512, .succeeds = fake});
    journal_hand_over(next, whole, count);
    statement_write(next, 2);
    chain_write(next, false);
    struct heraclius *db;
    if (follows(next, true, &db, why) != HERACLIUS_OK) fail_msg("%s", why);
    assert_int_equal(heraclius_unsettled_count(db), KEPT);
    if (heraclius_settle(db, HERACLIUS_SETTLE_RETRY, LONG_MS, settled, NULL, why) != HERACLIUS_DONE) fail_msg("%s", why);
    heraclius_close(db);
    assert_true(fake_value(next, "{n}", value, sizeof value));
    assert_string_equal(value, "2-99");
    fake_stop(next);
}

static struct fake *silenced;

static void settled_and_then_no_more(const struct heraclius_unsettled *write, enum heraclius_code code, void *argument) {
    settled(write, code, argument);
    fake_play(silenced, -1, (struct fake_script){.act = FAKE_SILENT});
}

/* Who goes on after a crash sends the others in the order in which they had happened, too. */
static void a_following_that_was_interrupted_goes_on_in_order(void **state) {
    (void)state;
    static uint8_t whole[FILE_MAX];
    char why[HERACLIUS_TEXT_BYTES], value[16];
    play(FAKE_HONEST);
    (void)unlink(fake->journal_path);
    struct heraclius *db = fake_open(fake, RESEND_MS);
    for (int i = 1; i <= 4; i++) {
        snprintf(value, sizeof value, "o%d", i);
        assert_int_equal(fake_put(db, "{o}", value, LONG_MS), HERACLIUS_DONE);
    }
    heraclius_close(db);
    size_t count = fake_journal_read(fake, whole, FILE_MAX);
    struct fake *next = silenced = fake_start(&(struct fake_options){.number_window = 16, .succeeds = fake});
    journal_hand_over(next, whole, count);
    statement_write(next, 2);
    chain_write(next, false);
    if (follows(next, true, &db, why) != HERACLIUS_OK) fail_msg("%s", why);
    settled_count = 0;
    assert_int_equal(heraclius_settle(db, HERACLIUS_SETTLE_RETRY, 1500, settled_and_then_no_more, NULL, why), HERACLIUS_UNSETTLED);
    assert_int_equal(settled_count, 1);
    heraclius_close(db);
    fake_play(next, -1, (struct fake_script){.act = FAKE_HONEST});
    assert_int_equal(follows(next, true, &db, why), HERACLIUS_OK);
    assert_int_equal(heraclius_unsettled_count(db), 3);
    if (heraclius_settle(db, HERACLIUS_SETTLE_RETRY, LONG_MS, settled, NULL, why) != HERACLIUS_DONE) fail_msg("%s", why);
    heraclius_close(db);
    assert_true(fake_value(next, "{o}", value, sizeof value));
    assert_string_equal(value, "o4");
    fake_stop(next);
}

/* A write of ADDs, a part for each shard with a height, that took effect there. */
static void kept_make(struct journal *journal, const struct signer *signer, uint8_t name, uint64_t height0, uint64_t height1) {
    const uint64_t heights[2] = {height0, height1};
    static const uint8_t one[8] = {1}, id[32], system_id[16];
    struct operation add = {.opcode = OPERATION_ADD, .key_bytes = 1, .a = 8, .key = (const uint8_t *)"k", .argument_a = one};
    uint8_t nonce[BATCH_NONCE_BYTES] = {name}, *bytes = malloc(4096);
    struct bytes_writer writer = bytes_writer_of(bytes, 4096);
    struct batch_builder builder;
    struct journal_write write = {.bytes = bytes, .settled = calloc(2, 1), .effects = calloc(2, sizeof(struct journal_effect))};
    assert_true(bytes && write.settled && write.effects);
    batch_build_begin(&builder, &writer, BATCH_WRITE, id, nonce, 0);
    for (uint32_t shard = 0; shard < 2; shard++) {
        if (heights[shard] == 0) continue;
        batch_build_part_begin(&builder, SHARD_CLUSTER_BASE + shard, 0, name, 1);
        operation_encode(&writer, &add);
        batch_build_part_end(&builder, 1);
        write.settled[write.part_count] = JOURNAL_DONE;
        write.effects[write.part_count++].height = heights[shard];
    }
    assert_true(batch_build_end(&builder, system_id, signer));
    write.bytes_count = writer.used;
    client_kept_add(journal, &write);
}

/* Heights of two shards say nothing of one another: a write to both comes after what it came after at either. */
static void writes_come_again_in_the_order_that_they_had_at_each_shard(void **state) {
    (void)state;
    static const struct system_cluster clusters[] = {{.cluster = SHARD_CLUSTER_BASE}, {.cluster = SHARD_CLUSTER_BASE + 1}};
    static struct system system = {.shards_count = 2, .clusters = clusters};
    static struct heraclius db;
    struct ed25519_secret secret;
    static const uint8_t seed[ED25519_SEED_BYTES] = {7};
    bool locked = ed25519_secret_init(&secret, seed);
    (void)locked;
    const struct signer signer = signer_ed25519(&secret);
    memset(&db, 0, sizeof db);
    db.system = &system;
    db.journal.fd = db.journal.sync.event = -1;
    kept_make(&db.journal, &signer, 'c', 3, 12); /* settled first, and at shard 1 last */
    kept_make(&db.journal, &signer, 'b', 0, 10);
    kept_make(&db.journal, &signer, 'a', 2, 0);
    kept_make(&db.journal, &signer, 'e', 9, 30);
    kept_make(&db.journal, &signer, 'd', 8, 40); /* ... a circle: the first shard decides */
    assert_true(client_kept_reopen(&db));
    assert_int_equal(db.journal.writes_count, 5);
    char order[6] = {0};
    for (size_t i = 0; i < 5; i++) order[i] = (char)db.journal.writes[i].bytes[40];
    assert_string_equal(order, "bacde");
    client_journal_close(&db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_follows_a_succession_and_each_write_takes_effect_there_once),
        cmocka_unit_test(a_succession_is_judged_by_the_administrators_that_the_chain_shows),
        cmocka_unit_test(a_following_that_was_interrupted_goes_on_in_order),
        cmocka_unit_test(writes_come_again_in_the_order_that_they_had_at_each_shard),
        cmocka_unit_test(the_newest_writes_that_took_effect_are_kept_and_no_more),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
