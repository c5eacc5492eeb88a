/* The stream of an upstream as events (PROTOCOLS 2.6, 8.1). A frame is known by its event name, or
 * by its type where a server sends no names. What an item says is in stream_read_item.c, the native
 * path in stream_relay.c. Only a terminal response ends an answer well: a stream without one is
 * cut, however clean its end looks. Owns its tape, its queue and its items. */
#include "dialect/responses/stream_read.h"

#include <stdlib.h>

void ar_responses_start(struct ar_reader *r)
{
    if (!r->started) {
        r->started = true;
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_START, .answer = &r->answer});
    }
}

static const struct {
    struct ar_str type;
    enum ar_responses_frame kind;
} TYPES[] = {
    {AR_LIT_INIT("response.output_text.delta"), AR_RF_TEXT},
    {AR_LIT_INIT("response.function_call_arguments.delta"), AR_RF_ARGS},
    {AR_LIT_INIT("response.reasoning_summary_text.delta"), AR_RF_SUMMARY},
    {AR_LIT_INIT("response.reasoning_text.delta"), AR_RF_REASON},
    {AR_LIT_INIT("response.custom_tool_call_input.delta"), AR_RF_INPUT},
    {AR_LIT_INIT("response.output_item.added"), AR_RF_ADDED},
    {AR_LIT_INIT("response.output_item.done"), AR_RF_DONE},
    {AR_LIT_INIT("response.refusal.delta"), AR_RF_REFUSAL},
    {AR_LIT_INIT("response.output_text.annotation.added"), AR_RF_CITE},
    {AR_LIT_INIT("response.created"), AR_RF_CREATED},
    {AR_LIT_INIT("response.completed"), AR_RF_END},
    {AR_LIT_INIT("response.incomplete"), AR_RF_END},
    {AR_LIT_INIT("response.failed"), AR_RF_END},
    {AR_LIT_INIT("response.cancelled"), AR_RF_END},
    {AR_LIT_INIT("response.done"), AR_RF_END}, /* compatible servers */
    {AR_LIT_INIT("error"), AR_RF_ERROR},
};

enum ar_responses_frame ar_responses_frame_of(struct ar_str type)
{
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        if (ar_str_is(type, TYPES[i].type)) {
            return TYPES[i].kind;
        }
    }
    return AR_RF_OTHER;
}

bool ar_responses_note_end(struct ar_reader *r, struct ar_jval response)
{
    ar_responses_read_facts(response, r->a, &r->answer);
    return ar_responses_read_stop(response, r->seen, r->a, &r->stop, &r->queue.fault);
}

static void on_end(struct ar_reader *r, struct ar_jval root)
{
    struct ar_jval response = ar_json_get_lit(root, "response");
    if (!ar_json_is(response, AR_J_OBJECT)) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR, "the upstream's last event holds no response");
        return;
    }
    if (!ar_responses_note_end(r, response)) {
        ar_queue_fail_by(&r->queue, (struct ar_str){NULL, 0});
        return;
    }
    ar_responses_start(r);
    ar_responses_items_end(r, ar_json_get_lit(response, "output"));
    if (r->queue.ended) {
        return;
    }
    ar_responses_note_end(r, response); /* again: now all items are seen */
    r->answer.logprobs = ar_responses_out_logprobs(ar_json_get_lit(response, "output"), r->a);
    bool knows = ar_usage_is_known(&r->answer.usage);
    if (knows) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_USAGE, .usage = &r->answer.usage});
    }
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_STOP,
                                              .stop = &r->stop,
                                              .answer = &r->answer,
                                              .usage = knows ? &r->answer.usage : NULL});
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_END});
    r->queue.ended = true;
}

static void on_created(struct ar_reader *r, struct ar_jval root)
{
    if (!r->started) {
        ar_responses_read_facts(ar_json_get_lit(root, "response"), r->a, &r->answer);
        ar_responses_start(r);
    }
}

