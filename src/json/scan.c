/*
 * The scanner: one pass, no recursion, every byte looked at once. Numbers, words, structure and
 * depth are checked here as RFC 8259 says; the inside of strings is string.c's. The tape holds
 * offsets only, so a document of text costs a few nodes whatever its size. Functions take the place
 * they read at and return the place behind, NULL for a failure that the scanner has noted. Never
 * copies, never decodes, never accepts more than the RFC.
 */
#include "json/impl.h"

#include <stdlib.h>

enum { NO_NODE = UINT32_MAX, FIRST_CAP = 48, BYTES_A_NODE = 32 };

struct level {
    uint32_t node; /* NO_NODE: below keep_depth */
    uint32_t count;
    bool is_object;
};

struct scanner {
    const char *end, *base;
    struct ar_jnode *nodes;
    uint32_t count, cap;
    unsigned keep_depth, depth, deepest;
    struct ar_jnode sink;   /* of values below keep_depth */
    struct ar_arena *arena; /* one of the two owns the nodes */
    struct ar_jtape *tape;
    enum ar_code code;
    const char *why, *where; /* of the failure */
    struct level levels[AR_JSON_DEPTH];
};

static const char *fail_as(struct scanner *s, enum ar_code code, const char *where, const char *why)
{
    s->code = code;
    s->where = where;
    s->why = why;
    return NULL;
}

static const char *fail(struct scanner *s, const char *where, const char *why)
{
    return fail_as(s, AR_INVALID_REQUEST, where, why);
}

/* Room for more nodes: first what text of this length needs as a rule, then twice as much. */
static bool grow(struct scanner *s)
{
    uint32_t first = (uint32_t)((size_t)(s->end - s->base) / BYTES_A_NODE);
    uint32_t cap = s->cap > 0 ? s->cap * 2 : first > FIRST_CAP ? first : FIRST_CAP;
    struct ar_jnode *nodes;
    if (s->tape) {
        nodes = realloc(s->nodes, cap * sizeof *nodes);
        AR_ASSERT(nodes != NULL);
        s->tape->nodes = nodes;
        s->tape->cap = cap;
    } else {
        nodes = ar_arena_alloc(s->arena, cap * sizeof *nodes);
        if (!nodes) {
            (void)fail_as(s, AR_TOO_LARGE, s->base, "too many JSON values");
            return false;
        }
        if (s->count > 0) {
            memcpy(nodes, s->nodes, s->count * sizeof *nodes);
        }
    }
    s->nodes = nodes;
    s->cap = cap;
    return true;
}

/* Notes the value from at to end; false over the cap. */
static inline bool add_node(struct scanner *s, enum ar_jtype type, const char *at, const char *end,
                            unsigned flags)
{
    struct ar_jnode *n = &s->sink;
    if (s->depth <= s->keep_depth) {
        if (s->count == s->cap && !grow(s)) {
            return false;
        }
        n = &s->nodes[s->count++];
    }
    n->at = (uint32_t)(at - s->base);
    n->end = (uint32_t)(end - s->base);
    n->next = s->count;
    n->count = 0;
    n->type = (uint8_t)type;
    n->flags = (uint8_t)flags;
    return true;
}

/* A string from its opening quote, to the place after the closing one; most are short. */
static inline const char *scan_string(struct scanner *s, const char *p, unsigned *ret_flags)
{
    const char *where;
    *ret_flags = 0;
    p++;
#ifdef __SSE2__
    if (s->end - p >= 16) {
        unsigned bits = special16(p);
        p += bits != 0 ? __builtin_ctz(bits) : 16;
        if (bits != 0 && *p == '"') {
            return p + 1;
        }
    }
#endif
    p = ar_json_skip_text(p, s->end, ret_flags, &where);
    return p                 ? p + 1
           : where == s->end ? fail(s, where, "the string does not end")
                             : fail(s, where,
                                    "a string holds a control character, a broken escape or "
                                    "broken UTF-8");
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

static const char *scan_number(struct scanner *s, const char *at, unsigned *ret_flags)
{
    const char *p = at + (*at == '-'), *q = skip_digits(p, s->end);
    bool ok = q > p && (*p != '0' || q == p + 1);
    *ret_flags = 0;
    if (ok && q < s->end && *q == '.') {
        p = q + 1;
        q = skip_digits(p, s->end);
        ok = q > p;
        *ret_flags = AR_J_REAL;
    }
    if (ok && q < s->end && (*q | 0x20) == 'e') {
        p = q + 1;
        p += p < s->end && (*p == '+' || *p == '-');
        q = skip_digits(p, s->end);
        ok = q > p;
        *ret_flags = AR_J_REAL;
    }
    return ok ? q : fail(s, at, "a number is malformed");
}

static const char *scan_word(struct scanner *s, const char *p, struct ar_str word)
{
    return (size_t)(s->end - p) >= word.n && memcmp(p, word.p, word.n) == 0
               ? p + word.n
               : fail(s, p, "expected a value");
}

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && (unsigned char)*p <= ' ' &&
           (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }
    return p;
}

