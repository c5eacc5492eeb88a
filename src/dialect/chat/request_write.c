/* The IR as a Chat Completions request for one target (PROTOCOLS 6, columns "Chat"). Deterministic:
 * nothing but the request and the target decides a byte. What the target cannot take is named
 * through ar_lose; the first refusal sticks and ends the call. Messages, parts, tools and reasoning
 * have files of their own. */
#include "dialect/chat/request_write.h"
#include "dialect/field.h"

#include "base/hash.h"

enum { STOPS_MAX = 4, USER_MAX = 64 };

void ar_chat_lose(struct ar_chat_enc *o, enum ar_fate fate, enum ar_loss what, const char *field,
                  const char *why)
{
    enum ar_code c = ar_lose(o->l, fate, what, ar_dialect_field(o->r->dialect, field), why);
    o->code = o->code == AR_OK ? c : o->code;
}

static void write_num(struct ar_chat_enc *o, struct ar_str key, const struct ar_num *n)
{
    if (n->tri == AR_SET) {
        ar_jw_key_n(&o->w, key.p, key.n);
        ar_jw_raw(&o->w, n->src);
    }
}

/* A reasoning model takes the default alone, which may be left out without harm. */
static void write_sampling(struct ar_chat_enc *o, const char *name, const struct ar_num *n,
                           double standard)
{
    if (n->tri != AR_SET) {
        return;
    }
    if (!ar_chat_can(o, AR_CAP(REASONING))) {
        write_num(o, ar_str_of(name), n);
    } else if (n->d < standard || n->d > standard) {
        ar_chat_lose(o, AR_FATE_WARN, AR_DROPPED, name,
                     "the model is a reasoning model: it takes the default only");
    }
}

static void write_limits(struct ar_chat_enc *o)
{
    const struct ar_settings *s = &o->r->set;
    struct ar_jw *w = &o->w;
    if (s->max_tokens.tri == AR_SET && s->max_tokens.i <= 0) {
        ar_chat_lose(o, AR_FATE_REJECT, AR_DROPPED, "max_tokens",
                     "the upstream's dialect has no request without output");
    } else if (s->max_tokens.tri == AR_SET && ar_chat_has(o, AR_QUIRK(LEGACY_MAX_TOKENS))) {
        ar_jw_key_i64(w, "max_tokens", s->max_tokens.i);
    } else if (s->max_tokens.tri == AR_SET) {
        ar_jw_key_i64(w, "max_completion_tokens", s->max_tokens.i);
    }
    write_sampling(o, "temperature", &s->temperature, 1);
    write_sampling(o, "top_p", &s->top_p, 1);
    write_sampling(o, "frequency_penalty", &s->freq_penalty, 0);
    write_sampling(o, "presence_penalty", &s->pres_penalty, 0);
    if (s->top_k.tri == AR_SET && o->r->dialect == AR_DIALECT_CHAT) {
        write_num(o, AR_LIT("top_k"),
                  &s->top_k); /* the client asked in this dialect, so its upstream knows it */
    } else if (s->top_k.tri == AR_SET) {
        ar_chat_lose(o, AR_FATE_WARN, AR_DROPPED, "top_k", "the upstream's dialect has no top_k");
    }
    if (s->seed.tri == AR_SET) {
        ar_jw_key_i64(w, "seed", s->seed.i);
    }
    if (s->n.tri == AR_SET) {
        ar_jw_key_i64(w, "n", s->n.i);
    }
    if (s->logit_bias.p) {
        ar_jw_key_raw(w, "logit_bias", s->logit_bias);
    }
    if (s->logprobs) {
        ar_jw_key_bool(w, "logprobs", true);
        if (s->top_logprobs.tri == AR_SET) {
            ar_jw_key_i64(w, "top_logprobs", s->top_logprobs.i);
        }
    }
}

/* Four stop strings are sent, the rest is cut out of the answer by the undo filter; a reasoning
 * model takes none. */
static void write_stops(struct ar_chat_enc *o)
{
    unsigned room = ar_chat_can(o, AR_CAP(REASONING)) ? 0 : STOPS_MAX, n = 0;
    struct ar_name **left = &o->ret->stops;
    for (const struct ar_name *s = o->r->set.stop; s; s = s->next) {
        if (s->s.n == 0) {
            continue;
        }
        if (n < room) {
            if (n++ == 0) {
                ar_jw_key(&o->w, "stop");
                ar_jw_open(&o->w, '[');
            }
            ar_jw_esc(&o->w, s->s);
        } else {
            ar_name_new(o->a, s->s, &left);
        }
    }
    if (n) {
        ar_jw_close(&o->w, ']');
    }
    if (o->ret->stops) { /* exact, so it refuses nothing */
        ar_note(o->l, AR_EMULATED,
                ar_dialect_field(o->r->dialect, ar_chat_field(o, "stop", "stop_sequences")));
    }
}

