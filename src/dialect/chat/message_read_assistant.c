/* An assistant message as blocks, in the order thinking, text, calls; the same for a history and
 * for a whole answer. Thinking comes in five spellings: reasoning_content, reasoning,
 * reasoning_details[] (OpenRouter, and our own envelopes), thinking_blocks[] (LiteLLM) and
 * Mistral's content parts. Details win where they have text, because only they tell blocks apart;
 * what they lack is taken from the plain string. */
#include "dialect/chat/request_read.h"

#include "base/hash.h"
#include "base/id.h"
#include "ir/opaque.h"

/* Whose material a detail holds, by OpenRouter's format names. */
static enum ar_vendor vendor_of(struct ar_str format, const struct ar_target *t)
{
    static const struct {
        struct ar_str prefix;
        enum ar_vendor vendor;
    } FORMATS[] = {
        {AR_LIT_INIT("anthropic"), AR_VENDOR_ANTHROPIC},
        {AR_LIT_INIT("openai"), AR_VENDOR_OPENAI},
        {AR_LIT_INIT("azure-openai"), AR_VENDOR_OPENAI},
        {AR_LIT_INIT("google"), AR_VENDOR_GOOGLE},
    };
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++) {
        if (ar_str_has_prefix(format, FORMATS[i].prefix)) {
            return FORMATS[i].vendor;
        }
    }
    if (format.n) {
        return AR_VENDOR_OTHER;
    }
    return t ? t->vendor : AR_VENDOR_OPENAI; /* unmarked material is of the dialect's own vendor */
}

static struct ar_opaque *new_opaque(struct ar_arena *a, struct ar_opaque o)
{
    struct ar_opaque *p = ar_arena_new(a, struct ar_opaque);
    if (p) {
        *p = o;
    }
    return p;
}

struct ar_opaque *ar_chat_read_opaque(struct ar_arena *a, struct ar_jval detail,
                                      const struct ar_target *t)
{
    struct ar_str text = ar_member_text_lit(a, detail, "signature");
    enum ar_sig_form form = AR_SIGNATURE;
    if (!text.n) {
        text = ar_member_text_lit(a, detail, "data");
        form = AR_ENCRYPTED;
    }
    struct ar_opaque o;
    if (!text.n) {
        return NULL;
    }
    if (ar_opaque_unwrap(text, a, &o)) {
        return new_opaque(a, o);
    }
    struct ar_str format = ar_member_text_lit(a, detail, "format");
    enum ar_vendor vendor = vendor_of(format, t);
    if (form == AR_ENCRYPTED && vendor == AR_VENDOR_ANTHROPIC) {
        form = AR_REDACTED;
    }
    return new_opaque(a, (struct ar_opaque){.vendor = vendor,
                                            .form = form,
                                            .family = format,
                                            .account = t ? t->account : (struct ar_str){0},
                                            .data = ar_arena_copy(a, text)});
}

struct ar_opaque *ar_chat_read_extra(struct ar_arena *a, struct ar_jval call,
                                     const struct ar_target *t)
{
    struct ar_jval google = ar_json_get_lit(ar_json_get_lit(call, "extra_content"), "google");
    struct ar_str text = ar_member_text_lit(a, google, "thought_signature");
    struct ar_opaque o;
    if (!text.n) {
        return NULL;
    }
    if (ar_opaque_unwrap(text, a, &o)) {
        return new_opaque(a, o);
    }
    return new_opaque(a, (struct ar_opaque){.vendor = AR_VENDOR_GOOGLE,
                                            .form = AR_THOUGHT_SIG,
                                            .account = t ? t->account : (struct ar_str){0},
                                            .data = ar_arena_copy(a, text)});
}

static struct ar_block *add_thinking(struct ar_chat_in *in, struct ar_str esc,
                                     struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(in->a, AR_THINKING, tail);
    if (b) {
        b->text = esc;
    }
    return b;
}

/* One item of reasoning_details. *last: the thinking block that a lone signature or encrypted item
 * belongs to. */
