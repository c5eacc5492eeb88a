/* The stream of a native call: its bytes are relayed, and only what the gateway must know is read:
 * the start, the first content (which commits), how it ended with its usage, errors. A frame is
 * told by its event name, so after the first content nothing is parsed until the terminal. Codex
 * understands response.failed alone, which follows an error event: once content was shown, such an
 * event is passed on and remembered, and the answer fails with the frame that comes after it, or at
 * the end. */
#include "dialect/responses/stream_read.h"

/* raw goes with the first event of the frame; what follows it shows no bytes of its own. */
static void put(struct ar_reader *r, struct ar_event ev, struct ar_str *raw)
{
    ev.raw = *raw;
    *raw = AR_LIT("");
    ar_queue_put(&r->queue, ev);
}

static void put_start(struct ar_reader *r, struct ar_str *raw)
{
    if (!r->started) {
        r->started = true;
        put(r, (struct ar_event){.kind = AR_EV_START, .answer = &r->answer}, raw);
    }
}

/* The first thing that a client can see, as a block. */
static void put_first(struct ar_reader *r, enum ar_block_kind kind, struct ar_str text,
                      struct ar_str *raw)
{
    static const struct ar_block KINDS[] = {{.kind = AR_TEXT},
                                            {.kind = AR_THINKING},
                                            {.kind = AR_REFUSAL},
                                            {.kind = AR_TOOL_USE},
                                            {.kind = AR_OPAQUE_ITEM}};
    static const enum ar_delta DELTAS[] = {AR_D_TEXT, AR_D_THINKING, AR_D_REFUSAL};
    unsigned i = 0;
    while (KINDS[i].kind != kind) {
        i++;
    }
    r->committed = true;
    put_start(r, raw);
    put(r, (struct ar_event){.kind = AR_EV_BLOCK_START, .block = &KINDS[i]}, raw);
    if (i < sizeof DELTAS / sizeof *DELTAS) {
        put(r, (struct ar_event){.kind = AR_EV_DELTA, .delta = DELTAS[i], .text = text}, raw);
    }
}

static void on_item(struct ar_reader *r, struct ar_jval root, struct ar_str *raw)
{
    struct ar_jval item = ar_json_get_lit(root, "item");
    struct ar_str type = ar_json_esc(ar_json_get_lit(item, "type"));
    struct ar_block b;
    if (ar_responses_out_call(item, r->a, &b)) {
        r->seen.call = true;
        if (!r->committed) {
            put_first(r, AR_TOOL_USE, AR_LIT(""), raw);
        }
    } else if (!r->committed && type.n && !ar_str_is_lit(type, "message") &&
               !ar_str_is_lit(type, "reasoning")) {
        put_first(r, AR_OPAQUE_ITEM, AR_LIT(""), raw);
    }
}

/* What the terminal's list says of the answer. */
static void note_output(struct ar_reader *r, struct ar_jval output)
{
    struct ar_block b;
    for (struct ar_jiter it = ar_json_iter(output); ar_json_next(&it);) {
        struct ar_jiter part = ar_json_iter(ar_json_get_lit(it.val, "content"));
        bool is_message = ar_str_is_lit(ar_json_esc(ar_json_get_lit(it.val, "type")), "message");
        r->seen.call |= ar_responses_out_call(it.val, r->a, &b);
        while (is_message && ar_json_next(&part)) {
            r->seen.text |= ar_json_esc(ar_json_get_lit(part.val, "text")).n > 0;
            r->seen.refusal |= ar_json_esc(ar_json_get_lit(part.val, "refusal")).n > 0;
        }
    }
}

static void on_end(struct ar_reader *r, struct ar_jval root, struct ar_str *raw)
{
    struct ar_jval response = ar_json_get_lit(root, "response");
    note_output(r, ar_json_get_lit(response, "output"));
    if (!ar_responses_note_end(r, response)) {
        ar_queue_fail_by(&r->queue, *raw);
        return;
    }
    put_start(r, raw);
    r->ending = true;
    if (ar_usage_is_known(&r->answer.usage)) {
        put(r, (struct ar_event){.kind = AR_EV_USAGE, .usage = &r->answer.usage}, raw);
    }
}

