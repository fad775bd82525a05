#include "appliance/status/status.h"

#define STATUS_TEXT(identifier, name) name,
static const char *const drop_names[] = {STATUS_DROPS(STATUS_TEXT)};
static const char *const attack_names[] = {STATUS_ATTACKS(STATUS_TEXT)};
#undef STATUS_TEXT

static const char *const phase_names[] = {"restoring", "asking_last_signed", "catching_up", "voting", "draining", "retired", "rolled_back",
                                          "succeeded", "observing", "removed", "sealed"};

const char *status_drop_name(enum status_drop drop) {
    return (unsigned)drop < STATUS_DROP_COUNT ? drop_names[drop] : "unknown";
}

const char *status_attack_name(enum status_attack attack) {
    return (unsigned)attack < STATUS_ATTACK_COUNT ? attack_names[attack] : "unknown";
}

const char *status_phase_name(enum status_phase phase) {
    return (unsigned)phase < sizeof phase_names / sizeof phase_names[0] ? phase_names[phase] : "unknown";
}
