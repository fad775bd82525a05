/* Evidence that nodes keep of others' faults: which files there are, and one of them, as the node's control socket gives it out piece by piece. */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_console.h"

enum { QUESTION_BYTES = ADMIN_EVIDENCE_NAME_BYTES + 80, AUDIT_BYTES = ADMIN_EVIDENCE_NAME_BYTES + ADMIN_NAME_BYTES + 8 };

json_t *admin_evidence_json(const struct admin_nodes *nodes) {
    json_t *all = json_array();
    for (size_t i = 0; i < nodes->count; i++) {
        json_t *answer = admin_ask(nodes->paths[i], "evidence");
        json_array_append_new(all, json_pack("{s:s,s:s,s:O?}", "node", admin_nodes_name(nodes, i), "socket", nodes->paths[i], "files",
                                             json_object_get(answer, "evidence")));
        json_decref(answer);
    }
    return all;
}

struct admin_answer admin_api_evidence(struct admin_request *request) {
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:o}", "nodes", admin_evidence_json(request->server->nodes)));
}

/* As the nodes name their files; nothing that is another path. */
static bool name_good(const char *name) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t count = strlen(name);
    return count > 0 && count < ADMIN_EVIDENCE_NAME_BYTES && name[0] != '.' && strspn(name, letters) == count;
}

static int digit_of(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends what the digits say, at most `room` bytes; false: they are none, an odd number, or too many. */
static bool hex_take(const json_t *piece, uint8_t *to, size_t room, size_t *took) {
    const char *text = json_string_value(piece);
    size_t count = json_string_length(piece);
    if (text == NULL || count == 0 || count % 2 != 0 || count / 2 > room) return false;
    for (size_t i = 0; i < count; i += 2) {
        int high = digit_of(text[i]), low = digit_of(text[i + 1]);
        if (high < 0 || low < 0) return false;
        to[i / 2] = (uint8_t)(16 * high + low);
    }
    *took = count / 2;
    return true;
}

/* The whole file, malloc'd; NULL: `why`. A node that gives less and less, or never enough, is asked ADMIN_EVIDENCE_ASKED times at most. */
static uint8_t *file_take(const char *path, const char *file, size_t *count, const char **why) {
    char question[QUESTION_BYTES];
    uint8_t *bytes = NULL;
    size_t used = 0, whole = 0;
    *why = "the node does not give it out: it has no such file, or does not answer";
    for (unsigned asked = 0; asked < ADMIN_EVIDENCE_ASKED; asked++) {
        (void)snprintf(question, sizeof question, "{\"ask\":\"evidence\",\"file\":\"%s\",\"from\":%zu}\n", file, used);
        json_t *answer = admin_ask_line(path, question);
        json_int_t says = json_integer_value(json_object_get(answer, "bytes"));
        bool fits = says > 0 && says <= ADMIN_EVIDENCE_BYTES_MAX && (whole == 0 || (size_t)says == whole);
        if (says > ADMIN_EVIDENCE_BYTES_MAX) *why = "it is longer than 8 MiB: it has to be taken from the data disk";
        if (fits && bytes == NULL) bytes = malloc(whole = (size_t)says);
        size_t took = 0;
        bool good = fits && bytes != NULL && hex_take(json_object_get(answer, "hex"), bytes + used, whole - used, &took);
        json_decref(answer);
        used += took;
        if (good && used == whole) {
            *count = whole;
            return bytes;
        }
        if (!good) break;
    }
    free(bytes);
    return NULL;
}

struct admin_answer admin_api_evidence_file(struct admin_request *request) {
    const struct admin_nodes *nodes = request->server->nodes;
    size_t node = 0, count = 0;
    char detail[AUDIT_BYTES];
    const char *why;
    if (!name_good(request->file)) return admin_answer_error(MHD_HTTP_BAD_REQUEST, "wants node=NAME&file=NAME, of those that /api/v1/evidence names");
    while (node < nodes->count && strcmp(admin_nodes_name(nodes, node), request->node) != 0) node++;
    if (node == nodes->count) return admin_answer_error(MHD_HTTP_NOT_FOUND, "no node of this console is called so");
    (void)snprintf(detail, sizeof detail, "%s: %s", request->node, request->file);
    if (!admin_audit_of(request, "evidence", "done", detail))
        return admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "not done: the audit log cannot be written");
    uint8_t *bytes = file_take(nodes->paths[node], request->file, &count, &why);
    if (bytes == NULL) return admin_answer_error(MHD_HTTP_NOT_FOUND, why);
    struct admin_answer answer = {.code = MHD_HTTP_OK, .type = "application/octet-stream", .text = (char *)bytes, .text_bytes = count};
    answer.saved_as = request->file;
    return answer;
}
