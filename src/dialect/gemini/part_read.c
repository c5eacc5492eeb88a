/* Parts of a Gemini request -> blocks (PROTOCOLS 4.4, 6.5). Clients keep a streamed answer as it
 * came, one part a chunk: unsigned neighbours of one kind on the model's side are joined again into
 * one block, signed ones never. Calls without an id get one that depends on the history alone, and
 * results find their call by id, else by name in order. Media are in part_read_media.c. Owns
 * nothing: blocks in the arena, texts in the body. */
#include "dialect/gemini/request_read.h"

enum { CALLS_MAX = 1024 }; /* without a result, that a result is looked for among */

static const struct ar_str part_keys[AR_PART_KEYS] = {
#define X(id, name, is_data) AR_LIT_INIT(name),
#include "dialect/gemini/parts.def"
#undef X
};
static const bool is_data_key[AR_PART_KEYS] = {
#define X(id, name, is_data) is_data,
#include "dialect/gemini/parts.def"
#undef X
};

static struct ar_block *add(struct ar_gemini_place *p, enum ar_block_kind kind)
{
    struct ar_block *b = ar_block_new(p->in->a, kind, &p->tail);
    p->last = b;
    p->thought = kind == AR_THINKING || kind == AR_REDACTED_THINKING ? b : p->thought;
    return b;
}

/* Adds to the text of the last block. A streamed answer has thousands of pieces: room grows by
 * doubling. */
static bool append(struct ar_gemini_place *p, struct ar_str piece)
{
    struct ar_str *text = &p->last->text;
    if (!p->joined || text->p != p->joined || p->room < text->n + piece.n) {
        size_t room = 2 * (text->n + piece.n) + 64;
        char *joined = ar_arena_alloc(p->in->a, room);
        if (!joined) {
            return false;
        }
        memcpy(joined, text->p, text->n);
        p->joined = joined;
        p->room = room;
        text->p = joined;
    }
    memcpy(p->joined + text->n, piece.p, piece.n);
    text->n += piece.n;
    return true;
}

/* --- text and thoughts --- */

/* Material of a thought that came on another part (PROTOCOLS 7.1): a thought of its own before it,
 * unless the thought itself came with it too. Only Google signs other parts than thoughts. */
static enum ar_code add_carried(struct ar_gemini_place *p, const struct ar_opaque *sig)
{
    const struct ar_opaque *before = p->thought ? p->thought->sig : NULL;
    if (sig->data.n == 0 || (before && ar_str_is(before->data, sig->data))) {
        return AR_OK;
    }
    struct ar_block *b = add(p, sig->form == AR_REDACTED ? AR_REDACTED_THINKING : AR_THINKING);
    struct ar_opaque *copy = ar_arena_new(p->in->a, struct ar_opaque);
    if (!b || !copy) {
        return ar_request_too_large(p->in->err);
    }
    *copy = *sig;
    b->text = AR_LIT("");
    b->sig = copy;
    return AR_OK;
}

/* Appends to the open block of this kind, or opens one. */
enum ar_code ar_gemini_add_text(struct ar_gemini_place *p, enum ar_block_kind kind,
                                struct ar_str text, struct ar_opaque *sig)
{
    struct ar_block *b = p->last;
    bool joins = p->of_model && b && b->kind == kind && !b->sig && (!sig || kind == AR_THINKING);
    if (text.n == 0 && !sig && (p->of_model || kind == AR_THINKING)) {
        return AR_OK;
    }
    if (!joins) {
        b = add(p, kind);
        if (!b) {
            return ar_request_too_large(p->in->err);
        }
        b->text = text;
    } else if (text.n > 0 && !append(p, text)) {
        return ar_request_too_large(p->in->err);
    }
    b->sig = sig;
    return AR_OK;
}

static enum ar_code read_text(struct ar_gemini_place *p, const struct ar_jval *m,
                              struct ar_opaque *sig)
{
    struct ar_str text = AR_LIT("");
    if (!ar_json_is_nil(m[AR_PART_TEXT])) {
        if (!ar_json_is(m[AR_PART_TEXT], AR_J_STRING)) {
            return ar_json_wrong(m[AR_PART_TEXT], "a string", p->in->err);
        }
        text = ar_json_esc(m[AR_PART_TEXT]);
    }
    if (p->of_model && ar_json_is(m[AR_PART_THOUGHT], AR_J_TRUE)) {
        return ar_gemini_add_text(p, AR_THINKING, text, sig);
    }
    if (sig && sig->form != AR_THOUGHT_SIG) {
        enum ar_code code = add_carried(p, sig);
        if (code != AR_OK) {
            return code;
        }
        sig = NULL;
    }
    return ar_gemini_add_text(p, AR_TEXT, text, sig);
}

/* --- calls and results --- */

