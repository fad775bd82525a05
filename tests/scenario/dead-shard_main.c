/* A shard loses more nodes than it can spare: the other goes on, and nothing of it is lost (D-7). */
#include "tests/scenario/scenario.h"
#include "protocol/partition.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "D-7");
    s.config.shards = 2;
    scenario_start(&s);
    char there[32] = "", here[32] = "";
    for (uint32_t i = 0; here[0] == '\0' || there[0] == '\0'; i++) {
        char key[16];
        int bytes = snprintf(key, sizeof key, "k%u", i);
        uint32_t shard = partition_shard(s.world->system->partition_key, 2, (const uint8_t *)key, (size_t)bytes);
        memcpy(shard == 0 ? there : here, key, sizeof key);
    }
    scenario_put(&s, there, "1", 20000);
    scenario_crash(&s, scenario_node(&s, 1, 1));
    scenario_crash(&s, scenario_node(&s, 1, 2));
    for (int i = 0; i < 5; i++) scenario_put(&s, here, "2", 20000);
    scenario_must(&s, !scenario_try_put(&s, there, "3", 2000), "the dead one answers nothing");
    scenario_put(&s, here, "4", 20000);
    scenario_restart(&s, scenario_node(&s, 1, 1));
    scenario_restart(&s, scenario_node(&s, 1, 2));
    scenario_put(&s, there, "5", 30000);
    scenario_get(&s, there, "5", 30000);
    return scenario_end(&s);
}
