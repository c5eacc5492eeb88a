/*
 * There and back through each dialect. The input makes a request and an answer of the kinds that
 * every dialect can say; written in a dialect by one role and read by the other, whole and
 * streamed, they must mean the same: who said what, which calls with which arguments, results,
 * tools, limits, the stop and the usage. What dialects join or split (text blocks, turns of one
 * role) is compared joined.
 */
#include "http/sse.h"
#include "ir/undo.h"
#include "json/scan.h"
#include "provider/provider.h"

#include <stdio.h>
#include <stdlib.h>

enum { MEMORY = 64 << 20, TURNS = 6, BLOCKS = 4 };

static void check(bool ok, const char *what, const struct ar_dialect *d, const struct ar_buf *want,
                  const struct ar_buf *got)
{
    if (!ok) {
        (void)fprintf(stderr, "%s of %s\n--- want\n%.*s\n--- got\n%.*s\n", what, d->name,
                      want ? (int)want->n : 0, want ? want->p : "", got ? (int)got->n : 0,
                      got ? got->p : "");
        abort();
    }
}

struct input {
    const uint8_t *p;
    size_t n;
    unsigned calls;
};

static unsigned take(struct input *in)
{
    if (in->n == 0) {
        return 0;
    }
    in->n--;
    return *in->p++;
}

/* Escaped text, never empty, never only white space. */
static struct ar_str take_text(struct input *in, struct ar_arena *a)
{
    static const char *const UNITS[] = {
        "a", "b ", "\xc3\xa9",         "\\\"", "\\\\", "\\n",      "\\u0061", "\\ud83d\\ude00",
        "{", "} ", "\xf0\x9f\x98\x80", "\\t",  "<",    "</think>", "data: ",  "\\/"};
    struct ar_buf b;
    ar_buf_init(&b, 4096);
    ar_buf_char(&b, 'x');
    for (size_t n = take(in) % 24; n > 0; n--) {
        ar_buf_str(&b, ar_str_of(UNITS[take(in) % 16]));
    }
    ar_buf_char(&b, '.');
    struct ar_str s = ar_arena_copy(a, ar_buf_view(&b));
    ar_buf_done(&b);
    return s;
}

static struct ar_str take_args(struct input *in)
{
    static const char *const ARGS[] = {"{}",
                                       "{\"a\":1}",
                                       "{\"path\":\"x\\\\y \\\"z\\\"\",\"n\":[1,2.50,null]}",
                                       "{\"t\":\"\\ud83d\\ude00\\n\"}",
                                       "{\"deep\":{\"er\":{\"s\":[{},[],true]}}}",
                                       "{\"value\":{\"k\":1e3}}",
                                       "{\"input\":\"text\"}",
                                       "{\"a\":\"\"}"};
    return ar_str_of(ARGS[take(in) % 8]);
}

static const char *const TOOLS[] = {"read_file", "run", "a-b_C9"};

static void add_call(struct input *in, struct ar_arena *a, struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(a, AR_TOOL_USE, tail);
    b->id = ar_arena_fmt(a, "call_%08u", in->calls++);
    b->name = ar_str_of(TOOLS[take(in) % 3]);
    b->text = take_args(in);
}

static void add_text(struct input *in, struct ar_arena *a, struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(a, AR_TEXT, tail);
    b->text = take_text(in, a);
}

/* --- what it means --- */

static void put_text(struct ar_buf *out, struct ar_str esc)
{
    ar_json_unescape(esc, out);
}

/* One line a thing; neighbouring texts of one role are one. */
struct dump {
    struct ar_buf *out;
    int role, kind;
};

static void begin(struct dump *d, int role, int kind, const char *label)
{
    if (d->role != role || d->kind != kind || kind != AR_TEXT) {
        ar_buf_fmt(d->out, "\n%d %s ", role, label);
    }
    d->role = role;
    d->kind = kind;
}

