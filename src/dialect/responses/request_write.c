/* The IR as a Responses request for one target (PROTOCOLS 6, columns "Responses"). Deterministic:
 * nothing but the request and the target decides a byte. Nothing is stored upstream, and reasoning
 * is asked for in its encrypted form, so that a client that keeps its own history can send it back;
 * stop strings, which this API has not, are left to the filter of the answer. What the target
 * cannot take is named through ar_lose; the first refusal sticks. Input, parts, tools and reasoning
 * have files of their own. Owns nothing. */
#include "dialect/field.h"
#include "dialect/responses/request_write.h"

#include "dialect/field.h"

enum { NAME_MAX_BYTES = 64, OUTPUT_MIN = 16 };

void ar_responses_lose(struct ar_responses_enc *e, enum ar_fate fate, enum ar_loss what,
                       const char *field, const char *why)
{
    enum ar_code c = ar_lose(e->l, fate, what, ar_dialect_field(e->r->dialect, field), why);
    e->code = e->code == AR_OK ? c : e->code;
}

const char *ar_responses_field(const struct ar_responses_enc *e, const char *openai,
                               const char *anthropic)
{
    return e->r->dialect == AR_DIALECT_ANTHROPIC ? anthropic : openai;
}

/* --- limits and sampling --- */

static void put_limit(struct ar_responses_enc *e)
{
    const struct ar_int *n = &e->r->set.max_tokens;
    const char *field = e->native ? "max_output_tokens" : "max_tokens";
    if (n->tri != AR_SET) {
        return;
    }
    if (n->i <= 0 && !e->native) {
        if (AR_CAN(e, CACHE_BREAKPOINTS)) { /* nothing but warms the cache */
            ar_jw_key_raw(&e->w, "prompt_cache_options", AR_LIT("{\"prewarm\":true}"));
            return;
        }
        ar_responses_lose(e, AR_FATE_REJECT, AR_DROPPED, field,
                          "the upstream's dialect has no request without output");
        return;
    }
    int64_t limit = n->i;
    if (limit < OUTPUT_MIN && !e->native) {
        ar_responses_lose(e, AR_FATE_WARN, AR_CLAMPED, field, "the upstream's least is 16");
        limit = OUTPUT_MIN;
    }
    if (e->t->max_out_tokens > 0 && limit > e->t->max_out_tokens && !e->native) {
        ar_responses_lose(e, AR_FATE_WARN, AR_CLAMPED, field, "the model gives no more");
        limit = e->t->max_out_tokens;
    }
    ar_jw_key_i64(&e->w, "max_output_tokens", limit);
}

/* A reasoning model takes the default alone, which may be left out without harm. */
static void put_num(struct ar_responses_enc *e, const char *name, const struct ar_num *n)
{
    if (n->tri != AR_SET) {
        return;
    }
    if (e->native || !AR_CAN(e, REASONING)) {
        ar_jw_key_n(&e->w, name, strlen(name));
        ar_jw_raw(&e->w, n->src);
    } else if (n->d < 1 || n->d > 1) {
        ar_responses_lose(e, AR_FATE_WARN, AR_DROPPED, name,
                          "the model is a reasoning model: it takes the default only");
    }
}

static void drop(struct ar_responses_enc *e, bool is_set, const char *field)
{
    if (is_set) {
        ar_responses_lose(e, AR_FATE_WARN, AR_DROPPED, field,
                          "the upstream's API has no such setting");
    }
}

static bool differs(const struct ar_num *n, double standard)
{
    return n->tri == AR_SET && (n->d < standard || n->d > standard);
}

static bool has_logprobs(const struct ar_responses_enc *e)
{
    return e->r->set.logprobs && !AR_CAN(e, REASONING);
}

