/* Inside the folder: an answer on its way to a client, whole or streamed. stream_write.c decides
 * which item speaks, answer_write.c makes the frames and the finished form of one item,
 * response_write.c the response object around them. Wire: PROTOCOLS 2.5, 2.6, 8.3. One thread at a
 * time. */
#ifndef AR_DIALECT_RESPONSES_ANSWER_WRITE_H
#define AR_DIALECT_RESPONSES_ANSWER_WRITE_H

#include "dialect/responses/responses.h"

enum { AR_RESPONSES_TEXT_MAX = 64 << 20 }; /* bytes of one item, and of all finished ones */

enum ar_responses_kind {
    AR_RW_MESSAGE,
    AR_RW_REASONING,
    AR_RW_FUNCTION,
    AR_RW_CUSTOM,
    AR_RW_NATIVE, /* shown whole, when its input is complete */
    AR_RW_SEARCH  /* a web search of another vendor's */
};
enum ar_responses_part { AR_RW_NO_PART, AR_RW_TEXT, AR_RW_REFUSAL, AR_RW_SUMMARY };

/* An output item that is not finished. Strings: the writer's arena. */
struct ar_responses_out {
    struct ar_responses_out *next;
    unsigned index, part_n, note_n;
    unsigned open_blocks; /* that may still add to it */
    enum ar_responses_kind kind;
    enum ar_responses_part part; /* the open one */
    enum ar_native native;
    char id[96];
    struct ar_str call_id, name, ns, phase, from_id; /* dec; from_id: the upstream's item */
    const struct ar_opaque *sig;
    struct ar_buf text;     /* owns; esc: of the open part, or the input */
    struct ar_buf parts;    /* owns; JSON of the closed parts, with commas */
    struct ar_buf notes;    /* owns; JSON of the open part's annotations, with commas */
    struct ar_str logprobs; /* raw array; absent: none */
    char prefix[320];       /* of the usual delta, up to its text */
    uint16_t prefix_n;
};

/* A block of the answer that is open. */
struct ar_responses_live {
    struct ar_responses_live *next;
    unsigned b;
    enum ar_block_kind kind;
    struct ar_responses_out *item; /* NULL: nothing to show yet, or nothing at all */
    size_t from;                   /* byte of the part's text at which the block begins */
    const struct ar_block *meta;   /* arena; text and thinking */
    const struct ar_opaque *sig;
    struct ar_name *cites, **cites_tail;
};

struct ar_writer {
    const struct ar_request *request;
    struct ar_str model;
    struct ar_stamp stamp;
    struct ar_losses *losses;
    size_t losses_at; /* what is beyond belongs to the answer */
    struct ar_arena a;
    char id[80];
    struct ar_str service_tier;
    struct ar_str logprobs; /* raw array of a whole answer, for its first text; absent: none */
    struct ar_buf echo;     /* the settings that every response object repeats */
    struct ar_buf done;     /* JSON of finished items, as they came */
    struct ar_buf spans;    /* struct ar_span of each index in done */
    struct ar_buf scratch;
    struct ar_responses_out *open, *spare, *newest; /* newest: of open, or NULL */
    struct ar_responses_out *held; /* of open: a call that has ended, perhaps because it was cut */
    struct ar_responses_live *live, *spare_live;
    unsigned seq, next_index;
    bool quiet; /* no frames: a whole answer */
    bool shows_thinking, started, stopped, failed, said, refused;
    struct ar_usage usage;
    struct ar_stop stop;
};

/* --- answer_write.c --- */

/* A new item with its id and index; NULL: no memory. from_id (dec): what the upstream called it. */
struct ar_responses_out *ar_responses_open_item(struct ar_writer *w, enum ar_responses_kind kind,
                                                enum ar_native native, struct ar_str from_id);
/* output_item.added, once its strings are set. */
void ar_responses_show_item(struct ar_writer *w, struct ar_responses_out *o, struct ar_framer *out);
/* Text (esc) of the part, which is opened, after another one is closed, when it is not. */
void ar_responses_put_text(struct ar_writer *w, struct ar_responses_out *o,
                           enum ar_responses_part part, struct ar_str esc, struct ar_framer *out);
/* An annotation object of the open text part. */
void ar_responses_put_note(struct ar_writer *w, struct ar_responses_out *o, struct ar_str raw,
                           struct ar_framer *out);
/* Input (esc) of a call. */
void ar_responses_put_input(struct ar_writer *w, struct ar_responses_out *o, struct ar_str esc,
                            struct ar_framer *out);
/* What is left to say of it, its finished form, and output_item.done. Frees its buffers. sources
 * (raw array): of a search, or absent. */
void ar_responses_finish_item(struct ar_writer *w, struct ar_responses_out *o, bool is_cut,
                              struct ar_str sources, struct ar_framer *out);
/* An item of the client's own vendor, as it came (raw). */
void ar_responses_pass_item(struct ar_writer *w, struct ar_str raw, struct ar_framer *out);
/* Begins {"type":"<name>" ...: the caller adds members and closes, which adds the number. */
struct ar_jw ar_responses_open_frame(struct ar_framer *f, struct ar_str name);
void ar_responses_close_frame(struct ar_writer *w, struct ar_framer *f, struct ar_jw *j);

/* --- answer_write_call.c: the input (dec) of a call of a native kind as members of its item.
 * false: it is not of that form, and nothing was written. --- */
bool ar_responses_put_action(struct ar_jw *w, enum ar_native native, struct ar_str input,
                             struct ar_arena *a);
/* Members name and namespace. */
void ar_responses_put_name(struct ar_jw *w, struct ar_str name, struct ar_str ns);

/* --- answer_write_note.c --- */

/* [{"type":"url","url":...}] of the pages in a search's result (raw). Scratch: until used again. */
struct ar_str ar_responses_sources(struct ar_writer *w, struct ar_str raw);
/* Citations of the block, those that its end brought too, as annotations of its part. */
void ar_responses_put_notes(struct ar_writer *w, const struct ar_responses_live *v,
                            const struct ar_block *end, struct ar_framer *out);

/* --- response_write.c --- */

/* Settings that the answer repeats, from the client's own words. */
void ar_responses_make_echo(const struct ar_request *r, struct ar_buf *ret);
/* The response object; status: one of the wire's words. fault: why it failed, or NULL. */
void ar_responses_put_response(struct ar_writer *w, struct ar_jw *j, const char *status,
                               const struct ar_fault *fault);
/* completed, incomplete, cancelled: how the stop is told here. */
const char *ar_responses_status(const struct ar_writer *w);
/* error_write.c: why the response failed. */
void ar_responses_put_fault(struct ar_jw *j, const struct ar_fault *f);
/* The envelope of material for this client: its own vendor's bare. Quoted string value. */
void ar_responses_put_sig(struct ar_jw *j, const struct ar_opaque *sig);

#endif
