/*
 * Answer -> events: what a whole answer looks like to a client that asked for a stream. Borrows
 * everything; only copies of blocks without their text (what BLOCK_START shows) and escaped tool
 * inputs are made, in the caller's arena. Further candidates have no place in a stream of events
 * and are left out.
 */
#include "ir/event.h"

#include "json/scan.h"

enum stage { BEGIN, EARLY_USAGE, OPEN, TEXT, CITES, SIG, CLOSE, FINAL, LAST, OVER };
enum { POINTS_A_DELTA = 64 };

void ar_unfold_init(struct ar_unfold *u, const struct ar_response *r, struct ar_arena *a)
{
    *u = (struct ar_unfold){.r = r, .a = a, .at = r->blocks, .stage = BEGIN};
}

static bool is_input(const struct ar_block *b)
{
    return b->kind == AR_TOOL_USE || b->kind == AR_SERVER_TOOL_USE;
}

/* Signatures of these follow their text; of others (a call, redacted thinking) they come with the
 * start. */
static bool has_late_sig(const struct ar_block *b)
{
    return b->sig && (b->kind == AR_THINKING || b->kind == AR_TEXT);
}

static enum ar_delta delta_of(const struct ar_block *b)
{
    return is_input(b)              ? b->freeform ? AR_D_FREEFORM : AR_D_JSON
           : b->kind == AR_THINKING ? AR_D_THINKING
           : b->kind == AR_REFUSAL  ? AR_D_REFUSAL
                                    : AR_D_TEXT;
}

static const struct ar_name *cites_of(const struct ar_block *b, struct ar_arena *a)
{
    struct ar_jdoc doc;
    struct ar_name *list = NULL, **tail = &list;
    if (b->citations.n == 0 || ar_json_parse(b->citations, 1, a, &doc, NULL) != AR_OK) {
        return NULL;
    }
    struct ar_jiter it = ar_json_iter(ar_json_root(&doc));
    while (ar_json_next(&it)) {
        (void)ar_name_new(a, ar_json_raw(it.val), &tail);
    }
    return list;
}

static void open_block(struct ar_unfold *u, struct ar_event *ret)
{
    const struct ar_block *b = u->at;
    struct ar_block *meta = ar_arena_new(u->a, struct ar_block);
    if (meta) {
        *meta = *b;
        meta->next = NULL;
        meta->text = (struct ar_str){NULL, 0};
        u->cites = cites_of(b, u->a);
        if (u->cites) {
            meta->citations = (struct ar_str){NULL, 0};
        }
        if (has_late_sig(b)) {
            meta->sig = NULL;
        }
    }
    u->left = is_input(b) ? ar_json_escape_in(b->text, u->a) : b->text;
    *ret = (struct ar_event){.kind = AR_EV_BLOCK_START, .b = u->b, .block = meta ? meta : b};
}

static bool is_low_surrogate(struct ar_str s)
{
    return s.n >= 6 && s.p[0] == '\\' && s.p[1] == 'u' && (s.p[2] | 32) == 'd' &&
           ((s.p[3] | 32) >= 'c' && (s.p[3] | 32) <= 'f');
}

/* Bytes of the first code point or escape; a pair of surrogates is one. */
static size_t point_of(struct ar_str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = 1;
    if (c == '\\') {
        bool is_u = s.n >= 2 && s.p[1] == 'u';
        n = is_u ? 6 : 2;
        if (is_u && s.n >= 12 && (s.p[2] | 32) == 'd' && !is_low_surrogate(s) &&
            (s.p[3] == '8' || s.p[3] == '9' || (s.p[3] | 32) == 'a' || (s.p[3] | 32) == 'b') &&
            is_low_surrogate(ar_str_from(s, 6))) {
            n = 12;
        }
    } else if (c >= 0xc0) {
        n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    }
    return n < s.n ? n : s.n;
}

static void next_delta(struct ar_unfold *u, struct ar_event *ret)
{
    size_t n = u->at_once ? u->left.n : 0;
    for (int i = 0; i < POINTS_A_DELTA && n < u->left.n; i++) {
        n += point_of(ar_str_n(u->left.p + n, u->left.n - n));
    }
    *ret = (struct ar_event){.kind = AR_EV_DELTA, .delta = delta_of(u->at), .b = u->b};
    ret->text = ar_str_head(u->left, n);
    u->left = ar_str_from(u->left, n);
}

/* One step inside the open block; false: nothing at this stage. */
static bool step_block(struct ar_unfold *u, struct ar_event *ret)
{
    switch (u->stage) {
    case TEXT:
        if (u->left.n == 0) {
            return false;
        }
        next_delta(u, ret);
        return true;
    case CITES:
        if (!u->cites) {
            return false;
        }
        *ret = (struct ar_event){
            .kind = AR_EV_DELTA, .delta = AR_D_CITATION, .b = u->b, .text = u->cites->s};
        u->cites = u->cites->next;
        return true;
    case SIG:
        if (!has_late_sig(u->at)) {
            return false;
        }
        *ret = (struct ar_event){
            .kind = AR_EV_DELTA, .delta = AR_D_SIGNATURE, .b = u->b, .opaque = u->at->sig};
        u->stage = CLOSE;
        return true;
    default:
        *ret = (struct ar_event){.kind = AR_EV_BLOCK_END, .b = u->b};
        u->at = u->at->next;
        u->b++;
        u->stage = OPEN;
        return true;
    }
}

static bool step_ends(struct ar_unfold *u, struct ar_event *ret)
{
    const struct ar_response *r = u->r;
    switch (u->stage) {
    case BEGIN:
        *ret = (struct ar_event){.kind = AR_EV_START, .answer = r};
        u->stage = EARLY_USAGE;
        return true;
    case EARLY_USAGE:
        *ret = (struct ar_event){.kind = AR_EV_USAGE, .usage = &r->usage};
        u->stage = OPEN;
        return r->usage.in_total >= 0;
    case FINAL:
        *ret = (struct ar_event){.kind = AR_EV_STOP, .stop = &r->stop, .answer = r};
        ret->usage = ar_usage_is_known(&r->usage) ? &r->usage : NULL;
        u->stage = LAST;
        return true;
    default:
        *ret = (struct ar_event){.kind = AR_EV_END};
        u->stage = OVER;
        return true;
    }
}

bool ar_unfold_next(struct ar_unfold *u, struct ar_event *ret)
{
    while (u->stage != OVER) {
        if (u->stage == OPEN) {
            if (u->at) {
                open_block(u, ret);
                u->stage = TEXT;
                return true;
            }
            u->stage = FINAL;
        }
        if (u->stage >= TEXT && u->stage <= CLOSE) {
            if (step_block(u, ret)) {
                return true;
            }
            u->stage++;
        } else if (step_ends(u, ret)) {
            return true;
        }
    }
    return false;
}
