/* What the console shows of what the node and init say: golden texts of several states, and the verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/console/console_look.h"
#include "appliance/status/control.h"

static struct console_facts facts;
static struct console_page page;
static struct console_verdict verdict;

static const char *const well_node =
    "{\"node\":\"c0-n1\",\"system\":\"demo\",\"cluster\":\"c0\",\"member\":1,\"members\":4,\"faults\":1,\"ready\":true,\"phase\":\"voting\","
    "\"epoch\":2,\"view\":7,\"leader\":1,\"height\":4711,\"prepared_height\":4712,\"executed_height\":4711,\"checkpoint_height\":4096,\"links_up\":5,"
    "\"links_known\":7,\"resident_bytes\":66060288,\"memory_budget_total_bytes\":100663296,\"wal\":{\"bytes\":3145728,\"map_bytes\":67108864},"
    "\"members_seen\":[{\"member\":0,\"name\":\"c0-n0\",\"up\":true,\"votes\":true,\"height\":4711,\"view\":7},"
    "{\"member\":1,\"up\":false,\"height\":0,\"view\":0},"
    "{\"member\":2,\"name\":\"c0-n2\",\"up\":true,\"votes\":true,\"height\":4710,\"view\":7},"
    "{\"member\":3,\"up\":true,\"votes\":true,\"height\":4711,\"view\":7}]}";
static const char *const well_init = "ok\nuptime_ms=363905000\nstage.network=good\nimage_version=1.4.2\nslot=a\ndisk=/dev/vda\n"
                                     "disk_bytes=8589934592\ndisk_free=6442450944\nconfig_number=5\nnet.eth0=10.0.2.15/24 up\n"
                                     "net.eth1=fd00::5/64 down\nprogram.node=up pid=71 restarts=0 \n";

static void node_is(const char *text) {
    (void)console_facts_node(&facts.node, text, strlen(text));
}

static void init_is(const char *text) {
    (void)console_facts_init(&facts.init, text, strlen(text));
}

static int begin(void **state) {
    (void)state;
    node_is(well_node);
    init_is(well_init);
    assert_string_equal(facts.node.fault, "");
    assert_string_equal(facts.init.fault, "");
    return 0;
}

static const char *look(unsigned width, unsigned rows) {
    console_page_begin(&page, width, rows);
    console_look_status(&facts, &page);
    console_page_end(&page, "(more: status all)");
    return page.text;
}

static void a_node_that_is_well(void **state) {
    (void)state;
    assert_string_equal(look(80, 22), "WELL       yes\n"
                                      "node       c0-n1, member 1 of 4 of cluster c0, system demo\n"
                                      "phase      voting, ready\n"
                                      "view       7 of epoch 2, led by member 1 (this one)\n"
                                      "height     4711 final, 4712 prepared, checkpoint 4096\n"
                                      "may fail   1 more of 4 (1 in all)\n"
                                      "address    eth0 10.0.2.15/24 up; eth1 fd00::5/64 down\n"
                                      "image      1.4.2, slot a, configuration 5\n"
                                      "disk       6.0 GiB left of 8.0 GiB (/dev/vda)\n"
                                      "store      3.0 MiB of at most 64 MiB\n"
                                      "memory     63 MiB resident, budget of the node 96 MiB\n"
                                      "last fault none since this machine came up\n"
                                      "up         4 d 05:05\n");
}

static void an_image_on_trial_is_said(void **state) {
    (void)state;
    (void)snprintf(facts.init.slot_state, sizeof facts.init.slot_state, "trial");
    assert_non_null(strstr(look(80, 22), "image      1.4.2, slot a, ON TRIAL (slots), configuration 5\n"));
    (void)snprintf(facts.init.slot_state, sizeof facts.init.slot_state, "blessed");
    (void)snprintf(facts.init.slot, sizeof facts.init.slot, "1");
    (void)snprintf(facts.init.slot_next, sizeof facts.init.slot_next, "1");
    assert_non_null(strstr(look(80, 22), "image      1.4.2, slot 1, configuration 5\n"));
    (void)snprintf(facts.init.slot_next, sizeof facts.init.slot_next, "2");
    assert_non_null(strstr(look(120, 22), "image      1.4.2, slot 1, another one after a restart (slots), configuration 5\n"));
    console_page_begin(&page, 80, 0);
    console_look_slots(&facts, &page);
    assert_non_null(strstr(page.text, "next       slot 2: a restart starts it, on trial (reboot)\n"));
    static const char *const said[][2] = {{"number 7 label r7 blessed tries 0 done 0 signed", "slot 1     release 7 (r7), blessed\n"},
                                          {"number 8 label - unblessed tries 2 done 0 unsigned", "slot 1     release 8, untried, not signed\n"},
                                          {"number 8 label x unblessed tries 1 done 1 signed", "slot 1     release 8 (x), on trial\n"},
                                          {"number 8 label x unblessed tries 0 done 2 signed", "slot 1     release 8 (x), given up\n"},
                                          {"number 18446744073709551609 label x blessed tries 0 done 0 signed",
                                           "slot 1     release 18446744073709551609 (x), blessed\n"},
                                          {"empty", "slot 1     empty\n"},
                                          {"number 8 label x unblessed tries 0 done 2 signed more", "slot 1     number 8 label x unblessed"},
                                          {"", "slot 1     not told\n"}};
    (void)snprintf(facts.init.slot_state, sizeof facts.init.slot_state, "trial");
    (void)snprintf(facts.init.slots[0], sizeof facts.init.slots[0], "%s", said[3][0]); /* its last try, and it runs */
    console_page_begin(&page, 80, 0);
    console_look_slots(&facts, &page);
    assert_non_null(strstr(page.text, "slot 1     release 8 (x), on trial\n"));
    (void)snprintf(facts.init.slot, sizeof facts.init.slot, "2");
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        (void)snprintf(facts.init.slots[0], sizeof facts.init.slots[0], "%s", said[i][0]);
        console_page_begin(&page, 80, 0);
        console_look_slots(&facts, &page);
        assert_non_null(strstr(page.text, said[i][1]));
    }
    facts.init.slot[0] = '\0';
    console_page_begin(&page, 80, 0);
    console_look_slots(&facts, &page);
    assert_non_null(strstr(page.text, "slots      none: "));
}

