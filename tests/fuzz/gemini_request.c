/* A generateContent or countTokens body: what is read has an outline without model and stream,
 * which the path says, and is written the same twice and readable in every dialect (P-013). */
#include "shared/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in;
    struct fuzz_read x;
    if (!fuzz_input_of(data, size, &in)) {
        return 0;
    }
    fuzz_read(&x, &ar_dialect_gemini, &in);
    if (x.request) {
        AR_ASSERT(x.outlined == AR_OK || !ar_str_has(in.body, AR_LIT("generateContentRequest")));
        AR_ASSERT(!x.outline.model.p && !x.outline.stream);
        x.request->model = AR_LIT("m");
        fuzz_write_all(x.request, &in);
    }
    fuzz_read_done(&x);
    return 0;
}
