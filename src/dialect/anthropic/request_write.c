/* IR -> Messages request. First everything is decided (request_write_plan.c), then the body is
 * written front to back: limits, system, messages, tools, settings. The order of the members is
 * fixed and depends on nothing, so the same history gives the same bytes (PROTOCOLS 0.2). A request
 * that came in this dialect goes back as it was, but for what the target cannot take. Headers: the
 * API version, and betas (the client's own only where it spoke this dialect). Owns nothing. */
#include "dialect/anthropic/request_write.h"

#include "base/hash.h"
#include "dialect/field.h"

void ar_anthropic_lose(struct ar_anthropic_enc *e, enum ar_fate fate, enum ar_loss what,
                       const char *chat, const char *own, const char *why)
{
    if (e->code == AR_OK) {
        const char *field = e->native ? own : ar_dialect_field(e->r->dialect, chat);
        e->code = ar_lose(e->l, fate, what, field, why);
    }
}

static unsigned count_marks(const struct ar_block *b)
{
    unsigned n = 0;
    for (; b; b = b->next) {
        n += b->cache_ttl.p != NULL && b->kind != AR_THINKING && b->kind != AR_REDACTED_THINKING;
        n += count_marks(b->inner);
    }
    return n;
}

/* The API takes four cache breakpoints, in the order tools, system, messages: the last four stay
 * (P-128). */
static unsigned count_tool_marks(const struct ar_request *r)
{
    unsigned n = 0;
    for (const struct ar_tool *t = r->tools; t; t = t->next) {
        n += t->cache_ttl.p != NULL && t->kind != AR_TOOL_SERVER;
    }
    return n;
}

static void plan_cache(struct ar_anthropic_enc *e)
{
    unsigned n = count_tool_marks(e->r) + count_marks(e->r->system);
    for (const struct ar_turn *t = e->r->turns; t; t = t->next) {
        n += count_marks(t->blocks);
    }
    e->cache_skip = n > AR_ANTHROPIC_CACHE_MAX ? n - AR_ANTHROPIC_CACHE_MAX : 0;
}

/* --- system --- */

static void put_line(struct ar_anthropic_enc *e, struct ar_str esc)
{
    struct ar_block b = {.kind = AR_TEXT, .text = esc};
    ar_anthropic_put_part(e, &b);
}

/* What the model is told in words because there is no field for it. */
static void put_lines(struct ar_anthropic_enc *e)
{
    if (e->json_line) {
        put_line(e, AR_LIT(AR_JSON_LINE));
    }
    if (e->schema_line) {
        put_line(e, ar_schema_line(&e->r->set, e->a));
    }
    if (e->call_line && e->choice == AR_CHOICE_NAMED) {
        struct ar_str name = ar_json_escape_in(e->choice_name, e->a);
        struct ar_str text = ar_arena_fmt(e->a, "You must call the tool %.*s now.", AR_FMT(name));
        put_line(e, text.p ? text : AR_LIT(""));
    } else if (e->call_line) {
        put_line(e, AR_LIT("You must call one of the tools now."));
    }
}

static void put_system(struct ar_anthropic_enc *e)
{
    const struct ar_block *first = e->r->system;
    struct ar_jw *w = &e->w;
    bool lines = e->json_line || e->schema_line || e->call_line, any = lines;
    for (const struct ar_block *b = first; b; b = b->next) {
        any = any || ar_anthropic_has_output(e, b);
    }
    if (!any) {
        return;
    }
    ar_jw_key(w, "system");
    if (e->native && first && first->is_plain && !lines) {
        ar_jw_esc(w, first->text);
        return;
    }
    ar_jw_open(w, '[');
    for (const struct ar_block *b = first; b; b = b->next) {
        if (ar_anthropic_has_output(e, b)) {
            ar_anthropic_put_part(e, b);
        }
    }
    put_lines(e);
    ar_jw_close(w, ']');
}

/* --- settings --- */

static void drop(struct ar_anthropic_enc *e, bool is_set, const char *field)
{
    if (is_set) {
        ar_anthropic_lose(e, AR_FATE_WARN, AR_DROPPED, field, field,
                          "the upstream's API has no such setting");
    }
}

static bool is_set(const struct ar_num *n)
{
    return n->tri == AR_SET;
}

static void put_num(struct ar_jw *w, const char *key, size_t n, const struct ar_num *v)
{
    ar_jw_key_n(w, key, n);
    ar_jw_raw(w, v->src);
}

