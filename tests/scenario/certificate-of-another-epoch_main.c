/*
 * The members certified a block of this height that here only one member was shown, in an epoch that never began here (B-5, B-75): nothing in a
 * message of another epoch is believed.
 */
#include "tests/scenario/scenario.h"

static void forge(struct scenario *s, struct bft_qc *qc) {
    qc->ballot.place.epoch++;
    scenario_certify(s, 0, 7, qc);
}

int main(int argc, char **argv) {
    return scenario_false_certificate(argc, argv, "B-5, B-75", forge);
}
