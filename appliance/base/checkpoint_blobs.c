#include "appliance/base/checkpoint_blobs.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

static size_t bytes_of(const struct checkpoint_part *parts, uint32_t count) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) bytes += parts[i].count;
    return bytes;
}

/* The first so many bytes. Made once every K blocks: blob_live_bytes() takes back what a blob counts when it goes. */
static struct blob *first_of(struct blob *blob, size_t count) {
    struct blob *first = blob_copy(blob->bytes, count);
    blob_drop(blob);
    return first;
}

static struct blob *tip_of_chain(const struct checkpoint_shown *shown, const uint8_t *ended, size_t ended_bytes) {
    struct blob *blob = blob_make(BFT_HEADER_BYTES + ended_bytes);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    bft_header_put(&writer, &shown->header);
    bytes_put_raw(&writer, ended, ended_bytes);
    CHECK(!writer.failed);
    return blob;
}

static struct blob *tip_sealed(const struct checkpoint_shown *shown) {
    struct blob *blob = blob_make(BFT_HEADER_BYTES + BFT_CERTIFICATE_BYTES_MAX);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    bft_header_put(&writer, &shown->header);
    bft_certificate_put(&writer, &shown->certificate);
    CHECK(!writer.failed);
    return first_of(blob, writer.used);
}

/* P-31: the child's certificate proves the block as well, with the block's header before the child's (B-11); SEAL's is the block's own. */
struct blob *checkpoint_blob_tip(const struct checkpoint_shown *shown, const uint8_t *ended, size_t ended_bytes) {
    if (ended != NULL) return tip_of_chain(shown, ended, ended_bytes);
    if (shown->sealed) return tip_sealed(shown);
    size_t room = BFT_HEADER_BYTES + BFT_WIRE_HEAD_BYTES_MAX + (size_t)BFT_CERTIFICATE_HEADERS_MAX * BFT_HEADER_BYTES;
    uint8_t *headers = malloc((size_t)BFT_CERTIFICATE_HEADERS_MAX * BFT_HEADER_BYTES);
    CHECK(headers != NULL);
    struct bytes_writer writer = bytes_writer_of(headers, (size_t)BFT_CERTIFICATE_HEADERS_MAX * BFT_HEADER_BYTES);
    bft_header_put(&writer, &shown->header);
    if (shown->certificate.header_count == 0) bft_header_put(&writer, &shown->child);
    else bytes_put_raw(&writer, shown->certificate.headers, (size_t)shown->certificate.header_count * BFT_HEADER_BYTES);
    CHECK(!writer.failed);
    struct bft_certificate certificate = {
        .qc = shown->certificate.qc, .header_count = (uint16_t)(writer.used / BFT_HEADER_BYTES), .headers = headers};
    struct blob *blob = blob_make(room);
    writer = bytes_writer_of(blob->bytes, room);
    bft_header_put(&writer, &shown->header);
    bft_certificate_put(&writer, &certificate);
    CHECK(!writer.failed);
    free(headers);
    return first_of(blob, writer.used);
}

struct blob *checkpoint_blob_child(const struct checkpoint_shown *shown) {
    struct blob *blob = blob_make(CHECKPOINT_PROOF_BYTES_MAX);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    checkpoint_proof_put(&writer, shown);
    CHECK(!writer.failed);
    return first_of(blob, writer.used);
}

struct blob *checkpoint_blob_queues(const struct checkpoint_part *parts, uint32_t count) {
    struct blob *blob = blob_make(bytes_of(parts, count) + (size_t)count * 24 + 1);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    for (uint32_t i = 0; i < count; i++) {
        const struct checkpoint_part *part = &parts[i];
        if (part->about.kind != CHECKPOINT_SLICE) continue;
        bytes_put_u32(&writer, part->about.cluster);
        bytes_put_u32(&writer, 0);
        bytes_put_u64(&writer, part->about.dseq);
        bytes_put_u32(&writer, (uint32_t)(part->count - part->about.bytes));
        bytes_put_u32(&writer, (uint32_t)part->about.bytes);
        bytes_put_raw(&writer, part->bytes, part->count);
    }
    CHECK(!writer.failed);
    blob->count = writer.used;
    return blob;
}

static const struct checkpoint_part *pending_of(const struct checkpoint_part *parts, uint32_t count, uint32_t cluster) {
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].about.kind == CHECKPOINT_PENDING && parts[i].about.cluster == cluster) return &parts[i];
    }
    return NULL;
}

struct blob *checkpoint_blob_work(const struct checkpoint_records *records, const struct checkpoint_part *parts, uint32_t count) {
    struct blob *blob = blob_make(bytes_of(parts, count) + (size_t)count * 16 + records->queue_count * 24 + 8);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    bytes_put_u32(&writer, 1);
    uint8_t *pairs_at = bytes_put_space(&writer, 4);
    uint32_t pairs = 0;
    for (size_t i = 0; i < records->queue_count; i++) { /* ascending, since checkpoint_records_items() */
        uint32_t cluster = records->queues[i].cluster, lists = 0;
        const struct checkpoint_part *pending = pending_of(parts, count, cluster);
        for (uint32_t k = 0; k < count; k++) lists += parts[k].about.kind == CHECKPOINT_ROUTING && parts[k].about.cluster == cluster;
        if (pending == NULL && lists == 0) continue;
        pairs++;
        bytes_put_u32(&writer, cluster);
        bytes_put_u32(&writer, lists);
        static const uint8_t nothing[16];
        bytes_put_raw(&writer, pending != NULL ? pending->bytes : nothing, pending != NULL ? pending->count : sizeof nothing);
        for (uint32_t k = 0; k < count; k++) {
            const struct checkpoint_part *part = &parts[k];
            if (part->about.kind != CHECKPOINT_ROUTING || part->about.cluster != cluster) continue;
            bytes_put_u64(&writer, part->about.dseq);
            bytes_put_u32(&writer, (uint32_t)part->count);
            bytes_put_u32(&writer, 0);
            bytes_put_raw(&writer, part->bytes, part->count);
        }
    }
    CHECK(!writer.failed);
    bytes_put_le32(pairs_at, pairs);
    blob->count = writer.used;
    return blob;
}
