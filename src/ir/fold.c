/*
 * Events -> answer. Blocks are found by number, each with a buffer of its escaped text; what an
 * event points to is copied at once into the fold's own arena. All of it together stays under one
 * cap. At the end the answer is copied into the caller's arena, so the fold can go. Never decides
 * what a missing piece means: without END there is no answer.
 */
#include "ir/event.h"

#include "ir/copy.h"
#include "json/scan.h"

#include <stdlib.h>

struct part {
    struct ar_block *meta; /* fold's arena */
    struct ar_buf text, citations;
};

struct ar_fold {
    struct ar_arena a;
    struct part *parts;
    unsigned count, cap;
    size_t used_bytes, max_bytes; /* of all part buffers */
    struct ar_response head;      /* id, model, created, stop, usage */
    struct ar_response *whole;    /* WHOLE was put */
    bool is_ended, has_failed;
};

struct ar_fold *ar_fold_new(size_t max_bytes)
{
    struct ar_fold *f = calloc(1, sizeof *f);
    AR_ASSERT(f != NULL);
    ar_arena_init(&f->a, max_bytes);
    f->max_bytes = max_bytes;
    ar_usage_clear(&f->head.usage);
    return f;
}

void ar_fold_free(struct ar_fold *f)
{
    if (!f) {
        return;
    }
    for (unsigned i = 0; i < f->count; i++) {
        ar_buf_done(&f->parts[i].text);
        ar_buf_done(&f->parts[i].citations);
    }
    free(f->parts);
    ar_arena_done(&f->a);
    free(f);
}

/* Part b, made when it is the next one; NULL: out of order, or too many. */
static struct part *part_of(struct ar_fold *f, unsigned b)
{
    if (b < f->count) {
        return &f->parts[b];
    }
    if (b > f->count || f->count >= f->max_bytes / sizeof *f->parts) {
        return NULL;
    }
    if (f->count == f->cap) {
        unsigned cap = f->cap > 0 ? f->cap * 2 : 8;
        struct part *p = realloc(f->parts, cap * sizeof *p);
        AR_ASSERT(p != NULL);
        f->parts = p;
        f->cap = cap;
    }
    struct part *p = &f->parts[f->count++];
    *p = (struct part){NULL, {.max = f->max_bytes}, {.max = f->max_bytes}};
    return p;
}

static void append(struct ar_fold *f, struct ar_buf *to, struct ar_str s)
{
    f->used_bytes += s.n;
    if (f->used_bytes > f->max_bytes) {
        f->a.overflowed = true;
        return;
    }
    ar_buf_str(to, s);
}

static void put_delta(struct ar_fold *f, struct part *p, const struct ar_event *ev)
{
    switch (ev->delta) {
    case AR_D_CITATION:
        if (p->citations.n > 0) {
            append(f, &p->citations, AR_LIT(","));
        }
        append(f, &p->citations, ev->text);
        break;
    case AR_D_SIGNATURE:
        if (p->meta && ev->opaque) {
            p->meta->sig = ar_copy_opaque(ev->opaque, &f->a);
        }
        break;
    case AR_D_OPAQUE:
        break; /* part of a block whose whole only its own dialect knows */
    case AR_D_TEXT:
    case AR_D_THINKING:
    case AR_D_JSON:
    case AR_D_FREEFORM:
    case AR_D_REFUSAL:
        append(f, &p->text, ev->text);
        break;
    }
}

/* What only the end of a block tells. */
static void put_end(struct ar_fold *f, struct part *p, const struct ar_block *end)
{
    if (!p->meta || !end) {
        return;
    }
    if (end->sig) {
        p->meta->sig = ar_copy_opaque(end->sig, &f->a);
    }
    if (end->citations.p) {
        p->meta->citations = ar_copy_str(end->citations, &f->a);
    }
    if (end->raw.p) {
        p->meta->raw = ar_copy_str(end->raw, &f->a);
    }
}

