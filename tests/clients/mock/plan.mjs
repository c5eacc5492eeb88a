// What the mock answers: a plan is {blocks, stop?, usage?}, the same for every dialect.
// Blocks: {kind:'text', text} {kind:'thinking', text, signature} {kind:'redacted', data} {kind:'tool', name, args, id?}.

export const FINAL = 'MOCK-FINAL-ANSWER-7319';

// Signatures that this mock hands out, and the only ones that it takes back.
export const SIGNATURE = 'c2lnLW1vY2stNzMxOQ==';

// Tools that a coding agent runs without asking, the likeliest first.
const PREFERRED = [
  'Bash', 'bash', 'exec_command', 'shell_command', 'shell', 'local_shell', 'run_shell_command', 'execute_command',
  'run_commands', 'list_directory', 'LS', 'ls', 'list', 'Glob', 'glob', 'list_files', 'Read', 'read', 'read_file',
  'get_weather',
];

const typeOf = schema => String(Array.isArray(schema?.type) ? schema.type[0] : (schema?.type ?? '')).toLowerCase();

// An object that satisfies a JSON schema, every property filled.
export function fillAll(schema, text = FINAL) {
  const out = {};
  for (const [name, property] of Object.entries(schema?.properties ?? {})) {
    const type = typeOf(property);
    if (property.enum) out[name] = property.enum[0];
    else if (type === 'number' || type === 'integer') out[name] = 1;
    else if (type === 'boolean') out[name] = false;
    else if (type === 'array') out[name] = [];
    else if (type === 'object') out[name] = fillAll(property, text);
    else out[name] = text;
  }
  return out;
}

// Arguments that do no harm when a real agent runs them: required ones only, commands are `echo hi`.
export function fillHarmless(schema, depth = 0) {
  const out = {};
  const required = new Set(schema?.required ?? []);
  const here = process.env.MOCK_CWD || '/tmp';
  for (const [name, property] of Object.entries(schema?.properties ?? {})) {
    const type = typeOf(property);
    if (name === 'command' || name === 'cmd') out[name] = type === 'array' ? ['bash', '-lc', 'echo hi'] : 'echo hi';
    else if (name === 'commands') out[name] = ['echo hi'];
    else if (!required.has(name)) continue;
    else if (property?.enum) out[name] = property.enum[0];
    else if (/path|dir/i.test(name)) out[name] = type === 'array' ? [here] : here;
    else if (name === 'pattern') out[name] = '*';
    else if (type === 'string') out[name] = name === 'city' || name === 'location' ? 'Paris' : 'say hi';
    else if (type === 'number' || type === 'integer') out[name] = 1;
    else if (type === 'boolean') out[name] = false;
    else if (type === 'array') out[name] = [];
    else if (type === 'object' && depth < 3) out[name] = fillHarmless(property, depth + 1);
  }
  return out;
}

export const text = value => ({ blocks: [{ kind: 'text', text: value }] });

// One call of `tool`, {name, schema, kind?}.
export const call = (tool, args) => ({ blocks: [{ kind: 'tool', name: tool.name, args, toolKind: tool.kind }] });

// The plan of a request by its facts: {tools, hadResult, forced (a tool's name, or true for any), schema, jsonObject}.
export function choose(facts, scenario) {
  const { tools, hadResult, forced, schema, jsonObject } = facts;
  if (schema) return text(JSON.stringify(fillAll(schema)));
  if (forced && tools.length) {
    const tool = tools.find(t => t.name === forced) ?? tools[0];
    return call(tool, fillAll(tool.schema));
  }
  if (jsonObject) return text(JSON.stringify({ answer: FINAL }));
  if (scenario === 'tool' && tools.length && !hadResult) {
    const tool = PREFERRED.map(name => tools.find(t => t.name === name)).find(Boolean) ?? tools[0];
    return call(tool, fillHarmless(tool.schema));
  }
  return text(FINAL);
}

export const kindOf = plan => {
  const tools = plan.blocks.filter(b => b.kind === 'tool');
  return tools.length ? 'tool:' + tools.map(t => t.name).join(',') : 'text';
};

export const textOf = plan => plan.blocks.filter(b => b.kind === 'text').map(b => b.text).join('');

export function* pieces(string, size) {
  const points = Array.from(string);
  for (let i = 0; i < points.length; i += size) yield points.slice(i, i + size).join('');
}
