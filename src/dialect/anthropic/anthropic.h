/* What the files of the anthropic dialect share; nothing else includes it. Wire: PROTOCOLS 3. Pure;
 * any thread. */
#ifndef AR_DIALECT_ANTHROPIC_ANTHROPIC_H
#define AR_DIALECT_ANTHROPIC_ANTHROPIC_H

#include "dialect/shared.h"

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

/* The member input of a call: the object, or the text of a free-form one. false: its arguments are
 * no JSON. */
bool ar_anthropic_put_input(struct ar_jw *w, const struct ar_block *b, struct ar_arena *a);
/* {"type":..., "message":...} of a fault, with details; returns the status. */
int ar_anthropic_put_error(struct ar_jw *w, const struct ar_fault *f);
/* Fills ret from an error event's or body's JSON. status < 400: taken from the type. */
void ar_anthropic_fault_of(int status, struct ar_jval root, struct ar_arena *a,
                           struct ar_fault *ret);

/* anthropic.c */
bool ar_anthropic_takes_url(const struct ar_block *b, const struct ar_target *t);

#endif
