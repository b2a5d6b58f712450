export interface Leases {
  /** Hears of the ends of leases. */
  addEventListener(type: 'leaseended', listener: (event: LeaseEndedEvent) => void, options?: AddEventListenerOptions | boolean): void;
  /** As of any target of events. */
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean): void;
}

/** All leases of a client, and their end. */

import type { DataKeyHandle } from '../wasm/keyhaven_sdk.js';
import type { ServerClock } from './clock.js';
import type { LeaseEnd } from './errors.js';
import { Lease, type LeasePurpose, type LeaseTime } from './lease.js';
import type { Reachability } from './reachability.js';

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

/** All leases of a client. Hears of ends as `leaseended` events. */
export class Leases extends EventTarget {
  readonly #time: LeaseTime;
  readonly #running = new Set<Lease>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** @internal */
  constructor(clock: ServerClock, reachability: Reachability) {
    super();
    this.#time = {
      now: () => clock.now(),
      get offline() {
        return reachability.offline;
      },
    };
  }

  /** The leases of data keys that are held or at work. */
  get current(): readonly Lease[] {
    return [...this.#running];
  }

  /** Takes up the lease of a key that was just delivered. @internal */
  start(handle: DataKeyHandle, purpose: LeasePurpose): Lease {
    const lease = new Lease(handle, purpose, this.#time, (over) => this.#end(over, 'lease_expired'));
    if (this.#closed) lease.end('closed');
    else this.#running.add(lease);
    this.#schedule();
    return lease;
  }

  /** Lets go of a lease that nobody uses any more. @internal */
  finish(lease: Lease): void {
    if (lease.users === 0) this.#running.delete(lease);
  }

  /** Ends the leases whose time is over. @internal */
  expire(): void {
    this.endWhere((lease) => lease.isOver(), 'lease_expired');
  }

  /** Ends all leases that a condition holds for. @internal */
  endWhere(condition: (lease: Lease) => boolean, reason: LeaseEnd): void {
    for (const lease of [...this.#running].filter(condition)) this.#end(lease, reason);
    this.#schedule();
  }

  /** Ends all leases, and those that would still begin. @internal */
  close(): void {
    this.#closed = true;
    this.endWhere(() => true, 'closed');
  }

  #end(lease: Lease, reason: LeaseEnd): void {
    this.#running.delete(lease);
    lease.end(reason);
    this.dispatchEvent(new LeaseEndedEvent(lease, reason));
  }

  /** Wakes when the next lease ends. A timer may come late, so every use looks at the time, too. */
  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#running.size === 0) return;
    const now = this.#time.now();
    let next = Infinity;
    for (const { endsAt, offlineEndsAt } of this.#running) {
      // In its grace a lease ends as soon as the server is back, so it is looked at again and again.
      next = Math.min(next, endsAt > now ? endsAt : Math.min(offlineEndsAt, now + GRACE_STEP));
    }
    this.#timer = setTimeout(() => this.expire(), Math.min(Math.max(next - now, 0) + 1, LONGEST_TIMER));
    // In Node a timer keeps the process alive; in a page it is a number.
    if (typeof this.#timer === 'object') this.#timer.unref();
  }
}

const LONGEST_TIMER = 60_000;
const GRACE_STEP = 1_000;
