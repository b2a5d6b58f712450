/** Tickets: the application's word, in the server's form, that this device may have a data key. */

import { abortable } from './abortable.js';
import type { EncryptionContext } from './encoding.js';
import { KeyhavenError } from './errors.js';

/** What a ticket must allow. */
export interface TicketRequest {
  /** `DeliverDataKey` to encrypt, `UnsealDataKey` to decrypt. */
  readonly operation: 'DeliverDataKey' | 'UnsealDataKey';
  /** The key: as the application named it to encrypt; its id, from the message, to decrypt. */
  readonly key: string;
  /** The whole encryption context. */
  readonly context: EncryptionContext;
  /** This device. */
  readonly device: string;
}

/** Asks the application's backend for a ticket, until `signal` aborts. */
export type TicketSource = (want: TicketRequest, signal: AbortSignal) => Promise<string>;

/** Asks a source, but waits no longer than the signal says. */
export async function askForTicket(source: TicketSource, want: TicketRequest, signal: AbortSignal): Promise<string> {
  // Whatever the application's function does, also before its first await.
  const asking = (async () => source(want, signal))();
  return bearer(await abortable(asking, signal));
}

/** A ticket or token as a header can carry it. */
export function bearer(token: unknown): string {
  if (typeof token === 'string' && /^[\w.~+/=-]+$/.test(token)) return token;
  throw new KeyhavenError('invalid_argument', 'a ticket or enrolment token is a compact JWS, as the server minted it');
}
