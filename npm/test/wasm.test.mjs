// The Wasm module is fetched, read and compiled: and none but this release's own.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import * as keyhaven from '@keyhaven/sdk';
import { compileVerified, fetchModule } from '../dist/wasm.js';
import { Peer } from './peer.mjs';

const module = await readFile(new URL('../wasm/keyhaven_sdk_bg.wasm', import.meta.url));
const altered = Buffer.from(module);
altered[altered.length >> 1] ^= 1;
const FILES = {
  '/right.wasm': ['application/wasm', module],
  '/untyped.wasm': ['text/plain', module],
  '/altered.wasm': ['application/wasm', altered],
  '/empty.wasm': ['application/wasm', Buffer.alloc(0)],
  '/page.wasm': ['text/html', Buffer.from('<!doctype html><title>Not found</title>')],
};
const asked = [];
let server;
let address;

before(async () => {
  server = createServer((request, response) => {
    asked.push(request.url);
    const [type, bytes] = FILES[request.url] ?? [];
    response.writeHead(bytes ? 200 : 404, { 'content-type': type ?? 'text/plain' }).end(bytes);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  address = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

test('the module is fetched once, and compiled', async () => {
  asked.length = 0;
  assert.ok((await fetchModule(`${address}/right.wasm`)) instanceof WebAssembly.Module);
  assert.ok((await fetchModule(new URL('/right.wasm', address))) instanceof WebAssembly.Module);
  assert.deepEqual(asked, ['/right.wasm', '/right.wasm']);
});

test('a module under a wrong content type is compiled all the same: its hash tells what it is', async () => {
  assert.ok((await fetchModule(`${address}/untyped.wasm`)) instanceof WebAssembly.Module);
});

for (const name of ['altered', 'empty', 'page']) {
  test(`${name}.wasm is refused as another module`, async () => {
    await assert.rejects(fetchModule(`${address}/${name}.wasm`), { name: 'IntegrityError', code: 'wasm_altered' });
  });
}

test('where `fetch` checks no integrity, the package does', async (t) => {
  const known = Object.getOwnPropertyDescriptor(Request.prototype, 'integrity');
  delete Request.prototype.integrity;
  t.after(() => Object.defineProperty(Request.prototype, 'integrity', known));
  assert.ok((await fetchModule(`${address}/right.wasm`)) instanceof WebAssembly.Module);
  await assert.rejects(fetchModule(`${address}/altered.wasm`), { code: 'wasm_altered' });
});

test('a module that is not there is no integrity error', async () => {
  await assert.rejects(fetchModule(`${address}/missing.wasm`), { name: 'UnsupportedError', code: 'wasm_failed' });
  await assert.rejects(fetchModule('http://127.0.0.1:1/closed.wasm'), TypeError);
});

test('bytes are compiled only if they are the release’s', async () => {
  assert.ok((await compileVerified(module)) instanceof WebAssembly.Module);
  await assert.rejects(compileVerified(altered), { name: 'IntegrityError', code: 'wasm_altered' });
  await assert.rejects(compileVerified(module.subarray(1)), { code: 'wasm_altered' });
});

test('a load that failed can be tried again, with another address', async (t) => {
  const peer = new Peer();
  const options = {
    url: 'https://keys.example',
    ticket: async () => 'a.ticket.jws',
    enrolment: async () => 'an.enrolment.jws',
    issuer: peer.issuer,
    fetch: peer.fetch,
  };
  await assert.rejects(keyhaven.connect({ ...options, wasm: `${address}/altered.wasm` }), { code: 'wasm_altered' });
  await assert.rejects(keyhaven.connect({ ...options, wasm: `http://127.0.0.1:1/` }), { name: 'UnsupportedError', code: 'wasm_failed' });
  const client = await keyhaven.connect({ ...options, wasm: `${address}/right.wasm` });
  t.after(() => client.close());
  assert.match(client.device, /^[\w-]{43}$/);
});
