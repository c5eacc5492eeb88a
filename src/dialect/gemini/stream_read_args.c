/* Arguments of a call that come in pieces, as Vertex sends them when asked to: a name first, then
 * pieces, each a JSON path and a part of the value there, then an empty piece. The pieces are put
 * together here, and the call goes out whole at its end (PROTOCOLS 8.1). Values are kept as JSON
 * text; strings are kept escaped, so what comes in two halves is joined byte by byte. Owns the
 * buffers of its values. */
#include "dialect/gemini/stream_read.h"

/* A place in the arguments. Children of an object have keys, of an array indexes. */
struct node {
    struct node *next, *first, **tail;
    struct ar_str key;  /* esc */
    int64_t index;      /* -1: it has a key */
    struct ar_buf text; /* owns; a string's escaped text, or a scalar's JSON */
    bool is_string;
};
struct ar_gemini_args {
    struct ar_str id, name;
    struct ar_opaque *sig;
    struct node root;
    size_t nodes, bytes;
};
enum { NODES_MAX = 4096, STEPS_MAX = 32 };

static void free_node(struct node *n)
{
    for (struct node *c = n->first; c; c = c->next) { /* as deep as STEPS_MAX; nodes are arena's */
        free_node(c);
    }
    ar_buf_done(&n->text);
}

void ar_gemini_args_done(struct ar_gemini_args *g)
{
    if (g) {
        free_node(&g->root);
    }
}

static struct node *child(struct ar_reader *r, struct node *of, struct ar_str key, int64_t index)
{
    struct ar_gemini_args *g = r->args;
    for (struct node *c = of->first; c; c = c->next) {
        if (c->index == index && ar_str_is(c->key, key)) {
            return c;
        }
    }
    struct node *c = g->nodes < NODES_MAX ? ar_arena_new(r->a, struct node) : NULL;
    if (c) {
        g->nodes++;
        c->key = ar_arena_copy(r->a, key);
        c->index = index;
        c->tail = &c->first;
        ar_buf_init(&c->text, r->content_max);
        *of->tail = c;
        of->tail = &c->next;
    }
    return c;
}

/* The next step of "$.a[0]['b c']" off *path; false: there is none. */
static bool next_step(struct ar_str *path, struct ar_str *ret_key, int64_t *ret_index)
{
    struct ar_str p = *path;
    *ret_key = AR_LIT("");
    *ret_index = -1;
    if (p.n > 1 && p.p[0] == '.') {
        size_t n = 1;
        while (n < p.n && p.p[n] != '.' && p.p[n] != '[') {
            n++;
        }
        *ret_key = ar_str_n(p.p + 1, n - 1);
        *path = ar_str_from(p, n);
        return n > 1;
    }
    if (p.n > 2 && p.p[0] == '[') {
        size_t end = ar_str_find_char(p, ']');
        if (end >= p.n || end < 2) {
            return false;
        }
        struct ar_str in = ar_str_n(p.p + 1, end - 1);
        *path = ar_str_from(p, end + 1);
        if (in.n >= 2 && (in.p[0] == '\'' || in.p[0] == '"')) {
            *ret_key = ar_str_n(in.p + 1, in.n - 2);
            return true;
        }
        return ar_str_to_i64(in, 0, NODES_MAX, ret_index) == AR_OK;
    }
    return false;
}

static struct node *find(struct ar_reader *r, struct ar_str path)
{
    struct node *at = &r->args->root;
    struct ar_str key;
    int64_t index;
    if (path.n > 0 && path.p[0] == '$') {
        path = ar_str_from(path, 1);
    }
    for (unsigned i = 0; at && path.n > 0; i++) {
        if (i >= STEPS_MAX || !next_step(&path, &key, &index)) {
            return NULL;
        }
        at = child(r, at, key, index);
    }
    return at == &r->args->root ? NULL : at;
}

