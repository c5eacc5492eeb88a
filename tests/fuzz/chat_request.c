/* A Chat body: an outline says what the request says (alone, it refuses a key that comes twice),
 * and what is read is written the same twice and readable in every dialect. */
#include "shared/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in;
    struct fuzz_read x;
    if (!fuzz_input_of(data, size, &in)) {
        return 0;
    }
    fuzz_read(&x, &ar_dialect_chat, &in);
    if (x.request) {
        AR_ASSERT(x.outlined != AR_OK || ar_str_is(x.outline.model, x.request->model));
        AR_ASSERT(x.outlined != AR_OK || x.outline.stream == x.request->stream);
        fuzz_write_all(x.request, &in);
    }
    fuzz_read_done(&x);
    return 0;
}
