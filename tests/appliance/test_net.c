/* The network of an appliance without a network: the lines of a plan, the table by which an address is asked for and kept, ARP on the wire. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/net/net_claim.h"
#include "appliance/net/net_plan.h"

/* ---- plans ---- */

static bool plan_of(const char *text, struct net_plan *plan) {
    static char copy[65536];
    char fault[NET_FAULT_BYTES] = "";
    (void)snprintf(copy, sizeof copy, "%s", text);
    bool good = net_plan_read(copy, plan, fault);
    assert_true(good || fault[0]);
    return good;
}

static void the_lines_of_a_plan_are_read(void **unused) {
    (void)unused;
    struct net_plan plan;
    uint8_t four[4], six[16];
    assert_true(plan_of("number 1\nnode n-1\nnet any dhcp\nnet mac=52:54:00:12:34:56 address 10.0.0.1/8\n"
                        "net name=eth0 address fd00::1/64\nnet name=eth0 gateway fe80::1\nready\n",
                        &plan));
    assert_int_equal(plan.count, 4);
    assert_int_equal(plan.lines[0].kind, NET_DHCP);
    assert_int_equal(plan.lines[1].kind, NET_ADDRESS);
    assert_int_equal(plan.lines[1].family, 4);
    assert_int_equal(plan.lines[1].bits, 8);
    assert_int_equal(inet_pton(AF_INET, "10.0.0.1", four), 1);
    assert_memory_equal(plan.lines[1].address, four, 4);
    assert_int_equal(plan.lines[2].family, 6);
    assert_int_equal(plan.lines[2].bits, 64);
    assert_int_equal(plan.lines[3].kind, NET_GATEWAY);
    assert_int_equal(inet_pton(AF_INET6, "fe80::1", six), 1);
    assert_memory_equal(plan.lines[3].address, six, 16);
    assert_true(plan_of("ready\n", &plan));
    assert_int_equal(plan.count, 0);
}

static void what_is_no_line_is_refused(void **unused) {
    (void)unused;
    static const char *const bad[] = {
        "net",
        "net any",
        "net any dhcp now",
        "net any slow",
        "net eth0 dhcp",
        "net any address",
        "net any address 10.0.0.1",
        "net any address 10.0.0.1/33",
        "net any address 10.0.0.1/",
        "net any address 10.0.0.1/-1",
        "net any address 10.0.0.1/99999999999999999999",
        "net any address 10.0.0.256/8",
        "net any address ::1/129",
        "net any address 10.0.0.1/8/8",
        "net any gateway 10.0.0.1/8",
        "net any gateway",
        "net any gateway x",
        "net any address /8",
        "net any gateway 10.0.0.1 more",
        "net name=0123456789012345678901234567890123456789012345678901234567890123 dhcp",
    };
    struct net_plan plan;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (plan_of(bad[i], &plan)) fail_msg("taken for a plan: %s", bad[i]);
    }
}

static void a_plan_has_so_many_lines(void **unused) {
    (void)unused;
    static char text[8192];
    struct net_plan plan;
    text[0] = '\0';
    for (int i = 0; i < NET_LINES_MAX; i++) (void)snprintf(text + strlen(text), sizeof text - strlen(text), "net name=eth%d dhcp\n", i);
    assert_true(plan_of(text, &plan));
    assert_int_equal(plan.count, NET_LINES_MAX);
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "net any dhcp\n");
    assert_false(plan_of(text, &plan));
}

static void any_is_what_no_other_line_names(void **unused) {
    (void)unused;
    struct net_plan plan;
    assert_true(plan_of("net any dhcp\nnet name=eth1 dhcp\nnet mac=52:54:00:00:00:02 dhcp\n", &plan));
    assert_true(net_plan_means(&plan, &plan.lines[0], "eth0", "52:54:00:00:00:00"));
    assert_false(net_plan_means(&plan, &plan.lines[0], "eth1", "52:54:00:00:00:01"));
    assert_false(net_plan_means(&plan, &plan.lines[0], "eth2", "52:54:00:00:00:02"));
    assert_false(net_plan_means(&plan, &plan.lines[0], "lo", "00:00:00:00:00:00"));
    assert_true(net_plan_means(&plan, &plan.lines[1], "eth1", "52:54:00:00:00:01"));
    assert_true(net_plan_means(&plan, &plan.lines[2], "eth2", "52:54:00:00:00:02"));
    assert_false(net_plan_means(&plan, &plan.lines[2], "eth1", ""));
}

