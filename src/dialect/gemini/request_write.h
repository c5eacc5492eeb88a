/* What the files that write a generateContent request share: the state of one encoding. Included by
 * nothing else. Pure; any thread. */
#ifndef AR_DIALECT_GEMINI_REQUEST_WRITE_H
#define AR_DIALECT_GEMINI_REQUEST_WRITE_H

#include "base/map.h"
#include "dialect/gemini/gemini.h"
#include "dialect/encode.h"

/* Fields as each client's dialect names them, for losses. request_write.c has the table. */
enum ar_gemini_field {
    AR_F_MESSAGES,
    AR_F_TOOLS,
    AR_F_CHOICE,
    AR_F_PARALLEL,
    AR_F_EFFORT,
    AR_F_FORMAT,
    AR_F_LIMIT,
    AR_F_STOP,
    AR_F_IMAGE,
    AR_F_FILE,
    AR_F_FILE_ID,
    AR_F_ARGUMENTS,
    AR_F_TIER,
    AR_F_SERVER_TOOLS,
    AR_F_SEARCH,
    AR_F_COUNT
};

/* Encoding of a request: state of one run. code is sticky: the first refusal wins. */
struct ar_gemini_enc {
    const struct ar_request *r;
    const struct ar_target *t;
    struct ar_arena *a;
    struct ar_losses *l;
    struct ar_encoded *ret;
    struct ar_undo_list undo;
    struct ar_jw w;
    enum ar_code code;
    enum ar_op op;
    bool native;         /* the client speaks this dialect too: keep what it wrote */
    struct ar_map calls; /* owns; id -> struct ar_name: the name of the latest call */
    /* decided before anything is written */
    bool has_functions, schema_line, json_line;
};

/* Sticky ar_lose under the client's name of the field. */
void ar_gemini_lose(struct ar_gemini_enc *e, enum ar_fate fate, enum ar_loss what,
                    enum ar_gemini_field field, const char *why);
/* The same with a name that all dialects share. */
void ar_gemini_lose_as(struct ar_gemini_enc *e, enum ar_fate fate, enum ar_loss what,
                       const char *field, const char *why);
/* Closes the object that was opened with its key, or takes it back when nothing is in it. before:
 * the writer then; at, open: the bytes before the key and behind the bracket. */
void ar_gemini_close_or_drop(struct ar_gemini_enc *e, struct ar_jw before, size_t at, size_t open);
/* A part that is text alone (esc). */
void ar_gemini_put_text(struct ar_gemini_enc *e, struct ar_str esc);

void ar_gemini_put_messages(struct ar_gemini_enc *e); /* message_write.c */

/* part_write.c: one block as a part. */
bool ar_gemini_has_output(const struct ar_gemini_enc *e, const struct ar_block *b);
/* sig: what the part carries, or NULL; asked before with ar_gemini_own_sig. */
void ar_gemini_put_part(struct ar_gemini_enc *e, const struct ar_block *b,
                        const struct ar_opaque *sig);
/* Results find the name of their call by its id. */
void ar_gemini_note_call(struct ar_gemini_enc *e, const struct ar_block *b);
void ar_gemini_put_media(struct ar_gemini_enc *e, const struct ar_block *b);
/* The block's material when this target may read it, else NULL. */
const struct ar_opaque *ar_gemini_own_sig(const struct ar_gemini_enc *e, const struct ar_block *b);

/* tools_write.c: tools and toolConfig. */
void ar_gemini_put_tools(struct ar_gemini_enc *e);
/* Is the tool declared as a function? */
bool ar_gemini_is_function(const struct ar_gemini_enc *e, const struct ar_tool *t);
/* Tool name as Gemini takes it: [A-Za-z_][A-Za-z0-9_.:-]{0,127}; itself, or a stable short form. */
struct ar_str ar_gemini_tool_name(struct ar_gemini_enc *e, struct ar_str name);

/* reason_write.c: the member thinkingConfig, if anything is to be said. */
void ar_gemini_put_reasoning(struct ar_gemini_enc *e);

/* tools_write_schema.c: JSON Schema -> Gemini's Schema (PROTOCOLS 6.3), raw in the arena.
 * *ret_lossy: a constraint that narrows was dropped. Cannot be read: {"type":"OBJECT"}. */
struct ar_str ar_gemini_subset_schema(struct ar_str schema, struct ar_arena *a, bool *ret_lossy);

#endif
