/*
 * The built-in provider: answers in this process, in the IR, so every dialect can ask it. It is a
 * call like any other and passes plan, race, relay and trace like a vendor; it never touches the
 * network. Its answers depend on the request alone.
 */
#include "base/id.h"
#include "io/loop.h"
#include "json/scan.h"
#include "json/write.h"
#include "provider/provider.h"

#include <stdlib.h>

enum echo_kind {
    ECHO_TEXT,
    ECHO_THINKING,
    ECHO_TOOLS,
    ECHO_PARALLEL,
    ECHO_REFUSAL,
    ECHO_LENGTH,
    ECHO_FOREVER,
    ECHO_CUT,
    ECHO_ERROR
};
static const struct echo_row {
    struct ar_str name;
    enum echo_kind kind;
    int64_t pace_ms;
} ROWS[] = {
#define X(name, kind, pace, doc) {AR_LIT_INIT(name), ECHO_##kind, pace},
#include "provider/echo.def"
#undef X
};

enum { PIECE = 8, SAMPLE_DEPTH = 8 }; /* characters a delta, when paced; of made-up arguments */

struct echo {
    struct ar_call call;
    struct ar_call_spec *spec; /* borrows */
    struct ar_arena arena;
    enum echo_kind kind;
    int64_t pace_ms, due_ms, number;
    struct ar_timer timer;
    struct ar_response answer;
    struct ar_unfold unfold;
    struct ar_fault fault;
    unsigned given;
    bool over, known;
    struct ar_event rest; /* of a delta that is given in small pieces */
    enum ar_code refused; /* what the request asks cannot be answered */
};

/* "slow-50" -> its row and 50; "error-529" -> 529. */
static void read_model(struct echo *e)
{
    struct ar_str model = e->spec->target.model;
    size_t slash = ar_str_find_char(model, '/');
    struct ar_str name = slash < model.n ? ar_str_from(model, slash + 1) : model;
    size_t dash = ar_str_find_char(name, '-');
    e->number = -1;
    for (unsigned i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        if (ar_str_is(ar_str_head(name, dash), ROWS[i].name)) {
            e->known = dash == name.n ||
                       ar_str_to_i64(ar_str_from(name, dash + 1), 0, 60000, &e->number) == AR_OK;
            e->kind = ROWS[i].kind;
            e->pace_ms = ROWS[i].pace_ms;
        }
    }
    if (e->number >= 0 && e->pace_ms > 0) {
        e->pace_ms = e->number;
    }
}

static const struct ar_turn *last_turn(const struct ar_request *r)
{
    const struct ar_turn *t = r->turns;
    while (t && t->next) {
        t = t->next;
    }
    return t;
}

/* Escaped text of the last user turn, its text blocks joined. */
static struct ar_str last_text(struct echo *e)
{
    struct ar_str text = AR_LIT("");
    for (const struct ar_turn *t = e->spec->request->turns; t; t = t->next) {
        struct ar_str said = AR_LIT("");
        for (const struct ar_block *b = t->role == AR_USER ? t->blocks : NULL; b; b = b->next) {
            const struct ar_block *from = b->kind == AR_TOOL_RESULT ? b->inner : b;
            if (from && from->kind == AR_TEXT) {
                said = said.n == 0 ? from->text
                                   : ar_arena_fmt(&e->arena, "%.*s\\n%.*s", AR_FMT(said),
                                                  AR_FMT(from->text));
            }
        }
        text = said.n > 0 ? said : text;
    }
    return text;
}

static bool has_result(const struct ar_request *r)
{
    const struct ar_turn *t = last_turn(r);
    for (const struct ar_block *b = t ? t->blocks : NULL; b; b = b->next) {
        if (b->kind == AR_TOOL_RESULT) {
            return true;
        }
    }
    return false;
}

static void put_members(struct ar_jw *w, struct ar_jval schema, unsigned depth);

