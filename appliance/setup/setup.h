/*
 * heraclius-setup: the program that reads and verifies what init does not (spec/appliance.md 9.5). init runs it for one job at a time, confined, with
 * the text on descriptor 3; its answer is what init goes by: lines on standard output and exit 0, or one line "WORD: why, and what to do" and exit 1.
 *
 *   plan    a configuration that is kept      -> lines of the plan (init/plan.h)
 *   take    a candidate; judged also against what is kept in /data/config/bundle  -> the same
 *   keys    makes the node's keys, once       -> its card request
 *   owner HEX   pins the owner's key; another one as long as there are no keys  -> nothing
 *   retire  gives the node's key up, for ever -> nothing; `files` tells the node
 *   files   a configuration that is kept      -> files of the node, and, by /bin/heracliusd --init, its data if they were never made; -> `changed`,
 *           if node.conf is another than it was: a program that runs is to be begun anew
 *
 *   file                       who writes it           what it is
 *   /etc/heraclius/owner       the image               the owner's key: 64 hex digits; goes before
 *   /data/public/owner         owner, at the console   the same
 *   /data/public/request       keys                    the card request: who this node is, for those who may not read its key
 *   /data/public/retired       retire                  that the node's key was given up
 *   /data/public/made          files                   that the node's data were made, and whose
 *   /data/public/ballast.a ... .t   keys, files        nothing: room for all of this on a full disk (below)
 *   /data/public/admin.conf, admin.pem, syslog.pem, system.json   files   what the admin console is told (appliance/admin/admin_appliance.h)
 *   /data/node/node.key        keys                    the secret keys
 *   /data/node/node.conf, system.json, addresses.json, chain, predecessor.json, statement, data/   files
 *   /data/node/backup/         whoever made the data disk, elsewhere: what a successor's node begins from
 *
 * Lost data are not made anew (P-3): a key that has voted must not begin from nothing. So `made` is durable before the node is ever started; whoever
 * finds data without it was interrupted between the two, and the node has not run. `keys` likewise makes no second key where a request says that
 * there was one.
 *
 * The node can fill the disk, to the last block and the last inode: with its data, or in strange hands so that its operator neither gives its key up
 * nor brings another configuration. So the largest configuration has its room kept, in files below /data/public, where no node reaches: when there is
 * none elsewhere, as many of them are removed as a file needs, by whoever writes it (init too, for /data/config/bundle: init/config.c), at the last
 * moment, since a node that runs may take what is free. They are made again by the next `files`, if the disk has room then: never so that the node
 * has less left than they take. `retire` succeeds without them, too.
 */
#ifndef APPLIANCE_SETUP_H
#define APPLIANCE_SETUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/candidate.h"

enum { SETUP_PATH_BYTES = 1024, SETUP_INPUT = 3, SETUP_MADE_BYTES = 256 };

/* Each returns the exit code: 0, or 1 after its line on standard error. `root` is put before every path: "" on an appliance. */
int setup_plan(const char *root);
int setup_take(const char *root);
int setup_keys(const char *root, const char *name); /* name: into the card; NULL: node- and 12 digits of its key's hash */
int setup_files(const char *root);
int setup_owner_pin(const char *root, const char *hex);
int setup_retire(const char *root);

/* ---- what they share (setup.c) ---- */

/* Who this node is and whose. */
struct setup_self {
    struct card own;
    uint8_t owner_key[32];
    struct candidate_node node; /* of the two */
};
bool setup_is_there(const char *path); /* also what cannot be looked at */
bool setup_path(char out[SETUP_PATH_BYTES], const char *root, const char *path, struct system_fault *fault);
enum system_error setup_owner(const char *root, uint8_t owner_key[32], struct system_fault *fault) __attribute__((warn_unused_result));
enum system_error setup_self_read(struct setup_self *self, const char *root, struct system_fault *fault) __attribute__((warn_unused_result));
/* What is on SETUP_INPUT, judged; candidate_free() is due in any case. */
enum system_error setup_input_judge(struct candidate *candidate, const struct setup_self *self, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* The mark `made` on this disk: its text for this configuration, and that it is of no other node or system; *made: there is one. */
size_t setup_made_text(const struct candidate *candidate, char out[SETUP_MADE_BYTES]);
enum system_error setup_made_check(const char *root, const struct candidate *candidate, bool *made, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* The room for a full disk (setup_ballast.c), in SETUP_BALLAST_PIECES files ballast.a, ballast.b, ... The largest configuration takes: its text, as
 * init keeps it; what that decodes to (48 bytes of each 65, A-2), twice, since the system file goes to the node and to the console; for each of 16
 * files the rest of a block, and one for its folder. */
enum {
    SETUP_BALLAST_PIECES = 20,
    SETUP_BALLAST_PIECE_BYTES = 1 << 20,
    SETUP_BALLAST_BYTES = SETUP_BALLAST_PIECES * SETUP_BALLAST_PIECE_BYTES,
    SETUP_BALLAST_NEEDED = BUNDLE_TEXT_BYTES_MAX + 2 * (BUNDLE_TEXT_BYTES_MAX / 65 * 48) + 16 * 2 * 4096
};
_Static_assert(SETUP_BALLAST_NEEDED <= SETUP_BALLAST_BYTES, "the largest configuration finds its room");
/* Best effort: what cannot be made, or has something else in its place, is left out. */
void setup_ballast_make(const char *root);
/* canonical_replace(), with as much of the ballast given for it as it takes; an error says if the disk is full. */
enum system_error setup_replace(const char *root, const char *path, const void *bytes, size_t count, unsigned mode, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* In the child that becomes the node's program at its --init, whoever wrote it: from now on it may write /data/node alone, and read neither
 * /proc nor /run nor what setup keeps. False: errno. A kernel without Landlock (init starts nothing there) leaves it as it is. */
bool setup_confine(const char *root, const char *program) __attribute__((warn_unused_result));
/* Exit code; an error is told. */
int setup_end(enum system_error error, const struct system_fault *fault);

#endif
