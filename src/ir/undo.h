/* What an encoding changed and the answer must change back: renamed tools, custom tools wrapped as
 * functions, a forced tool that stands for structured output, stop strings the upstream cannot
 * take. A filter between reader and owner: pure, incremental, one an attempt. */
#ifndef AR_IR_UNDO_H
#define AR_IR_UNDO_H

#include "ir/event.h"

enum ar_undo_how {
    AR_UNDO_NAME,      /* the tool was sent under another name */
    AR_UNDO_FREEFORM,  /* a custom tool was sent as a function {"input": string} */
    AR_UNDO_JSON_TEXT, /* a forced tool: its input is the answer's text, stop is end */
    AR_UNDO_VALUE      /* arguments were wrapped as {"value": ...} */
};
struct ar_undo {
    struct ar_undo *next;
    enum ar_undo_how how;
    struct ar_str sent, name; /* dec: as sent, as the client knows it */
};

/* Tool name legal for [A-Za-z0-9_-]{1,limit}: the name itself, or a stable short form
 * (PROTOCOLS 6.3) in the arena. */
struct ar_str ar_tool_name(struct ar_str name, unsigned limit, struct ar_arena *a);
/* Call id legal for [A-Za-z0-9_-]{1,64}: the id itself, or a stable hash of it (PROTOCOLS 6.5) in
 * the arena. */
struct ar_str ar_tool_id(struct ar_str id, struct ar_arena *a);

/* Arguments text of a call -> a JSON object for dialects that need one (PROTOCOLS 6.5): "" is {},
 * other JSON is
 * {"value":...}, broken JSON {"_raw_arguments":...}. *ret_broken: tells the last. Arena. */
struct ar_str ar_args_object(struct ar_str text, struct ar_arena *a, bool *ret_broken);
/* The inverse for text dialects: unwraps {"_raw_arguments":...}; everything else verbatim. */
struct ar_str ar_args_text(struct ar_str object, struct ar_arena *a);

/* Filter of one answer. Borrows list and stops (esc) and the arena until done. Nothing to undo:
 * NULL, use the events as they are. */
struct ar_undoer;
struct ar_undoer *ar_undoer_new(const struct ar_undo *list, const struct ar_name *stops,
                                struct ar_arena *a);
/* Gives one event in; take events out until false. */
void ar_undoer_put(struct ar_undoer *u, const struct ar_event *ev);
bool ar_undoer_next(struct ar_undoer *u, struct ar_event *ret);
/* An emulated stop string was met: the owner may close the upstream, nothing more is needed. */
bool ar_undoer_is_cut(const struct ar_undoer *u);
void ar_undoer_done(struct ar_undoer *u);
/* The same for a whole answer, in place. */
enum ar_code ar_undo_whole(const struct ar_undo *list, const struct ar_name *stops,
                           struct ar_response *r, struct ar_arena *a) AR_MUST;

#endif
