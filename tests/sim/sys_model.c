/*
 * What honest clients may see (tests/sim/sys.h). Keys lie in groups, each on one shard by its hash tag:
 *
 *   registers   written with values that never come twice. The versions that writes get and reads show are the order; it must fit real time: whatever
 *               begins after something ended has a version that is not older (a write: newer). One version has one value. Between the version that a
 *               CAS-VERSION found and its own there is none. This is linearizability of a register, decided exactly, since versions say the order.
 *   counters    ADD 1: each result is a number that nobody else gets, above all that were answered before it began, and never more than were asked
 *               for: exactly once, nothing acknowledged lost.
 *   accounts    moved between by atomic lists of two ADDs with a floor; a read of all of a group shows one state, whose sum never changes.
 */
#include "merkle/trie.h"
#include "protocol/checkpoint.h"
#include "protocol/operation.h"
#include "protocol/partition.h"
#include "tests/sim/sys_client.h"

struct seen {
    uint64_t version, value;
    uint64_t asked_us, answered_us; /* by the client whose write it was, when it was answered to it; 0: it was not */
    uint32_t client;
    bool again; /* it took effect again */
};

struct reg {
    uint64_t done; /* newest version in an answer */
    uint64_t at_cut; /* what a successor began with */
    struct seen *seen;
    uint32_t seen_count, seen_room;
    struct seen *lost; /* what was seen above a cut */
    uint32_t lost_count;
    uint64_t *gaps; /* pairs: no version lies between */
    uint32_t gap_count, gap_room;
};

struct count_seen { /* by an ADD's answer or a read */
    uint64_t version, number;
    bool add;
};

struct counter {
    uint64_t asked, answered, done;
    uint64_t at_cut; /* what a successor began with */
    bool *taken; /* results */
    uint64_t taken_room;
    struct count_seen *seen;
    uint32_t seen_count, seen_room;
    uint64_t above, again; /* ADDs that were answered above a cut, and that clients hold to send them again */
};

struct group {
    int64_t sum_at_cut; /* of its accounts; so many are there */
    uint32_t accounts_at_cut;
    struct reg registers[SYS_REGISTERS];
    struct counter counters[SYS_COUNTERS];
};

struct sys_model {
    uint32_t groups;
    struct group group[SYS_GROUPS_MAX];
};

void sys_model_create(struct sys_world *world) {
    world->model = calloc(1, sizeof *world->model);
    CHECK(world->model != NULL);
    world->model->groups = 2 * world->config.shards;
}

void sys_model_destroy(struct sys_world *world) {
    for (uint32_t g = 0; g < world->model->groups; g++) {
        struct group *group = &world->model->group[g];
        for (uint32_t i = 0; i < SYS_REGISTERS; i++) {
            free(group->registers[i].seen);
            free(group->registers[i].gaps);
            free(group->registers[i].lost);
        }
        for (uint32_t i = 0; i < SYS_COUNTERS; i++) {
            free(group->counters[i].taken);
            free(group->counters[i].seen);
        }
    }
    free(world->model);
}

uint32_t sys_model_groups(const struct sys_world *world) {
    return world->model->groups;
}

/* ---- asking ---- */

static size_t key_of(char out[48], uint32_t group, const char *kind, uint32_t at) {
    return (size_t)snprintf(out, 48, "{g%u}%s%u", group, kind, at);
}

static uint64_t value_new(struct sys_client *client, char text[40], size_t *bytes) {
    *bytes = (size_t)snprintf(text, 40, "value-%u-%llu", client->index, (unsigned long long)++client->values);
    return keyed_siphash(41, 43, text, *bytes);
}

static void put(struct sys_ask *ask, uint32_t group, uint32_t at, uint64_t *value) {
    char key[48], text[40];
    size_t text_bytes, key_bytes = key_of(key, group, "r", at);
    *value = value_new(ask->client, text, &text_bytes);
    heraclius_put(ask->request, key, key_bytes, text, text_bytes);
}