static void a_narrow_window_breaks_lines_between_words(void **state) {
    (void)state;
    assert_string_equal(look(40, 8), "WELL       yes\n"
                                     "node       c0-n1, member 1 of 4 of\n"
                                     "           cluster c0, system demo\n"
                                     "phase      voting, ready\n"
                                     "view       7 of epoch 2, led by member\n"
                                     "           1 (this one)\n"
                                     "height     4711 final, 4712 prepared,\n"
                                     "(more: status all)\n");
}

static void a_machine_before_its_first_configuration(void **state) {
    (void)state;
    memset(&facts, 0, sizeof facts);
    snprintf(facts.node.fault, sizeof facts.node.fault, "it has no socket");
    init_is("ok\nuptime_ms=5000\nstage.config=cannot there is none yet: request, then config paste\nstage.network=waiting\ndisk=/dev/vda\n"
            "disk_bytes=268435456\nimage_version=1.4.2\nprogram.node=down pid=0 restarts=0 \n");
    assert_string_equal(look(80, 22), "WELL       NO\n"
                                      "why not    - the node does not answer: it has no socket\n"
                                      "           - config: there is none yet: request, then config paste\n"
                                      "node       does not answer: it has no socket\n"
                                      "may fail   not known here while the node does not answer: ask another node\n"
                                      "address    none known\n"
                                      "image      1.4.2, configuration not known\n"
                                      "disk       256 MiB (/dev/vda)\n"
                                      "last fault none since this machine came up\n"
                                      "up         00:00:05\n");
}

static void a_machine_of_which_nothing_is_known(void **state) {
    (void)state;
    memset(&facts, 0, sizeof facts);
    snprintf(facts.node.fault, sizeof facts.node.fault, "nobody listens");
    snprintf(facts.init.fault, sizeof facts.init.fault, "no answer in time");
    assert_string_equal(look(80, 22), "WELL       NO\n"
                                      "why not    - the node does not answer: nobody listens\n"
                                      "           - init does not answer: no answer in time\n"
                                      "node       does not answer: nobody listens\n"
                                      "may fail   not known here while the node does not answer: ask another node\n"
                                      "init       does not answer: no answer in time\n"
                                      "disk       not known while init does not answer\n"
                                      "last fault not known while init does not answer\n");
}

