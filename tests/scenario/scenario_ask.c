/* What scripts ask of the first client. */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

bool scenario_try_put(struct scenario *scenario, const char *key, const char *value, uint64_t ms) {
    struct scenario_answer answer = scenario_ask(scenario->world, SCENARIO_PUT, key, value, 0, ms);
    return answer.status == 0 && answer.code == 0;
}

void scenario_put(struct scenario *scenario, const char *key, const char *value, uint64_t ms) {
    scenario_must(scenario, scenario_try_put(scenario, key, value, ms), "a put is answered with a proof");
}

int64_t scenario_add(struct scenario *scenario, const char *key, int64_t delta, uint64_t ms) {
    struct scenario_answer answer = scenario_ask(scenario->world, SCENARIO_ADD, key, NULL, delta, ms);
    scenario_must(scenario, answer.status == 0 && answer.code == 0, "an ADD is answered with a proof");
    return answer.has_value ? strtoll(answer.value, NULL, 10) : INT64_MIN;
}

void scenario_get(struct scenario *scenario, const char *key, const char *expected, uint64_t ms) {
    struct scenario_answer answer = scenario_ask(scenario->world, SCENARIO_GET, key, NULL, 0, ms);
    scenario_must(scenario, answer.status == 0 && answer.has_value && strcmp(answer.value, expected) == 0, "a get shows what was put last");
}

void scenario_load(struct scenario *scenario, uint32_t count, uint64_t ms) {
    char key[32], value[32];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "load%u", i % 7);
        snprintf(value, sizeof value, "v%u", i);
        scenario_put(scenario, key, value, ms);
    }
}
