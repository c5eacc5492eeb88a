/* IR -> whole answer, Anthropic's message object (PROTOCOLS 3.8, 7). One wire block a block, in
 * order. Owns nothing but a scratch arena. */
#include "dialect/anthropic/answer_write.h"

#include "base/id.h"
#include "ir/undo.h"

static void put_citations(struct ar_jw *w, struct ar_str raw, struct ar_arena *a)
{
    struct ar_jdoc doc;
    ar_jw_key(w, "citations");
    if (!raw.p || ar_json_parse(raw, 1, a, &doc, NULL) != AR_OK) {
        ar_jw_null(w);
        return;
    }
    ar_jw_open(w, '[');
    for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); ar_json_next(&it);) {
        (void)ar_anthropic_put_citation(w, ar_json_raw(it.val));
    }
    ar_jw_close(w, ']');
}

static void put_thinking(struct ar_jw *w, const struct ar_block *b, bool withheld)
{
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "thinking");
    ar_jw_key_esc(w, "thinking", withheld ? AR_LIT("") : b->text);
    ar_jw_key(w, "signature");
    ar_anthropic_put_sig(w, b->sig);
    ar_jw_close(w, '}');
}

static void put_text(struct ar_jw *w, const struct ar_block *b, struct ar_arena *a)
{
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "text");
    ar_jw_key_esc(w, "text", b->text);
    put_citations(w, b->citations, a);
    ar_jw_close(w, '}');
}

struct answer {
    struct ar_jw w;
    const struct ar_write_how *how;
    struct ar_losses *l;
    struct ar_arena *a;
    unsigned calls;
    bool refused;
};

static void put_call(struct answer *s, const struct ar_block *b)
{
    struct ar_jw *w = &s->w;
    bool thought = b->sig && b->sig->form == AR_THOUGHT_SIG;
    const struct ar_request *r = s->how->request;
    if (thought && r &&
        (r->set.reason_mode == AR_REASON_ADAPTIVE || r->set.reason_mode == AR_REASON_BUDGET)) {
        struct ar_block carrier = {.kind = AR_THINKING, .text = AR_LIT(""), .sig = b->sig};
        put_thinking(w, &carrier, false);
    }
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "tool_use");
    char id[64] = "toolu_";
    ar_jw_key(w, "id");
    if (b->id.n > 0) {
        ar_jw_text(w, b->id);
    } else {
        ar_id_base62(s->how->stamp.seed, "call", s->calls, 24, id + 6);
        ar_jw_text(w, ar_str_of(id));
    }
    s->calls++;
    ar_jw_key_text(w, "name", b->name);
    bool ok = ar_anthropic_put_input(w, b, s->a);
    ar_jw_key_raw(w, "caller", AR_LIT("{\"type\":\"direct\"}"));
    ar_jw_close(w, '}');
    if (!ok) {
        ar_note(s->l, AR_APPROXIMATED, "tool_use.input");
    }
}

static void put_block(struct answer *s, const struct ar_block *b)
{
    struct ar_jw *w = &s->w;
    struct ar_anthropic_search search;
    switch (b->kind) {
    case AR_REFUSAL:
        s->refused = true;
        __attribute__((fallthrough));
    case AR_TEXT:
        if (b->text.n > 0 || b->citations.n > 2) {
            put_text(w, b, s->a);
        }
        return;
    case AR_THINKING:
        put_thinking(w, b, ar_anthropic_is_withheld(s->how->request));
        return;
    case AR_REDACTED_THINKING:
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "redacted_thinking");
        ar_jw_key(w, "data");
        ar_anthropic_put_sig(w, b->sig);
        ar_jw_close(w, '}');
        return;
    case AR_TOOL_USE:
        put_call(s, b);
        return;
    case AR_SERVER_TOOL_USE:
    case AR_SERVER_TOOL_RESULT:
    case AR_COMPACTION:
    case AR_OPAQUE_ITEM:
        if (b->vendor == AR_VENDOR_ANTHROPIC && b->raw.n > 0) {
            ar_jw_raw(w, b->raw);
        } else if (ar_anthropic_make_search(b, true, s->a, &search)) {
            ar_jw_raw(w, search.use.raw);
            ar_jw_raw(w, search.result.raw);
        }
        return;
    default:
        ar_note(s->l, AR_DROPPED,
                b->kind == AR_AUDIO   ? "audio"
                : b->kind == AR_IMAGE ? "image"
                                      : "content");
        return;
    }
}

enum ar_code ar_anthropic_encode_response(const struct ar_response *r,
                                          const struct ar_write_how *how, struct ar_losses *l,
                                          struct ar_buf *out)
{
    struct ar_arena scratch;
    char id[64];
    ar_arena_init(&scratch, out->max > SIZE_MAX / 8 ? SIZE_MAX : 8 * out->max + 65536);
    struct answer s = {.w = ar_jw_on(out), .how = how, .l = l, .a = &scratch};
    struct ar_jw *w = &s.w;
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "id", ar_anthropic_message_id(r->id, &how->stamp, id));
    ar_jw_key_lit(w, "type", "message");
    ar_jw_key_lit(w, "role", "assistant");
    ar_jw_key_text(w, "model", how->model);
    ar_jw_key(w, "content");
    ar_jw_open(w, '[');
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        put_block(&s, b);
    }
    ar_jw_close(w, ']');
    ar_anthropic_put_stop(w, r->has_stop ? &r->stop : NULL, s.refused);
    ar_jw_key_null(w, "container");
    ar_jw_key(w, "usage");
    ar_anthropic_put_usage(w, &r->usage, r->service_tier);
    ar_jw_close(w, '}');
    enum ar_code code = ar_arena_finish(&scratch);
    ar_arena_done(&scratch);
    return code == AR_OK ? ar_buf_finish(out) : code;
}
