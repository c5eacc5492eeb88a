/*
 * Embeddings, both ways. Numbers are copied as they are spelled; only base64, which OpenAI's own
 * clients ask for, makes floats of them. Token numbers as input are OpenAI's alone and refused
 * elsewhere; hints that only Gemini knows (taskType, title) are dropped with a warning. Owns
 * nothing.
 */
#include "dialect/embed.h"

#include "base/id.h"
#include "json/write.h"

const char *ar_embed_path(enum ar_embed_form f)
{
    switch (f) {
    case AR_EMBED_OPENAI:
        return "/v1/embeddings";
    case AR_EMBED_GEMINI:
        return "/v1beta/models/{model}:embedContent";
    case AR_EMBED_GEMINI_BATCH:
        return "/v1beta/models/{model}:batchEmbedContents";
    case AR_EMBED_NONE:
        break;
    }
    return NULL;
}

/* What is asked, whoever asks. */
struct ask {
    struct ar_name *texts, **tail; /* esc */
    struct ar_jval dimensions;
    struct ar_losses *l;
    struct ar_arena *a;
    struct ar_err *err;
    size_t bytes;
    uint32_t count;
};

static void add_text(struct ask *k, struct ar_str esc)
{
    ar_name_new(k->a, esc, &k->tail);
    k->bytes += esc.n;
    k->count++;
}

/* OpenAI's input: a text, or a list of them. */
static enum ar_code read_input(struct ask *k, struct ar_jval input)
{
    struct ar_jiter it = ar_json_iter(input);
    if (ar_json_is(input, AR_J_STRING)) {
        add_text(k, ar_json_esc(input));
        return AR_OK;
    }
    if (!ar_json_is(input, AR_J_ARRAY) || ar_json_count(input) == 0) {
        return ar_json_wrong(input, "a string or a list of strings", k->err);
    }
    while (ar_json_next(&it)) {
        if (!ar_json_is(it.val, AR_J_STRING)) {
            ar_json_path(it.val, k->err->at, sizeof k->err->at);
            return ar_fail(k->err, AR_LOSSY, "token numbers go only to places of OpenAI's dialect");
        }
        add_text(k, ar_json_esc(it.val));
    }
    return AR_OK;
}

static enum ar_code read_openai(struct ask *k, struct ar_jval root, struct ar_embed *e)
{
    struct ar_jval format = ar_json_get_lit(root, "encoding_format");
    e->base64 = ar_str_is_lit(ar_json_esc(format), "base64");
    k->dimensions = ar_json_get_lit(root, "dimensions");
    return read_input(k, ar_json_get_lit(root, "input"));
}

/* The text parts of a Content, joined. */
static enum ar_code read_content(struct ask *k, struct ar_jval content)
{
    struct ar_jiter it = ar_json_iter(ar_json_get_lit(content, "parts"));
    struct ar_buf text;
    bool some = false;
    ar_buf_init(&text, k->a->max_bytes);
    while (ar_json_next(&it)) {
        struct ar_jval t = ar_json_get_lit(it.val, "text");
        if (!ar_json_is(t, AR_J_STRING)) {
            ar_buf_done(&text);
            ar_json_path(it.val, k->err->at, sizeof k->err->at);
            return ar_fail(k->err, AR_LOSSY, "only text goes to places of OpenAI's dialect");
        }
        ar_buf_str(&text, ar_json_esc(t));
        some = true;
    }
    if (some) {
        add_text(k, ar_arena_copy(k->a, ar_buf_view(&text)));
    }
    ar_buf_done(&text);
    return some ? AR_OK : ar_json_wrong(content, "a content with parts", k->err);
}

static enum ar_code read_gemini(struct ask *k, struct ar_jval ask)
{
    static const char *const HINTS[] = {"taskType", "title"};
    for (size_t i = 0; i < sizeof HINTS / sizeof *HINTS; i++) {
        if (!ar_json_is_nil(ar_json_get(ask, ar_str_of(HINTS[i])))) {
            enum ar_code c = ar_lose(k->l, AR_FATE_WARN, AR_DROPPED, HINTS[i],
                                     "OpenAI's embeddings take no such hint");
            if (c != AR_OK) {
                return ar_fail(k->err, c, "%s", k->l->why);
            }
        }
    }
    struct ar_jval n = ar_json_get_lit(ask, "outputDimensionality");
    k->dimensions = n.doc ? n : k->dimensions;
    return read_content(k, ar_json_get_lit(ask, "content"));
}

