/** A message of which any part can be decrypted, each frame verified before anything of it is given out. */

import type { FrameLayout, FrameReader } from '../wasm/keyhaven_sdk.js';
import { abortable } from './abortable.js';
import { KeyhavenError, fromWasm, guarded } from './errors.js';
import type { Lease } from './lease.js';
import { own, subtle } from './platform.js';
import type { MessageSource } from './sources.js';

/** How to read a part. */
export interface ReadOptions {
  /** Gives up early. */
  readonly signal?: AbortSignal;
}

/** What a message is opened with. */
export interface OpenedParts {
  readonly source: MessageSource;
  /** Where in the source the body begins. */
  readonly begin: number;
  readonly reader: FrameReader;
  readonly layout: FrameLayout;
  readonly frameLength: number | undefined;
  readonly lease: Lease;
  readonly onClose: () => void;
}

/** An opened message. Close it when it is no longer needed; its lease's end closes it as well. */
export class OpenedMessage implements Disposable {
  /** Bytes of plaintext. Authenticated: the final frame, which says where it stands, was verified. */
  readonly size: number;
  readonly #source: MessageSource;
  readonly #begin: number;
  readonly #reader: FrameReader;
  readonly #key: CryptoKey;
  readonly #frameLength: number;
  readonly #frames: number;
  readonly #offset: (sequence: number) => number;
  readonly #release: () => void;
  /** Frames decrypted last, the latest at the end. */
  readonly #recent = new Map<number, Uint8Array>();
  #closed: unknown;

  private constructor(parts: OpenedParts, key: CryptoKey) {
    const { source, begin, reader, layout, frameLength, lease, onClose } = parts;
    this.size = layout.size;
    this.#source = source;
    this.#begin = begin;
    this.#reader = reader;
    this.#key = key;
    this.#frameLength = frameLength ?? Math.max(layout.size, 1);
    this.#frames = layout.frames;
    this.#offset = (sequence) => layout.offset(sequence);
    const signOff = lease.use((error) => this.#close(error));
    this.#release = () => {
      signOff();
      reader.free();
      layout.free();
      onClose();
    };
  }