static enum ar_code note_call(struct ar_gemini_in *in, const struct ar_block *b)
{
    struct ar_gemini_call *c = ar_arena_new(in->a, struct ar_gemini_call);
    if (!c) {
        return ar_request_too_large(in->err);
    }
    c->id = b->id;
    c->name = b->name;
    *in->calls_tail = c;
    in->calls_tail = &c->next;
    return AR_OK;
}

/* Takes the call that a result answers off the list: by id, or by name when it has none or one that
 * no call had. NULL: there is none. */
static struct ar_gemini_call *take_call(struct ar_gemini_in *in, struct ar_str id,
                                        struct ar_str name)
{
    for (unsigned by_name = id.n == 0; by_name < 2; by_name++) {
        struct ar_gemini_call **link = &in->calls;
        for (unsigned n = 0; *link && n < CALLS_MAX; n++, link = &(*link)->next) {
            struct ar_gemini_call *c = *link;
            bool minted = ar_str_has_prefix(c->id, AR_LIT("call_fn_"));
            bool fits =
                by_name ? ar_str_is(c->name, name) && (id.n == 0 || minted) : ar_str_is(c->id, id);
            if (fits) {
                *link = c->next;
                if (!c->next) {
                    in->calls_tail = link;
                }
                return c;
            }
        }
    }
    return NULL;
}

static enum ar_code read_call(struct ar_gemini_place *p, struct ar_jval v, struct ar_opaque *sig)
{
    static const struct ar_str keys[] = {AR_LIT_INIT("id"), AR_LIT_INIT("name"),
                                         AR_LIT_INIT("args")};
    struct ar_gemini_in *in = p->in;
    struct ar_jval m[3];
    if (!p->of_model) {
        return ar_json_wrong(v, "in a content of role model", in->err);
    }
    (void)ar_gemini_pick(v, keys, 3, m);
    if (!ar_json_is(m[1], AR_J_STRING) || ar_json_esc(m[1]).n == 0) {
        return ar_json_wrong(m[1].doc ? m[1] : v, m[1].doc ? "a name" : "an object with a name",
                             in->err);
    }
    if (!ar_json_is_nil(m[2]) && !ar_json_is(m[2], AR_J_OBJECT)) {
        return ar_json_wrong(m[2], "an object", in->err);
    }
    if (sig && sig->form != AR_THOUGHT_SIG) {
        enum ar_code code = add_carried(p, sig);
        if (code != AR_OK) {
            return code;
        }
        sig = NULL;
    }
    struct ar_block *b = add(p, AR_TOOL_USE);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->sig = sig;
    b->text = ar_json_is_nil(m[2]) ? AR_LIT("{}") : ar_json_raw(m[2]);
    enum ar_code code = ar_json_text(m[1], in->a, &b->name, in->err);
    if (code == AR_OK && ar_json_is(m[0], AR_J_STRING) && ar_json_esc(m[0]).n > 0) {
        code = ar_json_text(m[0], in->a, &b->id, in->err);
    } else if (code == AR_OK) {
        b->id = ar_arena_fmt(in->a, "call_fn_%u", in->minted++);
    }
    return code == AR_OK ? note_call(in, b) : code;
}

/* {output: ...}, {error: ...} or any other object -> is_error and text (P-077). */
static enum ar_code read_output(struct ar_gemini_in *in, struct ar_jval v, struct ar_block *b)
{
    struct ar_jval out = ar_json_get_lit(v, "output"), bad = ar_json_get_lit(v, "error");
    struct ar_jval said = v;
    if (ar_json_is_nil(v) || (ar_json_is(v, AR_J_OBJECT) && ar_json_count(v) == 0)) {
        return AR_OK;
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", in->err);
    }
    b->is_error = !ar_json_is_nil(bad);
    if (ar_json_count(v) == 1 && (!ar_json_is_nil(out) || b->is_error)) {
        said = b->is_error ? bad : out;
    }
    struct ar_block **tail = &b->inner, *text = ar_block_new(in->a, AR_TEXT, &tail);
    if (!text) {
        return ar_request_too_large(in->err);
    }
    text->text = ar_json_is(said, AR_J_STRING)
                     ? ar_json_esc(said)
                     : ar_json_escape_in(ar_gemini_compact(said, in->a), in->a);
    text->is_plain = true;
    b->is_plain = true;
    return text->text.p ? AR_OK : ar_request_too_large(in->err);
}

/* functionResponse.parts: media that belong to the result. */
static enum ar_code read_result_parts(struct ar_gemini_in *in, struct ar_jval v,
                                      struct ar_block *result)
{
    struct ar_block **tail = &result->inner;
    while (*tail) {
        tail = &(*tail)->next;
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        struct ar_jval m[AR_PART_KEYS];
        (void)ar_gemini_pick(it.val, part_keys, AR_PART_KEYS, m);
        enum ar_code code = ar_gemini_read_media(in, m, &tail);
        if (code != AR_OK) {
            return code;
        }
        result->is_plain = false;
    }
    return AR_OK;
}

