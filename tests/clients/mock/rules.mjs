// The vendors' own rules for a request: what the real API answers with 400. A translated request must keep them.
// broken(dialect, body, headers) gives the first rule that is broken as text, or null.
import { SIGNATURE } from './plan.mjs';

const isObject = v => v !== null && typeof v === 'object' && !Array.isArray(v);
const isText = v => typeof v === 'string';

class Broken extends Error {}
function must(ok, message) {
  if (!ok) throw new Broken(message);
}

// ---- Anthropic Messages

const ANTHROPIC_FIELDS = new Set([
  'model', 'max_tokens', 'messages', 'system', 'stop_sequences', 'stream', 'temperature', 'top_p', 'top_k', 'thinking',
  'output_config', 'output_format', 'tools', 'tool_choice', 'metadata', 'service_tier', 'speed', 'inference_geo',
  'cache_control', 'container', 'diagnostics', 'mcp_servers', 'context_management', 'compaction', 'thread', 'fallbacks',
  'fallback_credit_token', 'billing_policy',
]);
const ANTHROPIC_BLOCKS = {
  user: new Set(['text', 'image', 'document', 'search_result', 'tool_result', 'container_upload']),
  assistant: new Set(['text', 'thinking', 'redacted_thinking', 'tool_use', 'server_tool_use', 'web_search_tool_result']),
  system: new Set(['text']),
};
const IMAGE_TYPES = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp']);

function anthropicBlock(block, role, at) {
  must(isObject(block) && isText(block.type), `${at}: block without a type`);
  must(ANTHROPIC_BLOCKS[role].has(block.type), `${at}: ${block.type} is not allowed in a ${role} message`);
  if (block.type === 'text') must(isText(block.text) && block.text !== '', `${at}: text content blocks must be non-empty`);
  if (block.type === 'thinking') {
    must(isText(block.thinking), `${at}.thinking: Field required`);
    must(block.signature === SIGNATURE, `${at}: Invalid \`signature\` in \`thinking\` block`);
  }
  if (block.type === 'redacted_thinking') must(isText(block.data) && !block.data.startsWith('ar1.'), `${at}: Invalid data`);
  if (block.type === 'tool_use') {
    must(/^[a-zA-Z0-9_-]+$/.test(block.id ?? ''), `${at}.id: String should match pattern '^[a-zA-Z0-9_-]+$'`);
    must(/^[a-zA-Z0-9_-]{1,128}$/.test(block.name ?? ''), `${at}.name: String should match pattern`);
    must(isObject(block.input), `${at}.input: Input should be a valid dictionary`);
  }
  if (block.type === 'image') {
    const s = block.source;
    must(isObject(s), `${at}.source: Field required`);
    if (s.type === 'base64') {
      must(IMAGE_TYPES.has(s.media_type), `${at}.source.media_type: unsupported`);
      must(isText(s.data) && /^[A-Za-z0-9+/]+=*$/.test(s.data), `${at}.source.data: not base64`);
    } else if (s.type === 'url') must(/^https?:/.test(s.url ?? ''), `${at}.source.url: Only http(s) URLs`);
    else must(s.type === 'file', `${at}.source.type: unknown`);
  }
  if (block.type === 'tool_result') {
    must(isText(block.tool_use_id), `${at}.tool_use_id: Field required`);
    if (Array.isArray(block.content)) {
      for (const c of block.content) {
        must(['text', 'image', 'document', 'search_result', 'tool_reference'].includes(c?.type), `${at}.content: ${c?.type}`);
      }
    } else must(block.content === undefined || isText(block.content), `${at}.content: Input should be a valid string`);
  }
}

const asBlocks = content => (isText(content) ? [{ type: 'text', text: content }] : content);

