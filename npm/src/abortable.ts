/** Waiting that can be given up. */

import { own } from './platform.js';

/** What a promise gives, or the signal's reason if that comes first. The work behind it goes on. */
export function abortable<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    const settled = () => signal.removeEventListener('abort', abort);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, own({ once: true }));
    promise.then(resolve, reject).finally(settled);
  });
}
