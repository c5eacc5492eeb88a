/*
 * What an encoding may have to write differently: tool names and call ids outside a vendor's
 * alphabet, and arguments that are not a JSON object. Each is a pure function of its text, so a
 * history gives the same upstream bytes turn after turn and a call stays paired with its result.
 */
#include "ir/undo.h"

#include "base/hash.h"
#include "json/scan.h"

static bool is_legal(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_legal_all(struct ar_str s, size_t limit)
{
    bool ok = s.n > 0 && s.n <= limit;
    for (size_t i = 0; ok && i < s.n; i++) {
        ok = is_legal(s.p[i]);
    }
    return ok;
}

struct ar_str ar_tool_name(struct ar_str name, unsigned limit, struct ar_arena *a)
{
    enum { TAIL = 9 }; /* "_" and 8 digits */
    AR_ASSERT(limit > TAIL);
    if (is_legal_all(name, limit)) {
        return name;
    }
    size_t head = name.n < limit - TAIL ? name.n : limit - TAIL;
    char *p = ar_arena_alloc(a, head + TAIL + 1);
    if (!p) {
        return (struct ar_str){NULL, 0};
    }
    for (size_t i = 0; i < head; i++) {
        p[i] = name.p[i];
        if (!is_legal(p[i])) {
            p[i] = '_';
        }
    }
    p[head] = '_';
    ar_sha256_hex(name, TAIL - 1, p + head + 1);
    return ar_str_n(p, head + TAIL);
}

struct ar_str ar_tool_id(struct ar_str id, struct ar_arena *a)
{
    static const char BASE32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    enum { PREFIX = 5, DIGITS = 24 };
    if (is_legal_all(id, 64)) {
        return id;
    }
    uint8_t sum[32];
    ar_sha256(id, sum);
    char *p = ar_arena_alloc(a, PREFIX + DIGITS);
    if (!p) {
        return (struct ar_str){NULL, 0};
    }
    memcpy(p, "call_", PREFIX);
    for (unsigned i = 0; i < DIGITS; i++) {
        unsigned bit = i * 5, two = ((unsigned)sum[bit / 8] << 8) | sum[bit / 8 + 1];
        p[PREFIX + i] = BASE32[(two >> (11 - bit % 8)) & 31];
    }
    return ar_str_n(p, PREFIX + DIGITS);
}

static struct ar_str quoted(const char *head, struct ar_str text, const char *tail,
                            struct ar_arena *a)
{
    size_t h = strlen(head), t = strlen(tail);
    char *p = ar_arena_alloc(a, h + text.n + t + 1);
    if (!p) {
        return (struct ar_str){NULL, 0};
    }
    memcpy(p, head, h);
    if (text.n > 0) {
        memcpy(p + h, text.p, text.n);
    }
    memcpy(p + h + text.n, tail, t + 1);
    return ar_str_n(p, h + text.n + t);
}

struct ar_str ar_args_object(struct ar_str text, struct ar_arena *a, bool *ret_broken)
{
    struct ar_str trimmed = ar_str_trim(text);
    struct ar_jdoc doc;
    bool broken = false;
    struct ar_str out;
    if (trimmed.n == 0) {
        out = AR_LIT("{}");
    } else if (ar_json_parse(trimmed, 1, a, &doc, NULL) == AR_OK) {
        out = ar_json_is(ar_json_root(&doc), AR_J_OBJECT) ? trimmed
                                                          : quoted("{\"value\":", trimmed, "}", a);
    } else {
        broken = true;
        out = quoted("{\"_raw_arguments\":\"", ar_json_escape_in(text, a), "\"}", a);
    }
    if (ret_broken) {
        *ret_broken = broken;
    }
    return out;
}

struct ar_str ar_args_text(struct ar_str object, struct ar_arena *a)
{
    struct ar_jdoc doc;
    struct ar_str out;
    if (!ar_str_has(ar_str_head(object, 64), AR_LIT("_raw_arguments")) ||
        ar_json_parse(object, 2, a, &doc, NULL) != AR_OK) {
        return object;
    }
    struct ar_jval root = ar_json_root(&doc), raw = ar_json_get_lit(root, "_raw_arguments");
    if (ar_json_count(root) != 1 || !ar_json_is(raw, AR_J_STRING) ||
        ar_json_text(raw, a, &out, NULL) != AR_OK) {
        return object;
    }
    return out;
}
