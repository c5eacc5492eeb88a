// OpenAI Chat Completions: facts of a request, the whole answer, the stream.
import { pieces, textOf } from './plan.mjs';

const USAGE = {
  prompt_tokens: 21,
  completion_tokens: 7,
  total_tokens: 28,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 },
};

export function facts(body) {
  const tools = (body.tools ?? [])
    .filter(t => t.type === 'function')
    .map(t => ({ name: t.function.name, schema: t.function.parameters }));
  return {
    tools,
    hadResult: (body.messages ?? []).some(m => m.role === 'tool'),
    forced: body.tool_choice === 'required' || body.tool_choice?.function?.name,
    schema: body.response_format?.json_schema?.schema,
    jsonObject: body.response_format?.type === 'json_object',
  };
}

const callsOf = (plan, serial) =>
  plan.blocks
    .filter(b => b.kind === 'tool')
    .map((b, i) => ({
      id: b.id ?? `call_mock${serial}_${i}`,
      type: 'function',
      function: { name: b.name, arguments: typeof b.args === 'string' ? b.args : JSON.stringify(b.args) },
    }));

const reasoningOf = plan => plan.blocks.filter(b => b.kind === 'thinking').map(b => b.text).join('');
const finishOf = (plan, calls) => plan.stop ?? (calls.length ? 'tool_calls' : 'stop');
const now = () => Math.floor(Date.now() / 1000);

export function whole(body, plan, serial) {
  const calls = callsOf(plan, serial);
  const said = textOf(plan);
  const message = { role: 'assistant', content: said || (calls.length ? null : ''), refusal: null };
  if (reasoningOf(plan)) message.reasoning_content = reasoningOf(plan);
  if (calls.length) message.tool_calls = calls;
  return {
    id: 'chatcmpl-mock' + serial,
    object: 'chat.completion',
    created: now(),
    model: body.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishOf(plan, calls) }],
    usage: { ...USAGE, ...plan.usage },
  };
}

export function events(body, plan, serial) {
  const base = { id: 'chatcmpl-mock' + serial, object: 'chat.completion.chunk', created: now(), model: body.model };
  const wantsUsage = Boolean(body.stream_options?.include_usage);
  const out = [];
  const emit = (delta, finish = null) =>
    out.push({
      data: {
        ...base,
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
        ...(wantsUsage ? { usage: null } : {}),
      },
    });
  const calls = callsOf(plan, serial);
  emit({ role: 'assistant', content: textOf(plan) ? '' : null });
  for (const p of pieces(reasoningOf(plan), 6)) emit({ reasoning_content: p });
  for (const p of pieces(textOf(plan), 6)) emit({ content: p });
  calls.forEach((c, index) => {
    emit({ tool_calls: [{ index, ...c, function: { name: c.function.name, arguments: '' } }] });
    for (const p of pieces(c.function.arguments, 7)) emit({ tool_calls: [{ index, function: { arguments: p } }] });
  });
  emit({}, finishOf(plan, calls));
  if (wantsUsage) out.push({ event: undefined, usageChunk: true, data: { ...base, choices: [], usage: { ...USAGE, ...plan.usage } } });
  out.push({ raw: 'data: [DONE]\n\n', done: true });
  return out;
}

export const streamError = () => ({
  data: { error: { message: 'mock stream error', type: 'server_error', param: null, code: null } },
});

const TYPES = { 400: 'invalid_request_error', 401: 'invalid_request_error', 404: 'invalid_request_error', 429: 'rate_limit_error' };
const CODES = { 401: 'invalid_api_key', 404: 'not_found', 429: 'rate_limit_exceeded' };

export const error = (status, message) => ({
  error: {
    message,
    type: process.env.MOCK_ERRTYPE || TYPES[status] || 'server_error',
    param: null,
    code: process.env.MOCK_FAILCODE || CODES[status] || null,
  },
});

const model = id => ({ id, object: 'model', created: 1700000000, owned_by: 'mock' });
export const oneModel = model;
export const models = ids => ({ object: 'list', data: ids.map(model) });

const VECTOR = [0.25, -0.5, 0.125, 1];
export function embeddings(body) {
  const inputs = Array.isArray(body.input) && typeof body.input[0] !== 'number' ? body.input : [body.input];
  const embedding =
    body.encoding_format === 'base64' ? Buffer.from(new Float32Array(VECTOR).buffer).toString('base64') : VECTOR;
  return {
    object: 'list',
    model: body.model,
    data: inputs.map((_, index) => ({ object: 'embedding', index, embedding })),
    usage: { prompt_tokens: 5, total_tokens: 5 },
  };
}
