/* The canonical request (IR). All of it lives in the request's arena; strings borrow from the
 * client's body or the arena. Lists are singly linked in wire order. Immutable after
 * ar_request_seal (but for media by URL, which flow may put inline between two encodings), so it
 * may be encoded any number of times, for any target, on any thread.
 *
 * Two kinds of strings: *esc* is escaped JSON text without quotes, copied verbatim between
 * dialects; *dec* is decoded text. Fields say which. p NULL means absent everywhere. */
#ifndef AR_IR_REQUEST_H
#define AR_IR_REQUEST_H

#include "ir/settings.h"

enum ar_vendor { AR_VENDOR_OTHER, AR_VENDOR_OPENAI, AR_VENDOR_ANTHROPIC, AR_VENDOR_GOOGLE };
enum ar_role { AR_USER, AR_ASSISTANT, AR_SYSTEM };

enum ar_block_kind {
    AR_TEXT,
    AR_IMAGE,
    AR_DOCUMENT,
    AR_AUDIO,
    AR_VIDEO,
    AR_TOOL_USE,
    AR_TOOL_RESULT,
    AR_THINKING,
    AR_REDACTED_THINKING,
    AR_REFUSAL,
    AR_SERVER_TOOL_USE,
    AR_SERVER_TOOL_RESULT,
    AR_COMPACTION,
    AR_OPAQUE_ITEM
};

/* Vendor material that only its vendor can read; account-bound where account is not empty. data:
 * dec. */
enum ar_sig_form { AR_SIGNATURE, AR_ENCRYPTED, AR_REDACTED, AR_THOUGHT_SIG };
struct ar_opaque {
    enum ar_vendor vendor;
    enum ar_sig_form form;
    struct ar_str family, account, data;
};

enum ar_media_from { AR_FROM_B64, AR_FROM_URL, AR_FROM_FILE, AR_FROM_TEXT };
struct ar_media {
    enum ar_media_from from;
    enum ar_vendor file_vendor;   /* AR_FROM_FILE: whose id data is */
    struct ar_str mime;           /* dec; absent when the wire does not say */
    struct ar_str data;           /* esc: base64, URL, file id or text */
    struct ar_str title, context; /* esc: file name or title; context line */
    struct ar_str detail;         /* dec: low high auto original */
    bool citations;
};

/* Calls that OpenAI's Responses spells as items of their own; for everybody else they are functions
 * with the arguments of that item as a JSON object. */
enum ar_native {
    AR_NATIVE_NONE,
    AR_NATIVE_LOCAL_SHELL,
    AR_NATIVE_SHELL,
    AR_NATIVE_APPLY_PATCH,
    AR_NATIVE_TOOL_SEARCH
};

struct ar_block {
    struct ar_block *next;
    struct ar_block *inner; /* content of a tool_result, or of a document made of blocks */
    enum ar_block_kind kind;
    enum ar_vendor vendor; /* whose, for the server_*, compaction and opaque kinds */
    struct ar_str text; /* esc: text, thinking, refusal. dec: input of a tool_use exactly as sent */
    struct ar_str id;   /* dec: tool_use; tool_result: id of the call it answers */
    struct ar_str name, ns;       /* dec: tool (a result may name it too); namespace */
    struct ar_str item_id, phase; /* dec: Responses: the item's own id; a message's phase */
    struct ar_str meta;           /* raw: side facts for the own vendor (Gemini's videoMetadata) */
    struct ar_str cache_ttl;      /* dec: 5m 1h 30m 12h; absent: no marker; empty: default */
    struct ar_str citations;      /* raw JSON array */
    struct ar_str
        raw; /* raw JSON of the whole wire block, for kinds that other vendors cannot carry */
    struct ar_media *media;
    struct ar_opaque *sig;
    enum ar_native native; /* tool_use, tool_result */
    bool freeform;         /* tool_use: input is text of a custom tool, not JSON */
    bool is_error;         /* tool_result */
    bool is_plain;         /* text, tool_result: the wire had a bare string, not a block list */
};

struct ar_turn {
    struct ar_turn *next;
    enum ar_role role;
    struct ar_block *blocks;
    struct ar_str name; /* dec; Chat's message name */
};

enum ar_tool_kind { AR_TOOL_FUNCTION, AR_TOOL_CUSTOM, AR_TOOL_SERVER };
struct ar_tool {
    struct ar_tool *next;
    enum ar_tool_kind kind;
    enum ar_vendor vendor; /* server: whose; function: whose client tool it is (bash, ...; schema
                              built in, wire form in raw) */
    struct ar_str name; /* dec; server: vendor-neutral (web_search, bash, text_editor, ...) or the
                           wire type */
    struct ar_str ns, ns_about;    /* dec, esc: the namespace it belongs to, and its description */
    enum ar_native native;         /* function: what Responses calls it; schema built in */
    struct ar_str description;     /* esc */
    struct ar_str schema;          /* raw JSON Schema; absent: no arguments */
    struct ar_str grammar, syntax; /* custom: esc definition, dec lark|regex */
    struct ar_str raw;             /* raw JSON of the wire tool */
    struct ar_str cache_ttl;       /* as in ar_block */
    enum ar_tri strict;            /* UNSET, or SET with strict_on */
    bool strict_on, defer;
};

/* A wire field that the IR has no name for. It goes back to the dialect `from` verbatim; for any
 * other its fate applies. The first home of every new vendor feature. */
enum ar_fate { AR_FATE_SILENT, AR_FATE_WARN, AR_FATE_REJECT };
struct ar_ext {
    struct ar_ext *next;
    uint8_t from; /* dialect id */
    enum ar_fate fate;
    struct ar_str name, raw; /* dec top-level field name; raw JSON */
};

struct ar_jdoc; /* json/scan.h */
struct ar_request {
    struct ar_str model; /* dec, as the client named it */
    uint8_t dialect;     /* id of the dialect it was read from */
    bool stream;
    struct ar_block *system; /* text blocks of the leading instructions */
    struct ar_turn *turns;
    struct ar_tool *tools;
    struct ar_settings set;
    struct ar_ext *ext;
    bool legacy_functions;      /* Chat's old functions/function_call form: answer in it */
    const struct ar_jdoc *wire; /* Responses: the body, whose settings an answer repeats; or NULL */
    bool is_stored;             /* Responses: the answer will be kept, and says so */
    bool sealed;
};

/* Pairs calls with results and checks what every dialect needs: results follow their calls, grouped
 * and in call order; orphans become text; a call without result gets one when later turns exist;
 * duplicates become text (PROTOCOLS 6.5). Idempotent. losses: see ir/loss.h. Errors: AR_TOO_LARGE;
 * AR_INVALID_REQUEST: more tools than anybody takes. */
struct ar_losses;
enum ar_code ar_request_seal(struct ar_request *r, struct ar_arena *a, struct ar_losses *l,
                             struct ar_err *err) AR_MUST;

/* An opaque item without which the history is another one: what it points to is held by its vendor
 * (a file in a container, an item by reference), or it asks for something. */
bool ar_block_is_needed(const struct ar_block *b);

/* List helpers: append at the end of a singly linked list given its last-link pointer. */
struct ar_block *ar_block_new(struct ar_arena *a, enum ar_block_kind kind, struct ar_block ***tail);
struct ar_turn *ar_turn_new(struct ar_arena *a, enum ar_role role, struct ar_turn ***tail);

#endif
