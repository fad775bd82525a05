/*
 * CHECK: what only we can do wrong.
 *
 * CHECK(condition) stays on in release builds. When the condition is false it prints the expression with file and line on stderr and aborts: a
 * crash is a fault that the cluster tolerates, a wrong vote is not. It is never used on what a peer, a client, a disk or an operator can cause;
 * that is an enum error.
 */
#ifndef MERKLE_CHECK_H
#define MERKLE_CHECK_H

#include <stdio.h>
#include <stdlib.h>

__attribute__((noreturn, cold, noinline, unused)) static void check_failed(const char *expression, const char *file, int line) {
    fprintf(stderr, "CHECK failed: %s at %s:%d\n", expression, file, line);
    fflush(stderr);
    abort();
}

#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

#endif
