/* Access tokens that are fetched before a request can be sent: one cache a worker, one fetch at a
 * time for a secret, whoever waits for it; renewed in good time while the old one still serves.
 * Loop thread only. */
#ifndef AR_PROVIDER_TOKENS_H
#define AR_PROVIDER_TOKENS_H

#include "base/list.h"
#include "http/exchange.h"

struct ar_tokens;
struct ar_loop;

struct ar_tokens *ar_tokens_new(struct ar_loop *l, struct ar_pool *p);
/* Drops fetches under way; nobody may wait any more. Before the pool goes. */
void ar_tokens_free(struct ar_tokens *t);

/* Somebody who waits; zeroed before its first use, in its owner until ar_token_leave. */
struct ar_token_wait {
    struct ar_node node;
    struct ar_waker *waker;
};

/* Token for a secret (JSON of Google's). near: proxy and certificates of the place it is for are
 * used for its token endpoint too. READY: *ret_token, borrowed until the next turn of the loop.
 * PENDING: the waker of w wakes. FAILED: err: AR_UPSTREAM_CREDENTIALS: refused or unusable; else
 * the endpoint could not be asked; a failure is remembered for some seconds. */
enum ar_poll ar_tokens_get(struct ar_tokens *t, struct ar_str secret, const struct ar_origin *near,
                           struct ar_token_wait *w, struct ar_str *ret_token, struct ar_err *err);
/* Stops waiting. */
void ar_token_leave(struct ar_token_wait *w);

#endif
