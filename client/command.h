/*
 * The inside of the `heraclius` command: what its subcommands share.
 *
 *   heraclius_main.c  finds the subcommand, reads options, opens the client
 *   command.c         files, words, values, exit codes
 *   command_options.c which options there are, and which command has which
 *   command_output.c  standard output and receipts that cannot be written
 *   cmd_data.c        get, put, del, cas, add
 *   cmd_batch.c       batch
 *   cmd_settle.c      settle
 *   cmd_verify.c      verify
 *   cmd_backup.c      backup; cmd_backup_verify.c: verify of a backup
 *   cmd_status.c      status
 *   cmd_bench.c       bench (bench_*.c)
 *   cmd_upgrade.c     upgrade (upgrade.h)
 *   cmd_system.h      node, client, admin enroll; system assemble, init, show, local
 *
 * Each subcommand returns the exit code of the table below.
 */
#ifndef CLIENT_COMMAND_H
#define CLIENT_COMMAND_H

#include <jansson.h>
#include <limits.h>
#include <popt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/heraclius.h"

enum command_exit {
    EXIT_DONE = 0,
    EXIT_NO = 1,         /* answered "no"; a receipt that does not verify */
    EXIT_USAGE = 2,      /* usage, unreadable or invalid files */
    EXIT_UNANSWERED = 3, /* no verified answer in time, BUSY to the end, no quorum */
    EXIT_REFUSED = 4,    /* rights, quota, revoked, too old */
    EXIT_NOT_KEPT = 5,   /* done, a write with effect; but output or receipt could not be written, or there is no receipt */
};

struct command {
    const char *name;
    const char *system_path; /* options, or the environment, or local/system.json */
    const char *client_path; /* NULL: client.key beside the system file */
    const char *via;
    const char *predecessor, *statement, *chain; /* after a succession */
    int timeout_s;
    int json, hex, if_absent, atomic, retry, cancel;
    const char *file;
    const char *receipt;
    const char *floor;
    const char *out;       /* backup */
    const char **clusters; /* backup: NULL-terminated; NULL: all */
    int stall_s;           /* backup */
    const char *consoles, *release_key; /* upgrade */
    int at_once, wait_s, away_s, again, dry_run;
    const char **words; /* after the name */
    int words_count;
};

/* A value of unknown content. `bytes` is malloc'd. */
struct command_bytes {
    uint8_t *bytes;
    size_t count;
};

typedef int command_function(const struct command *command);
command_function command_get, command_put, command_del, command_cas, command_add, command_batch, command_settle, command_verify, command_status,
    command_backup, command_upgrade;
int command_bench(int argc, const char **argv);

/* command_options.c: one bit per command that has options of ours. */
enum command_set {
    COMMAND_GET = 1 << 0,
    COMMAND_PUT = 1 << 1,
    COMMAND_DEL = 1 << 2,
    COMMAND_CAS = 1 << 3,
    COMMAND_ADD = 1 << 4,
    COMMAND_BATCH = 1 << 5,
    COMMAND_SETTLE = 1 << 6,
    COMMAND_VERIFY = 1 << 7,
    COMMAND_STATUS = 1 << 8,
    COMMAND_BENCH = 1 << 9,
    COMMAND_CLIENT = 1 << 10, /* client add, change, revoke, submit */
    COMMAND_BACKUP = 1 << 11,
    COMMAND_UPGRADE = 1 << 12,
};
enum { COMMAND_OPTIONS_MAX = 20 };
extern struct command command_options; /* where they go */
/* The table of one command: what it has, and nothing else. */
void command_options_of(enum command_set command, struct poptOption out[COMMAND_OPTIONS_MAX]);
/* Is this word an option, of any command, whose argument is the next word? */
bool command_option_takes_word(const char *word);

/* command_output.c. Once, first of all: at every exit standard output is checked; if it could not be written and the exit code would be 0, it is
 * EXIT_NOT_KEPT, after a line on stderr. */
