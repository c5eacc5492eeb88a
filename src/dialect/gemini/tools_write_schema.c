/* JSON Schema -> Gemini's Schema, the cleaned-up subset for places that know no JSON Schema
 * (PROTOCOLS 4.5, 6.3): local references inlined, oneOf as anyOf, allOf merged, const as enum, null
 * in a type list as nullable, types in upper case, the rest dropped. Depth is limited, so a schema
 * that refers to itself ends in a plain object. Owns nothing. */
#include "dialect/gemini/request_write.h"

enum { REFS_MAX = 8, DEPTH_MAX = 48 };

struct conv {
    struct ar_jw w;
    struct ar_arena *a;
    struct ar_jval root;
    unsigned refs, depth;
    size_t left; /* nodes that may still be written: references multiply */
    bool lossy;
};

static void put_schema(struct conv *c, struct ar_jval v);

/* --- references --- */

/* "#/$defs/x" -> the value; absent when it is not local or leads nowhere. */
static struct ar_jval resolve(struct conv *c, struct ar_str ref)
{
    struct ar_str rest = ref, piece;
    struct ar_jval at = c->root;
    if (!ar_str_split(&rest, '/', &piece) || !ar_str_is_lit(piece, "#")) {
        return (struct ar_jval){0};
    }
    while (ar_str_split(&rest, '/', &piece)) {
        struct ar_str key = piece;
        char *p = ar_arena_alloc(c->a, piece.n + 1);
        if (p && ar_str_find_char(piece, '~') < piece.n) { /* ~0 is ~, ~1 is / */
            size_t n = 0;
            for (size_t i = 0; i < piece.n; i++) {
                bool escape = piece.p[i] == '~' && i + 1 < piece.n;
                p[n++] = !escape ? piece.p[i] : piece.p[i + 1] == '1' ? '/' : '~';
                i += escape;
            }
            key = ar_str_n(p, n);
        }
        at = ar_json_get(at, key);
    }
    return at;
}

/* --- members --- */

static bool is_word(struct ar_str key, const struct ar_str *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ar_str_is(key, words[i])) {
            return true;
        }
    }
    return false;
}

/* Copied as they are. */
static const struct ar_str KEPT[] = {
    AR_LIT_INIT("title"),           AR_LIT_INIT("description"),   AR_LIT_INIT("default"),
    AR_LIT_INIT("minItems"),        AR_LIT_INIT("maxItems"),      AR_LIT_INIT("required"),
    AR_LIT_INIT("minimum"),         AR_LIT_INIT("maximum"),       AR_LIT_INIT("minLength"),
    AR_LIT_INIT("maxLength"),       AR_LIT_INIT("minProperties"), AR_LIT_INIT("maxProperties"),
    AR_LIT_INIT("pattern"),         AR_LIT_INIT("example"),       AR_LIT_INIT("nullable"),
    AR_LIT_INIT("propertyOrdering")};
/* int64 in the wire's schema: strings (PROTOCOLS 4.5). */
static const struct ar_str COUNTS[] = {AR_LIT_INIT("minItems"),      AR_LIT_INIT("maxItems"),
                                       AR_LIT_INIT("minLength"),     AR_LIT_INIT("maxLength"),
                                       AR_LIT_INIT("minProperties"), AR_LIT_INIT("maxProperties")};
/* Dropped, and what is allowed gets wider by it. */
static const struct ar_str NARROWING[] = {AR_LIT_INIT("additionalProperties"),
                                          AR_LIT_INIT("patternProperties"),
                                          AR_LIT_INIT("exclusiveMinimum"),
                                          AR_LIT_INIT("exclusiveMaximum"),
                                          AR_LIT_INIT("multipleOf"),
                                          AR_LIT_INIT("not"),
                                          AR_LIT_INIT("if"),
                                          AR_LIT_INIT("then"),
                                          AR_LIT_INIT("else"),
                                          AR_LIT_INIT("uniqueItems"),
                                          AR_LIT_INIT("contains"),
                                          AR_LIT_INIT("dependentRequired"),
                                          AR_LIT_INIT("propertyNames"),
                                          AR_LIT_INIT("prefixItems")};
#define HAS_WORD(key, list) is_word((key), (list), sizeof(list) / sizeof *(list))

static void put_type_name(struct conv *c, struct ar_str name)
{
    static const struct {
        struct ar_str from, to;
    } TYPES[] = {
        {AR_LIT_INIT("object"), AR_LIT_INIT("OBJECT")},
        {AR_LIT_INIT("array"), AR_LIT_INIT("ARRAY")},
        {AR_LIT_INIT("string"), AR_LIT_INIT("STRING")},
        {AR_LIT_INIT("integer"), AR_LIT_INIT("INTEGER")},
        {AR_LIT_INIT("number"), AR_LIT_INIT("NUMBER")},
        {AR_LIT_INIT("boolean"), AR_LIT_INIT("BOOLEAN")},
        {AR_LIT_INIT("null"), AR_LIT_INIT("NULL")},
    };
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        if (ar_str_is_nocase(name, TYPES[i].from)) {
            ar_jw_key_esc(&c->w, "type", TYPES[i].to);
            return;
        }
    }
}

