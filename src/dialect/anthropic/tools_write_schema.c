/* JSON Schemas for Anthropic's strict outputs (PROTOCOLS 6.3): every object closed by
 * additionalProperties false, and the keywords that are not supported moved into the description,
 * where the model still reads them. Everything else goes over verbatim and in order. Owns nothing:
 * the result is on the arena. */
#include "dialect/anthropic/request_write.h"

/* Numeric limits that strict output refuses. minItems 0 and 1 are fine. */
static const struct ar_str limits[] = {
    AR_LIT_INIT("minimum"),          AR_LIT_INIT("maximum"),    AR_LIT_INIT("exclusiveMinimum"),
    AR_LIT_INIT("exclusiveMaximum"), AR_LIT_INIT("multipleOf"), AR_LIT_INIT("minLength"),
    AR_LIT_INIT("maxLength"),        AR_LIT_INIT("minItems"),   AR_LIT_INIT("maxItems"),
};

static bool is_limit(struct ar_str key, struct ar_jval v)
{
    bool found = false;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        found = found || ar_str_is(key, limits[i]);
    }
    struct ar_str raw = ar_json_raw(v);
    bool few =
        ar_str_is_lit(key, "minItems") && (ar_str_is_lit(raw, "0") || ar_str_is_lit(raw, "1"));
    return found && !few && ar_json_is(v, AR_J_NUMBER);
}

static void fix(struct ar_jw *w, struct ar_jval v, struct ar_arena *a);

/* A map of schemas: properties, $defs. */
static void fix_map(struct ar_jw *w, struct ar_jval v, struct ar_arena *a)
{
    ar_jw_open(w, '{');
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        ar_jw_key_dec(w, it.key);
        fix(w, it.val, a);
    }
    ar_jw_close(w, '}');
}

static void fix_list(struct ar_jw *w, struct ar_jval v, struct ar_arena *a)
{
    ar_jw_open(w, '[');
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        fix(w, it.val, a);
    }
    ar_jw_close(w, ']');
}

static void fix_member(struct ar_jw *w, struct ar_str key, struct ar_jval v, struct ar_arena *a)
{
    bool is_map = ar_str_is_lit(key, "properties") || ar_str_is_lit(key, "$defs") ||
                  ar_str_is_lit(key, "definitions");
    if (is_map && ar_json_is(v, AR_J_OBJECT)) {
        fix_map(w, v, a);
    } else if (ar_str_is_lit(key, "items") && ar_json_is(v, AR_J_OBJECT)) {
        fix(w, v, a);
    } else if ((ar_str_is_lit(key, "anyOf") || ar_str_is_lit(key, "oneOf") ||
                ar_str_is_lit(key, "allOf") || ar_str_is_lit(key, "prefixItems")) &&
               ar_json_is(v, AR_J_ARRAY)) {
        fix_list(w, v, a);
    } else {
        ar_jw_raw(w, ar_json_raw(v));
    }
}

/* "description" with the limits that were taken out: {minimum: 1, maximum: 9}. */
static void put_description(struct ar_jw *w, struct ar_jval v)
{
    struct ar_str text = ar_json_esc(ar_json_get_lit(v, "description"));
    bool any = false;
    ar_jw_key(w, "description");
    ar_jw_raw(w, AR_LIT("\""));
    ar_buf_str(w->out, text);
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        if (is_limit(it.key, it.val)) {
            ar_buf_str(w->out, any ? AR_LIT(", ") : text.n > 0 ? AR_LIT(" {") : AR_LIT("{"));
            ar_json_escape(it.key, w->out);
            ar_buf_lit(w->out, ": ");
            ar_json_escape(ar_json_raw(it.val), w->out);
            any = true;
        }
    }
    ar_buf_str(w->out, any ? AR_LIT("}\"") : AR_LIT("\""));
}

