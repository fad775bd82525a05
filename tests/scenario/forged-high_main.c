/* A member states a high with a certificate of forged signatures (B-8): the TIMEOUT is refused and named. */
#include "tests/scenario/scenario.h"

enum { LIAR = 3 };

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-8");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_hook(&s, LIAR, (struct replica_hooks){0});
    static struct bft_message message;
    const struct replica *r = scenario_replica(&s, LIAR);
    message = (struct bft_message){.type = BFT_MESSAGE_TIMEOUT};
    message.timeout = (struct bft_timeout){.place = r->members.place, .view = r->core->memory.view, .signer = LIAR};
    message.timeout.qc = r->core->memory.high_qc;
    message.timeout.qc.ballot.height += 3;
    message.timeout.high.view = message.timeout.qc.ballot.view;
    message.timeout.high.block = (struct bft_point){.height = message.timeout.qc.ballot.height, .id = message.timeout.qc.ballot.block_id};
    for (int i = 0; i < 5; i++) {
        scenario_say(&s, LIAR, BFT_TO_ALL, &message);
        scenario_run(&s, 20);
    }
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_BAD_SIGNATURE) > 0, "it is named");
    scenario_load(&s, 5, 20000);
    return scenario_end(&s);
}
