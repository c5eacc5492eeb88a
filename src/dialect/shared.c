/* What readers and writers of several dialects do alike: members of objects, failures, counts,
 * citations, whole answers as streams, the line of losses. What is particular to one wire format
 * stays in its folder. Owns nothing. */
#include "dialect/shared.h"

#include "ir/units.h"

struct ar_str ar_member_text(struct ar_arena *a, struct ar_jval obj, struct ar_str key)
{
    struct ar_jval v = ar_json_get(obj, key);
    struct ar_str s = {NULL, 0};
    if (!ar_json_is(v, AR_J_STRING) || ar_json_text(v, a, &s, NULL) != AR_OK) {
        return (struct ar_str){NULL, 0};
    }
    return s;
}

enum ar_code ar_request_too_large(struct ar_err *err)
{
    return ar_fail(err, AR_TOO_LARGE, "the request does not fit into its memory limit");
}

/* --- citations --- */

struct ar_str ar_cite_make(struct ar_arena *a, struct ar_cite c)
{
    struct ar_buf out;
    struct ar_str raw = {NULL, 0};
    if (c.url.n == 0) {
        return raw;
    }
    ar_buf_init(&out, a->max_bytes);
    struct ar_jw w = ar_jw_on(&out);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "type", "web_search_result_location");
    ar_jw_key_esc(&w, "cited_text", c.said.p ? c.said : AR_LIT(""));
    ar_jw_key_esc(&w, "url", c.url);
    ar_jw_key_esc(&w, "title", c.title.p ? c.title : AR_LIT(""));
    /* stands for the index that only the vendor of the search could give */
    ar_jw_key_lit(&w, "encrypted_index", "ar1.other.encrypted...");
    if (c.from >= 0 && c.to > c.from) {
        ar_jw_key_i64(&w, "start_index", c.from);
        ar_jw_key_i64(&w, "end_index", c.to);
    }
    ar_jw_close(&w, '}');
    raw = ar_buf_finish(&out) == AR_OK ? ar_arena_copy(a, ar_buf_view(&out)) : raw;
    ar_buf_done(&out);
    return raw;
}

static int64_t index_of(struct ar_jval v)
{
    int64_t n = -1;
    return ar_json_i64(v, &n, NULL) == AR_OK ? n : -1;
}

static struct ar_cite take_cite(struct ar_jval v)
{
    return (struct ar_cite){.url = ar_json_esc(ar_json_get_lit(v, "url")),
                            .title = ar_json_esc(ar_json_get_lit(v, "title")),
                            .from = index_of(ar_json_get_lit(v, "start_index")),
                            .to = index_of(ar_json_get_lit(v, "end_index"))};
}

struct ar_str ar_cite_of_openai(struct ar_arena *a, struct ar_jval annotation)
{
    struct ar_jval inner = ar_json_get_lit(annotation, "url_citation");
    return ar_cite_make(a, take_cite(ar_json_is(inner, AR_J_OBJECT) ? inner : annotation));
}

bool ar_cite_read(struct ar_str raw, struct ar_arena *a, struct ar_cite *ret)
{
    struct ar_jdoc doc;
    if (ar_json_parse(raw, 3, a, &doc, NULL) != AR_OK) {
        return false;
    }
    struct ar_jval root = ar_json_root(&doc), inner = ar_json_get_lit(root, "url_citation");
    *ret = take_cite(ar_json_is(inner, AR_J_OBJECT) ? inner : root);
    return ret->url.n > 0;
}

void ar_cite_place(struct ar_cite *c, int64_t from, int64_t to)
{
    bool is_within = c->from >= 0 && c->to > c->from && c->to <= to - from;
    c->to = is_within ? from + c->to : to;
    c->from = is_within ? from + c->from : from;
}

size_t ar_esc_at_char(struct ar_str esc, int64_t n)
{
    size_t i = 0;
    struct ar_unit unit;
    struct ar_str rest = esc;
    for (; n > 0 && ar_unit_next(&rest, true, &unit); n--) {
        i += unit.n;
    }
    return i;
}

