/* Notes of store_run_main.c. */
#ifndef TESTS_SWEEP_STORE_RUN_H
#define TESTS_SWEEP_STORE_RUN_H

enum {
    STORE_NOTE_CREATED = 1,   /* store_directory_create() has returned: from now on the directory opens */
    STORE_NOTE_STATE_BEGIN,   /* the checkpoint may be missing from now on, for it was lost before */
    STORE_NOTE_PROMOTE_BEGIN, /* it may be missing, but then the one from peers is there */
    STORE_NOTE_STATE_END,     /* it is there again */
};

#endif
