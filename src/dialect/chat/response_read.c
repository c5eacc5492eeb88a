/* Whole answers of an upstream: IR of all choices, and the observer of native ones, which reads how
 * it ended and what it cost. An error object with status 200 is a failure, and so is an answer that
 * says nothing and does not say how it ended: it must never look complete. Owns nothing. */
#include "dialect/chat/request_read.h"
#include "dialect/chat/stream_read.h"

static const struct ar_target NO_TARGET;

static void nonsense(struct ar_fault *f, const char *why)
{
    *f = (struct ar_fault){.code = AR_UPSTREAM_ERROR,
                           .blame = AR_OF_PLACE,
                           .upstream_status = 200,
                           .retry_after_ms = -1,
                           .message = ar_str_of(why)};
}

/* Thinking inside the text of the first text block becomes a block before it. */
static void cut_tags(struct ar_arena *a, struct ar_block **list)
{
    while (*list && (*list)->kind != AR_TEXT) {
        list = &(*list)->next;
    }
    struct ar_block *b = *list;
    struct ar_chat_tags tags = {0};
    struct ar_chat_piece pieces[AR_CHAT_PIECES];
    struct ar_buf scratch;
    if (!b) {
        return;
    }
    ar_buf_init(&scratch, a->max_bytes);
    unsigned n = ar_chat_tags_cut(&tags, b->text, true, &scratch, pieces);
    if (tags.at != AR_TAGS_OFF || (n && pieces[0].is_thinking)) {
        struct ar_block *rest = b->next;
        struct ar_block **tail = list;
        *list = NULL;
        for (unsigned i = 0; i < n; i++) {
            struct ar_block *p =
                ar_block_new(a, pieces[i].is_thinking ? AR_THINKING : AR_TEXT, &tail);
            if (p) {
                p->text = ar_arena_copy(a, pieces[i].text);
                p->citations = pieces[i].is_thinking ? p->citations : b->citations;
            }
        }
        *tail = rest;
    }
    ar_buf_done(&scratch);
}

static enum ar_code read_choice(struct ar_chat_in *in, struct ar_jval choice, struct ar_response *r)
{
    struct ar_jval msg = ar_json_get_lit(choice, "message");
    struct ar_block **tail = &r->blocks;
    enum ar_code c = ar_chat_read_assistant(in, msg, &tail);
    if (c != AR_OK) {
        return c;
    }
    if (in->target->quirks & AR_QUIRK(THINK_TAGS)) {
        cut_tags(in->a, &r->blocks);
    }
    struct ar_str finish = ar_member_text_lit(in->a, choice, "finish_reason");
    struct ar_jval logprobs = ar_json_get_lit(choice, "logprobs");
    r->has_stop = finish.n > 0;
    r->logprobs = ar_json_is(logprobs, AR_J_OBJECT) ? ar_json_raw(logprobs) : (struct ar_str){0};
    ar_chat_read_stop(finish, choice, ar_chat_seen_of(r->blocks), &r->stop);
    return AR_OK;
}

/* Members of an answer's root. */
enum { F_ID, F_MODEL, F_TIER, F_CREATED, F_USAGE, F_CHOICES, F_ERROR, FACT_COUNT };
static const struct ar_str FACTS[FACT_COUNT] = {
    [F_ID] = AR_LIT_INIT("id"),
    [F_MODEL] = AR_LIT_INIT("model"),
    [F_TIER] = AR_LIT_INIT("service_tier"),
    [F_CREATED] = AR_LIT_INIT("created"),
    [F_USAGE] = AR_LIT_INIT("usage"),
    [F_CHOICES] = AR_LIT_INIT("choices"),
    [F_ERROR] = AR_LIT_INIT("error"),
};

/* A string's text, decoded; absent for others. */
static struct ar_str text_of(struct ar_jval v, struct ar_arena *a)
{
    struct ar_str s = {NULL, 0};
    return ar_json_is(v, AR_J_STRING) && ar_json_text(v, a, &s, NULL) == AR_OK
               ? s
               : (struct ar_str){NULL, 0};
}

/* Id, model, time and usage of an answer. */
static void read_facts(const struct ar_jval facts[FACT_COUNT], struct ar_arena *a,
                       struct ar_response *r)
{
    int64_t created = 0;
    r->id = text_of(facts[F_ID], a);
    r->model = text_of(facts[F_MODEL], a);
    r->service_tier = text_of(facts[F_TIER], a);
    if (facts[F_CREATED].doc && ar_json_i64(facts[F_CREATED], &created, NULL) == AR_OK &&
        created > 0) {
        r->created_unix = created;
    }
    ar_usage_clear(&r->usage);
    if (ar_json_is(facts[F_USAGE], AR_J_OBJECT)) {
        ar_chat_read_usage(facts[F_USAGE], &r->usage);
    }
}

