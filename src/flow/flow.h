/* A request's story. Each step does one thing and returns MORE (f->step was set), WAIT (f->waits
 * and f->wait_until_ms were set) or DONE (only finish says it, so settle and record are on every
 * way out). Only the driver calls steps. Worker's thread. */
#ifndef AR_FLOW_FLOW_H
#define AR_FLOW_FLOW_H

#include "flow/recall.h"
#include "dialect/embed.h"
#include "flow/worker.h"
#include "trace/record.h"

enum ar_next { AR_MORE, AR_WAIT, AR_DONE };
enum ar_waits { AR_W_CLIENT = 1, AR_W_CALL = 2, AR_W_CLOCK = 4 };
struct ar_flow;
typedef enum ar_next ar_step_fn(struct ar_flow *f);
struct ar_step {
    const char *name, *doc;
    unsigned may_wait;
    ar_step_fn *run;
};
#define AR_STEPS(X)                                                                                \
    X(identify, "path -> dialect and operation, or a local endpoint", 0)                           \
    X(authenticate, "secret -> who; open gateways guard against web pages", 0)                     \
    X(read_body, "client -> memory, capped", AR_W_CLIENT)                                          \
    X(outline, "model, stream, wishes in one scan", 0)                                             \
    X(recall, "state that the request names: put in as items, or bound to its account", 0)         \
    X(plan, "rank candidates", 0)                                                                  \
    X(pick, "next candidate, or the verdict", 0)                                                   \
    X(decode, "body -> IR; once, when a candidate is not native", 0)                               \
    X(fetch, "media that the candidate cannot take by URL -> inline",                              \
      AR_W_CALL | AR_W_CLIENT | AR_W_CLOCK)                                                        \
    X(launch, "start the attempt", 0)                                                              \
    X(race, "pull the attempt until it commits; keep-alives, deadlines",                           \
      AR_W_CALL | AR_W_CLIENT | AR_W_CLOCK)                                                        \
    X(relay, "pull the winner while the client takes bytes", AR_W_CALL | AR_W_CLIENT | AR_W_CLOCK) \
    X(stored, "what is stored is told, or its upstream asked", 0)                                  \
    X(follow, "the frames of a run, as it makes them", AR_W_CLIENT | AR_W_CLOCK)                   \
    X(compact, "a history is summed up by a flow of its own", AR_W_CLIENT | AR_W_CALL)             \
    X(socket, "a WebSocket: each message a request of its own",                                    \
      AR_W_CLIENT | AR_W_CALL | AR_W_CLOCK)                                                        \
    X(local, "an endpoint of our own", AR_W_CLIENT | AR_W_CLOCK)                                   \
    X(refuse, "fault -> HTTP error, or error event once opened", 0)                                \
    X(settle, "close the attempt, report, count", 0)                                               \
    X(record, "the facts are kept before the last byte leaves", 0)                                 \
    X(finish, "last bytes, end the connection's turn, drop the snapshot", AR_W_CLIENT | AR_W_CLOCK)
#define X(name, doc, waits)                                                                        \
    ar_step_fn ar_run_##name;                                                                      \
    extern const struct ar_step ar_step_##name;
AR_STEPS(X)
#undef X
extern const struct ar_step *const ar_steps[]; /* all; NULL ends */

/* An answer on its way: raw bytes as they are; else through writer (stream) or fold (whole), into
 * out, which nobody has seen until the flow hands it to the client: an attempt that fails before
 * the commit is thrown away with its sink. */
struct ar_sink {
    struct ar_buf out;
    struct ar_framer framer;
    struct ar_writer *writer;
    struct ar_fold *fold;
    size_t given;             /* bytes of out that the client's connection has taken */
    bool has_whole;           /* a WHOLE event was written: END adds nothing */
    struct ar_losses *losses; /* of the answer's translation; NULL: native */
};

