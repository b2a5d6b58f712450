// Parts of messages: read from wherever they are, verified, and never beyond what is genuine.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { test } from 'node:test';
import * as keyhaven from '@keyhaven/sdk';
import { Peer } from './peer.mjs';
import { coded, connected } from './stage.mjs';

const FRAME = 262_144;
const context = { film: 'seven' };

async function stage(t, size = 3 * FRAME + 1000) {
  const peer = new Peer();
  const client = await connected(t, peer);
  const data = randomBytes(size);
  const message = await client.encrypt(data, { key: 'films', context });
  return { peer, client, data, message };
}

/** A source that counts what is asked of it. */
function counted(message) {
  const reads = [];
  return { size: message.length, reads, read: async (start, end) => (reads.push([start, end]), message.subarray(start, end)) };
}

async function gathered(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('any part of a message is that part of its plaintext', async (t) => {
  const { client, data, message } = await stage(t);
  for (const source of [message, new Blob([message]), counted(message)]) {
    const opened = await client.open(source, { context });
    assert.equal(opened.size, data.length);
    const edges = [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME, data.length - 1, data.length];
    for (const start of edges) {
      for (const end of edges.filter((edge) => edge >= start)) {
        assert.ok(data.subarray(start, end).equals(await opened.read(start, end)), `${start} to ${end}`);
      }
    }
    assert.ok((await gathered(opened.stream())).equals(data));
    assert.ok((await gathered(opened.stream(5, FRAME + 7))).equals(data.subarray(5, FRAME + 7)));
  }
});

test('messages of every length open, with an empty final frame, too', async (t) => {
  const { client } = await stage(t, 1);
  for (const size of [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME]) {
    const data = randomBytes(size);
    const pieces = [];
    for await (const piece of new Blob([data]).stream().pipeThrough(client.encryptStream({ key: 'films' }))) pieces.push(piece);
    for (const message of [Buffer.concat(pieces), await client.encrypt(data, { key: 'films' })]) {
      const opened = await client.open(message);
      assert.equal(opened.size, size);
      assert.ok(data.equals(await opened.read(0, size)));
    }
  }
});

test('no more is fetched than the frames that are asked for, and those at hand not again', async (t) => {
  const { client, message } = await stage(t);
  const source = counted(message);
  const opened = await client.open(source);
  const before = source.reads.length;
  await opened.read(FRAME + 5, FRAME + 10);
  await opened.read(FRAME + 50, 2 * FRAME);
  const [[start, end], ...more] = source.reads.slice(before);
  assert.equal(end - start, FRAME + 32);
  assert.deepEqual(more, []);
});

test('a message cut anywhere, or with another after it, does not open', async (t) => {
  const { client, message, data } = await stage(t);
  const stride = FRAME + 32;
  const begin = message.length - (3 * stride + 1040);
  const cuts = [0, 10, begin - 1, begin, begin + 39, begin + stride, begin + 2 * stride, begin + 2 * stride + 500, message.length - 1];
  for (const cut of cuts) {
    await assert.rejects(client.open(message.subarray(0, cut)), keyhaven.KeyhavenError, `cut to ${cut}`);
  }
  const other = await client.encrypt(data, { key: 'films', context });
  for (const more of [other, other.subarray(begin), other.subarray(other.length - 1040), Buffer.alloc(1), Buffer.alloc(stride)]) {
    await assert.rejects(client.open(Buffer.concat([message, more])), keyhaven.KeyhavenError);
  }
});

test('frames moved, repeated, taken from another message or changed are refused when they are read', async (t) => {
  const { client, message, data } = await stage(t);
  const stride = FRAME + 32;
  const begin = message.length - (3 * stride + 1040);
  const frame = (from, number) => from.subarray(begin + (number - 1) * stride, begin + Math.min(number * stride, from.length));
  const other = await client.encrypt(data, { key: 'films', context });
  assert.equal(other.length, message.length);
  const changes = [
    [frame(message, 2), 1], [frame(message, 1), 2], [frame(other, 2), 2],
    [Buffer.from(frame(message, 2)).fill(1, 100, 101), 2], [Buffer.from(frame(message, 3)).fill(9, 4, 16), 3],
    [Buffer.concat([Buffer.alloc(4, 0xff), frame(message, 2).subarray(4)]), 2],
  ];
  for (const [changed, number] of changes) {
    const forged = Buffer.from(message);
    forged.set(changed, begin + (number - 1) * stride);
    const opened = await client.open(forged);
    const [start, end] = [(number - 1) * FRAME, number * FRAME];
    await assert.rejects(opened.read(start, end), coded('message_refused', keyhaven.IntegrityError), `frame ${number}`);
    await assert.rejects(opened.read(0, data.length), coded('message_refused', keyhaven.IntegrityError));
    await assert.rejects(gathered(opened.stream(start, end)), coded('message_refused', keyhaven.IntegrityError));
    const genuine = number === 1 ? 2 : 1;
    const part = data.subarray((genuine - 1) * FRAME, genuine * FRAME);
    assert.ok(part.equals(await opened.read((genuine - 1) * FRAME, genuine * FRAME)));
  }
  const headers = Buffer.from(message);
  headers[begin - 1] ^= 1;
  await assert.rejects(client.open(headers), coded('message_refused', keyhaven.IntegrityError));
  const last = Buffer.from(message);
  last[last.length - 1] ^= 1;
  await assert.rejects(client.open(last), coded('message_refused', keyhaven.IntegrityError));
});

test('a source that gives too little, or fails, is a typed error', async (t) => {
  const { client, message } = await stage(t);
  const short = { size: message.length, read: async (start, end) => message.subarray(start, end - 1) };
  await assert.rejects(client.open(short), coded('message_truncated', keyhaven.TruncatedError));
  await assert.rejects(client.open({ size: -1, read: short.read }), coded('invalid_argument'));
  const opened = await client.open(message);
  for (const [start, end] of [[-1, 1], [2, 1], [0, opened.size + 1], [0.5, 1], [0, NaN]]) {
    await assert.rejects(opened.read(start, end), coded('invalid_argument'));
  }
});

test('a part can be given up, and what is closed or whose lease ended gives nothing more', async (t) => {
  const { peer, client, message } = await stage(t);
  let stalls = false;
  const source = { size: message.length, read: (start, end, signal) => new Promise((resolve, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason));
    if (!stalls) resolve(message.subarray(start, end));
  }) };
  const opened = await client.open(source);
  await assert.rejects(opened.read(0, 1, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  stalls = true;
  const giveUp = new AbortController();
  const reading = opened.read(0, 1, { signal: giveUp.signal });
  const streaming = gathered(opened.stream(0, 1, { signal: giveUp.signal }));
  giveUp.abort();
  await assert.rejects(reading, { name: 'AbortError' });
  await assert.rejects(streaming, { name: 'AbortError' });
  stalls = false;
  const closed = await client.open(message);
  closed[Symbol.dispose]();
  closed.close();
  await assert.rejects(closed.read(0, 1), coded('closed'));
  const ended = new Promise((resolve) => client.leases.addEventListener('leaseended', resolve, { once: true }));
  peer.stopKey();
  await ended;
  await assert.rejects(opened.read(0, 1), coded('key_stopped', keyhaven.LeaseEndedError));
  await assert.rejects(gathered(opened.stream()), coded('key_stopped', keyhaven.LeaseEndedError));
});

test('a message about something else is refused before the server is asked', async (t) => {
  const { client, message, peer } = await stage(t);
  const before = peer.requests.length;
  await assert.rejects(client.open(message, { context: { film: 'eight' } }), coded('context_mismatch', keyhaven.IntegrityError));
  assert.equal(peer.requests.length, before);
});

test('at an address, ranges are asked for, and a file that was replaced is noticed', async (t) => {
  const { client, data, message } = await stage(t);
  const served = { file: message, tag: '"one"', ranges: true, asked: [] };
  const server = createServer((request, response) => {
    served.asked.push(request.headers.range);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (request.headers['if-match'] && request.headers['if-match'] !== served.tag) return response.writeHead(412).end();
    if (request.url !== '/film') return response.writeHead(404).end();
    if (!served.ranges) return response.writeHead(200).end(served.file);
    const part = served.file.subarray(Number(from), Number(to) + 1);
    const range = `bytes ${from}-${Number(from) + part.length - 1}/${served.file.length}`;
    response.writeHead(206, { 'content-range': range, etag: served.tag }).end(part);
  });
  await new Promise((resolve) => server.listen(0, resolve));
  t.after(() => server.close());
  const url = new URL(`http://localhost:${server.address().port}/film`);
  const opened = await client.open(url, { context });
  assert.ok(data.subarray(300_000, 300_100).equals(await opened.read(300_000, 300_100)));
  assert.ok(served.asked.every((range) => range !== undefined));
  served.tag = '"two"';
  await assert.rejects(opened.read(0, 10), coded('source_changed', keyhaven.IntegrityError));
  await assert.rejects(client.open(new URL('/other', url)), coded('source_unavailable', keyhaven.NetworkError));
  served.ranges = false;
  await assert.rejects(client.open(url), coded('ranges_unsupported', keyhaven.UnsupportedError));
});
