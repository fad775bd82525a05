/* A member sends commit certificates with signatures of votes that nobody cast (B-6, B-26): nothing becomes final by them. */
#include "tests/scenario/scenario.h"

enum { LIAR = 3 };

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-6, B-26");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_hook(&s, LIAR, (struct replica_hooks){0});
    static struct bft_message message;
    message = (struct bft_message){.type = BFT_MESSAGE_QC, .qc = scenario_replica(&s, LIAR)->core->memory.high_qc};
    scenario_must(&s, message.qc.count == 3, "it has a certificate to begin with");
    message.qc.kind = BFT_COMMIT;
    message.qc.ballot.height++;
    message.qc.ballot.block_id.bytes[0] ^= 1;
    uint64_t height = scenario_height(&s, 0);
    for (int i = 0; i < 5; i++) {
        scenario_say(&s, LIAR, BFT_TO_ALL, &message);
        scenario_run(&s, 20);
    }
    scenario_must(&s, scenario_height(&s, 0) <= height + 3, "nothing became final by it");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_BAD_SIGNATURE) > 0, "it is named");
    return scenario_end(&s);
}
