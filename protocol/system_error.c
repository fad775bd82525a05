/* Names and texts of the errors of chapter 7. */
#include "protocol/system_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "merkle/check.h"

static const char *const error_names[SYSTEM_ERRORS] = {
    [SYSTEM_OK] = "ok",
    [SYSTEM_FILE_UNREADABLE] = "file-unreadable",
    [SYSTEM_FILE_EXISTS] = "file-exists",
    [SYSTEM_FILE_IN_USE] = "file-in-use",
    [SYSTEM_FILE_OPEN_MODE] = "file-open-mode",
    [SYSTEM_TOO_LARGE] = "too-large",
    [SYSTEM_TRUNCATED] = "truncated",
    [SYSTEM_NOT_JSON] = "not-json",
    [SYSTEM_NOT_CANONICAL] = "not-canonical",
    [SYSTEM_FIELD_MISSING] = "field-missing",
    [SYSTEM_FIELD_UNKNOWN] = "field-unknown",
    [SYSTEM_FIELD_TYPE] = "field-type",
    [SYSTEM_FIELD_RANGE] = "field-range",
    [SYSTEM_FORMAT_UNKNOWN] = "format-unknown",
    [SYSTEM_ID_MISMATCH] = "id-mismatch",
    [SYSTEM_KEY_INVALID] = "key-invalid",
    [SYSTEM_PROOF_INVALID] = "proof-invalid",
    [SYSTEM_SIGNATURE_INVALID] = "signature-invalid",
    [SYSTEM_SIGNATURES_TOO_FEW] = "signatures-too-few",
    [SYSTEM_KEY_TWICE] = "key-twice",
    [SYSTEM_NAME_TWICE] = "name-twice",
    [SYSTEM_ORDER] = "order",
    [SYSTEM_LIMITS_CONFLICT] = "limits-conflict",
    [SYSTEM_FOREIGN] = "foreign",
    [SYSTEM_SERIAL] = "serial",
    [SYSTEM_CHANGE_TOO_LARGE] = "change-too-large",
    [SYSTEM_CERTIFICATE] = "certificate",
    [SYSTEM_NOTHING_FREE] = "nothing-free",
};

const char *system_error_name(enum system_error error) {
    unsigned index = (unsigned)error;
    return index < SYSTEM_ERRORS ? error_names[index] : "unknown";
}

enum system_error system_fault_set(struct system_fault *fault, enum system_error error, const char *format, ...) {
    CHECK(error != SYSTEM_OK);
    if (!fault) return error;
    fault->error = error;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(fault->text, sizeof fault->text, format, arguments); /* a cut text is good enough for a person */
    va_end(arguments);
    return error;
}

void system_fault_prefix(struct system_fault *fault, const char *prefix) {
    if (!fault) return;
    char text[SYSTEM_FAULT_BYTES];
    memcpy(text, fault->text, sizeof text);
    text[sizeof text - 1] = 0;
    int head = snprintf(fault->text, sizeof fault->text, "%.200s: ", prefix);
    size_t used = head > 0 ? (size_t)head : 0, left = sizeof fault->text - used - 1;
    size_t count = strlen(text) < left ? strlen(text) : left;
    memcpy(fault->text + used, text, count);
    fault->text[used + count] = 0;
}
