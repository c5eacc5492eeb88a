/* What the files that write a Messages request share: the state of one encoding. Included by
 * nothing else. Pure; any thread. */
#ifndef AR_DIALECT_ANTHROPIC_REQUEST_WRITE_H
#define AR_DIALECT_ANTHROPIC_REQUEST_WRITE_H

#include "dialect/anthropic/anthropic.h"
#include "dialect/encode.h"

enum { AR_ANTHROPIC_CACHE_MAX = 4 }; /* cache breakpoints that a request may hold */

/* Encoding of a request: state of one run. code is sticky: the first refusal wins. */
struct ar_anthropic_enc {
    const struct ar_request *r;
    const struct ar_target *t;
    struct ar_arena *a;
    struct ar_losses *l;
    struct ar_encoded *ret;
    struct ar_undo_list undo;
    struct ar_jw w;
    enum ar_code code;
    enum ar_op op;
    bool native;                     /* the client speaks this dialect too: keep what it wrote */
    bool dropped_think;              /* one thinking block could not go: none after it may */
    bool open_tool_loop;             /* the last assistant turn called tools and has no thinking */
    unsigned cache_seen, cache_skip; /* breakpoints met, and how many of the first to leave out */
    unsigned name_limit;
    unsigned mcp_servers; /* that were written among the tools */
    /* decided before anything is written */
    enum ar_choice choice;
    struct ar_str choice_name; /* dec, as sent */
    enum ar_reason_mode think;
    enum ar_effort effort;
    int64_t budget, max_tokens;
    const char *display; /* NULL: not sent */
    bool json_tool, json_line, schema_line, call_line, native_format, made_tools;
};
/* Sticky ar_lose. chat: the field's name for Chat clients; own: for Anthropic's. */
void ar_anthropic_lose(struct ar_anthropic_enc *e, enum ar_fate fate, enum ar_loss what,
                       const char *chat, const char *own, const char *why);

void ar_anthropic_plan(
    struct ar_anthropic_enc *e); /* request_write_plan.c: reasoning, choice, format */
void ar_anthropic_put_reasoning(
    struct ar_anthropic_enc *e); /* thinking, output_config; after the messages */
void ar_anthropic_put_tools(struct ar_anthropic_enc *e); /* tools_write.c: tools and tool_choice */
void ar_anthropic_put_messages(struct ar_anthropic_enc *e); /* message_write.c */
void ar_anthropic_put_part(struct ar_anthropic_enc *e, const struct ar_block *b); /* part_write.c */
bool ar_anthropic_has_output(const struct ar_anthropic_enc *e, const struct ar_block *b);
/* May the thinking block go to this target? Asked in wire order: a no is a no for all later ones.
 */
bool ar_anthropic_keeps_thinking(struct ar_anthropic_enc *e, const struct ar_block *b);
/* "cache_control" member, unless it is one of the surplus. */
void ar_anthropic_put_cache(struct ar_anthropic_enc *e, struct ar_str ttl);
struct ar_str ar_anthropic_tool_name(struct ar_anthropic_enc *e, struct ar_str name);
/* tools_write_mcp.c: the toolset of a Responses client's MCP server, as one of the tools; false: it
 * has no equal. And the servers of those that were written. */
bool ar_anthropic_put_toolset(struct ar_anthropic_enc *e, const struct ar_tool *t);
void ar_anthropic_put_mcp(struct ar_anthropic_enc *e);
/* reason_write.c: before anything is written. */
void ar_anthropic_plan_reasoning(struct ar_anthropic_enc *e);
/* Will the model think, as far as is known? */
bool ar_anthropic_thinks(const struct ar_anthropic_enc *e);
void ar_anthropic_warn_effort(struct ar_anthropic_enc *e, enum ar_loss what, const char *why);
/* Schema with what strict output demands (PROTOCOLS 6.3): additionalProperties false on every
 * object, unsupported keywords moved into descriptions. tools_write_schema.c. Arena; the schema
 * itself when it cannot be read. */
struct ar_str ar_anthropic_strict_schema(struct ar_str schema, struct ar_arena *a);
/* Root type of a schema is object (or unsaid)? */
bool ar_anthropic_is_object_schema(struct ar_str schema, struct ar_arena *a);
/* Strict output refuses schemas that refer to themselves. */
bool ar_anthropic_is_recursive_schema(struct ar_str schema, struct ar_arena *a);

#endif
