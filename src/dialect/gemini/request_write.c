/* IR -> generateContent request (PROTOCOLS 4, 6): instructions, contents, tools, settings, in one
 * fixed order that depends on nothing, so the same history gives the same bytes (PROTOCOLS 0.2).
 * The model and streaming are in the path and not here. What the target cannot take is named
 * through ar_lose under the client's own name for it; the first refusal sticks. Contents, parts,
 * tools, reasoning and schemas have files of their own. Owns nothing. */
#include "dialect/gemini/request_write.h"

#include "dialect/field.h"

enum { STOPS_MAX = 5 };

/* Chat's word, which ar_dialect_field has for others, and Anthropic's where it differs. */
static const struct {
    const char *chat, *anthropic;
} FIELDS[AR_F_COUNT] = {
    [AR_F_MESSAGES] = {"messages", NULL},
    [AR_F_TOOLS] = {"tools", NULL},
    [AR_F_CHOICE] = {"tool_choice", NULL},
    [AR_F_PARALLEL] = {"parallel_tool_calls", "tool_choice.disable_parallel_tool_use"},
    [AR_F_EFFORT] = {"reasoning_effort", "thinking"},
    [AR_F_FORMAT] = {"response_format", "output_config"},
    [AR_F_LIMIT] = {"max_tokens", NULL},
    [AR_F_STOP] = {"stop", "stop_sequences"},
    [AR_F_IMAGE] = {"image_url", "source.url"},
    [AR_F_FILE] = {"file", "source"},
    [AR_F_FILE_ID] = {"file_id", NULL},
    [AR_F_ARGUMENTS] = {"arguments", "input"},
    [AR_F_TIER] = {"service_tier", NULL},
    [AR_F_SEARCH] = {"web_search_options", "tools"},
    [AR_F_SERVER_TOOLS] = {"messages", "server_tool_use"},
};

static const char *name_of(const struct ar_request *r, enum ar_gemini_field field)
{
    bool anthropic = r->dialect == AR_DIALECT_ANTHROPIC && FIELDS[field].anthropic;
    return anthropic ? FIELDS[field].anthropic : ar_dialect_field(r->dialect, FIELDS[field].chat);
}

void ar_gemini_lose_as(struct ar_gemini_enc *e, enum ar_fate fate, enum ar_loss what,
                       const char *field, const char *why)
{
    enum ar_code code = ar_lose(e->l, fate, what, ar_dialect_field(e->r->dialect, field), why);
    e->code = e->code == AR_OK ? code : e->code;
}

void ar_gemini_lose(struct ar_gemini_enc *e, enum ar_fate fate, enum ar_loss what,
                    enum ar_gemini_field field, const char *why)
{
    ar_gemini_lose_as(e, fate, what, name_of(e->r, field), why);
}

void ar_gemini_put_text(struct ar_gemini_enc *e, struct ar_str esc)
{
    ar_jw_open(&e->w, '{');
    ar_jw_key_esc(&e->w, "text", esc);
    ar_jw_close(&e->w, '}');
}

void ar_gemini_close_or_drop(struct ar_gemini_enc *e, struct ar_jw before, size_t at, size_t open)
{
    if (e->w.out->n == open) {
        e->w.out->n = at;
        e->w = before;
    } else {
        ar_jw_close(&e->w, '}');
    }
}

/* --- instructions --- */

/* What the model is told in words because it takes no field for it beside functions. */
static void put_lines(struct ar_gemini_enc *e)
{
    if (e->json_line) {
        ar_gemini_put_text(e, AR_LIT(AR_JSON_LINE));
    }
    if (e->schema_line) {
        ar_gemini_put_text(e, ar_schema_line(&e->r->set, e->a));
    }
}

static void put_system(struct ar_gemini_enc *e)
{
    bool any = e->json_line || e->schema_line;
    for (const struct ar_block *b = e->r->system; b; b = b->next) {
        any = any || ar_gemini_has_output(e, b);
    }
    if (!any) {
        return;
    }
    ar_jw_key(&e->w, "systemInstruction");
    ar_jw_open(&e->w, '{');
    ar_jw_key(&e->w, "parts");
    ar_jw_open(&e->w, '[');
    for (const struct ar_block *b = e->r->system; b; b = b->next) {
        if (ar_gemini_has_output(e, b)) {
            ar_gemini_put_part(e, b, NULL);
        }
    }
    put_lines(e);
    ar_jw_close(&e->w, ']');
    ar_jw_close(&e->w, '}');
}

