/** Work that is given a time. */

import { abortable, follow } from './abortable.js';
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
  const ends = new AbortController();
  const timer = setTimeout(() => ends.abort(new NetworkError('network_timeout', 'no answer came in time')), seconds * 1000);
  const release = signal && follow(ends, signal);
  try {
    return await abortable(work(ends.signal), ends.signal);
  } finally {
    clearTimeout(timer);
    release?.();
  }
}