/* The members of an answer, or a fault. */
static enum ar_code open_answer(struct ar_str body, unsigned depth, struct ar_arena *a,
                                struct ar_jval ret[FACT_COUNT], struct ar_fault *f)
{
    struct ar_jdoc *doc = ar_arena_new(a, struct ar_jdoc);
    if (!doc || ar_json_parse(body, depth, a, doc, NULL) != AR_OK ||
        !ar_json_is(ar_json_root(doc), AR_J_OBJECT)) {
        nonsense(f, "the upstream's answer is not a JSON object");
        return doc ? AR_UPSTREAM_ERROR : AR_TOO_LARGE;
    }
    ar_json_pick(ar_json_root(doc), FACTS, FACT_COUNT, ret);
    if (ar_chat_is_error(ret[F_ERROR])) {
        ar_chat_decode_error(200, body, a, f);
        return f->code != AR_OK ? f->code : AR_UPSTREAM_ERROR;
    }
    return AR_OK;
}

enum ar_code ar_chat_decode_response(struct ar_str body, const struct ar_read_how *how,
                                     struct ar_arena *a, struct ar_response **ret,
                                     struct ar_fault *ret_fault)
{
    struct ar_jval facts[FACT_COUNT];
    struct ar_err err;
    enum ar_code c = open_answer(body, AR_JSON_DEPTH, a, facts, ret_fault);
    if (c != AR_OK) {
        return c;
    }
    struct ar_response *first = NULL, **next = &first;
    struct ar_chat_in in = {.a = a,
                            .err = &err,
                            .target = how->target ? how->target : &NO_TARGET,
                            .answer_id = ar_json_esc(facts[F_ID])};
    struct ar_jiter it = ar_json_iter(facts[F_CHOICES]);
    while (ar_json_next(&it)) {
        struct ar_response *r = ar_arena_new(a, struct ar_response);
        if (!r) {
            return AR_TOO_LARGE;
        }
        if (ar_chat_is_error(
                ar_json_get_lit(it.val, "error"))) { /* OpenRouter: the choice itself failed */
            ar_chat_decode_error(200, ar_json_raw(it.val), a, ret_fault);
            return ret_fault->code;
        }
        if ((c = read_choice(&in, it.val, r)) != AR_OK) {
            nonsense(ret_fault, "the upstream's answer has a message that cannot be read");
            return c == AR_TOO_LARGE ? c : AR_UPSTREAM_ERROR;
        }
        *next = r;
        next = &r->more;
    }
    if (!first || (!first->blocks && !first->has_stop)) {
        nonsense(ret_fault, "the upstream's answer is empty");
        return AR_UPSTREAM_ERROR;
    }
    read_facts(facts, a, first);
    *ret = first;
    return ar_arena_finish(a);
}

/* Is there something in it? Lists and objects that were not looked into are judged by their bytes.
 */
static bool is_filled(struct ar_jval v)
{
    struct ar_str raw = ar_json_raw(v);
    switch (ar_json_type(v)) {
    case AR_J_STRING:
        return raw.n > 2;
    case AR_J_ARRAY:
    case AR_J_OBJECT:
        return ar_str_trim(ar_str_n(raw.p + 1, raw.n - 2)).n > 0;
    default:
        return false;
    }
}

/* Members of the first choice, and of its message. */
enum { C_MESSAGE, C_FINISH, C_TEXT, CHOICE_COUNT };
static const struct ar_str CHOICE[CHOICE_COUNT] = {
    [C_MESSAGE] = AR_LIT_INIT("message"),
    [C_FINISH] = AR_LIT_INIT("finish_reason"),
    [C_TEXT] = AR_LIT_INIT("text"), /* of Completions */
};
enum { M_CONTENT, M_REFUSAL, M_CALLS, M_CALL, MESSAGE_COUNT };
static const struct ar_str MESSAGE[MESSAGE_COUNT] = {
    [M_CONTENT] = AR_LIT_INIT("content"),
    [M_REFUSAL] = AR_LIT_INIT("refusal"),
    [M_CALLS] = AR_LIT_INIT("tool_calls"),
    [M_CALL] = AR_LIT_INIT("function_call"),
};

/* Four levels are enough: the members of the message, and the details of usage. */
enum ar_code ar_chat_observe(struct ar_str body, struct ar_arena *a, struct ar_response *ret,
                             struct ar_fault *ret_fault)
{
    struct ar_jval facts[FACT_COUNT], choice[CHOICE_COUNT], msg[MESSAGE_COUNT];
    enum ar_code c = open_answer(body, 4, a, facts, ret_fault);
    if (c != AR_OK) {
        return c;
    }
    struct ar_jval first = ar_json_at(facts[F_CHOICES], 0);
    ar_json_pick(first, CHOICE, CHOICE_COUNT, choice);
    ar_json_pick(choice[C_MESSAGE], MESSAGE, MESSAGE_COUNT, msg);
    struct ar_str finish = text_of(choice[C_FINISH], a);
    *ret = (struct ar_response){0};
    read_facts(facts, a, ret);
    ret->has_stop = finish.n > 0;
    struct ar_chat_seen seen = {.text = is_filled(msg[M_CONTENT]) || is_filled(choice[C_TEXT]),
                                .refusal = is_filled(msg[M_REFUSAL]),
                                .calls = is_filled(msg[M_CALLS]) || is_filled(msg[M_CALL])};
    ar_chat_read_stop(finish, first, seen, &ret->stop);
    return AR_OK;
}