static bool is_reason(const char *text) {
    console_look_judge(&facts, &verdict);
    for (unsigned i = 0; i < verdict.count; i++) {
        if (strstr(verdict.reasons[i], text)) return true;
    }
    return false;
}

static void each_thing_that_is_wrong_is_a_reason(void **state) {
    (void)state;
    console_look_judge(&facts, &verdict);
    assert_int_equal(verdict.count, 0);
    facts.node.ready = false;
    assert_true(is_reason("not ready"));
    snprintf(facts.node.phase, sizeof facts.node.phase, "rolled_back");
    assert_true(is_reason("phase rolled_back: its whole cluster was put back to an older state"));
    snprintf(facts.node.phase, sizeof facts.node.phase, "retired");
    assert_true(is_reason("phase retired: its key is retired"));
    static const char *const causes[][2] = {{"newer_signature", "retired: its disk is older than what its key signed: put back, a copy, or blank; "
                                                                "it never votes again: give this place to a new node"},
                                            {"other_signature", "a copy of its disk runs on another machine"},
                                            {"memory_damaged", "its disk has lost what its key signed (disk)"},
                                            {"given_up", "its operator gave its key up"},
                                            {"from_backup", "its data was made of a backup"},
                                            {"a word of another program", "retired: a word of another program; it never votes again"}};
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        snprintf(facts.node.retired_by, sizeof facts.node.retired_by, "%s", causes[i][0]);
        assert_true(is_reason(causes[i][1]));
    }
    facts.node.seen[0].votes = CONSOLE_VOTE_NO;
    assert_true(is_reason("cannot decide, as far as this node sees: 2 of its 4 members vote, 3 must"));
    facts.node.scrub_found = 3, facts.node.scrub_repaired = 1;
    assert_true(is_reason("2 damaged records"));
    facts.node.wal_bytes = 57 << 20;
    assert_false(is_reason("nearly full"));
    facts.node.wal_bytes = 58 << 20;
    assert_true(is_reason("write-ahead store is nearly full"));
    facts.node.memory_limit_bytes = 1000 << 20, facts.node.resident_bytes = 999 << 20, facts.node.resident_file_bytes = 100 << 20;
    assert_false(is_reason("memory"));
    assert_non_null(strstr(look(80, 0), "memory     999 MiB resident of 1000 MiB, budget of the node 96 MiB\n"));
    facts.node.resident_bytes = 1000 << 20;
    assert_true(is_reason("nearly used up the memory that it can have, 1000 MiB"));
    facts.node.clock_difference_ms = -5000;
    assert_false(is_reason("the cluster's time"));
    facts.node.clock_difference_ms = -9000;
    assert_true(is_reason("behind the cluster's time by 8 s"));
    facts.node.clock_difference_ms = INT64_MIN;
    assert_true(is_reason("behind"));
    facts.init.disk_free = facts.init.disk_bytes / 20;
    assert_true(is_reason("the data disk is nearly full"));
    init_is("ok\nprogram.node=failed pid=0 restarts=3 ended with 2\nprogram.admin=backing-off pid=0 restarts=1 ended with 1\n"
            "stage.disk=cannot\n");
    assert_true(is_reason("node failed and is not tried again by itself: ended with 2"));
    assert_true(is_reason("admin: ended with 1; it is tried again soon"));
    assert_true(is_reason("disk: it could not be done"));
    assert_non_null(strstr(look(80, 0), "last fault node: ended with 2; begun anew 3 times\n"));
}

static void how_many_more_may_fail(void **state) {
    (void)state;
    int more;
    assert_true(console_look_may_fail(&facts.node, &more));
    assert_int_equal(more, 1);
    facts.node.seen[3].up = false;
    facts.node.seen[3].votes = CONSOLE_VOTE_UNKNOWN;
    assert_true(console_look_may_fail(&facts.node, &more));
    assert_int_equal(more, 0);
    assert_non_null(strstr(look(80, 0), "may fail   0 more of 4 (1 in all); no link to member 3\n"));
    facts.node.ready = false; /* it counts as failed itself */
    assert_true(console_look_may_fail(&facts.node, &more));
    assert_int_equal(more, -1);
    snprintf(facts.node.fault, sizeof facts.node.fault, "gone");
    assert_false(console_look_may_fail(&facts.node, &more));
}

