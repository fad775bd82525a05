/*
 * The kernel's command line: words `heraclius.NAME` and `heraclius.NAME=VALUE`. Everything else on it is the kernel's. There is
 *
 *   heraclius.console=ttyS1    the port on which the console is, if it is not the kernel's
 */
#ifndef INIT_WORDS_H
#define INIT_WORDS_H

enum { WORDS_LINE_BYTES = 4096, WORDS_MAX = 64 };

/* Once, from /proc/cmdline; of a line that is too long nothing is known. */
void words_load(const char *path);
/* The value; "" for a word without one; NULL: it is not there. The last one of a name counts. */
const char *words_get(const char *name);

#endif
