// Many records, keys at hand, signed messages, and streams that attackers or users break off.

import assert from 'node:assert/strict';
import { hkdfSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as keyhaven from '@keyhaven/sdk';
import { Peer } from './peer.mjs';
import { coded, connected, unheard, until } from './stage.mjs';

const FRAME = 262_144;
const options = { key: 'records', context: { table: 'people' } };

async function stage(t, more = {}) {
  const peer = new Peer();
  const tickets = [];
  const ticket = async (want) => (tickets.push(want.operation), 'a.ticket.jws');
  const client = await connected(t, peer, { ticket, ...more });
  return { peer, client, tickets };
}

/** What came out of a stream, and how it ended. */
async function passed(pieces, stream) {
  const out = [];
  let error;
  try {
    for await (const piece of ReadableStream.from(pieces).pipeThrough(stream)) out.push(piece);
  } catch (caught) {
    error = caught;
  }
  return { out: Buffer.concat(out), error };
}

test('many records take one data key and one request, whatever their lengths, in their order', async (t) => {
  const { client, tickets } = await stage(t);
  const records = [0, 1, 100, 8_193, FRAME, 3 * FRAME + 1, 64].map((length) => randomBytes(length));
  const done = [];
  const messages = await client.encryptMany(records, { ...options, onProgress: (bytes) => done.push(bytes) });
  assert.equal(done.at(-1), records.reduce((sum, { length }) => sum + length, 0));
  assert.equal(new Set(messages.map((message) => client.inspect(message).messageId)).size, records.length);
  const results = await client.decryptMany(messages, { context: options.context });
  results.forEach(({ status, value }, at) => assert.ok(status === 'fulfilled' && records[at].equals(value), `record ${at}`));
  assert.deepEqual(tickets, ['DeliverDataKey', 'UnsealDataKey']);
  assert.deepEqual(await client.encryptMany([], options), []);
  await assert.rejects(client.encryptMany(records, { ...options, signed: true }), coded('invalid_argument'));
});

test('one message that is refused spoils no other', async (t) => {
  const { client } = await stage(t);
  const messages = await client.encryptMany([randomBytes(10), randomBytes(10), randomBytes(10)], options);
  messages[1][messages[1].length - 1] ^= 1;
  const results = await client.decryptMany([...messages, new Uint8Array(3)], {});
  assert.deepEqual(results.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled', 'rejected']);
  assert.equal(results[1].reason.code, 'message_refused');
  assert.equal(results[3].reason.code, 'message_unsupported');
});

test('with a key at hand a small record never enters the event loop', async (t) => {
  const { client } = await stage(t);
  const record = randomBytes(1_000);
  const message = await client.encrypt(record, options);
  await client.decrypt(message);
  // Everything that could wait: timers, WebCrypto and the network would all come after this.
  let turned = false;
  setImmediate(() => (turned = true));
  await client.decrypt(await client.encrypt(record, options), { context: options.context });
  assert.equal(turned, false);
});

test('a key at hand encrypts and decrypts without promises, until its lease ends', async (t) => {
  const { client, peer, tickets } = await stage(t);
  const key = await client.dataKey({ ...options, decrypt: true });
  const record = randomBytes(500);
  const message = key.encryptSync(record);
  assert.ok(record.equals(key.decryptSync(message)));
  assert.ok(record.equals(await client.decrypt(message, { context: options.context })));
  assert.deepEqual(tickets, ['DeliverDataKey', 'UnsealDataKey']);
  assert.throws(() => key.decryptSync(message.subarray(0, message.length - 1)), coded('message_truncated', keyhaven.TruncatedError));
  const other = await client.encrypt(record, { key: 'records', context: { table: 'places' } });
  assert.throws(() => key.decryptSync(other), coded('context_mismatch', keyhaven.IntegrityError));
  const writeOnly = await client.dataKey({ key: 'records', context: { table: 'logs' } });
  assert.throws(() => writeOnly.decryptSync(writeOnly.encryptSync(record)), coded('data_key_missing'));
  const ended = new Promise((resolve) => client.leases.addEventListener('leaseended', resolve, { once: true }));
  peer.stopKey();
  await ended;
  assert.throws(() => key.encryptSync(record), coded('data_key_missing'));
  assert.throws(() => key.decryptSync(message), coded('data_key_missing'));
  key[Symbol.dispose]();
  assert.throws(() => key.encryptSync(record), coded('closed'));
});

test('a signed message is signed, opens as a whole, and in no other way', async (t) => {
  const { client, tickets } = await stage(t);
  const record = randomBytes(600_000);
  const [one, two] = [await client.encrypt(record, { ...options, signed: true }), await client.encrypt(record, { ...options, signed: true })];
  assert.equal(client.inspect(one).signed, true);
  assert.deepEqual(tickets, ['DeliverDataKey', 'DeliverDataKey'], 'each has a data key of its own');
  assert.ok(record.equals(await client.decrypt(one, { context: options.context })));
  for (const at of [one.length - 1, one.length - 200, 40]) {
    const changed = one.slice();
    changed[at] ^= 1;
    await assert.rejects(client.decrypt(changed), keyhaven.KeyhavenError, `byte ${at}`);
  }
  const swapped = Buffer.concat([one.subarray(0, -104), two.subarray(-104)]);
  await assert.rejects(client.decrypt(swapped), keyhaven.IntegrityError);
  const { out, error } = await passed([one], client.decryptStream());
  assert.deepEqual([out.length, error.code], [0, 'message_signed_stream']);
  await assert.rejects(client.open(one), coded('message_signed_stream', keyhaven.UnsupportedError));
  const streamed = await passed([record], client.encryptStream({ ...options, signed: true }));
  assert.ok(record.equals(await client.decrypt(streamed.out)));
});

test('frames moved, repeated, left out or spliced give no byte past the last genuine one', async (t) => {
  const { client } = await stage(t);
  const data = randomBytes(3 * FRAME + 100);
  const [message, other] = await client.encryptMany([data, data], options);
  const stride = FRAME + 32;
  const begin = message.length - (3 * stride + 140);
  const cut = (from) => [0, 1, 2, 3].map((at) => from.subarray(begin + at * stride, at === 3 ? from.length : begin + (at + 1) * stride));
  const [[a, b, c, last], [, spliced, , foreign]] = [cut(message), cut(other)];
  const changed = Buffer.from(b);
  changed[500] ^= 1;
  const tries = [
    ['swapped', [b, a, c, last], 0], ['repeated', [a, a, b, c, last], 1], ['left out', [a, c, last], 1],
    ['spliced', [a, spliced, c, last], 1], ['changed', [a, changed, c, last], 1], ['the end too early', [a, last], 1],
    ['another end', [a, b, c, foreign], 3], ['cut at a frame', [a, b], 2, 'message_truncated'],
    ['cut in a frame', [a, b, c.subarray(0, 9)], 2, 'message_truncated'], ['more after it', [a, b, c, last, a], 4, 'message_trailing_data'],
  ];
  for (const [what, frames, genuine, code = 'message_refused'] of tries) {
    const forged = Buffer.concat([message.subarray(0, begin), ...frames]);
    for (const size of [1_000, 70_001, forged.length]) {
      const pieces = Array.from({ length: Math.ceil(forged.length / size) }, (_, at) => forged.subarray(at * size, (at + 1) * size));
      const { out, error } = await passed(pieces, client.decryptStream());
      assert.equal(error?.code, code, `${what} in pieces of ${size}`);
      assert.ok(out.length <= Math.min(genuine * FRAME, data.length) && data.subarray(0, out.length).equals(out), `${what}: ${out.length}`);
    }
    await assert.rejects(client.decrypt(forged), coded(code), what);
  }
});

test('streams broken off in every way leave no lease at work and no rejection unheard', async (t) => {
  const { client } = await stage(t);
  const reasons = unheard(t);
  const message = await client.encrypt(randomBytes(4 * FRAME), options);
  const inputs = { encryptStream: randomBytes(4 * FRAME), decryptStream: message };
  for (const [kind, input] of Object.entries(inputs)) {
    const make = (signal) => (kind === 'encryptStream' ? client.encryptStream({ ...options, signal }) : client.decryptStream({ signal }));
    for (const how of ['abort the signal', 'abort the writer', 'cancel the reader', 'abort before it begins']) {
      const controller = new AbortController();
      if (how === 'abort before it begins') controller.abort();
      const { readable, writable } = make(controller.signal);
      const [writer, reader] = [writable.getWriter(), readable.getReader()];
      writer.write(input.subarray(0, 3 * FRAME)).catch(() => undefined);
      writer.closed.catch(() => undefined);
      reader.closed.catch(() => undefined);
      if (how !== 'abort before it begins') await reader.read();
      if (how === 'abort the signal') controller.abort();
      if (how === 'abort the writer') await writer.abort(new Error('enough')).catch(() => undefined);
      if (how === 'cancel the reader') await reader.cancel('enough');
      else await assert.rejects(reader.read().then(({ done }) => assert.ok(!done)), `${kind}: ${how}`);
      await assert.rejects(writer.write(input), `${kind}: ${how}`);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(reasons, []);
  assert.ok(client.leases.current.every(({ users }) => users <= 1), 'only the cache holds keys');
});

test('a reader that waits holds up the writer, within one long piece, too', async (t) => {
  const { client } = await stage(t);
  const { readable, writable } = client.encryptStream(options);
  const [writer, reader] = [writable.getWriter(), readable.getReader()];
  let written = false;
  const writing = writer.write(new Uint8Array(64 * FRAME)).then(() => (written = true));
  const first = await reader.read();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(written, false, 'sixteen mebibytes do not wait in a queue');
  let length = first.value.length;
  const closing = writing.then(() => writer.close());
  for (let step = await reader.read(); !step.done; step = await reader.read()) length += step.value.length;
  await closing;
  assert.ok(length > 64 * FRAME);
});

test('progress is told in bytes of plaintext, and a callback that throws breaks the stream', async (t) => {
  const { client } = await stage(t);
  const data = randomBytes(2 * FRAME + 5);
  const told = [];
  const sealed = await passed([data], client.encryptStream({ ...options, onProgress: (bytes) => told.push(bytes) }));
  await passed([sealed.out], client.decryptStream({ onProgress: (bytes) => told.push(bytes) }));
  assert.deepEqual(told, [FRAME, 2 * FRAME, data.length, FRAME, 2 * FRAME, data.length]);
  const broken = await passed([data], client.encryptStream({ ...options, onProgress: () => { throw new Error('no'); } }));
  assert.equal(broken.error?.message, 'no');
});

/** How a client loses its keys. */
const ENDS = {
  'the client was closed': (client) => client.close(),
  'the user logged out': (client) => client.logout(),
  'the device was forgotten': (client) => client.forget(),
  'the server stopped the key': (client, peer) => void peer.stopKey(),
  'the device was revoked': (client, peer) => void peer.revokeDevice(client.device),
  'the leases ran out': () => undefined,
};
for (const [how, end] of Object.entries(ENDS)) {
  test(`after ${how}, no byte of a key is left in the memory of the module`, async (t) => {
    const { peer, client } = await stage(t, { leaseSeconds: how.includes('ran out') ? 1 : 300, persist: keyhaven.memoryLeaseStorage() });
    // The bindings are those of the client; a second call gives what the first one made.
    const { default: init } = await import('../wasm/keyhaven_sdk.js');
    const { memory } = await init();
    const message = await client.encrypt(randomBytes(3 * FRAME), options);
    await client.decrypt(message);
    await client.decrypt(await client.encrypt(randomBytes(100), options));
    const opened = await client.open(message);
    await opened.read(0, 10);
    const found = (key) => Buffer.from(memory.buffer).includes(key);
    const keys = peer.dataKeys.flatMap((dataKey) => [dataKey, messageKey(dataKey, message)]);
    assert.ok(keys.length >= 2 && peer.dataKeys.some(found), 'held keys are there: the search finds what it looks for');
    await end(client, peer);
    await until(() => client.leases.current.length === 0);
    await assert.rejects(opened.read(FRAME, FRAME + 1), keyhaven.KeyhavenError);
    // A renewal that was on its way is thrown away when it comes.
    await until(() => !keys.some(found), 5_000);
    assert.equal(client.leases.current.length, 0);
  });
}

test('of a key that was opened and never used nothing is left either', async (t) => {
  const { peer, client } = await stage(t);
  const { default: init } = await import('../wasm/keyhaven_sdk.js');
  const { memory } = await init();
  const found = () => peer.dataKeys.some((key) => Buffer.from(memory.buffer).includes(key));
  // To open it to decrypt is the last thing that the module does.
  await client.dataKey({ ...options, decrypt: true });
  assert.ok(found());
  await client.close();
  await until(() => !found(), 5_000);
});

/** The key of a message (docs/formats.md): what WebCrypto was given. */
function messageKey(dataKey, message) {
  const info = Buffer.concat([Buffer.from([0x04, 0x78]), Buffer.from('DERIVEKEY')]);
  return Buffer.from(hkdfSync('sha512', dataKey, message.subarray(3, 35), info, 32));
}

test('a message like the one opened before is read as strictly as that', async (t) => {
  const client = await connected(t, new Peer());
  const context = { album: 'summer' };
  const [one, two] = [await client.encrypt(randomBytes(20), { key: 'photos', context }), await client.encrypt(randomBytes(20), { key: 'photos', context })];
  const handle = await client.dataKey({ key: 'photos', context, decrypt: true });
  for (let at = 0; at < two.length; at += 1) {
    const changed = two.slice();
    changed[at] ^= 1;
    await client.decrypt(one, { context });
    await assert.rejects(client.decrypt(changed, { context }), keyhaven.KeyhavenError, `byte ${at}`);
    await assert.rejects(client.decrypt(two.subarray(0, at), { context }), keyhaven.KeyhavenError, `cut to ${at}`);
    handle.decryptSync(one);
    assert.throws(() => handle.decryptSync(changed), keyhaven.KeyhavenError, `byte ${at}`);
  }
  await client.decrypt(one, { context });
  await assert.rejects(client.decrypt(two, { context: { album: 'winter' } }), { code: 'context_mismatch' });
  await client.decrypt(one);
  await assert.rejects(client.decrypt(two, { context: { album: 'winter' } }), { code: 'context_mismatch' });
  assert.equal((await client.decrypt(two, { context })).length, 20);
});