static void put_start(struct ar_fold *f, const struct ar_response *r)
{
    if (r) {
        f->head.id = ar_copy_str(r->id, &f->a);
        f->head.model = ar_copy_str(r->model, &f->a);
        f->head.service_tier = ar_copy_str(r->service_tier, &f->a);
        f->head.created_unix = r->created_unix;
    }
}

static void put_block(struct ar_fold *f, const struct ar_event *ev)
{
    struct part *p = part_of(f, ev->b);
    if (!p) {
        f->a.overflowed = true;
    } else if (ev->kind == AR_EV_BLOCK_START) {
        p->meta = ar_copy_block(ev->block, &f->a);
    } else if (ev->kind == AR_EV_DELTA) {
        put_delta(f, p, ev);
    } else {
        put_end(f, p, ev->block);
    }
}

enum ar_code ar_fold_put(struct ar_fold *f, const struct ar_event *ev)
{
    switch (ev->kind) {
    case AR_EV_START:
        put_start(f, ev->answer);
        break;
    case AR_EV_BLOCK_START:
    case AR_EV_DELTA:
    case AR_EV_BLOCK_END:
        put_block(f, ev);
        break;
    case AR_EV_STOP:
        if (ev->stop) {
            f->head.stop = ar_copy_stop(ev->stop, &f->a);
            f->head.has_stop = true;
        }
        if (ev->answer) {
            f->head.grounding = ar_copy_str(ev->answer->grounding, &f->a);
            f->head.safety = ar_copy_str(ev->answer->safety, &f->a);
            f->head.logprobs = ar_copy_str(ev->answer->logprobs, &f->a);
        }
        __attribute__((fallthrough));
    case AR_EV_USAGE:
        if (ev->usage) {
            ar_usage_merge(&f->head.usage, ev->usage);
        }
        break;
    case AR_EV_WHOLE:
        f->whole = ar_copy_response(ev->answer, &f->a);
        break;
    case AR_EV_ERROR:
        f->has_failed = true;
        break;
    case AR_EV_END:
        f->is_ended = true;
        break;
    case AR_EV_PING:
    case AR_EV_RAW:
        break;
    }
    return ar_arena_finish(&f->a);
}

/* Input of a call is kept decoded, other text escaped. */
static bool is_input(const struct ar_block *b)
{
    return b->kind == AR_TOOL_USE || b->kind == AR_SERVER_TOOL_USE;
}

static struct ar_block *finish_part(const struct part *p, struct ar_arena *a)
{
    struct ar_block *b = ar_copy_block(p->meta, a);
    if (!b) {
        return NULL;
    }
    if (p->text.n > 0) {
        struct ar_str text = ar_arena_copy(a, ar_buf_view(&p->text));
        b->text = is_input(b) && text.p ? ar_json_unescape_in(text, a) : text;
    } else if (!b->text.p && (is_input(b) || b->kind == AR_TEXT || b->kind == AR_THINKING)) {
        b->text = AR_LIT("");
    }
    if (p->citations.n > 0) {
        b->citations = ar_arena_fmt(a, "[%.*s]", AR_FMT(ar_buf_view(&p->citations)));
    }
    return b;
}

enum ar_code ar_fold_finish(struct ar_fold *f, struct ar_arena *a, struct ar_response **ret)
{
    if (f->a.overflowed) {
        return AR_TOO_LARGE;
    }
    if (!f->is_ended || f->has_failed) {
        return AR_UPSTREAM_TRUNCATED;
    }
    struct ar_response *r = ar_copy_response(f->whole ? f->whole : &f->head, a);
    if (r && !f->whole) {
        struct ar_block **link = &r->blocks;
        for (unsigned i = 0; i < f->count; i++) {
            if (f->parts[i].meta && (*link = finish_part(&f->parts[i], a))) {
                link = &(*link)->next;
            }
        }
    }
    if (!r || a->overflowed) {
        return AR_TOO_LARGE;
    }
    *ret = r;
    return AR_OK;
}
