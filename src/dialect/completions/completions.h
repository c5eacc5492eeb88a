/* Private to completions/: the legacy text completions of OpenAI, as clients still speak them. */
#ifndef AR_DIALECT_COMPLETIONS_COMPLETIONS_H
#define AR_DIALECT_COMPLETIONS_COMPLETIONS_H

#include "dialect/dialect.h"
#include "json/write.h"

/* request_read.c, response_write.c, stream_write.c: members of the row. */
enum ar_code ar_completions_decode_request(struct ar_str body, const struct ar_wire_in *in,
                                           enum ar_op op, struct ar_arena *a,
                                           struct ar_request **ret, struct ar_err *err);
enum ar_code ar_completions_encode_response(const struct ar_response *r,
                                            const struct ar_write_how *how, struct ar_losses *l,
                                            struct ar_buf *out);
struct ar_writer *ar_completions_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                            struct ar_arena *a);
enum ar_code ar_completions_write(struct ar_writer *w, const struct ar_event *ev,
                                  struct ar_framer *out);
void ar_completions_write_ping(struct ar_writer *w, struct ar_framer *out);
void ar_completions_writer_done(struct ar_writer *w);

/* What every answer and every chunk begins with: id, object, created, model. response_write.c */
void ar_completions_put_head(struct ar_jw *w, const struct ar_write_how *how,
                             const struct ar_response *answer);
/* The prompt, esc, where the request wants it back (echo); absent: it does not. request_read.c */
struct ar_str ar_completions_echo(const struct ar_request *r);

#endif
