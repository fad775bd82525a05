/*
 * Private: what a batch of the wal changes, as an entry of the journal keeps it (journal.h), and changing it again from there. Record after record,
 * little-endian; the length of a key is the database's:
 *
 *   | 1 | operation | 0 put, 1 delete, 2 delete a range, 3 put the place of a long value |
 *   | 1 | db        | enum wal_db                                                         |
 *   | - | key       |                                                                     |
 *
 *   put:   | 4 | bytes  | of the value, | - | value |
 *   range: | - | key_end |
 *   place: | 8 | offset |, | 8 | digest |, | 4 | bytes |  (vlog.h: the value is durable there)
 *
 * Applying one entry a second time changes nothing more: each record says what is there afterwards.
 */
#ifndef STORE_WAL_ENTRY_H
#define STORE_WAL_ENTRY_H

#include "merkle/bytes.h"
#include "store/env.h"
#include "store/wal.h"

/* May long values of it lie in the value log? Of those that are pruned: one that stayed would keep its segment. */
bool wal_entry_db_is_far(enum wal_db db);
/* place: where the value lies, bytes 0 if it is a record of LMDB's. The writer tells whether it fitted. */
void wal_entry_add(struct bytes_writer *entry, const struct wal_record *record, const struct vlog_place *place);
/* 0, LMDB's code, MDB_CORRUPTED for what is no entry. */
int wal_entry_apply(MDB_txn *txn, const struct env *env, struct bytes_cursor *records) __attribute__((warn_unused_result));

#endif
