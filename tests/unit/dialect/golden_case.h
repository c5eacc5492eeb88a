/* One case of tests/golden (its README.md says what a case is). Both kinds are run by a function
 * that reports each difference on standard output and returns; the test fails when anything was
 * bad. */
#ifndef DIALECT_GOLDEN_CASE_H
#define DIALECT_GOLDEN_CASE_H

#include "dialect/dialect.h"
#include "dialect/golden_kit.h"
#include "json/scan.h"

struct golden {
    const char *dir;
    const struct ar_dialect *own; /* of the folder */
    struct ar_arena a;
    unsigned bad;      /* differences */
    unsigned expected; /* files compared */
};

/* Of target.json, or the defaults. */
struct golden_target {
    const struct ar_dialect *only; /* NULL: every dialect */
    struct ar_jval json;
    struct ar_wire_in in;
    enum ar_op op;
    bool strict, has_stream, stream, check_prefix;
};
void golden_target_read(struct golden *g, struct golden_target *ret);
/* The target as dialect d sees it. */
struct ar_target golden_target_for(struct golden *g, const struct golden_target *t,
                                   const struct ar_dialect *d);

void golden_request(struct golden *g);
void golden_answer(struct golden *g);

/* Printed difference; counts. */
void golden_bad(struct golden *g, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The file's content against got; how the two are made comparable. An absent file is compared as
 * empty when must_be. Returns true when there is such a file. */
enum golden_form { GOLDEN_TEXT, GOLDEN_JSON, GOLDEN_SSE };
bool golden_compare(struct golden *g, const char *file, enum golden_form form, struct ar_str got,
                    bool must_be);
bool golden_has(struct golden *g, const char *file);

/* Name of a file that has a dialect in it: "to-%s.json". */
const char *golden_name(struct golden *g, const char *format, const struct ar_dialect *d);

struct ar_jval golden_json(struct golden *g, const char *file);
struct ar_str golden_text(struct golden *g, struct ar_jval of,
                          const char *key); /* absent: p NULL */
bool golden_bool(struct ar_jval of, const char *key, bool or_else);
int64_t golden_int(struct ar_jval of, const char *key, int64_t or_else);

#endif
