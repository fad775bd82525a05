/*
 * Three sites, round trips of 40 ms between them, default time-outs (B-36): no false view change; first, which is worse, with every node and the
 * client at a site of its own. --long: then ten minutes of load that comes and goes, after which nobody may have been accused either, and half of
 * the GETs were answered within 400 ms.
 */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

enum { SITES = 3, MINUTES = 10, GETS_MAX = 4096, GETS_OF_ROUND = 12, ROUND_MS = 4000, CROWD = 24, GET_P50_MS = 400 };

static uint64_t get_ms[GETS_MAX];
static uint32_t gets;

static void get_timed(struct scenario *s) {
    uint64_t began_us = s->world->now_us;
    struct scenario_answer answer = scenario_ask(s->world, SCENARIO_GET, "far", NULL, 0, 20000);
    scenario_must(s, answer.has_value && strcmp(answer.value, "away") == 0, "a GET is answered");
    if (gets < GETS_MAX) get_ms[gets++] = (s->world->now_us - began_us) / 1000; /* and up to 25 ms in which this script and the client look up */
}

static int shorter(const void *a, const void *b) {
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* A view ends by rotation (B-53) alone, and nobody names an attack. */
static void all_was_quiet(struct scenario *s) {
    for (uint32_t cluster = 0; cluster < 2; cluster++) {
        uint64_t turns = scenario_height(s, cluster) / s->config.rotation_blocks;
        scenario_must(s, scenario_view(s, cluster) <= turns, "nobody gave a view up but to rotate");
        for (uint32_t attack = 0; attack < STATUS_ATTACK_COUNT; attack++)
            scenario_must(s, scenario_attacks(s, cluster, (enum status_attack)attack) == 0, "nobody is accused");
    }
}

static void ten_minutes(struct scenario *s) {
    uint64_t end_us = s->world->now_us + UINT64_C(60000000) * MINUTES, answered = 0;
    s->world->sites = SITES;
    scenario_prefer(s->world, scenario_node(s, 0, 0)); /* which is near */
    scenario_put(s, "far", "away", 20000);
    for (uint32_t round = 0; s->world->now_us < end_us; round++) {
        answered += scenario_crowd(s->world, round % 3 == 0 ? CROWD : 1, ROUND_MS);
        for (int i = 0; i < GETS_OF_ROUND; i++) get_timed(s);
    }
    all_was_quiet(s);
    qsort(get_ms, gets, sizeof get_ms[0], shorter);
    printf("%u GETs, p50 %llu ms, p99 %llu ms; %llu writes; heights %llu and %llu; no false view change in %d minutes\n", gets,
           (unsigned long long)get_ms[gets / 2], (unsigned long long)get_ms[gets * 99 / 100], (unsigned long long)answered,
           (unsigned long long)scenario_height(s, 0), (unsigned long long)scenario_height(s, 1), MINUTES);
    (void)fflush(stdout);
    scenario_must(s, get_ms[gets / 2] < GET_P50_MS, "half of the GETs are answered in time");
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-36");
    s.config.view_base_ms = 1000;
    scenario_start(&s);
    s.world->delay_min_us = 20000;
    s.world->delay_max_us = 21000;
    scenario_load(&s, 40, 20000);
    scenario_must(&s, scenario_view(&s, 0) == 0 && scenario_view(&s, 1) == 0, "nobody gave a view up");
    if (argc > 1 && strcmp(argv[1], "--long") == 0) ten_minutes(&s);
    return scenario_end(&s);
}