static void on_error(struct ar_reader *r, struct ar_str data, struct ar_str raw)
{
    ar_responses_decode_error(200, data, r->a, &r->queue.fault);
    if (r->committed) {
        r->failing = true;
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_RAW, .raw = raw});
    } else {
        ar_queue_fail_by(&r->queue, raw);
    }
}

static void on_event(struct ar_reader *r, enum ar_responses_frame kind, struct ar_str data,
                     struct ar_str *raw)
{
    struct ar_jval root = ar_json_root(&r->doc);
    struct ar_str text = ar_json_esc(ar_json_get_lit(root, "delta"));
    switch (kind) {
    case AR_RF_CREATED:
        ar_responses_read_facts(ar_json_get_lit(root, "response"), r->a, &r->answer);
        put_start(r, raw);
        return;
    case AR_RF_ADDED:
    case AR_RF_DONE:
        on_item(r, root, raw);
        return;
    case AR_RF_TEXT:
    case AR_RF_REFUSAL:
    case AR_RF_SUMMARY:
    case AR_RF_REASON:
        if (text.n) {
            put_first(r,
                      kind == AR_RF_TEXT      ? AR_TEXT
                      : kind == AR_RF_REFUSAL ? AR_REFUSAL
                                              : AR_THINKING,
                      text, raw);
        }
        return;
    case AR_RF_ARGS:
    case AR_RF_INPUT:
        put_first(r, AR_TOOL_USE, AR_LIT(""), raw);
        return;
    case AR_RF_END:
        on_end(r, root, raw);
        return;
    case AR_RF_ERROR:
        on_error(r, data, *raw);
        *raw = AR_LIT("");
        return;
    case AR_RF_CITE:
    case AR_RF_OTHER:
        return;
    }
}

/* Servers that send no event names are known by what they say inside. */
static enum ar_responses_frame kind_of(struct ar_reader *r, const struct ar_frame *f,
                                       bool *ret_parsed)
{
    enum ar_responses_frame kind = ar_responses_frame_of(f->name);
    if (kind != AR_RF_OTHER || ar_str_has_prefix(f->name, AR_LIT("response.")) ||
        ar_jtape_parse(&r->tape, f->data, &r->doc, NULL) != AR_OK) {
        return kind;
    }
    *ret_parsed = true;
    struct ar_jval root = ar_json_root(&r->doc), type = ar_json_get_lit(root, "type");
    return !ar_json_is(type, AR_J_STRING) && !ar_json_is_nil(ar_json_get_lit(root, "error"))
               ? AR_RF_ERROR
               : ar_responses_frame_of(ar_json_esc(type));
}

void ar_responses_relay_frame(struct ar_reader *r, const struct ar_frame *f)
{
    struct ar_str raw = f->raw;
    bool parsed = false;
    if (!f->data.n) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_PING, .raw = raw});
        return;
    }
    enum ar_responses_frame kind = r->ending ? AR_RF_OTHER : kind_of(r, f, &parsed);
    bool matters =
        kind == AR_RF_END || kind == AR_RF_ERROR || (kind == AR_RF_CREATED && !r->started);
    unsigned before = r->queue.n;
    if (matters || (!r->committed && kind != AR_RF_OTHER)) {
        if (parsed || ar_jtape_parse(&r->tape, f->data, &r->doc, NULL) == AR_OK) {
            on_event(r, kind, f->data, &raw);
        }
    }
    if (r->queue.n == before) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_RAW, .raw = raw});
    }
}

void ar_responses_relay_end(struct ar_reader *r)
{
    struct ar_str none = AR_LIT("");
    if (r->failing) {
        ar_queue_fail_by(&r->queue, none);
        return;
    }
    if (!r->ending) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_TRUNCATED, "the upstream's answer was cut");
        return;
    }
    if (r->committed) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_BLOCK_END, .raw = none});
    }
    ar_queue_put(
        &r->queue,
        (struct ar_event){.kind = AR_EV_STOP,
                          .stop = &r->stop,
                          .usage = ar_usage_is_known(&r->answer.usage) ? &r->answer.usage : NULL,
                          .raw = none});
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_END, .raw = none});
    r->queue.ended = true;
}
