/* Collecting writes for the checkpoint store: apart from state.c, which needs a disk. */
#include "merkle/check.h"
#include "store/state.h"
#include <string.h>

void state_buffer_init(struct state_buffer *buffer, void *memory, size_t memory_bytes) {
    CHECK((uintptr_t)memory % _Alignof(struct state_write) == 0);
    *buffer = (struct state_buffer){.memory = memory, .front = 0, .back = memory_bytes, .count = 0};
}

bool state_buffer_add(struct state_buffer *buffer, const struct table_write *write) {
    const struct table_entry *entry = &write->entry;
    size_t bytes = (size_t)entry->key_bytes + entry->value_bytes;
    if (buffer->count >= STATE_WRITES_MAX || buffer->back - buffer->front < bytes + sizeof(struct state_write)) return false;
    buffer->back -= bytes;
    uint8_t *key = buffer->memory + buffer->back;
    memcpy(key, entry->key, entry->key_bytes);
    if (entry->value_bytes) memcpy(key + entry->key_bytes, entry->value, entry->value_bytes);
    struct state_write *out = (struct state_write *)(void *)(buffer->memory + buffer->front);
    *out = (struct state_write){.key = key, .value = key + entry->key_bytes, .version = entry->version, .value_bytes = entry->value_bytes,
                                .key_bytes = (uint16_t)entry->key_bytes, .space = entry->space, .deleted = write->deleted};
    buffer->front += sizeof *out;
    buffer->count++;
    return true;
}

const struct state_write *state_buffer_writes(const struct state_buffer *buffer) {
    return (const struct state_write *)(const void *)buffer->memory;
}
