/** What drives a message through its coder: the data key is asked for when the first bytes come. */

import type { HeaderReader, MessageHeader } from '../wasm/keyhaven_sdk.js';
import { joined } from './encoding.js';
import { fromWasm, guarded } from './errors.js';
import type { Work } from './streams.js';

/** What a stream does with its pieces. */
export interface Pump {
  /** Takes a piece. */
  push(bytes: Uint8Array, emit: (piece: Uint8Array) => void): Promise<void>;
  /** Ends the message. */
  finish(emit: (piece: Uint8Array) => void): Promise<void>;
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

  async push(bytes: Uint8Array, emit: (piece: Uint8Array) => void): Promise<void> {
    const work = await (this.#work ??= this.#begin());
    await work.push(bytes, emit);
  }

  async finish(emit: (piece: Uint8Array) => void): Promise<void> {
    const work = await (this.#work ??= this.#begin());
    work.finish(emit);
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

  async push(bytes: Uint8Array, emit: (piece: Uint8Array) => void): Promise<void> {
    let at = 0;
    for (; !this.#work && at < bytes.length; at += HEADER_PIECE) {
      const header = guarded(() => this.#reader.push(bytes.subarray(at, at + HEADER_PIECE)));
      if (header) await this.#begin(header, emit);
    }
    if (at < bytes.length) await this.#work?.push(bytes.subarray(at), emit);
  }

  async finish(emit: (piece: Uint8Array) => void): Promise<void> {
    if (!this.#work) throw fromWasm('message_truncated');
    this.#work.finish(emit);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.free();
    this.#work?.close();
  }

  /** Opens the message; what came with the header comes out. */
  async #begin(header: MessageHeader, emit: (piece: Uint8Array) => void): Promise<void> {
    this.#work = await this.#open(header);
    // Given up while the server was asked.
    if (this.#closed) this.#work.close();
    await this.#work.push(new Uint8Array(), emit);
  }
}

/** Pumps a whole message, and gives nothing unless all of it went through. */
export async function whole(pump: Pump, bytes: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const emit = (piece: Uint8Array) => {
    signal?.throwIfAborted();
    pieces.push(piece);
  };
  try {
    await pump.push(bytes, emit);
    await pump.finish(emit);
  } finally {
    pump.close();
  }
  return joined(pieces);
}

/** Longer than most headers, so that little of the body comes with it. */
const HEADER_PIECE = 4096;
