/* heraclius-slots trial: looks at the node until its image is blessed or given up (slots_trial.h). */
#include "appliance/slots/slots_trial.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "appliance/setup/setup.h"
#include "appliance/slots/slots.h"
#include "appliance/status/ask.h"
#include "ring/clock.h"

/* As far as the image before, with a node that has no vote? The new one's word alone would let an image through that is wrong about it. */
static bool as_before(const struct slots_was *was, const struct trial_seen *seen) {
    if (was->number == 0) return false;
    if (strcmp(was->phase, SLOTS_UNCONFIGURED) == 0) return !seen->answered && seen->unconfigured;
    if (!seen->answered || !slots_phase_voteless(was->phase) || strcmp(was->phase, seen->phase) != 0) return false;
    return seen->height >= was->height && (seen->up > 0 || !was->linked) && seen->ahead <= seen->faults;
}

/* It is not where it may vote yet, and says so. */
static bool works(const struct trial_seen *seen) {
    return seen->answered && seen->phase[0] != '\0' && strcmp(seen->phase, "voting") != 0 && !slots_phase_voteless(seen->phase);
}

enum trial_verdict trial_step(struct trial *trial, const struct slots_was *was, const struct trial_seen *seen, uint64_t now_ms) {
    uint64_t passed = trial->seen_ms == 0 ? now_ms : now_ms - trial->seen_ms;
    bool first = trial->seen_ms == 0;
    trial->seen_ms = now_ms;
    if (seen->answered && seen->voted) return TRIAL_BLESS;
    /* A machine that stood still (its host did) is not blamed for it, nor does it prove anything. */
    uint64_t stood = !first && passed > TRIAL_STEP_MS_MAX ? TRIAL_STEP_MS_MAX : passed;
    if (as_before(was, seen)) {
        trial->proven_ms += trial->proves ? stood : 0;
        trial->proves = true;
        return trial->proven_ms >= TRIAL_PROOF_MS ? TRIAL_BLESS : TRIAL_PROVES;
    }
    trial->proven_ms = 0;
    trial->proves = false;
    bool further = works(seen) && seen->progress > trial->progress;
    if (further) trial->progress = seen->progress;
    /* What becomes final meanwhile was decided by a quorum, whatever this image, which is judged here, says of the others. */
    bool decided = trial->height != 0 && seen->height > trial->height;
    if (seen->height > trial->height) trial->height = seen->height;
    uint32_t needed = seen->members - seen->faults;
    if (seen->answered && !decided && seen->up > 0 && seen->up - seen->mute + 1 < needed) return TRIAL_WAITS;
    trial->all_ms += stood;
    trial->counted_ms += stood;
    if (further && trial->all_ms <= TRIAL_WORK_MS) trial->counted_ms = 0;
    if (trial->counted_ms >= TRIAL_MS) return TRIAL_FAIL;
    return further ? TRIAL_WORKS : TRIAL_RUNS;
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
    const json_t *one, *members = json_object_get(answer, "members_seen"), *height = json_object_get(answer, "height");
    const json_t *progress = json_object_get(answer, "progress");
    const char *phase = json_string_value(json_object_get(answer, "phase"));
    *seen = (struct trial_seen){.answered = true, .voted = json_is_true(json_object_get(answer, "voted"))};
    bool good = number_get(answer, "members", MEMBERS_MAX, &seen->members) && number_get(answer, "faults", MEMBERS_MAX, &seen->faults) &&
                seen->faults < seen->members;
    bool is_member = number_get(answer, "member", MEMBERS_MAX, &member); /* an observer is none */
    if (json_is_integer(height) && json_integer_value(height) > 0) seen->height = (uint64_t)json_integer_value(height);
    if (json_is_integer(progress) && json_integer_value(progress) > 0) seen->progress = (uint64_t)json_integer_value(progress);
    if (phase != NULL && strlen(phase) < sizeof seen->phase) (void)snprintf(seen->phase, sizeof seen->phase, "%s", phase);
    json_array_foreach(members, i, one) {
        json_int_t at = json_integer_value(json_object_get(one, "height"));
        bool other = number_get(one, "member", MEMBERS_MAX, &number) && !(is_member && number == member);
        if (!other || !json_is_true(json_object_get(one, "up"))) continue;
        seen->up++;
        seen->mute += json_is_false(json_object_get(one, "votes"));
        seen->ahead += at > 0 && (uint64_t)at > seen->height && (uint64_t)at - seen->height > TRIAL_AHEAD_MAX;
    }
    json_decref(answer);
    if (!good) memset(seen, 0, sizeof *seen);
    return good;
}

