/*
 * What a value may be: ranges as the options table writes them, checked and told to people. The
 * limits of a range are values of the option's own type, so they carry the same units. Never knows
 * which option it checks.
 */
#include "conf/range.h"

static const struct ar_str TO = AR_LIT_INIT("..");

/* Splits "a..b"; false: it is a word. */
static bool split(struct ar_str part, struct ar_str *ret_least, struct ar_str *ret_most)
{
    size_t at = ar_str_find(part, TO);
    *ret_least = ar_str_head(part, at);
    *ret_most = ar_str_from(part, at + TO.n);
    return at < part.n;
}

/* A limit of the table as the number it stands for. */
static int64_t limit(const char *type, struct ar_str text, struct ar_arena *a)
{
    int64_t v = 0;
    enum ar_code code = ar_value_set((struct ar_option_slot){type, &v}, text, a, NULL);
    AR_ASSERT(code == AR_OK);
    return v;
}

static bool holds(struct ar_option_slot slot, struct ar_str part, struct ar_arena *a)
{
    struct ar_str least, most;
    bool is_text = strcmp(slot.type, "STR") == 0;
    if (!split(part, &least, &most)) {
        return is_text && ar_str_is(*(struct ar_str *)slot.field, part);
    }
    const char *type = is_text ? "INT" : slot.type;
    int64_t v = 0;
    if (!is_text) {
        v = *(int64_t *)slot.field;
    } else if (ar_str_to_i64(*(struct ar_str *)slot.field, 0, INT64_MAX, &v) != AR_OK) {
        return false;
    }
    return v >= limit(type, least, a) && v <= limit(type, most, a);
}

struct ar_str ar_range_text(struct ar_str range, struct ar_arena *a)
{
    struct ar_str part, least, most;
    struct ar_buf b;
    ar_buf_init(&b, 1024);
    while (ar_str_split(&range, '|', &part)) {
        bool is_range = split(part, &least, &most);
        ar_buf_fmt(&b, "%s%.*s%s%.*s", b.n > 0 ? " or " : "", AR_FMT(least), is_range ? " to " : "",
                   AR_FMT(most));
    }
    struct ar_str s = b.n > 0 ? ar_arena_copy(a, ar_buf_view(&b)) : (struct ar_str){0};
    ar_buf_done(&b);
    return s;
}

enum ar_code ar_range_check(struct ar_option_slot slot, struct ar_str range, struct ar_arena *a,
                            struct ar_err *err)
{
    struct ar_str rest = range, part;
    bool ok = range.n == 0;
    while (!ok && ar_str_split(&rest, '|', &part)) {
        ok = holds(slot, part, a);
    }
    return ok ? AR_OK
              : ar_fail(err, AR_INVALID_REQUEST, "must be %.*s, not %.*s",
                        AR_FMT(ar_range_text(range, a)),
                        AR_FMT(ar_str_head(ar_value_text(slot, a), 40)));
}
