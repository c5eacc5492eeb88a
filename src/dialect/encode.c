/* What the encoders of requests do alike. Only values and decisions are here: which member they go
 * to, and under what name a loss is told, is the dialect's. Owns nothing: arenas and writers of the
 * caller. */
#include "dialect/encode.h"

#include "base/hash.h"
#include "base/map.h"

enum { USER_MAX = 64 };

/* --- tools --- */

void ar_put_freeform_text(struct ar_jw *w, const struct ar_tool *t)
{
    ar_jw_raw(w, AR_LIT("\""));
    ar_buf_str(w->out, t->description);
    if (t->grammar.n > 0) {
        ar_buf_str(w->out, t->description.n > 0 ? AR_LIT("\\n\\n") : AR_LIT(""));
        ar_buf_lit(w->out, "The input must match this ");
        ar_json_escape(t->syntax.n > 0 ? t->syntax : AR_LIT("lark"), w->out);
        ar_buf_lit(w->out, " grammar:\\n");
        ar_buf_str(w->out, t->grammar);
    }
    ar_buf_char(w->out, '"');
}

bool ar_schema_says(struct ar_str schema, struct ar_arena *a)
{
    struct ar_jdoc doc;
    if (!schema.p || ar_json_parse(schema, 2, a, &doc, NULL) != AR_OK) {
        return false;
    }
    struct ar_jval root = ar_json_root(&doc), props = ar_json_get_lit(root, "properties");
    return ar_json_is(props, AR_J_OBJECT) ? ar_json_count(props) > 0
                                          : ar_json_get_lit(root, "$ref").doc != NULL;
}

enum ar_fate ar_server_tool_fate(const struct ar_request *r, const struct ar_tool *t)
{
    static const struct ar_str REFUSED[] = {AR_LIT_INIT("computer"), AR_LIT_INIT("browser"),
                                            AR_LIT_INIT("mcp"), AR_LIT_INIT("file_search"),
                                            AR_LIT_INIT("code_exec")};
    const struct ar_name *n = r->set.choice == AR_CHOICE_NAMED ? r->set.choice_names : NULL;
    for (; n; n = n->next) {
        if (ar_str_is(n->s, t->name)) {
            return AR_FATE_REJECT;
        }
    }
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        if (ar_str_has_prefix(t->name, REFUSED[i])) {
            return AR_FATE_REJECT;
        }
    }
    return AR_FATE_WARN;
}

/* --- names --- */

void ar_undo_add(struct ar_undo_list *l, struct ar_undo row)
{
    struct ar_undo *u = ar_arena_new(l->a, struct ar_undo);
    if (u) {
        *u = row;
        *l->tail = u;
        l->tail = &u->next;
    }
}

struct ar_str ar_undo_name(struct ar_undo_list *l, struct ar_str name)
{
    struct ar_str sent = ar_tool_name(name, l->name_max, l->a);
    if (!ar_str_is(sent, name)) {
        ar_undo_add(l, (struct ar_undo){.how = AR_UNDO_NAME, .sent = sent, .name = name});
    }
    return sent;
}

void ar_undo_history(struct ar_undo_list *l, const struct ar_request *r, bool keeps_ns)
{
    struct ar_map listed;
    ar_map_init(&listed, 0);
    for (struct ar_undo *u = *l->first; u; u = u->next) {
        ar_map_put(&listed, u->name, u);
    }
    for (const struct ar_turn *t = r->turns; t; t = t->next) {
        for (struct ar_block *b = t->role == AR_ASSISTANT ? t->blocks : NULL; b; b = b->next) {
            if (b->kind == AR_TOOL_USE && !(b->ns.n > 0 && keeps_ns) &&
                !ar_map_get(&listed, b->name)) {
                (void)ar_undo_name(l, b->name);
                ar_map_put(&listed, b->name, b);
            }
        }
    }
    ar_map_done(&listed);
}

/* --- texts --- */

bool ar_is_text_document(const struct ar_block *b)
{
    return b->kind == AR_DOCUMENT && (!b->media || b->media->from == AR_FROM_TEXT || b->inner);
}