/* a retired member keeps its links, and is of no use. */
static void who_is_linked_and_does_not_vote_counts_as_lost(void **state) {
    (void)state;
    int more;
    facts.node.seen[2].votes = CONSOLE_VOTE_NO;
    assert_true(console_look_may_fail(&facts.node, &more));
    assert_int_equal(more, 0);
    assert_non_null(strstr(look(80, 0), "may fail   0 more of 4 (1 in all); not voting: c0-n2\n"));
    facts.node.seen[3].votes = CONSOLE_VOTE_UNKNOWN;
    assert_true(console_look_may_fail(&facts.node, &more));
    assert_int_equal(more, -1);
    assert_true(is_reason("cluster c0 may not be able to decide: this node sees 2 of its 4 members vote, 3 must; of 1 it does not know"));
    assert_non_null(strstr(look(132, 0), "may fail   none: the cluster may not be able to decide now; not voting: c0-n2; "
                                         "not known whether they vote: member 3\n"));
    facts.node.seen[3].votes = CONSOLE_VOTE_NO;
    assert_true(is_reason("cluster c0 cannot decide, as far as this node sees: 2 of its 4 members vote, 3 must"));
    assert_non_null(strstr(look(80, 0), "may fail   none: the cluster cannot decide now; not voting: c0-n2, member 3\n"));
}

static void a_node_that_tells_of_links_alone_tells_of_no_votes(void **state) {
    (void)state;
    int more;
    static const char *const words[] = {"1", "\"true\"", "null", "{}"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"node\":\"a\",\"cluster\":\"c0\",\"phase\":\"voting\",\"ready\":true,\"member\":0,\"members\":4,"
                 "\"faults\":1,\"view\":0,\"leader\":0,\"height\":1,\"members_seen\":[{\"member\":1,\"up\":true,\"votes\":%s},"
                 "{\"member\":2,\"up\":true},{\"member\":3,\"up\":true,\"votes\":true}]}", words[i]);
        node_is(text);
        assert_true(console_look_may_fail(&facts.node, &more));
        assert_int_equal(more, -1);
        assert_non_null(strstr(look(132, 0), "not known whether they vote: member 1, member 2\n"));
    }
}

static const char *cost(bool for_good) {
    console_page_begin(&page, 132, 0);
    console_look_cost(&facts, for_good, &page);
    return page.text;
}

static void what_it_costs_that_this_node_goes(void **state) {
    (void)state;
    assert_string_equal(cost(false), "Of cluster c0 0 more nodes may fail while it is away; now it is 1.\n");
    facts.node.seen[2].votes = CONSOLE_VOTE_NO;
    assert_string_equal(cost(true), "It costs cluster c0 its decisions: from then on too few of its 4 members would vote, as far as this node sees "
                                    "(3 must); "
                                    "not voting:\nc0-n2.\n");
    facts.node.seen[2].votes = CONSOLE_VOTE_YES;
    facts.node.ready = false; /* it does not vote anyway: nothing more is lost */
    assert_string_equal(cost(false), "Of cluster c0 0 more nodes may fail while it is away; now it is 0.\n");
    snprintf(facts.node.fault, sizeof facts.node.fault, "gone");
    assert_non_null(strstr(cost(false), "is not known here"));
}

/* `what` of the good answer replaced by `with`. */
static const char *changed(const char *what, const char *with) {
    static char text[2048];
    const char *at = strstr(well_node, what);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - well_node), well_node, with, at + strlen(what));
    return text;
}

