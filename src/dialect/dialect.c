/*
 * The table of dialects, and what the native path may change in a body. An edit replaces a span of
 * the client's bytes; nothing is written anew, so all that the gateway does not know reaches the
 * upstream as it came.
 */
#include "dialect/dialect.h"

#include "json/scan.h"
#include "json/write.h"

static const struct ar_dialect *const ROWS[] = {
#define X(id, ops, doc) [AR_DIALECT_##id] = &(ops),
#include "dialect/dialects.def"
#undef X
};

/* Other spellings. */
static const struct {
    const char *name;
    unsigned id;
} ALIASES[] = {
    {"openai", AR_DIALECT_CHAT},        {"chat_completions", AR_DIALECT_CHAT},
    {"messages", AR_DIALECT_ANTHROPIC}, {"openai_responses", AR_DIALECT_RESPONSES},
    {"google", AR_DIALECT_GEMINI},      {"generate_content", AR_DIALECT_GEMINI},
};

const struct ar_dialect *ar_dialect_by_id(unsigned id)
{
    return id < AR_DIALECT_COUNT ? ROWS[id] : NULL;
}

const struct ar_dialect *ar_dialect_by_name(struct ar_str name)
{
    for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
        if (ar_str_is(name, ar_str_of(ROWS[i]->name))) {
            return ROWS[i];
        }
    }
    for (size_t i = 0; i < sizeof ALIASES / sizeof ALIASES[0]; i++) {
        if (ar_str_is(name, ar_str_of(ALIASES[i].name))) {
            return ROWS[ALIASES[i].id];
        }
    }
    return NULL;
}

struct edits {
    struct ar_edit *e;
    unsigned n;
};

/* Kept sorted by place; of two at one place the insertion is first. */
static void add(struct edits *s, size_t at, size_t del, struct ar_str put)
{
    AR_ASSERT(s->n < AR_EDITS_MAX);
    if (!put.p) {
        return; /* the arena is full, and says so */
    }
    unsigned i = s->n++;
    while (i > 0 && (s->e[i - 1].at > at || (s->e[i - 1].at == at && s->e[i - 1].del > del))) {
        s->e[i] = s->e[i - 1];
        i--;
    }
    s->e[i] = (struct ar_edit){at, del, put};
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Widens or narrows the removal [at, end) until exactly one of the commas around it goes with it.
 */
static void settle_commas(struct ar_str body, size_t *at, size_t *end)
{
    size_t before = *at, after = *end;
    while (before > 0 && is_space(body.p[before - 1])) {
        before--;
    }
    while (after < body.n && is_space(body.p[after])) {
        after++;
    }
    char left = before > 0 ? body.p[before - 1] : '{', right = after < body.n ? body.p[after] : '}';
    if (right == ',' && (left == '{' || left == ',')) {
        *end = after + 1;
    } else if (left == ',' && right == '}') {
        *at = before - 1;
    }
}

static void remove_wishes(struct edits *s, struct ar_str body, const struct ar_outline *o)
{
    struct ar_span a = o->provider_at, b = o->models_at;
    if (a.n > 0 && b.n > 0 && b.at < a.at) {
        struct ar_span swap = a;
        a = b;
        b = swap;
    }
    if (a.n > 0 && b.n > 0 && b.at <= a.at + a.n) { /* they touch or share a comma: one removal */
        a.n = b.at + b.n - a.at;
        b.n = 0;
    }
    const struct ar_span both[] = {a, b};
    for (unsigned i = 0; i < 2; i++) {
        size_t at = both[i].at, end = at + both[i].n;
        if (both[i].n > 0) {
            settle_commas(body, &at, &end);
            add(s, at, end - at, (struct ar_str){"", 0});
        }
    }
}

/* The client's stream_options with include_usage on. */
static struct ar_str with_usage(struct ar_str old, struct ar_arena *a)
{
    struct ar_jdoc doc;
    struct ar_buf out;
    ar_buf_init(&out, a->max_bytes);
    struct ar_jw w = ar_jw_on(&out);
    ar_jw_open(&w, '{');
    ar_jw_key_bool(&w, "include_usage", true);
    if (old.n > 0 && ar_json_parse(old, 1, a, &doc, NULL) == AR_OK) {
        struct ar_jiter it = ar_json_iter(ar_json_root(&doc));
        while (ar_json_next(&it)) {
            if (!ar_str_is_lit(it.key, "include_usage")) {
                ar_jw_key_dec(&w, it.key);
                ar_jw_raw(&w, ar_json_raw(it.val));
            }
        }
    }
    ar_jw_close(&w, '}');
    struct ar_str text = ar_arena_copy(a, ar_buf_view(&out));
    ar_buf_done(&out);
    return text;
}

static void ask_usage(struct edits *s, struct ar_str body, const struct ar_outline *o,
                      struct ar_arena *a)
{
    struct ar_span at = o->stream_options_at;
    struct ar_str value = with_usage(ar_str_n(body.p + at.at, at.n), a);
    if (at.n > 0) {
        add(s, at.at, at.n, value);
    } else if (value.p) {
        add(s, o->brace_at, 0,
            ar_arena_fmt(a, "\"stream_options\":%.*s%s", AR_FMT(value), o->is_empty ? "" : ","));
    }
}

static void force_whole(struct edits *s, const struct ar_outline *o)
{
    if (o->stream && o->stream_at.n > 0) {
        add(s, o->stream_at.at, o->stream_at.n, AR_LIT("false"));
    }
    if (o->stream_options_at.n > 0) { /* refused without stream */
        add(s, o->stream_options_at.at, o->stream_options_at.n, AR_LIT("null"));
    }
}

unsigned ar_native_edits(struct ar_str body, const struct ar_outline *o,
                         const struct ar_edit_wish *w, struct ar_arena *a,
                         struct ar_edit ret[AR_EDITS_MAX])
{
    struct edits s = {ret, 0};
    if (w->model.n > 0 && o->model_at.n > 0 && !ar_str_is(w->model, o->model)) {
        struct ar_str esc = ar_json_escape_in(w->model, a);
        add(&s, o->model_at.at, o->model_at.n, ar_arena_fmt(a, "\"%.*s\"", AR_FMT(esc)));
    }
    if (!w->keep_wishes) {
        remove_wishes(&s, body, o);
    }
    if (w->force_whole) {
        force_whole(&s, o);
    } else if (w->ask_usage && o->stream && !o->include_usage) {
        ask_usage(&s, body, o, a);
    }
    return s.n;
}

unsigned ar_edits_apply(struct ar_str body, const struct ar_edit *e, unsigned n,
                        struct ar_str ret[2 * AR_EDITS_MAX + 1])
{
    unsigned count = 0;
    size_t at = 0;
    AR_ASSERT(n <= AR_EDITS_MAX);
    for (unsigned i = 0; i < n; i++) {
        AR_ASSERT(e[i].at >= at && e[i].at + e[i].del <= body.n);
        if (e[i].at > at) {
            ret[count++] = ar_str_n(body.p + at, e[i].at - at);
        }
        if (e[i].put.n > 0) {
            ret[count++] = e[i].put;
        }
        at = e[i].at + e[i].del;
    }
    if (at < body.n) {
        ret[count++] = ar_str_from(body, at);
    }
    return count;
}