function anthropicMessages(messages) {
  const turns = [];
  messages.forEach((m, i) => {
    must(isObject(m) && ANTHROPIC_BLOCKS[m.role], `messages.${i}.role: Input should be 'user', 'assistant' or 'system'`);
    must(isText(m.content) || Array.isArray(m.content), `messages.${i}.content: Field required`);
    must(m.content.length > 0, `messages.${i}: all messages must have non-empty content`);
    for (const key of Object.keys(m)) {
      must(['role', 'content', 'clear_at', 'output_config'].includes(key), `messages.${i}.${key}: Extra inputs are not permitted`);
    }
    const blocks = asBlocks(m.content);
    blocks.forEach((b, k) => anthropicBlock(b, m.role, `messages.${i}.content.${k}`));
    if (m.role === 'system') return; // it stands between turns and does not part them
    if (turns.at(-1)?.role === m.role) turns.at(-1).blocks.push(...blocks);
    else turns.push({ role: m.role, blocks: [...blocks] });
  });
  must(turns[0]?.role === 'user', 'messages: first message must use the "user" role');
  const seen = new Set();
  turns.forEach((turn, i) => {
    if (turn.role === 'assistant') {
      const ids = turn.blocks.filter(b => b.type === 'tool_use').map(b => b.id);
      for (const id of ids) {
        must(!seen.has(id), `messages: \`tool_use\` ids must be unique (${id})`);
        seen.add(id);
      }
      const answered = (turns[i + 1]?.blocks ?? []).filter(b => b.type === 'tool_result').map(b => b.tool_use_id);
      for (const id of ids) {
        must(answered.includes(id), `messages: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${id}`);
      }
    } else {
      const asked = (turns[i - 1]?.blocks ?? []).filter(b => b.type === 'tool_use').map(b => b.id);
      const results = turn.blocks.filter(b => b.type === 'tool_result').map(b => b.tool_use_id);
      must(new Set(results).size === results.length, 'messages: each tool_use must have a single result');
      for (const id of results) must(asked.includes(id), `messages: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${id}`);
      const firstOther = turn.blocks.findIndex(b => b.type !== 'tool_result');
      const lastResult = turn.blocks.findLastIndex(b => b.type === 'tool_result');
      must(firstOther < 0 || firstOther > lastResult, 'messages: tool_result blocks must come before other content');
    }
  });
  const last = turns.at(-1);
  const tail = last.blocks.at(-1);
  must(
    last.role !== 'assistant' || tail?.type !== 'text' || tail.text === tail.text.trimEnd(),
    'messages: final assistant content cannot end with trailing whitespace',
  );
}

function anthropicSettings(body, version) {
  const { thinking, tool_choice: choice } = body;
  if (version === '2026-10-21') {
    for (const key of ['temperature', 'top_p', 'top_k']) must(body[key] === undefined, `${key}: Extra inputs are not permitted`);
  }
  if (body.temperature !== undefined) must(body.temperature >= 0 && body.temperature <= 1, 'temperature: range: 0..1');
  if (thinking?.type === 'enabled') {
    must(thinking.budget_tokens >= 1024, 'thinking.enabled.budget_tokens: Input should be greater than or equal to 1024');
    must(thinking.budget_tokens < body.max_tokens, '`max_tokens` must be greater than `thinking.budget_tokens`');
    must(body.temperature === undefined || body.temperature === 1, '`temperature` may only be set to 1 when thinking is enabled');
    must(!['any', 'tool'].includes(choice?.type), 'Thinking may not be enabled when tool_choice forces tool use.');
  }
  for (const s of body.stop_sequences ?? []) must(isText(s) && s.trim() !== '', 'stop_sequences: each must contain non-whitespace');
  if (choice !== undefined) {
    must(['auto', 'any', 'tool', 'none'].includes(choice?.type), 'tool_choice: unknown type');
    must(body.tools?.length, 'tool_choice may only be specified while providing tools');
    if (choice.type === 'tool') must((body.tools ?? []).some(t => t.name === choice.name), `tool_choice: Tool '${choice.name}' not found`);
  }
  const names = new Set();
  (body.tools ?? []).forEach((t, i) => {
    must(/^[a-zA-Z0-9_-]{1,128}$/.test(t.name ?? ''), `tools.${i}.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`);
    must(!names.has(t.name), 'tools: Tool names must be unique.');
    names.add(t.name);
    if (t.type === undefined || t.type === 'custom') {
      must(isObject(t.input_schema), `tools.${i}.input_schema: Field required`);
      must(t.input_schema.type === 'object', `tools.${i}.input_schema.type: Field required`);
    }
  });
}

