// The README's programs do what it says: those that build on each other run as one, against a real server.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { build } from 'esbuild';

import { output } from '../runtimes/stage/processes.mjs';
import { World } from '../runtimes/stage/world.mjs';

const README = await readFile(path.join(process.env.KEYHAVEN_NPM_PACKAGE, 'README.md'), 'utf8');
const blocks = [...README.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);
const bundled = blocks.filter((code) => /^\/\/ (esbuild|The module inside|worker\.mjs)/.test(code));
const story = blocks.filter((code) => !bundled.includes(code));

let world;
before(async () => (world = await World.open()));
after(() => world?.close());

// What the README leaves to the reader's application.
const AROUND = `
import process from 'node:process';
import assert from 'node:assert/strict';
const { url, backend, issuer } = JSON.parse(process.argv[2]);
const post = async (path, want = {}) => {
  const { token } = await (await fetch(backend + path, { method: 'POST', body: JSON.stringify(want) })).json();
  return { ticket: token, token };
};
const file = new Blob([new Uint8Array(200_000).fill(7)]);
let stored;
const upload = async (stream) => void (stored = await new Response(stream).blob());
const download = () => stored.stream();
const shown = [];
const show = (piece) => shown.push(piece);
const hidden = [];
const hide = (keyId, reason) => hidden.push(reason);
const reported = [];
const report = (text) => reported.push(text);
`;
const AFTERWARDS = `
assert.deepEqual(same, bytes);
assert.equal((await new Blob(shown).arrayBuffer()).byteLength, file.size);
assert.deepEqual(reported, ['not genuine, or about something else: context_mismatch']);
assert.ok(hidden.length > 0 && hidden.every((reason) => reason === 'closed'));
console.log('as it says');
`;

test('the programs that build on each other run', async () => {
  assert.ok(story.length >= 6);
  const joined = story.join('\n').replace("'https://keys.example'", 'url').replace("'base64 of the issuer key'", 'issuer').replaceAll("'photos'", "'letters'");
  // Imports stand where the reader needs them; a module may have them anywhere.
  await writeFile(path.join(world.app, 'readme.mjs'), `${AROUND}\n${joined}\n${AFTERWARDS}`);
  const env = { NODE_EXTRA_CA_CERTS: world.keyhaven.env.KEYHAVEN_CACERT };
  assert.equal(await output(process.execPath, ['readme.mjs', JSON.stringify(world.direct)], { cwd: world.app, env }), 'as it says\n');
});

test('the programs for bundlers are bundled', async () => {
  assert.equal(bundled.length, 3);
  for (const code of bundled) {
    const stdin = { contents: `const options = {};\n${code}\nexport { connect };`, resolveDir: world.app };
    const { errors, warnings } = await build({ stdin, bundle: true, format: 'esm', write: false, outdir: 'out', loader: { '.wasm': 'file' }, logLevel: 'silent' });
    assert.deepEqual([errors, warnings], [[], []]);
  }
});

test('what it says of files and conditions is so', async () => {
  const { exports } = JSON.parse(await readFile(path.join(world.app, 'node_modules/@keyhaven/sdk/package.json'), 'utf8'));
  for (const condition of ['workerd', 'edge-light']) assert.ok(README.includes(`\`${condition}\``) && exports['.'][condition]);
  for (const entry of Object.keys(exports).filter((name) => !/^\.(\/package\.json)?$/.test(name))) {
    assert.ok(README.includes(entry.slice(2)), `the README tells of ${entry}`);
  }
});
