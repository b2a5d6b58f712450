// Without the server: within a lease and its grace, also after the page was left. Time passes by hand here.

import assert from 'node:assert/strict';
import { test } from 'node:test';
// Before the package, which keeps the platform's functions as they are when it is loaded.
import { asked, connected, pass } from './stage.mjs';
import { memoryLeaseStorage, memoryStorage } from '@keyhaven/sdk';
import { Peer } from './peer.mjs';

const data = Buffer.from('what is read on the train');
const HOUR = 3_600;

/** One browser profile: its storages outlive its pages. */
class Profile {
  devices = memoryStorage();
  leases = memoryLeaseStorage();

  constructor(t, peer, options = {}) {
    Object.assign(this, { t, peer, options });
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() });
  }

  /** Opens a page. */
  page(options = {}) {
    const kept = { storage: this.devices, persist: this.leases };
    return connected(this.t, this.peer, { leaseSeconds: 100, offlineGraceSeconds: HOUR, ...kept, ...this.options, ...options });
  }

  /** What is kept. */
  async kept() {
    return (await this.leases.leases('https://keys.example')).map(({ purpose }) => purpose).sort();
  }
}

function goOffline(peer) {
  peer.offline = true;
  peer.events.hangUp();
}

const encrypt = (client, more) => client.encrypt(data, { key: 'photos', ...more });

test('with a lease in hand, both ways work without a network until the grace is over', async (t) => {
  const peer = new Peer();
  const client = await new Profile(t, peer, { persist: false }).page();
  const message = await encrypt(client);
  await client.decrypt(message);
  goOffline(peer);
  for (const seconds of [50, 60, 600, 2_900]) {
    await pass(t, seconds, 10);
    assert.ok(Buffer.from(await client.decrypt(message)).equals(data));
    assert.ok(Buffer.from(await client.decrypt(await encrypt(client).catch(() => message))).equals(data));
  }
  await pass(t, 120, 10);
  await assert.rejects(client.decrypt(message), { code: 'network_failed' });
  await assert.rejects(encrypt(client), { code: 'network_failed' });
  assert.equal(client.leases.current.length, 0);
});

test('without a grace, a lease ends at its end', async (t) => {
  const peer = new Peer();
  const client = await new Profile(t, peer, { persist: false, offlineGraceSeconds: 0 }).page();
  const message = await encrypt(client);
  await client.decrypt(message);
  goOffline(peer);
  await pass(t, 99);
  await client.decrypt(message);
  await pass(t, 2);
  await assert.rejects(client.decrypt(message), { code: 'network_failed' });
  assert.equal(client.leases.current.length, 0);
});

test('a stream goes on in the grace, and is renewed when the server is back', async (t) => {
  const peer = new Peer();
  const client = await new Profile(t, peer, { persist: false }).page();
  const stream = client.encryptStream({ key: 'photos' });
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(Buffer.alloc(300_000)).catch(() => undefined);
  const pieces = [(await reader.read()).value];
  goOffline(peer);
  await pass(t, 1_000, 5);
  peer.offline = false;
  await pass(t, 400, 5);
  writer.close().catch(() => undefined);
  for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
  assert.equal((await client.decrypt(Buffer.concat(pieces))).length, 300_000);
});

test('when the server is back and refuses, the grace is over', async (t) => {
  const peer = new Peer();
  const client = await new Profile(t, peer, { persist: false }).page();
  const message = await client.encrypt(Buffer.alloc(900_000), { key: 'photos' });
  const stream = client.decryptStream();
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  writer.write(message.subarray(0, 300_000)).catch(() => undefined);
  writer.closed.catch(() => undefined);
  await reader.read();
  goOffline(peer);
  await pass(t, 300, 5);
  peer.refuse = 'access_denied';
  peer.offline = false;
  await pass(t, 90, 5);
  await assert.rejects(reader.read(), { code: 'lease_expired' });
  goOffline(peer);
  await assert.rejects(client.decrypt(message), { code: 'network_failed' });
});

test('online, a lease in its grace is not used, but asked for anew', async (t) => {
  const peer = new Peer();
  const client = await new Profile(t, peer, { persist: false }).page();
  const message = await encrypt(client);
  await client.decrypt(message);
  await pass(t, 230, 5);
  const before = asked(peer, '/unseal-data-key').length;
  await client.decrypt(message);
  assert.equal(asked(peer, '/unseal-data-key').length, before + 1);
});

