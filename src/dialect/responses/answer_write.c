/* One output item on its way to a Responses client: the frames that announce it, carry its text or
 * input and finish it, and its finished form, which is kept, because the last event of a stream and
 * a whole answer are made of exactly those (P-171). Text is copied once into the item and once into
 * the frame; what a delta repeats is made once an item. Owns nothing: items belong to the writer.
 */
#include "dialect/responses/answer_write.h"

#include "base/id.h"

#include <stdio.h>

static const struct {
    const char *type, *prefix;
} KINDS[] = {
    [AR_RW_MESSAGE] = {"message", "msg_"},
    [AR_RW_REASONING] = {"reasoning", "rs_"},
    [AR_RW_FUNCTION] = {"function_call", "fc_"},
    [AR_RW_CUSTOM] = {"custom_tool_call", "ctc_"},
    [AR_RW_NATIVE] = {NULL, NULL},
    [AR_RW_SEARCH] = {"web_search_call", "ws_"},
};
static const struct {
    const char *type, *prefix;
} NATIVES[] = {
    [AR_NATIVE_LOCAL_SHELL] = {"local_shell_call", "lsh_"},
    [AR_NATIVE_SHELL] = {"shell_call", "sh_"},
    [AR_NATIVE_APPLY_PATCH] = {"apply_patch_call", "apc_"},
    [AR_NATIVE_TOOL_SEARCH] = {"tool_search_call", "tsc_"},
};

static const char *type_of(const struct ar_responses_out *o)
{
    return o->kind == AR_RW_NATIVE ? NATIVES[o->native].type : KINDS[o->kind].type;
}

/* --- frames --- */

struct ar_jw ar_responses_open_frame(struct ar_framer *f, struct ar_str name)
{
    f->how->begin(f, name);
    struct ar_jw j = ar_jw_on(f->out);
    ar_jw_open(&j, '{');
    ar_jw_key_esc(&j, "type", name);
    return j;
}

void ar_responses_close_frame(struct ar_writer *w, struct ar_framer *f, struct ar_jw *j)
{
    ar_jw_key_i64(j, "sequence_number", w->seq++);
    ar_jw_close(j, '}');
    f->how->end(f);
}

/* A frame about the item, with the members that all of them have. */
static struct ar_jw about(const struct ar_responses_out *o, struct ar_framer *f, struct ar_str name)
{
    struct ar_jw j = ar_responses_open_frame(f, name);
    ar_jw_key_esc(&j, "item_id", ar_str_of(o->id));
    ar_jw_key_i64(&j, "output_index", o->index);
    if (o->kind == AR_RW_MESSAGE) {
        ar_jw_key_i64(&j, "content_index", o->part_n);
    } else if (o->kind == AR_RW_REASONING) {
        ar_jw_key_i64(&j, "summary_index", o->part_n);
    }
    return j;
}

/* The beginning of the usual delta of the open part. */
static void make_prefix(struct ar_responses_out *o, const char *event, const char *index)
{
    char at[48] = "";
    if (index) {
        (void)snprintf(at, sizeof at, "\"%s\":%u,", index, o->part_n);
    }
    int n = snprintf(o->prefix, sizeof o->prefix,
                     "{\"type\":\"%s\",\"item_id\":\"%s\",\"output_index\":%u,%s\"delta\":\"",
                     event, o->id, o->index, at);
    o->prefix_n = (uint16_t)(n > 0 && (size_t)n < sizeof o->prefix ? n : 0);
}

static void put_delta(struct ar_writer *w, const struct ar_responses_out *o, struct ar_str name,
                      struct ar_str esc, struct ar_framer *out)
{
    out->how->begin(out, name);
    ar_buf_put(out->out, o->prefix, o->prefix_n);
    ar_buf_str(out->out, esc);
    ar_buf_str(out->out, o->part == AR_RW_TEXT ? AR_LIT("\",\"logprobs\":[],\"sequence_number\":")
                                               : AR_LIT("\",\"sequence_number\":"));
    ar_buf_i64(out->out, w->seq++);
    ar_buf_char(out->out, '}');
    out->how->end(out);
}

/* --- items --- */