/* Is there a line that begins so? */
static bool line_begins(const char *text, const char *wanted) {
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, wanted, strlen(wanted)) == 0) return true;
    }
    return false;
}

void trial_machine_read(struct trial_seen *seen, struct slots_was *was, const char *text) {
    static const char name[] = "\nslot_was=";
    const char *found = strstr(text, name);
    seen->unconfigured = line_begins(text, "stage.disk=good") && line_begins(text, "program.console=up ") && !line_begins(text, "config_number=");
    memset(was, 0, sizeof *was);
    if (found == NULL) return;
    found += sizeof name - 1;
    (void)slots_was_parse(was, found, strcspn(found, "\n") + 1);
}

/* ---- what it says ---- */

/* What keeps it from being blessed, as far as one sees. */
static void lacking_print(char *out, size_t size, const struct trial_seen *seen, const char *fault) {
    bool word = seen->phase[0] != '\0' && strspn(seen->phase, "abcdefghijklmnopqrstuvwxyz_") == strlen(seen->phase);
    if (!seen->answered)
        (void)snprintf(out, size, "the node does not answer: %.90s", fault);
    else if (seen->up == 0)
        (void)snprintf(out, size, "no other member is reached: is it this image's network?");
    else
        (void)snprintf(out, size, "the node has not voted yet%s%s", word ? ", its phase is " : "", word ? seen->phase : "");
}

void trial_told_make(struct trial_told *told, enum trial_verdict verdict, const struct trial *trial, const struct trial_seen *seen,
                     const char *fault) {
    bool members = (verdict == TRIAL_RUNS || verdict == TRIAL_FAIL) && seen->answered && seen->up == 0;
    const char *word = verdict == TRIAL_WAITS    ? "quorum"
                       : verdict == TRIAL_WORKS  ? "work"
                       : verdict == TRIAL_PROVES ? "proof"
                       : !seen->answered         ? "node"
                       : members                 ? "members"
                                                 : "vote";
    *told = (struct trial_told){.number = trial->number, .counted_ms = trial->counted_ms, .limit_ms = TRIAL_MS};
    (void)snprintf(told->waits_for, sizeof told->waits_for, "%s", word);
    char *text = told->text;
    size_t size = sizeof told->text, used = 0;
    if (verdict == TRIAL_WAITS)
        (void)snprintf(text, size, "of %" PRIu32 " other members %" PRIu32 " are reached, %" PRIu32 " of them do not vote, %" PRIu32
                       " must: no image could vote now", seen->members - 1, seen->up, seen->mute, seen->members - seen->faults - 1);
    else if (verdict == TRIAL_WORKS)
        (void)snprintf(text, size, "the node is %.31s and gets further (progress %" PRIu64 ")", seen->phase, seen->progress);
    else if (verdict == TRIAL_PROVES)
        (void)snprintf(text, size, "its node has no vote, as before: for %" PRIu64 " of %d s it has been as far as under the image before",
                       trial->proven_ms / 1000, TRIAL_PROOF_MS / 1000);
    else if (verdict == TRIAL_BLESS)
        (void)snprintf(text, size, "%s: this image is kept",
                       seen->voted ? "the node has voted in a decision" : "the node has no vote, and is as far as it was");
    else {
        if (verdict == TRIAL_FAIL) used = (size_t)snprintf(text, size, "given up: ");
        lacking_print(text + used, size - used, seen, fault);
    }
}

