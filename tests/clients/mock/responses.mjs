// OpenAI Responses: facts of a request, the whole answer, the stream.
import { pieces } from './plan.mjs';
import { error } from './chat.mjs';

const USAGE = {
  input_tokens: 21,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 7,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 28,
};

export function facts(body) {
  const tools = (body.tools ?? [])
    .filter(t => ['function', 'custom', 'local_shell'].includes(t.type))
    .map(t => ({ name: t.name ?? t.type, schema: t.parameters, kind: t.type }));
  const input = Array.isArray(body.input) ? body.input : [];
  const choice = body.tool_choice;
  return {
    tools,
    hadResult: input.some(i => /_output$/.test(i.type ?? '')),
    forced: choice === 'required' || choice?.name,
    schema: body.text?.format?.schema,
    jsonObject: body.text?.format?.type === 'json_object',
  };
}

function response(body, serial, status, output) {
  return {
    id: 'resp_mock' + serial,
    object: 'response',
    created_at: Math.floor(Date.now() / 1000),
    status,
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: null,
    model: body.model,
    output,
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: 1,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    truncation: 'disabled',
    usage: status === 'completed' ? USAGE : null,
    metadata: {},
  };
}

function itemOf(block, serial) {
  if (block.kind === 'tool' && block.toolKind === 'custom') {
    const input = process.env.MOCK_CUSTOM_INPUT || 'echo hi';
    return { id: 'ctc_mock' + serial, type: 'custom_tool_call', status: 'completed', call_id: 'call_mock' + serial, name: block.name, input };
  }
  if (block.kind === 'tool') {
    const args = JSON.stringify(block.args ?? {});
    return { id: 'fc_mock' + serial, type: 'function_call', status: 'completed', call_id: 'call_mock' + serial, name: block.name, arguments: args };
  }
  const content = [{ type: 'output_text', text: block.text, annotations: [], logprobs: [] }];
  return { id: 'msg_mock' + serial, type: 'message', status: 'completed', role: 'assistant', content };
}

const blocksOf = plan => plan.blocks.filter(b => b.kind === 'text' || b.kind === 'tool');

export const whole = (body, plan, serial) =>
  response(body, serial, 'completed', blocksOf(plan).map((b, i) => itemOf(b, `${serial}_${i}`)));

export function events(body, plan, serial) {
  const out = [];
  let sequence_number = 0;
  const emit = (type, fields) => out.push({ event: type, data: { type, sequence_number: sequence_number++, ...fields } });
  emit('response.created', { response: response(body, serial, 'in_progress', []) });
  emit('response.in_progress', { response: response(body, serial, 'in_progress', []) });
  const items = blocksOf(plan).map((b, i) => itemOf(b, `${serial}_${i}`));
  items.forEach((item, output_index) => {
    const at = { item_id: item.id, output_index };
    const added = empty => emit('response.output_item.added', { output_index, item: { ...item, status: 'in_progress', ...empty } });
    if (item.type === 'message') {
      const part = item.content[0];
      added({ content: [] });
      emit('response.content_part.added', { ...at, content_index: 0, part: { ...part, text: '' } });
      for (const delta of pieces(part.text, 6)) emit('response.output_text.delta', { ...at, content_index: 0, delta, logprobs: [] });
      emit('response.output_text.done', { ...at, content_index: 0, text: part.text, logprobs: [] });
      emit('response.content_part.done', { ...at, content_index: 0, part });
    } else if (item.type === 'function_call') {
      added({ arguments: '' });
      for (const delta of pieces(item.arguments, 7)) emit('response.function_call_arguments.delta', { ...at, delta });
      emit('response.function_call_arguments.done', { ...at, arguments: item.arguments, name: item.name });
    } else {
      added({ input: '' });
      emit('response.custom_tool_call_input.delta', { ...at, delta: item.input });
      emit('response.custom_tool_call_input.done', { ...at, input: item.input });
    }
    emit('response.output_item.done', { output_index, item });
  });
  emit('response.completed', { response: response(body, serial, 'completed', items) });
  return out;
}

export const streamError = () => {
  const failure = { code: process.env.MOCK_FAILCODE || 'server_error', message: process.env.MOCK_FAILMSG || 'mock failed' };
  const failed = { id: 'resp_mock', object: 'response', created_at: 1, status: 'failed', error: failure, output: [], usage: null };
  return { event: 'response.failed', data: { type: 'response.failed', sequence_number: 99, response: failed } };
};

export { error };
