/*
 * A release of the appliance's image (spec/appliance.md 9.6, rules ): what is signed of a UKI, and what a UKI says of itself.
 *
 * A release is one file: the record, RELEASE_BYTES, then the UKI that it is about. Whoever takes one from a stranger decodes the record, verifies its
 * signature, then reads as many bytes as it says, and compares their hash: nothing else of the file is believed before.
 *
 *   offset  bytes  field
 *        0      1  format, 1
 *        1      3  zero
 *        4      4  architecture: enum release_architecture
 *        8      8  number, from 1: higher with each release
 *       16      8  bytes of the UKI, 1 to RELEASE_IMAGE_BYTES_MAX
 *       24     32  SHA-256 of the UKI
 *       56     40  label: 1 to 40 characters 0x21 to 0x7E, filled up with zeros
 *       96     64  signature over the tag `HRC image` | SHA-256(0x1B | all before it)
 *
 * No heap, no I/O.
 */
#ifndef PROTOCOL_RELEASE_H
#define PROTOCOL_RELEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bft/ed25519.h"
#include "protocol/system_error.h"

enum { RELEASE_BYTES = 160, RELEASE_LABEL_MAX = 40, RELEASE_KEYS_MAX = 8, RELEASE_IMAGE_BYTES_MAX = 64 << 20 };

enum release_architecture { RELEASE_AMD64 = 1, RELEASE_ARM64 = 2, RELEASE_S390X = 3 };

struct release {
    enum release_architecture architecture;
    uint64_t number, bytes;
    uint8_t sha256[32];
    char label[RELEASE_LABEL_MAX + 1];
    uint8_t signature[64];
};

/* Who may sign releases: /etc/heraclius/release, a line of 64 hex digits each. */
struct release_keys {
    uint32_t count;
    uint8_t keys[RELEASE_KEYS_MAX][32];
};

const char *release_architecture_name(enum release_architecture architecture); /* "amd64", ...; "?" */
enum release_architecture release_architecture_own(void);                      /* that this program was built for; 0: none of them */

void release_encode(const struct release *release, uint8_t out[RELEASE_BYTES]);
enum system_error release_decode(struct release *release, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));
void release_sign(struct release *release, const struct ed25519_secret *key);
/* By one of these keys, which are E-2. */
enum system_error release_verify(const struct release *release, const struct release_keys *keys, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* The text of /etc/heraclius/release, or of a file with one key. */
enum system_error release_keys_parse(struct release_keys *keys, const char *text, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* What a UKI says of itself, unsigned: the machine of its PE head, and IMAGE_VERSION and VERSION_ID of its section .osrel. systemd-boot goes by
 * IMAGE_VERSION when it chooses between two slots. */
struct release_facts {
    enum release_architecture architecture;
    uint64_t number; /* 0: it says none */
    char label[RELEASE_LABEL_MAX + 1];
};
/* Bytes `at` to `at + count` of it; false: cannot be read, or it is not that long. */
typedef bool release_reader(void *context, uint64_t at, uint8_t *out, size_t count);
enum system_error release_facts_read(struct release_facts *facts, release_reader *reader, void *context, struct system_fault *fault)
    __attribute__((warn_unused_result));

#endif
