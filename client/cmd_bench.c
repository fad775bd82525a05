/* heraclius bench: options, progress, what is told at the end and, with --out, kept in DIR/summary.json. */
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
    long long keys, rate;
    double zipf;
    const char *mix, *arrivals, *seed, *history, *series, *out;
    bool rate_given, zipf_given;
} arguments = {
    .users = 1024, .seconds = 10, .value_bytes = 32, .ops_per_signature = 256, .client_keys = 4, .warmup_ms = 500, .keys = 10000, .mix = "get"};

enum { OPTION_RATE = 1, OPTION_ZIPF, MIX_PARTS_MAX = 1000000 };

static struct poptOption common_options[COMMAND_OPTIONS_MAX];

static struct poptOption bench_options[] = {
    {"users", 0, POPT_ARG_INT, &arguments.users, 0, "virtual users, each with one operation under way (default 1024)", "N"},
    {"rate", 0, POPT_ARG_LONGLONG, &arguments.rate, OPTION_RATE, "open loop: so many operations a second, each late from when it was due", "R"},
    {"arrivals", 0, POPT_ARG_STRING, &arguments.arrivals, 0, "with --rate: even (default), or poisson, by the seed", "HOW"},
    {"seconds", 0, POPT_ARG_INT, &arguments.seconds, 0, "measured time (default 10)", "S"},
    {"warmup-ms", 0, POPT_ARG_INT, &arguments.warmup_ms, 0, "not measured before it (default 500)", "MS"},
    {"mix", 0, POPT_ARG_STRING, &arguments.mix, 0, "get, put, 90:10, or such as get=80,put=10,cas=4,add=3,del=3 (default get)", "MIX"},
    {"zipf", 0, POPT_ARG_DOUBLE, &arguments.zipf, OPTION_ZIPF, "keys by Zipf's law with this exponent, below 2 (default: all alike)", "S"},
    {"keys", 0, POPT_ARG_LONGLONG, &arguments.keys, 0, "how many random 32-byte keys (default 10000)", "K"},
    {"value-bytes", 0, POPT_ARG_INT, &arguments.value_bytes, 0, "length of the values (default 32)", "B"},
    {"ops-per-signature", 0, POPT_ARG_INT, &arguments.ops_per_signature, 0, "writes that share a signature at most (default 256)", "M"},
    {"client-keys", 0, POPT_ARG_INT, &arguments.client_keys, 0, "clients bench-0.key ... beside the system file (default 4)", "C"},
    {"load", 0, POPT_ARG_NONE, &arguments.load, 0, "write all keys once before", NULL},
    {"seed", 0, POPT_ARG_STRING, &arguments.seed, 0, "of keys, values and choices (default: random, printed)", "X"},
    {"history", 0, POPT_ARG_STRING, &arguments.history, 0, "every call and return, one JSON object a line", "FILE"},
    {"series", 0, POPT_ARG_STRING, &arguments.series, 0, "a line of figures each second, as CSV", "FILE"},
    {"out", 0, POPT_ARG_STRING, &arguments.out, 0, "folder for summary.json (default: none is written)", "DIR"},
    {NULL, 0, POPT_ARG_INCLUDE_TABLE, common_options, 0, "Options:", NULL},
    POPT_AUTOHELP POPT_TABLEEND};

/* KIND=PARTS,KIND=PARTS,... False: not that. */
static bool mix_list_parse(const char *mix, uint32_t weights[BENCH_KINDS]) {
    bool named[BENCH_KINDS] = {false};
    for (const char *at = mix;; at++) {
        int kind = 0;
        size_t name = strcspn(at, "=");
        while (kind < BENCH_KINDS && (strlen(bench_kind_names[kind]) != name || memcmp(at, bench_kind_names[kind], name) != 0)) kind++;
        if (kind == BENCH_KINDS || named[kind] || at[name] != '=') return false;
        named[kind] = true;
        at += name + 1;
        size_t digits = strspn(at, "0123456789");
        if (digits < 1 || digits > 7) return false;
        weights[kind] = (uint32_t)strtoul(at, NULL, 10);
        at += digits;
        if (*at == 0) return true;
        if (*at != ',') return false;
    }
}

