/* How much the model thinks and whether it tells (PROTOCOLS 6.6): what is asked for, as far as the
 * model goes, decided first; the members thinking and output_config are written after the messages,
 * because only they tell which thinking blocks had to stay behind. Owns nothing. */
#include "dialect/anthropic/request_write.h"

enum { BUDGET_MIN = 1024, BUDGET_OF_ADAPTIVE = 8192 };

/* --- deciding --- */

void ar_anthropic_warn_effort(struct ar_anthropic_enc *e, enum ar_loss what, const char *why)
{
    ar_anthropic_lose(e, AR_FATE_WARN, what, "reasoning_effort", "thinking", why);
}

static void plan_off(struct ar_anthropic_enc *e)
{
    e->effort = AR_EFFORT_UNSET;
    if (AR_CAN(e, THINK_DISABLED)) {
        e->think = AR_REASON_OFF;
    } else if (AR_CAN(e, THINK_BETWEEN_TOOLS)) {
        e->think = AR_REASON_BETWEEN_TOOLS;
    } else if (AR_CAN(e, THINK_ADAPTIVE)) {
        e->think = AR_REASON_UNSET;
        e->effort = AR_EFFORT_LOW;
        ar_anthropic_warn_effort(e, AR_APPROXIMATED, "the model always thinks");
    } else {
        e->think = AR_REASON_UNSET;
    }
}

/* The level as far as the model goes. */
static enum ar_effort level_for(struct ar_anthropic_enc *e, enum ar_effort level)
{
    bool xhigh = AR_CAN(e, EFFORT_XHIGH), max = AR_CAN(e, EFFORT_MAX);
    if (level == AR_EFFORT_MINIMAL) {
        return AR_EFFORT_LOW;
    }
    if ((level != AR_EFFORT_XHIGH || xhigh) && (level != AR_EFFORT_MAX || max)) {
        return level;
    }
    ar_anthropic_warn_effort(e, AR_CLAMPED, "the model does not know this effort");
    return level == AR_EFFORT_MAX && xhigh ? AR_EFFORT_XHIGH : AR_EFFORT_HIGH;
}

static void plan_adaptive(struct ar_anthropic_enc *e, enum ar_effort level)
{
    const struct ar_settings *set = &e->r->set;
    if (set->reason_mode == AR_REASON_BUDGET && level == AR_EFFORT_UNSET) {
        level = ar_budget_effort(set->budget);
        ar_anthropic_warn_effort(e, AR_APPROXIMATED,
                                 "the model takes an effort, not a token budget");
    }
    e->effort = level == AR_EFFORT_UNSET ? level : level_for(e, level);
    e->think = AR_REASON_ADAPTIVE;
}

/* N tokens of thinking, always under the limit. */
static void plan_budget(struct ar_anthropic_enc *e, enum ar_effort level)
{
    const struct ar_settings *set = &e->r->set;
    int64_t n = BUDGET_OF_ADAPTIVE;
    if (set->reason_mode == AR_REASON_BUDGET) {
        n = set->budget;
    } else if (level != AR_EFFORT_UNSET) {
        n = ar_effort_budget(level);
    }
    bool apart = (e->t->quirks & AR_QUIRK(MAX_TOKENS_IN_BUDGET)) != 0;
    if (e->max_tokens <= BUDGET_MIN && !apart) {
        ar_anthropic_warn_effort(e, AR_DROPPED, "max_tokens leaves no room for thinking");
        e->think = AR_CAN(e, THINK_DISABLED) ? AR_REASON_OFF : AR_REASON_UNSET;
        return;
    }
    n = n < BUDGET_MIN ? BUDGET_MIN : n;
    if (n >= e->max_tokens && !apart) {
        int64_t most = e->max_tokens * 4 / 5;
        n = set->reason_mode == AR_REASON_BUDGET || level == AR_EFFORT_MAX ? e->max_tokens - 1
                                                                           : most;
        n = n < BUDGET_MIN ? BUDGET_MIN : n;
    }
    e->think = AR_REASON_BUDGET;
    e->budget = n;
}