/* A value that a schema of this type accepts. */
static void put_sample(struct ar_jw *w, struct ar_jval schema, unsigned depth)
{
    struct ar_jval first = ar_json_at(ar_json_get_lit(schema, "enum"), 0);
    struct ar_str type = ar_json_esc(ar_json_get_lit(schema, "type"));
    if (first.doc) {
        ar_jw_raw(w, ar_json_raw(first));
    } else if (ar_str_is_lit(type, "integer") || ar_str_is_lit(type, "number")) {
        ar_jw_i64(w, 1);
    } else if (ar_str_is_lit(type, "boolean")) {
        ar_jw_bool(w, true);
    } else if (ar_str_is_lit(type, "array")) {
        ar_jw_open(w, '[');
        ar_jw_close(w, ']');
    } else if (ar_str_is_lit(type, "object") && depth < SAMPLE_DEPTH) {
        put_members(w, schema, depth);
    } else {
        ar_jw_lit(w, "value");
    }
}

/* An object with all properties of a schema; whatever its type, as arguments are objects. */
static void put_members(struct ar_jw *w, struct ar_jval schema, unsigned depth)
{
    struct ar_jiter it = ar_json_iter(ar_json_get_lit(schema, "properties"));
    ar_jw_open(w, '{');
    while (ar_json_next(&it)) {
        ar_jw_key_dec(w, it.key);
        put_sample(w, it.val, depth + 1);
        w->comma = true;
    }
    ar_jw_close(w, '}');
}

static struct ar_str sample_input(struct echo *e, const struct ar_tool *tool)
{
    struct ar_buf b;
    struct ar_jdoc d = {.nodes = NULL};
    ar_buf_init(&b, 1U << 20);
    struct ar_jw w = ar_jw_on(&b);
    if (tool->kind == AR_TOOL_CUSTOM) {
        ar_buf_lit(&b, "value");
    } else if (tool->schema.p &&
               ar_json_parse(tool->schema, AR_JSON_DEPTH, &e->arena, &d, NULL) == AR_OK) {
        put_members(&w, ar_json_root(&d), 0);
    } else {
        ar_buf_lit(&b, "{}");
    }
    struct ar_str s = ar_arena_copy(&e->arena, ar_buf_view(&b));
    ar_buf_done(&b);
    return s;
}

static const struct ar_tool *pick_tool(const struct ar_request *r)
{
    const struct ar_tool *t = r->tools;
    if (r->set.choice == AR_CHOICE_NONE) {
        return NULL;
    }
    while (t && (t->kind == AR_TOOL_SERVER ||
                 (r->set.choice_names && !ar_str_is(t->name, r->set.choice_names->s)))) {
        t = t->next;
    }
    return t;
}

static void put_tool(struct echo *e, struct ar_block ***tail, unsigned nth)
{
    const struct ar_tool *tool = pick_tool(e->spec->request);
    char id[32] = "call_";
    struct ar_block *b = tool ? ar_block_new(&e->arena, AR_TOOL_USE, tail) : NULL;
    if (b) {
        ar_id_base62(e->spec->stamp.seed, "echo-call", nth, 22, id + 5);
        b->id = ar_arena_copy(&e->arena, ar_str_of(id));
        b->name = tool->name;
        b->freeform = tool->kind == AR_TOOL_CUSTOM;
        b->text = sample_input(e, tool);
        e->answer.stop.reason = AR_STOP_TOOL_USE;
    }
}

static void put_text(struct echo *e, enum ar_block_kind kind, struct ar_str text,
                     struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(&e->arena, kind, tail);
    if (b) {
        b->text = text;
    }
}

