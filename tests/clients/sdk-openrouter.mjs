// The AI SDK's OpenRouter provider: chat with OpenRouter's additions.
import { BASE, KEY, done, load, step } from './client.mjs';

const { generateObject, generateText, isStepCount, stepCountIs, streamText, tool } = await load('ai');
const { createOpenRouter } = await load('@openrouter/ai-sdk-provider');
const { z } = await load('zod');

const model = createOpenRouter({ baseURL: BASE + '/v1', apiKey: KEY })(process.env.MODEL || 'vendor/some-model');
const inputSchema = z.object({ city: z.string() });
const tools = {
  get_weather: tool({ description: 'weather of a city', inputSchema, execute: async ({ city }) => 'sunny in ' + city }),
};

async function streamed(settings) {
  let text = '';
  let error = null;
  const result = streamText({ model, prompt: 'say hi', onError: e => (error = e.error), ...settings });
  for await (const piece of result.textStream) text += piece;
  if (error) throw error;
  return text;
}

await step('generateText', async () => (await generateText({ model, prompt: 'say hi' })).text);
await step('streamText', async () => streamed({}));
await step('tools.stream', async () => streamed({ tools, stopWhen: (isStepCount ?? stepCountIs)(4) }));
await step('object', async () => {
  const schema = z.object({ answer: z.string() });
  return (await generateObject({ model, prompt: 'x', schema })).object;
});
done();
