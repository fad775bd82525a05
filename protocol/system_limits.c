/* The rows of the two lists, and the checks between limits (S-40 to S-42). */
#include "protocol/system_limits.h"

#include <string.h>

#include "merkle/check.h"

#define ROW(base, type, name, standard, lowest, highest) {#name, (standard), (lowest), (highest), offsetof(struct base, name), sizeof(type)},
#define LIMIT_ROW(type, name, standard, lowest, highest) ROW(system_limits, type, name, standard, lowest, highest)
#define TIMEOUT_ROW(type, name, standard, lowest, highest) ROW(system_timeouts, type, name, standard, lowest, highest)

const struct system_limit_row system_limit_rows[SYSTEM_LIMITS_COUNT] = {SYSTEM_LIMITS(LIMIT_ROW)};
const struct system_limit_row system_timeout_rows[SYSTEM_TIMEOUTS_COUNT] = {SYSTEM_TIMEOUTS(TIMEOUT_ROW)};

/* Each default and highest fits the field and the range is a range. */
#define ROW_SANE(type, name, standard, lowest, highest)                                                                                   \
    _Static_assert((lowest) <= (standard) && (standard) <= (highest), #name);                                                             \
    _Static_assert(sizeof(type) == 8 || (uint64_t)(highest) <= UINT32_MAX, #name " does not fit");
SYSTEM_LIMITS(ROW_SANE)
SYSTEM_TIMEOUTS(ROW_SANE)

uint64_t system_limit_get(const void *base, const struct system_limit_row *row) {
    const uint8_t *at = (const uint8_t *)base + row->offset;
    uint64_t wide;
    uint32_t narrow;
    if (row->bytes == sizeof wide) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

void system_limit_set(void *base, const struct system_limit_row *row, uint64_t value) {
    uint8_t *at = (uint8_t *)base + row->offset;
    if (row->bytes == sizeof value) {
        memcpy(at, &value, sizeof value);
        return;
    }
    CHECK(value <= UINT32_MAX);
    uint32_t narrow = (uint32_t)value;
    memcpy(at, &narrow, sizeof narrow);
}

void system_limits_default(struct system_limits *limits) {
    memset(limits, 0, sizeof *limits); /* padding too: CONFIGs are compared as bytes */
    for (size_t i = 0; i < SYSTEM_LIMITS_COUNT; i++) system_limit_set(limits, &system_limit_rows[i], system_limit_rows[i].standard);
}

void system_timeouts_default(struct system_timeouts *timeouts) {
    memset(timeouts, 0, sizeof *timeouts);
    for (size_t i = 0; i < SYSTEM_TIMEOUTS_COUNT; i++) system_limit_set(timeouts, &system_timeout_rows[i], system_timeout_rows[i].standard);
}

static enum system_error check_rows(const void *base, const char *list, const struct system_limit_row *rows, size_t count,
                                    struct system_fault *fault) {
    for (size_t i = 0; i < count; i++) {
        uint64_t value = system_limit_get(base, &rows[i]);
        if (value >= rows[i].lowest && value <= rows[i].highest) continue;
        return system_fault_set(fault, SYSTEM_FIELD_RANGE, "%s.%s: %llu is not within %llu to %llu", list, rows[i].name, (unsigned long long)value,
                                (unsigned long long)rows[i].lowest, (unsigned long long)rows[i].highest);
    }
    return SYSTEM_OK;
}

struct relation {
    const char *text;
    bool holds;
};

static enum system_error check_relations(const char *list, const struct relation *relations, size_t count, struct system_fault *fault) {
    for (size_t i = 0; i < count; i++) {
        if (!relations[i].holds) return system_fault_set(fault, SYSTEM_LIMITS_CONFLICT, "%s: must hold: %s", list, relations[i].text);
    }
    return SYSTEM_OK;
}

enum system_error system_limits_check(const struct system_limits *l, struct system_fault *fault) {
    enum system_error error = check_rows(l, "limits", system_limit_rows, SYSTEM_LIMITS_COUNT, fault);
    if (error) return error;
    const struct relation relations[] = {
        {"key_bytes_max + value_bytes_max + 1024 <= batch_bytes_max", (uint64_t)l->key_bytes_max + l->value_bytes_max + 1024 <= l->batch_bytes_max},
        {"batch_bytes_max + 65536 <= slice_bytes_max", (uint64_t)l->batch_bytes_max + 65536 <= l->slice_bytes_max},
        {"slice_bytes_max + 65536 <= block_input_bytes_max", (uint64_t)l->slice_bytes_max + 65536 <= l->block_input_bytes_max},
        {"4 * batch_bytes_max <= relay_bytes_max", 4 * (uint64_t)l->batch_bytes_max <= l->relay_bytes_max},
        {"batch_ops_max <= slice_ops_max", l->batch_ops_max <= l->slice_ops_max},
        {"batch_ops_max * 8 <= credit_ops", (uint64_t)l->batch_ops_max * 8 <= l->credit_ops},
        {"enough_ops <= slice_ops_max", l->enough_ops <= l->slice_ops_max},
        {"enough_bytes <= slice_bytes_max", l->enough_bytes <= l->slice_bytes_max},
        {"slice_bytes_max <= unacked_bytes_max", l->slice_bytes_max <= l->unacked_bytes_max},
        {"slice_bytes_max <= credit_bytes", l->slice_bytes_max <= l->credit_bytes},
        {"64 * number_window <= record_bytes_max", 64 * (uint64_t)l->number_window <= l->record_bytes_max},
        {"read_bytes_default <= value_bytes_max", l->read_bytes_default <= l->value_bytes_max},
        {"window_blocks <= checkpoint_blocks / 4", l->window_blocks <= l->checkpoint_blocks / 4},
        {"number_window is a multiple of 16", l->number_window % 16 == 0},
        {"link_version_min <= link_version_max", l->link_version_min <= l->link_version_max},
        {"aead_allowed has bit 0 (ChaCha20-Poly1305)", (l->aead_allowed & 1) == 1},
    };
    return check_relations("limits", relations, sizeof relations / sizeof relations[0], fault);
}

enum system_error system_timeouts_check(const struct system_timeouts *t, struct system_fault *fault) {
    enum system_error error = check_rows(t, "timeouts", system_timeout_rows, SYSTEM_TIMEOUTS_COUNT, fault);
    if (error) return error;
    const struct relation relations[] = {
        {"view_base_ms <= view_max_ms", t->view_base_ms <= t->view_max_ms},
        {"due_ms <= view_base_ms", t->due_ms <= t->view_base_ms},
        {"2 * link_ping_ms <= link_idle_ms", 2 * (uint64_t)t->link_ping_ms <= t->link_idle_ms},
        {"reconnect_min_ms <= reconnect_max_ms", t->reconnect_min_ms <= t->reconnect_max_ms},
        {"throughput_window_ms <= throughput_half_life_ms", t->throughput_window_ms <= t->throughput_half_life_ms},
    };
    return check_relations("timeouts", relations, sizeof relations / sizeof relations[0], fault);
}

enum system_error system_limits_follow(const struct system_limits *file, const struct system_limits *in_force, const struct system_limits *next,
                                       struct system_fault *fault) {
    if (next->slice_bytes_max != file->slice_bytes_max || next->slice_ops_max != file->slice_ops_max)
        return system_fault_set(fault, SYSTEM_LIMITS_CONFLICT, "CONFIG: slice_bytes_max and slice_ops_max cannot be changed from the system file's");
    if (next->number_window < in_force->number_window)
        return system_fault_set(fault, SYSTEM_LIMITS_CONFLICT, "CONFIG: number_window cannot be lowered: there are records of the numbers in it");
    const struct {
        const char *name;
        uint64_t file, next;
    } reserved[] = {{"block_input_bytes_max", file->block_input_bytes_max, next->block_input_bytes_max},
                    {"credit_ops", file->credit_ops, next->credit_ops},
                    {"credit_bytes", file->credit_bytes, next->credit_bytes},
                    {"table_keys_max", file->table_keys_max, next->table_keys_max},
                    {"table_bytes_max", file->table_bytes_max, next->table_bytes_max},
                    {"clients_max", file->clients_max, next->clients_max}};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (reserved[i].next <= reserved[i].file) continue;
        return system_fault_set(fault, SYSTEM_LIMITS_CONFLICT, "CONFIG: %s cannot be above the system file's %llu: nodes reserved memory by it",
                                reserved[i].name, (unsigned long long)reserved[i].file);
    }
    return SYSTEM_OK;
}
