// Anthropic Messages: facts of a request, the whole answer, the stream.
import { SIGNATURE, pieces } from './plan.mjs';

const USAGE = {
  input_tokens: 21,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: 7,
  service_tier: 'standard',
};

export function facts(body) {
  const tools = (body.tools ?? []).filter(t => t.input_schema).map(t => ({ name: t.name, schema: t.input_schema }));
  const hadResult = (body.messages ?? []).some(
    m => Array.isArray(m.content) && m.content.some(c => c.type === 'tool_result'),
  );
  const choice = body.tool_choice?.type;
  const forced = choice === 'tool' ? body.tool_choice.name : choice === 'any';
  // A model obeys such a line of the system prompt; this dialect has no field for it.
  const jsonObject = /one JSON object/i.test(JSON.stringify(body.system ?? ''));
  return { tools, hadResult, forced, schema: body.output_config?.format?.schema, jsonObject };
}

function contentOf(plan, serial) {
  return plan.blocks.map((b, i) => {
    if (b.kind === 'text') return { type: 'text', text: b.text };
    if (b.kind === 'thinking') return { type: 'thinking', thinking: b.text, signature: b.signature ?? SIGNATURE };
    if (b.kind === 'redacted') return { type: 'redacted_thinking', data: b.data };
    return { type: 'tool_use', id: b.id ?? `toolu_mock${serial}_${i}`, name: b.name, input: b.args };
  });
}

const stopOf = plan => plan.stop ?? (plan.blocks.some(b => b.kind === 'tool') ? 'tool_use' : 'end_turn');

export function whole(body, plan, serial) {
  return {
    id: 'msg_mock' + serial,
    type: 'message',
    role: 'assistant',
    model: body.model,
    content: contentOf(plan, serial),
    stop_reason: stopOf(plan),
    stop_sequence: plan.stopSequence ?? null,
    usage: { ...USAGE, ...plan.usage },
  };
}

export function events(body, plan, serial) {
  const out = [];
  const emit = (type, fields) => out.push({ event: type, data: { type, ...fields } });
  const message = whole(body, plan, serial);
  emit('message_start', {
    message: { ...message, content: [], stop_reason: null, stop_sequence: null, usage: { ...message.usage, output_tokens: 1 } },
  });
  emit('ping', {});
  message.content.forEach((block, index) => {
    const start = content_block => emit('content_block_start', { index, content_block });
    const delta = d => emit('content_block_delta', { index, delta: d });
    if (block.type === 'text') {
      start({ type: 'text', text: '' });
      for (const p of pieces(block.text, 6)) delta({ type: 'text_delta', text: p });
    } else if (block.type === 'thinking') {
      start({ type: 'thinking', thinking: '', signature: '' });
      for (const p of pieces(block.thinking, 6)) delta({ type: 'thinking_delta', thinking: p });
      delta({ type: 'signature_delta', signature: block.signature });
    } else if (block.type === 'tool_use') {
      start({ ...block, input: {} });
      delta({ type: 'input_json_delta', partial_json: '' });
      for (const p of pieces(JSON.stringify(block.input), 7)) delta({ type: 'input_json_delta', partial_json: p });
    } else {
      start(block);
    }
    emit('content_block_stop', { index });
  });
  emit('message_delta', {
    delta: { stop_reason: message.stop_reason, stop_sequence: message.stop_sequence },
    usage: { output_tokens: message.usage.output_tokens },
  });
  emit('message_stop', {});
  return out;
}

export const streamError = () => ({
  event: 'error',
  data: { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded (mock)' } },
});

const TYPES = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

export const error = (status, message) => ({
  type: 'error',
  error: { type: TYPES[status] ?? 'api_error', message },
  request_id: 'req_mock',
});

const model = id => ({ type: 'model', id, display_name: 'Mock ' + id, created_at: '2025-09-29T00:00:00Z' });
export const oneModel = model;
export const models = ids => ({ data: ids.map(model), has_more: false, first_id: ids[0], last_id: ids.at(-1) });
