/* What the cmd_*.c files of the system commands share. */
#ifndef CLIENT_CMD_SYSTEM_INSIDE_H
#define CLIENT_CMD_SYSTEM_INSIDE_H

#include <popt.h>
#include <stdbool.h>

#include "protocol/keyfile.h"
#include "protocol/system.h"

enum { CMD_EXIT_DONE = 0, CMD_EXIT_USAGE = 2, CMD_PATH_BYTES = 4096 };

/* "heraclius: text" on stderr; gives back CMD_EXIT_USAGE. */
int cmd_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Parses all options; false after a message. Words that are no option stay with poptGetArg(). */
bool cmd_options(poptContext context);
/* The words that are left after cmd_options(), and how many; they live as long as the context. */
const char **cmd_words(poptContext context, int *count);
/* What POPT_ARG_ARGV gave; NULL is nothing. */
void cmd_words_free(char **words);
/* The end of a command: frees every text and list that the options of this table, or of a table that it includes, were given, and the context. */
void cmd_options_end(poptContext context, const struct poptOption *options);

/* Starts Ed25519 (self-test included); false after a message. */
bool cmd_signatures_start(void);

/* "folder/name"; false after a message when too long. */
bool cmd_path(char out[CMD_PATH_BYTES], const char *folder, const char *name);
/* Makes a folder unless it is there; false after a message. */
bool cmd_folder(const char *path, unsigned mode);

/* Makes a key, its card and both files; for a node the owner's key too, at owner_path: read if it exists, else made when `owner_make`. False after a
 * message; then nothing that it made is left. */
struct cmd_enrolment {
    enum keyfile_kind kind;
    const char *name;
    const char *key_path;
    const char *card_path;
    const char *owner_path; /* nodes */
    bool owner_make;
};
bool cmd_enroll_files(const struct cmd_enrolment *enrolment, struct card *card);

/* Replaces addresses.json, or makes it, in one step; false after a message. Entries must ascend by name. */
struct addresses;
bool cmd_addresses_write(const char *path, const struct addresses *addresses);

/* RULE,RULE,... of a client; without a right among them: all keys, both ways. The text is cut up; false after a message that begins with `of`. */
struct cmd_rules {
    struct system_right rights[SYSTEM_RIGHTS_MAX];
    uint32_t rights_count, per_second, burst;
};
bool cmd_rules_take(struct cmd_rules *rules, char *text, const char *of);

/* NAME=VALUE of a limit or time-out into the system that is being assembled; false after a message. */
struct assembly;
bool cmd_setting_take(struct assembly *assembly, const char *text);

/* cmd_image.c: a release and all that a machine would check of it but its own number and architecture; `said`: a key or a file of keys, NULL: the
 * signature is not checked. The file's bytes are malloc'd. Else the exit code, after a message. */
struct command_bytes;
struct release;
int cmd_release_read(const char *path, const char *said, struct release *release, struct command_bytes *file);

/* Has `heracliusd --init --config FILE` make the data directory, from a backup unless `from` is NULL, with the chain of CONFIGs of its cluster unless
 * `chain` is; false after a message. */
bool cmd_node_data_init(const char *config_path, const char *from, const char *chain);

/* 16 random bytes and the like, from ring/entropy.h. */
bool cmd_entropy(void *context, uint8_t *out, size_t count);

#endif
