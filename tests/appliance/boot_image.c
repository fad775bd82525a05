#include "tests/appliance/boot_image.h"

#include <stdio.h>
#include <string.h>

#include "merkle/check.h"
#include "merkle/sha256.h"

void boot_image_make(uint8_t *image, size_t bytes, uint64_t number, enum release_architecture architecture) {
    unsigned machine = architecture == RELEASE_ARM64 ? 0xAA64 : 0x8664;
    CHECK(bytes >= BOOT_IMAGE_BYTES_MIN && bytes <= BOOT_IMAGE_BYTES_MAX);
    memset(image, 0, bytes);
    for (size_t i = 4096; i < bytes; i++) image[i] = (uint8_t)(i * 31 + number * 7 + i / 512);
    memcpy(image, "MZ", 2);
    image[0x3C] = 0x80;
    uint8_t *pe = image + 0x80, *section = pe + 24 + 16;
    memcpy(pe, "PE\0\0", 4);
    pe[4] = (uint8_t)machine;
    pe[5] = (uint8_t)(machine >> 8);
    pe[6] = 1;
    pe[20] = 16;
    memcpy(section, ".osrel\0\0", 8);
    int said = snprintf((char *)image + 1024, 256, "ID=heraclius\nVERSION_ID=\"0.%llu\"\nIMAGE_VERSION=%llu\n", (unsigned long long)number,
                        (unsigned long long)number);
    section[8] = section[16] = (uint8_t)said;
    section[21] = 4; /* at 1024 */
}

void boot_upload_seal(struct boot_upload *upload, const struct ed25519_secret *by) {
    sha256_hash(upload->bytes + RELEASE_BYTES, (size_t)upload->release.bytes, upload->release.sha256);
    release_sign(&upload->release, by);
    release_encode(&upload->release, upload->bytes);
}

void boot_upload_make(struct boot_upload *upload, size_t image_bytes, uint64_t number, const struct ed25519_secret *by) {
    enum release_architecture own = release_architecture_own();
    CHECK(image_bytes <= BOOT_IMAGE_BYTES_MAX);
    upload->count = RELEASE_BYTES + image_bytes;
    upload->at = 0;
    boot_image_make(upload->bytes + RELEASE_BYTES, image_bytes, number, own);
    upload->release = (struct release){.architecture = own, .number = number, .bytes = image_bytes, .label = "test"};
    boot_upload_seal(upload, by);
}

bool boot_upload_part(void *context, uint8_t *out, size_t count) {
    struct boot_upload *upload = context;
    if (count > upload->count - upload->at) return false;
    memcpy(out, upload->bytes + upload->at, count);
    upload->at += count;
    return true;
}

struct whole {
    const uint8_t *bytes;
};

static bool whole_part(void *context, uint8_t *out, size_t count) {
    struct whole *whole = context;
    memcpy(out, whole->bytes, count);
    whole->bytes += count;
    return true;
}

void boot_disk_put(struct boot_disk *disk, const char *name, const uint8_t *bytes, size_t count) {
    const struct fat_device device = boot_disk_device(disk);
    struct whole whole = {bytes};
    struct fat_file efi, folder;
    struct fat fat;
    CHECK(fat_open(&fat, &device, BOOT_DISK_BYTES) == NULL);
    CHECK(fat_find(&fat, fat.root, "EFI", &efi) && fat_find(&fat, efi.first, "Linux", &folder));
    CHECK(fat_put(&fat, folder.first, name, (uint32_t)count, whole_part, &whole) == NULL);
    fat_close(&fat);
}
