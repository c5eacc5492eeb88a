// The AI SDK with its providers openai (Responses and chat), anthropic and openai-compatible.
import { BASE, KEY, MODEL, done, load, step } from './client.mjs';

const { Output, embed, generateObject, generateText, isStepCount, stepCountIs, streamText, tool } = await load('ai');
const { createOpenAI } = await load('@ai-sdk/openai');
const { createAnthropic } = await load('@ai-sdk/anthropic');
const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible');
const { z } = await load('zod');

const baseURL = BASE + '/v1';
const openai = createOpenAI({ baseURL, apiKey: KEY });
const models = {
  'openai-responses': openai(MODEL),
  'openai-chat': openai.chat(MODEL),
  anthropic: createAnthropic({ baseURL, apiKey: KEY })(MODEL),
  compatible: createOpenAICompatible({ name: 'gw', baseURL, apiKey: KEY, includeUsage: true })(MODEL),
};
const inputSchema = z.object({ city: z.string() });
const tools = {
  get_weather: tool({ description: 'weather of a city', inputSchema, execute: async ({ city }) => 'sunny in ' + city }),
};
const stopWhen = (isStepCount ?? stepCountIs)(4);
const schema = z.object({ answer: z.string() });

async function streamed(settings) {
  let text = '';
  let error = null;
  const result = streamText({ ...settings, onError: e => (error = e.error) });
  for await (const piece of result.textStream) text += piece;
  if (error) throw error;
  const { inputTokens, outputTokens } = await result.usage;
  if (!(inputTokens > 0 && outputTokens > 0)) throw new Error(`usage is ${inputTokens}, ${outputTokens}`);
  return `${text} ${await result.finishReason}`;
}

for (const [name, model] of Object.entries(models)) {
  await step(name + ':generateText', async () => {
    const r = await generateText({ model, prompt: 'say hi' });
    return r.text + ' usage=' + JSON.stringify(r.usage);
  });
  await step(name + ':streamText', async () => streamed({ model, prompt: 'say hi' }));
  await step(name + ':tools', async () => (await generateText({ model, prompt: 'say hi', tools, stopWhen })).text);
  await step(name + ':tools.stream', async () => streamed({ model, prompt: 'say hi', tools, stopWhen }));
  await step(name + ':object', async () => {
    if (generateObject) return (await generateObject({ model, prompt: 'x', schema })).object;
    return (await generateText({ model, prompt: 'x', output: Output.object({ schema }) })).output;
  });
}
await step('openai:embed', async () => (await embed({ model: openai.embedding(MODEL), value: 'a' })).embedding, '0.25');
done();