static enum ar_code read_result(struct ar_gemini_place *p, struct ar_jval v)
{
    struct ar_gemini_in *in = p->in;
    if (p->of_model) {
        return ar_json_wrong(v, "in a content of role user", in->err);
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", in->err);
    }
    struct ar_block *b = add(p, AR_TOOL_RESULT);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->id = ar_gemini_text_lit(in->a, v, "id");
    b->name = ar_gemini_text_lit(in->a, v, "name");
    const struct ar_gemini_call *call = take_call(in, b->id, b->name);
    if (call) {
        b->id = call->id;
        b->name = b->name.n > 0 ? b->name : call->name;
    } else if (b->id.n == 0) { /* it answers nothing that is known */
        b->id = ar_arena_fmt(in->a, "call_fn_%u", in->minted++);
    }
    b->meta = ar_json_raw(ar_gemini_get_lit(v, "response"));
    enum ar_code code = read_output(in, ar_gemini_get_lit(v, "response"), b);
    return code == AR_OK ? read_result_parts(in, ar_gemini_get_lit(v, "parts"), b) : code;
}

/* --- parts --- */

/* What only Google's models can read: whole. */
static enum ar_code read_opaque(struct ar_gemini_place *p, struct ar_jval part, struct ar_jval data,
                                enum ar_block_kind kind)
{
    struct ar_block *b = add(p, kind);
    if (!b) {
        return ar_request_too_large(p->in->err);
    }
    b->vendor = AR_VENDOR_GOOGLE;
    b->raw = ar_json_raw(part);
    b->id = ar_gemini_text_lit(p->in->a, data, "id");
    return AR_OK;
}

static enum ar_code read_sig(struct ar_gemini_in *in, struct ar_jval v, struct ar_opaque **ret)
{
    struct ar_str text = {NULL, 0};
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    enum ar_code code = ar_json_text(v, in->a, &text, in->err);
    if (code == AR_OK) {
        *ret = ar_gemini_read_sig(text, AR_LIT(""), in->a);
    }
    return code;
}

/* Which data field the part has; AR_PART_KEYS: none. */
static enum ar_code find_data(struct ar_gemini_in *in, const struct ar_jval *m, struct ar_jval part,
                              unsigned *ret)
{
    *ret = AR_PART_KEYS;
    for (unsigned k = 0; k < AR_PART_KEYS; k++) {
        if (!is_data_key[k] || ar_json_is_nil(m[k])) {
            continue;
        }
        if (*ret < AR_PART_KEYS) {
            return ar_json_wrong(part, "a part with one data field", in->err);
        }
        *ret = k;
    }
    return AR_OK;
}

static enum ar_code read_part(struct ar_gemini_place *p, struct ar_jval v)
{
    struct ar_jval m[AR_PART_KEYS];
    struct ar_opaque *sig = NULL;
    unsigned data;
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "a part (an object)", p->in->err);
    }
    unsigned unknown = ar_gemini_pick(v, part_keys, AR_PART_KEYS, m);
    enum ar_code code = find_data(p->in, m, v, &data);
    if (code == AR_OK) {
        code = read_sig(p->in, m[AR_PART_SIGNATURE], &sig);
    }
    if (code != AR_OK) {
        return code;
    }
    switch (data) {
    case AR_PART_TEXT:
        return read_text(p, m, sig);
    case AR_PART_INLINE:
    case AR_PART_FILE: {
        struct ar_block **at = p->tail;
        code = ar_gemini_read_media(p->in, m, &p->tail);
        p->last = code == AR_OK ? *at : p->last;
        return code;
    }
    case AR_PART_CALL:
        return read_call(p, m[data], sig);
    case AR_PART_RESULT:
        return read_result(p, m[data]);
    case AR_PART_CODE:
    case AR_PART_SERVER_CALL:
        return read_opaque(p, v, m[data], AR_SERVER_TOOL_USE);
    case AR_PART_CODE_RESULT:
    case AR_PART_SERVER_RESULT:
        return read_opaque(p, v, m[data], AR_SERVER_TOOL_RESULT);
    default:
        return unknown > 0 ? read_opaque(p, v, v, AR_OPAQUE_ITEM) : read_text(p, m, sig);
    }
}

enum ar_code ar_gemini_read_content(struct ar_gemini_place *p, struct ar_jval v)
{
    if (ar_json_is(v, AR_J_OBJECT)) {
        return read_part(p, v);
    }
    if (!ar_json_is_nil(v) && !ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "an array of parts", p->in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        enum ar_code code = read_part(p, it.val);
        if (code != AR_OK) {
            return code;
        }
    }
    return AR_OK;
}
