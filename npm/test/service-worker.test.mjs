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
import { optionsFor } from './stage.mjs';

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
/** What it sent: paths, and how many bytes of each. */
const sent = [];
let server;
let store;
let sealed;

before(async () => {
  server = createServer((request, response) => {
    const { bytes, status = 200, cut, deaf } = objects.get(request.url) ?? { bytes: Buffer.alloc(0), status: 404, deaf: true };
    const [, first, last] = (!deaf && /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')) || [];
    const part = first === undefined ? bytes : bytes.subarray(Number(first), Number(last) + 1);
    sent.push([request.url, part.length]);
    const headers = { 'content-length': part.length, ...(first && { 'content-range': `bytes ${first}-${last}/${bytes.length}` }) };
    response.writeHead(first === undefined ? status : 206, headers);
    const whole = cut === undefined || Number(first ?? 0) + part.length <= cut;
    if (whole) return void response.end(part);
    response.write(part.subarray(0, Math.max(0, cut - Number(first ?? 0))), () => response.destroy());
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

const client = () => connect(optionsFor(peer));

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

test('to reach a part, no more is fetched than its frames, the header and the end', async (t) => {
  const writer = await client();
  t.after(() => writer.close());
  const film = randomBytes(5_000_000);
  objects.set('/files/film', { bytes: await writer.encrypt(film, SEALED) });
  const files = filesOf(t, 'film');
  const ask = async () => bytesOf(await answered(files, asking({ range: 'bytes=3000000-3000099' })));
  assert.ok((await ask()).equals(film.subarray(3_000_000, 3_000_100)));
  const bytes = () => sent.filter(([path]) => path === '/files/film').reduce((sum, [, length]) => sum + length, 0);
  assert.ok(bytes() < 600_000, `${bytes()} bytes`);
  const before = bytes();
  assert.ok((await ask()).equals(film.subarray(3_000_000, 3_000_100)));
  assert.equal(bytes(), before, 'it is still open, and its last frames are at hand');
});

test('a file that nobody reads is closed, so that its key is not renewed for nobody', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const files = filesOf(t);
  const whole = await answered(files);
  t.mock.timers.tick(31_000);
  const [served] = files.connected;
  const users = () => served.leases.current.map((lease) => lease.users);
  assert.deepEqual(users(), [2], 'the cache, and the file that is being read');
  assert.ok((await bytesOf(whole)).equals(FILE));
  t.mock.timers.tick(29_000);
  assert.deepEqual(users(), [2], 'a seek may come');
  t.mock.timers.tick(2_000);
  assert.deepEqual(users(), [1]);
  const again = await answered(files);
  await again.body.cancel();
  assert.deepEqual(users(), [2]);
  t.mock.timers.tick(31_000);
  assert.deepEqual(users(), [1], 'one that was given up counts as read');
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
  ['the file is not there', () => objects.delete('/files/odd'), 504, 'source_unavailable'],
  ['it is no message', () => objects.set('/files/odd', { bytes: Buffer.alloc(5000, 9) }), 501, 'message_unsupported'],
  ['it is cut off in its header', () => objects.set('/files/odd', { bytes: sealed.subarray(0, 50) }), 502, 'message_truncated'],
  ['its first frame was changed', () => objects.set('/files/odd', { bytes: changedAt(600) }), 502, 'message_refused'],
  ['it is about another file', () => objects.set('/files/odd', { bytes: foreign }), 502, 'context_mismatch'],
];
let foreign;
const changedAt = (place, message = sealed) => {
  const changed = Buffer.from(message);
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

/** More than is decrypted before the answer begins. */
const LONG = randomBytes(2_500_000);
for (const [how, object, status, code] of [
  ['breaks off', (long) => ({ bytes: long, cut: 1_500_000 }), 504, 'network_failed'],
  ['has no end', (long) => ({ bytes: long.subarray(0, long.length - 40) }), 502, 'message_refused'],
  ['has a changed frame at its end', (long) => ({ bytes: changedAt(long.length - 100, long) }), 502, 'message_refused'],
  ['has a changed frame further on', (long) => ({ bytes: changedAt(1_500_000, long) }), 200, 'message_refused'],
  ['breaks off, at a store that knows no ranges,', (long) => ({ bytes: long, cut: 1_500_000, deaf: true }), 504, 'network_failed'],
]) {
  test(`a file that ${how} ends with an error, never as a shorter file`, async (t) => {
    const posted = [];
    globalThis.clients = { get: async (id) => ({ postMessage: (data) => posted.push([id, data.code]) }) };
    t.after(() => delete globalThis.clients);
    const writer = await client();
    objects.set('/files/broken', object(Buffer.from(await writer.encrypt(LONG, SEALED))));
    await writer.close();
    const files = filesOf(t, 'broken');
    const answer = await files.respond(asking(), { url: `${store}/files/broken`, type: 'video/webm', context: { file: '7' } }, 'page-1');
    if (answer.status === 200) await assert.rejects(bytesOf(answer), { code });
    else assert.equal(answer.headers.get('content-type'), 'application/problem+json');
    assert.equal(answer.status, status);
    assert.deepEqual(files.failures.map((failure) => failure.code), [code]);
    assert.deepEqual(posted, [['page-1', code]]);
  });
}

test('a page that stops reading stops the decryption', async (t) => {
  const answer = await answered(filesOf(t));
  const reader = answer.body.getReader();
  assert.ok((await reader.read()).value.length > 0);
  await reader.cancel();
});
