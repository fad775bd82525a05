/*
 * Walks, each in a process of its own (tests/sim/sys.h): what the product CHECKs ends that process and is a violation like any other, no walk can
 * change another, and a walk that does not end is killed. And shrinking: the smallest configuration that fails in the same way.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sys.h"

enum { WALK_SECONDS_MAX = 300, SHRINK_TRIES_MAX = 400 };

struct sys_result *sys_walk_result;

void sys_walk_config(uint64_t seed, uint64_t events, enum sys_check plant, struct sys_config *config) {
    static const uint32_t sizes[] = {4, 4, 4, 4, 5, 6, 7, 7, 8, 10}, sides[] = {1, 1, 1, 1, 2, 2, 3, 4}, checkpoints[] = {16, 32, 64, 256, 1024},
                          views[] = {100, 250, 500, 1000};
    uint64_t words[19];
    for (uint64_t i = 0; i < 19; i++) words[i] = keyed_siphash(seed, i, "config", 6);
    *config = (struct sys_config){.seed = seed, .events = events};
    config->n = sizes[words[0] % 10];
    config->coordinators = sides[words[1] % 8];
    config->shards = sides[words[2] % 8];
    config->clients = 1 + (uint32_t)(words[3] % 4);
    config->hostile = words[4] % 3 == 0 ? 1 + (uint32_t)(words[5] % 2) : 0;
    config->liars = (uint32_t)(words[6] % 4);
    config->real_keys = words[7] % 32 == 0;
    config->checkpoint_blocks = checkpoints[words[8] % 5];
    config->view_base_ms = views[words[9] % 4];
    config->faults = (uint32_t)words[10] | (uint32_t)words[11]; /* each with three quarters */
    if (words[12] % 8 == 0) config->faults = 1u << words[13] % SYS_FAULT_COUNT;
    config->faults |= 1u << SYS_LOST;
    if (plant == SYS_CHECK_STOPPED) config->faults |= 1u << SYS_FLIP | 1u << SYS_CRASH;
    if ((words[15] >> 8) % 2 != 0) config->faults &= ~(1u << SYS_MOVE);
    if (plant == SYS_CHECK_ADDRESS) config->faults |= 1u << SYS_MOVE;
    if (words[14] % 3 != 0) config->faults &= ~(1u << SYS_CONFIG);
    if (words[15] % 2 != 0) config->faults &= ~(1u << SYS_ENROL);
    config->faults &= ~(1u << SYS_BACKUP | 1u << SYS_SEAL | 1u << SYS_BURN);
    if (words[16] % 4 == 0) config->faults |= 1u << SYS_BACKUP;
    if (words[17] % 6 == 0 || plant == SYS_CHECK_CUT) config->faults |= 1u << SYS_SEAL;
    if (words[18] % 8 == 0) config->faults |= 1u << SYS_BURN | 1u << SYS_BACKUP;
    if (config->faults >> SYS_BURN & 1 && config->checkpoint_blocks > 64) config->checkpoint_blocks = 16; /* else there is nothing to begin from */
    config->plant = plant;
    config->faults &= (1u << SYS_FAULT_COUNT) - 1;
}

/* ---- one walk ---- */

int sys_walk(const struct sys_config *config, struct sys_result *result) {
    memset(result, 0, sizeof *result);
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        sys_walk_result = result;
        (void)alarm(WALK_SECONDS_MAX);
        struct sys_world *world = sys_world_create(config, &result->stats);
        world = sys_world_walk(world);
        result->trace_hash = world->trace_hash;
        sys_world_destroy(world);
        result->done = true;
        exit(0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    result->process = (int)pid;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && result->done) return 0;
    sys_clients_forget((int)pid); /* what ended it may have come before it could */
    if (result->check == SYS_CHECK_NONE) {
        result->failed_event = result->stats.events;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
            snprintf(result->text, sizeof result->text, "the walk does not end");
        else if (WIFSIGNALED(status))
            snprintf(result->text, sizeof result->text, "signal %d", WTERMSIG(status));
        else
            snprintf(result->text, sizeof result->text, "exit %d", WEXITSTATUS(status));
    }
    return 1;
}

/* ---- shrinking ---- */

struct shrinker {
    struct sys_config best;
    struct sys_result *result; /* shared with the child */
    const struct sys_result *first;
    uint32_t tries;
};

/* Does this one fail too, and in the same way? Then it is the best so far. */
static bool try(struct shrinker *shrinker, const struct sys_config *config) {
    if (shrinker->tries >= SHRINK_TRIES_MAX) return false;
    shrinker->tries++;
    if (sys_walk(config, shrinker->result) == 0 || shrinker->result->check != shrinker->first->check) return false;
    shrinker->best = *config;
    if (shrinker->result->failed_event + 1 < shrinker->best.events) shrinker->best.events = shrinker->result->failed_event + 1;
    return true;
}

static bool smaller(struct shrinker *shrinker, size_t offset, uint32_t least) {
    struct sys_config config = shrinker->best;
    uint32_t *field = (uint32_t *)(void *)((uint8_t *)&config + offset), before = *field;
    for (uint32_t value = least; value < before; value++) {
        *field = value;
        if (try(shrinker, &config)) return true;
    }
    return false;
}

static bool round_of(struct shrinker *shrinker) {
    bool any = false;
    for (int fault = 0; fault < SYS_FAULT_COUNT; fault++) {
        struct sys_config config = shrinker->best;
        if (!(config.faults >> fault & 1)) continue;
        config.faults &= ~(1u << fault);
        any = try(shrinker, &config) || any;
    }
    any = smaller(shrinker, offsetof(struct sys_config, coordinators), 1) || any;
    any = smaller(shrinker, offsetof(struct sys_config, shards), 1) || any;
    any = smaller(shrinker, offsetof(struct sys_config, n), 4) || any;
    any = smaller(shrinker, offsetof(struct sys_config, clients), 1) || any;
    any = smaller(shrinker, offsetof(struct sys_config, hostile), 0) || any;
    any = smaller(shrinker, offsetof(struct sys_config, liars), 0) || any;
    for (uint64_t part = 8; part > 1; part /= 2) {
        struct sys_config config = shrinker->best;
        config.events -= config.events / part;
        if (config.events == shrinker->best.events) continue;
        any = try(shrinker, &config) || any;
    }
    return any;
}

void sys_walk_shrink(const struct sys_config *config, const struct sys_result *failed, const char *path) {
    struct shrinker shrinker = {.best = *config, .first = failed};
    shrinker.result = mmap(NULL, sizeof *shrinker.result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shrinker.result != MAP_FAILED);
    while (round_of(&shrinker)) continue;
    struct sys_config last = shrinker.best;
    last.trace = path;
    (void)sys_walk(&last, shrinker.result);
    printf("smallest after %u tries: ", shrinker.tries);
    sys_config_print(stdout, &last);
    printf("fails at event %llu: %s: %s\ntrace: %s\n", (unsigned long long)shrinker.result->failed_event, sys_check_name(shrinker.result->check),
           shrinker.result->text, path);
    CHECK(munmap(shrinker.result, sizeof *shrinker.result) == 0);
}
