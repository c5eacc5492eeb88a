/* A wire format in both roles. Everything here is a pure function of its arguments: no I/O, clock,
 * randomness or global; any thread, one at a time an object. Ids and times come in the stamp. Rows:
 * dialects.def. */
#ifndef AR_DIALECT_DIALECT_H
#define AR_DIALECT_DIALECT_H

#include "base/frame.h"
#include "ir/event.h"
#include "ir/loss.h"
#include "ir/target.h"
#include "ir/undo.h"
#include "json/scan.h"

enum ar_dialect_id {
#define X(id, ops, doc) AR_DIALECT_##id,
#include "dialect/dialects.def"
#undef X
    AR_DIALECT_COUNT
};

/* PASS: any other endpoint, relayed and never read. STATE: something that was stored; flow tells it
 * or makes it a PASS. */
enum ar_op { AR_OP_GENERATE, AR_OP_COUNT, AR_OP_PASS, AR_OP_STATE };

/* Time and seed of minted ids. */
struct ar_stamp {
    int64_t now_unix;
    uint8_t seed[16]; /* the request id */
};

/* A native edit: replace del bytes at `at` of the client's body. Sorted, disjoint. */
struct ar_edit {
    size_t at, del;
    struct ar_str put;
};
enum { AR_EDITS_MAX = 8 };

/* What one pass over a body finds (where the path names model and stream, flow fills them in); all
 * that a native request ever needs. Spans are of the body, members with their comma are for
 * removal. Strings: body or arena. */
struct ar_span {
    size_t at, n; /* n 0: not there */
};
struct ar_outline {
    struct ar_jdoc doc;      /* the whole body's tape, for decode_request */
    struct ar_str model;     /* dec */
    struct ar_span model_at; /* the value with quotes */
    bool stream, include_usage, has_tools;
    struct ar_span stream_at;         /* the value */
    struct ar_span stream_options_at; /* the value */
    struct ar_span provider_at,
        models_at; /* OpenRouter's wishes: whole member with one comma, for removal */
    struct ar_str wishes, models;     /* their values, raw; absent: none */
    int64_t max_out_tokens;           /* -1 unset */
    struct ar_str user_id, cache_key; /* dec; affinity */
    struct ar_str previous_id,
        conversation;  /* dec; Responses: state that somebody holds; absent: none */
    bool background;   /* Responses */
    enum ar_tri store; /* Responses: SET with store_on */
    bool store_on;
    bool has_thread;      /* Anthropic: thread{...} */
    const char *sampling; /* Anthropic: a sampling field that is set, static; NULL: none */
    bool has_envelope;    /* may hold another vendor's thinking in our envelope: decode, even on the
                             native path */
    bool
        has_google_sig; /* Chat: may hold thought signatures, which only Gemini's own place takes */
    size_t body_bytes,
        brace_at;  /* brace_at: just after the root's '{', where members can be put in */
    bool is_empty; /* {} */
};

/* Client headers that a dialect reads. Values dec, absent when not sent. */
struct ar_wire_in {
    struct ar_str version, beta; /* anthropic-version, anthropic-beta (joined by commas) */
    const struct ar_jdoc *doc;   /* the body's tape, when the outline made it; NULL: parsed anew */
};

struct ar_wire_header {
    struct ar_str name, value;
};
struct ar_encoded {
    struct ar_buf *body;              /* borrows; appended to */
    struct ar_wire_header headers[4]; /* dialect's own: anthropic-version, anthropic-beta */
    unsigned header_count;
    struct ar_undo *undo;  /* arena */
    struct ar_name *stops; /* esc; to be emulated */
};

struct ar_reader; /* upstream frames -> events; arena for itself, capped buffers for content */
struct ar_writer; /* events -> client frames; the same; borrows what it was made of until done */
enum ar_eof { AR_EOF_CLEAN, AR_EOF_CUT, AR_EOF_ENOUGH }; /* ENOUGH: we stop waiting for usage */

struct ar_read_how {
    const struct ar_target *target; /* may be NULL: defaults */
    bool relay; /* events carry raw; only what must be known is parsed (START, first content, USAGE,
                   STOP, ERROR, END) */
    bool swallow_usage; /* relay: a usage-only frame was asked for by us: empty raw */
    size_t content_max; /* cap of what is buffered */
};
struct ar_write_how {
    const struct ar_request *request; /* NULL: never decoded, use defaults */
    struct ar_str model;              /* dec: the name the client asked for */
    struct ar_stamp stamp;
    bool include_usage;
};

struct ar_dialect {
    const char *name, *doc;
    uint8_t id;
    bool error_ends;       /* its error event ends a stream regularly (Responses'
                              response.failed); of others the connection is cut too */
    enum ar_vendor vendor; /* whose thinking material travels here unwrapped */
    /* Joined to a base URL (INTERFACE 5). {model} stands for the model's name, where the path and
     * not the body names it. path_stream: NULL: path_generate streams too. path_count: NULL: none.
     */
    const char *path_generate, *path_stream, *path_count;