struct ar_responses_out *ar_responses_open_item(struct ar_writer *w, enum ar_responses_kind kind,
                                                enum ar_native native, struct ar_str from_id)
{
    struct ar_responses_out *o = w->spare, **link = &w->open;
    const char *prefix = kind == AR_RW_NATIVE ? NATIVES[native].prefix : KINDS[kind].prefix;
    if (o) {
        w->spare = o->next;
    } else if (!(o = ar_arena_new(&w->a, struct ar_responses_out))) {
        return NULL;
    }
    *o = (struct ar_responses_out){.index = w->next_index++, .kind = kind, .native = native};
    ar_buf_init(&o->text, AR_RESPONSES_TEXT_MAX);
    ar_buf_init(&o->parts, AR_RESPONSES_TEXT_MAX);
    ar_buf_init(&o->notes, AR_RESPONSES_TEXT_MAX);
    bool keeps = ar_str_has_prefix(from_id, ar_str_of(prefix)) && from_id.n < sizeof o->id &&
                 ar_str_is(ar_json_escape_in(from_id, &w->a), from_id);
    if (keeps) {
        memcpy(o->id, from_id.p, from_id.n);
    } else {
        size_t n = strlen(prefix);
        memcpy(o->id, prefix, n);
        ar_id_hex(w->stamp.seed, "item", o->index, 24, o->id + n);
    }
    while (*link) {
        link = &(*link)->next;
    }
    *link = w->newest = o;
    return o;
}

/* Members of a call that stand before its input. */
static void put_call_head(struct ar_jw *j, const struct ar_responses_out *o)
{
    ar_jw_key_text(j, "call_id", o->call_id);
    if (o->kind != AR_RW_NATIVE) {
        ar_responses_put_name(j, o->name, o->ns);
    }
}

static void put_item_head(struct ar_jw *j, const struct ar_responses_out *o, const char *status)
{
    ar_jw_open(j, '{');
    ar_jw_key_esc(j, "id", ar_str_of(o->id));
    ar_jw_key_esc(j, "type", ar_str_of(type_of(o)));
    if (o->kind != AR_RW_REASONING) {
        ar_jw_key_esc(j, "status", ar_str_of(status));
    }
    if (o->kind == AR_RW_MESSAGE) {
        ar_jw_key_lit(j, "role", "assistant");
        if (o->phase.n > 0) {
            ar_jw_key_text(j, "phase", o->phase);
        }
    } else if (o->kind != AR_RW_REASONING && o->kind != AR_RW_SEARCH) {
        put_call_head(j, o);
    }
}

void ar_responses_show_item(struct ar_writer *w, struct ar_responses_out *o, struct ar_framer *out)
{
    if (o->kind == AR_RW_FUNCTION) {
        make_prefix(o, "response.function_call_arguments.delta", NULL);
    } else if (o->kind == AR_RW_CUSTOM) {
        make_prefix(o, "response.custom_tool_call_input.delta", NULL);
    }
    if (w->quiet) {
        return;
    }
    struct ar_jw j = ar_responses_open_frame(out, AR_LIT("response.output_item.added"));
    ar_jw_key_i64(&j, "output_index", o->index);
    ar_jw_key(&j, "item");
    put_item_head(&j, o, "in_progress");
    switch (o->kind) {
    case AR_RW_MESSAGE:
        ar_jw_key_raw(&j, "content", AR_LIT("[]"));
        break;
    case AR_RW_REASONING:
        ar_jw_key_raw(&j, "summary", AR_LIT("[]"));
        break;
    case AR_RW_FUNCTION:
        ar_jw_key_lit(&j, "arguments", "");
        break;
    case AR_RW_CUSTOM:
        ar_jw_key_lit(&j, "input", "");
        break;
    case AR_RW_SEARCH:
        ar_jw_key_raw(&j, "action", AR_LIT("{\"type\":\"search\",\"query\":\"\"}"));
        break;
    case AR_RW_NATIVE:
        (void)ar_responses_put_action(&j, o->native, ar_buf_view(&o->text), &w->a);
        break;
    }
    ar_jw_close(&j, '}');
    ar_responses_close_frame(w, out, &j);
    if (o->kind == AR_RW_SEARCH) {
        j = about(o, out, AR_LIT("response.web_search_call.in_progress"));
        ar_responses_close_frame(w, out, &j);
        j = about(o, out, AR_LIT("response.web_search_call.searching"));
        ar_responses_close_frame(w, out, &j);
    }
}

/* --- parts --- */

