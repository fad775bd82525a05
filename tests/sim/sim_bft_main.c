/* Random walks of several bare cores on one seed (tests/sim/sim.h). `sim_bft --help` lists the options. */
#include <getopt.h>
#include <time.h>

#include "tests/sim/sim.h"

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void usage(void) {
    puts("usage: sim_bft [--seed S] [--events E] [--walk-events W] [--n N] [--liars L] [--calm] [--configs] [--all-signatures] [--verbose]\n"
         "Walks of W events (default 50000), n from 4 to 7 in turn, with and without CONFIGs, until E events (default 1000000); each ends with a\n"
         "liveness phase. In half of them a leader that signs two things for one place leads on. --n, --liars, --calm fix what a walk is. A\n"
         "violation names the walk's seed and exits with 1.");
}

struct totals {
    struct sim_stats stats;
    uint64_t trace;
    uint64_t walks;
};

static void add(struct totals *totals, const struct sim_world *world) {
    const uint64_t *from = (const uint64_t *)(const void *)&world->stats;
    uint64_t *to = (uint64_t *)(void *)&totals->stats;
    for (size_t i = 0; i < sizeof world->stats / sizeof *from; i++) to[i] += from[i];
    totals->trace = keyed_siphash(totals->trace, world->trace, "walk", 4);
    totals->walks++;
}

static void walk(struct sim_world *world, const struct sim_config *config, struct totals *totals) {
    sim_world_init(world, config);
    sim_world_run(world, config->events);
    if (config->calm && config->liars > 0 && world->stats.honest_deposed > 0) sim_fail(world, "liars deposed an honest leader");
    if (!sim_world_heal(world, 20, 120000)) sim_fail(world, "no progress after all faults had ended");
    add(totals, world);
    sim_world_free(world);
}

static void report(const struct totals *t, uint64_t seed, double seconds) {
    const struct sim_stats *s = &t->stats;
    printf("seed %llu\nwalks %llu\nevents %llu\nseconds %.1f\nevents/s %.0f\n", (unsigned long long)seed, (unsigned long long)t->walks,
           (unsigned long long)s->events, seconds, (double)s->events / (seconds > 0 ? seconds : 1));
    printf("final %llu blocks %llu views %llu timeouts %llu epochs %llu\n", (unsigned long long)s->finals, (unsigned long long)s->blocks,
           (unsigned long long)s->views, (unsigned long long)s->timeouts, (unsigned long long)s->config_blocks);
    printf("faults: lost %llu duplicated %llu delayed %llu crashes %llu unsynced-lost %llu restarts %llu partitions %llu\n",
           (unsigned long long)s->lost, (unsigned long long)s->duplicated, (unsigned long long)s->delayed, (unsigned long long)s->crashes,
           (unsigned long long)s->unsynced_lost, (unsigned long long)s->restarts, (unsigned long long)s->partitions);
    printf("lies: messages %llu forged-timeouts %llu refused %llu equivocations-seen %llu honest-leaders-timed-out %llu\n",
           (unsigned long long)s->lies, (unsigned long long)s->forged_timeouts, (unsigned long long)s->refused,
           (unsigned long long)s->equivocations, (unsigned long long)s->honest_deposed);
    printf("trace %016llx\n", (unsigned long long)t->trace);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"seed", 1, NULL, 's'},  {"events", 1, NULL, 'e'},  {"walk-events", 1, NULL, 'w'},
                                            {"n", 1, NULL, 'n'},     {"liars", 1, NULL, 'l'},   {"calm", 0, NULL, 'c'},
                                            {"configs", 0, NULL, 'g'}, {"all-signatures", 0, NULL, 'a'}, {"verbose", 0, NULL, 'v'},
                                            {"help", 0, NULL, 'h'},  {NULL, 0, NULL, 0}};
    uint64_t seed = (uint64_t)time(NULL), events = 1000000, walk_events = 50000;
    long n = 0, liars = -1;
    bool calm = false, configs = false, verbose = false;
    uint32_t verify_every = 64;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's': seed = strtoull(optarg, NULL, 0); break;
        case 'e': events = strtoull(optarg, NULL, 0); break;
        case 'w': walk_events = strtoull(optarg, NULL, 0); break;
        case 'n': n = strtol(optarg, NULL, 0); break;
        case 'l': liars = strtol(optarg, NULL, 0); break;
        case 'c': calm = true; break;
        case 'g': configs = true; break;
        case 'a': verify_every = 1; break;
        case 'v': verbose = true; break;
        case 'h': usage(); return 0;
        default: usage(); return 2;
        }
    }
    if ((n != 0 && (n < 4 || n > 8)) || walk_events == 0) {
        usage();
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    struct sim_world *world = malloc(sizeof *world);
    CHECK(world != NULL);
    struct totals totals = {.trace = 0};
    double begin = seconds_now();
    for (uint64_t i = 0; totals.stats.events < events; i++) {
        struct sim_config config = {.seed = seed + i, .events = walk_events, .calm = calm, .verbose = verbose, .verify_every = verify_every};
        config.n = n != 0 ? (uint32_t)n : (uint32_t)(4 + (seed + i) % 4);
        config.liars = liars >= 0 ? (uint32_t)liars : bft_faults(config.n);
        config.configs = configs || (!calm && (seed + i) % 3 == 0);
        config.liars_lead_on = !calm && (seed + i) / 4 % 2 != 0;
        config.nodes = config.n + (config.configs ? 2 : 0);
        config.rotation_blocks = calm ? 1000000 : (seed + i) % 5 == 0 ? 16 : 1000000;
        if (config.liars > bft_faults(config.n)) config.liars = bft_faults(config.n);
        walk(world, &config, &totals);
    }
    report(&totals, seed, seconds_now() - begin);
    free(world);
    return 0;
}
