/*
 * Sealing a request: every call gets its one result, directly after it. Vendors refuse a history in
 * which they are apart, and clients send such histories after interruptions, compaction and edits.
 * Two passes: the first pairs results with the latest earlier call of the same id (ids come back in
 * long histories) and counts what has to change; the second relinks the turns. The outcome depends
 * on the history alone, and a well-formed one is relinked exactly as it was. Linear in blocks.
 */
#include "ir/loss.h"
#include "ir/request.h"

#include "base/map.h"
#include "json/scan.h"

/* A tool_use of an assistant turn. */
struct call {
    struct call *next;        /* of the same turn */
    struct call *twin;        /* later one of the same turn and id */
    struct call *last, *open; /* first of the twins: the last one, the first without a result */
    const struct ar_turn *of;
    struct ar_block *use, *result; /* result NULL: none yet */
    unsigned nth;                  /* call of this id in the history, from 0 */
};

enum finding { PAIRED, ORPHAN, DUPLICATE };

/* A tool_result, in wire order. */
struct found {
    struct found *next;
    struct call *call; /* PAIRED */
    const struct ar_turn *in;
    enum finding what;
};

/* Calls of one assistant turn, in turn order. */
struct group {
    struct group *next;
    const struct ar_turn *of;
    struct call *calls;
};

struct sealing {
    struct ar_arena *a;
    struct ar_map open; /* id -> struct call: the latest one */
    struct group *groups, **group_tail;
    struct found *found, **found_tail;
    bool has_odd, has_missing, failed;
};

/* Anthropic wants ids that are unique in a history; some upstreams count anew in each answer, or
 * send none. */
static void make_unique(struct sealing *s, struct ar_block *use, unsigned nth)
{
    struct ar_str id = ar_arena_fmt(s->a, "%.*s_%u", AR_FMT(use->id), nth + 1);
    s->failed = s->failed || !id.p;
    use->id = id;
}

static void note_call(struct sealing *s, const struct ar_turn *t, struct ar_block *use,
                      struct call ***tail)
{
    struct call *c = ar_arena_new(s->a, struct call);
    if (!c) {
        s->failed = true;
        return;
    }
    c->of = t;
    c->use = use;
    **tail = c;
    *tail = &c->next;
    struct call *head = ar_map_get(&s->open, use->id);
    const struct call *before = head ? head->last : NULL;
    if (head && head->of == t) {
        head->last->twin = c;
        head->last = c;
        head->open = head->open ? head->open : c;
    } else {
        c->last = c->open = c;
        ar_map_put(&s->open, use->id, c);
    }
    if (before) {
        c->nth = before->nth + 1;
        make_unique(s, use, c->nth);
    }
}

static void note_result(struct sealing *s, const struct ar_turn *t, struct ar_block *result)
{
    struct found *f = ar_arena_new(s->a, struct found);
    if (!f) {
        s->failed = true;
        return;
    }
    f->in = t;
    struct call *head = ar_map_get(&s->open, result->id), *c = head ? head->open : NULL;
    f->what = head ? DUPLICATE : ORPHAN;
    if (c) {
        c->result = result;
        head->open = c->twin;
        f->call = c;
        f->what = PAIRED;
        result->id = c->use->id;
        result->name = result->name.p ? result->name : c->use->name;
    }
    s->has_odd = s->has_odd || f->what != PAIRED;
    *s->found_tail = f;
    s->found_tail = &f->next;
}