/* A string, number or word at `at`. */
static const char *scan_scalar(struct scanner *s, const char *at)
{
    const char *p;
    enum ar_jtype type;
    unsigned flags = 0;
    switch (*at) {
    case '"':
        type = AR_J_STRING;
        p = scan_string(s, at, &flags);
        break;
    case 't':
        type = AR_J_TRUE;
        p = scan_word(s, at, AR_LIT("true"));
        break;
    case 'f':
        type = AR_J_FALSE;
        p = scan_word(s, at, AR_LIT("false"));
        break;
    case 'n':
        type = AR_J_NULL;
        p = scan_word(s, at, AR_LIT("null"));
        break;
    default:
        if (*at != '-' && (*at < '0' || *at > '9')) {
            return fail(s, at, "expected a value");
        }
        type = AR_J_NUMBER;
        p = scan_number(s, at, &flags);
    }
    return p && add_node(s, type, at, p, flags) ? p : NULL;
}

static const char *open_container(struct scanner *s, const char *p)
{
    bool is_object = *p == '{';
    if (s->depth >= AR_JSON_DEPTH) {
        return fail(s, p, "JSON is nested too deeply");
    }
    uint32_t node = s->depth <= s->keep_depth ? s->count : NO_NODE;
    if (!add_node(s, is_object ? AR_J_OBJECT : AR_J_ARRAY, p, p, 0)) {
        return NULL;
    }
    s->levels[s->depth++] = (struct level){.node = node, .is_object = is_object};
    s->deepest = s->depth > s->deepest ? s->depth : s->deepest;
    return p + 1;
}

static const char *close_container(struct scanner *s, const char *p)
{
    struct level *top = &s->levels[--s->depth];
    if (top->node != NO_NODE) {
        struct ar_jnode *n = &s->nodes[top->node];
        n->count = top->count;
        n->next = s->count;
        n->end = (uint32_t)(p + 1 - s->base);
    }
    return p + 1;
}

/* Key and colon of an object's next member. */
static const char *scan_key(struct scanner *s, const char *at)
{
    unsigned flags;
    if (at == s->end || *at != '"') {
        return fail(s, at, "expected a key in double quotes");
    }
    const char *p = scan_string(s, at, &flags);
    if (!p || !add_node(s, AR_J_STRING, at, p, flags)) {
        return NULL;
    }
    p = skip_space(p, s->end);
    if (p == s->end || *p != ':') {
        return fail(s, p, "expected ':' after a key");
    }
    return skip_space(p + 1, s->end);
}

/* After a value: closes what ends here. *ret_done: the root is complete; else the next element may
 * start. */
static const char *after_value(struct scanner *s, const char *p, bool *ret_done)
{
    while (s->depth > 0) {
        struct level *top = &s->levels[s->depth - 1];
        top->count++;
        p = skip_space(p, s->end);
        if (p < s->end && *p == ',') {
            p = skip_space(p + 1, s->end);
            return top->is_object ? scan_key(s, p) : p;
        }
        if (p == s->end || *p != (top->is_object ? '}' : ']')) {
            return fail(s, p, top->is_object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        p = close_container(s, p);
    }
    *ret_done = true;
    return p;
}

/* An opening bracket, and what it needs before its first value; an empty container is closed. */
static const char *enter(struct scanner *s, const char *p, bool *ret_empty)
{
    char close = *p == '{' ? '}' : ']';
    p = open_container(s, p);
    if (!p) {
        return NULL;
    }
    p = skip_space(p, s->end);
    *ret_empty = p < s->end && *p == close;
    if (*ret_empty) {
        return close_container(s, p);
    }
    return close == '}' ? scan_key(s, p) : p;
}

static const char *scan_document(struct scanner *s)
{
    bool done = false;
    const char *p = skip_space(s->base, s->end);
    while (!done) {
        bool has_value = true;
        if (p == s->end) {
            return fail(s, p, "JSON ends too early");
        }
        p = *p == '{' || *p == '[' ? enter(s, p, &has_value) : scan_scalar(s, p);
        if (p && has_value) {
            p = after_value(s, p, &done);
        }
        if (!p) {
            return NULL;
        }
    }
    p = skip_space(p, s->end);
    return p == s->end ? p : fail(s, p, "something follows the JSON value");
}

static enum ar_code run(struct scanner *s, struct ar_str src, struct ar_jdoc *ret,
                        struct ar_err *err)
{
    if (src.n >= UINT32_MAX) {
        return ar_fail(err, AR_TOO_LARGE, "JSON over 4 GiB");
    }
    s->base = src.p ? src.p : "";
    s->end = s->base + src.n;
    if (!scan_document(s)) {
        if (err) {
            err->at[0] = '\0';
        }
        return ar_fail(err, s->code, "invalid JSON at byte %zu: %s", (size_t)(s->where - s->base),
                       s->why);
    }
    *ret = (struct ar_jdoc){
        .src = {s->base, src.n}, .nodes = s->nodes, .count = s->count, .depth = s->deepest};
    return AR_OK;
}

enum ar_code ar_json_parse(struct ar_str src, unsigned keep_depth, struct ar_arena *a,
                           struct ar_jdoc *ret, struct ar_err *err)
{
    struct scanner s;
    memset(&s, 0, offsetof(struct scanner, levels));
    s.keep_depth = keep_depth;
    s.arena = a;
    return run(&s, src, ret, err);
}

enum ar_code ar_jtape_parse(struct ar_jtape *t, struct ar_str src, struct ar_jdoc *ret,
                            struct ar_err *err)
{
    struct scanner s;
    memset(&s, 0, offsetof(struct scanner, levels));
    s.keep_depth = AR_JSON_DEPTH;
    s.tape = t;
    s.nodes = t->nodes;
    s.cap = t->cap;
    return run(&s, src, ret, err);
}

void ar_jtape_done(struct ar_jtape *t)
{
    free(t->nodes);
    *t = (struct ar_jtape){NULL, 0};
}
