/*
 * Deep copies. Each follows the fields of its struct one by one, so that a new pointer in a block
 * is seen to be missing here: it would dangle. Failure is the arena's mark; copies are then partial
 * and must not be used.
 */
#include "ir/copy.h"

struct ar_str ar_copy_str(struct ar_str s, struct ar_arena *a)
{
    return s.p ? ar_arena_copy(a, s) : s;
}

struct ar_opaque *ar_copy_opaque(const struct ar_opaque *o, struct ar_arena *a)
{
    struct ar_opaque *c = o ? ar_arena_new(a, struct ar_opaque) : NULL;
    if (c) {
        *c = *o;
        c->family = ar_copy_str(o->family, a);
        c->account = ar_copy_str(o->account, a);
        c->data = ar_copy_str(o->data, a);
    }
    return c;
}

static struct ar_media *copy_media(const struct ar_media *m, struct ar_arena *a)
{
    struct ar_media *c = m ? ar_arena_new(a, struct ar_media) : NULL;
    if (c) {
        *c = *m;
        c->mime = ar_copy_str(m->mime, a);
        c->data = ar_copy_str(m->data, a);
        c->title = ar_copy_str(m->title, a);
        c->context = ar_copy_str(m->context, a);
        c->detail = ar_copy_str(m->detail, a);
    }
    return c;
}

static struct ar_block *copy_list(const struct ar_block *b, struct ar_arena *a)
{
    struct ar_block *first = NULL, **link = &first;
    for (; b; b = b->next) {
        *link = ar_copy_block(b, a);
        if (!*link) {
            break;
        }
        link = &(*link)->next;
    }
    return first;
}

struct ar_block *ar_copy_block(const struct ar_block *b, struct ar_arena *a)
{
    struct ar_block *c = b ? ar_arena_new(a, struct ar_block) : NULL;
    if (c) {
        *c = *b;
        c->next = NULL;
        c->inner = copy_list(b->inner, a);
        c->text = ar_copy_str(b->text, a);
        c->id = ar_copy_str(b->id, a);
        c->name = ar_copy_str(b->name, a);
        c->ns = ar_copy_str(b->ns, a);
        c->item_id = ar_copy_str(b->item_id, a);
        c->phase = ar_copy_str(b->phase, a);
        c->meta = ar_copy_str(b->meta, a);
        c->cache_ttl = ar_copy_str(b->cache_ttl, a);
        c->citations = ar_copy_str(b->citations, a);
        c->raw = ar_copy_str(b->raw, a);
        c->media = copy_media(b->media, a);
        c->sig = ar_copy_opaque(b->sig, a);
    }
    return c;
}

struct ar_stop ar_copy_stop(const struct ar_stop *s, struct ar_arena *a)
{
    struct ar_stop c = *s;
    c.sequence = ar_copy_str(s->sequence, a);
    c.category = ar_copy_str(s->category, a);
    c.explanation = ar_copy_str(s->explanation, a);
    c.native = ar_copy_str(s->native, a);
    return c;
}

struct ar_response *ar_copy_response(const struct ar_response *r, struct ar_arena *a)
{
    struct ar_response *first = NULL, **link = &first;
    for (; r; r = r->more) {
        struct ar_response *c = ar_arena_new(a, struct ar_response);
        if (!c) {
            break;
        }
        *c = *r;
        c->more = NULL;
        c->id = ar_copy_str(r->id, a);
        c->model = ar_copy_str(r->model, a);
        c->service_tier = ar_copy_str(r->service_tier, a);
        c->logprobs = ar_copy_str(r->logprobs, a);
        c->grounding = ar_copy_str(r->grounding, a);
        c->safety = ar_copy_str(r->safety, a);
        c->stop = ar_copy_stop(&r->stop, a);
        c->blocks = copy_list(r->blocks, a);
        *link = c;
        link = &c->more;
    }
    return first;
}
