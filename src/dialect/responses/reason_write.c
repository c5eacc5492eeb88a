/* Reasoning for one target (PROTOCOLS 6.6): how hard to think, in the words that its models know,
 * what is shown of it, and which material of earlier turns it may see again. Owns nothing. */
#include "dialect/responses/request_write.h"

#include "ir/opaque.h"

bool ar_responses_keeps_thinking(const struct ar_responses_enc *e, const struct ar_opaque *sig)
{
    if (!sig || sig->form != AR_ENCRYPTED || sig->data.n == 0 || e->t->no_thinking) {
        return false;
    }
    /* A place of unknown make: its own material came back to us unwrapped. */
    bool ours = e->native && sig->vendor == AR_VENDOR_OPENAI && sig->account.n == 0 &&
                e->t->vendor == AR_VENDOR_OTHER;
    return ours ||
           ar_opaque_fits(sig, e->t->vendor, e->t->account, AR_CAN(e, ACCOUNT_BOUND_THINKING));
}

/* The effort to send; UNSET: none. */
static enum ar_effort settle_effort(struct ar_responses_enc *e)
{
    enum ar_effort level = ar_effort_wanted(&e->r->set);
    bool refuses = AR_HAS(e, NO_REASONING_EFFORT);
    bool knows = AR_CAN(e, REASONING) && !refuses, unknown = e->t->caps == 0 && !refuses;
    if (level == AR_EFFORT_UNSET || e->native) {
        return level;
    }
    if (knows) {
        if (level == AR_EFFORT_NONE && !AR_CAN(e, EFFORT_NONE)) {
            ar_responses_lose(e, AR_FATE_WARN, AR_APPROXIMATED,
                              ar_responses_field(e, "reasoning_effort", "thinking"),
                              "the model always thinks");
        }
        return ar_effort_known(e->t, level);
    }
    if (unknown && level != AR_EFFORT_NONE) {
        return level;
    }
    if (level != AR_EFFORT_NONE) {
        ar_responses_lose(e, AR_FATE_WARN, AR_DROPPED,
                          ar_responses_field(e, "reasoning_effort", "thinking"),
                          "the model does not reason");
    }
    return AR_EFFORT_UNSET;
}

/* The summary that shows the thinking to who wants to see it; p NULL: none is asked for. */
static struct ar_str summary(const struct ar_responses_enc *e, enum ar_effort level)
{
    const struct ar_settings *s = &e->r->set;
    bool thinks = AR_CAN(e, REASONING) && ar_effort_wanted(s) != AR_EFFORT_NONE;
    bool wants = s->show == AR_SHOW_SUMMARY ||
                 (s->show == AR_SHOW_UNSET &&
                  (level != AR_EFFORT_UNSET || s->reason_mode == AR_REASON_ADAPTIVE));
    if (e->native) {
        return s->summary;
    }
    if (!thinks || !wants) {
        return (struct ar_str){0};
    }
    return s->summary.n ? s->summary : AR_LIT("auto");
}

void ar_responses_put_reasoning(struct ar_responses_enc *e)
{
    enum ar_effort level = settle_effort(e);
    struct ar_str shown = summary(e, level);
    struct ar_jw *w = &e->w;
    bool any = level != AR_EFFORT_UNSET || shown.n > 0;
    static const struct ar_str PREFIX = AR_LIT_INIT("reasoning.");
    for (const struct ar_ext *x = e->native ? e->r->ext : NULL; x; x = x->next) {
        any = any || ar_str_has_prefix(x->name, PREFIX);
    }
    if (!any) {
        return;
    }
    ar_jw_key(w, "reasoning");
    ar_jw_open(w, '{');
    if (level != AR_EFFORT_UNSET) {
        ar_jw_key(w, "effort");
        ar_jw_esc(w, ar_str_of(ar_effort_name(level)));
    }
    if (shown.n > 0) {
        ar_jw_key_text(w, "summary", shown);
    }
    for (const struct ar_ext *x = e->native ? e->r->ext : NULL; x; x = x->next) {
        if (ar_str_has_prefix(x->name, PREFIX)) {
            ar_jw_key_dec(w, ar_str_from(x->name, PREFIX.n));
            ar_jw_raw(w, x->raw);
        }
    }
    ar_jw_close(w, '}');
}
