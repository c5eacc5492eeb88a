/* What the paths of stored things share: steps_stored.c (responses),
 * steps_follow.c (their streams) and steps_talk.c (conversations). Private to flow/. Worker's
 * thread. */
#ifndef AR_FLOW_STORED_H
#define AR_FLOW_STORED_H

#include "flow/flow.h"

/* {root}/{id}[/verb[/rest]], decoded; n 0: not there. */
struct ar_stored_place {
    struct ar_str id, verb, rest;
};
struct ar_stored_place ar_stored_read(struct ar_flow *f, struct ar_str root);

/* A member of a stored response itself, never one of what lies inside (metadata, items); raw, a
 * span of whole; p NULL: there is none. */
struct ar_str ar_stored_member(struct ar_str whole, struct ar_str key);

/* The sink's content is the answer. */
enum ar_next ar_stored_answer(struct ar_flow *f);
/* 404 of something with that id. */
enum ar_next ar_stored_missing(struct ar_flow *f, const char *what, struct ar_str id);
/* {"id","object","deleted":true} */
enum ar_next ar_stored_deleted(struct ar_flow *f, struct ar_str id, const char *object);
/* A page of items (raw, joined by commas) of the thing `of` (limit, after, order). Items without an
 * id get one that depends on `of` and their place alone. */
enum ar_next ar_stored_list(struct ar_flow *f, struct ar_str of, struct ar_str items);
/* Items with an id each, for those that have none: of the request and their place. Arena; the same
 * when they are no list. */
struct ar_str ar_stored_with_ids(struct ar_flow *f, struct ar_str items);
/* Items but the one of that id. Arena. false: it is not among them. */
bool ar_stored_without(struct ar_flow *f, struct ar_str items, struct ar_str id,
                       struct ar_str *ret);
/* The one item of that id; 404. */
enum ar_next ar_stored_item(struct ar_flow *f, struct ar_str of, struct ar_str items,
                            struct ar_str id);

/* steps_follow.c: the response as an event stream, of its run, of what was kept, or made anew. */
enum ar_next ar_stored_stream(struct ar_flow *f, struct ar_str id, const struct ar_kept *k);

/* steps_talk.c: /v1/conversations and what is below. */
bool ar_talk_is_path(struct ar_str path);
enum ar_next ar_talk_tell(struct ar_flow *f);

#endif