/* One attempt and its answer. */
struct ar_seat {
    struct ar_call *call; /* NULL: empty */
    const struct ar_candidate *cand;
    struct ar_usage usage;
    struct ar_attempt_record *rec;
    bool native, saw_end;
    bool counts_here; /* nobody there counts tokens: we estimate, there is no call */
    struct ar_sink sink;
    struct ar_call_spec spec;
};

/* HELD: no byte is out. OPENED: status and keep-alives are out, no content: errors must be events,
 * fail-over is free. COMMITTED: content is out: no fail-over. Only rises. */
enum ar_commit { AR_HELD, AR_OPENED, AR_COMMITTED };

struct ar_socket;  /* steps_socket.c */
struct ar_compact; /* steps_compact.c */
struct ar_flow {
    struct ar_waker waker; /* the only one: connection and call wake it */
    struct ar_job job;
    struct ar_timer timer;
    struct ar_node node; /* in worker->flows */
    const struct ar_step *step;
    const char *doing;
    unsigned waits;
    int64_t wait_until_ms, ping_at_ms, hold_until_ms;
    int64_t now_us; /* when the driver last ran: good enough for the record */
    struct ar_worker *worker;
    const struct ar_snapshot *snapshot;
    struct ar_arena arena;
    struct ar_conn *conn; /* owns until finish */
    const struct ar_request_head *head;
    struct ar_str path; /* normalised: no prefix, one /v1 */
    const struct ar_endpoint *endpoint;
    const struct ar_dialect *dialect; /* of errors, at least */
    enum ar_op op;
    enum ar_commit commit;
    struct ar_str path_model; /* where the path names it; n 0: the body does */
    bool path_stream;
    const struct ar_framing *framing; /* of a streamed answer */
    struct ar_embed *embed;           /* embeddings: what they look like; NULL: something else */
    struct ar_str secret;             /* the caller's, as sent; n 0: none */
    struct ar_str pin,
        origin; /* pin: X-AnyRouter-Provider; origin: allowed by cors.origins, to be echoed */
    bool strict, wants_stream;
    struct ar_buf body;
    struct ar_buf answer; /* memory that calls use for theirs */
    struct ar_outline outlined;
    struct ar_request *request;    /* NULL until decoded */
    struct ar_losses *seal_losses; /* of pairing calls with results; NULL: not decoded */
    struct ar_str ping_rest; /* of a keep-alive that found too little room; first to go; arena */
    struct ar_str left_warnings; /* of the attempt that was left last */
    struct ar_fetch *fetch;      /* what was fetched, and what is; NULL: nothing yet */
    struct ar_plan *plan;
    struct ar_header
        *travel; /* the client's headers that may go to the upstream of the attempt; arena */
    unsigned travel_count;
    struct ar_fault left;  /* why the seat was left; pick hands it to the plan and clears it */
    struct ar_fault fault; /* why the request failed; code AR_OK: it did not */
    bool as_is;            /* the fault is the upstream's answer, status and text */
    bool unsigned_history; /* a signature was refused: the attempts go without the thinking of the
                              history */
    bool cut;              /* the answer may not look complete */
    bool cut_told;         /* but it says itself that it is not, and ends */
    bool gone;
    bool settled;
    uint8_t id[16];
    struct ar_recalled recalled; /* state that outlives the request */
    struct ar_compact *compact;  /* owns: a summary under way; NULL: none */
    struct ar_socket *socket;    /* owns: the flow is a WebSocket's; NULL: it is not */
    /* From here on: cleared in parts, where it is used. */
    struct ar_seat seat;
    struct ar_record record;
    struct ar_attempt_record first_attempt;
    struct ar_flow *next_spare;
};