static void put_temperature(struct ar_anthropic_enc *e)
{
    const struct ar_num *t = &e->r->set.temperature;
    if (t->d > 1.0 && !e->native) {
        ar_anthropic_lose(e, AR_FATE_WARN, AR_CLAMPED, "temperature", "temperature",
                          "the upstream's range ends at 1");
        ar_jw_key_raw(&e->w, "temperature", AR_LIT("1.0"));
    } else {
        put_num(&e->w, "temperature", 11, t);
    }
}

static void put_sampling(struct ar_anthropic_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    bool can = AR_CAN(e, SAMPLING) || (e->native && e->t->caps == 0),
         thinks = e->think == AR_REASON_BUDGET || (e->think == AR_REASON_ADAPTIVE && !e->native);
    bool temperature = is_set(&set->temperature), top_p = is_set(&set->top_p),
         top_k = is_set(&set->top_k);
    if (!can) { /* the defaults say nothing */
        drop(e, temperature && set->temperature.d != 1.0, "temperature");
        drop(e, top_p && set->top_p.d != 1.0, "top_p");
        drop(e, top_k, "top_k");
        return;
    }
    if (thinks) { /* it takes no other temperature then */
        drop(e, temperature && set->temperature.d != 1.0, "temperature");
        drop(e, top_k, "top_k");
        drop(e, top_p && set->top_p.d < 0.95, "top_p");
        temperature = temperature && e->native && set->temperature.d == 1.0;
        top_k = false;
        top_p = top_p && set->top_p.d >= 0.95;
    }
    if (temperature && top_p && AR_CAN(e, TEMPERATURE_ALONE)) {
        drop(e, true, "top_p");
        top_p = false;
    }
    if (temperature) {
        put_temperature(e);
    }
    if (top_p) {
        put_num(&e->w, "top_p", 5, &set->top_p);
    }
    if (top_k) {
        put_num(&e->w, "top_k", 5, &set->top_k);
    }
}

static void put_stops(struct ar_anthropic_enc *e)
{
    struct ar_jw *w = &e->w;
    bool any = false;
    for (const struct ar_name *n = e->r->set.stop; n; n = n->next) {
        struct ar_block b = {.kind = AR_TEXT, .text = n->s};
        if (!e->native && !ar_anthropic_has_output(e, &b)) {
            drop(e, true, "stop");
            continue;
        }
        if (!any) {
            ar_jw_key(w, "stop_sequences");
            ar_jw_open(w, '[');
            any = true;
        }
        ar_jw_esc(w, n->s);
    }
    if (any) {
        ar_jw_close(w, ']');
    }
}

/* What this API has no field for. */
static void drop_foreign(struct ar_anthropic_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    drop(e, is_set(&set->freq_penalty) && set->freq_penalty.d != 0.0, "frequency_penalty");
    drop(e, is_set(&set->pres_penalty) && set->pres_penalty.d != 0.0, "presence_penalty");
    drop(e, set->seed.tri == AR_SET, "seed");
    drop(e, set->logit_bias.n > 2, "logit_bias");
    drop(e, set->logprobs, "logprobs");
    drop(e, set->verbosity.n > 0, "verbosity");
    if (set->n.tri == AR_SET && set->n.i > 1) {
        ar_anthropic_lose(e, AR_FATE_REJECT, AR_DROPPED, "n", "n",
                          "the upstream gives one answer a request");
    }
}

static void put_identity(struct ar_anthropic_enc *e)
{
    struct ar_str id = e->r->set.user_id;
    char hash[65];
    if (!id.p) {
        return;
    }
    if (id.n > 256) {
        ar_sha256_hex(id, 64, hash);
        id = ar_str_n(hash, 64);
    }
    ar_jw_key(&e->w, "metadata");
    ar_jw_open(&e->w, '{');
    ar_jw_key_text(&e->w, "user_id", id);
    ar_jw_close(&e->w, '}');
}

static void put_service(struct ar_anthropic_enc *e)
{
    struct ar_str tier = e->r->set.service_tier, speed = e->r->set.speed;
    if (e->native) {
        if (tier.p) {
            ar_jw_key_text(&e->w, "service_tier", tier);
        }
        if (speed.p) {
            ar_jw_key_text(&e->w, "speed", speed);
        }
        return;
    }
    if (ar_str_is_lit(tier, "default")) {
        ar_jw_key_lit(&e->w, "service_tier", "standard_only");
    } else if (ar_str_is_lit(tier, "priority")) {
        ar_jw_key_lit(&e->w, "service_tier", "auto");
    } else {
        drop(e, tier.n > 0 && !ar_str_is_lit(tier, "auto"), "service_tier");
    }
    drop(e, speed.n > 0 && !ar_str_is_lit(speed, "standard"), "speed");
}