function anthropic(body, headers, counting) {
  const version = headers['anthropic-version'];
  must(version, 'anthropic-version: header is required');
  must(['2023-06-01', '2026-10-21'].includes(version), `anthropic-version: "${version}" is not a valid version`);
  for (const key of Object.keys(body)) must(ANTHROPIC_FIELDS.has(key), `${key}: Extra inputs are not permitted`);
  must(isText(body.model) && body.model, 'model: Field required');
  if (!counting) must(Number.isInteger(body.max_tokens) && body.max_tokens >= 0, 'max_tokens: Field required');
  must(Array.isArray(body.messages) && body.messages.length, 'messages: at least one message is required');
  must(body.stream === undefined || typeof body.stream === 'boolean', 'stream: Input should be a valid boolean');
  if (body.system !== undefined) {
    must(isText(body.system) || Array.isArray(body.system), 'system: Input should be a valid list');
    asBlocks(body.system).forEach((b, i) => must(b.type === 'text' && isText(b.text) && b.text !== '', `system.${i}: text blocks must be non-empty`));
  }
  anthropicMessages(body.messages);
  anthropicSettings(body, version);
  const marks = JSON.stringify(body).split('"cache_control":{').length - 1;
  must(marks <= 4, `A maximum of 4 blocks with cache_control may be provided. Found ${marks}.`);
}

// ---- OpenAI Chat Completions

const CHAT_FIELDS = new Set([
  'model', 'messages', 'max_completion_tokens', 'max_tokens', 'temperature', 'top_p', 'frequency_penalty',
  'presence_penalty', 'logit_bias', 'logprobs', 'top_logprobs', 'n', 'seed', 'stop', 'stream', 'stream_options', 'tools',
  'tool_choice', 'parallel_tool_calls', 'functions', 'function_call', 'response_format', 'reasoning_effort', 'verbosity',
  'modalities', 'audio', 'prediction', 'web_search_options', 'metadata', 'store', 'service_tier', 'user',
  'safety_identifier', 'prompt_cache_key', 'prompt_cache_options', 'prompt_cache_retention', 'moderation',
  // Not OpenAI's, but sent by clients of compatible servers.
  'reasoning', 'usage', 'include_reasoning',
]);
const CHAT_PARTS = {
  system: ['text'],
  developer: ['text'],
  user: ['text', 'image_url', 'input_audio', 'file'],
  assistant: ['text', 'refusal'],
  tool: ['text'],
};

function chatContent(m, at) {
  if (m.content === null || m.content === undefined) {
    must(m.role === 'assistant' && (m.tool_calls?.length || m.function_call || m.refusal || m.audio), `${at}.content: expected a string, got null`);
    return;
  }
  if (isText(m.content)) return;
  must(Array.isArray(m.content) && m.content.length > 0, `${at}.content: expected a string or a non-empty array`);
  m.content.forEach((p, k) => {
    must(CHAT_PARTS[m.role].includes(p?.type), `Invalid value: '${p?.type}' at ${at}.content[${k}].type`);
    if (p.type === 'text') must(isText(p.text), `${at}.content[${k}].text: missing`);
    if (p.type === 'image_url') {
      must(/^(https?:|data:image\/[a-z+]+;base64,[A-Za-z0-9+/]+=*$)/.test(p.image_url?.url ?? ''), `${at}.content[${k}].image_url: invalid`);
    }
  });
}

