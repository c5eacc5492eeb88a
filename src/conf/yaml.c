/*
 * YAML text into a tree, by libyaml's event parser. Aliases are refused (a file of configuration
 * needs none, and they can grow without bound). Variables are replaced in parsed scalars, never in
 * the text, so a value cannot change the structure. Owns nothing but the parser while it runs;
 * never reads a file.
 */
#include "conf/tree.h"

#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    const char *(*getenv_fn)(const char *);
    struct ar_arena *arena;
    struct ar_err *err;
    unsigned depth;
    bool bare_list; /* "[${" stands in the text: the usual fault */
};

enum { DEPTH_MAX = 32 };

static enum ar_code read_node(struct reader *r, yaml_event_t *ev, struct ar_tree *ret);

static enum ar_code bad(struct reader *r, size_t line, const char *what)
{
    return ar_fail(r->err, AR_INVALID_REQUEST, "line %zu: %s", line + 1, what);
}

static enum ar_code next_event(struct reader *r, yaml_event_t *ret)
{
    if (yaml_parser_parse(&r->parser, ret)) {
        return AR_OK;
    }
    const char *hint = r->parser.problem ? r->parser.problem : "cannot be read";
    return ar_fail(r->err, AR_INVALID_REQUEST, "line %zu: %s%s", r->parser.problem_mark.line + 1,
                   hint, r->bare_list ? " (a list item like [${X}] needs quotes: [\"${X}\"])" : "");
}

/* The value of ${name} or ${name:default}; text is what stands between the braces. */
static enum ar_code put_variable(struct reader *r, struct ar_str text, size_t line,
                                 struct ar_buf *out)
{
    size_t colon = ar_str_find_char(text, ':');
    struct ar_str name = ar_arena_copy(r->arena, ar_str_head(text, colon));
    const char *value = name.p ? r->getenv_fn(name.p) : NULL;
    if (value && *value) {
        ar_buf_str(out, ar_str_of(value));
    } else if (colon < text.n) {
        ar_buf_str(out, ar_str_from(text, colon + 1));
    } else {
        return ar_fail(r->err, AR_INVALID_REQUEST,
                       "line %zu: the environment variable %.*s is not set (write ${%.*s:default} "
                       "to allow that)",
                       line + 1, AR_FMT(name), AR_FMT(name));
    }
    return AR_OK;
}

static enum ar_code expand(struct reader *r, struct ar_str s, size_t line, struct ar_str *ret)
{
    struct ar_buf b;
    ar_buf_init(&b, 1U << 20);
    enum ar_code code = AR_OK;
    while (s.n > 0 && code == AR_OK) {
        size_t at = ar_str_find(s, AR_LIT("${"));
        ar_buf_put(&b, s.p, at);
        s = ar_str_from(s, at);
        size_t end = ar_str_find_char(s, '}');
        if (s.n > 0 && end == s.n) {
            ar_buf_str(&b, s);
            break;
        }
        if (s.n > 0) {
            code = put_variable(r, ar_str_head(ar_str_from(s, 2), end - 2), line, &b);
            s = ar_str_from(s, end + 1);
        }
    }
    *ret = ar_arena_copy(r->arena, ar_buf_view(&b));
    ar_buf_done(&b);
    return code;
}

static enum ar_code read_scalar(struct reader *r, const yaml_event_t *ev, struct ar_tree *ret)
{
    struct ar_str s = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    ret->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    ret->kind = AR_TREE_SCALAR;
    if (!ret->quoted && (s.n == 0 || ar_str_is_lit(s, "~") || ar_str_is_lit(s, "null"))) {
        ret->kind = AR_TREE_NULL;
    }
    return expand(r, s, ev->start_mark.line, &ret->value);
}