/* A list of types: null is nullable; several others are alternatives. */
static void put_types(struct conv *c, struct ar_jval list)
{
    unsigned others = 0;
    bool null = false;
    struct ar_str last = {NULL, 0};
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        struct ar_str t = ar_json_esc(it.val);
        if (ar_str_is_lit(t, "null")) {
            null = true;
        } else {
            last = t;
            others++;
        }
    }
    if (others == 1) {
        put_type_name(c, last);
    } else if (others > 1) {
        ar_jw_key(&c->w, "anyOf");
        ar_jw_open(&c->w, '[');
        for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
            if (!ar_str_is_lit(ar_json_esc(it.val), "null")) {
                ar_jw_open(&c->w, '{');
                put_type_name(c, ar_json_esc(it.val));
                ar_jw_close(&c->w, '}');
            }
        }
        ar_jw_close(&c->w, ']');
    } else if (null) {
        put_type_name(c, AR_LIT("null"));
    }
    if (null && others > 0) {
        ar_jw_key_bool(&c->w, "nullable", true);
    }
}

/* true: it is null, and nothing was written. */
static bool put_word(struct conv *c, struct ar_jval v)
{
    if (ar_json_is(v, AR_J_STRING)) {
        ar_jw_raw(&c->w, ar_json_raw(v));
    } else if (!ar_json_is(v, AR_J_NULL)) {
        ar_jw_text(&c->w, ar_json_raw(v));
    }
    return ar_json_is(v, AR_J_NULL);
}

/* Values of an enum are strings on this wire; null in it is nullable. */
static void put_enum(struct conv *c, struct ar_jval list, bool is_typed)
{
    bool null = false;
    if (!is_typed) {
        put_type_name(c, AR_LIT("string"));
    }
    ar_jw_key(&c->w, "enum");
    ar_jw_open(&c->w, '[');
    if (!ar_json_is(list, AR_J_ARRAY)) { /* const */
        null = put_word(c, list);
    }
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        null = put_word(c, it.val) || null;
    }
    ar_jw_close(&c->w, ']');
    if (null) {
        ar_jw_key_bool(&c->w, "nullable", true);
    }
}

static void put_properties(struct conv *c, struct ar_jval v)
{
    ar_jw_key(&c->w, "properties");
    ar_jw_open(&c->w, '{');
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        ar_jw_key_dec(&c->w, it.key);
        put_schema(c, it.val);
    }
    ar_jw_close(&c->w, '}');
}

static void put_alternatives(struct conv *c, struct ar_jval list)
{
    bool null = false;
    ar_jw_key(&c->w, "anyOf");
    ar_jw_open(&c->w, '[');
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        if (ar_str_is_lit(ar_json_esc(ar_json_get_lit(it.val, "type")), "null")) {
            null = true;
        } else {
            put_schema(c, it.val);
        }
    }
    ar_jw_close(&c->w, ']');
    if (null) {
        ar_jw_key_bool(&c->w, "nullable", true);
    }
}

static bool is_known_format(struct ar_str f)
{
    static const struct ar_str FORMATS[] = {AR_LIT_INIT("enum"),  AR_LIT_INIT("date-time"),
                                            AR_LIT_INIT("float"), AR_LIT_INIT("double"),
                                            AR_LIT_INIT("int32"), AR_LIT_INIT("int64")};
    return HAS_WORD(f, FORMATS);
}

static void put_member(struct conv *c, struct ar_str key, struct ar_jval v, bool is_typed)
{
    if (ar_str_is_lit(key, "type")) {
        if (ar_json_is(v, AR_J_ARRAY)) {
            put_types(c, v);
        } else {
            put_type_name(c, ar_json_esc(v));
        }
    } else if (ar_str_is_lit(key, "properties") && ar_json_is(v, AR_J_OBJECT)) {
        put_properties(c, v);
    } else if (ar_str_is_lit(key, "items") && ar_json_is(v, AR_J_OBJECT)) {
        ar_jw_key(&c->w, "items");
        put_schema(c, v);
    } else if ((ar_str_is_lit(key, "anyOf") || ar_str_is_lit(key, "oneOf")) &&
               ar_json_is(v, AR_J_ARRAY)) {
        put_alternatives(c, v);
    } else if (ar_str_is_lit(key, "enum") || ar_str_is_lit(key, "const")) {
        put_enum(c, v, is_typed);
    } else if (ar_str_is_lit(key, "format")) {
        if (is_known_format(ar_json_esc(v))) {
            ar_jw_key_raw(&c->w, "format", ar_json_raw(v));
        }
    } else if (HAS_WORD(key, COUNTS) && ar_json_is(v, AR_J_NUMBER)) {
        ar_jw_key_dec(&c->w, key);
        ar_jw_text(&c->w, ar_json_raw(v));
    } else if (HAS_WORD(key, KEPT)) {
        ar_jw_key_dec(&c->w, key);
        ar_jw_raw(&c->w, ar_json_raw(v));
    } else if (HAS_WORD(key, NARROWING) && !ar_json_is(v, AR_J_TRUE)) {
        c->lossy =
            c->lossy || !ar_str_is_lit(key, "additionalProperties") || ar_json_is(v, AR_J_OBJECT);
    }
}

