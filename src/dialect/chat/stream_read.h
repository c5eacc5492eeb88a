/* The stream reader's state, shared by its translated half (stream_read.c, stream_read_call.c) and
 * its relaying half (stream_relay.c). */
#ifndef AR_DIALECT_CHAT_STREAM_READ_H
#define AR_DIALECT_CHAT_STREAM_READ_H

#include "dialect/chat/request_read.h"
#include "ir/queue.h"

/* Thinking that comes inside content as <think>...</think>: cuts escaped text into pieces, held
 * across deltas. response_read_tags.c. Zeroed is the start. */
struct ar_chat_tags {
    enum { AR_TAGS_BEFORE, AR_TAGS_INSIDE, AR_TAGS_AFTER, AR_TAGS_OFF } at;
    char held[16]; /* start of a tag that is not complete yet, or white space before it */
    unsigned held_n;
};
struct ar_chat_piece {
    struct ar_str text; /* esc; borrows from the input or the scratch buffer */
    bool is_thinking;
};
enum { AR_CHAT_PIECES = 3 };
/* Cuts text; is_last gives out what is held. scratch: cleared by the call. Returns how many pieces.
 */
unsigned ar_chat_tags_cut(struct ar_chat_tags *t, struct ar_str text, bool is_last,
                          struct ar_buf *scratch, struct ar_chat_piece ret[AR_CHAT_PIECES]);

/* A call in the making, by the wire's index. */
struct ar_chat_call {
    int64_t index;
    struct ar_str id, name; /* dec; arena */
    struct ar_buf early;    /* arguments that came before the name */
    struct ar_opaque *sig;
    unsigned b;
    bool started, freeform;
};

/* A frame that tells nothing new but for one string: what is before and after that string. Owned
 * bytes. */
struct ar_chat_template {
    struct ar_buf bytes; /* head, then tail */
    size_t head_n;
    unsigned learned; /* times; given up when it changes all the time */
};

struct ar_reader {
    const struct ar_target *target;
    struct ar_arena *a;
    size_t content_max;
    bool relay, swallow;

    struct ar_jtape tape; /* owns; of the frame at hand */
    struct ar_jdoc doc;
    struct ar_buf scratch; /* joined text of the frame at hand */
    struct ar_queue queue; /* owns */

    struct ar_response answer; /* of START; at STOP its logprobs */
    struct ar_buf tokens;      /* owns; JSON of the logprobs so far, with commas */
    struct ar_usage usage;
    struct ar_stop stop;
    struct ar_str finish; /* the last finish_reason that says something; empty: none yet */
    struct ar_chat_seen seen;
    bool has_usage, started, thought;

    /* translated */
    int text_b, think_b, refusal_b; /* open block, or -1 */
    unsigned next_b;
    struct ar_chat_call *calls; /* owns */
    unsigned call_n, call_cap, minted;
    struct ar_chat_tags tags;
    struct ar_name *cites, **cites_tail; /* citations that came before their text */

    /* relay */
    struct ar_chat_template same;
    bool committed, rests; /* rests: the last frame that said something was the finish */
};

/* stream_read.c: shared moves. */
/* Ends with the fault that an error body tells. raw: its frame where the bytes are relayed. */
void ar_chat_fail_by(struct ar_reader *r, struct ar_str body, struct ar_str raw);
/* Values of the members usage and x_groq. */
void ar_chat_note_usage(struct ar_reader *r, struct ar_jval usage, struct ar_jval x_groq);
void ar_chat_note_start(struct ar_reader *r, struct ar_jval root);
void ar_chat_note_finish(struct ar_reader *r, struct ar_jval choice);
void ar_chat_close_block(struct ar_reader *r, int *b); /* b: open block or -1, which it becomes */
struct ar_block *ar_chat_start_block(struct ar_reader *r, enum ar_block_kind kind, unsigned *ret_b);
void ar_chat_put_delta(struct ar_reader *r, unsigned b, enum ar_delta delta, struct ar_str text);
/* stream_read_call.c */
enum { AR_CHAT_LEGACY_INDEX = -2 }; /* of the old function_call */
void ar_chat_read_calls(struct ar_reader *r, struct ar_jval calls);
void ar_chat_read_call(struct ar_reader *r, struct ar_jval v, int64_t index);
void ar_chat_start_call(struct ar_reader *r, struct ar_chat_call *c);
/* stream_relay.c */
void ar_chat_relay_frame(struct ar_reader *r, const struct ar_frame *f);
/* raw: bytes of the frame that ends the stream; empty at the end of the body. */
void ar_chat_relay_end(struct ar_reader *r, struct ar_str raw);

#endif
