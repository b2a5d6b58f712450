/** The right to use one data key until a time. */

import type { DataKeyHandle } from '../wasm/keyhaven_sdk.js';
import { type LeaseEnd, LeaseEndedError } from './errors.js';

/** What a data key may be used for under its lease. */
export type LeasePurpose = 'encrypt' | 'decrypt';

/** Says whether a lease's time is over. */
export interface LeaseTime {
  /** The server's time, Unix milliseconds. */
  now(): number;
  /** Whether the server cannot be reached, so that the offline grace counts. */
  readonly offline: boolean;
}

/** How a lease is renewed. */
export interface Renewal {
  /** Milliseconds after which it is to be renewed at the latest, if that is before the lease's end. */
  readonly freshFor: number;
  /** Whether anything is at work under it, or was since it began. */
  readonly inUse: () => boolean;
  /** Asks the server anew, and extends the lease. */
  readonly renew: () => Promise<void>;
}

/** When a lease began, and when it ends: Unix milliseconds of the server's time. */
export interface LeaseTimes {
  readonly issuedAt: number;
  readonly endsAt: number;
  /** When it ends while the server cannot be reached. */
  readonly offlineEndsAt: number;
}

/** The times that a data key was delivered with. */
export function timesOf(handle: DataKeyHandle): LeaseTimes {
  const endsAt = handle.notAfter * 1000;
  return { issuedAt: handle.issuedAt * 1000, endsAt, offlineEndsAt: endsAt + handle.offlineGrace * 1000 };
}

/** The right to use one data key until a time. A renewal moves its end. */
export class Lease {
  /** The key that the data key was made under. */
  readonly keyId: string;
  /** That key's version. */
  readonly keyVersion: number;
  /** What the data key may be used for. */
  readonly purpose: LeasePurpose;
  readonly #time: LeaseTime;
  readonly #onOver: (lease: Lease) => void;
  /** How it is renewed, if it can be. @internal */
  renewal: Renewal | undefined;
  /** When it is to be renewed next, in the server's time. @internal */
  renewAt = Infinity;
  /** Whether the server is being asked to renew it. @internal */
  renewing = false;
  /** Whether the server refused to renew it, so that no offline grace is left. @internal */
  refused = false;
  readonly #users = new Map<symbol, (error: LeaseEndedError) => void>();
  #times: LeaseTimes;
  #ended: LeaseEnd | undefined;

  /** @internal */
  constructor(handle: DataKeyHandle, purpose: LeasePurpose, time: LeaseTime, onOver: (lease: Lease) => void) {
    this.keyId = handle.keyId;
    this.keyVersion = handle.keyVersion;
    this.purpose = purpose;
    this.#time = time;
    this.#onOver = onOver;
    this.#times = timesOf(handle);
  }

  /** When the server gave it, or renewed it, in its own time (Unix milliseconds). */
  get issuedAt(): number {
    return this.#times.issuedAt;
  }

  /** When it ends, in the server's time (Unix milliseconds). */
  get endsAt(): number {
    return this.#times.endsAt;
  }

  /** When it ends while the server cannot be reached; never before {@link endsAt}. */
  get offlineEndsAt(): number {
    return this.#times.offlineEndsAt;
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** How many pieces of work stop when it ends. */
  get users(): number {
    return this.#users.size;
  }

  /** Throws when it has ended, also when no timer has noticed yet. */
  check(): void {
    if (!this.#ended && this.isOver()) this.#onOver(this);
    if (this.#ended) throw new LeaseEndedError(this.#ended, this.keyId);
  }

  /** Registers what must stop, and free its keys, when the lease ends. Returns how to sign off again. */
  use(stop: (error: LeaseEndedError) => void): () => void {
    this.check();
    const user = Symbol();
    this.#users.set(user, stop);
    return () => void this.#users.delete(user);
  }

  /** Whether its time is over. @internal */
  isOver(): boolean {
    const now = this.#time.now();
    if (now < this.endsAt) return false;
    return this.refused || now >= this.offlineEndsAt || !(this.#time.offline || this.renewing);
  }

  /** Takes over the times of a later delivery. @internal */
  extend(times: LeaseTimes): void {
    if (this.#ended || times.endsAt <= this.endsAt) return;
    const { issuedAt, endsAt, offlineEndsAt } = times;
    this.#times = { issuedAt, endsAt, offlineEndsAt };
  }

  /** Ends it. The first reason counts. @internal */
  end(reason: LeaseEnd): void {
    if (this.#ended) return;
    this.#ended = reason;
    for (const stop of [...this.#users.values()]) stop(new LeaseEndedError(reason, this.keyId));
    this.#users.clear();
  }
}