void command_output_watch(void);
int command_output_exit(int code); /* the exit code; gives it back */
/* Has happened for good, whatever becomes of the output: "the write took effect". A static text. */
void command_effect(const char *what);
/* A file to be written after an answer, made sure of before anything is sent. An existing one is replaced only by what is whole. */
struct command_keep {
    char path[PATH_MAX];
    char temporary[PATH_MAX + 8]; /* beside it; "": a pipe or device, written as it is */
    int fd;
    bool standard; /* "-" */
};
bool command_keep_open(struct command_keep *keep, const char *path);                    /* false after a line on stderr */
bool command_keep_write(struct command_keep *keep, const uint8_t *bytes, size_t count); /* writes and closes; false: errno says why */
void command_keep_drop(struct command_keep *keep); /* not written after all; after command_keep_write() it does nothing */

/* cmd_backup_verify.c: of a folder of backups, of one, or of one file of it. */
bool command_backup_is(const char *path);
int command_backup_verify(const struct command *command, const char *path);
/* What it is, on stdout, and what it proves and does not. */
struct backup;
void command_backup_print(const struct backup *backup, const char *path);
json_t *command_backup_json(const struct backup *backup, const char *path);

/* cmd_status.c: what the nodes of a cluster state, taken together. */
struct command_cluster {
    uint32_t cluster;
    uint32_t strangers;                          /* nodes that do not let this client in */
    const struct heraclius_enrolment *enrolment; /* of a coordinator */
    uint32_t nodes, faults, quorum, reached;
    uint32_t up;       /* reached, voting, and not far behind */
    uint32_t agreeing; /* nodes that state the view shown; 0: the view is not known */
    bool sealed;       /* proved by its chain */
    bool height_known; /* f+1 nodes state it or a greater one */
    uint64_t view, height;
};
/* The view that most nodes state; the greatest height that f+1 of them state or pass. `sealed` and `enrolment` are the caller's. */
struct command_cluster command_cluster_of(const struct heraclius_node_status *nodes, size_t count, uint32_t cluster);
/* Is this one of those that are `up`? */
bool command_cluster_counts(const struct command_cluster *cluster, const struct heraclius_node_status *node);

/* argv[0]: a checkout's system file may be beside it. */
extern const char *command_program;
/* System path by option, environment or checkout. False, after a line on stderr: none. */
bool command_find_system(struct command *command);

int command_fail(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Opens the client; NULL after a line on stderr, and *exit_code. */
struct heraclius *command_open(const struct command *command, int *exit_code);
uint32_t command_timeout_ms(const struct command *command);
/* A key or value as typed: raw, or hex with --hex. False after a line on stderr. */
bool command_typed(const struct command *command, const char *word, struct command_bytes *out);
/* A whole file, "-" is stdin. False after a line on stderr; `limit` says there what bytes_max is. */
bool command_read_file(const char *path, size_t bytes_max, const char *limit, struct command_bytes *out);
bool command_write_file(const char *path, const uint8_t *bytes, size_t count);
/* Exact signed decimal that fits 64 bits; exact unsigned. */
bool command_number(const char *word, int64_t *out);
/* "HEIGHT.INDEX", as --json prints versions. */
bool command_version(const char *word, struct heraclius_version *out);
/* Exit code of a call's status; for all but HERACLIUS_DONE prints why. */
int command_status_exit(const struct heraclius_request *request, enum heraclius_status status);
/* Exit code of a call that ended without an outcome, by its text: refused (quota, revoked) or unanswered. */
int command_why_exit(const char *why);
/* Exit code of one result's code. */
int command_code_exit(enum heraclius_code code);
/* {"code": ..., "value": ..., "version": ..., "height": ...}: one result. */
json_t *command_result_json(const struct heraclius_result *result, bool hex);
/* Bytes as JSON: "name" as a string if they are UTF-8 and not `hex`, else "name_hex". */
void command_bytes_json(json_t *object, const char *name, const uint8_t *bytes, size_t count, bool hex);
void command_print_json(json_t *object);
/* Value on stdout, in hex if wanted, and a newline. */
void command_print_value(const struct command *command, const uint8_t *bytes, size_t count);

#endif
