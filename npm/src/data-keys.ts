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
import { type Lease, type LeasePurpose, timesOf } from './lease.js';
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
  /** The newest version of each key that was rotated meanwhile. */
  readonly #newest = new Map<string, number>();

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

  /** A key has a new version: what is held to encrypt under older ones is dropped. Messages at work go on. */
  rotated(keyId: string, version: number): void {
    if (this.#newest.size >= MOST_VERSIONS) this.#newest.clear();
    this.#newest.set(keyId, Math.max(version, this.#newest.get(keyId) ?? 0));
    this.#encryption.dropWhere((entry) => this.#isOld(entry.lease));
  }

  /** A new key, held from now on; `undefined` if others who waited have used it up. */
  async #newHeld(key: string, pairs: readonly string[], amount: Amount, signal?: AbortSignal): Promise<Entry | undefined> {
    const entry = await this.#fly(encryptionName(key, pairs), key, pairs, signal);
    entry.lease.check();
    return this.#encryption.claim(entry, amount) ? entry : undefined;
  }

  #fly(name: string, key: string, pairs: readonly string[], signal?: AbortSignal): Promise<Entry> {
    const ask = async (ends: AbortSignal) => {
      const mark = this.#parts.leases.mark();
      const delivered = await this.#parts.requests.deliver(key, pairs, ends);
      const keep = (taken: EncryptionKey) => (this.#isOld(taken.lease) ? this.#single(taken) : this.#encryption.put(name, taken));
      const entry = this.#take(delivered, ['encrypt', mark], keep);
      this.#keepUp(entry, this.#limits.maxAgeSeconds, () => this.#succeed(entry, key, pairs));
      return entry;
    };
    return this.#flights.join(name, ask, signal);
  }

  async #own(key: string, pairs: readonly string[], signal: AbortSignal = NEVER): Promise<Entry> {
    const mark = this.#parts.leases.mark();
    const delivered = await this.#parts.requests.deliver(key, pairs, signal);
    const entry = this.#take(delivered, ['encrypt', mark], (taken) => this.#single(taken));
    this.#keepUp(entry, Infinity, () => this.#succeed(entry, key, pairs));
    return entry;
  }

  async #unseal(sealed: SealedKey, ends: AbortSignal): Promise<Entry> {
    const mark = this.#parts.leases.mark();
    const delivered = await this.#parts.requests.unseal(sealed, ends);
    const keep = (taken: EncryptionKey) => (this.#parts.cache ? this.#decryption.put(taken) : this.#single(taken));
    const entry = this.#take(delivered, ['decrypt', mark], keep);
    this.#keepUp(entry, this.#parts.cache ? this.#limits.maxAgeSeconds : Infinity, () => this.#unsealAgain(entry, sealed));
    return entry;
  }

  #keepUp(entry: Entry, freshForSeconds: number, renew: () => Promise<void>): void {
    this.#parts.leases.keepUp(entry.lease, { freshFor: freshForSeconds * 1000, inUse: () => entry.atWork, renew });
  }

  /**
   * Renews the right to encrypt: whoever is given another data key of the same key and context may go on with the
   * one at work. The next message takes the new one.
   */
  async #succeed(entry: Entry, key: string, pairs: readonly string[]): Promise<void> {
    const name = encryptionName(key, pairs);
    const held = this.#encryption.peek(name);
    const newer = held && held.lease.issuedAt > entry.lease.issuedAt && !held.lease.ended ? held : undefined;
    const ask = () => (this.#parts.cache ? this.#fly(name, key, pairs) : this.#own(key, pairs));
    const { lease } = newer ?? (await ask());
    // The name may mean another key by now: that says nothing about this one.
    if (lease.keyId === entry.lease.keyId && !lease.ended) entry.lease.extend(lease);
  }

  /** Renews the right to decrypt with a data key, by asking for the same again. */
  async #unsealAgain(entry: Entry, sealed: SealedKey): Promise<void> {
    const { handle } = await this.#parts.requests.unseal(sealed, NEVER);
    entry.lease.extend(timesOf(handle));
    entry.replace(handle);
  }

  /** Puts a delivered key under a lease. */
  #take(
    { handle, encryptedDataKey }: DeliveredKey,
    [purpose, mark]: [LeasePurpose, number],
    keep: (taken: EncryptionKey) => Entry,
  ): Entry {
    const lease = this.#parts.leases.start(handle, purpose, mark);
    try {
      lease.check();
    } catch (error) {
      handle.free();
      throw error;
    }
    return keep({ handle, lease, encryptedDataKey });
  }

  /** Whether its key was rotated since. */
  #isOld({ keyId, keyVersion }: Lease): boolean {
    return keyVersion < (this.#newest.get(keyId) ?? 0);
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
/** Beyond it older ones are forgotten: then their leases are what ends their use. */
const MOST_VERSIONS = 10_000;
const NEVER = new AbortController().signal;