static bool mix_parse(const char *mix, uint32_t weights[BENCH_KINDS]) {
    char end;
    memset(weights, 0, BENCH_KINDS * sizeof *weights);
    for (int kind = BENCH_GET; kind <= BENCH_PUT; kind++) weights[kind] = strcmp(mix, bench_kind_names[kind]) == 0;
    if (weights[BENCH_GET] || weights[BENCH_PUT]) return true;
    bool parsed = strchr(mix, '=') ? mix_list_parse(mix, weights)
                                   : sscanf(mix, "%7" SCNu32 ":%7" SCNu32 "%c", &weights[BENCH_GET], &weights[BENCH_PUT], &end) == 2;
    uint64_t sum = 0;
    for (int kind = 0; kind < BENCH_KINDS; kind++) {
        sum += weights[kind];
        if (weights[kind] > MIX_PARTS_MAX) return false;
    }
    return parsed && sum > 0;
}

static bool within(const char *name, long long value, long long lowest, long long highest) {
    if (value >= lowest && value <= highest) return true;
    (void)command_fail(EXIT_USAGE, "bench: --%s is %lld to %lld", name, lowest, highest);
    return false;
}

static bool wrong(const char *text) {
    (void)command_fail(EXIT_USAGE, "bench: %s", text);
    return false;
}

/* What must fit what else is wanted. */
static bool options_fit(const struct bench_options *options) {
    bool short_value = arguments.value_bytes < BENCH_SEQ_VALUE_BYTES;
    if (arguments.arrivals && !arguments.rate_given) return wrong("--arrivals says how the operations of --rate come: give --rate R too");
    if (arguments.arrivals && strcmp(arguments.arrivals, "even") != 0 && strcmp(arguments.arrivals, "poisson") != 0)
        return wrong("--arrivals is even or poisson");
    if (short_value && (options->weights[BENCH_CAS] > 0 || arguments.history))
        return wrong("a cas in the mix, or --history, tells writes apart by their values: --value-bytes is 8 or more with them");
    return true;
}

static bool options_check(struct bench_options *options) {
    if (!mix_parse(arguments.mix, options->weights)) {
        return wrong("--mix is get, put, READS:WRITES, or a list of KIND=PARTS with commas between, each of get, put, cas, add, del once; parts "
                     "are 0 to 1000000, and not all 0");
    }
    if (arguments.zipf_given && !(arguments.zipf > 0 && arguments.zipf < 2)) return wrong("--zipf is above 0 and below 2; 0.99 is the usual one");
    return within("users", arguments.users, 1, BENCH_USERS_MAX) && within("seconds", arguments.seconds, 1, 1000000) &&
           within("keys", arguments.keys, 1, INT64_C(1) << 32) && within("value-bytes", arguments.value_bytes, 1, HERACLIUS_VALUE_BYTES_MAX) &&
           within("ops-per-signature", arguments.ops_per_signature, 1, 65536) &&
           within("client-keys", arguments.client_keys, 1, BENCH_CLIENT_KEYS_MAX) && within("warmup-ms", arguments.warmup_ms, 0, 1000000) &&
           (!arguments.rate_given || within("rate", arguments.rate, 1, BENCH_RATE_MAX)) && options_fit(options);
}

/* Its members go into `object`. */
static bool summary_add(json_t *object, json_t *members) {
    bool added = members && json_object_update(object, members) == 0;
    json_decref(members);
    return added;
}

static json_t *latencies(const struct bench_histogram *latency) {
    return json_pack("{sIsIsIsIsI}", "p50", (json_int_t)bench_histogram_quantile(latency, 500000), "p90",
                     (json_int_t)bench_histogram_quantile(latency, 900000), "p99", (json_int_t)bench_histogram_quantile(latency, 990000), "p999",
                     (json_int_t)bench_histogram_quantile(latency, 999000), "max", (json_int_t)latency->highest);
}

