#include "init/plan.h"
#include "init/text.h"
#include <string.h>

/* One line; *ready: it was the last. */
static bool line_take(char *line, struct plan *plan, bool *ready) {
    char *words[3];
    size_t count = text_words(line, words, 3);
    if (count > 1 && strcmp(words[0], "net") == 0) return true;
    if (count == 1 && strcmp(words[0], "ready") == 0) return *ready = true;
    if (count == 2 && strcmp(words[0], "number") == 0) return text_number(words[1], UINT64_MAX, &plan->number);
    if (count == 2 && strcmp(words[0], "console") == 0) return text_form(plan->console, sizeof plan->console, "%s", words[1]);
    return count == 2 && strcmp(words[0], "node") == 0 && text_form(plan->node, sizeof plan->node, "%s", words[1]);
}

bool plan_read(const char *text, struct plan *plan, char fault[128]) {
    bool ready = false;
    unsigned number = 0;
    memset(plan, 0, sizeof *plan);
    while (*text) {
        char line[PLAN_LINE_BYTES];
        size_t length = strcspn(text, "\n");
        number++;
        bool whole = !ready && text_form(line, sizeof line, "%.*s", (int)length, text);
        if (!whole || !line_take(line, plan, &ready)) {
            text_form(fault, 128, "line %u of the plan is not understood", number);
            return false;
        }
        text += length + (text[length] == '\n');
    }
    if (!ready) text_form(fault, 128, "the plan is not whole");
    return ready;
}