static void pair(struct sealing *s, const struct ar_request *r)
{
    for (struct ar_turn *t = r->turns; t && !s->failed; t = t->next) {
        struct call *calls = NULL, **tail = &calls;
        for (struct ar_block *b = t->blocks; b && !s->failed; b = b->next) {
            if (b->kind == AR_TOOL_USE && t->role == AR_ASSISTANT) {
                note_call(s, t, b, &tail);
            } else if (b->kind == AR_TOOL_RESULT) {
                note_result(s, t, b);
            }
        }
        if (calls) {
            struct group *g = ar_arena_new(s->a, struct group);
            s->failed = s->failed || !g;
            if (g) {
                g->of = t;
                g->calls = calls;
                *s->group_tail = g;
                s->group_tail = &g->next;
            }
        }
    }
    for (const struct group *g = s->groups; g; g = g->next) {
        for (const struct call *c = g->calls; c && g->of->next; c = c->next) {
            s->has_missing = s->has_missing || !c->result;
        }
    }
}

/* The result's texts as one block of text that says what it was; its media follow it. Returns the
 * last block. */
static struct ar_block *as_text(struct sealing *s, struct ar_block *b)
{
    struct ar_buf out;
    ar_buf_init(&out, s->a->max_bytes);
    ar_buf_lit(&out, "[tool result for ");
    ar_json_escape(b->id, &out);
    ar_buf_lit(&out, "]\\n");
    ar_buf_str(&out, b->text);
    struct ar_block *media = NULL, **tail = &media, *last = b;
    bool first = b->text.n == 0;
    for (struct ar_block *in = b->inner, *next; in; in = next) {
        next = in->next;
        in->next = NULL;
        if (in->kind == AR_TEXT) {
            ar_buf_str(&out, first ? (struct ar_str){NULL, 0} : AR_LIT("\\n"));
            ar_buf_str(&out, in->text);
            first = false;
        } else {
            *tail = last = in;
            tail = &in->next;
        }
    }
    struct ar_block *after = b->next;
    struct ar_str text = ar_arena_copy(s->a, ar_buf_view(&out));
    s->failed = s->failed || !text.p || out.overflowed;
    ar_buf_done(&out);
    *b = (struct ar_block){.kind = AR_TEXT, .text = text, .cache_ttl = b->cache_ttl, .next = media};
    last->next = after;
    return last;
}

/* What stands for a result that never came. */
static struct ar_block *synthetic(struct sealing *s, const struct call *c)
{
    struct ar_block *b = ar_arena_new(s->a, struct ar_block);
    struct ar_block *text = ar_arena_new(s->a, struct ar_block);
    if (!b || !text) {
        s->failed = true;
        return NULL;
    }
    *text = (struct ar_block){.kind = AR_TEXT, .text = AR_LIT("Tool call was not executed.")};
    *b = (struct ar_block){
        .kind = AR_TOOL_RESULT, .inner = text, .id = c->use->id, .is_error = true};
    b->name = c->use->name;
    b->is_plain = true;
    return b;
}

/* Takes results that have a call out of the turn, and turns the others into text. at: found entries
 * from the turn on. */
static const struct found *sift(struct sealing *s, struct ar_turn *t, const struct found *at)
{
    struct ar_block **link = &t->blocks;
    while (*link && !s->failed) {
        struct ar_block *b = *link;
        if (b->kind != AR_TOOL_RESULT) {
            link = &b->next;
        } else if (at->what == PAIRED) {
            *link = b->next;
            at = at->next;
        } else {
            link = &as_text(s, b)->next;
            at = at->next;
        }
    }
    return at;
}

/* The results of a group in call order, linked; *ret_tail: where the list goes on. NULL: none. */
static struct ar_block *results_of(struct sealing *s, const struct group *g,
                                   struct ar_block ***ret_tail)
{
    struct ar_block *first = NULL, **tail = &first;
    *ret_tail = NULL;
    for (const struct call *c = g->calls; c && !s->failed; c = c->next) {
        struct ar_block *b = c->result;
        if (!b && g->of->next) {
            b = synthetic(s, c);
        }
        if (b) {
            b->next = NULL;
            *tail = b;
            tail = &b->next;
            *ret_tail = tail;
        }
    }
    return first;
}

/* Does the turn hold a result of the group? has: found entries from the turn on. */
static bool answers(const struct ar_turn *t, const struct group *g, const struct found *has)
{
    for (; has && has->in == t; has = has->next) {
        if (has->what == PAIRED && has->call->of == g->of) {
            return true;
        }
    }
    return false;
}