static enum ar_code read_ask(struct ask *k, struct ar_jval root, struct ar_embed *e)
{
    if (e->client == AR_EMBED_OPENAI) {
        return read_openai(k, root, e);
    }
    if (e->client == AR_EMBED_GEMINI) {
        return read_gemini(k, root);
    }
    struct ar_jiter it = ar_json_iter(ar_json_get_lit(root, "requests"));
    enum ar_code c = AR_OK;
    while (c == AR_OK && ar_json_next(&it)) {
        c = read_gemini(k, it.val);
    }
    return c == AR_OK && !k->texts ? ar_fail(k->err, AR_INVALID_REQUEST, "requests: is empty") : c;
}

static void put_openai(const struct ask *k, struct ar_str model, struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "model", model);
    ar_jw_key(&w, "input");
    ar_jw_open(&w, '[');
    for (const struct ar_name *t = k->texts; t; t = t->next) {
        ar_jw_esc(&w, t->s);
    }
    ar_jw_close(&w, ']');
    ar_jw_key_lit(&w, "encoding_format", "float");
    if (!ar_json_is_nil(k->dimensions)) {
        ar_jw_key_raw(&w, "dimensions", ar_json_raw(k->dimensions));
    }
    ar_jw_close(&w, '}');
}

static void put_gemini(const struct ask *k, struct ar_str model, struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    struct ar_str name = ar_arena_join(k->a, AR_LIT("models/"), model);
    ar_jw_open(&w, '{');
    ar_jw_key(&w, "requests");
    ar_jw_open(&w, '[');
    for (const struct ar_name *t = k->texts; t; t = t->next) {
        ar_jw_open(&w, '{');
        ar_jw_key_text(&w, "model", name);
        ar_jw_key(&w, "content");
        ar_jw_open(&w, '{');
        ar_jw_key(&w, "parts");
        ar_jw_open(&w, '[');
        ar_jw_open(&w, '{');
        ar_jw_key_esc(&w, "text", t->s);
        ar_jw_close(&w, '}');
        ar_jw_close(&w, ']');
        ar_jw_close(&w, '}');
        if (!ar_json_is_nil(k->dimensions)) {
            ar_jw_key_raw(&w, "outputDimensionality", ar_json_raw(k->dimensions));
        }
        ar_jw_close(&w, '}');
    }
    ar_jw_close(&w, ']');
    ar_jw_close(&w, '}');
}

enum ar_code ar_embed_request(struct ar_embed *e, struct ar_str body, struct ar_str model,
                              struct ar_arena *a, struct ar_losses *l, struct ar_buf *out,
                              struct ar_err *err)
{
    struct ar_jdoc doc;
    enum ar_code c = ar_json_parse(body, AR_JSON_DEPTH, a, &doc, err);
    if (c != AR_OK) {
        return c;
    }
    if (!ar_json_is(ar_json_root(&doc), AR_J_OBJECT)) {
        return ar_fail(err, AR_INVALID_REQUEST, "the body must be a JSON object");
    }
    struct ask k = {.l = l, .a = a, .err = err};
    k.tail = &k.texts;
    c = read_ask(&k, ar_json_root(&doc), e);
    if (c != AR_OK) {
        return c;
    }
    e->text_bytes = k.bytes;
    e->count = k.count;
    if (e->upstream == AR_EMBED_OPENAI) {
        put_openai(&k, model, out);
    } else {
        put_gemini(&k, model, out);
    }
    c = ar_buf_finish(out) == AR_OK ? ar_arena_finish(a) : AR_TOO_LARGE;
    return c == AR_OK ? c : ar_fail(err, c, "the request needs too much memory");
}

/* --- answers --- */

/* A vector a text: one less, and all behind it would be taken for their neighbours'. */
static bool is_full(const struct ar_embed *e, struct ar_jval vectors)
{
    return ar_json_is(vectors, AR_J_ARRAY) && (e->count == 0 || ar_json_count(vectors) == e->count);
}

int64_t ar_embed_tokens(struct ar_str body, struct ar_arena *a)
{
    struct ar_jdoc doc;
    int64_t n = -1;
    if (ar_json_parse(body, 3, a, &doc, NULL) != AR_OK) {
        return -1;
    }
    struct ar_jval root = ar_json_root(&doc);
    struct ar_jval v = ar_json_get_lit(ar_json_get_lit(root, "usage"), "prompt_tokens");
    if (!v.doc) {
        v = ar_json_get_lit(ar_json_get_lit(root, "usageMetadata"), "promptTokenCount");
    }
    return v.doc && ar_json_i64(v, &n, NULL) == AR_OK && n >= 0 ? n : -1;
}

