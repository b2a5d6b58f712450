/** Messages of which any part can be read: in memory, in a file, or at an address. */

import { IntegrityError, KeyhavenError, NetworkError, TruncatedError, UnsupportedError } from './errors.js';
import { fetch, own } from './platform.js';

/** Gives bytes of a message from where they are. */
export interface MessageSource {
  /** Bytes in all. */
  readonly size: number;
  /** The bytes from `start` up to, and without, `end`: exactly so many. */
  read(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** Where an encrypted message is. A URL's server must answer requests for a range (RFC 9110 §14). */
export type Openable = Uint8Array | Blob | URL | MessageSource;

/** A source that gives as many bytes as were asked for, or fails. */
export async function sourceOf(given: Openable, signal?: AbortSignal): Promise<MessageSource> {
  const source = await bare(given, signal);
  if (!Number.isSafeInteger(source.size) || source.size < 0) {
    throw new KeyhavenError('invalid_argument', 'a source tells its `size` in bytes');
  }
  return {
    size: source.size,
    async read(start, end, ends) {
      ends?.throwIfAborted();
      const bytes = await source.read(start, end, ends);
      ends?.throwIfAborted();
      if (bytes.length === end - start) return bytes;
      throw new TruncatedError('message_truncated', 'the message is cut off before its end');
    },
  };
}

async function bare(given: Openable, signal?: AbortSignal): Promise<MessageSource> {
  if (given instanceof Uint8Array) return { size: given.length, read: async (start, end) => given.subarray(start, end) };
  if (given instanceof Blob) {
    return { size: given.size, read: async (start, end) => new Uint8Array(await given.slice(start, end).arrayBuffer()) };
  }
  return given instanceof URL ? remote(given, signal) : given;
}

/** A file at an address. What its first answer brought is not asked for again. */
async function remote(url: URL, signal?: AbortSignal): Promise<MessageSource> {
  const answer = await ask(url, [0, HEAD], {}, signal);
  const size = Number(/^bytes 0-\d+\/(\d+)$/.exec(answer.headers.get('content-range') ?? '')?.[1] ?? NaN);
  if (!Number.isSafeInteger(size)) {
    await answer.body?.cancel();
    throw new UnsupportedError('length_unknown', 'the server does not tell how long the message is');
  }
  const head = await bytesOf(answer, Math.min(HEAD, size), signal);
  // Only a strong validator tells that all parts are of one file.
  const tag = answer.headers.get('etag');
  const same: Record<string, string> = tag && !tag.startsWith('W/') ? { 'if-match': tag } : {};
  const read = async (start: number, end: number, ends?: AbortSignal) => {
    if (end <= head.length) return head.subarray(start, end);
    return bytesOf(await ask(url, [start, end], same, ends), end - start, ends);
  };
  return { size, read };
}

async function ask(url: URL, [start, end]: [number, number], more: Record<string, string>, signal?: AbortSignal): Promise<Response> {
  const init = own({ headers: own({ range: `bytes=${start}-${end - 1}`, ...more }), ...(signal && { signal }) });
  const answer = await fetch(url, init).catch(unreachable(signal));
  if (answer.status === 206) return answer;
  await answer.body?.cancel();
  if (answer.status === 412) throw new IntegrityError('source_changed', 'the message was replaced while it was read: open it again');
  if (answer.ok) throw new UnsupportedError('ranges_unsupported', 'the server does not answer requests for a range');
  throw new NetworkError('source_unavailable', `the message cannot be fetched: its server answers ${answer.status}`);
}

/** The body, but no more than was asked for. */
async function bytesOf(answer: Response, most: number, signal?: AbortSignal): Promise<Uint8Array> {
  const bytes = new Uint8Array(most);
  const reader = answer.body?.getReader();
  let filled = 0;
  for (;;) {
    const piece = await reader?.read().catch(unreachable(signal));
    if (!piece || piece.done) return bytes.subarray(0, filled);
    if (filled + piece.value.length > most) {
      void reader?.cancel().catch(() => undefined);
      throw new NetworkError('source_unavailable', 'the server sent more than was asked for');
    }
    bytes.set(piece.value, filled);
    filled += piece.value.length;
  }
}

function unreachable(signal?: AbortSignal): (cause: unknown) => never {
  return (cause) => {
    signal?.throwIfAborted();
    throw new NetworkError('network_failed', 'the message cannot be fetched', { cause });
  };
}

/** Bytes asked for at first: more than most headers take. */
const HEAD = 4096;
