/** Messages as they pass through: one piece in, one piece out, with the pressure of whoever reads. */

import type { Coder, Sink } from './coders.js';
import { KeyhavenError } from './errors.js';
import type { Lease } from './lease.js';
import type { Pump } from './pumps.js';

/** A coder at work under a lease. When the lease ends, it is freed at once, whatever it was doing. */
export class Work {
  readonly #coder: Coder;
  readonly #signOff: () => void;
  readonly #onClose: () => void;
  #stopped: unknown;

  /** `onClose` runs when the work is done or given up. */
  constructor(coder: Coder, lease: Lease, sink: Sink, onClose: () => void) {
    this.#coder = coder;
    this.#onClose = onClose;
    try {
      this.#signOff = lease.use((error) => {
        this.#stopped = error;
        coder.free();
        sink.fail(error);
      });
    } catch (error) {
      coder.free();
      throw error;
    }
  }

  /** Takes bytes. */
  async push(bytes: Uint8Array): Promise<void> {
    await this.#step(() => this.#coder.push(bytes));
  }

  /** Ends the message. */
  async finish(rest?: Uint8Array): Promise<void> {
    await this.#step(() => this.#coder.finish(rest));
    this.close();
  }

  /** Frees the coder; more than once does no harm. */
  close(): void {
    this.#signOff();
    if (this.#stopped) return;
    this.#stopped = new KeyhavenError('already_finished', 'the message was finished or given up already');
    this.#coder.free();
    this.#onClose();
  }

  /** What stopped the work is why its step failed, whatever that says. */
  async #step(step: () => Promise<void>): Promise<void> {
    if (this.#stopped) throw this.#stopped;
    try {
      await step();
    } catch (error) {
      throw this.#stopped ?? error;
    }
    if (this.#stopped) throw this.#stopped;
  }
}

/** What a stream is made with besides its pump. */
export interface StreamOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/**
 * A pair of streams with a pump between them. Unlike a platform's `TransformStream` it lets work go on between
 * pieces, and waits within a long piece while nobody reads.
 */
export function messageStream(make: (sink: Sink) => Pump, options: StreamOptions): TransformStream<Uint8Array, Uint8Array> {
  const { signal } = options;
  let out: ReadableStreamDefaultController<Uint8Array>;
  let input: WritableStreamDefaultController;
  let wake: (() => void) | undefined;
  let over = false;
  const end = (): boolean => {
    if (over) return false;
    over = true;
    signal?.removeEventListener('abort', abort);
    pump.close();
    wake?.();
    return true;
  };
  const fail = (error: unknown) => {
    if (!end()) return;
    out.error(error);
    input.error(error);
  };
  const abort = () => fail(signal?.reason);
  const readable = new ReadableStream<Uint8Array>({
    start: (controller) => void (out = controller),
    pull: () => wake?.(),
    cancel: (reason) => {
      if (end()) input.error(reason);
    },
  }, { highWaterMark: READ_AHEAD, size: (piece) => piece.byteLength });
  const settled = async (step: Promise<void>) => {
    try {
      await step;
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  const writable = new WritableStream<Uint8Array>({
    start: (controller) => void (input = controller),
    write: (bytes) => settled(pump.push(bytes)),
    close: async () => {
      await settled(pump.finish());
      if (end()) out.close();
    },
    abort: (reason) => {
      if (end()) out.error(reason);
    },
  });
  const pump = make({
    emit: (piece) => {
      if (!over) out.enqueue(piece);
    },
    wanted: () => (over || (out.desiredSize ?? 1) > 0 ? undefined : new Promise((resolve) => (wake = resolve))),
    progress: options.onProgress,
    fail,
  });
  if (signal?.aborted) abort();
  else signal?.addEventListener('abort', abort, { once: true });
  return { readable, writable };
}

/** Bytes of results that may wait to be read. */
const READ_AHEAD = 512 * 1024;
