/* Frames of one content block (PROTOCOLS 3.10): start, deltas, signature, stop. A thinking block
 * never ends unsigned, and a call without input gets an empty delta, which clients read as {}. Owns
 * nothing. */
#include "dialect/anthropic/stream_write.h"

#include <stdio.h>

struct ar_jw ar_anthropic_open_frame(struct ar_framer *f, struct ar_str name)
{
    f->how->begin(f, name);
    struct ar_jw w = ar_jw_on(f->out);
    ar_jw_open(&w, '{');
    ar_jw_key_esc(&w, "type", name);
    return w;
}

void ar_anthropic_close_frame(struct ar_framer *f, struct ar_jw *w)
{
    ar_jw_close(w, '}');
    f->how->end(f);
}

struct ar_jw ar_anthropic_open_delta(struct ar_framer *f, unsigned index, struct ar_str type)
{
    struct ar_jw w = ar_anthropic_open_frame(f, AR_LIT("content_block_delta"));
    ar_jw_key_i64(&w, "index", index);
    ar_jw_key(&w, "delta");
    ar_jw_open(&w, '{');
    ar_jw_key_esc(&w, "type", type);
    return w;
}

void ar_anthropic_close_delta(struct ar_framer *f, struct ar_jw *w)
{
    ar_jw_close(w, '}');
    ar_anthropic_close_frame(f, w);
}

bool ar_anthropic_out_kind(const struct ar_block *b, enum ar_block_kind *ret)
{
    *ret = b->kind == AR_REFUSAL ? AR_TEXT : b->kind;
    switch (*ret) {
    case AR_TEXT:
    case AR_THINKING:
    case AR_REDACTED_THINKING:
    case AR_TOOL_USE:
        return true;
    default:
        return b->vendor == AR_VENDOR_ANTHROPIC && b->raw.n > 0;
    }
}

void ar_anthropic_out_init(struct ar_anthropic_out *o)
{
    const char *type = o->kind == AR_TEXT       ? "\"text_delta\",\"text\":\""
                       : o->kind == AR_THINKING ? "\"thinking_delta\",\"thinking\":\""
                                                : "\"input_json_delta\",\"partial_json\":\"";
    int n = snprintf(o->prefix, sizeof(o->prefix),
                     "{\"type\":\"content_block_delta\",\"index\":%u,\"delta\":{\"type\":%s",
                     o->index, type);
    o->prefix_n = (uint8_t)n;
}

void ar_anthropic_out_start(const struct ar_anthropic_out *o, const struct ar_block *b,
                            struct ar_str id, struct ar_framer *f)
{
    struct ar_jw j = ar_anthropic_open_frame(f, AR_LIT("content_block_start"));
    ar_jw_key_i64(&j, "index", o->index);
    ar_jw_key(&j, "content_block");
    switch (o->kind) {
    case AR_TEXT:
        ar_jw_raw(&j, AR_LIT("{\"type\":\"text\",\"text\":\"\",\"citations\":null}"));
        break;
    case AR_THINKING:
        ar_jw_raw(&j, AR_LIT("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
        break;
    case AR_REDACTED_THINKING:
        ar_jw_open(&j, '{');
        ar_jw_key_lit(&j, "type", "redacted_thinking");
        ar_jw_key(&j, "data");
        ar_anthropic_put_sig(&j, b->sig);
        ar_jw_close(&j, '}');
        break;
    case AR_TOOL_USE:
        ar_jw_open(&j, '{');
        ar_jw_key_lit(&j, "type", "tool_use");
        ar_jw_key_text(&j, "id", b->id.n > 0 ? b->id : id);
        ar_jw_key_text(&j, "name", b->name);
        ar_jw_key_raw(&j, "input", AR_LIT("{}"));
        ar_jw_key_raw(&j, "caller", AR_LIT("{\"type\":\"direct\"}"));
        ar_jw_close(&j, '}');
        break;
    default:
        ar_jw_raw(&j, b->raw);
        break;
    }
    ar_anthropic_close_frame(f, &j);
}

void ar_anthropic_out_sign(struct ar_anthropic_out *o, const struct ar_opaque *sig,
                           struct ar_framer *f)
{
    struct ar_jw j = ar_anthropic_open_delta(f, o->index, AR_LIT("signature_delta"));
    ar_jw_key(&j, "signature");
    ar_anthropic_put_sig(&j, sig);
    ar_anthropic_close_delta(f, &j);
    o->is_signed = true;
}

void ar_anthropic_out_end(struct ar_anthropic_out *o, struct ar_framer *f)
{
    if (o->kind == AR_THINKING && !o->is_signed) {
        ar_anthropic_out_sign(o, o->sig, f);
    }
    if (o->kind == AR_TOOL_USE && o->freeform && o->has_json) {
        ar_anthropic_out_text(o, AR_LIT("\\\"}"), f);
    } else if (o->kind == AR_TOOL_USE && !o->has_json) {
        ar_anthropic_out_text(o, AR_LIT(""), f);
    }
    struct ar_jw j = ar_anthropic_open_frame(f, AR_LIT("content_block_stop"));
    ar_jw_key_i64(&j, "index", o->index);
    ar_anthropic_close_frame(f, &j);
}