/* A version as one number: succession, height within it, index. */
static uint64_t version_pack(uint64_t height, uint32_t index) {
    return (height >> 48) << 60 | (height & UINT64_C(0xFFFFFFFFF)) << 24 | index;
}

static struct heraclius_version version_of(uint64_t packed) {
    return (struct heraclius_version){.height = (packed >> 60) << 48 | (packed >> 24 & UINT64_C(0xFFFFFFFFF)), .index = (uint32_t)packed & 0xFFFFFF};
}

static void transfer(struct sys_world *world, struct sys_ask *ask) {
    char key[48];
    int64_t amount = 1 + (int64_t)sys_random(world, 400), floor = 0;
    uint32_t from = (uint32_t)sys_random(world, SYS_ACCOUNTS), to = (from + 1 + (uint32_t)sys_random(world, SYS_ACCOUNTS - 1)) % SYS_ACCOUNTS;
    heraclius_request_flags(ask->request, HERACLIUS_ATOMIC);
    size_t bytes = key_of(key, ask->group, "a", from);
    heraclius_add(ask->request, key, bytes, -amount, &floor);
    bytes = key_of(key, ask->group, "a", to);
    if (world->config.plant == SYS_CHECK_SUM) amount++; /* money from nowhere */
    heraclius_add(ask->request, key, bytes, amount, NULL);
}

static void accounts(struct sys_ask *ask, bool read) {
    char key[48], text[24];
    int text_bytes = snprintf(text, sizeof text, "%d", SYS_FUND);
    if (!read) heraclius_request_flags(ask->request, HERACLIUS_ATOMIC);
    for (uint32_t i = 0; i < SYS_ACCOUNTS; i++) {
        size_t bytes = key_of(key, ask->group, "a", i);
        if (read)
            heraclius_get(ask->request, key, bytes, 64, false);
        else
            heraclius_put_if_absent(ask->request, key, bytes, text, (size_t)text_bytes);
    }
}

void sys_model_ask(struct sys_world *world, struct sys_ask *ask) {
    struct group *group = &world->model->group[ask->group];
    char key[48], text[40];
    size_t text_bytes;
    ask->at = (uint32_t)sys_random(world, SYS_REGISTERS);
    if (ask->kind == SYS_ASK_ADD || ask->kind == SYS_ASK_COUNT) ask->at %= SYS_COUNTERS;
    struct reg *reg = &group->registers[ask->at];
    struct counter *counter = &group->counters[ask->at % SYS_COUNTERS];
    ask->floor = reg->done;
    size_t bytes = key_of(key, ask->group, "r", ask->at);
    if (ask->kind == SYS_ASK_CAS && reg->done == 0) ask->kind = SYS_ASK_GET;
    if (ask->kind == SYS_ASK_TWO && world->model->groups < 2) ask->kind = SYS_ASK_PUT;
    switch (ask->kind) {
    case SYS_ASK_SETTLE:
    case SYS_ASK_AGAIN:
    case SYS_ASK_NONE: CHECK(false); break;
    case SYS_ASK_GET: heraclius_get(ask->request, key, bytes, 64, true); break;
    case SYS_ASK_PUT: put(ask, ask->group, ask->at, &ask->value); break;
    case SYS_ASK_CAS:
        ask->expected = reg->done;
        ask->value = value_new(ask->client, text, &text_bytes);
        heraclius_cas_version(ask->request, key, bytes, version_of(reg->done), text, text_bytes);
        break;
    case SYS_ASK_ADD:
        counter->asked++;
        ask->floor = counter->done;
        bytes = key_of(key, ask->group, "c", ask->at);
        heraclius_add(ask->request, key, bytes, world->config.plant == SYS_CHECK_ONCE && sys_chance(world, 100000) ? 2 : 1, NULL);
        break;
    case SYS_ASK_COUNT:
        ask->floor = counter->done > counter->answered ? counter->done : counter->answered;
        bytes = key_of(key, ask->group, "c", ask->at);
        heraclius_get(ask->request, key, bytes, 64, true);
        break;
    case SYS_ASK_TRANSFER: transfer(world, ask); break;
    case SYS_ASK_AUDIT: accounts(ask, true); break;
    case SYS_ASK_FUND: accounts(ask, false); break;
    case SYS_ASK_TWO: /* two parts, often to two shards */
        ask->group2 = (ask->group + 1) % world->model->groups;
        ask->at2 = (uint32_t)sys_random(world, SYS_REGISTERS);
        ask->floor2 = world->model->group[ask->group2].registers[ask->at2].done;
        put(ask, ask->group, ask->at, &ask->value);
        put(ask, ask->group2, ask->at2, &ask->value2);
        break;
    }
}