static void put_attribute(struct ar_buf *out, const char *name, struct ar_str value)
{
    if (value.n > 0) {
        ar_buf_fmt(out, " %s=\\\"%.*s\\\"", name, AR_FMT(value));
    }
}

struct ar_str ar_document_text(const struct ar_block *b, struct ar_arena *a)
{
    struct ar_buf t;
    const struct ar_media *m = b->media;
    bool some = false;
    ar_buf_init(&t, a->max_bytes);
    ar_buf_lit(&t, "<document");
    if (m) {
        put_attribute(&t, "title", m->title);
        put_attribute(&t, "context", m->context);
    }
    ar_buf_lit(&t, ">\\n");
    if (m && m->from == AR_FROM_TEXT) {
        ar_buf_str(&t, m->data);
    }
    for (const struct ar_block *i = b->inner; i; i = i->next) {
        if (i->kind == AR_TEXT) {
            ar_buf_str(&t, some ? AR_LIT("\\n") : AR_LIT(""));
            ar_buf_str(&t, i->text);
            some = true;
        }
    }
    ar_buf_lit(&t, "\\n</document>");
    struct ar_str s = ar_arena_copy(a, ar_buf_view(&t));
    ar_buf_done(&t);
    return s.p ? s : AR_LIT("");
}

struct ar_str ar_schema_line(const struct ar_settings *s, struct ar_arena *a)
{
    struct ar_str schema = ar_json_escape_in(s->schema, a);
    struct ar_str text = ar_arena_fmt(
        a, "Respond with one JSON value that matches this JSON Schema, and nothing else:\\n%.*s",
        AR_FMT(schema));
    return text.p ? text : AR_LIT("");
}

/* --- effort --- */

enum ar_effort ar_effort_wanted(const struct ar_settings *s)
{
    switch (s->reason_mode) {
    case AR_REASON_OFF:
    case AR_REASON_BETWEEN_TOOLS:
        return AR_EFFORT_NONE;
    case AR_REASON_BUDGET:
        return s->effort != AR_EFFORT_UNSET ? s->effort : ar_budget_effort(s->budget);
    default:
        return s->effort;
    }
}

enum ar_effort ar_effort_known(const struct ar_target *t, enum ar_effort level)
{
    if (level == AR_EFFORT_MAX && !(t->caps & AR_CAP(EFFORT_MAX))) {
        level = AR_EFFORT_XHIGH;
    }
    if (level == AR_EFFORT_XHIGH && !(t->caps & AR_CAP(EFFORT_XHIGH))) {
        level = AR_EFFORT_HIGH;
    }
    if (level == AR_EFFORT_NONE && !(t->caps & AR_CAP(EFFORT_NONE))) {
        level = AR_EFFORT_MINIMAL;
    }
    if (level == AR_EFFORT_MINIMAL && !(t->caps & AR_CAP(EFFORT_MINIMAL))) {
        level = AR_EFFORT_LOW;
    }
    return level;
}

/* --- identity and media --- */

void ar_put_user(struct ar_jw *w, struct ar_str id, const struct ar_target *t)
{
    char hex[65];
    if (id.n == 0) {
        return;
    }
    if (id.n > USER_MAX) {
        ar_sha256_hex(id, 64, hex);
        id = ar_str_n(hex, 64);
    }
    if (t->vendor == AR_VENDOR_OPENAI) {
        ar_jw_key_text(w, "safety_identifier", id);
    } else {
        ar_jw_key_text(w, "user", id);
    }
}

struct ar_str ar_audio_format(struct ar_str mime)
{
    struct ar_str format =
        ar_str_has_prefix(mime, AR_LIT("audio/")) ? ar_str_from(mime, 6) : AR_LIT("wav");
    return ar_str_is_lit(format, "mpeg") ? AR_LIT("mp3") : format;
}

void ar_put_data_url(struct ar_jw *w, struct ar_str mime, struct ar_str data)
{
    ar_jw_raw(w, AR_LIT("\"data:"));
    ar_json_escape(mime, w->out);
    ar_buf_lit(w->out, ";base64,");
    ar_buf_str(w->out, data);
    ar_buf_char(w->out, '"');
}
