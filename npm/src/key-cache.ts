/** Data keys held for use: by key and context to encrypt, by their encrypted form to decrypt. */

import type { DataKeyHandle } from '../wasm/keyhaven_sdk.js';
import type { ServerClock } from './clock.js';
import type { CacheLimits } from './key-settings.js';
import type { Lease } from './lease.js';
import type { Leases } from './leases.js';
import type { Reachability } from './reachability.js';

/** A data key to decrypt with, and its lease. */
export interface HeldKey {
  /** The key, in Wasm's memory. Good until the current task ends: take it into a coder without waiting. */
  readonly handle: DataKeyHandle;
  /** The right to use it. */
  readonly lease: Lease;
}

/** A data key to encrypt with, and its lease. */
export interface EncryptionKey extends HeldKey {
  /** The same data key as the server encrypted it: for the message's header. */
  readonly encryptedDataKey: Uint8Array;
}

/** How much is to be encrypted. */
export interface Amount {
  readonly messages: number;
  /** Of all messages together. */
  readonly bytes: number;
}

/** What both caches work with. */
export interface KeyCacheParts {
  readonly leases: Leases;
  readonly clock: ServerClock;
  readonly reachability: Reachability;
  readonly limits: CacheLimits;
  /** Hears of a key that is no longer held, for whatever reason. */
  readonly onForget: (entry: Entry) => void;
}

/** A held data key. Its handle is freed when its lease ends, or when it makes room. */
export class Entry implements EncryptionKey {
  handle: DataKeyHandle;
  readonly lease: Lease;
  readonly encryptedDataKey: Uint8Array;
  messages = 0;
  bytes = 0;
  /** Whether it was used since its lease began, or was renewed. */
  used = false;
  /** Under what it is kept beyond this page, if it is. */
  id: string | undefined;
  readonly #leases: Leases;
  readonly #signOff: () => void;
  #freed = false;

