/* A backup of one coordinator cluster of a fixture (spec/durability.md P-80), with every kind of item, as a folder. */
#ifndef TESTS_PROTOCOL_BACKUP_FIXTURE_H
#define TESTS_PROTOCOL_BACKUP_FIXTURE_H

#include "tests/protocol/identity_fixture.h"

struct backup_wishes {
    uint32_t entries;      /* of the user space */
    uint32_t value_bytes;  /* of each, at most 192; 0: short ones of all lengths */
    uint64_t height;       /* 0: BACKUP_FIXTURE_HEIGHT; the state differs with it */
    uint16_t prefix_bits;  /* of its pieces */
    uint64_t epoch;        /* 0, or 1: after a CONFIG at height 10 */
    uint64_t extra_entries, drop_items; /* a manifest that lies: so many entries too many; the last items not listed */
    uint32_t certificate_headers; /* of the child's certificate: a QC on a descendant, by so many headers; 0: on the child */
    uint32_t lists;        /* routing lists besides the one that is always there: so many more items */
    bool swap_slices;      /* the older unacknowledged slice is another one than the newer one's `previous` says, properly decided */
};
enum { BACKUP_FIXTURE_HEIGHT = 1024, BACKUP_FIXTURE_ITEMS = 4 };

/* Makes the folder, which must be empty or absent, and its files. The cluster is fixture cluster 0. */
void backup_fixture_write(const struct fixture *fixture, const struct backup_wishes *wishes, const char *folder);

#endif
