/*
 * What a path asks for: the endpoint table, prefixes and doubled versions, whose errors a path
 * gets, and the model and verb that Gemini's paths hold. Pure but for the flow's fields that are
 * read out of the path. Owns nothing.
 */
#include "flow/flow.h"
#include "flow/paths.h"

#include "base/id.h"
#include "http/sse.h"
#include "http/url.h"

static const struct ar_endpoint ENDPOINTS[] = {
#define X(row_methods, row_path, row_vendor, row_dialect, row_op, row_doc)                         \
    {.methods = row_methods,                                                                       \
     .path = row_path,                                                                             \
     .vendor_methods = row_vendor,                                                                 \
     .dialect = AR_DIALECT_##row_dialect,                                                          \
     .op = AR_OP_##row_op,                                                                         \
     .doc = row_doc},
#include "flow/endpoints.def"
#undef X
    {.methods = NULL}};

/* /api and /gateway reach the same routes; a doubled /v1 is one. */
struct ar_str ar_path_normal(struct ar_str path)
{
    static const struct ar_str OURS[] = {AR_LIT_INIT("/api/"), AR_LIT_INIT("/gateway/")};
    for (unsigned i = 0; i < 2; i++) {
        if (ar_str_has_prefix(path, OURS[i])) {
            path = ar_str_from(path, OURS[i].n - 1);
            break;
        }
    }
    while (ar_str_has_prefix(path, AR_LIT("/v1/v1/"))) {
        path = ar_str_from(path, 3);
    }
    if (path.n > 1 && path.p[path.n - 1] == '/') {
        path.n--;
    }
    return path;
}

/* "." or ".." is a segment, escaped or not: a place that resolves it would serve another path than
 * the one that was checked here. */
bool ar_path_climbs(struct ar_str path, struct ar_arena *a)
{
    struct ar_str plain = ar_percent_decode(path, a);
    size_t from = 0;
    for (size_t i = 0; i <= plain.n; i++) {
        if (i == plain.n || plain.p[i] == '/' || plain.p[i] == '\\') {
            struct ar_str segment = ar_str_n(plain.p + from, i - from);
            if (ar_str_is_lit(segment, ".") || ar_str_is_lit(segment, "..")) {
                return true;
            }
            from = i + 1;
        }
    }
    return false;
}

/* Whose errors a path gets, whatever becomes of it. */
static const struct {
    struct ar_str prefix;
    unsigned dialect;
} PREFIXES[] = {
    {AR_LIT_INIT("/v1/messages"), AR_DIALECT_ANTHROPIC},
    {AR_LIT_INIT("/v1/responses"), AR_DIALECT_RESPONSES},
    {AR_LIT_INIT("/v1/conversations"), AR_DIALECT_RESPONSES},
    {AR_LIT_INIT("/v1beta/"), AR_DIALECT_GEMINI},
    {AR_LIT_INIT("/v1alpha/"), AR_DIALECT_GEMINI},
};

const struct ar_dialect *ar_path_dialect(struct ar_str path)
{
    for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++) {
        if (ar_str_has_prefix(path, PREFIXES[i].prefix)) {
            return ar_dialect_by_id(PREFIXES[i].dialect);
        }
    }
    return &ar_dialect_chat;
}

bool ar_path_is_api(struct ar_str path)
{
    return ar_str_has_prefix(path, AR_LIT("/v1/")) ||
           ar_path_dialect(path) == ar_dialect_by_id(AR_DIALECT_GEMINI);
}

bool ar_method_is_in(const char *list, struct ar_str method)
{
    struct ar_str rest = ar_str_of(list), one;
    while (rest.n > 0 && ar_str_split(&rest, ',', &one)) {
        if (ar_str_is(one, method)) {
            return true;
        }
    }
    return false;
}

static bool path_fits(const char *pattern, struct ar_str path)
{
    struct ar_str p = ar_str_of(pattern);
    return p.n > 0 && p.p[p.n - 1] == '*'
               ? ar_str_has_prefix(path, ar_str_head(p, p.n - 1)) && path.n >= p.n
               : ar_str_is(path, p);
}

/* First row of the path; *ret_method: one of them takes the method. */
static const struct ar_endpoint *find(const struct ar_endpoint *rows, struct ar_str path,
                                      struct ar_str method, bool *ret_method)
{
    const struct ar_endpoint *found = NULL;
    *ret_method = false;
    for (; rows->methods; rows++) {
        if (path_fits(rows->path, path)) {
            found = rows;
            if (ar_method_is_in(rows->methods, method)) {
                *ret_method = true;
                return rows;
            }
        }
    }
    return found;
}

const struct ar_endpoint *ar_path_find(const struct ar_endpoint *local, struct ar_str path,
                                       struct ar_str method, bool *ret_takes)
{
    bool takes;
    const struct ar_endpoint *own = find(ENDPOINTS, path, method, ret_takes);
    if (own && *ret_takes) {
        return own;
    }
    const struct ar_endpoint *e = find(local, path, method, &takes);
    *ret_takes = takes;
    return e && (takes || !own) ? e : own;
}

/* What stands behind the colon of a Gemini path (PROTOCOLS 4.1). */
static const struct verb {
    struct ar_str name;
    enum ar_op op;
    bool stream;
    enum ar_embed_form embed;
} VERBS[] = {
    {AR_LIT_INIT("generateContent"), AR_OP_GENERATE, false, AR_EMBED_NONE},
    {AR_LIT_INIT("streamGenerateContent"), AR_OP_GENERATE, true, AR_EMBED_NONE},
    {AR_LIT_INIT("countTokens"), AR_OP_COUNT, false, AR_EMBED_NONE},
    {AR_LIT_INIT("embedContent"), AR_OP_PASS, false, AR_EMBED_GEMINI},
    {AR_LIT_INIT("batchEmbedContents"), AR_OP_PASS, false, AR_EMBED_GEMINI_BATCH},
};

static bool set_embed(struct ar_flow *f, enum ar_embed_form form)
{
    f->embed = ar_arena_new(&f->arena, struct ar_embed);
    if (f->embed) {
        f->embed->client = form;
        f->embed->model = f->path_model;
    }
    return f->embed != NULL;
}

/* {model}:{verb} behind "/models/". */
static bool read_verb(struct ar_flow *f)
{
    struct ar_str path = f->path, mark = AR_LIT("/models/");
    size_t at = ar_str_find(path, mark), colon = path.n;
    while (colon > at && path.p[colon - 1] != ':') {
        colon--;
    }
    if (at == path.n || colon <= at + mark.n) {
        return false;
    }
    struct ar_str verb = ar_str_from(path, colon);
    struct ar_str model = ar_str_n(path.p + at + mark.n, colon - 1 - at - mark.n);
    for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++) {
        if (ar_str_is(verb, VERBS[i].name)) {
            bool events = ar_str_is_lit(ar_query_get(f->head->query, AR_LIT("alt")), "sse");
            f->op = VERBS[i].op;
            f->path_model = ar_percent_decode(model, &f->arena);
            f->path_stream = VERBS[i].stream;
            f->framing = f->path_stream && !events ? &ar_framing_json_array : &ar_framing_sse_crlf;
            return VERBS[i].embed == AR_EMBED_NONE || set_embed(f, VERBS[i].embed);
        }
    }
    return false;
}

bool ar_path_asks(struct ar_flow *f)
{
    if (f->dialect == ar_dialect_by_id(AR_DIALECT_GEMINI)) {
        return read_verb(f);
    }
    return f->op != AR_OP_PASS || set_embed(f, AR_EMBED_OPENAI);
}
