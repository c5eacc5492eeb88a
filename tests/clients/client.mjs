// What the scripts of SDKs share: node sdk-X.mjs BASE_URL [KEY], with CLIENTS_INST naming the folder of install.sh.
// Prints a line a step: PASS or FAIL, tab, name, tab, milliseconds, tab, details. Exit code 1 if a step failed.
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

const counts = { PASS: 0, FAIL: 0 };
function report(verdict, name, started, detail) {
  counts[verdict]++;
  const line = String(detail).replace(/\s+/g, ' ').slice(0, 400);
  console.log([verdict, name, Date.now() - started, line].join('\t'));
}

// Runs one step: its answer as text must hold `expect`, by default the mock's final answer.
export async function step(name, run, expect = EXPECT) {
  if (process.env.ONLY && !process.env.ONLY.split(',').includes(name)) return;
  const started = Date.now();
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
  report(verdict, name, started, detail);
}

export function done() {
  console.log(`# ${counts.PASS} passed, ${counts.FAIL} failed`);
  process.exit(counts.FAIL ? 1 : 0);
}
