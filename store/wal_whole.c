#include "store/wal.h"

#include <stdlib.h>

enum store_status wal_read_whole(struct wal_reader *reader, enum wal_db db, const uint8_t *key, uint8_t **value, size_t *bytes) {
    *value = NULL;
    *bytes = 0;
    enum store_status status = wal_read(reader, db, key, NULL, 0, bytes);
    if (status != STORE_OK && status != STORE_TOO_LONG) return status;
    uint8_t *whole = malloc(*bytes + 1);
    if (whole == NULL) return STORE_NO_MEMORY;
    status = wal_read(reader, db, key, whole, *bytes, bytes);
    if (status == STORE_OK) *value = whole;
    else free(whole);
    return status;
}
