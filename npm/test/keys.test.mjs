// Data keys: held, shared, counted, given up.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { SingleFlight } from '../dist/single-flight.js';
import { withDeadline } from '../dist/deadline.js';
import { Peer } from './peer.mjs';
import { asked, connected, until } from './stage.mjs';

const context = { album: 'summer' };

const delivered = (peer) => asked(peer, '/deliver-data-key').length;
const unsealed = (peer) => asked(peer, '/unseal-data-key').length;

test('messages of one key and context share a data key, in whichever order they come', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const encrypt = (pairs) => client.encrypt(Buffer.from('x'), { key: 'photos', context: pairs });
  await Promise.all(Array.from({ length: 20 }, () => encrypt(context)));
  await encrypt(context);
  assert.equal(delivered(peer), 1);
  for (const other of [{}, { album: 'winter' }, { album: '' }, { albumsummer: '' }, { album: 'summer', a: '' }]) await encrypt(other);
  assert.equal(delivered(peer), 6);
  await encrypt(context);
  await client.encrypt(Buffer.from('x'), { key: 'letters', context });
  assert.equal(delivered(peer), 7);
});

test('no two messages under one data key have a key or an id in common', async (t) => {
  const client = await connected(t, new Peer());
  const messages = await Promise.all(Array.from({ length: 50 }, () => client.encrypt(Buffer.alloc(100), { key: 'photos' })));
  assert.equal(new Set(messages.map((message) => client.inspect(message).messageId)).size, 50);
  assert.equal(new Set(messages.map((message) => Buffer.from(message).subarray(-60).toString('hex'))).size, 50);
});

test('a data key encrypts so many messages and no more, also when they come at once', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer, { cache: { maxMessages: 3 } });
  await Promise.all(Array.from({ length: 10 }, () => client.encrypt(Buffer.from('x'), { key: 'photos' })));
  assert.equal(delivered(peer), 4);
  for (let more = 0; more < 3; more += 1) await client.encrypt(Buffer.from('x'), { key: 'photos' });
  assert.equal(delivered(peer), 5);
});

test('a data key encrypts so many bytes and no more, and a larger message has one of its own', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer, { cache: { maxBytes: 1000 } });
  for (const size of [400, 600, 1]) await client.encrypt(Buffer.alloc(size), { key: 'photos' });
  assert.equal(delivered(peer), 2);
  await client.encrypt(Buffer.alloc(1001), { key: 'photos' });
  assert.equal(delivered(peer), 3);
  await client.encrypt(Buffer.alloc(999), { key: 'photos' });
  assert.equal(delivered(peer), 3);
});

test('a data key is not used beyond its age, nor beyond its lease', async (t) => {
  const wall = Date.now;
  t.after(() => void (Date.now = wall));
  for (const options of [{ cache: { maxAgeSeconds: 100 } }, { leaseSeconds: 100 }]) {
    Date.now = wall;
    const peer = new Peer();
    const client = await connected(t, peer, options);
    const message = await client.encrypt(Buffer.from('x'), { key: 'photos' });
    await client.decrypt(message);
    Date.now = () => wall() + 90_000;
    await client.encrypt(Buffer.from('x'), { key: 'photos' });
    await client.decrypt(message);
    assert.deepEqual([delivered(peer), unsealed(peer)], [1, 1]);
    Date.now = () => wall() + 101_000;
    await client.encrypt(Buffer.from('x'), { key: 'photos' });
    await client.decrypt(message);
    assert.deepEqual([delivered(peer), unsealed(peer)], [2, 2]);
    await client.close();
  }
});

test('the cache holds so many data keys, and lets go of those used longest ago', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer, { cache: { maxEntries: 2 } });
  const encrypt = (album) => client.encrypt(Buffer.from('x'), { key: 'photos', context: { album } });
  await encrypt('a');
  await encrypt('b');
  await encrypt('a');
  const third = await encrypt('c');
  assert.equal(delivered(peer), 3);
  await encrypt('a');
  assert.equal(delivered(peer), 3);
  await encrypt('b');
  assert.equal(delivered(peer), 4);
  await client.decrypt(third);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(client.leases.current.length, 3);
});

test('without a cache every message asks', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer, { cache: false });
  const message = await client.encrypt(Buffer.from('x'), { key: 'photos' });
  await client.encrypt(Buffer.from('x'), { key: 'photos' });
  await client.decrypt(message);
  await client.decrypt(message);
  assert.deepEqual([delivered(peer), unsealed(peer)], [2, 2]);
});

test('limits that are none are refused', async (t) => {
  const peer = new Peer();
  for (const cache of [{ maxAgeSeconds: 0 }, { maxAgeSeconds: 3601 }, { maxMessages: 2 ** 32 + 1 }, { maxBytes: 0.5 }, { maxEntries: '7' }]) {
    await assert.rejects(connected(t, peer, { cache }), { code: 'invalid_argument' });
  }
  for (const options of [{ offlineGraceSeconds: 604_801 }, { offlineGraceSeconds: -1 }, { timeoutSeconds: 0 }, { leaseSeconds: 3601 }]) {
    await assert.rejects(connected(t, peer, options), { code: 'invalid_argument' });
  }
});

test('one who gives up leaves the answer to the others', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const message = await client.encrypt(randomBytes(10), { key: 'photos' });
  const reader = await connected(t, peer);
  const control = new AbortController();
  let answer;
  peer.held = new Promise((resolve) => (answer = resolve));
  const impatient = reader.decrypt(message, { signal: control.signal });
  const patient = [reader.decrypt(message), reader.decrypt(message, { signal: new AbortController().signal })];
  await until(() => unsealed(peer) === 1);
  control.abort();
  await assert.rejects(impatient, { name: 'AbortError' });
  answer();
  for (const plaintext of patient) assert.equal((await plaintext).length, 10);
  assert.equal(unsealed(peer), 1);
});

test('a flight ends when nobody waits for it any more, and the next begins anew', async () => {
  const flights = new SingleFlight();
  const begun = [];
  const begin = (signal) => {
    begun.push(signal);
    return new Promise((resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const controls = [new AbortController(), new AbortController()];
  const waiting = controls.map(({ signal }) => flights.join('a', begin, signal));
  controls[0].abort();
  await assert.rejects(waiting[0], { name: 'AbortError' });
  assert.equal(begun[0].aborted, false);
  controls[1].abort();
  await assert.rejects(waiting[1], { name: 'AbortError' });
  assert.equal(begun[0].aborted, true);
  const next = flights.join('a', async () => 'answer');
  assert.equal(await next, 'answer');
  assert.equal(begun.length, 1);
  await assert.rejects(flights.join('a', async () => { throw new Error('failed'); }), { message: 'failed' });
  assert.equal(await flights.join('a', async () => 'again'), 'again');
  await assert.rejects(flights.join('a', async () => 'never', AbortSignal.abort()), { name: 'AbortError' });
});

test('work that heeds no signal is left alone when its time is over', async () => {
  await assert.rejects(withDeadline(0.01, undefined, () => new Promise(() => undefined)), { code: 'network_timeout' });
  const control = new AbortController();
  const given = withDeadline(60, control.signal, () => new Promise(() => undefined));
  control.abort(new Error('enough'));
  await assert.rejects(given, { message: 'enough' });
  assert.equal(await withDeadline(60, undefined, async () => 7), 7);
});