static void plan_display(struct ar_anthropic_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    bool thinks = e->think == AR_REASON_ADAPTIVE || e->think == AR_REASON_BUDGET ||
                  (e->think == AR_REASON_UNSET && AR_CAN(e, THINK_DEFAULT_ON));
    if (set->show == AR_SHOW_OMITTED && thinks && e->think != AR_REASON_UNSET) {
        e->display = "omitted";
    } else if (e->native && set->show == AR_SHOW_SUMMARY && thinks) {
        e->display = "summarized";
    } else if (!e->native && set->show != AR_SHOW_OMITTED && thinks && AR_CAN(e, THINK_ADAPTIVE)) {
        /* Others show reasoning unasked, and some models are silent between tools without it
         * (P-089). Budget models show it by themselves. */
        bool asked = e->think != AR_REASON_UNSET;
        e->display = asked || AR_CAN(e, THINK_TEXT_BETWEEN_TOOLS) ? "summarized" : NULL;
    }
    if (e->display && e->think == AR_REASON_UNSET) {
        e->think = AR_REASON_ADAPTIVE;
    }
}

void ar_anthropic_plan_reasoning(struct ar_anthropic_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    const uint64_t any = AR_CAP(THINK_BUDGET) | AR_CAP(THINK_ADAPTIVE) | AR_CAP(THINK_DISABLED) |
                         AR_CAP(THINK_BETWEEN_TOOLS);
    enum ar_effort level = set->effort;
    e->think = set->reason_mode;
    e->effort = level;
    e->budget = set->budget;
    if (e->native && !(e->t->caps & any)) { /* nothing is known of the model: as the client said */
        e->display = set->show == AR_SHOW_OMITTED   ? "omitted"
                     : set->show == AR_SHOW_SUMMARY ? "summarized"
                                                    : NULL;
        return;
    }
    bool off = set->reason_mode == AR_REASON_OFF || level == AR_EFFORT_NONE ||
               (set->reason_mode == AR_REASON_BUDGET && set->budget <= 0);
    if (set->reason_mode == AR_REASON_UNSET && level == AR_EFFORT_UNSET) {
        plan_display(e);
        return;
    }
    if (e->native && set->reason_mode ==
                         AR_REASON_UNSET) { /* effort alone: how much work, not whether to think */
        e->effort = AR_CAN(e, THINK_ADAPTIVE) ? level_for(e, level) : AR_EFFORT_UNSET;
        return;
    }
    if (set->reason_mode == AR_REASON_BETWEEN_TOOLS && AR_CAN(e, THINK_BETWEEN_TOOLS)) {
        return;
    }
    if (off || set->reason_mode == AR_REASON_BETWEEN_TOOLS) {
        plan_off(e);
        if (e->think == AR_REASON_UNSET) { /* it thinks all the same */
            plan_display(e);
        } else if (e->native && level > AR_EFFORT_NONE && AR_CAN(e, THINK_ADAPTIVE)) {
            e->effort = level_for(e, level);
        }
        return;
    }
    bool keeps_budget =
        e->native && set->reason_mode == AR_REASON_BUDGET && AR_CAN(e, THINK_BUDGET);
    if (AR_CAN(e, THINK_ADAPTIVE) && !keeps_budget) {
        plan_adaptive(e, level);
    } else if (AR_CAN(e, THINK_BUDGET)) {
        e->effort = keeps_budget && AR_CAN(e, THINK_ADAPTIVE) ? level : AR_EFFORT_UNSET;
        plan_budget(e, level);
    } else {
        e->think = AR_REASON_UNSET;
        e->effort = AR_EFFORT_UNSET;
        ar_anthropic_warn_effort(e, AR_DROPPED, "the model does not think");
    }
    plan_display(e);
}

bool ar_anthropic_thinks(const struct ar_anthropic_enc *e)
{
    return e->think == AR_REASON_ADAPTIVE || e->think == AR_REASON_BUDGET ||
           (e->think == AR_REASON_UNSET && AR_CAN(e, THINK_DEFAULT_ON));
}

/* --- writing --- */

/* Members of our own fields that only this dialect knows: ext "thinking.block_binding" and the
 * like. */
