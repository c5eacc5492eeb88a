/* The stream of a native call: its bytes are relayed, and only what the gateway must know is read:
 * the first content (which commits), usage, how it ended, errors. Most frames differ from the one
 * before by one string alone; such a frame is told by comparing what surrounds the string. Others
 * are scanned for the three keys that matter, which cannot stand inside a string unescaped; only
 * frames where one of them has a value are parsed. */
#include "dialect/chat/stream_read.h"

enum { LEARN_MAX = 64 };

static const struct ar_str SAID_KEYS[] = {
    AR_LIT_INIT("\"content\":\""), AR_LIT_INIT("\"arguments\":\""), AR_LIT_INIT("\"text\":\""),
    AR_LIT_INIT("\"reasoning_content\":\""), AR_LIT_INIT("\"reasoning\":\"")};

static bool is_same(const struct ar_chat_template *t, struct ar_str data)
{
    size_t tail_n = t->bytes.n - t->head_n;
    if (t->bytes.n == 0 || data.n < t->bytes.n || memcmp(data.p, t->bytes.p, t->head_n) != 0 ||
        memcmp(data.p + data.n - tail_n, t->bytes.p + t->head_n, tail_n) != 0) {
        return false;
    }
    return memchr(data.p + t->head_n, '"', data.n - t->bytes.n) == NULL;
}

/* Keeps what surrounds the string of a frame that told nothing. */
static void learn(struct ar_chat_template *t, struct ar_str data)
{
    if (t->learned >= LEARN_MAX) {
        return;
    }
    for (size_t k = 0; k < sizeof SAID_KEYS / sizeof *SAID_KEYS; k++) {
        size_t at = ar_str_find(data, SAID_KEYS[k]);
        if (at == data.n) {
            continue;
        }
        size_t head = at + SAID_KEYS[k].n, end = head;
        while (end < data.n && data.p[end] != '"') {
            end += data.p[end] == '\\' ? 2 : 1;
        }
        if (end >= data.n || end == head) {
            continue;
        }
        t->learned++;
        ar_buf_clear(&t->bytes);
        ar_buf_put(&t->bytes, data.p, head);
        ar_buf_put(&t->bytes, data.p + end, data.n - end);
        t->head_n = head;
        if (ar_buf_finish(&t->bytes) != AR_OK) {
            ar_buf_clear(&t->bytes);
        }
        return;
    }
}

/* Has key a value other than null and ""? */
static bool has_value(struct ar_str data, struct ar_str key)
{
    const char *p = data.p, *end = data.p + data.n;
    while ((p = memmem(p, (size_t)(end - p), key.p, key.n)) != NULL) {
        p += key.n;
        while (p < end && (*p == ' ' || *p == ':')) {
            p++;
        }
        bool is_null = end - p >= 4 && memcmp(p, "null", 4) == 0;
        bool is_empty = end - p >= 2 && p[0] == '"' && p[1] == '"';
        if (!is_null && !is_empty) {
            return true;
        }
    }
    return false;
}

static bool tells_nothing(struct ar_str data)
{
    return !has_value(data, AR_LIT("\"usage\"")) && !has_value(data, AR_LIT("\"finish_reason\"")) &&
           !has_value(data, AR_LIT("\"error\""));
}

/* The first member of a delta that shows something, as a block kind; false: it shows nothing. Any
 * member counts that is not known to be silent: what the gateway has no name for is content to
 * somebody. */
static bool find_content(struct ar_jval delta, enum ar_block_kind *ret_kind,
                         struct ar_str *ret_text)
{
    struct ar_jiter it = ar_json_iter(delta);
    while (ar_json_next(&it)) {
        bool empty = ar_json_is_nil(it.val) ||
                     (ar_json_is(it.val, AR_J_STRING) && ar_json_esc(it.val).n == 0) ||
                     ((ar_json_is(it.val, AR_J_ARRAY) || ar_json_is(it.val, AR_J_OBJECT)) &&
                      ar_json_count(it.val) == 0);
        if (empty || ar_str_is_lit(it.key, "role") || ar_str_is_lit(it.key, "channel")) {
            continue;
        }
        *ret_text = ar_json_is(it.val, AR_J_STRING) ? ar_json_esc(it.val) : ar_json_raw(it.val);
        *ret_kind = ar_str_is_lit(it.key, "tool_calls") || ar_str_is_lit(it.key, "function_call")
                        ? AR_TOOL_USE
                    : ar_str_has_prefix(it.key, AR_LIT("reasoning")) ? AR_THINKING
                    : ar_str_is_lit(it.key, "refusal")               ? AR_REFUSAL
                                                                     : AR_TEXT;
        return true;
    }
    return false;
}

/* raw goes with the first event of the frame; what follows it shows no bytes of its own. */
static void put(struct ar_reader *r, struct ar_event ev, struct ar_str *raw)
{
    ev.raw = *raw;
    *raw = AR_LIT("");
    ar_queue_put(&r->queue, ev);
}

static void put_first_content(struct ar_reader *r, enum ar_block_kind kind, struct ar_str text,
                              struct ar_str *raw)
{
    struct ar_block *b = ar_arena_new(r->a, struct ar_block);
    enum ar_delta delta = kind == AR_TEXT       ? AR_D_TEXT
                          : kind == AR_THINKING ? AR_D_THINKING
                                                : AR_D_REFUSAL;
    r->committed = true;
    if (!b) {
        return;
    }
    b->kind = kind;
    put(r, (struct ar_event){.kind = AR_EV_BLOCK_START, .block = b}, raw);
    if (kind != AR_TOOL_USE) {
        put(r, (struct ar_event){.kind = AR_EV_DELTA, .delta = delta, .text = text}, raw);
    }
}