static void put_sampling(struct ar_responses_enc *e)
{
    const struct ar_settings *s = &e->r->set;
    put_limit(e);
    put_num(e, "temperature", &s->temperature);
    put_num(e, "top_p", &s->top_p);
    if (s->top_logprobs.tri == AR_SET && (has_logprobs(e) || e->native)) {
        ar_jw_key_i64(&e->w, "top_logprobs", s->top_logprobs.i);
    }
    if (s->logprobs && !has_logprobs(e) && !e->native) {
        ar_responses_lose(e, AR_FATE_WARN, AR_DROPPED, "logprobs",
                          "the model is a reasoning model: it has none");
    }
    drop(e, s->top_k.tri == AR_SET, "top_k");
    drop(e, differs(&s->freq_penalty, 0), "frequency_penalty");
    drop(e, differs(&s->pres_penalty, 0), "presence_penalty");
    drop(e, s->seed.tri == AR_SET, "seed");
    drop(e, s->logit_bias.n > 2, "logit_bias");
    if (s->n.tri == AR_SET && s->n.i > 1) {
        ar_responses_lose(e, AR_FATE_REJECT, AR_DROPPED, "n",
                          "the upstream gives one answer a request");
    }
}

static void plan_stops(struct ar_responses_enc *e)
{
    struct ar_name **tail = &e->ret->stops;
    for (const struct ar_name *s = e->r->set.stop; s; s = s->next) {
        if (s->s.n > 0) {
            ar_name_new(e->a, s->s, &tail);
        }
    }
    if (e->ret->stops) { /* exact, so it refuses nothing */
        ar_note(e->l, AR_EMULATED,
                ar_dialect_field(e->r->dialect, ar_responses_field(e, "stop", "stop_sequences")));
    }
}

/* --- text --- */

static void put_format(struct ar_responses_enc *e)
{
    const struct ar_settings *s = &e->r->set;
    struct ar_jw *w = &e->w;
    ar_jw_key(w, "format");
    ar_jw_open(w, '{');
    if (s->format != AR_FORMAT_SCHEMA) {
        ar_jw_key_esc(w, "type",
                      s->format == AR_FORMAT_JSON ? AR_LIT("json_object") : AR_LIT("text"));
    } else {
        bool openai = e->native || e->r->dialect == AR_DIALECT_CHAT;
        bool strict = s->schema_strict == AR_SET ? s->schema_strict_on : !openai;
        if (strict && e->r->dialect == AR_DIALECT_ANTHROPIC &&
            !ar_schema_fits_strict(s->schema, e->a)) {
            ar_responses_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "output_config", AR_NOT_STRICT);
            strict = false;
        }
        ar_jw_key_lit(w, "type", "json_schema");
        ar_jw_key_text(w, "name", s->schema_name.n ? s->schema_name : AR_LIT("response"));
        if (s->schema_description.p) {
            ar_jw_key_esc(w, "description", s->schema_description);
        }
        ar_jw_key_raw(w, "schema", s->schema);
        if (strict || s->schema_strict == AR_SET) {
            ar_jw_key_bool(w, "strict", strict);
        }
    }
    ar_jw_close(w, '}');
}

static void put_text(struct ar_responses_enc *e)
{
    const struct ar_settings *s = &e->r->set;
    if (s->format == AR_FORMAT_UNSET && !s->verbosity.n) {
        return;
    }
    ar_jw_key(&e->w, "text");
    ar_jw_open(&e->w, '{');
    if (s->format != AR_FORMAT_UNSET) {
        put_format(e);
    }
    if (s->verbosity.n) {
        ar_jw_key_text(&e->w, "verbosity", s->verbosity);
    }
    ar_jw_close(&e->w, '}');
}

/* --- identity and service --- */

static void put_service(struct ar_responses_enc *e)
{
    const struct ar_settings *s = &e->r->set;
    bool is_openai = e->t->vendor == AR_VENDOR_OPENAI;
    bool same_words = e->native || e->r->dialect == AR_DIALECT_CHAT;
    if (s->service_tier.n && same_words) {
        ar_jw_key_text(&e->w, "service_tier", s->service_tier);
    } else if (is_openai && ar_str_is_lit(s->service_tier, "standard_only")) {
        ar_jw_key_lit(&e->w, "service_tier", "default");
    } else if (is_openai && s->service_tier.n &&
               (ar_str_is_lit(s->service_tier, "auto") || ar_str_is_lit(s->service_tier, "flex") ||
                ar_str_is_lit(s->service_tier, "priority"))) {
        ar_jw_key_text(&e->w, "service_tier", s->service_tier);
    }
    if (ar_str_is_lit(s->speed, "fast")) {
        ar_responses_lose(e, AR_FATE_WARN, AR_DROPPED, "speed", "the upstream has no fast mode");
    }
    if (s->cache_key.n && (same_words || is_openai)) {
        ar_jw_key_text(&e->w, "prompt_cache_key", s->cache_key);
    }
    ar_put_user(&e->w, e->r->set.user_id, e->t);
}