static void fix(struct ar_jw *w, struct ar_jval v, struct ar_arena *a)
{
    if (!ar_json_is(v, AR_J_OBJECT)) {
        ar_jw_raw(w, ar_json_raw(v));
        return;
    }
    bool is_object = ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "type")), "object") ||
                     ar_json_is(ar_json_get_lit(v, "properties"), AR_J_OBJECT);
    bool limited = false, described = false;
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        limited = limited || is_limit(it.key, it.val);
    }
    ar_jw_open(w, '{');
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        if (is_limit(it.key, it.val) ||
            (is_object && ar_str_is_lit(it.key, "additionalProperties"))) {
            continue;
        }
        if (limited && ar_str_is_lit(it.key, "description")) {
            if (!described) {
                put_description(w, v);
            }
            described = true;
            continue;
        }
        ar_jw_key_dec(w, it.key);
        fix_member(w, it.key, it.val, a);
    }
    if (limited && !described) {
        put_description(w, v);
    }
    if (is_object) {
        ar_jw_key_bool(w, "additionalProperties", false);
    }
    ar_jw_close(w, '}');
}

struct ar_str ar_anthropic_strict_schema(struct ar_str schema, struct ar_arena *a)
{
    struct ar_jdoc doc;
    struct ar_buf out;
    if (ar_json_parse(schema, AR_JSON_DEPTH, a, &doc, NULL) != AR_OK) {
        return schema;
    }
    ar_buf_init(&out, SIZE_MAX);
    struct ar_jw w = ar_jw_on(&out);
    fix(&w, ar_json_root(&doc), a);
    struct ar_str s = ar_arena_copy(a, ar_buf_view(&out));
    ar_buf_done(&out);
    return s.p ? s : schema;
}

/* --- recursion --- */

enum { STEPS_MAX = 20000 }; /* values looked at: references may multiply */

struct walk {
    struct ar_jval root;
    unsigned steps;
};
/* The references that led here. */
struct trail {
    const struct trail *up;
    struct ar_str ref;
};

static bool leads_back(struct walk *k, struct ar_jval v, const struct trail *trail);

static bool refers_back(struct walk *k, struct ar_str ref, const struct trail *trail)
{
    struct ar_str rest = ref, step;
    struct ar_jval at = k->root;
    for (const struct trail *t = trail; t; t = t->up) {
        if (ar_str_is(t->ref, ref)) {
            return true;
        }
    }
    bool more = ar_str_has_prefix(ref, AR_LIT("#")) && ar_str_split(&rest, '/', &step);
    while (more && at.doc && ar_str_split(&rest, '/', &step)) {
        at = ar_json_get(at, step);
    }
    struct trail here = {trail, ref};
    return more && at.doc && leads_back(k, at, &here);
}

/* Does v lead back to a reference of the trail? A schema too large to tell counts as one that does.
 */
static bool leads_back(struct walk *k, struct ar_jval v, const struct trail *trail)
{
    bool back = false;
    if (++k->steps > STEPS_MAX) {
        return true;
    }
    struct ar_jval ref = ar_json_get_lit(v, "$ref");
    if (ar_json_is(ref, AR_J_STRING) && refers_back(k, ar_json_esc(ref), trail)) {
        return true;
    }
    if (ar_json_is(v, AR_J_OBJECT) || ar_json_is(v, AR_J_ARRAY)) {
        for (struct ar_jiter it = ar_json_iter(v); !back && ar_json_next(&it);) {
            bool is_map = ar_str_is_lit(it.key, "$defs") || ar_str_is_lit(it.key, "definitions");
            back = !is_map && leads_back(k, it.val, trail);
        }
    }
    return back;
}

bool ar_anthropic_is_recursive_schema(struct ar_str schema, struct ar_arena *a)
{
    struct ar_jdoc doc;
    struct trail top = {NULL, AR_LIT("#")};
    if (!ar_str_has(schema, AR_LIT("\"$ref\"")) ||
        ar_json_parse(schema, AR_JSON_DEPTH, a, &doc, NULL) != AR_OK) {
        return false;
    }
    struct walk k = {.root = ar_json_root(&doc)};
    return leads_back(&k, k.root, &top);
}

bool ar_anthropic_is_object_schema(struct ar_str schema, struct ar_arena *a)
{
    struct ar_jdoc doc;
    if (ar_json_parse(schema, 1, a, &doc, NULL) != AR_OK) {
        return true;
    }
    struct ar_jval type = ar_json_get_lit(ar_json_root(&doc), "type");
    return !type.doc || ar_str_is_lit(ar_json_esc(type), "object");
}
