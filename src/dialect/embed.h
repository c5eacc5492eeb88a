/* Embeddings: OpenAI's POST /v1/embeddings and Gemini's :embedContent and :batchEmbedContents, each
 * as the other. No conversation, so no IR: a list of texts goes there, a list of vectors comes
 * back. Pure; any thread. */
#ifndef AR_DIALECT_EMBED_H
#define AR_DIALECT_EMBED_H

#include "dialect/dialect.h"

enum ar_embed_form { AR_EMBED_NONE, AR_EMBED_OPENAI, AR_EMBED_GEMINI, AR_EMBED_GEMINI_BATCH };

/* What the answer has to look like; filled by ar_embed_request. */
struct ar_embed {
    enum ar_embed_form client, upstream;
    struct ar_str model; /* dec: as the client named it */
    bool base64;         /* OpenAI: vectors as base64 of little-endian floats */
    uint32_t count;      /* of texts: so many vectors are an answer; 0: not known */
    size_t text_bytes;   /* of all inputs, for an estimate when nobody counts */
};

/* Body of form e->client as one of e->upstream, appended; model: the upstream's name. Errors:
 * AR_INVALID_REQUEST, AR_LOSSY, AR_TOO_LARGE with err. */
enum ar_code ar_embed_request(struct ar_embed *e, struct ar_str body, struct ar_str model,
                              struct ar_arena *a, struct ar_losses *l, struct ar_buf *out,
                              struct ar_err *err) AR_MUST;
/* The upstream's answer as the client's, appended. AR_UPSTREAM_ERROR: it is none. */
enum ar_code ar_embed_answer(const struct ar_embed *e, struct ar_str body, struct ar_arena *a,
                             struct ar_buf *out) AR_MUST;
/* Input tokens of an answer of either form; -1: it does not say. */
int64_t ar_embed_tokens(struct ar_str body, struct ar_arena *a);
/* Path with {model} where it is named there. */
const char *ar_embed_path(enum ar_embed_form f);

#endif
