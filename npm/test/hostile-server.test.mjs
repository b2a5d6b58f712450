// A server, or somebody on the way, that answers whatever it likes. Each change is made from a number, which a failure
// names; `KEYHAVEN_MUTATIONS` says how many are tried.

import assert from 'node:assert/strict';
import { hkdfSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { KeyhavenError, memoryLeaseStorage } from '@keyhaven/sdk';
import { mutated, mutatedEvent, numbers } from './mutations.mjs';
import { Peer } from './peer.mjs';
import { asked, coded, connected, optionsFor, unheard, until } from './stage.mjs';

const MUTATIONS = Number(process.env.KEYHAVEN_MUTATIONS ?? 600);
const options = { key: 'photos', context: { album: 'summer' } };

/** A server of which the next answer is changed. */
function changing(peer) {
  const earlier = [];
  const fetch = async (url, init) => {
    const answer = await peer.fetch(url, init);
    if (String(url).includes('/lease-events')) return answer;
    const text = await answer.text();
    earlier.push(JSON.parse(text));
    const { pick } = state;
    state.pick = undefined;
    return pick ? mutated(text, pick, earlier) : new Response(text, answer);
  };
  const state = { fetch, pick: undefined };
  return state;
}

/** Whether a message is encrypted under a data key that the server really made: its commitment tells. */
function genuine(peer, message) {
  const bytes = Buffer.from(message);
  return peer.dataKeys.some((dataKey) => bytes.includes(Buffer.from(hkdfSync('sha512', dataKey, bytes.subarray(3, 35), 'COMMITKEY', 32))));
}

/** What came of it: nothing, or an error that says what, and no key. */
async function outcome(peer, work, name) {
  try {
    return await work;
  } catch (error) {
    assert.ok(error instanceof KeyhavenError && typeof error.code === 'string', `${name}: ${error?.stack}`);
    for (const dataKey of peer.dataKeys) assert.ok(!error.message.includes(dataKey.toString('base64')), name);
    return undefined;
  }
}

const memoryOfModule = async () => (await (await import('../wasm/keyhaven_sdk.js')).default()).memory;

for (const sealing of ['classical', 'hybrid']) {
  test(`every change of an answer is a typed error, or changes nothing of what it gives: a ${sealing} device`, async (t) => {
    const reasons = unheard(t);
    const peer = new Peer();
    const server = changing(peer);
    const client = await connected(t, peer, { fetch: server.fetch, sealing, cache: false });
    const data = randomBytes(100);
    const messages = [await client.encrypt(data, options), await client.encrypt(data, options)];
    const memory = await memoryOfModule();
    let [refused, size] = [0, 0];
    for (let number = 1; number <= MUTATIONS; number += 1) {
      server.pick = numbers(number);
      const name = `${sealing}, change ${number}`;
      const given = number % 2
        ? await outcome(peer, client.encrypt(data, options), name)
        : await outcome(peer, client.decrypt(messages[number % 4 >> 1], options), name);
      if (given === undefined) refused += 1;
      else if (number % 2) assert.ok(genuine(peer, given), name);
      else assert.deepEqual(Buffer.from(given), data, name);
      // A key that is not held is freed when the task ends.
      await new Promise((resolve) => setTimeout(resolve, 1));
      assert.equal(client.leases.current.length, 0, `${name}: a lease was left`);
      if (number === Math.ceil(MUTATIONS / 3)) size = memory.buffer.byteLength;
    }
    assert.ok(refused > MUTATIONS / 2, `only ${refused} of ${MUTATIONS} changes were refused`);
    assert.ok(memory.buffer.byteLength <= size + 4 * 65_536, 'the module grew: handles are left');
    assert.deepEqual(Buffer.from(await client.decrypt(await client.encrypt(data, options))), data, 'it goes on');
    await client.close();
    const left = Buffer.from(memory.buffer);
    assert.ok(peer.dataKeys.length > 1 && !peer.dataKeys.some((dataKey) => left.includes(dataKey)), 'a data key is left in memory');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(reasons, []);
  });
}

test('every change of the answer to an enrolment is a typed error, or enrols this very device', async (t) => {
  const reasons = unheard(t);
  const { warn } = console;
  t.after(() => void (console.warn = warn));
  console.warn = () => undefined;
  const peer = new Peer();
  const server = changing(peer);
  for (let number = 1; number <= MUTATIONS / 4; number += 1) {
    server.pick = numbers(number);
    const connecting = connected(t, peer, { fetch: server.fetch, sealing: 'classical', storage: 'memory' });
    const client = await outcome(peer, connecting, `change ${number}`);
    // What it was told wrongly of the deployment makes every delivery one of another server.
    const message = client && (await outcome(peer, client.encrypt(randomBytes(10), options), `change ${number}`));
    if (message) assert.ok(genuine(peer, message), `change ${number}`);
    await client?.close();
  }
  assert.deepEqual(reasons, []);
});

test('every change of an event ends leases or nothing, and extends none', async (t) => {
  const reasons = unheard(t);
  const peer = new Peer();
  const client = await connected(t, peer);
  const message = await client.encrypt(randomBytes(10), options);
  const ends = () => client.leases.current.map(({ endsAt }) => endsAt);
  for (let number = 1; number <= MUTATIONS / 50; number += 1) {
    const open = client.decrypt(message);
    await until(() => peer.events.listening === 1);
    await open;
    const before = Math.max(...ends());
    const connections = asked(peer, '/lease-events').length;
    peer.events.onTheWay((text) => mutatedEvent(text, numbers(number)));
    peer.stopKey(0);
    peer.events.inject('\n\nevent: ping\ndata: {}\n\n');
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(ends().every((end) => end <= before), `change ${number}`);
    assert.ok(asked(peer, '/lease-events').length <= connections + 1, `change ${number}`);
  }
  assert.deepEqual(reasons, []);
});

const YEARS = 10 * 365 * 24 * 3600;
for (const [what, terms] of [
  ['a lease of ten years', { seconds: YEARS }], ['a lease longer than was asked for', { seconds: 301 }],
  ['a grace of ten years', { grace: YEARS }], ['a grace longer than was asked for', { grace: 61 }],
  ['a use that was not asked for', { flags: 3 }], ['a use that does not exist', { flags: 9 }], ['no use', { flags: 0 }],
  ['another context', { context: { album: 'winter' } }], ['the nonce of another request', { nonce: Buffer.alloc(32) }],
]) {
  test(`${what} is refused, though the server signed it`, async (t) => {
    const peer = new Peer();
    const leases = memoryLeaseStorage();
    const client = await connected(t, peer, { offlineGraceSeconds: 60, persist: leases });
    const message = await client.encrypt(randomBytes(10), options);
    peer.terms = (given) => ({ ...given, ...terms });
    await assert.rejects(client.decrypt(message), coded('delivery_refused', KeyhavenError));
    await assert.rejects(client.encrypt(randomBytes(10), { key: 'letters' }), coded('delivery_refused', KeyhavenError));
    assert.deepEqual(client.leases.current.map(({ purpose }) => purpose), ['encrypt']);
    await client.close();
    assert.deepEqual((await leases.leases('https://keys.example')).map(({ purpose }) => purpose), ['encrypt'], 'it is not kept, either');
  });
}

test('what an application asks is bounded by what this release allows', async () => {
  const peer = new Peer();
  const { connect } = await import('@keyhaven/sdk');
  for (const more of [{ leaseSeconds: YEARS }, { offlineGraceSeconds: YEARS }, { sealing: 'none' }, { cache: { maxAgeSeconds: YEARS } }]) {
    await assert.rejects(connect({ ...optionsFor(peer), ...more }), coded('invalid_argument', KeyhavenError));
  }
  assert.equal(peer.requests.length, 0);
});

test('after enrolment no server makes another deployment, issuer or epoch of it', async (t) => {
  const { memoryStorage } = await import('@keyhaven/sdk');
  const storage = memoryStorage();
  const [peer, other] = [new Peer(), new Peer()];
  const client = await connected(t, peer, { storage, issuer: undefined, sealing: 'classical' });
  const message = await client.encrypt(randomBytes(10), options);
  const fetch = (url, init) => other.fetch(url, init);
  for (const change of [() => undefined, () => (other.deployment = peer.deployment), () => (other.key = peer.key)]) {
    change();
    const later = await connected(t, peer, { storage, issuer: undefined, fetch });
    await outcome(other, later.encrypt(randomBytes(10), options), 'another server').then((given) => assert.equal(given, undefined));
    await assert.rejects(later.decrypt(message), KeyhavenError);
    await later.close();
  }
  assert.equal(asked(other, '/devices').length, 0, 'it does not enrol anew by itself');
});
