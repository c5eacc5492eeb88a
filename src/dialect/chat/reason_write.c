/* Reasoning for one target (PROTOCOLS 6.6): how hard to think, in the words that its models know,
 * and what they thought before, where the place wants it back. Thinking that its vendor could not
 * verify is left out, silently: nothing of the answer depends on it. */
#include "dialect/chat/request_write.h"

#include "ir/opaque.h"

/* One level down where a model does not know the word. */
static enum ar_effort known_effort(struct ar_chat_enc *o, enum ar_effort e)
{
    if (e == AR_EFFORT_MAX && !ar_chat_can(o, AR_CAP(EFFORT_MAX))) {
        e = AR_EFFORT_XHIGH;
    }
    if (e == AR_EFFORT_XHIGH && !ar_chat_can(o, AR_CAP(EFFORT_XHIGH))) {
        e = AR_EFFORT_HIGH;
    }
    if (e == AR_EFFORT_NONE && !ar_chat_can(o, AR_CAP(EFFORT_NONE))) {
        e = AR_EFFORT_MINIMAL;
        if (ar_chat_can(o, AR_CAP(REASONING))) {
            ar_chat_lose(o, AR_FATE_WARN, AR_APPROXIMATED,
                         ar_chat_field(o, "reasoning_effort", "thinking"),
                         "the model always thinks");
        }
    }
    if (e == AR_EFFORT_MINIMAL && !ar_chat_can(o, AR_CAP(EFFORT_MINIMAL))) {
        e = AR_EFFORT_LOW;
    }
    return e;
}

static enum ar_effort wanted_effort(const struct ar_settings *s)
{
    switch (s->reason_mode) {
    case AR_REASON_OFF:
    case AR_REASON_BETWEEN_TOOLS:
        return AR_EFFORT_NONE;
    case AR_REASON_BUDGET:
        return s->effort != AR_EFFORT_UNSET ? s->effort : ar_budget_effort(s->budget);
    default:
        return s->effort;
    }
}

static void write_object(struct ar_chat_enc *o, enum ar_effort e)
{
    const struct ar_settings *s = &o->r->set;
    bool hide = s->show == AR_SHOW_OMITTED;
    if (e == AR_EFFORT_UNSET && !hide && s->reason_mode != AR_REASON_ADAPTIVE) {
        return;
    }
    ar_jw_key(&o->w, "reasoning");
    ar_jw_open(&o->w, '{');
    if (s->reason_mode == AR_REASON_BUDGET && s->effort == AR_EFFORT_UNSET) {
        ar_jw_key_i64(&o->w, "max_tokens", s->budget);
    } else if (e != AR_EFFORT_UNSET) {
        ar_jw_key(&o->w, "effort");
        ar_jw_esc(&o->w, ar_str_of(ar_effort_name(e)));
    } else if (s->reason_mode == AR_REASON_ADAPTIVE) {
        ar_jw_key_bool(&o->w, "enabled", true);
    }
    if (hide) {
        ar_jw_key_bool(&o->w, "exclude", true);
    }
    ar_jw_close(&o->w, '}');
}

void ar_chat_put_reasoning(struct ar_chat_enc *o)
{
    enum ar_effort e = wanted_effort(&o->r->set);
    bool is_chat = o->r->dialect == AR_DIALECT_CHAT;
    const char *field = ar_chat_field(o, "reasoning_effort", "thinking");
    if (ar_chat_has(o, AR_QUIRK(REASONING_OBJECT))) {
        write_object(o, e);
        return;
    }
    if (e == AR_EFFORT_UNSET) {
        return;
    }
    if (ar_chat_has(o, AR_QUIRK(NO_REASONING_EFFORT))) {
        if (e != AR_EFFORT_NONE) {
            ar_chat_lose(o, AR_FATE_WARN, AR_DROPPED, field,
                         "the upstream has no reasoning effort");
        }
        return;
    }
    /* Whom nothing is known of gets the word as it is, but for "none": not to ask is the safer way
     * not to think. */
    bool knows = ar_chat_can(o, AR_CAP(REASONING)), unknown = o->t->caps == 0;
    if (!knows && !is_chat && (!unknown || e == AR_EFFORT_NONE)) {
        if (e != AR_EFFORT_NONE) {
            ar_chat_lose(o, AR_FATE_WARN, AR_DROPPED, field, "the model does not reason");
        }
        return;
    }
    if (knows || !is_chat) {
        e = known_effort(o, e);
    }
    ar_jw_key(&o->w, "reasoning_effort");
    ar_jw_esc(&o->w, ar_str_of(ar_effort_name(e)));
}

