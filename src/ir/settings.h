/* What a request asks for besides its messages and tools: limits, sampling, reasoning, output
 * shape, tool choice. Three states: unset, null, set. Strings as in ir/request.h. Pure data. */
#ifndef AR_IR_SETTINGS_H
#define AR_IR_SETTINGS_H

#include "base/arena.h"

enum ar_tri { AR_UNSET, AR_NULL, AR_SET };

enum ar_choice {
    AR_CHOICE_UNSET,
    AR_CHOICE_AUTO,
    AR_CHOICE_NONE,
    AR_CHOICE_REQUIRED,
    AR_CHOICE_NAMED,
    AR_CHOICE_ALLOWED_AUTO,
    AR_CHOICE_ALLOWED_REQUIRED
};
struct ar_name {
    struct ar_name *next;
    struct ar_str s; /* dec, or esc where the user says */
};

/* A number of the wire: source spelling kept so that 0.10 stays 0.10. */
struct ar_num {
    enum ar_tri tri;
    double d;
    struct ar_str src;
};
struct ar_int {
    enum ar_tri tri;
    int64_t i;
};

/* Effort levels in order; UNSET says nothing. */
enum ar_effort {
    AR_EFFORT_UNSET,
    AR_EFFORT_NONE,
    AR_EFFORT_MINIMAL,
    AR_EFFORT_LOW,
    AR_EFFORT_MEDIUM,
    AR_EFFORT_HIGH,
    AR_EFFORT_XHIGH,
    AR_EFFORT_MAX
};
enum ar_reason_mode {
    AR_REASON_UNSET,
    AR_REASON_OFF,
    AR_REASON_ADAPTIVE,
    AR_REASON_BUDGET,
    AR_REASON_BETWEEN_TOOLS
};
enum ar_reason_show { AR_SHOW_UNSET, AR_SHOW_OMITTED, AR_SHOW_SUMMARY };
enum ar_format { AR_FORMAT_UNSET, AR_FORMAT_TEXT, AR_FORMAT_JSON, AR_FORMAT_SCHEMA };

struct ar_settings {
    struct ar_int max_tokens, n, top_logprobs, seed;
    struct ar_num temperature, top_p, top_k, freq_penalty, pres_penalty;
    bool logprobs;
    struct ar_str logit_bias; /* raw */
    struct ar_name *stop;     /* esc */
    enum ar_reason_mode reason_mode;
    enum ar_effort effort;
    int64_t budget; /* tokens, with AR_REASON_BUDGET */
    enum ar_reason_show show;
    enum ar_format format;
    struct ar_str schema, schema_name, schema_description; /* raw, dec, esc */
    enum ar_tri schema_strict;                             /* SET with schema_strict_on */
    bool schema_strict_on;
    bool enum_text;  /* Gemini's text/x.enum: schema wraps the values in {"value": ...}; the client
                        gets the value alone */
    bool json_value; /* Gemini: likewise a schema whose root is no object; the client gets the
                        value's JSON */
    enum ar_choice choice;
    struct ar_name *choice_names; /* dec */
    enum ar_tri parallel;         /* SET with parallel_on */
    bool parallel_on;
    struct ar_str verbosity, service_tier, speed, user_id, cache_key; /* dec */
    struct ar_str summary; /* dec: Responses: auto concise detailed, with AR_SHOW_SUMMARY */
    bool want_encrypted;   /* Responses: include has reasoning.encrypted_content */
    bool include_usage;    /* Chat: the client wants the usage chunk */
    struct ar_str betas,
        version;     /* dec: anthropic-beta, anthropic-version of the client's headers */
    bool auto_cache; /* Anthropic's top-level cache_control */
    struct ar_str auto_cache_ttl; /* dec */
};

/* Append at the end of a list given its last-link pointer. */
struct ar_name *ar_name_new(struct ar_arena *a, struct ar_str s, struct ar_name ***tail);

/* Reasoning level <-> token budget (PROTOCOLS 6.6): level -> budget -> level is the identity. */
int64_t ar_effort_budget(enum ar_effort e);
enum ar_effort ar_budget_effort(int64_t tokens);
const char *ar_effort_name(enum ar_effort e);    /* "low"; UNSET: NULL */
enum ar_effort ar_effort_of(struct ar_str name); /* unknown: UNSET */

#endif
