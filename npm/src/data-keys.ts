/** Data keys: held while they may be used, else asked for; once, however many want the same. */

import { toBase64 } from './encoding.js';
import {
  type Amount,
  DecryptionKeys,
  type EncryptionKey,
  EncryptionKeys,
  Entry,
  type HeldKey,
  encryptionName,
} from './key-cache.js';
import type { DeliveredKey, KeyRequests, SealedKey } from './key-requests.js';
import type { ServerClock } from './clock.js';
import type { CacheLimits } from './key-settings.js';
import type { LeasePurpose } from './lease.js';
import type { Leases } from './leases.js';
import type { Reachability } from './reachability.js';
import { SingleFlight } from './single-flight.js';

/** How much is to be encrypted, as far as is known. Without `bytes`, it is a stream. */
export interface Demand {
  readonly messages: number;
  readonly bytes?: number | undefined;
}

/** What data keys are had with. */
export interface DataKeysParts {
  readonly requests: KeyRequests;
  readonly leases: Leases;
  readonly clock: ServerClock;
  readonly reachability: Reachability;
  /** Limits of the cache; `false` for none. */
  readonly cache: CacheLimits | false;
}

/**
 * The data keys of a client. Every handle is good until the current task ends: whoever is given one takes it into
 * a coder without waiting for anything else.
 */
export class DataKeys {
  readonly #parts: DataKeysParts;
  readonly #limits: CacheLimits;
  readonly #encryption: EncryptionKeys;
  readonly #decryption: DecryptionKeys;
  readonly #flights = new SingleFlight<Entry>();

  constructor(parts: DataKeysParts) {
    this.#parts = parts;
    this.#limits = parts.cache || NOTHING_HELD;
    this.#encryption = new EncryptionKeys({ ...parts, limits: this.#limits });
    this.#decryption = new DecryptionKeys({ ...parts, limits: this.#limits });
  }

  /** A held key that may encrypt so much about exactly this context. Counts it. */
  warmForEncryption(key: string, pairs: readonly string[], amount: Amount): EncryptionKey | undefined {
    return this.#encryption.take(key, pairs, amount);
  }

  /**
   * A key to encrypt with: held, or new. A stream, whose length nobody knows, takes one of its own, so that the
   * limit on bytes holds; only when the server cannot be reached it shares a held one.
   */
  async forEncryption(
    key: string,
    pairs: readonly string[],
    { messages, bytes }: Demand,
    signal?: AbortSignal,
  ): Promise<EncryptionKey> {
    const { maxMessages, maxBytes } = this.#limits;
    const amount = { messages, bytes: bytes ?? 0 };
    try {
      if (bytes === undefined || bytes > maxBytes || messages > maxMessages) return await this.#own(key, pairs, signal);
      for (;;) {
        const held = this.warmForEncryption(key, pairs, amount) ?? (await this.#newHeld(key, pairs, amount, signal));
        if (held) return held;
      }
    } catch (error) {
      return this.#inGrace(error, signal, () => this.warmForEncryption(key, pairs, amount));
    }
  }

  /** Sees to it that a key is held, so that the next message need not wait. */
  async prefetch(key: string, pairs: readonly string[], signal?: AbortSignal): Promise<void> {
    const name = encryptionName(key, pairs);
    if (this.#encryption.holds(name) || this.#parts.cache === false) return;
    await this.#fly(name, key, pairs, signal);
  }

  /** The held data key of that encrypted form. */
  warmForDecryption(encryptedDataKey: Uint8Array): HeldKey | undefined {
    return this.#decryption.get(encryptedDataKey);
  }

  /** The data key of a message: held, or unsealed by the server. */
  async forDecryption(sealed: SealedKey, signal?: AbortSignal): Promise<HeldKey> {
    const warm = () => this.warmForDecryption(sealed.encryptedDataKey);
    const held = warm();
    if (held) return held;
    try {
      const unsealed = await this.#flights.join(toBase64(sealed.encryptedDataKey), (ends) => this.#unseal(sealed, ends), signal);
      unsealed.lease.check();
      return unsealed;
    } catch (error) {
      return this.#inGrace(error, signal, warm);
    }
  }

  /** A new key, held from now on; `undefined` if others who waited have used it up. */
  async #newHeld(key: string, pairs: readonly string[], amount: Amount, signal?: AbortSignal): Promise<Entry | undefined> {
    const entry = await this.#fly(encryptionName(key, pairs), key, pairs, signal);
    entry.lease.check();
    return this.#encryption.claim(entry, amount) ? entry : undefined;
  }

  #fly(name: string, key: string, pairs: readonly string[], signal?: AbortSignal): Promise<Entry> {
    const ask = async (ends: AbortSignal) => {
      const delivered = await this.#parts.requests.deliver(key, pairs, ends);
      return this.#take(delivered, 'encrypt', (taken) => this.#encryption.put(name, taken));
    };
    return this.#flights.join(name, ask, signal);
  }

  async #own(key: string, pairs: readonly string[], signal: AbortSignal = NEVER): Promise<Entry> {
    return this.#take(await this.#parts.requests.deliver(key, pairs, signal), 'encrypt', (taken) => this.#single(taken));
  }

  async #unseal(sealed: SealedKey, ends: AbortSignal): Promise<Entry> {
    const delivered = await this.#parts.requests.unseal(sealed, ends);
    const keep = (taken: EncryptionKey) => (this.#parts.cache ? this.#decryption.put(taken) : this.#single(taken));
    return this.#take(delivered, 'decrypt', keep);
  }

  /** Puts a delivered key under a lease. */
  #take({ handle, encryptedDataKey }: DeliveredKey, purpose: LeasePurpose, keep: (taken: EncryptionKey) => Entry): Entry {
    const lease = this.#parts.leases.start(handle, purpose);
    try {
      lease.check();
    } catch (error) {
      handle.free();
      throw error;
    }
    return keep({ handle, lease, encryptedDataKey });
  }

  /** A key for who asked for it, and for nobody else. */
  #single(taken: EncryptionKey): Entry {
    const entry = new Entry(taken, this.#parts.leases, () => undefined);
    entry.retire();
    return entry;
  }

  /** When the server could not be reached, a held key whose lease allows that goes on. */
  #inGrace<K>(error: unknown, signal: AbortSignal | undefined, held: () => K | undefined): K {
    signal?.throwIfAborted();
    const warm = this.#parts.reachability.offline ? held() : undefined;
    if (warm === undefined) throw error;
    return warm;
  }
}

const NOTHING_HELD: CacheLimits = { maxAgeSeconds: 0, maxMessages: 0, maxBytes: 0, maxEntries: 1 };
const NEVER = new AbortController().signal;
