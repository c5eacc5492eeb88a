/*
 * Helpers of the golden tests. Deliberately apart from the product's own stream reader and writer:
 * a fault shared by both sides of a comparison is not seen.
 */
#include "golden_kit.h"

#include <stdio.h>
#include <stdlib.h>

static void path_of(const char *dir, const char *name, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%s/%s", dir, name);
}

struct ar_str kit_read(const char *dir, const char *name, struct ar_arena *a)
{
    char path[1024];
    path_of(dir, name, path, sizeof path);
    FILE *f = fopen(path, "rb");
    if (!f) {
        return (struct ar_str){NULL, 0};
    }
    struct ar_buf b;
    ar_buf_init(&b, 64 << 20);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) {
        ar_buf_put(&b, chunk, n);
    }
    (void)fclose(f);
    struct ar_str text = ar_arena_copy(a, ar_buf_view(&b));
    ar_buf_done(&b);
    return text;
}

bool kit_write(const char *dir, const char *name, struct ar_str text)
{
    char path[1024];
    path_of(dir, name, path, sizeof path);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(text.p, 1, text.n, f) == text.n;
    return f && fclose(f) == 0 && ok;
}

struct ar_str kit_squeeze(struct ar_str json, struct ar_arena *a)
{
    char *p = ar_arena_alloc(a, json.n + 1);
    size_t n = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            continue;
        }
        p[n++] = c;
        if (in_string && c == '\\' && i + 1 < json.n) {
            p[n++] = json.p[++i];
        } else if (c == '"') {
            in_string = !in_string;
        }
    }
    return ar_str_n(p, n);
}

/* Next line without its end; raw_n: with it. */
static struct ar_str line_of(struct ar_str s, size_t *raw_n)
{
    size_t n = 0;
    while (n < s.n && s.p[n] != '\n' && s.p[n] != '\r') {
        n++;
    }
    *raw_n = n;
    if (n < s.n) {
        *raw_n += s.p[n] == '\r' && n + 1 < s.n && s.p[n + 1] == '\n' ? 2 : 1;
    }
    return ar_str_head(s, n);
}

static struct ar_str value_of(struct ar_str line, size_t name_n)
{
    struct ar_str v = ar_str_from(line, name_n);
    return v.n > 0 && v.p[0] == ' ' ? ar_str_from(v, 1) : v;
}

bool kit_frame(struct ar_str *body, struct ar_arena *a, struct ar_frame *ret)
{
    struct ar_str rest = *body;
    struct ar_buf data;
    bool has_data = false;
    ar_buf_init(&data, 64 << 20);
    *ret = (struct ar_frame){{NULL, 0}, {NULL, 0}, {NULL, 0}};
    while (rest.n > 0) {
        size_t raw_n;
        struct ar_str line = line_of(rest, &raw_n);
        rest = ar_str_from(rest, raw_n);
        if (line.n == 0 && has_data) {
            break;
        }
        if (ar_str_has_prefix(line, AR_LIT("event:"))) {
            ret->name = value_of(line, 6);
        } else if (ar_str_has_prefix(line, AR_LIT("data:"))) {
            ar_buf_put(&data, "\n", has_data ? 1 : 0);
            ar_buf_str(&data, value_of(line, 5));
            has_data = true;
        }
    }
    ret->raw = ar_str_n(body->p, (size_t)(rest.p - body->p));
    ret->data = ar_arena_copy(a, ar_buf_view(&data));
    ar_buf_done(&data);
    *body = rest;
    return has_data;
}

struct ar_str kit_squeeze_sse(struct ar_str body, struct ar_arena *a)
{
    struct ar_buf out;
    struct ar_frame f;
    ar_buf_init(&out, 64 << 20);
    while (kit_frame(&body, a, &f)) {
        if (f.name.n > 0) {
            ar_buf_fmt(&out, "event: %.*s\n", AR_FMT(f.name));
        }
        ar_buf_lit(&out, "data: ");
        ar_buf_str(&out, kit_squeeze(f.data, a));
        ar_buf_lit(&out, "\n\n");
    }
    struct ar_str text = ar_arena_copy(a, ar_buf_view(&out));
    ar_buf_done(&out);
    return text;
}

