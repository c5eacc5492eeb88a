// A mock upstream of four LLM API dialects on loopback, with the vendors' own rules for requests (mock/rules.mjs).
// Node's standard library only.
//
//   node mock.mjs [--port N] [--portfile F] [--dialects chat,anthropic,responses,gemini] [--scen text|tool]
//                 [--fail KIND:N[:RETRY_AFTER[:stream]]] [--omit a,b] [--models a,b] [--keys a,b] [--no-rules]
//                 [--tls-cert F --tls-key F] [--cap DIR]
//
// KIND of a failure: an HTTP status; drop (socket closed before a byte), midstream (socket closed in mid stream),
//   sseerror (error event in the stream), eof (clean end without the terminal event), hang (no answer), stall (stream stops).
//   N: how many generation requests fail, 0 for all.
// --omit leaves out events (`ping`), the terminal marker (`done`), `eventlines`, `usage`, `count_tokens`, `models`.
// --keys: the secrets that are taken; without it any, but one must be there.
// With a certificate the same server answers CONNECT by a tunnel to its own TLS side: a proxy whose every host is the mock.
//
// Control, for tests:
//   GET    /__mock/requests    what was asked since the last reset: [{method, path, query, headers, body, bytes, status, note}]
//   DELETE /__mock/requests    forget it, and all queued answers and failures
//   POST   /__mock/answers     [{blocks, stop?, usage?}…]: plans for the next generation requests, in turn (mock/plan.mjs)
//   POST   /__mock/fail        {kind, times, retry_after?, stream_only?, message?}: the next `times` generation requests fail
//   POST   /__mock/scenario    {scenario: "text"|"tool"}
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import zlib from 'node:zlib';
import * as anthropic from './mock/anthropic.mjs';
import * as chat from './mock/chat.mjs';
import * as gemini from './mock/gemini.mjs';
import * as responses from './mock/responses.mjs';
import { choose, kindOf } from './mock/plan.mjs';
import { broken, secretOf } from './mock/rules.mjs';

const DIALECTS = { anthropic, chat, gemini, responses };

function option(name, otherwise) {
  const i = process.argv.indexOf('--' + name);
  return i < 0 ? otherwise : process.argv[i + 1];
}
const list = value => (value ?? '').split(',').filter(Boolean);

const spoken = new Set(list(option('dialects', 'chat,anthropic,responses,gemini')));
const omitted = new Set(list(option('omit', '')));
const models = list(option('models', 'mock-model,claude-sonnet-4-5,gpt-4.1,gpt-5.1,gemini-2.5-pro,vendor/some-model'));
const keys = new Set(list(option('keys', '')));
const checkRules = !process.argv.includes('--no-rules');
const captureDir = option('cap', '');
if (captureDir) fs.mkdirSync(captureDir, { recursive: true });

const state = { serial: 0, scenario: option('scen', 'text'), requests: [], answers: [], fail: null };

function setFail(text) {
  if (!text) return;
  const [kind, times, retryAfter, where] = text.split(':');
  state.fail = { kind, left: Number(times || 0) || Infinity, retryAfter, streamOnly: where === 'stream' };
}
setFail(option('fail', ''));

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

function sendJson(res, status, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    'x-request-id': 'req_mock',
    'request-id': 'req_mock',
    ...headers,
  });
  res.end(body);
}

// ---- what is remembered of a request

const SECRET = new Set(['authorization', 'x-api-key', 'x-goog-api-key', 'api-key', 'cookie', 'proxy-authorization']);
const mask = (name, value) => (SECRET.has(name) ? value.replace(/^(Bearer |Basic )?.*$/i, '$1<masked>') : value);

function remember(req, url, body, bytes) {
  const headers = Object.fromEntries(Object.entries(req.headers).map(([k, v]) => [k, mask(k, String(v))]));
  const query = url.search.replace(/([?&]key=)[^&]*/g, '$1<masked>');
  const record = { method: req.method, path: url.pathname, query, headers, body, bytes, status: null, note: '' };
  state.requests.push(record);
  if (captureDir) {
    const file = String(state.requests.length).padStart(3, '0') + '.json';
    fs.writeFileSync(path.join(captureDir, file), JSON.stringify(record, null, 1));
  }
  return record;
}

// ---- generation

function keptEvents(events) {
  const kept = events.filter(
    e => !omitted.has(e.event) && !(e.done && omitted.has('done')) && !(e.usageChunk && omitted.has('usage')),
  );
  for (const e of kept) {
    if (omitted.has('stop_reason') && e.event === 'message_delta') delete e.data.delta.stop_reason;
    if (omitted.has('finish_reason') && e.data?.choices?.[0]) e.data.choices[0].finish_reason = null;
  }
  return kept;
}

