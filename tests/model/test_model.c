/* The scale model: nothing is lost or made up, the same seed gives the same run, and where a closed form exists the model agrees with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/model.h"

/* Costs that differ from each other, so that none can stand for another. */
static struct model_costs costs_of_tests(void) {
    return (struct model_costs){.coordinator_decision = 600, .shard_decision = 700, .coordinator_op = 0.5, .shard_op = 0.3,
                                .coordinator_byte = 0.001, .shard_byte = 0.001, .client_byte = 0.0005, .batch = 3, .coordinator_part = 0.7,
                                .shard_part = 0.4, .slice_verify = 110, .coordinator_slice_in = 21, .shard_slice_in = 22,
                                .coordinator_slice_out = 11, .shard_slice_out = 12, .path_hash = 0.1, .pair_block = 0.9, .pair_turn = 0.05,
                                .newest = 20, .subscribe = 5, .client_op = 0.2, .client_part = 0.6, .client_answer = 130,
                                .idle_second = 0, .main_share = 1, .sync_ms = 0.8, .disk_ms_per_mb = 0, .hop_ms = 0.15, .jitter = 0.5};
}

static struct model_setup setup_of_tests(uint32_t side, uint32_t users) {
    struct model_setup setup;
    model_setup_default(&setup);
    setup.costs = costs_of_tests();
    setup.side = side;
    setup.users = users;
    return setup;
}

static void near(double found, double wanted, double allowed) {
    if (!(found - wanted <= allowed && wanted - found <= allowed)) fail_msg("%.9g, not %.9g", found, wanted);
}

/* ---- conservation */

static void nothing_is_left(struct model *model) {
    assert_true(model->result.issued > 0);
    assert_true(model->result.issued == model->result.answered);
    uint32_t free_slices = 0;
    for (uint32_t i = model->slice_free; i != MODEL_NONE; i = model->slices[i].next) free_slices++;
    if (!model->setup.every_pair) assert_int_equal(free_slices, model->slice_used);
    for (uint32_t c = 0; c < model->cluster_count; c++) {
        for (uint32_t p = 0; p < model->setup.side; p++) {
            const struct exec_turn *turn = &model->clusters[c].ends[p].turn;
            assert_int_equal(turn->pending_items, 0);
            assert_int_equal(turn->pending_ops, 0);
            assert_int_equal(turn->pending_bytes, 0);
            assert_int_equal(turn->unfinished_count, 0);
        }
    }
}

static void conserves(struct model_setup setup) {
    struct model *model = model_begin(&setup);
    const struct model_result *result = model_run(model);
    assert_false(result->ran_out);
    assert_true(result->issued == result->answered + result->in_flight);
    assert_true(result->in_flight <= (double)setup.users * setup.side);
    model_drain(model);
    nothing_is_left(model);
    model_end(model);
}

static void every_operation_that_goes_in_comes_out(void **state) {
    (void)state;
    for (uint32_t side = 1; side <= 8; side = side * 2 + 1) {
        for (int policy = 0; policy < 2; policy++) {
            struct model_setup setup = setup_of_tests(side, 700);
            setup.every_pair = setup.spread = policy == 1;
            setup.limits.queue_policy = (uint32_t)policy;
            setup.seed = side;
            conserves(setup);
            setup.shared = true;
            setup.cores = 2;
            conserves(setup);
        }
    }
}

static void nor_is_one_lost_when_slices_have_limits(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(2, 4000);
    setup.spread = true;
    setup.limits.slice_ops_max = 16; /* many groups of one pair */
    setup.limits.block_refs_max = 16;
    conserves(setup);
}

static void nor_when_thin_slices_wait_or_share_a_certificate(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(4, 300);
    setup.spread = true;
    setup.lazy_ops = 200;
    setup.lazy_ms = 25;
    conserves(setup);
    setup.aggregate_ms = 10;
    conserves(setup);
}

static uint32_t users_in(const struct model *model, const struct model_list *list) {
    uint32_t users = 0;
    for (uint32_t i = list->first; i != MODEL_NONE; i = model->waits[i].next) users += model->waits[i].users;
    return users;
}

/* Those that wait and those under way; `least_key`: of this key of the clients and those above it. */
static uint32_t users_of(const struct model *model, uint32_t least_key) {
    uint32_t users = 0;
    for (uint32_t c = 0; c < model->setup.side; c++) {
        const struct model_client *client = &model->clients[c];
        for (uint32_t h = least_key; h < model_keys(&model->setup); h++) {
            assert_int_equal(client->ready[h], client->ready[h] > 0 ? users_in(model, &client->waits[h]) : 0);
            assert_true(client->ready[h] == 0 || client->under_way[h] == model->setup.flights); /* nobody waits without a reason */
            users += client->ready[h];
            for (uint32_t f = h * model->setup.flights; f < (h + 1) * model->setup.flights; f++) {
                if (!client->flights[f].used) continue;
                assert_int_equal(users_in(model, &client->flights[f].users), client->flights[f].ops);
                users += client->flights[f].ops;
            }
        }
    }
    return users;
}

