/* What the files of the gemini dialect share; nothing else includes it. Wire: PROTOCOLS 4. Pure;
 * any thread. */
#ifndef AR_DIALECT_GEMINI_GEMINI_H
#define AR_DIALECT_GEMINI_GEMINI_H

#include "dialect/shared.h"

/* The members of struct ar_dialect, by file. */
enum ar_code ar_gemini_outline(struct ar_str body, struct ar_arena *a, struct ar_outline *ret,
                               struct ar_err *err);
enum ar_code ar_gemini_decode_request(struct ar_str body, const struct ar_wire_in *in,
                                      enum ar_op op, struct ar_arena *a, struct ar_request **ret,
                                      struct ar_err *err);
enum ar_code ar_gemini_encode_response(const struct ar_response *r, const struct ar_write_how *how,
                                       struct ar_losses *l, struct ar_buf *out);
int ar_gemini_encode_error(const struct ar_fault *f, struct ar_str request_id, struct ar_buf *out);
struct ar_writer *ar_gemini_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                       struct ar_arena *a);
enum ar_code ar_gemini_write(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out);
void ar_gemini_write_ping(struct ar_writer *w, struct ar_framer *out);
void ar_gemini_writer_done(struct ar_writer *w);
bool ar_gemini_takes_url(const struct ar_block *b, const struct ar_target *t);
enum ar_code ar_gemini_encode_request(const struct ar_request *r, enum ar_op op,
                                      const struct ar_target *t, struct ar_arena *a,
                                      struct ar_losses *l, struct ar_encoded *ret);
enum ar_code ar_gemini_decode_response(struct ar_str body, const struct ar_read_how *how,
                                       struct ar_arena *a, struct ar_response **ret,
                                       struct ar_fault *ret_fault);
enum ar_code ar_gemini_observe(struct ar_str body, struct ar_arena *a, struct ar_response *ret,
                               struct ar_fault *ret_fault);
void ar_gemini_decode_error(int status, struct ar_str body, struct ar_arena *a,
                            struct ar_fault *ret);
struct ar_reader *ar_gemini_reader_new(const struct ar_read_how *how, struct ar_arena *a);
void ar_gemini_read_frame(struct ar_reader *r, const struct ar_frame *f);
void ar_gemini_read_eof(struct ar_reader *r, enum ar_eof eof);
bool ar_gemini_read_next(struct ar_reader *r, struct ar_event *ret);
bool ar_gemini_read_lingers(const struct ar_reader *r);
void ar_gemini_reader_done(struct ar_reader *r);

/* Member by its camelCase name, or by the snake_case spelling that proto3 JSON takes too; the last
 * of duplicates, absent when there is none. key: ASCII. */
struct ar_jval ar_gemini_get(struct ar_jval v, struct ar_str camel);
#define ar_gemini_get_lit(v, l) ar_gemini_get((v), AR_LIT(l))
/* Is key the camelCase name, in either spelling? */
bool ar_gemini_key_is(struct ar_str key, struct ar_str camel);
/* The members of many keys in one walk: ret[i] is that of camel[i], as ar_gemini_get would give it.
 * Returns how many members v has that are none of them. */
unsigned ar_gemini_pick(struct ar_jval v, const struct ar_str *camel, unsigned n,
                        struct ar_jval *ret);
/* Decoded string member, or absent when missing, null or no string. */
struct ar_str ar_gemini_text(struct ar_arena *a, struct ar_jval obj, struct ar_str camel);
#define ar_gemini_text_lit(a, obj, l) ar_gemini_text((a), (obj), AR_LIT(l))
/* int64 as a number or, as proto3 JSON has it, as a string of digits. */
enum ar_code ar_gemini_i64(struct ar_jval v, int64_t *ret, struct ar_err *err) AR_MUST;
/* Index of an enum's value among names, by name in any case, with or without prefix, or by its
 * number (names are in the order of the numbers); -1: unknown. names: NULL-terminated. */
int ar_gemini_enum(struct ar_jval v, const char *prefix, const char *const *names);

/* sig.c: thoughtSignature (base64 text, dec) -> Google's own material with the text as its data, or
 * what our envelope holds; NULL for empty text. Arena. */
struct ar_opaque *ar_gemini_read_sig(struct ar_str text, struct ar_str account, struct ar_arena *a);
/* The value of thoughtSignature: Google's own verbatim, other material as base64 of its envelope.
 */
void ar_gemini_put_sig(struct ar_jw *w, const struct ar_opaque *sig);

/* usageMetadata -> IR (false: v is none), and back. usage.c */
bool ar_gemini_read_usage(struct ar_jval v, struct ar_usage *ret);
/* The member usageMetadata with its key; zero counters are left out, totals are not. */
void ar_gemini_put_usage(struct ar_jw *w, const struct ar_usage *u);

/* finishReason -> canonical (PROTOCOLS 7.2), Google's own word when the filter of its own stopped
 * it. usage.c */
enum ar_stop_reason ar_gemini_stop_of(struct ar_str finish);
/* Members finishReason (and finishMessage). refused: the answer held a refusal text. */
void ar_gemini_put_stop(struct ar_jw *w, const struct ar_stop *s, bool refused);
/* Was the prompt itself refused: promptFeedback takes the place of candidates. */
bool ar_gemini_is_blocked(const struct ar_stop *s, bool said);
void ar_gemini_put_blocked(struct ar_jw *w, const struct ar_stop *s);

/* Kind of block that holds media of this type. message_read.c */
enum ar_block_kind ar_gemini_media_kind(struct ar_str mime);

#endif
