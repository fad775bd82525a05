/* Handles that were opened beside one another share what the system file says and which signatures verified (heraclius_options.beside): nothing that
 * does not verify for the one passes for the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/client.h"
#include "merkle/check.h"
#include "protocol/keyfile.h"
#include "tests/client/fake.h"

enum { RESEND_MS = 200, LONG_MS = 8000 };

static struct fake *fake;
static char other_key[640];

static int set_up(void **state) {
    (void)state;
    fake = fake_start(&(struct fake_options){0});
    snprintf(other_key, sizeof other_key, "%s/other.key", fake->folder);
    CHECK(keyfile_create(&fake->fixture->clients[1], other_key, NULL) == SYSTEM_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char path[700];
    static const char *const ends[] = {"", ".journal", ".chain"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", other_key, ends[i]);
        (void)unlink(path);
    }
    fake_stop(fake);
    return 0;
}

static struct heraclius *open_key(const char *key_path, struct heraclius *first) {
    struct heraclius *db;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius_options options = {.system_path = fake->system_path, .key_path = key_path, .resend_ms = RESEND_MS, .beside = first};
    if (heraclius_open(&db, &options, why) != HERACLIUS_OK) fail_msg("%s", why);
    return db;
}

static struct heraclius *open_beside(struct heraclius *first) {
    return open_key(other_key, first);
}

static void absent(struct heraclius *db, const char *key) {
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_get(request, key, strlen(key), 100, false);
    enum heraclius_status status = heraclius_call(request, LONG_MS);
    if (status != HERACLIUS_DONE) fail_msg("%s: %s", heraclius_status_name(status), heraclius_why(request));
    assert_int_equal(heraclius_result_at(request, 0)->code, HERACLIUS_CODE_ABSENT);
    heraclius_request_free(request);
}

static void either_may_be_closed_first(void **state) {
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct heraclius *first = fake_open(fake, RESEND_MS), *second = open_beside(first);
        assert_ptr_equal(first->system, second->system);
        absent(first, "a/1");
        absent(second, "a/2");
        heraclius_close(order ? second : first);
        absent(order ? first : second, "a/3");
        heraclius_close(order ? first : second);
    }
}

static void one_that_cannot_be_opened_leaves_the_first_as_it_was(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *first = fake_open(fake, RESEND_MS), *none;
    for (int i = 0; i < 3; i++) {
        struct heraclius_options options = {.system_path = fake->system_path, .key_path = "/nonexistent/key", .beside = first};
        assert_int_equal(heraclius_open(&none, &options, why), HERACLIUS_BAD_FILE);
        assert_null(none);
        options.key_path = fake->key_path; /* its own */
        assert_int_equal(heraclius_open(&none, &options, why), HERACLIUS_KEY_IN_USE);
    }
    assert_int_equal(first->shared->handles, 1);
    absent(first, "a/1");
    heraclius_close(first);
}

static void a_signature_is_known_only_if_key_bytes_and_signature_are_the_same(void **state) {
    (void)state;
    struct heraclius *first = fake_open(fake, RESEND_MS), *second = open_beside(first);
    const struct signer *signer = &first->signer, *other = &second->signer;
    uint8_t bytes[BFT_VOTE_PREIMAGE_BYTES + 1], signature[SIGNER_SIGNATURE_BYTES], key[SIGNER_PUBLIC_KEY_BYTES];
    for (size_t count = 16; count <= sizeof bytes; count += 47) { /* 157 at the end: too long to be kept */
        memset(bytes, (int)count, sizeof bytes);
        memcpy(key, first->key.signing_key, sizeof key);
        signer->sign(signer->context, bytes, count, signature);
        for (int again = 0; again < 3; again++) {
            assert_true(signer->verify(signer->context, key, bytes, count, signature));
            assert_true(other->verify(other->context, key, bytes, count, signature));
            assert_false(other->verify(other->context, key, bytes, count - 1, signature));
            assert_false(other->verify(other->context, second->key.signing_key, bytes, count, signature));
            for (size_t at = 0; at < sizeof signature; at += 7) {
                signature[at] ^= 1;
                assert_false(other->verify(other->context, key, bytes, count, signature));
                assert_false(other->verify(other->context, key, bytes, count, signature)); /* what failed is not kept */
                signature[at] ^= 1;
            }
            for (size_t at = 0; at < count; at += 5) {
                bytes[at] ^= 1;
                assert_false(other->verify(other->context, key, bytes, count, signature));
                bytes[at] ^= 1;
            }
        }
    }
    heraclius_close(second);
    heraclius_close(first);
}

