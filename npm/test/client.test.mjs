// The client against the protocol's other side (peer.mjs).

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as keyhaven from '@keyhaven/sdk';
import { FLOOR } from '../dist/release.js';
import { Peer } from './peer.mjs';
import * as stage from './stage.mjs';

const { coded, until } = stage;

const context = { album: 'summer', 'café': 'ü' };

async function connected(t, peer, options = {}) {
  const tickets = [];
  const ticket = async (want) => (tickets.push(want), 'a.ticket.jws');
  const client = await stage.connected(t, peer, { url: 'https://keys.example/relay', ticket, ...options });
  return Object.assign(client, { tickets });
}

const through = async (data, stream, pieceSize = 10_000) => {
  const pieces = function* () {
    for (let at = 0; at < data.length; at += pieceSize) yield data.subarray(at, at + pieceSize);
  };
  const out = [];
  for await (const piece of ReadableStream.from(pieces()).pipeThrough(stream)) out.push(piece);
  return Buffer.concat(out);
};

const ended = (client) => new Promise((resolve) => client.leases.addEventListener('leaseended', resolve, { once: true }));

test('what one device encrypts, another decrypts', async (t) => {
  const peer = new Peer();
  const [writer, reader] = [await connected(t, peer), await connected(t, peer)];
  assert.notEqual(writer.device, reader.device);
  for (const size of [0, 1, 4_096, 4_097, 8_192, 8_193, 262_143, 262_144, 262_145, 3_000_000]) {
    const data = randomBytes(size);
    const message = await writer.encrypt(data, { key: 'photos', context });
    assert.ok(size < 100 || !Buffer.from(message).includes(data.subarray(0, 100)));
    assert.ok(Buffer.from(await reader.decrypt(message, { context: { album: 'summer' } })).equals(data));
  }
  assert.deepEqual(writer.tickets[0], {
    operation: 'DeliverDataKey', key: 'photos', context: Object.assign(Object.create(null), context), device: writer.device,
  });
  assert.equal(reader.tickets[0].operation, 'UnsealDataKey');
  assert.equal(reader.tickets[0].key, peer.key);
});

test('streams take pieces of any size and give equal bytes', async (t) => {
  const client = await connected(t, new Peer());
  const data = randomBytes(1_200_000);
  for (const size of [1_000, 262_144, 4_000_000]) {
    const message = await through(data, client.encryptStream({ key: 'photos', context }), size);
    assert.ok((await through(message, client.decryptStream({ context }), size + 1)).equals(data));
    assert.ok(Buffer.from(await client.decrypt(message)).equals(data));
  }
  const empty = await through(randomBytes(0), client.encryptStream({ key: 'photos' }));
  assert.equal((await through(empty, client.decryptStream())).length, 0);
});

test('opening again needs no server while the lease runs', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const message = await client.encrypt(randomBytes(10), { key: 'photos', context });
  const both = await Promise.all([client.decrypt(message), client.decrypt(message)]);
  assert.deepEqual(both[0], both[1]);
  await client.decrypt(message);
  assert.equal(client.tickets.filter((want) => want.operation === 'UnsealDataKey').length, 1);
  assert.deepEqual(client.leases.current.map(({ purpose }) => purpose), ['encrypt', 'decrypt']);
});

test('after a rotation new messages name the new version and old ones still open', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const old = await client.encrypt(Buffer.from('old'), { key: 'photos', context });
  assert.equal(Buffer.from(await client.decrypt(old)).toString(), 'old');
  peer.rotateKey();
  await until(() => client.leases.current.length === 1, 2_000);
  const fresh = await client.encrypt(Buffer.from('new'), { key: 'photos', context });
  assert.equal(client.inspect(old).keyVersion, 1);
  const { messageId, ...info } = await keyhaven.inspect(fresh);
  assert.match(messageId, /^[0-9a-f]{64}$/);
  assert.deepEqual({ ...info, context: { ...info.context } }, {
    keyId: peer.key, keyVersion: 2, context, signed: false, frameLength: 262_144,
  });
  assert.equal(client.inspect(fresh.subarray(0, 50)), undefined);
  assert.equal(Buffer.from(await client.decrypt(old)).toString(), 'old');
  assert.equal(Buffer.from(await client.decrypt(fresh)).toString(), 'new');
});

