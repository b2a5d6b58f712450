// Parts of the client that decide something by themselves.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect, KeyhavenError, connect } from '@keyhaven/sdk';
import { ServerClock, moment } from '../dist/clock.js';
import { Answer } from '../dist/documents.js';
import { contextFromPairs, contextPairs, fromBase64, toBase64 } from '../dist/encoding.js';
import { serverSentEvents } from '../dist/sse.js';
import { baseOf } from '../dist/transport.js';

test('base64 round-trips and has one spelling', () => {
  for (const length of [0, 1, 2, 3, 100_000]) {
    const bytes = new Uint8Array(length).fill(200);
    assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
  }
  for (const bad of ['A', 'AQI', 'AQJ=', ' AQI=', 'A-_=', 'AQI=\n']) {
    assert.throws(() => fromBase64(bad), { code: 'answer_malformed' }, bad);
  }
});

test('no key of a context is special, and lone surrogates are refused', () => {
  const pairs = ['__proto__', 'x', 'constructor', 'y'];
  assert.deepEqual(contextPairs(contextFromPairs(pairs)), pairs);
  for (const context of [{ '\udc00': 'x' }, { x: 'a\ud800b' }, { x: 7 }]) {
    assert.throws(() => contextPairs(context), { code: 'context_malformed' });
  }
  assert.deepEqual(contextPairs({ smile: '😀' }), ['smile', '😀']);
});

test('answers are believed field by field', () => {
  const answer = new Answer(JSON.parse('{"text":"a","number":7,"bytes":"AQI=","__proto__":{"hidden":"x"}}'));
  assert.equal(answer.text('text'), 'a');
  assert.equal(answer.number('number'), 7);
  assert.deepEqual(answer.bytes('bytes'), new Uint8Array([1, 2]));
  for (const wrong of ['missing', 'number', 'hidden', 'toString']) {
    assert.throws(() => answer.text(wrong), { code: 'answer_malformed' }, wrong);
  }
  for (const document of [null, [], 'text', 7]) {
    assert.throws(() => new Answer(document), { code: 'answer_malformed' });
  }
  for (const number of [-1, 1.5, 2 ** 60, '7']) {
    assert.throws(() => new Answer({ number }).number('number'), { code: 'answer_malformed' });
  }
});

test('events are read however they are cut', async () => {
  const text = ': comment\nevent: hello\ndata: 1\n\nevent: lease\r\nid: 4\r\ndata: a\r\n\r\ndata:b\n\n';
  for (const size of [1, 2, 3, 7, 1000]) {
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, at) => Buffer.from(text.slice(at * size, at * size + size)));
    const events = [];
    for await (const event of serverSentEvents(ReadableStream.from(pieces))) events.push(event);
    assert.deepEqual(events.filter(({ data }) => data), [
      { event: 'hello', data: '1', id: undefined }, { event: 'lease', data: 'a', id: '4' }, { event: 'message', data: 'b', id: '4' },
    ], `in pieces of ${size}`);
  }
  const endless = ReadableStream.from((function* () { for (;;) yield Buffer.alloc(100_000, 97); })());
  for await (const _ of serverSentEvents(endless)) assert.fail('an overlong line is no event');
});

test('the clock follows proven time and is never set back', (t) => {
  const clock = new ServerClock();
  assert.equal(clock.now(), 0);
  const start = moment();
  clock.observe(1_000_000, start);
  assert.ok(clock.now() >= 1_000_000 && clock.now() < 1_010_000);
  clock.observe(500_000, moment());
  assert.ok(clock.now() >= 1_000_000, 'an older answer does not count');
  const wall = Date.now;
  t.after(() => void (Date.now = wall));
  Date.now = () => wall() - 86_400_000;
  assert.ok(clock.now() >= 1_000_000, 'nor does a wall clock set back');
  Date.now = () => wall() + 86_400_000;
  assert.ok(clock.now() >= 1_000_000 + 86_400_000, 'one set forward, or a machine that slept, ends leases');
});

test('the server\'s address is an address', () => {
  assert.equal(baseOf('https://keys.example'), 'https://keys.example');
  assert.equal(baseOf('https://keys.example/relay/'), 'https://keys.example/relay');
  for (const bad of ['', 'keys.example', 'ftp://keys.example', 'https://user@keys.example', 'https://keys.example/?a=b', 'https://keys.example/#a']) {
    assert.throws(() => baseOf(bad), { code: 'invalid_argument' }, bad);
  }
});

test('nonsense is refused with a code', async () => {
  const options = { url: 'https://keys.example', ticket: async () => '', enrolment: async () => 'two\r\nlines' };
  await assert.rejects(connect({ ...options, issuer: 'x' }), { code: 'invalid_argument' });
  await assert.rejects(connect({ ...options, leaseSeconds: 3601 }), { code: 'invalid_argument' });
  await assert.rejects(connect({ ...options, storage: 'indexeddb' }), { code: 'storage_unavailable' });
  await assert.rejects(inspect(new Uint8Array(100)), KeyhavenError);
  assert.equal(await inspect(new Uint8Array(0)), undefined);
});

test('a server that cannot be reached is a network error', async () => {
  const fetch = async () => { throw new TypeError('fetch failed'); };
  const options = { url: 'https://keys.example', ticket: async () => 'a', enrolment: async () => 'a.b.c', fetch };
  await assert.rejects(connect(options), { name: 'NetworkError', code: 'network_failed' });
});

test('answers that are no documents, or never end, are refused', async () => {
  const connecting = (body, init) =>
    connect({ url: 'https://keys.example', ticket: async () => 'a', enrolment: async () => 'a.b.c', fetch: async () => new Response(body, init) });
  await assert.rejects(connecting('<html>'), { code: 'answer_malformed' });
  await assert.rejects(connecting('[]'), { code: 'answer_malformed' });
  await assert.rejects(connecting('{"device":"other"}'), { code: 'answer_malformed' });
  await assert.rejects(connecting('<html>', { status: 502 }), { code: 'http_error', status: 502 });
  const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(32)) });
  await assert.rejects(connecting(endless), { name: 'NetworkError' });
});

test('a signal ends a stream of events, though the platform does not', async () => {
  const stop = new AbortController();
  const silent = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode('event: hello\n\n')) });
  const events = [];
  for await (const { event } of serverSentEvents(silent, stop.signal)) {
    events.push(event);
    setTimeout(() => stop.abort());
  }
  assert.deepEqual(events, ['hello']);
});

test('in a page the server may be a path of its own origin', (t) => {
  assert.throws(() => baseOf('/keyhaven'), { code: 'invalid_argument' }, 'there is no page');
  globalThis.location = new URL('https://app.example/letters/?open=1#top');
  t.after(() => delete globalThis.location);
  assert.equal(baseOf('/keyhaven/'), 'https://app.example/keyhaven');
  for (const bad of ['', 'keys.example', '/keyhaven?a=b']) assert.throws(() => baseOf(bad), { code: 'invalid_argument' }, bad);
});
