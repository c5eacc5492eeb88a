// The official Anthropic SDK: models, count_tokens, messages (whole, stream, helpers, tool loops, thinking), both keys.
import { BASE, KEY, MODEL, done, load, step } from './client.mjs';

const { default: Anthropic } = await load('@anthropic-ai/sdk');
const client = new Anthropic({ baseURL: BASE, apiKey: KEY });
const messages = [{ role: 'user', content: 'say hi' }];
const request = { model: MODEL, max_tokens: 64, messages };
const tool = {
  name: 'get_weather',
  description: 'weather of a city',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const runnable = () => ({ ...tool, type: 'custom', run: async a => 'sunny in ' + a.city, parse: x => x });
const textOf = message => message.content.filter(b => b.type === 'text').map(b => b.text).join('');

await step(
  'models.list',
  async () => {
    const ids = [];
    for await (const m of client.models.list()) ids.push(m.id);
    return ids;
  },
  MODEL,
);
await step('models.retrieve', async () => (await client.models.retrieve(MODEL)).id, MODEL);
await step('count_tokens', async () => client.messages.countTokens({ model: MODEL, messages }), 'input_tokens');
await step('messages', async () => textOf(await client.messages.create(request)));
await step('messages.stream', async () => {
  let text = '';
  for await (const e of await client.messages.create({ ...request, stream: true })) {
    if (e.type === 'content_block_delta') text += e.delta.text ?? '';
  }
  return text;
});
await step('messages.stream.helper', async () => {
  const stream = client.messages.stream(request);
  const { usage } = await stream.finalMessage();
  if (usage.input_tokens !== 21 || usage.output_tokens !== 7) throw new Error('usage is ' + JSON.stringify(usage));
  return stream.finalText();
});
await step('tools.stream', async () => {
  const first = await client.messages.stream({ ...request, tools: [tool] }).finalMessage();
  if (first.stop_reason !== 'tool_use') return textOf(first);
  const use = first.content.find(b => b.type === 'tool_use');
  const result = { type: 'tool_result', tool_use_id: use.id, content: 'sunny' };
  const history = [...messages, { role: 'assistant', content: first.content }, { role: 'user', content: [result] }];
  return textOf(await client.messages.create({ ...request, tools: [tool], messages: history }));
});
await step('toolRunner', async () => textOf(await client.beta.messages.toolRunner({ ...request, tools: [runnable()] })));
await step('toolRunner.stream', async () => {
  let text = '';
  for await (const turn of client.beta.messages.toolRunner({ stream: true, ...request, tools: [runnable()] })) {
    for await (const e of turn) if (e.type === 'content_block_delta') text += e.delta.text ?? '';
  }
  return text;
});
await step('beta.thinking', async () => {
  const thinking = { type: 'enabled', budget_tokens: 1024 };
  const betas = ['interleaved-thinking-2025-05-14'];
  return textOf(await client.beta.messages.create({ ...request, max_tokens: 2048, betas, thinking }));
});
await step('authToken', async () => {
  const bearer = new Anthropic({ baseURL: BASE, authToken: KEY, apiKey: null });
  return textOf(await bearer.messages.create(request));
});
done();