test('a changed, cut or extended message gives nothing, or only its verified beginning', async (t) => {
  const client = await connected(t, new Peer());
  const data = randomBytes(800_000);
  const message = await client.encrypt(data, { key: 'photos', context });
  for (const at of [message.length - 1, message.length >> 1, 400]) {
    const changed = message.slice();
    changed[at] ^= 1;
    await assert.rejects(client.decrypt(changed), keyhaven.KeyhavenError);
  }
  for (const length of [0, 10, 300, 280_000, message.length - 1]) {
    await assert.rejects(client.decrypt(message.subarray(0, length)), coded('message_truncated', keyhaven.TruncatedError));
    await assert.rejects(through(message.subarray(0, length), client.decryptStream()), coded('message_truncated', keyhaven.TruncatedError));
  }
  const longer = Buffer.concat([message, Buffer.from([0])]);
  await assert.rejects(client.decrypt(longer), coded('message_trailing_data', keyhaven.IntegrityError));
  const changed = message.slice();
  changed[600_000] ^= 1;
  const out = [];
  const reading = (async () => {
    for await (const piece of ReadableStream.from([changed.subarray(0, 560_000), changed.subarray(560_000)]).pipeThrough(client.decryptStream())) out.push(piece);
  })();
  await assert.rejects(reading, coded('message_refused', keyhaven.IntegrityError));
  const given = Buffer.concat(out);
  assert.ok(given.length <= 524_288 && given.equals(data.subarray(0, given.length)));
});

test('a message about something else is refused before the server is asked', async (t) => {
  const client = await connected(t, new Peer());
  const message = await client.encrypt(randomBytes(10), { key: 'photos', context });
  for (const required of [{ album: 'winter' }, { Album: 'summer' }, { 'cafe\u0301': 'ü' }, { ['__proto__']: 'x' }, { other: '' }]) {
    await assert.rejects(client.decrypt(message, { context: required }), coded('context_mismatch', keyhaven.IntegrityError));
  }
  assert.equal(client.tickets.length, 1);
  await assert.rejects(client.encrypt(randomBytes(1), { key: 'photos', context: { a: '\ud800' } }), coded('context_malformed'));
  await assert.rejects(client.encrypt(randomBytes(1), { key: 'photos', context: { 'aws-crypto-public-key': 'x' } }), keyhaven.KeyhavenError);
});

test('a delivery changed anywhere, or replayed, is refused', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer, { cache: false });
  const encrypt = () => client.encrypt(randomBytes(1), { key: 'photos' });
  let length = 0;
  let kept;
  peer.tamper = (bytes) => ((length = bytes.length), (kept = bytes));
  await encrypt();
  for (let at = 0; at < length; at += 7) {
    peer.tamper = (bytes) => (bytes[at] ^= 4, bytes);
    await assert.rejects(encrypt(), coded('delivery_refused', keyhaven.IntegrityError), `byte ${at}`);
  }
  peer.tamper = () => kept;
  await assert.rejects(encrypt(), coded('delivery_refused', keyhaven.IntegrityError));
  peer.tamper = (bytes) => bytes.subarray(1);
  await assert.rejects(encrypt(), coded('delivery_refused', keyhaven.IntegrityError));
});

test('a refusal carries the server\'s code', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  peer.refuse = 'ticket_spent';
  await assert.rejects(client.encrypt(randomBytes(1), { key: 'photos' }), (error) => {
    assert.ok(error instanceof keyhaven.RefusedError);
    assert.deepEqual([error.code, error.status, error.requestId], ['ticket_spent', 403, 'r-1']);
    return true;
  });
});

test('a request that was dated too early for the server is signed again, once', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const now = () => Math.floor(Date.now() / 1000);
  // Begun a second from now: as a server is that begins anew, for a device whose clock is a little behind.
  peer.floor = now() + 10;
  await client.encrypt(randomBytes(10), { key: 'photos', context });
  assert.equal(stage.asked(peer, '/deliver-data-key').length, 2);
  assert.equal(client.tickets.length, 1);
  peer.floor = now() + 1000;
  await assert.rejects(client.encrypt(randomBytes(10), { key: 'letters', context }), coded('device_proof_too_old', keyhaven.RefusedError));
  assert.equal(stage.asked(peer, '/deliver-data-key').length, 4);
  const late = new Peer();
  late.floor = now() + 10;
  await connected(t, late);
  assert.equal(stage.asked(late, '/devices').length, 2);
});

