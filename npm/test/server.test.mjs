// The client against the real server: `keyhaven dev`, started here. KEYHAVEN_BIN says where the binary is.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import * as keyhaven from '@keyhaven/sdk';

const { KEYHAVEN_BIN } = process.env;
const context = { album: 'summer' };
const folder = mkdtempSync(join(tmpdir(), 'keyhaven-sdk-'));
let server;
let env;

test('against a real server', async (t) => {
  await t.test('what the writer encrypts, the reader decrypts', async (t) => {
    const [writer, reader] = [await connected(t, 'writer'), await connected(t, 'reader')];
    const data = randomBytes(300_000);
    const message = await writer.encrypt(data, { key: 'photos', context });
    assert.equal(writer.inspect(message).keyVersion, 1);
    assert.ok(Buffer.from(await reader.decrypt(message, { context })).equals(data));
    const streamed = await through(message, reader.decryptStream({ context }));
    assert.ok(streamed.equals(data));
    const again = await through(data, writer.encryptStream({ key: 'photos', context }));
    assert.ok(Buffer.from(await reader.decrypt(again)).equals(data));
  });

  await t.test('a ticket works once, for its key, operation, context and device', async (t) => {
    const minted = [];
    const writer = await connected(t, 'writer', { cache: false }, (want) => minted[0] ?? ticket('writer', want).then((text) => (minted[0] = text)));
    await writer.encrypt(randomBytes(10), { key: 'photos', context });
    await refused(writer.encrypt(randomBytes(10), { key: 'photos', context }), 'ticket_spent');
    const other = (change) => connected(t, 'writer', {}, (want) => ticket('writer', { ...want, ...change }));
    const encrypt = (client) => client.encrypt(randomBytes(10), { key: 'photos', context });
    await refused(encrypt(await other({ context: { album: 'winter' } })), 'ticket_wrong_context');
    await refused(encrypt(await other({ operation: 'UnsealDataKey' })), 'ticket_wrong_operation');
    await refused(encrypt(await other({ device: writer.device })), 'ticket_wrong_device');
    await refused(encrypt(await other({ key: 'letters' })), 'ticket_wrong_key');
  });

  await t.test('an outsider is refused', async (t) => {
    const outsider = await connected(t, 'outsider');
    await refused(outsider.encrypt(randomBytes(10), { key: 'photos', context }), 'access_denied');
  });

  await t.test('an enrolment token works once', async () => {
    const { token } = await api('POST', '/enrolment-tokens', { subject: 'writer' });
    const options = { url: env.KEYHAVEN_ADDR, fetch: trusting, ticket: async () => '', enrolment: async () => token, issuer: env.KEYHAVEN_ISSUER };
    await (await keyhaven.connect(options)).close();
    await refused(keyhaven.connect(options), 'enrolment_spent');
  });

  await t.test('a changed or cut message is refused', async (t) => {
    const client = await connected(t, 'writer');
    const message = await client.encrypt(randomBytes(100_000), { key: 'photos', context });
    const changed = message.slice();
    changed[message.length - 5] ^= 1;
    await assert.rejects(client.decrypt(changed), keyhaven.IntegrityError);
    await assert.rejects(client.decrypt(message.subarray(0, 70_000)), keyhaven.TruncatedError);
  });

  await t.test('after a rotation new messages name the new version and old ones still open', async (t) => {
    const client = await connected(t, 'writer');
    const old = await client.encrypt(Buffer.from('old'), { key: 'photos', context });
    await api('POST', '/keys/photos/rotate', {});
    await until(() => writing(client).length === 0);
    const fresh = await client.encrypt(Buffer.from('new'), { key: 'photos', context });
    assert.equal(client.inspect(fresh).keyVersion, client.inspect(old).keyVersion + 1);
    assert.equal(Buffer.from(await client.decrypt(old)).toString(), 'old');
    assert.equal(Buffer.from(await client.decrypt(fresh)).toString(), 'new');
  });

  await t.test('disabling the key ends leases at once', async (t) => {
    // No ticket is minted for a disabled key: the next one comes from before.
    const kept = [];
    const reader = await connected(t, 'reader', {}, async (want) => kept.pop() ?? ticket('reader', want));
    const message = await reader.encrypt(randomBytes(10), { key: 'photos', context });
    await reader.decrypt(message);
    const ended = new Promise((resolve) => reader.leases.addEventListener('leaseended', resolve, { once: true }));
    kept.push(await ticket('reader', { operation: 'UnsealDataKey', key: 'photos', context }));
    const asked = Date.now();
    await api('POST', '/keys/photos/disable', {});
    assert.equal((await ended).reason, 'key_stopped');
    assert.ok(Date.now() - asked < 5_000);
    await refused(reader.decrypt(message), 'key_disabled');
    await api('POST', '/keys/photos/enable', {});
    await reader.decrypt(message);
  });

  await t.test('revoking the device ends its leases', async (t) => {
    const reader = await connected(t, 'reader');
    const message = await reader.encrypt(randomBytes(10), { key: 'photos', context });
    await reader.decrypt(message);
    const ended = new Promise((resolve) => reader.leases.addEventListener('leaseended', resolve, { once: true }));
    await api('POST', `/devices/${reader.device}/revoke`, {});
    assert.equal((await ended).reason, 'device_revoked');
    await refused(reader.decrypt(message), 'device_revoked');
  });
});