static bool has_changed(const struct ar_usage *old, const struct ar_usage *now)
{
    return old->in_total != now->in_total || old->out_total != now->out_total ||
           old->in_cached != now->in_cached || old->out_reasoning != now->out_reasoning;
}

/* Reads a frame that may tell something. false: it was an error, and is dealt with. */
static bool note(struct ar_reader *r, struct ar_jval root, struct ar_str data, struct ar_str *raw)
{
    struct ar_str whole = *raw, text;
    enum ar_block_kind kind;
    struct ar_jval choices = ar_json_get_lit(root, "choices");
    if (ar_chat_is_error(ar_json_get_lit(root, "error"))) {
        ar_chat_fail_by(r, data, whole);
        return false;
    }
    bool had_usage = ar_json_is(ar_json_get_lit(root, "usage"), AR_J_OBJECT);
    if (r->swallow && had_usage && ar_json_is(choices, AR_J_ARRAY) && ar_json_count(choices) == 0) {
        *raw = AR_LIT(""); /* asked for by the gateway alone */
    }
    if (!r->started) {
        ar_chat_note_start(r, root);
        put(r, (struct ar_event){.kind = AR_EV_START, .answer = &r->answer}, raw);
    }
    struct ar_jiter it = ar_json_iter(choices);
    while (ar_json_next(&it)) {
        if (ar_chat_is_error(ar_json_get_lit(it.val, "error"))) {
            ar_chat_fail_by(r, ar_json_raw(it.val), whole);
            return false;
        }
        struct ar_jval delta = ar_json_get_lit(it.val, "delta");
        if (!ar_json_is(delta, AR_J_OBJECT)) {
            delta = ar_json_get_lit(it.val, "message");
        }
        struct ar_str plain = ar_json_esc(ar_json_get_lit(it.val, "text")); /* of Completions */
        if (plain.n > 0) {
            kind = AR_TEXT;
            text = plain;
        }
        if (plain.n > 0 || find_content(delta, &kind, &text)) {
            r->seen.text = true;
            r->seen.calls |= kind == AR_TOOL_USE;
            r->seen.refusal |= kind == AR_REFUSAL;
            r->rests = false;
            if (!r->committed) {
                put_first_content(r, kind, text, raw);
            }
        }
        if (ar_json_esc(ar_json_get_lit(it.val, "finish_reason")).n) {
            ar_chat_note_finish(r, it.val);
            r->rests = true;
        }
    }
    bool before = r->has_usage;
    struct ar_usage old = r->usage;
    ar_chat_note_usage(r, ar_json_get_lit(root, "usage"), ar_json_get_lit(root, "x_groq"));
    if (r->has_usage && (!before || has_changed(&old, &r->usage))) {
        put(r, (struct ar_event){.kind = AR_EV_USAGE, .usage = &r->usage}, raw);
    }
    return true;
}

void ar_chat_relay_end(struct ar_reader *r, struct ar_str raw)
{
    struct ar_str none = AR_LIT("");
    if (!r->finish.n && !r->seen.text) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR,
                      "the upstream's stream ended without an answer");
        return;
    }
    struct ar_str sequence = r->stop.sequence;
    struct ar_chat_seen seen = {.text = !r->seen.refusal, .refusal = r->seen.refusal};
    seen.calls = r->seen.calls || ar_str_is_lit(r->finish, "tool_calls") ||
                 ar_str_is_lit(r->finish, "function_call");
    ar_chat_read_stop(r->finish, (struct ar_jval){0}, seen, &r->stop);
    if (sequence.n && r->stop.reason == AR_STOP_END) {
        r->stop.reason = AR_STOP_SEQUENCE;
        r->stop.sequence = sequence;
    }
    if (r->committed) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_BLOCK_END, .raw = none});
    }
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_STOP,
                                              .stop = &r->stop,
                                              .usage = r->has_usage ? &r->usage : NULL,
                                              .raw = none});
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_END, .raw = raw});
    r->queue.ended = true;
}

void ar_chat_relay_frame(struct ar_reader *r, const struct ar_frame *f)
{
    struct ar_str data = f->data, raw = f->raw;
    if (r->committed && is_same(&r->same, data)) {
        r->rests = false;
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_RAW, .raw = raw});
        return;
    }
    if (ar_str_is_lit(ar_str_trim(data), "[DONE]")) {
        ar_chat_relay_end(r, raw);
        return;
    }
    if (ar_str_is_lit(f->name, "error") && data.n) {
        ar_chat_fail_by(r, data, raw);
        return;
    }
    if (!data.n || (r->committed && tells_nothing(data))) {
        if (data.n) {
            r->seen.calls = r->seen.calls || ar_str_has(data, AR_LIT("\"tool_calls\":[{"));
            learn(&r->same, data);
            r->rests = false;
        }
        /* A comment is no sign of an answer. */
        ar_queue_put(&r->queue,
                     (struct ar_event){.kind = data.n ? AR_EV_RAW : AR_EV_PING, .raw = raw});
        return;
    }
    if (ar_jtape_parse(&r->tape, data, &r->doc, NULL) == AR_OK &&
        ar_json_is(ar_json_root(&r->doc), AR_J_OBJECT)) {
        unsigned before = r->queue.n;
        if (!note(r, ar_json_root(&r->doc), data, &raw) || r->queue.n > before) {
            return;
        }
    }
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_RAW, .raw = raw});
}
