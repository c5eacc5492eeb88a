/* One IR block -> one block of a Messages request (PROTOCOLS 6.2, 6.5). What came from this dialect
 * with members that the IR does not name goes back in its wire form; vendor material goes only to
 * its vendor; media that cannot go is refused by name. Media by reference that the API cannot fetch
 * itself is refused here: whoever wants it inlined puts the data into the IR before. Owns nothing.
 */
#include "dialect/anthropic/answer_write.h"
#include "dialect/anthropic/request_write.h"

#include "base/id.h"
#include "ir/opaque.h"

void ar_anthropic_put_cache(struct ar_anthropic_enc *e, struct ar_str ttl)
{
    if (!ttl.p) {
        return;
    }
    e->cache_seen++;
    if (e->cache_seen <= e->cache_skip) {
        return;
    }
    bool longer = ar_str_is_lit(ttl, "1h") || ar_str_is_lit(ttl, "12h");
    if (ttl.n == 0) {
        ar_jw_key_raw(&e->w, "cache_control", AR_LIT("{\"type\":\"ephemeral\"}"));
    } else {
        ar_jw_key_raw(&e->w, "cache_control",
                      longer ? AR_LIT("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}")
                             : AR_LIT("{\"type\":\"ephemeral\",\"ttl\":\"5m\"}"));
    }
}

bool ar_anthropic_keeps_thinking(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    bool bound = AR_CAN(e, ACCOUNT_BOUND_THINKING);
    const struct ar_opaque *o = b->sig;
    bool fits = o && o->data.n > 0 && o->form != AR_THOUGHT_SIG && o->form != AR_ENCRYPTED &&
                ar_opaque_fits(o, e->t->vendor, e->t->account, bound);
    /* A relay of unknown make: its own signatures came back to us unwrapped. */
    bool ours = e->native && o && o->data.n > 0 && o->vendor == AR_VENDOR_ANTHROPIC &&
                o->account.n == 0 && e->t->vendor == AR_VENDOR_OTHER;
    if (e->t->no_thinking || e->dropped_think || !(fits || ours)) {
        e->dropped_think = true;
        return false;
    }
    return true;
}

static bool is_blank(struct ar_str esc)
{
    for (size_t i = 0; i < esc.n; i++) {
        if (esc.p[i] == '\\' && i + 1 < esc.n && strchr("ntr", esc.p[i + 1])) {
            i++;
        } else if (esc.p[i] != ' ') {
            return false;
        }
    }
    return true;
}

/* Will the block show up in the body? Thinking is asked about apart. */
bool ar_anthropic_has_output(const struct ar_anthropic_enc *e, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_TEXT:
    case AR_REFUSAL:
        return e->native ? b->text.n > 0 : !is_blank(b->text);
    case AR_SERVER_TOOL_USE:
    case AR_SERVER_TOOL_RESULT:
    case AR_OPAQUE_ITEM:
        return b->vendor == AR_VENDOR_ANTHROPIC && b->raw.n > 0 &&
               (e->native || e->t->vendor == AR_VENDOR_ANTHROPIC) &&
               !ar_anthropic_is_made_search(b->raw);
    case AR_COMPACTION:
        return true;
    case AR_THINKING:
    case AR_REDACTED_THINKING:
        return false;
    default:
        return true;
    }
}

static void open_block(struct ar_jw *w, const char *type)
{
    ar_jw_open(w, '{');
    ar_jw_key(w, "type");
    ar_jw_esc(w, ar_str_of(type));
}

static void close_block(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    ar_anthropic_put_cache(e, b->cache_ttl);
    ar_jw_close(&e->w, '}');
}

/* content: the blocks inside a block. */
static void put_inner(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    ar_jw_key(&e->w, "content");
    ar_jw_open(&e->w, '[');
    for (const struct ar_block *c = b->inner; c; c = c->next) {
        if (ar_anthropic_has_output(e, c)) {
            ar_anthropic_put_part(e, c);
        }
    }
    ar_jw_close(&e->w, ']');
}

bool ar_anthropic_put_input(struct ar_jw *w, const struct ar_block *b, struct ar_arena *a)
{
    bool broken = false;
    ar_jw_key(w, "input");
    if (b->freeform) {
        ar_jw_open(w, '{');
        ar_jw_key_text(w, "input", b->text);
        ar_jw_close(w, '}');
    } else {
        ar_jw_raw(w, ar_args_object(b->text, a, &broken));
    }
    return !broken;
}

/* --- media --- */

static void refuse(struct ar_anthropic_enc *e, const char *field, const char *why)
{
    ar_anthropic_lose(e, AR_FATE_REJECT, AR_DROPPED, field, field, why);
}