static void write_format(struct ar_chat_enc *o)
{
    const struct ar_settings *s = &o->r->set;
    struct ar_jw *w = &o->w;
    if (s->format == AR_FORMAT_UNSET) {
        return;
    }
    ar_jw_key(w, "response_format");
    ar_jw_open(w, '{');
    if (s->format == AR_FORMAT_TEXT) {
        ar_jw_key_lit(w, "type", "text");
    } else if (s->format == AR_FORMAT_JSON || ar_chat_has(o, AR_QUIRK(NO_JSON_SCHEMA))) {
        ar_jw_key_lit(w, "type",
                      "json_object"); /* the schema is in a system line: message_write.c */
    } else {
        bool strict =
            s->schema_strict == AR_SET ? s->schema_strict_on : o->r->dialect != AR_DIALECT_CHAT;
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

/* An id over 64 bytes is hashed: the vendor refuses it, and Claude Code's tells account and device.
 */
static void write_user(struct ar_chat_enc *o)
{
    struct ar_str id = o->r->set.user_id;
    char hex[65];
    if (!id.p) {
        return;
    }
    if (id.n > USER_MAX) {
        ar_sha256_hex(id, 64, hex);
        id = ar_str_n(hex, 64);
    }
    if (o->t->vendor == AR_VENDOR_OPENAI) {
        ar_jw_key_text(&o->w, "safety_identifier", id);
    } else {
        ar_jw_key_text(&o->w, "user", id);
    }
}

static void write_service(struct ar_chat_enc *o)
{
    const struct ar_settings *s = &o->r->set;
    bool is_chat = o->r->dialect == AR_DIALECT_CHAT;
    bool is_openai = o->t->vendor == AR_VENDOR_OPENAI;
    if (s->service_tier.n && is_chat) {
        ar_jw_key_text(&o->w, "service_tier", s->service_tier);
    } else if (is_openai && ar_str_is_lit(s->service_tier, "standard_only")) {
        ar_jw_key_lit(&o->w, "service_tier", "default");
    } else if (is_openai && (ar_str_is_lit(s->service_tier, "auto") ||
                             ar_str_is_lit(s->service_tier, "default") ||
                             ar_str_is_lit(s->service_tier, "flex") ||
                             ar_str_is_lit(s->service_tier, "priority"))) {
        ar_jw_key_text(&o->w, "service_tier", s->service_tier);
    }
    if (ar_str_is_lit(s->speed, "fast")) {
        ar_chat_lose(o, AR_FATE_WARN, AR_DROPPED, "speed", "the upstream has no fast mode");
    }
    if (s->verbosity.n) {
        ar_jw_key_text(&o->w, "verbosity", s->verbosity);
    }
    if (s->cache_key.n && (is_chat || is_openai)) {
        ar_jw_key_text(&o->w, "prompt_cache_key", s->cache_key);
    }
    write_user(o);
}

/* Fields of this dialect that the IR has no name for go back verbatim; those of others meet their
 * fate. */
static void write_extensions(struct ar_chat_enc *o)
{
    for (const struct ar_ext *e = o->r->ext; e; e = e->next) {
        if (e->from == AR_DIALECT_CHAT) {
            ar_jw_text(&o->w, e->name);
            ar_buf_char(o->w.out, ':');
            o->w.comma = false;
            ar_jw_raw(&o->w, e->raw);
        } else if (e->fate != AR_FATE_SILENT) {
            struct ar_str name = ar_arena_copy(o->a, e->name);
            ar_chat_lose(o, e->fate, AR_DROPPED, name.p ? name.p : "",
                         "the upstream's dialect has no such field");
        }
    }
}

static void write_stream(struct ar_chat_enc *o)
{
    if (!o->t->stream) {
        return;
    }
    ar_jw_key_bool(&o->w, "stream", true);
    if (!ar_chat_has(o, AR_QUIRK(NO_STREAM_OPTIONS))) {
        ar_jw_key(&o->w, "stream_options");
        ar_jw_open(&o->w, '{');
        ar_jw_key_bool(&o->w, "include_usage", true);
        ar_jw_close(&o->w, '}');
    }
}

enum ar_code ar_chat_encode_request(const struct ar_request *r, enum ar_op op,
                                    const struct ar_target *t, struct ar_arena *a,
                                    struct ar_losses *l, struct ar_encoded *ret)
{
    struct ar_chat_enc o = {.w = ar_jw_on(ret->body), .r = r, .t = t, .a = a, .l = l, .ret = ret};
    (void)op; /* the dialect has no counting: it is never asked */
    ret->header_count = 0;
    ret->undo = NULL;
    ret->stops = NULL;
    o.undo_tail = &ret->undo;
    ar_jw_open(&o.w, '{');
    ar_jw_key_text(&o.w, "model", t->model);
    ar_chat_put_messages(&o);
    ar_chat_put_tools(&o);
    write_limits(&o);
    write_stops(&o);
    write_format(&o);
    ar_chat_put_reasoning(&o);
    write_service(&o);
    write_extensions(&o);
    write_stream(&o);
    ar_jw_close(&o.w, '}');
    if (o.code != AR_OK) {
        return o.code;
    }
    enum ar_code c = ar_buf_finish(ret->body);
    return c != AR_OK ? c : ar_arena_finish(a);
}
