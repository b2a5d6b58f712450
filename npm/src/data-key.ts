/** A data key at hand, for loops over small data that may not wait. */

import { KeyhavenError } from './errors.js';
import type { Here } from './here.js';

/**
 * Encrypts and decrypts small data at once, without a promise. It holds no key itself: the client does, as long as the
 * lease lasts, and no longer; JavaScript never sees its bytes.
 */
export class DataKey implements Disposable {
  readonly #here: Here;
  readonly #key: string;
  readonly #pairs: readonly string[];
  #disposed = false;

  /** @internal */
  constructor(here: Here, key: string, pairs: readonly string[]) {
    this.#here = here;
    this.#key = key;
    this.#pairs = pairs;
  }

  /**
   * Encrypts a whole message. It blocks for as long as it takes, so large data is better left to `encrypt`. Throws
   * `data_key_missing` when the lease has ended or the key's limits are reached: then ask for a new handle.
   */
  encryptSync(data: Uint8Array): Uint8Array {
    this.#check();
    const message = this.#here.seal(data, this.#key, this.#pairs);
    if (message) return message;
    throw missing();
  }

  /** Decrypts a whole message of exactly this handle's context, if its data key is at hand. */
  decryptSync(message: Uint8Array): Uint8Array {
    this.#check();
    const plaintext = this.#here.open(message, this.#pairs);
    if (plaintext) return plaintext;
    throw missing();
  }

  /** Makes the handle useless. */
  [Symbol.dispose](): void {
    this.#disposed = true;
  }

  #check(): void {
    if (this.#disposed) throw new KeyhavenError('closed', 'the data key\'s handle was disposed of');
  }
}

function missing(): KeyhavenError {
  return new KeyhavenError('data_key_missing', 'the data key is not at hand any more, or not yet: ask for it with `dataKey`');
}
