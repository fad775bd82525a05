/* Which coordinator cluster is asked for what (client/groups.c): that of the shard's group, as long as it answers, and again when it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "client/client.h"
#include "ring/clock.h"
#include "tests/client/fake.h"

enum { RESEND_MS = 80, AWAY_MS = CLIENT_AWAY_RESENDS * RESEND_MS, LONG_MS = 8000, NODES = 4, NODES_ALL = -1 };

static struct fake *fake;
static struct heraclius *db;

static void begin(uint32_t coordinators, uint32_t shards, uint64_t seed, const char *via, uint32_t resend_ms) {
    char why[HERACLIUS_TEXT_BYTES];
    fake = fake_start(&(struct fake_options){.coordinators = coordinators, .shards = shards, .seed = seed});
    struct heraclius_options options = {.system_path = fake->system_path, .via = via, .resend_ms = resend_ms};
    if (heraclius_open(&db, &options, why) != HERACLIUS_OK) fail_msg("%s", why);
}

static void end(void) {
    heraclius_close(db);
    fake_stop(fake);
}

/* A key of this shard. */
static const char *key_in(uint32_t shard) {
    static char key[16];
    for (int i = 0;; i++) {
        snprintf(key, sizeof key, "k%d", i);
        if (heraclius_shard_of(db, key, strlen(key)) == shard) return key;
    }
}

static uint32_t batches_of(uint32_t cluster) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < NODES; i++) sum += fake_batches(fake, (int)(cluster * NODES + i));
    return sum;
}

static uint32_t acted_of(uint32_t cluster) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < NODES; i++) sum += fake_acted(fake, (int)(cluster * NODES + i));
    return sum;
}

static void cluster_play(uint32_t cluster, enum fake_act act) {
    for (uint32_t i = 0; i < NODES; i++) fake_play(fake, (int)(cluster * NODES + i), (struct fake_script){.act = act});
}

/* The fake's number of a node that is at this place of the handle. */
static int node_at(uint32_t place) {
    return (int)(place / BFT_MEMBERS_MAX * NODES + place % BFT_MEMBERS_MAX);
}

/* One read of a key of each of these shards (as bits). */
static void get(uint32_t shards) {
    struct heraclius_request *request = heraclius_request_new(db);
    for (uint32_t shard = 0; shard < 32; shard++) {
        if (shards & 1u << shard) heraclius_get(request, key_in(shard), strlen(key_in(shard)), 100, false);
    }
    enum heraclius_status status = heraclius_call(request, LONG_MS);
    if (status != HERACLIUS_DONE) fail_msg("%s: %s", heraclius_status_name(status), heraclius_why(request));
    heraclius_request_free(request);
}

static void the_clusters_are_divided_among_the_shards_and_the_shards_among_the_clusters(void **state) {
    (void)state;
    for (uint32_t coordinators = 1; coordinators <= 9; coordinators++) {
        for (uint32_t shards = 1; shards <= 9; shards++) {
            uint32_t groups = coordinators < shards ? coordinators : shards, last = 0, asked[9] = {0};
            assert_int_equal(client_group_cluster(0, groups, coordinators), 0);
            assert_int_equal(client_group_cluster(groups, groups, coordinators), coordinators);
            for (uint32_t shard = 0; shard < shards; shard++) {
                uint32_t group = client_group_of_shard(shard, groups, shards);
                uint32_t first = client_group_cluster(group, groups, coordinators), behind = client_group_cluster(group + 1, groups, coordinators);
                if (coordinators <= shards) assert_true(first == shard * coordinators / shards && behind == first + 1);
                assert_true(first >= last && behind > first && behind <= coordinators);
                last = first;
                for (uint32_t cluster = first; cluster < behind; cluster++) asked[cluster]++;
            }
            for (uint32_t i = 0; i < coordinators; i++) { /* evenly: of nothing more than one more than of another */
                uint32_t most = (shards + coordinators - 1) / coordinators, least = shards > coordinators ? shards / coordinators : 1;
                assert_true(asked[i] >= least && asked[i] <= most);
            }
        }
    }
}

static void a_shard_is_asked_through_one_node_of_its_groups_cluster(void **state) {
    (void)state;
    begin(2, 2, 1, NULL, 2000);
    for (uint32_t shard = 0; shard < 2; shard++) {
        uint32_t before = batches_of(shard);
        for (uint32_t i = 0; i < 5; i++) get(1u << shard);
        assert_int_equal(fake_put(db, key_in(shard), "v", LONG_MS), HERACLIUS_DONE);
        assert_int_equal(batches_of(shard), before + 7); /* and where this client's numbers stand */
        assert_int_equal(batches_of(1 - shard), shard == 0 ? 0 : 7);
        assert_int_equal(fake_batches(fake, node_at(db->groups[shard].answered)), 7);
    }
    struct heraclius_counters counters;
    heraclius_counters_get(db, &counters);
    assert_int_equal(counters.links_opened, 2);
    end();
}

