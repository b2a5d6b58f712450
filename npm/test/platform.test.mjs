// What a page replaces after the package was loaded changes nothing, and sees no key.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as keyhaven from '@keyhaven/sdk';
import { MemoryView, copied, wipe } from '../dist/platform.js';
import { Peer } from './peer.mjs';
import { optionsFor } from './stage.mjs';

/** Replaces a property until the test ends. */
function replace(t, owner, name, value) {
  const original = Object.getOwnPropertyDescriptor(owner, name);
  t.after(() => (original ? Object.defineProperty(owner, name, original) : delete owner[name]));
  Object.defineProperty(owner, name, { configurable: true, writable: true, value });
}

/** Wraps a method of byte arrays; `seen` gets a copy of all that it was called with or on. */
function tap(t, name, seen) {
  const owner = Object.getPrototypeOf(Uint8Array.prototype);
  const original = owner[name];
  replace(t, owner, name, function (...passed) {
    for (const part of [this, ...passed]) {
      if (!seen.paused && ArrayBuffer.isView(part)) seen.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString('latin1'));
    }
    return Reflect.apply(original, this, passed);
  });
}

for (const sealing of ['hybrid', 'classical']) {
  test(`replaced methods of byte arrays see no key of a ${sealing} device`, async (t) => {
    const peer = new Peer();
    const seen = Object.assign([], { paused: false });
    // The other side of the protocol runs here, too: what it does is not the client's.
    const fetch = async (...request) => {
      seen.paused = true;
      try {
        return await peer.fetch(...request);
      } finally {
        seen.paused = false;
      }
    };
    const client = await keyhaven.connect({ ...optionsFor(peer), fetch, sealing });
    t.after(() => client.close());
    for (const name of ['set', 'subarray', 'slice', 'fill']) tap(t, name, seen);
    const message = await client.encrypt(new Uint8Array(1000), { key: 'photos' });
    assert.deepEqual(await client.decrypt(message), new Uint8Array(1000));
    assert.ok(seen.length > 0, 'the taps work');
    assert.equal(peer.secrets.length, sealing === 'hybrid' ? 2 : 4);
    for (const secret of peer.secrets) assert.ok(!seen.some((bytes) => bytes.includes(secret.toString('latin1'))));
  });
}

test('replaced functions of WebCrypto are not called', async (t) => {
  const peer = new Peer();
  const client = await keyhaven.connect({ ...optionsFor(peer), sealing: 'classical' });
  t.after(() => client.close());
  const called = [];
  for (const name of ['encrypt', 'decrypt', 'deriveBits', 'sign', 'importKey', 'generateKey', 'digest']) {
    replace(t, SubtleCrypto.prototype, name, () => called.push(name));
  }
  const message = await client.encrypt(new Uint8Array(1000), { key: 'photos' });
  assert.deepEqual(await client.decrypt(message), new Uint8Array(1000));
  assert.deepEqual(called, []);
});

test('a replaced `fetch`, `WebAssembly` or random generator is not used', async (t) => {
  const called = [];
  replace(t, globalThis, 'fetch', async () => called.push('fetch'));
  replace(t, WebAssembly, 'instantiate', async () => called.push('instantiate'));
  replace(t, Crypto.prototype, 'getRandomValues', (bytes) => (called.push('random'), bytes.fill(7)));
  const peer = new Peer();
  // The other side makes hybrid keys by the replaced generator, too.
  const client = await keyhaven.connect({ ...optionsFor(peer), sealing: 'classical' });
  t.after(() => client.close());
  const [one, two] = [1, 2].map(() => client.encrypt(new Uint8Array(1), { key: 'photos' }));
  assert.notDeepEqual(await one, await two);
  await assert.rejects(keyhaven.connect({ ...optionsFor(peer), url: 'http://127.0.0.1:1', fetch: undefined }), { code: 'network_failed' });
  assert.deepEqual(called, []);
});

test('a polluted prototype adds no option to what an application asks', async (t) => {
  const peer = new Peer();
  const polluted = {
    fetch: () => assert.fail('a polluted fetch was used'), issuer: 'AAAA', storage: 'nowhere', leaseSeconds: 3600,
    enrolment: { epoch: 9, deployment: 'x', issuer: 'AAAA' }, guard: {}, mode: 'no-cors', signal: 'none',
  };
  for (const [name, value] of Object.entries(polluted)) replace(t, Object.prototype, name, value);
  const client = await keyhaven.connect(optionsFor(peer));
  t.after(() => client.close());
  const message = await client.encrypt(new Uint8Array(100), { key: 'photos', context: { a: 'b' } });
  assert.deepEqual(await client.decrypt(message), new Uint8Array(100));
  assert.equal(client.leases.current[0].endsAt - client.leases.current[0].issuedAt, 300_000);
});

test('a copy of a client made for another realm holds nothing', async (t) => {
  const client = await keyhaven.connect(optionsFor(new Peer()));
  t.after(() => client.close());
  await client.encrypt(new Uint8Array(1), { key: 'photos' });
  const copy = structuredClone(client);
  assert.deepEqual(copy, {});
});

test('a window on memory gives copies of the platform\'s own kind', () => {
  const memory = new MemoryView(new Uint8Array([1, 2, 3, 4]).buffer);
  const part = memory.subarray(1, 3);
  assert.ok(part instanceof MemoryView);
  assert.equal(part.buffer, memory.buffer);
  const copy = part.slice();
  assert.equal(Object.getPrototypeOf(copy), Uint8Array.prototype);
  assert.deepEqual(copy, new Uint8Array([2, 3]));
  memory.set([9, 8], 2);
  assert.deepEqual([...memory], [1, 2, 9, 8]);
  wipe(part);
  assert.deepEqual([...memory], [1, 0, 0, 8]);
  assert.deepEqual(copied(memory), new Uint8Array([1, 0, 0, 8]));
});
