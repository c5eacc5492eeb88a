/* The parts of an answer as blocks (PROTOCOLS 4.4, 4.7, 8.1). Text grows until the kind of part
 * changes or a signature closes it; a call comes whole; what only Google can read stays in its wire
 * form. A signature belongs to the part it came on: a call's to the call, one on an empty part to
 * the text before it. Ids of calls that came without one are made from the answer's id and the
 * call, so the same answer read twice has the same ids. Owns nothing. */
#include "dialect/gemini/stream_read.h"

#include "base/hash.h"

enum part_member {
    P_TEXT,
    P_THOUGHT,
    P_SIGNATURE,
    P_CALL,
    P_INLINE,
    P_FILE,
    P_CODE,
    P_CODE_RESULT,
    P_TOOL_CALL,
    P_TOOL_RESPONSE,
    P_COUNT
};
static const struct ar_str PART[P_COUNT] = {
    [P_TEXT] = AR_LIT_INIT("text"),
    [P_THOUGHT] = AR_LIT_INIT("thought"),
    [P_SIGNATURE] = AR_LIT_INIT("thoughtSignature"),
    [P_CALL] = AR_LIT_INIT("functionCall"),
    [P_INLINE] = AR_LIT_INIT("inlineData"),
    [P_FILE] = AR_LIT_INIT("fileData"),
    [P_CODE] = AR_LIT_INIT("executableCode"),
    [P_CODE_RESULT] = AR_LIT_INIT("codeExecutionResult"),
    [P_TOOL_CALL] = AR_LIT_INIT("toolCall"),
    [P_TOOL_RESPONSE] = AR_LIT_INIT("toolResponse"),
};

/* --- blocks --- */

void ar_gemini_close_block(struct ar_reader *r)
{
    if (r->open_b >= 0) {
        ar_queue_put(&r->queue,
                     (struct ar_event){.kind = AR_EV_BLOCK_END, .b = (unsigned)r->open_b});
        r->open_b = -1;
    }
}

struct ar_block *ar_gemini_open_block(struct ar_reader *r, enum ar_block_kind kind)
{
    struct ar_block *b = ar_arena_new(r->a, struct ar_block);
    ar_gemini_close_block(r);
    if (!b) {
        ar_queue_fail(&r->queue, AR_TOO_LARGE, "");
        return NULL;
    }
    b->kind = kind;
    r->open_b = (int)r->next_b++;
    r->open_kind = kind;
    r->open_signed = false;
    ar_buf_clear(&r->said_text);
    ar_queue_put(&r->queue, (struct ar_event){
                                .kind = AR_EV_BLOCK_START, .b = (unsigned)r->open_b, .block = b});
    return b;
}

void ar_gemini_put_delta(struct ar_reader *r, enum ar_delta delta, struct ar_str text)
{
    ar_queue_put(&r->queue,
                 (struct ar_event){
                     .kind = AR_EV_DELTA, .delta = delta, .b = (unsigned)r->open_b, .text = text});
}

/* --- text --- */

static void put_text(struct ar_reader *r, bool thought, struct ar_str text, struct ar_opaque *sig)
{
    enum ar_block_kind kind = thought ? AR_THINKING : AR_TEXT;
    bool is_open = r->open_b >= 0 && r->open_kind == kind && !r->open_signed;
    if (text.n == 0 && !sig) {
        return;
    }
    if (!is_open) {
        /* A signature without a text to stand on is thinking that has no words. */
        kind = text.n == 0 ? AR_THINKING : kind;
        if (!ar_gemini_open_block(r, kind)) {
            return;
        }
    }
    if (text.n > 0) {
        r->said = true;
        r->ends_in_call = false;
        ar_gemini_put_delta(r, kind == AR_THINKING ? AR_D_THINKING : AR_D_TEXT, text);
        if (kind == AR_TEXT) {
            ar_buf_str(&r->said_text, text); /* citations count in it */
        }
    }
    if (sig) {
        r->open_signed = true;
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_DELTA,
                                                  .delta = AR_D_SIGNATURE,
                                                  .b = (unsigned)r->open_b,
                                                  .opaque = sig});
    }
}

/* --- calls --- */

/* "call_" and 22 characters that depend on the answer, the call and its place. */
static struct ar_str mint_id(struct ar_reader *r, struct ar_str name, struct ar_str args)
{
    static const char DIGITS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    enum { PREFIX = 5, LENGTH = 22 };
    uint8_t sum[32];
    char *p = ar_arena_alloc(r->a, PREFIX + LENGTH);
    /* The size of the prompt grows from turn to turn: it stands for an answer without an id. */
    long long turn = r->answer.id.n > 0 ? 0 : (long long)r->usage.in_total;
    struct ar_str place = turn == 0 ? r->answer.id : ar_arena_fmt(r->a, "%lld", turn);
    struct ar_str seed = ar_arena_fmt(r->a, "%.*s/%u/%.*s/%.*s", AR_FMT(place), r->minted++,
                                      AR_FMT(name), AR_FMT(ar_str_head(args, 4096)));
    if (!p || !seed.p) {
        return AR_LIT("");
    }
    ar_sha256(seed, sum);
    memcpy(p, "call_", PREFIX);
    for (unsigned i = 0; i < LENGTH; i++) {
        p[PREFIX + i] = DIGITS[sum[i] % 62];
    }
    return ar_str_n(p, PREFIX + LENGTH);
}

