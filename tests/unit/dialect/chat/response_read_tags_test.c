/* <think> tags: the same pieces however the text is cut into deltas. */
#include "check.h"

#include "dialect/chat/answer_write.h"
#include "dialect/chat/stream_read.h"

/* Cuts text at every pair of places and joins the pieces: T<thinking> then S<said>. */
static void run(const char *text, size_t cut1, size_t cut2, struct ar_buf *thought,
                struct ar_buf *said)
{
    struct ar_chat_tags t = {0};
    struct ar_buf scratch;
    struct ar_str all = ar_str_of(text);
    struct ar_str parts[4] = {ar_str_head(all, cut1), ar_str_from(ar_str_head(all, cut2), cut1),
                              ar_str_from(all, cut2), AR_LIT("")};
    ar_buf_init(&scratch, 4096);
    ar_buf_clear(thought);
    ar_buf_clear(said);
    for (unsigned i = 0; i < 4; i++) {
        struct ar_chat_piece p[AR_CHAT_PIECES];
        unsigned n = ar_chat_tags_cut(&t, parts[i], i == 3, &scratch, p);
        for (unsigned k = 0; k < n; k++) {
            ar_buf_str(p[k].is_thinking ? thought : said, p[k].text);
        }
    }
    ar_buf_done(&scratch);
}

static void same_for_every_cut(void **state)
{
    static const struct {
        const char *text, *thought, *said;
    } ROWS[] = {
        {"<think>Hm.</think>\\n\\nYes", "Hm.", "Yes"},
        {"\\n <think>a<b</thin></think>x</think>", "a<b</thin>", "x</think>"},
        {"<think></think>ok", "", "ok"},
        {"<think>never closed</thi", "never closed</thi", ""},
        {"plain <think>no</think>", "", "plain <think>no</think>"},
        {" <thinner>", "", " <thinner>"},
        {"<thi", "", "<thi"},
        {"", "", ""},
    };
    struct ar_buf thought, said;
    (void)state;
    ar_buf_init(&thought, 4096);
    ar_buf_init(&said, 4096);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        size_t n = strlen(ROWS[i].text);
        for (size_t c1 = 0; c1 <= n; c1++) {
            for (size_t c2 = c1; c2 <= n; c2++) {
                bool inside = (c1 > 0 && ROWS[i].text[c1 - 1] == '\\') ||
                              (c2 > 0 && ROWS[i].text[c2 - 1] == '\\');
                if (inside) {
                    continue; /* a delta never cuts an escape */
                }
                run(ROWS[i].text, c1, c2, &thought, &said);
                CHECK_STR(ar_buf_view(&thought), ROWS[i].thought);
                CHECK_STR(ar_buf_view(&said), ROWS[i].said);
            }
        }
    }
    ar_buf_done(&thought);
    ar_buf_done(&said);
}

static void counts_characters(void **state)
{
    (void)state;
    assert_int_equal(ar_chat_chars(AR_LIT("abc")), 3);
    assert_int_equal(ar_chat_chars(AR_LIT("a\\nb\\\"")), 4);
    assert_int_equal(ar_chat_chars(AR_LIT("é€😀")), 3);
    assert_int_equal(ar_chat_chars(AR_LIT("\\u00e9\\ud83d\\ude00x")), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_for_every_cut),
                                       cmocka_unit_test(counts_characters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