static void nor_a_user_who_goes_on_elsewhere(void **state) {
    (void)state;
    static const double shares[] = {0, 0.05, 1, 0.05};
    static const uint32_t users[] = {3001, 3001, 3001, 3}; /* with 3 some clusters have none for a while */
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        struct model_setup setup = setup_of_tests(5, users[i]);
        setup.any_share = shares[i];
        conserves(setup);
        struct model *model = model_begin(&setup);
        assert_false(model_run(model)->ran_out);
        assert_int_equal(users_of(model, 0), 5 * users[i]);
        model_end(model);
    }
}

/* ---- the same again */

static uint64_t trace_of(const struct model_setup *setup, double *ops) {
    struct model *model = model_begin(setup);
    *ops = model_run(model)->ops;
    uint64_t trace = model->trace;
    model_end(model);
    return trace;
}

static void a_seed_gives_one_run(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(4, 900);
    double a, b, c;
    uint64_t first = trace_of(&setup, &a);
    assert_true(first == trace_of(&setup, &b));
    assert_true(a == b);
    setup.seed = 2;
    assert_false(first == trace_of(&setup, &c));
}

/* ---- closed forms */

/* One cluster's block, from what it takes in until what it gives out has come: intake, proposal and preparing alike, two rounds of votes; three
 * things made durable and sent, and the way to whoever gets it. */
static double block_ms(const struct model_costs *costs, double decision, double intake_us, double execution_us) {
    double turns = 5 * costs->pair_turn;
    double us = intake_us + 2 * (0.25 * decision + execution_us + costs->pair_block) + 2 * 0.375 * decision + turns;
    return us / 1000 + 3 * (costs->sync_ms + costs->hop_ms) + costs->hop_ms;
}

static void one_user_alone_waits_as_long_as_the_steps_take(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(1, 1);
    setup.handles = 1;
    setup.costs.jitter = setup.costs.subscribe = 0;
    setup.warm = 2;
    setup.measured = 20;
    const struct model_costs *c = &setup.costs;
    /* Outboxes: the coordinator's has a leaf for the shard and one for its client at most, so a path of one; the shard's has one leaf. */
    double request = block_ms(c, c->coordinator_decision, c->batch + 0.25 * c->coordinator_op,
                              0.25 * c->coordinator_op + 0.5 * c->coordinator_part + c->coordinator_slice_out + c->path_hash);
    double execute = block_ms(c, c->shard_decision, c->slice_verify + c->shard_slice_in + c->path_hash + 0.25 * c->shard_op,
                              0.75 * c->shard_op + c->shard_part + c->shard_slice_out);
    double answer = block_ms(c, c->coordinator_decision, c->slice_verify + c->coordinator_slice_in + 0.25 * c->coordinator_op,
                             0.25 * c->coordinator_op + 0.5 * c->coordinator_part);
    double client = (0.5 * c->client_op + 0.5 * c->client_part + c->client_answer + 0.5 * c->client_op + 0.5 * c->client_part) / 1000;
    double wanted = request + execute + answer + client + 2 * c->hop_ms;
    struct model *model = model_begin(&setup);
    const struct model_result *result = model_run(model);
    near(result->latency_sum_ms / result->ops, wanted, 1e-6);
    near(result->ops / result->seconds, 1000 / wanted, 1e-6 * 1000 / wanted);
    assert_true(result->decisions[0] == 2 * result->ops);
    assert_true(result->decisions[1] == result->ops);
    model_end(model);
}

/* Nobody pauses, so all users are always under way or wait to be: as many as come out in the time that one takes (Little). */
static void a_users_time_is_counted_from_when_it_has_something_to_ask(void **state) {
    (void)state;
    static const uint32_t flight_ops[] = {8192, 512}; /* with 512 most wait for one of those under way to end */
    for (size_t i = 0; i < sizeof flight_ops / sizeof flight_ops[0]; i++) {
        struct model_setup setup = setup_of_tests(4, 16384);
        setup.flight_ops = flight_ops[i];
        setup.warm = 10;
        setup.measured = 100;
        struct model *model = model_begin(&setup);
        const struct model_result *result = model_run(model);
        near(result->latency_sum_ms / 1000 / result->seconds, 4 * 16384, 0.02 * 4 * 16384);
        model_end(model);
    }
}