/* --- settings --- */

static void put_num(struct ar_gemini_enc *e, const char *key, const struct ar_num *v)
{
    if (v->tri == AR_SET) {
        ar_jw_key_n(&e->w, key, strlen(key));
        ar_jw_raw(&e->w, v->src);
    }
}

static void put_sampling(struct ar_gemini_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    struct ar_jw *w = &e->w;
    if (set->temperature.tri == AR_SET && set->temperature.d > 2.0 && !e->native) {
        ar_gemini_lose_as(e, AR_FATE_WARN, AR_CLAMPED, "temperature",
                          "the upstream's range ends at 2");
        ar_jw_key_raw(w, "temperature", AR_LIT("2.0"));
    } else {
        put_num(e, "temperature", &set->temperature);
    }
    put_num(e, "topP", &set->top_p);
    put_num(e, "topK", &set->top_k);
    put_num(e, "presencePenalty", &set->pres_penalty);
    put_num(e, "frequencyPenalty", &set->freq_penalty);
    if (set->seed.tri == AR_SET) {
        ar_jw_key_i64(w, "seed", set->seed.i);
    }
    if (set->n.tri == AR_SET && (set->n.i != 1 || e->native)) {
        if (set->n.i > 1 && e->t->stream && !e->native) {
            ar_gemini_lose_as(e, AR_FATE_REJECT, AR_DROPPED, "n",
                              "several answers are not streamed to a client of another dialect");
        }
        ar_jw_key_i64(w, "candidateCount", set->n.i);
    }
    if (set->logprobs) {
        ar_jw_key_bool(w, "responseLogprobs", true);
        if (set->top_logprobs.tri == AR_SET) {
            ar_jw_key_i64(w, "logprobs", set->top_logprobs.i);
        }
    }
    if (set->logit_bias.n > 2) {
        ar_gemini_lose_as(e, AR_FATE_WARN, AR_DROPPED, "logit_bias",
                          "the upstream's API has no such setting");
    }
}

/* Five stop strings are sent, the rest is cut out of the answer by the undo filter. */
static void put_stops(struct ar_gemini_enc *e)
{
    unsigned n = 0;
    struct ar_name **left = &e->ret->stops;
    for (const struct ar_name *s = e->r->set.stop; s; s = s->next) {
        if (s->s.n == 0) {
            continue;
        }
        if (n < STOPS_MAX || e->native) {
            if (n++ == 0) {
                ar_jw_key(&e->w, "stopSequences");
                ar_jw_open(&e->w, '[');
            }
            ar_jw_esc(&e->w, s->s);
        } else {
            ar_name_new(e->a, s->s, &left);
        }
    }
    if (n > 0) {
        ar_jw_close(&e->w, ']');
    }
    if (e->ret->stops) { /* exact, so it refuses nothing */
        ar_note(e->l, AR_EMULATED, name_of(e->r, AR_F_STOP));
    }
}

static void put_limit(struct ar_gemini_enc *e)
{
    const struct ar_int *max = &e->r->set.max_tokens;
    if (max->tri != AR_SET) {
        return;
    }
    if (max->i <= 0) {
        ar_gemini_lose(e, AR_FATE_REJECT, AR_DROPPED, AR_F_LIMIT,
                       "the upstream's dialect has no request without output");
    }
    int64_t most = e->native ? 0 : e->t->max_out_tokens, n = max->i;
    if (most > 0 && n > most) { /* refused otherwise, and agents ask for what other models give */
        ar_gemini_lose(e, AR_FATE_WARN, AR_CLAMPED, AR_F_LIMIT, "the model gives no more");
        n = most;
    }
    ar_jw_key_i64(&e->w, "maxOutputTokens", n);
}

