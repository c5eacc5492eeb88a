/* The row of the Chat Completions dialect (PROTOCOLS 1), and the small readers that all its files
 * use. It owns nothing: each member is a pure function of its arguments. The files by role:
 * outline.c request_read.c message_read.c part_read.c message_read_assistant.c tools_read.c read a
 * client's request; request_write.c message_write.c part_write.c reason_write.c tools_write.c write
 * one for an upstream; response.c answer_write.c usage.c do whole answers; stream_read.c
 * stream_read_call.c stream_relay.c stream_write.c the streamed ones; error.c both directions of
 * errors. */
#include "dialect/chat/chat.h"

static void encode_count(int64_t tokens, struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    ar_jw_key_i64(&w, "input_tokens", tokens);
    ar_jw_close(&w, '}');
}

/* Chat has no counting endpoint; what an odd place answers is read all the same. */
static int64_t decode_count(struct ar_str body, struct ar_arena *a)
{
    struct ar_jdoc doc;
    int64_t n = -1;
    if (ar_json_parse(body, 1, a, &doc, NULL) != AR_OK) {
        return -1;
    }
    struct ar_jval v = ar_json_get_lit(ar_json_root(&doc), "input_tokens");
    return ar_json_i64(v, &n, NULL) == AR_OK && n >= 0 ? n : -1;
}

struct ar_str ar_chat_text(struct ar_arena *a, struct ar_jval obj, struct ar_str key)
{
    struct ar_jval v = ar_json_get(obj, key);
    struct ar_str s = {0};
    if (!ar_json_is(v, AR_J_STRING) || ar_json_text(v, a, &s, NULL) != AR_OK) {
        return (struct ar_str){0};
    }
    return s;
}

struct ar_str ar_chat_key(struct ar_str key, struct ar_arena *a)
{
    return ar_str_find_char(key, '\\') < key.n ? ar_json_unescape_in(key, a) : key;
}

bool ar_chat_takes_url(const struct ar_block *b, const struct ar_target *t)
{
    return b->kind != AR_DOCUMENT && (b->kind != AR_IMAGE || !(t->quirks & AR_QUIRK(NO_URL_MEDIA)));
}

const struct ar_dialect ar_dialect_chat = {
    .name = "chat",
    .doc = "OpenAI Chat Completions",
    .id = AR_DIALECT_CHAT,
    .vendor = AR_VENDOR_OPENAI,
    .path_generate = "/v1/chat/completions",
    .path_count = NULL,
    .outline = ar_chat_outline,
    .decode_request = ar_chat_decode_request,
    .encode_response = ar_chat_encode_response,
    .encode_count = encode_count,
    .encode_error = ar_chat_encode_error,
    .writer_new = ar_chat_writer_new,
    .write = ar_chat_write,
    .write_ping = ar_chat_write_ping,
    .writer_done = ar_chat_writer_done,
    .takes_url = ar_chat_takes_url,
    .encode_request = ar_chat_encode_request,
    .decode_response = ar_chat_decode_response,
    .decode_error = ar_chat_decode_error,
    .decode_count = decode_count,
    .observe = ar_chat_observe,
    .reader_new = ar_chat_reader_new,
    .read_frame = ar_chat_read_frame,
    .read_eof = ar_chat_read_eof,
    .read_next = ar_chat_read_next,
    .read_lingers = ar_chat_read_lingers,
    .reader_done = ar_chat_reader_done,
};
