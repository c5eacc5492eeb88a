/* What the files that read a client's contents share. Included by nothing else. Pure; any thread.
 */
#ifndef AR_DIALECT_GEMINI_REQUEST_READ_H
#define AR_DIALECT_GEMINI_REQUEST_READ_H

#include "dialect/gemini/gemini.h"
#include "dialect/decode.h"

/* Facing a client: what reading a request needs. Borrows all. */
struct ar_gemini_call {
    struct ar_gemini_call *next;
    struct ar_str id, name; /* dec */
};
struct ar_gemini_in {
    struct ar_arena *a;
    struct ar_err *err;
    struct ar_gemini_call *calls, **calls_tail; /* without a result so far, in order */
    unsigned minted;                            /* ids made for calls that came without one */
};

/* Members of a part, in the order of parts.def. */
enum ar_gemini_part {
#define X(id, name, is_data) AR_PART_##id,
#include "dialect/gemini/parts.def"
#undef X
    AR_PART_KEYS
};

/* part_read_media.c: inlineData or fileData of a part (its picked members) with its side fields,
 * appended as a block. Errors: AR_INVALID_REQUEST when it has neither. */
enum ar_code ar_gemini_read_media(struct ar_gemini_in *in, const struct ar_jval m[AR_PART_KEYS],
                                  struct ar_block ***tail) AR_MUST;
/* The value's text without white space between tokens. Arena; p NULL over the cap. */
struct ar_str ar_gemini_compact(struct ar_jval v, struct ar_arena *a);

/* Where parts are read to. */
struct ar_gemini_place {
    struct ar_gemini_in *in;
    struct ar_block **tail;
    struct ar_block *last, *thought; /* of the turn; NULL: none */
    char *joined;                    /* last->text, when it has room for more */
    size_t room;
    bool of_model;
};
/* A list of parts, or one, appended. */
enum ar_code ar_gemini_read_content(struct ar_gemini_place *p, struct ar_jval v) AR_MUST;
/* Text (esc) to the open block of this kind, or to a new one. */
enum ar_code ar_gemini_add_text(struct ar_gemini_place *p, enum ar_block_kind kind,
                                struct ar_str text, struct ar_opaque *sig) AR_MUST;

/* message_read.c: contents[] -> turns; systemInstruction (string or Content) -> text blocks. */
enum ar_code ar_gemini_read_messages(struct ar_gemini_in *in, struct ar_jval v,
                                     struct ar_request *r) AR_MUST;
enum ar_code ar_gemini_read_system(struct ar_gemini_in *in, struct ar_jval v,
                                   struct ar_request *r) AR_MUST;
/* tools_read.c: tools[] and toolConfig. */
enum ar_code ar_gemini_read_tools(struct ar_gemini_in *in, struct ar_jval v,
                                  struct ar_request *r) AR_MUST;
enum ar_code ar_gemini_read_choice(struct ar_gemini_in *in, struct ar_jval v,
                                   struct ar_request *r) AR_MUST;
/* tools_read_schema.c: Gemini's Schema (type upper case, nullable, limits as strings) -> JSON
 * Schema, raw in the arena; keywords of JSON Schema stay as they are. p NULL over the cap. */
struct ar_str ar_gemini_read_schema(struct ar_arena *a, struct ar_jval v);

#endif