static void dump_blocks(struct dump *d, int role, const struct ar_block *b)
{
    for (; b; b = b->next) {
        switch (b->kind) {
        case AR_TEXT:
            begin(d, role, AR_TEXT, "text");
            put_text(d->out, b->text);
            break;
        case AR_TOOL_USE:
            begin(d, role, AR_TOOL_USE, "call");
            ar_buf_fmt(d->out, "%.*s %.*s %.*s", AR_FMT(b->id), AR_FMT(b->name),
                       AR_FMT(ar_str_trim(b->text)));
            break;
        case AR_TOOL_RESULT:
            begin(d, role, AR_TOOL_RESULT, "result");
            ar_buf_fmt(d->out, "%.*s ", AR_FMT(b->id));
            put_text(d->out, b->text);
            for (const struct ar_block *i = b->inner; i; i = i->next) {
                put_text(d->out, i->text);
            }
            break;
        default:
            ar_buf_fmt(d->out, "\nother %d", (int)b->kind);
        }
    }
}

static void dump_request(const struct ar_request *r, struct ar_buf *out)
{
    struct dump d = {out, -1, -1};
    dump_blocks(&d, AR_SYSTEM, r->system);
    for (const struct ar_turn *t = r->turns; t; t = t->next) {
        dump_blocks(&d, (int)t->role, t->blocks);
    }
    for (const struct ar_tool *t = r->tools; t; t = t->next) {
        ar_buf_fmt(out, "\ntool %.*s ", AR_FMT(t->name));
        put_text(out, t->description);
    }
    ar_buf_fmt(out, "\nchoice %d", (int)r->set.choice);
    for (const struct ar_name *n = r->set.choice_names; n; n = n->next) {
        ar_buf_fmt(out, " %.*s", AR_FMT(n->s));
    }
    ar_buf_fmt(out, "\nlimits %lld %.3f", (long long)r->set.max_tokens.i,
               r->set.temperature.tri == AR_SET ? r->set.temperature.d : -1.0);
}

static void dump_answer(const struct ar_response *r, struct ar_buf *out)
{
    struct dump d = {out, -1, -1};
    ar_buf_lit(out, "text ");
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        if (b->kind == AR_TEXT) { /* Chat says text before calls */
            put_text(out, b->text);
        }
    }
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        struct ar_block one = *b;
        one.next = NULL;
        if (b->kind != AR_TEXT) {
            dump_blocks(&d, AR_ASSISTANT, &one);
        }
    }
    ar_buf_fmt(out, "\nstop %d usage %lld %lld %lld", (int)r->stop.reason,
               (long long)r->usage.in_total, (long long)r->usage.out_total,
               (long long)ar_tokens(r->usage.in_cached));
}

/* --- requests --- */

static void add_history(struct input *in, struct ar_arena *a, struct ar_request *r)
{
    struct ar_turn **turns = &r->turns;
    unsigned n = 1 + take(in) % TURNS;
    unsigned open = 0, first = 0; /* calls of the turn before, and the number of its first */
    for (unsigned i = 0; i < n || i % 2 == 0 || open > 0; i++) {
        struct ar_turn *t = ar_turn_new(a, i % 2 ? AR_ASSISTANT : AR_USER, &turns);
        struct ar_block **tail = &t->blocks;
        for (unsigned k = 0; k < open; k++) {
            struct ar_block *b = ar_block_new(a, AR_TOOL_RESULT, &tail);
            b->id = ar_arena_fmt(a, "call_%08u", first + k);
            struct ar_block **inner = &b->inner;
            add_text(in, a, &inner);
        }
        if (open == 0 || take(in) % 2) {
            add_text(in, a, &tail);
        }
        open = 0;
        first = in->calls;
        if (t->role == AR_ASSISTANT && i < n) {
            for (open = take(in) % 3; in->calls < first + open;) {
                add_call(in, a, &tail);
            }
        }
        if (i + 1 >= n && open == 0 && t->role == AR_USER) {
            break;
        }
    }
}