/* The open part's object; text absent: as it is announced. */
static void put_part(struct ar_jw *j, const struct ar_responses_out *o, struct ar_str text)
{
    ar_jw_open(j, '{');
    switch (o->part) {
    case AR_RW_REFUSAL:
        ar_jw_key_lit(j, "type", "refusal");
        ar_jw_key_esc(j, "refusal", text);
        break;
    case AR_RW_SUMMARY:
        ar_jw_key_lit(j, "type", "summary_text");
        ar_jw_key_esc(j, "text", text);
        break;
    default:
        ar_jw_key_lit(j, "type", "output_text");
        ar_jw_key_esc(j, "text", text);
        ar_jw_key(j, "annotations");
        ar_jw_open(j, '[');
        if (o->notes.n > 0) {
            ar_jw_raw(j, ar_buf_view(&o->notes));
        }
        ar_jw_close(j, ']');
        ar_jw_key_raw(j, "logprobs", o->logprobs.n > 0 && text.n > 0 ? o->logprobs : AR_LIT("[]"));
        break;
    }
    ar_jw_close(j, '}');
}

static const struct {
    struct ar_str added, delta, text_done, part_done;
    const char *text_key, *index;
} PARTS[] = {
    [AR_RW_TEXT] = {AR_LIT_INIT("response.content_part.added"),
                    AR_LIT_INIT("response.output_text.delta"),
                    AR_LIT_INIT("response.output_text.done"),
                    AR_LIT_INIT("response.content_part.done"), "text", "content_index"},
    [AR_RW_REFUSAL] = {AR_LIT_INIT("response.content_part.added"),
                       AR_LIT_INIT("response.refusal.delta"), AR_LIT_INIT("response.refusal.done"),
                       AR_LIT_INIT("response.content_part.done"), "refusal", "content_index"},
    [AR_RW_SUMMARY] = {AR_LIT_INIT("response.reasoning_summary_part.added"),
                       AR_LIT_INIT("response.reasoning_summary_text.delta"),
                       AR_LIT_INIT("response.reasoning_summary_text.done"),
                       AR_LIT_INIT("response.reasoning_summary_part.done"), "text",
                       "summary_index"},
};

static void open_part(struct ar_writer *w, struct ar_responses_out *o, enum ar_responses_part part,
                      struct ar_framer *out)
{
    o->part = part;
    make_prefix(o, PARTS[part].delta.p, PARTS[part].index);
    if (!w->quiet) {
        struct ar_jw j = about(o, out, PARTS[part].added);
        ar_jw_key(&j, "part");
        put_part(&j, o, AR_LIT(""));
        ar_responses_close_frame(w, out, &j);
    }
}

static void close_part(struct ar_writer *w, struct ar_responses_out *o, struct ar_framer *out)
{
    if (o->part == AR_RW_NO_PART) {
        return;
    }
    struct ar_str text = ar_buf_view(&o->text);
    struct ar_jw parts = ar_jw_on(&o->parts);
    size_t at = o->parts.n;
    parts.comma = at > 0;
    put_part(&parts, o, text);
    at += at > 0; /* its comma */
    if (!w->quiet) {
        struct ar_jw j = about(o, out, PARTS[o->part].text_done);
        ar_jw_key_n(&j, PARTS[o->part].text_key, strlen(PARTS[o->part].text_key));
        ar_jw_esc(&j, text);
        if (o->part == AR_RW_TEXT) {
            ar_jw_key_raw(&j, "logprobs", o->logprobs.n > 0 ? o->logprobs : AR_LIT("[]"));
        }
        ar_responses_close_frame(w, out, &j);
        j = about(o, out, PARTS[o->part].part_done);
        ar_jw_key_raw(&j, "part", ar_str_from(ar_buf_view(&o->parts), at));
        ar_responses_close_frame(w, out, &j);
    }
    ar_buf_clear(&o->text);
    ar_buf_clear(&o->notes);
    o->note_n = 0;
    o->part_n++;
    o->part = AR_RW_NO_PART;
}

void ar_responses_put_text(struct ar_writer *w, struct ar_responses_out *o,
                           enum ar_responses_part part, struct ar_str esc, struct ar_framer *out)
{
    if (o->part != part) {
        close_part(w, o, out);
        open_part(w, o, part, out);
    }
    ar_buf_str(&o->text, esc);
    if (!w->quiet) {
        put_delta(w, o, PARTS[part].delta, esc, out);
    }
}