static void an_answer_that_lacks_or_lies_is_refused(void **state) {
    (void)state;
    const char *const bad[][3] = {{"\"node\":\"c0-n1\"", "\"node\":5", "node"},     {"\"ready\":true", "\"ready\":1", "ready"},
                                  {"\"members\":4", "\"members\":17", "members"},   {"\"members\":4", "\"members\":0", "members"},
                                  {"\"member\":1", "\"member\":4", "member"},       {"\"faults\":1", "\"faults\":4", "faults"},
                                  {"\"view\":7", "\"view\":-7", "view"},            {"\"height\":4711", "\"height\":\"4711\"", "height"},
                                  {"\"leader\":1", "\"leader\":null", "leader"},    {"\"phase\":\"voting\"", "\"phase\":[]", "phase"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "its answer has no good \"%s\"", bad[i][2]);
        node_is(changed(bad[i][0], bad[i][1]));
        assert_string_equal(facts.node.fault, wanted);
        assert_int_equal(facts.node.members, 0);
    }
    node_is(changed("\"view\":7,\"leader\"", "\"view\":7,\"view\":8,\"leader\""));
    assert_non_null(strstr(facts.node.fault, "no JSON object"));
    node_is("[]");
    assert_string_equal(facts.node.fault, "its answer is no JSON object");
}

/* The two ends of the control socket: what our own node says is read as it was meant. */
static void our_own_node_is_understood(void **state) {
    (void)state;
    static struct status_node node;
    memset(&node, 0, sizeof node);
    snprintf(node.name, sizeof node.name, "s3-n2");
    node.ready = true;
    node.wal_bytes = 5, node.wal_map_bytes = 6, node.links_up = 7, node.resident_bytes = 8, node.clock_difference_ms = -9;
    node.resident_file_bytes = 30, node.memory_limit_bytes = 31;
    node.budget_count = 1;
    node.budget[0].value = 10;
    struct status_replica *replica = &node.replica;
    *replica = (struct status_replica){.phase = PHASE_VOTING, .cluster = 0x00020003, .member = 2, .members = 4, .faults = 1, .leader = 3, .epoch = 11,
                                       .view = 12, .final_height = 13, .prepared_height = 14, .executed_height = 15, .checkpoint_height = 16,
                                       .decisions = 17, .view_changes = 18, .evidence = 19, .scrub_found = 20, .scrub_repaired = 21};
    replica->retired_by = "given_up";
    replica->attacks[ATTACK_REPLAY] = 22;
    replica->drops[DROP_RATE] = 23;
    replica->peers[1] = (struct status_member){.up = true, .final_height = 24, .view = 25};
    replica->pair_count = 1;
    replica->pairs[0] = (struct status_pair){.cluster = 0x00010000, .consumed_dseq = 26, .sent_dseq = 27, .acked_dseq = 28, .held_slices = 29};
    json_t *document = control_status_json(&node);
    char *text = json_dumps(document, JSON_COMPACT);
    assert_non_null(text);
    node_is(text);
    free(text);
    json_decref(document);
    const struct console_node *seen = &facts.node;
    assert_string_equal(seen->fault, "");
    assert_string_equal(seen->node, "s3-n2");
    assert_string_equal(seen->cluster, "s3");
    assert_string_equal(seen->phase, "voting");
    assert_string_equal(seen->retired_by, "given_up");
    assert_true(seen->ready && seen->seen[1].up && seen->seen[2].up && !seen->seen[0].up && !seen->seen[3].up);
    const uint64_t values[] = {seen->wal_bytes, seen->wal_map_bytes, seen->links_up, seen->resident_bytes,
                               (uint64_t)-seen->clock_difference_ms, seen->budget_bytes, seen->epoch, seen->view, seen->height, seen->prepared,
                               seen->executed, seen->checkpoint, seen->decisions, seen->view_changes, seen->evidence, seen->scrub_found,
                               seen->scrub_repaired, seen->attacks[0].value, seen->dropped[0].value, seen->seen[1].height, seen->seen[1].view,
                               seen->pairs[0].consumed, seen->pairs[0].sent, seen->pairs[0].acknowledged, seen->pairs[0].held,
                               seen->resident_file_bytes, seen->memory_limit_bytes};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) assert_int_equal(values[i], 5 + i);
}

