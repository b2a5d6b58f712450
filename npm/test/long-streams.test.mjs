// Streams far longer than memory should ever hold.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Peer } from './peer.mjs';
import { connected } from './stage.mjs';

const MIB = 1024 * 1024;
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');

/** Bytes that cannot be collected now. */
function held() {
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test('512 MiB through encryption and decryption take no more memory at the end than at the beginning', async (t) => {
  const client = await connected(t, new Peer());
  const block = randomBytes(MIB);
  const before = held();
  const source = new ReadableStream({
    start() { this.left = 512; },
    pull(controller) {
      if (this.left === 0) return controller.close();
      this.left -= 1;
      controller.enqueue(block);
    },
  }, { highWaterMark: 0 });
  const encrypted = source.pipeThrough(client.encryptStream({ key: 'films' }));
  let [length, most, next] = [0, 0, 0];
  for await (const piece of encrypted.pipeThrough(client.decryptStream())) {
    assert.ok(piece.length <= 4 * MIB, 'no piece is longer than a few frames');
    length += piece.length;
    if (length < next) continue;
    next += 32 * MIB;
    most = Math.max(most, held() - before);
  }
  assert.equal(length, 512 * MIB);
  assert.ok(most < 64 * MIB, `${Math.round(most / MIB)} MiB at most`);
});
