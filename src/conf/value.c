/*
 * The types of options: what a user may write for each and how it is shown. One table of units a
 * type. Never knows which option it reads.
 */
#include "conf/value.h"

/* Thirty years and more: a deadline stays a sum that does not overflow. */
#define TIME_MAX_MS (INT64_C(1) << 40)

struct unit {
    struct ar_str name;
    int64_t factor;
};

static const struct unit TIMES[] = {{AR_LIT_INIT("ms"), 1},
                                    {AR_LIT_INIT("s"), 1000},
                                    {AR_LIT_INIT("m"), 60000},
                                    {AR_LIT_INIT("h"), 3600000},
                                    {AR_LIT_INIT("d"), 86400000}};
static const struct unit SIZES[] = {{AR_LIT_INIT("KiB"), 1 << 10}, {AR_LIT_INIT("MiB"), 1 << 20},
                                    {AR_LIT_INIT("GiB"), 1 << 30}, {AR_LIT_INIT("kB"), 1000},
                                    {AR_LIT_INIT("MB"), 1000000},  {AR_LIT_INIT("GB"), 1000000000},
                                    {AR_LIT_INIT("B"), 1}};

enum ar_code ar_value_bool(struct ar_str text, int64_t *ret)
{
    static const struct ar_str WORDS[] = {
        AR_LIT_INIT("false"), AR_LIT_INIT("true"), AR_LIT_INIT("off"), AR_LIT_INIT("on"),
        AR_LIT_INIT("no"),    AR_LIT_INIT("yes"),  AR_LIT_INIT("0"),   AR_LIT_INIT("1")};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (ar_str_is_nocase(text, WORDS[i])) {
            *ret = (int64_t)(i % 2);
            return AR_OK;
        }
    }
    return AR_INVALID_REQUEST;
}

/* A number with a unit of the table; bare: the factor without one, 0 forbids that. */
static enum ar_code scaled(struct ar_str text, const struct unit *units, size_t n, int64_t bare,
                           int64_t *ret)
{
    size_t digits = 0;
    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9') {
        digits++;
    }
    struct ar_str name = ar_str_trim(ar_str_from(text, digits));
    int64_t factor = name.n == 0 ? bare : 0;
    for (size_t i = 0; i < n; i++) {
        if (ar_str_is_nocase(name, units[i].name)) {
            factor = units[i].factor;
            break;
        }
    }
    int64_t v;
    if (factor == 0 || ar_str_to_i64(ar_str_head(text, digits), 0, INT64_MAX, &v) != AR_OK ||
        __builtin_mul_overflow(v, factor, ret)) {
        return AR_INVALID_REQUEST;
    }
    return AR_OK;
}

enum ar_code ar_value_ms(struct ar_str text, int64_t bare_unit_ms, int64_t *ret)
{
    enum ar_code code = scaled(text, TIMES, sizeof TIMES / sizeof *TIMES, bare_unit_ms, ret);
    return code == AR_OK && *ret > TIME_MAX_MS ? AR_INVALID_REQUEST : code;
}

enum ar_code ar_value_bytes(struct ar_str text, int64_t *ret)
{
    return scaled(text, SIZES, sizeof SIZES / sizeof *SIZES, 1, ret);
}

static enum ar_code set_list(struct ar_strs *list, struct ar_str text, struct ar_arena *a)
{
    unsigned n = 1;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == ',';
    }
    struct ar_str piece, *v = ar_arena_alloc(a, n * sizeof *v);
    unsigned at = 0;
    while (v && ar_str_split(&text, ',', &piece)) {
        piece = ar_str_trim(piece);
        if (piece.n > 0) {
            v[at++] = piece;
        }
    }
    *list = (struct ar_strs){v, at};
    return v ? AR_OK : AR_TOO_LARGE;
}

enum ar_code ar_value_set(struct ar_option_slot slot, struct ar_str text, struct ar_arena *a,
                          struct ar_err *err)
{
    struct ar_str type = ar_str_of(slot.type);
    const char *want = NULL;
    if (ar_str_is_lit(type, "STR")) {
        *(struct ar_str *)slot.field = text;
        return AR_OK;
    }
    if (ar_str_is_lit(type, "LIST")) {
        return set_list(slot.field, text, a);
    }
    if (ar_str_is_lit(type, "BOOL") && ar_value_bool(text, slot.field) != AR_OK) {
        want = "true or false";
    } else if (ar_str_is_lit(type, "MS") && ar_value_ms(text, 1000, slot.field) != AR_OK) {
        want = "a time like 500ms, 10s or 2m";
    } else if (ar_str_is_lit(type, "BYTES") && ar_value_bytes(text, slot.field) != AR_OK) {
        want = "a size like 64KiB or 10MB";
    } else if (ar_str_is_lit(type, "INT") &&
               ar_str_to_i64(text, 0, INT64_MAX, slot.field) != AR_OK) {
        want = "a whole number";
    }
    return want ? ar_fail(err, AR_INVALID_REQUEST, "must be %s", want) : AR_OK;
}

static struct ar_str text_scaled(int64_t v, const struct unit *units, size_t from, size_t to,
                                 struct ar_arena *a)
{
    size_t best = from;
    for (size_t i = from; i < to; i++) {
        if (v != 0 && v % units[i].factor == 0 && units[i].factor > units[best].factor) {
            best = i;
        }
    }
    return ar_arena_fmt(a, "%lld%.*s", (long long)(v / units[best].factor),
                        AR_FMT(units[best].name));
}

struct ar_str ar_value_text(struct ar_option_slot slot, struct ar_arena *a)
{
    struct ar_str type = ar_str_of(slot.type);
    if (ar_str_is_lit(type, "STR")) {
        return *(struct ar_str *)slot.field;
    }
    if (ar_str_is_lit(type, "LIST")) {
        const struct ar_strs *list = slot.field;
        struct ar_buf b;
        ar_buf_init(&b, 1U << 20);
        for (unsigned i = 0; i < list->n; i++) {
            ar_buf_put(&b, ",", i > 0);
            ar_buf_str(&b, list->v[i]);
        }
        struct ar_str s = ar_arena_copy(a, ar_buf_view(&b));
        ar_buf_done(&b);
        return s;
    }
    int64_t v = *(int64_t *)slot.field;
    if (ar_str_is_lit(type, "BOOL")) {
        return v ? AR_LIT("true") : AR_LIT("false");
    }
    if (ar_str_is_lit(type, "MS")) {
        return v > 0 && v % 1000 == 0 ? ar_arena_fmt(a, "%llds", (long long)(v / 1000))
                                      : text_scaled(v, TIMES, 0, 1, a);
    }
    if (ar_str_is_lit(type, "BYTES")) {
        return v % 1024 == 0 && v > 0 ? text_scaled(v, SIZES, 0, 3, a)
                                      : ar_arena_fmt(a, "%lldB", (long long)v);
    }
    return ar_arena_fmt(a, "%lld", (long long)v);
}

unsigned ar_word_distance(struct ar_str a, struct ar_str b)
{
    unsigned row[65];
    if (a.n > 64 || b.n > 64) {
        return 64;
    }
    for (unsigned j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned best = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[b.n];
}
