/* Inside the folder: the state of one encoding of a request, and the files that do its parts. */
#ifndef AR_DIALECT_CHAT_REQUEST_WRITE_H
#define AR_DIALECT_CHAT_REQUEST_WRITE_H

#include "dialect/chat/chat.h"
#include "dialect/encode.h"

/* What encoding a request needs: the first failure sticks in code. Borrows all. */
struct ar_chat_enc {
    struct ar_jw w;
    const struct ar_request *r;
    const struct ar_target *t;
    struct ar_arena *a;
    struct ar_losses *l;
    struct ar_encoded *ret;
    struct ar_undo_list undo;
    enum ar_code code;
    unsigned marks_skip; /* cache marks that are left out: only the last four count */
    unsigned marks_seen;
};
/* Does the target know freeform tools? Others get a function with the one string. */
static inline bool ar_chat_has_custom(const struct ar_chat_enc *e)
{
    return e->t->vendor == AR_VENDOR_OPENAI;
}
/* Notes a loss under the name that the client's dialect has for the field. */
void ar_chat_lose(struct ar_chat_enc *e, enum ar_fate fate, enum ar_loss what, const char *field,
                  const char *why);
static inline const char *ar_chat_field(const struct ar_chat_enc *e, const char *chat,
                                        const char *anthropic)
{
    return e->r->dialect == AR_DIALECT_ANTHROPIC ? anthropic : chat;
}
void ar_chat_put_messages(struct ar_chat_enc *e); /* message_write.c */
void ar_chat_put_media(struct ar_chat_enc *e,
                       const struct ar_block *b); /* part_write.c: one part */
void ar_chat_put_tools(
    struct ar_chat_enc *e); /* tools_write.c: tools, tool_choice, parallel_tool_calls */
/* The assistant's thinking as the target takes it back; NULL blocks end. reason_write.c */
void ar_chat_put_thinking(struct ar_chat_enc *e, const struct ar_turn *from,
                          const struct ar_turn *end);
void ar_chat_put_reasoning(struct ar_chat_enc *e); /* reasoning_effort or reasoning */

#endif
