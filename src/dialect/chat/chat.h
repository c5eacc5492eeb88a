/* Shared inside the folder: what the files of the Chat Completions dialect offer each other.
 * Contracts of the members of ar_dialect_chat are in dialect/dialect.h. Source: PROTOCOLS 1, 6-9.
 */
#ifndef AR_DIALECT_CHAT_CHAT_H
#define AR_DIALECT_CHAT_CHAT_H

#include "dialect/dialect.h"
#include "json/scan.h"
#include "json/write.h"

/* outline.c, request_read.c, request_write.c, response.c, error.c, stream_read.c, stream_write.c:
 * members of the row. */
enum ar_code ar_chat_outline(struct ar_str body, struct ar_arena *a, struct ar_outline *ret,
                             struct ar_err *err);
enum ar_code ar_chat_decode_request(struct ar_str body, const struct ar_wire_in *in, enum ar_op op,
                                    struct ar_arena *a, struct ar_request **ret,
                                    struct ar_err *err);
enum ar_code ar_chat_encode_request(const struct ar_request *r, enum ar_op op,
                                    const struct ar_target *t, struct ar_arena *a,
                                    struct ar_losses *l, struct ar_encoded *ret);
enum ar_code ar_chat_encode_response(const struct ar_response *r, const struct ar_write_how *how,
                                     struct ar_losses *l, struct ar_buf *out);
enum ar_code ar_chat_decode_response(struct ar_str body, const struct ar_read_how *how,
                                     struct ar_arena *a, struct ar_response **ret,
                                     struct ar_fault *ret_fault);
enum ar_code ar_chat_observe(struct ar_str body, struct ar_arena *a, struct ar_response *ret,
                             struct ar_fault *ret_fault);
int ar_chat_encode_error(const struct ar_fault *f, struct ar_str request_id, struct ar_buf *out);
void ar_chat_decode_error(int status, struct ar_str body, struct ar_arena *a, struct ar_fault *ret);
struct ar_reader *ar_chat_reader_new(const struct ar_read_how *how, struct ar_arena *a);
void ar_chat_read_frame(struct ar_reader *r, const struct ar_frame *f);
void ar_chat_read_eof(struct ar_reader *r, enum ar_eof eof);
bool ar_chat_read_next(struct ar_reader *r, struct ar_event *ret);
bool ar_chat_read_lingers(const struct ar_reader *r);
void ar_chat_reader_done(struct ar_reader *r);
struct ar_writer *ar_chat_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                     struct ar_arena *a);
enum ar_code ar_chat_write(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out);
void ar_chat_write_ping(struct ar_writer *w, struct ar_framer *out);
void ar_chat_writer_done(struct ar_writer *w);

/* What reading messages and answers needs. Borrows all. */
struct ar_chat_in {
    struct ar_arena *a;
    struct ar_err *err;
    const struct ar_target *target; /* answers: who made them; NULL: a client's history */
    unsigned legacy_calls;          /* function_call messages so far: their ids are call_fn_<n> */
    struct ar_str answer_id;        /* whence ids are minted for calls that came without one */
    unsigned minted;
};

/* message_read.c: messages[] -> r->system and r->turns. */
enum ar_code ar_chat_read_messages(struct ar_chat_in *in, struct ar_jval messages,
                                   struct ar_request *r);
/* A content value (string or parts) appended as blocks. */
enum ar_code ar_chat_read_content(struct ar_chat_in *in, struct ar_jval content,
                                  struct ar_block ***tail);
/* part_read.c: one user part that is not text. */
enum ar_code ar_chat_read_media(struct ar_chat_in *in, struct ar_jval part, struct ar_str type,
                                struct ar_block ***tail);
/* Cache mark of a part or tool: cache_ttl of ar_block. */
struct ar_str ar_chat_read_cache(struct ar_chat_in *in, struct ar_jval part);

/* message_read_assistant.c: id of a call that came without one; stable for the same answer. Arena.
 */
struct ar_str ar_chat_mint_call(struct ar_str answer_id, unsigned nth, struct ar_arena *a);
/* An assistant message, of a history or of an answer, as blocks in the order thinking,
 * text, calls. */
enum ar_code ar_chat_read_assistant(struct ar_chat_in *in, struct ar_jval msg,
                                    struct ar_block ***tail);
/* Opaque material of a reasoning_details item, of its signature or data; NULL: none. */
struct ar_opaque *ar_chat_read_opaque(struct ar_arena *a, struct ar_jval detail,
                                      const struct ar_target *t);
/* Google's thought signature on a call (extra_content), or NULL. */
struct ar_opaque *ar_chat_read_extra(struct ar_arena *a, struct ar_jval call,
                                     const struct ar_target *t);
/* url_citation -> the canonical citation object, raw; p NULL: not one. Arena. */
struct ar_str ar_chat_read_citation(struct ar_arena *a, struct ar_jval annotation);

/* tools_read.c: tools, functions, tool_choice, function_call, web_search_options. */
enum ar_code ar_chat_read_tools(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r);
enum ar_code ar_chat_read_functions(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r);
enum ar_code ar_chat_read_choice(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r);
enum ar_code ar_chat_read_search(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r);

/* Decoded string member, or absent when missing, null or no string. */
struct ar_str ar_chat_text(struct ar_arena *a, struct ar_jval obj, struct ar_str key);
#define ar_chat_text_lit(a, obj, l) ar_chat_text((a), (obj), AR_LIT(l))
/* Object key (escaped) decoded; keys rarely have escapes. */
struct ar_str ar_chat_key(struct ar_str key, struct ar_arena *a);

/* Does the value of an error member tell of one? As the SDKs test it: null, false and "" do not.
 * error.c */
bool ar_chat_is_error(struct ar_jval v);

/* Members of a usage object, with the wire's fallbacks. usage.c */
void ar_chat_read_usage(struct ar_jval usage, struct ar_usage *ret);
void ar_chat_put_usage(const struct ar_usage *u, struct ar_jw *w);
/* finish_reason <-> canonical. */
enum ar_stop_reason ar_chat_stop_of(struct ar_str finish);
const char *ar_chat_finish_of(enum ar_stop_reason reason);
/* The reading rules of PROTOCOLS 7.2: what finish means beside what was seen. choice: for vLLM's
 * stop_reason. */
struct ar_chat_seen {
    bool text, refusal, calls;
};
void ar_chat_read_stop(struct ar_str finish, struct ar_jval choice, struct ar_chat_seen seen,
                       struct ar_stop *ret);

/* Parts of an answer that whole and streamed form share. answer_write.c */
void ar_chat_put_id(const struct ar_write_how *how, struct ar_str id, struct ar_jw *w);
/* One reasoning_details item: text esc (may be absent) and the material in its envelope. */
void ar_chat_put_detail(struct ar_jw *w, struct ar_str text, const struct ar_opaque *o,
                        unsigned index);
/* Canonical citation -> url_citation; false: it has no URL, nothing was written. from and to:
 * characters of content. */
bool ar_chat_put_citation(struct ar_jw *w, struct ar_str raw, struct ar_arena *a, int64_t from,
                          int64_t to);
/* Characters (code points) of escaped text. */
int64_t ar_chat_chars(struct ar_str esc);

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

/* chat.c */
bool ar_chat_takes_url(const struct ar_block *b, const struct ar_target *t);

#endif
