/* The worker of jobs (execution.h) over a checkpoint store that stops. The store is this file: the calls of state.h that the worker makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/exec/execution.h"
#include "merkle/check.h"
#include "tests/appliance/exec_world.h"

enum { JOBS_MAX = 200 };

/* Takes everything, completes nothing, and is found to have stopped by who waits. */
struct state {
    uint64_t submitted;
    bool stopped;
};

enum store_status state_submit(struct state *state, const struct state_batch *batch, uint64_t *sequence) {
    (void)batch;
    if (state->stopped) return STORE_STOPPED;
    *sequence = ++state->submitted;
    return STORE_OK;
}

uint64_t state_completed(const struct state *state) {
    (void)state;
    return 0;
}

enum store_status state_error(const struct state *state, struct store_error *error) {
    if (!state->stopped) return STORE_OK;
    *error = (struct store_error){.status = STORE_DISK_FULL};
    return error->status;
}

enum store_status state_wait(struct state *state, uint64_t sequence) {
    (void)sequence;
    state->stopped = true;
    return STORE_DISK_FULL;
}

/* Executes an empty block and makes it final, maybe with a checkpoint. What became of that. */
static enum exec_status block_final(struct execution *execution, uint64_t height, bool checkpoint) {
    struct execution_job *job = calloc(1, sizeof *job);
    CHECK(job != NULL);
    job->kind = EXECUTION_BLOCK;
    job->block = (struct exec_block){.ticket = height, .parent = height - 1, .height = height, .time = height};
    execution_run(execution, job);
    assert_int_equal(job->status, EXEC_VALID);
    job->kind = EXECUTION_FINAL;
    job->ticket = height;
    job->checkpoint = job->checkpoint_own = checkpoint;
    job->description = (struct state_checkpoint){.epoch = 1, .height = height};
    execution_run(execution, job);
    enum exec_status status = job->status;
    job->kind = EXECUTION_RELEASE_BLOCK;
    if (status == EXEC_VALID) execution_run(execution, job);
    execution_job_free(job);
    return status;
}

static void behind_a_store_that_stopped_nothing_is_final(void **unused) {
    (void)unused;
    struct world *world = world_create(1, 1);
    struct state state = {.submitted = 0};
    struct execution *execution = execution_create(world_coordinator(world, 0)->ex, &state);
    CHECK(execution != NULL);
    uint64_t height = 1;
    while (height < JOBS_MAX && block_final(execution, height, true) == EXEC_VALID) height++;
    assert_true(state.stopped && state.submitted == height); /* while it waited for room, with all handed over */
    assert_int_equal(block_final(execution, height + 1, false), EXEC_STORE_FAILED);
    struct store_error error;
    assert_int_equal(execution_error(execution, &error), STORE_DISK_FULL);
    execution_destroy(execution);
    world_destroy(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(behind_a_store_that_stopped_nothing_is_final)};
    return cmocka_run_group_tests_name("execution", tests, NULL, NULL);
}
