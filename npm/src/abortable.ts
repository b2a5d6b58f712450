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

/**
 * Aborts the controller when the signal does, until the function that it returns is called. By hand, since not
 * every runtime has `AbortSignal.any`, and where one has it, its signal may be gone before it aborts.
 */
export function follow(controller: AbortController, signal: AbortSignal): () => void {
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, own({ once: true }));
  return () => signal.removeEventListener('abort', abort);
}
