// The package as a server, a CDN or a proxy on the way might serve it: altered, mixed, mistyped.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';

import { openBrowser } from './stage/browsers.mjs';
import { World } from './stage/world.mjs';

const WASM = '/sdk/wasm/keyhaven_sdk_bg.wasm';
const untouched = (_path, bytes) => bytes;

let world;
before(async () => {
  world = await World.open();
  await writePinnedPage();
});
after(() => world?.close());
afterEach(() => (world.front.tamper = untouched));

/** Changes the one file, if `change` gives something for it. */
const changing = (file, change) => (pathname, bytes, headers) => (pathname === file ? (change(bytes, headers) ?? bytes) : bytes);
const flipped = (bytes) => {
  const changed = Buffer.from(bytes);
  changed[changed.length >> 1] ^= 1;
  return changed;
};
const replacing = (from, to) => (bytes) => {
  const text = bytes.toString();
  assert.ok(text.includes(from), `${from} is in the file`);
  return Buffer.from(text.replace(from, to));
};
const typed = (type) => (_, headers) => void (headers['content-type'] = type);

// What happens, and to which file; `said` is what `connect` or `import` ends with.
const CASES = [
  ['as it is', undefined, /^connected$/],
  ['a byte of the Wasm module altered', changing(WASM, flipped), /IntegrityError wasm_altered/],
  ['the Wasm module of another release', changing('/sdk/wasm/integrity.js', replacing("'sha384-", "'sha384-AAAA")), /IntegrityError wasm_altered|wasm_failed/],
  ['the JavaScript of an older release', changing('/sdk/dist/release.js', replacing('0.1.0', '0.0.9')), /IntegrityError wasm_altered/],
  ['a page in place of the Wasm module', changing(WASM, () => Buffer.from('<!doctype html>')), /IntegrityError wasm_altered/],
  ['the Wasm module under another type', changing(WASM, typed('application/octet-stream')), /^connected$/],
  ['JavaScript under another type', changing('/sdk/dist/client.js', typed('text/plain')), /TypeError/],
];

for (const name of ['Chromium', 'Firefox']) {
  test(name, async (t) => {
    const browser = await openBrowser(name, path.join(world.folder, name));
    t.after(() => browser.close());

    const outcome = async (address) => {
      const page = await browser.newPage();
      await page.goto(`${world.front.address}${address}`);
      await page.waitForFunction(() => globalThis.tryConnect);
      const said = await page.evaluate((settings) => globalThis.tryConnect(settings), world.relayed);
      await page.close();
      return said;
    };

    for (const [what, tamper, said] of CASES) {
      await t.test(what, async () => {
        world.front.tamper = tamper ?? untouched;
        assert.match(await outcome('/programs/page.html'), said);
      });
    }
    await t.test('a page with the manifest’s hashes loads the package', async () => {
      assert.equal(await outcome('/pinned/index.html'), 'connected');
    });
    for (const file of ['dist/index.js', 'dist/client.js', 'wasm/keyhaven_sdk.js', 'wasm/integrity.js']) {
      await t.test(`and refuses it when ${file} is altered by one byte`, async () => {
        world.front.tamper = changing(`/sdk/${file}`, (bytes) => Buffer.concat([bytes, Buffer.from('\n')]));
        assert.match(await outcome('/pinned/index.html'), /TypeError/);
        world.front.tamper = untouched;
      });
    }
    await t.test('which a page without them would not notice', async () => {
      world.front.tamper = changing('/sdk/dist/client.js', (bytes) => Buffer.concat([bytes, Buffer.from('\n')]));
      assert.equal(await outcome('/programs/page.html'), 'connected');
    });
  });
}

/** A page whose import map pins every file of the package, as the package's README tells. */
async function writePinnedPage() {
  const manifest = JSON.parse(await readFile(path.join(world.app, 'node_modules/@keyhaven/sdk/integrity.json'), 'utf8'));
  const scripts = Object.entries(manifest.files).filter(([name]) => name.endsWith('.js'));
  const map = JSON.stringify({ integrity: Object.fromEntries(scripts.map(([name, hash]) => [`/sdk/${name}`, hash])) });
  const folder = path.join(world.folder, 'pinned');
  await mkdir(folder);
  const page = '<script type="module" src="/programs/page.mjs"></script>';
  await writeFile(path.join(folder, 'index.html'), `<!doctype html><meta charset="utf-8"><script type="importmap">${map}</script>${page}\n`);
  const hash = createHash('sha256').update(map).digest('base64');
  world.front.serve('pinned', folder, `default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'sha256-${hash}'; connect-src 'self'`);
}
