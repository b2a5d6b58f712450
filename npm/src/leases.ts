/** Data keys that this client may still use, and their end. */

import type { DataKeyHandle } from '../wasm/keyhaven_sdk.js';
import type { ServerClock } from './clock.js';
import { type LeaseEnd, LeaseEndedError } from './errors.js';

/** Says that data keys may no longer be used. They were zeroized before this is heard. */
export class LeaseEndedEvent extends Event {
  /** The key whose data key it was. */
  readonly keyId: string;
  /** Its version. */
  readonly keyVersion: number;
  /** Why. */
  readonly reason: LeaseEnd;

  constructor(lease: Lease, reason: LeaseEnd) {
    super('leaseended');
    this.keyId = lease.keyId;
    this.keyVersion = lease.keyVersion;
    this.reason = reason;
  }
}

/** The right to use one data key until a time. */
export class Lease {
  /** The key that the data key was made under. */
  readonly keyId: string;
  /** That key's version. */
  readonly keyVersion: number;
  /** When the server gave it, in its own time (Unix milliseconds). */
  readonly issuedAt: number;
  /** When it ends at the latest, in the server's time (Unix milliseconds). */
  readonly endsAt: number;
  readonly #users = new Set<(error: LeaseEndedError) => void>();
  #ended: LeaseEnd | undefined;

  constructor(handle: DataKeyHandle) {
    this.keyId = handle.keyId;
    this.keyVersion = handle.keyVersion;
    this.issuedAt = handle.issuedAt * 1000;
    this.endsAt = handle.notAfter * 1000;
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Throws when it has ended. */
  check(): void {
    if (this.#ended) throw new LeaseEndedError(this.#ended, this.keyId);
  }

  /** Registers what must stop, and free its keys, when the lease ends. Returns how to sign off again. */
  use(stop: (error: LeaseEndedError) => void): () => void {
    this.check();
    this.#users.add(stop);
    return () => void this.#users.delete(stop);
  }

  /** Ends it. The first reason counts. */
  end(reason: LeaseEnd): void {
    if (this.#ended) return;
    this.#ended = reason;
    for (const stop of this.#users) stop(new LeaseEndedError(reason, this.keyId));
    this.#users.clear();
  }
}

/** A data key to decrypt with, and its lease. */
export interface HeldKey {
  /** The key, in Wasm's memory. */
  readonly handle: DataKeyHandle;
  /** The right to use it. */
  readonly lease: Lease;
}

/** All leases of a client. Hears of ends as `leaseended` events. */
export class Leases extends EventTarget {
  readonly #clock: ServerClock;
  readonly #running = new Set<Lease>();
  readonly #held = new Map<string, HeldKey>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(clock: ServerClock) {
    super();
    this.#clock = clock;
  }

  /** The leases that have not ended. */
  get current(): readonly Lease[] {
    return [...this.#running];
  }

  /** Takes up the lease of a key that was just delivered. */
  start(handle: DataKeyHandle): Lease {
    const lease = new Lease(handle);
    if (this.#closed) lease.end('closed');
    else this.#running.add(lease);
    this.#schedule();
    return lease;
  }

  /** Keeps a data key under its encrypted form, so that opening the same message again needs no server. */
  keep(encryptedDataKey: string, handle: DataKeyHandle): HeldKey {
    const known = this.held(encryptedDataKey);
    if (known) {
      handle.free();
      return known;
    }
    while (this.#held.size >= MAX_HELD) this.#evict();
    const held = { handle, lease: this.start(handle) };
    if (held.lease.ended) {
      handle.free();
      held.lease.check();
    }
    this.#held.set(encryptedDataKey, held);
    held.lease.use(() => this.#release(encryptedDataKey));
    return held;
  }

  /** The data key of that encrypted form, while its lease runs. */
  held(encryptedDataKey: string): HeldKey | undefined {
    this.expire();
    return this.#held.get(encryptedDataKey);
  }

  /** Ends the leases whose time is over. */
  expire(): void {
    const now = this.#clock.now();
    this.endWhere((lease) => lease.endsAt <= now, 'lease_expired');
  }

  /** A lease whose work is done: its message was written. */
  finish(lease: Lease): void {
    this.#running.delete(lease);
  }

  /** Ends all leases that a condition holds for. */
  endWhere(condition: (lease: Lease) => boolean, reason: LeaseEnd): void {
    for (const lease of [...this.#running].filter(condition)) {
      this.#running.delete(lease);
      lease.end(reason);
      this.dispatchEvent(new LeaseEndedEvent(lease, reason));
    }
    this.#schedule();
  }

  /** Ends all leases, and those that would still begin. */
  close(): void {
    this.#closed = true;
    this.endWhere(() => true, 'closed');
  }

  /** Makes room. Streams that decrypt with the key go on under its lease. */
  #evict(): void {
    const [oldest] = this.#held.keys();
    if (oldest !== undefined) this.#release(oldest);
  }

  #release(encryptedDataKey: string): void {
    const held = this.#held.get(encryptedDataKey);
    this.#held.delete(encryptedDataKey);
    held?.handle.free();
  }

  /** Wakes when the next lease ends. A timer may come late, so every use looks at the time, too. */
  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#running.size === 0) return;
    const next = Math.min(...[...this.#running].map((lease) => lease.endsAt));
    const wait = Math.min(Math.max(next - this.#clock.now(), 0) + 1, LONGEST_TIMER);
    this.#timer = setTimeout(() => this.expire(), wait);
    // In Node a timer keeps the process alive; in a page it is a number.
    if (typeof this.#timer === 'object') this.#timer.unref();
  }
}

/** The most data keys held for re-opening; the one held longest goes first. */
const MAX_HELD = 256;
const LONGEST_TIMER = 60_000;
