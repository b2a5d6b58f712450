// Leases in use are renewed; others end. Time passes by hand here.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Peer } from './peer.mjs';
import * as stage from './stage.mjs';

const { asked, pass } = stage;

async function connected(t, peer, options = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() });
  const tickets = [];
  const ticket = async (want) => (tickets.push(want.operation), `ticket.${tickets.length}.jws`);
  const client = await stage.connected(t, peer, { ticket, leaseSeconds: 100, ...options });
  const heard = [];
  client.leases.addEventListener('leaseended', ({ reason }) => heard.push(reason));
  return Object.assign(client, { heard, tickets });
}

const unsealed = (peer) => asked(peer, '/unseal-data-key').length;
const delivered = (peer) => asked(peer, '/deliver-data-key').length;

/** A stream that decrypts, and has been given the beginning of a message. */
async function reading(client, message) {
  const stream = client.decryptStream();
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(message.subarray(0, 300_000)).catch(() => undefined);
  writer.closed.catch(() => undefined);
  await reader.read();
  const rest = async () => {
    writer.write(message.subarray(300_000)).catch(() => undefined);
    writer.close().catch(() => undefined);
    for (let next = await reader.read(); !next.done; next = await reader.read());
  };
  return { reader, rest };
}

test('a stream longer than its lease goes on while the server renews it, by a new ticket each time', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const message = await client.encrypt(Buffer.alloc(900_000), { key: 'photos' });
  const { rest } = await reading(client, message);
  await pass(t, 49);
  assert.equal(unsealed(peer), 1);
  await pass(t, 22);
  assert.equal(unsealed(peer), 2);
  await pass(t, 200);
  assert.ok(unsealed(peer) >= 4 && unsealed(peer) <= 6, `${unsealed(peer)} requests in 271 seconds`);
  const used = asked(peer, '/unseal-data-key').map(({ authorization }) => authorization);
  assert.equal(new Set(used).size, used.length);
  await rest();
});

test('so does one that encrypts: whoever is given the next data key may finish under the one at work', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const stream = client.encryptStream({ key: 'photos' });
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(Buffer.alloc(300_000)).catch(() => undefined);
  const pieces = [(await reader.read()).value];
  await pass(t, 250);
  assert.ok(delivered(peer) >= 4 && delivered(peer) <= 6);
  writer.close().catch(() => undefined);
  for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
  assert.equal((await client.decrypt(Buffer.concat(pieces))).length, 300_000);
});

test('when the server refuses, a stream stops at its lease\'s end, and not before', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const { reader } = await reading(client, await client.encrypt(Buffer.alloc(900_000), { key: 'photos' }));
  peer.refuse = 'access_denied';
  await pass(t, 98);
  assert.equal(unsealed(peer), 2, 'a refusal is an answer');
  assert.equal(client.leases.current.filter(({ purpose }) => purpose === 'decrypt').length, 1);
  await pass(t, 4);
  await assert.rejects(reader.read(), { name: 'LeaseEndedError', code: 'lease_expired' });
  assert.equal(client.leases.current.length, 0);
});

test('a server that does not answer is asked again, ever more often towards the end', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const { reader, rest } = await reading(client, await client.encrypt(Buffer.alloc(900_000), { key: 'photos' }));
  peer.offline = true;
  peer.events.hangUp();
  await pass(t, 97);
  const tried = unsealed(peer) - 1;
  assert.ok(tried >= 3 && tried <= 8, `${tried} attempts`);
  peer.offline = false;
  await pass(t, 30);
  assert.equal(client.leases.current.filter(({ purpose }) => purpose === 'decrypt').length, 1);
  await rest();
  assert.ok(reader);
});

test('what nobody uses is not renewed, but ends', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const message = await client.encrypt(Buffer.from('x'), { key: 'photos' });
  await client.decrypt(message);
  await pass(t, 70);
  const once = [delivered(peer), unsealed(peer)];
  await pass(t, 140);
  assert.deepEqual([delivered(peer), unsealed(peer)], once, 'what was not used since its renewal');
  assert.equal(client.leases.current.length, 0);
});

test('keys in use are renewed before they end, so that no message waits', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const message = await client.encrypt(Buffer.from('x'), { key: 'photos' });
  for (let round = 0; round < 40; round += 1) {
    const before = peer.requests.length;
    await client.decrypt(message);
    await client.encrypt(Buffer.from('x'), { key: 'photos' });
    if (round > 0) assert.equal(peer.requests.length, before, `round ${round}`);
    await pass(t, 10);
  }
  assert.ok(delivered(peer) >= 6 && delivered(peer) <= 10);
});

test('a rotation in the middle does not break a stream, and its renewal is under the new version', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const stream = client.encryptStream({ key: 'photos' });
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(Buffer.alloc(300_000)).catch(() => undefined);
  const pieces = [(await reader.read()).value];
  peer.rotateKey();
  await pass(t, 150);
  assert.equal(client.inspect(await client.encrypt(Buffer.from('x'), { key: 'photos' })).keyVersion, 2);
  writer.close().catch(() => undefined);
  for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
  assert.equal(client.inspect(Buffer.concat(pieces)).keyVersion, 1);
});

test('a name that means another key by now does not keep a stream alive', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const stream = client.encryptStream({ key: 'photos' });
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(Buffer.alloc(300_000)).catch(() => undefined);
  writer.closed.catch(() => undefined);
  await reader.read();
  peer.key = crypto.randomUUID();
  await pass(t, 102);
  await assert.rejects(reader.read(), { code: 'lease_expired' });
});

test('renewals of many clients do not come at once', async (t) => {
  const peer = new Peer();
  const times = [];
  const client = await connected(t, peer);
  const start = Date.now();
  await Promise.all(Array.from({ length: 20 }, async (_, number) => {
    const stream = client.encryptStream({ key: 'photos', context: { number: `${number}` } });
    const writer = stream.writable.getWriter();
    writer.write(Buffer.alloc(300_000)).catch(() => undefined);
    await stream.readable.getReader().read();
  }));
  for (let second = 0; second < 75; second += 1) {
    const before = delivered(peer);
    await pass(t, 1);
    for (let more = before; more < delivered(peer); more += 1) times.push((Date.now() - start) / 1000);
  }
  assert.equal(times.length, 20);
  assert.ok(Math.min(...times) >= 49 && Math.max(...times) <= 72, `${times}`);
  assert.ok(new Set(times).size >= 6, `${times}`);
});
