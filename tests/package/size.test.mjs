// What the package costs to load, part by part, against the budget.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { brotliCompressSync, constants } from 'node:zlib';

import { build } from 'esbuild';

const npm = process.env.KEYHAVEN_NPM_PACKAGE;
const { parts } = JSON.parse(await readFile(new URL('size-budget.json', import.meta.url), 'utf8'));

const brotli = (bytes) =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 } }).length;

/** The JavaScript that an application bundles which exports `connect` from that entry point. */
async function bundled(entry) {
  const { outputFiles } = await build({
    stdin: { contents: `export { connect } from ${JSON.stringify(path.join(npm, 'dist', entry))};`, resolveDir: npm },
    bundle: true, minify: true, format: 'esm', write: false, logLevel: 'error',
  });
  return outputFiles[0].contents;
}

test('each part is within its budget', async (t) => {
  const wasm = await readFile(path.join(npm, 'wasm/keyhaven_sdk_bg.wasm'));
  const [javascript, inline] = await Promise.all(['index.js', 'inline.js'].map(bundled));
  const found = { wasm: brotli(wasm), javascript: brotli(javascript), inline: brotli(inline) };
  found.whole = found.wasm + found.javascript;
  assert.deepEqual(Object.keys(found).sort(), Object.keys(parts).sort());
  const row = (...cells) => t.diagnostic(cells.map((cell, at) => (at === 0 ? cell.padEnd(12) : String(cell).padStart(9))).join(' '));
  row('part', 'bytes', 'most', 'aim', 'of aim');
  for (const [name, { most, aim }] of Object.entries(parts)) row(name, found[name], most, aim, `${Math.round((100 * found[name]) / aim)} %`);
  for (const [name, { most, what }] of Object.entries(parts)) {
    await t.test(`${name}: ${what}`, () => assert.ok(found[name] <= most, `${found[name]} bytes, but at most ${most}`));
  }
});
