#include "init/words.h"
#include "init/text.h"
#include <stddef.h>
#include <string.h>

static struct {
    char line[WORDS_LINE_BYTES];
    const char *words[WORDS_MAX];
    size_t count;
} self;

void words_load(const char *path) {
    static const char prefix[] = "heraclius.";
    char *all[256];
    self.count = 0;
    if (text_read(path, self.line, sizeof self.line) < 0) return;
    size_t count = text_words(self.line, all, sizeof all / sizeof *all);
    for (size_t i = 0; i < count && self.count < WORDS_MAX; i++) {
        if (strncmp(all[i], prefix, sizeof prefix - 1) == 0) self.words[self.count++] = all[i] + sizeof prefix - 1;
    }
}

const char *words_get(const char *name) {
    size_t count = strlen(name);
    for (size_t i = self.count; i-- > 0;) {
        const char *word = self.words[i];
        if (strncmp(word, name, count) != 0) continue;
        if (word[count] == '=') return word + count + 1;
        if (word[count] == '\0') return "";
    }
    return NULL;
}
