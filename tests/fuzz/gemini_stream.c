/* A Gemini stream, answer or count: shared/stream.h says what is checked. The first byte says how
 * the stream is cut. */
#include "shared/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    struct ar_str in = ar_str_n((const char *)data + 1, n - 1);
    struct fuzz_answer how = {.d = &ar_dialect_gemini, .step = 1 + data[0] % 64};
    how.target = (struct ar_target){
        .model = AR_LIT("m"), .vendor = AR_VENDOR_GOOGLE, .account = AR_LIT("0a1b2c3d")};
    fuzz_stream(&how, in);
    fuzz_whole(&how, in);
    return 0;
}