static void put_extras(struct ar_anthropic_enc *e, struct ar_str prefix)
{
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        if (x->from == AR_DIALECT_ANTHROPIC && ar_str_has_prefix(x->name, prefix)) {
            ar_jw_key_dec(&e->w, ar_str_from(x->name, prefix.n));
            ar_jw_raw(&e->w, x->raw);
        }
    }
}

static bool has_extras(const struct ar_anthropic_enc *e, struct ar_str prefix)
{
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        if (x->from == AR_DIALECT_ANTHROPIC && ar_str_has_prefix(x->name, prefix)) {
            return true;
        }
    }
    return false;
}

static void put_thinking(struct ar_anthropic_enc *e, bool binding)
{
    static const char *const names[] = {[AR_REASON_OFF] = "disabled",
                                        [AR_REASON_ADAPTIVE] = "adaptive",
                                        [AR_REASON_BUDGET] = "enabled",
                                        [AR_REASON_BETWEEN_TOOLS] = "between_tools"};
    struct ar_jw *w = &e->w;
    ar_jw_key(w, "thinking");
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "type", ar_str_of(names[e->think]));
    if (e->think == AR_REASON_BUDGET) {
        ar_jw_key_i64(w, "budget_tokens", e->budget);
    }
    bool told = has_extras(e, AR_LIT("thinking.display"));
    if (e->display && !told && e->think != AR_REASON_OFF) {
        ar_jw_key_esc(w, "display", ar_str_of(e->display));
    }
    put_extras(e, AR_LIT("thinking."));
    if (binding && !has_extras(e, AR_LIT("thinking.block_binding"))) {
        ar_jw_key_raw(w, "block_binding", AR_LIT("{\"prefix_mismatch_behavior\":\"drop_block\"}"));
    }
    ar_jw_close(w, '}');
}

static void put_output_config(struct ar_anthropic_enc *e)
{
    struct ar_jw *w = &e->w;
    bool extras = has_extras(e, AR_LIT("output_config."));
    if (e->effort == AR_EFFORT_UNSET && !e->native_format && !extras) {
        return;
    }
    ar_jw_key(w, "output_config");
    ar_jw_open(w, '{');
    if (e->effort != AR_EFFORT_UNSET) {
        ar_jw_key_esc(w, "effort", ar_str_of(ar_effort_name(e->effort)));
    }
    if (e->native_format) {
        struct ar_str schema = e->r->set.schema;
        ar_jw_key(w, "format");
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "json_schema");
        ar_jw_key_raw(w, "schema", e->native ? schema : ar_anthropic_strict_schema(schema, e->a));
        ar_jw_close(w, '}');
    }
    put_extras(e, AR_LIT("output_config."));
    ar_jw_close(w, '}');
}

void ar_anthropic_put_reasoning(struct ar_anthropic_enc *e)
{
    bool binding = e->dropped_think && AR_CAN(e, PRESERVED_THINKING);
    if (e->think == AR_REASON_BUDGET && e->open_tool_loop) {
        ar_anthropic_warn_effort(e, AR_DROPPED,
                                 "the thinking of the open tool loop is not at hand");
        e->think = AR_REASON_UNSET;
    }
    if (binding && e->think == AR_REASON_UNSET && AR_CAN(e, THINK_DEFAULT_ON)) {
        e->think = AR_REASON_ADAPTIVE;
    }
    binding = binding && e->think == AR_REASON_ADAPTIVE;
    /* Where adaptive is the default, nothing has to be said. */
    bool is_default = !e->native && e->think == AR_REASON_ADAPTIVE && AR_CAN(e, THINK_DEFAULT_ON) &&
                      !e->display && !binding;
    bool odd = false;
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        odd = odd || (x->from == AR_DIALECT_ANTHROPIC && ar_str_is_lit(x->name, "thinking"));
    }
    if (e->think != AR_REASON_UNSET && !is_default &&
        !odd) { /* a type of thinking that is news to us */
        put_thinking(e, binding);
    }
    put_output_config(e);
    if (binding) {
        struct ar_encoded *ret = e->ret;
        ret->headers[ret->header_count++] = (struct ar_wire_header){
            AR_LIT("anthropic-beta"), AR_LIT("thinking-binding-controls-2026-08-01")};
    }
}
