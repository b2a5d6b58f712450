// The small programs in `examples/`, as their READMEs tell a user to run them.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, copyFile, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { openBrowser } from './stage/browsers.mjs';
import { bin, output, startWorkerd } from './stage/processes.mjs';
import { World } from './stage/world.mjs';

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));

let world;
before(async () => (world = await World.open()));
after(() => world?.close());

/** Copies an example beside an installed package. */
async function copied(name) {
  const folder = path.join(world.folder, name);
  await cp(path.join(EXAMPLES, name), folder, { recursive: true });
  await symlink(path.join(world.app, 'node_modules'), path.join(folder, 'node_modules'));
  return folder;
}

/** Does what an operator does for an example; gives the environment of its program. */
async function operated({ folder, key, principal, policy }) {
  const { keyhaven } = world;
  await keyhaven.run('key', 'create', key, '--spec', 'aes-256-gcm', '--distribution', 'data-keys');
  for (const name of [principal, `${principal}-minter`]) await keyhaven.run('principal', 'create', name);
  await keyhaven.run('policy', 'put', policy, path.join(folder, 'policy.cedar'));
  const { token } = await keyhaven.json('principal', 'token', `${principal}-minter`);
  const { KEYHAVEN_ADDR, KEYHAVEN_ISSUER, KEYHAVEN_CACERT } = keyhaven.env;
  return { KEYHAVEN_ADDR, KEYHAVEN_ISSUER, KEYHAVEN_TOKEN: token, NODE_EXTRA_CA_CERTS: KEYHAVEN_CACERT };
}

test('the Node backend', async (t) => {
  const folder = await copied('node-backend');
  const env = { ...process.env, ...(await operated({ folder, key: 'records', principal: 'backend', policy: 'node-backend' })) };
  const records = (...args) => spawnSync(process.execPath, ['records.mjs', ...args], { cwd: folder, env, timeout: 60_000 });
  const secret = randomBytes(200_000);
  await writeFile(path.join(folder, 'invoice.pdf'), secret);

  await t.test('stores ciphertext, and gives the record back', async () => {
    const put = records('put', 'invoice-7', 'invoice.pdf');
    assert.equal(put.status, 0, put.stderr.toString());
    const stored = await readFile(path.join(folder, 'records/invoice-7'));
    assert.ok(!stored.includes(secret.subarray(1000, 1016)));
    const got = records('get', 'invoice-7');
    assert.equal(got.status, 0, got.stderr.toString());
    assert.ok(got.stdout.equals(secret));
  });
  await t.test('opens no record under another name', async () => {
    await copyFile(path.join(folder, 'records/invoice-7'), path.join(folder, 'records/invoice-8'));
    const { status, stdout, stderr } = records('get', 'invoice-8');
    assert.deepEqual([status, stdout.length, /^context_mismatch: /.test(stderr)], [1, 0, true]);
  });
  await t.test('tells its usage', () => assert.equal(records('put', '../x', 'invoice.pdf').status, 2));
});

test('the edge function', async (t) => {
  const folder = await copied('edge-function');
  const env = await operated({ folder, key: 'notes', principal: 'edge', policy: 'edge-function' });
  await copyFile(env.NODE_EXTRA_CA_CERTS, path.join(folder, 'ca.pem'));
  const { scripts } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
  await output('sh', ['-c', scripts.build], { cwd: folder, env: { PATH: `${path.dirname(bin('esbuild'))}:${process.env.PATH}` } });
  assert.equal(scripts.start, 'workerd serve config.capnp');
  const workerd = await startWorkerd(folder, env);
  t.after(workerd.stop);
  const at = (name) => `${workerd.address}/notes/${name}`;
  const put = (name, body) => fetch(at(name), { method: 'PUT', body });

  await t.test('stores notes and gives them back, request after request', async () => {
    for (const text of ['call the harbour', 'light the beacon', 'x'.repeat(100_000)]) {
      const stored = await put('monday', text);
      assert.equal(stored.status, 204, await stored.text());
      const [one, two] = await Promise.all([fetch(at('monday')), fetch(at('monday'))]);
      assert.equal(await one.text(), text);
      assert.equal(await two.text(), text);
    }
  });
  await t.test('says that a note is not there', async () => assert.equal((await fetch(at('sunday'))).status, 404));
  await t.test('says why Keyhaven refuses', async () => {
    await world.keyhaven.run('key', 'disable', 'notes');
    const refused = await put('tuesday', 'nothing');
    assert.equal(refused.status, 409);
    assert.equal((await refused.json()).code, 'key_disabled');
  });
});

test('the page with a worker', async (t) => {
  const folder = await copied('web-worker');
  const env = await operated({ folder, key: 'drafts', principal: 'visitor', policy: 'web-worker' });
  const server = await started(t, ['server.mjs'], { cwd: folder, env: { ...env, PORT: '0' } });
  const browser = await openBrowser('Chromium', path.join(world.folder, 'Chromium'));
  t.after(() => browser.close());
  const page = await browser.newPage();
  // The page's policy lets no script fetch what it offers to save.
  await page.evaluateOnNewDocument(() => {
    const make = URL.createObjectURL;
    URL.createObjectURL = (blob) => make.call(URL, (globalThis.offered = blob));
  });
  await page.goto(server);
  const secret = randomBytes(3_000_000);
  await writeFile(path.join(folder, 'draft.bin'), secret);
  const input = await page.$('#file');
  await input.uploadFile(path.join(folder, 'draft.bin'));
  await page.waitForFunction(() => !/^Choose/.test(document.querySelector('#said').textContent));
  const [said, progress] = await page.evaluate(() => [document.querySelector('#said').textContent, document.querySelector('#progress').value]);
  assert.match(said, /^Encrypted: 3\d{6} bytes\.$/);
  assert.equal(progress, 1);
  const begin = await page.evaluate(async () => {
    const bytes = await globalThis.offered.slice(0, 3).arrayBuffer();
    return Array.from(new Uint8Array(bytes));
  });
  assert.deepEqual(begin, [2, 4, 0x78], 'it is a message of version 2, suite 0x0478');
});

/** Starts a program that prints where it listens; gives the address. Ends it with the test. */
async function started(t, args, { cwd, env }) {
  const child = spawn(process.execPath, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return line.replace('listening on ', '');
}