/* Puts the group's results after its turn t: at the front of the next turn if that answers it, else
 * in a turn of their own. has: found entries of the next turn. Returns the turn to go on after. */
static struct ar_turn *place(struct sealing *s, const struct group *g, struct ar_turn *t,
                             const struct found *has)
{
    struct ar_block **tail, *first = results_of(s, g, &tail);
    struct ar_turn *next = t->next;
    if (!first || s->failed) {
        return t;
    }
    if (next && next->role == AR_USER && answers(next, g, has)) {
        *tail = next->blocks;
        next->blocks = first;
        return t;
    }
    struct ar_turn *own = ar_arena_new(s->a, struct ar_turn);
    if (!own) {
        s->failed = true;
        return t;
    }
    *own = (struct ar_turn){.next = next, .role = AR_USER, .blocks = first};
    t->next = own;
    return own;
}

static void relink(struct sealing *s, struct ar_request *r)
{
    const struct found *at = s->found;
    for (struct ar_turn *t = r->turns; t && !s->failed; t = t->next) {
        at = sift(s, t, at);
    }
    at = s->found;
    const struct group *g = s->groups;
    struct ar_turn **link = &r->turns;
    while (*link && !s->failed) {
        struct ar_turn *t = *link;
        bool had_results = at && at->in == t;
        while (at && at->in == t) {
            at = at->next;
        }
        if (had_results && !t->blocks) {
            *link = t->next; /* all it held went elsewhere */
            continue;
        }
        if (g && g->of == t) {
            t = place(s, g, t, at);
            g = g->next;
        }
        link = &t->next;
    }
}

/* More than any vendor takes: the encoders compare the lists with each other. */
static enum ar_code check_lists(const struct ar_request *r, struct ar_err *err)
{
    enum { TOOLS_MAX = 4096, NAMES_MAX = 1024 };
    unsigned tools = 0, names = 0;
    for (const struct ar_tool *t = r->tools; t; t = t->next) {
        tools++;
    }
    for (const struct ar_name *n = r->set.choice_names; n; n = n->next) {
        names++;
    }
    if (tools > TOOLS_MAX) {
        return ar_fail(err, AR_INVALID_REQUEST, "%u tools are too many: at most %d", tools,
                       (int)TOOLS_MAX);
    }
    return names > NAMES_MAX
               ? ar_fail(err, AR_INVALID_REQUEST,
                         "%u tools to choose from are too many: at most %d", names, (int)NAMES_MAX)
               : AR_OK;
}

enum ar_code ar_request_seal(struct ar_request *r, struct ar_arena *a, struct ar_losses *l,
                             struct ar_err *err)
{
    if (r->sealed) {
        return AR_OK;
    }
    enum ar_code code = check_lists(r, err);
    if (code != AR_OK) {
        return code;
    }
    struct sealing s = {.a = a};
    s.group_tail = &s.groups;
    s.found_tail = &s.found;
    ar_map_init(&s.open, 0);
    pair(&s, r);
    if (s.has_odd && !s.failed) {
        code = ar_lose(l, AR_FATE_WARN, AR_APPROXIMATED, "messages",
                       "a tool result has no call of its own");
    }
    if (s.has_missing && !s.failed && code == AR_OK) {
        code = ar_lose(l, AR_FATE_WARN, AR_EMULATED, "messages", "a tool call has no result");
    }
    if (code == AR_OK && !s.failed) {
        relink(&s, r);
    }
    ar_map_done(&s.open);
    if (s.failed) {
        return ar_fail(err, AR_TOO_LARGE, "the request does not fit into its memory");
    }
    if (code != AR_OK) {
        return ar_fail(err, code, "%s", l ? l->why : "tool calls and results do not match");
    }
    r->sealed = true;
    return AR_OK;
}