static void what_is_known_is_looked_up(void **state) {
    (void)state;
    struct heraclius *first = fake_open(fake, RESEND_MS), *second = open_beside(first);
    uint8_t bytes[64] = {7}, signature[SIGNER_SIGNATURE_BYTES];
    first->signer.sign(first, bytes, sizeof bytes, signature);
    assert_true(first->signer.verify(first, first->key.signing_key, bytes, sizeof bytes, signature));
    struct ed25519_keys *keys = first->shared->signing.keys;
    first->shared->signing.keys = NULL; /* nobody verifies by it any more */
    assert_true(second->signer.verify(second, first->key.signing_key, bytes, sizeof bytes, signature));
    first->shared->signing.keys = keys;
    heraclius_close(second);
    heraclius_close(first);
}

static void liars_are_found_out_by_the_second_as_by_the_first(void **state) {
    (void)state;
    static const enum fake_act acts[] = {FAKE_FEW, FAKE_STRANGERS, FAKE_PREPARE, FAKE_PROOF, FAKE_SLICE, FAKE_CLUSTER};
    struct heraclius *first = fake_open(fake, RESEND_MS);
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        struct heraclius *second = open_beside(first);
        struct heraclius_counters counters;
        fake_play(fake, -1, (struct fake_script){0});
        absent(first, "a/1");
        absent(second, "a/1"); /* and what they verified is known */
        fake_play(fake, -1, (struct fake_script){.act = acts[i]});
        struct heraclius_request *request = heraclius_request_new(second);
        heraclius_get(request, "a/2", 3, 100, false);
        assert_int_equal(heraclius_call(request, 4 * RESEND_MS), HERACLIUS_UNAVAILABLE);
        assert_null(heraclius_result_at(request, 0));
        heraclius_request_free(request);
        heraclius_counters_get(second, &counters);
        if (counters.verification_failures == 0) fail_msg("act %d was not seen", (int)acts[i]);
        heraclius_close(second);
    }
    fake_play(fake, -1, (struct fake_script){0});
    heraclius_close(first);
}

/* ---- journals, synced by threads ---- */