/* ---- answers ---- */

static enum sys_check order_or_lost(const struct sys_ask *ask) {
    return ask->final ? SYS_CHECK_LOST : SYS_CHECK_ORDER;
}

static void gap_check(struct sys_world *world, const struct reg *reg, uint64_t version) {
    for (uint32_t i = 0; i < reg->gap_count; i++) {
        if (version > reg->gaps[2 * i] && version < reg->gaps[2 * i + 1])
            sys_fail(world, SYS_CHECK_ORDER, "a version lies between the one that a CAS-VERSION found and its own");
    }
}

static void gap_add(struct sys_world *world, struct reg *reg, uint64_t from, uint64_t to) {
    if (reg->gap_count == reg->gap_room) {
        reg->gap_room = reg->gap_room == 0 ? 16 : 2 * reg->gap_room;
        reg->gaps = realloc(reg->gaps, 2 * reg->gap_room * sizeof *reg->gaps);
        CHECK(reg->gaps != NULL);
    }
    reg->gaps[2 * reg->gap_count] = from;
    reg->gaps[2 * reg->gap_count++ + 1] = to;
    for (uint32_t i = 0; i < reg->seen_count; i++) gap_check(world, reg, reg->seen[i].version);
}

static void seen_add(struct sys_world *world, struct reg *reg, uint64_t version, uint64_t value) {
    world->stats->linear++;
    gap_check(world, reg, version);
    for (uint32_t i = reg->seen_count; i-- > 0;) {
        const struct seen *seen = &reg->seen[i];
        if ((seen->version == version) != (seen->value == value))
            sys_fail(world, SYS_CHECK_ORDER, "one version has two values, or one value two versions: %llu/%u", (unsigned long long)version >> 24,
                     (uint32_t)version & 0xFFFFFF);
        if (seen->version == version) return;
    }
    if (reg->seen_count == reg->seen_room) {
        reg->seen_room = reg->seen_room == 0 ? 16 : 2 * reg->seen_room;
        reg->seen = realloc(reg->seen, reg->seen_room * sizeof *reg->seen);
        CHECK(reg->seen != NULL);
    }
    reg->seen[reg->seen_count++] = (struct seen){.version = version, .value = value};
}

static void own_mark(struct reg *reg, uint64_t version, const struct sys_ask *ask) {
    uint32_t i = reg->seen_count - 1;
    while (reg->seen[i].version != version) i--;
    reg->seen[i].asked_us = ask->since_us;
    reg->seen[i].answered_us = ask->client->world->now_us;
    reg->seen[i].client = ask->client->index;
}

