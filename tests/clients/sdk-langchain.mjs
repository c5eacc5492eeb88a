// LangChain: ChatOpenAI (chat and Responses), ChatAnthropic, OpenAIEmbeddings.
import { BASE, KEY, MODEL, done, load, step } from './client.mjs';

const { ChatOpenAI, OpenAIEmbeddings } = await load('@langchain/openai');
const { ChatAnthropic } = await load('@langchain/anthropic');
const { tool } = await load('@langchain/core/tools');
const { HumanMessage, ToolMessage } = await load('@langchain/core/messages');
const { z } = await load('zod');

const weather = tool(async ({ city }) => 'sunny in ' + city, {
  name: 'get_weather',
  description: 'weather of a city',
  schema: z.object({ city: z.string() }),
});
const openai = { model: MODEL, apiKey: KEY, configuration: { baseURL: BASE + '/v1' } };
const models = {
  chat: new ChatOpenAI(openai),
  responses: new ChatOpenAI({ ...openai, useResponsesApi: true }),
  anthropic: new ChatAnthropic({ model: MODEL, apiKey: KEY, anthropicApiUrl: BASE, maxTokens: 64 }),
};
const textOf = m => (typeof m.content === 'string' ? m.content : m.content.map(p => p.text ?? '').join(''));

for (const [name, model] of Object.entries(models)) {
  await step(name + ':invoke', async () => {
    const r = await model.invoke('say hi');
    return textOf(r) + ' usage=' + JSON.stringify(r.usage_metadata);
  });
  await step(name + ':stream', async () => {
    let text = '';
    for await (const piece of await model.stream('say hi')) text += textOf(piece);
    return text;
  });
  await step(name + ':tools', async () => {
    const bound = model.bindTools([weather]);
    const question = new HumanMessage('say hi');
    const answer = await bound.invoke([question]);
    if (!answer.tool_calls?.length) return textOf(answer);
    const [{ id, args }] = answer.tool_calls;
    const result = new ToolMessage({ tool_call_id: id, content: String(await weather.invoke(args)) });
    return textOf(await bound.invoke([question, answer, result]));
  });
  await step(name + ':structured', async () => model.withStructuredOutput(z.object({ answer: z.string() })).invoke('x'));
}
await step('embeddings', async () => new OpenAIEmbeddings(openai).embedDocuments(['a', 'b']), '0.25');
done();
