/* Small things that the files of several dialects do alike. Pure; any thread. */
#ifndef AR_DIALECT_SHARED_H
#define AR_DIALECT_SHARED_H

#include "dialect/dialect.h"
#include "json/scan.h"
#include "json/write.h"

/* What tells the encoder of a request: does the target's model have the capability, does its place
 * have the quirk? e: the state of an encoding, whose member t is the target. */
#define AR_CAN(e, id) (((e)->t->caps & AR_CAP(id)) != 0)
#define AR_HAS(e, id) (((e)->t->quirks & AR_QUIRK(id)) != 0)

/* Decoded string member, or absent when missing, null or no string. Frame or arena. */
struct ar_str ar_member_text(struct ar_arena *a, struct ar_jval obj, struct ar_str key);
#define ar_member_text_lit(a, obj, l) ar_member_text((a), (obj), AR_LIT(l))

/* AR_TOO_LARGE: a client's request needs more than its arena. */
enum ar_code ar_request_too_large(struct ar_err *err);

/* A citation that says where on the web it is from. Its canonical form is Anthropic's
 * web_search_result_location, to which start_index and end_index are added where they are known:
 * characters of the block that it stands on. url, title, said (a piece of the answer or the
 * source): esc. */
struct ar_cite {
    struct ar_str url, title, said;
    int64_t from, to; /* to -1: the whole block */
};
/* Canonical, raw, in the arena; p NULL: it has no URL. */
struct ar_str ar_cite_make(struct ar_arena *a, struct ar_cite c);
/* OpenAI's url_citation, nested as in Chat or flat, as the canonical form; likewise. */
struct ar_str ar_cite_of_openai(struct ar_arena *a, struct ar_jval annotation);
/* The canonical form, or any citation with a URL. false: another kind. Borrows from raw and a. */
bool ar_cite_read(struct ar_str raw, struct ar_arena *a, struct ar_cite *ret);
/* Its characters in a text of which the block is [from, to). */
void ar_cite_place(struct ar_cite *c, int64_t from, int64_t to);
/* Byte of escaped text at which its n-th character begins, or its end. */
size_t ar_esc_at_char(struct ar_str esc, int64_t n);

/* What a document without a name is called. mime: dec. */
struct ar_str ar_document_name(struct ar_str mime);

/* Does the request list a tool of that name that a vendor runs? */
bool ar_lists_server_tool(const struct ar_request *r, struct ar_str name);

/* May OpenAI be asked to keep to the schema? Its strict mode takes objects only that are closed and
 * whose properties are all required. Frame: the arena holds the parsed schema. */
bool ar_schema_fits_strict(struct ar_str schema, struct ar_arena *a);
#define AR_NOT_STRICT                                                                              \
    "the upstream keeps strictly to schemas only whose properties are all required"

/* {"input_tokens":N}, as most dialects tell a count; -1: it is none. */
void ar_put_input_tokens(int64_t tokens, struct ar_buf *out);
int64_t ar_read_input_tokens(struct ar_str body, struct ar_arena *a);

/* What a writer of streams is fed with, one event a call: ar_dialect.write. */
typedef enum ar_code ar_write_fn(struct ar_writer *w, const struct ar_event *ev,
                                 struct ar_framer *out);
/* A complete answer as a stream: what unfolds from it, but for END, which the owner sends. */
enum ar_code ar_write_whole(ar_write_fn *write, struct ar_writer *w,
                            const struct ar_response *answer, struct ar_framer *out);
/* What was lost beyond byte from of the list, as a comment; losses NULL or nothing new: nothing. */
void ar_write_losses(const struct ar_losses *losses, size_t from, struct ar_framer *out);

#endif
