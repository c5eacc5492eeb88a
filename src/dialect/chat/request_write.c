/* The IR as a Chat Completions request for one target (PROTOCOLS 6, columns "Chat"). Deterministic:
 * nothing but the request and the target decides a byte. What the target cannot take is named
 * through ar_lose; the first refusal sticks and ends the call. Messages, parts, tools and reasoning
 * have files of their own. */
#include "dialect/chat/request_write.h"
#include "dialect/field.h"

enum { STOPS_MAX = 4, NAME_MAX_BYTES = 64 };

void ar_chat_lose(struct ar_chat_enc *e, enum ar_fate fate, enum ar_loss what, const char *field,
                  const char *why)
{
    enum ar_code c = ar_lose(e->l, fate, what, ar_dialect_field(e->r->dialect, field), why);
    e->code = e->code == AR_OK ? c : e->code;
}

static void put_num(struct ar_chat_enc *e, struct ar_str key, const struct ar_num *n)
{
    if (n->tri == AR_SET) {
        ar_jw_key_n(&e->w, key.p, key.n);
        ar_jw_raw(&e->w, n->src);
    }
}

/* A reasoning model takes the default alone, which may be left out without harm. */
static void put_sampling(struct ar_chat_enc *e, const char *name, const struct ar_num *n,
                         double standard)
{
    if (n->tri != AR_SET) {
        return;
    }
    if (!AR_CAN(e, REASONING)) {
        put_num(e, ar_str_of(name), n);
    } else if (n->d < standard || n->d > standard) {
        ar_chat_lose(e, AR_FATE_WARN, AR_DROPPED, name,
                     "the model is a reasoning model: it takes the default only");
    }
}

static void put_max_tokens(struct ar_chat_enc *e)
{
    const struct ar_int *n = &e->r->set.max_tokens;
    int64_t limit = n->i, most = e->t->max_out_tokens;
    if (n->tri != AR_SET) {
        return;
    }
    if (limit <= 0) {
        ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, "max_tokens",
                     "the upstream's dialect has no request without output");
    } else if (most > 0 && limit > most) { /* agents ask for what other models give */
        ar_chat_lose(e, AR_FATE_WARN, AR_CLAMPED, "max_tokens", "the model gives no more");
        limit = most;
    }
    if (AR_HAS(e, LEGACY_MAX_TOKENS)) {
        ar_jw_key_i64(&e->w, "max_tokens", limit);
    } else {
        ar_jw_key_i64(&e->w, "max_completion_tokens", limit);
    }
}

static void put_limits(struct ar_chat_enc *e)
{
    const struct ar_settings *s = &e->r->set;
    struct ar_jw *w = &e->w;
    put_max_tokens(e);
    put_sampling(e, "temperature", &s->temperature, 1);
    put_sampling(e, "top_p", &s->top_p, 1);
    put_sampling(e, "frequency_penalty", &s->freq_penalty, 0);
    put_sampling(e, "presence_penalty", &s->pres_penalty, 0);
    if (s->top_k.tri == AR_SET && e->r->dialect == AR_DIALECT_CHAT) {
        put_num(e, AR_LIT("top_k"),
                &s->top_k); /* the client asked in this dialect, so its upstream knows it */
    } else if (s->top_k.tri == AR_SET) {
        ar_chat_lose(e, AR_FATE_WARN, AR_DROPPED, "top_k", "the upstream's dialect has no top_k");
    }
    if (s->seed.tri == AR_SET) {
        ar_jw_key_i64(w, "seed", s->seed.i);
    }
    if (s->n.tri == AR_SET) {
        if (s->n.i > 1 && e->t->stream && e->r->dialect != AR_DIALECT_CHAT) {
            ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, "n",
                         "several answers are not streamed to a client of another dialect");
        }
        ar_jw_key_i64(w, "n", s->n.i);
    }
    if (s->logit_bias.p) {
        ar_jw_key_raw(w, "logit_bias", s->logit_bias);
    }
    if (s->logprobs && AR_CAN(e, REASONING)) {
        ar_chat_lose(e, AR_FATE_WARN, AR_DROPPED, "logprobs",
                     "the model is a reasoning model: it has none");
    } else if (s->logprobs) {
        ar_jw_key_bool(w, "logprobs", true);
        if (s->top_logprobs.tri == AR_SET) {
            ar_jw_key_i64(w, "top_logprobs", s->top_logprobs.i);
        }
    }
}

/* Four stop strings are sent, the rest is cut out of the answer by the undo filter; a reasoning
 * model takes none. */
static void put_stops(struct ar_chat_enc *e)
{
    unsigned room = AR_CAN(e, REASONING) ? 0 : STOPS_MAX, n = 0;
    struct ar_name **left = &e->ret->stops;
    for (const struct ar_name *s = e->r->set.stop; s; s = s->next) {
        if (s->s.n == 0) {
            continue;
        }
        if (n < room) {
            if (n++ == 0) {
                ar_jw_key(&e->w, "stop");
                ar_jw_open(&e->w, '[');
            }
            ar_jw_esc(&e->w, s->s);
        } else {
            ar_name_new(e->a, s->s, &left);
        }
    }
    if (n) {
        ar_jw_close(&e->w, ']');
    }
    if (e->ret->stops) { /* exact, so it refuses nothing */
        ar_note(e->l, AR_EMULATED,
                ar_dialect_field(e->r->dialect, ar_chat_field(e, "stop", "stop_sequences")));
    }
}

