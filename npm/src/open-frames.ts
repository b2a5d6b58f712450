/** Decrypts a message's frames by WebCrypto. */

import type { FrameReader } from '../wasm/keyhaven_sdk.js';
import type { Coder, Sink } from './coders.js';
import { fewerThanWebCrypto } from './crossover.js';
import { fromWasm, guarded } from './errors.js';
import { FrameWindow } from './frame-window.js';
import { own, subtle } from './platform.js';

/** Takes a message's body, gives plaintext: only of frames that are genuine, in their order. */
export class OpenFrames implements Coder {
  readonly #reader: FrameReader;
  readonly #sink: Sink;
  readonly #window: FrameWindow;
  /** A frame that is not complete yet, how much of it is here, and its length as far as that tells. */
  #pending = new Uint8Array();
  #filled = 0;
  #length = 0;
  #key: CryptoKey | undefined;
  #begun = false;
  #done = 0;
  #failure: { readonly error: unknown } | undefined;
  #freed = false;

  constructor(reader: FrameReader, frameLength: number, sink: Sink) {
    this.#reader = reader;
    this.#sink = sink;
    this.#window = new FrameWindow(frameLength, {
      done: (result) => {
        if (result.length > 0) sink.emit(result);
        this.#progress(result.length);
      },
      failed: (error) => {
        this.#failure = { error };
        sink.fail(error);
      },
      refused: () => fromWasm('message_refused'),
    });
  }

  async push(bytes: Uint8Array): Promise<void> {
    try {
      await this.#push(bytes);
    } catch (error) {
      // What came before and is genuine is given out.
      await this.#window.drained();
      this.#check();
      throw error;
    }
  }

  async finish(rest?: Uint8Array): Promise<void> {
    if (rest) await this.push(rest);
    await this.#window.drained();
    this.#check();
    if (!this.#reader.done || this.#filled > 0) throw fromWasm('message_truncated');
  }

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.#window.close();
    this.#reader.free();
  }

  async #push(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === 0) {
        const length = this.#look(bytes.subarray(at, at + LONGEST_HEAD));
        if (length <= bytes.length - at) {
          await this.#open(bytes.subarray(at, at + length));
          at += length;
          continue;
        }
        this.#missing(length);
      }
      const part = bytes.subarray(at, at + this.#length - this.#filled);
      this.#pending.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === this.#length) await this.#gathered();
    }
  }

  /** Makes room for a frame of this length, of which some may be here. The buffer serves again and again. */
  #missing(length: number): void {
    this.#length = length;
    if (this.#pending.length >= length) return;
    const larger = new Uint8Array(length);
    larger.set(this.#pending.subarray(0, this.#filled));
    this.#pending = larger;
  }

  /** Opens the gathered frame; if it was only a head, that tells how much is missing. */
  async #gathered(): Promise<void> {
    const length = this.#look(this.#pending.subarray(0, Math.min(this.#filled, LONGEST_HEAD)));
    if (length > this.#filled) return this.#missing(length);
    // WebCrypto has taken a copy of it when this returns.
    await this.#open(this.#pending.subarray(0, length));
    this.#filled = 0;
  }

  #look(seen: Uint8Array): number {
    return guarded(() => this.#reader.look(seen));
  }

  async #open(frame: Uint8Array): Promise<void> {
    if (!this.#begun && fewerThanWebCrypto(frame.length)) {
      const whole = guarded(() => this.#reader.openLast(frame));
      if (whole) {
        this.#begun = true;
        if (whole.length > 0) this.#sink.emit(whole as Uint8Array<ArrayBuffer>);
        this.#progress(whole.length);
        return;
      }
    }
    const key = this.#key ?? (await this.#begin());
    if (this.#window.full) await this.#window.room();
    const wanted = this.#sink.wanted();
    if (wanted) await wanted;
    this.#check();
    // The length of its head, its IV, its associated data.
    const plan = guarded(() => this.#reader.take(frame.subarray(0, LONGEST_HEAD)));
    const algorithm = own({
      name: 'AES-GCM',
      iv: plan.subarray(1, 1 + IV) as Uint8Array<ArrayBuffer>,
      additionalData: plan.subarray(1 + IV) as Uint8Array<ArrayBuffer>,
      tagLength: 128,
    });
    const sealed = frame.subarray(plan[0]) as Uint8Array<ArrayBuffer>;
    this.#window.add(subtle.decrypt(algorithm, key, sealed), undefined, 0);
  }

  async #begin(): Promise<CryptoKey> {
    this.#begun = true;
    this.#key = await (guarded(() => this.#reader.importKey()) as Promise<CryptoKey>);
    this.#check();
    return this.#key;
  }

  #progress(bytes: number): void {
    this.#done += bytes;
    this.#sink.progress?.(this.#done);
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }
}

const IV = 12;
const LONGEST_HEAD = 24;
