/** Leases that outlive the page: kept as the server sealed them, and opened again by this device. */

import type { ServerClock } from './clock.js';
import type { StoredLease, StoredTime, LeaseStorage } from './lease-storage.js';
import type { EndGiven } from './leases.js';

/** What was encrypted under a data key. */
export interface Count {
  readonly messages: number;
  readonly bytes: number;
}

/**
 * Keeps leases in a storage that is not trusted with keys, nor believed. Writing is put off and joined, and in
 * this order: what ended is removed, then what is new is kept, then the time. A storage that fails is given up:
 * leases are then held by this page only.
 */
export class LeaseVault {
  readonly #storage: LeaseStorage;
  readonly #scope: string;
  readonly #clock: ServerClock;
  readonly #most: number;
  readonly #records = new Map<string, StoredLease>();
  readonly #counts = new Map<string, Count>();
  readonly #changed = new Set<string>();
  readonly #onHide = () => void this.#flush();
  #opening: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = Infinity;
  #before: StoredTime | undefined;
  #behind = false;
  #after: string | undefined;
  #closed = false;
  /** Whether nothing is written any more. */
  #stopped = false;

  /** Keeps at most so many leases. */
  constructor(storage: LeaseStorage, scope: string, clock: ServerClock, most: number) {
    this.#storage = storage;
    this.#scope = scope;
    this.#clock = clock;
    this.#most = most;
    globalThis.addEventListener?.('pagehide', this.#onHide);
  }

  /** Reads what was kept, once. */
  open(): Promise<void> {
    this.#opening ??= this.#read().catch((error: unknown) => this.#giveUp(error));
    return this.#opening;
  }

  /** Where the stream of events is to go on; what came before it was heeded. */
  get after(): string | undefined {
    return this.#after;
  }

  /** An event was heeded: what it ended is forgotten before it is taken down as heard. */
  heard(after: string): void {
    this.#after = after;
    this.#soon(0);
  }

  /** A lease that was kept and whose time is not over, as far as this machine can tell. */
  async find(id: string): Promise<StoredLease | undefined> {
    await this.open();
    const now = this.#clock.now();
    // A wall clock that was set back is not believed, until the server has told the time.
    if (this.#behind && now < (this.#before?.server ?? Infinity)) return undefined;
    const record = this.#records.get(id);
    if (!record || record.offlineEndsAt > now) return record;
    this.forget(id);
    return undefined;
  }

  /** Keeps a lease, in place of the one before. `count` is looked at again and again. */
  keep(record: StoredLease, count: Count): void {
    if (this.#closed) return;
    this.#records.set(record.id, record);
    this.#counts.set(record.id, count);
    this.#touch(record.id);
  }

  /** Takes down from now on what a lease that was opened again encrypts. */
  follow(id: string, count: Count): void {
    if (this.#records.has(id)) this.#counts.set(id, count);
  }

  /** Forgets a lease that ended. */
  forget(id: string): void {
    if (this.#closed || !this.#records.delete(id)) return;
    this.#counts.delete(id);
    this.#touch(id);
  }

  /** Forgets what the server ended, whether it was opened again or not. */
  ended({ keyId, until }: EndGiven): void {
    for (const record of this.#records.values()) {
      if ((keyId === undefined || keyId === record.keyId) && record.issuedAt <= until) this.forget(record.id);
    }
  }

  /** Forgets what encrypts under older versions of a key. */
  rotated(keyId: string, version: number): void {
    for (const record of this.#records.values()) {
      if (record.purpose === 'encrypt' && record.keyId === keyId && record.keyVersion < version) this.forget(record.id);
    }
  }

  /** Writes what is left to write. What ends from now on stays kept, since only the client ends. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    globalThis.removeEventListener?.('pagehide', this.#onHide);
    clearTimeout(this.#timer);
    await this.#flush();
  }

  /** Forgets everything. */
  async wipe(): Promise<void> {
    this.#closed = true;
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#storage.clear(this.#scope);
  }

  async #read(): Promise<void> {
    const [time, leases] = [await this.#storage.time(this.#scope), await this.#storage.leases(this.#scope)];
    const told = time && Number.isFinite(time.server) && Number.isFinite(time.wall) ? time : undefined;
    this.#before = told;
    this.#behind = told === undefined || !this.#clock.resume(told);
    this.#after = time?.after !== undefined && /^\d{1,20}$/.test(time.after) ? time.after : undefined;
    const newest = leases.filter(isWhole).sort((one, other) => other.issuedAt - one.issuedAt);
    for (const record of newest.slice(0, this.#most)) this.#records.set(record.id, record);
    const rest = leases.filter(({ id }) => !this.#records.has(id)).map(({ id }) => id);
    if (rest.length > 0) await this.#storage.remove(this.#scope, rest);
  }

  #touch(id: string): void {
    this.#changed.add(id);
    this.#soon(0);
  }

  /** Writes within so many milliseconds. */
  #soon(within: number): void {
    const due = performance.now() + within;
    if (this.#closed || due >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => void this.#flush(), within);
    if (typeof this.#timer === 'object') this.#timer.unref();
  }

  /** Writes, after what is being written. */
  #flush(): Promise<void> {
    this.#due = Infinity;
    const write = this.#writing.then(() => this.#write());
    this.#writing = write.catch((error: unknown) => this.#giveUp(error));
    return this.#writing;
  }

  async #write(): Promise<void> {
    if (this.#stopped) return;
    await this.open();
    this.#takeCounts();
    const changed = [...this.#changed];
    this.#changed.clear();
    const gone = changed.filter((id) => !this.#records.has(id));
    const kept = changed.flatMap((id) => this.#records.get(id) ?? []);
    if (gone.length > 0) await this.#storage.remove(this.#scope, gone);
    if (kept.length > 0) await this.#storage.put(this.#scope, kept);
    const server = this.#clock.now();
    if (server > 0) await this.#storage.setTime(this.#scope, { server, wall: Date.now(), after: this.#after });
    // While anything is kept, time and counts go on being taken down: a clock set back later is found.
    if (this.#records.size > 0) this.#soon(EVERY);
  }

  #takeCounts(): void {
    for (const [id, { messages, bytes }] of this.#counts) {
      const record = this.#records.get(id);
      if (!record || (record.messages === messages && record.bytes === bytes)) continue;
      this.#records.set(id, { ...record, messages, bytes });
      this.#changed.add(id);
    }
  }

  #giveUp(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#closed = true;
    this.#records.clear();
    console.warn('keyhaven: leases are not kept, since the storage failed', error);
  }
}

/** Whether a record has the form of one. What it says is checked when it is opened. */
function isWhole(record: StoredLease): boolean {
  const { id, key, pairs, nonce, delivery, keyId, keyring, encryptedDataKey } = record;
  const texts = [id, key, keyId, keyring, ...(Array.isArray(pairs) ? pairs : [undefined])];
  const numbers = [record.keyVersion, record.issuedAt, record.endsAt, record.offlineEndsAt, record.messages, record.bytes];
  return (
    texts.every((text) => typeof text === 'string') &&
    numbers.every((number) => Number.isSafeInteger(number) && number >= 0) &&
    [nonce, delivery, encryptedDataKey].every((bytes) => bytes instanceof Uint8Array)
  );
}

/** Milliseconds. */
const EVERY = 10_000;
