/*
 * A memo is a row of records, one a thinking block before the call and one for the call itself: a
 * letter for kind, vendor and form each, then text, family, account and data. A memo without
 * records says that the call went without, and stays so. Only calls are keyed: clients send their
 * ids back as they are, which is all that can be said of what clients keep. Thinking of an answer
 * without calls is not kept: no vendor demands it.
 */
#include "recall/signatures.h"

#include "recall/pack.h"

enum { TAP_BYTES = 4 << 20, RECORDS_MAX = 32, FIELDS = 5, KIND = 's' };

static bool is_thinking(const struct ar_block *b)
{
    return b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING;
}

/* A record's fields; letters: three bytes, the caller's. */
static unsigned put_record(const struct ar_block *b, char letters[3], struct ar_str *fields)
{
    const struct ar_opaque *o = b->sig;
    letters[0] = (char)('A' + (int)b->kind);
    letters[1] = (char)('A' + (int)o->vendor);
    letters[2] = (char)('A' + (int)o->form);
    fields[0] = ar_str_n(letters, 3);
    fields[1] = is_thinking(b) ? b->text : (struct ar_str){NULL, 0};
    fields[2] = o->family;
    fields[3] = o->account;
    fields[4] = o->data;
    return FIELDS;
}

/* What belongs to a call: signed thinking from `from` up to it, and its own. */
static struct ar_memo *pack_call(const struct ar_block *from, const struct ar_block *call)
{
    struct ar_str fields[RECORDS_MAX * FIELDS];
    char letters[RECORDS_MAX][3];
    unsigned n = 0, records = 0;
    for (const struct ar_block *b = from;; b = b->next) {
        if (b->sig && (is_thinking(b) || b == call) && records < RECORDS_MAX) {
            n += put_record(b, letters[records++], fields + n);
        }
        if (b == call) {
            break;
        }
    }
    return n > 0 ? ar_pack(fields, n) : NULL;
}

void ar_signatures_note(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                        const struct ar_response *r, int64_t now_ms)
{
    if (!ar_recall_is_on(t)) {
        return;
    }
    const struct ar_block *from = r->blocks;
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        if (b->kind != AR_TOOL_USE) {
            continue;
        }
        struct ar_memo *m = b->id.n > 0 ? pack_call(from, b) : NULL;
        if (m) {
            struct ar_recall_key key = ar_recall_key(tenant, KIND, b->id);
            (void)ar_recall_put(t, &key, m, now_ms);
        }
        from = b->next;
    }
}

static struct ar_str copy_field(struct ar_str s, struct ar_arena *a)
{
    return s.p ? ar_arena_copy(a, s) : s;
}

/* The next record of a memo as a block; NULL: none is left, or no memory. */
static struct ar_block *read_record(struct ar_str *rest, struct ar_arena *a)
{
    struct ar_str f[FIELDS];
    for (unsigned i = 0; i < FIELDS; i++) {
        if (!ar_unpack(rest, &f[i])) {
            return NULL;
        }
    }
    struct ar_block *b = ar_arena_new(a, struct ar_block);
    struct ar_opaque *o = ar_arena_new(a, struct ar_opaque);
    if (!b || !o) {
        return NULL;
    }
    *o = (struct ar_opaque){.vendor = (enum ar_vendor)(f[0].p[1] - 'A'),
                            .form = (enum ar_sig_form)(f[0].p[2] - 'A'),
                            .family = copy_field(f[2], a),
                            .account = copy_field(f[3], a),
                            .data = copy_field(f[4], a)};
    b->kind = (enum ar_block_kind)(f[0].p[0] - 'A');
    b->text = copy_field(f[1], a);
    b->sig = o;
    return b;
}

/* Puts the memo's blocks in at *at and the call's own signature on it. */
static bool apply(const struct ar_memo *m, enum ar_vendor vendor, struct ar_block **at,
                  struct ar_block *call, struct ar_arena *a)
{
    struct ar_str rest = ar_memo_view(m);
    bool some = false;
    for (struct ar_block *b; (b = read_record(&rest, a)) != NULL;) {
        if (b->sig->vendor != vendor) {
            continue;
        }
        some = true;
        if (b->kind == AR_TOOL_USE) {
            call->sig = b->sig;
        } else {
            b->next = *at;
            *at = b;
            at = &b->next;
        }
    }
    return some;
}

/* A call without anything of its own: *at is where its thinking goes. */
static bool restore_call(struct ar_recall_table *t, const struct ar_recall_key *key,
                         enum ar_vendor vendor, struct ar_block **at, struct ar_block *call,
                         struct ar_arena *a, int64_t now_ms)
{
    struct ar_memo *m = ar_recall_get(t, key, now_ms);
    if (!m) {
        (void)ar_recall_put_new(t, key, ar_memo_new(0), now_ms);
        return false;
    }
    bool some = apply(m, vendor, at, call, a);
    ar_memo_free(m);
    return some;
}

