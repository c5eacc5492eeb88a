/*
 * A Completions request as a conversation of one user turn: the prompt. What only the endpoint
 * itself can do (text in front of a suffix, prompts of token numbers, several prompts at once) is
 * refused by name; what merely informs is a warning. Fields are a table. Owns nothing.
 */
#include "dialect/completions/completions.h"
#include "dialect/decode.h"

struct reader {
    struct ar_arena *a;
    struct ar_err *err;
    struct ar_request *r;
    struct ar_ext **ext_tail;
    struct ar_jval prompt;
};

typedef enum ar_code read_fn(struct reader *x, struct ar_jval v, size_t at);

#define SET(member) (offsetof(struct ar_request, set) + offsetof(struct ar_settings, member))

static void *place(struct reader *x, size_t at)
{
    return (char *)x->r + at;
}

static enum ar_code read_str(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_text(v, x->a, place(x, at), x->err);
}

static enum ar_code read_flag(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_flag(v, place(x, at), x->err);
}

static enum ar_code read_count(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_count(v, place(x, at), x->err);
}

static enum ar_code read_int(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_int(v, place(x, at), x->err);
}

static enum ar_code read_num(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_num(v, place(x, at), x->err);
}

static enum ar_code read_raw(struct reader *x, struct ar_jval v, size_t at)
{
    if (!ar_json_is_nil(v)) {
        *(struct ar_str *)place(x, at) = ar_json_raw(v);
    }
    return AR_OK;
}

static enum ar_code read_stop(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_stops(v, x->a, place(x, at), x->err);
}

static enum ar_code read_stream_options(struct reader *x, struct ar_jval v, size_t at)
{
    (void)at;
    x->r->set.include_usage = ar_json_is(ar_json_get_lit(v, "include_usage"), AR_J_TRUE);
    return AR_OK;
}

static enum ar_code read_prompt(struct reader *x, struct ar_jval v, size_t at)
{
    (void)at;
    x->prompt = v;
    return AR_OK;
}

static enum ar_code skip(struct reader *x, struct ar_jval v, size_t at)
{
    (void)x, (void)v, (void)at;
    return AR_OK;
}

static const struct field {
    struct ar_str name;
    read_fn *read; /* NULL: nobody else has it; its fate */
    size_t at;
    enum ar_fate fate;
} FIELDS[] = {
#define F(name, read, at)                                                                          \
    {                                                                                              \
        AR_LIT_INIT(name), read, at, AR_FATE_SILENT                                                \
    }
#define ONLY(name, fate)                                                                           \
    {                                                                                              \
        AR_LIT_INIT(name), NULL, 0, fate                                                           \
    }
    F("model", read_str, offsetof(struct ar_request, model)),
    F("prompt", read_prompt, 0),
    F("stream", read_flag, offsetof(struct ar_request, stream)),
    F("stream_options", read_stream_options, 0),
    F("max_tokens", read_count, SET(max_tokens)),
    F("temperature", read_num, SET(temperature)),
    F("top_p", read_num, SET(top_p)),
    F("frequency_penalty", read_num, SET(freq_penalty)),
    F("presence_penalty", read_num, SET(pres_penalty)),
    F("logit_bias", read_raw, SET(logit_bias)),
    F("n", read_count, SET(n)),
    F("seed", read_int, SET(seed)),
    F("stop", read_stop, SET(stop)),
    F("user", read_str, SET(user_id)),
    ONLY("suffix", AR_FATE_REJECT),
    ONLY("best_of", AR_FATE_WARN),
    ONLY("logprobs", AR_FATE_WARN),
    ONLY("echo", AR_FATE_SILENT), /* done here */
    F("provider", skip, 0),       /* the gateway's own: routing wishes */
    F("models", skip, 0),
#undef F
#undef ONLY
};

static void add_ext(struct reader *x, struct ar_str name, struct ar_jval v, enum ar_fate fate)
{
    struct ar_ext *e = ar_arena_new(x->a, struct ar_ext);
    bool says_nothing = ar_json_is_nil(v) || ar_str_is_lit(ar_json_raw(v), "\"\"");
    if (e && !says_nothing) {
        *e = (struct ar_ext){
            .from = AR_DIALECT_COMPLETIONS, .fate = fate, .name = name, .raw = ar_json_raw(v)};
        *x->ext_tail = e;
        x->ext_tail = &e->next;
    }
}

static enum ar_code read_field(struct reader *x, struct ar_str key, struct ar_jval v)
{
    struct ar_str name = ar_arena_copy(x->a, key);
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
        const struct field *f = &FIELDS[i];
        if (ar_str_is(name, f->name)) {
            if (f->read) {
                return f->read(x, v, f->at);
            }
            add_ext(x, name, v, f->fate);
            return AR_OK;
        }
    }
    add_ext(x, name, v, AR_FATE_SILENT);
    return AR_OK;
}

static enum ar_code add_prompt(struct reader *x)
{
    struct ar_jval p = x->prompt;
    if (ar_json_is(p, AR_J_ARRAY) && ar_json_count(p) == 1) {
        p = ar_json_at(p, 0);
    }
    if (!ar_json_is(p, AR_J_STRING)) {
        return ar_fail_at(
            x->err, "prompt",
            ar_json_is(p, AR_J_ARRAY)
                ? "one prompt of text is taken here: several prompts or token numbers "
                  "go only to places that have /v1/completions themselves"
                : "must be a string");
    }
    struct ar_turn **turns = &x->r->turns;
    struct ar_turn *t = ar_turn_new(x->a, AR_USER, &turns);
    struct ar_block **blocks = t ? &t->blocks : NULL;
    struct ar_block *b = t ? ar_block_new(x->a, AR_TEXT, &blocks) : NULL;
    if (b) {
        b->text = ar_json_esc(p);
        b->is_plain = true;
    }
    return AR_OK;
}

struct ar_str ar_completions_echo(const struct ar_request *r)
{
    for (const struct ar_ext *e = r ? r->ext : NULL; e; e = e->next) {
        if (e->from == AR_DIALECT_COMPLETIONS && ar_str_is_lit(e->name, "echo") &&
            ar_str_is_lit(e->raw, "true")) {
            return r->turns && r->turns->blocks ? r->turns->blocks->text : (struct ar_str){NULL, 0};
        }
    }
    return (struct ar_str){NULL, 0};
}

enum ar_code ar_completions_decode_request(struct ar_str body, const struct ar_wire_in *in,
                                           enum ar_op op, struct ar_arena *a,
                                           struct ar_request **ret, struct ar_err *err)
{
    (void)op;
    struct ar_opened o;
    enum ar_code c = ar_request_open(body, in, a, &o, err);
    if (c != AR_OK) {
        return c;
    }
    struct ar_request *r = o.r;
    r->dialect = AR_DIALECT_COMPLETIONS;
    struct reader x = {.a = a, .err = err, .r = r, .ext_tail = &r->ext};
    struct ar_jiter it = ar_json_iter(o.root);
    while (c == AR_OK && ar_json_next(&it)) {
        c = read_field(&x, it.key, it.val);
    }
    if (c == AR_OK && !r->model.p) {
        return ar_fail_at(err, "model", "you must provide a model parameter");
    }
    if (c == AR_OK) {
        c = add_prompt(&x);
    }
    if (c == AR_OK && ar_arena_finish(a) != AR_OK) {
        c = ar_request_too_large(err);
    }
    *ret = c == AR_OK ? r : NULL;
    return c;
}
