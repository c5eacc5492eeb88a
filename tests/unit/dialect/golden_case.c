/*
 * What request and answer cases share: reading the files of a case, comparing with what came out,
 * and the target.
 */
#include "dialect/golden_case.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void golden_bad(struct golden *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("    ");
    (void)vprintf(format, args);
    printf("\n");
    va_end(args);
    g->bad++;
}

bool golden_has(struct golden *g, const char *file)
{
    return kit_read(g->dir, file, &g->a).p != NULL;
}

static struct ar_str comparable(struct golden *g, enum golden_form form, struct ar_str s)
{
    return form == GOLDEN_JSON  ? kit_squeeze(s, &g->a)
           : form == GOLDEN_SSE ? kit_squeeze_sse(s, &g->a)
                                : ar_str_trim(s);
}

bool golden_compare(struct golden *g, const char *file, enum golden_form form, struct ar_str got,
                    bool must_be)
{
    struct ar_str want = kit_read(g->dir, file, &g->a);
    bool is_there = want.p != NULL;
    if (!is_there && !must_be) {
        return false;
    }
    g->expected += is_there;
    if (is_there && want.n == 0 && got.n > 0 && getenv("AR_GOLDEN_WRITE")) {
        struct ar_str text = form == GOLDEN_SSE ? got : ar_arena_fmt(&g->a, "%.*s\n", AR_FMT(got));
        golden_bad(g, "%s: %s", file,
                   kit_write(g->dir, file, text) ? "written; read it" : "cannot be written");
        return true;
    }
    struct ar_str a = comparable(g, form, want), b = comparable(g, form, got);
    if (!ar_str_is(a, b)) {
        kit_show_difference(file, a, b);
        g->bad++;
    }
    return is_there;
}

const char *golden_name(struct golden *g, const char *format, const struct ar_dialect *d)
{
    const char *at = strstr(format, "%s");
    size_t head = (size_t)(at - format);
    return ar_arena_fmt(&g->a, "%.*s%s%s", (int)head, format, d->name, at + 2).p;
}

struct ar_jval golden_json(struct golden *g, const char *file)
{
    struct ar_str text = kit_read(g->dir, file, &g->a);
    struct ar_jdoc *doc = ar_arena_new(&g->a, struct ar_jdoc);
    struct ar_err err;
    if (!text.p) {
        return (struct ar_jval){NULL, 0};
    }
    if (ar_json_parse(text, AR_JSON_DEPTH, &g->a, doc, &err) != AR_OK) {
        golden_bad(g, "%s: not JSON: %s", file, err.note);
        return (struct ar_jval){NULL, 0};
    }
    return ar_json_root(doc);
}

struct ar_str golden_text(struct golden *g, struct ar_jval of, const char *key)
{
    struct ar_str s;
    struct ar_jval v = ar_json_get(of, ar_str_of(key));
    return ar_json_is(v, AR_J_STRING) && ar_json_text(v, &g->a, &s, NULL) == AR_OK
               ? s
               : (struct ar_str){NULL, 0};
}

bool golden_bool(struct ar_jval of, const char *key, bool or_else)
{
    struct ar_jval v = ar_json_get(of, ar_str_of(key));
    return v.doc ? ar_json_is(v, AR_J_TRUE) : or_else;
}

int64_t golden_int(struct ar_jval of, const char *key, int64_t or_else)
{
    int64_t n;
    return ar_json_i64(ar_json_get(of, ar_str_of(key)), &n, NULL) == AR_OK ? n : or_else;
}

