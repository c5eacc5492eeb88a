/*
 * The writer: commas, quotes and integers, nothing else. Structure is the caller's business; the
 * golden tests parse what it wrote. Never allocates but through the buffer.
 */
#include "json/write.h"

#include "json/scan.h"

static void comma(struct ar_jw *w)
{
    if (w->comma) {
        ar_buf_char(w->out, ',');
    }
    w->comma = true;
}

void ar_jw_open(struct ar_jw *w, char bracket)
{
    comma(w);
    ar_buf_char(w->out, bracket);
    w->comma = false;
}

void ar_jw_close(struct ar_jw *w, char bracket)
{
    ar_buf_char(w->out, bracket);
    w->comma = true;
}

void ar_jw_key_n(struct ar_jw *w, const char *key, size_t n)
{
    comma(w);
    if (ar_buf_reserve(w->out, n + 3)) {
        char *p = w->out->p + w->out->n;
        p[0] = '"';
        memcpy(p + 1, key, n);
        p[n + 1] = '"';
        p[n + 2] = ':';
        w->out->n += n + 3;
    }
    w->comma = false;
}

void ar_jw_key_dec(struct ar_jw *w, struct ar_str key)
{
    ar_jw_text(w, key);
    ar_buf_char(w->out, ':');
    w->comma = false;
}

void ar_jw_text(struct ar_jw *w, struct ar_str text)
{
    comma(w);
    ar_buf_char(w->out, '"');
    ar_json_escape(text, w->out);
    ar_buf_char(w->out, '"');
}

void ar_jw_esc(struct ar_jw *w, struct ar_str esc)
{
    comma(w);
    if (ar_buf_reserve(w->out, esc.n + 2)) {
        char *p = w->out->p + w->out->n;
        p[0] = '"';
        if (esc.n > 0) {
            memcpy(p + 1, esc.p, esc.n);
        }
        p[esc.n + 1] = '"';
        w->out->n += esc.n + 2;
    }
}

void ar_jw_raw(struct ar_jw *w, struct ar_str json)
{
    comma(w);
    ar_buf_str(w->out, json);
}

void ar_jw_i64(struct ar_jw *w, int64_t v)
{
    comma(w);
    ar_buf_i64(w->out, v);
}

void ar_jw_bool(struct ar_jw *w, bool v)
{
    ar_jw_raw(w, v ? AR_LIT("true") : AR_LIT("false"));
}

void ar_jw_null(struct ar_jw *w)
{
    ar_jw_raw(w, AR_LIT("null"));
}