unsigned ar_signatures_restore(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                               struct ar_request *r, enum ar_vendor vendor, struct ar_arena *a,
                               int64_t now_ms)
{
    unsigned restored = 0;
    if (!ar_recall_is_on(t)) {
        return 0;
    }
    for (struct ar_turn *turn = r->turns; turn; turn = turn->next) {
        struct ar_block **at = &turn->blocks; /* of the first call's thinking: before the text */
        bool has_own = false;
        for (struct ar_block *b, **link = at; turn->role == AR_ASSISTANT && (b = *link) != NULL;) {
            has_own |= b->sig && b->sig->vendor == vendor;
            if (b->kind == AR_TOOL_USE) {
                struct ar_recall_key key = ar_recall_key(tenant, KIND, b->id);
                restored += !has_own && restore_call(t, &key, vendor, at, b, a, now_ms);
                has_own = false;
                at = &b->next;
            }
            link = &b->next;
        }
    }
    return restored;
}

void ar_signatures_forget(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                          const struct ar_request *r, int64_t now_ms)
{
    if (!ar_recall_is_on(t)) {
        return;
    }
    for (const struct ar_turn *turn = r->turns; turn; turn = turn->next) {
        for (const struct ar_block *b = turn->blocks; b; b = b->next) {
            if (b->kind == AR_TOOL_USE) {
                struct ar_recall_key key = ar_recall_key(tenant, KIND, b->id);
                (void)ar_recall_put(t, &key, ar_memo_new(0), now_ms);
            }
        }
    }
}

/* The fold numbers blocks without a gap: those that were let pass stand there empty. */
static bool fill_gap(struct ar_signature_tap *tap, unsigned b)
{
    static const struct ar_block EMPTY = {.kind = AR_TEXT, .text = AR_LIT_INIT("")};
    struct ar_event ev = {.kind = AR_EV_BLOCK_START, .block = &EMPTY};
    while (tap->blocks < b) {
        ev.b = tap->blocks++;
        if (ar_fold_put(tap->fold, &ev) != AR_OK) {
            return false;
        }
    }
    return true;
}

static bool begin_block(struct ar_signature_tap *tap, const struct ar_event *ev)
{
    bool wanted = ev->block && (is_thinking(ev->block) || ev->block->kind == AR_TOOL_USE);
    if (!wanted) {
        return true;
    }
    if (!tap->fold) {
        tap->fold = ar_fold_new(TAP_BYTES);
    }
    if (!fill_gap(tap, ev->b)) {
        return false;
    }
    tap->blocks = ev->b + 1;
    return ar_fold_put(tap->fold, ev) == AR_OK;
}

void ar_signature_tap_put(struct ar_signature_tap *tap, const struct ar_event *ev)
{
    bool good = true;
    if (tap->is_off) {
        return;
    }
    switch (ev->kind) {
    case AR_EV_BLOCK_START:
        good = begin_block(tap, ev);
        break;
    case AR_EV_DELTA:
        if (tap->fold && ev->b < tap->blocks &&
            (ev->delta == AR_D_THINKING || ev->delta == AR_D_SIGNATURE)) {
            good = ar_fold_put(tap->fold, ev) == AR_OK;
        }
        break;
    case AR_EV_BLOCK_END:
        good = !tap->fold || ev->b >= tap->blocks || ar_fold_put(tap->fold, ev) == AR_OK;
        break;
    case AR_EV_END:
    case AR_EV_ERROR:
        good = !tap->fold || ar_fold_put(tap->fold, ev) == AR_OK;
        break;
    default:
        break;
    }
    if (!good) {
        ar_signature_tap_done(tap);
        tap->is_off = true;
    }
}

void ar_signature_tap_note(struct ar_signature_tap *tap, struct ar_recall_table *t,
                           const struct ar_recall_key *tenant, int64_t now_ms)
{
    struct ar_arena a;
    struct ar_response *r;
    if (!tap->fold) {
        return;
    }
    ar_arena_init(&a, 2 * (size_t)TAP_BYTES);
    if (ar_fold_finish(tap->fold, &a, &r) == AR_OK) {
        ar_signatures_note(t, tenant, r, now_ms);
    }
    ar_arena_done(&a);
    ar_signature_tap_done(tap);
}

void ar_signature_tap_done(struct ar_signature_tap *tap)
{
    ar_fold_free(tap->fold);
    *tap = (struct ar_signature_tap){.is_off = tap->is_off};
}