static void build_answer(struct echo *e)
{
    struct ar_response *r = &e->answer;
    struct ar_block **tail = &r->blocks;
    struct ar_str said = last_text(e);
    char id[32];
    ar_id_base62(e->spec->stamp.seed, "echo", 0, 24, id);
    r->id = ar_arena_copy(&e->arena, ar_str_of(id));
    r->model = e->spec->target.model;
    r->created_unix = e->spec->stamp.now_unix;
    r->has_stop = true;
    r->stop.reason = AR_STOP_END;
    if (e->kind == ECHO_THINKING) {
        put_text(e, AR_THINKING, AR_LIT("The user wants to hear it again."), &tail);
    }
    if (e->kind == ECHO_REFUSAL) {
        put_text(e, AR_REFUSAL, AR_LIT("I would rather not say that."), &tail);
        r->stop.reason = AR_STOP_REFUSAL;
    } else if ((e->kind == ECHO_TOOLS || e->kind == ECHO_PARALLEL) &&
               !has_result(e->spec->request)) {
        put_tool(e, &tail, 0);
        if (e->kind == ECHO_PARALLEL) {
            put_tool(e, &tail, 1);
        }
    }
    if (!r->blocks || r->blocks->kind == AR_THINKING) {
        put_text(e, AR_TEXT, said.n > 0 ? said : AR_LIT("Hello from AnyRouter."), &tail);
    }
    r->stop.reason = e->kind == ECHO_LENGTH ? AR_STOP_MAX_TOKENS : r->stop.reason;
    ar_usage_clear(&r->usage);
    r->usage.in_total = (int64_t)(said.n / 4 + 1);
    r->usage.out_total = 0;
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        r->usage.out_total += (int64_t)(b->text.n / 4 + 1);
    }
    r->usage.out_reasoning =
        e->kind == ECHO_THINKING && r->blocks ? (int64_t)(r->blocks->text.n / 4 + 1) : 0;
    r->usage.in_cached = 0;
}

static void fire(struct ar_timer *t)
{
    struct echo *e = AR_HOLDER(t, struct echo, timer);
    ar_wake(e->spec->waker);
}

static struct ar_call *start(struct ar_call_spec *spec)
{
    struct echo *e = calloc(1, sizeof *e);
    AR_ASSERT(e != NULL);
    e->call.ops = &ar_echo_call;
    e->spec = spec;
    e->timer.fire = fire;
    ar_arena_init(&e->arena, 16U << 20);
    read_model(e);
    if (spec->request->set.n.tri == AR_SET && spec->request->set.n.i > 1) {
        e->refused = ar_lose(spec->losses, AR_FATE_WARN, AR_DROPPED, "n", "echo gives one answer");
    }
    if (e->known && e->kind != ECHO_ERROR) {
        build_answer(e);
        ar_unfold_init(&e->unfold, &e->answer, &e->arena);
    }
    return &e->call;
}

static bool fail(struct echo *e, struct ar_fault fault, struct ar_event *ret)
{
    e->fault = fault;
    e->over = true;
    *ret = (struct ar_event){.kind = AR_EV_ERROR, .fault = &e->fault};
    return true;
}

/* The status as an upstream of the chat dialect would send it. */
static bool fail_status(struct echo *e, struct ar_event *ret)
{
    int status = e->number >= 400 && e->number <= 599 ? (int)e->number : 500;
    struct ar_fault f = {.code = AR_UPSTREAM_ERROR, .retry_after_ms = -1};
    ar_dialect_chat.decode_error(
        status,
        AR_LIT("{\"error\":{\"message\":\"echo was asked to fail\",\"type\":\"echo_error\"}}"),
        &e->arena, &f);
    f.upstream_status = status;
    f.retry_after_ms = status == 429 ? 1000 : f.retry_after_ms;
    return fail(e, f, ret);
}

/* Not yet time for the next event? Arms the timer. */
static bool is_early(struct echo *e)
{
    int64_t now = ar_loop_now_ms(e->spec->loop);
    if (e->pace_ms == 0 || now >= e->due_ms) {
        return false;
    }
    ar_timer_set(e->spec->loop, &e->timer, e->due_ms);
    return true;
}

/* Bytes of escaped text that make about PIECE characters, never part of an escape or a character.
 */
static size_t piece_length(struct ar_str esc)
{
    size_t i = 0;
    for (unsigned n = 0; n < PIECE && i < esc.n; n++) {
        size_t step = esc.p[i] != '\\' ? 1 : i + 1 < esc.n && esc.p[i + 1] == 'u' ? 6 : 2;
        if (step == 6 && i + 3 < esc.n && (esc.p[i + 2] | 32) == 'd' && esc.p[i + 3] >= '8') {
            step = 12; /* a surrogate pair */
        }
        i += step;
        while (i < esc.n && ((unsigned char)esc.p[i] & 0xc0) == 0x80) {
            i++;
        }
    }
    return i < esc.n ? i : esc.n;
}

