/*
 * Reading values off a tape: walks, look-ups, typed reads, and the path of a value for error
 * messages (found again from the root, so that reading well-formed input never pays for it). Owns
 * nothing.
 */
#include "json/scan.h"

#include <math.h>
#include <stdio.h>

static const struct ar_jnode *node_of(struct ar_jval v)
{
    return &v.doc->nodes[v.i];
}

struct ar_str ar_json_raw(struct ar_jval v)
{
    if (!v.doc) {
        return (struct ar_str){NULL, 0};
    }
    const struct ar_jnode *n = node_of(v);
    return ar_str_n(v.doc->src.p + n->at, n->end - n->at);
}

struct ar_str ar_json_esc(struct ar_jval v)
{
    if (!ar_json_is(v, AR_J_STRING)) {
        return (struct ar_str){NULL, 0};
    }
    const struct ar_jnode *n = node_of(v);
    return ar_str_n(v.doc->src.p + n->at + 1, n->end - n->at - 2U);
}

struct ar_jiter ar_json_iter(struct ar_jval v)
{
    struct ar_jiter it;
    enum ar_jtype t = ar_json_type(v);
    it.of = v;
    it.val = (struct ar_jval){NULL, 0};
    it.key = (struct ar_str){NULL, 0};
    it.at = it.end = 0;
    if (t == AR_J_OBJECT || t == AR_J_ARRAY) {
        it.at = v.i + 1;
        it.end = node_of(v)->next;
    }
    return it;
}

/* Key node at i, decoded into the iterator when it is escaped and short. */
static struct ar_str spell_key(struct ar_jiter *it, struct ar_jval key)
{
    struct ar_str esc = ar_json_esc(key);
    if (!(ar_json_flags(key) & AR_J_ESCAPED) || esc.n > sizeof it->spelled) {
        return esc;
    }
    struct ar_buf b; /* decoding never grows */
    ar_buf_init(&b, sizeof it->spelled);
    ar_json_unescape(esc, &b);
    size_t n = b.n;
    memcpy(it->spelled, b.p, n);
    ar_buf_done(&b);
    return ar_str_n(it->spelled, n);
}

bool ar_json_next(struct ar_jiter *it)
{
    if (it->at >= it->end) {
        return false;
    }
    const struct ar_jdoc *d = it->of.doc;
    if (d->nodes[it->of.i].type == AR_J_OBJECT) {
        it->key = spell_key(it, (struct ar_jval){d, it->at});
        it->at++;
    }
    it->val = (struct ar_jval){d, it->at};
    it->at = d->nodes[it->at].next;
    return true;
}

/* Is the key node k, which is spelled with escapes, key? So that no spelling hides a known key. */
static bool is_key_escaped(const struct ar_jdoc *d, const struct ar_jnode *k, struct ar_str key)
{
    size_t n = k->end - k->at - 2U;
    char text[96];
    if (n > sizeof text) {
        return false;
    }
    struct ar_buf b = {
        .p = text, .cap = sizeof text, .max = sizeof text}; /* decoding never grows */
    ar_json_unescape(ar_str_n(d->src.p + k->at + 1, n), &b);
    return ar_str_is(ar_buf_view(&b), key);
}

static inline bool is_key(const struct ar_jdoc *d, const struct ar_jnode *k, struct ar_str key)
{
    if (__builtin_expect(k->flags & AR_J_ESCAPED, 0)) {
        return is_key_escaped(d, k, key);
    }
    return k->end - k->at == key.n + 2 && memcmp(d->src.p + k->at + 1, key.p, key.n) == 0;
}

/* Which of the keys the key node k is; n: none. */
static unsigned find_key(const struct ar_jdoc *d, const struct ar_jnode *k,
                         const struct ar_str *keys, unsigned n)
{
    unsigned i = 0;
    if (__builtin_expect(k->flags & AR_J_ESCAPED, 0)) {
        while (i < n && !is_key_escaped(d, k, keys[i])) {
            i++;
        }
        return i;
    }
    const char *text = d->src.p + k->at + 1;
    size_t length = k->end - k->at - 2U;
    while (i < n && (keys[i].n != length || memcmp(text, keys[i].p, length) != 0)) {
        i++;
    }
    return i;
}

struct ar_jval ar_json_get(struct ar_jval v, struct ar_str key)
{
    struct ar_jval found = {NULL, 0};
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return found;
    }
    const struct ar_jnode *nodes = v.doc->nodes;
    for (uint32_t i = v.i + 1, end = nodes[v.i].next; i < end; i = nodes[i + 1].next) {
        if (is_key(v.doc, &nodes[i], key)) {
            found = (struct ar_jval){v.doc, i + 1};
        }
    }
    return found;
}

