/* A configuration file as a tree with places, before anybody says what it means. Arena. Any thread.
 */
#ifndef AR_CONF_TREE_H
#define AR_CONF_TREE_H

#include "base/arena.h"

enum ar_tree_kind { AR_TREE_NULL, AR_TREE_SCALAR, AR_TREE_LIST, AR_TREE_MAP };
struct ar_tree {
    struct ar_tree *next;  /* sibling */
    struct ar_tree *first; /* children of a list or a map */
    enum ar_tree_kind kind;
    bool quoted;       /* a scalar in quotes: text whatever it looks like */
    struct ar_str key; /* in a map */
    struct ar_str value;
    unsigned line; /* 1-based */
};

/* YAML (JSON is a subset), one document. ${VAR} and ${VAR:default} in scalars are replaced from
 * getenv_fn. Errors name the line: AR_INVALID_REQUEST. An empty document is a map without members.
 */
enum ar_code ar_tree_parse(struct ar_str text, const char *(*getenv_fn)(const char *),
                           struct ar_arena *a, struct ar_tree **ret, struct ar_err *err) AR_MUST;
/* Member of a map, or NULL. */
struct ar_tree *ar_tree_get(const struct ar_tree *map, struct ar_str key);

#endif