static void on_event(struct ar_reader *r, enum ar_responses_frame kind, struct ar_jval root,
                     struct ar_str data)
{
    switch (kind) {
    case AR_RF_TEXT:
    case AR_RF_REFUSAL:
    case AR_RF_SUMMARY:
    case AR_RF_REASON:
    case AR_RF_ARGS:
    case AR_RF_INPUT:
        ar_responses_item_delta(r, kind, root);
        return;
    case AR_RF_CITE:
        ar_responses_item_cite(r, root);
        return;
    case AR_RF_CREATED:
        on_created(r, root);
        return;
    case AR_RF_ADDED:
        ar_responses_item_added(r, root);
        return;
    case AR_RF_DONE:
        ar_responses_item_done(r, root);
        return;
    case AR_RF_END:
        on_end(r, root);
        return;
    case AR_RF_ERROR:
        ar_responses_decode_error(200, data, r->a, &r->queue.fault);
        ar_queue_fail_by(&r->queue, (struct ar_str){NULL, 0});
        return;
    case AR_RF_OTHER:
        return;
    }
}

void ar_responses_read_frame(struct ar_reader *r, const struct ar_frame *f)
{
    ar_queue_reuse(&r->queue);
    if (r->queue.ended) {
        return;
    }
    if (r->relay) {
        ar_responses_relay_frame(r, f);
        return;
    }
    struct ar_str data = ar_str_trim(f->data);
    enum ar_responses_frame kind = ar_responses_frame_of(f->name);
    if (!data.n) { /* a comment */
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_PING});
        return;
    }
    if (ar_str_is_lit(data, "[DONE]") ||
        (kind == AR_RF_OTHER && ar_str_has_prefix(f->name, AR_LIT("response.")))) {
        return;
    }
    if (ar_jtape_parse(&r->tape, data, &r->doc, NULL) != AR_OK ||
        !ar_json_is(ar_json_root(&r->doc), AR_J_OBJECT)) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR,
                      "the upstream's stream has a frame that is not a JSON object");
        return;
    }
    struct ar_jval root = ar_json_root(&r->doc);
    if (kind == AR_RF_OTHER) {
        struct ar_jval type = ar_json_get_lit(root, "type");
        kind = ar_responses_frame_of(ar_json_esc(type));
        if (!ar_json_is(type, AR_J_STRING) && !ar_json_is_nil(ar_json_get_lit(root, "error"))) {
            kind = AR_RF_ERROR;
        }
    }
    on_event(r, kind, root, data);
}

void ar_responses_read_eof(struct ar_reader *r, enum ar_eof eof)
{
    (void)eof; /* cut, clean or enough: what counts is whether a terminal came */
    ar_queue_reuse(&r->queue);
    if (r->queue.ended) {
        return;
    }
    if (r->relay) {
        ar_responses_relay_end(r);
    } else {
        ar_queue_fail(&r->queue, AR_UPSTREAM_TRUNCATED, "the upstream's answer was cut");
    }
}

bool ar_responses_read_next(struct ar_reader *r, struct ar_event *ret)
{
    return ar_queue_next(&r->queue, ret);
}

/* A terminal brings the usage along; relayed, the bytes after it are still to come. */
bool ar_responses_read_lingers(const struct ar_reader *r)
{
    return r->ending && !r->queue.ended;
}

struct ar_reader *ar_responses_reader_new(const struct ar_read_how *how, struct ar_arena *a)
{
    struct ar_reader *r = ar_arena_new(a, struct ar_reader);
    if (r) {
        r->target = how->target;
        r->relay = how->relay;
        r->a = a;
        ar_usage_clear(&r->answer.usage);
    }
    return r;
}

void ar_responses_reader_done(struct ar_reader *r)
{
    if (!r) {
        return;
    }
    ar_queue_done(&r->queue);
    free(r->items);
    ar_jtape_done(&r->tape);
    r->items = NULL;
    r->item_n = 0;
}
