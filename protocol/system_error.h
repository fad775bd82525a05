/*
 * Errors of chapter 7 (spec/system.md): one enum and one text for cards, the system file, CONFIG, administrative operations, key files, addresses.
 *
 * Contract
 *   Every function of the area that can fail on what the world hands it returns `enum system_error` and, where it takes a `struct system_fault *`,
 *   also
 *   fills in where: the file (when there is one), the field as a path (`clusters[0].nodes[2].signing_proof`), the line where that helps, and what
 *   to do.
 *   The fault pointer may be NULL. On SYSTEM_OK the fault is left as it was. Nothing secret is ever put into a fault.
 */
#ifndef PROTOCOL_SYSTEM_ERROR_H
#define PROTOCOL_SYSTEM_ERROR_H

enum system_error {
    SYSTEM_OK = 0,
    SYSTEM_FILE_UNREADABLE,   /* open, read, write, lock: errno is in the text */
    SYSTEM_FILE_EXISTS,       /* would overwrite */
    SYSTEM_FILE_IN_USE,       /* another process holds the lock */
    SYSTEM_FILE_OPEN_MODE,    /* a key file that others may read */
    SYSTEM_TOO_LARGE,         /* more bytes or elements than the table allows */
    SYSTEM_TRUNCATED,         /* the binary form ends early, or goes on */
    SYSTEM_NOT_JSON,          /* no JSON, or a name twice in one object */
    SYSTEM_NOT_CANONICAL,     /* it re-encodes to other bytes */
    SYSTEM_FIELD_MISSING,
    SYSTEM_FIELD_UNKNOWN,
    SYSTEM_FIELD_TYPE,        /* not a string, integer, array, hex of the right length */
    SYSTEM_FIELD_RANGE,       /* outside of the range of its table */
    SYSTEM_FORMAT_UNKNOWN,    /* a format or version that this build does not know */
    SYSTEM_ID_MISMATCH,       /* the id that it carries is not the id that it has */
    SYSTEM_KEY_INVALID,       /* no canonical point of the prime-order subgroup, or noise key and its proof key do not belong together */
    SYSTEM_PROOF_INVALID,     /* a proof of possession does not verify */
    SYSTEM_SIGNATURE_INVALID, /* a signature does not verify, or is of a stranger */
    SYSTEM_SIGNATURES_TOO_FEW,
    SYSTEM_KEY_TWICE,         /* two nodes, clients or administrators with one key */
    SYSTEM_NAME_TWICE,
    SYSTEM_ORDER,             /* not in the ascending order that the table asks for */
    SYSTEM_LIMITS_CONFLICT,   /* two limits that exclude each other */
    SYSTEM_FOREIGN,           /* of another system, cluster or node */
    SYSTEM_SERIAL,            /* not the next serial number, or another predecessor */
    SYSTEM_CHANGE_TOO_LARGE,  /* more members change at once than min(f before, f after) */
    SYSTEM_CERTIFICATE,       /* a CONFIG certificate or its proof does not verify */
    SYSTEM_NOTHING_FREE,      /* no free port, no entropy, no memory */
    SYSTEM_ERRORS
};

enum { SYSTEM_FAULT_BYTES = 400 };

struct system_fault {
    enum system_error error;
    char text[SYSTEM_FAULT_BYTES]; /* one line, NUL-terminated, without a newline at the end */
};

/* The constant name of the error in spec/system.md, e.g. "id-mismatch". Never NULL. */
const char *system_error_name(enum system_error error);

/* Fills `fault` (may be NULL) and gives back `error`. */
enum system_error system_fault_set(struct system_fault *fault, enum system_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text (a file name, an outer field). */
void system_fault_prefix(struct system_fault *fault, const char *prefix);

#endif
