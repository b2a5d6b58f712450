/** Work that is given a time. */

import { abortable } from './abortable.js';
import { NetworkError } from './errors.js';

/**
 * Runs work that ends when `signal` aborts, or when its time is over. Then it fails at once, even if the work
 * does not heed its own signal.
 */
export async function withDeadline<T>(
  seconds: number,
  signal: AbortSignal | undefined,
  work: (ends: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new NetworkError('network_timeout', 'no answer came in time')), seconds * 1000);
  const ends = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  try {
    return await abortable(work(ends), ends);
  } finally {
    clearTimeout(timer);
  }
}