void trial_told_print(const struct trial_told *told, char out[TRIAL_LINE_BYTES]) {
    (void)snprintf(out, TRIAL_LINE_BYTES, "trial of %" PRIu64 " waits for %s, %" PRIu64 " of %" PRIu64 " ms counted: %s", told->number,
                   told->waits_for, told->counted_ms, told->limit_ms, told->text);
}

/* Each line of a log has a time in front. */
void trial_told_read(struct trial_told *told, const char *log, uint64_t number) {
    for (const char *line = log; (line = strstr(line, "trial of ")) != NULL; line++) {
        struct trial_told read = {.text = ""};
        int fields = sscanf(line, "trial of %20" SCNu64 " waits for %15[a-z], %18" SCNu64 " of %18" SCNu64 " ms counted: %159[^\n]", &read.number,
                            read.waits_for, &read.counted_ms, &read.limit_ms, read.text);
        if (fields == 5 && (number == 0 || read.number == number)) *told = read;
    }
}

/* ---- the process ---- */

static struct trial_seen look(const char *node, const char *init, struct slots_was *was, char fault[ASK_FAULT_BYTES]) {
    static char answer[ASK_INIT_BYTES];
    _Static_assert(ASK_NODE_BYTES < ASK_INIT_BYTES, "one buffer for both");
    struct trial_seen seen = {0};
    char of_init[ASK_FAULT_BYTES];
    size_t count = 0;
    bool good = ask_node(node, "{\"ask\":\"status\"}\n", answer, &count, fault);
    if (good && !trial_seen_read(&seen, answer, count)) (void)snprintf(fault, ASK_FAULT_BYTES, "its status is not understood");
    /* An idle cluster decides nothing by itself. What it says to that is seen at the next look. */
    if (seen.answered && !seen.voted) (void)!ask_node(node, "{\"ask\":\"decide\"}\n", answer, &count, fault);
    if (seen.voted || !ask_init(init, "status", -1, ASK_MS, answer, &count, of_init) || count == ASK_INIT_BYTES) return seen;
    answer[count] = '\0';
    trial_machine_read(&seen, was, answer);
    return seen;
}

/* init ends this process when it has done it; a refusal is said, and asked for again. */
static void wish(const char *path, const char *what) {
    static char answer[ASK_INIT_BYTES];
    char fault[ASK_FAULT_BYTES];
    size_t count = 0;
    if (!ask_init(path, what, -1, ASK_JUDGE_MS, answer, &count, fault))
        printf("init, asked for %s: %s\n", what, fault);
    else
        printf("init, asked for %s: %.*s\n", what, (int)strcspn(answer, "\n"), answer);
}

int trial_run(const char *root) {
    enum { SAY_AGAIN = 5 };
    char node[SETUP_PATH_BYTES], init[SETUP_PATH_BYTES], fault[ASK_FAULT_BYTES] = "", line[TRIAL_LINE_BYTES];
    struct system_fault long_root;
    struct trial trial = {.number = slots_number_read(root)};
    struct trial_told told, before = {.text = ""};
    struct slots_was was = {0};
    if (!setup_path(node, root, "/run/node/control.sock", &long_root) || !setup_path(init, root, "/run/init/control.sock", &long_root)) return 2;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned quiet = 0;; quiet = (quiet + 1) % SAY_AGAIN) {
        struct trial_seen seen = look(node, init, &was, fault);
        enum trial_verdict verdict = trial_step(&trial, &was, &seen, ring_clock_ms());
        bool over = verdict == TRIAL_BLESS || verdict == TRIAL_FAIL;
        trial_told_make(&told, verdict, &trial, &seen, fault);
        if (quiet == 0 || over || strcmp(told.waits_for, before.waits_for) != 0) {
            trial_told_print(&told, line);
            (void)puts(line);
        }
        before = told;
        if (over) wish(init, verdict == TRIAL_BLESS ? "bless sure" : "fail sure");
        const struct timespec pause = {.tv_sec = over ? TRIAL_STEP_MS_MAX / 1000 : TRIAL_LOOK_MS / 1000};
        (void)nanosleep(&pause, NULL);
    }
}