void ar_responses_put_note(struct ar_writer *w, struct ar_responses_out *o, struct ar_str raw,
                           struct ar_framer *out)
{
    struct ar_jw notes = ar_jw_on(&o->notes);
    notes.comma = o->notes.n > 0;
    ar_jw_raw(&notes, raw);
    if (!w->quiet) {
        struct ar_jw j = about(o, out, AR_LIT("response.output_text.annotation.added"));
        ar_jw_key_i64(&j, "annotation_index", o->note_n);
        ar_jw_key_raw(&j, "annotation", raw);
        ar_responses_close_frame(w, out, &j);
    }
    o->note_n++;
}

/* --- calls --- */

void ar_responses_put_input(struct ar_writer *w, struct ar_responses_out *o, struct ar_str esc,
                            struct ar_framer *out)
{
    ar_buf_str(&o->text, esc);
    if (w->quiet || esc.n == 0) {
        return;
    }
    if (o->kind == AR_RW_FUNCTION) {
        put_delta(w, o, AR_LIT("response.function_call_arguments.delta"), esc, out);
    } else if (o->kind == AR_RW_CUSTOM) {
        put_delta(w, o, AR_LIT("response.custom_tool_call_input.delta"), esc, out);
    }
}

/* The frame that tells the whole input. */
static void show_input(struct ar_writer *w, struct ar_responses_out *o, struct ar_framer *out)
{
    bool is_custom = o->kind == AR_RW_CUSTOM;
    if (!is_custom && o->text.n == 0) {
        ar_responses_put_input(w, o, AR_LIT("{}"), out); /* clients parse what they get */
    }
    if (!w->quiet) {
        struct ar_jw j = about(o, out,
                               is_custom ? AR_LIT("response.custom_tool_call_input.done")
                                         : AR_LIT("response.function_call_arguments.done"));
        if (!is_custom) {
            ar_jw_key_text(&j, "name", ar_responses_bare_name(o->ns, o->name));
        }
        ar_jw_key_n(&j, is_custom ? "input" : "arguments", is_custom ? 5 : 9);
        ar_jw_esc(&j, ar_buf_view(&o->text));
        ar_responses_close_frame(w, out, &j);
    }
}

/* A call of a native kind is complete: announced now, because only a whole action is one. An input
 * that is not of the form makes it an ordinary call. */
static void settle_native(struct ar_writer *w, struct ar_responses_out *o, struct ar_framer *out)
{
    struct ar_buf probe;
    ar_buf_init(&probe, AR_RESPONSES_TEXT_MAX);
    struct ar_jw j = ar_jw_on(&probe);
    struct ar_str input = ar_json_unescape_in(ar_buf_view(&o->text), &w->a);
    bool fits = input.p && ar_responses_put_action(&j, o->native, input, &w->a);
    ar_buf_done(&probe);
    if (fits) {
        ar_buf_clear(&o->text);
        ar_buf_str(&o->text, input); /* decoded from here on */
        ar_responses_show_item(w, o, out);
        return;
    }
    o->kind = AR_RW_FUNCTION;
    (void)snprintf(o->id, sizeof o->id, "fc_");
    ar_id_hex(w->stamp.seed, "item", o->index, 24, o->id + 3);
    ar_responses_show_item(w, o, out);
    if (!w->quiet && o->text.n > 0) {
        put_delta(w, o, AR_LIT("response.function_call_arguments.delta"), ar_buf_view(&o->text),
                  out);
    }
}

/* --- searches --- */

static void put_search(struct ar_writer *w, struct ar_jw *j, const struct ar_responses_out *o,
                       struct ar_str sources)
{
    struct ar_jdoc doc;
    struct ar_str query = AR_LIT("");
    struct ar_str input = ar_json_unescape_in(ar_buf_view(&o->text), &w->a);
    if (input.n > 0 && ar_json_parse(input, AR_JSON_DEPTH, &w->a, &doc, NULL) == AR_OK) {
        struct ar_jval v = ar_json_get_lit(ar_json_root(&doc), "query");
        query = ar_json_is(v, AR_J_STRING) ? ar_json_esc(v) : query;
    }
    ar_jw_key(j, "action");
    ar_jw_open(j, '{');
    ar_jw_key_lit(j, "type", "search");
    ar_jw_key_esc(j, "query", query);
    ar_jw_key(j, "queries");
    ar_jw_open(j, '[');
    ar_jw_esc(j, query);
    ar_jw_close(j, ']');
    if (sources.n > 0) {
        ar_jw_key_raw(j, "sources", sources);
    }
    ar_jw_close(j, '}');
}

/* --- the finished form --- */