static void register_answer(struct sys_world *world, const struct sys_ask *ask, const struct heraclius_result *result, struct reg *reg,
                            uint64_t floor, uint64_t value) {
    bool write = ask->kind != SYS_ASK_GET;
    if (result->code == HERACLIUS_CODE_ABSENT) {
        if (floor > 0) sys_fail(world, order_or_lost(ask), "a register that was written is absent");
        return;
    }
    if (result->code == HERACLIUS_CODE_MISMATCH && ask->kind == SYS_ASK_CAS)
        write = false;
    else if (result->code != HERACLIUS_CODE_OK)
        sys_fail(world, SYS_CHECK_ORDER, "a register answers %s", heraclius_code_name(result->code));
    if (!result->has_version) return; /* the recorded outcome of an earlier sending */
    uint64_t version = version_pack(result->version.height, result->version.index);
    bool old = world->config.plant == SYS_CHECK_ORDER ? !ask->final && sys_chance(world, 50000) : world->config.plant == SYS_CHECK_LOST && ask->final;
    if (old && floor > 0) version = floor - 1; /* what an earlier reader would have seen */
    if (write ? version <= floor : version < floor)
        sys_fail(world, order_or_lost(ask), "version %llu/%u is older than %llu/%u, which was seen before this began",
                 (unsigned long long)version >> 24, (uint32_t)version & 0xFFFFFF, (unsigned long long)floor >> 24, (uint32_t)floor & 0xFFFFFF);
    if (write) {
        seen_add(world, reg, version, value);
        own_mark(reg, version, ask);
    } else if (result->has_value)
        seen_add(world, reg, version, keyed_siphash(41, 43, result->value, result->value_bytes));
    if (write && ask->kind == SYS_ASK_CAS) gap_add(world, reg, ask->expected, version);
    if (version > reg->done) reg->done = version;
}

static void count_seen(struct counter *counter, const struct heraclius_result *result, uint64_t number, bool add) {
    if (!result->has_version) return;
    if (counter->seen_count == counter->seen_room) {
        counter->seen_room = counter->seen_room == 0 ? 16 : 2 * counter->seen_room;
        counter->seen = realloc(counter->seen, counter->seen_room * sizeof *counter->seen);
        CHECK(counter->seen != NULL);
    }
    counter->seen[counter->seen_count++] =
        (struct count_seen){.version = version_pack(result->version.height, result->version.index), .number = number, .add = add};
}

static void added(struct sys_world *world, uint64_t floor, const struct heraclius_result *result, struct counter *counter) {
    int64_t number;
    counter->answered++;
    if (result->code != HERACLIUS_CODE_OK) sys_fail(world, SYS_CHECK_ONCE, "ADD answers %s", heraclius_code_name(result->code));
    if (!result->has_value) return;
    if (!operation_number_parse(result->value, result->value_bytes, &number) || number <= 0 || (uint64_t)number > counter->asked)
        sys_fail(world, SYS_CHECK_ONCE, "a counter shows more than was asked for");
    if ((uint64_t)number <= floor) sys_fail(world, SYS_CHECK_ONCE, "a counter went back");
    count_seen(counter, result, (uint64_t)number, true);
    if ((uint64_t)number >= counter->taken_room) {
        uint64_t room = 2 * (uint64_t)number + 64;
        counter->taken = realloc(counter->taken, room * sizeof *counter->taken);
        CHECK(counter->taken != NULL);
        memset(counter->taken + counter->taken_room, 0, (room - counter->taken_room) * sizeof *counter->taken);
        counter->taken_room = room;
    }
    if (counter->taken[number]) sys_fail(world, SYS_CHECK_ONCE, "two ADDs have one result");
    counter->taken[number] = true;
    if ((uint64_t)number > counter->done) counter->done = (uint64_t)number;
}

static void counted(struct sys_world *world, const struct sys_ask *ask, const struct heraclius_result *result, struct counter *counter) {
    int64_t number = 0;
    bool good = result->code == HERACLIUS_CODE_ABSENT ||
                (result->code == HERACLIUS_CODE_OK && result->has_value && operation_number_parse(result->value, result->value_bytes, &number));
    if (!good) sys_fail(world, SYS_CHECK_ONCE, "a counter answers %s", heraclius_code_name(result->code));
    if ((uint64_t)number < ask->floor) sys_fail(world, order_or_lost(ask), "a counter lost an ADD that was acknowledged");
    if ((uint64_t)number > counter->asked) sys_fail(world, SYS_CHECK_ONCE, "a counter shows more than was asked for");
    if ((uint64_t)number > counter->done) counter->done = (uint64_t)number;
    count_seen(counter, result, (uint64_t)number, false);
}