static void as_long_is_measured_as_was_asked_for_and_not_before_all_began(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(40, 8);
    setup.warm = 0;
    setup.measured = 1;
    setup.seconds_min = 1.5;
    struct model *model = model_begin(&setup);
    const struct model_result *result = model_run(model);
    assert_false(result->ran_out);
    assert_true(result->seconds >= 1.5 && model->marked_ms >= 50 + 40);
    model_end(model);
}

static void its_cpu_is_the_sum_of_what_was_done(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(1, 1);
    setup.handles = 1;
    setup.costs.pair_turn = 0;
    setup.warm = 2;
    setup.measured = 50;
    const struct model_costs *c = &setup.costs;
    double coordinator = 2 * c->coordinator_decision + c->batch + c->coordinator_op + c->coordinator_part + 2 * c->pair_block +
                         c->coordinator_slice_out + c->path_hash + c->slice_verify + c->coordinator_slice_in;
    double shard = c->shard_decision + c->shard_op + c->shard_part + c->pair_block + c->shard_slice_out + c->slice_verify + c->shard_slice_in +
                   c->path_hash;
    struct model *model = model_begin(&setup);
    const struct model_result *result = model_run(model);
    near(result->cpu_us[0] / result->ops, 4 * coordinator, 0.02 * coordinator); /* a turn is not whole at the ends */
    near(result->cpu_us[1] / result->ops, 4 * shard, 0.02 * shard);
    model_end(model);
}

static void a_full_machine_does_as_much_as_its_cpus_can(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(1, 65536);
    setup.shared = true;
    setup.cores = 2;
    setup.costs.sync_ms = setup.costs.hop_ms = 0; /* nobody waits but for a CPU */
    struct model *model = model_begin(&setup);
    const struct model_result *result = model_run(model);
    double cpu = result->cpu_us[0] + result->cpu_us[1] + result->client_us;
    /* A task of the leader or the client has one CPU to itself, and the other has nothing: so somewhat less than both. */
    assert_in_range((uint64_t)(cpu / result->seconds / 1e4), 150, 201);
    model_end(model);
}

/* ---- which coordinator cluster */

static uint32_t pairs_used(const struct model *model) {
    uint32_t used = 0;
    for (uint32_t c = 0; c < model->cluster_count; c++)
        for (uint32_t p = 0; p < model->setup.side; p++) used += model->clusters[c].ends[p].turn.sent_dseq > 0;
    return used;
}

static void by_group_clusters_of_one_number_have_slices_for_each_other_alone(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(6, 2000);
    struct model *model = model_begin(&setup);
    (void)model_run(model);
    for (uint32_t c = 0; c < model->cluster_count; c++)
        for (uint32_t p = 0; p < 6; p++) assert_true((model->clusters[c].ends[p].turn.sent_dseq > 0) == (p == c % 6));
    model_end(model);
}

static void spread_or_with_a_share_for_any_coordinator_every_pair_has(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(6, 2000);
    setup.spread = true;
    struct model *model = model_begin(&setup);
    (void)model_run(model);
    assert_int_equal(pairs_used(model), 2 * 6 * 6);
    model_end(model);
    setup.spread = false;
    setup.any_share = 0.1;
    model = model_begin(&setup);
    (void)model_run(model);
    assert_int_equal(pairs_used(model), 2 * 6 * 6);
    model_end(model);
}

/* A request for any coordinator takes up to some times as long as one by group, so of all users about that share is in such a one. */
static void as_many_operations_go_to_any_coordinator_as_was_said(void **state) {
    (void)state;
    static const double shares[] = {0.02, 0.3};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        struct model_setup setup = setup_of_tests(4, 20000);
        setup.any_share = shares[i];
        struct model *model = model_begin(&setup);
        (void)model_run(model);
        double share = users_of(model, setup.handles) / (4 * 20000.0);
        if (!(share > shares[i] / 2 && share < shares[i] * 2)) fail_msg("%g of the users, not about %g", share, shares[i]);
        model_end(model);
    }
}

static void with_one_cluster_a_side_it_makes_no_difference(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(1, 5000);
    double group, spread;
    uint64_t first = trace_of(&setup, &group);
    setup.spread = true;
    assert_true(first == trace_of(&setup, &spread));
    assert_true(group == spread);
}

/* ---- policies */