static void put_finished(struct ar_writer *w, struct ar_jw *j, const struct ar_responses_out *o,
                         bool is_cut, struct ar_str sources)
{
    put_item_head(j, o, is_cut ? "incomplete" : "completed");
    switch (o->kind) {
    case AR_RW_MESSAGE:
    case AR_RW_REASONING:
        ar_jw_key_n(j, o->kind == AR_RW_MESSAGE ? "content" : "summary", 7);
        ar_jw_open(j, '[');
        if (o->parts.n > 0) {
            ar_jw_raw(j, ar_buf_view(&o->parts));
        }
        ar_jw_close(j, ']');
        if (o->kind == AR_RW_REASONING && o->sig && o->sig->data.n > 0) {
            ar_jw_key(j, "encrypted_content");
            ar_responses_put_sig(j, o->sig);
        }
        break;
    case AR_RW_FUNCTION:
        ar_jw_key_esc(j, "arguments", ar_buf_view(&o->text));
        break;
    case AR_RW_CUSTOM:
        ar_jw_key_esc(j, "input", ar_buf_view(&o->text));
        break;
    case AR_RW_NATIVE:
        (void)ar_responses_put_action(j, o->native, ar_buf_view(&o->text), &w->a);
        break;
    case AR_RW_SEARCH:
        put_search(w, j, o, sources);
        break;
    }
    ar_jw_close(j, '}');
}

/* Notes where the finished item with that index is, and tells it. */
static void keep_item(struct ar_writer *w, unsigned index, size_t from, struct ar_framer *out)
{
    struct ar_span span = {from, w->done.n - from}, none = {0, 0};
    while (w->spans.n < (index + 1) * sizeof span && !w->spans.overflowed) {
        ar_buf_put(&w->spans, &none, sizeof none);
    }
    if (!w->spans.overflowed) {
        memcpy(w->spans.p + index * sizeof span, &span, sizeof span);
    }
    if (!w->quiet) {
        struct ar_jw j = ar_responses_open_frame(out, AR_LIT("response.output_item.done"));
        ar_jw_key_i64(&j, "output_index", index);
        ar_jw_key_raw(&j, "item", ar_str_from(ar_buf_view(&w->done), from));
        ar_responses_close_frame(w, out, &j);
    }
}

static void drop_item(struct ar_writer *w, struct ar_responses_out *o)
{
    struct ar_responses_out **link = &w->open;
    ar_buf_done(&o->text);
    ar_buf_done(&o->parts);
    ar_buf_done(&o->notes);
    while (*link != o) {
        link = &(*link)->next;
    }
    *link = o->next;
    o->next = w->spare;
    w->spare = o;
    w->newest = w->newest == o ? NULL : w->newest;
}

void ar_responses_finish_item(struct ar_writer *w, struct ar_responses_out *o, bool is_cut,
                              struct ar_str sources, struct ar_framer *out)
{
    if (o->kind == AR_RW_NATIVE) {
        settle_native(w, o, out);
    }
    if (o->kind == AR_RW_MESSAGE || o->kind == AR_RW_REASONING) {
        close_part(w, o, out);
    } else if (o->kind == AR_RW_FUNCTION || o->kind == AR_RW_CUSTOM) {
        show_input(w, o, out);
    } else if (o->kind == AR_RW_SEARCH && !w->quiet) {
        struct ar_jw j = about(o, out, AR_LIT("response.web_search_call.completed"));
        ar_responses_close_frame(w, out, &j);
    }
    size_t from = w->done.n;
    struct ar_jw j = ar_jw_on(&w->done);
    put_finished(w, &j, o, is_cut, sources);
    if (o->text.overflowed || o->parts.overflowed || o->notes.overflowed) {
        w->done.overflowed = true; /* seen by whoever asks whether all went well */
    }
    keep_item(w, o->index, from, out);
    drop_item(w, o);
}

void ar_responses_pass_item(struct ar_writer *w, struct ar_str raw, struct ar_framer *out)
{
    unsigned index = w->next_index++;
    size_t from = w->done.n;
    if (!w->quiet) {
        struct ar_jw j = ar_responses_open_frame(out, AR_LIT("response.output_item.added"));
        ar_jw_key_i64(&j, "output_index", index);
        ar_jw_key_raw(&j, "item", raw);
        ar_responses_close_frame(w, out, &j);
    }
    ar_buf_str(&w->done, raw);
    w->newest = NULL;
    keep_item(w, index, from, out);
}
