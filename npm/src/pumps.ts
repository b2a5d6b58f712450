/** What drives a message through its coder: the data key is asked for when the first bytes come. */

import type { HeaderReader, MessageHeader } from '../wasm/keyhaven_sdk.js';
import type { Sink } from './coders.js';
import { joined } from './encoding.js';
import { fromWasm, guarded } from './errors.js';
import type { Work } from './streams.js';

/** What a stream does with its pieces. */
export interface Pump {
  /** Takes a piece. */
  push(bytes: Uint8Array): Promise<void>;
  /** Ends the message, after the last bytes, if these were not pushed. */
  finish(rest?: Uint8Array): Promise<void>;
  /** Gives it up. */
  close(): void;
}

/** Encrypts: the work begins with the first piece, or with the end of an empty message. */
export class LazyPump implements Pump {
  readonly #begin: () => Promise<Work>;
  #work: Promise<Work> | undefined;

  constructor(begin: () => Promise<Work>) {
    this.#begin = begin;
  }

  async push(bytes: Uint8Array): Promise<void> {
    const work = await (this.#work ??= this.#begin());
    await work.push(bytes);
  }

  async finish(rest?: Uint8Array): Promise<void> {
    const work = await (this.#work ??= this.#begin());
    await work.finish(rest);
  }

  close(): void {
    this.#work?.then((work) => work.close(), () => undefined);
  }
}

/** Decrypts: the work begins when the header is complete. */
export class HeaderPump implements Pump {
  readonly #reader: HeaderReader;
  readonly #open: (header: MessageHeader) => Promise<Work>;
  #work: Work | undefined;
  #closed = false;

  constructor(reader: HeaderReader, open: (header: MessageHeader) => Promise<Work>) {
    this.#reader = reader;
    this.#open = open;
  }

  async push(bytes: Uint8Array): Promise<void> {
    let at = 0;
    while (!this.#work && at < bytes.length) {
      const piece = bytes.subarray(at, at + HEADER_PIECE);
      const header = guarded(() => this.#reader.push(piece));
      at += piece.length;
      if (header) at -= await this.#begin(header);
    }
    if (at < bytes.length) await this.#work?.push(bytes.subarray(at));
  }

  async finish(rest?: Uint8Array): Promise<void> {
    if (rest) await this.push(rest);
    if (!this.#work) throw fromWasm('message_truncated');
    await this.#work.finish();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.free();
    this.#work?.close();
  }

  /** Opens the message; tells how many of the last bytes belong to its body. */
  async #begin(header: MessageHeader): Promise<number> {
    try {
      this.#work = await this.#open(header);
      // Given up while the server was asked.
      if (this.#closed) this.#work.close();
      return header.rest;
    } finally {
      header.free();
    }
  }
}

/** Pumps a whole message, and gives nothing unless all of it went through. */
export async function whole(make: (sink: Sink) => Pump, bytes: Uint8Array, options: WholeOptions): Promise<Uint8Array> {
  const { signal } = options;
  const pieces: Uint8Array[] = [];
  const pump = make({
    emit: (piece) => void pieces.push(piece),
    wanted: () => undefined,
    progress: options.onProgress,
    fail: () => undefined,
  });
  // Freed at once, the pump's next step fails, and the reason is the signal's.
  const abort = () => pump.close();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    await pump.finish(bytes);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
    pump.close();
  }
  return joined(pieces);
}

/** What {@link whole} looks at besides its pump. */
export interface WholeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** Longer than most headers, so that few take two. */
const HEADER_PIECE = 4096;
