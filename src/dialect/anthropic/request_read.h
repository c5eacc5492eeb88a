/* What the files that read a client's request share; blocks of an upstream's answers are read by
 * the same code. Wire: PROTOCOLS 3. Pure; any thread. */
#ifndef AR_DIALECT_ANTHROPIC_REQUEST_READ_H
#define AR_DIALECT_ANTHROPIC_REQUEST_READ_H

#include "dialect/anthropic/anthropic.h"
#include "dialect/decode.h"

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
enum ar_code ar_anthropic_read_content(struct ar_anthropic_in *in, struct ar_jval v,
                                       enum ar_anthropic_place at, struct ar_block **ret) AR_MUST;
/* Signature or data text (dec) -> opaque material, unwrapped; NULL for empty text. Arena. */
struct ar_opaque *ar_anthropic_read_sig(struct ar_anthropic_in *in, struct ar_str text,
                                        enum ar_sig_form form);
/* A required member of v is not there: err with its path. */
enum ar_code ar_anthropic_missing(struct ar_jval v, const char *key, struct ar_err *err);
/* messages[] appended at *tail: message_read.c. */
enum ar_code ar_anthropic_read_messages(struct ar_anthropic_in *in, struct ar_jval v,
                                        struct ar_turn **tail) AR_MUST;
/* tools[] appended at *tail. */
enum ar_code ar_anthropic_read_tools(struct ar_anthropic_in *in, struct ar_jval v,
                                     struct ar_tool **tail) AR_MUST;
enum ar_code ar_anthropic_read_choice(struct ar_anthropic_in *in, struct ar_jval v,
                                      struct ar_settings *set) AR_MUST;
/* cache_control object -> ttl; p NULL: no marker. */
struct ar_str ar_anthropic_read_cache(struct ar_anthropic_in *in, struct ar_jval v);

#endif
