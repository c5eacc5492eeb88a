/* Media of Gemini's parts -> IR: bytes in base64 of either alphabet, and file URIs, which are files
 * of Google's when they name its storage and plain URLs otherwise (PROTOCOLS 6.2). Owns nothing. */
#include "dialect/gemini/request_read.h"

enum ar_block_kind ar_gemini_media_kind(struct ar_str mime)
{
    return ar_str_has_prefix_nocase(mime, AR_LIT("image/"))   ? AR_IMAGE
           : ar_str_has_prefix_nocase(mime, AR_LIT("audio/")) ? AR_AUDIO
           : ar_str_has_prefix_nocase(mime, AR_LIT("video/")) ? AR_VIDEO
                                                              : AR_DOCUMENT;
}

struct ar_str ar_gemini_compact(struct ar_jval v, struct ar_arena *a)
{
    struct ar_str raw = ar_json_raw(v);
    char *p = ar_arena_alloc(a, raw.n + 1);
    size_t n = 0;
    bool in_string = false;
    for (size_t i = 0; p && i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '"') {
            in_string = !in_string;
        } else if (c == '\\') { /* only in strings: the next byte is no quote of its own */
            p[n++] = c;
            c = raw.p[++i];
        } else if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            continue;
        }
        p[n++] = c;
    }
    return p ? ar_str_n(p, n) : (struct ar_str){NULL, 0};
}

/* Base64 as everybody takes it: the standard alphabet, padded. Most is so already. */
static struct ar_str standard_base64(struct ar_str text, struct ar_arena *a)
{
    size_t n = text.n, pad = text.n > 0 && n % 4 > 1 ? 4 - n % 4 : 0;
    bool url_safe = ar_str_find_char(text, '-') < n || ar_str_find_char(text, '_') < n;
    if (ar_str_find_char(text, '\\') < n) { /* "\/" */
        return standard_base64(ar_json_unescape_in(text, a), a);
    }
    if (!url_safe && pad == 0) {
        return text;
    }
    char *p = ar_arena_alloc(a, n + pad + 1);
    for (size_t i = 0; p && i < n + pad; i++) {
        char c = i < n ? text.p[i] : '=';
        p[i] = c;
        if (c == '-' || c == '_') {
            p[i] = c == '-' ? '+' : '/';
        }
    }
    return p ? ar_str_n(p, n + pad) : (struct ar_str){NULL, 0};
}

/* Type of what a URL names, by its ending. */
static struct ar_str guess_mime(struct ar_str url)
{
    static const struct {
        struct ar_str ending, mime;
    } endings[] = {
        {AR_LIT_INIT(".png"), AR_LIT_INIT("image/png")},
        {AR_LIT_INIT(".jpg"), AR_LIT_INIT("image/jpeg")},
        {AR_LIT_INIT(".jpeg"), AR_LIT_INIT("image/jpeg")},
        {AR_LIT_INIT(".gif"), AR_LIT_INIT("image/gif")},
        {AR_LIT_INIT(".webp"), AR_LIT_INIT("image/webp")},
        {AR_LIT_INIT(".pdf"), AR_LIT_INIT("application/pdf")},
        {AR_LIT_INIT(".mp4"), AR_LIT_INIT("video/mp4")},
    };
    url.n = ar_str_find_char(url, '?');
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        struct ar_str e = endings[i].ending;
        if (url.n > e.n && ar_str_is_nocase(ar_str_from(url, url.n - e.n), e)) {
            return endings[i].mime;
        }
    }
    return (struct ar_str){NULL, 0};
}

static bool is_youtube(struct ar_str url)
{
    return ar_str_has(url, AR_LIT("://www.youtube.com/")) ||
           ar_str_has(url, AR_LIT("://youtube.com/")) || ar_str_has(url, AR_LIT("://youtu.be/"));
}

/* Files that only Google can open. */
static bool is_google_file(struct ar_str url)
{
    bool web = ar_str_has_prefix_nocase(url, AR_LIT("http:")) ||
               ar_str_has_prefix_nocase(url, AR_LIT("https:"));
    return !web || is_youtube(url) ||
           ar_str_has_prefix(url, AR_LIT("https://generativelanguage.googleapis.com/"));
}