const frame = e => e.raw ?? (e.event && !omitted.has('eventlines') ? `event: ${e.event}\n` : '') + `data: ${JSON.stringify(e.data)}\n\n`;

async function sendStream(res, dialect, events, failure) {
  res.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-request-id': 'req_mock',
    'request-id': 'req_mock',
  });
  const count = failure ? Math.max(1, Math.floor(events.length / 2)) : events.length;
  for (let i = 0; i < count; i++) {
    res.write(frame(events[i]));
    if (i % 3 === 0) await sleep(2);
  }
  if (failure === 'midstream') {
    await sleep(20);
    return res.destroy();
  }
  if (failure === 'stall') return;
  if (failure === 'sseerror') res.write(frame(DIALECTS[dialect].streamError()));
  res.end();
}

function nextFailure(streaming) {
  const f = state.fail;
  if (!f || (f.streamOnly && !streaming)) return null;
  if (--f.left <= 0) state.fail = null;
  return f;
}

async function generate(res, record, dialect, body, streaming) {
  const side = DIALECTS[dialect];
  const failure = nextFailure(streaming);
  if (failure && /^\d+$/.test(failure.kind)) {
    const status = Number(failure.kind);
    record.status = status;
    const headers = failure.retryAfter ? { 'retry-after': failure.retryAfter } : {};
    return sendJson(res, status, side.error(status, failure.message ?? `mock error ${status}`), headers);
  }
  if (failure) record.note = failure.kind;
  if (failure?.kind === 'drop') return res.socket.destroy();
  if (failure?.kind === 'hang') return;
  if (body.thread) {
    // A stateless server's answer to which the SDK reacts by sending the whole conversation.
    const refusal = side.error(400, 'This request cannot be threaded (mock)');
    refusal.error.details = { error_code: 'thread_unsupported_request', unsupported: ['provider'] };
    record.status = 400;
    return sendJson(res, 400, refusal);
  }
  const plan = state.answers.shift() ?? choose(side.facts(body), state.scenario);
  const serial = ++state.serial;
  record.status = 200;
  record.note = [record.note, kindOf(plan)].filter(Boolean).join(' ');
  if (streaming) return sendStream(res, dialect, keptEvents(side.events(body, plan, serial)), failure?.kind);
  sendJson(res, 200, side.whole(body, plan, serial));
}

// Refuses what the vendor would refuse. True when the request was answered.
function refused(req, res, record, dialect, body, counting) {
  const secret = secretOf(dialect, req.headers);
  const refuse = (status, message) => {
    record.status = status;
    record.note = message;
    sendJson(res, status, DIALECTS[dialect].error(status, message));
    return true;
  };
  if (!secret) return refuse(401, 'no key (mock)');
  if (keys.size && !keys.has(secret)) return refuse(401, 'invalid key (mock)');
  const rule = checkRules ? broken(dialect, body, req.headers, counting) : null;
  return rule ? refuse(400, rule) : false;
}

// ---- routes

function shapeOfModels(req, pathname) {
  const only = spoken.size === 1 ? [...spoken][0] : null;
  if (only) return only === 'responses' ? 'chat' : only;
  if (pathname.startsWith('/v1beta') || req.headers['x-goog-api-key'] || req.headers['x-goog-api-client']) return 'gemini';
  return req.headers['anthropic-version'] ? 'anthropic' : 'chat';
}

const GENERATION = [
  ['anthropic', /\/messages$/, body => Boolean(body.stream)],
  ['chat', /\/chat\/completions$/, body => Boolean(body.stream)],
  ['responses', /\/responses$/, body => Boolean(body.stream)],
  ['gemini', /\/models\/(.+):generateContent$/, () => false],
  ['gemini', /\/models\/(.+):streamGenerateContent$/, () => true],
];

