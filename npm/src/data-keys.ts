/** Data keys: held while they may be used, else asked for; once, however many want the same. */

import type { ServerClock } from './clock.js';
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
import type { CacheLimits } from './key-settings.js';
import { type Lease, type LeasePurpose, timesOf } from './lease.js';
import type { LeaseVault } from './lease-vault.js';
import type { EndGiven, Leases } from './leases.js';
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
  /** Keeps leases beyond this page. */
  readonly vault: LeaseVault | undefined;
}

/** A data key that is wanted: how it is asked for, and where it is held. */
interface Wanted {
  readonly purpose: LeasePurpose;
  /** Names it, here and where leases are kept. */
  readonly id: string;
  readonly key: string;
  readonly pairs: readonly string[];
  readonly ask: (signal: AbortSignal) => Promise<DeliveredKey>;
  readonly peek: () => Entry | undefined;
  readonly put: (key: EncryptionKey) => Entry;
  readonly renew: (entry: Entry) => Promise<void>;
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
  readonly #restoring = new SingleFlight<Entry | undefined>();
  /** The newest version of each key that was rotated meanwhile. */
  readonly #newest = new Map<string, number>();

  constructor(parts: DataKeysParts) {
    this.#parts = parts;
    this.#limits = parts.cache || NOTHING_HELD;
    const onForget = ({ id }: Entry) => void (id !== undefined && parts.vault?.forget(id));
    this.#encryption = new EncryptionKeys({ ...parts, limits: this.#limits, onForget });
    this.#decryption = new DecryptionKeys({ ...parts, limits: this.#limits, onForget });
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
    const wanted = this.#toEncrypt(key, pairs);
    const amount = { messages, bytes: bytes ?? 0 };
    const warm = () => this.warmForEncryption(key, pairs, amount);
    try {
      if (bytes === undefined || bytes > maxBytes || messages > maxMessages) return await this.#ask(wanted, signal ?? NEVER, true);
      for (;;) {
        const held = warm() ?? (await this.#newHeld(wanted, amount, signal));
        if (held) return held;
      }
    } catch (error) {
      return this.#inGrace(error, signal, wanted, warm);
    }
  }

  /** Sees to it that a key is held, so that the next message need not wait. */
  async prefetch(key: string, pairs: readonly string[], signal?: AbortSignal): Promise<void> {
    if (this.#encryption.holds(encryptionName(key, pairs)) || this.#parts.cache === false) return;
    await this.#obtain(this.#toEncrypt(key, pairs), signal);
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
    const wanted = this.#toDecrypt(sealed);
    try {
      const unsealed = await this.#obtain(wanted, signal);
      unsealed.lease.check();
      return unsealed;
    } catch (error) {
      return this.#inGrace(error, signal, wanted, warm);
    }
  }

  /** The server ended leases: those that are held, at work, on their way, or kept. */
  ended(end: EndGiven): void {
    this.#parts.leases.endGiven(end);
    this.#parts.vault?.ended(end);
  }

  /** A key has a new version: what is held to encrypt under older ones is dropped. Messages at work go on. */
  rotated(keyId: string, version: number): void {
    if (this.#newest.size >= MOST_VERSIONS) this.#newest.clear();
    this.#newest.set(keyId, Math.max(version, this.#newest.get(keyId) ?? 0));
    this.#encryption.dropWhere(({ lease }) => this.#isOld(lease));
    this.#parts.vault?.rotated(keyId, version);
  }

  #toEncrypt(key: string, pairs: readonly string[]): Wanted {
    const name = encryptionName(key, pairs);
    const wanted: Wanted = {
      ...{ purpose: 'encrypt', id: `encrypt ${name}`, key, pairs },
      ask: (signal) => this.#parts.requests.deliver(key, pairs, signal),
      peek: () => this.#encryption.peek(name),
      put: (taken) => this.#encryption.put(name, taken),
      renew: (entry) => this.#succeed(entry, wanted),
    };
    return wanted;
  }

  #toDecrypt(sealed: SealedKey): Wanted {
    const { key, pairs, encryptedDataKey } = sealed;
    const wanted: Wanted = {
      ...{ purpose: 'decrypt', id: `decrypt ${toBase64(encryptedDataKey)}`, key, pairs },
      ask: (signal) => this.#parts.requests.unseal(sealed, signal),
      peek: () => this.#decryption.peek(encryptedDataKey),
      put: (taken) => this.#decryption.put({ ...taken, encryptedDataKey }),
      renew: (entry) => this.#askAgain(entry, wanted),
    };
    return wanted;
  }

  /** A new key, held from now on; `undefined` if others who waited have used it up. */
  async #newHeld(wanted: Wanted, amount: Amount, signal?: AbortSignal): Promise<Entry | undefined> {
    const entry = await this.#obtain(wanted, signal);
    entry.lease.check();
    return this.#encryption.claim(entry, amount) ? entry : undefined;
  }

