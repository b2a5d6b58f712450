/** Messages as they pass through: one piece in, one piece out, with the pressure of whoever reads. */

import { KeyhavenError, type LeaseEndedError, guarded } from './errors.js';
import type { Lease } from './lease.js';
import type { Pump } from './pumps.js';

/** Something in Wasm that takes a message's bytes piece by piece. */
export interface Coder {
  /** Takes bytes, gives bytes. */
  push(bytes: Uint8Array): Uint8Array;
  /** Ends, gives the last bytes. */
  finish(): Uint8Array;
  /** Zeroizes and releases it. */
  free(): void;
}

/** What happens around a piece of work. */
export interface WorkHooks {
  /** Hears of the lease's end, which broke the work off. */
  readonly onLeaseEnd: (error: LeaseEndedError) => void;
  /** Runs when the work is done or given up. */
  readonly onClose?: () => void;
}

/** A coder at work under a lease. When the lease ends, it is freed at once, whatever it was doing. */
export class Work {
  readonly #coder: Coder;
  readonly #signOff: () => void;
  readonly #onClose: (() => void) | undefined;
  #stopped: unknown;

  constructor(coder: Coder, lease: Lease, hooks: WorkHooks) {
    this.#coder = coder;
    this.#onClose = hooks.onClose;
    try {
      this.#signOff = lease.use((error) => {
        this.#stopped = error;
        coder.free();
        hooks.onLeaseEnd(error);
      });
    } catch (error) {
      coder.free();
      throw error;
    }
  }

  /** Feeds bytes in pieces of bounded size, letting others run in between. */
  async push(bytes: Uint8Array, emit: (piece: Uint8Array) => void): Promise<void> {
    for (let at = 0; at < bytes.length || at === 0; at += PIECE) {
      if (at > 0) await breathe();
      if (this.#stopped) throw this.#stopped;
      const piece = guarded(() => this.#coder.push(bytes.subarray(at, at + PIECE)));
      if (piece.length > 0) emit(piece);
    }
  }

  /** Ends the message. */
  finish(emit: (piece: Uint8Array) => void): void {
    if (this.#stopped) throw this.#stopped;
    const piece = guarded(() => this.#coder.finish());
    if (piece.length > 0) emit(piece);
    this.close();
  }

  /** Frees the coder; more than once does no harm. */
  close(): void {
    this.#signOff();
    if (this.#stopped) return;
    this.#stopped = new KeyhavenError('already_finished', 'the message was finished or given up already');
    this.#coder.free();
    this.#onClose?.();
  }
}

/** A stream over a pump. `fail` lets the pump's maker error the stream between pieces. */
export function transformStream(
  make: (fail: (error: unknown) => void) => Pump,
  signal?: AbortSignal,
): TransformStream<Uint8Array, Uint8Array> {
  let pump: Pump;
  let abort: () => void;
  const done = () => {
    signal?.removeEventListener('abort', abort);
    pump.close();
  };
  const settling = async (step: Promise<void>) => {
    try {
      await step;
    } catch (error) {
      done();
      throw error;
    }
  };
  const transformer: Transformer<Uint8Array, Uint8Array> & { cancel(): void } = {
    start(controller) {
      pump = make((error) => controller.error(error));
      abort = () => {
        controller.error(signal?.reason);
        done();
      };
      if (signal?.aborted) abort();
      else signal?.addEventListener('abort', abort, { once: true });
    },
    transform: (chunk, controller) => settling(pump.push(chunk, (piece) => controller.enqueue(piece))),
    async flush(controller) {
      await settling(pump.finish((piece) => controller.enqueue(piece)));
      done();
    },
    cancel: () => done(),
  };
  return new TransformStream(transformer);
}

/** Lets timers, clicks and painting have their turn. */
async function breathe(): Promise<void> {
  const { scheduler } = globalThis as { scheduler?: { yield?(): Promise<void> } };
  if (scheduler?.yield) return scheduler.yield();
  await new Promise((resolve) => setTimeout(resolve, 0));
}

/** Small enough to keep a page responsive, large enough not to be felt: some 20 ms of work. */
const PIECE = 1024 * 1024;