/* Members of v, and of what its allOf and $ref name, that the ones before it lack. */
enum { LAYERS_MAX = 16 };
struct layers {
    struct ar_jval v[LAYERS_MAX];
    unsigned n;
};

static void gather(struct conv *c, struct ar_jval v, struct layers *ls)
{
    struct ar_jval ref = ar_json_get_lit(v, "$ref");
    if (ls->n >= LAYERS_MAX || !ar_json_is(v, AR_J_OBJECT)) {
        return;
    }
    for (unsigned i = 0; i < ls->n; i++) {
        if (ar_json_raw(ls->v[i]).p == ar_json_raw(v).p) { /* it refers to itself */
            return;
        }
    }
    ls->v[ls->n++] = v;
    if (ar_json_is(ref, AR_J_STRING)) {
        struct ar_str name = ar_json_unescape_in(ar_json_esc(ref), c->a);
        gather(c, resolve(c, name), ls);
    }
    for (struct ar_jiter it = ar_json_iter(ar_json_get_lit(v, "allOf")); ar_json_next(&it);) {
        gather(c, it.val, ls);
    }
}

static bool is_said_before(const struct layers *ls, unsigned layer, struct ar_str key)
{
    for (unsigned i = 0; i < layer; i++) {
        if (ar_json_get(ls->v[i], key).doc) {
            return true;
        }
    }
    return false;
}

/* An earlier layer has a property of that name. */
static bool is_property_before(const struct layers *ls, unsigned layer, struct ar_str name)
{
    for (unsigned i = 0; i < layer; i++) {
        if (ar_json_get(ar_json_get_lit(ls->v[i], "properties"), name).doc) {
            return true;
        }
    }
    return false;
}

/* properties and required of several layers are joined. */
static void put_joined(struct conv *c, const struct layers *ls, struct ar_str key)
{
    bool object = ar_str_is_lit(key, "properties");
    ar_jw_key_dec(&c->w, key);
    ar_jw_open(&c->w, object ? '{' : '[');
    for (unsigned i = 0; i < ls->n; i++) {
        for (struct ar_jiter it = ar_json_iter(ar_json_get(ls->v[i], key)); ar_json_next(&it);) {
            if (object && !is_property_before(ls, i, it.key)) {
                ar_jw_key_dec(&c->w, it.key);
                put_schema(c, it.val);
            } else if (!object) {
                ar_jw_raw(&c->w, ar_json_raw(it.val));
            }
        }
    }
    ar_jw_close(&c->w, object ? '}' : ']');
}

static void put_layers(struct conv *c, const struct layers *ls)
{
    bool is_typed = false;
    for (unsigned i = 0; i < ls->n; i++) {
        is_typed = is_typed || ar_json_get_lit(ls->v[i], "type").doc;
    }
    for (unsigned i = 0; i < ls->n; i++) {
        for (struct ar_jiter it = ar_json_iter(ls->v[i]); ar_json_next(&it);) {
            bool joins = ls->n > 1 &&
                         (ar_str_is_lit(it.key, "properties") || ar_str_is_lit(it.key, "required"));
            if (is_said_before(ls, i, it.key)) {
                continue;
            }
            if (joins) {
                put_joined(c, ls, it.key);
            } else {
                put_member(c, it.key, it.val, is_typed);
            }
        }
    }
}

static void put_schema(struct conv *c, struct ar_jval v)
{
    struct layers ls = {.n = 0};
    bool ref = ar_json_is(ar_json_get_lit(v, "$ref"), AR_J_STRING);
    if (c->depth >= DEPTH_MAX || (ref && c->refs >= REFS_MAX) || c->left == 0) {
        ar_jw_raw(&c->w, AR_LIT("{\"type\":\"OBJECT\"}"));
        c->lossy = true;
        return;
    }
    c->left--;
    gather(c, v, &ls);
    c->refs += ref;
    c->depth++;
    ar_jw_open(&c->w, '{');
    put_layers(c, &ls);
    ar_jw_close(&c->w, '}');
    c->depth--;
    c->refs -= ref;
}

struct ar_str ar_gemini_subset_schema(struct ar_str schema, struct ar_arena *a, bool *ret_lossy)
{
    struct ar_jdoc doc;
    struct ar_buf out;
    if (ar_json_parse(schema, AR_JSON_DEPTH, a, &doc, NULL) != AR_OK) {
        return AR_LIT("{\"type\":\"OBJECT\"}");
    }
    ar_buf_init(&out, a->max_bytes);
    struct conv c = {.w = ar_jw_on(&out), .a = a, .root = ar_json_root(&doc), .left = 20000};
    put_schema(&c, c.root);
    struct ar_str text = ar_buf_finish(&out) == AR_OK ? ar_arena_copy(a, ar_buf_view(&out))
                                                      : (struct ar_str){NULL, 0};
    ar_buf_done(&out);
    *ret_lossy = c.lossy;
    return text.p ? text : AR_LIT("{\"type\":\"OBJECT\"}");
}
