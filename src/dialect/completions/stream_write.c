/*
 * Events as the chunks of a Completions stream: text, the finish, usage where it was asked for,
 * [DONE]. After an error nothing follows, no [DONE] either: a failed answer must not look complete.
 * Owns the bytes that all chunks begin with.
 */
#include "dialect/completions/completions.h"

#include "dialect/chat/chat.h"

struct ar_writer {
    struct ar_write_how how;
    struct ar_losses *losses;
    struct ar_buf head; /* of every chunk, up to the choice */
    bool started;
};

struct ar_writer *ar_completions_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                            struct ar_arena *a)
{
    struct ar_writer *w = ar_arena_new(a, struct ar_writer);
    if (w) {
        w->how = *how;
        w->losses = l;
        ar_buf_init(&w->head, 4096 + how->model.n * 6);
    }
    return w;
}

void ar_completions_writer_done(struct ar_writer *w)
{
    if (w) {
        ar_buf_done(&w->head);
    }
}

void ar_completions_write_ping(struct ar_writer *w, struct ar_framer *out)
{
    (void)w;
    out->how->comment(out, (struct ar_str){NULL, 0});
}

static void put_chunk(struct ar_writer *w, struct ar_str text, const char *finish,
                      struct ar_framer *out)
{
    out->how->begin(out, (struct ar_str){NULL, 0});
    ar_buf_str(out->out, ar_buf_view(&w->head));
    ar_buf_lit(out->out, ",\"choices\":[{\"text\":\"");
    ar_buf_str(out->out, text);
    ar_buf_lit(out->out, "\",\"index\":0,\"logprobs\":null,\"finish_reason\":");
    if (finish) {
        ar_buf_char(out->out, '"');
        ar_buf_str(out->out, ar_str_of(finish));
        ar_buf_char(out->out, '"');
    } else {
        ar_buf_lit(out->out, "null");
    }
    ar_buf_lit(out->out, "}]");
    if (w->how.include_usage) {
        ar_buf_lit(out->out, ",\"usage\":null");
    }
    ar_buf_char(out->out, '}');
    out->how->end(out);
}

static void put_start(struct ar_writer *w, const struct ar_response *answer, struct ar_framer *out)
{
    if (w->started) {
        return;
    }
    w->started = true;
    struct ar_jw j = ar_jw_on(&w->head);
    ar_completions_put_head(&j, &w->how, answer);
    struct ar_str echo = ar_completions_echo(w->how.request);
    if (echo.n > 0) {
        put_chunk(w, echo, NULL, out);
    }
}

static void put_stop(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    put_chunk(w, AR_LIT(""), ar_chat_finish_of(ev->stop->reason), out);
    if (w->how.include_usage && ev->usage) {
        out->how->begin(out, (struct ar_str){NULL, 0});
        ar_buf_str(out->out, ar_buf_view(&w->head));
        ar_buf_lit(out->out, ",\"choices\":[],\"usage\":");
        struct ar_jw j = ar_jw_on(out->out);
        ar_chat_put_usage(ev->usage, &j);
        ar_buf_char(out->out, '}');
        out->how->end(out);
    }
}

static void put_error(const struct ar_fault *f, struct ar_framer *out)
{
    out->how->begin(out, (struct ar_str){NULL, 0});
    (void)ar_chat_encode_error(f, (struct ar_str){NULL, 0}, out->out);
    out->how->end(out);
}

static void put_whole(struct ar_writer *w, const struct ar_response *r, struct ar_framer *out)
{
    put_start(w, r, out);
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        if (b->kind == AR_TEXT || b->kind == AR_REFUSAL) {
            put_chunk(w, b->text, NULL, out);
        }
    }
    put_stop(w, &(struct ar_event){.stop = &r->stop, .usage = &r->usage}, out);
}

enum ar_code ar_completions_write(struct ar_writer *w, const struct ar_event *ev,
                                  struct ar_framer *out)
{
    if (!w) {
        return AR_TOO_LARGE;
    }
    switch (ev->kind) {
    case AR_EV_START:
        put_start(w, ev->answer, out);
        break;
    case AR_EV_BLOCK_START:
        if (ev->block->kind == AR_TOOL_USE) {
            ar_note(w->losses, AR_DROPPED, "tool_calls");
        }
        break;
    case AR_EV_DELTA:
        if (ev->delta == AR_D_TEXT || ev->delta == AR_D_REFUSAL) {
            put_chunk(w, ev->text, NULL, out);
        }
        break;
    case AR_EV_STOP:
        put_stop(w, ev, out);
        break;
    case AR_EV_WHOLE:
        put_whole(w, ev->answer, out);
        break;
    case AR_EV_ERROR:
        put_error(ev->fault, out);
        break;
    case AR_EV_END:
        out->how->begin(out, (struct ar_str){NULL, 0});
        ar_buf_lit(out->out, "[DONE]");
        out->how->end(out);
        break;
    default:
        break;
    }
    return ar_buf_finish(&w->head);
}
