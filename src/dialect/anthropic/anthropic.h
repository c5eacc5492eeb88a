/* What the files of the anthropic dialect share; nothing else includes it. Wire: PROTOCOLS 3. Pure;
 * any thread. */
#ifndef AR_DIALECT_ANTHROPIC_ANTHROPIC_H
#define AR_DIALECT_ANTHROPIC_ANTHROPIC_H

#include "dialect/dialect.h"
#include "json/scan.h"
#include "json/write.h"

/* The members of struct ar_dialect, by file. */
enum ar_code ar_anthropic_outline(struct ar_str body, struct ar_arena *a, struct ar_outline *ret,
                                  struct ar_err *err);
enum ar_code ar_anthropic_decode_request(struct ar_str body, const struct ar_wire_in *in,
                                         enum ar_op op, struct ar_arena *a, struct ar_request **ret,
                                         struct ar_err *err);
enum ar_code ar_anthropic_encode_request(const struct ar_request *r, enum ar_op op,
                                         const struct ar_target *t, struct ar_arena *a,
                                         struct ar_losses *l, struct ar_encoded *ret);
enum ar_code ar_anthropic_encode_response(const struct ar_response *r,
                                          const struct ar_write_how *how, struct ar_losses *l,
                                          struct ar_buf *out);
enum ar_code ar_anthropic_decode_response(struct ar_str body, const struct ar_read_how *how,
                                          struct ar_arena *a, struct ar_response **ret,
                                          struct ar_fault *ret_fault);
enum ar_code ar_anthropic_observe(struct ar_str body, struct ar_arena *a, struct ar_response *ret,
                                  struct ar_fault *ret_fault);
int ar_anthropic_encode_error(const struct ar_fault *f, struct ar_str request_id,
                              struct ar_buf *out);
void ar_anthropic_decode_error(int status, struct ar_str body, struct ar_arena *a,
                               struct ar_fault *ret);
struct ar_writer *ar_anthropic_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                          struct ar_arena *a);
enum ar_code ar_anthropic_write(struct ar_writer *w, const struct ar_event *ev,
                                struct ar_framer *out);
void ar_anthropic_write_ping(struct ar_writer *w, struct ar_framer *out);
void ar_anthropic_writer_done(struct ar_writer *w);
struct ar_reader *ar_anthropic_reader_new(const struct ar_read_how *how, struct ar_arena *a);
void ar_anthropic_read_frame(struct ar_reader *r, const struct ar_frame *f);
void ar_anthropic_read_eof(struct ar_reader *r, enum ar_eof eof);
bool ar_anthropic_read_next(struct ar_reader *r, struct ar_event *ret);
bool ar_anthropic_read_lingers(const struct ar_reader *r);
void ar_anthropic_reader_done(struct ar_reader *r);

/* Where a block stands: what is legal there, and whose unwrapped thinking material is. */
enum ar_anthropic_place { AR_IN_USER, AR_IN_ASSISTANT, AR_IN_SYSTEM, AR_IN_RESULT, AR_IN_ANSWER };
struct ar_anthropic_in {
    struct ar_arena *a;
    struct ar_err *err;
    enum ar_vendor vendor; /* of signatures that come without an envelope */
    struct ar_str account; /* their account tag, where they are bound to one */
    bool new_version;      /* the client declares 2026-10-21 (P-116 and its kin) */
};
/* A string or an array of blocks -> list. Errors: AR_INVALID_REQUEST with the path, AR_TOO_LARGE.
 */
enum ar_code ar_anthropic_read_content(struct ar_anthropic_in *rd, struct ar_jval v,
                                       enum ar_anthropic_place at, struct ar_block **ret) AR_MUST;
/* One block, appended at *tail. */
enum ar_code ar_anthropic_read_part(struct ar_anthropic_in *rd, struct ar_jval v,
                                    enum ar_anthropic_place at, struct ar_block ***tail) AR_MUST;
/* Signature or data text (dec) -> opaque material, unwrapped; NULL for empty text. Arena. */
struct ar_opaque *ar_anthropic_read_sig(struct ar_anthropic_in *rd, struct ar_str text,
                                        enum ar_sig_form form);