static struct ar_request *make_request(struct input *in, struct ar_arena *a)
{
    static const enum ar_choice CHOICES[] = {AR_CHOICE_UNSET, AR_CHOICE_AUTO, AR_CHOICE_NONE,
                                             AR_CHOICE_REQUIRED, AR_CHOICE_NAMED};
    struct ar_request *r = ar_arena_new(a, struct ar_request);
    struct ar_block **system = &r->system;
    r->model = AR_LIT("m");
    if (take(in) % 2) {
        add_text(in, a, &system);
    }
    add_history(in, a, r);
    struct ar_tool **tail = &r->tools;
    for (unsigned i = 0; i < 3; i++) { /* the history may have called any of them */
        struct ar_tool *t = ar_arena_new(a, struct ar_tool);
        t->name = ar_str_of(TOOLS[i]);
        t->description = take_text(in, a);
        t->schema = AR_LIT("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}");
        *tail = t;
        tail = &t->next;
    }
    r->set.choice = CHOICES[take(in) % 5];
    if (r->set.choice == AR_CHOICE_NAMED) {
        struct ar_name **names = &r->set.choice_names;
        ar_name_new(a, ar_str_of(TOOLS[take(in) % 3]), &names);
    }
    r->set.max_tokens = (struct ar_int){AR_SET, 16 + take(in)};
    if (take(in) % 2) {
        r->set.temperature = (struct ar_num){AR_SET, 0.5, AR_LIT("0.5")};
    }
    return r;
}

static const char *const MODELS[AR_DIALECT_COUNT] = {[AR_DIALECT_CHAT] = "gpt-4.1",
                                                     [AR_DIALECT_RESPONSES] = "gpt-4.1",
                                                     [AR_DIALECT_ANTHROPIC] = "claude-sonnet-4-5",
                                                     [AR_DIALECT_GEMINI] = "gemini-2.5-flash"};

static void try_request(const struct ar_dialect *d, struct ar_request *r, struct ar_arena *a)
{
    struct ar_losses l = {.strict = false}, l2 = {.strict = false};
    struct ar_err err = {0};
    struct ar_buf body, want, got;
    struct ar_encoded e = {.body = &body};
    struct ar_target t = {.model = ar_str_of(MODELS[d->id]), .default_max_tokens = 1000};
    struct ar_outline outline;
    struct ar_request *back = NULL;
    ar_buf_init(&body, MEMORY);
    ar_buf_init(&want, MEMORY);
    ar_buf_init(&got, MEMORY);
    ar_model_facts(t.model, &t);
    r->set.choice = r->set.choice == AR_CHOICE_UNSET ? AR_CHOICE_UNSET : r->set.choice;
    enum ar_code code = d->encode_request(r, AR_OP_GENERATE, &t, a, &l, &e);
    dump_request(r, &want);
    check(code == AR_OK, "encoding", d, &want, NULL);
    code = d->outline(ar_buf_view(&body), a, &outline, &err);
    struct ar_wire_in in = {.doc = code == AR_OK ? &outline.doc : NULL};
    code = code == AR_OK
               ? d->decode_request(ar_buf_view(&body), &in, AR_OP_GENERATE, a, &back, &err)
               : code;
    check(code == AR_OK, err.note, d, &want, &body);
    code = ar_request_seal(back, a, &l2, &err);
    check(code == AR_OK, "sealing", d, &want, &body);
    dump_request(back, &got);
    check(ar_str_is(ar_buf_view(&want), ar_buf_view(&got)), "request", d, &want, &got);
    ar_buf_done(&body);
    ar_buf_done(&want);
    ar_buf_done(&got);
}

/* --- answers --- */

static struct ar_response *make_answer(struct input *in, struct ar_arena *a)
{
    struct ar_response *r = ar_arena_new(a, struct ar_response);
    struct ar_block **tail = &r->blocks;
    bool calls = false;
    r->id = AR_LIT("id");
    r->model = AR_LIT("m");
    r->created_unix = 1700000000;
    for (unsigned n = 1 + take(in) % BLOCKS; n > 0; n--) {
        if (take(in) % 2) {
            add_text(in, a, &tail);
        } else {
            add_call(in, a, &tail);
            calls = true;
        }
    }
    r->stop.reason = take(in) % 4 == 0 ? AR_STOP_MAX_TOKENS
                     : calls           ? AR_STOP_TOOL_USE
                                       : AR_STOP_END;
    r->has_stop = true;
    ar_usage_clear(&r->usage);
    r->usage.in_cached = take(in);
    r->usage.in_total = r->usage.in_cached + take(in);
    r->usage.out_total = 1 + take(in);
    return r;
}

static void compare(const struct ar_dialect *d, const struct ar_response *r,
                    const struct ar_response *back, const char *what)
{
    struct ar_buf want, got;
    ar_buf_init(&want, MEMORY);
    ar_buf_init(&got, MEMORY);
    dump_answer(r, &want);
    dump_answer(back, &got);
    check(ar_str_is(ar_buf_view(&want), ar_buf_view(&got)), what, d, &want, &got);
    ar_buf_done(&want);
    ar_buf_done(&got);
}

