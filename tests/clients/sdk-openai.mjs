// The official OpenAI SDK: models, chat (whole, stream, helpers, tool loops, structured output), Responses, embeddings.
import { BASE, KEY, MODEL, done, load, step } from './client.mjs';

const { default: OpenAI } = await load('openai');
const client = new OpenAI({ baseURL: BASE + '/v1', apiKey: KEY });
const messages = [{ role: 'user', content: 'say hi' }];
const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const runnable = () => ({
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'weather of a city',
    parameters,
    parse: JSON.parse,
    function: async a => 'sunny in ' + a.city,
  },
});
const answerSchema = {
  type: 'object',
  properties: { answer: { type: 'string' } },
  required: ['answer'],
  additionalProperties: false,
};

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
await step('chat', async () => (await client.chat.completions.create({ model: MODEL, messages })).choices[0].message.content);
await step('chat.stream', async () => {
  let text = '';
  let usage = null;
  const stream = await client.chat.completions.create({
    model: MODEL,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
  }
  if (usage?.total_tokens !== 28) throw new Error('usage is ' + JSON.stringify(usage));
  return text;
});
await step('chat.stream.helper', async () => client.chat.completions.stream({ model: MODEL, messages }).finalContent());
await step('chat.runTools', async () =>
  client.chat.completions.runTools({ model: MODEL, messages, tools: [runnable()] }).finalContent(),
);
await step('chat.runTools.stream', async () =>
  client.chat.completions.runTools({ stream: true, model: MODEL, messages, tools: [runnable()] }).finalContent(),
);
await step('chat.parse', async () => {
  const response_format = { type: 'json_schema', json_schema: { name: 'a', strict: true, schema: answerSchema } };
  const r = await client.chat.completions.parse({ model: MODEL, messages, response_format });
  return JSON.parse(r.choices[0].message.content).answer;
});
await step('responses', async () => (await client.responses.create({ model: MODEL, input: 'say hi' })).output_text);
await step('responses.stream', async () => {
  let text = '';
  for await (const e of await client.responses.create({ model: MODEL, input: 'say hi', stream: true })) {
    if (e.type === 'response.output_text.delta') text += e.delta;
  }
  return text;
});
await step('responses.stream.helper', async () => {
  const r = await client.responses.stream({ model: MODEL, input: 'say hi' }).finalResponse();
  return r.output_text;
});
await step(
  'embeddings',
  async () => (await client.embeddings.create({ model: MODEL, input: ['a', 'b'] })).data.map(d => d.embedding),
  '0.25',
);
await step(
  'embeddings.float',
  async () => {
    const r = await client.embeddings.create({ model: MODEL, input: 'a', encoding_format: 'float' });
    return r.data.map(d => d.embedding);
  },
  '0.25',
);
done();
