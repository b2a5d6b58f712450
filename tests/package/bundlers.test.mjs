// Bundlers build an application with the package, and what they built runs in Chromium.
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { after, before, test } from 'node:test';

import * as esbuild from 'esbuild';
import * as vite from 'vite';
import webpack from 'webpack';

import { openBrowser } from '../runtimes/stage/browsers.mjs';
import { report } from '../runtimes/stage/outcomes.mjs';
import { World } from '../runtimes/stage/world.mjs';

let world;
let browser;
let source;
before(async () => {
  world = await World.open();
  browser = await openBrowser('Chromium', path.join(world.folder, 'Chromium'));
  source = path.join(world.app, 'app');
  await cp(new URL('app', import.meta.url), source, { recursive: true });
});
after(async () => {
  await browser?.close();
  await world?.close();
});

/** Builds into a folder that is served under `name`, and plays what is in its `index.html`. */
async function builtAndPlayed(t, name, build) {
  const out = path.join(world.folder, name);
  await mkdir(out, { recursive: true });
  await build(out);
  world.front.serve(name, out);
  await played(t, `${world.front.address}/${name}/index.html`);
  const built = await readdir(out, { recursive: true });
  t.diagnostic(`built ${built.filter((file) => /\.(js|wasm)$/.test(file)).join(', ')}`);
}

async function played(t, address) {
  const page = await browser.newPage();
  await page.goto(address);
  await page.waitForFunction(() => globalThis.playBundled);
  const outcomes = await page.evaluate((settings) => globalThis.playBundled(settings), world.relayed);
  await page.close();
  await report(t, { outcomes });
}

const page = (script) => `<!doctype html><meta charset="utf-8"><script type="module" src="${script}"></script>\n`;

test('Vite’s build', (t) =>
  builtAndPlayed(t, 'vite', (outDir) =>
    vite.build({ root: source, base: './', configFile: false, logLevel: 'error', build: { outDir, emptyOutDir: false } })));

test('Vite’s development server', async (t) => {
  const proxy = Object.fromEntries(['/keyhaven', '/ticket', '/enrolment'].map((name) => [name, world.front.address]));
  const server = await vite.createServer({
    root: source, configFile: false, logLevel: 'error', cacheDir: path.join(world.folder, 'vite-cache'),
    server: { host: '127.0.0.1', port: 0, proxy, fs: { allow: [world.app] } },
  });
  t.after(() => server.close());
  await server.listen();
  const address = `http://127.0.0.1:${server.httpServer.address().port}`;
  const visitor = await browser.newPage();
  await visitor.goto(`${address}/index.html`);
  await visitor.waitForFunction(() => globalThis.playBundled);
  const settings = { ...world.relayed, url: `${address}/keyhaven`, backend: address };
  // Its proxy does not pass on that a connection broke, which is what the steps after these need.
  const outcomes = await visitor.evaluate((given) => globalThis.playBundled(given, 9), settings);
  await visitor.close();
  await report(t, { outcomes }, 9);
});

test('esbuild, with the module inside', (t) =>
  builtAndPlayed(t, 'esbuild-inline', async (outdir) => {
    await esbuild.build({ entryPoints: [path.join(source, 'inline.mjs')], bundle: true, minify: true, format: 'esm', outdir, logLevel: 'error' });
    await writeFile(path.join(outdir, 'index.html'), page('inline.js'));
  }));

test('esbuild, with the module as a file', (t) =>
  builtAndPlayed(t, 'esbuild-file', async (outdir) => {
    const loader = { '.wasm': 'file' };
    await esbuild.build({ entryPoints: [path.join(source, 'addressed.mjs')], bundle: true, format: 'esm', outdir, loader, logLevel: 'error' });
    await writeFile(path.join(outdir, 'index.html'), page('addressed.js'));
  }));

test('webpack', (t) =>
  builtAndPlayed(t, 'webpack', async (out) => {
    const stats = await promisify(webpack)({
      mode: 'production', context: source, entry: './main.mjs', output: { path: out, filename: 'main.js' },
      performance: false,
    });
    assert.equal(stats.hasErrors() || stats.hasWarnings(), false, stats.toString('errors-warnings'));
    await writeFile(path.join(out, 'index.html'), page('main.js'));
  }));

test('what an application does not use, no bundle has', async () => {
  const contents = "export { KeyhavenError, memoryStorage } from '@keyhaven/sdk';";
  for (const conditions of [['browser'], ['workerd', 'browser'], ['node']]) {
    const { outputFiles } = await esbuild.build({
      stdin: { contents, resolveDir: source }, bundle: true, minify: true, format: 'esm', write: false,
      conditions, platform: 'neutral', logLevel: 'error', external: ['node:*', '*.wasm', '*.wasm?module'],
    });
    assert.ok(outputFiles[0].contents.length < 1_500, `${conditions}: ${outputFiles[0].text.slice(0, 2000)}`);
  }
  const whole = await readFile(path.join(world.app, 'node_modules/@keyhaven/sdk/dist/client.js'));
  assert.ok(whole.length > 1_500, 'there is something to leave out');
});