/* Numbers as base64 of 32-bit floats, least significant byte first. */
static enum ar_code put_base64(struct ar_jval vector, struct ar_buf *out)
{
    struct ar_jiter it = ar_json_iter(vector);
    struct ar_buf bytes;
    enum ar_code c = AR_OK;
    ar_buf_init(&bytes, out->max);
    while (c == AR_OK && ar_json_next(&it)) {
        double d;
        c = ar_json_double(it.val, &d, NULL);
        float f = c == AR_OK ? (float)d : 0;
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        for (unsigned i = 0; i < 4; i++) {
            ar_buf_char(&bytes, (char)(u >> (8 * i)));
        }
    }
    ar_buf_char(out, '"');
    ar_b64_put(out, ar_buf_view(&bytes));
    ar_buf_char(out, '"');
    ar_buf_done(&bytes);
    return c;
}

static enum ar_code put_list(const struct ar_embed *e, struct ar_jval vectors, int64_t tokens,
                             struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    struct ar_jiter it = ar_json_iter(vectors);
    enum ar_code c = AR_OK;
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "object", "list");
    ar_jw_key(&w, "data");
    ar_jw_open(&w, '[');
    for (int64_t i = 0; c == AR_OK && ar_json_next(&it); i++) {
        struct ar_jval values = ar_json_get_lit(it.val, "values");
        if (!ar_json_is(values, AR_J_ARRAY)) {
            return AR_UPSTREAM_ERROR;
        }
        ar_jw_open(&w, '{');
        ar_jw_key_lit(&w, "object", "embedding");
        ar_jw_key_i64(&w, "index", i);
        ar_jw_key(&w, "embedding");
        if (e->base64) {
            c = put_base64(values, out);
            w.comma = true;
        } else {
            ar_jw_raw(&w, ar_json_raw(values));
        }
        ar_jw_close(&w, '}');
    }
    ar_jw_close(&w, ']');
    ar_jw_key_text(&w, "model", e->model);
    ar_jw_key(&w, "usage");
    ar_jw_open(&w, '{');
    ar_jw_key_i64(&w, "prompt_tokens", tokens);
    ar_jw_key_i64(&w, "total_tokens", tokens);
    ar_jw_close(&w, '}');
    ar_jw_close(&w, '}');
    return c == AR_OK ? ar_buf_finish(out) : AR_UPSTREAM_ERROR;
}

/* OpenAI's list as Gemini's one vector or several. */
static enum ar_code put_vectors(const struct ar_embed *e, struct ar_jval data, struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    struct ar_jiter it = ar_json_iter(data);
    bool one = e->client == AR_EMBED_GEMINI;
    if (!is_full(e, data) || (one && ar_json_count(data) != 1)) {
        return AR_UPSTREAM_ERROR;
    }
    ar_jw_open(&w, '{');
    if (one) {
        ar_jw_key(&w, "embedding");
    } else {
        ar_jw_key(&w, "embeddings");
        ar_jw_open(&w, '[');
    }
    while (ar_json_next(&it)) {
        struct ar_jval v = ar_json_get_lit(it.val, "embedding");
        if (!ar_json_is(v, AR_J_ARRAY)) {
            return AR_UPSTREAM_ERROR;
        }
        ar_jw_open(&w, '{');
        ar_jw_key_raw(&w, "values", ar_json_raw(v));
        ar_jw_close(&w, '}');
    }
    if (!one) {
        ar_jw_close(&w, ']');
    }
    ar_jw_close(&w, '}');
    return ar_buf_finish(out);
}

enum ar_code ar_embed_answer(const struct ar_embed *e, struct ar_str body, struct ar_arena *a,
                             struct ar_buf *out)
{
    struct ar_jdoc doc;
    if (ar_json_parse(body, AR_JSON_DEPTH, a, &doc, NULL) != AR_OK) {
        return AR_UPSTREAM_ERROR;
    }
    struct ar_jval root = ar_json_root(&doc);
    if (e->upstream == AR_EMBED_OPENAI) {
        return put_vectors(e, ar_json_get_lit(root, "data"), out);
    }
    int64_t tokens = ar_embed_tokens(body, a);
    struct ar_jval vectors = ar_json_get_lit(root, "embeddings");
    if (!is_full(e, vectors)) {
        return AR_UPSTREAM_ERROR;
    }
    return put_list(e, vectors, tokens >= 0 ? tokens : (int64_t)(e->text_bytes / 4 + 1), out);
}