static void shards_of_one_group_go_together(void **state) {
    (void)state;
    begin(2, 4, 1, NULL, 2000);
    get(1u << 0 | 1u << 1);
    get(1u << 1);
    assert_int_equal(batches_of(0), 2);
    get(1u << 2 | 1u << 3);
    assert_int_equal(batches_of(0), 2);
    assert_int_equal(batches_of(1), 1);
    end();
}

static void of_a_groups_clusters_the_clients_key_chooses_one(void **state) {
    (void)state;
    uint32_t seen[3] = {0}, places[NODES] = {0};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        begin(3, 2, seed, NULL, 2000);
        for (uint32_t i = 0; i < 3; i++) get(1u << 1);
        uint32_t place = db->groups[1].answered;
        assert_int_equal(fake_batches(fake, node_at(place)), 3);
        assert_int_equal(fake_batches(fake, NODES_ALL), 3);
        seen[place / BFT_MEMBERS_MAX]++;
        places[place % BFT_MEMBERS_MAX]++;
        end();
    }
    assert_int_equal(seen[0], 0);
    assert_true(seen[1] > 0 && seen[2] > 0);
    for (uint32_t i = 0; i < NODES; i++) assert_true(places[i] > 0); /* and of its nodes one */
}

static void what_spans_groups_goes_to_the_handles_own_node_whatever_is_asked_meanwhile(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        begin(2, 2, seed, NULL, 2000);
        uint32_t own = bytes_get_le32(db->key.card_id) % (2 * NODES);
        assert_int_equal(node_at(db->preferred), own);
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t before = fake_batches(fake, (int)own), all = fake_batches(fake, NODES_ALL);
            get(3);
            assert_int_equal(fake_batches(fake, (int)own), before + 1);
            assert_int_equal(fake_batches(fake, NODES_ALL), all + 1);
            get(1u << i % 2);
        }
        end();
    }
}

static void a_node_that_was_named_is_asked_for_everything(void **state) {
    (void)state;
    begin(2, 2, 1, "c1-n2", 2000);
    for (uint32_t shards = 1; shards <= 3; shards++) get(shards);
    assert_int_equal(fake_put(db, key_in(0), "v", LONG_MS), HERACLIUS_DONE);
    assert_int_equal(fake_batches(fake, NODES + 2), 5);
    assert_int_equal(fake_batches(fake, NODES_ALL), 5);
    end();
}

static void where_there_is_one_of_either_one_node_is_asked_for_everything(void **state) {
    (void)state;
    static const uint32_t systems[][2] = {{1, 3}, {3, 1}, {1, 1}};
    for (size_t i = 0; i < 3; i++) {
        begin(systems[i][0], systems[i][1], 1, NULL, 2000);
        assert_int_equal(db->group_count, 0);
        uint32_t own = bytes_get_le32(db->key.card_id) % (systems[i][0] * NODES);
        for (uint32_t shard = 0; shard < systems[i][1]; shard++) get(1u << shard);
        assert_int_equal(fake_batches(fake, (int)own), systems[i][1]);
        assert_int_equal(fake_batches(fake, NODES_ALL), systems[i][1]);
        end();
    }
}

/* Whichever of them it is: the last one as well, behind which the next cluster begins. */
static void a_node_that_is_gone_is_replaced_by_one_of_its_own_cluster(void **state) {
    (void)state;
    static const enum fake_act acts[] = {FAKE_DOWN, FAKE_SILENT};
    for (uint32_t i = 0; i < 2 * NODES; i++) {
        begin(2, 2, 1, NULL, RESEND_MS);
        uint32_t member = i % NODES, next = (member + 1) % NODES;
        db->groups[0].home = db->groups[0].answered = member;
        fake_play(fake, (int)member, (struct fake_script){.act = acts[i / NODES]});
        for (uint32_t k = 0; k < 3; k++) get(1);
        assert_true(fake_acted(fake, (int)member) > 0);
        assert_true(fake_batches(fake, (int)next) > 0);
        assert_int_equal(batches_of(1), 0);
        end();
    }
}

/* Reads until one of shard 0 has come to its own cluster, by a handle that has been away since away_ms. */
static void comes_back(uint64_t away_ms) {
    uint32_t before = batches_of(0), turns = 0;
    while (batches_of(0) == before) {
        if (ring_clock_ms() > away_ms + LONG_MS) fail_msg("it does not come back");
        get(1);
        (void)heraclius_poll(db, 10);
        turns++;
    }
    assert_true(ring_clock_ms() >= away_ms + AWAY_MS && turns > 1); /* not before its time */
    uint32_t other = batches_of(1), own = batches_of(0);
    for (uint32_t i = 0; i < 10; i++) get(1);
    assert_int_equal(batches_of(1), other);
    assert_true(batches_of(0) >= own + 10);
}

