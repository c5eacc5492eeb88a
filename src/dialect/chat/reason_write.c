/* Reasoning for one target (PROTOCOLS 6.6): how hard to think, in the words that its models know,
 * and what they thought before, where the place wants it back. Thinking that its vendor could not
 * verify is left out, silently: nothing of the answer depends on it. */
#include "dialect/chat/request_write.h"

#include "ir/opaque.h"

static void put_object(struct ar_chat_enc *e, enum ar_effort level)
{
    const struct ar_settings *s = &e->r->set;
    bool hide = s->show == AR_SHOW_OMITTED;
    if (level == AR_EFFORT_UNSET && !hide && s->reason_mode != AR_REASON_ADAPTIVE) {
        return;
    }
    ar_jw_key(&e->w, "reasoning");
    ar_jw_open(&e->w, '{');
    if (s->reason_mode == AR_REASON_BUDGET && s->effort == AR_EFFORT_UNSET) {
        ar_jw_key_i64(&e->w, "max_tokens", s->budget);
    } else if (level != AR_EFFORT_UNSET) {
        ar_jw_key(&e->w, "effort");
        ar_jw_esc(&e->w, ar_str_of(ar_effort_name(level)));
    } else if (s->reason_mode == AR_REASON_ADAPTIVE) {
        ar_jw_key_bool(&e->w, "enabled", true);
    }
    if (hide) {
        ar_jw_key_bool(&e->w, "exclude", true);
    }
    ar_jw_close(&e->w, '}');
}

void ar_chat_put_reasoning(struct ar_chat_enc *e)
{
    enum ar_effort level = ar_effort_wanted(&e->r->set);
    bool is_chat = e->r->dialect == AR_DIALECT_CHAT;
    const char *field = ar_chat_field(e, "reasoning_effort", "thinking");
    if (AR_HAS(e, REASONING_OBJECT)) {
        put_object(e, level);
        return;
    }
    if (level == AR_EFFORT_UNSET) {
        return;
    }
    if (AR_HAS(e, NO_REASONING_EFFORT)) {
        if (level != AR_EFFORT_NONE) {
            ar_chat_lose(e, AR_FATE_WARN, AR_DROPPED, field,
                         "the upstream has no reasoning effort");
        }
        return;
    }
    /* Whom nothing is known of gets the word as it is, but for "none": not to ask is the safer way
     * not to think. */
    bool knows = AR_CAN(e, REASONING), unknown = e->t->caps == 0;
    if (!knows && !is_chat && (!unknown || level == AR_EFFORT_NONE)) {
        if (level != AR_EFFORT_NONE) {
            ar_chat_lose(e, AR_FATE_WARN, AR_DROPPED, field, "the model does not reason");
        }
        return;
    }
    if (knows || !is_chat) {
        if (knows && level == AR_EFFORT_NONE && !AR_CAN(e, EFFORT_NONE)) {
            ar_chat_lose(e, AR_FATE_WARN, AR_APPROXIMATED, field, "the model always thinks");
        }
        level = ar_effort_known(e->t, level);
    }
    ar_jw_key(&e->w, "reasoning_effort");
    ar_jw_esc(&e->w, ar_str_of(ar_effort_name(level)));
}

static bool fits(struct ar_chat_enc *e, const struct ar_opaque *sig)
{
    return sig &&
           ar_opaque_fits(sig, e->t->vendor, e->t->account, AR_CAN(e, ACCOUNT_BOUND_THINKING));
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

static void put_detail(struct ar_chat_enc *e, const struct ar_block *b, unsigned *index)
{
    struct ar_jw *w = &e->w;
    bool inline_sig = fits(e, b->sig) && b->sig->form == AR_SIGNATURE;
    bool apart = fits(e, b->sig) && !inline_sig;
    /* Anthropic's models refuse what they cannot verify; to others it is text. */
    bool bare = b->text.n && e->t->vendor != AR_VENDOR_ANTHROPIC;
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
static bool put_plain(struct ar_chat_enc *e, struct ar_str key, const struct ar_turn *from,
                      const struct ar_turn *end)
{
    bool some = false;
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind != AR_THINKING || !b->text.n) {
                continue;
            }
            if (!some) {
                ar_jw_key_n(&e->w, key.p, key.n);
                ar_buf_char(e->w.out, '"');
            } else {
                ar_buf_lit(e->w.out, "\\n\\n");
            }
            ar_buf_str(e->w.out, b->text);
            some = true;
        }
    }
    if (some) {
        ar_buf_char(e->w.out, '"');
        e->w.comma = true;
    }
    return some;
}

void ar_chat_put_thinking(struct ar_chat_enc *e, const struct ar_turn *from,
                          const struct ar_turn *end)
{
    if (AR_HAS(e, REASONING_BACK)) {
        put_plain(e, AR_LIT("reasoning_content"), from, end);
    } else if (AR_HAS(e, REASONING_FIELD) && !AR_HAS(e, REASONING_DETAILS)) {
        put_plain(e, AR_LIT("reasoning"), from, end);
    }
    if (!AR_HAS(e, REASONING_DETAILS)) {
        return;
    }
    unsigned index = 0;
    ar_jw_key(&e->w, "reasoning_details");
    ar_jw_open(&e->w, '[');
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING) {
                put_detail(e, b, &index);
            }
        }
    }
    ar_jw_close(&e->w, ']');
}
