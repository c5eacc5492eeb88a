/* Gemini's Schema, a subset of OpenAPI's, -> JSON Schema, which every other dialect speaks
 * (PROTOCOLS 4.5): types in lower case, nullable as a type of its own, limits that travel as
 * strings as numbers, example as examples. What only Gemini knows (propertyOrdering) goes: the
 * order of properties is kept as it is. Everything else is copied verbatim, so a JSON Schema that a
 * client sends here comes out as it was. Owns nothing; depth is bounded by the scanner. */
#include "dialect/gemini/request_read.h"

enum keyword {
    K_TYPE,
    K_NULLABLE,
    K_ENUM,
    K_LIMIT, /* a number, maybe as a string */
    K_ONE,   /* a schema */
    K_LIST,  /* schemas */
    K_MAP,   /* schemas by name */
    K_EXAMPLE,
    K_DROP,
    K_COPY
};
static const struct {
    struct ar_str name;
    enum keyword what;
} keywords[] = {
    {AR_LIT_INIT("type"), K_TYPE},           {AR_LIT_INIT("nullable"), K_NULLABLE},
    {AR_LIT_INIT("enum"), K_ENUM},           {AR_LIT_INIT("properties"), K_MAP},
    {AR_LIT_INIT("items"), K_ONE},           {AR_LIT_INIT("anyOf"), K_LIST},
    {AR_LIT_INIT("oneOf"), K_LIST},          {AR_LIT_INIT("allOf"), K_LIST},
    {AR_LIT_INIT("prefixItems"), K_LIST},    {AR_LIT_INIT("minItems"), K_LIMIT},
    {AR_LIT_INIT("maxItems"), K_LIMIT},      {AR_LIT_INIT("minLength"), K_LIMIT},
    {AR_LIT_INIT("maxLength"), K_LIMIT},     {AR_LIT_INIT("minProperties"), K_LIMIT},
    {AR_LIT_INIT("maxProperties"), K_LIMIT}, {AR_LIT_INIT("minimum"), K_LIMIT},
    {AR_LIT_INIT("maximum"), K_LIMIT},       {AR_LIT_INIT("additionalProperties"), K_ONE},
    {AR_LIT_INIT("$defs"), K_MAP},           {AR_LIT_INIT("definitions"), K_MAP},
    {AR_LIT_INIT("example"), K_EXAMPLE},     {AR_LIT_INIT("propertyOrdering"), K_DROP},
};
enum { KEYWORDS = sizeof(keywords) / sizeof(keywords[0]) };

static const char *const types[] = {
    "TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", NULL};
static const struct ar_str lower_types[] = {
    AR_LIT_INIT(""),        AR_LIT_INIT("string"), AR_LIT_INIT("number"), AR_LIT_INIT("integer"),
    AR_LIT_INIT("boolean"), AR_LIT_INIT("array"),  AR_LIT_INIT("object"), AR_LIT_INIT("null"),
};

static void put_schema(struct ar_jw *w, struct ar_jval v);

static unsigned find(struct ar_str key)
{
    unsigned i = 0;
    while (i < KEYWORDS && !ar_gemini_key_is(key, keywords[i].name)) {
        i++;
    }
    return i;
}

static void put_type(struct ar_jw *w, struct ar_jval v, bool nullable)
{
    int i = ar_gemini_enum(v, "", types);
    if (i == 0) {
        return;
    }
    ar_jw_key(w, "type");
    if (i < 0) {
        ar_jw_raw(w, ar_json_raw(v));
    } else if (nullable && i != 7) {
        ar_jw_open(w, '[');
        ar_jw_esc(w, lower_types[i]);
        ar_jw_lit(w, "null");
        ar_jw_close(w, ']');
    } else {
        ar_jw_esc(w, lower_types[i]);
    }
}

