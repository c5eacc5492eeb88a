/* AWS Signature Version 4 ("AWS4-HMAC-SHA256") of one request. A pure function of its arguments:
 * the time comes with them. Any thread.
 * Source: AWS General Reference, "Signature Version 4 signing process"; its published test suite is
 * the unit test. */
#ifndef AR_VAULT_SIGV4_H
#define AR_VAULT_SIGV4_H

#include "base/arena.h"

struct ar_sigv4_header {
    struct ar_str name, value;
};
struct ar_sigv4_ask {
    struct ar_str access_key, secret_key;
    struct ar_str region, service;
    int64_t now_unix;
    struct ar_str method, path, query; /* as sent: path percent-encoded once, query without '?' */
    const struct ar_sigv4_header
        *headers; /* all that shall be signed, host and x-amz-date among them */
    unsigned header_count;
    const struct ar_str *parts; /* the body, gathered */
    unsigned part_count;
};
enum { AR_SIGV4_HEADERS_MAX = 24 };

/* Value of the authorization header; arena. p NULL: over the arena's cap, or too many headers. */
struct ar_str ar_sigv4_sign(const struct ar_sigv4_ask *ask, struct ar_arena *a);
/* "20150830T123600Z": the value of x-amz-date for a time. */
void ar_sigv4_date(int64_t now_unix, char ret[17]);
/* The canonical request and the text that is signed, for tests and for looking into refusals;
 * appended. */
void ar_sigv4_canonical(const struct ar_sigv4_ask *ask, struct ar_buf *out);

#endif
