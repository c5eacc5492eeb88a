/* A validating JSON scanner that keeps source offsets. One pass makes a tape of nodes; values are
 * read as spans of the source, so what is not looked into is copied verbatim, escapes and number
 * spelling included. Strict RFC 8259, UTF-8 checked, depth limited. Pure; any thread. The source
 * must outlive the document. */
#ifndef AR_JSON_SCAN_H
#define AR_JSON_SCAN_H

#include "base/arena.h"

enum ar_jtype {
    AR_J_NONE,
    AR_J_NULL,
    AR_J_FALSE,
    AR_J_TRUE,
    AR_J_NUMBER,
    AR_J_STRING,
    AR_J_ARRAY,
    AR_J_OBJECT
};
enum {
    AR_J_ESCAPED = 1,
    AR_J_LONE = 2,
    AR_J_REAL = 4
}; /* flags: has a backslash, a lone surrogate; not an integer */
enum { AR_JSON_DEPTH = 128 };

struct ar_jnode {
    uint32_t at, end; /* span in the source: quotes and brackets included */
    uint32_t next;    /* index of the node after this subtree */
    uint32_t count;   /* array: elements; object: members */
    uint8_t type, flags;
};

/* A document on an arena (or on the buffers of a reusable struct ar_jtape). */
struct ar_jdoc {
    struct ar_str src;
    const struct ar_jnode *nodes; /* 0 is the root; NULL: nothing was parsed */
    uint32_t count;
    uint32_t depth; /* deepest nesting met */
};

/* A value: node i of doc; doc NULL is "absent", type AR_J_NONE. */
struct ar_jval {
    const struct ar_jdoc *doc;
    uint32_t i;
};

/* Parses all of src. keep_depth: values deeper than this many containers are validated but get no
 * nodes (1: the root's members only; AR_JSON_DEPTH: all). Nodes: arena. Errors: AR_INVALID_REQUEST
 * with the byte offset in err, AR_TOO_LARGE (arena, or src over 4 GiB). */
enum ar_code ar_json_parse(struct ar_str src, unsigned keep_depth, struct ar_arena *a,
                           struct ar_jdoc *ret, struct ar_err *err) AR_MUST;

/* Node storage that is used again, document after document: for stream events. Owns nodes. */
struct ar_jtape {
    struct ar_jnode *nodes;
    uint32_t cap;
};
enum ar_code ar_jtape_parse(struct ar_jtape *t, struct ar_str src, struct ar_jdoc *ret,
                            struct ar_err *err) AR_MUST;
void ar_jtape_done(struct ar_jtape *t);

static inline struct ar_jval ar_json_root(const struct ar_jdoc *d)
{
    return (struct ar_jval){d->nodes ? d : NULL, 0};
}
static inline enum ar_jtype ar_json_type(struct ar_jval v)
{
    return v.doc ? (enum ar_jtype)v.doc->nodes[v.i].type : AR_J_NONE;
}
static inline bool ar_json_is(struct ar_jval v, enum ar_jtype t)
{
    return ar_json_type(v) == t;
}
/* Absent or null. */
static inline bool ar_json_is_nil(struct ar_jval v)
{
    return ar_json_type(v) <= AR_J_NULL;
}
static inline unsigned ar_json_flags(struct ar_jval v)
{
    return v.doc ? v.doc->nodes[v.i].flags : 0;
}
/* Elements or members; 0 for others. */
static inline uint32_t ar_json_count(struct ar_jval v)
{
    return v.doc ? v.doc->nodes[v.i].count : 0;
}
/* Source bytes of the whole value, quotes and brackets included; absent: p NULL. */
struct ar_str ar_json_raw(struct ar_jval v);
/* Escaped text of a string, without quotes: may be written verbatim into any JSON string. Others: p
 * NULL. */
struct ar_str ar_json_esc(struct ar_jval v);

/* Walks an array or an object: while (ar_json_next(&it)) use it.val and, in objects, it.key:
 * decoded, so that an escaped spelling of a known key is the known key (escaped keys over 64 bytes
 * stay as they are: none is known). key borrows from the source or from the iterator. */
struct ar_jiter {
    struct ar_jval of, val;
    struct ar_str key;
    uint32_t at, end;
    char spelled[64];
};
struct ar_jiter ar_json_iter(struct ar_jval v); /* not a container: an empty walk */
bool ar_json_next(struct ar_jiter *it);

/* Member by key (decoded); the last of duplicates, as vendors read; absent when there is none or v
 * is no object. */
struct ar_jval ar_json_get(struct ar_jval v, struct ar_str key);
#define ar_json_get_lit(v, l) ar_json_get((v), AR_LIT(l))
/* The members of many keys in one walk: ret[i] is that of keys[i], as ar_json_get would give it. */
void ar_json_pick(struct ar_jval v, const struct ar_str *keys, unsigned n, struct ar_jval *ret);
/* Element i, or absent. */
struct ar_jval ar_json_at(struct ar_jval v, uint32_t i);

/* Typed reads; the value must be of the type, else AR_INVALID_REQUEST with the value's path in
 * err->at. */
enum ar_code ar_json_i64(struct ar_jval v, int64_t *ret,
                         struct ar_err *err) AR_MUST; /* 1.0 and 1e2 are integers */
enum ar_code ar_json_double(struct ar_jval v, double *ret, struct ar_err *err) AR_MUST;
enum ar_code ar_json_bool(struct ar_jval v, bool *ret, struct ar_err *err) AR_MUST;
/* Decoded text: the span itself when nothing is escaped, else arena. Lone surrogates become U+FFFD.
 */
enum ar_code ar_json_text(struct ar_jval v, struct ar_arena *a, struct ar_str *ret,
                          struct ar_err *err) AR_MUST;

/* "messages[3].content[0].type" of v, for errors. */
void ar_json_path(struct ar_jval v, char *ret, size_t size);
/* Fills err with the path of v and "must be <want>"; returns AR_INVALID_REQUEST. */
enum ar_code ar_json_wrong(struct ar_jval v, const char *want, struct ar_err *err);

/* Escaped text -> text, appended. Lone surrogates become U+FFFD. */
void ar_json_unescape(struct ar_str esc, struct ar_buf *out);
/* The same into the arena, the span itself when there is no backslash. p NULL over the cap. */
struct ar_str ar_json_unescape_in(struct ar_str esc, struct ar_arena *a);
/* Text -> escaped text, appended, without quotes. Broken UTF-8 becomes U+FFFD. */
void ar_json_escape(struct ar_str text, struct ar_buf *out);
/* The same into the arena, the text itself when nothing needs escaping. */
struct ar_str ar_json_escape_in(struct ar_str text, struct ar_arena *a);

#endif
