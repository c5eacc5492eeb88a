/* A Messages body, with its version as the policy says: what is read has an outline that says the
 * same, and is written the same twice and readable in every dialect (P-013). */
#include "shared/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in;
    struct fuzz_read x;
    if (!fuzz_input_of(data, size, &in)) {
        return 0;
    }
    fuzz_read(&x, &ar_dialect_anthropic, &in);
    if (x.request) {
        AR_ASSERT(x.outlined == AR_OK);
        AR_ASSERT(ar_str_is(x.outline.model, x.request->model));
        AR_ASSERT(x.outline.stream == x.request->stream);
        fuzz_write_all(x.request, &in);
    }
    fuzz_read_done(&x);
    return 0;
}
