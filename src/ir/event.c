/*
 * Which event ends the freedom to fail over: the first that shows the client something of the
 * answer itself. What only opens an answer (its id, a role, an empty block) or keeps a connection
 * alive does not.
 */
#include "ir/event.h"

/* A block that shows something by its beginning alone. */
static bool shows_at_start(const struct ar_block *b)
{
    return b && b->kind != AR_TEXT && b->kind != AR_THINKING && b->kind != AR_REFUSAL;
}

static bool shows(const struct ar_event *ev)
{
    switch (ev->delta) {
    case AR_D_SIGNATURE:
        return ev->opaque != NULL;
    case AR_D_TEXT:
    case AR_D_THINKING:
    case AR_D_JSON:
    case AR_D_FREEFORM:
    case AR_D_REFUSAL:
    case AR_D_CITATION:
    case AR_D_OPAQUE:
        return ev->text.n > 0;
    }
    return true;
}

bool ar_event_commits(const struct ar_event *ev)
{
    switch (ev->kind) {
    case AR_EV_START:
    case AR_EV_USAGE:
    case AR_EV_PING:
    case AR_EV_RAW:
    case AR_EV_ERROR:
        return false;
    case AR_EV_BLOCK_START:
        return shows_at_start(ev->block);
    case AR_EV_DELTA:
        return shows(ev);
    case AR_EV_BLOCK_END:
        return ev->block && (ev->block->sig || ev->block->citations.n > 0);
    case AR_EV_STOP:
    case AR_EV_WHOLE:
    case AR_EV_END:
        return true;
    }
    return true;
}