static void audited(struct sys_world *world, const struct sys_ask *ask) {
    int64_t sum = 0, number;
    uint32_t absent = 0;
    for (uint32_t i = 0; i < SYS_ACCOUNTS; i++) {
        const struct heraclius_result *result = heraclius_result_at(ask->request, i);
        CHECK(result != NULL);
        if (result->code == HERACLIUS_CODE_ABSENT)
            absent++;
        else if (result->code == HERACLIUS_CODE_OK && result->has_value && operation_number_parse(result->value, result->value_bytes, &number))
            sum += number;
        else
            sys_fail(world, SYS_CHECK_SUM, "an account answers %s", heraclius_code_name(result->code));
    }
    world->stats->sums++;
    if (absent == SYS_ACCOUNTS) return;
    if (absent > 0 || sum != SYS_ACCOUNTS * SYS_FUND)
        sys_fail(world, SYS_CHECK_SUM, "the accounts of a group hold %lld, %u of them absent", (long long)sum, absent);
}

void sys_model_answer(struct sys_world *world, struct sys_ask *ask) {
    struct group *group = &world->model->group[ask->group];
    const struct heraclius_result *result = heraclius_result_at(ask->request, 0);
    CHECK(result != NULL);
    switch (ask->kind) {
    case SYS_ASK_SETTLE:
    case SYS_ASK_AGAIN:
    case SYS_ASK_NONE: CHECK(false); break;
    case SYS_ASK_GET:
    case SYS_ASK_PUT:
    case SYS_ASK_CAS: register_answer(world, ask, result, &group->registers[ask->at], ask->floor, ask->value); break;
    case SYS_ASK_TWO:
        register_answer(world, ask, result, &group->registers[ask->at], ask->floor, ask->value);
        result = heraclius_result_at(ask->request, 1);
        CHECK(result != NULL);
        register_answer(world, ask, result, &world->model->group[ask->group2].registers[ask->at2], ask->floor2, ask->value2);
        break;
    case SYS_ASK_ADD: added(world, ask->floor, result, &group->counters[ask->at]); break;
    case SYS_ASK_COUNT: counted(world, ask, result, &group->counters[ask->at]); break;
    case SYS_ASK_AUDIT: audited(world, ask); break;
    case SYS_ASK_TRANSFER:
    case SYS_ASK_FUND: break; /* whatever it answers: the audits tell */
    }
}

/* ---- a succession ---- */

/* "{g3}r1": group 3, register 1. False: of somebody else. */
static bool key_read(const uint8_t *key, size_t key_bytes, uint32_t *group, char *kind, uint32_t *at) {
    char text[48], again[48];
    if (key_bytes >= sizeof text) return false;
    memcpy(text, key, key_bytes);
    text[key_bytes] = 0;
    if (sscanf(text, "{g%u}%c%u", group, kind, at) != 3) return false;
    (void)snprintf(again, sizeof again, "{g%u}%c%u", *group, *kind, *at);
    return strcmp(again, text) == 0;
}

void sys_model_cut_entry(struct sys_world *world, const struct checkpoint_entry *entry) {
    uint32_t group_index, at;
    char kind;
    int64_t number = 0;
    if (entry->space != TRIE_SPACE_USER || !key_read(entry->key, entry->key_bytes, &group_index, &kind, &at)) return;
    if (group_index >= world->model->groups) return;
    struct group *group = &world->model->group[group_index];
    if (kind == 'r' && at < SYS_REGISTERS) {
        uint64_t version = version_pack(entry->version_height, entry->version_index);
        group->registers[at].at_cut = version;
        seen_add(world, &group->registers[at], version, keyed_siphash(41, 43, entry->value, entry->value_bytes));
        return;
    }
    if (!operation_number_parse(entry->value, entry->value_bytes, &number))
        sys_fail(world, SYS_CHECK_CUT, "a number of group %u is none at the cut", group_index);
    if (kind == 'a') group->sum_at_cut += number;
    if (kind == 'a') group->accounts_at_cut++;
    bool planted = world->config.plant == SYS_CHECK_CUT && group->counters[at % SYS_COUNTERS].answered > 0; /* as if an ADD were not below it */
    if (kind == 'c' && at < SYS_COUNTERS) group->counters[at].at_cut = planted ? 0 : (uint64_t)number;
}

