/* f liars depose no honest leader: 10^6 events with every attack of sim_liar.c going on, and no fault of the network to help them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

static void f_liars_depose_no_honest_leader(void **state) {
    (void)state;
    struct sim_world *world = malloc(sizeof *world);
    CHECK(world != NULL);
    uint64_t events = 0, forged = 0, blocks = 0;
    for (uint32_t n = 4; n <= 7; n++) {
        struct sim_config config = {.seed = 900 + n, .n = n, .nodes = n, .liars = bft_faults(n), .calm = true, .verify_every = 1,
                                    .rotation_blocks = 1000000};
        sim_world_init(world, &config);
        sim_world_run(world, 250000);
        assert_int_equal(world->stats.honest_deposed, 0);
        /* Once an honest member leads, it leads on. */
        for (uint8_t i = 0; i < n; i++) {
            const struct sim_node *node = &world->nodes[i];
            if (!node->liar) assert_false(world->nodes[bft_leader(&node->core.members, bft_core_view(&node->core))].liar);
        }
        events += world->stats.events;
        forged += world->stats.forged_timeouts;
        blocks += world->chain_height;
        sim_world_free(world);
    }
    free(world);
    assert_true(events >= 1000000);
    assert_true(forged > 1000);
    assert_true(blocks > 2000);
}

static void one_seed_gives_one_trace(void **state) {
    (void)state;
    struct sim_world *world = malloc(sizeof *world);
    CHECK(world != NULL);
    uint64_t trace[3];
    for (int i = 0; i < 3; i++) {
        struct sim_config config = {.seed = i < 2 ? 5 : 6, .n = 5, .nodes = 7, .liars = 1, .configs = true,
                                    .verify_every = 64, .rotation_blocks = 50};
        sim_world_init(world, &config);
        sim_world_run(world, 20000);
        trace[i] = world->trace;
        sim_world_free(world);
    }
    free(world);
    assert_true(trace[0] == trace[1]);
    assert_true(trace[0] != trace[2]);
}

/* ---- a watcher that never fires is worth nothing: planted faults are seen, each in a process of its own, which ends with 1 ---- */

static void plant(int which) {
    struct sim_world *world = malloc(sizeof *world);
    CHECK(world != NULL);
    struct sim_config config = {.seed = 3, .n = 4, .nodes = 4, .calm = true, .verify_every = 1, .rotation_blocks = 1000000};
    sim_world_init(world, &config);
    sim_world_run(world, 5000);
    if (which == 0) world->chain[world->chain_height].bytes[0] ^= 1;          /* what the others made final was something else */
    if (which == 1) world->nodes[1].memory.has_prepared = false;              /* the disk forgot */
    if (which == 2) world->epochs[0].keys[2][0] ^= 1;                         /* certificates are not the members' */
    for (int i = 0; i < 4; i++) {
        struct bft_message message = {.type = BFT_MESSAGE_PREPARE};
        message.vote.ballot = world->nodes[1].core.memory.prepared;
        message.vote.kind = BFT_PREPARE;
        if (which == 3) message.vote.ballot.block_id.bytes[0] ^= 1; /* a second vote for one place */
        if (which == 1 || which == 3) sim_check_released(world, 1, &message);
        const struct sim_final *final = &world->nodes[i].finals[(world->genesis->header.height + world->chain_height) % SIM_FINALS];
        if (which == 0 && final->height == world->genesis->header.height + world->chain_height)
            sim_check_final(world, 0, final->block, final->certificate, final->certificate_bytes);
        if (which == 2 && final->height != 0) sim_check_final(world, 0, final->block, final->certificate, final->certificate_bytes);
    }
    exit(0);
}

static void planted_faults_are_seen(void **state) {
    (void)state;
    for (int which = 0; which < 4; which++) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            if (!freopen("/dev/null", "w", stdout)) _exit(9);
            plant(which);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f_liars_depose_no_honest_leader),
        cmocka_unit_test(one_seed_gives_one_trace),
        cmocka_unit_test(planted_faults_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
