/* Facts of a request, plain data filled as they become true. No prompt, completion or key can be
 * stored here. Borrowed strings live as long as the flow; ar_record_put copies what it keeps. */
#ifndef AR_TRACE_RECORD_H
#define AR_TRACE_RECORD_H

#include "base/str.h"
#include "ir/usage.h"

enum ar_outcome { AR_SERVED, AR_FAILED_OVER, AR_CUT, AR_CANCELLED, AR_REFUSED };
enum { AR_ATTEMPTS_KEPT = 8 };

struct ar_attempt_record {
    enum ar_outcome outcome;
    struct ar_str upstream, model;
    const char *dialect, *key_print, *why, *left_because;
    int status;
    int64_t begun_us, sent_us, head_us, first_event_us, last_us, in_bytes, out_bytes;
    struct ar_usage usage; /* of this attempt; all -1: it never reached the model */
    bool native, reused, resent;
};
struct ar_record {
    char request_id[33]; /* hex; key of everything that is kept */
    enum ar_outcome outcome;
    int code;          /* enum ar_code; 0: no failure */
    const char *doing; /* the last step before the way out */
    const char *client_dialect;
    struct ar_str trace_id, model, warnings;
    int64_t begun_us, opened_us, committed_us, ended_us;
    int status_sent; /* 0: nothing was sent */
    bool stream;
    unsigned attempt_count;
    struct ar_attempt_record *attempt[AR_ATTEMPTS_KEPT]; /* the flow's arena */
};

const char *ar_outcome_name(enum ar_outcome o);

struct ar_metrics;
/* Counts the record and, when asked, logs its access line. Once a request, before its last byte
 * leaves. Worker's thread. */
void ar_record_put(struct ar_metrics *m, const struct ar_record *r, bool access_log);

#endif
