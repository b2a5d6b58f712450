/** How messages are encrypted and decrypted: what an application may ask for. */

import type { EncryptionContext } from './encoding.js';

/** How to encrypt. */
export interface EncryptOptions {
  /** The key: its id, its alias in the keyring `default`, or `keyring:alias`. */
  readonly key: string;
  /** What the data is about: authenticated with it, readable by all. */
  readonly context?: EncryptionContext;
  /**
   * Signs the message (suite 0x0578, ECDSA P-384): who may decrypt it can then not pass off another as it. It costs
   * a data key of its own, cannot be decrypted as a stream or in parts, and keeps all of it in memory, since WebCrypto
   * signs only what is all there.
   */
  readonly signed?: boolean;
  /** Gives up early. */
  readonly signal?: AbortSignal;
  /** Hears how many bytes of plaintext are done. */
  readonly onProgress?: (bytes: number) => void;
}

/** How to decrypt. */
export interface DecryptOptions {
  /** Pairs that the message's context must have. */
  readonly context?: EncryptionContext;
  /** Gives up early. */
  readonly signal?: AbortSignal;
  /** Hears how many bytes of plaintext are done. */
  readonly onProgress?: (bytes: number) => void;
}

/** A data key to have at hand. */
export interface DataKeyOptions {
  /** The key, as for encryption. */
  readonly key: string;
  /** What all its data is about. */
  readonly context?: EncryptionContext;
  /** Has it at hand to decrypt with, too: that takes a ticket more. */
  readonly decrypt?: boolean;
  /** Gives up early. */
  readonly signal?: AbortSignal;
}