test('kept leases open again in the next page, without the server', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer);
  const first = await profile.page();
  const message = await encrypt(first);
  await first.decrypt(message);
  await first.close();
  assert.deepEqual(await profile.kept(), ['decrypt', 'encrypt']);
  goOffline(peer);
  for (const wait of [10, 300, 3_000]) {
    await pass(t, wait, 10);
    const page = await profile.page();
    assert.ok(Buffer.from(await page.decrypt(message)).equals(data));
    assert.ok(Buffer.from(await page.decrypt(await encrypt(page)).catch(() => data)).equals(data));
    await through(page, message);
    await page.close();
  }
  await pass(t, 500, 10);
  const late = await profile.page();
  await assert.rejects(late.decrypt(message), { code: 'network_failed' });
  await assert.rejects(encrypt(late), { code: 'network_failed' });
  await pass(t, 1);
  assert.deepEqual(await profile.kept(), []);
});

/** A stream to encrypt shares a kept key when the server is away. */
async function through(page) {
  const stream = page.encryptStream({ key: 'photos' });
  const writer = stream.writable.getWriter();
  writer.write(data).then(() => writer.close(), () => undefined);
  const pieces = [];
  for await (const piece of stream.readable) pieces.push(piece);
  assert.ok(Buffer.concat(pieces).length > data.length);
}

test('online, a kept lease that is fresh saves the question', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer);
  const first = await profile.page();
  const message = await encrypt(first);
  await first.decrypt(message);
  await first.close();
  const next = await profile.page();
  await next.decrypt(message);
  await encrypt(next);
  assert.deepEqual([asked(peer, '/unseal-data-key').length, asked(peer, '/deliver-data-key').length], [1, 1]);
  await next.close();
  await pass(t, 101, 10);
  const later = await profile.page();
  await later.decrypt(message);
  assert.equal(asked(peer, '/unseal-data-key').length, 2);
});

test('what a key encrypted counts in the next page, too', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer, { cache: { maxMessages: 3 } });
  const first = await profile.page();
  await encrypt(first);
  await encrypt(first);
  await first.close();
  const next = await profile.page();
  await encrypt(next);
  assert.equal(asked(peer, '/deliver-data-key').length, 1);
  await encrypt(next);
  assert.equal(asked(peer, '/deliver-data-key').length, 2);
});

test('nothing that is kept holds a data key in the clear', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer);
  const page = await profile.page();
  await page.decrypt(await encrypt(page));
  await page.close();
  const records = await profile.leases.leases('https://keys.example');
  assert.equal(records.length, 2);
  const kept = Buffer.concat(records.flatMap((record) => Object.values(record).map((value) => Buffer.from(typeof value === 'number' ? '' : value))));
  for (const secret of peer.secrets) assert.ok(!kept.includes(secret));
  assert.ok(peer.secrets.length >= 2);
});

test('logging out, and forgetting the device, forget what is kept; closing does not', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer);
  for (const [act, left] of [['close', 2], ['logout', 0], ['forget', 0]]) {
    const page = await profile.page();
    await page.decrypt(await encrypt(page));
    await page[act]();
    assert.equal((await profile.kept()).length, left, act);
    assert.equal(await profile.leases.time('https://keys.example') === undefined, left === 0);
  }
  assert.equal(await profile.devices.load('https://keys.example'), undefined);
});

test('what the server stops is forgotten at once, and if it stops while nobody listens, before it is used', async (t) => {
  for (const act of [(peer) => peer.stopKey(), (peer) => peer.changePolicy()]) {
    const peer = new Peer();
    const profile = new Profile(t, peer);
    const first = await profile.page();
    const message = await encrypt(first);
    await first.decrypt(message);
    act(peer);
    await pass(t, 2);
    assert.deepEqual(await profile.kept(), []);
    await first.decrypt(message);
    await first.close();
    assert.deepEqual(await profile.kept(), ['decrypt']);
    act(peer);
    peer.refuse = 'key_disabled';
    const second = await profile.page();
    await assert.rejects(second.decrypt(message), { code: 'key_disabled' });
    await pass(t, 2);
    assert.deepEqual(await profile.kept(), []);
    await second.close();
    t.mock.timers.reset();
  }
});

test('a rotation forgets what is kept to encrypt', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer);
  const first = await profile.page();
  await first.decrypt(await encrypt(first));
  await first.close();
  peer.rotateKey();
  const second = await profile.page();
  assert.equal(second.inspect(await encrypt(second)).keyVersion, 2);
  await second.close();
  assert.deepEqual(await profile.kept(), ['decrypt', 'encrypt']);
});