/* A required member of v is not there: err with its path. */
enum ar_code ar_anthropic_missing(struct ar_jval v, const char *key, struct ar_err *err);
/* tools[] appended at *tail. */
enum ar_code ar_anthropic_read_tools(struct ar_anthropic_in *rd, struct ar_jval v,
                                     struct ar_tool **tail) AR_MUST;
/* cache_control object -> ttl; p NULL: no marker. */
struct ar_str ar_anthropic_read_cache(struct ar_anthropic_in *rd, struct ar_jval v);

/* The counters as the wire has them; -1 unknown. Merged over a stream, then made into IR usage. */
struct ar_anthropic_usage {
    int64_t input, read, creation, short_, long_, output, thinking, searches, fetches;
};
void ar_anthropic_usage_clear(struct ar_anthropic_usage *u);
void ar_anthropic_usage_read(struct ar_anthropic_usage *u,
                             struct ar_jval v); /* non-null overwrite */
struct ar_usage ar_anthropic_usage_ir(const struct ar_anthropic_usage *u);
void ar_anthropic_put_usage(struct ar_jw *w, const struct ar_usage *u, struct ar_str service_tier);

/* stop_reason, stop_sequence, stop_details of v (a message or a message_delta's delta). Strings:
 * arena. false: v does not say how it ended. */
bool ar_anthropic_read_stop(struct ar_jval v, struct ar_arena *a, struct ar_stop *ret);
/* Members stop_reason, stop_sequence, stop_details. refused: the answer held a refusal text. */
void ar_anthropic_put_stop(struct ar_jw *w, const struct ar_stop *s, bool refused);

/* The id as Anthropic clients know them: its own when it begins with msg_, else minted. ret: 64
 * bytes. */
struct ar_str ar_anthropic_message_id(struct ar_str id, const struct ar_stamp *stamp, char *ret);
/* A signature for the client's eyes: Anthropic's own as it is, other material in an envelope, never
 * empty. Quoted string value. */
void ar_anthropic_put_sig(struct ar_jw *w, const struct ar_opaque *sig);
/* One citation object as Anthropic knows it, or nothing (false): its own verbatim, url_citation
 * translated. */
bool ar_anthropic_put_citation(struct ar_jw *w, struct ar_str raw);
/* The member input of a call: the object, or the text of a free-form one. false: its arguments are
 * no JSON. */
bool ar_anthropic_put_input(struct ar_jw *w, const struct ar_block *b, struct ar_arena *a);
/* Is thinking text to be withheld from this client? */
bool ar_anthropic_is_withheld(const struct ar_request *r);

/* {"type":..., "message":...} of a fault, with details; returns the status. */
int ar_anthropic_put_error(struct ar_jw *w, const struct ar_fault *f);
/* Fills ret from an error event's or body's JSON. status < 400: taken from the type. */
void ar_anthropic_fault_of(int status, struct ar_jval root, struct ar_arena *a,
                           struct ar_fault *ret);

/* A search that another vendor's model ran, as two blocks of this dialect. answer_write_search.c.
 */
struct ar_anthropic_search {
    struct ar_block use, result; /* raw */
    struct ar_str input;         /* esc: what is streamed as the call's input */
};
/* whole: the input is in the call, not streamed. Arena. false: it is no such search. */
bool ar_anthropic_make_search(const struct ar_block *b, bool whole, struct ar_arena *a,
                              struct ar_anthropic_search *ret);
/* Was the wire block made here? Such a block is nothing to Anthropic. */
bool ar_anthropic_is_made_search(struct ar_str raw);

/* anthropic.c */
bool ar_anthropic_takes_url(const struct ar_block *b, const struct ar_target *t);

/* Where the JSON text of a call stands; zeroed to begin. stream_write_scan.c. */
struct ar_anthropic_scan {
    unsigned depth;
    uint8_t hex_left;
    bool escaped, in_string, inner_escape, complete;
    uint16_t hex;
};
/* The next piece, escaped as in a JSON string. */
void ar_anthropic_scan_put(struct ar_anthropic_scan *s, struct ar_str esc);

#endif
