/* Random walks of the whole system on one seed (tests/sim/sys.h). `sim_system --help` lists the options. */
#include <getopt.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/sim/sys.h"

enum { WALK_EVENTS = 200000 };

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of all walks, user and system: what the machine's other work does not change. */
static double cpu_seconds(void) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_CHILDREN, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void usage(void) {
    puts("usage: sim_system [--seed S] [--events E] [--duration SECONDS] [--walk SEED] [--walk-events W] [--plant CHECK] [--trace FILE] "
         "[--with FAULT] [--without FAULT] [--no-shrink]\n"
         "Walks of W events (default 200000) and a liveness phase each, until E events (default 1000000) or SECONDS are over. --walk runs the one "
         "walk of\n"
         "that seed, as a failure names it; --trace writes what happened in it. --plant makes one checker fire, to show that it does.\n"
         "--with has one kind of fault in every walk, --without leaves it out, by the name that the report has for it.\n"
         "A violation is told with the walk's seed, made smaller, traced, and exits with 1.");
}

struct run {
    uint64_t seed, events, walk_events, walk, duration;
    bool has_walk, shrink;
    enum sys_check plant;
    uint32_t with, without; /* by bit of enum sys_fault */
    const char *trace;
};

static enum sys_check check_named(const char *name) {
    for (int i = 0; i < SYS_CHECK_COUNT; i++) {
        if (strcmp(sys_check_name((enum sys_check)i), name) == 0) return (enum sys_check)i;
    }
    return SYS_CHECK_COUNT;
}

/* 0: there is none of this name. */
static uint32_t fault_named(const char *name) {
    for (int i = 0; i < SYS_FAULT_COUNT; i++) {
        if (strcmp(sys_fault_name((enum sys_fault)i), name) == 0) return 1u << i;
    }
    return 0;
}

static bool options_read(int argc, char **argv, struct run *run) {
    static const struct option options[] = {{"seed", 1, NULL, 's'},  {"events", 1, NULL, 'e'}, {"duration", 1, NULL, 'd'},
                                            {"walk", 1, NULL, 'w'},  {"plant", 1, NULL, 'p'},  {"walk-events", 1, NULL, 'v'},
                                            {"with", 1, NULL, 'i'},  {"without", 1, NULL, 'o'}, {"trace", 1, NULL, 't'},
                                            {"no-shrink", 0, NULL, 'n'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
    *run = (struct run){.seed = 1, .events = 1000000, .walk_events = WALK_EVENTS, .shrink = true};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's': run->seed = strtoull(optarg, NULL, 0); break;
        case 'e': run->events = strtoull(optarg, NULL, 0); break;
        case 'd':
            run->duration = strtoull(optarg, NULL, 0);
            run->events = UINT64_MAX;
            break;
        case 'w':
            run->walk = strtoull(optarg, NULL, 0);
            run->has_walk = true;
            break;
        case 'v': run->walk_events = strtoull(optarg, NULL, 0); break;
        case 'p': run->plant = check_named(optarg); break;
        case 'i':
            if (fault_named(optarg) == 0) return false;
            run->with |= fault_named(optarg);
            break;
        case 'o':
            if (fault_named(optarg) == 0) return false;
            run->without |= fault_named(optarg);
            break;
        case 't': run->trace = optarg; break;
        case 'n': run->shrink = false; break;
        default: return false;
        }
    }
    return run->plant != SYS_CHECK_COUNT;
}

static void failed(const struct run *run, const struct sys_config *config, const struct sys_result *result) {
    printf("VIOLATION in walk %llu at event %llu: %s: %s\n", (unsigned long long)config->seed, (unsigned long long)result->failed_event,
           sys_check_name(result->check), result->text);
    sys_config_print(stdout, config);
    printf("again: sim_system --walk %llu --walk-events %llu --trace FILE\n", (unsigned long long)config->seed, (unsigned long long)run->walk_events);
    if (!run->shrink) return;
    char path[128];
    snprintf(path, sizeof path, "sim-%llu.trace", (unsigned long long)config->seed);
    sys_walk_shrink(config, result, run->trace != NULL ? run->trace : path);
}

int main(int argc, char **argv) {
    struct run run;
    if (!options_read(argc, argv, &run)) {
        usage();
        return 2;
    }
    struct sys_result *result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static struct sys_stats sum;
    CHECK(result != MAP_FAILED);
    uint64_t walks = 0, real = 0, trace = 0;
    double began = seconds_now();
    bool bad = false;
    while (!bad && sum.events < run.events && (run.duration == 0 || seconds_now() - began < (double)run.duration)) {
        struct sys_config config;
        uint64_t seed = run.has_walk ? run.walk : keyed_siphash(run.seed, walks, "walk", 4) >> 1;
        sys_walk_config(seed, run.walk_events, run.plant, &config);
        config.faults = (config.faults | run.with) & ~run.without;
        config.trace = run.has_walk ? run.trace : NULL;
        bad = sys_walk(&config, result) != 0;
        if (bad) failed(&run, &config, result);
        sys_stats_add(&sum, &result->stats);
        trace = keyed_siphash(trace, result->trace_hash, "walk", 4);
        walks++;
        real += config.real_keys;
        if (run.has_walk) break;
    }
    double seconds = seconds_now() - began, cpu = cpu_seconds();
    printf("seed %llu\nwalks %llu, %llu of them with Ed25519\nevents %llu\nseconds %.1f, on the CPU %.1f\nevents/s %.0f, per second of CPU %.0f\n",
           (unsigned long long)run.seed, (unsigned long long)walks, (unsigned long long)real, (unsigned long long)sum.events, seconds, cpu,
           (double)sum.events / (seconds > 0 ? seconds : 1), (double)sum.events / (cpu > 0 ? cpu : 1));
    sys_stats_print(&sum);
    printf("trace %016llx\n", (unsigned long long)trace);
    return bad ? 1 : 0;
}
