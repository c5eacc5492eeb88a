/* IR -> whole answer, a chat.completion (PROTOCOLS 1.5, 7). All text is one string, all thoughts
 * another; what signs them goes beside. Owns nothing but a scratch arena. */
#include "dialect/chat/answer_write.h"

struct answer {
    struct ar_jw w;
    const struct ar_write_how *how;
    struct ar_losses *l;
    struct ar_arena scratch;
    bool legacy;
};

static void open_string(struct ar_jw *w)
{
    ar_buf_char(w->out, '"');
}
static void close_string(struct ar_jw *w)
{
    ar_buf_char(w->out, '"');
    w->comma = true;
}

/* All blocks of a kind as one string, with sep between; null when there is none and a call says
 * what is meant. */
static void put_joined(struct ar_jw *w, const struct ar_block *b, enum ar_block_kind kind,
                       struct ar_str sep)
{
    bool some = false;
    open_string(w);
    for (; b; b = b->next) {
        if (b->kind == kind && b->text.n) {
            ar_buf_str(w->out, some ? sep : AR_LIT(""));
            ar_buf_str(w->out, b->text);
            some = true;
        }
    }
    close_string(w);
}

static void put_reasoning(struct answer *x, const struct ar_block *list)
{
    bool text = false, material = false;
    const struct ar_request *r = x->how->request;
    for (const struct ar_block *b = list; b; b = b->next) {
        text |= b->kind == AR_THINKING && b->text.n;
        material |= (b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING) && b->sig;
    }
    if (text && !(r && r->set.show == AR_SHOW_OMITTED)) {
        ar_jw_key(&x->w, "reasoning_content");
        put_joined(&x->w, list, AR_THINKING, AR_LIT("\\n\\n"));
    }
    if (!material) {
        return;
    }
    unsigned index = 0;
    ar_jw_key(&x->w, "reasoning_details");
    ar_jw_open(&x->w, '[');
    for (const struct ar_block *b = list; b; b = b->next) {
        if ((b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING) && b->sig) {
            struct ar_str t =
                b->kind == AR_THINKING ? (b->text.p ? b->text : AR_LIT("")) : (struct ar_str){0};
            ar_chat_put_detail(&x->w, t, b->sig, index++);
        }
    }
    ar_jw_close(&x->w, ']');
}

static void put_annotations(struct answer *x, const struct ar_block *list)
{
    bool open = false;
    int64_t at = 0;
    for (const struct ar_block *b = list; b; b = b->next) {
        int64_t end = at + (b->kind == AR_TEXT ? ar_chat_chars(b->text) : 0);
        struct ar_jdoc doc;
        if (b->kind == AR_TEXT && b->citations.p &&
            ar_json_parse(b->citations, AR_JSON_DEPTH, &x->scratch, &doc, NULL) == AR_OK) {
            struct ar_jiter it = ar_json_iter(ar_json_root(&doc));
            while (ar_json_next(&it)) {
                if (!ar_json_get_lit(it.val, "url").doc) {
                    continue;
                }
                if (!open) {
                    ar_jw_key(&x->w, "annotations");
                    ar_jw_open(&x->w, '[');
                    open = true;
                }
                ar_chat_put_citation(&x->w, ar_json_raw(it.val), &x->scratch, at, end);
            }
        }
        at = end;
    }
    if (open) {
        ar_jw_close(&x->w, ']');
    }
}

static void put_call(struct answer *x, const struct ar_block *b)
{
    struct ar_jw *w = &x->w;
    const char *kind = b->freeform ? "custom" : "function",
               *input = b->freeform ? "input" : "arguments";
    struct ar_str text = b->freeform || b->text.n ? b->text : AR_LIT("{}");
    if (!x->legacy) {
        ar_jw_open(w, '{');
        ar_jw_key_text(w, "id", b->id);
        ar_jw_key(w, "type");
        ar_jw_esc(w, ar_str_of(kind));
        ar_jw_key_n(w, kind, strlen(kind));
    }
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "name", b->name);
    ar_jw_key_n(w, input, strlen(input));
    ar_jw_text(w, b->freeform ? text : ar_args_text(text, &x->scratch));
    ar_jw_close(w, '}');
    if (!x->legacy) {
        if (b->sig && b->sig->vendor == AR_VENDOR_GOOGLE) {
            ar_jw_key(w, "extra_content");
            ar_jw_open(w, '{');
            ar_jw_key(w, "google");
            ar_jw_open(w, '{');
            ar_jw_key_text(w, "thought_signature", b->sig->data);
            ar_jw_close(w, '}');
            ar_jw_close(w, '}');
        }
        ar_jw_close(w, '}');
    }
}