  /** A key that is kept and still fresh, or that the server gives now. */
  #obtain(wanted: Wanted, signal?: AbortSignal): Promise<Entry> {
    const { clock, vault } = this.#parts;
    const obtain = async (ends: AbortSignal) => {
      const record = wanted.peek() ? undefined : await vault?.find(wanted.id);
      const fresh = record && clock.now() < Math.min(record.endsAt, record.issuedAt + this.#limits.maxAgeSeconds * 1000);
      return (fresh && (await this.#restore(wanted))) || this.#ask(wanted, ends, false);
    };
    return this.#flights.join(wanted.id, obtain, signal);
  }

  /** Asks the server. A key of one's `own` is held for nobody else. */
  async #ask(wanted: Wanted, signal: AbortSignal, own: boolean): Promise<Entry> {
    const mark = this.#parts.leases.mark();
    const delivered = await wanted.ask(signal);
    const entry = this.#take(delivered, wanted, mark, own);
    if (!own) this.#keep(entry, delivered, wanted);
    return entry;
  }

  /** Opens a kept key again. One that does not open is forgotten. */
  #restore(wanted: Wanted): Promise<Entry | undefined> {
    const { vault, requests } = this.#parts;
    return this.#restoring.join(wanted.id, async () => {
      const record = await vault?.find(wanted.id);
      const held = wanted.peek();
      if (held || !record || !this.#parts.cache) return held;
      try {
        const { purpose, pairs } = wanted;
        const handle = await requests.reopen({ ...record, purpose, pairs });
        const entry = this.#take({ handle, encryptedDataKey: record.encryptedDataKey, answer: record }, wanted, 0, false);
        ({ messages: entry.messages, bytes: entry.bytes } = record);
        entry.id = wanted.id;
        vault?.follow(wanted.id, entry);
        return entry;
      } catch {
        vault?.forget(wanted.id);
        return undefined;
      }
    });
  }

  /** Puts a data key under a lease, which is renewed while it is in use. */
  #take({ handle, encryptedDataKey }: DeliveredKey, wanted: Wanted, mark: number, own: boolean): Entry {
    const { leases, cache } = this.#parts;
    const { purpose } = wanted;
    const lease = leases.start(handle, purpose, mark);
    try {
      lease.check();
    } catch (error) {
      handle.free();
      throw error;
    }
    const taken = { handle, lease, encryptedDataKey };
    const alone = own || !cache || (purpose === 'encrypt' && this.#isOld(lease));
    const entry = alone ? this.#single(taken) : wanted.put(taken);
    const freshFor = alone ? Infinity : this.#limits.maxAgeSeconds * 1000;
    leases.keepUp(lease, { freshFor, inUse: () => entry.atWork, renew: () => wanted.renew(entry) });
    return entry;
  }

  /** Keeps a held key beyond this page. */
  #keep(entry: Entry, { handle, answer }: DeliveredKey, { id, purpose, key, pairs, peek }: Wanted): void {
    const { vault } = this.#parts;
    if (!vault || peek() !== entry) return;
    const { encryptedDataKey, messages, bytes } = entry;
    entry.id = id;
    vault.keep({ ...answer, ...timesOf(handle), id, purpose, key, pairs, encryptedDataKey, messages, bytes }, entry);
  }

  /**
   * Renews the right to encrypt: whoever is given another data key of the same key and context may go on with the
   * one at work. The next message takes the new one.
   */
  async #succeed(entry: Entry, wanted: Wanted): Promise<void> {
    const held = wanted.peek();
    const newer = held && held.lease.issuedAt > entry.lease.issuedAt && !held.lease.ended ? held : undefined;
    const ask = () => this.#flights.join(`renew ${wanted.id}`, (ends) => this.#ask(wanted, ends, false));
    const { lease } = newer ?? (await ask());
    // The name may mean another key by now: that says nothing about this one.
    if (lease.keyId === entry.lease.keyId && !lease.ended) entry.lease.extend(lease);
  }

  /** Renews the right to decrypt with a data key, by asking for the same again. */
  async #askAgain(entry: Entry, wanted: Wanted): Promise<void> {
    const delivered = await wanted.ask(NEVER);
    entry.lease.extend(timesOf(delivered.handle));
    this.#keep(entry, delivered, wanted);
    entry.replace(delivered.handle);
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

  /** When the server cannot be reached, a key that is held or kept, and whose lease allows that, goes on. */
  async #inGrace<K>(error: unknown, signal: AbortSignal | undefined, wanted: Wanted, held: () => K | undefined): Promise<K> {
    signal?.throwIfAborted();
    if (!this.#parts.reachability.offline) throw error;
    const warm = held() ?? ((await this.#restore(wanted)) && held());
    if (warm === undefined) throw error;
    return warm;
  }
}

const NOTHING_HELD: CacheLimits = { maxAgeSeconds: 0, maxMessages: 0, maxBytes: 0, maxEntries: 1 };
/** Beyond it older ones are forgotten: then their leases are what ends their use. */
const MOST_VERSIONS = 10_000;
const NEVER = new AbortController().signal;
