/* What the whole and the streamed answer for a client share. Wire: PROTOCOLS 3.8, 3.10. Pure; any
 * thread. */
#ifndef AR_DIALECT_ANTHROPIC_ANSWER_WRITE_H
#define AR_DIALECT_ANTHROPIC_ANSWER_WRITE_H

#include "dialect/anthropic/anthropic.h"

/* The id as Anthropic clients know them: its own when it begins with msg_, else minted. ret: 64
 * bytes. */
struct ar_str ar_anthropic_message_id(struct ar_str id, const struct ar_stamp *stamp, char *ret);
/* A signature for the client's eyes: Anthropic's own as it is, other material in an envelope, never
 * empty. Quoted string value. */
void ar_anthropic_put_sig(struct ar_jw *w, const struct ar_opaque *sig);
/* One citation object as Anthropic knows it, or nothing (false): its own verbatim, url_citation
 * translated. */
bool ar_anthropic_put_citation(struct ar_jw *w, struct ar_str raw);
/* Is thinking text to be withheld from this client? */
bool ar_anthropic_is_withheld(const struct ar_request *r);

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

#endif
