/* A leader proposes for the next epoch (B-20, B-75): nothing of it is believed. */
#include "tests/scenario/scenario.h"

static void alter(struct bft_header *header) {
    header->place.epoch++;
}

static void judge(struct scenario *s) {
    scenario_must(s, scenario_attacks(s, 0, ATTACK_BAD_PROPOSAL) == 0, "nobody so much as looks at it");
    scenario_must(s, scenario_view(s, 0) > 0, "it is replaced");
}

int main(int argc, char **argv) {
    return scenario_false_leader(argc, argv, "B-20, B-75", alter, judge);
}
