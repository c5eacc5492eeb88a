/*
 * Stop strings for upstreams that cannot take them. Matching is on decoded text, because a stop
 * string may be spelled with other escapes than the answer; what goes out is the answer's own
 * escaped text. Held back is only the longest tail that is the beginning of some stop string, so
 * never more than the longest one less a byte. The first match in order of its end wins, of those
 * the longest. Text of several blocks is one text: a match may begin in one block and end in the
 * next.
 */
#include "ir/units.h"

struct held_unit {
    unsigned b;
    uint8_t esc_n, dec_n;
};

void ar_stopper_init(struct ar_stopper *s, const struct ar_name *stops, size_t max_bytes)
{
    *s = (struct ar_stopper){.stops = stops};
    ar_buf_init(&s->esc, max_bytes);
    ar_buf_init(&s->dec, max_bytes);
    ar_buf_init(&s->units, max_bytes);
}

void ar_stopper_done(struct ar_stopper *s)
{
    ar_buf_done(&s->esc);
    ar_buf_done(&s->dec);
    ar_buf_done(&s->units);
}

static size_t count_of(const struct ar_stopper *s)
{
    return s->units.n / sizeof(struct held_unit);
}

static struct held_unit unit_at(const struct ar_stopper *s, size_t i)
{
    struct held_unit u;
    memcpy(&u, s->units.p + i * sizeof u, sizeof u);
    return u;
}

static const struct ar_name *match_at_end(const struct ar_stopper *s)
{
    const struct ar_name *best = NULL;
    for (const struct ar_name *n = s->stops; n; n = n->next) {
        if (n->s.n > 0 && ar_str_has_suffix(ar_buf_view(&s->dec), n->s) &&
            (!best || n->s.n > best->s.n)) {
            best = n;
        }
    }
    return best;
}

/* Bytes at the end that may be the beginning of a stop string. */
static size_t open_bytes(const struct ar_stopper *s)
{
    size_t most = 0;
    struct ar_str dec = ar_buf_view(&s->dec);
    for (const struct ar_name *n = s->stops; n; n = n->next) {
        size_t k = n->s.n > 0 ? n->s.n - 1 : 0;
        for (k = k < dec.n ? k : dec.n; k > most; k--) {
            if (dec.p[dec.n - 1] == n->s.p[k - 1] && memcmp(dec.p + dec.n - k, n->s.p, k) == 0) {
                most = k;
            }
        }
    }
    return most;
}

/* Lets go of all units but those of the last keep bytes. */
static void release(struct ar_stopper *s, size_t keep)
{
    size_t count = count_of(s), at = 0;
    s->free = 0;
    while (s->free < count && at + unit_at(s, s->free).dec_n + keep <= s->dec.n) {
        at += unit_at(s, s->free).dec_n;
        s->free++;
    }
}

/* Reads what is complete; stops at a match and forgets all from its beginning on. */
static void scan(struct ar_stopper *s, bool is_last)
{
    struct ar_str rest = ar_str_from(ar_buf_view(&s->esc), s->scanned);
    struct ar_unit u;
    while (!s->hit && ar_unit_next(&rest, is_last, &u)) {
        struct held_unit h = {s->b, (uint8_t)u.n, (uint8_t)u.dec_n};
        ar_buf_put(&s->units, &h, sizeof h);
        ar_buf_put(&s->dec, u.dec, u.dec_n);
        s->scanned += u.n;
        s->hit = match_at_end(s);
    }
    release(s, s->hit ? s->hit->s.n : open_bytes(s));
}

void ar_stopper_put(struct ar_stopper *s, unsigned b, struct ar_str esc)
{
    if (s->hit) {
        return;
    }
    if (b != s->b) {
        ar_stopper_seal(s);
        s->b = b;
    }
    if (s->hit) {
        return;
    }
    ar_buf_str(&s->esc, esc);
    scan(s, false);
}

void ar_stopper_seal(struct ar_stopper *s)
{
    scan(s, true);
}

void ar_stopper_flush(struct ar_stopper *s)
{
    scan(s, true);
    if (!s->hit) {
        release(s, 0);
    }
}

bool ar_stopper_take(struct ar_stopper *s, unsigned *ret_b, struct ar_buf *out)
{
    size_t esc_n = 0, dec_n = 0, n = 0;
    unsigned b = s->free > 0 ? unit_at(s, 0).b : 0;
    for (; n < s->free && unit_at(s, n).b == b; n++) {
        esc_n += unit_at(s, n).esc_n;
        dec_n += unit_at(s, n).dec_n;
    }
    if (n == 0) {
        return false;
    }
    ar_buf_put(out, s->esc.p, esc_n);
    ar_buf_eat(&s->esc, esc_n);
    ar_buf_eat(&s->dec, dec_n);
    ar_buf_eat(&s->units, n * sizeof(struct held_unit));
    s->scanned -= esc_n;
    s->free -= n;
    *ret_b = b;
    return true;
}

bool ar_stopper_holds(const struct ar_stopper *s, unsigned b)
{
    for (size_t i = 0; i < count_of(s); i++) {
        if (unit_at(s, i).b == b) {
            return true;
        }
    }
    return s->esc.n > s->scanned && s->b == b;
}

bool ar_stopper_is_full(const struct ar_stopper *s)
{
    return s->esc.overflowed || s->dec.overflowed || s->units.overflowed;
}