/* The type that the first bytes of base64 text tell; p NULL: none of those known. */
static struct ar_str sniff(struct ar_str esc)
{
    static const struct {
        struct ar_str head, mime;
    } magic[] = {
        {AR_LIT_INIT("iVBORw0KGgo"), AR_LIT_INIT("image/png")},
        {AR_LIT_INIT("/9j/"), AR_LIT_INIT("image/jpeg")},
        {AR_LIT_INIT("R0lGOD"), AR_LIT_INIT("image/gif")},
        {AR_LIT_INIT("UklGR"), AR_LIT_INIT("image/webp")},
        {AR_LIT_INIT("JVBERi0"), AR_LIT_INIT("application/pdf")},
    };
    char head[12];
    size_t n = 0;
    for (size_t i = 0; i < esc.n && n < sizeof(head); i++) {
        if (esc.p[i] != '\\') {
            head[n++] = esc.p[i];
        }
    }
    for (size_t i = 0; i < sizeof(magic) / sizeof(magic[0]); i++) {
        if (ar_str_has_prefix(ar_str_n(head, n), magic[i].head)) {
            return magic[i].mime;
        }
    }
    return (struct ar_str){0};
}

static bool is_image(struct ar_str mime)
{
    return ar_str_is_lit(mime, "image/jpeg") || ar_str_is_lit(mime, "image/png") ||
           ar_str_is_lit(mime, "image/gif") || ar_str_is_lit(mime, "image/webp");
}

static void put_b64(struct ar_jw *w, struct ar_str mime, struct ar_str data)
{
    ar_jw_key(w, "source");
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "base64");
    ar_jw_key_text(w, "media_type", mime);
    ar_jw_key_esc(w, "data", data);
    ar_jw_close(w, '}');
}

/* source by reference: https URL, or a file of this vendor's. */
static void put_reference(struct ar_anthropic_enc *e, const struct ar_block *b, const char *field)
{
    struct ar_jw *w = &e->w;
    const struct ar_media *m = b->media;
    bool secure = ar_str_has_prefix_nocase(m->data, AR_LIT("https:"));
    if (m->from == AR_FROM_FILE && m->file_vendor != AR_VENDOR_ANTHROPIC) {
        refuse(e, "file_id", "file ids cannot cross providers");
    } else if (m->from == AR_FROM_URL && !ar_anthropic_takes_url(b, e->t)) {
        refuse(e, field,
               secure ? "the upstream takes media inline only"
                      : "only https URLs can be passed on");
    }
    ar_jw_key(w, "source");
    ar_jw_open(w, '{');
    if (m->from == AR_FROM_FILE) {
        ar_jw_key_lit(w, "type", "file");
        ar_jw_key_esc(w, "file_id", m->data);
    } else {
        ar_jw_key_lit(w, "type", "url");
        ar_jw_key_esc(w, "url", m->data);
    }
    ar_jw_close(w, '}');
}

static void put_image(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    const struct ar_media *m = b->media;
    open_block(w, "image");
    if (m->from == AR_FROM_B64) {
        struct ar_str seen = sniff(m->data), mime = m->mime;
        mime = ar_str_is_nocase(mime, AR_LIT("image/jpg")) ? AR_LIT("image/jpeg") : mime;
        mime = is_image(seen) ? seen : mime;
        if (!is_image(mime)) {
            refuse(e, e->native ? "source.media_type" : "image_url",
                   "images must be jpeg, png, gif or webp");
        }
        put_b64(w, mime, m->data);
    } else {
        put_reference(e, b, e->native ? "source.url" : "image_url");
    }
    close_block(e, b);
}

static bool is_text_like(struct ar_str mime)
{
    return ar_str_has_prefix_nocase(mime, AR_LIT("text/")) ||
           ar_str_is_nocase(mime, AR_LIT("application/json")) ||
           ar_str_is_nocase(mime, AR_LIT("application/xml")) ||
           ar_str_is_nocase(mime, AR_LIT("application/yaml"));
}

static void put_text_source(struct ar_jw *w, struct ar_str esc)
{
    ar_jw_key(w, "source");
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "text");
    ar_jw_key_lit(w, "media_type", "text/plain");
    ar_jw_key_esc(w, "data", esc);
    ar_jw_close(w, '}');
}

static void put_decoded(struct ar_anthropic_enc *e, const struct ar_media *m)
{
    struct ar_buf text;
    ar_buf_init(&text, m->data.n + 4);
    if (ar_b64_decode(ar_json_unescape_in(m->data, e->a), &text) != AR_OK) {
        refuse(e, "file", "the file's data is not base64");
    }
    struct ar_str copy = ar_arena_copy(e->a, ar_buf_view(&text));
    ar_buf_done(&text);
    put_text_source(&e->w, ar_json_escape_in(copy.p ? copy : AR_LIT(""), e->a));
}

static void put_source(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    const struct ar_media *m = b->media;
    if (b->inner) {
        ar_jw_key(w, "source");
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "content");
        put_inner(e, b);
        ar_jw_close(w, '}');
    } else if (m->from == AR_FROM_TEXT) {
        put_text_source(w, m->data);
    } else if (m->from != AR_FROM_B64) {
        put_reference(e, b, e->native ? "source.url" : "file");
    } else if (ar_str_is_lit(m->mime, "application/pdf") ||
               ar_str_is_lit(sniff(m->data), "application/pdf")) {
        put_b64(w, AR_LIT("application/pdf"), m->data);
    } else if (is_text_like(m->mime)) {
        put_decoded(e, m);
    } else {
        refuse(e, "file", "documents must be PDF or text");
    }
}

