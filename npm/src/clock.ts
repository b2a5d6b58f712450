/** The server's time, as far as it is proven: no wall clock set back can extend a lease. */

/** A moment on this machine, on both of its clocks. */
export interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

/** Now, by this machine's clocks. */
export function moment(): Moment {
  return { monotonic: performance.now(), wall: Date.now() };
}

/**
 * Milliseconds since a moment, by whichever clock ran further. The monotonic clock cannot be set back,
 * but may stand still while the machine sleeps; the wall clock can only make leases end early.
 */
export function elapsedSince(start: Moment): number {
  const now = moment();
  return Math.max(now.monotonic - start.monotonic, now.wall - start.wall, 0);
}

/** Keeps the latest server time that was verified, and counts on from there. */
export class ServerClock {
  #anchor: { readonly server: number; readonly at: Moment } | undefined;

  /**
   * Learns from a verified answer that the server's time was `server` (Unix milliseconds) at `at` or
   * later: give the moment at which the request was sent, so that the estimate errs towards the future.
   */
  observe(server: number, at: Moment): void {
    if (server + elapsedSince(at) > this.now()) this.#anchor = { server, at };
  }

  /**
   * Goes on from a time that was kept, by the wall clock, since no other outlives the page. False if that was set
   * back since: then it cannot tell how late it is.
   */
  resume({ server, wall }: { readonly server: number; readonly wall: number }): boolean {
    const at = moment();
    if (!(at.wall >= wall)) return false;
    this.observe(server + (at.wall - wall), at);
    return true;
  }

  /** Unix milliseconds; 0 before the first verified answer. */
  now(): number {
    return this.#anchor ? this.#anchor.server + elapsedSince(this.#anchor.at) : 0;
  }

  /** For dating requests: the proven time, else this machine's. */
  estimate(): number {
    return this.now() || Date.now();
  }
}
