// Gemini generateContent: facts of a request, the whole answer, the stream.
import { SIGNATURE, pieces } from './plan.mjs';

const USAGE = {
  promptTokenCount: 21,
  candidatesTokenCount: 7,
  totalTokenCount: 28,
  promptTokensDetails: [{ modality: 'TEXT', tokenCount: 21 }],
};

const lowerTypes = schema => JSON.parse(JSON.stringify(schema).replace(/"type":"([A-Z]+)"/g, m => m.toLowerCase()));

export function facts(body) {
  const tools = (body.tools ?? [])
    .flatMap(t => t.functionDeclarations ?? [])
    .map(t => ({ name: t.name, schema: t.parametersJsonSchema ?? t.parameters_json_schema ?? t.parameters }));
  const hadResult = (body.contents ?? []).some(c => (c.parts ?? []).some(p => p.functionResponse));
  const schema = body.generationConfig?.responseJsonSchema ?? body.generationConfig?.responseSchema;
  const choice = body.toolConfig?.functionCallingConfig;
  return {
    tools,
    hadResult,
    forced: choice?.mode === 'ANY' && (choice.allowedFunctionNames?.[0] ?? true),
    schema: schema && lowerTypes(schema),
    jsonObject: body.generationConfig?.responseMimeType === 'application/json',
  };
}

const chunk = (body, serial, parts, finishReason) => ({
  candidates: [{ content: { parts, role: 'model' }, index: 0, ...(finishReason ? { finishReason } : {}) }],
  usageMetadata: USAGE,
  modelVersion: body.model,
  responseId: 'gmock' + serial,
});

const partOf = (block, id) =>
  block.kind === 'tool'
    ? { functionCall: { id, name: block.name, args: block.args }, thoughtSignature: SIGNATURE }
    : { text: block.text, ...(block.kind === 'thinking' ? { thought: true } : {}) };

const partsOf = (plan, serial) => plan.blocks.filter(b => b.kind !== 'redacted').map((b, i) => partOf(b, `fc_mock${serial}_${i}`));

export const whole = (body, plan, serial) => chunk(body, serial, partsOf(plan, serial), 'STOP');

export function events(body, plan, serial) {
  const flat = partsOf(plan, serial).flatMap(p =>
    p.text === undefined ? [p] : [...pieces(p.text, 8)].map(text => ({ ...p, text })),
  );
  return flat.map((p, i) => ({ data: chunk(body, serial, [p], i === flat.length - 1 ? 'STOP' : undefined) }));
}

export const streamError = () => ({ data: error(503, 'mock overloaded') });

const STATES = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  529: 'UNAVAILABLE',
};

export const error = (status, message) => ({ error: { code: status, message, status: STATES[status] ?? 'UNKNOWN' } });

const model = id => ({
  name: 'models/' + id,
  version: '001',
  displayName: id,
  description: 'mock',
  inputTokenLimit: 200000,
  outputTokenLimit: 8192,
  supportedGenerationMethods: ['generateContent', 'countTokens'],
});
export const oneModel = model;
export const models = ids => ({ models: ids.map(model) });
