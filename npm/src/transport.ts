/** Requests to the native API, each signed by this device (RFC 9421). */

import type { ServerClock } from './clock.js';
import { withDeadline } from './deadline.js';
import type { Device } from './device.js';
import { Answer } from './documents.js';
import { joined, toBase64 } from './encoding.js';
import { IntegrityError, KeyhavenError, NetworkError, RefusedError, guarded } from './errors.js';
import { own } from './platform.js';
import type { Reachability } from './reachability.js';
import type { Wasm } from './wasm.js';

/** What differs between requests. */
export interface RequestOptions {
  /** The `Authorization` header, where the device's proof alone does not do. */
  readonly authorization?: string | undefined;
  /** Ends the request early. */
  readonly signal?: AbortSignal | undefined;
  /** Seconds to wait for the whole answer; 30 by default. */
  readonly timeoutSeconds?: number;
}

/** What requests are made with. */
export interface TransportParts {
  readonly wasm: Wasm;
  readonly device: Device;
  readonly clock: ServerClock;
  readonly reachability: Reachability;
}

type Sending = RequestOptions & { readonly body?: Uint8Array<ArrayBuffer> };

/** Sends requests to one server. */
export class Transport {
  readonly #base: string;
  readonly #fetch: typeof fetch;
  readonly #wasm: Wasm;
  readonly #device: Device;
  readonly #clock: ServerClock;
  readonly #reachability: Reachability;

  constructor(url: string, fetcher: typeof fetch, parts: TransportParts) {
    this.#base = baseOf(url);
    this.#fetch = fetcher;
    this.#wasm = parts.wasm;
    this.#device = parts.device;
    this.#clock = parts.clock;
    this.#reachability = parts.reachability;
  }

  /** Posts a document, gives the answer's. */
  async post(path: string, document: object, options: RequestOptions): Promise<Answer> {
    const { authorization, signal: given, timeoutSeconds = TIMEOUT_S } = own(options);
    const body = new TextEncoder().encode(JSON.stringify(document));
    const answer = withDeadline(timeoutSeconds, given, async (signal) => {
      const response = await this.#send('POST', path, own({ authorization, signal, body }));
      return new Answer(await json(response, signal));
    });
    return this.#noting(answer);
  }

  /** Opens a stream of server-sent events. */
  async events(path: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    // The signal ends it, too, when nothing comes for long.
    const response = await this.#noting(this.#send('GET', path, { signal }));
    if (!response.body) throw new NetworkError('network_failed', 'the answer has no body');
    return response.body;
  }

  /** Notes whether the server was reached: a gateway's error page, or a captive portal's, is not its answer. */
  async #noting<T>(answer: Promise<T>): Promise<T> {
    try {
      const given = await answer;
      this.#reachability.answered();
      return given;
    } catch (error) {
      if (error instanceof RefusedError && error.code !== 'http_error') this.#reachability.answered();
      else if (error instanceof KeyhavenError) this.#reachability.failed();
      throw error;
    }
  }

  /** Sends a request. One whose date the server may have forgotten is signed again, once: nothing else of it was looked at. */
  async #send(method: string, path: string, options: Sending): Promise<Response> {
    const date = this.#clock.estimate();
    try {
      return await this.#sendDated(date, method, path, options);
    } catch (error) {
      if (!(error instanceof RefusedError) || error.code !== 'device_proof_too_old') throw error;
      return this.#sendDated(Math.max(date + LATER, this.#clock.estimate()), method, path, options);
    }
  }

  async #sendDated(date: number, method: string, path: string, options: Sending): Promise<Response> {
    const { body, signal } = options;
    const headers = await this.#prove(date, method, `${API}${path}`, body ?? new Uint8Array());
    headers.set('accept', body ? 'application/json' : 'text/event-stream');
    if (body) headers.set('content-type', 'application/json');
    if (options.authorization) headers.set('authorization', options.authorization);
    const init: RequestInit = own({
      method,
      headers,
      // No cookie, no cache, no redirect: an answer comes from the server that was asked, for this request.
      // A redirect is refused below, since not every platform has `error`.
      credentials: 'omit',
      cache: 'no-store',
      redirect: 'manual',
      referrerPolicy: 'no-referrer',
      ...(body && { body }),
      ...(signal && { signal }),
    });
    const response = await this.#fetch(`${this.#base}${API}${path}`, init).catch(unreachable(signal));
    if (response.type === 'opaqueredirect' || REDIRECTS.test(`${response.status}`)) {
      throw new NetworkError('network_failed', 'the server\'s address redirects: use the one that it leads to');
    }
    if (!response.ok) throw await refusal(response, signal);
    return response;
  }

  /** The headers that prove which device asks, for what. The path is the server's own, without a relay's prefix. */
  async #prove(date: number, method: string, target: string, body: Uint8Array): Promise<Headers> {
    const proof = guarded(() => new this.#wasm.RequestProof(this.#device.id, method, target, body, Math.floor(date / 1000)));
    try {
      const signature = await this.#device.sign(proof.base);
      return new Headers({
        'content-digest': proof.contentDigest,
        'signature-input': proof.signatureInput,
        signature: `keyhaven=:${toBase64(signature)}:`,
      });
    } finally {
      proof.free();
    }
  }
}

/** The address without a trailing slash, query or fragment. In a page it may be a path of the page's own origin. */
export function baseOf(url: string): string {
  const parsed = tryUrl(url);
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.search || parsed.hash) {
    throw new KeyhavenError('invalid_argument', '`url` is the server\'s address, such as https://keys.example');
  }
  return parsed.href.replace(/\/+$/, '');
}

function tryUrl(url: string): URL | undefined {
  try {
    return new URL(url, url.startsWith('/') ? globalThis.location?.href : undefined);
  } catch {
    return undefined;
  }
}

function unreachable(signal?: AbortSignal): (cause: unknown) => never {
  return (cause) => {
    signal?.throwIfAborted();
    throw new NetworkError('network_failed', 'the server cannot be reached', { cause });
  };
}

/** Reads a problem document (RFC 9457); an answer that is none gets the code `http_error`. */
async function refusal(response: Response, signal?: AbortSignal): Promise<KeyhavenError> {
  const { status } = response;
  try {
    const problem = new Answer(await json(response, signal));
    return new RefusedError(problem.text('code'), problem.text('detail'), status, problem.text('request_id'));
  } catch {
    signal?.throwIfAborted();
    return new RefusedError('http_error', `the server answered with status ${status}`, status, '');
  }
}

/** Reads a document, but no more than a document of this API can have. */
async function json(response: Response, signal?: AbortSignal): Promise<unknown> {
  const bytes = joined(await read(response, signal).catch(unreachable(signal)));
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    throw new IntegrityError('answer_malformed', 'the answer is not JSON');
  }
}

async function read(response: Response, signal?: AbortSignal): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  const reader = response.body?.getReader();
  let room = MAX_ANSWER;
  for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
    pieces.push(piece.value);
    room -= piece.value.length;
    if (room < 0 || signal?.aborted) {
      void reader?.cancel().catch(() => undefined);
      throw new Error('the answer is too long');
    }
  }
  return pieces;
}

const API = '/api/v1';
const MAX_ANSWER = 256 * 1024;
const REDIRECTS = /^3\d\d$/;
const TIMEOUT_S = 30;
/** Milliseconds: so much later the second signature is dated, for clocks that are behind. The server takes 300 s either way. */
const LATER = 60_000;
