// Keys that sign messages, as a context names them.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const at = path.join(process.env.KEYHAVEN_NPM_PACKAGE, 'dist/signatures.js');
const { MessageSigner, verifyingKey } = await import(pathToFileURL(at).href);

const NAME = 'aws-crypto-public-key';
const ECDSA = { name: 'ECDSA', hash: 'SHA-384' };

test('a key comes back out of the context as the point that it is, and verifies what its other half signed', async () => {
  const first = new Set();
  for (let round = 0; round < 20; round++) {
    const signer = await MessageSigner.make();
    const [name, value] = signer.pair;
    assert.equal(name, NAME);
    const compressed = Buffer.from(value, 'base64');
    assert.equal(compressed.length, 49);
    first.add(compressed[0]);
    const key = await verifyingKey(['letter', NAME, ...signer.pair]);
    const bytes = new TextEncoder().encode(`round ${round}`);
    const signature = await signer.sign(bytes);
    assert.equal(signature.length, 96);
    assert.ok(await crypto.subtle.verify(ECDSA, key, signature, bytes));
    bytes[0] ^= 1;
    assert.ok(!(await crypto.subtle.verify(ECDSA, key, signature, bytes)));
  }
  assert.deepEqual([...first].sort(), [2, 3], 'y is even, and odd');
});

test('a context that names no point of the curve is refused', async () => {
  const [, value] = (await MessageSigner.make()).pair;
  const point = Buffer.from(value, 'base64');
  const beyond = Buffer.alloc(49, 0xff);
  beyond[0] = 2;
  // Half of all x are those of no point: among 64 there is one but for chance of 2^-64.
  const off = Array.from({ length: 64 }, (_, x) => Buffer.concat([Buffer.from([2]), Buffer.alloc(47), Buffer.from([x])]));
  const refusals = await Promise.allSettled(off.map((bytes) => verifyingKey([NAME, bytes.toString('base64')])));
  assert.ok(refusals.some(({ status }) => status === 'rejected') && refusals.some(({ status }) => status === 'fulfilled'));
  for (const bytes of [Buffer.alloc(0), point.subarray(1), Buffer.concat([point, point]), beyond, Buffer.concat([Buffer.from([4]), point.subarray(1)])]) {
    await assert.rejects(verifyingKey([NAME, bytes.toString('base64')]), { code: 'message_malformed' }, bytes.toString('hex'));
  }
  for (const pairs of [[], ['letter', NAME], [NAME, 'not base64'], [NAME]]) {
    await assert.rejects(verifyingKey(pairs), { code: 'message_malformed' });
  }
});
