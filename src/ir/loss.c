/*
 * The list of losses is text from the start, in the form of the warnings header, because that is
 * all that is ever done with it. A field name may come from the client, so bytes that could break a
 * header line or the list become '_'. Never refuses by itself: the caller returns what ar_lose
 * returns.
 */
#include "ir/loss.h"

#include <stdio.h>

static const char *const NAMES[] = {"dropped",      "clamped", "emulated",
                                    "approximated", "inlined", "renamed"};
static const char CUT[] = ",truncated";

/* "dropped:top_k", safe in a header; cut to fit. */
static struct ar_str spell(enum ar_loss what, const char *field, char *ret, size_t size)
{
    int n =
        snprintf(ret, size, "%s%s%s", NAMES[what], field && *field ? ":" : "", field ? field : "");
    size_t len = n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
    for (size_t i = 0; i < len; i++) {
        if (ret[i] <= ' ' || ret[i] > '~' || ret[i] == ',') {
            ret[i] = '_';
        }
    }
    return ar_str_n(ret, len);
}

static bool is_listed(const struct ar_losses *l, struct ar_str one)
{
    struct ar_str rest = {l->text, l->n}, piece;
    while (ar_str_split(&rest, ',', &piece)) {
        if (ar_str_is(ar_str_trim(piece), one)) {
            return true;
        }
    }
    return false;
}

static void add(struct ar_losses *l, struct ar_str one)
{
    const size_t room = sizeof l->text - sizeof CUT; /* the mark always fits */
    struct ar_str have = {l->text, l->n};
    if (one.n == 0 || ar_str_has_suffix(have, ar_str_of(CUT)) || is_listed(l, one)) {
        return;
    }
    if (l->n + 2 + one.n > room) {
        memcpy(l->text + l->n, CUT, sizeof CUT);
        l->n += sizeof CUT - 1;
        return;
    }
    if (l->n > 0) {
        memcpy(l->text + l->n, ", ", 2);
        l->n += 2;
    }
    memcpy(l->text + l->n, one.p, one.n);
    l->n += one.n;
    l->text[l->n] = '\0';
}

void ar_note(struct ar_losses *l, enum ar_loss what, const char *field)
{
    char one[128];
    if (l) {
        add(l, spell(what, field, one, sizeof one));
    }
}

static enum ar_code refuse(struct ar_losses *l, const char *field, const char *why)
{
    if (!l->refused) { /* the first one is told */
        l->refused = true;
        (void)snprintf(l->field, sizeof l->field, "%s", field ? field : "");
        (void)snprintf(l->why, sizeof l->why, "%s", why ? why : "");
    }
    return AR_LOSSY;
}

enum ar_code ar_lose(struct ar_losses *l, enum ar_fate fate, enum ar_loss what, const char *field,
                     const char *why)
{
    if (fate == AR_FATE_SILENT) {
        return AR_OK;
    }
    if (!l) {
        return fate == AR_FATE_REJECT ? AR_LOSSY : AR_OK;
    }
    if (fate == AR_FATE_REJECT || l->strict) {
        return refuse(l, field, why);
    }
    ar_note(l, what, field);
    return AR_OK;
}

void ar_losses_merge(struct ar_losses *l, const struct ar_losses *from)
{
    struct ar_str rest = {from->text, from->n}, piece;
    bool cut = ar_str_has_suffix(rest, ar_str_of(CUT));
    rest.n -= cut ? sizeof CUT - 1 : 0;
    while (ar_str_split(&rest, ',', &piece)) {
        add(l, ar_str_trim(piece));
    }
    if (cut && !ar_str_has_suffix(ar_str_n(l->text, l->n), ar_str_of(CUT))) {
        memcpy(l->text + l->n, CUT, sizeof CUT);
        l->n += sizeof CUT - 1;
    }
}
