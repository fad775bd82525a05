/* A bundle offered as a configuration, judged. */
#include "protocol/candidate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/successor.h"

static enum system_error foreign_node(const struct candidate *candidate, const char *of, struct system_fault *fault) {
    return system_fault_set(fault, SYSTEM_FOREIGN, "is for another node (id %02x%02x%02x%02x...) than %s", candidate->record.node_id[0],
                            candidate->record.node_id[1], candidate->record.node_id[2], candidate->record.node_id[3], of);
}

/* The owner of `card` signed the record: the one that is pinned, if one is. */
static enum system_error owner_check(const struct candidate *candidate, const struct candidate_node *node, const struct card *card,
                                     struct system_fault *fault) {
    if (node->owner_key && memcmp(card->owner_key, node->owner_key, 32) != 0) {
        return system_fault_set(fault, SYSTEM_FOREIGN, "the node's card names another owner than the one that is pinned here");
    }
    enum system_error error = claim_node_config_verify(&candidate->record, candidate->record.system_id, card, fault);
    if (error == SYSTEM_SIGNATURE_INVALID) {
        return system_fault_set(fault, error, "not signed by this node's owner: heraclius node config sign, with the owner's key");
    }
    return error;
}

static enum system_error hash_check(const struct candidate *candidate, struct system_fault *fault) {
    uint8_t hash[32];
    bundle_hash(&candidate->bundle, hash);
    if (memcmp(hash, candidate->settings.bundle_sha256, 32) == 0) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_ID_MISMATCH,
                            "bundle.sha256: is not that of the other blocks: one of them is not the one that the owner signed");
}

static enum system_error system_read(struct candidate *candidate, struct system_fault *fault) {
    const struct bundle_block *block = &candidate->bundle.blocks[BUNDLE_SYSTEM];
    enum system_error error = system_parse(&candidate->system, (const char *)block->bytes, block->count, fault);
    if (error) {
        system_fault_prefix(fault, "SYSTEM");
        return error;
    }
    if (memcmp(candidate->system->system_id, candidate->record.system_id, 16) == 0) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_FOREIGN, "the record is of another system than the file SYSTEM beside it");
}

/* The system file's card of this node, or that it has none, as `join` says. Without a card of its own only a member is known. */
static enum system_error place_find(struct candidate *candidate, const struct card *own, struct system_fault *fault) {
    const char *join = candidate->settings.join;
    const struct card *card = system_node_by_id(candidate->system, candidate->record.node_id, &candidate->cluster, &candidate->member);
    if (join[0] == 0) {
        if (!card)
            return system_fault_set(fault, SYSTEM_FOREIGN,
                                    "no node of the system file is this one: was another card handed over? (join: a CONFIG brings it in)");
        candidate->card = *card;
        return SYSTEM_OK;
    }
    if (card) return system_fault_set(fault, SYSTEM_FOREIGN, "join: the system file names this node, so it does not join");
    CHECK(own); /* see candidate_judge() */
    candidate->card = *own;
    if (!node_settings_cluster(join, &candidate->cluster) || !system_cluster_by_id(candidate->system, candidate->cluster)) {
        return system_fault_set(fault, SYSTEM_FOREIGN, "join: %s is no cluster of the system", join);
    }
    return SYSTEM_OK;
}

static enum system_error addresses_read(struct candidate *candidate, struct system_fault *fault) {
    const struct bundle_block *block = &candidate->bundle.blocks[BUNDLE_ADDRESSES];
    enum system_error error = addresses_parse(&candidate->addresses, (const char *)block->bytes, block->count, candidate->system, fault);
    if (error) {
        system_fault_prefix(fault, "ADDRESSES");
        return error;
    }
    candidate->address = addresses_find(candidate->addresses, candidate->card.name);
    return SYSTEM_OK;
}

/* */
static enum system_error listen_choose(struct candidate *candidate, struct system_fault *fault) {
    const struct node_settings *settings = &candidate->settings;
    candidate->listen_count = settings->listen_count;
    memcpy(candidate->listen, settings->listen, sizeof candidate->listen);
    if (settings->listen_count > 0) return SYSTEM_OK;
    if (!candidate->address || candidate->address->link.port == 0) {
        return system_fault_set(fault, SYSTEM_FIELD_MISSING, "listen: missing, and the addresses have no link address of %s", candidate->card.name);
    }
    const char *all = strchr(candidate->address->link.host, ':') ? "[::]" : "0.0.0.0";
    (void)snprintf(candidate->listen[0], sizeof candidate->listen[0], "%s:%u", all, candidate->address->link.port);
    candidate->listen_count = 1;
    return SYSTEM_OK;
}

