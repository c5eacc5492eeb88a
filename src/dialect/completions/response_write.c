/*
 * Whole answers as text_completion objects: the text of all blocks, and nothing else, because the
 * dialect has nothing else. What is left out is noted. Owns nothing.
 */
#include "dialect/completions/completions.h"

#include "base/id.h"
#include "dialect/chat/chat.h"

void ar_completions_put_head(struct ar_jw *w, const struct ar_write_how *how,
                             const struct ar_response *answer)
{
    char id[48] = "cmpl-";
    ar_id_base62(how->stamp.seed, "cmpl", 0, 29, id + 5);
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "id", ar_str_of(id));
    ar_jw_key_lit(w, "object", "text_completion");
    ar_jw_key_i64(w, "created", how->stamp.now_unix);
    ar_jw_key_text(w, "model", how->model.n > 0 || !answer ? how->model : answer->model);
}

static void put_choice(struct ar_jw *w, const struct ar_response *r, int64_t index,
                       struct ar_str echo, struct ar_losses *l)
{
    ar_jw_open(w, '{');
    ar_jw_key(w, "text");
    ar_buf_char(w->out, '"');
    ar_buf_str(w->out, echo);
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        if (b->kind == AR_TEXT || b->kind == AR_REFUSAL) {
            ar_buf_str(w->out, b->text);
        } else if (b->kind == AR_TOOL_USE) {
            ar_note(l, AR_DROPPED, "tool_calls");
        }
    }
    ar_buf_char(w->out, '"');
    w->comma = true;
    ar_jw_key_i64(w, "index", index);
    ar_jw_key_null(w, "logprobs");
    ar_jw_key_text(w, "finish_reason", ar_str_of(ar_chat_finish_of(r->stop.reason)));
    ar_jw_close(w, '}');
}

enum ar_code ar_completions_encode_response(const struct ar_response *r,
                                            const struct ar_write_how *how, struct ar_losses *l,
                                            struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    struct ar_str echo = ar_completions_echo(how->request);
    int64_t index = 0;
    ar_completions_put_head(&w, how, r);
    ar_jw_key(&w, "choices");
    ar_jw_open(&w, '[');
    for (const struct ar_response *c = r; c; c = c->more) {
        put_choice(&w, c, index++, echo, l);
    }
    ar_jw_close(&w, ']');
    ar_jw_key(&w, "usage");
    ar_chat_put_usage(&r->usage, &w);
    ar_jw_close(&w, '}');
    return ar_buf_finish(out);
}