struct ar_str ar_document_name(struct ar_str mime)
{
    static const struct {
        struct ar_str mime, name;
    } NAMES[] = {{AR_LIT_INIT("text/plain"), AR_LIT_INIT("document.txt")},
                 {AR_LIT_INIT("text/csv"), AR_LIT_INIT("document.csv")},
                 {AR_LIT_INIT("text/markdown"), AR_LIT_INIT("document.md")},
                 {AR_LIT_INIT("text/html"), AR_LIT_INIT("document.html")},
                 {AR_LIT_INIT("application/json"), AR_LIT_INIT("document.json")}};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (ar_str_is(mime, NAMES[i].mime)) {
            return NAMES[i].name;
        }
    }
    return AR_LIT("document.pdf");
}

bool ar_lists_server_tool(const struct ar_request *r, struct ar_str name)
{
    const struct ar_tool *t = r->tools;
    while (t && !(t->kind == AR_TOOL_SERVER && ar_str_is(t->name, name))) {
        t = t->next;
    }
    return t != NULL;
}

/* --- schemas --- */

/* Every property of an object is among the required ones: names differ, so counting does. */
static bool requires_all(struct ar_jval v)
{
    struct ar_jval props = ar_json_get_lit(v, "properties"),
                   required = ar_json_get_lit(v, "required");
    unsigned want = ar_json_is(props, AR_J_OBJECT) ? ar_json_count(props) : 0, got = 0;
    if (want > 0 && ar_json_is(required, AR_J_ARRAY)) {
        for (struct ar_jiter it = ar_json_iter(required); ar_json_next(&it);) {
            got += ar_json_get(props, ar_json_esc(it.val)).doc != NULL;
        }
    }
    return got >= want;
}

static bool fits_strict(struct ar_jval v)
{
    bool fits = true;
    if (ar_json_is(v, AR_J_OBJECT)) {
        bool is_object = ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "type")), "object");
        struct ar_jval closed = ar_json_get_lit(v, "additionalProperties");
        fits = !is_object || (ar_json_is(closed, AR_J_FALSE) && requires_all(v));
    }
    if (ar_json_is(v, AR_J_OBJECT) || ar_json_is(v, AR_J_ARRAY)) {
        for (struct ar_jiter it = ar_json_iter(v); fits && ar_json_next(&it);) {
            fits = fits_strict(it.val);
        }
    }
    return fits;
}

bool ar_schema_fits_strict(struct ar_str schema, struct ar_arena *a)
{
    struct ar_jdoc doc;
    return ar_json_parse(schema, AR_JSON_DEPTH, a, &doc, NULL) == AR_OK &&
           fits_strict(ar_json_root(&doc));
}

void ar_put_input_tokens(int64_t tokens, struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    ar_jw_key_i64(&w, "input_tokens", tokens);
    ar_jw_close(&w, '}');
}

int64_t ar_read_input_tokens(struct ar_str body, struct ar_arena *a)
{
    struct ar_jdoc doc;
    int64_t n = -1;
    if (ar_json_parse(body, 1, a, &doc, NULL) != AR_OK) {
        return -1;
    }
    struct ar_jval v = ar_json_get_lit(ar_json_root(&doc), "input_tokens");
    return ar_json_i64(v, &n, NULL) == AR_OK && n >= 0 ? n : -1;
}

enum ar_code ar_write_whole(ar_write_fn *write, struct ar_writer *w,
                            const struct ar_response *answer, struct ar_framer *out)
{
    struct ar_arena a;
    struct ar_unfold u;
    struct ar_event ev;
    enum ar_code code = AR_OK;
    ar_arena_init(&a, SIZE_MAX);
    ar_unfold_init(&u, answer, &a);
    while (code == AR_OK && ar_unfold_next(&u, &ev) && ev.kind != AR_EV_END) {
        code = write(w, &ev, out);
    }
    ar_arena_done(&a);
    return code;
}

void ar_write_losses(const struct ar_losses *losses, size_t from, struct ar_framer *out)
{
    struct ar_buf line;
    if (!losses || losses->n <= from) {
        return;
    }
    struct ar_str text = ar_str_from(ar_str_n(losses->text, losses->n), from);
    while (text.n > 0 && (text.p[0] == ',' || text.p[0] == ' ')) {
        text = ar_str_from(text, 1);
    }
    ar_buf_init(&line, sizeof losses->text + 64);
    ar_buf_lit(&line, "x-anyrouter-warnings ");
    ar_buf_str(&line, text);
    out->how->comment(out, ar_buf_view(&line));
    ar_buf_done(&line);
}