  /** Takes up a message whose header was verified, and verifies its final frame. @internal */
  static async verified(parts: OpenedParts, signal?: AbortSignal): Promise<OpenedMessage> {
    let opened: OpenedMessage;
    try {
      const key = await (guarded(() => parts.reader.importKey()) as Promise<CryptoKey>);
      opened = new OpenedMessage(parts, key);
    } catch (error) {
      for (const part of [parts.reader, parts.layout]) part.free();
      parts.onClose();
      throw error;
    }
    try {
      await opened.#decrypted(opened.#frames, opened.#frames, signal);
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  /** The plaintext from `start` up to, and without, `end`. */
  async read(start: number, end: number, options: ReadOptions = {}): Promise<Uint8Array> {
    const { signal } = own(options);
    this.#checkRange(start, end);
    this.#check();
    const out = new Uint8Array(end - start);
    if (out.length === 0) return out;
    const last = this.#sequence(end - 1);
    for (let sequence = this.#sequence(start); sequence <= last; ) {
      const frames = await this.#decrypted(sequence, Math.min(last, this.#furthest(sequence)), signal);
      for (const frame of frames) {
        const at = (sequence - 1) * this.#frameLength;
        out.set(frame.subarray(Math.max(start - at, 0), Math.max(end - at, 0)), Math.max(at - start, 0));
        sequence += 1;
      }
    }
    return out;
  }

  /** The same as a stream, which decrypts no further than it is read. */
  stream(start = 0, end = this.size, options: ReadOptions = {}): ReadableStream<Uint8Array> {
    this.#checkRange(start, end);
    const { signal } = own(options);
    const ends = new AbortController();
    const abort = () => ends.abort(signal?.reason);
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, own({ once: true }));
    let at = start;
    return new ReadableStream({
      pull: async (controller) => {
        if (at >= end) {
          signal?.removeEventListener('abort', abort);
          return controller.close();
        }
        // To a frame's end, so that none is decrypted twice.
        const next = Math.min(end, this.#furthest(this.#sequence(at)) * this.#frameLength);
        controller.enqueue(await this.read(at, next, { signal: ends.signal }));
        at = next;
      },
      cancel: (reason) => {
        signal?.removeEventListener('abort', abort);
        ends.abort(reason);
      },
    }, { highWaterMark: 0 });
  }

  /** Lets go of the key, and of plaintext that is kept. More than once does no harm. */
  close(): void {
    this.#close(new KeyhavenError('closed', 'the message was closed'));
  }

  /** As {@link close}: for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #close(reason: unknown): void {
    if (this.#closed) return;
    this.#closed = reason;
    for (const frame of this.#recent.values()) frame.fill(0);
    this.#recent.clear();
    this.#release();
  }

  /** Frames that follow one another, by one request for those that are not at hand. */
  async #decrypted(first: number, last: number, signal?: AbortSignal): Promise<Uint8Array[]> {
    const recent = this.#recent.get(first);
    if (recent) return [recent];
    let end = first;
    while (end < last && !this.#recent.has(end + 1)) end += 1;
    const [from, to] = [this.#offset(first), this.#offset(end + 1)];
    const bytes = await this.#source.read(this.#begin + from, this.#begin + to, signal);
    this.#check();
    const works: Promise<ArrayBuffer>[] = [];
    for (let sequence = first; sequence <= end; sequence += 1) {
      works.push(this.#open(sequence, bytes.subarray(this.#offset(sequence) - from, this.#offset(sequence + 1) - from)));
    }
    const results = await abortable(Promise.all(works), signal);
    this.#check();
    const frames = results.map((result) => new Uint8Array(result));
    frames.forEach((frame, at) => this.#keep(first + at, frame));
    return frames;
  }

  /** Starts to decrypt a frame, which must be the one that stands there. */
  async #open(sequence: number, frame: Uint8Array): Promise<ArrayBuffer> {
    const plan = guarded(() => {
      this.#reader.seek(sequence);
      const head = frame.subarray(0, LONGEST_HEAD);
      if (this.#reader.look(head) !== frame.length) throw 'message_refused';
      return this.#reader.take(head);
    });
    if (this.#reader.done !== (sequence === this.#frames)) throw fromWasm('message_refused');
    const algorithm = own({
      name: 'AES-GCM',
      iv: plan.subarray(1, 1 + IV) as Uint8Array<ArrayBuffer>,
      additionalData: plan.subarray(1 + IV) as Uint8Array<ArrayBuffer>,
      tagLength: 128,
    });
    try {
      return await subtle.decrypt(algorithm, this.#key, frame.subarray(plan[0]) as Uint8Array<ArrayBuffer>);
    } catch {
      throw fromWasm('message_refused');
    }
  }

  #keep(sequence: number, frame: Uint8Array): void {
    this.#recent.set(sequence, frame);
    const most = Math.max(1, Math.min(MOST_KEPT, Math.floor(MOST_BYTES / this.#frameLength)));
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= most) break;
      this.#recent.delete(oldest);
    }
  }

  /** The number of the frame that holds a byte. */
  #sequence(at: number): number {
    return Math.min(Math.floor(at / this.#frameLength) + 1, this.#frames);
  }

  /** The last frame to ask for together with this one. */
  #furthest(sequence: number): number {
    return Math.min(sequence + Math.max(1, Math.floor(MOST_BYTES / this.#frameLength)) - 1, this.#frames);
  }

  #check(): void {
    if (this.#closed) throw this.#closed;
  }

  #checkRange(start: number, end: number): void {
    if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end <= this.size) return;
    throw new KeyhavenError('invalid_argument', `a part goes from \`start\` to \`end\`, both from 0 to ${this.size}`);
  }
}

const IV = 12;
const LONGEST_HEAD = 24;
const MOST_KEPT = 8;
/** Bytes kept decrypted, and asked for at once. */
const MOST_BYTES = 1024 * 1024;