/* Sets fault and step refuse. note: for the message; copied. */
enum ar_next ar_flow_fail(struct ar_flow *f, enum ar_code code, const char *note);
/* Goes on with a step. */
static inline enum ar_next ar_flow_to(struct ar_flow *f, const struct ar_step *s)
{
    f->step = s;
    return AR_MORE;
}
/* Waits for things until a time (AR_NEVER: no deadline of its own). */
static inline enum ar_next ar_flow_wait(struct ar_flow *f, unsigned waits, int64_t until_ms)
{
    f->waits = waits;
    f->wait_until_ms = until_ms;
    return AR_WAIT;
}

/* flow.c: a run without a client, under the id of the request that began it. */
void ar_flow_start_run(struct ar_worker *w, struct ar_conn *c, const struct ar_request_head *h,
                       const uint8_t id[16]);
/* To the newest configuration: of a flow that lives on between requests, and holds nothing of the
 * old one. */
void ar_flow_renew(struct ar_flow *f);
/* steps_run.c: is the translated attempt about to start to go on without its client? */
bool ar_flow_runs_apart(const struct ar_flow *f);
/* Starts the run, answers the client with what is to come. */
enum ar_next ar_flow_detach(struct ar_flow *f);
/* steps_follow.c: the frames of the run behind the first `skip` are the answer. Takes the reference
 * to the tape. */
enum ar_next ar_flow_follow(struct ar_flow *f, struct ar_tape *tape, int64_t skip);
/* steps_compact.c: the request is passed through, or summed up here. */
enum ar_next ar_flow_compact(struct ar_flow *f);
void ar_flow_compact_done(struct ar_flow *f);
/* The summary in a compaction item of ours, as a message; raw, arena. false: it is none. */
bool ar_compact_open(struct ar_jval item, struct ar_arena *a, struct ar_str *ret);
/* steps_socket.c */
void ar_flow_socket_done(struct ar_flow *f);

/* headers.c */
enum { AR_ANSWER_HEADERS = 48 };
/* Client headers that may travel to an upstream; native: all but the closed list, else none. */
void ar_flow_travel(struct ar_flow *f, bool native);
/* Headers of our answer into v (room for AR_ANSWER_HEADERS; some is left). Returns how many. */
unsigned ar_flow_headers(struct ar_flow *f, struct ar_str content_type, struct ar_header *v);
/* Of an upstream's error answer: what travels to the client, and type and length. Copies; at the
 * seat that got it. */
void ar_flow_keep_headers(struct ar_flow *f, struct ar_fault *fault);
struct ar_str ar_flow_secret(const struct ar_request_head *h, struct ar_arena *a);
/* Open gateways: origin and host rules (INTERFACE 2.6). AR_OK or AR_ORIGIN_DENIED. */
enum ar_code ar_flow_guard(struct ar_flow *f, struct ar_err *err) AR_MUST;

/* What the translation of the attempt lost, as the header says it; empty for a native one. Arena.
 */
struct ar_str ar_flow_warnings(struct ar_flow *f);

/* steps_attempt.c */
/* Gives the candidate back that was taken but not started, and refuses. */
enum ar_next ar_flow_fail_picked(struct ar_flow *f, enum ar_code code, const struct ar_err *err);
/* Nobody there counts tokens: it is estimated, nothing is sent. */
bool ar_flow_counts_here(const struct ar_flow *f, const struct ar_candidate *c);
/* Keep-alive of ours: opens the status, never the content. After ar_sink_open. */
void ar_flow_ping(struct ar_flow *f);
/* Writes what is left of the last keep-alive: before anything else. false: still no room. */
bool ar_flow_end_ping(struct ar_flow *f);

/* steps_fetch.c */
/* Drops a fetch under way and gives its candidate back. */
void ar_flow_fetch_end(struct ar_flow *f);

/* sink.c */
void ar_sink_open(struct ar_flow *f);
enum ar_code ar_sink_put(struct ar_flow *f, const struct ar_event *ev) AR_MUST;
void ar_sink_close(struct ar_flow *f);
/* Tokens when the upstream says none: from bytes, marked as estimated. */
void ar_flow_estimate(struct ar_flow *f);

#endif