static void read_detail(struct ar_chat_in *in, struct ar_jval d, struct ar_block **last,
                        struct ar_block ***tail)
{
    struct ar_jval tv = ar_json_get_lit(d, "text");
    struct ar_str text =
        ar_json_esc(ar_json_is(tv, AR_J_STRING) ? tv : ar_json_get_lit(d, "summary"));
    struct ar_opaque *sig = ar_chat_read_opaque(in->a, d, in->target);
    if (text.n || (sig && sig->form == AR_SIGNATURE && !*last)) {
        *last = add_thinking(in, text.p ? text : AR_LIT(""), tail);
        if (*last && sig) {
            (*last)->sig = sig;
        }
    } else if (sig && *last && !(*last)->sig && sig->form != AR_REDACTED) {
        (*last)->sig = sig;
    } else if (sig) {
        struct ar_block *b = ar_block_new(in->a, AR_REDACTED_THINKING, tail);
        if (b) {
            b->sig = sig;
        }
    }
}

static bool details_have_text(struct ar_jval details)
{
    struct ar_jiter it = ar_json_iter(details);
    while (ar_json_next(&it)) {
        if (ar_json_esc(ar_json_get_lit(it.val, "text")).n ||
            ar_json_esc(ar_json_get_lit(it.val, "summary")).n ||
            ar_json_esc(ar_json_get_lit(it.val, "signature")).n) {
            return true;
        }
    }
    return false;
}

static void read_thinking(struct ar_chat_in *in, struct ar_jval msg, struct ar_block ***tail)
{
    struct ar_jval details = ar_json_get_lit(msg, "reasoning_details");
    struct ar_jval blocks = ar_json_get_lit(msg, "thinking_blocks");
    struct ar_jval plain = ar_json_get_lit(msg, "reasoning_content");
    struct ar_block *last = NULL;
    if (!ar_json_esc(plain).n) {
        plain = ar_json_get_lit(msg, "reasoning");
    }
    if (ar_json_count(details) == 0 && ar_json_count(blocks) > 0) {
        struct ar_jiter it = ar_json_iter(blocks);
        while (ar_json_next(&it)) {
            struct ar_opaque *sig = ar_chat_read_opaque(in->a, it.val, in->target);
            struct ar_str text = ar_json_esc(ar_json_get_lit(it.val, "thinking"));
            last = sig && !text.n ? ar_block_new(in->a, AR_REDACTED_THINKING, tail)
                                  : add_thinking(in, text, tail);
            if (last && sig) { /* LiteLLM's blocks are Anthropic's own */
                sig->vendor = sig->vendor == AR_VENDOR_OPENAI ? AR_VENDOR_ANTHROPIC : sig->vendor;
                sig->form = sig->form == AR_ENCRYPTED ? AR_REDACTED : sig->form;
                last->sig = sig;
            }
        }
        return;
    }
    if (ar_json_esc(plain).n && !details_have_text(details)) {
        last = add_thinking(in, ar_json_esc(plain), tail);
    }
    struct ar_jiter it = ar_json_iter(details);
    while (ar_json_next(&it)) {
        read_detail(in, it.val, &last, tail);
    }
}

struct ar_str ar_chat_mint_call(struct ar_str answer_id, unsigned nth, struct ar_arena *a)
{
    uint8_t hash[32];
    char id[32];
    ar_sha256(answer_id, hash);
    ar_id_base62(hash, "call", nth, 22, id);
    return ar_arena_fmt(a, "call_%s", id);
}

static enum ar_code read_input(struct ar_chat_in *in, struct ar_jval v, struct ar_str *ret)
{
    if (ar_json_is(v, AR_J_OBJECT) ||
        ar_json_is(v, AR_J_ARRAY)) { /* arguments given as a value: its own text */
        *ret = ar_json_raw(v);
        return AR_OK;
    }
    if (ar_json_is_nil(v)) {
        *ret = AR_LIT("");
        return AR_OK;
    }
    return ar_json_text(v, in->a, ret, in->err);
}

static enum ar_code read_call(struct ar_chat_in *in, struct ar_jval call, struct ar_block ***tail)
{
    struct ar_jval custom = ar_json_get_lit(call, "custom");
    bool freeform = ar_json_is(custom, AR_J_OBJECT);
    struct ar_jval f = freeform ? custom : ar_json_get_lit(call, "function");
    struct ar_jval name = ar_json_get_lit(f, "name");
    if (!ar_json_is(name, AR_J_STRING)) {
        return ar_json_wrong(call, "a call with a function or custom object that has a name",
                             in->err);
    }
    struct ar_block *b = ar_block_new(in->a, AR_TOOL_USE, tail);
    if (!b) {
        return AR_TOO_LARGE;
    }
    b->freeform = freeform;
    b->id = ar_member_text_lit(in->a, call, "id");
    if (!b->id.n) {
        b->id = ar_chat_mint_call(in->answer_id, in->minted++, in->a);
    }
    b->sig = ar_chat_read_extra(in->a, call, in->target);
    enum ar_code c = ar_json_text(name, in->a, &b->name, in->err);
    if (c == AR_OK) {
        c = read_input(in, ar_json_get(f, freeform ? AR_LIT("input") : AR_LIT("arguments")),
                       &b->text);
    }
    return c;
}

