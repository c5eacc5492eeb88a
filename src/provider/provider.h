/* A place that answers: a row of providers.def; and one attempt at it, a call. A call encodes,
 * signs, dials, sends, waits and reads; its owner sees IR events only. Loop thread only. */
#ifndef AR_PROVIDER_PROVIDER_H
#define AR_PROVIDER_PROVIDER_H

#include "dialect/dialect.h"
#include "http/exchange.h"

enum ar_auth {
#define X(id, header, prefix, scheme, doc) AR_AUTH_##id,
#include "provider/auth.def"
#undef X
};
enum {
    AR_PLACE_LOCAL = 1,
    AR_PLACE_COUNT = 2,
    AR_PLACE_CUSTOM = 4,
    AR_PLACE_ROUTER = 8,
    AR_PLACE_GENERATOR = 16,
    AR_PLACE_INVOKE = 32
};

struct ar_provider {
    const char *name, *title, *base_url;
    const char
        *paths[AR_DIALECT_COUNT]; /* by dialect id; NULL: not spoken, "": the dialect's own */
    enum ar_auth auth;
    const char *key_env, *models;
    enum ar_vendor vendor;
    uint64_t quirks;
    unsigned flags; /* AR_PLACE_* */
};
/* NULL: past the end; unknown. */
const struct ar_provider *ar_provider_row(unsigned i);
const struct ar_provider *ar_provider_find(struct ar_str name);
/* Header that carries a secret. */
const char *ar_auth_header(enum ar_auth a);
const char *ar_auth_prefix(enum ar_auth a);
/* Header and value that carry a secret to p; value n 0: none, or it takes more than a header (the
 * call's business). callers: not the operator's. Arena. */
void ar_auth_put(const struct ar_provider *p, struct ar_str secret, bool callers,
                 struct ar_arena *a, struct ar_header *ret);

/* Row of models.def for a model's name: vendor, caps and limit of t. */
void ar_model_facts(struct ar_str model, struct ar_target *t);

struct ar_call_ops;
struct ar_tokens; /* provider/tokens.h */
/* One attempt, all that it needs. Every pointer is borrowed until close (they live in the flow or
 * its snapshot). */
struct ar_call_spec {
    const struct ar_call_ops *ops;
    const struct ar_dialect *dialect; /* of the upstream */
    struct ar_target target;
    struct ar_origin origin;
    struct ar_str method, path;            /* path: request target */
    struct ar_str auth_header, auth_value; /* n 0: none */
    struct ar_str secret;                  /* to be masked in what comes back; n 0: none */
    enum ar_auth auth;                     /* a scheme of its own signs by the secret */
    bool callers_secret;                   /* not the operator's */
    struct ar_str region;                  /* for signatures */
    struct ar_tokens *tokens;              /* of the worker; NULL: none can be fetched */
    unsigned flags;                        /* AR_PLACE_* of the place */
    enum ar_op op;
    bool native; /* body goes by edits, events carry raw */
    bool upstream_stream, client_stream;
    bool swallow_usage, keep_wishes, ask_usage, force_whole;
    bool relays_stream; /* out, PASS: the answer is an event stream, to be relayed at once */
    struct ar_str body; /* native: the client's */
    const struct ar_outline *outline; /* native */
    const struct ar_request *request; /* else; sealed */
    const struct ar_header *headers;  /* the client's that may travel, then the upstream's own */
    unsigned header_count;
    int64_t connect_ms, first_byte_ms, silence_ms, total_ms;
    size_t whole_max;     /* a whole answer to decode may be this big */
    struct ar_buf *spare; /* memory for answers, used again call after call; NULL: none */
    struct ar_stamp stamp;
    struct ar_arena *arena; /* of the attempt's request: the call itself, its small things */
    struct ar_pool *pool;
    struct ar_loop *loop;
    struct ar_waker *waker;
    struct ar_losses *losses; /* strict: in; the rest is written by the call */
};
struct ar_call {
    const struct ar_call_ops *ops;
};
struct ar_call_facts {
    struct ar_exchange_facts io;
    int status;
    const struct ar_header *headers; /* of the answer; borrows until close */
    unsigned header_count;
    struct ar_str content_type;
    int64_t length; /* of a whole native answer; -1 unknown */
    uint64_t content_bytes,
        content_frames; /* of output seen, for estimates when usage never comes */
};
struct ar_call_ops {
    const char *name;
    struct ar_call *(*start)(struct ar_call_spec *spec); /* never fails: faults are ERROR events */
    /* true: one event. false: nothing now, a wake follows. ERROR or END is the last; asserted. A
     * refused encoding, a refused connection, a 429, HTML with 200, an error frame, truncation, a
     * passed deadline are each one ERROR event with blame; a whole answer comes as WHOLE, or
     * unfolded if client_stream; a whole native one as RAW pieces, USAGE, STOP, END. */
    bool (*next)(struct ar_call *c, struct ar_event *ret);
    void (*facts)(const struct ar_call *c, struct ar_call_facts *ret); /* at any time */
    void (*close)(struct ar_call *c); /* takes c; in any phase; cancels upstream */
};
extern const struct ar_call_ops ar_http_call, ar_echo_call;

#endif