static void a_cluster_that_is_gone_is_left_and_found_again(void **state) {
    (void)state;
    begin(2, 2, 1, NULL, RESEND_MS);
    cluster_play(0, FAKE_DOWN);
    uint64_t away_ms = ring_clock_ms(); /* or a little later */
    get(1);
    for (int i = 0; i < NODES; i++) assert_true(fake_acted(fake, i) > 0); /* all of its own first */
    assert_int_equal(batches_of(1), 1);
    get(2);
    get(3); /* what has another group, or none, does not change it */
    uint32_t other = batches_of(1);
    get(1);
    assert_int_equal(batches_of(1), other + 1);
    cluster_play(0, FAKE_HONEST);
    comes_back(away_ms);
    end();
}

static void a_cluster_that_stays_silent_costs_one_sending_now_and_then_one_wait(void **state) {
    (void)state;
    begin(2, 2, 1, NULL, RESEND_MS);
    cluster_play(0, FAKE_SILENT);
    get(1);
    uint64_t away_ms = ring_clock_ms();
    uint32_t before = acted_of(0), at[NODES], others = 0;
    assert_true(before >= NODES);
    for (int i = 0; i < NODES; i++) at[i] = fake_acted(fake, i);
    while (ring_clock_ms() < away_ms + 4 * AWAY_MS + AWAY_MS / 2) {
        get(1);
        (void)heraclius_poll(db, 10);
        others++;
    }
    uint32_t tried = acted_of(0) - before, most = (uint32_t)((ring_clock_ms() - away_ms) / AWAY_MS) + 1;
    assert_true(tried >= 2 && tried <= most && others > 2 * tried);
    for (int i = 0; i < NODES; i++) assert_true(fake_acted(fake, i) <= at[i] + 1 + most / NODES); /* another one each time */
    away_ms = db->groups[0].home_at_ms - AWAY_MS;
    cluster_play(0, FAKE_HONEST);
    comes_back(away_ms);
    end();
}

static void a_cancel_and_what_is_settled_later_go_to_the_groups_cluster(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES];
    for (int how = HERACLIUS_SETTLE_RETRY; how <= HERACLIUS_SETTLE_CANCEL; how++) {
        begin(2, 2, 1, NULL, 2000);
        assert_int_equal(fake_put(db, key_in(1), "v", LONG_MS), HERACLIUS_DONE);
        assert_int_equal(batches_of(1), 2);
        cluster_play(1, FAKE_HONEST);
        fake_play(fake, node_at(db->groups[1].answered), (struct fake_script){.act = FAKE_CODE, .code = CODE_RIGHTS, .times = 1});
        assert_int_equal(fake_put(db, key_in(1), "w", LONG_MS), HERACLIUS_REFUSED);
        assert_int_equal(batches_of(1), 4); /* the write, and its CANCEL */
        cluster_play(1, FAKE_SILENT);
        assert_int_equal(fake_put(db, key_in(1), "x", 300), HERACLIUS_UNSETTLED);
        assert_int_equal(batches_of(1), 5);
        cluster_play(1, FAKE_HONEST);
        assert_int_equal(heraclius_settle(db, (enum heraclius_settle)how, LONG_MS, NULL, NULL, why), HERACLIUS_DONE);
        assert_int_equal(batches_of(1), 6);
        assert_int_equal(batches_of(0), 0);
        end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clusters_are_divided_among_the_shards_and_the_shards_among_the_clusters),
        cmocka_unit_test(a_shard_is_asked_through_one_node_of_its_groups_cluster),
        cmocka_unit_test(shards_of_one_group_go_together),
        cmocka_unit_test(of_a_groups_clusters_the_clients_key_chooses_one),
        cmocka_unit_test(what_spans_groups_goes_to_the_handles_own_node_whatever_is_asked_meanwhile),
        cmocka_unit_test(a_node_that_was_named_is_asked_for_everything),
        cmocka_unit_test(where_there_is_one_of_either_one_node_is_asked_for_everything),
        cmocka_unit_test(a_node_that_is_gone_is_replaced_by_one_of_its_own_cluster),
        cmocka_unit_test(a_cluster_that_is_gone_is_left_and_found_again),
        cmocka_unit_test(a_cluster_that_stays_silent_costs_one_sending_now_and_then_one_wait),
        cmocka_unit_test(a_cancel_and_what_is_settled_later_go_to_the_groups_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
