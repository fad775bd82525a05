/*
 * What another admin console says (appliance/admin/admin_peers_read.c), as it comes from the link.
 *
 *   byte 0  bit 0: a head of HTTP and its body; else a body alone, and bit 1: a second console says the rest behind the first 0x00, too
 *   rest    what it says
 *
 * An answer is whole at one length and at no shorter one, and its body lies within what came. What is read keeps its bounds and has the forms that
 * are
 * promised; a cluster of our own is in no list, and of no cluster it is told that a node may be lost.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_clusters.h"
#include "appliance/admin/admin_peers.h"
#include "merkle/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void told_check(const struct admin_peer_told *told) {
    CHECK(told->count <= ADMIN_PEER_NODES_MAX);
    for (size_t i = 0; i < told->count; i++) {
        const struct admin_peer_node *node = &told->nodes[i];
        CHECK(memchr(node->name, 0, sizeof node->name) != NULL && memchr(node->phase, 0, sizeof node->phase) != NULL && node->name[0] != '\0');
        CHECK(strpbrk(node->name, "<>&\"' ") == NULL && strpbrk(node->phase, "<>&\"' ") == NULL);
        CHECK(node->members <= ADMIN_MEMBERS_MAX && (node->members == 0 || node->member < node->members));
        CHECK((node->members == 0) == (node->cluster[0] == '\0'));
        CHECK(!node->votes || (node->phase[0] != '\0' && node->age_ms <= ADMIN_PEER_OLD_MS));
    }
}

static void clusters_check(const struct admin_peer_told *first, const struct admin_peer_told *second) {
    const struct admin_peer_told *told[] = {first, NULL, second};
    json_t *own = json_pack("[{s:s}]", "cluster", "c0"), *clusters = admin_peers_clusters(told, 3, own);
    const json_t *one;
    size_t at;
    json_array_foreach(clusters, at, one) {
        json_int_t voting = json_integer_value(json_object_get(one, "told_voting")), members = json_integer_value(json_object_get(one, "members"));
        CHECK(json_is_object(one) && strcmp(json_string_value(json_object_get(one, "cluster")), "c0") != 0);
        CHECK(json_object_get(one, "may_lose") == NULL && voting >= 0 && voting <= members && members <= ADMIN_MEMBERS_MAX);
        CHECK(json_is_true(json_object_get(one, "enough")) == (voting >= json_integer_value(json_object_get(one, "quorum"))));
        CHECK(strncmp(json_string_value(json_object_get(one, "text")), "by the word of ", 15) == 0);
    }
    json_decref(clusters);
    json_decref(own);
}

static void body_try(const char *text, size_t count, bool two) {
    static struct admin_peer_told first, second;
    const char *end = two && count > 0 ? memchr(text, 0, count) : NULL;
    size_t bytes = end != NULL ? (size_t)(end - text) : count;
    bool good = admin_peer_read(&first, text, bytes), also = end != NULL && admin_peer_read(&second, end + 1, count - bytes - 1);
    if (good) told_check(&first);
    if (also) told_check(&second);
    clusters_check(good ? &first : NULL, also ? &second : NULL);
}

static void answer_try(const char *bytes, size_t size) {
    unsigned code = 0;
    const char *body = NULL;
    size_t count = 0;
    for (size_t used = 0; used <= size; used++) {
        enum admin_peer_part part = admin_peer_answer(bytes, used, &code, &body, &count);
        if (part == ADMIN_PEER_MORE) continue;
        CHECK(part == ADMIN_PEER_BAD || (code >= 200 && code <= 999 && body + count == bytes + used && body > bytes));
        if (part == ADMIN_PEER_WHOLE) body_try(body, count, false);
        if (used < size) CHECK(admin_peer_answer(bytes, size, &code, &body, &count) == ADMIN_PEER_BAD); /* what follows mends nothing */
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    if (data[0] & 1)
        answer_try((const char *)data + 1, size - 1);
    else
        body_try((const char *)data + 1, size - 1, data[0] & 2);
    return 0;
}
