/* heraclius bench: options, progress, DIR/summary.json. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/bench.h"
#include "client/command.h"
#include "ring/entropy.h"

static struct {
    int users, seconds, value_bytes, ops_per_signature, client_keys, load, warmup_ms;
    long long keys;
    const char *mix, *seed, *history, *out;
} arguments = {
    .users = 1024, .seconds = 10, .value_bytes = 32, .ops_per_signature = 256, .client_keys = 4, .warmup_ms = 500, .keys = 10000, .mix = "get"};

static struct poptOption common_options[COMMAND_OPTIONS_MAX];

static struct poptOption bench_options[] = {
    {"users", 0, POPT_ARG_INT, &arguments.users, 0, "virtual users, each with one operation under way (default 1024)", "N"},
    {"seconds", 0, POPT_ARG_INT, &arguments.seconds, 0, "measured time (default 10)", "S"},
    {"warmup-ms", 0, POPT_ARG_INT, &arguments.warmup_ms, 0, "not measured before it (default 500)", "MS"},
    {"mix", 0, POPT_ARG_STRING, &arguments.mix, 0, "get, put, or READS:WRITES such as 90:10 (default get)", "MIX"},
    {"keys", 0, POPT_ARG_LONGLONG, &arguments.keys, 0, "how many random 32-byte keys (default 10000)", "K"},
    {"value-bytes", 0, POPT_ARG_INT, &arguments.value_bytes, 0, "length of the values (default 32)", "B"},
    {"ops-per-signature", 0, POPT_ARG_INT, &arguments.ops_per_signature, 0, "writes that share a signature at most (default 256)", "M"},
    {"client-keys", 0, POPT_ARG_INT, &arguments.client_keys, 0, "clients bench-0.key ... beside the system file (default 4)", "C"},
    {"load", 0, POPT_ARG_NONE, &arguments.load, 0, "write all keys once before", NULL},
    {"seed", 0, POPT_ARG_STRING, &arguments.seed, 0, "of keys, values and choices (default: random, printed)", "X"},
    {"history", 0, POPT_ARG_STRING, &arguments.history, 0, "every call and return, one JSON object a line", "FILE"},
    {"out", 0, POPT_ARG_STRING, &arguments.out, 0, "folder for summary.json", "DIR"},
    {NULL, 0, POPT_ARG_INCLUDE_TABLE, common_options, 0, "Options:", NULL},
    POPT_AUTOHELP POPT_TABLEEND};

static bool mix_parse(const char *mix, struct bench_options *options) {
    options->reads = strcmp(mix, "get") == 0;
    options->writes = strcmp(mix, "put") == 0;
    if (options->reads || options->writes) return true;
    char end;
    return sscanf(mix, "%" SCNu32 ":%" SCNu32 "%c", &options->reads, &options->writes, &end) == 2 && options->reads <= 1000000 &&
           options->writes <= 1000000 && options->reads + options->writes > 0;
}

static bool within(const char *name, long long value, long long lowest, long long highest) {
    if (value >= lowest && value <= highest) return true;
    (void)command_fail(EXIT_USAGE, "bench: --%s is %lld to %lld", name, lowest, highest);
    return false;
}

static bool options_check(struct bench_options *options) {
    if (!arguments.out) {
        (void)command_fail(EXIT_USAGE, "bench: --out DIR is missing");
        return false;
    }
    if (!mix_parse(arguments.mix, options)) {
        (void)command_fail(EXIT_USAGE, "bench: --mix is get, put, or READS:WRITES");
        return false;
    }
    return within("users", arguments.users, 1, BENCH_USERS_MAX) && within("seconds", arguments.seconds, 1, 1000000) &&
           within("keys", arguments.keys, 1, INT64_C(1) << 32) && within("value-bytes", arguments.value_bytes, 1, HERACLIUS_VALUE_BYTES_MAX) &&
           within("ops-per-signature", arguments.ops_per_signature, 1, 65536) &&
           within("client-keys", arguments.client_keys, 1, BENCH_CLIENT_KEYS_MAX) && within("warmup-ms", arguments.warmup_ms, 0, 1000000);
}

static json_t *summary(const struct bench_options *options, const struct bench_totals *totals) {
    const struct bench_histogram *latency = &totals->latency_us;
    double ops = (double)(totals->reads + totals->writes);
    json_t *latencies = json_pack("{sIsIsIsIsI}", "p50", (json_int_t)bench_histogram_quantile(latency, 500000), "p90",
                                  (json_int_t)bench_histogram_quantile(latency, 900000), "p99", (json_int_t)bench_histogram_quantile(latency, 990000),
                                  "p999", (json_int_t)bench_histogram_quantile(latency, 999000), "max", (json_int_t)latency->highest);
    char seed[32];
    snprintf(seed, sizeof seed, "%" PRIu64, options->seed);
    return json_pack("{sfsIsIsIsIsIsIsIsIsosisfsssIsisisiss}", "ops_per_second", totals->seconds > 0 ? ops / totals->seconds : 0.0, "reads",
                     (json_int_t)totals->reads, "writes", (json_int_t)totals->writes, "hits", (json_int_t)totals->hits, "absent",
                     (json_int_t)totals->absent, "busy", (json_int_t)totals->busy, "errors", (json_int_t)totals->errors, "verification_failures",
                     (json_int_t)totals->verification_failures, "resends", (json_int_t)totals->resends, "latency_us", latencies, "users",
                     (int)options->users, "seconds", totals->seconds, "seed", seed, "keys", (json_int_t)options->keys, "value_bytes",
                     (int)options->value_bytes, "ops_per_signature", (int)options->ops_per_signature, "client_keys", (int)options->client_keys, "mix",
                     arguments.mix);
}

static int finish(const struct bench_options *options, const struct bench_totals *totals) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/summary.json", arguments.out);
    json_t *object = summary(options, totals);
    int exit_code = EXIT_DONE;
    if (!object || json_dump_file(object, path, JSON_INDENT(2) | JSON_SORT_KEYS) != 0)
        exit_code = command_fail(EXIT_USAGE, "%s: cannot be written", path);
    if (object && command_options.json) {
        command_print_json(object);
    } else if (object) {
        printf("%.0f ops/s verified, p50 %" PRIu64 " us, p99 %" PRIu64 " us, hits %" PRIu64 ", absent %" PRIu64 ", busy %" PRIu64 ", errors %" PRIu64
               ", verification failures %" PRIu64 ", seed %" PRIu64 ": %s\n",
               json_real_value(json_object_get(object, "ops_per_second")), bench_histogram_quantile(&totals->latency_us, 500000),
               bench_histogram_quantile(&totals->latency_us, 990000), totals->hits, totals->absent, totals->busy, totals->errors,
               totals->verification_failures, options->seed, path);
        json_decref(object);
    }
    if (exit_code == EXIT_DONE && (totals->errors || totals->verification_failures)) exit_code = EXIT_NO;
    return exit_code;
}

static int run(void) {
    struct bench_options options = {.users = (uint32_t)arguments.users,
                                    .seconds = (uint32_t)arguments.seconds,
                                    .keys = (uint64_t)arguments.keys,
                                    .value_bytes = (uint32_t)arguments.value_bytes,
                                    .ops_per_signature = (uint32_t)arguments.ops_per_signature,
                                    .client_keys = (uint32_t)arguments.client_keys,
                                    .load = arguments.load != 0,
                                    .warmup_ms = (uint32_t)arguments.warmup_ms};
    if (!options_check(&options)) return EXIT_USAGE;
    char *end = NULL;
    options.seed = arguments.seed ? strtoull(arguments.seed, &end, 0) : ring_entropy_u64() >> 11;
    if (arguments.seed && (end == arguments.seed || *end)) return command_fail(EXIT_USAGE, "bench: --seed is a whole number");
    command_options.name = "bench";
    if (!command_find_system(&command_options)) return EXIT_USAGE;
    options.system_path = command_options.system_path;
    options.client_path = command_options.client_path;
    if (mkdir(arguments.out, 0777) != 0 && errno != EEXIST) return command_fail(EXIT_USAGE, "%s: %s", arguments.out, strerror(errno));
    if (arguments.history) {
        options.history = fopen(arguments.history, "w");
        if (!options.history) return command_fail(EXIT_USAGE, "%s: %s", arguments.history, strerror(errno));
    }
    fprintf(stderr, "heraclius bench: seed %" PRIu64 "\n", options.seed);
    static struct bench_totals totals;
    int exit_code;
    bool ran = bench_run(&options, &totals, &exit_code);
    if (options.history && fclose(options.history) != 0) exit_code = command_fail(EXIT_USAGE, "%s: %s", arguments.history, strerror(errno));
    return ran ? finish(&options, &totals) : exit_code;
}

int command_bench(int argc, const char **argv) {
    command_options_of(COMMAND_BENCH, common_options);
    poptContext context = poptGetContext("heraclius", argc, argv, bench_options, 0);
    poptSetOtherOptionHelp(context, "bench --out DIR");
    int found = poptGetNextOpt(context);
    if (found < -1)
        return command_fail(EXIT_USAGE, "%s: %s (bench --help tells more)", poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(found));
    const char **words = poptGetArgs(context);
    if (!words || !words[0] || words[1]) return command_fail(EXIT_USAGE, "usage: heraclius bench --out DIR [OPTIONS] (--help lists them)");
    return run();
}