void ar_gemini_put_call(struct ar_reader *r, struct ar_str id, struct ar_str name,
                        struct ar_str args, struct ar_opaque *sig)
{
    struct ar_block *b = ar_gemini_open_block(r, AR_TOOL_USE);
    if (!b) {
        return;
    }
    r->said = r->called = r->ends_in_call = true;
    b->name = ar_arena_copy(r->a, name);
    b->id = id.n > 0 ? ar_arena_copy(r->a, id) : mint_id(r, name, args);
    b->sig = sig;
    ar_gemini_put_delta(r, AR_D_JSON, r->whole ? args : ar_json_escape_in(args, r->a));
    ar_gemini_close_block(r);
}

static struct ar_str text_of(struct ar_reader *r, struct ar_jval v)
{
    return ar_json_is(v, AR_J_STRING) ? ar_json_unescape_in(ar_json_esc(v), r->a)
                                      : (struct ar_str){NULL, 0};
}

static void read_call(struct ar_reader *r, struct ar_jval call, struct ar_opaque *sig)
{
    struct ar_jval args = ar_json_get_lit(call, "args");
    if (ar_gemini_read_piece(r, call, sig)) {
        return;
    }
    struct ar_str name = text_of(r, ar_json_get_lit(call, "name"));
    if (name.n > 0) {
        ar_gemini_put_call(r, text_of(r, ar_json_get_lit(call, "id")), name,
                           ar_json_is(args, AR_J_OBJECT) ? ar_json_raw(args) : AR_LIT("{}"), sig);
    }
}

/* --- the rest --- */

/* A part that is one block without text: its wire form, copied, and what can be said of it. */
static void put_raw(struct ar_reader *r, enum ar_block_kind kind, struct ar_jval part,
                    struct ar_opaque *sig)
{
    struct ar_block *b = ar_gemini_open_block(r, kind);
    if (!b) {
        return;
    }
    r->said = true;
    r->ends_in_call = false;
    b->vendor = AR_VENDOR_GOOGLE;
    b->raw = r->whole ? ar_json_raw(part) : ar_arena_copy(r->a, ar_json_raw(part));
    b->sig = sig;
    ar_gemini_close_block(r);
}

static void put_media(struct ar_reader *r, struct ar_jval part, struct ar_jval media, bool inl)
{
    struct ar_media *m = ar_arena_new(r->a, struct ar_media);
    struct ar_str mime = text_of(r, ar_json_get_lit(media, "mimeType"));
    struct ar_str data = inl ? ar_json_esc(ar_json_get_lit(media, "data"))
                             : ar_json_esc(ar_json_get_lit(media, "fileUri"));
    if (!m || data.n == 0) {
        return;
    }
    struct ar_block *b = ar_gemini_open_block(r, ar_gemini_media_kind(mime));
    if (!b) {
        return;
    }
    r->said = true;
    r->ends_in_call = false;
    m->from = inl ? AR_FROM_B64 : AR_FROM_URL;
    m->mime = ar_arena_copy(r->a, mime);
    m->data = r->whole ? data : ar_arena_copy(r->a, data);
    b->media = m;
    b->raw = r->whole ? ar_json_raw(part) : (struct ar_str){NULL, 0};
    ar_gemini_close_block(r);
}

void ar_gemini_read_part(struct ar_reader *r, struct ar_jval part)
{
    struct ar_jval p[P_COUNT];
    ar_json_pick(part, PART, P_COUNT, p);
    struct ar_str account = r->target->account;
    struct ar_str text = ar_json_is(p[P_SIGNATURE], AR_J_STRING)
                             ? ar_json_unescape_in(ar_json_esc(p[P_SIGNATURE]), r->a)
                             : (struct ar_str){NULL, 0};
    struct ar_opaque *sig =
        text.n > 0 ? ar_gemini_read_sig(ar_arena_copy(r->a, text), account, r->a) : NULL;
    if (ar_json_is(p[P_CALL], AR_J_OBJECT)) {
        read_call(r, p[P_CALL], sig);
    } else if (ar_json_is(p[P_INLINE], AR_J_OBJECT)) {
        put_media(r, part, p[P_INLINE], true);
    } else if (ar_json_is(p[P_FILE], AR_J_OBJECT)) {
        put_media(r, part, p[P_FILE], false);
    } else if (ar_json_is(p[P_CODE], AR_J_OBJECT) || ar_json_is(p[P_TOOL_CALL], AR_J_OBJECT)) {
        put_raw(r, AR_SERVER_TOOL_USE, part, sig);
    } else if (ar_json_is(p[P_CODE_RESULT], AR_J_OBJECT) ||
               ar_json_is(p[P_TOOL_RESPONSE], AR_J_OBJECT)) {
        put_raw(r, AR_SERVER_TOOL_RESULT, part, sig);
    } else if (ar_json_is(p[P_TEXT], AR_J_STRING)) {
        put_text(r, ar_json_is(p[P_THOUGHT], AR_J_TRUE), ar_json_esc(p[P_TEXT]), sig);
    } else if (sig) {
        put_text(r, false, AR_LIT(""), sig);
    } else if (ar_json_count(part) > 0 && !p[P_THOUGHT].doc) {
        put_raw(r, AR_OPAQUE_ITEM, part, NULL);
    }
}
