/* Makes events by hand and shows answers as text, for the tests of ir/. */
#ifndef IR_EVENTS_H
#define IR_EVENTS_H

#include "ir/event.h"

static inline struct ar_event ev_of(enum ar_event_kind kind, unsigned b)
{
    return (struct ar_event){.kind = kind, .b = b};
}

static inline struct ar_event ev_text(unsigned b, enum ar_delta delta, struct ar_str text)
{
    return (struct ar_event){.kind = AR_EV_DELTA, .b = b, .delta = delta, .text = text};
}

static inline struct ar_event ev_block(unsigned b, const struct ar_block *block)
{
    return (struct ar_event){.kind = AR_EV_BLOCK_START, .b = b, .block = block};
}

static inline struct ar_event ev_stop(const struct ar_stop *stop)
{
    return (struct ar_event){.kind = AR_EV_STOP, .stop = stop};
}

/* "text:abc; call(id,name):{}; ... stop=0[seq]" */
static inline struct ar_str show_answer(const struct ar_response *r, struct ar_arena *a)
{
    static const char *const KINDS[] = {"text",  "image",   "document",   "audio",    "video",
                                        "call",  "result",  "think",      "redacted", "refusal",
                                        "scall", "sresult", "compaction", "opaque"};
    struct ar_str s = {"", 0};
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        s = ar_arena_fmt(a, "%.*s%s", AR_FMT(s), KINDS[b->kind]);
        if (b->kind == AR_TOOL_USE || b->kind == AR_SERVER_TOOL_USE) {
            s = ar_arena_fmt(a, "%.*s(%.*s,%.*s%s)", AR_FMT(s), AR_FMT(b->id), AR_FMT(b->name),
                             b->freeform ? ",freeform" : "");
        }
        s = ar_arena_fmt(a, "%.*s:%.*s%s%.*s%s%.*s; ", AR_FMT(s), AR_FMT(b->text),
                         b->citations.n > 0 ? " cites" : "", AR_FMT(b->citations),
                         b->sig ? " sig=" : "", AR_FMT(b->sig ? b->sig->data : AR_LIT("")));
    }
    return ar_arena_fmt(a, "%.*sstop=%d%.*s", AR_FMT(s), (int)r->stop.reason,
                        AR_FMT(r->stop.sequence));
}

#endif
