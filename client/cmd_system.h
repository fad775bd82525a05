/*
 * The commands of the `heraclius` program that make keys, cards, system files and nodes (spec/system.md 7.11).
 *
 * Each takes the words after its own name: argv[0] is the command as the user wrote it ("heraclius node enroll"), argv[1] the first option. All know
 * the option --help. Returns the exit code: 0 done; 2 usage, or an unreadable or invalid file, after one line on stderr that names file and field.
 * Nothing but addresses.json is ever overwritten. Secret keys are made here, on the owner's machine, with mode 0600; what leaves it is the card.
 *
 *     heraclius node enroll --name NAME --out DIR [--owner-key FILE]     DIR/NAME.key, DIR/NAME.card, and DIR/NAME.owner.key unless given
 *     heraclius node claim --card FILE --owner-key FILE --number N [--set FIELD=TEXT]... --out FILE
 *     heraclius node owner --name NAME --out DIR                         DIR/NAME.owner.key: of appliances, which make their own keys
 *     heraclius node approve REQUEST --owner-key FILE --out CARD         a card of what such a node asks
 *     heraclius node config new --node NAME [--from OLD] [--set NAME=VALUE]... --out FILE
 *     heraclius node config sign FILE --owner-key FILE --out FILE; node config show FILE
 *     heraclius node check-config FILE [--card FILE] [--owner HEX] [--kept FILE]    exit 1: a node would refuse it
 *     heraclius client enroll --name NAME --out DIR                      DIR/NAME.key, DIR/NAME.card
 *     heraclius admin enroll --name NAME --out DIR                       DIR/NAME.key, DIR/NAME.card
 *     heraclius system assemble --name NAME --coordinator CARD,CARD,... --shard CARD,... --admin CARD --needed K [--client CARD[,RULE]...]...
 *                               [--set LIMIT=VALUE]... [--partition-key HEX] [--predecessor FILE --origin CLUSTER=BACKUP...] --out FILE
 *     heraclius system init --system FILE [--addresses FILE] --node-key FILE --data DIR [--threads fused|split] [--join CLUSTER] [--from BACKUP]
 *                               [--predecessor FILE --statement FILE [--backup DIR]]                  a node of a successor
 *     heraclius system show [--json] [FILE]                               by default the system file of all other commands
 *     heraclius system local --out DIR [--coordinators C] [--shards S] [--nodes N] --port-base P
 *     heraclius address show                                             where every node is reached
 *     heraclius address set NODE=HOST:PORT[,ADMIN:PORT]... [--new]       the file is replaced in one step, or made
 *     heraclius address remove NODE...
 *     heraclius evidence verify [-s SYSTEM] [--json] FILE                exit 1: it convicts nobody
 *     heraclius config new CLUSTER --out FILE [--set NAME=VALUE]... [--replace NODE=CARD]... [--add CARD]... [--remove NODE]...
 *                               [--protocol-version N] [--seal] [--chain FILE]                         FILE, FILE.chain
 *     heraclius config show FILE
 *     heraclius config sign FILE --admin-key KEY --out FILE
 *     heraclius config submit FILE...
 *     heraclius config status [CLUSTER [--out FILE]]
 *     heraclius successor new --predecessor OLD --successor NEW --backup DIR... [--seen CLUSTER=HEIGHT]... --out STATEMENT
 *     heraclius successor show STATEMENT... --predecessor OLD --successor NEW [--backup DIR]...
 *     heraclius successor sign STATEMENT... --predecessor OLD --successor NEW --admin-key KEY --out FILE
 *     heraclius successor leave STATEMENT... --predecessor OLD --successor NEW --data DIR                 a node of the old system is shown it
 *     heraclius successor convict STATEMENT STATEMENT --predecessor OLD --out EVIDENCE                    who signed two successors
 *     heraclius system local --out DIR --move --port-base P              new ports in DIR/addresses.json, nothing else
 *
 * Enrolment while a system runs (7.6); k of the administrators sign, each where his key is:
 *
 *     heraclius client add CARD[,RULE]... [--admin KEY]... [--out OP]    a new client; with enough keys it is handed in at once, with --out written
 *     heraclius client change WHO[,RULE]... [--admin KEY]... [--out OP]  other rights and quota; WHO: a card, an id, or a name of the system file
 *     heraclius client revoke WHO [--admin KEY]... [--out OP]            for good
 *     heraclius client show OP                                           what it says and who signed it
 *     heraclius client sign OP --admin KEY                               adds a signature
 *     heraclius client submit OP...                                      hands operations in, signatures of one operation united
 *
 * Where no node can be asked, the number comes by --after OP (the operation before), or --number N --predecessor HASH. These commands have also the
 * exit codes 3: not in effect everywhere in time, 4: refused.
 *
 * `system init` and `system local` have the data directories made by `heracliusd --init --config FILE`, which they look for beside this program, then
 * in the PATH.
 */
#ifndef CLIENT_CMD_SYSTEM_H
#define CLIENT_CMD_SYSTEM_H

int cmd_node_enroll(int argc, char **argv);
int cmd_node_claim(int argc, char **argv);
int cmd_node_owner(int argc, char **argv);
int cmd_node_approve(int argc, char **argv);
int cmd_node_config(int argc, char **argv);
int cmd_node_check_config(int argc, char **argv);
int cmd_image_sign(int argc, char **argv);
int cmd_image_show(int argc, char **argv);
int cmd_image_verify(int argc, char **argv);
int cmd_client_enroll(int argc, char **argv);
int cmd_admin_enroll(int argc, char **argv);
int cmd_client_add(int argc, char **argv);
int cmd_client_change(int argc, char **argv);
int cmd_client_revoke(int argc, char **argv);
int cmd_client_show(int argc, char **argv);
int cmd_client_sign(int argc, char **argv);
int cmd_client_submit(int argc, char **argv);
int cmd_address_show(int argc, char **argv);
int cmd_address_set(int argc, char **argv);
int cmd_address_remove(int argc, char **argv);
int cmd_system_assemble(int argc, char **argv);
int cmd_system_init(int argc, char **argv);
int cmd_system_show(int argc, char **argv);
int cmd_system_local(int argc, char **argv);
int cmd_evidence_verify(int argc, char **argv);
int cmd_successor_new(int argc, char **argv);
int cmd_successor_show(int argc, char **argv);
int cmd_successor_sign(int argc, char **argv);
int cmd_successor_leave(int argc, char **argv);
int cmd_successor_convict(int argc, char **argv);
int cmd_config_new(int argc, char **argv);
int cmd_config_show(int argc, char **argv);
int cmd_config_sign(int argc, char **argv);
int cmd_config_observe(int argc, char **argv);
int cmd_config_submit(int argc, char **argv);
int cmd_config_status(int argc, char **argv);

#endif