static void the_papers_policy_sends_to_every_pair_in_every_block(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(7, 300);
    setup.every_pair = setup.spread = true;
    setup.limits.queue_policy = 1;
    struct model *model = model_begin(&setup);
    const struct model_result *result = model_run(model);
    for (int i = 0; i < 2; i++) { /* but to one that is behind */
        assert_true(result->slices[i] <= 7 * result->decisions[i]);
        assert_true(result->slices[i] >= 6 * result->decisions[i]);
    }
    assert_true(result->alone > 0);
    model_end(model);
}

static double slices_per_op(struct model_setup setup) {
    struct model *model = model_begin(&setup);
    const struct model_result *result = model_run(model);
    double each = (result->slices[0] + result->slices[1]) / result->ops;
    model_end(model);
    return each;
}

static void by_group_fewer_slices_carry_the_same(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(8, 2000);
    double group = slices_per_op(setup);
    setup.spread = true;
    assert_true(slices_per_op(setup) > 3 * group);
}

static void limits_of_the_node_count_in_the_model(void **state) {
    (void)state;
    struct model_setup setup = setup_of_tests(8, 2000);
    setup.spread = true;
    double ours = slices_per_op(setup);
    setup.limits.queue_policy = 1;
    assert_true(slices_per_op(setup) > 1.05 * ours);
    setup.limits.queue_policy = 0;
    setup.limits.enough_ops = 1;
    assert_true(slices_per_op(setup) > 1.05 * ours);
}

/* ---- what is not taken */

static void refused(const char *word, const char *says) {
    struct model_setup setup = setup_of_tests(1, 1);
    char why[256];
    assert_false(model_set(&setup, word, why));
    if (strstr(why, says) == NULL) fail_msg("%s: %s", word, why);
}

static void a_name_or_value_that_makes_no_sense_is_refused(void **state) {
    (void)state;
    refused("due_blocks", "NAME=VALUE");
    refused("due_blocks=", "NAME=VALUE");
    refused("due_blocks=2x", "a number");
    refused("due_blocks=-1", "0 or more");
    refused("due_block=2", "no limit, time-out or cost");
    struct model_setup setup = setup_of_tests(1, 1);
    char why[256];
    assert_true(model_set(&setup, "due_blocks=9", why) && setup.limits.due_blocks == 9);
    assert_true(model_set(&setup, "due_ms=77", why) && setup.timeouts.due_ms == 77);
    assert_true(model_set(&setup, "sync_ms=0.5", why) && setup.costs.sync_ms == 0.5);
}

static void a_file_without_a_cost_is_refused(void **state) {
    (void)state;
    const char *folder = getenv("TMPDIR");
    char path[512], why[256];
    snprintf(path, sizeof path, "%s/costs.json", folder ? folder : "/tmp");
    struct model_costs costs;
    static const struct { const char *text, *says; } cases[] = {
        {"{", "line 1"}, {"{}", "\"costs\""}, {"{\"costs\": {\"coordinator_decision\": -1}}", "\"coordinator_decision\""},
        {"{\"costs\": {\"coordinator_decision\": 1}}", "\"shard_decision\""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(cases[i].text, file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_false(model_costs_load(path, &costs, why));
        if (strstr(why, cases[i].says) == NULL) fail_msg("%s: %s", cases[i].text, why);
    }
    assert_int_equal(remove(path), 0);
    assert_false(model_costs_load(path, &costs, why));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_that_goes_in_comes_out),
        cmocka_unit_test(nor_is_one_lost_when_slices_have_limits),
        cmocka_unit_test(nor_when_thin_slices_wait_or_share_a_certificate),
        cmocka_unit_test(nor_a_user_who_goes_on_elsewhere),
        cmocka_unit_test(a_seed_gives_one_run),
        cmocka_unit_test(one_user_alone_waits_as_long_as_the_steps_take),
        cmocka_unit_test(a_users_time_is_counted_from_when_it_has_something_to_ask),
        cmocka_unit_test(as_long_is_measured_as_was_asked_for_and_not_before_all_began),
        cmocka_unit_test(its_cpu_is_the_sum_of_what_was_done),
        cmocka_unit_test(a_full_machine_does_as_much_as_its_cpus_can),
        cmocka_unit_test(by_group_clusters_of_one_number_have_slices_for_each_other_alone),
        cmocka_unit_test(spread_or_with_a_share_for_any_coordinator_every_pair_has),
        cmocka_unit_test(as_many_operations_go_to_any_coordinator_as_was_said),
        cmocka_unit_test(with_one_cluster_a_side_it_makes_no_difference),
        cmocka_unit_test(the_papers_policy_sends_to_every_pair_in_every_block),
        cmocka_unit_test(by_group_fewer_slices_carry_the_same),
        cmocka_unit_test(limits_of_the_node_count_in_the_model),
        cmocka_unit_test(a_name_or_value_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_file_without_a_cost_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
