/*
 * Is what came back possible? A certified answer that cannot be is an error, whatever its proof says.
 *
 *   get   a value that this run, or an earlier one with this seed, wrote to this key; ABSENT not if all keys were loaded and none is deleted
 *   put   OK
 *   cas   OK; MISMATCH or, where the key was to be absent, EXISTS: an operation that failed, and counted as such
 *   add   OK, and a number above each that an answer had told before it left, and not above what all adds that were begun come to
 *   del   OK or ABSENT
 *
 * What takes more than one answer to be seen is for tests/history/checker.py to find in the history.
 */
#include <inttypes.h>

#include "client/bench_inside.h"
#include "protocol/operation.h"

static void error_note(struct bench *bench, enum bench_kind kind, uint64_t key, const char *what) {
    if (bench->totals->errors++ < 10) fprintf(stderr, "heraclius bench: %s of key %" PRIu64 ": %s\n", bench_kind_names[kind], key, what);
}

/* `value`: which write was read or written; add: the number. `result` NULL: none. */
static void history_write(const struct bench *bench, uint32_t index, uint64_t returned_us, const char *outcome, int64_t value,
                          const struct heraclius_result *result) {
    const struct user *user = &bench->users[index];
    FILE *file = bench->options->history;
    bool reads = user->step == BENCH_STEP_READ;
    const char *quote = user->kind == BENCH_ADD ? "\"" : "";
    fprintf(file, "{\"user\":%u,\"op\":\"%s\",\"key\":%s%s%u%s,", index, bench_kind_names[reads ? BENCH_GET : user->kind], quote,
            user->kind == BENCH_ADD ? "n" : "", user->key, quote);
    fprintf(file, "\"call\":%" PRIu64 ",\"return\":%" PRIu64 ",\"outcome\":\"%s\",\"value\":%" PRId64, user->started_us, returned_us, outcome, value);
    if (user->kind == BENCH_CAS && !reads && user->expected) fprintf(file, ",\"expected\":%" PRIu64, user->expected);
    if (user->kind == BENCH_CAS && !reads && !user->expected) fputs(",\"expected\":\"absent\"", file);
    if (result && result->has_version) fprintf(file, ",\"version\":[%" PRIu64 ",%u]", result->version.height, result->version.index);
    fputs("}\n", file);
}

static inline void history_line(const struct bench *bench, uint32_t index, uint64_t returned_us, const char *outcome, int64_t value,
                                const struct heraclius_result *result) {
    if (bench->options->history) history_write(bench, index, returned_us, outcome, value, result);
}

/* What is known of a key from now on, unless something newer is. */
static void seen_note(struct bench *bench, uint32_t key, const struct heraclius_result *result, uint64_t seq) {
    if (!bench->seen || !result->has_version) return;
    struct seen *seen = &bench->seen[key];
    const struct heraclius_version *version = &result->version;
    if (version->height < seen->height || (version->height == seen->height && version->index <= seen->index)) return;
    *seen = (struct seen){.height = version->height, .index = version->index, .seq = seq};
}

/* Nothing is known: the next cas of the key reads first. */
static void seen_forget(struct bench *bench, const struct user *user) {
    struct seen *seen = &bench->seen[user->key];
    if (seen->seq == user->expected) *seen = (struct seen){0};
}