/* --- state --- */

static bool searches(const struct ar_request *r)
{
    const struct ar_tool *t = r->tools;
    while (t && !(t->kind == AR_TOOL_SERVER && ar_str_is_lit(t->name, "web_search"))) {
        t = t->next;
    }
    return t != NULL;
}

/* OpenAI refuses to encrypt what its other models do not have. A model that nothing is known of has
 * every way to think. */
static bool may_reason(const struct ar_responses_enc *e)
{
    return AR_CAN(e, REASONING) || AR_CAN(e, THINK_ADAPTIVE) || e->t->caps == 0;
}

/* A client of this dialect said itself what is stored and included. */
static void put_state(struct ar_responses_enc *e)
{
    struct ar_jw *w = &e->w;
    if (e->native) {
        return;
    }
    bool is_openai = e->t->vendor == AR_VENDOR_OPENAI;
    bool reasons = !is_openai || may_reason(e);
    bool sources = is_openai && searches(e->r);
    ar_jw_key_bool(w, "store", false);
    if (!reasons && !sources && !has_logprobs(e)) {
        return;
    }
    ar_jw_key(w, "include");
    ar_jw_open(w, '[');
    if (reasons) {
        ar_jw_lit(w, "reasoning.encrypted_content");
    }
    if (has_logprobs(e)) {
        ar_jw_lit(w, "message.output_text.logprobs");
    }
    if (sources) {
        ar_jw_lit(w, "web_search_call.action.sources");
    }
    ar_jw_close(w, ']');
}

/* Fields of this dialect that the IR has no name for go back verbatim; those of others meet their
 * fate. A dotted name is a member of an object that another writer makes. */
static void put_extensions(struct ar_responses_enc *e)
{
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        bool streams = ar_str_is_lit(x->name, "stream_options");
        if (x->from == AR_DIALECT_RESPONSES) {
            if (ar_str_find_char(x->name, '.') == x->name.n && (!streams || e->t->stream)) {
                ar_jw_key_dec(&e->w, x->name);
                ar_jw_raw(&e->w, x->raw);
            }
        } else if (x->fate != AR_FATE_SILENT) {
            struct ar_str name = ar_arena_copy(e->a, x->name);
            ar_responses_lose(e, x->fate, AR_DROPPED, name.p ? name.p : "",
                              "the upstream's dialect has no such field");
        }
    }
}

enum ar_code ar_responses_encode_request(const struct ar_request *r, enum ar_op op,
                                         const struct ar_target *t, struct ar_arena *a,
                                         struct ar_losses *l, struct ar_encoded *ret)
{
    struct ar_responses_enc e = {
        .w = ar_jw_on(ret->body), .r = r, .t = t, .a = a, .l = l, .ret = ret};
    e.native = r->dialect == AR_DIALECT_RESPONSES;
    e.official = e.native || t->vendor == AR_VENDOR_OPENAI;
    ret->header_count = 0;
    ret->undo = NULL;
    ret->stops = NULL;
    e.undo = (struct ar_undo_list){
        .first = &ret->undo, .tail = &ret->undo, .a = a, .name_max = NAME_MAX_BYTES};
    ar_jw_open(&e.w, '{');
    ar_jw_key_text(&e.w, "model", t->model);
    ar_responses_put_messages(&e);
    ar_responses_put_tools(&e);
    ar_responses_put_reasoning(&e);
    put_text(&e);
    if (op == AR_OP_GENERATE) {
        put_sampling(&e);
        plan_stops(&e);
        put_service(&e);
        put_state(&e);
        put_extensions(&e);
        if (t->stream) {
            ar_jw_key_bool(&e.w, "stream", true);
        }
    }
    ar_jw_close(&e.w, '}');
    if (e.code != AR_OK) {
        return e.code;
    }
    enum ar_code c = ar_buf_finish(ret->body);
    return c != AR_OK ? c : ar_arena_finish(a);
}