/* What was seen above the cut is gone; what was seen below it is there. */
static void register_cut(struct sys_world *world, uint32_t g, uint32_t i, uint64_t last) {
    struct reg *reg = &world->model->group[g].registers[i];
    uint64_t below = 0;
    uint32_t kept = 0;
    reg->lost = malloc((reg->seen_count + 1) * sizeof *reg->lost);
    CHECK(reg->lost != NULL);
    for (uint32_t k = 0; k < reg->seen_count; k++) {
        const struct seen seen = reg->seen[k];
        if (seen.version > last) reg->lost[reg->lost_count++] = seen;
        else reg->seen[kept++] = seen;
        if (seen.version <= last && seen.version > below) below = seen.version;
    }
    reg->seen_count = kept;
    kept = 0;
    for (uint32_t k = 0; k < reg->gap_count; k++) {
        if (reg->gaps[2 * k + 1] > last) continue;
        reg->gaps[2 * kept] = reg->gaps[2 * k];
        reg->gaps[2 * kept++ + 1] = reg->gaps[2 * k + 1];
    }
    reg->gap_count = kept;
    if (last == UINT64_MAX && reg->done > below) below = reg->done;
    if (reg->at_cut < below || reg->at_cut > last)
        sys_fail(world, SYS_CHECK_CUT, "register %u of group %u was seen in version %llu/%u below the cut, and a successor has %llu/%u", i, g,
                 (unsigned long long)version_of(below).height, version_of(below).index, (unsigned long long)version_of(reg->at_cut).height,
                 version_of(reg->at_cut).index);
    reg->done = reg->at_cut; /* what nobody was told of is there from here on */
}

static void counter_cut(struct sys_world *world, uint32_t g, uint32_t i, uint64_t last) {
    struct counter *counter = &world->model->group[g].counters[i];
    uint64_t answered = 0, shown = 0;
    for (uint32_t k = 0; k < counter->seen_count; k++) {
        const struct count_seen *seen = &counter->seen[k];
        bool below = seen->version <= last;
        answered += seen->add && below;
        counter->above += seen->add && !below;
        if (below && seen->number > shown) shown = seen->number;
    }
    if (last == UINT64_MAX) answered = counter->answered;
    if (last == UINT64_MAX && counter->done > shown) shown = counter->done;
    if (counter->at_cut < shown || counter->at_cut < answered || counter->at_cut > counter->asked)
        sys_fail(world, SYS_CHECK_CUT, "counter %u of group %u: a successor goes on from %llu; %llu were asked for, %llu answered, %llu seen", i, g,
                 (unsigned long long)counter->at_cut, (unsigned long long)counter->asked, (unsigned long long)answered, (unsigned long long)shown);
    for (uint64_t number = counter->at_cut + 1; number < counter->taken_room; number++) counter->taken[number] = false;
    counter->seen_count = 0;
    counter->answered = answered;
    counter->done = counter->asked = counter->at_cut; /* nothing adds to it but what is sent again, and what is asked from here on */
}

