/* A Messages stream or answer (P-160): shared/stream.h says what is checked. The input's hash says
 * how it is cut. */
#include "base/hash.h"
#include "shared/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ar_str in = ar_str_n((const char *)data, n);
    struct fuzz_answer how = {
        .d = &ar_dialect_anthropic, .step = 1 + ar_hash64(in, 1) % (n + 1), .blind = true};
    how.target = (struct ar_target){.model = AR_LIT("m"), .vendor = AR_VENDOR_ANTHROPIC};
    fuzz_stream(&how, in);
    fuzz_whole(&how, in);
    return 0;
}