    /* facing a client */
    enum ar_code (*outline)(struct ar_str body, struct ar_arena *a, struct ar_outline *ret,
                            struct ar_err *err);
    enum ar_code (*decode_request)(struct ar_str body, const struct ar_wire_in *in, enum ar_op op,
                                   struct ar_arena *a, struct ar_request **ret, struct ar_err *err);
    /* Whole answer of HTTP 200. losses: what the client's dialect cannot say. */
    enum ar_code (*encode_response)(const struct ar_response *r, const struct ar_write_how *how,
                                    struct ar_losses *l, struct ar_buf *out);
    void (*encode_count)(int64_t tokens, struct ar_buf *out);
    /* Error body; returns the HTTP status (INTERFACE 4 and PROTOCOLS 9.1). request_id: for dialects
     * that show it. */
    int (*encode_error)(const struct ar_fault *f, struct ar_str request_id, struct ar_buf *out);
    struct ar_writer *(*writer_new)(const struct ar_write_how *how, struct ar_losses *l,
                                    struct ar_arena *a);
    /* Any event in, zero or more frames out. RAW and relayed events never come here. Errors:
     * AR_TOO_LARGE. */
    enum ar_code (*write)(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out);
    void (*write_ping)(struct ar_writer *w, struct ar_framer *out); /* legal after START */
    void (*writer_done)(struct ar_writer *w);

    /* facing an upstream */
    /* May the block's media go by URL (media->from AR_FROM_URL)? Else encode_request refuses them:
     * whoever wants them inlined does so before. */
    bool (*takes_url)(const struct ar_block *b, const struct ar_target *t);
    enum ar_code (*encode_request)(const struct ar_request *r, enum ar_op op,
                                   const struct ar_target *t, struct ar_arena *a,
                                   struct ar_losses *l, struct ar_encoded *ret);
    /* ret_fault: why it is no answer (an error object with 200, nonsense); arena. */
    enum ar_code (*decode_response)(struct ar_str body, const struct ar_read_how *how,
                                    struct ar_arena *a, struct ar_response **ret,
                                    struct ar_fault *ret_fault);
    /* Error body of a status >= 400 (or an error object with 200): code, blame, message
     * (PROTOCOLS 9.2). */
    void (*decode_error)(int status, struct ar_str body, struct ar_arena *a, struct ar_fault *ret);
    /* Token count of an upstream's answer; -1: not one. */
    int64_t (*decode_count)(struct ar_str body, struct ar_arena *a);
    /* Usage and stop of a whole native answer, without making an IR: ret->usage, stop, has_stop,
     * id, model only. */
    enum ar_code (*observe)(struct ar_str body, struct ar_arena *a, struct ar_response *ret,
                            struct ar_fault *ret_fault);
    struct ar_reader *(*reader_new)(const struct ar_read_how *how, struct ar_arena *a);
    void (*read_frame)(struct ar_reader *r, const struct ar_frame *f); /* borrows f until drained */
    void (*read_eof)(struct ar_reader *r, enum ar_eof eof);
    bool (*read_next)(struct ar_reader *r, struct ar_event *ret); /* false: feed me */
    bool (*read_lingers)(
        const struct ar_reader *r); /* stop seen, usage not: wait 2 s, then ENOUGH */
    void (*reader_done)(struct ar_reader *r);
};

extern const struct ar_dialect ar_dialect_chat, ar_dialect_anthropic, ar_dialect_responses,
    ar_dialect_gemini, ar_dialect_completions;
/* By id; and by name or accepted spelling ("messages", "openai"), NULL: unknown. */
const struct ar_dialect *ar_dialect_by_id(unsigned id);
const struct ar_dialect *ar_dialect_by_name(struct ar_str name);

/* The native path's closed list of edits (PROTOCOLS 0.3) for an outline. model: the upstream's
 * name; keep_wishes: the upstream is OpenRouter; stream: AR_UNSET leaves it; ask_usage adds
 * stream_options. Texts: arena. Returns how many. */
struct ar_edit_wish {
    struct ar_str model;
    bool keep_wishes, ask_usage, force_whole;
};
unsigned ar_native_edits(struct ar_str body, const struct ar_outline *o,
                         const struct ar_edit_wish *w, struct ar_arena *a,
                         struct ar_edit ret[AR_EDITS_MAX]);
/* Pieces of body with the edits applied: at most 2n + 1; borrow from body and the edits. */
unsigned ar_edits_apply(struct ar_str body, const struct ar_edit *e, unsigned n,
                        struct ar_str ret[2 * AR_EDITS_MAX + 1]);

#endif
