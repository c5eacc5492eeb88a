/*
 * anyrouter translate: one translation on the command line, without a network: a request as an
 * upstream of another dialect would get it, or an upstream's answer as a client would. The same
 * functions do it as in the gateway. Prints the result to standard output and what got lost to
 * standard error; keeps nothing.
 */
#include "cli/command.h"

#include "http/sse.h"
#include "provider/provider.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_MAX = 64 << 20, MEMORY_MAX = 256 << 20 };

struct wish {
    const struct ar_dialect *from, *to;
    struct ar_str model;
    const struct ar_provider *provider; /* whom the request is for */
    const char *file;                   /* "-": standard input */
    int64_t default_max_tokens;
    bool stream, answer, strict;
};

/* Whose rules a request follows when nobody is named. */
static const char *const USUAL[] = {"openai", "anthropic", "gemini"};

static const struct ar_provider *usual_provider(const struct ar_dialect *d)
{
    for (size_t i = 0; i < sizeof USUAL / sizeof *USUAL; i++) {
        const struct ar_provider *p = ar_provider_find(ar_str_of(USUAL[i]));
        if (p && p->paths[d->id]) {
            return p;
        }
    }
    return NULL;
}

static bool read_all(const char *file, struct ar_buf *out)
{
    FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "rb");
    char piece[65536];
    size_t n;
    if (!f) {
        (void)fprintf(stderr, "anyrouter translate: %s: %s\n", file, strerror(errno));
        return false;
    }
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) {
        ar_buf_put(out, piece, n);
    }
    bool ok = !ferror(f) && ar_buf_finish(out) == AR_OK;
    if (f != stdin) {
        (void)fclose(f);
    }
    if (!ok) {
        (void)fprintf(stderr, "anyrouter translate: %s cannot be read, or is over 64 MiB\n", file);
    }
    return ok;
}

