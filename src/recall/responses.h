/* Stored responses and conversations (PROTOCOLS 2.1, 6.10) of the gateway's own: answers that were
 * translated, with the items that were asked. Each holds its own items only and names the one
 * before it, so a conversation costs what was said in it, once. Bytes are raw JSON that nobody here
 * reads. Any thread. */
#ifndef AR_RECALL_RESPONSES_H
#define AR_RECALL_RESPONSES_H

#include "base/arena.h"
#include "recall/table.h"

enum ar_kept_state { AR_KEPT_RUNNING, AR_KEPT_DONE, AR_KEPT_CANCELLED };
struct ar_kept {
    enum ar_kept_state state;
    struct ar_str previous; /* id of the one before; empty: none */
    struct ar_str input;    /* the items of this turn, joined by commas, without brackets */
    struct ar_str output;   /* the same of the answer; a part of whole, or apart from it */
    struct ar_str whole;    /* the response object */
    struct ar_memo *memo;   /* owns when it was got: all strings borrow from it */
};

/* Stores; what was under the id goes. false: too large, or nothing is kept. */
bool ar_kept_put(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                 const struct ar_kept *k, int64_t now_ms);
/* The same in the place of `seen`, if that is still there: a cancelled or deleted run stays so. */
bool ar_kept_replace(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                     struct ar_str id, const struct ar_kept *seen, const struct ar_kept *k,
                     int64_t now_ms);
/* false: not there, or another caller's. Give back by ar_kept_done. */
bool ar_kept_get(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                 int64_t now_ms, struct ar_kept *ret);
void ar_kept_done(struct ar_kept *k); /* a zeroed one is fine */
bool ar_kept_drop(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id);

/* Appends all items from the first response of id's chain to id itself, joined by commas. Errors:
 * AR_RESPONSE_NOT_FOUND (*ret_missing: which of the chain; arena), AR_INVALID_REQUEST (it still
 * runs), AR_TOO_LARGE (out, or a chain of more than 1,000). */
enum ar_code ar_kept_chain(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                           struct ar_str id, struct ar_arena *a, int64_t now_ms, struct ar_buf *out,
                           struct ar_str *ret_missing) AR_MUST;

/* A conversation: the id of its last response (empty: none yet) and its object as JSON. */
struct ar_talk {
    struct ar_str head, whole;
    struct ar_memo *memo; /* as in ar_kept */
};
bool ar_talk_put(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                 const struct ar_talk *talk, int64_t now_ms);
bool ar_talk_get(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                 int64_t now_ms, struct ar_talk *ret);
void ar_talk_done(struct ar_talk *talk);
/* The same in the place of `seen`, if that is still what is there. */
bool ar_talk_replace(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                     struct ar_str id, const struct ar_talk *seen, const struct ar_talk *talk,
                     int64_t now_ms);
bool ar_talk_drop(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id);
/* The response id is the conversation's last one from now on. *ret_previous: which it follows;
 * arena, empty: none. false: there is no such conversation. */
bool ar_talk_append(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                    struct ar_str talk, struct ar_str id, struct ar_arena *a, int64_t now_ms,
                    struct ar_str *ret_previous);

#endif