/* The reader wrapped the client's schema in {"value": ...}. */
static void put_unwrapped(struct ar_gemini_enc *e)
{
    struct ar_jdoc doc;
    ar_jw_key(&e->w, "responseMimeType");
    ar_jw_esc(&e->w, e->r->set.enum_text ? AR_LIT("text/x.enum") : AR_LIT("application/json"));
    if (ar_json_parse(e->r->set.schema, AR_JSON_DEPTH, e->a, &doc, NULL) == AR_OK) {
        struct ar_jval all = ar_json_get_lit(ar_json_root(&doc), "properties");
        ar_jw_key_raw(&e->w, "responseJsonSchema", ar_json_raw(ar_json_get_lit(all, "value")));
    }
}

static void put_format(struct ar_gemini_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    if (e->schema_line || e->json_line) {
        return;
    }
    if ((set->enum_text || set->json_value) && e->native) {
        put_unwrapped(e);
        return;
    }
    if (set->format == AR_FORMAT_TEXT && e->native) {
        ar_jw_key_lit(&e->w, "responseMimeType", "text/plain");
    } else if (set->format == AR_FORMAT_JSON || set->format == AR_FORMAT_SCHEMA) {
        ar_jw_key_lit(&e->w, "responseMimeType", "application/json");
    }
    if (set->format != AR_FORMAT_SCHEMA || set->schema.n == 0) {
        return;
    }
    bool lossy = false;
    if (AR_HAS(e, SCHEMA_SUBSET)) {
        ar_jw_key_raw(&e->w, "responseSchema", ar_gemini_subset_schema(set->schema, e->a, &lossy));
    } else {
        ar_jw_key_raw(&e->w, "responseJsonSchema", set->schema);
    }
    if (lossy) {
        ar_gemini_lose(e, AR_FATE_WARN, AR_APPROXIMATED, AR_F_FORMAT,
                       "the upstream knows fewer constraints than JSON Schema has");
    }
}

/* Older models refuse an output format beside functions. */
static void plan_format(struct ar_gemini_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    bool beside = e->has_functions && set->choice != AR_CHOICE_NONE;
    if (!beside || AR_CAN(e, MIXED_TOOLS) || e->native || e->t->vendor != AR_VENDOR_GOOGLE) {
        return;
    }
    e->json_line = set->format == AR_FORMAT_JSON;
    e->schema_line = set->format == AR_FORMAT_SCHEMA;
    if (e->json_line || e->schema_line) {
        ar_gemini_lose(e, AR_FATE_WARN, AR_EMULATED, AR_F_FORMAT,
                       "the model takes no output format beside functions; it is told in words");
    }
}

/* Members of generationConfig that the IR has no name for, in the request's own dialect: names
 * begin with it. */
static bool is_config(const struct ar_ext *x)
{
    return ar_str_has_prefix(x->name, AR_LIT("generationConfig."));
}

/* Written where they belong. */
static bool is_nested(const struct ar_ext *x)
{
    return is_config(x) || ar_str_has_prefix(x->name, AR_LIT("toolConfig."));
}

static void put_config_ext(struct ar_gemini_enc *e)
{
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        struct ar_str name = ar_str_from(x->name, sizeof "generationConfig." - 1);
        if (e->native && x->from == e->r->dialect && is_config(x) &&
            ar_str_find_char(name, '.') == name.n) {
            ar_jw_key_dec(&e->w, name);
            ar_jw_raw(&e->w, x->raw);
        }
    }
}

static void put_config(struct ar_gemini_enc *e)
{
    struct ar_jw *w = &e->w;
    struct ar_jw before = *w;
    size_t at = w->out->n;
    ar_jw_key(w, "generationConfig");
    ar_jw_open(w, '{');
    size_t open = w->out->n;
    put_sampling(e);
    put_limit(e);
    put_stops(e);
    put_format(e);
    ar_gemini_put_reasoning(e);
    put_config_ext(e);
    ar_gemini_close_or_drop(e, before, at, open);
}