static int print(struct ar_str out, const struct ar_losses *l)
{
    bool ends = out.n > 0 && out.p[out.n - 1] == '\n';
    (void)fwrite(out.p, 1, out.n, stdout);
    (void)fputs(ends ? "" : "\n", stdout);
    if (l->n > 0) {
        (void)fprintf(stderr, "warnings: %.*s\n", (int)l->n, l->text);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

static int refuse(const char *where, struct ar_str message)
{
    (void)fprintf(stderr, "anyrouter translate: %s%s%.*s\n", where, where[0] ? ": " : "",
                  AR_FMT(message));
    return 1;
}

static enum ar_code encode(const struct wish *w, struct ar_str body, struct ar_arena *a,
                           struct ar_losses *l, struct ar_encoded *e, struct ar_err *err)
{
    struct ar_outline outline;
    struct ar_request *r;
    enum ar_code code = w->from->outline(body, a, &outline, err);
    if (code != AR_OK) {
        return code;
    }
    struct ar_wire_in in = {.doc = &outline.doc};
    code = w->from->decode_request(body, &in, AR_OP_GENERATE, a, &r, err);
    if (code != AR_OK) {
        return code;
    }
    r->model = w->model.n > 0 ? w->model : r->model;
    r->stream |= w->stream;
    if (r->model.n == 0) {
        return ar_fail(err, AR_INVALID_REQUEST, "the body names no model: give --model");
    }
    code = ar_request_seal(r, a, l, err);
    if (code == AR_OK) {
        const struct ar_provider *p = w->provider ? w->provider : usual_provider(w->to);
        struct ar_target t = {
            .model = r->model, .stream = r->stream, .default_max_tokens = w->default_max_tokens};
        ar_model_facts(r->model, &t);
        t.quirks = p ? p->quirks : 0;
        t.vendor = t.vendor == AR_VENDOR_OTHER && p ? p->vendor : t.vendor;
        if (t.max_out_tokens > 0 && t.default_max_tokens > t.max_out_tokens) {
            t.default_max_tokens = t.max_out_tokens;
        }
        code = w->to->encode_request(r, AR_OP_GENERATE, &t, a, l, e);
    }
    if (code == AR_LOSSY) {
        (void)ar_fail(err, code, "%s", l->why);
        memcpy(err->at, l->field, sizeof err->at);
    }
    return code;
}

static int translate_request(const struct wish *w, struct ar_str body, struct ar_arena *a)
{
    struct ar_buf out;
    struct ar_losses l = {.strict = w->strict};
    struct ar_encoded e = {.body = &out};
    struct ar_err err = {0};
    ar_buf_init(&out, MEMORY_MAX);
    enum ar_code code = encode(w, body, a, &l, &e, &err);
    int exit_code = code != AR_OK ? refuse(err.at, ar_str_of(err.note[0] ? err.note : "refused"))
                                  : print(ar_buf_view(&out), &l);
    for (unsigned i = 0; code == AR_OK && i < e.header_count; i++) {
        (void)fprintf(stderr, "header: %.*s: %.*s\n", AR_FMT(e.headers[i].name),
                      AR_FMT(e.headers[i].value));
    }
    for (const struct ar_name *s = e.stops; s; s = s->next) {
        (void)fprintf(stderr, "stop string looked for in the answer: %.*s\n", AR_FMT(s->s));
    }
    ar_buf_done(&out);
    return exit_code;
}

static int translate_whole(const struct wish *w, struct ar_str body, struct ar_arena *a)
{
    struct ar_fault f = {.code = AR_OK};
    struct ar_read_how read = {.content_max = MEMORY_MAX};
    struct ar_response *r;
    struct ar_buf out;
    struct ar_losses l = {.strict = false};
    enum ar_code code = w->from->decode_response(body, &read, a, &r, &f);
    if (code != AR_OK) {
        return refuse("", f.message.n > 0 ? f.message : AR_LIT("no answer of that dialect"));
    }
    struct ar_write_how how = {.model = w->model.n > 0 ? w->model : r->model,
                               .stamp.now_unix = r->created_unix};
    ar_buf_init(&out, MEMORY_MAX);
    code = w->to->encode_response(r, &how, &l, &out);
    int exit_code = code == AR_OK ? print(ar_buf_view(&out), &l)
                                  : refuse("", AR_LIT("the answer cannot be written"));
    ar_buf_done(&out);
    return exit_code;
}

struct stream {
    struct ar_reader *reader;
    struct ar_writer *writer;
    struct ar_framer framer;
    struct ar_buf out;
    struct ar_fault fault;
};

/* All that the reader has ready, through the writer. */
static enum ar_code drain(const struct wish *w, struct stream *s, struct ar_losses *l,
                          struct ar_arena *a)
{
    struct ar_event ev;
    enum ar_code code = AR_OK;
    while (code == AR_OK && w->from->read_next(s->reader, &ev)) {
        if (!s->writer) {
            struct ar_write_how how = {.model = w->model, .include_usage = true};
            if (w->model.n == 0 && ev.answer) {
                how.model = ev.answer->model;
            }
            how.stamp.now_unix = ev.answer ? ev.answer->created_unix : 0;
            s->writer = w->to->writer_new(&how, l, a);
        }
        if (ev.kind == AR_EV_ERROR) {
            s->fault = *ev.fault;
        }
        code = w->to->write(s->writer, &ev, &s->framer);
    }
    return code;
}

static int translate_stream(const struct wish *w, struct ar_str body, struct ar_arena *a)
{
    struct ar_read_how read = {.content_max = MEMORY_MAX};
    struct stream s = {.reader = w->from->reader_new(&read, a), .framer.how = &ar_framing_sse};
    struct ar_losses l = {.strict = false};
    struct ar_sse sse;
    struct ar_frame frame;
    enum ar_code code = AR_OK;
    ar_buf_init(&s.out, MEMORY_MAX);
    s.framer.out = &s.out;
    ar_sse_init(&sse, INPUT_MAX);
    while (code == AR_OK && body.n > 0) {
        size_t used;
        enum ar_poll p = ar_sse_next(&sse, body, &used, &frame);
        body = ar_str_from(body, used);
        if (p == AR_READY) {
            w->from->read_frame(s.reader, &frame);
            code = drain(w, &s, &l, a);
        }
    }
    if (code == AR_OK && ar_sse_rest(&sse, &frame) == AR_READY) {
        w->from->read_frame(s.reader, &frame);
        code = drain(w, &s, &l, a);
    }
    if (code == AR_OK) {
        w->from->read_eof(s.reader, AR_EOF_CLEAN);
        code = drain(w, &s, &l, a);
    }
    int exit_code = code == AR_OK ? print(ar_buf_view(&s.out), &l)
                                  : refuse("", AR_LIT("the stream cannot be written"));
    if (s.fault.code != AR_OK) {
        exit_code = refuse("the stream failed", s.fault.message);
    }
    if (s.writer) {
        w->to->writer_done(s.writer);
    }
    w->from->reader_done(s.reader);
    ar_sse_done(&sse);
    ar_buf_done(&s.out);
    return exit_code;
}

static int translate(const struct wish *w)
{
    struct ar_buf in;
    struct ar_arena a;
    int code = 1;
    ar_buf_init(&in, INPUT_MAX);
    ar_arena_init(&a, MEMORY_MAX);
    if (read_all(w->file, &in)) {
        struct ar_str body = ar_buf_view(&in);
        code = !w->answer  ? translate_request(w, body, &a)
               : w->stream ? translate_stream(w, body, &a)
                           : translate_whole(w, body, &a);
    }
    ar_arena_done(&a);
    ar_buf_done(&in);
    return code;
}

/* An argument with a value; 0: it was one, -1: it was none, else the exit code. */
static int take_value(struct ar_args args, int *i, struct wish *w)
{
    const char *v, *arg = args.argv[*i];
    if ((v = ar_args_value(args, i, "--from")) != NULL) {
        w->from = ar_dialect_by_name(ar_str_of(v));
        return w->from ? 0 : ar_usage_error(&ar_command_translate, "unknown dialect", v);
    }
    if ((v = ar_args_value(args, i, "--to")) != NULL) {
        w->to = ar_dialect_by_name(ar_str_of(v));
        return w->to ? 0 : ar_usage_error(&ar_command_translate, "unknown dialect", v);
    }
    if ((v = ar_args_value(args, i, "--model")) != NULL) {
        w->model = ar_str_of(v);
        return w->model.n > 0 ? 0 : ar_usage_error(&ar_command_translate, "no model behind", arg);
    }
    if ((v = ar_args_value(args, i, "--provider")) != NULL) {
        w->provider = ar_provider_find(ar_str_of(v));
        return w->provider ? 0 : ar_usage_error(&ar_command_translate, "unknown provider", v);
    }
    return -1;
}

static int run(struct ar_args args)
{
    struct wish w = {.default_max_tokens = 32000};
    for (int i = 0; i < args.argc; i++) {
        int took = take_value(args, &i, &w);
        if (took > 0) {
            return took;
        }
        if (took == 0) {
            continue;
        }
        if (ar_args_flag(args, i, "--help")) {
            return ar_print_help(&ar_command_translate);
        }
        if (ar_args_flag(args, i, "--stream")) {
            w.stream = true;
        } else if (ar_args_flag(args, i, "--answer")) {
            w.answer = true;
        } else if (ar_args_flag(args, i, "--strict")) {
            w.strict = true;
        } else if (!w.file && (args.argv[i][0] != '-' || !args.argv[i][1])) {
            w.file = args.argv[i];
        } else {
            return ar_usage_error(&ar_command_translate, "unknown argument", args.argv[i]);
        }
    }
    if (!w.from || !w.to || !w.file) {
        return ar_usage_error(&ar_command_translate, "needs --from, --to and a file", "");
    }
    return translate(&w);
}

const struct ar_command ar_command_translate = {
    .name = "translate",
    .usage = "translate --from D --to D [--answer] [--stream] [--model M] [--provider P] "
             "[--strict] FILE",
    .brief = "show what one translation does, without a network",
    .doc = "Shows what one translation does, without a network.\n\n"
           "A request of dialect --from is printed as an upstream of dialect --to would get it;\n"
           "with --answer FILE is an upstream's answer of dialect --from, printed as a client of\n"
           "dialect --to would get it. --stream: the request asks for a stream; the answer is an\n"
           "event stream. --provider: follow the peculiarities of a row of the providers table.\n"
           "--strict: refuse what would be lost. FILE may be - for standard input. Warnings and\n"
           "headers go to standard error. Dialects: chat, responses, anthropic, gemini.",
    .run = run,
};
