/* What a text of the admin console must be whatever nodes, init and senders said: both stop the program if it is not. */
#ifndef TESTS_FUZZ_ADMIN_TEXT_H
#define TESTS_FUZZ_ADMIN_TEXT_H

/* A page: each tag is one of its own, quotes closed, with no more than its one script. */
void admin_text_page(const char *text);
/* Prometheus text: what a scrape reads to its end. One that stops half way loses what every other node said. */
void admin_text_metrics(const char *text);

#endif