/* What was asked for. */
static json_t *summary_options(const struct bench_options *options) {
    char seed[32];
    snprintf(seed, sizeof seed, "%" PRIu64, options->seed);
    return json_pack("{sisssIsisisisssIsssf}", "users", (int)options->users, "seed", seed, "keys", (json_int_t)options->keys, "value_bytes",
                     (int)options->value_bytes, "ops_per_signature", (int)options->ops_per_signature, "client_keys", (int)options->client_keys, "mix",
                     arguments.mix, "rate", (json_int_t)options->rate, "arrivals", options->poisson ? "poisson" : "even", "zipf", options->zipf);
}

/* What was seen. */
static json_t *summary(const struct bench_options *options, const struct bench_totals *totals) {
    json_t *object = json_object(), *kinds = json_object();
    uint64_t ops = 0;
    bool good = object && kinds;
    for (int kind = 0; good && kind < BENCH_KINDS; kind++) {
        ops += totals->ops[kind];
        good = json_object_set_new(kinds, bench_kind_names[kind], json_integer((json_int_t)totals->ops[kind])) == 0;
    }
    double per_second = totals->seconds > 0 ? 1 / totals->seconds : 0;
    json_t *members = json_pack("{sfsfsIsfsosIsIsIsIsIsIsIsIsIsI}", "ops_per_second", (double)ops * per_second, "offered_per_second",
                                (double)totals->due * per_second, "started_late", (json_int_t)totals->started_late, "seconds", totals->seconds, "ops",
                                kinds, "reads", (json_int_t)totals->ops[BENCH_GET], "writes", (json_int_t)(ops - totals->ops[BENCH_GET]), "hits",
                                (json_int_t)totals->hits, "absent", (json_int_t)totals->absent, "cas_failed", (json_int_t)totals->cas_failed,
                                "cas_reads", (json_int_t)totals->cas_reads, "busy", (json_int_t)totals->busy, "errors", (json_int_t)totals->errors,
                                "verification_failures", (json_int_t)totals->verification_failures, "resends", (json_int_t)totals->resends);
    good = good && summary_add(object, members) && summary_add(object, summary_options(options)) &&
           summary_add(object, json_pack("{sosfsfsI}", "latency_us", latencies(&totals->latency_us), "client_cpu_user_s", totals->cpu_user_s,
                                         "client_cpu_system_s", totals->cpu_system_s, "client_rss_bytes", (json_int_t)totals->rss_bytes));
    if (good) return object;
    json_decref(object);
    return NULL;
}

static int finish(const struct bench_options *options, const struct bench_totals *totals) {
    char path[PATH_MAX] = "";
    if (arguments.out) snprintf(path, sizeof path, "%s/summary.json", arguments.out);
    json_t *object = summary(options, totals);
    int exit_code = object ? EXIT_DONE : command_fail(EXIT_USAGE, "bench: no memory for the summary");
    if (object && *path && json_dump_file(object, path, JSON_INDENT(2) | JSON_SORT_KEYS) != 0)
        exit_code = command_fail(EXIT_USAGE, "%s: cannot be written", path);
    if (object && command_options.json) {
        command_print_json(object);
    } else if (object) {
        printf("%.0f ops/s verified, p50 %" PRIu64 " us, p99 %" PRIu64 " us, hits %" PRIu64 ", absent %" PRIu64 ", busy %" PRIu64 ", errors %" PRIu64
               ", verification failures %" PRIu64 ", seed %" PRIu64 "%s%s\n",
               json_real_value(json_object_get(object, "ops_per_second")), bench_histogram_quantile(&totals->latency_us, 500000),
               bench_histogram_quantile(&totals->latency_us, 990000), totals->hits, totals->absent, totals->busy, totals->errors,
               totals->verification_failures, options->seed, *path ? ": " : "", path);
        json_decref(object);
    }
    if (!options->load && totals->hits == 0 && totals->absent > 0)
        fputs("heraclius bench: none of the keys is there: keys come from the seed; give --seed of the run that loaded them, or --load in this one\n",
              stderr);
    if (exit_code == EXIT_DONE && (totals->errors || totals->verification_failures)) exit_code = EXIT_NO;
    return exit_code;
}