test('a wall clock that was set back extends nothing: the server is asked', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer);
  const first = await profile.page();
  const message = await encrypt(first);
  await first.decrypt(message);
  await first.close();
  const noticed = Date.now();
  const clocks = (time) => {
    t.mock.timers.reset();
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: time });
  };
  goOffline(peer);
  for (const back of [1_000, 86_400_000]) {
    clocks(noticed - back);
    const page = await profile.page();
    await assert.rejects(page.decrypt(message), { code: 'network_failed' }, `set back by ${back} ms`);
    await assert.rejects(encrypt(page), { code: 'network_failed' });
    await page.close();
  }
  // Set right again, it is believed again; set forward, or after a long sleep, leases are over.
  clocks(noticed + 1_000);
  const right = await profile.page();
  await right.decrypt(message);
  await right.close();
  clocks(noticed + 86_400_000);
  const forward = await profile.page();
  await assert.rejects(forward.decrypt(message), { code: 'network_failed' });
  await forward.close();
  clocks(noticed + 2_000);
  peer.offline = false;
  const online = await profile.page();
  await online.decrypt(message);
});

test('records that somebody changed are refused, and forgotten', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer);
  const first = await profile.page();
  const message = await encrypt(first);
  await first.decrypt(message);
  await first.close();
  goOffline(peer);
  const scope = 'https://keys.example';
  const records = await profile.leases.leases(scope);
  const genuine = records.find(({ purpose }) => purpose === 'decrypt');
  const other = records.find(({ purpose }) => purpose === 'encrypt');
  const flipped = (bytes, at) => { const copy = Uint8Array.from(bytes); copy[at] ^= 1; return copy; };
  const changes = [
    { delivery: flipped(genuine.delivery, 5) },
    { delivery: flipped(genuine.delivery, 175) },
    { delivery: flipped(genuine.delivery, genuine.delivery.length - 200) },
    { delivery: genuine.delivery.slice(1) },
    { nonce: flipped(genuine.nonce, 0) },
    { nonce: genuine.nonce.slice(1) },
    { keyId: crypto.randomUUID() },
    { keyVersion: 2 },
    { keyring: crypto.randomUUID() },
    { keyring: 'no id' },
    { ...other, id: genuine.id },
    { delivery: 'text' },
    { issuedAt: -1 },
    { pairs: undefined },
  ];
  for (const change of changes) {
    await profile.leases.put(scope, [{ ...genuine, ...change }]);
    const page = await profile.page();
    await assert.rejects(page.decrypt(message), { code: 'network_failed' }, Object.keys(change).join());
    await page.close();
    assert.ok(!(await profile.kept()).includes('decrypt'), Object.keys(change).join());
  }
  // Longer times beside the delivery change nothing of what is signed in it.
  await profile.leases.put(scope, [{ ...genuine, endsAt: genuine.endsAt + 1e9, offlineEndsAt: genuine.offlineEndsAt + 1e9 }]);
  await pass(t, HOUR + 200, 50);
  const page = await profile.page();
  await assert.rejects(page.decrypt(message), { code: 'network_failed' });
});

test('an application that asks for less than it did is given no more than that', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer);
  const first = await profile.page();
  const message = await encrypt(first);
  await first.decrypt(message);
  await first.close();
  goOffline(peer);
  for (const options of [{ offlineGraceSeconds: 0 }, { leaseSeconds: 99 }]) {
    const copy = await profile.leases.leases('https://keys.example');
    const page = await profile.page(options);
    await assert.rejects(page.decrypt(message), { code: 'network_failed' });
    await page.close();
    await profile.leases.put('https://keys.example', copy);
  }
});

test('another device, as after storage was evicted, opens none of it', async (t) => {
  const peer = new Peer();
  const profile = new Profile(t, peer);
  const first = await profile.page();
  const message = await encrypt(first);
  await first.decrypt(message);
  await first.close();
  profile.devices = memoryStorage();
  const second = await profile.page();
  goOffline(peer);
  await assert.rejects(second.decrypt(message), { code: 'network_failed' });
});

test('a storage that fails is given up, and work goes on', async (t) => {
  const warned = [];
  const { warn } = console;
  t.after(() => void (console.warn = warn));
  console.warn = (text) => warned.push(text);
  const full = new DOMException('the disk is full', 'QuotaExceededError');
  for (const method of ['leases', 'put', 'time', 'setTime', 'remove']) {
    const peer = new Peer();
    const profile = new Profile(t, peer);
    profile.leases = { ...memoryLeaseStorage(), [method]: async () => { throw full; } };
    const page = await profile.page({ cache: { maxEntries: 1 } });
    const message = await encrypt(page);
    await page.decrypt(message);
    await encrypt(page, { context: { a: 'b' } });
    await pass(t, 2);
    await page.decrypt(message);
    await page.close();
    assert.equal(warned.length, 1, method);
    assert.match(warned.pop(), /not kept/);
    t.mock.timers.reset();
  }
});
