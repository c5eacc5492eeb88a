// Google's SDK: models, countTokens, generateContent (whole, stream, tools, JSON, chat), embeddings.
import { BASE, KEY, done, load, step } from './client.mjs';

const { GoogleGenAI } = await load('@google/genai');
const client = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: BASE } });
const model = process.env.MODEL || 'gemini-2.5-pro';
const parameters = { type: 'OBJECT', properties: { city: { type: 'STRING' } }, required: ['city'] };
const tools = [{ functionDeclarations: [{ name: 'get_weather', description: 'weather of a city', parameters }] }];

await step(
  'models.list',
  async () => {
    const names = [];
    for await (const m of await client.models.list()) names.push(m.name);
    return names;
  },
  model,
);
await step('countTokens', async () => `${(await client.models.countTokens({ model, contents: 'say hi' })).totalTokens} tokens`, ' tokens');
await step('generate', async () => {
  const config = { systemInstruction: 'x', temperature: 0.5, maxOutputTokens: 64 };
  return (await client.models.generateContent({ model, contents: 'say hi', config })).text;
});
await step('stream', async () => {
  let text = '';
  for await (const chunk of await client.models.generateContentStream({ model, contents: 'say hi' })) text += chunk.text ?? '';
  return text;
});
await step('tools', async () => {
  const contents = [{ role: 'user', parts: [{ text: 'say hi' }] }];
  let r = await client.models.generateContent({ model, contents, config: { tools } });
  if (r.functionCalls?.length) {
    const [{ id, name }] = r.functionCalls;
    const functionResponse = { id, name, response: { output: 'sunny' } };
    contents.push(r.candidates[0].content, { role: 'user', parts: [{ functionResponse }] });
    r = await client.models.generateContent({ model, contents, config: { tools } });
  }
  return r.text;
});
await step('json', async () => {
  const responseSchema = { type: 'OBJECT', properties: { answer: { type: 'STRING' } } };
  const config = { responseMimeType: 'application/json', responseSchema };
  return (await client.models.generateContent({ model, contents: 'x', config })).text;
});
await step('chat', async () => (await client.chats.create({ model }).sendMessage({ message: 'say hi' })).text);
await step(
  'embed',
  async () => {
    const r = await client.models.embedContent({ model: 'text-embedding-004', contents: ['a', 'b'] });
    return r.embeddings.map(e => e.values);
  },
  '0.1',
);
done();
