/* The trace that people read, and figures (tests/sim/sys.h). */
#include <stdarg.h>

#include "tests/sim/sys.h"

#define SYS_TEXT(identifier, name) name,
static const char *const fault_names[] = {SYS_FAULTS(SYS_TEXT)};
static const char *const check_names[] = {SYS_CHECKS(SYS_TEXT)};
#undef SYS_TEXT

const char *sys_fault_name(enum sys_fault fault) {
    return fault_names[fault];
}

const char *sys_check_name(enum sys_check check) {
    return check_names[check];
}

const char *sys_type_name(uint16_t type) {
    static const struct {
        uint16_t type;
        const char *name;
    } names[] = {{0x0101, "PROPOSE"},      {0x0102, "PREPARE"},
                 {0x0103, "COMMIT"},       {0x0104, "QC"},
                 {0x0105, "TIMEOUT"},      {0x0106, "TC"},
                 {0x0107, "FETCH"},        {0x0108, "BLOCK"},
                 {0x0109, "STATUS"},       {0x010A, "NOOP"},
                 {0x010B, "LAST_SIGNED?"}, {0x010C, "LAST_SIGNED"},
                 {0x010D, "CHECKPOINT?"},  {0x010E, "CHECKPOINT"},
                 {0x010F, "PIECE?"},       {0x0110, "PIECE"},
                 {0x0111, "INPUT"},        {0x0112, "INPUT_FETCH"},
                 {0x0113, "CONFIG?"},      {0x0114, "CONFIG_CHAIN"},
                 {0x0201, "SUBSCRIBE"},    {0x0202, "COMPACT_DECISION"},
                 {0x0203, "NEWEST?"},      {0x0204, "NEWEST"},
                 {0x0301, "BATCH"},        {0x0302, "ANSWER"},
                 {0x0303, "REFUSED"},      {0x0304, "STATUS?"},
                 {0x0305, "STATUS_ANSWER"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].type == type) return names[i].name;
    }
    return "unknown";
}

void sys_trace(struct sys_world *world, const char *format, ...) {
    if (world->trace == NULL) return;
    (void)fprintf(world->trace, "%9llu.%03llu ms  #%llu  ", (unsigned long long)world->now_us / 1000, (unsigned long long)world->now_us % 1000,
                  (unsigned long long)world->stats->events);
    va_list words;
    va_start(words, format);
    (void)vfprintf(world->trace, format, words);
    va_end(words);
    (void)fputc('\n', world->trace);
}

void sys_reached(struct sys_stats *stats, const char *event, uint64_t count) {
    for (uint32_t i = 0; i < stats->reached_count; i++) {
        if (strcmp(stats->reached[i].name, event) != 0) continue;
        stats->reached[i].count += count;
        return;
    }
    CHECK(stats->reached_count < SYS_EVENT_NAMES_MAX);
    snprintf(stats->reached[stats->reached_count].name, SYS_NAME_BYTES, "%s", event);
    stats->reached[stats->reached_count++].count = count;
}

uint64_t sys_reached_count(const struct sys_stats *stats, const char *event) {
    for (uint32_t i = 0; i < stats->reached_count; i++) {
        if (strcmp(stats->reached[i].name, event) == 0) return stats->reached[i].count;
    }
    return 0;
}

void sys_stats_add(struct sys_stats *to, const struct sys_stats *from) {
    const uint64_t *words = (const uint64_t *)(const void *)from;
    uint64_t *sums = (uint64_t *)(void *)to;
    for (size_t i = 0; i < offsetof(struct sys_stats, reached) / sizeof *words; i++) sums[i] += words[i];
    for (uint32_t i = 0; i < from->reached_count; i++) sys_reached(to, from->reached[i].name, from->reached[i].count);
}

static void counts_print(const char *title, const uint64_t *counts, int count, const char *(*name)(int)) {
    printf("%s:", title);
    for (int i = 0; i < count; i++) {
        if (counts[i] > 0) printf(" %s %llu", name(i), (unsigned long long)counts[i]);
    }
    putchar('\n');
}

static const char *name_of_fault(int i) {
    return sys_fault_name((enum sys_fault)i);
}
static const char *name_of_drop(int i) {
    return status_drop_name((enum status_drop)i);
}
static const char *name_of_attack(int i) {
    return status_attack_name((enum status_attack)i);
}

void sys_stats_print(const struct sys_stats *s) {
    printf("delivered %llu timers %llu disk %llu client-polls %llu restarts %llu retired %llu simulated %llu s\n", (unsigned long long)s->delivered,
           (unsigned long long)s->ticks, (unsigned long long)s->disk, (unsigned long long)s->polls, (unsigned long long)s->restarts,
           (unsigned long long)s->retired, (unsigned long long)s->simulated_ms / 1000);
    printf("final %llu view-changes %llu answers %llu refused %llu unsettled %llu\n", (unsigned long long)s->finals, (unsigned long long)s->views,
           (unsigned long long)s->answers, (unsigned long long)s->refused, (unsigned long long)s->unsettled);
    printf("checked: evidence %llu agreement %llu certificates %llu votes %llu sends %llu roots %llu order %llu sums %llu places %llu "
           "names %llu\n",
           (unsigned long long)s->evidence, (unsigned long long)s->agreed, (unsigned long long)s->certificates, (unsigned long long)s->votes,
           (unsigned long long)s->checks, (unsigned long long)s->roots, (unsigned long long)s->linear, (unsigned long long)s->sums,
           (unsigned long long)s->places, (unsigned long long)s->names);
    counts_print("faults", s->faults, SYS_FAULT_COUNT, name_of_fault);
    counts_print("refused by the nodes", s->drops, STATUS_DROP_COUNT, name_of_drop);
    counts_print("attacks that they named", s->attacks, STATUS_ATTACK_COUNT, name_of_attack);
    printf("reached:");
    for (uint32_t i = 0; i < s->reached_count; i++) printf(" %s %llu", s->reached[i].name, (unsigned long long)s->reached[i].count);
    putchar('\n');
}

void sys_config_print(FILE *out, const struct sys_config *config) {
    (void)fprintf(out,
                  "seed %llu events %llu: %u coordinator and %u shard clusters of %u nodes, %u liars each, %u clients, %u hostile, %s, "
                  "checkpoint every %u blocks, views of %u ms, faults:",
                  (unsigned long long)config->seed, (unsigned long long)config->events, config->coordinators, config->shards, config->n,
                  config->liars, config->clients, config->hostile, config->real_keys ? "Ed25519" : "keyed signer", config->checkpoint_blocks,
                  config->view_base_ms);
    for (int i = 0; i < SYS_FAULT_COUNT; i++) {
        if (config->faults >> i & 1) (void)fprintf(out, " %s", sys_fault_name((enum sys_fault)i));
    }
    (void)fputc('\n', out);
}