/* Fields without a name in the IR: back to this dialect verbatim, to a stranger's by their fate. */
static void put_ext(struct ar_anthropic_enc *e)
{
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        if (x->from == AR_DIALECT_ANTHROPIC && ar_str_find_char(x->name, '.') == x->name.n) {
            ar_jw_key_dec(&e->w, x->name);
            ar_jw_raw(&e->w, x->raw);
        } else if (x->from != AR_DIALECT_ANTHROPIC && e->code == AR_OK) {
            char field[96];
            size_t n = x->name.n < sizeof(field) - 1 ? x->name.n : sizeof(field) - 1;
            memcpy(field, x->name.p, n);
            field[n] = '\0';
            e->code =
                ar_lose(e->l, x->fate, AR_DROPPED, field, "the upstream's API has no such field");
        }
    }
}

static void put_settings(struct ar_anthropic_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    if (e->op == AR_OP_GENERATE) {
        put_stops(e);
        put_sampling(e);
        drop_foreign(e);
        put_identity(e);
        put_service(e);
    }
    if (set->auto_cache && e->native) {
        bool longer = ar_str_is_lit(set->auto_cache_ttl, "1h");
        ar_jw_key_raw(&e->w, "cache_control",
                      set->auto_cache_ttl.n == 0 ? AR_LIT("{\"type\":\"ephemeral\"}")
                      : longer                   ? AR_LIT("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}")
                               : AR_LIT("{\"type\":\"ephemeral\",\"ttl\":\"5m\"}"));
    }
    put_ext(e);
    if (e->t->stream && e->op == AR_OP_GENERATE) {
        ar_jw_key_bool(&e->w, "stream", true);
    }
}

/* --- headers --- */

static void put_headers(struct ar_anthropic_enc *e)
{
    struct ar_encoded *ret = e->ret;
    const struct ar_settings *set = &e->r->set;
    bool as_client = e->native && set->version.n > 0;
    struct ar_str ours = {0};
    if (ret->header_count > 0) { /* put_think's beta, joined with the client's below */
        ours = ret->headers[--ret->header_count].value;
    }
    if (e->mcp_servers > 0) {
        struct ar_str mcp = AR_LIT("mcp-client-2025-11-20");
        ours = ours.n > 0 ? ar_arena_fmt(e->a, "%.*s,%.*s", AR_FMT(ours), AR_FMT(mcp)) : mcp;
    }
    ret->headers[ret->header_count++] = (struct ar_wire_header){
        AR_LIT("anthropic-version"), as_client ? set->version : AR_LIT("2023-06-01")};
    bool theirs = e->native && set->betas.n > 0 && (e->t->quirks & AR_QUIRK(BETA_HEADERS));
    struct ar_str betas = theirs ? set->betas : ours;
    if (theirs && ours.n > 0 && !ar_str_has(set->betas, ours)) {
        betas = ar_arena_fmt(e->a, "%.*s,%.*s", AR_FMT(set->betas), AR_FMT(ours));
    }
    if (betas.n > 0) {
        ret->headers[ret->header_count++] =
            (struct ar_wire_header){AR_LIT("anthropic-beta"), betas};
    }
}

enum ar_code ar_anthropic_encode_request(const struct ar_request *r, enum ar_op op,
                                         const struct ar_target *t, struct ar_arena *a,
                                         struct ar_losses *l, struct ar_encoded *ret)
{
    struct ar_anthropic_enc e = {.r = r, .t = t, .a = a, .l = l, .ret = ret, .op = op};
    ret->header_count = 0;
    ret->undo = NULL;
    ret->stops = NULL;
    e.undo = (struct ar_undo_list){.first = &ret->undo, .tail = &ret->undo, .a = a};
    e.w = ar_jw_on(ret->body);
    e.native = r->dialect == AR_DIALECT_ANTHROPIC;
    e.name_limit = t->vendor == AR_VENDOR_ANTHROPIC || e.native ? 128 : 64;
    ar_anthropic_plan(&e);
    plan_cache(&e);

    struct ar_jw *w = &e.w;
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "model", t->model);
    if (op == AR_OP_GENERATE) {
        ar_jw_key_i64(w, "max_tokens", e.max_tokens);
    }
    e.cache_seen = count_tool_marks(r);
    put_system(&e);
    ar_anthropic_put_messages(&e);
    e.cache_seen = 0;
    ar_anthropic_put_tools(&e);
    ar_anthropic_put_mcp(&e);
    ar_anthropic_put_reasoning(&e);
    put_settings(&e);
    ar_jw_close(w, '}');
    put_headers(&e);
    if (e.code == AR_OK) {
        e.code = ar_arena_finish(a);
    }
    return e.code == AR_OK ? ar_buf_finish(ret->body) : e.code;
}