function chatMessages(messages) {
  let open = null; // ids of calls that wait for their results
  messages.forEach((m, i) => {
    const at = `messages[${i}]`;
    must(isObject(m) && CHAT_PARTS[m.role], `Invalid value: '${m?.role}' at ${at}.role`);
    chatContent(m, at);
    if (m.role === 'tool') {
      must(open, `${at}: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.`);
      must(open.delete(m.tool_call_id), `${at}: tool_call_id '${m.tool_call_id}' was not asked for`);
      return;
    }
    must(!open || open.size === 0, `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. Missing: ${[...(open ?? [])]}`);
    open = null;
    if (m.role === 'assistant' && m.tool_calls !== undefined) {
      must(Array.isArray(m.tool_calls) && m.tool_calls.length > 0, `${at}.tool_calls: empty array`);
      open = new Set();
      m.tool_calls.forEach((c, k) => {
        must(isText(c.id) && c.id !== '', `${at}.tool_calls[${k}].id: missing`);
        must(!open.has(c.id), `${at}.tool_calls[${k}].id: duplicate`);
        open.add(c.id);
        if (c.type === 'function') {
          must(isText(c.function?.name), `${at}.tool_calls[${k}].function.name: missing`);
          must(isText(c.function?.arguments), `${at}.tool_calls[${k}].function.arguments: expected a string`);
        } else must(c.type === 'custom' && isText(c.custom?.input), `${at}.tool_calls[${k}].type: invalid`);
      });
    }
  });
  must(!open || open.size === 0, `An assistant message with 'tool_calls' must be followed by tool messages. Missing: ${[...(open ?? [])]}`);
}

function chatTools(body) {
  must(body.tools === undefined || (Array.isArray(body.tools) && body.tools.length > 0), "Invalid 'tools': empty array.");
  (body.tools ?? []).forEach((t, i) => {
    if (t.type === 'function') {
      must(/^[a-zA-Z0-9_-]{1,64}$/.test(t.function?.name ?? ''), `Invalid 'tools[${i}].function.name'`);
      must(t.function.parameters === undefined || isObject(t.function.parameters), `Invalid 'tools[${i}].function.parameters'`);
    } else must(t.type === 'custom' && isText(t.custom?.name), `Invalid value: '${t.type}' at tools[${i}].type`);
  });
  const choice = body.tool_choice;
  must(choice === undefined || body.tools, "'tool_choice' is only allowed when 'tools' are specified.");
  must(body.parallel_tool_calls === undefined || body.tools, "'parallel_tool_calls' is only allowed when 'tools' are specified.");
  if (isText(choice)) must(['none', 'auto', 'required'].includes(choice), "Invalid 'tool_choice'");
  else if (choice?.type === 'function') must((body.tools ?? []).some(t => t.function?.name === choice.function?.name), "Tool choice: not found in 'tools'");
}

