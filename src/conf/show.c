/*
 * Shows a configuration as YAML or JSON with the source of each value. Secrets are *** whatever the
 * format: keys, proxies with passwords, and values of upstream headers, which often are secrets
 * too. Owns nothing.
 */
#include "conf/config.h"

#include "conf/range.h"
#include "json/write.h"

struct shower {
    struct ar_buf *out;
    struct ar_jw json;
    bool sources, as_json;
    struct ar_arena *arena; /* scratch */
    const char *indent;
};

/* One "path: value  # source, what it may be" line, or member. */
static void put_row(struct shower *s, const char *path, struct ar_str value, struct ar_str source,
                    struct ar_str range)
{
    if (!s->as_json) {
        ar_buf_fmt(s->out, "%s%s: ", s->indent, path);
        bool plain = value.n > 0;
        for (size_t i = 0; i < value.n; i++) {
            plain &= value.p[i] > ' ' && !strchr("#:{}[]\"'&!|>%@`", value.p[i]);
        }
        struct ar_jw w = ar_jw_on(s->out);
        if (plain || ar_str_is_lit(value, "***")) {
            ar_buf_str(s->out, value);
        } else {
            ar_jw_text(&w, value);
        }
        if (s->sources) {
            ar_buf_fmt(s->out, "  # %.*s", AR_FMT(source));
            if (range.n > 0) {
                ar_buf_fmt(s->out, " (%.*s)", AR_FMT(range));
            }
        }
        ar_buf_char(s->out, '\n');
        return;
    }
    ar_jw_key_dec(&s->json, ar_str_of(path)); /* an alias or a header may have any name */
    if (!s->sources) {
        ar_jw_text(&s->json, value);
        return;
    }
    ar_jw_open(&s->json, '{');
    ar_jw_key_text(&s->json, "value", value);
    ar_jw_key_text(&s->json, "source", source);
    if (range.n > 0) {
        ar_jw_key_text(&s->json, "range", range);
    }
    ar_jw_close(&s->json, '}');
}

static void put(struct shower *s, const char *path, struct ar_str value, struct ar_str source)
{
    put_row(s, path, value, source, (struct ar_str){0});
}

static void put_options(struct shower *s, const char *scope, void *base,
                        const struct ar_str *sources)
{
    static const size_t ROOT[] = {
#define AR_FIELD_ROOT(field)                                offsetof(struct ar_config, field),
#define AR_FIELD_UPSTREAM(field)                            offsetof(struct ar_conf_upstream, field),
#define X(scope, path, field, type, def, range, flags, doc) AR_FIELD_##scope(field)
#include "conf/options.def"
#undef X
    };
    const struct ar_option_row *row;
    for (unsigned i = 0; (row = ar_option_row(i)) != NULL; i++) {
        if (strcmp(row->scope, scope) != 0) {
            continue;
        }
        struct ar_option_slot slot = {row->type, (char *)base + ROOT[i]};
        struct ar_str value = ar_value_text(slot, s->arena);
        put_row(s, row->path, row->secret && value.n > 0 ? AR_LIT("***") : value, sources[i],
                ar_range_text(ar_str_of(row->range), s->arena));
    }
}

static void put_upstream(struct shower *s, struct ar_conf_upstream *u)
{
    if (s->as_json) {
        ar_jw_open(&s->json, '{');
    } else {
        ar_buf_fmt(s->out, "  - # %.*s\n", AR_FMT(u->name));
    }
    s->indent = "    ";
    put_options(s, "UPSTREAM", u, u->source);
    struct ar_str masked = AR_LIT("");
    for (unsigned i = 0; i < u->key_count; i++) {
        masked = ar_arena_fmt(s->arena, "%.*s%s***", AR_FMT(masked), i > 0 ? "," : "");
    }
    put(s, "keys", masked, u->keys_source.p ? u->keys_source : AR_LIT("default"));
    struct ar_str models = AR_LIT("");
    for (unsigned i = 0; i < u->model_count; i++) {
        const struct ar_conf_model *m = &u->models[i];
        models = ar_arena_fmt(s->arena, "%.*s%s%.*s%s%.*s", AR_FMT(models), i > 0 ? "," : "",
                              AR_FMT(m->from), m->to.p ? "->" : "", AR_FMT(m->to));
    }
    put(s, "models", models, ar_str_of(u->has_models ? u->origin : "provider"));
    for (unsigned i = 0; i < u->header_count; i++) {
        put(s, ar_arena_fmt(s->arena, "headers.%.*s", AR_FMT(u->headers[i].name)).p, AR_LIT("***"),
            ar_str_of(u->origin));
    }
    s->indent = "";
    if (s->as_json) {
        ar_jw_close(&s->json, '}');
    }
}

void ar_config_show(const struct ar_config *c, bool sources, bool json, struct ar_buf *out)
{
    struct ar_arena scratch;
    ar_arena_init(&scratch, 16U << 20);
    struct ar_config copy = *c; /* the rows want a writable base; nothing is written */
    struct shower s = {out, ar_jw_on(out), sources, json, &scratch, ""};
    if (json) {
        ar_jw_open(&s.json, '{');
    }
    put(&s, "file", c->path.n > 0 ? c->path : AR_LIT("none"), AR_LIT("search"));
    put_options(&s, "ROOT", &copy, c->source);
    for (unsigned i = 0; i < c->alias_count; i++) {
        put(&s, ar_arena_fmt(&scratch, "aliases.%.*s", AR_FMT(c->aliases[i].from)).p,
            c->aliases[i].to, c->path);
    }
    if (json) {
        ar_jw_key(&s.json, "upstreams");
        ar_jw_open(&s.json, '[');
    } else {
        ar_buf_lit(out, "upstreams:\n");
    }
    for (struct ar_conf_upstream *u = c->upstreams; u; u = u->next) {
        put_upstream(&s, u);
    }
    if (json) {
        ar_jw_close(&s.json, ']');
        ar_jw_close(&s.json, '}');
        ar_buf_char(out, '\n');
    }
    ar_arena_done(&scratch);
}