/* In libc's place: `closed`, it waits; `fails`, so many say EIO. `blocked`: the signals that its last caller did not take. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t opens;
    bool closed;
    int waiting, fails;
    sigset_t blocked;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .opens = PTHREAD_COND_INITIALIZER};

int fdatasync(int fd) {
    pthread_mutex_lock(&disk.lock);
    disk.waiting++;
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &disk.blocked) == 0);
    while (disk.closed) pthread_cond_wait(&disk.opens, &disk.lock);
    disk.waiting--;
    bool fails = disk.fails > 0 && disk.fails--;
    pthread_mutex_unlock(&disk.lock);
    if (!fails) return fsync(fd);
    errno = EIO;
    return -1;
}

static void disk_is(bool closed, int fails) {
    pthread_mutex_lock(&disk.lock);
    disk.closed = closed;
    disk.fails = fails;
    pthread_cond_broadcast(&disk.opens);
    pthread_mutex_unlock(&disk.lock);
}

static int disk_waiting(void) {
    pthread_mutex_lock(&disk.lock);
    int waiting = disk.waiting;
    pthread_mutex_unlock(&disk.lock);
    return waiting;
}

static struct heraclius_request *put_begin(struct heraclius *db, const char *key, uint32_t timeout_ms) {
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_put(request, key, strlen(key), "v", 1);
    assert_int_equal(heraclius_submit(request, timeout_ms, NULL, NULL), HERACLIUS_OK);
    (void)heraclius_poll(db, 0);
    return request;
}

static void poll_both(struct heraclius *reader, struct heraclius *writer, int times) {
    for (int i = 0; i < times; i++) {
        (void)heraclius_poll(reader, 5);
        (void)heraclius_poll(writer, 5);
    }
}

static void disk_await(int waiting) {
    for (int i = 0; i < 400 && disk_waiting() < waiting; i++) usleep(5000);
    assert_int_equal(disk_waiting(), waiting);
}

/* The fake's shards know the numbers of one client: it writes, the other one reads. */
static void writes_leave_when_their_journal_is_durable_and_not_before(void **state) {
    (void)state;
    struct heraclius *reader = open_key(other_key, NULL), *writer = open_key(fake->key_path, reader);
    assert_int_equal(fake_put(writer, "a/2", "v", LONG_MS), HERACLIUS_DONE);
    uint32_t batches = fake_batches(fake, -1);
    disk_is(true, 0);
    struct heraclius_request *one = put_begin(writer, "a/3", LONG_MS);
    disk_await(1);
    poll_both(reader, writer, 20);
    assert_int_equal(fake_batches(fake, -1), batches);
    struct heraclius_request *later = put_begin(writer, "a/5", LONG_MS); /* goes with the next sync */
    poll_both(reader, writer, 5);
    assert_int_equal(disk_waiting(), 1);
    absent(reader, "b/1"); /* the program goes on meanwhile */
    assert_int_equal(fake_batches(fake, -1), batches + 1);
    disk_is(false, 0);
    poll_both(reader, writer, 60);
    assert_int_equal(heraclius_request_status(one), HERACLIUS_DONE);
    assert_int_equal(heraclius_request_status(later), HERACLIUS_DONE);
    heraclius_request_free(one);
    heraclius_request_free(later);
    heraclius_close(writer);
    heraclius_close(reader);
}

static void a_journal_that_was_not_made_durable_sends_nothing_and_heals(void **state) {
    (void)state;
    struct heraclius *reader = open_key(other_key, NULL), *writer = open_key(fake->key_path, reader);
    assert_int_equal(fake_put(writer, "a/1", "v", LONG_MS), HERACLIUS_DONE);
    uint32_t batches = fake_batches(fake, -1);
    disk_is(true, 0);
    struct heraclius_request *fails = put_begin(writer, "a/2", LONG_MS);
    disk_await(1);
    struct heraclius_request *later = put_begin(writer, "a/3", LONG_MS);
    disk_is(false, 1); /* the one that waits */
    poll_both(reader, writer, 60);
    assert_int_equal(heraclius_request_status(fails), HERACLIUS_NO_RESOURCES);
    assert_non_null(strstr(heraclius_why(fails), "nothing was sent"));
    assert_int_equal(heraclius_request_status(later), HERACLIUS_DONE);
    assert_int_equal(fake_batches(fake, -1), batches + 1);
    assert_int_equal(heraclius_unsettled_count(writer), 0);
    heraclius_request_free(fails);
    heraclius_request_free(later);
    assert_int_equal(fake_put(writer, "a/4", "v", LONG_MS), HERACLIUS_DONE);
    heraclius_close(writer);
    writer = open_key(fake->key_path, reader); /* and the file is whole */
    assert_int_equal(heraclius_unsettled_count(writer), 0);
    heraclius_close(writer);
    heraclius_close(reader);
}