/* The old function_call: its id is its position, so that the function message after it finds it. */
static enum ar_code read_function_call(struct ar_chat_in *in, struct ar_jval fc,
                                       struct ar_block ***tail)
{
    struct ar_jval name = ar_json_get_lit(fc, "name");
    if (!ar_json_is(name, AR_J_STRING)) {
        return ar_json_wrong(fc, "an object with a name", in->err);
    }
    struct ar_block *b = ar_block_new(in->a, AR_TOOL_USE, tail);
    if (!b) {
        return AR_TOO_LARGE;
    }
    b->id = ar_arena_fmt(in->a, "call_fn_%u", in->legacy_calls++);
    enum ar_code c = ar_json_text(name, in->a, &b->name, in->err);
    return c == AR_OK ? read_input(in, ar_json_get_lit(fc, "arguments"), &b->text) : c;
}

static void read_annotations(struct ar_chat_in *in, struct ar_jval annotations,
                             struct ar_block *text)
{
    struct ar_jiter it = ar_json_iter(annotations);
    struct ar_buf list;
    ar_buf_init(&list, 1 << 20);
    while (text && ar_json_next(&it)) {
        struct ar_str c = ar_cite_of_openai(in->a, it.val);
        if (c.p) {
            ar_buf_char(&list, list.n ? ',' : '[');
            ar_buf_str(&list, c);
        }
    }
    if (text && list.n && ar_buf_finish(&list) == AR_OK) {
        ar_buf_char(&list, ']');
        text->citations = ar_arena_copy(in->a, ar_buf_view(&list));
    }
    ar_buf_done(&list);
}

/* What was said, in order; returns the last text block in *ret_text. Empty strings say nothing. */
static enum ar_code read_said(struct ar_chat_in *in, struct ar_jval msg, struct ar_block ***tail,
                              struct ar_block **ret_text)
{
    struct ar_jval content = ar_json_get_lit(msg, "content");
    struct ar_jval refusal = ar_json_get_lit(msg, "refusal");
    struct ar_block **first = *tail;
    enum ar_code c = AR_OK;
    if (!ar_json_is(content, AR_J_STRING) || ar_json_esc(content).n) {
        c = ar_chat_read_content(in, content, tail);
    }
    for (struct ar_block *b = c == AR_OK ? *first : NULL; b; b = b->next) {
        *ret_text = b->kind == AR_TEXT ? b : *ret_text;
    }
    if (c == AR_OK && ar_json_esc(refusal).n) {
        struct ar_block *b = ar_block_new(in->a, AR_REFUSAL, tail);
        if (!b) {
            return AR_TOO_LARGE;
        }
        b->text = ar_json_esc(refusal);
    }
    return c;
}

enum ar_code ar_chat_read_assistant(struct ar_chat_in *in, struct ar_jval msg,
                                    struct ar_block ***tail)
{
    struct ar_jval calls = ar_json_get_lit(msg, "tool_calls");
    struct ar_jval fc = ar_json_get_lit(msg, "function_call");
    struct ar_jval audio = ar_json_get_lit(msg, "audio");
    struct ar_block *text = NULL;
    read_thinking(in, msg, tail);
    enum ar_code c = read_said(in, msg, tail, &text);
    if (c != AR_OK) {
        return c;
    }
    read_annotations(in, ar_json_get_lit(msg, "annotations"), text);
    if (ar_json_is(audio, AR_J_OBJECT)) {
        struct ar_block *b = ar_block_new(in->a, AR_OPAQUE_ITEM, tail);
        if (b) {
            b->vendor = AR_VENDOR_OPENAI;
            b->name = AR_LIT("audio");
            b->raw = ar_json_raw(audio);
        }
    }
    if (!ar_json_is_nil(calls) && !ar_json_is(calls, AR_J_ARRAY)) {
        return ar_json_wrong(calls, "a list", in->err);
    }
    struct ar_jiter it = ar_json_iter(calls);
    while (ar_json_next(&it)) {
        if ((c = read_call(in, it.val, tail)) != AR_OK) {
            return c;
        }
    }
    return ar_json_is(fc, AR_J_OBJECT) ? read_function_call(in, fc, tail) : AR_OK;
}
