/* What the files that read a client's request share; messages of an upstream's answers are read by
 * the same code. Wire: PROTOCOLS 1. Pure; any thread. */
#ifndef AR_DIALECT_CHAT_REQUEST_READ_H
#define AR_DIALECT_CHAT_REQUEST_READ_H

#include "dialect/chat/chat.h"
#include "dialect/decode.h"

/* What reading messages and answers needs. Borrows all. */
struct ar_chat_in {
    struct ar_arena *a;
    struct ar_err *err;
    const struct ar_target *target; /* answers: who made them; NULL: a client's history */
    unsigned legacy_calls;          /* function_call messages so far: their ids are call_fn_<n> */
    struct ar_str answer_id;        /* whence ids are minted for calls that came without one */
    unsigned minted;
};

/* message_read.c: messages[] -> r->system and r->turns. */
enum ar_code ar_chat_read_messages(struct ar_chat_in *in, struct ar_jval messages,
                                   struct ar_request *r);
/* A content value (string or parts) appended as blocks. */
enum ar_code ar_chat_read_content(struct ar_chat_in *in, struct ar_jval content,
                                  struct ar_block ***tail);
/* Cache mark of a part or tool: cache_ttl of ar_block. */
struct ar_str ar_chat_read_cache(struct ar_chat_in *in, struct ar_jval part);

/* message_read_assistant.c: id of a call that came without one; stable for the same answer. Arena.
 */
struct ar_str ar_chat_mint_call(struct ar_str answer_id, unsigned nth, struct ar_arena *a);
/* An assistant message, of a history or of an answer, as blocks in the order thinking,
 * text, calls. */
enum ar_code ar_chat_read_assistant(struct ar_chat_in *in, struct ar_jval msg,
                                    struct ar_block ***tail);
/* Opaque material of a reasoning_details item, of its signature or data; NULL: none. */
struct ar_opaque *ar_chat_read_opaque(struct ar_arena *a, struct ar_jval detail,
                                      const struct ar_target *t);
/* Google's thought signature on a call (extra_content), or NULL. */
struct ar_opaque *ar_chat_read_extra(struct ar_arena *a, struct ar_jval call,
                                     const struct ar_target *t);

/* tools_read.c: tools, functions, tool_choice, function_call, web_search_options. */
enum ar_code ar_chat_read_tools(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r);
enum ar_code ar_chat_read_functions(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r);
enum ar_code ar_chat_read_choice(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r);
enum ar_code ar_chat_read_search(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r);

#endif
