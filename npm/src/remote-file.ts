/** An encrypted file at an address, of which any part can be had. */

import type { ByteRange } from './byte-range.js';
import type { Keyhaven } from './client.js';
import type { EncryptionContext } from './encoding.js';
import { IntegrityError, NetworkError, TruncatedError, UnsupportedError } from './errors.js';
import { fetch, own } from './platform.js';

/** Where a message is, and what it must be about. */
export interface RemoteMessage {
  readonly url: string | URL;
  readonly context: EncryptionContext;
}

/** What this needs of a client. */
export type Decrypter = Pick<Keyhaven, 'decryptStream' | 'inspect'>;

/** Asks for the file's length, which its message tells before anything is decrypted. */
export async function openRemote(client: Decrypter, message: RemoteMessage): Promise<RemoteFile> {
  const answer = await get(message.url, { range: `bytes=0-${HEAD - 1}` });
  const total = Number(/\/(\d+)$/.exec(answer.headers.get('content-range') ?? '')?.[1] ?? answer.headers.get('content-length') ?? NaN);
  if (!Number.isSafeInteger(total)) throw new UnsupportedError('length_unknown', 'the encrypted file\'s server tells no length');
  const head = await beginning(answer);
  const info = client.inspect(head);
  if (!info) throw new TruncatedError('message_truncated', 'the message is cut off before its end');
  if (info.signed || info.frameLength === undefined) {
    throw new UnsupportedError('message_not_seekable', 'a signed message, or one in one piece, is decrypted as a whole only');
  }
  return new RemoteFile(client, message, plaintextLength(total - headerLength(head), info.frameLength));
}

/** A file whose message was found. */
export class RemoteFile {
  /** Bytes of the decrypted file; as long as nothing was decrypted, by the word of its server. */
  readonly size: number;
  readonly #client: Decrypter;
  readonly #message: RemoteMessage;

  constructor(client: Decrypter, message: RemoteMessage, size: number) {
    this.#client = client;
    this.#message = message;
    this.size = size;
  }

  /**
   * A part of it, once its first byte is decrypted and verified. The message is decrypted from its beginning up
   * to the part's end; when the part reaches the file's end, the message's is verified, too.
   */
  async stream({ from, to }: ByteRange): Promise<ReadableStream<Uint8Array>> {
    const { url, context } = this.#message;
    const answer = await get(url, {});
    const decrypted = (answer.body as ReadableStream<Uint8Array>).pipeThrough(this.#client.decryptStream({ context }));
    const reader = decrypted.getReader();
    let at = 0;
    const next = async (): Promise<Uint8Array | undefined> => {
      for (;;) {
        if (at >= to && to < this.size) return void (await reader.cancel());
        const { done, value } = await reader.read();
        if (done && at === this.size) return undefined;
        if (done || at + value.length > this.size) throw new IntegrityError('message_refused', 'the message is not as long as its server says');
        const begin = at;
        at += value.length;
        if (at > from && begin < to) return value.subarray(Math.max(0, from - begin), to - begin);
      }
    };
    let first = await next();
    return new ReadableStream({
      async pull(controller) {
        const piece = first ?? (await next());
        first = undefined;
        if (piece) controller.enqueue(piece);
        else controller.close();
      },
      cancel: (reason) => reader.cancel(reason),
    }, { highWaterMark: 0 });
  }
}

/** The length of a framed body's plaintext: full frames, and a last one that may be empty. */
function plaintextLength(body: number, frameLength: number): number {
  const full = Math.floor((body - LAST) / (frameLength + FRAME));
  const last = body - LAST - full * (frameLength + FRAME);
  if (body < LAST || last > frameLength) throw new TruncatedError('message_truncated', 'the message is cut off before its end');
  return full * frameLength + last;
}

/** The length of a header that was read already (AWS Encryption SDK message format, version 2). */
function headerLength(head: Uint8Array): number {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  // Version, suite, message id; then the context.
  let at = 35 + 2 + view.getUint16(35);
  const dataKeys = view.getUint16(at);
  at += 2;
  // Each encrypted data key: provider, its information, the data key.
  for (let field = 0; field < dataKeys * 3; field += 1) at += 2 + view.getUint16(at);
  // Content type, frame length, commitment, authentication tag.
  return at + 1 + 4 + 32 + 16;
}

async function get(url: string | URL, headers: Record<string, string>): Promise<Response> {
  const answer = await fetch(url, own({ headers })).catch((cause: unknown) => {
    throw new NetworkError('network_failed', 'the encrypted file cannot be fetched', { cause });
  });
  if (answer.ok && answer.body) return answer;
  throw new NetworkError('file_unavailable', `the encrypted file cannot be fetched: its server answers ${answer.status}`);
}

/** The first bytes of an answer, which may be longer than was asked for. */
async function beginning(answer: Response): Promise<Uint8Array> {
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const head = new Uint8Array(HEAD);
  let filled = 0;
  for (let { done, value } = await reader.read(); !done && value && filled < HEAD; { done, value } = await reader.read()) {
    const part = value.subarray(0, HEAD - filled);
    head.set(part, filled);
    filled += part.length;
  }
  await reader.cancel();
  return head.subarray(0, filled);
}

/** Bytes asked for at first: more than a header takes, unless its context is very long. */
const HEAD = 16 * 1024;
/** What a frame has beside its content: number, IV, tag; the last one also its mark and its length. */
const FRAME = 4 + 12 + 16;
const LAST = FRAME + 4 + 4;