static void put_tier(struct ar_gemini_enc *e)
{
    static const struct {
        struct ar_str from, to;
    } TIERS[] = {
        {AR_LIT_INIT("flex"), AR_LIT_INIT("flex")},
        {AR_LIT_INIT("priority"), AR_LIT_INIT("priority")},
        {AR_LIT_INIT("default"), AR_LIT_INIT("standard")},
        {AR_LIT_INIT("standard"), AR_LIT_INIT("standard")},
        {AR_LIT_INIT("standard_only"), AR_LIT_INIT("standard")},
        {AR_LIT_INIT("auto"), {NULL, 0}},
    };
    struct ar_str tier = e->r->set.service_tier;
    if (ar_str_is_lit(e->r->set.speed, "fast")) {
        ar_gemini_lose_as(e, AR_FATE_WARN, AR_DROPPED, "speed", "the upstream has no fast mode");
    }
    if (tier.n == 0) {
        return;
    }
    for (size_t i = 0; i < sizeof TIERS / sizeof *TIERS; i++) {
        if (ar_str_is(tier, TIERS[i].from)) {
            if (TIERS[i].to.n > 0) {
                ar_jw_key_text(&e->w, "serviceTier", TIERS[i].to);
            }
            return;
        }
    }
    if (e->native) {
        ar_jw_key_text(&e->w, "serviceTier", tier);
    } else {
        ar_gemini_lose(e, AR_FATE_WARN, AR_DROPPED, AR_F_TIER, "the upstream has no such tier");
    }
}

/* Fields of this dialect that the IR has no name for go back verbatim; those of others meet their
 * fate. */
static void put_ext(struct ar_gemini_enc *e)
{
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        if (e->native && x->from == e->r->dialect) {
            if (!is_nested(x) && !ar_str_is_lit(x->name, "model")) {
                ar_jw_key_dec(&e->w, x->name);
                ar_jw_raw(&e->w, x->raw);
            }
        } else if (x->fate != AR_FATE_SILENT) {
            struct ar_str name = ar_arena_copy(e->a, x->name);
            ar_gemini_lose_as(e, x->fate, AR_DROPPED, name.p ? name.p : "",
                              "the upstream's dialect has no such field");
        }
    }
    if (e->r->set.verbosity.n > 0) {
        ar_gemini_lose_as(e, AR_FATE_WARN, AR_DROPPED, "verbosity",
                          "the upstream's dialect has no such field");
    }
}

/* --- the request --- */

static void put_generate(struct ar_gemini_enc *e)
{
    put_system(e);
    ar_gemini_put_messages(e);
    ar_gemini_put_tools(e);
    put_config(e);
    put_tier(e);
    put_ext(e);
}

/* countTokens: the whole request in an envelope that names the model, or its parts at the top. */
static void put_count(struct ar_gemini_enc *e)
{
    struct ar_jw *w = &e->w;
    bool flat = AR_HAS(e, COUNT_FLAT);
    if (!flat) {
        bool full = ar_str_has(e->t->model, AR_LIT("/"));
        struct ar_str name =
            full ? e->t->model : ar_arena_join(e->a, AR_LIT("models/"), e->t->model);
        ar_jw_key(w, "generateContentRequest");
        ar_jw_open(w, '{');
        ar_jw_key_text(w, "model", name);
    }
    put_system(e);
    ar_gemini_put_messages(e);
    ar_gemini_put_tools(e);
    if (!flat) {
        ar_jw_close(w, '}');
    }
}

enum ar_code ar_gemini_encode_request(const struct ar_request *r, enum ar_op op,
                                      const struct ar_target *t, struct ar_arena *a,
                                      struct ar_losses *l, struct ar_encoded *ret)
{
    struct ar_gemini_enc e = {.r = r, .t = t, .a = a, .l = l, .ret = ret, .op = op};
    ret->header_count = 0;
    ret->undo = NULL;
    ret->stops = NULL;
    e.undo = (struct ar_undo_list){.first = &ret->undo, .tail = &ret->undo, .a = a};
    e.w = ar_jw_on(ret->body);
    e.native = r->dialect == AR_DIALECT_GEMINI;
    ar_map_init(&e.calls, 0);
    for (const struct ar_tool *tool = r->tools; tool; tool = tool->next) {
        e.has_functions = e.has_functions || ar_gemini_is_function(&e, tool);
    }
    plan_format(&e);
    ar_jw_open(&e.w, '{');
    if (op == AR_OP_COUNT) {
        put_count(&e);
    } else {
        put_generate(&e);
    }
    ar_jw_close(&e.w, '}');
    ar_map_done(&e.calls);
    if (e.code == AR_OK) {
        e.code = ar_arena_finish(a);
    }
    return e.code == AR_OK ? ar_buf_finish(ret->body) : e.code;
}
