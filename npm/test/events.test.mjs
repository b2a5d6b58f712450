// The server's word that leases end, and whoever stands on its way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Peer } from './peer.mjs';
import { asked, connected, until } from './stage.mjs';

const now = () => Math.floor(Date.now() / 1000);
const message = Buffer.from('x');

/** A client with a lease to encrypt and one to decrypt, and what it hears. */
async function holding(t, options = {}) {
  const peer = new Peer();
  const client = await connected(t, peer, options);
  const heard = [];
  client.leases.addEventListener('leaseended', ({ reason }) => heard.push(reason));
  const open = async () => client.decrypt(await client.encrypt(message, { key: 'photos' }));
  await open();
  return { peer, client, heard, open, running: () => client.leases.current.length };
}

/** Whoever forged something is not listened to any further: a new connection tells that it was refused. */
const opened = (peer) => asked(peer, '/lease-events').length;

test('what stops a key, a device or a policy ends leases at once', async (t) => {
  for (const [act, reason] of [
    [(peer) => peer.stopKey(), 'key_stopped'],
    [(peer, client) => peer.revokeDevice(client.device), 'device_revoked'],
    [(peer) => peer.changePolicy(), 'policy_changed'],
  ]) {
    const { peer, client, heard, running } = await holding(t);
    act(peer, client);
    await until(() => running() === 0);
    assert.deepEqual(heard, [reason, reason]);
    await client.close();
  }
});

test('what concerns others, or was before the lease, ends nothing', async (t) => {
  const { peer, client, running } = await holding(t);
  peer.stopKey(now() - 100);
  const other = Buffer.from(client.device, 'base64url');
  other[0] ^= 1;
  peer.revokeDevice(other.toString('base64url'));
  const key = peer.key;
  peer.key = crypto.randomUUID();
  peer.stopKey();
  peer.rotateKey();
  peer.key = key;
  await settled();
  assert.equal(running(), 2);
  assert.equal(opened(peer), 1);
});

test('a rotation drops what encrypts under older versions, and nothing that decrypts', async (t) => {
  const { peer, client, heard, running } = await holding(t);
  const stream = client.encryptStream({ key: 'photos' });
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(Buffer.alloc(300_000)).catch(() => undefined);
  const begun = (await reader.read()).value;
  peer.rotateKey();
  await until(() => client.leases.current.filter(({ purpose }) => purpose === 'encrypt').length === 1);
  assert.equal(client.inspect(await client.encrypt(message, { key: 'photos' })).keyVersion, 2);
  assert.equal(running(), 3);
  // A message at work goes on to its end, under the version that it began with.
  writer.close().catch(() => undefined);
  const pieces = [begun];
  for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
  const whole = Buffer.concat(pieces);
  assert.equal(client.inspect(whole).keyVersion, 1);
  assert.equal((await client.decrypt(whole)).length, 300_000);
  assert.deepEqual(heard, []);
});

test('a data key that was on its way when its key stopped or rotated is not held', async (t) => {
  const { peer, client, heard } = await holding(t, { cache: { maxMessages: 1 } });
  let answer;
  const hold = () => (peer.held = new Promise((resolve) => (answer = resolve)));
  const late = async (act) => {
    // The server answers before, and the answer arrives after.
    const before = peer.requests.length;
    hold();
    const asking = client.encrypt(message, { key: 'photos' });
    asking.catch(() => undefined);
    await until(() => peer.requests.length > before);
    act();
    await settled();
    answer();
    return asking;
  };
  const { version } = peer;
  const rotated = await late(() => {
    peer.rotateKey();
    peer.version = version;
  });
  assert.equal(client.inspect(rotated).keyVersion, version);
  peer.version = version + 1;
  assert.equal(client.inspect(await client.encrypt(message, { key: 'photos' })).keyVersion, version + 1);
  await assert.rejects(late(() => peer.stopKey(now() + 5)), { name: 'LeaseEndedError', code: 'key_stopped' });
  assert.ok(heard.includes('key_stopped'));
});

test('what was pushed while the connection was broken is heard afterwards', async (t) => {
  const { peer, heard, running } = await holding(t);
  peer.events.hangUp();
  peer.stopKey();
  await until(() => running() === 0);
  assert.deepEqual(heard, ['key_stopped', 'key_stopped']);
});

test('an event that is lost on the way ends all leases, as soon as another comes', async (t) => {
  const { peer, client, heard, running, open } = await holding(t);
  peer.events.onTheWay(() => undefined);
  peer.stopKey();
  await settled();
  assert.equal(running(), 2);
  peer.rotateKey();
  await until(() => running() === 0);
  assert.deepEqual(heard, ['events_missed', 'events_missed']);
  await open();
  assert.equal(client.leases.current.length, 2);
});

