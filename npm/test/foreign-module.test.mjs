// In a process of its own: what an application gives in place of the Wasm module stays loaded.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as keyhaven from '@keyhaven/sdk';

test('a compiled module that is none of ours is refused', async () => {
  const wasm = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
  const options = { url: 'https://keys.example', ticket: async () => '', enrolment: async () => '', wasm };
  await assert.rejects(keyhaven.connect(options), { name: 'UnsupportedError', code: 'wasm_failed' });
});
