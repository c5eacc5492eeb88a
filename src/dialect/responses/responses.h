/* Shared inside the folder: what the files of the Responses dialect offer each other. Contracts of
 * the members of ar_dialect_responses are in dialect/dialect.h. Wire: PROTOCOLS 2, 6-9. Pure; any
 * thread. */
#ifndef AR_DIALECT_RESPONSES_RESPONSES_H
#define AR_DIALECT_RESPONSES_RESPONSES_H

#include "dialect/shared.h"

/* The members of struct ar_dialect, facing a client. */
enum ar_code ar_responses_outline(struct ar_str body, struct ar_arena *a, struct ar_outline *ret,
                                  struct ar_err *err);
enum ar_code ar_responses_decode_request(struct ar_str body, const struct ar_wire_in *in,
                                         enum ar_op op, struct ar_arena *a, struct ar_request **ret,
                                         struct ar_err *err);
enum ar_code ar_responses_encode_response(const struct ar_response *r,
                                          const struct ar_write_how *how, struct ar_losses *l,
                                          struct ar_buf *out);
int ar_responses_encode_error(const struct ar_fault *f, struct ar_str request_id,
                              struct ar_buf *out);
struct ar_writer *ar_responses_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                          struct ar_arena *a);
enum ar_code ar_responses_write(struct ar_writer *w, const struct ar_event *ev,
                                struct ar_framer *out);
void ar_responses_write_ping(struct ar_writer *w, struct ar_framer *out);
void ar_responses_writer_done(struct ar_writer *w);

/* And facing an upstream. */
bool ar_responses_takes_url(const struct ar_block *b, const struct ar_target *t);
enum ar_code ar_responses_encode_request(const struct ar_request *r, enum ar_op op,
                                         const struct ar_target *t, struct ar_arena *a,
                                         struct ar_losses *l, struct ar_encoded *ret);
enum ar_code ar_responses_decode_response(struct ar_str body, const struct ar_read_how *how,
                                          struct ar_arena *a, struct ar_response **ret,
                                          struct ar_fault *ret_fault);
void ar_responses_decode_error(int status, struct ar_str body, struct ar_arena *a,
                               struct ar_fault *ret);
enum ar_code ar_responses_observe(struct ar_str body, struct ar_arena *a, struct ar_response *ret,
                                  struct ar_fault *ret_fault);
struct ar_reader *ar_responses_reader_new(const struct ar_read_how *how, struct ar_arena *a);
void ar_responses_read_frame(struct ar_reader *r, const struct ar_frame *f);
void ar_responses_read_eof(struct ar_reader *r, enum ar_eof eof);
bool ar_responses_read_next(struct ar_reader *r, struct ar_event *ret);
bool ar_responses_read_lingers(const struct ar_reader *r);
void ar_responses_reader_done(struct ar_reader *r);

/* A member of a namespace goes by "<ns>__<name>" everywhere but on this wire: IR names of tools and
 * calls are the flat ones, ns tells the first part. Arena; ns empty: the name itself. */
struct ar_str ar_responses_flat_name(struct ar_str ns, struct ar_str name, struct ar_arena *a);
/* And the name of a member without its namespace. */
struct ar_str ar_responses_bare_name(struct ar_str ns, struct ar_str flat);
/* What this wire calls a kind ("local_shell"), whose items are "<kind>_call"; NONE: NULL. The
 * names of such tools are the same words. */
const char *ar_responses_native_name(enum ar_native native);
enum ar_native ar_responses_native_of(struct ar_str name);
/* The vendor-neutral name of a server tool's wire type. */
struct ar_str ar_responses_server_name(struct ar_str type);

/* usage.c */
void ar_responses_read_usage(struct ar_jval usage, struct ar_usage *ret);
void ar_responses_put_usage(struct ar_jw *j, const struct ar_usage *u);

#endif