/* Who signed the statement is judged where the data are made, by the chain of a backup (S-142); here, that it is about these two files. */
static enum system_error succession_read(struct candidate *candidate, struct system_fault *fault) {
    const struct bundle_block *before = &candidate->bundle.blocks[BUNDLE_PREDECESSOR], *said = &candidate->bundle.blocks[BUNDLE_STATEMENT];
    struct system *predecessor = NULL;
    if (candidate->system->succession == 0) {
        if (!before->bytes && !said->bytes) return SYSTEM_OK;
        return system_fault_set(fault, SYSTEM_FIELD_UNKNOWN, "%s is for a node of a successor: this system file succeeds no other",
                                bundle_label(before->bytes ? BUNDLE_PREDECESSOR : BUNDLE_STATEMENT));
    }
    if (!before->bytes || !said->bytes) {
        return system_fault_set(fault, SYSTEM_FIELD_MISSING, "the system file is a successor's: %s is missing (heraclius node config new %s FILE)",
                                bundle_label(before->bytes ? BUNDLE_STATEMENT : BUNDLE_PREDECESSOR),
                                before->bytes ? "--statement" : "--predecessor");
    }
    enum system_error error = system_parse(&predecessor, (const char *)before->bytes, before->count, fault);
    if (!error) error = successor_follows(predecessor, candidate->system, fault);
    system_free(predecessor);
    if (error) {
        system_fault_prefix(fault, "PREDECESSOR");
        return error;
    }
    error = claim_successor_decode(&candidate->statement, said->bytes, said->count, fault);
    if (!error) error = successor_named(&candidate->statement, candidate->system, fault);
    if (error) system_fault_prefix(fault, "STATEMENT");
    return error;
}

/* What the owner signed is looked at when it is known that he did. */
static enum system_error contents_judge(struct candidate *candidate, const struct card *own, struct system_fault *fault) {
    if (candidate->bundle.blocks[BUNDLE_CHAIN].bytes && candidate->settings.join[0] == 0) {
        return system_fault_set(fault, SYSTEM_FIELD_UNKNOWN, "CHAIN is for a node that joins: the system file names this one");
    }
    enum system_error error = place_find(candidate, own, fault);
    if (!error) error = addresses_read(candidate, fault);
    if (!error) error = listen_choose(candidate, fault);
    return error ? error : succession_read(candidate, fault);
}

static enum system_error judge_at_node(struct candidate *candidate, const struct candidate_node *node, struct system_fault *fault) {
    if (memcmp(candidate->record.node_id, node->own->id, 32) != 0) return foreign_node(candidate, node->own->name, fault);
    enum system_error error = owner_check(candidate, node, node->own, fault);
    if (!error) error = node_settings_read(&candidate->settings, &candidate->record, fault);
    if (!error) error = hash_check(candidate, fault);
    if (!error) error = system_read(candidate, fault);
    return error ? error : contents_judge(candidate, node->own, fault);
}

/* Whose card is not known here is found in the system file first. */
static enum system_error judge_elsewhere(struct candidate *candidate, const struct candidate_node *node, struct system_fault *fault) {
    enum system_error error = node_settings_read(&candidate->settings, &candidate->record, fault);
    if (error) return error;
    if (candidate->settings.join[0]) {
        return system_fault_set(fault, SYSTEM_PROOF_INVALID, "join: the node's card is not in the system file: say which it is (--card FILE)");
    }
    error = hash_check(candidate, fault);
    if (!error) error = system_read(candidate, fault);
    if (!error) error = contents_judge(candidate, NULL, fault);
    return error ? error : owner_check(candidate, node, &candidate->card, fault);
}

enum system_error candidate_judge(struct candidate *candidate, uint8_t *text, size_t count, const struct candidate_node *node,
                                  struct system_fault *fault) {
    memset(candidate, 0, sizeof *candidate);
    candidate->text = text;
    enum system_error error = bundle_decode(&candidate->bundle, text, count, fault);
    if (!error) error = bundle_check(&candidate->bundle, fault);
    if (error) return error;
    const struct bundle_block *record = &candidate->bundle.blocks[BUNDLE_NODE_CONFIG];
    error = claim_node_config_decode(&candidate->record, record->bytes, record->count, fault);
    if (error) return error;
    return node->own ? judge_at_node(candidate, node, fault) : judge_elsewhere(candidate, node, fault);
}

enum system_error candidate_follows(const struct candidate *candidate, const struct candidate *kept, struct system_fault *fault) {
    const struct bundle_block *fresh = &candidate->bundle.blocks[BUNDLE_NODE_CONFIG], *old = &kept->bundle.blocks[BUNDLE_NODE_CONFIG];
    unsigned long long number = candidate->record.number, before = kept->record.number;
    if (memcmp(candidate->record.system_id, kept->record.system_id, 16) != 0) {
        return system_fault_set(fault, SYSTEM_FOREIGN,
                                "is of another system than the one in force: a node has one system for life, and another key in another");
    }
    if (number > before || (fresh->count == old->count && memcmp(fresh->bytes, old->bytes, old->count) == 0)) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_SERIAL, "number %llu, and number %llu is in force: numbers only grow (heraclius node config new --from)",
                            number, before);
}

void candidate_free(struct candidate *candidate) {
    system_free(candidate->system);
    addresses_free(candidate->addresses);
    free(candidate->text);
    memset(candidate, 0, sizeof *candidate);
}
