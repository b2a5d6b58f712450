/** Encrypts a message in frames by WebCrypto. */

import type { FrameWriter } from '../wasm/keyhaven_sdk.js';
import type { Coder, Sink } from './coders.js';
import { guarded } from './errors.js';
import { FrameWindow } from './frame-window.js';
import { own, subtle } from './platform.js';
import { fewerThanWebCrypto } from './crossover.js';

/** Takes plaintext, gives a message. */
export class SealFrames implements Coder {
  readonly #writer: FrameWriter;
  readonly #sink: Sink;
  readonly #window: FrameWindow;
  readonly #frameLength: number;
  /** Plaintext that does not fill a frame yet. */
  #pending = NOTHING;
  #filled = 0;
  #key: CryptoKey | undefined;
  #done = 0;
  #failure: { readonly error: unknown } | undefined;
  #freed = false;

  constructor(writer: FrameWriter, sink: Sink) {
    this.#writer = writer;
    this.#sink = sink;
    this.#frameLength = writer.frameLength;
    this.#window = new FrameWindow(this.#frameLength, {
      done: (result, head, content) => {
        if (head) sink.emit(head as Uint8Array<ArrayBuffer>);
        sink.emit(result);
        this.#progress(content);
      },
      failed: (error) => {
        this.#failure = { error };
        sink.fail(error);
      },
    });
  }

  async push(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const missing = this.#frameLength - this.#filled;
      const part = bytes.subarray(at, at + missing);
      at += part.length;
      if (part.length < missing) this.#keep(part);
      else await this.#regular(this.#filled === 0 ? part : this.#keep(part));
    }
  }

  /** The last bytes, as many as there are, need not be pushed before: then they are copied nowhere. */
  async finish(rest: Uint8Array = NOTHING): Promise<void> {
    const before = this.#filled === 0 ? Math.ceil(rest.length / this.#frameLength - 1) * this.#frameLength : rest.length;
    if (before > 0) await this.push(rest.subarray(0, before));
    const last = this.#filled === 0 ? rest.subarray(Math.max(before, 0)) : this.#kept();
    if (!this.#key && fewerThanWebCrypto(last.length)) {
      this.#sink.emit(guarded(() => this.#writer.sealLast(last)) as Uint8Array<ArrayBuffer>);
      this.#progress(last.length);
      return;
    }
    const key = this.#key ?? (await this.#begin());
    this.#seal(key, guarded(() => this.#writer.last(last.length)), FINAL_HEAD, last);
    await this.#window.drained();
    this.#check();
  }

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.#window.close();
    this.#writer.free();
  }

  /** Keeps bytes until their frame is full; gives all that are kept. The buffer serves again and again. */
  #keep(part: Uint8Array): Uint8Array {
    const filled = this.#filled + part.length;
    if (filled > this.#pending.length) {
      const larger = new Uint8Array(Math.min(Math.max(2 * filled, LEAST_KEPT), this.#frameLength));
      larger.set(this.#kept());
      this.#pending = larger;
    }
    this.#pending.set(part, this.#filled);
    this.#filled = filled;
    return this.#kept();
  }

  #kept(): Uint8Array {
    return this.#pending.subarray(0, this.#filled);
  }

  /** Encrypts a full frame. WebCrypto has taken a copy of it when this returns. */
  async #regular(content: Uint8Array): Promise<void> {
    const key = this.#key ?? (await this.#begin());
    if (this.#window.full) await this.#window.room();
    const wanted = this.#sink.wanted();
    if (wanted) await wanted;
    this.#check();
    this.#seal(key, guarded(() => this.#writer.regular()), REGULAR_HEAD, content);
    this.#filled = 0;
  }

  async #begin(): Promise<CryptoKey> {
    this.#key = await (guarded(() => this.#writer.importKey()) as Promise<CryptoKey>);
    this.#check();
    this.#sink.emit(guarded(() => this.#writer.header()) as Uint8Array<ArrayBuffer>);
    return this.#key;
  }

  /** `plan` is IV, head, associated data. */
  #seal(key: CryptoKey, plan: Uint8Array, head: number, content: Uint8Array): void {
    const algorithm = own({
      name: 'AES-GCM',
      iv: plan.subarray(0, IV) as Uint8Array<ArrayBuffer>,
      additionalData: plan.subarray(IV + head) as Uint8Array<ArrayBuffer>,
      tagLength: 128,
    });
    const work = subtle.encrypt(algorithm, key, content as Uint8Array<ArrayBuffer>);
    this.#window.add(work, plan.slice(IV, IV + head), content.length);
  }

  #progress(bytes: number): void {
    this.#done += bytes;
    this.#sink.progress?.(this.#done);
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }
}

const NOTHING = new Uint8Array();
const LEAST_KEPT = 4096;
const IV = 12;
const REGULAR_HEAD = 16;
const FINAL_HEAD = 24;
