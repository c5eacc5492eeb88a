/* A Chat stream or answer: shared/stream.h says what is checked. The first byte chooses quirks, the
 * input's hash says how it is cut. */
#include "base/hash.h"
#include "shared/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    struct ar_str in = ar_str_n((const char *)data + 1, n - 1);
    struct fuzz_answer how = {.d = &ar_dialect_chat, .step = 1 + ar_hash64(in, 1) % n};
    how.target = (struct ar_target){.model = AR_LIT("m"), .vendor = AR_VENDOR_OPENAI};
    how.target.quirks = (data[0] & 1 ? AR_QUIRK(THINK_TAGS) : 0) |
                        (data[0] & 2 ? AR_QUIRK(NAME_FRAGMENTS) : 0) |
                        (data[0] & 4 ? AR_QUIRK(REASONING_DETAILS) : 0);
    fuzz_stream(&how, in);
    fuzz_whole(&how, in);
    return 0;
}
