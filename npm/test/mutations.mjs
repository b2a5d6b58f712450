// What a hostile server, or somebody on the way, could make of an answer. The same number makes the same change.

/** Numbers from 0 to below `most`, by mulberry32: the same ones for the same seed. */
export function numbers(seed) {
  let state = seed;
  return (most) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % most;
  };
}

const HOSTILE = [
  null, true, false, -1, 0.5, 2 ** 53, 1e308, 4_294_967_296, '', ' ', '\0', '=', 'AAAA', '\ud800', 'A'.repeat(100_000), [], [[]], {},
  '__proto__', '00000000-0000-0000-0000-000000000000', { toString: 1, length: 9 }, Array.from({ length: 1000 }, () => 0),
];

/** Changes of bytes, wherever they are. */
const BYTES = [
  (bytes, pick) => { bytes[pick(bytes.length)] ^= 1 << pick(8); return bytes; },
  (bytes, pick) => bytes.subarray(0, pick(bytes.length)),
  (bytes, pick) => bytes.subarray(1 + pick(Math.min(bytes.length, 64))),
  (bytes, pick) => Buffer.concat([bytes, Buffer.alloc(1 + pick(300), pick(256))]),
  (bytes, pick) => Buffer.concat([bytes, bytes.subarray(pick(bytes.length))]),
  (bytes, pick) => bytes.fill(pick(256), pick(bytes.length), pick(bytes.length)),
  (bytes, pick) => { const at = pick(bytes.length); return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + pick(9), pick(256)), bytes.subarray(at)]); },
];

/** Changes of a document: a field goes, becomes something else, or what it was in an earlier answer. */
const FIELDS = [
  (document, name) => void delete document[name],
  (document, name, pick) => void (document[name] = HOSTILE[pick(HOSTILE.length)]),
  (document, name, pick) => void (document[name] = Object.values(document)[pick(Object.keys(document).length)]),
  (document, name, pick, earlier) => void (document[name] = earlier[pick(earlier.length)]?.[name] ?? null),
  (document, name, pick) => {
    if (typeof document[name] !== 'string') return void (document[name] = [document[name]]);
    const bytes = Buffer.from(document[name], 'base64');
    document[name] = BYTES[pick(BYTES.length)](bytes, pick).toString('base64');
  },
];

/** Changes of what HTTP says of it. */
const ANSWERS = [
  (text, pick) => new Response(text, { status: [201, 202, 206, 400, 401, 403, 404, 409, 418, 429, 451, 500, 502, 503, 599][pick(15)] }),
  () => new Response(null, { status: 204 }),
  () => new Response(''),
  (text) => new Response(text, { status: 307, headers: { location: 'https://elsewhere.example' } }),
  (text) => new Response(`${'['.repeat(20_000)}${text}`),
  (text) => new Response(`{"delivery":"","delivery":"",${text.slice(1)}`),
  (text, pick) => new Response(new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.from(text).subarray(0, pick(text.length)));
      controller.error(new TypeError('terminated'));
    },
  })),
  () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(0x20)) })),
  () => { throw new TypeError('fetch failed'); },
];

/** A changed answer. `earlier` are documents that were answered before. */
export function mutated(text, pick, earlier) {
  const kind = pick(10);
  if (kind === 0) return ANSWERS[pick(ANSWERS.length)](text, pick);
  if (kind < 4) return new Response(BYTES[pick(BYTES.length)](Buffer.from(text), pick));
  const document = JSON.parse(text);
  const names = Object.keys(document);
  for (let more = pick(3); more >= 0; more -= 1) FIELDS[pick(FIELDS.length)](document, names[pick(names.length)], pick, earlier);
  return new Response(JSON.stringify(document));
}

/** A changed text of a stream of events. */
export function mutatedEvent(text, pick) {
  const data = /data: (.*)/.exec(text)?.[1] ?? '';
  const changed = BYTES[pick(BYTES.length)](Buffer.from(data, 'base64'), pick).toString('base64');
  return pick(2) ? text.replace(data, changed) : BYTES[pick(BYTES.length)](Buffer.from(text), pick).toString('latin1');
}
