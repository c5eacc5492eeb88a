/*
 * A custom tool's input was asked for as {"input": string}, and comes back as JSON text, itself
 * escaped, in pieces. Two layers are taken apart without a copy of the whole: each piece is decoded
 * to bytes of the JSON text; those run through the wrapper's tokens; inside the string they are
 * escaped text again, which is the form that deltas have. A text that is not the wrapper is given
 * back whole at the end: models sometimes answer with other JSON. Never cuts inside an escape or a
 * sequence.
 */
#include "ir/units.h"

#include "json/scan.h"

/* Stages below STRING are the wrapper's tokens; white space may stand before each. */
static const char *const TOKENS[] = {"{", "\"input\"", ":", "\""};
enum { STRING = sizeof TOKENS / sizeof TOKENS[0], AFTER, OTHER };

void ar_freeform_init(struct ar_freeform *f, size_t max_bytes)
{
    *f = (struct ar_freeform){.stage = 0};
    ar_buf_init(&f->work, max_bytes);
    ar_buf_init(&f->seen, max_bytes);
}

void ar_freeform_done(struct ar_freeform *f)
{
    ar_buf_done(&f->work);
    ar_buf_done(&f->seen);
}

/* One byte of the wrapper. */
static void match(struct ar_freeform *f, char c)
{
    const char *token = TOKENS[f->stage];
    ar_buf_char(&f->seen, c);
    if (f->at == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
        return;
    }
    if (c != token[f->at]) {
        f->stage = OTHER;
        return;
    }
    if (token[++f->at] == '\0') {
        f->stage++;
        f->at = 0;
    }
}

/* Is the escape in f->esc complete? Then *ret_n bytes of it go together; 0: it is none, the model's
 * backslash is a plain one. A high surrogate waits for its low one: cut apart, both would be lost.
 */
static bool judge(const struct ar_freeform *f, size_t *ret_n)
{
    static const char SIMPLE[] = "\"\\/bfnrt";
    struct ar_str rest = {f->esc, f->esc_n};
    struct ar_unit u;
    *ret_n = 0;
    if (f->esc_n < 2) {
        return false;
    }
    if (f->esc[1] != 'u') {
        *ret_n = memchr(SIMPLE, f->esc[1], sizeof SIMPLE - 1) ? 2 : 0;
        return true;
    }
    for (unsigned i = 2; i < f->esc_n && i < 6; i++) {
        char c = f->esc[i];
        if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f'))) {
            return true;
        }
    }
    bool done = ar_unit_next(&rest, false, &u);
    *ret_n = done ? u.n : 0;
    return done;
}

/* One byte of the string. What followed a broken escape is read again, as it may be its end. */
static void put_char(struct ar_freeform *f, char c, struct ar_buf *out)
{
    if (f->stage != STRING) {
        return;
    }
    if (f->esc_n > 0) {
        size_t n;
        char again[sizeof f->esc];
        f->esc[f->esc_n++] = c;
        if (!judge(f, &n)) {
            return;
        }
        unsigned count = f->esc_n;
        memcpy(again, f->esc, count);
        f->esc_n = 0;
        if (n > 0) {
            ar_buf_put(out, again, n);
        } else {
            ar_buf_lit(out, "\\\\");
            n = 1;
        }
        for (size_t i = n; i < count; i++) {
            put_char(f, again[i], out);
        }
    } else if (c == '"') {
        f->stage = AFTER;
    } else if (c == '\\') {
        f->esc[f->esc_n++] = c;
    } else if ((unsigned char)c < 0x20) {
        ar_json_escape(ar_str_n(&c, 1), out);
    } else {
        ar_buf_char(out, c);
    }
}

static void put_units(struct ar_freeform *f, bool is_last, struct ar_buf *out)
{
    struct ar_str rest = ar_buf_view(&f->work);
    struct ar_unit u;
    while (ar_unit_next(&rest, is_last, &u)) {
        for (unsigned i = 0; i < u.dec_n; i++) {
            if (f->stage < STRING) {
                match(f, u.dec[i]);
            } else if (f->stage == OTHER) {
                ar_buf_char(&f->seen, u.dec[i]);
            } else {
                put_char(f, u.dec[i], out);
            }
        }
    }
    ar_buf_eat(&f->work, f->work.n - rest.n);
}

void ar_freeform_put(struct ar_freeform *f, struct ar_str esc, struct ar_buf *out)
{
    ar_buf_str(&f->work, esc);
    put_units(f, false, out);
}

void ar_freeform_end(struct ar_freeform *f, struct ar_buf *out)
{
    put_units(f, true, out);
    if (f->stage < STRING || f->stage == OTHER) {
        ar_json_escape(ar_buf_view(&f->seen), out);
    } else if (f->stage == STRING && f->esc_n >= 6) { /* cut off after a high surrogate */
        ar_buf_put(out, f->esc, 6);
    }
    f->esc_n = 0;
}