/* Children of a list or a map up to its end event. */
static enum ar_code read_children(struct reader *r, struct ar_tree *ret, bool is_map)
{
    struct ar_tree **tail = &ret->first;
    for (;;) {
        yaml_event_t ev;
        enum ar_code code = next_event(r, &ev);
        if (code != AR_OK) {
            return code;
        }
        if (ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&ev);
            return AR_OK;
        }
        struct ar_tree *child = ar_arena_new(r->arena, struct ar_tree);
        if (!child) {
            yaml_event_delete(&ev);
            return ar_fail(r->err, AR_TOO_LARGE, "the configuration is too large");
        }
        child->line = (unsigned)ev.start_mark.line + 1;
        if (is_map) {
            bool ok = ev.type == YAML_SCALAR_EVENT;
            struct ar_str key =
                ok ? ar_str_n((const char *)ev.data.scalar.value, ev.data.scalar.length)
                   : AR_LIT("");
            child->key = ar_arena_copy(r->arena, key);
            yaml_event_delete(&ev);
            code = ok ? AR_OK : bad(r, child->line - 1, "a key must be plain text");
            if (code == AR_OK && ar_tree_get(ret, child->key)) {
                code = ar_fail(r->err, AR_INVALID_REQUEST, "line %u: the key %.*s stands twice",
                               child->line, AR_FMT(child->key));
            }
            code = code == AR_OK ? next_event(r, &ev) : code;
            if (code != AR_OK) {
                return code;
            }
        }
        code = read_node(r, &ev, child);
        if (code != AR_OK) {
            return code;
        }
        *tail = child;
        tail = &child->next;
    }
}

/* Takes ev. */
static enum ar_code read_node(struct reader *r, yaml_event_t *ev, struct ar_tree *ret)
{
    enum ar_code code = AR_OK;
    size_t line = ev->start_mark.line;
    yaml_event_type_t type = ev->type;
    ret->line = ret->line > 0 ? ret->line : (unsigned)line + 1; /* in a map: the key's */
    if (type == YAML_SCALAR_EVENT) {
        code = read_scalar(r, ev, ret);
    }
    yaml_event_delete(ev);
    if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT) {
        ret->kind = type == YAML_MAPPING_START_EVENT ? AR_TREE_MAP : AR_TREE_LIST;
        if (++r->depth > DEPTH_MAX) {
            return bad(r, line, "nested too deeply");
        }
        code = read_children(r, ret, type == YAML_MAPPING_START_EVENT);
        r->depth--;
    } else if (type != YAML_SCALAR_EVENT) {
        code = bad(r, line, "anchors and aliases are not supported");
    }
    return code;
}

static enum ar_code read_document(struct reader *r, struct ar_tree *root)
{
    bool has_root = false;
    for (;;) {
        yaml_event_t ev;
        enum ar_code code = next_event(r, &ev);
        if (code != AR_OK) {
            return code;
        }
        yaml_event_type_t type = ev.type;
        if (has_root && type == YAML_DOCUMENT_START_EVENT) {
            size_t line = ev.start_mark.line;
            yaml_event_delete(&ev);
            return bad(r, line, "a second document; only one is read");
        }
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT ||
            type == YAML_DOCUMENT_END_EVENT) {
            yaml_event_delete(&ev);
            continue;
        }
        if (type == YAML_STREAM_END_EVENT) {
            yaml_event_delete(&ev);
            return AR_OK;
        }
        code = read_node(r, &ev, root);
        has_root = true;
        if (code != AR_OK) {
            return code;
        }
    }
}

enum ar_code ar_tree_parse(struct ar_str text, const char *(*getenv_fn)(const char *),
                           struct ar_arena *a, struct ar_tree **ret, struct ar_err *err)
{
    struct reader r = {.getenv_fn = getenv_fn,
                       .arena = a,
                       .err = err,
                       .bare_list = ar_str_find(text, AR_LIT("[${")) < text.n};
    struct ar_tree *root = ar_arena_new(a, struct ar_tree);
    if (!root || !yaml_parser_initialize(&r.parser)) {
        return ar_fail(err, AR_TOO_LARGE, "the configuration is too large");
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.n > 0 ? text.p : ""),
                                 text.n);
    enum ar_code code = read_document(&r, root);
    yaml_parser_delete(&r.parser);
    if (code == AR_OK && root->kind == AR_TREE_NULL) {
        root->kind = AR_TREE_MAP;
    }
    if (code == AR_OK && root->kind != AR_TREE_MAP) {
        return ar_fail(err, AR_INVALID_REQUEST,
                       "line 1: the configuration must be a map of options");
    }
    *ret = root;
    return code;
}

struct ar_tree *ar_tree_get(const struct ar_tree *map, struct ar_str key)
{
    for (struct ar_tree *t = map->kind == AR_TREE_MAP ? map->first : NULL; t; t = t->next) {
        if (ar_str_is(t->key, key)) {
            return t;
        }
    }
    return NULL;
}
