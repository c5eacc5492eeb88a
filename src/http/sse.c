/* text/event-stream (WHATWG HTML 9.2): reader and writer.
 *
 * A frame is every byte up to and with the line end of its blank line, so the raws of a body joined
 * are the body, whatever the split of the input. The reader looks for the end with memchr alone: in
 * a line, first the next LF, then a CR before it. A frame whole in the input is given in place; the
 * rest waits in carry, where `scanned` is how far it is known to hold no end, so that a frame that
 * comes in many pieces is scanned once. A CR that is the last byte held is not taken for a line end
 * yet, because an LF may follow: the frames would depend on the split otherwise.
 *
 * The reader owns carry and data. It never looks into the data, and never holds more than frame_max
 * and one step of input. */
#include "http/sse.h"

enum { CARRY_STEP = 4096 };

void ar_sse_init(struct ar_sse *s, size_t frame_max)
{
    *s = (struct ar_sse){.frame_max = frame_max};
    ar_buf_init(&s->carry, frame_max + CARRY_STEP);
    ar_buf_init(&s->data, frame_max + CARRY_STEP);
}

void ar_sse_done(struct ar_sse *s)
{
    ar_buf_done(&s->carry);
    ar_buf_done(&s->data);
    *s = (struct ar_sse){0};
}

bool ar_sse_is_between(const struct ar_sse *s)
{
    return s->carry.n == 0 || s->gave_carry;
}

/* Offset of the byte after the frame's blank line, or 0 with *from moved to where to go on when
 * more bytes are there. *from is at a line's start, inside a line, or at a CR whose successor is
 * unknown: the byte before tells. */
static size_t find_end(const char *p, size_t n, size_t *from)
{
    size_t i = *from;
    bool at_start = i == 0 || p[i - 1] == '\n' || p[i - 1] == '\r';
    while (i < n) {
        if (at_start && p[i] == '\n') {
            return i + 1;
        }
        if (at_start && p[i] == '\r') {
            if (i + 1 == n) {
                break;
            }
            return p[i + 1] == '\n' ? i + 2 : i + 1;
        }
        const char *lf = memchr(p + i, '\n', n - i);
        size_t limit = lf ? (size_t)(lf - p) : n;
        const char *cr = memchr(p + i, '\r', limit - i);
        if (cr) {
            i = (size_t)(cr - p);
            if (i + 1 == n) {
                break;
            }
            i += p[i + 1] == '\n' ? 2 : 1;
        } else {
            i = lf ? limit + 1 : n;
            if (!lf) {
                break;
            }
        }
        at_start = true;
    }
    *from = i;
    return 0;
}

/* Cuts the next line, without its end, off *rest. */
static bool next_line(struct ar_str *rest, struct ar_str *ret)
{
    if (rest->n == 0) {
        return false;
    }
    const char *lf = memchr(rest->p, '\n', rest->n);
    size_t limit = lf ? (size_t)(lf - rest->p) : rest->n;
    const char *cr = memchr(rest->p, '\r', limit);
    size_t used;
    if (cr) {
        limit = (size_t)(cr - rest->p);
        used = limit + 1 < rest->n && cr[1] == '\n' ? limit + 2 : limit + 1;
    } else {
        used = lf ? limit + 1 : limit;
    }
    *ret = ar_str_n(rest->p, limit);
    *rest = ar_str_from(*rest, used);
    return true;
}

static struct ar_str field_value(struct ar_str line, size_t colon)
{
    struct ar_str v = ar_str_from(line, colon + 1);
    return v.n > 0 && v.p[0] == ' ' ? ar_str_from(v, 1) : v;
}

static void parse_frame(struct ar_sse *s, struct ar_str raw, struct ar_frame *ret)
{
    struct ar_frame f = {.raw = raw};
    struct ar_str rest = raw, line;
    unsigned lines = 0;
    if (!s->started) {
        s->started = true;
        if (ar_str_has_prefix(rest, AR_LIT("\xef\xbb\xbf"))) {
            rest = ar_str_from(rest, 3);
        }
    }
    while (next_line(&rest, &line)) {
        size_t colon = ar_str_find_char(line, ':');
        struct ar_str name = ar_str_head(line, colon);
        if (ar_str_is_lit(name, "data")) {
            struct ar_str value = field_value(line, colon);
            if (lines == 0) {
                f.data = value;
            } else {
                if (lines == 1) {
                    ar_buf_clear(&s->data);
                    ar_buf_str(&s->data, f.data);
                }
                ar_buf_char(&s->data, '\n');
                ar_buf_str(&s->data, value);
            }
            lines++;
        } else if (ar_str_is_lit(name, "event")) {
            f.name = field_value(line, colon);
        }
    }
    if (lines > 1) {
        f.data = ar_buf_view(&s->data);
    }
    *ret = f;
}

/* The frame goes on in carry: takes of in what belongs to it. */
static enum ar_poll next_carried(struct ar_sse *s, struct ar_str in, size_t *ret_used,
                                 struct ar_frame *ret)
{
    size_t used = 0;
    while (used < in.n) {
        struct ar_str step = ar_str_head(ar_str_from(in, used), CARRY_STEP);
        size_t before = s->carry.n;
        ar_buf_str(&s->carry, step);
        if (s->carry.overflowed) {
            *ret_used = used;
            return AR_FAILED;
        }
        size_t end = find_end(s->carry.p, s->carry.n, &s->scanned);
        if (end) {
            *ret_used = used + (end - before);
            s->carry.n = end;
            s->gave_carry = true;
            if (end > s->frame_max) {
                return AR_FAILED;
            }
            parse_frame(s, ar_buf_view(&s->carry), ret);
            return AR_READY;
        }
        used += step.n;
        if (s->carry.n > s->frame_max) {
            *ret_used = used;
            return AR_FAILED;
        }
    }
    *ret_used = used;
    return AR_PENDING;
}

enum ar_poll ar_sse_next(struct ar_sse *s, struct ar_str in, size_t *ret_used, struct ar_frame *ret)
{
    *ret_used = 0;
    if (s->gave_carry) {
        if (s->carry.cap > CARRY_STEP) {
            ar_buf_done(&s->carry);
        }
        ar_buf_clear(&s->carry);
        s->gave_carry = false;
        s->scanned = 0;
    }
    if (in.n == 0) {
        return AR_PENDING;
    }
    if (s->carry.n > 0) {
        return next_carried(s, in, ret_used, ret);
    }
    s->scanned = 0;
    size_t end = find_end(in.p, in.n, &s->scanned);
    if (end == 0) {
        *ret_used = in.n;
        if (in.n <= s->frame_max) {
            ar_buf_str(&s->carry, in);
        }
        return in.n <= s->frame_max && !s->carry.overflowed ? AR_PENDING : AR_FAILED;
    }
    *ret_used = end;
    if (end > s->frame_max) {
        return AR_FAILED;
    }
    parse_frame(s, ar_str_n(in.p, end), ret);
    return AR_READY;
}

enum ar_poll ar_sse_rest(struct ar_sse *s, struct ar_frame *ret)
{
    if (ar_sse_is_between(s)) {
        return AR_PENDING;
    }
    s->gave_carry = true;
    parse_frame(s, ar_buf_view(&s->carry), ret);
    return AR_READY;
}