static void journals_are_synced_at_once(void **state) {
    (void)state;
    enum { JOBS = 6 };
    struct syncer *syncer = client_syncer_make();
    struct sync_job jobs[JOBS] = {0};
    assert_non_null(syncer);
    disk_is(true, 0);
    for (int i = 0; i < JOBS; i++) {
        jobs[i].fd = open(fake->system_path, O_RDONLY | O_CLOEXEC);
        jobs[i].event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_true(jobs[i].fd >= 0 && jobs[i].event >= 0);
        assert_true(client_syncer_put(syncer, &jobs[i]));
    }
    disk_await(JOBS);
    for (int i = 0; i < JOBS; i++) assert_false(client_syncer_ended(syncer, &jobs[i], false));
    disk_is(false, 1);
    int failed = 0;
    for (int i = 0; i < JOBS; i++) {
        assert_true(client_syncer_ended(syncer, &jobs[i], true));
        assert_int_equal(jobs[i].state, SYNC_NONE);
        failed += jobs[i].error == EIO;
        close(jobs[i].fd);
        close(jobs[i].event);
    }
    assert_int_equal(failed, 1);
    assert_int_equal(sigismember(&disk.blocked, SIGTERM), 1);
    assert_int_equal(sigismember(&disk.blocked, SIGSEGV), 0); /* a fault in a thread of the syncer's is reported as any other */
    assert_int_equal(sigismember(&disk.blocked, SIGBUS), 0);
    client_syncer_free(syncer);
}

static void *disk_opens_soon(void *argument) {
    (void)argument;
    usleep(100000);
    disk_is(false, 0);
    return NULL;
}

