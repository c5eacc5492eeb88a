/* What a path asks for: which endpoint, in whose dialect, and what Gemini's paths say besides.
 * Borrows; pure but for ar_path_asks, which fills the flow's fields. */
#ifndef AR_FLOW_PATHS_H
#define AR_FLOW_PATHS_H

#include "dialect/dialect.h"
#include "http/endpoint.h"

struct ar_flow;

/* Without our prefixes, with one /v1. */
struct ar_str ar_path_normal(struct ar_str path);
/* It has a segment "." or "..". */
bool ar_path_climbs(struct ar_str path, struct ar_arena *a);
const struct ar_dialect *ar_path_dialect(struct ar_str path);
bool ar_path_is_api(struct ar_str path);
/* First row of the path; local: of the process. *ret_takes: it takes the method. */
const struct ar_endpoint *ar_path_find(const struct ar_endpoint *local, struct ar_str path,
                                       struct ar_str method, bool *ret_takes);
/* list: "GET,HEAD". */
bool ar_method_is_in(const char *list, struct ar_str method);
/* Of an endpoint that goes to upstreams: what else the path says. false: nothing that we know. */
bool ar_path_asks(struct ar_flow *f);

#endif
