/* What the scanner's files share: the inside of strings. */
#ifndef AR_JSON_IMPL_H
#define AR_JSON_IMPL_H

#include "json/scan.h"

#ifdef __SSE2__
#include <immintrin.h>

/* A bit for each of the 16 bytes at p that is a quote, a control character or not ASCII. Signed
 * compare: bytes above 0x7f are negative, hence below a space too. */
static inline unsigned stops16(__m128i v)
{
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                                    _mm_cmplt_epi8(v, _mm_set1_epi8(0x20))));
}

static inline unsigned slashes16(__m128i v)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
}

/* The same with backslashes, of the 16 bytes at p. */
static inline unsigned special16(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i_u *)p);
    return stops16(v) | slashes16(v);
}
#endif

/* string.c: from a place inside a string to its closing quote. NULL: it does not
 * end, or holds what is no text; *ret_where: where. *flags: AR_J_ESCAPED and AR_J_LONE are added.
 */
const char *ar_json_skip_text(const char *p, const char *end, unsigned *flags,
                              const char **ret_where);

#endif
