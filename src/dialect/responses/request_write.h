/* Inside the folder: the state of one encoding of a request for an upstream, and the files that do
 * its parts. Pure; any thread. */
#ifndef AR_DIALECT_RESPONSES_REQUEST_WRITE_H
#define AR_DIALECT_RESPONSES_REQUEST_WRITE_H

#include "dialect/responses/responses.h"
#include "dialect/encode.h"

/* What encoding a request needs: the first failure sticks in code. Borrows all. */
struct ar_responses_enc {
    struct ar_jw w;
    const struct ar_request *r;
    const struct ar_target *t;
    struct ar_arena *a;
    struct ar_losses *l;
    struct ar_encoded *ret;
    struct ar_undo_list undo;
    enum ar_code code;
    bool native;                 /* the client speaks this dialect too: keep what it wrote */
    bool official;               /* custom tools, namespaces and native calls may be sent as such */
    const struct ar_turn *calls; /* the last assistant turn that was written */
    unsigned marks_skip, marks_seen; /* cache marks: only the last four count */
};
/* Notes a loss under the name that the client's dialect has for the field. */
void ar_responses_lose(struct ar_responses_enc *e, enum ar_fate fate, enum ar_loss what,
                       const char *field, const char *why);
/* The name of a field in the client's dialect. */
const char *ar_responses_field(const struct ar_responses_enc *e, const char *openai,
                               const char *anthropic);

void ar_responses_put_messages(
    struct ar_responses_enc *e); /* message_write.c: instructions, input */
void ar_responses_put_tools(
    struct ar_responses_enc *e); /* tools_write.c: tools, tool_choice, parallel_tool_calls */
void ar_responses_put_reasoning(struct ar_responses_enc *e); /* reason_write.c */
/* May the thinking material go to this target? */
bool ar_responses_keeps_thinking(const struct ar_responses_enc *e, const struct ar_opaque *sig);

/* part_write.c: one content part. Texts are of users and systems; *_said of the assistant. */
void ar_responses_put_input_text(struct ar_responses_enc *e, struct ar_str esc,
                                 const struct ar_block *marked); /* marked: may be NULL */
void ar_responses_put_said(struct ar_responses_enc *e, const struct ar_block *b);
/* A block of a user's message or of a tool's result: text, media, a document's text and images. */
void ar_responses_put_part(struct ar_responses_enc *e, const struct ar_block *b);
/* Does the block show up in a message or a result? */
bool ar_responses_is_part(const struct ar_block *b);
/* Notes the loss of a block that this dialect has no place for. */
void ar_responses_lose_block(struct ar_responses_enc *e, const struct ar_block *b);
/* A server tool's item or an unknown one that goes as it came. */
bool ar_responses_is_own_item(const struct ar_responses_enc *e, const struct ar_block *b);

/* Names of tools on this wire: legal ones stay, others get a stable short form. */
struct ar_str ar_responses_tool_name(const struct ar_responses_enc *e, struct ar_str name);

#endif