static void put_calls(struct answer *x, const struct ar_block *list)
{
    bool open = false;
    for (const struct ar_block *b = list; b; b = b->next) {
        if (b->kind != AR_TOOL_USE) {
            continue;
        }
        if (x->legacy) { /* the old form has room for one */
            ar_jw_key(&x->w, "function_call");
            put_call(x, b);
            return;
        }
        if (!open) {
            ar_jw_key(&x->w, "tool_calls");
            ar_jw_open(&x->w, '[');
            open = true;
        }
        put_call(x, b);
    }
    if (open) {
        ar_jw_close(&x->w, ']');
    }
}

static const struct ar_block *find(const struct ar_block *b, enum ar_block_kind kind)
{
    while (b && b->kind != kind) {
        b = b->next;
    }
    return b;
}

static void put_message(struct answer *x, const struct ar_response *r, struct ar_chat_seen seen)
{
    struct ar_jw *w = &x->w;
    const struct ar_block *opaque = find(r->blocks, AR_OPAQUE_ITEM);
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "role", "assistant");
    ar_jw_key(w, "content");
    bool refused = seen.refusal || (r->stop.reason == AR_STOP_REFUSAL && !seen.text);
    if (seen.text || (!seen.calls && !refused)) {
        put_joined(w, r->blocks, AR_TEXT, AR_LIT(""));
    } else {
        ar_jw_null(w);
    }
    ar_jw_key(w, "refusal");
    if (seen.refusal) {
        put_joined(w, r->blocks, AR_REFUSAL, AR_LIT(""));
    } else if (refused) {
        ar_jw_esc(w, r->stop.explanation.n ? r->stop.explanation
                                           : AR_LIT("The model declined to answer."));
    } else {
        ar_jw_null(w);
    }
    put_reasoning(x, r->blocks);
    put_annotations(x, r->blocks);
    put_calls(x, r->blocks);
    if (opaque && opaque->vendor == AR_VENDOR_OPENAI && ar_str_is_lit(opaque->name, "audio")) {
        ar_jw_key_raw(w, "audio", opaque->raw);
    } else if (opaque || find(r->blocks, AR_IMAGE)) {
        ar_note(x->l, AR_DROPPED, "content");
    }
    ar_jw_close(w, '}');
}

static const char *finish_of(const struct answer *x, const struct ar_response *r,
                             struct ar_chat_seen seen)
{
    if (r->stop.reason == AR_STOP_REFUSAL) {
        return seen.text ? "content_filter" : "stop";
    }
    return x->legacy && r->stop.reason == AR_STOP_TOOL_USE ? "function_call"
                                                           : ar_chat_finish_of(r->stop.reason);
}

static void put_choice(struct answer *x, const struct ar_response *r, int64_t index)
{
    struct ar_jw *w = &x->w;
    struct ar_chat_seen seen = ar_chat_seen_of(r->blocks);
    ar_jw_open(w, '{');
    ar_jw_key_i64(w, "index", index);
    ar_jw_key(w, "message");
    put_message(x, r, seen);
    ar_jw_key(w, "logprobs");
    if (r->logprobs.p && (!x->how->request || x->how->request->set.logprobs)) { /* asked for */
        ar_jw_raw(w, r->logprobs);
    } else {
        ar_jw_null(w);
    }
    ar_jw_key(w, "finish_reason");
    ar_jw_esc(w, ar_str_of(finish_of(x, r, seen)));
    ar_jw_close(w, '}');
}

enum ar_code ar_chat_encode_response(const struct ar_response *r, const struct ar_write_how *how,
                                     struct ar_losses *l, struct ar_buf *out)
{
    struct answer x = {.w = ar_jw_on(out),
                       .how = how,
                       .l = l,
                       .legacy = how->request && how->request->legacy_functions};
    struct ar_jw *w = &x.w;
    int64_t index = 0;
    ar_arena_init(&x.scratch, out->max);
    ar_jw_open(w, '{');
    ar_jw_key(w, "id");
    ar_chat_put_id(how, r->id, w);
    ar_jw_key_lit(w, "object", "chat.completion");
    ar_jw_key_i64(w, "created", how->stamp.now_unix);
    ar_jw_key_text(w, "model", how->model.n ? how->model : r->model);
    ar_jw_key(w, "choices");
    ar_jw_open(w, '[');
    for (const struct ar_response *c = r; c; c = c->more) {
        put_choice(&x, c, index++);
    }
    ar_jw_close(w, ']');
    ar_jw_key(w, "usage");
    ar_chat_put_usage(&r->usage, w);
    if (r->service_tier.n && how->request && how->request->set.service_tier.n) {
        ar_jw_key_text(w, "service_tier", r->service_tier);
    }
    ar_jw_close(w, '}');
    ar_arena_done(&x.scratch);
    return ar_buf_finish(out);
}