static void try_whole(const struct ar_dialect *d, const struct ar_response *r, struct ar_arena *a)
{
    struct ar_buf body;
    struct ar_losses l = {.strict = false};
    struct ar_fault f = {.code = AR_OK};
    struct ar_response *back = NULL;
    struct ar_write_how how = {.model = AR_LIT("m"), .stamp.now_unix = 1700000000};
    struct ar_read_how read = {.content_max = MEMORY};
    ar_buf_init(&body, MEMORY);
    enum ar_code code = d->encode_response(r, &how, &l, &body);
    check(code == AR_OK, "writing", d, NULL, &body);
    code = d->decode_response(ar_buf_view(&body), &read, a, &back, &f);
    check(code == AR_OK, "reading", d, NULL, &body);
    compare(d, r, back, "whole answer");
    struct ar_response seen;
    code = d->observe(ar_buf_view(&body), a, &seen, &f);
    check(code == AR_OK && seen.usage.in_total == r->usage.in_total &&
              seen.usage.out_total == r->usage.out_total && seen.stop.reason == r->stop.reason,
          "observing", d, NULL, &body);
    ar_buf_done(&body);
}

/* All that the reader has ready, into the fold. */
static void drain(const struct ar_dialect *d, struct ar_reader *r, struct ar_fold *fold)
{
    struct ar_event ev;
    while (d->read_next(r, &ev)) {
        check(ev.kind != AR_EV_ERROR && ar_fold_put(fold, &ev) == AR_OK, "folding", d, NULL, NULL);
    }
}

static void try_stream(const struct ar_dialect *d, const struct ar_response *r, struct ar_arena *a)
{
    struct ar_buf wire;
    struct ar_framer framer = {.how = &ar_framing_sse, .out = &wire};
    struct ar_losses l = {.strict = false};
    struct ar_write_how how = {
        .model = AR_LIT("m"), .include_usage = true, .stamp.now_unix = 1700000000};
    struct ar_read_how read = {.content_max = MEMORY};
    struct ar_unfold u;
    struct ar_event ev;
    struct ar_sse sse;
    struct ar_frame frame;
    ar_buf_init(&wire, MEMORY);
    struct ar_writer *w = d->writer_new(&how, &l, a);
    ar_unfold_init(&u, r, a);
    while (ar_unfold_next(&u, &ev)) {
        check(d->write(w, &ev, &framer) == AR_OK, "writing", d, NULL, &wire);
    }
    d->writer_done(w);
    struct ar_reader *reader = d->reader_new(&read, a);
    struct ar_fold *fold = ar_fold_new(MEMORY);
    ar_sse_init(&sse, MEMORY);
    for (struct ar_str rest = ar_buf_view(&wire); rest.n > 0;) {
        size_t used;
        enum ar_poll p = ar_sse_next(&sse, rest, &used, &frame);
        rest = ar_str_from(rest, used);
        if (p == AR_READY) {
            d->read_frame(reader, &frame);
            drain(d, reader, fold);
        }
    }
    check(ar_sse_is_between(&sse), "ending", d, NULL, &wire);
    d->read_eof(reader, AR_EOF_CLEAN);
    drain(d, reader, fold);
    struct ar_response *back = NULL;
    check(ar_fold_finish(fold, a, &back) == AR_OK, "finishing", d, NULL, &wire);
    compare(d, r, back, "stream");
    ar_fold_free(fold);
    d->reader_done(reader);
    ar_sse_done(&sse);
    ar_buf_done(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size, 0};
    struct ar_arena a;
    struct ar_err err = {0};
    struct ar_losses l = {.strict = false};
    ar_arena_init(&a, MEMORY);
    struct ar_request *r = make_request(&in, &a);
    struct ar_response *answer = make_answer(&in, &a);
    if (ar_request_seal(r, &a, &l, &err) != AR_OK) {
        abort();
    }
    for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
        const struct ar_dialect *d = ar_dialect_by_id(i);
        if (d->encode_request) {
            try_request(d, r, &a);
            try_whole(d, answer, &a);
            try_stream(d, answer, &a);
        }
    }
    ar_arena_done(&a);
    return 0;
}
