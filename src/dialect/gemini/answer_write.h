/* What the whole and the streamed answer for a client share: parts, signatures that wait for their
 * part, and the members of a candidate. Included by nothing else. Pure; one thread at a time. */
#ifndef AR_DIALECT_GEMINI_ANSWER_WRITE_H
#define AR_DIALECT_GEMINI_ANSWER_WRITE_H

#include "dialect/gemini/gemini.h"

/* Material of thoughts on its way to a part (PROTOCOLS 7.1): next rides on the next part, call on
 * the next call. Borrows. */
struct ar_gemini_sigs {
    const struct ar_opaque *next, *call;
};
/* A thought with this material ended. shown: its text was; then only a call carries it once more,
 * because agents drop thoughts from their history but never what signs a call. Returns what was
 * waiting and has to go out first, or NULL. */
const struct ar_opaque *ar_gemini_note_sig(struct ar_gemini_sigs *s, const struct ar_opaque *sig,
                                           bool shown);
/* What the next part carries besides own (which wins); NULL: nothing. */
const struct ar_opaque *ar_gemini_take_sig(struct ar_gemini_sigs *s, const struct ar_opaque *own,
                                           bool is_call);

/* Is the text of thoughts shown to this client? */
bool ar_gemini_shows_thinking(const struct ar_request *r);
/* {"text":..., "thought":true?, "thoughtSignature"?}: text esc. */
void ar_gemini_put_text_part(struct ar_jw *w, struct ar_str text, bool thought,
                             const struct ar_opaque *sig);
/* A functionCall; nth: of the answer, whence an id is minted when it has none. a: scratch. Returns
 * whether its arguments were JSON. */
bool ar_gemini_put_call_part(struct ar_jw *w, const struct ar_block *b, const struct ar_opaque *sig,
                             const struct ar_stamp *stamp, unsigned nth, struct ar_arena *a);
/* Opaque parts of Google's own, media: the part, or false and nothing. */
bool ar_gemini_put_other_part(struct ar_jw *w, const struct ar_block *b);
/* Answers in {"value": ...} that the client gets without it (settings.enum_text, json_value). */
bool ar_gemini_is_wrapped(const struct ar_request *r);
/* The value alone of such an answer, escaped, as text or as its JSON; else text itself. Arena. */
struct ar_str ar_gemini_unwrap(struct ar_str text, const struct ar_request *r, struct ar_arena *a);

/* response_write.c: Chat's logprobs (raw) as the member logprobsResult, or nothing. */
void ar_gemini_put_logprobs(struct ar_jw *w, struct ar_str raw, struct ar_arena *a);

/* Members modelVersion and responseId. */
void ar_gemini_put_names(struct ar_jw *w, const struct ar_write_how *how);

/* answer_write_grounding.c: citations and searches of a candidate on their way to a client
 * (PROTOCOLS 7.1). init; add; put; done. Owns bufs. */
struct ar_gemini_cites {
    struct ar_buf chunks, supports, queries;
    unsigned n;
};
void ar_gemini_cites_init(struct ar_gemini_cites *c, size_t max_bytes);
/* One canonical citation (raw) of the block whose text (esc) begins at byte from of the candidate's
 * joined text. Without a URL it is left out. */
void ar_gemini_add_citation(struct ar_gemini_cites *c, struct ar_str raw, struct ar_str text,
                            int64_t from);
/* The query of a web search (input: JSON text). */
void ar_gemini_add_search(struct ar_gemini_cites *c, struct ar_str input);
/* The member groundingMetadata with its key, or nothing when there are none. */
void ar_gemini_put_grounding(struct ar_jw *w, const struct ar_gemini_cites *c);
void ar_gemini_cites_done(struct ar_gemini_cites *c);
/* Bytes of decoded text. */
int64_t ar_gemini_bytes(struct ar_str esc);

#endif
