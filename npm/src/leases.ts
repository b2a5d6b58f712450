export interface Leases {
  /** Hears of the ends of leases. */
  addEventListener(type: 'leaseended', listener: (event: LeaseEndedEvent) => void, options?: AddEventListenerOptions | boolean): void;
  /** As of any target of events. */
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean): void;
}

/** All leases of a client, and their end. */

import type { DataKeyHandle } from '../wasm/keyhaven_sdk.js';
import type { ServerClock } from './clock.js';
import { type LeaseEnd, RefusedError } from './errors.js';
import { Lease, type LeasePurpose, type LeaseTime, type Renewal } from './lease.js';
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

/** Which leases end at the server's word. */
export interface EndGiven {
  /** Those of one key; of all keys when left out. */
  readonly keyId?: string;
  /** Those given until then, in the server's time (Unix milliseconds). */
  readonly until: number;
  readonly reason: LeaseEnd;
}

/** All leases of a client. Hears of ends as `leaseended` events. */
export class Leases extends EventTarget {
  readonly #time: LeaseTime;
  readonly #running = new Set<Lease>();
  /** What the server said last, for data keys that are on their way meanwhile. */
  readonly #said: EndGiven[] = [];
  #saidBefore = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wakesAt = Infinity;
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

  /** How much the server has said so far: to be taken before a data key is asked for. @internal */
  mark(): number {
    return this.#saidBefore + this.#said.length;
  }

  /** Takes up the lease of a key that was just delivered, unless the server has ended it since `mark`. @internal */
  start(handle: DataKeyHandle, purpose: LeasePurpose, mark = this.mark()): Lease {
    const lease = new Lease(handle, purpose, this.#time, (over) => this.#over(over));
    const since = this.#said.slice(Math.max(mark - this.#saidBefore, 0));
    const said = since.find((end) => concerns(end, lease));
    if (this.#closed) lease.end('closed');
    else if (said) lease.end(said.reason);
    else if (mark < this.#saidBefore) lease.end('events_missed');
    else this.#run(lease);
    return lease;
  }

  /** From now on the lease is renewed while it is in use. @internal */
  keepUp(lease: Lease, renewal: Renewal): void {
    lease.renewal = renewal;
    this.#plan(lease);
  }

  /** Lets go of a lease that nobody uses any more. @internal */
  finish(lease: Lease): void {
    if (lease.users === 0) this.#running.delete(lease);
  }

  /** Ends leases at the server's word, those of data keys still on their way, too. @internal */
  endGiven(end: EndGiven): void {
    this.#said.push(end);
    if (this.#said.length > MOST_SAID) {
      this.#said.shift();
      this.#saidBefore += 1;
    }
    this.#endWhere((lease) => concerns(end, lease), end.reason);
  }

  /** Ends all leases, and those that would still begin. @internal */
  close(): void {
    this.#closed = true;
    this.#endWhere(() => true, 'closed');
    clearTimeout(this.#timer);
  }

  #run(lease: Lease): void {
    this.#running.add(lease);
    this.#wake(lease.endsAt);
  }

  #endWhere(condition: (lease: Lease) => boolean, reason: LeaseEnd): void {
    for (const lease of [...this.#running].filter(condition)) this.#end(lease, reason);
  }

  #end(lease: Lease, reason: LeaseEnd): void {
    this.#running.delete(lease);
    lease.end(reason);
    this.dispatchEvent(new LeaseEndedEvent(lease, reason));
  }

  /** Sets a time for renewing, at 50 to 70 % of what it is fresh for: not the same in every client. */
  #plan(lease: Lease): void {
    const { issuedAt, endsAt, renewal } = lease;
    const fresh = Math.min(endsAt - issuedAt, renewal?.freshFor ?? 0);
    lease.renewAt = issuedAt + fresh * (0.5 + 0.2 * Math.random());
    this.#wake(lease.renewAt);
  }

  /** Asks the server anew. Until the lease's end this is tried again, unless the server refuses. */
  async #renew(lease: Lease, { renew }: Renewal): Promise<void> {
    lease.renewing = true;
    lease.renewAt = Infinity;
    const { endsAt } = lease;
    try {
      await renew();
      if (lease.endsAt > endsAt) this.#plan(lease);
      else lease.refused = true;
    } catch (error) {
      lease.refused = error instanceof RefusedError && error.status < 500 && error.status !== 429;
      if (!lease.refused) this.#postpone(lease);
    } finally {
      lease.renewing = false;
    }
    if (!lease.ended && lease.isOver()) this.#over(lease);
  }

  /** Its time is over. But in its grace a lease at work is renewed before that ends it, when the server is back. */
  #over(lease: Lease): void {
    const { renewal } = lease;
    const grace = !lease.refused && this.#time.now() < lease.offlineEndsAt;
    if (grace && renewal?.inUse() && this.#running.has(lease)) void this.#renew(lease, renewal);
    else this.#end(lease, 'lease_expired');
  }

  /** Looks at the lease again after half of its rest. */
  #postpone(lease: Lease): void {
    const now = this.#time.now();
    lease.renewAt = now + Math.min(Math.max((lease.endsAt - now) / 2, SHORTEST_REST), LONGEST_REST);
    this.#wake(lease.renewAt);
  }

  /** Does what is due: leases end, and others are renewed. */
  #tick(): void {
    for (const lease of [...this.#running]) if (lease.isOver()) this.#over(lease);
    const now = this.#time.now();
    for (const lease of this.#running) {
      const { renewal } = lease;
      if (renewal && lease.renewAt <= now) {
        if (renewal.inUse()) void this.#renew(lease, renewal);
        else this.#postpone(lease);
      }
      // In its grace a lease ends as soon as the server is back, so it is looked at again and again.
      const ends = lease.endsAt > now ? lease.endsAt : Math.min(lease.offlineEndsAt, now + GRACE_STEP);
      this.#wake(Math.min(ends, lease.renewAt));
    }
  }

  /** Sees to it that {@link #tick} happens then. A timer may come late, so every use looks at the time, too. */
  #wake(at: number): void {
    if (at >= this.#wakesAt) return;
    clearTimeout(this.#timer);
    this.#wakesAt = at;
    const wait = Math.min(Math.max(at - this.#time.now(), 0) + 1, LONGEST_TIMER);
    this.#timer = setTimeout(() => {
      this.#wakesAt = Infinity;
      this.#tick();
    }, wait);
    // In Node a timer keeps the process alive; in a page it is a number.
    if (typeof this.#timer === 'object') this.#timer.unref();
  }
}

function concerns({ keyId, until }: EndGiven, lease: Lease): boolean {
  return (keyId === undefined || keyId === lease.keyId) && lease.issuedAt <= until;
}

/** More than this are not remembered; a data key that was asked for before them is asked for anew. */
const MOST_SAID = 256;
/** Milliseconds. The machine may sleep, so that a long timer comes too late. */
const LONGEST_TIMER = 60_000;
const GRACE_STEP = 1_000;
const SHORTEST_REST = 1_000;
const LONGEST_REST = 60_000;
