/* One run of the model: prints one JSON object. `scale_model --help` lists the options; tests/model/README.md says what is modelled. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/model.h"

static void usage(FILE *to) {
    fputs("usage: scale_model --costs FILE [options]\n"
          "  --side N           clusters a side, 1 to 1024 (default 1)\n"
          "  --users U          virtual users per coordinator cluster (default 65536)\n"
          "  --value-bytes B    (default 32)\n"
          "  --policy P         ours or paper: every pair in every block, empty or not (default ours)\n"
          "  --routing R        group: a client sends to the coordinator cluster of the key's group; spread: to any\n"
          "                     (default: group, with the paper's policy spread)\n"
          "  --any SHARE        by group: of the operations go to any coordinator cluster, for any shard, in requests of their own (default 0)\n"
          "  --shared C         all on one machine of C CPUs; else each node and client has its own\n"
          "  --cores C          own machines: CPUs for what a node's main thread does (default 1, as it is one thread)\n"
          "  --set NAME=VALUE   a limit, time-out (protocol/system_limits.h) or cost\n"
          "  --lazy OPS:MS      prototype: a slice of fewer operations waits, so long at most, though nothing is in flight\n"
          "  --aggregate MS     prototype: one certificate for the blocks of all sources, so much later\n"
          "  --late             prototype: the next block is proposed when the one before is final\n"
          "  --clients M        prototype: each request is in truth M requests, of that many clients\n"
          "  --handles H --flights F --flight-ops N   the client's keys, requests under way of each, operations of each\n"
          "  --warm T --measured T   in turns of all users (default 3, 6)\n"
          "  --seconds-min S --seconds-max T   of the model's time: measured at least, in all at most (default 0, 600)\n"
          "  --seed S           (default 1)\n",
          to);
}

static bool number(const char *text, double lowest, double highest, double *value) {
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= lowest && *value <= highest;
}

static const struct option options[] = {{"costs", 1, NULL, 'c'},   {"side", 1, NULL, 'n'},    {"users", 1, NULL, 'u'},
                                        {"value-bytes", 1, NULL, 'b'},
                                        {"policy", 1, NULL, 'p'},  {"shared", 1, NULL, 's'},  {"cores", 1, NULL, 'C'},   {"set", 1, NULL, 'S'},
                                        {"lazy", 1, NULL, 'l'},    {"aggregate", 1, NULL, 'a'}, {"handles", 1, NULL, 'H'}, {"flights", 1, NULL, 'F'},
                                        {"flight-ops", 1, NULL, 'o'}, {"warm", 1, NULL, 'w'}, {"measured", 1, NULL, 'm'}, {"seed", 1, NULL, 'r'},
                                        {"seconds-max", 1, NULL, 'x'}, {"seconds-min", 1, NULL, 'y'}, {"clients", 1, NULL, 'M'},
                                        {"routing", 1, NULL, 'R'}, {"any", 1, NULL, 'A'},
                                        {"late", 0, NULL, 'L'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};

/* False: the value is out of range, or no such option. */
static bool option_take(struct model_setup *setup, int option, const char *text) {
    double value = 0;
    if (option == 'p') {
        setup->every_pair = strcmp(text, "paper") == 0;
        setup->limits.queue_policy = setup->every_pair;
        return setup->every_pair || strcmp(text, "ours") == 0;
    }
    if (option == 'l') {
        char *end;
        setup->lazy_ops = (uint32_t)strtoul(text, &end, 10);
        return *end == ':' && number(end + 1, 0, 1e6, &setup->lazy_ms);
    }
    double lowest = strchr("awAy", option) != NULL ? 0 : strchr("msCx", option) != NULL ? 0.01 : 1;
    double highest = option == 'n' ? MODEL_SIDE_MAX : option == 'A' ? 1 : option == 'H' || option == 'F' ? MODEL_FLIGHTS_MAX : 4e9;
    if (!number(text, lowest, highest, &value)) return false;
    switch (option) {
    case 'n': setup->side = (uint32_t)value; return true;
    case 'u': setup->users = (uint32_t)value; return true;
    case 'b': setup->value_bytes = (uint32_t)value; return true;
    case 's': setup->shared = true; setup->cores = value; return true;
    case 'C': setup->cores = value; return true;
    case 'A': setup->any_share = value; return true;
    case 'a': setup->aggregate_ms = value; return true;
    case 'H': setup->handles = (uint32_t)value; return true;
    case 'F': setup->flights = (uint32_t)value; return true;
    case 'o': setup->flight_ops = (uint32_t)value; return true;
    case 'w': setup->warm = value; return true;
    case 'M': setup->clients = (uint32_t)value; return true;
    case 'm': setup->measured = value; return true;
    case 'y': setup->seconds_min = value; return true;
    case 'x': setup->seconds_max = value; return true;
    case 'r': setup->seed = (uint64_t)value; return true;
    default: return false;
    }
}

int main(int argc, char **argv) {
    struct model_setup setup;
    char why[256];
    model_setup_default(&setup);
    const char *costs = NULL, *routing = NULL;
    for (int pass = 0; pass < 2; pass++) { /* --set comes after the file, wherever it stands */
        optind = 1;
        for (int option, at; (option = getopt_long(argc, argv, "", options, &at)) != -1;) {
            if (option == 'h') return usage(stdout), 0;
            if (option == '?') return usage(stderr), 2;
            if (option == 'c') {
                costs = optarg;
            } else if (option == 'S') {
                if (pass == 1 && !model_set(&setup, optarg, why)) return fprintf(stderr, "scale_model: %s\n", why), 2;
            } else if (option == 'L') {
                setup.late = true;
            } else if (option == 'R') {
                routing = optarg;
            } else if (!option_take(&setup, option, optarg)) {
                return fprintf(stderr, "scale_model: --%s %s: out of range, or no number\n", options[at].name, optarg), 2;
            }
        }
        if (pass == 0 && costs == NULL) return fprintf(stderr, "scale_model: --costs FILE is missing\n"), usage(stderr), 2;
        if (pass == 0 && !model_costs_load(costs, &setup.costs, why)) return fprintf(stderr, "scale_model: %s\n", why), 2;
    }
    if (model_keys(&setup) * setup.flights > MODEL_FLIGHTS_MAX)
        return fprintf(stderr, "scale_model: --handles (one more with --any) times --flights is more than %d\n", MODEL_FLIGHTS_MAX), 2;
    if (routing != NULL && strcmp(routing, "group") != 0 && strcmp(routing, "spread") != 0)
        return fprintf(stderr, "scale_model: --routing %s: neither group nor spread\n", routing), 2;
    setup.spread = routing == NULL ? setup.every_pair : strcmp(routing, "spread") == 0;
    if (setup.spread && setup.any_share > 0) return fprintf(stderr, "scale_model: --any: all operations go to any coordinator already\n"), 2;
    struct model *model = model_begin(&setup);
    const struct model_result *result = model_run(model);
    model_json_print(&setup, result);
    model_end(model);
    return 0;
}
