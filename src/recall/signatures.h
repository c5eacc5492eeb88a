/* Thinking that clients drop (PROTOCOLS 5.7): what the model thought before a tool call, and its
 * signatures, are kept under the caller and the call's id, and put back into a later history that
 * has the call without them. Whether a call gets them back is decided once: a call that went
 * without them goes without them as long as it is remembered, so that the translation of a prefix
 * stays what it was. Any thread. */
#ifndef AR_RECALL_SIGNATURES_H
#define AR_RECALL_SIGNATURES_H

#include "ir/event.h"
#include "recall/table.h"

/* Keeps what a whole answer holds: for each call, the thinking before it and its own signature. */
void ar_signatures_note(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                        const struct ar_response *r, int64_t now_ms);
/* Puts back what vendor made, into the assistant turns of a sealed request that lack it; before
 * the request is encoded for that vendor. Calls that nothing is known of are noted as such.
 * Returns how many calls got something. Arena. */
unsigned ar_signatures_restore(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                               struct ar_request *r, enum ar_vendor vendor, struct ar_arena *a,
                               int64_t now_ms);
/* The vendor refused them: the calls of this history go without from now on. */
void ar_signatures_forget(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                          const struct ar_request *r, int64_t now_ms);

/* A stream is watched for the same: of its events only thinking, signatures and the heads of calls
 * are gathered, so a plain answer costs nothing. Zeroed before use. One thread. */
struct ar_signature_tap {
    struct ar_fold *fold; /* owns; NULL: nothing to keep yet */
    unsigned blocks;      /* that the fold knows */
    bool is_off;          /* too much, or failed */
};
void ar_signature_tap_put(struct ar_signature_tap *tap, const struct ar_event *ev);
/* After END was put: notes it. */
void ar_signature_tap_note(struct ar_signature_tap *tap, struct ar_recall_table *t,
                           const struct ar_recall_key *tenant, int64_t now_ms);
void ar_signature_tap_done(struct ar_signature_tap *tap);

#endif
