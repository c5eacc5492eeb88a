/* The stream reader's state, shared by its translated half (stream_read.c, stream_read_part.c,
 * stream_read_args.c), its relaying half (stream_relay.c) and the reader of whole answers
 * (response_read.c). */
#ifndef AR_DIALECT_GEMINI_STREAM_READ_H
#define AR_DIALECT_GEMINI_STREAM_READ_H

#include "dialect/gemini/gemini.h"
#include "ir/queue.h"

/* Members of a chunk, which is also the whole answer's form. */
enum ar_gemini_chunk_member {
    AR_C_CANDIDATES,
    AR_C_USAGE,
    AR_C_MODEL,
    AR_C_ID,
    AR_C_FEEDBACK,
    AR_C_ERROR,
    AR_C_COUNT
};

/* Members of a candidate. */
enum ar_gemini_candidate_member {
    AR_K_CONTENT,
    AR_K_FINISH,
    AR_K_WHY,
    AR_K_GROUNDING,
    AR_K_SAFETY,
    AR_K_LOGPROBS,
    AR_K_COUNT
};

enum { AR_GEMINI_USAGE_EVERY = 16 }; /* chunks in a row whose counts may go unread */

struct ar_gemini_args; /* arguments that come in pieces; stream_read_args.c */

struct ar_reader {
    const struct ar_target *target;
    struct ar_arena *a;
    size_t content_max;
    bool relay;
    bool whole;        /* texts of calls are handed on decoded; everything outlives the reader */
    int64_t candidate; /* which one is read */

    struct ar_jtape tape; /* owns; of the frame at hand */
    struct ar_jdoc doc;
    struct ar_queue queue; /* owns */

    struct ar_response answer; /* of START; its grounding and safety grow until STOP */
    struct ar_usage usage;
    struct ar_stop stop;
    struct ar_str finish;  /* dec: the last finishReason; empty: none yet */
    struct ar_str blocked; /* dec: promptFeedback.blockReason */
    struct ar_buf late;    /* owns; usageMetadata (relay: the chunk) that is not read yet */
    unsigned unread;       /* chunks since counts were read */
    bool has_usage, started;
    bool said, called, ends_in_call; /* any content; any call; nothing came after the last call */

    /* translated */
    int open_b; /* -1: none */
    enum ar_block_kind open_kind;
    bool open_signed;
    struct ar_buf said_text; /* owns; esc: of the open text block */
    unsigned next_b, minted;
    struct ar_gemini_args *args; /* NULL: no call is coming in pieces */

    /* relay */
    bool committed, rests; /* rests: the last frame that said something was the finish */
};

/* stream_read.c: shared moves. */
void ar_gemini_fail_by(struct ar_reader *r, struct ar_str body, struct ar_str raw);
/* Members of a chunk; false: it is no object. */
bool ar_gemini_pick_chunk(struct ar_jval root, struct ar_jval ret[AR_C_COUNT]);
/* The candidate that is read; absent when it is not in this chunk. */
struct ar_jval ar_gemini_candidate(const struct ar_reader *r, struct ar_jval candidates);
void ar_gemini_note_start(struct ar_reader *r, const struct ar_jval c[AR_C_COUNT]);
/* true: they are known and changed. */
bool ar_gemini_note_usage(struct ar_reader *r, struct ar_jval usage);
void ar_gemini_note_finish(struct ar_reader *r, const struct ar_jval k[AR_K_COUNT]);
/* Members of a candidate, absent ones of an absent candidate. */
void ar_gemini_pick_candidate(struct ar_jval candidate, struct ar_jval ret[AR_K_COUNT]);
void ar_gemini_note_feedback(struct ar_reader *r, struct ar_jval feedback);
/* How it ended, from all that was noted. false: that is no end; the fault is pushed. */
bool ar_gemini_settle_stop(struct ar_reader *r);
/* A chunk's events, and the end of the answer. */
void ar_gemini_read_chunk(struct ar_reader *r, struct ar_jval root, struct ar_str data);
void ar_gemini_end_answer(struct ar_reader *r);

/* stream_read_part.c: one part of the candidate. */
void ar_gemini_read_part(struct ar_reader *r, struct ar_jval part);
void ar_gemini_close_block(struct ar_reader *r);
/* Opens a block and tells so; NULL: too many. */
struct ar_block *ar_gemini_open_block(struct ar_reader *r, enum ar_block_kind kind);
void ar_gemini_put_delta(struct ar_reader *r, enum ar_delta delta, struct ar_str text);
/* A whole call: its block and arguments (raw JSON). id, name: dec. */
void ar_gemini_put_call(struct ar_reader *r, struct ar_str id, struct ar_str name,
                        struct ar_str args, struct ar_opaque *sig);

/* stream_read_grounding.c: what the last groundingMetadata tells: citations to the open text block,
 * which it closes, and behind it the searches. */
void ar_gemini_ground(struct ar_reader *r);

/* response_read.c: logprobsResult -> Chat's logprobs, raw in the arena; p NULL: none. */
struct ar_str ar_gemini_read_logprobs(struct ar_jval result, struct ar_arena *a);

/* stream_read_args.c: Vertex's partialArgs. true: the functionCall was a piece and is dealt with.
 */
bool ar_gemini_read_piece(struct ar_reader *r, struct ar_jval call, struct ar_opaque *sig);
/* The call that is coming in pieces ends with the answer. */
void ar_gemini_end_pieces(struct ar_reader *r);
void ar_gemini_args_done(struct ar_gemini_args *g);

/* stream_relay.c */
void ar_gemini_relay_frame(struct ar_reader *r, const struct ar_frame *f);
void ar_gemini_relay_end(struct ar_reader *r);
/* What a candidate's parts and finish tell, without making blocks. raw: shown with the first
 * content, unless the reader is committed. */
void ar_gemini_note_candidate(struct ar_reader *r, struct ar_jval candidate, struct ar_str *raw);

#endif
