/*
 * A file of evidence on its way out: the node hands it to this program in pieces (spec/appliance.md A-24), and a browser has each before the next
 * is asked for. So a file of any size costs one piece of memory, and none is kept here.
 *
 * What a node says is hostile: a name that is none, a file that changes on the way, pieces that are none. Then the transfer breaks off: whoever
 * downloads has fewer bytes than Content-Length says, and no file that could be taken for whole.
 */
#ifndef APPLIANCE_ADMIN_EVIDENCE_H
#define APPLIANCE_ADMIN_EVIDENCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "appliance/admin/admin.h"
#include "appliance/status/control.h"

struct admin_evidence {
    const char *socket; /* the node's */
    char file[CONTROL_EVIDENCE_NAME_MAX + 1];
    uint64_t bytes; /* 0: not known yet */
    uint64_t piece_at; /* the piece that was read last, which begins there */
    size_t piece_bytes;
    uint8_t piece[CONTROL_PIECE_BYTES];
};

/* As libmicrohttpd calls them: bytes from `at` on, or MHD_CONTENT_READER_END_WITH_ERROR; the end of it. */
ssize_t admin_evidence_read(void *evidence, uint64_t at, char *out, size_t room);
void admin_evidence_free(void *evidence); /* NULL is fine */

#endif