static void take_piece(struct ar_reader *r, struct ar_jval piece)
{
    struct ar_str path = ar_json_esc(ar_json_get_lit(piece, "jsonPath"));
    struct ar_jval text = ar_json_get_lit(piece, "stringValue"),
                   number = ar_json_get_lit(piece, "numberValue"),
                   flag = ar_json_get_lit(piece, "boolValue");
    struct node *at = find(r, ar_json_unescape_in(path, r->a));
    if (!at) {
        return;
    }
    struct ar_str add = ar_json_is(text, AR_J_STRING)     ? ar_json_esc(text)
                        : ar_json_is(number, AR_J_NUMBER) ? ar_json_raw(number)
                        : flag.doc                        ? ar_json_raw(flag)
                                                          : (struct ar_str){NULL, 0};
    at->is_string = at->is_string || ar_json_is(text, AR_J_STRING);
    r->args->bytes += add.n;
    if (r->args->bytes <= r->content_max) {
        ar_buf_str(&at->text, add);
    }
}

static void put_node(struct ar_jw *w, const struct node *n)
{
    if (n->first) {
        bool list = n->first->index >= 0;
        ar_jw_open(w, list ? '[' : '{');
        for (const struct node *c = n->first; c; c = c->next) {
            if (!list) {
                ar_jw_key_dec(w, c->key);
            }
            put_node(w, c);
        }
        ar_jw_close(w, list ? ']' : '}');
    } else if (n->is_string) {
        ar_jw_esc(w, ar_buf_view(&n->text));
    } else if (n->text.n > 0) {
        ar_jw_raw(w, ar_buf_view(&n->text));
    } else {
        ar_jw_null(w);
    }
}

void ar_gemini_end_pieces(struct ar_reader *r)
{
    struct ar_gemini_args *g = r->args;
    struct ar_buf out;
    if (!g || r->queue.ended) {
        return;
    }
    r->args = NULL;
    if (g->bytes > r->content_max) {
        ar_gemini_args_done(g);
        ar_queue_fail(&r->queue, AR_TOO_LARGE, "");
        return;
    }
    ar_buf_init(&out, r->content_max * 2 + 65536);
    struct ar_jw w = ar_jw_on(&out);
    if (g->root.first) {
        put_node(&w, &g->root);
    } else {
        ar_buf_lit(&out, "{}");
    }
    struct ar_str args = ar_arena_copy(r->a, ar_buf_view(&out));
    ar_buf_done(&out);
    ar_gemini_args_done(g);
    ar_gemini_put_call(r, g->id, g->name, args.p ? args : AR_LIT("{}"), g->sig);
}

static bool begin(struct ar_reader *r, struct ar_jval call, struct ar_str name,
                  struct ar_opaque *sig)
{
    struct ar_gemini_args *g = ar_arena_new(r->a, struct ar_gemini_args);
    if (!g) {
        ar_queue_fail(&r->queue, AR_TOO_LARGE, "");
        return false;
    }
    g->name = ar_arena_copy(r->a, ar_json_unescape_in(name, r->a));
    g->id =
        ar_arena_copy(r->a, ar_json_unescape_in(ar_json_esc(ar_json_get_lit(call, "id")), r->a));
    g->sig = sig;
    g->root.tail = &g->root.first;
    r->args = g;
    return true;
}

bool ar_gemini_read_piece(struct ar_reader *r, struct ar_jval call, struct ar_opaque *sig)
{
    struct ar_jval pieces = ar_json_get_lit(call, "partialArgs");
    struct ar_str name = ar_json_esc(ar_json_get_lit(call, "name"));
    bool more = ar_json_is(ar_json_get_lit(call, "willContinue"), AR_J_TRUE);
    bool partial = ar_json_is(pieces, AR_J_ARRAY) || more;
    if (!r->args && !partial) {
        return false;
    }
    if (r->args && name.n > 0) { /* another call: the one before it is over */
        ar_gemini_end_pieces(r);
        if (!partial) {
            return false;
        }
    }
    if (r->queue.ended || (!r->args && (name.n == 0 || !begin(r, call, name, sig)))) {
        return true;
    }
    r->args->sig = r->args->sig ? r->args->sig : sig;
    for (struct ar_jiter it = ar_json_iter(pieces); ar_json_next(&it);) {
        take_piece(r, it.val);
    }
    if (!more) {
        ar_gemini_end_pieces(r);
    }
    return true;
}
