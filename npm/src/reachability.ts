/** Whether the server answers. Leases with an offline grace go on without it, but only then. */

/** What the last request taught. */
export class Reachability {
  #offline = false;
  #failures = 0;
  #restUntil = 0;

  /** Whether the last request found no server. */
  get offline(): boolean {
    return this.#offline;
  }

  /** Whether it was tried in vain a moment ago, so that asking again at once is of no use. */
  get resting(): boolean {
    return this.#offline && performance.now() < this.#restUntil;
  }

  /** A request found no server. */
  failed(): void {
    this.#offline = true;
    this.#restUntil = performance.now() + Math.min(FIRST_REST * 2 ** this.#failures, LONGEST_REST);
    this.#failures += 1;
  }

  /** The server answered, whatever it said. */
  answered(): void {
    this.#offline = false;
    this.#failures = 0;
  }
}

/** Milliseconds. */
const FIRST_REST = 1_000;
const LONGEST_REST = 30_000;
