/* Names of fields for warnings and refusals, which speak of the client's own request. The encoders
 * think in Chat's words; the table has the words of the dialects that have others. Anthropic's
 * differ by situation, so its encoders and readers name them themselves. Owns nothing. */
#include "dialect/field.h"

#include "dialect/dialect.h"

static const struct {
    const char *chat, *responses;
} FIELDS[] = {
    {"messages", "input"},
    {"max_tokens", "max_output_tokens"},
    {"max_completion_tokens", "max_output_tokens"},
    {"reasoning_effort", "reasoning.effort"},
    {"response_format", "text.format"},
    {"verbosity", "text.verbosity"},
    {"user", "safety_identifier"},
    {"image_url", "input_image"},
    {"file", "input_file"},
    {"tool_result", "function_call_output"},
    {"server_tool_use", "input"},
    {"web_search_options", "tools"},
    {"web_search_options.search_context_size", "tools"},
    {"logprobs", "top_logprobs"},
};

const char *ar_dialect_field(uint8_t dialect, const char *chat)
{
    for (size_t i = 0; dialect == AR_DIALECT_RESPONSES && i < sizeof FIELDS / sizeof *FIELDS; i++) {
        if (strcmp(FIELDS[i].chat, chat) == 0) {
            return FIELDS[i].responses;
        }
    }
    return chat;
}
