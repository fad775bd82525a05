#include "appliance/node/node_init_chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/canonical.h"
#include "protocol/config_chain.h"
#include "store/wal.h"

enum { CHAIN_BYTES_MAX = 64 << 20, SLOTS = 4 };

static bool refuse(char text[NODE_INIT_TEXT_BYTES], const char *where, const char *what) {
    (void)snprintf(text, NODE_INIT_TEXT_BYTES, "%.400s: %.500s", where, what);
    return false;
}

uint8_t *node_init_chain_read(const char *path, const struct system *system, uint32_t cluster, size_t *count, char text[NODE_INIT_TEXT_BYTES]) {
    const struct signer signer = signer_ed25519(NULL);
    struct system_fault fault = {.text = ""};
    struct config_chain_reader reader;
    struct config_chain *chain = malloc(sizeof *chain);
    CHECK(chain != NULL);
    uint8_t *payload = (uint8_t *)canonical_read_file(path, CHAIN_BYTES_MAX, count, &fault);
    enum system_error error = SYSTEM_OK;
    if (payload != NULL) {
        CHECK(config_chain_genesis(chain, system, cluster)); /* whose identity was found */
        error = config_chain_read(&reader, cluster, payload, *count, &fault);
        if (error == SYSTEM_OK) error = config_chain_extend(chain, payload, *count, &signer, &fault);
    }
    free(chain);
    if (payload == NULL) {
        (void)refuse(text, path, fault.text);
    } else if (error != SYSTEM_OK) {
        (void)refuse(text, path, fault.text[0] != '\0' ? fault.text : "not the chain of CONFIGs of this cluster");
        free(payload);
        payload = NULL;
    }
    return payload;
}

/* Any valid entry will do (S-102): what is there stays. What is damaged is not written over: nobody could say then how far the chain had come. */
static enum store_status entry_put(struct wal *wal, uint64_t serial, const uint8_t *entry, size_t bytes, uint32_t *added) {
    struct iovec part = {.iov_base = (void *)(uintptr_t)entry, .iov_len = bytes};
    struct wal_record record = {.operation = WAL_PUT, .db = WAL_CHAIN, .parts = &part, .part_count = 1};
    struct wal_batch batch = {.records = &record, .record_count = 1};
    uint64_t sequence;
    size_t there;
    (void)wal_key_chain(record.key, serial);
    enum store_status status = wal_get(wal, WAL_CHAIN, record.key, NULL, 0, &there);
    if (status == STORE_OK || status == STORE_TOO_LONG) return STORE_OK;
    if (status != STORE_ABSENT) return status;
    ++*added;
    status = wal_submit(wal, &batch, &sequence);
    return status == STORE_OK ? wal_wait(wal, sequence) : status;
}

bool node_init_chain_fill(const struct store_directory *directory, const struct node_config *config, const struct store_identity *identity,
                          const uint8_t *payload, size_t count, uint32_t *added, char text[NODE_INIT_TEXT_BYTES]) {
    struct wal_config about = {
        .directory = directory, .identity = *identity, .map_bytes = config->wal_map_bytes, .queue_slots = SLOTS, .cpu = -1};
    struct config_chain_reader reader;
    struct store_error error;
    struct wal *wal;
    const uint8_t *entry;
    size_t bytes;
    *added = 0;
    if (wal_open(&about, &wal, &error) != STORE_OK) return refuse(text, config->data, error.text);
    enum store_status status = STORE_OK;
    CHECK(config_chain_read(&reader, identity->cluster, payload, count, NULL) == SYSTEM_OK); /* node_init_chain_read */
    while (status == STORE_OK && config_chain_next(&reader, &entry, &bytes)) status = entry_put(wal, reader.serial, entry, bytes, added);
    enum store_status closed = wal_close(wal);
    if (status == STORE_OK) status = closed;
    return status == STORE_OK || refuse(text, config->data, store_status_name(status));
}