static enum ar_code read_file(struct ar_gemini_in *in, struct ar_jval v, struct ar_media *m)
{
    struct ar_jval uri = ar_gemini_get_lit(v, "fileUri");
    struct ar_str url = {NULL, 0};
    if (!ar_json_is(uri, AR_J_STRING) || ar_json_esc(uri).n == 0) {
        return ar_json_wrong(uri.doc ? uri : v, uri.doc ? "a URI" : "an object with fileUri",
                             in->err);
    }
    enum ar_code code = ar_json_text(uri, in->a, &url, in->err);
    if (code != AR_OK || !url.p) {
        return code;
    }
    m->data = ar_json_esc(uri);
    m->from = is_google_file(url) ? AR_FROM_FILE : AR_FROM_URL;
    m->file_vendor = m->from == AR_FROM_FILE ? AR_VENDOR_GOOGLE : AR_VENDOR_OTHER;
    if (m->mime.n == 0) {
        m->mime = is_youtube(url) ? AR_LIT("video/mp4") : guess_mime(url);
    }
    return AR_OK;
}

static enum ar_code read_inline(struct ar_gemini_in *in, struct ar_jval v, struct ar_media *m)
{
    struct ar_jval data = ar_gemini_get_lit(v, "data");
    if (!ar_json_is(data, AR_J_STRING)) {
        return ar_json_wrong(data.doc ? data : v, data.doc ? "base64" : "an object with data",
                             in->err);
    }
    if (m->mime.n == 0) {
        return ar_json_wrong(v, "an object with mimeType", in->err);
    }
    m->from = AR_FROM_B64;
    m->data = standard_base64(ar_json_esc(data), in->a);
    return m->data.p ? AR_OK : ar_request_too_large(in->err);
}

/* mediaResolution, a word or {level}: what others call detail. */
static struct ar_str read_detail(struct ar_jval v)
{
    static const char *const levels[] = {"UNSPECIFIED", "LOW",        "MEDIUM",
                                         "HIGH",        "ULTRA_HIGH", NULL};
    static const struct ar_str details[] = {{NULL, 0},
                                            AR_LIT_INIT("low"),
                                            AR_LIT_INIT("auto"),
                                            AR_LIT_INIT("high"),
                                            AR_LIT_INIT("original")};
    if (ar_json_is(v, AR_J_OBJECT)) {
        v = ar_gemini_get_lit(v, "level");
    }
    int i = ar_json_is_nil(v) ? 0 : ar_gemini_enum(v, "MEDIA_RESOLUTION_", levels);
    return details[i > 0 ? i : 0];
}

enum ar_code ar_gemini_read_media(struct ar_gemini_in *in, const struct ar_jval m[AR_PART_KEYS],
                                  struct ar_block ***tail)
{
    bool is_inline = !ar_json_is_nil(m[AR_PART_INLINE]);
    struct ar_jval v = is_inline ? m[AR_PART_INLINE] : m[AR_PART_FILE];
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return v.doc ? ar_json_wrong(v, "an object", in->err)
                     : ar_fail(in->err, AR_INVALID_REQUEST,
                               "functionResponse.parts: must be inlineData or fileData");
    }
    struct ar_media *media = ar_arena_new(in->a, struct ar_media);
    if (!media) {
        return ar_request_too_large(in->err);
    }
    struct ar_jval title = ar_gemini_get_lit(v, "displayName");
    media->mime = ar_gemini_text_lit(in->a, v, "mimeType");
    media->title = ar_json_esc(title);
    media->detail = read_detail(m[AR_PART_RESOLUTION]);
    if (media->mime.n > 0 && !ar_is_media_type(media->mime)) {
        return ar_json_wrong(ar_gemini_get_lit(v, "mimeType"), "a media type", in->err);
    }
    enum ar_code code = is_inline ? read_inline(in, v, media) : read_file(in, v, media);
    struct ar_block *b =
        code == AR_OK ? ar_block_new(in->a, ar_gemini_media_kind(media->mime), tail) : NULL;
    if (code == AR_OK && !b) {
        code = ar_request_too_large(in->err);
    }
    if (b) {
        b->media = media;
        b->meta = ar_json_raw(m[AR_PART_VIDEO]);
    }
    return code;
}
