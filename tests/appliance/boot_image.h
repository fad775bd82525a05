/* Images and releases for the tests of slots: small, and such that each number has other bytes. */
#ifndef TESTS_APPLIANCE_BOOT_IMAGE_H
#define TESTS_APPLIANCE_BOOT_IMAGE_H

#include "protocol/release.h"
#include "tests/appliance/boot_disk.h"

enum { BOOT_IMAGE_BYTES_MIN = 1280, BOOT_IMAGE_BYTES_MAX = 70000 };

/* A PE head with one section, .osrel, by the format's description; the rest is of no meaning. */
void boot_image_make(uint8_t *image, size_t bytes, uint64_t number, enum release_architecture architecture);

/* A release as it comes: fat_source with a boot_upload as its context. */
struct boot_upload {
    uint8_t bytes[RELEASE_BYTES + BOOT_IMAGE_BYTES_MAX]; /* the record, then the image */
    size_t count, at;
    struct release release;
};

/* For this machine's architecture. */
void boot_upload_make(struct boot_upload *upload, size_t image_bytes, uint64_t number, const struct ed25519_secret *by);
/* Signs it again, for the image that lies there now. */
void boot_upload_seal(struct boot_upload *upload, const struct ed25519_secret *by);
bool boot_upload_part(void *context, uint8_t *out, size_t count);

/* A file in EFI/Linux of a disk that is whole. */
void boot_disk_put(struct boot_disk *disk, const char *name, const uint8_t *bytes, size_t count);

#endif
