// What npm would publish: its files, its entry points, its types.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

import { integrityOf } from '../../npm/scripts/integrity.mjs';
import { install } from '../runtimes/stage/package.mjs';

const run = promisify(execFile);
const ENTRIES = ['workerd', 'edge-light', 'deno', 'bun', 'browser', 'node', 'default'];
const TEXTS = ['CHANGELOG.md', 'README.md', 'integrity.json', 'package.json'];

let folder;
let archive;
let home;
let names;
let about;
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'keyhaven-package-'));
  await install(folder);
  archive = path.join(folder, (await readdir(folder)).find((name) => name.endsWith('.tgz')));
  home = path.join(folder, 'node_modules/@keyhaven/sdk');
  names = (await readdir(home, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(home, path.join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
  about = JSON.parse(await readFile(path.join(home, 'package.json'), 'utf8'));
});
after(() => rm(folder, { recursive: true, force: true }));

test('publint has nothing to say', async () => {
  const { messages } = await publint({ pkgDir: home, strict: true, pack: false });
  assert.deepEqual(messages.map((message) => formatMessage(message, about)), []);
});

test('the types are right for everyone who can import the package', async () => {
  const attw = fileURLToPath(new URL('node_modules/.bin/attw', import.meta.url));
  const files = ['keyhaven_sdk_bg.wasm', 'integrity.json', 'package.json'];
  const { stdout } = await run(attw, [archive, '--profile', 'esm-only', '--format', 'json', '--exclude-entrypoints', ...files]);
  const { analysis, problems } = JSON.parse(stdout);
  assert.equal(analysis.types.kind, 'included');
  assert.deepEqual(Object.keys(analysis.entrypoints), Object.keys(about.exports).filter((name) => !files.includes(name.slice(2))));
  // The old ways of CommonJS find no ES module, as they should.
  const modern = Object.values(problems).flat().filter(({ resolutionKind }) => /esm|bundler/.test(resolutionKind ?? 'esm'));
  assert.deepEqual(modern, []);
});

test('it holds what is needed, and nothing else', () => {
  const others = names.filter((name) => !/^(dist|page|wasm)\/[\w-]+\.(js|d\.ts|wasm)$/.test(name));
  assert.deepEqual(others, [...TEXTS, 'wasm/keyhaven_sdk_bg.wasm.d.ts'].sort());
  for (const name of names.filter((name) => /^(dist|wasm)\/.*\.js$/.test(name))) {
    assert.ok(names.includes(name.replace(/\.js$/, '.d.ts')), `${name} has types`);
  }
  assert.deepEqual([about.dependencies, about.peerDependencies, about.optionalDependencies], [undefined, undefined, undefined]);
  assert.ok(!Object.keys(about.scripts).some((name) => /install|prepare/.test(name)), 'installing runs nothing');
});

test('every condition leads to a file with its types, and the unknown runtime to one as well', () => {
  assert.deepEqual(Object.keys(about.exports['.']), ENTRIES);
  const targets = [about.exports].flatMap(function all(value) {
    return typeof value === 'string' ? [value] : Object.values(value).flatMap(all);
  });
  for (const target of targets) assert.ok(existsSync(path.join(home, target)), target);
  assert.equal(about.sideEffects, false);
});

test('every entry point gives the same', async () => {
  const surfaces = await Promise.all(['index', 'node', 'inline'].map((name) => import(path.join(home, `dist/${name}.js`))));
  const [first, ...others] = surfaces.map((surface) => Object.keys(surface).sort());
  assert.ok(first.includes('connect') && first.includes('inspect'));
  for (const other of others) assert.deepEqual(other, first);
});

test('the manifest lists every file that a page may load, as it is', async () => {
  const manifest = JSON.parse(await readFile(path.join(home, 'integrity.json'), 'utf8'));
  assert.equal(manifest.version, about.version);
  assert.deepEqual(Object.keys(manifest.files), names.filter((name) => /\.(js|wasm)$/.test(name)));
  for (const [name, integrity] of Object.entries(manifest.files)) {
    assert.equal(integrityOf(await readFile(path.join(home, name))), integrity, name);
  }
  assert.ok(manifest.page.includes('page/index.js') && manifest.page.length <= 3);
  assert.ok(manifest.page.every((name) => manifest.files[name]));
});

test('it does not tell where it was built', async () => {
  const places = [fileURLToPath(new URL('../../', import.meta.url)), `${homedir()}/`].filter((place) => place.length > 2);
  for (const name of names) {
    const text = (await readFile(path.join(home, name))).toString('latin1');
    for (const place of places) assert.ok(!text.includes(place), `${name} holds ${place}`);
  }
});

test('release, package and changelog name one version', async () => {
  const { RELEASE } = await import(path.join(home, 'dist/release.js'));
  assert.equal(RELEASE, about.version);
  const sdk = await import(path.join(home, 'dist/node.js'));
  assert.equal(await sdk.inspect(new Uint8Array()), undefined, 'the Wasm module is of this release');
  assert.match(await readFile(path.join(home, 'CHANGELOG.md'), 'utf8'), /^## (Unreleased|\[?\d)/m);
});

test('the API documentation is complete: it builds without a warning', async () => {
  const { stdout, stderr } = await run('npm', ['run', 'docs', '--silent', '--', '--emit', 'none'], { cwd: process.env.KEYHAVEN_NPM_PACKAGE });
  assert.equal(`${stdout}${stderr}`, '');
});

for (const [module, resolution] of [['NodeNext', 'NodeNext'], ['ESNext', 'Bundler']]) {
  test(`an application in TypeScript compiles, strictly, by ${resolution}`, async () => {
    await cp(new URL('types', import.meta.url), path.join(folder, 'types'), { recursive: true });
    const tsc = path.join(process.env.KEYHAVEN_NPM_PACKAGE, 'node_modules/.bin/tsc');
    const options = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--noEmit', '--skipLibCheck', 'false'];
    const platform = ['--target', 'ES2022', '--lib', 'ES2022,ESNext.Disposable,DOM,DOM.AsyncIterable', '--types', ''];
    const { stdout } = await run(tsc, ['types/app.ts', '--ignoreConfig', '--module', module, '--moduleResolution', resolution, ...options, ...platform], { cwd: folder })
      .catch((failure) => failure);
    assert.equal(stdout, '');
  });
}

test('CommonJS can require it, where Node can require ES modules', { skip: process.features.require_module ? false : 'this Node cannot' }, async () => {
  const { stdout } = await run(process.execPath, ['--no-warnings', '-e', "console.log(typeof require('@keyhaven/sdk').connect)"], { cwd: folder });
  assert.equal(stdout, 'function\n');
});