/* null is one of the values then, or no value would be. */
static void put_enum(struct ar_jw *w, struct ar_jval v, bool nullable)
{
    ar_jw_open(w, '[');
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        nullable = nullable && !ar_json_is(it.val, AR_J_NULL);
        ar_jw_raw(w, ar_json_raw(it.val));
    }
    if (nullable) {
        ar_jw_null(w);
    }
    ar_jw_close(w, ']');
}

static size_t skip_digits(struct ar_str s, size_t i)
{
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') {
        i++;
    }
    return i;
}

/* Is the text a plain number as JSON spells it? */
static bool is_number(struct ar_str s)
{
    size_t first = s.n > 0 && s.p[0] == '-', at = skip_digits(s, first);
    if (at == first || (s.p[first] == '0' && at > first + 1)) {
        return false;
    }
    if (at < s.n && s.p[at] == '.') {
        size_t end = skip_digits(s, at + 1);
        at = end > at + 1 ? end : at;
    }
    return at == s.n;
}

static void put_limit(struct ar_jw *w, struct ar_jval v)
{
    struct ar_str s = ar_json_esc(v);
    ar_jw_raw(w, s.p && is_number(s) ? s : ar_json_raw(v));
}

static void put_list(struct ar_jw *w, struct ar_jval v)
{
    ar_jw_open(w, '[');
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        put_schema(w, it.val);
    }
    ar_jw_close(w, ']');
}

static void put_map(struct ar_jw *w, struct ar_jval v)
{
    ar_jw_open(w, '{');
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        ar_jw_key_dec(w, it.key);
        put_schema(w, it.val);
    }
    ar_jw_close(w, '}');
}

static void put_keyword(struct ar_jw *w, const struct ar_jiter *it, bool nullable)
{
    unsigned i = find(it->key);
    enum keyword what = i < KEYWORDS ? keywords[i].what : K_COPY;
    if (what == K_TYPE) {
        put_type(w, it->val, nullable);
        return;
    }
    if (what == K_DROP || what == K_NULLABLE) {
        return;
    }
    ar_jw_key_dec(w, what == K_EXAMPLE ? AR_LIT("examples")
                     : i < KEYWORDS    ? keywords[i].name
                                       : it->key);
    if (what == K_EXAMPLE) {
        ar_jw_open(w, '[');
        ar_jw_raw(w, ar_json_raw(it->val));
        ar_jw_close(w, ']');
    } else if (what == K_ENUM && ar_json_is(it->val, AR_J_ARRAY)) {
        put_enum(w, it->val, nullable);
    } else if (what == K_LIMIT) {
        put_limit(w, it->val);
    } else if (what == K_LIST && ar_json_is(it->val, AR_J_ARRAY)) {
        put_list(w, it->val);
    } else if (what == K_MAP && ar_json_is(it->val, AR_J_OBJECT)) {
        put_map(w, it->val);
    } else if (what == K_ONE) {
        put_schema(w, it->val);
    } else {
        ar_jw_raw(w, ar_json_raw(it->val));
    }
}

static void put_schema(struct ar_jw *w, struct ar_jval v)
{
    if (!ar_json_is(v, AR_J_OBJECT)) {
        ar_jw_raw(w, ar_json_raw(v));
        return;
    }
    bool nullable = ar_json_is(ar_json_get_lit(v, "nullable"), AR_J_TRUE);
    ar_jw_open(w, '{');
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        put_keyword(w, &it, nullable);
    }
    ar_jw_close(w, '}');
}

struct ar_str ar_gemini_read_schema(struct ar_arena *a, struct ar_jval v)
{
    struct ar_buf out;
    ar_buf_init(&out, a->max_bytes);
    struct ar_jw w = ar_jw_on(&out);
    put_schema(&w, v);
    struct ar_str s = {NULL, 0};
    if (ar_buf_finish(&out) == AR_OK) {
        s = ar_arena_copy(a, ar_buf_view(&out));
    } else {
        a->overflowed = true;
    }
    ar_buf_done(&out);
    return s;
}