static bool fits(struct ar_chat_enc *o, const struct ar_opaque *sig)
{
    return sig && ar_opaque_fits(sig, o->t->vendor, o->t->account,
                                 ar_chat_can(o, AR_CAP(ACCOUNT_BOUND_THINKING)));
}

static struct ar_str format_name(const struct ar_opaque *sig)
{
    if (sig->family.n) {
        return sig->family;
    }
    switch (sig->vendor) {
    case AR_VENDOR_ANTHROPIC:
        return AR_LIT("anthropic-claude-v1");
    case AR_VENDOR_OPENAI:
        return AR_LIT("openai-responses-v1");
    case AR_VENDOR_GOOGLE:
        return AR_LIT("google-gemini-v1");
    default:
        return AR_LIT("unknown");
    }
}

static void write_detail(struct ar_chat_enc *o, const struct ar_block *b, unsigned *index)
{
    struct ar_jw *w = &o->w;
    bool inline_sig = fits(o, b->sig) && b->sig->form == AR_SIGNATURE;
    bool apart = fits(o, b->sig) && !inline_sig;
    /* Anthropic's models refuse what they cannot verify; to others it is text. */
    bool bare = b->text.n && o->t->vendor != AR_VENDOR_ANTHROPIC;
    if (bare || inline_sig) {
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "reasoning.text");
        ar_jw_key_esc(w, "text", b->text);
        if (inline_sig) {
            ar_jw_key_text(w, "signature", b->sig->data);
            ar_jw_key_text(w, "format", format_name(b->sig));
        }
        ar_jw_key_i64(w, "index", (*index)++);
        ar_jw_close(w, '}');
    }
    if (apart) {
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "reasoning.encrypted");
        ar_jw_key_text(w, "data", b->sig->data);
        ar_jw_key_text(w, "format", format_name(b->sig));
        ar_jw_key_i64(w, "index", (*index)++);
        ar_jw_close(w, '}');
    }
}

/* All thinking of the turns as one string, blank lines between blocks. false: there is none. */
static bool write_plain(struct ar_chat_enc *o, struct ar_str key, const struct ar_turn *from,
                        const struct ar_turn *end)
{
    bool some = false;
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind != AR_THINKING || !b->text.n) {
                continue;
            }
            if (!some) {
                ar_jw_key_n(&o->w, key.p, key.n);
                ar_buf_char(o->w.out, '"');
            } else {
                ar_buf_lit(o->w.out, "\\n\\n");
            }
            ar_buf_str(o->w.out, b->text);
            some = true;
        }
    }
    if (some) {
        ar_buf_char(o->w.out, '"');
        o->w.comma = true;
    }
    return some;
}

void ar_chat_put_thinking(struct ar_chat_enc *o, const struct ar_turn *from,
                          const struct ar_turn *end)
{
    if (ar_chat_has(o, AR_QUIRK(REASONING_BACK))) {
        write_plain(o, AR_LIT("reasoning_content"), from, end);
    } else if (ar_chat_has(o, AR_QUIRK(REASONING_FIELD)) &&
               !ar_chat_has(o, AR_QUIRK(REASONING_DETAILS))) {
        write_plain(o, AR_LIT("reasoning"), from, end);
    }
    if (!ar_chat_has(o, AR_QUIRK(REASONING_DETAILS))) {
        return;
    }
    unsigned index = 0;
    ar_jw_key(&o->w, "reasoning_details");
    ar_jw_open(&o->w, '[');
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING) {
                write_detail(o, b, &index);
            }
        }
    }
    ar_jw_close(&o->w, ']');
}
