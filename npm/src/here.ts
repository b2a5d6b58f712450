/** Whole messages in one call into the Wasm module, with keys that are at hand: nothing is waited for. */

import type { DataKeyHandle, MessageHeader } from '../wasm/keyhaven_sdk.js';
import { fewerThanWebCrypto } from './crossover.js';
import type { DataKeys } from './data-keys.js';
import { IntegrityError, fromWasm, guarded } from './errors.js';
import type { EncryptionKey, HeldKey } from './key-cache.js';
import { copied } from './platform.js';
import type { Wasm } from './wasm.js';

/** What a message was opened with: others that say the same need not be read anew. */
interface Opened {
  /** Its header. */
  readonly header: Uint8Array;
  readonly encryptedDataKey: Uint8Array;
  /** Pairs that its context has. */
  readonly required: readonly string[];
}

/** Encrypts and decrypts with keys at hand. */
export class Here {
  readonly #wasm: Wasm;
  readonly #dataKeys: DataKeys;
  /** Of the message that was opened last: most that follow one another differ only in their ids. */
  #last: Opened | undefined;

  constructor(wasm: Wasm, dataKeys: DataKeys) {
    this.#wasm = wasm;
    this.#dataKeys = dataKeys;
  }

  /** A message; `undefined` when no key is at hand. */
  seal(data: Uint8Array, key: string, pairs: readonly string[]): Uint8Array | undefined {
    const warm = this.#dataKeys.warmForEncryption(key, pairs, { messages: 1, bytes: data.length });
    return warm && guarded(() => prepared(warm, pairs).seal(data));
  }

  /** A message's plaintext; `undefined` when its key is not at hand. */
  open(message: Uint8Array, required: readonly string[]): Uint8Array | undefined {
    const warm = this.#alike(message, required);
    if (warm) return guarded(() => warm.handle.open(message));
    const header = this.header(message);
    try {
      const warm = this.warm(header, required);
      if (!warm) return undefined;
      const plaintext = guarded(() => warm.handle.open(message));
      this.opened(message, header, required);
      return plaintext;
    } finally {
      header.free();
    }
  }

  /** The plaintext of a small message that says the same as the one opened last; else `undefined`. */
  openAlike(message: Uint8Array, required: readonly string[]): Uint8Array | undefined {
    const small = this.#last && fewerThanWebCrypto(message.length - this.#last.header.length);
    const warm = small ? this.#alike(message, required) : undefined;
    return warm && guarded(() => warm.handle.open(message));
  }

  /** Remembers what a message that was opened says. */
  opened(message: Uint8Array, { length, encryptedDataKey, signed }: MessageHeader, required: readonly string[]): void {
    if (!signed && length <= USUAL_HEADER) this.#last = { header: copied(message.subarray(0, length)), encryptedDataKey, required: [...required] };
  }

  /** The key of a message, if it is at hand. */
  warm(header: MessageHeader, required: readonly string[]): HeldKey | undefined {
    const encryptedDataKey = guarded(() => header.encryptedDataKey);
    if (required.length > 0) requirePairs(header.context, required);
    return this.#dataKeys.warmForDecryption(encryptedDataKey);
  }

  /** The key of a message that says the same as the one opened last, but for its id and what follows from that. */
  #alike(message: Uint8Array, required: readonly string[]): HeldKey | undefined {
    const last = this.#last;
    if (!last || message.length < last.header.length) return undefined;
    const { header, encryptedDataKey } = last;
    if (!equal(message, header, 0, ID) || !equal(message, header, ID + ID_BYTES, header.length - OWN)) return undefined;
    if (required.length !== last.required.length || !required.every((text, at) => text === last.required[at])) return undefined;
    return this.#dataKeys.warmForDecryption(encryptedDataKey);
  }

  /** The header of a message that is all there. The caller frees it. */
  header(message: Uint8Array): MessageHeader {
    const reader = new this.#wasm.HeaderReader();
    try {
      const usual = guarded(() => reader.push(message.subarray(0, USUAL_HEADER)));
      const header = usual ?? guarded(() => reader.push(message.subarray(USUAL_HEADER, LONGEST_HEADER)));
      if (!header) throw fromWasm('message_truncated');
      return header;
    } finally {
      reader.free();
    }
  }
}

/** A handle ready to encrypt. Its context was encoded when it was first used. */
export function prepared(key: EncryptionKey, pairs: readonly string[]): DataKeyHandle {
  const { handle, encryptedDataKey } = key;
  if (!handle.prepared) guarded(() => handle.prepare(encryptedDataKey, [...pairs]));
  return handle;
}

/** Refuses a message whose context lacks a pair that the application requires. */
export function requirePairs(pairs: readonly string[], required: readonly string[]): void {
  for (let at = 0; at < required.length; at += 2) {
    if (has(pairs, required[at], required[at + 1])) continue;
    throw new IntegrityError('context_mismatch', 'the message is about something else than was asked for');
  }
}

function has(pairs: readonly string[], key: string | undefined, value: string | undefined): boolean {
  for (let at = 0; at < pairs.length; at += 2) if (pairs[at] === key) return pairs[at + 1] === value;
  return false;
}

function equal(one: Uint8Array, other: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if (one[at] !== other[at]) return false;
  return true;
}

/** Where a message's id stands, after version and suite (`docs/formats.md`); how long it is. */
const [ID, ID_BYTES] = [3, 32];
/** Bytes at a header's end that each message has of its own: commitment and tag. */
const OWN = 32 + 16;
/** Longer than most headers, so that little of the body is copied with one. */
export const USUAL_HEADER = 4096;
/** The reader's limit for a header. */
export const LONGEST_HEADER = 64 * 1024;
