/*
 * A leader shows one member another block than the rest, with a commit certificate of its own vote alone, three times (B-6): q votes are of q
 * members.
 */
#include "tests/scenario/scenario.h"

static void forge(struct scenario *s, struct bft_qc *qc) {
    scenario_certify(s, 0, 1u << 0, qc);
    for (; qc->count < 3; qc->count++) {
        qc->signers[qc->count] = qc->signers[0];
        qc->signatures[qc->count] = qc->signatures[0];
    }
}

int main(int argc, char **argv) {
    return scenario_false_certificate(argc, argv, "B-6", forge);
}
