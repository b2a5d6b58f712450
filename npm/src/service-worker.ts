/**
 * Serves encrypted files to a page as if they were plain: `<img src>`, `<video src>`, links and `fetch` just
 * work, and a video seeks.
 *
 * It runs in a Service Worker of your own. Requests of its pages that {@link DecryptedFilesOptions.find} knows
 * are answered with the decrypted file; all others take their usual way.
 *
 * @packageDocumentation
 */

import type { Keyhaven } from './client.js';
import type { EncryptionContext } from './encoding.js';
import { KeyhavenError } from './errors.js';
import { type RemoteFile, openRemote } from './remote-file.js';
import { answer, fileAnswer, problemAnswer, statusOf } from './serving.js';

/** Where an encrypted file is, and what it is. */
export interface EncryptedFile {
  /** The address of the message. A server that answers requests for a range is asked for no more than is read. */
  readonly url: string | URL;
  /** The decrypted file's media type, such as `video/mp4`. */
  readonly type: string;
  /** Pairs that the message's context must have. */
  readonly context?: EncryptionContext;
}

/** How files are found and decrypted. */
export interface DecryptedFilesOptions {
  /** Connects the client. Called for the first file, and again after it failed or the client was closed. */
  readonly client: () => Promise<Keyhaven>;
  /** The file that a request asks for; `undefined` leaves the request to the network. */
  readonly find: (request: Request) => EncryptedFile | undefined;
  /** Hears of each file that could not be served, or not to its end; by default its page does, too. */
  readonly onFailure?: (failure: ServingFailure) => void;
}

/** A file that could not be served. A page hears of it as the `data` of a message from its Service Worker. */
export interface ServingFailure {
  /** Tells this message from others. */
  readonly type: 'keyhaven-failure';
  /** The address that the page asked for. */
  readonly url: string;
  /** The error's stable code. */
  readonly code: string;
  /** What to do about it. */
  readonly message: string;
}

/** What the helper needs of a `FetchEvent`. */
export interface FetchLike {
  /** What the page asks for. */
  readonly request: Request;
  /** The page. */
  readonly clientId: string;
  /** Answers in the network's place. */
  respondWith(response: Promise<Response>): void;
}

/** Serves decrypted files. Make one in the Service Worker, and give it each `fetch` event. */
export class DecryptedFiles {
  readonly #options: DecryptedFilesOptions;
  readonly #opened = new Map<string, Promise<RemoteFile>>();
  #client: Promise<Keyhaven> | undefined;

  constructor(options: DecryptedFilesOptions) {
    this.#options = options;
  }

  /** Answers the event if it asks for a file; says whether it did. */
  handle(event: FetchLike): boolean {
    const { request, clientId } = event;
    const file = this.#options.find(request);
    if (!file) return false;
    event.respondWith(this.respond(request, file, clientId));
    return true;
  }

  /** The answer to a request for a file. A failure is an answer as well: a problem document (RFC 9457). */
  async respond(request: Request, file: EncryptedFile, clientId = ''): Promise<Response> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, { allow: 'GET, HEAD' });
    const failed = (error: unknown) => this.#tell(request.url, error, clientId);
    try {
      return await fileAnswer(await this.#open(file), file.type, request, failed);
    } catch (error) {
      return problemAnswer(failed(error), statusOf(error));
    }
  }

  /** Closes the client; the next file connects anew. */
  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#opened.clear();
    await client?.then((connected) => connected.close(), () => undefined);
  }

  /** The opened message; one that was opened before serves again, so that a seek costs no new header and no key. */
  async #open({ url, context = {} }: EncryptedFile): Promise<RemoteFile> {
    const name = JSON.stringify([String(url), Object.entries(context).sort()]);
    const known = this.#opened.get(name);
    if (known) return known;
    if (this.#opened.size >= MAX_OPEN) this.#opened.clear();
    const forget = () => void this.#opened.delete(name);
    const opening = this.#connected().then((client) => openRemote(client, { url, context }, forget));
    this.#opened.set(name, opening);
    opening.catch(forget);
    return opening;
  }

  #connected(): Promise<Keyhaven> {
    this.#client ??= this.#connect().catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  async #connect(): Promise<Keyhaven> {
    const client = await this.#options.client();
    // What was opened under a lease that ended is asked for anew, if it may be. What streams under another goes on.
    client.leases.addEventListener('leaseended', ({ reason }) => {
      this.#opened.clear();
      if (reason === 'closed') this.#client = undefined;
    });
    return client;
  }

  /** Tells the application and the page of a failure. */
  #tell(url: string, error: unknown, clientId: string): KeyhavenError {
    const known = error instanceof KeyhavenError ? error : new KeyhavenError('failed', 'the file cannot be served', { cause: error });
    const failure: ServingFailure = { type: 'keyhaven-failure', url, code: known.code, message: known.message };
    this.#options.onFailure?.(failure);
    const { clients } = globalThis as { clients?: { get(id: string): Promise<{ postMessage(data: unknown): void } | undefined> } };
    if (clientId !== '') clients?.get(clientId).then((page) => page?.postMessage(failure), () => undefined);
    return known;
  }
}

/** Messages kept open at a time; then all are opened anew, with the data keys that are held. */
const MAX_OPEN = 16;