static bool next_streamed(struct echo *e, struct ar_event *ret)
{
    if (e->kind == ECHO_FOREVER && e->given > 2) {
        *ret =
            (struct ar_event){.kind = AR_EV_DELTA, .delta = AR_D_TEXT, .text = AR_LIT(" and on")};
    } else if (e->kind == ECHO_CUT && e->given > 3) { /* some text is out */
        return fail(e,
                    (struct ar_fault){
                        .code = AR_UPSTREAM_TRUNCATED, .blame = AR_OF_PLACE, .retry_after_ms = -1},
                    ret);
    } else if (e->rest.text.n > 0) {
        *ret = e->rest;
    } else if (!ar_unfold_next(&e->unfold, ret)) {
        return false;
    }
    if (e->pace_ms > 0 && ret->kind == AR_EV_DELTA) {
        e->rest = *ret;
        ret->text = ar_str_head(ret->text, piece_length(ret->text));
        e->rest.text = ar_str_from(e->rest.text, ret->text.n);
    }
    e->given++;
    e->over = ret->kind == AR_EV_END;
    e->due_ms = ar_loop_now_ms(e->spec->loop) + e->pace_ms;
    return true;
}

static bool next(struct ar_call *call, struct ar_event *ret)
{
    struct echo *e = AR_HOLDER(call, struct echo, call);
    if (e->over || is_early(e)) {
        return false;
    }
    if (e->refused != AR_OK) {
        struct ar_fault f = {.code = e->refused, .blame = AR_OF_CALLER, .retry_after_ms = -1};
        f.message = AR_LIT("echo gives one answer");
        f.param = AR_LIT("n");
        return fail(e, f, ret);
    }
    if (!e->known) {
        struct ar_fault f = {
            .code = AR_MODEL_NOT_FOUND, .blame = AR_OF_MODEL, .retry_after_ms = -1};
        f.message = AR_LIT("echo has no such model; try echo/text, echo/tools, echo/thinking, "
                           "echo/slow or echo/error-529");
        return fail(e, f, ret);
    }
    if (e->kind == ECHO_ERROR) {
        return fail_status(e, ret);
    }
    if (e->spec->op == AR_OP_COUNT) {
        *ret = e->given++ == 0 ? (struct ar_event){.kind = AR_EV_USAGE, .usage = &e->answer.usage}
                               : (struct ar_event){.kind = AR_EV_END};
        e->over = ret->kind == AR_EV_END;
        return true;
    }
    if (e->spec->client_stream) {
        return next_streamed(e, ret);
    }
    if (e->kind == ECHO_FOREVER || e->kind == ECHO_CUT) {
        return fail(e,
                    (struct ar_fault){
                        .code = AR_UPSTREAM_TRUNCATED, .blame = AR_OF_PLACE, .retry_after_ms = -1},
                    ret);
    }
    *ret = e->given++ == 0 ? (struct ar_event){.kind = AR_EV_WHOLE,
                                               .answer = &e->answer,
                                               .usage = &e->answer.usage}
                           : (struct ar_event){.kind = AR_EV_END};
    e->over = ret->kind == AR_EV_END;
    return true;
}

static void facts(const struct ar_call *call, struct ar_call_facts *ret)
{
    const struct echo *e = (const struct echo *)(const void *)call; /* its first member */
    *ret = (struct ar_call_facts){
        .status = e->given > 0 ? 200 : 0, .length = -1, .content_frames = e->given};
}

static void close_call(struct ar_call *call)
{
    struct echo *e = AR_HOLDER(call, struct echo, call);
    ar_timer_clear(e->spec->loop, &e->timer);
    ar_arena_done(&e->arena);
    free(e);
}

const struct ar_call_ops ar_echo_call = {
    .name = "echo", .start = start, .next = next, .facts = facts, .close = close_call};
