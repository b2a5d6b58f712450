// What a device's data keys are sealed to: by default X25519 and ML-KEM-768 together.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Peer } from './peer.mjs';
import { connected } from './stage.mjs';

// The package takes WebCrypto's functions when it is loaded: so the one is replaced before.
const { prototype } = SubtleCrypto;
const { generateKey } = prototype;
let withX25519 = true;
prototype.generateKey = function (algorithm, ...rest) {
  if (algorithm.name === 'X25519' && !withX25519) return Promise.reject(new DOMException('unknown', 'NotSupportedError'));
  return Reflect.apply(generateKey, this, [algorithm, ...rest]);
};
const keyhaven = await import('@keyhaven/sdk');

const enrolled = (peer) => Buffer.from(peer.requests.find(({ path }) => path === '/api/v1/devices').document.keys, 'base64');

const refused = { name: 'IntegrityError', code: 'delivery_refused' };

/** Connects twice with the same storage, and opens with the second client what the first one made. */
async function passesOn(t, options) {
  const [peer, storage] = [new Peer(), keyhaven.memoryStorage()];
  const one = await connected(t, peer, { storage, ...options });
  const message = await one.encrypt(Buffer.from('hello'), { key: 'photos' });
  const two = await connected(t, peer, { storage });
  assert.equal(one.device, two.device);
  assert.equal(Buffer.from(await two.decrypt(message)).toString(), 'hello');
  return { keys: enrolled(peer), stored: await storage.load('https://keys.example') };
}

test('a new device is hybrid, with its X25519 key in WebCrypto', async (t) => {
  const { keys, stored } = await passesOn(t, {});
  assert.deepEqual([...keys.subarray(0, 3)], [2, 1, 2]);
  assert.equal(keys.length, 1284);
  assert.equal(stored.sealing.x25519.privateKey.extractable, false);
  assert.equal(stored.sealing.module.publicKey.length, 1184);
  assert.equal(stored.sealing.module.sealed.length, 32 + 32 + 64 + 16);
  assert.equal(stored.sealing.module.guard.extractable, false);
});

test('a device is classical when the application asks for it', async (t) => {
  const { keys, stored } = await passesOn(t, { sealing: 'classical' });
  assert.deepEqual([...keys.subarray(0, 3)], [1, 1, 1]);
  assert.equal(keys.length, 100);
  assert.equal(stored.sealing.privateKey.extractable, false);
});

test('without X25519 in WebCrypto both keys live in Wasm, and are kept sealed', async (t) => {
  t.after(() => void (withX25519 = true));
  withX25519 = false;
  const hybrid = await passesOn(t, {});
  assert.equal(hybrid.keys.length, 1284);
  assert.equal(hybrid.stored.sealing.x25519, undefined);
  assert.equal(hybrid.stored.sealing.module.sealed.length, 32 + 32 + 96 + 16);
  const classical = await passesOn(t, { sealing: 'classical' });
  assert.equal(classical.keys.length, 100);
  assert.equal(classical.stored.sealing.sealed.length, 32 + 32 + 32 + 16);
});

test('a device that enrolled a classical key keeps it, whatever is the default since', async (t) => {
  const [peer, storage] = [new Peer(), keyhaven.memoryStorage()];
  const before = await connected(t, peer, { storage, sealing: 'classical' });
  for (const sealing of [undefined, 'hybrid']) {
    const after = await connected(t, peer, { storage, ...(sealing && { sealing }) });
    assert.equal(after.device, before.device);
    await after.encrypt(randomBytes(1), { key: 'photos' });
  }
  assert.equal(peer.requests.filter(({ path }) => path === '/api/v1/devices').length, 1);
});

test('another word for the sealing is refused before anything is made', async (t) => {
  const [peer, storage] = [new Peer(), keyhaven.memoryStorage()];
  for (const sealing of ['x25519', '', null, 2]) {
    await assert.rejects(connected(t, peer, { storage, sealing }), { code: 'invalid_argument' });
  }
  assert.equal(await storage.load('https://keys.example'), undefined);
});

test('a server that seals to a hybrid device by X25519 only is refused, although it signs', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer);
  await client.encrypt(randomBytes(1), { key: 'photos' });
  // Of the enrolled keys it uses the X25519 half alone; id, info and signature are those of this device.
  peer.downgrade = true;
  await assert.rejects(client.encrypt(randomBytes(1), { key: 'photos', context: { other: 'key' } }), refused);
});

test('a hybrid delivery changed anywhere is refused', async (t) => {
  const peer = new Peer();
  const client = await connected(t, peer, { cache: false });
  const message = await client.encrypt(randomBytes(1), { key: 'photos' });
  const change = (at) => (bytes) => ((bytes = Buffer.from(bytes)), (bytes[at < 0 ? bytes.length + at : at] ^= 1), bytes);
  for (const at of [0, 4, 5, 100, 201, 700, 1288, 1289, 1320, 1321, 1368, 1369, 1433, -1]) {
    peer.tamper = change(at);
    await assert.rejects(client.decrypt(message), refused, `byte ${at}`);
  }
  for (const length of [0, 474, 1561]) {
    peer.tamper = (bytes) => bytes.subarray(0, length);
    await assert.rejects(client.decrypt(message), refused, `cut to ${length}`);
  }
  peer.tamper = (bytes) => bytes;
  await client.decrypt(message);
});

test('changed private keys at rest are refused, not replaced', async (t) => {
  const [peer, storage] = [new Peer(), keyhaven.memoryStorage()];
  await connected(t, peer, { storage });
  const stored = await storage.load('https://keys.example');
  const sealed = Uint8Array.from(stored.sealing.module.sealed);
  sealed[70] ^= 1;
  const changed = { ...stored, sealing: { ...stored.sealing, module: { ...stored.sealing.module, sealed } } };
  await storage.save('https://keys.example', changed);
  await assert.rejects(connected(t, peer, { storage }), { code: 'invalid_argument' });
  assert.equal(peer.requests.filter(({ path }) => path === '/api/v1/devices').length, 1);
});
