/* What `heraclius status` makes of what nodes state (client/nodes.c, spec/operations.md O-52): a node's own word is above what others still show of
 * it, and one that says nothing of itself does not count as voting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bft/wire.h"
#include "client/client.h"
#include "merkle/bytes.h"
#include "tests/client/fake.h"

enum { NODES = 4, REBORN = 2, MUTE = 3, STATUS_QUERY = 0x0304, STATUS_ANSWER = 0x0305, ROOM = 4096, HIGH = 300, LOW = 64 };

static struct fake *fake;

static int set_up(void **state) {
    (void)state;
    fake = fake_start(&(struct fake_options){0});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fake_stop(fake);
    return 0;
}

static size_t statement(uint32_t member, uint64_t height, bool voting, uint8_t *out) {
    struct bft_message message;
    memset(&message, 0, sizeof message);
    message.type = BFT_MESSAGE_STATUS;
    message.status.place = fake->deciders[0].members.place;
    message.status.final.height = height;
    message.status.flags = voting ? BFT_STATUS_VOTING : 0;
    message.status.signer = (uint8_t)member;
    struct ed25519_secret secret = *fake->deciders[0].secrets[member];
    struct signer signer = signer_ed25519(&secret);
    bft_message_sign(&signer, &message);
    return bft_wire_encode(&message, out, ROOM);
}

/* Everybody shows everybody's statement of old, of HIGH; REBORN its own in its place, of LOW and without a vote, MUTE none of its own. */
static uint32_t answer(void *context, uint32_t node, uint16_t type, const uint8_t *bytes, size_t count, struct fake_payload out[FAKE_PAYLOADS_MAX]) {
    (void)context;
    if (type != STATUS_QUERY || count != 8) return 0;
    uint8_t *payload = malloc(12 + NODES * (4 + ROOM));
    assert_non_null(payload);
    memcpy(payload, bytes, 8);
    size_t used = 12;
    uint32_t shown = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        if (i == MUTE && node == MUTE) continue;
        bool own = i == REBORN && node == REBORN;
        size_t length = statement(i, own ? LOW : HIGH, !own, payload + used + 4);
        bytes_put_le32(payload + used, (uint32_t)length);
        used += 4 + length;
        shown++;
    }
    bytes_put_le32(payload + 8, shown);
    out[0] = (struct fake_payload){.type = STATUS_ANSWER, .bytes = payload, .count = used};
    return 1;
}

static void a_nodes_own_word_is_above_what_others_still_show_of_it(void **state) {
    (void)state;
    const struct heraclius_node_status *nodes;
    size_t count;
    fake->frame = answer;
    struct heraclius *db = fake_open(fake, 60);
    assert_int_equal(heraclius_nodes(db, 4000, &nodes, &count), HERACLIUS_OK);
    assert_true(count >= NODES);
    for (uint32_t i = 0; i < NODES; i++) {
        assert_true(nodes[i].reached && nodes[i].heard);
        assert_int_equal(nodes[i].height, i == REBORN ? LOW : HIGH);
        assert_int_equal(nodes[i].voting, i < REBORN);
        assert_int_equal(nodes[i].silent, i == MUTE);
        assert_int_equal(nodes[i].witnesses, i == MUTE ? 3 : 4);
    }
    uint32_t voting = client_nodes_voting(db, nodes[0].cluster, 0, (1u << NODES) - 1, 1000);
    assert_int_equal(voting, (1u << REBORN) - 1);
    heraclius_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_nodes_own_word_is_above_what_others_still_show_of_it)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
