/* A bounded table of memos: what is remembered for callers, by the hash of (caller, kind, id), so
 * that nobody reaches another's by naming his id. Bounded by entries, bytes and age since the last
 * use; the longest unused goes first. Shared by all workers: any thread. */
#ifndef AR_RECALL_TABLE_H
#define AR_RECALL_TABLE_H

#include "base/str.h"

/* Bytes that are remembered: filled by who puts them, a copy for who gets them. */
struct ar_memo;
/* n bytes to be filled through ar_memo_bytes before it is put. NULL: no memory. */
struct ar_memo *ar_memo_new(size_t n);
char *ar_memo_bytes(struct ar_memo *m);
struct ar_str ar_memo_view(const struct ar_memo *m); /* borrows until ar_memo_free */
void ar_memo_free(struct ar_memo *m);                /* NULL-safe */

struct ar_recall_key {
    uint8_t b[32];
};
/* tenant: SHA-256 of the caller's secret (ar_recall_tenant). kind keeps the name spaces apart. */
struct ar_recall_key ar_recall_key(const struct ar_recall_key *tenant, char kind, struct ar_str id);
/* Whose memory it is; no secret: that of all who have none. */
struct ar_recall_key ar_recall_tenant(struct ar_str secret);

/* 0 entries: nothing is kept. */
struct ar_recall_limits {
    int64_t entries, bytes, age_ms;
};
struct ar_recall_counts {
    int64_t entries, bytes, evicted, hits, misses;
};

struct ar_recall_table;
struct ar_recall_table *ar_recall_table_new(const struct ar_recall_limits *limits);
void ar_recall_table_free(struct ar_recall_table *t); /* NULL-safe; no other thread uses it */
void ar_recall_table_set_limits(struct ar_recall_table *t, const struct ar_recall_limits *limits);
bool ar_recall_is_on(const struct ar_recall_table *t);
struct ar_recall_counts ar_recall_table_counts(struct ar_recall_table *t);

/* Takes m. What was there under the key goes. false: m is over a quarter of the bytes, or nothing
 * is kept. */
bool ar_recall_put(struct ar_recall_table *t, const struct ar_recall_key *key, struct ar_memo *m,
                   int64_t now_ms);
/* The same, if nothing is there. */
bool ar_recall_put_new(struct ar_recall_table *t, const struct ar_recall_key *key,
                       struct ar_memo *m, int64_t now_ms);
/* In one step: new takes the place of what is there, if that is still what `seen` was
 * got from (NULL: nothing). Takes m in any case. */
bool ar_recall_swap(struct ar_recall_table *t, const struct ar_recall_key *key,
                    const struct ar_memo *seen, struct ar_memo *m, int64_t now_ms);
/* A copy (owns), and the entry counts as used now; NULL: not there, or no memory. */
struct ar_memo *ar_recall_get(struct ar_recall_table *t, const struct ar_recall_key *key,
                              int64_t now_ms);
/* true: it was there. */
bool ar_recall_drop(struct ar_recall_table *t, const struct ar_recall_key *key);

#endif