  /** `onEnd` hears of the lease's end, after the handle was freed. */
  constructor(key: EncryptionKey, leases: Leases, onEnd: (entry: Entry) => void) {
    this.handle = key.handle;
    this.lease = key.lease;
    this.encryptedDataKey = key.encryptedDataKey;
    this.#leases = leases;
    this.#signOff = key.lease.use(() => {
      this.#free();
      onEnd(this);
    });
  }

  /** Whether something is at work under its lease, or was since that began. */
  get atWork(): boolean {
    return this.used || this.lease.users > (this.#freed ? 0 : 1);
  }

  /** Takes another handle on the same data key, from a renewal. */
  replace(handle: DataKeyHandle): void {
    const old = this.#freed ? handle : this.handle;
    if (!this.#freed) this.handle = handle;
    this.used = false;
    setTimeout(() => old.free(), 0);
  }

  /** Gives it up. Whoever was given it in this task may still take it into a coder. */
  retire(): void {
    setTimeout(() => {
      this.#signOff();
      this.#free();
      this.#leases.finish(this.lease);
    }, 0);
  }

  #free(): void {
    if (!this.#freed) this.handle.free();
    this.#freed = true;
  }
}

/** What both caches have in common: entries in the order of their last use, which make room for others. */
class Cache<N> {
  protected readonly entries = new Map<N, Entry>();
  readonly #parts: KeyCacheParts;

  constructor(parts: KeyCacheParts) {
    this.#parts = parts;
  }

  /** Lets go of the keys that a condition holds for; streams that they began go on. */
  dropWhere(condition: (entry: Entry) => boolean): void {
    for (const [name, entry] of [...this.entries]) if (condition(entry)) this.#drop(name, entry);
  }

  /** Holds a key in place of an older one of the same name. */
  protected hold(name: N, key: EncryptionKey): Entry {
    const old = this.entries.get(name);
    if (old) this.#drop(name, old);
    for (const [oldest, unused] of this.entries) {
      if (this.entries.size < this.limits.maxEntries) break;
      this.#drop(oldest, unused);
    }
    const entry = new Entry(key, this.#parts.leases, () => this.forget(name, entry));
    this.entries.set(name, entry);
    return entry;
  }

  protected find(name: N): Entry | undefined {
    const entry = this.entries.get(name);
    if (!entry) return undefined;
    this.entries.delete(name);
    this.entries.set(name, entry);
    return entry;
  }

  /** Whether the entry may be used now: fresh, or in its offline grace while the server is away. */
  protected usable({ lease }: Entry): boolean {
    if (lease.ended) return false;
    const { clock, reachability } = this.#parts;
    const now = clock.now();
    if (now < lease.endsAt && now < lease.issuedAt + this.limits.maxAgeSeconds * 1000) return true;
    return lease.offlineEndsAt > lease.endsAt && now < lease.offlineEndsAt && !lease.refused && reachability.resting;
  }

  protected get limits(): CacheLimits {
    return this.#parts.limits;
  }

  protected forget(name: N, entry: Entry): void {
    if (this.entries.get(name) !== entry) return;
    this.entries.delete(name);
    this.#parts.onForget(entry);
  }

  #drop(name: N, entry: Entry): void {
    this.forget(name, entry);
    entry.retire();
  }
}

/** Data keys to encrypt with, by {@link encryptionName}. */
export class EncryptionKeys extends Cache<string> {
  /** What was found last, since most look for the same again. */
  #last: { readonly key: string; readonly pairs: readonly string[]; readonly entry: Entry } | undefined;

  /** A key that may still encrypt so much, and counts it. */
  take(key: string, pairs: readonly string[], amount: Amount): Entry | undefined {
    const last = this.#last;
    if (last && last.key === key && same(last.pairs, pairs)) return this.#ready(last.entry, amount);
    const entry = this.find(encryptionName(key, pairs));
    if (!entry) return undefined;
    this.#last = { key, pairs: [...pairs], entry };
    return this.#ready(entry, amount);
  }

  /** Counts what a key is to encrypt; false if it is used up by that. */
  claim(entry: Entry, { messages, bytes }: Amount): boolean {
    const { maxMessages, maxBytes } = this.limits;
    if (entry.messages + messages > maxMessages || entry.bytes + bytes > maxBytes) return false;
    entry.messages += messages;
    entry.bytes += bytes;
    entry.used = true;
    return true;
  }

  /** Whether a key of that name is held that can still be used. Counts nothing. */
  holds(name: string): boolean {
    const entry = this.entries.get(name);
    return entry !== undefined && this.usable(entry) && entry.messages < this.limits.maxMessages;
  }

  /** What is held under a name. */
  peek(name: string): Entry | undefined {
    return this.entries.get(name);
  }

  /** Holds a key in place of an older one of the same name. */
  put(name: string, key: EncryptionKey): Entry {
    return this.hold(name, key);
  }

  protected override forget(name: string, entry: Entry): void {
    super.forget(name, entry);
    if (this.#last?.entry === entry) this.#last = undefined;
  }

  #ready(entry: Entry, amount: Amount): Entry | undefined {
    return this.usable(entry) && this.claim(entry, amount) ? entry : undefined;
  }
}

/** Data keys to decrypt with, by their encrypted form. */
export class DecryptionKeys extends Cache<number> {
  /** The data key of that encrypted form. */
  get(encryptedDataKey: Uint8Array): Entry | undefined {
    const entry = this.find(fingerprint(encryptedDataKey));
    if (!entry || !same(entry.encryptedDataKey, encryptedDataKey) || !this.usable(entry)) return undefined;
    entry.used = true;
    return entry;
  }

  /** What is held of that encrypted form. */
  peek(encryptedDataKey: Uint8Array): Entry | undefined {
    const entry = this.entries.get(fingerprint(encryptedDataKey));
    return entry && same(entry.encryptedDataKey, encryptedDataKey) ? entry : undefined;
  }

  /** Holds a key. Of two with the same fingerprint, the later. */
  put(key: EncryptionKey): Entry {
    return this.hold(fingerprint(key.encryptedDataKey), key);
  }
}

/** Under what a key to encrypt with is held: the key as it was asked for, and the exact context. */
export function encryptionName(key: string, pairs: readonly string[]): string {
  return JSON.stringify([key, ...pairs]);
}

/** 53 bits of the authentication tag at the end. What is found by it is compared in full. */
function fingerprint(bytes: Uint8Array): number {
  let [low, high] = [0, bytes.length];
  for (let at = Math.max(bytes.length - 8, 0); at < bytes.length - 4; at += 1) high = (high << 8) ^ (bytes[at] as number);
  for (let at = Math.max(bytes.length - 4, 0); at < bytes.length; at += 1) low = (low << 8) ^ (bytes[at] as number);
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}

function same<T>(one: ArrayLike<T>, other: ArrayLike<T>): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}
