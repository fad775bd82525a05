/*
 * What a disk holds after a power cut, rebuilt from a record (tests/sweep/record.h).
 *
 * The model. A file's bytes are durable once the file was synced after they were written, or when they were written by a descriptor that makes them
 * so. Of the writes since then, a cut leaves none, all, or any of them, whole or in any of their 512-byte sectors, in any combination. Names
 * (creating, renaming, removing) are durable once the folder in which they are was synced; of the later ones a cut leaves the first few, in order, as
 * a journal does. The call during which the power goes is one of those that may have happened or not.
 */
#ifndef TESTS_SWEEP_IMAGE_H
#define TESTS_SWEEP_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sweep/record.h"

enum { IMAGE_PATH_BYTES = 256, IMAGE_SECTOR = 512 };

struct image; /* opaque: all that the record did up to some event */

/* `base`: a folder as it was, durable, before the record began; NULL: an empty one. */
struct image *image_create(const char *base);
void image_destroy(struct image *image);
/* An event of the record was done (image_apply) or is under way (image_begin: it may or may not have happened; image_apply makes it done). */
void image_begin(struct image *image, const struct record_event *event, const char *path, const uint8_t *bytes);
void image_apply(struct image *image);
/* Plants a fault: syncs of files whose path has this ending count for nothing. NULL: none. */
void image_ignore_syncs(struct image *image, const char *ending);
/* Writes to them by descriptors that were opened to be synchronous are as any others. */
void image_ignore_durable(struct image *image, const char *ending);

enum image_cut { IMAGE_NOTHING_MORE, IMAGE_ALL, IMAGE_RANDOM };
/* Writes what the cut leaves into the folder `out`, which is emptied first. False: it is the same as the one written there last. */
bool image_write(struct image *image, enum image_cut cut, uint64_t *random, const char *out);
/* Bytes of writes that are neither durable nor lost yet. */
uint64_t image_unsynced(const struct image *image);

/* The next word of a seeded row. */
uint64_t image_random(uint64_t *state);

#endif
