/* What the files that read a client's contents share. Included by nothing else. Pure; any thread.
 */
#ifndef AR_DIALECT_GEMINI_REQUEST_READ_H
#define AR_DIALECT_GEMINI_REQUEST_READ_H

#include "dialect/gemini/gemini.h"

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

#endif
