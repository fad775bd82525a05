/*
 * Address space: private memory, zero-filled, reserved whole at start and resident as far as it is touched.
 *
 * Each piece ends with a page that nobody may touch: what runs over it stops the process, and the kernel lists it apart from its neighbours, so that
 * what is resident of it can be told (/proc/self/smaps).
 */
#ifndef STORE_RESERVE_H
#define STORE_RESERVE_H

#include <stdint.h>

/* NULL: the system refuses so much. */
void *store_reserve(uint64_t bytes);
/* What is touched from now on comes in huge pages where the system has some: for memory that is large and walked at random, where a miss in the page
 * table costs as much as the data. */
void store_huge_pages(void *memory, uint64_t bytes);
void store_unreserve(void *memory, uint64_t bytes); /* NULL will do */
/* Zero again, and given back to the system. */
void store_forget(void *memory, uint64_t bytes);

#endif