test('changed in any byte, an event ends nothing and is not listened to further', async (t) => {
  const { peer, running, heard } = await holding(t);
  let connections = 1;
  for (const at of [0, 13, 20, 30, 60, 100, 130, 200, 253]) {
    peer.events.onTheWay((text) => {
      const data = Buffer.from(/data: (.*)/.exec(text)[1], 'base64');
      data[at] ^= 4;
      return text.replace(/data: .*/, `data: ${data.toString('base64')}`);
    });
    peer.stopKey(now() - 1_000);
    connections += 1;
    await until(() => opened(peer) === connections);
    await until(() => peer.events.listening === 1);
  }
  assert.equal(running(), 2);
  assert.deepEqual(heard, []);
});

test('what is no event of this stream is refused', async (t) => {
  const { peer, running } = await holding(t);
  const elsewhere = await holding(t);
  let foreign;
  elsewhere.peer.events.onTheWay((text) => (foreign = text));
  elsewhere.peer.changePolicy();
  const other = new Peer();
  other.events.response(undefined, new URLSearchParams({ stream: Buffer.alloc(32).toString('base64url') }));
  let ownKey;
  other.events.onTheWay((text) => (ownKey = text));
  other.changePolicy();
  let connections = 1;
  for (const text of [foreign, ownKey, 'event: lease\ndata: AAAA\n\n', 'event: hello\ndata: !\n\n', `event: lease\ndata: ${'A'.repeat(300_000)}\n\n`]) {
    peer.events.inject(text);
    connections += 1;
    await until(() => opened(peer) === connections && peer.events.listening === 1);
  }
  assert.equal(running(), 2);
});

test('an event of an earlier stream of the same device is worth nothing in the next', async (t) => {
  const { peer, open, running } = await holding(t);
  let heard;
  peer.events.onTheWay((text) => (heard = text));
  peer.stopKey(now() + 100);
  await until(() => running() === 0);
  await open();
  peer.events.hangUp();
  await until(() => opened(peer) === 2 && peer.events.listening === 1);
  peer.events.inject(heard);
  await until(() => opened(peer) === 3);
  assert.equal(running(), 2);
});

test('events that come again, or in another order, change nothing more', async (t) => {
  const { peer, open, running, heard } = await holding(t);
  const texts = [];
  for (let round = 0; round < 3; round += 1) {
    peer.events.onTheWay((text) => (texts.push(text), text));
    peer.stopKey(now() + 100);
    await until(() => running() === 0);
    await open();
  }
  assert.equal(heard.length, 6);
  for (const text of [...texts].reverse().concat(texts)) peer.events.inject(text);
  await settled();
  assert.equal(running(), 2);
  assert.equal(opened(peer), 1);
});

test('two events whose order is changed on the way end everything once', async (t) => {
  const { peer, running, heard, open } = await holding(t);
  let first;
  peer.events.onTheWay((text) => void (first = text));
  peer.stopKey(now() - 100);
  peer.events.onTheWay((text) => text + first);
  peer.stopKey(now() - 100);
  await until(() => running() === 0);
  assert.deepEqual(heard, ['events_missed', 'events_missed']);
  await open();
  await settled();
  assert.equal(running(), 2);
});

test('a flood of events takes bounded memory, and the page lives on', async (t) => {
  const { peer, running, open } = await holding(t);
  let replayed;
  peer.events.onTheWay((text) => (replayed = text));
  peer.changePolicy();
  await until(() => running() === 0);
  await open();
  for (const text of [replayed.repeat(100_000), 'event: ping\ndata: {}\n\n'.repeat(100_000), 'data: x\n'.repeat(100_000), ': comment\n'.repeat(100_000)]) {
    const before = process.memoryUsage().heapUsed;
    const connections = opened(peer);
    for (let at = 0; at < text.length; at += 65_536) peer.events.inject(text.slice(at, at + 65_536));
    let late = 0;
    for (let rounds = 0; rounds < 20; rounds += 1) {
      const start = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 5));
      late = Math.max(late, Date.now() - start);
    }
    assert.ok(late < 2_000, `a timer was ${late} ms late`);
    await open();
    assert.ok(process.memoryUsage().heapUsed - before < 64 * 1024 * 1024);
    if (text.startsWith('event: lease') || text.startsWith('data')) await until(() => opened(peer) > connections);
    await until(() => peer.events.listening === 1);
  }
  peer.stopKey(now() + 10);
  await until(() => running() === 0, 20_000);
});

test('a server that hangs up at once is not asked without pause', async (t) => {
  const { peer } = await holding(t);
  const fetched = opened(peer);
  peer.offline = true;
  peer.events.hangUp();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.ok(opened(peer) - fetched <= 2);
});

/** Long enough for what was sent in memory to be heard. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 50));
