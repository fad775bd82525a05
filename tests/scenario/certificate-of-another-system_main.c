/*
 * The same keys serve another system (B-5, B-6), where a quorum certified a block of this height that here only one member was shown: what is signed
 * names the system, so the certificate is of no use here.
 */
#include "tests/scenario/scenario.h"

static void forge(struct scenario *s, struct bft_qc *qc) {
    qc->ballot.place.system_id[0] ^= 1;
    scenario_certify(s, 0, 7, qc);
}

int main(int argc, char **argv) {
    return scenario_false_certificate(argc, argv, "B-5, B-6", forge);
}