static void what_need_not_be_there_may_be_anything(void **state) {
    (void)state;
    node_is(changed("\"wal\":{", "\"scrub\":[],\"pairs\":{},\"attacks\":[1],\"attackers\":\"x\",\"dropped\":{\"a\":-1,\"b\":\"c\"},\"wal\":{"));
    assert_string_equal(facts.node.fault, "");
    assert_int_equal(facts.node.dropped_count, 0);
    node_is(changed("\"member\":3,\"up\":true", "\"member\":-3,\"up\":true"));
    assert_false(facts.node.seen[3].up); /* nobody spoke of it */
    node_is(changed("\"c0-n1\"", "\"\\u001b[2J\\u00e9\""));
    assert_string_equal(facts.node.node, "?[2J??");
}

static void what_init_tells_may_be_anything(void **state) {
    (void)state;
    init_is("ok\nimage_version=2\nprogram.node=up pid=7 restarts=2 ended by signal 9\nno value\n=\nuptime_ms=99999999999999999999999\n");
    assert_string_equal(facts.init.image, "2");
    const struct console_line *node = console_facts_line(facts.init.programs, facts.init.programs_count, "node");
    assert_non_null(node);
    assert_string_equal(node->text, "ended by signal 9");
    assert_int_equal(node->restarts, 2);
    assert_true(facts.init.uptime_ms == UINT64_MAX);
    assert_non_null(strstr(look(80, 0), "last fault node: ended by signal 9; begun anew 2 times\n"));
}

static void a_page_is_bounded(void **state) {
    (void)state;
    char word[600];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    console_page_begin(&page, 1, 0);
    for (int i = 0; i < 2000; i++) console_page_put(&page, "label", "%s", word);
    assert_true(page.cut && page.used < sizeof page.text && strlen(page.text) == page.used);
    for (const char *at = page.text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) assert_true(end - at < PAGE_WIDTH_MIN);
    console_page_begin(&page, 80, 0);
    console_page_put(&page, "a-label-that-is-long", "text");
    assert_string_equal(page.text, "a-label-th text\n");
    console_page_begin(&page, 80, 3);
    for (int i = 0; i < 9; i++) console_page_put(&page, "n", "%d", i);
    console_page_end(&page, "(more)");
    assert_string_equal(page.text, "n          0\nn          1\n(more)\n");
    console_page_begin(&page, 80, 3);
    for (int i = 0; i < 3; i++) console_page_put(&page, "n", "%d", i);
    console_page_end(&page, "(more)");
    assert_string_equal(page.text, "n          0\nn          1\nn          2\n");
}

static void sizes_and_times(void **state) {
    (void)state;
    const struct {
        unsigned long long bytes;
        const char *text;
    } sizes[] = {{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"}, {10240, "10 KiB"}, {1048575, "1023 KiB"},
                 {1ull << 40, "1.0 TiB"}, {UINT64_MAX, "15 EiB"}};
    char text[32];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        console_page_bytes(text, sizes[i].bytes);
        assert_string_equal(text, sizes[i].text);
    }
    console_page_time(text, 86399999);
    assert_string_equal(text, "23:59:59");
    console_page_time(text, 86400000);
    assert_string_equal(text, "1 d 00:00");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_node_that_is_well, begin),
        cmocka_unit_test_setup(an_image_on_trial_is_said, begin),
        cmocka_unit_test_setup(a_narrow_window_breaks_lines_between_words, begin),
        cmocka_unit_test_setup(a_machine_before_its_first_configuration, begin),
        cmocka_unit_test_setup(a_machine_of_which_nothing_is_known, begin),
        cmocka_unit_test_setup(each_thing_that_is_wrong_is_a_reason, begin),
        cmocka_unit_test_setup(how_many_more_may_fail, begin),
        cmocka_unit_test_setup(who_is_linked_and_does_not_vote_counts_as_lost, begin),
        cmocka_unit_test_setup(a_node_that_tells_of_links_alone_tells_of_no_votes, begin),
        cmocka_unit_test_setup(what_it_costs_that_this_node_goes, begin),
        cmocka_unit_test_setup(an_answer_that_lacks_or_lies_is_refused, begin),
        cmocka_unit_test_setup(our_own_node_is_understood, begin),
        cmocka_unit_test_setup(what_need_not_be_there_may_be_anything, begin),
        cmocka_unit_test_setup(what_init_tells_may_be_anything, begin),
        cmocka_unit_test_setup(a_page_is_bounded, begin),
        cmocka_unit_test_setup(sizes_and_times, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
