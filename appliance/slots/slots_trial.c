/* heraclius-slots trial: looks at the node until its image is blessed or given up (slots_trial.h). */
#include "appliance/slots/slots_trial.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "appliance/console/console_ask.h"
#include "appliance/setup/setup.h"
#include "ring/clock.h"

enum trial_verdict trial_step(struct trial *trial, const struct trial_seen *seen, uint64_t now_ms) {
    uint64_t passed = trial->seen_ms == 0 ? now_ms : now_ms - trial->seen_ms;
    bool first = trial->seen_ms == 0;
    trial->seen_ms = now_ms;
    if (seen->answered && seen->voted) return TRIAL_BLESS;
    uint32_t needed = seen->members - seen->faults;
    if (seen->answered && seen->up > 0 && seen->up + 1 < needed) return TRIAL_WAITS;
    /* A machine that stood still (its host did) is not blamed for it. */
    trial->counted_ms += !first && passed > TRIAL_STEP_MS_MAX ? TRIAL_STEP_MS_MAX : passed;
    return trial->counted_ms >= TRIAL_MS ? TRIAL_FAIL : TRIAL_RUNS;
}

static bool number_get(const json_t *object, const char *name, uint32_t most, uint32_t *out) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > most) return false;
    *out = (uint32_t)json_integer_value(value);
    return true;
}

bool trial_seen_read(struct trial_seen *seen, const char *text, uint64_t count) {
    enum { MEMBERS_MAX = 1024 };
    json_t *answer = json_loadb(text, count, JSON_REJECT_DUPLICATES, NULL);
    uint32_t member = 0, number;
    size_t i;
    const json_t *one, *members = json_object_get(answer, "members_seen");
    *seen = (struct trial_seen){.answered = true, .voted = json_is_true(json_object_get(answer, "voted"))};
    bool good = number_get(answer, "members", MEMBERS_MAX, &seen->members) && number_get(answer, "faults", MEMBERS_MAX, &seen->faults) &&
                number_get(answer, "member", MEMBERS_MAX, &member) && seen->faults < seen->members;
    json_array_foreach(members, i, one) {
        bool other = number_get(one, "member", MEMBERS_MAX, &number) && number != member;
        seen->up += other && json_is_true(json_object_get(one, "up"));
    }
    json_decref(answer);
    return good;
}

static struct trial_seen look(const char *path, char fault[ASK_FAULT_BYTES]) {
    static char answer[ASK_NODE_BYTES];
    struct trial_seen seen = {0};
    size_t count = 0;
    bool good = console_ask_node(path, "{\"ask\":\"status\"}\n", answer, &count, fault);
    if (good && !trial_seen_read(&seen, answer, count)) (void)snprintf(fault, ASK_FAULT_BYTES, "its status is not understood");
    /* An idle cluster decides nothing by itself. What it says to that is seen at the next look. */
    if (seen.answered && !seen.voted) (void)!console_ask_node(path, "{\"ask\":\"decide\"}\n", answer, &count, fault);
    return seen;
}

/* init ends this process when it has done it; a refusal is said, and asked for again. */
static void wish(const char *path, const char *what) {
    static char answer[ASK_INIT_BYTES];
    char fault[ASK_FAULT_BYTES];
    size_t count = 0;
    if (!console_ask_init(path, what, -1, ASK_JUDGE_MS, answer, &count, fault))
        printf("init, asked for %s: %s\n", what, fault);
    else
        printf("init, asked for %s: %.*s\n", what, (int)strcspn(answer, "\n"), answer);
}

static void say(enum trial_verdict verdict, const struct trial *trial, const struct trial_seen *seen, const char *fault) {
    if (verdict == TRIAL_WAITS)
        printf("waits for a quorum: %" PRIu32 " of %" PRIu32 " other members are reached, %" PRIu32 " are needed\n", seen->up, seen->members - 1,
               seen->members - seen->faults - 1);
    else if (verdict == TRIAL_RUNS)
        printf("this image is on trial for %" PRIu64 " s more: %s%s\n", (TRIAL_MS - trial->counted_ms) / 1000,
               seen->answered ? "its node has not voted yet" : "its node: ", seen->answered ? "" : fault);
    else
        printf("%s\n", verdict == TRIAL_BLESS ? "the node has voted in a decision: this image is kept"
                                              : "the node did not vote in time: this image is given up");
}

int trial_run(const char *root) {
    enum { SAY_AGAIN = 15 };
    char node[SETUP_PATH_BYTES], init[SETUP_PATH_BYTES], fault[ASK_FAULT_BYTES] = "";
    struct system_fault long_root;
    struct trial trial = {0};
    if (!setup_path(node, root, "/run/node/control.sock", &long_root) || !setup_path(init, root, "/run/init/control.sock", &long_root)) return 2;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned quiet = 0;; quiet = (quiet + 1) % SAY_AGAIN) {
        struct trial_seen seen = look(node, fault);
        enum trial_verdict verdict = trial_step(&trial, &seen, ring_clock_ms());
        bool over = verdict == TRIAL_BLESS || verdict == TRIAL_FAIL;
        if (quiet == 0 || over) say(verdict, &trial, &seen, fault);
        if (over) wish(init, verdict == TRIAL_BLESS ? "bless sure" : "fail sure");
        const struct timespec pause = {.tv_sec = over ? TRIAL_STEP_MS_MAX / 1000 : TRIAL_LOOK_MS / 1000};
        (void)nanosleep(&pause, NULL);
    }
}
