/** Whole messages in one call into the Wasm module, with keys that are at hand: nothing is waited for. */

import type { DataKeyHandle, MessageHeader } from '../wasm/keyhaven_sdk.js';
import type { DataKeys } from './data-keys.js';
import { IntegrityError, fromWasm, guarded } from './errors.js';
import type { EncryptionKey, HeldKey } from './key-cache.js';
import type { Wasm } from './wasm.js';

/** Encrypts and decrypts with keys at hand. */
export class Here {
  readonly #wasm: Wasm;
  readonly #dataKeys: DataKeys;

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
    const header = this.header(message);
    try {
      const warm = this.warm(header, required);
      return warm && guarded(() => warm.handle.open(message));
    } finally {
      header.free();
    }
  }

  /** The key of a message, if it is at hand. */
  warm(header: MessageHeader, required: readonly string[]): HeldKey | undefined {
    const encryptedDataKey = guarded(() => header.encryptedDataKey);
    if (required.length > 0) requirePairs(header.context, required);
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

/** Longer than most headers, so that little of the body is copied with one. */
export const USUAL_HEADER = 4096;
/** The reader's limit for a header. */
export const LONGEST_HEADER = 64 * 1024;