/* ---- claims ---- */

static void step(struct net_claim *claim, enum net_claim_event event, uint64_t now_ms, enum net_claim_action action, enum net_claim_state state) {
    assert_int_equal(net_claim_step(claim, event, now_ms), action);
    assert_int_equal(claim->state, state);
}

static void an_address_is_asked_for_and_then_used(void **unused) {
    (void)unused;
    struct net_claim claim = {.state = CLAIM_WAITING};
    step(&claim, CLAIM_NO_CARRIER, 1, CLAIM_NOTHING, CLAIM_WAITING);
    step(&claim, CLAIM_SEEN, 1, CLAIM_NOTHING, CLAIM_WAITING);
    for (uint64_t i = 0; i < NET_PROBES; i++) {
        uint64_t now_ms = 1000 + i * NET_PROBE_MS;
        step(&claim, i == 0 ? CLAIM_CARRIER : CLAIM_DUE, now_ms, CLAIM_PROBE, CLAIM_PROBING);
        assert_int_equal(claim.due_ms, now_ms + NET_PROBE_MS);
        step(&claim, CLAIM_CARRIER, now_ms + 1, CLAIM_NOTHING, CLAIM_PROBING);
    }
    step(&claim, CLAIM_DUE, 2000, CLAIM_ADD, CLAIM_HELD);
    assert_int_equal(claim.due_ms, 0);
    step(&claim, CLAIM_NO_CARRIER, 3000, CLAIM_NOTHING, CLAIM_HELD); /* a cable that was out for a while */
    step(&claim, CLAIM_CARRIER, 3000, CLAIM_NOTHING, CLAIM_HELD);
}

static void an_address_of_another_is_not_used_until_it_has_gone(void **unused) {
    (void)unused;
    struct net_claim claim = {.state = CLAIM_WAITING};
    step(&claim, CLAIM_CARRIER, 1000, CLAIM_PROBE, CLAIM_PROBING);
    step(&claim, CLAIM_SEEN, 1050, CLAIM_NOTHING, CLAIM_TAKEN);
    assert_int_equal(claim.due_ms, 1050 + NET_TAKEN_MS);
    step(&claim, CLAIM_SEEN, 5000, CLAIM_NOTHING, CLAIM_TAKEN); /* it is still there */
    assert_int_equal(claim.due_ms, 5000 + NET_TAKEN_MS);
    step(&claim, CLAIM_CARRIER, 6000, CLAIM_NOTHING, CLAIM_TAKEN);
    step(&claim, CLAIM_DUE, 5000 + NET_TAKEN_MS, CLAIM_PROBE, CLAIM_PROBING);
    assert_int_equal(claim.probes, 1);
    step(&claim, CLAIM_NO_CARRIER, 16000, CLAIM_NOTHING, CLAIM_WAITING);
    step(&claim, CLAIM_CARRIER, 17000, CLAIM_PROBE, CLAIM_PROBING);
    step(&claim, CLAIM_SEEN, 17001, CLAIM_NOTHING, CLAIM_TAKEN);
    step(&claim, CLAIM_NO_CARRIER, 18000, CLAIM_NOTHING, CLAIM_WAITING);
    assert_int_equal(claim.due_ms, 0);
}

static void an_address_in_use_is_defended_and_not_too_often(void **unused) {
    (void)unused;
    struct net_claim claim = {.state = CLAIM_HELD};
    step(&claim, CLAIM_SEEN, 1000, CLAIM_DEFEND, CLAIM_HELD);
    assert_int_equal(claim.disputed_ms, 1000);
    step(&claim, CLAIM_SEEN, 999 + NET_DEFEND_MS, CLAIM_NOTHING, CLAIM_HELD);
    assert_int_equal(claim.disputed_ms, 999 + NET_DEFEND_MS);
    step(&claim, CLAIM_DUE, 1000 + NET_DEFEND_MS, CLAIM_NOTHING, CLAIM_HELD);
    step(&claim, CLAIM_SEEN, 1000 + NET_DEFEND_MS, CLAIM_DEFEND, CLAIM_HELD);
}

