/* A leader leaves out a height (B-20): its blocks are no valid ones, nobody so much as executes them. */
#include "tests/scenario/scenario.h"

static void alter(struct bft_header *header) {
    header->height++;
}

static void judge(struct scenario *s) {
    scenario_must(s, scenario_attacks(s, 0, ATTACK_BAD_PROPOSAL) > 0, "they are named as what they are");
    scenario_must(s, scenario_view(s, 0) > 0, "it is replaced");
}

int main(int argc, char **argv) {
    return scenario_false_leader(argc, argv, "B-20", alter, judge);
}