function chat(body) {
  for (const key of Object.keys(body)) must(CHAT_FIELDS.has(key), `Unrecognized request argument supplied: ${key}`);
  must(isText(body.model) && body.model, 'you must provide a model parameter');
  must(Array.isArray(body.messages) && body.messages.length, "Invalid 'messages': empty array.");
  must(body.stream === undefined || body.stream === null || typeof body.stream === 'boolean', "Invalid type for 'stream'");
  must(!body.stream_options || body.stream, "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
  must(!(body.max_tokens && body.max_completion_tokens), 'max_tokens and max_completion_tokens cannot both be set');
  must(!Array.isArray(body.stop) || body.stop.length <= 4, "Invalid 'stop': array too long");
  if (body.temperature != null) must(body.temperature >= 0 && body.temperature <= 2, "Invalid 'temperature'");
  const format = body.response_format;
  if (format != null) {
    must(['text', 'json_object', 'json_schema'].includes(format.type), "Invalid 'response_format.type'");
    if (format.type === 'json_schema') must(/^[a-zA-Z0-9_-]{1,64}$/.test(format.json_schema?.name ?? ''), "Missing 'response_format.json_schema.name'");
  }
  chatMessages(body.messages);
  chatTools(body);
}

// ---- Responses

const RESPONSES_FIELDS = new Set([
  'model', 'input', 'instructions', 'previous_response_id', 'conversation', 'store', 'include', 'max_output_tokens', 'max_tool_calls',
  'temperature', 'top_p', 'top_logprobs', 'reasoning', 'text', 'tools', 'tool_choice', 'parallel_tool_calls', 'stream', 'stream_options',
  'truncation', 'context_management', 'prompt_cache_key', 'prompt_cache_options', 'prompt_cache_retention', 'service_tier',
  'safety_identifier', 'user', 'metadata', 'background', 'prompt', 'moderation', 'access_programs', 'image', 'client_metadata',
]);
const RESPONSES_PARTS = {
  user: new Set(['input_text', 'input_image', 'input_file', 'input_audio']),
  assistant: new Set(['output_text', 'refusal', 'input_text']),
};
const RESPONSES_TOOLS = new Set([
  'function', 'custom', 'namespace', 'local_shell', 'shell', 'apply_patch', 'web_search', 'web_search_2025_08_26', 'web_search_preview',
  'file_search', 'code_interpreter', 'image_generation', 'computer', 'computer_use_preview', 'mcp', 'tool_search', 'programmatic_tool_calling',
]);
const OUTPUT_OF = {
  function_call: 'function_call_output', custom_tool_call: 'custom_tool_call_output', shell_call: 'shell_call_output',
  local_shell_call: 'local_shell_call_output', apply_patch_call: 'apply_patch_call_output',
};

function responsesItem(item, at) {
  must(isObject(item), `${at}: expected an object`);
  const type = item.type ?? 'message';
  if (type === 'message') {
    must(['user', 'assistant', 'system', 'developer'].includes(item.role), `${at}.role: invalid value`);
    if (isText(item.content)) return;
    must(Array.isArray(item.content), `${at}.content: missing`);
    const parts = RESPONSES_PARTS[item.role] ?? RESPONSES_PARTS.user;
    for (const p of item.content) must(parts.has(p?.type), `${at}.content: ${p?.type} is not allowed in a ${item.role} message`);
    return;
  }
  if (type === 'reasoning') {
    must(Array.isArray(item.summary), `${at}.summary: missing required parameter`);
    must(!item.encrypted_content || item.encrypted_content === SIGNATURE, `${at}: The encrypted content could not be verified`);
  }
  if (OUTPUT_OF[type]) must(isText(item.call_id) && item.call_id.length <= 64, `${at}.call_id: missing or too long`);
  if (type === 'function_call') {
    must(/^[a-zA-Z0-9_-]{1,64}$/.test(item.name ?? ''), `${at}.name: does not match pattern`);
    must(isText(item.arguments), `${at}.arguments: must be a string`);
  }
  if (type === 'function_call_output') must(isText(item.output) || Array.isArray(item.output), `${at}.output: must be a string or parts`);
}

function responsesInput(input) {
  const open = new Map();
  input.forEach((item, i) => {
    responsesItem(item, `input[${i}]`);
    if (OUTPUT_OF[item.type]) open.set(item.call_id, OUTPUT_OF[item.type]);
    else if (/_output$/.test(item.type ?? '')) {
      const id = item.call_id ?? item.id;
      must(open.get(id) === item.type, `No tool call found for ${item.type} with call_id ${id}.`);
      open.delete(id);
    }
  });
  must(open.size === 0, `No tool output found for call ${[...open.keys()][0]}.`);
}

function responses(body) {
  for (const key of Object.keys(body)) must(RESPONSES_FIELDS.has(key), `Unknown parameter: '${key}'.`);
  must(isText(body.model), "Missing required parameter: 'model'.");
  must(isText(body.input) || Array.isArray(body.input), "Missing required parameter: 'input'.");
  if (Array.isArray(body.input)) responsesInput(body.input);
  for (const [i, t] of (body.tools ?? []).entries()) {
    must(RESPONSES_TOOLS.has(t?.type), `Invalid value: '${t?.type}' of tools[${i}].type`);
    if (['function', 'custom'].includes(t.type)) must(/^[a-zA-Z0-9_-]{1,64}$/.test(t.name ?? ''), `tools[${i}].name: does not match pattern`);
    if (t.type === 'function') must(t.parameters === null || isObject(t.parameters), `tools[${i}].parameters: missing`);
  }
  must(body.max_output_tokens == null || body.max_output_tokens >= 16, "Invalid 'max_output_tokens': must be at least 16");
  const format = body.text?.format;
  if (format) must(['text', 'json_object', 'json_schema'].includes(format.type), "Invalid 'text.format.type'");
  if (format?.type === 'json_schema') must(isText(format.name) && isObject(format.schema), "Missing 'text.format.name' or schema");
}

// ---- Gemini

const GEMINI_FIELDS = new Set([
  'contents', 'systemInstruction', 'system_instruction', 'tools', 'toolConfig', 'generationConfig', 'safetySettings', 'cachedContent',
  'serviceTier', 'labels', 'store', 'model',
]);
const GEMINI_DATA = ['text', 'inlineData', 'fileData', 'functionCall', 'functionResponse', 'executableCode', 'codeExecutionResult', 'toolCall', 'toolResponse'];
const GEMINI_SIGNATURES = new Set([SIGNATURE, 'skip_thought_signature_validator']);

function geminiPart(part, role, at) {
  const data = GEMINI_DATA.filter(k => part[k] !== undefined);
  must(data.length === 1, `${at}: exactly one of the data fields must be set, not ${data.length}`);
  must(!part.thoughtSignature || GEMINI_SIGNATURES.has(part.thoughtSignature), `${at}: Corrupted thought signature`);
  if (part.functionCall) {
    must(role === 'model', `${at}: a function call outside a model turn`);
    must(/^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$/.test(part.functionCall.name ?? ''), `${at}.function_call.name: Invalid function name`);
    must(isObject(part.functionCall.args ?? {}), `${at}.function_call.args: not an object`);
  }
  if (part.functionResponse) {
    must(isText(part.functionResponse.name) && part.functionResponse.name, `${at}.function_response.name: Name cannot be empty`);
    must(isObject(part.functionResponse.response), `${at}.function_response.response: not an object`);
  }
}

function gemini(body, headers, counting) {
  for (const key of Object.keys(body)) must(GEMINI_FIELDS.has(key), `Invalid JSON payload received. Unknown name "${key}"`);
  must(Array.isArray(body.contents) && body.contents.length > 0, 'contents is not specified');
  let calls = 0;
  let before = null;
  body.contents.forEach((c, i) => {
    const role = c.role ?? 'user';
    must(['user', 'model'].includes(role), `contents[${i}].role: Please use a valid role: user, model.`);
    must(Array.isArray(c.parts) && c.parts.length > 0, `contents[${i}].parts must not be empty`);
    must(role !== before || role === 'user', `contents[${i}]: roles must alternate`);
    before = role;
    c.parts.forEach((p, k) => geminiPart(p, role, `contents[${i}].parts[${k}]`));
    const answers = c.parts.filter(p => p.functionResponse).length;
    must(calls === 0 || answers === calls, 'Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.');
    calls = c.parts.filter(p => p.functionCall).length;
  });
  for (const [i, t] of (body.tools ?? []).entries()) {
    for (const f of t.functionDeclarations ?? []) {
      must(/^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$/.test(f.name ?? ''), `tools[${i}]: Invalid function name`);
      must(!(f.parameters && f.parametersJsonSchema), `tools[${i}]: parameters and parametersJsonSchema are exclusive`);
    }
  }
  if (counting) return;
  const config = body.generationConfig ?? {};
  must(!(config.responseSchema && config.responseJsonSchema), 'responseSchema and responseJsonSchema are exclusive');
  must((config.stopSequences ?? []).length <= 5, 'stopSequences: at most 5');
}

export function broken(dialect, body, headers, counting = false) {
  try {
    if (!isObject(body)) throw new Broken('the body is not a JSON object');
    if (dialect === 'anthropic') anthropic(body, headers, counting);
    else if (dialect === 'chat') chat(body);
    else if (dialect === 'responses') responses(body);
    else if (dialect === 'gemini') gemini(body, headers, counting);
    return null;
  } catch (e) {
    if (e instanceof Broken) return e.message;
    throw e;
  }
}

// The secret of a request where the dialect's vendor looks for it, or null.
export function secretOf(dialect, headers) {
  const bearer = headers.authorization?.match(/^Bearer (.+)$/)?.[1] ?? null;
  if (dialect === 'anthropic') return headers['x-api-key'] ?? bearer;
  if (dialect === 'gemini') return headers['x-goog-api-key'] ?? bearer;
  return bearer ?? headers['api-key'] ?? null;
}
