/** An encrypted file at an address, opened once for all who read it, and closed when nobody does. */

import type { ByteRange } from './byte-range.js';
import type { Keyhaven } from './client.js';
import type { EncryptionContext } from './encoding.js';
import { NetworkError, UnsupportedError } from './errors.js';
import type { OpenedMessage } from './opened-message.js';
import { fetch } from './platform.js';

/** Where a message is, and what it must be about. */
export interface RemoteMessage {
  readonly url: string | URL;
  readonly context: EncryptionContext;
}

/** What this needs of a client. */
export type Opener = Pick<Keyhaven, 'open'>;

/** Opens a message at an address; where the server knows no ranges, after it was fetched as a whole. */
export async function openRemote(client: Opener, message: RemoteMessage, onClose: () => void): Promise<RemoteFile> {
  const url = new URL(message.url, globalThis.location?.href);
  const options = { context: message.context };
  const opened = await client.open(url, options).catch(async (error: unknown) => {
    if (error instanceof UnsupportedError && error.code === 'ranges_unsupported') return client.open(await fetched(url), options);
    throw error;
  });
  return new RemoteFile(opened, onClose);
}

/** An opened file. It closes a while after its last reader left, so that its data key is not renewed for nobody. */
export class RemoteFile {
  /** Bytes of the decrypted file. */
  readonly size: number;
  readonly #message: OpenedMessage;
  readonly #onClose: () => void;
  #readers = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(message: OpenedMessage, onClose: () => void) {
    this.size = message.size;
    this.#message = message;
    this.#onClose = onClose;
    this.#wait();
  }

  /** A part of it, once its first byte is decrypted and verified. */
  async stream({ from, to }: ByteRange): Promise<ReadableStream<Uint8Array>> {
    clearTimeout(this.#timer);
    this.#readers += 1;
    const reader = this.#message.stream(from, to).getReader();
    // Closed by the last byte, by a failure, and by a reader that has enough: whichever comes first.
    void reader.closed.catch(() => undefined).then(() => this.#leave());
    let first: ReadableStreamReadResult<Uint8Array> | undefined = await reader.read();
    return new ReadableStream({
      async pull(controller) {
        const { done, value } = first ?? (await reader.read());
        first = undefined;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    }, { highWaterMark: 0 });
  }

  #leave(): void {
    this.#readers -= 1;
    if (this.#readers === 0) this.#wait();
  }

  #wait(): void {
    this.#timer = setTimeout(() => {
      this.#message.close();
      this.#onClose();
    }, REST);
    // In Node a timer keeps the process alive; in a page it is a number.
    if (typeof this.#timer === 'object') this.#timer.unref();
  }
}

async function fetched(url: URL): Promise<Blob> {
  try {
    const answer = await fetch(url);
    if (answer.ok) return await answer.blob();
    throw new NetworkError('source_unavailable', `the message cannot be fetched: its server answers ${answer.status}`);
  } catch (cause) {
    if (cause instanceof NetworkError) throw cause;
    throw new NetworkError('network_failed', 'the message cannot be fetched', { cause });
  }
}

/** Milliseconds after which a file that nobody reads is closed: a video that is sought in asks again before. */
const REST = 30_000;
