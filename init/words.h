/* The kernel's command line: words `heraclius.NAME` and `heraclius.NAME=VALUE`. Everything else on it is the kernel's. */
#ifndef INIT_WORDS_H
#define INIT_WORDS_H

/* Reads /proc/cmdline once. */
void words_load(void);
/* The value; "" for a word without one; NULL: it is not there. The last one of a name counts. */
const char *words_get(const char *name);

#endif
