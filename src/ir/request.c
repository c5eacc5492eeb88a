/*
 * Helpers of the canonical request: lists in wire order, and the one table between reasoning levels
 * and token budgets. The budget of a level lies inside the level's own range, so going there and
 * back is the identity.
 */
#include "ir/request.h"

struct ar_block *ar_block_new(struct ar_arena *a, enum ar_block_kind kind, struct ar_block ***tail)
{
    struct ar_block *b = ar_arena_new(a, struct ar_block);
    if (b) {
        b->kind = kind;
        **tail = b;
        *tail = &b->next;
    }
    return b;
}

struct ar_turn *ar_turn_new(struct ar_arena *a, enum ar_role role, struct ar_turn ***tail)
{
    struct ar_turn *t = ar_arena_new(a, struct ar_turn);
    if (t) {
        t->role = role;
        **tail = t;
        *tail = &t->next;
    }
    return t;
}

struct ar_name *ar_name_new(struct ar_arena *a, struct ar_str s, struct ar_name ***tail)
{
    struct ar_name *n = ar_arena_new(a, struct ar_name);
    if (n) {
        n->s = s;
        **tail = n;
        *tail = &n->next;
    }
    return n;
}

/* budget: what a level is worth; up_to: the largest budget that is the level. */
static const struct effort_row {
    const char *name;
    int64_t budget, up_to;
} EFFORTS[] = {
    [AR_EFFORT_UNSET] = {NULL, -1, INT64_MIN},     [AR_EFFORT_NONE] = {"none", 0, 0},
    [AR_EFFORT_MINIMAL] = {"minimal", 1024, 1536}, [AR_EFFORT_LOW] = {"low", 2048, 4096},
    [AR_EFFORT_MEDIUM] = {"medium", 8192, 12288},  [AR_EFFORT_HIGH] = {"high", 16384, 20480},
    [AR_EFFORT_XHIGH] = {"xhigh", 24576, 28672},   [AR_EFFORT_MAX] = {"max", 32768, INT64_MAX},
};
enum { EFFORT_COUNT = sizeof EFFORTS / sizeof EFFORTS[0] };

int64_t ar_effort_budget(enum ar_effort e)
{
    return EFFORTS[e].budget;
}

enum ar_effort ar_budget_effort(int64_t tokens)
{
    unsigned e = AR_EFFORT_NONE;
    while (tokens > EFFORTS[e].up_to) {
        e++;
    }
    return (enum ar_effort)e;
}

const char *ar_effort_name(enum ar_effort e)
{
    return EFFORTS[e].name;
}

enum ar_effort ar_effort_of(struct ar_str name)
{
    for (unsigned e = AR_EFFORT_NONE; e < EFFORT_COUNT; e++) {
        if (ar_str_is(name, ar_str_of(EFFORTS[e].name))) {
            return (enum ar_effort)e;
        }
    }
    return AR_EFFORT_UNSET;
}

bool ar_block_is_needed(const struct ar_block *b)
{
    static const struct ar_str NAMES[] = {AR_LIT_INIT("container_upload"),
                                          AR_LIT_INIT("item_reference"),
                                          AR_LIT_INIT("compaction_trigger")};
    for (size_t i = 0; b->kind == AR_OPAQUE_ITEM && i < sizeof NAMES / sizeof *NAMES; i++) {
        if (ar_str_is(b->name, NAMES[i])) {
            return true;
        }
    }
    return false;
}