test('a stopped key ends leases at once, and running streams with them', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const message = await client.encrypt(randomBytes(1_000_000), { key: 'photos', context });
  const stream = client.decryptStream();
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(message.subarray(0, 400_000)).catch(() => undefined);
  writer.closed.catch(() => undefined);
  await reader.read();
  const heard = ended(client);
  peer.stopKey();
  const event = await heard;
  assert.deepEqual([event.keyId, event.reason], [peer.key, 'key_stopped']);
  await assert.rejects(reader.read(), coded('key_stopped', keyhaven.LeaseEndedError));
  assert.equal(client.leases.current.length, 0);
  peer.refuse = 'key_disabled';
  await assert.rejects(client.decrypt(message), coded('key_disabled', keyhaven.RefusedError));
});

test('offline, a lease ends at its expiry', async (t) => {
  const peer = new Peer();
  peer.leaseSeconds = 2;
  const client = await connected(t, peer);
  const message = await client.encrypt(randomBytes(10), { key: 'photos' });
  await client.decrypt(message);
  peer.offline = true;
  peer.events.hangUp();
  await client.decrypt(message);
  assert.equal((await ended(client)).reason, 'lease_expired');
  await assert.rejects(client.decrypt(message), coded('network_failed', keyhaven.NetworkError));
});

test('a device is kept, and a changed issuer is refused', async (t) => {
  const peer = new Peer();
  const storage = keyhaven.memoryStorage();
  const one = await connected(t, peer, { storage });
  const two = await connected(t, peer, { storage });
  assert.equal(one.device, two.device);
  assert.equal(peer.requests.filter(({ path }) => path === '/api/v1/devices').length, 1);
  const other = new Peer().issuer;
  await assert.rejects(connected(t, peer, { storage, issuer: other }), coded('issuer_changed', keyhaven.IntegrityError));
  await assert.rejects(connected(t, peer, { issuer: other }), coded('issuer_changed', keyhaven.IntegrityError));
  const stored = await storage.load('https://keys.example/relay');
  for (const pair of [stored.authentication, stored.sealing.x25519]) {
    assert.equal(pair.privateKey.extractable, false);
    await assert.rejects(crypto.subtle.exportKey('pkcs8', pair.privateKey));
  }
  await one.forget();
  assert.notEqual((await connected(t, peer, { storage })).device, two.device);
});

test('a device that a release with a higher floor took up is refused to older ones, and stays as it is', async (t) => {
  const [peer, storage, name] = [new Peer(), keyhaven.memoryStorage(), 'https://keys.example/relay'];
  const first = await connected(t, peer, { storage });
  const stored = await storage.load(name);
  assert.equal(stored.floor, FLOOR);
  await storage.save(name, { ...stored, floor: FLOOR + 1 });
  await assert.rejects(connected(t, peer, { storage }), coded('release_too_old', keyhaven.UnsupportedError));
  assert.equal((await storage.load(name)).floor, FLOOR + 1);
  const { floor, ...unmarked } = stored;
  await storage.save(name, unmarked);
  assert.equal((await connected(t, peer, { storage })).device, first.device);
  assert.equal((await storage.load(name)).floor, floor, 'one of a release without a floor is marked from now on');
});

test('an aborted signal ends requests and streams', async (t) => {
  const client = await connected(t, new Peer());
  const aborted = AbortSignal.abort();
  await assert.rejects(client.encrypt(randomBytes(1), { key: 'photos', signal: aborted }), { name: 'AbortError' });
  const controller = new AbortController();
  const stream = client.encryptStream({ key: 'photos', signal: controller.signal });
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(randomBytes(800_000)).catch(() => undefined);
  writer.closed.catch(() => undefined);
  await reader.read();
  controller.abort();
  await assert.rejects(reader.read(), { name: 'AbortError' });
  await until(() => client.leases.current.length === 0, 2_000);
});

test('a closed client holds nothing and does nothing', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  const message = await client.encrypt(randomBytes(1), { key: 'photos' });
  await client.decrypt(message);
  await client.close();
  await client.close();
  assert.equal(client.leases.current.length, 0);
  await assert.rejects(client.decrypt(message), coded('closed'));
  await assert.rejects(client.encrypt(message, { key: 'photos' }), coded('closed'));
  await until(() => peer.events.listening === 0, 2_000);
});

test('a redirect is not followed', async () => {
  for (const answer of [new Response(null, { status: 307, headers: { location: 'https://elsewhere.example' } }), { type: 'opaqueredirect', status: 0 }]) {
    const peer = new Peer();
    const fetch = async (_url, init) => (assert.equal(init.redirect, 'manual'), answer);
    const options = { url: 'https://keys.example', ticket: async () => '', enrolment: async () => 'a.b', issuer: peer.issuer, fetch };
    await assert.rejects(keyhaven.connect(options), coded('network_failed', keyhaven.NetworkError));
  }
});
