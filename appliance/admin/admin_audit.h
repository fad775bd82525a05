/*
 * The audit log of the admin console: one JSON object a line, appended and synced before what it tells of is done. A line has "number" (goes on over
 * restarts), "time_ms" (this machine's calendar), "who", "action", "outcome" and "detail".
 *
 * A line is whole, or torn with an end of its own, never two mixed: what a full disk took of one is taken away again.
 *
 * What changes nothing and may be done over and over (a claim that is refused, a support bundle) would fill both files until they tell of nothing
 * else: of one sender it is told once in ADMIN_SELDOM_MS, with how often it was done meanwhile.
 *
 * At ADMIN_AUDIT_BYTES_MAX the file becomes PATH.1 in place of an older one. Without a path (loopback alone, nothing to be changed) there is no log.
 */
#ifndef APPLIANCE_ADMIN_AUDIT_H
#define APPLIANCE_ADMIN_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/admin/admin_syslog.h"

enum { ADMIN_SELDOM_MAX = 256, ADMIN_SELDOM_MS = 60000, ADMIN_SELDOM_BYTES = 384 };
enum { ADMIN_AUDIT_BYTES_MAX = 4 << 20, ADMIN_AUDIT_PATH_BYTES = 4096, ADMIN_AUDIT_SHOWN = 200, ADMIN_AUDIT_LINE_BYTES = 1024 };

struct admin_audit {
    char path[ADMIN_AUDIT_PATH_BYTES]; /* "": none */
    int fd;
    uint64_t number;             /* of the newest line */
    struct admin_syslog *syslog; /* where each line goes too, or NULL */
};

/* Opens or makes FOLDER/audit.jsonl and finds the newest number. False: errno says why. */
bool admin_audit_open(struct admin_audit *audit, const char *folder);
/* False: not on disk, so what it tells of is not to be done. Texts longer than a line has room for are cut. */
bool admin_audit_add(struct admin_audit *audit, const char *who, const char *action, const char *outcome, const char *detail)
    __attribute__((warn_unused_result));
/* What was told of when. All zero is its beginning. When it is full whoever was told of longest ago is forgotten. */
struct admin_seldom {
    struct admin_seldom_one {
        char what[ADMIN_SELDOM_BYTES];
        uint64_t told_ms; /* 0: never */
        uint32_t untold;  /* how often it was done since */
    } of[ADMIN_SELDOM_MAX];
};
/* Counts one more of `what`: NULL: it is not to be told now. Else it is, and when that is done the caller says admin_seldom_told(). */
struct admin_seldom_one *admin_seldom_due(struct admin_seldom *seldom, uint64_t now_ms, const char *what);
void admin_seldom_told(struct admin_seldom_one *one, uint64_t now_ms);

/* The newest lines, newest first, at most ADMIN_AUDIT_SHOWN; a new reference. */
json_t *admin_audit_newest(const struct admin_audit *audit);

#endif
