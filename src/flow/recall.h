/* State of a request that outlives it: what the steps of steps_recall.c and steps_stored.c note in
 * a flow, and what the other steps tell them. Worker's thread. */
#ifndef AR_FLOW_RECALL_H
#define AR_FLOW_RECALL_H

#include "json/scan.h"
#include "recall/accounts.h"
#include "recall/recall.h"
#include "recall/responses.h"
#include "recall/signatures.h"
#include "recall/tapes.h"

struct ar_flow;
struct ar_event;
struct ar_response;

/* In every flow, zeroed at its start. Strings: the request's body or arena. */
struct ar_recalled {
    struct ar_recall_key tenant;
    bool has_tenant;
    bool keeps;             /* the answer is to be stored, if it is not native */
    bool is_expanded;       /* the body is not the client's any more */
    bool is_run;            /* a background run: no client; stored under its own id */
    bool is_hidden;         /* store: false in a conversation: a turn of it, but no response */
    bool is_exchange;       /* passed through, but an exchange with a model like any other */
    bool has_noted;         /* the answer's id is with its account */
    unsigned restored_for;  /* bits of enum ar_vendor */
    struct ar_str only_key; /* print of the key that the plan is bound to; n 0: any */
    struct ar_str previous, talk; /* what the answer follows: response, conversation */
    struct ar_str items;          /* this turn's input items, without brackets */
    struct ar_jdoc asked;         /* the client's body, once it was expanded */
    struct ar_buf asked_body;     /* owns: its bytes */
    struct ar_signature_tap tap;
    struct ar_tape *tape; /* of the run that is followed; owns a reference; NULL: none */
    struct ar_tape_place place;
    int64_t look_ms; /* until it is looked at again */
};

/* Whose memory it is; made at the first use. */
const struct ar_recall_key *ar_flow_tenant(struct ar_flow *f);

/* May an upstream know an id that we do not? Only one that speaks the dialect itself and gets the
 * caller's own key. */
bool ar_flow_may_be_elsewhere(const struct ar_flow *f);

/* A pass-through that may use the operator's keys: of an id that is the caller's own, or an
 * exchange with a model under another name. */
static inline bool ar_recalled_is_open(const struct ar_recalled *r)
{
    return r->only_key.n > 0 || r->is_exchange;
}

/* The request was decoded: what it says of state is not the upstream's to refuse. */
void ar_flow_decoded(struct ar_flow *f);
/* A translated request is about to be encoded for the seat's target. */
void ar_flow_restore(struct ar_flow *f);
/* The target refused its own signatures. */
void ar_flow_forget(struct ar_flow *f);
/* An event of the answer, before it is written. */
void ar_flow_watch(struct ar_flow *f, const struct ar_event *ev);
/* A whole answer was written: json, in the client's dialect. */
void ar_flow_keep_whole(struct ar_flow *f, struct ar_str json);
/* Frames were written with an event that may hold the whole answer. */
void ar_flow_keep_frames(struct ar_flow *f, struct ar_str frames);
/* Gives back what the flow holds. */
void ar_flow_recall_done(struct ar_flow *f);
/* Is it what input may be: nothing, a text, a list of objects? else *ret_at: which of the list is
 * none; UINT32_MAX: it is no list. */
bool ar_recall_is_input(struct ar_jval input, uint32_t *ret_at);
/* An error's place in a body that was written anew ("input[7].content"), as the client counts:
 * behind the history, or as what named that. In place. */
void ar_recall_place(const struct ar_flow *f, struct ar_err *err);
/* The input items of a body, without brackets; a bare string is a message of the user's. Arena. */
struct ar_str ar_recall_items(struct ar_jval input, struct ar_arena *a);
/* A body anew: chain and items as input, then what root has but input, conversation,
 * previous_response_id and the names in skip. */
void ar_recall_body(struct ar_jval root, struct ar_str chain, struct ar_str items,
                    const struct ar_str *skip, unsigned skips, struct ar_buf *out);
/* A response object with another status, and error (raw; absent: as it was). */
void ar_recall_restate(struct ar_str whole, struct ar_str status, struct ar_str error,
                       struct ar_arena *a, struct ar_buf *out);
/* steps_follow.c: the last event of a response that ended: its name, and its frame. */
struct ar_str ar_follow_end_name(struct ar_str whole);
void ar_follow_put_end(struct ar_str name, int64_t number, struct ar_str whole, struct ar_buf *out);
/* steps_run.c: the id under which a run is stored. */
struct ar_str ar_run_id(struct ar_flow *f);

#endif
