/** One answer for all who ask for the same thing at the same time. */

import { abortable } from './abortable.js';

interface Flight<T> {
  readonly answer: Promise<T>;
  readonly control: AbortController;
  waiting: number;
}

/** Runs one piece of work for a name at a time. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /**
   * Waits for the work of that name, and begins it if nobody did. Who gives up by a signal of their own leaves
   * the others' answer alone; the work's own signal aborts when nobody waits any more.
   */
  async join(name: string, begin: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const flight = this.#flights.get(name) ?? this.#begin(name, begin);
    flight.waiting += 1;
    try {
      return await abortable(flight.answer, signal);
    } finally {
      flight.waiting -= 1;
      if (flight.waiting === 0) this.#land(name, flight);
    }
  }

  #begin(name: string, begin: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const control = new AbortController();
    const flight = { answer: begin(control.signal), control, waiting: 0 };
    this.#flights.set(name, flight);
    // Who asks after the answer asks anew.
    const land = () => this.#forget(name, flight);
    flight.answer.then(land, land);
    return flight;
  }

  #land(name: string, flight: Flight<T>): void {
    this.#forget(name, flight);
    flight.control.abort(new DOMException('nobody waits for the answer any more', 'AbortError'));
  }

  #forget(name: string, flight: Flight<T>): void {
    if (this.#flights.get(name) === flight) this.#flights.delete(name);
  }
}