void ar_json_pick(struct ar_jval v, const struct ar_str *keys, unsigned n, struct ar_jval *ret)
{
    for (unsigned k = 0; k < n; k++) {
        ret[k] = (struct ar_jval){NULL, 0};
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return;
    }
    const struct ar_jnode *nodes = v.doc->nodes;
    for (uint32_t i = v.i + 1, end = nodes[v.i].next; i < end; i = nodes[i + 1].next) {
        unsigned k = find_key(v.doc, &nodes[i], keys, n);
        if (k < n) {
            ret[k] = (struct ar_jval){v.doc, i + 1};
        }
    }
}

struct ar_jval ar_json_at(struct ar_jval v, uint32_t i)
{
    if (ar_json_is(v, AR_J_ARRAY)) {
        struct ar_jiter it = ar_json_iter(v);
        for (uint32_t k = 0; ar_json_next(&it); k++) {
            if (k == i) {
                return it.val;
            }
        }
    }
    return (struct ar_jval){NULL, 0};
}

enum ar_code ar_json_double(struct ar_jval v, double *ret, struct ar_err *err)
{
    if (!ar_json_is(v, AR_J_NUMBER) || ar_str_to_double(ar_json_raw(v), ret) != AR_OK) {
        return ar_json_wrong(v, "a number", err);
    }
    return AR_OK;
}

enum ar_code ar_json_i64(struct ar_jval v, int64_t *ret, struct ar_err *err)
{
    double d;
    if (ar_json_is(v, AR_J_NUMBER) && !(ar_json_flags(v) & AR_J_REAL)) {
        if (ar_str_to_i64(ar_json_raw(v), INT64_MIN, INT64_MAX, ret) == AR_OK) {
            return AR_OK;
        }
    } else if (ar_json_is(v, AR_J_NUMBER) && ar_str_to_double(ar_json_raw(v), &d) == AR_OK &&
               d == floor(d) && fabs(d) < 9007199254740992.0) {
        *ret = (int64_t)d;
        return AR_OK;
    }
    return ar_json_wrong(v, "an integer", err);
}

enum ar_code ar_json_bool(struct ar_jval v, bool *ret, struct ar_err *err)
{
    enum ar_jtype t = ar_json_type(v);
    if (t != AR_J_TRUE && t != AR_J_FALSE) {
        return ar_json_wrong(v, "true or false", err);
    }
    *ret = t == AR_J_TRUE;
    return AR_OK;
}

enum ar_code ar_json_text(struct ar_jval v, struct ar_arena *a, struct ar_str *ret,
                          struct ar_err *err)
{
    if (!ar_json_is(v, AR_J_STRING)) {
        return ar_json_wrong(v, "a string", err);
    }
    struct ar_str esc = ar_json_esc(v);
    if (ar_json_flags(v) & AR_J_ESCAPED) {
        esc = ar_json_unescape_in(esc, a);
        if (!esc.p) {
            return ar_fail(err, AR_TOO_LARGE, "the request needs too much memory");
        }
    }
    *ret = esc;
    return AR_OK;
}

void ar_json_path(struct ar_jval v, char *ret, size_t size)
{
    size_t n = 0;
    AR_ASSERT(size > 0);
    ret[0] = '\0';
    if (!v.doc) {
        return;
    }
    struct ar_jval at = ar_json_root(v.doc);
    while (at.i != v.i && n < size) {
        struct ar_jiter it = ar_json_iter(at);
        bool found = false;
        int wrote = 0;
        for (unsigned k = 0; !found && ar_json_next(&it); k++) {
            found = v.i >= it.val.i && v.i < node_of(it.val)->next;
            if (found && it.key.p) {
                wrote = snprintf(ret + n, size - n, "%s%.*s", n > 0 ? "." : "", AR_FMT(it.key));
            } else if (found) {
                wrote = snprintf(ret + n, size - n, "[%u]", k);
            }
        }
        if (!found) {
            return;
        }
        n += (size_t)wrote;
        at = it.val;
    }
}

enum ar_code ar_json_wrong(struct ar_jval v, const char *want, struct ar_err *err)
{
    if (err) {
        ar_json_path(v, err->at, sizeof err->at);
        return ar_fail(err, AR_INVALID_REQUEST, "%s must be %s", err->at[0] ? err->at : "the value",
                       want);
    }
    return AR_INVALID_REQUEST;
}
