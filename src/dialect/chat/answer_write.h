/* What the whole and the streamed answer for a client share. Wire: PROTOCOLS 1.5, 1.7. Pure; any
 * thread. */
#ifndef AR_DIALECT_CHAT_ANSWER_WRITE_H
#define AR_DIALECT_CHAT_ANSWER_WRITE_H

#include "dialect/chat/chat.h"

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

#endif
