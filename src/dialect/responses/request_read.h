/* What the files that read a client's request share. Wire: PROTOCOLS 2. Pure; any thread. */
#ifndef AR_DIALECT_RESPONSES_REQUEST_READ_H
#define AR_DIALECT_RESPONSES_REQUEST_READ_H

#include "base/map.h"
#include "dialect/responses/responses.h"
#include "dialect/decode.h"

/* What reading a request needs: the first failure ends it. Borrows all. */
struct ar_responses_in {
    struct ar_arena *a;
    struct ar_err *err;
    struct ar_request *r;
    struct ar_turn **turn_tail, *open; /* open: the turn that the next item may join, or NULL */
    struct ar_block **block_tail;      /* of the open turn */
    struct ar_block **system_tail;
    struct ar_tool **tool_tail;
    struct ar_ext **ext_tail;
    struct ar_map names; /* of the tools so far; owned by the decoding */
};
/* A member that must be a string: err names its path. */
enum ar_code ar_responses_need(struct ar_responses_in *in, struct ar_jval obj, struct ar_str key,
                               struct ar_jval *ret) AR_MUST;

/* message_read.c: the value of input -> turns. */
enum ar_code ar_responses_read_messages(struct ar_responses_in *in, struct ar_jval v) AR_MUST;
/* request_read.c: the values of reasoning.effort and of text, which items may change too. */
enum ar_code ar_responses_read_effort(struct ar_responses_in *in, struct ar_jval v) AR_MUST;
enum ar_code ar_responses_read_shape(struct ar_responses_in *in, struct ar_jval v) AR_MUST;
/* part_read.c: a string or a list of parts, appended as blocks. */
enum ar_code ar_responses_read_content(struct ar_responses_in *in, struct ar_jval v,
                                       struct ar_block ***tail) AR_MUST;
/* part_read_call.c: calls and their results, of every kind. */
enum ar_code ar_responses_read_call(struct ar_responses_in *in, struct ar_jval v,
                                    struct ar_str type, struct ar_block ***tail) AR_MUST;
enum ar_code ar_responses_read_result(struct ar_responses_in *in, struct ar_jval v,
                                      struct ar_str type, struct ar_block ***tail) AR_MUST;
bool ar_responses_is_call(struct ar_str type);
bool ar_responses_is_result(struct ar_str type);

/* tools_read.c: tools[] appended; a name that is there already stays as it was. */
enum ar_code ar_responses_read_tools(struct ar_responses_in *in, struct ar_jval v) AR_MUST;
enum ar_code ar_responses_read_choice(struct ar_responses_in *in, struct ar_jval v) AR_MUST;

#endif
