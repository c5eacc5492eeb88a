/* Streaming JSON writer over a capped buffer: commas are kept by it, failure is the buffer's sticky
 * one. Borrows the buffer. Pure; one thread at a time. */
#ifndef AR_JSON_WRITE_H
#define AR_JSON_WRITE_H

#include "base/buf.h"

struct ar_jw {
    struct ar_buf *out;
    bool comma; /* the next value or key needs one before it */
};

static inline struct ar_jw ar_jw_on(struct ar_buf *out)
{
    return (struct ar_jw){out, false};
}

void ar_jw_open(struct ar_jw *w, char bracket);  /* '{' or '[' */
void ar_jw_close(struct ar_jw *w, char bracket); /* '}' or ']' */
/* Key: plain ASCII of our own, no escaping. */
void ar_jw_key_n(struct ar_jw *w, const char *key, size_t n);
/* A key of somebody else's: decoded text, escaped here. */
void ar_jw_key_dec(struct ar_jw *w, struct ar_str key);
#define ar_jw_key(w, l) ar_jw_key_n((w), "" l, sizeof(l) - 1)

void ar_jw_text(struct ar_jw *w, struct ar_str text); /* decoded text, escaped here */
void ar_jw_esc(struct ar_jw *w, struct ar_str esc);   /* escaped text, verbatim between quotes */
void ar_jw_raw(struct ar_jw *w, struct ar_str json);  /* a JSON value, verbatim */
void ar_jw_i64(struct ar_jw *w, int64_t v);
void ar_jw_bool(struct ar_jw *w, bool v);
void ar_jw_null(struct ar_jw *w);
#define ar_jw_lit(w, l) ar_jw_esc((w), AR_LIT(l))

/* Key and value in one line. */
#define ar_jw_key_text(w, key, s) (ar_jw_key(w, key), ar_jw_text(w, s))
#define ar_jw_key_esc(w, key, s)  (ar_jw_key(w, key), ar_jw_esc(w, s))
#define ar_jw_key_raw(w, key, s)  (ar_jw_key(w, key), ar_jw_raw(w, s))
#define ar_jw_key_lit(w, key, l)  (ar_jw_key(w, key), ar_jw_lit(w, l))
#define ar_jw_key_i64(w, key, v)  (ar_jw_key(w, key), ar_jw_i64(w, v))
#define ar_jw_key_bool(w, key, v) (ar_jw_key(w, key), ar_jw_bool(w, v))
#define ar_jw_key_null(w, key)    (ar_jw_key(w, key), ar_jw_null(w))

#endif
