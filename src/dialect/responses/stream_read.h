/* Inside the folder: what reading an upstream's answers needs, whole (response_read.c) and streamed
 * (stream_read.c, stream_read_item.c, stream_relay.c). Wire: PROTOCOLS 2.3, 2.5, 2.6, 8.1. Pure;
 * one thread at a time. */
#ifndef AR_DIALECT_RESPONSES_STREAM_READ_H
#define AR_DIALECT_RESPONSES_STREAM_READ_H

#include "dialect/responses/responses.h"
#include "ir/queue.h"

/* What the items of an answer were, as far as its stop reason depends on it. */
struct ar_responses_seen {
    bool text, refusal, call;
};

/* --- response_read_item.c: parts of an item that whole and streamed form share --- */

/* Of an item that is a call: id, name, namespace, kind of input. false: it is none. Strings: dec,
 * frame or arena. */
bool ar_responses_out_call(struct ar_jval item, struct ar_arena *a, struct ar_block *ret);
/* The call's input as the IR has it (dec): text of a function or custom call, or the JSON object of
 * a native one. p NULL: not there. */
struct ar_str ar_responses_out_input(struct ar_jval item, struct ar_arena *a,
                                     const struct ar_block *b);
/* Any item that is no message, reasoning or call: what only its vendor can use. */
void ar_responses_out_other(struct ar_jval item, struct ar_arena *a, struct ar_block *ret);
/* encrypted_content of a reasoning item; NULL: none. Data: frame or arena. */
struct ar_opaque *ar_responses_out_sig(struct ar_jval item, const struct ar_target *t,
                                       struct ar_arena *a);
/* Chat's choices[].logprobs, made of the texts of the list; p NULL: there are none. Arena. */
struct ar_str ar_responses_out_logprobs(struct ar_jval output, struct ar_arena *a);
/* The list of a reasoning item that has text: summary, or else content. */
struct ar_jval ar_responses_out_thinking(struct ar_jval item);

/* id, model, created, service_tier, usage of a response object. Copies into the arena. */
void ar_responses_read_facts(struct ar_jval response, struct ar_arena *a, struct ar_response *ret);
/* How a response object ended. false: it failed or was cancelled, and *ret_fault says how. */
bool ar_responses_read_stop(struct ar_jval response, struct ar_responses_seen seen,
                            struct ar_arena *a, struct ar_stop *ret, struct ar_fault *ret_fault);

/* --- the stream --- */

enum ar_responses_frame {
    AR_RF_OTHER,
    AR_RF_CREATED,
    AR_RF_ADDED,
    AR_RF_DONE,
    AR_RF_TEXT,
    AR_RF_REFUSAL,
    AR_RF_SUMMARY,
    AR_RF_REASON,
    AR_RF_ARGS,
    AR_RF_INPUT,
    AR_RF_CITE,
    AR_RF_END, /* completed, incomplete, failed, cancelled */
    AR_RF_ERROR
};

/* An output item on its way. */
struct ar_responses_item {
    int64_t index;    /* output_index, or -1 */
    struct ar_str id; /* dec, arena */
    enum { AR_RI_MESSAGE, AR_RI_THINKING, AR_RI_CALL, AR_RI_OTHER } kind;
    int b; /* its open block, or -1 */
    enum ar_block_kind open;
    int64_t part;   /* content_index or summary_index that was shown last, or -1 */
    size_t units;   /* UTF-16 units shown of that part, or of the call's input */
    uint32_t cites; /* annotations shown of that part */
    struct ar_str phase;
    bool said, is_raw, freeform, is_done; /* is_raw: its thinking comes from content */
};

struct ar_reader {
    const struct ar_target *target;
    struct ar_arena *a;
    bool relay;
    struct ar_jtape tape; /* owns; of the frame at hand */
    struct ar_jdoc doc;
    struct ar_queue queue;           /* owns */
    struct ar_responses_item *items; /* owns */
    unsigned item_n, item_cap, next_b;
    struct ar_responses_seen seen;
    struct ar_response answer; /* of START, then of the end */
    struct ar_stop stop;
    bool started, committed, ending, failing;
};

/* stream_read.c */
void ar_responses_start(struct ar_reader *r);
enum ar_responses_frame ar_responses_frame_of(struct ar_str type);
/* Reads the terminal's response object: answer, stop. false: it failed; fault says how. */
bool ar_responses_note_end(struct ar_reader *r, struct ar_jval response);

/* stream_read_item.c */
void ar_responses_item_added(struct ar_reader *r, struct ar_jval root);
void ar_responses_item_done(struct ar_reader *r, struct ar_jval root);
void ar_responses_item_delta(struct ar_reader *r, enum ar_responses_frame kind,
                             struct ar_jval root);
void ar_responses_item_cite(struct ar_reader *r, struct ar_jval root);
/* Items of the final list that were not shown to their end; then nothing is open. */
void ar_responses_items_end(struct ar_reader *r, struct ar_jval output);

/* stream_relay.c */
void ar_responses_relay_frame(struct ar_reader *r, const struct ar_frame *f);
void ar_responses_relay_end(struct ar_reader *r);

#endif
