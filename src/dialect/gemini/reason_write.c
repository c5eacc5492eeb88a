/* How much the model thinks, and whether it tells (PROTOCOLS 6.6): models of the third generation
 * take a level, those of 2.5 a number of tokens, never both. What a model cannot take is set to the
 * nearest that it can, with a warning. Owns nothing. */
#include "dialect/gemini/request_write.h"

enum { PRO_MIN = 128, PRO_MAX = 32768, FLASH_MAX = 24576 };

static void warn(struct ar_gemini_enc *e, enum ar_loss what, const char *why)
{
    ar_gemini_lose(e, AR_FATE_WARN, what, AR_F_EFFORT, why);
}

struct think {
    bool asked;   /* the client said anything about it */
    bool off;     /* no thinking */
    bool dynamic; /* as much as the model wants */
    enum ar_effort level;
    int64_t budget; /* -1: by level */
};

static struct think plan(const struct ar_settings *set)
{
    struct think p = {.level = set->effort, .budget = -1};
    bool by_budget = set->reason_mode == AR_REASON_BUDGET;
    p.asked = set->reason_mode != AR_REASON_UNSET || set->effort != AR_EFFORT_UNSET;
    p.off = set->reason_mode == AR_REASON_OFF || set->reason_mode == AR_REASON_BETWEEN_TOOLS ||
            set->effort == AR_EFFORT_NONE || (by_budget && set->budget == 0);
    if (by_budget && set->effort == AR_EFFORT_UNSET) {
        p.budget = set->budget > 0 ? set->budget : -1;
        p.level = set->budget > 0 ? ar_budget_effort(set->budget) : AR_EFFORT_UNSET;
    }
    p.dynamic = p.asked && !p.off && p.level == AR_EFFORT_UNSET;
    return p;
}

static const char *level_name(struct ar_gemini_enc *e, enum ar_effort level)
{
    switch (level) {
    case AR_EFFORT_NONE:
    case AR_EFFORT_MINIMAL:
        return AR_CAN(e, EFFORT_MINIMAL) || e->t->caps == 0 ? "MINIMAL" : "LOW";
    case AR_EFFORT_LOW:
        return "LOW";
    case AR_EFFORT_MEDIUM:
        return "MEDIUM";
    case AR_EFFORT_XHIGH:
    case AR_EFFORT_MAX:
        warn(e, AR_CLAMPED, "the model's highest level is HIGH");
        return "HIGH";
    default:
        return "HIGH";
    }
}

static void put_level(struct ar_gemini_enc *e, const struct think *p)
{
    if (p->off) {
        warn(e, AR_APPROXIMATED, "the model cannot stop thinking");
    }
    if (!p->off && p->level == AR_EFFORT_UNSET) {
        return;
    }
    ar_jw_key(&e->w, "thinkingLevel");
    ar_jw_esc(&e->w, ar_str_of(level_name(e, p->off ? AR_EFFORT_NONE : p->level)));
}

static int64_t level_budget(enum ar_effort level, int64_t most)
{
    static const int64_t TOKENS[] = {[AR_EFFORT_MINIMAL] = 512,
                                     [AR_EFFORT_LOW] = 2048,
                                     [AR_EFFORT_MEDIUM] = 8192,
                                     [AR_EFFORT_HIGH] = 16384,
                                     [AR_EFFORT_XHIGH] = 24576};
    return level == AR_EFFORT_MAX ? most : TOKENS[level];
}

static void put_budget(struct ar_gemini_enc *e, const struct think *p)
{
    bool can_stop = AR_CAN(e, THINK_DISABLED);
    int64_t least = can_stop ? 1 : PRO_MIN, most = can_stop ? FLASH_MAX : PRO_MAX, n;
    if (p->off) {
        n = can_stop ? 0 : PRO_MIN;
        if (!can_stop) {
            warn(e, AR_APPROXIMATED, "the model cannot stop thinking");
        }
    } else if (p->dynamic) {
        n = -1;
    } else {
        n = p->budget > 0 ? p->budget : level_budget(p->level, most);
        n = n < least ? least : n > most ? most : n;
    }
    ar_jw_key_i64(&e->w, "thinkingBudget", n);
}

/* As the client of this dialect said it, to a model of which nothing is known. */
static void put_as_said(struct ar_gemini_enc *e, const struct think *p)
{
    const struct ar_settings *set = &e->r->set;
    if (set->effort > AR_EFFORT_NONE) {
        put_level(e, p);
    } else {
        ar_jw_key_i64(&e->w, "thinkingBudget", p->off ? 0 : p->dynamic ? -1 : p->budget);
    }
}

/* Thoughts are shown to Chat clients unasked, to others when they think or ask for a summary. */
static bool wants_thoughts(const struct ar_gemini_enc *e, const struct think *p)
{
    const struct ar_settings *set = &e->r->set;
    if (set->show != AR_SHOW_UNSET || e->native) {
        return set->show == AR_SHOW_SUMMARY;
    }
    if (p->off) {
        return false;
    }
    if (e->r->dialect == AR_DIALECT_ANTHROPIC) {
        return set->reason_mode == AR_REASON_ADAPTIVE || set->reason_mode == AR_REASON_BUDGET;
    }
    return e->r->dialect == AR_DIALECT_CHAT;
}

void ar_gemini_put_reasoning(struct ar_gemini_enc *e)
{
    const struct think p = plan(&e->r->set);
    bool known = e->t->vendor == AR_VENDOR_GOOGLE, level = AR_CAN(e, THINK_LEVEL),
         budget = AR_CAN(e, THINK_BUDGET), thinks = level || budget;
    bool show = wants_thoughts(e, &p) && (thinks || e->native) && (known || p.asked);
    if (!p.asked && !show) {
        return;
    }
    if (!thinks && !e->native) {
        if (!p.off) {
            warn(e, AR_DROPPED, "the model does not think");
        }
        return;
    }
    struct ar_jw *w = &e->w;
    struct ar_jw before = *w;
    size_t at = w->out->n;
    ar_jw_key(w, "thinkingConfig");
    ar_jw_open(w, '{');
    size_t open = w->out->n;
    if (p.asked && e->native && !known) {
        put_as_said(e, &p);
    } else if (p.asked && level) {
        put_level(e, &p);
    } else if (p.asked) {
        put_budget(e, &p);
    }
    if (show) {
        ar_jw_key_bool(w, "includeThoughts", true);
    }
    ar_gemini_close_or_drop(e, before, at, open);
}
