/* Outline of a generateContent body: one pass that keeps the tape for whoever has to decode the
 * request, and finds what routing asks for. The body names neither model nor streaming, they are in
 * the path; so the native path has nothing to edit in it. A member that is given twice, in one
 * spelling or in both, is refused: vendors take the last and parsers the first, a way round checks
 * (PROTOCOLS 0.4). Owns nothing: spans are of the body. */
#include "dialect/gemini/gemini.h"

#include <stdio.h>

enum key {
    K_CONTENTS,
    K_SYSTEM,
    K_TOOLS,
    K_TOOL_CONFIG,
    K_CONFIG,
    K_CACHED,
    K_INNER, /* countTokens wraps the request */
    K_COUNT
};
static const struct ar_str keys[K_COUNT] = {
    AR_LIT_INIT("contents"),
    AR_LIT_INIT("systemInstruction"),
    AR_LIT_INIT("tools"),
    AR_LIT_INIT("toolConfig"),
    AR_LIT_INIT("generationConfig"),
    AR_LIT_INIT("cachedContent"),
    AR_LIT_INIT("generateContentRequest"),
};

/* A string that begins like an envelope (ir/opaque.h), as it is or in base64. */
static bool has_envelope(const struct ar_jdoc *doc)
{
    struct ar_str b64 = AR_LIT("\"YXIxL"), plain = AR_LIT("\"ar1.");
    for (uint32_t i = 0; i < doc->count; i++) {
        const struct ar_jnode *n = &doc->nodes[i];
        if (n->type != AR_J_STRING || n->end - n->at <= b64.n) {
            continue;
        }
        const char *at = doc->src.p + n->at;
        if (memcmp(at, b64.p, b64.n) == 0 || memcmp(at, plain.p, plain.n) == 0) {
            return true;
        }
    }
    return false;
}

/* Each key once. ret: the members. */
static enum ar_code pick(struct ar_jval v, struct ar_jval ret[K_COUNT], struct ar_err *err)
{
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        for (unsigned k = 0; k < K_COUNT; k++) {
            if (!ar_gemini_key_is(it.key, keys[k])) {
                continue;
            }
            if (ret[k].doc) {
                if (err) {
                    (void)snprintf(err->at, sizeof(err->at), "%.*s", AR_FMT(keys[k]));
                }
                return ar_fail(err, AR_INVALID_REQUEST, "%.*s: given twice", AR_FMT(keys[k]));
            }
            ret[k] = it.val;
        }
    }
    return AR_OK;
}

enum ar_code ar_gemini_outline(struct ar_str body, struct ar_arena *a, struct ar_outline *ret,
                               struct ar_err *err)
{
    struct ar_outline o = {.max_out_tokens = -1, .body_bytes = body.n};
    struct ar_jval m[K_COUNT] = {0}, inner[K_COUNT] = {0};
    enum ar_code code = ar_json_parse(body, AR_JSON_DEPTH, a, &o.doc, err);
    if (code != AR_OK) {
        return code;
    }
    struct ar_jdoc doc = o.doc;
    struct ar_jval root = ar_json_root(&doc);
    if (!ar_json_is(root, AR_J_OBJECT)) {
        return ar_fail(err, AR_INVALID_REQUEST, "the body must be a JSON object");
    }
    o.brace_at = doc.nodes[root.i].at + 1;
    o.is_empty = ar_json_count(root) == 0;
    o.has_envelope = has_envelope(&doc);
    code = pick(root, m, err);
    if (code == AR_OK && ar_json_is(m[K_INNER], AR_J_OBJECT)) {
        code = pick(m[K_INNER], inner, err);
    }
    if (code != AR_OK) {
        return code;
    }
    const struct ar_jval *in = ar_json_is(m[K_INNER], AR_J_OBJECT) ? inner : m;
    o.has_tools = ar_json_is(in[K_TOOLS], AR_J_ARRAY) && ar_json_count(in[K_TOOLS]) > 0;
    struct ar_jval max = ar_gemini_get_lit(in[K_CONFIG], "maxOutputTokens");
    if (!ar_json_is_nil(max) && ar_gemini_i64(max, &o.max_out_tokens, NULL) != AR_OK) {
        o.max_out_tokens = -1; /* the upstream's to judge */
    }
    code = ar_arena_finish(a);
    if (code == AR_OK) {
        *ret = o;
    }
    return code;
}
