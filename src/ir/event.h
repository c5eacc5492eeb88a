/* An answer as events, and as a whole. Readers make events, writers consume them; neither knows the
 * other. All that an event points to is borrowed until the next event is asked for. Pure data; one
 * thread at a time. */
#ifndef AR_IR_EVENT_H
#define AR_IR_EVENT_H

#include "ir/request.h"
#include "ir/usage.h"

struct ar_header; /* http/header.h; only handed on */

/* Whose fault it is: decides where to go next (ARCHITECTURE 2). CALLER and US never move on. */
enum ar_blame { AR_OF_CALLER, AR_OF_KEY, AR_OF_PLACE, AR_OF_MODEL, AR_OF_UPSTREAM, AR_OF_US };

/* Why an attempt or a request failed: every refusal, transport fault, status and error frame.
 * Strings: arena or static. */
struct ar_fault {
    enum ar_code code; /* AR_OK: no fault */
    enum ar_blame blame;
    int upstream_status;    /* 0: none */
    int64_t retry_after_ms; /* -1: not said */
    struct ar_str message;  /* dec; cleaned of secrets; absent: the code's own text */
    struct ar_str param;    /* dec; the field at fault */
    struct ar_str vendor_type, vendor_code; /* dec; as the upstream's envelope had them */
    struct ar_str details;                  /* raw JSON of Anthropic's error.details, to pass on */
    struct ar_str raw_body; /* the upstream's error body, for clients of the same dialect */
    const struct ar_header *raw_headers; /* that came with it; NULL: none */
    unsigned raw_header_count;
};

enum ar_stop_reason {
    AR_STOP_END,
    AR_STOP_MAX_TOKENS,
    AR_STOP_SEQUENCE,
    AR_STOP_TOOL_USE,
    AR_STOP_PAUSE,
    AR_STOP_REFUSAL,
    AR_STOP_FILTER,
    AR_STOP_CONTEXT,
    AR_STOP_COMPACTION,
    AR_STOP_MALFORMED_TOOL,
    AR_STOP_CANCELLED,
    AR_STOP_STEERED,
    AR_STOP_OTHER
};
struct ar_stop {
    enum ar_stop_reason reason;
    struct ar_str sequence;                      /* esc */
    struct ar_str category, explanation, native; /* dec, esc, dec */
};

/* A whole answer. Arena of whoever made it; strings likewise. */
struct ar_response {
    struct ar_str id, model; /* dec */
    int64_t created_unix;    /* 0: not said */
    struct ar_block *blocks;
    struct ar_stop stop;
    struct ar_usage usage;
    struct ar_response *more; /* further candidates (n > 1): blocks and stop only */
    struct ar_str service_tier;
    struct ar_str logprobs;          /* raw; Chat's choices[].logprobs */
    struct ar_str grounding, safety; /* raw; Gemini's groundingMetadata and safetyRatings */
    bool has_stop;                   /* false: the answer did not say how it ended */
};

enum ar_event_kind {
    AR_EV_START,       /* answer: id, model, created */
    AR_EV_BLOCK_START, /* block: kind and meta; text empty */
    AR_EV_DELTA,
    AR_EV_BLOCK_END, /* block: what only the end knows (citations, sig), or NULL */
    AR_EV_USAGE,
    AR_EV_STOP,
    AR_EV_PING,
    AR_EV_RAW,   /* observed only: bytes to relay, nothing to note */
    AR_EV_WHOLE, /* the complete answer at once; only END follows */
    AR_EV_ERROR, /* the answer failed; nothing follows */
    AR_EV_END    /* the answer is complete; nothing follows */
};
enum ar_delta {
    AR_D_TEXT,      /* esc */
    AR_D_THINKING,  /* esc */
    AR_D_JSON,      /* esc: piece of the tool input's JSON text */
    AR_D_FREEFORM,  /* esc: piece of a custom tool's input */
    AR_D_REFUSAL,   /* esc */
    AR_D_CITATION,  /* raw JSON object in text */
    AR_D_SIGNATURE, /* opaque */
    AR_D_OPAQUE     /* raw JSON of a delta that only its own dialect knows */
};

/* Invariants of every reader: START first; b rises from 0 in order of BLOCK_START; DELTA only
 * between START and END of its block; every opened block is closed before STOP; at most one STOP;
 * END last, only after STOP. Several blocks may be open at once (Chat's parallel calls). raw
 * decides how a sink shows the event: p NULL: not on the client's wire, write it in the client's
 * dialect; else these bytes are relayed, and n 0 is nothing (swallowed, or a further event of the
 * same frame). On a native call the raws, joined, are the upstream's body byte for byte. */
struct ar_event {
    enum ar_event_kind kind;
    enum ar_delta delta;
    unsigned b; /* block number */
    struct ar_str raw, text;
    const struct ar_block *block;
    const struct ar_opaque *opaque;
    const struct ar_response *answer; /* STOP: grounding, safety, logprobs, or NULL */
    const struct ar_usage *usage;     /* USAGE and STOP; STOP: final, or NULL when unknown */
    const struct ar_stop *stop;
    const struct ar_fault *fault;
};

/* Shown to the client, it ends the freedom to fail over (ARCHITECTURE 1, commit point). */
bool ar_event_commits(const struct ar_event *ev);

/* Events -> answer. Copies; owns buffers capped at max_bytes. Any order of interleaved blocks;
 * joined by block number. put: AR_TOO_LARGE. finish: arena; AR_UPSTREAM_TRUNCATED unless END was
 * seen. */
struct ar_fold *ar_fold_new(size_t max_bytes);
enum ar_code ar_fold_put(struct ar_fold *f, const struct ar_event *ev) AR_MUST;
enum ar_code ar_fold_finish(struct ar_fold *f, struct ar_arena *a,
                            struct ar_response **ret) AR_MUST;
void ar_fold_free(struct ar_fold *f);

/* Answer -> events, one a call, deltas of at most 64 code points (at_once: of any length) that
 * never split an escape or a UTF-8 sequence. Borrows r and a (tool inputs are escaped into it).
 * false: END is out. */
struct ar_unfold {
    const struct ar_response *r;
    struct ar_arena *a;
    const struct ar_block *at;
    struct ar_str left;          /* of the open block's text */
    const struct ar_name *cites; /* of the open block, raw each */
    unsigned b;
    int stage;
    bool at_once; /* set it behind init */
};
void ar_unfold_init(struct ar_unfold *u, const struct ar_response *r, struct ar_arena *a);
bool ar_unfold_next(struct ar_unfold *u, struct ar_event *ret);

#endif
