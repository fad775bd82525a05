#include "tests/scenario/scenario_client.h"

#include "tests/sim/sys_client.h"

static void came(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    struct scenario_answer *answer = argument;
    const struct heraclius_result *result = heraclius_result_at(request, 0);
    answer->done = true;
    answer->status = (int)status;
    if (result != NULL) {
        answer->code = (int)result->code;
        answer->has_value = result->has_value;
        size_t bytes = result->value_bytes < sizeof answer->value ? result->value_bytes : sizeof answer->value - 1;
        if (result->has_value && bytes > 0) memcpy(answer->value, result->value, bytes);
    }
}

uint32_t scenario_preferred(const struct sys_world *world) {
    const struct sys_client *client = world->clients[0];
    return client->ends[client->db.preferred];
}

void scenario_prefer(struct sys_world *world, uint32_t node) {
    struct sys_client *client = world->clients[0];
    client->db.preferred = sys_client_node(client, node)->index;
}

uint64_t scenario_next_number(const struct sys_world *world) {
    return world->clients[0]->db.numbers[0].next;
}

uint64_t scenario_distrusted(const struct sys_world *world) {
    return world->clients[0]->db.counters.verification_failures;
}

struct scenario_answer scenario_ask(struct sys_world *world, enum scenario_asked what, const char *key, const char *value, int64_t delta,
                                    uint64_t ms) {
    struct sys_client *client = world->clients[0];
    struct heraclius_request *request = heraclius_request_new(&client->db);
    struct scenario_answer answer = {.done = false};
    CHECK(request != NULL);
    if (what == SCENARIO_PUT) heraclius_put(request, key, strlen(key), value, strlen(value));
    if (what == SCENARIO_ADD) heraclius_add(request, key, strlen(key), delta, NULL);
    if (what == SCENARIO_GET) heraclius_get(request, key, strlen(key), sizeof answer.value, true);
    CHECK(heraclius_submit(request, (uint32_t)ms, came, &answer) == HERACLIUS_OK);
    for (uint64_t passed = 0; !answer.done && passed < ms + 1000; passed += 5) sys_world_run_ms(world, 5);
    CHECK(answer.done); /* the library answers everything in time */
    heraclius_request_free(request);
    return answer;
}

static struct {
    uint64_t answered;
    uint32_t open;
} crowd;

static void crowd_came(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    (void)argument;
    crowd.open--;
    crowd.answered += status == HERACLIUS_DONE;
    heraclius_request_free(request);
}

uint64_t scenario_crowd(struct sys_world *world, uint32_t users, uint64_t ms) {
    uint64_t before = crowd.answered;
    for (uint64_t passed = 0; passed < ms; passed += 2) {
        for (; crowd.open < users; crowd.open++) {
            struct heraclius_request *request = heraclius_request_new(&world->clients[0]->db);
            CHECK(request != NULL);
            heraclius_add(request, "crowd", 5, 1, NULL);
            CHECK(heraclius_submit(request, 60000, crowd_came, NULL) == HERACLIUS_OK);
        }
        sys_world_run_ms(world, 2);
    }
    return crowd.answered - before;
}
