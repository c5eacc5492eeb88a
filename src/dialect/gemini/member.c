/* How Gemini's clients spell members and values. The wire is proto3 JSON: names are lowerCamelCase,
 * but the original snake_case is taken too, so Python and Go clients that send it work; int64
 * travels as a string, enums as names or as numbers. Everything that reads a client's body asks
 * here, so no reader knows about spellings. Owns nothing, and never writes. */
#include "dialect/gemini/gemini.h"

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

bool ar_gemini_key_is(struct ar_str key, struct ar_str camel)
{
    size_t k = 0;
    if (key.n == camel.n) { /* nearly always */
        return memcmp(key.p, camel.p, key.n) == 0;
    }
    for (size_t i = 0; i < camel.n; i++) {
        char c = camel.p[i];
        if (is_upper(c)) {
            if (k >= key.n || key.p[k++] != '_') {
                return false;
            }
            c = (char)(c | 0x20);
        }
        if (k >= key.n || key.p[k++] != c) {
            return false;
        }
    }
    return k == key.n;
}

struct ar_jval ar_gemini_get(struct ar_jval v, struct ar_str camel)
{
    struct ar_jval found = {NULL, 0};
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        if (ar_gemini_key_is(it.key, camel)) {
            found = it.val;
        }
    }
    return ar_json_is(v, AR_J_OBJECT) ? found : (struct ar_jval){NULL, 0};
}

unsigned ar_gemini_pick(struct ar_jval v, const struct ar_str *camel, unsigned n,
                        struct ar_jval *ret)
{
    unsigned others = 0;
    for (unsigned i = 0; i < n; i++) {
        ret[i] = (struct ar_jval){NULL, 0};
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return 0;
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        unsigned i = 0;
        while (i < n && !ar_gemini_key_is(it.key, camel[i])) {
            i++;
        }
        if (i < n) {
            ret[i] = it.val;
        } else {
            others++;
        }
    }
    return others;
}

struct ar_str ar_gemini_text(struct ar_arena *a, struct ar_jval obj, struct ar_str camel)
{
    struct ar_jval v = ar_gemini_get(obj, camel);
    struct ar_str s = {NULL, 0};
    if (!ar_json_is(v, AR_J_STRING) || ar_json_text(v, a, &s, NULL) != AR_OK) {
        return (struct ar_str){NULL, 0};
    }
    return s;
}

enum ar_code ar_gemini_i64(struct ar_jval v, int64_t *ret, struct ar_err *err)
{
    if (ar_json_is(v, AR_J_STRING)) {
        return ar_str_to_i64(ar_json_esc(v), INT64_MIN, INT64_MAX, ret) == AR_OK
                   ? AR_OK
                   : ar_json_wrong(v, "an integer", err);
    }
    return ar_json_i64(v, ret, err);
}

int ar_gemini_enum(struct ar_jval v, const char *prefix, const char *const *names)
{
    int64_t number = -1;
    struct ar_str s = ar_json_esc(v), head = ar_str_of(prefix);
    if (ar_json_is(v, AR_J_NUMBER) && ar_json_i64(v, &number, NULL) != AR_OK) {
        return -1;
    }
    if (head.n > 0 && ar_str_has_prefix_nocase(s, head)) {
        s = ar_str_from(s, head.n);
    }
    for (int i = 0; names[i]; i++) {
        if (s.p ? ar_str_is_nocase(s, ar_str_of(names[i])) : number == i) {
            return i;
        }
    }
    return -1;
}