void sys_model_cut_end(struct sys_world *world, const uint64_t cuts[SYS_SIDE_MAX]) {
    for (uint32_t g = 0; g < world->model->groups; g++) {
        struct group *group = &world->model->group[g];
        char key[48];
        size_t bytes = key_of(key, g, "r", 0);
        uint64_t cut = cuts[partition_shard(world->system->partition_key, world->config.shards, (const uint8_t *)key, bytes)];
        uint64_t last = cut == UINT64_MAX ? cut : version_pack(cut, 0xFFFFFF);
        bool whole = group->accounts_at_cut == SYS_ACCOUNTS && group->sum_at_cut == SYS_ACCOUNTS * SYS_FUND;
        if (group->accounts_at_cut > 0 && !whole)
            sys_fail(world, SYS_CHECK_CUT, "the accounts of group %u hold %lld at the cut", g, (long long)group->sum_at_cut);
        for (uint32_t i = 0; i < SYS_REGISTERS; i++) register_cut(world, g, i, last);
        for (uint32_t i = 0; i < SYS_COUNTERS; i++) counter_cut(world, g, i, last);
    }
}

/* ---- what clients send again ---- */

void sys_model_again(struct sys_world *world, const uint8_t *key, size_t key_bytes) {
    uint32_t group, at;
    char kind;
    if (!key_read(key, key_bytes, &group, &kind, &at) || kind != 'c' || group >= world->model->groups || at >= SYS_COUNTERS) return;
    world->model->group[group].counters[at].asked++;
    world->model->group[group].counters[at].again++;
}

void sys_model_again_end(struct sys_world *world) {
    for (uint32_t g = 0; g < world->model->groups && world->journals_full == 0; g++) {
        for (uint32_t i = 0; i < SYS_COUNTERS; i++) {
            const struct counter *counter = &world->model->group[g].counters[i];
            sys_reached(world->stats, "lost_and_held", counter->above);
            if (counter->again < counter->above)
                sys_fail(world, SYS_CHECK_CUT, "%llu ADDs to counter %u of group %u were answered above the cut, and clients hold %llu",
                         (unsigned long long)counter->above, i, g, (unsigned long long)counter->again);
        }
    }
}

/* What a client was told of before it asked for something else comes again before that (S-144). */
static void order_check(const struct sys_client *client, struct reg *reg, uint64_t value) {
    struct seen *now = NULL;
    for (uint32_t i = 0; i < reg->lost_count; i++) {
        if (reg->lost[i].value == value && reg->lost[i].answered_us > 0 && reg->lost[i].client == client->index) now = &reg->lost[i];
    }
    if (now == NULL) return;
    now->again = true;
    for (uint32_t i = 0; i < reg->lost_count; i++) {
        const struct seen *later = &reg->lost[i];
        if (later->client != client->index || !later->again || later->asked_us <= now->answered_us) continue;
        sys_fail(client->world, SYS_CHECK_CUT, "client%u sent a write again before one that it was told of before it asked for that", client->index);
    }
    sys_reached(client->world->stats, "again_in_order", 1);
}

void sys_model_again_answer(struct sys_client *client, const struct heraclius_request *request) {
    struct sys_world *world = client->world;
    for (size_t i = 0; i < request->op_count; i++) {
        const struct heraclius_result *result = heraclius_result_at(request, i);
        struct bytes_cursor cursor = bytes_cursor_of(request->ops.bytes + request->op[i].at, request->op[i].bytes);
        struct operation operation;
        uint32_t group, at;
        char kind;
        CHECK(operation_decode(&cursor, &operation));
        bool now = result != NULL && result->code == HERACLIUS_CODE_OK && result->has_version &&
                   result->version.height > system_genesis_height(world->system);
        if (!now || !key_read(operation.key, operation.key_bytes, &group, &kind, &at)) continue; /* on record, or without effect */
        sys_reached(world->stats, "again_took_effect", 1);
        if (kind == 'c') added(world, 0, result, &world->model->group[group].counters[at]);
        if (kind != 'r') continue;
        bool put = operation.opcode == OPERATION_PUT;
        uint64_t value = keyed_siphash(41, 43, put ? operation.argument_a : operation.argument_b, put ? operation.a : operation.b);
        struct reg *reg = &world->model->group[group].registers[at];
        seen_add(world, reg, version_pack(result->version.height, result->version.index), value);
        order_check(client, reg, value);
    }
}
