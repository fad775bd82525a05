/* The commands that make keys, cards and system files (spec/system.md 7.11): what they write and refuse, and that each refusal is one clear line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cmd_system.h"
#include "protocol/canonical.h"
#include "protocol/config_chain.h"
#include "protocol/evidence.h"
#include "protocol/keyfile.h"
#include "protocol/system.h"
#include "tests/protocol/identity_fixture.h"

enum { WORDS_MAX = 48, TEXT_BYTES = 8192 };

static char folder[] = "/tmp/heraclius-cmd-XXXXXX";
static char printed[TEXT_BYTES], complained[TEXT_BYTES];

static void file_read(const char *path, char *out) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    ssize_t count = read(file, out, TEXT_BYTES - 1);
    assert_true(count >= 0);
    out[count] = 0;
    assert_int_equal(close(file), 0);
}

/* Runs a command in a child in the test's folder; `line` is cut at spaces. Returns the exit code; texts are in printed and complained. */
static int run(int (*command)(int, char **), const char *line) {
    char copy[TEXT_BYTES], *words[WORDS_MAX], *rest = NULL;
    int count = 0, status = 0;
    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word && count < WORDS_MAX - 1; word = strtok_r(NULL, " ", &rest)) words[count++] = word;
    words[count] = NULL;
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int out = open("stdout.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600), err = open("stderr.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (out < 0 || err < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 || unsetenv("HERACLIUS_SYSTEM") != 0) _exit(99);
        int code = command(count, words);
        (void)fflush(NULL);
        _exit(code);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    file_read("stdout.txt", printed);
    file_read("stderr.txt", complained);
    return WEXITSTATUS(status);
}

/* Exit 2, exactly one line on stderr, with this word in it. */
static void refused(int (*command)(int, char **), const char *line, const char *word) {
    int code = run(command, line);
    if (code != 2) fail_msg("%s: exit %d: %s", line, code, complained);
    if (!strstr(complained, word)) fail_msg("%s: no \"%s\" in: %s", line, word, complained);
    char *newline = strchr(complained, '\n');
    assert_true(newline && newline[1] == 0);
}

static void done(int (*command)(int, char **), const char *line) {
    int code = run(command, line);
    if (code != 0) fail_msg("%s: exit %d: %s", line, code, complained);
    assert_string_equal(complained, "");
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0 || !ed25519_start(NULL)) return -1;
    for (int i = 0; i < 8; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "node-enroll --name n%d --out keys", i);
        done(cmd_node_enroll, line);
    }
    done(cmd_client_enroll, "client-enroll --name alice --out keys");
    done(cmd_admin_enroll, "admin-enroll --name root --out keys");
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *level) {
    (void)status;
    (void)flag;
    (void)level;
    return remove(path);
}

static int tear_down(void **state) {
    (void)state;
    return chdir("/") == 0 ? nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) : -1;
}

#define NODES "--coordinator keys/n0.card,keys/n1.card,keys/n2.card,keys/n3.card --shard keys/n4.card,keys/n5.card,keys/n6.card,keys/n7.card "