/* True: it was a cas's read, and the cas can go. */
static bool judge_read(struct bench *bench, uint32_t index, const struct heraclius_result *result, uint64_t now_us) {
    struct user *user = &bench->users[index];
    uint64_t seq = 0;
    if (result->code == HERACLIUS_CODE_ABSENT) {
        bool loaded = bench->options->load && bench->options->weights[BENCH_DEL] == 0;
        if (loaded) error_note(bench, user->kind, user->key, "it is absent, though it was written and nothing deletes it");
        history_line(bench, index, now_us, "absent", 0, NULL);
    } else if (result->code != HERACLIUS_CODE_OK) {
        error_note(bench, user->kind, user->key, heraclius_code_name(result->code));
        history_line(bench, index, 0, "unknown", 0, NULL);
        return false;
    } else {
        if (!bench_value_right(bench, user->key, result, &seq)) error_note(bench, user->kind, user->key, "a value that was never written to it");
        history_line(bench, index, now_us, "ok", (int64_t)seq, result);
        seen_note(bench, user->key, result, seq);
    }
    if (user->step == BENCH_STEP_READ) {
        bench->totals->cas_reads += bench->measuring;
        struct seen *seen = &bench->seen[user->key];
        if (seen->height == 0 && result->code == HERACLIUS_CODE_ABSENT) seen->height = 1; /* as if deleted before all that is seen */
        user->step = BENCH_STEP_CAS;
        return true;
    }
    if (bench->measuring) {
        bench->totals->hits += result->code == HERACLIUS_CODE_OK;
        bench->totals->absent += result->code == HERACLIUS_CODE_ABSENT;
    }
    return false;
}

/* All adds are of 1: numbers grow, by no more than was begun. */
static const char *number_fault(struct bench *bench, const struct user *user, const struct heraclius_result *result, int64_t *told) {
    struct number *number = &bench->numbers[user->key];
    *told = 0;
    if (!result->has_value || !operation_number_parse(result->value, result->value_bytes, told)) return "what it answers is no number";
    if (user->expected && *told <= (int64_t)user->seq) return "a number that an answer had told before it was sent";
    if (!number->known || *told < number->lowest) number->lowest = *told;
    if (!number->known || *told > number->highest) number->highest = *told;
    number->known = true;
    bool beyond = number->highest - number->lowest >= (int64_t)number->issued;
    return beyond && !bench->number_strangers ? "a number beyond what was added" : NULL;
}

static void judge_write(struct bench *bench, uint32_t index, const struct heraclius_result *result, uint64_t now_us) {
    struct user *user = &bench->users[index];
    int64_t value = (int64_t)user->seq;
    const char *outcome = result->code == HERACLIUS_CODE_OK ? "ok" : "unknown", *fault = NULL;
    bool failed_cas = user->kind == BENCH_CAS && result->code == (user->expected ? HERACLIUS_CODE_MISMATCH : HERACLIUS_CODE_EXISTS);
    if (failed_cas) {
        outcome = "mismatch";
        seen_forget(bench, user);
        bench->totals->cas_failed += bench->measuring;
    } else if (user->kind == BENCH_DEL && result->code == HERACLIUS_CODE_ABSENT) {
        outcome = "absent";
    } else if (result->code != HERACLIUS_CODE_OK) {
        fault = heraclius_code_name(result->code);
        value = user->kind == BENCH_ADD ? 0 : value;
    } else if (user->kind == BENCH_ADD) {
        fault = number_fault(bench, user, result, &value);
    } else {
        seen_note(bench, user->key, result, user->kind == BENCH_DEL ? 0 : user->seq);
    }
    if (fault) error_note(bench, user->kind, user->key, fault);
    bool answered = result->code == HERACLIUS_CODE_OK || failed_cas || outcome[0] == 'a';
    history_line(bench, index, answered ? now_us : 0, outcome, value, result);
}

bool bench_judge(struct bench *bench, struct flight *flight, uint32_t position, enum heraclius_status status, uint64_t now_us) {
    uint32_t index = flight->users[position];
    struct user *user = &bench->users[index];
    const struct heraclius_result *result = heraclius_result_at(flight->request, position);
    if (status != HERACLIUS_DONE || !result) {
        error_note(bench, user->kind, user->key, heraclius_why(flight->request));
        history_line(bench, index, 0, "unknown", user->kind == BENCH_ADD ? 0 : (int64_t)user->seq, NULL);
        return false;
    }
    if (flight->write)
        judge_write(bench, index, result, now_us);
    else if (judge_read(bench, index, result, now_us))
        return true;
    if (!bench->measuring) return false;
    bench->totals->ops[user->kind]++;
    uint64_t took_us = now_us - user->started_us;
    bench_histogram_add(&bench->totals->latency_us, took_us);
    if (bench->options->series) bench_histogram_add(&bench->second_us, took_us);
    return false;
}
