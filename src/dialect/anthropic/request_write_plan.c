/* What a Messages request will ask of the model, decided before a byte is written: forced tool
 * choice (PROTOCOLS 6.4), shape of the output (6.7), the token limit (6.8); reasoning is in
 * reason_write.c. The rules need each other: a forced tool may have to turn thinking off,
 * structured output may need a forced tool, a thinking budget must stay under the limit. Owns
 * nothing. */
#include "dialect/anthropic/request_write.h"

enum { DEFAULT_MAX_TOKENS = 32000 };

/* --- the token limit --- */

static void plan_limit(struct ar_anthropic_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    if (set->max_tokens.tri == AR_SET) {
        int64_t most = e->native ? 0 : e->t->max_out_tokens;
        e->max_tokens = set->max_tokens.i;
        if (most > 0 && e->max_tokens > most) { /* refused otherwise */
            ar_anthropic_lose(e, AR_FATE_WARN, AR_CLAMPED, "max_tokens", "max_tokens",
                              "the model gives no more");
            e->max_tokens = most;
        }
        return;
    }
    e->max_tokens = e->t->default_max_tokens > 0 ? e->t->default_max_tokens : DEFAULT_MAX_TOKENS;
    if (e->t->max_out_tokens > 0 && e->max_tokens > e->t->max_out_tokens) {
        e->max_tokens = e->t->max_out_tokens;
    }
}

/* --- tool choice --- */

static bool is_listed(const struct ar_request *r, struct ar_str name)
{
    for (const struct ar_tool *t = r->tools; t; t = t->next) {
        if (ar_str_is(t->name, name) || (t->kind == AR_TOOL_SERVER && t->raw.n > 0)) {
            return true;
        }
    }
    return false;
}

/* Makes a forced choice possible, or gives it up for a line of text. true: it may be forced. */
static bool allow_force(struct ar_anthropic_enc *e)
{
    bool always = AR_CAN(e, FORCED_TOOL) && !AR_CAN(e, FORCED_TOOL_NOT_THINKING);
    if (always || (e->native && e->t->caps == 0)) {
        return true;
    }
    if (!AR_CAN(e, FORCED_TOOL_NOT_THINKING)) {
        return false;
    }
    if (!ar_anthropic_thinks(e)) {
        return true;
    }
    if (!AR_CAN(e, THINK_DISABLED) && AR_CAN(e, THINK_DEFAULT_ON)) {
        return false;
    }
    e->think = AR_CAN(e, THINK_DISABLED) ? AR_REASON_OFF : AR_REASON_UNSET;
    e->effort = AR_EFFORT_UNSET;
    e->display = NULL;
    ar_anthropic_warn_effort(e, AR_DROPPED, "a forced tool choice and thinking exclude each other");
    return true;
}

static void plan_choice(struct ar_anthropic_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    e->choice = set->choice;
    if (e->choice == AR_CHOICE_ALLOWED_AUTO || e->choice == AR_CHOICE_ALLOWED_REQUIRED) {
        ar_anthropic_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "tool_choice", "tool_choice",
                          "the tool list is cut down to the allowed ones");
        e->choice = e->choice == AR_CHOICE_ALLOWED_AUTO ? AR_CHOICE_AUTO : AR_CHOICE_REQUIRED;
    }
    bool forced = e->choice == AR_CHOICE_REQUIRED || e->choice == AR_CHOICE_NAMED;
    if (!e->r->tools) {
        if (forced) {
            ar_anthropic_lose(e, AR_FATE_REJECT, AR_DROPPED, "tool_choice", "tool_choice",
                              "a tool is demanded but none is given");
        }
        e->choice = AR_CHOICE_UNSET;
        return;
    }
    if (e->choice == AR_CHOICE_NAMED) {
        struct ar_str name = set->choice_names ? set->choice_names->s : AR_LIT("");
        if (!is_listed(e->r, name)) {
            ar_anthropic_lose(e, AR_FATE_REJECT, AR_DROPPED, "tool_choice", "tool_choice",
                              "the named tool is not in the list of tools");
        }
        e->choice_name = ar_anthropic_tool_name(e, name);
    }
    if (forced && !allow_force(e)) {
        e->call_line = true;
        ar_anthropic_lose(e, AR_FATE_WARN, AR_EMULATED, "tool_choice", "tool_choice",
                          "the model takes no forced tool; it is told in words");
    }
}

/* --- output format --- */

static bool has_citations(const struct ar_request *r)
{
    for (const struct ar_turn *t = r->turns; t; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_DOCUMENT && b->media && b->media->citations) {
                return true;
            }
        }
    }
    return false;
}

static void plan_format(struct ar_anthropic_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    if (set->format == AR_FORMAT_JSON) {
        e->json_line = true;
        ar_anthropic_lose(e, AR_FATE_WARN, AR_EMULATED, "response_format", "output_config",
                          "there is no JSON mode; the model is told in words");
        return;
    }
    if (set->format != AR_FORMAT_SCHEMA || !set->schema.p) {
        return;
    }
    if (!e->native && has_citations(e->r)) {
        ar_anthropic_lose(e, AR_FATE_REJECT, AR_DROPPED, "response_format", "output_config",
                          "a schema and citations exclude each other");
    }
    bool recurs = !e->native && ar_anthropic_is_recursive_schema(set->schema, e->a);
    if ((AR_CAN(e, STRUCTURED) && !recurs) || (e->native && e->t->caps == 0)) {
        e->native_format = true;
    } else if (!e->r->tools && ar_anthropic_is_object_schema(set->schema, e->a) && allow_force(e)) {
        e->json_tool = true;
    } else {
        e->schema_line = true;
        ar_anthropic_lose(e, AR_FATE_WARN, AR_EMULATED, "response_format", "output_config",
                          "the model has no structured output; it is told in words");
    }
}

void ar_anthropic_plan(struct ar_anthropic_enc *e)
{
    plan_limit(e);
    ar_anthropic_plan_reasoning(e);
    plan_choice(e);
    plan_format(e);
}