function route(req, res, url, body, record) {
  const { pathname } = url;
  const answer = (value, status = 200) => {
    record.status = status;
    sendJson(res, status, value);
  };
  if (req.method === 'POST') {
    for (const [dialect, pattern, streams] of GENERATION) {
      const match = pathname.match(pattern);
      if (!match || !spoken.has(dialect)) continue;
      if (refused(req, res, record, dialect, body)) return undefined;
      return generate(res, record, dialect, match[1] ? { ...body, model: match[1] } : body, streams(body));
    }
    if (/\/messages\/count_tokens$/.test(pathname) && spoken.has('anthropic') && !omitted.has('count_tokens')) {
      return refused(req, res, record, 'anthropic', body, true) || answer({ input_tokens: 42 });
    }
    if (/\/embeddings$/.test(pathname) && spoken.has('chat')) return answer(chat.embeddings(body));
    if (spoken.has('gemini')) {
      if (/:countTokens$/.test(pathname)) return answer({ totalTokens: 42 });
      if (/:embedContent$/.test(pathname)) return answer({ embedding: { values: [0.1, 0.25] } });
      if (/:batchEmbedContents$/.test(pathname)) return answer({ embeddings: (body.requests ?? []).map(() => ({ values: [0.1, 0.25] })) });
    }
  }
  if (req.method === 'GET' && !omitted.has('models')) {
    const shape = DIALECTS[shapeOfModels(req, pathname)];
    if (/\/models$/.test(pathname)) return answer(shape.models(models));
    const one = pathname.match(/\/models\/(.+)$/);
    if (one && models.includes(decodeURIComponent(one[1]))) return answer(shape.oneModel(decodeURIComponent(one[1])));
  }
  const dialect = pathname.includes('v1beta') ? gemini : /\/messages/.test(pathname) ? anthropic : chat;
  return answer(dialect.error(404, `Not found: ${req.method} ${pathname} (mock of ${[...spoken]})`), 404);
}

function control(req, res, url, text) {
  const value = text ? JSON.parse(text) : null;
  const at = req.method + ' ' + url.pathname.slice('/__mock'.length);
  if (at === 'GET /requests') return sendJson(res, 200, state.requests);
  if (at === 'DELETE /requests') Object.assign(state, { requests: [], answers: [], fail: null });
  else if (at === 'POST /answers') state.answers.push(...value);
  else if (at === 'POST /scenario') state.scenario = value.scenario;
  else if (at === 'POST /fail') {
    state.fail = {
      kind: String(value.kind),
      left: value.times || Infinity,
      retryAfter: value.retry_after?.toString(),
      streamOnly: Boolean(value.stream_only),
      message: value.message,
    };
  } else return sendJson(res, 404, { error: 'no such control: ' + at });
  return sendJson(res, 200, {});
}

const DECODERS = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync, br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync };

async function onRequest(req, res) {
  const chunks = [];
  req.on('error', () => {});
  for await (const chunk of req) chunks.push(chunk);
  const wire = Buffer.concat(chunks);
  const url = new URL(req.url, 'http://mock');
  if (url.pathname.startsWith('/__mock/')) return control(req, res, url, wire.toString());
  let body = {};
  let failed = null;
  try {
    const decode = DECODERS[req.headers['content-encoding']];
    const text = (decode ? decode(wire) : wire).toString('utf8');
    body = text ? JSON.parse(text) : {};
  } catch (e) {
    failed = e;
  }
  const record = remember(req, url, body, wire.length);
  res.on('close', () => {
    if (!res.writableFinished) record.note = [record.note, 'peer left early'].filter(Boolean).join(' ');
  });
  if (failed) {
    record.status = 400;
    return sendJson(res, 400, chat.error(400, 'body is not JSON: ' + failed.message));
  }
  return route(req, res, url, body, record);
}

const handler = (req, res) =>
  onRequest(req, res).catch(e => {
    console.error('mock:', e);
    if (!res.headersSent) sendJson(res, 500, chat.error(500, 'mock failed: ' + e));
    else res.destroy();
  });

const server = http.createServer(handler);
server.keepAliveTimeout = 60000;
server.on('upgrade', (req, socket) => {
  const body = JSON.stringify(chat.error(426, 'websocket not supported'));
  socket.end(
    'HTTP/1.1 426 Upgrade Required\r\ncontent-type: application/json\r\n' +
      `content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
});

let secure = null;
if (option('tls-cert')) {
  secure = https.createServer({ cert: fs.readFileSync(option('tls-cert')), key: fs.readFileSync(option('tls-key')) }, handler);
  secure.keepAliveTimeout = 60000;
  server.on('connect', (req, client, head) => {
    state.requests.push({ method: 'CONNECT', path: req.url, query: '', headers: {}, body: {}, bytes: 0, status: 200, note: '' });
    const inner = net.connect(secure.address().port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length) inner.write(head);
      inner.pipe(client).pipe(inner);
    });
    const close = () => [client, inner].forEach(s => s.destroy());
    for (const s of [client, inner]) s.on('error', close).on('close', close);
  });
}

function announce() {
  const { port } = server.address();
  if (option('portfile')) fs.writeFileSync(option('portfile'), String(port));
  console.log('listening ' + port + (secure ? ' tls ' + secure.address().port : ''));
}
const listen = () => server.listen(Number(option('port', '0')), '127.0.0.1', announce);
if (secure) secure.listen(0, '127.0.0.1', listen);
else listen();
process.on('SIGTERM', () => process.exit(0));