static void put_document(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    const struct ar_media *m = b->media;
    open_block(w, "document");
    put_source(e, b);
    if (m->title.n > 0) {
        ar_jw_key_esc(w, "title", m->title);
    }
    if (m->context.n > 0) {
        ar_jw_key_esc(w, "context", m->context);
    }
    if (m->citations) {
        ar_jw_key_raw(w, "citations", AR_LIT("{\"enabled\":true}"));
    }
    close_block(e, b);
}

/* --- the rest --- */

static void put_text(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    open_block(w, "text");
    ar_jw_key_esc(w, "text", b->text);
    if (e->native && b->citations.p) {
        ar_jw_key_raw(w, "citations", b->citations);
    }
    close_block(e, b);
}

static void put_thinking(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    if (b->raw.n > 0 && e->native) {
        ar_jw_raw(w, b->raw);
        return;
    }
    bool redacted = b->kind == AR_REDACTED_THINKING || b->sig->form == AR_REDACTED;
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "type", redacted ? AR_LIT("redacted_thinking") : AR_LIT("thinking"));
    if (redacted) {
        ar_jw_key_text(w, "data", b->sig->data);
    } else {
        ar_jw_key_esc(w, "thinking", b->text.p ? b->text : AR_LIT(""));
        ar_jw_key_text(w, "signature", b->sig->data);
    }
    ar_jw_close(w, '}');
}

static void put_call(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    open_block(w, "tool_use");
    ar_jw_key_text(w, "id", ar_tool_id(b->id, e->a));
    ar_jw_key_text(w, "name", ar_anthropic_tool_name(e, b->name));
    if (!ar_anthropic_put_input(w, b, e->a)) {
        ar_anthropic_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "arguments", "input",
                          "the arguments are not JSON");
    }
    close_block(e, b);
}

static void put_result(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    bool any = false;
    open_block(w, "tool_result");
    ar_jw_key_text(w, "tool_use_id", ar_tool_id(b->id, e->a));
    for (const struct ar_block *c = b->inner; c; c = c->next) {
        any = any || ar_anthropic_has_output(e, c);
    }
    if (any && b->is_plain && b->inner->kind == AR_TEXT && !b->inner->next) {
        ar_jw_key_esc(w, "content", b->inner->text);
    } else if (any) {
        put_inner(e, b);
    }
    if (b->is_error) {
        ar_jw_key_bool(w, "is_error", true);
    }
    close_block(e, b);
}

static void put_compaction(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    if (b->vendor == AR_VENDOR_ANTHROPIC && b->raw.n > 0 &&
        (e->native || e->t->vendor == AR_VENDOR_ANTHROPIC)) {
        ar_jw_raw(&e->w, b->raw);
        return;
    }
    if (b->text.n == 0) {
        refuse(e, "compaction", "a compacted history belongs to the vendor that made it");
    }
    ar_jw_open(&e->w, '{');
    ar_jw_key_lit(&e->w, "type", "text");
    ar_jw_key(&e->w, "text");
    ar_jw_raw(&e->w, AR_LIT("\"Summary of earlier conversation: "));
    ar_buf_str(e->w.out, b->text);
    ar_buf_char(e->w.out, '"');
    ar_jw_close(&e->w, '}');
}

/* The wire form may go as it is: same dialect, and nothing in it has to be rewritten. */
static bool goes_raw(const struct ar_anthropic_enc *e, const struct ar_block *b)
{
    if (!e->native || b->raw.n == 0) {
        return false;
    }
    bool call = b->kind == AR_TOOL_USE;
    return (!call && b->kind != AR_TOOL_RESULT) || ar_str_is(ar_tool_id(b->id, e->a), b->id);
}

void ar_anthropic_put_part(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    if (b->kind != AR_THINKING && b->kind != AR_REDACTED_THINKING && b->kind != AR_COMPACTION &&
        goes_raw(e, b)) {
        e->cache_seen += b->cache_ttl.p != NULL;
        ar_jw_raw(&e->w, b->raw);
        return;
    }
    switch (b->kind) {
    case AR_TEXT:
    case AR_REFUSAL:
        put_text(e, b);
        return;
    case AR_IMAGE:
        put_image(e, b);
        return;
    case AR_DOCUMENT:
        put_document(e, b);
        return;
    case AR_TOOL_USE:
        put_call(e, b);
        return;
    case AR_TOOL_RESULT:
        put_result(e, b);
        return;
    case AR_THINKING:
    case AR_REDACTED_THINKING:
        put_thinking(e, b);
        return;
    case AR_COMPACTION:
        put_compaction(e, b);
        return;
    case AR_AUDIO:
    case AR_VIDEO:
        refuse(e, b->kind == AR_AUDIO ? "input_audio" : "video",
               "the upstream's API takes no such input");
        return;
    default:
        ar_jw_raw(&e->w, b->raw);
        return;
    }
}
