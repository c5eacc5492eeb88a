// What the scripts of SDKs share: node sdk-X.mjs BASE_URL [KEY], with CLIENTS_INST naming the folder of install.sh.
// Prints a line a step: PASS, FAIL or LEFT OUT, tab, name, tab, milliseconds, tab, details. Exit code 1 if a step failed.
// LEFT_OUT is a JSON list of {method, path (a regular expression), why}: a request to such an endpoint is not sent, and the
// step that tried it counts as left out. So what is left out follows from the endpoint, not from a list of steps.
import fs from 'node:fs';
import { pathToFileURL } from 'node:url';

export const BASE = (process.argv[2] ?? '').replace(/\/$/, '');
export const KEY = process.argv[3] ?? 'sk-test-not-a-secret';
export const MODEL = process.env.MODEL || 'mock-model';
export const EXPECT = process.env.EXPECT ?? 'MOCK-FINAL-ANSWER-7319';
const INST = process.env.CLIENTS_INST;
if (!BASE || !INST) {
  console.error('usage: CLIENTS_INST=DIR node sdk-X.mjs BASE_URL [KEY]');
  process.exit(2);
}

const leftOut = JSON.parse(process.env.LEFT_OUT || '[]').map(r => ({ ...r, path: new RegExp(r.path) }));
let reason = null;
const realFetch = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  const method = init?.method ?? (input instanceof Request ? input.method : 'GET');
  const rule = leftOut.find(r => r.method === method && r.path.test(url.pathname));
  if (!rule) return realFetch(input, init);
  reason = `${method} ${url.pathname}: ${rule.why}`;
  const body = JSON.stringify({ error: { message: 'left out by the test runner', code: 404, status: 'NOT_FOUND' } });
  return new Response(body, { status: 404, headers: { 'content-type': 'application/json' } });
};

// Imports an ES module of the install folder, by the package's own export map.
export async function load(name) {
  const parts = name.split('/');
  const packageName = parts.splice(0, name.startsWith('@') ? 2 : 1).join('/');
  const dir = `${INST}/sdk/node_modules/${packageName}`;
  const about = JSON.parse(fs.readFileSync(dir + '/package.json'));
  const sub = parts.length ? './' + parts.join('/') : '.';
  const pick = x => {
    if (!x || typeof x === 'string') return x ?? null;
    if (Array.isArray(x)) return pick(x[0]);
    return pick(x.node?.import ?? x.import ?? x.node ?? x.default);
  };
  const file = pick(about.exports?.[sub] ?? (sub === '.' ? about.exports : null)) ?? about.module ?? about.main;
  return import(pathToFileURL(`${dir}/${file}`));
}

const counts = { PASS: 0, FAIL: 0, 'LEFT OUT': 0 };
function report(verdict, name, started, detail) {
  counts[verdict]++;
  const line = String(detail).replace(/\s+/g, ' ').slice(0, 400);
  console.log([verdict, name, Date.now() - started, line].join('\t'));
}

// Runs one step: its answer as text must hold `expect`, by default the mock's final answer.
export async function step(name, run, expect = EXPECT) {
  if (process.env.ONLY && !process.env.ONLY.split(',').includes(name)) return;
  const started = Date.now();
  reason = null;
  let verdict, detail;
  try {
    const answer = await run();
    detail = (typeof answer === 'string' ? answer : JSON.stringify(answer)) ?? '';
    verdict = detail.includes(expect) ? 'PASS' : 'FAIL';
    if (verdict === 'FAIL') detail = `expected ${expect}, got ${detail}`;
  } catch (e) {
    verdict = 'FAIL';
    const cause = e?.cause ? ` cause=${e.cause.message ?? e.cause}` : '';
    detail = `${e?.constructor?.name}: ${e?.message} ${e?.status ?? e?.statusCode ?? ''}${cause}`;
  }
  if (reason) report('LEFT OUT', name, started, reason);
  else report(verdict, name, started, detail);
}

export function done() {
  console.log(`# ${counts.PASS} passed, ${counts.FAIL} failed, ${counts['LEFT OUT']} left out`);
  process.exit(counts.FAIL ? 1 : 0);
}
