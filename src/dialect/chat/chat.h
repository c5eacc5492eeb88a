/* What the files of the chat dialect share; of it responses/ and completions/ use errors, usage and
 * the native stream, which are the same wire. Contracts of the members of ar_dialect_chat are in
 * dialect/dialect.h. Wire: PROTOCOLS 1. Pure; any thread. */
#ifndef AR_DIALECT_CHAT_CHAT_H
#define AR_DIALECT_CHAT_CHAT_H

#include "dialect/shared.h"

/* The members of struct ar_dialect, by file. */
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

/* Object key (escaped) decoded; keys rarely have escapes. */
struct ar_str ar_chat_key(struct ar_str key, struct ar_arena *a);

/* Does the value of an error member tell of one? As the SDKs test it: null, false and "" do not.
 * error_read.c */
bool ar_chat_is_error(struct ar_jval v);

/* Members of a usage object, with the wire's fallbacks. usage.c */
void ar_chat_read_usage(struct ar_jval usage, struct ar_usage *ret);
void ar_chat_put_usage(const struct ar_usage *u, struct ar_jw *w);
/* Canonical -> finish_reason. */
const char *ar_chat_finish_of(enum ar_stop_reason reason);
/* The reading rules of PROTOCOLS 7.2: what finish means beside what was seen. choice: for vLLM's
 * stop_reason. */
struct ar_chat_seen {
    bool text, refusal, calls;
};
struct ar_chat_seen ar_chat_seen_of(const struct ar_block *b);
void ar_chat_read_stop(struct ar_str finish, struct ar_jval choice, struct ar_chat_seen seen,
                       struct ar_stop *ret);

/* chat.c */
bool ar_chat_takes_url(const struct ar_block *b, const struct ar_target *t);

#endif