static void put_format(struct ar_chat_enc *e)
{
    const struct ar_settings *s = &e->r->set;
    struct ar_jw *w = &e->w;
    if (s->format == AR_FORMAT_UNSET) {
        return;
    }
    ar_jw_key(w, "response_format");
    ar_jw_open(w, '{');
    if (s->format == AR_FORMAT_TEXT) {
        ar_jw_key_lit(w, "type", "text");
    } else if (s->format == AR_FORMAT_JSON || AR_HAS(e, NO_JSON_SCHEMA)) {
        ar_jw_key_lit(w, "type",
                      "json_object"); /* the schema is in a system line: message_write.c */
    } else {
        bool strict =
            s->schema_strict == AR_SET ? s->schema_strict_on : e->r->dialect != AR_DIALECT_CHAT;
        if (strict && e->r->dialect == AR_DIALECT_ANTHROPIC &&
            !ar_schema_fits_strict(s->schema, e->a)) {
            ar_chat_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "output_config", AR_NOT_STRICT);
            strict = false;
        }
        ar_jw_key_lit(w, "type", "json_schema");
        ar_jw_key(w, "json_schema");
        ar_jw_open(w, '{');
        ar_jw_key_text(w, "name", s->schema_name.n ? s->schema_name : AR_LIT("response"));
        if (s->schema_description.p) {
            ar_jw_key_esc(w, "description", s->schema_description);
        }
        ar_jw_key_raw(w, "schema", s->schema);
        if (strict || s->schema_strict == AR_SET) {
            ar_jw_key_bool(w, "strict", strict);
        }
        ar_jw_close(w, '}');
    }
    ar_jw_close(w, '}');
}

static void put_service(struct ar_chat_enc *e)
{
    const struct ar_settings *s = &e->r->set;
    bool is_chat = e->r->dialect == AR_DIALECT_CHAT;
    bool is_openai = e->t->vendor == AR_VENDOR_OPENAI;
    if (s->service_tier.n && is_chat) {
        ar_jw_key_text(&e->w, "service_tier", s->service_tier);
    } else if (is_openai && ar_str_is_lit(s->service_tier, "standard_only")) {
        ar_jw_key_lit(&e->w, "service_tier", "default");
    } else if (is_openai && (ar_str_is_lit(s->service_tier, "auto") ||
                             ar_str_is_lit(s->service_tier, "default") ||
                             ar_str_is_lit(s->service_tier, "flex") ||
                             ar_str_is_lit(s->service_tier, "priority"))) {
        ar_jw_key_text(&e->w, "service_tier", s->service_tier);
    }
    if (ar_str_is_lit(s->speed, "fast")) {
        ar_chat_lose(e, AR_FATE_WARN, AR_DROPPED, "speed", "the upstream has no fast mode");
    }
    if (s->verbosity.n) {
        ar_jw_key_text(&e->w, "verbosity", s->verbosity);
    }
    if (s->cache_key.n && (is_chat || is_openai)) {
        ar_jw_key_text(&e->w, "prompt_cache_key", s->cache_key);
    }
    ar_put_user(&e->w, e->r->set.user_id, e->t);
}

/* Fields of this dialect that the IR has no name for go back verbatim; those of others meet their
 * fate. */
static void put_extensions(struct ar_chat_enc *e)
{
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        if (x->from == AR_DIALECT_CHAT) {
            ar_jw_text(&e->w, x->name);
            ar_buf_char(e->w.out, ':');
            e->w.comma = false;
            ar_jw_raw(&e->w, x->raw);
        } else if (x->fate != AR_FATE_SILENT) {
            struct ar_str name = ar_arena_copy(e->a, x->name);
            ar_chat_lose(e, x->fate, AR_DROPPED, name.p ? name.p : "",
                         "the upstream's dialect has no such field");
        }
    }
}

static void put_stream(struct ar_chat_enc *e)
{
    if (!e->t->stream) {
        return;
    }
    ar_jw_key_bool(&e->w, "stream", true);
    if (!AR_HAS(e, NO_STREAM_OPTIONS)) {
        ar_jw_key(&e->w, "stream_options");
        ar_jw_open(&e->w, '{');
        ar_jw_key_bool(&e->w, "include_usage", true);
        ar_jw_close(&e->w, '}');
    }
}

enum ar_code ar_chat_encode_request(const struct ar_request *r, enum ar_op op,
                                    const struct ar_target *t, struct ar_arena *a,
                                    struct ar_losses *l, struct ar_encoded *ret)
{
    struct ar_chat_enc e = {.w = ar_jw_on(ret->body), .r = r, .t = t, .a = a, .l = l, .ret = ret};
    (void)op; /* the dialect has no counting: it is never asked */
    ret->header_count = 0;
    ret->undo = NULL;
    ret->stops = NULL;
    e.undo = (struct ar_undo_list){
        .first = &ret->undo, .tail = &ret->undo, .a = a, .name_max = NAME_MAX_BYTES};
    ar_jw_open(&e.w, '{');
    ar_jw_key_text(&e.w, "model", t->model);
    ar_chat_put_messages(&e);
    ar_chat_put_tools(&e);
    put_limits(&e);
    put_stops(&e);
    put_format(&e);
    ar_chat_put_reasoning(&e);
    put_service(&e);
    put_extensions(&e);
    put_stream(&e);
    ar_jw_close(&e.w, '}');
    if (e.code != AR_OK) {
        return e.code;
    }
    enum ar_code c = ar_buf_finish(ret->body);
    return c != AR_OK ? c : ar_arena_finish(a);
}