static void enrolling_makes_a_secret_key_and_a_public_card(void **state) {
    (void)state;
    struct stat status;
    struct card card;
    struct keyfile key;
    struct system_fault fault;
    assert_int_equal(stat("keys/n0.key", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat("keys/n0.owner.key", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(card_load(&card, CARD_NODE, "keys/n0.card", &fault), SYSTEM_OK);
    assert_int_equal(keyfile_open(&key, KEYFILE_NODE, "keys/n0.key", true, &fault), SYSTEM_OK);
    assert_memory_equal(key.signing_key, card.signing_key, 32);
    assert_memory_equal(key.card_id, card.id, 32);
    keyfile_close(&key);
    assert_int_not_equal(stat("keys/alice.owner.key", &status), 0);
}

static void enrolling_refuses_bad_words_and_never_overwrites(void **state) {
    (void)state;
    refused(cmd_client_enroll, "heraclius client enroll", "--name");
    refused(cmd_client_enroll, "client-enroll --name Alice --out keys", "--name Alice");
    refused(cmd_client_enroll, "client-enroll --name alice --out keys", "keys/alice.key");
    refused(cmd_client_enroll, "client-enroll --nome alice --out keys", "--nome");
    refused(cmd_client_enroll, "client-enroll --name bob --out stderr.txt", "stderr.txt");
    refused(cmd_node_enroll, "node-enroll --name n9 --out keys --owner-key keys/alice.key", "keys/alice.key");
    struct stat status;
    assert_int_not_equal(stat("keys/n9.key", &status), 0); /* nothing is left of it */
    assert_int_equal(run(cmd_client_enroll, "client-enroll --help"), 0);
    assert_non_null(strstr(printed, "--name"));
}

static void a_node_may_have_an_owner_who_has_a_key_already(void **state) {
    (void)state;
    struct card first, second;
    done(cmd_node_enroll, "node-enroll --name second --out keys --owner-key keys/n0.owner.key");
    assert_int_equal(card_load(&first, CARD_NODE, "keys/n0.card", NULL), SYSTEM_OK);
    assert_int_equal(card_load(&second, CARD_NODE, "keys/second.card", NULL), SYSTEM_OK);
    assert_memory_equal(first.owner_key, second.owner_key, 32);
}

static void assembling_makes_a_file_that_show_reads(void **state) {
    (void)state;
    struct system *system = NULL;
    done(cmd_system_assemble, "system-assemble --name bank " NODES "--admin keys/root.card --client keys/alice.card,rw:acct/,r#00ff,quota:100:500 "
                              "--set window_blocks=8 --set view_base_ms=2000 --partition-key 000102030405060708090a0b0c0d0e0f --out bank.json");
    assert_int_equal(system_load(&system, "bank.json", NULL), SYSTEM_OK);
    assert_int_equal(system->limits.window_blocks, 8);
    assert_int_equal(system->timeouts.view_base_ms, 2000);
    assert_int_equal(system->clients[0].quota_per_second, 100);
    assert_int_equal(system->clients[0].quota_burst, 500);
    assert_int_equal(system->clients[0].rights_count, 2);
    assert_int_equal(system->clients[0].rights[0].flags, SYSTEM_RIGHT_READ); /* 00ff sorts before acct/ */
    assert_int_equal(system->partition_key[15], 15);
    system_free(system);
    done(cmd_system_show, "system-show bank.json");
    assert_non_null(strstr(printed, "rw:acct/"));
    assert_non_null(strstr(printed, "shard cluster s0: 4 nodes, goes on with 1"));
    assert_non_null(strstr(printed, "(not the default)"));
    refused(cmd_system_assemble, "system-assemble --name bank " NODES "--admin keys/root.card --out bank.json", "bank.json: exists");
}

static void assembling_refuses_what_is_wrong_and_names_it(void **state) {
    (void)state;
    refused(cmd_system_assemble, "system-assemble --name x --out y.json", "--coordinator");
    refused(cmd_system_assemble, "system-assemble --name x " NODES "--admin keys/alice.card --out y.json", "alice.card: card: must be \"admin\"");
    refused(cmd_system_assemble, "system-assemble --name x " NODES "--admin keys/none.card --out y.json", "keys/none.card");
    refused(cmd_system_assemble, "system-assemble --name x " NODES "--admin keys/root.card --needed 2 --out y.json", "administrators.needed");
    refused(cmd_system_assemble, "system-assemble --name x " NODES "--admin keys/root.card --set window_blocks=99 --out y.json", "1 to 16");
    refused(cmd_system_assemble, "system-assemble --name x " NODES "--admin keys/root.card --set windows=9 --out y.json", "--set windows=9");
    refused(cmd_system_assemble, "system-assemble --name x " NODES "--admin keys/root.card --client keys/alice.card,x:y --out y.json", "x:y");
    refused(cmd_system_assemble, "system-assemble --name x " NODES "--admin keys/root.card --origin s0=1:00 --out y.json", "--origin");
    refused(cmd_system_assemble, "system-assemble --name X " NODES "--admin keys/root.card --out y.json", "--name X");
    /* One node in two clusters. */
    refused(cmd_system_assemble,
            "system-assemble --name x --coordinator keys/n0.card,keys/n1.card,keys/n2.card,keys/n3.card "
            "--shard keys/n4.card,keys/n5.card,keys/n6.card,keys/n0.card --admin keys/root.card --out y.json",
            "are one key");
    assert_true(strstr(complained, "coordinators[0].nodes[0].") && strstr(complained, "shards[0].nodes[3]."));
    struct stat status;
    assert_int_not_equal(stat("y.json", &status), 0);
}

static void a_flipped_byte_is_refused_by_show_with_file_and_field(void **state) {
    (void)state;
    done(cmd_system_assemble, "system-assemble --name flip " NODES "--admin keys/root.card --out flip.json");
    static char text[1 << 20];
    FILE *file = fopen("flip.json", "r+");
    assert_non_null(file);
    size_t count = fread(text, 1, sizeof text - 1, file);
    text[count] = 0;
    char *at = strstr(strstr(text, "\"shards\""), "\"noise_key\": \"");
    assert_non_null(at);
    at += 14;
    assert_int_equal(fseek(file, at - text, SEEK_SET), 0);
    assert_true(fputc(*at == '0' ? '1' : '0', file) != EOF);
    assert_int_equal(fclose(file), 0);
    refused(cmd_system_show, "system-show -s flip.json", "flip.json: shards[0].nodes[0].");
    refused(cmd_system_show, "system-show", "no system file");
    refused(cmd_system_show, "system-show flip.json none.json", "not two");
    refused(cmd_system_show, "system-show -s flip.json none.json", "not two");
    refused(cmd_system_show, "system-show none.json", "none.json");
    refused(cmd_system_show, "system-show stdout.txt", "stdout.txt");
}

static void init_refuses_a_key_that_is_in_no_cluster(void **state) {
    (void)state;
    done(cmd_system_assemble, "system-assemble --name init " NODES "--admin keys/root.card --out init.json");
    done(cmd_node_enroll, "node-enroll --name stranger --out keys");
    refused(cmd_system_init, "system-init --system init.json --node-key keys/stranger.key --data d1", "keys/stranger.key");
    refused(cmd_system_init, "system-init --system init.json --node-key keys/alice.key --data d1", "keys/alice.key");
    refused(cmd_system_init, "system-init --system init.json --node-key keys/n0.key", "--data");
    refused(cmd_system_init, "system-init --system init.json --node-key keys/n0.key --data d1 --threads many", "--threads");
    struct stat status;
    assert_int_not_equal(stat("d1/node.conf", &status), 0);
}

static void local_refuses_sizes_and_ports_out_of_range(void **state) {
    (void)state;
    refused(cmd_system_local, "system-local --out l --nodes 3 --port-base 20000", "4 to 16");
    refused(cmd_system_local, "system-local --out l --nodes 17 --port-base 20000", "4 to 16");
    refused(cmd_system_local, "system-local --out l --shards 0 --port-base 20000", "--port-base");
    refused(cmd_system_local, "system-local --out l --port-base 80", "--port-base 80");
    refused(cmd_system_local, "system-local --out l --port-base 65530", "--port-base 65530");
    refused(cmd_system_local, "system-local --out l --port-base 20000 --bench-keys 0", "--bench-keys 0");
    refused(cmd_system_local, "system-local --out l --port-base 20000 --bench-keys 4096", "4095");
    refused(cmd_system_local, "system-local --out l --move --port-base 20000", "l/system.json");
}

/* P-50: what the operation cannot take away is said; the operation is made all the same. */
static void a_change_that_leaves_backups_of_shards_says_so(void **state) {
    (void)state;
    done(cmd_client_enroll, "client-enroll --name carol --out keys");
    done(cmd_client_enroll, "client-enroll --name dave --out keys");
    done(cmd_system_assemble, "system-assemble --name change " NODES "--admin keys/root.card --client keys/carol.card,w:x/,r: "
                              "--client keys/dave.card,rw:acct/ --out change.json");
#define CHANGE "client-change -s change.json --number 1 --admin keys/root.key "
    assert_int_equal(run(cmd_client_change, CHANGE "--out less.op carol,r:only/,w:"), 0);
    assert_non_null(strstr(complained, "warning: by the system file carol may read every key"));
    assert_int_equal(access("less.op", R_OK), 0);
    done(cmd_client_change, CHANGE "--out all.op carol,r:");
    done(cmd_client_change, CHANGE "--out no-rule.op carol,quota:5");
    done(cmd_client_change, CHANGE "--out other.op dave,r:only/");
    done(cmd_client_revoke, "client-revoke -s change.json --number 1 --admin keys/root.key --out revoke.op carol");
}

/* Anybody's administrator key signs; only administrators of the system count, and who reads the file sees that. */
static void a_signature_of_no_administrator_is_shown_and_not_counted(void **state) {
    (void)state;
    done(cmd_admin_enroll, "admin-enroll --name passer-by --out keys");
    done(cmd_client_enroll, "client-enroll --name erin --out keys");
    done(cmd_system_assemble, "system-assemble --name signed " NODES "--admin keys/root.card --client keys/alice.card --out signed.json");
    done(cmd_client_add, "client-add -s signed.json --number 1 --admin keys/passer-by.key --out erin.op keys/erin.card,r:");
    assert_non_null(strstr(printed, " NO ADMINISTRATOR OF THE SYSTEM FILE\n"));
    assert_non_null(strstr(printed, "signatures   0; 1 of 1 administrators"));
    done(cmd_client_sign, "client-sign erin.op -s signed.json --admin keys/root.key");
    assert_non_null(strstr(printed, " root\n"));
    assert_non_null(strstr(printed, "signatures   1; 1 of 1 administrators"));
}

/* Two COMMITs of this member of epoch 1, in a file; `chain` shows who is in it. */
static void two_commits(const struct bft_members *members, const struct ed25519_secret *key, uint8_t member, const uint8_t *chain, size_t chain_bytes,
                        const char *path) {
    struct ed25519_secret secret = *key;
    const struct signer signer = signer_ed25519(&secret);
    struct bft_vote votes[2];
    memset(votes, 0, sizeof votes);
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
        votes[i].kind = BFT_COMMIT;
        votes[i].signer = member;
        votes[i].ballot.place = members->place;
        votes[i].ballot.height = members->start.height + 1;
        memset(votes[i].ballot.block_id.bytes, i + 1, 32);
        bft_vote_preimage(&votes[i].ballot, BFT_COMMIT, preimage);
        signer.sign(signer.context, preimage, sizeof preimage, votes[i].signature.bytes);
    }
    uint8_t *bytes = malloc(chain_bytes + 4096);
    assert_non_null(bytes);
    struct bytes_writer writer = bytes_writer_of(bytes, chain_bytes + 4096);
    evidence_put_votes(&writer, chain, (uint32_t)chain_bytes, &votes[0], &votes[1]);
    assert_false(writer.failed);
    assert_int_equal(canonical_write_new(path, bytes, writer.used, 0600, NULL), SYSTEM_OK);
    free(bytes);
}

/* A place in a cluster is not a node: who is convicted is found by the key, in the system file or in the chain that came with it. */
static void evidence_names_a_member_whom_a_config_brought_in(void **state) {
    (void)state;
    enum { CHAIN_ROOM = 1 << 17, LAST = 3 };
    static uint8_t payload[CHAIN_ROOM + 64], entry[CHAIN_ROOM];
    struct fixture *fixture = fixture_new(40, 1, 1, 4);
    struct signer verifier = signer_ed25519(NULL);
    struct config_chain *chain = calloc(1, sizeof *chain);
    struct admin_op *op = calloc(1, sizeof *op);
    assert_true(chain && op);
    assert_true(config_chain_genesis(chain, &fixture->assembly->system, CONFIG_CLUSTER_SHARD));
    fixture_config_op(fixture, &chain->config, 0, op); /* the last member becomes a spare */
    fixture_sign(fixture, op, 2);
    size_t count = fixture_chain_entry(fixture, 1, &chain->members, op, 10, 3, entry, sizeof entry);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_OK);
    struct bytes_writer writer = bytes_writer_of(payload, sizeof payload);
    config_chain_head_encode(&writer, CONFIG_CLUSTER_SHARD, 1, 1);
    bytes_put_u32(&writer, (uint32_t)count);
    bytes_put_raw(&writer, entry, count);
    assert_false(writer.failed);
    assert_int_equal(assembly_write(fixture->assembly, "judge.json", NULL), SYSTEM_OK);
    two_commits(&chain->members, &fixture->spares[0].signing, LAST, payload, writer.used, "new.evidence");
    two_commits(&chain->members, &fixture->nodes[1][1].signing, 1, payload, writer.used, "old.evidence");
    done(cmd_evidence_verify, "evidence-verify -s judge.json new.evidence");
    char line[160];
    (void)snprintf(line, sizeof line, "convicted: %s of cluster s0, epoch 1: ", fixture->spare_cards[0].name);
    assert_non_null(strstr(printed, line));
    done(cmd_evidence_verify, "evidence-verify -s judge.json old.evidence");
    assert_non_null(strstr(printed, "convicted: s0-n1 of cluster s0, epoch 1: "));
    free(op);
    free(chain);
    fixture_free(fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enrolling_makes_a_secret_key_and_a_public_card), cmocka_unit_test(enrolling_refuses_bad_words_and_never_overwrites),
        cmocka_unit_test(a_node_may_have_an_owner_who_has_a_key_already), cmocka_unit_test(assembling_makes_a_file_that_show_reads),
        cmocka_unit_test(assembling_refuses_what_is_wrong_and_names_it),  cmocka_unit_test(a_flipped_byte_is_refused_by_show_with_file_and_field),
        cmocka_unit_test(init_refuses_a_key_that_is_in_no_cluster),       cmocka_unit_test(local_refuses_sizes_and_ports_out_of_range),
        cmocka_unit_test(a_change_that_leaves_backups_of_shards_says_so), cmocka_unit_test(evidence_names_a_member_whom_a_config_brought_in),
        cmocka_unit_test(a_signature_of_no_administrator_is_shown_and_not_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
