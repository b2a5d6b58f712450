/** The answers of a Service Worker that serves decrypted files. None of them may be kept by a cache. */

import { type ByteRange, askedRange } from './byte-range.js';
import { IntegrityError, type KeyhavenError, LeaseEndedError, NetworkError, RefusedError, TruncatedError, UnsupportedError } from './errors.js';

/** A message that is opened: any part of it can be had, decrypted and verified. */
export interface Seekable {
  /** Bytes of the decrypted file. */
  readonly size: number;
  /** A part of it, once its first byte is there. */
  stream(range: ByteRange): Promise<ReadableStream<Uint8Array>>;
}

/** The file, or the part of it that the request asks for. `failed` hears when it breaks off. */
export async function fileAnswer(
  file: Seekable,
  type: string,
  request: Request,
  failed: (error: unknown) => void,
): Promise<Response> {
  const { size } = file;
  // Without a validator, an `If-Range` never holds (RFC 9110 §13.1.5): then all of it is sent.
  const header = request.headers.has('if-range') ? null : request.headers.get('range');
  const asked = askedRange(header, size);
  if (asked === 'unsatisfiable') return answer(416, { 'content-range': `bytes */${size}` });
  const range = asked === 'whole' ? { from: 0, to: size } : asked;
  const headers = {
    'accept-ranges': 'bytes',
    'content-type': type,
    'content-length': String(range.to - range.from),
    ...(asked !== 'whole' && { 'content-range': `bytes ${range.from}-${range.to - 1}/${size}` }),
  };
  const body = request.method === 'HEAD' ? null : watched(await file.stream(range), failed);
  return answer(asked === 'whole' ? 200 : 206, headers, body);
}

/** An error as a problem document (RFC 9457). */
export function problemAnswer({ code, message }: KeyhavenError, status: number): Response {
  const document = { type: 'about:blank', title: code, status, code, detail: message };
  return answer(status, { 'content-type': 'application/problem+json' }, JSON.stringify(document));
}

/** The status that tells a page whose fault it was. */
export function statusOf(error: unknown): number {
  if (error instanceof RefusedError) return error.status >= 400 && error.status < 600 ? error.status : 502;
  if (error instanceof LeaseEndedError) return 403;
  if (error instanceof IntegrityError || error instanceof TruncatedError) return 502;
  if (error instanceof NetworkError) return 504;
  if (error instanceof UnsupportedError) return 501;
  return 500;
}

/** An answer with the headers that each carries. */
export function answer(status: number, headers: Record<string, string>, body: BodyInit | null = null): Response {
  return new Response(body, {
    status,
    headers: {
      // Plaintext is not kept, not guessed at, and as a document of its own runs no script of this origin.
      'cache-control': 'no-store',
      'content-security-policy': "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'",
      'x-content-type-options': 'nosniff',
      ...headers,
    },
  });
}

/** The same stream; `failed` hears its error before the reader does. */
function watched(stream: ReadableStream<Uint8Array>, failed: (error: unknown) => void): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        failed(error);
        throw error;
      }
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
