/* What a backup brings that nothing else has: u8 which, then a file's name (one name to a file: what parses prints the same), or pending items with
 * their routing entries and limits (they stay in bounds whatever is in them). */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/backup.h"
#include "protocol/pending.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void name(const uint8_t *bytes, size_t count) {
    struct backup_name parsed;
    char text[2 * BACKUP_NAME_BYTES], again[BACKUP_NAME_BYTES];
    if (count >= sizeof text) return;
    memcpy(text, bytes, count);
    text[count] = '\0';
    if (!backup_name_parse(text, &parsed)) return;
    backup_name_print(&parsed, again);
    CHECK(strcmp(text, again) == 0);
    if (parsed.file != BACKUP_FILE_PIECE) return;
    struct backup_name same;
    backup_name_piece(&same, parsed.prefix_bits, backup_name_piece_index(&parsed));
    CHECK(memcmp(same.prefix, parsed.prefix, sizeof same.prefix) == 0);
}

static void pending(const uint8_t *bytes, size_t count) {
    struct system_limits limits;
    static const uint8_t hash[32];
    if (count < 4) return;
    size_t items = bytes_get_le16(bytes) % (count - 3);
    system_limits_default(&limits);
    uint8_t *copy = malloc(count - 4 + 1); /* of its own, so that a read beyond it is seen */
    CHECK(copy != NULL);
    memcpy(copy, bytes + 4, count - 4);
    CHECK(!pending_valid(&limits, (bytes[2] & 1) != 0, copy, items, copy + items, count - 4 - items, bytes[3], hash));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    if (data[0] % 2 == 0) name(data + 1, size - 1);
    else pending(data + 1, size - 1);
    return 0;
}
