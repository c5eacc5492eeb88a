/* What the encoders of requests do alike, whatever wire they write: tools without a form of their
 * own, documents that are text, levels of effort, identities. Pure; any thread. */
#ifndef AR_DIALECT_ENCODE_H
#define AR_DIALECT_ENCODE_H

#include "dialect/shared.h"
#include "ir/undo.h"

/* Parameters of the function that stands for a freeform tool: one string. */
#define AR_FREEFORM_SCHEMA                                                                         \
    "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\",\"description\":\"Raw "   \
    "text, not JSON.\"}},\"required\":[\"input\"],\"additionalProperties\":false}"
/* Its description as a string value, the grammar in words behind it (P-052). */
void ar_put_freeform_text(struct ar_jw *w, const struct ar_tool *t);

/* Does the schema of an object say anything about its members? */
bool ar_schema_says(struct ar_str schema, struct ar_arena *a);
/* How bad it is that a server tool cannot go: search and the like are lost with a warning, a whole
 * computer or a forced one not. */
enum ar_fate ar_server_tool_fate(const struct ar_request *r, const struct ar_tool *t);

/* The undo list of one encoding, which grows at its tail. */
struct ar_undo_list {
    struct ar_undo **first, **tail;
    struct ar_arena *a;
    unsigned name_max; /* bytes of a tool's name on this wire */
};
/* Adds a row. Without memory it is left out, and the arena's state tells. */
void ar_undo_add(struct ar_undo_list *l, struct ar_undo row);
/* The legal form of a tool's name, with its row when it differs. Arena, or name itself. */
struct ar_str ar_undo_name(struct ar_undo_list *l, struct ar_str name);
/* Names that only the history has are renamed the same way; their rows keep the answer's names
 * right. keeps_ns: members of namespaces go as they are. */
void ar_undo_history(struct ar_undo_list *l, const struct ar_request *r, bool keeps_ns);

/* A document that can be told as text: its own, or that of its blocks. */
bool ar_is_text_document(const struct ar_block *b);
/* The same in <document> tags, escaped. Arena; empty without memory. */
struct ar_str ar_document_text(const struct ar_block *b, struct ar_arena *a);

/* What a model is told that has no field for the shape of its output, escaped. The line with the
 * schema: arena. */
#define AR_JSON_LINE "Respond with one JSON object and nothing else."
struct ar_str ar_schema_line(const struct ar_settings *s, struct ar_arena *a);

/* Effort that the client wants, UNSET: says nothing; and the level as far as the model goes, NONE
 * or a lower one where it does not know the word. */
enum ar_effort ar_effort_wanted(const struct ar_settings *s);
enum ar_effort ar_effort_known(const struct ar_target *t, enum ar_effort level);

/* Member that tells the end user, as OpenAI's wires have it. An id over 64 bytes is hashed: the
 * vendor refuses it, and Claude Code's tells account and device. */
void ar_put_user(struct ar_jw *w, struct ar_str id, const struct ar_target *t);
/* "data:<mime>;base64,<data>" as a string value; data: esc. */
void ar_put_data_url(struct ar_jw *w, struct ar_str mime, struct ar_str data);
/* What OpenAI calls the format of audio. */
struct ar_str ar_audio_format(struct ar_str mime);

#endif