void golden_target_read(struct golden *g, struct golden_target *ret)
{
    struct ar_jval j = golden_json(g, "target.json");
    *ret = (struct golden_target){.json = j};
    struct ar_str name = golden_text(g, j, "dialect");
    ret->only = name.p ? ar_dialect_by_name(name) : NULL;
    if (name.p && !ret->only) {
        golden_bad(g, "target.json: no such dialect");
    }
    ret->in.version = golden_text(g, j, "version");
    ret->in.beta = golden_text(g, j, "beta");
    ret->op = ar_str_is_lit(golden_text(g, j, "op"), "count") ? AR_OP_COUNT : AR_OP_GENERATE;
    ret->strict = golden_bool(j, "strict", false);
    ret->has_stream = ar_json_get_lit(j, "stream").doc != NULL;
    ret->stream = golden_bool(j, "stream", false);
    ret->check_prefix = golden_bool(j, "prefix", true);
}

static uint64_t bits_of(struct golden *g, struct ar_jval list,
                        bool (*read)(struct ar_str, uint64_t *))
{
    uint64_t bits = 0;
    struct ar_jiter it = ar_json_iter(list);
    while (ar_json_next(&it)) {
        if (!read(ar_json_esc(it.val), &bits)) {
            golden_bad(g, "target.json: unknown bit %.*s", AR_FMT(ar_json_raw(it.val)));
        }
    }
    return bits;
}

static enum ar_vendor vendor_of(struct ar_str name, enum ar_vendor or_else)
{
    return ar_str_is_lit(name, "openai")      ? AR_VENDOR_OPENAI
           : ar_str_is_lit(name, "anthropic") ? AR_VENDOR_ANTHROPIC
           : ar_str_is_lit(name, "google")    ? AR_VENDOR_GOOGLE
           : ar_str_is_lit(name, "other")     ? AR_VENDOR_OTHER
                                              : or_else;
}

struct ar_target golden_target_for(struct golden *g, const struct golden_target *t,
                                   const struct ar_dialect *d)
{
    static const uint64_t CHAT =
        AR_CAP(SAMPLING) | AR_CAP(FORCED_TOOL) | AR_CAP(STRUCTURED) | AR_CAP(VISION);
    static const uint64_t CLAUDE = AR_CAP(THINK_BUDGET) | AR_CAP(THINK_DISABLED) |
                                   AR_CAP(SAMPLING) | AR_CAP(TEMPERATURE_ALONE) |
                                   AR_CAP(FORCED_TOOL_NOT_THINKING) | AR_CAP(PREFILL) |
                                   AR_CAP(STRUCTURED) | AR_CAP(VISION);
    static const uint64_t GEMINI = AR_CAP(THINK_LEVEL) | AR_CAP(THINK_DEFAULT_ON) |
                                   AR_CAP(SIGNED_CALLS) | AR_CAP(MIXED_TOOLS) |
                                   AR_CAP(EFFORT_MINIMAL);
    bool claude = d->id == AR_DIALECT_ANTHROPIC, gemini = d->vendor == AR_VENDOR_GOOGLE;
    struct ar_jval caps = ar_json_get_lit(t->json, "caps");
    struct ar_str model = golden_text(g, t->json, "model"),
                  account = golden_text(g, t->json, "account");
    return (struct ar_target){
        .model = model.p  ? model
                 : claude ? AR_LIT("claude-sonnet-4-5")
                 : gemini ? AR_LIT("gemini-3.1-flash")
                          : AR_LIT("gpt-4.1"),
        .vendor = vendor_of(golden_text(g, t->json, "vendor"), d->vendor),
        .account = account.p ? account : AR_LIT("0a1b2c3d"),
        .caps = caps.doc ? bits_of(g, caps, kit_cap)
                : claude ? CLAUDE
                : gemini ? CHAT | GEMINI
                         : CHAT,
        .quirks = bits_of(g, ar_json_get_lit(t->json, "quirks"), kit_quirk),
        .max_out_tokens = golden_int(t->json, "max_out_tokens",
                                     claude   ? 64000
                                     : gemini ? 65536
                                              : 32768),
        .default_max_tokens = golden_int(t->json, "default_max_tokens", 8192),
        .stream = t->stream,
    };
}