static void sse_begin(struct ar_framer *f, struct ar_str name)
{
    if (name.n > 0) {
        ar_buf_fmt(f->out, "event: %.*s\n", AR_FMT(name));
    }
    ar_buf_lit(f->out, "data: ");
}

static void sse_end(struct ar_framer *f)
{
    ar_buf_lit(f->out, "\n\n");
    f->count++;
}

static void sse_comment(struct ar_framer *f, struct ar_str text)
{
    ar_buf_fmt(f->out, ": %.*s\n\n", AR_FMT(text));
}

static void sse_finish(struct ar_framer *f)
{
    (void)f;
}

const struct ar_framing kit_sse = {"sse",   "text/event-stream", sse_begin,
                                   sse_end, sse_comment,         sse_finish};

static bool bit_of(struct ar_str name, const char *const *names, unsigned n, uint64_t *into)
{
    for (unsigned i = 0; i < n; i++) {
        if (ar_str_is(name, ar_str_of(names[i]))) {
            *into |= UINT64_C(1) << i;
            return true;
        }
    }
    return false;
}

bool kit_cap(struct ar_str name, uint64_t *into)
{
    static const char *const NAMES[] = {
#define X(id, doc) #id,
#include "ir/caps.def"
#undef X
    };
    return bit_of(name, NAMES, AR_CAP_COUNT, into);
}

bool kit_quirk(struct ar_str name, uint64_t *into)
{
    static const char *const NAMES[] = {
#define X(id, doc) #id,
#include "ir/quirks.def"
#undef X
    };
    return bit_of(name, NAMES, AR_QUIRK_COUNT, into);
}

static unsigned open_blocks(const struct kit_watch *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->blocks; i++) {
        n += w->open[i];
    }
    return n;
}

static const char *watch_block(struct kit_watch *w, const struct ar_event *ev)
{
    if (ev->kind == AR_EV_BLOCK_START) {
        if (ev->b != w->blocks || w->blocks >= 1024) {
            return "block numbers do not rise by one";
        }
        if (!ev->block || ev->block->text.n > 0) {
            return "a block starts without meta, or with text";
        }
        w->open[w->blocks++] = true;
        return NULL;
    }
    if (ev->b >= w->blocks || !w->open[ev->b]) {
        return "a delta or an end outside its block";
    }
    w->open[ev->b] = ev->kind == AR_EV_DELTA;
    return NULL;
}

const char *kit_watch_event(struct kit_watch *w, const struct ar_event *ev)
{
    if (w->is_over) {
        return "an event after the end";
    }
    w->is_over = ev->kind == AR_EV_END || ev->kind == AR_EV_ERROR;
    switch (ev->kind) {
    case AR_EV_START:
        if (w->has_start) {
            return "two starts";
        }
        w->has_start = true;
        return ev->answer ? NULL : "a start without an answer";
    case AR_EV_BLOCK_START:
    case AR_EV_DELTA:
    case AR_EV_BLOCK_END:
        return !w->has_start ? "a block before the start"
               : w->has_stop ? "a block after the stop"
                             : watch_block(w, ev);
    case AR_EV_STOP:
        if (!w->has_start || w->has_stop || open_blocks(w) > 0) {
            return "a stop before the start, a second one, or with blocks open";
        }
        w->has_stop = true;
        return ev->stop ? NULL : "a stop that says nothing";
    case AR_EV_END:
        return w->has_stop ? NULL : "an end without a stop";
    case AR_EV_USAGE:
    case AR_EV_PING:
    case AR_EV_RAW:
    case AR_EV_WHOLE:
    case AR_EV_ERROR:
        return NULL;
    }
    return "an unknown event";
}

void kit_show_difference(const char *what, struct ar_str want, struct ar_str got)
{
    size_t at = 0;
    while (at < want.n && at < got.n && want.p[at] == got.p[at]) {
        at++;
    }
    size_t from = at > 60 ? at - 60 : 0;
    printf(
        "    %s: differs at byte %zu\n      want ...%.*s\n      got  ...%.*s\n      whole: %.*s\n",
        what, at, AR_FMT(ar_str_head(ar_str_from(want, from), 160)),
        AR_FMT(ar_str_head(ar_str_from(got, from), 160)), AR_FMT(got));
}
