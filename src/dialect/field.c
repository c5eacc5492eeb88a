/* Names of fields for warnings and refusals, which speak of the client's own request. The encoders
 * think in Chat's words; the table has the words of the dialects that have others. Anthropic's
 * differ by situation, so its encoders and readers name them themselves. Owns nothing. */
#include "dialect/field.h"

#include "dialect/dialect.h"

#define CONFIG "generationConfig."

/* NULL: Chat's word. */
static const struct {
    const char *chat, *responses, *gemini;
} FIELDS[] = {
    {"messages", "input", "contents"},
    {"max_tokens", "max_output_tokens", CONFIG "maxOutputTokens"},
    {"max_completion_tokens", "max_output_tokens", CONFIG "maxOutputTokens"},
    {"reasoning_effort", "reasoning.effort", CONFIG "thinkingConfig"},
    {"response_format", "text.format", CONFIG "responseMimeType"},
    {"verbosity", "text.verbosity", NULL},
    {"user", "safety_identifier", NULL},
    {"image_url", "input_image", "inlineData"},
    {"file", "input_file", "inlineData"},
    {"file_id", NULL, "fileData.fileUri"},
    {"input_audio", NULL, "inlineData"},
    {"tool_result", "function_call_output", "functionResponse"},
    {"server_tool_use", "input", "toolCall"},
    {"web_search_options", "tools", "tools"},
    {"web_search_options.search_context_size", "tools", "tools"},
    {"logprobs", "top_logprobs", CONFIG "responseLogprobs"},
    {"top_logprobs", NULL, CONFIG "logprobs"},
    {"temperature", NULL, CONFIG "temperature"},
    {"top_p", NULL, CONFIG "topP"},
    {"top_k", NULL, CONFIG "topK"},
    {"frequency_penalty", NULL, CONFIG "frequencyPenalty"},
    {"presence_penalty", NULL, CONFIG "presencePenalty"},
    {"seed", NULL, CONFIG "seed"},
    {"n", NULL, CONFIG "candidateCount"},
    {"stop", NULL, CONFIG "stopSequences"},
    {"tool_choice", NULL, "toolConfig"},
    {"service_tier", NULL, "serviceTier"},
};

const char *ar_dialect_field(uint8_t dialect, const char *chat)
{
    bool responses = dialect == AR_DIALECT_RESPONSES, gemini = dialect == AR_DIALECT_GEMINI;
    for (size_t i = 0; (responses || gemini) && i < sizeof FIELDS / sizeof *FIELDS; i++) {
        const char *own = gemini ? FIELDS[i].gemini : FIELDS[i].responses;
        if (own && strcmp(FIELDS[i].chat, chat) == 0) {
            return own;
        }
    }
    return chat;
}