static void for_ipv6_the_kernel_asks(void **unused) {
    (void)unused;
    struct net_claim claim = {.state = CLAIM_WAITING, .by_kernel = true};
    step(&claim, CLAIM_CARRIER, 1000, CLAIM_ADD, CLAIM_HELD);
    step(&claim, CLAIM_SEEN, 2000, CLAIM_REMOVE, CLAIM_TAKEN);
    step(&claim, CLAIM_DUE, 2000 + NET_TAKEN_MS, CLAIM_ADD, CLAIM_HELD);
}

/* ---- ARP ---- */

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1}, own[4] = {192, 0, 2, 7};

/* RFC 826's fields, written down by hand: who says what. */
static void arp(uint8_t out[NET_ARP_BYTES], uint8_t what, uint8_t mac_last, uint8_t sender_last, uint8_t target_last) {
    const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0, what, 2, 0, 0, 0, 0, mac_last, 192, 0, 2, sender_last, 0, 0, 0, 0, 0, 0, 192, 0, 2, target_last};
    memcpy(out, head, NET_ARP_BYTES);
    if (sender_last == 0) memset(out + 14, 0, 4);
}

static void what_is_sent_is_arp(void **unused) {
    (void)unused;
    uint8_t packet[NET_ARP_BYTES], wanted[NET_ARP_BYTES];
    net_arp_make(packet, own_mac, own, false);
    arp(wanted, 1, 1, 0, 7);
    assert_memory_equal(packet, wanted, sizeof packet);
    net_arp_make(packet, own_mac, own, true);
    arp(wanted, 1, 1, 7, 7);
    assert_memory_equal(packet, wanted, sizeof packet);
}

static void another_machine_with_the_address_is_seen(void **unused) {
    (void)unused;
    uint8_t packet[64] = {0}, other[NET_MAC_BYTES] = {0};
    const uint8_t its_mac[6] = {2, 0, 0, 0, 0, 9};
    arp(packet, 2, 9, 7, 3); /* answers, in whoever's favour */
    assert_true(net_arp_disputes(packet, NET_ARP_BYTES, own_mac, own, false, other));
    assert_memory_equal(other, its_mac, 6);
    arp(packet, 1, 9, 7, 3); /* asks for somebody, from it */
    assert_true(net_arp_disputes(packet, 60, own_mac, own, false, other));
    arp(packet, 1, 9, 0, 7); /* asks whether it is free, as we do */
    assert_true(net_arp_disputes(packet, NET_ARP_BYTES, own_mac, own, true, other));
    assert_false(net_arp_disputes(packet, NET_ARP_BYTES, own_mac, own, false, other));
}

static void other_packets_dispute_nothing(void **unused) {
    (void)unused;
    uint8_t packet[NET_ARP_BYTES], other[NET_MAC_BYTES];
    arp(packet, 2, 1, 7, 3); /* our own */
    assert_false(net_arp_disputes(packet, sizeof packet, own_mac, own, true, other));
    arp(packet, 1, 9, 3, 7); /* asks for us */
    assert_false(net_arp_disputes(packet, sizeof packet, own_mac, own, true, other));
    arp(packet, 1, 9, 0, 8); /* asks whether another one is free */
    assert_false(net_arp_disputes(packet, sizeof packet, own_mac, own, true, other));
    arp(packet, 2, 9, 0, 7); /* an answer from nobody */
    assert_false(net_arp_disputes(packet, sizeof packet, own_mac, own, true, other));
    arp(packet, 2, 9, 7, 3);
    for (size_t count = 0; count < sizeof packet; count++) assert_false(net_arp_disputes(packet, count, own_mac, own, true, other));
    for (size_t i = 0; i < 7; i++) {
        arp(packet, 2, 9, 7, 3);
        packet[i] ^= 1;
        assert_false(net_arp_disputes(packet, sizeof packet, own_mac, own, true, other));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lines_of_a_plan_are_read),
        cmocka_unit_test(what_is_no_line_is_refused),
        cmocka_unit_test(a_plan_has_so_many_lines),
        cmocka_unit_test(any_is_what_no_other_line_names),
        cmocka_unit_test(an_address_is_asked_for_and_then_used),
        cmocka_unit_test(an_address_of_another_is_not_used_until_it_has_gone),
        cmocka_unit_test(an_address_in_use_is_defended_and_not_too_often),
        cmocka_unit_test(for_ipv6_the_kernel_asks),
        cmocka_unit_test(what_is_sent_is_arp),
        cmocka_unit_test(another_machine_with_the_address_is_seen),
        cmocka_unit_test(other_packets_dispute_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
