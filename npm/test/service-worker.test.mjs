// What a `Range` header asks for (RFC 9110 §14), and the answers of the Service Worker's helper.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { connect } from '@keyhaven/sdk';
import { DecryptedFiles } from '@keyhaven/sdk/service-worker';
import { askedRange } from '../dist/byte-range.js';
import { Peer } from './peer.mjs';

test('a range is read as a server reads it', () => {
  const cases = [
    [null, 100, 'whole'], ['', 100, 'whole'], ['bytes=-', 100, 'whole'], ['lines=0-1', 100, 'whole'], ['bytes=5-4', 100, 'whole'],
    ['bytes=0-9,20-29', 100, 'whole'], ['bytes=0x1-2', 100, 'whole'], ['bytes=1-1e3', 100, 'whole'], ['bytes=9999999999999999-', 100, 'whole'],
    ['bytes=0-', 100, { from: 0, to: 100 }], ['bytes=0-0', 100, { from: 0, to: 1 }], ['bytes=99-', 100, { from: 99, to: 100 }],
    ['bytes=10-19', 100, { from: 10, to: 20 }], ['bytes=90-200', 100, { from: 90, to: 100 }], ['bytes=-10', 100, { from: 90, to: 100 }],
    ['bytes=-200', 100, { from: 0, to: 100 }],
    ['bytes=100-', 100, 'unsatisfiable'], ['bytes=100-50', 100, 'whole'], ['bytes=-0', 100, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'], ['bytes=-5', 0, 'unsatisfiable'],
  ];
  for (const [header, size, expected] of cases) assert.deepEqual(askedRange(header, size), expected, header);
});

const FILE = randomBytes(300_000);
const SEALED = { key: 'photos', context: { file: '7' } };
const peer = new Peer();
/** What the store has, by its path; `cut` ends an answer early, `deaf` knows no ranges. */
const objects = new Map();
let server;
let store;
let sealed;

before(async () => {
  server = createServer((request, response) => {
    const { bytes, status = 200, cut, deaf } = objects.get(request.url) ?? { bytes: Buffer.alloc(0), status: 404, deaf: true };
    const [, first, last] = (!deaf && /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')) || [];
    const part = first === undefined ? bytes : bytes.subarray(Number(first), Number(last) + 1);
    const headers = { 'content-length': part.length, ...(first && { 'content-range': `bytes ${first}-${last}/${bytes.length}` }) };
    response.writeHead(first === undefined ? status : 206, headers);
    if (cut === undefined || first !== undefined) return void response.end(part);
    response.write(part.subarray(0, cut), () => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  store = `http://127.0.0.1:${server.address().port}`;
  const writer = await client();
  sealed = await writer.encrypt(FILE, SEALED);
  const empty = await writer.encrypt(new Uint8Array(), SEALED);
  await writer.close();
  objects.set('/files/7', { bytes: sealed }).set('/files/empty', { bytes: empty });
});
after(() => server.close());

const client = () => connect({ url: 'https://keys.example', ticket: async () => 'a.b', enrolment: async () => 'a.b', issuer: peer.issuer, fetch: peer.fetch });

/** Serves the object of that name, by clients that are closed with the test. */
function filesOf(t, name = '7', more = {}) {
  const connected = [];
  const failures = [];
  const files = new DecryptedFiles({
    async client() {
      connected.push(await client());
      return connected.at(-1);
    },
    find: (request) => (request.url.includes('/media/') ? { url: `${store}/files/${name}`, type: 'video/webm', context: { file: '7' } } : undefined),
    onFailure: (failure) => failures.push(failure),
    ...more,
  });
  t.after(() => files.close());
  return Object.assign(files, { connected, failures });
}

const asking = (headers = {}, method = 'GET') => new Request('https://app.example/media/7', { headers, method });
/** As the browser does it: gives the event, and takes the answer. */
const answered = async (files, request = asking()) => {
  let answer;
  const handled = files.handle({ request, clientId: '', respondWith: (given) => (answer = given) });
  return handled ? answer : undefined;
};
const bytesOf = async (answer) => Buffer.from(await answer.arrayBuffer());
const unseals = () => peer.requests.filter(({ path }) => path.endsWith('/unseal-data-key')).length;

test('a file is served whole, or the part that is asked for, and kept by no cache', async (t) => {
  const files = filesOf(t);
  const whole = await answered(files);
  assert.deepEqual([whole.status, whole.headers.get('content-length'), whole.headers.get('accept-ranges')], [200, '300000', 'bytes']);
  assert.ok((await bytesOf(whole)).equals(FILE));
  const part = await answered(files, asking({ range: 'bytes=123456-223455' }));
  assert.deepEqual([part.status, part.headers.get('content-range')], [206, 'bytes 123456-223455/300000']);
  assert.ok((await bytesOf(part)).equals(FILE.subarray(123_456, 223_456)));
  const end = await answered(files, asking({ range: 'bytes=-1' }));
  assert.ok((await bytesOf(end)).equals(FILE.subarray(-1)));
  const head = await answered(files, asking({}, 'HEAD'));
  assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '300000', '']);
  for (const answer of [whole, part, end, head]) {
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.equal(answer.headers.get('content-type'), 'video/webm');
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    assert.match(answer.headers.get('content-security-policy'), /^sandbox;/);
  }
  assert.deepEqual(files.failures, []);
});

test('the length is told rightly for every file, framed as it may be', async (t) => {
  const writer = await client();
  t.after(() => writer.close());
  for (const length of [0, 1, 4095, 4096, 65_536, 262_143, 262_144, 262_145, 524_288, 1_048_576, 1_048_577, 2_100_000]) {
    objects.set('/files/sized', { bytes: await writer.encrypt(new Uint8Array(length), SEALED) });
    const answer = await answered(filesOf(t, 'sized'));
    assert.equal(answer.headers.get('content-length'), String(length));
    assert.equal((await bytesOf(answer)).length, length);
  }
});

test('a store that knows no ranges does as well', async (t) => {
  objects.set('/files/deaf', { bytes: sealed, deaf: true });
  const part = await answered(filesOf(t, 'deaf'), asking({ range: 'bytes=1000-1999' }));
  assert.deepEqual([part.status, (await bytesOf(part)).equals(FILE.subarray(1000, 2000))], [206, true]);
});

test('a part that is not there, a stale part and another method are refused as HTTP says', async (t) => {
  const files = filesOf(t);
  const beyond = await answered(files, asking({ range: 'bytes=300000-' }));
  assert.deepEqual([beyond.status, beyond.headers.get('content-range')], [416, 'bytes */300000']);
  const nothing = await answered(filesOf(t, 'empty'), asking({ range: 'bytes=0-' }));
  assert.deepEqual([nothing.status, nothing.headers.get('content-range')], [416, 'bytes */0']);
  const stale = await answered(files, asking({ range: 'bytes=0-9', 'if-range': '"v1"' }));
  assert.deepEqual([stale.status, (await bytesOf(stale)).length], [200, 300_000]);
  const put = await answered(files, asking({}, 'PUT'));
  assert.deepEqual([put.status, put.headers.get('allow')], [405, 'GET, HEAD']);
});

test('other requests take their usual way, and connect nothing', async (t) => {
  const files = filesOf(t);
  assert.equal(await answered(files, new Request('https://app.example/page')), undefined);
  assert.deepEqual(files.connected, []);
});

test('many requests for a file cost one client and one data key; after a lease ended, another', async (t) => {
  const files = filesOf(t);
  const began = unseals();
  const ask = async () => bytesOf(await answered(files, asking({ range: 'bytes=0-9' })));
  await ask();
  await Promise.all([ask(), ask(), ask()]);
  assert.deepEqual([files.connected.length, unseals() - began], [1, 1]);
  const [served] = files.connected;
  const ended = new Promise((resolve) => served.leases.addEventListener('leaseended', resolve, { once: true }));
  peer.stopKey();
  await ended;
  await ask();
  assert.deepEqual([files.connected.length, unseals() - began], [1, 2]);
  await files.close();
  await ask();
  assert.equal(files.connected.length, 2, 'a closed client is connected anew');
});

/** Why a file cannot be opened: how that comes, the status, the code. */
const REFUSALS = [
  ['the key may not be used', () => (peer.refuse = 'access_denied'), 403, 'access_denied'],
  ['the file is not there', () => objects.delete('/files/odd'), 504, 'file_unavailable'],
  ['it is no message', () => objects.set('/files/odd', { bytes: Buffer.alloc(5000, 9) }), 501, 'message_unsupported'],
  ['it is cut off in its header', () => objects.set('/files/odd', { bytes: sealed.subarray(0, 50) }), 502, 'message_truncated'],
  ['its first frame was changed', () => objects.set('/files/odd', { bytes: changedAt(600) }), 502, 'message_refused'],
  ['it is about another file', () => objects.set('/files/odd', { bytes: foreign }), 502, 'context_mismatch'],
];
let foreign;
const changedAt = (place) => {
  const changed = Buffer.from(sealed);
  changed[place] ^= 1;
  return changed;
};
for (const [why, arrange, status, code] of REFUSALS) {
  test(`${why}: the answer says so, and the page hears it`, async (t) => {
    const writer = await client();
    foreign = await writer.encrypt(FILE, { key: 'photos', context: { file: '8' } });
    await writer.close();
    objects.set('/files/odd', { bytes: sealed });
    arrange();
    t.after(() => (peer.refuse = undefined));
    const files = filesOf(t, 'odd');
    const answer = await answered(files);
    assert.deepEqual([answer.status, answer.headers.get('content-type'), answer.headers.get('cache-control')], [status, 'application/problem+json', 'no-store']);
    assert.match((await answer.json()).code, new RegExp(code));
    assert.deepEqual(files.failures.map(({ type, url }) => [type, url]), [['keyhaven-failure', 'https://app.example/media/7']]);
    assert.match(files.failures[0].code, new RegExp(code));
  });
}

test('a client that cannot be had is an answer, too, and is asked for again', async (t) => {
  const files = filesOf(t, '7', { client: () => (tries += 1) === 1 ? Promise.reject(new TypeError('a bug')) : client() });
  let tries = 0;
  assert.deepEqual([(await answered(files)).status, files.failures[0].code], [500, 'failed']);
  assert.equal((await answered(files)).status, 200);
});

for (const [how, object, code] of [
  ['breaks off', () => ({ bytes: sealed, cut: 250_000 }), /./],
  ['was cut off at a frame', () => ({ bytes: sealed, cut: sealed.length - 40 }), /./],
  ['has a changed frame', () => ({ bytes: changedAt(sealed.length - 100) }), /message_refused/],
]) {
  test(`a file that ${how} ends with an error, never as a shorter file`, async (t) => {
    const posted = [];
    globalThis.clients = { get: async (id) => ({ postMessage: (data) => posted.push([id, data.code]) }) };
    t.after(() => delete globalThis.clients);
    objects.set('/files/broken', object());
    const files = filesOf(t, 'broken');
    const answer = await files.respond(asking(), { url: `${store}/files/broken`, type: 'video/webm', context: { file: '7' } }, 'page-1');
    if (answer.status === 200) await assert.rejects(bytesOf(answer));
    else assert.equal(answer.headers.get('content-type'), 'application/problem+json');
    assert.equal(files.failures.length, 1);
    assert.match(files.failures[0].code, code);
    assert.deepEqual(posted, [['page-1', files.failures[0].code]]);
  });
}

test('a page that stops reading stops the decryption', async (t) => {
  const answer = await answered(filesOf(t));
  const reader = answer.body.getReader();
  assert.ok((await reader.read()).value.length > 0);
  await reader.cancel();
});
