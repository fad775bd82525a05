/* Evidence that nodes keep of others' faults: which files there are, and one of them, as the node's control socket gives it out piece by piece. */
#include "appliance/admin/admin_evidence.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/admin/admin_console.h"
#include "appliance/admin/admin_seen.h"
#include "protocol/evidence.h"

enum { QUESTION_BYTES = CONTROL_EVIDENCE_NAME_MAX + 80, AUDIT_BYTES = CONTROL_EVIDENCE_NAME_MAX + ADMIN_NAME_BYTES + 8 };

/* ---- which there are ---- */

/* What can be a file of those that a node names; NULL: it says something else. */
static json_t *files_of(const json_t *list) {
    if (!json_is_array(list)) return NULL;
    json_t *files = json_array();
    const json_t *entry;
    size_t at;
    json_array_foreach(list, at, entry) {
        const char *file = json_string_value(json_object_get(entry, "file"));
        const json_t *bytes = json_object_get(entry, "bytes");
        if (json_array_size(files) == CONTROL_EVIDENCE_MAX) break;
        if (file == NULL || !control_evidence_named(file) || !json_is_integer(bytes) || json_integer_value(bytes) < 0) continue;
        json_array_append_new(files, json_pack("{s:s,s:I}", "file", file, "bytes", json_integer_value(bytes)));
    }
    return files;
}

json_t *admin_evidence_json(const struct admin_nodes *nodes) {
    json_t *all = json_array(), *answers = admin_answers(nodes, "evidence"), *answer;
    size_t at;
    json_array_foreach(answers, at, answer) {
        json_array_append_new(all, json_pack("{s:s,s:s,s:o?}", "node", admin_nodes_name(nodes, at), "socket", nodes->paths[at], "files",
                                             files_of(json_object_get(answer, "evidence"))));
    }
    json_decref(answers);
    return all;
}

struct admin_answer admin_api_evidence(struct admin_request *request) {
    return admin_answer_json(MHD_HTTP_OK, json_pack("{s:o}", "nodes", admin_evidence_json(request->server->nodes)));
}

/* ---- one file ---- */

static int digit_of(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: no digits, an odd number, or too many. */
static bool hex_take(const json_t *said, uint8_t piece[CONTROL_PIECE_BYTES], size_t *bytes) {
    const char *text = json_string_value(said);
    size_t count = json_string_length(said);
    if (text == NULL || count == 0 || count % 2 != 0 || count / 2 > CONTROL_PIECE_BYTES) return false;
    for (size_t i = 0; i < count; i += 2) {
        int high = digit_of(text[i]), low = digit_of(text[i + 1]);
        if (high < 0 || low < 0) return false;
        piece[i / 2] = (uint8_t)(16 * high + low);
    }
    *bytes = count / 2;
    return true;
}

/* The piece that begins there. False: none came that fits the file and what came before. */
static bool piece_ask(struct admin_evidence *evidence, uint64_t from) {
    char question[QUESTION_BYTES];
    (void)snprintf(question, sizeof question, "{\"ask\":\"evidence\",\"file\":\"%s\",\"from\":%" PRIu64 "}\n", evidence->file, from);
    size_t count;
    char *said = admin_ask_line(evidence->socket, question, &count);
    json_t *answer = said != NULL ? json_loadb(said, count, 0, NULL) : NULL;
    free(said);
    json_int_t says = json_integer_value(json_object_get(answer, "bytes"));
    bool good = says > 0 && says <= EVIDENCE_BYTES_MAX && (evidence->bytes == 0 || (uint64_t)says == evidence->bytes);
    evidence->piece_at = from;
    evidence->piece_bytes = 0;
    good = good && from < (uint64_t)says && json_integer_value(json_object_get(answer, "from")) == (json_int_t)from;
    good = good && hex_take(json_object_get(answer, "hex"), evidence->piece, &evidence->piece_bytes);
    good = good && evidence->piece_bytes <= (uint64_t)says - from;
    if (good) evidence->bytes = (uint64_t)says;
    json_decref(answer);
    return good;
}

ssize_t admin_evidence_read(void *context, uint64_t at, char *out, size_t room) {
    struct admin_evidence *evidence = context;
    bool here = at >= evidence->piece_at && at - evidence->piece_at < evidence->piece_bytes;
    if (!here && !piece_ask(evidence, at)) return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t skip = (size_t)(at - evidence->piece_at), count = evidence->piece_bytes - skip;
    if (count > room) count = room;
    memcpy(out, evidence->piece + skip, count);
    return (ssize_t)count;
}

void admin_evidence_free(void *evidence) {
    free(evidence);
}

/* What may refuse it comes before the first byte goes out. */
struct admin_answer admin_api_evidence_file(struct admin_request *request) {
    const struct admin_nodes *nodes = request->server->nodes;
    size_t node = 0;
    char detail[AUDIT_BYTES];
    if (!control_evidence_named(request->file))
        return admin_answer_error(MHD_HTTP_BAD_REQUEST, "wants node=NAME&file=NAME, of those that /api/v1/evidence names");
    while (node < nodes->count && strcmp(admin_nodes_name(nodes, node), request->node) != 0) node++;
    if (node == nodes->count) return admin_answer_error(MHD_HTTP_NOT_FOUND, "no node of this console is called so");
    struct admin_evidence *evidence = calloc(1, sizeof *evidence);
    if (evidence == NULL) return (struct admin_answer){.code = MHD_HTTP_INTERNAL_SERVER_ERROR};
    evidence->socket = nodes->paths[node];
    (void)snprintf(evidence->file, sizeof evidence->file, "%s", request->file);
    (void)snprintf(detail, sizeof detail, "%s: %s", request->node, request->file);
    bool hangs = nodes->seen != NULL && !admin_seen_answers(nodes->seen, node); /* then the listener's thread does not wait for it */
    bool there = !hangs && piece_ask(evidence, 0);
    if (there && admin_audit_seldom(request, "evidence", "done", detail, true))
        return (struct admin_answer){.code = MHD_HTTP_OK, .type = "application/octet-stream", .saved_as = evidence->file, .streamed = evidence};
    admin_evidence_free(evidence);
    return there ? admin_answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "not done: the audit log cannot be written")
                 : admin_answer_error(MHD_HTTP_NOT_FOUND, "the node does not give it out: it has no such file, or does not answer");
}
