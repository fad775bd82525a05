/* POST /api/v1/claims: a signed claim, or the card of a node that came after the system file, into the folder of claims. Nobody's word is taken for
 * it but the owner's signature, and a card's own id. */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_exposure.h"
#include "protocol/canonical.h"
#include "protocol/claim.h"

enum { PATH_BYTES = 4096, ID_TEXT = 64, NAME_BYTES = ID_TEXT + 8 };

/* What came: one of the two, and whose. */
struct brought {
    bool is_card;
    uint8_t node_id[32];
    struct card card;
    struct claim claim;
    uint8_t bytes[CLAIM_BYTES_MAX];
    size_t count;
};

static bool fail(struct system_fault *fault, enum system_error error, const char *text) {
    (void)system_fault_set(fault, error, "%s", text);
    return false;
}

static bool card_read(struct brought *brought, const json_t *object, struct system_fault *fault) {
    brought->is_card = true;
    if (card_from_json(&brought->card, CARD_NODE, object, "card", fault) != SYSTEM_OK) return false;
    memcpy(brought->node_id, brought->card.id, 32);
    return true;
}

static bool claim_read(struct brought *brought, const char *text, struct system_fault *fault) {
    gnutls_datum_t coded = {(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)}, bytes = {NULL, 0};
    bool good = gnutls_base64_decode2(&coded, &bytes) == 0 && bytes.size > 0 && bytes.size <= sizeof brought->bytes;
    if (good) {
        brought->count = bytes.size;
        memcpy(brought->bytes, bytes.data, bytes.size);
    } else {
        (void)system_fault_set(fault, SYSTEM_NOT_CANONICAL, "a claim is base64 of at most %d bytes", CLAIM_BYTES_MAX);
    }
    gnutls_free(bytes.data);
    if (!good || claim_decode(&brought->claim, brought->bytes, brought->count, fault) != SYSTEM_OK) return false;
    memcpy(brought->node_id, brought->claim.node_id, 32);
    return true;
}

static const char *name_of(const uint8_t node_id[32], const char *ending, char out[NAME_BYTES]) {
    for (int i = 0; i < 32; i++) (void)snprintf(out + 2 * i, 3, "%02x", node_id[i]);
    (void)snprintf(out + ID_TEXT, NAME_BYTES - ID_TEXT, "%s", ending);
    return out;
}

static bool path_of(const struct admin_server *server, const char *name, char out[PATH_BYTES]) {
    return (size_t)snprintf(out, PATH_BYTES, "%s/%s", server->claims_path, name) < PATH_BYTES;
}

/* Whose claims are these? The system file's card, or the one that was brought before. */
static bool card_find(const struct admin_server *server, const struct brought *brought, const json_t *statuses, struct card *card,
                      struct system_fault *fault) {
    char name[NAME_BYTES], path[PATH_BYTES];
    if (!admin_exposure_member(server->system, statuses, brought->node_id, card))
        return fail(fault, SYSTEM_FOREIGN, "of no member of this system");
    if (brought->is_card || card->kind == CARD_NODE) return true;
    bool there = path_of(server, name_of(brought->node_id, ".card", name), path) && card_load(card, CARD_NODE, path, fault) == SYSTEM_OK;
    if (there && memcmp(card->id, brought->node_id, 32) == 0) return true;
    return fail(fault, SYSTEM_FOREIGN, "its node came after the system file: bring its card first");
}

/* A lower number than the kept one's is refused, and so is another claim of the same number (S-110). */
static bool claim_newer(const struct admin_server *server, const struct brought *brought, struct system_fault *fault) {
    char name[NAME_BYTES], path[PATH_BYTES];
    struct claim kept;
    size_t count = 0;
    struct system_fault none;
    if (!path_of(server, name_of(brought->node_id, ".claim", name), path)) return true;
    char *bytes = canonical_read_file(path, CLAIM_BYTES_MAX, &count, &none);
    bool older = bytes != NULL && claim_decode(&kept, (const uint8_t *)bytes, count, &none) == SYSTEM_OK && kept.number >= brought->claim.number;
    free(bytes);
    return !older || fail(fault, SYSTEM_SERIAL, "its number is not above that of the one that is here");
}

static bool brought_put(const struct admin_server *server, const struct brought *brought, struct system_fault *fault) {
    char name[NAME_BYTES], path[PATH_BYTES];
    if (!path_of(server, name_of(brought->node_id, brought->is_card ? ".card" : ".claim", name), path))
        return fail(fault, SYSTEM_FILE_UNREADABLE, "the folder's name is too long");
    if (!brought->is_card) return canonical_replace(path, brought->bytes, brought->count, 0640, fault) == SYSTEM_OK;
    json_t *object = card_to_json(&brought->card);
    size_t count = 0;
    char *text = object != NULL ? canonical_print(object, &count) : NULL;
    json_decref(object);
    bool good = text != NULL && canonical_replace(path, text, count, 0640, fault) == SYSTEM_OK;
    free(text);
    return good;
}

struct admin_answer admin_api_claim(struct admin_request *request) {
    static const char wants[] = "wants {\"claim\": BASE64}, or {\"card\": {...}} of a node that came after the system file";
    struct admin_server *server = request->server;
    struct brought brought = {.is_card = false};
    struct system_fault fault = {.text = ""};
    struct card card;
    char name[NAME_BYTES];
    if (server->claims_path == NULL || server->system == NULL)
        return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "no system file and no folder of claims were given");
    json_t *body = admin_body_object(request);
    const json_t *of_card = json_object_get(body, "card");
    const char *of_claim = json_string_value(json_object_get(body, "claim"));
    bool known = json_object_size(body) == 1 && (of_card != NULL || of_claim != NULL);
    bool good = known && (of_card != NULL ? card_read(&brought, of_card, &fault) : claim_read(&brought, of_claim, &fault));
    json_decref(body);
    if (!known) return admin_answer_error(MHD_HTTP_BAD_REQUEST, wants);
    json_t *statuses = admin_statuses(server->nodes);
    good = good && card_find(server, &brought, statuses, &card, &fault);
    json_decref(statuses);
    if (!brought.is_card) good = good && claim_verify(&brought.claim, &card, &fault) == SYSTEM_OK && claim_newer(server, &brought, &fault);
    if (!good) {
        (void)!admin_audit_seldom(request, "claim", "refused", fault.text, false); /* nothing was changed: the answer is the same without it */
        return admin_answer_error(MHD_HTTP_UNPROCESSABLE_CONTENT, fault.text);
    }
    if (!admin_audit_of(request, "claim", "begun", name_of(brought.node_id, brought.is_card ? ".card" : ".claim", name)))
        return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "not done: the audit log cannot be written");
    good = brought_put(server, &brought, &fault);
    bool told = admin_audit_of(request, "claim", good ? "done" : "failed", good ? name : fault.text);
    if (!good) return admin_answer_error(MHD_HTTP_INTERNAL_SERVER_ERROR, fault.text);
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:s,s:b}", "done", name, "audited", (int)told));
}