before(async () => {
  assert.ok(KEYHAVEN_BIN, 'run `cargo xtask test`: it sets KEYHAVEN_BIN');
  server = spawn(KEYHAVEN_BIN, ['dev', '--data-dir', folder, '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'inherit', 'inherit'] });
  env = await started();
  for (const alias of ['photos', 'letters']) {
    await api('POST', '/keys', { alias, spec: 'aes-256-gcm', distribution: 'data-keys' });
  }
  for (const name of ['writer', 'reader', 'outsider']) await api('POST', '/principals', { name });
  const may = (name) =>
    `permit(principal == Keyhaven::Principal::"${name}", action in [Keyhaven::Action::"DeliverDataKey", Keyhaven::Action::"UnsealDataKey"], resource);`;
  await api('PUT', '/policies/users', { text: may('writer') + may('reader') });
});

after(async () => {
  const gone = server && new Promise((resolve) => server.once('exit', resolve));
  server?.kill();
  await gone;
  rmSync(folder, { recursive: true, force: true });
});

/** The exports of `keyhaven env`, as soon as the server answers. */
async function started() {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 250))) {
    assert.equal(server.exitCode, null, 'the server ended');
    const { stdout, status } = spawnSync(KEYHAVEN_BIN, ['env', '--data-dir', folder], { encoding: 'utf8' });
    if (status !== 0) continue;
    const exports = [...stdout.matchAll(/^export (\w+)=["']?(.*?)["']?$/gm)].map(([, name, value]) => [name, value]);
    env = Object.fromEntries(exports);
    const ready = await trusting(`${env.KEYHAVEN_ADDR}/readyz`, { method: 'GET' }).catch(() => undefined);
    if (ready?.ok) return env;
  }
  throw new Error('the server did not start within a minute');
}

/** A `fetch` that trusts the server's own authority: Node's takes no such option. */
function trusting(url, { method, headers, body, signal }) {
  const ca = readFileSync(env.KEYHAVEN_CACERT);
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers: Object.fromEntries(new Headers(headers)), ca, signal }, (answer) => {
      answer.on('error', () => undefined);
      const bodyless = answer.statusCode === 204;
      const stream = bodyless ? null : Readable.toWeb(answer);
      resolve(new Response(stream, { status: answer.statusCode, headers: answer.headers }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** An operator's request. */
async function api(method, path, document) {
  const headers = { authorization: `Bearer ${env.KEYHAVEN_TOKEN}`, 'content-type': 'application/json' };
  const answer = await trusting(`${env.KEYHAVEN_ADDR}/api/v1${path}`, { method, headers, body: JSON.stringify(document) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** What an application's backend does when its page asks for a ticket. */
async function ticket(subject, { operation, key, context, device }) {
  const want = { subject, operations: [operation], context, context_exact: true, device };
  return (await api('POST', `/keys/${key}/tickets`, want)).ticket;
}

async function connected(t, subject, options = {}, source = (want) => ticket(subject, want)) {
  const client = await keyhaven.connect({
    url: env.KEYHAVEN_ADDR,
    fetch: trusting,
    ticket: async (want) => source(want),
    enrolment: async () => (await api('POST', '/enrolment-tokens', { subject })).token,
    ...(env.KEYHAVEN_ISSUER && { issuer: env.KEYHAVEN_ISSUER }),
    ...options,
  });
  t.after(() => client.close());
  return client;
}

/** The leases that a client holds to encrypt with. */
const writing = (client) => client.leases.current.filter(({ purpose }) => purpose === 'encrypt');

async function until(condition) {
  for (const end = Date.now() + 10_000; !condition(); await new Promise((resolve) => setTimeout(resolve, 10))) {
    assert.ok(Date.now() < end, 'it did not happen in time');
  }
}

const refused = (promise, code) => assert.rejects(promise, { name: 'RefusedError', code });

async function through(data, stream) {
  const out = [];
  for await (const piece of new Blob([data]).stream().pipeThrough(stream)) out.push(piece);
  return Buffer.concat(out);
}