static void who_is_closed_while_its_journal_is_synced_waits_for_it(void **state) {
    (void)state;
    pthread_t thread;
    struct heraclius *reader = open_key(other_key, NULL), *writer = open_key(fake->key_path, reader);
    assert_int_equal(fake_put(writer, "a/1", "v", LONG_MS), HERACLIUS_DONE);
    disk_is(true, 0);
    struct heraclius_request *request = put_begin(writer, "a/2", LONG_MS);
    disk_await(1);
    assert_int_equal(pthread_create(&thread, NULL, disk_opens_soon, NULL), 0);
    heraclius_request_free(request);
    heraclius_close(writer);
    assert_int_equal(disk_waiting(), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    writer = open_key(fake->key_path, reader); /* it was journaled: it may not be forgotten, since who closed it cannot know whether it left */
    assert_int_equal(heraclius_unsettled_count(writer), 1);
    assert_int_equal(fake_put(writer, "a/3", "v", LONG_MS), HERACLIUS_DONE);
    heraclius_close(writer);
    heraclius_close(reader);
}

/* ---- settling, while a journal is synced ---- */

static int settled_count;

static void settled(const struct heraclius_unsettled *write, enum heraclius_code code, void *argument) {
    (void)write;
    (void)argument;
    settled_count += code == HERACLIUS_CODE_OK;
}

static enum heraclius_status settle(struct heraclius *db, uint32_t timeout_ms, char *why) {
    settled_count = 0;
    return heraclius_settle(db, HERACLIUS_SETTLE_RETRY, timeout_ms, settled, NULL, why);
}

/* Connected, and without what an earlier test left. */
static void nothing_is_open(struct heraclius *db) {
    char why[HERACLIUS_TEXT_BYTES];
    if (settle(db, LONG_MS, why) != HERACLIUS_DONE) fail_msg("%s", why);
    assert_int_equal(fake_put(db, "s/1", "v", LONG_MS), HERACLIUS_DONE);
}

/* A write that is UNSETTLED while its record is on its way to the disk. */
static struct heraclius_request *put_late(struct heraclius *db, const char *key) {
    disk_is(true, 0);
    struct heraclius_request *request = put_begin(db, key, 100);
    disk_await(1);
    for (int i = 0; i < 100 && heraclius_request_status(request) == HERACLIUS_PENDING; i++) (void)heraclius_poll(db, 5);
    assert_int_equal(heraclius_request_status(request), HERACLIUS_UNSETTLED);
    assert_int_equal(heraclius_unsettled_count(db), 1);
    return request;
}

static void nothing_is_settled_before_its_journal_is_durable(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES];
    pthread_t thread;
    struct heraclius *reader = open_key(other_key, NULL), *writer = open_key(fake->key_path, reader);
    nothing_is_open(writer);
    uint32_t batches = fake_batches(fake, -1);
    struct heraclius_request *late = put_late(writer, "s/2");
    for (int how = HERACLIUS_SETTLE_RETRY; how <= HERACLIUS_SETTLE_CANCEL; how++) {
        assert_int_equal(heraclius_settle(writer, (enum heraclius_settle)how, 300, settled, NULL, why), HERACLIUS_NO_RESOURCES);
        assert_non_null(strstr(why, "is not durable"));
    }
    assert_int_equal(fake_batches(fake, -1), batches);
    assert_int_equal(heraclius_unsettled_count(writer), 1);
    assert_int_equal(pthread_create(&thread, NULL, disk_opens_soon, NULL), 0);
    if (settle(writer, LONG_MS, why) != HERACLIUS_DONE) fail_msg("%s", why);
    assert_int_equal(settled_count, 1);
    assert_int_equal(disk_waiting(), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(fake_batches(fake, -1), batches + 1);
    heraclius_request_free(late);
    heraclius_close(writer);
    heraclius_close(reader);
}

/* Nobody waits for the second record, but it must be durable before it is settled. */
static void what_was_let_go_is_made_durable_and_settled(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *reader = open_key(other_key, NULL), *writer = open_key(fake->key_path, reader);
    nothing_is_open(writer);
    uint32_t batches = fake_batches(fake, -1);
    struct heraclius_request *late = put_late(writer, "s/3");
    heraclius_request_free(put_begin(writer, "s/4", LONG_MS));
    disk_is(false, 0);
    if (settle(writer, LONG_MS, why) != HERACLIUS_DONE) fail_msg("%s", why);
    assert_int_equal(settled_count, 2);
    assert_int_equal(fake_batches(fake, -1), batches + 2);
    heraclius_request_free(late);
    heraclius_close(writer);
    heraclius_close(reader);
}

static void *disk_fails_soon(void *argument) {
    (void)argument;
    usleep(100000);
    disk_is(false, 1);
    return NULL;
}

/* It is told that nothing was sent, and that is so. */
static void a_write_whose_sync_fails_is_not_sent_by_settling(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES], value[16];
    pthread_t thread;
    struct heraclius *reader = open_key(other_key, NULL), *writer = open_key(fake->key_path, reader);
    nothing_is_open(writer);
    uint32_t batches = fake_batches(fake, -1);
    disk_is(true, 0);
    struct heraclius_request *fails = put_begin(writer, "s/5", LONG_MS);
    disk_await(1);
    assert_int_equal(pthread_create(&thread, NULL, disk_fails_soon, NULL), 0);
    assert_int_equal(settle(writer, LONG_MS, why), HERACLIUS_DONE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(settled_count, 0);
    assert_int_equal(heraclius_request_status(fails), HERACLIUS_NO_RESOURCES);
    assert_int_equal(heraclius_unsettled_count(writer), 0);
    assert_int_equal(fake_batches(fake, -1), batches);
    assert_false(fake_value(fake, "s/5", value, sizeof value));
    heraclius_request_free(fails);
    heraclius_close(writer);
    heraclius_close(reader);
}

/* Its sync failed when it was UNSETTLED already, and nothing else is to be written: the file must be made anew before it may be sent. */
static void a_journal_that_is_broken_is_made_anew_before_anything_is_settled(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *reader = open_key(other_key, NULL), *writer = open_key(fake->key_path, reader);
    nothing_is_open(writer);
    uint32_t batches = fake_batches(fake, -1);
    struct heraclius_request *late = put_late(writer, "s/6");
    disk_is(false, 2); /* the one that waits, and the new file's */
    assert_int_equal(settle(writer, LONG_MS, why), HERACLIUS_NO_RESOURCES);
    assert_non_null(strstr(why, strerror(EIO)));
    assert_int_equal(fake_batches(fake, -1), batches);
    assert_int_equal(heraclius_unsettled_count(writer), 1);
    if (settle(writer, LONG_MS, why) != HERACLIUS_DONE) fail_msg("%s", why);
    assert_int_equal(settled_count, 1);
    assert_int_equal(fake_batches(fake, -1), batches + 1);
    heraclius_request_free(late);
    heraclius_close(writer);
    heraclius_close(reader);
}

static void no_node_is_blamed_for_the_time_that_the_disk_takes(void **state) {
    (void)state;
    struct heraclius_counters counters;
    struct heraclius *reader = open_key(other_key, NULL), *writer = open_key(fake->key_path, reader);
    nothing_is_open(writer);
    heraclius_counters_get(writer, &counters);
    uint64_t resends = counters.resends;
    uint32_t waits = writer->patience.count;
    disk_is(true, 0);
    struct heraclius_request *request = put_begin(writer, "s/7", LONG_MS);
    disk_await(1);
    for (int i = 0; i < 50; i++) (void)heraclius_poll(writer, RESEND_MS / 10); /* five times as long as a node is given */
    heraclius_counters_get(writer, &counters);
    assert_int_equal(counters.resends, resends);
    disk_is(false, 0);
    for (int i = 0; i < 400 && heraclius_request_status(request) == HERACLIUS_PENDING; i++) (void)heraclius_poll(writer, 5);
    assert_int_equal(heraclius_request_status(request), HERACLIUS_DONE);
    assert_int_equal(writer->patience.count, waits + 1);
    assert_true(writer->patience.waits[waits % PATIENCE_WAITS].took_ms < 5 * RESEND_MS); /* of the node's own */
    heraclius_request_free(request);
    heraclius_close(writer);
    heraclius_close(reader);
}

static void *starts(void *argument) {
    struct heraclius *none;
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius_options options = {.system_path = "/nonexistent/system.json"};
    (void)pthread_barrier_wait(argument);
    for (int i = 0; i < 3; i++) assert_int_equal(heraclius_open(&none, &options, why), HERACLIUS_BAD_FILE);
    return NULL;
}

/* What the library makes once for all is not written by one while another reads it: the thread sanitizer sees to that. First of all tests. */
static void threads_may_begin_at_once(void **state) {
    (void)state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, starts, &barrier), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(pthread_barrier_destroy(&barrier), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_may_begin_at_once),
        cmocka_unit_test(either_may_be_closed_first),
        cmocka_unit_test(one_that_cannot_be_opened_leaves_the_first_as_it_was),
        cmocka_unit_test(a_signature_is_known_only_if_key_bytes_and_signature_are_the_same),
        cmocka_unit_test(what_is_known_is_looked_up),
        cmocka_unit_test(liars_are_found_out_by_the_second_as_by_the_first),
        cmocka_unit_test(writes_leave_when_their_journal_is_durable_and_not_before),
        cmocka_unit_test(a_journal_that_was_not_made_durable_sends_nothing_and_heals),
        cmocka_unit_test(journals_are_synced_at_once),
        cmocka_unit_test(who_is_closed_while_its_journal_is_synced_waits_for_it),
        cmocka_unit_test(nothing_is_settled_before_its_journal_is_durable),
        cmocka_unit_test(what_was_let_go_is_made_durable_and_settled),
        cmocka_unit_test(a_write_whose_sync_fails_is_not_sent_by_settling),
        cmocka_unit_test(a_journal_that_is_broken_is_made_anew_before_anything_is_settled),
        cmocka_unit_test(no_node_is_blamed_for_the_time_that_the_disk_takes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