/* No path: nothing. False after a line on stderr. */
static bool file_open(const char *path, FILE **file) {
    *file = path ? fopen(path, "w") : NULL;
    if (path && !*file) (void)command_fail(EXIT_USAGE, "%s: %s", path, strerror(errno));
    return !path || *file;
}

static bool file_close(const char *path, FILE *file) {
    if (!file) return true;
    bool good = !ferror(file);
    good = fclose(file) == 0 && good;
    if (!good) (void)command_fail(EXIT_USAGE, "%s: could not be written whole: is the disk full?", path);
    return good;
}

static int run(void) {
    struct bench_options options = {.users = (uint32_t)arguments.users,
                                    .seconds = (uint32_t)arguments.seconds,
                                    .keys = (uint64_t)arguments.keys,
                                    .value_bytes = (uint32_t)arguments.value_bytes,
                                    .ops_per_signature = (uint32_t)arguments.ops_per_signature,
                                    .client_keys = (uint32_t)arguments.client_keys,
                                    .load = arguments.load != 0,
                                    .warmup_ms = (uint32_t)arguments.warmup_ms,
                                    .rate = (uint64_t)arguments.rate,
                                    .poisson = arguments.arrivals && strcmp(arguments.arrivals, "poisson") == 0,
                                    .zipf = arguments.zipf};
    if (!options_check(&options)) return EXIT_USAGE;
    char *end = NULL;
    options.seed = arguments.seed ? strtoull(arguments.seed, &end, 0) : ring_entropy_u64() >> 11;
    if (arguments.seed && (end == arguments.seed || *end)) return command_fail(EXIT_USAGE, "bench: --seed is a whole number");
    command_options.name = "bench";
    if (!command_find_system(&command_options)) return EXIT_USAGE;
    options.system_path = command_options.system_path;
    options.client_path = command_options.client_path;
    if (arguments.out && mkdir(arguments.out, 0777) != 0 && errno != EEXIST)
        return command_fail(EXIT_USAGE, "%s: %s", arguments.out, strerror(errno));
    if (!file_open(arguments.history, &options.history) || !file_open(arguments.series, &options.series)) return EXIT_USAGE;
    fprintf(stderr, "heraclius bench: seed %" PRIu64 "\n", options.seed);
    static struct bench_totals totals;
    int exit_code;
    bool ran = bench_run(&options, &totals, &exit_code);
    bool kept = file_close(arguments.history, options.history);
    kept = file_close(arguments.series, options.series) && kept;
    if (!ran) return exit_code;
    exit_code = finish(&options, &totals);
    return kept ? exit_code : EXIT_USAGE;
}

int command_bench(int argc, const char **argv) {
    command_options_of(COMMAND_BENCH, common_options);
    poptContext context = poptGetContext("heraclius", argc, argv, bench_options, 0);
    poptSetOtherOptionHelp(context, "bench [OPTIONS]");
    int found;
    while ((found = poptGetNextOpt(context)) > 0) {
        arguments.rate_given = arguments.rate_given || found == OPTION_RATE;
        arguments.zipf_given = arguments.zipf_given || found == OPTION_ZIPF;
    }
    if (found < -1)
        return command_fail(EXIT_USAGE, "%s: %s (bench --help tells more)", poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(found));
    const char **words = poptGetArgs(context);
    if (!words || !words[0] || words[1]) return command_fail(EXIT_USAGE, "usage: heraclius bench [OPTIONS] (--help lists them)");
    return run();
}
